"""Kernels for eager code on a GPU: each op, for operands of some shapes and dtypes, is a program of
one node, made when it is first met.
"""

from __future__ import annotations

import hashlib
import math
import weakref
from typing import Any

import numpy as np

from rushlight.compiler.backends.cuda import source
from rushlight.compiler.backends.cuda.machine import machine_of
from rushlight.compiler.backends.cuda.program import CudaProgram, Room
from rushlight.compiler.graph import Graph, Input, Node, Value
from rushlight.compiler.loops import Affine, Kernel, Store, Table
from rushlight.compiler.scalars import Scalar
from rushlight.compiler.steps import Call
from rushlight.core.device_array import DeviceArray, device_empty, send
from rushlight.core.elementwise import Elementwise
from rushlight.core.generator import GpuGenerator
from rushlight.core.mt19937 import Engine
from rushlight.core.native import without_kernels
from rushlight.core.op import Op
from rushlight.core.tensor import layout_dense
from rushlight.core.window import Window, packed_strides
from rushlight.dtypes import CATEGORY
from rushlight.formats import memory_format
from rushlight.gpu import Driver
from rushlight.ops.copy import Cast
from rushlight.ops.norm import BatchNorm, GroupNorm, LayerNorm
from rushlight.ops.view import AsStrided

ANY_ENGINE = Engine(0)  # made here, as a trace takes new ones for the user's
MOST = 4096  # programs
NORMS = (LayerNorm, BatchNorm, GroupNorm)  # only their first output is read on a GPU
PLAIN = (float, int, bool, str, type(None), slice, type(Ellipsis))

_entries: dict[Any, Any] = {}
_rooms: dict[Driver, Room] = {}


def offers() -> Any:
    """``compute`` of core.device_array."""
    return compute


def compute(
    op: Op, operands: Any, params: dict[str, Any], into: DeviceArray | None = None
) -> list[DeviceArray] | None:
    """The op's results; None where a kernel is missing for it."""
    kinds: list[Any] = []
    by_formula = isinstance(op, Elementwise)
    for x in operands:
        kind = x.kind if x.__class__ is DeviceArray else None
        kinds.append(spec(x, by_formula) if kind is None else kind)
    try:
        free = bool(params) and by_formula and float in map(type, params.values())
        key: Any = op, (*kinds,), frozen(params, free) if params else ()
        if into is not None:
            key = *key, spec(into), tuple([same(x, into) for x in operands])
        entry = _entries.get(key, key)
        if entry is key:
            entry = entry_of(key, op, operands, params, into, free)
        if entry is None and free:  # the formula depends on its numbers in other ways
            key = key[0], key[1], frozen(params, False), *key[3:]
            entry = entry_of(key, op, operands, params, into, False)
    except TypeError:
        return None
    return None if entry is None else entry(operands, params, into)


def entry_of(key: Any, op: Op, operands: Any, params: Any, into: Any, free: bool) -> Any:
    """What computes for a key, made where there is nothing; None where nothing can."""
    if key not in _entries:
        if len(_entries) >= MOST:
            _entries.clear()
        if any([k.__class__ is Kind and k.empty for k in key[1]]):
            _entries[key] = of_nothing(op) if into is None else None
        else:
            _entries[key] = Entry.of(op, operands, params, into, free)
    return _entries[key]


def of_nothing(op: Op) -> Any:
    """What computes an op of arrays without elements, which cost nothing to copy."""

    def compute(operands: Any, params: dict[str, Any], into: None) -> list[DeviceArray]:
        hosts = [x.fetch() if x.__class__ is DeviceArray else x for x in operands]
        driver = next(x for x in operands if x.__class__ is DeviceArray).driver
        out = op.forward(hosts, params)
        outs = out if isinstance(out, (tuple, list)) else (out,)
        return [send(np.asarray(o), driver) for o in outs]

    return compute


def same(x: Any, y: DeviceArray) -> bool:
    """Whether x is the same window on the same memory."""
    return x is y or (
        x.__class__ is DeviceArray
        and x.pointer == y.pointer
        and (x.shape, x.strides, x.dtype) == (y.shape, y.strides, y.dtype)
    )


class Kind:
    """What a program depends on of an array: each is made once, and is itself the key."""

    __slots__ = ("empty", "in_rows")

    def __init__(self, shape: Any, strides: Any, dtype: Any) -> None:
        self.empty = 0 in shape
        self.in_rows = Window(shape, dtype, strides).flags.c_contiguous


_kinds: dict[Any, Kind] = {}


def spec(x: Any, numbers: bool = True) -> Any:
    """What a program depends on of an operand; ``numbers``: other calls may bring others."""
    if x.__class__ is DeviceArray:
        if x.kind is None:
            x.kind = kind_of(x.shape, x.strides, x.dtype, x.driver)
        return x.kind
    if x.__class__ is float:
        return float if numbers else (float, repr(x))
    return x.__class__, x


def kind_of(shape: Any, strides: Any, dtype: Any, driver: Driver) -> Kind:
    """See Kind. Programs belong to a GPU."""
    key = shape, strides, dtype, driver
    found = _kinds.get(key)
    if found is None:
        found = _kinds[key] = Kind(shape, strides, dtype)
    return found


def is_number(x: Any) -> bool:
    """Whether a kernel takes x as a float64 number that other calls may bring others of."""
    return x.__class__ is float


def frozen(params: dict[str, Any], free: bool) -> Any:
    """Parameters as part of a key; ``free``: numbers are operands. TypeError for what is none."""
    return tuple([(k, float if free and is_number(v) else part(v)) for k, v in params.items()])


def part(v: Any) -> Any:
    """A parameter's value as part of a key."""
    if v.__class__ in (tuple, list):
        return tuple([part(x) for x in v])
    if v.__class__ is dict:
        return tuple([(k, part(x)) for k, x in v.items()])
    if v.__class__ is slice:
        return slice, v.start, v.stop, v.step
    if v.__class__ in PLAIN:
        return v.__class__, repr(v) if v.__class__ is float else v
    if isinstance(v, (Op, np.dtype, GpuGenerator)):
        return v
    if v.__class__ is np.ndarray:
        return np.ndarray, v.shape, v.dtype, content(v)
    if v.__class__ is memory_format:
        return v
    raise TypeError(f"{v.__class__} in a kernel's parameters")


_contents: dict[int, Any] = {}  # by the ids of arrays, while these live


def content(a: Any) -> bytes:
    """A digest of an array among an op's parameters, which nobody changes."""
    known = _contents.get(id(a))
    if known is None or known[0]() is not a:
        where = id(a)
        alive = weakref.ref(a, lambda _: _contents.pop(where, None))
        found = hashlib.blake2b(a.tobytes(), digest_size=16).digest()
        known = _contents[where] = alive, found
    digest: bytes = known[1]
    return digest


class Entry:
    """A program of one node."""

    def __init__(self, program: CudaProgram, names: list[str], writer: Writer) -> None:
        self.program, self.names = program, names  # of parameters that are operands
        self.ends = len(program.ends)
        self.takes_numbers = isinstance(writer.op, Elementwise)
        self.turned = [*zip(range(len(writer.outputs)), writer.strides, strict=False)]
        self.turned = [(k, steps) for k, steps in self.turned if steps is not None]
        self.makers = []
        for v in writer.outputs:
            steps, size = packed_strides(v.shape, v.dtype.itemsize), math.prod(v.shape)
            kind = kind_of(v.shape, steps, v.dtype, program.driver)
            self.makers.append((size * v.dtype.itemsize, v.shape, v.dtype, steps, kind))

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
        program = self.program
        inputs = [
            x
            for x in operands
            if x.__class__ is DeviceArray or (x.__class__ is float and self.takes_numbers)
        ]
        for name in self.names:
            inputs.append(params[name])
        if into is not None and direct(into, operands):
            outputs = [into]
        else:
            take, outputs = program.driver.take, []
            for size, shape, d, steps, kind in self.makers:
                out = DeviceArray(take(size), 0, shape, d, steps)
                out.kind = kind
                outputs.append(out)
        program.run(inputs, outputs if len(outputs) == self.ends else outputs[: self.ends])
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
    if not spec(into).in_rows:
        return False
    for x in operands:
        if x.__class__ is DeviceArray and x.memory is into.memory and not same(x, into):
            return False
    return True


class Writer:
    """Writes the graph of an op on some operands."""

    def __init__(self, op: Op, operands: Any, params: dict[str, Any], free: bool) -> None:
        self.graph, self.op = Graph(), op
        self.operands = operands
        self.entries: list[Any] = []  # inputs of the graph, by operands; None for what is none
        values = [self.operand(x) for x in operands]
        self.names, given = self.numbers_of(params) if free else ([], params)
        self.made = True
        try:
            specs = outline(op, operands, params)
        except (ValueError, TypeError, RuntimeError, IndexError):
            self.made = False  # the host says what is wrong
            return
        self.outputs = [self.graph.value(shape, d) for shape, d, _ in specs]
        self.strides = [steps for _, _, steps in specs]  # where they are not those of rows
        self.graph.nodes.append(Node(op, values, given, self.outputs))

    def operand(self, x: Any) -> Any:
        """An operand as the node takes it."""
        if is_number(x) and isinstance(self.op, Elementwise):
            value = self.graph.value((), np.float64)
            self.graph.inputs.append(Input(value, "number", None))
            self.entries.append(None)
            return value
        if x.__class__ is not DeviceArray:
            self.entries.append(None)
            return x
        whole = x.shape if x.flags.c_contiguous else (x.extent // x.itemsize,)
        value = self.graph.value(whole, x.dtype)
        self.graph.inputs.append(Input(value, "argument", len(self.graph.inputs)))
        self.entries.append(self.graph.inputs[-1])
        if x.flags.c_contiguous:
            return value
        steps = tuple([s // x.itemsize for s in x.strides])
        seen = self.graph.value(x.shape, x.dtype)
        params = {"size": x.shape, "stride": steps, "offset": 0, "source": None}
        self.graph.nodes.append(Node(AsStrided.instance, [value], params, [seen]))
        return seen

    def numbers_of(self, params: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
        """The names of parameters that are operands, and the parameters with them."""
        names = [k for k, v in params.items() if is_number(v)]
        given = dict(params)
        for k in names:
            given[k] = self.graph.value((), np.float64)
            self.graph.inputs.append(Input(given[k], "number", None))
        return names, given

    def finish(self, into: DeviceArray | None) -> bool:
        """Say what the results are; False where ``into`` cannot take the one there is."""
        graph, outputs = self.graph, self.outputs
        if into is None:
            graph.results = outputs[:1] if isinstance(self.op, NORMS) else outputs
            return True
        v = outputs[0]
        if len(outputs) > 1 or CATEGORY[v.dtype] > CATEGORY[into.dtype]:
            return False
        if v.shape != into.shape:
            return False
        if v.dtype != into.dtype:
            cast = graph.value(v.shape, into.dtype)
            graph.nodes.append(Node(Cast.instance, [v], {"dtype": into.dtype}, [cast]))
            v = cast
        self.outputs = [v]
        for x, entry in zip(self.operands, self.entries, strict=True):
            if entry is not None and same(x, into) and into.flags.c_contiguous:
                graph.updates = [(entry, v)]
                return True
        graph.results = [v]
        return True


def outline(op: Op, operands: Any, params: dict[str, Any]) -> list[tuple[Any, Any, Any]]:
    """Shapes and dtypes of the op's results, and their strides, where these are not of rows."""
    if "engine" in params:
        params = {**params, "engine": ANY_ENGINE}  # nothing may be drawn from the op's own
    arrays = [x for x in operands if x.__class__ is DeviceArray]
    laid = "memory_format" in params or not all([spec(x).in_rows for x in arrays])
    with without_kernels(), np.errstate(all="ignore"):
        if isinstance(op, Elementwise):
            few = [
                np.ones((1,) * x.ndim, x.dtype) if x.__class__ is DeviceArray else x
                for x in operands
            ]
            outs = several(op.forward(few, params))
            shape = np.broadcast_shapes(*[x.shape for x in arrays])
            like = in_order_of_memory(arrays) if laid else None
            steps = [like and tuple([s * o.itemsize for s in like]) for o in outs]
            return [(shape, o.dtype, s) for o, s in zip(outs, steps, strict=True)]
        given = [blank(x, laid) if x.__class__ is DeviceArray else x for x in operands]
        own = type(op).outline is not Op.outline
        outs = several(op.outline(*given, **params) if own else op.forward(given, params))
    found = []
    for o in map(np.asarray, outs):
        keep = laid and not o.flags.c_contiguous and layout_dense(o) and o.size
        found.append((o.shape, o.dtype, o.strides if keep else None))
    return found


def several(out: Any) -> Any:
    """One or more results of an op as more."""
    return out if isinstance(out, (tuple, list)) else (out,)


def blank(x: DeviceArray, laid: bool) -> Any:
    """Zeros in the place of an array's elements, which are one, unless it matters how they lie."""
    if not laid:
        return np.broadcast_to(np.zeros((), x.dtype), x.shape)
    return np.ndarray(x.shape, x.dtype, np.zeros(x.extent, np.uint8), 0, x.strides)


def in_order_of_memory(arrays: list[DeviceArray]) -> Any:
    """The strides in elements that NumPy gives to what it computes of arrays; None for rows."""
    seen = []
    for x in arrays:
        steps, extent = tuple([s // x.itemsize for s in x.strides]), x.extent // x.itemsize
        seen.append(np.ndarray(x.shape, np.uint8, np.empty(extent, np.uint8), 0, steps))
    flags: Any = [*[["readonly"]] * len(seen), ["writeonly", "allocate"]]
    out: Any = np.nditer([*seen, None], op_flags=flags, order="K").operands[-1]
    return None if out.flags.c_contiguous else out.strides


_copies: dict[Any, Any] = {}


def copy(source: DeviceArray, target: DeviceArray) -> None:
    """Copy elements, converted, to where they belong."""
    key = source.shape, source.strides, source.dtype, target.strides, target.dtype, target.driver
    launches = _copies.get(key)
    if launches is None:
        launches = _copies[key] = [
            (machine_of(target.driver).prepare(launch), launch.operands)
            for launch in source_of_copy(source, target)
        ]
    at = {1: source.pointer, 2: target.pointer}
    with machine_of(target.driver).lock:
        for begin, operands in launches:
            begin([at[n] + offset for n, offset in operands])


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
