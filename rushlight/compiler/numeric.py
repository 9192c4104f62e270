"""NumPy's functions of numbers that may be others at the next call.

NumPy asks arrays that it is given what to do with them, see lent.py, but neither Python's numbers
nor lists of these. So while a call is traced others stand for functions that programs give such
things to, as in ``np.mean(losses)``.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.lent import computed
from rushlight.compiler.python_numbers import is_number

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
    these are not needed for that, ``always``.
    """

    __class__ = property(lambda self: type(self.value))

    def __init__(self, value: Callable[..., Any], trace: Any, always: bool = False) -> None:
        self.value, self.trace, self.always = value, trace, always
        trace.made.append(weakref.ref(self))

    def __call__(self, *given: Any, **options: Any) -> Any:
        moving = any(map(moves, given)) or any(map(moves, options.values()))
        if self.trace.open and moving is not self.always:
            return computed(self.trace, self.value, given, options, "out" in options)
        return self.value(*given, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.value, name)


def moves(x: Any) -> bool:
    """Whether there is a Number in x."""
    return any(map(moves, x)) if type(x) in (list, tuple) else is_number(x)
