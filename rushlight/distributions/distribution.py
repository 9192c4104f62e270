"""Distribution: what all distributions have in common."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rushlight.core.size import Size
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor, holds
from rushlight.distributions import constraints
from rushlight.distributions.utils import lazy_property
from rushlight.errors import warn_user

__all__ = ["Distribution"]

_PACKAGE = __name__.rpartition(".")[0]


def checked(method: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of methods of a value: it is held against the support first."""

    @functools.wraps(method)
    def method_of_checked(self: Any, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return method(self, value)

    return method_of_checked


class Distribution:
    """A probability distribution, or a batch of them.

    A sample has the shape ``sample_shape + batch_shape + event_shape``: the events of one batch
    element are drawn from one distribution, and ``log_prob`` gives one number per event.

    A subclass stores its parameters as attributes, lists them in ``arg_constraints``, and calls
    this constructor last. ``expand`` then works by itself: it expands the attributes listed.

    Args:
        batch_shape: shape of the parameters, less the dims that belong to an event.
        event_shape: shape of one event.
        validate_args: check parameters now and values later; the default is True, unless Python
            runs with ``-O``. See ``set_default_validate_args``.
    """

    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__
    _parts: tuple[str, ...] = ()  # attributes that are distributions with the same batch shape

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Set whether distributions check their arguments when ``validate_args`` is not given."""
        if value not in (True, False):
            raise ValueError(f"value must be True or False, but is {value!r}.")
        Distribution._validate_args = value

    def __init__(
        self,
        batch_shape: Any = (),
        event_shape: Any = (),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._validate_parameters()
        super().__init__()

    def _validate_parameters(self) -> None:
        try:
            listed = self.arg_constraints
        except NotImplementedError:
            warn_user(
                f"{type(self)} does not define `arg_constraints`; set `arg_constraints = {{}}`, or "
                "pass validate_args=False."
            )
            return
        for name, constraint in listed.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and isinstance(getattr(type(self), name), lazy_property):
                continue  # it follows from another one, which is checked
            value = getattr(self, name)
            inside = constraint.check(value)
            if not holds(inside.all()):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape "
                    f"{tuple(value.shape)}) of distribution {self!r} to satisfy the constraint "
                    f"{constraint!r}, but found invalid values:\n{value}"
                )

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The distribution with its batch dims expanded to ``batch_shape``, as ``Tensor.expand``
        does.
        """
        batch_shape = Size(batch_shape)
        new = self._new_instance() if _instance is None else _instance
        parameters, known = self._event_dims(), new.__dict__
        for name, value in self.__dict__.items():
            if name in known:
                continue
            if name in parameters:
                event = value.shape[value.dim() - parameters[name] :]
                known[name] = value.expand(batch_shape + event)
            elif not isinstance(getattr(type(self), name, None), lazy_property):
                known[name] = value
        self._expand_parts(new, batch_shape)
        new._batch_shape, new._event_shape = batch_shape, self._event_shape
        return new

    def _event_dims(self) -> dict[str, int]:
        """How many trailing dims of each parameter belong to an event."""
        return {
            name: 0 if constraint is constraints.dependent else constraint.event_dim
            for name, constraint in self.arg_constraints.items()
        }

    def _expand_parts(self, new: Any, batch_shape: Any) -> None:
        for name in self._parts:
            setattr(new, name, getattr(self, name).expand(batch_shape))

    def _new_instance(self) -> Any:
        own = type(self).__init__
        return self._get_checked_instance(
            type(self) if own.__module__.startswith(_PACKAGE) else Distribution
        )

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        """A new object of this type, to be filled by the ``expand`` that ``cls`` defines."""
        if _instance is None and type(self).__init__ is not cls.__init__:
            raise NotImplementedError(
                f"{type(self).__name__} has an __init__ of its own, so it must define expand too."
            )
        return object.__new__(type(self)) if _instance is None else _instance

    @property
    def batch_shape(self) -> Size:
        """Shape of the batch of distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """Shape of one event."""
        return self._event_shape

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """The constraint of each parameter, by name."""
        raise NotImplementedError(f"{type(self).__name__} does not define arg_constraints.")

    @property
    def support(self) -> Any:
        """The constraint of samples."""
        raise NotImplementedError(f"{type(self).__name__} does not define its support.")

    @property
    def mean(self) -> Tensor:
        """Expected value."""
        raise NotImplementedError(f"{type(self).__name__} does not define its mean.")

    @property
    def mode(self) -> Tensor:
        """The most probable value."""
        raise NotImplementedError(f"{type(self).__name__} does not define its mode.")

    @property
    def variance(self) -> Tensor:
        """Expected squared distance from the mean."""
        raise NotImplementedError(f"{type(self).__name__} does not define its variance.")

    @property
    def stddev(self) -> Tensor:
        """Square root of the variance."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Samples outside the graph, of shape ``sample_shape + batch_shape + event_shape``."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples through which gradients flow to the parameters."""
        raise NotImplementedError(
            f"{type(self).__name__} has no reparametrised samples; use sample(), and log_prob() "
            "for a score-function estimate of the gradient."
        )

    def sample_n(self, n: int) -> Tensor:
        """n samples; deprecated, use ``sample((n,))``."""
        warn_user("sample_n(n) is deprecated; use sample((n,)).", FutureWarning)
        return self.sample(Size((n,)))

    def log_prob(self, value: Tensor) -> Tensor:
        """Logarithm of the density (or probability) at ``value``, one per event."""
        raise NotImplementedError(f"{type(self).__name__} does not define log_prob.")

    def cdf(self, value: Tensor) -> Tensor:
        """Probability of a sample <= ``value``."""
        raise NotImplementedError(f"{type(self).__name__} does not define cdf.")

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile of ``value`` in [0, 1]: the inverse of ``cdf``."""
        raise NotImplementedError(f"{type(self).__name__} does not define icdf.")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a discrete distribution, along a new first dim.

        Args:
            expand: give the result the batch's shape too; else size 1 in its dims.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot enumerate its support.")

    def _enumerated(self, values: Tensor, expand: bool) -> Tensor:
        """Scalar values as the result of ``enumerate_support``."""
        values = values.view((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values

    def entropy(self) -> Tensor:
        """Expected ``-log_prob`` of a sample, in nats."""
        raise NotImplementedError(f"{type(self).__name__} does not define its entropy.")

    def perplexity(self) -> Tensor:
        """``exp(entropy)``."""
        return self.entropy().exp()

    def _extended_shape(self, sample_shape: Any = ()) -> Size:
        """The shape of samples."""
        return Size(sample_shape) + self._batch_shape + self._event_shape

    def _validate_sample(self, value: Any) -> None:
        """ValueError unless ``value`` fits the shapes and lies in the support."""
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        events = len(self._event_shape)
        if value.shape[value.dim() - events :] != self._event_shape:
            raise ValueError(
                "The right-most size of value must match event_shape: "
                f"{value.shape} vs {self._event_shape}."
            )
        expected = self._batch_shape + self._event_shape
        for i, j in zip(reversed(value.shape), reversed(expected), strict=False):
            if i != 1 and j != 1 and i != j:
                raise ValueError(
                    "Value is not broadcastable with batch_shape+event_shape: "
                    f"{value.shape} vs {expected}."
                )
        self._validate_support(value)

    def _validate_support(self, value: Tensor) -> None:
        try:
            support = self.support
        except NotImplementedError:
            warn_user(
                f"{type(self)} does not define `support`, so values cannot be checked; pass "
                "validate_args=False."
            )
            return
        inside = support.check(value)
        if not holds(inside.all()):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) "
                f"to be within the support ({support!r}) of the distribution {self!r}, but found "
                f"invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        shown = []
        for name in self.arg_constraints:
            if name in self.__dict__:
                value = self.__dict__[name]
                shown.append(f"{name}: {value if value.numel() == 1 else value.size()}")
        return f"{type(self).__name__}({', '.join(shown)})"
