"""Resampling along dims: the matrices of interpolation, and nearest neighbours."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import formats
from rushlight.core.op import Op, packed
from rushlight.ops.along import matrix
from rushlight.ops.places import add_rows


def step(n: int, out: int, scale: float | None, align_corners: bool) -> float:
    """Distance between the places in the input that neighbouring outputs are read from."""
    if align_corners:
        return (n - 1) / (out - 1) if out > 1 else 0.0
    return 1.0 / scale if scale is not None and scale > 0 else n / out


@functools.lru_cache(maxsize=64)
def nearest(n: int, out: int, scale: float | None, exact: bool) -> np.ndarray:
    """Index of the input for each output."""
    i = np.arange(out, dtype=np.float32) + np.float32(0.5 if exact else 0)
    return np.minimum((i * np.float32(step(n, out, scale, False))).astype(np.int64), n - 1)


@functools.lru_cache(maxsize=64)
def linear(n: int, out: int, scale: float | None, align_corners: bool) -> Any:
    """Matrix (n, out) of linear interpolation."""
    s = step(n, out, scale, align_corners)
    i = np.arange(out)
    place = i * s if align_corners else np.maximum((i + 0.5) * s - 0.5, 0)
    low = np.minimum(place.astype(np.int64), n - 1)
    share = np.clip(place - low, 0, 1)
    rows = np.concatenate([low, np.minimum(low + 1, n - 1)])
    return matrix(n, out, rows, np.tile(i, 2), np.concatenate([1 - share, share]))


def cubic_weight(x: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic kernel with parameter a."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


@functools.lru_cache(maxsize=64)
def cubic(n: int, out: int, scale: float | None, align_corners: bool) -> Any:
    """Matrix (n, out) of cubic interpolation; beyond the edge the edge's value counts."""
    s = step(n, out, scale, align_corners)
    i = np.arange(out)
    place = i * s if align_corners else (i + 0.5) * s - 0.5
    low, taps = np.floor(place).astype(np.int64), np.arange(-1, 3)[:, None]
    weights = cubic_weight(place - low - taps, -0.75)
    rows = np.clip(low + taps, 0, n - 1)
    return matrix(n, out, rows.ravel(), np.tile(i, 4), weights.ravel())


@functools.lru_cache(maxsize=64)
def smoothed(n: int, out: int, scale: float | None, align_corners: bool, kind: str) -> Any:
    """Matrix (n, out) of interpolation whose kernel widens when the size shrinks (antialias)."""
    s = step(n, out, scale, align_corners)
    kernel: Callable[[Any], Any] = (
        (lambda x: np.maximum(1 - np.abs(x), 0))
        if kind == "bilinear"
        else (lambda x: cubic_weight(x, -0.5))
    )
    radius = 1.0 if kind == "bilinear" else 2.0
    width = max(s, 1.0)
    rows, columns, weights = list[Any](), list[Any](), list[Any]()
    for i in range(out):
        centre = s * (i + 0.5)
        start = max(int(centre - radius * width + 0.5), 0)
        stop = min(int(centre + radius * width + 0.5), n)
        w = kernel((np.arange(start, stop) - centre + 0.5) / width)
        rows.append(np.arange(start, stop))
        columns.append(np.full(stop - start, i))
        weights.append(w / w.sum() if w.sum() else w)
    return matrix(n, out, *map(np.concatenate, (rows, columns, weights)))


def changes_nothing(m: Any) -> bool:
    """Whether a matrix is the identity."""
    return m.shape[0] == m.shape[1] == abs(m).sum() and bool((m.diagonal() == 1).all())


def fixed_point(m: Any) -> tuple[Any, int]:
    """Weights as 16-bit integers, and how many binary digits stand behind the point."""
    digits, most = 0, m.max()
    while digits < 22 and int(0.5 + most * 2 ** (digits + 1)) < 2**15:
        digits += 1
    if m.__class__ is np.ndarray:
        return np.trunc(m * 2**digits + np.copysign(0.5, m)), digits
    weights = m.copy()
    weights.data = fixed_point(m.data)[0]
    return weights, digits


class ResampleBytes(Op):
    """Images of bytes by matrices along their last two dims, in the integer arithmetic that image
    libraries use: rounded to bytes after each dim, the last one first.
    """

    label = "UpsampleBilinear2D"

    def eager(self, xp, input, *, matrices):
        for dim, m in zip((-1, -2), matrices[::-1], strict=True):
            if m.shape[0] == m.shape[1]:
                continue
            weights, digits = fixed_point(m)
            rows = np.moveaxis(input, dim, 0).astype(np.float64)
            wide = weights.T @ rows.reshape(len(rows), -1)  # exact
            wide = np.clip(np.floor((wide + 2 ** (digits - 1)) / 2**digits), 0, 255)
            wide = wide.astype(np.uint8).reshape(-1, *rows.shape[1:])
            input = np.moveaxis(wide, 0, dim)
        return np.array(input, order="C")


class Pick(Op):
    """The input at ``indices[i]`` along each trailing dim i; indices never decrease."""

    label = "UpsampleNearest"

    def backward_name(self, params):
        return f"UpsampleNearest{len(params['indices']) if params else 2}DBackward0"

    def eager(self, xp, input, *, indices):
        wanted, n = formats.suggested(input), input.ndim
        if wanted:  # channels stay last in memory
            input = input.transpose(formats.channels_order(input, wanted))
        first = n - len(indices) - bool(wanted)
        for dim in range(len(indices) - 1, -1, -1):  # the last first, while there is least
            input = picked(input, indices[dim], first + dim)
        input = packed(input)
        return input.transpose(0, n - 1, *range(1, n - 1)) if wanted else input

    def grad(self, g, input_spec, indices):
        return Gathered.bind(g, indices=indices, space=input_spec[0][-len(indices) :])


FEW, MOST_TIMES = 2**11, 8  # elements and copies: fewer and more are picked one by one


def picked(x: Any, index: Any, dim: int) -> Any:
    """x at places along a dim. Where each element is read as often, they are copied all at once."""
    n, times = x.shape[dim], len(index) // max(x.shape[dim], 1)
    if x.size < FEW or not 0 < times <= MOST_TIMES or times * n != len(index):
        return x.take(index, dim)
    if not (index.reshape(n, times) == np.arange(n)[:, None]).all():
        return x.take(index, dim)
    out: Any = np.empty((*x.shape[: dim + 1], times, *x.shape[dim + 1 :]), x.dtype)
    lead = (slice(None),) * (dim + 1)
    for k in range(times):
        out[(*lead, k)] = x
    return out.reshape(*x.shape[:dim], len(index), *x.shape[dim + 1 :])


_runs: dict[int, Any] = {}  # by the id of the indices, which are kept alive


def runs_of(index: Any) -> tuple[Any, Any, Any]:
    """The different indices of a row that never decreases, where each begins, and how many."""
    if id(index) not in _runs:
        if len(_runs) > 64:
            _runs.clear()
        _runs[id(index)] = index, np.unique(index, return_index=True, return_counts=True)
    return _runs[id(index)][1]


class Gathered(Op):
    """The transpose of Pick: sums of the elements that were read from the same place."""

    label = "UpsampleNearestBackward"

    def eager(self, xp, g, *, indices, space):
        for dim, (index, n) in enumerate(zip(indices, space, strict=True), -len(indices)):
            if not len(index):
                return np.zeros((*g.shape[: g.ndim - len(space)], *space), g.dtype)
            places, starts, counts = runs_of(index)
            sums = add_runs(g, starts, counts, dim)
            if len(places) == n:
                g = sums
            else:
                g = np.zeros((*sums.shape[:dim], n, *sums.shape[dim % sums.ndim + 1 :]), g.dtype)
                g[(..., places, *[slice(None)] * (-1 - dim))] = sums
        return np.array(g, order="C", copy=None)

    def grad(self, gg, indices):
        return Pick.bind(gg, indices=indices)


def add_runs(g: Any, starts: Any, counts: Any, dim: int) -> Any:
    """Sums of the runs of so many neighbours along the negative ``dim``."""
    lead: Any = (...,)
    tail = (slice(None),) * (-1 - dim)
    most = int(counts[0])
    if (counts == most).all():  # the usual case: every place was read as often
        total = g[(*lead, slice(0, None, most), *tail)]
        for i in range(1, most):
            total = total + g[(*lead, slice(i, None, most), *tail)]
        return total
    return np.add.reduceat(g, starts, dim)


def output_size(n: int, scale: float) -> int:
    """Size after scaling."""
    return math.floor(n * scale)


class TakeEach(Op):
    """Each sample's elements at its own places: (N, C, M) and places (N, P) give (N, C, P)."""

    label = "Gather"

    def eager(self, xp, input, places):
        if len(input) == 1:
            return input[0].take(places[0], 1)[None]
        out = np.empty((*input.shape[:2], places.shape[1]), input.dtype)
        for x, at, y in zip(input, places, out, strict=True):
            x.take(at, 1, y, "clip")  # they are in range; only this way needs no copy
        return out

    def grad_input(self, g, input_spec, places):
        return AddEach.bind(g, places, size=input_spec[0][2])


class AddEach(Op):
    """The transpose of TakeEach: elements added up where they were read, in zeros (N, C, size)."""

    label = "ScatterAdd"

    def eager(self, xp, g, places, *, size):
        out = np.zeros((len(g), size, g.shape[1]), g.dtype)
        for x, at, part in zip(out, places, g, strict=True):
            add_rows(x, at, np.ascontiguousarray(part.T))
        return np.ascontiguousarray(out.swapaxes(1, 2))

    def grad_g(self, gg, places):
        return TakeEach.bind(gg, places)
