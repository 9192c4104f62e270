"""Numbers that optimizers count in tensors, computed before a call, from its inputs."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.graph import Graph, Input, Node, Value
from rushlight.compiler.sources import Content, Formula
from rushlight.core.elementwise import Elementwise


class Makers:
    """What makes each value of a graph that grows: an input, or a node."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.known = graph, (0, 0)
        self.found: dict[int, Input | Node] = {}

    def of(self, value: Value) -> Input | Node | None:
        """What makes a value; None where nothing does."""
        graph, (inputs, nodes) = self.graph, self.known
        self.found.update({id(i.value): i for i in graph.inputs[inputs:]})
        self.found.update({id(n.outputs[0]): n for n in graph.nodes[nodes:]})
        self.known = len(graph.inputs), len(graph.nodes)
        return self.found.get(id(value))


def source_of(value: Value, makers: Makers) -> Callable[[], float] | None:
    """A function that computes a 0-dim value from the graph's inputs, before a call; None where
    that takes more than numbers.
    """
    if value.shape:
        return None
    maker = makers.of(value)
    if isinstance(maker, Input):
        if maker.kind == "argument":
            return None
        if maker.kind == "number":
            return maker.source
        held = maker.source
        if maker.kind == "constant":
            return lambda: float(held)
        return Content(held)
    if maker is None or not isinstance(maker.op, Elementwise):
        return None
    sources = [source_of(v, makers) if isinstance(v, Value) else v for v in maker.inputs]
    if any([s is None for s in sources]):
        return None
    return applying(maker, sources, makers)


def applying(node: Node, sources: list[Any], makers: Makers) -> Callable[[], float]:
    """What a node of numbers computes, its operands given as functions or numbers."""
    rest = sources[1:]
    if type(node.op).__name__ == "Add" and len(rest) == 1 and not callable(rest[0]):
        return Formula(operator.add, sources)  # counting steps, the usual case
    made = [makers.of(v) if isinstance(v, Value) else None for v in node.inputs]
    plain = [isinstance(m, Input) and m.kind == "number" for m in made]
    kinds = [  # of operands that are arrays; Python numbers do not decide the result's dtype
        v.dtype if isinstance(v, Value) and not p else None
        for v, p in zip(node.inputs, plain, strict=True)
    ]

    def compute() -> float:
        numbers = [s() if callable(s) else s for s in sources]
        operands = [
            n if d is None else np.asarray(n, d) for n, d in zip(numbers, kinds, strict=True)
        ]
        out = np.asarray(node.op.forward(operands, node.params))
        return float(out.astype(node.outputs[0].dtype))

    return compute
