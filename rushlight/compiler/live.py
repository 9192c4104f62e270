"""Calls whose results are still to be differentiated, such as a compiled module's in training.

The call is captured together with the gradients of its results, which makes one graph. It is cut in
two: a program for the call, which also returns what the gradients need, and a program for the
gradients, which runs when a backward pass reaches the results.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from rushlight.compiler import pipeline
from rushlight.compiler.graph import Graph, Input, Node, Value
from rushlight.compiler.guards import Guard
from rushlight.compiler.living import graph_of
from rushlight.compiler.results import Alias
from rushlight.compiler.second import Second, uniform
from rushlight.compiler.trace import Trace
from rushlight.compiler.variant import Variant, turned
from rushlight.core import engine
from rushlight.core.autograd import users_calls
from rushlight.core.device_array import driver_of
from rushlight.core.function import refusing
from rushlight.core.node import Node as Recorded, new_node, output_of
from rushlight.core.state import GradMode, modes, state
from rushlight.core.tensor import Tensor, edge, wrap
from rushlight.errors import GraphError


def edge_of(t: Tensor) -> Any:
    """Where gradients of t go; None for a view that may not take part, which nothing used."""
    try:
        return edge(t)
    except GraphError:
        return None


def is_live(t: Tensor, since: int) -> bool:
    """Whether t can still be differentiated: it leads to a graph, which a view made under no_grad()
    does not, and no part of that which was made ``since`` was freed by a backward pass. What was
    freed before the call, as of arguments that were differentiated, is whole in other calls.
    """
    made = [node for node in graph_of(t) if node.seq > since]
    return edge_of(t) is not None and all([node.saved is not None for node in made])


@contextlib.contextmanager
def unhooked(edges: list[Any]) -> Iterator[None]:
    """Without what runs, or is kept, when a backward pass reaches leaves and nodes: it will do so
    once the results are differentiated.
    """
    leaf, node = {"_hooks": None}, {"hooks": None, "pre_hooks": None, "keepers": ()}
    kept = []
    for e in edges:
        for name, nothing in (leaf if isinstance(e, Tensor) else node).items():
            kept.append((e, name, getattr(e, name)))
            setattr(e, name, nothing)
    try:
        yield
    finally:
        for e, name, value in kept:
            setattr(e, name, value)


class Gradients:
    """The second half of a traced call: gradients of its live results, traced as well.

    ``inputs``: whose gradients they are, tensors from outside or positions of arguments; ``saved``:
    values of the first half that the second one reads, and ``passed``, arguments that it reads, by
    position; ``graph``: the second half, whose first inputs are those and the gradients of the live
    results, at least of the ``seeds``, by position; ``needs``: on which of the seeds each of its
    results depends.
    """

    def __init__(self, trace: Trace, results: list[Tensor], arguments: list[Tensor]) -> None:
        for t in results:
            trace.operand(t)
        first = len(trace.graph.nodes)
        self.live = [is_live(t, trace.since) for t in results]
        roots = [t for t, live in zip(results, self.live, strict=True) if live]
        seeds = [wrap(uniform(t._array, driver_of(t), 1)) for t in roots]
        for k, seed in enumerate(seeds):
            trace.expect(seed, len(arguments) + k)
        tensors = [*arguments, *[t for t, _ in trace.tensors.values()]]
        edges = [(t, edge_of(t)) for t in tensors if t.requires_grad]
        wanted = {id(e): (t, e) for t, e in edges if e is not None}
        with GradMode(False), unhooked([e for _, e in wanted.values()]):
            where = [e for _, e in wanted.values()]
            # what arguments were computed from may be other calls, on the same parameters
            given = {edge_of(t) for t in arguments}
            starts, gs = engine.start(roots, seeds)
            found = engine.run_backward(starts, gs, True, False, where, ends=given)
        place = {id(t): k for k, t in enumerate(arguments)}
        nodes, _ = engine.reachable(starts)
        last = {id(e): k for k, e in enumerate([e for n in nodes for e in n.edges])}
        order = sorted(wanted.values(), key=lambda pair: last.get(id(pair[1]), -1))  # of hooks
        reached = [(t, found[e]) for t, e in order if found.get(e) is not None]
        self.inputs = [place.get(id(t), t) for t, _ in reached]
        ends = [trace.operand(g) for _, g in reached]
        written = {id(s.input) for s in trace.entered if s.writes}
        self.cut(trace.graph, first, ends, len(arguments), written)

    def cut(
        self, graph: Graph, first: int, ends: list[Value], given: int, written: set[int]
    ) -> None:
        """Take the nodes from ``first`` on out of the graph; inputs ``written`` to, by identity,
        hold something else by then.
        """
        back, graph.nodes = graph.nodes[first:], graph.nodes[:first]
        made = {v.number for n in back for v in n.outputs}
        read = {v.number: v for n in back for v in n.inputs if isinstance(v, Value)}
        read.update({v.number: v for v in ends})
        entries = {i.value.number: i for i in graph.inputs}
        inside = [v for k, v in read.items() if k not in made and k not in entries]
        used = [entries[k] for k in read if k in entries]
        seeds = [i for i in graph.inputs if i.kind == "argument" and i.source >= given]
        argued = [i for i in used if i.kind == "argument" and i.source < given]
        self.saved = [*inside, *[i.value for i in argued if id(i) in written]]
        passed = [i for i in argued if id(i) not in written]
        self.passed = [i.source for i in passed]
        self.state = [i for i in used if i.kind == "state"]
        first_inputs = [(v, None) for v in self.saved] + [(i.value, i.strides) for i in passed]
        inputs = [Input(v, "argument", k, strides) for k, (v, strides) in enumerate(first_inputs)]
        known = {i.value.number for i in seeds}
        inputs += [Input(i.value, "argument", 0) for i in seeds]
        self.seeds = [i.source - given for i in seeds]
        self.needs = dependence(back, {i.value.number: k for k, i in enumerate(seeds)}, ends)
        inputs += [i for i in used if i.kind != "argument" and i.value.number not in known]
        self.rest = inputs[len(first_inputs) + len(seeds) :]
        self.graph = Graph(inputs, back, ends, [], [], graph.count)
        graph.inputs = [i for i in graph.inputs if i.value.number not in known]


def dependence(nodes: list[Node], seeds: dict[int, int], ends: list[Value]) -> list[set[int]]:
    """Which seeds, by their places, each end is computed from."""
    found = {number: {place} for number, place in seeds.items()}
    for n in nodes:
        used = [found.get(v.number, set()) for v in n.inputs if isinstance(v, Value)]
        for v in n.outputs:
            found[v.number] = set().union(*used)
    return [found.get(v.number, set()) for v in ends]


class Live(Variant):
    """A program for the call, and one for its gradients."""

    def __init__(
        self,
        trace: Trace,
        structure: Any,
        aliases: list[Alias | None],
        guards: list[Guard],
        arguments: list[Tensor],
        gradients: Gradients,
    ) -> None:
        self.returned = len(trace.graph.results)
        trace.graph.results += gradients.saved
        super().__init__(trace, [], structure, aliases, guards, arguments)
        self.gradients_of, self.state = gradients, [i.source for i in gradients.state]
        self.back = pipeline.build(gradients.graph)
        g = gradients
        rest = len(g.graph.inputs) - len(g.rest)
        seeds = [i.value for i in g.graph.inputs[rest - len(g.seeds) : rest]]
        self.second = Second(self.back, g.graph, seeds, len(g.rest), g.needs)
        live = [k for k, is_live in enumerate(g.live) if is_live]
        self.seeds = [live[k] for k in g.seeds]
        self.numbers = [i.source for i in gradients.rest if i.kind == "number"]
        self.to_arguments = int in map(type, gradients.inputs)
        self.by_place = bool(gradients.passed) or self.to_arguments
        self.plain, self.single = self.single, False

    def share(self, others: Any) -> None:
        """Have memory for gradients in common with another variant of the same function."""
        for other in others:
            if isinstance(other, Live) and other.second.made.specs == self.second.made.specs:
                self.second.made, self.lock = other.second.made, other.lock
                return

    def results(self, arrays: list[Any], arguments: Any) -> Any:
        numbers = [source() for source in self.numbers] if self.numbers else []
        return self.differentiable(arrays, numbers, arguments)

    def differentiable(self, arrays: list[Any], numbers: list[Any], arguments: Any) -> Any:
        """What the call returns; ``numbers`` are those that its gradients need."""
        g = self.gradients_of
        inputs: list[Any] = g.inputs
        kept: list[Any] = self.state
        if self.by_place:
            given = arguments
            for t in arguments:
                if not isinstance(t, Tensor):
                    given = [t for t in arguments if isinstance(t, Tensor)]
                    break
            kept = [*map(given.__getitem__, g.passed), *kept]
            if self.to_arguments:
                inputs = [given[p] if type(p) is int else p for p in inputs]
        if self.turns is not None:
            arrays = turned(arrays, self.turns)
        edges = [t if t._wants_grad and t._node is t._link is None else edge(t) for t in inputs]
        node = new_node(None, tuple(edges), None, CompiledNode)
        node.variant, node.numbers = self, numbers
        node.keep(arrays[self.returned :], kept)
        outs = list(map(wrap, arrays[: self.returned]))
        node.join(outs, g.live)
        return outs[0] if self.plain else self.structured(outs, arguments)

    def backward(self, kept: list[Any], numbers: list[Any], gs: list[Any]) -> list[Any]:
        """The gradients of inputs, see ``Second.run``; ``gs``: of results."""
        with self.lock:
            return self.second.run(kept, numbers, [gs[k] for k in self.seeds])


class CompiledNode(Recorded):
    """The node of a compiled call in the graph of gradients."""

    __slots__ = ("variant", "numbers", "made", "packed")
    home = "rushlight.autograd.function"
    fills = False
    variant: Live
    numbers: list[Any]  # that the call was given
    made: int  # how many of what is saved the program made
    packed: bool  # whether users' hooks keep what is saved

    def name(self) -> str:
        return "CompiledFunctionBackward"

    def keep(self, made: Sequence[Any], tensors: list[Tensor]) -> None:
        """Save arrays that the program made, and tensors, where writes to these are noticed."""
        self.made, self.packed = len(made), bool(state.busy) and modes.saved_hooks is not None
        if self.packed:
            pack, unpack = modes.saved_hooks  # type: ignore[misc]
            self.saved = (*[pack(wrap(a)) for a in made], *map(pack, tensors))
            self.versions = (unpack,) * len(self.saved)
        else:
            self.saved = (*made, *tensors)
            self.versions = (None,) * len(made) + tuple([t._counter.value for t in tensors])

    def join(self, outs: list[Tensor], live: list[bool]) -> None:
        """Let gradients of those results that are live come here."""
        if state.busy and modes.anomaly:
            self.stack = users_calls()
        if live == [True]:
            outs[0]._node, outs[0]._tracked = self, True
            return
        self.special = True
        self.out_specs = [(t._array.shape, t._array.dtype) for t in outs]
        for k, t in enumerate(outs):
            if live[k]:
                t._node, t._tracked = output_of(self, k), True

    def backward(self, g: Any, needed: Any = None) -> list[Any]:
        if self.saved is None:
            self.fetch(0)  # raises: the graph was freed
        arrays = [] if self.packed else [*self.saved[: self.made]]
        for k in range(len(arrays), len(self.saved)):
            t = self.saved[k]
            if self.packed or t._counter.value != self.versions[k]:
                t = self.fetch(k)
            arrays.append(t._array)
        gs = g if self.special and self.out_specs is not None else [g]
        found = self.variant.backward(arrays, self.numbers, gs)
        if modes.grad:  # with create_graph=True; what follows from here cannot be known
            found = [x if x is None else refusing(x, self.edges) for x in found]
        return found
