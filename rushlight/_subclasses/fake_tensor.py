"""Tensors that have a shape and no data: not available."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.errors import NotSupportedError

__all__ = ["FakeTensor", "FakeTensorMode", "is_fake"]


class FakeTensor(Tensor):
    """A name for ``isinstance``, which is never true."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotSupportedError("FakeTensor: every tensor has data here; make one with empty().")


class FakeTensorMode:
    """A name: entering it raises."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __enter__(self) -> Any:
        raise NotSupportedError(
            "FakeTensorMode: every tensor has data here. To learn shapes, call with small ones."
        )

    def __exit__(self, *exception: Any) -> None:
        pass


def is_fake(x: Any) -> bool:
    """Whether x is a tensor without data: never."""
    return False
