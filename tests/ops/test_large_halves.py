"""Halves, few and many, against torch."""

import numpy as np
import pytest
import torch

import rushlight

HALVES = ("float16", "bfloat16")
OTHERS = ("float32", "float64", "int64", "int32", "uint8", "bool", *HALVES)
PAIRS = [(a, b) for a in OTHERS for b in OTHERS if a in HALVES or b in HALVES]


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_conversions_of_halves(a, b):
    values = [0.0, 1.0, 2.5, 1e4, 65519.9, 6e-8, 2049.0, 300.0]
    if b not in ("int64", "int32", "uint8") and a not in ("int64", "int32", "uint8"):
        values += [-2.5, -0.0, float("inf"), 65520.0, 3e38, float("nan")]
    for repeats in (1, 2000):
        x = torch.tensor(values * repeats, dtype=torch.float64).to(getattr(torch, a))
        y = x.to(getattr(torch, b))
        bits = rushlight.from_numpy(x.view(torch.uint8).numpy().copy())
        got = bits.view(getattr(rushlight, a)).to(getattr(rushlight, b))
        assert got.dtype is getattr(rushlight, b)
        np.testing.assert_array_equal(got.double().numpy(), y.double().numpy())


@pytest.mark.parametrize("d", HALVES)
@pytest.mark.parametrize(
    "name",
    [
        "x ** 2",
        "x.clamp(-1, 1)",
        "x.clamp(min=0.3)",
        "x.norm()",
        "x.norm(dim=1)",
        "x.cumsum(1)",
        "x.sum(0)",
        "F.batch_norm(x, m, v)",
    ],
)
def test_functions_of_halves(d, name):
    found, r = [], np.random.default_rng(0)
    numbers = [r.standard_normal(shape).astype("float32") for shape in ((300, 50), (50,), (50,))]
    for fw in (torch, rushlight):
        x, m, v = [fw.from_numpy(a) for a in numbers]
        x, m, v = x.to(getattr(fw, d)), m.abs(), v.abs()
        y = eval(name, {"x": x, "m": m, "v": v, "F": fw.nn.functional})
        assert y.dtype is getattr(fw, d)
        found.append(y.float().numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=0.01, atol=0.06)
