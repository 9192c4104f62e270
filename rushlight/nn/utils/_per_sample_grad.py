"""Gradients of each sample of a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn.modules.module import Module
from rushlight.nn.utils.stateless import _functional_call

__all__ = ["call_for_per_sample_grads"]


def call_for_per_sample_grads(
    module: Module,
    *,
    batch_size: int | None = None,
    loss_reduction: str = "sum",
    batch_first: bool = True,
) -> Callable[..., Tensor]:
    """A form of a module whose backward leaves the gradient of each sample in its parameters'
    ``grad_sample``, ``(B, *)``, and none in ``grad``. Samples go through the module one by one.

    Args:
        module: what to call; its result is a tensor with the samples of its inputs.
        batch_size: how many samples there are; None for the size of the tensors that are passed.
        loss_reduction: how the loss joins samples: "mean" multiplies each gradient by ``B``.
        batch_first: whether samples lie along dim 0, else along dim 1.

    Raises:
        RuntimeError: an argument is of no use, or a parameter has a ``grad_sample`` already.

    Example:
        >>> from rushlight.nn.utils._per_sample_grad import call_for_per_sample_grads
        >>> layer = nn.Linear(3, 2)
        >>> call_for_per_sample_grads(layer)(torch.ones(5, 3)).sum().backward()
        >>> layer.weight.grad_sample.shape, layer.weight.grad
        (torch.Size([5, 2, 3]), None)
    """
    if loss_reduction not in ("sum", "mean"):
        raise RuntimeError(
            f"Expected loss_reduction argument to be sum or mean, got {loss_reduction}"
        )
    if not isinstance(module, Module):
        raise RuntimeError(f"Module passed must be nn.Module, got {type(module).__name__}")
    if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
        raise RuntimeError(f"Batch size must be None or a positive integer, got {batch_size!r}")
    if any([getattr(p, "grad_sample", None) is not None for p in module.parameters()]):
        raise RuntimeError(
            "call_for_per_sample_grads: a parameter has a grad_sample, which would be overwritten;"
            " set it to None."
        )
    dim = 0 if batch_first else 1

    @functools.wraps(module.forward)
    def wrapper(*args: Any, **kwargs: Any) -> Tensor:
        count = _samples([*args, *kwargs.values()], dim) if batch_size is None else batch_size
        factor = count if loss_reduction == "mean" else 1
        params = {
            name: _of_each(p, count, factor)
            for name, p in module.named_parameters()
            if p.requires_grad
        }
        results = []
        for i in range(count):
            one = functools.partial(_sample, i=i, dim=dim, count=count)
            own = {name: p[i] for name, p in params.items()}
            given = {name: one(value) for name, value in kwargs.items()}
            results.append(_functional_call(module, own, tuple(map(one, args)), given))
        return T.cat(results, dim)

    return wrapper


def _samples(values: list[Any], dim: int) -> int:
    """The size along ``dim`` that all tensors have."""
    sizes = {t.shape[dim] for t in values if isinstance(t, Tensor)}
    if len(sizes) != 1:
        raise RuntimeError(
            f"call_for_per_sample_grads: the tensors passed have {sorted(sizes)} samples in dim "
            f"{dim}, where one number is expected; pass batch_size."
        )
    return int(sizes.pop())


def _sample(value: Any, i: int, dim: int, count: int) -> Any:
    """Sample i of a tensor that has so many, as a batch of one; other values as they are."""
    batched = isinstance(value, Tensor) and value.dim() > dim and value.shape[dim] == count
    return value.narrow(dim, i, 1) if batched else value


def _of_each(parameter: Tensor, count: int, factor: int) -> Tensor:
    """The parameter once for each sample; what their gradients are goes to its ``grad_sample``."""
    each = parameter.detach().expand(count, *parameter.shape).clone().requires_grad_()

    def keep(t: Tensor) -> None:
        parameter.grad_sample = t.grad * factor  # type: ignore[attr-defined, operator]

    each.register_post_accumulate_grad_hook(keep)
    return each
