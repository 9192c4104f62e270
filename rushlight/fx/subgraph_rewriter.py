"""Replaces all places where a graph looks like a pattern."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

from rushlight.fx.graph import Graph
from rushlight.fx.graph_module import GraphModule
from rushlight.fx.node import Node
from rushlight.fx.tracer import symbolic_trace

__all__ = ["Match", "replace_pattern"]


class Match(NamedTuple):
    """A place where a graph looked like a pattern: the pattern's last node, and the node for each
    of its nodes.
    """

    anchor: Node
    nodes_map: dict[Node, Node]


def replace_pattern(
    gm: GraphModule,
    pattern: Callable[..., Any] | GraphModule,
    replacement: Callable[..., Any] | GraphModule,
) -> list[Match]:
    """Replace every part of a graph that does what ``pattern`` does, where these do not overlap and
    nothing within is used outside.

    Args:
        gm: the module, which is changed.
        pattern: a function or traced module; its arguments match any value.
        replacement: what to do instead, with the same arguments in the same order.

    Example:
        >>> import rushlight as torch
        >>> from rushlight import fx
        >>> traced = fx.symbolic_trace(lambda x: torch.relu(x + x))
        >>> matches = fx.replace_pattern(traced, lambda a: torch.relu(a), lambda a: torch.tanh(a))
        >>> len(matches), traced.code.strip().splitlines()[2].strip()
        (1, 'tanh = torch.tanh(add);  add = None')
    """
    looked_for = _graph_of(pattern)
    arguments = [n for n in looked_for.nodes if n.op == "placeholder"]
    wanted = looked_for.output_node().args[0]
    found: list[Match] = []
    taken: set[Node] = set()
    replaced: dict[Node, Node] = {}
    for node in list(gm.graph.nodes):
        places: dict[Node, Node] = {}
        if not _matches(wanted, node, places) or not _closed(places, node, taken):
            continue
        inner = [n for p, n in places.items() if p.op != "placeholder"]
        taken.update(inner)
        match = Match(wanted, dict(places))
        values = [replaced.get(places[a], places[a]) for a in arguments]
        after = [n for n in gm.graph.nodes if n in node.users] or [node.next]
        with gm.graph.inserting_before(after[0]):
            new = _graph_of(replacement)
            inputs = [n for n in new.nodes if n.op == "placeholder"]
            result = gm.graph.graph_copy(new, dict(zip(inputs, values, strict=True)))
        node.replace_all_uses_with(result)
        replaced[node] = result
        for n in reversed([n for n in gm.graph.nodes if n in inner]):
            gm.graph.erase_node(n)
        found.append(match)
    gm.recompile()
    return found


def _graph_of(program: Any) -> Graph:
    if isinstance(program, GraphModule):
        return copy.deepcopy(program.graph)
    return program if isinstance(program, Graph) else symbolic_trace(program).graph


def _matches(p: Any, n: Any, places: dict[Node, Node]) -> bool:
    """Whether what the pattern computes as ``p`` is what the graph computes as ``n``."""
    if not isinstance(p, Node):
        if isinstance(p, (list, tuple)) and isinstance(n, (list, tuple)) and len(p) == len(n):
            return all([_matches(a, b, places) for a, b in zip(p, n, strict=True)])
        return not isinstance(n, Node) and type(p) is type(n) and bool(p == n)
    if p in places:
        return places[p] is n
    if p.op == "placeholder":
        places[p] = n
        return True
    same = isinstance(n, Node) and (p.op, p.target) == (n.op, n.target)
    if not same or p.kwargs.keys() != n.kwargs.keys():
        return False
    places[p] = n
    pairs = [(p.args, n.args), *[(p.kwargs[k], n.kwargs[k]) for k in p.kwargs]]
    return all([_matches(a, b, places) for a, b in pairs])


def _closed(places: dict[Node, Node], last: Node, taken: set[Node]) -> bool:
    """Whether nobody outside uses a value within, and no other match does."""
    inner = {n for p, n in places.items() if p.op != "placeholder"}
    if inner & taken:
        return False
    return all([u in inner for n in inner if n is not last for u in n.users])
