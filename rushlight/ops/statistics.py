"""Reductions that measure spread and size: variance, logsumexp, norms."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.native import LEAST, MIDDLING, kernels, widened
from rushlight.core.op import Op
from rushlight.core.reduction import Reduction
from rushlight.core.tensor import Tensor
from rushlight.errors import DTypeError
from rushlight.ops.reduce import Mean, Sum, Summing, count_of, kept, largest, narrowed, remaining
from rushlight.ops.sums import number, ones, summed


class Variance(Summing, abstract=True):
    """What ``Var`` and ``Std`` share.

    ``correction``: subtracted from the number of elements before dividing.
    """

    compiled = True
    least = MIDDLING

    def variance(self, input: Any, dim: Any, keepdim: bool, correction: float) -> Any:
        """The variance in at least float32, of each slice over ``dim``."""
        if input.dtype not in dtypes.DIFFERENTIABLE:
            raise DTypeError(
                "std and var only support floating point and complex dtypes, but got "
                f"{dtypes.of[input.dtype].name}."
            )
        wide = widened(input)
        n = count_of(input.shape, dim)
        if wide.dtype is dtypes.float32 and wide.size < FEW:  # exact enough to need no more
            run = run_of(wide.shape, dim, keepdim)
            if run is not None and n > correction and wide.size:
                *sizes, shape = run
                return few_variances(wide.reshape(*sizes), correction).reshape(shape)
            off = wide.astype(np.float64)
            off -= np.add.reduce(off, dim, None, None, True) / n
            off *= off
            return np.add.reduce(off, dim, None, None, keepdim) / max(n - correction, 0)
        off = wide - summed(wide, dim, None, None, True) / n
        # What the mean's rounding adds to every element; without it equal values have no variance.
        rest = abs(summed(off, dim, None, None, keepdim)) ** 2 / n
        if wide.dtype in dtypes.COMPLEX_TYPES:
            square = off.real**2 + off.imag**2
        elif dim is None and not keepdim:
            flat = off.ravel("K")
            return np.maximum(flat.dot(flat) - rest, 0) / max(n - correction, 0)
        else:
            square = np.multiply(off, off, off)
        total = summed(square, dim, None, None, keepdim) - rest
        return np.maximum(total, 0) / max(n - correction, 0)


FEW = 2048  # elements whose spread is found in float64, one after another


@functools.lru_cache(maxsize=256)
def run_of(shape: tuple[int, ...], dim: Any, keepdim: bool) -> Any:
    """How many elements lie before, in and behind the dims that are reduced, and the result's
    shape; None where those dims are no neighbours.
    """
    dims = range(len(shape)) if dim is None else sorted(dim)
    start, stop = (dims[0], dims[-1] + 1) if dims else (0, 0)
    if len(dims) != stop - start:
        return None
    before, inside, behind = shape[:start], shape[start:stop], shape[stop:]
    kept = before + (1,) * len(inside) * keepdim + behind
    return math.prod(before), math.prod(inside), math.prod(behind), kept


def few_variances(x: Any, correction: float) -> Any:
    """The variances, in float64, along the middle dim of few float32."""
    off, n = x.astype(np.float64), x.shape[1]
    off -= np.add.accumulate(off, 1)[:, n - 1 :] / number(n, dtypes.float64)
    off *= off
    return np.add.accumulate(off, 1)[:, n - 1] / number(n - correction, dtypes.float64)


def spread(kind: str, x: Any, dim: Any, keepdim: bool, correction: float) -> Any:
    """The same, or square roots of it, by a loop, in float32; None where it is not for that."""
    plain = x.__class__ is np.ndarray and x.dtype is dtypes.float32
    run = run_of(x.shape, dim, keepdim) if plain and 0 < x.size < FEW else None
    if run is None:
        return None
    rows, n, inner, shape = run
    loop = kernels.runner(kind, x.dtype, 3, x.size) if n > correction else None
    if loop is None or not x.flags.c_contiguous:
        return None
    out = np.empty(shape, x.dtype)
    loop(x, out, number(n - correction, dtypes.float64), n, inner, rows)
    return out


class Var(Variance):
    """``sum(|input - mean| ** 2) / (n - correction)`` over ``dim``."""

    def eager(self, xp, input, *, dim, keepdim, correction):
        found = spread("variance", input, dim, keepdim, correction)
        if found is not None:
            return found
        return narrowed(
            self.variance(input, dim, keepdim, correction),
            dtypes.REAL_OF.get(input.dtype, input.dtype),
        )

    def grad(self, g, input, dim, keepdim, correction):
        return var_gradient(kept(g, input._array.shape, dim, keepdim), input, dim, correction)


class Std(Variance):
    """Square root of the variance over ``dim``."""

    def eager(self, xp, input, *, dim, keepdim, correction):
        found = spread("deviation", input, dim, keepdim, correction)
        if found is not None:
            return found
        return narrowed(
            np.sqrt(self.variance(input, dim, keepdim, correction)),
            dtypes.REAL_OF.get(input.dtype, input.dtype),
        )

    def grad(self, g, input, out, dim, keepdim, correction):
        g = (g / (out * 2)).masked_fill(out == 0, 0)
        return var_gradient(kept(g, input._array.shape, dim, keepdim), input, dim, correction)


def var_gradient(g: Tensor, x: Tensor, dim: Any, correction: float) -> Tensor:
    """The gradient of the variance; g with the reduced dims in place."""
    n = count_of(x._array.shape, dim) - correction
    return g * (x - Mean.bind(x, dim, True)) * (2 / n if n > 0 else math.inf)


class Logsumexp(Reduction):
    """``log(sum(exp(input)))`` over ``dim`` without overflow."""

    def eager(self, xp, input, *, dim, keepdim):
        wide = widened(input)
        if not input.size:
            return narrowed(np.log(summed(np.exp(wide), dim, None, None, keepdim)), input.dtype)
        top = largest(wide.real, dim, None, None, True)
        top = np.where(np.isinf(top), 0, top)
        out = np.log(summed(np.exp(wide - top), dim, None, None, True)) + top
        return narrowed(
            out if keepdim else out.reshape(remaining(input.shape, dim)),
            input.dtype,
        )

    def grad(self, g, input, out, dim, keepdim):
        shape = input._array.shape
        return kept(g, shape, dim, keepdim) * (input - kept(out, shape, dim, keepdim)).exp().conj()


class VectorNorm(Reduction):
    """``sum(|input| ** ord) ** (1 / ord)`` over ``dim``; the extreme for infinite ord, the count of
    nonzeros for 0.
    """

    label = "LinalgVectorNorm"

    def eager(self, xp, input, *, dim, keepdim, ord):
        d = input.dtype
        if dim is None and not keepdim and d in dtypes.FLOATS and 2 < ord < math.inf:
            powers = np.power(np.abs(input), number(ord, d))
            powers = powers if powers.ndim == 1 else powers.ravel()
            few = powers.size < LEAST
            total = powers.dot(ones(powers.size, d)) if few else summed(powers)
            return np.array(float(total) ** (1 / ord), d)
        input = widened(input)
        if ord == 2 and input.dtype in dtypes.FLOATS:
            if dim is None and not keepdim:
                flat = input.ravel("K")
                root = np.sqrt(flat.dot(flat))
                return root if root.dtype is d else narrowed(root, d)
            at = input.ndim - len(dim or ())  # where the last dims begin
            if dim and input.size and input.flags.c_contiguous and dim == (*range(at, input.ndim),):
                rows = input.reshape(*input.shape[:at], -1)
                total = np.vecdot(rows, rows)
                total = total[(..., *[None] * len(dim))] if keepdim else total
                return narrowed(np.sqrt(total), d)
            return narrowed(np.sqrt(summed(input * input, dim, None, None, keepdim)), d)
        size = np.abs(input)
        return narrowed(vector_norm(size, dim, keepdim, ord), dtypes.REAL_OF.get(d, d))

    def grad(self, g, input, out, dim, keepdim, ord):
        shape = input._array.shape
        return vector_norm_gradient(
            kept(g, shape, dim, keepdim), input, kept(out, shape, dim, keepdim), dim, ord
        )


def vector_norm(size: Any, dim: Any, keepdim: bool, ord: float) -> Any:
    """The norm from absolute values."""
    if ord == 2:
        return np.sqrt(summed(size * size, dim, None, None, keepdim))
    if ord == 1:
        return summed(size, dim, None, None, keepdim)
    if ord == 0:
        return summed(size != 0, dim, size.dtype, None, keepdim)
    if math.isinf(ord):
        reducer, start = (np.maximum, 0) if ord > 0 else (np.minimum, math.inf)
        return reducer.reduce(size, dim, None, None, keepdim, start)
    powers = np.power(size, number(ord, size.dtype))
    total = np.asarray(summed(powers, dim, None, None, keepdim))
    return np.power(total, number(1 / ord, total.dtype), total)


def vector_norm_gradient(g: Tensor, x: Tensor, norm: Tensor, dim: Any, ord: float) -> Tensor:
    """The gradient of ``VectorNorm``; g and norm with the reduced dims in place."""
    if ord == 0:
        return x * 0
    if ord == 1:
        return g * x.sgn()
    if ord == 2:
        return g * (x / norm).masked_fill(norm == 0, 0)
    size = x.abs()
    if math.isinf(ord):
        mask = ((size == norm) | (size.isnan() & norm.isnan())).to(g.dtype)
        return x.sgn() * (g / Sum.bind(mask, dim, True) * mask)
    if ord < 1:
        return (x.sgn() * size ** (ord - 1)).masked_fill(x == 0, 0) * g * norm ** (1 - ord)
    scale = (g / norm ** (ord - 1)).masked_fill(norm == 0, 0)
    if ord < 2:
        return x.sgn() * size ** (ord - 1) * scale
    return x * size ** (ord - 2) * scale


class Hash(Op):
    """Exclusive or over ``dim`` of the bits of elements, as float64 or int64; uint64."""

    def eager(self, xp, input, *, dim, keepdim):
        wide = dtypes.float64 if input.dtype in dtypes.FLOATING_TYPES else dtypes.int64
        bits = np.ascontiguousarray(input.astype(wide)).view(np.uint64).reshape(input.shape)
        return np.asarray(np.bitwise_xor.reduce(bits, axis=dim, keepdims=keepdim))
