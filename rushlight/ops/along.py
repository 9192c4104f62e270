"""Products with a matrix along each trailing dim: interpolation and means of bins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.native import kernels
from rushlight.core.op import Op
from rushlight.ops.conv import in_float32
from rushlight.ops.windows import FEW

_transposed: dict[int, tuple[Any, Any]] = {}


LARGE = 2**13  # elements: a matrix of more is kept, and multiplied, without its zeros


def matrix(n: int, out: int, rows: Any, columns: Any, values: Any) -> Any:
    """The matrix (n, out) of float64 values at rows and columns, added up where they meet: a NumPy
    array, or a large one as a sparse one of SciPy's.
    """
    if n * out <= LARGE:
        m = np.zeros((n, out))
        np.add.at(m, (rows, columns), values)
        return m
    from scipy.sparse import csr_array

    sparse = csr_array((values, (rows, columns)), (n, out))
    sparse.eliminate_zeros()
    return sparse


def transposed(m: Any) -> Any:
    """m.T: the same array every time, so that what is kept about it is found again."""
    if id(m) not in _transposed:
        if len(_transposed) > 32:
            _transposed.clear()
        _transposed[id(m)] = m, m.T
    return _transposed[id(m)][1]


class Along(Op):
    """Each trailing dim i of the input multiplied by ``matrices[i]`` (old size, new size), see
    ``matrix``, or None to leave it.
    """

    label = "Resample"

    def eager(self, xp, input, *, matrices):
        return in_float32(multiply_along, (input,), matrices)

    def grad(self, g, matrices):
        return Along.bind(
            g, matrices=tuple([None if m is None else transposed(m) for m in matrices])
        )


_sparse: dict[int, tuple[Any, Any]] = {}  # by the id of the matrix, which is kept alive


def sparse_along(x: Any, m: Any, dim: int) -> Any:
    """The trailing ``dim`` of x (old size) to the new one by the sparse matrix m (old, new)."""
    if id(m) not in _sparse:
        if len(_sparse) > 32:
            _sparse.clear()
        _sparse[id(m)] = m, m.T.tocsr()
    s = _sparse[id(m)][1].astype(x.dtype)
    moved = np.ascontiguousarray(np.moveaxis(x, dim, 0))
    out = (s @ moved.reshape(len(moved), -1)).reshape(-1, *moved.shape[1:])
    return np.moveaxis(out, 0, dim)


_taps: dict[Any, Any] = {}  # by the id of the matrix, which is kept alive


def taps_of(m: Any, d: Any) -> Any:
    """The rows of a sparse m whose columns have four elements other than zero at most: for each of
    these the places and the values in dtype d, a row for each; None for other matrices.
    """
    if (id(m), d) not in _taps:
        if len(_taps) > 64:
            _taps.clear()
        by_column = m.T.tocsr()
        by_column.sort_indices()
        starts, counts = by_column.indptr[:-1], np.diff(by_column.indptr)
        most, taps = int(counts.max(initial=0)), None
        if most <= 4:
            columns = np.repeat(np.arange(len(counts)), counts)
            which = np.arange(len(columns)) - starts[columns]
            order, values = np.zeros((most, len(counts)), np.intp), np.zeros((most, len(counts)), d)
            order[which, columns], values[which, columns] = by_column.indices, by_column.data
            for k in range(1, most):  # columns with fewer: halves of their last, so that all count
                fewer = counts <= k
                order[k, fewer] = order[k - 1, fewer]
                values[k - 1, fewer] /= 2
                values[k, fewer] = values[k - 1, fewer]
            taps = order, values
        _taps[id(m), d] = m, taps
    return _taps[id(m), d][1]


def along_taps(x: Any, taps: Any, dim: int) -> Any:
    """What ``sparse_along`` gives, for few elements, or along the last dim."""
    total: Any = None
    for place, value in zip(*taps, strict=True):
        part = x.take(place, dim)
        part *= value.reshape(-1, *[1] * (-1 - dim))
        total = part if total is None else np.add(total, part, total)
    return total


PIECE = 1 << 14  # elements that are made at a time, so that they stay in the cache


def rows_by_taps(x: Any, taps: Any) -> Any:
    """``along_taps`` along the last dim."""
    n, (count, wide) = x.shape[-1], taps[0].shape
    rows = np.ascontiguousarray(x.reshape(-1, n))
    out = np.empty((len(rows), wide), x.dtype)
    run = kernels.runner("taps", x.dtype, 4, out.size) if x.dtype in dtypes.FLOATS else None
    if run is not None:
        run(rows, *taps, out, n, wide, count, len(rows))
    else:
        by_pieces(rows, taps, out)
    return out.reshape(*x.shape[:-1], wide)


_whole: dict[Any, Any] = {}  # by the ids of the matrices, which are kept alive


def whole_matrix(matrices: Any, d: Any, space: Any) -> tuple[np.ndarray, tuple[int, ...]] | None:
    """One matrix for all trailing dims at once, flattened, and their new sizes; None where it would
    be large.
    """
    key = (tuple([id(m) for m in matrices]), d, space)
    found = _whole.get(key, key)
    if found is not key:
        return found[1] if found is not None else None
    if len(_whole) > 64:
        _whole.clear()
    out = tuple([n if m is None else m.shape[1] for m, n in zip(matrices, space, strict=True)])
    _whole[key] = None
    if math.prod(space) * math.prod(out) <= LARGE:
        total = np.ones((1, 1))
        for m, n in zip(matrices, space, strict=True):
            total = np.kron(total, np.eye(n) if m is None else m)
        _whole[key] = matrices, (np.ascontiguousarray(total, d), out)
    return whole_matrix(matrices, d, space)


def multiply_along(x: Any, matrices: Any) -> Any:
    """Products with a matrix for each trailing dim."""
    if 0 < x.size <= FEW:
        whole = whole_matrix(matrices, x.dtype, x.shape[x.ndim - len(matrices) :])
        if whole is not None:
            m, out = whole
            return x.reshape(-1, len(m)).dot(m).reshape(*x.shape[: x.ndim - len(matrices)], *out)
    for dim, m in enumerate(matrices, -len(matrices)):
        if m is None:
            continue
        if m.__class__ is not np.ndarray:
            taps = taps_of(m, x.dtype) if x.size <= FEW or dim == -1 else None
            if taps is None:
                x = sparse_along(x, m, dim)
            else:
                x = along_taps(x, taps, dim) if x.size <= FEW else rows_by_taps(x, taps)
            continue
        m = m.astype(x.dtype, copy=False)
        if dim == -1:
            rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
            x = rows.dot(m).reshape(*x.shape[:-1], m.shape[1])
        else:
            lead, n, tail = x.shape[:dim], x.shape[dim], math.prod(x.shape[dim + 1 :])
            x = np.matmul(np.ascontiguousarray(m.T), x.reshape(math.prod(lead), n, tail)).reshape(
                *lead, m.shape[1], *x.shape[dim + 1 :]
            )
    return np.array(x, order="C", copy=None)


def by_pieces(rows: Any, taps: Any, out: Any) -> None:
    """``along_taps`` of rows, some of them at a time, to ``out``."""
    count = max(1, PIECE // max(rows.shape[1], out.shape[1]))
    spare = np.empty((count, out.shape[1]), rows.dtype)
    (first, by_first), *others = zip(*taps, strict=True)
    for i in range(0, len(rows), count):
        part, y = rows[i : i + count], out[i : i + count]
        part.take(first, 1, y, "clip")  # all are in range: this only spares a copy
        y *= by_first
        for place, value in others:
            z = part.take(place, 1, spare[: len(part)], "clip")
            z *= value
            y += z
