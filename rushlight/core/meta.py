"""Meta arrays: what a tensor on the device ``meta`` has in the place of an array.

Note [Meta tensors]
A meta array has a shape, a dtype and strides, but no memory. As with sparse arrays (see Note
[Sparse operands]), dense code does not ask for it: what needs elements is answered with
MetaOperand, and that leads to ``rules``. They apply the op to arrays of the same shape, all of
whose elements are one in memory, and keep of the result what a meta tensor has. So a shape that an
op refuses is refused here too, in the same words. Views are taken of memory that nobody touches,
which the operating system therefore never hands out.
"""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np

from rushlight.core.sparse import Foreign, SparseOperand


class MetaOperand(SparseOperand):
    """A meta array was used where elements are needed."""

    def __str__(self) -> str:
        return (
            f"meta tensors have no {self.args[0]}: they have a shape and a dtype, but no elements. "
            "Make the tensor on a real device, or give a module memory with to_empty(device='cpu')."
        )


class Flags:
    """The part of NumPy's ``flags`` that can be told; who asks for more is about to use memory."""

    def __init__(self, c_contiguous: bool, f_contiguous: bool) -> None:
        self.c_contiguous, self.f_contiguous = c_contiguous, f_contiguous

    def __getattr__(self, name: str) -> NoReturn:
        raise MetaOperand("memory")


class MetaArray(Foreign):
    """An array without memory; strides are in bytes, those of rows in order by default."""

    operand = MetaOperand
    base: Any = None  # whose memory it would share

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

    @property
    def flags(self) -> Flags:
        backwards = packed_strides(self.shape[::-1], self.itemsize)[::-1]
        return Flags(
            self.lies_as(packed_strides(self.shape, self.itemsize)), self.lies_as(backwards)
        )

    def lies_as(self, strides: tuple[int, ...]) -> bool:
        """Whether the strides of dims that have more than one element are these."""
        pairs = zip(self.shape, self.strides, strides, strict=True)
        return not self.size or all([n == 1 or a == b for n, a, b in pairs])

    def __len__(self) -> int:
        return self.shape[0]

    # Views, as of NumPy's arrays

    def seen(self, view: np.ndarray[Any, Any]) -> MetaArray:
        """What a view of ``memory()`` is of this array."""
        made = without_memory(view)
        made.base = self if self.base is None else self.base
        return made

    def reshape(self, *shape: Any) -> MetaArray:
        """In another shape; without base where NumPy would copy."""
        sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        known = math.prod([n for n in sizes if n >= 0])
        sizes = tuple([self.size // max(known, 1) if n < 0 else n for n in sizes])
        if math.prod(sizes) != self.size:
            raise ValueError(f"cannot reshape {self.shape} into {sizes}")
        memory = self.memory()
        made = memory.reshape(sizes)
        return self.seen(made) if made.base is memory.base else without_memory(made)

    def swapaxes(self, a: int, b: int) -> MetaArray:
        """With two dims exchanged."""
        return self.seen(self.memory().swapaxes(a, b))

    def transpose(self, *order: Any) -> MetaArray:
        """With dims in another order."""
        return self.seen(self.memory().transpose(*order))

    def __getitem__(self, index: Any) -> MetaArray:
        """The part at a basic index, which has an Ellipsis."""
        return self.seen(self.memory()[index])

    def __setitem__(self, index: Any, value: Any) -> None:
        self.memory()[index]  # an index that is not there

    def filled(self, value: int) -> np.ndarray[Any, Any]:
        """An array of this shape whose elements are all in one place."""
        return np.broadcast_to(np.full((), value, self.dtype), self.shape)

    def memory(self) -> np.ndarray[Any, Any]:
        """Memory that lies as this array does, never to be read or written."""
        owner = np.empty(self.extent, np.uint8)
        return np.ndarray(self.shape, self.dtype, owner, 0, self.strides)


def packed_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Strides in bytes of rows in order."""
    strides, step = [], itemsize
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def without_memory(a: Any) -> MetaArray:
    """The meta array that has the shape, dtype and strides of an array."""
    return MetaArray(a.shape, a.dtype, a.strides)
