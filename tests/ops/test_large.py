"""Arrays that are large enough for the blocked and sorted paths, against torch."""

import tracemalloc

import numpy as np
import pytest
import scipy.special
import torch

import rushlight
from rushlight.core.native import without_kernels
from tests.ops.large import numbers, pair, worst


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


def test_second_derivatives_of_gamma_are_precise_in_float64():
    x = np.concatenate([np.linspace(0.01, 60, 5000), np.logspace(-100, 100, 500), [0, np.inf]])
    ours = rushlight.polygamma(1, rushlight.from_numpy(x)).numpy()
    np.testing.assert_allclose(ours, scipy.special.polygamma(1, x), 4e-15)
