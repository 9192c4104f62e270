"""Under compile: calls with sparse tensors are captured where no gradient of one is asked for; the
rest runs eagerly, and says why.
"""

import warnings

import numpy as np
import pytest

import rushlight
from tests.sparse.common import operands, plain

lib = rushlight


def softmax(o, x):
    scores = (x @ x.t())[:4].reshape(-1)[: o.v.numel()]
    s = lib.sparse_coo_tensor(o.i, scores, (4, 5))
    return lib.sparse.mm(lib.sparse.softmax(s, 1), x)


CAPTURED = {
    "product": lambda o, x: lib.sparse.mm(o.s, x.sin()) + 1,
    "not coalesced": lambda o, x: lib.spmm(o.u, x) * 2,
    "csr": lambda o, x: o.csr @ x,
    "vector": lambda o, x: lib.mv(o.s, x[:, 0]),
    "from the right": lambda o, x: x.t() @ o.square,
    "dense plus sparse": lambda o, x: o.d * x.sum() + o.s,
    "scaled": lambda o, x: (o.s * 3) @ x,
    "times dense": lambda o, x: (o.s * x.sum()) @ x,
    "values": lambda o, x: o.s.values() * x.sum(),
    "transposed": lambda o, x: o.s.t() @ (o.s @ x),
    "sparse product": lambda o, x: (o.s @ o.square) @ x,
    "made inside": lambda o, x: lib.sparse_coo_tensor(o.i, o.v * x.sum(), (4, 5)) @ x,
    "softmax": softmax,
    "sum": lambda o, x: lib.sparse.sum(o.s * x.sum()) + x,
    "to_dense": lambda o, x: o.u.to_dense() @ x,
}


@pytest.mark.parametrize("name", CAPTURED)
def test_captured(name):
    o, call = operands(lib), CAPTURED[name]
    compiled = lib.compile(lambda x: call(o, x), fullgraph=True)
    for k in range(4):
        x = o.m * (k + 1)
        np.testing.assert_allclose(plain(compiled(x)), plain(call(o, x)), rtol=1e-12)


@pytest.mark.parametrize("name", [n for n in CAPTURED if n not in ("values", "vector")])
def test_captured_gradients(name):
    o, call = operands(lib), CAPTURED[name]
    found = []
    for wrap in (lambda f: f, lambda f: lib.compile(f, fullgraph=True)):
        o.v.requires_grad_()
        x = o.m.detach().requires_grad_()

        def step(x=x):
            x.grad = o.v.grad = None
            call(o, x).square().sum().backward()

        step = wrap(step)
        for _ in range(4):
            step()
        found.append([plain(x.grad), plain(o.v.grad)])
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-9)
    if found[0][1] is not None:
        np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-9)


def test_writes_and_other_patterns_are_seen():
    o = operands(lib)
    compiled = lib.compile(lambda x: o.s @ x, fullgraph=True)
    for k in range(8):
        if k == 3:
            o.s.mul_(2)
        if k == 5:
            o.s.copy_(o.other)
        np.testing.assert_allclose(plain(compiled(o.m)), plain(o.s.to_dense() @ o.m), rtol=1e-12)


def test_arguments():
    o = operands(lib)
    compiled = lib.compile(lambda s, x: s @ x.cos(), fullgraph=True)
    for s in (o.s, o.s, o.s, o.s * 2, o.other, o.other, o.other, o.csr, o.csr, o.csr, o.s):
        np.testing.assert_allclose(plain(compiled(s, o.m)), plain(s @ o.m.cos()), rtol=1e-12)


def test_indices_that_are_written_to():
    o = operands(lib)
    i = lib.tensor([[0, 1], [1, 0]])

    def call(x):
        return lib.sparse_coo_tensor(i, x[:2, 0], (2, 5)) @ x

    compiled = lib.compile(call, fullgraph=True)
    for k in range(8):
        if k == 4:
            i[1, 0] = 3
        np.testing.assert_allclose(plain(compiled(o.m)), plain(call(o.m)), rtol=1e-12)


def called(function, *arguments):
    """Results of some compiled calls, and the warnings."""
    compiled = lib.compile(function)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = [compiled(*arguments) for _ in range(4)]
    return found, [str(w.message) for w in said]


EAGER = {
    "returns it": (lambda o, x: o.s * x.sum(), "returns a sparse tensor"),
    "made of dense": (lambda o, x: (x * 2).to_sparse() @ x.t(), "places of a sparse tensor"),
    "in place": (lambda o, x: (o.s * x.sum()).mul_(2) @ x, "writes to sparse"),
    "added in place": (lambda o, x: (o.d * x.sum()).add_(o.s), "in place"),
    "indices": (
        lambda o, x: lib.sparse_coo_tensor((x[:2, :2] > 9).long(), x[0, :2]) @ x[:1], "indices"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EAGER)
def test_eager(name):
    call, why = EAGER[name]
    o = operands(lib)
    found, said = called(lambda x: call(o, x), o.m)
    for out in found:
        np.testing.assert_allclose(plain(out), plain(call(o, o.m)), rtol=1e-12)
    assert len(said) == 1 and why in said[0]


def test_a_returned_tensor_keeps_its_history():
    """Also from the call in which the capture is given up."""
    o = operands(lib)
    o.v.requires_grad_()
    compiled = lib.compile(lambda: lib.sparse_coo_tensor(o.i, o.v * 2, (4, 5)) * 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(4):
            o.v.grad = None
            compiled().to_dense().sum().backward()
            assert plain(o.v.grad).tolist() == [6.0] * 6


def test_a_sparse_leaf():
    o = operands(lib, grad=True)

    def step():
        o.s.grad = None
        (o.s @ o.m.detach()).sum().backward()
        return o.s.grad.to_dense()

    expected = plain(step())
    found, said = called(step)
    for out in found:
        np.testing.assert_allclose(plain(out), expected, rtol=1e-12)
    assert len(said) == 1 and "gradients of sparse tensors" in said[0]


def test_a_step_with_a_sparse_table():
    losses = []
    for wrap in (lib.compile, lambda f: f):
        lib.manual_seed(0)
        e = lib.nn.Embedding(10, 4, sparse=True)
        optimizer = lib.optim.SparseAdam(e.parameters(), 0.1)

        def step(index, e=e, optimizer=optimizer):
            optimizer.zero_grad()
            loss = e(index).square().sum()
            loss.backward()
            optimizer.step()
            return loss

        step = wrap(step)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            losses.append([step(lib.tensor([1, 1, 2])).item() for _ in range(5)])
    assert losses[0] == losses[1]
