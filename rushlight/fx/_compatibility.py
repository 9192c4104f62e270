"""Marks of functions that PyTorch promises to keep."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def compatibility(is_backward_compatible: bool) -> Callable[[T], T]:
    """A decorator that changes nothing."""
    return lambda function: function
