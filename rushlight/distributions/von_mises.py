"""The von Mises distribution."""

from __future__ import annotations

import math
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.size import Size
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.distributions import constraints
from rushlight.distributions.distribution import Distribution, checked
from rushlight.distributions.utils import broadcast_all
from rushlight.ops.special import I0e, I1e

__all__ = ["VonMises"]


class VonMises(Distribution):
    """The circle's counterpart of a normal distribution.

        p(x) = exp(concentration cos(x - loc)) / (2 pi I0(concentration)),   x in [-pi, pi)

    Args:
        loc: mean direction, radians.
        concentration: > 0; large values gather around ``loc``.

    Example:
        >>> import rushlight as torch
        >>> m = torch.distributions.VonMises(torch.tensor(0.0), torch.tensor(4.0))
        >>> m.variance
        tensor(0.1365)

    Reference: Best and Fisher, 1979, "Efficient Simulation of the von Mises Distribution".
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, Size(), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        """Circular variance: one less the mean resultant length."""
        return 1 - I1e.bind(self.concentration) / I0e.bind(self.concentration)

    @checked
    def log_prob(self, value: Tensor) -> Tensor:
        k = self.concentration
        log_bessel = I0e.bind(k).log() + k
        return k * T.cos(value - self.loc) - math.log(2 * math.pi) - log_bessel

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws in float64 from a wrapped Cauchy envelope until all are accepted."""
        with no_grad():
            loc, k = self.loc.double(), self.concentration.double()
            shape, r = self._extended_shape(sample_shape), _envelope(k)
            x = T.empty(shape, dtype=loc.dtype, device=loc.device)
            done = T.tensor(False, device=loc.device).expand(shape)
            while not bool(done.all()):
                u1, u2, u3 = T.rand((3, *shape), dtype=loc.dtype, device=loc.device).unbind()
                z = T.cos(math.pi * u1)
                f = (1 + r * z) / (r + z)
                c = k * (r - f)
                accept = (c * (2 - c) - u2 > 0) | ((c / u2).log() + 1 - c >= 0)
                x = T.where(accept, (u3 - 0.5).sign() * f.acos(), x)
                done = done | accept
            return ((x + math.pi + loc) % (2 * math.pi) - math.pi).to(self.loc.dtype)


def _envelope(k: Tensor) -> Tensor:
    """Best and Fisher's r; for small k, where its formula cancels, the start of its series."""
    tau = 1 + (1 + 4 * k.square()).sqrt()
    rho = (tau - (2 * tau).sqrt()) / (2 * k)
    return T.where(k < 1e-5, 1 / k + k, (1 + rho.square()) / (2 * rho))
