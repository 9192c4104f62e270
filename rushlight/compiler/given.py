"""Numbers, arrays and objects among the arguments of a function that are others from call to call.

A number is taken for granted until a third one comes where all else is the same. From then on it is
given anew at each call: the program computes with it, as with numbers in places that change. One
that Python needs as it is, as a size, is taken for granted again.

NumPy's arrays are arguments as tensors are, and while a call is traced a Lent stands for each, see
early.py. Where what has no place for these may look at them, as an extension in C, they are taken
for granted.

A place is a path: the position or the name of an argument, and then what leads to a number within
it, the keys of dicts, the positions in lists and the names of attributes.

An object stands for itself until another of its class comes once it is gone, as a batch does (or
just another, where it cannot be told that one is gone). From then on objects of this class count as
what is in them, as those of dataclasses always do.
"""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.drawn import Drawing
from rushlight.compiler.early import is_input, marked
from rushlight.compiler.generators import is_generator
from rushlight.compiler.lent import Lent
from rushlight.compiler.objects import Same, Weak, attributes, fields, identity, only_attributes
from rushlight.compiler.places import Attribute, Item
from rushlight.compiler.python_numbers import Number, number
from rushlight.compiler.trace import Trace

NUMBERS = (int, float, np.float32, np.float64, np.int32, np.int64)
TRIES = 2  # numbers of a place that get programs of their own
MOST_KNOWN = 64  # signatures that may turn out to differ in numbers only
MOST_MOVING = 64  # numbers that are looked at one by one
SEQUENCES = (list, tuple, deque)
Where = tuple[Any, ...]


class Given:
    """Which arguments of a function are numbers or objects given anew, and the numbers of this
    thread's call.
    """

    def __init__(self) -> None:
        self.places: set[Where] = set()
        self.frozen: set[Where] = set()  # that will never be such
        # signatures, by what they are without numbers
        self.known: dict[Any, list[Any]] = {}
        self.sources: dict[Where, Any] = {}
        self.call = threading.local()
        self.kinds: set[type] = set()  # whose objects count as what is in them
        self.last: dict[type, Any] = {}  # the object that came last
        self.arrays = True  # whether arrays are arguments, as tensors are

    def inside(self, x: Any) -> dict[str, Any] | None:
        """The attributes of an argument that counts as what is in it; None for others."""
        return dict(attributes(x).items()) if type(x) in self.kinds else fields(x)

    def stand(self, x: Any) -> Any:
        """What stands for an object in a signature; None where what is in it does."""
        kind, own = type(x), identity(x)
        last = self.last.get(kind)
        gone = (last.ref() is None) if type(last) is Weak else last not in (None, own)
        if gone and only_attributes(x):
            self.kinds.add(kind)
            return None
        self.last[kind] = own
        return own

    def takes(self, x: Any) -> bool:
        """Whether x is an array that is an argument, as tensors are."""
        return self.arrays and is_input(x)

    def value(self, place: Where) -> Any:
        """The number of this call."""
        return self.call.values[place]

    def signature(self, found: tuple[Any, ...], given: Any) -> tuple[Any, ...]:
        """The signature of positional or named arguments, with only the kinds of such numbers."""
        if not self.places:
            return found
        if found[0] is tuple:
            self.call.values = {}

        def kind(place: Where, part: Any) -> Any:
            if place not in self.places:
                return part
            self.call.values[place] = self.at(place, given)
            return place, part[0]

        return self.without(found, kind)

    def without(self, found: Any, stand: Callable[[Where, Any], Any], path: Where = ()) -> Any:
        """A signature with what ``stand`` gives for each number in it."""
        if path and type(path[-1]) in (Weak, Same):  # behind a tensor as a key
            return found
        kind, parts = self.parts_of(found)
        if parts is None:
            return stand(path, found) if is_number(found) else found
        if kind is not found[0]:  # of a subclass, which may have attributes besides
            return self.without(found[0], stand, path), *found[1:]
        if issubclass(kind, SEQUENCES):
            return kind, *[self.without(v, stand, (*path, k)) for k, v in enumerate(parts)]
        return kind, *[(k, self.without(v, stand, (*path, k))) for k, v in parts]

    def parts_of(self, found: Any) -> tuple[Any, Any]:
        """The class of what a signature is of, and the signatures of what is in it, behind their
        keys if it is no sequence; no parts where nothing can be an argument by itself.
        """
        head = found[0] if type(found) is tuple and found else None
        if type(head) is tuple and head and isinstance(head[0], type):
            return head[0], head[1:]
        if not isinstance(head, type):
            return None, None
        if issubclass(head, SEQUENCES):
            return head, found[1:]
        holds = issubclass(head, dict) or head in self.kinds
        return head, found[1:] if holds or hasattr(head, "__dataclass_fields__") else None

    def at(self, path: Where, given: Any) -> Any:
        """What is at a path in arguments."""
        for k in path:
            if isinstance(given, SEQUENCES):
                given = given[k]
            elif isinstance(given, dict):
                given = dict.__getitem__(given, k)
            else:
                given = attributes(given).get(k)
        return given

    def take(self, leaves: tuple[Any, ...], spots: dict[int, tuple[Where, type]]) -> bool:
        """Look at the numbers of this call, by their places among what is given; whether they are
        of these kinds.
        """
        self.call.values = {place: leaves[k] for k, (place, _) in spots.items()}
        return all([type(leaves[k]) is kind for k, (_, kind) in spots.items()])

    def learn(self, key: Any) -> bool:
        """Whether a call is the third that differs from others in numbers only, which are given
        anew from now on.
        """
        found: dict[Where, Any] = {}

        def kind(place: Where, part: Any) -> Any:
            if place in self.frozen:
                return part
            found[place] = part
            return part[0]

        rest = [None if part is None else self.without(part, kind) for part in key[:2]]
        others = self.known.setdefault((*rest, *key[2:]), [])
        if len(self.known) > MOST_KNOWN:  # keys keep objects
            del self.known[next(iter(self.known))]
        if len(others) < TRIES or found in others:
            others += [found] if found not in others else []
            return False
        moved = [place for place in found if any([o[place] != found[place] for o in others])]
        if len(moved) > MOST_MOVING:
            return False
        self.places = self.places.union(moved)
        self.known = {}
        return True

    def symbolic(self, args: Any, kwargs: Any, trace: Trace) -> tuple[Any, Any]:
        """The arguments while a call is traced: Numbers for such numbers."""
        self.sources = {}
        named = {name: self.stand_in(x, trace, (name,)) for name, x in kwargs.items()}
        return tuple([self.stand_in(x, trace, (k,)) for k, x in enumerate(args)]), named

    def stand_in(self, x: Any, trace: Trace, path: Where) -> Any:
        """What stands for an argument, or a part of one, while a call is traced; what holds parts
        is itself, but for tuples. ``released`` puts back what was there.
        """
        if path in self.places and type(x) in NUMBERS:
            source = self.sources[path] = functools.partial(self.value, path)
            if isinstance(x, np.generic):
                return Lent(x, trace, None, source)
            return number(x, source, trace)
        if path in self.places and issubclass(type(x), (Number, Lent)):  # there by another path
            same = x.source
            trace.watched(lambda: marked(same()) == marked(self.value(path)), True)
            return x
        if self.takes(x):
            return trace.argument(x)
        if is_generator(x):
            return Drawing(x, trace.draws)
        if isinstance(x, tuple):
            parts = [self.stand_in(v, trace, (*path, k)) for k, v in enumerate(x)]
            same = all([a is b for a, b in zip(parts, x, strict=True)])
            return x if same else getattr(type(x), "_make", type(x))(parts)
        inner = self.inside(x)
        holds: list[Attribute | Item] = [Attribute(x, k) for k in inner or ()]
        if inner is None and isinstance(x, (list, dict, deque)):
            holds = [Item(x, k) for k in (dict.keys(x) if isinstance(x, dict) else range(len(x)))]
            holds += [Attribute(x, k) for k, _ in attributes(x).items()]
        for place in holds:
            value = place.get()
            part = self.stand_in(value, trace, (*path, place.name))
            if part is not value:
                place.set(part)
        return x

    def froze(self, trace: Trace) -> bool:
        """Whether a traced call needed such a number as it is, so that it is one no longer."""
        watched = {id(getattr(source, "source", source)) for source, _ in trace.watch}
        found = {place for place, source in self.sources.items() if id(source) in watched}
        self.places, self.frozen = self.places - found, self.frozen | found
        return bool(found)


def is_number(part: Any) -> bool:
    """Whether a signature is that of a number."""
    return type(part) is tuple and len(part) == 2 and part[0] in NUMBERS
