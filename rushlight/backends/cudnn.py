"""cuDNN's settings: kept, without effect."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

enabled: bool = True
benchmark: bool = False
benchmark_limit: int | None = None
deterministic: bool = False
allow_tf32: bool = True


def is_available() -> bool:
    """Always False."""
    return False


def version() -> None:
    """None: there is no cuDNN."""
    return None


def is_acceptable(tensor: Any) -> bool:
    """Always False."""
    return False


@contextlib.contextmanager
def flags(**settings: Any) -> Iterator[None]:
    """Context in which the named settings have other values."""
    before = {name: globals()[name] for name in settings}
    globals().update(settings)
    try:
        yield
    finally:
        globals().update(before)
