"""Random numbers of Python's own and of NumPy's that a function draws.

No program can draw them, but they can be drawn before it runs. While a call is traced, others stand
for the generators and for the modules that have functions of them: they note what is asked of which
generator, and give Numbers (see python_numbers.py). Each later call asks for the same again, in the
same order; where the program then does not fit, the generators go back to where they were.
"""

from __future__ import annotations

import functools
import random
import threading
import weakref
from collections.abc import Callable
from types import BuiltinMethodType, MethodType, ModuleType
from typing import Any

import numpy as np

from rushlight.compiler.early import is_input
from rushlight.compiler.generators import is_generator, mark, rewind
from rushlight.compiler.lent import Found, Lent
from rushlight.compiler.living import living_tensors
from rushlight.compiler.numeric import Numeric, is_numeric
from rushlight.compiler.python_numbers import is_number, number, source_of, value_of

GLOBAL: Any = (random.random.__self__, np.random.rand.__self__)  # type: ignore[attr-defined]
NUMBERS = (int, float, np.int64, np.float64)
MODULES = (random, np, np.random)
SETTING = ("seed", "setstate", "set_state", "__setstate__")


class Drawn(threading.local):
    """What this thread's call drew, and where generators were before."""

    values: Any = ()
    before: Any = ()


class Draws:
    """What a call draws, in order."""

    def __init__(self, trace: Any, generators: Any) -> None:
        self.trace = trace
        self.asked: list[Callable[[], Any]] = []
        self.generators: list[Any] = []
        self.call = Drawn()
        self.call.values = []
        self.why = ""  # it cannot be followed
        self.shuffles = False  # whether the code names a function that shuffles in place
        self.before: Any = [(g, mark(g)) for g in (*GLOBAL, *generators)]

    def value(self, k: int) -> Any:
        """What draw k gave at this call."""
        return self.call.values[k]

    def part(self, source: Callable[[], Any], k: int) -> Any:
        """Item k of a list that was drawn."""
        return source()[k]

    def again(self) -> None:
        """Draw for another call."""
        self.call.before = [(g, mark(g)) for g in self.generators]
        self.call.values = values = []  # draws may depend on those before
        for ask in self.asked:
            values.append(ask())

    def settle(self, out: Any) -> None:
        """Go back to where the generators were, if a call was left (NotImplemented)."""
        if out is NotImplemented:
            go_back(self.call.before)
        self.call.before = self.call.values = ()

    def closed(self) -> Draws | None:
        """What a program keeps of this; None if nothing was drawn."""
        self.trace = self.before = None
        return self if self.asked else None

    def ask(self, method: Any, *given: Any, **options: Any) -> Any:
        """Draw, and note how."""
        generator, trace, found = method.__self__, self.trace, Found()
        if method.__name__ in SETTING:
            self.fail("it seeds a generator of random numbers", "seed it before")
            return method(*given, **options)
        (operands, named), then = found.part((given, options))
        if found.readings:
            trace.refuse("a random number between bounds that are read from a tensor")
            self.why = self.why or trace.failure
        if method.__name__ == "shuffle" or "out" in options:
            self.fail(
                f"{method.__name__} writes random values to what it is given",
                "draw what is new, as permutation() does",
            )
            return method(*operands, **named)
        value = method(*operands, **named)
        if not any([g is generator for g in self.generators]):
            self.generators.append(generator)

        def again() -> Any:
            operands, named = then()
            return method(*operands, **named)

        source = functools.partial(self.value, len(self.asked))
        self.asked.append(again)
        self.call.values.append(value)
        if type(value) in NUMBERS and trace.open:
            plain = value if type(value) in (int, float) else value.item()
            return number(plain, source, trace, drawn=True)
        arrays = [x for x in (*operands, *named.values()) if isinstance(x, np.ndarray)]
        apart = not any([np.may_share_memory(value, x) for x in arrays])
        if type(value) is np.ndarray and is_input(value) and apart and trace.open:
            return Lent(value, trace, None, source, (), True)
        if type(value) is list and {*map(type, value)} <= {int, float} and trace.open:
            return [
                number(v, functools.partial(self.part, source, k), trace, drawn=True)
                for k, v in enumerate(value)
            ]
        self.fail(
            f"{method.__name__} gives random values other than numbers",
            "draw the places where they are, or draw before and pass what came",
        )
        return value

    def fail(self, why: str, advice: str = "") -> None:
        """The call cannot be captured."""
        self.trace.fail(why, advice)
        self.why = self.why or self.trace.failure

    def choice(self, method: Any, seq: Any) -> Any:
        """One of a sequence of Python's, which draws as its place does."""
        place = self.ask(method, range(len(seq)))
        if is_number(place):
            self.trace.watched(place.source, place.value)
        return seq[value_of(place)]

    def shuffle(self, method: Any, x: list[Any]) -> None:
        """A list in another order, which is drawn as that of its places is."""
        known = [type(v) in (int, float) or (is_number(v) and not v.readings) for v in x]
        if not all(known):
            self.ask(method, x)
            return

        def order() -> list[int]:
            places = list(range(len(x)))
            method(places)
            return places

        order.__self__ = method.__self__  # type: ignore[attr-defined]
        before, places = [*x], self.ask(order)
        for k, place in enumerate(places):
            x[k] = number(value_of(before[value_of(place)]), Shuffled(before, place), self.trace)
            x[k].drawn = True

    def shuffle_array(self, method: Any, x: Lent) -> None:
        """What stands for an array stands for it in another order from now on. What stands for a
        part of it, which has the new order as well, must not be looked at any longer.
        """
        array, source, trace = x.value, x.source, self.trace
        lent = [found for ref in trace.made if type(found := ref()) is Lent and found is not x]
        parts = [o for o in lent if shares(o.value, array)]
        own = {id(o.tensor) for o in parts} | {id(t) for t in trace.given}
        seen = [t for t in living_tensors() if id(t) not in own and shares(t._array, array)]
        whole = x.is_early and x.tensor is None and array.base is None
        if not whole or seen or trace.failure is not None:
            self.ask(method, x)
            return
        for part in parts:
            part.outdate()
        for t in trace.given:  # which parts of it became
            if shares(t._array, array):
                trace.before.setdefault(trace.operand(t).number, t._array.copy())

        def order() -> Any:
            new = source().copy()
            method(new)
            return new

        order.__self__ = method.__self__  # type: ignore[attr-defined]
        drawn = self.ask(order)
        array[...] = drawn.value
        x.source, x.drawn = drawn.source, True

    def explain(self) -> bool:
        """Whether drawing the same again leaves the generators as the call did."""
        now = [(g, mark(g)) for g, _ in self.before]
        if now == self.before and not self.asked:
            return True
        given = self.call.values
        go_back(self.before)
        self.again()
        then = [(g, mark(g)) for g, _ in self.before]
        go_back(now)
        self.call.values, self.call.before = given, ()
        return then == now


class Shuffled:
    """One of numbers, at a place that is drawn."""

    def __init__(self, numbers: list[Any], place: Any) -> None:
        self.sources, self.place = [source_of(x) for x in numbers], source_of(place)

    def __call__(self) -> Any:
        return self.sources[self.place()]()


def shares(x: Any, array: Any) -> bool:
    """Whether an array has memory in common with another."""
    return isinstance(x, np.ndarray) and np.may_share_memory(x, array)


def go_back(found: list[Any]) -> None:
    """Let generators stand where they stood."""
    for g, where in found:
        rewind(g, where)


class Drawing:
    """Stands for ``value``: a generator, a method of one, or a module that has such."""

    __class__ = property(lambda self: type(self.value))

    def __init__(self, value: Any, draws: Draws) -> None:
        self.value, self.draws = value, draws
        draws.trace.made.append(weakref.ref(self))

    def __call__(self, *given: Any, **options: Any) -> Any:
        method, trace = self.value, self.draws.trace
        if trace is None or not trace.open:  # another thread
            return method(*given, **options)
        if type(method.__self__) is random.Random and method.__name__ == "choice":
            return self.draws.choice(method, *given, **options)
        if method.__name__ == "shuffle" and type(given[0]) is list and not options:
            return self.draws.shuffle(method, given[0])
        if method.__name__ == "shuffle" and type(given[0]) is Lent and not options:
            return self.draws.shuffle_array(method, given[0])
        return self.draws.ask(method, *given, **options)

    def __getattr__(self, name: str) -> Any:
        x, trace = getattr(self.value, name), self.draws.trace
        if is_numeric(self.value, name) and trace is not None:
            return Numeric(x, trace)
        if x is np.arange and trace is not None and self.draws.shuffles:
            return Numeric(x, trace, always=True)
        return Drawing(x, self.draws) if can_draw(x) and trace is not None else x

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self.draws.trace is not None:
            self.draws.fail("it copies, keeps or returns a generator of random numbers")
        return self.value.__reduce_ex__(protocol)


def can_draw(x: Any) -> bool:
    """Whether x is a generator, a method of one, or a module that has such."""
    if type(x) is ModuleType:
        return any([x is m for m in MODULES])
    method = type(x) in (MethodType, BuiltinMethodType)
    return is_generator(x.__self__ if method else x)
