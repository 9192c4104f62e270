"""Lists and deques that calls add to.

What a call adds is one of its results. While a call is traced, a Growing stands for the list. The
last items may be looked at, as in ``losses[-10:]``: each is a place, whose number or tensor is
looked up at each call, and so may be the length, the sum and the extremes of all, which are
computed before the program runs. Whatever else looks at a list waits until it no longer gets
longer, as one does that gives up its first item for each new one: then its items are places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.compiler.held import ABSENT
from rushlight.compiler.python_numbers import number

NUMBERS = (int, float)


class Grown:
    """The end of a list or deque that calls add to."""

    def __init__(self, x: Any) -> None:
        self.x = x

    @property
    def key(self) -> Any:
        """What no other place has."""
        return "list", id(self.x), ""

    def get(self) -> Any:
        """What a program depends on there: nothing."""
        return ()

    def set(self, value: Any) -> None:
        """Add what a call adds."""
        self.x.extend(value)


class Tail:
    """Item ``-k`` of a list that calls add to, before the call."""

    def __init__(self, x: list[Any], k: int) -> None:
        self.x, self.k = x, k

    @property
    def key(self) -> Any:
        """What no other place has."""
        return "tail", id(self.x), self.k

    def get(self) -> Any:
        """What is there."""
        return self.x[-self.k] if self.k <= len(self.x) else ABSENT

    def set(self, value: Any) -> None:
        """It is only looked at."""
        raise AssertionError("the end of a list is added to, not replaced")


class Growing:
    """Stands for a list or deque in a traced call. ``tail``: what stands for its last items, the
    last one first; ``wanted``: how many of those the call looked at, None where at others, too.
    """

    __class__ = property(lambda self: type(self.x))
    __slots__ = ("x", "trace", "tail", "before", "added", "wanted", "failed")

    def __init__(self, x: Any, trace: Any, tail: list[Any]) -> None:
        self.x, self.trace, self.tail, self.before = x, trace, tail, len(x)
        self.added: list[Any] = []
        self.wanted: int | None = 0
        self.failed = False  # whether it looked at items for which nothing stands

    def append(self, value: Any) -> None:
        """As of a list."""
        self.extend([value])

    def extend(self, values: Any) -> None:
        """As of a list."""
        values = [*values]
        self.x.extend(values)
        self.added += values

    def __iadd__(self, values: Any) -> Growing:
        self.extend(values)
        return self

    def fail(self) -> None:
        """The trace cannot go on from here."""
        self.failed = True
        self.trace.fail("it looks at a list, or changes one, that it also adds to")

    def whole(self) -> list[Any]:
        """All of it, for which nothing stands."""
        self.wanted = None
        self.fail()
        return [*self.x]

    def __getattr__(self, name: str) -> Any:
        self.wanted = None
        self.fail()
        return getattr(self.x, name)

    def __getitem__(self, key: Any) -> Any:
        last = -1 if type(key) is slice and key.stop is None else getattr(key, "stop", key)
        first = key.start if type(key) is slice else key
        known = type(first) is int and type(last) is int and first < 0 and last < 0
        if type(self.x) is not list or not known or getattr(key, "step", None) is not None:
            return self.__getattr__("__getitem__")(key)
        old = -first - len(self.added)
        if self.wanted is not None:
            self.wanted = max(self.wanted, old)
        if old > len(self.tail):
            self.fail()
            return self.x[key]
        items = [*self.tail[: max(old, 0)][::-1], *self.added][first:]
        return items[slice(0, key.stop)] if type(key) is slice else items[0]

    def __radd__(self, other: Any) -> Any:
        return other + self.whole()

    def __bool__(self) -> bool:
        x, there = self.x, self.before > 0
        if not self.added:
            self.trace.watched(lambda: len(x) > 0, there)
        return there or bool(self.added)

    def summed(self, function: Callable[..., Any]) -> Any:
        """What ``len``, ``sum``, ``min`` or ``max`` makes of it."""
        old = self.x[: self.before] if type(self.x) is list else []
        if not old or not all([type(v) in NUMBERS for v in old]):
            self.__getattr__("__iter__")
            return function(self.x)
        x, value = self.x, function(old)
        if function is not len:
            self.trace.watched(lambda: type(function(x)), type(value))
        first: Any = number(value, lambda: function(x), self.trace)
        if function is len:
            return first + len(self.added)
        return function([first, *self.added]) if self.added else first


def look(name: str) -> Any:
    """A method that looks at the list."""
    return lambda self, *args: self.__getattr__(name)(*args)


for _name in ("len", "setitem", "delitem", "iter", "contains", "reversed", "add", "mul", "rmul",
              "imul", "eq", "ne", "lt", "gt", "le", "ge", "repr", "str"):  # fmt: skip
    setattr(Growing, f"__{_name}__", look(f"__{_name}__"))


def summary(function: Callable[..., Any]) -> Callable[..., Any]:
    """What stands for a function of Python's while a call is traced that knows such lists."""

    def stands(*given: Any, **options: Any) -> Any:
        if len(given) == 1 and not options and type(given[0]) is Growing:
            return given[0].summed(function)
        return function(*given, **options)

    return stands


SUMMARIES = {f.__name__: summary(f) for f in (len, sum, min, max)}
