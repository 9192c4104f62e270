"""Arrays that are large enough for the blocked and sorted paths, against torch."""

import contextlib
import tracemalloc

import numpy as np
import pytest
import scipy.special
import torch

import rushlight
from rushlight.core.native import without_kernels
from rushlight.ops.places import add_rows

SHAPES = [
    (5000,),
    (100_000,),
    (70, 80),
    (3000, 3),
    (3, 3000),
    (2, 130, 40),
    (4, 5, 6, 70),
    (1031, 7),
]


def numbers(shape, dtype="float32", seed=0):
    r = np.random.default_rng(seed)
    x = r.standard_normal(shape)
    return (x + 1j * r.standard_normal(shape) if "complex" in dtype else x).astype(dtype)


def dims_of(shape):
    n = len(shape)
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    return [None, *[(i,) for i in range(n)], *pairs]


def worst(got, exact):
    """The largest error, in units of the largest value."""
    return float(np.abs(got.numpy().astype(exact.dtype) - exact).max() / np.abs(exact).max())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_sums(shape, dtype):
    """float32 is as exact as torch's, along every dim, in any layout."""
    x = numbers(shape, dtype) + 1
    wide = x.astype("complex128" if "complex" in dtype else "float64")
    for array, exact in ((x, wide), (x.T, wide.T)):
        ours, theirs = rushlight.from_numpy(array), torch.from_numpy(array)
        for dim in dims_of(array.shape):
            for name in ("sum", "mean"):
                got, expected = (getattr(t, name)(dim) for t in (ours, theirs))
                assert tuple(got.shape) == tuple(expected.shape)
                reference = getattr(exact, name)(dim)
                limit = 2 * worst(expected, reference) + 4 * np.finfo(dtype).eps
                assert worst(got, reference) <= limit, (name, dim)


@pytest.mark.parametrize("size", [8192, 100_003, 600_001])
@pytest.mark.parametrize("dtype", ["int64", "int32", "int8", "uint8", "bool", "complex128"])
def test_sums_of_everything(size, dtype):
    x = numbers(size, "float64" if dtype != "complex128" else dtype) * 100
    x = (
        (x > 0 if dtype == "bool" else x)
        .astype(dtype if dtype != "uint8" else "int8")
        .astype(dtype)
    )
    ours, theirs = rushlight.from_numpy(x), torch.from_numpy(x)
    if dtype == "complex128":
        eps = np.finfo(dtype).eps * np.abs(x).sum()
        assert abs(ours.sum().item() - theirs.sum().item()) < eps
        assert abs(ours.mean().item() - theirs.mean().item()) < eps / size
    else:
        assert ours.sum().item() == theirs.sum().item() and ours.sum().dtype == rushlight.int64
        for t in (ours, theirs):
            with pytest.raises(RuntimeError, match="could not infer output dtype"):
                t.mean()


@pytest.mark.parametrize("shape, dim", [((4000, 9), 1), ((3, 16, 500), 1), ((2, 9000, 2), 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_transforms_of_real_numbers(shape, dim, dtype):
    x = numbers(shape, dtype)
    t, wide = rushlight.from_numpy(x), x.astype("float64")
    small = 4 * np.finfo(dtype).eps
    assert worst(rushlight.fft.fft(t, dim=dim), np.fft.fft(wide, axis=dim)) < small
    assert worst(rushlight.fft.rfft(t, dim=dim), np.fft.rfft(wide, axis=dim)) < small
    for n in (16, 48):
        given = {"n_fft": n, "center": False, "return_complex": True}
        found, expected = [
            fw.stft(fw.from_numpy(x.ravel()), window=fw.hann_window(n, dtype=d), **given)
            for fw, d in ((rushlight, t.dtype), (torch, torch.from_numpy(x).dtype))
        ]
        assert worst(found, expected.numpy()) < small


@pytest.mark.parametrize("rows, columns", [(200_000, 10), (20_000, 1), (10, 200_000), (1, 300_000)])
def test_long_sums_of_float32_are_exact(rows, columns):
    """Added up one by one, a column of 200,000 would be off by more than 1e-5."""
    x = np.random.default_rng(0).random((rows, columns), np.float32)
    ours, theirs = rushlight.from_numpy(x), torch.from_numpy(x)
    for dim in (0, 1, (0, 1)):
        exact = x.astype(np.float64).sum(dim)
        assert worst(ours.sum(dim), exact) <= max(2 * worst(theirs.sum(dim), exact), 2e-7)
        assert worst(ours.cumsum(0), x.astype(np.float64).cumsum(0)) <= 3e-7


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_sums_with_infinities(value):
    x = numbers((5000,))
    x[1234] = value
    ours, theirs = rushlight.from_numpy(x), torch.from_numpy(x)
    for function in ("sum", "cumsum", "logcumsumexp", "nansum", "mean"):
        args = (0,) if "cum" in function else ()
        np.testing.assert_allclose(
            getattr(ours, function)(*args).numpy(),
            getattr(theirs, function)(*args).numpy(),
            rtol=1e-4,
        )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_running_sums(shape, dtype):
    x = numbers(shape, dtype)
    for dim in range(len(shape)):
        exact = x.astype(np.longdouble).cumsum(dim)
        for array in (x, np.asfortranarray(x)):
            got, theirs = [fw.from_numpy(array).cumsum(dim) for fw in (rushlight, torch)]
            allowed = max(worst(theirs, exact), 32 * np.finfo(dtype).eps)
            assert worst(got, exact) <= allowed  # in float64 the sums are the same


@pytest.mark.parametrize("name", ["cummax", "cummin"])
def test_running_extremes(name):
    x = np.round(numbers((40, 100)) * 4) / 4  # with ties, and zeros of both signs
    x[3, 5:9] = [0.0, -0.0, 0.0, -0.0]
    spoiled = x.copy()
    spoiled[7, 50] = np.nan
    for array in (x, spoiled, x.astype(np.int64)):
        for dim in (0, 1):
            got = getattr(rushlight.from_numpy(array), name)(dim)
            expected = getattr(torch.from_numpy(array), name)(dim)
            for a, b in zip(got, expected, strict=True):
                np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("spread", [1.0, 300.0])
def test_running_logsumexp_of_float32_is_exact(spread):
    x = numbers((1_000_000,)) * np.float32(spread)
    exact = np.logaddexp.accumulate(x.astype(np.float64))
    assert worst(rushlight.from_numpy(x).logcumsumexp(0), exact) < 1e-7


def pair(*arrays):
    return [rushlight.from_numpy(a) for a in arrays], [torch.from_numpy(a) for a in arrays]


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


@pytest.mark.parametrize("shape", [(5000,), (40, 301), (3001, 2), (2, 3, 1000)], ids=str)
def test_products(shape):
    x = 1 + 0.01 * numbers(shape, "float64")
    ours, theirs = pair(x)
    np.testing.assert_allclose(ours[0].prod().numpy(), theirs[0].prod().numpy(), rtol=1e-10)
    for dim in range(len(shape)):
        for keepdim in (True, False):
            a, b = ours[0].prod(dim, keepdim), theirs[0].prod(dim, keepdim)
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10)


@pytest.mark.parametrize("rule", ["matmul", "linear"])
def test_the_gradient_of_a_shared_matrix_is_one_product(rule):
    x = numbers((256, 1, 128))
    w = numbers((128, 128), seed=1)
    products = {"matmul": lambda a, b: a @ b, "linear": lambda a, b: a.matmul(b.t())}
    a, b = rushlight.tensor(x), rushlight.tensor(w, requires_grad=True)
    products[rule](a, b).sum().backward()  # loads what the first run needs
    b.grad, out = None, products[rule](a, b).sum()
    tracemalloc.start()
    try:
        out.backward()
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < w.nbytes * 16  # a product for each of the 256 would be that many matrices
    c = torch.tensor(w, requires_grad=True)
    products[rule](torch.tensor(x), c).sum().backward()
    assert np.allclose(b.grad.numpy(), c.grad.numpy(), rtol=1e-4, atol=1e-4)


def test_integer_products():
    r = np.random.default_rng(0)
    for high in (10, 2**31, 2**62):
        x, y = r.integers(-high, high, (70, 80)), r.integers(-high, high, (80, 90))
        ours, theirs = pair(x, y)
        np.testing.assert_array_equal((ours[0] @ ours[1]).numpy(), (theirs[0] @ theirs[1]).numpy())
    small = r.integers(0, 255, (70, 80)).astype(np.uint8)
    ours, theirs = pair(small)
    np.testing.assert_array_equal((ours[0] @ ours[0].T).numpy(), (theirs[0] @ theirs[0].T).numpy())


def test_histograms():
    x = numbers((20_000,))
    ours, theirs = pair(x)
    for args in ((50,), (7, -1, 2), (100, -0.5, 0.25)):
        np.testing.assert_array_equal(ours[0].histc(*args).numpy(), theirs[0].histc(*args).numpy())


@pytest.mark.parametrize("p", [0, 1, 2, 2.5, float("inf")])
def test_distances(p):
    ours, theirs = pair(numbers((300, 7), "float64"), numbers((400, 7), "float64", 1))
    mode = "donot_use_mm_for_euclid_dist"
    np.testing.assert_allclose(
        rushlight.cdist(*ours, p, mode).numpy(), torch.cdist(*theirs, p, mode).numpy(), rtol=1e-9
    )
    np.testing.assert_allclose(
        rushlight.nn.functional.pdist(ours[0], p).numpy(),
        torch.nn.functional.pdist(theirs[0], p).numpy(),
        rtol=1e-9,
    )


def test_even_and_uneven_histograms():
    x = np.concatenate([numbers((20_000,)), np.linspace(-2, 2, 81, dtype=np.float32)])
    ours, theirs = pair(x)
    for args in ((50,), (16,)):
        a, b = ours[0].histogram(*args, range=(-2, 2)), theirs[0].histogram(*args, range=(-2, 2))
        np.testing.assert_array_equal(a[0].numpy(), b[0].numpy())
    edges = np.array([-2, -1, 0, 0.25, 3], np.float32)
    a = ours[0].histogram(rushlight.from_numpy(edges))
    b = theirs[0].histogram(torch.from_numpy(edges))
    np.testing.assert_array_equal(a[0].numpy(), b[0].numpy())


@pytest.mark.parametrize("increasing", [True, False])
def test_vander(increasing):
    for x in (numbers((300,), "float64"), np.arange(-3, 4)):
        ours, theirs = pair(x)
        for n in (0, 1, 2, 5):
            a = rushlight.vander(ours[0], n, increasing)
            b = torch.vander(theirs[0], n, increasing)
            assert str(a.dtype) == str(b.dtype)
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


@pytest.mark.parametrize("layout", ["contiguous", "transposed"])
def test_in_place_in_pieces(layout):
    calls = {
        "relu_": lambda x, y: x.relu_(),
        "clamp_": lambda x, y: x.clamp_(-1, 0.5),
        "sigmoid_": lambda x, y: x.sigmoid_(),
        "hypot_": lambda x, y: x.hypot_(y),
        "lerp_": lambda x, y: x.lerp_(y, 0.3),
        "add_": lambda x, y: x.add_(y, alpha=0.5),
        "hypot_ of a row": lambda x, y: x.hypot_(y[:1]),
    }
    x, y = numbers((500, 301)), numbers((500, 301), seed=1)
    for name, call in calls.items():
        a, b = pair(*((x, y) if layout == "contiguous" else (x.T.copy().T, y)))
        call(*a), call(*b)
        np.testing.assert_allclose(a[0].numpy(), b[0].numpy(), rtol=2e-6, atol=1e-6, err_msg=name)


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


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("pad", [(1, 1, 1, 1), (0, 2, 3, 0), (9, 7, 0, 12), (-1, 2, 1, 1)])
@pytest.mark.parametrize("d", ["float32", "int64", "float16"])
def test_padding_of_images(mode, pad, d):
    found = []
    for fw in (torch, rushlight):
        x = fw.from_numpy(numbers((3, 4, 30, 40)) * 10).to(getattr(fw, d))
        found.append(fw.nn.functional.pad(x, pad, mode=mode).float().numpy())
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("sizes", [(40, 50), (9, 12, 11)])
@pytest.mark.parametrize("d", ["float64", "float32"])
def test_gradients_of_samples_by_a_grid(mode, padding, corners, sizes, d):
    near = 1e-9 if d == "float64" else 2e-4
    places = [n + 5 for n in sizes]
    image, grid = numbers((2, 3, *sizes)), numbers((2, *places, len(sizes)), seed=1) * 1.5
    g, found = numbers((2, 3, *places), seed=2), []
    for fw in (torch, rushlight):
        x, at = [fw.from_numpy(a.astype(d)).requires_grad_() for a in (image, grid)]
        options = {"mode": mode, "padding_mode": padding, "align_corners": corners}
        y = fw.nn.functional.grid_sample(x, at, **options)
        y.backward(fw.from_numpy(g.astype(d)))
        by_grid = np.zeros(grid.shape) if at.grad is None else at.grad.numpy()
        found.append((y.detach().numpy(), x.grad.numpy(), by_grid))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=near, atol=near)


@pytest.mark.parametrize("d", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(
    "code", ["F.prelu(x, y[0].abs())", "x + y", "x * y[:, :1]", "torch.atan2(x, y)", "x > y"]
)
def test_formulas_of_several_shapes(d, code):
    found = []
    for fw in (torch, rushlight):
        x = fw.from_numpy(numbers((70, 40, 5))).to(getattr(fw, d))
        y = fw.from_numpy(numbers((40, 1), seed=1)).to(getattr(fw, d))
        y = eval(code, {"torch": fw, "F": fw.nn.functional, "x": x, "y": y})
        found.append((y.dtype, y.float().numpy()))
    assert str(found[0][0]) == str(found[1][0])
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-5 if d == "float32" else 1e-2)


@pytest.mark.parametrize("n", [2, 3, 20_001, 50_000])
@pytest.mark.parametrize("name", ["hann_window", "hamming_window", "blackman_window"])
def test_windows_are_as_exact_as_torchs(name, n):
    for periodic in (True, False):
        exact = getattr(torch, name)(n, periodic, dtype=torch.float64).numpy()
        ours, theirs = [getattr(lib, name)(n, periodic).numpy() for lib in (rushlight, torch)]
        limit = max(np.abs(theirs - exact).max(), np.finfo(np.float32).eps)
        assert np.abs(ours - exact).max() <= limit


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("start", [0, -3, 5.5])
def test_ranges_of_floats_have_the_same_bits_in_a_loop(start, dtype):
    d = getattr(rushlight, dtype)
    ours = rushlight.arange(start, start + 1.0, 1e-4, dtype=d)
    with without_kernels():
        expected = rushlight.arange(start, start + 1.0, 1e-4, dtype=d)
    np.testing.assert_array_equal(ours.numpy(), expected.numpy())


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


@pytest.mark.parametrize(
    "shape, out", [((2, 3, 99, 99), 3), ((3, 90, 99), (9, 11)), ((2, 40, 40), (2, 5))]
)
def test_averages_of_large_windows_side_by_side(shape, out):
    x = numbers(shape)
    pool = rushlight.nn.functional.adaptive_avg_pool2d, torch.nn.functional.adaptive_avg_pool2d
    ours, theirs = pool[0](rushlight.from_numpy(x), out), pool[1](torch.from_numpy(x), out)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), 1e-5, 1e-6)


@pytest.mark.parametrize("shape, dim", [((300, 64, 40), 1), ((6000,), 0), ((0, 4), 1)])
def test_gated_units_in_pieces(shape, dim):
    x = numbers(shape)
    ours = rushlight.nn.functional.glu(rushlight.from_numpy(x), dim)
    theirs = torch.nn.functional.glu(torch.from_numpy(x), dim)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), 1e-5, 1e-6)


@pytest.mark.parametrize("shifts, dims", [((3, 5), (0, 1)), ((3, -2), (0, 0)), (100, None)])
def test_rolls_along_several_dims(shifts, dims):
    x = numbers((90, 110))
    ours, theirs = (
        rushlight.from_numpy(x).roll(shifts, dims),
        torch.from_numpy(x).roll(shifts, dims),
    )
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("options", [{"scale_factor": 2}, {"size": 333}])
def test_long_signals_are_interpolated_without_zeros_of_far_places(options):
    x = numbers((3, 40, 700))
    x[..., 0] = np.inf
    ours, theirs = [
        lib.nn.functional.interpolate(lib.from_numpy(x), mode="linear", **options).numpy()
        for lib in (rushlight, torch)
    ]
    np.testing.assert_array_equal(np.isinf(ours), np.isinf(theirs))
    np.testing.assert_allclose(ours, theirs, 1e-3, 1e-3)  # torch rounds places


def test_resampling_of_long_signals_takes_little_memory():
    """As matrices with their zeros these would take 160 and 80 gigabytes."""
    n = 100_000
    x = rushlight.linspace(0, 1, n, dtype=rushlight.float64).reshape(1, 1, n).requires_grad_()
    y = rushlight.nn.functional.interpolate(x, 2 * n, mode="linear", align_corners=True)
    np.testing.assert_allclose(y.detach().numpy().ravel(), np.linspace(0, 1, 2 * n), atol=1e-12)
    (g,) = rushlight.autograd.grad(y.sum(), x)
    assert abs(float(g.sum()) - 2 * n) < 1e-6
    z = rushlight.nn.functional.adaptive_avg_pool1d(x, n - 1)  # of neighbours
    expected = (x[..., 1:] + x[..., :-1]) / 2
    np.testing.assert_allclose(z.detach().numpy(), expected.detach().numpy(), atol=1e-12)


def test_large_batches_are_normalised_by_given_statistics():
    x, w = numbers((4, 16, 40, 40)), numbers((16,), seed=1)
    for array in (x, x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)):
        results = []
        for lib in (rushlight, torch):
            mean, scale = lib.from_numpy(w), lib.from_numpy(np.abs(w) + 0.5)
            given = lib.from_numpy(array), mean, scale, scale, mean
            results.append(lib.nn.functional.batch_norm(*given).numpy())
        np.testing.assert_allclose(*results, 1e-5, 1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bool", "float16", "complex64"])
def test_copies_of_short_rows_and_reshapes_that_copy(dtype):
    make = (lambda t: t.unfold(0, 5, 3), lambda t: t.reshape(3, 80, 100).permute(1, 2, 0))
    x = numbers((24_000,)) > 0 if dtype == "bool" else numbers((24_000,), dtype)
    for view in make:
        for copy in (lambda t: t.contiguous(), lambda t: t.reshape(5, -1)):
            got, expected = copy(view(rushlight.tensor(x))), copy(view(torch.tensor(x)))
            assert got.is_contiguous()
            np.testing.assert_array_equal(got.numpy(), expected.numpy())


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


@pytest.mark.parametrize("k", [1, 2, 3, -1])
@pytest.mark.parametrize("dims", [(0, 1), (2, 0)])
def test_turned_by_right_angles_lie_in_memory_as_in_torch(k, dims):
    x = numbers((3, 4, 5))
    ours, theirs = rushlight.tensor(x).requires_grad_(), torch.tensor(x)
    turned, expected = ours.rot90(k, dims), theirs.rot90(k, dims)
    for t in (turned, ours.detach().rot90(k, dims)):
        np.testing.assert_array_equal(t.detach().numpy(), expected.numpy())
        assert t.stride() == expected.stride() and t._base is None
    (g,) = rushlight.autograd.grad(turned, ours, turned.detach())
    assert rushlight.equal(g, ours)


@pytest.mark.parametrize(
    "shapes", [((100, 100), (100,)), ((100, 1), (1, 100)), ((9, 8, 200), (8, 1))]
)
@pytest.mark.parametrize("code", ["a + b", "b - a", "a * b", "fw.maximum(a, b)", "a < b"])
def test_rows_that_broadcast(shapes, code):
    a, b = [numbers(shape, seed=k) for k, shape in enumerate(shapes)]
    ours, theirs = [{"fw": fw, "a": fw.tensor(a), "b": fw.tensor(b)} for fw in (rushlight, torch)]
    for _ in range(2):  # the second time by what the first one made
        np.testing.assert_array_equal(eval(code, ours).numpy(), eval(code, theirs).numpy())
    for scope in (ours, theirs):
        scope["b"] = scope["b"].flip(-1).contiguous()
    np.testing.assert_array_equal(eval(code, ours).numpy(), eval(code, theirs).numpy())


def test_large_group_norms_have_gradients_of_all_inputs():
    given = numbers((3, 6, 150, 150)), numbers((6,), seed=1), numbers((6,), seed=2)
    found = []
    for lib in (rushlight, torch):
        x, w, b = [lib.from_numpy(a).requires_grad_() for a in given]
        y = lib.nn.functional.group_norm(x, 2, w, b)
        found.append(lib.autograd.grad((y * y.detach().cos()).sum(), (x, w, b)))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), 1e-3, 1e-3)


@pytest.mark.parametrize("shape, size", [((4, 8, 18, 18), 2), ((2, 3, 30, 20), (3, 10))])
def test_few_large_windows_are_pooled(shape, size):
    x = numbers(shape)
    x[0, 0, 0, 0] = np.inf
    for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        ours, theirs = [
            getattr(lib.nn.functional, name)(lib.from_numpy(x), size).numpy()
            for lib in (rushlight, torch)
        ]
        np.testing.assert_allclose(ours, theirs, 1e-5, 1e-5)


def test_second_derivatives_of_gamma_are_precise_in_float64():
    x = np.concatenate([np.linspace(0.01, 60, 5000), np.logspace(-100, 100, 500), [0, np.inf]])
    ours = rushlight.polygamma(1, rushlight.from_numpy(x)).numpy()
    np.testing.assert_allclose(ours, scipy.special.polygamma(1, x), 4e-15)


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin", "all", "any", "logsumexp"])
@pytest.mark.parametrize("keepdim", [False, True])
def test_short_rows_are_reduced_column_by_column(name, keepdim):
    given = numbers((1500, 6))
    given[3, 2], given[5, 5], given[7], given[9] = np.nan, np.inf, 0, -np.inf
    results = []
    for lib in (rushlight, torch):
        x = lib.from_numpy(given)
        inputs = [x, x[:, 1:5], x[:, ::2], x.flatten().unfold(0, 3, 2), x.long(), x.half()]
        inputs += [(x > 0).view(-1, 2)] if name in ("all", "any") else []
        for a in inputs:
            if name == "logsumexp" and not a.is_floating_point():
                continue
            found = getattr(a, name)(-1, keepdim=keepdim)
            found = found if isinstance(found, lib.Tensor) else found.values
            results.append(found.numpy())
    half = len(results) // 2
    for ours, theirs in zip(results[:half], results[half:], strict=True):
        assert ours.dtype == theirs.dtype
        tolerance = 1e-3 if ours.dtype == np.float16 else 1e-6
        np.testing.assert_allclose(ours, theirs, tolerance, tolerance)


@pytest.mark.parametrize("name", ["var", "std", "sum", "mean", "prod"])
@pytest.mark.parametrize(
    "shape", [(2100,), (100, 100), (50, 60, 7), (8191,), (40_000,), (64, 1, 70)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_reductions_around_where_kernels_begin(name, shape, dtype):
    x = 1 + numbers(shape, dtype) / 1000
    ours, theirs = rushlight.tensor(x), torch.tensor(x)
    for dim in (None, 0, -1, tuple(range(len(shape)))):
        if name == "prod" and isinstance(dim, tuple):
            continue
        given = {} if dim is None else {"dim": dim}
        found, expected = getattr(ours, name)(**given), getattr(theirs, name)(**given)
        np.testing.assert_allclose(found.numpy(), expected.numpy(), 1e-3, 1e-6)
