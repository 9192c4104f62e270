"""A graph as a native program: consecutive native steps are one function of one pointer."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from rushlight.compiler import memory
from rushlight.compiler.backends.llvm import jit, templates
from rushlight.compiler.backends.llvm.kernels import Writer
from rushlight.compiler.backends.llvm.products import blas_address, write_product
from rushlight.compiler.backends.llvm.text import Function, Module
from rushlight.compiler.backends.reference import Reference, apply, stored
from rushlight.compiler.graph import Graph, Value
from rushlight.compiler.lower import Call, Check, Group, Lowering, Product, Step, Template


class Native:
    """Kernels, buffers and the order to run them in.

    The argument block holds, in order, the addresses of the inputs, the outputs, the arena, the
    numbers, BLAS's two products, and
    scratch memory.
    """

    def __init__(self, graph: Graph, expanded: Graph, given: int) -> None:
        self.graph, self.given = graph, given
        self.eager = Reference(graph, given)
        self.lowering = low = Lowering(expanded)
        self.inputs = [i.value for i in low.graph.inputs]
        self.ends = list(low.graph.ends())
        self.layout()
        self.segments: list[Any] = []
        self.build()
        self.lock = threading.Lock()

    # Build

    def layout(self) -> None:
        """Give every value an address: (slot of the argument block, offset in bytes)."""
        low, n = self.lowering, len(self.inputs)
        own = {v.number for v in (*self.inputs, *self.ends)}
        self.offsets, size = memory.plan(low.steps, own)
        self.arena, self.scratch_size = aligned(size), 0
        slots = n + len(self.ends)
        self.pointers: dict[Any, tuple[int, int]] = {
            v.number: (k, 0) for k, v in enumerate(self.inputs)
        }
        self.pointers.update({v.number: (n + k, 0) for k, v in enumerate(self.ends)})
        self.pointers.update({number: (slots, offset) for number, offset in self.offsets.items()})
        self.numbers = np.zeros(max(1, n))
        for k, v in enumerate(self.inputs):
            if v.number in low.numbers:
                self.pointers[v.number] = (slots + 1, 8 * k)
        self.pointers["scratch"] = (slots + 4, 0)
        self.pointers["gemmfloat"], self.pointers["gemmdouble"] = (slots + 2, 0), (slots + 3, 0)
        self.block = (ctypes.c_void_p * (slots + 5))()
        self.block[slots], self.block[slots + 1] = address(self.arena), address(self.numbers)
        if any([isinstance(s, Product) for s in low.steps]):
            self.block[slots + 2], self.block[slots + 3] = (
                blas_address("sgemm"),
                blas_address("dgemm"),
            )
        self.held: list[Any] = [None] * slots
        self.is_number = [v.number in low.numbers for v in self.inputs]
        self.temporary: dict[int, Any] = {}  # contiguous copies of inputs
        for k, entry in enumerate(low.graph.inputs[self.given :], self.given):
            array = np.ascontiguousarray(entry.source)
            self.held[k] = array
            self.block[k] = address(array)
        self.block_address = ctypes.c_void_p(ctypes.addressof(self.block))

    def build(self) -> None:
        """Write, compile and load the native functions."""
        module = Module(jit.vector_bits())
        run: list[str] = []
        plan: list[Any] = []
        for k, step in enumerate(self.lowering.steps):
            if isinstance(step, Call):
                if run:
                    plan.append(self.segment(module, run))
                    run = []
                plan.append(step)
            else:
                run.append(self.write_step(module, f"step{k}", step))
        if run:
            plan.append(self.segment(module, run))
        self.scratch = aligned(self.scratch_size)  # for one step at a time
        self.block[len(self.block) - 1] = address(self.scratch)
        self.ir = module.text()
        self.code = jit.Code(self.ir) if module.functions else None
        for item in plan:
            if isinstance(item, str):
                self.segments.append(self.code.function(item))  # type: ignore[union-attr]
            else:
                self.segments.append(self.caller(item))
        self.native_only = all([isinstance(item, str) for item in plan])

    def write_step(self, module: Module, name: str, step: Step) -> str:
        """The instruction that runs a step, whose function is added to the module."""
        if isinstance(step, Group):
            Writer(module, name, step.kernel, self.pointers)  # type: ignore[arg-type]
        elif isinstance(step, Product):
            node = step.nodes[0]
            size = write_product(module, name, self.lowering.windows, node, self.pointers)
            self.scratch_size = max(self.scratch_size, size)
        elif isinstance(step, Template):
            windows = self.lowering.windows
            size = templates.write(module, name, step.nodes[0], self.pointers, windows)
            self.scratch_size = max(self.scratch_size, size)
        elif isinstance(step, Check):
            root = self.lowering.windows.root(step.nodes[0].inputs[0])
            return f"check {self.pointers[root.number][0]} {self.pointers[root.number][1]}"
        return f"call void @{name}(ptr %args)"

    def segment(self, module: Module, run: list[str]) -> str:
        """A function that runs consecutive steps; it returns 1 where a check fails."""
        name = f"segment{len([n for n in module.functions if n.startswith('segment')])}"
        f = Function(module, name, "ptr %args", "i32", "")
        for line in run:
            if line.startswith("check"):
                _, slot, offset = line.split()
                p = Writer.write_pointer(f, f.here, (int(slot), int(offset)))
                fine = f(f"trunc i8 {f(f'load i8, ptr {p}')} to i1")
                good, bad = f.name_of("G"), f.name_of("B")
                f.do(f"br i1 {fine}, label %{good}, label %{bad}")
                f.label(bad)
                f.do("ret i32 1")
                f.label(good)
            else:
                f.do(line)
        f.end("ret i32 0")
        return name

    def caller(self, step: Call) -> Any:
        """A function of the inputs and outputs that runs an op's own code."""
        node = step.nodes[0]
        readers = [
            self.reader(v) if isinstance(v, Value) else (lambda i, o, v=v: v) for v in node.inputs
        ]
        writers = [(v, self.array_of(v)) for v in node.outputs]

        def call(inputs: list[Any], outputs: list[Any]) -> None:
            operands = [read(inputs, outputs) for read in readers]
            for (value, target), array in zip(writers, apply(node, operands), strict=True):
                target(inputs, outputs)[...] = stored(array, value)

        return call

    def array_of(self, v: Value) -> Any:
        """A function of the inputs and outputs that returns the array of a root."""
        n = len(self.inputs)
        slot, offset = self.pointers[v.number]
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
            k = self.pointers[v.number][1] // 8
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
        with self.lock:
            self.bind(inputs, outputs)
            failed = False
            if self.native_only:
                for function in self.segments:
                    failed = failed or function(self.block_address) != 0
            else:
                failed = self.run_mixed(inputs, outputs)
        if failed:
            self.eager.run(inputs, outputs)

    def bind(self, inputs: list[Any], outputs: list[Any]) -> None:
        """Put addresses and numbers into the argument block."""
        block, held = self.block, self.held
        for k in range(self.given):
            a = inputs[k]
            if a is held[k]:
                continue
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
                block[k] = address(a := np.ascontiguousarray(a).copy())
                self.temporary[k] = a
                held[k] = None
                continue
            block[k], held[k] = address(a), a
        base = len(self.inputs)
        for k, a in enumerate(outputs, base):
            if a is not held[k]:
                block[k], held[k] = address(a), a

    def run_mixed(self, inputs: list[Any], outputs: list[Any]) -> bool:
        """Run native segments and ops in turn."""
        whole = [*inputs[: self.given], *self.held[self.given : len(self.inputs)]]
        for part in self.segments:
            if part.__class__.__name__ == "function":
                part(whole, outputs)
            elif part(self.block_address):
                return True
        return False

    def describe(self) -> str:
        """The steps, in order."""
        lines = []
        for step in self.lowering.steps:
            if isinstance(step, Group):
                lines.append(f"kernel of {len(step.nodes)} nodes: {step.kernel}")
            else:
                lines.append(f"{type(step).__name__.lower()} {step.nodes[0]}")
        return "\n".join(lines)


def aligned(size: int) -> np.ndarray[Any, Any]:
    """Bytes that begin at a cache line."""
    storage = np.zeros(size + memory.ALIGNMENT, np.uint8)
    start = -storage.__array_interface__["data"][0] % memory.ALIGNMENT
    return storage[start : start + size]


def address(a: np.ndarray[Any, Any]) -> int:
    """Where an array's elements begin."""
    where: int = a.__array_interface__["data"][0]
    return where
