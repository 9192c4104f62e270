"""Special functions. SciPy computes them; it is loaded on first use."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.scalar import NUMPY
from rushlight.errors import DTypeError
from rushlight.ops.implicit import StandardGammaGrad
from rushlight.ops.math import Analytic, number_place, same_dtype
from rushlight.ops.select import Where

ROOT_PI = math.sqrt(math.pi)


class Special(Analytic, abstract=True):
    """A function from SciPy, of real numbers."""

    fast = frozenset()

    def plan(self):
        super().plan()
        if len(self.names) == 1:
            self.fast = dtypes.FLOATS

    def compute_dtype(self, arrays):
        d = super().compute_dtype(arrays)
        if d in dtypes.COMPLEX_TYPES:
            raise DTypeError(
                f"{type(self).__name__.lower()} is not defined for complex tensors here."
            )
        return d

    def eager(self, xp, *arrays, **params):
        if len(arrays) == 2:
            arrays = same_dtype(*arrays)
        out = self.scalar(NUMPY, *arrays, **params)
        d = arrays[0].dtype
        if out.__class__ is np.ndarray and out.dtype is d:
            return out
        return np.asarray(out).astype(d, copy=False)


def above(x, bound):
    """Whether all elements are larger than a number."""
    return x.item(x.argmin()) > bound


class Erf(Special):
    """Error function ``2 / sqrt(pi) * integral of exp(-t ** 2) from 0 to input``.

    Example:
        >>> torch.erf(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.8427])
    """

    def scalar(self, s, input):
        return s.erf(input)

    def grad(self, g, input):
        return g * ((-input * input).exp() * (2 / ROOT_PI))


class Erfc(Special):
    """``1 - erf(input)``, accurate for large ``input``.

    Example:
        >>> torch.erfc(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 0.1573])
    """

    def scalar(self, s, input):
        return s.erfc(input)

    def grad(self, g, input):
        return g * ((-input * input).exp() * (-2 / ROOT_PI))


class Erfinv(Special):
    """Inverse of erf, for ``input`` in [-1, 1].

    Example:
        >>> torch.erfinv(torch.tensor([0.0, 0.5]))
        tensor([0.0000, 0.4769])
    """

    def scalar(self, s, input):
        return s.erfinv(input)

    def grad(self, g, out):
        return g * ((out * out).exp() * (ROOT_PI / 2))


class Erfcx(Special):
    """``exp(input ** 2) * erfc(input)``.

    Example:
        >>> torch.special.erfcx(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 0.4276])
    """

    label = "SpecialErfcx"

    def scalar(self, s, input):
        return s.erfcx(input)

    def grad(self, g, input, out):
        return g * (2 * input * out - 2 / ROOT_PI)


class Lgamma(Special):
    """``log(|gamma(input)|)``.

    Example:
        >>> torch.lgamma(torch.tensor([1.0, 5.0]))
        tensor([0.0000, 3.1781])
    """

    def scalar(self, s, input):
        return s.gammaln(input)

    def eager(self, xp, input):
        out = NUMPY.gammaln(input)
        if input.size and above(input, -np.inf):
            return out
        return np.where(np.isinf(input), np.inf, out).astype(input.dtype)

    def grad(self, g, input):
        return g * input.digamma()


class Digamma(Special):
    """Derivative of lgamma; NaN at negative integers, -inf at 0.

    Example:
        >>> torch.digamma(torch.tensor([1.0, 2.0]))
        tensor([-0.5772,  0.4228])
    """

    def scalar(self, s, input):
        return s.psi(input)

    def eager(self, xp, input):
        out = np.asarray(NUMPY.psi(input.astype(np.float64)))
        if input.size and above(input, 0):
            return out.astype(input.dtype)
        poles = (input < 0) & (input == np.floor(input))
        return np.where(
            poles, np.nan, np.where(input == 0, np.copysign(np.inf, -input), out)
        ).astype(input.dtype)

    def grad(self, g, input):
        return g * Polygamma.bind(input, n=1)


SHIFTS = 10  # from where on the series below is exact
# Bernoulli's numbers of even degree from 18 on down to 2
BERNOULLI = (43867 / 798, -3617 / 510, 7 / 6, -691 / 2730, 5 / 66, -1 / 30, 1 / 42, -1 / 30, 1 / 6)


def trigamma(x: Any) -> Any:
    """The second derivative of the logarithm of gamma at float64 x >= 0: ``trigamma(x) = 1 / x^2 +
    trigamma(x + 1)``, and far from 0 a series in 1 / x.
    """
    total: Any = 0
    for _ in range(SHIFTS):
        total = total + 1 / (x * x)
        x = x + 1
    r = 1 / x
    z, series = r * r, BERNOULLI[0]
    for b in BERNOULLI[1:]:
        series = series * z + b
    return total + r * (1 + r / 2 + z * series)


class Polygamma(Special):
    """The ``n``-th derivative of digamma, n >= 0: for n >= 1 ``(-1) ** (n + 1) n! zeta(n + 1,
    input)``.
    """

    def scalar(self, s, input, *, n):
        if n < 2:
            return s.trigamma(input) if n else s.psi(input)
        return (-1.0) ** (n + 1) * s.gamma(n + 1.0) * s.zeta(n + 1, input)

    def eager(self, xp, input, *, n):
        if n == 0:
            return Digamma.instance.eager(xp, input)
        x = input.astype(np.float64)
        if n == 1:  # also for negative numbers, by reflection
            sine = np.sin(math.pi * (x - np.round(x)))  # 0 for integers
            y = trigamma(np.where(x < 0, 1 - x, x))
            return np.where(x < 0, (math.pi / sine) ** 2 - y, y).astype(input.dtype)
        return np.where(x == np.inf, np.nan, self.scalar(NUMPY, x, n=n)).astype(input.dtype)

    def grad(self, g, input, n):
        return g * Polygamma.bind(input, n=n + 1)


class I0(Special):
    """Modified Bessel function of the first kind, order 0.

    Example:
        >>> torch.i0(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 1.2661])
    """

    def scalar(self, s, input):
        return s.i0(input)

    def grad(self, g, input):
        return g * I1.bind(input)


class I1(Special):
    """Modified Bessel function of the first kind, order 1.

    Example:
        >>> torch.special.i1(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.5652])
    """

    label = "SpecialI1"

    def scalar(self, s, input):
        return s.i1(input)

    def grad(self, g, input, out):
        zero = input == 0
        return g * Where.bind(zero, 0.5, I0.bind(input) - out / Where.bind(zero, 1, input))


class I0e(Special):
    """``exp(-|input|) * i0(input)``.

    Example:
        >>> torch.special.i0e(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 0.4658])
    """

    label = "SpecialI0E"

    def scalar(self, s, input):
        return s.i0e(input)

    def grad(self, g, input, out):
        return g * (I1e.bind(input) - input.sgn() * out)


class I1e(Special):
    """``exp(-|input|) * i1(input)``.

    Example:
        >>> torch.special.i1e(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.2079])
    """

    label = "SpecialI1E"

    def scalar(self, s, input):
        return s.i1e(input)

    def grad(self, g, input, out):
        zero = input == 0
        slope = I0e.bind(input) - out * (input.sgn() + Where.bind(zero, 1, input).reciprocal())
        return g * Where.bind(zero, 0.5, slope)


def gamma_density(a, x):
    """``x ** (a - 1) * exp(-x) / gamma(a)``."""
    return ((a - 1).xlogy(x) - x - a.lgamma()).exp()


def gamma_slope(a, x):
    """Derivative of Q(a, x) by a: the density times how fast a quantile moves; 0 at ``x = 0``."""
    slope = gamma_density(a, x) * StandardGammaGrad.bind(a, x)
    return slope.masked_fill(x == 0, 0)


def with_ends(s, value, a, x, low, high):
    """P or Q where one argument alone decides it, and the other may be NaN."""
    value = s.where((s.isnan(a) & (x == 0)) | ((a == math.inf) & s.isnan(x)), low, value)
    return s.where(s.isnan(a) & (x == math.inf), high, value)


class Igamma(Special):
    """Regularised lower incomplete gamma function P(input, other).

    Example:
        >>> torch.igamma(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0]))
        tensor([0.6321, 0.2642])
    """

    def scalar(self, s, input, other):
        return with_ends(s, s.gammainc(input, other), input, other, 0, 1)

    def grad_input(self, g, input, other):
        return -g * gamma_slope(input, other)

    def grad_other(self, g, input, other):
        return g * gamma_density(input, other)


class Igammac(Special):
    """Regularised upper incomplete gamma function Q(input, other) = 1 - P.

    Example:
        >>> torch.igammac(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0]))
        tensor([0.3679, 0.7358])
    """

    def scalar(self, s, input, other):
        return with_ends(s, s.gammaincc(input, other), input, other, 1, 0)

    def grad_input(self, g, input, other):
        return g * gamma_slope(input, other)

    def grad_other(self, g, input, other):
        return -g * gamma_density(input, other)


class Entr(Special):
    """``-input * log(input)``; 0 at 0, -inf below.

    Example:
        >>> torch.special.entr(torch.tensor([0.0, 0.5]))
        tensor([0.0000, 0.3466])
    """

    label = "SpecialEntr"

    def scalar(self, s, input):
        return s.entr(input)

    def grad(self, g, input):
        return g * (-input.log() - 1)


class Ndtr(Special):
    """Area under the standard normal density from -inf to ``input``.

    Example:
        >>> torch.special.ndtr(torch.tensor([0.0, 1.96]))
        tensor([0.5000, 0.9750])
    """

    def scalar(self, s, input):
        return s.ndtr(input)

    def grad(self, g, input):
        return g * ((input * input * -0.5).exp() * (1 / math.sqrt(2 * math.pi)))


class LogNdtr(Special):
    """Logarithm of ndtr, accurate for very negative ``input``.

    Example:
        >>> torch.special.log_ndtr(torch.tensor([0.0, -30.0]))
        tensor([  -0.6931, -454.3213])
    """

    label = "SpecialLogNdtr"

    def scalar(self, s, input):
        return s.log_ndtr(input)

    def grad(self, g, input):
        return g / Erfcx.bind(input * -math.sqrt(0.5)) * math.sqrt(2 / math.pi)


class Ndtri(Special):
    """Inverse of ndtr, for ``input`` in [0, 1].

    Example:
        >>> torch.special.ndtri(torch.tensor([0.5, 0.975]))
        tensor([0.0000, 1.9600])
    """

    label = "SpecialNdtri"

    def scalar(self, s, input):
        return s.ndtri(input)

    def grad(self, g, out):
        return g * ((out * out * 0.5).exp() * math.sqrt(2 * math.pi))


class Xlog1py(Special):
    """``input * log1p(other)``, 0 where ``input`` is 0 (NaN where ``other`` is).

    Shape: broadcast of both.

    Example:
        >>> torch.special.xlog1py(torch.tensor([0.0, 2.0]), torch.tensor([-1.0, 1.0]))
        tensor([0.0000, 1.3863])
    """

    def node_name(self, params, specs):
        return "SpecialXlog1PyBackward" + number_place(specs)

    def scalar(self, s, input, other):
        return s.where(s.isnan(other), other, s.where(input == 0, 0, input * s.log1p(other)))

    def grad_input(self, g, input, other):
        if not hasattr(other, "_array"):
            return g * math.log1p(other)
        return Where.bind((input == 0) & (other <= -1), 0, g * other.log1p())

    def grad_other(self, g, input, other):
        return g * input / (other + 1)


class Zeta(Special):
    """Hurwitz zeta function ``sum over k >= 0 of (k + other) ** -input``.

    Shape: broadcast of both.

    Example:
        >>> torch.special.zeta(torch.tensor([2.0]), torch.tensor([1.0]))
        tensor([1.6449])
    """

    def scalar(self, s, input, other):
        return s.zeta(input, other)

    def grad_other(self, g, input, other):
        return g * -input * Zeta.bind(input + 1, other)
