"""Norms, embeddings, attention, resampling, recurrent networks and activations."""

import math

import numpy as np
import pytest
import torch

import rushlight
from rushlight.nn.functional import toplevel


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape)


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 2)])
@pytest.mark.parametrize("affine", [False, True])
def test_batch_norm(same, shape, affine):
    w, b = normal(2, 3)

    def function(F, lib, x, w, b):
        mean, var = lib.zeros(3, dtype=x.dtype), lib.ones(3, dtype=x.dtype)
        weights = (w, b) if affine else (None, None)
        out = F.batch_norm(x, mean, var, *weights, training=True, momentum=0.3)
        return out, mean, var, F.batch_norm(x, mean, var, *weights)

    same(function, normal(*shape), w, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("affine", [False, True])
def test_other_norms(same, affine):
    x, w, b = normal(3, 4, 5), *normal(2, 4)

    def given(*values):
        return values if affine else (None,) * len(values)

    def layer(F, lib, x, w, b):
        return F.layer_norm(x, (4, 5), *given(w.outer(b[:1].expand(5)), w[:, None] + 0 * x[0]))

    same(lambda F, lib, x, w, b: F.group_norm(x, 2, *given(w, b)), x, w, b, rtol=1e-5, atol=1e-7)
    same(lambda F, lib, x, w, b: F.instance_norm(x, None, None, *given(w, b)), x, w, b, atol=1e-6)
    same(lambda F, lib, x, w, b: F.rms_norm(x.mT, (4,), *given(w)), x, w, b, rtol=1e-5)
    same(lambda F, lib, x, w, b: F.local_response_norm(x, 3), x, w, b)
    same(lambda F, lib, x, w, b: F.layer_norm(x.mT, (4,), *given(w, b)), x, w, b, atol=1e-6)


def test_instance_norm_moves_running_statistics(same):
    def function(F, lib, x):
        mean, var = lib.zeros(3, dtype=x.dtype), lib.ones(3, dtype=x.dtype)
        return F.instance_norm(x, mean, var, momentum=0.2), mean, var

    same(function, normal(4, 3, 6), orders=1)


@pytest.mark.parametrize("count", [10, 200])
@pytest.mark.parametrize("by_frequency", [False, True])
def test_embedding(same, count, by_frequency):
    index = np.random.default_rng(1).integers(0, 7, (count // 2, 2))
    same(
        lambda F, lib, i, w: F.embedding(i, w, 3, scale_grad_by_freq=by_frequency),
        index,
        normal(7, 4),
        orders=2,
    )


def test_embedding_limits_norms_in_place(same):
    def function(F, lib, i, w):
        table = w.detach().clone()
        return F.embedding(i, table, max_norm=1.0), table

    same(function, np.array([1, 1, 3]), 3 * normal(5, 4), orders=0, rtol=1e-5)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag(same, mode):
    index, starts = np.array([1, 2, 4, 5, 4, 3, 2, 6]), np.array([0, 3, 3, 5])
    same(
        lambda F, lib, i, s, w: F.embedding_bag(i, w, s, mode=mode, padding_idx=4),
        index,
        starts,
        normal(7, 3),
        orders=1,
    )


@pytest.mark.parametrize("mask", [None, "causal", "bool", "float"])
def test_attention(same, mask):
    r = np.random.default_rng(0)
    q, k, v = r.standard_normal((2, 3, 4, 6)), *r.standard_normal((2, 2, 3, 5, 6))

    def function(F, lib, q, k, v):
        attn = {
            "bool": lambda: lib.from_numpy(np.tri(4, 5, 1, dtype=bool)),
            "float": lambda: lib.from_numpy(np.random.default_rng(1).standard_normal((3, 4, 5))),
        }
        given = attn[mask]() if mask in attn else None
        if lib is rushlight:
            return F.scaled_dot_product_attention(q, k, v, given, is_causal=mask == "causal")
        scores = q @ k.mT / math.sqrt(6)  # torch's own kernel has no second derivative
        if mask in ("causal", "bool"):
            scores = scores.masked_fill(~lib.ones(4, 5).tril(int(mask == "bool")).bool(), -math.inf)
        return (scores + given if mask == "float" else scores).softmax(-1) @ v

    same(function, q, k, v, rtol=1e-5, atol=1e-7)


def test_attention_that_may_look_at_nothing(same):
    q = normal(2, 3, 4)

    def function(F, lib, q):
        mask = lib.tensor([[True, True, False], [False, False, False], [True, False, True]])
        return F.scaled_dot_product_attention(q, q, q, mask)

    same(function, q, orders=1)


@pytest.mark.parametrize("options", [
    {"mode": "nearest"}, {"mode": "nearest-exact"}, {"mode": "bilinear"}, {"mode": "bicubic"},
    {"mode": "bilinear", "align_corners": True}, {"mode": "bicubic", "align_corners": True},
    {"mode": "area"}, {"mode": "bilinear", "antialias": True},
    {"mode": "bicubic", "antialias": True},
])  # fmt: skip
@pytest.mark.parametrize("size", [(3, 4), (9, 11), (5, 14), (1, 1)])
def test_interpolate(same, options, size):
    same(lambda F, lib, x: F.interpolate(x, size, **options), normal(2, 3, 5, 7), orders=1)


def test_interpolate_to_sizes_in_tensors(same):
    same(lambda F, lib, x: F.interpolate(x, size=lib.tensor(4)), normal(2, 3, 5, 7))
    same(lambda F, lib, x: F.interpolate(x, size=(lib.tensor(4), 3)), normal(2, 3, 5, 7))


@pytest.mark.parametrize("factor", [0.5, 1.7, 2, (0.4, 3.0)])
@pytest.mark.parametrize("recompute", [None, True])
def test_interpolate_by_factors(same, factor, recompute):
    for mode in ("nearest", "bilinear"):
        same(
            lambda F, lib, x, mode=mode: F.interpolate(
                x, scale_factor=factor, mode=mode, recompute_scale_factor=recompute
            ),
            normal(2, 1, 6, 7),
            orders=1,
        )


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("corners", [False, True])
def test_grid_sample(same, mode, padding, corners):
    r = np.random.default_rng(0)
    x, theta = r.standard_normal((2, 3, 5, 6)), r.standard_normal((2, 2, 3))

    def function(F, lib, x, theta):
        grid = F.affine_grid(theta, (2, 3, 4, 5), align_corners=corners)
        return F.grid_sample(x, grid, mode, padding, align_corners=corners)

    same(function, x, theta, orders=1, rtol=1e-5, atol=1e-6)


def test_grid_sample_of_volumes(same):
    r = np.random.default_rng(0)
    x, grid = r.standard_normal((1, 2, 3, 4, 5)), r.uniform(-1.3, 1.3, (1, 2, 3, 4, 3))
    for mode in ("bilinear", "nearest"):
        same(
            lambda F, lib, x, g, mode=mode: F.grid_sample(x, g, mode, align_corners=False),
            x,
            grid,
            orders=1,
        )


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("rank", [2, 3])
def test_grid_sample_at_the_edge(same, mode, padding, corners, rank):
    """Where the gradient jumps: the grid's is 0 at an edge, of the nearest it is 0 everywhere."""
    r = np.random.default_rng(0)
    edges = [-3, -1.75, -1.25, -1, -0.75, 0, 0.3, 0.75, 1, 1.25, 1.75, 3, 5]  # of 4 pixels
    x = r.standard_normal((2, 2, *[4] * rank))
    grid = r.choice(edges, (2, 9, *[3] * (rank - 1), rank))

    def function(F, lib, x, grid):
        return F.grid_sample(x, grid, mode, padding, align_corners=corners)

    def with_graph(F, lib, x, grid):
        out = function(F, lib, x, grid)
        return lib.autograd.grad(out.sum(), [x, grid], create_graph=lib is rushlight)

    def compiled(F, lib, x, grid):
        def step(x, grid):
            return with_graph(F, lib, x, grid)

        return (lib.compile(step) if lib is rushlight else step)(x, grid)

    same(function, x, grid, orders=1)
    same(with_graph, x, grid, orders=0)
    same(compiled, x, grid, orders=0)


CURVES = {
    "relu": {}, "relu6": {}, "leaky_relu": {"negative_slope": 0.2}, "elu": {"alpha": 1.3},
    "selu": {}, "celu": {"alpha": 0.7}, "gelu": {}, "silu": {}, "mish": {}, "softplus": {"beta": 2},
    "hardtanh": {}, "hardswish": {}, "hardsigmoid": {}, "hardshrink": {}, "softshrink": {},
    "tanhshrink": {}, "softsign": {}, "logsigmoid": {}, "softmax": {"dim": 0},
    "log_softmax": {"dim": 1}, "softmin": {"dim": -1}, "glu": {"dim": 0},
}  # fmt: skip


@pytest.mark.parametrize("name", CURVES)
def test_curves(same, name):
    x = np.random.default_rng(0).uniform(-4, 4, (6, 5))
    orders = 1 if name == "hardsigmoid" else 2  # of which torch has no second derivative
    same(lambda F, lib, x: getattr(F, name)(x, **CURVES[name]), x, orders=orders)
    far = np.array([[-1e3, -40.0, 0.0, 40.0, 1e3]] * 2)
    same(lambda F, lib, x: getattr(F, name)(x, **CURVES[name]), far, orders=1)


def test_zero_slope_stops_infinite_gradients(same):
    x = np.array([-1.0, 0.0, 2.0])
    same(lambda F, lib, x: F.relu(x).sqrt(), x[:1], orders=0)

    def function(F, lib, x):
        y = F.relu(x)
        (g,) = lib.autograd.grad(y.sqrt().sum(), x)
        return g

    same(function, x, orders=0)


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 2.0, 3.5, math.inf])
def test_cdist(p):
    a, b = normal(2, 5, 3), normal(1, 4, 3) + 1
    a[0, 1] = b[0, 2]  # a distance of zero
    found = []
    for lib, function in ((torch, torch.cdist), (rushlight, toplevel.cdist)):
        x, y = (lib.from_numpy(v.copy()).requires_grad_() for v in (a, b))
        d = function(x, y, p)
        d.backward(lib.from_numpy(np.ones(d.shape)))
        found.append([d.detach().numpy(), x.grad.numpy(), y.grad.numpy()])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-7)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh", "rnn_relu"])
@pytest.mark.parametrize("packed", [False, True])
def test_recurrent(cell, packed):
    r = np.random.default_rng(0)
    layers, n, width, hidden, sizes = 2, 3, 4, 5, np.array([3, 3, 2, 1])
    gates = {"lstm": 4, "gru": 3}.get(cell, 1) * hidden
    weights = []
    for layer in range(layers):
        for _ in range(2):
            inputs = width if layer == 0 else 2 * hidden
            shapes = ((gates, inputs), (gates, hidden), (gates,), (gates,))
            weights += [r.standard_normal(s) * 0.4 for s in shapes]
    x = r.standard_normal((sizes.sum(), width) if packed else (4, n, width))
    h, c = r.standard_normal((2, 2 * layers, n, hidden))
    found = []
    for lib, function in ((torch, getattr(torch, cell)), (rushlight, getattr(toplevel, cell))):
        tx, th, tc, *tw = (lib.from_numpy(v.copy()).requires_grad_() for v in (x, h, c, *weights))
        state = (th, tc) if cell == "lstm" else th
        rest = (tw, True, layers, 0.0, False, True)
        if packed:
            outs = function(tx, lib.from_numpy(sizes), state, *rest)
        else:
            outs = function(tx, state, *rest, False)
        sum((o * o).sum() for o in outs).backward()
        inputs = [tx, th, *([tc] if cell == "lstm" else []), *tw]
        found.append([o.detach().numpy() for o in outs] + [t.grad.numpy() for t in inputs])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


DROPOUTS = {
    "dropout": (5, 7), "alpha_dropout": (5, 7), "feature_alpha_dropout": (3, 4, 5),
    "dropout1d": (3, 4, 5), "dropout2d": (2, 3, 4, 5), "dropout3d": (2, 3, 2, 2, 2),
    "rrelu": (6, 6),
}  # fmt: skip


@pytest.mark.parametrize("name", DROPOUTS)
def test_the_same_numbers_are_dropped(name):
    x = normal(*DROPOUTS[name]).astype(np.float32)
    found = []
    for lib in (torch, rushlight):
        lib.manual_seed(5)
        out = getattr(lib.nn.functional, name)(lib.from_numpy(x), training=True)
        found.append((out.numpy(), lib.rand(3).numpy()))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_toplevel_signatures():
    assert [name for name in toplevel.__all__ if not hasattr(torch, name)] == []
    x, w = normal(4, 3), normal(3)
    for lib, at in ((torch, torch), (rushlight, toplevel)):
        t, v = lib.from_numpy(x), lib.from_numpy(w)
        out = at.batch_norm(t, v, None, None, None, True, 0.1, 1e-5, False)
        table = at.embedding(t, lib.tensor([1, 0]))
        loss = at.binary_cross_entropy_with_logits(t, (t > 0).double(), None, None, 2)
        norms = at.norm_except_dim(t, 2, 0)
        if lib is torch:
            expected = [out, table, loss, norms]
        else:
            for ours, theirs in zip([out, table, loss, norms], expected, strict=True):
                np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-9)


EMPTY = {
    "mse_loss": lambda F, lib, x: F.mse_loss(x, x.detach()),
    "embedding": lambda F, lib, x: F.embedding(lib.zeros(0, dtype=lib.int64), x.new_ones(4, 2)),
    "softmax": lambda F, lib, x: F.softmax(x, 1),
    "layer_norm": lambda F, lib, x: F.layer_norm(x, (4,)),
    "linear": lambda F, lib, x: F.linear(x, x.new_ones(2, 4), x.new_ones(2)),
    "conv1d": lambda F, lib, x: F.conv1d(x[:, :, None], x.new_ones(2, 4, 1)),
    "max_pool1d": lambda F, lib, x: F.max_pool1d(x[:, None], 2),
    "cross_entropy": lambda F, lib, x: F.cross_entropy(x, lib.zeros(0, dtype=lib.int64)),
}


@pytest.mark.parametrize("name", EMPTY)
def test_of_nothing(same, name):
    same(EMPTY[name], np.zeros((0, 4)), orders=1 if name != "embedding" else 0)


@pytest.mark.parametrize("corners", [False, True])
def test_an_identity_reads_from_the_centres_of_pixels(corners):
    """The gradient of a place jumps where pixels meet: places have to be PyTorch's to the bit."""
    identity = [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    grids = [
        lib.nn.functional.affine_grid(lib.tensor(identity), (1, 1, 28, 27), corners).tolist()
        for lib in (torch, rushlight)
    ]
    assert grids[0] == grids[1]
