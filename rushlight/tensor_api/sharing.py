"""Tensors whose memory several processes share.

The memory is an anonymous file (memfd, Linux), mapped: children that are forked have it, and those
that are spawned, or get the tensor through a queue, are sent its descriptor. Nothing has a name
that a crash could leave behind.
"""

from __future__ import annotations

import mmap
import os
from typing import Any

import numpy as np

from rushlight.core.tensor import Tensor, instance
from rushlight.errors import NotSupportedError
from rushlight.tensor_api._common import method
from rushlight.tensor_api.storage import memory_owner

__all__: list[str] = []


class Shared(mmap.mmap):
    """Memory of an anonymous file, which stays open as long as the memory is used."""

    file: int

    def __new__(cls, file: int, size: int) -> Shared:
        self = super().__new__(cls, file, size)
        self.file = file
        return self

    def __del__(self) -> None:
        os.close(self.file)


def shared_memory(array: Any) -> Shared | None:
    """The shared memory that an array is in."""
    base = memory_owner(array).base
    return base if isinstance(base, Shared) else None


@method
def is_shared(self: Tensor) -> bool:
    """Whether the memory is shared between processes."""
    return self.is_cuda or (not self.is_meta and shared_memory(self._array) is not None)


@method
def share_memory_(self: Tensor) -> Tensor:
    """Move the elements to memory that processes share: what one writes, all see.

    Tensors that shared memory with this one before stay where they are.

    Example:
        >>> import rushlight as torch
        >>> torch.ones(2).share_memory_().is_shared()
        True
    """
    x = self._array
    if is_shared(self) or not x.size:
        return self
    if not hasattr(os, "memfd_create"):
        raise NotSupportedError("share_memory_: this operating system has no anonymous files.")
    file = os.memfd_create("rushlight")
    os.ftruncate(file, x.nbytes)
    moved: Any = np.ndarray(x.shape, x.dtype, Shared(file, x.nbytes), 0)
    moved[...] = x
    self._array = moved
    _let_processes_pickle()
    return self


def _let_processes_pickle() -> None:
    """Between processes, descriptors of shared memory travel; other tensors are copied."""
    from multiprocessing.reduction import ForkingPickler

    for kind in (Tensor, *Tensor.__subclasses__()):
        if kind.__reduce_ex__ is Tensor.__reduce_ex__ or kind.__name__ == "Parameter":
            ForkingPickler.register(kind, _reduced)


def _reduced(t: Tensor) -> Any:
    memory = None if t.is_meta or t.is_cuda else shared_memory(t._array)
    if memory is None:
        return t.__reduce_ex__(4)
    from multiprocessing.reduction import DupFd

    x = t._array
    offset = x.__array_interface__["data"][0] - np.frombuffer(memory, np.uint8).ctypes.data
    place = (DupFd(memory.file), len(memory), x.shape, x.dtype, offset, x.strides)
    return _rebuilt, (type(t), t.requires_grad, *place)


def _rebuilt(
    cls: Any, requires_grad: bool, sent: Any, size: int, shape: Any, d: Any, offset: int,
    strides: Any,
) -> Tensor:  # fmt: skip
    memory = Shared(sent.detach(), size)
    t: Tensor = instance(cls, np.ndarray(shape, d, memory, offset, strides))
    _let_processes_pickle()
    return t.requires_grad_(requires_grad)
