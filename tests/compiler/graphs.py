"""Graphs written by hand, and programs compared with the reference."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from rushlight.compiler import pipeline
from rushlight.compiler.backends.llvm import jit
from rushlight.compiler.graph import Graph, Input, Node, Value, verify
from rushlight.core.elementwise import Elementwise
from rushlight.core.native import without_kernels


class Builder:
    """A graph and the arrays of its inputs."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.arrays: list[Any] = []
        self.numbers: set[int] = set()

    def input(self, a: Any, kind: str = "argument") -> Value:
        """An array, or a Python number that may change."""
        if isinstance(a, float):
            value = self.graph.value((), np.float64)
            self.numbers.add(value.number)
            kind = "number"
        else:
            value = self.graph.value(a.shape, a.dtype)
        self.graph.inputs.append(Input(value, kind, a))
        self.arrays.append(a)
        return value

    def op(self, op: Any, *inputs: Any, **params: Any) -> Any:
        """A node; its outputs' shapes and dtypes are those that the op gives for ones,
        or for zeros that may be indices.
        """
        index = not isinstance(op.instance, Elementwise)
        arrays = [
            (
                1.0
                if v.number in self.numbers
                else np.full(v.shape, not (index and v.dtype.kind == "i"), v.dtype)
            )
            if isinstance(v, Value)
            else v
            for v in inputs
        ]
        with without_kernels():
            result = op.instance.forward(arrays, params)
        many = isinstance(result, (tuple, list))
        made = [np.asarray(a) for a in (result if many else [result])]
        outputs = [self.graph.value(a.shape, a.dtype) for a in made]
        self.graph.nodes.append(Node(op.instance, list(inputs), params, outputs))
        return outputs if many else outputs[0]

    def returns(self, *values: Value) -> Builder:
        """The graph's results."""
        self.graph.results = list(values)
        return self


def outputs_of(graph: Graph) -> list[np.ndarray]:
    """Arrays to write to, filled with what nobody expects."""
    return [np.full(v.shape, 77).astype(v.dtype) for v in graph.ends()]


def copied(program: Any) -> Any:
    """The same program, of what the disk cache keeps."""
    plan = pickle.loads(pickle.dumps(program.plan))
    code = jit.link(dict.fromkeys(plan.kernels, b""))  # which are loaded
    return type(program)(program.graph, plan, code, lambda: program.planner)


def check(b: Builder, tolerance: float = 1e-5, native: bool = True) -> Any:
    """Run natively, by what the loops say, and by reference; returns the native program.
    ``native``: no op may have been called.
    """
    verify(b.graph)
    expected, found = outputs_of(b.graph), outputs_of(b.graph)
    with without_kernels():
        pipeline.build(b.graph, "reference").run(b.arrays, expected)
    pipeline.build(b.graph, "loops").run(b.arrays, found)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)
    found = outputs_of(b.graph)
    program = pipeline.build(b.graph)
    for _ in range(2):  # the second run finds the arena used
        program.run(b.arrays, found)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)
    if program.native_only and not program.engines:  # which would draw other numbers
        again = outputs_of(b.graph)
        copied(program).run(b.arrays, again)
        for x, y in zip(again, found, strict=True):
            np.testing.assert_array_equal(x, y)
    if native:
        calls = [s for s in program.lowering.steps if type(s).__name__ == "Call"]
        assert not calls, calls[0].nodes
    return program
