"""What a native program is, as plain data: made from a graph, kept on disk, loaded by program.py.

The block holds, in order, the addresses of the inputs, the outputs, the arena, the numbers, and the
scratch memory that a step's launches share. A value's place is a slot of the block and an offset in
bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rushlight.compiler import memory
from rushlight.compiler.backends.llvm import jit, templates
from rushlight.compiler.backends.llvm.canonical import launch_of
from rushlight.compiler.backends.llvm.launch import SHARED, Launch
from rushlight.compiler.backends.llvm.products import product
from rushlight.compiler.graph import Graph
from rushlight.compiler.lower import Lowering
from rushlight.compiler.steps import Call, Group, Product, Step, Template

CHECK = -1  # the kernel of a launch that only looks at a value


@dataclass
class Plan:
    """A program of some launches.

    ``constants``: inputs beside those of the graph, arrays, or the position in
    ``engines_of(graph)`` of the engine whose desk one is. ``engines``: the positions of those that
    launches draw from. ``sizes``: bytes of memory. ``kernels``: keys of machine code. ``launches``:
    rows of (position in ``kernels``, or CHECK; units; chunks; operands). ``places``: (slot, offset)
    of all operands, launch after launch. ``parts`` of a run: (first launch, last + 1), or the
    position of a step that is a call. ``divided``: whether there is work for several threads.
    """

    constants: list[Any]
    engines: list[int]
    sizes: dict[str, int]
    kernels: list[str]
    launches: np.ndarray[Any, Any]
    places: np.ndarray[Any, Any]
    parts: list[Any]
    cost: float
    divided: bool


class Planner:
    """The plan of a graph, with the steps that led to it."""

    def __init__(self, graph: Graph, expanded: Graph, given: int) -> None:
        self.graph, self.given = graph, given
        self.lowering = low = Lowering(expanded)
        self.inputs = [i.value for i in low.graph.inputs]
        self.ends = list(low.graph.ends())
        self.lay_out()
        self.write()

    def lay_out(self) -> None:
        """Give every value a place."""
        low, n = self.lowering, len(self.inputs)
        own = {v.number for v in (*self.inputs, *self.ends)}
        self.offsets, self.arena = memory.plan(low.steps, own)
        slots = n + len(self.ends)
        self.places: dict[Any, tuple[int, int]] = {
            v.number: (k, 0) for k, v in enumerate(self.inputs)
        }
        self.places.update({v.number: (n + k, 0) for k, v in enumerate(self.ends)})
        self.places.update({number: (slots, offset) for number, offset in self.offsets.items()})
        for k, v in enumerate(self.inputs):
            if v.number in low.numbers:
                self.places[v.number] = (slots + 1, 8 * k)
        self.places[SHARED] = (slots + 2, 0)

    def write(self) -> None:
        """Write the launches."""
        self.launches: list[tuple[Step, Launch | None]] = []
        self.parts: list[Any] = []
        start, width = 0, jit.vector_bits()
        for at, step in enumerate(self.lowering.steps):
            if isinstance(step, Call):
                if len(self.launches) > start:
                    self.parts.append((start, len(self.launches)))
                self.parts.append(at)
                start = len(self.launches)
            else:
                self.launches += [(step, x) for x in self.launches_of(step, width)]
        if len(self.launches) > start:
            self.parts.append((start, len(self.launches)))

    def launches_of(self, step: Step, width: int) -> list[Launch | None]:
        """The launches of a step that is no call; None is a check."""
        node = step.nodes[0]
        if isinstance(step, Group):
            return [launch_of(step.kernel, width)]  # type: ignore[arg-type]
        if isinstance(step, Product):
            return [*product.launches(self.lowering.windows, step, width)]
        if isinstance(step, Template):
            return [*templates.launches(node, width, self.lowering.windows)]
        return [None]

    def operands(self, step: Step, launch: Launch | None) -> list[tuple[int, int]]:
        """The places of a launch's operands."""
        if launch is None:
            return [self.places[self.lowering.windows.root(step.nodes[0].inputs[0]).number]]
        if not isinstance(step, Template):
            return [self.place(key, offset) for key, offset in launch.operands]
        values, found = [*step.nodes[0].inputs, *step.nodes[0].outputs], []
        for key, offset in launch.operands:
            if key == SHARED:
                found.append(self.place(SHARED, offset))
                continue
            root, _, start = self.lowering.windows.layout(values[key])
            found.append(self.place(root.number, offset + start * root.dtype.itemsize))
        return found

    def place(self, key: Any, offset: int) -> tuple[int, int]:
        """A buffer's slot, and an offset from the slot's address."""
        slot, start = self.places[key]
        return slot, start + offset

    def kernels(self) -> dict[str, str]:
        """The IR of all kernels, by their keys."""
        texts = {launch.ir for _, launch in self.launches if launch is not None}
        return {jit.kernel_key(ir): ir for ir in texts}

    def plan(self, kernels: dict[str, str], engines: list[Any]) -> Plan:
        """The plan for a graph with some engines."""
        order = {ir: k for k, ir in enumerate(kernels.values())}
        known = [x for _, x in self.launches if x is not None]
        rows = [self.operands(step, launch) for step, launch in self.launches]
        lines = [
            (CHECK, 0, 0, len(row)) if x is None else (order[x.ir], x.units, x.chunks(), len(row))
            for row, (_, x) in zip(rows, self.launches, strict=True)
        ]
        at = {id(e): k for k, e in enumerate(engines)}
        drawn = [n for s in self.lowering.steps if isinstance(s, Template) for n in s.nodes]
        desks = {id(e.desk): k for k, e in enumerate(engines)}
        arrays = [i.source for i in self.lowering.graph.inputs[self.given :]]
        return Plan(
            [desks.get(id(a), a) for a in arrays],
            sorted({at[id(n.params["engine"])] for n in drawn if "engine" in n.params}),
            {
                "arena": self.arena,
                "scratch": max([x.scratch for x in known], default=0),
                "shared": max([x.shared for x in known], default=0),
            },
            list(kernels),
            np.array(lines, np.int64).reshape(-1, 4),
            np.array([place for row in rows for place in row], np.int64).reshape(-1, 2),
            self.parts,
            sum([x.cost for x in known]),
            any([x.chunks() > 1 for x in known]),
        )
