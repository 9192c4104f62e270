"""Bessel and Airy functions and orthogonal polynomials.

They have no gradient in torch, and none here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.ops.math import same_dtype
from rushlight.ops.special import Special


class BesselJ0(Special):
    """Bessel function of the first kind, order 0.

    Example:
        >>> torch.special.bessel_j0(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 0.7652])
    """

    def scalar(self, s, input):
        return s.j0(input)


class BesselJ1(Special):
    """Bessel function of the first kind, order 1.

    Example:
        >>> torch.special.bessel_j1(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.4401])
    """

    def scalar(self, s, input):
        return s.j1(input)


class BesselY0(Special):
    """Bessel function of the second kind, order 0.

    Example:
        >>> torch.special.bessel_y0(torch.tensor([1.0, 2.0]))
        tensor([0.0883, 0.5104])
    """

    def scalar(self, s, input):
        return s.y0(input)


class BesselY1(Special):
    """Bessel function of the second kind, order 1.

    Example:
        >>> torch.special.bessel_y1(torch.tensor([1.0, 2.0]))
        tensor([-0.7812, -0.1070])
    """

    def scalar(self, s, input):
        return s.y1(input)


class BesselI0(Special):
    """Modified Bessel function of the first kind, order 0."""

    def scalar(self, s, input):
        return s.i0(input)


class BesselI1(Special):
    """Modified Bessel function of the first kind, order 1."""

    def scalar(self, s, input):
        return s.i1(input)


class BesselK0(Special):
    """Modified Bessel function of the second kind, order 0; NaN below 0.

    Example:
        >>> torch.special.modified_bessel_k0(torch.tensor([1.0, 2.0]))
        tensor([0.4210, 0.1139])
    """

    def scalar(self, s, input):
        return s.k0(input)


class BesselK1(Special):
    """Modified Bessel function of the second kind, order 1; NaN below 0.

    Example:
        >>> torch.special.modified_bessel_k1(torch.tensor([1.0, 2.0]))
        tensor([0.6019, 0.1399])
    """

    def scalar(self, s, input):
        return s.k1(input)


class ScaledBesselK0(Special):
    """``exp(input)`` times the modified Bessel function of the second kind, order 0.

    Example:
        >>> torch.special.scaled_modified_bessel_k0(torch.tensor([1.0, 2.0]))
        tensor([1.1445, 0.8416])
    """

    def scalar(self, s, input):
        return s.k0e(input)


class ScaledBesselK1(Special):
    """``exp(input)`` times the modified Bessel function of the second kind, order 1.

    Example:
        >>> torch.special.scaled_modified_bessel_k1(torch.tensor([1.0, 2.0]))
        tensor([1.6362, 1.0335])
    """

    def scalar(self, s, input):
        return s.k1e(input)


class SphericalBesselJ0(Special):
    """``sin(input) / input``, 1 at 0.

    Example:
        >>> torch.special.spherical_bessel_j0(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 0.8415])
    """

    def scalar(self, s, input):
        x = s.where((input == 0) | s.isinf(input), 1, input)
        return s.where(input == 0, 1, s.where(s.isinf(input), 0, s.sin(x) / x))


class AiryAi(Special):
    """Airy function Ai.

    Example:
        >>> torch.special.airy_ai(torch.tensor([0.0, 1.0]))
        tensor([0.3550, 0.1353])
    """

    def scalar(self, s, input):
        return s.airy(input)[0]


HIGHEST = 2.0**63  # degrees are 64-bit integers
NEXT_LOOK = 16  # degrees until results are looked at again


def fused(a, b, c):
    """``a b - c``; in float32 rounded once, as the difference of large numbers is to be precise."""
    if a.dtype == np.float32:
        return (a.astype(np.float64) * b - c).astype(np.float32)
    return a * b - c


def shifted(x, n):
    """``2 x - 1``, a number in the dtype of n."""
    return np.asarray(2 * same_dtype(x, n)[0] - 1)


class Polynomial(Special, abstract=True):
    """The polynomial of degree ``n`` (truncated to an integer; 0 below degree 0) at ``input``.

    Shape: broadcast of both.

    ``first(x)`` is the polynomial of degree 1, ``step(x, k, p, q)`` the one of degree k + 1 from
    those of degrees k and k - 1.
    """

    def first(self, x: Any) -> Any:
        """Degree 1."""
        raise NotImplementedError

    def step(self, x: Any, k: int, p: Any, q: Any) -> Any:
        """Degree k + 1."""
        raise NotImplementedError

    def eager(self, xp, input, n):
        x, n = np.broadcast_arrays(*same_dtype(input, n))
        d, n = x.dtype, np.trunc(np.where(np.abs(n) < HIGHEST, n, -1))
        out = np.where(n < 0, 0, np.ones(x.shape, d))
        before, now = np.ones(x.shape, d), self.first(x)
        for k in range(1, int(n.max(initial=0)) + 1):
            out = np.where(n == k, now, out)
            before, now = now, self.step(x, k, now, before)
            if k % NEXT_LOOK == 0 and np.isnan(now[n > k]).all():  # and so it will be for ever
                out = np.where(n > k, np.nan, out)
                break
        return out.astype(d)


class ChebyshevT(Polynomial):
    """Chebyshev polynomial of the first kind, degree ``n``: ``T[k + 1] = 2 x T[k] - T[k - 1]``.

    Example:
        >>> torch.special.chebyshev_polynomial_t(torch.tensor([0.5]), torch.tensor([2]))
        tensor([-0.5000])
    """

    def scalar(self, s, input, n):
        return s.eval_chebyt(n, input)

    def first(self, x):
        return x

    def step(self, x, k, p, q):
        return fused(2 * x, p, q)


class ChebyshevU(ChebyshevT):
    """Chebyshev polynomial of the second kind, degree ``n``.

    Example:
        >>> torch.special.chebyshev_polynomial_u(torch.tensor([0.5]), torch.tensor([2]))
        tensor([0.])
    """

    def first(self, x):
        return 2 * x


class ChebyshevV(ChebyshevT):
    """Chebyshev polynomial of the third kind, degree ``n``.

    Example:
        >>> torch.special.chebyshev_polynomial_v(torch.tensor([0.5]), torch.tensor([2]))
        tensor([-1.])
    """

    def first(self, x):
        return 2 * x - 1


class ChebyshevW(ChebyshevT):
    """Chebyshev polynomial of the fourth kind, degree ``n``.

    Example:
        >>> torch.special.chebyshev_polynomial_w(torch.tensor([0.5]), torch.tensor([2]))
        tensor([1.])
    """

    def first(self, x):
        return 2 * x + 1


class ShiftedChebyshevT(ChebyshevT):
    """Chebyshev polynomial of the first kind at ``2 input - 1``.

    Example:
        >>> torch.special.shifted_chebyshev_polynomial_t(torch.tensor([0.5]), torch.tensor([2]))
        tensor([-1.])
    """

    def eager(self, xp, input, n):
        return super().eager(xp, shifted(input, n), n)


class ShiftedChebyshevU(ChebyshevU):
    """Chebyshev polynomial of the second kind at ``2 input - 1``.

    Example:
        >>> torch.special.shifted_chebyshev_polynomial_u(torch.tensor([0.5]), torch.tensor([2]))
        tensor([-1.])
    """

    def eager(self, xp, input, n):
        return super().eager(xp, shifted(input, n), n)


class ShiftedChebyshevV(ChebyshevV):
    """Chebyshev polynomial of the third kind at ``2 input - 1``.

    Example:
        >>> torch.special.shifted_chebyshev_polynomial_v(torch.tensor([0.5]), torch.tensor([2]))
        tensor([-1.])
    """

    def eager(self, xp, input, n):
        return super().eager(xp, shifted(input, n), n)


class ShiftedChebyshevW(ChebyshevW):
    """Chebyshev polynomial of the fourth kind at ``2 input - 1``.

    Example:
        >>> torch.special.shifted_chebyshev_polynomial_w(torch.tensor([0.5]), torch.tensor([2]))
        tensor([-1.])
    """

    def eager(self, xp, input, n):
        return super().eager(xp, shifted(input, n), n)


class HermiteH(Polynomial):
    """Physicist's Hermite polynomial, degree ``n``: ``H[k + 1] = 2 x H[k] - 2 k H[k - 1]``.

    Example:
        >>> torch.special.hermite_polynomial_h(torch.tensor([0.5]), torch.tensor([2]))
        tensor([-1.])
    """

    def scalar(self, s, input, n):
        return s.eval_hermite(n, input)

    def first(self, x):
        return 2 * x

    def step(self, x, k, p, q):
        return fused(2 * x, p, 2 * k * q)


class HermiteHe(Polynomial):
    """Probabilist's Hermite polynomial, degree ``n``: ``He[k + 1] = x He[k] - k He[k - 1]``.

    Example:
        >>> torch.special.hermite_polynomial_he(torch.tensor([0.5]), torch.tensor([2]))
        tensor([-0.7500])
    """

    def scalar(self, s, input, n):
        return s.eval_hermitenorm(n, input)

    def first(self, x):
        return x

    def step(self, x, k, p, q):
        return fused(x, p, k * q)


class LaguerreL(Polynomial):
    """Laguerre polynomial, degree ``n``: ``(k + 1) L[k + 1] = (2 k + 1 - x) L[k] - k L[k - 1]``.

    Example:
        >>> torch.special.laguerre_polynomial_l(torch.tensor([0.5]), torch.tensor([2]))
        tensor([0.1250])
    """

    def scalar(self, s, input, n):
        return s.eval_laguerre(n, input)

    def first(self, x):
        return 1 - x

    def step(self, x, k, p, q):
        return fused(2 * k + 1 - x, p, k * q) / (k + 1)


class LegendreP(Polynomial):
    """Legendre polynomial, degree ``n``: ``(k + 1) P[k + 1] = (2 k + 1) x P[k] - k P[k - 1]``.

    Example:
        >>> torch.special.legendre_polynomial_p(torch.tensor([0.5]), torch.tensor([2]))
        tensor([-0.1250])
    """

    def scalar(self, s, input, n):
        return s.eval_legendre(n, input)

    def first(self, x):
        return x

    def step(self, x, k, p, q):
        return fused((2 * k + 1) * x, p, k * q) / (k + 1)
