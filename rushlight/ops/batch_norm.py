"""Normalisation of channels by the statistics of a batch; its gradients are as in ``norm``."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from rushlight.core.device_array import driver_of
from rushlight.core.elementwise import Elementwise
from rushlight.core.native import in_dtype, widened
from rushlight.core.op import Op
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor, wrap
from rushlight.ops.bits import as_bits, from_bits
from rushlight.ops.norm import (
    blocks,
    by_loop,
    channel_dot,
    channel_sum,
    flattened,
    gradients_by_loop,
    kept_on_gpu,
)
from rushlight.ops.sums import LEAST, number, ones


def normalise_channels(x: Any, w: Any, b: Any, eps: float) -> tuple[Any, Any, Any]:
    """``BatchNorm`` of arrays."""
    shape, x = x.shape, flattened(x)
    n, c, p = x.shape
    if x.size < LEAST:
        return few_channels(x, w, b, eps, shape)
    count = x.dtype.type(n * p)
    mean = channel_sum(x) / count
    squares: Any = 0
    parts = blocks(n, c * p)
    for part in parts:
        y = x[part] - mean[:, None]
        squares = squares + channel_dot(y, y)
    scale = 1 / np.sqrt(squares / count + x.dtype.type(eps))
    factor = scale if w is None else scale * w
    shift = -mean * factor if b is None else b - mean * factor
    out = np.empty_like(x)
    for part in parts:
        y = np.multiply(x[part], factor[:, None], out[part])
        y += shift[:, None]
    return out.reshape(shape), mean, scale


def few_channels(x: Any, w: Any, b: Any, eps: float, shape: Any) -> tuple[Any, Any, Any]:
    """``normalise_channels`` of few elements (N, C, P)."""
    n, _, p = x.shape
    d = x.dtype
    count, samples = number(n * p, d), ones(n, d)
    mean = samples.dot(x[:, :, 0] if p == 1 else x.dot(ones(p, d)))
    mean /= count
    y = x - mean[:, None]
    scale = samples.dot((y * y)[:, :, 0] if p == 1 else np.vecdot(y, y))
    scale /= count
    scale += number(eps, d)
    np.sqrt(scale, scale)
    np.reciprocal(scale, scale)
    y *= (scale if w is None else scale * w)[:, None]
    if b is not None:
        y += b[:, None]
    return y.reshape(shape), mean, scale


def channel_gradients(g: Any, x: Any, w: Any, mean: Any, scale: Any, needed: bool) -> Any:
    """Gradients of ``BatchNorm`` by the input (None unless needed), the weight and the bias."""
    shape, x, g = x.shape, flattened(x), flattened(g)
    n, c, p = x.shape
    slope: Any = 0
    parts = blocks(n, c * p)
    for part in parts:
        slope = slope + channel_dot(g[part], x[part] - mean[:, None])
    slope, total = slope * scale, channel_sum(g)
    if not needed:
        return None, slope, total
    factor = scale if w is None else scale * w
    by_x = -slope * scale * factor / x.dtype.type(n * p)
    rest = -mean * by_x - total * factor / x.dtype.type(n * p)
    out = np.empty_like(x)
    for part in parts:
        y = np.multiply(x[part], by_x[:, None], out[part])
        y += g[part] * factor[:, None]
        y += rest[:, None]
    return out.reshape(shape), slope, total


class ChannelNorm(Op):
    """``normalise_channels`` of (N, C, P)."""

    compiled = True
    outputs = ("out", "mean", "scale")

    def eager(self, xp, x, w, b, *, eps):
        return normalise_channels(x, w, b, eps)

    def outline(self, x, w, b, *, eps):
        return np.empty_like(x), *np.empty((2, x.shape[1]), x.dtype)


class ChannelNormGrad(Op):
    """``channel_gradients`` of (N, C, P): by the input if ``needed``, the weight and the bias."""

    compiled = True
    variadic = True

    def eager(self, xp, g, x, w, mean, scale, *, needed):
        found = channel_gradients(g, x, w, mean, scale, needed)
        return found if needed else found[1:]

    def outline(self, g, x, w, mean, scale, *, needed):
        sums = np.empty((2, x.shape[1]), x.dtype)
        return (np.empty_like(x), *sums) if needed else (*sums,)


def channels_of(shape: Any) -> tuple[Any, Any]:
    """The numbers and units for ``by_loop`` of (N, C, ...)."""
    n, c, *space = shape
    p = math.prod(space)
    return (p, n, c * p, p, True, 1, 0, c), (c,)


class BatchNorm(Op):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` with the statistics of each channel of the
    batch.

    Outputs: the result, and the bits of the means and of ``1 / sqrt(var + eps)``.
    """

    outputs = ("out", "mean", "scale")
    label = "NativeBatchNorm"
    public: ClassVar = {"mean": "", "scale": ""}

    def eager(self, xp, input, weight, bias, *, eps):
        found = by_loop("block norm", input, weight, bias, eps, *channels_of(input.shape))
        if found is not None:
            return found
        arrays = flattened(widened(input)), widened(weight), widened(bias)
        out, mean, scale = ChannelNorm.instance.forward(arrays, {"eps": eps})
        out = in_dtype(out.reshape(input.shape), input.dtype)
        return out, as_bits(mean), as_bits(scale)

    def grads(self, g, needs, input, weight, mean, scale, params):
        if modes.grad:
            return batch_norm_gradients(g[0], input, weight, params["eps"])
        if modes.trace is not None or driver_of(input) is not None:
            kept = kept_on_gpu(mean, scale)
            return BatchNormGrad.bind(g[0], input, weight, *kept, eps=params["eps"])
        w = None if weight is None else weight._array
        arrays = g[0]._array, input._array, w, mean._array, scale._array
        numbers, (c,) = channels_of(arrays[1].shape)
        most = ChannelNormGrad.instance.least
        found = gradients_by_loop("block norm gradient", arrays, numbers, c, c, most)
        if found is None:
            kept = from_bits(mean._array), from_bits(scale._array)
            found = batch_gradients(*arrays[:3], *kept, needs[0])
        return [wrap(a) if need else None for a, need in zip(found, needs, strict=True)]


class BatchNormGrad(Op):
    """The gradients of ``BatchNorm`` on a GPU, and in a captured call, which finds mean and scale
    again.
    """

    outputs = ("by_input", "by_weight", "by_bias")

    def eager(self, xp, g, input, weight, mean, scale, *, eps):
        if mean is None:
            w = widened(weight)  # as the bias, which does not matter here: that kernel is there
            arrays = flattened(widened(input)), w, w
            _, mean, scale = ChannelNorm.instance.forward(arrays, {"eps": eps})
        return batch_gradients(g, input, weight, mean, scale, True)


class BlendVariance(Elementwise):
    """A running variance moved towards that of a batch: ``scale`` is ``1 / sqrt(var + eps)``,
    ``unbiased`` the factor that makes ``var`` unbiased.
    """

    def scalar(self, s, running, scale, *, eps, unbiased, weight):
        variance = (1.0 / (scale * scale) - eps) * unbiased
        return running * (1 - weight) + variance * weight


def batch_gradients(g: Any, x: Any, w: Any, mean: Any, scale: Any, needed: bool) -> list[Any]:
    """The gradients of ``BatchNorm``, by x if that is needed: arrays in the inputs' dtypes."""
    arrays = flattened(widened(g)), flattened(widened(x)), widened(w), mean, scale
    found = ChannelNormGrad.instance.forward(arrays, {"needed": needed})
    gx, gw, gb = found if needed else (None, *found)
    dw = gw.dtype if w is None else w.dtype
    if needed:
        gx = in_dtype(gx.reshape(x.shape), x.dtype)
    return [gx, in_dtype(gw, dw), in_dtype(gb, dw)]


def batch_norm_gradients(g: Tensor, x: Tensor, weight: Any, eps: float) -> list[Any]:
    """The gradients of BatchNorm, in Tensor."""
    dims = (0, *range(2, x._array.ndim))
    shape = (1, -1, *[1] * (x._array.ndim - 2))
    y = x - x.mean(dims, keepdim=True)
    scale = ((y * y).mean(dims, keepdim=True) + eps).rsqrt()
    y = y * scale
    gy = g if weight is None else g * weight.reshape(shape)
    gx = scale * (gy - gy.mean(dims, keepdim=True) - y * (gy * y).mean(dims, keepdim=True))
    return [gx, (g * y).sum(dims), g.sum(dims)]
