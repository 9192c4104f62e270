"""Sums, means, extrema and what else turns many elements into few."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.ops import reduce as R
from rushlight.tensor_api._common import method, numpy_dtype, store_out, wrap_dims
from rushlight.tensor_api.conversion import cast

__all__ = ["sum"]


@method
def sum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Tensor | None = None) -> Tensor:
    """Sum of all elements, or over ``dim`` (an int or a tuple).

    Example:
        >>> import rushlight as torch
        >>> torch.ones(2, 3).sum(0)
        tensor([2., 2., 2.])
    """
    if dim is None and dtype is None and out is None and not keepdim:
        return R.Sum.bind(input)  # type: ignore[no-any-return]
    if dtype is not None:
        input = cast(input, numpy_dtype(dtype))
    result = R.Sum.bind(input, None if dim is None else wrap_dims(dim, input._array.ndim), keepdim)
    return result if out is None else store_out(out, result)  # type: ignore[no-any-return]
