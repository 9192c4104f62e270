"""`out=` that shares memory with what is read."""

import numpy as np
import pytest
import torch

import rushlight

CALLS = {
    "take": lambda lib, x, i: lib.take(x, i, out=x[:3]),
    "gather": lambda lib, x, i: lib.gather(x, 0, i, out=x[:3]),
    "masked_select": lambda lib, x, i: lib.masked_select(x, x > 0, out=x),
    "kthvalue": lambda lib, x, i: lib.kthvalue(x, 2, out=(x[:1], i[:1])),
    "index_select": lambda lib, x, i: lib.index_select(x, 0, i, out=lib.zeros(1).expand(3)),
    "aminmax of another dtype": lambda lib, x, i: lib.aminmax(
        x, out=(lib.zeros(()), lib.zeros((), dtype=lib.float64))
    ),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("lib", [torch, rushlight])
def test_refused(lib, name):
    x, i = lib.tensor([1.0, -2.0, 3.0, 4.0]), lib.tensor([3, 0, 1])
    with pytest.raises(RuntimeError):
        CALLS[name](lib, x, i)


EXACT = {
    "abs": lambda lib, x, out: lib.abs(x, out=out),
    "ceil": lambda lib, x, out: lib.ceil(x, out=out),
    "signbit": lambda lib, x, out: lib.signbit(x, out=out),
    "heaviside": lambda lib, x, out: lib.heaviside(x, x, out=out),
    "round": lambda lib, x, out: lib.round(x, out=out),
    "where": lambda lib, x, out: lib.where(x > 0, x, x, out=out),
    "lerp": lambda lib, x, out: lib.lerp(x, x, x, out=out),
    "nan_to_num": lambda lib, x, out: lib.nan_to_num(x, out=out),
    "softmax": lambda lib, x, out: lib.softmax(x, 0, out=out),
    "gelu": lambda lib, x, out: lib._C._nn.gelu(x, out=out),
    "amax": lambda lib, x, out: lib.amax(x, 0, out=out),
    "argmax": lambda lib, x, out: lib.argmax(x, 0, out=out),
    "all": lambda lib, x, out: lib.all(x, 0, out=out),
    "norm": lambda lib, x, out: lib.norm(x, 2, 0, out=out),
    "clamp": lambda lib, x, out: lib.clamp(x, 0, 1, out=out),
    "logcumsumexp": lambda lib, x, out: lib.logcumsumexp(x, 0, out=out),
    "histc": lambda lib, x, out: lib.histc(x, 2, out=out),
    "msort": lambda lib, x, out: lib.msort(x, out=out),
    "quantile": lambda lib, x, out: lib.quantile(x, 0.5, out=out),
    "searchsorted": lambda lib, x, out: lib.searchsorted(x[0], x, out=out),
    "isin": lambda lib, x, out: lib.isin(x, x, out=out),
    "take": lambda lib, x, out: lib.take(x, lib.tensor([0]), out=out),
    "index_select": lambda lib, x, out: lib.index_select(x, 0, lib.tensor([0]), out=out),
    "scatter": lambda lib, x, out: lib.scatter(x, 0, lib.tensor([[0]]), 1.0, out=out),
    "masked_select": lambda lib, x, out: lib.masked_select(x, x > 0, out=out),
    "diag": lambda lib, x, out: lib.diag(x, out=out),
    "t_copy": lambda lib, x, out: lib.t_copy(x, out=out),
    "inverse": lambda lib, x, out: lib.linalg.inv(x, out=out),
    "svdvals": lambda lib, x, out: lib.linalg.svdvals(x, out=out),
    "sort": lambda lib, x, out: lib.sort(x, out=(out, lib.zeros(0, dtype=lib.int64))),
    "ones": lambda lib, x, out: lib.ones(2, dtype=lib.float32, out=out),
    "linspace": lambda lib, x, out: lib.linspace(0, 1, 2, dtype=lib.float32, out=out),
}


@pytest.mark.parametrize("dtype", ["float64", "float16", "complex64"])
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("lib", [torch, rushlight])
def test_another_dtype_is_refused(lib, name, dtype):
    x = lib.tensor([[1.0, -2.0], [3.0, 4.0]])
    with pytest.raises(RuntimeError):
        EXACT[name](lib, x, lib.zeros(0, dtype=getattr(lib, dtype)))


PROMOTED = {
    "add": lambda lib, x, out: lib.add(x, x, out=out),
    "exp": lambda lib, x, out: lib.exp(x, out=out),
    "eq": lambda lib, x, out: lib.eq(x, x, out=out),
    "sum": lambda lib, x, out: lib.sum(x, 0, out=out),
    "clamp": lambda lib, x, out: lib.clamp(x, x, x, out=out),
    "lerp": lambda lib, x, out: lib.lerp(x, x, 0.5, out=out),
    "cumsum": lambda lib, x, out: lib.cumsum(x, 0, out=out),
    "diff": lambda lib, x, out: lib.diff(x, out=out),
    "outer": lambda lib, x, out: lib.outer(x[0], x[1], out=out),
    "kron": lambda lib, x, out: lib.kron(x, x, out=out),
    "geqrf": lambda lib, x, out: lib.geqrf(x, out=(out, lib.zeros(0)))[0],
    "cat": lambda lib, x, out: lib.cat([x, x], out=out),
    "pinv": lambda lib, x, out: lib.linalg.pinv(x, out=out),
}


@pytest.mark.parametrize("name", PROMOTED)
def test_others_convert(name):
    results = []
    for lib in (torch, rushlight):
        out = lib.zeros(0, dtype=lib.float64)
        assert PROMOTED[name](lib, lib.tensor([[1.0, -2.0], [3.0, 4.0]]), out) is out
        results.append(out.numpy())
    np.testing.assert_allclose(results[1], results[0], 1e-6)


@pytest.mark.parametrize("name", ["empty", "zeros", "ones"])
@pytest.mark.parametrize("lib", [torch, rushlight])
def test_new_values_take_the_place_of_others_silently(lib, name):
    out = lib.full((5, 3), 7.0)
    assert getattr(lib, name)(2, 2, out=out) is out and out.shape == (2, 2)
    assert lib.eye(3, out=out) is out and out.tolist() == lib.eye(3).tolist()
    assert lib.full((1,), 2.0, out=out) is out and out.tolist() == [2]
    assert lib.linspace(0, 1, 2, out=out) is out and out.tolist() == [0, 1]
    square = lib.zeros(2, 2)
    assert lib.linspace(0, 3, 4, out=square).tolist() == [[0, 1], [2, 3]]


JOINS = {
    "itself": lambda lib, x: lib.cat((x, x[:0]), out=x),
    "a part": lambda lib, x: lib.stack((x[:2], x[2:]), out=x[1:3]),
}


@pytest.mark.parametrize("name", JOINS)
@pytest.mark.parametrize("lib", [torch, rushlight])
def test_joins_refuse_what_they_read(lib, name):
    with pytest.raises(RuntimeError, match="single memory location"):
        JOINS[name](lib, lib.tensor([1.0, -2.0, 3.0, 4.0]))


@pytest.mark.parametrize("lib", [torch, rushlight])
def test_joins_refuse_an_empty_tensor_that_they_read(lib):
    nothing = lib.zeros(0)
    with pytest.raises(RuntimeError, match="single memory location"):
        lib.cat((nothing, lib.ones(2)), out=nothing)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (3, 1)])
def test_addbmm_in_place_grows_its_tensor(shape):
    def grown(lib):
        leaf = lib.full(shape, 2.0, requires_grad=True)
        x = leaf.clone()
        out = x.addbmm_(lib.ones(2, 3, 5), lib.ones(2, 5, 4), beta=0.5)
        (out * lib.arange(12.0).reshape(3, 4)).sum().backward()
        assert out is x
        return [t.detach().numpy() for t in (x, leaf.grad)]

    for ours, theirs in zip(grown(rushlight), grown(torch), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["sort", "max", "topk", "unbind_copy"])
def test_where_one_of_several_is_refused_none_is_written(name):
    x = rushlight.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]])
    outs = [rushlight.full((2, 3), 7.0), rushlight.full((2, 3), 7, dtype=rushlight.int32)]
    options = {"sort": (), "max": (1,), "topk": (2,), "unbind_copy": (0,)}[name]
    with pytest.raises(RuntimeError):
        getattr(rushlight, name)(x, *options, out=outs)
    assert all(out.shape == (2, 3) and (out == 7).all() for out in outs)
