"""Calls whose results are still to be differentiated, such as a compiled module's in training.

The call is captured together with the gradients of its results, which makes one graph. It is cut in
two: a program for the call, which also returns what the gradients need, and a program for the
gradients, which runs when a backward pass reaches the results.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from rushlight.compiler import pipeline
from rushlight.compiler.graph import Graph, Input, Node, Value
from rushlight.compiler.guards import Guard
from rushlight.compiler.living import graph_of
from rushlight.compiler.program import empty, run_noted
from rushlight.compiler.results import Alias
from rushlight.compiler.trace import Trace
from rushlight.compiler.variant import Variant, turned
from rushlight.core import engine
from rushlight.core.device_array import driver_of, send
from rushlight.core.function import Function, refusing
from rushlight.core.state import GradMode, modes
from rushlight.core.tensor import Tensor, edge, wrap
from rushlight.errors import GraphError
from rushlight.gpu import Driver


def edge_of(t: Tensor) -> Any:
    """Where gradients of t go; None for a view that may not take part, which nothing used."""
    try:
        return edge(t)
    except GraphError:
        return None


def is_live(t: Tensor) -> bool:
    """Whether t can still be differentiated: it leads to a graph, which a view made under no_grad()
    does not, and no part of that was freed by a backward pass.
    """
    return edge_of(t) is not None and all([node.saved is not None for node in graph_of(t)])


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
    values of the first half that the second one reads; ``graph``: the second half, whose first
    inputs are those and the gradients of the live results; ``needs``: which of these each of its
    results depends on.
    """

    def __init__(self, trace: Trace, results: list[Tensor], arguments: list[Tensor]) -> None:
        values = [trace.operand(t) for t in results]
        first = len(trace.graph.nodes)
        self.live = [is_live(t) for t in results]
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
            found = engine.run_backward(*engine.start(roots, seeds), True, False, where, ends=given)
        place = {id(t): k for k, t in enumerate(arguments)}
        reached = [(t, found[e]) for t, e in wanted.values() if found.get(e) is not None]
        self.inputs = [place.get(id(t), t) for t, _ in reached]
        ends = [trace.operand(g) for _, g in reached]
        self.cut(trace.graph, first, values, ends, len(arguments))

    def cut(
        self, graph: Graph, first: int, results: list[Value], ends: list[Value], given: int
    ) -> None:
        """Take the nodes from ``first`` on out of the graph."""
        back, graph.nodes = graph.nodes[first:], graph.nodes[:first]
        made = {v.number for n in back for v in n.outputs}
        read = {v.number: v for n in back for v in n.inputs if isinstance(v, Value)}
        read.update({v.number: v for v in ends})
        entries = {i.value.number: i for i in graph.inputs}
        inside = [v for k, v in read.items() if k not in made and k not in entries]
        used = [entries[k] for k in read if k in entries]
        seeds = [i for i in graph.inputs if i.kind == "argument" and i.source >= given]
        # arguments may be written to before the backward pass, so their values are saved too
        argued = [i.value for i in used if i.kind == "argument" and i.source < given]
        self.saved = [*inside, *argued]
        self.state = [i for i in used if i.kind == "state"]
        inputs = [Input(v, "argument", k) for k, v in enumerate(self.saved)]
        known = {i.value.number for i in seeds}
        inputs += [Input(i.value, "argument", 0) for i in seeds]
        self.seeds = [i.source - given for i in seeds]
        self.needs = dependence(back, {i.value.number: i.source - given for i in seeds}, ends)
        inputs += [i for i in used if i.kind != "argument" and i.value.number not in known]
        self.rest = inputs[len(self.saved) + len(seeds) :]
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
        self.count = len(trace.graph.results)
        trace.graph.results += gradients.saved
        super().__init__(trace, [], structure, aliases, guards, arguments)
        self.gradients_of = gradients
        self.back = pipeline.build(gradients.graph)
        self.may_enter = False

    def results(self, arrays: list[Any], arguments: Any) -> Any:
        places = self.gradients_of.inputs
        inputs = [arguments[p] if type(p) is int else p for p in places]
        if self.turns is not None:
            arrays = turned(arrays, self.turns)
        numbers = [i.source() for i in self.gradients_of.rest if i.kind == "number"]
        results = CompiledFunction.apply(self, [list(arrays), numbers], *inputs)
        return self.structured(results, arguments)

    def backward(self, saved: list[Any], numbers: list[Any], gs: list[Any]) -> list[Any]:
        """The gradients of inputs, from what was saved, numbers of the call, and the gradients of
        results, None where there are none; None of inputs that only such results depend on.
        """
        g = self.gradients_of
        live = [x for x, is_live in zip(gs, g.live, strict=True) if is_live]
        given = iter(numbers)
        rest = [next(given) if i.kind == "number" else held(i) for i in g.rest]
        first = [i.value for i in g.graph.inputs[len(saved) : len(saved) + len(g.seeds)]]
        arrays = [
            uniform(v, v.driver, 0) if live[k] is None else live[k].contiguous()._array
            for k, v in zip(g.seeds, first, strict=True)
        ]
        outs = [empty(v) for v in g.graph.results]
        with self.lock:
            run_noted(self.back, [*saved, *arrays, *rest], outs)
        missing = {k for k, x in enumerate(live) if x is None}
        return [
            None if needed and needed <= missing else wrap(a)
            for needed, a in zip(g.needs, outs, strict=True)
        ]


def uniform(like: Any, driver: Driver | None, value: int) -> Any:
    """A new array of one value, of the shape and dtype of something, on a GPU if one is given."""
    a = np.full(like.shape, value, like.dtype)
    return a if driver is None else send(a, driver)


def held(entry: Input) -> Any:
    """The array behind an input that is no argument, now."""
    return entry.source if entry.kind == "constant" else entry.source._array


class CompiledFunction(Function):
    """The node of a compiled call in the graph of gradients."""

    @staticmethod
    def forward(ctx: Any, variant: Live, made: list[list[Any]], *inputs: Tensor) -> Any:
        arrays, ctx.numbers = made
        ctx.variant, count = variant, variant.count
        ctx.set_materialize_grads(False)
        outs = tuple([wrap(a) for a in arrays[:count]])
        live = variant.gradients_of.live
        ctx.mark_non_differentiable(*[t for t, on in zip(outs, live, strict=True) if not on])
        # state is saved as it is, so that writes to it before the backward pass are noticed
        ctx.save_for_backward(
            *[wrap(a) for a in arrays[count:]], *[i.source for i in variant.gradients_of.state]
        )
        return outs

    @staticmethod
    def backward(ctx: Any, *gs: Tensor) -> Any:
        variant: Live = ctx.variant
        saved = [t._array for t in ctx.saved_tensors[: len(variant.gradients_of.saved)]]
        found = variant.backward(saved, ctx.numbers, list(gs))
        if modes.grad:  # with create_graph=True; what follows from here cannot be known
            found = [g if g is None else refusing(g, ctx.edges) for g in found]
        return (None, None, *found)
