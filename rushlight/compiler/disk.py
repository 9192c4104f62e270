"""Machine code, of processors and GPUs, that is kept on disk: safe against processes that write at
the same time, and against files that were cut off.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import tempfile
from pathlib import Path

LARGEST = 256 << 20  # bytes of cached files
PRUNING = 64  # files written between two looks at the cache's size
_saves = itertools.count()


def cache_folder() -> Path | None:
    """Where object code is kept: RUSHLIGHT_CACHE_DIR (empty: nowhere), else the user's cache
    folder.
    """
    named = os.environ.get("RUSHLIGHT_CACHE_DIR")
    if named is not None:
        return Path(named) / "objects" if named else None
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "rushlight" / "objects"


def load_file(path: Path) -> bytes | None:
    """A cached object, or None where there is none that is whole. Files end with their content's
    hash.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return None
    body, seal = data[:-32], data[-32:]
    if hashlib.sha256(body).digest() != seal:
        return None
    with contextlib.suppress(OSError):  # the time of the last use, for `prune`
        os.utime(path)
    return body


def save(path: Path, body: bytes) -> None:
    """Write a cached object at once; failures do not matter."""
    if next(_saves) % PRUNING == 0:
        prune(path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(body + hashlib.sha256(body).digest())
        os.replace(name, path)
    except OSError:
        pass


def prune(folder: Path) -> None:
    """Keep the cache within LARGEST bytes: files that were not read for longest go first."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                about = entry.stat()
                found.append((about.st_mtime, about.st_size, entry.path))
        total = sum([size for _, size, _ in found])
        for _, size, name in sorted(found):
            if total <= LARGEST:
                return
            os.remove(name)
            total -= size
    except OSError:  # another process may be pruning too
        pass
