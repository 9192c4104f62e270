"""The same sparse tensors for both libraries, and how results are compared."""

from types import SimpleNamespace

import numpy as np
import torch

import rushlight

# (1, 0) and (0, 2) occur twice, out of order
ROWS, COLUMNS = [1, 0, 1, 3, 0, 1], [0, 2, 3, 4, 2, 0]
VALUES = [0.5, -1.5, 2.0, 0.25, 3.0, -0.75]
SHAPE = 4, 5


def operands(lib, dtype="float64", grad=False):
    """Tensors by name: s, of unique places; u, with repeated ones; dense ones; leaves if grad."""
    d = getattr(lib, dtype)
    random = np.random.default_rng(3)

    def dense(*shape):
        t = lib.tensor(random.standard_normal(shape)).to(d)
        return t.requires_grad_() if grad else t

    indices = lib.tensor([ROWS, COLUMNS])
    v = lib.tensor(VALUES, dtype=d)
    u = lib.sparse_coo_tensor(indices, v, SHAPE, check_invariants=False)
    o = SimpleNamespace(lib=lib, i=indices, v=v, u=u, s=u.coalesce())
    o.other = lib.sparse_coo_tensor([[0, 0, 2, 3], [1, 2, 2, 4]], [1.0, 2.0, 3.0, 4.0], SHAPE).to(d)
    o.other = o.other.coalesce()
    o.csr = o.s.to_sparse_csr()
    o.h = lib.sparse_coo_tensor([[2, 0, 2]], dense(3, 2).detach(), (3, 2))
    o.square = lib.sparse_coo_tensor([[0, 1, 1, 4], [4, 0, 3, 1]], [1.0, 2.0, 3.0, 4.0], (5, 5)).to(
        d
    )
    o.positive = o.s.abs()
    if grad:
        o.v.requires_grad_()
        o.u = lib.sparse_coo_tensor(indices, o.v, SHAPE, check_invariants=False)
        o.s = o.s.detach().requires_grad_()
        o.positive = o.positive.detach().requires_grad_()
        o.csr = o.csr.detach().requires_grad_()
        o.h = o.h.detach().requires_grad_()
    o.d, o.m, o.w, o.row = dense(*SHAPE), dense(5, 3), dense(5), dense(5)
    o.left, o.column, o.bias = dense(2, 4), dense(4, 1), dense(4, 3)
    return o


def plain(t):
    """A tensor of either library as a dense array."""
    if t is None or isinstance(t, (bool, int, float, tuple)):
        return t
    return t.detach().to_dense().numpy()


def same(a, b, **tolerance):
    """Whether results of the two libraries agree in layout, shape, dtype and values."""
    if isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y, **tolerance)
        return
    if isinstance(a, rushlight.Tensor):
        assert str(a.layout) == str(b.layout)
        assert tuple(a.shape) == tuple(b.shape)
        assert str(a.dtype) == str(b.dtype)
    np.testing.assert_allclose(plain(a), plain(b), **{"rtol": 1e-6, "atol": 1e-6, **tolerance})


def both(function, **options):
    """``function(operands)`` in both libraries."""
    return [function(operands(lib, **options)) for lib in (rushlight, torch)]
