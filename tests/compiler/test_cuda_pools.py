"""CUDA C of pools, run by the emulator and compiled."""

import ml_dtypes
import numpy as np
import pytest

from rushlight.compiler.backends.cuda import templates
from rushlight.compiler.backends.cuda.machine import machine_of
from rushlight.ops.avg_pool import AvgPool, AvgPoolSpread
from rushlight.ops.pool import MaxPool, MaxPoolSpread, MaxPoolValues
from rushlight.ops.resample import Gathered
from tests.compiler.cuda_emulator import needs_compiler
from tests.compiler.cuda_nodes import check, compiled, garbage, needs_nvrtc, node_of, on_gpu
from tests.compiler.emulated import EmulatedDriver

pytestmark = needs_compiler
rng = np.random.default_rng(0)


def outs(space, kernel, stride, padding, dilation):
    return tuple(
        (n + a + b - d * (k - 1) - 1) // s + 1
        for n, k, s, (a, b), d in zip(space, kernel, stride, padding, dilation, strict=True)
    )


CASES = [
    ((2, 3, 11, 13), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), np.float32),
    ((1, 2, 9, 17), (2, 3), (1, 3), ((0, 1), (1, 0)), (2, 1), ml_dtypes.bfloat16),
    ((3, 301), (4,), (3,), ((2, 1),), (2,), np.float64),
    ((1, 2, 5, 6, 7), (2, 3, 2), (2, 1, 2), ((0, 0), (1, 1), (1, 1)), (1, 2, 1), np.float16),
]


@pytest.mark.parametrize("shape, kernel, stride, padding, dilation, d", CASES)
def test_maxima_and_their_gradient(shape, kernel, stride, padding, dilation, d):
    x = rng.integers(-4, 5, shape).astype(d)  # equal elements
    x.reshape(-1)[::7] = np.nan
    x.reshape(-1)[3::11] = -np.inf
    space = shape[len(shape) - len(kernel) :]
    p = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    p["out"] = outs(space, kernel, stride, padding, dilation)
    values, taps = check(MaxPool, x, **p)
    check(MaxPoolValues, x, **p)
    g = rng.standard_normal(values.shape).astype(d)
    check(MaxPoolSpread, g, taps, space=shape, **p)


def test_maxima_of_integers_and_wide_taps():
    x = rng.integers(-100, 100, (1, 1, 20, 21), dtype=np.int64)
    p = {"kernel": (17, 17), "stride": (2, 2), "padding": ((0, 0),) * 2, "dilation": (1, 1)}
    p["out"] = (2, 3)
    check(MaxPool, x, **p)


@pytest.mark.parametrize(
    "kernel, divisor, include, d",
    [
        ((3, 2), None, True, np.float32),
        ((9, 8), None, False, np.float64),
        ((9, 9), 7, True, np.float16),
    ],
)
def test_means(kernel, divisor, include, d):
    stride, padding, after = (2, 3), ((1, 3), (0, 2)), (1, 0)  # of the padding one is given
    x = rng.standard_normal((2, 3, 19, 17)).astype(d)
    p = {"kernel": kernel, "stride": stride, "padding": padding, "after": after}
    p |= {"include_pad": include, "divisor": divisor}
    p["out"] = outs((19, 17), kernel, stride, padding, (1, 1))
    (y,) = check(AvgPool, x, **p)
    check(AvgPoolSpread, y, space=(19, 17), **p)


@pytest.mark.parametrize("space, out", [((5, 4), (9, 3)), ((7,), (1500,)), ((7,), (1500,))])
def test_gradients_of_the_nearest(space, out):
    indices = tuple([np.sort(rng.integers(0, n, m)) for n, m in zip(space, out, strict=True)])
    g = rng.standard_normal((2, 3, *out)).astype(np.float32)
    check(Gathered, g, indices=indices, space=space, tolerance=1e-4)


def test_a_gpu_is_given_the_same():
    """The GPU is simulated; what the emulator makes is compared with what it does."""
    x = rng.standard_normal((2, 3, 7, 5)).astype(np.float32)
    p = {"kernel": (2, 2), "stride": (2, 2), "padding": ((0, 0),) * 2, "dilation": (1, 1)}
    node, (values, taps), _ = node_of(MaxPool, [x], out=(3, 2), **p)
    operands = [x, garbage(values.shape, values.dtype), garbage(taps.shape, taps.dtype)]
    there = on_gpu(machine_of(EmulatedDriver()), templates.launches(node), operands)
    np.testing.assert_array_equal(there[1], values.reshape(-1))
    np.testing.assert_array_equal(there[2], taps.reshape(-1))


@needs_nvrtc
def test_there_is_a_compiler():
    assert compiled('extern "C" __global__ void kernel(int* a) { *a = 1; }', "sm_90") > 0
