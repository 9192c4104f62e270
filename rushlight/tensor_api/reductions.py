"""Sums, means and truths: many elements become few."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.op import packed
from rushlight.core.tensor import Tensor, wrap
from rushlight.errors import DTypeError
from rushlight.ops import reduce as R, statistics as S
from rushlight.ops.sums import number
from rushlight.tensor_api._common import (
    expect_tensor,
    method,
    numpy_dtype,
    refuse_keepdim,
    store_out,
    stored,
    unrecorded,
    wrap_dim,
    wrap_dims,
)
from rushlight.tensor_api.conversion import cast

__all__ = ["all", "any", "count_nonzero", "logsumexp", "mean", "nanmean", "nansum", "prod", "sum"]


def prepared(input: Tensor, dtype: Any, name: str) -> Tensor:
    """``input``, converted to ``dtype`` when that is given."""
    if dtype is not None:
        return cast(expect_tensor(input, name), numpy_dtype(dtype))
    return input if isinstance(input, Tensor) else expect_tensor(input, name)


def in_dtype(result: Tensor, dtype: Any) -> Tensor:
    """``result`` as ``dtype``: narrow integers are added up as int64, and only then converted."""
    return result if dtype is None else cast(result, numpy_dtype(dtype))


def dims_of(dim: Any, ndim: int) -> Any:
    """``dim`` as a tuple of dims >= 0, or None for all."""
    if dim.__class__ is int and -ndim <= dim < ndim:
        return (dim if dim >= 0 else dim + ndim,)
    if dim is None:
        return None
    if dim.__class__ is tuple:
        last = -1
        for d in dim:
            if d.__class__ is not int or not last < d < ndim:
                return wrap_dims(dim, ndim)
            last = d
        return dim or None
    return wrap_dims(dim, ndim)


@method
def sum(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Sum of all elements, or over ``dim`` (an int or a tuple). Integers and bool add up as int64.

    Args:
        dim: dims to sum over; None for all.
        keepdim: keep them, with size 1.
        dtype: convert to it first.

    Example:
        >>> import rushlight as torch
        >>> torch.ones(2, 3).sum(0)
        tensor([2., 2., 2.])
    """
    if keepdim.__class__ is not bool:
        refuse_keepdim("sum", keepdim)
    if dtype is not None or not isinstance(input, Tensor):
        input = prepared(input, dtype, "sum")
    result = R.Sum.bind(input, None if dim is None else dims_of(dim, input._array.ndim), keepdim)
    if dtype is not None:
        result = in_dtype(result, dtype)
    return result if out is None else store_out(out, result)  # type: ignore[no-any-return]


@method
def mean(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Mean of all elements, or over ``dim``; floating-point or complex only.

    Example:
        >>> import rushlight as torch
        >>> torch.tensor([[1.0, 2.0], [3.0, 4.0]]).mean(1)
        tensor([1.5000, 3.5000])
    """
    if keepdim.__class__ is not bool:
        refuse_keepdim("mean", keepdim)
    if dtype is not None or not isinstance(input, Tensor):
        input = prepared(input, dtype, "mean")
    result = R.Mean.bind(input, None if dim is None else dims_of(dim, input._array.ndim), keepdim)
    return result if out is None else store_out(out, result)  # type: ignore[no-any-return]


@method
def nansum(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Sum over ``dim`` of the elements that are not NaN.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([1.0, torch.nan, 3.0])
        >>> torch.nansum(x)
        tensor(4.)
    """
    if keepdim.__class__ is not bool:
        refuse_keepdim("nansum", keepdim)
    input = prepared(input, dtype, "nansum")
    result = R.Nansum.bind(input, dim=dims_of(dim, input._array.ndim), keepdim=keepdim)
    return stored(in_dtype(result, dtype), out)


@method
def nanmean(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Mean over ``dim`` of the elements that are not NaN; NaN where there are none.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([1.0, torch.nan, 3.0])
        >>> torch.nanmean(x)
        tensor(2.)
    """
    if keepdim.__class__ is not bool:
        refuse_keepdim("nanmean", keepdim)
    input = prepared(input, dtype, "nanmean")
    if input._array.dtype not in dtypes.FLOATING_TYPES | dtypes.COMPLEX_TYPES:
        raise DTypeError(
            "nanmean(): expected input to have floating point dtype but got "
            f"{dtypes.of[input._array.dtype].name}"
        )
    arrays = unrecorded(input)
    if arrays is not None and input._array.size:
        (x,), dims = arrays, dims_of(dim, input._array.ndim)
        total = np.asarray(R.Nansum.sums(x, dims, keepdim))
        if not np.isnan(total).any():
            return stored(wrap(packed(total / number(R.count_of(x.shape, dims), x.dtype))), out)
    x = input.detach()
    count = sum(x == x, dim, keepdim)
    return stored(nansum(input, dim, keepdim) / count, out)


@method
def prod(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Product of all elements, or along ``dim``, an int.

    Example:
        >>> import rushlight as torch
        >>> torch.prod(torch.tensor([[1, 2], [3, 4]]), dim=1)
        tensor([ 2, 12])
    """
    if keepdim.__class__ is not bool:
        refuse_keepdim("prod", keepdim)
    if dtype is not None or not isinstance(input, Tensor):
        input = prepared(input, dtype, "prod")
    dims = None if dim is None else dims_of(wrap_dim(dim, input._array.ndim), input._array.ndim)
    result = R.Prod.bind(input, dims, keepdim)
    if dtype is not None:
        result = in_dtype(result, dtype)
    return result if out is None else store_out(out, result)  # type: ignore[no-any-return]


def truth(op: Any, input: Tensor, dim: Any, keepdim: bool) -> Any:
    """``any`` or ``all`` over dims; over no dims at all, each element by itself."""
    if dim is None:
        return op.bind(input, None, keepdim)
    if isinstance(dim, (tuple, list)) and not dim:
        found = input != 0
        return found.to(input.dtype) if input._array.dtype == dtypes.uint8 else found
    return op.bind(input, dims_of(dim, input._array.ndim), keepdim)


@method
def any(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """Whether any element is nonzero, of all or over ``dim``.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([[True, False], [False, False]])
        >>> torch.any(x), torch.any(x, dim=1)
        (tensor(True), tensor([ True, False]))
    """
    if keepdim.__class__ is not bool:
        refuse_keepdim("any", keepdim)
    if not isinstance(input, Tensor):
        expect_tensor(input, "any")
    result = truth(R.AnyTrue, input, dim, keepdim)
    return result if out is None else store_out(out, result, exact=True)  # type: ignore[no-any-return]


@method
def all(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """Whether all elements are nonzero, of all or over ``dim``.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([[True, False], [True, True]])
        >>> torch.all(x), torch.all(x, dim=1)
        (tensor(False), tensor([False,  True]))
    """
    if keepdim.__class__ is not bool:
        refuse_keepdim("all", keepdim)
    if not isinstance(input, Tensor):
        expect_tensor(input, "all")
    result = truth(R.AllTrue, input, dim, keepdim)
    return result if out is None else store_out(out, result, exact=True)  # type: ignore[no-any-return]


@method
def count_nonzero(input: Tensor, dim: Any = None, *more: int) -> Tensor:
    """How many elements are not zero, of all or over ``dim``: an int, a tuple, or several ints.

    Example:
        >>> import rushlight as torch
        >>> torch.count_nonzero(torch.tensor([[0, 1], [2, 3]]), dim=1)
        tensor([1, 2])
    """
    dims = dims_of((dim, *more) if more else dim, input._array.ndim)
    return R.CountNonzero.bind(input, dim=dims, keepdim=False)


@method
def logsumexp(
    input: Tensor, dim: Any, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """``log(sum(exp(input)))`` over ``dim`` without overflow.

    Example:
        >>> import rushlight as torch
        >>> torch.logsumexp(torch.tensor([1000.0, 1000.0]), 0)
        tensor(1000.6932)
    """
    if keepdim.__class__ is not bool:
        refuse_keepdim("logsumexp", keepdim)
    x = expect_tensor(input, "logsumexp")._array
    if x.dtype not in dtypes.DIFFERENTIABLE:
        input = cast(input, dtypes.default.float)
    return stored(S.Logsumexp.bind(input, dim=dims_of(dim, x.ndim), keepdim=keepdim), out)
