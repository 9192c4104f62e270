"""Rules for random numbers that kernels draw, in the order in which eager code draws them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.graph import Node, Value
from rushlight.compiler.passes.index_rules import first_at
from rushlight.compiler.passes.order_rules import ranked
from rushlight.compiler.passes.writer import Writer
from rushlight.compiler.primitives import (
    Integers,
    Normals,
    Shuffled,
    Slopes,
    Truths,
    Uniforms,
    Waits,
)
from rushlight.compiler.scalars import FLOATS, NATIVE
from rushlight.ops.arithmetic import Div, Mul, Neg
from rushlight.ops.compare import BitwiseAnd, Eq, Ge, Gt, Lt
from rushlight.ops.math import Log1p
from rushlight.ops.reduce import Amax, Sum
from rushlight.ops.scan import Cumsum
from rushlight.ops.select import Where

BOOL, INT64, F32, F64 = np.dtype(bool), np.dtype(np.int64), *FLOATS
MOST_SCALED = 1e290  # deviations up to here have products that do not overflow
FEWER_THAN = (2**32 - 1) // 20  # elements of a permutation that are drawn by single words
MOST_COMPARISONS = 1 << 24
Made = list[Value] | None


def drawn(
    w: Writer, node: Node, op: type, d: np.dtype, shape: Any = None, **params: object
) -> Value:
    """A node that draws."""
    engine = node.params["engine"]
    shape = node.outputs[0].shape if shape is None else shape
    desk = w.array(engine.seat())
    return w.node(op, [desk], shape, d, engine=engine, shape=shape, **params)


def bernoulli(w: Writer, node: Node) -> Made:
    """Truths as numbers."""
    out = node.outputs[0]
    truths = drawn(w, node, Truths, BOOL, p=float(node.params["p"]))
    return [w.cast(truths, out.dtype)]


def uniforms(w: Writer, node: Node, d: np.dtype, low: float = 0.0, high: float = 1.0) -> Value:
    """Uniform values."""
    return drawn(w, node, Uniforms, d, dtype=d, low=low, high=high)


def uniform(w: Writer, node: Node) -> Made:
    """Uniform values between two numbers."""
    d, p = node.outputs[0].dtype, node.params
    return [uniforms(w, node, d, p["low"], p["high"])] if d in FLOATS else None


def normal(w: Writer, node: Node) -> Made:
    """Normal values."""
    d, mean, std = node.outputs[0].dtype, float(node.params["mean"]), float(node.params["std"])
    if d not in FLOATS or abs(std) > MOST_SCALED:
        return None
    return [drawn(w, node, Normals, d, dtype=d, mean=mean, std=std)]


def permutation(w: Writer, node: Node) -> Made:
    """Integers in random order, of one word each."""
    out = node.outputs[0]
    if math.prod(out.shape) >= FEWER_THAN:
        return None
    return [w.cast(drawn(w, node, Shuffled, INT64), out.dtype)]


def slopes(w: Writer, node: Node) -> Made:
    """Uniform values where the input is not positive."""
    x, p = node.inputs[0], node.params
    if x.dtype not in FLOATS:
        return None
    desk, shape = w.array(p["engine"].seat()), node.outputs[0].shape
    return [w.node(Slopes, [desk, x], shape, x.dtype, shape=shape, **p)]


def integers(w: Writer, node: Node) -> Made:
    """Integers of one word each."""
    out, p = node.outputs[0], node.params
    if p["high"] is None or p["high"] - p["low"] >= 2**28:
        return None
    x = drawn(w, node, Integers, np.dtype(np.int64), low=p["low"], high=p["high"])
    return [w.cast(x, out.dtype)]


def bernoulli_each(w: Writer, node: Node) -> Made:
    """Uniform values compared with probabilities."""
    p, out = node.inputs[-1], node.outputs[0]
    if not isinstance(p, Value) or p.dtype not in FLOATS:
        return None
    truths = w.map(Lt, uniforms(w, node, p.dtype), p, dtype=BOOL)
    if truths.shape != out.shape:
        return None
    return [w.cast(truths, out.dtype)]


def waiting(w: Writer, node: Node, shape: Any, d: np.dtype, rate: float = 1.0) -> Value:
    """Exponential values: logarithms of uniform values, computed in float64; where they stay so,
    the C library's.
    """
    if d == F64:
        return drawn(w, node, Waits, F64, shape, rate=float(rate))
    u = drawn(w, node, Uniforms, F64, shape, dtype=F64, low=0.0, high=1.0)
    return w.cast(w.cast(w.map(Mul, w.map(Log1p, w.map(Neg, u)), -1.0 / rate), F32), d)


def exponential(w: Writer, node: Node) -> Made:
    """Waiting times."""
    out = node.outputs[0]
    if out.dtype.kind in "iub":
        return None
    return [waiting(w, node, out.shape, out.dtype, node.params["rate"])]


def multinomial(w: Writer, node: Node) -> Made:
    """The categories whose exponential clocks, sped up by their weights, ring first; or, put back
    after each draw, where uniform values lie in running sums.
    """
    x, p, out = node.inputs[0], node.params, node.outputs[0]
    if x.dtype not in FLOATS:
        return None
    last = len(x.shape) - 1
    fine = w.map(Ge, x, 0.0, dtype=BOOL)
    w.require(w.map(BitwiseAnd, fine, w.map(Lt, x, math.inf, dtype=BOOL)))
    w.require(w.map(Gt, w.reduce(Sum, x, (last,)), 0.0, dtype=BOOL))
    if p["replacement"] and p["count"] > 1:
        return put_back(w, node)
    speed = w.map(Div, x, waiting(w, node, x.shape, x.dtype))
    if p["count"] == 1:
        return [first_at(w, speed, last, Amax, True)[1]]
    return [w.shaped(ranked(w, speed, p["count"], True)[1], out.shape)]


def put_back(w: Writer, node: Node) -> Made:
    """How many running sums of the weights, as shares, lie below each uniform value."""
    x, count = node.inputs[0], node.params["count"]
    *lead, n = x.shape
    if math.prod(lead) * count * n > MOST_COMPARISONS:
        return None
    x = w.shaped(x, (math.prod(lead), n))
    sums = w.node(Cumsum, [x], x.shape, x.dtype, dim=1)
    shares = w.map(Div, sums, w.part(sums, 1, n - 1, n))
    end = w.map(Eq, w.position(x.shape, 1), n - 1, dtype=BOOL)
    shares = w.cast(w.node(Where, [end, 1.0, shares], x.shape, x.dtype), F64)
    u = drawn(w, node, Uniforms, F64, (x.shape[0], count), dtype=F64, low=0.0, high=1.0)
    below = w.map(Lt, w.shaped(shares, (x.shape[0], 1, n)), w.shaped(u, (*u.shape, 1)), dtype=BOOL)
    found = w.reduce(Sum, w.cast(below, np.dtype(np.int64)), (2,))
    return [w.shaped(found, node.outputs[0].shape)]


def native(node: Node) -> bool:
    """Whether kernels can hold what a node draws."""
    return all([v.dtype in NATIVE and 0 not in v.shape for v in node.outputs])


RANDOM_RULES: dict[str, Callable[[Writer, Node], Made]] = {
    "Bernoulli": bernoulli,
    "Uniform": uniform,
    "Normal": normal,
    "Random": integers,
    "BernoulliEach": bernoulli_each,
    "BernoulliSample": bernoulli_each,
    "Exponential": exponential,
    "Permutation": permutation,
    "RreluNoise": slopes,
    "Multinomial": multinomial,
}
