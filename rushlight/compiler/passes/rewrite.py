"""What passes share: copying a graph with some values replaced, and what may be moved or merged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.compiler.graph import Graph, Node, Value


def pure(node: Node) -> bool:
    """Whether a node gives the same result each time, so that it may be dropped or merged."""
    name = type(node.op).__name__
    return (
        name != "Require"
        and "engine" not in node.params
        and not type(node.op).__module__.endswith("ops.random")
    )


def substituted(graph: Graph, nodes: list[Node], replace: dict[int, Value]) -> Graph:
    """The graph with other nodes, whose inputs and whose ends are looked up in ``replace``."""

    def find(v: Any) -> Any:
        while isinstance(v, Value) and v.number in replace:
            v = replace[v.number]
        return v

    renamed = [Node(n.op, [find(v) for v in n.inputs], n.params, n.outputs, n.line) for n in nodes]
    return Graph(
        list(graph.inputs),
        renamed,
        [find(v) for v in graph.results],
        [(i, find(v)) for i, v in graph.updates],
        [find(v) for v in graph.fresh],
        graph.count,
    )


Pass = Callable[[Graph], Graph]
