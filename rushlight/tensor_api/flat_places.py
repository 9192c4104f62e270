"""Reading and writing by indices of several dims at once, or of a tensor seen as a vector."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import beside, host
from rushlight.core.tensor import Tensor, expect_tensors
from rushlight.errors import DTypeError, ShapeError
from rushlight.ops import scatter
from rushlight.ops.index import IndexPut
from rushlight.ops.places import inside
from rushlight.tensor_api._common import (
    expect_tensor,
    method,
    refuse_overlap,
    store_out,
    wrap_dim,
)
from rushlight.tensor_api.index_keys import as_mask, spread
from rushlight.tensor_api.indexing import as_number
from rushlight.tensor_api.selection import gather
from rushlight.tensor_api.shaping import broadcast_shapes

__all__ = ["index_put", "index_put_", "put", "take", "take_along_dim"]


def what_to_put(
    input: Tensor, indices: Any, values: Any, accumulate: bool
) -> tuple[tuple[bool, ...], Tensor, list[Tensor]]:
    """The pattern, the values and the index tensors of a tuple of indices, None standing for a full
    slice.
    """
    if not isinstance(indices, (tuple, list)):
        raise TypeError(
            "index_put_(): argument 'indices' (position 1) must be tuple of Tensors, not "
            f"{type(indices).__name__}"
        )
    if len(indices) == 1 and accumulate and input._array.ndim:  # as is usual
        (index,) = indices
        if isinstance(index, Tensor) and index._array.dtype is dtypes.int64:
            return (True,), expect_tensor(values, "index_put_", "values"), [index]
    found, dim = {}, 0
    for i, index in enumerate(indices):
        if index is not None:
            if not isinstance(index, Tensor):
                raise TypeError(
                    f"index_put_(): expected a Tensor as element {i} of 'indices', but got "
                    f"{type(index).__name__}; x[...] = values takes numbers, slices and lists."
                )
            if index._array.dtype is dtypes.uint8:
                index = as_mask(index)
            if index._array.dtype is dtypes.bool_ and not index._array.ndim and len(indices) == 1:
                index = index.expand(input._array.shape)  # all of input, or nothing
            found[dim] = index
            dim += index._array.ndim if index._array.dtype is dtypes.bool_ else 1
        else:
            dim += 1
    if dim > max(input._array.ndim, 1):
        raise IndexError(
            f"too many indices for tensor of dimension {input._array.ndim} (got {dim})"
        )
    expect_tensor(values, "index_put_", "values")
    if len(found) == 1 and not accumulate:
        values = as_number(values, input, *found.values())
    pattern, tensors = spread(found)
    return pattern, values, tensors


@method
def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """``input`` with ``input[indices]`` replaced by, or with ``accumulate`` increased by,
    ``values``.

    Example:
        >>> import rushlight as torch
        >>> torch.index_put(torch.zeros(3), (torch.tensor([0, 2]),), torch.tensor([1.0, 2.0]))
        tensor([1., 0., 2.])
    """
    pattern, values, tensors = what_to_put(input, indices, values, accumulate)
    return IndexPut.bind(input, values, *tensors, pattern=pattern, accumulate=accumulate)


@method
def index_put_(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """In-place form of ``index_put``."""
    pattern, values, tensors = what_to_put(input, indices, values, accumulate)
    return IndexPut.update(input, values, *tensors, pattern=pattern, accumulate=accumulate)


@method
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """``input`` as a vector, with elements ``index`` replaced by (or increased by) ``source``.

    Example:
        >>> import rushlight as torch
        >>> torch.put(torch.zeros(2, 2), torch.tensor([0, 3]), torch.tensor([1.0, 2.0]))
        tensor([[1., 0.],
                [0., 2.]])
    """
    return scatter.Put.bind(input, index, source, accumulate=accumulate)


@method
def put_(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """In-place form of ``put``."""
    return scatter.Put.update(self, index, source, accumulate=accumulate)


@method
def take(input: Tensor, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Elements ``index`` of ``input`` seen as a vector. Shape: that of ``index``.

    Example:
        >>> import rushlight as torch
        >>> torch.take(torch.tensor([[1, 2], [3, 4]]), torch.tensor([0, 3]))
        tensor([1, 4])
    """
    expect_tensors("take", input, index)
    result = scatter.Take.bind(input, index)
    if out is None:
        return result
    refuse_overlap(out, input, index)
    return store_out(out, result, exact=True)


@method
def take_along_dim(
    input: Tensor, indices: Tensor, dim: int | None = None, *, out: Tensor | None = None
) -> Tensor:
    """``gather`` with broadcasting; without ``dim``, from the flattened tensor.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([[3, 1], [0, 2]])
        >>> torch.take_along_dim(x, x.argsort(dim=1), dim=1)
        tensor([[1, 3],
                [0, 2]])
    """
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1), out=out)
    d = wrap_dim(dim, input._array.ndim)
    if indices._array.ndim != input._array.ndim:
        raise ShapeError(
            "take_along_dim(): input and indices should have the same number of dimensions: "
            f"{input._array.ndim}, {indices._array.ndim}."
        )
    if indices._array.dtype is not dtypes.int64:
        raise DTypeError(
            f"take_along_dim(): dtype of indices should be Long but got {indices.dtype}; convert "
            "with .long()."
        )
    if input._array.shape == indices._array.shape and inside(host(indices), 0, 2**63):
        return gather(input, d, indices, out=out)
    a, b = list(input._array.shape), list(indices._array.shape)
    a[d] = b[d] = 1
    common = list(broadcast_shapes(a, b))
    src, idx = list(common), list(common)
    src[d], idx[d] = input._array.shape[d], indices._array.shape[d]
    index = host(indices)
    index = (
        beside(input, np.where(index < 0, index + input._array.shape[d], index))
        if (index < 0).any()
        else indices
    )
    return gather(input.expand(src), d, index.expand(idx), out=out)
