"""What arrays stand for while a call is traced: values of the graph.

An array is a window (a chain of views) on a storage, and a storage holds one value at a time.
Reading applies the chain to the present value; writing replaces the value. An array that no op of
the trace made enters the graph as an input.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.compiler.graph import Graph, Input, Node, Value
from rushlight.compiler.indices import Indices
from rushlight.compiler.lines import line, line_in_call, users_line
from rushlight.compiler.parts import part_of
from rushlight.compiler.python_numbers import Number, is_late, is_number
from rushlight.compiler.storages import (
    Facts,
    Storage,
    Window,
    WriteWindow,
    may_overlap,
    overlaps_itself,
)
from rushlight.core.device_array import driver_of
from rushlight.core.sparse import SparseArray
from rushlight.core.state import GradMode
from rushlight.core.tensor import Tensor
from rushlight.ops.index import IndexPut
from rushlight.ops.view import look_or_copy, owner

MOST_EXACT = 1 << 53  # integers below are float64 numbers


class Values:
    """The graph of one traced call, and the value in it of each array and number. ``arguments``:
    arrays of the call's tensor arguments, in order; ``keeps``: whether the call may be made again,
    see replay.py.
    """

    indices: Indices

    def __init__(self, arguments: list[Any], keeps: bool = False) -> None:
        self.graph = Graph()
        self.failure: str | None = None  # why the call cannot be captured
        self.windows = Facts()
        self.arguments = {id(a): i for i, a in reversed(list(enumerate(arguments)))}
        self.unexplained = Facts()  # arrays born outside of ops
        self.constants = Facts()
        self.entered: list[Storage] = []  # of inputs
        self.owners: dict[int, list[tuple[Storage, Any]]] = {}  # inputs by memory, with arrays
        self.keep: list[Any] = list(arguments)  # from outside: their ids stay theirs
        self.memory: dict[int, Any] = {}  # of inputs, by their identity
        self.tensors: dict[int, tuple[Tensor, bool]] = {}  # eager ones, whether they require grad
        self.outer_graph = False  # whether it read a tensor from outside that has a history
        self.numbers: dict[int, tuple[Value, Any]] = {}  # by their sources
        # inputs that are numbers, and the content of those written to, before the call
        self.before: dict[int, Any] = {}
        self.marks: dict[int, int] = {}  # of what inputs held when they were first read
        self.keeps = keeps
        self.counters: dict[int, tuple[Tensor, int]] = {}  # of inputs, as they were before the call

    def original(self, t: Tensor) -> Tensor:
        """The tensor from outside that an alias stands for; others stand for themselves."""
        original: Tensor = t.__dict__.get("_original", t)
        return original

    def is_fixed(self, t: Tensor) -> bool:
        """Whether a tensor holds what sizes and Python numbers alone decided."""
        window = self.windows.get(t._array)
        return t._array in self.constants and (window is None or not window.storage.writes)

    def fail(self, why: str, advice: str = "") -> None:
        """The call cannot be captured, and what to do instead; the first reason counts."""
        if self.failure is None:
            where = line_in_call()
            found = why if not where or where in why else f"{why} at {where}"
            self.failure = f"{found}; {advice}" if advice else found

    def operand(self, t: Any) -> Any:
        """The graph's value of a tensor now; numbers stay, or become inputs."""
        if is_number(t):
            return self._number_input(t)
        if not isinstance(t, Tensor):
            return t
        a = t._array
        t = self.original(t)
        window = self.windows.get(a) or self._enter(t, a)
        storage = window.storage
        if storage.input is not None and t._node is None and not window.chain:
            self.tensors.setdefault(id(t), (t, t._wants_grad))
        return self.present(window)

    def operands(self, given: Any, out: np.dtype[Any]) -> list[Any]:
        """The graph's values of what an op is given, whose result is of dtype ``out``."""
        if not any(map(is_number, given)):
            return [*map(self.operand, given)]
        kinds = [t._array.dtype for t in given if isinstance(t, Tensor)]
        real = [d for d in (*kinds, out) if d in (np.float32, np.float64)]
        whole = not real and all([d == np.int64 for d in kinds]) and out in (np.int64, np.bool_)
        return [self.operand(self._in_graph(x, real, whole) if is_number(x) else x) for x in given]

    def present(self, window: Window) -> Value:
        """What a window holds now."""
        storage = window.storage
        if storage.part is not None and storage.part.writes != storage.part.of.storage.writes:
            if not storage.part.places:
                self.fail("it reads a part of a parameter that was written to since")
            storage.value, storage.writes = self.indices.taken(storage.part), storage.writes + 1
        if not window.chain:
            return storage.value
        if window.seen is None or window.writes != storage.writes:
            window.seen = self._look(storage.value, window.chain)
            window.writes = storage.writes
        return window.seen

    def window(self, array: Any, storage: Storage, chain: tuple[Any, ...]) -> None:
        self.windows[array] = Window(storage, chain)

    def _in_graph(self, x: Any, real: list[np.dtype[Any]], whole: bool) -> Any:
        """A number as an operand beside tensors, of which some are of real dtypes, or all are
        ``whole``.
        """
        if whole and type(x.value) is int and abs(x.value) < MOST_EXACT:
            return self.indices.place(x)
        if not real:
            return x.fixed()
        if not is_late(x):
            return x
        with GradMode(False):
            return x.late().to(dtypes.of[real[0]])

    def line(self) -> str:
        """The user's line of the op being traced."""
        return line()

    def note(self, op: Any, inputs: Any, params: dict[str, Any], outputs: list[Value]) -> None:
        """One more node of the graph."""
        self.graph.nodes.append(Node(op, inputs, params, outputs, self.line()))

    def watched(self, source: Callable[[], Any], value: Any) -> None:
        """What later calls must find as well."""
        raise NotImplementedError

    def _own(self, array: Any) -> Value:
        value = self.graph.value(array.shape, array.dtype)
        in_rows = array.__class__ is SparseArray or array.flags.c_contiguous
        self.window(array, Storage(value, in_rows=in_rows), ())
        return value

    def _look(self, value: Value, chain: tuple[Any, ...]) -> Value:
        like = np.zeros(value.shape, value.dtype)
        for op, params in chain:
            like = look_or_copy(like, ((op, params),))
            out = self.graph.value(like.shape, like.dtype)
            self.note(op, [value], params, [out])
            value = out
        return value

    def _number_input(self, n: Number) -> Value:
        found = self.numbers.get(id(n.source))
        if found is None:
            source = n.source
            if type(n.value) is int:
                self.watched(lambda: abs(source()) < MOST_EXACT, abs(n.value) < MOST_EXACT)
            found = self.graph.value((), np.dtype(np.float64)), source
            self.numbers[id(n.source)] = found
            self.graph.inputs.append(Input(found[0], "number", n.source))
            self.before[found[0].number] = n.value
        return found[0]

    def _enter(self, t: Tensor, a: Any) -> Window:
        """An array that no op of this trace made: an argument, a constant, or state."""
        value = self.graph.value(a.shape, a.dtype)
        value.driver = driver_of(t)
        if a in self.constants:
            entry = Input(value, "constant", a.copy() if value.driver is None else a.fetch())
        elif a in self.unexplained:
            self.fail(
                f"a tensor at {users_line()} was made from values outside of rushlight's operations"
            )
            entry = Input(value, "constant", a)
        else:
            at = self.arguments.get(id(a))
            self.outer_graph |= at is None and t._node is not None and t.requires_grad
            entry = Input(value, "state", t) if at is None else Input(value, "argument", at)
            entry.strides = None if part_of(a) is None else a.strides
        self.graph.inputs.append(entry)
        in_rows = a.__class__ is SparseArray or a.flags.c_contiguous
        storage = Storage(value, entry if entry.kind != "constant" else None, in_rows)
        if entry.kind != "constant":
            self.memory[id(entry)] = a
            self.counters[id(entry)] = t, t._counter.value
            if self.keeps and isinstance(a, np.ndarray):
                self.marks[value.number] = mark(a)
            self.entered.append(storage)
            storage.owner = id(owner(a))
            family = self.owners.setdefault(storage.owner, [])
            if any([s.writes and may_overlap(a, other) for s, other in family]):
                self.failure = (
                    "it reads memory through one array after writing to it through another"
                )
            family.append((storage, a))
        self.window(a, storage, ())
        window: Window = self.windows.get(a)
        return window

    def memory_of(self, entry: Input) -> Any:
        """The array of an input that is no constant and no number."""
        return self.memory[id(entry)]

    def _keep_content(self, entry: Input) -> None:
        """What an input holds is about to change."""
        a = self.memory_of(entry)
        if self.keeps and isinstance(a, np.ndarray):
            self.before[entry.value.number] = a.copy()

    def forget(self) -> None:
        """Let go of what memory held before the call, which takes as much as that."""
        self.before.clear()

    def written_behind(self) -> bool:
        """Whether the content of inputs changed other than by ops."""
        found = {i.value.number: i for i in self.graph.inputs if i.value.number in self.marks}
        held = {k: self.before.get(k, self.memory_of(i)) for k, i in found.items()}
        return any([mark(a) != self.marks[k] for k, a in held.items()])

    def _is_alone(self, storage: Storage) -> bool:
        """Whether no other storage has memory from outside in common with one."""
        while storage.part is not None:
            storage = storage.part.of.storage
        if storage.owner is None:
            return True
        own, others = self._family(storage)
        return not any([may_overlap(own, a) for a in others])

    def _is_spread(self, storage: Storage) -> bool:
        """Whether elements of memory from outside lie at one place."""
        while storage.part is not None:
            storage = storage.part.of.storage
        return storage.owner is not None and overlaps_itself(self._family(storage)[0])

    def _family(self, storage: Storage) -> tuple[Any, list[Any]]:
        """The array that memory from outside began as, and others of the same owner."""
        family = self.owners[storage.owner]  # type: ignore[index]
        own = next(a for s, a in family if s is storage)
        return own, [a for s, a in family if s is not storage]

    def _replace(self, window: Window, new: Value) -> None:
        """A window holds a new value."""
        storage, chain = window.storage, window.chain
        if storage.input is not None and not storage.writes:
            self._keep_content(storage.input)
        if chain:
            base = self.graph.value(storage.value.shape, storage.value.dtype)
            self.note(WriteWindow.instance, [storage.value, new], {"chain": chain}, [base])
            new = base
        storage.value, storage.writes = new, storage.writes + 1
        if (part := storage.part) is not None:
            if not part.places:
                self.fail("it writes to a part of a parameter")
                return
            old = self.present(part.of)
            out = self.graph.value(old.shape, old.dtype)
            params = {"pattern": part.pattern, "accumulate": False}
            self.note(IndexPut.instance, [old, new, *part.places], params, [out])
            self._replace(part.of, out)
            part.writes = part.of.storage.writes


def mark(a: Any) -> int:
    """A number that differs for arrays of other content, but for very few."""
    return zlib.crc32(np.ascontiguousarray(a).reshape(-1).view(np.uint8).data)
