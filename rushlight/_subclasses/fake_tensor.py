"""Tensors that have a shape and no data, by a mode: not available; ``device="meta"`` makes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.errors import NotSupportedError

__all__ = ["FakeTensor", "FakeTensorMode", "is_fake", "unset_fake_temporarily"]


class FakeTensor(Tensor):
    """A name for ``isinstance``, which is never true."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotSupportedError('FakeTensor: not made here; empty(..., device="meta") has no data.')


class FakeTensorMode:
    """A name: entering it raises."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __enter__(self) -> Any:
        raise NotSupportedError(
            "FakeTensorMode: not available. To learn shapes, use tensors of device 'meta'."
        )

    def __exit__(self, *exception: Any) -> None:
        pass


def is_fake(x: Any) -> bool:
    """Whether x is a FakeTensor: never."""
    return False


@contextmanager
def unset_fake_temporarily() -> Iterator[None]:
    """A block without the mode: as there is none, nothing changes."""
    yield
