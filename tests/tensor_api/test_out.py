"""`out=` that shares memory with what is read."""

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
