"""NumPy's functions of numbers that are read from tensors, given anew, or drawn, and of lists of
these.
"""

from __future__ import annotations

import fractions
import heapq
import statistics

import numpy as np
import pytest

import rushlight as rl

pytest.importorskip("llvmlite", reason="native programs need llvmlite")


def read(x):
    return [(x * k).sum().item() for k in range(4)]


FUNCTIONS = {
    "mean": lambda x, n: np.mean(read(x)),
    "item": lambda x, n: np.mean(read(x)).item(),
    "array": lambda x, n: np.array(read(x)).max() + np.std(read(x), ddof=1),
    "exp": lambda x, n: np.exp(x.mean().item()),
    "rounded": lambda x, n: float(np.round(np.sqrt(x.mean().item()), 2)),
    "statistics": lambda x, n: statistics.mean(read(x)) + statistics.median([n, *read(x)]),
    "clip": lambda x, n: np.clip(x.sum().item(), 0, n),
    "given": lambda x, n: x * np.log(n + 1),
    "returns": lambda x, n: x * rl.from_numpy(np.array([n, 2.0, n * n])).mean().float(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_numpy_computes_of_numbers_is_known_at_each_call(name):
    f = FUNCTIONS[name]
    run = rl.compile(f)
    for k in range(8):
        x, n = rl.arange(4.0) * k, k * 1.5
        now, then = run(x, n), f(x, n)
        assert type(now) is type(then)
        rl.testing.assert_close(rl.as_tensor(now), rl.as_tensor(then))
    assert run._compiled.eager is None and run._compiled.traces <= 3


def test_statistics_of_lists_that_get_longer():
    losses = []

    def f(x):
        losses.append(x.sum().item())
        return statistics.mean(losses)

    run = rl.compile(f)
    found = [run(rl.arange(4.0) * k) for k in range(40)]
    assert found == [3.0 * k for k in range(40)]


def test_sizes_computed_of_random_numbers_are_no_reason_to_capture_again():
    """As in CutMix: mostly each call has another."""

    def f(x):
        size = int(8 * np.sqrt(1 - np.random.beta(1.0, 1.0)))
        return x[:size].sum()

    run = rl.compile(f)
    with pytest.warns(UserWarning, match="does more with a random number at test_numeric.py"):
        for _ in range(4):
            run(rl.ones(8))
    assert run._compiled.traces <= 1


def test_lists_that_get_longer_are_added_to_others():
    losses = []

    def f(x):
        losses.append(x.sum().item())
        return [0.0] + losses

    run = rl.compile(f)
    assert [len(run(rl.ones(2))) for _ in range(6)] == [2, 3, 4, 5, 6, 7]


def test_code_of_pythons_may_make_a_number_of_the_type_of_another():
    run = rl.compile(lambda x: fractions.Fraction(x.sum().item()))
    with pytest.warns(UserWarning, match="runs eagerly"):
        found = [run(rl.arange(4.0) * k) for k in range(4)]
    assert found == [0, 6, 12, 18]


def test_lists_that_libraries_look_into_are_real_ones():
    best = []

    def f(x):
        heapq.heappush(best, x.sum().item())
        return x

    run = rl.compile(f)
    with pytest.warns(UserWarning, match="runs eagerly"):
        for k in range(6):
            run(rl.ones(2) * -k)
    assert heapq.nsmallest(6, best) == [-10.0, -8.0, -6.0, -4.0, -2.0, 0.0]


def test_numbers_beside_objects_that_numpy_is_given_are_taken_for_granted():
    class Odd:
        def __rmul__(self, other):
            return other

    odd = Odd()

    def f(x, a, n):
        return x * float(np.asarray(a * n).sum() if n else odd)

    run = rl.compile(f)
    for k in range(1, 8):
        assert run(rl.ones(1), np.ones(2), k / 2).item() == k
