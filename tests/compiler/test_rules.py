"""Reductions and losses written out, against the ops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rushlight.compiler import pipeline
from rushlight.ops import activation, along, avg_pool, class_losses, fold, loss, statistics
from rushlight.ops.arithmetic import Add, Mul
from rushlight.ops.math import Exp
from rushlight.ops.reduce import Mean, Nansum
from rushlight.ops.view import Unfold

from .graphs import Builder, check, outputs_of

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
pytestmark = pytest.mark.usefixtures("own_cache")
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("dim", [None, (1,), (0, 2)])
@pytest.mark.parametrize("keepdim", [False, True])
def test_statistics(dim, keepdim):
    b = Builder()
    a = normal(3, 5, 7)
    a[0, 0, 0] = 0
    x = b.input(a)
    p = {"dim": dim, "keepdim": keepdim}
    gaps = np.where(normal(3, 5, 7) > 1, np.nan, a).astype(np.float32)
    ends = a.copy()
    ends[:, :, 1] = -np.inf
    ends[1, :, 2] = np.inf
    results = [
        b.op(statistics.Std, x, correction=1, **p),
        b.op(statistics.Logsumexp, b.input(ends), **p),
        b.op(statistics.Logsumexp, x, **p),
        b.op(Nansum, b.input(gaps), **p),
    ]
    for order in (2, 1, 0, math.inf, -math.inf, 3.0, 0.5):
        results.append(b.op(statistics.VectorNorm, x, ord=order, **p))
    check(b.returns(*results), 3e-5)


@pytest.mark.parametrize("d", [np.float32, np.float64])
@pytest.mark.parametrize("n", [3, 7, 33, 1000])
def test_equal_values_have_no_variance(n, d):
    """Whatever the rounding of their mean: a deviation's gradient divides by it."""
    for value in (0.1, 1 / 3, -1e6 / 7):
        b = Builder()
        x = b.input(np.full((n, 20), value, d))
        params = {"keepdim": False, "correction": 1}
        var = b.op(statistics.Var, x, dim=(0,), **params)
        std = b.op(statistics.Std, b.op(Mul, x, 3.0), dim=(1,), **params)
        b.returns(var, std)
        found = outputs_of(b.graph)
        pipeline.build(b.graph, "llvm").run(b.arrays, found)
        assert not any([v.any() for v in found])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_of_elements(reduction):
    b = Builder()
    x, y = b.input(normal(4, 9)), b.input(normal(4, 9))
    shares = np.clip(np.abs(normal(4, 9)), 0, 1)
    shares[0, :3], shares[1, :3] = 0, 1
    s, t = b.input(shares), b.input(shares[::-1].copy())
    p = {"reduction": reduction}
    b.returns(
        b.op(loss.MseLoss, x, y, **p),
        b.op(loss.L1Loss, x, y, **p),
        b.op(loss.SmoothL1Loss, x, y, beta=0.7, **p),
        b.op(loss.HuberLoss, x, y, delta=0.7, **p),
        b.op(loss.SoftMarginLoss, x, y, **p),
        b.op(loss.BinaryCrossEntropy, s, t, **p),
        b.op(loss.BinaryCrossEntropyWithLogits, x, t, b.input(np.abs(normal(9))), **p),
        b.op(loss.KlDiv, x, t, log_target=False, **p),
        b.op(loss.KlDiv, x, y, log_target=True, **p),
    )
    program = check(b, 2e-5)
    b.arrays[2] = shares + 0.5
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        program.run(b.arrays, outputs_of(b.graph))


@pytest.mark.parametrize("shape", [(6, 5), (4, 5, 3), (5,)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_weighted_classes(shape, reduction):
    b = Builder()
    places = (*shape[:1], *shape[2:]) if len(shape) > 1 else ()
    classes = shape[1] if len(shape) > 1 else shape[0]
    target = np.asarray(RNG.integers(0, classes, places))
    if target.ndim:
        target.reshape(-1)[1] = 2
    weight = np.abs(normal(classes))
    weight[3] = 0
    x, t, w = b.input(normal(*shape)), b.input(target), b.input(weight)
    p = {"reduction": reduction, "ignore_index": 2}
    g = b.input(np.asarray(normal(*places) if reduction == "none" else np.float32(1.3)))
    b.returns(
        b.op(class_losses.NllLoss, x, t, w, **p),
        b.op(class_losses.CrossEntropy, x, x, t, w, **p),
        b.op(class_losses.CrossEntropyGrad, g, x, t, w, **p),
        b.op(class_losses.NllGrad, g, t, w, shape=shape, **p),
        b.op(class_losses.NllGrad, g, t, None, shape=shape, **p),
    )
    check(b)


POOLS = [
    ((8, 9), (2, 3), (2, 3), (0, 0), True),
    ((9, 8), (3, 3), (1, 1), (1, 1), True),
    ((9, 8), (3, 2), (2, 2), (1, 0), False),
    ((11, 7), (4, 3), (3, 2), (2, 1), True),
]


@pytest.mark.parametrize("space, kernel, stride, padding, include", POOLS)
def test_average_pools(space, kernel, stride, padding, include):
    out = [(n + 2 * p - k) // s + 1 for n, k, s, p in zip(space, kernel, stride, padding)]  # noqa: B905
    options = {
        "out": tuple(out),
        "kernel": kernel,
        "stride": stride,
        "padding": tuple((p, p) for p in padding),
        "include_pad": include,
        "divisor": None,
        "after": (0, 0),
    }
    b = Builder()
    x, g = b.input(normal(2, 3, *space)), b.input(normal(2, 3, *out))
    b.returns(
        b.op(avg_pool.AvgPool, x, **options),
        b.op(avg_pool.AvgPoolSpread, g, space=space, **options),
    )
    check(b)


def test_windows_and_matrices():
    b = Builder()
    x = b.input(normal(2, 3, 7, 6))
    m, n = RNG.standard_normal((7, 5)), RNG.standard_normal((6, 9))
    b.returns(
        b.op(along.Along, x, matrices=(m, n)),
        b.op(along.Along, x, matrices=(m, None)),
        b.op(fold.Unfold, x, kernel=(3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
        b.op(activation.Glu, x, dim=-1),
    )
    check(b, 2e-5)


def test_nothing_is_overwritten_before_a_check_of_computed_values():
    """A failed call leaves state unchanged, also where the state's new value leads to the check."""
    b = Builder()
    x, state = b.input(normal(5, 4)), b.input(normal(4), "state")
    mean = b.op(Mean, x, dim=(0,), keepdim=False)
    new = b.op(Add, b.op(Mul, state, 0.9), mean)
    shares = b.op(Mul, x, mean)
    b.returns(b.op(loss.BinaryCrossEntropy, shares, shares, reduction="mean"))
    b.graph.updates = [(b.graph.inputs[1], new)]
    b.arrays[0] = np.full((5, 4), 0.5, np.float32)
    program = check(b)
    old = b.arrays[1].copy()
    b.arrays[0] = np.full((5, 4), 2, np.float32)
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        program.run(b.arrays, [np.empty((), np.float32), b.arrays[1]])
    assert (b.arrays[1] == old).all()


def test_the_view_called_unfold():
    b = Builder()
    x = b.input(normal(17))
    check(b.returns(b.op(Exp, b.op(Unfold, x, dim=0, size=2, step=1))))
