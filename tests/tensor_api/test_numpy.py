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


DTYPES = ["float32", "float64", "int64", "int32", "int16", "uint8", "bool", "float16"]


@pytest.mark.filterwarnings("ignore:__array_wrap__ must:DeprecationWarning")  # PyTorch's own
@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow", "floordiv", "mod"])
@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8"])
def test_an_array_decides_the_dtype_as_in_numpy(name, dtype):
    """PyTorch leaves such operations to NumPy: a float32 tensor plus float64 numbers is float64,
    and ``x += array`` gives ``x`` another tensor.
    """
    apply, at_place = getattr(operator, name), getattr(operator, f"i{name}")
    for other in DTYPES:
        for shape in ((3,), ()):
            if other == "bool" and name in ("sub", "pow", "floordiv", "mod"):
                continue
            array = np.ones(shape, other)
            expected = apply(torch.ones(3, dtype=getattr(torch, dtype)), array)
            x = rl.ones(3, dtype=getattr(rl, dtype))
            assert str(apply(x, array).dtype) == str(expected.dtype)
            y = at_place(x, array)
            assert str(y.dtype) == str(expected.dtype) and y is not x and x.tolist() == [1, 1, 1]


@pytest.mark.filterwarnings("ignore:__array_wrap__ must:DeprecationWarning")  # PyTorch's own
def test_products_with_an_array_have_the_dtype_of_numpys():
    array = np.arange(3)
    for dtype in ("float32", "float64", "int64"):
        expected = torch.ones(2, 3, dtype=getattr(torch, dtype)) @ array
        got = rl.ones(2, 3, dtype=getattr(rl, dtype)) @ array
        assert str(got.dtype) == str(expected.dtype) and got.tolist() == expected.tolist()


@pytest.mark.filterwarnings("ignore:__array_wrap__ must:DeprecationWarning")  # PyTorch's own
def test_truths_of_numpys_functions_are_bytes():
    for t in (torch, rl):
        x = np.isnan(t.tensor([1.0, float("nan")]))
        assert x.dtype == t.uint8 and x.tolist() == [0, 1]


def test_the_constructor_of_all_dtypes_takes_a_tensor_of_any():
    for t in (torch, rl):
        x = t.tensor([1, 2])
        same = t.Tensor(x)
        assert same.dtype == t.int64 and same.data_ptr() == x.data_ptr()
        with pytest.raises(TypeError):
            t.FloatTensor(x)


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


STRANGE = {
    "bytes of other machines": np.ones(2, ">f4"),
    "an integer of other machines": np.array(1, ">i8"),
    "no bytes of other machines": np.zeros(0, ">c8"),
    "long doubles": np.ones(2, np.longdouble),
    "texts": np.array(["a", "b"]),
    "objects": np.array([1, 2.5], object),
    "dates": np.array(["2020-01-01", "2020-01-02"], "M8[D]"),
    "records": np.zeros(2, [("a", "f4")]),
    "a field of records": np.ones(2, [("a", "i1"), ("b", "f4")])["b"],
}


def error_of(call):
    """The built-in type of what a call raises, or None."""
    try:
        call()
    except Exception as error:
        return next(c for c in type(error).__mro__ if c.__module__ == "builtins")
    return None


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize(
    "make",
    [
        lambda t, a: t.tensor(a),
        lambda t, a: t.tensor(a, dtype=t.float32),
        lambda t, a: t.as_tensor(a),
        lambda t, a: t.from_numpy(a),
        lambda t, a: t.ones(1).new_tensor(a),
    ],
)
def test_strange_arrays_are_refused_as_in_torch(name, make):
    expected = error_of(lambda: make(torch, STRANGE[name]))
    assert expected is not None
    if name == "a field of records" and error_of(lambda: make(rl, STRANGE[name])) is None:
        return  # a copy has strides of its own
    assert error_of(lambda: make(rl, STRANGE[name])) is expected


@pytest.mark.parametrize("name", ["long doubles", "texts", "dates", "records"])
def test_strange_arrays_beside_tensors_are_type_errors(name):
    a, x = STRANGE[name], rl.ones(2)
    for call in (lambda: x + a, lambda: a - x, lambda: x @ a, lambda: x > a):
        assert error_of(call) is TypeError
    if name != "long doubles":
        assert error_of(lambda: x + a[0]) is TypeError


def test_bytes_of_other_machines_are_turned_beside_tensors():
    a, x = np.array([1.0, 2.0], ">f4"), rl.tensor([1.0, 3.0])
    assert (x + a).tolist() == [2, 5] and (a - x).tolist() == [0, -1] and (x @ a).item() == 7


def test_no_subclass_of_an_array_gets_in():
    a = np.ma.array([1.0, 2.0], mask=[False, True])
    for x in (rl.tensor(a), rl.from_numpy(a), rl.zeros(2, dtype=rl.float64) + a):
        assert x.tolist() == [1, 2] and type(x._array) is np.ndarray


def test_numpy_does_not_write_to_tensors():
    for lib in (torch, rl):
        with pytest.raises(TypeError):
            np.exp(np.ones(2), lib.ones(2))
        with pytest.raises(TypeError):
            np.add(lib.ones(2), 1, out=lib.ones(2))
