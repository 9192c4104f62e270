"""Copies into another order, which are turned in registers."""

import numpy as np
import pytest

import rushlight as rl
from rushlight.compiler import pipeline
from rushlight.compiler.backends.llvm import launch, squares
from rushlight.compiler.graph import Graph, Input, Node
from rushlight.compiler.program import empty_outputs
from rushlight.ops.view import Permute

pytest.importorskip("llvmlite")

CASES = {
    "matrix": ((37, 29), (1, 0)),
    "small": ((8, 9), (1, 0)),
    "whole squares": ((3, 64, 32), (0, 2, 1)),
    "pixels": ((5, 11, 14, 13), (0, 2, 3, 1)),
    "patches": ((2, 3, 4, 16, 9, 8), (1, 3, 5, 0, 2, 4)),
    "many units": ((70, 2, 8, 17), (0, 3, 1, 2)),
}


def graph_of(x, dims):
    graph = Graph()
    value = graph.value(x.shape, x.dtype)
    graph.inputs = [Input(value, "argument", 0)]
    graph.results = [graph.value([x.shape[d] for d in dims], x.dtype)]
    graph.nodes = [Node(Permute.instance, [value], {"dims": dims}, graph.results)]
    return graph


@pytest.mark.parametrize("d", [np.float32, np.float64, np.int32, np.int64])
@pytest.mark.parametrize("case", CASES)
def test_order(case, d, threads, monkeypatch):
    monkeypatch.setattr(launch, "PATIENT", 0.0)
    monkeypatch.setattr(launch, "CHUNK", 1e-3)
    shape, dims = CASES[case]
    x = np.random.default_rng(0).integers(-(2**31), 2**31, shape).astype(d)
    if d == np.float32:
        x = x.astype(np.int64).astype(np.uint32).view(d)  # any bits
    graph = graph_of(x, dims)
    program, found = pipeline.build(graph, "llvm"), empty_outputs(graph)
    (step,) = program.lowering.steps
    assert squares.copy_of(step.kernel) is not None
    for count in (1, 2):
        threads(count)
        found[0][...] = 0
        program.run([x], found)
        assert found[0].tobytes() == np.ascontiguousarray(x.transpose(dims)).tobytes()


def test_other_kernels_are_none():
    x = np.zeros((4, 40), np.float32)  # too few rows
    (step,) = pipeline.build(graph_of(x, (1, 0)), "llvm").lowering.steps
    assert squares.copy_of(step.kernel) is None
    run = rl.compile(lambda a: a.T.contiguous() + 1)
    a = rl.arange(600.0).reshape(20, 30)
    for _ in range(3):
        got = run(a)
    assert rl.equal(got, a.T + 1)
