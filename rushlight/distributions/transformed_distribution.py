"""Distributions of transformed values."""

from __future__ import annotations

from typing import Any

from rushlight.core.size import Size
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.distributions import constraints
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.independent import Independent
from rushlight.distributions.transforms import ComposeTransform, Transform
from rushlight.distributions.utils import _sum_rightmost

__all__ = ["TransformedDistribution"]


class TransformedDistribution(Distribution):
    """The values of ``base_distribution`` sent through transforms.

        y = t(x),   log p(y) = log p(x) - log |det dy/dx|

    Args:
        base_distribution: of x.
        transforms: one Transform, or a list of them, the first to be applied first.

    Example:
        >>> import rushlight as torch
        >>> D = torch.distributions
        >>> logistic = D.TransformedDistribution(
        ...     D.Uniform(0.0, 1.0),
        ...     [D.transforms.SigmoidTransform().inv, D.transforms.AffineTransform(1.0, 2.0)],
        ... )
        >>> logistic.log_prob(torch.tensor(1.0))
        tensor(-2.0794)
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Any,
        validate_args: bool | None = None,
    ) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else transforms
        if not isinstance(self.transforms, list) or not all(
            [isinstance(t, Transform) for t in self.transforms]
        ):
            raise ValueError(f"transforms must be a Transform or list, but was {transforms}")
        whole = ComposeTransform(self.transforms)
        base = _broadcast(base_distribution, whole)
        taken = max(whole.domain.event_dim - len(base.event_shape), 0)
        self.base_dist = Independent(base, taken) if taken else base
        image = whole.forward_shape(base.batch_shape + base.event_shape)
        change = whole.codomain.event_dim - whole.domain.event_dim
        events = max(whole.codomain.event_dim, len(base.event_shape) + change)
        at = len(image) - events
        super().__init__(image[:at], image[at:], validate_args=validate_args)

    def _expand_parts(self, new: Any, batch_shape: Any) -> None:
        shape = Size(batch_shape) + self._event_shape
        for t in reversed(self.transforms):
            shape = t.inverse_shape(shape)
        at = len(shape) - len(self.base_dist.event_shape)
        new.base_dist = self.base_dist.expand(shape[:at])

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> Any:
        if not self.transforms:
            return self.base_dist.support
        own = self.transforms[-1].codomain
        extra = len(self._event_shape) - own.event_dim
        return constraints.independent(own, extra) if extra > 0 else own

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """As the base."""
        return self.base_dist.has_rsample

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return self._forward(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self._forward(self.base_dist.rsample(sample_shape))

    def _forward(self, x: Tensor) -> Tensor:
        for t in self.transforms:
            x = t(x)
        return x

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        events, y, stretch = len(self._event_shape), value, None
        for t in reversed(self.transforms):
            x = t.inv(y)
            events += t.domain.event_dim - t.codomain.event_dim
            own = _sum_rightmost(t.log_abs_det_jacobian(x, y), events - t.domain.event_dim)
            stretch, y = own if stretch is None else stretch + own, x
        own_events = events - len(self.base_dist.event_shape)
        result = _sum_rightmost(self.base_dist.log_prob(y), own_events)
        return result if stretch is None else -stretch + result

    def _backward(self, value: Tensor) -> Tensor:
        for t in reversed(self.transforms):
            value = t.inv(value)
        return value

    def _turned(self, share: Tensor) -> Tensor:
        """A share of the base below a value as one below its image, which decreasing maps turn
        over.
        """
        sign: Any = 1
        for t in self.transforms:
            sign = sign * t.sign
        if isinstance(sign, int) and sign == 1:
            return share
        return sign * (share - 0.5) + 0.5

    def cdf(self, value: Tensor) -> Tensor:
        value = self._backward(value)
        if self._validate_args:
            self.base_dist._validate_sample(value)  # which ends of the support turn into may be in
        return self._turned(self.base_dist.cdf(value))

    def icdf(self, value: Tensor) -> Tensor:
        return self._forward(self.base_dist.icdf(self._turned(value)))


def _broadcast(base: Distribution, whole: ComposeTransform) -> Distribution:
    """The base expanded to the shapes of the transforms' parameters."""
    shape = base.batch_shape + base.event_shape
    if len(shape) < whole.domain.event_dim:
        raise ValueError(
            f"base_distribution needs to have shape with size at least {whole.domain.event_dim}, "
            f"but got {shape}."
        )
    wide = whole.inverse_shape(whole.forward_shape(shape))
    if tuple(wide) == tuple(shape):
        return base
    return base.expand(wide[: len(wide) - len(base.event_shape)])
