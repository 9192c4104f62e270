"""Running sums and products along a dim."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import unseen
from rushlight.core.native import MIDDLING, in_dtype, kernels, widened
from rushlight.core.op import Op, packed
from rushlight.core.tensor import Tensor
from rushlight.ops.join import Cat
from rushlight.ops.select import Where

SHORT = 128  # terms
FEW = 4096  # elements up to which blocks of a sum do not pay


def accumulate(ufunc: Any, input: Any, dim: int) -> Any:
    """``ufunc`` along ``dim``: integers as int64, floats through float64, so that long runs keep
    their digits.
    """
    d = input.dtype
    if d in dtypes.HALVES:
        return in_dtype(accumulate(ufunc, widened(input), dim), d)
    whole = d not in dtypes.DIFFERENTIABLE
    if (whole or d in dtypes.FLOATS) and input.size:
        wide, name = dtypes.int64 if whole else d, "sum" if ufunc is np.add else "product"
        loop = kernels.runner(name, wide, 3, input.size)
        if loop is not None:
            return scanned(loop, input.astype(wide, copy=False), dim, None)
    if whole:
        return packed(ufunc.accumulate(input, dim, np.int64))
    wider = np.complex128 if d in dtypes.COMPLEX_TYPES else np.float64
    return ufunc.accumulate(packed(input), dim, wider).astype(d, copy=False)


def scanned(loop: Any, x: Any, dim: int, places: Any, carried: int = 1) -> Any:
    """What a loop over elements along a dim leaves at each, see serial.Scan. ``places``: where it
    found extremes; None for sums, of which it carries so many numbers on.
    """
    x = np.ascontiguousarray(x)
    shape = x.shape
    n, inner = shape[dim], 1 if dim == len(shape) - 1 else math.prod(shape[dim + 1 :])
    out = np.empty(shape, x.dtype)
    third = np.empty(carried * inner, np.float64) if places is None else places
    loop(x, out, third, n, inner, x.size // (n * inner))
    return out


def running_sum(x: Any, dim: int) -> Any:
    """``np.add.accumulate``; large float arrays in blocks, by products with a triangle of ones.

    That is three times faster, and the sums of blocks are carried on in float64.
    """
    d = x.dtype
    if x.size < FEW:
        return accumulate(np.add, x, dim)
    n, size = x.shape[dim], 16 if dim == x.ndim - 1 else 32
    by_loop = d in dtypes.FLOATS and x.size >= MIDDLING and kernels.on
    if by_loop or n < 4 * size or d not in dtypes.FLOATS:
        return accumulate(np.add, x, dim)
    inner, whole = math.prod(x.shape[dim + 1 :]), n - n % size
    rows = np.ascontiguousarray(x).reshape(-1, n, inner)
    parts = within_blocks(rows[:, :whole].reshape(-1, whole // size, size, inner))
    carried = np.add.accumulate(parts[:, :, -1], 1, np.float64)
    if not np.isfinite(carried[:, -1]).all():  # zero times infinity spoiled its whole block
        return accumulate(np.add, x, dim)
    parts[:, 1:] += carried[:, :-1, None].astype(d)
    out = parts.reshape(-1, whole, inner)
    if whole < n:
        rest = np.add.accumulate(rows[:, whole:], 1) + carried[:, -1:].astype(d)
        out = np.concatenate([out, rest], 1)
    return out.reshape(x.shape)


def within_blocks(parts: Any) -> Any:
    """Running sums along dim 2 of (O, k, size, I)."""
    size, inner = parts.shape[2:]
    ones = triangle(size, parts.dtype)
    if inner == 1:
        return (parts.reshape(-1, size) @ ones).reshape(parts.shape)
    return ones.T @ parts


@functools.lru_cache(maxsize=8)
def triangle(n: int, d: Any) -> Any:
    """Ones on and above the diagonal, not to be written to."""
    return np.triu(np.ones((n, n), d))


class Running(Op, abstract=True):
    """What carries a value along a dim. A kernel, which is made for one shape, pays for short rows;
    long ones have a loop for all shapes that is as fast.
    """

    compiled = True

    def forward(self, arrays, params):
        x = arrays[0]
        if x.size < self.least or (x.ndim and x.shape[params["dim"]] > SHORT):
            return self.eager(np, x, **params)
        return super().forward(arrays, params)


class Cumsum(Running):
    """``out[i] = input[0] + ... + input[i]`` along ``dim``; with ``reverse`` from the end."""

    def eager(self, xp, input, *, dim, reverse=False):
        if reverse:
            return np.ascontiguousarray(np.flip(running_sum(np.flip(input, dim), dim), dim))
        return running_sum(input, dim)

    def grad(self, g, dim, params):
        return Cumsum.bind(g, dim=dim, reverse=not params.get("reverse", False))


class Cumprod(Running):
    """``out[i] = input[0] * ... * input[i]`` along ``dim``."""

    def eager(self, xp, input, *, dim):
        return accumulate(np.multiply, input, dim)

    def grad(self, g, input, out, dim):
        if input._array.shape[dim] <= 1:
            return g
        if not unseen(input) and input._array.all():
            return Cumsum.bind(g * out.conj(), dim=dim, reverse=True) / input.conj()
        return cumprod_gradient(g, input.conj(), dim)


def cumprod_gradient(g: Tensor, x: Tensor, dim: int) -> Tensor:
    """Without dividing: the product before i, times ``r[i] = g[i] + x[i + 1] * r[i + 1]``."""
    n = x._array.shape[dim]
    one = x.narrow(dim, 0, 1).detach() * 0 + 1
    before = Cumprod.bind(Cat.bind(one, x.narrow(dim, 0, n - 1), dim=dim), dim=dim)
    return before * Recurrence.bind(g, x.narrow(dim, 1, n - 1), dim=dim)


class Recurrence(Op):
    """``out[i] = input[i] + factor[i] * out[i + 1]`` along ``dim``, from the end; factor is one
    shorter.
    """

    compiled = True

    def eager(self, xp, input, factor, *, dim):
        out = input.copy()
        r, a = np.moveaxis(out, dim, 0), np.moveaxis(factor, dim, 0)
        for i in range(len(r) - 2, -1, -1):
            r[i] += a[i] * r[i + 1]
        return out

    def grad_input(self, g, factor, dim):
        return Recurrence.bind(g.flip(dim), factor.conj().flip(dim), dim=dim).flip(dim)

    def grad_factor(self, g, factor, out, dim):
        n = out._array.shape[dim] - 1
        back = Recurrence.bind(g.flip(dim), factor.conj().flip(dim), dim=dim).flip(dim)
        return back.narrow(dim, 0, n) * out.narrow(dim, 1, n).conj()


class Logcumsumexp(Op):
    """``out[i] = log(exp(input[0]) + ... + exp(input[i]))`` along ``dim`` without overflow."""

    def eager(self, xp, input, *, dim):
        if input.dtype in dtypes.COMPLEX_TYPES:
            return complex_logcumsumexp(input, dim)
        return in_dtype(running_logsumexp(widened(input), dim), input.dtype)

    def grad(self, g, input, out, dim):
        n = out._array.shape[dim] - 1
        if n < 0:
            return g
        step = safe_exp(out.narrow(dim, 0, n), out.narrow(dim, 1, n)).conj()  # at most 1 in size
        return Recurrence.bind(g, step, dim=dim) * safe_exp(input, out).conj()


def safe_exp(a: Tensor, b: Tensor) -> Tensor:
    """``exp(a - b)``, 0 where a is -inf."""
    zero = a.real == -float("inf") if a._array.dtype in dtypes.COMPLEX_TYPES else a == -float("inf")
    return Where.bind(zero, 0, (Where.bind(zero, 0, a) - Where.bind(zero, 0, b)).exp())


def running_logsumexp(x: Any, dim: int) -> Any:
    """Of real numbers, in float64: in narrower types a long sum stops growing too early."""
    if x.dtype in dtypes.FLOATS and x.size:
        loop = kernels.runner("log sum", x.dtype, 3, x.size, exact=False)
        if loop is not None:
            return scanned(loop, x, dim, None, carried=2)
    return np.logaddexp.accumulate(x.astype(dtypes.float64), dim).astype(x.dtype)


def complex_logcumsumexp(x: Any, dim: int) -> Any:
    """Of complex numbers: one step at a time."""
    out = np.empty(x.shape, x.dtype)
    rows, results = np.moveaxis(x, dim, 0), np.moveaxis(out, dim, 0)
    for i, row in enumerate(rows):
        results[i] = row if not i else log_add_exp(results[i - 1], row)
    return out


def log_add_exp(a: Any, b: Any) -> Any:
    """``log(exp(a) + exp(b))`` of complex numbers, on the branch of the one with the larger real
    part.
    """
    swap = a.real < b.real
    top, low = np.where(swap, b, a), np.where(swap, a, b)
    return np.where(low.real == -np.inf, top, top + np.log1p(np.exp(low - top)))
