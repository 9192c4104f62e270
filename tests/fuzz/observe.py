"""Run a program on a library and note everything that a user could see."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.fuzz.program import EXPECTED, Machine, Missing, Ref, Step
from tests.fuzz.watch import Watch, as_numpy


@dataclass
class Outcome:
    """What one step did: the error it raised, or how many tensors and what plain value it gave."""

    error: BaseException | None = None
    made: int = 0
    plain: Any = None
    skipped: bool = False
    kinds: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def __str__(self) -> str:
        if self.skipped:
            return "skipped"
        if self.error is None:
            return f"{self.made} tensors, {self.plain}"
        return f"{type(self.error).__name__}: {self.error}"


@dataclass
class Seen:
    """One tensor at the end of a program."""

    values: np.ndarray | None
    dtype: str
    facts: dict[str, Any]
    strides: tuple[int, ...]
    gradient: Any = None
    memory: np.ndarray | None = None


@dataclass
class Observation:
    outcomes: list[Outcome] = field(default_factory=list)
    tensors: dict[Ref, Seen] = field(default_factory=dict)
    hooks: list[tuple[int, np.ndarray | None]] = field(default_factory=list)
    stopped_at: int | None = None


@contextmanager
def quiet() -> Iterator[None]:
    """Programs may warn as they like."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def attempt(machine: Machine, step: Step) -> Outcome:
    """One step, errors included."""
    try:
        made, plain = machine.perform(step)
    except Missing:
        return Outcome(skipped=True)
    except EXPECTED as error:
        return Outcome(error=error)
    kinds = tuple((str(t.dtype), tuple(t.shape)) for t in made)
    return Outcome(made=len(made), plain=plain, kinds=kinds)


def same_outcome(a: Outcome, b: Outcome) -> bool:
    if a.error is None and b.error is None:
        plain = a.plain == b.plain or (isinstance(a.plain, float) and isinstance(b.plain, float))
        return (a.made, a.kinds, a.skipped) == (b.made, b.kinds, b.skipped) and plain
    return isinstance(b.error, type(a.error)) if a.error is not None else False


def observe(
    program: Sequence[Step],
    lib: Any,
    expected: Observation | None = None,
    watch: Watch | None = None,
    jitter: float = 0.0,
) -> Observation:
    """Run it; with `expected`, stop where a step's outcome differs. `watch` goes along."""
    machine, seen = Machine(lib, jitter), Observation()
    with quiet():
        for i, step in enumerate(program):
            outcome = attempt(machine, step)
            seen.outcomes.append(outcome)
            if watch is not None:
                watch.after(step, machine, outcome)
            if expected is not None and not same_outcome(expected.outcomes[i], outcome):
                seen.stopped_at = i
                return seen
        look(machine, seen)
    return seen


def look(machine: Machine, seen: Observation) -> None:
    """Note the tensors and what hooks saw."""
    tensors = machine.tensors
    flags = {ref: _ask(lambda t=t: t.requires_grad) for ref, t in tensors.items()}
    for ref, t in tensors.items():
        facts = {
            "requires_grad": flags[ref],
            "is_leaf": _ask(lambda t=t: t.is_leaf),
            "_version": _ask(lambda t=t: t._version),
            "retains_grad": _ask(lambda t=t: t.retains_grad),
        }
        seen.tensors[ref] = Seen(
            values(t), str(t.dtype), facts, strides(t), memory=_ask(lambda t=t: t.detach().numpy())
        )
    for ref, t in tensors.items():
        facts = seen.tensors[ref].facts
        if facts["is_leaf"] is True or facts["retains_grad"] is True:
            g = t.grad
            if g is not None:
                seen.tensors[ref].gradient = (values(g), str(g.dtype), g.requires_grad)
    seen.hooks = [(key, None if g is None else values(g)) for key, g in machine.hook_log]


def _ask(question: Any) -> Any:
    try:
        return question()
    except EXPECTED:
        return "error"


def values(t: Any) -> np.ndarray:
    t = t.detach()
    if str(t.dtype) == "torch.bfloat16":
        t = t.float()
    return as_numpy(t).copy()


def strides(t: Any) -> tuple[int, ...]:
    """Strides of the dims that matter."""
    shape = tuple(t.shape)
    return () if 0 in shape else tuple(s for s, n in zip(t.stride(), shape, strict=True) if n > 1)
