"""Sums, scans and other reductions of arrays that are large enough for blocks, against torch."""

import numpy as np
import pytest
import torch

import rushlight
from tests.ops.large import SHAPES, dims_of, numbers, worst


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_sums(shape, dtype):
    """float32 is as exact as torch's, along every dim, in any layout."""
    x = numbers(shape, dtype) + 1
    wide = x.astype("complex128" if "complex" in dtype else "float64")
    for array, exact in ((x, wide), (x.T, wide.T)):
        ours, theirs = rushlight.from_numpy(array), torch.from_numpy(array)
        for dim in dims_of(array.shape):
            for name in ("sum", "mean"):
                got, expected = (getattr(t, name)(dim) for t in (ours, theirs))
                assert tuple(got.shape) == tuple(expected.shape)
                reference = getattr(exact, name)(dim)
                limit = 2 * worst(expected, reference) + 4 * np.finfo(dtype).eps
                assert worst(got, reference) <= limit, (name, dim)


@pytest.mark.parametrize("size", [8192, 100_003, 600_001])
@pytest.mark.parametrize("dtype", ["int64", "int32", "int8", "uint8", "bool", "complex128"])
def test_sums_of_everything(size, dtype):
    x = numbers(size, "float64" if dtype != "complex128" else dtype) * 100
    x = (
        (x > 0 if dtype == "bool" else x)
        .astype(dtype if dtype != "uint8" else "int8")
        .astype(dtype)
    )
    ours, theirs = rushlight.from_numpy(x), torch.from_numpy(x)
    if dtype == "complex128":
        eps = np.finfo(dtype).eps * np.abs(x).sum()
        assert abs(ours.sum().item() - theirs.sum().item()) < eps
        assert abs(ours.mean().item() - theirs.mean().item()) < eps / size
    else:
        assert ours.sum().item() == theirs.sum().item() and ours.sum().dtype == rushlight.int64
        for t in (ours, theirs):
            with pytest.raises(RuntimeError, match="could not infer output dtype"):
                t.mean()


@pytest.mark.parametrize("rows, columns", [(200_000, 10), (20_000, 1), (10, 200_000), (1, 300_000)])
def test_long_sums_of_float32_are_exact(rows, columns):
    """Added up one by one, a column of 200,000 would be off by more than 1e-5."""
    x = np.random.default_rng(0).random((rows, columns), np.float32)
    ours, theirs = rushlight.from_numpy(x), torch.from_numpy(x)
    for dim in (0, 1, (0, 1)):
        exact = x.astype(np.float64).sum(dim)
        assert worst(ours.sum(dim), exact) <= max(2 * worst(theirs.sum(dim), exact), 2e-7)
        assert worst(ours.cumsum(0), x.astype(np.float64).cumsum(0)) <= 3e-7


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_sums_with_infinities(value):
    x = numbers((5000,))
    x[1234] = value
    ours, theirs = rushlight.from_numpy(x), torch.from_numpy(x)
    for function in ("sum", "cumsum", "logcumsumexp", "nansum", "mean"):
        args = (0,) if "cum" in function else ()
        np.testing.assert_allclose(
            getattr(ours, function)(*args).numpy(),
            getattr(theirs, function)(*args).numpy(),
            rtol=1e-4,
        )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_running_sums(shape, dtype):
    x = numbers(shape, dtype)
    for dim in range(len(shape)):
        exact = x.astype(np.longdouble).cumsum(dim)
        for array in (x, np.asfortranarray(x)):
            got, theirs = [fw.from_numpy(array).cumsum(dim) for fw in (rushlight, torch)]
            allowed = max(worst(theirs, exact), 32 * np.finfo(dtype).eps)
            assert worst(got, exact) <= allowed  # in float64 the sums are the same


@pytest.mark.parametrize("name", ["cummax", "cummin"])
def test_running_extremes(name):
    x = np.round(numbers((40, 100)) * 4) / 4  # with ties, and zeros of both signs
    x[3, 5:9] = [0.0, -0.0, 0.0, -0.0]
    spoiled = x.copy()
    spoiled[7, 50] = np.nan
    for array in (x, spoiled, x.astype(np.int64)):
        for dim in (0, 1):
            got = getattr(rushlight.from_numpy(array), name)(dim)
            expected = getattr(torch.from_numpy(array), name)(dim)
            for a, b in zip(got, expected, strict=True):
                np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("spread", [1.0, 300.0])
def test_running_logsumexp_of_float32_is_exact(spread):
    x = numbers((1_000_000,)) * np.float32(spread)
    exact = np.logaddexp.accumulate(x.astype(np.float64))
    assert worst(rushlight.from_numpy(x).logcumsumexp(0), exact) < 1e-7


@pytest.mark.parametrize(
    "shape, out", [((2, 3, 99, 99), 3), ((3, 90, 99), (9, 11)), ((2, 40, 40), (2, 5))]
)
def test_averages_of_large_windows_side_by_side(shape, out):
    x = numbers(shape)
    pool = rushlight.nn.functional.adaptive_avg_pool2d, torch.nn.functional.adaptive_avg_pool2d
    ours, theirs = pool[0](rushlight.from_numpy(x), out), pool[1](torch.from_numpy(x), out)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), 1e-5, 1e-6)


@pytest.mark.parametrize("shape, size", [((4, 8, 18, 18), 2), ((2, 3, 30, 20), (3, 10))])
def test_few_large_windows_are_pooled(shape, size):
    x = numbers(shape)
    x[0, 0, 0, 0] = np.inf
    for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        ours, theirs = [
            getattr(lib.nn.functional, name)(lib.from_numpy(x), size).numpy()
            for lib in (rushlight, torch)
        ]
        np.testing.assert_allclose(ours, theirs, 1e-5, 1e-5)


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin", "all", "any", "logsumexp"])
@pytest.mark.parametrize("keepdim", [False, True])
def test_short_rows_are_reduced_column_by_column(name, keepdim):
    given = numbers((1500, 6))
    given[3, 2], given[5, 5], given[7], given[9] = np.nan, np.inf, 0, -np.inf
    results = []
    for lib in (rushlight, torch):
        x = lib.from_numpy(given)
        inputs = [x, x[:, 1:5], x[:, ::2], x.flatten().unfold(0, 3, 2), x.long(), x.half()]
        inputs += [(x > 0).view(-1, 2)] if name in ("all", "any") else []
        for a in inputs:
            if name == "logsumexp" and not a.is_floating_point():
                continue
            found = getattr(a, name)(-1, keepdim=keepdim)
            found = found if isinstance(found, lib.Tensor) else found.values
            results.append(found.numpy())
    half = len(results) // 2
    for ours, theirs in zip(results[:half], results[half:], strict=True):
        assert ours.dtype == theirs.dtype
        tolerance = 1e-3 if ours.dtype == np.float16 else 1e-6
        np.testing.assert_allclose(ours, theirs, tolerance, tolerance)


@pytest.mark.parametrize("name", ["var", "std", "sum", "mean", "prod"])
@pytest.mark.parametrize(
    "shape", [(2100,), (100, 100), (50, 60, 7), (8191,), (40_000,), (64, 1, 70)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_reductions_around_where_kernels_begin(name, shape, dtype):
    x = 1 + numbers(shape, dtype) / 1000
    ours, theirs = rushlight.tensor(x), torch.tensor(x)
    for dim in (None, 0, -1, tuple(range(len(shape)))):
        if name == "prod" and isinstance(dim, tuple):
            continue
        given = {} if dim is None else {"dim": dim}
        found, expected = getattr(ours, name)(**given), getattr(theirs, name)(**given)
        np.testing.assert_allclose(found.numpy(), expected.numpy(), 1e-3, 1e-6)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize(
    ("shape", "dim"),
    [((30_000,), 0), ((300, 70), 0), ((300, 70), 1), ((30, 40, 13), 1), ((0, 3), 0)],
)
def test_running_integers(dtype, shape, dim):
    x = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    for function in ("cumsum", "cumprod"):
        ours, theirs = [getattr(fw.from_numpy(x), function)(dim) for fw in (rushlight, torch)]
        assert ours.dtype is rushlight.int64
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
