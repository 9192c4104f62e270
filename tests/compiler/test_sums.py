"""Sums of many terms: which become parts of one value, or one product, and what they are then."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.compiler.backends.reference import evaluate
from rushlight.compiler.graph import verify
from rushlight.compiler.passes.dead import drop_dead
from rushlight.compiler.passes.sums import gather_sums
from rushlight.ops.arithmetic import Add, Mul
from rushlight.ops.matmul import Matmul
from rushlight.ops.view import BasicIndex, Embed, T, Transpose

from .graphs import Builder

RNG = np.random.default_rng(0)


def gathered(b, *results):
    """The graph afterwards, whose values are those before, and the names of its ops."""
    graph = b.returns(*results).graph
    after = drop_dead(gather_sums(graph))
    verify(after)
    for v, w in zip(graph.results, after.results, strict=True):
        want = evaluate(graph, b.arrays)[v.number]
        got = evaluate(after, [*b.arrays, *[i.source for i in after.inputs[len(b.arrays) :]]])
        np.testing.assert_allclose(got[w.number], want, rtol=1e-5, atol=1e-5)
    return [type(n.op).__name__ for n in after.nodes]


def matrix(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def in_window(b, x, start, stop, shape=(6, 4), overlaps=False):
    """Zeros but for some rows."""
    chain = ((BasicIndex.instance, {"index": (slice(start, stop),)}),)
    return b.op(Embed, x, shape=shape, chain=chain, overlaps=overlaps)


def added(b, terms):
    total = terms[0]
    for v in terms[1:]:
        total = b.op(Add, total, v)
    return total


def test_windows_become_parts():
    b = Builder()
    xs = [b.input(matrix(2, 4)) for _ in range(3)]
    windows = [in_window(b, x, 2 * i, 2 * i + 2) for i, x in enumerate(xs)]
    assert gathered(b, added(b, windows)) == ["Assemble"]


def test_gaps_between_windows_are_zeros():
    b = Builder()
    xs = [b.input(matrix(2, 4)) for _ in range(2)]
    total = added(b, [in_window(b, xs[0], 4, 6), in_window(b, xs[1], 0, 2)])
    assert gathered(b, total) == ["Full", "Assemble"]


def test_windows_that_overlap_are_added():
    b = Builder()
    x, y, z = [b.input(matrix(3, 4)) for _ in range(3)]
    total = added(b, [in_window(b, x, 0, 3), in_window(b, y, 2, 5), in_window(b, z, 3, 6)])
    assert gathered(b, total) == ["Embed", "Assemble", "Add"]


def test_other_terms_stay():
    b = Builder()
    x, y, z = b.input(matrix(3, 4)), b.input(matrix(3, 4)), b.input(matrix(6, 4))
    total = added(b, [in_window(b, x, 0, 3), z, in_window(b, y, 3, 6)])
    assert gathered(b, total) == ["Assemble", "Add"]


def test_what_is_used_elsewhere_stays():
    b = Builder()
    x, y, z = [b.input(matrix(2, 4)) for _ in range(3)]
    windows = [in_window(b, v, 2 * i, 2 * i + 2) for i, v in enumerate((x, y, z))]
    both = b.op(Add, windows[0], windows[1])
    names = gathered(b, b.op(Add, both, windows[2]), b.op(Mul, both, both))
    assert names.count("Assemble") == 1 and names.count("Embed") == 1 and "Mul" in names


@pytest.mark.parametrize("turn", [T, Transpose])
def test_products_become_one(turn):
    b = Builder()
    params = {} if turn is T else {"dim0": 0, "dim1": 1}
    terms = []
    for k in (2, 3, 4):
        x, y = b.input(matrix(k, 5)), b.input(matrix(k, 7))
        if k == 3:  # the same, computed as (y.T @ x).T
            terms.append(b.op(T, b.op(Matmul, b.op(turn, y, **params), x)))
        else:
            terms.append(b.op(Matmul, b.op(turn, x, **params), y))
    names = gathered(b, added(b, terms))
    assert sorted(names) == ["Cat", "Cat", "Matmul", "T"]


def test_products_of_other_kinds_stay():
    b = Builder()
    x, y, z = b.input(matrix(5, 3)), b.input(matrix(3, 7)), b.input(matrix(7, 3))
    total = added(b, [b.op(Matmul, x, y), b.op(Matmul, x, b.op(T, z))])
    assert sorted(gathered(b, total)) == ["Add", "Matmul", "Matmul", "T"]


def test_recurrent_step():
    """A compiled step of a network whose weights are used at each time."""
    rl.manual_seed(0)
    net = rl.nn.GRU(5, 8)
    x = rl.randn(7, 3, 5)

    def step(x):
        net.zero_grad()
        y, h = net(x)
        (y.square().mean() + h.sum()).backward()

    step(x)
    want = [p.grad.numpy().copy() for p in net.parameters()]
    compiled = rl.compile(step, fullgraph=True)
    for _ in range(3):
        compiled(x)
    for p, g in zip(net.parameters(), want, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), g, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("turned_first", [False, True])
def test_a_matrix_and_its_transpose_in_one_sum_of_products(turned_first):
    """Two parts of one value, of which each is the other seen in another order."""
    p, q, s = [rl.from_numpy(matrix(2, 2)) for _ in range(3)]

    def step(p, q, s):
        r = p.abs()
        products = [r.t() @ q, r.t().t() @ q]
        a, b = products[::-1] if turned_first else products
        return (a + s) + b

    compiled = rl.compile(step)
    for _ in range(3):
        rl.testing.assert_close(compiled(p, q, s), step(p, q, s))
