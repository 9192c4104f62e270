"""Initialisers: the same seed gives torch's values."""

import inspect

import pytest
import torch

import rushlight as rl

FILLS = {
    "uniform_": [(), (-2.0, 3.0)],
    "normal_": [(), (1.0, 0.5)],
    "trunc_normal_": [(), (0.5, 0.2, 0.0, 1.0), (0.0, 2.0, -1.0, 3.0)],
    "constant_": [(2.5,)],
    "ones_": [()],
    "zeros_": [()],
    "eye_": [()],
    "xavier_uniform_": [(), (2.0,)],
    "xavier_normal_": [(), (0.5,)],
    "kaiming_uniform_": [(), (0.2, "fan_out", "relu")],
    "kaiming_normal_": [(), (0.0, "fan_in", "tanh")],
    "orthogonal_": [(), (2.0,)],
    "sparse_": [(0.3,), (0.5, 0.1)],
}
SHAPES = [(4, 6), (20, 10), (3, 3)]


@pytest.mark.parametrize(
    ("name", "args"), [(name, args) for name, many in FILLS.items() for args in many], ids=str
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values(twin, name, args, shape):
    def program(t, nn):
        weight = nn.Parameter(t.full(shape, 7.0))
        returned = getattr(nn.init, name)(weight, *args)
        return weight, returned is weight, weight.requires_grad, weight.is_leaf, t.rand(3)

    twin(program, atol=1e-5)


@pytest.mark.parametrize("name", ["uniform_", "normal_", "xavier_uniform_", "kaiming_normal_"])
def test_generator(twin, name):
    def program(t, nn):
        generator = t.Generator().manual_seed(5)
        fill = getattr(nn.init, name)
        return fill(t.empty(4, 5), generator=generator), fill(t.empty(4, 5), generator=generator)

    twin(program)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("shape", [(4, 2, 3), (4, 3, 3, 3), (2, 4, 3, 2, 3)], ids=str)
def test_dirac(twin, groups, shape):
    twin(lambda t, nn: nn.init.dirac_(t.full(shape, 7.0), groups))


def test_orthogonal_is_orthogonal():
    for shape in ((3, 5), (5, 3), (4, 2, 3)):
        weight = rl.nn.init.orthogonal_(rl.empty(shape, dtype=rl.float64)).flatten(1)
        small = weight @ weight.T if shape[0] <= weight.shape[1] else weight.T @ weight
        assert rl.allclose(small, rl.eye(small.shape[0], dtype=rl.float64))


@pytest.mark.parametrize(
    "args",
    [("linear",), ("conv2d",), ("conv_transpose3d",), ("sigmoid",), ("tanh",), ("relu",)]
    + [("leaky_relu",), ("leaky_relu", 0.2), ("leaky_relu", 1), ("selu",)],
    ids=str,
)
def test_gain(twin, args):
    twin(lambda t, nn: nn.init.calculate_gain(*args))


@pytest.mark.parametrize(
    "act",
    [
        lambda t, init: init.calculate_gain("softmax"),
        lambda t, init: init.calculate_gain("leaky_relu", True),
        lambda t, init: init.eye_(t.empty(3)),
        lambda t, init: init.dirac_(t.empty(3, 3)),
        lambda t, init: init.dirac_(t.empty(3, 3, 3), groups=2),
        lambda t, init: init.sparse_(t.empty(3), 0.1),
        lambda t, init: init.orthogonal_(t.empty(3)),
        lambda t, init: init.xavier_uniform_(t.empty(3)),
        lambda t, init: init.kaiming_uniform_(t.empty(3, 3), mode="fan"),
        lambda t, init: init.kaiming_uniform_(t.empty(0, 3)),
        lambda t, init: init.uniform(t.empty(3)),
        lambda t, init: init.trunc_normal_(t.empty(3), mean=9.0),
    ],
)
def test_refused_or_warned(twin, act):
    error = twin(lambda t, nn: act(t, nn.init))
    assert isinstance(error, Exception)


def test_older_names_still_work(twin):
    with pytest.warns(FutureWarning):
        weight = rl.nn.init.constant(rl.empty(2), 3.0)
    assert weight.tolist() == [3.0, 3.0]


def test_signatures():
    for name in rl.nn.init.__all__:
        mine = inspect.signature(getattr(rl.nn.init, name)).parameters
        other = inspect.signature(getattr(torch.nn.init, name)).parameters
        assert list(mine) == list(other), name
        assert [p.default for p in mine.values()] == [p.default for p in other.values()], name
