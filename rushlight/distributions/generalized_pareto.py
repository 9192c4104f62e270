"""The generalised Pareto distribution."""

from __future__ import annotations

import math
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.distributions import constraints
from rushlight.distributions.distribution import Distribution, checked
from rushlight.distributions.utils import broadcast_all

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """What exceeds a high threshold: ``P(x > v) = (1 + c (v - loc) / scale)^(-1/c)``.

    Args:
        loc: the threshold, and smallest value.
        scale: > 0.
        concentration: c; 0 is the exponential distribution, below 0 there is a largest value, the
            mean is finite below 1, the variance below 1/2.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.GeneralizedPareto(0.0, 1.0, 0.5).mean
        tensor(2.)
    """

    arg_constraints = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True

    def __init__(
        self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.size(), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        upper = self.loc - self.scale / self.concentration
        bounded = self.concentration < 0
        return constraints.interval(self.loc, T.where(bounded, upper, math.inf))

    def _nonzero(self) -> tuple[Tensor, Tensor]:
        """Where c is practically zero, and c with ones there."""
        zero = T.isclose(self.concentration, T.zeros_like(self.concentration))
        return zero, T.where(zero, 1.0, self.concentration)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return self.icdf(T.rand(shape, dtype=self.loc.dtype, device=self.loc.device))

    @checked
    def log_prob(self, value: Tensor) -> Tensor:
        zero, c = self._nonzero()
        z = (value - self.loc) / self.scale
        return T.where(zero, -z, -(1 + 1 / c) * (c * z).log1p()) - self.scale.log()

    def log_survival_function(self, value: Tensor) -> Tensor:
        """Logarithm of the probability of a sample > ``value``."""
        zero, c = self._nonzero()
        z = (value - self.loc) / self.scale
        return T.where(zero, -z, -(c * z).log1p() / c)

    @checked
    def log_cdf(self, value: Tensor) -> Tensor:
        """Logarithm of ``cdf``."""
        return (-self.log_survival_function(value).exp()).log1p()

    @checked
    def cdf(self, value: Tensor) -> Tensor:
        return self.log_cdf(value).exp()

    def icdf(self, value: Tensor) -> Tensor:
        zero, c = self._nonzero()
        log_rest = (-value).log1p()
        z = T.where(zero, -log_rest, (-c * log_rest).expm1() / c)
        return self.loc + self.scale * z

    @property
    def mean(self) -> Tensor:
        c = self.concentration
        return T.where(c < 1, self.loc + self.scale / (1 - c), math.inf)

    @property
    def variance(self) -> Tensor:
        c = self.concentration
        finite = self.scale.square() / ((1 - c).square() * (1 - 2 * c))
        return T.where(c < 0.5, finite, math.inf)

    @property
    def mode(self) -> Tensor:
        return self.loc

    def entropy(self) -> Tensor:
        return self.scale.log() + self.concentration + 1
