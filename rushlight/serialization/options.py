"""Settings for saving and loading that hold for the whole program."""

from __future__ import annotations

import mmap
import sys
from enum import Enum
from typing import Any


class LoadEndianness(Enum):
    """Byte order to assume for files that do not record theirs."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


MAP_PRIVATE = getattr(mmap, "MAP_PRIVATE", 2)
MAP_SHARED = getattr(mmap, "MAP_SHARED", 1)


class _Options:
    crc32 = True
    endianness: LoadEndianness | None = None
    mmap_flags = MAP_PRIVATE


options = _Options()


def set_crc32_options(compute_crc32: bool) -> None:
    """Whether ``save`` writes checksums (True at first). Without them damage goes unnoticed."""
    options.crc32 = compute_crc32


def get_crc32_options() -> bool:
    """Whether ``save`` writes checksums."""
    return options.crc32


def set_default_load_endianness(endianness: LoadEndianness | None) -> None:
    """Set the byte order assumed for files that do not record theirs; None means this machine's."""
    if not isinstance(endianness, LoadEndianness) and endianness is not None:
        raise TypeError(
            f"set_default_load_endianness: expected a LoadEndianness, got {endianness!r}"
        )
    options.endianness = endianness


def get_default_load_endianness() -> LoadEndianness | None:
    """The byte order assumed for files that do not record theirs."""
    return options.endianness


def assumed_byteorder() -> str:
    """``"little"`` or ``"big"``, for a file that does not say."""
    chosen = options.endianness
    if chosen is None or chosen is LoadEndianness.NATIVE:
        return sys.byteorder
    return chosen.name.lower()


class set_default_mmap_options:
    """How ``load(mmap=True)`` maps files; also a context manager that restores the old setting.

    Args:
        flags: ``mmap.MAP_PRIVATE`` (at first): writes to a tensor stay in memory.
            ``mmap.MAP_SHARED``: they go to the file.
    """

    def __init__(self, flags: int) -> None:
        if flags not in (MAP_PRIVATE, MAP_SHARED):
            raise ValueError(
                f"set_default_mmap_options: flags is {flags!r}; use mmap.MAP_PRIVATE or MAP_SHARED"
            )
        self.previous, options.mmap_flags = options.mmap_flags, flags

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: Any) -> None:
        options.mmap_flags = self.previous


def get_default_mmap_options() -> int:
    """How ``load(mmap=True)`` maps files."""
    return options.mmap_flags
