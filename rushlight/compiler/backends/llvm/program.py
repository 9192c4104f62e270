"""A graph as a native program: a table of launches over one block of addresses."""

from __future__ import annotations

import ctypes
import time
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from rushlight.compiler import layout, memory
from rushlight.compiler.backends.llvm import entry, jit, runtime, templates, workers
from rushlight.compiler.backends.llvm.canonical import launch_of
from rushlight.compiler.backends.llvm.launch import SHARED, Launch
from rushlight.compiler.backends.llvm.products import product
from rushlight.compiler.backends.reference import Reference, apply, stored
from rushlight.compiler.graph import Graph, Value
from rushlight.compiler.lower import Call, Group, Lowering, Product, Step, Template
from rushlight.compiler.memory import address
from rushlight.core import threads


class Native:
    """Launches, buffers and the order to run them in.

    The block holds, in order, the addresses of the inputs, the outputs, the arena, the numbers,
    and the scratch memory that a step's launches share. A value's place is a slot of the block and
    an offset in bytes.
    """

    # nanoseconds: longer programs run without the interpreter's lock, which workers need to wake
    FREELY = 200_000.0

    def __init__(
        self, graph: Graph, expanded: Graph, given: int, room: memory.Room | None = None
    ) -> None:
        self.graph, self.given = graph, given
        self.room = room or memory.Room()
        self.eager = Reference(graph, given)
        self.lowering = low = Lowering(expanded)
        self.inputs = [i.value for i in low.graph.inputs]
        self.ends = list(low.graph.ends())
        self.layout()
        self.build()
        self.lock = self.room.lock()

    # Build

    def layout(self) -> None:
        """Give every value a place."""
        low, n = self.lowering, len(self.inputs)
        own = {v.number for v in (*self.inputs, *self.ends)}
        self.offsets, size = memory.plan(low.steps, own)
        self.arena = self.room.take("arena", size)
        slots = n + len(self.ends)
        self.places: dict[Any, tuple[int, int]] = {
            v.number: (k, 0) for k, v in enumerate(self.inputs)
        }
        self.places.update({v.number: (n + k, 0) for k, v in enumerate(self.ends)})
        self.places.update({number: (slots, offset) for number, offset in self.offsets.items()})
        self.numbers = np.zeros(max(1, n))
        for k, v in enumerate(self.inputs):
            if v.number in low.numbers:
                self.places[v.number] = (slots + 1, 8 * k)
        self.places[SHARED] = (slots + 2, 0)
        self.block = np.zeros(slots + 4, np.int64)  # the last is for arguments that nothing reads
        self.block[slots], self.block[slots + 1] = address(self.arena), address(self.numbers)
        self.is_number = [v.number in low.numbers for v in self.inputs]
        self.temporary: dict[int, Any] = {}  # contiguous copies of inputs
        self.constants = [np.ascontiguousarray(i.source) for i in low.graph.inputs[self.given :]]
        for k, array in enumerate(self.constants, self.given):
            self.block[k] = address(array)

    def build(self) -> None:
        """Write and compile the kernels, and the table of launches."""
        self.launches: list[tuple[Step, Launch | None]] = []
        self.parts: list[Any] = []  # of a run: (first launch, last + 1), or a call
        start = 0
        width = jit.vector_bits()
        for step in self.lowering.steps:
            if isinstance(step, Call):
                if len(self.launches) > start:
                    self.parts.append((start, len(self.launches)))
                self.parts.append(self.caller(step))
                start = len(self.launches)
            else:
                self.launches += [(step, x) for x in self.launches_of(step, width)]
        if len(self.launches) > start:
            self.parts.append((start, len(self.launches)))
        nodes = [n for s in self.lowering.steps if isinstance(s, Template) for n in s.nodes]
        engines = [n.params["engine"] for n in nodes if "engine" in n.params]
        self.engines = list({id(e): e for e in engines}.values())
        self.native_only = all([type(part) is tuple for part in self.parts])
        known = [x for _, x in self.launches if x is not None]
        self.cost = sum([x.cost for x in known])
        self.parallel = self.cost > self.FREELY and any([x.chunks() > 1 for x in known])
        self.scratch_size = max([x.scratch for x in known], default=0)
        self.scratch = self.room.take("scratch", self.scratch_size)
        self.shared = self.room.take("shared", max([x.shared for x in known], default=0))
        self.block[-2] = address(self.shared)
        self.write_table(
            dict(zip([x.ir for x in known], jit.kernels([x.ir for x in known]), strict=True))
        )

    def launches_of(self, step: Step, width: int) -> list[Launch | None]:
        """The launches of a step that is no call; None is a check."""
        node = step.nodes[0]
        if isinstance(step, Group):
            return [launch_of(step.kernel, width)]  # type: ignore[arg-type]
        if isinstance(step, Product):
            return [*product.launches(self.lowering.windows, step, width)]
        if isinstance(step, Template):
            return [*templates.launches(node, width, self.lowering.windows)]
        return [None]

    def operands(self, step: Step, launch: Launch | None) -> list[tuple[int, int]]:
        """The places of a launch's operands."""
        if launch is None:
            return [self.places[self.lowering.windows.root(step.nodes[0].inputs[0]).number]]
        if not isinstance(step, Template):
            return [self.place(key, offset) for key, offset in launch.operands]
        values, found = [*step.nodes[0].inputs, *step.nodes[0].outputs], []
        for key, offset in launch.operands:
            if key == SHARED:
                found.append(self.place(SHARED, offset))
                continue
            root, _, start = self.lowering.windows.layout(values[key])
            found.append(self.place(root.number, offset + start * root.dtype.itemsize))
        return found

    def place(self, key: Any, offset: int) -> tuple[int, int]:
        """A buffer's slot, and an offset from the slot's address."""
        slot, start = self.places[key]
        return slot, start + offset

    def write_table(self, code: dict[str, int]) -> None:
        """Write down the launches for the runtime, see runtime.py."""
        rows = [self.operands(step, launch) for step, launch in self.launches]
        self.targets = np.zeros(max(1, sum([len(row) for row in rows])), np.int64)
        self.table = np.zeros((max(1, len(rows)), runtime.LAUNCH_WORDS), np.int64)
        fixed, patches, at = len(self.inputs) + len(self.ends), [], address(self.targets)
        used = 0
        for line, row, (_, launch) in zip(self.table, rows, self.launches, strict=False):
            line[runtime.OPERANDS] = at + 8 * used
            if launch is not None:
                line[runtime.FUNCTION] = code[launch.ir]
                line[runtime.UNITS], line[runtime.CHUNKS] = launch.units, launch.chunks()
            for slot, offset in row:
                if 0 <= slot < fixed:
                    patches.append((slot, offset, at + 8 * used))
                else:
                    self.targets[used] = offset + (int(self.block[slot]) if slot >= 0 else 0)
                used += 1
        self.patches = np.array(patches or [(0, 0, 0)], np.int64)
        self.record = np.zeros(runtime.RECORD_WORDS, np.int64)
        self.record[runtime.LAUNCHES] = address(self.table)
        self.record[runtime.PATCHES] = address(self.patches)
        self.record[runtime.PATCH_COUNT] = len(patches)
        self.record[runtime.BLOCK] = address(self.block)
        self.record[runtime.SCRATCH] = address(self.scratch)
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
            (v, self.array_of(v) if v.number in self.places else self.reader(v))
            for v in node.outputs
        ]

        def call(inputs: list[Any], outputs: list[Any]) -> None:
            operands = [read(inputs, outputs) for read in readers]
            for (value, target), array in zip(writers, apply(node, operands), strict=True):
                target(inputs, outputs)[...] = stored(array, value)

        return call

    def array_of(self, v: Value) -> Any:
        """A function of the inputs and outputs that returns the array of a root."""
        n = len(self.inputs)
        slot, offset = self.places[v.number]
        if slot < n:
            return lambda i, o: i[slot]
        if slot < n + len(self.ends):
            return lambda i, o: o[slot - n]
        size = int(np.prod(v.shape, dtype=np.int64)) * v.dtype.itemsize
        array = (
            np.ndarray(v.shape, v.dtype, self.arena, offset) if size else np.empty(v.shape, v.dtype)
        )
        return lambda i, o: array

    def reader(self, v: Value) -> Any:
        """As ``array_of``, for any value; views look at their root."""
        low = self.lowering
        if v.number in low.numbers:
            k = self.places[v.number][1] // 8
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

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        """Run the program; where a check fails, run the ops, which say why."""
        if not self.attempt(inputs, outputs):
            self.eager.run(inputs, outputs)

    def attempt(self, inputs: list[Any], outputs: list[Any]) -> bool:
        """Run the program; False where a check fails."""
        with self.lock:
            self.bind(inputs, outputs)
            try:
                return not self.run_parts(inputs, outputs)
            finally:
                self.temporary.clear()

    def attempt_at(self, at: list[int], outputs: list[Any]) -> bool:
        """As ``attempt``, for a program of launches alone: inputs are addresses of arrays whose
        elements lie in order.
        """
        with self.lock:
            self.block[: self.given] = at
            first = len(self.inputs)
            self.block[first : first + len(outputs)] = [address(a) for a in outputs]
            self.prepare(self.record_address)
            return not self.launch(0, len(self.launches))

    def run_parts(self, inputs: list[Any], outputs: list[Any]) -> bool:
        """Run launches and calls in turn; whether a check failed."""
        whole = [*inputs[: self.given], *self.constants]
        for part in self.parts:
            if type(part) is not tuple:
                part(whole, outputs)
            elif self.launch(*part):
                return True
        return False

    def launch(self, start: int, stop: int) -> bool:
        """Run some launches, which may draw from the engines' streams."""
        if not self.engines:
            return self.launch_all(start, stop)
        for engine in self.engines:
            engine.lend()
        try:
            return self.launch_all(start, stop)
        finally:
            for engine in self.engines:
                engine.take_back()

    def launch_all(self, start: int, stop: int) -> bool:
        """Run some launches, with the workers if they are worth it and free."""
        pool = workers.acquire(self.scratch_size) if self.parallel else None
        if pool is None:
            return self.go(self.record_address, start, stop) != 0
        self.record[runtime.POOL] = pool.address
        try:
            return self.go(self.record_address, start, stop) != 0
        finally:
            self.record[runtime.POOL] = 0
            pool.release()

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
            if not (a.flags.c_contiguous and a.flags.aligned):
                a = self.temporary[k] = a.copy("C")
            self.block[k] = address(a)
        for k, a in enumerate(outputs, len(self.inputs)):
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
            self.bind(inputs, outputs)
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
