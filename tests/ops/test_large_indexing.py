"""Arrays that are read, written and moved by large indices and masks, against torch."""

import contextlib

import numpy as np
import pytest
import torch

import rushlight
from rushlight.core.native import without_kernels
from rushlight.ops.places import add_rows
from tests.ops.large import SHAPES, numbers, pair

CALLS = {
    "gather": lambda x, i, s, r: [x.gather(d, i) for d in (0, 1)],
    "scatter": lambda x, i, s, r: [x.scatter(0, i.sort(dim=0, stable=True)[1], s)],
    "scatter number": lambda x, i, s, r: [x.scatter(1, i, 2.5)],
    "scatter_add": lambda x, i, s, r: [x.scatter_add(d, i, s) for d in (0, 1)],
    "scatter_reduce": lambda x, i, s, r: [
        x.scatter_reduce(d, i, s, how, include_self=own)
        for d in (0, 1)
        for how in ("sum", "mean", "amax", "amin", "prod")
        for own in (True, False)
    ],
    "index_add": lambda x, i, s, r: [x.index_add(d, r, s) for d in (0, 1)],
    "index_reduce": lambda x, i, s, r: [x.index_reduce(d, r, s, "mean") for d in (0, 1)],
    "index_copy": lambda x, i, s, r: [x.index_copy(0, r.sort(stable=True)[1], s)],
    "index_fill": lambda x, i, s, r: [x.index_fill(d, r, 1.0) for d in (0, 1)],
    "index_select": lambda x, i, s, r: [x.index_select(d, r) for d in (0, 1)],
    "take": lambda x, i, s, r: [x.take(i)],
    "put": lambda x, i, s, r: [x.put(i, s, accumulate=True)],
    "index": lambda x, i, s, r: [x[r], x[:, r], x[r, r], x[i, 0], x[-1 - r]],
    "index_put": lambda x, i, s, r: [
        x.index_put((r,), s, accumulate=True),
        x.index_put((r - 80,), s[0], accumulate=True),
        x.index_put((r, r), s[0], accumulate=True),
        x.index_put((i, i), s, accumulate=True),
    ],
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("layout", ["contiguous", "transposed", "window"])
@pytest.mark.filterwarnings("ignore:index_reduce")
def test_indexed(name, layout):
    r = np.random.default_rng(0)
    x = numbers((160, 160), "float64")
    x = {"contiguous": x[:80, :80].copy(), "transposed": x[:80, :80].T, "window": x[::2, 40:120]}[
        layout
    ]
    i, rows = r.integers(0, 80, (80, 80)), r.integers(0, 80, 80)
    ours, theirs = pair(x, i, numbers((80, 80), "float64", 1), rows)
    for a, b in zip(CALLS[name](*ours), CALLS[name](*theirs), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["scatter_add_", "index_add_", "index_put_", "scatter_", "put_"])
def test_writing_through_a_view(name):
    r = np.random.default_rng(0)
    i, rows = r.integers(0, 80, (80, 80)), r.permutation(80)
    results = []
    for fw in (rushlight, torch):
        base = fw.from_numpy(numbers((160, 160), "float64"))
        x, src = base[::2, 40:120], fw.from_numpy(numbers((80, 80), "float64", 1))
        at = fw.from_numpy(rows if name in ("index_add_", "index_put_") else i)
        if name == "index_put_":
            x.index_put_((at,), src, accumulate=True)
        elif name == "put_":
            x.put_(at, src, accumulate=True)
        elif name == "scatter_":
            x.scatter_(0, at.sort(dim=0, stable=True)[1], src)
        else:
            getattr(x, name)(0, at, src)
        results.append(base.numpy())
    np.testing.assert_allclose(*results, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("bad", [-1, 80])
@pytest.mark.parametrize("name", ["gather", "scatter", "scatter_add", "index_select"])
def test_indices_out_of_range(name, bad):
    index = np.zeros((80, 80), np.int64)
    index[40, 40] = bad
    for fw in (rushlight, torch):
        x, i = fw.zeros(80, 80), fw.from_numpy(index)
        with pytest.raises((RuntimeError, IndexError)):
            if name == "index_select":
                x.index_select(0, i[40])
            else:
                getattr(x, name)(0, i, *[fw.ones(80, 80)] * (name != "gather"))


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_bags(mode):
    table, index = numbers((50, 9)), np.random.default_rng(0).integers(0, 50, (300, 7))
    ours, theirs = pair(index, table)
    a = rushlight.nn.functional.embedding_bag(*ours, mode=mode)
    b = torch.nn.functional.embedding_bag(*theirs, mode=mode)
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)
    with pytest.raises(IndexError):
        rushlight.nn.functional.embedding_bag(ours[0] + 1, ours[1])


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_gradients_of_tables(dtype):
    """Rows are added by a kernel and without one, from places that count from the end too."""
    index = np.random.default_rng(0).integers(0, 50, (300, 7)).astype(dtype)
    (i, w), (there, theirs) = pair(index, numbers((50, 9)))
    torch.nn.functional.embedding(there, theirs.requires_grad_()).square().sum().backward()
    rushlight.nn.functional.embedding(i, w.requires_grad_()).square().sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), theirs.grad.numpy(), rtol=1e-5)
    found = []
    for context in (contextlib.nullcontext, without_kernels):
        x = np.zeros((50, 9), np.float32)
        with context():
            add_rows(x, index.reshape(-1) - 50, numbers((2100, 9)))
        found.append(x)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("shape", [*SHAPES, (3, 4), (0, 7)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "complex64"])
def test_places_of_what_is_not_zero(shape, dtype):
    x = numbers(shape, seed=1).round().astype(dtype)
    if dtype == "float32" and x.size:
        x.reshape(-1)[[0, -1]] = np.nan, -0.0
    for array in (x, x.T):
        ours, theirs = rushlight.from_numpy(array), torch.from_numpy(array)
        assert np.array_equal(ours.nonzero().numpy(), theirs.nonzero().numpy())
        pairs = zip(ours.nonzero(as_tuple=True), theirs.nonzero(as_tuple=True), strict=True)
        assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in pairs)


@pytest.mark.parametrize("value", [0.0, 2, float("-inf"), float("nan")])
def test_assignment_by_a_mask(value):
    found = []
    for fw in (torch, rushlight):
        x = fw.from_numpy(numbers((300, 50)))
        whole, part = x.clone(), x.clone()
        whole[x > 0.5] = value
        part.t()[x.t() > 0.5] = value
        x[x[:, 0] > 0] = value
        found.append([t.numpy() for t in (whole, part, x)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("shape", [(4, 6, 40, 40), (3000, 7), (5, 6, 900)])
@pytest.mark.parametrize("ignore", [-100, 3])
def test_classes_of_images(shape, ignore):
    r, found = np.random.default_rng(0), []
    target = r.integers(0, shape[1], (shape[0], *shape[2:]))
    target[0] = ignore
    for reduction in ("none", "mean", "sum"):
        for name in ("cross_entropy", "nll_loss"):
            found = []
            for fw in (torch, rushlight):
                x = fw.from_numpy(numbers(shape)).requires_grad_()
                options = {"reduction": reduction, "ignore_index": ignore}
                loss = getattr(fw.nn.functional, name)(x, fw.from_numpy(target), **options)
                loss.sum().backward()
                found.append((loss.detach().numpy(), x.grad.numpy()))
            for ours, theirs in zip(*found, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", ["int64", "int32"])
@pytest.mark.parametrize("offset", [0, 1, -20, 200, -200, 99, -99, 2000, -2000])
@pytest.mark.parametrize("name", ["tril_indices", "triu_indices"])
def test_places_of_large_triangles(name, offset, dtype):
    for rows, columns in ((100, 90), (70, 300)):
        ours, theirs = [
            getattr(lib, name)(rows, columns, offset, dtype=getattr(lib, dtype)).numpy()
            for lib in (rushlight, torch)
        ]
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("turned", [False, True])
def test_masks(dims, share, turned):
    """Elements and rows by a mask, read, with gradients, and written."""
    shape = (30, 20, 17, 3)
    x, mask = numbers(shape), np.random.default_rng(1).random(shape[:dims]) < share
    if dims == 1:
        shape = (5000, 3)
        x, mask = numbers(shape), np.random.default_rng(1).random(5000) < share
    results = []
    for lib in (torch, rushlight):
        a, m = lib.from_numpy(x.copy()), lib.from_numpy(mask)
        if turned:
            a, m = a.mT.contiguous().mT, m.movedim(0, -1).contiguous().movedim(-1, 0)
        a.requires_grad_()
        got = a[m]
        got.sin().sum().backward()
        b = a.detach().clone()
        b[m] = got.detach() + 1
        c = a.detach().clone()
        c[m] = lib.arange(3.0)
        picked = a.detach().masked_select(m.reshape(*m.shape, *[1] * (a.ndim - dims)))
        results.append([t.detach().numpy() for t in (got, a.grad, b, c, picked)])
    for theirs, ours in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("n", [1000, 20_000])
@pytest.mark.parametrize("turned", [False, True])
def test_scattered_by_a_mask(n, turned):
    x, mask, source = numbers((n // 10, 10)), numbers((n // 10, 10), seed=1) > 0, numbers((n,))
    ours, theirs = rushlight.tensor(x), torch.tensor(x)
    if turned:
        ours, theirs, mask = ours.t(), theirs.t(), mask.T
    scattered = [
        t.masked_scatter(fw.tensor(mask.copy()), fw.tensor(source)).numpy()
        for t, fw in ((ours, rushlight), (theirs, torch))
    ]
    np.testing.assert_array_equal(*scattered)
