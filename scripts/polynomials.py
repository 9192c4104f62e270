"""Fit the polynomials of the compiler's vector math, and write their coefficients down.

    python scripts/polynomials.py > rushlight/compiler/backends/llvm/ir/coefficients.py

needs mpmath. Each is a minimax fit (Remez's exchange on a grid, in 60 digits) of a function's tail:
what is left after the leading terms that the code in ``backends/llvm`` adds exactly.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np

mp.mp.dps = 60
Real = Any
HEAD = '''"""Coefficients of the polynomials in vector math, highest power first. Made by
scripts/polynomials.py, which says what each one approximates.
"""

COEFFICIENTS: dict[str, dict[str, tuple[float, ...]]] = {'''


def exchange(
    f: Callable[[Real], Real], w: Callable[[Real], Real], low: Real, high: Real, degree: int
) -> tuple[list[Real], Real]:
    """Coefficients, lowest first, of the polynomial p with the smallest max |w (f - p)|, and that
    maximum.
    """
    count = 40 * (degree + 2)
    angles = [mp.pi * (2 * k + 1) / (2 * count) for k in range(count)]
    grid = [(low + high) / 2 - (high - low) / 2 * mp.cos(a) for a in angles]
    values, weights = [f(x) for x in grid], [w(x) for x in grid]
    chosen = [int((k + 0.5) * count / (degree + 2)) for k in range(degree + 2)]
    for _ in range(12):
        rows = [
            [grid[i] ** j for j in range(degree + 1)] + [(-1) ** k / weights[i]]
            for k, i in enumerate(chosen)
        ]
        solution = mp.lu_solve(mp.matrix(rows), mp.matrix([values[i] for i in chosen]))
        c = [solution[j] for j in range(degree + 1)]
        errors = [
            wt * (v - mp.polyval(c[::-1], x))
            for x, v, wt in zip(grid, values, weights, strict=True)
        ]
        worst = max([abs(e) for e in errors])
        chosen = alternating(errors, degree + 2)
        if len(chosen) < degree + 2 or worst < abs(solution[degree + 1]) * mp.mpf("1.01"):
            break
    return c, worst


def alternating(errors: list[Real], wanted: int) -> list[int]:
    """Where the error is largest between changes of its sign."""
    peaks: list[int] = []
    for i, e in enumerate(errors):
        if peaks and (e > 0) == (errors[peaks[-1]] > 0):
            if abs(e) > abs(errors[peaks[-1]]):
                peaks[-1] = i
        else:
            peaks.append(i)
    while len(peaks) > wanted:
        peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
    return peaks


def odd_tail(f: Callable[[Real], Real]) -> Callable[[Real], Real]:
    """``(f(x) - x) / x^3`` of an odd function as one of ``x^2``."""
    return lambda z: (f(mp.sqrt(z)) - mp.sqrt(z)) / mp.sqrt(z) ** 3


K = 3.75  # the middle of what erfcx's argument is mapped from
B = 2.5  # the middle of erf's outer range in float32


def erfcx_tail(q: Real) -> Real:
    """``(1 + 2 x) exp(x^2) erfc(x) - 1`` where ``q = (x - K) / (x + K)``."""
    x = K * (1 + q) / (1 - q)
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x) - 1


def log_tail(z: Real) -> Real:
    """``(log((1 + s) / (1 - s)) - 2 s) / s^3`` where ``z = s^2``."""
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) - 2 * s) / s**3


def one(x: Real) -> Real:
    return mp.mpf(1)


def same(x: Real) -> Real:
    return abs(x)


def square(x: Real) -> Real:
    return x * x


half_log2 = mp.mpf("0.3477")
Z_LOG = mp.mpf("0.02945")  # ((sqrt(2) - 1) / (sqrt(2) + 1))^2, and a little
EIGHTH = mp.mpf("0.1717")  # tan(pi / 8)^2
erfcx_top = {24: mp.mpf(10.1), 53: mp.mpf(28)}


def tables() -> dict[str, tuple[Any, ...]]:
    """name: (function, weight, low, high, degrees for float32 and float64, 0 for none)."""
    exp_tail = lambda r: (mp.exp(r) - 1 - r) / r**2  # noqa: E731
    quarter = mp.mpf("0.2501")
    root = mp.sqrt(mp.mpf("0.5"))
    return {
        "exp": (exp_tail, same, -half_log2, half_log2, 4, 9),
        "expm1": (exp_tail, same, -half_log2, half_log2, 5, 10),
        "exp2": (lambda r: (2**r - 1) / r, same, mp.mpf(-0.5), mp.mpf(0.5), 5, 10),
        "log": (
            lambda m: (mp.log(1 + m) - m + m * m / 2) / m**3,
            square,
            root - 1 - mp.mpf("1e-6"),
            mp.sqrt(2) - 1 + mp.mpf("1e-6"),
            7,
            0,
        ),
        "log_ratio": (log_tail, same, mp.mpf(0), Z_LOG, 3, 6),
        "log_double": (
            lambda z: (log_tail(z) - mp.mpf(2) / 3) / z,
            square,
            mp.mpf(0),
            Z_LOG,
            2,
            7,
        ),
        "sin": (odd_tail(mp.sin), same, mp.mpf(0), mp.mpf("0.64"), 2, 5),
        "cos": (
            lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2,
            square,
            mp.mpf(0),
            mp.mpf("0.64"),
            2,
            5,
        ),
        "asin": (odd_tail(mp.asin), same, mp.mpf(0), quarter, 4, 12),
        "atan": (odd_tail(mp.atan), same, mp.mpf(0), EIGHTH, 4, 10),
        "sinh": (odd_tail(mp.sinh), same, mp.mpf(0), mp.mpf(1), 3, 6),
        "asinh": (odd_tail(mp.asinh), same, mp.mpf(0), quarter, 4, 10),
        "atanh": (odd_tail(mp.atanh), same, mp.mpf(0), quarter, 5, 12),
        "erf": (
            lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1,
            one,
            mp.mpf(0),
            mp.mpf(1),
            6,
            11,
        ),
        "erfcx": (erfcx_tail, one, mp.mpf(-1), None, 11, 22),
        "erf_outer": (
            lambda t: mp.log(mp.erfc(B + t)) + (B + t) ** 2,
            lambda t: mp.erfc(B + t),
            mp.mpf(-1.5),
            mp.mpf(1.5),
            6,
            0,
        ),
    }


def main() -> None:
    """Print the module; errors go to stderr, in bits."""
    print(HEAD)
    for name, (f, w, low, high, *degrees) in tables().items():
        print(f'    "{name}": {{')
        for bits, element, degree in zip((24, 53), ("float32", "float64"), degrees, strict=True):
            if not degree:
                continue
            top = high if high is not None else (erfcx_top[bits] - K) / (erfcx_top[bits] + K)
            c, worst = exchange(f, w, low, top, degree)
            print(f"{name} {element} 2^{mp.nstr(mp.log(worst, 2), 5)}", file=sys.stderr)
            kind = np.float32 if bits == 24 else np.float64
            print(f'        "{element}": (')
            for x in c[::-1]:
                print(f"            {float(kind(mp.nstr(x, 30)))!r},")
            print("        ),")
        print("    },")
    print("}")


if __name__ == "__main__":
    main()
