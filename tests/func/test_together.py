"""All samples at once: results and gradients are those of one call after the other."""

import pytest
import torch

import rushlight as rl
import rushlight.nn.functional as F
from rushlight.func import together
from rushlight.func.batching import vmap

N = 6


@pytest.fixture
def one_by_one(monkeypatch):
    """Makes the rest of the test run one call after the other."""
    return lambda: monkeypatch.setattr(together, "LEAST", 10**9)


@pytest.fixture
def outcomes(monkeypatch):
    """Whether each function was done for all samples at once."""
    seen, mapped = [], together.mapped

    def note(*args):
        found = mapped(*args)
        seen.append(found[1] is not None)
        return found

    monkeypatch.setattr(together, "mapped", note)
    return seen


def many(*shape):
    return rl.randn(N, *shape, dtype=rl.float64)


def close(a, b):
    """Tensors and nested containers of them."""
    if isinstance(a, dict):
        assert list(a) == list(b)
        a, b = tuple(a.values()), tuple(b.values())
    if isinstance(a, (tuple, list)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            close(x, y)
        return
    assert a.dtype is b.dtype and a.shape == b.shape and a.requires_grad == b.requires_grad
    assert rl.allclose(a, b, rtol=1e-9, atol=1e-11)


def images(x, w, b):
    y = F.conv2d(x, w, b, stride=2, padding=1)
    return F.max_pool2d(F.relu(y), 2).flatten(1)


def recurrent(x, w):
    h = x.new_zeros(4)
    for row in x:
        h = rl.tanh(row @ w + h)
    return h


def written(x):
    y = x.clone()
    y[1:] = y[:-1] * 2
    y += 1
    return y.mul_(3)


def masked(x):
    return rl.where(x > 0, x, x.exp()).masked_fill(x < -1, 0.5).clamp(max=0.9)


def joined(x, y):
    return rl.stack([rl.cat([x, y]), rl.cat([y, x])], 1), rl.cat([x[None], x[None]]).T


def views(x):
    y = x.reshape(3, 2, 2).transpose(0, 2).permute(1, 0, 2)[..., ::2][:, None]
    a, b = y.squeeze().unbind(-1)
    c, d = x.chunk(2)
    return a * b.T + x.diagonal()[0], c - d, x.unfold(0, 2, 1).sum(), x.expand(2, 4, 3)


def sums(x):
    return {
        "sum": x.sum(), "mean": x.mean(0), "max": x.amax(-1, keepdim=True), "var": x.var(),
        "norm": x.norm(), "best": x.argmax(1), "any": (x > 0).any(), "logs": x.logsumexp(0),
        "sorted": x.sort(-1).values, "running": x.cumsum(0),
    }  # fmt: skip


def losses(x, y):
    target = y.argmax(-1)
    return (
        F.cross_entropy(x, target),
        F.mse_loss(x, y),
        F.softmax(x, 1).log(),
        F.smooth_l1_loss(x, y),
    )


FUNCTIONS = {
    "images": (images, (0, 0, 0), [(2, 3, 9, 9), (4, 3, 3, 3), (4,)]),
    "shared weights": (images, (0, None, None), [(2, 3, 9, 9), (4, 3, 3, 3), (4,)]),
    "shared images": (images, (None, 0, None), [(2, 3, 9, 9), (4, 3, 3, 3), (4,)]),
    "biases": (images, (None, None, 0), [(2, 3, 9, 9), (4, 3, 3, 3), (4,)]),
    "linear": (F.linear, (0, 0, 0), [(5, 3), (4, 3), (4,)]),
    "linear of vectors": (F.linear, (0, 0, None), [(3,), (4, 3), (4,)]),
    "linear of one": (F.linear, (None, 0, 0), [(2, 5, 3), (4, 3), (4,)]),
    "dot": (rl.dot, (0, 0), [(3,), (3,)]),
    "matrix by vectors": (rl.mv, (None, 0), [(4, 3), (3,)]),
    "matrices by vector": (rl.mv, (0, None), [(4, 3), (3,)]),
    "vectors by matrix": (rl.matmul, (0, None), [(4,), (4, 3)]),
    "batches": (rl.matmul, (0, 0), [(2, 4, 3), (3, 5)]),
    "matrix by batches": (rl.matmul, (0, 0), [(4, 3), (2, 3, 5)]),
    "recurrent": (recurrent, (0, None), [(5, 4), (4, 4)]),
    "masked": (masked, (0,), [(3, 2)]),
    "joined": (joined, (0, None), [(4,), (4,)]),
    "views": (views, (0,), [(4, 3)]),
    "sums": (sums, (0,), [(4, 3)]),
    "losses": (losses, (0, 0), [(4, 3), (4, 3)]),
    "broadcast": (lambda x, y: x * y + x[0] / (1 + y.abs()), (0, 0), [(2, 3), ()]),
    "numbers": (lambda x: x * 2 + (x > 0).sum() - 1 // 2, (0,), [()]),
    "other dims": (lambda x: x.sum(0) @ x.T, (1,), [(4, 3)]),
    "constants": (lambda x: x + rl.arange(3) + rl.ones(2, 1, dtype=x.dtype), (0,), [(3,)]),
}


def inputs(shapes, dims, grad):
    tensors = []
    for shape, d in zip(shapes, dims, strict=True):
        t = rl.randn(shape, dtype=rl.float64) if d is None else many(*shape).movedim(0, d)
        tensors.append(t.clone().requires_grad_(grad))
    return tensors


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_at_once(name, grad, outcomes, one_by_one):
    func, dims, shapes = FUNCTIONS[name]
    tensors = inputs(shapes, dims, grad)

    def outcome():
        out = vmap(func, dims)(*tensors)
        flat = [out] if isinstance(out, rl.Tensor) else list(getattr(out, "values", lambda: out)())
        tracked = [t.square().sum() for t in flat if t.requires_grad]
        return out, rl.autograd.grad(tracked, tensors, allow_unused=True) if grad else ()

    found = outcome()
    assert outcomes == [True]
    one_by_one()
    for a, b in zip(found, outcome(), strict=True):
        if isinstance(b, tuple):
            a, b = [[t for t in x if t is not None] for x in (a, b)]
        close(a, b)


def test_writes(outcomes, one_by_one):
    """Writes to what the function made; autograd looks after them where gradients are wanted."""
    x = many(4)
    found = vmap(written)(x)
    vmap(written)(x.clone().requires_grad_())
    assert outcomes == [True, False]
    one_by_one()
    close(found, vmap(written)(x))


def test_transforms_inside(outcomes, one_by_one):
    """Gradients, Jacobians and Hessians of samples, and gradients of those."""
    w, x = rl.randn(3, 3, dtype=rl.float64, requires_grad=True), many(3)

    def f(w, x):
        return rl.tanh(w @ x).square().sum() + x.prod()

    def outcome():
        gradients = vmap(rl.func.grad(f), (None, 0))(w, x)
        curved = vmap(rl.func.hessian(f, 1), (None, 0))(w, x)
        flow = rl.func.jvp(lambda w: vmap(f, (None, 0))(w, x), (w,), (w * 2,))
        third = rl.func.grad(lambda w: vmap(rl.func.hessian(f, 1), (None, 0))(w, x).norm())(w)
        both = vmap(vmap(f, (None, 0)), (0, None))(rl.stack([w] * 5), x)
        (slope,) = rl.autograd.grad(gradients.norm() + curved.norm() + both.norm(), w)
        return gradients, curved, *flow, third, both, slope

    found = outcome()
    assert all(outcomes)
    one_by_one()
    close(found, outcome())


def test_jacobians(outcomes, one_by_one):
    w, x = rl.randn(5, 4, dtype=rl.float64), rl.randn(4, dtype=rl.float64)

    def f(w, x):
        return rl.sin(w @ x), {"cubes": x**3}

    def outcome():
        back = rl.func.jacrev(f, (0, 1))(w, x)
        forth = rl.func.jacfwd(f, (0, 1))(w, x)
        return back, forth, rl.func.hessian(lambda x: f(w, x)[0].prod())(x)

    found = outcome()
    close(*found[:2])
    assert all(outcomes)
    one_by_one()
    close(found, outcome())


def test_gradients_that_are_cut(one_by_one):
    """``detach`` and ``no_grad`` inside."""
    x, w = many(3).requires_grad_(), rl.randn(3, dtype=rl.float64, requires_grad=True)

    def f(x):
        with rl.no_grad():
            scale = x.norm() * w.sum()
        return (x * scale * w).sum() + (x * x.detach()).sum() + w.detach().sum()

    def outcome():
        return rl.autograd.grad(vmap(f)(x).square().sum(), [x, w])

    found = outcome()
    one_by_one()
    close(found, outcome())


class Twice(rl.autograd.Function):
    """Twice x, with a gradient that is not twice g."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, g):
        return 5 * g


@pytest.mark.parametrize(
    "func",
    [
        lambda x: x * 2 if x.sum() > 0 else x - 1,
        lambda x: x * float(x[0]),
        lambda x: x * x[0].item(),
        lambda x: x[x > 0].sum(),
        lambda x: rl.tensor(x.tolist()) + x,
        lambda x: x.numpy().sum() + x,
    ],
)
def test_what_reads_values_runs_one_by_one(func, outcomes, one_by_one):
    x = many(3)
    found = vmap(func)(x)
    assert outcomes == [False]
    one_by_one()
    close(found, vmap(func)(x))


def test_functions_of_the_users(outcomes):
    x = many(3).requires_grad_()
    (found,) = rl.autograd.grad(vmap(Twice.apply)(x).sum(), x)
    assert rl.equal(found, rl.full_like(x, 5)) and outcomes == [False]
    assert rl.equal(vmap(rl.func.grad(lambda x: Twice.apply(x).sum()))(x.detach()), found)
    assert outcomes == [False, True]


def test_writes_to_what_was_there():
    """A tensor from outside is written to once per sample, and ``backward`` adds up."""
    total, w = rl.zeros(3), rl.ones(3, requires_grad=True)
    vmap(lambda x: total.add_(x).sum())(rl.ones(N, 3))
    assert total.tolist() == [N] * 3

    def f(x):
        (w * x).sum().backward()
        return x

    vmap(f)(rl.ones(N, 3))
    assert w.grad.tolist() == [N] * 3


def test_against_torch():
    """Gradients of single samples of a network, as torch computes them."""

    def gradients(t):
        t.manual_seed(0)
        net = t.nn.Sequential(
            t.nn.Conv2d(1, 4, 3),
            t.nn.GroupNorm(2, 4),
            t.nn.ReLU(),
            t.nn.Flatten(),
            t.nn.Linear(64, 3),
        )
        params = {k: v.detach() for k, v in net.named_parameters()}

        def loss(params, x, y):
            out = t.func.functional_call(net, params, (x[None],))
            return t.nn.functional.cross_entropy(out, y[None])

        x, y = t.randn(N, 1, 6, 6), t.arange(N) % 3
        return t.func.vmap(t.func.grad(loss), (None, 0, 0))(params, x, y)

    mine, theirs = gradients(rl), gradients(torch)
    for name, g in theirs.items():
        assert torch.allclose(torch.from_numpy(mine[name].numpy()), g, atol=1e-6), name
