"""Names and calls that programs of old use, and private ones that libraries import."""

from __future__ import annotations

import pytest
import torch

import rushlight

LIBRARIES = pytest.mark.parametrize("lib", [torch, rushlight], ids=["torch", "rushlight"])


@LIBRARIES
def test_new(lib):
    x = lib.ones(2, 3, dtype=lib.int32)
    for sizes in ((x.size(),), (x.shape,), (2, 3), (lib.ones(2, 3).int(),)):
        assert x.new(*sizes).shape == (2, 3) and x.new(*sizes).dtype == lib.int32
    assert x.new(lib.Size([])).shape == () and x.new().shape == (0,)
    assert x.new([2, 3]).tolist() == x.new((2, 3)).tolist() == [2, 3]
    assert x.to("meta").new(x.size()).device == lib.device("meta")


@LIBRARIES
def test_the_class_as_a_type(lib):
    x = lib.tensor([2, 3])
    assert x.type(lib.Tensor).dtype == x.type("torch.Tensor").dtype == lib.float32
    lib.set_default_dtype(lib.float64)
    try:
        assert x.type(lib.Tensor).dtype == lib.float64
    finally:
        lib.set_default_dtype(lib.float32)
    assert lib.nn.Linear(2, 2).half().type(lib.Tensor).weight.dtype == lib.float32


@LIBRARIES
def test_volatile(lib):
    with pytest.warns(UserWarning, match="volatile"):
        v = lib.autograd.Variable(lib.ones(2), volatile=True)
    assert not v.requires_grad


@LIBRARIES
def test_tensors_as_one(lib):
    utils = lib._utils
    tensors = [lib.ones(2, 3), lib.zeros(4), lib.tensor(2.0)]
    flat = utils._flatten_dense_tensors(tensors)
    parts = utils._unflatten_dense_tensors(flat, tensors)
    assert flat.shape == (11,) and [p.shape for p in parts] == [t.shape for t in tensors]
    assert all(lib.equal(p, t) for p, t in zip(parts, tensors, strict=True))


@pytest.mark.parametrize("limit", [1, 8, 16, 24, 40, 1000])
def test_tensors_in_buckets(limit):
    def shapes(lib):
        dtypes = [lib.float32, lib.float32, lib.int64, lib.float32, lib.int64, lib.float32]
        tensors = [lib.zeros(k, dtype=d) for k, d in enumerate(dtypes, 1)]
        return [[len(t) for t in bucket] for bucket in lib._utils._take_tensors(tensors, limit)]

    assert shapes(rushlight) == shapes(torch)


@LIBRARIES
def test_functions_of_private_modules(lib):
    x = lib.tensor([1.0, -1.0])
    assert lib.equal(lib._C._nn.gelu(x), lib.nn.functional.gelu(x))
    assert lib._VF.lstm_cell and lib.nn.functional.grad.conv2d_input
    assert lib.storage.TypedStorage is lib.TypedStorage


@LIBRARIES
def test_numbers_of_reductions(lib):
    numbers = lib.nn.functional._Reduction
    assert [numbers.get_enum(r) for r in ("none", "mean", "sum")] == [0, 1, 2]
    assert numbers.legacy_get_enum(False, True, emit_warning=False) == 2
    with pytest.warns(UserWarning, match="elementwise_mean"):
        assert numbers.get_enum("elementwise_mean") == 1
    with pytest.raises(ValueError):
        numbers.get_enum("batchmean")


def test_private_names_of_vision():
    assert rushlight.vision._is_tracing() is False


@LIBRARIES
def test_what_a_variable_takes(lib):
    assert lib.autograd.Variable().tolist() == lib.autograd.Variable(None).tolist() == []
    for data in ([1, 2], 1):
        with pytest.raises(TypeError, match="Variable data has to be a tensor, but got"):
            lib.autograd.Variable(data)


@pytest.mark.parametrize("equation", ["ij->ij", "ij", "..."])
@LIBRARIES
def test_einsum_gives_another_tensor_on_the_same_memory(lib, equation):
    x = lib.ones(2, 2, requires_grad=True)
    y = lib.einsum(equation, x)
    assert y is not x and y.data_ptr() == x.data_ptr() and not y.is_leaf
    y.sum().backward()
    assert x.grad.tolist() == [[1.0, 1.0]] * 2
