"""Optimizers whose state lies in parts in several processes: names for ``isinstance``."""

from __future__ import annotations

from typing import Any

from rushlight.errors import NotSupportedError
from rushlight.optim import Optimizer

__all__ = ["DistributedOptimizer", "PostLocalSGDOptimizer", "ZeroRedundancyOptimizer"]


class _Absent(Optimizer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotSupportedError(
            f"distributed.optim.{type(self).__name__}: rushlight trains in one process "
            "(is_available() is False); use the optimizer that it would hold."
        )


class ZeroRedundancyOptimizer(_Absent):
    """Making one raises."""


class DistributedOptimizer(_Absent):
    """Making one raises."""


class PostLocalSGDOptimizer(_Absent):
    """Making one raises."""
