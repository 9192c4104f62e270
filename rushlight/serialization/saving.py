"""``save``: an object to a file."""

from __future__ import annotations

import importlib
import io
import os
import pickle
import sys
from types import FunctionType
from typing import IO, Any, BinaryIO

from rushlight import devices, dtypes, formats
from rushlight.config import is_own
from rushlight.core.tensor import Tensor
from rushlight.serialization import names
from rushlight.serialization.atomic import replacing
from rushlight.serialization.container import ALIGNMENT, Writer
from rushlight.serialization.locations import location_tag
from rushlight.tensor_api import pickling, typed_storage
from rushlight.tensor_api.storage import UntypedStorage
from rushlight.tensor_api.typed_storage import TypedStorage

FileLike = str | os.PathLike[str] | IO[bytes]
DEFAULT_PROTOCOL = 2


def save(
    obj: object,
    f: FileLike,
    pickle_module: Any = pickle,
    pickle_protocol: int = DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Save an object, in a form that `load` and PyTorch's ``torch.load`` read.

    Tensors that share memory still share it after loading. An existing file is replaced in one
    step at the end: if the program is interrupted before, the old file is still there, whole.

    Args:
        obj: tensors, or lists, dicts, modules and so on that hold tensors. Prefer
            ``module.state_dict()`` to modules.
        f: a path, or a file open for writing bytes.
        pickle_module: a replacement for ``pickle``; its files name rushlight's classes by
            rushlight's names.
        pickle_protocol: version of the pickle inside, in [2, 5].

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> torch.save({"w": torch.ones(2)}, file)
        >>> _ = file.seek(0)
        >>> torch.load(file)
        {'w': tensor([1., 1.])}
    """
    if not isinstance(f, (str, os.PathLike)) and not hasattr(f, "write"):
        raise AttributeError(
            "save: expected 'f' to be a path or a file with a 'write' attribute, but got "
            f"{type(f).__name__}. The object comes first: save(obj, f)."
        )
    keys = Keys(legacy=not _use_new_zipfile_serialization)
    content = to_pickle(obj, pickle_module, pickle_protocol, keys)

    def write(file: Any, folder: str) -> None:
        if keys.legacy:
            from rushlight.serialization.legacy import write_legacy

            write_legacy(file, content, keys.storages)
        else:
            _write_archive(file, folder, content, keys.storages, not _disable_byteorder_record)

    if not isinstance(f, (str, os.PathLike)):
        write(f, "archive")
        getattr(f, "flush", lambda: None)()  # the file may be read under its name at once
        return
    path = os.fsdecode(f)
    with replacing(path) as file:
        write(file, _folder_name(path))


def _folder_name(path: str) -> str:
    name = os.path.basename(path)
    stem = name.rpartition(".")[0] if "." in name else name
    return stem if stem and stem.isascii() else "archive"


def _write_archive(
    file: BinaryIO, folder: str, content: bytes, storages: list[Any], byteorder: bool
) -> None:
    archive = Writer(file, folder)
    archive.record("data.pkl", content)
    archive.record(".format_version", b"1")
    archive.record(".storage_alignment", str(ALIGNMENT).encode())
    if byteorder:
        archive.record("byteorder", sys.byteorder.encode())
    for key, storage in enumerate(storages):
        archive.record(f"data/{key}", memoryview(storage.untyped()._bytes))
    archive.close()


class Keys:
    """Numbers the storages in the order in which they are met."""

    def __init__(self, *, legacy: bool) -> None:
        self.legacy = legacy
        self.storages: list[TypedStorage | UntypedStorage] = []
        self.key_of: dict[int, str] = {}

    def class_of(self, memory: UntypedStorage) -> Any:
        """The dtype of the class that the file names for this memory; None before it is met."""
        key = self.key_of.get(id(memory))
        if key is None:
            return None
        first = self.storages[int(key)]
        return first.dtype if isinstance(first, TypedStorage) else UntypedStorage

    def persistent_id(self, obj: Any) -> tuple[Any, ...] | None:
        """What stands for a storage in the pickle; None for other objects."""
        if not isinstance(obj, (TypedStorage, UntypedStorage)):
            return None
        memory = obj.untyped()
        key = self.key_of.get(id(memory))
        if key is None:
            key = self.key_of[id(memory)] = str(len(self.storages))
            self.storages.append(obj)  # which also keeps the memory's id its own
        elif isinstance(obj, TypedStorage) and self.class_of(memory) != obj.dtype:
            raise RuntimeError(
                "save: two storages view the same memory as different types, "
                f"{self.class_of(memory)} and {obj.dtype}; save tensors instead"
            )
        fields = "storage", _class_of(obj), key, location_tag(memory), len(obj)
        return (*fields, None) if self.legacy else fields


def _class_of(storage: TypedStorage | UntypedStorage) -> Any:
    """The class that a file names for a storage."""
    if isinstance(storage, UntypedStorage):
        return UntypedStorage
    name = typed_storage.NAME_OF.get(storage.dtype.name)
    if name is None:
        raise TypeError(
            f"save: there is no storage class for {storage.dtype}; save a tensor, or .untyped()"
        )
    return getattr(typed_storage, name)


def to_pickle(obj: Any, module: Any, protocol: int, keys: Keys) -> bytes:
    """The pickle of ``obj``, in which keys stand for storages; these are left in ``keys``."""
    file = io.BytesIO()
    if module is pickle:
        Pickler(file, protocol, keys).dump(obj)
    else:
        _other_pickler(module, file, protocol, keys).dump(obj)
    return file.getvalue()


def _other_pickler(module: Any, file: Any, protocol: int, keys: Keys) -> Any:
    class OtherPickler(module.Pickler):  # type: ignore[misc, name-defined]
        def persistent_id(self, obj: Any) -> Any:
            return keys.persistent_id(obj)

    return OtherPickler(file, protocol)


class Pickler(pickle._Pickler):  # type: ignore[name-defined, misc]
    """Names our classes as PyTorch does. The C pickler would insist on importing what it names."""

    dispatch = pickle._Pickler.dispatch.copy()  # type: ignore[attr-defined]

    def __init__(self, file: Any, protocol: int, keys: Keys) -> None:
        super().__init__(file, protocol)
        self.keys = keys
        self.persistent_id = keys.persistent_id
        registry = sys.modules.get("rushlight.nn.modules._registry")
        if registry is not None:  # a module's tables are plain dicts in PyTorch
            self.dispatch = {**self.dispatch, registry.Registry: type(self).save_dict}

    def reducer_override(self, obj: Any) -> Any:
        """Types that PyTorch pickles in its own way."""
        if isinstance(obj, Tensor) and type(obj).__reduce_ex__ is Tensor.__reduce_ex__:
            return pickling.reduced(obj, self.keys.class_of)
        if isinstance(obj, dtypes.dtype):
            return obj.name
        if isinstance(obj, formats.layout):
            return pickling._get_layout, (str(obj),)
        if isinstance(obj, devices.device):
            return type(obj), (obj.type,) if obj.index is None else (obj.type, obj.index)
        return NotImplemented

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write a class or function as a name; our own under PyTorch's."""
        module = getattr(obj, "__module__", None) or ""
        if isinstance(obj, dtypes.dtype):
            self._name("torch", obj.name, obj)
            return
        if not is_own(module):
            super().save_global(obj, name)
            return
        own = name or getattr(obj, "__qualname__", None) or obj.__name__
        _check_importable(module, own, obj)
        self._name(*names.torch_name(module, own), obj)

    dispatch[FunctionType] = save_global

    def _name(self, module: str, name: str, obj: Any) -> None:
        if self.proto >= 4:
            self.save(module)
            self.save(name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        self.memoize(obj)


def _check_importable(module: str, name: str, obj: Any) -> None:
    try:
        found: Any = importlib.import_module(module)
    except ImportError:
        found = None
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not obj:
        raise pickle.PicklingError(f"Can't pickle {obj!r}: it is not {module}.{name}")
