"""Where Python keeps values that calls change, or that change between calls: a counter, a running
total, a state that is kept for the next call.

Such a place is an argument more of the program, and a result more. Numbers there are given anew at
each call, tensors are looked up there, and what a traced call left there is left by later calls as
well. A place is known once it was seen to change; until then what it holds is taken for granted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.compiler.held import ABSENT, Held, alike
from rushlight.compiler.objects import attributes
from rushlight.compiler.python_numbers import is_number, number
from rushlight.core.tensor import Tensor

SHORT = 16  # numbers in a list or tuple that are given anew one by one


class Attribute:
    """An attribute of an object, class or module."""

    def __init__(self, x: Any, name: str) -> None:
        self.x, self.name, self.d = x, name, attributes(x)

    @property
    def key(self) -> Any:
        """What no other place has."""
        return "attribute", id(self.x), self.name

    def get(self) -> Any:
        """What is there."""
        return self.d.get(self.name, ABSENT)

    def set(self, value: Any) -> None:
        """Put something else there."""
        if type(self.d) is dict:
            self.d[self.name] = value
        elif isinstance(self.x, type):
            setattr(self.x, self.name, value)
        else:
            object.__setattr__(self.x, self.name, value)


class Item:
    """An item of a dict or a list, or a global variable."""

    def __init__(self, holder: Any, name: Any) -> None:
        self.holder, self.name = holder, name

    @property
    def key(self) -> Any:
        """What no other place has."""
        return "item", id(self.holder), self.name

    def get(self) -> Any:
        """What is there."""
        if isinstance(self.holder, dict):  # what a class of the user's makes of it is not asked
            return dict.get(self.holder, self.name, ABSENT)
        return self.holder[self.name] if self.name < len(self.holder) else ABSENT

    def set(self, value: Any) -> None:
        """Put something else there."""
        kind: Any = dict if isinstance(self.holder, dict) else list
        kind.__setitem__(self.holder, self.name, value)


class Cell:
    """A variable that a function shares with the one around it."""

    def __init__(self, cell: Any) -> None:
        self.cell = cell

    @property
    def key(self) -> Any:
        """What no other place has."""
        return "cell", id(self.cell), ""

    def get(self) -> Any:
        """What is there."""
        try:
            return self.cell.cell_contents
        except ValueError:
            return ABSENT

    def set(self, value: Any) -> None:
        """Put something else there."""
        self.cell.cell_contents = value


Place = Attribute | Item | Cell


def within(place: Place, then: Any, now: Any) -> list[Place] | None:
    """The places at or in a place that hold something else than ``then``, see ``held``; None where
    that cannot be said so.
    """
    if then is ABSENT or now is ABSENT:
        return None
    if type(then) is not Held or now is not then.x:
        return [place]
    keys: Any
    if isinstance(now, dict) and [*dict.keys(now)] == list(then.content):
        keys = list(then.content)
    elif isinstance(now, list) and type(then.content) is list and len(now) == len(then.content):
        keys = range(len(now))
    else:
        return None
    found: list[Place] = []
    for k in keys:
        item, inner = Item(now, k), then.content[k]
        if not alike(item.get(), inner):
            more = within(item, inner, item.get())
            if more is None:
                return None
            found += more
    return found


def signature_of(x: Any, arguments: list[Any], signature: Callable[..., Any]) -> Any:
    """What a program depends on in what a place holds: of numbers only the kind."""
    if type(x) in (int, float):
        return type(x)
    if type(x) in (list, tuple) and len(x) <= SHORT:
        return type(x), *[signature_of(v, arguments, signature) for v in x]
    return signature(x, arguments)


def symbolic(x: Any, source: Callable[[], Any], trace: Any) -> Any:
    """What a place holds while a call is traced: Numbers for numbers."""
    if type(x) in (int, float):
        return number(x, source, trace)
    if type(x) in (list, tuple) and len(x) <= SHORT:
        inner = [symbolic(v, part(source, k), trace) for k, v in enumerate(x)]
        if any([a is not b for a, b in zip(inner, x, strict=True)]):
            return type(x)(inner)
    return x


def part(source: Callable[[], Any], k: int) -> Callable[[], Any]:
    """How a part of a list or tuple is come by."""
    return lambda: source()[k]


class Planted:
    """Puts Numbers in the places of numbers while a call is traced, and numbers back."""

    def __init__(self, places: list[Place], trace: Any) -> None:
        self.trace = trace
        self.rows: list[tuple[Place, Any, Any]] = []  # with what is there, before and then
        for place in places:
            self.add(place, place.get, symbolic)

    def add(self, place: Place, source: Any, symbol: Callable[..., Any]) -> None:
        """A place, with how its value is come by and what stands for that."""
        value = place.get()
        self.rows.append((place, value, symbol(value, source, self.trace)))

    def __enter__(self) -> Planted:
        for place, value, planted in self.rows:
            if planted is not value:
                place.set(planted)
        return self

    def changes(self) -> list[tuple[Place, Any]]:
        """The places that the call changed, with what is there now."""
        found = [(place, place.get(), planted) for place, _, planted in self.rows]
        return [(place, now) for place, now, planted in found if now is not planted]

    def __exit__(self, *exc: object) -> None:
        for place, value, planted in self.rows:
            now = place.get()
            if now is planted:
                if planted is not value:
                    place.set(value)
            elif is_number(now):
                place.set(now.value)


def are_numbers(x: Any) -> bool:
    """Whether a place holds a number, or some in a list or tuple."""
    if type(x) in (list, tuple):
        return 0 < len(x) <= SHORT and all(map(are_numbers, x))
    return type(x) in (int, float)


def is_plain(x: Any) -> bool:
    """Whether calls like the last one may go straight to the program, with this in a place."""
    return type(x) in (int, float, Tensor)
