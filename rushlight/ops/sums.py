"""Sums of floats by matrix products with ones.

BLAS adds several times faster than ``np.add.reduce``, and blocks of bounded length, added up level
by level, keep the error of long sums small along every dim (NumPy adds one by one along all but the
last).
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.native import AT_ONCE, ROW, kernels

COLUMNS = 256  # terms added one after another
FOLDED = 64  # elements: shorter rows are folded
ROWS = 1024  # in a row BLAS keeps at least eight sums at a time
LEAST = 2048  # elements from which blocks pay
PRODUCTS = dtypes.DIFFERENTIABLE - dtypes.HALVES  # what BLAS multiplies
CACHED = 2**19  # elements up to which rows are faster by BLAS; beyond, memory decides


@functools.lru_cache(maxsize=256)
def ones(n: int, d: Any) -> Any:
    """n ones, not to be written to."""
    return np.ones(n, d)


@functools.lru_cache(maxsize=64)
def number(n: float, d: Any) -> Any:
    """n as a 0-dim array, not to be written to: NumPy takes twice as long with a Python number."""
    return np.array(n, d)


def summed(
    x: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False
) -> Any:
    """``np.add.reduce`` with the same arguments; ``axis`` is None or a tuple of dims >= 0."""
    d = x.dtype
    if d not in PRODUCTS and (d is not dtypes.int64 or x.size >= LEAST):
        return np.add.reduce(x, axis, dtype, out, keepdims)
    if dtype is None and (not keepdims or x.size >= LEAST):
        if x.size < LEAST and axis is None and x.flags.c_contiguous:
            total = (x if x.ndim == 1 else x.reshape(-1)).dot(ones(x.size, d), out)
            return total if out is None else out  # NumPy returns a scalar
        dim = axis[0] if axis.__class__ is tuple and len(axis) == 1 else axis
        if is_one_product(x, dim):
            total = one_product(x, dim)
            if not keepdims:
                return total
            return total.reshape([1 if i == dim else n for i, n in enumerate(x.shape)])
    if x.size < LEAST:
        return np.add.reduce(x, axis, dtype, out, keepdims)
    if axis is None and not keepdims:
        found = sum_at_once(x)
        if found is not None:
            return found.astype(d) if out is None else store(out, found)
    reduced = range(x.ndim) if axis is None else (axis,) if axis.__class__ is int else axis
    total = sum_over(x, frozenset(reduced))
    if keepdims:
        total = total.reshape([1 if i in reduced else n for i, n in enumerate(x.shape)])
    return total if out is None else store(out, total)


def is_one_product(x: Any, dim: Any) -> bool:
    """Whether a product with ones adds up a dim of x: there is no faster way."""
    if not x.flags.c_contiguous or x.size > CACHED:
        return False
    few, last = x.size < LEAST, x.ndim - 1
    if dim == last:
        return few or x.shape[dim] <= ROWS
    return dim == 0 and last == 1 and (few or len(x) <= COLUMNS)


def one_product(x: Any, dim: int) -> Any:
    """What ``is_one_product`` is true of."""
    if dim != x.ndim - 1:
        return ones(len(x), x.dtype).dot(x)
    return x.dot(ones(x.shape[dim], x.dtype)) if x.ndim <= 2 else row_sums(x)


def store(out: Any, total: Any) -> Any:
    """``out``, which holds the total."""
    out[...] = total
    return out


def sum_at_once(x: Any) -> Any:
    """The sum of all of many numbers in float64 or complex128, by a loop; None where it is not for
    them.
    """
    n, d, flags = x.size, x.dtype, x.flags
    if d not in PRODUCTS or not LEAST <= n <= AT_ONCE:
        return None
    if not (flags.carray or (flags.farray and flags.aligned)):
        return None
    run = kernels.runner("total", d, 2, n, exact=False)
    if run is None:
        return None
    if d in dtypes.COMPLEX_TYPES:  # both parts count
        n, out = 2 * n, np.empty((), np.complex128)
    else:
        out = np.empty((), np.float64)
    run(x, out, n % ROW, n // ROW)
    return out


def row_sums(x: Any) -> Any:
    """Sums over the last dim of few floats."""
    one = ones(x.shape[-1], x.dtype)
    if x.ndim <= 2:
        return x.dot(one)
    return x.reshape(math.prod(x.shape[:-1]), one.size).dot(one).reshape(x.shape[:-1])


def sum_over(x: Any, reduced: frozenset[int]) -> Any:
    """Sums over the dims in ``reduced``, which vanish."""
    if not x.flags.c_contiguous:
        order = sorted(range(x.ndim), key=x.strides.__getitem__, reverse=True)
        turned = x.transpose(order)
        if turned.flags.c_contiguous:  # as images with their channels last in memory
            total = sum_over(turned, frozenset(k for k, i in enumerate(order) if i in reduced))
            left = [i for i in order if i not in reduced]
            return total.transpose([left.index(i) for i in sorted(left)])
        x = np.ascontiguousarray(x)
    if x.dtype in dtypes.COMPLEX_TYPES:
        pairs = sum_over(x.view(dtypes.REAL_OF[x.dtype]).reshape(*x.shape, 2), reduced)
        return np.ascontiguousarray(pairs).view(x.dtype).reshape(pairs.shape[:-1])
    shape = x.shape
    rest = tuple([n for i, n in enumerate(shape) if i not in reduced])
    if 1 in shape:
        reduced = frozenset([i for i in reduced if shape[i] != 1])
    while reduced:  # a run of neighbouring dims at a time, the last first
        stop = max(reduced) + 1
        start = stop
        while start - 1 in reduced:
            start -= 1
        n, inner = math.prod(shape[start:stop]), math.prod(shape[stop:])
        if inner == 1:
            x = along_rows(x.reshape(-1, n))
        else:
            x = along_columns(x.reshape(-1, n, inner))
        shape = shape[:start] + shape[stop:]
        reduced = frozenset(i for i in reduced if i < start)
    return x.reshape(rest)


@functools.lru_cache(maxsize=256)
def block_of(n: int, most: int) -> int:
    """How many of n terms to add at a time: a divisor of n if there is one of a good size."""
    if n <= most:
        return n
    return next((b for b in range(most, most // 4, -1) if n % b == 0), most)


def along_rows(x: Any) -> Any:
    """(M, n) -> (M): sums of rows."""
    n = x.shape[1]
    if x.size > CACHED and n > 64:
        return np.add.reduce(x, 1)
    size = block_of(n, ROWS)
    if size == n:
        return x.dot(ones(n, x.dtype))
    k = n // size
    parts = x if k * size == n else x[:, : k * size]
    total = along_rows(parts.reshape(-1, size).dot(ones(size, x.dtype)).reshape(-1, k))
    return total if k * size == n else total + along_rows(x[:, k * size :])


def along_columns(x: Any) -> Any:
    """(O, n, I) -> (O, I): sums over the middle."""
    n, inner = x.shape[1:]
    fold = FOLDED // inner
    if fold > 1 and n >= fold * fold:  # several rows as one: BLAS wants long ones
        k = n // fold
        parts = x[:, : k * fold].reshape(x.shape[0], k, fold * inner)
        total = np.add.reduce(along_columns(parts).reshape(-1, fold, inner), 1)
        return total if k * fold == n else total + along_columns(x[:, k * fold :])
    size = block_of(n, COLUMNS)
    if size == n:
        return ones(n, x.dtype) @ x if len(x) > 1 else ones(n, x.dtype).dot(x[0])[None]
    k = n // size
    parts = x[:, : k * size].reshape(x.shape[0], k, size, x.shape[2])
    total = along_columns(ones(size, x.dtype) @ parts)
    return total if k * size == n else total + along_columns(x[:, k * size :])


def multiplied(
    x: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False
) -> Any:
    """``np.multiply.reduce`` with the same arguments. Long rows of floats are halved: NumPy
    multiplies their elements one by one.
    """
    last = axis is None or axis in (x.ndim - 1, (x.ndim - 1,))
    if x.size < LEAST or x.dtype not in dtypes.FLOATS or not last:
        return np.multiply.reduce(x, axis, dtype, out, keepdims)
    rows = x.reshape(1, -1) if axis is None else x.reshape(-1, x.shape[-1])
    while rows.shape[1] > 16:
        half, odd = divmod(rows.shape[1], 2)
        shorter = rows[:, :half] * rows[:, half : 2 * half]
        if odd:
            shorter[:, 0] *= rows[:, -1]
        rows = shorter
    total = np.multiply.reduce(rows, 1)
    total = total.reshape(() if axis is None else x.shape[:-1])
    if keepdims:
        total = total.reshape([1 if axis is None else n for n in x.shape[:-1]] + [1])
    if out is None:
        return total
    out[...] = total
    return out
