"""Comparisons, logic, bits, and the larger or smaller of two."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.elementwise import Elementwise
from rushlight.core.native import LEAST
from rushlight.core.refusals import TITLES
from rushlight.errors import NotSupportedError
from rushlight.ops.select import Where

PLAIN = dtypes.FLOATS | dtypes.INTEGER_TYPES | {dtypes.bool_}  # what NumPy compares without help
INTEGRAL = dtypes.INTEGER_TYPES | {dtypes.bool_}


def unsupported(op: Any, d: Any, advice: str) -> NotSupportedError:
    """The error for an element type that an op is not defined for."""
    name = dtypes.of[d].name
    return NotSupportedError(
        f"\"{op.spelling()}\" not implemented for '{TITLES.get(name, name)}': {advice}"
    )


class Ordered(Elementwise, abstract=True):
    """Needs an order, which complex numbers do not have."""

    fast = PLAIN

    def spelling(self) -> str:
        """How messages call the op."""
        return type(self).__name__.lower()

    def compute_dtype(self, arrays):
        d = super().compute_dtype(arrays)
        if d in dtypes.COMPLEX_TYPES:
            raise unsupported(self, d, "complex numbers have no order; compare abs() or real.")
        return d


class Eq(Elementwise):
    """Whether ``input == other``, as bool. Shape: broadcast of both.

    Example:
        >>> torch.eq(torch.tensor([1, 2]), torch.tensor(2))
        tensor([False,  True])
    """

    ufunc, fast, out_dtype = np.equal, PLAIN, np.bool_

    def scalar(self, s, input, other):
        return input == other


class Ne(Elementwise):
    """Whether ``input != other``, as bool. Shape: broadcast of both.

    Example:
        >>> torch.ne(torch.tensor([1, 2]), torch.tensor(2))
        tensor([ True, False])
    """

    ufunc, fast, out_dtype = np.not_equal, PLAIN, np.bool_

    def scalar(self, s, input, other):
        return input != other


class Lt(Ordered):
    """Whether ``input < other``, as bool. Shape: broadcast of both.

    Example:
        >>> torch.lt(torch.tensor([1, 2, 3]), torch.tensor(2))
        tensor([ True, False, False])
    """

    ufunc, out_dtype = np.less, np.bool_

    def scalar(self, s, input, other):
        return input < other


class Le(Ordered):
    """Whether ``input <= other``, as bool. Shape: broadcast of both.

    Example:
        >>> torch.le(torch.tensor([1, 2, 3]), torch.tensor(2))
        tensor([ True,  True, False])
    """

    ufunc, out_dtype = np.less_equal, np.bool_

    def scalar(self, s, input, other):
        return input <= other


class Gt(Ordered):
    """Whether ``input > other``, as bool. Shape: broadcast of both.

    Example:
        >>> torch.gt(torch.tensor([1, 2, 3]), torch.tensor(2))
        tensor([False, False,  True])
    """

    ufunc, out_dtype = np.greater, np.bool_

    def scalar(self, s, input, other):
        return input > other


class Ge(Ordered):
    """Whether ``input >= other``, as bool. Shape: broadcast of both.

    Example:
        >>> torch.ge(torch.tensor([1, 2, 3]), torch.tensor(2))
        tensor([False,  True,  True])
    """

    ufunc, out_dtype = np.greater_equal, np.bool_

    def scalar(self, s, input, other):
        return input >= other


class LogicalAnd(Elementwise):
    """Whether both are nonzero. Shape: broadcast of both.

    Example:
        >>> torch.logical_and(torch.tensor([0, 1, 2]), torch.tensor([1, 0, 3]))
        tensor([False, False,  True])
    """

    compiled = True
    ufunc, fast, out_dtype = np.logical_and, PLAIN, np.bool_

    def scalar(self, s, input, other):
        return s.logical_and(input, other)


class LogicalOr(Elementwise):
    """Whether one or both are nonzero. Shape: broadcast of both.

    Example:
        >>> torch.logical_or(torch.tensor([0, 1, 0]), torch.tensor([1, 0, 0]))
        tensor([ True,  True, False])
    """

    compiled = True
    ufunc, fast, out_dtype = np.logical_or, PLAIN, np.bool_

    def scalar(self, s, input, other):
        return s.logical_or(input, other)


class LogicalXor(Elementwise):
    """Whether exactly one is nonzero. Shape: broadcast of both.

    Example:
        >>> torch.logical_xor(torch.tensor([0, 1, 2]), torch.tensor([1, 0, 3]))
        tensor([ True,  True, False])
    """

    compiled = True
    ufunc, fast, out_dtype = np.logical_xor, PLAIN, np.bool_

    def scalar(self, s, input, other):
        return (input != 0) != (other != 0)


class LogicalNot(Elementwise):
    """Whether ``input`` is zero.

    Example:
        >>> torch.logical_not(torch.tensor([0, 1, 2]))
        tensor([ True, False, False])
    """

    compiled = True
    ufunc, fast, out_dtype = np.logical_not, PLAIN, np.bool_

    def scalar(self, s, input):
        return input == 0


class Bits(Elementwise, abstract=True):
    """On the bits of integers; on bool as logic."""

    fast = INTEGRAL
    spell = ""

    def spelling(self) -> str:
        """How messages call the op."""
        return self.spell

    def compute_dtype(self, arrays):
        d = super().compute_dtype(arrays)
        if d not in INTEGRAL:
            raise unsupported(
                self, d, "bits are defined for integers and bool; convert the tensor first."
            )
        return d


class Shift(Bits, abstract=True):
    """On the bits of integers alone."""

    fast = dtypes.INTEGER_TYPES

    def compute_dtype(self, arrays):
        d = super().compute_dtype(arrays)
        if d is dtypes.bool_:
            raise unsupported(self, d, "a truth value has no bits to shift; convert it first.")
        return d


class BitwiseAnd(Bits):
    """Bits set in both; for bool the logical and. Shape: broadcast of both.

    Example:
        >>> torch.bitwise_and(torch.tensor([5, 6]), torch.tensor(3))
        tensor([1, 2])
    """

    ufunc, spell = np.bitwise_and, "bitwise_and_cpu"

    def scalar(self, s, input, other):
        return input & other


class BitwiseOr(Bits):
    """Bits set in one or both; for bool the logical or. Shape: broadcast of both.

    Example:
        >>> torch.bitwise_or(torch.tensor([5, 6]), torch.tensor(3))
        tensor([7, 7])
    """

    ufunc, spell = np.bitwise_or, "bitwise_or_cpu"

    def scalar(self, s, input, other):
        return input | other


class BitwiseXor(Bits):
    """Bits set in exactly one; for bool the exclusive or. Shape: broadcast of both.

    Example:
        >>> torch.bitwise_xor(torch.tensor([5, 6]), torch.tensor(3))
        tensor([6, 5])
    """

    ufunc, spell = np.bitwise_xor, "bitwise_xor_cpu"

    def scalar(self, s, input, other):
        return input ^ other


class BitwiseNot(Bits):
    """Every bit flipped; for bool the logical not.

    Example:
        >>> torch.bitwise_not(torch.tensor([0, 5]))
        tensor([-1, -6])
    """

    ufunc, spell = np.invert, "bitwise_not_cpu"

    def scalar(self, s, input):
        return ~input


class LeftShift(Shift):
    """``input * 2 ** other`` by shifting bits; shifts of the width or more give 0.

    Shape: broadcast of both.

    Example:
        >>> torch.bitwise_left_shift(torch.tensor([1, 3]), torch.tensor(2))
        tensor([ 4, 12])
    """

    ufunc, spell = np.left_shift, "lshift_cpu"

    def scalar(self, s, input, other):
        return input << other


class RightShift(Shift):
    """``floor(input / 2 ** other)`` by shifting bits, keeping the sign.

    Shape: broadcast of both.

    Example:
        >>> torch.bitwise_right_shift(torch.tensor([8, -8]), torch.tensor(2))
        tensor([ 2, -2])
    """

    ufunc, spell = np.right_shift, "rshift_cpu"

    def scalar(self, s, input, other):
        return input >> other


class Maximum(Ordered):
    """The larger of two; NaN if either is.

    Equal operands share the gradient. Shape: broadcast of both.

    Example:
        >>> torch.maximum(torch.tensor([1, 5]), torch.tensor([3, 2]))
        tensor([3, 5])
    """

    ufunc = np.maximum

    def scalar(self, s, input, other):
        return s.maximum(input, other)

    def grad_input(self, g, input, other):
        return Where.bind(input < other, 0, Where.bind(input == other, g / 2, g))

    def grad_other(self, g, input, other):
        return Where.bind(input > other, 0, Where.bind(input == other, g / 2, g))


class Minimum(Ordered):
    """The smaller of two; NaN if either is.

    Equal operands share the gradient. Shape: broadcast of both.

    Example:
        >>> torch.minimum(torch.tensor([1, 5]), torch.tensor([3, 2]))
        tensor([1, 2])
    """

    ufunc = np.minimum

    def scalar(self, s, input, other):
        return s.minimum(input, other)

    def grad_input(self, g, input, other):
        return Where.bind(input > other, 0, Where.bind(input == other, g / 2, g))

    def grad_other(self, g, input, other):
        return Where.bind(input < other, 0, Where.bind(input == other, g / 2, g))


class Fmax(Ordered):
    """The larger of two; a number wins over NaN. Shape: broadcast of both.

    Example:
        >>> torch.fmax(torch.tensor([1.0, torch.nan]), torch.tensor([2.0, 3.0]))
        tensor([2., 3.])
    """

    ufunc = np.fmax

    def scalar(self, s, input, other):
        return s.where((input >= other) | s.isnan(other), input, other)

    def grad_input(self, g, input, other):
        return Where.bind((input >= other) | other.isnan(), g, 0)

    def grad_other(self, g, input, other):
        return Where.bind((input >= other) | other.isnan(), 0, g)


class Fmin(Ordered):
    """The smaller of two; a number wins over NaN. Shape: broadcast of both.

    Example:
        >>> torch.fmin(torch.tensor([1.0, torch.nan]), torch.tensor([2.0, 3.0]))
        tensor([1., 3.])
    """

    ufunc = np.fmin

    def scalar(self, s, input, other):
        return s.where((input <= other) | s.isnan(other), input, other)

    def grad_input(self, g, input, other):
        return Where.bind((input <= other) | other.isnan(), g, 0)

    def grad_other(self, g, input, other):
        return Where.bind((input <= other) | other.isnan(), 0, g)


class Isnan(Elementwise):
    """Whether an element is not a number; for complex, whether either part is not.

    Example:
        >>> torch.isnan(torch.tensor([1.0, torch.inf, torch.nan]))
        tensor([False, False,  True])
    """

    ufunc, out_dtype = np.isnan, np.bool_

    def scalar(self, s, input):
        return input != input


class Isinf(Elementwise):
    """Whether an element is infinite; for complex, whether either part is.

    Example:
        >>> torch.isinf(torch.tensor([1.0, -torch.inf, torch.nan]))
        tensor([False,  True, False])
    """

    ufunc, out_dtype = np.isinf, np.bool_

    def scalar(self, s, input):
        return s.isinf(input)


class Isfinite(Elementwise):
    """Whether an element is neither infinite nor NaN.

    Example:
        >>> torch.isfinite(torch.tensor([1.0, torch.inf, torch.nan]))
        tensor([ True, False, False])
    """

    ufunc, out_dtype = np.isfinite, np.bool_

    def scalar(self, s, input):
        return s.isfinite(input)


class Isposinf(Ordered):
    """Whether an element is positive infinity.

    Example:
        >>> torch.isposinf(torch.tensor([1.0, -torch.inf, torch.inf]))
        tensor([False, False,  True])
    """

    least = LEAST
    out_dtype = np.bool_

    def scalar(self, s, input):
        return input == float("inf")


class Isneginf(Ordered):
    """Whether an element is negative infinity.

    Example:
        >>> torch.isneginf(torch.tensor([1.0, -torch.inf, torch.inf]))
        tensor([False,  True, False])
    """

    least = LEAST
    out_dtype = np.bool_

    def scalar(self, s, input):
        return input == -float("inf")


class Isreal(Elementwise):
    """Whether the imaginary part is zero; True for every real element.

    Example:
        >>> torch.isreal(torch.tensor([1 + 0j, 1 + 1j]))
        tensor([ True, False])
    """

    least = LEAST
    out_dtype = np.bool_

    def scalar(self, s, input):
        return input.imag == 0


class Signbit(Ordered):
    """Whether the sign bit is set: negative numbers, and -0.0.

    Example:
        >>> torch.signbit(torch.tensor([1.0, -1.0, -0.0]))
        tensor([False,  True,  True])
    """

    least = LEAST
    out_dtype = np.bool_
    fast = frozenset()

    def scalar(self, s, input):
        return s.copysign(1.0, input) < 0

    def eager(self, xp, input):
        return xp.signbit(input) if input.dtype in dtypes.FLOATS else input < 0
