"""What is known before a program runs: arrays among the arguments, random arrays, and what NumPy
computes from them.

While a call is traced, a Lent stands for such an array, see lent.py. A later call has its own, and
computes anew what the program, its results or its conditions need, each once. An array that became
a tensor is an argument more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.compiler.orders import order_in_memory
from rushlight.core.tensor import Tensor, wrap


def is_input(x: Any) -> bool:
    """Whether an array can be an argument as a tensor is."""
    if type(x) is not np.ndarray or x.dtype not in dtypes.of or not x.dtype.isnative:
        return False
    return x.flags.aligned and min(x.strides, default=0) >= 0


def layout(x: Any) -> Any:
    """What a program depends on in an array."""
    return x.shape, x.dtype, x.flags.c_contiguous or order_in_memory(x)


class Brought(threading.local):
    """What this thread's call brings: tensors among the arguments, some on arrays, and what was
    computed, by what computes it.
    """

    arguments: Any = ()
    values: Any = ()


class Early:
    """What is known before a program runs. ``used`` says whether anything asks for it."""

    def __init__(self) -> None:
        self.call, self.used = Brought(), False
        self.sources: list[Computed] = []

    def begin(self, arguments: Any) -> None:
        """Another call."""
        self.call.arguments, self.call.values = arguments, {}

    def end(self) -> None:
        """Keep nothing of it."""
        self.call.arguments = self.call.values = ()

    def passed(self, k: int) -> Passed:
        """How the array that argument k is on is come by."""
        self.used = True
        return Passed(self.call, k)

    def computed(self, function: Any, then: Callable[[], Any]) -> Computed:
        """How what a function gives is come by."""
        self.used = True
        self.sources.append(Computed(self.call, function, then))
        return self.sources[-1]

    def compute(self) -> None:
        """Compute all of it, which may raise an error, as long as nothing is written."""
        for source in self.sources:
            source()


class Passed:
    """The array that argument k is on."""

    def __init__(self, call: Brought, k: int) -> None:
        self.call, self.k = call, k

    def __call__(self) -> Any:
        return self.call.arguments[self.k]._array


class Computed:
    """What a function gives, once for each call."""

    def __init__(self, call: Brought, function: Any, then: Callable[[], Any]) -> None:
        self.call, self.function, self.then = call, function, then

    def __call__(self) -> Any:
        values = self.call.values
        if self not in values:
            given, options = self.then()
            values[self] = self.function(*given, **options)
        return values[self]

    def part(self, k: int) -> Any:
        """A part of what it gives."""
        return self()[k]


class Added:
    """An array that becomes a tensor: an argument more of the program."""

    def __init__(self, source: Callable[[], Any], now: Any) -> None:
        self.source, self.layout = source, layout(now)

    @property
    def in_rows(self) -> bool:
        """Whether its elements lie one after another."""
        return self.layout[2] is True

    def blank(self) -> Any:
        """An array like it."""
        return np.empty(*self.layout[:2])

    def tensor(self) -> Tensor | None:
        """The tensor of this call; None where it is of another kind than the program's."""
        a = np.asarray(self.source())
        return wrap(a) if is_input(a) and layout(a) == self.layout else None


class Marked:
    """What ``marked`` makes of what a source gives."""

    def __init__(self, source: Callable[[], Any]) -> None:
        self.source = source

    def __call__(self) -> Any:
        return marked(self.source())


def marked(x: Any) -> Any:
    """What is equal for equal content, of arrays, too."""
    if isinstance(x, (np.ndarray, np.generic)):
        return type(x), x.shape, x.dtype.str, x.tobytes()
    if isinstance(x, (list, tuple)):
        return type(x), *map(marked, x)
    return type(x), repr(x) if isinstance(x, float) else x
