"""Numbers that torch 2.13 gave, written down, so that the streams are held fast without torch."""

import zlib

import numpy as np
import pytest

import rushlight as rl

RECORDED = {
    "t.rand(5)": [0.882269263, 0.915003955, 0.38286376, 0.959305644, 0.390448213],
    "t.rand(3, dtype=t.float64)": [0.05815448596142969, 0.06291016742457756, 0.12358607277440903],
    "t.empty(4).uniform_(-0.1, 0.3)": [0.252907723, 0.266001582, 0.0531455055, 0.283722252],
    "t.randn(5)": [0.336690366, 0.128809407, 0.234462366, 0.23033303, -1.12285638],
    "t.randn(17)[-4:]": [0.041759491, -0.251575291, 0.859858513, -0.309726775],
    "t.randn(4, dtype=t.float64)": [
        0.33669035438385886,
        0.1288094051365897,
        0.23446236336153173,
        0.2303330279146119,
    ],
    "t.empty(4).normal_(1, 0.1)": [1.03366899, 1.01288092, 1.0234462, 1.02303326],
    "t.randint(10, (10,))": [2, 7, 6, 4, 6, 5, 0, 4, 0, 3],
    "t.randint(0, 2**40, (3,))": [441507790259, 395924837646, 458615280711],
    "t.randperm(12)": [6, 8, 1, 7, 0, 2, 10, 11, 4, 3, 5, 9],
    "t.randperm(2000)[:8]": [1542, 1486, 252, 1959, 410, 190, 1488, 1520],
    "t.empty(12).bernoulli_(0.3)": [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0],
    "t.bernoulli(t.linspace(0, 1, 12))": [
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        1.0,
        0.0,
        0.0,
        1.0,
        0.0,
        1.0,
    ],
    "t.empty(3).exponential_(1.5)": [0.0399426781, 0.0433174185, 0.0879445225],
    "t.empty(3).cauchy_()": [-5.41248751, -4.99370098, -2.44487429],
    "t.empty(3).log_normal_()": [5.33015728, 3.51703668, 4.3445611],
    "t.empty(6).geometric_(0.3)": [8.0, 8.0, 6.0, 9.0, 2.0, 3.0],
    "t.empty(4, dtype=t.int64).random_()": [
        6909045637428952499,
        8314211556539077902,
        4279532810384561223,
        1819927849474927636,
    ],
    "t.multinomial(t.arange(8.0), 4)": [3, 1, 2, 5],
    "t.multinomial(t.arange(8.0), 8, replacement=True)": [2, 2, 3, 2, 5, 5, 7, 7],
    "t.poisson(t.linspace(0.5, 30, 8))": [0.0, 1.0, 6.0, 9.0, 16.0, 14.0, 28.0, 20.0],
    "t.binomial(t.full((5,), 40.0), t.linspace(0, 1, 5))": [0.0, 5.0, 16.0, 30.0, 40.0],
}


@pytest.mark.parametrize("source", RECORDED)
def test_recorded(source):
    rl.manual_seed(42)
    values = eval(source, {"t": rl})
    np.testing.assert_allclose(values.numpy(), np.array(RECORDED[source]), rtol=2e-6)


def test_recorded_state():
    rl.manual_seed(42)
    rl.randn(3), rl.rand(700)
    state = rl.get_rng_state().numpy()
    assert state.dtype == np.uint8
    assert state.shape == (5056,)
    assert zlib.crc32(state.tobytes()) == 2418750012


def test_recorded_samples_far_into_the_stream():
    rl.manual_seed(42)
    rl.rand(1_000_003)
    assert rl.randint(0, 1000, (5,)).tolist() == [900, 542, 684, 490, 439]
