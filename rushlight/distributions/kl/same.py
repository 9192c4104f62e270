"""Divergences between distributions of one family."""

from __future__ import annotations

import math
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.state import GradMode
from rushlight.core.tensor import Tensor
from rushlight.distributions.bernoulli import Bernoulli
from rushlight.distributions.beta import Beta
from rushlight.distributions.binomial import Binomial
from rushlight.distributions.categorical import Categorical
from rushlight.distributions.cauchy import Cauchy
from rushlight.distributions.dirichlet import Dirichlet
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.distributions.exponential import Exponential
from rushlight.distributions.gamma import Gamma
from rushlight.distributions.geometric import Geometric
from rushlight.distributions.half_normal import HalfNormal
from rushlight.distributions.independent import Independent
from rushlight.distributions.kl.registry import kl_divergence, register_kl
from rushlight.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal
from rushlight.distributions.multivariate_normal import MultivariateNormal
from rushlight.distributions.normal import Normal
from rushlight.distributions.one_hot_categorical import OneHotCategorical
from rushlight.distributions.poisson import Poisson
from rushlight.distributions.transformed_distribution import TransformedDistribution
from rushlight.distributions.utils import (
    _sum_rightmost,
    half_log_det,
    softplus,
    solve_lower,
    squared_length,
)
from rushlight.tensor_api.gradients import grad


def weighed(probs: Tensor, ratio: Tensor, excluded: Tensor) -> Tensor:
    """``probs * ratio``: infinite where q excludes the value, zero where p does."""
    term = T.where(excluded, math.inf, probs * ratio)
    return T.where(probs == 0, 0.0, term)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    ones = softplus(-q.logits) - softplus(-p.logits)
    zeros = softplus(q.logits) - softplus(p.logits)
    return weighed(p.probs, ones, q.probs == 0) + weighed(1 - p.probs, zeros, q.probs == 1)


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Tensor:
    return weighed(p.probs, p.logits - q.logits, (q.probs == 0).expand_as(q.probs)).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    return _categorical(p._categorical, q._categorical)


@register_kl(Binomial, Binomial)
def _binomial(p: Binomial, q: Binomial) -> Tensor:
    if bool((p.total_count < q.total_count).any()):
        raise NotImplementedError(
            "KL between Binomials where q.total_count > p.total_count is not implemented"
        )
    each = p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    return T.where(p.total_count > q.total_count, math.inf, p.total_count * each)


@register_kl(Geometric, Geometric)
def _geometric(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Poisson, Poisson)
def _poisson(p: Poisson, q: Poisson) -> Tensor:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Beta, Beta)
def _beta(p: Beta, q: Beta) -> Tensor:
    return _dirichlet(p._dirichlet, q._dirichlet)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    constant = total.lgamma() - b.sum(-1).lgamma() + (b.lgamma() - a.lgamma()).sum(-1)
    return constant + ((a - b) * (a.digamma() - total.digamma().unsqueeze(-1))).sum(-1)


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Cauchy, q: Cauchy) -> Tensor:
    above = (p.scale + q.scale).square() + (p.loc - q.loc).square()
    return above.log() - (4 * p.scale * q.scale).log()


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(Gamma, Gamma)
def _gamma(p: Gamma, q: Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    rates = b * (p.rate / q.rate).log() + a * (q.rate / p.rate - 1)
    return rates + b.lgamma() - a.lgamma() + (a - b) * a.digamma()


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale).square()
    off = ((p.loc - q.loc) / q.scale).square()
    return 0.5 * (ratio + off - 1 - ratio.log())


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: HalfNormal, q: HalfNormal) -> Tensor:
    return _normal(p.base_dist, q.base_dist)


@register_kl(MultivariateNormal, MultivariateNormal)
@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormal)
@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _multivariate_normal(p: Any, q: Any) -> Tensor:
    """``(log det q - log det p + tr(q^-1 p) + d' q^-1 d - D) / 2`` of the covariances."""
    if p.event_shape != q.event_shape:
        raise ValueError(
            "KL-divergence between two normal distributions with different event shapes cannot be "
            f"computed: {tuple(p.event_shape)} and {tuple(q.event_shape)}."
        )
    off = q.loc - p.loc
    if isinstance(q, MultivariateNormal):
        trace = solve_lower(q._unbroadcasted_scale_tril, p.scale_tril).square().sum((-2, -1))
        distance = squared_length(q._unbroadcasted_scale_tril, off)
    else:
        trace = (q.precision_matrix * p.covariance_matrix).sum((-2, -1))
        distance = q._squared_length(off)
    return 0.5 * (_log_det(q) - _log_det(p) + trace + distance - p.event_shape[0])


def _log_det(d: Any) -> Tensor:
    if isinstance(d, MultivariateNormal):
        return 2 * half_log_det(d._unbroadcasted_scale_tril)
    return d._log_det()


@register_kl(ExponentialFamily, ExponentialFamily)
def _exponential_family(p: Any, q: Any) -> Tensor:
    """``F(q) - F(p) - <q - p, dF(p)>``, the Bregman divergence of the log normaliser F."""
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families cannot be computed "
            "using Bregman divergences"
        )
    with GradMode(True):
        given = p._natural_params
        natural = [t if t.requires_grad else t.detach().requires_grad_() for t in given]
        own = p._log_normalizer(*natural)
        slopes = grad(own.sum(), natural, create_graph=True)
    if not any([t.requires_grad for t in given]):
        own, slopes = own.detach(), tuple([s.detach() for s in slopes])
    result = q._log_normalizer(*q._natural_params) - own
    for mine, other, slope in zip(given, q._natural_params, slopes, strict=True):
        result = result - _sum_rightmost((other - mine) * slope, len(q.event_shape))
    return result


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError(
            "KL between Independents needs the same reinterpreted_batch_ndims, but they are "
            f"{p.reinterpreted_batch_ndims} and {q.reinterpreted_batch_ndims}."
        )
    return _sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: TransformedDistribution, q: TransformedDistribution) -> Tensor:
    """A bijection changes nothing."""
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError("KL between different transforms or event shapes is not defined.")
    return kl_divergence(p.base_dist, q.base_dist)
