"""Samplers that draw until a candidate is accepted, so that the number of words depends on the
values: Poisson, binomial, gamma.

They run element by element in Python, as torch's do in C, with every uniform taken in the same
order; gamma values of many elements also in bulk.

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
from rushlight.core.sampling import libm

Array = NDArray[Any]

_AHEAD = 4096
_THIRD = float(np.float32(1) / np.float32(3))  # torch's kernel writes its constants as C floats
_SQUEEZE = float(np.float32(0.0331))


class Uniforms:
    """Uniform doubles one by one. They are drawn from the engine many at a time, those behind the
    first from one block; leaving the context gives back those that were not taken. The caller
    holds the engine.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._values: list[float] = []
        self._next = 16

    def __enter__(self) -> Uniforms:
        return self

    def __exit__(self, *exc: object) -> None:
        self.engine.give_back(2 * len(self._values))

    def __call__(self) -> float:
        if not self._values:
            here = self.engine.left() // 2
            count = min(self._next, here) if here > 0 else self._next
            self._values = self.engine.doubles(count)[::-1].tolist()
            self._next = min(2 * self._next, 256)
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
    with engine.holding(), Uniforms(engine) as uniforms:
        return np.array(
            [
                0
                if not rate > 0
                else _poisson_large(rate, uniforms)
                if rate >= 10
                else _poisson_small(rate, uniforms)
                for rate in rates.tolist()
            ],
            np.float64,
        )


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
    pairs = zip(counts.tolist(), probabilities.tolist(), strict=True)
    with engine.holding(), Uniforms(engine) as uniforms:
        return np.array([_binomial(n, p, uniforms) for n, p in pairs], np.float64)


def _binomial(n: float, p: float, uniforms: Uniforms) -> float:
    if n <= 0 or p <= 0:
        return 0.0
    if not p < 1:
        return n if p >= 1 else p  # p is nan
    return _successes(n, p, uniforms) if p <= 0.5 else n - _successes(n, 1 - p, uniforms)


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
    work = np.float32 if shapes.dtype is dtypes.float32 else np.float64
    shapes = shapes.astype(work, copy=False)
    small = shapes < 1
    with np.errstate(divide="ignore"):
        powers = np.where(small, work(1) / shapes, 0).tolist()
    d = np.where(small, shapes + work(1), shapes) - work(_THIRD)
    d = d.astype(np.float64)
    c = 1 / np.sqrt(9 * d)
    # nearer to shape 1 too many trials take no uniform
    if d.size >= 32 and d.min() >= 1 and not small.any():
        return _gammas(engine, d, c)
    pairs = zip(powers, d.tolist(), c.tolist(), strict=True)
    with engine.holding(), Uniforms(engine) as uniforms:
        return np.array([_gamma(power, d, c, uniforms) for power, d, c in pairs], np.float64)


def _gamma(power: float, d: float, c: float, uniforms: Uniforms) -> float:
    """A value of shape d + 1/3; unless `power` is 0, one of shape 1 / power, that much below."""
    if power == math.inf:
        return 0.0
    scale = (1 - uniforms()) ** power if power else 1.0
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


# Note [Gamma values in bulk]
# A trial takes a normal and a uniform; it is accepted or not. As long as normals do not make y
# negative, which takes no uniform, the trials' places in the stream are known: one double each, and
# two more in front of every other one, for a pair of normals. Only whose trial one is depends on
# which before it were accepted. That is guessed and corrected until it holds: a trial's element is
# right as soon as all before it are, and few verdicts depend on the element.


def _gammas(engine: Engine, d: Array, c: Array) -> NDArray[np.float64]:
    """`_gamma` of many elements whose shapes are all above 1."""
    out = np.empty(d.size)
    done, size = 0, _AHEAD if d.min() == d.max() else _AHEAD // 4
    with engine.holding():
        while done < d.size:
            part = slice(done, done + size)
            done += _gamma_trials(engine, d[part], c[part], out[part])
    return out


def _gamma_trials(engine: Engine, d: Array, c: Array, out: Array) -> int:
    """Fills `out` as far as trials in known places go, see Note [Gamma values in bulk]; how far."""
    count = d.size + d.size // 16 + 8
    mark, cached = engine.mark(), engine.cached_normal
    fresh = np.arange(count) % 2 == (cached is not None)  # whether a trial draws two normals
    ends = np.cumsum(np.where(fresh, 3, 1))
    stream = engine.doubles(int(ends[-1]))
    x, second = np.empty(count), np.empty(count)
    angle, radius = stream[ends[fresh] - 3], stream[ends[fresh] - 2]
    angle *= 2 * math.pi
    radius = np.sqrt(-2.0 * libm(math.log1p, -radius))
    x[fresh], second[fresh] = radius * libm(math.cos, angle), radius * libm(math.sin, angle)
    x[1:][fresh[:-1]] = second[:-1][fresh[:-1]]
    if cached is not None:
        x[0] = cached
    v, y, accepted, element = _verdicts(x, 1 - stream[ends - 1], d, c)
    # where to stop: the trial that fills the last place, or one without a uniform
    full = np.flatnonzero(accepted.cumsum() == d.size)[:1]
    short = np.flatnonzero(y <= 0)[:1]
    last = int(min([*full, *short, count - 1]))
    taken = accepted[: last + 1]
    values = (d[element] * v)[: last + 1][taken]
    out[: values.size] = values
    engine.rewind(mark)
    engine.doubles(int(ends[last]) - int(y[last] <= 0))
    engine.cached_normal = float(second[last]) if fresh[last] else None
    return values.size


def _verdicts(x: Array, u: Array, d: Array, c: Array) -> tuple[Array, Array, Array, Array]:
    """For each trial v and y, whether it is accepted, and whose it is."""
    square = x * x
    sure = u < 1 - _SQUEEZE * square * square
    with np.errstate(divide="ignore", invalid="ignore"):
        log_u = np.log(u)
        element = np.minimum(np.arange(x.size), d.size - 1)
        while True:
            y = 1 + c[element] * x
            v = y * y * y
            bound = 0.5 * square + d[element] * (1 - v + np.log(v))
            accepted = (y > 0) & (sure | (log_u < bound))
            found = np.minimum(accepted.cumsum() - accepted, d.size - 1)
            if np.array_equal(found, element):
                return v, y, accepted, element
            element = found


def dirichlet(engine: Engine, shapes: Array) -> NDArray[np.float64]:
    """Points of the simplex along the last dim: gamma values over their sum."""
    gammas = standard_gamma(engine, shapes.astype(np.float64).reshape(-1)).reshape(shapes.shape)
    gammas = np.maximum(gammas, np.finfo(np.float64).tiny)  # all may be too small to be told from 0
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
    if count * 8 > speed.shape[-1]:
        order: Array = np.argsort(-speed, axis=-1, kind="stable")
        return np.ascontiguousarray(order[..., :count])
    chosen = np.empty((*speed.shape[:-1], count), np.int64)
    for i in np.ndindex(speed.shape[:-1]):
        late = -speed[i]
        first = np.flatnonzero(late <= np.partition(late, count - 1)[count - 1])
        chosen[i] = first[np.argsort(late[first], kind="stable")[:count]]
    return chosen
