"""Pooling: maxima and sums of windows, over any number of trailing dims.

Windows are cut along one dim at a time, since a maximum of maxima, and a sum of sums, is that of
the whole window. ``padding`` is a tuple
of (before, after) for each dim; where a window's last positions lie beyond the padding they were
cut off by ``ceil_mode``'s rule.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.native import LEAST, in_dtype, kernels, widened
from rushlight.core.op import Op
from rushlight.core.tensor import Tensor
from rushlight.ops.conv import in_float32
from rushlight.ops.windows import FEW, Table, places, table_for, table_of, windows_of


def lowest(d: np.dtype) -> Any:
    """What a maximum starts from."""
    return -np.inf if d in dtypes.FLOATING_TYPES else dtypes.integer_range(d)[0]


def padded(x: np.ndarray, padding: Any, value: Any) -> np.ndarray:
    """x with ``value`` around it."""
    if not any(a or b for a, b in padding):
        return x
    lead = x.ndim - len(padding)
    shape = [
        *x.shape[:lead],
        *[n + a + b for n, (a, b) in zip(x.shape[lead:], padding, strict=True)],
    ]
    out = np.full(shape, value, x.dtype) if value else np.zeros(shape, x.dtype)
    out[inside(x.shape[lead:], padding)] = x
    return out


def inside(space: Any, padding: Any) -> tuple[Any, ...]:
    """Where the unpadded array lies in the padded one."""
    return (..., *[slice(a, a + n) for n, (a, _) in zip(space, padding, strict=True)])


def tap_slices(t: int, out: int, stride: int, dilation: int) -> slice:
    """Positions that are tap t of their window, along one dim."""
    start = t * dilation
    return slice(start, start + (out - 1) * stride + 1, stride)


def along(dim: int, part: slice) -> tuple[Any, ...]:
    """Index with a slice in the negative ``dim``."""
    return (..., part, *[slice(None)] * (-1 - dim))


def max_windows(
    x: Any, out: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, coded: bool
) -> Any:
    """Maxima of windows, and which tap they are (numbered in row-major order), or None unless
    ``coded``.
    """
    found = quick_maxima(x, out, kernel, stride, padding, dilation, coded)
    if found is not None:
        return found
    few = windows_of(x.shape, out, kernel, stride, padding, dilation)
    if few is not None:
        found = few_maxima(few.taken(x, lowest(x.dtype)), few.shape, coded)
        if found is not None:
            return found
    v = padded(x, padding, lowest(x.dtype))
    kind: Any = tap_type(math.prod(kernel))
    codes, unit = None, 1
    for dim in range(-1, -len(kernel) - 1, -1):
        k, n, s, d = kernel[dim], out[dim], stride[dim], dilation[dim]
        parts = [along(dim, tap_slices(t, n, s, d)) for t in range(k)]
        best = v[parts[0]]
        code = None
        if coded:
            code = np.zeros(best.shape, kind) if codes is None else codes[parts[0]].copy()
        for t in range(1, k):
            candidate = v[parts[t]]
            if coded:
                better = np.greater(candidate, best)
                if candidate.dtype.kind == "f":
                    nan = candidate != candidate
                    if nan.any():
                        better |= nan
                step = kind(t * unit) if codes is None else codes[parts[t]] + kind(t * unit)
                step = step - code  # wraps around in uint8, and back
                code += better * step
            best = np.maximum(best, candidate) if t == 1 else np.maximum(best, candidate, out=best)
        v, codes, unit = best, code, unit * k
    return np.array(v, order="C", copy=True if v is x or v.base is not None else None), codes


def quick_maxima(
    x: Any, out: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, coded: bool
) -> Any:
    """``max_windows`` by a loop, or None."""
    if x.size >= LEAST or (coded and math.prod(kernel) > 256):
        return None
    table = table_of(x.shape, out, kernel, stride, padding, dilation)
    if table is None:
        return None
    if coded:
        return table.run("window taps", x, np.uint8)
    found = table.run("window maxima", x)
    return None if found is None else (found, None)


def few_maxima(taken: Any, shape: Any, coded: bool) -> Any:
    """``max_windows`` of few elements; None if NaN is among them, which is its window's maximum."""
    values = np.maximum.reduce(taken, -2)
    if values.size and not values.item(values.argmax()) < math.inf:
        return None
    if not coded:
        return values.reshape(shape), None
    codes = taken.argmax(-2).astype(tap_type(taken.shape[-2]))
    return values.reshape(shape), codes.reshape(shape)


def tap_type(taps: int) -> Any:
    """What so many taps are numbered in."""
    return np.uint8 if taps <= 256 else np.int32


@functools.lru_cache(maxsize=64)
def table_of_places(
    space: Any, out: Any, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The places of each tap, in all windows, in the flattened unpadded dims, as a vector; and the
    windows' numbers.
    """
    shift, step = 0, 1
    for n, (a, _) in zip(space[::-1], padding[::-1], strict=True):
        shift, step = shift + a * step, step * n
    table = places(space, out, kernel, stride, dilation) - shift
    return table.reshape(-1), np.arange(table.shape[1])


class FlatIndices(Op):
    """Places of the maxima in the flattened unpadded dims ``space``, from their taps."""

    def eager(self, xp, taps, *, space, kernel, stride, padding, dilation):
        if taps.size <= FEW:
            out = taps.shape[taps.ndim - len(kernel) :]
            table, number = table_of_places(space, out, kernel, stride, padding, dilation)
            at = taps.reshape(-1, number.size) * np.int64(number.size)
            at += number
            return table.take(at).reshape(taps.shape)
        index = np.zeros(taps.shape, np.int64)
        rest = taps.astype(np.int64)
        unit = 1
        for dim in range(-1, -len(kernel) - 1, -1):
            tap = rest % kernel[dim]
            rest //= kernel[dim]
            start = np.arange(taps.shape[dim]) * stride[dim] - padding[dim][0]
            place = tap * dilation[dim] + start.reshape(-1, *[1] * (-1 - dim))
            index += place * unit
            unit *= space[dim]
        return index


class MaxPool(Op):
    """Maxima of windows, and their taps."""

    compiled = True
    outputs = ("values", "taps")
    label = "MaxPool2DWithIndices"

    def eager(self, xp, input, *, out, kernel, stride, padding, dilation):
        found = max_windows(widened(input), out, kernel, stride, padding, dilation, True)
        return in_dtype(found[0], input.dtype), found[1]

    def grad_input(self, g, taps, input_spec, params):
        return MaxPoolSpread.bind(g[0], taps, space=input_spec[0], **params)


class MaxPoolValues(Op):
    """Maxima of windows, when nobody needs to know where they were."""

    compiled = True

    def eager(self, xp, input, *, out, kernel, stride, padding, dilation):
        found = max_windows(widened(input), out, kernel, stride, padding, dilation, False)
        return in_dtype(found[0], input.dtype)


class MaxPoolSpread(Op):
    """Values g put back where the maxima were: the gradient of MaxPool."""

    compiled = True
    label = "MaxPool2DWithIndicesBackward"

    def eager(self, xp, g, taps, *, space, out, kernel, stride, padding, dilation):
        rank = len(kernel)
        few = windows_of(space, out, kernel, stride, padding, dilation)
        if few is not None and g.dtype in dtypes.FLOATS:
            rows = few.where.reshape(-1)
            number = np.arange(few.where.shape[1]).reshape(out)
            return few.added(g, rows.take(taps * np.int64(number.size) + number))
        size = [n + a + b for n, (a, b) in zip(space[-rank:], padding, strict=True)]
        disjoint = all(
            s >= (k - 1) * d + 1 and d == 1
            for k, s, d in zip(kernel, stride, dilation, strict=True)
        )
        tiled = disjoint and all(
            o * k == n and k == s for o, k, s, n in zip(out, kernel, stride, size, strict=True)
        )
        work = dtypes.float32 if g.dtype in dtypes.HALVES else g.dtype
        make = np.empty if tiled else np.zeros
        x: Any = make((*space[:-rank], *size), work)
        for code, tap in enumerate(itertools.product(*map(range, kernel))):
            parts = (..., *[tap_slices(*a) for a in zip(tap, out, stride, dilation, strict=True)])
            if disjoint:
                np.multiply(g, taps == code, x[parts])
            else:
                x[parts] += g * (taps == code)
        x = x[inside(space[-rank:], padding)] if tuple(size) != tuple(space[-rank:]) else x
        return np.array(x, g.dtype, order="C", copy=None)

    def grad_g(self, gg, taps, params):
        options = {k: v for k, v in params.items() if k != "space"}
        return MaxPoolPick.bind(gg, taps, **options)

    def grad_taps(self, gg):
        return None


class MaxPoolPick(Op):
    """The elements of x where the maxima were."""

    label = "Gather"

    def eager(self, xp, x, taps, *, out, kernel, stride, padding, dilation):
        rank = len(kernel)
        space = x.shape[-rank:]
        index = FlatIndices.instance.eager(
            np, taps, space=space, kernel=kernel, stride=stride, padding=padding, dilation=dilation
        )
        lead = x.shape[:-rank]
        picked = np.take_along_axis(x.reshape(*lead, -1), index.reshape(*lead, -1), -1)
        return picked.reshape(*lead, *out)

    def grad_x(self, g, taps, x_spec, params):
        return MaxPoolSpread.bind(g, taps, space=x_spec[0], **params)

    def grad_taps(self, g):
        return None


ONES = [(1,) * rank for rank in range(4)]


LONG = 8  # elements of windows that do not overlap: sums of more are reductions


def sum_windows(x: Any, out: Any, kernel: Any, stride: Any, padding: Any) -> Any:
    """Sums of windows."""
    few = windows_of(x.shape, out, kernel, stride, padding, ONES[len(kernel)])
    if few is not None:
        return np.add.reduce(few.taken(x, 0), -2).reshape(few.shape)
    v = padded(x, padding, 0)
    for dim in range(-1, -len(kernel) - 1, -1):
        n, k = out[dim], kernel[dim]
        if k == stride[dim] > LONG and v.shape[dim] == n * k and v.flags.c_contiguous:
            d = v.ndim + dim
            v = np.add.reduce(v.reshape(*v.shape[:d], n, k, *v.shape[d + 1 :]), d + 1, v.dtype)
            continue
        parts = [along(dim, tap_slices(t, out[dim], stride[dim], 1)) for t in range(kernel[dim])]
        total = v[parts[0]]
        if len(parts) > 1:
            total = total + v[parts[1]]
        for part in parts[2:]:
            total += v[part]
        v = total
    return np.array(v, order="C", copy=True if v is x or v.base is not None else None)


def spread_windows(g: Any, space: Any, out: Any, kernel: Any, stride: Any, padding: Any) -> Any:
    """Each element added to all of its window: the transpose of ``sum_windows``."""
    v = g
    for dim in range(-len(kernel), 0):
        (a, b), k, s = padding[dim], kernel[dim], stride[dim]
        shape = list(v.shape)
        shape[dim] = space[dim] + a + b
        tiled = k == s and shape[dim] == out[dim] * k
        wider = (np.empty if tiled else np.zeros)(shape, g.dtype)
        for t in range(k):
            part = wider[along(dim, tap_slices(t, out[dim], s, 1))]
            if s >= k:
                part[...] = v  # windows do not overlap
            else:
                part += v
        v = wider[along(dim, slice(a, a + space[dim]))]
    return np.array(v, order="C", copy=None)


@functools.lru_cache(maxsize=64)
def counts(
    space: Any,
    out: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    include_pad: bool,
    divisor: int | None,
    ceil: Any,
) -> Any:
    """What each window's sum is divided by: a number, or an array of ``out``'s shape.

    ``ceil``: the padding after each dim that counts as part of the input when ``include_pad``.
    """
    if divisor is not None:
        return float(divisor)
    sizes = []
    uniform = True
    for n, o, k, s, (a, _), after in zip(space, out, kernel, stride, padding, ceil, strict=True):
        start = np.arange(o) * s - a
        low, high = (
            (start, np.minimum(start + k, n + after))
            if include_pad
            else (np.maximum(start, 0), np.minimum(start + k, n))
        )
        sizes.append(high - low)
        uniform = uniform and bool((sizes[-1] == k).all())
    if uniform:
        return float(math.prod(kernel))
    total = sizes[0]
    for more in sizes[1:]:
        total = total[..., None] * more
    return total.astype(np.float64)


MEANS = "window means"


@functools.lru_cache(maxsize=256)
def means_of(
    shape: Any,
    out: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    include_pad: bool,
    divisor: int | None,
    after: Any,
) -> Table | None:
    """The table of windows with what their sums are divided by, or None."""
    table = table_of(shape, out, kernel, stride, padding, ONES[len(kernel)])
    if table is None:
        return None
    space = shape[len(shape) - len(out) :]
    n = counts(space, out, kernel, stride, padding, include_pad, divisor, after)
    return replace(table, divisors=np.array(np.broadcast_to(n, out), np.float64).reshape(-1))


class AvgPool(Op):
    """Means of windows."""

    compiled = True
    label = "AvgPool2D"

    def eager(self, xp, input, *, out, kernel, stride, padding, include_pad, divisor, after):
        if input.size < LEAST:
            table = means_of(input.shape, out, kernel, stride, padding, include_pad, divisor, after)
            found = None if table is None else table.run(MEANS, input)
            if found is not None:
                return found
        n = counts(
            input.shape[-len(kernel) :], out, kernel, stride, padding, include_pad, divisor, after
        )
        return in_float32(averages, (input,), out, kernel, stride, padding, n)

    def grad(self, g, input_spec, params):
        return AvgPoolSpread.bind(g, space=input_spec[0][-len(params["kernel"]) :], **params)


def averages(x: Any, out: Any, kernel: Any, stride: Any, padding: Any, n: Any) -> Any:
    """Means of windows, for counts n."""
    total = sum_windows(x, out, kernel, stride, padding)
    if total.dtype.kind in "iu":
        n = np.asarray(n, total.dtype)
        return np.sign(total) * np.sign(n) * (np.abs(total) // np.abs(n))  # towards zero
    total /= np.asarray(n, total.dtype)
    return total


class AvgPoolSpread(Op):
    """The transpose of AvgPool."""

    compiled = True
    label = "AvgPool2DBackward"

    def eager(self, xp, g, *, space, out, kernel, stride, padding, include_pad, divisor, after):
        n = counts(space, out, kernel, stride, padding, include_pad, divisor, after)
        return in_float32(
            lambda a: spread_windows(
                a / np.asarray(n, a.dtype), space, out, kernel, stride, padding
            ),
            (g,),
        )

    def grad(self, g, params):
        return AvgPool.bind(g, **{k: v for k, v in params.items() if k != "space"})


_transposed: dict[int, tuple[Any, Any]] = {}


def transposed(m: Any) -> Any:
    """m.T: the same array every time, so that what is kept about it is found again."""
    if id(m) not in _transposed:
        if len(_transposed) > 32:
            _transposed.clear()
        _transposed[id(m)] = m, m.T
    return _transposed[id(m)][1]


class Along(Op):
    """Each trailing dim i of the input multiplied by ``matrices[i]`` (old size, new size), a NumPy
    array or None to leave it.
    """

    label = "Resample"

    def eager(self, xp, input, *, matrices):
        return in_float32(multiply_along, (input,), matrices)

    def grad(self, g, matrices):
        return Along.bind(
            g, matrices=tuple([None if m is None else transposed(m) for m in matrices])
        )


SPARSE = 2**13  # elements from which a matrix of interpolation is not multiplied with its zeros
_sparse: dict[int, tuple[Any, Any]] = {}  # by the id of the matrix, which is kept alive


def sparse_along(x: Any, m: Any, dim: int) -> Any:
    """The trailing ``dim`` of x (old size) to the new one by the matrix m (old, new)."""
    from scipy.sparse import csr_array

    if id(m) not in _sparse:
        if len(_sparse) > 32:
            _sparse.clear()
        _sparse[id(m)] = m, csr_array(m.T)
    s = _sparse[id(m)][1].astype(x.dtype)
    moved = np.ascontiguousarray(np.moveaxis(x, dim, 0))
    out = (s @ moved.reshape(len(moved), -1)).reshape(-1, *moved.shape[1:])
    return np.moveaxis(out, 0, dim)


_taps: dict[Any, Any] = {}  # by the id of the matrix, which is kept alive


def taps_of(m: Any, d: Any) -> Any:
    """The rows of m whose columns have four elements other than zero at most: for each of these the
    places and the values in dtype d, a row for each; None for other matrices.
    """
    if (id(m), d) not in _taps:
        if len(_taps) > 64:
            _taps.clear()
        columns, rows = np.nonzero(m.T)
        counts = np.bincount(columns, minlength=m.shape[1])
        most, taps = int(counts.max(initial=0)), None
        if most <= 4:
            which = np.arange(len(columns)) - (np.cumsum(counts) - counts)[columns]
            order, values = np.zeros((most, len(counts)), np.intp), np.zeros((most, len(counts)), d)
            order[which, columns], values[which, columns] = rows, m[rows, columns]
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
    if math.prod(space) * math.prod(out) <= SPARSE:
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
        if m.size > SPARSE:
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


def bin_edges(n: int, out: int) -> list[tuple[int, int]]:
    """Start and stop of the ``out`` bins that cover n positions."""
    return [((i * n) // out, -(-(i + 1) * n // out)) for i in range(out)]


@functools.lru_cache(maxsize=64)
def bins_of(space: Any, out: Any) -> tuple[tuple[tuple[int, int], ...], ...]:
    """``bin_edges`` for each dim."""
    return tuple([tuple(bin_edges(n, o)) for n, o in zip(space, out, strict=True)])


@functools.lru_cache(maxsize=64)
def bin_means(n: int, out: int) -> np.ndarray:
    """Matrix (n, out) that averages each bin."""
    m = np.zeros((n, out))
    for j, (a, b) in enumerate(bin_edges(n, out)):
        m[a:b, j] = 1 / (b - a)
    return m


@functools.lru_cache(maxsize=64)
def bin_places(space: Any, bins: Any) -> tuple[np.ndarray, np.ndarray]:
    """The places of bins in flattened dims, (taps, bins), where bins of fewer elements repeat
    their last; and the bins' numbers.
    """
    found = np.zeros((1, 1), np.int64)
    for n, parts in zip(space, bins, strict=True):
        most = max([b - a for a, b in parts])
        along_dim = np.array([[min(a + i, b - 1) for a, b in parts] for i in range(most)])
        grid = found[:, None, :, None] * n + along_dim[None, :, None, :]
        found = grid.reshape(len(found) * most, found.shape[1] * len(parts))
    return found, np.arange(found.shape[1])


@functools.lru_cache(maxsize=64)
def table_of_bins(shape: Any, bins: Any) -> Table | None:
    """The table of bins for inputs of this shape; None where there are many elements."""
    where = bin_places(shape[len(shape) - len(bins) :], bins)[0].astype(np.int32)
    if not 0 < where.size <= FEW:
        return None
    for k in range(len(where) - 1, 0, -1):  # bins of fewer elements repeat their last
        where[k, (where[:k] == where[k]).any(0)] = -1
    out = tuple([len(parts) for parts in bins])
    return table_for(shape, out, where, (where >= 0).sum(0).astype(np.float64))


def few_bin_maxima(x: Any, bins: Any) -> tuple[Any, Any]:
    """``BinMax`` of few elements."""
    lead, space = x.shape[: -len(bins)], x.shape[-len(bins) :]
    where, number = bin_places(space, bins)
    taken = x.reshape(*lead, math.prod(space)).take(where, -1)
    at = taken.argmax(-2)
    at *= number.size
    at += number
    index = where.take(at)
    shape = (*lead, *[len(parts) for parts in bins])
    return np.maximum.reduce(taken, -2).reshape(shape), index.reshape(shape)


class BinMax(Op):
    """Maxima of bins along the trailing dims, and where they are in the flattened dims.

    ``bins`` holds (start, stop) for each position of each dim.
    """

    outputs = ("values", "indices")
    label = "AdaptiveMaxPool2D"

    def eager(self, xp, input, *, bins):
        d = input.dtype
        v = widened(input)
        if input.size <= FEW:
            table = table_of_bins(input.shape, bins)
            found = None if table is None else table.run("window places", v, np.int64)
            values, index = found or few_bin_maxima(v, bins)
            return in_dtype(values, d), index
        if kernels.on and v.size >= LEAST:
            found = kernels.loop("bin maxima", v, bins)
            if found is not None:
                return in_dtype(found[0], d), found[1]
        index, unit = None, 1
        for dim in range(-1, -len(bins) - 1, -1):
            values, places = [], []
            for a, b in bins[dim]:
                part = v[along(dim, slice(a, b))]
                at = np.argmax(part, dim, keepdims=True)
                values.append(np.take_along_axis(part, at, dim))
                place = (at + a) * unit
                if index is not None:
                    place = place + np.take_along_axis(index[along(dim, slice(a, b))], at, dim)
                places.append(place)
            v, index = np.concatenate(values, dim), np.concatenate(places, dim)
            unit *= input.shape[dim]
        return in_dtype(v, d), index

    def grad_input(self, g, indices, input_spec, bins):
        return scatter_flat(g[0], indices, input_spec[0], len(bins))


def scatter_flat(g: Tensor, indices: Tensor, shape: Any, rank: int) -> Tensor:
    """g added into zeros of ``shape`` at flat indices of its trailing ``rank`` dims."""
    lead = shape[: len(shape) - rank]
    zero = g.new_zeros((*lead, math.prod(shape[len(lead) :])))
    return zero.scatter_add(-1, indices.flatten(len(lead)), g.flatten(len(lead))).reshape(shape)
