"""The closures behind ``bind`` and ``update`` of elementwise ops: the common case, in as few steps
as Python allows, and ``run`` or ``write`` for everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import array, asarray, empty, ndarray

from rushlight import dtypes
from rushlight.core.autograd import record, record_binary, record_unary
from rushlight.core.inplace import apart, separate, unrecorded, write
from rushlight.core.native import LEAST, kernels
from rushlight.core.op import run, sole
from rushlight.core.ready import Ready, is_number, quick, ready_for
from rushlight.core.refusals import no_array, public_name
from rushlight.core.sparse import SparseOperand
from rushlight.core.state import modes, state
from rushlight.core.tensor import UNSHARED, Tensor, blank, no_tensor, wrap, written
from rushlight.dtypes import DIFFERENTIABLE, FLOATS, NUMBERS, int64

if TYPE_CHECKING:
    from rushlight.core.elementwise import Elementwise

TRUTH = np.dtype(np.bool_)
# the params of an elementwise op whose first operand is a number: its node has another name then
NUMBER_FIRST: dict[str, Any] = {}

NO_NUMBERS = (np.character, np.datetime64, np.timedelta64, np.void)


def operand(b: Any) -> Any:
    """What may stand beside a tensor in arithmetic: a number, a NumPy scalar or array; else
    NotImplemented.
    """
    if isinstance(b, np.generic):  # some of which are floats, too
        if isinstance(b, NO_NUMBERS):
            return NotImplemented
        return b.item() if b.dtype != dtypes.bfloat16 else float(b)
    if isinstance(b, (int, float, complex)):
        return b
    if isinstance(b, ndarray):
        if b.dtype not in dtypes.of:
            b = b.astype(dtypes.from_numpy(b.dtype.newbyteorder("=")).numpy)
        return wrap(b if state.busy else asarray(b))  # what a trace lends is a subclass, and stays
    return NotImplemented


def with_array(x: Tensor, b: Any, divides: bool = False) -> tuple[Tensor, Any]:
    """A tensor and a NumPy array as operands, both of the dtype that NumPy gives their result:
    PyTorch leaves such operations to NumPy.
    """
    y = operand(b)
    if y is NotImplemented or dtypes.bfloat16 in (x._array.dtype, y._array.dtype):
        return x, y
    d = np.result_type(x._array.dtype, y._array.dtype)
    if divides and d.kind in "iub":
        d = np.dtype(np.float64)
    return x.to(dtypes.of[d]), y.to(dtypes.of[d])


def make_unary(op: Elementwise) -> Callable[..., Any]:
    """``bind`` of an elementwise op of one input."""
    ufunc, differentiable, least = op.ufunc, op.differentiable, op.least
    formulas = {d: op.formulas.get(d, op.small) for d in op.fast}
    offering, ready = isinstance(ufunc, FunctionType), op.ready

    def bind(a: Tensor) -> Tensor:
        try:
            x = a._array
        except AttributeError:
            raise no_tensor(public_name(op), a) from None
        d = x.dtype
        if state.busy or d not in formulas or type(x) is not ndarray:
            r = ready.get(d)
            if r is None or state.busy or not quick_half(op, x, x, r):
                return run(op, (a,), {})
            out = empty(x.shape, r.dtype)
            r.compute(x, out, x.size)
        elif not offering:
            out = ufunc(x)
        else:
            r, few = ready.get(d), x.size < LEAST
            if r is not None and few and not x.flags.carray and 0 not in x.strides:
                x = array(x)  # parts of rows, which a kernel made for any order takes longer for
            if r is not None and least <= x.size <= r.most and x.flags.carray:
                out = empty(x.shape, r.dtype)
                r.compute(x, out, x.size)
            else:
                out = formulas[d](x) if x.size < least else ufunc(x)
        t = blank()  # see Note [Written out]
        t._array = out if type(out) is ndarray else asarray(out)
        t._tracked = t._wants_grad = False
        t._node = t._link = t._grad = None
        t._counter = UNSHARED
        if a._tracked and differentiable and modes.grad:
            record_unary(op, a, t)
        return t

    return bind


def is_plain(parameter: Any) -> bool:
    """Whether it is no number of NumPy's and no tensor, which would decide the result's dtype."""
    return not isinstance(parameter, (np.generic, ndarray, Tensor))


def make_unary_with_params(op: Elementwise) -> Callable[..., Any]:
    """``bind`` of an elementwise op of one input and keyword parameters."""
    ufunc, differentiable, least = op.ufunc, op.differentiable, op.least
    formulas = {d: op.formulas.get(d, op.small) for d in op.fast}
    ready = op.ready

    def bind(a: Tensor, **params: Any) -> Tensor:
        try:
            x = a._array
        except AttributeError:
            raise no_tensor(public_name(op), a) from None
        d = x.dtype
        if state.busy or d not in formulas or type(x) is not ndarray:
            return run(op, (a,), params)
        n, out = x.size, None
        if ready and n >= least and x.flags.carray:  # what ``quick`` does
            r, values = ready_for(ready, (d,), params)
            if r is not None and 0 < n <= r.most:
                out = empty(x.shape, r.dtype)
                r.compute(x, *values, out, n)
        if out is None:
            out = (formulas[d] if n < least else ufunc)(x, **params)
        if out.dtype is not d and any([not is_plain(v) for v in params.values()]):
            return bind(a, **{k: v if is_plain(v) else v.item() for k, v in params.items()})
        t = wrap(out if type(out) is ndarray else asarray(out))
        if a._tracked and differentiable and modes.grad:
            record_unary(op, a, t, params)
        return t

    return bind


def make_several(op: Elementwise) -> Callable[..., Any]:
    """``bind`` of an elementwise op of three inputs, or of two and parameters."""
    compute, plain, fast = op.compute, op.plain, op.fast & FLOATS
    differentiable, least, ready = op.differentiable, op.least, op.ready

    def bind(*inputs: Any, **params: Any) -> Any:
        d: Any = None
        shape: Any = None
        arrays: list[Any] = []
        key: list[Any] = []  # of the kernel, which takes arrays that are alike
        alike, tracked = True, False
        for t in inputs:
            if isinstance(t, Tensor):
                x = t._array
                if x.dtype is not d:
                    if d is not None or x.dtype not in fast:
                        return run(op, inputs, params)
                    d, shape = x.dtype, x.shape
                if alike and (x.__class__ is not ndarray or x.shape != shape or not x.flags.carray):
                    alike = False
                tracked = tracked or t._tracked
                arrays.append(x)
                key.append(d)
            elif is_number(t):
                arrays.append(t)
                key.append(None)
            else:
                return run(op, inputs, params)
        if state.busy or d is None:
            return run(op, inputs, params)
        x = arrays[0]
        n = x.size if x.__class__ is ndarray else 0
        r, values = ready_for(ready, key, params) if alike and n >= least else (None, ())
        if r is not None and 0 < n <= r.most:
            result = wrap(empty(shape, r.dtype))
            r.compute(*arrays, *values, result._array, n)
        else:
            try:
                out = None if n < least or not ready else quick(op, arrays, params)
                if out is None:
                    if complex in map(type, params.values()):
                        return run(op, inputs, params)
                    out = (plain if n < least else compute)(*arrays, **params)
            except (ValueError, SparseOperand):
                return run(op, inputs, params)  # raises with the reason
            result = wrap(out if out.__class__ is ndarray else asarray(out))
        if tracked and differentiable and modes.grad:
            record(op, inputs, result, params)
        return result

    return bind


SIDE, WIDE = 1 << 7, LEAST  # sizes of an array and of results that kernels of rows may be for
PLENTY = 1 << 10  # elements of sums and products, once kernels are there: their bits are NumPy's
AS_NUMPY = (np.add, np.subtract, np.multiply, np.divide)


def broadcast(op: Elementwise, x: Any, y: Any) -> Any:
    """The result for two arrays of several shapes: of large ones and outer products by a kernel."""
    rows = op.rows.get((x.shape, y.shape, x.dtype), op)
    if rows is not op and kernels.on and x.flags.carray and y.flags.carray:
        return op.ufunc(x, y) if rows is None else rows((x, y))
    sizes = x.size, y.size
    outer = sizes[0] * sizes[1] >= WIDE and sizes[0] in x.shape and sizes[1] in y.shape
    least = PLENTY if kernels.loaded and op.ufunc in AS_NUMPY else LEAST
    out = None
    if (max(sizes) >= least or outer) and 1 not in sizes and x.dtype in FLOATS and kernels.on:
        out = kernels.find(op, (x, y), {})
    return op.ufunc(x, y) if out is None else out


def make_binary(op: Elementwise, method: str | None = None) -> Callable[..., Any]:
    """``bind`` of an elementwise op of two inputs, the second of which may be a number. As a
    ``method`` it refuses a number as the first.
    """
    ufunc, fast, differentiable = op.ufunc, op.fast, op.differentiable
    as_array = isinstance(ufunc, np.ufunc)  # which takes twice as long with a Python number
    ready, least, compiled = op.ready, op.least, op.compiled

    def bind(a: Any, other: Any) -> Any:
        out: Any
        try:
            x = a._array
        except AttributeError:
            return general(a, other)
        if state.busy:
            return general(a, other)
        d = x.dtype
        if isinstance(other, Tensor):
            y = other._array
            tracked = a._tracked or other._tracked
            if d is not y.dtype or d not in fast:
                r = ready.get((d, d)) if d is y.dtype else None
                if r is None or tracked or not quick_half(op, x, y, r):
                    return run(op, (a, other), {})
                out = empty(x.shape, r.dtype)
                r.compute(x, y, out, x.size)
                return wrap(out)
        elif other.__class__ in NUMBERS:
            if (
                d not in fast
                or (d not in DIFFERENTIABLE and other.__class__ is not int)
                or type(x) is not ndarray
            ):
                return run(op, (a, other), {})
            y, tracked = other, a._tracked
        else:
            return general(a, other)
        try:
            r = ready.get((d, None if y is other else d)) if compiled else None
            if r is not None and least <= x.size <= r.most and r.takes(x, y):
                out = empty(x.shape, r.dtype)
                r.compute(x, y, out, x.size)
            elif y is other:
                out = ufunc(x, array(y, d) if as_array and d is not TRUTH else y)  # 2 is none
            elif as_array and x.shape != y.shape and (x.size >= SIDE or y.size >= SIDE):
                out = broadcast(op, x, y)
            else:
                out = ufunc(x, y)
        except (ValueError, OverflowError, SparseOperand):
            return run(op, (a, other), {})  # raises with the reason
        t = blank()  # see Note [Written out]
        t._array = out if type(out) is ndarray else asarray(out)
        t._tracked = t._wants_grad = False
        t._node = t._link = t._grad = None
        t._counter = UNSHARED
        if tracked and differentiable and modes.grad:
            record_binary(op, a, other, t)
        return t

    def general(a: Any, other: Any) -> Any:
        if not isinstance(a, Tensor):
            if method is not None:
                raise TypeError(f"{method} is a method of tensors, but was given {a!r}")
            a = operand(no_array(op, a))
        if isinstance(other, ndarray) and isinstance(a, Tensor):
            a, other = with_array(a, other, op.result_dtype is not None)
        elif not isinstance(other, Tensor):
            other = operand(other)
        if a is NotImplemented or other is NotImplemented:
            return NotImplemented
        return run(op, (a, other), {})

    return bind


def quick_half(op: Elementwise, x: Any, y: Any, r: Ready) -> bool:
    """Whether a kernel that is ready computes halves, as ``Elementwise.forward`` would."""
    return bool(
        type(x) is ndarray is type(y)
        and x.dtype in dtypes.HALVES
        and 0 < x.size <= r.most
        and not op.own_forward
        and kernels.on
        and r.takes(x, y)
    )


def make_reversed(op: Elementwise) -> Callable[..., Any]:
    """``bind`` for a number on the left: ``2.0 - other``."""
    ufunc, fast, differentiable = op.ufunc, op.fast & DIFFERENTIABLE, op.differentiable
    as_array = isinstance(ufunc, np.ufunc)

    def bind(self: Tensor, other: Any) -> Any:
        y = self._array if isinstance(self, Tensor) else None
        if (
            state.busy
            or y is None
            or other.__class__ not in NUMBERS
            or y.dtype not in fast
            or type(y) is not ndarray
        ):
            if not isinstance(self, Tensor):
                return NotImplemented
            if not isinstance(other, Tensor):
                other = operand(other)
            return (
                NotImplemented if other is NotImplemented else run(op, (other, self), NUMBER_FIRST)
            )
        out = ufunc(array(other, y.dtype) if as_array else other, y)
        t = wrap(out if type(out) is ndarray else asarray(out))
        if self._tracked and differentiable and modes.grad:
            record(op, (other, self), t, NUMBER_FIRST)
        return t

    return bind


def make_binary_update(op: Elementwise) -> Callable[..., Any]:
    """``update`` of an elementwise op of two inputs: writes straight into memory when nothing is
    recorded, and the second shares none with the first.
    """
    ufunc, fast, whole = op.ufunc, op.fast, int64 in op.fast
    if ufunc in (np.maximum, np.minimum):  # NumPy wants the word `out` for these

        def ufunc(x: Any, y: Any, out: Any, of: Any = ufunc) -> Any:
            return of(x, y, out=out)

    def update(a: Tensor, other: Any) -> Any:
        if not state.busy and not (a._tracked and not unrecorded(a)):
            x = a._array
            if isinstance(other, Tensor):
                y = other._array
                plain = x.dtype is y.dtype and x.dtype in fast
                plain = plain and (x.base is None is y.base or x is y or apart(x, y))
                plain = plain and not (other._tracked and not unrecorded(other))
            elif x.dtype in FLOATS or (whole and x.dtype is int64 and other.__class__ is int):
                y, plain = other, other.__class__ in NUMBERS
            else:
                plain = False
            if plain and type(x) is ndarray and (x.base is None or separate(x.shape, x.strides)):
                try:
                    ufunc(x, array(y, x.dtype) if y is other else y, x)
                except (ValueError, OverflowError, SparseOperand):
                    return write(op, a, (other,), {})  # raises with the reason
                written(a)
                return a
        if not isinstance(other, Tensor):
            if isinstance(other, ndarray):
                return NotImplemented  # x += array is x = x + array, as in PyTorch
            other = operand(other)
            if other is NotImplemented:
                return NotImplemented
        return write(op, a, (other,), {})

    return update


def make_update_by_copy(op: Elementwise) -> Callable[..., Any]:
    """``update`` of any other elementwise op: computes, then copies, without detours when nothing
    is recorded or shared.
    """
    compute, plain, fast, compiled = op.compute, op.plain, op.fast & FLOATS, op.compiled
    ufunc, into, least, ready = op.ufunc, op.into, op.least, op.ready
    # one function of NumPy that may write where it reads
    single = isinstance(ufunc, np.ufunc) and ufunc.nin == 1 and op.out_dtype is None

    def update(a: Tensor, *others: Any, **params: Any) -> Any:
        try:
            x = a._array
        except AttributeError:
            raise no_tensor(f"{public_name(op)}_", a) from None
        d = x.dtype
        if state.busy or d not in fast or not sole(a, x):
            return write(op, a, others, params)
        if single and x.flags.writeable:
            ufunc(x, x)
            written(a)
            return a
        if into is not None and not others and x.size < least and x.flags.writeable:
            into(x, **params)
            written(a)
            return a
        n = x.size
        if compiled and not others and n >= least and kernels.on and x.flags.carray:
            r, values = ready_for(ready, (d,), params) if params else (ready.get(d), ())
            if r is not None and r.dtype is d and 0 < n <= r.most:  # what ``quick`` does
                r.overwrite(x, (x,), values, n)
                written(a)
                return a
        arrays = []
        for t in others:
            if isinstance(t, Tensor):
                y = t._array
                if y.dtype is not d or (t._tracked and not unrecorded(t)):
                    return write(op, a, others, params)
                if not (x.base is None is y.base or apart(x, y)):
                    return write(op, a, others, params)
                arrays.append(y)
            elif t.__class__ in NUMBERS:
                arrays.append(t)
            else:
                return write(op, a, others, params)
        if compiled and n >= least and kernels.on:
            out = quick(op, (x, *arrays), params, True)
            if out is not None or kernels.find(op, (x, *arrays), params, x) is not None:
                written(a)
                return a
        try:
            if n > 2 * PIECE and all([flat_like(y, x) for y in (x, *arrays)]):
                stored = write_in_pieces(compute, x, arrays, params)
            else:
                out = (plain if n < least else compute)(x, *arrays, **params)
                stored = out.shape == x.shape and out.dtype is d
                if stored:
                    x[...] = out
            if not stored:
                return write(op, a, others, params)
        except (ValueError, TypeError):
            return write(op, a, others, params)  # raises with the reason
        written(a)
        return a

    return update


PIECE = 1 << 16  # elements whose results stay in the cache until they are written back


def flat_like(y: Any, x: Any) -> bool:
    """Whether y is a number, or lies in memory as x does, without gaps."""
    return type(y) is not ndarray or (y.shape == x.shape and y.flags.c_contiguous)


def write_in_pieces(compute: Any, x: Any, arrays: list[Any], params: dict[str, Any]) -> bool:
    """``x[...] = compute(x, *arrays)``, a piece at a time; False, and nothing is written, if the
    dtypes differ.
    """
    flat = x.reshape(-1)
    others = [y.reshape(-1) if type(y) is ndarray else y for y in arrays]
    for start in range(0, x.size, PIECE):
        part = slice(start, start + PIECE)
        pieces = [y[part] if type(y) is ndarray else y for y in others]
        out = compute(flat[part], *pieces, **params)
        if not start and out.dtype is not x.dtype:
            return False
        flat[part] = out
    return True
