"""Meta arrays: what a tensor on the device ``meta`` has in the place of an array.

Note [Meta tensors]
A meta array has a shape, a dtype and strides, but no memory. As with sparse arrays (see Note
[Sparse operands]), dense code does not ask for it: what needs elements is answered with
MetaOperand, and that leads to ``rules``. They apply the op to arrays of the same shape, all of
whose elements are one in memory, and keep of the result what a meta tensor has. So a shape that an
op refuses is refused here too, in the same words.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.core.sparse import SparseOperand
from rushlight.core.window import Window


class MetaOperand(SparseOperand):
    """A meta array was used where elements are needed."""

    def __str__(self) -> str:
        return (
            f"meta tensors have no {self.args[0]}: they have a shape and a dtype, but no elements. "
            "Make the tensor on a real device, or give a module memory with to_empty(device='cpu')."
        )


class MetaArray(Window):
    """An array without memory."""

    operand = MetaOperand

    def seen(self, view: np.ndarray[Any, Any], stand_in: Any = None) -> MetaArray:
        made = without_memory(view)
        made.base = self if self.base is None else self.base
        return made

    def copied(self, view: np.ndarray[Any, Any]) -> MetaArray:
        return without_memory(view)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.stand_in()[index]  # an index that is not there

    def filled(self, value: int) -> np.ndarray[Any, Any]:
        """An array of this shape whose elements are all in one place."""
        return np.broadcast_to(np.full((), value, self.dtype), self.shape)


def without_memory(a: Any) -> MetaArray:
    """The meta array that has the shape, dtype and strides of an array."""
    return MetaArray(a.shape, a.dtype, a.strides)
