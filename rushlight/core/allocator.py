"""The C library's memory: what it does with freed arrays.

By itself the GNU library gives the end of the heap back to the system as soon as a little of it is
free. A training step frees all that it made, and so the next one would get it page by page, each
filled with zeros, which was a fifth of the time of a small transformer's step.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from typing import Any

PAGE = mmap.PAGESIZE  # bytes
KEPT = 1 << 28  # bytes at the end of the heap that may stay free
LARGE = 1 << 25  # bytes: larger arrays still come and go by themselves; the library allows no more
DONT_NEED = 4  # the system's name for pages whose content may go
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # the library's names for these two


def keep_freed() -> None:
    """Let freed memory serve the next arrays, unless the environment has settings of its own."""
    given = " ".join([name for name in os.environ if name.startswith("MALLOC_")])
    if "THRESHOLD" in given or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    with contextlib.suppress(AttributeError, TypeError):  # only the GNU library has this
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(TRIM_THRESHOLD, KEPT)
        mallopt(MMAP_THRESHOLD, LARGE)


def release_pages(part: Any) -> None:
    """Give the pages that lie within a contiguous array back to the system; they read as zeros
    then. Where the system cannot, nothing happens.
    """
    start = -(-part.ctypes.data // PAGE) * PAGE
    length = (part.ctypes.data + part.nbytes - start) // PAGE * PAGE
    if length > 0:
        with contextlib.suppress(AttributeError, TypeError):
            ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), DONT_NEED)
