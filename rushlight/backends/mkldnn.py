"""oneDNN is not used: its settings are kept, without effect."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

enabled: bool = True
deterministic: bool = False


def is_available() -> bool:
    """Always False."""
    return False


@contextlib.contextmanager
def flags(enabled: bool = False, deterministic: bool = False) -> Iterator[None]:
    """Context in which the settings have other values."""
    names = globals()
    before = names["enabled"], names["deterministic"]
    names.update(enabled=enabled, deterministic=deterministic)
    try:
        yield
    finally:
        names.update(enabled=before[0], deterministic=before[1])
