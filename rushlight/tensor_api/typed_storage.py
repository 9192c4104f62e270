"""Storages that know their elements' type: ``t.storage()``, and the classes that files name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from rushlight import devices, dtypes
from rushlight.core.tensor import Tensor
from rushlight.dtypes import dtype
from rushlight.tensor_api._common import warn_once
from rushlight.tensor_api.storage import UntypedStorage, listed, untyped_storage

NAMES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16", "LongStorage": "int64", "IntStorage": "int32",
    "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8",
    "BoolStorage": "bool", "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128",
}  # fmt: skip
NAME_OF = {name: storage for storage, name in NAMES.items()}  # uint16 and wider have none

DEPRECATED = (
    "TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be the "
    "only storage class. This should only matter to you if you are using storages directly.  To "
    "access UntypedStorage directly, use tensor.untyped_storage() instead of tensor.storage()"
)

__all__ = [
    "BFloat16Storage", "BoolStorage", "ByteStorage", "CharStorage", "ComplexDoubleStorage",
    "ComplexFloatStorage", "DoubleStorage", "FloatStorage", "HalfStorage", "IntStorage",
    "LongStorage", "ShortStorage", "Storage", "TypedStorage", "is_storage",
]  # fmt: skip


# Note [Equal ids]
# Textbooks show that two tensors share memory by ``id(a.storage()) == id(b.storage())``. Both
# objects are new, and the second gets the address of the first, which was freed by then. So it is
# here, as Python keeps memory of each size apart: a storage is of a size that few objects have, and
# is made before all else that ``storage`` makes.
ROOM = [f"_room{i}" for i in range(8)]


class TypedStorage:
    """Memory as elements of one dtype: ``t.storage()``.

    Args:
        source: how many elements to allocate (zeros), or the elements as a sequence. Absent with
            ``wrap_storage``.
        wrap_storage: the bytes to show.
        dtype: type of an element; the default floating-point type unless given.

    Example:
        >>> x = torch.arange(4.0)
        >>> x[1:].storage().tolist()
        [0.0, 1.0, 2.0, 3.0]
    """

    _as: dtype | None = None  # the dtype of FloatStorage and the others
    __slots__ = ("dtype", "_untyped_storage", "__weakref__", *ROOM)

    def __init__(
        self,
        source: int | Sequence[Any] = 0,
        *,
        wrap_storage: UntypedStorage | None = None,
        dtype: dtype | None = None,
        device: Any = None,
        _internal: bool = False,
    ) -> None:
        devices.check(device)
        self.dtype = self._as or dtype or dtypes.get_default_dtype()
        if wrap_storage is None:
            kind = self.dtype.numpy
            counted = isinstance(source, (int, np.integer))
            values = np.zeros(source, kind) if counted else np.array(source, kind)  # type: ignore[arg-type]
            wrap_storage = UntypedStorage._of(values)
        elif not isinstance(wrap_storage, UntypedStorage):
            raise TypeError(
                f"TypedStorage: wrap_storage must be an UntypedStorage, got {type(wrap_storage)}"
            )
        self._untyped_storage = wrap_storage

    @classmethod
    def from_buffer(
        cls,
        buffer: Any,
        byte_order: str | None = None,
        count: int = -1,
        offset: int = 0,
        *,
        dtype: dtype | None = None,
        device: Any = None,
    ) -> TypedStorage:
        """A storage with a copy of the elements in an object that has bytes.

        Args:
            buffer: bytes, a bytearray or the like.
            byte_order: ``"native"``, ``"little"`` or ``"big"``; needed where an element has
                several bytes.
            count: how many elements, -1 for all.
            offset: bytes to leave out at the beginning.
            dtype: type of an element.

        Example:
            >>> torch.ShortStorage.from_buffer(bytes([1, 0, 2, 0]), "little").tolist()
            [1, 2]
        """
        d = dtype or dtypes.get_default_dtype()
        memory = UntypedStorage.from_buffer(
            buffer, byte_order, count, offset, dtype=d, device=device
        )
        return cls(wrap_storage=memory, dtype=d)

    @classmethod
    def from_file(
        cls, filename: Any, shared: bool = False, size: int = 0, *, dtype: dtype | None = None
    ) -> TypedStorage:
        """The memory of a file, mapped: ``size`` elements; writes reach the file if ``shared``."""
        d = dtype or dtypes.get_default_dtype()
        return cls(
            wrap_storage=UntypedStorage.from_file(filename, shared, size * d.itemsize), dtype=d
        )

    @property
    def _values(self) -> np.ndarray[Any, Any]:
        n = len(self)
        return self._untyped_storage._bytes[: n * self.dtype.itemsize].view(self.dtype.numpy)

    @property
    def device(self) -> devices.device:
        """Where the memory is."""
        return self._untyped_storage.device

    @property
    def is_cuda(self) -> bool:
        """Whether the memory is on a GPU."""
        return self._untyped_storage.is_cuda

    is_sparse = False

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes()

    def __len__(self) -> int:
        return self._untyped_storage.nbytes() // self.dtype.itemsize

    size = _size = __len__

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return self._untyped_storage

    def nbytes(self) -> int:
        """Length in bytes."""
        return self._untyped_storage.nbytes()

    def element_size(self) -> int:
        """Bytes per element."""
        return self.dtype.itemsize

    def data_ptr(self) -> int:
        """Address of the first byte; 0 when there is none."""
        return self._untyped_storage.data_ptr()

    @property
    def _cdata(self) -> int:
        return self._untyped_storage._cdata

    def pickle_storage_type(self) -> str:
        """Name of the storage class for this dtype, as files record it."""
        return NAME_OF[self.dtype.name]

    def type(self) -> str:
        """The storage's type as text, such as ``torch.FloatStorage``."""
        return f"torch.{self.pickle_storage_type()}"

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            raise RuntimeError(
                "TypedStorage: slices are for setting only; use .tolist()[start:stop], or a tensor"
            )
        return self._values[index].tolist()

    def __setitem__(self, index: Any, value: Any) -> None:
        self._values[index] = value

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def tolist(self) -> list[Any]:
        """The elements as Python numbers."""
        return self._values.tolist()  # type: ignore[no-any-return]

    def fill_(self, value: Any) -> TypedStorage:
        """Set every element to ``value``."""
        self._values[:] = value
        return self

    def copy_(self, source: TypedStorage, non_blocking: bool | None = None) -> TypedStorage:
        """Copy the elements of ``source``, of the same length, converted to this dtype."""
        self._values[:] = source._values
        return self

    def _wrapping(self, storage: UntypedStorage) -> TypedStorage:
        return TypedStorage(wrap_storage=storage, dtype=self.dtype)

    def clone(self) -> TypedStorage:
        """The same elements in new memory."""
        return self._wrapping(self._untyped_storage.clone())

    def cpu(self) -> TypedStorage:
        """The storage itself: it is on the CPU."""
        return self

    def to(self, dtype: dtype) -> TypedStorage:
        """The elements converted to ``dtype``; the storage itself when they have it."""
        if dtype == self.dtype:
            return self
        return TypedStorage(
            wrap_storage=UntypedStorage._of(self._values.astype(dtype.numpy)), dtype=dtype
        )

    def is_shared(self) -> bool:
        """Whether the memory is shared between processes, see ``share_memory_``."""
        return self._untyped_storage.is_shared()

    def is_pinned(self, device: Any = None) -> bool:
        """Whether the memory is page-locked: False."""
        return False

    def resizable(self) -> bool:
        """Whether ``resize_`` can change the length: False."""
        return False

    def resize_(self, size: int) -> TypedStorage:
        """Only to the length that it has; anything else raises."""
        self._untyped_storage.resize_(size * self.dtype.itemsize)
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TypedStorage):
            return NotImplemented
        return self.dtype == other.dtype and self._untyped_storage is other._untyped_storage

    def __hash__(self) -> int:
        return hash((self.dtype, self._cdata))

    def __repr__(self) -> str:
        return listed(
            self.tolist(), f"torch.storage.TypedStorage(dtype={self.dtype}, device={self.device})"
        )

    __str__ = __repr__

    def __copy__(self) -> TypedStorage:
        return self.clone()

    def __deepcopy__(self, memo: dict[int, Any]) -> TypedStorage:
        return self._wrapping(deepcopy(self._untyped_storage, memo))

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _typed, (self._untyped_storage, self.dtype)


def _typed(storage: UntypedStorage, d: dtype) -> TypedStorage:
    return TypedStorage(wrap_storage=storage, dtype=d)


class _NamedStorage(type):
    """FloatStorage and so on: names for a TypedStorage of one dtype, also for isinstance."""

    _as: dtype

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, TypedStorage) and instance.dtype == cls._as

    def __call__(
        cls, *args: Any, wrap_storage: UntypedStorage | None = None, **kwargs: Any
    ) -> TypedStorage:
        source = args[0] if len(args) == 1 else args
        return TypedStorage(source or 0, wrap_storage=wrap_storage, dtype=cls._as, **kwargs)

    def from_buffer(cls, buffer: Any, *args: Any, **kwargs: Any) -> TypedStorage:
        return TypedStorage.from_buffer(buffer, *args, dtype=cls._as, **kwargs)

    def from_file(cls, filename: Any, *args: Any, **kwargs: Any) -> TypedStorage:
        return TypedStorage.from_file(filename, *args, dtype=cls._as, **kwargs)


def _conversion(d: dtype) -> Any:
    def convert(self: TypedStorage) -> TypedStorage:
        made = self.to(d)
        return made.clone() if made is self else made

    convert.__doc__ = f"A copy of the elements as {d.name}."
    return convert


for name, kind in NAMES.items():  # double() of DoubleStorage, complex_float() of ...
    called = name.removesuffix("Storage").replace("Complex", "Complex_").lower()
    setattr(TypedStorage, called, _conversion(dtypes.by_name[kind]))


def _named(name: str) -> Any:
    d = dtypes.by_name[NAMES[name]]
    doc = f"A `TypedStorage` of {d.name} elements."
    return _NamedStorage(name, (), {"_as": d, "dtype": d, "__doc__": doc, "__module__": __name__})


FloatStorage, DoubleStorage, HalfStorage, BFloat16Storage = map(_named, list(NAMES)[:4])
LongStorage, IntStorage, ShortStorage, CharStorage, ByteStorage = map(_named, list(NAMES)[4:9])
BoolStorage, ComplexFloatStorage, ComplexDoubleStorage = map(_named, list(NAMES)[9:])
Storage = FloatStorage


def is_storage(obj: Any) -> bool:
    """Whether ``obj`` is a storage, typed or not."""
    return isinstance(obj, (TypedStorage, UntypedStorage))


def storage(self: Tensor) -> TypedStorage:
    """The memory that the tensor's elements live in, as elements of the tensor's dtype."""
    warn_once(DEPRECATED)
    made = TypedStorage.__new__(TypedStorage)  # see Note [Equal ids]
    made.__init__(wrap_storage=untyped_storage(self), dtype=dtypes.of[self._array.dtype])  # type: ignore[misc]
    return made


Tensor.storage = storage  # type: ignore[attr-defined]
