"""Floats of eight bits: they keep numbers, and compute nothing. Types that not even do that."""

import io
import pickle

import pytest
import torch

import rushlight

NAMES = ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"]
NUMBERS = [0.3, 1.0, 17.0, 240.0, 448.0, 449.0, 500.0, 1e4, float("inf"), float("nan")]


@pytest.mark.parametrize("name", NAMES)
def test_rounds_as_torch_does(name):
    bits = []
    for framework in (torch, rushlight):
        x = framework.tensor(NUMBERS[:8]).to(getattr(framework, name))
        bits.append((x.view(framework.uint8).tolist(), str(x.float()), x[:4].tolist(), x.type()))
    assert bits[0] == bits[1]


def test_without_infinity_the_largest_number_is_kept():
    for framework in (torch, rushlight):
        x = framework.tensor([*NUMBERS, -1e9]).to(framework.float8_e4m3fn)
        assert str(x.float().tolist()[-5:]) == "[448.0, 448.0, 448.0, nan, -448.0]"
        assert framework.zeros(1, dtype=x.dtype).copy_(framework.tensor([1e5])).item() == 448.0


@pytest.mark.parametrize("name", NAMES)
def test_limits(name):
    theirs, ours = getattr(torch, name), getattr(rushlight, name)
    if name != "float8_e5m2fnuz":  # 1.25 follows 1.0: PyTorch's eps is half of that
        assert repr(torch.finfo(theirs)) == repr(rushlight.finfo(ours))
    for attribute in ("is_signed", "is_floating_point", "itemsize"):
        assert getattr(theirs, attribute) == getattr(ours, attribute)


def test_moves():
    lists = []
    for framework in (torch, rushlight):
        x = framework.tensor([1.0, -2.0, 3.0]).to(framework.float8_e5m2)
        moved = framework.cat([x, x[[0, 2]], x.repeat(2)]).reshape(1, 11).T[1:]
        lists.append((moved.tolist(), (x == x).tolist(), x.isnan().tolist()))
    assert lists[0] == lists[1]


@pytest.mark.parametrize(
    "compute", [lambda x: x + x, lambda x: x.exp(), lambda x: x.sum(), lambda x: x @ x]
)
def test_computes_nothing(compute):
    x = rushlight.ones(3, dtype=rushlight.float8_e4m3fn)
    with pytest.raises(NotImplementedError, match="convert to float32"):
        compute(x)


@pytest.mark.parametrize("other", ["float32", "int64", "bool", "float8_e5m2"])
def test_promotes_nothing(other):
    for framework in (torch, rushlight):
        with pytest.raises(RuntimeError, match="Promotion for Float8"):
            framework.promote_types(framework.float8_e4m3fn, getattr(framework, other))
        with pytest.raises(TypeError):
            framework.set_default_dtype(framework.float8_e4m3fn)


@pytest.mark.parametrize("name", NAMES)
def test_files(name):
    file = io.BytesIO()
    torch.save(torch.tensor([0.5, 2.0]).to(getattr(torch, name)), file)
    file.seek(0)
    x = rushlight.load(file)
    assert x.dtype is getattr(rushlight, name) and x.tolist() == [0.5, 2.0]
    file = io.BytesIO()
    rushlight.save(x, file)
    file.seek(0)
    assert torch.load(file).tolist() == [0.5, 2.0]


@pytest.mark.parametrize("name", ["complex32", "qint8", "quint8", "qint32", "quint4x2", "quint2x4"])
def test_types_that_no_tensor_has_are_compared_with(name):
    theirs, ours = getattr(torch, name), getattr(rushlight, name)
    for attribute in ("is_floating_point", "is_complex", "itemsize", "__repr__", "to_real"):
        values = [getattr(d, attribute) for d in (theirs, ours)]
        a, b = [v() if callable(v) else v for v in values]
        assert str(a) == str(b)
    assert ours != rushlight.float32 and pickle.loads(pickle.dumps(ours)) is ours
    assert rushlight.chalf is rushlight.complex32
    with pytest.raises(RuntimeError, match="there are no tensors of"):
        rushlight.zeros(1, dtype=ours)


def test_limits_of_complex_halves():
    assert repr(torch.finfo(torch.complex32)) == repr(rushlight.finfo(rushlight.complex32))
