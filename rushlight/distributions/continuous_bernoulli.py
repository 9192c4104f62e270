"""The continuous Bernoulli distribution."""

from __future__ import annotations

import math
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.distributions import constraints
from rushlight.distributions._choice import Choice
from rushlight.distributions.distribution import checked
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.distributions.utils import (
    broadcast_all,
    clamp_probs,
    lazy_property,
    logits_to_probs,
    one_of,
    softplus,
)

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(Choice, ExponentialFamily):
    """Values in [0, 1] of density ``C(p) p^x (1 - p)^(1 - x)``, normalised by C.

    At ``p = 1/2`` it is uniform and the closed formulas divide zero by zero; near it series stand
    in.

    Args:
        probs: p in (0, 1); not the mean.
        logits: log-odds of p, instead of ``probs``.
        lims: between these values of p the series are used.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.ContinuousBernoulli(0.5).mean
        tensor(0.5000)

    Reference: Loaiza-Ganem and Cunningham, 2019, "The continuous Bernoulli: fixing a pervasive
        error in variational autoencoders", arXiv:1907.06845.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        if one_of(probs, logits):
            (self.probs,) = broadcast_all(probs)
            if validate_args is not None and not bool(
                self.arg_constraints["probs"].check(self.probs).all()
            ):
                raise ValueError("The parameter probs has invalid values")
            self.probs = clamp_probs(self.probs)
        else:
            (self.logits,) = broadcast_all(logits)
        self._lims = lims
        super().__init__(self._param.size(), validate_args=validate_args)

    @lazy_property
    def probs(self) -> Tensor:
        """Probabilities, away from 0 and 1, where the formulas divide by zero."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def _near_half(self) -> Tensor:
        """Where p is so close to 1/2 that the series are used."""
        return (self._lims[0] < self.probs) & (self.probs <= self._lims[1])

    def _split(self) -> tuple[Tensor, Tensor, Tensor]:
        """Where the series are used; p, out of their way; and p - 1/2, zero elsewhere."""
        p, near = self.probs, self._near_half()
        return near, T.where(near, self._lims[0], p), T.where(near, p - 0.5, 0.0)

    def _log_constant(self) -> Tensor:
        near, p, d = self._split()
        exact = ((-p).log1p() - p.log()).abs().log() - (1 - 2 * p).abs().log()
        series = math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * d.square()) * d.square()
        return T.where(near, series, exact)

    @property
    def mean(self) -> Tensor:
        near, p, d = self._split()
        exact = p / (2.0 * p - 1.0) + 1.0 / ((-p).log1p() - p.log())
        return T.where(near, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * d.square()) * d, exact)

    @property
    def variance(self) -> Tensor:
        near, p, d = self._split()
        exact = p * (p - 1.0) / (1.0 - 2.0 * p).square()
        exact = exact + 1.0 / ((-p).log1p() - p.log()).square()
        square = d.square()
        series = 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * square) * square
        return T.where(near, series, exact)

    @property
    def stddev(self) -> Tensor:
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.icdf(
            T.rand(
                self._extended_shape(sample_shape), dtype=self.probs.dtype, device=self.probs.device
            )
        )

    @checked
    def log_prob(self, value: Tensor) -> Tensor:
        return value * self.logits - softplus(self.logits) + self._log_constant()

    @checked
    def cdf(self, value: Tensor) -> Tensor:
        near, p, _ = self._split()
        inside = (p.pow(value) * (1.0 - p).pow(1.0 - value) + p - 1.0) / (2.0 * p - 1.0)
        inside = T.where(near, value, inside)
        return T.where(value <= 0.0, 0.0, T.where(value >= 1.0, 1.0, inside))

    def icdf(self, value: Tensor) -> Tensor:
        near, p, _ = self._split()
        above = (-p + value * (2.0 * p - 1.0)).log1p() - (-p).log1p()
        return T.where(near, value, above / (p.log() - (-p).log1p()))

    def entropy(self) -> Tensor:
        no, yes = (-self.probs).log1p(), self.probs.log()
        return self.mean * (no - yes) - no - self._log_constant()

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (self.logits,)

    def _log_normalizer(self, x: Tensor) -> Tensor:  # type: ignore[override]
        near = (T.sigmoid(x) > self._lims[0]) & (T.sigmoid(x) <= self._lims[1])
        away = T.where(near, math.log(self._lims[0] / (1 - self._lims[0])), x)
        exact = away.expm1().abs().log() - away.abs().log()
        return T.where(near, 0.5 * x + x.square() / 24.0 - x.square().square() / 2880.0, exact)
