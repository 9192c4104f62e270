"""What a program takes for granted besides its arguments, and whether it is still so.

Each guard can be checked in Python (``holds``), and where CPython keeps what it depends on in words
of memory, by looking at these (``words``; see Note [Entry] in backends/llvm/entry.py).
"""

from __future__ import annotations

from collections.abc import Callable
from operator import is_not
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from rushlight.compiler.code import Code
from rushlight.compiler.held import (
    ABSENT,
    ANYTHING,
    PLAIN,
    Held,
    Moving,
    Words,
    alike,
    dict_words,
    held,
    item_words,
    list_words,
    version_of,
    words_within,
)
from rushlight.compiler.layout import CELL_AT, TYPE_AT, class_words, function_slots, slots, word
from rushlight.compiler.objects import (
    Same,
    attributes,
    has,
    names_of_bases,
    of_python,
    optimizes,
    ours,
)
from rushlight.compiler.places import Attribute, Cell, Item, Place, within
from rushlight.core.device_array import DeviceArray
from rushlight.core.node import RemovableHandle
from rushlight.core.tensor import Tensor


class Plain:
    """The plain values of a dict: an optimizer's options."""

    def __init__(self, what: str, d: dict[str, Any], without: tuple[str, ...] = ()) -> None:
        self.what, self.d, self.without = what, d, without
        self.values = self.read()

    def read(self) -> dict[str, Any]:
        """The plain values now, and which tensors there are."""
        plain = {k: v for k, v in self.d.items() if type(v) in PLAIN and k not in self.without}
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


class Options(Plain):
    """The options of a parameter group, without those that programs read anew at each call."""

    def __init__(
        self, what: str, group: dict[str, Any], read_anew: frozenset[str], moving: Moving
    ) -> None:
        counters = [name for name in group if ("item", id(group), name) in moving]
        super().__init__(what, group, (*read_anew, *counters))

    def moved(self) -> set[str]:
        """Options that are numbers, or tuples of them, and others now."""
        now = self.read()
        both = {k for k in self.values if k in now and now[k] != self.values[k]}
        return {k for k in both if are_numbers(now[k]) and are_numbers(self.values[k])}

    def places(self) -> list[Place] | None:
        """Where integers are that changed, as an optimizer's own count of steps does; None if there
        is more.
        """
        now, then = self.read(), self.values
        moved = [k for k in {**now, **then} if now.get(k, self) != then.get(k, self)]
        counts = all([type(now.get(k)) is int and type(then.get(k)) is int for k in moved])
        return [Item(self.d, k) for k in moved] if counts else None


def are_numbers(value: Any) -> bool:
    """Whether a value is a float, or some in a tuple."""
    return type(value) is float or (
        type(value) is tuple and bool(value) and all([type(v) is float for v in value])
    )


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


class Attributes:
    """What attributes of an object, class or module hold: those chosen by name, of a neural
    network's module all that are plain or tensors, and of a class what the function ran.
    """

    def __init__(
        self, x: Any, code: Code, plain: bool = False, moving: Moving = frozenset()
    ) -> None:
        self.x, self.d, self.code, self.plain, self.moving = x, attributes(x), code, plain, moving
        self.kind = type(x)
        of_none = isinstance(x, (type, ModuleType, FunctionType))
        # its own code, which is not looked into, may look at all of it
        self.whole = (ours(x) and plain and not has(x, "named_modules")) or (
            of_python(type(x)) and not of_none
        )
        self.of_bases = frozenset[str]() if of_none else names_of_bases(x)
        self.what = (x if of_none else type(x)).__name__
        self.values = {k: held(v, (), moving) for k, v in self.d.items() if self.counts(k, v)}
        self.inner = [(k, v) for k, v in self.values.items() if type(v) is Held]
        self.version: int | None = None  # of the dict, when nothing was found to be another

    def counts(self, name: str, value: Any) -> bool:
        """Whether the function may depend on an attribute."""
        if name in ITS_OWN or (name in OF_OPTIMIZERS and optimizes(self.x)):
            return False
        if self.moving and Attribute(self.x, name).key in self.moving:
            return False
        if self.whole or name == "forward" or (isinstance(self.x, type) and self.code.ran(value)):
            return True
        if name in self.of_bases:
            return True
        plain = type(value) in PLAIN or issubclass(type(value), Tensor)  # not asking the value
        return (self.plain and plain) or self.code.names_attribute(name, value)

    def holds(self) -> bool:
        """Whether they hold what they held, and are attributes of an object of the same class."""
        if type(self.x) is not self.kind:
            return False
        version = version_of(self.d)
        if version is not None and version == self.version:
            return all([alike(self.d[k], v) for k, v in self.inner])
        same = not self.others()
        self.version = version if same else None
        return same

    def others(self) -> list[str]:
        """Names of those that changed, came or went."""
        found = [k for k, v in self.values.items() if not alike(self.d.get(k, self), v)]
        if len(self.d) != len(self.values):
            found += [k for k, v in self.d.items() if k not in self.values and self.counts(k, v)]
        return found

    def words(self) -> Words | None:
        """See ``dict_words``."""
        if isinstance(self.x, type):
            of_class = class_words(self.x)
            found = None if of_class is None else Words(of_class)
        elif isinstance(self.d, dict):
            found = dict_words(self.d)
        else:
            return None
        if found is not None:
            found.append((id(self.x) + TYPE_AT, id(self.kind)))
        for name in self.values:
            more = words_within(self.d.get(name), (), self.moving)
            if found is None or more is None:
                return None
            found.take(more)
        return found

    def changed(self) -> str:
        """Which are others now."""
        if type(self.x) is not self.kind:
            return f"the class of {self.what}"
        return ", ".join([f"{self.what}.{k}" for k in self.others()])

    def places(self) -> list[Place] | None:
        """Where what changed is; None where that cannot be said."""
        if type(self.x) is not self.kind:
            return None
        both = [(Attribute(self.x, k), self.values.get(k, ABSENT)) for k in self.others()]
        return joined([within(place, then, place.get()) for place, then in both])


ITS_OWN = frozenset(  # of a module, with guards of their own, and what copyreg notes
    [
        "_parameters",
        "_buffers",
        "_modules",
        "_hook_tables",
        "_compiled_call_impl",
        "__slotnames__",
        "_non_persistent_buffers_set",
        "__spec__",
        "__loader__",
    ]
)


OF_OPTIMIZERS = frozenset(["param_groups", "state", "defaults"])


class Members:
    """Which parameters, buffers and children a module has."""

    def __init__(
        self, what: str, tables: list[dict[str, Any]], moving: Moving = frozenset()
    ) -> None:
        self.what, self.tables = what, tables
        self.values = [
            {k: ANYTHING if ("item", id(t), k) in moving else v for k, v in t.items()}
            for t in tables
        ]

    def holds(self) -> bool:
        """Whether they are the same objects."""
        return all(
            [
                len(now) == len(then)
                and all([now.get(k) is v or v is ANYTHING for k, v in then.items()])
                for now, then in zip(self.tables, self.values, strict=True)
            ]
        )

    def places(self) -> list[Place] | None:
        """Where what changed is; None where that cannot be said."""
        if [list(t) for t in self.tables] != [list(t) for t in self.values]:
            return None
        both = zip(self.tables, self.values, strict=True)
        return [Item(t, k) for t, then in both for k, v in then.items() if not alike(t[k], v)]

    def words(self) -> Words | None:
        """See ``dict_words``."""
        moving = any([v is ANYTHING for then in self.values for v in then.values()])
        return None if moving else dict_words(*self.tables)

    def changed(self) -> str:
        """Whose members are others."""
        return f"a parameter, buffer or child of {self.what}"


class Unhooked:
    """That modules have no hooks that a call runs."""

    def __init__(self, modules: list[Any]) -> None:
        self.modules = modules

    def tables(self) -> list[dict[Any, Any]]:
        """Where hooks are."""
        return [table for m in self.modules for table in m._tables_of_calls()]

    def holds(self) -> bool:
        """Whether there are none."""
        return not any(self.tables())

    def words(self) -> Words | None:
        """See ``dict_words``."""
        own = [m._hook_tables for m in self.modules if m._hook_tables is not None]
        return dict_words(*[m.__dict__ for m in self.modules], *own, *self.tables())

    def changed(self) -> str:
        """Whose hooks."""
        found = [type(m).__name__ for m in self.modules if any(m._tables_of_calls())]
        return f"the hooks of {found[0]}"


class Variable:
    """What the cell of a closure holds."""

    def __init__(self, name: str, cell: Any, moving: Moving = frozenset()) -> None:
        self.name, self.cell, self.moving = name, cell, moving
        self.value = held(contents(cell), (), moving)

    def holds(self) -> bool:
        """Whether it is what was there."""
        return alike(contents(self.cell), self.value)

    def words(self) -> Words | None:
        """A cell holds the address of its content."""
        now = contents(self.cell)
        inner = words_within(now, (), self.moving)
        if inner is None or word(id(self.cell) + CELL_AT) != id(now):
            return None
        found = Words([(id(self.cell) + CELL_AT, id(now))], [now])
        found.take(inner)
        return found

    def changed(self) -> str:
        """Its name."""
        return f"the variable {self.name}"

    def places(self) -> list[Place] | None:
        """Where what changed is; None where that cannot be said."""
        return within(Cell(self.cell), self.value, contents(self.cell))


class Contents:
    """What is in an object that is no place's, such as what a partial function is given, or that a
    variable of the context holds.
    """

    def __init__(self, what: str, x: Any, moving: Moving = frozenset()) -> None:
        self.what, self.x, self.values = what, x, held(x, (), moving)

    def holds(self) -> bool:
        """Whether it is what was there."""
        return alike(self.x, self.values)

    def words(self) -> None:
        """There are none."""

    def changed(self) -> str:
        """What it is in."""
        return self.what

    def places(self) -> list[Place] | None:
        """Where what changed is; None where that cannot be said."""
        return within(Item([self.x], 0), self.values, self.x)


class Globals:
    """What some of a module's globals are; others change all the time."""

    def __init__(self, d: dict[str, Any], names: list[str], moving: Moving = frozenset()) -> None:
        self.d, self.moving = d, moving
        names = [n for n in names if ("item", id(d), n) not in moving]
        self.values = {name: held(d.get(name), (), moving) for name in names}

    def holds(self) -> bool:
        """Whether they are what they were."""
        d = self.d
        return all([d.get(k) is v or alike(d.get(k), v) for k, v in self.values.items()])

    def words(self) -> Words | None:
        """See ``item_words``."""
        found = Words()
        for name in self.values:
            more = item_words(self.d, name, self.moving)
            if more is None:
                return None
            found.take(more)
        return found

    def changed(self) -> str:
        """Which are others now."""
        return "the variable " + ", ".join(self.others())

    def others(self) -> list[str]:
        """Which are others now."""
        return [k for k, v in self.values.items() if not alike(self.d.get(k), v)]

    def places(self) -> list[Place] | None:
        """Where what changed is; None where that cannot be said."""
        both = [(Item(self.d, k), self.values[k]) for k in self.others()]
        return joined([within(place, then, place.get()) for place, then in both])


class Flags:
    """Whether tensors from outside require gradients, as ``before`` says by identity or now."""

    def __init__(self, tensors: list[Tensor], before: dict[int, bool]) -> None:
        self.tensors = tensors
        self.values = [before.get(id(t), t._wants_grad) for t in tensors]

    def holds(self) -> bool:
        """Whether they still do."""
        return [t._wants_grad for t in self.tensors] == self.values

    def words(self) -> Words | None:
        """Each tensor holds True or False."""
        at = slots().get("_wants_grad")
        if at is None:
            return None
        return Words([(id(t) + at, id(t._wants_grad)) for t in self.tensors])

    def changed(self) -> str:
        """What was set."""
        return "a tensor's requires_grad"


class Shared:
    """That tensors, and the gradients of leaves, have one array, which is one input."""

    def __init__(self, tensors: list[Tensor], leaves: list[Tensor]) -> None:
        self.tensors, self.leaves = tensors, leaves

    def holders(self) -> list[Any]:
        """The tensors, and the gradients that there are now."""
        return [*self.tensors, *[leaf._grad for leaf in self.leaves]]

    def holds(self) -> bool:
        """Whether it is still one."""
        first, *others = [None if t is None else t._array for t in self.holders()]
        return first is not None and all([a is first for a in others])

    def words(self) -> Words | None:
        """Each tensor holds its array, and each leaf its gradient."""
        at, holders = slots(), self.holders()
        if not at or not self.holds():
            return None
        found = Words([(id(leaf) + at["_grad"], id(leaf._grad)) for leaf in self.leaves], holders)
        found.take(Words([(id(t) + at["_array"], id(t._array)) for t in holders]))
        found.kept += [t._array for t in holders]
        return found

    def changed(self) -> str:
        """What became several."""
        return "memory that tensors or gradients shared"


def kind(x: Any) -> tuple[Any, ...]:
    """An array's shape and dtype, and where its elements lie; other layouts have guards."""
    if x.__class__ is DeviceArray:
        return x.shape, x.dtype, x.strides, x.driver
    return x.shape, x.dtype, x.strides if x.__class__ is np.ndarray else ()


class Tags:
    """What users put on tensors, where the function may ask for it by name."""

    def __init__(self, tensors: list[Tensor], code: Code) -> None:
        self.tensors, self.code = tensors, code
        self.values = self.read()

    def read(self) -> list[Any]:
        """What is there now."""
        return [self.code.tags(t) if t.__dict__ else () for t in self.tensors]

    def holds(self) -> bool:
        """Whether it is as it was."""
        return self.read() == self.values

    def words(self) -> None:
        """There are none."""

    def changed(self) -> str:
        """What was put there, or taken away."""
        return "an attribute of a tensor"


class Kinds:
    """Shapes, dtypes and the like of tensors whose elements the function does not read."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self.tensors = tensors
        self.values = self.read()

    def read(self) -> list[Any]:
        """What they are now."""
        return [(*kind(t._array), t._wants_grad) for t in self.tensors]

    def holds(self) -> bool:
        """Whether they still are."""
        return self.read() == self.values

    def words(self) -> Words | None:
        """Each tensor holds its array, and True or False."""
        at = slots()
        if not at:
            return None
        found = Words(kept=[t._array for t in self.tensors])
        for t in self.tensors:
            for name in ("_array", "_wants_grad"):
                found.append((id(t) + at[name], id(getattr(t, name))))
        return found

    def changed(self) -> str:
        """What is another."""
        return "a tensor's shape, dtype, order or requires_grad"


def contents(cell: Any) -> Any:
    """What a closure's cell holds; None while it is empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


class Defaults:
    """What a function takes for parameters that are not given; and its code, which is another once
    a notebook has loaded the file anew.
    """

    def __init__(self, function: Any) -> None:
        self.function = function
        self.values = held(self.read())

    def read(self) -> tuple[Any, Any, Any]:
        """What it takes now, and its code."""
        f = self.function
        return f.__code__, f.__defaults__, f.__kwdefaults__

    def holds(self) -> bool:
        """Whether it is the same."""
        return alike(self.read(), self.values)

    def words(self) -> Words | None:
        """A function holds the addresses of its tuple and its dict."""
        places, found = function_slots(), words_within(self.read())
        if not places or found is None:
            return None
        at = id(self.function)
        words = Words([(at + place, word(at + place)) for place in places], self.read())
        words.take(found)
        return words

    def changed(self) -> str:
        """Whose they are."""
        name = self.function.__name__
        if self.function.__code__ is not self.values.content[0]:
            return f"the code of {name}"
        return f"what {name} takes for parameters that are not given"


class Hooks:
    """Hooks of tensors, optimizers and modules, in ``tables``: those that were there ran while
    tracing.
    """

    def __init__(self, what: str, tables: list[Callable[[], Any]]) -> None:
        self.what, self.tables, self.made = what, tables, RemovableHandle.next_id
        self.values = self.read()

    def read(self) -> list[dict[int, Any]]:
        """Those that there are now."""
        return [dict(table() or {}) for table in self.tables]

    def holds(self) -> bool:
        """Whether they are the same: none, where there were none and no hook was made since."""
        made = RemovableHandle.next_id
        if made == self.made and not any(self.values):
            return True
        if self.read() != self.values:
            return False
        self.made = made
        return True

    def words(self) -> Words | None:
        """The class of handles counts those that were made, where there are no hooks."""
        if any(self.values) or RemovableHandle.next_id != self.made:
            return None
        words = class_words(RemovableHandle)
        return None if words is None else Words(words)

    def changed(self) -> str:
        """Whose they are."""
        return f"the hooks of {self.what}"


# whose places can be looked up
CHANGING = (Attributes, Contents, Members, Variable, Globals, Kept, Options)


def joined(found: list[list[Place] | None]) -> list[Place] | None:
    """All places of several lists; None if one could not be made."""
    lists = [places for places in found if places is not None]
    return [p for places in lists for p in places] if len(lists) == len(found) else None


Guard = (
    Plain
    | Kept
    | Attributes
    | Members
    | Unhooked
    | Variable
    | Contents
    | Globals
    | Flags
    | Shared
    | Kinds
    | Tags
    | Defaults
    | Hooks
)
