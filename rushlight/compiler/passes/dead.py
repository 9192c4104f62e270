"""Drop what nothing reads."""

from __future__ import annotations

from rushlight.compiler.graph import Graph, Value
from rushlight.compiler.passes.rewrite import pure, substituted


def drop_dead(graph: Graph) -> Graph:
    """Keeps nodes that an end needs, and those that draw random numbers: later draws depend on
    them.
    """
    needed = {v.number for v in graph.ends()}
    kept = []
    for node in reversed(graph.nodes):
        if not pure(node) or any([v.number in needed for v in node.outputs]):
            kept.append(node)
            needed.update([v.number for v in node.inputs if isinstance(v, Value)])
    return substituted(graph, kept[::-1], {})
