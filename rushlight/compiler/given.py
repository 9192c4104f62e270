"""Numbers, arrays and objects among the arguments of a function that are others from call to call.

A number is taken for granted until a third one comes where all else is the same. From then on it is
given anew at each call: the program computes with it, as with numbers in places that change. One
that Python needs as it is, as a size, is taken for granted again.

NumPy's arrays are arguments as tensors are, and while a call is traced a Lent stands for each, see
early.py. Where what has no place for these may look at them, as an extension in C, they are taken
for granted.

An object stands for itself until another of its class comes once it is gone, as a batch does (or
just another, where it cannot be told that one is gone). From then on objects of this class count as
what is in them, as those of dataclasses always do.
"""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from rushlight.compiler.drawn import Drawing
from rushlight.compiler.early import is_input
from rushlight.compiler.generators import is_generator
from rushlight.compiler.lent import Lent
from rushlight.compiler.objects import Weak, attributes, fields, identity, only_attributes
from rushlight.compiler.places import Attribute, Item, Place
from rushlight.compiler.python_numbers import number
from rushlight.compiler.trace import Trace

NUMBERS = (int, float, np.float32, np.float64, np.int32, np.int64)
TRIES = 2  # numbers of a place that get programs of their own
Where = int | str  # of an argument: its position, or its name


class Given:
    """Which arguments of a function are numbers or objects given anew, and the numbers of this
    thread's call.
    """

    def __init__(self) -> None:
        self.places: set[Where] = set()
        self.frozen: set[Where] = set()  # that will never be such
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
        made = [found[0]]
        for place, part in parts_of(found):
            if place in self.places and is_number(part):
                self.call.values[place] = given[place]
                part = place, part[0]
            made.append(part if found[0] is tuple else (place, part))
        return tuple(made)

    def spots(self, args: tuple[Any, ...]) -> dict[int, type]:
        """The positions of such numbers, with their kinds."""
        kinds = {k: type(x) for k, x in enumerate(args) if k in self.places}
        return {k: kind for k, kind in kinds.items() if kind in NUMBERS}

    def has_names(self) -> bool:
        """Whether some of such numbers are given by name."""
        return any([type(place) is str for place in self.places])

    def take(self, args: tuple[Any, ...], spots: dict[int, type]) -> bool:
        """Look at the numbers of this call; whether they are of these kinds."""
        self.call.values = {k: args[k] for k in spots}
        return all([type(args[k]) is kind for k, kind in spots.items()])

    def learn(self, key: Any, seen: Any) -> bool:
        """Whether a call is the third that differs from others in numbers only, which are given
        anew from now on.
        """
        found = [differing(key, other) for other in seen]
        fitting = [places for places in found if places and not places & self.frozen]
        if len(fitting) < TRIES:
            return False
        self.places = self.places.union(*fitting)
        return True

    def symbolic(self, args: Any, kwargs: Any, trace: Trace) -> tuple[Any, Any]:
        """The arguments while a call is traced: Numbers for such numbers."""
        self.sources = {}

        def part(place: Where, x: Any) -> Any:
            if place not in self.places or type(x) not in NUMBERS:
                return x
            source = self.sources[place] = functools.partial(self.value, place)
            if isinstance(x, np.generic):
                return Lent(x, trace, None, source)
            return number(x, source, trace)

        named = {name: self.stand_in(part(name, x), trace) for name, x in kwargs.items()}
        return tuple([self.stand_in(part(k, x), trace) for k, x in enumerate(args)]), named

    def stand_in(self, x: Any, trace: Trace) -> Any:
        """What stands for an argument, or a part of one, while a call is traced; what holds parts
        is itself, but for tuples. ``released`` puts back what was there.
        """
        if self.takes(x):
            return trace.argument(x)
        if is_generator(x):
            return Drawing(x, trace.draws)
        if isinstance(x, tuple):
            parts = [self.stand_in(v, trace) for v in x]
            same = all([a is b for a, b in zip(parts, x, strict=True)])
            return x if same else getattr(type(x), "_make", type(x))(parts)
        inner = self.inside(x)
        holds: list[Place] = [Attribute(x, k) for k in inner or ()]
        if inner is None and isinstance(x, (list, dict, deque)):
            holds = [Item(x, k) for k in (dict.keys(x) if isinstance(x, dict) else range(len(x)))]
            holds += [Attribute(x, k) for k, _ in attributes(x).items()]
        for place in holds:
            value = place.get()
            part = self.stand_in(value, trace)
            if part is not value:
                place.set(part)
        return x

    def froze(self, trace: Trace) -> bool:
        """Whether a traced call needed such a number as it is, so that it is one no longer."""
        watched = {id(getattr(source, "source", source)) for source, _ in trace.watch}
        found = {place for place, source in self.sources.items() if id(source) in watched}
        self.places, self.frozen = self.places - found, self.frozen | found
        return bool(found)


def parts_of(found: tuple[Any, ...]) -> Iterator[tuple[Where, Any]]:
    """The places and signatures of positional or named arguments."""
    return iter(enumerate(found[1:]) if found[0] is tuple else found[1:])


def is_number(part: Any) -> bool:
    """Whether a signature is that of a number."""
    return type(part) is tuple and len(part) == 2 and part[0] in NUMBERS


def differing(key: Any, other: Any) -> set[Where] | None:
    """The places of numbers in which two signatures differ; None where they differ in more."""
    if key[2:] != other[2:]:
        return None
    found: set[Where] = set()
    for mine, others in zip(key[:2], other[:2], strict=True):
        if mine == others:
            continue
        if mine is None or others is None or len(mine) != len(others):
            return None
        for (place, a), (also, b) in zip(parts_of(mine), parts_of(others), strict=True):
            if place == also and a == b:
                continue
            if place != also or not is_number(a) or not is_number(b) or a[0] is not b[0]:
                return None
            found.add(place)
    return found
