"""What functions of sparse tensors give: values, layout, dtype, repr."""

import numpy as np
import pytest
import torch

import rushlight
from rushlight.tensor_api import _common
from tests.sparse.common import SHAPE, both, operands, plain, same

ZERO_STAYS = """
    neg abs sign sgn nan_to_num sqrt square sin tan asin atan sinh tanh asinh atanh expm1 log1p
    deg2rad rad2deg floor ceil trunc round frac relu erf erfinv isnan isinf isposinf isneginf
    signbit positive
""".split()  # noqa: SIM905

CALLS = {
    "to_dense": lambda o: (o.s.to_dense(), o.u.to_dense(), o.csr.to_dense(), o.h.to_dense()),
    "coalesce": lambda o: (o.u.coalesce(), o.h.coalesce(), o.s.coalesce()),
    "parts": lambda o: (o.u._indices(), o.u._values(), o.s.indices(), o.s.values()),
    "csr parts": lambda o: (o.csr.crow_indices(), o.csr.col_indices(), o.csr.values()),
    "marked": lambda o: (
        o.s._coalesced_(False).is_coalesced(), o.s._coalesced_(True).is_coalesced(),
        o.s._coalesced_(True),
    ),
    "compressed": lambda o: (
        o.lib._convert_indices_from_coo_to_csr(o.s.indices()[0], len(o.s)),
        o.lib._convert_indices_from_coo_to_csr(o.s.indices()[0], len(o.s), out_int32=True),
        o.lib._convert_indices_from_csr_to_coo(o.csr.crow_indices(), o.csr.col_indices()),
        o.lib._convert_indices_from_csr_to_coo(
            o.csr.crow_indices(), o.csr.col_indices(), out_int32=True, transpose=True
        ),
    ),
    "csc": lambda o: (o.s.to_sparse_csc().ccol_indices(), o.s.to_sparse_csc().row_indices()),
    "csc values": lambda o: (o.s.to_sparse_csc(), o.csr.to_sparse_csc().values()),
    "numbers": lambda o: (
        (o.u._nnz(), o.s._nnz(), o.csr._nnz(), o.u.sparse_dim(), o.h.dense_dim(), o.d.sparse_dim()),
        (o.d.dense_dim(), o.s.numel(), o.s.dim(), len(o.s), o.s.element_size()),
        (o.s.is_coalesced(), o.u.is_coalesced(), o.s.is_sparse, o.csr.is_sparse),
        (o.csr.is_sparse_csr, o.d.is_sparse, o.s.is_contiguous(), o.s.is_leaf),
    ),
    "to_sparse": lambda o: (o.d.to_sparse(), o.d.to_sparse(1), o.d.to_sparse_csr()),
    "to_sparse layouts": lambda o: (
        o.d.to_sparse(layout=o.lib.sparse_csr), o.csr.to_sparse(), o.csr.to_sparse_coo()
    ),
    "of lists": lambda o: o.lib.sparse_coo_tensor([[0, 1], [1, 0]], [1.0, 2.0]),
    "of a dtype": lambda o: o.lib.sparse_coo_tensor([[0, 1]], [1, 2], (3,), dtype=o.lib.float32),
    "of a size": lambda o: o.lib.sparse_coo_tensor((2, 3)),
    "of a named size": lambda o: o.lib.sparse_coo_tensor(size=(2, 3), dtype=o.lib.int64),
    "of no entries": lambda o: o.lib.sparse_coo_tensor(
        o.lib.zeros(2, 0, dtype=o.lib.int64), o.lib.zeros(0), (2, 3)
    ),
    "csr of lists": lambda o: o.lib.sparse_csr_tensor([0, 1, 3], [2, 0, 1], [1.0, 2.0, 3.0]),
    "legacy": lambda o: o.lib.sparse.DoubleTensor(o.i, o.v, o.lib.Size(SHAPE)),
    "legacy size": lambda o: o.lib.sparse.FloatTensor(2, 3),
    "conversions": lambda o: (o.s.float(), o.s.to(o.lib.float32), o.s.int(), o.s.bool()),
    "clone": lambda o: (o.s.clone(), o.csr.clone(), o.s.detach(), o.s.cpu(), o.s.data),
    "sums of both": lambda o: (o.s + o.s, o.s + o.other, o.s - o.other, o.u + o.s, o.csr + o.csr),
    "scaled sum": lambda o: o.lib.add(o.s, o.other, alpha=2),
    "with dense": lambda o: (o.d + o.s, o.d - o.u, o.lib.add(o.d, o.s, alpha=3), o.d + o.csr),
    "bytes without a sign": lambda o: (
        o.s.int() - o.other.to(o.lib.uint8), o.s.to(o.lib.uint8) - o.s.int(),
        o.lib.ones(SHAPE, dtype=o.lib.uint8).sub_(o.other.to(o.lib.uint8)),
        o.lib.ones(SHAPE).add_(o.other.int(), alpha=0.5),
    ),
    "products": lambda o: (o.s * o.other, o.s * o.s, o.csr * o.csr, o.s * o.d, o.d * o.s),
    "by numbers": lambda o: (o.s * 2, 2 * o.u, o.s / 2, o.s * o.lib.tensor(2.0), o.csr * 2),
    "powers": lambda o: (o.s**2, o.s.pow(3), o.u**2),
    "sum": lambda o: (o.s.sum(), o.u.sum(), o.csr.sum(), o.s.sum(0), o.u.sum(1)),
    "sparse.sum": lambda o: (
        o.lib.sparse.sum(o.s), o.lib.sparse.sum(o.u, 0), o.lib.sparse.sum(o.s, [0, 1]),
        o.lib.sparse.sum(o.h, 0), o.lib.sparse.sum(o.h, 1), o.lib.sparse.sum(o.h),
    ),
    "sum of integers": lambda o: [
        f(t) for t in (o.s.to(o.lib.int16), o.u.bool())
        for f in (lambda t: t.sum(0), lambda t: t.sum(), lambda t: o.lib.sparse.sum(t, 0))
    ],
    "sum in a dtype": lambda o: o.lib.sparse.sum(o.s, dtype=o.lib.float32),
    "norm": lambda o: (o.s.norm(), o.lib.norm(o.u)),
    "softmax": lambda o: (o.lib.sparse.softmax(o.s, 1), o.lib.sparse.softmax(o.u, 0)),
    "log_softmax": lambda o: (o.lib.sparse.log_softmax(o.s, 1), o.lib.sparse.log_softmax(o.s, 0)),
    "softmax of hybrids": lambda o: (o.lib.sparse.softmax(o.h, 0), o.lib.sparse.softmax(o.h, 1)),
    "transposes": lambda o: (o.s.t(), o.s.T, o.s.transpose(0, 1), o.u.permute(1, 0), o.csr.t()),
    "unsqueeze": lambda o: (o.s.unsqueeze(0), o.s.unsqueeze(2), o.h.unsqueeze(1)),
    "index": lambda o: (o.s[1], o.u[1], o.s[1, 3], o.s[1, 1], o.s[:, 2], o.h[2], o.csr[1, 0]),
    "unbind": lambda o: list(o.s),
    "index_select": lambda o: (
        o.s.index_select(0, o.lib.tensor([1, 0, 1])), o.u.index_select(1, o.lib.tensor([2, 2, 0])),
        o.h.index_select(1, o.lib.tensor([1])),
    ),
    "cat": lambda o: (
        o.lib.cat([o.s, o.other]), o.lib.cat([o.s, o.u], 1), o.lib.stack([o.s, o.other])
    ),
    "sparse_mask": lambda o: (
        o.d.sparse_mask(o.s), o.d.sparse_mask(o.csr), o.s.sparse_mask(o.other), o.s.sparse_mask(o.s)
    ),
    "mm": lambda o: (
        o.lib.mm(o.s, o.m), o.u @ o.m, o.lib.matmul(o.csr, o.m), o.s.mm(o.m), o.lib.spmm(o.u, o.m),
        o.lib.sparse.mm(o.s, o.m),
    ),
    "rows by kind": lambda o: [
        o.lib.sparse.mm(o.csr, o.m, kind) for kind in ("sum", "mean", "amax", "amin", "max", "min")
    ],
    "mv": lambda o: (o.lib.mv(o.s, o.w), o.s @ o.w, o.csr @ o.w),
    "dense @ sparse": lambda o: (
        o.left @ o.s, o.lib.mm(o.left, o.u), o.lib.sparse.mm(o.left, o.s)
    ),
    "sparse @ sparse": lambda o: (
        o.s @ o.square, o.lib.sparse.mm(o.s, o.other.t()), o.csr @ o.csr.t()
    ),
    "addmm": lambda o: (
        o.lib.addmm(o.bias, o.s, o.m), o.lib.sparse.addmm(o.bias, o.s, o.m, beta=2, alpha=3)
    ),
    "addmm without the matrix": lambda o: o.lib.sparse.addmm(o.bias * o.lib.nan, o.s, o.m, beta=0),
    "bmm": lambda o: o.lib.bmm(o.lib.stack([o.s, o.other]), o.lib.stack([o.m, o.m * 2])),
    "smm": lambda o: (
        o.lib.smm(o.s, o.m), o.lib.hspmm(o.s, o.m), o.lib.dsmm(o.s, o.m), o.lib.hsmm(o.s, o.m),
    ),
    "sampled_addmm": lambda o: o.lib.sparse.sampled_addmm(
        o.csr, o.left.t(), o.left @ o.s, beta=0.5, alpha=2.0
    ),
    "spdiags": lambda o: o.lib.sparse.spdiags(
        o.lib.arange(9.0).reshape(3, 3), o.lib.tensor([0, 2, -1]), (4, 3)
    ),
    "linear": lambda o: o.lib.nn.functional.linear(o.s, o.m.t(), o.bias[0]),
    "zeros_like": lambda o: (o.lib.zeros_like(o.s), o.lib.empty_like(o.h, dtype=o.lib.float32)),
    "any": lambda o: (o.s.any(), (o.s * 0).any()),
    "zero_": lambda o: o.s.clone().zero_(),
    "in place": lambda o: (
        o.s.clone().add_(o.other), o.s.clone().mul_(2), o.s.clone().div_(2), o.s.clone().neg_(),
        o.s.clone().sub_(o.s, alpha=2), o.s.clone().copy_(o.other),
    ),
    "dense in place": lambda o: (
        o.d.clone().add_(o.s), o.d.clone().sub_(o.u), o.d.clone().add_(o.u, alpha=2),
        o.d.clone().mul_(o.s), o.d.t().clone().t().add_(o.s),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_values(name):
    ours, theirs = both(CALLS[name])
    same(ours, theirs)


@pytest.mark.parametrize("name", ZERO_STAYS)
def test_functions_that_keep_zero(name):
    def call(o):
        tensors = [o.s * 0.3, o.u]
        if name not in ("square", "nan_to_num"):  # of which PyTorch has none for CSR
            tensors.append(o.csr)
        return [getattr(o.lib, name)(t) for t in tensors]

    ours, theirs = both(call)
    same(ours, theirs)


REPRS = {
    "coalesced": lambda o: o.s,
    "not coalesced": lambda o: o.u.to(o.lib.float32),
    "hybrid": lambda o: o.h.to(o.lib.float32),
    "csr": lambda o: o.csr,
    "csc": lambda o: o.s.to_sparse_csc().to(o.lib.float32),
    "integers": lambda o: o.s.to(o.lib.int32),
    "long": lambda o: o.s.to(o.lib.int64),
    "nothing": lambda o: o.lib.sparse_coo_tensor((2, 3)),
    "leaf": lambda o: o.s.clone().detach().requires_grad_(),
    "with a node": lambda o: o.lib.sparse_coo_tensor(o.i, o.v.clone().requires_grad_(), SHAPE),
    "neg": lambda o: -o.s.detach().requires_grad_(),
    "many": lambda o: o.lib.ones(40, 40).to_sparse(),
    "many rows": lambda o: o.lib.ones(40, 40).to_sparse_csr(),
}


@pytest.mark.parametrize("name", REPRS)
def test_repr(name):
    ours, theirs = both(REPRS[name])
    assert repr(ours) == repr(theirs)


def test_types():
    s = operands(rushlight).s
    assert type(s) is rushlight.Tensor and s.layout is rushlight.sparse_coo
    assert s.type() == "torch.sparse.DoubleTensor"
    assert isinstance(s, rushlight.sparse.DoubleTensor)
    assert not isinstance(s, rushlight.sparse.FloatTensor)
    assert not isinstance(s.to_dense(), rushlight.sparse.DoubleTensor)


def test_types_that_are_called_are_deprecated():
    _common.once.said.clear()
    i, v = rushlight.tensor([[0]]), rushlight.ones(1)
    for args in ((2, 3), (i, v), (i, v, (2,))):
        with pytest.warns(UserWarning, match=r"sparse.FloatTensor\(.* deprecated") as said:
            rushlight.sparse.FloatTensor(*args)
        assert said[0].filename == __file__
        rushlight.sparse.FloatTensor(*args)  # warns once


def test_values_share_memory_and_indices_do_not():
    for lib in (rushlight, torch):
        v = lib.tensor([1.0, 2.0])
        s = lib.sparse_coo_tensor([[0, 2]], v, (3,))
        v.mul_(3)
        assert s.to_dense().tolist() == [3, 0, 6]
        s.coalesce().values().add_(1)
    i = rushlight.tensor([[0, 1]])
    s = rushlight.sparse_coo_tensor(i, [1.0, 2.0], (3,))
    i.fill_(2)
    assert s.to_dense().tolist() == [1, 2, 0]
    assert rushlight.sparse_coo_tensor(i, [1.0, 2.0], (3,)).to_dense().tolist() == [0, 0, 3]
    with pytest.raises(RuntimeError, match="read-only"):
        s._indices().add_(1)


def test_indices_on_an_array_of_numpy():
    """Whose elements may change without rushlight's knowing."""
    array = np.array([[0, 1], [1, 0]])
    i, x = rushlight.from_numpy(array), rushlight.arange(6.0).reshape(3, 2)

    def call(x):
        return rushlight.sparse_coo_tensor(i, x[:2, 1], (3, 3)) @ x

    compiled = rushlight.compile(call, fullgraph=True)
    for k in range(6):
        array[0, 1], array[1, 0] = k // 3 + 1, k // 2
        expected = np.zeros((3, 3))
        np.add.at(expected, tuple(array), plain(x)[:2, 1])
        for function in (call, compiled):
            np.testing.assert_allclose(plain(function(x)), expected @ plain(x))


def test_a_write_is_seen_by_who_shares_the_tensor():
    s = operands(rushlight).s
    other = s.detach()
    s.mul_(2)
    np.testing.assert_array_equal(plain(s), plain(other))
    assert s._version == 1


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "complex64", "int64"])
def test_products_of_other_dtypes(dtype):
    def product(o):
        d = getattr(o.lib, dtype)
        return o.lib.sparse.mm((o.s * 4).to(d), (o.m * 4).to(d)).to_dense()

    ours = plain(product(operands(rushlight)).to(rushlight.complex128))
    o = operands(torch)
    d = getattr(torch, dtype)
    theirs = plain(((o.s * 4).to_dense().to(d) @ (o.m * 4).to(d)).to(torch.complex128))
    np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-2 if "16" in dtype else 1e-5)


@pytest.mark.parametrize("reduce", ["sum", "mean", "amax", "amin"])
def test_reducing_products(reduce):
    ours, theirs = both(lambda o: o.lib.sparse.mm(o.csr, o.m, reduce), dtype="float32")
    same(ours, theirs)


@pytest.mark.parametrize("columns", [1, 5, 16, 37, 64, 130])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_products(columns, dtype):
    random = np.random.default_rng(0)
    n, m, entries = 300, 200, 9000
    indices = random.integers(0, (n, m), (entries, 2)).T
    values = random.standard_normal(entries).astype(dtype)
    dense = random.standard_normal((m, columns)).astype(dtype)
    grads = []
    for lib in (rushlight, torch):
        v, d = [lib.tensor(a, requires_grad=True) for a in (values, dense)]
        out = lib.sparse.mm(lib.sparse_coo_tensor(lib.tensor(indices), v, (n, m)), d)
        (out * out.detach().cos()).sum().backward()
        grads.append((out, v.grad, d.grad))
    same(*grads, rtol=1e-4, atol=1e-3 if dtype is np.float32 else 1e-10)


@pytest.mark.parametrize("columns", [1, 40, 4000])
def test_what_has_no_entry_is_not_multiplied(columns):
    """Infinity times what is not there is nothing."""
    s = rushlight.sparse_coo_tensor([[0, 1], [0, 2]], [1.0, 2.0], (2, 3))
    dense = rushlight.ones(3, columns)
    dense[1] = np.inf
    assert plain(s @ dense).tolist() == [[1.0] * columns, [2.0] * columns]


def test_assert_close():
    o = operands(rushlight)
    close = rushlight.testing.assert_close
    close(o.s, o.u.clone())
    for other in (o.s * 2, o.s.to_dense(), o.csr):
        with pytest.raises(AssertionError):
            close(o.s, other)


def test_autocast():
    for lib in (rushlight, torch):
        o = operands(lib, dtype="float32")
        with lib.autocast("cpu", dtype=lib.bfloat16):
            assert o.lib.sparse.mm(o.s, o.m).dtype == (o.s @ o.m).dtype == lib.bfloat16


def test_low_rank_factors():
    found = []
    for lib in (rushlight, torch):
        lib.manual_seed(0)
        s = operands(lib).s
        found.append((lib.svd_lowrank(s, q=2)[1], lib.pca_lowrank(s, q=2)[1]))
    same(*found)


@pytest.mark.parametrize("name", ["zeros", "empty"])
def test_factories_make_tensors_without_entries(name):
    found = []
    for lib in (rushlight, torch):
        make = getattr(lib, name)
        one = make(2, 3, layout=lib.sparse_coo, dtype=lib.int64)
        other = make((4,), layout=lib.sparse_coo, requires_grad=True)
        found.append(
            [
                (str(t.layout), tuple(t.shape), str(t.dtype)[-7:], t._nnz(), t.requires_grad)
                for t in (one, other)
            ]
        )
        with pytest.raises(RuntimeError):
            lib.ones(2, layout=lib.sparse_coo)
    assert found[0] == found[1]


def test_new_tensors_like_a_sparse_one():
    """Sparse optimizers make their steps by ``grad.new(grad._indices(), values, grad.size())``."""
    found = []
    for lib in (rushlight, torch):
        s = operands(lib).s
        values = s._values() * 2
        new = s.new(s._indices(), values, s.size())
        found.append(
            [new, s.new(s._indices(), values.float()), s.new(), s.new(2, 3), s.new(s.size())]
            + [s.new_zeros(2, 3), s.new_empty((4,))]
        )
        found[-1].append(new.coalesce() + s)
        for wrong in ((s,), (values,), ([1, 2], [3.0, 4.0])):
            with pytest.raises(TypeError):
                s.new(*wrong)
        with pytest.raises(TypeError):
            values.new(s._indices(), values)
    same(*found)


RESIZED = {
    "an empty one as another": lambda o: o.s.new().resize_as_(o.h),
    "the same, as sparse": lambda o: o.s.new().resize_as_sparse_(o.s),
    "longer": lambda o: o.s.sparse_resize_((7, 5), 2, 0),
    "longer, with dense dims": lambda o: o.h.sparse_resize_((9, 2), 1, 1),
    "another kind, cleared": lambda o: o.s.sparse_resize_and_clear_((4, 2, 3), 1, 2),
    "cleared": lambda o: o.h.sparse_resize_and_clear_((3, 2), 1, 1),
    "without entries": lambda o: o.s.zero_().sparse_resize_((2, 3), 1, 1),
}


@pytest.mark.parametrize("name", RESIZED)
def test_other_shapes(name):
    def call(o):
        x = RESIZED[name](o)
        return x, x.sparse_dim(), x.dense_dim(), x._nnz(), x.is_coalesced()

    same(*both(call))


@pytest.mark.parametrize(
    "call",
    [
        lambda o: o.s.sparse_resize_((2, 5), 2, 0),
        lambda o: o.s.sparse_resize_((4, 5), 1, 1),
        lambda o: o.s.sparse_resize_((4, 5), 2, 1),
        lambda o: o.s.requires_grad_().sparse_resize_((7, 5), 2, 0),
        lambda o: o.s.to_dense().sparse_resize_((7, 5), 2, 0),
        lambda o: o.s.resize_as_sparse_(o.s.to_dense()),
    ],
)
def test_shapes_that_entries_do_not_fit(call):
    for lib in (torch, rushlight):
        with pytest.raises(RuntimeError):
            call(operands(lib))
