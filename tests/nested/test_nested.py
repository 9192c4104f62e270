"""Nested tensors do what torch's do, component by component."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import rushlight

LIBRARIES = (torch, rushlight)
LAYOUTS = ("strided", "jagged")
pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")


def made(lib: Any, layout: str, **options: Any) -> Any:
    """Components of (2, 6) and (3, 6)."""
    parts = [lib.arange(12.0).reshape(2, 6) / 10, lib.arange(18.0).reshape(3, 6) / 7]
    return lib.nested.nested_tensor(parts, layout=getattr(lib, layout), **options)


def seen(value: Any) -> Any:
    """Arrays of tensors, and of the components of nested ones."""
    if isinstance(value, (tuple, list)):
        return [seen(v) for v in value]
    if not hasattr(value, "is_nested"):
        return value
    parts = value.unbind() if value.is_nested else [value]
    return [p.detach().numpy() for p in parts]


def same(call: Any, layouts: Any = LAYOUTS) -> None:
    for layout in layouts:
        want, got = [seen(call(lib, made(lib, layout))) for lib in LIBRARIES]
        compare(got, want)


def compare(got: Any, want: Any) -> None:
    if isinstance(want, list):
        assert len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            compare(g, w)
    elif isinstance(want, np.ndarray):
        assert (got.shape, got.dtype) == (want.shape, want.dtype)
        np.testing.assert_allclose(got, want, 1e-5, 1e-6)
    else:
        assert got == want


BOTH = {
    "padded": lambda m, x: m.nested.to_padded_tensor(x, 9.0),
    "padded more": lambda m, x: x.to_padded_tensor(0.0, (2, 4, 6)),
    "facts": lambda m, x: [x.dim(), x.size(0), x.size(-1), x.numel(), x.is_nested, x.requires_grad],
    "layout": lambda m, x: [str(x.layout), str(x.dtype), x.is_contiguous()],
    "relu": lambda m, x: (x - 1).relu(),
    "arithmetic": lambda m, x: -(x * x + x * 2) / 3,
    "gelu": lambda m, x: m.nn.functional.gelu(x),
    "softmax": lambda m, x: m.softmax(x, -1),
    "linear": lambda m, x: m.nn.functional.linear(x, m.ones(3, 6), m.arange(3.0)),
    "LayerNorm": lambda m, x: m.nn.LayerNorm(6)(x),
    "dropout": lambda m, x: m.nn.functional.dropout(x, 0.5, False),
    "transpose": lambda m, x: x.transpose(1, 2),
    "twice": lambda m, x: x.transpose(-1, -2).transpose(-1, -2),
    "item": lambda m, x: [x[0], x[1], x.select(0, 1)],
    "unbind": lambda m, x: m.unbind(x),
    "reshape": lambda m, x: x.reshape(2, -1, 2, 3),
    "chunk": lambda m, x: x.chunk(2, -1),
    "cat": lambda m, x: m.cat([x, x], -1),
    "to": lambda m, x: x.to(m.float64),
    "half": lambda m, x: x.half().float(),
    "add_": lambda m, x: x.add_(1),
    "zeros_like": lambda m, x: m.zeros_like(x),
    "unsqueeze": lambda m, x: x.unsqueeze(-1),
    "masked_fill": lambda m, x: x.masked_fill(x > 1, 5.0),
    "clone": lambda m, x: x.clone().detach().contiguous(),
    "sum of rows": lambda m, x: x.sum(-1, keepdim=True),
    "masked_select": lambda m, x: m.nested.masked_select(
        m.arange(6).reshape(2, 3), m.tensor([[True, False, True], [False, False, True]])
    ),
}
JAGGED = {
    "values": lambda m, x: [x.values(), x.offsets()],
    "broadcast": lambda m, x: [x + m.arange(6.0), x * m.arange(12.0).reshape(2, 1, 6)],
    "sums": lambda m, x: [x.sum(), x.sum(1), x.sum(-1), x.mean(1), x.mean(), x.amax(1)],
    "view": lambda m, x: x.view(2, x.size(1), 2, 3),
    "heads": lambda m, x: x.unflatten(-1, [2, 3]).transpose(1, 2),
    "dense": lambda m, x: m.matmul(x, m.ones(6, 2)),
    "where": lambda m, x: m.where(x > 1, x, x * 0),
    "rms_norm": lambda m, x: m.nn.functional.rms_norm(x, (6,)),
    "from_jagged": lambda m, x: m.nested.nested_tensor_from_jagged(
        m.arange(10.0).reshape(5, 2), m.tensor([0, 2, 5])
    ),
    "narrow": lambda m, x: m.nested.narrow(
        m.arange(12.0).reshape(2, 6), 1, m.tensor([0, 2]), m.tensor([3, 1]), layout=m.jagged
    ),
    "embedding": lambda m, x: m.nn.functional.embedding(
        m.nested.nested_tensor([m.tensor([0, 1]), m.tensor([1])], layout=m.jagged),
        m.arange(4.0).reshape(2, 2),
    ),
}


@pytest.mark.parametrize("name", BOTH)
def test_both_layouts(name):
    same(BOTH[name])


@pytest.mark.parametrize("name", JAGGED)
def test_jagged(name):
    same(JAGGED[name], ["jagged"])


@pytest.mark.parametrize("p", (0.0, 0.5, 1.0))
@pytest.mark.parametrize("training", (True, False))
def test_dropout_takes_the_numbers_that_pytorchs_takes(p, training):
    def call(m: Any, x: Any) -> Any:
        m.manual_seed(0)
        return m.nn.functional.dropout(x, p, training), m.rand(3)

    same(call)


def test_products_of_strided_ones():
    same(lambda m, x: m.matmul(x, x.transpose(-1, -2)), ["strided"])
    assert rushlight.nested.nested_tensor([[1.0], [2.0]]).sum() == 3


def attention(m: Any, x: Any, d: int) -> Any:
    """Attention with two heads, with layers before and after."""
    project, out = m.nn.Linear(d, 3 * d), m.nn.Linear(d, d)
    q, k, v = [t.unflatten(-1, [2, d // 2]).transpose(1, 2) for t in project(x).chunk(3, -1)]
    y = m.nn.functional.scaled_dot_product_attention(q, k, v)
    return out(y.transpose(1, 2).flatten(-2)), project.weight


def test_attention_and_its_gradient_are_those_of_each_component():
    rushlight.manual_seed(0)
    parts = [rushlight.randn(n, 8) for n in (2, 5, 1)]
    rushlight.manual_seed(1)
    x = rushlight.nested.nested_tensor(parts, layout=rushlight.jagged)
    y, weight = attention(rushlight, x, 8)
    y.values().square().sum().backward()
    rushlight.manual_seed(1)
    project, out = rushlight.nn.Linear(8, 24), rushlight.nn.Linear(8, 8)
    rows = []
    for part in parts:
        q, k, v = [t.unflatten(-1, [2, 4]).transpose(0, 1) for t in project(part).chunk(3, -1)]
        z = rushlight.nn.functional.scaled_dot_product_attention(q, k, v)
        rows.append(out(z.transpose(0, 1).flatten(-2)))
    sum([r.square().sum() for r in rows]).backward()
    compare(seen(y), [a for row in rows for a in seen(row)])
    compare(seen(weight.grad), seen(project.weight.grad))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients(layout):
    found = []
    for lib in LIBRARIES:
        x, w = made(lib, layout, requires_grad=True), lib.ones(3, 6, requires_grad=True)
        out = lib.nn.functional.linear(x * x, w)
        lib.nested.to_padded_tensor(out, 0.0).sum().backward()
        leaves = [lib.ones(2, 3, requires_grad=True), lib.ones(1, 3, requires_grad=True)]
        of_leaves = lib.nested.as_nested_tensor(leaves, layout=getattr(lib, layout))
        lib.nested.to_padded_tensor(of_leaves * of_leaves, 0.0).sum().backward()
        assert x.is_leaf and x.grad.is_nested and not of_leaves.is_leaf
        found.append(seen([x.grad, w.grad, *[p.grad for p in leaves]]))
    compare(found[1], found[0])


def test_what_is_printed():
    strided, jagged = made(rushlight, "strided"), made(rushlight, "jagged")
    assert repr(strided) == repr(made(torch, "strided"))
    name = str(jagged.size(1))
    assert name.startswith("j") and jagged.shape == (2, jagged.size(1), 6)
    expected = f"NestedTensor(size=(2, {name}, 6), offsets=tensor([0, 2, 5]), contiguous=True)"
    assert repr(jagged) == f"{jagged}" == expected
    assert str(jagged.shape) == f"torch.Size([2, {name}, 6])"


def test_copies_and_files():
    x = made(rushlight, "jagged", requires_grad=True)
    for other in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert other.layout is rushlight.jagged and other is not x
        compare(seen(other), seen(x))
    assert copy.deepcopy(x).requires_grad


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: x.cumsum(1),
        lambda m, x: m.conv1d(x, m.ones(1, 1, 1)),
        lambda m, x: x.std(),
        lambda m, x: x.transpose(0, 1),
        lambda m, x: m.softmax(x, 0),
        lambda m, x: m.nested.nested_tensor([m.ones(2, 3), m.ones(3)], layout=x.layout),
        lambda m, x: m.nested.nested_tensor(m.ones(2), layout=x.layout),
        lambda m, x: x + m.nested.nested_tensor([m.ones(2, 6)], layout=x.layout),
    ],
)
def test_what_is_refused(call, layout):
    for lib in LIBRARIES:
        with pytest.raises((RuntimeError, TypeError, ValueError, AssertionError)) as error:
            call(lib, made(lib, layout))
        assert str(error.value)


def test_irregular_sizes_are_not_asked_for_nor_mixed():
    strided, jagged = made(rushlight, "strided"), made(rushlight, "jagged")
    with pytest.raises(RuntimeError, match="irregular"):
        strided.size(1)
    with pytest.raises(RuntimeError, match="no shape"):
        strided.shape
    with pytest.raises(RuntimeError, match="equal by chance"):
        jagged + made(rushlight, "jagged")
    with pytest.raises(NotImplementedError, match="no one irregular dim"):
        jagged @ jagged.mT
    with pytest.raises(RuntimeError, match="too small"):
        jagged.to_padded_tensor(0.0, (2, 1, 6))
    with pytest.raises(RuntimeError, match="must stay"):
        jagged.view(2, 3, 6)


def test_other_functions_ask_nobody_when_none_is_left():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = made(rushlight, "jagged")
        assert (x * 2).is_nested and not rushlight.ones(2).is_nested


def test_compiled_functions_take_them():
    call = rushlight.compile(lambda x: (x * 2).relu().values().sum())
    x = made(rushlight, "jagged")
    for _ in range(3):
        rushlight.testing.assert_close(call(x), (x.values() * 2).sum())
