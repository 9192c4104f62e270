"""Where Python keeps values that calls change, or that change between calls: a counter, a running
total, a state that is kept for the next call.

Such a place is an argument more of the program, and a result more. Numbers there are given anew at
each call, tensors are looked up there, and what a traced call left there is left by later calls as
well. A place is known once it was seen to change; until then what it holds is taken for granted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from operator import is_not
from types import BuiltinFunctionType
from typing import Any

from rushlight.compiler.held import ABSENT, Held, alike, content
from rushlight.compiler.lists import Growing, Grown, Tail
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
        """What no other place has: of an object with a dict, that of the item."""
        if type(self.d) is dict:
            return "item", id(self.d), self.name
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
    """An item of a dict, a list or a deque, or a global variable."""

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
        kind: Any = next(c for c in (dict, list, deque) if isinstance(self.holder, c))
        if value is ABSENT:
            kind.__delitem__(self.holder, self.name)
            return
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


class Memory:
    """The memory of a tensor, which ``t.data = other`` replaces."""

    def __init__(self, t: Any) -> None:
        self.t = t

    def set(self, value: Tensor) -> None:
        """Give it that of another tensor."""
        self.t.data = value


class Wanting:
    """Whether a tensor requires gradients, which ``requires_grad_`` changes."""

    def __init__(self, t: Any) -> None:
        self.t = t

    def set(self, value: bool) -> None:
        """Let it."""
        self.t.requires_grad_(value)


Place = Attribute | Item | Cell | Grown | Tail


def within(place: Place, then: Any, now: Any) -> list[Place] | None:
    """The places at or in a place that hold something else than ``then``, see ``held``; None where
    that cannot be said so.
    """
    if now is ABSENT or (then is ABSENT and type(place) is not Attribute):
        return None
    if type(then) is not Held or now is not then.x:
        return None if type(then) is Held and then.moves else [place]
    if type(now) is BuiltinFunctionType:  # a method of what changed
        return within(place, then.content[0], now.__self__)
    keys: Any
    if isinstance(now, dict) and [*dict.keys(now)] == list(then.content):
        keys = list(then.content)
    elif type(now) is list and type(then.content) is list and len(now) >= len(then.content):
        keys = range(len(then.content))
        if len(now) > len(keys):  # which a call that looks at the list would see
            same = all([alike(v, inner) for v, inner in zip(now, then.content, strict=False)])
            return [Grown(now)] if same else None
    elif type(now) is deque and len(now) >= len(then.content):
        return [Grown(now)]  # what stands for it while a call is traced knows if that is all
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


def is_short(x: Any, inside: bool) -> bool:
    """Whether numbers in x are given anew one by one: not those of lists within, which a call
    might change.
    """
    return (type(x) is tuple or (type(x) is list and not inside)) and len(x) <= SHORT


def signature_of(
    x: Any, arguments: list[Any], signature: Callable[..., Any], inside: bool = False
) -> Any:
    """What a program depends on in what a place holds: of numbers only the kind."""
    if type(x) in (int, float):
        return type(x)
    if is_short(x, inside):
        return type(x), *[signature_of(v, arguments, signature, True) for v in x]
    return signature(x, arguments)


def symbolic(x: Any, source: Callable[[], Any], trace: Any, inside: bool = False) -> Any:
    """What a place holds while a call is traced: Numbers for numbers."""
    if type(x) in (int, float):
        return number(x, source, trace)
    if is_short(x, inside):
        inner = [symbolic(v, part(source, k), trace, True) for k, v in enumerate(x)]
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
        self.growing: dict[int, Growing] = {}  # by the lists
        self.unseen: list[tuple[Any, list[Any]]] = []  # lists that this call should not add to
        self.insides: list[tuple[Place, Any, Any]] = []  # what lists and dicts in places held
        self.tails: dict[int, list[Any]] = {}  # what stands for the last items of lists
        for place in places:
            if type(place) is Tail:
                if (value := place.get()) is not ABSENT:
                    there = symbolic(value, place.get, trace)
                    self.tails.setdefault(id(place.x), []).append(there)
            elif type(place) is not Grown:
                self.add(place, place.get, symbolic)

    def grow(self, place: Place, x: Any) -> None:
        """A place of a list that calls add to."""
        if id(x) not in self.growing:
            self.growing[id(x)] = Growing(x, self.trace, self.tails.get(id(x), []))
        growing = self.growing[id(x)]
        self.rows.append((place, x, growing))

    def add(self, place: Place, source: Any, symbol: Callable[..., Any]) -> None:
        """A place, with how its value is come by and what stands for that."""
        value = place.get()
        planted = symbol(value, source, self.trace)
        self.rows.append((place, value, planted))
        if issubclass(type(planted), (list, tuple, dict)):
            self.insides.append((place, planted, content(planted)))

    def __enter__(self) -> Planted:
        for place, value, planted in self.rows:
            if planted is not value:
                place.set(planted)
        return self

    def changes(self) -> list[tuple[Place, Any]]:
        """The places that the call changed, with what is there now."""
        found = [(place, place.get(), planted) for place, _, planted in self.rows]
        if any([len(x) != len(then) or any(map(is_not, x, then)) for x, then in self.unseen]):
            self.trace.fail("it adds to a list that is not reached by a name alone")
        if any([place.get() is x and content(x) != then for place, x, then in self.insides]):
            self.trace.fail("it changes a list or dict that is another one in other calls")
        added = [(Grown(g.x), tuple(g.added)) for g in self.growing.values()]
        changed = [(place, now) for place, now, planted in found if now is not planted]
        return [*changed, *[(place, new) for place, new in added if new]]

    def __exit__(self, *exc: object) -> None:
        for place, value, planted in self.rows:
            now = place.get()
            if now is planted:
                if planted is not value:
                    place.set(value)
                    if type(planted) is list:  # which the call may have changed
                        value[:] = planted
            elif is_number(now):
                place.set(now.value)
        self.rows, self.insides = [], []  # so that Numbers do not live on here


def are_numbers(x: Any) -> bool:
    """Whether a place holds a number, or some in a list or tuple."""
    if type(x) in (list, tuple):
        return 0 < len(x) <= SHORT and all(map(are_numbers, x))
    return type(x) in (int, float)


def is_plain(x: Any) -> bool:
    """Whether calls like the last one may go straight to the program, with this in a place."""
    if type(x) in (list, tuple):
        return len(x) <= SHORT and all([type(v) in (int, float) for v in x])
    return type(x) in (int, float, Tensor)


def form(x: Any) -> Any:
    """What calls like the last one must have in a place: only numbers may be others."""
    return (type(x), *map(type, x)) if type(x) in (list, tuple) else type(x)
