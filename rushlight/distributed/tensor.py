"""Tensors in parts on several devices: names for programs that mention them."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.errors import NotSupportedError

__all__ = ["DTensor", "Partial", "Placement", "Replicate", "Shard", "distribute_tensor"]


class DTensor(Tensor):
    """A name for ``isinstance``, which is never true: making one raises."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotSupportedError(
            "distributed.tensor.DTensor: rushlight trains in one process (is_available() is False)."
        )


class Placement:
    """How a tensor lies on several devices: a description."""


class Replicate(Placement):
    """The whole tensor on each device."""


class Shard(Placement):
    """A part along ``dim`` on each device."""

    def __init__(self, dim: int) -> None:
        self.dim = dim


class Partial(Placement):
    """Terms on each device that are still to be reduced."""

    def __init__(self, reduce_op: str = "sum") -> None:
        self.reduce_op = reduce_op


def distribute_tensor(tensor: Tensor, *args: Any, **kwargs: Any) -> DTensor:
    """Raises: there is one process."""
    return DTensor(tensor)
