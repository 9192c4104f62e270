"""Large arrays in order, with equal elements among them, against torch."""

import numpy as np
import pytest
import torch

import rushlight


def pair(*arrays):
    return [rushlight.from_numpy(a) for a in arrays], [torch.from_numpy(a) for a in arrays]


def sortable(kind, shape, seed=0):
    """Numbers with ties; of floats also zeros of both signs, infinities and NaN."""
    r = np.random.default_rng(seed)
    if kind == "few":
        return r.integers(-500, 500, shape)
    if kind == "wide":
        return r.integers(-(2**62), 2**62, shape) | 1
    if kind == "medium":
        return r.integers(-(2**40), 2**40, shape) // 2**30 * 2**30
    if kind in ("int32", "int16", "uint8"):
        return r.integers(0, 120, shape).astype(kind)
    x = np.round(r.standard_normal(shape) * 20).astype(kind)
    flat = x.reshape(-1)
    flat[:6] = [0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan]
    flat[60:64] = [np.nan, -0.0, 0.0, np.inf]
    return x


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    "kind", ["float32", "float64", "few", "wide", "medium", "int32", "int16", "uint8"]
)
def test_stable_sorts(kind, descending):
    for shape in ((300,), (20_000,), (100, 120), (3, 70, 5)):
        x = sortable(kind, shape)
        for dim in range(len(shape)):
            ours, theirs = (
                fw.from_numpy(x).sort(dim, descending, stable=True)
                if fw is rushlight
                else fw.sort(fw.from_numpy(x), dim=dim, descending=descending, stable=True)
                for fw in (rushlight, torch)
            )
            np.testing.assert_array_equal(ours[0].numpy(), theirs[0].numpy())
            np.testing.assert_array_equal(ours[1].numpy(), theirs[1].numpy())


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("kind", ["normal", "float32", "few", "infinite", "wide", "uint8"])
def test_topk(kind, largest):
    r = np.random.default_rng(0)
    for shape in ((20_000,), (50, 400)):
        if kind == "infinite":
            x = np.where(r.random(shape) < 0.999, -np.inf, r.standard_normal(shape))
        else:
            x = r.standard_normal(shape) if kind == "normal" else sortable(kind, shape)
        for k in (1, 3, 40, 300):
            for dim in range(len(shape)):
                if k <= shape[dim]:
                    ours, theirs = pair(x)
                    a = ours[0].topk(k, dim, largest)
                    b = theirs[0].topk(k, dim, largest)
                    for got, expected in zip(a, b, strict=True):
                        np.testing.assert_array_equal(got.numpy(), expected.numpy())


@pytest.mark.parametrize("kind", ["few", "float64", "wide", "uint8"])
def test_ranks(kind):
    x = sortable(kind, (60, 200))
    ours, theirs = pair(x if kind != "float64" else np.nan_to_num(x))
    for name, args in (("mode", (1,)), ("mode", (0,)), ("median", (1,)), ("kthvalue", (7, 1))):
        a, b = getattr(ours[0], name)(*args), getattr(theirs[0], name)(*args)
        np.testing.assert_array_equal(a[0].numpy(), b[0].numpy())
        where = np.expand_dims(a[1].numpy(), args[-1])
        picked = np.take_along_axis(ours[0].numpy(), where, args[-1])
        np.testing.assert_array_equal(picked.squeeze(args[-1]), a[0].numpy())
    for options in ({}, {"dim": 0}):
        a = ours[0].unique(return_inverse=True, return_counts=True, **options)
        b = theirs[0].unique(return_inverse=True, return_counts=True, **options)
        for s, t in zip(a, b, strict=True):
            np.testing.assert_array_equal(s.numpy(), t.numpy())
