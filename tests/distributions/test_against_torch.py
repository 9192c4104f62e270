"""Samples, densities, moments and gradients equal torch's, from the same seed."""

import warnings

import numpy as np
import pytest
import torch

import rushlight as rl
from tests.distributions.cases import CASES

COARSE = {"Gamma", "Chi2", "Beta", "Dirichlet", "Dirichlet batch", "StudentT", "FisherSnedecor"}
COARSE |= {"InverseGamma"}  # torch approximates implicit derivatives
LAST_DIGITS = 2e-6  # torch's vectorised logarithms differ there
DRAWN_AGAIN = {"Wishart", "Wishart batch"}  # torch takes good samples for singular ones
CLAMPED = {"ContinuousBernoulli", "ContinuousBernoulli logits"}  # torch cuts gradients there


def build(t, name, dtype="float32", grad=False):
    make, arrays = CASES[name]
    values = [t.tensor(np.array(x), dtype=getattr(t, dtype)) for x in arrays]
    if grad:
        values = [v.requires_grad_() for v in values]
    return make(t.distributions, *values), values


def attempt(function):
    """The result, or the type of the exception."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function()
    except (NotImplementedError, ValueError, RuntimeError) as error:
        return type(error)


def array(x):
    return x.detach().double().numpy() if hasattr(x, "detach") else x


def equal(a, b, rtol=1e-5, atol=1e-6):
    if isinstance(a, type) or isinstance(b, type):
        assert a is b
        return
    assert str(a.dtype) == str(b.dtype)
    assert tuple(a.shape) == tuple(b.shape)
    np.testing.assert_allclose(array(a), array(b), rtol=rtol, atol=atol)


def both(name, **options):
    out = []
    for t in (rl, torch):
        t.manual_seed(3)
        out.append(build(t, name, **options))
    return out


@pytest.mark.parametrize("name", CASES)
def test_shapes_and_repr(name):
    (ours, _), (theirs, _) = both(name)
    assert repr(ours) == repr(theirs)
    assert tuple(ours.batch_shape) == tuple(theirs.batch_shape)
    assert tuple(ours.event_shape) == tuple(theirs.event_shape)
    assert ours.has_rsample == theirs.has_rsample
    assert ours.has_enumerate_support == theirs.has_enumerate_support
    assert ours.support.event_dim == theirs.support.event_dim
    assert ours.support.is_discrete == theirs.support.is_discrete
    assert repr(ours.support) == repr(theirs.support)
    assert {k: repr(c) for k, c in ours.arg_constraints.items()} == {
        k: repr(c) for k, c in theirs.arg_constraints.items()
    }


@pytest.mark.parametrize("name", CASES)
def test_samples(name):
    (ours, _), (theirs, _) = both(name)
    if name in DRAWN_AGAIN:
        pytest.skip("torch takes good samples for singular ones and draws again")
    for shape in ((), (4,), (2, 3)):
        equal(
            attempt(lambda s=shape: ours.sample(s)),
            attempt(lambda s=shape: theirs.sample(s)),
            LAST_DIGITS * 5,
            LAST_DIGITS,
        )
    assert (rl.get_rng_state().numpy() == torch.get_rng_state().numpy()).all()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "what", ["mean", "mode", "variance", "stddev", "entropy", "perplexity", "enumerate_support"]
)
def test_facts(name, what):
    if (name, what) == ("Kumaraswamy", "mode"):
        pytest.skip("torch's formula is nan wherever there is a mode; test_behaviour has it")
    (ours, mine), (theirs, others) = both(name, dtype="float64", grad=True)

    def fact(d):
        value = getattr(d, what)
        return value() if callable(value) else value

    x, y = attempt(lambda: fact(ours)), attempt(lambda: fact(theirs))
    loose = 1e-3 if name == "VonMises" else 1e-8  # torch approximates Bessel functions
    equal(x, y, loose, loose)
    if not isinstance(y, type) and y.requires_grad and what != "mode":
        with_gradients(x, y, mine, others, loose, loose)


def with_gradients(x, y, mine, others, rtol=1e-4, atol=1e-5):
    """Compare the gradients of a weighted sum."""
    weights = np.linspace(0.5, 1.5, y.numel()).reshape(tuple(y.shape))
    found = []
    for t, out, values in ((rl, x, mine), (torch, y, others)):
        w = t.tensor(weights).to(out.dtype)
        found.append(t.autograd.grad((out * w).sum(), values, allow_unused=True))
    for v, g, h in zip(mine, *found, strict=True):
        g = np.zeros(tuple(v.shape)) if g is None else array(g)
        h = np.zeros(tuple(v.shape)) if h is None else array(h)
        np.testing.assert_allclose(g, h, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", CASES)
def test_rsample_gradients(name):
    (ours, mine), (theirs, others) = both(name, grad=True)
    if not theirs.has_rsample or name in DRAWN_AGAIN:
        return
    x, y = ours.rsample((3,)), theirs.rsample((3,))
    equal(x, y, LAST_DIGITS * 5, LAST_DIGITS)
    loose = name in COARSE
    with_gradients(x, y, mine, others, 2e-2 if loose else 1e-4, 2e-3 if loose else 1e-5)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("what", ["log_prob", "cdf", "icdf"])
def test_of_values(name, what):
    single = name == "GeneralizedPareto"  # torch mixes dtypes otherwise
    (ours, mine), (theirs, others) = both(name, dtype="float32" if single else "float64", grad=True)
    value = attempt(lambda: theirs.sample((4,)))
    if what == "icdf":
        value = torch.rand(value.shape, dtype=torch.float32 if single else torch.float64)
        value = value * 0.9 + 0.05
    copy = rl.tensor(value.numpy())
    x, y = attempt(lambda: getattr(ours, what)(copy)), attempt(lambda: getattr(theirs, what)(value))
    loose = 1e-4 if single or name == "VonMises" else 1e-8
    equal(x, y, loose, loose)
    if isinstance(y, type) or not y.requires_grad or name in {"Wishart batch"} | CLAMPED:
        return
    if what == "cdf" and name in {"Gamma", "Chi2", "InverseGamma"}:
        return  # torch has no derivative by the concentration
    with_gradients(x, y, mine, others, max(loose, 1e-6), max(loose, 1e-6))


@pytest.mark.parametrize("name", CASES)
def test_expand(name):
    (ours, _), (theirs, _) = both(name)
    shape = (2, *theirs.batch_shape)
    a, b = ours.expand(shape), theirs.expand(shape)
    assert type(a) is type(ours)
    assert repr(a) == repr(b)
    assert tuple(a.batch_shape) == tuple(b.batch_shape)
    if name not in DRAWN_AGAIN:
        equal(attempt(lambda: a.sample((3,))), attempt(lambda: b.sample((3,))), 1e-5, LAST_DIGITS)
    equal(attempt(lambda: a.variance), attempt(lambda: b.variance), 1e-3)
    equal(a.log_prob(a.sample()), a.log_prob(a.sample()), 10, 1e9)  # it fits
