"""The compiler's table of contents: a graph goes through these passes, then to a backend."""

from __future__ import annotations

import importlib.util

from rushlight.compiler.backends.reference import Reference
from rushlight.compiler.graph import Graph, verify
from rushlight.compiler.passes.dead import drop_dead
from rushlight.compiler.passes.expand import expand
from rushlight.compiler.passes.fold import fold_constants
from rushlight.compiler.passes.merge import merge_equal
from rushlight.compiler.passes.rewrite import Pass
from rushlight.compiler.program import Program

PASSES: tuple[Pass, ...] = (drop_dead, fold_constants, merge_equal, drop_dead)


def simplified(graph: Graph, check: bool = False) -> Graph:
    """The graph after all passes; ``check`` verifies it after each."""
    for step in PASSES:
        graph = step(graph)
        if check:
            verify(graph)
    return graph


def has_llvm() -> bool:
    """Whether native code can be made here."""
    return importlib.util.find_spec("llvmlite") is not None


def build(graph: Graph, backend: str | None = None) -> Program:
    """A program for the graph. ``backend``: "llvm", "reference", or None for the best there is."""
    given = len(graph.inputs)
    simple = simplified(graph)
    if backend == "reference" or not has_llvm():
        return Reference(simple, given)
    from rushlight.compiler.backends.llvm.program import Native

    return Native(simple, expanded(simple), given)


def expanded(graph: Graph) -> Graph:
    """The graph as native code wants it: composites written out."""
    for step in (expand, fold_constants, merge_equal, drop_dead):
        graph = step(graph)
    return graph
