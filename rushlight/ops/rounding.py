"""Rounding, and divisions that round."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.elementwise import Elementwise
from rushlight.core.native import LEAST, SOME
from rushlight.core.scalar import NUMPY
from rushlight.core.tensor import Tensor
from rushlight.errors import GraphError, NotSupportedError
from rushlight.formats import copy_in
from rushlight.ops.copy import zeros_like


class Step(Elementwise, abstract=True):
    """Constant between steps: the gradient is zero. Integers are their own result."""

    fast = dtypes.FLOATS

    def eager(self, xp, input, **params):
        if input.dtype not in dtypes.FLOATS:
            return copy_in(input, None)
        return self.scalar(NUMPY, input, **params)

    def compute_dtype(self, arrays):
        d = arrays[0].dtype
        if d in dtypes.COMPLEX_TYPES:
            raise NotSupportedError(
                f"{type(self).__name__.lower()} is not defined for complex numbers; round the real "
                "and imaginary parts."
            )
        return d

    def grad(self, g):
        return zeros_like(g)


class Floor(Step):
    """The largest integer <= ``input``.

    Example:
        >>> torch.floor(torch.tensor([-1.5, 0.5, 2.0]))
        tensor([-2.,  0.,  2.])
    """

    ufunc = np.floor

    def scalar(self, s, input):
        return s.floor(input)


class Ceil(Step):
    """The smallest integer >= ``input``.

    Example:
        >>> torch.ceil(torch.tensor([-1.5, 0.5, 2.0]))
        tensor([-1.,  1.,  2.])
    """

    ufunc = np.ceil

    def scalar(self, s, input):
        return s.ceil(input)


class Trunc(Step):
    """``input`` without its fraction: rounded towards 0.

    Example:
        >>> torch.trunc(torch.tensor([-1.5, 0.5, 2.0]))
        tensor([-1.,  0.,  2.])
    """

    ufunc = np.trunc

    def scalar(self, s, input):
        return s.trunc(input)


class Round(Step):
    """The nearest integer, halves to even; with ``decimals`` the nearest multiple of ``10 **
    -decimals``.
    """

    compiled = False

    def scalar(self, s, input, *, decimals):
        if not decimals:
            return s.rint(input)
        scale = 10.0 ** abs(decimals)
        return s.rint(input * scale) / scale if decimals > 0 else s.rint(input / scale) * scale


class Frac(Elementwise):
    """``input - trunc(input)``: the fraction, with input's sign.

    Example:
        >>> torch.frac(torch.tensor([-1.5, 0.25, 2.0]))
        tensor([-0.5000,  0.2500,  0.0000])
    """

    least = SOME
    ufunc = staticmethod(lambda x: x - np.trunc(x))
    fast = dtypes.FLOATS

    def scalar(self, s, input):
        return input - s.trunc(input)

    def grad(self, g):
        return g


def check_divisor(other: Any) -> None:
    """Integers cannot be divided by zero."""
    if not other if other.__class__ is int else np.count_nonzero(other) < np.size(other):
        raise RuntimeError(
            "ZeroDivisionError: an integer divisor is zero; convert to float first to get inf or "
            "nan."
        )


def exact_quotient(a: Any, b: Any) -> Any:
    """``a / b`` of float32 in float64, where its integer part is right.

    None where NumPy's own functions, which are slow, have to be asked: small arrays and large,
    infinite or undefined quotients.
    """
    big = a if isinstance(a, np.ndarray) else b
    if big.dtype is not dtypes.float32 or big.size < 1024 or not np.isfinite(b).all():
        return None
    q = np.divide(a, b, dtype=np.float64)
    return q if np.abs(q).max() < 2**24 else None


def in_dtype(a: Any, b: Any) -> tuple[Any, Any]:
    """Numbers rounded to the other operand's dtype."""
    if not isinstance(a, np.ndarray):
        return b.dtype.type(a), b
    return a, b if isinstance(b, np.ndarray) else a.dtype.type(b)


def floor_divide(a: Any, b: Any) -> Any:
    """``floor(a / b)`` of floats."""
    a, b = in_dtype(a, b)
    q = exact_quotient(a, b)
    return np.floor_divide(a, b) if q is None else np.floor(q, q).astype(np.float32)


def fmod(a: Any, b: Any) -> Any:
    """C's ``fmod`` of floats."""
    a, b = in_dtype(a, b)
    q = exact_quotient(a, b)
    if q is None:
        return np.fmod(a, b)
    np.trunc(q, q)
    q *= b
    out = np.subtract(a, q, q).astype(np.float32)  # exact: the digits fit into float64
    return np.copysign(out, a, out)


def remainder(a: Any, b: Any) -> Any:
    """Python's ``%`` of floats; a zero has the sign of ``a``, as in torch."""
    a, b = in_dtype(a, b)
    q = exact_quotient(a, b)
    if q is None:
        out = np.asarray(np.remainder(a, b))
    else:
        q = np.floor(q, q)
        q *= b
        out = np.asarray(np.subtract(a, q, q).astype(np.float32))
    return np.copysign(out, a, out=out, where=out == 0)


def integer_trunc_divide(a: Any, b: Any) -> Any:
    """Integer quotient rounded towards 0."""
    q = np.floor_divide(a, b)
    return q + ((q < 0) & (q * b != a))


class Rounded(Elementwise, abstract=True):
    """A division of two reals whose rounding has no gradient: ``floats`` and ``integers``."""

    fast = dtypes.FLOATS | {dtypes.int64, dtypes.int32}

    def floats(self, a: Any, b: Any) -> Any:
        """For arrays of floats."""
        raise NotImplementedError

    def compute_dtype(self, arrays):
        d = super().compute_dtype(arrays)
        if d in dtypes.COMPLEX_TYPES:
            raise NotSupportedError(
                f"{type(self).__name__.lower()}: rounding a complex quotient is not defined."
            )
        return dtypes.int64 if d is dtypes.bool_ else d

    def eager(self, xp, input, other):
        d = (input if isinstance(input, np.ndarray) else other).dtype
        if d in dtypes.INTEGER_TYPES:
            check_divisor(other)
            return self.integers(input, other)
        return self.floats(input, other)

    def integers(self, a: Any, b: Any) -> Any:
        """For integer arrays, or one and a number."""
        raise NotImplementedError


class FloorDivide(Rounded):
    """``floor(input / other)``. Shape: broadcast of both.

    Example:
        >>> torch.floor_divide(torch.tensor([7, -7]), torch.tensor(2))
        tensor([ 3, -4])
    """

    floats = staticmethod(floor_divide)

    def integers(self, a, b):
        return np.floor_divide(a, b)

    def scalar(self, s, input, other):
        return s.floor_divide(input, other)

    def grad_input(self, g):
        raise GraphError(
            "derivative for floor_divide is not implemented; it is zero nearly everywhere: "
            "detach() the result."
        )

    grad_other = grad_input


class DivFloor(FloorDivide):
    """``input / other`` rounded down; the gradient is zero. Shape: broadcast of both."""

    label = "Div"

    def grad_input(self, g):
        return zeros_like(g)

    def grad_other(self, g):
        return zeros_like(g)


class DivTrunc(Rounded):
    """``input / other`` rounded towards 0; the gradient is zero. Shape: broadcast of both."""

    least = LEAST
    label = "Div"
    floats = staticmethod(lambda a, b: np.trunc(np.true_divide(a, b)))

    def scalar(self, s, input, other):
        return s.trunc_divide(input, other)

    def integers(self, a, b):
        return integer_trunc_divide(a, b)

    def grad_input(self, g):
        return zeros_like(g)

    def grad_other(self, g):
        return zeros_like(g)


class Remainder(Rounded):
    """``input - floor(input / other) * other``: Python's ``%``, with other's sign.

    Shape: broadcast of both.

    Example:
        >>> torch.remainder(torch.tensor([7, -7]), torch.tensor(3))
        tensor([1, 2])
    """

    floats = staticmethod(remainder)

    def integers(self, a, b):
        return np.remainder(a, b)

    def scalar(self, s, input, other):
        return s.remainder(input, other)

    def node_name(self, params, specs):
        return "RemainderBackward" + ("1" if specs else "0")  # of a number

    def grad_input(self, g):
        return g

    def grad_other(self, g, input, other):
        return -g * quotient(input, other, "floor")


class Fmod(Rounded):
    """``input - trunc(input / other) * other``: C's ``fmod``, with input's sign.

    Shape: broadcast of both.

    Example:
        >>> torch.fmod(torch.tensor([7, -7]), torch.tensor(3))
        tensor([ 1, -1])
    """

    floats = staticmethod(fmod)

    def integers(self, a, b):
        return np.fmod(a, b)

    def scalar(self, s, input, other):
        return s.fmod(input, other)

    def node_name(self, params, specs):
        return "FmodBackward" + ("1" if specs else "0")  # of a number

    def grad_input(self, g):
        return g

    def grad_other(self, g, input, other):
        return -g * quotient(input, other, "trunc")


def quotient(a: Any, b: Any, rounding_mode: str) -> Tensor:
    """The rounded quotient of tensors or numbers, not both numbers."""
    return (DivFloor if rounding_mode == "floor" else DivTrunc).bind(a, b)


class Gcd(Elementwise):
    """Greatest common divisor of integers, >= 0. Shape: broadcast of both.

    Example:
        >>> torch.gcd(torch.tensor([12, 7]), torch.tensor([18, 5]))
        tensor([6, 1])
    """

    ufunc = np.gcd
    fast = dtypes.INTEGER_TYPES

    def scalar(self, s, input, other):
        return s.gcd(input, other)


class Lcm(Elementwise):
    """Least common multiple of integers, >= 0. Shape: broadcast of both.

    Example:
        >>> torch.lcm(torch.tensor([4, 7]), torch.tensor([6, 5]))
        tensor([12, 35])
    """

    ufunc = np.lcm
    fast = dtypes.INTEGER_TYPES

    def scalar(self, s, input, other):
        return s.lcm(input, other)
