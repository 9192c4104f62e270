"""Intel GPUs: there are none, and programs that ask go on with the CPU."""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """Always False."""
    return False


def device_count() -> int:
    """Always 0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing to seed."""


def manual_seed_all(seed: int) -> None:
    """Nothing to seed."""


def empty_cache() -> None:
    """There is no cache."""


def is_bf16_supported(*args: Any, **kwargs: Any) -> bool:
    """Always False."""
    return False
