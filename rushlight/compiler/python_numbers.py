"""Python numbers that may be others at the next call.

A learning rate, or a counter that each call moves on, is known before a program runs. What
``.item()`` reads is known after it. While a call is traced a Number stands for either: Python
computes with it as with an int or a float, and what comes out is a Number again, which knows how
the value is come by at a later call. A comparison fixes its outcome, for numbers known before as a
guard, for those known after as a condition within the program. What else looks at a number fixes
its value, or, where that is known too late, keeps the call from being captured.
"""

from __future__ import annotations

import functools
import gc
import math
import operator
import weakref
from collections import deque
from collections.abc import Callable
from types import BuiltinFunctionType, CellType, FrameType
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.compiler.objects import attributes
from rushlight.compiler.sources import Formula
from rushlight.core.device_array import host
from rushlight.core.state import GradMode
from rushlight.core.tensor import Tensor
from rushlight.tensor_api._common import warn_of_lost_gradient


class _Real(float):
    """What isinstance takes a Number for."""


class _Whole(int):
    """What isinstance takes a Number for that is an int."""


KINDS: dict[type, type] = {float: _Real, int: _Whole, bool: bool}


class Reading:
    """What was read from a tensor: ``tensor`` is a copy of it, and ``value`` what it holds after a
    later call; ``calls`` counts these.
    """

    __slots__ = ("tensor", "value", "calls")

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.value, self.calls = tensor, self.seen(tensor), 0

    def seen(self, tensor: Tensor) -> Any:
        """What Python sees of it."""
        return python_value(tensor)

    def take(self, parts: list[Tensor]) -> None:
        """Look at the result of a later call."""
        self.value = self.seen(parts[0])
        self.calls += 1


def python_value(t: Tensor) -> Any:
    """What a tensor of one element holds."""
    x = host(t)
    return float(x.reshape(())) if x.dtype in dtypes.FOREIGN else x.item()


class Number:
    """A Python number, ``value`` now; at a later call ``source()`` gives it, before the program
    runs, or after it, where it depends on ``readings``. ``late()`` then computes it within the
    program: a 0-dim tensor, float64 or int64. ``trace`` is the trace that it belongs to.

    ``drawn`` says that it depends on a random number, see drawn.py.

    It is no float or int, whose value C code reads without asking.
    """

    __slots__ = ("value", "source", "trace", "readings", "late", "drawn", "__weakref__")
    __class__ = property(lambda self: KINDS[type(self.value)])

    def __init__(
        self,
        value: Any,
        source: Callable[[], Any],
        trace: Any,
        readings: tuple[Reading, ...] = (),
        late: Callable[[], Tensor] | None = None,
    ) -> None:
        self.value, self.source, self.trace = value, source, trace
        self.readings, self.late, self.drawn = readings, late, False
        trace.made.append(weakref.ref(self))

    def __new__(cls, value: Any, *rest: Any) -> Any:
        """Or a plain number: code of Python's makes one of the ``type`` of another."""
        if rest:
            return object.__new__(cls)
        return int(value) if issubclass(cls, Whole) else float(value)

    def fixed(self) -> Any:
        """The value, which must be the same in later calls."""
        if self.late is not None and self.readings and type(self.value) is int:
            with GradMode(False):
                self.trace.pin("an integer read from a tensor", self.late())
        elif self.readings:
            self.trace.refuse(
                "what Python computes or prints, as text or by C code, of a number read from a "
                "tensor"
            )
        else:
            if self.drawn:
                self.trace.pin_drawn(self.value)
            self.trace.watched(self.source, self.value)
        return self.value

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return np.array(self.fixed(), *args, **kwargs)

    def __reduce__(self) -> Any:
        return type(self.value), (self.fixed(),)

    def __getattr__(self, name: str) -> Any:
        if not hasattr(type(self.value), name):
            raise AttributeError(f"{type(self.value).__name__!r} object has no attribute {name!r}")
        return getattr(self.fixed(), name)


class Whole(Number):
    """A Number that is an int or a bool."""

    __slots__ = ()

    def __index__(self) -> int:
        return int(self.fixed())


def number(value: Any, *rest: Any, drawn: bool = False) -> Number:
    """The Number of a value's kind."""
    made = (Number if type(value) is float else Whole)(value, *rest)
    made.drawn = drawn
    return made


def read(t: Tensor, trace: Any) -> Any:
    """What a tensor of one element holds, which is known after the program."""
    reading = Reading(t.detach().reshape(()).clone())
    if type(reading.value) not in KINDS:
        trace.refuse("item() of a complex tensor")
        return reading.value
    trace.readings.append(reading)
    real = type(reading.value) is float

    def late() -> Tensor:
        return reading.tensor.double() if real else reading.tensor.long()

    return number(reading.value, lambda: reading.value, trace, (reading,), late)


def is_number(x: Any) -> bool:
    """Whether x is a Number; the class that it shows is another."""
    return issubclass(type(x), Number)


def value_of(x: Any) -> Any:
    """A number's value now."""
    return x.value if is_number(x) else x


def source_of(x: Any) -> Callable[[], Any]:
    """How a number, which may be Python's own, is come by later."""
    return x.source if is_number(x) else lambda: x


def is_late(x: Any) -> bool:
    """Whether x is a number that is known after the program only."""
    return is_number(x) and bool(x.readings)


def is_drawn(x: Any) -> bool:
    """Whether x is a number that depends on a random one."""
    return is_number(x) and bool(x.drawn)


def within(x: Any) -> Any:
    """A number within the program: a 0-dim tensor, or itself if it is known before."""
    return x.late() if is_late(x) else x


def alike(operands: Any) -> list[Any]:
    """Operands of a computation within the program: tensors of one dtype, and numbers."""
    whole = all([isinstance(x, int) for x in operands])
    found = [within(x) for x in operands]
    return [x.double() if isinstance(x, Tensor) and not whole else x for x in found]


EXACT: dict[str, Callable[..., Any]] = {  # what tensors compute as Python does
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "neg": operator.neg,
    "pos": operator.pos,
    "abs": operator.abs,
}
DIVIDING: dict[str, Callable[..., Any]] = {
    "truediv": operator.truediv,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
}
IN_PYTHON: dict[str, Callable[..., Any]] = {
    "pow": operator.pow,
    "round": round,
    "floor": math.floor,
    "ceil": math.ceil,
    "trunc": math.trunc,
}


TO_WHOLE = ("round", "floor", "ceil", "trunc")  # what gives an int of one number


def arithmetic(name: str, plain: Callable[..., Any], swapped: bool = False) -> Any:
    """The method of an operation of numbers that gives one."""

    def method(self: Number, *others: Any) -> Any:
        operands = (*others, self) if swapped else (self, *others)
        if any([isinstance(o, complex) for o in others]):
            return plain(*[o.fixed() if is_number(o) else o for o in operands])
        if any([not isinstance(o, (int, float, type(None))) for o in others]):
            return NotImplemented
        value = plain(*map(value_of, operands))
        if type(value) not in KINDS:  # complex, as a power of a negative number is
            self.fixed()
            return value
        sources = [o.source if is_number(o) else o for o in operands]
        trace, readings = self.trace, tuple([r for o in operands if is_late(o) for r in o.readings])
        if name == "pow" and readings and trace.handles:  # as in ``applied``
            return plain(*[o.fixed() if is_number(o) else o for o in operands])
        if name in DIVIDING and is_late(operands[1]):
            trace.assume(lambda: within(operands[1]) != 0, True)
        to_whole = len(operands) == 1 and name in TO_WHOLE
        if to_whole and readings and type(self.value) is float:  # others Python refuses
            trace.assume(lambda: within(self).isfinite(), True)

        def late() -> Tensor:
            if to_whole:
                rounded: Tensor = getattr(within(self).double(), name)().long()
                return self.late() if type(self.value) is int and self.late else rounded
            found = alike(operands)
            whole = all([isinstance(x, int) for x in operands])
            fine = name in EXACT or name == "truediv" or (name in DIVIDING and whole)
            if name == "pow" and not is_late(operands[1]):
                fine = True
                if not float(value_of(operands[1])).is_integer():  # complex, of negative numbers
                    trace.assume(lambda: within(operands[0]) >= 0, True)
            if not fine:
                trace.refuse(f"{name} of a number read from a tensor, which decides what follows,")
                return self.late() if self.late else found[0]  # of a capture that has failed
            out: Tensor = plain(*found)
            return out

        random = any(map(is_drawn, operands))
        return number(value, Formula(plain, sources), trace, readings, late, drawn=random)

    return method


def comparison(plain: Callable[..., Any]) -> Any:
    """The method of a comparison, whose outcome later calls must have too."""

    def method(self: Number, *others: Any) -> Any:
        if any([not isinstance(o, (int, float)) for o in others]):
            return NotImplemented
        operands = (self, *others)
        outcome = plain(*map(value_of, operands))
        if any(map(is_late, operands)):
            self.trace.assume(lambda: plain(*alike(operands)), outcome)
            return outcome
        sources = [source_of(o) for o in operands]
        self.trace.watched(lambda: plain(*[s() for s in sources]), outcome)
        return outcome

    return method


def applied(function: Callable[..., Any], *operands: Any) -> Any:
    """What a function of the module math makes of numbers: a Number, unless it says yes or no."""
    value = function(*map(value_of, operands))
    first = next(x for x in operands if is_number(x))
    source = Formula(function, [x.source if is_number(x) else x for x in operands])
    trace = first.trace
    readings = tuple([r for x in operands if is_late(x) for r in x.readings])
    if type(value) is bool and not readings:
        trace.watched(source, value)
    elif type(value) is bool and function.__name__ in SAME_NAMES:
        trace.assume(lambda: getattr(within(first).double(), function.__name__)(), value)
    elif type(value) not in (int, float) or (readings and trace.handles):
        for x in operands:  # an error later would come after the writes, and might be caught
            if is_number(x):
                x.fixed()
    else:

        def late() -> Tensor:
            if function.__name__ not in OF_TENSORS or len(operands) > 1:
                trace.refuse(f"math.{function.__name__} of a number that decides what follows,")
            out: Tensor = getattr(within(first).double(), function.__name__, within(first).double)()
            trace.assume(out.isfinite, True)  # else math raises an error
            return out

        random = any(map(is_drawn, operands))
        return number(value, source, trace, readings, late, drawn=random)
    return value


OF_TENSORS = ("exp", "log", "sqrt", "sin", "cos", "tan", "tanh", "log2", "log10", "log1p", "expm1")
SAME_NAMES = ("isnan", "isinf", "isfinite")  # functions of math that tensors have too


class Math:
    """The module math, or its functions, while a call is traced."""

    def __getattr__(self, name: str) -> Any:
        x = getattr(math, name)
        return deferring(x) if callable(x) else x


def deferring(function: Any) -> Any:
    """A function of the module math that takes Numbers."""

    @functools.wraps(function)
    def call(*operands: Any) -> Any:
        if any(map(is_number, operands)):
            return applied(function, *operands)
        return function(*operands)

    return call


def of_math(x: Any) -> Any:
    """What stands for the module math, or for one of its functions, while a call is traced; None
    for anything else.
    """
    if x is math:
        return Math()
    return deferring(x) if type(x) is BuiltinFunctionType and x.__module__ == "math" else None


class Conversion(type):
    """The class of what stands for ``float`` or ``int``, which user code calls, while a call is
    traced.
    """

    kind: type

    def __call__(cls, *given: Any, **options: Any) -> Any:
        x: Any = given[0] if len(given) == 1 and not options else None
        if isinstance(x, Tensor) and x._array.size == 1 and x._array.dtype.kind in "fiub":
            warn_of_lost_gradient(x)
            x = x.item()
        if hasattr(type(x), "as_number"):  # see lent.py
            return x.as_number(cls.kind)
        if not is_number(x):
            return cls.kind(*given, **options) if x is None else cls.kind(x)
        return x * 1.0 if cls.kind is float else math.trunc(x)

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, cls.kind)

    def __subclasscheck__(cls, other: Any) -> bool:
        return issubclass(other, cls.kind)


CONVERSIONS = {
    kind.__name__: Conversion(kind.__name__, (), {"kind": kind}) for kind in (float, int)
}


def truth(self: Number) -> bool:
    """Whether it is not zero."""
    return bool(self.__ne__(0))


def look(name: str) -> Any:
    """A method that fixes the value."""

    def method(self: Number, *others: Any) -> Any:
        others = tuple([o.fixed() if is_number(o) else o for o in others])
        return getattr(self.fixed(), name)(*others)

    return method


for _name, _plain in {**EXACT, **DIVIDING, **IN_PYTHON}.items():
    setattr(Number, f"__{_name}__", arithmetic(_name, _plain))
    if _name in ("add", "sub", "mul", "pow", *DIVIDING):
        setattr(Number, f"__r{_name}__", arithmetic(_name, _plain, swapped=True))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Number, f"__{_name}__", comparison(getattr(operator, _name)))
setattr(Number, "__bool__", truth)  # noqa: B010
setattr(Number, "__complex__", lambda self: complex(self.fixed()))  # noqa: B010
for _name in ("float", "int", "divmod", "rdivmod", "str", "repr", "hash"):
    setattr(Number, f"__{_name}__", look(f"__{_name}__"))
for _name in ("and", "or", "xor", "lshift", "rshift"):
    setattr(Whole, f"__{_name}__", look(f"__{_name}__"))
    setattr(Whole, f"__r{_name}__", look(f"__r{_name}__"))
setattr(Whole, "__invert__", look("__invert__"))  # noqa: B010


def formatted(x: Any, how: str = "") -> str:
    """The text of a Number or a Lent; where that is only printed, what stands for it."""
    printing = x.trace.printing if x.trace.open else None
    text: str | None = None if printing is None else printing.mark(x, how)
    return format(x.fixed(), how) if text is None else text


setattr(Number, "__format__", formatted)  # noqa: B010


def released(made: list[Any], out: Any) -> Any:
    """``out``, with Numbers that a trace made replaced by their values, there and wherever else
    they are kept.
    """
    box = [out]
    found = [n for n in [ref() for ref in made] if n is not None]
    values = {id(n): n.value for n in found}
    for _ in range(DEEPEST if found else 0):  # all that there is in Python is looked through
        given = (*found,)
        held = [h for h in gc.get_referrers(*given) if h is not found and h is not given]
        tuples = [h for h in held if isinstance(h, tuple)]
        for h in held:
            if not isinstance(h, tuple):
                substitute(h, values)
        parts = [[values.get(id(v), v) for v in h] for h in tuples]
        made_anew = [
            getattr(type(h), "_make", type(h))(p) for h, p in zip(tuples, parts, strict=True)
        ]
        values, found = {id(h): new for h, new in zip(tuples, made_anew, strict=True)}, tuples
        if not found:
            break
    return box[0]


DEEPEST = 5  # tuples within tuples, in which numbers are replaced


def substitute(holder: Any, values: dict[int, Any]) -> None:
    """Put other objects in the place of some, given by identity, in a container or object."""
    kind = type(holder)
    if issubclass(kind, (FrameType, Number, weakref.ref)):
        return
    if issubclass(kind, CellType):
        holder.cell_contents = values[id(holder.cell_contents)]
    elif issubclass(kind, (list, deque)):
        for k, v in enumerate(holder):
            if id(v) in values:
                holder[k] = values[id(v)]
    elif issubclass(kind, dict):
        users = gc.get_referrers(holder) if "__module__" in holder else []
        classes = [c for c in users if isinstance(c, type)]
        own = next((c for c in classes if c.__dict__ == holder), None)
        items = list(dict.items(holder))
        if any([id(k) in values for k, _ in items]):
            dict.clear(holder)
            items = [(values.get(id(k), k), v) for k, v in items]
            dict.update(holder, items)
        for k, v in items:
            if id(v) in values and own is not None:
                setattr(own, k, values[id(v)])  # classes remember what they looked up
            elif id(v) in values:
                dict.__setitem__(holder, k, values[id(v)])
    elif issubclass(kind, set):
        items = [values.get(id(v), v) for v in holder]
        set.clear(holder)
        set.update(holder, items)
    elif not issubclass(kind, frozenset):
        for k, v in list(attributes(holder).items()):
            if id(v) in values:
                object.__setattr__(holder, k, values[id(v)])
