"""Running sums and products along a dim."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.op import Op
from rushlight.core.tensor import Tensor
from rushlight.ops.join import Cat
from rushlight.ops.reduce import narrowed, widened
from rushlight.ops.select import Where


def accumulate(ufunc: Any, input: Any, dim: int) -> Any:
    """``ufunc`` along ``dim``, integers as int64, halves through float32."""
    d = input.dtype
    out = ufunc.accumulate(widened(input), dim, None if d in dtypes.DIFFERENTIABLE else np.int64)
    return narrowed(out, d if d in dtypes.HALVES else out.dtype)


class Cumsum(Op):
    """``out[i] = input[0] + ... + input[i]`` along ``dim``; with ``reverse`` from the end."""

    def eager(self, xp, input, *, dim, reverse=False):
        if reverse:
            return np.ascontiguousarray(np.flip(accumulate(np.add, np.flip(input, dim), dim), dim))
        return accumulate(np.add, input, dim)

    def grad(self, g, dim, params):
        return Cumsum.bind(g, dim=dim, reverse=not params.get("reverse", False))


class Cumprod(Op):
    """``out[i] = input[0] * ... * input[i]`` along ``dim``."""

    def eager(self, xp, input, *, dim):
        return accumulate(np.multiply, input, dim)

    def grad(self, g, input, out, dim):
        if input._array.all():
            return Cumsum.bind(g * out.conj(), dim=dim, reverse=True) / input.conj()
        return cumprod_gradient(g, input.conj(), dim)


def cumprod_gradient(g: Tensor, x: Tensor, dim: int) -> Tensor:
    """Without dividing: the product before i, times ``r[i] = g[i] + x[i + 1] * r[i + 1]``."""
    n = x._array.shape[dim]
    before = [x.narrow(dim, 0, 1).detach() * 0 + 1]
    for i in range(n - 1):
        before.append(before[-1] * x.narrow(dim, i, 1))
    after = [g.narrow(dim, n - 1, 1)]
    for i in range(n - 2, -1, -1):
        after.append(g.narrow(dim, i, 1) + x.narrow(dim, i + 1, 1) * after[-1])
    return Cat.bind(*before, dim=dim) * Cat.bind(*after[::-1], dim=dim)  # type: ignore[no-any-return]


class Logcumsumexp(Op):
    """``out[i] = log(exp(input[0]) + ... + exp(input[i]))`` along ``dim`` without overflow."""

    def eager(self, xp, input, *, dim):
        if input.dtype in dtypes.COMPLEX_TYPES:
            return complex_logcumsumexp(input, dim)
        return narrowed(np.logaddexp.accumulate(widened(input), dim), input.dtype)

    def grad(self, g, input, out, dim):
        if g._array.dtype in dtypes.COMPLEX_TYPES:
            return Cumsum.bind(g * (-out).exp().conj(), dim=dim, reverse=True) * input.exp().conj()
        return _log_gradient(g, input, out, dim) - _log_gradient(-g, input, out, dim)


def _log_gradient(g: Tensor, x: Tensor, out: Tensor, dim: int) -> Tensor:
    """The part of the gradient that comes from positive g, with exponents added before exp."""
    log = Where.bind(g > 0, Where.bind(g > 0, g, 1).log(), -float("inf"))
    return (Logcumsumexp.bind((log - out).flip(dim), dim=dim).flip(dim) + x).exp()  # type: ignore[no-any-return]


def complex_logcumsumexp(x: Any, dim: int) -> Any:
    """Of complex numbers: sums scaled by the largest real part so far, one step at a time."""
    out = np.empty(x.shape, x.dtype)
    rows, results = np.moveaxis(x, dim, 0), np.moveaxis(out, dim, 0)
    for i, row in enumerate(rows):
        results[i] = row if not i else log_add_exp(results[i - 1], row)
    return out


def log_add_exp(a: Any, b: Any) -> Any:
    """``log(exp(a) + exp(b))`` of complex numbers."""
    top = np.maximum(a.real, b.real)
    top = np.where(np.isfinite(top), top, 0)
    return top + np.log(np.exp(a - top) + np.exp(b - top))
