"""Tensors from sequences in which numbers, NumPy's numbers, arrays and tensors are mixed."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

import rushlight
from rushlight.tensor_api import _common
from tests.ops.calls import builtin

MIXED = {
    "tensors": lambda lib: [lib.tensor(1.0), lib.tensor(2.5)],
    "of one element": lambda lib: (lib.tensor([0]), lib.tensor([3])),
    "of several dims": lambda lib: [[lib.tensor([[1.5]])], [lib.tensor(2)]],
    "two kinds": lambda lib: [lib.tensor(1), lib.tensor(2.5)],
    "tensor and float": lambda lib: [lib.tensor(1.0), 2.5],
    "float and tensor": lambda lib: [[2.5, 1], [lib.tensor(1.0), lib.tensor(True)]],
    "tensor and int": lambda lib: [lib.tensor(1, dtype=lib.int8), 3],
    "half and float": lambda lib: [lib.tensor(1.0, dtype=lib.float16), 2.0],
    "bfloat16 and half": lambda lib: [
        lib.tensor(1.0, dtype=lib.bfloat16),
        lib.tensor(2.0, dtype=lib.float16),
    ],
    "double and int": lambda lib: [1, lib.tensor(1.0, dtype=lib.float64)],
    "int32 and float": lambda lib: [lib.tensor(1, dtype=lib.int32), 2.5],
    "complex": lambda lib: [lib.tensor(1j), 1.0],
    "int8 and uint8": lambda lib: [lib.tensor(1, dtype=d) for d in (lib.int8, lib.uint8)],
    "NumPy's float32 and float": lambda lib: [np.float32(1), 2.5],
    "NumPy's float64 and tensor": lambda lib: [np.float64(1), lib.tensor(1.0)],
    "NumPy's int64 and float": lambda lib: [np.int64(1), 2.5],
    "NumPy's int32 and tensor": lambda lib: [lib.tensor(1.0), np.int32(2)],
    "arrays": lambda lib: [np.array([1, 2]), [3, 4]],
    "numbers": lambda lib: [[1, 2.5], [True, 3]],
    "parameters": lambda lib: [lib.nn.Parameter(lib.tensor(2.0)), 1],
    "refused: several elements": lambda lib: [lib.ones(2), lib.ones(2)],
    "refused: no element": lambda lib: [lib.ones(0)],
}
MAKERS = {
    "tensor": lambda lib, v: lib.tensor(v),
    "as_tensor": lambda lib, v: lib.as_tensor(v),
    "new_tensor": lambda lib, v: lib.zeros(1).new_tensor(v),
    "Tensor": lambda lib, v: lib.Tensor(v),
}


@pytest.mark.filterwarnings(
    "ignore:Converting a tensor with requires_grad", "ignore:Creating a tensor from a list of"
)
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("name", MIXED)
def test_mixed_sequences(name, maker):
    if name == "complex" and maker in ("new_tensor", "Tensor"):
        for lib in (torch, rushlight):
            with pytest.raises(TypeError, match="must be real number"):
                MAKERS[maker](lib, [1j, 1.0])
        return
    if name.startswith("refused"):
        for lib in (torch, rushlight):
            with pytest.raises(ValueError, match="only one element tensors"):
                MAKERS[maker](lib, MIXED[name](lib))
        return
    expected, got = (MAKERS[maker](lib, MIXED[name](lib)) for lib in (torch, rushlight))
    assert str(got.dtype) == str(expected.dtype)
    assert got.tolist() == expected.tolist()


NUMBERS = """
    [-1],uint8 -256,uint8 [-256],uint8 -255,uint8 [256],uint8 [300.0],uint8 300.5,uint8
    [300],int8 [-129],int8 [[1,2**40],[3,4]],int16 [True,300],uint8 2**31,int32 -2**31,int32
    [1e10],int32 1e10,int32 [1e30],int64 [float("nan")],int64 float("nan"),int64 float("inf"),int32
    2**64-1,uint64 [2**64-1],uint64 [2**64],uint64 [2**64],None [1,2**63],None 2**63,None
    2**63,float32 [2**63],float32 [2**63,1.5],None [2**200],float64 [2**63],bool 2**70,bool
    [1j],float32 1j,float32 [1+0j],float32 [1j],int32 1j,int32 1j,bool [1j],bool [1e300],float32
    70000,float16 [1e300j],complex64 np.int64(300),uint8 [np.int64(300)],uint8 np.array([300]),uint8
    1.7,int64 [1.7,-1.2],int32 [],None [],int64 [[]],float32
"""


@pytest.mark.parametrize("maker", ["tensor", "as_tensor"])
@pytest.mark.parametrize("case", NUMBERS.split())
def test_numbers_that_a_dtype_cannot_hold_are_refused(case, maker):
    value, _, dtype = case.rpartition(",")
    found = []
    for lib in (torch, rushlight):
        try:
            x = getattr(lib, maker)(eval(value), dtype=getattr(lib, dtype, None))
            found.append((str(x.dtype), x.tolist()))
        except OverflowError:
            found.append(OverflowError)
        except Exception as error:
            found.append(builtin(error))
    assert found[0] == found[1]


def test_legacy_constructors_refuse_them_too():
    for lib in (torch, rushlight):
        for name, value, error in (
            ("ByteTensor", [300], RuntimeError), ("LongTensor", [2**63], ValueError),
            ("FloatTensor", [1j], TypeError), ("IntTensor", [1j], TypeError),
        ):  # fmt: skip
            with pytest.raises(error):
                getattr(lib, name)(value)
        assert lib.ByteTensor([-1]).tolist() == [255]


def test_copies_of_tensors_keep_their_strides():
    for lib in (torch, rushlight):
        x = lib.arange(6.0).view(2, 3).T.requires_grad_()
        with pytest.warns(UserWarning, match="copy construct"):
            copy = lib.tensor(x, dtype=lib.float64)
        assert (copy.stride(), copy.requires_grad) == ((1, 3), False)


def test_asarray_keeps_the_graph():
    assert rushlight.asarray(rushlight.ones(2, requires_grad=True), copy=True).requires_grad


LOSSES = {
    "float": (lambda lib, x: float(x), 1),
    "complex": (lambda lib, x: complex(x), 1),
    "a function": (lambda lib, x: math.exp(x), 1),
    "tensor": (lambda lib, x: lib.tensor([[x, 1.0]]), 1),
    "int": (lambda lib, x: int(x), 0),
    "item": (lambda lib, x: x.item(), 0),
    "detached": (lambda lib, x: float(x.detach()), 0),
    "no_grad": (lambda lib, x: lib.no_grad()(lambda: float(x))(), 0),
}


@pytest.mark.parametrize("name", LOSSES)
def test_numbers_leave_gradients_behind(name):
    call, count = LOSSES[name]
    _common.once.said.clear()
    torch.set_warn_always(True)
    try:
        for lib in (torch, rushlight):
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always")
                call(lib, lib.tensor(2.0, requires_grad=True))
            assert [str(w.message)[:47] for w in found] == [
                "Converting a tensor with requires_grad=True to "
            ] * count
    finally:
        torch.set_warn_always(False)


def test_numbers_leave_gradients_behind_is_said_once():
    _common.once.said.clear()
    x = rushlight.ones((), requires_grad=True)
    with pytest.warns(UserWarning, match="leaves its gradient behind"):
        float(x)
    float(x)


def test_a_row_of_another_length_is_not_looked_for():
    for t in (torch, rushlight):
        with pytest.raises(RuntimeError):
            t.ones(2) in t.ones(2, 3)  # noqa: B015
