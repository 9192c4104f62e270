"""Loops for eager code that serve arrays of any size, against NumPy's results."""

import numpy as np
import pytest

import rushlight as rl
from rushlight.core.native import LEAST, without_kernels
from tests.compiler.operands import FLOATS, N, values

# Loops whose steps depend on each other


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("shape", [(N,), (100, 101), (3, 4001), (4001, 3), (20, 21, 22)])
@pytest.mark.parametrize("name", ["cumsum", "cumprod", "logcumsumexp", "cummax", "cummin"])
def test_running_values(name, shape, dtype):
    x = rl.from_numpy(np.random.default_rng(0).standard_normal(shape)).to(getattr(rl, dtype))
    if name in ("cummax", "cummin"):
        x.view(-1)[:200] = x.view(-1)[:200].round()  # equal ones
        x.view(-1)[[3, 4, N // 2]] = rl.nan
    else:
        x = 1 + x * 0.01
    for dim in range(x.ndim):
        for y in (x, x.flip(0), x.transpose(0, -1)):
            with without_kernels():
                expected = getattr(y, name)(dim)
            out = getattr(y, name)(dim)
            if name in ("cummax", "cummin"):
                assert rl.equal(out.indices, expected.indices)
                assert rl.equal(out.values.nan_to_num(), expected.values.nan_to_num())
            else:
                close = {"float32": 1e-5, "float64": 1e-13, "bfloat16": 1e-2}[dtype]
                assert rl.allclose(out, expected, rtol=close, atol=0)


DRAWS = (
    "rl.randn(n)", "rl.empty(n).normal_(3, 2)", "rl.randn(n, dtype=rl.bfloat16)",
    "rl.randperm(n)", "rl.randperm(n, dtype=rl.int32)", "rl.randint(-5, 1000, (n,))",
)  # fmt: skip


@pytest.mark.parametrize("n", [LEAST, 20000, 19968, 2 * 19968 + 16, 100007])
@pytest.mark.parametrize("code", DRAWS)
def test_draws(code, n):
    """To the bit, and the engine goes on at the same place."""

    def drawn():
        rl.manual_seed(n)
        return [eval(code, {"rl": rl, "n": n}) for _ in range(2)] + [rl.randn(5)]

    with without_kernels():
        expected = drawn()
    for a, b in zip(drawn(), expected, strict=True):
        assert rl.equal(a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("bins", [1, 3, 7, (5, 1), (None, 2)])
def test_maxima_of_bins(bins, dtype):
    x = rl.randn(2, 3, 40, 50).mul(2).round().to(getattr(rl, dtype))
    x[0, 0, 3, 4] = x[0, 0, 30, 4] = rl.nan
    for y in (x, x.mT):
        with without_kernels():
            expected = rl.nn.functional.adaptive_max_pool2d(y, bins, return_indices=True)
        out = rl.nn.functional.adaptive_max_pool2d(y, bins, return_indices=True)
        assert rl.equal(out[0].nan_to_num(), expected[0].nan_to_num())
        assert rl.equal(out[1], expected[1])
    vector, planes = x.flatten(2), x.reshape(2, 3, 8, 10, 25)
    for pool, y in (("adaptive_max_pool1d", vector), ("adaptive_max_pool3d", planes)):
        pool = getattr(rl.nn.functional, pool)
        with without_kernels():
            expected = pool(y, 3, return_indices=True)[1]
        assert rl.equal(pool(y, 3, return_indices=True)[1], expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [0, 1, 2, 3, float("inf")])
@pytest.mark.parametrize("shape", [(120, 5), (33, 40), (2, 5000), (3000, 1)])
def test_distances_of_pairs(shape, p, dtype):
    x = rl.randn(shape, dtype=getattr(rl, dtype))
    with without_kernels():
        expected = rl.nn.functional.pdist(x[:400], p)
    close = {"float32": 1e-5, "float64": 1e-12}[dtype]
    assert rl.allclose(rl.nn.functional.pdist(x[:400], p), expected, rtol=close, atol=close)


MOVES = (
    "x.gather(d, each)", "x.gather(d, each.flip(0))", "x.index_select(d, some)",
    "x.index_select(d, some.sort().values)", "x.scatter(d, order, y)", "x.scatter_add(d, each, y)",
    "x.index_add(d, some, y)", "x.scatter(d, order, 1)", "x.masked_fill(y > 0, 2)", "x.flip(d)",
    "x.flip(*range(x.ndim))", "x.flip(*{0, x.ndim - 1})", "x.transpose(0, -1).flip(d)",
)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "float16", "complex64"])
@pytest.mark.parametrize("shape", [(N,), (100, 101), (3, 4001), (4001, 3), (20, 21, 22)])
@pytest.mark.parametrize("code", MOVES)
def test_moves(code, shape, dtype):
    """Reads and writes by index, to the bit; sums of integers too."""
    r = np.random.default_rng(0)
    x, y = [rl.from_numpy(r.standard_normal(shape) * 20).to(getattr(rl, dtype)) for _ in "xy"]
    if dtype == "complex64" and "mask" in code:
        return
    for d, n in enumerate(shape):
        scope = {
            "x": x,
            "y": y,
            "d": d,
            "each": rl.from_numpy(r.integers(0, n, shape)),
            "some": rl.from_numpy(r.integers(0, n, n)),
            "order": rl.from_numpy(np.argsort(r.random(shape), d)),
        }
        with without_kernels():
            expected = eval(code, dict(scope))
        out = eval(code, dict(scope))
        if "add" in code and dtype not in ("int64", "uint8"):
            assert rl.allclose(out, expected, rtol=1e-2 if dtype == "float16" else 1e-4, atol=1e-3)
        else:
            assert rl.equal(out, expected)


ELIMINATIONS = (
    "L.solve(a, b)", "L.det(a)", "L.slogdet(a).sign", "L.slogdet(a).logabsdet",
    "L.lu_factor(a).LU", "L.lu_factor(a).pivots", "L.cholesky(a @ a.mT)",
    "L.solve_triangular(a, b, upper=True)", "L.solve_triangular(a, b, upper=False)",
    "L.solve_triangular(a.mT, b, upper=True, unitriangular=True)",
    "L.solve_triangular(a, b, upper=False, unitriangular=True)",
)  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "batch, n, r", [((N,), 1, 2), ((2, 900), 3, 1), ((90,), 17, 33), ((3,), 64, 64)]
)
@pytest.mark.parametrize("code", ELIMINATIONS)
def test_elimination(code, batch, n, r, dtype):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((*batch, n, n)) / n + np.eye(n)[::-1] * 3
    if "triangular" in code:
        a = a[..., ::-1]
    b = rng.standard_normal((*batch, n, r))
    scope = {
        "L": rl.linalg,
        "a": rl.tensor(a.astype(dtype)),
        "b": rl.tensor(b.astype(dtype)),
    }
    with without_kernels():
        expected = eval(code, scope)
    out = eval(code, scope)
    close = {"float32": 1e-4, "float64": 1e-11}[dtype]
    assert out.dtype is expected.dtype
    assert rl.allclose(out.double(), expected.double(), rtol=close, atol=close)


@pytest.mark.parametrize("dtype", FLOATS)
def test_what_has_no_cholesky_factor(dtype):
    a = rl.eye(3, dtype=getattr(rl, dtype)).repeat(4, 1, 1)
    a[:, 0, 2] = rl.nan  # above the diagonal, where nothing is read
    assert rl.equal(rl.linalg.cholesky(a), rl.eye(3, dtype=a.dtype).expand_as(a))
    for where, value in (((2, 1, 1), 0.0), ((2, 1, 1), -1.0), ((2, 1, 0), rl.nan)):
        bad = a.clone()
        bad[where] = value
        with pytest.raises(RuntimeError, match="leading minor of order 2"):
            rl.linalg.cholesky(bad)
        assert rl.linalg.cholesky_ex(bad).info.tolist() == [0, 0, 2, 0]


def test_singular_matrices():
    a = rl.zeros(1000, 4, 4)
    with pytest.raises(RuntimeError, match="singular"):
        rl.linalg.solve(a, a)
    assert rl.equal(rl.linalg.lu_factor_ex(a).LU, a)
    assert rl.equal(rl.linalg.det(a), rl.zeros(1000))
    assert rl.equal(rl.linalg.slogdet(a).logabsdet, rl.full((1000,), -rl.inf))


def unordered(kind, shape):
    """Elements of some kind, with equal ones among them."""
    r = np.random.default_rng(0)
    if kind == "wide":
        return r.integers(-(2**63), 2**63 - 1, shape)
    if kind == "narrow":
        return r.integers(-70000, 70000, shape)
    if kind == "int32":
        return r.integers(-(2**31), 2**31 - 1, shape).astype(np.int32)
    x = values(shape, kind)
    x[..., ::3] = np.round(x[..., ::3])
    return x


@pytest.mark.parametrize("kind", ["wide", "narrow", "int32", "float32", "float64"])
def test_orders(kind):
    """Sorts of long rows are stable; unique elements are the same."""
    codes = ["x.argsort(0, stable=True)", "x.argsort(0, descending=True, stable=True)"]
    codes += [f"x.unique(return_inverse=True, return_counts=True)[{k}]" for k in range(3)]
    for shape in ((N,), (N, 2)):
        x = rl.from_numpy(unordered(kind, shape))
        for code in [*codes, "x.unique()", "x.sort(0, stable=True).values"]:
            with without_kernels():
                expected = eval(code, {"x": x})
            out = eval(code, {"x": x})
            assert out.dtype is expected.dtype
            assert np.array_equal(out.numpy(), expected.numpy(), equal_nan=out.is_floating_point())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("length", "size"), [(700, 1431), (1500, 900), (257, 2048)])
@pytest.mark.parametrize("mode", ["linear", "bicubic"])
def test_interpolation_of_rows(mode, length, size, dtype):
    """The kernel has the bits of NumPy's way."""
    x = rl.randn(8, 4, length, dtype=getattr(rl, dtype))
    if mode == "bicubic":
        x, size = x[:, None], (4, size)
    with without_kernels():
        expected = rl.nn.functional.interpolate(x, size, mode=mode)
    out = rl.nn.functional.interpolate(x, size, mode=mode)
    assert rl.equal(out, expected)


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_bags_of_rows(mode):
    table, bags = rl.randn(300, 37), rl.randint(0, 300, (1000, 7))
    with without_kernels():
        expected = rl.nn.functional.embedding_bag(bags, table, mode=mode)
    assert rl.equal(rl.nn.functional.embedding_bag(bags, table, mode=mode), expected)


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "int64", "int32", "int16", "int8", "uint8"]
)
def test_runs(dtype):
    x = rl.randint(0, 3, (LEAST,)).to(getattr(rl, dtype))
    if x.is_floating_point():
        x[x == 1] = rl.nan
        x[::3] = -0.0  # equals 0.0; the first of a run is kept
    for y in (x, x[::2], x.view(64, -1), x[:1]):
        with without_kernels():
            expected = rl.unique_consecutive(y, return_counts=True)
        out = rl.unique_consecutive(y, return_counts=True)
        assert rl.equal(out[1], expected[1])
        assert out[0].numpy().tobytes() == expected[0].numpy().tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("to", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("n", [LEAST - 1, LEAST, (1 << 19) - 1, 1 << 19])
def test_exchanged_floats(n, to, dtype):
    """By a loop, by a kernel for several threads, and by NumPy."""
    x = (rl.randn(n) * 1e3).to(getattr(rl, dtype))
    x[:3] = rl.tensor([rl.nan, rl.inf, 1e-7])
    with without_kernels():
        expected = x.to(getattr(rl, to))
    assert rl.equal(x.to(getattr(rl, to))[1:], expected[1:])


@pytest.mark.parametrize("n", [100, LEAST, 3 * LEAST])
def test_cubes(n):
    x = rl.randn(n, 2)
    for y in (x, x.mT, x.to(rl.float64)):
        with without_kernels():
            expected = y.pow(3)
        assert rl.equal(y.pow(3), expected)
