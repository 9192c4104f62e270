"""Numbers while a call is traced: what Python reads of tensors, and what may be another in later
calls (see python_numbers.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.compiler.counted import Makers, source_of
from rushlight.compiler.graph import Node
from rushlight.compiler.lent import Lent
from rushlight.compiler.lines import users_line
from rushlight.compiler.primitives import Require
from rushlight.compiler.python_numbers import (
    Number,
    Reading,
    applied,
    is_late,
    is_number,
    python_value,
    read,
    value_of,
)
from rushlight.compiler.storages import Storage
from rushlight.compiler.values import MOST_EXACT, Values
from rushlight.core.state import GradMode, modes
from rushlight.core.tensor import Tensor, wrap

LARGEST = float(np.finfo(np.float32).max)


class TracedNumbers(Values):
    """The part of `Trace` that core asks about numbers. Where a number decides what follows, the
    graph gets a condition, and where it is an operand, a tensor.
    """

    def __init__(self, arguments: list[Any], keeps: bool = False) -> None:
        super().__init__(arguments, keeps)
        self.makers = Makers(self.graph)
        self.watch: list[Any] = []  # what gives a Python value, and the value that it must give
        self.decided: list[str] = []  # lines of the user that need it to be that
        self.made: list[Any] = []  # references to Numbers
        self.readings: list[Reading] = []  # what Python read of tensors
        self.assumed: list[str] = []  # lines of the user where a value decided what follows
        self.pinned: list[str] = []  # integers of which each value takes a capture of its own

    @property
    def open(self) -> bool:
        """Whether this call is being traced."""
        return modes.trace is self

    def refuse(self, what: str) -> None:
        """Python needs a value."""
        self.fail(
            f"{what} at {users_line()} needs a value while tracing",
            "return the tensor and read it outside",
        )

    def read(self, t: Tensor) -> Any:
        """What Python reads of a tensor of one element: a Number."""
        if self.failure is not None:
            return python_value(t)
        if t._array.dtype == np.bool_:  # Python decides by it, if only with "is True"
            outcome = python_value(t)
            self.assume(lambda: t.reshape(()), outcome)
            return outcome
        with GradMode(False):
            return read(t, self)

    def assume(self, condition: Callable[[], Tensor], outcome: bool) -> None:
        """A value decides what follows: a call where it would be decided otherwise is left by the
        program before anything is written.
        """
        if self.failure is not None or not self.open:
            return
        with GradMode(False):
            t = condition() if outcome else condition().logical_not()
            if self.failure is None:
                node = Node(Require.instance, [self.operand(t)], {"assumed": True}, [], self.line())
                node.outputs.append(self.graph.value((), np.dtype(bool)))
                self.graph.nodes.append(node)
                self.assumed.append(users_line())

    def pin(self, what: str, t: Tensor) -> None:
        """Python needs the integer in a tensor at once, as a size or an index: a call where it is
        another is left by the program, and gets a capture of its own.
        """
        value = python_value(t)
        self.pinned.append(f"{what} at {users_line()}")
        self.assume(lambda: t.detach().reshape(()) == value, True)

    def pin_drawn(self, value: Any) -> None:
        """Python needs a random number at once. Another integer gets a capture of its own."""
        if type(value) is int:
            self.pinned.append(f"a random integer used at {users_line()}")
        else:
            self.fail(
                f"it does more with a random number at {users_line()} than compute with it and "
                "compare it",
                "draw it before, and pass it",
            )

    def watched(self, source: Callable[[], Any], value: Any) -> None:
        """What later calls must find as well."""
        if self.open:
            self.watch.append((source, value))
            self.decided.append(users_line())

    def applied(self, function: Callable[..., Any], *numbers: Any) -> Any:
        """What a function of the module math makes of numbers; Numbers give a Number."""
        return applied(function, *numbers) if any(map(is_number, numbers)) else function(*numbers)

    def moves(self, params: dict[str, Any], inputs: Any) -> bool:
        """Whether a number that may be another in later calls is a param of an op of floats."""
        if not any([is_number(v) and type(v.value) is not bool for v in params.values()]):
            return False
        found = [t._array.dtype for t in inputs if isinstance(t, Tensor)]
        floats = [d for d in found if d != np.bool_]
        same = [d == floats[0] and d in (np.float32, np.float64) for d in floats]
        return bool(same) and all(same)

    def scalar(self, x: Any, d: np.dtype[Any], fills: bool = False) -> Tensor | None:
        """A number that may be another in later calls as a 0-dim tensor of dtype d; None where that
        is not the same as the number, or, where it ``fills`` memory, raises.
        """
        x = self.known(x)
        if not is_number(x) or d not in (np.float32, np.float64, np.int64):
            return None
        whole = type(x.value) is int and abs(x.value) < MOST_EXACT
        if not whole and (type(x.value) is not float or d == np.int64):
            return None
        if fills and d == np.float32 and not is_late(x) and LARGEST < abs(x) < np.inf:
            return None
        with GradMode(False):
            return self.tensor_of(x).to(dtypes.of[d])

    def tensor_of(self, n: Number) -> Tensor:
        """A number as a 0-dim tensor, float64 or int64."""
        if is_late(n):
            return n.late()  # type: ignore[misc]
        t = wrap(np.asarray(n.value, np.float64))
        self.unexplained.discard(t._array)
        self.window(t._array, Storage(self._number_input(n)), ())
        return t

    def number(self, t: Tensor) -> Number:
        """A 0-dim tensor that an optimizer counts steps with, as a number of the call."""
        value, now = self.operand(t), float(python_value(t))
        source = source_of(value, self.makers)
        if source is None:
            self.refuse("a computed number")
            return Number(now, lambda: now, self)
        return Number(now, source, self)

    def plain(self, arrays: list[Any]) -> list[Any]:
        """Operands for NumPy, which takes only Python's own floats for numbers without a dtype."""
        return [value_of(a) for a in arrays]

    def known(self, x: Any) -> Any:
        """x with Numbers in the place of NumPy's numbers that are known before the program runs."""
        if type(x) is Lent and x.is_early:
            number = isinstance(x.value, np.generic) and x.value.dtype.kind in "iuf"
            return x.item() if number else x.fixed()
        if type(x) in (list, tuple):
            return type(x)([self.known(v) for v in x])
        return {k: self.known(v) for k, v in x.items()} if type(x) is dict else x

    def fixed(self, x: Any) -> Any:
        """x with the present values of Numbers in it: where those are not operands, a change means
        another capture.
        """
        if type(x) is Lent and x.is_early:
            return x.fixed()
        if is_number(x):
            return x.fixed()
        if type(x) in (list, tuple):
            return type(x)([self.fixed(v) for v in x])
        if type(x) is dict:
            return {k: self.fixed(v) for k, v in x.items()}
        return x
