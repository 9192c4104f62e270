"""CUDA C of random numbers, against Philox in NumPy."""

import numpy as np
import pytest

from rushlight.compiler.backends.cuda import draws, templates, texts
from rushlight.compiler.backends.cuda.launch import Launch
from rushlight.compiler.graph import Graph, Node
from rushlight.compiler.primitives import (
    Integers,
    Normals,
    Shuffled,
    Slopes,
    Truths,
    Uniforms,
    Waits,
)
from tests.compiler.cuda_emulator import needs_compiler, run
from tests.compiler.cuda_nodes import compiles, garbage, run_launches

pytestmark = needs_compiler
SEED = 0x123456789ABCDEF0
START = 2**32 - 3  # counters that do not fit one word follow soon


def philox(counters, key):
    """Words (n, 4) of counters (n, 4), by ten rounds."""
    c, k = [a.astype(np.uint64) for a in counters.T], [np.uint64(x) for x in key]
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        first, third = (b >> np.uint64(32)) ^ c[1] ^ k[0], (a >> np.uint64(32)) ^ c[3] ^ k[1]
        c = [first, b & low, third, a & low]
        k = [k[0] + np.uint64(0x9E3779B9) & low, k[1] + np.uint64(0xBB67AE85) & low]
    return np.stack(c, 1).astype(np.uint32)


def words(count):
    """The words that a desk at SEED and START gives."""
    at = np.arange(START, START + count, dtype=np.uint64)
    zero = np.zeros_like(at)
    counters = np.stack([at & np.uint64(0xFFFFFFFF), at >> np.uint64(32), zero, zero], 1)
    return philox(counters, (SEED & 0xFFFFFFFF, SEED >> 32))


KNOWN = [  # counter, key, and words, from the authors' Random123
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def test_words_are_those_of_philox():
    body = (
        draws.PHILOX
        + """
extern "C" __global__ void kernel(u32* c, const u32* k) {
  philox(c + 4 * threadIdx.x, k[2 * threadIdx.x], k[2 * threadIdx.x + 1]);
}
"""
    )
    counters, keys, expected = [np.array(a, np.uint32) for a in zip(*KNOWN, strict=True)]
    for counter, key, known in zip(counters, keys, expected, strict=True):
        np.testing.assert_array_equal(philox(counter[None], key.tolist())[0], known)
    text = texts.text(body, np.dtype(np.uint32))
    run(Launch(text, ((0, 0), (1, 0)), block=(3, 1, 1)), [counters, keys])
    np.testing.assert_array_equal(counters, expected)


def drawn(op, shape, d, each, x=None, **params):
    """What a node draws; the desk moves on by a counter for ``each`` elements; drawing again from
    the same place gives the same, and fewer give the first of them.
    """
    graph = Graph()
    desk = np.array([SEED, START], np.uint64)
    arrays = [desk] if x is None else [desk, x]
    inputs = [graph.value(a.shape, a.dtype) for a in arrays]
    node = Node(op.instance, inputs, params | {"shape": shape}, [graph.value(shape, d)])
    assert templates.supported(node)
    launches = templates.launches(node)
    found = []
    for _ in range(2):
        desk[1] = START
        out = garbage(shape, d)
        run_launches(launches, [*arrays, out])
        found.append(out)
        assert desk.tolist() == [SEED, START + -(-out.size // each)]
    np.testing.assert_array_equal(*found)
    for launch in launches:
        compiles(launch.text)
    return found[0]


def pairs(w):
    """Fractions of 53 bits, of two words each."""
    both = w[:, 1::2].astype(np.uint64) << np.uint64(32) | w[:, ::2]
    return ((both >> np.uint64(11)) * 2.0**-53).reshape(-1)


def test_the_desk_of_a_processor_is_none():
    graph = Graph()
    desk = graph.value((5,), np.int64)
    params = {"shape": (3,), "p": 0.5}
    assert not templates.supported(
        Node(Truths.instance, [desk], params, [graph.value((3,), np.bool_)])
    )


def test_truths():
    w = words(1000).reshape(-1)
    for p in (0.3, 1.0, 0.0):
        t = drawn(Truths, (3, 1331), np.bool_, 4, p=p)
        np.testing.assert_array_equal(t.reshape(-1), w[:3993] < p * 2.0**32)
        assert abs(t.mean() - p) < 0.03


@pytest.mark.parametrize(
    "low, high, d", [(0, 1, np.float32), (-2.5, 7, np.float64), (1, 2, np.float16)]
)
def test_uniforms(low, high, d):
    wide = d == np.float64
    u = drawn(Uniforms, (4001,), d, 2 if wide else 4, dtype=np.dtype(d), low=low, high=high)
    digits = {np.float32: 24, np.float16: 11}.get(d)
    w = words(2001)
    f = pairs(w) if wide else (w.reshape(-1) >> np.uint32(32 - digits)) * 2.0**-digits
    expected = (f[:4001] * (high - low) + low).astype(d)
    expected[expected >= high] = low
    np.testing.assert_allclose(u, expected, rtol=0, atol=1e-14 if wide else 0)
    assert u.min() >= low and u.max() < high
    assert abs(u.astype(float).mean() - (low + high) / 2) < 0.02 * (high - low)


@pytest.mark.parametrize("d", [np.float32, np.float64])
def test_normals(d):
    each = 2 if d == np.float64 else 4
    x = drawn(Normals, (4003,), d, each, dtype=np.dtype(d), mean=3.0, std=2.0)
    w = words(2002)
    if d == np.float64:
        u, angle = pairs(w).reshape(-1, 2).T
        u = u + 2.0**-53
    else:
        u, angle = (w.reshape(-1, 2).astype(np.float64) * 2.0**-32).T
        u = u + 2.0**-32
    radius, angle = np.sqrt(-2 * np.log(u)), 2 * np.pi * angle
    z = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)[:4003]
    np.testing.assert_allclose(x, 3 + 2 * z, rtol=1e-4 if d == np.float32 else 1e-12, atol=1e-5)
    assert abs(x.mean() - 3) < 0.15 and abs(x.std() - 2) < 0.1
    assert abs(((x - 3) ** 4).mean() / 16 - 3) < 0.4


def test_waits():
    x = drawn(Waits, (37, 41), np.float64, 2, rate=0.5)
    u = pairs(words(1000))[: x.size]
    np.testing.assert_allclose(x.reshape(-1), -np.log1p(-u) / 0.5, rtol=1e-12)
    assert not drawn(Waits, (5,), np.float64, 2, rate=np.inf).any()


@pytest.mark.parametrize("low, high", [(-3, 10), (-(2**40), 2**40)])
def test_integers(low, high):
    wide = high > 10
    x = drawn(Integers, (2001,), np.int64, 2 if wide else 4, low=low, high=high)
    w = words(1001)
    v = w[:, 1::2].astype(np.uint64) << np.uint64(32) | w[:, ::2] if wide else w.astype(np.uint64)
    v = (v.reshape(-1) % np.uint64(high - low)).astype(np.int64) + low
    np.testing.assert_array_equal(x, v[:2001])


def test_results_may_begin_anywhere():
    """Where they are not aligned they are written one by one."""
    graph = Graph()
    values = [graph.value((2,), np.uint64), graph.value((9,), np.float32)]
    params = {"shape": (9,), "dtype": np.dtype(np.float32), "low": 0.0, "high": 1.0}
    launches = templates.launches(Node(Uniforms.instance, values[:1], params, values[1:]))
    found = []
    for shift in (0, 1):
        desk, room = np.array([SEED, START], np.uint64), np.zeros(12, np.float32)
        run_launches(launches, [desk, room[shift : shift + 9]])
        found.append(room[shift : shift + 9])
    np.testing.assert_array_equal(*found)


def test_slopes():
    x = np.linspace(-1, 1, 203, dtype=np.float32)
    x[3] = np.nan
    y = drawn(Slopes, (203,), np.float32, 4, x, lower=0.125, upper=0.375)
    u = (words(51).reshape(-1)[:203] >> np.uint32(8)) * 2.0**-24
    np.testing.assert_allclose(y, np.where(x <= 0, 0.125 + u * 0.25, 1), rtol=1e-6)


@pytest.mark.parametrize("count", [1, 7, 1500, 2600])
def test_shuffles(count):
    x = drawn(Shuffled, (count,), np.int64, 2)
    np.testing.assert_array_equal(np.sort(x), np.arange(count))
    w = words(-(-count // 2))
    keys = (w[:, 1::2].astype(np.uint64) << np.uint64(32) | w[:, ::2]).reshape(-1)[:count]
    if count > 2048:  # sorted by so many bits
        bits = -(-(2 * count.bit_length() + draws.SPARE) // 4) * 4
        keys = keys & np.uint64(2**bits - 1)
    np.testing.assert_array_equal(x, np.argsort(keys, stable=True))
