"""Loops that Python calls as built-in functions: what they answer, and what they refuse."""

import sys
import threading

import numpy as np
import pytest

import rushlight as rl
from rushlight.compiler import eager
from rushlight.compiler.backends.llvm import direct
from rushlight.compiler.backends.llvm.calls import Along, Flat
from rushlight.core.meta import MetaArray
from rushlight.core.native import kernels, without_kernels
from rushlight.nn.functional.grids import sample
from rushlight.ops import places
from rushlight.ops.activation import Silu, Softplus
from rushlight.ops.arithmetic import Sub
from rushlight.ops.grid import GridSample, sampled
from rushlight.ops.statistics import Std, Var
from rushlight.ops.weighted import Addcmul

LONG = np.dtype(np.int64)
RNG = np.random.default_rng(0)
X, INDEX = np.arange(12).reshape(3, 4), np.array([[2, 0, 1, 2], [0, 0, 2, 1]])


@pytest.fixture(autouse=True)
def loaded(monkeypatch):
    """Few elements are worth a loop."""
    monkeypatch.setattr(kernels, "loaded", True)


def callers(kind):
    """The two ways to run a loop."""
    loop = Along(kind, LONG)
    return [loop.briefly, loop.freely]


def test_built_in_functions_are_made_here():
    assert direct.is_usable()
    assert type(Along("read each", LONG).briefly) is type(len)


@pytest.mark.parametrize("way", [0, 1])
def test_elements_are_read_written_and_added_along_a_dim(way):
    y = np.empty(INDEX.shape, LONG)
    assert callers("read each")[way](X, INDEX, y, 0, 0) is True
    np.testing.assert_array_equal(y, np.take_along_axis(X, INDEX, 0))
    rows = np.empty((3, 2), LONG)
    assert callers("read rows")[way](X, np.array([3, 1]), rows, 1, 0) is True
    np.testing.assert_array_equal(rows, X[:, [3, 1]])
    x = X.copy()
    assert callers("add rows")[way](x, np.array([-1, 2, 0]), X, 0, -3) is True
    np.testing.assert_array_equal(x, X + np.stack([X[2], np.zeros(4, LONG), X[0] + X[1]]))


@pytest.mark.parametrize("way", [0, 1])
def test_nothing_is_moved_where_something_does_not_fit(way):
    each, rows = callers("read each")[way], callers("read rows")[way]
    y = np.full((2, 4), 7)
    refused = [
        (each, X, INDEX + 1, y, 0, 0),  # out of range
        (each, X, INDEX - 1, y, 0, 0),
        (each, X, INDEX.T.copy(), y, 0, 0),  # another shape
        (each, X, INDEX, y, 1, 0),  # another dim
        (each, X, INDEX, y, 2, 0),  # no such dim
        (each, X.T, INDEX, y, 0, 0),  # gaps
        (each, X[:, ::2], INDEX[:, :2].copy(), y[:, :2], 0, 0),
        (each, X.reshape(-1), INDEX, y, 0, 0),  # another number of dims
        (rows, X, INDEX, y, 0, 0),
        (rows, X, np.array([0, 3]), y, 0, 0),
        (rows, X, np.array([0, 1, 2]), y, 0, 0),
        (rows, X, np.empty(0, LONG), np.empty((0, 4), LONG), 0, 0),  # nothing to do
    ]
    for loop, *given in refused:
        assert loop(*given) is False
    assert (y == 7).all()


def test_answers_are_counted_as_references():
    loop, y = Along("read each", LONG).briefly, np.empty(INDEX.shape, LONG)
    before = sys.getrefcount(True), sys.getrefcount(y)
    for _ in range(1000):
        loop(X, INDEX, y, 0, 0)
    after = sys.getrefcount(True), sys.getrefcount(y)
    assert after[1] == before[1] and abs(after[0] - before[0]) < 100


def test_other_threads_run_during_long_loops():
    gate, ran = threading.Lock(), []
    gate.acquire()
    thread = threading.Thread(target=lambda: gate.acquire() and ran.append(True))
    thread.start()
    x, y, index = np.zeros(1 << 16), np.zeros(1 << 16), np.arange(1 << 16)
    briefly, freely = Along("read each", x.dtype).briefly, Along("read each", x.dtype).freely
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)  # seconds: the lock changes hands only where it is given away
    try:
        gate.release()
        assert all([briefly(x, index, y, 0, 0) for _ in range(20)]) and not ran
        while not ran:
            assert freely(x, index, y, 0, 0)
    finally:
        sys.setswitchinterval(interval)
        thread.join()


def test_moves_leave_to_numpy_what_has_no_loop():
    x = np.zeros(3, np.complex128)
    assert not places.moved("add rows", x, np.array([0]), x[:1], 0)
    assert places.read("read rows", x, np.array([0]), (1,), 0) is None


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_grids_read_what_numpy_reads(dtype, mode, padding, corners):
    rng = np.random.default_rng(0)
    options = {"mode": mode, "padding_mode": padding, "align_corners": corners}
    for shape in ((2, 3, 5, 7), (1, 1, 1, 1), (3, 2, 8, 1)):
        x = rng.standard_normal(shape).astype(dtype)
        at = (rng.standard_normal((shape[0], 5, 5, 2)) * 1.5).astype(dtype)  # no whole vectors
        at[0, 0] = [[np.nan, 1], [1e30, -1e30], [np.inf, 0], [-1, 1], [0, 0]]
        at[0, 4, 3:] = [[3e9, -3e9], [-1e12, 0.5]]  # no int32
        found = sampled(x, at, **options)
        with without_kernels():
            expected = GridSample.instance.eager(np, x, at, formula=None, **options)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cubic_grids_read_what_the_formula_reads(dtype, padding, corners, monkeypatch):
    monkeypatch.setattr(kernels, "loaded", False)  # equal calls give equal bits: no waiting
    monkeypatch.setattr(kernels, "entries", {})
    rng = np.random.default_rng(0)
    options = {"mode": "bicubic", "padding_mode": padding, "align_corners": corners}
    for shape in ((2, 3, 5, 7), (3, 2, 8, 2), (1, 2, 30, 31)):
        x = rng.standard_normal(shape).astype(dtype)
        at = (rng.standard_normal((shape[0], 4, 6, 2)) * 1.5).astype(dtype)
        found = sampled(x, at, **options)
        assert found is not None
        expected = sample(rl.from_numpy(x), rl.from_numpy(at), **options).numpy()
        close = 1e-4 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(found, expected, close, close)


@pytest.mark.parametrize("op", [Std, Var])
def test_spreads_are_those_of_numpy(op):
    rng = np.random.default_rng(0)
    for shape, dim in (
        ((40,), None),
        ((7,), (0,)),
        ((5, 9), (1,)),
        ((5, 9), (0,)),
        ((2, 3, 4), (1,)),
    ):
        x = (rng.standard_normal(shape) * 3 + 100).astype(np.float32)
        given = {"dim": dim, "keepdim": False, "correction": 1}
        found = op.instance.eager(np, x, **given)
        with without_kernels():
            expected = op.instance.eager(np, x, **given)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_kernels_of_elementwise_ops_do_not_depend_on_how_they_are_called(monkeypatch):
    x = np.random.default_rng(0).standard_normal(9000).astype(np.float32)
    softplus = {"beta": 2.0, "threshold": 20.0}
    for op, others, params in (
        (Silu, (), {}),
        (Addcmul, (x, x), {"value": 0.5}),
        (Softplus, (), softplus),
    ):
        results = []
        for _ in range(2):
            out = x.copy()
            eager.find(op.instance, (out, *others), params, out)
            results += [eager.find(op.instance, (x, *others), params), out]
            for entry in eager._table.values():
                if entry.__class__ is tuple and isinstance(entry[0], Flat):
                    monkeypatch.setattr(entry[0], "flat", None)  # the second time by ctypes
                    monkeypatch.setattr(entry[0], "write_flat", None)
        monkeypatch.undo()
        for other in results[1:]:
            np.testing.assert_array_equal(other, results[0])


@pytest.mark.parametrize(
    "shapes",
    [
        ((316, 1), (316,)),  # an outer product
        ((316, 316), (316,)),
        ((316, 316), (316, 1)),
        ((2, 5, 40, 40), (5, 1, 1)),  # channels
        ((4, 1, 50, 50), (8, 1, 1)),
        ((80, 1, 1, 129), (3, 3, 1)),
        ((1, 400), (200, 1, 1)),
    ],
)
def test_arrays_that_broadcast_are_gone_through_row_by_row(shapes):
    rng = np.random.default_rng(0)
    eager._rows.clear()
    for d in (np.float32, np.float64):
        x, y = [rng.standard_normal(shape).astype(d) for shape in shapes]
        a, b = rl.from_numpy(x), rl.from_numpy(y)
        for ours, numpys in ((a - b, x - y), (b / a, y / x), (a > b, x > y)):
            assert ours.numpy().dtype == numpys.dtype
            np.testing.assert_array_equal(ours.numpy(), numpys)
        np.testing.assert_allclose(a.logaddexp(b).numpy(), np.logaddexp(x, y), 1e-5, 1e-6)
    assert len(eager._rows) >= 6 and all(eager._rows.values())


@pytest.mark.parametrize(
    "shapes", [((20, 70), (70,)), ((70,), (20, 70)), ((2, 80, 8, 8), (80, 1, 1))]
)
def test_few_differences_that_broadcast_are_computed_by_rows(shapes):
    Sub.instance.rows.clear()
    for d in (np.float32, np.float64):
        x, y = [RNG.standard_normal(shape).astype(d) for shape in shapes]
        a, b = rl.from_numpy(x), rl.from_numpy(y)
        for _ in range(2):
            np.testing.assert_array_equal((a - b).numpy(), x - y)
        gaps = rl.zeros(*shapes[0], 2, dtype=a.dtype)[..., 0].copy_(a)
        np.testing.assert_array_equal((gaps - b).numpy(), x - y)
    assert len(Sub.instance.rows) == 2


def test_short_rows_and_gaps_are_left_to_numpy():
    x = rl.rand(5000, 4)
    eager._rows.clear()
    with without_kernels():
        expected = x - x[0], x.T[:, ::2] * x[:2500, 0]
    for ours, numpys in zip((x - x[0], x.T[:, ::2] * x[:2500, 0]), expected, strict=True):
        np.testing.assert_array_equal(ours.numpy(), numpys.numpy())
    assert not any(eager._rows.values())


@pytest.mark.parametrize("other", [3, [1.0], np.float64(2), MetaArray((3,), "f8")])
def test_what_is_no_array_is_refused(other):
    x, out = np.ones((3, 4), np.float32), np.empty(4, np.float32)
    spread = kernels.runner("variance", x.dtype, 3, x.size)
    n = np.array(3.0)
    for arguments in ((other, out, n), (x, other, n), (x, out, other)):
        with pytest.raises(TypeError):
            spread(*arguments, 3, 4, 1)
    each = callers("read each")[0]
    for arguments in ((other, INDEX, X), (X, other, X), (X, INDEX, other)):
        with pytest.raises(TypeError):
            each(*arguments, 0, 0)


@pytest.mark.parametrize(
    "use",
    [
        lambda x, i: x.gather(0, i),
        lambda x, i: x.scatter(0, i, x),
        lambda x, i: x.scatter_add(0, i, x),
        lambda x, i: x.index_add(0, i[0], x[: i.shape[1]]),
        lambda x, i: x[i],
        lambda x, i: x.index_select(0, i[0]),
        lambda x, i: x.cumsum(0),
        lambda x, i: x.cumprod(1),
        lambda x, i: x.cummax(0).indices,
        lambda x, i: x.var(0),
        lambda x, i: x.std(1),
        lambda x, i: rl.nn.functional.silu(x),
        lambda x, i: rl.nn.functional.grid_sample(
            x[None, None], x[None, :, :2, None].mT, align_corners=False
        ),
    ],
)
def test_tensors_without_memory_are_left_alone(use):
    x, i = rl.rand(4, 4), rl.randint(0, 4, (3, 4))
    want = use(x, i)
    got = use(x.to("meta"), i.to("meta"))
    assert got.device.type == "meta"
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
