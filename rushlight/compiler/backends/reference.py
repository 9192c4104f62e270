"""Runs a graph node by node with NumPy: the definition of what a graph computes."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.graph import Graph, Node, Value
from rushlight.compiler.streams import engines_of, go_back, marks
from rushlight.core.view import View
from rushlight.errors import UnforeseenError
from rushlight.ops.view import look_or_copy


def apply(node: Node, operands: list[Any]) -> list[Any]:
    """The arrays that a node's op makes of its operands."""
    if isinstance(node.op, View) and not node.op.multi:
        return [look_or_copy(operands[0], ((node.op, node.params),))]
    if node.op.by_order:
        operands = [np.asarray(operands[0], order="C"), *operands[1:]]
    out = node.op.forward(operands, node.params)
    return list(out) if len(node.outputs) > 1 or out.__class__ in (tuple, list) else [out]


def stored(array: Any, value: Value) -> Any:
    """The array as what the graph says it is; a node's result may have more precision."""
    array = np.asarray(array)
    return array if array.dtype == value.dtype else array.astype(value.dtype)


def evaluate(graph: Graph, inputs: list[Any]) -> dict[int, Any]:
    """Every value's array, by the value's number; values that nothing reads later are dropped."""
    values: dict[int, Any] = {i.value.number: a for i, a in zip(graph.inputs, inputs, strict=True)}
    last = last_uses(graph)
    for at, node in enumerate(graph.nodes):
        operands = [values[v.number] if isinstance(v, Value) else v for v in node.inputs]
        if not any([isinstance(x, np.ndarray) for x in operands]):
            operands = [x if x is None else np.asarray(x) for x in operands]  # given numbers
        for value, array in zip(node.outputs, apply(node, operands), strict=True):
            values[value.number] = stored(array, value)
        for number in last.get(at, ()):
            values.pop(number, None)
    return values


def last_uses(graph: Graph) -> dict[int, list[int]]:
    """For each node's position the values that it reads last; the graph's ends have none."""
    ends = {v.number for v in graph.ends()}
    where: dict[int, int] = {}
    for at, node in enumerate(graph.nodes):
        for v in (*node.inputs, *node.outputs):
            if isinstance(v, Value) and v.number not in ends:
                where[v.number] = at
    result: dict[int, list[int]] = {}
    for number, at in where.items():
        result.setdefault(at, []).append(number)
    return result


class Reference:
    """A program that calls each op's NumPy definition."""

    def __init__(self, graph: Graph, given: int | None = None) -> None:
        self.graph = graph
        self.given = len(graph.inputs) if given is None else given
        self.constants = [i.source for i in graph.inputs[self.given :]]
        self.given_back = engines_of(graph) if graph.assumes() else []

    def run(self, inputs: list[Any], outputs: list[np.ndarray[Any, Any]]) -> None:
        """Compute everything, then write the outputs."""
        before = marks(self.given_back)
        try:
            values = evaluate(self.graph, [*inputs[: self.given], *self.constants])
        except UnforeseenError:
            go_back(before)
            raise
        found = [values[v.number] for v in self.graph.ends()]
        # an end may be an input itself, which another output's write could change first
        held = [np.copy(a) if n else a for n, a in enumerate(found)] if len(found) > 1 else found
        for array, out in zip(held, outputs, strict=True):
            out[...] = array

    def describe(self) -> str:
        """The graph itself."""
        return str(self.graph)
