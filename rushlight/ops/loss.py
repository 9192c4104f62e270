"""Losses of pairs of elements: how far an input is from its target, reduced to a number or left for
each pair. Those of classes are in ``class_losses``.

``reduction`` is "mean", "sum" or "none" throughout.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from rushlight import dtypes
from rushlight.core.native import MIDDLING, in_dtype, widened
from rushlight.core.op import Op
from rushlight.core.refusals import public_name
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, wrap
from rushlight.errors import DTypeError, NotSupportedError
from rushlight.ops.activation import LogSigmoid
from rushlight.ops.sums import LEAST, number, summed


def reduce(loss: np.ndarray, reduction: str) -> Any:
    """The reduction of an array of losses."""
    if reduction == "none":
        return loss
    total = summed(loss)
    return total if reduction == "sum" else total / (loss.size or loss.dtype.type(np.nan))


class Pointwise(Op, abstract=True):
    """A loss of corresponding elements of ``input`` and ``target`` (of one shape and dtype).

    ``value(x, y)`` is the loss of arrays. ``slope(x, y)`` is its derivative by input, in Tensor,
    and ``target_slope`` by target.
    """

    compiled = True
    least = MIDDLING
    precision = "float32"

    def value(self, x: Any, y: Any, **options: Any) -> Any:
        """Losses of arrays."""
        raise NotImplementedError

    def slope(self, x: Tensor, y: Tensor, **options: Any) -> Tensor:
        """Derivative by ``input``."""
        raise NotImplementedError

    def target_slope(self, x: Tensor, y: Tensor, **options: Any) -> Tensor:
        """Derivative by ``target``; the default is for losses of the difference alone."""
        return -self.slope(x, y, **options)

    def eager(self, xp, input, target, *, reduction, **options):
        d = input.dtype
        if d not in dtypes.FLOATING_TYPES:
            raise NotSupportedError(
                f"{public_name(self)}: not implemented for {dtypes.of[d].name}; convert input and"
                " target with .float()."
            )
        out = reduce(self.value(widened(input), widened(target), **options), reduction)
        return in_dtype(out, d)

    def share(self, g: Tensor, count: int, reduction: str) -> Tensor:
        """The gradient of one element's loss."""
        return g / count if reduction == "mean" else g

    def grad_input(self, g, input, target, params):
        options = {k: v for k, v in params.items() if k != "reduction"}
        return self.slope(input, target, **options) * self.share(
            g, input._array.size, params["reduction"]
        )

    def grad_target(self, g, input, target, params):
        options = {k: v for k, v in params.items() if k != "reduction"}
        return self.target_slope(input, target, **options) * self.share(
            g, input._array.size, params["reduction"]
        )


def reduced_name(params: Any, unreduced: str) -> str:
    """The node's name of a loss that torch composes: its last operation's."""
    names = {"mean": "Mean", "sum": "Sum"}
    return names.get(params["reduction"] if params else "none", unreduced) + "Backward0"


def few(x: Tensor, y: Tensor, g: Tensor) -> bool:
    """Whether x, y and the gradient g of what was made of them are small arrays of floats."""
    a, b, c = x._array, y._array, g._array
    if not (a.__class__ is b.__class__ is c.__class__ is np.ndarray) or a.ndim == 0:
        return False
    return a.dtype is b.dtype is c.dtype and a.dtype in dtypes.FLOATS and a.size < LEAST


class MseLoss(Pointwise):
    """``(x - y)^2``."""

    def eager(self, xp, input, target, *, reduction):
        d = input - target
        if reduction == "none" or d.dtype not in dtypes.FLOATS or not d.flags.c_contiguous:
            return super().eager(xp, input, target, reduction=reduction)
        d = d.reshape(-1)
        total = d.dot(d)
        return total if reduction == "sum" else total / (d.size or d.dtype.type(np.nan))

    def value(self, x, y):
        d = x - y
        return d * d

    def slope(self, x, y):
        return (x - y) * 2

    def grad_input(self, g, input, target, reduction):
        scale = 2 / (input._array.size or math.nan) if reduction == "mean" else 2
        if modes.grad or state.busy or not few(input, target, g):
            return (input - target) * (g * scale)
        d = input._array - target._array  # the same on arrays, in a third of the time
        d *= g._array * number(scale, d.dtype)
        return wrap(d)

    def grad_target(self, g, input, target, reduction):
        return self.grad_input(g, target, input, reduction)


class L1Loss(Pointwise):
    """``|x - y|``."""

    def backward_name(self, params):
        return reduced_name(params, "Abs")

    def value(self, x, y):
        return np.abs(x - y)

    def eager(self, xp, input, target, *, reduction):
        if input.dtype in dtypes.FLOATING_TYPES:
            return super().eager(xp, input, target, reduction=reduction)
        if reduction == "mean" and input.dtype not in dtypes.COMPLEX_TYPES:
            raise DTypeError(
                f"l1_loss: the mean of {dtypes.of[input.dtype].name} is no integer; convert input"
                " and target with .float()."
            )
        return reduce(np.abs(input - target), reduction)

    def slope(self, x, y):
        return (x - y).sgn()


class SmoothL1Loss(Pointwise):
    """``(x - y)^2 / (2 beta)`` where the difference is below beta, else ``|x - y| - beta / 2``."""

    def value(self, x, y, *, beta):
        d = np.abs(x - y)
        near = np.minimum(d, beta)  # the difference where it is below beta, else beta
        return near * (d - 0.5 * near) / beta

    def slope(self, x, y, *, beta):
        return ((x - y) / beta).clamp(-1, 1)


class HuberLoss(Pointwise):
    """``(x - y)^2 / 2`` where ``|x - y| < delta``, else ``delta (|x - y| - delta / 2)``."""

    def value(self, x, y, *, delta):
        d = np.abs(x - y)
        near = np.minimum(d, delta)
        return near * (d - 0.5 * near)

    def slope(self, x, y, *, delta):
        return (x - y).clamp(-delta, delta)


class SoftMarginLoss(Pointwise):
    """``log(1 + exp(-y x))``."""

    def value(self, x, y):
        z = -x * y
        return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))

    def slope(self, x, y):
        return -y * (-y * x).sigmoid()

    def target_slope(self, x, y):
        return -x * (-y * x).sigmoid()


def in_unit(x: Any) -> bool:
    """Whether all elements are in [0, 1]. The places of extremes are found faster than these."""
    return not x.size or (x.item(x.argmin()) >= 0 and x.item(x.argmax()) <= 1)


class BinaryCrossEntropy(Pointwise):
    """``-(y log x + (1 - y) log(1 - x))``, logarithms at least -100."""

    def value(self, x, y):
        if not in_unit(x):
            raise RuntimeError(
                "binary_cross_entropy: all elements of input should be between 0 and 1; apply"
                " sigmoid first, or use binary_cross_entropy_with_logits."
            )
        if not in_unit(y):
            raise RuntimeError(
                "binary_cross_entropy: all elements of target should be between 0 and 1."
            )
        one, least = number(1, x.dtype), number(-100, x.dtype)
        return (y - one) * np.maximum(np.log1p(-x), least) - y * np.maximum(np.log(x), least)

    def slope(self, x, y):
        return (x - y) / ((1 - x) * x).clamp(min=1e-12)

    def target_slope(self, x, y):
        return (1 - x).log().clamp(min=-100) - x.log().clamp(min=-100)


class BinaryCrossEntropyWithLogits(Op):
    """``-(p y log s + (1 - y) log(1 - s))`` for ``s = sigmoid(x)``, with p, ``pos_weight``,
    broadcast or None.
    """

    compiled = True
    least = MIDDLING
    precision = "float32"
    public: ClassVar = {"input": "self"}

    def eager(self, xp, input, target, pos_weight, *, reduction):
        d = input.dtype
        x, y, p = widened(input), widened(target), widened(pos_weight)
        low = np.log1p(np.exp(-np.abs(x)))
        if p is None:
            loss = np.maximum(x, 0) - x * y + low
        else:
            low += np.maximum(-x, 0)
            loss = (1 - y) * x + ((p - 1) * y + 1) * low
        out = reduce(loss, reduction)
        return in_dtype(out, d)

    def share(self, g: Tensor, x: Tensor, reduction: str) -> Tensor:
        """The gradient of one element's loss."""
        return g / x._array.size if reduction == "mean" else g

    def grad_input(self, g, input, target, pos_weight, reduction):
        s, g = input.sigmoid(), self.share(g, input, reduction)
        if pos_weight is None:
            return (s - target) * g
        return (1 - target - ((pos_weight - 1) * target + 1) * (1 - s)) * g

    def grad_target(self, g, input, target, pos_weight, reduction):
        g = self.share(g, input, reduction)
        if pos_weight is None:
            return -input * g
        return (LogSigmoid.bind(-input) - pos_weight * LogSigmoid.bind(input)) * g

    def grad_pos_weight(self, g, input, target, reduction):
        return -target * LogSigmoid.bind(input) * self.share(g, input, reduction)

    fits = True


class KlDiv(Pointwise):
    """``y (log y - x)``, or ``exp(y) (y - x)`` when the target is a logarithm too."""

    def backward_name(self, params):
        return reduced_name(params, "Mul" if params and params["log_target"] else "Sub")

    def value(self, x, y, *, log_target):
        if log_target:
            return np.exp(y) * (y - x)
        return np.where(y > 0, y * np.log(y), np.where(y == 0, y, np.nan)) - y * x

    def slope(self, x, y, *, log_target):
        return -y.exp() if log_target else -y

    def target_slope(self, x, y, *, log_target):
        return y.exp() * (y - x + 1) if log_target else (y.log() + 1 - x).masked_fill(y == 0, 0)


class Variance(Op):
    """``input``, which must not be negative, at least ``eps``; the gradient passes unchanged."""

    label = "Clone"

    def eager(self, xp, input, *, eps):
        if (input < 0).any():
            raise ValueError("var has negative entry/entries")
        return np.maximum(input, input.dtype.type(eps))

    def grad(self, g):
        return g
