"""A captured graph in float64, whatever its dtypes, perhaps with noise as large as rounding: tells
whether rounding explains a difference.

Reference: Parker, 1997, "Monte Carlo Arithmetic".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.compiler import pipeline
from rushlight.compiler.backends.reference import apply
from rushlight.compiler.graph import Graph, Node, Value
from rushlight.core.view import View

NARROW = (dtypes.float32, dtypes.float16, dtypes.bfloat16)
FACTOR = 4  # how much farther from the exact result native code may be than eager code or noise


class Exact:
    """A program that rounds nothing to float32 or less but its outputs. ``noise``: how far each
    node's results are moved, in units of the last place of their dtypes.
    """

    def __init__(self, graph: Graph, noise: float = 0.0) -> None:
        # noise moves what composites are made of, too
        self.graph = pipeline.expanded(pipeline.simplified(graph)) if noise else graph
        self.noise = noise
        self.random = np.random.default_rng(0)

    def run(self, inputs: list[Any], outputs: list[np.ndarray]) -> None:
        constants = [i.source for i in self.graph.inputs[len(inputs) :]]
        arrays = zip(self.graph.inputs, [*inputs, *constants], strict=True)
        values = {i.value.number: wide(a) for i, a in arrays}
        for node in self.graph.nodes:
            for v, array in zip(node.outputs, self.computed(node, values), strict=True):
                values[v.number] = array
        found = [np.copy(values[v.number]) for v in self.graph.ends()]
        for array, out in zip(found, outputs, strict=True):
            out[...] = array

    def computed(self, node: Node, values: dict[int, Any]) -> list[Any]:
        """What a node makes. Random numbers depend on the dtype, so they keep it."""
        operands = [values[v.number] if isinstance(v, Value) else v for v in node.inputs]
        if "engine" in node.params:
            pairs = zip(node.inputs, operands, strict=True)
            given = [a.astype(v.dtype) if isinstance(v, Value) else a for v, a in pairs]
            return [wide(a) for a in apply(node, given)]
        params = {k: wide_dtype(p) for k, p in node.params.items()}
        found = apply(Node(node.op, node.inputs, params, node.outputs), operands)
        return [self.moved(node, v, a) for v, a in zip(node.outputs, found, strict=True)]

    def moved(self, node: Node, v: Value, array: Any) -> Any:
        """The array as what it is in the graph, but in float64, and with noise."""
        array = np.asarray(array).astype(wide_dtype(v.dtype))
        if not self.noise or v.dtype not in (*NARROW, dtypes.float64) or isinstance(node.op, View):
            return array
        sign = self.random.choice([-1.0, 1.0], v.shape)
        return array * (1 + sign * self.noise * dtypes.finfo(dtypes.of[v.dtype]).eps)


def wide_dtype(d: Any) -> Any:
    """float64 for a narrower floating dtype; anything else as it is."""
    return dtypes.float64 if isinstance(d, np.dtype) and d in NARROW else d


def wide(a: Any) -> Any:
    """A floating array, or a number, as an array of float64."""
    if isinstance(a, float):
        return np.asarray(a)
    return a.astype(dtypes.float64) if isinstance(a, np.ndarray) and a.dtype in NARROW else a


def no_farther(exact: Any, native: Any, others: list[Any]) -> bool:
    """Whether native code is about as close to the exact array as one of the others, which rounding
    alone keeps from it.
    """
    x, c, *rest = [np.asarray(a, np.float64) for a in (exact, native, *others)]
    if not all([a.shape == x.shape and np.isfinite(a).all() for a in (x, c, *rest)]):
        return False
    return far(c, x) <= FACTOR * max([far(a, x) for a in rest])


def far(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max(initial=0.0))
