"""Control of NVIDIA's profilers. RuntimeError without a GPU; ``torch.profiler`` needs none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rushlight.cuda import needs_gpu

__all__ = ["start", "stop", "profile"]

start, stop = needs_gpu("start"), needs_gpu("stop")


@contextmanager
def profile() -> Iterator[None]:
    """A block that is profiled. RuntimeError without a GPU."""
    start()
    yield
