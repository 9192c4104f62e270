"""Transform, the inverse of one, and several in a row."""

from __future__ import annotations

import copy
import functools
from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.distributions import constraints
from rushlight.distributions.utils import _sum_rightmost


class Transform:
    """A map ``y = t(x)`` with ``t.inv``, and the logarithm of how it stretches volume.

    Subclasses define ``_call`` and ``_inverse``, ``domain`` and ``codomain``, and, when they are
    bijective, ``log_abs_det_jacobian(x, y)``, which sums over the dims of an event.

    Args:
        cache_size: 1 remembers the last pair, so that ``t.inv(t(x))`` is ``x`` itself: exact, and
            for inverses that cost much or lose digits. 0 does not.
    """

    bijective: Any = False
    domain: Any
    codomain: Any

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ValueError("cache_size must be 0 or 1")
        self._cache_size = cache_size
        self._cached_x_y: tuple[Any, Any] = (None, None)
        super().__init__()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cached_x_y": (None, None)}

    @property
    def event_dim(self) -> int:
        """How many trailing dims make up one value."""
        if self.domain.event_dim == self.codomain.event_dim:
            return self.domain.event_dim
        raise ValueError("Please use either .domain.event_dim or .codomain.event_dim")

    @property
    def inv(self) -> Transform:
        """The inverse map."""
        return _InverseTransform(self)

    @property
    def sign(self) -> Any:
        """1 where the map is increasing, -1 where it is decreasing."""
        raise NotImplementedError(f"{type(self).__name__} does not define its sign.")

    def with_cache(self, cache_size: int = 1) -> Any:
        """The same map with this cache size."""
        if self._cache_size == cache_size:
            return self
        new = copy.copy(self)
        new._cache_size = cache_size
        return new

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __call__(self, x: Tensor) -> Tensor:
        """The image of x."""
        if not self._cache_size:
            return self._call(x)
        seen, image = self._cached_x_y
        if x is seen:
            return image
        y = self._call(x)
        self._cached_x_y = x, y
        return y

    def _inv_call(self, y: Tensor) -> Tensor:
        if not self._cache_size:
            return self._inverse(y)
        origin, seen = self._cached_x_y
        if y is seen:
            return origin
        x = self._inverse(y)
        self._cached_x_y = x, y
        return x

    def _call(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not define _call.")

    def _inverse(self, y: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not define _inverse.")

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``log |det dy/dx|`` at x, with ``y = self(x)``."""
        raise NotImplementedError(f"{type(self).__name__} does not define log_abs_det_jacobian.")

    def forward_shape(self, shape: Any) -> Any:
        """The shape of the image of values of this shape."""
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        """The shape of values whose image has this shape."""
        return shape

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _InverseTransform(Transform):
    """``transform`` backwards; the cache is the transform's."""

    def __init__(self, transform: Transform) -> None:
        super().__init__(cache_size=transform._cache_size)
        self._inv = transform

    @property
    def domain(self) -> Any:  # type: ignore[override]
        return self._inv.codomain

    @property
    def codomain(self) -> Any:  # type: ignore[override]
        return self._inv.domain

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return self._inv.bijective

    @property
    def sign(self) -> Any:
        return self._inv.sign

    @property
    def inv(self) -> Transform:
        return self._inv

    def with_cache(self, cache_size: int = 1) -> Any:
        return _InverseTransform(self._inv.with_cache(cache_size))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _InverseTransform) and self._inv == other._inv

    def __hash__(self) -> int:
        return hash((_InverseTransform, self._inv))

    def __call__(self, x: Tensor) -> Tensor:
        return self._inv._inv_call(x)

    def _inv_call(self, y: Tensor) -> Tensor:
        return self._inv(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -self._inv.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Any) -> Any:
        return self._inv.inverse_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self._inv.forward_shape(shape)

    def __repr__(self) -> str:
        return f"_InverseTransform({self._inv!r})"


class ComposeTransform(Transform):
    """Several transforms in a row.

    Args:
        parts: the transforms, the first to be applied first.
        cache_size: 1 gives each part a cache.

    Example:
        >>> import rushlight as torch
        >>> T = torch.distributions.transforms
        >>> T.ComposeTransform([T.AffineTransform(0.0, 2.0), T.ExpTransform()])(torch.zeros(2))
        tensor([1., 1.])
    """

    def __init__(self, parts: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size=cache_size)
        self.parts = [part.with_cache(cache_size) for part in parts] if cache_size else list(parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComposeTransform) and self.parts == other.parts

    __hash__ = object.__hash__

    @constraints.dependent_property(is_discrete=False)
    def domain(self) -> Any:  # type: ignore[override]
        if not self.parts:
            return constraints.real
        own = self.parts[0].domain
        need = self.parts[-1].codomain.event_dim
        for part in reversed(self.parts):
            need = max(
                need + part.domain.event_dim - part.codomain.event_dim, part.domain.event_dim
            )
        return _raised(own, need)

    @constraints.dependent_property(is_discrete=False)
    def codomain(self) -> Any:  # type: ignore[override]
        if not self.parts:
            return constraints.real
        own = self.parts[-1].codomain
        need = self.parts[0].domain.event_dim
        for part in self.parts:
            need = max(
                need + part.codomain.event_dim - part.domain.event_dim, part.codomain.event_dim
            )
        return _raised(own, need)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return all([part.bijective for part in self.parts])

    @property
    def sign(self) -> Any:
        return functools.reduce(lambda sign, part: sign * part.sign, self.parts, 1)

    @property
    def inv(self) -> Transform:
        return _ComposedInverse(self)

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return ComposeTransform(self.parts, cache_size=cache_size)

    def __call__(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x

    def _inv_call(self, y: Tensor) -> Tensor:
        for part in reversed(self.parts):
            y = part._inv_call(y)
        return y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The sum over the parts, each brought to the whole's event dims."""
        if not self.parts:
            return x.new_zeros(x.shape)
        values = [x]
        for part in self.parts[:-1]:
            values.append(part(values[-1]))
        values.append(y)
        total: Any = 0
        events = self.domain.event_dim
        for part, before, after in zip(self.parts, values, values[1:], strict=False):
            own = part.log_abs_det_jacobian(before, after)
            total = total + _sum_rightmost(own, events - part.domain.event_dim)
            events += part.codomain.event_dim - part.domain.event_dim
        return total

    def forward_shape(self, shape: Any) -> Any:
        for part in self.parts:
            shape = part.forward_shape(shape)
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return shape

    def __repr__(self) -> str:
        inner = ",\n    ".join([repr(part) for part in self.parts])
        return f"{type(self).__name__}(\n    {inner}\n)"


class _ComposedInverse(ComposeTransform):
    """The inverses of a composition's parts in the other order; its own inverse is the original."""

    def __init__(self, original: ComposeTransform) -> None:
        super().__init__([part.inv for part in reversed(original.parts)])
        self._original = original

    @property
    def inv(self) -> Transform:
        return self._original

    def __repr__(self) -> str:
        return ComposeTransform(self.parts).__repr__()


def _raised(constraint: Any, event_dim: int) -> Any:
    """The constraint with this many event dims."""
    extra = event_dim - constraint.event_dim
    return constraints.independent(constraint, extra) if extra else constraint


class Plain(Transform):
    """A transform without parameters: all of its type are equal."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


identity_transform = ComposeTransform([])
