"""What a file would ask for, without loading it."""

from __future__ import annotations

import io
import pickletools
from typing import Any

from rushlight.serialization.loading import opened, read_archive
from rushlight.serialization.restricted import allowed
from rushlight.serialization.safe import is_refused


def globals_in(data: bytes) -> list[tuple[str, str]]:
    """The (module, name) pairs that a pickle would import. Runs nothing."""
    found: list[tuple[str, str]] = []
    texts: list[str] = []
    memo: dict[int, str] = {}
    for code, arg, _ in pickletools.genops(io.BytesIO(data)):
        if code.name == "GLOBAL":
            module, _, name = str(arg).partition(" ")
            found.append((module, name))
        elif code.name == "STACK_GLOBAL":
            found.append((texts[-2], texts[-1]))
        elif code.name == "MEMOIZE":
            memo[len(memo)] = texts[-1] if texts else ""
        elif code.name in ("BINGET", "LONG_BINGET"):
            texts.append(memo.get(arg, ""))
        elif isinstance(arg, str):
            texts.append(arg)
    return list(dict.fromkeys(found))


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """Full names in a file that ``load(f, weights_only=True)`` would refuse. Runs nothing.

    Args:
        f: a path, or a file open for reading bytes.
    """
    with opened(f) as (file, name):
        data = read_archive(file, name).read("data.pkl")
    known = allowed()
    pairs = [("builtins" if m == "__builtin__" else m, n) for m, n in globals_in(data)]
    return [f"{m}.{n}" for m, n in pairs if f"{m}.{n}" not in known or is_refused(m, n)]
