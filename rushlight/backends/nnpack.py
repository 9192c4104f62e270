"""NNPACK is not used: its switch is kept, without effect."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

_enabled = True


def is_available() -> bool:
    """Always False."""
    return False


def set_flags(_enabled: bool) -> tuple[bool]:
    """Set the switch; returns what it was."""
    before = (globals()["_enabled"],)
    globals()["_enabled"] = _enabled
    return before


@contextlib.contextmanager
def flags(enabled: bool = False) -> Iterator[None]:
    """Context in which the switch has another value."""
    before = set_flags(enabled)
    try:
        yield
    finally:
        set_flags(before[0])
