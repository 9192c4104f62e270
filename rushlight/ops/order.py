"""Ops that order elements along a dim, or pick by rank. They return values and where these were."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.native import in_dtype, kernels, widened
from rushlight.core.op import Op, packed
from rushlight.core.tensor import Tensor
from rushlight.ops import selection
from rushlight.ops.create import zeros
from rushlight.ops.places import take
from rushlight.ops.reduce import (
    has_nan,
    kept,
    largest,
    narrowed,
    no_complex,
    ordered,
    shared_among_equal,
    smallest,
)
from rushlight.ops.scan import scanned
from rushlight.ops.scatter import Scatter, ScatterAdd
from rushlight.ops.sorting import ordered_bits, stable_argsort


def along(g: Tensor, indices: Tensor, spec: Any, dim: int, unique: bool = True) -> Tensor:
    """g placed in zeros of ``spec`` at ``indices`` along ``dim``; added up there unless the indices
    are unique.
    """
    return (Scatter if unique else ScatterAdd).bind(
        zeros(spec[0], g._array.dtype, g), indices, g, dim=dim
    )


class Sort(Op):
    """Elements in order along ``dim``, and their indices; equal elements keep their order."""

    keeps_order = True
    outputs = ("values", "indices")

    def eager(self, xp, input, *, dim, descending):
        n = input.shape[dim] if input.ndim else 0
        found = short_in_order(input, dim, descending) if 0 < n <= FEW else None
        if found is not None:
            return found
        indices = packed(stable_argsort(ordered("sort", input), dim, descending))
        return take(input, indices, dim), indices

    def grad(self, g, indices, input_spec, dim):
        return along(g[0], indices, input_spec, dim)


FEW = 64  # elements of rows of which each is compared with all others


def short_in_order(x: Any, dim: int, descending: bool) -> Any:
    """``Sort`` of short rows of floats by a loop, or None."""
    if not x.size or x.dtype not in dtypes.FLOATS:
        return None
    loop = kernels.runner("falling" if descending else "rising", x.dtype, 3, x.size)
    if loop is None:
        return None
    if dim != x.ndim - 1:
        found = short_in_order(x.swapaxes(dim, -1), x.ndim - 1, descending)
        return [packed(a.swapaxes(dim, -1)) for a in found]
    values, places = np.empty(x.shape, x.dtype), np.empty(x.shape, np.int64)
    loop(np.ascontiguousarray(x), values, places, x.shape[-1], x.size // x.shape[-1])
    return values, places


class Topk(Op):
    """The ``k`` largest (or smallest) elements along ``dim``, and their indices; unless
    ``in_order`` as they are found. See selection.py for those that are equal.
    """

    outputs = ("values", "indices")

    def eager(self, xp, input, *, k, dim, largest, in_order):
        x = input
        if x.dtype not in dtypes.FLOATS:
            x = ordered("topk", x)
            x = x if x.dtype in dtypes.FLOATS else x.astype(np.int64, copy=False)
        last = x.ndim - 1
        if dim != last:
            x = x.swapaxes(dim, -1)
        values, indices = selection.first_few(x, k, largest, in_order)
        if dim != last:
            values, indices = [packed(a.swapaxes(dim, -1)) for a in (values, indices)]
        return in_dtype(values, input.dtype), indices

    def grad(self, g, indices, input_spec, dim):
        return along(g[0], indices, input_spec, dim)


def scattered(g: Tensor, indices: Tensor, spec: Any, dim: int, keepdim: bool) -> Tensor:
    """The gradient of one element picked along ``dim``: g at its place."""
    shape = spec[0]
    return along(kept(g, shape, (dim,), keepdim), kept(indices, shape, (dim,), keepdim), spec, dim)


SHORT = 2048  # elements of rows from which a loop picks by rank
NTH, MIDDLE, MIDDLE_NUMBER = "nth", -1, -2  # see backends/llvm/ranks.py


def picked(name: str, x: Any, dim: int, *numbers: int) -> Any:
    """Elements of short rows, and their places, by a loop; None where it is not for that."""
    d, shape = x.dtype, x.shape
    if not shape or not x.size or (d not in dtypes.FLOATS and (d, name) != (dtypes.int64, "mode")):
        return None
    n, last = shape[dim], len(shape) - 1
    loop = kernels.runner(name, d, 4, x.size) if n <= SHORT else None
    if loop is None:
        return None
    rows = x if dim == last else x.transpose((*range(dim), *range(dim + 1, last + 1), dim))
    values, places = np.empty(rows.shape[:-1], d), np.empty(rows.shape[:-1], np.int64)
    loop(np.ascontiguousarray(rows), values, places, np.empty(n + 16, d), n, *numbers, x.size // n)
    return values, places


class Pick(Op, abstract=True):
    """One element along ``dim``: a value and its index."""

    outputs = ("values", "indices")
    label: str | None = None

    def where(self, x: Any, dim: int, **params: Any) -> Any:
        """Indices, with ``dim`` of size 1."""
        raise NotImplementedError

    def at_once(self, x: Any, dim: int, **params: Any) -> Any:
        """Values and indices, without ``dim``, by a loop, or None."""

    def eager(self, xp, input, *, dim, keepdim, **params):
        x = ordered(type(self).__name__.lower(), input)
        found = self.at_once(x, dim, **params)
        if found is not None:
            if keepdim:
                found = [np.expand_dims(a, dim) for a in found]
            return in_dtype(found[0], input.dtype), found[1]
        indices = self.where(x, dim, **params)
        values = take(input, indices, dim)
        if not keepdim:
            values, indices = values.squeeze(dim), indices.squeeze(dim)
        return packed(values), narrowed(indices, dtypes.int64)

    def grad(self, g, indices, input_spec, dim, keepdim):
        return scattered(g[0], indices, input_spec, dim, keepdim)


class MaxDim(Pick):
    """The largest element along ``dim`` and the index of its first occurrence.

    NaN counts as largest.
    """

    label = "Max"

    def eager(self, xp, input, *, dim, keepdim):
        x = ordered("max", input)
        values = largest(x, (dim,), None, None, keepdim)
        return narrowed(values, input.dtype), packed(x.argmax(dim, keepdims=keepdim))


class MinDim(Pick):
    """The smallest element along ``dim`` and the index of its first occurrence.

    NaN counts as smallest.
    """

    label = "Min"

    def eager(self, xp, input, *, dim, keepdim):
        x = ordered("min", input)
        values = smallest(x, (dim,), None, None, keepdim)
        return narrowed(values, input.dtype), packed(x.argmin(dim, keepdims=keepdim))


class Kthvalue(Pick):
    """The ``k``-th smallest element along ``dim`` (k counts from 1); NaN counts as largest."""

    def at_once(self, x, dim, k):
        return picked(NTH, x, dim, k - 1)

    def where(self, x, dim, k):
        return ranked(x, k - 1, dim)


def ranked(x: Any, rank: int, dim: int) -> Any:
    """Index along ``dim`` of the element with this rank; NaN ranks last."""
    if x.shape[dim] > 64 and x.dtype in dtypes.FLOATS:
        found = nth(x.argpartition(rank, dim), rank, dim)
        if alone(x, take(x, found, dim), dim):
            return found
    return nth(stable_argsort(x, dim, False), rank, dim)


def alone(x: Any, values: Any, dim: int) -> bool:
    """Whether each of ``values``, one along ``dim``, is there but once."""
    same = x == values
    if x.ndim == 1:
        return bool(np.count_nonzero(same) == 1)
    return bool((np.count_nonzero(same, dim, keepdims=True) == 1).all())


def nth(order: Any, i: int, dim: int) -> Any:
    """Entry i along ``dim``, which stays with size 1."""
    return order[(slice(None),) * dim + (slice(i, i + 1),)]


class Median(Pick):
    """The middle element along ``dim``, the lower of two; NaN if any is, unless ``skip_nan``."""

    def backward_name(self, params):
        return ("Nanmedian" if params and params["skip_nan"] else "Median") + "Backward1"

    def at_once(self, x, dim, skip_nan):
        return picked(NTH, x, dim, MIDDLE_NUMBER if skip_nan else MIDDLE)

    def where(self, x, dim, skip_nan):
        n = x.shape[dim]
        middle = ranked(x, (n - 1) // 2, dim)
        if x.dtype not in dtypes.FLOATS:
            return middle
        if not has_nan(x):
            return middle
        nan = np.isnan(x)
        if skip_nan:
            order = stable_argsort(x, dim, False)
            valid = n - np.add.reduce(nan, dim, np.int64, None, True)
            return take(order, np.maximum(valid - 1, 0) // 2, dim)
        return np.where(
            nan.any(dim, keepdims=True), np.argmax(nan, axis=dim, keepdims=True), middle
        )


class MedianAll(Op):
    """The middle of all elements, the lower of two; NaN if any is, unless ``skip_nan``."""

    def backward_name(self, params):
        return ("Nanmedian" if params and params["skip_nan"] else "Median") + "Backward0"

    def eager(self, xp, input, *, skip_nan):
        no_complex("median", input.dtype)
        flat = input.reshape(-1)
        x = widened(flat)
        found = Median.instance.at_once(x, 0, skip_nan)
        if found is not None:
            return in_dtype(found[0], input.dtype)
        if not x.size or (x.dtype in dtypes.FLOATS and has_nan(x)):
            return flat[Median.instance.where(x, 0, skip_nan)[0]]
        middle, x = (x.size - 1) // 2, x.copy()
        x.partition(middle)
        return np.array(x.item(middle), input.dtype)

    def grad(self, g, input, out):
        return shared_among_equal(g, input, out, None, False)


class Mode(Pick):
    """The most frequent element along ``dim``, the smallest of several, and the index of its last
    occurrence.
    """

    def at_once(self, x, dim):
        return picked("mode", x, dim) if x.ndim and x.shape[dim] <= FEW else None

    def where(self, x, dim):
        if x.ndim == 1 and x.dtype is dtypes.int64:
            low, high = x.item(x.argmin()), x.item(x.argmax())
            if high - low < 4 * x.size:
                value = np.bincount(x - low).argmax() + low
                return np.asarray(x.size - 1 - (x[::-1] == value).argmax(keepdims=True))
        rows = packed(x.swapaxes(dim, -1))
        n, last = rows.shape[-1], rows.ndim - 1
        order = packed(stable_argsort(rows, last, False))
        values = take(rows, order, last)
        before, after = values[..., :-1], values[..., 1:]
        starts = after != before  # of runs of equal elements
        if values.dtype in dtypes.FLOATS:
            starts &= before == before
        places = np.arange(n)
        first = np.zeros(values.shape, np.int64)
        np.multiply(starts, places[1:], first[..., 1:])
        np.maximum.accumulate(first, last, None, first)
        count = np.subtract(places, first, first)  # of equal ones before: the first of the largest
        best = count.argmax(last, keepdims=True)  # ends the run of the smallest element
        return take(order, best, last).swapaxes(dim, -1)


class Cumulative(Op, abstract=True):
    """A running extreme along ``dim`` and where it was found; of equal elements the last."""

    outputs = ("values", "indices")
    ufunc: Any = None
    loop = ""  # of backends/llvm/serial.py

    def eager(self, xp, input, *, dim):
        x = input
        if x.dtype not in dtypes.FLOATS:
            no_complex(type(self).__name__.lower(), x.dtype)
            x = widened(x)
        if x.dtype in dtypes.FLOATS and x.size:
            loop = kernels.runner(self.loop, x.dtype, 3, x.size)
            if loop is not None:
                indices = np.empty(x.shape, np.int64)
                return in_dtype(scanned(loop, x, dim, indices), input.dtype), indices
        key = None
        if x.size > 1024 and x.dtype in dtypes.FLOATS and not has_nan(x):
            key = ordered_bits(x)
        if key is None:
            running = self.ufunc.accumulate(x, dim)
            here = (x == running) | (x != x)
        else:
            here = key == self.ufunc.accumulate(key, dim)
        places = np.arange(x.shape[dim]).reshape([-1 if d == dim else 1 for d in range(x.ndim)])
        indices = np.maximum.accumulate(here * places, dim)
        values = running if key is None else take(x, indices, dim)
        return narrowed(values, input.dtype), narrowed(indices, dtypes.int64)

    def grad(self, g, indices, input_spec, dim):
        return along(g[0], indices, input_spec, dim, unique=False)


class Cummax(Cumulative):
    """The largest element so far along ``dim``, and its index; NaN stays once met."""

    ufunc, loop = np.maximum, "max"


class Cummin(Cumulative):
    """The smallest element so far along ``dim``, and its index; NaN stays once met."""

    ufunc, loop = np.minimum, "min"
