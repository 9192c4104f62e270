"""Memory exchanged under a tensor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes, formats
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor, bump
from rushlight.core.window import packed_strides
from rushlight.errors import DTypeError, GraphError
from rushlight.tensor_api._common import method, resize, shape_of
from rushlight.tensor_api.storage import tensor_on

__all__: list[str] = []


@method
def resize_(self: Tensor, *sizes: Any, size: Any = None, memory_format: Any = None) -> Tensor:
    """Another shape in the same memory, or in new memory where that is too small; new elements are
    uninitialised.

    Args:
        memory_format: how the elements then lie, in rows by default.
    """
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape = shape_of(sizes if size is None else (size,), "resize_")
    if shape and (min(shape) < 0 or math.prod(shape) * self._array.itemsize >= 2**63):
        raise RuntimeError(f"resize_: there is no tensor of shape {shape}.")
    if shape != self._array.shape:
        resize(self, shape)
        bump(self)
    if memory_format in formats.CHANNELS_LAST and not formats.is_in(self._array, memory_format):
        resize(self, tuple([shape[d] for d in (0, *range(2, len(shape)), 1)]))
        self._array = self._array.transpose((0, len(shape) - 1, *range(1, len(shape) - 1)))
    return self


@method
def resize_as_(input: Tensor, the_template: Tensor, memory_format: Any = None) -> Tensor:
    """``resize_`` to the shape of another tensor."""
    if memory_format is formats.preserve_format:
        memory_format = formats.suggested(the_template._array)
    return resize_(input, *the_template._array.shape, memory_format=memory_format)


@method
def set_(
    self: Tensor, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None
) -> Tensor:
    """Use the memory of ``source``: a tensor, or a storage. Offset, size and stride count elements;
    without a size, it is that of the source.
    """
    kind = self._array.dtype
    if source is None:
        array = np.empty(0, kind)
    else:
        if getattr(source, "dtype", dtypes.of[kind]) != dtypes.of[kind]:
            raise DTypeError(
                f"set_: the elements of a {source.dtype} tensor or storage cannot be those of a "
                f"{dtypes.of[kind]} tensor."
            )
        if isinstance(source, Tensor) and size is None:
            array = source._array
        else:
            memory = source.untyped_storage() if isinstance(source, Tensor) else source.untyped()
            shape = (memory.nbytes() // kind.itemsize,) if size is None else tuple(size)
            steps = [s // kind.itemsize for s in packed_strides(shape, kind.itemsize)]
            array = tensor_on(memory, kind, storage_offset, shape, stride or tuple(steps))._array
    if modes.grad and self._wants_grad:
        raise GraphError(
            "a leaf Variable that requires grad is being used in an in-place operation: set_ it "
            "within no_grad()."
        )
    self._array = array
    bump(self)
    return self
