"""Launches of templates, kept on disk: convolutions take longer to write than to read."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rushlight.compiler.backends.llvm import jit
from rushlight.compiler.backends.llvm.launch import Launch


@functools.cache
def compiler() -> str:
    """What the compiler's source is, as a hash; empty where that is not at hand."""
    files = sorted(Path(__file__).parents[2].rglob("*.py"))
    sources = [path.read_bytes() for path in files]
    return hashlib.sha256(b"\0".join(sources)).hexdigest() if files else ""


def recalled(key: Any, write: Callable[[], list[Launch]]) -> list[Launch]:
    """What ``write`` returns, or returned to another process that had the same compiler. All that
    it depends on besides is in ``key``.
    """
    folder = jit.cache_folder()
    if folder is None or not compiler():
        return write()
    path = folder / jit.key_of(f"{compiler()} {key!r}")
    found = jit.load_file(path)
    if found is not None:
        return [launch(fields) for fields in json.loads(found)]
    launches = write()
    jit.save(path, json.dumps([asdict(x) for x in launches]).encode())
    return launches


def launch(fields: dict[str, Any]) -> Launch:
    """A launch that was read from disk."""
    operands = tuple([tuple(operand) for operand in fields.pop("operands")])
    return Launch(operands=operands, **fields)
