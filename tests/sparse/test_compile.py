"""Under compile, a call with sparse tensors runs eagerly, and says why."""

import warnings

import numpy as np
import pytest

import rushlight
from tests.sparse.common import operands, plain


def called(function, *arguments):
    """Results of three compiled calls, and the warnings."""
    compiled = rushlight.compile(function)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = [compiled(*arguments) for _ in range(3)]
    return found, [str(w.message) for w in said]


CALLS = {
    "closed over": lambda o: lambda x: rushlight.sparse.mm(o.s, x.sin()) + 1,
    "made inside": lambda o: lambda x: rushlight.sparse_coo_tensor(o.i, o.v * x.sum(), (4, 5)) @ x,
    "in place": lambda o: lambda x: (x.t() * 2).add_(o.s[:4, :3].to_dense().t()[:3, :4].sum()),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls(name):
    o = operands(rushlight)
    function = CALLS[name](o)
    found, said = called(function, o.m)
    for out in found:
        np.testing.assert_allclose(plain(out), plain(function(o.m)), rtol=1e-12)
    assert len(said) == 1 and "sparse" in said[0]


def test_an_argument():
    o = operands(rushlight)
    found, said = called(lambda s, x: s @ x, o.s, o.m)
    for out in found:
        np.testing.assert_allclose(plain(out), plain(o.s @ o.m), rtol=1e-12)
    assert len(said) == 1 and "sparse" in said[0]


def test_a_step_with_a_sparse_table():
    losses = []
    for wrap in (rushlight.compile, lambda f: f):
        rushlight.manual_seed(0)
        e = rushlight.nn.Embedding(10, 4, sparse=True)
        optimizer = rushlight.optim.SparseAdam(e.parameters(), 0.1)

        def step(index, e=e, optimizer=optimizer):
            optimizer.zero_grad()
            loss = e(index).square().sum()
            loss.backward()
            optimizer.step()
            return loss

        step = wrap(step)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            losses.append([step(rushlight.tensor([1, 1, 2])).item() for _ in range(5)])
    assert losses[0] == losses[1]
