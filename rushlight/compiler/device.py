"""Kernels for eager code on a GPU: each op, for operands of some shapes and dtypes, is a program of
one node, made when it is first met.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.alone import Writer, several
from rushlight.compiler.backends.cuda import source
from rushlight.compiler.backends.cuda.machine import machine_of
from rushlight.compiler.backends.cuda.program import CudaProgram, Room
from rushlight.compiler.graph import Value
from rushlight.compiler.kinds import frozen, same, spec
from rushlight.compiler.loops import Affine, Kernel, Store, Table
from rushlight.compiler.scalars import Scalar
from rushlight.compiler.steps import Call
from rushlight.core.device_array import DeviceArray, device_empty, kind_of, place, send
from rushlight.core.elementwise import Elementwise
from rushlight.core.op import Op
from rushlight.core.window import packed_strides
from rushlight.gpu import Driver

MOST = 4096  # programs
INTO = "into"  # parts of a key from those of a store

_entries: dict[Any, Any] = {}
_rooms: dict[Driver, Room] = {}


def offers() -> Any:
    """``compute`` of core.device_array."""
    return compute


def compute(
    op: Op, operands: Any, params: dict[str, Any], into: DeviceArray | None = None
) -> list[DeviceArray] | None:
    """The op's results; None where a kernel is missing for it."""
    key: list[Any] = [op]
    by_formula = isinstance(op, Elementwise)
    for x in operands:
        key.append(x.kind if x.__class__ is DeviceArray else spec(x, by_formula))
    free = False
    try:
        if params:
            free = by_formula and float in map(type, params.values())
            key.append(frozen(params, free))
        if into is not None:
            key += INTO, into.kind, tuple([same(x, into) for x in operands])
        entry = _entries.get(tuple(key), key)
        if entry is key:
            entry = entry_of(tuple(key), op, operands, params, into, free)
        if entry is None and free:  # the formula depends on its numbers in other ways
            key[1 + len(operands)] = frozen(params, False)
            entry = entry_of(tuple(key), op, operands, params, into, False)
    except TypeError:
        return None
    return None if entry is None else entry(operands, params, into)


def entry_of(key: Any, op: Op, operands: Any, params: Any, into: Any, free: bool) -> Any:
    """What computes for a key, made where there is nothing; None where nothing can."""
    if key not in _entries:
        if len(_entries) >= MOST:
            _entries.clear()
        if any([x.__class__ is DeviceArray and not x.size for x in operands]):
            _entries[key] = of_nothing(op) if into is None else None
        else:
            _entries[key] = Entry.of(op, operands, params, into, free)
    return _entries[key]


def of_nothing(op: Op) -> Any:
    """What computes an op of arrays without elements, which cost nothing to copy."""

    def compute(operands: Any, params: dict[str, Any], into: None) -> list[DeviceArray]:
        hosts = [x.fetch() if x.__class__ is DeviceArray else x for x in operands]
        driver = next(x for x in operands if x.__class__ is DeviceArray).driver
        return [send(np.asarray(o), driver) for o in several(op.forward(hosts, params))]

    return compute


class Entry:
    """A program of one node."""

    def __init__(self, program: CudaProgram, names: list[str], writer: Writer) -> None:
        self.program, self.names = program, names  # of parameters that are operands
        self.ends = len(program.ends)
        self.takes_numbers = isinstance(writer.op, Elementwise)
        # results that do not lie in rows
        self.turned = [(k, steps) for k, steps in enumerate(writer.strides) if steps is not None]
        self.makers = []
        for v, d in zip(writer.outputs, writer.dtypes, strict=True):
            kind = kind_of(v.shape, packed_strides(v.shape, d.itemsize), d, program.driver)
            self.makers.append((kind.nbytes, kind))

    @classmethod
    def of(cls, op: Op, operands: Any, params: Any, into: Any, free: bool) -> Entry | None:
        """The program; None where a step of it would run on the host."""
        writer = Writer(op, operands, params, free)
        if not writer.made or not writer.finish(into):
            return None
        driver = next(x for x in operands if x.__class__ is DeviceArray).driver
        room = _rooms.get(driver) or _rooms.setdefault(driver, Room(driver))
        program = CudaProgram(writer.graph, driver, recorded=False, room=room)
        if any([type(s) is Call for s in program.lowering.steps]):
            return None
        return cls(program, writer.names, writer)

    def __call__(
        self, operands: Any, params: dict[str, Any], into: DeviceArray | None
    ) -> list[DeviceArray]:
        program, at = self.program, list[Any]()
        for x in operands:
            if x.__class__ is DeviceArray:
                at.append(x.pointer)
            elif x.__class__ is float and self.takes_numbers:
                at.append(x)
        for name in self.names:
            at.append(params[name])
        if into is not None and direct(into, operands):
            outputs = [into]
        else:
            take, outputs = program.driver.take, []
            for size, kind in self.makers:
                outputs.append(place(take(size), 0, kind))
        program.begin(at, outputs if len(outputs) == self.ends else outputs[: self.ends])
        if into is None:
            for k, steps in self.turned:
                outputs[k] = in_order(outputs[k], steps)
        elif outputs[0] is not into:
            copy(outputs[0], into)
        return outputs


def in_order(x: DeviceArray, strides: Any) -> DeviceArray:
    """A copy of an array that lies as the strides say."""
    out = device_empty(x.shape, x.dtype, x.driver, strides)
    copy(x, out)
    return out


def direct(into: DeviceArray, operands: Any) -> bool:
    """Whether a program can write to where its result belongs."""
    if not into.flags.c_contiguous:
        return False
    for x in operands:
        if x.__class__ is DeviceArray and x.memory is into.memory and not same(x, into):
            return False
    return True


_copies: dict[Any, Any] = {}


def copy(source: DeviceArray, target: DeviceArray) -> None:
    """Copy elements, converted, to where they belong."""
    key = source.kind, target.kind
    launches = _copies.get(key)
    if launches is None:
        launches = _copies[key] = [
            machine_of(target.driver).prepare(launch, launch.operands)
            for launch in source_of_copy(source, target)
        ]
    at = [0, source.pointer, target.pointer]  # there are values 1 and 2
    with machine_of(target.driver).lock:
        for begin in launches:
            begin(at)


def source_of_copy(x: DeviceArray, y: DeviceArray) -> Any:
    """The launches of a copy from value 1 to value 2."""
    table = Table()
    sizes = {k: n for k, n in enumerate(x.shape) if n != 1}

    def where(a: DeviceArray) -> Affine:
        steps = [(k, a.strides[k] // a.itemsize) for k in sizes]
        return Affine(0, tuple([(k, s) for k, s in steps if s]))

    element = Scalar(table, table.make("load", x.dtype, (), (1, where(x)))).astype(y.dtype)
    store = Store(Value(2, y.shape, y.dtype), where(y), element.expr)
    return source.launches_of(Kernel(sizes, [*sizes], [], [store]), "double")
