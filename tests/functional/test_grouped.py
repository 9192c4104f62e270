"""Products of groups: torch's results, gradients and refusals."""

import numpy as np
import pytest
import torch

import rushlight

SHAPES = {  # mat_a, mat_b, ends of groups
    "rows": ((6, 8), (2, 8, 16), [2, 6]),
    "an empty group": ((6, 8), (3, 8, 16), [0, 4, 6]),
    "columns": ((2, 5, 8), (8, 16), [8, 16]),
    "sums": ((8, 16), (16, 8), [8, 16]),
    "batches": ((2, 3, 8), (2, 8, 16), None),
}


def called(lib, shapes, dtype, **options):
    r = np.random.default_rng(0)
    a, b = (
        lib.from_numpy(r.standard_normal(s).astype(np.float32))
        .to(getattr(lib, dtype))
        .requires_grad_()
        for s in shapes[:2]
    )
    ends = None if shapes[2] is None else lib.tensor(shapes[2], dtype=lib.int32)
    return a, b, lib.nn.functional.grouped_mm(a, b, offs=ends, **options)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", SHAPES)
def test_values_and_gradients(name, dtype):
    found = []
    for lib in (torch, rushlight):
        a, b, out = called(lib, SHAPES[name], dtype)
        out.float().square().sum().backward()
        found.append([x.detach().float().numpy() for x in (out, a.grad, b.grad)])
        assert type(out.grad_fn).__name__ == "GroupedMmBackward0"
        assert str(out.dtype).endswith(dtype)
    for want, got in zip(*found, strict=True):
        scale = 1e-5 if dtype == "float32" else 2e-2
        np.testing.assert_allclose(got, want, scale, scale * abs(want).max())


def test_what_lies_behind_the_last_group_is_zero():
    out = called(rushlight, ((6, 8), (2, 8, 16), [2, 4]), "float32")[2]
    assert out.shape == (6, 16) and not out[4:].any() and out[:4].all()
    out = called(rushlight, ((2, 3, 8), (8, 16), [2, 4]), "float32")[2]
    assert out.shape == (3, 16) and not out[:, 4:].any()


def test_the_older_name():
    a, b, out = called(rushlight, SHAPES["rows"], "float32")
    ends = rushlight.tensor([2, 6], dtype=rushlight.int32)
    assert rushlight.equal(rushlight._grouped_mm(a, b, ends), out)


@pytest.mark.parametrize(
    ("shapes", "options"),
    [
        (((6, 8), (2, 8, 16), None), {}),
        (((2, 3, 8), (2, 8, 16), [1, 2]), {}),
        (((6, 8), (2, 8, 16), [1, 2, 6]), {}),
        (((6, 16), (2, 8, 16), [2, 6]), {}),
        (((8,), (2, 8, 16), [2, 6]), {}),
        (((6, 8), (2, 8, 16), [2, 6]), {"bias": 1}),
    ],
)
def test_what_is_refused(shapes, options):
    for lib in (torch, rushlight):
        given = {k: lib.zeros(2, 16) for k in options}
        with pytest.raises(RuntimeError):
            called(lib, shapes, "float32", **given)
    with pytest.raises(RuntimeError, match="out_dtype"):
        called(rushlight, SHAPES["rows"], "float32", out_dtype=rushlight.bfloat16)
    with pytest.raises(RuntimeError, match="float64"):
        called(rushlight, SHAPES["rows"], "float64")
    with pytest.raises(RuntimeError, match="ends at 9"):
        called(rushlight, ((6, 8), (2, 8, 16), [2, 9]), "float32")
    a, b, _ = called(rushlight, SHAPES["rows"], "float32")
    with pytest.raises(RuntimeError, match="int32"):
        rushlight.nn.functional.grouped_mm(a, b, offs=rushlight.tensor([2, 6]))
