"""Special functions of float32 elements, by polynomials: those of SPECIAL are computed in float64
and rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rushlight.compiler.special_coefficients import COEFFICIENTS

STIRLING = (1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12)  # of 1 / z, by powers of 1 / z^2
# of digamma and of its derivative, alike
PSI = (-691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12)
TRIGAMMA = (-691 / 2730, 5 / 66, -1 / 30, 1 / 42, -1 / 30, 1 / 6)


def polynomial(name: str, x: Any) -> Any:
    """A polynomial of the table at x."""
    middle, (first, *rest) = COEFFICIENTS[name]
    t, p = x - middle, first
    for c in rest:
        p = p * t + c
    return p


def erfinv(s: Any, x: Any) -> Any:
    """x times a function of ``w = -log(1 - x^2)``; of its root, where w is large."""
    w = -s.log(1.0 - x * x)
    low, high = polynomial("erfinv_low", w), polynomial("erfinv_high", s.sqrt(w))
    y = x * s.where(w < 5.0, low, high)
    return s.where(s.abs(x) == 1.0, s.copysign(math.inf + 0.0 * x, x), y)


def gammaln(s: Any, x: Any) -> Any:
    """Stirling's series from 8 on, to which smaller numbers are lifted; a polynomial around the
    zeros at 1 and 2; the reflection of ``|x|`` for negative numbers.
    """
    a = s.abs(x)
    low, product = a < 8.0, a
    for k in range(1, 8):
        product = product * (a + float(k))
    z = s.where(low, a + 8.0, a)
    r = 1.0 / z
    q, series = r * r, STIRLING[0]
    for c in STIRLING[1:]:
        series = series * q + c
    y = (z - 0.5) * s.log(z) - z + (0.5 * math.log(2 * math.pi) + series * r)
    y = y - s.where(low, s.log(s.where(low, product, 1.0)), 0.0)
    near = (a > 0.75) & (a < 2.5)
    y = s.where(near, (a - 1.0) * (a - 2.0) * polynomial("lgamma", a) + 0.0, y)
    y = s.where(a == math.inf, a, y)
    angle = math.pi * (a - s.rint(a))
    other = math.log(math.pi) - s.log(a * s.abs(s.sin(angle))) - y
    return s.where((x < 0.0) & (a < math.inf), other, y)


def psi(s: Any, x: Any) -> Any:
    """Digamma: its asymptotic series from 8 on, to which smaller numbers are lifted; the reflection
    of negative ones.
    """
    low = x < 0.0
    a = s.where(low, 1.0 - x, x)
    below, z = s.where(a < 8.0, 1.0, 0.0), s.where(a < 8.0, a + 8.0, a)
    lifted = 0.0
    for k in range(8):
        lifted = 1.0 / (a + float(k)) + lifted
    r = 1.0 / z
    q, series = r * r, PSI[0]
    for c in PSI[1:]:
        series = series * q + c
    y = s.log(z) - 0.5 * r - q * series - below * lifted
    y = s.where(a == math.inf, a, y)
    part = x - s.rint(x)
    angle = math.pi * part
    other = y - math.pi * s.cos(angle) / s.sin(angle)
    other = s.where(part == 0.0, math.nan, other)
    return s.where(x == 0.0, s.copysign(math.inf + 0.0 * x, -x), s.where(low, other, y))


def trigamma(s: Any, x: Any) -> Any:
    """The derivative of digamma, in the same way."""
    low = x < 0.0
    a = s.where(low, 1.0 - x, x)
    below, z = s.where(a < 8.0, 1.0, 0.0), s.where(a < 8.0, a + 8.0, a)
    lifted = 0.0
    for k in range(8):
        lifted = 1.0 / ((a + float(k)) * (a + float(k))) + lifted
    r = 1.0 / z
    q, series = r * r, TRIGAMMA[0]
    for c in TRIGAMMA[1:]:
        series = series * q + c
    y = r + 0.5 * q + r * q * series + s.where(below > 0.0, lifted, 0.0)
    wave = math.pi / s.sin(math.pi * (x - s.rint(x)))
    return s.where(low, wave * wave - y, y)


def bessel(s: Any, x: Any, name: str, scaled: bool) -> Any:
    """``I_0`` or ``I_1``, times ``exp(-|x|)`` if scaled."""
    a = s.abs(x)
    small = a < 8.0
    low = polynomial(f"{name}_low", a * a)
    if name == "i1":
        low = low * a
    b = s.where(small, 8.0, a)
    high = polynomial(f"{name}_high", 1.0 / b) / s.sqrt(b)
    if scaled:
        y = s.where(small, low * s.exp(-a), high)
    else:
        y = s.where(small, low, high * s.exp(b))  # NaN at infinity, as in torch
    return s.where(x < 0.0, -y, y) if name == "i1" else y


def bell(s: Any, x: Any) -> tuple[Any, Any]:
    """The area under the bell curve up to x, as exactly as is needed beside 1, and
    ``exp(-x^2 / 2)``, for float32.
    """
    height = s.exp2(x * x * (-0.5 / math.log(2)))
    beyond = height * polynomial("beyond", s.minimum(s.abs(x), 6.0))
    return s.where(x < 0.0, beyond, 1.0 - beyond), height


SPECIAL: dict[str, Callable[[Any, Any], Any]] = {
    "erfinv": erfinv,
    "gammaln": gammaln,
    "psi": psi,
    "trigamma": trigamma,
    "i0": lambda s, x: bessel(s, x, "i0", False),
    "i0e": lambda s, x: bessel(s, x, "i0", True),
    "i1": lambda s, x: bessel(s, x, "i1", False),
    "i1e": lambda s, x: bessel(s, x, "i1", True),
}
