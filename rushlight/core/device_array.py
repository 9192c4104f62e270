"""Arrays on a GPU: what a tensor on the device ``cuda`` has in the place of a NumPy array.

Note [Device arrays]
A device array is a window on memory of a GPU. As with sparse arrays (see Note [Sparse operands]),
dense code does not ask for it: what needs elements is answered with DeviceOperand, and where ops
are applied that leads to ``ops.device``. There views are made; all else is computed by
``gpu_kernels``, which a compiler provides, or, where it has no kernel for it, on the host with
copies both ways.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np

from rushlight import devices
from rushlight.core.sparse import SparseOperand
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor, constant, layout_dense, wrap
from rushlight.core.window import Flags, Window, packed_strides
from rushlight.gpu import Bytes, Driver, Memory


class DeviceOperand(SparseOperand):
    """A device array was used where only an array in the memory of the CPU will do."""

    def __str__(self) -> str:
        return (
            f"a tensor on a GPU has no {self.args[0]} that Python can reach: this has no version "
            "for GPUs. Copy the tensor with .cpu(), and the result back with .to(device)."
        )


class Kind:
    """What device arrays have in common that lie alike on one GPU: shape, strides and dtype, and
    what follows from these. They share one object (``kind_of``), so that it serves as a key.

    ``views``: by what was asked of such arrays, how far behind their first element the view begins,
    and its kind; or what stands for a copy.
    """

    __slots__ = (
        "shape", "strides", "dtype", "driver", "ndim", "size", "itemsize", "nbytes", "extent",
        "flags", "views",
    )  # fmt: skip

    def __init__(self, shape: Any, strides: Any, dtype: Any, driver: Driver) -> None:
        self.shape, self.strides, self.dtype, self.driver = shape, strides, dtype, driver
        x = Window(shape, dtype, strides)
        self.ndim, self.size, self.itemsize = x.ndim, x.size, x.itemsize
        self.nbytes, self.extent, flags = x.nbytes, x.extent, x.flags
        self.flags = Flags(flags.c_contiguous, flags.f_contiguous, DeviceOperand)
        self.views: dict[Any, Any] = {}


MOST_KINDS = 1 << 14
_kinds: dict[Any, Kind] = {}


def kind_of(shape: Any, strides: Any, dtype: Any, driver: Driver) -> Kind:
    """The kind of arrays that lie so; strides in bytes."""
    key = shape, strides, dtype, driver
    found = _kinds.get(key)
    if found is None:
        if len(_kinds) >= MOST_KINDS:
            _kinds.clear()  # those that are needed come again
        found = _kinds[key] = Kind(shape, strides, dtype, driver)
    return found


class DeviceArray(Window):
    """A window on ``memory`` of a GPU. ``offset`` and strides are in bytes; ``pointer`` is the
    address of the first element on the device.
    """

    __slots__ = ("memory", "offset", "pointer", "kind", "shape", "strides", "dtype", "base")
    operand = DeviceOperand

    def __init__(
        self,
        memory: Memory,
        offset: int,
        shape: Any,
        dtype: Any,
        strides: Any = None,
        base: DeviceArray | None = None,
    ) -> None:
        shape, dtype = tuple(shape), np.dtype(dtype)
        strides = packed_strides(shape, dtype.itemsize) if strides is None else tuple(strides)
        self.memory, self.offset, self.pointer = memory, offset, memory.pointer + offset
        self.kind = kind_of(shape, strides, dtype, memory.driver)
        self.shape, self.strides, self.dtype, self.base = shape, strides, dtype, base

    @property
    def driver(self) -> Driver:
        """The GPU that it is on."""
        return self.kind.driver

    # See Kind
    ndim, size = property(attrgetter("kind.ndim")), property(attrgetter("kind.size"))
    itemsize, nbytes = property(attrgetter("kind.itemsize")), property(attrgetter("kind.nbytes"))
    extent, flags = property(attrgetter("kind.extent")), property(attrgetter("kind.flags"))

    # Views are found once for each kind

    def reshape(self, *shape: Any) -> Any:
        found = self.kind.views.get(("reshape", shape))
        if found is None:
            return self.remembered(("reshape", shape), super().reshape(*shape))
        return self.viewed(found)

    def transpose(self, *order: Any) -> Any:
        found = self.kind.views.get(("transpose", order))
        if found is None:
            return self.remembered(("transpose", order), super().transpose(*order))
        return self.viewed(found)

    def swapaxes(self, a: int, b: int) -> Any:
        found = self.kind.views.get(("swapaxes", a, b))
        if found is None:
            return self.remembered(("swapaxes", a, b), super().swapaxes(a, b))
        return self.viewed(found)

    def view(self, dtype: Any) -> Any:
        found = self.kind.views.get(("view", dtype))
        if found is None:
            memory = self.stand_in()
            return self.remembered(("view", dtype), self.seen(memory.view(dtype), memory))
        return self.viewed(found)

    def remembered(self, asked: Any, made: Any) -> Any:
        """``made``, which is what is asked of arrays of this kind."""
        view = made.__class__ is DeviceArray
        self.kind.views[asked] = (made.offset - self.offset, made.kind) if view else made
        return made

    def viewed(self, found: Any) -> Any:
        """What was remembered, of this array."""
        if found.__class__ is not tuple:
            return found
        return place(
            self.memory, self.offset + found[0], found[1], self if self.base is None else self.base
        )

    def stand_in(self, owner: Any = None) -> np.ndarray[Any, Any]:
        """Memory of the host that lies as all of this array's does, never to be read or written;
        ``owner``: that of another array on the same memory, to find out what they share.
        """
        owner = np.empty(self.memory.size, np.uint8) if owner is None else owner
        return np.ndarray(self.shape, self.dtype, owner, self.offset, self.strides)

    def seen(self, view: Any, stand_in: Any) -> DeviceArray:
        begin, start = view.__array_interface__["data"][0], stand_in.__array_interface__["data"][0]
        return DeviceArray(
            self.memory,
            self.offset + begin - start if view.size else self.offset,
            view.shape,
            view.dtype,
            view.strides,
            self if self.base is None else self.base,
        )

    def covers(self, other: DeviceArray) -> bool:
        """Whether another array is the same elements of the same memory."""
        if self.memory is not other.memory or self.offset != other.offset:
            return False
        return self.shape == other.shape and self.lies_as(other.strides)

    def fetch(self) -> np.ndarray[Any, Any]:
        """Its elements in new memory of the host, dense and in the same order."""
        if not layout_dense(self):  # type: ignore[arg-type]
            return np.array(self._on_bytes(self._bytes()), order="C")
        out = np.empty(self.size, self.dtype)
        self.driver.get(self.memory, self.offset, self.nbytes, out.view(np.uint8))
        self.driver.waited()
        if self.flags.c_contiguous:
            out.resize(self.shape, refcheck=False)  # so it still owns its memory
            return out
        order = sorted(range(self.ndim), key=lambda d: -self.strides[d])
        laid = out.reshape([self.shape[d] for d in order])
        return laid.transpose(sorted(range(self.ndim), key=order.__getitem__))

    def amend(self, change: Callable[[Any], None]) -> None:
        """Let ``change(array)`` write to its elements, on the host."""
        raw = self._bytes()
        change(self._on_bytes(raw))
        self.driver.put(raw, self.memory, self.offset)

    def _bytes(self) -> Bytes:
        """The memory from the first element to the last, also what lies between."""
        found = self.driver.get(self.memory, self.offset, self.extent)
        self.driver.waited()
        return found

    def _on_bytes(self, raw: Bytes) -> np.ndarray[Any, Any]:
        return np.ndarray(self.shape, self.dtype, raw, 0, self.strides)


new_array = functools.partial(object.__new__, DeviceArray)


def place(memory: Memory, offset: int, kind: Kind, base: DeviceArray | None = None) -> DeviceArray:
    """An array of this kind; see Note [Fields]."""
    x = new_array()
    x.memory, x.offset, x.pointer, x.kind = memory, offset, memory.pointer + offset, kind
    x.shape, x.strides, x.dtype, x.base = kind.shape, kind.strides, kind.dtype, base
    return x


def device_empty(shape: Any, dtype: Any, driver: Driver, strides: Any = None) -> DeviceArray:
    """Memory of a GPU, not initialised: rows in order, or dense with these strides."""
    shape, dtype = tuple(shape), np.dtype(dtype)
    steps = packed_strides(shape, dtype.itemsize) if strides is None else tuple(strides)
    kind = kind_of(shape, steps, dtype, driver)
    return place(driver.take(kind.nbytes), 0, kind)


def device_zeros(shape: Any, dtype: Any, driver: Driver) -> DeviceArray:
    """Zeros on a GPU."""
    out = device_empty(shape, dtype, driver)
    driver.clear(out.memory, out.nbytes)
    return out


def send(array: Any, driver: Driver) -> DeviceArray:
    """A copy of an array of NumPy's on a GPU, in the same order if that is dense."""
    dense = array.flags.c_contiguous or (layout_dense(array) and min(array.strides) > 0)
    a = array if dense else np.array(array, order="C")
    if a.flags.c_contiguous:
        strides, flat = packed_strides(a.shape, a.itemsize), a.reshape(-1)
    else:
        strides = a.strides
        flat = a.transpose(sorted(range(a.ndim), key=lambda d: -strides[d])).reshape(-1)
    out = device_empty(a.shape, a.dtype, driver, strides)
    driver.put(flat.view(np.uint8), out.memory, 0)
    return out


def driver_of(t: Any) -> Driver | None:
    """The GPU that a tensor is on; None for one that is not on a GPU, and for what is no tensor."""
    a = t._array if isinstance(t, Tensor) else None
    return a.driver if a.__class__ is DeviceArray else None


def device_of(t: Tensor) -> devices.device:
    """The GPU that a tensor is on, as a device."""
    return devices.gpu(t._array.driver.index)


def address(x: Any) -> int:
    """Where an array's first element is, in the memory of its device."""
    if x.__class__ is DeviceArray:
        return int(x.pointer)
    return int(x.__array_interface__["data"][0])


def host(t: Tensor) -> Any:
    """The array of a tensor's values in the memory of the CPU: its own, or a copy of a GPU's."""
    a = t._array
    return a.fetch() if a.__class__ is DeviceArray else a


def unseen(t: Tensor) -> bool:
    """Whether rules and functions had better not look at the values of t: in later calls of what is
    traced they may be others, and on a GPU they are far away.
    """
    return modes.trace is not None or t._array.__class__ is DeviceArray


def beside(t: Tensor | None, array: Any) -> Tensor:
    """A new tensor with the values of ``array``, on the device of t, by default the CPU. A trace
    does not know where they come from, and is left; see ``constant_on``.
    """
    driver = driver_of(t)
    return wrap(array if driver is None else send(array, driver))


def constant_on(t: Tensor | None, array: Any) -> Tensor:
    """``beside``, of values that follow from shapes and options alone."""
    driver = driver_of(t)
    return constant(array if driver is None else send(array, driver))


class GpuKernels:
    """What computes on GPUs; a compiler provides it.

    ``compute(op, operands, params, into=None)``: ``operands`` are device arrays of one GPU, numbers
    and None, as the op takes them. The results, in new memory, as a list; or None where there is no
    kernel for that, and the host computes. ``into``: a device array that gets the one result, cast
    and broadcast as a store does; it may be among the operands, and overlap them as ``op.overlap``
    allows. None as well where a store would refuse that: then the host says why.
    """

    def compute(
        self, op: Any, operands: Any, params: dict[str, Any], into: DeviceArray | None = None
    ) -> list[DeviceArray] | None:
        """Loads what is to compute, and asks it."""
        if self._load is None:
            return None
        load, self._load = self._load, None
        found = load()
        if found is None:
            return None
        self.compute = found  # type: ignore[method-assign]
        return found(op, operands, params, into)

    _load: Callable[[], Any] | None = None


gpu_kernels = GpuKernels()


def provide(load: Callable[[], Callable[..., Any] | None]) -> None:
    """Let ``load()`` give ``compute``, when the first op on a GPU asks; None: there are none."""
    vars(gpu_kernels).pop("compute", None)
    gpu_kernels._load = load
