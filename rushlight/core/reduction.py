"""Ops that make few elements of many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy import asarray, empty, ndarray

from rushlight.core.autograd import record_unary
from rushlight.core.op import Op, packed, run
from rushlight.core.state import modes, state
from rushlight.core.tensor import UNSHARED, Tensor, blank
from rushlight.dtypes import FLOATS


class Reduction(Op, abstract=True):
    """Over ``dim`` (a tuple of dims, or None for all), which stay as size 1 when ``keepdim``.

    ``reducer(x, axis, dtype, out, keepdims)`` is the NumPy reduction for dtypes in ``fast``.
    """

    tells_size = True
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
            params = {"dim": dim, "keepdim": keepdim}
            if state.busy or type(x) is not ndarray or (a._tracked and d not in fast):
                return run(op, (a,), params)
            if d not in fast:
                try:
                    out = op.forward((x,), params)
                except (ValueError, TypeError):
                    return run(op, (a,), params)  # raises with the reason
            elif compiled and x.size >= op.least:
                out = op.forward((x,), params)
            elif dim is None and not keepdim:
                out = reducer(x, None, None, empty((), d))  # cheaper than to wrap a NumPy scalar
            else:
                out = reducer(x, dim, None, None, keepdim)
                if type(out) is not ndarray or not out.flags.c_contiguous:
                    out = packed(out)
            if type(out) is not ndarray:
                out = asarray(out)
            t = blank()  # see Note [Written out]
            t._array = out
            t._tracked = t._wants_grad = False
            t._node = t._link = t._grad = None
            t._counter = UNSHARED
            if a._tracked and differentiable and modes.grad:
                record_unary(op, a, t, params)
            return t

        return bind
