"""The binomial distribution."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.distributions import constraints
from rushlight.distributions._choice import Choice
from rushlight.distributions.distribution import checked
from rushlight.distributions.utils import broadcast_all, one_of, softplus

__all__ = ["Binomial"]


class Binomial(Choice):
    """How many of ``total_count`` trials succeed.

        P(k) = C(n, k) p^k (1 - p)^(n - k)

    Args:
        total_count: number n of trials, >= 0.
        probs: probability p of success, in [0, 1].
        logits: log-odds of success, instead of ``probs``.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.Binomial(10, torch.tensor([0.0, 1.0])).sample()
        tensor([ 0., 10.])
    """

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True

    def __init__(
        self,
        total_count: Any = 1,
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

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.mean * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return T.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    @checked
    def log_prob(self, value: Tensor) -> Tensor:
        n = self.total_count
        ways = T.lgamma(n + 1) - T.lgamma(value + 1) - T.lgamma(n - value + 1)
        return ways + value * self.logits - n * softplus(self.logits)

    def entropy(self) -> Tensor:
        self._one_count("entropy")
        log_probs = self.log_prob(self.enumerate_support(False))
        return -(log_probs.exp() * log_probs).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        count = self._one_count("enumerate_support")
        return self._enumerated(
            T.arange(1 + count, dtype=self._param.dtype, device=self._param.device), expand
        )

    def _one_count(self, function: str) -> int:
        count = int(self.total_count.max())
        if int(self.total_count.min()) != count:
            raise NotImplementedError(
                f"{function}: total_count must be the same throughout the batch; inhomogeneous "
                "total count not supported."
            )
        return count
