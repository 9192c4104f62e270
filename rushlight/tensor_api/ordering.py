"""Sorting, ranks, and what follows from order: medians, quantiles, unique values, searches."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.device_array import beside, constant_on, driver_of, host
from rushlight.core.tensor import Tensor, fixed_number, no_tensor, value_needed, wrap
from rushlight.errors import DTypeError, ShapeError
from rushlight.ops import order as O, search as F
from rushlight.tensor_api import on_gpu
from rushlight.tensor_api._common import (
    as_int,
    expect_tensor,
    method,
    own,
    refuse_overlap,
    stored,
    stored_exactly,
    unrecorded,
    wrap_dim,
)
from rushlight.tensor_api.casting import in_float32
from rushlight.tensor_api.conversion import cast
from rushlight.tensor_api.extrema import with_index
from rushlight.tensor_api.named import named

__all__ = [
    "argsort", "bucketize", "isin", "kthvalue", "median", "mode", "msort", "nanmedian",
    "nanquantile", "quantile", "searchsorted", "sort", "topk", "unique", "unique_consecutive",
]  # fmt: skip


def rows(input: Tensor) -> Tensor:
    """A 0-dim tensor as a vector; others as they are."""
    return input if input._array.ndim else input.reshape(1)


def _like(input: Tensor, results: Any) -> list[Tensor]:
    """Results for ``rows(input)`` in input's number of dims."""
    return list(results) if input._array.ndim else [own(r.reshape(())) for r in results]


@method
def sort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False, out: Any = None
) -> Any:
    """Elements in order along ``dim``, and their indices; equal elements keep their order.

    NaN counts as largest.

    Example:
        >>> import rushlight as torch
        >>> torch.sort(torch.tensor([3, 1, 2])).indices
        tensor([1, 2, 0])
    """
    n = expect_tensor(input, "sort")._array.ndim
    d, descending = wrap_dim(dim, n), bool(descending)
    if n:
        return named("sort", O.Sort.bind(input, dim=d, descending=descending), out)
    return named("sort", _like(input, O.Sort.bind(rows(input), dim=d, descending=descending)), out)


@method
def argsort(
    input: Tensor,
    dim: int = -1,
    descending: bool = False,
    *,
    stable: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Indices that sort ``input`` along ``dim``.

    Example:
        >>> import rushlight as torch
        >>> torch.argsort(torch.tensor([3.0, 1.0, 2.0]))
        tensor([1, 2, 0])
        >>> torch.argsort(torch.tensor([3.0, 1.0, 2.0]), descending=True)
        tensor([0, 2, 1])
    """
    return stored(sort(input.detach(), dim, descending)[1], out)


@method
def msort(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Elements in order along the first dim.

    Example:
        >>> import rushlight as torch
        >>> torch.msort(torch.tensor([[3, 1], [2, 4]]))
        tensor([[2, 1],
                [3, 4]])
    """
    return stored_exactly(sort(input, 0)[0] if input._array.ndim else input.clone(), out)


@method
def topk(
    input: Tensor,
    k: int,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,
    *,
    out: Any = None,
) -> Any:
    """The ``k`` largest (or smallest) elements along ``dim``, and their indices; unless ``sorted``
    in any order.

    Example:
        >>> import rushlight as torch
        >>> torch.topk(torch.tensor([1.0, 3.0, 2.0]), 2).indices
        tensor([1, 2])
    """
    x = rows(expect_tensor(input, "topk"))
    d = wrap_dim(dim, input._array.ndim)
    if not 0 <= k <= x._array.shape[d]:
        raise RuntimeError(
            f"topk: selected index k out of range: k is {k} and dim {d} has size "
            f"{x._array.shape[d]}."
        )
    k = k if k.__class__ is int else as_int(k, "k")
    parts = O.Topk.bind(x, k=k, dim=d, largest=bool(largest), in_order=bool(sorted))
    return named("topk", _like(input, parts) if k else parts, out)


@method
def kthvalue(
    input: Tensor, k: int, dim: int = -1, keepdim: bool = False, *, out: Any = None
) -> Any:
    """The ``k``-th smallest element along ``dim`` (k counts from 1), and its index.

    Example:
        >>> import rushlight as torch
        >>> torch.kthvalue(torch.tensor([5.0, 1.0, 3.0]), 2)
        torch.return_types.kthvalue(
        values=tensor(3.),
        indices=tensor(2))
    """
    x = rows(expect_tensor(input, "kthvalue"))
    d = wrap_dim(dim, input._array.ndim)
    if not 1 <= k <= x._array.shape[d]:
        raise RuntimeError(
            f"kthvalue(): selected number k out of range for dimension {d}: k is {k}, the size "
            f"{x._array.shape[d]}."
        )
    if out is not None:
        refuse_overlap(out[0], input)
    return with_index("kthvalue", O.Kthvalue, input, dim, keepdim, out, k=as_int(k, "k"))


def _median(name: str, input: Tensor, dim: Any, keepdim: bool, out: Any, skip_nan: bool) -> Any:
    expect_tensor(input, name)
    if dim is not None:
        return with_index(name, O.Median, input, dim, keepdim, out, skip_nan=skip_nan)
    if not input._array.size:
        with np.errstate(invalid="ignore"):  # integers get what the processor makes of NaN
            nothing = np.asarray(np.nan).astype(input._array.dtype)
        return stored(beside(input, nothing), out)
    return stored(O.MedianAll.bind(input, skip_nan=skip_nan), out)


@method
def median(input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The middle element, the lower of two; along ``dim`` also its index. NaN if any element is.

    Example:
        >>> import rushlight as torch
        >>> torch.median(torch.tensor([1.0, 4.0, 2.0]))
        tensor(2.)
    """
    return _median("median", input, dim, keepdim, out, False)


@method
def nanmedian(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Any = None
) -> Any:
    """``median`` of the elements that are not NaN.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([1.0, torch.nan, 3.0])
        >>> torch.nanmedian(x)
        tensor(1.)
    """
    return _median("nanmedian", input, dim, keepdim, out, True)


@method
def mode(input: Tensor, dim: int = -1, keepdim: bool = False, *, out: Any = None) -> Any:
    """The most frequent element along ``dim``, the smallest of several, and the index of its last
    occurrence.

    Example:
        >>> import rushlight as torch
        >>> torch.mode(torch.tensor([1, 2, 2, 3]))
        torch.return_types.mode(
        values=tensor(2),
        indices=tensor(2))
    """
    return with_index("mode", O.Mode, expect_tensor(input, "mode"), dim, keepdim, out)


INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(
    name: str,
    input: Tensor,
    q: Any,
    dim: Any,
    keepdim: bool,
    interpolation: str,
    out: Any,
    skip_nan: bool,
) -> Tensor:
    d = expect_tensor(input, name)._array.dtype
    if d not in dtypes.FLOATS:
        raise DTypeError(
            f"{name}() input tensor must be either float or double dtype, not {dtypes.of[d].name}"
        )
    if interpolation not in INTERPOLATIONS:
        raise RuntimeError(
            f"{name}() interpolation must be one of {INTERPOLATIONS}, but got {interpolation!r}"
        )
    places = q if isinstance(q, Tensor) else constant_on(input, np.asarray(fixed_number(q), d))
    at = places._array
    if at.ndim > 1:
        raise ShapeError(f"{name}() q must be a scalar or 1D tensor, but has shape {at.shape}")
    if at.dtype != d:
        raise DTypeError(
            f"{name}() q tensor must be same dtype as the input tensor, but they are {at.dtype} "
            f"and {d}"
        )
    places = F.Shares.bind(places, name=name)
    axis = 0 if dim is None else wrap_dim(dim, input._array.ndim)
    arrays = None if skip_nan else unrecorded(input, places)
    if arrays is not None and input._array.size:
        x, shape = arrays[0], [1] * input._array.ndim if keepdim else []
        if dim is None or not x.ndim:
            x = x.reshape(-1)
        else:
            shape = [*x.shape[:axis], *shape[:1], *x.shape[axis + 1 :]]
            x = x if axis == x.ndim - 1 else np.moveaxis(x, axis, -1)
        return stored_exactly(
            wrap(F.quantiles(x, arrays[1], interpolation, (*at.shape, *shape))), out
        )
    flat = input.reshape(-1) if dim is None else rows(input)
    if not flat._array.size:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    last = flat.movedim(axis, -1)
    result = F.quantile(last, places.reshape(-1), interpolation, skip_nan)  # (..., q)
    result = result.movedim(-1, 0)
    if keepdim and input._array.ndim:
        shape = [1 if dim is None or i == axis else n for i, n in enumerate(input._array.shape)]
        result = result.reshape(at.size, *shape)
    elif not input._array.ndim:
        result = result.reshape(at.size)
    result = result if at.ndim else result.squeeze(0)
    return stored_exactly(known_as("SqueezeBackward4", result), out)


@method
@in_float32
def quantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    out: Tensor | None = None,
) -> Tensor:
    """The values below which a share ``q`` of the elements lies, of all or along ``dim``.

    NaN if any element is.

    Args:
        q: a number or a 1-D tensor of numbers in [0, 1]; a tensor adds a first dim.
        interpolation: between the two elements beside the place: "linear", "lower", "higher",
            "midpoint" or "nearest".

    Example:
        >>> import rushlight as torch
        >>> torch.quantile(torch.tensor([0.0, 1.0, 2.0]), 0.25)
        tensor(0.5000)
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, out, False)


@method
@in_float32
def nanquantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    out: Tensor | None = None,
) -> Tensor:
    """``quantile`` of the elements that are not NaN.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([1.0, torch.nan, 3.0])
        >>> torch.nanquantile(x, 0.5)
        tensor(2.)
    """
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, out, True)


def _answer(
    input: Tensor, output: Any, inverse: Any, counts: Any, return_inverse: bool, return_counts: bool
) -> Any:
    parts = [beside(input, output)]
    if return_inverse:
        parts.append(beside(input, inverse.astype(np.int64)))
    if return_counts:
        parts.append(beside(input, counts.astype(np.int64)))
    return parts[0] if len(parts) == 1 else tuple(parts)


@method
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements (or, with ``dim``, the distinct slices along it), in order.

    Args:
        return_inverse: also where each element of the input is among the results.
        return_counts: also how often each occurs.

    Example:
        >>> import rushlight as torch
        >>> torch.unique(torch.tensor([3, 1, 3]))
        tensor([1, 3])
    """
    x = expect_tensor(input, "unique")._array
    value_needed("unique()", input)
    if dim is not None:
        dim = wrap_dim(dim, x.ndim)
        if not x.ndim:
            dim = None
    if dim is None and x.size >= on_gpu.LEAST and driver_of(input) is not None:
        values, inverse, counts = on_gpu.unique(input)
        parts = [values, *([inverse] * return_inverse), *([counts] * return_counts)]
        return tuple(parts) if len(parts) > 1 else values
    places = return_inverse or return_counts
    return _answer(input, *F.unique(host(input), dim, places), return_inverse, return_counts)


@method
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The input without elements (or slices along ``dim``) that repeat the one before.

    Example:
        >>> import rushlight as torch
        >>> torch.unique_consecutive(torch.tensor([1, 1, 2, 1]), return_counts=True)
        (tensor([1, 2, 1]), tensor([2, 1, 1]))
    """
    x = expect_tensor(input, "unique_consecutive")._array
    value_needed("unique_consecutive()", input)
    if dim is not None:
        dim = wrap_dim(dim, x.ndim)
    return _answer(
        input,
        *F.unique_consecutive(host(input), dim, return_inverse),
        return_inverse,
        return_counts,
    )


def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Where in the last dim of ``sorted_sequence`` the values of ``input`` would keep it sorted.

    Args:
        sorted_sequence: ascending along its last dim; 1-D, or with the leading dims of input.
        right: behind equal elements instead of before them; ``side="right"`` says the same.
        sorter: indices that sort ``sorted_sequence``.

    Example:
        >>> import rushlight as torch
        >>> torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([3, 6]))
        tensor([1, 3])
    """
    if side not in (None, "left", "right"):
        raise RuntimeError(
            f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}"
        )
    if side == "left" and right:
        raise RuntimeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left "
            "while right was True"
        )
    edges = expect_tensor(sorted_sequence, "searchsorted", "sorted_sequence")._array
    values = input._array if isinstance(input, Tensor) else np.asarray(input)
    if not edges.ndim:
        raise ShapeError(
            "torch.searchsorted(): input value can be a scalar, but the boundaries must have at "
            "least 1 dimension"
        )
    if edges.ndim > 1 and edges.shape[:-1] != values.shape[:-1]:
        raise ShapeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
            "dimensions of boundaries tensor and input value tensor must match, but we got "
            f"boundaries tensor {list(edges.shape)} and input value tensor {list(values.shape)}"
        )
    if isinstance(input, Tensor) and edges.dtype != values.dtype:
        common = dtypes.result_type([edges, values])
        sorted_sequence, input = cast(sorted_sequence, common), cast(input, common)
    if sorter is not None:
        if sorter._array.shape != edges.shape:
            raise ShapeError(
                "torch.searchsorted(): boundary and sorter must have the same size, but got "
                f"{edges.shape} and {sorter._array.shape}"
            )
        if sorter._array.dtype != np.int64:
            raise DTypeError(
                "torch.searchsorted(): sorter must be a tensor of long dtype but got "
                f"{dtypes.of[sorter._array.dtype]}"
            )
        sorted_sequence = sorted_sequence.gather(-1, sorter)
    found = F.Searchsorted.bind(
        sorted_sequence, input, side="right" if right or side == "right" else "left"
    )
    return stored_exactly(cast(found, dtypes.int32) if out_int32 else found, out)


def bucketize(
    input: Any,
    boundaries: Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """The index of the bucket between ascending ``boundaries`` that each value falls into.

    Example:
        >>> import rushlight as torch
        >>> torch.bucketize(torch.tensor([0, 3, 9]), torch.tensor([1, 3, 5]))
        tensor([0, 1, 3])
        >>> torch.bucketize(torch.tensor([3]), torch.tensor([1, 3, 5]), right=True)
        tensor([2])
    """
    if expect_tensor(boundaries, "bucketize", "boundaries")._array.ndim != 1:
        raise ShapeError(
            "bucketize: boundaries tensor must be 1 dimension, but got "
            f"dim({boundaries._array.ndim})"
        )
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)


def isin(
    elements: Any = None,
    test_elements: Any = None,
    *,
    element: Any = None,
    test_element: Any = None,
    assume_unique: bool = False,
    invert: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Whether each of ``elements`` is among ``test_elements``; one of the two may be a number.

    Example:
        >>> import rushlight as torch
        >>> torch.isin(torch.tensor([1, 2, 3]), torch.tensor([2, 5]))
        tensor([False,  True, False])
    """
    elements = element if elements is None else elements
    test_elements = test_element if test_elements is None else test_elements
    if not isinstance(elements, Tensor) and not isinstance(test_elements, Tensor):
        raise no_tensor("isin", elements)
    a = elements._array if isinstance(elements, Tensor) else np.asarray(elements)
    b = test_elements._array if isinstance(test_elements, Tensor) else np.asarray(test_elements)
    for t in (a, b):
        if t.dtype is dtypes.bool_ or t.dtype in dtypes.COMPLEX_TYPES:
            raise DTypeError(
                f"Unsupported input type encountered for isin(): {dtypes.of[t.dtype].name}"
            )
    return stored_exactly(F.IsIn.bind(elements, test_elements, invert=invert), out)
