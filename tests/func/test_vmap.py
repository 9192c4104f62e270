"""vmap: dims, nesting, gradients, randomness, and what it refuses."""

import functools

import numpy as np
import pytest
import torch

import rushlight as rl
from tests.func.test_derivatives import same

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")

A = np.arange(24.0).reshape(2, 3, 4) / 7
B = np.cos(np.arange(12.0)).reshape(3, 4)

CASES = {
    "plain": lambda t, v, a, b: v(lambda x: x * 2)(a),
    "dot": lambda t, v, a, b: v(t.dot)(b, b),
    "in_dims": lambda t, v, a, b: v(lambda x, y: x @ y, in_dims=(1, None))(a, b[0]),
    "negative in_dims": lambda t, v, a, b: v(lambda x: x.sum(-1), in_dims=-1)(a),
    "out_dims": lambda t, v, a, b: v(lambda x: x * 2, out_dims=1)(a),
    "negative out_dims": lambda t, v, a, b: v(lambda x: x * 2, out_dims=-1)(a),
    "several outputs": lambda t, v, a, b: v(lambda x: (x.sum(), {"t": x.T}), out_dims=(0, 2))(a),
    "nested inputs": lambda t, v, a, b: v(lambda d, y: d["x"][0] * y, in_dims=({"x": (0,)}, None))(
        {"x": (b,)}, 3.0
    ),
    "dict of in_dims": lambda t, v, a, b: v(
        lambda d: d["x"] * d["y"].sum(), in_dims=({"x": 0, "y": None},)
    )({"x": b, "y": a}),
    "keyword": lambda t, v, a, b: v(lambda x, scale: x * scale)(b, scale=b[0]),
    "constant": lambda t, v, a, b: v(lambda x: t.ones(2))(b),
    "out_dims None": lambda t, v, a, b: v(lambda x: a[0, 0], out_dims=None)(b),
    "vmap of vmap": lambda t, v, a, b: v(v(lambda x: x.sin().sum()))(a),
    "outer product": lambda t, v, a, b: v(
        v(lambda x, y: x * y, in_dims=(None, 0)), in_dims=(0, None)
    )(b[0], b[1]),
    "vmap of grad": lambda t, v, a, b: v(t.func.grad(lambda x: (x**3).sum()))(b),
    "per-sample gradients": lambda t, v, a, b: v(
        t.func.grad(lambda w, x: (w * x).sum() ** 2), in_dims=(None, 0)
    )(b[0], b),
    "grad of vmap": lambda t, v, a, b: t.func.grad(lambda x: v(t.dot)(x, b).sin().sum())(b),
    "jacrev of vmap": lambda t, v, a, b: t.func.jacrev(v(lambda x: x.sin()))(b[:2, :2]),
    "vmap of jacrev": lambda t, v, a, b: v(t.func.jacrev(lambda x: x.sin()))(b),
    "vmap of hessian": lambda t, v, a, b: v(t.func.hessian(lambda x: (x**3).sum()))(b[:, :2]),
    "vmap of jvp": lambda t, v, a, b: v(lambda x, y: t.func.jvp(lambda z: z.exp(), (x,), (y,))[1])(
        b, b
    ),
    "vjp by basis": lambda t, v, a, b: v(t.func.vjp(lambda x: x.sin(), b[0])[1])(
        t.eye(4, dtype=t.float64)
    ),
    "chunks": lambda t, v, a, b: v(lambda x: x * 2, chunk_size=2)(b),
    "no samples": lambda t, v, a, b: v(lambda x: x.sum(0, keepdim=True), out_dims=1)(a[:0]),
    "matmul": lambda t, v, a, b: v(lambda m: m @ b.T)(a),
}


@pytest.mark.parametrize("name", CASES)
def test_against_torch(name):
    same(*[CASES[name](t, t.func.vmap, t.tensor(A), t.tensor(B)) for t in (rl, torch)])


def test_top_level_name():
    assert rl.vmap is rl.func.vmap


def test_gradients_reach_inputs_and_closures():
    results = []
    for t in (rl, torch):
        x, w = t.tensor(B, requires_grad=True), t.tensor(B[0], requires_grad=True)
        t.vmap(lambda row, w=w: (row * w).sin().sum())(x).sum().backward()
        results.append((x.grad.numpy(), w.grad.numpy()))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b)


def test_what_only_a_loop_can_do():
    x = rl.tensor([-1.0, 2.0, -3.0])
    assert rl.vmap(lambda v: v if v > 0 else -v)(x).tolist() == [1, 2, 3]
    assert rl.vmap(lambda v: rl.tensor(abs(v.item())))(x).tolist() == [1, 2, 3]


def test_randomness():
    x = rl.zeros(3)
    with pytest.raises(RuntimeError, match="random"):
        rl.vmap(lambda v: v + rl.rand(2))(x)
    rl.manual_seed(0)
    alike = rl.vmap(lambda v: v + rl.rand(2), randomness="same")(x)
    rl.manual_seed(0)
    assert (alike == rl.rand(2)).all()
    after = rl.rand(1)
    rl.manual_seed(0)
    rl.rand(2)
    assert rl.rand(1) == after
    differing = rl.vmap(lambda v: v + rl.rand(2), randomness="different")(x)
    assert len({tuple(row) for row in differing.tolist()}) == 3
    with pytest.raises(RuntimeError):
        rl.vmap(lambda v: v, randomness="some")


@pytest.mark.parametrize("size", [2, 6])
def test_randomness_of_generators_of_ones_own(size):
    def numbers(lib, randomness):
        g = lib.Generator().manual_seed(3)
        draw = lib.vmap(lambda v: v + lib.rand(2, generator=g), randomness=randomness)
        return draw(lib.zeros(size)).tolist() + lib.rand(1, generator=g).tolist()

    for randomness in ("same", "different"):
        assert numbers(rl, randomness) == numbers(torch, randomness)
    with pytest.raises(RuntimeError, match="random"):
        numbers(rl, "error")


REFUSED = [
    lambda t, v, a: v(t.dot, in_dims=(None, None))(a[0, 0], a[0, 0]),
    lambda t, v, a: v(t.add)(a, a[:1]),
    lambda t, v, a: v(t.add, in_dims=(0,))(a, a),
    lambda t, v, a: v(t.add, in_dims=(0, 3))(a, a),
    lambda t, v, a: v(t.add, in_dims=(0, "a"))(a, a),
    lambda t, v, a: v(t.add, in_dims="a")(a, a),
    lambda t, v, a: v(t.add, in_dims=[0, 0])(a, a),
    lambda t, v, a: v(lambda x: x)(3.0),
    lambda t, v, a: v(lambda x: x)(),
    lambda t, v, a: v(lambda x: x)(t.tensor(1.0)),
    lambda t, v, a: v(lambda x: 3.0)(a),
    lambda t, v, a: v(lambda x: (x, 3.0))(a),
    lambda t, v, a: v(lambda x: x, out_dims=None)(a),
    lambda t, v, a: v(lambda x: (x, x), out_dims=(0,))(a),
    lambda t, v, a: v(lambda x: x, chunk_size=0)(a),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_refused(case):
    for t in (rl, torch):
        with pytest.raises(ValueError, match="vmap"):
            REFUSED[case](t, t.func.vmap, t.tensor(A))


def test_results_nested_differently_are_refused():
    with pytest.raises(ValueError, match="nested"):
        rl.vmap(lambda x: (x, x) if x > 0 else x)(rl.tensor([1.0, -1.0]))


def network(t):
    return t.nn.Sequential(t.nn.Linear(6, 4), t.nn.ReLU(), t.nn.Dropout(0.5), t.nn.Linear(4, 1))


def gradients_of_samples(t, x):
    model = network(t)
    for i, p in enumerate(model.parameters()):
        t.nn.init.constant_(p, 0.3 + i)
    loss = lambda p, x: t.func.functional_call(model, p, (x,)).sum()  # noqa: E731
    slopes = t.vmap(t.func.grad(loss), in_dims=(None, 0), randomness="different")
    return list(slopes(dict(model.named_parameters()), x).values())


def of_each(function):
    return lambda t, x: t.vmap(functools.partial(function, t), randomness="different")(x)


DRAWN = {
    "new": of_each(lambda t, x: (t.randn(3) + x[:3], t.rand(2), t.randint(0, 9, (2,)))),
    "permutation": of_each(lambda t, x: x[t.randperm(6)]),
    "dropout": of_each(lambda t, x: t.nn.functional.dropout(x, 0.5)),
    "dropout of the same": of_each(lambda t, x: t.nn.functional.dropout(t.ones(4), 0.5) + x[0]),
    "channels": of_each(lambda t, x: t.nn.functional.dropout1d(x.reshape(1, 3, 2), 0.5)),
    "bernoulli": of_each(lambda t, x: t.bernoulli(x / 3)),
    "poisson": of_each(lambda t, x: t.poisson(x)),
    "normal": of_each(lambda t, x: t.normal(x, t.ones(6))),
    "multinomial": of_each(lambda t, x: t.multinomial(x + 1, 3)),
    "another dim": lambda t, x: t.vmap(
        lambda v: v.clone().normal_(), in_dims=1, randomness="different"
    )(x),
    "in place": of_each(lambda t, x: x.clone().exponential_()),
    "nested": lambda t, x: t.vmap(
        t.vmap(lambda x: t.rand_like(x) + x, randomness="different"), randomness="different"
    )(x.reshape(5, 2, 3)),
    "gradients": gradients_of_samples,
}


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("n", [2, 5])
def test_different_draws_are_those_of_torch(name, n):
    results, after = [], []
    for t in (rl, torch):
        t.manual_seed(3)
        found = DRAWN[name](
            t, t.arange(6.0 * 5).reshape(5, 6)[:n] / 10 if name != "nested" else t.ones(5, 6)
        )
        results.append(found if isinstance(found, (tuple, list)) else [found])
        after.append(float(t.rand(1)))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 1e-5, 1e-6)
        assert a.requires_grad == b.requires_grad
    assert after[0] == after[1]


GRAPHS = {
    "power": lambda x, w: x**2,
    "product": lambda x, w: w @ x,
    "network": lambda x, w: (w @ x).tanh().pow(2) * x.sum(),
    "loop": lambda x, w: x.cumprod(0).sort().values,
}


@pytest.mark.parametrize("size", [3, 40])
@pytest.mark.parametrize("name", GRAPHS)
def test_samples_go_through_one_graph(name, size):
    """A Jacobian by ``autograd.grad`` within vmap, without ``retain_graph``, as in its docs."""
    draw = np.random.default_rng(0).standard_normal
    x, w, found = draw(size), draw((size, size)), []
    for lib in (torch, rl):
        leaf = lib.tensor(x, requires_grad=True)
        y = GRAPHS[name](leaf, lib.tensor(w))
        unit = lib.eye(size, dtype=lib.float64)
        rows = lib.vmap(lambda v, y=y, leaf=leaf, lib=lib: lib.autograd.grad(y, leaf, v)[0])(unit)
        found.append(rows.numpy())
        y = GRAPHS[name](leaf, lib.tensor(w))
        lib.autograd.grad(y, leaf, unit[0])
        with pytest.raises(RuntimeError):  # elsewhere a graph is freed as ever
            lib.autograd.grad(y, leaf, unit[1])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9, atol=1e-12)
