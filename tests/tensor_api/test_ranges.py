"""Numbers that a dtype cannot hold are refused where torch refuses them."""

import pytest
import torch

import rushlight

CASES = """
    uint8.fill_(300); uint8.fill_(255); uint8.fill_(-1); uint8.fill_(-255); uint8.fill_(-256)
    int8.fill_(200); int8.fill_(-128); int8.fill_(-129); int32.fill_(2**31); int32.fill_(2**31 - 1)
    int64.fill_(2**63); int64.fill_(-(2**63)); int64.fill_(2**64); bool.fill_(300); uint8.fill_(1.5)
    uint8.fill_(300.5); int32.fill_(nan); int32.fill_(inf); int32.fill_(1e20); int64.fill_(1e18)
    float32.fill_(1e40); float32.fill_(inf); float32.fill_(3e38); float16.fill_(1e5)
    float16.fill_(65504.0); float16.fill_(70000); float64.fill_(1e300); bfloat16.fill_(1e38)
    uint8.clamp(0, 300); uint8.clamp(-5, 3); int8.clamp(max=200); int64.clamp(max=2**63)
    uint8.clamp_(max=300); uint8.clamp(0.5, 300.0); int8.clamp(-128, 127)
    uint8.masked_fill(m, 300); uint8.masked_fill(m, -1); float16.masked_fill(m, -1e9)
    uint8.index_fill(0, i, 300); uint8.index_fill(0, i, 200); uint8.fill_diagonal_(300)
    t.where(m, uint8, 300); t.where(m, 300, uint8); t.where(m, int8, -128); t.where(m, float16, 1e6)
    t.full((2,), 300, dtype=t.uint8); t.full((2,), -1, dtype=t.uint8); t.full((2,), 1e40)
    t.full((2,), 1e40, dtype=t.float32); t.full((2,), 2**40, dtype=t.int32); t.full((2,), 2**64)
    t.full_like(uint8, 300); uint8.new_full((2,), 300); t.scalar_tensor(300, dtype=t.uint8)
    uint8.__setitem__(0, 300); uint8.__setitem__(m, 300); uint8.__setitem__(0, 255)
    int32.__setitem__((0, 1), 2**40); float16.__setitem__(0, 1e6); bool.__setitem__(0, 300)
    t.arange(end=3); t.arange(start=1, end=3); t.arange(1, step=2, end=6)
    uint8 + 300; uint8 * 300; uint8 == -1; uint8 > 300; uint8.add_(300)
"""
DTYPES = "uint8 int8 int32 int64 bool float16 bfloat16 float32 float64".split()  # noqa: SIM905


def result(lib, text):
    names = {name: lib.zeros(3, 3, dtype=getattr(lib, name)) for name in DTYPES}
    names.update(t=lib, m=lib.eye(3) > 0, i=lib.tensor([0]), nan=float("nan"), inf=float("inf"))
    try:
        value = eval(text, names)
    except (RuntimeError, OverflowError) as error:
        return next(k for k in type(error).__mro__ if k.__module__ == "builtins")
    return [names[name].tolist() for name in DTYPES] if value is None else value.tolist()


@pytest.mark.parametrize(
    "text", [c.strip() for c in CASES.replace("\n", ";").split(";") if c.strip()]
)
def test_numbers_out_of_range(text):
    assert result(rushlight, text) == result(torch, text)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
@pytest.mark.parametrize("name", ["linspace", "logspace"])
def test_steps_in_a_tensor(name, dtype):
    made = [
        getattr(lib, name)(0, 1, lib.tensor(5, dtype=getattr(lib, dtype))).tolist()
        for lib in (rushlight, torch)
    ]
    assert made[0] == pytest.approx(made[1])


@pytest.mark.parametrize("options", [{}, {"step": 2}])
def test_a_range_has_an_end(options):
    for lib in (torch, rushlight):
        with pytest.raises(TypeError):
            lib.arange(**options)
