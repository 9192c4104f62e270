"""Loops for few elements agree with NumPy's ways, whatever the sizes."""

import numpy as np
import pytest
import torch

import rushlight as rl
from rushlight.core.native import kernels, without_kernels

F = rl.nn.functional
SIZES = [1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 129]


def random(*shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def check(compute, dtype="float32"):
    """A result with kernels, beside that without."""
    found = compute()
    with without_kernels():
        expected = compute()
    close = 2e-5 if dtype == "float32" else 1e-12
    for a, b in zip(*[r if isinstance(r, tuple) else (r,) for r in (found, expected)], strict=True):
        assert a.dtype is b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a.numpy(), b.numpy(), close, close)


def same_places(compute):
    """Results are the same with kernels and without, to the bit."""
    kernels.loaded = True
    found = compute()
    with without_kernels():
        expected = compute()
    for a, b in zip(found, expected, strict=True):
        assert a.dtype is b.dtype and a.shape == b.shape
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", SIZES)
class TestSizes:
    def test_softmax(self, n, dtype):
        for shape, dim in (((2, n), 1), ((n, 5), 0), ((2, 3, n), 1)):
            x = rl.tensor(random(*shape, dtype=dtype))
            check(lambda x=x, dim=dim: x.softmax(dim), dtype)
            check(lambda x=x, dim=dim: x.log_softmax(dim), dtype)

    def test_draws(self, n, dtype):
        p = rl.tensor(random(n, dtype=dtype)).sigmoid()

        def draw():
            rl.manual_seed(n)
            few = rl.empty(min(n, 63), dtype=p.dtype).normal_(0.5, 2)
            return rl.bernoulli(p), p.clone().exponential_(2), few, rl.get_rng_state()

        same_places(draw)

    def test_extremes_of_rows(self, n, dtype):
        x = random(300, n, dtype=dtype)
        x[3:5, n // 2], x[5:9, 0] = np.nan, np.inf
        x = rl.tensor(x)
        check(lambda: (x.amax(1), x.amin(1, True), x.reshape(3, 100, n).amax(-1)), dtype)

    def test_triangles_of_elements(self, n, dtype):
        x = rl.tensor(random(2, 9, n, dtype=dtype))
        for k in (-20, -3, 0, 2, 200):
            same_places(
                lambda k=k: [f(k) for t in (x, x > 0, x.int(), x.half()) for f in (t.tril, t.triu)]
            )

    def test_norms(self, n, dtype):
        x, w = rl.tensor(random(2, n, dtype=dtype)), rl.tensor(random(n, dtype=dtype, seed=1))
        y = rl.tensor(random(3, 4, n, dtype=dtype))
        c = rl.tensor(random(4, dtype=dtype))
        check(lambda: F.layer_norm(x, (n,), w, w), dtype)
        check(lambda: F.rms_norm(x, (n,), w), dtype)
        check(lambda: F.batch_norm(y, None, None, c, training=True), dtype)
        check(lambda: F.batch_norm(y, c, c * c, None, c), dtype)
        check(lambda: F.group_norm(y, 2, c, c), dtype)

    def test_gradients_of_norms(self, n, dtype):
        x, y, w, c = [
            rl.tensor(random(*shape, dtype=dtype, seed=len(shape))).requires_grad_()
            for shape in ((2, n), (3, 4, n), (n,), (4,))
        ]
        for norm, given in (
            (lambda: F.layer_norm(x, (n,), w, w), (x, w)), (lambda: F.rms_norm(x, (n,), w), (x, w)),
            (lambda: F.layer_norm(y, (4, n)), (y,)), (lambda: F.group_norm(y, 2, c, c), (y, c)),
            (lambda: F.batch_norm(y, None, None, c, c, training=True), (y, c)),
            (lambda: F.group_norm(y, 4), (y,)),
            (lambda: F.batch_norm(y, None, None, training=True), (y,)),
        ):  # fmt: skip
            out = norm()
            g = rl.tensor(random(*out.shape, dtype=dtype, seed=9))
            check(lambda out=out, given=given, g=g: rl.autograd.grad(out, given, g, True), dtype)

    def test_running_statistics(self, n, dtype):
        y = rl.tensor(random(3, n, 2, dtype=dtype))

        def running():
            mean, variance = rl.zeros(n, dtype=y.dtype), rl.ones(n, dtype=y.dtype)
            F.batch_norm(y, mean, variance, training=True)
            return mean, variance

        check(running, dtype)

    def test_pools(self, n, dtype):
        x = rl.tensor(random(2, 3, n + 2, 5, dtype=dtype))
        check(lambda: F.max_pool2d(x, 3, 2, 1, return_indices=True), dtype)
        check(lambda: F.max_pool2d(x, (2, 3)), dtype)
        check(lambda: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), dtype)
        check(lambda: F.adaptive_avg_pool2d(x, (3, 2)), dtype)
        check(lambda: F.adaptive_max_pool2d(x, (2, 3), return_indices=True), dtype)

    def test_formulas(self, n, dtype):
        x, y = (rl.tensor(random(n, dtype=dtype, seed=s)) for s in (0, 1))
        check(lambda: F.softplus(x), dtype)
        check(lambda: F.elu(x, 0.5), dtype)
        check(lambda: rl.addcmul(x, x, y, value=0.5), dtype)
        check(lambda: x.clone().lerp_(y, 0.3), dtype)
        check(lambda: x.clone().clamp_(max=0.5), dtype)
        check(lambda: rl.hypot(x, y), dtype)

    def test_first_in_order(self, n, dtype):
        x = rl.tensor(np.round(random(3, n, dtype=dtype)))  # many are equal
        x[0, n // 2] = float("nan")
        x[1, 0] = -float("inf")
        for k in {1, min(n, 5), n}:
            for largest in (True, False):
                same_places(lambda k=k, largest=largest: x.topk(k, largest=largest))
        for descending in (True, False):
            same_places(lambda descending=descending: x.sort(1, descending))
            same_places(lambda descending=descending: x.sort(0, descending))

    def test_ranks(self, n, dtype):
        x = rl.tensor(np.round(random(3, n, 2, dtype=dtype)))  # zeros of both signs among them
        x[0, n // 2], x[1] = float("nan"), float("nan")
        x[2, 0] = -float("inf")
        for dim in range(3):
            same_places(lambda dim=dim: x.median(dim))
            same_places(lambda dim=dim: x.nanmedian(dim, keepdim=True))
            same_places(lambda dim=dim: x.mode(dim))
            for k in {1, x.shape[dim]}:
                same_places(lambda dim=dim, k=k: x.kthvalue(k, dim))
        whole = (x[::2].nan_to_num(0, 0, 0) * 2).long()
        same_places(lambda: whole.mode(1))

    def test_triangles(self, n, dtype):
        a, b = random(n, n, dtype=dtype), random(n, 2, dtype=dtype, seed=1)
        a = rl.tensor(a / n + 2 * np.eye(n, dtype=dtype))
        for upper in (True, False):
            check(lambda up=upper: rl.linalg.solve_triangular(a, rl.tensor(b), upper=up), dtype)

    def test_padding(self, n, dtype):
        x = random(2, 3, n + 1, dtype=dtype)
        for mode in ("reflect", "replicate", "circular"):
            found = F.pad(rl.tensor(x), (1, 1), mode=mode)
            expected = torch.nn.functional.pad(torch.tensor(x), (1, 1), mode=mode)
            assert np.array_equal(found.numpy(), expected.numpy())

    def test_losses_of_classes(self, n, dtype):
        x, y = rl.tensor(random(n, 5, dtype=dtype)), rl.arange(n) % 5
        check(lambda: F.nll_loss(x, y, ignore_index=3), dtype)
        check(lambda: F.cross_entropy(x, y, reduction="sum"), dtype)
        for p, reduction in ((1, "mean"), (2, "sum")):
            options = {"p": p, "margin": 0.5, "reduction": reduction}
            check(lambda options=options: F.multi_margin_loss(x, y, **options), dtype)

    def test_steps(self, n, dtype):
        for first, last in ((0, 1), (-1.5, 2), (3, -3), (1, 1)):
            ends = first, last, n
            same_places(lambda ends=ends: [rl.linspace(*ends, dtype=getattr(rl, dtype))])

    def test_distances(self, n, dtype):
        x, y = rl.tensor(random(n, 3, dtype=dtype)), rl.tensor(random(5, 3, dtype=dtype, seed=1))
        for p in (1.0, 2.0, float("inf")):
            check(lambda p=p: F.pdist(x, p), dtype)
            check(lambda p=p: rl.cdist(x, y, p, "donot_use_mm_for_euclid_dist"), dtype)

    def test_running_logarithms(self, n, dtype):
        x = rl.tensor(random(2, n, 3, dtype=dtype))
        for dim in range(3):
            check(lambda dim=dim: x.logcumsumexp(dim), dtype)


@pytest.mark.parametrize("n", SIZES)
def test_halves(n):
    special = np.array([np.nan, np.inf, -np.inf, 1e-8, 65519.0, 65520.0, -0.0], "f4")
    x = rl.tensor(np.concatenate([random(n) * 1e3, special]))
    for dtype in (rl.float16, rl.bfloat16):
        half = x.to(dtype)
        with without_kernels():
            assert rl.equal(half.float().nan_to_num(1), x.to(dtype).float().nan_to_num(1))
            expected = half + half
        assert rl.equal((half + half).float().nan_to_num(1), expected.float().nan_to_num(1))


@pytest.mark.parametrize("shape", [(3, 3), (2, 5, 3), (4, 3, 5), (1, 1), (2, 33, 20), (17, 64)])
def test_small_factors(shape):
    x = random(*shape)
    for mode in ("reduced", "complete"):
        found = rl.linalg.qr(rl.tensor(x), mode)
        for a, b in zip(found, np.linalg.qr(x, mode), strict=True):
            np.testing.assert_array_equal(a.numpy(), b)
    for rank in (1, min(shape[-2:])):
        a, b = x @ np.swapaxes(x, -1, -2), random(*shape[:-1], 2, seed=1)
        a[..., rank:] = 0
        found = rl.linalg.lstsq(rl.tensor(a), rl.tensor(b))
        assert (found.rank == rank).all()
        expected = np.linalg.pinv(a, 1e-6) @ b
        np.testing.assert_allclose(found.solution.numpy(), expected, 1e-3, 1e-3)


def test_functions_of_several_ops_record_what_they_compute_at_once():
    x, y = rl.tensor(random(3, 3)), rl.tensor(random(3, 3, seed=1))
    v, k = x[0], rl.tensor([1, -2, 0])
    for compute in (
        lambda x, v: rl.cross(x, y, 1), lambda x, v: rl.kron(x, y), lambda x, v: rl.outer(v, v),
        lambda x, v: rl.linalg.multi_dot([x, y, v]), lambda x, v: x.trace(),
        lambda x, v: x.rot90(), lambda x, v: x.diagonal_scatter(v), lambda x, v: rl.ldexp(v, k),
        lambda x, v: rl.cartesian_prod(v, v), lambda x, v: x.renorm(3, 0, 0.5),
        lambda x, v: rl.linalg.norm(x, "fro", (1, 0)), lambda x, v: rl.stack([v, v]),
        lambda x, v: x.quantile(0.3, 0), lambda x, v: x.nanmean(1), lambda x, v: rl.vander(v, 4),
        lambda x, v: F.cosine_similarity(x, y), lambda x, v: rl.addmm(v, x, y),
        lambda x, v: rl.baddbmm(x, x[None], y[None]), lambda x, v: rl.linalg.vector_norm(v, 3),
        lambda x, v: F.glu(x[:, :2]), lambda x, v: x.renorm(2, 0, 0.5),
    ):  # fmt: skip
        plain = compute(x, v)
        recorded = compute(x.clone().requires_grad_(), v.clone().requires_grad_())
        assert recorded.requires_grad and not plain.requires_grad and plain._base is None
        np.testing.assert_allclose(plain.numpy(), recorded.detach().numpy(), 1e-6, 1e-6)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_draws_nothing(wrong):
    kernels.loaded = True
    before = rl.get_rng_state()
    with pytest.raises(RuntimeError, match="must lie in"):
        rl.bernoulli(rl.tensor([0.5, wrong, 0.5]))
    assert rl.equal(before, rl.get_rng_state())


def test_shuffled_channels_are_a_copy():
    x = rl.tensor(random(1, 4, 2, 2))
    for groups in (1, 2, 4):
        out = F.channel_shuffle(x, groups)
        assert out.data_ptr() != x.data_ptr() and not out._is_view()


def test_the_last_nan_is_the_maximum():
    x = [[[1.0, float("nan"), float("nan"), 2.0]]]
    for fw in (rl, torch):
        G = fw.nn.functional
        assert G.max_pool1d(fw.tensor(x), 4, return_indices=True)[1].item() == 2
        assert G.adaptive_max_pool1d(fw.tensor(x), 1, return_indices=True)[1].item() == 2


def test_the_first_of_equal_zeros_is_the_maximum():
    x = rl.tensor([[[0.0, -0.0, -0.0, 0.0]]])
    assert F.max_pool1d(x, 2).signbit().tolist() == [[[False, True]]]


def test_targets_out_of_range():
    with pytest.raises(IndexError, match="Target 5 is out of bounds"):
        F.nll_loss(rl.zeros(2, 3), rl.tensor([0, 5]))


def test_group_norm_is_one_node():
    x = rl.zeros(2, 4, 3, requires_grad=True)
    assert F.group_norm(x + 1, 2).grad_fn.name() == "NativeGroupNormBackward0"


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "int64", "int32", "bfloat16"])
def test_many_elements_take_one_value(dtype):
    for n in (8192, 8300, 20_001):
        x = torch.arange(n).to(getattr(torch, dtype)).numpy() if dtype != "bfloat16" else None
        x = rl.arange(n).to(getattr(rl, dtype)) if x is None else rl.from_numpy(x)
        for value in (3, 0):
            assert (x.fill_(value) == value).all() and (x.view(-1) == value).sum() == n
        assert (rl.full((n,), 7, dtype=x.dtype) == 7).all() and not x.fill_(1).zero_().any()
        y = x[1::2].fill_(5)
        assert (y == 5).all() and x.count_nonzero() == len(y) == (x == 5).sum()


def test_integers_are_limited():
    x = np.random.default_rng(0).integers(-(2**40), 2**40, 20_003)
    kernels.loaded = True
    for n in (1, 9, 1000, len(x)):
        for low, high in ((-5, 2**39), (500, 10), (-(2**62), 2**62), (True, 7)):
            expected = np.minimum(np.maximum(x[:n], low), high)
            np.testing.assert_array_equal(rl.tensor(x[:n]).clamp(low, high).numpy(), expected)
    with pytest.raises(RuntimeError, match="without overflow"):
        rl.tensor(x).clamp(0, 2**64 - 1)


@pytest.mark.parametrize("scale", [0.0, 0.1, 1.0, 5.0])
@pytest.mark.parametrize("shape", [(9, 1, 1), (2, 5, 3, 3), (40, 12, 12)])
def test_exponentials_of_many_matrices(shape, scale):
    x = random(*shape) * np.linspace(0, scale, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    exact = torch.linalg.matrix_exp(torch.from_numpy(x)).numpy()
    x = x.astype("float32")
    size = np.abs(exact).max((-1, -2), keepdims=True)
    found, theirs = [
        np.abs(fw.linalg.matrix_exp(fw.from_numpy(x)).numpy() - exact) / size for fw in (rl, torch)
    ]
    assert found.max() <= max(3 * theirs.max(), 1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape, dim", [((7,), 0), ((5, 6), 0), ((5, 6), 1), ((2, 3, 4), 1)])
def test_what_meets_at_one_place(shape, dim, dtype):
    x, y = random(*shape, dtype=dtype), random(*shape, dtype=dtype, seed=1)
    x.flat[1], x.flat[2], y.flat[3], y.flat[4] = np.nan, -0.0, np.nan, 0.0
    index = rl.tensor(np.random.default_rng(2).integers(0, shape[dim], shape))
    x, y = rl.tensor(x), rl.tensor(y)
    for kind in ("sum", "prod", "amax", "amin"):
        same_places(lambda kind=kind: [x.scatter_reduce(dim, index, y, kind)])
    with pytest.raises(RuntimeError, match="out of bounds"):
        x.scatter_reduce(dim, index + shape[dim], y, "amax")


LAYOUTS = {
    "rows": lambda x: x,
    "columns": lambda x: x.swapaxes(0, -1).copy().swapaxes(0, -1),
    "every second": lambda x: np.repeat(x, 2, -1)[..., ::2],
    "repeated": lambda x: np.broadcast_to(x[:1], x.shape),
    "a row": lambda x: x[0],
    "a column": lambda x: x[..., :1],
    "one": lambda x: x[0, 0, 0],
}


@pytest.mark.parametrize("first", LAYOUTS)
@pytest.mark.parametrize("second", LAYOUTS)
def test_few_lie_in_any_order(first, second):
    """Formulas of operands that broadcast, have gaps or lie in other orders, twice: when no kernel
    is ready, and when one is.
    """
    x, y = LAYOUTS[first](np.exp(random(3, 4, 5))), LAYOUTS[second](np.exp(random(3, 4, 5, seed=1)))
    a, b = rl.as_tensor(x), rl.as_tensor(y)
    for f in (rl.hypot, rl.remainder, lambda a, b: rl.sub(a, b, alpha=2), lambda a, b: F.silu(a)):
        with without_kernels():
            expected = f(a, b)
        for _ in range(2):
            found = f(a, b)
            np.testing.assert_allclose(found.numpy(), expected.numpy(), 1e-6, 1e-6)
            assert found.stride() == expected.stride()


@pytest.mark.parametrize("write", ["add_", "mul_", "sub_"])
def test_views_are_written_like_copies(write):
    """Views of one memory read and written at once, and views that lie across themselves."""
    pairs = [
        lambda m: (m[0], m[1]),
        lambda m: (m[:, 1:], m[:, :-1].clone()[:, :]),
        lambda m: (m.T, m.T),
        lambda m: (m[1:3, 1:3].T, m[1:3, 1:3].T),
        lambda m: (m[0], m[2].clone().expand(2, 4)[1]),
    ]
    for pair in pairs:
        m = rl.tensor(random(4, 4))
        t = torch.tensor(m.numpy())
        for fw_m in (m, t):
            x, y = pair(fw_m)
            before = m._version, t._version
            assert getattr(x, write)(y) is x
            assert (m._version, t._version) != before
        np.testing.assert_array_equal(m.numpy(), t.numpy())
    m, over = rl.tensor(random(4, 4)), "more than one element"
    with pytest.raises(RuntimeError, match="some elements"):
        getattr(m.view(-1)[1:], write)(m.view(-1)[:-1])
    with pytest.raises(RuntimeError, match=over):
        getattr(m[:1].expand(4, 4), write)(1.0)


@pytest.mark.parametrize(
    "code",
    [
        "m[:, 1].relu_()", "m[1].zero_()", "m.t().exp_()", "m[::2].sigmoid_()", "m[:, 2].fill_(3)",
        "m[0].addcmul_(m[1], m[1])", "m[0].lerp_(m[0], 0.5)", "m[0].lerp_(m[:, 0], 0.5)",
        "m[1:].clamp_(0, 1)", "m[1:].t().sin_()",
    ],
)  # fmt: skip
def test_parts_are_written_in_place(code):
    m = rl.tensor(random(4, 4))
    t = torch.tensor(m.numpy())
    for scope in ({"m": m}, {"m": t}):
        eval(code, scope)
    np.testing.assert_allclose(m.numpy(), t.numpy(), 1e-6, 1e-6)
    assert m._version == t._version == 1
    with pytest.raises(RuntimeError, match="more than one element"):
        rl.ones(1).expand(3).relu_()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("classes", SIZES)
def test_gradients_of_targets(classes, dtype):
    """Of losses of rows, whose first, or all, targets do not count."""
    x = rl.tensor(random(5, classes, dtype=dtype), requires_grad=True)
    for first, rest in ((0, classes - 1), (-100, 0), (-100, -100)):
        y = rl.tensor([first, rest, rest, classes // 2 if rest >= 0 else rest, rest])
        for loss in (F.cross_entropy, F.nll_loss):
            for reduction in ("mean", "sum"):

                def gradient(loss=loss, y=y, reduction=reduction):
                    return rl.autograd.grad(loss(x, y, reduction=reduction) * 1.5, x)[0]

                check(gradient, dtype)


@pytest.mark.parametrize(
    "shape, dim", [((4, 5, 6), (1, 2)), ((4, 5, 6), None), ((3, 1, 4), (0, 1))]
)
@pytest.mark.parametrize("keepdim", [False, True])
def test_spreads_of_neighbours(shape, dim, keepdim):
    """Of few elements, to the bit what NumPy finds."""
    kernels.loaded = True
    x = rl.tensor(random(*shape))
    same_places(lambda: (x.std(dim, keepdim=keepdim), x.mT.var(dim, keepdim=keepdim)))
