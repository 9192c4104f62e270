"""What a place in a program held: numbers and strings by value, lists, dicts and the like by what
is in them, all else by identity. A trace takes it for granted, so later calls compare.
"""

from __future__ import annotations

import ctypes
import functools
import random
from array import array
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from operator import is_
from types import BuiltinFunctionType, MappingProxyType
from typing import Any

import numpy as np

from rushlight.compiler.generators import is_generator
from rushlight.compiler.layout import (
    LIST_ITEMS,
    LIST_SIZE,
    VERSION_AT,
    dict_slots,
    dicts_are_known,
    dicts_have_versions,
    item_slots,
    items_are_known,
    lists_are_known,
    word,
)
from rushlight.compiler.objects import Same, fields

PLAIN = (int, float, bool, str, bytes, tuple, type(None))
SMALL = 1 << 20  # bytes of a NumPy array whose content is compared
SHORT = 16  # items of a list or dict that are as soon looked at
Moving = frozenset[Any]  # keys of places
LONG = 1024  # items of a list that are compared at once, in Python
BUFFERS = (bytearray, array, memoryview)  # whose content is compared as bytes


ABSENT = object()  # where there is nothing
ANYTHING = object()  # what is not compared, as it is looked up at each call: see places.py


class NotCompared(Exception):
    """There is something, said in words, whose content cannot be compared at each call."""


class Words(list[tuple[int, int]]):
    """Words of memory: address, content. ``kept`` are objects whose addresses are contents, and no
    one else's as long as they live. Words of what an object holds come after the one that says
    that it is the same object.
    """

    def __init__(self, words: Iterable[tuple[int, int]] = (), kept: Iterable[Any] = ()) -> None:
        super().__init__(words)
        self.kept = [*kept]

    def take(self, others: Words) -> None:
        """Add others."""
        self.extend(others)
        self.kept += others.kept


def items(x: Any) -> list[Any]:
    """What is in a list, a tuple, a set or the like: what a class of the user's says of its length
    or makes of going through it is not asked.
    """
    kind = next(k for k in (list, tuple, deque, set, frozenset) if issubclass(type(x), k))
    return [*kind.__iter__(x)]


def parts(x: Any) -> Any:
    """What decides the content of something that can change; None where only identity counts."""
    kind = type(x)  # what x says itself is not asked
    if issubclass(kind, dict):
        return dict(dict.items(x))  # what is in it, not what a class of the user's makes of it
    if issubclass(kind, (list, tuple, deque)):
        return items(x)
    if issubclass(kind, (set, frozenset)):
        return {*items(x)}
    if issubclass(kind, np.ndarray):
        return x.tobytes() if x.nbytes <= SMALL and x.dtype != object else None
    if issubclass(kind, BUFFERS):
        return bytes(x)
    if kind is BuiltinFunctionType and type(x.__self__) in (list, dict, set, deque):
        return [x.__self__]  # a method of one of these
    if issubclass(kind, functools.partial):
        return [x.func, x.args, x.keywords]
    if kind is MappingProxyType:
        return dict(x)
    if issubclass(kind, ContextVar):
        return [x.get(None)]
    if is_generator(x):  # what is drawn is noted, see drawn.py
        return None
    if issubclass(kind, random.Random):
        return x.getstate()
    if issubclass(kind, np.random.Generator):
        return repr(x.bit_generator.state)
    return repr(x.get_state()) if issubclass(kind, np.random.RandomState) else None


def content(x: Any, inside: Callable[[Any], Any] = fields) -> Any:
    """What is in lists, dicts, sets, arrays and the like, in objects whose attributes ``inside``
    gives, and in those therein; all else is itself.
    """
    if isinstance(x, np.ndarray) and x.dtype != object:
        return x.tobytes()
    inner = inside(x)
    inner = parts(x) if inner is None else inner
    if isinstance(inner, list):
        return [content(v, inside) for v in inner]
    if isinstance(inner, dict):
        return [(Same(k), content(v, inside)) for k, v in inner.items()]
    if isinstance(inner, set):
        return {Same(v) for v in inner}
    return Same(x) if inner is None else inner


class Held:
    """What an object that can change held."""

    def __init__(self, x: Any, content: Any, within: tuple[int, ...], moving: Moving) -> None:
        self.kind, self.content, self.x = type(x), content, x
        within = (*within, id(x))

        def part(k: Any, v: Any) -> Any:
            return ANYTHING if ("item", id(x), k) in moving else held(v, within, moving)

        inner: Any = ()
        if type(content) is list:
            inner = self.content = [part(k, v) for k, v in enumerate(content)]
        elif type(content) is dict:
            self.content = {k: part(k, v) for k, v in content.items()}
            inner = self.content.values()
        self.moves = any([v is ANYTHING for v in inner])  # so that only this object will do
        self.flat = not any([type(v) is Held for v in inner])
        self.mark = mark_of(x) if self.flat else None

    def fits(self, x: Any) -> bool:
        """Whether x holds the same."""
        if x is self.x and self.mark is not None and mark_of(x) == self.mark:
            return True
        if not self.same(x):
            return False
        if x is self.x and self.flat:
            self.mark = mark_of(x)
        return True

    def same(self, x: Any) -> bool:
        """As ``fits``, looking at all that x holds."""
        if type(x) is not self.kind or (self.moves and x is not self.x):
            return False
        then = self.content
        now: Any = x if type(x) is list else parts(x)
        if type(then) is list:
            return len(now) == len(then) and (
                all(map(is_, now, then)) or all(map(alike, now, then))
            )
        if type(then) is dict:
            return list(now) == list(then) and all([alike(now[k], v) for k, v in then.items()])
        return bool(now == then)


def mark_of(x: Any) -> Any:
    """What differs once x holds other objects, where that is told sooner than by looking at all;
    None elsewhere.
    """
    if type(x) is tuple:
        return True
    if type(x) is list and len(x) >= SHORT and lists_are_known():
        return ctypes.string_at(word(id(x) + LIST_ITEMS), 8 * len(x))
    return version_of(x) if type(x) is dict and len(x) >= SHORT else None


def held(x: Any, within: tuple[int, ...] = (), moving: Moving = frozenset()) -> Any:
    """What to compare x with later; ``within`` are the objects around it, ``moving`` the keys of
    places that are not compared.

    Raises:
        NotCompared: of an array that is large or of objects.
    """
    apart = id(x) in within or grows(x, moving)
    content = None if apart else parts(x)
    if content is None and issubclass(type(x), np.ndarray):
        what = "objects" if x.dtype == object else f"{x.nbytes} bytes"
        raise NotCompared(f"a NumPy array of {what}")
    return x if content is None else Held(x, content, within, moving)


def grows(x: Any, moving: Moving) -> bool:
    """Whether x is a list or deque that calls add to, and do not look at."""
    return type(x) in (list, deque) and ("list", id(x), "") in moving


def alike(now: Any, then: Any) -> bool:
    """Whether what is there now is what ``held`` said."""
    if type(then) is Held:
        return then.fits(now)
    if now is then or then is ANYTHING:
        return True
    equal = type(now) is type(then) and isinstance(now, PLAIN) and now == then
    return equal and (now != 0 or repr(now) == repr(then))  # -0.0 is another number than 0.0


def dict_words(*dicts: dict[Any, Any]) -> Words | None:
    """The words that say whether dicts were written to; None where there are none."""
    if dicts_have_versions():
        return Words([(id(d) + VERSION_AT, word(id(d) + VERSION_AT)) for d in dicts])
    if not dicts_are_known():
        return None
    found = Words()
    for d in dicts:
        found.take(Words(dict_slots(d), dict.values(d)))
    return found


def version_of(d: Any) -> int | None:
    """What is another once a dict was written to; None where that is not known."""
    return word(id(d) + VERSION_AT) if type(d) is dict and dicts_have_versions() else None


def list_words(x: list[Any]) -> Words | None:
    """The words that say whether a list holds the same objects; None where there are none."""
    if not lists_are_known():
        return None
    items = word(id(x) + LIST_ITEMS)
    found = Words([(id(x) + LIST_SIZE, len(x)), (id(x) + LIST_ITEMS, items)], [x])
    found.take(Words([(items + 8 * k, id(v)) for k, v in enumerate(x)], x))
    return found


def item_words(d: dict[Any, Any], key: Any, moving: Moving = frozenset()) -> Words | None:
    """The words that say whether what a dict holds for a key is what it was; None where there are
    none.
    """
    if key not in d or not items_are_known():
        return None
    slots, inner = item_slots(d, key), words_within(d[key], (), moving)
    if not slots or inner is None:
        return None
    found = Words(slots, [d, d[key]])
    found.take(inner)
    return found


def words_within(
    x: Any, within: tuple[int, ...] = (), moving: Moving = frozenset()
) -> Words | None:
    """The words that say whether what x holds is what it was; None where there are none."""
    if grows(x, moving):
        return Words()
    if any([id(x) == key[1] for key in moving if key[0] == "item"]):
        return None
    if id(x) in within or parts(x) is None:
        return Words()
    if type(x) is frozenset:
        return Words()
    if isinstance(x, dict):
        found, inner = dict_words(x), list(dict.values(x))
    elif isinstance(x, tuple):
        found, inner = Words(), items(x)
    elif isinstance(x, list) and len(x) < LONG:
        found, inner = list_words(x), x
    else:
        return None
    for v in inner:
        more = words_within(v, (*within, id(x)), moving)
        if found is None or more is None:
            return None
        found.take(more)
    return found
