"""Replacing a file so that at every moment either the old or the new one is there, whole."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO

from rushlight.errors import warn_user

try:
    import fcntl
except ImportError:  # Windows, where open files cannot be deleted, needs no locks
    fcntl = None  # type: ignore[assignment]

_SUFFIX = ".saving"


# Note [Replacing files]
# The content goes to a new file in the same folder, is forced to disk, and then takes the old
# file's name in one step. A process that is killed leaves its new file behind under a name ending
# in ".saving"; the next save to the same target removes it. Whoever writes such a file holds a
# lock on it, so nothing that is still being written is removed.
@contextlib.contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """A file to write; when the block ends without an exception it replaces ``path``.

    A link is followed, so that it still points to the file. Mode and owner stay as they were. What
    is not a regular file (a pipe, a device) is written to directly.
    """
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    old = _status(target)
    if old is None and not os.path.isdir(folder):
        raise RuntimeError(f"save: the folder {folder} does not exist; make it first")
    if old is not None and stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(f"save: {path} is a folder; give the name of a file")
    if old is not None and not stat.S_ISREG(old.st_mode):
        with open(target, "wb") as file:
            yield file
        return
    if old is not None and not os.access(target, os.W_OK):
        raise PermissionError(f"save: {path} is read-only")
    _sweep(folder, name)
    try:
        temporary, descriptor = _create(folder, name)
    except PermissionError:
        if old is None:
            raise
        warn_user(
            f"save: no file can be made in {folder}, so {path} is overwritten in place; "
            "if the program is interrupted now, the old content is lost"
        )
        with open(target, "wb") as file:
            yield file
            _to_disk(file)
        return
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            _to_disk(file)
            if old is not None:
                _imitate(file, temporary, old)
            if os.name != "nt":  # still open, and so still locked
                os.replace(temporary, target)
        if os.name == "nt":
            os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _folder_to_disk(folder)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _prefix(name: str) -> str:
    return f".{name[:60]}."


def _create(folder: str, name: str) -> tuple[str, int]:
    """A new, locked file in ``folder``: its path and descriptor."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    while True:
        path = os.path.join(folder, f"{_prefix(name)}{secrets.token_hex(6)}{_SUFFIX}")
        descriptor = os.open(path, flags, 0o666)
        if _lock(descriptor) and _is_at(descriptor, path):
            return path, descriptor
        os.close(descriptor)  # another save swept it away before it was locked


def _is_at(descriptor: int, path: str) -> bool:
    if fcntl is None:
        return True
    found = _status(path)
    return found is not None and os.path.samestat(found, os.fstat(descriptor))


def _lock(descriptor: int) -> bool:
    """Lock the file; False when someone else has. File systems without locks count as locked."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
    return True


def _sweep(folder: str, name: str) -> None:
    """Remove what killed saves to the same target left."""
    with contextlib.suppress(OSError):
        for entry in os.listdir(folder):
            if entry.startswith(_prefix(name)) and entry.endswith(_SUFFIX):
                with contextlib.suppress(OSError):
                    _remove_unlocked(os.path.join(folder, entry))


def _remove_unlocked(path: str) -> None:
    if fcntl is None:
        os.unlink(path)  # refused while it is open
        return
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    finally:
        os.close(descriptor)


def _imitate(file: BinaryIO, path: str, old: os.stat_result) -> None:
    """Give the new file the old one's owner, where allowed, and mode."""
    if hasattr(os, "fchown"):
        with contextlib.suppress(OSError):
            os.fchown(file.fileno(), old.st_uid, old.st_gid)
    os.chmod(path, stat.S_IMODE(old.st_mode))


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    full_sync: Any = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync leaves data in the drive
    if full_sync is not None:
        with contextlib.suppress(OSError):
            fcntl.fcntl(file.fileno(), full_sync)
            return
    os.fsync(file.fileno())


def _folder_to_disk(folder: str) -> None:
    """Make the renaming itself durable. Windows has no such call, some file systems refuse it."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
