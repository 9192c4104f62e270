"""The second half of a call whose results are differentiated: the program of its gradients.

A backward pass like the last one is checked by one native function, which runs the program, too:
see Note [Entry] in backends/llvm/entry.py.
"""

from __future__ import annotations

from sys import getrefcount
from typing import Any

import numpy as np

from rushlight.compiler.buffers import HELD
from rushlight.compiler.entered import Entered
from rushlight.compiler.graph import Graph, Value
from rushlight.compiler.program import empty, run_noted
from rushlight.core.device_array import send
from rushlight.core.state import state
from rushlight.core.tensor import Tensor, wrap
from rushlight.gpu import Driver

ENTRY = 4  # passes that take an entry make up for the time that it takes to make one
MOST_VAIN = 32  # passes to be made up for, until no more entries are made


class Made:
    """Memory for gradients, which is free where nobody else has it: see Note [Free buffers] in
    buffers.py. ``renewed`` counts how often some of it was replaced, which entries have to know.
    """

    def __init__(self, values: list[Value]) -> None:
        self.values = values
        self.specs = [(v.shape, v.dtype, v.driver) for v in values]
        self.arrays: list[Any] = [None] * len(values)
        self.renewed = 0

    def free(self) -> list[Any]:
        """The arrays, which nobody else has."""
        arrays = self.arrays
        for k, v in enumerate(self.values):
            if arrays[k] is None or getrefcount(arrays[k]) != HELD:
                arrays[k] = empty(v)
                self.renewed += 1
        return arrays


class Second(Entered):
    """A program for gradients. The ``graph``'s inputs are arrays that the first half saved or was
    given, the ``seeds``, which are gradients of results, and a ``rest`` of as many: state, numbers
    and constants. ``needs``: on which seeds each of its results depends.
    """

    of_arrays = True

    def __init__(
        self, program: Any, graph: Graph, seeds: list[Value], rest: int, needs: list[set[int]]
    ) -> None:
        super().__init__()
        self.program, self.graph, self.seeds, self.needs = program, graph, seeds, needs
        first = len(graph.inputs) - rest
        self.count = first - len(seeds)
        self.rest = [*enumerate(graph.inputs)][first:]
        self.zeros: dict[int, Any] = {}  # in the places of gradients that there were none of
        self.made = Made(graph.results)
        self.numbers = [k for k, i in self.rest if i.kind == "number"]
        self.entry: Any = None
        self.armed = 0  # how often memory had been replaced when the entry was made
        self.vain = 0  # passes that entries have to make up for
        on_cpu = all([i.value.driver is None for i in graph.inputs])
        self.may_enter = on_cpu and hasattr(program, "entry")
        self.sources = [
            *[(k, "argument", k) for k in range(first)],
            *[(k, i.kind, i.source) for k, i in self.rest if i.kind != "constant"],
        ]
        self.inputs = [i.source if i.kind == "constant" else None for i in graph.inputs]

    def run(
        self, kept: list[Any], numbers: list[Any], gs: list[Tensor | None]
    ) -> list[Tensor | None]:
        """The gradients of inputs, from what the call kept, which is what it saved and was given,
        then state, and its numbers, and from the gradients of results, None where there are none;
        None of inputs that only such results depend on.
        """
        saved, seeds, missing = kept[: self.count], list[Any](), set[int]()
        for k, g in enumerate(gs):
            if g is None:
                missing.add(k)
                seeds.append(self.nothing(k))
            else:
                a = g._array
                seeds.append(a if a.flags.c_contiguous else g.contiguous()._array)
        if not self.enter((*saved, *seeds), numbers):
            given = {"number": iter(numbers), "state": iter(kept[self.count :])}
            rest = [i.source if i.kind == "constant" else next(given[i.kind]) for _, i in self.rest]
            run_noted(self.program, [*saved, *seeds, *rest], self.made.free())
            self.arm((*saved, *seeds))
        if not missing:
            return list(map(wrap, self.made.arrays))
        return [
            None if needed and needed <= missing else wrap(a)
            for needed, a in zip(self.needs, self.made.arrays, strict=True)
        ]

    def nothing(self, k: int) -> Any:
        """Zeros in the place of a gradient that there is none of."""
        if k not in self.zeros:
            v = self.seeds[k]
            self.zeros[k] = uniform(v, v.driver, 0)
        return self.zeros[k]

    def enter(self, arrays: tuple[Any, ...], numbers: list[Any]) -> bool:
        """Run the program if this pass is like the last one; else nothing is done."""
        entry = self.entry
        if entry is None or self.armed != self.made.renewed or state.busy:
            return False
        if numbers:
            entry.numbers[self.numbers] = numbers
        number = entry.enter(arrays)
        if number == entry.TAKEN:
            entry.refill()
            self.made.renewed += 1
            self.armed = self.made.renewed
            number = entry.enter(arrays)
        if number <= entry.ALONE:
            entry.program.miss()
            number = entry.ALONE - number
        if number < 0 or not (entry.whole or entry.run_parts(number, arrays) >= 0):
            return False
        if self.vain:
            self.vain -= 1
        return True

    def arm(self, arrays: tuple[Any, ...]) -> None:
        """Let passes like the one just made be entered directly, if they can."""
        self.entry = None
        self.vain += ENTRY
        if not self.may_enter or state.busy or self.vain > MOST_VAIN:
            return
        for k, i in self.rest:
            if i.kind == "state":
                self.inputs[k] = i.source._array
        self.sets = [self.made.arrays]
        self.entry, self.armed = self.program.entry(self, arrays), self.made.renewed
        self.may_enter = self.entry is not None and not self.entry.gaps


def uniform(like: Any, driver: Driver | None, value: int) -> Any:
    """A new array of one value, of the shape and dtype of something, on a GPU if one is given."""
    a = np.full(like.shape, value, like.dtype)
    return a if driver is None else send(a, driver)
