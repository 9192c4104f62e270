"""Where values live while a program runs: one arena, whose places are used again once a value is no
longer read.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import mmap
import platform
import threading
from typing import Any

import numpy as np

from rushlight.compiler.steps import Group, Step

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


class Arena:
    """First-fit places in one block of memory."""

    def __init__(self) -> None:
        self.size = 0
        self.free: list[tuple[int, int]] = []  # (offset, size), by offset

    def take(self, size: int) -> int:
        """The offset of a free place."""
        size = max(ALIGNMENT, -(-size // ALIGNMENT) * ALIGNMENT)
        fitting = [(n, offset) for offset, n in self.free if n >= size]
        if fitting:
            n, offset = min(fitting)
            self.free.remove((offset, n))
            if n > size:
                self.free.append((offset + size, n - size))
                self.free.sort()
            return offset
        offset = self.size
        if self.free and sum(self.free[-1]) == self.size:
            offset = self.free.pop()[0]
        self.size = offset + size
        return offset

    def give(self, offset: int, size: int) -> None:
        """Return a place."""
        size = max(ALIGNMENT, -(-size // ALIGNMENT) * ALIGNMENT)
        places = sorted([*self.free, (offset, size)])
        self.free = [places[0]]
        for start, n in places[1:]:
            before, length = self.free[-1]
            if before + length == start:
                self.free[-1] = (before, length + n)
            else:
                self.free.append((start, n))


def plan(steps: list[Step], elsewhere: set[int]) -> tuple[dict[int, int], int]:
    """Offsets of all values that steps write, except those that live elsewhere, and the arena's
    size in bytes.
    """
    last: dict[int, int] = {}
    for at, step in enumerate(steps):
        for number in step.reads:
            last[number] = at
    arena = Arena()
    offsets: dict[int, int] = {}
    sizes: dict[int, int] = {}
    ending: dict[int, list[int]] = {}
    for at, step in enumerate(steps):
        over = reusable(step, at, last, offsets, sizes)
        for v in step.buffers:
            if v.number in elsewhere or v.number in offsets:
                continue
            size = math.prod(v.shape) * v.dtype.itemsize
            same = next((n for n in over if sizes[n] == size), None)
            if same is not None:
                over.remove(same)
                ending[at].remove(same)
                offsets[v.number] = offsets[same]
            else:
                offsets[v.number] = arena.take(size)
            sizes[v.number] = size
            ending.setdefault(max(at, last.get(v.number, at)), []).append(v.number)
        for number in ending.pop(at, ()):
            arena.give(offsets[number], sizes[number])
    return offsets, arena.size


def reusable(
    step: Step, at: int, last: dict[int, int], offsets: dict[int, int], sizes: dict[int, int]
) -> list[int]:
    """Values that a kernel without reductions reads for the last time, element by element in order:
    it may write over them.
    """
    if not isinstance(step, Group) or step.cols is not None or step.kernel is None:
        return []
    where: dict[int, set[Any]] = {}
    for f, number in step_loads(step):
        where.setdefault(number, set()).add(f)
    targets = {s.where for s in step.kernel.stores}
    if len(targets) != 1:
        return []
    return [n for n in step.reads if n in offsets and last[n] == at and where.get(n) == targets]


def step_loads(step: Group) -> list[tuple[Any, int]]:
    """(position, value) of everything that a kernel loads."""
    found, seen = [], set()
    work = [s.expr for s in step.kernel.stores] if step.kernel else []
    while work:
        e = work.pop()
        if e.number in seen:
            continue
        seen.add(e.number)
        work.extend(e.args)
        if e.op == "load":
            found.append((e.data[1], e.data[0]))
        if e.op == "gather":
            found.append((None, e.data[0]))
    return found


def aligned(size: int) -> np.ndarray[Any, Any]:
    """Bytes that begin at a cache line."""
    storage = np.zeros(size + ALIGNMENT, np.uint8)
    start = -address(storage) % ALIGNMENT
    return storage[start : start + size]


class Room:
    """Where a program's own memory comes from: its arena, each thread's scratch memory, and what
    the launches of a step share.
    """

    def take(self, purpose: str, size: int) -> np.ndarray[Any, Any]:
        """So many bytes that begin at a cache line."""
        return aligned(size)

    def lock(self) -> threading.Lock:
        """What is held while a program runs in this memory."""
        return threading.Lock()


class CommonRoom(Room):
    """The same memory for programs that run one at a time."""

    def __init__(self) -> None:
        self.blocks: dict[str, np.ndarray[Any, Any]] = {}
        self.outgrown: list[np.ndarray[Any, Any]] = []  # which earlier programs still use
        self.common = threading.Lock()

    def take(self, purpose: str, size: int) -> np.ndarray[Any, Any]:
        block = self.blocks.get(purpose)
        if block is None or len(block) < size:
            if block is not None:
                self.outgrown.append(block)
            block = self.blocks[purpose] = aligned(2 * size)
        return block[:size]

    def release(self) -> None:
        """Return the memory to the system until a program needs it again."""
        with self.common:
            for block in (*self.blocks.values(), *self.outgrown):
                drop_pages(block)

    def lock(self) -> threading.Lock:
        return self.common


common = CommonRoom()  # of programs that eager code runs


def stated_address(a: np.ndarray[Any, Any]) -> int:
    """Where an array's elements begin, as NumPy tells it, which takes two microseconds."""
    where: int = a.__array_interface__["data"][0]
    return where


def address(a: np.ndarray[Any, Any]) -> int:
    """Where an array's elements begin: NumPy's arrays are objects whose first field says so."""
    return _word_at(id(a) + _HEADER).value


_word_at, _HEADER = ctypes.c_int64.from_address, object.__basicsize__
_probe = np.zeros(3)
if platform.python_implementation() != "CPython" or address(_probe) != stated_address(_probe):
    address = stated_address


def drop_pages(block: np.ndarray[Any, Any]) -> None:
    """Return the memory of a block, whose content is not needed, to the system; reads then find
    zeros, or what was there.
    """
    start = -(-address(block) // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (address(block) + block.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if start < end:
        with contextlib.suppress(AttributeError, TypeError):  # only POSIX systems have this
            ctypes.CDLL(None).madvise(
                ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED
            )


def trim() -> None:
    """Return to the system what eager code used before a capture, and the C library and ``common``
    keep for later.
    """
    common.release()
    with contextlib.suppress(AttributeError, TypeError):  # only the GNU library has this
        ctypes.CDLL(None).malloc_trim(0)
