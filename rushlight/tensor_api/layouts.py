"""Sparse tensors: conversions, what they consist of, and products. They are made in
``sparse_tensors``; what other functions do with them is in ``ops.sparse``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import formats
from rushlight.core.tensor import Tensor, constant, value_needed, wrap
from rushlight.errors import NotSupportedError, ShapeError
from rushlight.ops.sparse import entries as E
from rushlight.ops.sparse.multiply import matrix_product
from rushlight.ops.sparse.pattern import Coordinates, compressed
from rushlight.ops.sparse.rules import is_sparse, layout_of
from rushlight.tensor_api._common import method, methods, store_out
from rushlight.tensor_api.sparse_tensors import promised

__all__ = ["dsmm", "hsmm", "hspmm", "smm", "spmm"]

TITLES = {
    formats.strided: "Strided",
    formats.sparse_coo: "Sparse",
    formats.sparse_csr: "SparseCsr",
    formats.sparse_csc: "SparseCsc",
}


# Conversions


@method
def to_sparse(
    self: Tensor,
    sparse_dim: int | None = None,
    *,
    layout: Any = None,
    blocksize: Any = None,
    dense_dim: int | None = None,
) -> Tensor:
    """The elements that are not zero, as a sparse tensor.

    Args:
        sparse_dim: how many leading dims are sparse; the rest stays dense (default: all).
        layout: ``torch.sparse_coo`` (default), ``torch.sparse_csr`` or ``torch.sparse_csc``.

    Example:
        >>> import rushlight as torch
        >>> torch.eye(2).to_sparse()
        tensor(indices=tensor([[0, 1],
                               [0, 1]]),
               values=tensor([1., 1.]),
               size=(2, 2), nnz=2, layout=torch.sparse_coo)
    """
    if layout not in (None, *TITLES) or layout is formats.strided or blocksize is not None:
        raise ShapeError(
            f"to_sparse: the layout must be torch.sparse_coo, sparse_csr or sparse_csc, without "
            f"blocks, but is {layout}."
        )
    if dense_dim:
        sparse_dim = self._array.ndim - dense_dim
    if is_sparse(self):
        return converted(self, sparse_dim, layout)
    value_needed("the places of a sparse tensor", self)
    x = self._array
    n = x.ndim if sparse_dim is None else sparse_dim
    if not 0 <= n <= x.ndim:
        raise ShapeError(
            f"dense_to_sparse: sparse_dim argument must be in [0,{x.ndim}] range, but {n} is given"
        )
    if not n and x.ndim:
        raise ShapeError("dense_to_sparse: sparse_dim argument must be in >0 when self.dim()>0")
    some = x != 0 if n == x.ndim else (x != 0).any(tuple(range(n, x.ndim)))
    places = np.stack(np.nonzero(some)) if n else np.empty((0, int(some.any())), np.int64)
    pattern = Coordinates(frozen(places), x.shape[:n], True)
    label = "ToSparse" if layout in (None, formats.sparse_coo) else "ToSparseCsr"
    out = E.assembled(E.Pick.bind(self, pattern=pattern), pattern, label)
    return converted(out, None, layout)


def frozen(a: Any) -> Any:
    """The array, which nobody may write to any more."""
    a.flags.writeable = False
    return a


def converted(x: Tensor, sparse_dim: int | None, layout: Any) -> Tensor:
    """A sparse tensor in another layout; itself if it has that."""
    pattern = x._array.pattern
    layout = layout or formats.sparse_coo
    if sparse_dim not in (None, len(pattern.shape)):
        raise ShapeError(
            "to_sparse: conversion from Sparse to Sparse with sparse_dim argument "
            "!=self.sparse_dim() is not supported: convert with .to_dense() first."
        )
    if layout is pattern.layout:
        return x
    if layout is formats.sparse_coo:
        return E.coalesced(x)
    if len(pattern.shape) != 2 or x._array.values.ndim != 1:
        raise ShapeError(
            f"to_sparse: only matrices can be in the layout {layout}, but the tensor has shape "
            f"{tuple(x._array.shape)}."
        )
    x = E.coalesced(x)
    target, places = compressed(x._array.pattern, int(layout is formats.sparse_csc))
    values = E.values_of(x)
    values = values if places is None else E.chosen(values, places)
    return E.assembled(values, target, "ToSparseCsr")


@method
def to_dense(self: Tensor, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
    """The tensor with all its zeros; a dense one as it is."""
    out = E.dense_of(self) if is_sparse(self) else self
    return out if dtype is None else out.to(dtype)


@method
def sparse_mask(self: Tensor, mask: Tensor) -> Tensor:
    """The elements at the places of ``mask``, a sparse tensor of the same shape."""
    need(mask, "sparse_mask")
    if mask._array.shape != self._array.shape:
        raise ShapeError(
            f"sparse_mask(): operands have incompatible sizes; self has size "
            f"{list(self._array.shape)} but mask has size {list(mask._array.shape)}"
        )
    pattern = mask._array.pattern
    if isinstance(pattern, Coordinates):
        pattern = pattern.merged.pattern
    return E.assembled(E.entries_at(self, pattern), pattern, "SparseMask")


# What a sparse tensor consists of


def need(t: Tensor, name: str, *layouts: Any, kind: str = "sparse") -> None:
    """RuntimeError for a tensor of another layout."""
    found = layout_of(t) if is_sparse(t) else formats.strided
    if found is formats.strided or (layouts and found not in layouts):
        raise NotSupportedError(
            f"{name} expected {kind} tensor layout but got {TITLES[found]}; convert with "
            ".to_sparse()."
        )


COO = formats.sparse_coo


@method
def coalesce(self: Tensor) -> Tensor:
    """The tensor with each place once, in order: values at the same place are added."""
    need(self, "coalesce", COO, kind="sparse coordinate")
    return E.coalesced(self)


@method
def is_coalesced(self: Tensor) -> bool:
    """Whether each place is known to occur once, in order."""
    need(self, "is_coalesced", COO, kind="sparse coordinate")
    return bool(self._array.pattern.coalesced)


@method
def _coalesced_(self: Tensor, coalesced: bool) -> Tensor:
    """Mark each place as known to occur once, in order, where that is so; or as not known to."""
    need(self, "_coalesced_", COO, kind="sparse coordinate")
    array = self._array
    plain = Coordinates(array.pattern.coordinates, array.pattern.shape)
    array.pattern = promised(plain, None) if coalesced else plain
    return self


def need_coalesced(t: Tensor, name: str) -> None:
    if layout_of(t) is COO and not t._array.pattern.coalesced:
        raise ShapeError(
            f"Cannot get {name} on an uncoalesced tensor, please call .coalesce() first"
        )


@method
def indices(self: Tensor) -> Tensor:
    """The places of a coalesced tensor's entries, ``(sparse dims, entries)``; read-only memory."""
    need(self, "indices", COO, kind="sparse coordinate")
    need_coalesced(self, "indices")
    return constant(self._array.pattern.coordinates)


@method
def values(self: Tensor) -> Tensor:
    """The values of a coalesced tensor, on its memory, in the graph."""
    need(self, "values")
    need_coalesced(self, "values")
    return E.values_of(self)


def _indices(self: Tensor) -> Tensor:
    """The places of all entries, coalesced or not."""
    need(self, "_indices", COO, kind="sparse coordinate")
    return constant(self._array.pattern.coordinates)


def _values(self: Tensor) -> Tensor:
    """The values of all entries, outside the graph."""
    need(self, "_values")
    return wrap(self._array.values)


def _nnz(self: Tensor) -> int:
    """The number of entries."""
    need(self, "_nnz")
    return int(self._array.pattern.count)


@method
def sparse_dim(self: Tensor) -> int:
    """How many dims are sparse; 0 of a dense tensor."""
    return len(self._array.pattern.shape) if is_sparse(self) else 0


@method
def dense_dim(self: Tensor) -> int:
    """How many dims are dense."""
    return int(self._array.ndim) - sparse_dim(self)


def _part(name: str, layout: Any, kind: str, field: str) -> Any:
    def part(self: Tensor) -> Tensor:
        need(self, name, layout, kind=kind)
        return constant(getattr(self._array.pattern, field))

    part.__name__ = name
    part.__doc__ = f"The {name} of a {layout} matrix; read-only memory."
    return part


BY_ROWS = formats.sparse_csr, "sparse row compressed"
BY_COLUMNS = formats.sparse_csc, "sparse column compressed"


def to_sparse_coo(self: Tensor) -> Tensor:
    """The tensor in the layout ``torch.sparse_coo``."""
    return to_sparse(self)


def to_sparse_csr(self: Tensor, dense_dim: int | None = None) -> Tensor:
    """The matrix in the layout ``torch.sparse_csr``."""
    return to_sparse(self, layout=formats.sparse_csr, dense_dim=dense_dim)


def to_sparse_csc(self: Tensor, dense_dim: int | None = None) -> Tensor:
    """The matrix in the layout ``torch.sparse_csc``."""
    return to_sparse(self, layout=formats.sparse_csc, dense_dim=dense_dim)


# Products


@method
def spmm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Product of two matrices, of which the first is sparse."""
    result = input.mm(mat2)
    return result if out is None else store_out(out, result)


@method
def smm(input: Tensor, mat: Tensor) -> Tensor:
    """Product of a sparse and a dense matrix, as a sparse one."""
    need(input, "smm")
    return to_sparse(matrix_product(input, mat))


def hspmm(mat1: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Product of a sparse and a dense matrix, with sparse rows: those that ``mat1`` has."""
    need(mat1, "hspmm", COO, kind="sparse coordinate")
    rows = np.unique(mat1._array.pattern.coordinates[0])
    pattern = Coordinates(frozen(rows.reshape(1, -1)), mat1._array.shape[:1], True)
    return E.assembled(E.Pick.bind(matrix_product(mat1, mat2), pattern=pattern), pattern, "Hspmm")


dsmm, hsmm = spmm, hspmm


methods(
    is_sparse=property(
        lambda self: is_sparse(self) and layout_of(self) is COO,
        doc="Whether the layout is ``torch.sparse_coo``.",
    ),
    is_sparse_csr=property(
        lambda self: is_sparse(self) and layout_of(self) is formats.sparse_csr,
        doc="Whether the layout is ``torch.sparse_csr``.",
    ),
    layout=property(
        lambda self: layout_of(self) if is_sparse(self) else formats.strided,
        doc="How elements are held: ``torch.strided``, or a sparse layout.",
    ),
    _indices=_indices,
    _values=_values,
    _nnz=_nnz,
    _dimI=sparse_dim,
    _dimV=dense_dim,
    crow_indices=_part("crow_indices", *BY_ROWS, "starts"),
    col_indices=_part("col_indices", *BY_ROWS, "others"),
    ccol_indices=_part("ccol_indices", *BY_COLUMNS, "starts"),
    row_indices=_part("row_indices", *BY_COLUMNS, "others"),
    to_sparse_coo=to_sparse_coo,
    to_sparse_csr=to_sparse_csr,
    to_sparse_csc=to_sparse_csc,
)
