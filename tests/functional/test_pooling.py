"""Pooling of random geometry: values, places, gradients, ties."""

import numpy as np
import pytest


def geometry(r, dilated):
    """A random pooling: input and options."""
    rank = int(r.choice([1, 2, 2, 3]))
    kernel = r.integers(1, 4, rank)
    dilation = r.integers(1, 3, rank) if dilated else np.ones(rank, int)
    space = r.integers(2, 6, rank) + dilation * (kernel - 1)
    options = {
        "stride": tuple(r.integers(1, 4, rank).tolist()),
        "padding": tuple(int(r.integers(0, k // 2 + 1)) for k in kernel),
        "ceil_mode": bool(r.random() < 0.5),
    }
    if dilated:
        options["dilation"] = tuple(dilation.tolist())
    return rank, r.standard_normal((2, 3, *space)), tuple(kernel.tolist()), options


@pytest.mark.parametrize("seed", range(50))
def test_max_pool(same, seed):
    rank, x, kernel, options = geometry(np.random.default_rng(seed), True)
    name = f"max_pool{rank}d"
    same(lambda F, lib, x: getattr(F, name)(x, kernel, **options), x)
    same(lambda F, lib, x: getattr(F, name)(x, kernel, **options, return_indices=True), x, orders=0)


@pytest.mark.parametrize("seed", range(50))
def test_avg_pool(same, seed):
    r = np.random.default_rng(seed)
    rank, x, kernel, options = geometry(r, False)
    options["count_include_pad"] = bool(r.random() < 0.5)
    if rank > 1 and r.random() < 0.3:
        options["divisor_override"] = 5
    name = f"avg_pool{rank}d"
    same(lambda F, lib, x: getattr(F, name)(x, kernel, **options), x)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_adaptive(same, rank, size):
    x = np.random.default_rng(0).standard_normal((2, 3, *(6, 4, 5)[:rank]))
    same(lambda F, lib, x: getattr(F, f"adaptive_avg_pool{rank}d")(x, size), x)
    same(lambda F, lib, x: getattr(F, f"adaptive_max_pool{rank}d")(x, size), x)
    same(lambda F, lib, x: getattr(F, f"adaptive_max_pool{rank}d")(x, size, True), x, orders=0)


def test_a_tie_goes_to_the_first(same):
    x = np.random.default_rng(0).integers(0, 3, (2, 2, 8, 9)).astype(float)
    for kernel, stride in ((2, 2), (3, 2), ((2, 3), 1)):

        def function(F, lib, x, kernel=kernel, stride=stride):
            return F.max_pool2d(x, kernel, stride, return_indices=True)

        same(function, x, orders=1)


def test_unpool_inverts(same):
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 8))

    def function(F, lib, x):
        values, places = F.max_pool2d(x, 2, return_indices=True)
        return F.max_unpool2d(values, places, 2)

    same(function, x)


def test_strided_memory(same):
    x = np.random.default_rng(0).standard_normal((6, 2, 3, 7))
    for name in ("max_pool2d", "avg_pool2d"):
        same(lambda F, lib, x, name=name: getattr(F, name)(x.permute(1, 2, 0, 3), 3, 2), x)


def test_nan_is_the_maximum(same):
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    x[0, 0, 1, 0] = np.nan
    same(lambda F, lib, x: F.max_pool2d(x, 2, return_indices=True), x, orders=0)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_lp_pool(same, p):
    x = np.random.default_rng(0).uniform(0.1, 2, (2, 3, 6, 7))
    same(lambda F, lib, x: F.lp_pool2d(x, p, (2, 3), ceil_mode=True), x)


def test_errors(raises_alike):
    x = np.ones((1, 2, 4, 4))
    raises_alike(lambda F, lib, x: F.max_pool2d(x, 2, padding=2), x)
    raises_alike(lambda F, lib, x: F.max_pool2d(x, 5), x)
    raises_alike(lambda F, lib, x: F.max_pool2d(x[0, 0], 2), x)
    raises_alike(lambda F, lib, x: F.avg_pool2d(x, 2, divisor_override=0), x)
    raises_alike(lambda F, lib, x: F.adaptive_avg_pool2d(x, (1, 2, 3)), x)
    raises_alike(lambda F, lib, x: F.adaptive_avg_pool2d(x[0, 0], (2, 2)), x)
    raises_alike(lambda F, lib, x: F.adaptive_max_pool3d(x[0], (2, 2, 2)), x)
