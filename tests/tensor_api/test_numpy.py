"""NumPy's functions and operators on tensors."""

import operator

import numpy as np
import pytest
import torch

import rushlight as rl


@pytest.mark.parametrize("function", [np.sin, np.exp, np.sqrt, np.abs, np.isnan, np.negative])
def test_functions_give_tensors(function):
    values = np.linspace(0, 3, 5)
    got, expected = function(rl.tensor(values)), function(values)
    assert isinstance(got, rl.Tensor)
    np.testing.assert_array_equal(got.numpy(), expected)
    with pytest.raises(RuntimeError, match="requires grad"):
        function(rl.tensor(values).requires_grad_())


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow", "eq", "lt", "mod"])
def test_operators_with_an_array_on_the_left(name):
    """The tensor's own operation runs, so gradients flow."""
    array, x = np.arange(1.0, 4.0), rl.tensor([2.0, 1.0, 3.0], dtype=rl.float64)
    apply = getattr(operator, name)
    result = apply(array, x.requires_grad_())
    assert isinstance(result, rl.Tensor)
    np.testing.assert_array_equal(result.detach().numpy(), apply(array, x.detach().numpy()))
    assert result.requires_grad == (name not in ("eq", "lt"))
    assert apply(np.float64(2), rl.ones(2)).dtype in (rl.float32, rl.bool)


def test_in_place_on_an_array():
    array = np.ones(3)
    kept = array
    array += rl.ones(3)
    assert array is kept
    assert array.tolist() == [2, 2, 2]


def test_methods_of_ufuncs_give_arrays():
    assert isinstance(np.add.reduce(rl.ones(3)), np.floating)
    assert np.multiply.outer(np.ones(2), rl.ones(3)).shape == (2, 3)


ARRAYS = [
    np.arange(3), np.arange(6.0).reshape(2, 3), np.array([True, False]), np.ones(1, np.float32),
    np.ones((2, 0)),
]  # fmt: skip


@pytest.mark.parametrize("name", ["Tensor", "FloatTensor", "LongTensor", "DoubleTensor"])
def test_older_constructors_take_arrays(name):
    for a in ARRAYS:
        expected, got = getattr(torch, name)(a), getattr(rl, name)(a)
        assert tuple(got.shape) == tuple(expected.shape) and str(got.dtype) == str(expected.dtype)
        np.testing.assert_array_equal(got.numpy(), expected.numpy())
    memory = np.zeros(2, getattr(rl, name)().numpy().dtype)
    shared = [getattr(t, name)(memory) for t in (torch, rl)]
    memory[0] = 1
    assert [t.tolist() for t in shared] == [[1, 0], [1, 0]]
    for size in (3, np.int64(3), np.array(3)):
        assert getattr(rl, name)(size).shape == getattr(torch, name)(size).shape == (3,)


@pytest.mark.parametrize("data", [True, np.bool_(True), 2.0, np.float32(2)])
def test_older_constructors_refuse_single_numbers(data):
    for t in (torch, rl):
        with pytest.raises(TypeError, match="data must be a sequence"):
            t.Tensor(data)
