"""Pooling: sums and means of windows."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from rushlight.core.op import Op
from rushlight.dtypes import FLOATS
from rushlight.ops.conv import in_float32
from rushlight.ops.pool import along, padded, tap_slices
from rushlight.ops.windows import Table, table_of, windows_of

ONES = [(1,) * rank for rank in range(4)]
LONG = 8  # elements of windows that do not overlap: sums of more are products


def sum_windows(x: Any, out: Any, kernel: Any, stride: Any, padding: Any) -> Any:
    """Sums of windows."""
    if max(kernel) > LONG and x.dtype in FLOATS and tiles(x.shape, out, kernel, stride, padding):
        return sum_tiles(x, out, kernel)
    few = windows_of(x.shape, out, kernel, stride, padding, ONES[len(kernel)])
    if few is not None:
        return np.add.reduce(few.taken(x, 0), -2).reshape(few.shape)
    v = padded(x, padding, 0)
    for dim in range(-1, -len(kernel) - 1, -1):
        parts = [along(dim, tap_slices(t, out[dim], stride[dim], 1)) for t in range(kernel[dim])]
        total = v[parts[0]]
        if len(parts) > 1:
            total = total + v[parts[1]]
        for part in parts[2:]:
            total += v[part]
        v = total
    return np.array(v, order="C", copy=True if v is x or v.base is not None else None)


def tiles(shape: Any, out: Any, kernel: Any, stride: Any, padding: Any) -> bool:
    """Whether windows cover the trailing dims once."""
    space = shape[len(shape) - len(out) :]
    whole = space == tuple([n * k for n, k in zip(out, kernel, strict=True)])
    return whole and kernel == stride and not any([a or b for a, b in padding])


def sum_tiles(x: Any, out: Any, kernel: Any) -> Any:
    """Sums of windows that cover floats once, as products with ones."""
    for dim in range(-1, -len(kernel) - 1, -1):
        ones, shape = np.ones(kernel[dim], x.dtype), [*x.shape]
        shape[dim] = out[dim]
        if dim == -1:
            x = x.reshape(-1, len(ones)).dot(ones)
        else:
            x = np.matmul(ones, x.reshape(-1, len(ones), math.prod(x.shape[dim + 1 :])))
        x = x.reshape(shape)
    return x


def spread_windows(g: Any, space: Any, out: Any, kernel: Any, stride: Any, padding: Any) -> Any:
    """Each element added to all of its window: the transpose of ``sum_windows``."""
    v = g
    for dim in range(-len(kernel), 0):
        (a, b), k, s = padding[dim], kernel[dim], stride[dim]
        shape = list(v.shape)
        shape[dim] = space[dim] + a + b
        tiled = k == s and shape[dim] == out[dim] * k
        wider = (np.empty if tiled else np.zeros)(shape, g.dtype)
        for t in range(k):
            part = wider[along(dim, tap_slices(t, out[dim], s, 1))]
            if s >= k:
                part[...] = v  # windows do not overlap
            else:
                part += v
        v = wider[along(dim, slice(a, a + space[dim]))]
    return np.array(v, order="C", copy=None)


@functools.lru_cache(maxsize=64)
def counts(
    space: Any,
    out: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    include_pad: bool,
    divisor: int | None,
    ceil: Any,
) -> Any:
    """What each window's sum is divided by: a number, or an array of ``out``'s shape.

    ``ceil``: the padding after each dim that counts as part of the input when ``include_pad``.
    """
    if divisor is not None:
        return float(divisor)
    sizes = []
    uniform = True
    for n, o, k, s, (a, _), after in zip(space, out, kernel, stride, padding, ceil, strict=True):
        start = np.arange(o) * s - a
        low, high = (
            (start, np.minimum(start + k, n + after))
            if include_pad
            else (np.maximum(start, 0), np.minimum(start + k, n))
        )
        sizes.append(high - low)
        uniform = uniform and bool((sizes[-1] == k).all())
    if uniform:
        return float(math.prod(kernel))
    total = sizes[0]
    for more in sizes[1:]:
        total = total[..., None] * more
    return total.astype(np.float64)


MEANS = "window means"


@functools.lru_cache(maxsize=256)
def means_of(
    shape: Any,
    out: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    include_pad: bool,
    divisor: int | None,
    after: Any,
) -> Table | None:
    """The table of windows with what their sums are divided by, or None."""
    table = table_of(shape, out, kernel, stride, padding, ONES[len(kernel)])
    if table is None:
        return None
    space = shape[len(shape) - len(out) :]
    n = counts(space, out, kernel, stride, padding, include_pad, divisor, after)
    return replace(table, divisors=np.array(np.broadcast_to(n, out), np.float64).reshape(-1))


class AvgPool(Op):
    """Means of windows."""

    compiled = True
    label = "AvgPool2D"
    public: ClassVar = {
        "kernel": "kernel_size", "include_pad": "count_include_pad", "divisor": "divisor_override",
        "out": "", "after": "",
    }  # fmt: skip

    def backward_name(self, params):
        """A line is pooled as an image of one row."""
        dims = len(params["kernel"]) if params else 2
        return "SqueezeBackward1" if dims == 1 else f"AvgPool{dims}DBackward0"

    def eager(self, xp, input, *, out, kernel, stride, padding, include_pad, divisor, after):
        table = means_of(input.shape, out, kernel, stride, padding, include_pad, divisor, after)
        found = None if table is None else table.run(MEANS, input)
        if found is not None:
            return found
        n = counts(
            input.shape[-len(kernel) :], out, kernel, stride, padding, include_pad, divisor, after
        )
        return in_float32(averages, (input,), out, kernel, stride, padding, n)

    def grad(self, g, input_spec, params):
        return AvgPoolSpread.bind(g, space=input_spec[0][-len(params["kernel"]) :], **params)


def averages(x: Any, out: Any, kernel: Any, stride: Any, padding: Any, n: Any) -> Any:
    """Means of windows, for counts n."""
    total = sum_windows(x, out, kernel, stride, padding)
    if total.dtype.kind in "iu":
        n = np.asarray(n, total.dtype)
        return np.sign(total) * np.sign(n) * (np.abs(total) // np.abs(n))  # towards zero
    total /= np.asarray(n, total.dtype)
    return total


class AvgPoolSpread(Op):
    """The transpose of AvgPool."""

    compiled = True
    label = "AvgPool2DBackward"

    def eager(self, xp, g, *, space, out, kernel, stride, padding, include_pad, divisor, after):
        n = counts(space, out, kernel, stride, padding, include_pad, divisor, after)
        return in_float32(
            lambda a: spread_windows(
                a / np.asarray(n, a.dtype), space, out, kernel, stride, padding
            ),
            (g,),
        )

    def grad(self, g, params):
        return AvgPool.bind(g, **{k: v for k, v in params.items() if k != "space"})
