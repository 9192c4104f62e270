"""The Dirichlet distribution."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.distributions import constraints
from rushlight.distributions.distribution import checked
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.tensor_api.random_samples import _sample_dirichlet

__all__ = ["Dirichlet"]


class Dirichlet(ExponentialFamily):
    """Points of the simplex: ``p(x) ~ prod x_i^(c_i - 1)``.

    Args:
        concentration: c, > 0, along the last dim.

    Shape:
        Parameters and samples ``(*, K)``.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.Dirichlet(torch.tensor([1.0, 3.0])).mean
        tensor([0.2500, 0.7500])
    """

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        batch, event = concentration.shape[:-1], concentration.shape[-1:]
        super().__init__(batch, event, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Tensor:
        """The peak; the first corner where all concentrations are below one."""
        above = (self.concentration - 1).clamp(min=0.0)
        corner = T.arange(above.size(-1), device=above.device) == 0
        no_peak = (self.concentration < 1).all(-1, keepdim=True)
        return T.where(no_peak, corner.to(above.dtype), above / above.sum(-1, True))

    @property
    def variance(self) -> Tensor:
        c, total = self.concentration, self.concentration.sum(-1, True)
        return c * (total - c) / (total.square() * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return _sample_dirichlet(self.concentration.expand(self._extended_shape(sample_shape)))

    @checked
    def log_prob(self, value: Tensor) -> Tensor:
        c = self.concentration
        return (c - 1.0).xlogy(value).sum(-1) + T.lgamma(c.sum(-1)) - T.lgamma(c).sum(-1)

    def entropy(self) -> Tensor:
        c, k = self.concentration, self.concentration.size(-1)
        total = c.sum(-1)
        constant = T.lgamma(c).sum(-1) - T.lgamma(total) - (k - total) * T.digamma(total)
        return constant - ((c - 1.0) * T.digamma(c)).sum(-1)

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (self.concentration,)

    def _log_normalizer(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return x.lgamma().sum(-1) - T.lgamma(x.sum(-1))
