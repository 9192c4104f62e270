"""Pooling to a size: bins along each dim, which may overlap and differ in size."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from rushlight.core.native import LEAST, in_dtype, kernels, widened
from rushlight.core.op import Op
from rushlight.core.tensor import Tensor
from rushlight.ops.along import matrix
from rushlight.ops.pool import along
from rushlight.ops.windows import FEW, Table, table_for


def bin_edges(n: int, out: int) -> list[tuple[int, int]]:
    """Start and stop of the ``out`` bins that cover n positions."""
    return [((i * n) // out, -(-(i + 1) * n // out)) for i in range(out)]


@functools.lru_cache(maxsize=64)
def bins_of(space: Any, out: Any) -> tuple[tuple[tuple[int, int], ...], ...]:
    """``bin_edges`` for each dim."""
    return tuple([tuple(bin_edges(n, o)) for n, o in zip(space, out, strict=True)])


@functools.lru_cache(maxsize=64)
def bin_means(n: int, out: int) -> Any:
    """Matrix (n, out) that averages each bin."""
    start, stop = np.array(bin_edges(n, out)).T
    sizes = stop - start
    columns = np.repeat(np.arange(out), sizes)
    rows = np.arange(len(columns)) - (np.cumsum(sizes) - sizes - start)[columns]
    return matrix(n, out, rows, columns, 1 / sizes[columns])


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
    flat = x.reshape(*lead, math.prod(space))
    at = flat.take(where.T, -1).argmax(-1)
    at *= number.size
    at += number
    index = where.take(at)
    shape = (*lead, *[len(parts) for parts in bins])
    return np.take_along_axis(flat, index, -1).reshape(shape), index.reshape(shape)


class BinMax(Op):
    """Maxima of bins along the trailing dims, and where they are in the flattened dims.

    ``bins`` holds (start, stop) for each position of each dim.
    """

    outputs = ("values", "indices")
    label = "AdaptiveMaxPool2D"

    def eager(self, xp, input, *, bins):
        d = input.dtype
        v = widened(input)
        table = table_of_bins(input.shape, bins)
        found = None if table is None else table.run("window places", v, np.int64)
        if found is None and input.size <= FEW:
            found = few_bin_maxima(v, bins)
        if found is not None:
            return in_dtype(found[0], d), found[1]
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
