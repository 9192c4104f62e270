"""Sparse tensors: constructors, conversions, and what they consist of. What other functions do with
them: ``ops.sparse``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import devices, dtypes, formats
from rushlight.core.sparse import SparseArray
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor, constant, value_needed, wrap
from rushlight.errors import NotSupportedError, ShapeError
from rushlight.ops.sparse import entries as E
from rushlight.ops.sparse.multiply import matrix_product
from rushlight.ops.sparse.pattern import (
    Compressed,
    Coordinates,
    Pattern,
    compressed,
    empty_pattern,
)
from rushlight.ops.sparse.rules import is_sparse, layout_of
from rushlight.tensor_api._common import (
    method,
    methods,
    numpy_dtype,
    shape_of,
    store_out,
)
from rushlight.tensor_api.from_data import array_from, tensor

__all__ = [
    "dsmm",
    "hsmm",
    "hspmm",
    "smm",
    "sparse_compressed_tensor",
    "sparse_coo_tensor",
    "sparse_csc_tensor",
    "sparse_csr_tensor",
    "spmm",
]

TITLES = {
    formats.strided: "Strided",
    formats.sparse_coo: "Sparse",
    formats.sparse_csr: "SparseCsr",
    formats.sparse_csc: "SparseCsc",
}


class Invariants:
    """Whether constructors check that entries are in order; that indices are in range they always
    do.
    """

    on = False


# Constructors


def check_on_cpu(device: Any) -> None:
    """Sparse tensors are on the CPU only."""
    if devices.check(device).type != "cpu":
        raise NotSupportedError(
            f"a sparse tensor cannot be on {devices.check(device)}: make it with device='cpu'."
        )


def sparse_coo_tensor(
    indices: Any = None,
    values: Any = None,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> Tensor:
    """A tensor that is zero but for ``values`` at ``indices``; values at the same place add up.

    Gradients flow to ``values``. The indices are copied, the values are not.

    Args:
        indices: integers, ``(sparse dims, entries)``; or the size, of a tensor without entries.
        values: ``(entries, *dense dims)``.
        size: the shape; by default the smallest that holds the indices.
        dtype: of the values.
        requires_grad: make the tensor a leaf that records operations.
        check_invariants: also check ``is_coalesced``.
        is_coalesced: True promises that each place occurs once, in order.

    Raises:
        RuntimeError: sizes do not fit, or an index is out of range.

    Example:
        >>> import rushlight as torch
        >>> torch.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3))
        tensor(indices=tensor([[0, 1],
                               [2, 0]]),
               values=tensor([3., 4.]),
               size=(2, 3), nnz=2, layout=torch.sparse_coo)
    """
    check_on_cpu(device)
    if values is None:
        if indices is None and size is None:
            raise TypeError(
                "sparse_coo_tensor: expected indices and values, or the size of a tensor without "
                "entries, but got neither."
            )
        shape = shape_of((indices if size is None else size,), "sparse_coo_tensor")
        return no_entries(shape, numpy_dtype(dtype, dtypes.default.float), requires_grad)
    values = as_values(values, dtype)
    v = values._array
    pattern = pattern_of(indices, v.shape, None if size is None else shape_of((size,), "size"))
    if v.shape[0] != pattern.count:
        raise ShapeError(
            "sparse_coo_tensor: indices and values must have same nnz, but got nnz from indices: "
            f"{pattern.count}, nnz from values: {v.shape[0]}"
        )
    if is_coalesced:
        pattern = promised(pattern, check_invariants)
    return finished(values, pattern, "SparseCooTensorWithDimsAndTensors", requires_grad)


def as_values(values: Any, dtype: Any) -> Tensor:
    """The values as a tensor, of one dim at least."""
    if not isinstance(values, Tensor):
        values = tensor(values)
    if is_sparse(values):
        raise TypeError("expected values to be a strided tensor; take their .coalesce().values()")
    if dtype is not None:
        values = values.to(dtype)
    return values if values._array.ndim else values.reshape(1)


def finished(values: Tensor, pattern: Pattern, name: str, requires_grad: bool) -> Tensor:
    """The sparse tensor of these values."""
    if requires_grad:
        values = values.detach()
    t = E.assembled(values, pattern, name)
    return t.requires_grad_() if requires_grad else t


def no_entries(shape: tuple[int, ...], d: Any, requires_grad: bool = False) -> Tensor:
    """Zeros without entries."""
    t = wrap(SparseArray(empty_pattern(shape), np.zeros(0, d)))
    return t.requires_grad_() if requires_grad else t


# Note [Patterns of an index tensor]
# Graph programs make a sparse matrix of the same indices in every step. The tensor of indices keeps
# the pattern that was made of it, with all that was computed from that, as long as it holds the
# same numbers: to compare them takes less time than to put them in order.


def pattern_of(indices: Any, v: tuple[int, ...], size: Any) -> Coordinates:
    """The pattern of indices, checked, for values of the shape v."""
    if not isinstance(indices, Tensor):
        return new_pattern(array_from(indices), v, size)
    kept = indices._pattern
    if kept is None or kept[0] != (size, v[1:]) or not holds(indices, kept[1]):
        pattern = new_pattern(indices._array, v, size)
        kept = indices._pattern = (size, v[1:]), pattern
    pattern = kept[1]
    if modes.trace is not None and modes.trace.is_state(indices):
        modes.trace.watch.append((lambda: holds(indices, pattern), True))
    else:
        value_needed("the indices of a sparse tensor", indices)
    return pattern


def holds(indices: Tensor, pattern: Coordinates) -> bool:
    """Whether a tensor still has a pattern's coordinates."""
    a, b = indices._array, pattern.coordinates
    return a.size == b.size and bool(np.array_equal(a.reshape(b.shape), b))


def new_pattern(given: Any, v: tuple[int, ...], size: Any) -> Coordinates:
    """See ``pattern_of``."""
    if given.__class__ is SparseArray or given.dtype.kind == "c":
        raise TypeError("indices must be an int64 tensor of indices")
    where = np.array(given, np.int64, order="C", ndmin=2)
    if where.ndim != 2:
        raise ShapeError(f"indices must be sparse_dim x nnz, but got: {list(given.shape)}")
    if given.ndim == 1:  # as torch reads a vector: one entry
        where = np.ascontiguousarray(where.T)
    pattern = Coordinates(where, shape_for(where, v, size))
    if math.prod(pattern.shape) >= 1 << 63:
        raise RuntimeError(
            f"sparse_coo_tensor: sizes {pattern.shape} are too large: places are numbered in int64."
        )
    where.flags.writeable = False
    return pattern


Tensor._pattern = None  # type: ignore[attr-defined]


def shape_for(where: Any, v: tuple[int, ...], size: tuple[int, ...] | None) -> tuple[int, ...]:
    """The sizes of the sparse dims, once everything fits."""
    n, dense = where.shape[0], v[1:]
    low = where.min(1, initial=0)
    high = where.max(1, initial=-1)
    if (low < 0).any():
        d = int(np.flatnonzero(low < 0)[0])
        raise ShapeError(f"found negative index {low[d]} for dim {d}")
    if size is None:
        return tuple([int(h) + 1 for h in high])
    if len(size) != n + len(dense):
        raise ShapeError(
            "'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = "
            f"{len(size)}, sparse_dim = {n}, dense_dim = {len(dense)}"
        )
    for d in range(n):
        if high[d] >= size[d]:
            raise ShapeError(
                f"size is inconsistent with indices: for dim {d}, size is {size[d]} but found "
                f"index {high[d]}"
            )
    if tuple(size[n:]) != dense:
        raise ShapeError(f"values has incorrect size, expected {[v[0], *size[n:]]}, got {list(v)}")
    return tuple(size[:n])


def promised(pattern: Coordinates, check: bool | None) -> Coordinates:
    """The pattern, marked as coalesced."""
    merged = pattern.merged
    if merged.groups is not None:
        if check or (check is None and Invariants.on):
            raise ShapeError(
                "cannot set is_coalesced to true if indices correspond to uncoalesced COO tensor"
            )
        return pattern
    return merged.pattern  # type: ignore[return-value]


def sparse_compressed_tensor(
    compressed_indices: Any,
    plain_indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> Tensor:
    """A matrix by rows (``layout=torch.sparse_csr``) or columns (``torch.sparse_csc``).

    Args:
        compressed_indices: where the entries of each row begin, and the end: ``(rows + 1)``.
        plain_indices: the column of each entry, ``(entries)``, in order within a row.
        values: ``(entries)``.
        size: the shape; by default the smallest that holds the indices.
        check_invariants: also check that the columns of a row are in order.

    Raises:
        RuntimeError: sizes do not fit, or an index is out of range.
    """
    check_on_cpu(device)
    if layout not in (formats.sparse_csr, formats.sparse_csc):
        raise ShapeError(
            f"sparse_compressed_tensor: the layout must be torch.sparse_csr or torch.sparse_csc, "
            f"but is {layout}."
        )
    axis = int(layout is formats.sparse_csc)
    values = as_values(values, dtype)
    starts, others = [index_array(x) for x in (compressed_indices, plain_indices)]
    if size is None:
        top = int(others.max(initial=-1)) + 1
        size = (len(starts) - 1, top)[:: -1 if axis else 1]
    shape = shape_of((size,), "size")
    check_compressed(starts, others, values._array, shape, axis)
    if check_invariants or (check_invariants is None and Invariants.on):
        check_order(starts, others, axis)
    pattern = Compressed(starts, others, shape, axis)
    return finished(values, pattern, "SparseCompressedTensor", requires_grad)


def index_array(x: Any) -> Any:
    """Indices as a read-only array of their own."""
    if isinstance(x, Tensor):
        value_needed("the indices of a sparse tensor", x)
    given = x._array if isinstance(x, Tensor) else array_from(x)
    out = given.astype(given.dtype if given.dtype == np.int32 else np.int64)
    out.flags.writeable = False
    return out


def check_compressed(
    starts: Any, others: Any, values: Any, shape: tuple[int, ...], axis: int
) -> None:
    """RuntimeError for indices that do not describe a matrix of that shape."""
    near, far = ("ccol", "row") if axis else ("crow", "col")
    lines, width = ("columns", "nrows") if axis else ("rows", "ncols")
    if starts.ndim != 1 or others.ndim != 1 or len(shape) != 2 or values.ndim != 1:
        raise ShapeError(
            f"sparse_{'csc' if axis else 'csr'}_tensor: {near}_indices, {far}_indices and values "
            "must be vectors, and the size that of a matrix: batches and blocks are not supported."
        )
    n, m = shape[::-1] if axis else shape
    if len(starts) != n + 1:
        raise ShapeError(
            f"{near}_indices.shape[-1] must be equal to the number of {lines} + 1 (={n + 1}), but "
            f"got {len(starts)}"
        )
    if len(others) != len(values):
        raise ShapeError(
            f"number of {far}_indices ({len(others)}) must be that of values ({len(values)})."
        )
    if starts[0] != 0:
        raise ShapeError(f"`{near}_indices[..., 0] == 0` is not satisfied.")
    if starts[-1] != len(others):
        raise ShapeError(f"`{near}_indices[..., -1] == nnz` is not satisfied.")
    if (np.diff(starts) < 0).any():
        raise ShapeError(f"`{near}_indices` must not decrease.")
    if len(others) and not (others.min() >= 0 and others.max() < m):
        raise ShapeError(f"`0 <= {far}_indices < {width}` is not satisfied.")


def check_order(starts: Any, others: Any, axis: int) -> None:
    """RuntimeError unless the indices of every line ascend."""
    ascends = np.diff(others) > 0
    inner = starts[1:-1]
    ascends[inner[(inner > 0) & (inner < len(others))] - 1] = True
    if not ascends.all():
        near, far = ("ccol", "row") if axis else ("crow", "col")
        raise ShapeError(
            f"`{far}_indices[..., {near}_indices[..., i - 1]:{near}_indices[..., i]] for all i are "
            "sorted and distinct along the last dimension values` is not satisfied."
        )


def sparse_csr_tensor(
    crow_indices: Any, col_indices: Any, values: Any, size: Any = None, **options: Any
) -> Tensor:
    """A matrix by rows; see ``sparse_compressed_tensor``.

    Example:
        >>> import rushlight as torch
        >>> torch.sparse_csr_tensor([0, 1, 2], [2, 0], [3.0, 4.0], (2, 3)).to_dense()
        tensor([[0., 0., 3.],
                [4., 0., 0.]])
    """
    options.pop("layout", None)
    return sparse_compressed_tensor(
        crow_indices, col_indices, values, size, layout=formats.sparse_csr, **options
    )


def sparse_csc_tensor(
    ccol_indices: Any, row_indices: Any, values: Any, size: Any = None, **options: Any
) -> Tensor:
    """A matrix by columns; see ``sparse_compressed_tensor``."""
    options.pop("layout", None)
    return sparse_compressed_tensor(
        ccol_indices, row_indices, values, size, layout=formats.sparse_csc, **options
    )


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
