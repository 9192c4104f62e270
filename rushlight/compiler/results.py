"""What a compiled call returns: the structure around tensors, made anew for each call, and tensors
that are no new memory.

A result may be an argument or a parameter itself, a gradient, or a view of one of these or of
another result. Such a tensor is no output of the program: an Alias says how to come by it.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from rushlight.compiler.held import PLAIN
from rushlight.compiler.lent import Lent, in_a_row
from rushlight.compiler.objects import has, ours
from rushlight.compiler.python_numbers import Number, Reading
from rushlight.compiler.storages import overlap
from rushlight.compiler.trace import Trace
from rushlight.core.tensor import Tensor, alias, replay
from rushlight.ops.view import owner

TENSOR = object()  # marks a tensor in a structure
DEEPEST = 50


class Whole:
    """A value that is the same object in each call."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Made:
    """What a function makes of its parts, which are structures."""

    __slots__ = ("make", "parts")

    def __init__(self, make: Callable[..., Any], parts: list[Any]) -> None:
        self.make, self.parts = make, parts


def rebuild(structure: Any, tensors: Iterator[Any]) -> Any:
    """The result of a structure and its tensors."""
    if structure is TENSOR:
        return next(tensors)
    if structure.__class__ is Whole:
        return structure.value
    return structure.make([rebuild(part, tensors) for part in structure.parts])


class Flat:
    """A result taken apart: ``structure``, and ``tensors`` in the order in which they stand there.

    ``outside`` are objects, by identity, that were there before the call, ``passed`` those of them
    that other calls may bring others of; ``why`` says what cannot be made anew.
    """

    def __init__(self, result: Any, outside: dict[int, Any], passed: set[int]) -> None:
        self.outside, self.passed, self.why = outside, passed, ""
        self.tensors: list[Tensor] = []
        self.asks = False  # whether there are numbers or arrays that each call asks for
        self.readings: dict[int, Reading] = {}  # that numbers in the result depend on, by identity
        self.structure = self.part(result, 0)
        if self.readings:  # the first parts, which are made first
            found = [*self.readings.values()]
            self.tensors = [*[r.tensor for r in found], *self.tensors]
            parts = [Made(r.take, [TENSOR]) for r in found]
            self.structure = Made(itemgetter(-1), [*parts, self.structure])

    def part(self, x: Any, depth: int) -> Any:
        """The structure of a part of the result."""
        kind = type(x)
        if issubclass(kind, Tensor):
            self.tensors.append(x)
            return TENSOR
        self.asks |= issubclass(kind, (Number, Lent))
        if kind is Lent and x.is_window:
            self.tensors.append(x.tensor)
            return Made(lambda parts: parts[0]._array, [TENSOR])
        if issubclass(kind, (Number, Lent)):
            self.readings.update({id(r): r for r in x.readings})
            source = x.source
            return Made(lambda _: source(), [])
        row = in_a_row(x) if kind in (list, tuple) and len(x) > 1 else None
        if row is not None:
            self.asks = True
            self.readings.update({id(r): r for r in x[0].readings})
            return Made(lambda _: kind(row()), [])
        if issubclass(kind, tuple):
            return Made(getattr(kind, "_make", kind), [self.part(v, depth + 1) for v in x])
        if issubclass(kind, PLAIN) or issubclass(kind, (type, ModuleType, BuiltinFunctionType)):
            return Whole(x)
        if id(x) in self.passed:
            return self.refuse(f"a {kind.__name__} that was passed to it")
        if id(x) in self.outside or (issubclass(kind, FunctionType) and not x.__closure__):
            return Whole(x)
        if kind is list:
            return Made(list, [self.part(v, depth + 1) for v in x])
        if kind is dict:
            keys, values = list(x), [self.part(v, depth + 1) for v in x.values()]
            return Made(lambda items: dict(zip(keys, items, strict=True)), values)
        return self.object(x, kind, depth + 1)

    def object(self, x: Any, kind: type, depth: int) -> Any:
        """The structure of an object that the call made."""
        if kind is np.ndarray and x.dtype != object:
            kept = x.copy()
            return Made(lambda _: kept.copy(), [])
        if kind is MethodType or has(x, "named_modules") or has(x, "__next__"):
            return self.refuse(f"a {kind.__name__}")
        if ours(x) and kind.__hash__ is not None and not hasattr(x, "__dict__"):
            return Whole(x)  # a dtype, a device or a range, say
        try:
            plan = None if depth > DEEPEST else x.__reduce_ex__(4)
        except TypeError:  # as a function's
            plan = None
        if plan is None:
            return self.refuse(f"a {kind.__name__}")
        if isinstance(plan, str):
            return Whole(x)
        make, args, state, items, pairs = (*plan, None, None, None)[:5]
        if make not in (kind, copyreg.__newobj__):  # type: ignore[attr-defined]
            return self.refuse(f"a {kind.__name__}")
        inner = [args, state, list(items or ()), [tuple(pair) for pair in pairs or ()]]
        return Made(lambda parts: restored(make, *parts), [self.part(v, depth + 1) for v in inner])

    def refuse(self, what: str) -> Any:
        """There is something that cannot be made anew."""
        self.why = self.why or f"it returns {what}"
        return Whole(None)


def restored(make: Any, args: Any, state: Any, items: Any, pairs: Any) -> Any:
    """An object of what ``__reduce_ex__`` says of it."""
    x = make(*args)
    if state is not None and hasattr(x, "__setstate__"):
        x.__setstate__(state)
    elif state is not None:
        own, slots = state if isinstance(state, tuple) else (state, None)
        if own:
            x.__dict__.update(own)
        for name, value in (slots or {}).items():
            object.__setattr__(x, name, value)
    for item in items:
        x.append(item)
    for key, value in pairs:
        x[key] = value
    return x


class Alias:
    """A result that is no new memory: the views of ``chain`` on tensor ``source`` of a ``kind``:
    "argument" (by position), "state" (itself), "grad" (a leaf's, or an argument's by position) or
    "result" (by position).
    """

    def __init__(self, kind: str, source: Any, chain: Any, t: Tensor, root: Any) -> None:
        self.kind, self.source, self.chain = kind, source, chain
        self.itself = t is root
        self.tracked, self.wanted = t.requires_grad, t._wants_grad

    def tensor(self, arguments: list[Tensor], results: list[Any]) -> Tensor:
        """The result of this call."""
        root: Any = self.source
        if self.kind == "argument":
            root = arguments[root]
        elif self.kind == "result":
            root = results[root]
        elif self.kind == "grad":
            root = (arguments[root] if type(root) is int else root)._grad
        if self.itself:
            return root
        t = replay(root, self.chain)
        if t is root or (t.requires_grad and not self.tracked):
            t = alias(t)
        return t.requires_grad_() if self.wanted and not t.requires_grad else t


def aliases_of(trace: Trace, results: list[Tensor], arguments: list[Tensor]) -> list[Alias | None]:
    """For each result how it is come by; None where the program makes it."""
    for t in results:
        trace.operand(t)
    windows = [trace.windows.get(t._array) for t in results]
    if any([w is None for w in windows]):  # the trace has failed
        return [None] * len(results)
    windows = [trace.indices.settled(w) for w in windows]
    if any([w is None for w in windows]):
        trace.fail(
            "it returns a view whose place a tensor says; return a copy, such as x[i].clone()"
        )
        return [None] * len(results)
    roots = gradients(trace, arguments)
    for k, (t, w) in enumerate(zip(results, windows, strict=True)):
        entry, key, found = w.storage.input, id(w.storage), roots.get(id(w.storage))
        if entry is not None and found is None:
            own = entry.source if entry.kind == "state" else arguments[entry.source]
            roots[key] = entry.kind, entry.source, own
        elif entry is None and not w.chain and id(t) not in trace.moved:
            # rather one that can be differentiated
            if found is None or (found[0] == "result" and t.requires_grad > found[2].requires_grad):
                roots[key] = "result", k, t
    made: list[Alias | None] = []
    itself: dict[int, Any] = {id(t): ("state", t, t) for t in trace.moved.values()}
    itself.update({id(t): ("argument", k, t) for k, t in enumerate(arguments)})
    for k, (t, w) in enumerate(zip(results, windows, strict=True)):
        found = itself.get(id(t)) or roots.get(id(w.storage))
        kind, source, own = found or ("result", k, t)
        itself.setdefault(id(t), ("result", k, t))
        new = (kind, source) == ("result", k)
        made.append(None if new else Alias(kind, source, w.chain, t, own))
    for t, a in zip(results, made, strict=True):
        if a is None and (type(t) is not Tensor or t._wants_grad):
            trace.fail(f"it returns a new {type(t).__name__} that requires gradients")
    check_apart(trace, [t for t, a in zip(results, made, strict=True) if a is None])
    return made


def gradients(trace: Trace, arguments: list[Tensor]) -> dict[int, Any]:
    """By storage the gradients that leaves have: a kind, a source and the tensor itself."""
    position = {id(t): k for k, t in enumerate(arguments)}
    found = {}
    for leaf, _ in trace.leaves.values():
        window = None if leaf._grad is None else trace.windows.get(leaf._grad._array)
        if window is not None and not window.chain and trace.from_outside(leaf):
            found[id(window.storage)] = "grad", position.get(id(leaf), leaf), leaf._grad
    return found


def check_apart(trace: Trace, made: list[Tensor]) -> None:
    """Refuse results that share elements, where none of them is all that they share."""
    families: dict[int, list[Any]] = {}
    for t in made:
        families.setdefault(id(owner(t._array)), []).append(t._array)
    for family in families.values():
        for k, a in enumerate(family):
            if any([overlap(a, b) for b in family[:k]]):
                trace.fail("it returns tensors that share some of their elements")


def woven(
    results: Iterable[Tensor], aliases: list[Alias | None], arguments: list[Tensor]
) -> list[Any]:
    """The program's results, and between them those that are no new memory."""
    given = iter(results)
    found: list[Any] = [None if a is not None else next(given) for a in aliases]
    for k, a in enumerate(aliases):
        if a is not None:
            found[k] = a.tensor(arguments, found)
    return found
