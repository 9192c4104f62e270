"""Ops that only compiled graphs contain."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.core import sampling
from rushlight.core.elementwise import Elementwise
from rushlight.core.op import Op
from rushlight.errors import UnforeseenError
from rushlight.ops.attention import array_gradients, attention_weights
from rushlight.ops.ctc import CtcLoss, CtcLossGrad
from rushlight.ops.order import Topk
from rushlight.ops.random import RreluNoise
from rushlight.ops.sorting import stable_argsort
from rushlight.ops.view import look


class OneHot(Op):
    """Whether each position along a new ``dim`` of size ``classes`` is the target's."""

    def eager(self, xp: Any, target: Any, *, classes: int, dim: int) -> Any:
        shape = [1] * (target.ndim + 1)
        shape[dim] = classes
        return np.expand_dims(target, dim) == np.arange(classes).reshape(shape)


class Require(Op):
    """Stops the program if its input is False: the call is then run by the ops themselves, which
    say what is wrong. Where it is ``assumed``, what Python decided by a value, the function itself
    is run.
    """

    def eager(self, xp: Any, input: Any, *, assumed: bool = False) -> Any:
        if not input.all():
            if assumed:
                raise UnforeseenError("Python would decide otherwise")
            raise IndexError("an index is out of range")
        return input


class Settle(Op):
    """Its input, in memory of its own."""

    def eager(self, xp: Any, input: Any) -> Any:
        return np.array(input, order="C")


class Full(Op):
    """One ``value`` everywhere."""

    def eager(self, xp: Any, *, shape: Any, value: Any, dtype: Any) -> Any:
        return np.full(shape, value, dtype)


class Position(Op):
    """Each element's index along ``dim``."""

    def eager(self, xp: Any, *, shape: Any, dim: int) -> Any:
        along = np.arange(shape[dim]).reshape([-1 if d == dim else 1 for d in range(len(shape))])
        return np.array(np.broadcast_to(along, shape))


class Rounded(Elementwise):
    """Its input, which native code has rounded before others read it."""

    def scalar(self, s: Any, input: Any) -> Any:
        return s.rounded(input)


class Derivative(Elementwise):
    """The derivative of an activation at ``x``."""

    def scalar(self, s: Any, x: Any, *, curve: Any, **options: Any) -> Any:
        return curve.slope(s, x, **options)


class Lookup(Op):
    """Elements of ``x``: dim d of it is indexed by dim ``dims[d]`` of the result, or, where that is
    None, by the next of ``indices``, which broadcast to the result's shape.

    Indices that are out of range count as the nearest that is not; a Require beside says so.
    """

    variadic = True
    names = ("x",)

    def eager(self, xp: Any, x: Any, *indices: Any, shape: Any, dims: Any) -> Any:
        given, where = iter(indices), []
        for n, d in zip(x.shape, dims, strict=True):
            if d is None:
                where.append(np.clip(next(given), 0, n - 1))
            else:
                where.append(np.arange(n).reshape([-1 if k == d else 1 for k in range(len(shape))]))
        return np.array(np.broadcast_to(x[tuple(where)] if where else x, shape), order="C")


class Ranked(Op):
    """The first ``k`` elements of each row (R, N) in order, and their indices: equal elements keep
    their order, and NaN is the largest. Unless ``stable`` they are as ``Topk`` has them.
    """

    outputs = ("values", "indices")

    def eager(
        self,
        xp: Any,
        x: Any,
        *,
        k: int,
        descending: bool,
        stable: bool = True,
        in_order: bool = True,
    ) -> Any:
        if not stable:
            return Topk.instance.eager(xp, x, k=k, dim=1, largest=descending, in_order=in_order)
        indices = stable_argsort(x, 1, descending)[:, :k].astype(np.int64)
        return np.take_along_axis(x, indices, 1), indices


class Assemble(Op):
    """A value of ``shape`` in parts: each lies where the views of its chain look, over those before
    it. Together they cover everything.
    """

    variadic = True
    names = ()

    def eager(self, xp: Any, *parts: Any, shape: Any, chains: Any) -> Any:
        out = np.empty(shape, parts[0].dtype)
        for part, chain in zip(parts, chains, strict=True):
            look(out, chain)[...] = part
        return out


class Truths(Op):
    """Each True with probability ``p``, drawn from the engine whose desk ``desk`` is."""

    def eager(self, xp: Any, desk: Any, *, engine: Any, shape: Any, p: float) -> Any:
        return sampling.bernoulli(engine, math.prod(shape), p).reshape(shape)


class Uniforms(Op):
    """Uniform on [low, high), drawn from the engine whose desk ``desk`` is."""

    def eager(
        self, xp: Any, desk: Any, *, engine: Any, shape: Any, dtype: Any, low: float, high: float
    ) -> Any:
        return sampling.uniform(engine, math.prod(shape), dtype, low, high).reshape(shape)


class Normals(Op):
    """Normal values, drawn from the engine whose desk ``desk`` is."""

    def eager(
        self, xp: Any, desk: Any, *, engine: Any, shape: Any, dtype: Any, mean: float, std: float
    ) -> Any:
        return sampling.normal(engine, math.prod(shape), dtype, mean, std).reshape(shape)


class Waits(Op):
    """Float64 exponential values, drawn from the engine whose desk ``desk`` is."""

    def eager(self, xp: Any, desk: Any, *, engine: Any, shape: Any, rate: float) -> Any:
        d = np.dtype(np.float64)
        return sampling.exponential(engine, math.prod(shape), d, rate).reshape(shape)


class Shuffled(Op):
    """The integers from 0 on in random order, drawn from the engine whose desk ``desk`` is."""

    def eager(self, xp: Any, desk: Any, *, engine: Any, shape: Any) -> Any:
        return sampling.permutation(engine, math.prod(shape)).reshape(shape)


class Slopes(Op):
    """Uniform on [lower, upper) where x is not positive, else 1, drawn from the engine whose desk
    ``desk`` is.
    """

    def eager(
        self, xp: Any, desk: Any, x: Any, *, engine: Any, shape: Any, lower: float, upper: float
    ) -> Any:
        return RreluNoise.instance.eager(xp, x, engine=engine, lower=lower, upper=upper)


class Integers(Op):
    """Integers on [low, high), drawn from the engine whose desk ``desk`` is."""

    def eager(self, xp: Any, desk: Any, *, engine: Any, shape: Any, low: int, high: int) -> Any:
        d = np.dtype(np.int64)
        return sampling.integers(engine, math.prod(shape), d, low, high).reshape(shape)


class CtcLosses(Op):
    """CtcLoss for lengths and labels that may be wrong, and whether they are right."""

    outputs = ("losses", "fine")

    def eager(self, xp: Any, x: Any, targets: Any, steps: Any, counts: Any, *, blank: int) -> Any:
        try:
            losses = CtcLoss.instance.eager(xp, x, targets, steps, counts, blank=blank)
        except (RuntimeError, IndexError):
            return np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], np.int64)
        return losses, np.ones(x.shape[1], np.int64)


class CtcGradients(Op):
    """CtcLossGrad, whose lengths and labels the loss has checked."""

    def eager(
        self, xp: Any, g: Any, x: Any, targets: Any, steps: Any, counts: Any, *, blank: int
    ) -> Any:
        return CtcLossGrad.instance.eager(xp, g, x, targets, steps, counts, blank=blank)


class FlashAttention(Op):
    """Attention of one batch; see ops/attention.py."""

    def eager(
        self, xp: Any, q: Any, k: Any, v: Any, mask: Any, *, scale: Any, is_causal: Any
    ) -> Any:
        return np.matmul(attention_weights(q, k, mask, scale, is_causal), v)


class FlashAttentionGrad(Op):
    """Its gradients by query, key and value."""

    outputs = ("query", "key", "value")

    def eager(
        self, xp: Any, g: Any, q: Any, k: Any, v: Any, mask: Any, *, scale: Any, is_causal: Any
    ) -> Any:
        p = attention_weights(q, k, mask, scale, is_causal)
        return tuple(array_gradients(g, q, k, v, p, scale))


class PlaceRows(Op):
    """``base`` (A, R, D), or zeros where it is None, with rows ``source`` (A, M, D) written to rows
    ``where`` (M) of it, or combined with them, one after another. ``how``: "write", "add", "mul",
    "max" or "min".
    """

    def eager(self, xp: Any, base: Any, where: Any, source: Any, *, shape: Any, how: str) -> Any:
        out = np.zeros(shape, source.dtype) if base is None else np.array(base, order="C")
        where = np.clip(where, 0, shape[1] - 1)
        both = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}.get(how)
        for m, row in enumerate(where.tolist()):
            out[:, row] = source[:, m] if both is None else both(out[:, row], source[:, m])
        return out
