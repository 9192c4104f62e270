"""Losses of classes: the log-probability of each target's class, reduced to a number or left for
each target.

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
from rushlight.core.sparse import SparseOperand
from rushlight.core.state import modes, state
from rushlight.core.tensor import wrap
from rushlight.errors import DTypeError, NotSupportedError, ShapeError
from rushlight.ops.matmul import same_dtype
from rushlight.ops.places import inside, moved, read, spread
from rushlight.ops.sums import LEAST, ones, summed


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
