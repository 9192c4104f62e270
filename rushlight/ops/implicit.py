"""How samples move with their parameters: derivatives at a fixed quantile.

A sample ``x`` of a distribution function ``F(x, a)`` keeps its quantile when ``a`` changes, so
``dx/da = -(dF/da) / (dF/dx)``. For gamma and beta values both derivatives follow from the series
and continued fractions of the incomplete functions; the powers and exponentials cancel. The
parameter carries an imaginary step of 1e-100, whose multiple in the result is the derivative, exact
to rounding.

References: Figurnov, Mohamed and Mnih, 2018, "Implicit Reparameterization Gradients",
    arXiv:1805.08498; NIST Digital Library of Mathematical Functions, 8.11.4, 8.9.2 and 8.17.22.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rushlight.core.op import Op
from rushlight.core.scalar import NUMPY

Array = NDArray[Any]

_STEP = 1e-100j
_LARGE = 1e5  # shapes above it: expansion around the normal distribution
_TERMS = 20_000
_EPSILON = 1e-15
_TINY = 1e-290


class StandardGammaGrad(Op):
    """Derivative of gamma samples ``output`` of scale 1 by their shape parameters ``input``, which
    broadcast.
    """

    last_derivative = True

    def eager(self, xp, input, output):
        dtype = np.result_type(input, output)
        input, output = np.broadcast_arrays(input, output)
        a, x = (v.astype(np.float64).reshape(-1) for v in (input, output))
        return gamma_derivative(a, x).reshape(input.shape).astype(dtype)


class DirichletGrad(Op):
    """Derivative of ``x``, one coordinate of a Dirichlet sample, by its ``alpha``, over ``1 - x``.

    The other coordinates, which share ``1 - x``, shrink in proportion to their size. ``total`` is
    the sum of all concentrations.
    """

    last_derivative = True

    def eager(self, xp, x, alpha, total):
        x64, a, b = (v.astype(np.float64).reshape(-1) for v in (x, alpha, total - alpha))
        out = beta_derivative(x64, a, b) / (1 - x64)
        return np.where(np.isfinite(out), out, 0.0).reshape(x.shape).astype(x.dtype)


def gamma_derivative(a: Array, x: Array) -> Array:
    """dx/da for flat gamma samples x with shapes a."""
    out = np.zeros_like(x)
    large = a > _LARGE
    lower = ~large & (x > 0) & (x < a + 1)
    upper = ~large & (x >= a + 1)
    out[large] = _near_normal(a[large], x[large])
    for part, function, sign in ((lower, _gamma_series, -1), (upper, _gamma_fraction, 1)):
        at, shape = x[part], a[part]
        value, slope = _with_slope(function, shape, at)
        out[part] = sign * at * (value * (np.log(at) - NUMPY.psi(shape)) + slope)
    return out


def _with_slope(function: Callable[..., Array], a: Array, *others: Array) -> tuple[Array, Array]:
    """The value of a function and its derivative by its first argument."""
    out = function(a + _STEP, *others)
    return out.real, out.imag / _STEP.imag


def _gamma_series(a: Array, x: Array) -> Array:
    """The lower incomplete gamma function over ``x ** a * exp(-x)``: the sum of
    ``x ** n / (a (a + 1) ... (a + n))``.
    """
    term = 1 / a
    total = term.copy()
    for n in range(1, _TERMS):
        term = term * (x / (a + n))
        total += term
        if not _matters(term, total).any():
            break
    return total


def _gamma_fraction(a: Array, x: Array) -> Array:
    """The upper incomplete gamma function over ``x ** a * exp(-x)``."""
    base = x + 1 - a
    return 1 / _continued(base, lambda n: (n * (a - n), base + 2 * n))


def _continued(first: Array, terms: Callable[[int], tuple[Array, Array]]) -> Array:
    """``first + p1 / (q1 + p2 / (q2 + ...))``, ``terms(n)`` giving p and q. Lentz's method."""
    value = np.where(first == 0, _TINY, first).astype(np.complex128)
    c: Any = value.copy()
    d: Any = np.zeros_like(value)
    for n in range(1, _TERMS):
        p, q = terms(n)
        d = q + p * d
        c = q + p / c
        d = 1 / np.where(d == 0, _TINY, d)
        c = np.where(c == 0, _TINY, c)
        change = c * d
        value *= change
        if not _matters(value * (change - 1), value).any():
            break
    return value


def _matters(change: Array, total: Array) -> Array:
    """Where a change still shows, in the value or in the derivative."""
    slope = np.abs(total.imag) + _EPSILON * _STEP.imag
    return (np.abs(change.real) > _EPSILON * np.abs(total.real)) | (
        np.abs(change.imag) > 4 * _EPSILON * slope
    )


def _near_normal(a: Array, x: Array) -> Array:
    """dx/da for large a, by the Cornish-Fisher expansion of x around a normal quantile z."""
    root = np.sqrt(a)
    w = (x - a) / root
    z = w - (w * w - 1) / (3 * root)
    return 1 + z / (2 * root) - (z**3 - 7 * z) / (72 * a * root)


def beta_derivative(x: Array, a: Array, b: Array) -> Array:
    """dx/da for flat beta samples x with parameters a and b."""
    out = np.zeros_like(x)
    inside = (x > 0) & (x < 1) & (b > 0)
    left = inside & (x < (a + 1) / (a + b + 2))
    right = inside & ~left
    log_slope = np.log(x, where=inside, out=np.zeros_like(x)) - NUMPY.psi(a) + NUMPY.psi(a + b)
    v, s, k, shape = x[left], log_slope[left], b[left], a[left]
    value, slope = _with_slope(_beta_fraction, shape, k, v)
    out[left] = -v * (1 - v) / shape * (value * (s - 1 / shape) + slope)
    v, s, k, shape = x[right], log_slope[right], b[right], a[right]
    value, slope = _with_slope(lambda p, q, y: _beta_fraction(q, p, y), shape, k, 1 - v)
    out[right] = v * (1 - v) / k * (value * s + slope)
    return out


def _beta_fraction(a: Array, b: Array, x: Array) -> Array:
    """The incomplete beta function times ``a B(a, b) / (x ** a * (1 - x) ** b)``."""

    def terms(n: int) -> tuple[Array, Array]:
        m = n // 2
        if n % 2 == 0:
            p = m * (b - m) * x / ((a + n - 1) * (a + n))
        else:
            p = -(a + m) * (a + b + m) * x / ((a + n - 1) * (a + n))
        return p, np.ones_like(p)

    return 1 / _continued(np.ones(np.broadcast(a, b, x).shape), terms)
