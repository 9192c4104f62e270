"""Guards of optimizers: their options, their parameters, and what they keep. See guards.py."""

from __future__ import annotations

from operator import is_not
from typing import Any

import numpy as np

from rushlight.compiler.held import (
    PLAIN,
    Moving,
    Words,
    alike,
    dict_words,
    held,
    list_words,
    words_within,
)
from rushlight.compiler.objects import (
    Same,
    attributes,
    ours,
)
from rushlight.compiler.places import Item, Place, within
from rushlight.core.tensor import Tensor


class Plain:
    """The plain values of a dict: an optimizer's options."""

    def __init__(self, what: str, d: dict[str, Any], without: tuple[str, ...] = ()) -> None:
        self.what, self.d, self.without = what, d, without
        self.values = self.read()

    def read(self) -> dict[str, Any]:
        """The plain values now, and which tensors there are."""
        plain = {k: v for k, v in self.d.items() if is_plain(v) and k not in self.without}
        tensors = {k: Same(v) for k, v in self.d.items() if isinstance(v, Tensor)}
        return plain | tensors if tensors else plain

    def holds(self) -> bool:
        """Whether they are as they were."""
        return self.read() == self.values

    def words(self) -> Words | None:
        """See ``dict_words``."""
        return dict_words(self.d)

    def changed(self) -> str:
        """Which value is another now."""
        now = self.read()
        both = {**self.values, **now}
        names = [k for k in both if now.get(k, self) != self.values.get(k, self)]
        return ", ".join([f"{self.what}{k}" for k in names])


def is_plain(value: Any) -> bool:
    """Whether a value is compared by what it is, NumPy's numbers among them."""
    return type(value) in PLAIN or isinstance(value, np.generic)


class Options(Plain):
    """The options of a parameter group, without numbers that programs read anew at each call."""

    def __init__(
        self, what: str, group: dict[str, Any], read_anew: frozenset[str], moving: Moving
    ) -> None:
        counters = [name for name in group if ("item", id(group), name) in moving]
        numbers = [name for name in read_anew if are_floats(group.get(name))]
        super().__init__(what, group, (*numbers, *counters))

    def moved(self) -> set[str]:
        """Options that are numbers, or tuples of them, and others now."""
        now = self.read()
        both = {k for k in self.values if k in now and now[k] != self.values[k]}
        return {k for k in both if are_floats(now[k]) and are_floats(self.values[k])}

    def places(self) -> list[Place] | None:
        """Where integers are that changed, as an optimizer's own count of steps does; None if there
        is more.
        """
        now, then = self.read(), self.values
        moved = [k for k in {**now, **then} if now.get(k, self) != then.get(k, self)]
        counts = all([type(now.get(k)) is int and type(then.get(k)) is int for k in moved])
        return [Item(self.d, k) for k in moved] if counts else None


def are_floats(value: Any) -> bool:
    """Whether a value is a float, or some in a tuple; NumPy's too, as schedules make them."""
    if type(value) is tuple:
        return bool(value) and all([is_float(v) for v in value])
    return is_float(value)


def is_float(value: Any) -> bool:
    """Whether a value is a float, or one that NumPy made."""
    alone = type(value) is np.ndarray and not value.ndim and value.dtype.kind == "f"
    return alone or isinstance(value, (float, np.floating))


class Kept:
    """Which parameters an optimizer has, and what it keeps for each: loaded state is other tensors,
    and other groups; one may be added.
    """

    def __init__(self, optimizer: Any, moving: Moving = frozenset()) -> None:
        self.optimizer, self.with_state, self.moving = optimizer, True, moving
        self.groups = list(optimizer.param_groups)  # whose options a program reads
        self.count = self.entries()
        self.values = held(self.read(), (), moving)

    def entries(self) -> int:
        """How much it keeps."""
        kept = self.optimizer.state
        return len(kept) + sum([len(v) for v in kept.values() if isinstance(v, dict)])

    def grew(self) -> bool:
        """Whether it keeps more by now: a step made state, which other steps go on with."""
        return self.entries() > self.count

    def read(self) -> list[Any]:
        """What there is now."""
        groups = [g["params"] for g in self.optimizer.param_groups]
        return [groups, self.optimizer.state] if self.with_state else [groups]

    def narrow(self, used: Any) -> None:
        """Look at the state no longer, unless it is among the tensors that the trace used, or may
        be numbers: a user's optimizer keeps what it likes.
        """
        if not ours(self.optimizer):
            return
        state = [v for kept in self.optimizer.state.values() for v in kept.values()]
        if not any([id(v) in used for v in state]):
            self.with_state = False
            self.values = held(self.read())

    def holds(self) -> bool:
        """Whether it is the same."""
        now = self.optimizer.param_groups
        if len(now) != len(self.groups) or any(map(is_not, now, self.groups)):
            return False
        return alike(self.read(), self.values)

    def places(self) -> list[Place] | None:
        """Where what changed is; None where that cannot be said."""
        now, then = self.read(), self.values.content
        if not self.with_state or not alike(now[0], then[0]) or now[1] is not then[1].x:
            return None
        return within(Item(now, 1), then[1], now[1])

    def words(self) -> Words | None:
        """See ``dict_words``."""
        o = self.optimizer
        found = Words()
        lists = [list_words(o.param_groups), *[words_within(g["params"]) for g in o.param_groups]]
        state = words_within(o.state, (), self.moving) if self.with_state else Words()
        for more in (dict_words(attributes(o)), state, *lists):
            if more is None:
                return None
            found.take(more)
        return found

    def changed(self) -> str:
        """Whose it is."""
        return f"the parameters or the state of {type(self.optimizer).__name__}"
