"""What a compiled function reaches besides its arguments.

A trace takes Python values for granted: the options of optimizers, ``training`` flags and other
plain attributes of modules, what closures, globals, defaults, attributes and classes hold that the
function's code names (see code.py), and which tensors are a module's parameters. Each is a guard,
see guards.py.
"""

from __future__ import annotations

import functools
import io
import math
import operator
import os
import statistics
import weakref
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any

import numpy as np

from rushlight.compiler.code import Code
from rushlight.compiler.drawn import Drawing, Draws, can_draw
from rushlight.compiler.generators import is_generator
from rushlight.compiler.guards import (
    Attributes,
    Contents,
    Defaults,
    Globals,
    Guard,
    Hooks,
    Members,
    Unhooked,
    Variable,
    contents,
)
from rushlight.compiler.held import PLAIN, grows, items
from rushlight.compiler.lists import SUMMARIES, Grown
from rushlight.compiler.numeric import NAMES, Numeric, is_statistical
from rushlight.compiler.objects import (
    attributes,
    classes,
    fields,
    function_of,
    has,
    of_python,
    optimizes,
    ours,
)
from rushlight.compiler.optimizer_guards import Kept, Options, are_floats
from rushlight.compiler.places import Attribute, Cell, Item, Place, Planted
from rushlight.compiler.python_numbers import CONVERSIONS, number, of_math
from rushlight.compiler.said import Printing
from rushlight.compiler.trace import Trace
from rushlight.core.tensor import Tensor

# what looks into lists by itself, or at the types of what is in them: nothing can stand for these
OF_LISTS = frozenset(
    ["dump", "dumps", "heapify", "heappop", "heappush", "heappushpop", "heapreplace"]
)
STATEFUL = ("amp", "distributions", "nn", "optim", "utils", "vision")


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
        places: list[Place] | None = None,
        inside: Callable[[Any], Any] = fields,
    ) -> None:
        self.read_anew, self.code = read_anew, code
        self.known = code.known()  # before names were found that no code has
        self.places, self.inside = places or [], inside
        self.moving = frozenset([p.key for p in self.places])
        self.modules: list[Any] = []
        self.optimizers: list[Any] = []
        self.objects: list[Any] = []
        self.counters: list[Any] = []  # objects of rushlight such as schedules and distributions
        self.functions: list[Any] = []
        self.tensors: list[Tensor] = []
        # what is guarded by what is in it, with what it is
        self.contents: list[tuple[str, Any]] = []
        self.cells: dict[int, tuple[str, Any]] = {}  # of closures, by identity
        self.globals: dict[int, tuple[dict[str, Any], list[str]]] = {}
        # lists that calls add to, and the places from where they are reached
        self.lists: dict[int, tuple[list[Any], list[Place | None]]] = {}
        self.generators: list[Any] = []  # of random numbers, of Python's and NumPy's
        self.drawing: dict[Any, Place] = {}  # where these are, their methods and modules
        self.iterators: list[str] = []  # which the function may move on
        self.seen: dict[int, Any] = {}  # what was visited, by identity
        # what is to be visited: objects may be linked in long chains
        self.waiting: deque[tuple[Any, str]] = deque()
        self.arguments: list[Tensor] = []
        self.visit(function)
        for x in given:
            self.visit_given(x)
        for executed, names in code.globals():
            self.visit_names(executed, names)
        self.look()
        self.standing = list(self.tensors)  # that are there besides the arguments, or are these too
        for t in self.arguments:
            self.visit(t)
        self.look()

    def visit(self, x: Any, name: str = "", place: Place | None = None) -> None:
        """Collect from x in its turn; ``place`` is where it is."""
        if grows(x, self.moving):
            self.lists.setdefault(id(x), (x, []))[1].append(place)
            return
        if place is not None and can_draw(x):
            self.drawing[place.key] = place
        if is_generator(x):
            self.generators.append(x)
            self.seen[id(x)] = x
        else:
            self.waiting.append((x, name))

    def look(self) -> None:
        """Collect from all that waits."""
        while self.waiting:
            self.look_at(*self.waiting.popleft())

    def look_at(self, x: Any, name: str) -> None:
        """Collect from x, once."""
        kind = type(x)  # what x says itself is not asked
        if id(x) in self.seen or (issubclass(kind, PLAIN) and not issubclass(kind, tuple)):
            return
        self.seen[id(x)] = x
        if issubclass(kind, Tensor):
            self.visit_tensor(x)
            return
        if x is os or x is os.getenv:  # the state of Python's own modules is in few places
            self.visit(os.environ)
        elif issubclass(kind, (type, ModuleType)):
            if not ours(x):
                self.visit_attributes(x)
        elif optimizes(x):
            self.optimizers.append(x)
            self.visit([g["params"] for g in x.param_groups])
            self.visit(list(hooks_of_steps(x).values()))
            if not ours(x):
                self.visit_attributes(x)
        elif has(x, "named_modules") and has(x, "training"):
            for m in x.modules():
                if m not in self.modules:
                    self.modules.append(m)
                    for table in (m._parameters, m._buffers):
                        self.visit_items(table, [k for k, t in table.items() if t is not None])
                    self.visit_named(m)
                    self.visit(list(hooks_of_calls(m).values()))
        elif issubclass(kind, (list, tuple, set, frozenset, deque, dict)):
            self.visit_container(x)
        elif has(x, "__next__"):
            if name and not issubclass(kind, io.IOBase):
                self.iterators.append(name)
        elif has(x, "__self__") and getattr(x, "__self__", None) is not None:  # not of Cython
            self.visit(x.__self__)
            self.visit(getattr(x, "__func__", None))  # a built-in function has none
        elif has(x, "__code__"):
            self.visit_function(x)
        elif issubclass(kind, functools.partial):
            self.contents.append((f"what is given to {x.func}", x))
            self.visit((x.func, x.args, x.keywords))
        elif issubclass(kind, weakref.ref):
            self.visit(x())
        elif issubclass(kind, ContextVar):
            self.contents.append((f"the variable {x.name} of the context", x))
            self.visit(x.get(None))
        elif issubclass(kind, MappingProxyType):
            self.visit(dict(x))
        elif issubclass(kind, (operator.attrgetter, operator.methodcaller)):
            self.code.names |= names_asked(x)
        elif of_python(kind) and attributes(x):
            self.objects.append(x)
            self.code.handles |= has(x, "__exit__")  # as ``suppress`` does
            if kind.__module__ == "collections":  # such as a UserDict
                self.visit_named(x)
        elif not ours(x):
            self.visit_attributes(x)
        elif has_state(x):
            self.counters.append(x)
            self.visit_named(x)

    def visit_given(self, x: Any) -> None:
        """Collect from an argument. What is in a dataclass is an argument too, and no attribute;
        so is what is in a batch of a user's class.
        """
        if isinstance(x, Tensor):
            self.arguments.append(x)
            return
        inner: Any = self.inside(x)
        if inner is not None:
            inner = [*inner.values(), *classes(x)]
        elif isinstance(x, (list, tuple, deque, dict)):
            inner = [*dict.values(x)] if isinstance(x, dict) else items(x)
            inner += [*dict(attributes(x).items()).values(), *classes(x)]
        if inner is None or id(x) in self.seen:
            self.visit(x, "among the arguments")
            return
        self.seen[id(x)] = x
        for v in inner:
            self.visit_given(v)

    def visit_items(self, x: Any, keys: Any) -> None:
        """Collect from the items of a list or dict that are not looked up at each call."""
        kind: Any = next(c for c in (dict, list, deque) if isinstance(x, c))
        for k in keys:
            if ("item", id(x), k) not in self.moving:
                self.visit(kind.__getitem__(x, k), "", Item(x, k))

    def visit_container(self, x: Any) -> None:
        """Collect from what is in a list, dict or the like, and from what a user's class adds."""
        kind = type(x)
        if issubclass(kind, (list, deque)):
            self.visit_items(x, range(len(items(x))))
        elif issubclass(kind, dict):
            self.visit_items(x, [*dict.keys(x)])
        else:
            for item in items(x):
                self.visit(item)
        if not ours(kind) and not of_python(kind):
            self.contents.append((f"what is in {kind.__name__}", x))
            self.visit_attributes(x)

    def visit_attributes(self, x: Any) -> None:
        """Note an object and collect from its attributes."""
        self.objects.append(x)
        self.visit_named(x)

    def visit_named(self, x: Any) -> None:
        """Collect from the attributes that the function may look at, and from the classes."""
        guard = Attributes(x, self.code, has_state(x), self.moving)
        for k, item in list(guard.d.items()):
            method = isinstance(x, type) and hasattr(item, "__get__")
            if guard.counts(k, item) and (self.code.ran(item) or not method):
                self.visit(function_of(item), k, Attribute(x, k))
        if isinstance(x, type) and not ours(type(x)):
            self.visit(type(x))
        for c in () if isinstance(x, ModuleType) else classes(x):
            self.visit(c)

    def visit_tensor(self, t: Tensor) -> None:
        """Collect from a tensor's hooks, and from what else users put there."""
        self.tensors.append(t)
        if any([self.code.names_attribute(k, v) for k, v in attributes(t).items()]):
            self.visit_attributes(t)
        for hook in hooks_of(t):
            self.visit(hook)

    def visit_function(self, f: Any) -> None:
        """Collect from a function's closure, globals and attributes."""
        if f.__dict__:
            self.visit_attributes(f)
            self.visit(f.__dict__.get("__wrapped__"))  # what another compiled function calls
        if not self.code.may_run(f.__code__):
            return
        runs = self.code.has(f.__code__)
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            if ("cell", id(cell), "") in self.moving:
                continue
            if runs:
                self.cells[id(cell)] = name, cell
            self.visit(contents(cell), name if runs else "", Cell(cell))
        if runs:
            self.functions.append(f)
            self.visit((f.__defaults__, f.__kwdefaults__))
        else:
            self.visit_names(f.__globals__, f.__code__.co_names, guarded=False)

    def visit_names(self, d: dict[str, Any], names: Any, guarded: bool = True) -> None:
        """Collect from globals."""
        for name in names:
            if name in d:
                apart = isinstance(d[name], ModuleType) and d[name] not in (math, statistics)
                if guarded and not apart:
                    self.globals.setdefault(id(d), (d, []))[1].append(name)
                if ("item", id(d), name) not in self.moving:
                    self.visit(d[name], name if guarded else "", Item(d, name))

    def guards(self) -> list[Guard]:
        """What must not change. Learning rates, and other options that did before, may."""
        calls: list[Any] = [functools.partial(hooks_of_calls, m) for m in self.modules]
        found: list[Guard] = [Unhooked(self.modules)] if self.modules else []
        if found and not found[0].holds():  # they are captured with what they run around
            found = [Hooks("a module", calls)]
        for m in self.modules:
            tables = [m._parameters, m._buffers, m._modules]
            found.append(Attributes(m, self.code, True, self.moving))
            found.append(Members(type(m).__name__, tables, self.moving))
        for o in self.optimizers:
            for g in o.param_groups:
                found.append(Options(f"{type(o).__name__}'s ", g, self.read_anew, self.moving))
            found.append(Kept(o, self.moving))
        steps: list[Any] = [functools.partial(hooks_of_steps, o) for o in self.optimizers]
        found += [Hooks("an optimizer", steps)] if steps else []
        others = [Attributes(x, self.code, moving=self.moving) for x in self.objects]
        found += [g for g in others if g.values or not isinstance(g.x, ModuleType)]
        found += [Attributes(x, self.code, True, self.moving) for x in self.counters]
        found += [Defaults(f) for f in self.functions]
        found += [Contents(what, x, self.moving) for what, x in self.contents]
        found += [Variable(name, cell, self.moving) for name, cell in self.cells.values()]
        found += [Globals(d, names, self.moving) for d, names in self.globals.values()]
        return found

    def planted(self, trace: Trace) -> Planted:
        """While tracing, options that programs read anew are Numbers, and so are numbers in places
        that change.
        """
        planted = Planted(self.places, trace)
        for p in self.places:
            if type(p) is Grown and id(p.x) not in self.lists:
                planted.unseen.append((p.x, [*p.x]))
        asked = {*self.code.names, *self.code.methods}
        for x, places in self.lists.values():
            for place in places:
                if place is None:
                    trace.fail("it adds to a list that is not reached by a name alone")
                elif not asked.isdisjoint(OF_LISTS):
                    trace.fail("it adds to a list, and calls what only takes real ones")
                else:
                    planted.grow(place, x)
        trace.handles, trace.asks_truth = self.code.handles, self.code.asks_truth
        for d, names in self.globals.values():
            for name in dict.fromkeys(names):
                stands = of_math(d[name])
                if stands is None and is_statistical(d[name]):
                    stands = Numeric(d[name], trace, lists=True)
                if stands is not None:
                    planted.add(Item(d, name), stands, lambda value, source, trace: source)
        for d, names in self.code.globals():
            for name in {*names} & CONVERSIONS.keys() - self.code.uncalled - d.keys():
                planted.add(Item(d, name), CONVERSIONS[name], lambda value, source, trace: source)
            for name in {*names} & SUMMARIES.keys() - self.code.uncalled - d.keys():
                if self.lists:
                    planted.add(Item(d, name), SUMMARIES[name], lambda value, source, trace: source)
        trace.printing = Printing(trace)
        for d, names in self.code.globals():
            for name, stands in (("print", trace.printing), ("str", trace.printing.text)):
                if name in names and name not in {*d, *self.code.uncalled}:
                    planted.add(Item(d, name), stands, lambda value, source, trace: source)
        trace.draws = Draws(trace, self.generators)
        trace.draws.shuffles = "shuffle" in self.code.names | self.code.methods
        for place in () if trace.is_first else self.drawing.values():
            x = place.get()
            if x is not np or not asked.isdisjoint(["random", "shuffle", *NAMES]):
                planted.add(place, Drawing(x, trace.draws), lambda value, source, trace: source)
        groups = [g for o in self.optimizers for g in o.param_groups]
        return with_options(planted, groups, self.read_anew)


def names_asked(x: Any) -> set[str]:
    """The attributes that an ``attrgetter`` or a ``methodcaller`` looks at."""
    made, given = x.__reduce__()
    texts = [t for t in (*getattr(made, "args", ()), *given) if isinstance(t, str)]
    return {name for text in texts for name in text.split(".")}


def has_state(x: Any) -> bool:
    """Whether x is an object of rushlight whose attributes its own functions look at: a schedule,
    what scales gradients, a distribution, a data set.
    """
    part = type(x).__module__.partition(".")[2].partition(".")[0]
    own = ours(x) and part in STATEFUL and not isinstance(x, (type, ModuleType, FunctionType))
    return own and not has(x, "named_modules") and bool(attributes(x))


def hooks_of(t: Tensor) -> list[Any]:
    """What runs when a tensor's gradient arrives."""
    return [*(t._hooks or {}).values(), *(t._after_hooks or {}).values()]


def hooks_of_calls(module: Any) -> dict[Any, Any]:
    """What runs before and after a module's calls, and in backward passes through it."""
    tables: list[dict[Any, Any]] = module._tables_of_calls()
    return {(k, name): hook for k, table in enumerate(tables) for name, hook in table.items()}


def hooks_of_steps(optimizer: Any) -> dict[Any, Any]:
    """What runs before and after an optimizer's steps."""
    tables: list[dict[Any, Any]] = getattr(optimizer, "_tables_of_steps", list)()
    return {(k, name): hook for k, table in enumerate(tables) for name, hook in table.items()}


class Option:
    """Reads an option of a parameter group, or a part of one that is a tuple."""

    def __init__(self, group: dict[str, Any], name: str, part: int | None = None) -> None:
        self.group, self.name, self.part = group, name, part

    def __call__(self) -> float:
        value: Any = self.group[self.name]
        return float(value if self.part is None else value[self.part])


def with_options(planted: Planted, groups: list[dict[str, Any]], names: Any) -> Planted:
    """Also numbers among the options of parameter groups."""
    for g in groups:
        for name in sorted(names):
            if are_floats(g.get(name)):
                planted.add(Item(g, name), Option(g, name), symbol_of_option)
    return planted


def symbol_of_option(value: Any, source: Option, trace: Trace) -> Any:
    """What stands for an option while a call is traced."""
    if type(value) is not tuple:
        return number(float(value), source, trace)
    group, name = source.group, source.name
    return tuple([number(float(v), Option(group, name, k), trace) for k, v in enumerate(value)])
