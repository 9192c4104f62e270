"""cuDNN's settings. ``enabled``: whether convolutions on a GPU go to cuDNN, where it is installed;
``allow_tf32``: whether it may round their float32 inputs to 10 bits. The others are kept, without
effect: the algorithms chosen are always deterministic.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from rushlight import gpu


class _Settings(ModuleType):
    """The module: its settings are those that kernels look at."""

    def __getattr__(self, name: str) -> Any:
        if hasattr(gpu.cudnn, name):
            return getattr(gpu.cudnn, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(gpu.cudnn, name):
            setattr(gpu.cudnn, name, value)
        else:
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Settings


def is_available() -> bool:
    """Whether there is a GPU; convolutions there go to cuDNN where that is installed."""
    return bool(gpu.drivers())


def version() -> None:
    """None: cuDNN is asked by its functions alone."""
    return None


def is_acceptable(tensor: Any) -> bool:
    """Whether the tensor is on a GPU, and of floats."""
    return bool(tensor.is_cuda and tensor.is_floating_point())


@contextlib.contextmanager
def flags(**settings: Any) -> Iterator[None]:
    """Context in which the named settings have other values."""
    before = {name: getattr(gpu.cudnn, name) for name in settings}
    vars(gpu.cudnn).update(settings)
    try:
        yield
    finally:
        vars(gpu.cudnn).update(before)
