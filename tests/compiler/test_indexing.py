"""Joins, windows, and reading and writing by index, natively."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.compiler.storages import WriteWindow
from rushlight.ops import (
    arithmetic,
    combining,
    join,
    math,
    order,
    pad,
    reduce,
    scan,
    scatter,
    shaping,
    slices,
    trigonometry,
    view,
)
from rushlight.ops.embedding import Embedding, EmbeddingGrad
from rushlight.ops.index import Index, IndexPut
from rushlight.ops.matmul import Matmul
from rushlight.ops.resample import Gathered, Pick

from .graphs import Builder, check, outputs_of

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
pytestmark = pytest.mark.usefixtures("own_cache")
RNG = np.random.default_rng(0)


def normal(*shape, dtype=np.float32):
    scale = 1 if np.dtype(dtype).kind == "f" else 4
    return np.asarray(RNG.standard_normal(shape) * scale).astype(dtype).reshape(shape)


def whole(n, *shape):
    return RNG.integers(0, n, shape)


DTYPES = [np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_]


@pytest.mark.parametrize("dtype", DTYPES)
def test_parts_of_any_dtype(dtype):
    b = Builder()
    x, y = b.input(normal(3, 5, dtype=dtype)), b.input(normal(3, 2, dtype=dtype))
    b.returns(b.op(join.Cat, x, y, x, dim=1), b.op(join.Stack, x, x, dim=1))
    check(b)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_joined_values_are_made_in_place(dim):
    """What a kernel or product makes is written where it belongs, and read from there."""
    b = Builder()
    x, y = b.input(normal(4, 6, 5)), b.input(normal(5, 5))
    parts = [b.op(math.Exp, x), b.op(Matmul, x, y), b.op(trigonometry.Tanh, x)]
    out = b.op(join.Cat, *parts, dim=dim)
    later = b.op(arithmetic.Add, parts[0], parts[1])
    turned = b.op(view.Transpose, parts[2], dim0=0, dim1=1)
    b.returns(
        b.op(trigonometry.Sin, out), later, b.op(reduce.Sum, turned, dim=(1,), keepdim=False), out
    )
    program = check(b, 1e-4)
    copies = [n for s in program.lowering.steps for n in s.nodes if type(n.op).__name__ == "Settle"]
    assert len(copies) == (0 if dim == 0 else 1)  # a product writes to contiguous memory


def test_joins_within_joins():
    b = Builder()
    x = b.input(normal(3, 4))
    inner = b.op(join.Cat, b.op(math.Exp, x), b.op(trigonometry.Sin, x), dim=1)
    flat = b.op(view.Reshape, inner, shape=(24,))  # a view that needs whole memory
    outer = b.op(join.Stack, b.op(math.Exp, inner), inner, dim=1)
    b.returns(outer, b.op(trigonometry.Cos, flat), inner)
    check(b)


def slot(*index):
    return ((view.BasicIndex.instance, {"index": index}),)


def test_writes_into_windows():
    b = Builder()
    x, y = b.input(normal(4, 6)), b.input(normal(4))
    base = b.op(math.Exp, x)
    first = b.op(WriteWindow, base, b.op(trigonometry.Sin, y), chain=slot(slice(None), 2))
    second = b.op(WriteWindow, first, y, chain=slot(slice(None), 2))
    third = b.op(WriteWindow, x, y, chain=slot(slice(None), slice(4, 5)) + (
        (view.Squeeze.instance, {"dim": (1,)}),))  # fmt: skip
    again = b.op(WriteWindow, third, b.op(arithmetic.Add, y, 1.0), chain=slot(..., 0))
    b.returns(second, again, b.op(trigonometry.Tanh, first), base)
    check(b)


def test_a_window_computed_from_what_it_replaces():
    b = Builder()
    x = b.input(normal(5, 4))
    base = b.op(math.Exp, x)
    row = b.op(view.BasicIndex, base, index=(1,))
    for _ in range(3):
        base = b.op(WriteWindow, base, b.op(arithmetic.Mul, row, 2.0), chain=slot(1))
        row = b.op(view.BasicIndex, base, index=(2,))
    check(b.returns(base))


def test_windows_of_zeros():
    b = Builder()
    g, h = b.input(normal(4)), b.input(normal(3, 2, 4))
    options = {"shape": (4, 6), "overlaps": False}
    b.returns(
        b.op(view.Embed, g, chain=slot(slice(None), 3), **options),
        b.op(view.Embed, h, shape=(2, 4, 3), overlaps=False,
             chain=((view.Permute.instance, {"dims": (2, 0, 1)}),)),
        b.op(pad.ConstantPad, h, pads=((1, 0), (0, 2), (-1, 1)), value=2.5),
    )  # fmt: skip
    check(b)


def test_a_part_of_no_elements():
    """An op writes it, to its place in the whole."""
    b = Builder()
    y = b.op(math.Exp, b.input(normal(4, 1)))
    b.returns(b.op(pad.ConstantPad, y, pads=((0, 0), (-1, 1)), value=2.5))
    check(b, native=False)


def test_rearrangements():
    b = Builder()
    x = b.input(normal(3, 4, 5))
    b.returns(
        b.op(shaping.Flip, x, dims=(0, 2)),
        b.op(shaping.Flip, b.input(normal()), dims=()),
        b.op(shaping.Roll, x, shifts=(2, -1), dims=(2, 1)),
        b.op(shaping.Tril, x, diagonal=1),
        b.op(shaping.Triu, x, diagonal=-1),
        b.op(shaping.Repeat, x, repeats=(2, 1, 3, 2)),
        b.op(shaping.RepeatInterleave, x, repeats=2, dim=1),
        b.op(Pick, x, indices=(np.repeat(np.arange(4), 2), np.array([0, 2, 2, 4]))),
        b.op(Pick, x, indices=(np.repeat(np.arange(4), 2), np.repeat(np.arange(5), 3))),
        b.op(Gathered, b.op(Pick, x, indices=(np.repeat(np.arange(5), 3),)),
             indices=(np.repeat(np.arange(5), 3),), space=(5,)),
    )  # fmt: skip
    check(b)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_])
@pytest.mark.parametrize("width", [1, 3, 40])
def test_reading_by_index(dtype, width):
    b = Builder()
    x = b.input(normal(7, width, dtype=dtype))
    i, j = b.input(whole(7, 3, 5)), b.input(whole(width, 4, width))
    k = b.input(whole(width, 5) - width // 2)
    b.returns(
        b.op(Embedding, x, i, padding_idx=None, by_frequency=False),
        b.op(slices.IndexSelect, x, b.input(whole(7, 9)), dim=0),
        b.op(slices.IndexSelect, x, b.input(whole(width, 9)), dim=1),
        b.op(scatter.Gather, x, j, dim=1),
        b.op(scatter.Take, x, b.input(whole(14 * width, 6) - 7 * width)),
        b.op(Index, x, i, k, pattern=(True, True)),
        b.op(Index, x, k, pattern=(False, True)),
    )
    check(b)


def test_index_tensors_with_dims_between():
    b = Builder()
    x = b.input(normal(4, 5, 6, 7))
    i, j = b.input(whole(4, 3, 1)), b.input(whole(6, 2))
    b.returns(
        b.op(Index, x, i, j, pattern=(True, False, True)),
        b.op(Index, x, i, j, pattern=(False, True, True)),
        b.op(Index, b.op(math.Exp, x), i, pattern=(False, False, True)),
    )
    check(b)


@pytest.mark.parametrize("op, index", [("embedding", 7), ("index", -8), ("select", -1)])
def test_an_index_out_of_range_is_an_error(op, index):
    b = Builder()
    x, i = b.input(normal(7, 3)), b.input(whole(7, 4))
    made = {
        "embedding": lambda: b.op(Embedding, x, i, padding_idx=None, by_frequency=False),
        "index": lambda: b.op(Index, x, i, pattern=(True,)),
        "select": lambda: b.op(slices.IndexSelect, x, i, dim=0),
    }[op]()
    program = check(b.returns(made))
    b.arrays[1] = np.array([0, index, 1, 2])
    with pytest.raises(IndexError):
        program.run(b.arrays, outputs_of(b.graph))


@pytest.mark.parametrize("width", [1, 5, 16, 33, 300])
def test_rows_added_by_index(width):
    b = Builder()
    g, i = b.input(normal(3, 20, width)), b.input(whole(6, 3, 20))
    p = {"rows": 6, "by_frequency": False}
    x = b.input(normal(4, 6, width))
    b.returns(
        b.op(EmbeddingGrad, g, i, padding_idx=None, **p),
        b.op(EmbeddingGrad, g, i, padding_idx=2, **p),
        b.op(slices.IndexAdd, x, b.input(whole(6, 9)), b.input(normal(4, 9, width)), dim=1),
        b.op(slices.IndexCopy, x, b.input(whole(6, 9)), b.input(normal(4, 9, width)), dim=1),
    )
    check(b, 1e-4)


KINDS = ["sum", "prod", "mean", "amax", "amin"]


@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_elements_combined_by_index(dtype, include_self):
    b = Builder()
    x, i = b.input(normal(5, 40, dtype=dtype)), b.input(whole(5, 7, 33))
    source, rows = b.input(normal(8, 40, dtype=dtype)), b.input(whole(5, 8))
    kinds = [k for k in KINDS if k != "mean" or np.dtype(dtype).kind == "f"]
    given = {"dim": 0, "include_self": include_self}
    b.returns(
        *[b.op(combining.ScatterReduce, x, i, source, reduce=k, **given) for k in kinds],
        *[b.op(combining.IndexReduce, x, rows, source, reduce=k, **given) for k in kinds[1:]],
    )
    check(b, 1e-4)


def test_nan_is_the_largest_and_the_smallest_that_meets():
    b = Builder()
    x, source = normal(4, 20), normal(6, 20)
    source[2, 3:], x[1] = np.nan, np.nan
    x, source, i = b.input(x), b.input(source), b.input(whole(4, 6))
    b.returns(
        *[
            b.op(combining.IndexReduce, x, i, source, dim=0, reduce=k, include_self=True)
            for k in ("amax", "amin")
        ]
    )
    check(b)


@pytest.mark.parametrize("dtype", DTYPES)
def test_fills_and_flat_writes(dtype):
    b = Builder()
    x, i = b.input(normal(3, 5, 4, dtype=dtype)), b.input(whole(5, 3) - 2)
    flat, source = b.input(whole(60, 2, 4) - 30), b.input(normal(2, 4, dtype=dtype))
    b.returns(
        b.op(slices.IndexFill, x, i, dim=1, value=True),
        b.op(scatter.Put, x, flat, source, accumulate=False),
    )
    check(b)
    b = Builder()
    x, source = b.input(normal(30)), b.input(normal(4, 20))
    b.returns(b.op(scatter.Put, x, b.input(whole(30, 4, 20)), source, accumulate=True))
    check(b, 1e-4)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_gradients_of_overlapping_windows(dim):
    b = Builder()
    windows = (view.Unfold.instance, {"dim": dim, "size": 4, "step": 2})
    turned = (view.Transpose.instance, {"dim0": 0, "dim1": 3})
    shape = [3, 2, 5]
    shape[dim] = 13
    sizes = [*shape, 4]
    sizes[dim] = 5
    g, other = b.input(normal(*sizes)), b.input(normal(4, *sizes[1:3], sizes[0]))
    b.returns(
        b.op(view.Embed, g, shape=tuple(shape), chain=(windows,), overlaps=True),
        b.op(view.Embed, other, shape=tuple(shape), chain=(windows, turned), overlaps=True),
    )
    check(b)


def test_elements_written_by_index():
    b = Builder()
    x, i = b.input(normal(5, 6)), b.input(whole(5, 3, 4))
    source, k = b.input(normal(4, 6)), b.input(whole(6, 2, 3))
    values, many = b.input(normal(5, 2, 3)), b.input(normal(6))
    b.returns(
        b.op(scatter.ScatterAdd, x, i, source, dim=0),
        b.op(scatter.Scatter, x, i, source, dim=0),
        b.op(scatter.Scatter, x, i, 2.5, dim=1),
        b.op(IndexPut, x, values, k, pattern=(False, True), accumulate=True),
        b.op(IndexPut, x, many, b.input(whole(5, 3) - 5), pattern=(True, False), accumulate=True),
        b.op(IndexPut, x, b.input(normal(3)), b.input(whole(5, 3)), b.input(whole(6, 3)),
             pattern=(True, True), accumulate=False),
        b.op(IndexPut, x, b.input(normal(1, 1, 6)), b.input(whole(5, 2)), pattern=(True, False),
             accumulate=False),
    )  # fmt: skip
    check(b)


@pytest.mark.parametrize("shape, dim", [((7,), 0), ((3, 40), 1), ((40, 3), 0), ((2, 9, 37), 1)])
def test_running_sums_and_products(shape, dim):
    b = Builder()
    x, n = b.input(normal(*shape) / 4), b.input(whole(5, *shape))
    b.returns(
        b.op(scan.Cumsum, x, dim=dim),
        b.op(scan.Cumsum, x, dim=dim, reverse=True),
        b.op(scan.Cumsum, n, dim=dim),
        b.op(scan.Cumprod, x, dim=dim),
        b.op(scan.Logcumsumexp, x, dim=dim),
        b.op(scan.Logcumsumexp, b.input(normal(*shape).astype(np.float64) * 900), dim=dim),
        b.op(scan.Recurrence, x, b.input(np.delete(normal(*shape), 0, dim)), dim=dim),
    )
    check(b)


@pytest.mark.parametrize("shape, dim", [((50_000,), 0), ((9_000, 40), 0), ((3, 9_000, 5), 1)])
def test_long_running_sums_keep_their_digits(shape, dim):
    """Carried in float32, the last of 50,000 would be off by more than 1e-6 of it."""
    x = rl.from_numpy(np.random.default_rng(0).random(shape, np.float32))

    @rl.compile(fullgraph=True)
    def step(x):
        return x.cumsum(dim), (1 + x / 9_000).cumprod(dim)

    for _ in range(3):
        sums, products = step(x)
    exact = x.double().cumsum(dim)
    assert (abs(sums - exact) / exact).max() <= 1e-7
    exact = (1 + x / 9_000).double().cumprod(dim)
    assert (abs(products - exact) / exact).max() <= 1e-7


def test_running_logarithms_of_infinities():
    inf, nan = np.inf, np.nan
    for values in ([-inf, -inf, 1, 2, inf, 3, inf, -inf], [-inf, -1e3, nan, inf], [0, -1e4, 1e4]):
        for shape in ((-1,), (-1, 1), (-1, 1, 1)):
            b = Builder()
            x = b.input(np.float32(values).reshape(shape).repeat(9, -1)[..., :9])
            check(b.returns(b.op(scan.Logcumsumexp, x, dim=0)))


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize("shape, dim", [((7,), 0), ((3, 40), 1), ((40, 3), 0), ((2, 9, 37), 1)])
def test_indices_of_extremes(shape, dim, dtype):
    b = Builder()
    a = np.round(normal(*shape)).astype(dtype)
    if dtype is np.float32:
        a.reshape(-1)[[1, 5]] = np.nan
    x = b.input(a)
    b.returns(
        *b.op(order.MaxDim, x, dim=dim, keepdim=False),
        *b.op(order.MinDim, x, dim=dim, keepdim=True),
        b.op(order.MaxDim, x, dim=dim, keepdim=False)[0],
        b.op(reduce.Argmax, x, dim=dim, keepdim=False),
        b.op(reduce.Argmin, x, dim=None, keepdim=False),
    )
    check(b)


def test_windows_along_a_dim():
    """A view with the name of another op, which takes images apart."""
    b = Builder()
    x = b.input(normal(3, 7))
    check(b.returns(b.op(view.Unfold, x, dim=1, size=3, step=2)))


def test_a_part_that_is_also_there_as_a_view_of_itself():
    b = Builder()
    x = b.input(normal(4, 6))
    y = b.op(math.Exp, x)
    turned = b.op(view.Permute, y, dims=(0, 1))
    check(b.returns(b.op(join.Stack, y, y, turned, dim=2)))


def test_a_write_to_a_window_that_shows_elements_twice():
    b = Builder()
    x, y = b.input(normal(2, 5)), b.input(np.ones((2, 4, 2), np.float32))
    chain = [(view.Unfold.instance, {"dim": 1, "size": 2, "step": 1})]
    check(b.returns(b.op(WriteWindow, x, y, chain=chain)), native=False)


@pytest.mark.parametrize("name", ["index_add", "index_copy"])
def test_slices_are_not_counted_from_the_end(name):
    run = rl.compile(lambda x, i, s: getattr(x, name)(0, i, s))
    x, s = rl.zeros(5, 2), rl.ones(2, 2)
    for _ in range(3):
        assert run(x, rl.tensor([0, 1]), s).sum().item() == 4
    for bad in (-1, 5):
        with pytest.raises((IndexError, RuntimeError), match="out of range"):
            run(x, rl.tensor([0, bad]), s)
