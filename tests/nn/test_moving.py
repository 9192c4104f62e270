"""Modules converted, moved and copied."""

import copy
import pickle

import pytest
import torch

import rushlight as rl
from tests.nn.test_module import names

# -- moving --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "convert",
    [
        lambda net, t: net.double(),
        lambda net, t: net.half(),
        lambda net, t: net.bfloat16(),
        lambda net, t: net.float(),
        lambda net, t: net.to(t.float64),
        lambda net, t: net.to("cpu", t.float64),
        lambda net, t: net.to(device="cpu"),
        lambda net, t: net.to(dtype=t.float16),
        lambda net, t: net.to(t.zeros(1, dtype=t.float64)),
        lambda net, t: net.to(t.device("cpu"), non_blocking=True),
        lambda net, t: net.cpu(),
        lambda net, t: net.type(t.float64),
    ],
)
def test_conversion(twin, convert):
    def program(t, nn):
        net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        before = list(net.parameters())
        net(t.ones(2, 2)).sum().backward()
        assert convert(net, t) is net
        same = [a is b for a, b in zip(before, net.parameters(), strict=True)]
        return (
            same,
            [v.dtype for v in net.state_dict().values()],
            [p.grad.dtype for p in net.parameters()],
            [p.requires_grad for p in net.parameters()],
        )

    twin(program)


def test_to_empty():
    layer = rl.nn.Linear(2, 3)
    weight = layer.weight
    assert layer.to_empty(device="cpu") is layer
    assert layer.weight is weight
    assert layer.weight.shape == (3, 2)


# -- copying -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(twin, how):
    def program(t, nn):
        net = nn.Sequential(
            nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Sequential(nn.Dropout(0.3))
        ).eval()
        net[1].tied = net[0]
        net[0].note = "kept"
        other = how(net)
        x = t.ones(2, 3)
        fresh = all(a is not b for a, b in zip(net.parameters(), other.parameters(), strict=True))
        before = net(x)
        other[0].weight.data.add_(1.0)
        return (
            fresh,
            other[1].tied is other[0],
            other[0].note,
            repr(other),
            before - net(x),
            dict(other.state_dict()),
            [m.training for m in other.modules()],
        )

    twin(program)


def test_copy_keeps_hooks(twin):
    def program(t, nn):
        layer = nn.Linear(1, 1)
        seen = []
        layer.register_forward_hook(lambda m, a, o: seen.append("called"))
        twin_layer = copy.deepcopy(layer)
        twin_layer(t.ones(1))
        return len(twin_layer._forward_hooks), len(seen)

    twin(program)


def test_shallow_copy_shares_parameters(twin):
    def program(t, nn):
        layer = nn.Linear(1, 1)
        other = copy.copy(layer)
        return other.weight is layer.weight, repr(other)

    twin(program)


def test_own_getstate(twin):
    """A subclass may copy `__dict__` itself; members are then found in both places."""

    def program(t, nn):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(2, 2)
                self.handle = object()

            def __getstate__(self):
                state = self.__dict__.copy()
                del state["handle"]
                return state

        net = copy.deepcopy(Net())
        net.layer.weight.data.zero_()
        net.layer = nn.Linear(2, 3)
        return hasattr(net, "handle"), repr(net), names(net.named_parameters()), net.layer

    twin(program)


def test_state_is_laid_out_as_torchs():
    """torch's own modules are restored from the same attributes."""
    ours, theirs = rl.nn.Linear(1, 2).__getstate__(), torch.nn.Linear(1, 2).__getstate__()
    assert set(ours) == set(theirs)
    assert all(type(ours[key]) is type(theirs[key]) for key in theirs)
