"""Nested tuples, lists, dicts and registered classes of tensors, as a flat list and back."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from rushlight.core.trees import NODES, class_of

LEAF = "*"
_MAPPINGS = (dict, OrderedDict, defaultdict)


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """The leaves in order, and the structure, which ``unflatten`` reads and ``==`` compares."""
    leaves: list[Any] = []
    return leaves, _walk(tree, leaves)


def _walk(tree: Any, leaves: list[Any]) -> Any:
    kind = class_of(tree)
    if kind in _MAPPINGS:
        children = [_walk(value, leaves) for value in tree.values()]
        return kind, list(tree), children
    if kind in (tuple, list) or is_namedtuple(tree):
        return kind, None, [_walk(value, leaves) for value in tree]
    if kind in NODES:
        parts, context = NODES[kind].flatten_fn(tree)
        return kind, context, [_walk(part, leaves) for part in parts]
    leaves.append(tree)
    return LEAF


def is_namedtuple(tree: Any) -> bool:
    """Whether tree is a tuple with named fields."""
    return isinstance(tree, tuple) and (hasattr(tree, "_fields") or hasattr(tree, "n_fields"))


def unflatten(structure: Any, leaves: Any) -> Any:
    """The tree of this structure whose leaves are those."""
    return _build(structure, iter(leaves))


def _build(structure: Any, leaves: Iterator[Any]) -> Any:
    if structure == LEAF:
        return next(leaves)
    kind, keys, children = structure
    values = [_build(child, leaves) for child in children]
    if kind in _MAPPINGS:
        pairs = zip(keys, values, strict=True)
        return defaultdict(None, pairs) if kind is defaultdict else kind(pairs)
    if hasattr(kind, "_fields"):
        return kind(*values)
    return NODES[kind].unflatten_fn(values, keys) if kind in NODES else kind(values)


def tree_map(function: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with the function applied to each leaf."""
    leaves, structure = flatten(tree)
    return unflatten(structure, [function(leaf) for leaf in leaves])


def spread(prefix: Any, structure: Any) -> list[Any] | None:
    """One value per leaf of ``structure``, from a tree that may stop early: a value stands for all
    leaves below it. None if the two do not fit.
    """
    out: list[Any] = []
    return out if _spread(prefix, structure, out) else None


def _spread(prefix: Any, structure: Any, out: list[Any]) -> bool:
    values, own = flatten(prefix)
    if own == LEAF:
        out.extend(values * count(structure))
        return True
    if structure == LEAF or own[0] is not structure[0] or own[1] != structure[1]:
        return False
    items = _children(prefix)
    if len(items) != len(structure[2]):
        return False
    return all([_spread(p, s, out) for p, s in zip(items, structure[2], strict=True)])


def _children(tree: Any) -> list[Any]:
    """What is directly below the root."""
    if class_of(tree) in _MAPPINGS:
        return list(tree.values())
    return list(NODES[type(tree)].flatten_fn(tree)[0] if type(tree) in NODES else tree)


def count(structure: Any) -> int:
    """How many leaves a structure has."""
    return 1 if structure == LEAF else sum([count(child) for child in structure[2]])


def describe(structure: Any) -> str:
    """A structure in words, for messages: ``(*, {'a': *})``."""
    if structure == LEAF:
        return LEAF
    kind, keys, children = structure
    inner = [describe(child) for child in children]
    if kind in _MAPPINGS:
        return "{" + ", ".join([f"{k!r}: {c}" for k, c in zip(keys, inner, strict=True)]) + "}"
    if kind is list:
        return f"[{', '.join(inner)}]"
    return f"{'' if issubclass(kind, tuple) else kind.__name__}({', '.join(inner)})"
