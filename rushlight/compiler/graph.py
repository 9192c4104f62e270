"""The graph of one traced call: pure (no aliasing, no mutation), in execution order.

A node applies an op to values. Views are nodes like others: what shares memory is decided later,
when buffers are planned. A write through a view is two nodes: the new content of the window, and
``WriteWindow``, the new content of the whole storage.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rushlight.gpu import Driver


@dataclass(eq=False)
class Value:
    """What a node produces or the graph receives: shape, NumPy dtype, and a number for printing.
    ``driver``: the GPU that it is on, None for the CPU; of what nodes make, staged.py finds it.
    """

    number: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    driver: Driver | None = None

    def __repr__(self) -> str:
        return f"%{self.number}"

    def describe(self) -> str:
        """``%3: float32(2, 3)``."""
        return f"%{self.number}: {self.dtype.name}{self.shape}"


@dataclass(eq=False)
class Node:
    """An op applied: ``inputs`` are Values, or Python numbers where the op takes them; ``line`` is
    the user's file and line.
    """

    op: Any
    inputs: list[Any]
    params: dict[str, Any]
    outputs: list[Value]
    line: str = ""

    def __repr__(self) -> str:
        outs = ", ".join(v.describe() for v in self.outputs)
        args = ", ".join(map(repr, self.inputs))
        extra = "".join(f", {k}={_short(v)}" for k, v in self.params.items())
        return f"{outs} = {type(self.op).__name__}({args}{extra})"


@dataclass(eq=False)
class Input:
    """A value that exists before the call.

    kind: "argument" (tensor number ``source`` among the call's flattened arguments), "state" (the
    eager array ``source``: a parameter, buffer or optimizer state, bound by identity; None for a
    gradient once there is a program, as the next call brings others), "number"
    (argument ``source`` is a Python number that may change between calls), or "constant" (array
    ``source``, never changes). ``strides`` in bytes, None for row by row; what lies otherwise is
    copied.
    """

    value: Value
    kind: str
    source: Any
    strides: tuple[int, ...] | None = None


@dataclass(eq=False)
class Graph:
    """inputs; nodes in order; results, the values that the call returns; updates, pairs (Input of
    kind state or argument, Value): the content that the input's memory has after the call; fresh,
    values of new tensors that outlive the call (gradients); laid, their strides in bytes, None for
    row by row.
    """

    inputs: list[Input] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    results: list[Value] = field(default_factory=list)
    updates: list[tuple[Input, Value]] = field(default_factory=list)
    fresh: list[Value] = field(default_factory=list)
    count: int = 0
    laid: list[tuple[int, ...] | None] = field(default_factory=list)

    def value(self, shape: tuple[int, ...], dtype: Any) -> Value:
        """A new value."""
        self.count += 1
        return Value(self.count, tuple(shape), np.dtype(dtype))

    def assumes(self) -> bool:
        """Whether the program is left where Python would decide otherwise: then nothing may be
        written before that is known, not even a gradient.
        """
        return any([n.params.get("assumed") for n in self.nodes])

    def ends(self) -> list[Value]:
        """All values that the outside sees."""
        return [*self.results, *[v for _, v in self.updates], *self.fresh]

    def __str__(self) -> str:
        lines = [f"{i.value.describe()} = {i.kind}" for i in self.inputs]
        lines += [repr(n) for n in self.nodes]
        lines.append(
            f"return {self.results}; updates {[(i.value, v) for i, v in self.updates]}; fresh "
            f"{self.fresh}"
        )
        return "\n".join(lines)


def verify(graph: Graph) -> None:
    """Every value is defined once, before its use. AssertionError names the node that breaks this,
    with its neighbours.
    """
    defined = {id(i.value) for i in graph.inputs}
    for at, node in enumerate(graph.nodes):
        for v in node.inputs:
            if isinstance(v, Value) and id(v) not in defined:
                raise AssertionError(f"{v} is used before it is defined:\n{_around(graph, at)}")
        for v in node.outputs:
            if id(v) in defined:
                raise AssertionError(f"{v} is defined twice:\n{_around(graph, at)}")
            defined.add(id(v))
    for v in graph.ends():
        if id(v) not in defined:
            raise AssertionError(f"the end {v} is not defined")


def _around(graph: Graph, at: int) -> str:
    return "\n".join(repr(n) for n in graph.nodes[max(0, at - 2) : at + 3])


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
