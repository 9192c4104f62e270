"""The multinomial distribution."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.size import Size
from rushlight.core.tensor import Tensor
from rushlight.distributions import constraints
from rushlight.distributions.binomial import Binomial
from rushlight.distributions.categorical import Categorical
from rushlight.distributions.distribution import Distribution, checked
from rushlight.distributions.utils import broadcast_all

__all__ = ["Multinomial"]


class Multinomial(Distribution):
    """How often each of K categories comes up in ``total_count`` draws.

    Args:
        total_count: number of draws, an int, the same for the whole batch.
        probs: weights >= 0 along the last dim, of any sum > 0; kept normalised.
        logits: logarithms of weights, instead of ``probs``.

    Shape:
        Parameters and samples ``(*, K)``.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.Multinomial(3, torch.tensor([0.0, 1.0])).sample()
        tensor([0., 3.])
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    _parts = ("_categorical",)

    def __init__(
        self,
        total_count: int = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError(
                "Multinomial: total_count must be an int; inhomogeneous total_count is not "
                "supported."
            )
        if total_count < 0:
            raise ValueError(f"Multinomial: total_count is {total_count}; it must be at least 0.")
        self.total_count = total_count
        self._categorical = Categorical(probs=probs, logits=logits)
        batch, event = self._categorical.batch_shape, self._categorical.param_shape[-1:]
        super().__init__(batch, event, validate_args=validate_args)

    @property
    def probs(self) -> Tensor:
        """Probabilities of the categories."""
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        """Logarithms of the probabilities."""
        return self._categorical.logits

    @property
    def param_shape(self) -> Size:
        """Shape of ``probs`` and ``logits``."""
        return self._categorical.param_shape

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        sample_shape = Size(sample_shape)
        draws = self._categorical.sample(Size((self.total_count,)) + sample_shape)
        draws = draws.movedim(0, -1)  # (*sample, *batch, total_count)
        counts = self._categorical._param.new_zeros(self._extended_shape(sample_shape))
        return counts.scatter_add(
            -1, draws, T.ones(draws.shape, dtype=counts.dtype, device=counts.device)
        )

    @checked
    def log_prob(self, value: Tensor) -> Tensor:
        logits, value = broadcast_all(self.logits, value)
        ways = T.lgamma(value.sum(-1) + 1) - T.lgamma(value + 1).sum(-1)
        logits = logits.masked_fill((value == 0) & (logits == -float("inf")), 0)
        return ways + (logits * value).sum(-1)

    def entropy(self) -> Tensor:
        """``n H(category) - log n!`` plus the expected ``log k!`` of each category's count k."""
        n = self.total_count
        count = Binomial(n, self.probs, validate_args=False)
        values = count.enumerate_support(expand=False)[1:]
        expected = (count.log_prob(values).exp() * T.lgamma(values + 1)).sum((0, -1))
        return (
            n * self._categorical.entropy()
            - T.lgamma(T.tensor(n + 1.0, device=expected.device))
            + expected
        )
