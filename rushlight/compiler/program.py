"""A program: what a graph became, ready to be called any number of times.

    program = rushlight.compiler.pipeline.build(graph)
    program.run(inputs: list[np.ndarray | number], outputs: list[np.ndarray]) -> None

``inputs`` holds one array (of any strides) or Python number for each of ``graph.inputs``, in order.
``outputs`` holds preallocated C-contiguous arrays for results, then updates, then fresh, in the
order of ``graph.ends()``. The output of an update may be the input's own array: old values are read
before they are overwritten. Distinct inputs do not share memory, nor do distinct outputs.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.lib.stride_tricks import as_strided

from rushlight.compiler.graph import Graph, Value
from rushlight.core.device_array import device_empty
from rushlight.core.state import modes

Operands = list[Any]


class Program(Protocol):
    """What every backend returns."""

    graph: Graph

    def run(self, inputs: Operands, outputs: list[Any]) -> None:
        """Compute the outputs from the inputs."""
        ...

    def describe(self) -> str:
        """The steps, in order, as text."""
        ...


def run_noted(program: Any, inputs: Operands, outputs: list[Any]) -> None:
    """Run a program; what it launches are events of a profiler that is on, if it can tell."""
    if modes.profiler is not None and hasattr(program, "note_parts"):
        program.run(inputs, outputs, modes.profiler)
    else:
        program.run(inputs, outputs)


def empty(v: Value, strides: tuple[int, ...] | None = None) -> Any:
    """An uninitialised array for a value, where it is, that has memory of its own."""
    if strides is not None:
        like = as_strided(np.empty((), v.dtype), v.shape, strides)
        return np.empty_like(like, subok=False)  # in the same order
    if v.driver is None:
        return np.empty(v.shape, v.dtype)
    return device_empty(v.shape, v.dtype, v.driver)


def blank(shape: tuple[int, ...], dtype: Any) -> Any:
    """A constant whose elements do not matter, as they are overwritten."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def is_blank(a: Any) -> bool:
    """Whether a constant is ``blank``."""
    return a.base is not None and a.size > 1 and not any(a.strides)


def empty_outputs(graph: Graph) -> list[Any]:
    """Uninitialised arrays for a graph's ends."""
    outputs: list[Any] = []
    for v in graph.ends():
        outputs.append(np.empty(v.shape, v.dtype) if v.driver is None else empty(v))
    return outputs
