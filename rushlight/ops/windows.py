"""Windows over the trailing dims of small arrays: all of their elements are taken at once.

A large array is better cut into slices, one for each tap of a window, since these need no index for
each element; but with few elements, what a call of NumPy costs decides.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rushlight.core.native import kernels
from rushlight.core.op import FLOATS

FEW = 1 << 14  # elements of all windows up to which they are taken at once


class Windows:
    """Where the taps of windows lie. Use ``windows_of``, which remembers them.

    Fields: size, the padded trailing dims; middle, the index of the unpadded ones in them, or None
    without padding; flat, the input's shape with one dim for its padded planes; shape, that of the
    result; where, the places of taps in a flattened padded plane, (taps, windows), both in
    row-major order.
    """

    def __init__(
        self, shape: Any, out: Any, kernel: Any, stride: Any, padding: Any, dilation: Any
    ) -> None:
        rank = len(out)
        lead, space = shape[: len(shape) - rank], shape[len(shape) - rank :]
        self.space, self.lead = space, lead
        self.size = tuple([n + a + b for n, (a, b) in zip(space, padding, strict=True)])
        inside = [slice(a, a + n) for n, (a, _) in zip(space, padding, strict=True)]
        self.middle: Any = None if self.size == space else (..., *inside)
        self.padded_shape, self.flat, self.shape = (*lead, *self.size), (*lead, -1), (*lead, *out)
        self.where = places(self.size, out, kernel, stride, dilation)

    def padded(self, x: np.ndarray, value: Any) -> np.ndarray:
        """x with ``value`` around its trailing dims."""
        if self.middle is None:
            return x
        out = np.zeros(self.padded_shape, x.dtype)
        if value:
            out.fill(value)
        out[self.middle] = x
        return out

    def taken(self, x: np.ndarray, value: Any) -> Any:
        """All windows of x, with ``value`` around it: (*lead, taps, windows)."""
        return self.padded(x, value).reshape(self.flat).take(self.where, -1)

    def added(self, g: np.ndarray, where: Any) -> np.ndarray:
        """Floats g (*lead, *) added up at the places ``where`` of the padded planes, which
        broadcast to g: in x's shape.
        """
        count, plane = math.prod(self.lead), math.prod(self.size)
        starts = np.arange(0, count * plane, plane).reshape(
            *self.lead, *[1] * (g.ndim - len(self.lead))
        )
        total = np.bincount((where + starts).reshape(-1), g.reshape(-1), count * plane)
        x = total.reshape(self.padded_shape).astype(g.dtype)
        return x if self.middle is None else np.ascontiguousarray(x[self.middle])


@functools.lru_cache(maxsize=256)
def windows_of(
    shape: Any, out: Any, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> Windows | None:
    """The windows of an input of this shape; None where there are none, or many elements.

    Args:
        out: how many windows there are along each trailing dim.
        padding: (before, after) for each of them.
    """
    count = math.prod(shape[: len(shape) - len(out)]) * math.prod(out) * math.prod(kernel)
    return Windows(shape, out, kernel, stride, padding, dilation) if 0 < count <= FEW else None


def places(size: Any, out: Any, kernel: Any, stride: Any, dilation: Any) -> np.ndarray:
    """The places of taps in flattened dims of this size: (taps, windows)."""
    found = np.zeros((1, 1), np.int64)
    for n, o, k, s, d in zip(size, out, kernel, stride, dilation, strict=True):
        along = np.arange(k)[:, None] * d + np.arange(o) * s  # (k, o)
        grid = found[:, None, :, None] * n + along[None, :, None, :]
        found = grid.reshape(len(found) * k, found.shape[1] * o)
    return found


@dataclass(frozen=True)
class Table:
    """Windows of planes, for the loops of backends/llvm/pools.py.

    Fields: shape, how many there are along each dim; size, the elements of a plane; where, the
    place of each tap of each window, -1 if that is outside, (taps, windows), int32; divisors, what
    the windows' sums are divided by, float64.
    """

    shape: tuple[int, ...]
    size: int
    where: np.ndarray
    divisors: np.ndarray

    def suits(self) -> bool:
        """Whether several windows at a time are quick: not for a few of many elements."""
        return len(self.where) <= 64 or self.where.shape[1] >= 16

    def run(self, name: str, x: np.ndarray, named: Any = None) -> Any:
        """What a loop makes of the windows of an array of floats, or None; if ``named``, with the
        names of maxima in that dtype.
        """
        d, where = x.dtype, self.where
        if d not in FLOATS or not x.size or not x.flags.carray or not self.suits():
            return None
        run = kernels.runner(name, d, 4, x.size, exact=False)
        if run is None:
            return None
        out = np.empty(x.shape[: x.ndim - len(self.shape)] + self.shape, d)
        second = self.divisors if named is None else np.empty(out.shape, named)
        run(x, out, second, where, self.size, where.shape[1], len(where), x.size // self.size)
        return out if named is None else (out, second)


@functools.lru_cache(maxsize=256)
def table_of(
    space: Any, out: Any, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> Table | None:
    """The windows of trailing dims ``space``; None where there are none, or many elements."""
    if not 0 < math.prod(out) * math.prod(kernel) <= FEW or not math.prod(space):
        return None
    size = [n + a + b for n, (a, b) in zip(space, padding, strict=True)]
    numbers = np.full(size, -1, np.int32)
    inside = [slice(a, a + n) for n, (a, _) in zip(space, padding, strict=True)]
    numbers[(*inside,)] = np.arange(math.prod(space)).reshape(space)
    where = numbers.reshape(-1)[places(size, out, kernel, stride, dilation)]
    return Table(out, math.prod(space), where, np.ones(1))
