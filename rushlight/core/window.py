"""Where elements lie, without the elements: what arrays that NumPy cannot read have in common.

A window has a shape, a dtype and strides. Views of it are found by looking at memory of NumPy's
that lies as it does and that nobody touches, which the operating system therefore never hands out.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NoReturn

import numpy as np

from rushlight.core.sparse import Foreign

# what NumPy is told from 2.1 on: copying memory that nobody reads takes long
NEVER_COPY: Any = {} if np.lib.NumpyVersion(np.__version__) < "2.1.0" else {"copy": False}


class Flags:
    """The part of NumPy's ``flags`` that can be told; who asks for more is about to use memory."""

    def __init__(self, c_contiguous: bool, f_contiguous: bool, operand: Any) -> None:
        self.c_contiguous, self.f_contiguous, self.operand = c_contiguous, f_contiguous, operand

    def __getattr__(self, name: str) -> NoReturn:
        raise self.operand("memory")


class Window(Foreign):
    """An array that NumPy cannot read; strides are in bytes, those of rows in order by default."""

    base: Any = None  # whose memory it shares

    def __init__(self, shape: Any, dtype: Any, strides: Any = None) -> None:
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.strides: tuple[int, ...] = (
            packed_strides(self.shape, self.dtype.itemsize) if strides is None else strides
        )

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def extent(self) -> int:
        """Bytes from the first element to the end of the last."""
        steps = [(n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)]
        return self.itemsize + sum(steps) if self.size else 0

    @functools.cached_property
    def flags(self) -> Flags:
        backwards = packed_strides(self.shape[::-1], self.itemsize)[::-1]
        rows = self.lies_as(packed_strides(self.shape, self.itemsize))
        return Flags(rows, self.lies_as(backwards), self.operand)

    def lies_as(self, strides: tuple[int, ...]) -> bool:
        """Whether the strides of dims that have more than one element are these."""
        pairs = zip(self.shape, self.strides, strides, strict=True)
        return not self.size or all([n == 1 or a == b for n, a, b in pairs])

    def __len__(self) -> int:
        return self.shape[0]

    # Views, as of NumPy's arrays

    def stand_in(self) -> np.ndarray[Any, Any]:
        """Memory that lies as this array does, never to be read or written."""
        owner = np.empty(self.extent, np.uint8)
        return np.ndarray(self.shape, self.dtype, owner, 0, self.strides)

    def seen(self, view: np.ndarray[Any, Any], stand_in: np.ndarray[Any, Any]) -> Any:
        """What a view of ``stand_in()`` is of this array."""
        raise NotImplementedError

    def copied(self, view: np.ndarray[Any, Any]) -> Any:
        """What stands for a copy that NumPy would make: it has no base."""
        return Window(view.shape, view.dtype, view.strides)

    def reshape(self, *shape: Any) -> Any:
        """In another shape; ``copied`` where NumPy would copy."""
        sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        known = math.prod([n for n in sizes if n >= 0])
        sizes = tuple([self.size // max(known, 1) if n < 0 else n for n in sizes])
        if math.prod(sizes) != self.size:
            raise ValueError(f"cannot reshape {self.shape} into {sizes}")
        memory = self.stand_in()
        try:
            made = memory.reshape(sizes, **NEVER_COPY)
        except ValueError:
            return self.copied(np.empty(sizes, self.dtype))
        return self.seen(made, memory) if made.base is memory.base else self.copied(made)

    def swapaxes(self, a: int, b: int) -> Any:
        """With two dims exchanged."""
        memory = self.stand_in()
        return self.seen(memory.swapaxes(a, b), memory)

    def transpose(self, *order: Any) -> Any:
        """With dims in another order."""
        memory = self.stand_in()
        return self.seen(memory.transpose(*order), memory)

    def __getitem__(self, index: Any) -> Any:
        """The part at a basic index, which has an Ellipsis."""
        memory = self.stand_in()
        return self.seen(memory[index], memory)


def packed_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Strides in bytes of rows in order."""
    strides, step = [], itemsize
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))
