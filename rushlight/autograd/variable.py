"""The old name of a tensor in the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user

__all__ = ["Variable"]


class _VariableMeta(type):
    def __instancecheck__(cls, other: object) -> bool:
        return isinstance(other, Tensor)


class Engine:
    """What runs backward passes, for programs that want to act at their end."""

    def queue_callback(self, callback: Callable[[], Any]) -> None:
        """Call ``callback()`` at the end of the backward pass that runs. RuntimeError outside."""
        if modes.walk is None:
            raise RuntimeError("Final callbacks can only be installed during backward pass.")
        modes.walk.callbacks.append(callback)


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

    _execution_engine = Engine()

    def __new__(
        cls, data: Tensor | None = None, requires_grad: bool = False, volatile: bool = False
    ) -> Any:
        """A tensor on the memory of ``data``; an empty one without."""
        if data is None:
            data = T.empty(0)
        if not isinstance(data, Tensor):
            raise TypeError(
                f"Variable data has to be a tensor, but got {type(data).__name__}: make one with "
                "torch.tensor."
            )
        if volatile:
            warn_user("volatile has no effect any more: compute under torch.no_grad().")
        return data.detach().requires_grad_(requires_grad)
