"""Normalisation of layers and groups, the root mean square, and what that of batches
(``batch_norm``) shares with it.

The gradients come in two forms. A kernel on arrays is used in an ordinary backward pass; when
gradients are recorded (for higher orders) the same formula is written in Tensor instead.
"""

from __future__ import annotations

import math
import sys
from typing import Any, ClassVar

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import driver_of
from rushlight.core.native import LEAST as LEAST_COMPILED, in_dtype, kernels, widened
from rushlight.core.op import Op
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, wrap
from rushlight.dtypes import FLOATS
from rushlight.ops.bits import FORWARD, as_bits, from_bits
from rushlight.ops.sums import LEAST, number, ones


def by_loop(
    name: str,
    x: Any,
    w: Any,
    b: Any,
    eps: float,
    numbers: Any,
    units: Any,
    most: int = LEAST_COMPILED,
    given: Any = None,
) -> Any:
    """[The result, bits of means, bits of scales] of some floats by a loop of
    backends/llvm/norms.py, which says what the numbers are; or None.

    Args:
        units: the shape of the means.
        most: from so many elements on it is None.
        given: means and variances, for "given norm".
    """
    d = x.dtype
    run = None
    if d in FLOATS and 0 < x.size < most:
        run = kernels.runner(name, d, 7, x.size, exact=False)
    for a in (w, b, *(given or ())):
        if a is not None and not (a.dtype is d and a.flags.carray):
            return None
    if run is None:
        return None
    if not x.flags.carray:
        x = np.array(x, order="C")
    out = np.empty(x.shape, d)
    mean, scale = given or (np.empty(units, FORWARD[d]), np.empty(units, FORWARD[d]))
    weight, bias = x if w is None else w, x if b is None else b
    which = w is not None, b is not None
    eps_array = number(eps, dtypes.float64)
    run(x, weight, bias, out, mean, scale, eps_array, *numbers, *which, mean.size)
    return [out, mean, scale]


def gradients_by_loop(
    name: str,
    arrays: Any,
    numbers: Any,
    units: int,
    weights: int,
    most: int,
) -> Any:
    """The gradients of some floats by their array, the weight and the bias by a loop of
    backends/llvm/norm_gradients.py, or None.

    Args:
        arrays: that of the result's gradient, the input's, the weight's or None, the bits of means
            and of scales.
        numbers: as for ``by_loop``.
        weights: how many weights there are.
        most: from so many elements on it is None.
    """
    g, x, w, mean, scale = arrays
    d = x.dtype
    if d not in FLOATS or not 0 < x.size < most or g.dtype is not d or mean.size != units:
        return None
    if w is not None and not (w.dtype is d and w.flags.carray):
        return None
    run = kernels.runner(name, d, 8, x.size, exact=False)
    if run is None:
        return None
    g, x = [a if a.flags.carray else np.array(a, order="C") for a in (g, x)]
    out, gw, gb = np.empty(x.shape, d), np.zeros(weights, d), np.zeros(weights, d)
    weight = x if w is None else w
    run(g, x, weight, mean, scale, out, gw, gb, *numbers, w is not None, units)
    return out, gw, gb


BLOCK = 1 << 15  # elements that a norm works on at a time, so that its steps stay in the cache


def blocks(n: int, width: int) -> list[slice]:
    """Ranges of n rows of ``width`` elements."""
    step = max(1, BLOCK // max(1, width))
    return [slice(i, min(n, i + step)) for i in range(0, n, step)]


def channel_sum(x: np.ndarray) -> np.ndarray:
    """Sums over samples and places of a contiguous (N, C, P)."""
    n, c, p = x.shape
    if p == 1:
        return np.add.reduce(x[:, :, 0], 0)
    return np.add.reduce(x.reshape(n * c, p).dot(np.ones(p, x.dtype)).reshape(n, c), 0)


def channel_dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sums over samples and places of x * y, both contiguous (N, C, P)."""
    if x.shape[2] == 1:
        return np.add.reduce(x[:, :, 0] * y[:, :, 0], 0)
    return np.add.reduce(np.vecdot(x, y), 0)


def flattened(x: np.ndarray) -> np.ndarray:
    """x as a contiguous (N, C, places)."""
    return np.ascontiguousarray(x).reshape(*x.shape[:2], math.prod(x.shape[2:]))


def kept_on_gpu(mean: Tensor, scale: Tensor) -> tuple[Any, Any]:
    """The statistics that ``BatchNorm`` has left on a GPU; None and None where there are none."""
    if state.busy or driver_of(mean) is None:
        return None, None
    return wrap(from_bits(mean._array)), wrap(from_bits(scale._array))


def rows(x: np.ndarray, rank: int) -> np.ndarray:
    """x with its last ``rank`` dims as one, the others as one."""
    if rank == 1 and x.size:
        return np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    return np.ascontiguousarray(x).reshape(
        math.prod(x.shape[: x.ndim - rank]), math.prod(x.shape[x.ndim - rank :])
    )


def flat(w: Any) -> Any:
    """A weight as a vector."""
    return None if w is None else w.reshape(-1)


def normalise_rows(x: Any, w: Any, b: Any, eps: float, center: bool) -> tuple[Any, Any, Any]:
    """``LayerNorm`` of the rows of a matrix; the means and scales are columns."""
    n, k = x.shape
    if x.size < LEAST:
        return few_rows(x, w, b, eps, center)
    count, one = x.dtype.type(k), np.ones(k, x.dtype)
    out, scale = np.empty_like(x), np.empty((n, 1), x.dtype)
    mean = x.dot(one)[:, None] / count if center else np.zeros((1, 1), x.dtype)
    for part in blocks(n, k):
        y = out[part]
        source = np.subtract(x[part], mean[part], y) if center else x[part]
        spread = np.vecdot(source, source)[:, None] / count
        scale[part] = s = 1 / np.sqrt(spread + x.dtype.type(eps))
        np.multiply(source, s, y)
        if w is not None:
            y *= w
        if b is not None:
            y += b
    return out, mean, scale


def few_rows(x: Any, w: Any, b: Any, eps: float, center: bool) -> tuple[Any, Any, Any]:
    """``normalise_rows`` of few elements."""
    k, d = x.shape[1], x.dtype
    count = number(k, d)
    if center:
        mean = x.dot(ones(k, d))
        mean /= count
        mean = mean[:, None]
        y = source = x - mean
    else:
        mean, y, source = np.zeros((1, 1), d), None, x
    scale = np.vecdot(source, source)
    scale /= count
    scale += number(eps, d)
    np.sqrt(scale, scale)
    np.reciprocal(scale, scale)
    scale = scale[:, None]
    y = np.multiply(source, scale, y)
    if w is not None:
        y *= w
    if b is not None:
        y += b
    return y, mean, scale


def row_gradients(
    g: Any, x: Any, w: Any, mean: Any, scale: Any, center: bool, needs: Any
) -> tuple[Any, Any, Any]:
    """Gradients of ``normalise_rows`` by the matrix, the weight and the bias, where needed."""
    n, k = x.shape
    one, many = ones(k, x.dtype), ones(n, x.dtype)
    out, gw = np.empty_like(x) if needs[0] else None, np.zeros(k, x.dtype)
    for part in blocks(n, k):
        y = (x[part] - mean[part] if center else x[part]) * scale[part]
        gy = g[part]
        if needs[1]:
            gw += many[part].dot(gy * y)
        if out is None:
            continue
        if w is not None:
            gy = gy * w
        along = np.vecdot(gy, y)[:, None] / -x.dtype.type(k)
        r = np.multiply(y, along, out[part])
        r += gy
        if center:
            r -= gy.dot(one)[:, None] / x.dtype.type(k)
        r *= scale[part]
    return out, gw, many.dot(g) if needs[2] else None


class RowNorm(Op):
    """``normalise_rows``."""

    compiled = True
    outputs = ("out", "mean", "scale")

    def eager(self, xp, x, w, b, *, eps, center):
        return normalise_rows(x, w, b, eps, center)


class RowNormGrad(Op):
    """``row_gradients``, those that are needed."""

    compiled = True
    variadic = True

    def eager(self, xp, g, x, w, mean, scale, *, center, needs):
        found = row_gradients(g, x, w, mean, scale, center, needs)
        return [r for r, need in zip(found, needs, strict=True) if need]


class LayerNorm(Op):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` over the last ``rank`` dims; without
    ``center``, of ``x / sqrt(mean(x^2) + eps)``.

    Outputs: the result, and the bits of the means (zeros without ``center``) and of
    ``1 / sqrt(var + eps)``.
    """

    outputs = ("out", "mean", "scale")
    label = "NativeLayerNorm"
    public: ClassVar = {"mean": "", "scale": "", "rank": "", "center": "", "eps": ""}

    def eager(self, xp, input, weight, bias, *, rank, eps, center):
        k = input.shape[-1] if rank == 1 else math.prod(input.shape[-rank:])
        numbers, units = (k, 1, k, k, center, 0, 0, 1), (input.size // k if k else 0, 1)
        found = by_loop("row norm", input, weight, bias, eps, numbers, units)
        if found is not None:
            return found
        arrays = rows(widened(input), rank), flat(widened(weight)), flat(widened(bias))
        out, mean, scale = RowNorm.instance.forward(arrays, {"eps": eps, "center": center})
        out = in_dtype(out.reshape(input.shape), input.dtype)
        return out, as_bits(mean), as_bits(scale)

    def grads(self, g, needs, input, weight, mean, scale, params, specs):
        rank = params["rank"]
        if modes.grad:
            return layer_norm_gradients(g[0], input, weight, rank, params["eps"], params["center"])
        if modes.trace is not None or driver_of(input) is not None:
            return LayerNormGrad.bind(g[0], input, weight, **params)
        k = math.prod(specs[0][0][-rank:])
        w = None if weight is None else weight._array
        arrays = g[0]._array, input._array, w, mean._array, scale._array
        numbers = k, 1, k, k, params["center"], 0, 0, 1
        units, most = mean._array.size, RowNormGrad.instance.least
        found = gradients_by_loop("row norm gradient", arrays, numbers, units, k, most)
        if found is not None:
            return [
                wrap(a.reshape(spec[0])) if need else None
                for a, need, spec in zip(found, needs, specs, strict=True)
            ]
        x, gy = rows(widened(input._array), rank), rows(widened(g[0]._array), rank)
        w = flat(widened(w))
        kept = from_bits(mean._array), from_bits(scale._array)
        options = {"center": params["center"], "needs": tuple(needs)}
        found = iter(RowNormGrad.instance.forward((gy, x, w, *kept), options))
        return [
            wrap(in_dtype(next(found).reshape(spec[0]), spec[1])) if need else None
            for need, spec in zip(needs, specs, strict=True)
        ]


class LayerNormGrad(Op):
    """The gradients of ``LayerNorm`` in a captured call, which finds mean and scale again."""

    outputs = ("by_input", "by_weight", "by_bias")

    def eager(self, xp, g, input, weight, *, rank, eps, center):
        x, w = rows(widened(input), rank), flat(widened(weight))
        options = {"eps": eps, "center": center}
        _, mean, scale = RowNorm.instance.forward((x, w, w if center else None), options)
        arrays = rows(widened(g), rank), x, w, mean, scale
        options = {"center": center, "needs": (True, True, True)}
        gx, gw, gb = RowNormGrad.instance.forward(arrays, options)
        shape, dw = input.shape[-rank:], gw.dtype if weight is None else weight.dtype
        sums = [in_dtype(s.reshape(shape), dw) for s in (gw, gb)]
        return in_dtype(gx.reshape(input.shape), input.dtype), *sums


def layer_norm_gradients(
    g: Tensor, x: Tensor, weight: Any, rank: int, eps: float, center: bool
) -> list[Any]:
    """The gradients of LayerNorm, in Tensor."""
    dims, lead = tuple(range(-rank, 0)), tuple(range(x._array.ndim - rank))
    y = x - x.mean(dims, keepdim=True) if center else x
    scale = ((y * y).mean(dims, keepdim=True) + eps).rsqrt()
    y = y * scale
    gy = g if weight is None else g * weight
    gx = gy - y * (gy * y).mean(dims, keepdim=True)
    if center:
        gx = gx - gy.mean(dims, keepdim=True)
    if not lead:
        return [scale * gx, g * y, g]
    return [scale * gx, (g * y).sum(lead), g.sum(lead)]


ALONE = 1 << 18  # elements: more are worth several threads


def groups_of(shape: Any, groups: int) -> tuple[Any, int]:
    """The numbers for ``by_loop`` of (N, C, ...) in groups of channels, and how many units."""
    n, c, *space = shape
    p, per_group = math.prod(space), c // groups
    return (p, per_group, p, per_group * p, True, per_group, 1, c), n * groups


class GroupNorm(Op):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` over ``groups`` of the channels of each
    sample.

    Outputs: the result, and the bits of the means and of ``1 / sqrt(var + eps)``.
    """

    outputs = ("out", "mean", "scale")
    label = "NativeGroupNorm"
    public: ClassVar = {"mean": "", "scale": "", "groups": "group"}
    least = sys.maxsize  # elements: gradients of any number are found by one loop

    def eager(self, xp, input, weight, bias, *, groups, eps):
        n, c, *space = input.shape
        p = math.prod(space)
        numbers, units = groups_of(input.shape, groups)
        found = by_loop("block norm", input, weight, bias, eps, numbers, (units, 1), ALONE)
        if found is not None:
            return found
        arrays = widened(input).reshape(n * groups, -1), None, None
        out, mean, scale = RowNorm.instance.forward(arrays, {"eps": eps, "center": True})
        out = out.reshape(n, c, p)
        if weight is not None:
            out *= widened(weight)[:, None]
        if bias is not None:
            out += widened(bias)[:, None]
        out = in_dtype(out.reshape(input.shape), input.dtype)
        return out, as_bits(mean), as_bits(scale)

    def grads(self, g, needs, input, weight, mean, scale, params, specs):
        if modes.grad:
            return group_norm_gradients(g[0], input, weight, **params)
        if driver_of(input) is not None:
            return GroupNormGrad.bind(g[0], input, weight, **params)
        w = None if weight is None else weight._array
        arrays = g[0]._array, input._array, w, mean._array, scale._array
        numbers, units = groups_of(arrays[1].shape, params["groups"])
        c = arrays[1].shape[1]
        found = gradients_by_loop("block norm gradient", arrays, numbers, units, c, self.least)
        if found is None:
            kept = from_bits(mean._array), from_bits(scale._array)
            found = group_gradients(*arrays[:3], *kept, needs[0])
        return [
            wrap(in_dtype(a.reshape(spec[0]), spec[1])) if need else None
            for a, need, spec in zip(found, needs, specs, strict=True)
        ]


class GroupNormGrad(Op):
    """The gradients of ``GroupNorm`` on a GPU, which finds mean and scale again."""

    outputs = ("by_input", "by_weight", "by_bias")

    def eager(self, xp, g, input, weight, *, groups, eps):
        arrays = widened(input).reshape(input.shape[0] * groups, -1), None, None
        _, mean, scale = RowNorm.instance.forward(arrays, {"eps": eps, "center": True})
        gx, *sums = group_gradients(g, input, weight, mean, scale, True)
        d = input.dtype if weight is None else weight.dtype
        return in_dtype(gx.reshape(input.shape), input.dtype), *[in_dtype(s, d) for s in sums]


def group_gradients(g: Any, x: Any, w: Any, mean: Any, scale: Any, needed: bool) -> list[Any]:
    """The gradients of ``GroupNorm``, by x if that is needed."""
    x, g = flattened(widened(x)), flattened(widened(g))
    rows = x.reshape(mean.size, -1)
    y = ((rows - mean) * scale).reshape(x.shape)
    sums = [channel_dot(g, y), channel_sum(g)]
    if not needed:
        return [None, *sums]
    if w is not None:
        g = g * widened(w)[:, None]
    arrays = g.reshape(rows.shape), rows, None, mean, scale
    options = {"center": True, "needs": (True, False, False)}
    return [*RowNormGrad.instance.forward(arrays, options), *sums]


def group_norm_gradients(g: Tensor, x: Tensor, weight: Any, groups: int, eps: float) -> list[Any]:
    """The gradients of GroupNorm, in Tensor."""
    shape, dims = x.shape, (0, *range(2, x._array.ndim))
    x = x.reshape(shape[0], groups, -1)
    y = x - x.mean(-1, keepdim=True)
    scale = ((y * y).mean(-1, keepdim=True) + eps).rsqrt()
    y = y * scale
    gy = g if weight is None else g * weight.reshape(-1, *[1] * (len(shape) - 2))
    gy = gy.reshape(y.shape)
    gx = gy - gy.mean(-1, keepdim=True) - y * (gy * y).mean(-1, keepdim=True)
    return [(scale * gx).reshape(shape), (g * y.reshape(shape)).sum(dims), g.sum(dims)]
