"""The negative binomial distribution."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.distributions import constraints
from rushlight.distributions._choice import Choice
from rushlight.distributions.distribution import checked
from rushlight.distributions.gamma import Gamma
from rushlight.distributions.utils import broadcast_all, one_of, softplus

__all__ = ["NegativeBinomial"]


class NegativeBinomial(Choice):
    """How many trials succeed before ``total_count`` have failed.

        P(k) = G(k + n) / (k! G(n)) (1 - p)^n p^k

    Args:
        total_count: number n of failures that ends the experiment, >= 0, not necessarily whole.
        probs: probability p of success, in [0, 1).
        logits: log-odds of success, instead of ``probs``.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.NegativeBinomial(3, torch.tensor(0.5)).mean
        tensor(3.)
    """

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self,
        total_count: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if one_of(probs, logits):
            count, self.probs = broadcast_all(total_count, probs)
        else:
            count, self.logits = broadcast_all(total_count, logits)
        self.total_count = count.type_as(self._param)
        super().__init__(self._param.size(), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Tensor:
        return self.mean / T.sigmoid(-self.logits)

    @property
    def _gamma(self) -> Gamma:
        return Gamma(self.total_count, T.exp(-self.logits), validate_args=False)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return T.poisson(self._gamma.sample(sample_shape))

    @checked
    def log_prob(self, value: Tensor) -> Tensor:
        n, logits = self.total_count, self.logits
        ways = T.lgamma(n + value) - T.lgamma(1 + value) - T.lgamma(n)
        ways = ways.masked_fill(n + value == 0, 0.0)
        return ways - n * softplus(logits) - value * softplus(-logits)
