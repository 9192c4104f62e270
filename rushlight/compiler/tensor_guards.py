"""Guards of tensors: what is known of them apart from their elements. See guards.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.code import Code
from rushlight.compiler.held import (
    Words,
)
from rushlight.compiler.layout import slots
from rushlight.core.device_array import DeviceArray
from rushlight.core.tensor import Tensor


class Flags:
    """Whether tensors from outside require gradients, as ``before`` says by identity or now."""

    def __init__(self, tensors: list[Tensor], before: dict[int, bool]) -> None:
        self.tensors = tensors
        self.values = [before.get(id(t), t._wants_grad) for t in tensors]

    def holds(self) -> bool:
        """Whether they still do."""
        return [t._wants_grad for t in self.tensors] == self.values

    def words(self) -> Words | None:
        """Each tensor holds True or False."""
        at = slots().get("_wants_grad")
        if at is None:
            return None
        return Words([(id(t) + at, id(t._wants_grad)) for t in self.tensors])

    def changed(self) -> str:
        """What was set."""
        return "a tensor's requires_grad"


class Shared:
    """That tensors, and the gradients of leaves, have one array, which is one input."""

    def __init__(self, tensors: list[Tensor], leaves: list[Tensor]) -> None:
        self.tensors, self.leaves = tensors, leaves

    def holders(self) -> list[Any]:
        """The tensors, and the gradients that there are now."""
        return [*self.tensors, *[leaf._grad for leaf in self.leaves]]

    def holds(self) -> bool:
        """Whether it is still one."""
        first, *others = [None if t is None else t._array for t in self.holders()]
        return first is not None and all([a is first for a in others])

    def words(self) -> Words | None:
        """Each tensor holds its array, and each leaf its gradient."""
        at, holders = slots(), self.holders()
        if not at or not self.holds():
            return None
        found = Words([(id(leaf) + at["_grad"], id(leaf._grad)) for leaf in self.leaves], holders)
        found.take(Words([(id(t) + at["_array"], id(t._array)) for t in holders]))
        found.kept += [t._array for t in holders]
        return found

    def changed(self) -> str:
        """What became several."""
        return "memory that tensors or gradients shared"


def kind(x: Any) -> tuple[Any, ...]:
    """An array's shape and dtype, and where its elements lie; other layouts have guards."""
    if x.__class__ is DeviceArray:
        return x.shape, x.dtype, x.strides, x.driver
    return x.shape, x.dtype, x.strides if x.__class__ is np.ndarray else ()


class Tags:
    """What users put on tensors, where the function may ask for it by name."""

    def __init__(self, tensors: list[Tensor], code: Code) -> None:
        self.tensors, self.code = tensors, code
        self.values = self.read()

    def read(self) -> list[Any]:
        """What is there now."""
        return [self.code.tags(t) if t.__dict__ else () for t in self.tensors]

    def holds(self) -> bool:
        """Whether it is as it was."""
        return self.read() == self.values

    def words(self) -> None:
        """There are none."""

    def changed(self) -> str:
        """What was put there, or taken away."""
        return "an attribute of a tensor"


class Kinds:
    """Shapes, dtypes and the like of tensors whose elements the function does not read."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self.tensors = tensors
        self.values = self.read()

    def read(self) -> list[Any]:
        """What they are now."""
        return [(*kind(t._array), t._wants_grad) for t in self.tensors]

    def holds(self) -> bool:
        """Whether they still are."""
        return self.read() == self.values

    def words(self) -> Words | None:
        """Each tensor holds its array, and True or False."""
        at = slots()
        if not at:
            return None
        found = Words(kept=[t._array for t in self.tensors])
        for t in self.tensors:
            for name in ("_array", "_wants_grad"):
                found.append((id(t) + at[name], id(getattr(t, name))))
        return found

    def changed(self) -> str:
        """What is another."""
        return "a tensor's shape, dtype, order or requires_grad"
