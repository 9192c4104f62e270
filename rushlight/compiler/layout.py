"""Where CPython and NumPy keep what guards look at, and whether they do so here.

All of this is checked once, on objects made for it. Where something lies elsewhere (another
interpreter, another version), or threads run without the interpreter's lock, nothing here is used.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sysconfig
from typing import Any

import numpy as np

from rushlight.compiler.memory import address
from rushlight.core.device_array import DeviceArray
from rushlight.core.tensor import ViewLink, wrap

# bytes from the start of an object: any, a tuple, an array, a dict, a closure's cell
TYPE_AT, TUPLE_SIZE, TUPLE_ITEMS = 8, 16, tuple.__basicsize__
DATA_AT, RANK_AT, DIMS_AT, STRIDES_AT, DTYPE_AT, FLAGS_AT = 16, 24, 32, 40, 56, 64
CELL_AT, LIST_SIZE, LIST_ITEMS = 16, 16, 24
USED_AT, VERSION_AT, KEYS_AT, VALUES_AT = 16, 24, 32, 40
INDEX_BYTES_AT, KIND_AT, ENTRIES_AT, INDICES_AT = 9, 10, 24, 32  # of a dict's keys
# an array's flags: by rows and aligned, aligned alone
CONTIGUOUS, ALIGNED, WRITEABLE = 0x0001 | 0x0100, 0x0100, 0x0400


def word(at: int) -> int:
    """The 8 bytes at an address."""
    return ctypes.c_int64.from_address(at).value


def byte(at: int) -> int:
    """The byte at an address."""
    return ctypes.c_uint8.from_address(at).value


@functools.cache
def slots() -> dict[str, int]:
    """Where a Tensor keeps its fields, and the link of a view its base: bytes from their start.
    Empty where that cannot be found.
    """
    a = np.zeros((2, 3), np.float32)
    t = wrap(a)
    marks = {
        "_array": a,
        "_wants_grad": object(),
        "_tracked": object(),
        "_node": object(),
        "_link": ViewLink(),
        "_grad": object(),
        "_counter": object(),
    }
    for name, mark in marks.items():
        setattr(t, name, mark)
    link: Any = marks["_link"]
    link.base = object()
    found = {n: places_of(m, t) for n, m in marks.items()} | {"base": places_of(link.base, link)}
    return {n: at[0] for n, at in found.items()} if all(found.values()) else {}


@functools.cache
def device_slots() -> dict[str, int]:
    """The same of an array on a GPU: what kind it is, and whose memory. Empty if not found."""
    x, marks = object.__new__(DeviceArray), {"kind": object(), "memory": object()}
    for name, mark in marks.items():
        setattr(x, name, mark)
    found = {n: places_of(m, x) for n, m in marks.items()}
    return {n: at[0] for n, at in found.items()} if all(found.values()) else {}


def places_of(mark: Any, x: Any) -> list[int]:
    """Where an object with slots holds another: bytes from its start."""
    words = range(16, type(x).__basicsize__, 8)
    return [at for at in words if word(id(x) + at) == id(mark)]


class Owner:
    """An object with an attribute."""

    def __init__(self) -> None:
        self.a: float = 1.0


@functools.cache
def dicts_have_versions() -> bool:
    """Whether a word of a dict says if it was written to, as in CPython up to 3.12. In 3.13 it says
    nothing of attributes that are set on the object whose ``__dict__`` it is.
    """
    d, other = {"a": 1, "b": 2.5}, {"a": 1}
    place = id(d) + VERSION_AT
    before = word(place)
    if d.get("a") != 1 or word(place) != before or before == word(id(other) + VERSION_AT):
        return False
    seen = {before}
    for value in (2.0, 3.5, 4.5):
        d["a"] = value
        seen.add(word(place))
    owner = Owner()
    place = id(owner.__dict__) + VERSION_AT
    seen.add(word(place))
    for owner.a in (2.0, 3.5, 4.5):
        seen.add(word(place))
    return len(seen) == 8


def dict_slots(d: dict[Any, Any]) -> list[tuple[int, int]]:
    """The words that say which objects a dict holds, in CPython from 3.13 on. The first ones say
    where the others lie.
    """
    keys, values = word(id(d) + KEYS_AT), word(id(d) + VALUES_AT)
    places = [id(d) + at for at in (USED_AT, KEYS_AT, VALUES_AT)]
    if values:  # attributes: beside their object, or by the order of their class
        places += range(values + 8, values + 8 + 8 * byte(values), 8)
    else:
        size = 16 if byte(keys + KIND_AT) else 24  # key and value; before them the key's hash
        first = keys + INDICES_AT + (1 << byte(keys + INDEX_BYTES_AT)) + size - 8
        places += [keys + ENTRIES_AT, *range(first, first + size * word(keys + ENTRIES_AT), size)]
    return [(at, word(at)) for at in places]


@functools.cache
def dicts_are_known() -> bool:
    """Whether ``dict_slots`` finds what dicts hold."""
    if dicts_have_versions() or dict.__basicsize__ != 48:  # earlier ones lay elsewhere
        return False
    owner = Owner()
    attributes = owner.__dict__
    dicts: list[tuple[dict[Any, Any], Any]] = [
        (attributes, "a"),
        ({"a": 1.5, "b": 2}, "a"),
        ({1: 1.5, "b": 2}, 1),
    ]

    def differs(words: list[tuple[int, int]]) -> bool:
        return any(word(at) != content for at, content in words)

    for d, key in dicts:
        for k in range(20):
            value = k + 0.5
            if d is attributes:
                owner.a = value
            else:
                d[key] = value
            found = dict_slots(d)
            if id(value) not in [content for _, content in found] or differs(found):
                return False
            if k % 2:
                d[key] = 0.5
                if not differs(found):
                    return False
                found = dict_slots(d)
            d[f"more {k}"] = None
            if not differs(found):
                return False
    return True


def item_slots(d: dict[Any, Any], key: Any) -> list[tuple[int, int]]:
    """The words that say which object a dict holds for a key, whatever else it holds. The first
    ones say where the last one lies. Empty for a dict of attributes, whose values lie elsewhere.
    """
    if word(id(d) + VALUES_AT):
        return []
    keys = word(id(d) + KEYS_AT)
    width = 2 if byte(keys + KIND_AT) else 3  # words of an entry: its hash, key and value
    first = keys + INDICES_AT + (1 << byte(keys + INDEX_BYTES_AT))
    count = word(keys + ENTRIES_AT)
    entries = (ctypes.c_int64 * (width * count)).from_address(first)
    filled = [k for k, value in enumerate(entries[width - 1 :: width]) if value]
    place = first + 8 * (width * filled[list(d).index(key)] + width - 1)
    return [(at, word(at)) for at in (id(d) + KEYS_AT, keys + 8, place)]


@functools.cache
def items_are_known() -> bool:
    """Whether ``item_slots`` finds what a dict holds for a key."""
    for key in ("a", 1):
        d: dict[Any, Any] = {f"before {k}": object() for k in range(20)}
        d[key] = object()
        for k in range(40):
            d[f"after {k}"] = d.pop(f"before {k % 20}", None)
            found = item_slots(d, key)
            if not found or found[-1][1] != id(d[key]):
                return False
            d["before 1"] = object()
            if [(at, word(at)) for at, _ in found] != found:
                return False
            d[key] = object()
            if word(found[-1][0]) == found[-1][1]:
                return False
    return True


@functools.cache
def lists_are_known() -> bool:
    """Whether a list keeps its size and the place of its items where this file says."""
    x = ["a", object()]
    items = word(id(x) + LIST_ITEMS)
    return word(id(x) + LIST_SIZE) == 2 and word(items + 8) == id(x[1])


@functools.cache
def class_places() -> tuple[int, ...]:
    """Where a class has words that say if it, or a base, was written to: bytes from its start."""

    class Base:
        mark = 1

    class Derived(Base):
        pass

    places = range(16, int(type.__dict__["__basicsize__"].__get__(type)), 8)

    def look() -> list[int]:
        return [word(id(Derived) + at) for at in places]

    seen = []
    for value in (1, 2, 3):
        Base.mark = value
        unread = look()
        if Derived.mark != value:
            return ()
        seen += [unread, look(), look()]
    found = [k for k, at in enumerate(places) if len({row[k] for row in seen}) > 1]
    states = [tuple([row[k] for k in found]) for row in seen]
    once = all([states[k] == states[k + 1] for k in (1, 4, 7)])
    told = all([a not in states[k + 2 :] for k, a in enumerate(states) if k % 3])
    return tuple([places[k] for k in found]) if found and once and told else ()


def class_words(x: type) -> list[tuple[int, int]] | None:
    """The words that say whether a class was written to; None where there are none."""
    at = class_places()
    with contextlib.suppress(AttributeError):  # a class that nobody looked into has no words yet
        type.__getattribute__(x, "_unheard_of")
    found = [(id(x) + k, word(id(x) + k)) for k in at]
    return found if found and all([content for _, content in found]) else None


@functools.cache
def function_slots() -> tuple[int, ...]:
    """Where a function keeps its code, its defaults, and those by name: bytes from its start."""

    def f(a: int = 1, *, b: int = 2) -> None: ...

    parts = [f.__code__, f.__defaults__, f.__kwdefaults__]
    places = range(16, type(f).__basicsize__, 8)
    found = [[at for at in places if word(id(f) + at) == id(p)] for p in parts]
    return tuple([at[0] for at in found]) if all(found) else ()


@functools.cache
def available() -> bool:
    """Whether objects lie in memory as this file expects. See Note [Entry]."""
    if sysconfig.get_config_var("Py_GIL_DISABLED") or not slots():
        return False
    a, pair = np.zeros((2, 3), np.float32), ("a", "b")
    dims, strides = word(id(a) + DIMS_AT), word(id(a) + STRIDES_AT)
    flags = ctypes.c_int32.from_address(id(a) + FLAGS_AT).value
    return (
        word(id(a) + TYPE_AT) == id(np.ndarray)
        and word(id(a) + DATA_AT) == address(a)
        and ctypes.c_int32.from_address(id(a) + RANK_AT).value == 2
        and (word(dims), word(dims + 8)) == (2, 3)
        and (word(strides), word(strides + 8)) == (12, 4)
        and word(id(a) + DTYPE_AT) == id(a.dtype)
        and flags & CONTIGUOUS == CONTIGUOUS
        and word(id(pair) + TUPLE_SIZE) == 2
        and word(id(pair) + TUPLE_ITEMS + 8) == id(pair[1])
    )
