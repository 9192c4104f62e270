"""Numbers that optimizers count in tensors, computed before a call, from its inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.graph import Graph, Node, Value
from rushlight.compiler.python_numbers import python_value
from rushlight.core.elementwise import Elementwise


def source_of(value: Value, graph: Graph) -> Callable[[], float] | None:
    """A function that computes a 0-dim value from the graph's inputs, before a call; None where
    that takes more than numbers.
    """
    if value.shape:
        return None
    entry = next((i for i in graph.inputs if i.value is value), None)
    if entry is not None:
        if entry.kind == "argument":
            return None
        if entry.kind == "number":
            return entry.source
        held = entry.source
        if entry.kind == "constant":
            return lambda: float(held)
        return lambda: float(python_value(held))
    node = next((n for n in graph.nodes if n.outputs[0] is value), None)
    if node is None or not isinstance(node.op, Elementwise):
        return None
    sources = [source_of(v, graph) if isinstance(v, Value) else v for v in node.inputs]
    if any([s is None for s in sources]):
        return None
    return applying(node, sources, graph)


def applying(node: Node, sources: list[Any], graph: Graph) -> Callable[[], float]:
    """What a node of numbers computes, its operands given as functions or numbers."""
    first, *rest = sources
    if type(node.op).__name__ == "Add" and len(rest) == 1 and not callable(rest[0]):
        return lambda: first() + rest[0]  # counting steps, the usual case
    plain = {i.value.number for i in graph.inputs if i.kind == "number"}
    kinds = [  # of operands that are arrays; Python numbers do not decide the result's dtype
        v.dtype if isinstance(v, Value) and v.number not in plain else None for v in node.inputs
    ]

    def compute() -> float:
        numbers = [s() if callable(s) else s for s in sources]
        operands = [
            n if d is None else np.asarray(n, d) for n, d in zip(numbers, kinds, strict=True)
        ]
        out = np.asarray(node.op.forward(operands, node.params))
        return float(out.astype(node.outputs[0].dtype))

    return compute
