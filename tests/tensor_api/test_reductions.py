"""Reductions, orders and scans: their forms, ties, empty tensors and warnings, against torch."""

import pickle
import warnings

import numpy as np
import pytest
import torch

import rushlight as rl

DATA = np.random.default_rng(0).integers(-3, 4, (3, 4, 5)).astype(np.float32)  # many ties
FULL = """
    sum mean prod max min amax amin argmax argmin any all var std norm median nansum nanmean
    count_nonzero
"""
KEEPING = ["sum", "mean", "nansum", "nanmean", "amax", "any", "prod", "argmax"]
ALONG = """
    cumsum cumprod cummax cummin logcumsumexp sort argsort logsumexp softmax log_softmax aminmax
"""


def both(*shape_or_values, dtype="float32"):
    a = np.asarray(*shape_or_values)
    return torch.tensor(a, dtype=getattr(torch, dtype)), rl.tensor(a, dtype=getattr(rl, dtype))


def same(ours, theirs):
    if isinstance(theirs, tuple):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
        return
    assert (str(ours.dtype), tuple(ours.shape)) == (str(theirs.dtype), tuple(theirs.shape))
    x, y = ours.detach().numpy(), theirs.detach().numpy()
    np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FULL.split())
def test_of_all_elements(name):
    for a in (DATA, DATA[0, 0, :1], DATA[:, ::2, 1]):
        t, r = both(a)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            same(getattr(r, name)(), getattr(t, name)())


@pytest.mark.parametrize("name", [*FULL.split(), *ALONG.split()])
def test_along_each_dim(name):
    t, r = both(DATA)
    unordered = name in ("median", "sort", "argsort")
    for dim in (0, 1, -1):
        call = {"dim": dim}
        if name in ("sort", "argsort"):
            call["stable"] = True
        a, b = getattr(r, name)(**call), getattr(t, name)(**call)
        same(
            a[0] if unordered and isinstance(a, tuple) else a,
            b[0] if unordered and isinstance(b, tuple) else b,
        )


@pytest.mark.parametrize(
    "name",
    [
        "sum",
        "mean",
        "amax",
        "amin",
        "var",
        "std",
        "norm",
        "nansum",
        "nanmean",
        "all",
        "any",
        "logsumexp",
    ],
)
def test_over_several_dims(name):
    t, r = both(DATA)
    for dim in ((0, 1), (-1, 0), (1,)):
        for keepdim in (False, True):
            same(
                getattr(r, name)(dim=dim, keepdim=keepdim),
                getattr(t, name)(dim=dim, keepdim=keepdim),
            )


@pytest.mark.parametrize(
    "name",
    [
        "max",
        "min",
        "median",
        "mode",
        "kthvalue",
        "cummax",
        "cummin",
        "sort",
        "topk",
        "aminmax",
        "frexp",
    ],
)
def test_named_results(name):
    t, r = both([[3.0, 1.0, 2.0], [5.0, 4.0, 6.0]])
    args = {"kthvalue": (2, 1), "topk": (2, 1), "aminmax": (), "frexp": ()}.get(name, (1,))
    a, b = getattr(r, name)(*args), getattr(t, name)(*args)
    assert repr(a) == repr(b)
    assert type(a).__name__ == type(b).__name__ and isinstance(a, tuple)
    assert pickle.loads(pickle.dumps(a))[1].tolist() == a[1].tolist()


def gradient(lib, call, a):
    x = lib.tensor(a, requires_grad=True)
    out = call(lib, x)
    out = out[0] if isinstance(out, tuple) else out
    weights = lib.tensor(np.random.default_rng(1).random(tuple(out.shape)).astype(np.float32))
    (out * weights).sum().backward()
    return x.grad if x.grad is not None else x.detach() * 0


CALLS = {
    "max": lambda m, x: x.max(),
    "max dim": lambda m, x: x.max(1),
    "amax": lambda m, x: x.amax((0, 1)),
    "median": lambda m, x: x.median(),
    "prod with a zero": lambda m, x: x.prod(),
    "prod dim": lambda m, x: x.prod(1),
    "cumprod": lambda m, x: x.cumprod(1),
    "aminmax": lambda m, x: sum(x.aminmax()),
    "std": lambda m, x: x.std(0),
    "norm 0": lambda m, x: x.norm(0, 1),
    "norm 1": lambda m, x: x.norm(1, 1),
    "norm inf": lambda m, x: x.norm(float("inf"), 1),
    "norm 3": lambda m, x: x.norm(3, 1),
    "norm 2": lambda m, x: (x * 0).norm(2, 1),
    "logcumsumexp": lambda m, x: x.logcumsumexp(0),
    "quantile": lambda m, x: x.quantile(0.3, 1),
    "cummax": lambda m, x: x.cummax(1),
    "renorm": lambda m, x: x.renorm(2, 0, 1.5),
}


@pytest.mark.parametrize("name", CALLS)
def test_gradients_with_ties_and_zeros(name):
    same(gradient(rl, CALLS[name], DATA[0]), gradient(torch, CALLS[name], DATA[0]))


def test_nan():
    t, r = both([[1.0, float("nan"), 3.0, 2.0], [4.0, 2.0, 1.0, 3.0]])
    for name in ("max", "min", "median", "nanmedian", "cummax", "cummin", "sort", "topk"):
        args = (2, 1) if name == "topk" else (1,)
        same(getattr(r, name)(*args), getattr(t, name)(*args))
    for name in ("argmax", "argmin", "amax", "nansum", "nanmean", "logsumexp"):
        same(getattr(r, name)(1), getattr(t, name)(1))
    same(r.quantile(0.5, 1), t.quantile(0.5, 1))
    same(r.nanquantile(0.5, 1), t.nanquantile(0.5, 1))


def test_without_elements():
    t, r = both(np.zeros((0, 3)))
    for name in ("sum", "prod", "any", "all", "nansum"):
        same(getattr(r, name)(), getattr(t, name)())
        same(getattr(r, name)(0), getattr(t, name)(0))
    for call in (
        lambda x: x.max(),
        lambda x: x.max(0),
        lambda x: x.amax(0),
        lambda x: x.argmax(),
        lambda x: x.median(0),
    ):
        with pytest.raises((RuntimeError, IndexError)):
            call(r)
    same(r.max(1), t.max(1))


def test_integers():
    t, r = both([[1, 2], [3, 4]], dtype="uint8")
    for name in ("sum", "prod", "max", "any", "all", "cumsum", "argmax"):
        args = (0,) if name == "cumsum" else ()
        same(getattr(r, name)(*args), getattr(t, name)(*args))
    for name in ("mean", "std"):
        with pytest.raises(RuntimeError):
            getattr(r, name)()


def test_forms_of_max():
    x = rl.tensor([[1, 5], [3, 4]])
    assert rl.max(x, rl.tensor([[2, 2], [2, 9]])).tolist() == [[2, 5], [3, 9]]
    assert x.max(dim=1).indices.tolist() == [1, 1] and x.max(1, True)[0].tolist() == [[5], [4]]
    values, indices = rl.empty(0, dtype=rl.int64), rl.empty(0, dtype=rl.int64)
    rl.max(x, 0, out=(values, indices))
    assert values.tolist() == [3, 5] and indices.tolist() == [1, 0]
    with pytest.raises(TypeError):
        rl.max(x, keepdim=True)


def test_zero_dim_tensors_count_as_one_element():
    t, r = torch.tensor(2.5), rl.tensor(2.5)
    for name in ("max", "sort", "cumsum", "cummax", "median", "sum", "argmax", "mode", "softmax"):
        same(getattr(r, name)(0), getattr(t, name)(0))


def test_too_few_elements_for_a_variance():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert rl.ones(1).var().isnan().item()
    assert "degrees of freedom" in str(seen[0].message)


def test_unique():
    a = [[3, 1, 3], [3, 1, 3], [0, 1, 2]]
    t, r = torch.tensor(a), rl.tensor(a)
    for dim in (None, 0, 1):
        same(
            r.unique(return_inverse=True, return_counts=True, dim=dim),
            t.unique(return_inverse=True, return_counts=True, dim=dim),
        )
        ours = r.unique_consecutive(return_inverse=True, return_counts=True, dim=dim)
        same(ours, t.unique_consecutive(return_inverse=True, return_counts=True, dim=dim))


def test_large_tensors_take_other_roads():
    a = np.random.default_rng(2).normal(size=(50, 300)).astype(np.float32)
    t, r = both(a)
    same(r.topk(5, 1), t.topk(5, 1))
    same(r.topk(5, 1, largest=False), t.topk(5, 1, largest=False))
    same(r.kthvalue(7, 1), t.kthvalue(7, 1))
    same(r.median(1), t.median(1))
    for value in (r.norm(), r.std()):
        assert value.dtype == rl.float32


@pytest.mark.parametrize("order", [(0, 2, 3, 1), (3, 1, 0, 2)])
def test_large_tensors_are_summed_where_they_lie(order, monkeypatch):
    data = np.random.default_rng(0).random((6, 7, 8, 9))
    a, b = torch.tensor(data).permute(*order), rl.tensor(data).permute(*order)
    for dims in ((2, 3), (0, 2, 3), (1,), (1, 3), (0,), (0, 1, 2, 3)):
        expected = a.sum(dims)
        with monkeypatch.context() as m:
            m.setattr(np, "ascontiguousarray", None)
            found = b.sum(dims)
        assert found.stride() == expected.stride()
        np.testing.assert_allclose(found.numpy(), expected.numpy())


def test_halves_are_summed_in_float32():
    a = np.full(5000, 0.1)
    for dtype in ("float16", "bfloat16"):
        t, r = both(a, dtype=dtype)
        for name in ("sum", "mean", "var", "norm"):
            assert getattr(r, name)().item() == pytest.approx(getattr(t, name)().item(), rel=2e-2)


def test_a_histogram_has_a_hundred_bins():
    values = [0.0, 0.5, 3.0]
    for call in (lambda t: t.histogram(t.tensor(values)), lambda t: t.tensor(values).histogram()):
        expected, got = call(torch), call(rl)
        assert got.hist.tolist() == expected.hist.tolist()
        assert got.bin_edges.tolist() == pytest.approx(expected.bin_edges.tolist())


@pytest.mark.parametrize("kind", ["max", "min"])
@pytest.mark.parametrize("initial", [None, 1.0, 5.0, float("inf")])
def test_elements_that_equal_the_extreme_of_a_piece_share_its_gradient(kind, initial):
    found = []
    for lib in (torch, rl):
        data = lib.tensor([1.0, 1, 5, 5, 5, float("nan"), 2, 3, 0.1, 0.1, 0.1, -7])
        data.requires_grad_()
        lengths = lib.tensor([2, 0, 3, 3, 4])
        out = lib.segment_reduce(data, kind, lengths=lengths, initial=initial)
        (out * lib.arange(1.0, 6)).nan_to_num(0, 0, 0).sum().backward()
        found.append((out.detach().numpy(), data.grad.numpy()))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


HASHED = "float32 float64 float16 bfloat16 int64 int32 int8 uint8 bool"


@pytest.mark.parametrize("dtype", HASHED.split())
def test_hash_tensor(dtype):
    rows = [[1.0, 0.0, -3.0], [2.5, 2.5, 7.0]]
    found = []
    for lib in (rl, torch):
        x = lib.tensor(rows if dtype != "uint8" else [[1.0, 0, 3], [2, 2, 7]])
        x = x.to(getattr(lib, dtype))
        results = [
            lib.hash_tensor(x), x.hash_tensor(), lib.hash_tensor(x, 1),
            x.hash_tensor(0, keepdim=True), lib.hash_tensor(x, (0, 1)), lib.hash_tensor(x.t(), -1),
            lib.hash_tensor(x[:, :0], 0), lib.hash_tensor(x[0, 2]),
        ]  # fmt: skip
        found.append([(str(t.dtype), t.tolist()) for t in results])
    assert found[0] == found[1]


def test_hash_tensor_refuses():
    for lib in (rl, torch):
        with pytest.raises(RuntimeError, match="dim"):
            lib.hash_tensor(lib.zeros(0))
        with pytest.raises(IndexError, match="non-zero size"):
            lib.hash_tensor(lib.zeros(2, 0), 1)
        with pytest.raises(RuntimeError, match="mode"):
            lib.hash_tensor(lib.zeros(1), mode=1)
        with pytest.raises(NotImplementedError, match="xor_sum_cpu"):
            lib.hash_tensor(lib.zeros(1, dtype=lib.complex64))
        assert not lib.hash_tensor(lib.zeros(1, requires_grad=True)).requires_grad


@pytest.mark.parametrize("name", [*KEEPING, "logsumexp"])
def test_several_dims_are_a_tuple_and_not_keepdim(name):
    for lib in (torch, rl):
        with pytest.raises(TypeError):
            getattr(lib.ones(1, 3, 2), name)(0, 2)
        with pytest.raises(TypeError):
            getattr(lib.ones(2, 3), name)(1, np.True_)


@pytest.mark.parametrize("name", ["std", "var"])
def test_several_dims_are_a_tuple_and_not_unbiased(name):
    for lib in (torch, rl):
        with pytest.raises(TypeError):
            getattr(lib.ones(2, 3, 2), name)(0, 2)


@pytest.mark.parametrize("name", ["squeeze", "count_nonzero"])
def test_several_dims_as_arguments(name):
    ours, theirs = [getattr(lib.ones(1, 3, 1), name)(0, -1) for lib in (rl, torch)]
    same(ours, theirs)
    for lib in (torch, rl):
        with pytest.raises(RuntimeError):
            getattr(lib.ones(1, 3, 1), name)(0, 0)
