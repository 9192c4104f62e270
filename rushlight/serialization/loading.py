"""``load``: an object from a file."""

from __future__ import annotations

import contextlib
import io
import mmap as mapping
import os
import pickle
import struct
import sys
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np

from rushlight.dtypes import dtype
from rushlight.errors import warn_user
from rushlight.serialization import names
from rushlight.serialization.container import Reader
from rushlight.serialization.locations import restorer
from rushlight.serialization.options import MAP_PRIVATE, assumed_byteorder, options
from rushlight.serialization.restricted import Unpickler
from rushlight.serialization.saving import FileLike
from rushlight.tensor_api.storage import UntypedStorage, memory_owner
from rushlight.tensor_api.typed_storage import TypedStorage

Unpickle = Callable[[IO[bytes], Any], Any]  # (pickle, persistent_load) -> object


def load(
    f: FileLike,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Load what `save`, or PyTorch's ``torch.save``, wrote.

    Args:
        f: a path, or a file open for reading bytes that can be sought in.
        map_location: where storages go: None, as they were; a device or its name; a dict from
            names in the file to names here; or a function ``(storage, name) -> storage``.
        pickle_module: a replacement for ``pickle``; needs ``weights_only=False``.
        weights_only: True, which None stands for, admits tensors and plain data only, and runs
            nothing that the file asks for, except what `add_safe_globals` lists. False can run any
            code: only for files that you trust.
        mmap: map the file into memory instead of reading it, so that data are read when they are
            used. Writes to the tensors do not reach the file. ``f`` must be a path.
        pickle_load_args: for the unpickler; ``encoding`` of strings that Python 2 wrote.

    The environment may decide: ``TORCH_FORCE_WEIGHTS_ONLY_LOAD=1`` always sets ``weights_only``,
    and ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1`` unsets it where it is not given.

    Raises:
        pickle.UnpicklingError: not a file of ours, or one that needs more than ``weights_only``
        admits.
        RuntimeError: the file is damaged.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> torch.save([torch.arange(3), "text"], file)
        >>> _ = file.seek(0)
        >>> torch.load(file)
        [tensor([0, 1, 2]), 'text']
    """
    weights_only = _by_environment(weights_only)
    if weights_only and pickle_module is not None:
        raise RuntimeError(
            "load: weights_only=True uses its own unpickler; leave pickle_module out, or pass "
            "weights_only=False if you trust the file"
        )
    if weights_only is None:
        weights_only = pickle_module is None
    if mmap and not isinstance(f, (str, os.PathLike)):
        raise ValueError("load: f must be a path in order to use mmap=True, not an open file")
    restore = restorer(map_location)
    pickle_load_args.setdefault("encoding", "utf-8")
    shared = mmap and options.mmap_flags != MAP_PRIVATE
    with opened(f, "r+b" if shared else "rb") as (file, name):
        unpickle = _unpickler(name, weights_only, pickle_module or pickle, pickle_load_args)
        if not _is_zip(file, name):
            if mmap:
                raise RuntimeError(
                    f"load: {name} is not in the zip format, so mmap=True cannot map it; "
                    "load it without mmap, and save it again"
                )
            from rushlight.serialization.legacy import read_legacy

            return read_legacy(file, name, restore, unpickle)
        archive = read_archive(file, name)
        storages = Storages(archive, restore, mapped=bool(mmap))
        loaded = unpickle(io.BytesIO(archive.read("data.pkl")), storages.persistent_load)
        storages.read_rest()
        return loaded


def _by_environment(weights_only: bool | None) -> bool | None:
    """``weights_only`` as the environment wants it."""
    names = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    always, never = (os.environ.get(n, "").lower() in ("1", "y", "yes", "true") for n in names)
    if always and never:
        raise RuntimeError(f"load: only one of {names[0]} and {names[1]} should be set; unset one")
    if never and weights_only is None:
        warn_user(
            f"{names[1]} is set, so load() runs what the file asks for: unset it, or pass "
            "weights_only=True, if you do not trust the file."
        )
        return False
    return True if always else weights_only


@contextlib.contextmanager
def opened(f: FileLike, mode: str = "rb") -> Iterator[tuple[IO[bytes], str]]:
    """The file, open for reading bytes, and what error texts call it."""
    if isinstance(f, (str, os.PathLike)):
        with open(f, mode) as file:
            yield file, os.fsdecode(f)
        return
    missing = [method for method in ("seek", "tell", "read", "readline") if not hasattr(f, method)]
    if missing:
        raise AttributeError(
            f"load: f must be a path or a file that can be read and sought in, but {f!r} has no "
            f"{missing[0]}(). Read it into an io.BytesIO first."
        )
    yield f, str(getattr(f, "name", f"<{type(f).__name__}>"))


def _is_zip(file: IO[bytes], name: str) -> bool:
    start = file.tell()
    head = file.read(4)
    file.seek(start)
    if not head:
        raise EOFError(f"load: {name} is empty")
    if not isinstance(head, bytes):
        raise TypeError(f"load: {name} is open as text; open it with mode 'rb'")
    return head == b"PK\3\4"


def read_archive(file: IO[bytes], name: str) -> Reader:
    """The archive in a file, which must be one of ours."""
    archive = Reader(file, name)  # type: ignore[arg-type]
    if "constants.pkl" in archive:
        raise RuntimeError(
            f"load: {name} is a TorchScript program, which rushlight cannot run. "
            "Save the module's state_dict() with PyTorch, and load that."
        )
    return archive


def _unpickler(name: str, weights_only: bool, module: Any, args: dict[str, Any]) -> Unpickle:
    def restricted(file: IO[bytes], persistent_load: Any) -> Any:
        return Unpickler(file, name, persistent_load, encoding=args["encoding"]).load()

    def full(file: IO[bytes], persistent_load: Any) -> Any:
        class AnyUnpickler(module.Unpickler):  # type: ignore[misc, name-defined]
            def find_class(self, where: str, what: str) -> Any:
                if where == "torch" or where.startswith("torch."):
                    return names.find(where, what)
                return super().find_class(where, what)

            def persistent_load(self, key: Any) -> Any:
                return persistent_load(key)

        try:
            return AnyUnpickler(file, **args).load()
        except names.UnknownNameError:
            raise
        except (pickle.UnpicklingError, EOFError, ValueError, LookupError, struct.error) as error:
            raise pickle.UnpicklingError(
                f"load: {name} is damaged, or holds what cannot be loaded here: {error}"
            ) from error

    def unpickle(file: IO[bytes], persistent_load: Any) -> Any:
        try:
            return (restricted if weights_only else full)(file, persistent_load)
        except OutsideError as outside:
            raise outside.error from None

    return unpickle


class OutsideError(Exception):
    """An error in placing a storage, which is not the file's fault."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def place(restore: Any, memory: UntypedStorage, location: str) -> UntypedStorage:
    """The storage where ``map_location`` wants it."""
    try:
        return restore(memory, location)  # type: ignore[no-any-return]
    except Exception as error:
        raise OutsideError(error) from error


def text(value: Any) -> str:
    """A string in a pickle, which ``encoding="bytes"`` leaves as bytes."""
    return value.decode("ascii") if isinstance(value, bytes) else str(value)


def element_type(kind: Any) -> dtype | None:
    """The dtype of a storage class; None for plain bytes."""
    if kind is UntypedStorage:
        return None
    found = getattr(kind, "_as", None)
    if not isinstance(found, dtype):
        raise ValueError(f"{kind!r} is not a storage class")
    return found


def as_typed(memory: UntypedStorage, d: dtype | None) -> Any:
    return memory if d is None else TypedStorage(wrap_storage=memory, dtype=d)


class Storages:
    """The storages in an archive, each made once: tensors that shared memory share it again."""

    def __init__(self, archive: Reader, restore: Any, *, mapped: bool) -> None:
        self.archive, self.restore, self.made = archive, restore, {}  # type: ignore[var-annotated]
        self.map: Any = None
        if mapped:
            private = options.mmap_flags == MAP_PRIVATE
            access = mapping.ACCESS_COPY if private else mapping.ACCESS_WRITE
            self.map = mapping.mmap(archive.file.fileno(), 0, access=access)
            if not private:
                archive.forget_checksums(self.map)
        order = assumed_byteorder()
        if "byteorder" in archive:
            order = archive.read("byteorder").decode("ascii", "replace").strip()
        self.swapped = order != sys.byteorder

    def persistent_load(self, key: Any) -> Any:
        """The storage that a key in the pickle stands for."""
        if not isinstance(key, tuple) or len(key) != 5 or text(key[0]) != "storage":
            raise pickle.UnpicklingError(f"load: {self.archive.name}: unknown kind of key {key!r}")
        _, kind, record, location, count = key
        d = element_type(kind)
        record = text(record)
        if record not in self.made:
            size = count * (d.itemsize if d else 1)
            memory = self._read(f"data/{record}", size, d)
            self.made[record] = place(self.restore, memory, text(location))
        return as_typed(self.made[record], d)

    def read_rest(self) -> None:
        """Read, while the file is open, the storages that no tensor asked for."""
        for storage in self.made.values():
            if isinstance(storage, UntypedStorage):
                storage._read()

    def _read(self, record: str, size: int, d: dtype | None) -> UntypedStorage:
        archive = self.archive
        if not archive.size(record) == size:
            raise archive.damaged(
                f"the record {record!r} should have {size} bytes but has {archive.size(record)}"
            )
        if self.map is not None and size and archive.is_plain(record):
            start = archive.offset(record)
            if start % 16 == 0 and not self.swapped:
                array = np.frombuffer(self.map, np.uint8, size, start)
                return UntypedStorage._of(memory_owner(array))

        def fill(target: np.ndarray[Any, Any]) -> None:
            archive.read_into(record, target)
            if self.swapped and d is not None:
                swap_bytes(target, d)

        return UntypedStorage._later(size, fill)


def swap_bytes(target: np.ndarray[Any, Any], d: dtype) -> None:
    """Turn bytes written by a machine of the other byte order into this one's."""
    width = d.itemsize // (2 if d.is_complex else 1)
    if width > 1:
        target.view(f"u{width}").byteswap(inplace=True)
