"""Ranges and marks for NVIDIA's profilers: there is no GPU, so all raise, as in PyTorch's build for
CPUs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

__all__ = ["range_push", "range_pop", "range_start", "range_end", "mark", "range"]


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise RuntimeError(
        "NVTX functions not installed: there is no GPU. profiler.record_function names a range "
        "that torch.profiler shows."
    )


range_push = range_pop = range_start = range_end = mark = _refuse


@contextmanager
def range(msg: str, *args: Any, **kwargs: Any) -> Iterator[None]:
    """A block that is a range. RuntimeError without a GPU."""
    range_push(msg.format(*args, **kwargs))
    yield
