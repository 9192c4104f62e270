"""Choosing between values element by element: where, clamp, relu, signs, and what replaces NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import record
from rushlight.core.elementwise import Elementwise, as_operand, broadcast_error
from rushlight.core.native import LEAST, SOME, in_dtype, kernels
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, fixed_number, wrap
from rushlight.dtypes import NUMBERS
from rushlight.errors import DTypeError, NotSupportedError
from rushlight.formats import copy_in
from rushlight.ops.arithmetic import conj
from rushlight.ops.copy import ORDINARY, expect_fit, zeros_like


class Where(Elementwise):
    """``input`` where ``condition``, else ``other``. Shape: broadcast of the three."""

    def scalar(self, s, condition, input, other):
        return s.where(condition, input, other)

    def forward(self, arrays, params):
        condition, input, other = arrays
        d = dtypes.result_type((input, other))
        for number in (input, other):
            if number.__class__ in NUMBERS and d not in dtypes.HALVES:
                expect_fit(number, d)
        if condition.dtype is not dtypes.bool_:
            if condition.dtype is not dtypes.uint8:
                raise DTypeError(
                    "where expected condition to be a boolean tensor, but got a tensor with dtype "
                    f"{dtypes.of[condition.dtype].name}; compare it first, for example condition "
                    "!= 0."
                )
            condition = condition.astype(np.bool_)
        try:
            if d in dtypes.FLOATS:
                return choose(condition, as_operand(input, d), as_operand(other, d), d)
            return np.where(condition, as_operand_any(input, d), as_operand_any(other, d))
        except ValueError as error:
            raise broadcast_error("where", arrays) from error

    def make_bind(self):
        general = super().make_bind()

        def bind(condition: Any, input: Any, other: Any) -> Any:
            mask = condition._array
            if state.busy or mask.dtype is not dtypes.bool_ or type(mask) is not np.ndarray:
                return general(condition, input, other)
            a = input._array if isinstance(input, Tensor) else input
            b = other._array if isinstance(other, Tensor) else other
            d = a.dtype if a.__class__ is np.ndarray else getattr(b, "dtype", None)
            if d not in dtypes.FLOATS or not (fitting(a, d) and fitting(b, d)):
                return general(condition, input, other)
            try:
                out = choose(mask, a, b, d)
            except ValueError:
                return general(condition, input, other)  # raises with the reason
            t = wrap(out)
            if modes.grad and (
                getattr(input, "_tracked", False) or getattr(other, "_tracked", False)
            ):
                record(self, (condition, input, other), t, {})
            return t

        return bind

    def grad_input(self, g, condition):
        return Where.bind(condition, g, 0)

    def grad_other(self, g, condition):
        return Where.bind(condition, 0, g)


def fitting(a: Any, d: Any) -> bool:
    """Whether a is an array of dtype d, or a number that surely fits that dtype."""
    if a.__class__ is np.ndarray:
        return a.dtype is d
    return a.__class__ in NUMBERS and -ORDINARY < a < ORDINARY  # type: ignore[operator]


BITS = {dtypes.float32: np.dtype("i4"), dtypes.float64: np.dtype("i8")}


def choose(mask: Any, a: Any, b: Any, d: Any) -> Any:
    """``where`` of floats.

    Large ones are picked by their bits: NumPy's own is slow for masks without a pattern.
    """
    if mask.size < 2048 or not (isinstance(a, np.ndarray) or isinstance(b, np.ndarray)):
        if b.__class__ is np.ndarray and mask.shape == b.shape and b.flags.c_contiguous:
            if a.__class__ is not np.ndarray or a.shape == b.shape:
                out = b.copy()
                np.putmask(out, mask, a)
                return out
        out = np.where(mask, a, b)
        return out if out.dtype is d else out.astype(d)
    whole = BITS[d]
    bits = np.negative(mask.view(np.int8))  # 0 or -1: no bits, or all
    if a.__class__ is not np.ndarray and a == 0 and type(a) is int:
        return np.bitwise_and(b.view(whole), np.invert(bits, bits)).view(d)
    if b.__class__ is not np.ndarray and b == 0 and type(b) is int:
        return np.bitwise_and(a.view(whole), bits).view(d)
    a, b = np.asarray(a, d).view(whole), np.asarray(b, d).view(whole)
    out = np.bitwise_and(np.bitwise_xor(a, b), bits)
    return np.asarray(np.bitwise_xor(out, b)).view(d)


def as_operand_any(a: Any, d: Any) -> Any:
    """Array or number as an array of dtype d."""
    a = as_operand(a, d)
    return a if isinstance(a, np.ndarray) else np.asarray(a).astype(d)


WHOLE = frozenset((int, type(None)))


def clamped(x: Any, min: Any, max: Any) -> Any:
    """x limited to bounds, numbers or 0-dim arrays, one of which may be None."""
    if x.size > 1024 and min is not None and max is not None:
        return x.clip(min, max)
    if min is not None:  # NumPy takes twice as long with a Python number
        x = np.maximum(x, np.array(min, x.dtype))
    return x if max is None else np.minimum(x, np.array(max, x.dtype))


def clamp_into(x: Any, min: Any, max: Any) -> None:
    """``clamped`` in the place of x."""
    if min is not None:
        np.maximum(x, np.array(min, x.dtype), out=x)
    if max is not None:
        np.minimum(x, np.array(max, x.dtype), out=x)


class Clamp(Elementwise):
    """``min(max(input, lower), upper)`` for numbers or None; NaN stays.

    Gradient 1 between the bounds, inclusive.
    """

    fast = dtypes.FLOATS
    least = SOME
    ufunc = staticmethod(clamped)
    into = staticmethod(clamp_into)

    def backward_name(self, params):
        return "ClampBackward1"  # that by tensors is 0

    def scalar(self, s, input, *, min, max):
        if min is not None:
            input = s.where(input < min, min, input)
        return input if max is None else s.where(input > max, max, input)

    def spelled(self, input, *, min, max):
        if min != min or max != max:  # nan, which all elements become
            return Clamp.bind(input, min=fixed_number(min), max=fixed_number(max))
        if min is not None:
            input = Where.bind(input < min, min, input)
        return input if max is None else Where.bind(input > max, max, input)

    def forward(self, arrays, params):
        x, low, high = arrays[0], params["min"], params["max"]
        if x.dtype is dtypes.int64 and low.__class__ in WHOLE and high.__class__ in WHOLE:
            try:
                if low is not None and high is not None and x.flags.carray and x.size:
                    run = kernels.runner("limit", x.dtype, 2, x.size)
                    if run is not None:
                        out = np.empty(x.shape, x.dtype)
                        run(x, out, low, high, x.size)
                        return out
                return np.asarray((self.small if x.size < LEAST else self.ufunc)(x, **params))
            except OverflowError:
                pass  # bounds that wrap around
        d = clamp_dtype(x, low, high)
        for bound in (low, high):
            if bound.__class__ in NUMBERS:
                expect_fit(bound, d)
        if d in dtypes.HALVES and x.dtype is d:
            out = self.offer([x], params)
            if out is not None:
                return out
        work = dtypes.float32 if d in dtypes.HALVES else d
        bounds = {k: None if v is None else as_operand(v, work) for k, v in params.items()}
        return in_dtype(np.asarray(self.eager(np, as_operand(x, work), **bounds)), d)

    def grad(self, g, input, min, max):
        inside = input >= min if min is not None else input <= max
        if min is not None and max is not None:
            inside = inside & (input <= max)
        return Where.bind(inside, g, 0)


def clamp_dtype(x: Any, *bounds: Any) -> Any:
    """The dtype of x clamped to bounds; complex and bool have no clamp."""
    d = dtypes.result_type([x, *[b for b in bounds if b is not None]])
    if d in dtypes.COMPLEX_TYPES:
        raise NotSupportedError(
            "clamp is not supported for complex types; complex numbers have no order."
        )
    return d


class ClampMin(Elementwise):
    """The larger of ``input`` and the tensor ``min``.

    Gradient to ``input`` where they are equal.
    """

    label = "Clamp"
    ufunc = np.maximum

    def scalar(self, s, input, min):
        return s.maximum(input, min)

    def compute_dtype(self, arrays):
        return clamp_dtype(*arrays)

    def grad_input(self, g, input, min):
        return Where.bind(input >= min, g, 0)

    def grad_min(self, g, input, min):
        return Where.bind(input < min, g, 0)


class ClampMax(Elementwise):
    """The smaller of ``input`` and the tensor ``max``.

    Gradient to ``input`` where they are equal.
    """

    label = "Clamp"
    ufunc = np.minimum

    def scalar(self, s, input, max):
        return s.minimum(input, max)

    def compute_dtype(self, arrays):
        return clamp_dtype(*arrays)

    def grad_input(self, g, input, max):
        return Where.bind(input <= max, g, 0)

    def grad_max(self, g, input, max):
        return Where.bind(input > max, g, 0)


class ClampBoth(Elementwise):
    """``minimum(maximum(input, min), max)`` for tensors. Shape: broadcast of the three."""

    least = LEAST
    label = "Clamp"

    def scalar(self, s, input, min, max):
        return s.minimum(s.maximum(input, min), max)

    def compute_dtype(self, arrays):
        return clamp_dtype(*arrays)

    def grad_input(self, g, input, min, max):
        return Where.bind((input >= min) & (input <= max), g, 0)

    def grad_min(self, g, input, min, max):
        return Where.bind((min < max) & (input < min), g, 0)

    def grad_max(self, g, input, min, max):
        return Where.bind((input > max) | (max < min), g, 0)


class Abs(Elementwise):
    """Absolute value; of complex numbers the modulus, a real number. Gradient 0 at 0.

    Example:
        >>> torch.abs(torch.tensor([-1.5, 2.0]))
        tensor([1.5000, 2.0000])
    """

    ufunc = np.abs

    def scalar(self, s, input):
        return s.abs(input)

    def grad(self, g, input):
        return g * Sgn.bind(input)


def signs(x: Any) -> Any:
    """The signs of real numbers in their dtype; NaN gives 0."""
    if x.dtype in dtypes.INTEGER_TYPES:
        return np.sign(x)
    if 0 < x.size < 2048:
        out = np.asarray(np.sign(x))
        if out.item(out.argmax()) <= 1:  # nothing is NaN
            return out
    above, below = np.asarray(x > 0), np.asarray(x < 0)
    return np.subtract(above.view(np.int8), below.view(np.int8)).astype(x.dtype)


class Sign(Elementwise):
    """-1, 0 or 1 as the element is negative, zero or positive; NaN gives 0.

    Example:
        >>> torch.sign(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([-1.,  0.,  1.])
    """

    ufunc = staticmethod(signs)
    fast = dtypes.FLOATS
    least = SOME

    def scalar(self, s, input):
        return s.where(input > 0, 1, s.where(input < 0, -1, s.where(input == 0, s.abs(input), 0)))

    def forward(self, arrays, params):
        x = arrays[0]
        if x.dtype in dtypes.COMPLEX_TYPES:
            raise NotSupportedError(
                "sign: unlike NumPy, sign() is not defined for complex tensors; use sgn()."
            )
        if x.dtype is dtypes.bool_:
            return copy_in(x, None)
        return super().forward(arrays, params)

    def grad(self, g):
        return zeros_like(g)


class Sgn(Sign):
    """``input / |input|``, 0 at 0: the sign, for complex numbers too.

    Example:
        >>> torch.sgn(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([-1.,  0.,  1.])
    """

    def forward(self, arrays, params):
        x = arrays[0]
        if x.dtype not in dtypes.COMPLEX_TYPES:
            return super().forward(arrays, params)
        size = np.abs(x)
        return np.where(size == 0, 0, x / np.where(size == 0, 1, size)).astype(x.dtype)

    def grad(self, g, input):
        if input._array.dtype not in dtypes.COMPLEX_TYPES:
            return zeros_like(g)
        size = Abs.bind(input)
        zero = size == 0
        size = Where.bind(zero, 1, size)
        s = input / size
        radial = (
            (g.real * s.real + g.imag * s.imag)
            if g._array.dtype in dtypes.COMPLEX_TYPES
            else g * s.real
        )
        return Where.bind(zero, 0, (g - radial * s) / size)


def replaced(x: Any, nan: float, posinf: float, neginf: float) -> Any:
    """A copy of floats x with finite numbers for what is not finite."""
    out = np.array(x)
    finite = np.isfinite(out)
    if np.count_nonzero(finite) < out.size:
        for mask, number in ((x != x, nan), (x == np.inf, posinf), (x == -np.inf, neginf)):
            np.copyto(out, number, where=mask)
    return out


class NanToNum(Elementwise):
    """NaN, infinity and negative infinity replaced by numbers."""

    fast = dtypes.FLOATS
    ufunc = staticmethod(replaced)

    def scalar(self, s, input, *, nan, posinf, neginf):
        input = s.where(input != input, nan, input)
        return s.where(
            input == float("inf"), posinf, s.where(input == -float("inf"), neginf, input)
        )

    def eager(self, xp, input, *, nan, posinf, neginf):
        if input.dtype in dtypes.COMPLEX_TYPES:
            parts = [
                self.scalar(xp, p, nan=nan, posinf=posinf, neginf=neginf)
                for p in (input.real, input.imag)
            ]
            return (parts[0] + 1j * parts[1]).astype(input.dtype)
        if input.dtype not in dtypes.FLOATS:
            return copy_in(input, None)
        return replaced(input, nan, posinf, neginf)

    def grad(self, g, input):
        return Where.bind(input.isfinite(), g, 0)


class Copysign(Elementwise):
    """``|input|`` with the sign of ``other``; integers become the default float.

    Example:
        >>> torch.copysign(torch.tensor([1.0, 2.0]), torch.tensor([-0.0, 3.0]))
        tensor([-1.,  2.])
    """

    compiled = True
    ufunc = np.copysign
    result_dtype = dtypes.to_float

    def node_name(self, params, specs):
        return "CopysignBackward0" if specs else "CopysignBackward1"  # of a number

    def scalar(self, s, input, other):
        return s.copysign(input, other)

    def grad_input(self, g, input, out):
        return Where.bind(input == 0, 0, g * (out / input))

    def grad_other(self, g):
        return zeros_like(g)


class Heaviside(Elementwise):
    """0 for negative, 1 for positive ``input``, and ``values`` at 0."""

    fast = dtypes.FLOATS

    def scalar(self, s, input, values):
        return s.where(input == 0, values, (input > 0).astype(input.dtype))

    def eager(self, xp, input, values):
        d = getattr(input, "dtype", None) or values.dtype
        if input.__class__ is np.ndarray and d in dtypes.FLOATS and input.ndim:
            out = np.heaviside(input, values)
            if not out.size or out.item(out.argmax()) <= 1:
                return out
        return xp.where(input == 0, values, (input > 0)).astype(d)


class Conj(Elementwise):
    """Complex conjugate, in new memory; real elements are copied."""

    ufunc = np.conjugate
    label = "ConjPhysical"

    def scalar(self, s, input):
        return s.conj(input)

    def forward(self, arrays, params):
        x = arrays[0]
        return np.conjugate(x) if x.dtype in dtypes.COMPLEX_TYPES else copy_in(x, None)

    def grad(self, g):
        return conj(g)


class Angle(Elementwise):
    """``atan2(imag, real)`` in radians; for real elements 0 or pi by sign.

    Example:
        >>> torch.angle(torch.tensor([1j, -1 + 0j]))
        tensor([1.5708, 3.1416])
    """

    fast = frozenset()
    result_dtype = dtypes.to_float

    def scalar(self, s, input):
        return s.atan2(input.imag, input.real)

    def eager(self, xp, input):
        if input.dtype in dtypes.COMPLEX_TYPES:
            return xp.arctan2(input.imag, input.real)
        return xp.where(input < 0, xp.pi, xp.where(xp.isnan(input), input, 0)).astype(input.dtype)

    def grad(self, g, input):
        if input._array.dtype not in dtypes.COMPLEX_TYPES:
            return zeros_like(g)
        square = input.real * input.real + input.imag * input.imag
        zero = square == 0
        return Where.bind(zero, 0, g * (input * 1j) / Where.bind(zero, 1, square))
