"""The Bernoulli distribution."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.distributions import constraints
from rushlight.distributions._choice import Choice
from rushlight.distributions.distribution import checked
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.distributions.utils import broadcast_all, one_of, softplus
from rushlight.ops.loss import BinaryCrossEntropyWithLogits

__all__ = ["Bernoulli"]


class Bernoulli(Choice, ExponentialFamily):
    """One with probability p, else zero.

    Args:
        probs: p in [0, 1].
        logits: log-odds ``log(p / (1 - p))``, instead of ``probs``.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.Bernoulli(torch.tensor([0.0, 1.0])).sample()
        tensor([0., 1.])
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.boolean
    has_enumerate_support = True
    _mean_carrier_measure = 0

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        if one_of(probs, logits):
            (self.probs,) = broadcast_all(probs)
        else:
            (self.logits,) = broadcast_all(logits)
        super().__init__(self._param.size(), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        mode = (self.probs >= 0.5).to(self.probs.dtype)
        return mode.masked_fill(self.probs == 0.5, float("nan"))

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return T.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    @checked
    def log_prob(self, value: Tensor) -> Tensor:
        logits, value = broadcast_all(self.logits, value)
        return -self._surprise(logits, value.to(logits.dtype))

    def entropy(self) -> Tensor:
        return self._surprise(self.logits, self.probs)

    @staticmethod
    def _surprise(logits: Tensor, value: Tensor) -> Tensor:
        return BinaryCrossEntropyWithLogits.bind(logits, value, None, reduction="none")  # type: ignore[no-any-return]

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._enumerated(
            T.arange(2, dtype=self._param.dtype, device=self._param.device), expand
        )

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (T.logit(self.probs),)

    def _log_normalizer(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return softplus(x)
