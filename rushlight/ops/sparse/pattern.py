"""Where the entries of sparse arrays lie. Patterns never change, so what is computed from one is
kept with it: the order of its rows, its coalesced form.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from rushlight import formats
from rushlight.core.native import kernels

Indices = Any  # arrays of int64


class Rows(NamedTuple):
    """The entries of a matrix by rows: those of row i are ``starts[i] : starts[i + 1]``."""

    starts: Indices  # (rows + 1)
    columns: Indices  # (entries): the column of each
    places: Indices | None  # (entries): which entry of the pattern it is; None: the same

    def ordered(self, values: Any) -> Any:
        """Values of the pattern's entries, by rows."""
        return values if self.places is None else values.take(self.places, 0)


class Merged(NamedTuple):
    """The coalesced form of a pattern."""

    pattern: Pattern
    groups: Indices | None  # (entries): the place of each among the merged; None: the same
    firsts: Indices | None  # (merged): an entry for each place


class Pattern:
    """Places in an array of ``shape``, of ``count`` entries. ``layout`` says how they are held."""

    layout: Any
    shape: tuple[int, ...]
    count: int
    coalesced: bool  # each place once, in order

    @cached_property
    def coordinates(self) -> Indices:
        """The place of each entry. Shape: ``(dims, entries)``."""
        raise NotImplementedError

    @cached_property
    def keys(self) -> Indices:
        """The place of each entry in contiguous memory."""
        keys, step = np.zeros(self.count, np.int64), 1
        for row, n in zip(self.coordinates[::-1], self.shape[::-1], strict=True):
            keys += row * step if step != 1 else row
            step *= n
        return keys

    @cached_property
    def merged(self) -> Merged:
        """The coalesced form."""
        if self.coalesced:
            return Merged(self, None, None)
        keys = self.keys
        if keys.size < 2 or bool((keys[1:] > keys[:-1]).all()):
            return Merged(Coordinates(self.coordinates, self.shape, True), None, None)
        order = order_of(keys, math.prod(self.shape))
        sorted_keys = keys.take(order)
        new = np.empty(keys.size, bool)
        new[0] = True
        np.not_equal(sorted_keys[1:], sorted_keys[:-1], out=new[1:])
        groups = np.empty(keys.size, np.int64)
        groups[order] = np.cumsum(new) - 1
        firsts = order[new]
        pattern = Coordinates(self.coordinates.take(firsts, 1), self.shape, True)
        return Merged(pattern, groups, firsts)

    @cached_property
    def rows(self) -> Rows:
        """The entries of a matrix by rows."""
        near, far = self.coordinates
        return rows_of(near, far, self.shape[0])

    @cached_property
    def columns(self) -> Rows:
        """The entries of a matrix by columns: the rows of its transpose."""
        near, far = self.coordinates
        return rows_of(far, near, self.shape[1])

    @cached_property
    def transposed(self) -> Pattern:
        """The pattern of the transposed matrix; its entries come in the same order."""
        flipped = self._flip()
        flipped.__dict__["transposed"] = self
        for name, of in (("rows", "columns"), ("columns", "rows")):
            if of in self.__dict__:
                flipped.__dict__[name] = self.__dict__[of]
        return flipped

    def _flip(self) -> Pattern:
        return Coordinates(np.ascontiguousarray(self.coordinates[::-1]), self.shape[::-1])

    def without_entries(self) -> Pattern:
        """No entries in the same shape and layout."""
        return empty_pattern(self.shape)

    def find(self, other: Pattern) -> Indices:
        """The entry of this coalesced pattern at each place of ``other``, or -1."""
        mine, wanted = self.keys, other.keys
        at: Any = np.searchsorted(mine, wanted)
        at[at == mine.size] = 0
        return np.where(mine[at] == wanted, at, -1) if mine.size else np.full(wanted.size, -1)

    def same_places(self, other: Pattern) -> bool:
        """Whether both have the same entries in the same order."""
        if self is other:
            return True
        if self.count != other.count or self.shape != other.shape:
            return False
        return bool(np.array_equal(self.coordinates, other.coordinates))


class Coordinates(Pattern):
    """Indices, ``(dims, entries)``, in range."""

    layout = formats.sparse_coo

    def __init__(self, indices: Indices, shape: tuple[int, ...], coalesced: bool = False) -> None:
        self.coordinates, self.shape = indices, tuple(shape)
        self.count, self.coalesced = indices.shape[1], coalesced


class Compressed(Pattern):
    """A matrix by rows (CSR: axis 0) or columns (CSC: axis 1): where the entries of each begin, and
    the other index of every entry.
    """

    coalesced = True

    def __init__(self, starts: Indices, others: Indices, shape: tuple[int, ...], axis: int) -> None:
        self.starts, self.others, self.shape, self.axis = starts, others, tuple(shape), axis
        self.layout = formats.sparse_csc if axis else formats.sparse_csr
        self.count = others.size
        starts, others = [np.ascontiguousarray(a, np.int64) for a in (starts, others)]
        self.__dict__["columns" if axis else "rows"] = Rows(starts, others, None)

    @cached_property
    def coordinates(self) -> Indices:
        rows = self.columns if self.axis else self.rows
        near = np.repeat(np.arange(len(rows.starts) - 1), np.diff(rows.starts))
        return np.stack([rows.columns, near] if self.axis else [near, rows.columns])

    @cached_property
    def merged(self) -> Merged:
        """In order of coordinates, which that of columns is not."""
        return Coordinates(self.coordinates, self.shape).merged

    def without_entries(self) -> Pattern:
        none = np.zeros(0, self.others.dtype)
        return Compressed(np.zeros_like(self.starts), none, self.shape, self.axis)

    def _flip(self) -> Pattern:
        return Compressed(self.starts, self.others, self.shape[::-1], 1 - self.axis)

    def same_places(self, other: Pattern) -> bool:
        if isinstance(other, Compressed) and other.axis == self.axis:
            return self is other or bool(
                np.array_equal(self.starts, other.starts)
                and np.array_equal(self.others, other.others)
            )
        return super().same_places(other)


RUNS = 8  # ascending runs that NumPy merges faster than digits are sorted


def order_of(keys: Indices, top: int) -> Indices:
    """The stable order of keys in [0, top)."""
    if np.count_nonzero(keys[1:] < keys[:-1]) < RUNS:
        return np.argsort(keys, kind="stable")
    if kernels.worth(keys.size):
        order = kernels.loop("order", keys.astype(np.uint64), max(top - 1, 1).bit_length())
        if order is not None:
            return order
    return np.argsort(keys, kind="stable")


def rows_of(rows: Indices, columns: Indices, n: int) -> Rows:
    """Entries in the order of their rows; those of a row stay in their order."""
    starts = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=n), out=starts[1:])
    if rows.size < 2 or bool((rows[1:] >= rows[:-1]).all()):
        return Rows(starts, np.ascontiguousarray(columns), None)
    places = order_of(rows, n)
    return Rows(starts, columns[places], places)


def compressed(pattern: Pattern, axis: int) -> tuple[Compressed, Indices | None]:
    """A coalesced matrix by rows or columns, and which entry of ``pattern`` each entry is."""
    rows = pattern.columns if axis else pattern.rows
    return Compressed(rows.starts, rows.columns, pattern.shape, axis), rows.places


def empty_pattern(shape: tuple[int, ...]) -> Coordinates:
    """No entries."""
    return Coordinates(np.zeros((len(shape), 0), np.int64), shape, True)
