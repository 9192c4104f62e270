"""Arrays of NumPy's that a step shuffles in place, as PPO does with the places of its batch."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
X = rl.arange(12.0).reshape(6, 2)
RNG = [np.random.default_rng(3)]


def minibatches(x):
    places, found = np.arange(len(x)), []
    for _ in range(3):
        np.random.shuffle(places)
        for start in range(0, 6, 2):
            found.append(x[places[start : start + 2]].prod())
    return rl.stack(found)


def of_a_generator(x):
    places = np.arange(6)
    RNG[0].shuffle(places)
    return x[rl.from_numpy(places)]


def twice(x):
    places = np.random.permutation(6)
    np.random.shuffle(places)
    return x[places], places


def a_part_before(x):
    places = np.arange(6)
    first = x[places[:3]]
    np.random.shuffle(places)
    return first + x[places[:3]]


def a_copy(x):
    places = np.arange(6)
    before = places.copy()
    np.random.shuffle(places)
    return x[before] - x[places]


def numbers(x):
    weights = np.arange(6, dtype=np.float32)
    np.random.shuffle(weights)
    return x * rl.tensor(weights)[:, None] + float(weights[0]), weights.tolist()


def a_part_goes_on(x):
    places = np.arange(6)
    part = places[:3]
    np.random.shuffle(places)
    return x[part]


def a_tensor_goes_on(x):
    places = np.arange(6)
    t = rl.from_numpy(places)
    np.random.shuffle(places)
    return x[t]


STEPS = [minibatches, of_a_generator, twice, a_part_before, a_copy, numbers]
EAGER = {
    a_part_goes_on: "a part of an array that was shuffled",
    a_tensor_goes_on: "shuffle writes random values",
}


def calls(f, compile=lambda f: f):
    np.random.seed(1)
    RNG[0], run = np.random.default_rng(3), compile(f)
    found = [run(X + k) for k in range(6)]
    return [str(x) for x in (*found, np.random.rand(), RNG[0].random())], run


@pytest.mark.parametrize("f", STEPS, ids=lambda f: f.__name__)
def test_steps_that_shuffle(f):
    found, run = calls(f, rl.compile)
    assert found == calls(f)[0]
    assert run._compiled.eager is None and run._compiled.traces == 1


@pytest.mark.parametrize("f", EAGER, ids=lambda f: f.__name__)
def test_what_shares_the_memory_that_is_shuffled(f):
    with pytest.warns(UserWarning, match=EAGER[f]):
        found, _ = calls(f, rl.compile)
    assert found == calls(f)[0]
