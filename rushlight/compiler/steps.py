"""The steps of a program: what kinds there are, and which need which others."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from rushlight.compiler.graph import Node, Value
from rushlight.compiler.loops import ZERO, Index, Kernel, axis_index, flatten, unflatten


@dataclass(eq=False)
class Step:
    """Something to run. ``reads`` and ``buffers`` are memory: the roots of what it reads and
    writes; ``place`` orders steps where data does not.
    """

    nodes: list[Node]
    place: int
    reads: set[int] = field(default_factory=set)
    writes: list[Value] = field(default_factory=list)
    buffers: list[Value] = field(default_factory=list)


class Group(Step):
    """A fused kernel in the making. Axis k is dim k of ``shape``; ``cols`` are the axes reduced
    over, once there is a reduction.
    """

    def __init__(self, shape: tuple[int, ...], place: int) -> None:
        super().__init__([], place)
        self.shape = shape
        self.sizes = {k: n for k, n in enumerate(shape) if n != 1}
        self.cols: tuple[int, ...] | None = None
        self.index: dict[int, Index] = {}  # of each value made here
        self.inner: dict[int, Index] = {}  # of each reduction's input
        self.kernel: Kernel | None = None

    def full(self) -> Index:
        """The index of a value of the whole shape."""
        return tuple([axis_index(k) if n != 1 else ZERO for k, n in enumerate(self.shape)])

    def candidates(self, shape: tuple[int, ...]) -> list[Index]:
        """Ways in which a value of ``shape`` may lie on the axes."""
        result = [self.full()] if shape == self.shape else self.reshaped(self.full(), shape)
        if self.cols is not None:
            kept = [k not in self.cols for k in range(len(self.shape))]
            if shape == tuple([n if keep else 1 for n, keep in zip(self.shape, kept, strict=True)]):
                result.append(
                    tuple([i if keep else ZERO for i, keep in zip(self.full(), kept, strict=True)])
                )
            if shape == tuple([n for n, keep in zip(self.shape, kept, strict=True) if keep]):
                result.append(tuple([i for i, keep in zip(self.full(), kept, strict=True) if keep]))
        return result

    def reshaped(self, index: Index, shape: tuple[int, ...]) -> list[Index]:
        """The index of the same elements in another shape, where it is affine."""
        if math.prod(shape) != math.prod(self.shape):
            return []
        found = unflatten(flatten(index, self.shape), shape, self.sizes)
        return [] if found is None else [found]


@dataclass(eq=False)
class Product(Step):
    """A (batched) matrix product of two windows, whose node is the first. The others are those of
    ``kernel``, which runs on its results, see epilogues.py.
    """

    kernel: Kernel | None = None


@dataclass(eq=False)
class Template(Step):
    """An op with a kernel of its own: convolution, pooling."""


@dataclass(eq=False)
class Call(Step):
    """An op's own NumPy code."""


@dataclass(eq=False)
class Check(Step):
    """Stops the program where a value is False."""


class Precedence:
    """Which steps need which others, directly or not; sets are bits of numbers, kept complete."""

    def __init__(self) -> None:
        self.own: dict[int, int] = {}  # a step's bits: one, and those of steps merged into it
        self.all: dict[int, int] = {}  # of everything that it needs
        self.direct: dict[int, set[Step]] = {}
        self.users: dict[int, set[Step]] = {}
        self.count = 0

    def add(self, step: Step) -> None:
        """A new step, which needs nothing yet."""
        self.own[id(step)], self.all[id(step)] = 1 << self.count, 0
        self.direct[id(step)], self.users[id(step)] = set(), set()
        self.count += 1

    def needs(self, step: Step, others: list[Step]) -> None:
        """The step runs after the others."""
        new = 0
        for other in others:
            if other is not step:
                self.direct[id(step)].add(other)
                self.users[id(other)].add(step)
                new |= self.own[id(other)] | self.all[id(other)]
        self.spread(step, new)

    def spread(self, step: Step, new: int) -> None:
        """Let a step, and all that need it, know what else it needs."""
        work = [(step, new)]
        while work:
            step, new = work.pop()
            before = self.all[id(step)]
            if before | new != before:
                self.all[id(step)] = before | new
                work += [(user, new) for user in self.users[id(step)]]

    def merge(self, step: Step, other: Step) -> None:
        """The step takes the other's place."""
        self.own[id(step)] |= self.own.pop(id(other))
        for user in self.users.pop(id(other)):
            self.direct[id(user)].discard(other)
            if user is not step:
                self.direct[id(user)].add(step)
                self.users[id(step)].add(user)
        for needed in self.direct.pop(id(other)):
            self.users[id(needed)].discard(other)
            if needed is not step:
                self.direct[id(step)].add(needed)
                self.users[id(needed)].add(step)
        new = self.all.pop(id(other))
        self.spread(step, new)
        for user in self.users[id(step)]:
            self.spread(user, self.own[id(step)] | self.all[id(step)])

    def reaches(self, start: Step, end: Step) -> bool:
        """Whether ``end`` needs ``start``, through any steps."""
        return bool(self.all[id(end)] & self.own[id(start)])


def summary(step: Step) -> str:
    """The ops of a step, its shape, and where the user wrote it."""
    counts = Counter(type(n.op).__name__ for n in step.nodes)
    ops = " ".join([name if n == 1 else f"{name}*{n}" for name, n in counts.items()])
    line = next((n.line for n in step.nodes if n.line), "")
    shape = getattr(step, "shape", None) or step.nodes[0].outputs[0].shape
    return f"{type(step).__name__.lower()} {tuple(shape)}: {ops}" + (f"  [{line}]" if line else "")
