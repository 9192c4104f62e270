"""Apple GPUs: there are none, and programs that ask go on with the CPU."""

from __future__ import annotations


def is_available() -> bool:
    """Always False."""
    return False


def device_count() -> int:
    """Always 0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing to seed."""


def empty_cache() -> None:
    """There is no cache."""
