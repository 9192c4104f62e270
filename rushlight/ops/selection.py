"""Which of equal elements are the first of a row, and in what order, as PyTorch's CPU code has it.

Elements are pairs of a key, of which a smaller one comes first, and a place; only keys are
compared. Few of a long row are kept in a heap. More are parted off by quickselect, which halves
around the median of three, and sorted by quicksort down to runs of ``RUN``, which insertion sort
finishes. What these leave of equal elements depends on each of their steps. So they are the same
here, but for those that can be taken at once: a partition swaps the i-th element from the left that
is not before the pivot with the i-th from the right that is not behind it, and insertion sort is
stable.

``compiler/backends/llvm/selection.py`` is the same as a loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.native import kernels
from rushlight.core.op import packed
from rushlight.ops.places import take
from rushlight.ops.sorting import ordered_bits, some_first

RUN = 16  # elements that quicksort leaves to insertion sort
HEAPED = 64  # rows of as many elements for each that is wanted go through a heap
FEW, MANY = 8, 32  # a loop takes rows of as many elements for each that is wanted, up to so many,
MORE = 512  # or more if they go through a heap;
SHORT, SOME = 64, 4096  # and short rows, and few elements in all
Pair = tuple[Any, int]


def by_loop(x: Any, k: int, largest: bool, in_order: bool) -> Any:
    """The first k along the last dim, and their places, by a loop; None where there is none. Both
    are float32, float64 or int64.
    """
    n = x.shape[-1]
    loop = kernels.runner("largest" if largest else "smallest", x.dtype, 4, x.size)
    if loop is None or not x.size or x.__class__ is not np.ndarray:
        return None
    shape = (*x.shape[:-1], k)
    values, places = np.empty(shape, x.dtype), np.empty(shape, np.int64)
    work = np.empty(2 * n + 16, x.dtype)
    x = x if x.flags.c_contiguous else np.ascontiguousarray(x)
    loop(x, values, places, work, n, k, in_order, x.size // n)
    return values, places


def is_for_loop(x: Any, k: int) -> bool:
    """Whether a loop is faster than NumPy for long rows."""
    n = x.shape[-1]
    few = (k <= MANY and FEW * k <= n) or (k <= MORE and HEAPED * k <= n)
    return few or x.size <= SOME


def first_few(x: Any, k: int, largest: bool, in_order: bool) -> Any:
    """The first k along the last dim of float32, float64 or int64, and their places; ``in_order``:
    else they are as they are found, but for those by a heap.
    """
    n = x.shape[-1]
    if n <= SHORT or not in_order or is_for_loop(x, k):
        found = by_loop(x, k, largest, in_order)
        if found is not None:
            return found
    if in_order or HEAPED * k <= n:
        places = some_first(x, min(k + 1, n), largest)
        values = take(x, places, x.ndim - 1)
        tied = (values[..., 1:] == values[..., :-1]) | np.isnan(values[..., 1:])
        values, places, tied = packed(values[..., :k]), packed(places[..., :k]), tied.any(-1)
        if not tied.any():
            return values, places
    else:
        places, tied = np.empty((*x.shape[:-1], k), np.int64), np.ones(x.shape[:-1], bool)
    rows = x[tied]
    found = by_loop(rows, k, largest, in_order)
    places[tied] = by_steps(rows, k, largest, in_order) if found is None else found[1]
    return take(x, places, x.ndim - 1), places


def by_steps(x: Any, k: int, largest: bool, in_order: bool) -> Any:
    """The places of the first of rows (R, N), by the steps themselves."""
    keys = ordered_bits(x).astype(np.int64) if x.dtype in dtypes.FLOATS else x
    places = np.empty((len(keys), k), np.int64)
    for row, out in zip(~keys if largest else keys, places, strict=True):
        out[:] = by_heap(row, k) if HEAPED * k <= len(row) else Parts(row).first(k, in_order)
    return places


class Parts:
    """A row that is put in order by partitions."""

    def __init__(self, keys: Any) -> None:
        self.keys, self.places = keys.copy(), np.arange(len(keys))

    def first(self, k: int, in_order: bool) -> Any:
        """The places of the first k."""
        self.part_off(k - 1)
        if in_order:
            self.sort(k - 1)
        return self.places[:k]

    def part_off(self, rank: int) -> None:
        """Bring the element of a rank to its place, and those before it in front of it."""
        start, stop = 0, len(self.keys)
        steps = most_steps(stop)
        while stop - start > 3:
            if not steps:
                pairs = self.pairs(start, stop)
                keep_first(pairs, rank + 1 - start)
                pairs[0], pairs[rank - start] = pairs[rank - start], pairs[0]
                self.put(start, pairs)
                return
            steps -= 1
            cut = self.halve(start, stop)
            start, stop = (cut, stop) if cut <= rank else (start, cut)
        self.insert(start, stop)

    def sort(self, count: int) -> None:
        """Put the first elements in order."""
        waiting = [(0, count, most_steps(count))]
        while waiting:
            start, stop, steps = waiting.pop()
            while stop - start > RUN:
                if not steps:
                    pairs = self.pairs(start, stop)
                    keep_first(pairs, len(pairs))
                    empty_heap(pairs, len(pairs))
                    self.put(start, pairs)
                    break
                steps -= 1
                cut = self.halve(start, stop)
                waiting.append((cut, stop, steps))
                stop = cut
        self.insert(0, count)

    def halve(self, start: int, stop: int) -> int:
        """Part elements around one of them; returns where the second part starts."""
        self.choose_pivot(start, stop)
        keys = self.keys[start + 1 : stop]
        pivot = self.keys[start]
        left, right = (keys >= pivot).nonzero()[0], (keys <= pivot).nonzero()[0][::-1]
        both = min(len(left), len(right))
        swapped = int(np.count_nonzero(left[:both] < right[:both]))
        for part in (keys, self.places[start + 1 : stop]):
            i, j = left[:swapped], right[:swapped]
            part[i], part[j] = part[j], part[i]
        ends = *left[swapped : swapped + 1].tolist(), *right[max(swapped, 1) - 1 : swapped].tolist()
        return start + 1 + int(min(ends))

    def choose_pivot(self, start: int, stop: int) -> None:
        """Swap the median of the second, the middle and the last element with the first."""
        three = start + 1, start + (stop - start) // 2, stop - 1
        a, b, c = [self.keys.item(i) for i in three]
        if a < b:
            which = 1 if b < c else 2 if a < c else 0
        else:
            which = 0 if a < c else 2 if b < c else 1
        swap = [start, three[which]]
        for part in (self.keys, self.places):
            part[swap] = part[swap[::-1]]

    def insert(self, start: int, stop: int) -> None:
        """Sort a part; equal elements keep their order."""
        order = self.keys[start:stop].argsort(kind="stable")
        for part in (self.keys, self.places):
            part[start:stop] = part[start:stop][order]

    def pairs(self, start: int, stop: int) -> list[Pair]:
        """A part's keys and places."""
        keys, places = self.keys[start:stop].tolist(), self.places[start:stop].tolist()
        return list(zip(keys, places, strict=True))

    def put(self, start: int, pairs: list[Pair]) -> None:
        """Write a part back."""
        for part, new in zip((self.keys, self.places), zip(*pairs, strict=True), strict=True):
            part[start : start + len(pairs)] = new


def most_steps(n: int) -> int:
    """Partitions one inside the other after which a part of n elements goes through a heap."""
    return 2 * (n.bit_length() - 1)


def by_heap(keys: Any, k: int) -> Any:
    """The places of the first k keys, by a heap of those met so far with the last on top."""
    heap = list(zip(keys[:k].tolist(), range(k), strict=True))
    make_heap(heap, k)
    start, size = k, HEAPED
    while start < len(keys):
        block = keys[start : start + size]
        for i in (block < heap[0][0]).nonzero()[0].tolist():
            key = block.item(i)
            if key < heap[0][0]:
                sink(heap, 0, k, (key, start + i))
        start, size = start + size, 2 * size
    empty_heap(heap, k)
    return [place for _, place in heap]


def keep_first(pairs: list[Pair], count: int) -> None:
    """Make a heap of the first ``count`` elements of all at the front."""
    make_heap(pairs, count)
    for i in range(count, len(pairs)):
        if pairs[i][0] < pairs[0][0]:
            new, pairs[i] = pairs[i], pairs[0]
            sink(pairs, 0, count, new)


def make_heap(pairs: list[Pair], count: int) -> None:
    """Order the front such that no element is before its children, 2 i + 1 and 2 i + 2."""
    for i in range(count // 2 - 1, -1, -1):
        sink(pairs, i, count, pairs[i])


def empty_heap(pairs: list[Pair], count: int) -> None:
    """Put a heap in order: the top becomes the last of what is left, time and again."""
    for last in range(count - 1, 0, -1):
        new, pairs[last] = pairs[last], pairs[0]
        sink(pairs, 0, last, new)


def sink(pairs: list[Pair], top: int, count: int, new: Pair) -> None:
    """Put an element into a heap whose place ``top`` is free: children move up to the bottom, the
    second of two that are equal, then it moves up from there.
    """
    i = top
    while 2 * i + 2 < count:
        child = 2 * i + 2
        if pairs[child][0] < pairs[child - 1][0]:
            child -= 1
        pairs[i] = pairs[child]
        i = child
    if 2 * i + 2 == count:
        pairs[i] = pairs[count - 1]
        i = count - 1
    while i > top and pairs[(i - 1) // 2][0] < new[0]:
        pairs[i] = pairs[(i - 1) // 2]
        i = (i - 1) // 2
    pairs[i] = new
