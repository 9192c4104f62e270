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
from rushlight.compiler.primitives import FlashAttention, FlashAttentionGrad
from rushlight.core.native import without_kernels
from rushlight.ops import recurrent as r
from rushlight.ops.conv import Conv, ConvInput, ConvWeight
from rushlight.ops.matmul import Matmul
from rushlight.ops.reduce import Summing
from rushlight.ops.scan import Running

NARROW = (dtypes.float32, dtypes.float16, dtypes.bfloat16)
# ops of many terms, which native code takes in other orders
MANY = (
    *(Summing, Running, Matmul, Conv, ConvInput, ConvWeight, FlashAttention, FlashAttentionGrad),
    *(r.Recurrent, r.RNNTanhGrad, r.RNNReluGrad, r.GRUGrad, r.LSTMGrad),
)
FEWER = {dtypes.float32: dtypes.float16, dtypes.float64: dtypes.float32}  # half the digits or less
FACTOR = 4  # how much farther from the exact result native code may be than eager code or noise
ROUNDED = "eager code, or rounding at random, is as far from the exact result"
OVERFLOWED = "an exact result is too large for its dtype"


class Exact:
    """A program that rounds nothing to float32 or less but its outputs.

    With noise it rounds each node's results to their dtypes, but first moves them, up or down at
    random, by units of the last place. What a dtype holds is not moved: what is chosen, such as a
    maximum, stays equal to what it was chosen from. Sums and what consists of many are taken in
    their own dtypes, of terms that are moved as well, unless these are of few digits.

    Args:
        noise: how many units of the last place.
        seed: of the directions.

    Attributes:
        overflowed: whether a result was finite, but too large for its dtype. Not known with noise.
    """

    def __init__(self, graph: Graph, noise: float = 0.0, seed: int = 0) -> None:
        # noise moves what composites are made of, too
        self.graph = pipeline.expanded(pipeline.simplified(graph)) if noise else graph
        self.noise = noise
        self.random = np.random.default_rng(seed)
        self.overflowed = False

    def run(self, inputs: list[Any], outputs: list[np.ndarray]) -> None:
        constants = [i.source for i in self.graph.inputs[len(inputs) :]]
        arrays = zip(self.graph.inputs, [*inputs, *constants], strict=True)
        values = {i.value.number: wide(a) for i, a in arrays}
        with without_kernels(), np.errstate(all="ignore"):  # native code is what is in question
            for node in self.graph.nodes:
                for v, array in zip(node.outputs, self.computed(node, values), strict=True):
                    values[v.number] = array
            found = [np.copy(values[v.number]) for v in self.graph.ends()]
            for array, out in zip(found, outputs, strict=True):
                out[...] = array

    def computed(self, node: Node, values: dict[int, Any]) -> list[Any]:
        """What a node makes. Random numbers depend on the dtype, so they keep it."""
        operands = [values[v.number] if isinstance(v, Value) else v for v in node.inputs]
        many = self.noise and isinstance(node.op, MANY)
        if many or "engine" in node.params:
            given = [
                self.term(v.dtype, a) if isinstance(v, Value) else a
                for v, a in zip(node.inputs, operands, strict=True)
            ]
            return [wide(np.asarray(a)) for a in apply(node, given)]
        params = {k: wide_dtype(p) for k, p in node.params.items()}
        found = apply(Node(node.op, node.inputs, params, node.outputs), operands)
        return [
            self.result(v.dtype, np.asarray(a).astype(wide_dtype(v.dtype)), operands)
            for v, a in zip(node.outputs, found, strict=True)
        ]

    def term(self, d: np.dtype[Any], array: Any) -> Any:
        """One of many, in its own dtype."""
        if d in FEWER:
            array = self.moved(d, array, array == array.astype(FEWER[d]))
        return array.astype(d)

    def result(self, d: np.dtype[Any], array: Any, operands: list[Any]) -> Any:
        """What a node has made, in float64 where it is of the floating dtype d in the graph."""
        if d not in (*NARROW, dtypes.float64):
            return array
        if d in NARROW:
            most = float(dtypes.finfo(dtypes.of[d]).max)
            self.overflowed |= bool((np.isfinite(array) & (np.abs(array) > most)).any())
            return self.moved(d, array, array == array.astype(d))
        # nobody sees whether float64 holds a result: not those of few digits, or from an operand
        known = [np.ravel(a) for a in operands if isinstance(a, np.ndarray) and a.dtype == d]
        taken = np.isin(array, np.concatenate([*known, np.zeros(1)]))
        return self.moved(d, array, taken | (array == array.astype(dtypes.float32)))

    def moved(self, d: np.dtype[Any], array: Any, still: Any) -> Any:
        """The array with noise of dtype d, except where it is to stay as it is."""
        if not self.noise:
            return array
        sign = self.random.choice([-1.0, 1.0], array.shape)
        moved = array * (1 + sign * self.noise * dtypes.finfo(dtypes.of[d]).eps)
        return np.where(still, array, moved.astype(d).astype(np.float64))


def wide_dtype(d: Any) -> Any:
    """float64 for a narrower floating dtype; anything else as it is."""
    return dtypes.float64 if isinstance(d, np.dtype) and d in NARROW else d


def wide(a: Any) -> Any:
    """A floating array, or a number, as an array of float64."""
    if isinstance(a, float):
        return np.asarray(a)
    return a.astype(dtypes.float64) if isinstance(a, np.ndarray) and a.dtype in NARROW else a


def explained(exact: Any, native: Any, others: list[Any], overflowed: bool) -> str | None:
    """Why native code need not be closer to the exact array, or None if it should be: integers and
    truths are those of eager code or of noise, element by element; real numbers are about as close
    as the farthest of these. What overflows may become any infinity or NaN, as sums are taken.

    Args:
        exact: what float64 gives, rounded to the dtype.
        others: eager code's array, then those with noise: rounding alone keeps them from ``exact``.
        overflowed: whether a number on the way was too large for its dtype.
    """
    x, c, *rest = [np.asarray(a) for a in (exact, native, *others)]
    if any([a.shape != c.shape or a.dtype.kind != c.dtype.kind for a in (x, *rest)]):
        return None
    reached = np.any([same(c, a) for a in rest], 0)
    if c.dtype.kind != "f":
        return ROUNDED if reached.all() else None
    x, c, *rest = [a.astype(np.float64) for a in (x, c, *rest)]
    odd = ~(np.isfinite(c) & np.isfinite(x))
    noise = max([far(a, x, ~odd & np.isfinite(a)) for a in rest])
    if far(c, x, ~odd) > FACTOR * noise:
        return None
    if (reached | ~odd).all():
        return ROUNDED
    lost = ~(np.isfinite(c) & np.isfinite(rest[0]))
    return OVERFLOWED if overflowed and (reached | ~odd | lost).all() else None


def far(a: np.ndarray, b: np.ndarray, there: np.ndarray) -> float:
    """The greatest distance of two elements ``there``."""
    return float(np.abs(a[there] - b[there]).max(initial=0.0))


def same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two arrays have equal elements, or both NaN."""
    return np.asarray((a == b) | ((a != a) & (b != b)))
