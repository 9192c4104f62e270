"""Convolutions by cuDNN, where it is installed: it uses the matrix units, which our own kernels do
not.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rushlight import dtypes
from rushlight.compiler.graph import Node
from rushlight.gpu import cudnn as settings

KINDS = {dtypes.float32: 0, dtypes.float64: 1, dtypes.float16: 2, dtypes.bfloat16: 9}
IN_FLOAT64 = 1  # how sums are kept
CROSS_CORRELATION = 1
TENSOR_UNITS, NO_TF32 = 0, 3  # kinds of arithmetic
MOST = 1 << 30  # bytes of memory to work in
DETERMINISTIC = 1

Convolve = Callable[[int, int, int, int], None]  # addresses: two inputs, output, memory to work in


class Algorithm(ctypes.Structure):
    """What cuDNN says of one of its algorithms."""

    _fields_ = (
        ("number", ctypes.c_int),
        ("status", ctypes.c_int),
        ("time", ctypes.c_float),
        ("memory", ctypes.c_size_t),
        ("determinism", ctypes.c_int),
        ("arithmetic", ctypes.c_int),
        ("reserved", ctypes.c_int * 3),
    )


class Refused(Exception):
    """cuDNN does not do that."""


class Cudnn:
    """cuDNN for one GPU. ``queue`` is the stream that work goes to."""

    def __init__(self, library: Any, queue: ctypes.c_void_p) -> None:
        self.library, self.queue = library, queue
        self.set: Any = -1  # the stream that cuDNN knows of
        self.handle = ctypes.c_void_p()
        self.call("Create", ctypes.byref(self.handle))
        self.one, self.zero = {}, {}
        for wide, kind in ((False, ctypes.c_float), (True, ctypes.c_double)):
            self.one[wide], self.zero[wide] = ctypes.pointer(kind(1)), ctypes.pointer(kind(0))

    def call(self, name: str, *args: Any) -> None:
        """Call a function; Refused where it fails."""
        status = getattr(self.library, f"cudnn{name}")(*args)
        if status:
            raise Refused(f"{name}: {status}")

    def made(self, kind: str) -> ctypes.c_void_p:
        """A new descriptor."""
        found = ctypes.c_void_p()
        self.call(f"Create{kind}Descriptor", ctypes.byref(found))
        return found

    def tensor(self, shape: tuple[int, ...], d: Any) -> ctypes.c_void_p:
        """The descriptor of rows in order."""
        found, steps, step = self.made("Tensor"), [], 1
        for n in reversed(shape):
            steps.append(step)
            step *= n
        count = len(shape)
        self.call(
            "SetTensorNdDescriptor", found, KINDS[d], count, ints(shape), ints(reversed(steps))
        )
        return found

    def filter(self, shape: tuple[int, ...], d: Any) -> ctypes.c_void_p:
        """The descriptor of weights."""
        found = self.made("Filter")
        self.call("SetFilterNdDescriptor", found, KINDS[d], 0, len(shape), ints(shape))
        return found

    def convolution(self, node: Node) -> tuple[int, Convolve] | None:
        """The bytes that it works in, and the convolution; None where cuDNN does not do it."""
        try:
            return self.prepared(node)
        except Refused:
            return None

    def prepared(self, node: Node) -> tuple[int, Convolve]:
        """See ``convolution``."""
        p, kind = node.params, type(node.op).__name__
        a, b, c = node.inputs[0], node.inputs[1], node.outputs[0]
        d = c.dtype
        if d not in KINDS or any([first != last for first, last in p["padding"]]):
            raise Refused("its padding")
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            raise Refused("a bias")
        x, w, y = {"Conv": (a, b, c), "ConvInput": (c, b, a), "ConvWeight": (a, c, b)}[kind]
        images, weights = [planar(v.shape) for v in (x, y)], planar(w.shape)
        missing = len(weights) - len(w.shape)
        before = ints([0] * missing + [first for first, _ in p["padding"]])
        apart = ints([1] * missing + list(p["stride"]))
        wide = ints([1] * missing + list(p["dilation"]))
        how = self.made("Convolution")
        exact = int(d == dtypes.float64)
        self.call(
            "SetConvolutionNdDescriptor", how, len(weights) - 2, before, apart, wide,
            CROSS_CORRELATION, IN_FLOAT64 if exact else 0,
        )  # fmt: skip
        self.call("SetConvolutionGroupCount", how, p["groups"])
        free = settings.allow_tf32 or d != dtypes.float32
        self.call("SetConvolutionMathType", how, TENSOR_UNITS if free else NO_TF32)
        image, result = [self.tensor(shape, d) for shape in images]
        weight = self.filter(weights, d)
        name, first, second, third = {
            "Conv": ("Forward", image, weight, result),
            "ConvInput": ("BackwardData", weight, result, image),
            "ConvWeight": ("BackwardFilter", image, result, weight),
        }[kind]
        best = self.best(name, first, second, how, third)
        size = ctypes.c_size_t()
        self.call(
            f"GetConvolution{name}WorkspaceSize", self.handle, first, second, how, third, best,
            ctypes.byref(size),
        )  # fmt: skip
        one, zero = self.one[bool(exact)], self.zero[bool(exact)]
        p_at, q_at, out_at, room_at = [ctypes.c_void_p() for _ in range(4)]
        run = functools.partial(
            getattr(self.library, f"cudnnConvolution{name}"), self.handle, one, first, p_at,
            second, q_at, how, best, room_at, size, zero, third, out_at,
        )  # fmt: skip
        if kind == "ConvInput":  # cuDNN takes the weights first
            p_at, q_at = q_at, p_at

        def convolve(p: int, q: int, out: int, room: int) -> None:
            if self.set != self.queue.value:
                self.set = self.queue.value
                self.library.cudnnSetStream(self.handle, self.queue)
            p_at.value, q_at.value, out_at.value, room_at.value = p, q, out, room
            status = run()
            if status:
                raise RuntimeError(f"CUDA error: cuDNN answers {status} to {node}")

        return size.value, convolve

    def best(self, name: str, a: Any, b: Any, how: Any, c: Any) -> int:
        """The algorithm that cuDNN would choose among those that give equal bits each time."""
        found, count = (Algorithm * 10)(), ctypes.c_int()
        self.call(
            f"GetConvolution{name}Algorithm_v7", self.handle, a, b, how, c, 10,
            ctypes.byref(count), found,
        )  # fmt: skip
        for x in found[: count.value]:
            if not x.status and x.determinism == DETERMINISTIC and x.memory <= MOST:
                self.call("SetConvolutionMathType", how, x.arithmetic)
                return int(x.number)
        raise Refused("no algorithm")


def planar(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape with two dims of space at least."""
    return shape if len(shape) > 3 else (*shape[:2], 1, *shape[2:])


def ints(values: Any) -> Any:
    """An array of C."""
    found = [*values]
    return (ctypes.c_int * len(found))(*found)


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
