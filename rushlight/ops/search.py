"""Ranks and searches on arrays: quantiles, unique values, places in a sorted sequence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.native import kernels, widened
from rushlight.core.op import Op
from rushlight.core.tensor import Tensor
from rushlight.errors import ShapeError, UnforeseenError
from rushlight.ops.order import Sort
from rushlight.ops.scatter import Gather
from rushlight.ops.sorting import LONG, stable_argsort
from rushlight.ops.sums import number
from rushlight.ops.weighted import Lerp

FEW = 4096  # elements up to which what a call of NumPy costs decides
COUNTED = dtypes.FLOATS | dtypes.INTEGER_TYPES  # whose runs a loop finds


def quantile(x: Tensor, q: Tensor, interpolation: str, skip_nan: bool) -> Tensor:
    """Quantiles ``q``, a vector, along the last dim, which they replace."""
    dim, n = x._array.ndim - 1, x._array.shape[-1]
    values = Sort.bind(x, dim=dim, descending=False)[0]
    count: Any = n
    if skip_nan:
        count = (n - values.isnan().sum(-1, keepdim=True)).clamp(min=1).to(values.dtype)
    place = (q * (count - 1)).expand(*values._array.shape[:-1], q._array.size)  # (..., q)
    at = place.round() if interpolation == "nearest" else place
    low, high = at.floor().long(), at.ceil().long()
    if not skip_nan:  # NaN comes last, so it is what every quantile of its row picks
        some = values.isnan().any(-1, keepdim=True)
        low, high = low.masked_fill(some, n - 1), high.masked_fill(some, n - 1)
    if interpolation in ("lower", "higher", "nearest"):
        return Gather.bind(values, high if interpolation == "higher" else low, dim=dim)
    left, right = Gather.bind(values, low, dim=dim), Gather.bind(values, high, dim=dim)
    return left.lerp(right, 0.5 if interpolation == "midpoint" else place - place.floor())


def quantiles(x: Any, q: Any, interpolation: str, shape: tuple[int, ...]) -> Any:
    """``quantile`` of arrays, the dim of q first, in a shape: where no op is recorded."""
    n = x.shape[-1]
    rows = np.sort(x, -1).T if x.ndim < 3 else np.moveaxis(np.sort(x, -1), -1, 0)
    place = q * number(n - 1, x.dtype)
    if x.ndim > 1 and q.ndim:
        place = place.reshape(-1, *[1] * (x.ndim - 1))
    at = np.rint(place) if interpolation == "nearest" else place
    floor = np.floor(at)
    low, high = floor.astype(np.intp), np.ceil(at).astype(np.intp)
    if interpolation in ("lower", "higher", "nearest"):
        out = rows.take((high if interpolation == "higher" else low).reshape(q.shape), 0)
    else:
        weight = np.full_like(place, 0.5) if interpolation == "midpoint" else place - floor
        left, right = [rows.take(k.reshape(-1), 0) for k in (low, high)]
        weight = np.broadcast_to(weight.reshape(-1, *[1] * (x.ndim - 1)), left.shape)
        out = Lerp.instance.forward([left, right, np.ascontiguousarray(weight)], {})
    out, last = np.asarray(out), rows[-1]
    if np.isnan(last).any():  # NaN comes last
        out = np.where(np.isnan(last), last, out)
    return out.reshape(shape)


def unique(x: Any, dim: int | None, places: bool = True) -> tuple[Any, Any, Any]:
    """Distinct elements (slices along ``dim``) in order, where each input is among them, and how
    often; None for these when ``places`` is False.
    """
    half = x.dtype in dtypes.HALVES
    if dim is None and x.dtype in dtypes.INTEGER_TYPES and x.size > 64:
        low = int(x.min())
        if int(x.max()) - low < 2 * x.size:
            return unique_by_counting(x, low, places)
    if dim is None and x.size >= LONG and kernels.on:
        return unique_by_order(widened(x).reshape(-1), x, places)
    if dim is None and not places:
        values = np.sort(widened(x), None)
        if len(values):
            values = values[starts(values[:, None])]
        return values.astype(x.dtype) if half else values, None, None
    if dim is None:
        return unique_by_order(widened(x).reshape(-1), x, True)
    check_slices(x, dim)
    if not x.size:
        return x.copy(), np.zeros(x.shape[dim], np.int64), np.zeros(x.shape[dim], np.int64)
    rows = np.ascontiguousarray(np.moveaxis(widened(x), dim, 0)).reshape(x.shape[dim], -1)
    order = row_order(rows)
    start = starts(rows[order])
    group = numbered(start)
    inverse = np.empty(len(order), np.int64)
    inverse[order] = group
    first = order[start]
    return np.ascontiguousarray(x.take(first, dim)), inverse, np.bincount(group)


def unique_by_order(flat: Any, x: Any, places: bool) -> tuple[Any, Any, Any]:
    """``unique`` of elements, ``flat`` in a dtype that is sorted."""
    order = stable_argsort(flat, 0, False)
    flat = flat[order]
    start = starts(flat[:, None])
    values = flat[start].astype(x.dtype, copy=False)
    if not places:
        return values, None, None
    group = numbered(start)
    inverse = np.empty(x.size, np.int64)
    inverse[order] = group
    return values, inverse.reshape(x.shape), np.bincount(group)


def row_order(rows: Any) -> Any:
    """The order of rows by their first element, then their second, as far as it takes to tell all
    of them apart.
    """
    if rows.size < FEW:
        return np.lexsort(rows.T[::-1])
    rank, column = np.unique(rows[:, 0], return_inverse=True)[1], 1
    while column < rows.shape[1] and rank.max() < len(rows) - 1:
        finer = np.unique(rows[:, column], return_inverse=True)[1]
        rank = np.unique(rank * len(rows) + finer, return_inverse=True)[1]
        column += 1
    return rank.argsort(kind="stable")


def unique_by_counting(x: Any, low: int, places: bool) -> tuple[Any, Any, Any]:
    """``unique`` of integers from ``low`` on that are not much larger than many."""
    wide = x if x.itemsize == 8 else x.astype(np.int64)  # a difference may not fit a narrow type
    above = (wide - wide.dtype.type(low)).astype(np.int64).reshape(-1)
    counts = np.bincount(above)
    found = np.flatnonzero(counts)
    values = (found + low).astype(x.dtype)
    if not places:
        return values, None, None
    rank = np.cumsum(counts > 0) - 1
    return values, rank[above].reshape(x.shape), counts[found]


def check_slices(x: Any, dim: int) -> None:
    """Slices without elements cannot be told apart."""
    if 0 in x.shape and x.shape[dim]:
        raise ShapeError(
            "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied: "
            f"{x.shape}, dim {dim}"
        )


def starts(rows: Any) -> Any:
    """Where a row differs from the one before it."""
    out = np.empty(len(rows), bool)
    out[:1] = True
    if rows.shape[1] == 1:
        np.not_equal(rows[1:, 0], rows[:-1, 0], out[1:])
    else:
        np.logical_or.reduce(rows[1:] != rows[:-1], 1, None, out[1:])
    return out


def numbered(start: Any) -> Any:
    """The number of the run that each element belongs to."""
    group = np.add.accumulate(start, 0, np.int64)
    group -= 1
    return group


def gaps(begins: Any, end: int) -> Any:
    """The lengths of runs that begin there, the last up to ``end``."""
    counts = np.empty_like(begins)
    np.subtract(begins[1:], begins[:-1], counts[:-1])
    counts[-1] = end - begins[-1]
    return counts


def quick_runs(x: Any) -> Any:
    """The first of each run of equal elements, and their places, by a loop, or None."""
    if x.dtype not in COUNTED or not x.flags.carray:
        return None
    run, n = kernels.runner("runs", x.dtype, 4, x.size), x.size
    if run is None:
        return None
    firsts, places, count = np.empty_like(x), np.empty(n, np.int64), np.empty(1, np.int64)
    run(x, firsts, places, count, n)
    runs = count.item()
    return firsts[:runs].copy(), places[:runs]


def unique_consecutive(x: Any, dim: int | None, inverse: bool) -> tuple[Any, Any, Any]:
    """Elements (slices along ``dim``) that differ from the one before, where each input went, if
    ``inverse``, and the lengths of the runs.
    """
    if dim is not None and x.ndim:
        check_slices(x, dim)
    if dim is not None and not x.size:
        return x.copy(), np.zeros(x.shape[dim], np.int64), np.zeros(x.shape[dim], np.int64)
    if dim is None or not x.ndim:
        flat = x.reshape(-1, 1)
    else:
        flat = np.ascontiguousarray(np.moveaxis(x, dim, 0)).reshape(x.shape[dim], -1)
    if not len(flat):
        return (
            x.reshape(-1) if dim is None else x,
            np.zeros(x.shape if dim is None else 0, np.int64),
            np.zeros(0, np.int64),
        )
    found = None if inverse or dim is not None else quick_runs(flat[:, 0])
    if found is not None:
        values, begins = found
        return values, None, gaps(begins, len(flat))
    start = starts(flat)
    begins = start.nonzero()[0]
    counts = gaps(begins, len(flat))
    group = numbered(start) if inverse else None
    if dim is None:
        values = x.reshape(-1)[begins]
        return values, group if group is None else group.reshape(x.shape), counts
    return (np.ascontiguousarray(np.take(x, begins, dim)) if x.ndim else x.copy()), group, counts


def bisected(edges: Any, values: Any, side: str) -> Any:
    """``Searchsorted`` where edges end with NaN, which a comparison takes for less than all."""
    low, high = np.zeros(values.shape, np.int64), np.full(values.shape, edges.shape[-1])
    behind = np.greater if side == "right" else np.greater_equal
    for _ in range(edges.shape[-1].bit_length()):
        middle = np.minimum((low + high) // 2, edges.shape[-1] - 1)
        at = edges[middle] if edges.ndim == 1 else np.take_along_axis(edges, middle, -1)
        left = behind(at, values) & (low < high)
        low = np.where(left | (low >= high), low, middle + 1)
        high = np.where(left, middle, high)
    return low


class Searchsorted(Op):
    """Where in the last dim of ``edges`` each of ``values`` would keep it sorted: before equal
    elements, or behind them for the side "right". One row of edges serves all values.
    """

    def eager(self, xp, edges, values, *, side):
        if edges.dtype not in dtypes.FLOATS or values.__class__ is not np.ndarray:
            edges, values = widened(edges), widened(np.asarray(values))
        if edges.ndim == 1:
            if edges.size and (last := edges.item(-1)) != last:  # NaN
                return bisected(edges, values, side)
            found = edges.searchsorted(values, side)
            return found if found.__class__ is np.ndarray else np.asarray(found)
        if edges.size and (edges[..., -1] != edges[..., -1]).any():
            return bisected(edges, values, side)
        out = np.empty(values.shape, np.int64)
        for place in np.ndindex(*edges.shape[:-1]):
            out[place] = np.searchsorted(edges[place], values[place], side)
        return out


class IsIn(Op):
    """Whether each element is one of ``few``, or, with ``invert``, whether it is none."""

    def eager(self, xp, input, few, *, invert):
        a, b = widened(np.asarray(input)), widened(np.asarray(few))
        if b.size <= 8 or a.size * b.size < FEW:
            found = np.logical_or.reduce(a[..., None] == b.reshape(-1), -1)
            return np.asarray(~found if invert else found)
        return np.asarray(np.isin(a, b, invert=invert))


def cells_of(x: Any, edges: Any) -> Any:
    """Between which edges each of x lies. Even ones are found by dividing, and then set right."""
    if len(x) < 1024:
        return edges.searchsorted(x, "right") - 1
    gaps = np.diff(edges)
    if not len(gaps) or not 0 < gaps.max() < 1.01 * gaps.min():
        return np.searchsorted(edges, x, "right") - 1
    most = len(gaps) - 1
    scaled = (x - edges[0]) * (len(gaps) / float(edges[-1] - edges[0]))
    cells = np.clip(np.nan_to_num(scaled), 0, most).astype(np.intp)
    cells -= (x < edges[cells]) & (cells > 0)
    cells += (x >= edges[cells + 1]) & (cells < most)
    return cells


def histogramdd(points: Any, edges: list[Any], weights: Any, density: bool) -> Any:
    """How many rows of ``points`` (or how much weight) each cell between ``edges`` holds; the last
    edge belongs to its cell.
    """
    inside = np.ones(len(points), bool)
    cells = []
    for x, e in zip(points.T, edges, strict=True):
        inside &= (x >= e[0]) & (x <= e[-1])
        cells.append(np.minimum(np.maximum(cells_of(x, e), 0), len(e) - 2))
    shape = tuple([len(e) - 1 for e in edges])
    if len(cells) == 1:
        flat = cells[0][inside]
    elif len(points):
        flat = np.ravel_multi_index([c[inside] for c in cells], shape)
    else:
        flat = np.zeros(0, np.int64)
    size = math.prod(shape)
    hist = (
        np.bincount(flat, None if weights is None else weights[inside], size)
        .reshape(shape)
        .astype(np.float64)
    )
    if density:
        hist = hist / hist.sum()
        for i, e in enumerate(edges):
            hist = hist / np.diff(e).reshape([-1 if d == i else 1 for d in range(len(edges))])
    return hist


class Bincount(Op):
    """How often each integer below ``bins`` occurs, or the sum of the weights where it does."""

    differentiable = False

    def eager(self, xp, input, weights, *, bins):
        try:
            out = np.bincount(input, weights, bins)
        except ValueError as error:
            message = "bincount only supports 1-d non-negative integral inputs."
            raise RuntimeError(message) from error
        if len(out) > bins:
            raise UnforeseenError(f"bincount: there are {len(out)} bins, not {bins}.")
        single = weights is not None and weights.dtype == np.float32
        d = np.float32 if single else np.int64 if weights is None else np.float64
        return out.astype(d, copy=False)


class Shares(Op):
    """``input``, which must lie in [0, 1]; ``name`` is whose argument q it is."""

    def eager(self, xp, input, *, name):
        if not ((input >= 0) & (input <= 1)).all():
            raise RuntimeError(
                f"{name}() q values must be in the range [0, 1], but got {input.tolist()}"
            )
        return input.copy()

    def grad(self, g):
        return g
