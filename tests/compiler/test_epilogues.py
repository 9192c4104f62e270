"""Kernels that products run on their results: which ones, and what they compute."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.compiler import pipeline
from rushlight.compiler.primitives import Require
from rushlight.compiler.steps import Group, Product
from rushlight.ops.activation import Relu
from rushlight.ops.arithmetic import Add, Mul, Sub
from rushlight.ops.compare import Gt, LogicalNot, Maximum
from rushlight.ops.math import Exp
from rushlight.ops.matmul import Matmul
from rushlight.ops.reduce import AllTrue, Sum
from rushlight.ops.trigonometry import Tanh
from rushlight.ops.view import Reshape, Transpose

from .graphs import Builder, check

pytest.importorskip("llvmlite")

from rushlight.compiler.backends.llvm import jit

# m, n, k: every way to compute a product
SHAPES = {
    "plain": (37, 50, 60),
    "one row": (1, 300, 70),
    "dots": (40, 5, 400),
    "turned": (90, 3, 20),
    "deep": (40, 60, 1100),
    "several units": (300, 260, 50),
}


class Made:
    """A product of two matrices, in a graph."""

    def __init__(self, m, n, k, turned=(False, True), d=np.float32, seed=0):
        self.rng, self.d = np.random.default_rng(seed), d
        self.b = Builder()
        self.a = self.matrix(m, k, turned[0])
        self.w = self.matrix(k, n, turned[1])
        self.out = self.b.op(Matmul, self.a, self.w)

    def array(self, *shape):
        return self.rng.standard_normal(shape).astype(self.d)

    def input(self, *shape):
        return self.b.input(self.array(*shape))

    def matrix(self, m, n, turned):
        if not turned:
            return self.input(m, n)
        return self.b.op(Transpose, self.input(n, m), dim0=0, dim1=1)

    def check(self, *results, fused=True):
        """Compare with the reference; returns the steps."""
        tolerance = 1e-4 if self.d == np.float32 else 1e-11
        program = check(self.b.returns(*results), tolerance)
        steps = program.lowering.steps
        product = next(s for s in steps if isinstance(s, Product))
        assert (product.kernel is not None) == fused
        return steps


@pytest.mark.parametrize("d", [np.float32, np.float64])
@pytest.mark.parametrize("turned", [(False, True), (False, False), (True, False), (True, True)])
@pytest.mark.parametrize("shape", SHAPES)
def test_bias_and_relu(shape, turned, d):
    m, n, k = SHAPES[shape]
    x = Made(m, n, k, turned, d)
    y = x.b.op(Relu, x.b.op(Add, x.out, x.input(n)))
    steps = x.check(y)
    assert not [s for s in steps if isinstance(s, Group)]


@pytest.mark.parametrize("shape", SHAPES)
def test_other_matrices_and_what_is_the_same_for_rows(shape):
    m, n, k = SHAPES[shape]
    x = Made(m, n, k)
    b = x.b
    rows, all_same = x.input(m, 1), b.op(Exp, x.input(1, 1))
    y = b.op(Mul, b.op(Add, x.out, x.input(m, n)), b.op(Sub, rows, all_same))
    x.check(b.op(Maximum, y, b.op(Mul, y, 0.1)))


def test_long_kernels_stay():
    x = Made(24, 40, 50)
    x.check(x.b.op(Tanh, x.out), fused=False)
    x = Made(24, 40, 50)
    y = x.b.op(Add, x.b.op(Add, x.out, x.input(24, 40)), x.input(24, 40))
    x.check(y, fused=False)


def test_the_product_is_stored_for_others():
    x = Made(30, 40, 50)
    y = x.b.op(Relu, x.out)
    steps = x.check(y, x.out, x.b.op(Sum, x.out, dim=(0,), keepdim=False))
    assert len([s for s in steps if isinstance(s, Group)]) == 1


@pytest.mark.parametrize("k", [50, 2000])
def test_the_product_is_an_end_and_deep(k):
    x = Made(30, 40, k)
    x.check(x.b.op(Add, x.out, x.input(30, 1)), x.out)


def test_masks_numbers_and_other_shapes():
    x = Made(24, 40, 50)
    b = x.b
    rate = b.input(0.25)
    wide = b.op(Reshape, x.out, shape=(2, 12, 40))
    y = b.op(Mul, b.op(Add, wide, x.input(40)), rate)
    x.check(y, b.op(Gt, y, 0.0))


def test_what_needs_only_the_products_shape_is_no_end():
    w = rl.ones(7, 4)

    def step(x, y):
        product = x @ y
        filled = product.expm1().fill_(0.25)
        return product, filled @ w

    run = rl.compile(step, fullgraph=True)
    for _ in range(4):
        x, y = rl.randn(1, 3, 4), rl.randn(1, 4, 7)
        product, found = run(x, y)
        assert rl.equal(found, rl.full((1, 3, 4), 1.75))
        np.testing.assert_allclose(product.numpy(), (x @ y).numpy(), rtol=1e-5, atol=1e-6)


def test_a_batch_of_products():
    x = Made(4, 5, 6)
    b = x.b
    a, w = x.input(3, 2, 20, 30), x.input(2, 30, 25)
    y = b.op(Relu, b.op(Add, b.op(Matmul, a, w), x.input(3, 2, 20, 25)))
    steps = check(b.returns(y), 1e-4).lowering.steps
    assert [s.kernel is not None for s in steps if isinstance(s, Product)] == [True]


def test_sums_of_two_products():
    x = Made(24, 40, 50)
    other = x.b.op(Matmul, x.a, x.matrix(50, 40, True))
    steps = check(x.b.returns(x.b.op(Relu, x.b.op(Add, x.out, other))), 1e-4).lowering.steps
    kernels = [s.kernel is not None for s in steps]
    assert sorted(kernels) == [False, True]


def test_kernels_that_cannot_be_run_stay():
    x = Made(24, 24, 50)
    x.check(x.b.op(Relu, x.b.op(Transpose, x.out, dim0=0, dim1=1)), fused=False)
    x = Made(24, 40, 50)
    x.check(x.b.op(Sum, x.b.op(Relu, x.out), dim=(1,), keepdim=False), fused=False)
    x = Made(24, 40, 50)
    flat = x.b.op(Reshape, x.out, shape=(4, 240))
    x.check(x.b.op(Mul, flat, x.input(240)), fused=False)


def test_what_a_product_reads_is_not_overwritten():
    """An update of an operand of the product waits until the product has read it."""
    w = rl.randn(40, 40, requires_grad=True)
    optimizer = rl.optim.SGD([w], lr=0.1)

    def step(x):
        optimizer.zero_grad()
        y = x @ w
        (y * y).sum().backward()
        optimizer.step()
        return y.detach().relu()

    x, first = rl.randn(16, 40) / 10, w.detach().clone()
    want = []
    for _ in range(3):
        want.append(step(x).detach().numpy())
    last = w.detach().clone()
    with rl.no_grad():
        w.copy_(first)
    run = rl.compile(step, fullgraph=True)
    for y in want:
        np.testing.assert_allclose(run(x).detach().numpy(), y, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(w.detach().numpy(), last.numpy(), rtol=1e-4, atol=1e-4)


def test_what_a_check_needs_does_not_update():
    """An update of an input waits for all checks; the product that one needs cannot."""
    x = Made(24, 40, 50)
    b = x.b
    b.input(x.array(24, 40), "state")
    large = b.op(Gt, x.out, 1e6)
    b.op(Require, b.op(AllTrue, b.op(LogicalNot, large), dim=(0, 1), keepdim=False))
    new = b.op(Mul, x.out, 0.5)
    b.graph.updates = [(b.graph.inputs[-1], new)]
    program = pipeline.build(b.graph)
    (product,) = [s for s in program.lowering.steps if isinstance(s, Product)]
    assert product.kernel is None
    got = b.arrays[-1].copy()
    program.run([*b.arrays[:-1], got], [got])
    a, w = b.arrays[0], b.arrays[1].T
    np.testing.assert_allclose(got, a @ w / 2, rtol=1e-4, atol=1e-4)


def test_equal_epilogues_have_equal_kernels():
    x = Made(20, 20, 20)
    y = x.out
    for _ in range(3):
        y = x.b.op(Matmul, x.b.op(Relu, x.b.op(Add, y, x.input(20))), x.input(20, 20))
    program = check(x.b.returns(x.b.op(Relu, x.b.op(Add, y, x.input(20)))), 1e-3)
    texts = [launch.ir for _, launch in program.launches]
    assert len(texts) == 4 and len(set(texts[1:])) == 1


def test_forced_avx2(monkeypatch):
    monkeypatch.setenv(jit.CPU_VARIABLE, "x86-64-v3")
    jit.target.cache_clear()
    try:
        for shape in SHAPES:
            test_bias_and_relu(shape, (False, True), np.float32)
        test_other_matrices_and_what_is_the_same_for_rows("turned")
    finally:
        monkeypatch.delenv(jit.CPU_VARIABLE)
        jit.target.cache_clear()


def test_sums_over_rows_leave_the_end_to_the_product():
    """Where what they add up is stored, for another product, in any case."""
    m, n, k = SHAPES["several units"]
    x = Made(m, n, k)
    b = x.b
    y = b.op(Mul, x.out, x.input(m, n))
    z = b.op(Matmul, y, x.input(n, 30))
    steps = x.check(z, b.op(Sum, y, dim=(0,), keepdim=False))
    assert [len(s.nodes) for s in steps if isinstance(s, Group)] == [1]


def test_sums_of_what_is_not_stored_do_not():
    m, n, k = SHAPES["several units"]
    x = Made(m, n, k)
    y = x.b.op(Mul, x.out, x.input(m, n))
    steps = x.check(x.b.op(Sum, y, dim=(0,), keepdim=False), fused=False)
    assert [len(s.nodes) for s in steps if isinstance(s, Group)] == [2]


def test_small_steps_that_wait_for_nothing_come_first():
    """So that what needs them can follow what it needs most."""
    x = Made(128, 48, 40)
    b = x.b
    other = b.op(Matmul, b.op(Transpose, x.w, dim0=0, dim1=1), x.input(40, 500))
    less = b.op(Mul, x.input(48), 0.9)
    total = b.op(Add, b.op(Sum, x.out, dim=(0,), keepdim=False), less)
    kinds = [type(s).__name__ for s in x.check(x.out, other, total, fused=False)]
    assert kinds == ["Group", "Product", "Group", "Product"]
