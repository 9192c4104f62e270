"""Matrix products with sparse factors, of whatever layouts and dims."""

from __future__ import annotations

import numpy as np

from rushlight import dtypes
from rushlight.core.sparse import SparseArray
from rushlight.core.tensor import Tensor
from rushlight.errors import DTypeError, NotSupportedError, ShapeError
from rushlight.ops.sparse.entries import added_at, assembled, chosen, values_of
from rushlight.ops.sparse.pattern import Compressed, Coordinates, Pattern, compressed
from rushlight.ops.sparse.products import Product


def matrix_product(a: Tensor, b: Tensor, name: str = "Mm") -> Tensor:
    """``a @ b`` where one or both are sparse; sparse if both are. ``name`` is that of the node."""
    x, y = a._array, b._array
    if x.dtype != y.dtype:
        raise DTypeError(
            "matmul: expected both tensors to have the same dtype, but got "
            f"{dtypes.of[x.dtype].name} and {dtypes.of[y.dtype].name}; convert one with .to()."
        )
    for t in (x, y):
        if t.__class__ is SparseArray and t.values.ndim > 1:
            raise NotSupportedError(
                f"matmul: a sparse factor with dense dims ({t.values.ndim - 1} here) is not "
                "supported; convert it with .to_dense()."
            )
    check_sizes(x.shape, y.shape)
    if x.__class__ is not SparseArray:
        if x.ndim == 1:
            return multiplied(b, a, True, name)
        return multiplied(b, a.t(), True, name).t()
    if y.__class__ is SparseArray:
        return both_sparse(a, b)
    return multiplied(a, b, False, name) if x.ndim == 2 else batched(a, b)


def check_sizes(x: tuple[int, ...], y: tuple[int, ...]) -> None:
    """ShapeError for what cannot be multiplied."""
    dims = len(x), len(y)
    if dims not in ((2, 2), (2, 1), (1, 2), (3, 3)):
        raise NotSupportedError(
            f"matmul: a sparse matrix can be multiplied with a matrix or vector, and a batch with "
            f"a batch, but the operands have shapes {x} and {y}."
        )
    if x[-1] != y[-2 if len(y) > 1 else 0] or (dims == (3, 3) and x[0] != y[0]):
        raise ShapeError(
            f"matmul: cannot multiply {x} by {y} (mat1 and mat2 shapes cannot be multiplied); the "
            "first's last size must equal the second's first. Transpose one?"
        )


def multiplied(matrix: Tensor, dense: Tensor, flip: bool, name: str) -> Tensor:
    """The sparse matrix, transposed if ``flip``, times a dense matrix or vector."""
    name = "Mv" if dense._array.ndim == 1 else name
    values, pattern = values_of(matrix), matrix._array.pattern
    return Product.bind(values, dense, pattern=pattern, flip=flip, name=name)


def batched(a: Tensor, b: Tensor) -> Tensor:
    """A batch of matrices is one with blocks on its diagonal."""
    pattern, k = a._array.pattern, b._array.shape[2]
    if len(pattern.shape) != 3:
        raise NotSupportedError("bmm: a batch must be a COO tensor with three sparse dims.")
    batch, n, m = pattern.shape
    at, i, j = pattern.coordinates
    blocks = Coordinates(np.stack([at * n + i, at * m + j]), (batch * n, batch * m))
    out = Product.bind(
        values_of(a), b.reshape(batch * m, k), pattern=blocks, flip=False, name="Bmm"
    )
    return out.reshape(batch, n, k)


def both_sparse(a: Tensor, b: Tensor) -> Tensor:
    """All pairs of an entry (i, k) of a and one (k, j) of b, added at (i, j)."""
    if a._array.ndim != 2:
        raise NotSupportedError("matmul: of batches, only the first may be sparse.")
    p, q = a._array.pattern, b._array.pattern
    i, k = p.coordinates
    rows = q.rows
    many = np.diff(rows.starts)[k]
    first = np.repeat(np.arange(p.count), many)  # of each pair the entry of a
    offset = np.arange(first.size) - np.repeat(np.cumsum(many) - many, many)
    second = np.repeat(rows.starts[:-1][k], many) + offset
    columns = rows.columns[second]
    if rows.places is not None:
        second = rows.places[second]
    pairs: Pattern = Coordinates(np.stack([i[first], columns]), (p.shape[0], q.shape[1]))
    merged, groups, _ = pairs.merged
    values = chosen(values_of(a), first) * chosen(values_of(b), second)
    if groups is not None:
        values = added_at(values, groups, merged.count)
    if isinstance(p, Compressed) and isinstance(q, Compressed):
        merged, places = compressed(merged, 0)
        values = values if places is None else chosen(values, places)
    return assembled(values, merged, "SparseSparseMatmul")
