"""Normalisation: batches, layers, and the root mean square.

The gradients come in two forms. A kernel on arrays is used in an ordinary backward pass; when
gradients are recorded (for higher orders)
the same formula is written in Tensor instead.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.op import Op
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor, wrap
from rushlight.ops.bits import as_bits, from_bits


def wide(x: Any) -> Any:
    """Halves as float32."""
    return x.astype(dtypes.float32) if x is not None and x.dtype in dtypes.HALVES else x


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


def column(v: np.ndarray) -> np.ndarray:
    """Values of channels, to broadcast over (N, C, P)."""
    return v[:, None]


class BatchNorm(Op):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` with the statistics of each channel of the
    batch.

    Outputs: the result, and the bits of the means and of ``1 / sqrt(var + eps)``.
    """

    outputs = ("out", "mean", "scale")
    label = "NativeBatchNorm"

    def eager(self, xp, input, weight, bias, *, eps):
        x, w, b = flattened(wide(input)), wide(weight), wide(bias)
        count = x.dtype.type(x.shape[0] * x.shape[2])
        mean = channel_sum(x) / count
        y = x - column(mean)
        scale = 1 / np.sqrt(channel_dot(y, y) / count + x.dtype.type(eps))
        y *= column(scale if w is None else scale * w)
        if b is not None:
            y += column(b)
        return y.reshape(input.shape).astype(input.dtype, copy=False), as_bits(mean), as_bits(scale)

    def grads(self, g, needs, input, weight, mean, scale, params):
        if modes.grad or modes.trace is not None:
            return batch_norm_gradients(g[0], input, weight, params["eps"])
        x, gy = flattened(wide(input._array)), flattened(wide(g[0]._array))
        w, mean, scale = (
            None if weight is None else wide(weight._array),
            from_bits(mean._array),
            from_bits(scale._array),
        )
        count = x.dtype.type(x.shape[0] * x.shape[2])
        total = channel_sum(gy)
        y = x - column(mean)
        slope = channel_dot(gy, y) * scale  # the weight's gradient
        gx = None
        if needs[0]:
            factor = scale if w is None else scale * w
            y *= column(-slope * scale * factor / count)
            y += gy * column(factor)
            y -= column(total * factor / count)
            gx = wrap(y.reshape(input._array.shape).astype(input._array.dtype, copy=False))
        d = None if weight is None else weight._array.dtype
        return [
            gx,
            wrap(slope.astype(d)) if needs[1] else None,
            wrap(total.astype(d or total.dtype)) if needs[2] else None,
        ]


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


def rows(x: np.ndarray, rank: int) -> np.ndarray:
    """x with its last ``rank`` dims as one, the others as one."""
    return np.ascontiguousarray(x).reshape(
        math.prod(x.shape[: x.ndim - rank]), math.prod(x.shape[x.ndim - rank :])
    )


class LayerNorm(Op):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` over the last ``rank`` dims; without
    ``center``, of ``x / sqrt(mean(x^2) + eps)``.

    Outputs: the result, and the bits of the means (zeros without ``center``) and of
    ``1 / sqrt(var + eps)``.
    """

    outputs = ("out", "mean", "scale")
    label = "NativeLayerNorm"

    def eager(self, xp, input, weight, bias, *, rank, eps, center):
        x, w, b = rows(wide(input), rank), wide(weight), wide(bias)
        count = x.dtype.type(x.shape[1])
        if center:
            mean = np.add.reduce(x, 1, None, None, True) / count
            y = x - mean
        else:
            mean, y = np.zeros((1, 1), x.dtype), x
        scale = 1 / np.sqrt(np.vecdot(y, y)[:, None] / count + x.dtype.type(eps))
        y = np.multiply(y, scale, y if center else None)
        if w is not None:
            y *= w.reshape(-1)
        if b is not None:
            y += b.reshape(-1)
        return y.reshape(input.shape).astype(input.dtype, copy=False), as_bits(mean), as_bits(scale)

    def grads(self, g, needs, input, weight, mean, scale, params, specs):
        rank = params["rank"]
        if modes.grad or modes.trace is not None:
            return layer_norm_gradients(g[0], input, weight, rank, params["eps"], params["center"])
        x, gy = rows(wide(input._array), rank), rows(wide(g[0]._array), rank)
        mean, scale = from_bits(mean._array), from_bits(scale._array)
        y = x - mean if params["center"] else x
        y = y * scale
        gw = gb = gx = None
        if needs[1]:
            gw = wrap(
                np.einsum("ij,ij->j", gy, y).reshape(specs[1][0]).astype(specs[1][1], copy=False)
            )
        if needs[2]:
            gb = wrap(np.add.reduce(gy, 0).reshape(specs[2][0]).astype(specs[2][1], copy=False))
        if needs[0]:
            count = x.dtype.type(x.shape[1])
            if weight is not None:
                gy = gy * wide(weight._array).reshape(-1)
            y *= np.vecdot(gy, y)[:, None] / -count
            y += gy
            if params["center"]:
                y -= np.add.reduce(gy, 1, None, None, True) / count
            y *= scale
            gx = wrap(y.reshape(input._array.shape).astype(input._array.dtype, copy=False))
        return [gx, gw, gb]


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
