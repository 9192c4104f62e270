"""Control of NVIDIA's profilers. RuntimeError without a GPU; ``torch.profiler`` needs none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rushlight import devices

__all__ = ["start", "stop", "profile"]


def start() -> None:
    """Let a profiler that waits for it begin."""
    devices.find_gpu(None).profile(True)


def stop() -> None:
    """Let a profiler stop."""
    devices.find_gpu(None).profile(False)


@contextmanager
def profile() -> Iterator[None]:
    """A block that is profiled. RuntimeError without a GPU."""
    start()
    try:
        yield
    finally:
        stop()
