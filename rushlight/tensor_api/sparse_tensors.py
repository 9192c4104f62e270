"""Sparse tensors made: of coordinates and of compressed rows or columns, checked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import devices, dtypes, formats
from rushlight.core.sparse import SparseArray
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor, value_needed, wrap
from rushlight.errors import NotSupportedError, ShapeError
from rushlight.ops.sparse import entries as E
from rushlight.ops.sparse.pattern import Compressed, Coordinates, Pattern, empty_pattern
from rushlight.ops.sparse.rules import is_sparse
from rushlight.tensor_api._common import numpy_dtype, shape_of
from rushlight.tensor_api.from_data import array_from, tensor

__all__ = [
    "sparse_compressed_tensor",
    "sparse_coo_tensor",
    "sparse_csc_tensor",
    "sparse_csr_tensor",
]


class Invariants:
    """Whether constructors check that entries are in order; that indices are in range they always
    do.
    """

    on = False


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
Tensor._pattern = None  # type: ignore[attr-defined]


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
