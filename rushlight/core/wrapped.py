"""Wrapped arrays: what wrapper tensors have in the place of an array.

Note [Wrapper tensors]
``Tensor._make_wrapper_subclass`` makes a tensor that has a shape and a dtype; its elements are the
business of its class, which keeps them mostly in other tensors, as attributes. Its array answers
every question for elements with WrappedOperand, as sparse arrays do (see Note [Sparse operands]),
and that leads to ``ops.dispatched``: it calls the class's ``__torch_dispatch__``, and records the
op around that call. Array and tensor share the attributes: whoever has the array (a saved value, a
gradient) can make the tensor again.
"""

from __future__ import annotations

from typing import Any

from rushlight.core.sparse import SparseOperand, _refusing, rules
from rushlight.core.tensor import Tensor, instance
from rushlight.core.window import Window


class WrappedOperand(SparseOperand):
    """A wrapper tensor was used where elements are needed."""

    def __str__(self) -> str:
        return (
            f"wrapper tensors have no {self.args[0]}: their elements are the business of their "
            "class. Convert the tensors that it wraps."
        )


class WrappedArray(Window):
    """The shape, dtype and strides of a wrapper tensor, its class and its attributes."""

    operand = WrappedOperand

    def __init__(self, kind: type, shape: Any, dtype: Any, strides: Any = None) -> None:
        super().__init__(shape, dtype, strides)
        self.kind = kind
        self.attributes: dict[str, Any] = {}

    def item(self) -> Any:
        """The only element, a number, as the class says."""
        return rules.ask("_local_scalar_dense", Tensor.item, wrapper(self))  # type: ignore[attr-defined]

    reshape = swapaxes = transpose = stand_in = __getitem__ = _refusing("memory")


def is_wrapper(t: Any) -> bool:
    """Whether t is a wrapper tensor, or a plain one on its array."""
    return isinstance(t, Tensor) and t._array.__class__ is WrappedArray


def wrapper(array: WrappedArray) -> Tensor:
    """A tensor of the class and with the attributes of the one that the array was made for, without
    history.
    """
    t: Tensor = instance(array.kind, array)
    t.__dict__ = array.attributes
    return t


def as_wrapper(t: Tensor) -> Tensor:
    """A plain tensor, turned into one of its array's class."""
    if t._array.__class__ is WrappedArray:
        t.__class__ = t._array.kind
        t.__dict__ = t._array.attributes
    return t
