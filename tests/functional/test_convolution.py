"""Convolutions of random geometry, and the paths that their kernels choose between."""

import numpy as np
import pytest
import torch

import rushlight


def geometry(r):
    """A random convolution: input, weight, bias and options."""
    rank = int(r.choice([1, 2, 2, 3]))
    groups, inner, outer = (int(r.choice(c)) for c in ([1, 1, 2, 3], [1, 1, 2, 6], [1, 1, 2, 4]))
    kernel, dilation = r.integers(1, 5, rank), r.integers(1, 3, rank)
    stride = r.integers(1, 4, rank) if r.random() < 0.6 else np.ones(rank, int)
    space = r.integers(1, 6, rank) + dilation * (kernel - 1)
    options = {
        "stride": tuple(stride.tolist()),
        "padding": tuple(r.integers(0, 3, rank).tolist()),
        "dilation": tuple(dilation.tolist()),
        "groups": groups,
    }
    x = r.standard_normal((int(r.integers(1, 4)), groups * inner, *space))
    w = r.standard_normal((groups * outer, inner, *kernel))
    return rank, x, w, r.standard_normal(groups * outer), options


@pytest.mark.parametrize("seed", range(60))
def test_random_geometry(same, seed):
    rank, x, w, b, options = geometry(np.random.default_rng(seed))
    name = f"conv{rank}d"
    same(lambda F, lib, x, w, b: getattr(F, name)(x, w, b, **options), x, w, b, rtol=1e-5)


@pytest.mark.parametrize("seed", range(60))
def test_random_geometry_transposed(same, seed):
    r = np.random.default_rng(seed)
    rank, _, w, _, options = geometry(r)
    x = r.standard_normal((2, w.shape[0], *r.integers(1, 5, rank)))
    b = r.standard_normal(w.shape[1] * options["groups"])
    options["padding"] = tuple(min(p, 1) for p in options["padding"])
    limits = np.maximum(options["stride"], options["dilation"])
    extra = tuple(int(r.integers(0, n)) for n in limits)
    sizes = [
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(
            x.shape[2:],
            options["stride"],
            options["padding"],
            options["dilation"],
            w.shape[2:],
            extra,
            strict=True,
        )
    ]
    if min(sizes) < 1:
        return
    name = f"conv_transpose{rank}d"

    def function(F, lib, x, w, b):
        return getattr(F, name)(x, w, b, output_padding=extra, **options)

    same(function, x, w, b, rtol=1e-5)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_named_padding(same, padding, kernel):
    r = np.random.default_rng(0)
    x, w = r.standard_normal((2, 3, 7, 6)), r.standard_normal((4, 3, kernel, 3))
    same(lambda F, lib, x, w: F.conv2d(x, w, padding=padding, dilation=(2, 1)), x, w)


def test_without_batch(same):
    r = np.random.default_rng(0)
    x, w = r.standard_normal((3, 9)), r.standard_normal((4, 3, 3))
    same(lambda F, lib, x, w: F.conv1d(x, w, padding=1), x, w)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_computed_in_float32(dtype):
    r = np.random.default_rng(0)
    x, w = r.standard_normal((2, 8, 9, 9)), r.standard_normal((4, 8, 3, 3))
    results = []
    for lib in (torch, rushlight):
        a, b = (lib.from_numpy(v).to(getattr(lib, dtype)) for v in (x, w))
        results.append(lib.nn.functional.conv2d(a, b).float().numpy())
    np.testing.assert_allclose(*results, rtol=2e-2, atol=2e-2)


def test_a_batch_larger_than_a_chunk(same):
    r = np.random.default_rng(0)
    x = r.standard_normal((70, 6, 14, 14)).astype(np.float32)
    w = r.standard_normal((4, 6, 5, 5)).astype(np.float32)
    same(lambda F, lib, x, w: F.conv2d(x, w, padding=2), x, w, orders=1, rtol=1e-3, atol=2e-2)


def test_strided_memory(same):
    r = np.random.default_rng(0)
    x, w = r.standard_normal((9, 2, 3, 8)), r.standard_normal((3, 4, 3, 3))
    same(lambda F, lib, x, w: F.conv2d(x.permute(1, 2, 0, 3), w.transpose(0, 1)), x, w)


def test_errors(raises_alike):
    x, w = np.ones((1, 2, 4, 4)), np.ones((3, 2, 3, 3))
    raises_alike(lambda F, lib, x, w: F.conv2d(x[:, :1], w), x, w)
    raises_alike(lambda F, lib, x, w: F.conv2d(x[:, :, :2], w), x, w)
    raises_alike(lambda F, lib, x, w: F.conv2d(x, w.float()), x, w)
    raises_alike(lambda F, lib, x, w: F.conv2d(x, w, stride=0), x, w)
    raises_alike(lambda F, lib, x, w: F.conv2d(x, w, padding="same", stride=2), x, w)
    raises_alike(lambda F, lib, x, w: F.conv2d(x, w, lib.ones(2)), x, w)
    raises_alike(lambda F, lib, x, w: F.conv1d(x, w), x, w)


@pytest.mark.parametrize("options", [{}, {"dilation": 2}, {"stride": 2}, {"padding": 1}])
def test_unfold_and_fold_are_transposes(same, options):
    r = np.random.default_rng(0)
    x = r.standard_normal((2, 3, 7, 8))
    same(lambda F, lib, x: F.unfold(x, (2, 3), **options), x)
    columns = rushlight.nn.functional.unfold(rushlight.from_numpy(x), (2, 3), **options)
    g = r.standard_normal(tuple(columns.shape))
    same(lambda F, lib, g: F.fold(g, (7, 8), (2, 3), **options), g)


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d"])
def test_second_derivatives_of_complex_ones(name):
    rl = rushlight
    x = rl.randn(1, 2, 3, 2, dtype=rl.complex128, requires_grad=True)
    w = rl.randn(2, 1, 2, 2, dtype=rl.complex128, requires_grad=True)
    function = getattr(rl.nn.functional, name)
    assert rl.autograd.gradgradcheck(lambda x, w: function(x, w, groups=2), (x, w))
