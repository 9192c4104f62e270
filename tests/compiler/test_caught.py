"""Errors that a compiled function catches, and blocks that only tidy up after one."""

from __future__ import annotations

import contextlib
import math

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.nn import functional as F

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
CALLS = 10


class Quiet:
    """A block after whose errors a function goes on; it counts them."""

    def __init__(self):
        self.errors = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, *others):
        self.errors += kind is not None
        return True


TABLE = nn.Embedding(5, 3, _weight=rl.arange(15.0).view(5, 3))  # whose sums are exact


def tried(places):
    """Catches what the table refuses."""
    try:
        return TABLE(places).sum()
    except IndexError:
        return rl.zeros(())


def within(block):
    """A function that does so by a block."""

    def look(places):
        with block:
            return TABLE(places).sum()
        return rl.zeros(())

    return look


CATCHING = {
    "except": lambda: tried,
    "a block of the user's": lambda: within(Quiet()),
    "a block of Python's": lambda: within(contextlib.suppress(IndexError)),
}


@pytest.mark.filterwarnings("ignore:compile")
@pytest.mark.parametrize("failing", [(1,), (0, 1), (4, 7), (1, 2, 3, 4, 5, 6)])
@pytest.mark.parametrize("name", CATCHING)
def test_a_call_that_caught_an_error_is_no_example_for_others(name, failing):
    look, run = CATCHING[name](), rl.compile(CATCHING[name]())
    for i in range(CALLS):
        places = rl.tensor([1, 2, 9 if i in failing else 0])
        assert run(places).item() == pytest.approx(look(places).item())


def test_errors_of_what_has_no_kernel():
    def factor(x):
        try:
            return rl.linalg.cholesky(x).sum()
        except RuntimeError:
            return rl.linalg.eigvalsh(x).sum()

    run = rl.compile(factor)
    for i in range(CALLS):
        x = rl.eye(3) * (-1.0 if i in (1, 5) else 1.0) * (i + 1)
        assert run(x).item() == pytest.approx(factor(x).item())
    assert run._compiled.traces == 1


def test_a_write_that_failed():
    total = rl.zeros(3)

    def add(places):
        try:
            total.index_add_(0, places, rl.ones(2))
        except IndexError:
            total.mul_(2)
        return total.sum()

    def sums(compile):
        run = compile(add)
        total.zero_()
        return [run(rl.tensor([0, 7 if i in (1, 5) else 2])).item() for i in range(CALLS)]

    assert sums(rl.compile) == sums(lambda f: f)


def test_blocks_that_set_a_mode_catch_nothing():
    """So what is computed of values that are read may be left to the program."""
    model = nn.Linear(4, 3)

    def evaluate(x, y):
        with rl.no_grad(), rl.autocast("cpu", enabled=False):
            scores = model(x)
            loss = F.cross_entropy(scores, y).item()
        hits = (scores.argmax(1).numpy() == y.numpy()).mean()
        return {"loss": loss, "root": loss**0.5, "perplexity": math.exp(loss), "hits": hits}

    run = rl.compile(evaluate, fullgraph=True)
    for _ in range(5):
        x, y = rl.randn(6, 4), rl.randint(0, 3, (6,))
        assert run(x, y) == pytest.approx(evaluate(x, y), rel=1e-5)
