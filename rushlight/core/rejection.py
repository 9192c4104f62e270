"""Samplers that draw until a candidate is accepted, so that the number of words depends on the
values: Poisson, binomial, gamma.

They run element by element in Python, as torch's do in C, with every uniform taken in the same
order.

References: Hoermann, 1993, "The transformed rejection method for generating Poisson random
variables" (PTRS) and "The generation of binomial random variates" (BTRS); Marsaglia and Tsang,
2000, "A simple method for generating gamma variables".
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rushlight import dtypes
from rushlight.core.mt19937 import Engine

Array = NDArray[Any]

_AHEAD = 4096
_THIRD = float(np.float32(1) / np.float32(3))  # torch's kernel writes its constants as C floats
_SQUEEZE = float(np.float32(0.0331))


class Uniforms:
    """Uniform doubles one by one, taken from the engine in advance as far as they are sure to be
    used.

    Args:
        engine: where they come from.
        owed: how many the caller will surely still take; the caller lowers it as it goes.
    """

    def __init__(self, engine: Engine, owed: int) -> None:
        self.engine, self.owed = engine, owed
        self._values: list[float] = []

    def __call__(self) -> float:
        if not self._values:
            take = min(max(self.owed, 1), _AHEAD)
            self._values = self.engine.doubles(take)[::-1].tolist()
        return self._values.pop()

    def normal(self) -> float:
        """A standard normal; shares the engine's cached second value."""
        engine = self.engine
        cached = engine.cached_normal
        if cached is not None:
            engine.cached_normal = None
            return cached
        angle = 2 * math.pi * self()
        radius = math.sqrt(-2.0 * math.log1p(-self()))
        engine.cached_normal = radius * math.sin(angle)
        return radius * math.cos(angle)


def poisson(engine: Engine, rates: Array) -> NDArray[np.float64]:
    """Poisson counts for flat non-negative `rates`."""
    values = rates.astype(np.float64).tolist()
    uniforms = Uniforms(engine, sum(rate > 0 for rate in values))
    out = np.empty(len(values))
    for i, rate in enumerate(values):
        if rate > 0:
            out[i] = (
                _poisson_large(rate, uniforms) if rate >= 10 else _poisson_small(rate, uniforms)
            )
            uniforms.owed -= 1
        else:
            out[i] = 0.0
    return out


def _poisson_small(rate: float, uniform: Uniforms) -> int:
    limit, count = math.exp(-rate), 0
    product = uniform()
    while product > limit:
        count += 1
        product *= uniform()
    return count


def _poisson_large(rate: float, uniform: Uniforms) -> int:
    root, log_rate = math.sqrt(rate), math.log(rate)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    log_inverse_alpha = math.log(1.1239 + 1.1328 / (b - 3.4))
    accept = 0.9277 - 3.6224 / (b - 2)
    while True:
        u, v = uniform() - 0.5, uniform()
        us = 0.5 - abs(u)
        k = math.floor((2 * a / us + b) * u + rate + 0.43)
        if us >= 0.07 and v <= accept:
            return k
        if k < 0 or (us < 0.013 and v > us):
            continue
        if _log(v) + log_inverse_alpha - math.log(
            a / (us * us) + b
        ) <= -rate + k * log_rate - math.lgamma(k + 1):
            return k


def binomial(engine: Engine, counts: Array, probabilities: Array) -> NDArray[np.float64]:
    """Successes out of flat `counts` trials with flat `probabilities`, one by one."""
    pairs = list(
        zip(
            counts.astype(np.float64).tolist(),
            probabilities.astype(np.float64).tolist(),
            strict=True,
        )
    )
    uniforms = Uniforms(engine, sum(n > 0 and 0 < p < 1 for n, p in pairs))
    out = np.empty(len(pairs))
    for i, (n, p) in enumerate(pairs):
        if n <= 0 or p <= 0:
            out[i] = 0.0
        elif p >= 1:
            out[i] = n
        elif p != p:
            out[i] = p
        else:
            out[i] = _successes(n, p, uniforms) if p <= 0.5 else n - _successes(n, 1 - p, uniforms)
            uniforms.owed -= 1
    return out


def _successes(n: float, p: float, uniform: Uniforms) -> int:
    return _binomial_large(n, p, uniform) if n * p >= 10 else _binomial_small(n, p, uniform)


def _binomial_small(n: float, p: float, uniform: Uniforms) -> int:
    """Counts geometric waiting times that fit into n trials."""
    trials, successes, log_failure = 0.0, 0, math.log1p(-p)
    while True:
        trials += math.ceil(_log(uniform()) / log_failure)
        if trials > n:
            return successes
        successes += 1


def _binomial_large(n: float, p: float, uniform: Uniforms) -> int:
    deviation = math.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    center, accept, odds = n * p + 0.5, 0.92 - 4.2 / b, p / (1 - p)
    alpha = (2.83 + 5.1 / b) * deviation
    mode = math.floor((n + 1) * p)
    while True:
        u, v = uniform() - 0.5, uniform()
        us = 0.5 - abs(u)
        k = math.floor((2 * a / us + b) * u + center)
        if us >= 0.07 and v <= accept:
            return k
        if 0 <= k <= n and _log(v * alpha / (a / (us * us) + b)) <= _log_ratio(k, mode, n, odds):
            return k


def _log_ratio(k: int, mode: int, n: float, odds: float) -> float:
    """log of the probability of k successes over that of the mode."""
    return (
        (mode + 0.5) * math.log((mode + 1) / (odds * (n - mode + 1)))
        + (n + 1) * math.log((n - mode + 1) / (n - k + 1))
        + (k + 0.5) * math.log(odds * (n - k + 1) / (k + 1))
        + stirling_error(mode)
        + stirling_error(n - mode)
        - stirling_error(k)
        - stirling_error(n - k)
    )


_STIRLING = (
    0.0810614667953272,
    0.0413406959554092,
    0.0276779256849983,
    0.02079067210376509,
    0.0166446911898211,
    0.0138761288230707,
    0.0118967099458917,
    0.0104112652619720,
    0.00925546218271273,
    0.00833056343336287,
)


def stirling_error(k: float) -> float:
    """log(k!) minus Stirling's formula for it."""
    if k <= 9:
        return _STIRLING[int(k)]
    square = (k + 1) * (k + 1)
    return (1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / (k + 1)


def standard_gamma(engine: Engine, shapes: Array) -> NDArray[np.float64]:
    """Gamma values of scale 1 for flat shapes >= 0; float32 ones are prepared in float32."""
    uniforms = Uniforms(engine, 0)
    single = shapes.dtype is dtypes.float32
    return np.array([_gamma(alpha, single, uniforms) for alpha in shapes.tolist()], np.float64)


def _gamma(alpha: float, single: bool, uniforms: Uniforms) -> float:
    scale = 1.0
    if alpha < 1:
        if alpha == 0:
            return 0.0
        power = float(np.float32(1) / np.float32(alpha)) if single else 1 / alpha
        scale = float((1 - uniforms()) ** power)
        alpha = float(np.float32(alpha) + np.float32(1)) if single else alpha + 1
    d = float(np.float32(alpha) - np.float32(_THIRD)) if single else alpha - _THIRD
    c = 1 / math.sqrt(9 * d)
    while True:
        x = uniforms.normal()
        y = 1 + c * x
        if y <= 0:
            continue
        v = y * y * y
        u = 1 - uniforms()
        square = x * x
        if u < 1 - _SQUEEZE * square * square or _log(u) < 0.5 * square + d * (1 - v + math.log(v)):
            return scale * d * v


def dirichlet(engine: Engine, shapes: Array) -> NDArray[np.float64]:
    """Points of the simplex along the last dim: gamma values over their sum."""
    gammas = standard_gamma(engine, shapes.astype(np.float64).reshape(-1)).reshape(shapes.shape)
    simplex: Array = gammas / gammas.sum(-1, keepdims=True)
    return simplex


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf


# ---------------------------------------------------------------- multinomial


def with_replacement(engine: Engine, weights: Array, count: int) -> NDArray[np.int64]:
    """`count` categories per row of (rows, categories) by looking uniforms up in running sums."""
    work = np.float32 if weights.dtype in dtypes.HALVES else weights.dtype
    sums = np.cumsum(weights, axis=-1, dtype=work)
    sums /= sums[:, -1:].copy()
    sums[:, -1] = 1
    samples = engine.doubles(sums.shape[0] * count).reshape(-1, count)
    out = np.empty(samples.shape, np.int64)
    for row, cumulative in enumerate(sums):
        out[row] = np.searchsorted(cumulative, samples[row])
    return out


def without_replacement(clocks: Array, weights: Array, count: int) -> NDArray[np.int64]:
    """The `count` categories of the last dim whose clocks, sped up by their weights, ring first.

    `clocks`: exponential values of the shape of `weights`.
    """
    work = np.float32 if weights.dtype in dtypes.HALVES else weights.dtype
    speed: Array = (weights.astype(work) / clocks.astype(work)).astype(weights.dtype)
    if count == 1:
        return np.expand_dims(np.argmax(speed, axis=-1), -1)
    order: Array = np.argsort(-speed, axis=-1, kind="stable")
    return np.ascontiguousarray(order[..., :count])
