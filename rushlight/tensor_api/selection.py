"""Reading and writing by indices along one dim: gather, scatter, index_select, index_add ..."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.core.autograd import known_as
from rushlight.core.device_array import beside, host
from rushlight.core.tensor import Tensor
from rushlight.ops import combining, scatter as S, slices
from rushlight.ops.copy import expect_factor, filler
from rushlight.ops.weighted import number_for
from rushlight.tensor_api._common import (
    as_number,
    expect_tensor,
    method,
    methods,
    refuse_overlap,
    store_out,
    warn_once,
    wrap_dim,
)

__all__ = [
    "gather",
    "index_add",
    "index_copy",
    "index_fill",
    "index_reduce",
    "index_select",
    "scatter",
    "scatter_add",
    "scatter_reduce",
]


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
        return result if out is None else store_out(out, result, exact=True)

    scatter.__name__ = scatter.__qualname__ = name
    scatter.__doc__ = op.__doc__
    return scatter


def _scatter(
    apply: Any, input: Tensor, dim: int, index: Tensor, src: Any, reduce: str | None
) -> Tensor:
    expect_tensor(index, "scatter", "index")
    d = wrap_dim(dim, input._array.ndim)
    if reduce is None:
        out = apply(input, index, src, dim=d)
        return out if isinstance(src, Tensor) else known_as("ScatterBackward1", out)
    if reduce not in ("add", "multiply"):
        raise RuntimeError(f"reduce argument must be either add or multiply, but is {reduce!r}.")
    if isinstance(src, Tensor):
        warn_once(
            "The reduce argument of torch.scatter with Tensor src is deprecated; use "
            "torch.scatter_reduce."
        )
    values = (
        src
        if isinstance(src, Tensor)
        else beside(input, np.full(index._array.shape, filler(input._array.dtype, src)))
    )
    op = combining.ScatterReduce
    reducer = op.update if apply is S.Scatter.update else op.bind
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
    return result if out is None else store_out(out, result, exact=True)


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
    result = combining.ScatterReduce.bind(
        input,
        index,
        src,
        dim=d,
        reduce=_check_reduce(reduce, KINDS, "scatter_reduce"),
        include_self=include_self,
    )
    return result if out is None else store_out(out, result, exact=True)


@method
def scatter_reduce_(
    self: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """In-place form of ``scatter_reduce``."""
    d = wrap_dim(dim, self._array.ndim)
    return combining.ScatterReduce.update(
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
    result = slices.IndexSelect.bind(
        input, expect_tensor(index, "index_select", "index"), dim=wrap_dim(dim, input._array.ndim)
    )
    if out is None:
        return result
    refuse_overlap(out, input, index)
    return store_out(out, result, exact=True)


def _scaled(source: Tensor, alpha: Any) -> Tensor:
    """``alpha source``, of the dtype of ``source``."""
    if alpha.__class__ is int and alpha == 1:
        return source
    alpha, d = as_number(alpha), source._array.dtype
    expect_factor(alpha, d)
    return source * number_for(d, alpha)


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
    result = slices.IndexAdd.bind(
        input, index, _scaled(source, alpha), dim=wrap_dim(dim, input._array.ndim)
    )
    return result if out is None else store_out(out, result, exact=True)


@method
def index_add_(self: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """In-place form of ``index_add``."""
    return slices.IndexAdd.update(
        self, index, _scaled(source, alpha), dim=wrap_dim(dim, self._array.ndim)
    )


@method
def index_copy(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, out: Tensor | None = None
) -> Tensor:
    """``input`` with slice ``index[i]`` of ``dim`` replaced by slice i of ``source``."""
    result = slices.IndexCopy.bind(input, index, source, dim=wrap_dim(dim, input._array.ndim))
    return result if out is None else store_out(out, result, exact=True)


@method
def index_copy_(self: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """In-place form of ``index_copy``."""
    return slices.IndexCopy.update(self, index, source, dim=wrap_dim(dim, self._array.ndim))


def fill_value(value: Any) -> Any:
    """The number to fill with, also of a tensor of one."""
    if isinstance(value, Tensor):
        if value._array.ndim:
            raise RuntimeError(
                "only supports a 0-dimensional value tensor, but got tensor with "
                f"{value._array.ndim} dimension(s)."
            )
        return value.item()
    if not isinstance(value, complex) and not hasattr(value, "__float__"):
        raise TypeError(f"tensors are filled with a number, not {type(value).__name__}.")
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
        out = index_copy(input, dim, once, value.to(input.dtype).expand(shape))
        return known_as("IndexFillBackward1", out)
    out = slices.IndexFill.bind(
        input, index, dim=wrap_dim(dim, input._array.ndim), value=fill_value(value)
    )
    return known_as("IndexFillBackward1", out) if isinstance(value, Tensor) else out


@method
def index_fill_(self: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """In-place form of ``index_fill``."""
    if isinstance(value, Tensor) and value.requires_grad and not value._array.ndim:
        return self.copy_(index_fill(self, dim, index, value))
    return slices.IndexFill.update(
        self, index, dim=wrap_dim(dim, self._array.ndim), value=fill_value(value)
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
    result = combining.IndexReduce.bind(
        input,
        index,
        source,
        dim=wrap_dim(dim, input._array.ndim),
        reduce=kind,
        include_self=include_self,
    )
    return result if out is None else store_out(out, result, exact=True)


@method
def index_reduce_(
    self: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """In-place form of ``index_reduce``."""
    kind = _check_reduce(reduce, KINDS[1:], "index_reduce")
    return combining.IndexReduce.update(
        self,
        index,
        source,
        dim=wrap_dim(dim, self._array.ndim),
        reduce=kind,
        include_self=include_self,
    )


methods(scatter=scatter)
