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
from rushlight.dtypes import FLOATS

FEW = 1 << 14  # elements of all windows up to which they are taken at once


class Windows:
    """Where the taps of windows lie. Use ``windows_of``, which remembers them.

    Fields: input, count, the input's shape and elements; size, the padded trailing dims; middle,
    the index of the unpadded ones in them, or None without padding; flat, the input's shape with
    one dim for its padded planes; shape, that of the result; where, the places of taps in a
    flattened padded plane, (taps, windows), both in row-major order.
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
        self.input, self.count = shape, math.prod(shape)
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

    def joined(self, g: np.ndarray) -> np.ndarray:
        """Floats, one for each element that ``taken`` gives, added up where they were taken."""
        total = np.bincount(self.origins, g.reshape(-1), self.count + 1)
        return total[: self.count].astype(g.dtype).reshape(self.input)

    @functools.cached_property
    def origins(self) -> np.ndarray:
        """Where in the flattened input each element of ``taken`` is; those around it: behind."""
        places = self.padded(np.arange(self.count).reshape(self.input), self.count)
        return places.reshape(self.flat).take(self.where, -1).reshape(-1)

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
    """Windows of planes, for the loops of backends/llvm/pools.py. Use ``table_for``.

    Fields: shape, that of the result; where, the place of each tap of each window, -1 if that is
    outside, (taps, windows), int32; divisors, what the windows' sums are divided by, float64;
    sizes, elements of a plane, windows, taps and planes.
    """

    shape: tuple[int, ...]
    where: np.ndarray
    divisors: np.ndarray
    sizes: tuple[int, int, int, int]

    def run(self, name: str, x: np.ndarray, named: Any = None) -> Any:
        """What a loop makes of the windows of an array of floats, or None; if ``named``, with the
        names of maxima in that dtype.
        """
        d = x.dtype
        if d not in FLOATS or not x.flags.carray:
            return None
        run = kernels.runner(name, d, 4, x.size, exact=False)
        if run is None:
            return None
        out = np.empty(self.shape, d)
        second = self.divisors if named is None else np.empty(self.shape, named)
        run(x, out, second, self.where, *self.sizes)
        return out if named is None else (out, second)


def table_for(shape: Any, out: Any, where: np.ndarray, divisors: np.ndarray) -> Table | None:
    """The table of ``out`` windows along the trailing dims of inputs of this shape. None where
    there is nothing to do, or few windows of many elements, several of which at a time are slow.
    """
    lead, space = shape[: len(shape) - len(out)], shape[len(shape) - len(out) :]
    size, planes, (taps, count) = math.prod(space), math.prod(lead), where.shape
    if not size * planes or (taps > 64 and count < 16):
        return None
    return Table((*lead, *out), where, divisors, (size, count, taps, planes))


@functools.lru_cache(maxsize=256)
def table_of(
    shape: Any, out: Any, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> Table | None:
    """The windows of an input of this shape; None where there are none, or many elements."""
    space = shape[len(shape) - len(out) :]
    if not 0 < math.prod(out) * math.prod(kernel) <= FEW:
        return None
    size = [n + a + b for n, (a, b) in zip(space, padding, strict=True)]
    numbers = np.full(size, -1, np.int32)
    inside = [slice(a, a + n) for n, (a, _) in zip(space, padding, strict=True)]
    numbers[(*inside,)] = np.arange(math.prod(space)).reshape(space)
    where = numbers.reshape(-1)[places(size, out, kernel, stride, dilation)]
    return table_for(shape, out, where, np.ones(1))
