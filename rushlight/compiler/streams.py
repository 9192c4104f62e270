"""The streams of random numbers that a program draws from, and how a run that is given up goes back
in them: the function itself, which is then run, draws the same numbers.
"""

from __future__ import annotations

from typing import Any

from rushlight.compiler.graph import Graph


def engines_of(graph: Graph) -> list[Any]:
    """The engines that a graph's nodes draw from."""
    found = [n.params["engine"] for n in graph.nodes if "engine" in n.params]
    return list({id(e): e for e in found}.values())


def marks(engines: list[Any]) -> list[Any]:
    """Where engines stand."""
    found = []
    for e in engines:
        with e.holding():
            found.append((e, e.mark(), e.cached_normal))
    return found


def go_back(found: list[Any]) -> None:
    """Let engines stand where they stood."""
    for e, mark, cached in found:
        with e.holding():
            e.rewind(mark)
            e.cached_normal = cached
