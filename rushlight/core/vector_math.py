"""Functions of float32 arrays, to the bit of the vectorised ones that torch's samplers call.

NumPy's differ from those in the last digit. `log` and `sin_cos` are the Cephes library's, with
which torch fills normal values eight at a time; `log1p` is that of the SLEEF library. All were
compiled to fused multiply-adds: the same polynomials are evaluated here with the same roundings.

Note [Fused steps in float64]
A fused step is a float64 multiply and add, rounded to float32 once more: the product of two float32
numbers is exact in float64, and only the sum could be rounded twice. Uniform numbers have 24 bits,
so `log` and `sin_cos` meet 2**24 arguments; over all of them the result is that of one rounding.

References: Moshier, 1992, "Cephes Mathematical Library", `logf`, `sinf`, `cosf`; Shibata and
Petrogalli, 2020, "SLEEF: a portable vectorized library of C standard mathematical functions".
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def constants(d: Any, *numbers: float) -> tuple[Any, ...]:
    """Numbers as 0-dim arrays, which NumPy takes faster than its scalars."""
    return tuple([np.array(n, d) for n in numbers])


_LOG = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
    -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
_SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_ROOT_HALF, _LN2_HIGH, _LN2_LOW = constants(np.float32, 0.70710678, 0.693359375, -2.12194440e-4)
_QUARTER_PI = constants(np.float32, 0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8)
(_FOUR_OVER_PI,) = constants(np.float32, 1.27323954473516)
_ATANH = (0.3027294874, 0.3996108174, 0.6666694880)
_LN2, _LN2_REST = constants(np.float32, 0.69314718246459960938, -1.904654323148236017e-09)
_SIGN, _QUARTER, _ONE_INT, _EVEN = constants(np.int32, -(2**31), 2**30, 1, -2)
_HALF, _ONE, _TWO, _MINUS_HALF = constants(np.float32, 0.5, 1, 2, -0.5)


def log(x: Array) -> Array:
    """Natural logarithm of normal positive float32 numbers."""
    mantissa, exponent = np.frexp(x)  # in [1/2, 1)
    power = exponent.astype(np.float32)
    small = (mantissa < _ROOT_HALF).astype(np.float32)
    power -= small
    rest = mantissa - _ONE
    mantissa *= small
    rest += mantissa
    square = rest * rest
    y = _polynomial(_LOG, rest)
    y *= rest
    y = _fused(y, square, power * _LN2_LOW)
    square *= _HALF
    y -= square
    rest += y
    power *= _LN2_HIGH
    rest += power
    return rest


def sin_cos(x: Array) -> tuple[Array, Array]:
    """Sine and cosine of float32 numbers from 0 to 2 pi."""
    octant = (x * _FOUR_OVER_PI).astype(np.int32)
    octant += _ONE_INT
    octant &= _EVEN
    multiple = octant.astype(np.float32)
    rest = x - multiple * _QUARTER_PI[0]  # these products are exact, up to the last
    rest -= multiple * _QUARTER_PI[1]
    rest = _fused(multiple, -_QUARTER_PI[2], rest)
    square = rest * rest
    sine = _polynomial(_SIN, square)
    sine *= square
    sine = _fused(sine, rest, rest)
    cosine = _polynomial(_COS, square)
    cosine *= square
    cosine = _fused(cosine, square, square * _MINUS_HALF)
    cosine += _ONE
    # on bits, since selecting by a mask is slow: swap where bit 1 is set, then set the signs
    sine_bits, cosine_bits = sine.view(np.int32), cosine.view(np.int32)
    exchange = sine_bits ^ cosine_bits
    exchange &= octant << 30 >> 31
    sine_bits ^= exchange
    cosine_bits ^= exchange
    octant <<= 29
    sine_bits ^= octant & _SIGN
    octant += _QUARTER
    cosine_bits ^= octant & _SIGN
    return sine, cosine


def log1p(x: Array) -> Array:
    """``log(1 + x)`` of float32 numbers above -1, where 1 + x is normal.

    With 1 + x = 2**n (1 + m) it is n log 2 + 2 atanh(m / (2 + m)). Sums and the quotient carry
    their rounding errors along, in the names that end in `_rest`.
    """
    exponent = np.frexp((x + _ONE) * np.float32(1 / 0.75))[1] - 1
    scale = np.ldexp(_ONE, -exponent)
    m = _fused(x, scale, scale - _ONE)
    quotient, quotient_rest = _quotient(m, _TWO + m, (_TWO - (_TWO + m)) + m)
    square = quotient * quotient
    tail = _polynomial(_ATANH, square)
    tail *= square * quotient
    n = exponent.astype(np.float32)
    log_power = n * _LN2
    rest = _fused(n, _LN2_REST, _fused(n, _LN2, -log_power))
    quotient *= _TWO
    quotient_rest *= _TWO
    total = log_power + quotient
    rest += (log_power - total) + quotient
    rest += quotient_rest
    out = total + tail
    rest += (total - out) + tail
    out += rest
    return out


def _quotient(x: Array, y: Array, y_rest: Array) -> tuple[Array, Array]:
    """``x / (y + y_rest)`` as a float32 number and what is left of it."""
    inverse = _ONE / y
    quotient = x * inverse
    error = _fused(-y_rest, inverse, _fused(-y, inverse, _ONE))
    return quotient, _fused(quotient, error, _fused(inverse, x, -quotient))


def _fused(x: Array, y: Any, z: Any) -> Array:
    """``x * y + z`` rounded once, see Note [Fused steps in float64]."""
    wide = x.astype(np.float64)  # operands of two dtypes would take several times as long
    wide *= y.astype(np.float64)
    wide += z.astype(np.float64)
    return wide.astype(np.float32)


@functools.cache
def _widened(numbers: tuple[float, ...]) -> tuple[NDArray[Any], ...]:
    """float32 numbers as float64."""
    return constants(np.float64, *[float(np.float32(n)) for n in numbers])


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Horner's rule in fused steps; the coefficient of the highest power comes first."""
    first, *others, last = _widened(coefficients)
    wide_x = x.astype(np.float64)
    y = np.empty_like(x)
    wide = wide_x * first
    for c in others:
        wide += c
        y[...] = wide
        wide[...] = y
        wide *= wide_x
    wide += last
    return wide.astype(np.float32)
