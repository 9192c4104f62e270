"""Native programs against the reference."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.compiler import pipeline, primitives
from rushlight.compiler.loops import Affine, axis_index, flatten, unflatten
from rushlight.compiler.passes.rounding import rounded
from rushlight.ops import (
    activation,
    arithmetic,
    avg_pool,
    compare,
    math,
    reduce,
    rounding,
    select,
    softmax,
    trigonometry,
    view,
)
from rushlight.ops.batch_norm import BatchNorm
from rushlight.ops.class_losses import CrossEntropy, CrossEntropyGrad
from rushlight.ops.conv import Conv, ConvInput, ConvWeight
from rushlight.ops.loss import MseLoss
from rushlight.ops.matmul import Linear, Matmul
from rushlight.ops.norm import LayerNorm

from .graphs import Builder, check, outputs_of

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
pytestmark = pytest.mark.usefixtures("own_cache")
RNG = np.random.default_rng(0)
SPECIAL = np.array(
    [
        0.0,
        -0.0,
        1.0,
        -1.0,
        np.inf,
        -np.inf,
        np.nan,
        1e-40,
        -1e-40,
        88.8,
        -103.9,
        1e30,
        -1e30,
        0.5,
        3e38,
        1e-7,
        2.0,
    ]
)


def normal(*shape, dtype=np.float32):
    return np.asarray(RNG.standard_normal(shape)).astype(dtype).reshape(shape)


UNARY = [
    math.Exp,
    math.Log,
    math.Log1p,
    math.Expm1,
    math.Exp2,
    math.Sqrt,
    math.Rsqrt,
    trigonometry.Sin,
    trigonometry.Tanh,
    math.Sigmoid,
    math.Square,
    math.Reciprocal,
    arithmetic.Neg,
    select.Abs,
    select.Sign,
    rounding.Floor,
    rounding.Trunc,
    activation.Relu,
    activation.Gelu,
    activation.GeluTanh,
    activation.Silu,
    activation.Mish,
    activation.Hardswish,
    compare.Isnan,
    compare.Isinf,
    compare.Isfinite,
    primitives.Rounded,
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounded_products_are_not_fused_with_sums(dtype):
    b = Builder()
    x, y, z = [b.input(RNG.standard_normal(1000).astype(dtype)) for _ in range(3)]
    b.returns(b.op(arithmetic.Add, b.op(arithmetic.Mul, x, y), z))
    found = outputs_of(b.graph)
    pipeline.build(rounded(b.graph)).run(b.arrays, found)
    assert found[0].tobytes() == (b.arrays[0] * b.arrays[1] + b.arrays[2]).tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_of_one_element(dtype):
    """All in one graph, at random points and at every special one."""
    b = Builder()
    x = b.input(np.concatenate((SPECIAL, RNG.standard_normal(83) * 4)).astype(dtype))
    b.returns(*[b.op(op, x) for op in UNARY])
    check(b, 4e-6 if dtype is np.float32 else 1e-12)


@pytest.mark.parametrize(
    "shapes",
    [
        ((4, 33), (4, 33)),
        ((4, 33), (33,)),
        ((4, 1), (1, 9)),
        ((), (3,)),
        ((2, 3, 5), (3, 1)),
        ((0, 3), (3,)),
        ((1, 1), (1,)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_functions_of_two(shapes, dtype):
    b = Builder()
    x, y = [b.input((normal(*s) * 3).astype(dtype)) for s in shapes]
    ops = [
        arithmetic.Add,
        arithmetic.Sub,
        arithmetic.Mul,
        compare.Maximum,
        compare.Minimum,
        compare.Lt,
        compare.Eq,
        compare.Ge,
    ]
    if dtype is np.float32:
        ops += [arithmetic.Div, trigonometry.Atan2]
    b.returns(*[b.op(op, x, y) for op in ops])
    check(b, native=0 not in shapes[0])


@pytest.mark.parametrize(
    "shape", [(4, 33), (65, 3), (1, 7), (2, 3, 70), (3,), (5, 4, 3, 2), (2, 2, 300), (0, 3), (3, 1)]
)
def test_reductions(shape):
    b = Builder()
    x = b.input(normal(*shape))
    dims = [(0,), (len(shape) - 1,), tuple(range(len(shape)))]
    results = []
    for dim in dims:
        for keepdim in (False, True):
            results.append(b.op(reduce.Sum, x, dim=dim, keepdim=keepdim))
            if 0 not in shape:
                results += [
                    b.op(op, x, dim=dim, keepdim=keepdim)
                    for op in (reduce.Amax, reduce.Amin, reduce.Mean, reduce.AnyTrue)
                ]
    b.returns(*results)
    check(b, 2e-5, native=0 not in shape)


@pytest.mark.parametrize(
    "shape, dim",
    [
        ((4, 10), 1),
        ((256, 10), 1),
        ((3, 300), 1),
        ((5, 1), 1),
        ((2, 7, 33), 1),
        ((6,), 0),
        ((40, 3), 0),
    ],
)
def test_softmax_and_its_gradients(shape, dim):
    b = Builder()
    x, g = b.input(normal(*shape)), b.input(normal(*shape))
    y, z = b.op(softmax.Softmax, x, dim=dim), b.op(softmax.LogSoftmax, x, dim=dim)
    b.returns(
        y, z, b.op(softmax.SoftmaxGrad, g, y, dim=dim), b.op(softmax.LogSoftmaxGrad, g, z, dim=dim)
    )
    check(b)


@pytest.mark.parametrize("n, classes", [(4, 10), (256, 10), (3, 200), (1, 5)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy(n, classes, reduction):
    b = Builder()
    x = b.input(normal(n, classes))
    t = b.input(np.where(np.arange(n) % 3 == 2, -100, RNG.integers(0, classes, n)))
    g = b.input(normal(n) if reduction == "none" else np.float32(1.3).reshape(()))
    logp = b.op(softmax.LogSoftmax, x, dim=1)
    options = {"reduction": reduction, "ignore_index": -100}
    b.returns(
        b.op(CrossEntropy, logp, x, t, None, **options),
        b.op(CrossEntropyGrad, g, logp, t, None, **options),
    )
    program = check(b)
    b.arrays[1] = np.full(n, classes)
    with pytest.raises(IndexError, match="out of bounds"):
        program.run(b.arrays, outputs_of(b.graph))


def test_norms():
    b = Builder()
    x, w = b.input(normal(2, 3, 40)), b.input(normal(40))
    y, c = b.input(normal(4, 3, 5, 5)), b.input(normal(3))
    b.returns(
        b.op(LayerNorm, x, w, w, rank=1, eps=1e-5, center=True)[0],
        b.op(LayerNorm, x, None, None, rank=2, eps=1e-5, center=False)[0],
        b.op(BatchNorm, y, c, c, eps=1e-5)[0],
    )
    check(b)


@pytest.mark.parametrize(
    "a, c",
    [
        ((3, 4), (4, 5)),
        ((40, 50), (50, 60)),
        ((2, 3, 30, 40), (3, 40, 20)),
        ((1, 20), (20, 300)),
        ((50, 40), (40, 1)),
    ],
)
@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
def test_products(a, c, turned):
    b = Builder()
    operands = []
    for shape, turn in zip((a, c), turned, strict=True):
        x = b.input(normal(*shape[:-2], *(shape[-2:][::-1] if turn else shape[-2:])))
        n = len(shape)
        operands.append(b.op(view.Transpose, x, dim0=n - 1, dim1=n - 2) if turn else x)
    check(b.returns(b.op(Matmul, *operands)), 2e-5)


CONVOLUTIONS = [
    (2, 3, 8, 8, 3, 1, 1, 1, 1),
    (4, 1, 12, 6, 5, 1, 2, 1, 1),
    (2, 16, 9, 20, 3, 2, 1, 1, 1),
    (2, 16, 8, 32, 1, 2, 0, 1, 1),
    (3, 8, 13, 8, 3, 1, 2, 2, 2),
    (2, 48, 4, 70, 3, 1, 1, 1, 1),
    (1, 4, 20, 16, 7, 2, 3, 1, 1),
]


@pytest.mark.parametrize("n, inner, size, outer, k, stride, pad, dilation, groups", CONVOLUTIONS)
def test_convolutions(n, inner, size, outer, k, stride, pad, dilation, groups):
    out = (size + 2 * pad - dilation * (k - 1) - 1) // stride + 1
    options = {
        "stride": (stride,) * 2,
        "padding": ((pad, pad),) * 2,
        "dilation": (dilation,) * 2,
        "groups": groups,
    }
    b = Builder()
    x, w, g = (
        b.input(normal(n, inner, size, size)),
        b.input(normal(outer, inner // groups, k, k)),
        b.input(normal(n, outer, out, out)),
    )
    b.returns(
        b.op(Conv, x, w, b.input(normal(outer)), **options),
        b.op(ConvInput, g, w, None, space=(size, size), **options),
        b.op(ConvWeight, x, g, kernel=(k, k), **options),
    )
    check(b, 3e-4, native=inner // groups >= 4)


def test_average_pooling():
    options = {
        "out": (4, 4),
        "kernel": (2, 2),
        "stride": (2, 2),
        "padding": ((0, 0), (0, 0)),
        "include_pad": True,
        "divisor": None,
        "after": (0, 0),
    }
    b = Builder()
    x, g = b.input(normal(3, 4, 8, 8)), b.input(normal(3, 4, 4, 4))
    check(
        b.returns(
            b.op(avg_pool.AvgPool, x, **options),
            b.op(avg_pool.AvgPoolSpread, g, space=(8, 8), **options),
        )
    )


def test_views_are_read_in_place():
    b = Builder()
    x = b.input(normal(6, 8))
    y = b.op(math.Exp, x)
    turned = b.op(view.T, y)
    part = b.op(view.BasicIndex, turned, index=(slice(1, 7, 2), slice(None)))
    wide = b.op(
        view.Expand, b.op(view.BasicIndex, x, index=(slice(0, 3), slice(0, 1))), shape=(3, 6)
    )
    flat = b.op(view.Reshape, x, shape=(48,))
    check(
        b.returns(
            b.op(arithmetic.Add, part, wide),
            b.op(reduce.Sum, flat, dim=None, keepdim=False),
            turned,
            x,
            x,
        )
    )


def test_updates_are_written_over_their_inputs():
    b = Builder()
    p, m, lr = b.input(normal(20, 30), "state"), b.input(normal(20, 30), "state"), b.input(0.1)
    total = b.op(reduce.Sum, p, dim=(0,), keepdim=False)
    new_p = b.op(arithmetic.Sub, p, b.op(arithmetic.Mul, m, lr))
    new_m = b.op(arithmetic.Mul, m, 0.9)
    b.returns(total)
    b.graph.updates = [(b.graph.inputs[0], new_p), (b.graph.inputs[1], new_m)]
    program = check(b)
    old_p, old_m = b.arrays[0].copy(), b.arrays[1].copy()
    out = np.empty(30, np.float32)
    program.run(b.arrays, [out, b.arrays[0], b.arrays[1]])
    np.testing.assert_allclose(out, old_p.sum(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(b.arrays[0], old_p - old_m * np.float32(0.1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(b.arrays[1], old_m * np.float32(0.9), rtol=1e-6)
    b.arrays[2] = 0.0  # another learning rate
    before = b.arrays[0].copy()
    program.run(b.arrays, [out, b.arrays[0], b.arrays[1]])
    assert (b.arrays[0] == before).all()


def test_two_states_may_be_exchanged():
    b = Builder()
    x, y = b.input(normal(50), "state"), b.input(normal(50), "state")
    b.graph.updates = [(b.graph.inputs[0], y), (b.graph.inputs[1], x)]
    program = check(b)
    old = [a.copy() for a in b.arrays]
    program.run(b.arrays, list(b.arrays))
    assert (b.arrays[0] == old[1]).all() and (b.arrays[1] == old[0]).all()


def test_an_update_that_mixes_elements_reads_all_old_values():
    b = Builder()
    x = b.input(normal(5, 5), "state")
    b.graph.updates = [(b.graph.inputs[0], b.op(arithmetic.Add, x, b.op(view.T, x)))]
    program = check(b)
    old = b.arrays[0].copy()
    program.run(b.arrays, [b.arrays[0]])
    np.testing.assert_allclose(b.arrays[0], old + old.T)


def test_inputs_of_any_strides():
    b = Builder()
    x = b.input(normal(4, 6))
    program = check(b.returns(b.op(math.Exp, x)))
    for a in (normal(6, 4).T, normal(8, 6)[::2], np.broadcast_to(normal(6), (4, 6))):
        out = outputs_of(b.graph)
        program.run([a], out)
        np.testing.assert_allclose(out[0], np.exp(a), rtol=1e-5)


def test_a_step_of_linear_regression():
    b = Builder()
    x, y = b.input(normal(10, 2)), b.input(normal(10, 1))
    w, c, lr = b.input(normal(1, 2), "state"), b.input(normal(1), "state"), b.input(0.05)
    out = b.op(Linear, x, w, c)
    loss = b.op(MseLoss, out, y, reduction="mean")
    g = b.op(arithmetic.Mul, b.op(arithmetic.Sub, out, y), 0.2)
    gw = b.op(Matmul, b.op(view.T, g), x)
    gc = b.op(reduce.Sum, g, dim=(0,), keepdim=False)
    b.returns(loss)
    b.graph.updates = [
        (b.graph.inputs[2], b.op(arithmetic.Sub, w, b.op(arithmetic.Mul, gw, lr))),
        (b.graph.inputs[3], b.op(arithmetic.Sub, c, b.op(arithmetic.Mul, gc, lr))),
    ]
    assert check(b).native_only


def test_cached_code_is_found_and_broken_files_are_ignored(tmp_path, monkeypatch):
    from rushlight.compiler.backends.llvm import recall

    monkeypatch.setenv("RUSHLIGHT_CACHE_DIR", str(tmp_path))
    recall.forget()
    b = Builder()
    b.returns(b.op(math.Exp, b.input(normal(37))))
    check(b)
    (file,) = (tmp_path / "objects").iterdir()
    whole = file.read_bytes()
    recall.forget()
    check(b)
    file.write_bytes(whole[:100])
    recall.forget()
    check(b)
    assert file.read_bytes() == whole


def test_equal_kernels_are_compiled_once():
    b = Builder()
    x = b.input(normal(8, 37))
    halves = [b.op(view.BasicIndex, x, index=(slice(i, i + 4),)) for i in (0, 4)]
    program = check(b.returns(*[b.op(math.Exp, h) for h in halves]))
    assert len(program.launches) == 2
    assert len({launch.ir for _, launch in program.launches}) == 1


def test_avx2_code(monkeypatch):
    """Vectors of eight, in the same process."""
    from rushlight.compiler.backends.llvm import jit

    if jit.vector_bits() < 256:
        pytest.skip("this CPU has no AVX2")
    monkeypatch.setattr(jit, "vector_bits", lambda: 256)
    b = Builder()
    x = b.input(normal(5, 37))
    y = b.op(softmax.Softmax, x, dim=1)
    img, w = b.input(normal(2, 3, 9, 9)), b.input(normal(10, 3, 3, 3))
    conv = b.op(
        Conv, img, w, None, stride=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1), groups=1
    )
    check(b.returns(y, b.op(reduce.Sum, y, dim=(0,), keepdim=False), conv), 1e-4)


def test_positions_are_taken_apart_where_that_is_affine():
    sizes = {0: 4, 1: 6}
    flat = flatten((axis_index(0), axis_index(1)), (4, 6))
    assert unflatten(flat, (4, 6), sizes) == (axis_index(0), axis_index(1))
    assert unflatten(flat, (4, 2, 3), sizes) is None
    assert unflatten(flat, (24,), sizes) == (flat,)
    assert unflatten(Affine(6, ((1, 1),)), (4, 6), sizes) == (Affine(1), axis_index(1))


def test_what_all_rows_share_is_loaded_before_the_loops():
    """Few rows, in the lanes of one vector; weights are first read within the loop over columns."""
    b = Builder()
    x, w = b.input(normal(16, 8)), b.input(normal(8))
    y = b.op(BatchNorm, x, w, w, eps=1e-5)[0]
    check(b.returns(b.op(activation.Gelu, y)))


def test_the_cache_is_bounded(tmp_path, monkeypatch):
    """What was not read for longest is removed."""
    import os

    from rushlight.compiler import disk

    for k in range(6):
        path = tmp_path / f"{k}"
        path.write_bytes(bytes(100))
        os.utime(path, (k, k))
    monkeypatch.setattr(disk, "LARGEST", 350)
    disk.prune(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["3", "4", "5"]
