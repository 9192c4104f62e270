"""Kernels on values whose dims are in another order in memory."""

import numpy as np
import pytest

import rushlight as rl
from rushlight.compiler import pipeline
from rushlight.compiler.axes import collapse
from rushlight.compiler.loops import Affine, Kernel, Store, Table
from rushlight.compiler.steps import summary

pytest.importorskip("llvmlite")


def steps(f, *args):
    """The kinds of steps of a function's program, whose result is that of eager code."""
    run = rl.compile(f)
    for _ in range(4):
        found = run(*args)
    expected = f(*args)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
    assert found.stride() == expected.stride()
    (variants,) = run._compiled.variants.values()
    planned = pipeline.build(variants[0].graph, "llvm")
    return [summary(step).split("  [")[0] for step in planned.lowering.steps]


def test_results_in_the_order_of_arguments_are_written_there_at_once():
    x, y = rl.randn(40, 64).t(), rl.randn(40, 64).t()
    assert steps(lambda x, y: (x * y + x).relu(), x, y) == ["group (64, 40): Mul Add Relu Settle"]
    x, y = (rl.randn(3, 8, 9, 16).permute(0, 3, 1, 2) for _ in range(2))
    assert len(steps(lambda x, y: x * y + 1, x, y)) == 1


def test_what_is_read_against_the_order_of_the_rest_is_copied_before():
    x, y = rl.randn(40, 64).t(), rl.randn(64, 40)
    assert steps(lambda x: rl.softmax(x, -1), x)[0] == "group (64, 40): Settle"
    assert steps(lambda x, y: y * x + y, x, y)[0] == "group (64, 40): Settle"
    assert len(steps(lambda x: x.sum(0), x)) == 1
    assert len(steps(lambda x, y: y * x + y, x[:4], y[:4])) == 1  # few elements


def test_copies_come_before_what_is_written():
    x, w = rl.randn(40, 64), rl.randn(64, 40)
    expected = w + w * x.t() + x.t()

    def f(x):
        w.add_(w * x.t() + x.t())
        x.zero_()

    run = rl.compile(f)
    before = x.clone()
    for _ in range(3):
        run(x)
    assert not x.any()
    np.testing.assert_allclose(w.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
    x.copy_(before)
    expected = w + w * x.t() + x.t()
    run(x)
    np.testing.assert_allclose(w.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_rows_that_follow_each_other_in_another_order_are_one():
    table = Table()
    where = Affine(0, ((0, 3 * 4), (1, 1), (2, 4)))  # sizes 2, 4 and 3
    kernel = Kernel({0: 2, 1: 4, 2: 3}, [0, 1, 2], [])
    kernel.stores.append(Store(0, where, table.make("load", np.float32, (), (1, where))))
    joined = collapse(kernel)
    assert joined.rows == [1]
    assert joined.sizes == {1: 24}
    assert joined.stores[0].where == Affine(0, ((1, 1),))
