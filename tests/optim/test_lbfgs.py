"""L-BFGS takes torch's steps to the bit where the sums within it have torch's bits."""

import math

import numpy as np
import pytest
import torch

import rushlight as rl

pytest.importorskip("llvmlite", reason="kernels round x + alpha y once, as torch does")

SHAPES = [(5, 4), (7,), ()]


def total(lib):
    """A sum that both libraries are given: their own add in another order."""
    return lambda x: lib.tensor(math.fsum(x.tolist()), dtype=lib.float64)


def run(lib, monkeypatch, options):
    """Parameters after each of five steps; the gradient is computed element by element."""
    monkeypatch.setattr(lib.Tensor, "sum", total(lib))
    monkeypatch.setattr(lib.Tensor, "dot", lambda x, y: total(lib)(x * y))
    random = np.random.RandomState(0)
    start = [np.asarray(random.uniform(-1, 1, shape)) for shape in SHAPES]
    scales = [lib.tensor(np.asarray(random.uniform(0.1, 3, shape))) for shape in SHAPES]
    params = [lib.nn.Parameter(lib.tensor(x)) for x in start]
    optimizer = lib.optim.LBFGS(params, **options)

    def closure():
        terms = []
        for p, a in zip(params, scales, strict=True):
            x = p.detach()
            p.grad = x * x * x + a * (x - 0.5)
            terms.append((x * x * x * x / 4 + a * (x * x / 2 - x / 2)).reshape(-1))
        return total(lib)(lib.cat(terms))

    steps = []
    for _ in range(5):
        optimizer.step(closure)
        steps.append([p.detach().numpy().copy() for p in params])
    return steps


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.1, "max_iter": 7},
        {"history_size": 3, "max_iter": 5},
        {"line_search_fn": "strong_wolfe", "max_iter": 3},
    ],
)
def test_steps_have_the_bits_of_torchs(monkeypatch, options):
    theirs, ours = [run(lib, monkeypatch, options) for lib in (torch, rl)]
    for expected, found in zip(theirs, ours, strict=True):
        for x, y in zip(expected, found, strict=True):
            np.testing.assert_array_equal(y, x)
