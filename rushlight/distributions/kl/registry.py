"""Which formula gives the divergence of two distributions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.distributions.distribution import Distribution
from rushlight.errors import warn_user

_formulas: dict[tuple[type, type], Callable[[Any, Any], Tensor]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Any], Any]:
    """Decorator: the function is ``kl_divergence(p, q)`` for p and q of these types and their
    subclasses.

    Args:
        type_p: a Distribution type.
        type_q: a Distribution type.

    Example:
        >>> import rushlight as torch
        >>> D = torch.distributions
        >>> class Fixed(D.Normal):
        ...     pass
        >>> @D.register_kl(Fixed, D.Normal)
        ... def kl_fixed_normal(p, q):
        ...     return torch.zeros(p.batch_shape)
    """
    for name, kind in (("type_p", type_p), ("type_q", type_q)):
        if not isinstance(kind, type):  # mixins of libraries are not derived from Distribution
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {kind}")

    def register(formula: Any) -> Any:
        _formulas[type_p, type_q] = formula
        _formula_for.cache_clear()
        return formula

    return register


@functools.cache
def _formula_for(type_p: type, type_q: type) -> Callable[[Any, Any], Tensor] | None:
    """The formula registered for the nearest ancestors; p's decide where p's and q's disagree."""
    fits = [
        (type_p.__mro__.index(p), type_q.__mro__.index(q), p, q)
        for p, q in _formulas
        if issubclass(type_p, p) and issubclass(type_q, q)
    ]
    if not fits:
        return None
    by_p = min(fits, key=lambda fit: fit[:2])
    by_q = min(fits, key=lambda fit: (fit[1], fit[0]))
    if _formulas[by_p[2:]] is not _formulas[by_q[2:]]:
        warn_user(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). Please register_kl("
            f"{by_p[2].__name__}, {by_q[3].__name__})",
            RuntimeWarning,
        )
    return _formulas[by_p[2:]]


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """``E_p[log p(x) - log q(x)]``, one number per batch element; infinite where q excludes what p
    allows.

    Args:
        p: a distribution.
        q: another one over the same space.

    Example:
        >>> import rushlight as torch
        >>> D = torch.distributions
        >>> D.kl_divergence(D.Normal(0.0, 1.0), D.Normal(1.0, 1.0))
        tensor(0.5000)
    """
    formula = _formula_for(type(p), type(q))
    if formula is None:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {type(p).__name__} and q type "
            f"{type(q).__name__}; register_kl adds one."
        )
    return formula(p, q)
