"""Fit the polynomials of the compiler's special functions, and write their coefficients down.

    python scripts/special.py > rushlight/compiler/special_coefficients.py

needs mpmath. Each interpolates at Chebyshev's points, in 40 digits. ``compiler/special.py``
computes with them in float64, for results in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np

mp.mp.dps = 40
Real = Any


def interpolated(f: Callable[[Real], Real], low: Real, high: Real, degree: int) -> list[float]:
    """Coefficients, highest power first, of a polynomial in x that is close to f between two
    numbers.
    """
    n = degree + 1
    nodes = [mp.cos(mp.pi * (2 * k + 1) / (2 * n)) for k in range(n)]
    points = [(low + high) / 2 + (high - low) / 2 * t for t in nodes]
    middle = (low + high) / 2
    rows = mp.matrix([[(x - middle) ** j for j in range(n)] for x in points])
    found = mp.lu_solve(rows, mp.matrix([f(x) for x in points]))
    return [float(c) for c in reversed(found)]


def weighted(
    f: Callable[[Real], Real], weight: Callable[[Real], Real], low: Real, high: Real, degree: int
) -> list[float]:
    """As ``interpolated``, with the least error times ``weight``: least squares, in which points
    count the more the larger their errors were.
    """
    u = np.cos(np.linspace(0, np.pi, 1000))
    middle, half = float(low + high) / 2, float(high - low) / 2
    points = [mp.mpf(x) for x in middle + half * u]
    y, w = [np.array([float(g(x)) for x in points]) for g in (f, weight)]
    basis, share = np.polynomial.chebyshev.chebvander(u, degree), np.ones(len(u))
    for _ in range(200):
        c = np.linalg.lstsq(basis * (w * share)[:, None], y * w * share, rcond=None)[0]
        errors = np.abs(basis @ c - y) * w
        share *= np.sqrt(errors / errors.max() + 1e-3)
        share /= share.max()
    plain = np.polynomial.chebyshev.cheb2poly(c) / half ** np.arange(degree + 1)
    return [float(x) for x in plain[::-1]]


def erfinv_over_x(w: Real) -> Real:
    """``erfinv(x) / x`` where ``w = -log(1 - x^2)``."""
    if w < mp.mpf(10) ** -25:
        return mp.sqrt(mp.pi) / 2
    x = mp.sqrt(-mp.expm1(-w))
    return mp.erfinv(x) / x


def bessel_low(nu: int) -> Callable[[Real], Real]:
    """``I_nu(x) / x^nu`` of x^2."""
    return lambda q: mp.besseli(nu, mp.sqrt(q)) / mp.sqrt(q) ** nu if q else mp.mpf(1) / 2**nu


def bessel_high(nu: int) -> Callable[[Real], Real]:
    """``sqrt(x) exp(-x) I_nu(x)`` of 1 / x."""
    return lambda t: (
        mp.besseli(nu, 1 / t) * mp.exp(-1 / t) / mp.sqrt(t) if t else 1 / mp.sqrt(2 * mp.pi)
    )


def lgamma_between(x: Real) -> Real:
    """``lgamma(x) / ((x - 1) (x - 2))``."""
    near = [1 - mp.euler, mp.euler]  # the slopes at 2 and at 1, over the other factor
    for zero, value in ((2, near[0]), (1, near[1])):
        if abs(x - zero) < mp.mpf(10) ** -15:
            return value
    return mp.loggamma(x) / ((x - 1) * (x - 2))


FITS = {
    "erfinv_low": (erfinv_over_x, 0, 5, 10),
    "erfinv_high": (lambda s: erfinv_over_x(s * s), mp.sqrt(5), mp.sqrt(17), 10),
    "i0_low": (bessel_low(0), 0, 64, 11),
    "i0_high": (bessel_high(0), 0, mp.mpf(1) / 8, 7),
    "i1_low": (bessel_low(1), 0, 64, 11),
    "i1_high": (bessel_high(1), 0, mp.mpf(1) / 8, 7),
    "lgamma": (lgamma_between, mp.mpf(3) / 4, mp.mpf(5) / 2, 19),
}
WEIGHTED = {
    # the area under the bell curve beyond a, over exp(-a^2 / 2)
    "beyond": (
        lambda a: mp.exp(a * a / 2) * mp.erfc(a / mp.sqrt(2)) / 2, lambda a: mp.exp(-a * a / 2),
        0, 6, 11,
    ),
}  # fmt: skip

HEAD = '''"""Coefficients of polynomials in the distance from a number, highest power first.

Made by scripts/special.py, which says what each one approximates.
"""

COEFFICIENTS: dict[str, tuple[float, tuple[float, ...]]] = {'''

if __name__ == "__main__":
    print(HEAD)
    for name, (*given, low, high, degree) in {**FITS, **WEIGHTED}.items():
        low, high = mp.mpf(low), mp.mpf(high)
        print(f'    "{name}": (')
        print(f"        {float((low + high) / 2)!r},")
        print("        (")
        for c in (weighted if name in WEIGHTED else interpolated)(*given, low, high, degree):
            print(f"            {c!r},")
        print("        ),\n    ),")
    print("}")
