"""Gradients of order 1 and 2, of values, of dense operands, and of sparse leaves."""

import numpy as np
import pytest
import torch

import rushlight
from tests.sparse.common import both, operands, plain, same

# of what each call uses, the leaves whose gradients PyTorch has too
CALLS = {
    "to_dense": (lambda o: o.u.to_dense(), "v"),
    "to_dense of a leaf": (lambda o: o.s.to_dense(), "s"),
    "to_dense of a hybrid": (lambda o: o.h.to_dense(), "h"),
    "coalesce": (lambda o: o.u.coalesce().values(), "v"),
    "values": (lambda o: o.s.values(), "s"),
    "mm": (lambda o: o.lib.mm(o.u, o.m), "v m"),
    "sparse.mm": (lambda o: o.lib.sparse.mm(o.u, o.m), "v m"),
    "sparse.mm of a leaf": (lambda o: o.lib.sparse.mm(o.s, o.m), "s m"),
    "csr": (lambda o: o.lib.sparse.mm(o.csr, o.m), "csr m"),
    "mv": (lambda o: o.lib.mv(o.u, o.w), "v w"),
    "dense @ sparse": (lambda o: o.left @ o.u, "v left"),
    "addmm": (lambda o: o.lib.sparse.addmm(o.bias, o.s, o.m, beta=2, alpha=3), "s m bias"),
    "sparse @ sparse": (lambda o: o.lib.sparse.mm(o.s, o.square).to_dense(), "s"),
    "sum": (lambda o: o.lib.sparse.sum(o.s), "s"),
    "sum of rows": (lambda o: o.lib.sparse.sum(o.s, 1).to_dense(), "s"),
    "twice": (lambda o: (o.s * 2 + o.s / 4).to_dense(), "s"),
    "times itself": (lambda o: (o.s * o.s).to_dense(), "s"),
    "times dense": (lambda o: (o.s * o.d).to_dense(), "s"),
    "dense plus": (lambda o: o.d + o.u, "d v"),
    "neg": (lambda o: (-o.s).to_dense(), "s"),
    "abs": (lambda o: o.s.abs().to_dense(), "s"),
    "relu": (lambda o: o.s.relu().to_dense(), "s"),
    "square": (lambda o: (o.s**2).to_dense(), "s"),
    "t": (lambda o: o.lib.sparse.mm(o.u.t(), o.bias), "v bias"),
    "softmax": (lambda o: o.lib.sparse.softmax(o.s, 1).to_dense(), "s"),
    "log_softmax": (lambda o: o.lib.sparse.log_softmax(o.s, 0).to_dense(), "s"),
    "mask": (lambda o: o.d.sparse_mask(o.s.detach()).to_dense(), "d"),
    "to_sparse": (lambda o: o.d.to_sparse().to_dense(), "d"),
    "to_sparse_csr": (lambda o: o.d.to_sparse_csr().to_dense(), "d"),
    "double": (lambda o: o.s.float().to_dense(), "s"),
    "clone": (lambda o: o.s.clone().to_dense(), "s"),
}


def gradients(o, call, names):
    out = call(o)
    weights = o.lib.linspace(-1.0, 2.0, out.numel(), dtype=out.dtype).reshape(out.shape)
    (out * weights).sum().backward()
    return [out, *[getattr(o, name).grad for name in names.split()]]


@pytest.mark.parametrize("name", CALLS)
def test_first_order(name):
    call, names = CALLS[name]
    ours, theirs = both(lambda o: gradients(o, call, names), grad=True)
    same(ours, theirs)


# where PyTorch has none, or gives a dense gradient: against the dense computation
MORE = {
    "sqrt": lambda o, s: o.lib.sqrt(s * s),
    "sin": lambda o, s: s.sin(),
    "tanh": lambda o, s: s.tanh(),
    "times sparse": lambda o, s: s * o.other,
    "plus": lambda o, s: s + o.other,
    "minus": lambda o, s: o.other - s,
    "rows scaled": lambda o, s: s * o.column,
    "columns scaled": lambda o, s: s * o.row,
    "index": lambda o, s: s[1],
    "slice": lambda o, s: s[1:3, ::2],
    "index_select": lambda o, s: s.index_select(0, o.lib.tensor([1, 0, 1])),
    "cat": lambda o, s: o.lib.cat([s, s * 2], 1),
    "stack": lambda o, s: o.lib.stack([s, s * 2]),
    "unsqueeze": lambda o, s: s.unsqueeze(1),
    "sum": lambda o, s: s.sum(0),
    "sum of all": lambda o, s: s.sum(),
    "norm": lambda o, s: s.norm(),
    "mm": lambda o, s: s @ o.m,
    "product": lambda o, s: s @ s.t(),
    "bmm": lambda o, s: o.lib.bmm(o.lib.stack([s, s]), o.lib.stack([o.m, o.m])),
    "linear": lambda o, s: o.lib.nn.functional.linear(s, o.m.t(), o.bias[0]),
    "powers": lambda o, s: s**3,
}


@pytest.mark.parametrize("name", MORE)
def test_against_dense(name):
    call, found = MORE[name], []
    for dense in (False, True):
        o = operands(rushlight, grad=True)
        x = o.u
        if dense:
            x, o.other = x.to_dense(), o.other.to_dense()
        out = call(o, x).to_dense()
        weights = rushlight.linspace(-1.0, 2.0, out.numel(), dtype=out.dtype).reshape(out.shape)
        (out * weights).sum().backward()
        leaves = (o.v, o.m, o.row, o.column, o.bias)
        found.append([out, *[None if t.grad is None else plain(t.grad) for t in leaves]])
    a, b = found
    same(a[0], b[0])
    for x, y in zip(a[1:], b[1:], strict=True):
        assert (x is None) == (y is None)
        if x is not None:
            np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-9)


SECOND = {
    "sparse.mm": (lambda o: o.lib.sparse.mm(o.u, o.m), "v m"),
    "mv": (lambda o: o.lib.mv(o.u, o.w), "v w"),
    "to_dense": (lambda o: o.u.to_dense(), "v"),
    "softmax": (lambda o: o.lib.sparse.softmax(o.u, 1).to_dense(), "v"),
    "product": (lambda o: o.lib.sparse.mm(o.u, o.u.t()).to_dense(), "v"),
    "times dense": (lambda o: (o.u * o.d).to_dense(), "v d"),
    "sampled": (
        lambda o: o.lib.sparse.sampled_addmm(o.csr, o.left.t(), o.left @ o.d).to_dense(),
        "left d",
    ),
}


@pytest.mark.parametrize("name", SECOND)
def test_finite_differences(name):
    call, names = SECOND[name]
    o = operands(rushlight, grad=True)
    leaves = [getattr(o, n) for n in names.split()]

    def function(*tensors):
        for n, t in zip(names.split(), tensors, strict=True):
            setattr(o, n, t)
        o.u = rushlight.sparse_coo_tensor(o.i, o.v, (4, 5))
        return call(o)

    assert rushlight.autograd.gradcheck(function, leaves)
    assert rushlight.autograd.gradgradcheck(function, leaves)


def test_second_order_is_torchs():
    def second(o):
        y = o.lib.sparse.mm(o.s, o.m)
        (g,) = o.lib.autograd.grad(y.pow(2).sum(), o.s, create_graph=True)
        return o.lib.autograd.grad(o.lib.sparse.sum(g), o.m)

    ours, theirs = both(second, grad=True)
    same(ours, theirs)


def test_accumulation():
    def accumulated(o):
        found = []
        for _ in range(3):
            o.lib.sparse.mm(o.s, o.m).sum().backward()
            found.append(o.s.grad.clone())
        return found

    ours, theirs = both(accumulated, grad=True)
    same(ours, theirs)


def test_matmul_gives_sparse_leaves_sparse_gradients():
    """PyTorch's are dense, with elements where the matrix has no entries."""
    o = operands(rushlight, grad=True)
    (o.s @ o.m).sum().backward()
    assert o.s.grad.is_sparse and o.s.grad._nnz() == o.s._nnz()


def test_in_place_is_recorded():
    for lib in (rushlight, torch):
        o = operands(lib, grad=True)
        s = o.s * 1
        s.mul_(3)
        s.to_dense().sum().backward()
        assert plain(o.s.grad).sum() == 12
