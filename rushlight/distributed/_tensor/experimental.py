"""Tensors that are the same on all devices without saying so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def implicit_replication() -> Iterator[None]:
    """Context without effect: there is one process."""
    yield
