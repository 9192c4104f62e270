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
STANDS_FOR: dict[type, type] = {}  # of ours, which are plain ones to whoever takes them apart


def class_of(tree: Any) -> type:
    """The class of a tree, or the plain one that it stands for."""
    return STANDS_FOR.get(type(tree), type(tree))
