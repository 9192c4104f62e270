"""Which classes are trees: ``utils._pytree`` registers them, the transforms of ``func`` ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

Flatten = Callable[[Any], tuple[list[Any], Any]]
Unflatten = Callable[[Iterable[Any], Any], Any]


class Node(NamedTuple):
    """How objects of a class are taken apart and rebuilt."""

    flatten_fn: Flatten  # PyTorch's names: libraries read them from SUPPORTED_NODES
    unflatten_fn: Unflatten
    flatten_with_keys_fn: Flatten | None = None


NODES: dict[type, Node] = {}
