"""Storages: the memory behind tensors, as objects.

A storage is all the memory that a tensor's elements live in, also when the tensor shows only part
of it. Two tensors share memory exactly when they have the same storage. Here that memory is the
NumPy array at the end of the tensor's ``.base`` chain. `UntypedStorage` shows it as bytes;
`typed_storage` as elements of one dtype.
"""

from __future__ import annotations

import math
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from rushlight import devices, gpu
from rushlight.core.allocator import release_pages
from rushlight.core.device_array import DeviceArray, address
from rushlight.core.meta import MetaArray
from rushlight.core.tensor import Tensor, value_needed, wrap
from rushlight.dtypes import dtype
from rushlight.errors import NotSupportedError
from rushlight.gpu import Memory

__all__ = ["UntypedStorage"]


def memory_owner(array: Any) -> np.ndarray[Any, Any]:
    """The array at the end of the ``.base`` chain, which has the memory or stands for its owner."""
    while True:
        base = array.base
        if not isinstance(base, np.ndarray):
            base = getattr(base, "base", None)  # NumPy's as_strided puts an object between
            if not isinstance(base, np.ndarray):
                return array  # type: ignore[no-any-return]
        array = base


def bytes_of(owner: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A flat uint8 view of everything from the owner's first to its last byte."""
    owner = owner.view(np.ndarray)
    if not owner.size:
        return np.empty(0, np.uint8)
    if owner.flags.c_contiguous:
        return owner.reshape(-1).view(np.uint8)
    first = owner[tuple(slice(None, None, -1 if s < 0 else 1) for s in owner.strides)]
    extent = owner.itemsize + sum(
        (n - 1) * s for n, s in zip(first.shape, first.strides, strict=True)
    )
    as_strided = np.lib.stride_tricks.as_strided
    start = as_strided(first, (1,), (owner.itemsize,)).view(np.uint8)
    return as_strided(start, (extent,), (1,))


def bytes_of_file(filename: Any, shared: bool, need: int) -> np.ndarray[Any, Any]:
    """The first bytes of a file as an array; where writes are shared, the file is made or grown."""
    if shared:
        with open(filename, "ab") as file:
            if file.tell() < need:
                file.truncate(need)
    if not need:
        return np.empty(0, np.uint8)
    try:
        return np.asarray(np.memmap(filename, np.uint8, "r+" if shared else "c", shape=(need,)))
    except ValueError as error:
        raise RuntimeError(
            f"from_file: {filename} has fewer than the {need} bytes that are asked for."
        ) from error


class UntypedStorage:
    """Memory as bytes. ``t.untyped_storage()`` is the one behind a tensor; tensors that share
    memory have the same one.

    Args:
        source: how many bytes to allocate (zeros), or the bytes themselves, as a sequence of ints
            in [0, 255].

    Example:
        >>> x = torch.zeros(2, 3)
        >>> x.untyped_storage().nbytes(), x[1].untyped_storage() is x.untyped_storage()
        (24, True)
    """

    # slots keep objects of one size: textbooks compare the ids of such that are gone at once
    __slots__ = "_owner", "_view", "_fill", "_nbytes", "__dict__", "__weakref__"
    _owner: np.ndarray[Any, Any] | None
    _view: np.ndarray[Any, Any] | None
    _fill: Callable[[np.ndarray[Any, Any]], None] | None
    _nbytes: int

    def __init__(self, source: int | Sequence[int] = 0, *, device: Any = None) -> None:
        devices.check(device)
        counted = isinstance(source, (int, np.integer))
        self._adopt(np.zeros(source, np.uint8) if counted else np.array(source, np.uint8))  # type: ignore[arg-type]

    @classmethod
    def from_file(cls, filename: Any, shared: bool = False, nbytes: int = 0) -> UntypedStorage:
        """The memory of a file, mapped.

        Args:
            filename: the file.
            shared: whether writes reach the file, which is then made or grown as needed.
            nbytes: how many bytes, from the first.
        """
        self = cls.__new__(cls)
        self._adopt(bytes_of_file(filename, shared, nbytes))
        self.filename = str(filename)
        return self

    @classmethod
    def from_buffer(
        cls,
        buffer: Any,
        byte_order: str | None = None,
        count: int = -1,
        offset: int = 0,
        *,
        dtype: dtype,
        device: Any = None,
    ) -> UntypedStorage:
        """A copy of the elements of type ``dtype`` in an object that has bytes.

        Args:
            buffer: bytes, a bytearray or the like.
            byte_order: ``"native"``, ``"little"`` or ``"big"``; needed where an element has
                several bytes.
            count: how many elements, -1 for all.
            offset: bytes to leave out at the beginning.
            dtype: type of an element.
        """
        devices.check(device)
        if byte_order not in ("native", "little", "big", None):
            raise ValueError(
                f"from_buffer: byte_order is {byte_order!r}; it is 'native', 'little' or 'big'."
            )
        if byte_order is None and dtype.itemsize > 1:
            raise TypeError("from_buffer: elements of several bytes need a byte_order: 'native'?")
        data = memoryview(buffer).cast("B")
        if not 0 <= offset <= data.nbytes:
            raise ValueError(
                f"from_buffer: offset {offset} must be in [0, {data.nbytes}], the buffer's length."
            )
        rest = data.nbytes - offset
        if count < 0 and rest % dtype.itemsize:
            raise ValueError(
                f"from_buffer: the {rest} bytes after offset {offset} must be a multiple of the "
                f"element size, {dtype.itemsize}."
            )
        n = rest // dtype.itemsize if count < 0 else count
        if n * dtype.itemsize > rest:
            raise ValueError(
                f"from_buffer: {n} elements need {n * dtype.itemsize} bytes, but there are {rest} "
                f"after offset {offset}."
            )
        made = cls.__new__(cls)
        made._adopt(np.frombuffer(data, np.uint8, n * dtype.itemsize, offset).copy())
        if byte_order in ("little", "big") and byte_order != sys.byteorder:
            made.byteswap(dtype)
        return made

    def _adopt(self, owner: np.ndarray[Any, Any]) -> None:
        self._owner, self._view, self._fill = owner, bytes_of(owner), None
        if _lengths and id(owner) in _lengths:
            self._view = self._view[: _lengths[id(owner)][0]]
        self._nbytes = self._view.size
        if self._nbytes or id(owner) in _lengths:
            _alive[id(owner)] = self

    @classmethod
    def _of(cls, array: Any) -> UntypedStorage:
        """The storage that ``array`` is in: always the same object while anyone holds it."""
        owner = memory_owner(array)
        found = _alive.get(id(owner))
        if found is None or found._owner is not owner:
            found = cls.__new__(cls)
            found._adopt(owner)
        return found

    # Note [Memory in a tensor's shape]
    # Reading a file makes a storage before the tensors on it are known. Its memory is allocated
    # when the first tensor asks, in that tensor's shape and dtype if it covers all of it: then the
    # tensor's array owns its memory, like any new tensor's, and in-place operations need no
    # overlap checks.
    @classmethod
    def _later(
        cls, nbytes: int, fill: Callable[[np.ndarray[Any, Any]], None] | None
    ) -> UntypedStorage:
        """A storage whose memory is allocated on first use; ``fill`` then writes its bytes."""
        storage = cls.__new__(cls)
        storage._owner, storage._view, storage._fill, storage._nbytes = None, None, fill, nbytes
        return storage

    def _allocate(self, shape: tuple[int, ...], kind: np.dtype[Any]) -> np.ndarray[Any, Any]:
        fill = self._fill
        owner = np.empty(shape, kind)
        self._adopt(owner)
        if fill is not None:
            fill(self._bytes)
        return owner

    def _read(self) -> None:
        """Fill the memory now, if that was left to the first use."""
        if self._fill is not None:
            self._bytes  # noqa: B018

    @property
    def _bytes(self) -> np.ndarray[Any, Any]:
        value_needed("the memory of a tensor")
        if self._view is None:
            self._allocate((self._nbytes,), np.dtype(np.uint8))
        return self._view  # type: ignore[return-value]

    def _array(
        self, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, kind: np.dtype[Any]
    ) -> Any:
        """An array on this memory; strides and offset count elements and must be in bounds."""
        if self._view is None and not offset and math.prod(shape) * kind.itemsize == self._nbytes:
            if _is_contiguous(shape, strides):
                return self._allocate(shape, kind)
        if not math.prod(shape):
            return np.ndarray(shape, kind)
        steps = tuple(s * kind.itemsize for s in strides)
        return np.ndarray(shape, kind, self._bytes, offset * kind.itemsize, steps)

    @property
    def device(self) -> devices.device:
        """Where the memory is."""
        return devices.CPU

    is_cuda = False
    is_sparse = False
    filename: str | None = None  # the file whose memory this is

    def data_ptr(self) -> int:
        """Address of the first byte; 0 when there is none."""
        return address(self._bytes) if self._nbytes else 0

    @property
    def _cdata(self) -> int:
        return id(self._owner)

    def nbytes(self) -> int:
        """Length in bytes."""
        return self._nbytes

    size = __len__ = nbytes

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self._nbytes

    def element_size(self) -> int:
        """Bytes per element: 1."""
        return 1

    def untyped(self) -> UntypedStorage:
        """The storage itself."""
        return self

    def type(self) -> str:
        """The storage's type as text."""
        return "torch.storage.UntypedStorage"

    def __getitem__(self, index: Any) -> Any:
        part = self._bytes[index]
        return (
            UntypedStorage._of(part)
            if isinstance(part, np.ndarray) and part is self._view
            else _plain(part)
        )

    def __setitem__(self, index: Any, value: Any) -> None:
        self._bytes[index] = value

    def __iter__(self) -> Iterator[int]:
        return iter(self.tolist())

    def tolist(self) -> list[int]:
        """The bytes as a list of ints."""
        return self._bytes.tolist()  # type: ignore[no-any-return]

    def fill_(self, value: int) -> UntypedStorage:
        """Set every byte to ``value``, in [0, 255]."""
        self._bytes[:] = value
        return self

    def copy_(self, source: Any, non_blocking: bool | None = None) -> UntypedStorage:
        """Copy the bytes of ``source``, a storage of the same length."""
        self._bytes[:] = source.untyped()._bytes
        return self

    def clone(self) -> UntypedStorage:
        """The same bytes in new memory."""
        made = UntypedStorage.__new__(UntypedStorage)
        made._adopt(self._bytes.copy())
        return made

    def _copied(self) -> UntypedStorage:
        """The same bytes in new memory, taken when the first tensor asks."""
        source = self._bytes
        return UntypedStorage._later(source.size, lambda b: np.copyto(b, source))

    def _settle(self) -> None:
        """Take the memory now, if that was left to the first use."""
        self._bytes  # noqa: B018

    def cpu(self) -> UntypedStorage:
        """The storage itself: it is on the CPU."""
        return self

    def cuda(self, device: Any = None, non_blocking: bool = False) -> UntypedStorage:
        """The storage on a GPU: itself where it is there, else a copy."""
        if device is None or isinstance(device, int):
            device = devices.device("cuda", device)
        where = devices.check(device)
        if where == self.device:
            return self
        driver = gpu.driver(where.index)
        memory = driver.take(self._nbytes)
        driver.put(self._bytes, memory, 0)
        return DeviceStorage._on(memory)

    def is_shared(self) -> bool:
        """Whether the memory is shared between processes, see ``share_memory_``."""
        return hasattr(getattr(self._owner, "base", None), "file")

    def is_pinned(self, device: Any = None) -> bool:
        """Whether the memory is page-locked: False."""
        return False

    def resizable(self) -> bool:
        """Whether ``resize_`` can change the length: of memory that arrays of NumPy's do not own,
        it cannot.
        """
        return self._owner is None or self._owner.flags.owndata

    # Note [Storages of another length]
    # Arrays point into the memory, which therefore stays where it is. A shorter storage gives the
    # pages behind its end back to the system, and a longer one may use again what the first had.
    def resize_(self, nbytes: int) -> UntypedStorage:
        """Another length, in bytes, up to the one that the memory was allocated with. What lies
        behind it is lost; tensors keep their shapes, and are not to be read before the storage is
        long enough for them again.

        Raises:
            RuntimeError: the storage would be longer than ever, or is not resizable.
        """
        if nbytes == self._nbytes:
            return self
        self._read()
        most = 0 if self._owner is None else bytes_of(self._owner).size
        if not self.resizable() or (most and nbytes > most):
            raise NotSupportedError(
                f"resize_: the storage has {self._nbytes} bytes and cannot become {nbytes}; "
                f"its memory has {most}. Make a new tensor and copy instead."
            )
        if not most:
            self._adopt(np.zeros(nbytes, np.uint8))
            return self
        owner: Any = self._owner
        key = id(owner)
        _lengths[key] = nbytes, weakref.ref(owner, lambda gone: _lengths.pop(key, None))
        self._adopt(owner)
        release_pages(bytes_of(owner)[nbytes:])
        return self

    def byteswap(self, d: dtype) -> None:
        """Reverse the bytes of each element of type ``d``, in place."""
        size = d.itemsize // (2 if d.is_complex else 1)
        if size > 1:
            self._bytes.view(f"u{size}").byteswap(inplace=True)

    def __repr__(self) -> str:
        return listed(self.tolist(), f"torch.storage.UntypedStorage(device={self.device})")

    __str__ = __repr__

    def __copy__(self) -> UntypedStorage:
        return self.clone()

    def __deepcopy__(self, memo: dict[int, Any]) -> UntypedStorage:
        return self.clone()

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        if protocol >= 5:
            from pickle import PickleBuffer

            return _from_bytes, (PickleBuffer(self._bytes),)
        return _from_bytes, (self._bytes.tobytes(),)


# by the id of the owner of memory: the length of its storage, where that was changed
_lengths: dict[int, tuple[int, Any]] = {}
# by the id of the owner, which the storage keeps alive
_alive: WeakValueDictionary[int, UntypedStorage] = WeakValueDictionary()


def _from_bytes(data: Any) -> UntypedStorage:
    """Unpickle: the bytes in memory that can be written to."""
    got = np.frombuffer(data, np.uint8)
    made = UntypedStorage.__new__(UntypedStorage)
    made._adopt(got if got.flags.writeable else got.copy())
    return made


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    expected = 1
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1 and stride != expected:
            return False
        expected *= n
    return True


def listed(values: list[Any], last: str) -> str:
    lines = [f" {v}" for v in values]
    if len(lines) > 20:
        lines[10:-10] = [" ..."]
    return "\n".join([*lines, f"[{last} of size {len(values)}]"])


class MetaStorage(UntypedStorage):
    """The memory that meta tensors do not have: how many bytes it would be."""

    @classmethod
    def _of_size(cls, nbytes: int) -> UntypedStorage:
        return cls._later(nbytes, None)

    @property
    def device(self) -> devices.device:
        return devices.META

    def _array(
        self, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, kind: np.dtype[Any]
    ) -> Any:
        return MetaArray(shape, kind, tuple([s * kind.itemsize for s in strides]))


class DeviceStorage(UntypedStorage):
    """The memory of a GPU behind tensors. Its bytes are copied when they are read."""

    _memory: Memory
    is_cuda = True

    @classmethod
    def _on(cls, memory: Memory) -> DeviceStorage:
        """The storage of that memory: always the same object while anyone holds it."""
        found = _on_gpus.get(id(memory))
        if found is None:
            found = _on_gpus[id(memory)] = cls._later(memory.size, None)  # type: ignore[assignment]
            found._memory = memory
        return found

    @property
    def _bytes(self) -> np.ndarray[Any, Any]:
        value_needed("the memory of a tensor")
        copy = self._memory.driver.get(self._memory, 0, self._nbytes)
        copy.flags.writeable = False  # a write to the copy would be lost
        return copy

    def _array(
        self, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, kind: np.dtype[Any]
    ) -> Any:
        size = kind.itemsize
        whole = DeviceArray(self._memory, 0, (self._nbytes,), np.uint8)
        steps = tuple([s * size for s in strides])
        made = DeviceArray(self._memory, offset * size, shape, kind, steps, whole)
        if not offset and made.nbytes == self._nbytes and made.flags.c_contiguous:
            made.base = None  # all of the memory: nothing else needs to be
        return made

    @property
    def device(self) -> devices.device:
        return devices.gpu(self._memory.driver.index)

    def data_ptr(self) -> int:
        return self._memory.pointer if self._nbytes else 0

    @property
    def _cdata(self) -> int:
        return id(self._memory)

    def __setitem__(self, index: Any, value: Any) -> None:
        changed = self._bytes.copy()
        changed[index] = value
        self._memory.driver.put(changed, self._memory, 0)

    def fill_(self, value: int) -> UntypedStorage:
        self[:] = value
        return self

    def copy_(self, source: Any, non_blocking: bool | None = None) -> UntypedStorage:
        self[:] = source.untyped()._bytes
        return self

    def clone(self) -> UntypedStorage:
        driver = self._memory.driver
        made = driver.take(self._nbytes)
        driver.copy(self._memory, 0, made, 0, self._nbytes)
        return DeviceStorage._on(made)

    _copied = clone

    def _settle(self) -> None: ...

    def cpu(self) -> UntypedStorage:
        """The same bytes on the CPU."""
        made = UntypedStorage.__new__(UntypedStorage)
        made._adopt(self._bytes.copy())
        return made

    def is_shared(self) -> bool:
        return True

    def byteswap(self, d: Any) -> None:
        here = self.cpu()
        here.byteswap(d)
        self.copy_(here)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _rebuilt, (self._bytes.tobytes(), str(self.device))


def _rebuilt(data: bytes, location: str) -> UntypedStorage:
    return _from_bytes(data).cuda(location)


# by the id of the memory, which the storage keeps alive
_on_gpus: WeakValueDictionary[int, DeviceStorage] = WeakValueDictionary()


def untyped_storage(self: Tensor) -> UntypedStorage:
    """The memory of the tensor's elements, as bytes. Tensors that share it return one object."""
    return storage_of(self._array)


def storage_of(array: Any) -> UntypedStorage:
    """The memory that an array is in."""
    if array.__class__ is MetaArray:
        return MetaStorage._of_size(array.extent)
    if array.__class__ is DeviceArray:
        return DeviceStorage._on(array.memory)
    return UntypedStorage._of(array)


def offset_in(memory: UntypedStorage, array: np.ndarray[Any, Any]) -> int:
    """Distance from the memory's start to the array's first element, in bytes."""
    return address(array) - memory.data_ptr() if array.size else 0


def tensor_on(
    memory: UntypedStorage,
    d: np.dtype[Any],
    offset: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
) -> Tensor:
    """A tensor on a storage; ValueError when it would reach outside."""
    size, stride = tuple(size), tuple(stride)
    if (
        len(size) != len(stride)
        or offset < 0
        or any(n < 0 for n in size)
        or any(s < 0 for s in stride)
    ):
        raise ValueError(
            f"a tensor of shape {size} cannot have strides {stride} and offset {offset}"
        )
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if math.prod(size) and (last + 1) * d.itemsize > memory.nbytes():
        held = memory.nbytes() // d.itemsize
        raise ValueError(
            f"a tensor of shape {size}, strides {stride} and offset {offset} needs a storage of "
            f"{last + 1} elements, but there are {held}"
        )
    return wrap(memory._array(size, stride, offset, d))


Tensor.untyped_storage = untyped_storage  # type: ignore[attr-defined]
