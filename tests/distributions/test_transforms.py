"""Transforms and constraints agree with torch's, and with themselves."""

import pickle

import numpy as np
import pytest
import torch

import rushlight as rl

POINTS = np.linspace(-1.5, 2.0, 12).reshape(2, 6)


def normal(t):
    return t.distributions.Normal(t.tensor(0.3, dtype=t.float64), 1.7)


ELEMENTWISE = {
    "Exp": lambda t, D: D.ExpTransform(),
    "Sigmoid": lambda t, D: D.SigmoidTransform(),
    "Softplus": lambda t, D: D.SoftplusTransform(),
    "Tanh": lambda t, D: D.TanhTransform(),
    "Abs": lambda t, D: D.AbsTransform(),
    "Affine": lambda t, D: D.AffineTransform(1.0, -2.0),
    "Affine tensor": lambda t, D: D.AffineTransform(t.tensor(1.0), t.arange(1.0, 7.0)),
    "Affine event": lambda t, D: D.AffineTransform(1.0, 3.0, event_dim=1),
    "inverse": lambda t, D: D.AffineTransform(1.0, -2.0).inv,
    "Compose": lambda t, D: D.ComposeTransform([D.AffineTransform(1.0, 2.0), D.TanhTransform()]),
    "Compose of events": lambda t, D: D.ComposeTransform(
        [D.TanhTransform(), D.StickBreakingTransform(), D.AffineTransform(0.0, 2.0)]
    ),
    "Compose inverse": lambda t, D: D.ComposeTransform([D.AffineTransform(1.0, 2.0)]).inv,
    "identity": lambda t, D: D.identity_transform,
    "Power": lambda t, D: D.ComposeTransform([D.ExpTransform(), D.PowerTransform(t.tensor(0.7))]),
    "Softmax": lambda t, D: D.SoftmaxTransform(),
    "StickBreaking": lambda t, D: D.StickBreakingTransform(),
    "CorrCholesky": lambda t, D: D.CorrCholeskyTransform(),
    "Independent": lambda t, D: D.IndependentTransform(D.ExpTransform(), 1),
    "Reshape": lambda t, D: D.ReshapeTransform((6,), (2, 3)),
    "Cat": lambda t, D: D.CatTransform(
        [D.ExpTransform(), D.AffineTransform(1.0, 2.0)], dim=-1, lengths=[2, 4]
    ),
    "Cat rows": lambda t, D: D.CatTransform([D.ExpTransform(), D.TanhTransform()]),
    "Stack": lambda t, D: D.StackTransform([D.ExpTransform(), D.TanhTransform()], dim=0),
    "Cumulative": lambda t, D: D.CumulativeDistributionTransform(normal(t)),
}
MATRICES = {
    "LowerCholesky": lambda t, D: D.LowerCholeskyTransform(),
    "PositiveDefinite": lambda t, D: D.PositiveDefiniteTransform(),
}


def close(a, b, tolerance=1e-9):
    assert tuple(a.shape) == tuple(b.shape)
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), tolerance, tolerance)


def attempt(function):
    try:
        return function()
    except (NotImplementedError, ValueError) as error:
        return type(error)


def pair(make, points):
    out = []
    for t in (rl, torch):
        transform = make(t, t.distributions)
        x = t.tensor(points, requires_grad=True)
        y = transform(x)
        jacobian = attempt(lambda f=transform, x=x, y=y: f.log_abs_det_jacobian(x, y))
        out.append((transform, x, y, jacobian))
    return out


@pytest.mark.parametrize("name", [*ELEMENTWISE, *MATRICES])
def test_against_torch(name):
    make = {**ELEMENTWISE, **MATRICES}[name]
    points = POINTS.reshape(2, 6) if name in ELEMENTWISE else POINTS[:, :4].reshape(2, 2, 2)
    (f, x, y, jacobian), (g, u, v, other) = pair(make, points)
    close(y, v)
    close(f.inv(y), g.inv(v))
    if isinstance(other, type):
        assert jacobian is other
    else:
        close(jacobian, other)
    w = np.linspace(1, 2, v.numel()).reshape(tuple(v.shape))
    (a,) = rl.autograd.grad((y * rl.tensor(w)).sum(), x)
    (b,) = torch.autograd.grad((v * torch.tensor(w)).sum(), u)
    close(a, b)
    assert repr(f) == repr(g)
    assert f.bijective == g.bijective
    assert attempt(lambda: f.domain.event_dim) == attempt(lambda: g.domain.event_dim)
    assert attempt(lambda: f.codomain.event_dim) == attempt(lambda: g.codomain.event_dim)
    assert tuple(f.forward_shape(x.shape)) == tuple(g.forward_shape(u.shape))
    assert tuple(f.inverse_shape(y.shape)) == tuple(g.inverse_shape(v.shape))


@pytest.mark.parametrize("name", ["Sigmoid", "StickBreaking"])
def test_shares_close_to_zero_and_one(name):
    points = np.array([[-900.0, -60.0, 50.0, 3.0]])
    (_, _, y, jacobian), (_, _, v, other) = pair(ELEMENTWISE[name], points)
    close(y.log(), v.log())
    close(jacobian, other)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_cache_returns_the_same_tensor(name):
    f = ELEMENTWISE[name](rl, rl.distributions).with_cache(1)
    x = rl.tensor(POINTS)
    if name in ("Compose inverse", "inverse", "identity"):
        return
    y = f(x)
    assert f(x) is y or not f.bijective or name.startswith("Compose")
    assert f.inv(y) is x or name in ("Cat", "Cat rows", "Stack", "Power") or "Compose" in name


@pytest.mark.parametrize("lib", [torch, rl])
def test_subclasses_read_the_last_pair(lib):
    class Shift(lib.distributions.Transform):
        def _call(self, x):
            return x + 1

        def log_abs_det_jacobian(self, x, y):
            origin, image = self._cached_x_y
            assert x is origin and y is image
            return lib.zeros_like(x)

    f, x = Shift(cache_size=1), lib.ones(2)
    assert f._cached_x_y == (None, None)
    assert f.log_abs_det_jacobian(x, f(x)).tolist() == [0, 0]


def test_equality_and_pickle():
    D = rl.distributions
    assert D.ExpTransform() == D.ExpTransform() != D.TanhTransform()
    assert D.AffineTransform(0, 1) == D.AffineTransform(0, 1) != D.AffineTransform(0, 2)
    assert D.ExpTransform().inv == D.ExpTransform().inv
    assert D.ExpTransform().inv.inv == D.ExpTransform()
    assert D.ComposeTransform([D.ExpTransform()]) == D.ComposeTransform([D.ExpTransform()])
    f = D.TanhTransform(cache_size=1)
    f(rl.ones(2))
    assert pickle.loads(pickle.dumps(f)) == f


CONSTRAINTS = {
    "real": lambda C: C.real,
    "positive": lambda C: C.positive,
    "nonnegative": lambda C: C.nonnegative,
    "less_than": lambda C: C.less_than(2.0),
    "greater_than_eq": lambda C: C.greater_than_eq(-1.0),
    "unit_interval": lambda C: C.unit_interval,
    "interval": lambda C: C.interval(-1.0, 3.0),
    "half_open_interval": lambda C: C.half_open_interval(0.0, 2.0),
    "real_vector": lambda C: C.real_vector,
    "simplex": lambda C: C.simplex,
    "corr_cholesky": lambda C: C.corr_cholesky,
    "lower_cholesky": lambda C: C.lower_cholesky,
    "positive_definite": lambda C: C.positive_definite,
    "positive_semidefinite": lambda C: C.positive_semidefinite,
    "independent": lambda C: C.independent(C.positive, 1),
    "cat": lambda C: C.cat([C.positive, C.unit_interval], -1, [2, 4]),
    "stack": lambda C: C.stack([C.positive, C.unit_interval], 0),
    "boolean": lambda C: C.boolean,
    "one_hot": lambda C: C.one_hot,
}


@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize("registry", ["biject_to", "transform_to"])
def test_registry(name, registry):
    square = name in ("lower_cholesky", "positive_definite", "positive_semidefinite")
    points = POINTS[:, :4].reshape(2, 2, 2) if square else POINTS
    made = []
    for t in (rl, torch):
        constraint = CONSTRAINTS[name](t.distributions.constraints)
        make = getattr(t.distributions, registry)
        f = attempt(lambda make=make, c=constraint: make(c))
        made.append((constraint, f, None if isinstance(f, type) else f(t.tensor(points))))
    (ours, f, y), (theirs, g, v) = made
    assert repr(ours) == repr(theirs)
    if isinstance(g, type):
        assert f is g
        return
    assert repr(f) == repr(g)
    close(y, v)
    assert bool(ours.check(y).all())


def test_checks():
    for name, make in CONSTRAINTS.items():
        values = [POINTS, np.eye(6), -np.eye(6), np.abs(POINTS), np.full((2, 6), np.nan)]
        if name in ("lower_cholesky", "positive_definite", "positive_semidefinite"):
            values += [np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[1.0, 2.0], [2.0, 1.0]])]
        for value in values:
            if value.shape == (2, 6) and "cholesky" in name:
                continue
            if value.shape[0] != 2 and name == "stack":
                continue
            if np.isnan(value).any() and name.startswith("positive_"):
                continue
            results = []
            for t in (rl, torch):
                constraint = make(t.distributions.constraints)
                results.append(constraint.check(t.tensor(value)))
            assert np.array_equal(results[0].numpy(), results[1].numpy()), (name, value)


def test_integer_constraints():
    values = np.array([-1.0, 0.0, 0.5, 1.0, 2.0, 3.0])
    for make in (
        lambda C: C.nonnegative_integer,
        lambda C: C.positive_integer,
        lambda C: C.integer_interval(0, 2),
        lambda C: C.dependent(is_discrete=True, event_dim=0),
    ):
        ours, theirs = (make(t.distributions.constraints) for t in (rl, torch))
        assert repr(ours) == repr(theirs)
        assert ours.is_discrete and ours.event_dim == 0
        if not rl.distributions.constraints.is_dependent(ours):
            a, b = ours.check(rl.tensor(values)), theirs.check(torch.tensor(values))
            assert a.tolist() == b.tolist()


def test_dependent_property():
    C = rl.distributions.constraints
    support = rl.distributions.Uniform.support
    assert C.is_dependent(support) and not support.is_discrete and support.event_dim == 0
    with pytest.raises(NotImplementedError):
        C.dependent.event_dim
    with pytest.raises(ValueError):
        C.dependent.check(rl.zeros(2))
    assert repr(rl.distributions.Uniform(0.0, 1.0).support) == "Interval(lower_bound=0.0, " + (
        "upper_bound=1.0)"
    )


def test_triangular_vectors():
    from torch.distributions import utils as theirs

    from rushlight.distributions import utils as ours

    for diagonal, length in ((0, 6), (-1, 6), (1, 8)):
        vector = np.arange(2.0 * length).reshape(2, length)
        a = ours.vec_to_tril_matrix(rl.tensor(vector), diag=diagonal)
        if diagonal <= 0:
            close(a, theirs.vec_to_tril_matrix(torch.tensor(vector), diag=diagonal))
            close(ours.tril_matrix_to_vec(a, diagonal), rl.tensor(vector))
    with pytest.raises(ValueError):
        ours.vec_to_tril_matrix(rl.zeros(5))
