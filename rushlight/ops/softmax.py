"""Softmax and its logarithm along a dim."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import record_unary
from rushlight.core.native import LEAST as MANY, MIDDLING, in_dtype, kernels, widened
from rushlight.core.op import Op, run
from rushlight.core.state import modes, state
from rushlight.core.tensor import wrap
from rushlight.dtypes import FLOATS
from rushlight.errors import NotSupportedError
from rushlight.ops.sums import LEAST, ones, row_sums


def floating(name: str, x: np.ndarray) -> None:
    """Refuse integers and complex numbers."""
    if x.dtype not in dtypes.FLOATING_TYPES:
        raise NotSupportedError(
            f'"{name}" not implemented for {dtypes.of[x.dtype].name}; it takes floating-point'
            " tensors: convert with .float(), or pass dtype=."
        )


def shifted(name: str, x: np.ndarray, dim: int) -> np.ndarray:
    """A fresh C-contiguous copy of x, at least float32, less its maximum along dim."""
    floating(name, x)
    wide = widened(x)
    if not wide.ndim:
        return np.asarray(wide - wide)
    if not wide.shape[dim]:
        return wide.copy()
    return np.subtract(wide, np.maximum.reduce(wide, dim, None, None, True), order="C")


def few(name: str, x: np.ndarray, dim: int) -> Any:
    """The result for some floats by a loop, or None where NumPy is to find it."""
    if x.dtype not in FLOATS or not x.size or not x.ndim or x.size >= MANY:
        return None
    run = kernels.runner(name, x.dtype, 2, x.size, exact=False)
    if run is None:
        return None
    if not x.flags.carray:
        x = np.array(x, order="C")
    shape, out = x.shape, np.empty(x.shape, x.dtype)
    n = shape[dim]
    inner = 1 if dim == len(shape) - 1 else math.prod(shape[dim + 1 :])
    run(x, out, n, inner, x.size // (n * inner))
    return out


def moderate(x: np.ndarray, limit: float) -> bool:
    """Whether x are few floats between ``-limit`` and ``limit``, which need not be shifted: 30 is
    small enough for their exponentials, 4 for the logarithm of the sum of these.
    """
    if not 0 < x.size < LEAST or x.dtype not in FLOATS or not x.ndim:
        return False
    return x.item(x.argmin()) > -limit and x.item(x.argmax()) < limit


def along_dim(x: np.ndarray, dim: int) -> Any:
    """Sums of floats along a dim, which stays with size 1."""
    if dim == x.ndim - 1 and x.size < LEAST:
        total = x.dot(ones(x.shape[dim], x.dtype)) if x.ndim <= 2 else row_sums(x)
        return total[..., None]
    return np.add.reduce(x, dim, None, None, True)


class OfItsResult(Op, abstract=True):
    """An op of one input along ``dim`` whose gradient reads the result: recorded without detour."""

    def make_bind(self):
        op, eager = self, self.eager

        def bind(a, *, dim):
            x = a._array
            if state.busy or x.dtype not in FLOATS or type(x) is not np.ndarray:
                return run(op, (a,), {"dim": dim})
            if x.size < op.least:
                t = wrap(eager(np, x, dim=dim))
            else:
                t = wrap(op.forward((x,), {"dim": dim}))
            if a._tracked and modes.grad:
                record_unary(op, a, t, {"dim": dim})
            return t

        return bind


class Softmax(OfItsResult):
    """``exp(x)`` scaled to sum to 1 along ``dim``."""

    compiled = True

    def eager(self, xp, input, *, dim):
        e = few("softmax", input, dim)
        if e is not None:
            return e
        if moderate(input, 30):
            e = np.exp(input, order="C")
        else:
            e = shifted("softmax", input, dim)
            np.exp(e, e)
        if e.ndim:
            e /= along_dim(e, dim)
        return in_dtype(e, input.dtype)

    def grad(self, g, out, dim):
        return SoftmaxGrad.bind(g, out, dim=dim)


class SoftmaxGrad(Op):
    """``(g - sum(g * y)) * y``."""

    compiled = True
    least = MIDDLING
    label = "SoftmaxBackward"

    def eager(self, xp, g, y, *, dim):
        d = g.dtype
        g, y = widened(g), widened(y)
        if not g.ndim:
            return np.zeros((), d)
        r = g * y
        r -= y * along_dim(r, dim)
        return in_dtype(r, d)

    def grad_g(self, gg, y, dim):
        return SoftmaxGrad.bind(gg, y, dim=dim)

    def grad_y(self, gg, g, y, dim):
        if not g.ndim:
            return g * 0
        inner = (g * y).sum(dim, keepdim=True)
        return gg * (g - inner) - g * (gg * y).sum(dim, keepdim=True)


class LogSoftmax(OfItsResult):
    """``x - log(sum(exp(x)))`` along ``dim``."""

    compiled = True

    def eager(self, xp, input, *, dim):
        y = few("log softmax", input, dim)
        if y is not None:
            return y
        if moderate(input, 4) and input.shape[dim] > 1:  # of one element it is exactly 0
            return np.subtract(input, np.log(along_dim(np.exp(input), dim)), order="C")
        y = shifted("log_softmax", input, dim)
        if y.ndim:
            y -= np.log(along_dim(np.exp(y), dim))
        return in_dtype(y, input.dtype)

    def grad(self, g, out, dim):
        return LogSoftmaxGrad.bind(g, out, dim=dim)


class LogSoftmaxGrad(Op):
    """``g - exp(y) * sum(g)``."""

    compiled = True
    least = MIDDLING
    label = "LogSoftmaxBackward"

    def eager(self, xp, g, y, *, dim):
        d = g.dtype
        g, y = widened(g), widened(y)
        if not g.ndim:
            return np.zeros((), d)
        r = np.exp(y, order="C")
        r *= along_dim(g, dim)
        np.subtract(g, r, r)
        return in_dtype(r, d)

    def grad_g(self, gg, y, dim):
        if not gg.ndim:
            return gg * 0
        return gg - (gg * y.exp()).sum(dim, keepdim=True)

    def grad_y(self, gg, g, y, dim):
        if not g.ndim:
            return g * 0
        return -gg * y.exp() * g.sum(dim, keepdim=True)
