"""Ops that make few elements of many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy import empty, ndarray

from rushlight.core.autograd import record_unary
from rushlight.core.op import Op, packed, run
from rushlight.core.state import modes, state
from rushlight.core.tensor import UNSHARED, Tensor, blank
from rushlight.dtypes import FLOATS


class Reduction(Op, abstract=True):
    """Over ``dim`` (a tuple of dims, or None for all), which stay as size 1 when ``keepdim``.

    ``reducer(x, axis, dtype, out, keepdims)`` is the NumPy reduction for dtypes in ``fast``.
    """

    reducer: Any = None
    fast: frozenset[Any] = FLOATS

    def make_bind(self) -> Callable[..., Any]:
        op, reducer, fast, differentiable = self, self.reducer, self.fast, self.differentiable
        compiled = self.compiled
        if reducer is None:
            return super().make_bind()

        def bind(a: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
            x = a._array
            d = x.dtype
            if state.busy or d not in fast or type(x) is not ndarray:
                return run(op, (a,), {"dim": dim, "keepdim": keepdim})
            if compiled and x.size >= op.least:
                out = op.forward((x,), {"dim": dim, "keepdim": keepdim})
            elif dim is None and not keepdim:
                out = reducer(x, None, None, empty((), d))  # cheaper than to wrap a NumPy scalar
            else:
                out = reducer(x, dim, None, None, keepdim)
                if type(out) is not ndarray or not out.flags.c_contiguous:
                    out = packed(out)
            t = blank()  # see Note [Written out]
            t._array = out
            t._tracked = t._wants_grad = False
            t._node = t._link = t._grad = None
            t._counter = UNSHARED
            if a._tracked and differentiable and modes.grad:
                record_unary(op, a, t, {"dim": dim, "keepdim": keepdim})
            return t

        return bind
