"""Graphs of the operations of a call: they compute what the call did, on other inputs."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch

import rushlight

LIBRARIES = (torch, rushlight)
both = pytest.mark.parametrize("lib", LIBRARIES, ids=["torch", "rushlight"])


def tracer(lib):
    return importlib.import_module(f"{lib.__name__}.fx.experimental.proxy_tensor")


def steps(lib, x):
    y = x.clone()
    y.add_(1)
    y[0].mul_(3)
    return {"y": y, "list": [y * 2, 3]}


def backward(lib, x, w):
    w = w.detach().requires_grad_()
    loss = lib.nn.functional.cross_entropy(x @ w, lib.tensor([0, 1]))
    return lib.autograd.grad(loss, [w])


# functions of the library and their arguments; the arguments' shapes; names equal to torch's
CALLS = {
    "products": (lambda lib, x, w: (x @ w).relu().sum(1) * 2, [(2, 3), (3, 4)], True),
    "writes": (steps, [(3, 2)], False),
    "gradients": (lambda lib, x: lib.func.grad(lambda x: (x.sin() ** 2).sum())(x), [(3,)], False),
    "backward": (backward, [(2, 3), (3, 2)], False),
    "vmap": (lambda lib, x: lib.func.vmap(lambda x: (x * x).sum())(x), [(2, 3)], False),
    "several results": (lambda lib, x: tuple(x.max(0)), [(2, 3)], True),
    "parts": (lambda lib, x: [a * 2 for a in x.split(2)], [(4,)], False),
    "indices": (lambda lib, x, y: x[lib.tensor([1, 0]), 1:] + y[0, None], [(2, 4), (2, 3)], False),
    "made within": (lambda lib, x: x + lib.ones(3) * lib.full((3,), 2.0), [(3,)], False),
    "convolution": (
        lambda lib, x, w: lib.nn.functional.max_pool2d(lib.nn.functional.conv2d(x, w), 2),
        [(1, 1, 5, 5), (2, 1, 2, 2)], False,
    ),
    "layer norm": (lambda lib, x: lib.nn.functional.layer_norm(x, (4,)), [(2, 4)], False),
}  # fmt: skip


def flat(x):
    if isinstance(x, dict):
        x = list(x.values())
    return [z for y in x for z in flat(y)] if isinstance(x, (tuple, list)) else [x]


def arrays(x):
    return [y.detach().numpy() if hasattr(y, "detach") else y for y in flat(x)]


def inputs(lib, shapes, seed):
    rng = np.random.default_rng(seed)
    return [lib.tensor(rng.normal(size=s), dtype=lib.float32) for s in shapes]


def called(graph):
    return [str(n.target) for n in graph.graph.nodes if n.op == "call_function"]


@pytest.mark.parametrize("name", CALLS)
def test_graphs_compute_what_the_call_did(name):
    function, shapes, same_names = CALLS[name]
    names = []
    for lib in LIBRARIES:
        graph = tracer(lib).make_fx(lambda *args, lib=lib: function(lib, *args))(
            *inputs(lib, shapes, 0)
        )
        expected = arrays(function(torch, *inputs(torch, shapes, 1)))
        for a, b in zip(arrays(graph(*inputs(lib, shapes, 1))), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        names.append(called(graph))
    if same_names:
        assert names[0] == names[1]


@both
def test_inputs_may_be_nested(lib):
    p = {"w": lib.arange(6.0).view(2, 3), "b": lib.ones(2), "unused": lib.ones(1)}
    make = tracer(lib).make_fx(lambda p, x, k: lib.addmm(p["b"], x, p["w"].t()) * k)
    graph = make(p, lib.ones(1, 3), 2)
    p["b"] = p["b"] + 1
    assert graph(p, lib.ones(1, 3), 2).tolist() == [[10.0, 28.0]]


@both
def test_tensors_from_outside_are_constants(lib):
    c = lib.full((2,), 5.0)
    graph = tracer(lib).make_fx(lambda x: x * c)(lib.ones(2))
    kinds = [n.op for n in graph.graph.nodes]
    assert kinds == ["placeholder", "get_attr", "call_function", "output"]
    assert graph(lib.arange(2.0)).tolist() == [0, 5]
    assert graph.graph.find_nodes(op="call_function", target=lib.ops.aten.mul.Tensor)


@both
def test_operations_are_replaced_by_others(lib):
    table = {lib.ops.aten.relu.default: lambda x: x * (x > 0)}
    graph = tracer(lib).make_fx(lambda x: x.relu() + 1, table)(lib.ones(2))
    assert called(graph) == ["aten.gt.Scalar", "aten.mul.Tensor", "aten.add.Tensor"]


@both
def test_the_tracer_at_work(lib):
    module, seen = tracer(lib), []
    module.make_fx(lambda x: seen.append(module.get_proxy_mode()) or x + 1)(lib.ones(1))
    assert seen[0] is not None
    assert module.get_proxy_mode() is None


def test_symbolic_shapes_are_refused():
    with pytest.raises(NotImplementedError, match="symbolic"):
        tracer(rushlight).make_fx(lambda x: x, tracing_mode="symbolic")
