"""The old name of a tensor in the graph."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor

__all__ = ["Variable"]


class _VariableMeta(type):
    def __instancecheck__(cls, other: object) -> bool:
        return isinstance(other, Tensor)


class Variable(metaclass=_VariableMeta):
    """The old name of a tensor in the graph: ``Variable(t, requires_grad=True)`` is a tensor on t's
    memory.

    Example:
        >>> import rushlight as torch
        >>> v = torch.autograd.Variable(torch.ones(2), requires_grad=True)
        >>> v.sum().backward()
        >>> v.grad
        tensor([1., 1.])
    """

    def __new__(cls, data: Tensor, requires_grad: bool = False, volatile: bool = False) -> Any:
        """A tensor on the memory of ``data``."""
        return data.detach().requires_grad_(requires_grad)
