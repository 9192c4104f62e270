"""Where indexed elements lie in memory, and what is added up there."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy import ndarray

from rushlight import dtypes
from rushlight.core.meta import MetaArray
from rushlight.core.native import kernels

SOME = 2048  # elements among which a search is faster than a reduction
MANY = 4096  # elements of rows that NumPy adds slowly
FEW = 32  # elements up to which a list is faster than an array


def inside(index: Any, low: int, high: int) -> bool:
    """Whether every index is in [low, high); those that are not there are."""
    if index.__class__ is MetaArray:
        return True
    if index.size <= SOME:
        if not index.size:
            return True
        return low <= index.item(index.argmin()) and index.item(index.argmax()) < high
    if low == 0 and index.dtype is dtypes.int64:
        return bool(np.maximum.reduce(index.view(np.uint64), None) < high)  # negative ones are huge
    return bool(np.minimum.reduce(index, None) >= low and np.maximum.reduce(index, None) < high)


def is_large_mask(mask: Any, x: Any) -> bool:
    """Whether an index of an array's first dim is a mask whose places are worth looking up first,
    since that takes no branch for each.
    """
    return mask.__class__ is ndarray and mask.dtype is dtypes.bool_ and SOME < mask.size == len(x)


def masked(x: Any, mask: Any) -> Any:
    """``x[mask]``."""
    if mask.ndim > 1 and mask.shape == x.shape[: mask.ndim]:
        if mask.flags.c_contiguous and x.flags.c_contiguous:
            return masked(x.reshape(mask.size, *x.shape[mask.ndim :]), mask.reshape(-1))
    return x.take(mask.nonzero()[0], 0) if mask.ndim == 1 and is_large_mask(mask, x) else x[mask]


def strides_of(shape: tuple[int, ...]) -> list[int]:
    """How many elements apart neighbours along each dim lie in contiguous memory."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return strides[::-1]


def flat_places(index: Any, dim: int, shape: tuple[int, ...]) -> Any:
    """The places, in contiguous memory of ``shape``, of ``[i][j] -> (index[i][j], j)`` for dim 0,
    and so on. Shape: that of ``index``, whose entries are in range.
    """
    if index.ndim <= 1:
        return index
    step, offsets = offsets_of(index.shape, dim, shape)
    places = index if step == 1 else index * step
    return places + offsets


def take(x: Any, indices: Any, dim: int) -> Any:
    """x at ``indices`` along ``dim``."""
    if x.ndim == 1:
        return x[indices]
    return x.reshape(-1).take(flat_places(indices, dim, x.shape))


@functools.lru_cache(maxsize=64)
def offsets_of(
    sizes: tuple[int, ...], dim: int, shape: tuple[int, ...]
) -> tuple[int, ndarray[Any, Any]]:
    """How far apart neighbours along ``dim`` are in contiguous memory of ``shape``, and where the
    slices of the other dims begin; these have size 1 in ``dim``.
    """
    strides = strides_of(shape)
    offsets = np.zeros((1,) * len(sizes), np.int64)
    for d, n in enumerate(sizes):
        if d != dim:
            starts = np.arange(n) * strides[d]
            offsets = offsets + starts.reshape((n,) + (1,) * (len(sizes) - 1 - d))
    if math.prod(sizes) <= SOME:  # adding arrays of one shape takes a third of the time
        offsets = np.broadcast_to(offsets, sizes).copy()
    return strides[dim], offsets


def spread(x: Any, shape: tuple[int, ...]) -> Any:
    """``np.broadcast_to``, in a tenth of its time: a view that is not to be written to."""
    if x.shape == shape:
        return x
    extra = len(shape) - x.ndim
    if extra < 0 or x.__class__ is not ndarray or not x.size or not x.flags.c_contiguous:
        return np.broadcast_to(x, shape)
    strides = [0] * extra
    for n, have, step in zip(shape[extra:], x.shape, x.strides, strict=True):
        if have != n and have != 1:
            return np.broadcast_to(x, shape)  # raises with the reason
        strides.append(step if have == n else 0)
    return ndarray(shape, x.dtype, x, 0, strides)


def combine_at(ufunc: Any, x: Any, places: Any, values: Any) -> None:
    """``x[place] = ufunc(x[place], value)`` one after another, places counting along x's elements.

    On vectors ``ufunc.at`` is ten times faster than on other shapes.
    """
    if x.ndim == 1:
        ufunc.at(x, places, values)
        return
    flat = x.reshape(-1)  # a copy unless x is contiguous
    ufunc.at(flat, places.reshape(-1), values.reshape(-1))
    if not x.flags.c_contiguous:
        x[...] = flat.reshape(x.shape)


# loops that move elements, see backends/llvm/moves.py, and the dtypes they are written for
WHOLE = {d: np.dtype(f"i{d.itemsize}") for d in dtypes.of if d.itemsize <= 8}
COMBINED = {d: d for d in dtypes.FLOATS}
SUMMED = {d: d for d in dtypes.FLOATS | dtypes.INTEGER_TYPES}
MOVED: dict[str, dict[Any, Any]] = {
    **dict.fromkeys(("read rows", "read each", "write rows", "write each"), WHOLE),
    **dict.fromkeys(("add rows", "add each"), SUMMED),
    **dict.fromkeys(("times each", "greatest each", "least each"), COMBINED),
}


def are_arrays(*arrays: Any) -> bool:
    """Whether all are NumPy's, which loops want."""
    for a in arrays:  # noqa: SIM110  a loop is faster than all()
        if a.__class__ is not ndarray:
            return False
    return True


def moved(kind: str, x: Any, index: Any, y: Any, dim: int, low: int = 0) -> bool:
    """Whether a loop has read y from x, or written or added it to x, at an index along ``dim`` that
    it found in range: ``low``, which is 0 or minus the size, at least.
    """
    d = MOVED[kind].get(x.dtype)
    plain = d is not None and are_arrays(x, index, y)
    loop = kernels.runner(kind, d, 3, y.size) if plain else None
    if loop is None or index.dtype is not dtypes.int64 or x.dtype is not y.dtype:
        return False
    return loop(x, index, y, dim, low)


def read(kind: str, x: Any, index: Any, shape: tuple[int, ...], dim: int) -> Any:
    """Elements of x at an index along ``dim``, by a loop; None where that could not be."""
    d = MOVED[kind].get(x.dtype)
    plain = x.__class__ is ndarray is index.__class__ and index.dtype is dtypes.int64
    loop = kernels.runner(kind, d, 3, index.size) if plain and d is not None else None
    if loop is None:
        return None
    y = np.empty(shape, x.dtype)
    return y if loop(x, index, y, dim, 0) else None


def add_rows(x: Any, index: Any, rows: Any) -> None:
    """``x[index[i]] += rows[i]``: x (N, *), index (M) in [-N, N), rows (M, *)."""
    if not rows.size or moved("add rows", x, index, rows, 0, -len(x)):
        return
    size = rows.size // len(index)  # elements in a row
    if rows.size <= 2 * FEW:
        np.add.at(x, index, rows)
    elif x.ndim == 1 or size == 1:
        np.add.at(x.reshape(-1) if x.flags.c_contiguous else x, index, rows.reshape(len(index)))
    elif x.dtype in dtypes.FLOATS and rows.size >= MANY:
        m, n = len(index), len(x)
        index = np.where(index < 0, index + n, index).astype(np.int64, copy=False)
        from scipy.sparse import csc_array  # takes long to load

        ones = np.ones(m, x.dtype)
        places = csc_array((ones, index, np.arange(m + 1)), shape=(n, m))
        x += (places @ rows.reshape(m, size)).reshape(x.shape)
    else:
        index = index % len(x) * size
        combine_at(np.add, x, index[:, None] + np.arange(size), rows)
