"""Memory that a program's results and gradients are written to, call after call.

Note [Free buffers]
A call's results and gradients are new tensors. If, at the next call, nobody but this variant (and
the leaf whose gradient it is) refers to one, its memory is free to be written again. NumPy views
and other Tensors on the memory count too, as both keep the array alive. Results have two sets of
buffers, because a loop that binds a result to a name holds one while it asks for the next.
Variants of one function for the same leaves have gradients in common: else each would find those of
another, as nobody's to write to, whenever they take turns. So no variant that reads gradients keeps
a reference to one between calls.
"""

from __future__ import annotations

from operator import is_
from sys import getrefcount
from typing import Any

from rushlight.compiler.graph import Value
from rushlight.compiler.parts import same_strides
from rushlight.compiler.program import empty
from rushlight.core.device_array import DeviceArray, driver_of
from rushlight.core.tensor import Tensor

HELD = 2  # references to what only one place and getrefcount's argument refer to


class Buffers:
    """Memory of the gradients of some leaves, with strides. ``renewed`` counts how often one got
    other memory, which entries have to know.
    """

    def __init__(self, leaves: list[Any], values: list[Value], strides: list[Any]) -> None:
        self.leaves, self.values, self.strides = leaves, values, strides
        self.specs = [(v.shape, v.dtype, v.driver, s) for v, s in zip(values, strides, strict=True)]
        self.arrays: list[Any] = [None] * len(leaves)
        self.renewed = 0

    def serve(self, other: Buffers) -> bool:
        """Whether they can be the other's: of the same leaves, one at least, none an argument."""
        same = self.specs == other.specs and all(map(is_, self.leaves, other.leaves))
        return same and bool(self.leaves) and int not in map(type, self.leaves)

    def free(self, leaves: list[Tensor]) -> None:
        """Make sure that no array is anybody else's, but its leaf's."""
        arrays = self.arrays
        for i, (leaf, value) in enumerate(zip(leaves, self.values, strict=True)):
            if arrays[i] is None and may_adopt(leaf, value, self.strides[i]):
                arrays[i] = leaf._grad._array  # type: ignore[union-attr]
                self.renewed += 1
            if leaf._grad is not None and leaf._grad._array is arrays[i]:
                free = getrefcount(leaf._grad) == HELD and getrefcount(arrays[i]) == HELD + 1
            else:
                free = arrays[i] is not None and getrefcount(arrays[i]) == HELD
            if not free:
                arrays[i] = empty(value, self.strides[i])
                self.renewed += 1


def may_adopt(leaf: Tensor, value: Value, strides: Any) -> bool:
    """Whether a program can write over the gradient that eager code left, as nobody has it but its
    leaf.
    """
    if type(leaf._grad) is not Tensor or getrefcount(leaf._grad) != HELD:
        return False  # counted before there is a variable, which newer Pythons do not count
    g = leaf._grad
    if getrefcount(g._array) != HELD:
        return False
    a, plain = g._array, not g._wants_grad and g._node is None and g._link is None
    fits = (a.shape, a.dtype, driver_of(g)) == (value.shape, value.dtype, value.driver)
    if type(a) is DeviceArray:
        return bool(plain and fits and a.base is None and a.flags.c_contiguous)
    lies = same_strides(a, strides) and a.flags.writeable
    return bool(plain and fits and a.base is None and lies)
