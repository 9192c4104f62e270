"""What is said where a function stays eager: the line of the user's code that is the cause, and
what to do instead.
"""

from __future__ import annotations

import copy
import functools
import logging
import queue
import random
import time
import types

import pytest

import rushlight as rl
from rushlight.utils.data import DataLoader

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
LOG = logging.getLogger(__name__)
LOADER = DataLoader([*rl.ones(4, 2)], batch_size=2, shuffle=True)
MEMORY = [(rl.ones(2), 1)] * 5
QUEUE: queue.SimpleQueue[int] = queue.SimpleQueue()
W = rl.ones(2, requires_grad=True)
TABLE = rl.ones(3, 2, requires_grad=True)


def clock(x):
    start = time.time()
    return x * 2, start


def log(x):
    LOG.warning("a step")
    return x * 2


def draw(x):
    first, second = random.sample(MEMORY, 2)
    return x + first[0] + second[0]


def sparse(x):
    loss = rl.nn.functional.embedding(x.long(), TABLE, sparse=True).sum()
    loss.backward()
    return loss


def minimise(x):
    optimizer = rl.optim.LBFGS([W], max_iter=2)

    def closure():
        optimizer.zero_grad()
        loss = ((W - x) ** 2).sum()
        loss.backward()
        return loss

    return optimizer.step(closure)


@functools.lru_cache
def remember(x):
    return None


def keep(x):
    y = x + 1
    remember(y)
    return y.sum()


def best(x):
    state = copy.deepcopy({"x": x * 2})
    return state["x"]


def put(x):
    QUEUE.put(1)
    return x + 1


SAYS = {
    clock: (1, "it reads the clock", "take the time around its calls"),
    log: (1, "it logs", "return what it logs"),
    put: (1, "it puts something into a queue", "return that"),
    draw: (1, "sample gives random values other than numbers", "draw the places"),
    sparse: (1, "it computes gradients of sparse", "sparse=False"),
    minimise: (9, "LBFGS decides by values how it goes on", "compile the closure"),
    keep: (1, "a tensor made", "is kept outside, .* return it"),
    best: (1, "the memory of a tensor", "needs a value while tracing; return the tensor"),
}


@pytest.mark.parametrize("f", SAYS, ids=lambda f: f.__name__)
def test_the_line_that_is_the_cause_and_what_to_do(f):
    after, what, advice = SAYS[f]
    line = f.__code__.co_firstlineno + after
    run = rl.compile(f)
    with pytest.warns(UserWarning, match=rf"{what}.* at test_reasons.py:{line}\b.*{advice}"):
        for _ in range(4):
            run(rl.ones(2))


def test_data_loaders_are_named():
    def epoch(scale):
        return [(batch * scale).sum().item() for batch in LOADER]

    run = rl.compile(epoch)
    with pytest.warns(UserWarning, match=r"it goes through a DataLoader at test_reasons.py:\d+"):
        for _ in range(3):
            run(2.0)


def test_numbers_that_decide_are_named():
    counter = types.SimpleNamespace(steps=0)

    def f(x):
        return sum([x * k for k in range(counter.steps)])

    run = rl.compile(f)
    with pytest.warns(UserWarning, match=r"number that decides, .* at test_reasons.py:\d+"):
        for k in range(30):
            counter.steps = 1 + k // 2
            run(rl.ones(2))
