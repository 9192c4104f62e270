"""Ops of independent elements: broadcasting, promotion of dtypes, and offers to kernels."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from rushlight import dtypes
from rushlight.core.binds import (
    make_binary,
    make_binary_update,
    make_several,
    make_unary,
    make_unary_with_params,
    make_update_by_copy,
)
from rushlight.core.inplace import has_self_overlap
from rushlight.core.native import LEAST, SOME, converted, kernels, without_kernels
from rushlight.core.op import Op, parameters
from rushlight.core.ready import Ready, quick
from rushlight.core.scalar import NUMPY
from rushlight.dtypes import DIFFERENTIABLE, FLOATS, NUMBERS
from rushlight.errors import DTypeError, ShapeError

WHOLE = dtypes.INTEGER_TYPES | {dtypes.bool_}  # of which alone no kernels are made
OTHERS: tuple[Any, ...] = (*dtypes.COMPLEX_TYPES, dtypes.uint8, dtypes.int8, dtypes.int16)


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
    # what computes two arrays without gaps that broadcast, by their shapes and their dtype; None
    # where that is the ufunc
    rows: dict[Any, Any]
    remembered: dict[Any, Any]  # what compute_dtype says of arrays that all have this dtype
    result_dtype: Any = None  # dtypes.to_float, or None: that of the promoted inputs
    out_dtype: Any = None  # of the result, when not the computed one's: np.bool_ for comparisons
    fits = True
    into: Any = None  # ``into(x, **params)`` writes the results of few elements over them
    least = 0  # for ``SOME`` or ``LEAST``
    own_forward: bool  # whether the class has one, which does more
    direct = False  # but nothing that floats of one dtype need

    def plan(self) -> None:
        super().plan()
        self.own_forward = not self._is_plain("forward")
        own = not self._is_plain("eager")
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
        self.remembered, self.ready, self.rows = {}, {}, {}
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
        if not self.own_forward or self.direct:
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
        if x.__class__ is ndarray and (x.size < least or (x.dtype in WHOLE and alike(x, y))):
            return ufunc(x, y)
        return compute(x, y)

    if takes_params(op) or len(op.names) > 2:
        return compute
    return compute_one if len(op.names) == 1 else compute_two


def alike(x: Any, y: Any) -> bool:
    """Whether y is an array of the dtype of x."""
    return y.__class__ is ndarray and y.dtype is x.dtype


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
    """The error for arrays that do not broadcast."""
    return shape_error(name.lower(), [a.shape for a in arrays if isinstance(a, ndarray)])


def shape_error(name: str, shapes: list[tuple[int, ...]]) -> ShapeError:
    """The error for shapes that do not broadcast; names the first dim that clashes."""
    text = " and ".join(str(s) for s in shapes)
    for at in range(1, max(len(s) for s in shapes) + 1):
        sizes = dict.fromkeys(s[-at] for s in shapes if len(s) >= at and s[-at] != 1)
        if len(sizes) > 1:
            a, b = list(sizes)[:2]
            dim = max(len(s) for s in shapes) - at
            return ShapeError(
                f"{name}: shapes {text} cannot be broadcast: the size of tensor a ({a}) must match "
                f"the size of tensor b ({b}) at non-singleton dimension {dim}."
            )
    return ShapeError(f"{name}: shapes {text} do not fit together.")
