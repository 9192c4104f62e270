"""Gradients through calls into other processes: not available, as `is_available` says."""

from __future__ import annotations

from typing import Any, NoReturn

from rushlight.errors import NotSupportedError

__all__ = ["DistAutogradContext", "backward", "context", "get_gradients", "is_available"]


def is_available() -> bool:
    """Always False.

    Example:
        >>> import rushlight.distributed.autograd
        >>> rushlight.distributed.autograd.is_available()
        False
    """
    return False


def _refuse(name: str) -> NoReturn:
    raise NotSupportedError(
        f"distributed.autograd.{name}: rushlight has no communication between processes "
        "(is_available() is False). Call backward() of the loss in this one."
    )


class DistAutogradContext:
    """A name for annotations."""


class context:  # PyTorch's name
    """Raises where it is entered: there is no other process."""

    def __enter__(self) -> NoReturn:
        _refuse("context")

    def __exit__(self, *error: Any) -> None:
        """Never reached."""


def backward(context_id: int, roots: Any, retain_graph: bool = False) -> NoReturn:
    """Raises: there is no other process."""
    _refuse("backward")


def get_gradients(context_id: int) -> NoReturn:
    """Raises: there is no other process."""
    _refuse("get_gradients")
