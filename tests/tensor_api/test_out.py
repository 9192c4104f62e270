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
