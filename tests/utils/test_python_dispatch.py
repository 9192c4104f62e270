"""Modes that are asked to do what operations do: what they see and what they may change."""

import importlib

import pytest
import torch

import rushlight as rl

LIBRARIES = (torch, rl)


def base(lib):
    return importlib.import_module(f"{lib.__name__}.utils._python_dispatch").TorchDispatchMode


def logging(lib):
    """A mode that notes operators and shapes."""

    class Logging(base(lib)):
        def __init__(self):  # which does not call its base's
            self.seen = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.seen.append(str(func))
            return func(*args, **(kwargs or {}))

    return Logging()


CALLS = {
    "relu": lambda F, x: x.relu(),
    "add": lambda F, x: x + 1,
    "sub": lambda F, x: x - x,
    "pow": lambda F, x: x**2,
    "gt": lambda F, x: x > 1,
    "eq": lambda F, x: x == x,
    "mm": lambda F, x: x.mm(x),
    "bmm": lambda F, x: x.view(1, 3, 3).bmm(x.view(1, 3, 3)),
    "sum": lambda F, x: x.sum(),
    "sum over": lambda F, x: x.sum(0),
    "mean over": lambda F, x: x.mean(1, keepdim=True),
    "max over": lambda F, x: x.max(1),
    "softmax": lambda F, x: x.softmax(0),
    "log_softmax": lambda F, x: x.log_softmax(0),
    "gelu": lambda F, x: F.gelu(x),
    "t": lambda F, x: x.t(),
    "expand": lambda F, x: x.expand(2, 3, 3),
    "permute": lambda F, x: x.permute(1, 0),
    "unsqueeze": lambda F, x: x.unsqueeze(0),
    "clone": lambda F, x: x.clone(),
    "half": lambda F, x: x.half(),
    "exp_": lambda F, x: x.exp_(),
    "add_": lambda F, x: x.add_(x),
    "copy_": lambda F, x: x.copy_(x + 1),
    "convolution": lambda F, x: F.conv1d(x.view(1, 3, 3), x.view(3, 3, 1)),
    "argmax": lambda F, x: x.argmax(1),
    "sigmoid": lambda F, x: x.sigmoid(),
}


@pytest.mark.parametrize("name", CALLS)
def test_operators_have_torchs_names(name):
    seen = []
    for lib in LIBRARIES:
        x = lib.arange(9.0).view(3, 3)
        with logging(lib) as mode:
            result = CALLS[name](lib.nn.functional, x)
        seen.append(mode.seen)
        assert isinstance(result, (lib.Tensor, tuple))
    assert seen[0] == seen[1]


def test_operators_are_known_by_name():
    class Keeping(base(rl)):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.func = func
            return func(*args, **(kwargs or {}))

    x = rl.ones(2, 2)
    with Keeping() as mode:
        x.mm(x)
    func, aten = mode.func, rl.ops.aten
    assert func == aten.mm.default and func in {aten.mm.default} and func != aten.bmm.default
    assert func.overloadpacket == aten.mm and func.name() == "aten::mm"
    assert func.__name__ == "mm.default" and func.namespace == "aten"
    with mode:
        x + 1
    assert mode.func.name() == "aten::add.Tensor" and mode.func._overloadname == "Tensor"


def test_backward_passes_are_seen_and_gradients_stay():
    grads = []
    for lib in LIBRARIES:
        x = lib.tensor([[1.0, -2.0], [3.0, 4.0]], requires_grad=True)
        with logging(lib) as mode:
            y = (x.mm(x).relu() * 3).sum()
            assert y.requires_grad
            first = len(mode.seen)
            y.backward()
        backward = mode.seen[first:]
        assert mode.seen.count("aten.mm.default") == 3 and "aten.mul.Tensor" in backward
        grads.append(x.grad.tolist())
    assert grads[0] == grads[1]


@pytest.mark.parametrize("lib", LIBRARIES)
def test_results_may_be_others(lib):
    class Doubling(base(lib)):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            return out * 2 if "add" in str(func) else out

    x = lib.ones(2, requires_grad=True)
    with Doubling():
        y = x + 1
    assert y.tolist() == [4.0, 4.0] and y.requires_grad
    assert (x + 1).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("lib", LIBRARIES)
def test_modes_are_nested(lib):
    inner, outer, x = logging(lib), logging(lib), lib.ones(2)
    with outer:
        x.exp()
        with inner:
            x.sin()
        x.cos()
    assert inner.seen == ["aten.sin.default"]
    assert outer.seen == [f"aten.{name}.default" for name in ("exp", "sin", "cos")]
    with inner, inner:
        x.tan()
    assert inner.seen[1:] == ["aten.tan.default"] * 2


@pytest.mark.parametrize("lib", LIBRARIES)
def test_an_error_ends_the_mode(lib):
    mode, x = logging(lib), lib.ones(2, 3)
    with pytest.raises(RuntimeError), mode:
        x.mm(x)
    x.exp()
    assert mode.seen == ["aten.mm.default"]
    with pytest.raises(NotImplementedError), base(lib)():
        x.exp()


def test_what_is_no_tensor_is_refused():
    class Silent(base(rl)):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            return "nothing"

    with pytest.raises(TypeError, match=r"aten.exp.default .*returned str"), Silent():
        rl.ones(2).exp()


def test_views_and_writes_share_memory():
    x = rl.zeros(2, 2)
    with logging(rl):
        row = x[1]
        row += 2
    assert x.tolist() == [[0.0, 0.0], [2.0, 2.0]]
    with logging(rl) as mode:
        model = rl.nn.Linear(2, 2)
        optimizer = rl.optim.SGD(model.parameters(), 0.1)
        model(x).sum().backward()
        optimizer.step()
    assert "aten.linear.default" in mode.seen and model.weight.grad is not None


NAMES = {
    "transpose": lambda lib, x: x.transpose(0, 1), "select": lambda lib, x: x.select(0, 1),
    "slice": lambda lib, x: x[:, 1:], "chunk": lambda lib, x: x.chunk(2),
    "split": lambda lib, x: x.split([1, 2], 1), "unbind": lambda lib, x: x.unbind(0),
    "index": lambda lib, x: x[lib.tensor([0])], "pow": lambda lib, x: x**x,
    "rpow": lambda lib, x: 2**x, "prod": lambda lib, x: x.prod(1), "std": lambda lib, x: x.std(1),
    "any": lambda lib, x: x.bool().any(), "all": lambda lib, x: x.bool().all(1),
    "where": lambda lib, x: lib.where(x.bool(), x, x), "median": lambda lib, x: x.median(1),
    "masked_fill": lambda lib, x: x.masked_fill(x.bool(), 0.0),
    "scatter": lambda lib, x: x.scatter(0, lib.tensor([[0, 0, 0]]), 1.0),
    "lerp": lambda lib, x: lib.lerp(x, x, x).lerp(x, 0.5), "fill": lambda lib, x: x.fill_(2.0),
    "maximum": lambda lib, x: lib.maximum(x, x), "and": lambda lib, x: lib.logical_and(x, x),
    "floor_divide": lambda lib, x: x // 2, "squeeze": lambda lib, x: x[None].squeeze(),
    "squeezed": lambda lib, x: x[None].squeeze(0), "svd": lambda lib, x: lib.linalg.svd(x),
    "smooth": lambda lib, x: lib.nn.functional.smooth_l1_loss(x, x),
    "bmm": lambda lib, x: lib.bmm(x[None], x.t()[None]),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_overloads_are_torchs(name):
    seen = []
    for lib in LIBRARIES:
        x = lib.arange(1.0, 7.0).view(2, 3)
        with logging(lib) as mode:
            NAMES[name](lib, x)
        seen.append([n for n in mode.seen if "lift_fresh" not in n and "detach" not in n])
    assert seen[0] == seen[1]
