"""What a native program is, as plain data: made from a graph, kept on disk, loaded by program.py.

The block holds, in order, the addresses of the inputs, the outputs, the arena, the numbers, the
scratch memory that a step's launches share, and the table. A value's place is a slot of the block
and an offset in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rushlight.compiler import memory
from rushlight.compiler.backends.llvm import jit, templates
from rushlight.compiler.backends.llvm.canonical import launch_of
from rushlight.compiler.backends.llvm.launch import SHARED, TABLE, Launch
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
    launches draw from. ``sizes``: bytes of memory. ``kernels``: symbols of machine code.
    ``launches``: rows of (position in ``kernels``, or CHECK; units; chunks; operands). ``places``:
    (slot, offset) of all operands, launch after launch. ``table``: the numbers of launches.
    ``functions``: (position in the table, in ``kernels``) of those that are functions. ``parts`` of
    a run: (first launch, last + 1), or the position of a step that is a call. ``divided``: whether
    there is work for several threads.
    """

    constants: list[Any]
    engines: list[int]
    sizes: dict[str, int]
    kernels: list[str]
    launches: np.ndarray[Any, Any]
    places: np.ndarray[Any, Any]
    table: np.ndarray[Any, Any]
    functions: np.ndarray[Any, Any]
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
        self.places[SHARED], self.places[TABLE] = (slots + 2, 0), (slots + 3, 0)

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
            if key in (SHARED, TABLE):
                found.append(self.place(key, offset))
                continue
            root, _, start = self.lowering.windows.layout(values[key])
            found.append(self.place(root.number, offset + start * root.dtype.itemsize))
        return found

    def place(self, key: Any, offset: int) -> tuple[int, int]:
        """A buffer's slot, and an offset from the slot's address."""
        slot, start = self.places[key]
        return slot, start + offset

    def kernels(self) -> dict[str, str]:
        """The IR of all kernels and functions that they have in common, by their symbols."""
        texts = dict[str, str]()
        irs = dict.fromkeys([x.ir for _, x in self.launches if x is not None])
        self.symbols = {ir: jit.separate(ir, texts) for ir in irs}
        return texts

    def plan(self, kernels: dict[str, str], engines: list[Any]) -> Plan:
        """The plan for a graph with some engines."""
        order = {symbol: k for k, symbol in enumerate(kernels)}
        known = [x for _, x in self.launches if x is not None]
        rows, lines, table = [], [], list[int | str]()
        for step, x in self.launches:
            row = self.operands(step, x)
            if x is None:
                lines.append((CHECK, 0, 0, len(row)))
            else:
                symbols = self.symbols[x.ir]
                lines.append((order[symbols["kernel"]], x.units, x.chunks(), len(row)))
                if x.numbers:
                    slot, start = row[0]
                    row[0] = slot, start + 8 * len(table)
                    table += [symbols[n] if isinstance(n, str) else n for n in x.numbers]
            rows.append(row)
        functions = [(k, order[n]) for k, n in enumerate(table) if isinstance(n, str)]
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
            np.array([0 if isinstance(n, str) else n for n in table], np.int64),
            np.array(functions, np.int64).reshape(-1, 2),
            self.parts,
            sum([x.cost for x in known]),
            any([x.chunks() > 1 for x in known]),
        )
