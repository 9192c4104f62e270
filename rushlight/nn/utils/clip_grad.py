"""Clipping gradients: scaling them down together, or limiting each element."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]

Tensors = Tensor | Iterable[Tensor]


def _listed(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: Tensors) -> list[Tensor]:
    return [p.grad for p in _listed(parameters) if p.grad is not None]


@no_grad()
def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Return the norm of all tensors together, as if they were one vector.

    Args:
        tensors: one or many.
        norm_type: p of the p-norm; inf for the largest magnitude.
        error_if_nonfinite: raise when the norm is nan or infinite.
        foreach: accepted; it changes nothing.

    Example:
        >>> nn.utils.get_total_norm([torch.tensor([3.0]), torch.tensor([4.0])])
        tensor(5.)
    """
    listed = _listed(tensors)
    if not listed:
        return T.tensor(0.0)
    order = float(norm_type)
    norms = [T.norm(t, order) for t in listed]
    dtype = functools.reduce(T.promote_types, [n.dtype for n in norms])
    total = T.norm(T.stack([n.to(dtype) for n in norms]), order)
    if error_if_nonfinite and not bool(total.isfinite()):
        raise RuntimeError(
            f"The total norm of order {order} for gradients from `parameters` is non-finite, so it "
            "cannot be clipped. To disable this error and scale the gradients by the non-finite "
            "norm anyway, set `error_if_nonfinite=False`"
        )
    return total


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients by ``min(1, max_norm / (total_norm + 1e-6))``, in place.

    Args:
        parameters: whose gradients to scale.
        max_norm: largest norm.
        total_norm: the gradients' norm, as `get_total_norm` returns it.
        foreach: accepted; it changes nothing.
    """
    factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
    for grad in _gradients(parameters):
        grad.mul_(factor.to(grad.device))


@no_grad()
def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients down, in place, so that their norm together is at most `max_norm`.

    Args:
        parameters: whose gradients to scale.
        max_norm: largest norm.
        norm_type: p of the p-norm; inf for the largest magnitude.
        error_if_nonfinite: raise when the norm is nan or infinite.
        foreach: accepted; it changes nothing.

    Returns:
        The norm before.

    Example:
        >>> w = nn.Parameter(torch.zeros(2))
        >>> w.grad = torch.tensor([3.0, 4.0])
        >>> nn.utils.clip_grad_norm_([w], 1.0), w.grad
        (tensor(5.), tensor([0.6000, 0.8000]))
    """
    listed = _listed(parameters)
    total = get_total_norm(_gradients(listed), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(listed, max_norm, total)
    return total


def clip_grad_norm(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Deprecated: use `clip_grad_norm_`."""
    warn_user(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of "
        "`torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


@no_grad()
def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Limit every element of the gradients to [-clip_value, clip_value], in place.

    Args:
        parameters: whose gradients to limit.
        clip_value: >= 0.
        foreach: accepted; it changes nothing.

    Example:
        >>> w = nn.Parameter(torch.ones(2))
        >>> w.grad = torch.tensor([-3.0, 0.2])
        >>> nn.utils.clip_grad_value_([w], 0.5)
        >>> w.grad
        tensor([-0.5000,  0.2000])
    """
    limit: Any = float(clip_value)
    for grad in _gradients(parameters):
        grad.clamp_(min=-limit, max=limit)
