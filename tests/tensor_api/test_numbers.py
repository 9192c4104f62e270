"""Numbers that the dtype of a computation cannot hold, against torch: same result, or an error of
the same type.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import rushlight
from tests.ops.calls import builtin

MASK = [True, False]
CALLS = {
    "where": lambda lib, x, v: lib.where(lib.tensor(MASK), x, v),
    "where, number first": lambda lib, x, v: lib.where(lib.tensor(MASK), v, x),
    "scatter": lambda lib, x, v: x.scatter(0, lib.tensor([0]), v),
    "scatter_": lambda lib, x, v: x.scatter_(0, lib.tensor([0]), v),
    "scatter_ add": lambda lib, x, v: x.scatter_(0, lib.tensor([0]), v, reduce="add"),
    "pad": lambda lib, x, v: lib.constant_pad_nd(x, (1, 1), v),
    "add": lambda lib, x, v: lib.add(x, x, alpha=v),
    "add_": lambda lib, x, v: x.add_(x.clone(), alpha=v),
    "sub": lambda lib, x, v: lib.sub(x, x, alpha=v),
    "addcmul": lambda lib, x, v: lib.addcmul(x, x, x, value=v),
    "addcmul_": lambda lib, x, v: x.addcmul_(x.clone(), x.clone(), value=v),
    "addmm": lambda lib, x, v: lib.addmm(x, x[None].T, x[None], alpha=v),
    "addmm, beta": lambda lib, x, v: lib.addmm(x, x[None].T, x[None], beta=v),
    "index_add": lambda lib, x, v: x.index_add(0, lib.tensor([0]), x[:1], alpha=v),
    "pow": lambda lib, x, v: x**v,
    "masked_fill": lambda lib, x, v: x.masked_fill(lib.tensor(MASK), v),
    "fill_": lambda lib, x, v: x.fill_(v),
}
DTYPES = ["float32", "float64", "float16", "bfloat16", "int64", "int8", "uint8", "complex64"]
VALUES = [1e60, -1e60, 70000, 300, -1, -129, 2**33, float("inf")]


def outcome(lib, call, dtype, value):
    try:
        x = call(lib, lib.tensor([1, 2]).to(getattr(lib, dtype)), value)
    except Exception as error:
        return builtin(error)
    return str(x.dtype), np.array(x.to(lib.complex128).tolist())


@pytest.mark.filterwarnings("ignore:An output with one or more")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CALLS)
def test_numbers_out_of_range(name, dtype):
    for value in VALUES:
        expected, got = (outcome(lib, CALLS[name], dtype, value) for lib in (torch, rushlight))
        assert isinstance(got, type) == isinstance(expected, type), (value, got, expected)
        if isinstance(got, type):
            assert got is expected, value
        else:
            assert got[0] == expected[0], value
            np.testing.assert_allclose(got[1], expected[1], rtol=1e-2, err_msg=str(value))
