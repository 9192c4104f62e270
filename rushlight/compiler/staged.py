"""Graphs whose values are on a GPU, or on several devices, as programs that run one after another.

Note [Stages]
A value is where the values are that it is computed from; only ToDevice copies it to another device.
So a graph falls into stages, each on one device, and between them values are copied. The devices
take turns, the CPU first, and a node is in the earliest stage of its device that has its inputs:
training on a GPU, and then a look at the loss, is one stage on the GPU and one on the CPU. What is
computed from Python's numbers alone is computed in each stage that needs it.

What a stage writes to memory that was there before the call is written at the end, where a later
stage reads what was there, or may be left (see ``Graph.assumes``).

Note [Where arguments are]
Work that was recorded on a GPU can be started as a whole where all arrays are at the addresses that
it was recorded for. Parameters and gradients are; arguments come at others with each call, and so
do results that the caller keeps. They get a place of their own, where the program always finds
them, and are copied, which takes much less time than to start each kernel.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rushlight.compiler import layout
from rushlight.compiler.graph import Graph, Input, Node, Value
from rushlight.compiler.passes.dead import drop_dead
from rushlight.compiler.passes.rewrite import pure
from rushlight.compiler.program import Program, empty, is_blank
from rushlight.compiler.streams import engines_of, go_back, marks
from rushlight.core.device_array import DeviceArray, send
from rushlight.core.tensor import constant
from rushlight.errors import UnforeseenError
from rushlight.gpu import Driver
from rushlight.ops.copy import Copy
from rushlight.ops.device import ToDevice, where

Place = Driver | None  # None: the CPU


def places_of(graph: Graph) -> list[Place]:
    """Find out where each value is; the devices, the CPU first."""
    found: dict[Place, None] = {None: None}
    found.update({i.value.driver: None for i in graph.inputs})
    for node in graph.nodes:
        driver = next((v.driver for v in operands(node) if v.driver is not None), None)
        if isinstance(node.op, ToDevice):
            driver = node.params["target"]
        found[driver] = None
        for v in node.outputs:
            v.driver = driver
    return [*found]


def operands(node: Node) -> list[Value]:
    """The values among a node's inputs."""
    return [v for v in node.inputs if isinstance(v, Value)]


def program_on(graph: Graph, driver: Place) -> Program:
    """The program of a graph on one device."""
    from rushlight.compiler import pipeline

    if driver is None:
        return pipeline.on_cpu(graph)
    from rushlight.compiler.backends.cuda.program import CudaProgram

    return CudaProgram(graph, driver)


class Stage:
    """A part of a graph on one device. Its inputs come from ``sources``: positions among the inputs
    of the whole, or values that other stages make; its ends are those at ``targets`` of the whole,
    and results that are ``sent`` to other stages.
    """

    def __init__(self, driver: Place, count: int) -> None:
        self.driver, self.graph = driver, Graph(count=count)
        self.sources: list[Any] = []
        self.targets: list[int] = []
        self.sent: list[Value] = []
        self.known: set[int] = set()  # numbers of values that it has

    def build(self, late: set[int]) -> None:
        """Make the program; what belongs to the targets in ``late`` is written at the end."""
        graph, own = self.graph, len(self.graph.results)
        self.ends = dict(zip(self.targets, graph.ends(), strict=True))
        self.aside = {at: self.empty(self.ends[at]) for at in self.targets if at in late}
        self.order = self.targets[:own], self.targets[own:]
        graph.results += self.sent
        self.program: Any = program_on(graph, self.driver)
        recorded = getattr(self.program, "recordable", False)
        given = [k for k, i in enumerate(graph.inputs) if i.kind == "argument"]
        self.arguments: dict[int, set[int]] = {k: set() for k in given if recorded}
        self.results: dict[int, set[int]] = {k: set() for k in self.targets[:own] if recorded}
        # what is copied from another device, where that is known
        self.brought: list[Any] = [None] * len(graph.inputs)
        if self.driver is not None:
            self.bring_constants(self.driver)

    def bring_constants(self, driver: Driver) -> None:
        """Copy constants to a GPU; those that do not matter share memory."""
        found = [(k, i.source) for k, i in enumerate(self.graph.inputs) if i.kind == "constant"]
        blanks = {k: a for k, a in found if is_blank(a)}
        memory = driver.take(max([a.nbytes for a in blanks.values()], default=0))
        for k, a in found:
            if k in blanks:
                self.brought[k] = DeviceArray(memory, 0, a.shape, a.dtype)
            else:
                self.brought[k] = send(np.asarray(a, order="C"), driver)

    def run(self, inputs: list[Any], outputs: list[Any], made: dict[int, Any]) -> None:
        """Run the program; ``made`` has what stages send, by the values' numbers."""
        given = [
            self.bring(k, inputs[s] if s.__class__ is int else made[s.number])
            for k, s in enumerate(self.sources)
        ]
        self.run_on(given, outputs, made)

    def expect(self, inputs: list[Any]) -> None:
        """Know inputs of calls to come, whose state will be where it is now, see ``run_again``."""
        kinds = [i.kind for i in self.graph.inputs]
        self.given: list[Any] = [None] * len(kinds)
        self.moving = []  # positions, and sources, of those that each call looks at
        for k, s in enumerate(self.sources):
            if s.__class__ is int and kinds[k] in ("state", "constant"):
                self.given[k] = self.bring(k, inputs[s])
            if self.given[k] is None or (kinds[k] == "state" and self.given[k] is not inputs[s]):
                self.moving.append((k, s))

    def run_again(self, inputs: list[Any], outputs: list[Any], made: dict[int, Any]) -> None:
        """As ``run``, where state is as it was expected."""
        given = self.given.copy()
        for k, s in self.moving:
            given[k] = self.bring(k, inputs[s] if s.__class__ is int else made[s.number])
        self.run_on(given, outputs, made)

    def run_on(self, given: list[Any], outputs: list[Any], made: dict[int, Any]) -> None:
        """Run the program on inputs that it can use."""
        for at, met in self.results.items():
            if not stays(met, outputs[at], 2) and at not in self.aside:
                self.aside[at] = self.empty(self.ends[at])
        first, rest = [[self.aside.get(at, outputs[at]) for at in part] for part in self.order]
        self.program.run(given, [*first, *[made[v.number] for v in self.sent], *rest])

    def bring(self, k: int, a: Any) -> Any:
        """Input k where the program can use it."""
        if a.__class__ is DeviceArray:
            if a.memory.driver is self.driver and a.flags.c_contiguous:
                met = self.arguments.get(k)
                if met is None or stays(met, a, 1):
                    return a
            if self.driver is None:
                return a.fetch()
        elif self.driver is None or a.__class__ is not np.ndarray:  # a number
            return a
        elif self.graph.inputs[k].kind == "constant":
            return self.brought[k]
        if self.brought[k] is None:
            self.brought[k] = self.empty(self.graph.inputs[k].value)
        self.copy(a, self.brought[k])
        return self.brought[k]

    def copy(self, source: Any, target: Any) -> None:
        """Copy an array, here or from elsewhere, to one of the same shape and dtype."""
        if target.__class__ is DeviceArray:
            if source.__class__ is DeviceArray:
                if source.kind is target.kind and source.flags.c_contiguous:
                    driver, size = source.driver, source.nbytes
                    driver.copy(source.memory, source.offset, target.memory, target.offset, size)
                    return
            elif target.flags.c_contiguous:
                self.program.write(np.ascontiguousarray(source).reshape(-1).view(np.uint8), target)
                return
        Copy.update(constant(target), constant(source))

    def empty(self, v: Value) -> Any:
        """An uninitialised array for a value that may have been made elsewhere."""
        return empty(replace(v, driver=self.driver))

    def settle(self, outputs: list[Any]) -> None:
        """Write what was left for the end."""
        for at, a in self.aside.items():
            self.copy(a, outputs[at])


def stays(met: set[int], a: DeviceArray, most: int) -> bool:
    """Whether an array has been at a few addresses only, see Note [Where arguments are]."""
    if len(met) <= most:
        met.add(a.pointer)
    return len(met) <= most


class Staged:
    """A program for a graph on several devices, or on a GPU."""

    def __init__(self, graph: Graph, places: list[Place]) -> None:
        self.graph = graph
        self.stages = Split(drop_dead(graph), places).stages()
        self.made = {v.number: empty(v) for s in self.stages for v in s.sent}
        self.engines = engines_of(graph) if graph.assumes() else []
        for k, stage in enumerate(self.stages):
            stage.build(late(stage, self.stages[k + 1 :], len(graph.results)))
        # what an entry asks for, see backends/llvm/entry.py: it checks calls, and runs nothing
        self.first_end, self.count, self.at_once = len(graph.inputs), 0, False
        self.numbers = [0.0] * self.first_end
        self.block = np.zeros(self.first_end + len([*graph.ends()]) + 1, np.int64)

    def entry(self, variant: Any, args: tuple[Any, ...]) -> Any:
        """A shorter way in for calls like this one; None where there can be none."""
        from rushlight.compiler import pipeline

        if not (pipeline.has_llvm() and layout.available()):
            return None
        from rushlight.compiler.backends.llvm import entry, runtime

        self.record = np.zeros(runtime.RECORD_WORDS, np.int64)  # of a program without launches
        try:
            found = entry.Entry(self, variant, args)
        except ValueError:
            return None
        for stage in self.stages:
            stage.expect(found.inputs)
        return found

    def run_parts(self, inputs: list[Any], outputs: list[Any]) -> bool:
        """As ``run``, for the entry; whether a check failed."""
        try:
            self.run_by(Stage.run_again, inputs, outputs)
        except UnforeseenError:
            return True
        return False

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        """Run the stages."""
        self.run_by(Stage.run, inputs, outputs)

    def run_by(self, run: Any, inputs: list[Any], outputs: list[Any]) -> None:
        """Run the stages by a method of theirs."""
        before = marks(self.engines)
        try:
            for stage in self.stages:
                run(stage, inputs, outputs, self.made)
        except UnforeseenError:
            go_back(before)
            raise
        for stage in self.stages:
            if stage.aside:
                stage.settle(outputs)

    def describe(self) -> str:
        """The stages, in order."""
        parts = [f"on {where(s.driver)}\n{s.program.describe()}" for s in self.stages]
        return "\n\n".join(parts)


def late(stage: Stage, later: list[Stage], results: int) -> set[int]:
    """The targets of a stage that are written at the end, see Note [Stages]; the first ``results``
    ends of the whole are nobody's yet.
    """
    held = [at for at in stage.targets if at >= results]
    if any([s.graph.assumes() for s in later]):
        return set(held)
    read = {i.value.number for s in later for i in s.graph.inputs}
    written = [i.value.number for i, _ in stage.graph.updates]
    return {at for at, number in zip(held, written, strict=False) if number in read}


class Split:
    """Finds the stages of a graph."""

    def __init__(self, graph: Graph, places: list[Place]) -> None:
        self.graph = graph
        self.turns: dict[Place, int] = {driver: k for k, driver in enumerate(places)}
        self.entries = {i.value.number: (k, i) for k, i in enumerate(graph.inputs)}
        self.copies: dict[int, Value] = {}  # of what a value is a copy, by its number
        self.free: dict[int, Node] = {}  # makers of values that numbers alone decide
        self.at: dict[int, int] = {}  # the stages of the other values
        self.found: dict[int, Stage] = {}
        self.drawn: dict[int, int] = {}  # the last stage that draws from an engine

    def stages(self) -> list[Stage]:
        """All, in order."""
        for node in self.graph.nodes:
            self.visit(node)
        graph = self.graph
        for at, v in enumerate(graph.results):
            stage, v = self.end(v, v.driver, at)
            stage.graph.results.append(v)
        for at, (entry, v) in enumerate(graph.updates, len(graph.results)):
            stage, v = self.end(v, entry.value.driver, at)
            self.take(stage, entry.value)
            stage.graph.updates.append((entry, v))
        for at, v in enumerate(graph.fresh, len(graph.results) + len(graph.updates)):
            stage, v = self.end(v, v.driver, at)
            stage.graph.fresh.append(v)
        return [self.found[k] for k in sorted(self.found)]

    def visit(self, node: Node) -> None:
        """Put a node into a stage."""
        given = [self.source(v) if isinstance(v, Value) else v for v in node.inputs]
        out = node.outputs[0]
        if isinstance(node.op, ToDevice):
            self.copies[out.number] = given[0]
            return
        node = Node(node.op, given, node.params, node.outputs, node.line)
        read = operands(node)
        if read and pure(node) and all(map(self.is_free, read)):
            self.free.update({v.number: node for v in node.outputs})
            return
        engine = id(node.params.get("engine"))  # whose numbers are drawn in order
        turn = max([self.at.get(v.number, 0) for v in read] + [self.drawn.get(engine, 0)])
        turn = self.turn(turn, out.driver)
        if "engine" in node.params:
            self.drawn[engine] = turn
        stage = self.stage(turn, out.driver)
        for v in read:
            self.take(stage, v)
        self.add(stage, node)
        self.at.update({v.number: turn for v in node.outputs})

    def source(self, v: Value) -> Value:
        """What a value is a copy of."""
        return self.copies.get(v.number, v)

    def is_free(self, v: Value) -> bool:
        """Whether numbers alone decide a value."""
        entry = self.entries.get(v.number)
        return v.number in self.free or (entry is not None and entry[1].kind == "number")

    def turn(self, least: int, driver: Place) -> int:
        """When a device is next in turn."""
        return least + (self.turns[driver] - least) % len(self.turns)

    def stage(self, turn: int, driver: Place) -> Stage:
        """The stage at a turn."""
        return self.found.setdefault(turn, Stage(driver, self.graph.count))

    def add(self, stage: Stage, node: Node) -> None:
        """Let a stage run a node."""
        stage.graph.nodes.append(node)
        stage.known.update([v.number for v in node.outputs])

    def take(self, stage: Stage, v: Value) -> None:
        """Let a stage have a value."""
        if v.number in stage.known:
            return
        maker = self.free.get(v.number)
        if maker is not None:
            for x in operands(maker):
                self.take(stage, x)
            self.add(stage, maker)
            return
        at, entry = self.entries.get(v.number, (v, None))
        if entry is None:
            other = self.found[self.at[v.number]]
            if all([x is not v for x in other.sent]):
                other.sent.append(v)
        if entry is None or (entry.kind in ("argument", "state") and v.driver is not stage.driver):
            entry = Input(v, "argument", 0)
        stage.graph.inputs.append(entry)
        stage.sources.append(at)
        stage.known.add(v.number)

    def end(self, v: Value, driver: Place, at: int) -> tuple[Stage, Value]:
        """The stage that writes an end of the whole, and of what value."""
        v = self.source(v)
        stage = self.stage(self.turn(self.at.get(v.number, 0), driver), driver)
        self.take(stage, v)
        stage.targets.append(at)
        return stage, v
