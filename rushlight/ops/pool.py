"""Pooling: maxima of windows, over any number of trailing dims.

Windows are cut along one dim at a time, since a maximum of maxima, and a sum of sums (avg_pool.py),
is that of the whole window. ``padding`` is a tuple of (before, after) for each dim; where a
window's last positions lie beyond the padding they were cut off by ``ceil_mode``'s rule.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any, ClassVar

import numpy as np

from rushlight import dtypes
from rushlight.core.native import LEAST, in_dtype, widened
from rushlight.core.op import Op
from rushlight.ops.windows import FEW, places, table_of, windows_of


def lowest(d: np.dtype) -> Any:
    """What a maximum starts from."""
    return -np.inf if d in dtypes.FLOATING_TYPES else dtypes.integer_range(d)[0]


def padded(x: np.ndarray, padding: Any, value: Any) -> np.ndarray:
    """x with ``value`` around it."""
    if not any(a or b for a, b in padding):
        return x
    lead = x.ndim - len(padding)
    shape = [
        *x.shape[:lead],
        *[n + a + b for n, (a, b) in zip(x.shape[lead:], padding, strict=True)],
    ]
    out = np.full(shape, value, x.dtype) if value else np.zeros(shape, x.dtype)
    out[inside(x.shape[lead:], padding)] = x
    return out


def inside(space: Any, padding: Any) -> tuple[Any, ...]:
    """Where the unpadded array lies in the padded one."""
    return (..., *[slice(a, a + n) for n, (a, _) in zip(space, padding, strict=True)])


def tap_slices(t: int, out: int, stride: int, dilation: int) -> slice:
    """Positions that are tap t of their window, along one dim."""
    start = t * dilation
    return slice(start, start + (out - 1) * stride + 1, stride)


def along(dim: int, part: slice) -> tuple[Any, ...]:
    """Index with a slice in the negative ``dim``."""
    return (..., part, *[slice(None)] * (-1 - dim))


def max_windows(
    x: Any, out: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, coded: bool
) -> Any:
    """Maxima of windows, and which tap they are (numbered in row-major order), or None unless
    ``coded``.
    """
    found = quick_maxima(x, out, kernel, stride, padding, dilation, coded)
    if found is not None:
        return found
    few = windows_of(x.shape, out, kernel, stride, padding, dilation)
    if few is not None:
        found = few_maxima(few.taken(x, lowest(x.dtype)), few.shape, coded)
        if found is not None:
            return found
    v = padded(x, padding, lowest(x.dtype))
    kind: Any = tap_type(math.prod(kernel))
    codes, unit = None, 1
    for dim in range(-1, -len(kernel) - 1, -1):
        k, n, s, d = kernel[dim], out[dim], stride[dim], dilation[dim]
        parts = [along(dim, tap_slices(t, n, s, d)) for t in range(k)]
        best = v[parts[0]]
        code = None
        if coded:
            code = np.zeros(best.shape, kind) if codes is None else codes[parts[0]].copy()
        for t in range(1, k):
            candidate = v[parts[t]]
            if coded:
                better = np.greater(candidate, best)
                if candidate.dtype.kind == "f":
                    nan = candidate != candidate
                    if nan.any():
                        better |= nan
                step = kind(t * unit) if codes is None else codes[parts[t]] + kind(t * unit)
                step = step - code  # wraps around in uint8, and back
                code += better * step
            best = np.maximum(best, candidate) if t == 1 else np.maximum(best, candidate, out=best)
        v, codes, unit = best, code, unit * k
    return np.array(v, order="C", copy=True if v is x or v.base is not None else None), codes


def quick_maxima(
    x: Any, out: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, coded: bool
) -> Any:
    """``max_windows`` by a loop, or None."""
    if x.size >= LEAST or (coded and math.prod(kernel) > 256):
        return None
    table = table_of(x.shape, out, kernel, stride, padding, dilation)
    if table is None:
        return None
    if coded:
        return table.run("window taps", x, np.uint8)
    found = table.run("window maxima", x)
    return None if found is None else (found, None)


def few_maxima(taken: Any, shape: Any, coded: bool) -> Any:
    """``max_windows`` of few elements; None if NaN is among them, which is its window's maximum."""
    values = np.maximum.reduce(taken, -2)
    if values.size and not values.item(values.argmax()) < math.inf:
        return None
    if not coded:
        return values.reshape(shape), None
    codes = taken.argmax(-2).astype(tap_type(taken.shape[-2]))
    return values.reshape(shape), codes.reshape(shape)


def tap_type(taps: int) -> Any:
    """What so many taps are numbered in."""
    return np.uint8 if taps <= 256 else np.int32


@functools.lru_cache(maxsize=64)
def table_of_places(
    space: Any, out: Any, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The places of each tap, in all windows, in the flattened unpadded dims, as a vector; and the
    windows' numbers.
    """
    shift, step = 0, 1
    for n, (a, _) in zip(space[::-1], padding[::-1], strict=True):
        shift, step = shift + a * step, step * n
    table = places(space, out, kernel, stride, dilation) - shift
    return table.reshape(-1), np.arange(table.shape[1])


class FlatIndices(Op):
    """Places of the maxima in the flattened unpadded dims ``space``, from their taps."""

    def eager(self, xp, taps, *, space, kernel, stride, padding, dilation):
        if taps.size <= FEW:
            out = taps.shape[taps.ndim - len(kernel) :]
            table, number = table_of_places(space, out, kernel, stride, padding, dilation)
            at = taps.reshape(-1, number.size) * np.int64(number.size)
            at += number
            return table.take(at).reshape(taps.shape)
        index = np.zeros(taps.shape, np.int64)
        rest = taps.astype(np.int64)
        unit = 1
        for dim in range(-1, -len(kernel) - 1, -1):
            tap = rest % kernel[dim]
            rest //= kernel[dim]
            start = np.arange(taps.shape[dim]) * stride[dim] - padding[dim][0]
            place = tap * dilation[dim] + start.reshape(-1, *[1] * (-1 - dim))
            index += place * unit
            unit *= space[dim]
        return index


class MaxPool(Op):
    """Maxima of windows, and their taps."""

    compiled = True
    outputs = ("values", "taps")
    label = "MaxPool2DWithIndices"
    public: ClassVar = {"kernel": "kernel_size", "out": "", "taps": ""}

    def backward_name(self, params):
        """A line is pooled as an image of one row."""
        dims = len(params["kernel"]) if params else 2
        return "SqueezeBackward1" if dims == 1 else f"MaxPool{dims}DWithIndicesBackward0"

    def eager(self, xp, input, *, out, kernel, stride, padding, dilation):
        found = max_windows(widened(input), out, kernel, stride, padding, dilation, True)
        return in_dtype(found[0], input.dtype), found[1]

    def grad_input(self, g, taps, input_spec, params):
        return MaxPoolSpread.bind(g[0], taps, space=input_spec[0], **params)


class MaxPoolValues(Op):
    """Maxima of windows, when nobody needs to know where they were."""

    compiled = True

    def eager(self, xp, input, *, out, kernel, stride, padding, dilation):
        found = max_windows(widened(input), out, kernel, stride, padding, dilation, False)
        return in_dtype(found[0], input.dtype)


class MaxPoolSpread(Op):
    """Values g put back where the maxima were: the gradient of MaxPool."""

    compiled = True
    least = 256  # elements of g, which are fewer than those that are written
    label = "MaxPool2DWithIndicesBackward"

    def eager(self, xp, g, taps, *, space, out, kernel, stride, padding, dilation):
        rank = len(kernel)
        few = windows_of(space, out, kernel, stride, padding, dilation)
        if few is not None and g.dtype in dtypes.FLOATS:
            rows = few.where.reshape(-1)
            number = np.arange(few.where.shape[1]).reshape(out)
            return few.added(g, rows.take(taps * np.int64(number.size) + number))
        size = [n + a + b for n, (a, b) in zip(space[-rank:], padding, strict=True)]
        disjoint = all(
            s >= (k - 1) * d + 1 and d == 1
            for k, s, d in zip(kernel, stride, dilation, strict=True)
        )
        tiled = disjoint and all(
            o * k == n and k == s for o, k, s, n in zip(out, kernel, stride, size, strict=True)
        )
        work = dtypes.float32 if g.dtype in dtypes.HALVES else g.dtype
        make = np.empty if tiled else np.zeros
        x: Any = make((*space[:-rank], *size), work)
        for code, tap in enumerate(itertools.product(*map(range, kernel))):
            parts = (..., *[tap_slices(*a) for a in zip(tap, out, stride, dilation, strict=True)])
            if disjoint:
                np.multiply(g, taps == code, x[parts])
            else:
                x[parts] += g * (taps == code)
        x = x[inside(space[-rank:], padding)] if tuple(size) != tuple(space[-rank:]) else x
        return np.array(x, g.dtype, order="C", copy=None)

    def grad_g(self, gg, taps, params):
        options = {k: v for k, v in params.items() if k != "space"}
        return MaxPoolPick.bind(gg, taps, **options)

    def grad_taps(self, gg):
        return None


class MaxPoolPick(Op):
    """The elements of x where the maxima were."""

    label = "Gather"

    def eager(self, xp, x, taps, *, out, kernel, stride, padding, dilation):
        rank = len(kernel)
        space = x.shape[-rank:]
        index = FlatIndices.instance.eager(
            np, taps, space=space, kernel=kernel, stride=stride, padding=padding, dilation=dilation
        )
        lead = x.shape[:-rank]
        picked = np.take_along_axis(x.reshape(*lead, -1), index.reshape(*lead, -1), -1)
        return picked.reshape(*lead, *out)

    def grad_x(self, g, taps, x_spec, params):
        return MaxPoolSpread.bind(g, taps, space=x_spec[0], **params)

    def grad_taps(self, g):
        return None
