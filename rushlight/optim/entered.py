"""The way of a step straight into the program of its updates.

Note [Entered updates]
Once a program was made for the updates of some parameters, see fused.py, one native function finds
out whether a step is like the last one: whether parameters, state and options are the same objects,
and gradients lie in order. Then it runs the program. See Note [Entry] in
compiler/backends/llvm/entry.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rushlight.compiler.entered import Entered
from rushlight.compiler.held import Words, dict_words, list_words
from rushlight.compiler.sources import together
from rushlight.compiler.surroundings import Option
from rushlight.core.tensor import counter_of

if TYPE_CHECKING:
    from rushlight.optim.fused import Part, Plan


class Options:
    """That a group has the options, parameters and gradients that its programs were made for."""

    def __init__(self, plan: Plan, group: dict[str, Any]) -> None:
        self.plan, self.group, self.then = plan, group, plan.made_for

    def holds(self) -> bool:
        """Whether it has."""
        return type(self.group.get("lr")) is float and self.plan.key(self.group) == self.then

    def words(self) -> Words | None:
        """See compiler/guards.py."""
        return joined(dict_words(self.group), list_words(self.group["params"]))


class State:
    """That the state of parameters is the same tensors."""

    def __init__(self, part: Part, states: Any) -> None:
        self.part, self.states = part, states

    def holds(self) -> bool:
        """Whether it is."""
        return self.part.is_kept(self.states)

    def words(self) -> Words | None:
        """See compiler/guards.py."""
        own = [s for _, s in self.part.states if s is not None]
        return joined(dict_words(self.states), *[dict_words(s) for s in own])


def joined(*parts: Words | None) -> Words | None:
    """Words of several objects; None where some have none."""
    found = Words()
    for words in parts:
        if words is None:
            return None
        found.take(words)
    return found


class Way(Entered):
    """The way into a part's program, for steps like the one that it has just made.

    Raises ValueError where steps must be checked in Python.
    """

    def __init__(self, part: Part, plan: Plan, group: dict[str, Any], states: Any) -> None:
        super().__init__()
        self.program: Any = part.program
        self.graph = self.program.graph
        self.sources = [(k, kind, source) for k, (kind, source) in enumerate(part.sources)
                        if kind != "constant"]  # fmt: skip
        self.inputs = [source if kind == "constant" else None for kind, source in part.sources]
        for k, kind, source in self.sources:
            if kind == "state":
                self.inputs[k] = source._array
        self.gradients = {k: source for k, kind, source in self.sources if kind == "grad"}
        self.updates = [(k, *part.sources[k]) for k in part.targets]
        self.counters = [counter_of(t) for _, _, t in self.updates]
        self.no_grads = [p for p in group["params"] if p._grad is None]
        self.guards = [Options(plan, group), State(part, states)]
        if part.watch or any([kind == "grad" for _, kind, _ in self.updates]):
            raise ValueError("Python decides by values")
        if any([driver is not None for _, _, driver in part.specs]):
            raise ValueError("arrays on a GPU, whose programs are recorded")
        if any([guard.words() is None for guard in self.guards]):
            raise ValueError("what dicts and lists hold is not known here")
        self.entry = self.program.entry(self, ())
        if self.entry is None or self.entry.gaps:
            raise ValueError("arrays with gaps")
        self.states = states
        numbers = [(k, source) for k, kind, source in self.sources if kind == "number"]
        found = together(numbers)
        # options themselves, and what each step computes anew
        self.rates = [alike for alike in found if type(alike.source) is Option]
        self.counted = [alike for alike in found if type(alike.source) is not Option]
        self.fill(self.rates)

    def fill(self, numbers: Any) -> None:
        """Put numbers of this step at their places."""
        for alike in numbers:
            alike.fill(self.entry.numbers)

    def take(self, states: Any) -> bool:
        """Make a step if it is like the last one; else nothing is done."""
        if states is not self.states:
            return False
        entry = self.entry
        with self.program.lock:
            self.fill(self.counted)
            number = entry.enter(())
            while number < 0 and number > entry.ALONE:
                if not entry.renew(number):
                    return False
                self.fill(self.rates)
                number = entry.enter(())
            if number <= entry.ALONE:
                entry.program.miss()
                number = entry.ALONE - number
            if not entry.whole:
                entry.run_parts(number, ())
        for c in self.counters:
            c.value += 1
        return True
