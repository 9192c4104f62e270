"""What goes into a compiled function, and what it leaves behind, are what they are without
``compile``: each case runs both ways and says what there was to see.
"""

from __future__ import annotations

import collections
import datetime
import os
import time

import numpy as np
import pytest

import rushlight as rl
from tests.compiler.seen import CALLS, Frozen, Output, both_ways

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
CASES = {}


def case(f):
    """Note a case."""
    CASES[f.__name__] = f
    return f


@pytest.mark.filterwarnings("ignore:compile")
@pytest.mark.parametrize("name", CASES)
def test_calls_are_those_of_the_function_itself(name):
    itself, compiled = both_ways(CASES[name])
    assert compiled == itself


# Arguments that change


def arguments(f, make):
    """A case: calls of f with what ``make`` gives, which f changes."""

    def run(compile):
        g = compile(f)
        for k in range(CALLS):
            given = make(rl.full((2,), float(k)))
            yield g(given)
            yield given

    return run


def sort(x):
    x["order"].sort()
    return x["x"] * x["order"][0]


def grow(x):
    x["members"].add(3)
    return x["x"] * len(x["members"])


def write(x):
    x["array"][0] += 1
    return x["x"] * 2


CASES["an item is taken out of a list"] = arguments(lambda x: x.pop() * 2, lambda t: [t, t + 1])
CASES["items change their places"] = arguments(lambda x: x.reverse() or x[0] * 2, lambda t: [t, -t])
CASES["an item is taken out of a dict"] = arguments(lambda x: x.pop("x") * 2, lambda t: {"x": t})
CASES["an item goes into a dict"] = arguments(
    lambda x: x.setdefault("y", 5) * x["x"], lambda t: {"x": t}
)
CASES["a list of numbers is sorted"] = arguments(sort, lambda t: {"x": t, "order": [3, 1, 2]})
CASES["a set grows"] = arguments(grow, lambda t: {"x": t, "members": {1}})
CASES["an array is written to"] = arguments(write, lambda t: {"x": t, "array": np.zeros(3)})


@case
def a_generator_of_numpy_as_an_argument(compile):
    f, g = compile(lambda x, g: x * float(g.random())), np.random.default_rng(0)
    yield from [f(rl.ones(2), g) for _ in range(CALLS)]


@case
def objects_that_say_they_are_equal(compile):
    class Scale:
        def __init__(self, by):
            self.by = by

        def __eq__(self, other):
            return True

        def __hash__(self):
            return 1

    f = compile(lambda x, scale: x * scale.by)
    yield from [f(rl.ones(2), Scale(float(k // 3))) for k in range(3 * CALLS)]


@case
def objects_at_places_that_others_had(compile):
    class Scale:
        __hash__ = None

        def __init__(self, by):
            self.by = by

    f = compile(lambda x, scale: x * scale.by)
    yield from [f(rl.ones(2), Scale(float(k))) for k in range(5 * CALLS)]


@case
def zeros_of_two_signs(compile):
    f = compile(lambda x, by: 1 / (x * by))
    yield from [f(rl.ones(2), by) for by in (0.0, -0.0) * CALLS]


@case
def sets_and_dicts_of_other_kinds(compile):
    f = compile(lambda d: len(d) * 2 if type(d) is dict else len(d) * 3)
    kinds = (dict, collections.OrderedDict, collections.Counter)
    yield from [f(kind(a=1)) for kind in kinds * CALLS]


@case
def dataclasses_of_tensors(compile):
    f = compile(lambda batches, scale: sum([b.loss * scale.count for b in batches]) + scale.loss)
    for k in range(2 * CALLS):
        batches = [Output(rl.full((2,), float(k))), Output(rl.ones(2))]
        yield f(batches, Frozen(rl.ones(2) * k, k // 4))


@case
def a_dataclass_that_is_changed(compile):
    f = compile(lambda b: setattr(b, "loss", b.loss * 2) or b.loss.sum())
    for k in range(CALLS):
        batch = Output(rl.full((2,), float(k)))
        yield f(batch)
        yield batch.loss


# What a call leaves behind


@case
def the_gradient_mode(compile):
    f = compile(lambda x: (rl.set_grad_enabled(False) and None) or x * 2)
    for _ in range(CALLS):
        yield f(rl.ones(2))
        yield rl.is_grad_enabled()
        rl.set_grad_enabled(True)


@case
def the_default_dtype(compile):
    f = compile(lambda x: x + rl.ones(2))
    try:
        for k in range(3 * CALLS):
            rl.set_default_dtype((rl.float32, rl.float64)[k // 6 % 2])
            yield f(rl.ones(2, dtype=rl.float32))
    finally:
        rl.set_default_dtype(rl.float32)


def drawing(f):
    """A case: calls of f, and what is drawn behind each."""

    def run(compile):
        g = compile(f)
        for _ in range(CALLS):
            yield g(rl.ones(3))
            yield rl.rand(1)

    return run


def seeded(x):
    rl.manual_seed(5)
    return x + rl.rand(3)


def forked(x):
    with rl.random.fork_rng():
        rl.manual_seed(1)
        noise = rl.rand(3)
    return x + noise + rl.rand(3)


def drawn_twice(x):
    state = rl.get_rng_state()
    first = rl.rand(3)
    rl.set_rng_state(state)
    return first + rl.rand(3) + x


def own(x):
    return x + rl.rand(3, generator=rl.Generator().manual_seed(3))


CASES["random numbers that start anew"] = drawing(seeded)
CASES["random numbers of a fork"] = drawing(forked)
CASES["random numbers drawn twice"] = drawing(drawn_twice)
CASES["a generator of the call's own"] = drawing(own)


@case
def a_checkpoint_that_draws(compile):
    from rushlight.utils.checkpoint import checkpoint

    layer = rl.nn.Sequential(rl.nn.Linear(3, 3), rl.nn.Dropout(0.5))
    optimizer = rl.optim.SGD(layer.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = checkpoint(layer, x, use_reentrant=False).square().sum()
        loss.backward()
        optimizer.step()
        return (loss.detach() * 1000).round()

    f = compile(step)
    yield from [f(rl.ones(4, 3)) for _ in range(CALLS)]


# Hooks, clocks and the system


def hooked(register):
    """A case: steps of training, with hooks from the fourth on, and without from the seventh."""

    def run(compile):
        weight, calls = rl.ones(3, requires_grad=True), []
        optimizer = rl.optim.SGD([weight], lr=0.1)

        def step(x):
            optimizer.zero_grad()
            loss = (weight * x).square().sum()
            loss.backward()
            optimizer.step()
            return loss.detach()

        f = compile(step)
        for k in range(12):
            if k == 4:
                handle = register(weight, optimizer, calls)
            if k == 8:
                handle.remove()
            yield f(rl.ones(3))
            yield weight
            yield len(calls)

    return run


CASES["a hook that only computes"] = hooked(lambda w, o, calls: w.register_hook(lambda g: g * 2))
CASES["a hook that counts"] = hooked(lambda w, o, calls: w.register_hook(lambda g: calls.append(1)))
CASES["a hook behind the gradient"] = hooked(
    lambda w, o, calls: w.register_post_accumulate_grad_hook(lambda p: calls.append(1))
)
CASES["a hook of an optimizer"] = hooked(
    lambda w, o, calls: o.register_step_post_hook(lambda *args: calls.append(1))
)


@case
def clocks_and_the_system(compile):
    f = compile(lambda x: (x * 2, time.perf_counter(), datetime.datetime.now(), os.urandom(8)))
    found = [f(rl.ones(2))[1:] for _ in range(CALLS)]
    yield len({t for t, _, _ in found}), len({r for _, _, r in found})


@case
def globals_by_name(compile):
    f = compile(lambda x: x * globals()["COUNT"])
    for k in range(CALLS):
        globals()["COUNT"] = float(k // 3)
        yield f(rl.ones(2))


@case
def what_was_put_on_an_argument(compile):
    f = compile(lambda x: x * x.scale)
    for k in range(CALLS):
        x = rl.ones(2)
        x.scale = float(k // 2)
        yield f(x)
