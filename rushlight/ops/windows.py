"""Windows over the trailing dims of small arrays: all of their elements are taken at once.

A large array is better cut into slices, one for each tap of a window, since these need no index for
each element; but with few elements, what a call of NumPy costs decides.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

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
