"""NumPy arrays that a call gets of tensors, is given or draws, and what NumPy computes from them.

While a call is traced, a Lent stands for such an array. What NumPy makes of it is a Lent again, or
a Number, which knows how it is come by at a later call: from what the program gave, by the same
functions of NumPy. So they may be returned, kept and printed. What else looks at their content, or
writes to it, keeps the call from being captured.

What a call is given or draws is known before the program runs, and so is what NumPy computes from
that alone. It may also become a tensor, an argument more, and decide: another decision takes
another capture.
"""

from __future__ import annotations

import functools
import operator
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.early import Computed, Marked, marked
from rushlight.compiler.held import PLAIN, SMALL
from rushlight.compiler.python_numbers import Reading, formatted, is_number, number
from rushlight.core.state import GradMode
from rushlight.core.tensor import Tensor

FIXED = ("dtype", "itemsize")  # of arrays in each call
OF_SHAPE = ("shape", "ndim", "size", "nbytes")
WRITING = ("sort", "fill", "put", "itemset", "resize", "setfield", "partition", "setflags",
           "tofile", "dump", "byteswap")  # fmt: skip
OTHERS = ("copyto", "put", "place", "putmask", "fill_diagonal", "put_along_axis", "save", "savetxt",
          "savez", "savez_compressed", "apply_along_axis", "apply_over_axes")  # fmt: skip
TURNED: dict[str, Callable[..., Tensor]] = {  # views that tensors have too
    "T": lambda t: t.permute(*range(t.ndim)[::-1]),
    "ravel": lambda t: t.reshape(-1),
    "reshape": lambda t, *shape: t.reshape(*shape),
    "squeeze": lambda t, *dim: t.squeeze(*dim),
    "transpose": lambda t, *dims: t.permute(*(dims or range(t.ndim)[::-1])),
}
VIEWING = (int, slice, type(None), type(Ellipsis))
NUMBERS = (int, float)
SHORT = 1024  # numbers in a list that are known one by one


class Whole(Reading):
    """What was read of a tensor as a whole."""

    __slots__ = ()

    def seen(self, tensor: Tensor) -> Any:
        """The array."""
        return tensor._array

    def forget(self) -> None:
        """Let go of the array of the traced call."""
        self.tensor = self.value = None  # type: ignore[assignment]


class Lent:
    """An array, ``value`` now, on the memory of ``tensor``; or what ``source()`` gives at a later
    call, once ``readings`` are known, or, where there are none, before the program runs. ``drawn``
    says that it depends on random numbers, see drawn.py.
    """

    __slots__ = ("value", "trace", "tensor", "source", "readings", "drawn", "__weakref__")
    __class__ = property(lambda self: type(self.value))

    def __init__(
        self,
        value: Any,
        trace: Any,
        tensor: Any = None,
        source: Any = None,
        readings: Any = (),
        drawn: bool = False,
    ) -> None:
        self.value, self.trace, self.tensor = value, trace, tensor
        self.source, self.readings, self.drawn = source, readings, drawn
        trace.made.append(weakref.ref(self))

    @property
    def is_early(self) -> bool:
        """Whether it is known before the program runs."""
        return self.source is not None and not self.readings

    @property
    def is_window(self) -> bool:
        """Whether it shows the memory of a tensor that the call computes."""
        return self.tensor is not None and self.source is None

    def fixed(self) -> Any:
        """The array, for what cannot be followed."""
        if not self.is_early:
            self.trace.refuse("what NumPy or Python makes of an array of a tensor")
        else:
            if self.drawn and type(self.value) is not np.bool_:
                self.trace.pin_drawn(self.value)
            source, _ = self.known()
            self.trace.watched(Marked(source), marked(self.value))
        return self.value

    def outdate(self) -> None:
        """Its memory was written to: it is not to be looked at any longer."""
        self.tensor, self.source = None, self.refused

    def refused(self) -> Any:
        """What it held."""
        return self.value

    def written(self) -> Any:
        """The array, for what writes to it."""
        self.trace.refuse("what writes to a NumPy array")
        return self.value

    def known(self) -> tuple[Callable[[], Any], tuple[Any, ...]]:
        """How what it holds now is come by at a later call, and from what readings."""
        if self.trace.failure is None and self.tensor is not None and self.source is not None:
            self.trace.operand(self.tensor)  # so that writes to its memory are noticed
        if self.source == self.refused:
            self.trace.fail("it goes on with a part of an array that was shuffled")
        if not self.is_window or self.trace.failure is not None:
            return self.source, self.readings
        with GradMode(False):
            reading = Whole(self.tensor.detach().clone())
        self.trace.readings.append(reading)
        return lambda: reading.value, (reading,)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return np.array(self.fixed(), *args, **kwargs)

    def __array_ufunc__(self, ufunc: Any, method: str, *given: Any, **options: Any) -> Any:
        function = getattr(ufunc, method)
        return self.compute(function, given, options, method == "at" or "out" in options)

    def __array_function__(self, function: Any, types: Any, given: Any, options: Any) -> Any:
        writes = "out" in options or function.__name__ in OTHERS
        return self.compute(function, given, options, writes)

    def compute(self, function: Any, given: Any, options: Any, writes: bool = False) -> Any:
        """What a function makes of arrays, numbers and constants."""
        return computed(self.trace, function, given, options, writes)

    def __getattr__(self, name: str) -> Any:
        if name in FIXED or (self.tensor is not None and name in OF_SHAPE):
            return getattr(self.value, name)
        if self.is_window and name in TURNED:
            if name == "T":
                return self.turned(name)
            return functools.partial(self.turned, name)
        if self.is_window and name in ("item", "tolist"):
            return getattr(self.tensor, name)
        if not callable(getattr(self.value, name)):
            return self.compute(operator.attrgetter(name), (self,), {})

        def method(*given: Any, **options: Any) -> Any:
            def call(x: Any, *operands: Any, **named: Any) -> Any:
                return getattr(x, name)(*operands, **named)

            return self.compute(call, (self, *given), options, name in WRITING or "out" in options)

        return method

    def turned(self, name: str, *given: Any, **options: Any) -> Any:
        """A view that the tensor has as well."""
        if not options:
            return self.trace.lend(TURNED[name](self.tensor, *given))
        return self.compute(operator.methodcaller(name, *given, **options), (self,), {})

    def __getitem__(self, key: Any) -> Any:
        if not self.is_window or not isinstance(self.value, np.ndarray):
            return self.compute(operator.getitem, (self, key), {})
        items = key if type(key) is tuple else (key,)
        plain = all([type(i) in VIEWING for i in items])
        backwards = any([type(i) is slice and i.step is not None for i in items])
        element = all([type(i) is int for i in items]) and len(items) == self.value.ndim
        if not plain or backwards or element:
            return self.compute(operator.getitem, (self, key), {})
        return self.trace.lend(self.tensor[key])

    def __iter__(self) -> Any:
        return iter([self[k] for k in range(len(self))])

    def __len__(self) -> int:
        if self.tensor is None and self.is_early:
            return self.compute(len, (self,), {})
        return len(self.value if self.tensor is not None else self.fixed())

    def __format__(self, how: str) -> str:
        return formatted(self, how)

    def as_number(self, kind: Any) -> Any:
        """What ``float`` or ``int`` makes of it."""
        return self.compute(kind, (self,), {})

    def frozen(self) -> Any:
        """It as it is now, to be looked at later."""
        return self.compute(np.copy, (self,), {}) if self.tensor is not None else self


def computed(trace: Any, function: Any, given: Any, options: Any, writes: bool) -> Any:
    """What a function of NumPy's or Python's makes of arrays, numbers and constants, of which some
    may be others at a later call.
    """
    found = Found()
    (operands, named), then = found.part((given, options))
    value = function(*operands, **named)
    if not trace.open or trace.failure is not None:
        return value
    results = value if type(value) is tuple else (value,)
    kinds = {type(v) for v in results}
    known = kinds <= {np.ndarray, *SCALARS} and not (bool in kinds and trace.asks_truth)
    if not found.readings and not writes:
        return found.before(trace, value, known, trace.early.computed(function, then))
    shared = [np.may_share_memory(v, a) for v in results for a in found.tensors]
    if writes or found.strange or trace.handles or not known or any(shared):
        trace.refuse("what NumPy makes of an array or a number of a tensor")
        return value
    readings = tuple(found.readings)
    return parted(value, trace, Once(function, then, readings[0]), readings, found.drawn)


class Once:
    """What a function gives, once for each call of the program, after which ``clock`` was read."""

    def __init__(self, function: Any, then: Callable[[], Any], clock: Reading) -> None:
        self.function, self.then, self.clock = function, then, clock
        self.call, self.value = 0, None

    def __call__(self) -> Any:
        if self.call != self.clock.calls:
            given, options = self.then()
            self.call, self.value = self.clock.calls, self.function(*given, **options)
        return self.value

    def part(self, k: int) -> Any:
        """A part of what it gives."""
        return self()[k]


class Element:
    """Element k of what was read."""

    def __init__(self, reading: Reading, k: int) -> None:
        self.reading, self.k = reading, k

    def __call__(self) -> Any:
        return self.reading.value.item(self.k)


def in_a_row(x: Any) -> Callable[[], list[Any]] | None:
    """How numbers that follow each other in one array are come by together; None for others."""
    found = [v.source for v in x if is_number(v)]
    if len(found) < len(x) or not x or not all([type(s) is Element for s in found]):
        return None
    reading, first = found[0].reading, found[0].k
    if any([s.reading is not reading or s.k != first + n for n, s in enumerate(found)]):
        return None
    return lambda: reading.value.reshape(-1)[first : first + len(found)].tolist()


class Found:
    """What a function is given: ``tensors``, the memory that arrays are on, ``readings``, and
    whether there is something that ``moves``, as it may be another at a later call, or is
    ``strange``, and cannot be known then.
    """

    def __init__(self) -> None:
        self.tensors: list[Any] = []
        self.readings: dict[Reading, None] = {}
        self.moving: list[Any] = []
        self.strange = self.drawn = self.moves = False

    def part(self, x: Any) -> tuple[Any, Callable[[], Any]]:
        """A part now, and how it is come by at a later call."""
        kind = type(x)
        if kind is Lent or is_number(x):
            self.moving.append(x)
            if kind is Lent and x.tensor is not None:
                self.tensors.append(x.value)
            self.drawn, self.moves = self.drawn or x.drawn, True
            source, readings = x.known() if kind is Lent else (x.source, x.readings)
            self.readings.update(dict.fromkeys(readings))
            return x.value, source
        if kind in (list, tuple):
            values, later = zip(*[self.part(v) for v in x], strict=True) if x else ((), ())
            return kind(values), lambda: kind([v() for v in later])
        if kind is dict:
            found = {k: self.part(v) for k, v in x.items()}
            after = {k: then for k, (_, then) in found.items()}
            return {k: v for k, (v, _) in found.items()}, lambda: {k: v() for k, v in after.items()}
        if kind is slice:
            ends, then = self.part((x.start, x.stop, x.step))
            return slice(*ends), lambda: slice(*then())
        if kind is np.ndarray and x.nbytes <= SMALL and x.dtype != object:
            kept = x.copy()
            return x, lambda: kept
        self.strange |= not (kind in PLAIN or kind in CONSTANT or isinstance(x, np.generic))
        return x, lambda: x

    def before(self, trace: Any, value: Any, known: bool, source: Computed) -> Any:
        """What stands for a ``value`` that is known before the program runs; the value itself, and
        a guard, where nothing can.
        """
        if self.strange:
            for x in self.moving:
                x.fixed()
            return value
        if known:
            return parted(value, trace, source, (), self.drawn)
        numbers = type(value) is list and all([type(v) in NUMBERS for v in value])
        if numbers and 0 < len(value) <= SHORT:
            parts = [functools.partial(source.part, k) for k in range(len(value))]
            return [result(v, trace, s, (), self.drawn) for v, s in zip(value, parts, strict=True)]
        if not is_constant(value):
            for x in self.moving:
                x.fixed()
        else:
            trace.watched(Marked(source), marked(value))
        return value


SCALARS = (bool, int, float, np.bool_, np.float16, np.float32, np.float64, np.int8, np.int16,
           np.int32, np.int64, np.uint8)  # fmt: skip
CONSTANT = (type, type(Ellipsis), *map(type, map(np.dtype, "?bhilBfde")))


def is_constant(x: Any) -> bool:
    """Whether a later call can compare what it finds with x, such as a shape."""
    if type(x) in (list, tuple):
        return all(map(is_constant, x))
    return type(x) in (bool, int, float, str, bytes, type(None))


def parted(value: Any, trace: Any, source: Any, readings: Any, drawn: bool) -> Any:
    """What stands for something that NumPy computed, or for several such things in a tuple."""
    if type(value) is not tuple:
        return result(value, trace, source, readings, drawn)
    parts = [functools.partial(source.part, k) for k in range(len(value))]
    both = zip(value, parts, strict=True)
    return tuple([result(v, trace, s, readings, drawn) for v, s in both])


def result(value: Any, trace: Any, source: Any, readings: Any, drawn: bool) -> Any:
    """What stands for something that NumPy computed."""
    if type(value) not in NUMBERS:
        return Lent(value, trace, None, source, readings, drawn)
    if not readings:
        return number(value, source, trace, drawn=drawn)

    def late() -> Tensor:
        trace.refuse("what NumPy computes of an array of a tensor, which decides what follows,")
        return readings[0].tensor  # of a capture that has failed

    return number(value, source, trace, readings, late)


def listed(t: Tensor, trace: Any) -> Any:
    """The elements of a tensor as Numbers in lists."""
    _, readings = Lent(t._array, trace, t).known()
    real, shape = t._array.dtype.kind == "f", t._array.shape

    def late(k: int) -> Tensor:
        x = readings[0].tensor.reshape(-1)[k]
        return x.double() if real else x.long()

    made: Any = [
        number(v, Element(readings[0], k), trace, readings, functools.partial(late, k))
        for k, v in enumerate(t._array.ravel().tolist())
    ]
    for n in shape[:0:-1]:
        made = [made[k : k + n] for k in range(0, len(made), n)]
    return made


def spelled(name: str) -> Any:
    """The method of an operation that NumPy has."""
    function = round if name == "round" else getattr(operator, name)

    def method(self: Lent, *others: Any) -> Any:
        if any([isinstance(o, Tensor) for o in others]):
            return NotImplemented
        return self.compute(function, (self, *others), {})

    return method


def swapped(name: str) -> Any:
    """As ``spelled``, for what stands on the right."""
    function = getattr(operator, name)

    def method(self: Lent, other: Any) -> Any:
        return self.compute(function, (other, self), {})

    return method


def look(name: str) -> Any:
    """A method that needs the content, or writes."""
    writes = name in ("__setitem__", "__delitem__")

    def method(self: Lent, *given: Any) -> Any:
        return getattr(self.written() if writes else self.fixed(), name)(*given)

    return method


def in_place(name: str) -> Any:
    """The method of an operation that writes to arrays, and makes other numbers."""
    function, writing = getattr(operator, name), getattr(operator, "i" + name.strip("_"))

    def method(self: Lent, other: Any) -> Any:
        if isinstance(self.value, np.ndarray):
            return writing(self.written(), other)
        return self.compute(function, (self, other), {})

    return method


BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor",
          "lshift", "rshift")  # fmt: skip
for _name in BINARY:
    setattr(Lent, f"__{_name.strip('_')}__", spelled(_name))
    setattr(Lent, f"__r{_name.strip('_')}__", swapped(_name))
    setattr(Lent, f"__i{_name.strip('_')}__", in_place(_name))
for _name in ("neg", "pos", "abs", "invert", "eq", "ne", "lt", "le", "gt", "ge", "round"):
    setattr(Lent, f"__{_name}__", spelled(_name))
for _name in ("bool", "float", "int", "index", "complex", "str", "repr", "contains", "setitem",
              "delitem", "reduce_ex", "divmod", "copy", "deepcopy", "hash"):  # fmt: skip
    setattr(Lent, f"__{_name}__", look(f"__{_name}__"))
