"""Rows in order, natively."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as torch
from rushlight.compiler.primitives import Ranked
from rushlight.ops import order
from tests.compiler.test_native import check as check_function

from .graphs import Builder, check, outputs_of

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
pytestmark = pytest.mark.usefixtures("own_cache")
RNG = np.random.default_rng(0)
DTYPES = [np.float32, np.float64, np.int64, np.int32, np.int16, np.int8, np.uint8, np.bool_]


def rows(d, *shape):
    """Elements of which some are equal, special or the extremes of their dtype."""
    d = np.dtype(d)
    if d.kind == "f":
        x = np.round(RNG.standard_normal(shape) * 4, 1).astype(d)
        special = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40]
    else:
        x = RNG.integers(-9 if d.kind == "i" else 0, 2 if d.kind == "b" else 9, shape).astype(d)
        special = [] if d.kind == "b" else [np.iinfo(d).max, np.iinfo(d).min]
    for value in special:
        x.reshape(-1)[RNG.integers(0, x.size)] = value
    return x


@pytest.mark.parametrize("d", DTYPES)
@pytest.mark.parametrize("n", [1, 7, 16, 128, 129, 500])
def test_rows_in_order(d, n):
    b = Builder()
    x = b.input(rows(d, 5, n))
    made = []
    for descending in (False, True):
        for k in {1, min(n, 40), n // 2 or 1, n}:
            made += b.op(Ranked, x, k=k, descending=descending)
    check(b.returns(*made), 0)


@pytest.mark.parametrize("shape, dim", [((6, 5), 0), ((4, 5, 3), 1), ((2, 70, 3), -2)])
def test_dims_in_order(shape, dim):
    b = Builder()
    dim %= len(shape)
    x, whole = b.input(rows(np.float32, *shape)), b.input(rows(np.int64, *shape))
    made = []
    for v in (x, whole):
        made += b.op(order.Sort, v, dim=dim, descending=True)
        made += b.op(order.Topk, v, k=2, dim=dim, largest=False, in_order=True)
        for keepdim in (False, True):
            made += b.op(order.Kthvalue, v, dim=dim, keepdim=keepdim, k=2)
            for skip_nan in (False, True):
                made += b.op(order.Median, v, dim=dim, keepdim=keepdim, skip_nan=skip_nan)
        made.append(b.op(order.MedianAll, v, skip_nan=False))
        made.append(b.op(order.MedianAll, v, skip_nan=True))
    check(b.returns(*made), 0)


def test_medians_with_and_without_nan():
    x = RNG.standard_normal((4, 6)).astype(np.float32)
    x[1, 2], x[2, [0, 3]], x[3] = np.nan, np.nan, np.nan
    b = Builder()
    v, made = b.input(x), []
    for skip_nan in (False, True):
        made += b.op(order.Median, v, dim=1, keepdim=False, skip_nan=skip_nan)
    check(b.returns(*made), 0)


@pytest.mark.parametrize("d", [d for d in DTYPES if d is not np.bool_])
@pytest.mark.parametrize("shape, dim", [((7,), 0), ((1,), 0), ((4, 5, 3), 1), ((2, 70), 1)])
def test_modes_and_running_extremes(d, shape, dim):
    b = Builder()
    x, made = b.input(rows(d, *shape)), []
    for keepdim in (False, True):
        made += b.op(order.Mode, x, dim=dim, keepdim=keepdim)
    for op in (order.Cummax, order.Cummin):
        made += b.op(op, x, dim=dim)
    check(b.returns(*made), 0)


def test_results_do_not_depend_on_threads():
    b = Builder()
    x = b.input(rows(np.float32, 64, 700))
    program = check(b.returns(*b.op(Ranked, x, k=700, descending=False)), 0)
    found = [outputs_of(b.graph) for _ in range(2)]
    for threads, outputs in zip((1, 4), found, strict=True):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        program.run(b.arrays, outputs)
        torch.set_num_threads(before)
    assert all(x.tobytes() == y.tobytes() for x, y in zip(*found, strict=True))


FUNCTIONS = {
    "sort": lambda x: torch.sort(x, -1)[0],
    "argsort": lambda x: x.gather(1, torch.argsort(x, 1, descending=True)),
    "topk": lambda x: torch.topk(x, 3, 1)[0],
    "kthvalue": lambda x: torch.kthvalue(x, 2, 1)[0],
    "median": lambda x: torch.median(x, 0)[0],
    "median of all": torch.median,
    "quantile": lambda x: torch.quantile(x.float(), 0.3, 1),
    "mixture of experts": lambda x: torch.zeros_like(x).scatter(
        1, torch.topk(x, 2, 1)[1], torch.topk(x, 2, 1)[0].softmax(1)
    ),
    "accuracy of five": lambda x: (torch.topk(x, 5, 1)[1] == 2).any(1).float().mean(),
    "nucleus": lambda x: x.masked_fill(
        x.softmax(1).sort(1, descending=True)[0].cumsum(1) > 0.9, -9.0
    ),
    "cumsum": lambda x: x.cumsum(1),
    "repeated rows": lambda x: x[[0, -1, 0]],
    "index_add": lambda x: x.index_add(0, torch.tensor([0, 0, 1]), x[:3]),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_of_what_is_ordered(name, dtype):
    torch.manual_seed(0)
    rtol = {torch.float16: 4e-3, torch.bfloat16: 4e-2}.get(dtype, 1e-5)
    check_function(FUNCTIONS[name], torch.randn(6, 9).to(dtype), rtol=rtol)


def test_places_in_the_memory_of_a_result_that_is_not_in_rows():
    run = torch.compile(lambda x: (x + 1).as_strided((2, 3), (3, 1), 1) * 2)
    x = torch.arange(24.0).view(1, 4, 2, 3)
    assert [run(x).tolist() for _ in range(3)] == [[[4.0, 6.0, 8.0], [10.0, 12.0, 14.0]]] * 3
    x = x.to(memory_format=torch.channels_last)
    expected = ((x + 1).as_strided((2, 3), (3, 1), 1) * 2).tolist()
    run(x)
    with pytest.warns(UserWarning, match="not stored row by row"):
        assert run(x).tolist() == expected
    assert run(x).tolist() == expected
