"""Scaled dot-product attention."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from rushlight.core.device_array import constant_on
from rushlight.core.native import in_dtype, widened
from rushlight.core.op import Op, packed
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor
from rushlight.ops.matmul import same_dtype
from rushlight.ops.softmax import along_dim, few
from rushlight.ops.sums import LEAST, number


def later(length: int, source: int) -> np.ndarray:
    """True where position i may not look at position j: j > i."""
    return (
        few_later(length, source) if length * source < LEAST else ~np.tri(length, source, 0, bool)
    )


@functools.lru_cache(maxsize=64)
def few_later(length: int, source: int) -> np.ndarray:
    """``later`` for few positions, not to be written to."""
    return ~np.tri(length, source, 0, bool)


def attention_weights(q: Any, k: Any, mask: Any, scale: float, is_causal: bool) -> np.ndarray:
    """``softmax(q k^T scale + mask)``; rows that may look at nothing are zeros."""
    s = np.matmul(q, k.swapaxes(-1, -2))
    s *= number(scale, s.dtype)
    if is_causal:
        np.copyto(s, number(-math.inf, s.dtype), where=later(s.shape[-2], s.shape[-1]))
    if mask is not None:
        if mask.dtype == np.bool_:
            s = np.where(mask, s, s.dtype.type(-np.inf))
        else:
            s = s + mask
    elif s.size:  # every position may look at one
        weights = few("softmax", s, s.ndim - 1)
        if weights is not None:
            return weights
    top = (
        np.maximum.reduce(s, -1, None, None, True)
        if s.shape[-1]
        else np.zeros((*s.shape[:-1], 1), s.dtype)
    )
    if is_causal or mask is not None:
        top[top == number(-math.inf, top.dtype)] = 0
    s -= top
    np.exp(s, s)
    total = along_dim(s, s.ndim - 1)
    if mask is not None:
        total[total == 0] = 1
    s /= total
    return s


class Attention(Op):
    """``softmax(q k^T scale + mask) v``.

    Shape: query ``(*, L, E)``, key ``(*, S, E)``, value ``(*, S, V)``, mask ``(*, L, S)``; result
    ``(*, L, V)``; leading dims broadcast.
    """

    precision = "lower"
    label = "ScaledDotProductFlashAttentionForCpu"
    fits = True
    compiled = True
    laid_out_as = (0,)

    def eager(self, xp, query, key, value, mask, *, scale, is_causal):
        same_dtype("scaled_dot_product_attention", query, key)
        same_dtype("scaled_dot_product_attention", query, value)
        p = attention_weights(widened(query), widened(key), widened(mask), scale, is_causal)
        return in_dtype(packed(np.matmul(p, widened(value))), query.dtype)

    def grads(self, g, needs, query, key, value, mask, scale, is_causal):
        if modes.grad or needs[3]:
            weights = tensor_weights(query, key, mask, scale, is_causal)
            parts = differentiate(g, query, key, value, weights, scale)
        else:
            parts = AttentionGrad.bind(g, query, key, value, mask, scale=scale, is_causal=is_causal)
        return [p if need else None for p, need in zip((*parts, None)[:4], needs, strict=True)]


class AttentionGrad(Op):
    """The gradients of ``Attention`` by query, key and value, from the weights made again: they
    are many, and not kept.
    """

    outputs = ("query", "key", "value")
    compiled = True
    laid_out_as = (1, 2, 3)

    def eager(self, xp, g, query, key, value, mask, *, scale, is_causal):
        gq, q, k, v = (widened(x) for x in (g, query, key, value))
        p = attention_weights(q, k, widened(mask), scale, is_causal)
        made = array_gradients(gq, q, k, v, p, scale)
        return tuple([in_dtype(packed(x), query.dtype) for x in made])


def array_gradients(g: Any, q: Any, k: Any, v: Any, p: Any, scale: float) -> list[Any]:
    """Gradients by query, key and value of arrays."""
    gv = np.matmul(p.swapaxes(-1, -2), g)
    s = np.matmul(g, v.swapaxes(-1, -2))
    s -= np.vecdot(s, p)[..., None]
    s *= p
    s *= s.dtype.type(scale)
    return [np.matmul(s, k), np.matmul(s.swapaxes(-1, -2), q), gv]


def tensor_weights(
    q: Tensor, k: Tensor, mask: Tensor | None, scale: float, is_causal: bool
) -> Tensor:
    """``attention_weights`` in Tensor."""
    s = q.matmul(k.transpose(-1, -2)) * scale
    if is_causal:
        s = s.masked_fill(constant_on(s, later(*s._array.shape[-2:])), float("-inf"))
    if mask is not None:
        s = s.masked_fill(~mask, float("-inf")) if mask._array.dtype == np.bool_ else s + mask
    nothing = s.isneginf().all(-1, keepdim=True)
    return s.masked_fill(nothing, 0.0).softmax(-1).masked_fill(nothing, 0.0)


def differentiate(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, p: Tensor, scale: float
) -> list[Tensor]:
    """``array_gradients`` in Tensor, and that by the mask."""
    s = g.matmul(v.transpose(-1, -2))
    s = (s - (s * p).sum(-1, keepdim=True)) * p
    return [
        s.matmul(k) * scale,
        s.transpose(-1, -2).matmul(q) * scale,
        p.transpose(-1, -2).matmul(g),
        s,
    ]
