"""A graph as a program of a GPU: launches in the order of its steps, on one block of memory.

Note [Steps on the host]
What has no kernel runs its op's own code on copies of its operands. A program without such steps,
and without checks that Python waits for, is recorded once for each set of addresses, and then
started as a whole.

Note [Alarms]
That an index is out of range is found out on the GPU, after the call: kernels stay within their
memory, and leave a mark. Whoever next waits for the GPU raises the error, see machine.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from rushlight.compiler import memory, pipeline
from rushlight.compiler.backends.cuda import source, templates
from rushlight.compiler.backends.cuda.launch import NAME, SHARED, Launch
from rushlight.compiler.backends.cuda.machine import Matrix, machine_of
from rushlight.compiler.backends.reference import apply, stored
from rushlight.compiler.fits import targeting
from rushlight.compiler.graph import Graph, Node, Value
from rushlight.compiler.lower import Lowering
from rushlight.compiler.steps import Call, Check, Group, Product, Step, Template
from rushlight.core.device_array import DeviceArray, device_empty, send
from rushlight.errors import UnforeseenError
from rushlight.gpu import Driver, Memory

RECORDED = 8  # sets of addresses that a program is recorded for

Place = tuple[Memory, int]  # and an offset in bytes
Started = Callable[["Run"], None]


class Room:
    """Where programs that run one after another keep temporary values."""

    def __init__(self, driver: Driver) -> None:
        self.driver, self.memory = driver, driver.take(0)

    def at_least(self, size: int) -> Memory:
        """So many bytes, whose content does not matter."""
        if self.memory.size < size:
            self.memory = self.driver.take(2 * size)
        return self.memory


class Run:
    """The memory of one run: ``places`` and ``addresses`` of root values, by their numbers, and
    the numbers that the call gives.
    """

    def __init__(self) -> None:
        self.places: dict[Any, Place] = {}
        self.addresses: dict[Any, Any] = {}

    def add(self, key: Any, memory: Memory, offset: int) -> None:
        """Where a value lies."""
        self.places[key], self.addresses[key] = (memory, offset), memory.pointer + offset


class CudaProgram:
    """Runs a graph on device arrays, see program.py of the compiler for the protocol.

    Args:
        recorded: whether the program will be run many times on the same memory. Numbers that the
            call gives then lie in memory, where recorded work finds others; otherwise they are
            handed to kernels as such.
        room: where temporary values lie; None for memory of its own.
    """

    def __init__(
        self, graph: Graph, driver: Driver, recorded: bool = True, room: Room | None = None
    ) -> None:
        self.driver, self.machine = driver, machine_of(driver)
        self.numbers = "const double*" if recorded else "double"
        self.given, self.needed = len(graph.inputs), 0  # bytes that launches share
        with targeting("cuda"), pipeline.collector_paused():
            self.graph = pipeline.simplified(graph)
            self.lowering = low = Lowering(pipeline.expanded(self.graph))
            self.inputs = [i.value for i in low.graph.inputs]
            self.ends = list(low.graph.ends())
            own = {v.number for v in (*self.inputs, *self.ends)}
            self.offsets, size = memory.plan(low.steps, own)
            self.steps = [self.prepared(step) for step in low.steps]
        self.shared = -(-size // 256) * 256  # where in the room that memory begins
        self.room = room or Room(driver)
        self.constants = [
            send(np.ascontiguousarray(i.source), driver) for i in low.graph.inputs[self.given :]
        ]
        waits = any([type(s) is Call for s in low.steps]) or graph.assumes()
        self.recordable = recorded and not waits
        self.recorded: dict[Any, Any] = {}
        self.held: DeviceArray | None = None  # the numbers, where they lie in memory
        self.values: list[float] = []

    def run(self, inputs: list[Any], outputs: list[DeviceArray]) -> None:
        """Start everything. ``inputs`` and ``outputs`` are in rows."""
        run = self.placed(inputs, outputs)
        if not self.recordable:
            return self.start(run)
        key = tuple(run.addresses.values())
        work = self.recorded.get(key)
        if work is None:  # the first time libraries prepare, which cannot be recorded
            self.start(run)
            if len(self.recorded) >= RECORDED:
                self.recorded.clear()
            self.recorded[key] = 0
            return None
        if work == 0:
            work = self.machine.capture(lambda: self.start(run)) or (lambda: self.start(run))
            self.recorded[key] = work
        work()
        self.machine.may_be_alarmed(self.checks())
        return None

    def start(self, run: Run) -> None:
        """Start the steps, one by one."""
        for start in self.steps:
            start(run)

    def checks(self) -> bool:
        """Whether a mark may be left, see Note [Alarms]."""
        return any([type(s) is Check for s in self.lowering.steps])

    def placed(self, inputs: list[Any], outputs: list[DeviceArray]) -> Run:
        """The memory of a run."""
        run, numbers = Run(), []
        for v, a in zip(self.inputs, (*inputs, *self.constants), strict=True):
            if a.__class__ is DeviceArray:
                run.add(v.number, a.memory, a.offset)
            else:
                numbers.append((v.number, float(a)))
        for v, out in zip(self.ends, outputs, strict=True):
            run.add(v.number, out.memory, out.offset)
        room = self.room.at_least(self.shared + self.needed)
        for number, offset in self.offsets.items():
            run.add(number, room, offset)
        run.add(SHARED, room, self.shared)
        if numbers and self.numbers == "double":
            run.addresses.update(numbers)
        elif numbers:
            self.hold(run, numbers)
        return run

    def hold(self, run: Run, numbers: list[tuple[int, float]]) -> None:
        """Leave numbers where kernels look for them."""
        values = [x for _, x in numbers]
        if self.held is None:
            self.held = device_empty((len(values),), np.float64, self.driver)
        if values != self.values:
            self.values = values
            self.driver.put(np.array(values).view(np.uint8), self.held.memory, 0)
        for k, (number, _) in enumerate(numbers):
            run.add(number, self.held.memory, 8 * k)

    # Steps

    def prepared(self, step: Step) -> Started:
        """What starts a step."""
        node = step.nodes[0]
        if isinstance(step, Group):
            assert step.kernel is not None
            return self.launched(source.launches_of(step.kernel, self.numbers), None)
        if isinstance(step, Template):
            launches = templates.launches(node, self.lowering.windows)
            return self.launched(launches, [*node.inputs, *node.outputs])
        if isinstance(step, Product):
            return self.product(node)
        if isinstance(step, Check):
            return self.check(node)
        return lambda run: self.call(node, run)

    def launched(self, launches: list[Launch], values: Any) -> Started:
        """Start launches, whose operands are roots, or positions among ``values``."""
        made = []
        for launch in launches:
            self.needed = max(self.needed, launch.scratch)
            where = [self.operand(key, offset, values) for key, offset in launch.operands]
            made.append((self.machine.prepare(launch), where))

        def start(run: Run) -> None:
            at = run.addresses
            for begin, where in made:
                begin([at[n] + offset if offset else at[n] for n, offset in where])

        return start

    def operand(self, key: Any, offset: int, values: Any) -> tuple[Any, int]:
        """The number of a root and an offset in bytes."""
        if key == SHARED or values is None:
            return key, offset
        root, _, start = self.lowering.windows.layout(values[key])
        return root.number, offset + start * root.dtype.itemsize

    def product(self, node: Node) -> Started:
        """A matrix product: by a library where there is one for it."""
        values = [*node.inputs, *node.outputs]
        laid = [self.lowering.windows.layout(v) for v in values]

        def start(run: Run) -> None:
            operands = [
                Matrix(run.addresses[root.number] + at * v.dtype.itemsize, v.shape, steps, v.dtype)
                for v, (root, steps, at) in zip(values, laid, strict=True)
            ]
            if not self.machine.multiply(*operands):
                self.call(node, run)

        return start

    def check(self, node: Node) -> Started:
        """See Note [Alarms]; for what Python decided by a value, the program waits."""
        v = node.inputs[0]
        if node.params.get("assumed", False):

            def wait(run: Run) -> None:
                if not self.fetched(v, run).all():
                    raise UnforeseenError("Python would decide otherwise")

            return wait
        root, steps, start = self.lowering.windows.layout(v)
        launch = alarm(v.shape, steps)
        begin = self.machine.prepare(launch)

        def look(run: Run) -> None:
            begin([run.addresses[root.number] + start, self.machine.alarm()])
            self.machine.may_be_alarmed(True)

        return look

    def call(self, node: Node, run: Run) -> None:
        """See Note [Steps on the host]."""
        operands = [self.fetched(v, run) if isinstance(v, Value) else v for v in node.inputs]
        for v, array in zip(node.outputs, apply(node, operands), strict=True):
            self.put(v, stored(array, v), run)

    def fetched(self, v: Value, run: Run) -> Any:
        """A value's array, copied from the GPU, or its number."""
        if v.number in self.lowering.numbers:
            return self.values[[*self.lowering.numbers].index(v.number)] if self.held else (
                run.addresses[v.number]
            )  # fmt: skip
        return self.window(v, self.whole(v, run))

    def whole(self, v: Value, run: Run) -> Any:
        """The memory of a value's root, copied from the GPU."""
        root = self.lowering.windows.root(v)
        memory, offset = run.places[root.number]
        size = math.prod(root.shape) * root.dtype.itemsize
        return self.driver.get(memory, offset, size).view(root.dtype)

    def window(self, v: Value, flat: Any) -> Any:
        """A value's elements in its root's memory."""
        root, steps, start = self.lowering.windows.layout(v)
        size = root.dtype.itemsize
        return as_strided(flat[start:], v.shape, tuple([s * size for s in steps]))

    def put(self, v: Value, array: Any, run: Run) -> None:
        """Copy a value's array to the GPU."""
        root = self.lowering.windows.root(v)
        memory, offset = run.places[root.number]
        flat = self.whole(v, run) if root is not v else np.empty(math.prod(v.shape), v.dtype)
        self.window(v, flat)[...] = array
        self.driver.put(flat.view(np.uint8), memory, offset)

    def describe(self) -> str:
        """The steps, in order."""
        return "\n".join(
            [str(s.kernel) if isinstance(s, Group) else repr(s.nodes) for s in self.lowering.steps]
        )


def alarm(shape: tuple[int, ...], steps: tuple[int, ...]) -> Launch:
    """Leaves a mark where a value is False, see Note [Alarms]."""
    total, where = math.prod(shape), []
    rest = "k"
    for n, step in zip(reversed(shape), reversed(steps), strict=True):
        if n > 1 and step:
            where.append(f"({rest}) % {n} * {step}")
        rest = f"{rest} / {n}"
    text = (
        f'extern "C" __global__ void {NAME}(const u8* fine, int* mark) {{\n'
        f"  for (i64 k = threadIdx.x; k < {total}; k += blockDim.x)\n"
        f"    if (!fine[{' + '.join(where) or '0'}]) *mark = 1;\n}}\n"
    )
    return Launch(text, ((0, 0), (1, 0)), (1, 1, 1), (min(1024, max(32, total)), 1, 1))
