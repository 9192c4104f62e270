"""Native pooling against the ops' own NumPy code."""

import itertools

import numpy as np
import pytest

from rushlight.ops import pool as P
from tests.compiler.convolutions import (
    RNG,
    both,
    close,
    draw,
    same_bits,
)

pytest.importorskip("llvmlite")

# planes, space, kernel, stride, padding, dilation
POOLS = {
    "halves": ((2, 3), (8, 10), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    "odd": ((3, 2), (9, 7), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    "overlapping": ((2, 3), (13, 11), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    "dilated": ((2, 2), (13, 17), (3, 2), (1, 3), ((1, 1), (0, 0)), (2, 2)),
    "beyond": ((2, 2), (7, 7), (3, 3), (2, 2), ((0, 2), (1, 2)), (1, 1)),
    "large": ((1, 2), (20, 20), (5, 5), (5, 5), ((0, 0), (0, 0)), (1, 1)),
    "all": ((2, 5), (4, 4), (4, 4), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "none": ((2, 5), (3, 7), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "huge": ((1, 1), (40, 40), (17, 17), (3, 3), ((0, 0), (0, 0)), (1, 1)),
    "line": ((3, 4), (21,), (3,), (2,), ((1, 1),), (1,)),
    "row of many vectors": ((2, 2), (1501,), (3,), (2,), ((1, 1),), (1,)),
    "rows of three": ((2, 3), (11, 37), (3, 2), (3, 2), ((0, 0), (0, 0)), (1, 1)),
    "overlapping, wide": ((2, 2), (9, 63), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    "overlapping, high": ((2, 2), (40, 9), (5, 4), (3, 1), ((2, 2), (1, 2)), (1, 1)),
    "many halves": ((5, 4), (6, 64), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
}


def pooling(case):
    lead, space, kernel, stride, padding, dilation = POOLS[case]
    size = [s + a + b for s, (a, b) in zip(space, padding, strict=True)]
    out = tuple(
        [
            (s - e * (k - 1) - 1) // t + 1
            for s, k, t, e in zip(size, kernel, stride, dilation, strict=True)
        ]
    )
    options = {
        "out": out, "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation
    }  # fmt: skip
    return (*lead, *space), (*lead, *out), options


@pytest.mark.parametrize("case", POOLS)
def test_max(case):
    shape, out, options = pooling(case)
    codes = np.uint8 if np.prod(options["kernel"]) <= 256 else np.int32
    for d, special in itertools.product((np.float32, np.float64), (False, True)):
        x = RNG.integers(-3, 4, shape).astype(d)  # with ties
        if special:
            x.flat[RNG.integers(0, x.size, 9)] = np.nan
            x.flat[RNG.integers(0, x.size, 9)] = -np.inf
        for got, want in both(P.MaxPool, [x], options, [(out, d), (out, codes)]):
            np.testing.assert_array_equal(got, want)
        for got, want in both(P.MaxPoolValues, [x], options, [(out, d)]):
            np.testing.assert_array_equal(got, want)
        g, taps = draw(out, d), want_taps(x, options)
        spread = {"space": shape, **options}
        for got, want in both(P.MaxPoolSpread, [g, taps], spread, [(shape, d)]):
            close(got, want, d)


@pytest.mark.parametrize("case", POOLS)
def test_threads_give_the_same_maxima(case, threads, monkeypatch):
    shape, out, options = pooling(case)
    codes = np.uint8 if np.prod(options["kernel"]) <= 256 else np.int32
    x = draw(shape, np.float32)
    outputs = [(out, np.float32), (out, codes)]
    same_bits(P.MaxPool, [x], options, outputs, threads, monkeypatch)
    inputs, spread = [draw(out, np.float32), want_taps(x, options)], {"space": shape, **options}
    same_bits(P.MaxPoolSpread, inputs, spread, [(shape, np.float32)], threads, monkeypatch)


def want_taps(x, options):
    return P.MaxPool.instance.forward([x], options)[1]


def test_with_avx2(avx2):
    for case in ("overlapping", "rows of three", "many halves"):
        test_max(case)
