"""grad, vjp, jvp and Jacobians: torch's values, nested in each other."""

import numpy as np
import pytest
import torch

import rushlight as rl

pytestmark = [  # of torch itself
    pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning"),
]

X = np.array([0.3, -1.2, 2.0])
Y = np.array([1.5, 0.4, -0.7])


def same(a, b):
    """Equal trees of tensors, in values, and in whether they carry a gradient."""
    if isinstance(b, torch.Tensor):
        assert tuple(a.shape) == tuple(b.shape)
        assert a.requires_grad == b.requires_grad
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 1e-9, 1e-9)
    elif isinstance(b, dict):
        assert list(a) == list(b)
        for key in b:
            same(a[key], b[key])
    else:
        assert type(a) is type(b) and len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)


def both(function):
    """Compare ``function(t, F, x, y)`` in both packages."""
    results = []
    for t in (rl, torch):
        x, y = t.tensor(X), t.tensor(Y)
        results.append(function(t, t.func, x, y))
    same(*results)


CASES = {
    "grad": lambda t, F, x, y: F.grad(lambda x: (x**3).sum())(x),
    "grad of two": lambda t, F, x, y: F.grad(lambda x, y: (x * y).sum(), argnums=(0, 1))(x, y),
    "grad by last": lambda t, F, x, y: F.grad(lambda x, y: (x * y).sum(), argnums=-1)(x, y),
    "grad of dict": lambda t, F, x, y: F.grad(lambda d: (d["a"] * d["b"] ** 2).sum())(
        {"a": x, "b": y}
    ),
    "grad with aux": lambda t, F, x, y: F.grad(
        lambda x: ((x**2).sum(), {"twice": x * 2}), has_aux=True
    )(x),
    "grad_and_value": lambda t, F, x, y: F.grad_and_value(lambda x: (x.sin() * y).sum())(x),
    "grad_and_value aux": lambda t, F, x, y: F.grad_and_value(
        lambda x: ((x**2).sum(), x), has_aux=True
    )(x),
    "second": lambda t, F, x, y: F.grad(F.grad(lambda x: x**4))(x[0]),
    "third": lambda t, F, x, y: F.grad(F.grad(F.grad(lambda x: x.sin() * x)))(x[0]),
    "inner over outer": lambda t, F, x, y: F.grad(lambda x: F.grad(lambda y: x**3 * y**2)(x * 2.0))(
        x[0]
    ),
    "closure": lambda t, F, x, y: F.grad(
        lambda x: (F.grad(lambda y: (x * y.exp()).sum())(y) * x).sum()
    )(x),
    "unused": lambda t, F, x, y: F.grad(lambda x: (y**2).sum())(x),
    "vjp": lambda t, F, x, y: F.vjp(lambda x, y: (x * y, {"a": x.sin()}), x, y)[1]((y, {"a": x})),
    "vjp output": lambda t, F, x, y: F.vjp(lambda x: x**2, x)[0],
    "vjp aux": lambda t, F, x, y: F.vjp(lambda x: (x**2, y), x, has_aux=True)[2],
    "grad of vjp": lambda t, F, x, y: F.grad(lambda x: F.vjp(lambda z: z**3, x)[1](y)[0].sum())(x),
    "jvp": lambda t, F, x, y: F.jvp(lambda x: x**2 * y, (x,), (y,)),
    "jvp of two": lambda t, F, x, y: F.jvp(lambda x, y: (x * y, x.exp()), (x, y), (y, x)),
    "jvp aux": lambda t, F, x, y: F.jvp(lambda x: (x * 2, x), (x,), (y,), has_aux=True),
    "jvp constant": lambda t, F, x, y: F.jvp(lambda x: t.ones(2), (x,), (y,)),
    "jvp of jvp": lambda t, F, x, y: F.jvp(
        lambda x: F.jvp(lambda z: z**3, (x,), (y,))[1], (x,), (x,)
    ),
    "jvp of grad": lambda t, F, x, y: F.jvp(F.grad(lambda x: (x**3).sum()), (x,), (y,)),
    "grad of jvp": lambda t, F, x, y: F.grad(
        lambda x: F.jvp(lambda z: z.sin(), (x,), (y,))[1].sum()
    )(x),
    "jacrev": lambda t, F, x, y: F.jacrev(lambda x: x.sin() * y.sum())(x),
    "jacrev nested": lambda t, F, x, y: F.jacrev(
        lambda x, y: {"a": x * y, "b": x.sum()}, argnums=(0, 1)
    )(x, y),
    "jacrev of a container": lambda t, F, x, y: F.jacrev(lambda d: d["a"] * 2)({"a": x}),
    "jacrev aux": lambda t, F, x, y: F.jacrev(lambda x: (x * 2, x), has_aux=True)(x),
    "jacrev matrix": lambda t, F, x, y: F.jacrev(lambda m: m @ m)(t.outer(x, y)[:2, :2]),
    "jacfwd": lambda t, F, x, y: F.jacfwd(lambda x: x.sin() * y.sum())(x),
    "jacfwd nested": lambda t, F, x, y: F.jacfwd(lambda x, y: (x * y, x.sum()), argnums=(0, 1))(
        x, y
    ),
    "jacfwd matrix": lambda t, F, x, y: F.jacfwd(lambda m: m @ m)(t.outer(x, y)[:2, :2]),
    "jacfwd aux": lambda t, F, x, y: F.jacfwd(lambda x: (x * 2, x), has_aux=True)(x),
    "jacfwd constant": lambda t, F, x, y: F.jacfwd(lambda x: y)(x),
    "hessian": lambda t, F, x, y: F.hessian(lambda x: (x**3 * x.flip(0)).sum())(x),
    "hessian of two": lambda t, F, x, y: F.hessian(
        lambda x, y: (x**2 * y.sin()).sum(), argnums=(0, 1)
    )(x, y),
    "jacfwd of jacrev": lambda t, F, x, y: F.jacfwd(F.jacrev(lambda x: (x**3).sum()))(x),
    "jacrev of jacfwd": lambda t, F, x, y: F.jacrev(F.jacfwd(lambda x: x.sin()))(x),
    "linearize": lambda t, F, x, y: F.linearize(lambda x, y: x.sin() * y, x, y)[1](y, x),
    "grad by a number times a leaf": lambda t, F, x, y: F.grad(lambda x: (x * y).sum())(
        x.requires_grad_()
    ),
    "in no_grad": lambda t, F, x, y: t.no_grad()(F.grad(lambda x: (x**3).sum()))(
        x.requires_grad_()
    ),
    "no_grad inside": lambda t, F, x, y: F.grad(lambda x: (x * t.no_grad()(lambda: x * 2)()).sum())(
        x
    ),
    "jvp that writes": lambda t, F, x, y: F.jvp(lambda x: x.mul_(3) * x[0], (x,), (y,)),
    "jvp that writes to a result": lambda t, F, x, y: F.jvp(
        lambda x: x.mul_(2) * x, (x.requires_grad_() * 1,), (y,)
    ),
    "jacfwd that writes": lambda t, F, x, y: F.jacfwd(lambda x: x[1:].mul_(2) * y[1:])(x),
}


@pytest.mark.parametrize("name", CASES)
def test_against_torch(name):
    both(CASES[name])


def test_results_stay_outside_the_graph_unless_something_outside_needs_them():
    x, w = rl.tensor(X), rl.tensor(Y, requires_grad=True)
    assert not rl.func.grad(lambda x: (x**3).sum())(x).requires_grad
    assert not rl.func.grad(rl.func.grad(lambda x: x**3))(x[0]).requires_grad
    g = rl.func.grad(lambda x: (x**2 * w).sum())(x)
    assert g.requires_grad
    g.sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 2 * X)


def test_gradients_through_gradients_reach_parameters():
    """A penalty on the gradient by the input, differentiated by the parameters."""
    results = []
    for t in (rl, torch):
        w = t.tensor(Y, requires_grad=True)
        slope = t.func.grad(lambda x, w=w: (x * w).sin().sum())(t.tensor(X))
        (slope**2).sum().backward()
        results.append(w.grad.numpy())
    np.testing.assert_allclose(*results, 1e-9)


def test_pull_can_be_used_again_and_later():
    out, pull = rl.func.vjp(lambda x: x**2, rl.tensor(X))
    first, second = pull(rl.ones(3))[0], pull(rl.tensor(Y))[0]
    np.testing.assert_allclose(first.numpy(), 2 * X)
    np.testing.assert_allclose(second.numpy(), 2 * X * Y)
    assert not out.requires_grad and not first.requires_grad
    v = rl.ones(3, dtype=rl.float64, requires_grad=True)
    pull(v)[0].sum().backward()
    np.testing.assert_allclose(v.grad.numpy(), 2 * X)


REFUSED = [
    (lambda F, x: F.grad(lambda x: x)(x), RuntimeError, "scalar"),
    (lambda F, x: F.grad(lambda x: 3.0)(x), RuntimeError, "Tensor"),
    (lambda F, x: F.grad(lambda x: x.sum(), argnums=1)(x), RuntimeError, "argnum=1"),
    (lambda F, x: F.grad(lambda x: x.sum(), argnums=(0, -1))(x), RuntimeError, "unique"),
    (lambda F, x: F.grad(lambda x: x.sum())(3.0), ValueError, "must be Tensor"),
    (lambda F, x: F.grad(lambda x: x.sum())(x.long()), RuntimeError, "floating point"),
    (lambda F, x: F.grad(lambda x: x.sum(), has_aux=True)(x), RuntimeError, "tuple"),
    (lambda F, x: F.vjp(lambda x: (x, x), x)[1](x), RuntimeError, "structure"),
    (lambda F, x: F.vjp(lambda x: 3, x), RuntimeError, "only tensors"),
    (lambda F, x: F.jvp(lambda x: x, x, x), RuntimeError, "tuple"),
    (lambda F, x: F.jvp(lambda x: x, (x,), (x, x)), RuntimeError, "structure"),
    (lambda F, x: F.jvp(lambda x: x, (x,), (x[:2],)), RuntimeError, "size"),
    (lambda F, x: F.jvp(lambda y: x * 2, (x,), (x,), strict=True), RuntimeError, "strict"),
    (lambda F, x: F.jacrev(lambda x: x, chunk_size=0)(x), ValueError, "chunk_size"),
    (lambda F, x: F.jacrev(lambda x: 3)(x), RuntimeError, "only tensors"),
    (lambda F, x: F.jacrev(lambda x: x, argnums=())(x), RuntimeError, "non-empty"),
    (lambda F, x: F.jacfwd(lambda x: x, argnums=(0.0,))(x), RuntimeError, "must be int"),
    (lambda F, x: F.jacrev(lambda x: ())(x), RuntimeError, "non-empty"),
    (lambda F, x: F.jacrev(lambda x: x)(x + 0j), RuntimeError, "complex"),
    (lambda F, x: F.jacfwd(lambda x: x)(x + 0j), RuntimeError, "complex"),
    (lambda F, x: F.jacrev(lambda x: x + 0j)(x), RuntimeError, "complex"),
    (lambda F, x: F.jacfwd(lambda x: x + 0j)(x), RuntimeError, "complex"),
    (lambda F, x: F.jvp(lambda: x, (), ()), RuntimeError, "at least one"),
    (lambda F, x: F.jvp(lambda x: x, (x,), (1.0,)), RuntimeError, "only contain Tensors"),
    (lambda F, x: F.jvp(lambda y: (x, y), (x,), (x,), strict=True), RuntimeError, "strict"),
    (lambda F, x: F.vjp(lambda x: (x, 1.0), x, has_aux=True), RuntimeError, "Expected tensors"),
    (lambda F, x: F.grad(lambda x: x.mul_(2).sum())(x.requires_grad_() * 1), RuntimeError, "."),
    (lambda F, x: F.jvp(lambda x: x.mul_(2), (x.requires_grad_(),), (x,)), RuntimeError, "."),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_refused(case):
    call, kind, word = REFUSED[case]
    for t in (rl, torch):
        with pytest.raises(kind, match=word):
            call(t.func, t.tensor(X))


def test_every_name_of_torch_func():
    assert not [name for name in torch.func.__all__ if not hasattr(rl.func, name)]
