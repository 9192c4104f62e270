"""What a program takes for granted besides its arguments, and whether it is still so.

Each guard can be checked in Python (``holds``), and where CPython keeps what it depends on in words
of memory, by looking at these (``words``; see Note [Entry] in backends/llvm/entry.py). Those of
optimizers and of tensors have files of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

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
    version_of,
    words_within,
)
from rushlight.compiler.layout import CELL_AT, TYPE_AT, class_words, function_slots, word
from rushlight.compiler.objects import (
    attributes,
    has,
    names_of_bases,
    of_python,
    optimizes,
    ours,
)
from rushlight.compiler.optimizer_guards import Kept, Options, Plain
from rushlight.compiler.places import Attribute, Cell, Item, Place, within
from rushlight.compiler.tensor_guards import Flags, Kinds, Shared, Tags
from rushlight.core.node import RemovableHandle
from rushlight.core.tensor import Tensor


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
