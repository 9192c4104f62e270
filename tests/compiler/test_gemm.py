"""Native matrix products against NumPy, over many shapes and layouts."""

import ctypes
import itertools

import numpy as np
import pytest

import rushlight as rl
from rushlight.compiler import pipeline
from rushlight.compiler.graph import Graph, Input, Node
from rushlight.compiler.memory import address, aligned
from rushlight.compiler.program import empty_outputs
from rushlight.ops.matmul import Matmul
from rushlight.ops.view import Transpose

pytest.importorskip("llvmlite")

from rushlight.compiler.backends.llvm import jit
from rushlight.compiler.backends.llvm.ir.code import kernel
from rushlight.compiler.backends.llvm.products import gemm, product

SHAPES = [
    (4, 1, 1030), (5, 7, 900), (17, 16, 31), (14, 33, 40), (33, 47, 513), (96, 10, 256),
    (64, 100, 300), (6, 2000, 3), (200, 20, 2), (1, 50, 200), (90, 3, 70), (1, 1, 1),
    (3, 1100, 40), (60, 5, 17),
]  # fmt: skip
TURNED = [(False, False), (False, True), (True, False), (True, True)]
GAP = 777.0  # what lies around the result, and must stay


def a_product(batch, m, n, k, turned, d):
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


def close(got, want, depth):
    """Whether sums of ``depth`` products agree to rounding."""
    tolerance = np.finfo(got.dtype).eps * (8 + depth**0.5) * max(1.0, np.abs(want).max())
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance)


@pytest.mark.parametrize("turned", TURNED)
@pytest.mark.parametrize("shape", SHAPES)
def test_programs(shape, turned):
    for d, batch in ((np.float32, ()), (np.float64, ()), (np.float32, (2, 3))):
        g, arrays = a_product(batch, *shape, turned, d)
        got, want = empty_outputs(g), empty_outputs(g)
        native = pipeline.build(g, "llvm")
        assert native.native_only
        got[0].fill(np.nan)
        native.run(arrays, got)
        pipeline.build(g, "reference").run(arrays, want)
        close(got[0], want[0], shape[2])


# Kernels by themselves


def laid(rng, shape, by_rows, gap, d):
    """A random matrix in memory of its own, by rows or columns with a gap, and their distance."""
    rows, columns = shape if by_rows else shape[::-1]
    memory = np.full((rows, columns + gap), np.nan, d)  # gaps must not be read into results
    a = memory[:, :columns]
    a[...] = rng.standard_normal(a.shape)
    return (a if by_rows else a.T), columns + gap


def compiled(s, d, width):
    """A kernel's function, units, and bytes of scratch memory."""
    ir, units, scratch, *_ = product.written(s, np.dtype(d), width)
    signature = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
    return ctypes.CFUNCTYPE(None, *signature)(jit.kernels([ir])[0]), units, scratch


def run(s, d, width, a, b, cut=None):
    """The result of a kernel, in one call, or in those into which units are cut."""
    function, units, scratch = compiled(s, d, width)
    batch = int(np.prod(s.batch, dtype=int))
    edge = 64
    memory = np.full(batch * s.m * s.n + 2 * edge, GAP, d)
    own = aligned(scratch + 64)
    own[scratch:] = 7
    c = memory[edge:-edge]
    at = np.array([address(a), address(b), memory.ctypes.data + edge * c.itemsize], np.int64)
    for lo, hi in [(0, units)] if cut is None else cut(units):
        function(address(at), lo, hi, address(own))
    assert (memory[:edge] == GAP).all() and (memory[-edge:] == GAP).all()
    assert (own[scratch:] == 7).all()
    return c.reshape(*s.batch, s.m, s.n)


def check(rng, m, n, k, rows, gaps, d, width):
    """One product of two matrices."""
    (a, lda), (b, ldb) = (
        laid(rng, (m, k), rows[0], gaps[0], d),
        laid(rng, (k, n), rows[1], gaps[1], d),
    )
    s = gemm.Matrices(m, n, k, lda, rows[0], ldb, rows[1])
    want = a.astype(np.float64) @ b.astype(np.float64)
    got = run(s, d, width, a, b)
    close(got, want, k)
    return s, a, b, got


def widths():
    """Widths of vectors that this processor has."""
    return [w for w in (128, 256, 512) if w <= jit.vector_bits()]


@pytest.mark.parametrize("seed", range(24))
def test_random_layouts(seed):
    rng = np.random.default_rng(seed)
    for _ in range(4):
        m, n, k = [int(2 ** rng.uniform(0, 7.5)) for _ in range(3)]
        rows, gaps = rng.integers(0, 2, 2) > 0, rng.integers(0, 2, 2) * rng.integers(0, 40, 2)
        d, width = rng.choice([np.float32, np.float64]), int(rng.choice(widths()))
        check(rng, m, n, k, [bool(r) for r in rows], [int(g) for g in gaps], d, width)


# (m, n, k) and the gap of a: each way to cut a product, with several units
CUTS = {
    "panels and rows": (300, 260, 40, 0),
    "far rows": (260, 520, 40, 0),
    "shared panels": (300, 100, 300, 0),
    "deep": (40, 70, 2100, 0),
    "far columns": (300, 200, 30, 2000),
    "far and deep": (150, 60, 1100, 2000),
    "thin": (700, 5, 300, 0),
    "one row": (1, 3000, 400, 0),
    "one column": (900, 1, 1500, 0),
}


@pytest.mark.parametrize("d", [np.float32, np.float64])
@pytest.mark.parametrize("cut", CUTS)
def test_units(cut, d):
    """Units give the same bits in any order, one at a time or some together."""

    def backwards(units):
        return [(u, u + 1) for u in range(units)][::-1]

    def thirds(units):
        ends = [units * part // 3 for part in range(4)]
        return [(lo, hi) for lo, hi in itertools.pairwise(ends) if lo < hi]

    m, n, k, gap = CUTS[cut]
    rng = np.random.default_rng(0)
    several = False
    # few registers call for copies that many do without
    ways = itertools.product([True, False], [True, False], widths()[-2:])
    for *rows, width in ways:
        s, a, b, got = check(rng, m, n, k, rows, (gap, 0), d, width)
        for calls in (backwards, thirds):
            np.testing.assert_array_equal(run(s, d, width, a, b, calls), got)
        several |= compiled(s, d, width)[1] > 1
    assert several or cut in ("one row", "one column")


@pytest.mark.parametrize("d", [np.float32, np.float64])
def test_batches(d):
    """Operands that are the same for some dims of the batch, and batches that are rows."""
    rng = np.random.default_rng(0)
    for left, right in (
        ((3, 1, 4), (2, 1)),
        ((2, 3), ()),
        ((), (5,)),
        ((2, 1), (1, 3)),
        ((4,), (4,)),
    ):
        for turned in (False, True):
            a = rng.standard_normal((*left, 6, 9)).astype(d)
            b = rng.standard_normal((*right, *((11, 9) if turned else (9, 11)))).astype(d)
            g = Graph()
            values = [g.value(a.shape, d), g.value(b.shape, d)]
            g.inputs = [Input(v, "argument", k) for k, v in enumerate(values)]
            if turned:
                t = g.value((*right, 9, 11), d)
                g.nodes.append(Node(Transpose.instance, values[1:], {"dim0": -1, "dim1": -2}, [t]))
                values[1] = t
            want = a @ (b.swapaxes(-1, -2) if turned else b)
            out = g.value(want.shape, d)
            g.nodes.append(Node(Matmul.instance, values, {}, [out]))
            g.results = [out]
            got = empty_outputs(g)
            pipeline.build(g, "llvm").run([a, b], got)
            close(got[0], want, 9)


def test_batch_of_rows_is_one_matrix():
    g, _ = a_product((4, 5), 6, 8, 7, (False, False), np.float32)
    from rushlight.compiler.windows import Windows

    windows = Windows(g)
    x = product.Operand(windows, g.inputs[0].value, (4, 5))
    y = product.Operand(windows, g.inputs[1].value, (4, 5))
    assert product.joined(6, 8, 7, (4, 5), x, y).batch == (20,)
    y.batch = [0, 0]
    s = product.joined(6, 8, 7, (4, 5), x, y)
    assert (s.m, s.batch) == (120, ())


def test_infinite_elements_stay_where_they_are():
    """Lanes beyond the edges do not mix into the result."""
    rng = np.random.default_rng(0)
    for rows in itertools.product([True, False], repeat=2):
        for m, n, k in ((19, 21, 35), (40, 3, 50), (2, 30, 70)):
            (a, lda), (b, ldb) = (
                laid(rng, (m, k), rows[0], 3, np.float32),
                laid(rng, (k, n), rows[1], 3, np.float32),
            )
            a[m // 2, k // 2] = np.inf
            got = run(
                gemm.Matrices(m, n, k, lda, rows[0], ldb, rows[1]),
                np.float32,
                jit.vector_bits(),
                a,
                b,
            )
            assert not np.isfinite(got[m // 2]).any()
            assert np.isfinite(np.delete(got, m // 2, 0)).all()


def test_each_way_is_taken():
    """Shapes that fit each way to compute a product choose it."""

    def way(m, n, k, a_rows, b_rows, width=512):
        f = kernel(width, np.dtype(np.float32))
        s = gemm.Matrices(m, n, k, k if a_rows else m, a_rows, n if b_rows else k, b_rows)
        p = gemm.plan(s, f)
        return [w for w in ("turned", "dots", "turn", "pack") if getattr(p, w)]

    assert way(256, 256, 256, True, True) == []
    assert way(256, 256, 256, True, False) == ["turn"]
    assert way(2048, 256, 256, False, True) == ["pack"]
    assert way(2048, 64, 256, False, True) == []
    if jit.on_x86():
        assert way(2048, 256, 256, False, True, 256) == ["pack"]
    assert way(256, 10, 256, True, False) == ["dots"]
    assert way(256, 10, 256, False, True) == ["turned"]


def test_equal_products_have_equal_kernels():
    texts = set()
    for shift in (0, 3):
        g, _ = a_product((), 20, 30, 40, (False, True), np.float32)
        for v in [i.value for i in g.inputs] * bool(shift):
            v.number += 100
        program = pipeline.build(g, "llvm")
        texts |= {launch.ir for _, launch in program.launches}
    assert len(texts) == 1


@pytest.mark.parametrize("turned", TURNED)
def test_threads_give_the_same_bits(turned):
    g, arrays = a_product((), 300, 260, 200, turned, np.float32)
    program = pipeline.build(g, "llvm")
    assert program.parallel
    before, found = rl.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            rl.set_num_threads(threads)
            found.append(np.full((300, 260), np.nan, np.float32))
            program.run(arrays, found[-1:])
    finally:
        rl.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("d", [np.float32, np.float64])
@pytest.mark.parametrize("m", [1, 2])
def test_bits_do_not_depend_on_where_memory_begins(m, d):
    """Vectors of few rows' products lie within lines of the cache."""
    g, (a, b) = a_product((), m, 30, 784, (False, True), d)
    program, found = pipeline.build(g, "llvm"), []
    for elements in (0, 1, 4, 7, 15):
        room = aligned(b.nbytes + 128).view(d)
        other = room[elements:][: b.size].reshape(b.shape)
        other[...] = b
        found.append(np.full((m, 30), np.nan, d))
        program.run([a, other], found[-1:])
    close(found[0], a @ b.T, 784)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_processors_without_fused_additions(monkeypatch):
    """Their code multiplies and adds, and calls no function for that."""
    monkeypatch.setenv(jit.CPU_VARIABLE, "x86-64-v2")
    jit.target.cache_clear()
    try:
        assert jit.vector_bits() == 128
        for turned in TURNED:
            test_programs((33, 47, 50), turned)
        g, _ = a_product((), 33, 47, 50, (False, False), np.float32)
        (ir,) = [launch.ir for _, launch in pipeline.build(g, "llvm").launches]
        text = jit.machine().emit_assembly(jit.target()[0].parse_assembly(ir))
        assert "mulps" in text and "fma" not in text
    finally:
        monkeypatch.delenv(jit.CPU_VARIABLE)
        jit.target.cache_clear()


def test_forced_avx2(monkeypatch):
    monkeypatch.setenv(jit.CPU_VARIABLE, "x86-64-v3")
    jit.target.cache_clear()
    try:
        assert jit.vector_bits() == 256
        for shape in ((33, 47, 50), (60, 5, 17), (1, 50, 200), (5, 300, 70)):
            for turned in TURNED:
                test_programs(shape, turned)
        test_units("far and deep", np.float32)
    finally:
        monkeypatch.delenv(jit.CPU_VARIABLE)
        jit.target.cache_clear()
