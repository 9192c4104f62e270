"""Compute now what does not depend on the call."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.backends.reference import apply, stored
from rushlight.compiler.graph import Graph, Input, Value
from rushlight.compiler.passes.rewrite import pure, substituted

LARGEST = 1 << 20  # elements; larger constants are cheaper to compute again than to keep


def fold_constants(graph: Graph) -> Graph:
    """Nodes whose inputs are all constants become constants."""
    known: dict[int, Any] = {i.value.number: i.source for i in graph.inputs if i.kind == "constant"}
    folded, kept = substituted(graph, [], {}), []
    for node in graph.nodes:
        size = sum([math.prod(v.shape) for v in node.outputs])
        constant = all([not isinstance(v, Value) or v.number in known for v in node.inputs])
        if not node.inputs or not constant or not pure(node) or size > LARGEST:
            kept.append(node)
            continue
        arrays = apply(node, [known[v.number] if isinstance(v, Value) else v for v in node.inputs])
        for value, array in zip(node.outputs, arrays, strict=True):
            array = np.ascontiguousarray(stored(array, value)).reshape(value.shape)  # not 1-dim
            known[value.number] = array
            folded.inputs.append(Input(value, "constant", array))
    return Graph(folded.inputs, kept, folded.results, folded.updates, folded.fresh, folded.count)
