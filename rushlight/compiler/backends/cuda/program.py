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
from rushlight.compiler.backends.cuda import products, source, templates
from rushlight.compiler.backends.cuda.launch import NAME, SHARED, Launch
from rushlight.compiler.backends.cuda.machine import Matrix, machine_of, picker
from rushlight.compiler.backends.reference import apply, stored
from rushlight.compiler.fits import targeting
from rushlight.compiler.graph import Graph, Node, Value
from rushlight.compiler.lower import Lowering
from rushlight.compiler.steps import Call, Check, Group, Product, Step, Template
from rushlight.core.device_array import DeviceArray, device_empty, send
from rushlight.errors import UnforeseenError
from rushlight.gpu import Bytes, Driver, Memory

CONVOLUTIONS = ("Conv", "ConvInput", "ConvWeight")
RECORDED = 8  # sets of addresses that a program is recorded for
MET = object()  # stands for a record until the second run: at the first, libraries prepare

Started = Callable[[Any], None]  # starts a step on a run, see ``CudaProgram.placed``


class Room:
    """Where programs that run one after another keep temporary values."""

    def __init__(self, driver: Driver) -> None:
        self.driver, self.memory = driver, driver.take(0)

    def at_least(self, size: int) -> Memory:
        """So many bytes, or more, whose content does not matter."""
        if self.memory.size < size:
            self.memory = self.driver.take(2 * size)
        return self.memory


class Run(list[Any]):
    """The addresses of a run whose steps on the host ask for more.

    Fields: owners, whose memory that is.
    """

    owners: list[Any]


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
        with targeting("cuda", driver.capability), pipeline.collector_paused():
            self.graph = pipeline.simplified(graph)
            self.lowering = low = Lowering(pipeline.expanded(self.graph))
            self.inputs = [i.value for i in low.graph.inputs]
            self.ends = list(low.graph.ends())
            own = {v.number for v in (*self.inputs, *self.ends)}
            self.offsets, size = memory.plan(low.steps, own)
            self.shared = -(-size // 256) * 256  # where in the room launches share memory
            self.slots = {v.number: k for k, v in enumerate((*self.inputs, *self.ends))}
            self.last = len(self.inputs) + len(self.ends)  # the slot of the room
            self.launches: list[Launch] = []
            kinds = [type(s) for s in low.steps]
            self.on_host = Call in kinds or bool(graph.assumes())
            steps = [start for step in low.steps for start in self.prepared(step)]
            self.machine.compile([x.text for x in self.launches])
            self.steps = [start if callable(start) else self.ready(*start) for start in steps]
        self.room = room or Room(driver)
        engines = [n.params["engine"] for n in low.graph.nodes if "engine" in n.params]
        seats = {id(e.seat()): e for e in engines}
        self.constants = [
            seats[id(i.source)].counter()
            if id(i.source) in seats
            else send(np.ascontiguousarray(i.source), driver)
            for i in low.graph.inputs[self.given :]
        ]
        self.alarming = Check in kinds  # whether a mark may be left, see Note [Alarms]
        self.recordable = recorded and not self.on_host
        self.recorded: dict[Any, Any] = {}
        self.held: DeviceArray | None = None  # the numbers, where they lie in memory
        self.values: list[float] = []

    def run(self, inputs: list[Any], outputs: list[DeviceArray]) -> None:
        """Start everything. ``inputs`` and ``outputs`` are in rows."""
        with self.machine.lock:
            self.run_alone(inputs, outputs)

    def run_alone(self, inputs: list[Any], outputs: list[DeviceArray]) -> None:
        """As ``run``, while no other thread does."""
        at = self.placed(inputs, outputs)
        key = (*at,) if self.recordable else ()
        work = self.recorded.get(key)
        if work is MET:
            work = self.machine.capture(lambda: self.start(at))
            self.recordable = work is not None
            self.recorded[key] = work
        if work is None:
            self.start(at)
            if self.recordable:
                if len(self.recorded) >= RECORDED:
                    self.recorded.clear()
                self.recorded[key] = MET
            return
        work()
        if self.alarming:
            self.machine.watched = True

    def begin(self, at: list[Any], outputs: list[DeviceArray]) -> None:
        """As ``run``, of a program that is neither recorded nor runs steps on the host. ``at``:
        the inputs' addresses, and numbers.
        """
        for a in self.constants:
            at.append(a.pointer)
        for a in outputs:
            at.append(a.pointer)
        with self.machine.lock:
            at.append(self.space().pointer)
            for start in self.steps:
                start(at)

    def start(self, at: Any) -> None:
        """Start the steps, one by one."""
        for start in self.steps:
            start(at)

    def placed(self, inputs: list[Any], outputs: list[DeviceArray]) -> Any:
        """A run: the addresses of inputs, constants, outputs and the room, in this order, with the
        numbers that the call gives.
        """
        at: Any = Run() if self.on_host else []
        at += [a.pointer if a.__class__ is DeviceArray else a for a in inputs]
        arrays = (*self.constants, *outputs)
        at += [a.pointer for a in arrays]
        room = self.space()
        at.append(room.pointer)
        if self.lowering.numbers and self.numbers != "double":
            self.hold(at)
        if self.on_host:
            at.owners = [*inputs, *arrays, room]
        return at

    def space(self) -> Memory:
        """The room, large enough."""
        room, size = self.room, self.shared + self.needed
        return room.memory if room.memory.size >= size else room.at_least(size)

    def hold(self, addresses: list[Any]) -> None:
        """Leave numbers where kernels look for them."""
        slots = [self.slots[n] for n in self.lowering.numbers]
        values = [float(addresses[k]) for k in slots]
        if self.held is None:
            self.held = device_empty((len(values),), np.float64, self.driver)
        if values != self.values:
            self.values = values
            self.write(np.array(values).view(np.uint8), self.held)
        for at, k in enumerate(slots):
            addresses[k] = self.held.pointer + 8 * at

    def write(self, raw: Bytes, target: DeviceArray) -> None:
        """Write bytes to an array's memory, in the order of work."""
        with self.machine.lock:
            self.machine.write(raw, target.memory, target.offset)

    def slot(self, number: Any) -> tuple[int, int]:
        """Where the address of a root value is, and how many bytes behind it the value lies."""
        if number in self.slots:
            return self.slots[number], 0
        return self.last, self.shared if number == SHARED else self.offsets[number]

    # Steps

    def prepared(self, step: Step) -> list[Any]:
        """What starts a step: functions, and launches with the places of their operands."""
        node = step.nodes[0]
        if isinstance(step, Group):
            assert step.kernel is not None
            return self.launched(source.launches_of(step.kernel, self.numbers), None)
        if isinstance(step, Template):
            found = self.convolved(node) if type(node.op).__name__ in CONVOLUTIONS else None
            if found is not None:
                return [found]
            launches = templates.launches(node, self.lowering.windows)
            return self.launched(launches, [*node.inputs, *node.outputs])
        if isinstance(step, Product):
            return self.product(node)
        if isinstance(step, Check):
            return [self.check(node)]
        return [lambda run: self.call(node, run)]

    def launched(self, launches: list[Launch], values: Any) -> list[Any]:
        """Launches, whose operands are roots, or positions among ``values``. They are compiled
        together, and then ``ready``.
        """
        self.launches += launches
        self.needed = max([self.needed, *[launch.scratch for launch in launches]])
        return [
            (launch, [self.operand(key, offset, values) for key, offset in launch.operands])
            for launch in launches
        ]

    def ready(self, launch: Launch, where: list[tuple[Any, int]]) -> Started:
        """What starts a launch."""
        given = self.lowering.numbers if self.numbers == "double" else ()
        return self.machine.prepare(launch, where, {self.slots[n] for n in given})

    def operand(self, key: Any, offset: int, values: Any) -> tuple[Any, int]:
        """Where the address of an operand is, and what is added to it."""
        if key == SHARED or values is None:
            slot, start = self.slot(key)
            return slot, start + offset
        return self.place(values[key], offset)

    def place(self, v: Value, offset: int = 0) -> tuple[int, int]:
        """The same for a value."""
        root, _, start = self.lowering.windows.layout(v)
        slot, own = self.slot(root.number)
        return slot, own + start * root.dtype.itemsize + offset

    def product(self, node: Node) -> list[Any]:
        """A matrix product: by a library where there is one for it."""
        values, windows = [*node.inputs, *node.outputs], self.lowering.windows
        laid = [Matrix(v.shape, windows.layout(v)[1], v.dtype) for v in values]
        multiply = self.machine.product(*laid)
        if multiply is None:
            return self.launched(products.launches(node, windows), values)
        pick = picker([self.place(v) for v in values])
        return [lambda at: multiply(*pick(at))]

    def convolved(self, node: Node) -> Started | None:
        """A convolution by a library, if there is one for it."""
        found = self.machine.convolution(node)
        if found is None:
            return None
        size, convolve = found
        self.needed = max(self.needed, size)
        where = [self.place(v) for v in (*node.inputs[:2], *node.outputs)]
        pick = picker([*where, self.slot(SHARED)])
        return lambda at: convolve(*pick(at))

    def check(self, node: Node) -> Started:
        """See Note [Alarms]; for what Python decided by a value, the program waits."""
        v = node.inputs[0]
        if node.params.get("assumed", False):

            def wait(run: Run) -> None:
                if not self.fetched(v, run).all():
                    raise UnforeseenError("Python would decide otherwise")

            return wait
        begin = self.machine.prepare(alarm(v.shape, self.lowering.windows.layout(v)[1]))
        slot, offset = self.place(v)

        def look(at: Any) -> None:
            begin([at[slot] + offset, self.machine.alarm()])
            self.machine.watched = True

        return look

    def call(self, node: Node, run: Run) -> None:
        """See Note [Steps on the host]."""
        operands = [self.fetched(v, run) if isinstance(v, Value) else v for v in node.inputs]
        for v, array in zip(node.outputs, apply(node, operands), strict=True):
            self.put(v, stored(array, v), run)

    def fetched(self, v: Value, run: Run) -> Any:
        """A value's array, copied from the GPU, or its number."""
        if v.number in self.lowering.numbers:
            at = run[self.slots[v.number]]
            return at if self.held is None else self.values[(at - self.held.pointer) // 8]
        return self.window(v, self.whole(v, run))

    def memory_of(self, v: Value, run: Run) -> tuple[Memory, int, int]:
        """The memory of a value's root, with an offset and a size in bytes."""
        root = self.lowering.windows.root(v)
        slot, offset = self.slot(root.number)
        owner = run.owners[slot]
        memory, start = (owner, 0) if isinstance(owner, Memory) else (owner.memory, owner.offset)
        return memory, start + offset, math.prod(root.shape) * root.dtype.itemsize

    def whole(self, v: Value, run: Run) -> Any:
        """The elements of a value's root, copied from the GPU."""
        memory, offset, size = self.memory_of(v, run)
        return self.driver.get(memory, offset, size).view(self.lowering.windows.root(v).dtype)

    def window(self, v: Value, flat: Any) -> Any:
        """A value's elements in its root's memory."""
        root, steps, start = self.lowering.windows.layout(v)
        size = root.dtype.itemsize
        return as_strided(flat[start:], v.shape, tuple([s * size for s in steps]))

    def put(self, v: Value, array: Any, run: Run) -> None:
        """Copy a value's array to the GPU."""
        root = self.lowering.windows.root(v)
        flat = self.whole(v, run) if root is not v else np.empty(math.prod(v.shape), v.dtype)
        self.window(v, flat)[...] = array
        memory, offset, _ = self.memory_of(v, run)
        self.driver.put(flat.view(np.uint8), memory, offset)

    def describe(self) -> str:
        """The steps, in order."""
        return self.lowering.describe()


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
