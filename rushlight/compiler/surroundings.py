"""What a compiled function reaches besides its arguments, and what of it must stay as it is.

A trace takes Python values for granted: the options of optimizers, ``training`` flags and other
plain attributes of modules, what closures, globals and attributes hold that the function's code
names (see code.py), and which tensors are a module's parameters. Each is a guard. A guard can be
checked in Python (``holds``), and where CPython keeps what it depends on in words of memory, by
looking at these (``words``; see Note [Entry] in backends/llvm/entry.py).
"""

from __future__ import annotations

import io
import sys
from collections import deque
from collections.abc import Callable
from types import ModuleType
from typing import Any

from rushlight.compiler.code import Code
from rushlight.compiler.held import (
    PLAIN,
    Words,
    alike,
    held,
    list_words,
    version_words,
    words_within,
)
from rushlight.compiler.layout import CELL_AT, slots, word
from rushlight.compiler.trace import Number, Trace
from rushlight.core.tensor import Tensor


class Plain:
    """The plain values of a dict: an optimizer's options."""

    def __init__(self, what: str, d: dict[str, Any], without: tuple[str, ...] = ()) -> None:
        self.what, self.d, self.without = what, d, without
        self.values = self.read()

    def read(self) -> dict[str, Any]:
        """The plain values now."""
        return {k: v for k, v in self.d.items() if type(v) in PLAIN and k not in self.without}

    def holds(self) -> bool:
        """Whether they are as they were."""
        return self.read() == self.values

    def words(self) -> Words | None:
        """See ``version_words``."""
        return version_words(self.d)

    def changed(self) -> str:
        """Which value is another now."""
        now = self.read()
        both = {**self.values, **now}
        names = [k for k in both if now.get(k, self) != self.values.get(k, self)]
        return ", ".join([f"{self.what}{k}" for k in names])


class Options(Plain):
    """The options of a parameter group, without those that programs read anew at each call."""

    def __init__(self, what: str, group: dict[str, Any], read_anew: frozenset[str]) -> None:
        super().__init__(what, group, tuple(read_anew))

    def moved(self) -> set[str]:
        """Options that are numbers, or tuples of them, and others now."""
        now = self.read()
        both = {k for k in self.values if k in now and now[k] != self.values[k]}
        return {k for k in both if are_numbers(now[k]) and are_numbers(self.values[k])}


def are_numbers(value: Any) -> bool:
    """Whether a value is a float, or some in a tuple."""
    return type(value) is float or (
        type(value) is tuple and bool(value) and all([type(v) is float for v in value])
    )


class Kept:
    """Which parameters an optimizer has, and what it keeps for each: loaded state is other tensors,
    and a group may be added.
    """

    def __init__(self, optimizer: Any) -> None:
        self.optimizer, self.with_state = optimizer, True
        self.values = held(self.read())

    def read(self) -> list[Any]:
        """What there is now."""
        groups = [g["params"] for g in self.optimizer.param_groups]
        return [groups, self.optimizer.state] if self.with_state else [groups]

    def narrow(self, used: Any) -> None:
        """Look at the state no longer, unless it is among the tensors that the trace used."""
        state = [v for kept in self.optimizer.state.values() for v in kept.values()]
        if not any([id(v) in used for v in state]):
            self.with_state = False
            self.values = held(self.read())

    def holds(self) -> bool:
        """Whether it is the same."""
        return alike(self.read(), self.values)

    def words(self) -> Words | None:
        """See ``version_words``."""
        o = self.optimizer
        found: Words = []
        lists = [list_words(o.param_groups), *[words_within(g["params"]) for g in o.param_groups]]
        state = words_within(o.state) if self.with_state else []
        for more in (version_words(attributes(o)), state, *lists):
            if more is None:
                return None
            found += more
        return found

    def changed(self) -> str:
        """Whose it is."""
        return f"the parameters or the state of {type(self.optimizer).__name__}"


class Attributes:
    """What attributes of an object, class or module hold: those chosen by name, and of a neural
    network's module all that are plain. ``d`` is where they are.
    """

    def __init__(self, what: str, d: Any, code: Code, plain: bool = False) -> None:
        self.what, self.d, self.code, self.plain = what, d, code, plain
        self.values = {k: held(v) for k, v in d.items() if self.counts(k, v)}

    def counts(self, name: str, value: Any) -> bool:
        """Whether the function may depend on an attribute."""
        if name in ITS_OWN:
            return False
        return (self.plain and type(value) in PLAIN) or self.code.names_attribute(name, value)

    def holds(self) -> bool:
        """Whether they hold what they held."""
        return not self.others()

    def others(self) -> list[str]:
        """Names of those that changed, came or went."""
        found = [k for k, v in self.values.items() if not alike(self.d.get(k, self), v)]
        if len(self.d) != len(self.values):
            found += [k for k, v in self.d.items() if k not in self.values and self.counts(k, v)]
        return found

    def words(self) -> Words | None:
        """See ``version_words``."""
        if not isinstance(self.d, dict):
            return None  # what classes have cannot be got at
        found = version_words(self.d)
        for name in self.values:
            more = words_within(self.d.get(name))
            if found is None or more is None:
                return None
            found += more
        return found

    def changed(self) -> str:
        """Which are others now."""
        return ", ".join([f"{self.what}{k}" for k in self.others()])


ITS_OWN = frozenset(  # of a module, with guards of their own
    [
        "_parameters",
        "_buffers",
        "_modules",
        "_hook_tables",
        "_compiled_call_impl",
        "_non_persistent_buffers_set",
    ]
)


class Members:
    """Which parameters, buffers and children a module has."""

    def __init__(self, what: str, tables: list[dict[str, Any]]) -> None:
        self.what, self.tables = what, tables
        self.values = [dict(table) for table in tables]

    def holds(self) -> bool:
        """Whether they are the same objects."""
        return all(
            [
                len(now) == len(then) and all([now.get(k) is v for k, v in then.items()])
                for now, then in zip(self.tables, self.values, strict=True)
            ]
        )

    def words(self) -> Words | None:
        """See ``version_words``."""
        return version_words(*self.tables)

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

    def hooked(self) -> Any:
        """The first module with hooks; None where there is none."""
        return next((m for m in self.modules if any(m._tables_of_calls())), None)

    def holds(self) -> bool:
        """Whether there are none."""
        return not any(self.tables())

    def words(self) -> Words | None:
        """See ``version_words``."""
        own = [m._hook_tables for m in self.modules if m._hook_tables is not None]
        return version_words(*[m.__dict__ for m in self.modules], *own, *self.tables())

    def changed(self) -> str:
        """Whose hooks."""
        return f"the hooks of {type(self.hooked()).__name__}"


class Variable:
    """What the cell of a closure holds."""

    def __init__(self, name: str, cell: Any) -> None:
        self.name, self.cell = name, cell
        self.value = held(contents(cell))

    def holds(self) -> bool:
        """Whether it is what was there."""
        return alike(contents(self.cell), self.value)

    def words(self) -> Words | None:
        """A cell holds the address of its content."""
        now = contents(self.cell)
        inner = words_within(now)
        if inner is None or word(id(self.cell) + CELL_AT) != id(now):
            return None
        return [(id(self.cell) + CELL_AT, id(now)), *inner]

    def changed(self) -> str:
        """Its name."""
        return f"the variable {self.name}"


class Globals:
    """What some of a module's globals are. Others change all the time, so there are no words."""

    def __init__(self, d: dict[str, Any], names: list[str]) -> None:
        self.d = d
        self.values = {name: held(d.get(name)) for name in names}

    def holds(self) -> bool:
        """Whether they are what they were."""
        d = self.d
        return all([d.get(k) is v or alike(d.get(k), v) for k, v in self.values.items()])

    def words(self) -> None:
        """There are none."""

    def changed(self) -> str:
        """Which are others now."""
        found = [k for k, v in self.values.items() if not alike(self.d.get(k), v)]
        return "the variable " + ", ".join(found)


class Flags:
    """Whether tensors from outside require gradients."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self.tensors = tensors
        self.values = [t._wants_grad for t in tensors]

    def holds(self) -> bool:
        """Whether they still do."""
        return [t._wants_grad for t in self.tensors] == self.values

    def words(self) -> Words | None:
        """Each tensor holds True or False."""
        at = slots().get("_wants_grad")
        return None if at is None else [(id(t) + at, id(t._wants_grad)) for t in self.tensors]

    def changed(self) -> str:
        """What was set."""
        return "a tensor's requires_grad"


def contents(cell: Any) -> Any:
    """What a closure's cell holds; None while it is empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


Guard = Plain | Kept | Attributes | Members | Unhooked | Variable | Globals | Flags
OURS = ("builtins", "numpy", "rushlight")  # packages whose objects are not looked into


class Surroundings:
    """Modules, optimizers and other things that a function reaches: through its closure, its
    globals, its arguments (``given``), or as what it is bound to.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        given: Any,
        read_anew: frozenset[str],
        code: Code,
    ) -> None:
        self.read_anew, self.code = read_anew, code
        self.modules: list[Any] = []
        self.optimizers: list[Any] = []
        self.objects: list[Any] = []
        self.counters: list[Any] = []  # objects of rushlight that change with each of their steps
        self.cells: dict[int, tuple[str, Any]] = {}  # of closures, by identity
        self.globals: dict[int, tuple[dict[str, Any], list[str]]] = {}
        self.iterators: list[str] = []  # which the function may move on
        self.seen: set[int] = set()
        self.visit(function)
        for x in given:
            self.visit(x, "among the arguments")
        for executed, names in code.globals():
            self.visit_names(executed, names)

    def visit(self, x: Any, name: str = "") -> None:
        """Collect from x, once."""
        if id(x) in self.seen or (isinstance(x, (Tensor, *PLAIN)) and not isinstance(x, tuple)):
            return
        self.seen.add(id(x))
        if isinstance(x, (type, ModuleType)):
            if not ours(x):
                self.visit_attributes(x)
        elif has(x, "param_groups") and has(x, "step"):
            self.optimizers.append(x)
        elif has(x, "named_modules") and has(x, "training"):
            for m in x.modules():
                if m not in self.modules:
                    self.modules.append(m)
                    self.visit_named(m)
        elif isinstance(x, (list, tuple, set, frozenset, deque)):
            for item in list(x):
                self.visit(item)
        elif isinstance(x, dict):
            for item in list(x.values()):
                self.visit(item)
        elif has(x, "__next__"):
            if name and not isinstance(x, io.IOBase):
                self.iterators.append(name)
        elif has(x, "__self__"):
            self.visit(x.__self__)
            self.visit(getattr(x, "__func__", None))  # a built-in function has none
        elif has(x, "__code__"):
            self.visit_function(x)
        elif not ours(x) and attributes(x):
            self.visit_attributes(x)
        elif hasattr(type(x), "step") and attributes(x):  # a schedule, or what scales gradients
            self.counters.append(x)

    def visit_attributes(self, x: Any) -> None:
        """Note an object and collect from its attributes."""
        self.objects.append(x)
        self.visit_named(x)

    def visit_named(self, x: Any) -> None:
        """Collect from the attributes that the function may look at."""
        for k, item in list(attributes(x).items()):
            if k not in ITS_OWN and self.code.names_attribute(k, item):
                self.visit(item, k)

    def visit_function(self, f: Any) -> None:
        """Collect from a function's closure and globals."""
        runs = self.code.has(f.__code__)
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            if runs:
                self.cells[id(cell)] = name, cell
            self.visit(contents(cell), name if runs else "")
        if not runs:
            self.visit_names(f.__globals__, f.__code__.co_names, guarded=False)

    def visit_names(self, d: dict[str, Any], names: Any, guarded: bool = True) -> None:
        """Collect from globals."""
        for name in names:
            if name in d:
                if guarded and not isinstance(d[name], ModuleType):
                    self.globals.setdefault(id(d), (d, []))[1].append(name)
                self.visit(d[name], name if guarded else "")

    def guards(self) -> list[Guard]:
        """What must not change. Learning rates, and other options that did before, may."""
        found: list[Guard] = [Unhooked(self.modules)] if self.modules else []
        for m in self.modules:
            found.append(Attributes(f"{type(m).__name__}.", m.__dict__, self.code, plain=True))
            found.append(Members(type(m).__name__, [m._parameters, m._buffers, m._modules]))
        for o in self.optimizers:
            for g in o.param_groups:
                found.append(Options(f"{type(o).__name__}'s ", g, self.read_anew))
            found.append(Kept(o))
        for x in self.objects:
            what = x if isinstance(x, (type, ModuleType)) else type(x)
            found.append(Attributes(f"{what.__name__}.", attributes(x), self.code))
        for x in self.counters:
            found.append(Attributes(f"{type(x).__name__}.", attributes(x), self.code, plain=True))
        found += [Variable(name, cell) for name, cell in self.cells.values()]
        found += [Globals(d, names) for d, names in self.globals.values()]
        return [g for g in found if not isinstance(g, Attributes) or g.values or g.plain]

    def numbers(self, trace: Trace) -> ReadAnew:
        """While tracing, options that programs read anew are Numbers."""
        groups = [g for o in self.optimizers for g in o.param_groups]
        return ReadAnew([(g, name) for g in groups for name in sorted(self.read_anew)], trace)


def attributes(x: Any) -> Any:
    """An object's own attributes; an object may answer to any name, so it is not asked."""
    try:
        return object.__getattribute__(x, "__dict__")
    except AttributeError:
        return {}


def has(x: Any, name: str) -> bool:
    """Whether an object or its class has an attribute."""
    return hasattr(type(x), name) or name in attributes(x)


def ours(x: Any) -> bool:
    """Whether an object or class is of a package that is not looked into."""
    if isinstance(x, ModuleType):
        module = x.__name__
        return module.partition(".")[0] in (*OURS, *sys.stdlib_module_names)
    return (x if isinstance(x, type) else type(x)).__module__.partition(".")[0] in OURS


class Option:
    """Reads an option of a parameter group, or a part of one that is a tuple."""

    def __init__(self, group: dict[str, Any], name: str, part: int | None = None) -> None:
        self.group, self.name, self.part = group, name, part

    def __call__(self) -> float:
        value: Any = self.group[self.name]
        return float(value if self.part is None else value[self.part])


class ReadAnew:
    """Puts Numbers in the place of options, and back."""

    def __init__(self, places: list[tuple[dict[str, Any], str]], trace: Trace) -> None:
        self.places = [(g, name, g[name]) for g, name in places if are_numbers(g.get(name))]
        self.trace = trace

    def __enter__(self) -> None:
        for g, name, value in self.places:
            parts = value if type(value) is tuple else (value,)
            numbers = [
                Number(v, Option(g, name, k if parts is value else None), self.trace.watch)
                for k, v in enumerate(parts)
            ]
            g[name] = tuple(numbers) if parts is value else numbers[0]

    def __exit__(self, *exc: object) -> None:
        for g, name, _ in self.places:
            now = g[name]
            first = now[0] if type(now) is tuple and now else now
            if isinstance(first, Number):  # as it was, or what a schedule made of it
                g[name] = float(now) if first is now else tuple([float(v) for v in now])
