"""Native matrix products against NumPy, over many shapes and layouts."""

import numpy as np
import pytest

import rushlight as rl
from rushlight.compiler import pipeline
from rushlight.compiler.graph import Graph, Input, Node
from rushlight.compiler.program import empty_outputs
from rushlight.ops.matmul import Matmul
from rushlight.ops.view import Transpose

pytest.importorskip("llvmlite")

SHAPES = [
    (4, 1, 1030), (5, 7, 900), (17, 16, 31), (14, 33, 40), (33, 47, 513), (96, 10, 256),
    (64, 100, 300), (130, 49, 257), (6, 2000, 3), (200, 20, 2), (29, 97, 600), (1, 50, 200),
]  # fmt: skip


def product(batch, m, n, k, turned, d):
    """A graph of one product, whose operands may be transposed views, and its inputs."""
    g, arrays, values = Graph(), [], []
    rng = np.random.default_rng(m + n + k)
    for shape, flip in (((m, k), turned[0]), ((k, n), turned[1])):
        a = rng.standard_normal((*batch, *(shape[::-1] if flip else shape))).astype(d)
        v = g.value(a.shape, d)
        g.inputs.append(Input(v, "argument", len(arrays)))
        arrays.append(a)
        if flip:
            t = g.value((*batch, *shape), d)
            g.nodes.append(Node(Transpose.instance, [v], {"dim0": -1, "dim1": -2}, [t]))
            v = t
        values.append(v)
    out = g.value((*batch, m, n), d)
    g.nodes.append(Node(Matmul.instance, values, {}, [out]))
    g.results = [out]
    return g, arrays


@pytest.mark.parametrize("turned", [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize("shape", SHAPES)
def test_products(shape, turned):
    for d, batch in ((np.float32, ()), (np.float64, ()), (np.float32, (2, 3))):
        g, arrays = product(batch, *shape, turned, d)
        got, want = empty_outputs(g), empty_outputs(g)
        native = pipeline.build(g, "llvm")
        assert native.native_only
        got[0].fill(np.nan)
        native.run(arrays, got)
        pipeline.build(g, "reference").run(arrays, want)
        scale = np.abs(want[0]).max()
        assert np.abs(got[0] - want[0]).max() <= scale * (1e-5 if d == np.float32 else 1e-13)


def test_threads_choose():
    """Large products are left to BLAS where it has more threads."""
    from rushlight.compiler.backends.llvm.gemm import Matrices, suits

    before = rl.get_num_threads()
    large = Matrices(1024, 1024, 1024, 1024, True, 1024, True)
    try:
        rl.set_num_threads(1)
        assert suits(large, 16)
        rl.set_num_threads(2)
        assert not suits(large, 16)
    finally:
        rl.set_num_threads(before)
