"""NumPy's functions of numbers that may be others at the next call.

NumPy asks arrays that it is given what to do with them, see lent.py, but neither Python's numbers
nor lists of these; Python's module statistics asks for their types. So while a call is traced
others stand for functions that programs give such things to, as in ``np.mean(losses)``.
"""

from __future__ import annotations

import statistics
import weakref
from types import FunctionType
from typing import Any

import numpy as np

from rushlight.compiler.lent import computed
from rushlight.compiler.lists import Growing
from rushlight.compiler.python_numbers import is_drawn, is_number

NAMES = frozenset(
    ["absolute", "array", "asarray", "average", "clip", "cos", "exp", "exp2", "log", "log10",
     "log1p", "log2", "max", "maximum", "mean", "median", "min", "minimum", "percentile", "power",
     "prod", "quantile", "round", "sign", "sin", "sqrt", "square", "std", "sum", "tanh", "var"]
)  # fmt: skip


def is_numeric(module: Any, name: str) -> bool:
    """Whether what a module has under a name is a function of NumPy's that others stand for."""
    return module is np and name in NAMES


class Numeric:
    """Stands for a function of NumPy's: of numbers that may be others it gives such again; where
    these are not needed for that, ``always``. Or for the module statistics, or a function of it,
    which also takes ``lists`` that get longer.
    """

    __class__ = property(lambda self: type(self.value))

    def __init__(self, value: Any, trace: Any, always: bool = False, lists: bool = False) -> None:
        self.value, self.trace, self.always, self.lists = value, trace, always, lists
        trace.made.append(weakref.ref(self))

    def __call__(self, *given: Any, **options: Any) -> Any:
        if self.lists:
            given = tuple([x.whole() if type(x) is Growing else x for x in given])
        operands = [*given, *options.values()]
        moving, random = any(map(moves, operands)), any(map(draws, operands))
        # what is computed of random numbers mostly becomes a size, which no program follows
        if self.trace.open and moving is not self.always and not random:
            return computed(self.trace, self.value, given, options, "out" in options)
        return self.value(*given, **options)

    def __getattr__(self, name: str) -> Any:
        x = getattr(self.value, name)
        return Numeric(x, self.trace, lists=True) if is_statistical(x) else x


def is_statistical(x: Any) -> bool:
    """Whether x is Python's module statistics, or a function of it."""
    return x is statistics or (type(x) is FunctionType and x.__module__ == "statistics")


def draws(x: Any) -> bool:
    """Whether there is a random number in x."""
    return any(map(draws, x)) if type(x) in (list, tuple) else is_drawn(x)


def moves(x: Any) -> bool:
    """Whether there is a Number in x."""
    return any(map(moves, x)) if type(x) in (list, tuple) else is_number(x)
