"""Rules for random numbers that kernels draw, in the order in which eager code draws them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rushlight.compiler.graph import Node, Value
from rushlight.compiler.passes.writer import Writer
from rushlight.compiler.primitives import Integers, Normals, Truths, Uniforms
from rushlight.compiler.scalars import FLOATS, NATIVE
from rushlight.ops.compare import Lt

BOOL = np.dtype(bool)
Made = list[Value] | None


def drawn(w: Writer, node: Node, op: type, d: np.dtype, **params: object) -> Value:
    """A node that draws."""
    engine, shape = node.params["engine"], node.outputs[0].shape
    desk = w.array(engine.desk)
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
    """Normal values in blocks; fewer than one come in pairs, from the op."""
    out, p = node.outputs[0], node.params
    if out.dtype != FLOATS[0] or math.prod(out.shape) < 16:
        return None
    return [drawn(w, node, Normals, out.dtype, mean=float(p["mean"]), std=float(p["std"]))]


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
}
