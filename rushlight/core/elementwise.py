"""Ops of independent elements: broadcasting, promotion, and their way into memory in place.

``make_...`` are the closures behind ``bind`` and ``update``: the common case, in as few steps as
Python allows, and ``run`` or ``write`` for everything else.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
from numpy import array, asarray, empty, ndarray

from rushlight import dtypes
from rushlight.core.autograd import record
from rushlight.core.inplace import has_self_overlap, write
from rushlight.core.native import LEAST, SOME, converted, kernels, without_kernels
from rushlight.core.op import (
    DIFFERENTIABLE,
    FLOATS,
    NUMBERS,
    Op,
    lone,
    parameters,
    record_binary,
    record_unary,
    run,
)
from rushlight.core.scalar import NUMPY
from rushlight.core.sparse import SparseOperand
from rushlight.core.state import modes, state
from rushlight.core.tensor import UNSHARED, Tensor, blank, no_tensor, wrap, written
from rushlight.errors import DTypeError, ShapeError

REALS = frozenset((float, int))
TRUTH = np.dtype(np.bool_)
OTHERS: tuple[Any, ...] = (*dtypes.COMPLEX_TYPES, dtypes.uint8, dtypes.int8, dtypes.int16)


class Ready:
    """A kernel for arrays of some dtypes and numbers, and what it makes of them.

    Fields: compute, ``f(*elements, out, n)``; write, ``f(*elements, x, x, aside, n)``, where x is
    the first element, of a unit at least; dtype, of the result; unit, most, elements that it does
    at a time and at most.
    """

    __slots__ = ("compute", "write", "dtype", "unit", "most")

    def __init__(self, compute: Any, write: Any, dtype: Any, unit: int, most: int) -> None:
        self.compute, self.write, self.dtype = compute, write, dtype
        self.unit, self.most = unit, most

    def takes(self, x: Any, y: Any) -> bool:
        """Whether an array lies in memory as it has to, and another, unless that is a number."""
        if y.__class__ is not ndarray:
            return bool(x.flags.carray and -EXACT <= y <= EXACT)
        return bool(x.shape == y.shape and x.flags.carray and y.flags.carray)


EXACT = 2**53  # integers up to here are float64 numbers


def quick(op: Elementwise, elements: Any, params: dict[str, Any], into: bool = False) -> Any:
    """What a kernel that is ready makes of contiguous arrays and numbers, or None; ``into``: in
    the first of them.
    """
    first: Any = None
    shape: Any = None
    key: Any = []
    for x in elements:
        if x.__class__ is ndarray:
            if shape is None:
                first, shape = x, x.shape
            elif x.shape != shape:
                return None
            if not x.flags.carray:
                return None
            key.append(x.dtype)
        elif is_number(x):
            key.append(None)
        else:
            return None
    ready: Any
    if params:
        ready, values = ready_for(op.ready, key, params)
        elements = (*elements, *values)
    else:
        ready = op.ready.get(key[0] if len(key) == 1 else (*key,))
    if ready is None or not 0 < first.size <= ready.most:
        return None
    if into and first.dtype is not ready.dtype:
        return None
    n = first.size
    if not into or n < ready.unit:
        out = first if into else empty(shape, ready.dtype)
        ready.compute(*elements, out, n)
        return out
    aside = empty(ready.unit, ready.dtype) if n % ready.unit else first
    ready.write(*elements, first, first, aside, n)
    return first


def is_number(x: Any) -> bool:
    """Whether x is a number that a kernel can take as float64."""
    return x.__class__ in NUMBERS and bool(-EXACT <= x <= EXACT)  # type: ignore[operator]


def ready_for(found: dict[Any, Ready], key: Any, params: dict[str, Any]) -> tuple[Any, Any]:
    """The kernel for arrays of some dtypes and for parameters, and those that it takes."""
    names: list[Any] = []
    values: list[Any] = []
    v: Any
    for name, v in params.items():
        if v is None:
            names.append((name, None))
        elif v.__class__ in REALS and -EXACT <= v <= EXACT:  # type: ignore[operator]
            names.append(name)
            values.append(v)
        else:
            return None, ()
    ready = found.get((*key, *names))
    return (ready, values) if ready is not None else (found.get((*key, *params.items())), ())


class Elementwise(Op, abstract=True):
    """Broadcasting and promoting, defined for one element by ``scalar(s, *elements, **params)``.

    ``s`` supplies the functions (``s.exp``, ``s.where``), so that NumPy and compiled backends read
    the same formula. ``ufunc`` is a faster NumPy callable for arrays of one dtype in ``fast``;
    other dtypes take the general path, halves through float32. Arrays of ``least`` elements are
    offered to a compiled kernel where ``compiled``: by default where the ufunc is not a single one
    of NumPy's, and few are enough (``SOME``) where there is only a formula.
    """

    ufunc: Any = None
    scalar: Any = None
    plain: Any  # what serves all dtypes, without kernels: the ufunc, or an own ``eager``
    compute: Any  # the same, large arrays offered
    small: Any  # the ufunc without the offer
    formulas: dict[Any, Any]  # what computes few elements of some dtypes faster than ``small``
    fast: frozenset[Any] = FLOATS | {dtypes.int64, dtypes.int32}
    # kernels by the dtypes of arrays, None for numbers, and parameters; one alone by its dtype
    ready: dict[Any, Ready]
    remembered: dict[Any, Any]  # what compute_dtype says of arrays that all have this dtype
    result_dtype: Any = None  # dtypes.to_float, or None: that of the promoted inputs
    out_dtype: Any = None  # of the result, when not the computed one's: np.bool_ for comparisons
    fits = True
    into: Any = None  # ``into(x, **params)`` writes the results of few elements over them
    least = 0  # for ``SOME`` or ``LEAST``
    direct = False  # floats of one dtype need nothing of what an own `forward` does

    def plan(self) -> None:
        super().plan()
        own = type(self).eager is not Elementwise.eager
        if self.ufunc is None and own:
            self.ufunc = functools.partial(self.eager, np)
        elif self.ufunc is None:
            self.ufunc = functools.partial(self.scalar, NUMPY)
        self.plain = self.compute = functools.partial(self.eager, np) if own else self.ufunc
        self.small = self.ufunc
        if self.compiled is None:
            self.compiled = not isinstance(self.ufunc, np.ufunc)
        if not self.least:
            self.least = SOME if type(self).ufunc is None else LEAST
        if self.compiled:
            self.compute = offered(self, self.plain)
            self.ufunc = offered(self, self.ufunc) if own else self.compute
        self.remembered, self.ready = {}, {}
        if isinstance(self.ufunc, np.ufunc) and not own and self._is_plain("fast", "forward"):
            self.fast |= self._other_dtypes()
        if self.result_dtype is not None:
            self.fast = self.fast & DIFFERENTIABLE
        self.formulas = {}

    def _is_plain(self, *names: str) -> bool:
        """Whether the class leaves these as they are here."""
        return all([getattr(type(self), name) is getattr(Elementwise, name) for name in names])

    def _other_dtypes(self) -> frozenset[Any]:
        """What the ufunc computes in its own dtype, besides the usual ones."""
        if not self._is_plain("compute_dtype", "out_dtype"):
            return frozenset()
        loops, n = self.ufunc.types, len(self.names)
        return frozenset([d for d in OTHERS if f"{d.char * n}->{d.char}" in loops])

    def compute_dtype(self, arrays: list[Any]) -> Any:
        """The dtype that the inputs are brought to."""
        d = dtypes.result_type(arrays)
        if self.out_dtype is None:
            dtypes.computed_with(type(self).__name__.lower(), d)
        return d if self.result_dtype is None else type(self).result_dtype(d)

    def dtype_for(self, arrays: list[Any]) -> Any:
        """``compute_dtype``, remembered for arrays of one dtype that can be differentiated."""
        d = arrays[0].dtype if arrays[0].__class__ is ndarray else None
        if d not in DIFFERENTIABLE:
            return self.compute_dtype(arrays)
        for a in arrays:
            if a.__class__ is not ndarray or a.dtype is not d:
                return self.compute_dtype(arrays)
        found = self.remembered.get(d)
        if found is None:
            found = self.remembered[d] = self.compute_dtype(arrays)
        return found

    def eager(self, xp: Any, *arrays: Any, **params: Any) -> Any:
        return self.ufunc(*arrays, **params)

    def outline(self, *arrays: Any, **params: Any) -> Any:
        with without_kernels():  # whose finder asks for it
            return self.forward(list(arrays), params)

    def forward(self, arrays: list[Any], params: dict[str, Any]) -> Any:
        d = self.dtype_for(arrays)
        half = d in dtypes.HALVES
        work = dtypes.float32 if half else d
        if half and self.ready and kernels.on and arrays[0].__class__ is ndarray:
            out = quick(self, arrays, params)
            if out is not None:
                return out
        if kernels.on and (half or not all([getattr(a, "dtype", d) is d for a in arrays])):
            out = self.offer(arrays, params)
            if out is not None:
                return out
        if half and self.out_dtype is not None:
            arrays = [as_operand(a, d) for a in arrays]  # 0.1 is compared as the half nearest to it
        try:
            out = self.compute(*[as_operand(a, work) for a in arrays], **params)
        except ValueError as error:
            raise broadcast_error(type(self).__name__, arrays) from error
        except TypeError as error:  # NumPy has no loop for the dtype
            raise DTypeError(
                f"{type(self).__name__.lower()} is not defined for {dtypes.of[d].name} tensors: "
                f"{error}"
            ) from error
        if type(out) is not ndarray:
            out = np.asarray(out)
        if half and out.dtype is dtypes.float32 and self.out_dtype is None:
            return converted(out, d)
        return out

    def offer(self, arrays: list[Any], params: dict[str, Any]) -> Any:
        """The result of a kernel for large operands of any dtypes, or None."""
        half = any([getattr(a, "dtype", None) in dtypes.HALVES for a in arrays])
        if max([getattr(a, "size", 0) for a in arrays]) < (SOME if half else LEAST):
            return None
        return kernels.find(self, arrays, params)

    def make_bind(self) -> Callable[..., Any]:
        has_params = takes_params(self)
        if len(self.names) == 1:
            return make_unary_with_params(self) if has_params else make_unary(self)
        if len(self.names) == 2 and not has_params:
            return make_binary(self)
        if type(self).forward is Elementwise.forward or self.direct:
            return make_several(self)
        return super().make_bind()

    def make_update(self) -> Callable[..., Any]:
        if len(self.names) == 2 and isinstance(self.ufunc, np.ufunc) and self.out_dtype is None:
            return make_binary_update(self)
        return make_update_by_copy(self)


def takes_params(op: Elementwise) -> bool:
    """Whether the formula has keyword parameters."""
    return op.scalar is not None and parameters(op.scalar.__func__)[1]


def offered(op: Elementwise, ufunc: Any) -> Callable[..., Any]:
    """A ufunc that leaves large arrays to a compiled kernel, if there is one."""
    least = op.least

    def compute(x: Any, *others: Any, **params: Any) -> Any:
        many = x.__class__ is ndarray and x.size >= (least if x.dtype in FLOATS else LEAST)
        if many and kernels.on:
            out = quick(op, (x, *others), params)
            if out is None:
                out = kernels.find(op, (x, *others), params)
            if out is not None:
                return out
        return ufunc(x, *others, **params)

    def compute_one(x: Any) -> Any:  # these two spare the packing of arguments
        return ufunc(x) if x.__class__ is ndarray and x.size < least else compute(x)

    def compute_two(x: Any, y: Any) -> Any:
        return ufunc(x, y) if x.__class__ is ndarray and x.size < least else compute(x, y)

    if takes_params(op) or len(op.names) > 2:
        return compute
    return compute_one if len(op.names) == 1 else compute_two


def as_operand(a: Any, d: Any) -> Any:
    """An array or a Python number, ready to meet operands of dtype d."""
    if isinstance(a, ndarray):
        if a.dtype is d:
            return a
        return converted(a, d, "C" if 0 in a.strides and has_self_overlap(a) else "K")
    if d in FLOATS and a.__class__ in NUMBERS:
        return a
    if d in dtypes.INTEGER_TYPES:
        return np.asarray(int(a) & 0xFFFFFFFFFFFFFFFF, np.uint64).astype(d)  # wraps, as C does
    return np.asarray(a).astype(d)


def broadcast_error(name: str, arrays: list[Any]) -> ShapeError:
    """The error for shapes that do not broadcast; names the first dim that clashes."""
    shapes = [a.shape for a in arrays if isinstance(a, ndarray)]
    text = " and ".join(str(s) for s in shapes)
    for at in range(1, max(len(s) for s in shapes) + 1):
        sizes = dict.fromkeys(s[-at] for s in shapes if len(s) >= at and s[-at] != 1)
        if len(sizes) > 1:
            a, b = list(sizes)[:2]
            dim = max(len(s) for s in shapes) - at
            return ShapeError(
                f"{name.lower()}: shapes {text} cannot be broadcast: the size of tensor a ({a}) "
                "must match the size of tensor b "
                f"({b}) at non-singleton dimension {dim}."
            )
    return ShapeError(f"{name.lower()}: shapes {text} do not fit together.")


def operand(b: Any) -> Any:
    """What may stand beside a tensor in arithmetic: a number, a NumPy scalar or array; else
    NotImplemented.
    """
    if isinstance(b, (int, float, complex)):
        return b
    if isinstance(b, np.generic):
        return b.item() if b.dtype != dtypes.bfloat16 else float(b)
    if isinstance(b, ndarray):
        return wrap(b)
    return NotImplemented


def make_unary(op: Elementwise) -> Callable[..., Any]:
    """``bind`` of an elementwise op of one input."""
    ufunc, differentiable, least = op.ufunc, op.differentiable, op.least
    formulas = {d: op.formulas.get(d, op.small) for d in op.fast}
    offering, ready = isinstance(ufunc, FunctionType), op.ready

    def bind(a: Tensor) -> Tensor:
        try:
            x = a._array
        except AttributeError:
            raise no_tensor(type(op).__name__.lower(), a) from None
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
            r = ready.get(d)
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
            raise no_tensor(type(op).__name__.lower(), a) from None
        d = x.dtype
        if state.busy or d not in formulas or type(x) is not ndarray:
            return run(op, (a,), params)
        out = quick(op, (x,), params) if ready and x.size >= least else None
        if out is None:
            out = (formulas[d] if x.size < least else ufunc)(x, **params)
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
        d, arrays, tracked = None, [], False
        for t in inputs:
            if isinstance(t, Tensor):
                x = t._array
                if d is None and x.dtype in fast:
                    d = x.dtype
                if x.dtype is not d:
                    return run(op, inputs, params)
                arrays.append(x)
                tracked = tracked or t._tracked
            elif t.__class__ in NUMBERS:
                arrays.append(t)
            else:
                return run(op, inputs, params)
        if state.busy or d is None:
            return run(op, inputs, params)
        try:
            x = arrays[0]
            few = x.__class__ is ndarray and x.size < least
            out = None if few or not ready else quick(op, arrays, params)
            if out is None:
                if complex in map(type, params.values()):
                    return run(op, inputs, params)
                out = (plain if few else compute)(*arrays, **params)
        except (ValueError, SparseOperand):
            return run(op, inputs, params)  # raises with the reason
        result = wrap(out if out.__class__ is ndarray else asarray(out))
        if tracked and differentiable and modes.grad:
            record(op, inputs, result, params)
        return result

    return bind


SIDE, WIDE = 1 << 7, 1 << 16  # sizes of an array and of results that kernels of rows may be for


def broadcast(op: Elementwise, x: Any, y: Any) -> Any:
    """The result for two arrays of several shapes: of large ones and outer products by a kernel."""
    sizes = x.size, y.size
    outer = sizes[0] * sizes[1] >= WIDE and (sizes[0] in x.shape or sizes[1] in y.shape)
    out = None
    if (max(sizes) >= LEAST or outer) and 1 not in sizes and x.dtype in FLOATS and kernels.on:
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
            elif as_array and x.size >= SIDE and x.shape != y.shape:
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
            a = operand(a)
        if not isinstance(other, Tensor):
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
        and type(op).forward is Elementwise.forward
        and kernels.on
        and r.takes(x, y)
    )


# the params of an elementwise op whose first operand is a number: its node has another name then
NUMBER_FIRST: dict[str, Any] = {}


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
    recorded or shared.
    """
    ufunc, fast = op.ufunc, op.fast
    if ufunc in (np.maximum, np.minimum):  # NumPy wants the word `out` for these

        def ufunc(x: Any, y: Any, out: Any, of: Any = ufunc) -> Any:
            return of(x, y, out=out)

    def update(a: Tensor, other: Any) -> Any:
        if not state.busy and not (a._tracked and modes.grad):
            x = a._array
            if isinstance(other, Tensor):
                y = other._array
                plain = x.dtype is y.dtype and x.dtype in fast and x.base is None and y.base is None
                plain = plain and not (other._tracked and modes.grad)
            elif other.__class__ in NUMBERS and x.dtype in FLOATS:
                y, plain = array(other, x.dtype), x.base is None
            else:
                plain = False
            if plain and type(x) is ndarray:
                try:
                    ufunc(x, y, x)
                except (ValueError, SparseOperand):
                    return write(op, a, (other,), {})  # raises with the reason
                written(a)
                return a
        if not isinstance(other, Tensor):
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
    ufunc, into, least = op.ufunc, op.into, op.least
    # one function of NumPy that may write where it reads
    single = isinstance(ufunc, np.ufunc) and ufunc.nin == 1 and op.out_dtype is None

    def update(a: Tensor, *others: Any, **params: Any) -> Any:
        try:
            x = a._array
        except AttributeError:
            raise no_tensor(f"{type(op).__name__.lower()}_", a) from None
        d = x.dtype
        if state.busy or d not in fast or not lone(a, x):
            return write(op, a, others, params)
        if single and x.flags.writeable:
            ufunc(x, x)
            written(a)
            return a
        if into is not None and not others and x.size < least and x.flags.writeable:
            into(x, **params)
            written(a)
            return a
        arrays = []
        for t in others:
            if isinstance(t, Tensor):
                y = t._array
                if y.dtype is not d or not lone(t, y):
                    return write(op, a, others, params)
                arrays.append(y)
            elif t.__class__ in NUMBERS:
                arrays.append(t)
            else:
                return write(op, a, others, params)
        if compiled and x.size >= least and kernels.on:
            out = quick(op, (x, *arrays), params, True)
            if out is not None or kernels.find(op, (x, *arrays), params, x) is not None:
                written(a)
                return a
        try:
            if x.size > 2 * PIECE and all([flat_like(y, x) for y in (x, *arrays)]):
                stored = write_in_pieces(compute, x, arrays, params)
            else:
                out = (plain if x.size < least else compute)(x, *arrays, **params)
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
