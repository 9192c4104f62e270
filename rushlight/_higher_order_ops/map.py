"""A function mapped over the slices of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.utils import _pytree as pytree


def slices(name: str, xs: Any, dim: int = 0) -> list[Any]:
    """The slices along ``dim`` of all tensors in ``xs``, each in a tree like ``xs``."""
    leaves, structure = pytree.tree_flatten(xs)
    if not leaves or not all([isinstance(t, Tensor) and t.ndim for t in leaves]):
        raise RuntimeError(f"{name}: xs must be made of tensors with at least one dim, not {xs!r}.")
    sizes = {t.shape[dim] for t in leaves}
    if len(sizes) != 1 or 0 in sizes:
        raise RuntimeError(
            f"{name}: sizes along dim {dim} must be equal and above 0, but are {sorted(sizes)}."
        )
    parts = [t.unbind(dim) for t in leaves]
    return [pytree.tree_unflatten(row, structure) for row in zip(*parts, strict=True)]


def stacked(results: list[Any], dim: int = 0) -> Any:
    """Trees of tensors as one, whose tensors have ``dim`` more."""
    rows = [pytree.tree_leaves(result) for result in results]
    structure = pytree.tree_structure(results[0])
    return pytree.tree_unflatten([T.stack(row, dim) for row in zip(*rows, strict=True)], structure)


def map(f: Callable[..., Any], xs: Any, *args: Any) -> Any:
    """``f(x, *args)`` of each slice ``x`` of ``xs`` along the first dim, stacked.

    Args:
        f: gives a tensor, or a tuple, list or dict of tensors.
        xs: a tensor, or a tuple, list or dict of tensors of one first size.
        args: what is the same in every call.

    Example:
        >>> import rushlight as torch
        >>> from rushlight._higher_order_ops.map import map
        >>> map(lambda x, y: x**y, torch.arange(5), torch.tensor(2))
        tensor([ 0,  1,  4,  9, 16])
    """
    return stacked([f(x, *args) for x in slices("map", xs)])
