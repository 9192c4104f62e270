"""Copies, casts and constant writes."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np

from rushlight import dtypes
from rushlight.core.inplace import has_self_overlap
from rushlight.core.native import EXCHANGED, LEAST, converted, kernels
from rushlight.core.op import Op
from rushlight.core.state import state
from rushlight.core.tensor import Tensor, constant, fixed_number, moving_number, wrap
from rushlight.dtypes import NUMBERS
from rushlight.errors import DTypeError, ShapeError
from rushlight.formats import copy_in
from rushlight.ops.create import zeros

ORDINARY = 1e38  # numbers up to here fit into all floats
WORDS = {n: np.dtype(f"i{n}") for n in (2, 4, 8)}  # by their bytes


def fill(x: Any, value: Any) -> None:
    """Write a number, which has to fit, into all elements of an array. NumPy's way, which takes
    twice as long for many, writes one by one.
    """
    run, d = None, WORDS.get(x.dtype.itemsize)
    if x.size >= LEAST and d is not None and x.flags.carray:
        run = kernels.runner("fill", d, 2, x.size)
    if run is None:
        x.fill(value)
    else:
        run(x, np.array(value, x.dtype), x.size)


def filler(d: Any, value: Any) -> Any:
    """A number as an array of dtype d, truncated to it; one that is out of its range raises."""
    if d in dtypes.FLOATS and value.__class__ in NUMBERS and abs(value) < ORDINARY:  # type: ignore[arg-type]
        return np.array(value, d)
    expect_fit(value, d)
    if d in dtypes.INTEGER_TYPES and isinstance(value, int):
        return np.asarray(value & 0xFFFFFFFFFFFFFFFF, np.uint64).astype(d)
    return cast_array(np.asarray(value), d)


def expect_fit(value: Any, d: Any) -> None:
    """Refuse what is no number, or is out of the range of dtype d."""
    if not hasattr(value, "real"):
        raise TypeError(f"expected a number, not {type(value).__name__}, but got {value!r}")
    if value.__class__ is int and not -(2**63) <= value < 2**64:
        raise OverflowError(f"int too big to convert: {value} needs more than 64 bits")
    if not fits(value, d):
        raise DTypeError(
            f"value cannot be converted to type {dtypes.of[d].name} without overflow: it is "
            f"{value!r}."
        )


def expect_factor(value: Any, d: Any) -> None:
    """``expect_fit`` of a number to compute with. One of another class than Python's may be another
    in later calls of what is traced, which a look at it would end.
    """
    if value.__class__ in NUMBERS or value.__class__ is complex:
        expect_fit(value, d)


def filling(value: Any, d: Any) -> Any:
    """A number, which may be another in later calls of what is traced, as a 0-dim tensor of dtype
    d; one that is out of its range raises.
    """
    number = moving_number(value, d, fills=True)
    return constant(filler(d, fixed_number(value))) if number is None else number


def fits(value: Any, d: Any) -> bool:
    """Whether a number is in the range of dtype d. Infinities and nan are in that of floats,
    everything in that of bool; integers below zero wrap around in types without sign.
    """
    if isinstance(value, complex) and d not in dtypes.COMPLEX_TYPES:
        return d == np.bool_ or value.imag == 0
    if d in dtypes.INTEGER_TYPES:
        low, high = dtypes.integer_range(d)
        if isinstance(value, float):
            return low <= value <= high
        return (low or -high) <= value <= high
    if d in dtypes.COMPLEX_TYPES:
        part = dtypes.float32 if d.itemsize == 8 else dtypes.float64
        return fits(value.real, part) and fits(value.imag, part)
    if d in dtypes.FLOATING_TYPES and math.isfinite(value.real):
        return abs(value.real) <= float(ml_dtypes.finfo(d).max)
    return True


def zeros_like(g: Tensor) -> Tensor:
    """The gradient of an old value that was overwritten."""
    return zeros(g._array.shape, g._array.dtype, g)


class Clone(Op):
    """A copy that stays in the graph. Keeps the input's layout, except that expanded memory becomes
    contiguous.
    """

    def eager(self, xp, input, *, memory_format=None):
        return copy_in(input, memory_format)

    def grad(self, g):
        return g


class Contiguous(Op):
    """A C-contiguous copy."""

    label = "Clone"

    def eager(self, xp, input):
        shape = input.shape
        if input.size >= LEAST and len(shape) > 1 and input.__class__ is np.ndarray:
            if 1 < shape[-1] <= SHORT < shape[-2]:  # NumPy takes long for each row
                out = np.empty(shape, input.dtype)
                for j in range(shape[-1]):
                    out[..., j] = input[..., j]
                return out
        return xp.array(input, order="C", copy=True)

    def grad(self, g):
        return g


SHORT = 8  # elements of rows that are copied column by column
SATURATED = {dtypes.by_name["float8_e4m3fn"].numpy: 448.0}  # without infinity: torch's stay finite
# what floats become first on their way to other integers
WRAPPING = {d: dtypes.int32 for d in dtypes.INTEGER_TYPES if d.itemsize < 4}
WRAPPING[np.dtype(np.uint32)] = dtypes.int64


def cast_array(x: Any, d: Any) -> Any:
    """x as dtype d: complex to real drops the imaginary part, floats out of range wrap as int32 or
    int64 do, anything nonzero is True.
    """
    if x.dtype in dtypes.COMPLEX_TYPES and d not in dtypes.COMPLEX_TYPES and d is not dtypes.bool_:
        x = x.real
    order: Any = "C" if has_self_overlap(x) else "K"  # expanded memory becomes contiguous
    if x.dtype in dtypes.FLOATING_TYPES and d in WRAPPING:
        x = converted(x, WRAPPING[d], order)  # what does not fit wraps, as torch's does
    if d in SATURATED:
        x = x.astype(dtypes.float32, order).clip(-SATURATED[d], SATURATED[d])
    return converted(x, d, order)


# what NumPy converts to, as torch does, from all but complex numbers
PLAIN = frozenset((*dtypes.FLOATS, dtypes.int32, dtypes.int64, dtypes.bool_))


class Cast(Op):
    """``input`` converted to another dtype."""

    label = "ToCopy"

    def make_bind(self):
        general = super().make_bind()

        def bind(a: Tensor, *, dtype: Any) -> Tensor:
            x = a._array if isinstance(a, Tensor) else None
            if state.busy or x.__class__ is not np.ndarray or a._tracked:
                return general(a, dtype=dtype)
            if dtype in EXCHANGED and x.dtype in EXCHANGED:
                return wrap(converted(x, dtype))
            if x.size >= LEAST:
                return general(a, dtype=dtype)
            if dtype not in PLAIN or x.dtype.kind == "c" or not x.flags.c_contiguous:
                return general(a, dtype=dtype)
            return wrap(x.astype(dtype))

        return bind

    def eager(self, xp, input, *, dtype):
        return cast_array(input, dtype)

    def grad(self, g, input_spec):
        return Cast.bind(g, dtype=input_spec[1])


class Copy(Op):
    """``input.copy_(src)``: src broadcast and converted into input's memory."""

    label = "CopyBackwards"
    overlap = "itself"
    fits = True

    def backward_name(self, params):
        return "CopyBackwards"

    def eager(self, xp, input, src):
        out = np.empty_like(input)
        self.store(out, [src], {})
        return out

    def store(self, x, others, params):
        src = others[0]
        if not isinstance(src, np.ndarray):
            src = np.asarray(src)
        if src.ndim > x.ndim:
            raise copy_error(src.shape, x.shape)
        if src.dtype is not x.dtype:
            src = cast_array(src, x.dtype)
        try:
            x[...] = src
        except ValueError as error:
            if "broadcast" not in str(error):
                raise
            raise copy_error(src.shape, x.shape) from error

    def grad_input(self, g):
        return zeros_like(g)

    def grad_src(self, g):
        return g


def copy_error(src: tuple[int, ...], x: tuple[int, ...]) -> ShapeError:
    """The error for a source that does not broadcast to its target."""
    return ShapeError(
        f"copy_: The expanded size of the tensor must match: a source of shape {src} does not "
        f"broadcast to {x}. "
        "Reshape one of them."
    )


class Fill(Op):
    """Every element becomes ``value``, a number."""

    overlap = "any"

    def eager(self, xp, input, *, value):
        out = np.empty_like(input)
        self.store(out, [], {"value": value})
        return out

    def spelled(self, input, *, value):
        return filling(value, input._array.dtype).expand(input.shape)

    def store(self, x, others, params):
        value = params["value"]
        if x.dtype in dtypes.FLOATS and value.__class__ in NUMBERS:
            if abs(value) < ORDINARY:  # type: ignore[arg-type]
                fill(x, value)
                return
        x[...] = filler(x.dtype, value)

    def grad(self, g):
        return zeros_like(g)
