"""Divergences: every pair that torch has, with its values and gradients."""

import warnings

import numpy as np
import pytest
import torch
from torch.distributions import kl as torch_kl

import rushlight as rl
from rushlight.distributions.kl.registry import _formulas
from tests.distributions.cases import COVARIANCE, EYE, LOC3, WIDE

A, B = np.array([0.3, 1.4, 2.5]), np.array([0.9, 0.6, 3.1])
P = np.array([0.2, 0.6, 0.9])
MAKE = {
    "Bernoulli": lambda D, t, k: D.Bernoulli(t(P) if k else t(1 - P)),
    "Beta": lambda D, t, k: D.Beta(t(A + k), t(B)),
    "Binomial": lambda D, t, k: D.Binomial(5, t(P) if k else t(1 - P)),
    "Categorical": lambda D, t, k: D.Categorical(t(P) if k else t(1 - P)),
    "Cauchy": lambda D, t, k: D.Cauchy(t(A + k), t(B)),
    "ContinuousBernoulli": lambda D, t, k: D.ContinuousBernoulli(t(P) if k else t(1 - P)),
    "Dirichlet": lambda D, t, k: D.Dirichlet(t(A + k)),
    "Exponential": lambda D, t, k: D.Exponential(t(A + k)),
    "Gamma": lambda D, t, k: D.Gamma(t(A + k), t(B)),
    "Geometric": lambda D, t, k: D.Geometric(t(P) if k else t(1 - P)),
    "Gumbel": lambda D, t, k: D.Gumbel(t(A + k), t(B)),
    "HalfNormal": lambda D, t, k: D.HalfNormal(t(A + k)),
    "Independent": lambda D, t, k: D.Independent(D.Normal(t(A + k), t(B)), 1),
    "Laplace": lambda D, t, k: D.Laplace(t(A + k), t(B)),
    "LowRankMultivariateNormal": lambda D, t, k: D.LowRankMultivariateNormal(
        t(LOC3 + k), t(WIDE.T.copy()), t(A + 1)
    ),
    "MultivariateNormal": lambda D, t, k: D.MultivariateNormal(
        t(LOC3 + k), t(COVARIANCE + k * EYE)
    ),
    "Normal": lambda D, t, k: D.Normal(t(A + k), t(B)),
    "OneHotCategorical": lambda D, t, k: D.OneHotCategorical(t(P) if k else t(1 - P)),
    "Pareto": lambda D, t, k: D.Pareto(t(A), t(B + 2.5 * k)),
    "Poisson": lambda D, t, k: D.Poisson(t(A + k)),
    "TransformedDistribution": lambda D, t, k: D.LogNormal(t(A + k), t(B)),
    # away from 0 and 1, where torch takes equal bounds for excluded ones
    "Uniform": lambda D, t, k: D.Uniform(
        t(A * 0 + k / 10 - 0.05), t(0.3 + A / 5 if k else A + 0.2)
    ),
}
PAIRS = sorted({(p.__name__, q.__name__) for p, q in torch_kl._KL_REGISTRY})
GENERIC = ("ExponentialFamily", "ExponentialFamily")


def divergence(t, p, q, k, j):
    leaves = []

    def leaf(x):
        leaves.append(t.tensor(np.asarray(x, np.float64), requires_grad=True))
        return leaves[-1]

    d = t.distributions
    return d.kl_divergence(MAKE[p](d, leaf, k), MAKE[q](d, leaf, j)), leaves


def test_every_pair_is_registered():
    assert sorted({(p.__name__, q.__name__) for p, q in _formulas}) == PAIRS


@pytest.mark.parametrize("p, q", [pair for pair in PAIRS if pair != GENERIC])
def test_value_and_gradient(p, q):
    for k, j in ((1, 0), (0, 1)):
        (a, mine), (b, others) = divergence(rl, p, q, k, j), divergence(torch, p, q, k, j)
        assert tuple(a.shape) == tuple(b.shape)
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 1e-7, 1e-9)
        if b.requires_grad and bool(torch.isfinite(b).all()):
            ours = rl.autograd.grad(a.sum(), mine, allow_unused=True)
            theirs = torch.autograd.grad(b.sum(), others, allow_unused=True)
            for leaf, g, h in zip(others, ours, theirs, strict=True):
                g, h = (np.zeros(leaf.shape) if x is None else x.numpy() for x in (g, h))
                if (
                    leaf.dim() == 2 and leaf.shape[0] == leaf.shape[1]
                ):  # torch spreads gradients of symmetric matrices differently
                    g, h = g + g.T, h + h.T
                np.testing.assert_allclose(g, h, 1e-6, 1e-7)


@pytest.mark.parametrize("name", ["Normal", "Gamma", "Beta", "Exponential", "Bernoulli"])
def test_bregman_divergence_agrees(name):
    generic = _formulas[rl.distributions.ExponentialFamily, rl.distributions.ExponentialFamily]
    p, q = (MAKE[name](rl.distributions, lambda x: rl.tensor(x), k) for k in (0, 1))
    a, b = generic(p, q), rl.distributions.kl_divergence(p, q)
    np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-6, 1e-6)


def test_edge_cases():
    D = rl.distributions
    same = D.kl_divergence(D.ContinuousBernoulli(0.5), D.Uniform(0.0, 1.0))
    assert abs(same.item()) < 1e-6
    certain, fair = D.Bernoulli(rl.tensor([0.0, 1.0])), D.Bernoulli(rl.tensor([0.5, 0.5]))
    assert D.kl_divergence(fair, certain).tolist() == [float("inf")] * 2
    assert rl.allclose(D.kl_divergence(certain, fair), rl.tensor(2.0).log(), atol=1e-6)
    half = D.Categorical(rl.tensor([0.5, 0.5, 0.0]))
    other = D.Categorical(rl.tensor([0.5, 0.0, 0.5]))
    assert D.kl_divergence(half, other).item() == float("inf")
    wide, narrow = D.Uniform(0.0, 2.0), D.Uniform(0.0, 1.0)
    assert D.kl_divergence(wide, narrow).item() == float("inf")
    with pytest.raises(NotImplementedError):
        D.kl_divergence(D.Normal(0.0, 1.0), D.Cauchy(0.0, 1.0))
    with pytest.raises(NotImplementedError):
        D.kl_divergence(D.LogNormal(0.0, 1.0), D.TransformedDistribution(D.Normal(0.0, 1.0), []))


def test_register_and_ambiguity():
    D = rl.distributions

    class Mine(D.Normal):
        pass

    base = D.kl_divergence(Mine(0.0, 1.0), D.Normal(1.0, 1.0))
    assert base.item() == 0.5
    try:
        D.register_kl(Mine, D.Normal)(lambda p, q: rl.tensor(7.0))
        D.register_kl(D.Normal, Mine)(lambda p, q: rl.tensor(8.0))
        assert D.kl_divergence(Mine(0.0, 1.0), D.Normal(0.0, 1.0)).item() == 7
        with pytest.warns(RuntimeWarning, match="Ambiguous"):
            assert D.kl_divergence(Mine(0.0, 1.0), Mine(0.0, 1.0)).item() == 7
    finally:
        for pair in ((Mine, D.Normal), (D.Normal, Mine)):
            del _formulas[pair]
        from rushlight.distributions.kl.registry import _formula_for

        _formula_for.cache_clear()
    with pytest.raises(TypeError):
        D.register_kl(3, D.Normal)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        D.kl_divergence(Mine(0.0, 1.0), Mine(0.0, 1.0))


def test_what_is_said_of_gamma_holds_for_its_special_cases():
    def divergences(D, tensor):
        p = D.Chi2(tensor(A))
        others = D.Gumbel(tensor(A), tensor(B)), D.Normal(tensor(A), tensor(B)), D.Gamma(1.0, 2.0)
        return [D.kl_divergence(p, q).numpy() for q in others]

    found = divergences(rl.distributions, rl.tensor), divergences(torch.distributions, torch.tensor)
    for got, expected in zip(*found, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)
