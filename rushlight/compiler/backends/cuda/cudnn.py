"""Convolutions by cuDNN, where it is installed: it uses the matrix units, which our own kernels do
not.

A convolution is a graph of one operation. cuDNN's heuristics list engines for it, the best first; a
plan is made of the first that may be used, and a call starts it on addresses. Numbers of kinds and
attributes are those of cuDNN's header ``cudnn_graph.h``.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rushlight import dtypes
from rushlight.compiler.graph import Node
from rushlight.gpu import Driver, Memory, cudnn as settings
from rushlight.ops.conv import Conv, ConvInput, ConvWeight

KINDS = {dtypes.float32: 0, dtypes.float64: 1, dtypes.float16: 2, dtypes.bfloat16: 9}
IN_FLOAT32, IN_FLOAT64 = 0, 1  # how sums are kept
CROSS_CORRELATION = 1
FEW = 4  # channels of an image
MOST = 1 << 30  # bytes of memory to work in
ALIGNED = 16  # bytes, of most addresses
ENGINES = 32  # that heuristics are asked for
PACKS = 64  # sets of addresses that are kept for a plan

# kinds of descriptors
CONVOLUTION, ENGINE, CONFIGURATION, HEURISTICS, PLAN = range(1, 6)
OPERATIONS, PACK, TENSOR = 15, 16, 17
FORWARD, BACKWARD_WEIGHT, BACKWARD_INPUT = 10, 11, 12
# types of attributes, and what C calls them
HANDLE, DTYPE, INT64, FLOAT, DOUBLE, POINTER, MODE, HEURISTIC, NOTE, DESCRIPTOR, MANNER = (
    0, 1, 3, 4, 5, 6, 7, 8, 11, 15, 19
)  # fmt: skip
CTYPES: dict[int, Any] = {
    HANDLE: ctypes.c_void_p,
    DTYPE: ctypes.c_int,
    INT64: ctypes.c_int64,
    FLOAT: ctypes.c_float,
    DOUBLE: ctypes.c_double,
    POINTER: ctypes.c_void_p,
    MODE: ctypes.c_int,
    HEURISTIC: ctypes.c_int,
    NOTE: ctypes.c_int,
    DESCRIPTOR: ctypes.c_void_p,
    MANNER: ctypes.c_int,
}
# attributes of a convolution, of heuristics, a configuration, a plan, a graph, a tensor, addresses
SUMS_IN, CROSSES, DILATION, STRIDE, AFTER, BEFORE, SPACE = range(100, 107)
ASKED_MODE, ASKED_GRAPH, ANSWERS = range(200, 203)
OF_ENGINE = 300
PLAN_HANDLE, PLAN_CONFIGURATION, PLAN_ROOM = range(400, 403)
GRAPH_HANDLE, GRAPH_OPERATIONS = 800, 801
ALIGNMENT, ELEMENTS, SIZES, STEPS = range(900, 904)
TENSOR_NAME = 906
NAMES, ADDRESSES = 1000, 1001
ROOM = 1003
NOTES = 1303
BEHAVIOR = 1305
# of each operation: the factors of the product and of what was there, the convolution, and the
# descriptors of weights, images and results
ATTRIBUTES = {
    FORWARD: (700, 701, 702, 703, 704, 705),
    BACKWARD_INPUT: (706, 707, 708, 709, 710, 711),
    BACKWARD_WEIGHT: (712, 713, 714, 715, 716, 717),
}
# the operation of an op, and which of its operands are the image, the weights and the result
ROLES: dict[Any, tuple[int, tuple[int, int, int]]] = {
    Conv: (FORWARD, (0, 1, 2)),
    ConvInput: (BACKWARD_INPUT, (2, 1, 0)),
    ConvWeight: (BACKWARD_WEIGHT, (0, 2, 1)),
}
BEST, ANY = 3, 2  # ways to ask for engines: quick ones, and those that do everything
TENSOR_UNITS, INPUTS_NARROWED, VARYING = 0, 1, 4  # what notes say of engines
COMPILED = 0  # what their manner says: first calls take long

Convolve = Callable[[int, int, int, int], None]  # addresses: two inputs, output, memory to work in


class Refused(Exception):
    """cuDNN does not do that."""


@dataclass
class Plan:
    """How an operation is done: its descriptor, and the bytes that it works in. ``packs``:
    descriptors of the addresses that it was started on.
    """

    descriptor: ctypes.c_void_p
    size: int
    packs: dict[Any, ctypes.c_void_p]


class Cudnn:
    """cuDNN for one GPU. ``queue`` is the stream that work goes to."""

    def __init__(self, library: Any, queue: ctypes.c_void_p, driver: Driver) -> None:
        self.library, self.queue, self.driver = library, queue, driver
        self.set: Any = -1  # the stream that cuDNN knows of
        self.handle = ctypes.c_void_p()
        self.call("Create", ctypes.byref(self.handle))
        self.execute = library.cudnnBackendExecute

    def call(self, name: str, *args: Any) -> None:
        """Call a function; Refused where it fails."""
        status = getattr(self.library, f"cudnn{name}")(*args)
        if status:
            raise Refused(f"{name}: {status}")

    # Descriptors

    def new(self, kind: int) -> ctypes.c_void_p:
        """A descriptor without attributes."""
        found = ctypes.c_void_p()
        self.call("BackendCreateDescriptor", kind, ctypes.byref(found))
        return found

    def made(self, kind: int, *attributes: Any) -> ctypes.c_void_p:
        """A descriptor with attributes, each a name, a type and values."""
        found = self.new(kind)
        for name, of, *values in attributes:
            array = (CTYPES[of] * len(values))(*values)
            self.call("BackendSetAttribute", found, name, of, ctypes.c_int64(len(values)), array)
        self.call("BackendFinalize", found)
        return found

    def told(self, of: ctypes.c_void_p, name: int, kind: int, array: Any) -> int:
        """Have an attribute's values written to an array; how many there are."""
        count = ctypes.c_int64()
        self.call(
            "BackendGetAttribute", of, name, kind, ctypes.c_int64(len(array)),
            ctypes.byref(count), array,
        )  # fmt: skip
        return count.value

    # Convolutions

    def convolution(self, node: Node) -> tuple[int, Convolve] | None:
        """The bytes that it works in, and the convolution; None where cuDNN does not do it."""
        try:
            return self.prepared(node)
        except Refused:
            return None

    def prepared(self, node: Node) -> tuple[int, Convolve]:
        """See ``convolution``."""
        if node.outputs[0].dtype not in KINDS:
            raise Refused("its dtype")
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            raise Refused("a bias")
        if isinstance(node.op, ConvWeight) and node.outputs[0].shape[1] <= FEW:
            raise Refused("few channels, for which its engines take longer than our kernels")
        plan = self.plan(node, ALIGNED)
        unusual = functools.cache(lambda: self.by_elements(node))

        def convolve(p: int, q: int, out: int, room: int) -> None:
            if self.set != self.queue.value:
                self.set = self.queue.value
                self.library.cudnnSetStream(self.handle, self.queue)
            how = plan
            if (p | q | out) % ALIGNED:
                how, memory = unusual()
                room = memory.pointer
            key = p, q, out, room
            pack = how.packs.get(key) or self.pack(how, key)
            status = self.execute(self.handle, how.descriptor, pack)
            if status:
                raise RuntimeError(f"CUDA error: cuDNN answers {status} to {node}")

        return plan.size, convolve

    def by_elements(self, node: Node) -> tuple[Plan, Memory]:
        """A plan for arrays that begin anywhere, and memory for it to work in."""
        try:
            plan = self.plan(node, node.outputs[0].dtype.itemsize)
        except Refused as error:
            raise RuntimeError(
                f"cuDNN has no way for {node} on tensors that do not begin at multiples of "
                f"{ALIGNED} bytes, as parts of others may: pass copies, made by .clone()."
            ) from error
        return plan, self.driver.take(plan.size)

    def pack(self, plan: Plan, key: tuple[int, int, int, int]) -> ctypes.c_void_p:
        """The descriptor of addresses, kept for the next time."""
        if len(plan.packs) >= PACKS:
            for old in plan.packs.values():
                self.call("BackendDestroyDescriptor", old)
            plan.packs.clear()
        *addresses, room = key
        found = plan.packs[key] = self.made(
            PACK,
            (NAMES, INT64, 0, 1, 2),
            (ADDRESSES, POINTER, *addresses),
            (ROOM, POINTER, room),
        )
        return found

    def plan(self, node: Node, alignment: int) -> Plan:
        """The plan for a convolution whose operands, named 0 to 2, are aligned so."""
        p = node.params
        given = node.inputs[0], node.inputs[1], node.outputs[0]
        d = given[2].dtype
        shapes = [planar(v.shape) for v in given]
        missing = len(shapes[0]) - len(given[0].shape)
        tensors = [self.tensor(k, shape, d, alignment) for k, shape in enumerate(shapes)]
        wide = d == dtypes.float64
        how = self.made(
            CONVOLUTION,
            (SUMS_IN, DTYPE, IN_FLOAT64 if wide else IN_FLOAT32),
            (CROSSES, MODE, CROSS_CORRELATION),
            (SPACE, INT64, len(shapes[0]) - 2),
            (DILATION, INT64, *[1] * missing, *p["dilation"]),
            (STRIDE, INT64, *[1] * missing, *p["stride"]),
            (BEFORE, INT64, *[0] * missing, *[first for first, _ in p["padding"]]),
            (AFTER, INT64, *[0] * missing, *[last for _, last in p["padding"]]),
        )
        operation, (x, w, y) = ROLES[type(node.op)]
        factor, before, by, weights, images, results = ATTRIBUTES[operation]
        step = self.made(
            operation,
            (factor, DOUBLE if wide else FLOAT, 1.0),
            (before, DOUBLE if wide else FLOAT, 0.0),
            (by, DESCRIPTOR, how),
            (weights, DESCRIPTOR, tensors[w]),
            (images, DESCRIPTOR, tensors[x]),
            (results, DESCRIPTOR, tensors[y]),
        )
        graph = self.made(
            OPERATIONS, (GRAPH_HANDLE, HANDLE, self.handle), (GRAPH_OPERATIONS, DESCRIPTOR, step)
        )
        avoided = {VARYING}
        if d == dtypes.float32 and not settings.allow_tf32:
            avoided |= {TENSOR_UNITS, INPUTS_NARROWED}
        for configuration in self.configurations(graph):
            try:
                engine = self.engine(configuration)
                if not avoided.isdisjoint(self.notes(engine, NOTES, NOTE)):
                    continue
                if COMPILED in self.notes(engine, BEHAVIOR, MANNER):
                    continue
                found = self.made(
                    PLAN,
                    (PLAN_HANDLE, HANDLE, self.handle),
                    (PLAN_CONFIGURATION, DESCRIPTOR, configuration),
                )
                size = (ctypes.c_int64 * 1)()
                self.told(found, PLAN_ROOM, INT64, size)
            except Refused:
                continue
            if size[0] <= MOST:
                return Plan(found, size[0], {})
        raise Refused("no engine")

    def tensor(self, name: int, shape: tuple[int, ...], d: Any, alignment: int) -> ctypes.c_void_p:
        """The descriptor of rows in order."""
        steps, step = [], 1
        for n in reversed(shape):
            steps.append(step)
            step *= n
        return self.made(
            TENSOR,
            (TENSOR_NAME, INT64, name),
            (ELEMENTS, DTYPE, KINDS[d]),
            (ALIGNMENT, INT64, alignment),
            (SIZES, INT64, *shape),
            (STEPS, INT64, *reversed(steps)),
        )

    def configurations(self, graph: ctypes.c_void_p) -> Iterator[ctypes.c_void_p]:
        """Engines that can do a graph, and how, the best first."""
        for mode in (BEST, ANY):
            try:
                asked = self.made(
                    HEURISTICS, (ASKED_GRAPH, DESCRIPTOR, graph), (ASKED_MODE, HEURISTIC, mode)
                )
                found = [self.new(CONFIGURATION) for _ in range(ENGINES)]
                array = (ctypes.c_void_p * ENGINES)(*found)
                count = self.told(asked, ANSWERS, DESCRIPTOR, array)
            except Refused:
                continue
            yield from found[:count]

    def engine(self, configuration: ctypes.c_void_p) -> ctypes.c_void_p:
        """A configuration's engine."""
        found = (ctypes.c_void_p * 1)(self.new(ENGINE))
        self.told(configuration, OF_ENGINE, DESCRIPTOR, found)
        return ctypes.c_void_p(found[0])

    def notes(self, engine: ctypes.c_void_p, name: int, kind: int) -> set[int]:
        """What is said of an engine."""
        notes = (CTYPES[kind] * 32)()
        count = self.told(engine, name, kind, notes)
        return {*notes[:count]}


def planar(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape with two dims of space at least."""
    return shape if len(shape) > 3 else (*shape[:2], 1, *shape[2:])


def load() -> Any:
    """The library, or None."""
    for name in ("libcudnn.so.9", *installed()):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def installed() -> list[str]:
    """Where the package of PyPI puts it."""
    try:
        found = importlib.util.find_spec("nvidia.cudnn")
    except ModuleNotFoundError:
        return []
    places = (found.submodule_search_locations or ()) if found is not None else ()
    return [str(Path(place) / "lib" / "libcudnn.so.9") for place in places]
