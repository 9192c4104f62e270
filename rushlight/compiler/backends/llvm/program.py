"""A graph as a native program: a table of launches over one block of addresses."""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from rushlight.compiler import layout, memory
from rushlight.compiler.backends.llvm import direct, entry, jit, recall, runtime, workers
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.backends.llvm.plan import Plan, Planner
from rushlight.compiler.backends.reference import Reference, apply, stored
from rushlight.compiler.graph import Graph, Value
from rushlight.compiler.lower import Lowering
from rushlight.compiler.memory import address
from rushlight.compiler.parts import laid, memory_of, same_strides
from rushlight.compiler.steps import Call, Group, Product, Step, summary
from rushlight.compiler.streams import engines_of, go_back, marks
from rushlight.core import threads
from rushlight.errors import UnforeseenError


def build(
    graph: Graph, write: Callable[[], Planner], room: memory.Room | None, kept: bool
) -> Native:
    """A graph's program, of the plan that ``write`` makes, or that was kept: in memory, or, where
    it may be, on disk.
    """
    engines = engines_of(graph)
    name = recall.name_of(graph, engines)
    found = recall.program(name, kept)
    if found is not None:
        return Native(graph, *found, write, room)
    planner = write()
    kernels = planner.kernels()
    plan, bodies = planner.plan(kernels, engines), jit.machine_code(kernels)
    code = jit.link(bodies)
    recall.keep_program(name, plan, bodies, code, kept)
    native = Native(graph, plan, code, lambda: planner, room)
    native.is_new = True
    return native


class Native:
    """The memory of a plan, see plan.py, and the order to run its machine code in.

    ``code``: the addresses of the plan's kernels. ``write`` makes the graph's planner, when someone
    asks how the graph was lowered.
    """

    # nanoseconds: longer programs run without the interpreter's lock, which workers need to wake
    FREELY = 200_000.0
    is_new = False  # whether it was planned for this, and not kept

    def __init__(
        self,
        graph: Graph,
        plan: Plan,
        code: list[int],
        write: Callable[[], Planner],
        room: memory.Room | None = None,
    ) -> None:
        self.graph, self.given, self.write = graph, len(graph.inputs), write
        self.plan, self.room = plan, room or memory.Room()
        engines = engines_of(graph)
        self.engines = [engines[k] for k in plan.engines]
        self.assumes = graph.assumes()
        self.given_back = engines if self.assumes else []  # when a check fails
        self.native_only = all([type(part) is tuple for part in plan.parts])
        self.count, self.cost = len(plan.launches), plan.cost
        self.at_once = self.native_only and self.cost <= self.FREELY and not self.engines
        self.parallel = plan.cost > self.FREELY and plan.divided
        self.inputs, self.ends = [i.value for i in graph.inputs], list(graph.ends())
        self.is_number = [i.kind == "number" for i in graph.inputs]
        self.strides: list[Any] = [i.strides for i in graph.inputs]
        self.end_strides: list[Any] = [None] * len(graph.results)
        self.end_strides += [i.strides for i, _ in graph.updates]
        self.end_strides += graph.laid or [None] * len(graph.fresh)
        self.in_rows = not any(self.end_strides)
        self.first_end = self.given + len(plan.constants)  # the slots before are inputs
        self.allocate(plan, engines, code)
        self.write_table(plan, code)
        self.parts: list[Any] = [
            part if type(part) is tuple else self.caller(self.lowering.steps[part])
            for part in plan.parts
        ]
        self.lock = self.room.lock()

    # Build

    @functools.cached_property
    def planner(self) -> Planner:
        """How the graph became a plan."""
        return self.write()

    @functools.cached_property
    def eager(self) -> Reference:
        """The ops."""
        return Reference(self.planner.graph, self.given)

    @property
    def lowering(self) -> Lowering:
        """The steps."""
        return self.planner.lowering

    @property
    def launches(self) -> list[tuple[Step, Launch | None]]:
        """The launches, with the steps that they belong to; None is a check."""
        return self.planner.launches

    @property
    def offsets(self) -> dict[int, int]:
        """Where in the arena values lie."""
        return self.planner.offsets

    def allocate(self, plan: Plan, engines: list[Any], code: list[int]) -> None:
        """Take memory, and write down where it is."""
        sizes, slots = plan.sizes, self.first_end + len(self.ends)
        self.arena, self.scratch, self.shared = [
            self.room.take(purpose, sizes[purpose]) for purpose in ("arena", "scratch", "shared")
        ]
        self.scratch_size = sizes["scratch"]
        self.numbers = np.zeros(max(1, self.given))
        self.temporary: dict[int, Any] = {}  # copies of inputs that do not lie as they should
        self.constants = [
            engines[x].desk if type(x) is int else np.ascontiguousarray(x) for x in plan.constants
        ]
        self.entries = plan.table.copy()
        self.entries[plan.functions[:, 0]] = np.array([*code, 0], np.int64)[plan.functions[:, 1]]
        self.block = np.zeros(slots + 5, np.int64)  # the last is for arguments that nothing reads
        for k, array in enumerate(self.constants, self.given):
            self.block[k] = address(array)
        own = (self.arena, self.numbers, self.shared, self.entries)
        self.block[slots : slots + 4] = [address(array) for array in own]
        self.words = self.block.data  # which takes single words in a third of the time

    def write_table(self, plan: Plan, code: list[int]) -> None:
        """Write down the launches for the runtime, see runtime.py."""
        slots, offsets = plan.places.T
        kernels, units, chunks, counts = plan.launches.T
        self.targets = np.zeros(max(1, len(slots)), np.int64)
        where = address(self.targets) + 8 * np.arange(len(slots))
        self.table = np.zeros((max(1, self.count), runtime.LAUNCH_WORDS), np.int64)
        lines = self.table[: self.count]
        lines[:, runtime.FUNCTION] = np.array([*code, 0], np.int64)[kernels]  # 0 where CHECK
        lines[:, runtime.UNITS], lines[:, runtime.CHUNKS] = units, chunks
        lines[:, runtime.OPERANDS] = address(self.targets) + 8 * (np.cumsum(counts) - counts)
        moving = slots < self.first_end + len(self.ends)  # which lie elsewhere at each call
        self.targets[: len(slots)] = np.where(moving, 0, offsets + self.block[slots])
        patches = np.stack([slots, offsets, where], 1)[moving]
        self.patches = np.ascontiguousarray(patches) if len(patches) else np.zeros((1, 3), np.int64)
        self.record = np.zeros(runtime.RECORD_WORDS, np.int64)
        self.record[runtime.LAUNCHES] = address(self.table)
        self.record[runtime.PATCHES] = address(self.patches)
        self.record[runtime.PATCH_COUNT] = len(patches)
        self.record[runtime.BLOCK] = address(self.block)
        self.record[runtime.SCRATCH] = address(self.scratch)
        if plan.divided and self.cost <= self.FREELY:
            self.record[runtime.SHORT] = address(workers.WORDS)
        self.record[runtime.NEEDS] = self.scratch_size
        self.record[runtime.WANTS] = self.wanted = int(chunks.max(initial=1)) - 1
        self.looked = 0.0
        self.record_address = ctypes.c_void_p(address(self.record))
        functions = runtime.functions()
        self.prepare = functions["prepare"]
        self.go = functions["run freely" if self.cost > self.FREELY else "run"]

    def caller(self, step: Call) -> Any:
        """A function of the inputs and outputs that runs an op's own code."""
        node = step.nodes[0]
        readers = [
            self.reader(v) if isinstance(v, Value) else (lambda i, o, v=v: v) for v in node.inputs
        ]
        writers = [
            (v, self.array_of(v) if v.number in self.planner.places else self.reader(v))
            for v in node.outputs
        ]

        def call(inputs: list[Any], outputs: list[Any]) -> None:
            operands = [read(inputs, outputs) for read in readers]
            for (value, target), array in zip(writers, apply(node, operands), strict=True):
                target(inputs, outputs)[...] = stored(array, value)

        return call

    def array_of(self, v: Value) -> Any:
        """A function of the inputs and outputs that returns the array of a root."""
        n = self.first_end
        slot, offset = self.planner.places[v.number]
        if slot < n:
            strides = self.strides[slot] if slot < self.given else None
            return lambda i, o: memory_of(i[slot], strides, v.shape)
        if slot < n + len(self.ends):
            strides = self.end_strides[slot - n]
            return lambda i, o: memory_of(o[slot - n], strides, v.shape)
        size = int(np.prod(v.shape, dtype=np.int64)) * v.dtype.itemsize
        array = (
            np.ndarray(v.shape, v.dtype, self.arena, offset) if size else np.empty(v.shape, v.dtype)
        )
        return lambda i, o: array

    def reader(self, v: Value) -> Any:
        """As ``array_of``, for any value; views look at their root."""
        low = self.lowering
        if v.number in low.numbers:
            k = self.planner.places[v.number][1] // 8
            return lambda i, o: i[k]
        root, strides, offset = low.windows.layout(v)
        whole = self.array_of(root)
        if root is v:
            return whole
        d = root.dtype.itemsize
        shape, steps = v.shape, tuple([s * d for s in strides])

        def read(inputs: list[Any], outputs: list[Any]) -> Any:
            flat = np.ascontiguousarray(whole(inputs, outputs)).reshape(-1)
            return as_strided(flat[offset:], shape, steps)

        return read

    # Run

    def run(self, inputs: list[Any], outputs: list[Any], recorder: Any = None) -> None:
        """Run the program; where a check fails, run the ops, which say why. A profiler's
        ``recorder`` notes each launch and call.
        """
        if not self.attempt(inputs, outputs, recorder):
            if self.assumes:  # the function itself is run
                raise UnforeseenError("a value, or an index, decides otherwise")
            self.eager.run(inputs, outputs)

    def attempt(self, inputs: list[Any], outputs: list[Any], recorder: Any = None) -> bool:
        """Run the program; False where a check fails."""
        with self.lock:
            places = self.placed(outputs)
            self.bind(inputs, places)
            try:
                if recorder is None:
                    failed = self.run_parts(inputs, places)
                else:
                    failed = self.note_parts(inputs, places, recorder)
                for a, place in zip(outputs, places, strict=True):
                    if not failed and a is not place:
                        a[...] = place
                return not failed
            finally:
                self.temporary.clear()

    def placed(self, outputs: list[Any]) -> list[Any]:
        """Outputs, or what is written in their place where they do not lie as they should."""
        if self.in_rows:
            return outputs
        return [
            a if strides is None or same_strides(a, strides) else laid(a, strides)
            for a, strides in zip(outputs, self.end_strides, strict=True)
        ]

    def attempt_in_order(self, inputs: list[Any], outputs: list[Any]) -> bool:
        """As ``attempt``, for a program of launches alone, and inputs whose elements lie in
        order.
        """
        with self.lock:
            if self.straight is None:
                for k, a in enumerate(inputs):
                    self.words[k] = address(a)
                for k, a in enumerate(outputs, self.first_end):
                    self.words[k] = address(a)
                self.prepare(self.record_address)
                return not self.launch(0, self.count)
            done: bool = self.straight(*inputs, *outputs)
            if self.record.item(runtime.MISSED) >= workers.MISSES:
                self.miss()
            return done

    @functools.cached_property
    def straight(self) -> Any:
        """What runs a short program for arrays at once, see direct.py; None for others."""
        if not self.at_once:
            return None
        at = runtime.addresses()
        which = [*range(self.given), *range(self.first_end, self.first_end + len(self.ends))]
        functions = at["prepare"], at["run"]
        block, record = address(self.block), address(self.record)
        return direct.program(block, record, functions, self.count, which)

    def run_parts(self, inputs: list[Any], outputs: list[Any]) -> bool:
        """Run launches and calls in turn; whether a check failed."""
        whole = [*inputs[: self.given], *self.constants]
        before = marks(self.given_back)
        for part in self.parts:
            if type(part) is not tuple:
                part(whole, outputs)
            elif self.launch(*part):
                go_back(before)
                return True
        return False

    def note_parts(self, inputs: list[Any], outputs: list[Any], recorder: Any) -> bool:
        """As ``run_parts``, each launch and call an event."""
        whole = [*inputs[: self.given], *self.constants]
        before = marks(self.given_back)
        for part, kind in zip(self.parts, self.plan.parts, strict=True):
            if type(part) is not tuple:
                with recorder.noting(summary(self.lowering.steps[kind]), "kernel"):
                    part(whole, outputs)
                continue
            for k in range(*part):
                with recorder.noting(summary(self.launches[k][0]), "kernel"):
                    failed = self.launch(k, k + 1)
                if failed:
                    go_back(before)
                    return True
        return False

    def launch(self, start: int, stop: int, lent: int = 0) -> bool:
        """Run some launches, which may draw from the engines' streams, of which so many are lent
        already.
        """
        if lent == len(self.engines):
            return self.launch_all(start, stop)
        with self.engines[lent].holding():
            self.engines[lent].lend()
            return self.launch(start, stop, lent + 1)

    def launch_all(self, start: int, stop: int) -> bool:
        """Run some launches, with the workers if they are worth it and free."""
        pool = workers.free() if self.parallel else None
        if pool is None:
            failed = self.go(self.record_address, start, stop) != 0
            if self.record.item(runtime.MISSED) >= workers.MISSES:
                self.miss()
            return failed
        with pool.taken:
            try:
                self.record[runtime.POOL] = pool.begin(self.scratch_size)
                return self.go(self.record_address, start, stop) != 0
            finally:
                self.record[runtime.POOL] = 0
                pool.end()

    def miss(self) -> None:
        """Runs of this program, which is short, missed workers: wake them, if it runs often."""
        now = time.perf_counter()
        if now - self.looked < workers.MISSES * (workers.OFTEN + self.cost * 1e-9):
            workers.await_short(self.scratch_size, self.wanted)
        self.looked, self.record[runtime.MISSED] = now, 0

    def bind(self, inputs: list[Any], outputs: list[Any]) -> None:
        """Put addresses and numbers into the block."""
        for k in range(self.given):
            a = inputs[k]
            if self.is_number[k]:
                self.numbers[k] = a
                continue
            if a.__class__ is not np.ndarray:
                a = np.asarray(a)
            if a.shape != self.inputs[k].shape or a.dtype != self.inputs[k].dtype:
                raise ValueError(
                    f"input {k} is {a.dtype}{a.shape}, not {self.inputs[k].describe()}"
                )
            if not same_strides(a, self.strides[k]):
                a = self.temporary[k] = laid(a, self.strides[k])
            self.block[k] = address(a)
        for k, a in enumerate(outputs, self.first_end):
            self.block[k] = address(a)
        self.prepare(self.record_address)

    def entry(self, variant: Any, args: tuple[Any, ...]) -> Any:
        """A shorter way in for calls like this one, see entry.py; None where there can be none."""
        if not layout.available():
            return None
        try:
            return entry.Entry(self, variant, args)
        except ValueError:
            return None

    def times(self, inputs: list[Any], outputs: list[Any]) -> list[float]:
        """Run once, launch by launch: the seconds that each took."""
        with self.lock:
            block, numbers = self.block.copy(), self.numbers.copy()
            self.bind(inputs, self.placed(outputs))
            found = []
            whole = [*inputs[: self.given], *self.constants]
            for part in self.parts:
                if type(part) is not tuple:
                    part(whole, outputs)
                    continue
                for k in range(*part):
                    start = time.perf_counter()
                    self.launch(k, k + 1)
                    found.append(time.perf_counter() - start)
            self.block[:], self.numbers[:] = block, numbers  # an entry counts on them
        return found

    def memory(self) -> dict[str, int]:
        """The bytes that the program itself allocates, by what they are for."""
        return {
            "values": self.arena.nbytes,
            f"scratch of {threads.count()} threads": self.scratch.nbytes * threads.count(),
            "scratch that threads share": self.shared.nbytes,
            "constants": sum([a.nbytes for a in self.constants]),
        }

    def describe(self) -> str:
        """The steps, in order."""
        lines = []
        for step in self.lowering.steps:
            if isinstance(step, Group):
                lines.append(f"kernel of {len(step.nodes)} nodes: {step.kernel}")
            elif isinstance(step, Product) and step.kernel is not None:
                lines.append(f"product {step.nodes[0]}, then {step.kernel}")
            else:
                lines.append(f"{type(step).__name__.lower()} {step.nodes[0]}")
        return "\n".join(lines)
