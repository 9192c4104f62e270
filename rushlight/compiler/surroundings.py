"""What a compiled function reaches besides its arguments, and what of it must stay as it is.

A trace takes Python values for granted: the options of optimizers, ``training`` flags and other
plain attributes of modules, numbers in closures and globals, and which tensors are a module's
parameters. Each is a guard. A guard can be checked in Python (``holds``), and where CPython keeps
what it depends on in one word of memory, by looking at that word (``words``; see Note [Entry] in
backends/llvm/entry.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.compiler.layout import CELL_AT, VERSION_AT, dicts_have_versions, slots, word
from rushlight.compiler.trace import Number, Trace
from rushlight.core.tensor import Tensor

PLAIN = (int, float, bool, str, bytes, tuple, type(None))

Words = list[tuple[int, int]]  # address, content


def version_words(*dicts: dict[str, Any]) -> Words | None:
    """The words that say whether dicts were written to; None where there are none."""
    if not dicts_have_versions():
        return None
    return [(id(d) + VERSION_AT, word(id(d) + VERSION_AT)) for d in dicts]


class Plain:
    """The plain values of a dict: a module's attributes, an optimizer's options."""

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
    """A plain value in a closure (``cell``) or among a function's globals."""

    def __init__(self, name: str, place: Any) -> None:
        self.name, self.place = name, place
        self.value = self.read()

    def read(self) -> Any:
        """The value now."""
        if isinstance(self.place, dict):
            return self.place.get(self.name)
        return contents(self.place)

    def holds(self) -> bool:
        """Whether it is what it was."""
        now = self.read()
        return now is self.value or (type(now) is type(self.value) and now == self.value)

    def words(self) -> Words | None:
        """A closure's cell holds the address of its content."""
        if isinstance(self.place, dict) or word(id(self.place) + CELL_AT) != id(self.read()):
            return None
        return [(id(self.place) + CELL_AT, id(self.read()))]

    def changed(self) -> str:
        """Its name."""
        return f"the variable {self.name}"


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


Guard = Plain | Members | Unhooked | Variable | Flags


class Surroundings:
    """Modules, optimizers and plain values that a function reaches: through its closure, its
    globals, or as what it is bound to.
    """

    def __init__(self, function: Callable[..., Any], read_anew: frozenset[str]) -> None:
        self.read_anew = read_anew
        self.modules: list[Any] = []
        self.optimizers: list[Any] = []
        self.objects: list[Any] = []
        self.variables: list[tuple[str, Any]] = []
        self.seen: set[int] = set()
        self.visit(function)

    def visit(self, x: Any) -> None:
        """Collect from x, once."""
        if id(x) in self.seen or (
            isinstance(x, (Tensor, type, *PLAIN)) and not isinstance(x, tuple)
        ):
            return
        self.seen.add(id(x))
        if hasattr(x, "param_groups") and hasattr(x, "step"):
            self.optimizers.append(x)
        elif hasattr(x, "named_modules") and hasattr(x, "training"):
            self.modules.extend([m for m in x.modules() if m not in self.modules])
        elif isinstance(x, (list, tuple)):
            for item in x:
                self.visit(item)
        elif isinstance(x, dict):
            for item in list(x.values()):
                self.visit(item)
        elif hasattr(x, "__self__"):
            self.visit(x.__self__)
            self.visit(getattr(x, "__func__", None))  # a built-in function has none
        elif hasattr(x, "__code__"):
            self.visit_function(x)
        elif isinstance(getattr(x, "__dict__", None), dict):
            if type(x).__module__.partition(".")[0] not in ("builtins", "numpy", "rushlight"):
                self.objects.append(x)
                for item in list(vars(x).values()):
                    self.visit(item)

    def visit_function(self, f: Any) -> None:
        """Collect from a function's closure and globals."""
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            if type(contents(cell)) in PLAIN:
                self.variables.append((name, cell))
            self.visit(contents(cell))
        for name in f.__code__.co_names:
            if name in f.__globals__:
                if type(f.__globals__[name]) in PLAIN:
                    self.variables.append((name, f.__globals__))
                self.visit(f.__globals__[name])

    def guards(self) -> list[Guard]:
        """What must not change. Learning rates, and other options that did before, may."""
        found: list[Guard] = [Unhooked(self.modules)] if self.modules else []
        for m in self.modules:
            found.append(Plain(f"{type(m).__name__}.", m.__dict__))
            found.append(Members(type(m).__name__, [m._parameters, m._buffers, m._modules]))
        for o in self.optimizers:
            for g in o.param_groups:
                found.append(Options(f"{type(o).__name__}'s ", g, self.read_anew))
        found += [Plain(f"{type(x).__name__}.", vars(x)) for x in self.objects]
        found += [Variable(name, place) for name, place in self.variables]
        return found

    def numbers(self, trace: Trace) -> ReadAnew:
        """While tracing, options that programs read anew are Numbers."""
        groups = [g for o in self.optimizers for g in o.param_groups]
        return ReadAnew([(g, name) for g in groups for name in sorted(self.read_anew)], trace)


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
        for g, name, value in self.places:
            now = g[name]
            if isinstance(now[0] if type(now) is tuple and now else now, Number):
                g[name] = value
