"""Whole modules, optimizers and state dicts, between torch and here."""

import copy
import importlib
import io
import pickle

import numpy as np
import pytest
import torch

import rushlight as rl
from rushlight.serialization import load, names, safe_globals, save

N = torch.nn


def through(obj, write, read, **how):
    file = io.BytesIO()
    write(obj, file)
    file.seek(0)
    return read(file, **how)


def to_torch(obj, weights_only=False):
    return through(obj, save, torch.load, weights_only=weights_only)


def from_torch(obj, weights_only=False):
    return through(obj, torch.save, load, weights_only=weights_only)


NETS = {
    "mlp": lambda n: n.Sequential(n.Linear(3, 4), n.ReLU(), n.Dropout(0.1), n.Linear(4, 2)),
    "lenet": lambda n: n.Sequential(
        n.Conv2d(1, 2, 3, padding=1), n.Sigmoid(), n.AvgPool2d(2), n.MaxPool2d(2), n.Flatten(),
        n.Linear(8, 2), n.LogSoftmax(dim=1),
    ),
    "batch norm": lambda n: n.Sequential(n.Linear(3, 4), n.BatchNorm1d(4), n.Tanh()),
    "layer norm": lambda n: n.Sequential(n.LayerNorm(3), n.GELU(), n.LeakyReLU(0.2), n.Softmax(-1)),
    "embedding": lambda n: n.Embedding(5, 3, padding_idx=0),
    "lists": lambda n: n.ModuleList([n.ModuleDict({"a": n.Linear(1, 1)}), n.Identity()]),
    "losses": lambda n: n.ModuleList(
        [n.MSELoss(), n.CrossEntropyLoss(label_smoothing=0.1), n.NLLLoss(), n.BCELoss(), n.L1Loss(),
         n.BCEWithLogitsLoss(), n.KLDivLoss(log_target=True), n.SmoothL1Loss(beta=2.0)]
    ),
    "parameters": lambda n: n.ParameterList([n.Parameter(n.Linear(2, 1).weight.detach())]),
}  # fmt: skip
INPUTS = {"mlp": (5, 3), "lenet": (5, 1, 8, 8), "batch norm": (5, 3), "layer norm": (5, 3)}


def output(net, x):
    """The network's output, in evaluation mode, as an array."""
    module = torch if isinstance(net, N.Module) else rl
    return net.eval()(module.from_numpy(x)).detach().numpy()


def alike(ours, theirs, x):
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert a.tolist() == b.tolist()
    if x is not None:
        np.testing.assert_allclose(output(ours, x), output(theirs, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NETS)
def test_whole_modules(name):
    theirs = NETS[name](N)
    x = None
    if name in INPUTS:
        x = np.random.default_rng(0).normal(size=INPUTS[name]).astype(np.float32)
    ours = from_torch(theirs)
    alike(ours, theirs, x)
    again = to_torch(ours)
    alike(again, theirs, x)
    for module, other in zip(again.modules(), theirs.modules(), strict=True):
        assert type(module) is type(other)
    again.train().register_forward_hook(lambda *a: None)  # the tables of hooks are there too


@pytest.mark.parametrize("name", NETS)
def test_new_modules_of_ours(name):
    ours = NETS[name](rl.nn)
    x = None
    if name in INPUTS:
        x = np.random.default_rng(0).normal(size=INPUTS[name]).astype(np.float32)
    theirs = to_torch(ours)
    alike(ours, theirs, x)
    fresh = NETS[name](N)
    for module, other in zip(theirs.modules(), fresh.modules(), strict=True):
        missing = set(vars(other)) - set(vars(module))
        assert missing <= {"transposed"}, "torch's modules have more attributes"
    theirs.train()
    theirs.zero_grad()
    theirs.double()
    copy.deepcopy(theirs)
    alike(through(ours, save, load, weights_only=False), ours, x)


def test_loaded_module_trains():
    net = from_torch(N.Sequential(N.Linear(3, 1)))
    loss = (net(rl.ones(2, 3)) ** 2).sum()
    loss.backward()
    assert net[0].weight.grad.shape == (1, 3)
    net = to_torch(rl.nn.Sequential(rl.nn.Linear(3, 1)))
    (net(torch.ones(2, 3)) ** 2).sum().backward()
    assert net[0].weight.grad.shape == (1, 3)


def test_shared_weights_stay_shared():
    theirs = N.Sequential(N.Linear(2, 2), N.Linear(2, 2))
    theirs[1].weight = theirs[0].weight
    ours = from_torch(theirs)
    assert ours[0].weight is ours[1].weight
    again = to_torch(ours)
    assert again[0].weight is again[1].weight


@pytest.mark.parametrize("name", ["mlp", "lenet", "batch norm"])
def test_state_dicts(name):
    theirs, ours = NETS[name](N), NETS[name](rl.nn)
    state = from_torch(theirs.state_dict(), weights_only=True)
    assert state._metadata == theirs.state_dict()._metadata
    print(ours.load_state_dict(state))
    theirs.load_state_dict(to_torch(ours.state_dict(), weights_only=True))
    alike(ours, theirs, None)


def test_state_dict_files_are_equal_byte_for_byte():
    theirs, ours = io.BytesIO(), io.BytesIO()
    net = NETS["batch norm"](N)
    torch.save(net.state_dict(), theirs)
    own = NETS["batch norm"](rl.nn)
    own.load_state_dict(from_torch(net.state_dict(), weights_only=True))
    save(own.state_dict(), ours)
    start = theirs.getvalue().index(b"serialization_id")
    assert ours.getvalue()[:start] == theirs.getvalue()[:start]


def test_modules_need_permission():
    file = io.BytesIO()
    torch.save(N.Sequential(N.Linear(2, 1), N.ReLU()), file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match=r"torch\.nn\.modules\.container\.Sequential"):
        load(file)
    file.seek(0)
    with safe_globals([rl.nn.Sequential, rl.nn.Linear, rl.nn.ReLU]):
        assert repr(load(file)).startswith("Sequential(")


def test_torch_loads_ours_with_its_own_permission():
    file = io.BytesIO()
    save(rl.nn.Sequential(rl.nn.Linear(2, 1), rl.nn.ReLU()), file)
    file.seek(0)
    with torch.serialization.safe_globals([N.Sequential, N.Linear, N.ReLU]):
        assert repr(torch.load(file, weights_only=True)).startswith("Sequential(")


class Net(rl.nn.Module):
    """A user's module is pickled under the user's name."""

    def __init__(self):
        super().__init__()
        self.out = rl.nn.Linear(2, 1)
        self.register_buffer("mean", rl.zeros(2))
        self.register_buffer("temporary", rl.zeros(2), persistent=False)

    def forward(self, x):
        return self.out(x - self.mean)


def test_module_of_the_user():
    net = Net()
    again = through(net, save, load, weights_only=False)
    assert type(again) is Net
    assert again(rl.ones(1, 2)).tolist() == net(rl.ones(1, 2)).tolist()
    assert list(again.state_dict()) == ["mean", "out.weight", "out.bias"]
    with pytest.raises(pickle.UnpicklingError, match=r"test_modules\.Net"):
        through(net, save, load)


def test_every_layer_is_where_torch_has_it():
    for name in sorted(set(dir(N)) & set(dir(rl.nn))):
        ours, theirs = getattr(rl.nn, name), getattr(N, name)
        if isinstance(theirs, type):
            found = names.torch_name(ours.__module__, ours.__qualname__)
            assert found == (theirs.__module__, theirs.__qualname__)
            assert names.find(*found) is ours


def test_what_is_in_parts_of_a_module_is_in_the_whole_too():
    for part, home in names.PARTS.items():
        ours, theirs = importlib.import_module(part), importlib.import_module(home)
        whole = importlib.import_module(home.replace("torch", "rushlight", 1))
        for name, kind in vars(ours).items():
            if isinstance(kind, type) and kind.__module__ == part and hasattr(theirs, name):
                assert getattr(whole, name) is kind


def test_every_optimizer_is_where_torch_has_it():
    for name in sorted(set(dir(torch.optim)) & set(dir(rl.optim))):
        ours, theirs = getattr(rl.optim, name), getattr(torch.optim, name)
        if isinstance(theirs, type):
            found = names.torch_name(ours.__module__, ours.__qualname__)
            assert found == (theirs.__module__, theirs.__qualname__)


class Foreign(N.Module):
    """A class of torch's, for all that the file can tell."""


def test_a_class_that_we_lack(monkeypatch):
    file = io.BytesIO()
    monkeypatch.setattr(Foreign, "__module__", "torch.nn.modules.linear")
    monkeypatch.setattr(torch.nn.modules.linear, "Foreign", Foreign, raising=False)
    torch.save(Foreign(), file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match=r"modules\.linear\.Foreign.*state_dict"):
        load(file, weights_only=False)


# ---- optimizers ------------------------------------------------------------------------------

OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "Adam": {"lr": 0.01}, "AdamW": {"lr": 0.01, "amsgrad": True}, "Adagrad": {"lr": 0.1},
    "RMSprop": {"lr": 0.01, "momentum": 0.5},
}  # fmt: skip


def train(module, optim, net, optimizer, steps):
    """Losses of a few steps on a fixed batch."""
    x = module.linspace(-1, 1, 12).reshape(4, 3)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (net(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_in_the_other_framework(name):
    theirs = N.Sequential(N.Linear(3, 4), N.Tanh(), N.Linear(4, 1))
    their_optimizer = getattr(torch.optim, name)(theirs.parameters(), **OPTIMIZERS[name])
    train(torch, torch.optim, theirs, their_optimizer, 3)
    checkpoint = {"net": theirs.state_dict(), "optimizer": their_optimizer.state_dict(), "epoch": 3}

    ours = rl.nn.Sequential(rl.nn.Linear(3, 4), rl.nn.Tanh(), rl.nn.Linear(4, 1))
    our_optimizer = getattr(rl.optim, name)(ours.parameters(), **OPTIMIZERS[name])
    got = from_torch(checkpoint, weights_only=True)
    ours.load_state_dict(got["net"])
    our_optimizer.load_state_dict(got["optimizer"])
    expected = train(torch, torch.optim, theirs, their_optimizer, 3)
    assert train(rl, rl.optim, ours, our_optimizer, 3) == pytest.approx(expected, rel=1e-4)

    checkpoint = {"net": ours.state_dict(), "optimizer": our_optimizer.state_dict(), "epoch": 6}
    got = to_torch(checkpoint, weights_only=True)
    fresh = N.Sequential(N.Linear(3, 4), N.Tanh(), N.Linear(4, 1))
    fresh_optimizer = getattr(torch.optim, name)(fresh.parameters(), **OPTIMIZERS[name])
    fresh.load_state_dict(got["net"])
    fresh_optimizer.load_state_dict(got["optimizer"])
    expected = train(torch, torch.optim, theirs, their_optimizer, 3)
    found = train(torch, torch.optim, fresh, fresh_optimizer, 3)
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_whole_optimizers(name):
    """With their parameters; this is how a program saves everything in one dict."""
    net = N.Linear(3, 1)
    theirs = getattr(torch.optim, name)(net.parameters(), **OPTIMIZERS[name])
    train(torch, torch.optim, net, theirs, 2)
    got = from_torch({"net": net, "optimizer": theirs})
    assert got["optimizer"].param_groups[0]["params"][0] is got["net"].weight
    expected = train(torch, torch.optim, net, theirs, 2)
    assert train(rl, rl.optim, got["net"], got["optimizer"], 2) == pytest.approx(expected, rel=1e-4)
    back = to_torch(got)
    expected = train(rl, rl.optim, got["net"], got["optimizer"], 2)
    found = train(torch, torch.optim, back["net"], back["optimizer"], 2)
    assert found == pytest.approx(expected, rel=1e-4)
