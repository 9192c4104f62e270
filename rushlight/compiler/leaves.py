"""What is in the arguments of a call: the leaves of lists, tuples, dicts, and of objects that count
as what is in them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from rushlight.compiler.objects import attributes
from rushlight.compiler.signatures import key_of


class Named(dict[str, Any]):
    """Arguments that are given by name, as one behind the others."""


CONTAINERS = (dict, list, tuple, deque, Named)


def spread(x: Any, leaves: list[Any], objects: set[type]) -> Any:
    """The structure of lists, tuples, dicts, and of what is of the classes ``objects``; what is in
    them is appended to ``leaves``.
    """
    kind = type(x)
    if kind in objects:
        own = dict(attributes(x).items())
        return kind, [*own], [spread(v, leaves, objects) for v in own.values()]
    if kind not in CONTAINERS:
        leaves.append(x)
        return None
    if kind is list or kind is tuple or kind is deque:
        return kind, [spread(v, leaves, objects) for v in x]
    return kind, [*map(key_of, x)], [spread(v, leaves, objects) for v in x.values()]


def paths(x: Any, objects: set[type], path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """What leads to each of the leaves that ``spread`` finds among arguments, see given.py."""
    kind = type(x)
    inner: Any = dict(attributes(x).items()) if kind in objects else x
    if kind not in objects and kind not in CONTAINERS:
        return [path]
    pairs = inner.items() if isinstance(inner, dict) else enumerate(inner)
    return [p for k, v in pairs for p in paths(v, objects, () if type(v) is Named else (*path, k))]


def classes_in(x: Any, inside: Callable[[Any], Any]) -> set[type]:
    """Classes of the objects in x that count as what is in them, see given.py."""
    own = inside(x)
    if own is None and type(x) not in CONTAINERS:
        return set()
    held = x if own is None else own
    parts = held.values() if isinstance(held, dict) else held
    found = set().union(*[classes_in(v, inside) for v in parts])
    return found if own is None else found | {type(x)}
