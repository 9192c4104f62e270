"""Sparse arrays: what a sparse tensor has in the place of an array.

Note [Sparse operands]
Dense code does not ask whether an operand is sparse. A sparse array has a shape and a dtype, and
whatever else NumPy or an op may ask of it, it answers with SparseOperand. Where ops are applied,
that exception leads to ``rules``, which know what the op means for sparse operands, or say that
it has no meaning. So dense operands pay nothing: a ``try`` that succeeds is free.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from rushlight.errors import NotSupportedError


class SparseOperand(NotSupportedError):
    """A sparse array was used where only a dense one will do: it lacks what its argument names."""

    __init__ = Exception.__init__  # it is raised and caught often

    def __str__(self) -> str:
        return (
            f"sparse tensors have no {self.args[0]}: the function has no version for their layout. "
            "Convert the tensor with .to_dense(), or compute with its .coalesce().values()."
        )


def _refusing(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise self.operand(name)

    return method


class Foreign:
    """What a tensor may have in the place of an array that NumPy can read."""

    operand: type[SparseOperand] = SparseOperand  # what it answers with

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__") and name != "__array_interface__":
            raise AttributeError(name)
        raise self.operand(name)

    __array__ = _refusing("dense memory")
    __array_ufunc__ = __array_function__ = _refusing("dense memory")
    __getitem__ = __setitem__ = __iter__ = __contains__ = _refusing("places to index")
    __bool__ = __int__ = __float__ = __complex__ = __index__ = _refusing("single value")
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refusing("dense memory")
    __truediv__ = __rtruediv__ = __pow__ = __rpow__ = __matmul__ = _refusing("dense memory")
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _refusing("dense memory")
    __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = _refusing("dense memory")
    __lt__ = __le__ = __gt__ = __ge__ = __and__ = __or__ = __xor__ = _refusing("dense memory")
    __eq__ = __ne__ = _refusing("dense memory")
    __hash__ = object.__hash__
    __neg__ = __abs__ = __invert__ = __rmatmul__ = _refusing("dense memory")


class SparseArray(Foreign):
    """The entries of an array that are not zero: ``values[k]`` lies where ``pattern`` says.

    The pattern is never changed; an in-place operation gives the array another one.
    """

    base = "others"  # who gave the values may own the memory
    held: Any = None  # the values as a tensor, where a trace needs the same one again
    made_of: Any = None  # the tensor of values that a trace saw it made of

    def __init__(self, pattern: Any, values: Any) -> None:
        if isinstance(values, Foreign) and not isinstance(values, SparseArray):
            raise NotSupportedError(
                "sparse tensors are on the CPU only: move the values there with .cpu(), or stay "
                "dense on this device."
            )
        self.pattern, self.values = pattern, values

    def become(self, other: SparseArray) -> None:
        """Take over another's entries: everyone who holds this array sees them."""
        self.pattern, self.values = other.pattern, other.values
        self.made_of = None
        if self.held is not None:
            self.held._array = other.values

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.pattern.shape, *self.values.shape[1:])

    @property
    def dtype(self) -> Any:
        return self.values.dtype

    @property
    def ndim(self) -> int:
        return len(self.pattern.shape) + self.values.ndim - 1

    @property
    def size(self) -> int:
        n = 1
        for s in self.shape:
            n *= s
        return n

    @property
    def itemsize(self) -> int:
        return int(self.values.itemsize)

    def __len__(self) -> int:
        return self.shape[0]


class Rules:
    """What ops do with sparse operands; ``ops`` provides it."""

    # (name, function, tensor, options): what is no op, such as ``ones_like``, of a wrapper tensor
    ask: Callable[..., Any]

    apply: Callable[..., Any]  # (op, inputs, params): the result
    # (op, x, others, params): x, changed in place
    write: Callable[..., Any]
    # the same of the memory alone; False: `write` has to do it
    store: Callable[..., bool] = staticmethod(lambda op, x, others, params: False)


rules = Rules()
