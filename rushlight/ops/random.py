"""Random tensors.

Inputs are looked at before anything is drawn: those on a GPU are another's to compute.

In-place draws forget the old value, so their gradient is zero; so is that of a sample's parameters,
except for gamma and Dirichlet values, which move with theirs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core import rejection, sampling
from rushlight.core.elementwise import broadcast_error
from rushlight.core.op import Op, parameters
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, written
from rushlight.ops.copy import zeros_like
from rushlight.ops.implicit import DirichletGrad, StandardGammaGrad
from rushlight.ops.places import spread

PART = 1 << 16  # elements drawn at a time, so that what is on its way stays in the cache


def place(x: Any, values: Any) -> None:
    """Lay flat values out in the array x."""
    if values.dtype is not x.dtype and x.dtype in dtypes.COMPLEX_TYPES:
        values = values.view(x.dtype)
    sampling.put(x, values)


class Draw(Op, abstract=True):
    """``input`` filled with values of one distribution, in the order in which its elements lie in
    memory.

    ``values(x, engine, ...)`` gives the flat values for an array ``x``, or x filled with them.
    ``update`` takes the params by name or, which is faster, in their order.
    """

    by_order = True
    in_parts = False  # values of parts of PART elements are those of the whole

    def eager(self, xp, input, **params):
        out = np.empty_like(input)
        self.store(out, [], params)
        return out

    def store(self, x, others, params):
        if x.size >= 2 * PART and self.in_parts and x.flags.c_contiguous and x.dtype.kind != "c":
            flat = x.reshape(-1)
            *starts, _ = range(0, x.size, PART)  # the last part is the longest
            for start, stop in zip(starts, [*starts[1:], x.size], strict=True):
                part = flat[start:stop]
                values = self.values(part, **params)
                if values is not part:
                    part[...] = values
            return
        values = self.values(x, **params)
        if values is not x:
            place(x, values)

    def make_update(self):
        general, values = super().make_update(), self.values
        names = parameters(type(self).values)[0][1:]

        def update(x: Tensor, *given: Any, **params: Any) -> Tensor:
            a = x._array
            if (
                params or state.busy or type(a) is not np.ndarray or a.base is not None
                or a.size >= 2 * PART or not a.flags.writeable or (x._tracked and modes.grad)
            ):  # fmt: skip
                return general(x, **dict(zip(names, given, strict=False)), **params)
            drawn = values(a, *given)
            if drawn is not a:
                place(a, drawn)
            written(x)
            return x

        return update

    def values(self, x: Any, **params: Any) -> Any:
        """Flat values in drawing order."""
        raise NotImplementedError

    def grad(self, g):
        return zeros_like(g)


class Uniform(Draw):
    """Uniform on [low, high)."""

    in_parts = True

    def values(self, x, engine, low, high):
        d = x.dtype
        if d in dtypes.COMPLEX_TYPES:
            return sampling.uniform(engine, 2 * x.size, dtypes.REAL_OF[d], low, high)
        return sampling.uniform(engine, x.size, d, low, high, x)


class Normal(Draw):
    """Normal with a mean and a standard deviation."""

    in_parts = True

    def values(self, x, engine, mean, std):
        return sampling.normal(engine, x.size, x.dtype, mean, std, x.flags.c_contiguous, x)


class NormalPairs(Draw):
    """Normal values in pairs, however many: as for memory that does not lie row by row."""

    label = "Normal"

    def values(self, x, engine, mean, std):
        return sampling.normal(engine, x.size, x.dtype, mean, std, False, x)


class Random(Draw):
    """Integers on [low, high), or all that the dtype holds exactly when ``high`` is None."""

    def values(self, x, engine, low, high):
        if high is None:
            return sampling.raw(engine, x.size, x.dtype)
        return sampling.integers(engine, x.size, x.dtype, low, high, x)


class Permutation(Draw):
    """The integers from 0 on, in random order."""

    def values(self, x, engine):
        return sampling.permutation(engine, x.size)


class Bernoulli(Draw):
    """One with probability ``p``, else zero."""

    def values(self, x, engine, p):
        return sampling.bernoulli(engine, x.size, p, x.dtype, x)


class Exponential(Draw):
    """Waiting times at ``rate``."""

    def values(self, x, engine, rate):
        return sampling.exponential(engine, x.size, x.dtype, rate, x)


class Cauchy(Draw):
    """Cauchy values."""

    def values(self, x, engine, median, sigma):
        return sampling.cauchy(engine, x.size, x.dtype, median, sigma)


class Laplace(Draw):
    """Laplace values of location 0 and scale 1."""

    def values(self, x, engine):
        return sampling.laplace(engine, x.size, x.dtype)


class LogNormal(Draw):
    """exp of normal values."""

    def values(self, x, engine, mean, std):
        return sampling.log_normal(engine, x.size, x.dtype, mean, std)


class Geometric(Draw):
    """Trials up to the first success."""

    def values(self, x, engine, p):
        return sampling.geometric(engine, x.size, x.dtype, p)


class BernoulliEach(Op):
    """``input`` filled with ones and zeros, each with its own probability ``p``, which broadcasts
    to it.
    """

    label = "Bernoulli"
    fits = True
    by_order = True

    def eager(self, xp, input, p, *, engine):
        out = np.empty_like(input)
        self.store(out, [p], {"engine": engine})
        return out

    def store(self, x, others, params):
        (p,) = others
        p = spread(p, x.shape)
        order = sampling.memory_order(x) if not x.flags.c_contiguous else range(x.ndim)
        sampling.put(x, sampling.bernoulli_each(params["engine"], p.transpose(order).reshape(-1)))

    def grad_input(self, g):
        return zeros_like(g)

    def grad_p(self, g):
        return zeros_like(g)


class BernoulliSample(Op):
    """Ones and zeros with the probabilities ``input``."""

    label = "Bernoulli"

    def eager(self, xp, input, *, engine):
        return sampling.bernoulli_sample(engine, np.asarray(input))

    def grad(self, g):
        return zeros_like(g)


class RreluNoise(Op):
    """Slopes for Rrelu: uniform on [lower, upper) where the input is not positive, else 1."""

    def eager(self, xp, input, *, engine, lower, upper):
        noise = np.ones(input.shape, input.dtype)
        low = input <= 0
        start, stop = (float(input.dtype.type(bound)) for bound in (lower, upper))
        noise[low] = engine.doubles(int(np.count_nonzero(low))) * (stop - start) + start
        return noise


class NormalSample(Op):
    """Normal values with tensors for mean or deviation; product and sum are each rounded."""

    label = "Normal"
    fits = True

    def eager(self, xp, mean, std, *, engine):
        tensors = [np.asarray(a) for a in (mean, std) if not isinstance(a, (int, float))]
        try:
            shape, d = np.broadcast_shapes(*[a.shape for a in tensors]), tensors[0].dtype
        except ValueError as error:
            raise broadcast_error("normal", tensors) from error
        scale = 1.0 if isinstance(std, np.ndarray) else std
        out = sampling.normal(engine, math.prod(shape), d, 0.0, scale).reshape(shape)
        if isinstance(std, np.ndarray):
            out = out * std.astype(np.float32) if std.dtype in dtypes.HALVES else out * std
            out = out.astype(d)
        mean = mean if isinstance(mean, np.ndarray) else np.asarray(mean).astype(d)
        return (out + mean).astype(d)

    def grad_mean(self, g):
        return zeros_like(g)

    def grad_std(self, g):
        return zeros_like(g)


class Poisson(Op):
    """Poisson counts with the rates ``input``."""

    def eager(self, xp, input, *, engine):
        return (
            rejection.poisson(engine, np.asarray(input).reshape(-1))
            .reshape(input.shape)
            .astype(input.dtype)
        )

    def grad(self, g):
        return zeros_like(g)


class Binomial(Op):
    """Successes in ``count`` trials with probability ``prob`` each."""

    def eager(self, xp, count, prob, *, engine):
        try:
            count, prob = np.broadcast_arrays(count, prob)
        except ValueError as error:
            raise broadcast_error("binomial", [count, prob]) from error
        return (
            rejection.binomial(engine, count.reshape(-1), prob.reshape(-1))
            .reshape(count.shape)
            .astype(count.dtype)
        )


class StandardGamma(Op):
    """Gamma values of scale 1 with shape parameters ``input``."""

    def eager(self, xp, input, *, engine):
        values = (
            rejection.standard_gamma(engine, np.asarray(input).reshape(-1))
            .reshape(input.shape)
            .astype(input.dtype)
        )
        return np.maximum(values, np.finfo(input.dtype).tiny)

    def grad(self, g, input, out):
        return g * StandardGammaGrad.bind(input, out)


class Dirichlet(Op):
    """Points of the simplex along the last dim, with concentrations ``input``."""

    def eager(self, xp, input, *, engine):
        limits = np.finfo(input.dtype)
        values = rejection.dirichlet(engine, np.asarray(input))
        return np.clip(values, float(limits.tiny), 1.0 - float(limits.epsneg)).astype(input.dtype)

    def grad(self, g, input, out):
        total = input.sum(-1, keepdim=True).expand(input._array.shape)
        pulled = g - (g * out).sum(-1, keepdim=True)
        return pulled * DirichletGrad.bind(out, input, total)


class Multinomial(Op):
    """Categories drawn by their weights along the last dim of ``input``, which has 1 or 2 dims."""

    by_order = True

    def eager(self, xp, input, *, engine, count, replacement):
        check_weights(input)
        if replacement and count > 1:
            rows = input.reshape(-1, input.shape[-1])
            return rejection.with_replacement(engine, rows, count).reshape(*input.shape[:-1], count)
        clocks = np.empty_like(input)
        sampling.put(clocks, sampling.exponential(engine, input.size, input.dtype))
        return rejection.without_replacement(clocks, input, count)


def check_weights(x: Any) -> None:
    """Weights are finite and not negative, and some of each row are positive."""
    x = x.astype(np.float32) if x.dtype in dtypes.HALVES else x
    if not bool((np.isfinite(x) & (x >= 0)).all()):
        raise RuntimeError(
            "multinomial: probability tensor contains either `inf`, `nan` or element < 0, "
            "so it is an invalid multinomial distribution."
        )
    if not bool((x.sum(-1) > 0).all()):
        raise RuntimeError(
            "invalid multinomial distribution (sum of probabilities <= 0): some weight must be "
            "positive."
        )
