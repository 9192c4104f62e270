"""One call of a function while it is traced, and whether a program can stand for others like it.

The call is run (``Call.run``) and gives its own result in any case. It is then judged by what it
did (``failure``): what a program could not do again keeps the function eager. Otherwise its graph
becomes a program (``variant``).
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from rushlight.compiler.code import Code
from rushlight.compiler.given import Given
from rushlight.compiler.guards import Guard, Hooks
from rushlight.compiler.held import content, items
from rushlight.compiler.lent import Whole
from rushlight.compiler.live import Gradients, Live, is_live
from rushlight.compiler.objects import Same
from rushlight.compiler.places import Memory, Wanting
from rushlight.compiler.python_numbers import released
from rushlight.compiler.results import Alias, Flat, aliases_of
from rushlight.compiler.surroundings import Surroundings, hooks_of
from rushlight.compiler.tensor_guards import Kinds, Tags
from rushlight.compiler.trace import Trace
from rushlight.compiler.variant import Variant, present_mode
from rushlight.core.generator import Watch
from rushlight.core.sparse import SparseArray
from rushlight.core.tensor import Tensor, wrap


class Call:
    """A call of a function that reaches ``surroundings``, and runs ``code``, with some arguments,
    of which ``arguments`` are those that are tensors.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        code: Code,
        arguments: list[Tensor],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        given: Given,
        first: bool = False,
    ) -> None:
        self.surroundings, self.code, self.arguments = surroundings, code, arguments
        self.args, self.kwargs, self.given = args, kwargs, given
        self.trace = Trace(arguments, keeps=True, is_first=first)
        self.gradients: Gradients | None = None  # of results that are differentiated outside
        self.ahead: Watch | None = None  # what was drawn to trace them

    def run(self, function: Callable[..., Any]) -> Any:
        """Run it, traced; its result."""
        trace = self.trace
        self.before = present_mode(), content([self.args, self.kwargs], self.given.inside)
        self.code.prints = ""
        standing = self.surroundings.standing
        trace.flags = {id(t): t._wants_grad for t in standing}
        with self.surroundings.planted(trace) as planted, Watch() as self.draws, trace:
            args, kwargs = self.args, self.kwargs
            if not trace.is_first:
                args, kwargs = self.given.symbolic(args, kwargs, trace)
            try:
                out = self.code.watch(function, args, kwargs)
            except BaseException:
                released(trace.made, None)
                raise
            self.caught = [*trace.refused]  # errors that it went on after
            self.looked = [g for g in planted.growing.values() if g.failed]
            del args, kwargs
            self.changes: list[Any] = [
                *planted.changes(),
                *self.moved(),
                *[
                    (Wanting(t), t._wants_grad)
                    for t in standing
                    if t._wants_grad is not trace.flags[id(t)]
                ],
                *trace.printing.said,
            ]
            whole = (out, *[now for _, now in self.changes]) if self.changes else out
            passed = containers((*self.args, *self.kwargs.values()), self.given.inside)
            self.finish(Flat(whole, self.surroundings.seen, passed))
        if self.ahead is not None:  # backward() is to draw the same numbers
            self.ahead.restore()
        return released(trace.made, out)

    def moved(self) -> list[tuple[Memory, Tensor]]:
        """Tensors that the function reaches and that got other memory, with tensors on that."""
        found = list(self.trace.moved.values())
        own = {id(t) for t in self.surroundings.standing}
        if any([id(t) not in own or any([t is a for a in self.arguments]) for t in found]):
            self.trace.fail("it replaces the memory of an argument or a gradient")
        return [(Memory(t), wrap(t._array)) for t in found]

    def finish(self, flat: Flat) -> None:
        """Close the graph, while the trace is open."""
        trace, self.flat = self.trace, flat
        if any([t._array.__class__ is SparseArray for t in flat.tensors]):
            trace.fail("it returns a sparse tensor")
        if flat.why:
            trace.fail(flat.why)
        if trace.failure is None:
            self.aliases: list[Alias | None] = aliases_of(trace, flat.tensors, trace.given)
        if trace.failure is not None:
            return
        made = [t for t, a in zip(flat.tensors, self.aliases, strict=True) if a is None]
        if any([is_live(t, trace.since) for t in made]):
            self.differentiate(made)
        if trace.failure is None:
            self.made, self.fresh = made, trace.finish(made, flat.tensors)

    def differentiate(self, made: list[Tensor]) -> None:
        """Trace the gradients of results, too."""
        if any([m._hooks_of_backward() for m in self.surroundings.modules]):
            self.trace.fail("a module has hooks that run in a backward pass outside of it")
            return
        self.trace.ahead()
        self.ahead = Watch()
        try:
            with self.ahead:
                self.gradients = Gradients(self.trace, made, self.trace.given)
        except Exception as error:  # of a custom Function: backward() is to raise it
            self.trace.fail(f"its backward pass raises {type(error).__name__}: {error}".rstrip("."))
        if self.trace.undone():  # by a custom Function
            self.trace.fail("its backward pass writes to a tensor that was there before")

    def entered_more(self) -> bool:
        """Whether it ran code that no call before did, and which may look at more."""
        return self.trace_failure() is None and self.code.known() != self.surroundings.known

    def trace_failure(self) -> str | None:
        """What the trace could not follow."""
        if self.trace.failure is None and self.gradients is not None:
            return unfit(self.trace, self.fresh)
        return self.trace.failure

    def matters(self) -> bool:
        """Whether it changed memory, or has results to be differentiated."""
        return bool(self.fresh or self.trace.graph.updates or self.gradients)

    def failure(self) -> str | None:
        """Why no program can stand for it; None if one can."""
        before, prints, iterators = self.before, self.code.prints, self.surroundings.iterators
        if not self.trace.draws.explain():  # which explains what else there may be
            unseen = "it draws random numbers from Python or NumPy, which rushlight cannot see"
            return self.trace.draws.why or unseen
        if (failure := self.trace_failure()) is not None:
            return failure
        if iterators:
            return f"it may move the iterator {iterators[0]} on"
        if prints:
            return prints
        if present_mode() != before[0]:
            return "it leaves another gradient mode, autocast or default dtype behind"
        if content([self.args, self.kwargs], self.given.inside) != before[1]:
            return "it changes what is in its arguments"
        if any([id(h) not in self.surroundings.seen for h in hooks_met(self.trace)]):
            return "a tensor has hooks"
        if any([type(value) is Same for t in self.arguments for _, value in self.code.tags(t)]):
            return "it reads what was put on a tensor among its arguments"
        return None

    def guards(self) -> list[Guard]:
        """What it takes for granted of tensors that it met."""
        trace, found = self.trace, list[Guard]()
        leaves = {k: leaf for k, (leaf, _) in trace.leaves.items()}
        if trace.walked and self.gradients is None:  # which grad() does not touch
            leaves |= {id(t): t for t in self.surroundings.standing if t._wants_grad}
        if leaves:
            found.append(Hooks("a tensor", tables_of_hooks(leaves.values())))
        used = {id(i.source) for i in trace.graph.inputs if i.kind == "state"}
        others = [t for t in self.surroundings.standing if id(t) not in used]
        if others:
            found.append(Kinds(others))
        if self.code.asks:
            found.append(Tags(self.surroundings.standing, self.code))
        return found

    def variant(self, guards: list[Guard]) -> Variant:
        """The program for calls like this one."""
        trace, rest = self.trace, (self.flat.structure, self.aliases, guards, self.trace.given)
        if self.gradients is not None:
            variant: Variant = Live(trace, *rest, self.gradients)
        else:
            variant = Variant(trace, self.fresh, *rest)
        for reading in trace.readings:  # later calls bring their own
            if type(reading) is Whole:
                reading.forget()
        variant.standing = self.surroundings.standing
        variant.leave([place for place, _ in self.changes])
        return variant


def containers(x: Any, inside: Callable[[Any], Any]) -> set[int]:
    """The identities of lists, dicts, sets and arrays among arguments, and of objects whose
    attributes ``inside`` gives.
    """
    own = inside(x)
    if own is not None:
        inner = [*own.values()]
    elif isinstance(x, (list, tuple, deque)):
        inner = items(x)
    elif isinstance(x, dict):
        inner = [*dict.values(x)]
    else:
        return {id(x)} if isinstance(x, (set, np.ndarray)) else set()
    found = set().union(*[containers(v, inside) for v in inner])
    return found if isinstance(x, tuple) else found | {id(x)}


def hooks_met(trace: Trace) -> list[Any]:
    """Hooks of the tensors whose gradients a call computed."""
    return [h for leaf, _ in trace.leaves.values() for h in hooks_of(leaf)]


def tables_of_hooks(leaves: Iterable[Tensor]) -> list[Callable[[], Any]]:
    """Where hooks of tensors are."""
    names = ("_hooks", "_after_hooks")
    return [functools.partial(getattr, leaf, name) for leaf in leaves for name in names]


def unfit(trace: Trace, fresh: list[Tensor]) -> str | None:
    """Why a call that returns tensors to be differentiated cannot be cut in two; None if it can."""
    if fresh:
        return "it runs a backward pass, and returns a tensor that still has to be differentiated"
    if trace.outer_graph:
        return "it reads a tensor from outside that still has to be differentiated"
    return None


def changed_by_itself(guards: list[Guard]) -> str | None:
    """What a call takes for granted and changes itself, in words; None if nothing."""
    changed = [g.changed() for g in guards if not g.holds()]
    advice = "change it outside, or keep it in a tensor"
    return f"it changes {changed[0]}; {advice}" if changed else None
