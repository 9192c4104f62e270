"""Sums, products, powers and what else school calls arithmetic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.binds import NUMBER_FIRST
from rushlight.core.elementwise import OTHERS, Elementwise, as_operand
from rushlight.core.native import LEAST, in_dtype, widened
from rushlight.core.tensor import Tensor
from rushlight.dtypes import COMPLEX_TYPES, NUMBERS
from rushlight.errors import DTypeError, NotSupportedError
from rushlight.ops.copy import expect_fit, zeros_like


def conj(x: Any) -> Any:
    """Complex conjugate; numbers and real tensors are their own."""
    if isinstance(x, Tensor):
        return x.conj() if x._array.dtype in COMPLEX_TYPES else x
    return x.conjugate() if isinstance(x, complex) else x


def refuse_bool_difference(operands: Any) -> None:
    """torch subtracts no truth values, not even from numbers."""
    if any([getattr(a, "dtype", type(a)) in (np.bool_, bool) for a in operands]):
        raise DTypeError(
            "sub: subtraction of bool tensors is not supported; use ^ (logical_xor) or ~ "
            "(logical_not)."
        )


class Add(Elementwise):
    """Sum of ``input`` and ``other``. Shape: broadcast of both."""

    ufunc = np.add

    def scalar(self, s, input, other):
        return input + other

    def grad_input(self, g):
        return g

    def grad_other(self, g):
        return g


class Sub(Elementwise):
    """Difference ``input - other``. Shape: broadcast of both."""

    ufunc = np.subtract
    fast = Elementwise.fast | frozenset(OTHERS)

    def backward_name(self, params):
        return "RsubBackward1" if params is NUMBER_FIRST else "SubBackward0"

    def scalar(self, s, input, other):
        return input - other

    def compute_dtype(self, arrays):
        refuse_bool_difference(arrays)
        return super().compute_dtype(arrays)

    def grad_input(self, g):
        return g

    def grad_other(self, g):
        return -g


class AddScaled(Elementwise):
    """``input + alpha * other``. alpha is a number with no say in the result's dtype, and nothing
    is kept for backward.
    """

    label = "Add"

    def scalar(self, s, input, other, *, alpha):
        return input + other * alpha

    def eager(self, xp, input, other, *, alpha):
        d = (input if isinstance(input, np.ndarray) else other).dtype
        number = np.array(alpha, d) if d in dtypes.FLOATS else as_operand(alpha, d)
        return input + other * number

    def spelled(self, input, other, *, alpha):
        return input + other * alpha

    def grad_input(self, g):
        return g

    def grad_other(self, g, alpha):
        return g * conj(alpha)


class Mul(Elementwise):
    """Product of ``input`` and ``other``. Shape: broadcast of both.

    Example:
        >>> torch.mul(torch.tensor([1, 2, 3]), torch.tensor([2, 2, 0]))
        tensor([2, 4, 0])
    """

    ufunc = np.multiply

    def scalar(self, s, input, other):
        return input * other

    def grad_input(self, g, other):
        return g * conj(other)

    def grad_other(self, g, input):
        return g * conj(input)


class Div(Elementwise):
    """Quotient ``input / other``; integers become the default float. Shape: broadcast of both."""

    ufunc = np.true_divide

    def backward_name(self, params):
        return "MulBackward0" if params is NUMBER_FIRST else "DivBackward0"

    result_dtype = dtypes.to_float

    def scalar(self, s, input, other):
        return input / other

    def grad_input(self, g, other):
        return g / conj(other)

    def grad_other(self, g, input, other):
        return -g * conj((input / other) / other)


class Neg(Elementwise):
    """``-input``.

    Example:
        >>> torch.neg(torch.tensor([1, -2]))
        tensor([-1,  2])
    """

    ufunc = np.negative

    def scalar(self, s, input):
        return -input

    def compute_dtype(self, arrays):
        if arrays[0].dtype == np.bool_:
            raise DTypeError(
                "neg: the - operator is not supported on bool tensors; use ~ or logical_not()."
            )
        return arrays[0].dtype

    def grad(self, g):
        return -g


class Cube(Elementwise):
    """``x x x``, in one go. Shape: ``(*) -> (*)``."""

    least = LEAST

    def scalar(self, s, x):
        return x * x * x


def power(x: Any, p: Any) -> Any:
    """``x ** p`` of floats or complex numbers; NumPy's own is slow for negative bases."""
    if p.__class__ is np.ndarray:
        out = np.asarray(np.power(x, p))
        if p.size == 1 or p.size < out.size or 0 in p.strides:
            half = p == 0.5  # for one exponent NumPy takes the root, of -0 and -inf another number
            if half.any():
                np.copyto(out, 0, where=half & (x == 0))
                np.copyto(out, np.inf, where=half & (x == -np.inf))
        return out
    if not isinstance(x, np.ndarray):
        return np.power(x, p)
    if p == 2:
        return x * x
    if p == 3:
        return Cube.instance.ufunc(x)
    if p == 0.5:
        return np.sqrt(x)
    if p == -0.5 and x.dtype not in dtypes.HALVES:
        return np.reciprocal(np.sqrt(x))
    if p == -1:
        return np.reciprocal(x)
    if x.size < 1024 or x.dtype not in dtypes.FLOATS or p != p // 1:
        return np.power(x, p)
    out = np.power(np.abs(x), p)
    return np.copysign(out, x, out) if p % 2 else out


class Pow(Elementwise):
    """``input ** exponent``. Shape: broadcast of both. Integers to negative powers raise."""

    compiled = False
    ufunc = staticmethod(power)
    fast = dtypes.FLOATS

    def name_of(self, node):
        """By which of the two is a number: the second, none, the first."""
        base, exponent, *_ = node.saved or node.edges
        if exponent is None or exponent.__class__ in NUMBERS:
            return "PowBackward0"
        number = base.__class__ in NUMBERS
        return "PowBackward2" if number else "PowBackward1"

    def scalar(self, s, input, exponent):
        return s.pow(input, exponent)

    def compute_dtype(self, arrays):
        d = super().compute_dtype(arrays)
        if isinstance(arrays[1], int) and arrays[1] < 0 and d in dtypes.INTEGER_TYPES:
            raise DTypeError(
                "pow: Integers to negative integer powers are not allowed; convert the base to a "
                "float first."
            )
        if d is dtypes.bool_:
            raise NotSupportedError(
                "\"pow\" not implemented for 'Bool': a truth value has no powers; convert it first."
            )
        if arrays[1].__class__ in NUMBERS and d not in dtypes.FLOATS | COMPLEX_TYPES:
            expect_fit(arrays[1], d)
        return d

    def forward(self, arrays, params):
        x, p = arrays
        if p.__class__ in NUMBERS and x.dtype in dtypes.HALVES:  # the kernel knows no numbers
            if p == 2:
                return Mul.instance.forward([x, x], params)
            if p in (0.5, -0.5) and x.dtype is dtypes.bfloat16:  # of float16 these are no roots
                root = np.sqrt(widened(x))
                return in_dtype(root if p == 0.5 else np.reciprocal(root), x.dtype)
        return super().forward(arrays, params)

    def eager(self, xp, input, exponent):
        if input.__class__ is not np.ndarray or input.dtype.kind in "iu":
            return self._integers(xp, input, exponent)
        return power(input, exponent)

    def _integers(self, xp: Any, input: Any, exponent: Any) -> Any:
        """Integer powers wrap; to a negative power only 1 and -1 have an integer value, the rest
        give 0 as in torch.
        """
        if not isinstance(input, np.ndarray) and not (
            isinstance(exponent, np.ndarray) and exponent.dtype.kind in "iu"
        ):
            return xp.power(input, exponent)
        exponent = np.asarray(exponent)
        negative = exponent < 0
        if not negative.any():
            return xp.power(input, exponent)
        out = xp.power(input, xp.where(negative, 0, exponent))
        odd = xp.where(exponent % 2 != 0, input, 1)
        return xp.where(
            negative, xp.where(input == 1, 1, xp.where(input == -1, odd, 0)), out
        ).astype(out.dtype)

    def grad_input(self, g, input, exponent):
        if not isinstance(exponent, Tensor):
            if exponent == 0:
                return zeros_like(g)
            if exponent == 2:
                return g * (conj(input) * 2)
            return g * conj(exponent * input ** (exponent - 1))
        return g * conj((exponent * input ** (exponent - 1)).masked_fill(exponent == 0, 0))

    def grad_exponent(self, g, input, exponent, out):
        real = exponent.real if exponent._array.dtype in dtypes.COMPLEX_TYPES else exponent
        if not isinstance(input, Tensor):
            if input == 0:
                return g * conj((out * -math.inf).masked_fill(real >= 0, 0))
            log = np.log(input) if not isinstance(input, complex) and input > 0 else None
            if log is None:
                return g * conj(out * (exponent * 0 + input).log())
            return g * conj(out * float(log))
        zero = (input == 0) & (real >= 0)
        return g * conj((out * input.log()).masked_fill(zero, 0))
