"""Divergences across families: ``-entropy(p) - E_p[log q(x)]``.

The expectation of ``log q`` needs few facts about p: its mean and variance, and what ``log x``,
``log (1 - x)``, ``exp(-t x)`` or ``|x - c|`` is on average. Those are the tables below; each family
q has one formula that reads them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.distributions.bernoulli import Bernoulli
from rushlight.distributions.beta import Beta
from rushlight.distributions.binomial import Binomial
from rushlight.distributions.continuous_bernoulli import ContinuousBernoulli
from rushlight.distributions.exponential import Exponential
from rushlight.distributions.gamma import Gamma
from rushlight.distributions.gumbel import Gumbel
from rushlight.distributions.kl.registry import register_kl
from rushlight.distributions.laplace import Laplace
from rushlight.distributions.normal import Normal
from rushlight.distributions.pareto import Pareto
from rushlight.distributions.poisson import Poisson
from rushlight.distributions.uniform import Uniform
from rushlight.distributions.utils import euler_constant, softplus

Expectation = Callable[..., Tensor]

# ---------------------------------------------------------------- facts about p


def _mean_log_between(low: Tensor, high: Tensor) -> Tensor:
    """``E[log x]`` of uniform x."""
    return (high.xlogy(high) - low.xlogy(low)) / (high - low) - 1


_LOG: dict[type, Expectation] = {
    Beta: lambda p: p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma(),
    Exponential: lambda p: -euler_constant - p.rate.log(),
    Gamma: lambda p: p.concentration.digamma() - p.rate.log(),
    Pareto: lambda p: p.scale.log() + p.alpha.reciprocal(),
    Uniform: lambda p: _mean_log_between(p.low, p.high),
}
_LOG_REST: dict[type, Expectation] = {  # E[log(1 - x)]
    Uniform: lambda p: _mean_log_between(1 - p.high, 1 - p.low),
}
_EXP: dict[type, Expectation] = {  # E[exp(-t x)]
    Exponential: lambda p, t: p.rate / (p.rate + t),
    Gamma: lambda p, t: (1 + t / p.rate).pow(-p.concentration),
    Gumbel: lambda p, t: (T.lgamma(1 + t * p.scale) - t * p.loc).exp(),
    Normal: lambda p, t: ((t * p.scale).square() / 2 - t * p.loc).exp(),
    Uniform: lambda p, t: ((-t * p.low).exp() - (-t * p.high).exp()) / (t * (p.high - p.low)),
}


def _distance_laplace(p: Laplace, c: Tensor) -> Tensor:
    off = (p.loc - c).abs()
    return off + p.scale * (-off / p.scale).exp()


def _distance_normal(p: Normal, c: Tensor) -> Tensor:
    z = (p.loc - c) / p.scale
    peak = math.sqrt(2 / math.pi) * (-z.square() / 2).exp()
    return p.scale * (peak + z * T.erf(z / math.sqrt(2)))


_DISTANCE: dict[type, Expectation] = {Laplace: _distance_laplace, Normal: _distance_normal}
_LOWEST: dict[type, Any] = {Pareto: lambda p: p.scale, Uniform: lambda p: p.low}
_HIGHEST: dict[type, Any] = {Uniform: lambda p: p.high}


def _of(table: dict[type, Any], p: Any) -> Any:
    """What a table says of p: as what it is, or as what it is a special case of."""
    return next((table[kind] for kind in type(p).__mro__ if kind in table), None)


def _range(p: Any) -> tuple[Any, Any]:
    """Bounds of the values of p that may lie outside those of q."""
    lowest, highest = _of(_LOWEST, p), _of(_HIGHEST, p)
    return 0.0 if lowest is None else lowest(p), 1.0 if highest is None else highest(p)


# ---------------------------------------------------------------- E_p[log q]


def _log_normal(p: Any, q: Normal) -> Tensor:
    off = p.variance + (p.mean - q.loc).square()
    return -off / (2 * q.scale.square()) - q.scale.log() - math.log(2 * math.pi) / 2


def _log_exponential(p: Any, q: Exponential) -> Tensor:
    return _unless(_range(p)[0] < 0, q.rate.log() - q.rate * p.mean)


def _log_gamma(p: Any, q: Gamma) -> Tensor:
    a = q.concentration
    value = a * q.rate.log() - a.lgamma() + (a - 1) * _of(_LOG, p)(p) - q.rate * p.mean
    return _unless(_range(p)[0] < 0, value)


def _log_beta(p: Any, q: Beta) -> Tensor:
    a, b = q.concentration1, q.concentration0
    value = (a + b).lgamma() - a.lgamma() - b.lgamma()
    value = value + (a - 1) * _of(_LOG, p)(p) + (b - 1) * _of(_LOG_REST, p)(p)
    return _unless(_outside(p, 0.0, 1.0), value)


def _log_continuous_bernoulli(p: Any, q: ContinuousBernoulli) -> Tensor:
    value = p.mean * q.logits - softplus(q.logits) + q._log_constant()
    return _unless(_outside(p, 0.0, 1.0), value)


def _log_uniform(p: Any, q: Uniform) -> Tensor:
    return _unless(_outside(p, q.low, q.high), -(q.high - q.low).log())


def _log_pareto(p: Any, q: Pareto) -> Tensor:
    value = q.alpha.log() + q.alpha * q.scale.log() - (q.alpha + 1) * _of(_LOG, p)(p)
    return _unless(_range(p)[0] < q.scale, value)


def _log_gumbel(p: Any, q: Gumbel) -> Tensor:
    t = q.scale.reciprocal()
    return t * (q.loc - p.mean) - (t * q.loc).exp() * _of(_EXP, p)(p, t) - q.scale.log()


def _log_laplace(p: Any, q: Laplace) -> Tensor:
    return -_of(_DISTANCE, p)(p, q.loc) / q.scale - (2 * q.scale).log()


def _log_poisson(p: Bernoulli, q: Poisson) -> Tensor:
    return p.probs * q.rate.log() - q.rate


def _outside(p: Any, low: Any, high: Any) -> Any:
    lowest, highest = _range(p)
    return (lowest < low) | (highest > high)


def _unless(outside: Any, value: Tensor) -> Tensor:
    """``value``, but minus infinity where p allows what q excludes."""
    if isinstance(outside, Tensor):
        return T.where(outside, -math.inf, value)
    return value


def _divergence(expectation: Expectation) -> Expectation:
    return lambda p, q: -p.entropy() - expectation(p, q)


_FORMULAS: dict[type, tuple[Expectation, tuple[type, ...]]] = {
    Normal: (
        _log_normal,
        (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Pareto, Uniform),
    ),
    Exponential: (_log_exponential, (Beta, ContinuousBernoulli, Gamma, Pareto, Uniform)),
    Gamma: (_log_gamma, (Beta, Exponential, Pareto, Uniform)),
    Beta: (_log_beta, (Uniform,)),
    ContinuousBernoulli: (_log_continuous_bernoulli, (Beta, ContinuousBernoulli, Uniform)),
    Uniform: (_log_uniform, (Beta, ContinuousBernoulli, Uniform)),
    Pareto: (_log_pareto, (Pareto, Uniform)),
    Gumbel: (_log_gumbel, (Exponential, Gamma, Gumbel, Normal, Uniform)),
    Laplace: (_log_laplace, (Laplace, Normal)),
    Poisson: (_log_poisson, (Bernoulli,)),
}
for _type_q, (_expectation, _types_p) in _FORMULAS.items():
    for _type_p in _types_p:
        register_kl(_type_p, _type_q)(_divergence(_expectation))


# ---------------------------------------------------------------- always infinite


def _infinite(p: Any, q: Any) -> Tensor:
    shape = T.broadcast_shapes(p.batch_shape, q.batch_shape)
    return T.full(shape, math.inf, dtype=p.mean.dtype, device=p.mean.device)


_BOUNDED = (Beta, ContinuousBernoulli, Uniform)
_INFINITE = [
    *itertools.product((Exponential, Gamma), (*_BOUNDED, Pareto)),
    *itertools.product((Gumbel, Laplace, Normal), (*_BOUNDED, Pareto, Exponential, Gamma)),
    *itertools.product((Pareto,), _BOUNDED),
    *itertools.product((Beta, ContinuousBernoulli), (Pareto,)),
    *itertools.product((Poisson,), (Bernoulli, Binomial)),
]
for _type_p, _type_q in _INFINITE:
    register_kl(_type_p, _type_q)(_infinite)
