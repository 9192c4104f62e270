"""Rules for losses: of corresponding elements, and of classes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.graph import Node, Value
from rushlight.compiler.passes.writer import Writer
from rushlight.compiler.primitives import CtcGradients, CtcLosses, Lookup, OneHot
from rushlight.ops.arithmetic import Add, Div, Mul, Neg, Sub
from rushlight.ops.compare import BitwiseAnd, BitwiseOr, Eq, Ge, Gt, Le, Lt, Maximum, Minimum, Ne
from rushlight.ops.math import Exp, Log, Log1p
from rushlight.ops.reduce import Sum
from rushlight.ops.select import Abs, Where

BOOL = np.dtype(bool)
Made = list[Value] | None
Rule = Callable[[Writer, Node], Made]


def reduced(w: Writer, loss: Value, reduction: str) -> list[Value]:
    """A loss's reduction."""
    if reduction == "none":
        return [loss]
    total = w.sum_all(loss)
    if reduction == "sum":
        return [total]
    return [w.map(Div, total, float(math.prod(loss.shape)))]


def variance(w: Writer, node: Node) -> Made:
    """At least ``eps``, of what is not negative."""
    x = node.inputs[0]
    some, nan = w.map(Ge, x, 0.0, dtype=BOOL), w.map(Ne, x, x, dtype=BOOL)
    w.require(w.map(BitwiseOr, some, nan))
    return [w.map(Maximum, x, float(node.params["eps"]))]


# Corresponding elements


def pointwise(element: Callable[..., Value | None]) -> Rule:
    """The rule of a loss given by ``element(w, x, y, **options)``."""

    def rule(w: Writer, node: Node) -> Made:
        options = dict(node.params)
        reduction = options.pop("reduction")
        loss = element(w, *node.inputs, **options)
        return None if loss is None else reduced(w, loss, reduction)

    return rule


def square(w: Writer, x: Value, y: Value) -> Value:
    """``(x - y)^2``."""
    d = w.map(Sub, x, y)
    return w.map(Mul, d, d)


def magnitude(w: Writer, x: Value, y: Value) -> Value:
    """``|x - y|``."""
    return w.map(Abs, w.map(Sub, x, y))


def huber(w: Writer, x: Value, y: Value, delta: float) -> Value:
    """A square near zero, a line from ``delta`` on."""
    d = magnitude(w, x, y)
    near = w.map(Minimum, d, float(delta))
    return w.map(Mul, near, w.map(Sub, d, w.map(Mul, near, 0.5)))


def smooth_l1(w: Writer, x: Value, y: Value, beta: float) -> Value | None:
    """The same over ``beta``."""
    return w.map(Div, huber(w, x, y, beta), float(beta)) if beta else None


def softplus(w: Writer, x: Value) -> Value:
    """``log(1 + exp(x))``."""
    low = w.map(Log1p, w.map(Exp, w.map(Neg, w.map(Abs, x))))
    return w.map(Add, w.map(Maximum, x, 0.0), low)


def soft_margin(w: Writer, x: Value, y: Value) -> Value:
    """``log(1 + exp(-x y))``."""
    return softplus(w, w.map(Neg, w.map(Mul, x, y)))


def binary_cross_entropy(w: Writer, x: Value, y: Value) -> Value:
    """``-(y log x + (1 - y) log(1 - x))`` of numbers in [0, 1]; logarithms are at least -100."""
    for v in (x, y):
        low, high = w.map(Ge, v, 0.0, dtype=BOOL), w.map(Le, v, 1.0, dtype=BOOL)
        w.require(w.map(BitwiseAnd, low, high))
    other = w.map(Maximum, w.map(Log1p, w.map(Neg, x)), -100.0)
    own = w.map(Maximum, w.map(Log, x), -100.0)
    return w.map(Sub, w.map(Mul, w.map(Sub, y, 1.0), other), w.map(Mul, y, own))


def with_logits(w: Writer, x: Value, y: Value, p: Value | None) -> Value:
    """``max(x, 0) - x y + log(1 + exp(-|x|))``, or with a weight p of positive targets."""
    if p is None:
        low = w.map(Log1p, w.map(Exp, w.map(Neg, w.map(Abs, x))))
        return w.map(Add, w.map(Sub, w.map(Maximum, x, 0.0), w.map(Mul, x, y)), low)
    scale = w.map(Add, w.map(Mul, w.map(Sub, p, 1.0), y), 1.0)
    rest = w.map(Mul, w.map(Sub, 1.0, y), x)
    return w.map(Add, rest, w.map(Mul, scale, softplus(w, w.map(Neg, x))))


def kl_div(w: Writer, x: Value, y: Value, log_target: bool) -> Value:
    """``y (log y - x)``, or ``exp(y) (y - x)``."""
    if log_target:
        return w.map(Mul, w.map(Exp, y), w.map(Sub, y, x))
    # negative targets have no logarithm
    zero = w.node(Where, [w.map(Eq, y, 0.0, dtype=BOOL), y, math.nan], y.shape, y.dtype)
    own = w.node(
        Where,
        [w.map(Gt, y, 0.0, dtype=BOOL), w.map(Mul, y, w.map(Log, y)), zero],
        y.shape,
        y.dtype,
    )
    return w.map(Sub, own, w.map(Mul, y, x))


# Classes


class Targets:
    """Targets of an input: where each is, and what its position's loss is multiplied by."""

    def __init__(self, w: Writer, node: Node, logp: Value, target: Value, weight: Any) -> None:
        """Targets that are out of range stop the program."""
        self.w, self.target, self.dim = w, target, 1 if len(logp.shape) > 1 else 0
        classes, ignore = logp.shape[self.dim], node.params["ignore_index"]
        inside = w.map(
            BitwiseAnd, w.map(Ge, target, 0, dtype=BOOL), w.map(Lt, target, classes, dtype=BOOL)
        )
        w.require(w.map(BitwiseOr, inside, w.map(Eq, target, ignore, dtype=BOOL)))
        self.valid = w.map(Ne, target, ignore, dtype=BOOL)
        self.hot = w.node(OneHot, [target], logp.shape, BOOL, classes=classes, dim=self.dim)
        self.d, self.shape, self.weight = logp.dtype, target.shape, None
        if weight is not None:
            own = w.node(
                Lookup, [weight, target], target.shape, self.d, shape=target.shape, dims=(None,)
            )
            self.weight = w.node(Where, [self.valid, own, 0.0], target.shape, self.d)

    def of_made(self, x: Value) -> Value:
        """The elements of x at the targets, by a look at all: the kernel that makes x has them."""
        w = self.w
        return w.reduce(Sum, w.node(Where, [self.hot, x, 0.0], x.shape, x.dtype), (self.dim,))

    def of_input(self, x: Value) -> Value:
        """The elements of x, which is in memory, at the targets."""
        dims = [d - (d > self.dim) if d != self.dim else None for d in range(len(x.shape))]
        inputs, shape = [x, self.target], self.shape
        return self.w.node(Lookup, inputs, shape, x.dtype, shape=shape, dims=tuple(dims))

    def total(self) -> Value:
        """What a mean divides by."""
        w = self.w
        if self.weight is not None:
            return w.sum_all(self.weight)
        return w.sum_all(w.cast(self.valid, self.d))

    def counted(self, x: Value, on: Value) -> Value:
        """x, which broadcasts to the positions, times their weights; zero where they are not on."""
        w = self.w
        x = x if self.weight is None else w.map(Mul, x, self.weight)
        return w.node(Where, [on, x, 0.0], self.shape, self.d)

    def losses(self, picked: Value) -> Value:
        """Of each position, from what is at its target; none where the weight is zero."""
        w, on = self.w, self.valid
        if self.weight is not None:
            on = w.map(Ne, self.weight, 0.0, dtype=BOOL)
        return self.counted(w.map(Neg, picked), on)

    def factor(self, node: Node, g: Value, shape: Any) -> Value:
        """Each position's share of the gradient, ready to broadcast over the classes."""
        if node.params["reduction"] == "mean":
            g = self.w.map(Div, g, self.total())
        c = self.counted(g, self.valid)
        return self.w.shaped(c, [1 if i == self.dim else n for i, n in enumerate(shape)])


def cross_entropy(w: Writer, node: Node) -> Made:
    """Minus the log-probabilities at the targets."""
    logp, target, weight = node.inputs[0], *node.inputs[-2:]
    t = Targets(w, node, logp, target, weight)
    picked = t.of_input(logp) if any([i.value is logp for i in w.graph.inputs]) else t.of_made(logp)
    loss = t.losses(picked)
    if node.params["reduction"] != "none":
        loss = w.sum_all(loss)
    if node.params["reduction"] == "mean":
        loss = w.map(Div, loss, t.total())
    return [loss]


def cross_entropy_grad(w: Writer, node: Node) -> Made:
    """``c (exp(logp) - one_hot(target))``."""
    g, logp, target, weight = node.inputs
    t = Targets(w, node, logp, target, weight)
    e = w.map(Exp, logp)
    difference = w.node(Where, [t.hot, w.map(Sub, e, 1.0), e], logp.shape, logp.dtype)
    return [w.map(Mul, difference, t.factor(node, g, logp.shape))]


def nll_grad(w: Writer, node: Node) -> Made:
    """``-c`` at the targets."""
    g, target, weight = node.inputs
    out = node.outputs[0]
    t = Targets(w, node, out, target, weight)
    c = w.map(Neg, t.factor(node, g, out.shape))
    return [w.node(Where, [t.hot, c, 0.0], out.shape, out.dtype)]


def ctc_inputs(w: Writer, node: Node) -> list[Value]:
    """Labels and lengths, the last inputs, as int64."""
    return [w.cast(v, np.dtype(np.int64)) for v in node.inputs[-3:]]


def ctc_loss(w: Writer, node: Node) -> Made:
    """Losses, if labels and lengths are in range."""
    x, blank, n = node.inputs[0], node.params["blank"], node.inputs[0].shape[1]
    integers = ctc_inputs(w, node)
    if not 0 <= blank < x.shape[2] or any([v.shape != (n,) for v in integers[1:]]):
        return None
    made = [w.graph.value((n,), d) for d in (x.dtype, np.dtype(np.int64))]
    w.nodes.append(Node(CtcLosses.instance, [x, *integers], {"blank": blank}, made, w.line))
    w.require(w.map(Ne, made[1], 0, dtype=BOOL))
    return made[:1]


def ctc_grad(w: Writer, node: Node) -> Made:
    """Gradients by log-probabilities."""
    g, x = node.inputs[:2]
    integers = ctc_inputs(w, node)
    return [w.node(CtcGradients, [g, x, *integers], x.shape, x.dtype, **node.params)]


LOSS_RULES: dict[str, Rule] = {
    "Variance": variance,
    "MseLoss": pointwise(square),
    "L1Loss": pointwise(magnitude),
    "SmoothL1Loss": pointwise(smooth_l1),
    "HuberLoss": pointwise(huber),
    "SoftMarginLoss": pointwise(soft_margin),
    "BinaryCrossEntropy": pointwise(binary_cross_entropy),
    "BinaryCrossEntropyWithLogits": pointwise(with_logits),
    "KlDiv": pointwise(kl_div),
    "CrossEntropy": cross_entropy,
    "NllLoss": cross_entropy,
    "CrossEntropyGrad": cross_entropy_grad,
    "NllGrad": nll_grad,
    "CtcLoss": ctc_loss,
    "CtcLossGrad": ctc_grad,
}
