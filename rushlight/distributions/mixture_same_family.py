"""Mixtures of distributions of one family."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.size import Size
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.distributions import constraints
from rushlight.distributions.categorical import Categorical
from rushlight.distributions.distribution import Distribution, checked

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """Draws a component, then a value from it.

    Args:
        mixture_distribution: Categorical over the k components, batch shape ``(*)``.
        component_distribution: batch shape ``(*, k)``.

    Example:
        >>> import rushlight as torch
        >>> D = torch.distributions
        >>> weights = D.Categorical(torch.tensor([0.25, 0.75]))
        >>> D.MixtureSameFamily(weights, D.Normal(torch.tensor([0.0, 4.0]), 1.0)).mean
        tensor(3.)
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    has_rsample = False

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(
                "MixtureSameFamily: mixture_distribution must be a Categorical, but is "
                f"{type(mixture_distribution).__name__}."
            )
        if not isinstance(component_distribution, Distribution):
            raise ValueError(
                "MixtureSameFamily: component_distribution must be a Distribution, but is "
                f"{type(component_distribution).__name__}."
            )
        self._mixture_distribution = mixture_distribution
        self._component_distribution = component_distribution
        batch, event = component_distribution.batch_shape, component_distribution.event_shape
        self._check_shapes(mixture_distribution, batch)
        self._num_component = batch[-1]
        super().__init__(batch[:-1], event, validate_args=validate_args)

    @staticmethod
    def _check_shapes(mixture: Categorical, batch: Size) -> None:
        for a, b in zip(reversed(mixture.batch_shape), reversed(batch[:-1]), strict=False):
            if a != 1 and b != 1 and a != b:
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({mixture.batch_shape}) is not compatible "
                    f"with `component_distribution.batch_shape` ({batch})"
                )
        weights = mixture.logits.shape[-1]
        if not batch or weights != batch[-1]:
            raise ValueError(
                f"`mixture_distribution component` ({weights}) does not equal "
                f"`component_distribution.batch_shape[-1]` ({batch[-1] if batch else 'none'})"
            )

    def _expand_parts(self, new: Any, batch_shape: Any) -> None:
        wide = Size(batch_shape) + Size((self._num_component,))
        new._component_distribution = self._component_distribution.expand(wide)
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)

    @constraints.dependent_property
    def support(self) -> Any:
        return constraints.MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def mixture_distribution(self) -> Categorical:
        """The distribution over the components."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Distribution:
        """The components."""
        return self._component_distribution

    @property
    def _weights(self) -> Tensor:
        """Probabilities of the components, with the dims of an event behind, ``(*, k, 1, ...)``."""
        probs = self._mixture_distribution.probs
        return probs.reshape(probs.shape + (1,) * len(self._event_shape))

    @property
    def _dim(self) -> int:
        """The components' dim in their values."""
        return -1 - len(self._event_shape)

    @property
    def mean(self) -> Tensor:
        return (self._weights * self._component_distribution.mean).sum(self._dim)

    @property
    def variance(self) -> Tensor:
        """The mean of the components' variances plus the variance of their means."""
        part = self._component_distribution
        within = (self._weights * part.variance).sum(self._dim)
        off = part.mean - self.mean.unsqueeze(self._dim)
        return within + (self._weights * off.square()).sum(self._dim)

    @checked
    def cdf(self, value: Tensor) -> Tensor:
        below = self._component_distribution.cdf(value.unsqueeze(self._dim))
        return (below * self._mixture_distribution.probs).sum(-1)

    @checked
    def log_prob(self, value: Tensor) -> Tensor:
        each = self._component_distribution.log_prob(value.unsqueeze(self._dim))
        return (each + T.log_softmax(self._mixture_distribution.logits, dim=-1)).logsumexp(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            choice = self._mixture_distribution.sample(sample_shape)
            values = self._component_distribution.sample(sample_shape)
            dims = len(self._event_shape)
            at = choice.reshape(choice.shape + (1,) * (dims + 1))
            sizes = Size(sample_shape) + self._batch_shape + Size((1,)) + self._event_shape
            return values.gather(self._dim, at.expand(sizes)).squeeze(self._dim)

    def __repr__(self) -> str:
        parts = f"{self._mixture_distribution},\n  {self._component_distribution}"
        return f"MixtureSameFamily(\n  {parts})"
