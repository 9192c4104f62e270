"""Reading and writing by index or mask: gather, scatter, index_*, masked_*, take, nonzero."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import beside, host
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, value_needed, wrap
from rushlight.errors import DTypeError, ShapeError
from rushlight.ops import scatter as S
from rushlight.ops.index import IndexPut
from rushlight.ops.places import inside
from rushlight.tensor_api._common import (
    expect_tensor,
    method,
    methods,
    refuse_overlap,
    store_out,
    unrecorded,
    wrap_dim,
)
from rushlight.tensor_api.indexing import as_mask, places_in, spread
from rushlight.tensor_api.joining import stack
from rushlight.tensor_api.shaping import broadcast_shapes

__all__ = [
    "argwhere",
    "gather",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_put_",
    "index_reduce",
    "index_select",
    "masked_fill",
    "masked_scatter",
    "masked_select",
    "nonzero",
    "put",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "select_scatter",
    "slice_scatter",
    "diagonal_scatter",
    "as_strided_scatter",
    "take",
    "take_along_dim",
]
FEW = 1000  # elements for which fewer calls are faster


@method
def gather(
    input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False, out: Tensor | None = None
) -> Tensor:
    """``out[i][j] = input[index[i][j]][j]`` for dim 0, and so on. Shape: that of ``index``.

    Example:
        >>> import rushlight as torch
        >>> torch.tensor([[1, 2], [3, 4]]).gather(1, torch.tensor([[0, 0], [1, 0]]))
        tensor([[1, 1],
                [4, 3]])
    """
    result = S.Gather.bind(
        input, expect_tensor(index, "gather", "index"), dim=wrap_dim(dim, input._array.ndim)
    )
    if out is None:
        return result
    refuse_overlap(out, input, index)
    return store_out(out, result, exact=True)


def _scatter_call(op: Any, name: str) -> Any:
    def scatter(
        input: Tensor,
        dim: int,
        index: Tensor,
        src: Any = None,
        *,
        value: Any = None,
        reduce: str | None = None,
        out: Tensor | None = None,
    ) -> Tensor:
        result = _scatter(op.bind, input, dim, index, value if src is None else src, reduce)
        return result if out is None else store_out(out, result)

    scatter.__name__ = scatter.__qualname__ = name
    scatter.__doc__ = op.__doc__
    return scatter


def _scatter(
    apply: Any, input: Tensor, dim: int, index: Tensor, src: Any, reduce: str | None
) -> Tensor:
    expect_tensor(index, "scatter", "index")
    d = wrap_dim(dim, input._array.ndim)
    if reduce is None:
        return apply(input, index, src, dim=d)
    if reduce not in ("add", "multiply"):
        raise RuntimeError(f"reduce argument must be either add or multiply, but is {reduce!r}.")
    values = (
        src
        if isinstance(src, Tensor)
        else beside(input, np.full(index._array.shape, src, input._array.dtype))
    )
    reducer = S.ScatterReduce.update if apply is S.Scatter.update else S.ScatterReduce.bind
    return reducer(
        input, index, values, dim=d, reduce="sum" if reduce == "add" else "prod", include_self=True
    )


scatter = _scatter_call(S.Scatter, "scatter")


@method
def scatter_(
    self: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Tensor:
    """In-place form of ``scatter``."""
    return _scatter(S.Scatter.update, self, dim, index, value if src is None else src, reduce)


@method
def scatter_add(
    input: Tensor, dim: int, index: Tensor, src: Tensor, *, out: Tensor | None = None
) -> Tensor:
    """``input`` with ``input[index[i][j]][j] += src[i][j]`` for dim 0, and so on.

    Example:
        >>> import rushlight as torch
        >>> index, src = torch.tensor([0, 2, 0]), torch.tensor([1.0, 2.0, 3.0])
        >>> torch.scatter_add(torch.zeros(3), 0, index, src)
        tensor([4., 0., 2.])
    """
    result = S.ScatterAdd.bind(input, index, src, dim=wrap_dim(dim, input._array.ndim))
    return result if out is None else store_out(out, result)


@method
def scatter_add_(self: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """In-place form of ``scatter_add``."""
    return S.ScatterAdd.update(self, index, src, dim=wrap_dim(dim, self._array.ndim))


def _check_reduce(reduce: str, allowed: tuple[str, ...], name: str) -> str:
    if reduce not in allowed:
        raise RuntimeError(
            f"{name}: reduce argument must be one of {', '.join(allowed)}, but is {reduce!r}."
        )
    return reduce


KINDS = ("sum", "prod", "mean", "amax", "amin")


@method
def scatter_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
    out: Tensor | None = None,
) -> Tensor:
    """``scatter`` that combines what meets at one place by ``reduce``: sum, prod, mean, amax or
    amin.

    Example:
        >>> import rushlight as torch
        >>> index, src = torch.tensor([0, 0, 1]), torch.tensor([1.0, 5.0, 2.0])
        >>> torch.scatter_reduce(torch.zeros(2), 0, index, src, "amax")
        tensor([5., 2.])
    """
    d = wrap_dim(dim, input._array.ndim)
    result = S.ScatterReduce.bind(
        input,
        index,
        src,
        dim=d,
        reduce=_check_reduce(reduce, KINDS, "scatter_reduce"),
        include_self=include_self,
    )
    return result if out is None else store_out(out, result)


@method
def scatter_reduce_(
    self: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """In-place form of ``scatter_reduce``."""
    d = wrap_dim(dim, self._array.ndim)
    return S.ScatterReduce.update(
        self,
        index,
        src,
        dim=d,
        reduce=_check_reduce(reduce, KINDS, "scatter_reduce"),
        include_self=include_self,
    )


@method
def index_select(input: Tensor, dim: int, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Slices ``index`` of ``dim``, in that order: a copy.

    Raises:
        IndexError: an index is out of range.

    Example:
        >>> import rushlight as torch
        >>> torch.index_select(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([1, 1, 0]))
        tensor([[2, 2, 1],
                [4, 4, 3]])
    """
    result = S.IndexSelect.bind(
        input, expect_tensor(index, "index_select", "index"), dim=wrap_dim(dim, input._array.ndim)
    )
    if out is None:
        return result
    refuse_overlap(out, input, index)
    return store_out(out, result)


def _scaled(source: Tensor, alpha: Any) -> Tensor:
    return source if alpha == 1 else source * alpha


@method
def index_add(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    *,
    alpha: Any = 1,
    out: Tensor | None = None,
) -> Tensor:
    """``input`` with slice ``index[i]`` of ``dim`` increased by ``alpha`` times slice i of
    ``source``.

    Example:
        >>> import rushlight as torch
        >>> index, source = torch.tensor([0, 2, 0]), torch.tensor([1.0, 2.0, 3.0])
        >>> torch.index_add(torch.zeros(3), 0, index, source)
        tensor([4., 0., 2.])
    """
    result = S.IndexAdd.bind(
        input, index, _scaled(source, alpha), dim=wrap_dim(dim, input._array.ndim)
    )
    return result if out is None else store_out(out, result)


@method
def index_add_(self: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """In-place form of ``index_add``."""
    return S.IndexAdd.update(
        self, index, _scaled(source, alpha), dim=wrap_dim(dim, self._array.ndim)
    )


@method
def index_copy(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, out: Tensor | None = None
) -> Tensor:
    """``input`` with slice ``index[i]`` of ``dim`` replaced by slice i of ``source``."""
    result = S.IndexCopy.bind(input, index, source, dim=wrap_dim(dim, input._array.ndim))
    return result if out is None else store_out(out, result)


@method
def index_copy_(self: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """In-place form of ``index_copy``."""
    return S.IndexCopy.update(self, index, source, dim=wrap_dim(dim, self._array.ndim))


def _fill_value(value: Any) -> Any:
    if isinstance(value, Tensor):
        if value._array.ndim:
            raise RuntimeError(
                "only supports a 0-dimensional value tensor, but got tensor with "
                f"{value._array.ndim} dimension(s)."
            )
        return value.item()
    return value


@method
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """``input`` with slices ``index`` of ``dim`` set to ``value``.

    Example:
        >>> import rushlight as torch
        >>> torch.index_fill(torch.zeros(3), 0, torch.tensor([0, 2]), 7)
        tensor([7., 0., 7.])
    """
    if isinstance(value, Tensor) and value.requires_grad and not value._array.ndim:
        shape, once = list(input._array.shape), beside(input, np.unique(host(index)))
        if shape:
            shape[wrap_dim(dim, len(shape))] = once._array.size
        return index_copy(input, dim, once, value.to(input.dtype).expand(shape))
    return S.IndexFill.bind(
        input, index, dim=wrap_dim(dim, input._array.ndim), value=_fill_value(value)
    )


@method
def index_fill_(self: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """In-place form of ``index_fill``."""
    if isinstance(value, Tensor) and value.requires_grad and not value._array.ndim:
        return self.copy_(index_fill(self, dim, index, value))
    return S.IndexFill.update(
        self, index, dim=wrap_dim(dim, self._array.ndim), value=_fill_value(value)
    )


@method
def index_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
    out: Tensor | None = None,
) -> Tensor:
    """Slices of ``source`` combined into slices ``index`` of ``dim`` by ``reduce``: prod, mean,
    amax or amin.
    """
    kind = _check_reduce(reduce, KINDS[1:], "index_reduce")
    result = S.IndexReduce.bind(
        input,
        index,
        source,
        dim=wrap_dim(dim, input._array.ndim),
        reduce=kind,
        include_self=include_self,
    )
    return result if out is None else store_out(out, result)


@method
def index_reduce_(
    self: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """In-place form of ``index_reduce``."""
    kind = _check_reduce(reduce, KINDS[1:], "index_reduce")
    return S.IndexReduce.update(
        self,
        index,
        source,
        dim=wrap_dim(dim, self._array.ndim),
        reduce=kind,
        include_self=include_self,
    )


def where_to_put(input: Tensor, indices: Any) -> tuple[tuple[bool, ...], list[Tensor]]:
    """The pattern and index tensors of a tuple of indices, None standing for a full slice."""
    found, dim = {}, 0
    for index in indices:
        if index is not None:
            if index._array.dtype is dtypes.uint8:
                index = as_mask(index)
            found[dim] = index
            dim += index._array.ndim if index._array.dtype is dtypes.bool_ else 1
        else:
            dim += 1
    if dim > max(input._array.ndim, 1):
        raise IndexError(
            f"too many indices for tensor of dimension {input._array.ndim} (got {dim})"
        )
    return spread(found)


@method
def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """``input`` with ``input[indices]`` replaced by, or with ``accumulate`` increased by,
    ``values``.

    Example:
        >>> import rushlight as torch
        >>> torch.index_put(torch.zeros(3), (torch.tensor([0, 2]),), torch.tensor([1.0, 2.0]))
        tensor([1., 0., 2.])
    """
    pattern, tensors = where_to_put(input, indices)
    return IndexPut.bind(input, values, *tensors, pattern=pattern, accumulate=accumulate)


@method
def index_put_(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """In-place form of ``index_put``."""
    pattern, tensors = where_to_put(input, indices)
    return IndexPut.update(input, values, *tensors, pattern=pattern, accumulate=accumulate)


@method
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """``input`` with ``value`` where ``mask`` is True.

    Example:
        >>> import rushlight as torch
        >>> torch.zeros(2).masked_fill(torch.tensor([True, False]), 5)
        tensor([5., 0.])
    """
    if isinstance(value, Tensor) and value.requires_grad:
        return fill_with_tensor(input, mask, value)
    return S.MaskedFill.bind(
        input, expect_tensor(mask, "masked_fill", "mask"), value=_fill_value(value)
    )


def fill_with_tensor(input: Tensor, mask: Tensor, value: Tensor) -> Tensor:
    """masked_fill whose value takes part in the graph."""
    if value._array.ndim:
        raise RuntimeError(
            "masked_fill only supports a 0-dimensional value tensor, but got "
            f"{value._array.ndim} dimension(s)."
        )
    kept = S.MaskedFill.bind(input, mask, value=0)
    return kept + value.to(input.dtype) * mask.to(input.dtype)


@method
def masked_fill_(self: Tensor, mask: Tensor, value: Any) -> Tensor:
    """In-place form of ``masked_fill``."""
    if isinstance(value, Tensor) and value.requires_grad:
        return self.copy_(fill_with_tensor(self, mask, value))
    return S.MaskedFill.update(
        self, expect_tensor(mask, "masked_fill_", "mask"), value=_fill_value(value)
    )


@method
def masked_select(input: Tensor, mask: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elements where ``mask`` is True, as a vector.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([1, 5, 3])
        >>> torch.masked_select(x, x > 2)
        tensor([5, 3])
    """
    mask = expect_tensor(mask, "masked_select", "mask")
    if modes.trace is not None and mask._array.dtype == np.bool_:
        shape = broadcast_shapes(input._array.shape, mask._array.shape)
        (places,) = places_in(mask.expand(shape).reshape(-1))
        result = input.expand(shape).reshape(-1).index_select(0, places)
    else:
        result = S.MaskedSelect.bind(input, mask)
    if out is None:
        return result
    refuse_overlap(out, input, mask)
    return store_out(out, result)


@method
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """``input`` with its elements where ``mask`` is True replaced by the first elements of
    ``source``, in order.

    Example:
        >>> import rushlight as torch
        >>> mask = torch.tensor([True, False, True])
        >>> torch.masked_scatter(torch.zeros(3), mask, torch.tensor([1.0, 2.0]))
        tensor([1., 0., 2.])
    """
    return S.MaskedScatter.bind(input, mask, source)


@method
def masked_scatter_(self: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """In-place form of ``masked_scatter``."""
    return S.MaskedScatter.update(self, mask, source)


@method
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """``input`` as a vector, with elements ``index`` replaced by (or increased by) ``source``.

    Example:
        >>> import rushlight as torch
        >>> torch.put(torch.zeros(2, 2), torch.tensor([0, 3]), torch.tensor([1.0, 2.0]))
        tensor([[1., 0.],
                [0., 2.]])
    """
    return S.Put.bind(input, index, source, accumulate=accumulate)


@method
def put_(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """In-place form of ``put``."""
    return S.Put.update(self, index, source, accumulate=accumulate)


@method
def take(input: Tensor, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Elements ``index`` of ``input`` seen as a vector. Shape: that of ``index``.

    Example:
        >>> import rushlight as torch
        >>> torch.take(torch.tensor([[1, 2], [3, 4]]), torch.tensor([0, 3]))
        tensor([1, 4])
    """
    result = S.Take.bind(input, index)
    if out is None:
        return result
    refuse_overlap(out, input, index)
    return store_out(out, result)


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


@method
def nonzero(input: Tensor, *, out: Tensor | None = None, as_tuple: bool = False) -> Any:
    """Where the elements are not zero: a matrix with a row per element, or with ``as_tuple`` an
    index tensor per dim.

    Example:
        >>> import rushlight as torch
        >>> torch.tensor([0, 3, 0, 4]).nonzero()
        tensor([[1],
                [3]])
    """
    x = host(input)
    if x is input._array and out is None and not (as_tuple or state.busy) and x.ndim:
        return wrap(nonzero_rows(x))
    if out is not None and (as_tuple or out._array.dtype is not dtypes.int64):
        raise RuntimeError(
            "nonzero does not support the out kwarg when as_tuple is True."
            if as_tuple
            else f"nonzero: out has to be of dtype int64, but is {out.dtype}."
        )
    if modes.trace is not None and x.ndim and not modes.trace.is_fixed(input):
        found = places_in(input != 0)
        result = tuple(found) if as_tuple else stack(found, 1)
        return result if out is None else store_out(out, result)
    value_needed("nonzero()", input)
    if as_tuple:
        return tuple([beside(input, i) for i in nonzero_places(x if x.ndim else x.reshape(1))])
    if not x.ndim:
        result = beside(input, np.empty((int(bool(x)), 0), np.int64))
    else:
        result = beside(input, nonzero_rows(x))
    return result if out is None else store_out(out, result)


def nonzero_rows(x: Any) -> Any:
    """The indices of the elements that are not zero, a row each."""
    places = nonzero_places(x)
    if x.ndim == 1:
        return places[0].reshape(-1, 1)
    rows = np.empty((len(places[0]), x.ndim), np.int64)
    for d, found in enumerate(places):
        rows[:, d] = found
    return rows


def nonzero_places(x: Any) -> Any:
    """The index along each dim of the elements that are not zero. Of truths NumPy finds the flat
    places several times as fast as those by dim, or of numbers.
    """
    if x.size < FEW:
        return x.nonzero()
    flat = (x if x.dtype is dtypes.bool_ else x != 0).reshape(-1).nonzero()[0]
    found = []
    for n in x.shape[:0:-1]:
        rows = flat // n  # several times as fast as the remainder
        flat -= rows * n
        found.append(flat)
        flat = rows
    return [flat, *found[::-1]]


@method
def argwhere(input: Tensor) -> Tensor:
    """Where the elements are not zero, a row per element.

    Example:
        >>> import rushlight as torch
        >>> torch.argwhere(torch.tensor([[1, 0], [0, 2]]))
        tensor([[0, 0],
                [1, 1]])
    """
    return nonzero(input)


def _written_copy(input: Tensor, view: Any, src: Tensor) -> Tensor:
    out = input.clone()
    part = view(out)
    if part._array.shape != src._array.shape:
        raise ShapeError(
            f"expected src to have a size equal to the slice of self: {src._array.shape} for "
            f"{part._array.shape}."
        )
    if unrecorded(out, src) is None:
        part.copy_(src)
    else:
        part._array[...] = src._array
    return out


@method
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of ``input`` with ``select(dim, index)`` replaced by ``src``.

    Example:
        >>> import rushlight as torch
        >>> torch.select_scatter(torch.zeros(2, 2), torch.ones(2), 0, 1)
        tensor([[0., 0.],
                [1., 1.]])
    """
    return _written_copy(input, lambda t: t.select(dim, index), src)


@method
def slice_scatter(
    input: Tensor,
    src: Tensor,
    dim: int = 0,
    start: Any = None,
    end: Any = None,
    step: int = 1,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """A copy of ``input`` with a slice of ``dim`` replaced by ``src``.

    Example:
        >>> import rushlight as torch
        >>> torch.slice_scatter(torch.zeros(4), torch.ones(2), start=1, end=3)
        tensor([0., 1., 1., 0.])
    """
    d = wrap_dim(dim, input._array.ndim)
    result = _written_copy(input, lambda t: t[(slice(None),) * d + (slice(start, end, step),)], src)
    return result if out is None else store_out(out, result)


@method
def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """A copy of ``input`` with a diagonal replaced by ``src``."""
    return _written_copy(input, lambda t: t.diagonal(offset, dim1, dim2), src)


@method
def as_strided_scatter(
    input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None
) -> Tensor:
    """A copy of ``input`` with a strided window replaced by ``src``."""
    return _written_copy(input, lambda t: t.as_strided(size, stride, storage_offset), src)


methods(scatter=scatter)
