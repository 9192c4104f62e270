"""What is refused: the same exception types as PyTorch's, and texts that help."""

import numpy as np
import pytest
import torch

import rushlight
from tests.sparse.common import operands

BOTH = {
    "more values than indices": lambda o: o.lib.sparse_coo_tensor([[0, 1]], [1.0, 2.0, 3.0], (3,)),
    "neither indices nor a size": lambda o: o.lib.sparse_coo_tensor(),
    "a dim too many": lambda o: o.lib.sparse_coo_tensor([[0, 1]], [1.0, 2.0], (3, 3)),
    "dense sizes": lambda o: o.lib.sparse_coo_tensor([[0, 1]], o.lib.ones(2, 4), (3, 3)),
    "index too large": lambda o: o.lib.sparse_coo_tensor(
        [[0, 5]], [1.0, 2.0], (3,), check_invariants=True
    ),
    "index below 0": lambda o: o.lib.sparse_coo_tensor([[0, -1]], [1.0, 2.0]),
    "false promise": lambda o: o.lib.sparse_coo_tensor(
        [[1, 0]], [1.0, 2.0], is_coalesced=True, check_invariants=True
    ),
    "rows": lambda o: o.lib.sparse_csr_tensor(
        [0, 2], [2, 0, 2], [1.0, 2, 3], (2, 3), check_invariants=True
    ),
    "row ends": lambda o: o.lib.sparse_csr_tensor(
        [0, 1, 4], [2, 0, 2], [1.0, 2, 3], (2, 3), check_invariants=True
    ),
    "columns": lambda o: o.lib.sparse_csr_tensor(
        [0, 1, 3], [2, 0, 5], [1.0, 2, 3], (2, 3), check_invariants=True
    ),
    "order": lambda o: o.lib.sparse_csr_tensor(
        [0, 2, 3], [2, 0, 2], [1.0, 2, 3], (2, 3), check_invariants=True
    ),
    "too large": lambda o: o.lib.sparse_coo_tensor([[0]] * 3, [1.0], (2**40,) * 3),
    "joined sizes": lambda o: o.lib.cat([o.s, o.s.t()]),
    "joined sparse dims": lambda o: o.lib.cat([o.s, o.d.to_sparse(1)]),
    "uncoalesced values": lambda o: o.u.values(),
    "uncoalesced indices": lambda o: o.u.indices(),
    "values of dense": lambda o: o.d.values(),
    "indices of csr": lambda o: o.csr.indices(),
    "coalesce dense": lambda o: o.d.coalesce(),
    "rows of coo": lambda o: o.s.crow_indices(),
    "plus a number": lambda o: o.s + 1,
    "divided by sparse": lambda o: o.s / o.s,
    "divided by dense": lambda o: o.s / o.d,
    "shapes": lambda o: o.s + o.square,
    "mm": lambda o: o.s @ o.d,
    "dtypes": lambda o: o.s @ o.m.float(),
    "exp": lambda o: o.s.exp(),
    "cos": lambda o: o.lib.cos(o.s),
    "compare": lambda o: o.s == o.s,
    "max": lambda o: o.s.max(),
    "mean": lambda o: o.s.mean(),
    "view": lambda o: o.s.view(-1),
    "reshape": lambda o: o.s.reshape(-1),
    "numpy": lambda o: o.s.numpy(),
    "tolist": lambda o: o.s.tolist(),
    "bool": lambda o: bool(o.s),
    "fill_": lambda o: o.s.fill_(1),
    "copy_": lambda o: o.s.copy_(o.d),
    "copy_ to dense": lambda o: o.d.copy_(o.s),
    "cat": lambda o: o.lib.cat([o.s, o.d]),
    "softmax": lambda o: o.s.softmax(1),
    "transposed hybrid": lambda o: o.h.transpose(0, 1),
    "dropout": lambda o: o.lib.nn.functional.dropout(o.s, 0.5),
    "data_ptr": lambda o: o.s.data_ptr(),
    "mask of dense": lambda o: o.d.sparse_mask(o.d),
}


def raised(function, lib):
    try:
        function(operands(lib))
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("name", BOTH)
def test_the_same_exception(name):
    theirs, ours = raised(BOTH[name], torch), raised(BOTH[name], rushlight)
    assert isinstance(ours, type(theirs)), (type(ours), ours)


@pytest.mark.parametrize("name", ["exp", "compare", "max", "view", "softmax"])
def test_the_text_says_what_to_do(name):
    assert ".to_dense()" in str(raised(BOTH[name], rushlight))


def test_indices_are_always_checked():
    """PyTorch leaves that to ``check_invariants``, and crashes."""
    with pytest.raises(RuntimeError, match="found index 5"):
        rushlight.sparse_coo_tensor([[0, 5]], [1.0, 2.0], (3,))
    with pytest.raises(RuntimeError, match="ncols"):
        rushlight.sparse_csr_tensor([0, 1, 3], [2, 0, 5], [1.0, 2, 3], (2, 3))


def test_invariants_switch():
    check = rushlight.sparse.check_sparse_tensor_invariants
    assert not check.is_enabled()
    with check(), pytest.raises(RuntimeError, match="sorted"):
        rushlight.sparse_csr_tensor([0, 2, 3], [2, 0, 2], [1.0, 2, 3], (2, 3))
    assert not check.is_enabled()
    rushlight.sparse_csr_tensor([0, 2, 3], [2, 0, 2], [1.0, 2, 3], (2, 3))
    check.enable()
    assert check.is_enabled()
    check.disable()


def test_numpy_functions_refuse():
    with pytest.raises(TypeError, match="to_dense"):
        np.asarray(operands(rushlight).s)
