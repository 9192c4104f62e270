"""CUDA C of matrix products and convolutions."""

import ml_dtypes
import numpy as np
import pytest

from rushlight.compiler.backends.cuda import products
from rushlight.ops.conv import Conv, ConvInput, ConvWeight
from rushlight.ops.matmul import Matmul
from tests.compiler.cuda_emulator import needs_compiler
from tests.compiler.cuda_nodes import agree, check, compiles, garbage, node_of, run_launches

pytestmark = needs_compiler
rng = np.random.default_rng(0)


def numbers(shape, d):
    return (rng.integers(-9, 9, shape) if d is np.int32 else rng.standard_normal(shape)).astype(d)


PRODUCTS = [
    ((1, 1), (1, 1), np.float32, ""), ((70, 33), (33, 130), np.float32, "a"),
    ((130, 9), (9, 131), np.float32, "b"), ((2, 1, 17, 700), (3, 700, 5), np.float32, "y"),
    ((3, 65, 20), (3, 20, 67), np.float64, "ab"), ((20, 40), (2, 40, 30), np.float16, ""),
    ((33, 5), (5, 140), ml_dtypes.bfloat16, "b"), ((2, 9, 5), (5, 3), np.int32, ""),
]  # fmt: skip


@pytest.mark.parametrize("a_shape, b_shape, d, turned", PRODUCTS)
def test_products(a_shape, b_shape, d, turned):
    """``turned``: operands whose columns lie together."""
    a, b = numbers(a_shape, d), numbers(b_shape, d)
    node, expected, _ = node_of(Matmul, [a, b])
    arrays = [a, b, garbage(expected[0].shape, d)]
    arrays = [
        np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2) if name in turned else x
        for x, name in zip(arrays, "aby", strict=True)
    ]
    steps = [tuple(s // x.itemsize for s in x.strides) for x in arrays]
    assert products.fits(node)
    launches = products.written(node, steps)
    run_launches(launches, arrays)
    wide = np.matmul(a.astype(np.float64), b.astype(np.float64)).astype(d)
    agree(arrays[2], wide, 1e-4 if d is np.float32 else 1e-6)
    for launch in launches:
        compiles(launch.text)


CONVS = [  # images, groups, inner, outer, space, kernel, stride, padding, dilation, dtype
    (2, 1, 3, 7, (9, 11), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), np.float32),
    (1, 2, 5, 33, (10, 13), (2, 3), (2, 3), ((1, 0), (0, 2)), (2, 1), np.float32),
    (2, 6, 1, 1, (7, 8), (3, 3), (2, 1), ((1, 1), (1, 1)), (1, 2), np.float32),
    (3, 1, 2, 9, (41,), (4,), (3,), ((2, 1),), (2,), np.float64),
    (1, 1, 9, 8, (4, 5, 6), (2, 1, 3), (1, 2, 2), ((0, 1), (0, 0), (1, 1)), (1, 1, 1), np.float16),
]


@pytest.mark.parametrize("case", CONVS)
def test_convolutions(case):
    images, groups, inner, outer, space, kernel, stride, padding, dilation, d = case
    x = numbers((images, groups * inner, *space), d)
    w = numbers((groups * outer, inner, *kernel), d)
    p = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    bias = numbers(groups * outer, d)
    tolerance = 3e-3 if d is np.float16 else 1e-5
    (y,) = check(Conv, x, w, bias if groups == 1 else None, tolerance=tolerance, **p)
    g = numbers(y.shape, d)
    bias = numbers(groups * inner, d) if groups > 1 else None
    check(ConvInput, g, w, bias, space=space, tolerance=tolerance, **p)
    check(ConvWeight, x, g, kernel=kernel, tolerance=4 * tolerance, **p)


def test_a_long_sum_is_cut():
    p = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    x, g = numbers((2, 3, 20, 20), np.float32), numbers((2, 6, 18, 18), np.float32)
    check(ConvWeight, x, g, kernel=(3, 3), tolerance=1e-4, **p)
