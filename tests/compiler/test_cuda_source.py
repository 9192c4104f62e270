"""Fused loops as CUDA C, run by the emulator, against what the loops say."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight import dtypes
from rushlight.compiler import pipeline
from rushlight.compiler.backends.cuda import source
from rushlight.core.native import without_kernels
from rushlight.ops import (
    activation,
    arithmetic,
    compare,
    math,
    reduce,
    rounding,
    select,
    softmax,
    trigonometry,
    view,
)
from rushlight.ops.copy import Cast

from .cuda_emulator import needs_compiler
from .cuda_nodes import compiled, compiler
from .cuda_program import emulated
from .graphs import Builder, outputs_of

pytestmark = needs_compiler
RNG = np.random.default_rng(0)
SPECIAL = np.array([0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 1e-40, 3e38, 0.5], np.float32)


def normal(*shape, dtype=np.float32):
    return np.asarray(RNG.standard_normal(shape)).astype(dtype).reshape(shape)


def check(b, tolerance=1e-6):
    """Run a graph as CUDA C and by its ops."""
    expected, found = outputs_of(b.graph), outputs_of(b.graph)
    with without_kernels(), np.errstate(all="ignore"):
        pipeline.build(b.graph, "reference").run(b.arrays, expected)
    program = emulated(b.graph)
    program.run(b.arrays, found)
    assert not [s for s in program.lowering.steps if type(s).__name__ == "Call"]
    for step in program.lowering.steps if compiler() is not None else ():
        for launch in source.launches_of(step.kernel) if type(step).__name__ == "Group" else ():
            compiled(launch.text, "sm_80")
    for x, y in zip(found, expected, strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(
            x.astype(np.float64), y.astype(np.float64), rtol=tolerance, atol=tolerance
        )
    return program


def one(op, *arrays, tolerance=1e-6, **params):
    b = Builder()
    out = b.op(op, *[b.input(a) if isinstance(a, np.ndarray) else a for a in arrays], **params)
    return check(b.returns(out), tolerance)


@pytest.mark.parametrize("op", [math.Exp, trigonometry.Tanh, math.Log, activation.Gelu, math.Sqrt])
def test_functions_with_special_values(op):
    one(op, SPECIAL, tolerance=1e-5)
    one(op, normal(3, 7, dtype=np.float64), tolerance=1e-7)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i4", "i8", "?"])
def test_integers_wrap_as_numpy_has_them(dtype):
    a, b = RNG.integers(-128, 128, (2, 5, 3)).astype(dtype)
    if dtype != "?":
        one(arithmetic.Sub, a, b)
        one(arithmetic.Neg, a)
        one(rounding.FloorDivide, a, np.where(b == 0, 1, b).astype(dtype))
    one(arithmetic.Mul, a, b)
    one(compare.Lt, a, b)
    one(arithmetic.Add, a, b)


@pytest.mark.parametrize("half", [dtypes.float16, dtypes.bfloat16])
def test_halves_are_computed_in_float32(half):
    x = np.concatenate([np.where(np.abs(SPECIAL) > 1e9, 2.0, SPECIAL), normal(90)]).astype(half)
    one(math.Sigmoid, x, tolerance=1e-2)
    one(Cast, x, dtype=np.dtype(np.float32))
    one(Cast, normal(33), dtype=half, tolerance=0)
    one(reduce.Sum, x[10:].reshape(9, 10), dim=(1,), keepdim=False, tolerance=2e-2)


def test_extremes_are_nan_where_a_number_is():
    one(reduce.Amax, SPECIAL.reshape(2, 5), dim=(1,), keepdim=False)
    one(
        compare.Maximum,
        SPECIAL,
        SPECIAL[::-1].copy(),
    )


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (5, 37), (40, 3), (2, 1000), (300, 6), (7, 300)])
@pytest.mark.parametrize("dim", [(0,), (1,), (0, 1)])
def test_reductions_of_rows_columns_and_all(shape, dim):
    x = normal(*shape)
    one(reduce.Sum, x, dim=dim, keepdim=False, tolerance=1e-4)


@pytest.mark.parametrize(
    "op", [reduce.Prod, reduce.Amin, reduce.AnyTrue, reduce.AllTrue, reduce.CountNonzero]
)
def test_other_reductions(op):
    x = normal(6, 50)
    x[x < -0.5] = 0
    if op is reduce.AllTrue:
        x[3] = 1
    dim = 1 if op is reduce.Prod else (1,)
    one(op, x, dim=dim, keepdim=False)


@pytest.mark.parametrize("shape, dim", [((5, 37), 1), ((3, 4, 1100), 2), ((33, 70), 0)])
def test_softmax_has_three_stages(shape, dim):
    one(softmax.Softmax, normal(*shape), dim=dim, tolerance=1e-5)


def test_few_long_rows_are_cut_into_parts():
    x = normal(3, 20011)
    program = one(softmax.Softmax, x, dim=1, tolerance=1e-5)
    assert len(source.launches_of(program.lowering.steps[0].kernel)) == 3
    one(reduce.Sum, x, dim=(0, 1), keepdim=False, tolerance=1e-2)
    one(reduce.Sum, normal(9000, 5), dim=(0,), keepdim=False, tolerance=1e-3)


def test_points_of_large_arrays_and_numbers():
    b = Builder()
    x, y, n = b.input(normal(333, 300)), b.input(normal(300)), b.input(0.37)
    b.returns(b.op(arithmetic.Mul, b.op(arithmetic.Add, x, y), n))
    check(b)


def test_views_and_gathers():
    b = Builder()
    x = b.input(normal(6, 5, 4))
    t = b.op(view.Permute, x, dims=(2, 0, 1))
    b.returns(
        b.op(arithmetic.Mul, t, b.op(math.Exp, t)), b.op(reduce.Sum, t, dim=(1,), keepdim=True)
    )
    check(b, 1e-5)
    c = Builder()
    where, a, other = c.input(RNG.random((4, 5)) < 0.5), c.input(normal(4, 5)), c.input(normal(5))
    c.returns(c.op(select.Where, where, a, other))
    check(c)


def test_equal_kernels_have_one_text_for_all_sizes():
    texts = set()
    for shape in ((3, 5), (40,), (2, 3, 4)):
        program = one(math.Exp, normal(*shape), tolerance=1e-5)
        texts |= {x.text for x in source.launches_of(program.lowering.steps[0].kernel)}
    assert len(texts) == 1


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "?"])
def test_extremes_of_small_types(dtype):
    x = RNG.integers(0, 2 if dtype == "?" else 100, (3, 40)).astype(dtype)
    one(reduce.Amax, x, dim=(1,), keepdim=False)
    one(reduce.Amin, x, dim=(0, 1), keepdim=False)


def test_products_are_rounded_before_they_are_added_where_values_are_compared():
    """NVRTC would join them in one place and not in another, and equal values would differ."""
    texts = []
    for compares in (False, True):
        b = Builder()
        x, y = b.input(normal(40)), b.input(normal(40))
        total = b.op(arithmetic.Add, b.op(arithmetic.Mul, x, y), y)
        b.returns(b.op(compare.Eq, total, x) if compares else total)
        steps = check(b).lowering.steps
        texts.append("".join([x.text for s in steps for x in source.launches_of(s.kernel)]))
    assert ["roundedf(" in text for text in texts] == [False, True]
