"""Normalisation of channels by statistics that are given, as in evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.core.native import LEAST, in_dtype, kernels, widened
from rushlight.core.op import Op
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor, wrap
from rushlight.ops.batch_norm import channels_of
from rushlight.ops.norm import ALONE, by_loop, channel_dot, channel_sum, flattened
from rushlight.ops.sums import number
from rushlight.ops.weighted import Addcmul


class GivenNorm(Op):
    """``(input - mean) / sqrt(var + eps) * weight + bias`` of floats of one dtype, or a half, for
    each channel. The statistics have no gradient.
    """

    label = "NativeBatchNorm"
    keeps_order = True

    def eager(self, xp, input, weight, bias, mean, var, *, eps):
        x, w, b, m, v = [widened(a) for a in (input, weight, bias, mean, var)]
        return in_dtype(affine_of_arrays(x, w, b, m, v, eps), input.dtype)

    def grads(self, g, needs, input, weight, mean, var, params):
        given = g, input, weight, mean, var
        if modes.grad:
            return [*given_norm_gradients(*given, **params), None, None]
        arrays = [None if t is None else widened(t._array) for t in given]
        by_x, by_weight, by_bias = affine_gradients(arrays, needs, **params)
        d, dw = input._array.dtype, (input if weight is None else weight)._array.dtype
        found = ((by_x, d), (by_weight, dw), (by_bias, dw))
        return [*[None if a is None else wrap(in_dtype(a, k)) for a, k in found], None, None]


def affine_of_arrays(x: Any, weight: Any, bias: Any, mean: Any, var: Any, eps: float) -> Any:
    """``GivenNorm`` of arrays, as one product and one sum."""
    numbers, units = channels_of(x.shape)
    found = by_loop("given norm", x, weight, bias, eps, numbers, units, ALONE, (mean, var))
    if found is not None:
        return found[0]
    factor = factor_of(var, eps)
    if weight is not None:
        factor *= weight
    shift = mean * factor
    shift = np.negative(shift, shift) if bias is None else np.subtract(bias, shift, shift)
    at_channels = (..., *[None] * (x.ndim - 2))
    factor, shift = factor[at_channels], shift[at_channels]
    if x.size >= LEAST and kernels.on:
        out = kernels.find(Addcmul.instance, (shift, x, factor), {"value": 1})
        if out is not None:
            return out
    out = x * factor
    out += shift
    return out


def factor_of(var: Any, eps: float) -> Any:
    """``1 / sqrt(var + eps)``, in new memory."""
    factor = var + number(eps, var.dtype)
    np.sqrt(factor, factor)
    return np.reciprocal(factor, factor)


def affine_gradients(given: Any, needs: Any, eps: float) -> tuple[Any, Any, Any]:
    """Gradients of ``affine_of_arrays`` by x, weight and bias; None for those not needed."""
    g, x, weight, mean, var = given
    factor, shape, g = factor_of(var, eps), x.shape, flattened(g)
    by_x = by_weight = by_bias = None
    if needs[1]:
        by_weight = channel_dot(g, flattened(x) - mean[:, None]) * factor
    if needs[2]:
        by_bias = channel_sum(g)
    if needs[0]:
        factor = factor if weight is None else factor * weight
        by_x = (g * factor[:, None]).reshape(shape)
    return by_x, by_weight, by_bias


def given_norm_gradients(
    g: Tensor, x: Tensor, weight: Tensor | None, mean: Tensor, var: Tensor, eps: float
) -> list[Tensor]:
    """The gradients of ``GivenNorm`` by x, weight and bias, in Tensor."""
    dims, shape = (0, *range(2, x._array.ndim)), (1, -1, *[1] * (x._array.ndim - 2))
    factor = (var.detach() + eps).rsqrt().reshape(shape)
    by_weight = (g * ((x - mean.detach().reshape(shape)) * factor)).sum(dims)
    factor = factor if weight is None else factor * weight.reshape(shape)
    return [g * factor, by_weight, g.sum(dims)]
