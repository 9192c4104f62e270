"""Joining tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.state import state
from rushlight.core.tensor import Tensor, wrap
from rushlight.errors import ShapeError
from rushlight.ops import join as J
from rushlight.tensor_api._common import (
    expect_tensor,
    in_order_of,
    refuse_overlap,
    store_out,
    wrap_dim,
)
from rushlight.tensor_api.conversion import cast

__all__ = ["cat", "concat", "concatenate", "stack"]


def several(tensors: Any, name: str) -> list[Tensor]:
    """The tensors of a list or tuple. TypeError for one tensor, whose rows may have been meant."""
    if isinstance(tensors, Tensor):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor; put "
            "it into a list, or use unbind() for its rows."
        )
    return [expect_tensor(t, name, "tensors") for t in tensors]


def promoted(tensors: Any, name: str) -> list[Tensor]:
    """A non-empty list of tensors, brought to one dtype."""
    found = several(tensors, name)
    if not found:
        kind = ValueError if name == "cat" else RuntimeError
        raise kind(f"{name}: expected a non-empty list of Tensors")
    d = found[0]._array.dtype
    for t in found[1:]:
        d = dtypes.promote(d, t._array.dtype)
    return [cast(t, d) for t in found]


def alike(tensors: Any) -> tuple[list[Any], bool] | None:
    """The arrays of tensors of one dtype, in a list or tuple that is not empty, and whether an op
    has nothing to do but to compute with these. Else None.
    """
    if tensors.__class__ not in (list, tuple) or not tensors:
        return None
    d = tensors[0]._array.dtype if isinstance(tensors[0], Tensor) else None
    arrays, plain = [], not state.busy
    for t in tensors:
        if not isinstance(t, Tensor):
            return None
        x = t._array
        if x.dtype is not d:
            return None
        if t._tracked or x.__class__ is not np.ndarray:
            plain = False
        arrays.append(x)
    return arrays, plain


def cat(tensors: Any, dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """Tensors one after another along ``dim``; the other sizes must agree. Empty vectors are
    skipped.

    Example:
        >>> import rushlight as torch
        >>> torch.cat([torch.zeros(2), torch.ones(1)])
        tensor([0., 0., 1.])
    """
    found = alike(tensors) if out is None else None
    if found is not None:
        n = found[0][0].ndim
        if -n <= dim < n:
            try:
                arrays, plain = found
                d = dim if dim >= 0 else dim + n
                result = (
                    wrap(J.concatenated(np, arrays, d)) if plain else J.Cat.bind(*tensors, dim=d)
                )
                return result if n < 4 else in_order_of(result, *tensors)
            except ValueError:
                pass  # sizes that do not fit, or empty vectors
    parts = promoted(tensors, "cat")
    for i, t in enumerate(parts):
        if not t._array.ndim:
            raise ShapeError(
                f"zero-dimensional tensor (at position {i}) cannot be concatenated; use stack()."
            )
    first = next((t._array.shape for t in parts if t._array.shape != (0,)), (0,))
    if first == (0,):
        dim = 0  # empty vectors have any dim
    d = wrap_dim(dim, len(first))
    nothing = (*first[:d], 0, *first[d + 1 :])
    kept = [t.reshape(nothing) if t._array.shape == (0,) else t for t in parts]
    for i, t in enumerate(kept):
        s = t._array.shape
        if len(s) != len(first):
            raise ShapeError(
                f"Tensors must have same number of dimensions: got {len(first)} and {len(s)}."
            )
        if any([a != b for k, (a, b) in enumerate(zip(first, s, strict=True)) if k != d]):
            raise ShapeError(
                f"Sizes of tensors must match except in dimension {d}. Got {first} and {s} "
                f"(tensor {i} in the list)."
            )
    result = in_order_of(J.Cat.bind(*kept, dim=d), *kept)
    return result if out is None else _stored(out, result, tensors)


def _stored(out: Tensor, result: Tensor, tensors: Any) -> Tensor:
    refuse_overlap(out, *tensors)
    return store_out(out, result)


concat = concatenate = cat


def stack(tensors: Any, dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """Tensors of one shape along a new ``dim``.

    Example:
        >>> import rushlight as torch
        >>> torch.stack([torch.zeros(2), torch.ones(2)])
        tensor([[0., 0.],
                [1., 1.]])
    """
    parts, found = tensors, alike(tensors)
    if found is None:
        parts = promoted(tensors, "stack")
        found = [t._array for t in parts], False
    arrays, plain = found
    first = arrays[0].shape
    d = wrap_dim(dim, len(first) + 1)
    for i, x in enumerate(arrays):
        if x.shape != first:
            raise ShapeError(
                f"stack expects each tensor to be equal size, but got {first} at entry 0 and "
                f"{x.shape} at entry {i}."
            )
    result = wrap(J.stacked(np, arrays, d)) if plain else J.Stack.bind(*parts, dim=d)
    return result if out is None else _stored(out, result, tensors)
