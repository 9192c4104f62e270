"""The compiler's table of contents: a graph goes through these passes, then to a backend."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
from collections.abc import Iterator

from rushlight.compiler.backends.loops_reference import LoopsReference
from rushlight.compiler.backends.reference import Reference
from rushlight.compiler.graph import Graph, verify
from rushlight.compiler.memory import Room
from rushlight.compiler.parts import as_they_lie
from rushlight.compiler.passes.dead import drop_dead
from rushlight.compiler.passes.expand import expand
from rushlight.compiler.passes.fold import fold_constants
from rushlight.compiler.passes.merge import merge_equal
from rushlight.compiler.passes.rewrite import Pass
from rushlight.compiler.passes.slopes import keep_slopes
from rushlight.compiler.passes.sums import gather_sums
from rushlight.compiler.passes.tables import use_tables
from rushlight.compiler.program import Program
from rushlight.compiler.staged import Staged, places_of
from rushlight.compiler.verify import verify_lowering, verify_plan

checking = False  # whether each stage's result is verified, as in all tests

PASSES: tuple[Pass, ...] = (drop_dead, fold_constants, merge_equal, drop_dead)
EXPANSION: tuple[Pass, ...] = (
    gather_sums, expand, fold_constants, merge_equal, keep_slopes, use_tables, drop_dead
)  # fmt: skip


def simplified(graph: Graph) -> Graph:
    """The graph with less to do."""
    return through(PASSES, graph)


def expanded(graph: Graph) -> Graph:
    """The graph as native code wants it: long sums gathered, composites written out."""
    return through(EXPANSION, graph)


def through(passes: tuple[Pass, ...], graph: Graph) -> Graph:
    """The graph after some passes."""
    for step in passes:
        graph = step(graph)
        if checking:
            verify(graph)
    return graph


def has_llvm() -> bool:
    """Whether native code can be made here."""
    return importlib.util.find_spec("llvmlite") is not None


def build(graph: Graph, backend: str | None = None, room: Room | None = None) -> Program:
    """A program for the graph.

    Args:
        backend: "llvm"; "loops", which interprets the kernels' loops; "reference", which runs the
            graph's ops; or None for the best there is where the graph's values are.
        room: where native code takes its memory from; None for memory of its own.
    """
    with collector_paused():
        places = places_of(graph)
        if len(places) > 1 and backend is None:
            for i in graph.inputs:
                i.strides = None
            graph.laid = [None] * len(graph.fresh)
            return Staged(graph, places)  # programs of the CPU and of GPUs in turns
        return on_cpu(graph, backend, room)


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Many objects are made, and none in circles: looking for those takes a fifth of the time."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def on_cpu(graph: Graph, backend: str | None = None, room: Room | None = None) -> Program:
    """A program for a graph whose values are on the CPU."""
    given = len(graph.inputs)
    if checking:
        verify(graph)
    if backend == "loops":
        simple = simplified(graph)
        interpreted = LoopsReference(simple, expanded(simple), given)
        if checking:
            verify_lowering(interpreted.lowering)
        return interpreted
    if backend == "reference" or not has_llvm():
        return Reference(simplified(graph), given)
    from rushlight.compiler.backends.llvm import program
    from rushlight.compiler.backends.llvm.plan import Planner

    def write() -> Planner:
        with collector_paused():
            simple = simplified(graph)
            return Planner(simple, expanded(as_they_lie(simple, graph.laid)), given)

    native = program.build(graph, write, room, kept=not checking)
    if checking and native.is_new:
        verify_lowering(native.lowering)
        verify_plan(native.lowering, native.offsets, native.planner.arena)
    return native
