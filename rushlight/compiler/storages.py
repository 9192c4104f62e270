"""Memory while a call is traced: what each array looks at, and what is known of it."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from rushlight.compiler.graph import Input, Value
from rushlight.core.device_array import DeviceArray
from rushlight.core.op import Op
from rushlight.ops.view import look, look_or_copy


class WriteWindow(Op):
    """``base`` with the part that the views of ``chain`` look at replaced by ``value``."""

    def eager(self, xp: Any, base: Any, value: Any, *, chain: Any) -> Any:
        out = np.array(base, order="C")
        try:
            look(out, chain)[...] = value
        except ValueError:  # the views were made of memory in another order
            out.reshape(-1)[look_or_copy(np.arange(out.size).reshape(out.shape), chain)] = value
        return out


def may_overlap(a: Any, b: Any) -> bool:
    """Whether arrays of one owner may have elements in common: what lies between their first and
    their last ones does.
    """
    if type(a) is type(b) is DeviceArray:
        (start, end), (begin, stop) = [(x.offset, x.offset + x.extent) for x in (a, b)]
        return bool(a.memory is b.memory and start < stop and begin < end)
    return not (type(a) is type(b) is np.ndarray) or bool(np.may_share_memory(a, b))


def overlaps_itself(x: Any) -> bool:
    """Whether elements of an array may lie at one place, as those of an expanded one do."""
    if not isinstance(x, (np.ndarray, DeviceArray)) or x.flags.c_contiguous or not x.size:
        return False
    end = x.itemsize
    for stride, n in sorted([(abs(s), n) for s, n in zip(x.strides, x.shape, strict=True)]):
        if n > 1 and stride < end:
            return True
        end += stride * (n - 1)
    return False


def within(part: Any, whole: Any) -> bool:
    """Whether a window on an array's memory begins and ends within the array's elements."""
    if not (type(part) is type(whole) is np.ndarray):
        return True
    (start, end), (first, last) = [np.lib.array_utils.byte_bounds(a) for a in (part, whole)]
    return not part.size or (first <= start and end <= last)


def overlap(a: Any, b: Any) -> bool:
    """Whether arrays of one owner have elements in common."""
    if type(a) is type(b) is DeviceArray:
        owner = np.empty(a.memory.size, np.uint8)
        a, b = a.stand_in(owner), b.stand_in(owner)
    return bool(np.shares_memory(a, b))


class Facts:
    """What is known of each of some arrays, as long as the array lives."""

    def __init__(self) -> None:
        self.entries: dict[int, tuple[weakref.ref[Any], Any]] = {}

    def __setitem__(self, array: Any, fact: Any) -> None:
        key, entries = id(array), self.entries
        entries[key] = weakref.ref(array, lambda _: entries.pop(key, None)), fact

    def get(self, array: Any) -> Any:
        """What is known of an array; None for nothing."""
        entry = self.entries.get(id(array))
        return None if entry is None else entry[1]

    def __contains__(self, array: Any) -> bool:
        return id(array) in self.entries

    def discard(self, array: Any) -> None:
        """Forget an array."""
        self.entries.pop(id(array), None)

    def items(self) -> list[tuple[Any, Any]]:
        """Living arrays, with what is known of them."""
        found = [(ref(), fact) for ref, fact in list(self.entries.values())]
        return [(array, fact) for array, fact in found if array is not None]


class Storage:
    """Memory while traced: its present value, how often written, the Input it began as, and
    whether its elements lie there as in the graph, row by row.
    """

    __slots__ = ("value", "writes", "input", "in_rows", "part", "owner")

    def __init__(self, value: Value, input: Input | None = None, in_rows: bool = True) -> None:
        self.value, self.writes, self.input, self.in_rows = value, 0, input, in_rows
        self.part: Part | None = None
        self.owner: int | None = None  # a number for the memory, where it is from outside


class Part:
    """What is at ``places`` of a window: a view whose place depends on values stands for a storage
    of its own, which is read from there again after ``writes`` there, and written back.
    """

    __slots__ = ("of", "places", "pattern", "writes", "index")

    def __init__(
        self, of: Window, places: list[Value], pattern: tuple[bool, ...], index: Any = ()
    ) -> None:
        self.of, self.places, self.pattern, self.index = of, places, pattern, index
        self.writes = of.storage.writes


class Window:
    """What an array looks at: a storage, through a chain of views; ``seen`` is what it last saw
    there, after so many ``writes``.
    """

    __slots__ = ("storage", "chain", "seen", "writes")

    def __init__(self, storage: Storage, chain: tuple[Any, ...]) -> None:
        self.storage, self.chain = storage, chain
        self.seen: Value | None = None
        self.writes = 0
