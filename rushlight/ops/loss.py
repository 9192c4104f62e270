"""Losses: how far an input is from its target, reduced to a number or left for each element.

``reduction`` is "mean", "sum" or "none" throughout.
"""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import record
from rushlight.core.device_array import driver_of
from rushlight.core.native import MIDDLING, in_dtype, kernels, widened
from rushlight.core.op import Op, run
from rushlight.core.refusals import public_name
from rushlight.core.sparse import SparseOperand
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, wrap
from rushlight.errors import DTypeError, NotSupportedError, ShapeError
from rushlight.ops.activation import LogSigmoid
from rushlight.ops.matmul import same_dtype
from rushlight.ops.places import inside, moved, read, spread
from rushlight.ops.sums import LEAST, number, ones, summed


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


# -- Classes -------------------------------------------------------------------------------------


@functools.lru_cache(16)
def first(n: int) -> np.ndarray:
    """The first n whole numbers; not to be written to."""
    return np.arange(n)


def is_plain(logp: np.ndarray, target: np.ndarray, ignore: int) -> bool:
    """Whether these are rows with one class each, all of them in range, and none to be ignored."""
    return (
        logp.ndim == 2
        and target.dtype is dtypes.int64
        and target.shape == logp.shape[:1]
        and ignore < 0
        and target.size > 0
        and inside(target, 0, logp.shape[1])
    )


class Classes:
    """Targets checked against the number of classes, ready to index (N, C, positions)."""

    __slots__ = ("valid", "safe")

    def __init__(self, logp: np.ndarray, target: np.ndarray, ignore: int) -> None:
        self.valid = None
        if is_plain(logp, target, ignore):
            self.safe = target
            return
        want = logp.shape[:1] + logp.shape[2:] if logp.ndim > 1 else ()
        if logp.ndim > 1 and target.shape != want:
            raise size_error(logp, target, want)
        bytes_too = logp.ndim < 3 and target.dtype is dtypes.uint8
        if target.dtype is not dtypes.int64 and not bytes_too:
            raise DTypeError(
                "expected target dtype to be int64 (or uint8, for an input of one or two dims), but"
                f" got {dtypes.of[target.dtype].name}; convert with .long()."
            )
        if target.shape != want:
            raise size_error(logp, target, want)
        classes = logp.shape[1] if logp.ndim > 1 else logp.shape[0]
        if not inside(target, 0, classes):
            self.valid = valid = target != ignore
            bad = target[valid & ((target < 0) | (target >= classes))]
            if bad.size:
                raise IndexError(
                    f"Target {bad.flat[0]} is out of bounds: classes are 0 to {classes - 1}."
                )
            target = np.where(valid, target, 0)
        elif 0 <= ignore < classes:
            self.valid = target != ignore
        self.safe = target

    def index(self) -> tuple[Any, ...]:
        """Where the targets are, for NumPy."""
        target = self.safe
        if target.ndim < 2:
            return (first(len(target)), target) if target.ndim else (target,)
        places: Any = np.indices(target.shape, sparse=True)
        return (places[0], target, *places[1:])

    def picked(self, x: np.ndarray) -> Any:
        """x at the targets."""
        at = self.safe[:, None] if x.ndim > 1 else self.safe
        found = read("read each", x, at, at.shape, 1) if x.ndim > 1 else None
        return x[self.index()] if found is None else found.reshape(self.safe.shape)

    def put(self, x: np.ndarray, values: Any) -> None:
        """Values, one for each target or one number, written to x there."""
        if x.ndim > 1:
            every = np.ascontiguousarray(spread(values, self.safe.shape), x.dtype)[:, None]
            if moved("write each", x, self.safe[:, None], every, 1):
                return
        x[self.index()] = values

    def weights(self, logp: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
        """What each position's loss is multiplied by; None: all 1."""
        if weight is None:
            return None if self.valid is None else self.valid.astype(logp.dtype)
        w = weight[self.safe]
        return w if self.valid is None else w * self.valid

    def total(self, weights: np.ndarray | None) -> Any:
        """What a mean divides by."""
        return float(self.safe.size) if weights is None else summed(weights)


def size_error(logp: np.ndarray, target: np.ndarray, want: Any) -> Exception:
    """The error for targets whose shape does not go with the input's."""
    if logp.ndim == 1 and target.ndim == 1:
        return ValueError(
            f"For 1D input, 1D target must have size 1, but got target size: {len(target)}; a batch"
            " of scores has shape (N, C)."
        )
    count = target.shape[0] if target.ndim else 0
    if logp.ndim > 1 and logp.shape[0] != count:
        return ValueError(
            f"Expected input batch_size ({logp.shape[0]}) to match target batch_size"
            f" ({count}): the input has shape {logp.shape} and the target {target.shape}."
        )
    dims = "0D or 1D target tensor expected for inputs of 1 or 2 dims, multi-target not supported: "
    hint = ""
    if target.shape == logp.shape:
        hint = " Probabilities of classes are floats: convert with .float()."
    elif target.shape == (*want, 1):
        hint = " Take the last dim of the targets away: squeeze(-1)."
    elif target.shape == logp.shape[:-1]:
        hint = " Scores of classes lie in dim 1: call transpose(1, -1) on the input."
    return ShapeError(
        f"nll_loss: {dims if logp.ndim < 3 else ''}an input of shape {logp.shape} goes with targets"
        f" of shape {tuple(want)}, but they have {target.shape}.{hint}"
    )


def quick_loss(logp: Any, target: Any, reduction: str, ignore_index: int) -> Any:
    """The loss of rows by a loop, or None: for NumPy to find it, or the error."""
    d, count = logp.dtype, len(target) if target.ndim == 1 else 0
    fits = count and logp.ndim == 2 and len(logp) == count and logp.shape[1]
    if not fits or d not in dtypes.FLOATS or target.dtype is not dtypes.int64:
        return None
    if not (logp.flags.carray and target.flags.carray):
        return None
    run = kernels.runner("picked loss", d, 3, count, exact=False)
    out = np.empty((), d)
    if run is None or not run(
        logp, target, out, logp.shape[1], ignore_index, reduction == "mean", count
    ):
        return None
    return out


def quick_gradient(g: Any, logp: Any, target: Any, reduction: str, ignore_index: int) -> Any:
    """The gradient of the loss of rows, by log-probabilities of this shape or by the scores that
    ``logp`` was made of, by a loop; or None.
    """
    entropy = logp.__class__ is np.ndarray
    shape, d = logp.shape if entropy else logp, g.dtype
    if reduction == "none" or d not in dtypes.FLOATS or len(shape) != 2 or not math.prod(shape):
        return None
    if target.shape != shape[:1] or target.dtype is not dtypes.int64 or not target.flags.carray:
        return None
    if entropy and not (logp.dtype is d and logp.flags.carray):
        return None
    name = "entropy gradient" if entropy else "picked gradient"
    run = kernels.runner(name, d, 4, math.prod(shape), exact=False)
    out = np.empty(shape, d)
    sizes = shape[1], ignore_index, reduction == "mean", shape[0]
    if run is None or not run(logp if entropy else out, target, g, out, *sizes):
        return None
    return out


def picked_loss(logp: Any, target: Any, weight: Any, reduction: str, ignore_index: int) -> Any:
    """``-weight[target] * logp[target]``, reduced."""
    if weight is None and reduction != "none":
        loss = quick_loss(logp, target, reduction, ignore_index)
        if loss is not None:
            return loss
    if logp.dtype not in dtypes.FLOATING_TYPES:
        raise NotSupportedError(
            f"nll_loss: not implemented for {dtypes.of[logp.dtype].name}; convert the input, which"
            " is logarithms of probabilities, with .float()."
        )
    if weight is not None:
        same_dtype("nll_loss", logp, weight)
    d, logp, weight = logp.dtype, widened(logp), widened(weight)
    classes = Classes(logp, target, ignore_index)
    loss = np.negative(classes.picked(logp))
    w = classes.weights(logp, weight)
    if w is None and reduction == "mean" and 0 < loss.size < LEAST:
        n = loss.size
        return np.array(loss.reshape(-1).dot(ones(n, loss.dtype)).item() / n + 0.0, d)  # no -0.0
    if w is not None:
        loss = np.where(w == 0, 0, loss * w).astype(loss.dtype, copy=False)
    if reduction != "none":
        loss = summed(loss) + 0  # no -0.0
        if reduction == "mean":
            total = classes.total(w)
            loss = loss / total if total else loss * np.nan
    return in_dtype(loss, d)


def coefficients(
    g: Any, logp: Any, target: Any, weight: Any, reduction: str, ignore_index: int
) -> tuple[Any, Classes]:
    """Each position's factor: the arriving gradient times its weight, by the total for a mean."""
    classes = Classes(logp, target, ignore_index)
    w = classes.weights(logp, weight)
    if reduction == "mean":
        g = g / logp.dtype.type(classes.total(w))
    c = g if w is None else g * w
    if classes.valid is not None:  # none for those ignored, whatever the total
        c = np.where(classes.valid, c, c.dtype.type(0))
    return c, classes


def at_class_dim(c: Any, ndim: int) -> Any:
    """Factors of positions, ready to broadcast over the classes."""
    c = np.asarray(c)
    if not c.ndim:
        return c
    return c[:, None] if ndim > 1 else c


def nll_name(params: Any, specs: Any) -> str:
    """torch has an operation of its own for images, to which it reshapes other inputs."""
    dims = len(specs[0][0]) if specs else 2
    if dims <= 2:
        return "NllLossBackward0"
    reshaped = dims != 4 and params["reduction"] == "none"
    return "ViewBackward0" if reshaped else "NllLoss2DBackward0"


class NllLoss(Op):
    """``-weight[target] * input[target]`` for log-probabilities ``(N, C, ...)`` and classes
    ``(N, ...)``.
    """

    precision = "float32"

    def node_name(self, params, specs):
        return nll_name(params, specs)

    def eager(self, xp, input, target, weight, *, reduction, ignore_index):
        return picked_loss(input, target, weight, reduction, ignore_index)

    def grad_input(self, g, input_spec, target, weight, params):
        return NllGrad.bind(g, target, weight, shape=input_spec[0], **params)


class NllGrad(Op):
    """The gradient of NllLoss: zero but at the targets."""

    compiled = True
    least = MIDDLING
    label = "NllLossBackward"

    def eager(self, xp, g, target, weight, *, shape, reduction, ignore_index):
        if weight is None and target.__class__ is np.ndarray:
            found = quick_gradient(g, shape, target, reduction, ignore_index)
            if found is not None:
                return found
        d, g = g.dtype, widened(g)
        out = np.zeros(shape, g.dtype)
        c, classes = coefficients(g, out, target, widened(weight), reduction, ignore_index)
        classes.put(out, -c)
        return in_dtype(out, d)

    def grad_g(self, gg, target, weight, reduction, ignore_index):
        return NllLoss.bind(gg, target, weight, reduction=reduction, ignore_index=ignore_index)


class CrossEntropy(Op):
    """NllLoss of ``logp``, the log-softmax of ``input``, with the gradient of both in one step.

    ``input`` takes the whole gradient, so ``logp``, of which the gradient is a function, receives
    none.
    """

    compiled = True
    least = MIDDLING
    precision = "float32"
    public: ClassVar = {"logp": "self", "input": ""}

    def node_name(self, params, specs):
        return nll_name(params, specs)

    def eager(self, xp, logp, input, target, weight, *, reduction, ignore_index):
        return picked_loss(logp, target, weight, reduction, ignore_index)

    def make_bind(self):
        op = self

        def bind(logp, input, target, weight, **params):
            arrays = (logp._array, target._array, None if weight is None else weight._array)
            plain = arrays[0].__class__ is np.ndarray and arrays[0].dtype in dtypes.FLOATS
            if state.busy or not plain:
                return run(op, (logp, input, target, weight), params)
            try:
                t = wrap(np.asarray(picked_loss(*arrays, **params)))
            except SparseOperand:  # targets or weights are on another device
                return run(op, (logp, input, target, weight), params)
            if logp._tracked and modes.grad:
                record(op, (logp, input, target, weight), t, params)
            return t

        return bind

    def grad_logp(self, g):
        return None

    def grad_input(self, g, logp, target, weight, params):
        if modes.grad or state.busy or driver_of(g) is not None:
            return CrossEntropyGrad.bind(g, logp, target, weight, **params)
        w = None if weight is None else weight._array
        return wrap(cross_entropy_gradient(g._array, logp._array, target._array, w, **params))


def cross_entropy_gradient(
    g: Any, logp: Any, target: Any, weight: Any, reduction: str, ignore_index: int
) -> Any:
    """``CrossEntropyGrad`` of arrays."""
    if weight is None:
        found = quick_gradient(g, logp, target, reduction, ignore_index)
        if found is not None:
            return found
    d, g, logp = logp.dtype, widened(g), widened(logp)
    c, classes = coefficients(g, logp, target, widened(weight), reduction, ignore_index)
    out = np.exp(logp)
    classes.put(out, classes.picked(out) - 1)
    out *= at_class_dim(c, logp.ndim)
    return in_dtype(out, d)


class CrossEntropyGrad(Op):
    """``c (exp(logp) - one_hot(target))`` with the factor c of each position."""

    compiled = True
    least = MIDDLING
    label = "NllLossBackward"

    def eager(self, xp, g, logp, target, weight, *, reduction, ignore_index):
        return cross_entropy_gradient(g, logp, target, weight, reduction, ignore_index)

    def grads(self, gg, needs, g, logp, target, weight, params):
        p, dim = logp.exp(), 1 if logp.ndim > 1 else 0
        gg_g = gg_logp = None
        if needs[0]:
            centred = gg - (gg * p).sum(dim, keepdim=True)
            gg_g = NllLoss.bind(centred, target, weight, **params)
        if needs[1]:
            at_targets = NllGrad.bind(g, target, weight, shape=logp.shape, **params)
            gg_logp = -gg * p * at_targets.sum(dim, keepdim=True)
        return [gg_g, gg_logp, None, None]


class Variance(Op):
    """``input``, which must not be negative, at least ``eps``; the gradient passes unchanged."""

    label = "Clone"

    def eager(self, xp, input, *, eps):
        if (input < 0).any():
            raise ValueError("var has negative entry/entries")
        return np.maximum(input, input.dtype.type(eps))

    def grad(self, g):
        return g
