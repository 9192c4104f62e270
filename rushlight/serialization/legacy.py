"""Files from before the zip archive: five pickles in a row, then the storages' bytes.

The pickles: a magic number, the version of the format, the writer's byte order, the object, and the
keys of the storages in the order of their bytes, each of which follows its number of elements.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
from typing import IO, Any

from rushlight.dtypes import dtype
from rushlight.serialization.container import DamagedFileError, fill
from rushlight.serialization.loading import (
    Unpickle,
    as_typed,
    element_type,
    place,
    swap_bytes,
    text,
)
from rushlight.serialization.restricted import Unpickler
from rushlight.tensor_api.storage import UntypedStorage
from rushlight.tensor_api.typed_storage import TypedStorage

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001


def write_legacy(file: Any, content: bytes, storages: list[TypedStorage]) -> None:
    """Write the pickle of an object and its storages in the older format."""
    system = {
        "protocol_version": PROTOCOL_VERSION,
        "little_endian": sys.byteorder == "little",
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    for part in (MAGIC_NUMBER, PROTOCOL_VERSION, system):
        file.write(pickle.dumps(part, protocol=2))
    file.write(content)
    file.write(pickle.dumps([str(i) for i in range(len(storages))], protocol=2))
    for storage in storages:
        file.write(struct.pack("<q", len(storage)))
        file.write(memoryview(storage.untyped()._bytes))


def read_legacy(file: IO[bytes], name: str, restore: Any, unpickle: Unpickle) -> Any:
    """The object in a file of the older format."""
    _check_header(file, name)
    system = Unpickler(file, name).load()
    storages = _Storages(name, restore)
    result = unpickle(file, storages.persistent_load)
    keys = Unpickler(file, name).load()
    little = system.get("little_endian", True) if isinstance(system, dict) else True
    storages.fill(file, keys, swapped=little != (sys.byteorder == "little"))
    return result


def _check_header(file: IO[bytes], name: str) -> None:
    start = file.tell()
    head = file.read(12)
    file.seek(start)
    try:
        ours = Unpickler(file, name).load() == MAGIC_NUMBER
    except pickle.UnpicklingError as error:
        if head.startswith(b"\x80\x02\x8a\x0al\xfc"):
            raise
        ours, cause = False, error
    else:
        cause = None
    if not ours:
        raise pickle.UnpicklingError(
            f"load: {name}: Weights only load failed: it was not written by save(). It starts with "
            f"{head!r}; files of save() start with b'PK' (or, older ones, with a magic number). "
            "A plain pickle needs pickle.load."
        ) from cause
    version = Unpickler(file, name).load()
    if version != PROTOCOL_VERSION:
        raise RuntimeError(
            f"load: {name} has version {version!r}; only {PROTOCOL_VERSION} is known"
        )


class _Storages:
    """The storages of one file; their memory is filled after the object has been made."""

    def __init__(self, name: str, restore: Any) -> None:
        self.name, self.restore = name, restore
        self.made: dict[str, tuple[UntypedStorage, dtype | None, UntypedStorage]] = {}

    def persistent_load(self, key: Any) -> Any:
        """The storage that a key in the pickle stands for."""
        if not isinstance(key, tuple) or len(key) < 5:
            raise pickle.UnpicklingError(f"load: {self.name}: unknown kind of key {key!r}")
        what, kind, number, location, count = key[:5]
        if text(what) != "storage":
            raise pickle.UnpicklingError(
                f"load: {self.name}: it holds a {text(what)} (the source of a class, from PyTorch "
                "before 1.6), which cannot be loaded. Save a state_dict() there instead."
            )
        if len(key) > 5 and key[5] is not None:
            raise pickle.UnpicklingError(
                f"load: {self.name}: it holds a view of a storage, which PyTorch wrote before 0.4; "
                "load and save it again with a newer PyTorch"
            )
        d, number = element_type(kind), text(number)
        if number not in self.made:
            if not isinstance(count, int) or count < 0:
                raise pickle.UnpicklingError(f"load: {self.name}: a storage of {count!r} elements")
            memory = UntypedStorage._later(count * (d.itemsize if d else 1), None)
            self.made[number] = memory, d, place(self.restore, memory, text(location))
        return as_typed(self.made[number][2], d)

    def fill(self, file: IO[bytes], keys: Any, *, swapped: bool) -> None:
        """Read the bytes of the storages, which follow in the order of ``keys``."""
        if not isinstance(keys, list) or set(keys) != set(self.made):
            raise DamagedFileError(f"load: {self.name} is damaged: its list of storages is wrong")
        for key in keys:
            memory, d, _ = self.made[key]
            size = struct.unpack("<q", file.read(8).ljust(8, b"\xff"))[0] * (d.itemsize if d else 1)
            if size != memory.nbytes() or _left(file) < size or fill(file, memory._bytes) < size:
                raise DamagedFileError(
                    f"load: {self.name} is damaged: storage {key!r} is cut short. The file was "
                    "probably interrupted while it was written or copied. Save or fetch it again."
                )
            if swapped and d is not None:
                swap_bytes(memory._bytes, d)


def _left(file: IO[bytes]) -> int:
    """How many bytes follow in the file."""
    here = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(here)
    return end - here
