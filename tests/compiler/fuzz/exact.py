"""A captured graph in float64, whatever its dtypes: says which of two results rounding explains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.compiler.backends.reference import evaluate
from rushlight.compiler.graph import Graph, Node, Value

NARROW = (dtypes.float32, dtypes.float16, dtypes.bfloat16)
FACTOR = 4  # how much farther from the exact result native code may be than eager code


class Exact:
    """A program that rounds nothing to float32 or less but its outputs."""

    def __init__(self, graph: Graph) -> None:
        self.graph = widened(graph)

    def run(self, inputs: list[Any], outputs: list[np.ndarray]) -> None:
        values = evaluate(self.graph, [wide(a) for a in inputs])
        found = [np.copy(values[v.number]) for v in self.graph.ends()]
        for array, out in zip(found, outputs, strict=True):
            out[...] = array


def widened(graph: Graph) -> Graph:
    """The graph with float64 for every narrower floating dtype."""
    seen: dict[int, Value] = {}

    def value(v: Any) -> Any:
        if not isinstance(v, Value):
            return v
        if id(v) not in seen:
            seen[id(v)] = Value(v.number, v.shape, of(v.dtype))
        return seen[id(v)]

    def node(n: Node) -> Node:
        params = {k: of(p) for k, p in n.params.items()}
        return Node(n.op, [value(v) for v in n.inputs], params, [value(v) for v in n.outputs])

    inputs = [replace(i, value=value(i.value)) for i in graph.inputs]
    as_before = {id(i): j for i, j in zip(graph.inputs, inputs, strict=True)}
    return Graph(
        inputs=inputs,
        nodes=[node(n) for n in graph.nodes],
        results=[value(v) for v in graph.results],
        updates=[(as_before[id(i)], value(v)) for i, v in graph.updates],
        fresh=[value(v) for v in graph.fresh],
        count=graph.count,
    )


def of(d: Any) -> Any:
    """float64 for a narrower floating dtype; anything else as it is."""
    return dtypes.float64 if isinstance(d, np.dtype) and d in NARROW else d


def wide(a: Any) -> Any:
    return a.astype(dtypes.float64) if isinstance(a, np.ndarray) and a.dtype in NARROW else a


def no_farther(exact: Any, eager: Any, native: Any) -> bool:
    """Whether native code is about as close to the exact array as eager code, which is not equal
    to it.
    """
    arrays = [np.asarray(a, np.float64) for a in (exact, eager, native)]
    if len({a.shape for a in arrays}) > 1 or not all(np.isfinite(a).all() for a in arrays):
        return False
    x, e, c = arrays
    return bool(np.abs(c - x).max(initial=0.0) <= FACTOR * np.abs(e - x).max(initial=0.0))
