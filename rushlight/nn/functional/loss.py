"""Losses. ``reduction`` is "mean" (the default), "sum" or "none"; the two flags ``size_average``
and ``reduce`` are its old form.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight import tensor_api as T
from rushlight.core.autocast import lower_dtype
from rushlight.core.device_array import constant_on
from rushlight.core.state import state
from rushlight.core.tensor import Tensor, constant, expect_tensors, fixed_number, no_tensor
from rushlight.errors import DTypeError, ShapeError, warn_user
from rushlight.nn._reduction import legacy_get_string
from rushlight.nn.functional.linear import linear
from rushlight.ops import loss as L
from rushlight.ops.ctc import CtcLoss
from rushlight.ops.loss import Variance
from rushlight.ops.softmax import LogSoftmax
from rushlight.tensor_api._common import as_int
from rushlight.tensor_api.casting import in_float32
from rushlight.tensor_api.conversion import cast

__all__ = [
    "l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss", "cross_entropy", "nll_loss",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "poisson_nll_loss",
    "gaussian_nll_loss", "ctc_loss", "linear_cross_entropy",
]  # fmt: skip

REDUCTIONS = ("mean", "sum", "none")


def reduction_of(size_average: Any, reduce: Any, reduction: str) -> str:
    """The reduction asked for, by either form."""
    if size_average is not None or reduce is not None:
        return legacy_get_string(size_average, reduce)
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"{reduction} is not a valid value for reduction; it is 'mean', 'sum' or 'none'."
        )
    return reduction


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The reduction of a tensor of losses."""
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def matched(input: Tensor, target: Tensor, name: str | None) -> tuple[Tensor, Tensor]:
    """Input and target with one dtype and shape; shapes that only match by broadcasting get a
    warning that names the function.
    """
    try:
        x, y = input._array, target._array
    except AttributeError:
        raise no_tensor(name or "loss", input, target) from None
    if x.shape != y.shape:
        if name is not None:
            warn_user(
                f"Using a target size ({target.size()}) that is different to the input size"
                f" ({input.size()}). This will likely lead to incorrect results due to"
                f" broadcasting. Please ensure they have the same size in {name}."
            )
        input, target = T.broadcast_tensors(input, target)
    if x.dtype is not y.dtype:
        d = dtypes.result_type((x, y))
        input = input if x.dtype == d else cast(input, d)
        target = target if y.dtype == d else cast(target, d)
    return input, target


def in_dtype_of(given: Tensor, loss: Tensor, name: str) -> Tensor:
    """A loss whose dtype is not the promoted one, but that of one of the tensors given."""
    have, want = loss._array.dtype, given._array.dtype
    if have is want:
        return loss
    if dtypes.CATEGORY[have] > dtypes.CATEGORY[want]:
        raise DTypeError(
            f"{name}: result type {dtypes.of[have].name} can't be cast to the desired output type"
            f" {dtypes.of[want].name}; convert input and target to one floating-point dtype."
        )
    return cast(loss, want)


def check_weight(weight: Tensor, loss: Tensor) -> None:
    """Weights have the shape of what they weigh."""
    if weight._array.shape != loss._array.shape:
        raise ValueError(
            "Weights and input must have the same size, but they have"
            f" {weight._array.shape} and {loss._array.shape}."
        )


def weighted(loss: Tensor, weight: Tensor, reduction: str) -> Tensor:
    """A weighted loss; a mean divides by the sum of the weights."""
    check_weight(weight, loss)
    loss = loss * weight
    return loss.sum() / weight.sum() if reduction == "mean" else reduced(loss, reduction)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Mean squared error, ``(x - y)^2``. Shape: ``(*), (*) -> ()``, or ``(*)`` without reduction.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.functional.mse_loss(torch.zeros(2), torch.tensor([1.0, 3.0]))
        tensor(5.)
    """
    if size_average is not None or reduce is not None or reduction not in REDUCTIONS:
        reduction = reduction_of(size_average, reduce, reduction)
    try:
        x, y = input._array, target._array
    except AttributeError:
        raise no_tensor("mse_loss", input, target) from None
    if x.shape != y.shape or x.dtype is not y.dtype:
        input, target = matched(input, target, "mse_loss")
    if weight is not None:
        return weighted(L.MseLoss.bind(input, target, reduction="none"), weight, reduction)
    return L.MseLoss.bind(input, target, reduction=reduction)  # type: ignore[no-any-return]


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Mean absolute error, ``|x - y|``. Shape: ``(*), (*) -> ()``, or ``(*)`` without reduction.

    Raises:
        ValueError: reduction is no known word.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.l1_loss(torch.zeros(2), torch.tensor([1.0, -3.0]))
        tensor(2.)
    """
    reduction = reduction_of(size_average, reduce, reduction)
    input, target = matched(input, target, "l1_loss")
    if weight is not None:
        return weighted(L.L1Loss.bind(input, target, reduction="none"), weight, reduction)
    return L.L1Loss.bind(input, target, reduction=reduction)  # type: ignore[no-any-return]


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """``(x - y)^2 / (2 beta)`` where ``|x - y| < beta``, else ``|x - y| - beta / 2``.

    Shape: ``(*), (*) -> ()``, or ``(*)`` without reduction.

    Raises:
        RuntimeError: beta is negative.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.smooth_l1_loss(torch.zeros(2), torch.tensor([0.5, -3.0]), reduction="none")
        tensor([0.1250, 2.5000])
    """
    reduction = reduction_of(size_average, reduce, reduction)
    if beta < 0:
        raise RuntimeError(
            f"smooth_l1_loss does not support negative values for beta, but got {beta}."
        )
    input, target = matched(input, target, "smooth_l1_loss")
    if beta == 0:
        return L.L1Loss.bind(input, target, reduction=reduction)  # type: ignore[no-any-return]
    return L.SmoothL1Loss.bind(input, target, reduction=reduction, beta=beta)  # type: ignore[no-any-return]


@in_float32
def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """``(x - y)^2 / 2`` where ``|x - y| < delta``, else ``delta (|x - y| - delta / 2)``.

    Shape: ``(*), (*) -> ()``, or ``(*)`` without reduction.

    Raises:
        RuntimeError: delta is not positive.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.huber_loss(torch.zeros(2), torch.tensor([0.5, -3.0]), delta=2.0, reduction="none")
        tensor([0.1250, 4.0000])
    """
    reduction = reduction_of(None, None, reduction)
    if delta <= 0:
        raise RuntimeError(
            f"huber_loss does not support non-positive values for delta, but got {delta}."
        )
    x, y = matched(input, target, "huber_loss")
    if weight is not None:
        check_weight(weight, x)  # as in torch, a mean of this loss does not divide by weights
        loss = L.HuberLoss.bind(x, y, reduction="none", delta=delta)
        return reduced(in_dtype_of(input, loss, "huber_loss") * weight, reduction)
    loss = L.HuberLoss.bind(x, y, reduction=reduction, delta=delta)
    return in_dtype_of(input, loss, "huber_loss")


@in_float32
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """``-weight[y] log softmax(x)[y]``: the loss of classification from unnormalised scores.

    A mean divides by the sum of the targets' weights (by the batch size for targets that are
    probabilities).

    Args:
        input: scores (logits).
        target: class indices, int64 in [0, C); or probabilities of each class, of input's shape and
            dtype.
        weight: factor of each class.
        ignore_index: a target that adds nothing to loss or gradient.
        reduction: "mean", "sum" or "none".
        label_smoothing: share of the target moved evenly to all classes, in [0, 1].

    Shape: input ``(C)``, ``(N, C)`` or ``(N, C, *)``; target ``()``, ``(N)`` or ``(N, *)``, or
    input's shape; result ``()``.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.functional.cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3]))
        tensor(1.3863)
    """
    if size_average is not None or reduce is not None or reduction not in REDUCTIONS:
        reduction = reduction_of(size_average, reduce, reduction)
    try:
        x, y = input._array, target._array
    except AttributeError:
        raise no_tensor("cross_entropy", input, target) from None
    if not x.ndim:
        raise ShapeError(
            "cross_entropy: the input must have a class dim, (C), (N, C) or (N, C, ...), but it is"
            " 0-dim."
        )
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    dim = 1 if x.ndim > 1 else 0
    logp = LogSoftmax.bind(input, dim=dim)
    if y.dtype in dtypes.FLOATING_TYPES and y.shape == x.shape:
        if ignore_index >= 0:
            raise RuntimeError(
                "ignore_index is not supported for floating point target: it names a class index."
            )
        return soft_cross_entropy(logp, target, weight, reduction, label_smoothing, dim)
    if weight is not None and weight._array.shape != (x.shape[dim],):
        raise ShapeError(
            f"cross_entropy: weight tensor should be defined either for all {x.shape[dim]} classes"
            f" or no classes, but has shape {tuple(weight._array.shape)}."
        )
    if label_smoothing:
        return smoothed_nll(logp, target, weight, reduction, ignore_index, label_smoothing)
    return L.CrossEntropy.bind(
        logp, input, target, weight, reduction=reduction, ignore_index=ignore_index
    )  # type: ignore[no-any-return]


def soft_cross_entropy(
    logp: Tensor, target: Tensor, weight: Tensor | None, reduction: str, smoothing: float, dim: int
) -> Tensor:
    """Cross entropy with targets that are probabilities."""
    if smoothing:
        target = target * (1 - smoothing) + smoothing / logp._array.shape[dim]
    loss = logp * target
    if weight is not None:
        loss = loss * weight.reshape(-1, *[1] * (logp._array.ndim - 1 - dim))
    if reduction == "none":
        return -loss.sum(dim)
    count = logp._array.size // max(logp._array.shape[dim], 1)
    return -loss.sum() / count if reduction == "mean" else -loss.sum()


def smoothed_nll(
    logp: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    ignore_index: int,
    smoothing: float,
) -> Tensor:
    """Cross entropy with a share of the target spread over all classes."""
    dim = 1 if logp._array.ndim > 1 else 0
    nll = L.NllLoss.bind(logp, target, weight, reduction=reduction, ignore_index=ignore_index)
    spread = logp
    if weight is not None:
        spread = spread * weight.reshape(-1, *[1] * (logp._array.ndim - 1 - dim))
    spread = -spread.sum(dim)
    ignored = target == ignore_index
    spread = spread.masked_fill(ignored, 0)
    if reduction == "mean":
        if weight is None:
            spread = spread.sum() / (~ignored).sum().to(spread.dtype)
        else:
            per_target = weight.gather(0, target.masked_fill(ignored, 0).reshape(-1))
            spread = spread.sum() / per_target.masked_fill(ignored.reshape(-1), 0).sum()
    elif reduction == "sum":
        spread = spread.sum()
    return nll * (1 - smoothing) + spread * (smoothing / logp._array.shape[dim])


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-weight[y] x[y]`` for log-probabilities x; a mean divides by the sum of the targets'
    weights.

    Shape: input ``(C)``, ``(N, C)`` or ``(N, C, *)``; target ``()``, ``(N)`` or ``(N, *)``; result
    ``()``.

    Raises:
        IndexError: a target is no class.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.nll_loss(torch.tensor([[-0.5, -1.0], [-2.0, -0.1]]), torch.tensor([0, 1]))
        tensor(0.3000)
    """
    reduction = reduction_of(size_average, reduce, reduction)
    expect_tensors("nll_loss", input, target)
    if not input._array.ndim:
        raise ValueError(
            "nll_loss: the input must have a class dim, (C), (N, C) or (N, C, ...), but it is"
            " 0-dim."
        )
    classes = input._array.shape[1 if input._array.ndim > 1 else 0]
    if weight is not None and weight._array.size != classes:
        raise ShapeError(
            f"nll_loss: weight tensor should be defined either for all {classes} classes or no"
            f" classes, but has shape {tuple(weight._array.shape)}."
        )
    return L.NllLoss.bind(input, target, weight, reduction=reduction, ignore_index=ignore_index)  # type: ignore[no-any-return]


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-weight (y log x + (1 - y) log(1 - x))`` for probabilities x; logarithms count as at least
    -100.

    Shape: ``(*), (*) -> ()``, or ``(*)`` without reduction; weight broadcasts.

    Raises:
        ValueError: the shapes differ.
        RuntimeError: an element of input is not in [0, 1].

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.binary_cross_entropy(torch.tensor([0.5, 0.25]), torch.tensor([1.0, 0.0]))
        tensor(0.4904)
    """
    reduction = reduction_of(size_average, reduce, reduction)
    expect_tensors("binary_cross_entropy", input, target)
    if state.busy and input.is_cuda and lower_dtype(input) is not None:
        raise RuntimeError(
            "binary_cross_entropy is unsafe to autocast on a GPU: probabilities near 0 and 1 are "
            "not told apart in half precision. Leave out the sigmoid and use "
            "binary_cross_entropy_with_logits, or call it with autocast(enabled=False)."
        )
    if input._array.shape != target._array.shape:
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size"
            f" ({input.size()}) is deprecated. Please ensure they have the same size."
        )
    input, target = matched(input, target, None)
    if weight is None:
        return L.BinaryCrossEntropy.bind(input, target, reduction=reduction)  # type: ignore[no-any-return]
    return reduced(L.BinaryCrossEntropy.bind(input, target, reduction="none") * weight, reduction)


@in_float32
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """``binary_cross_entropy(sigmoid(x), y)`` without overflow.

    Args:
        weight: factor of each element, broadcast.
        pos_weight: factor of the positive term, broadcast; above 1 it favours recall.

    Shape: ``(*), (*) -> ()``, or ``(*)`` without reduction.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.binary_cross_entropy_with_logits(torch.tensor([0.0, 500.0]), torch.tensor([1.0, 1.0]))
        tensor(0.3466)
    """
    reduction = reduction_of(size_average, reduce, reduction)
    expect_tensors("binary_cross_entropy_with_logits", input, target)
    if input._array.shape != target._array.shape:
        raise ValueError(
            f"Target size ({target.size()}) must be the same as input size ({input.size()})"
        )
    x, y = matched(input, target, None)
    op, name = L.BinaryCrossEntropyWithLogits, "binary_cross_entropy_with_logits"
    if weight is None:
        return in_dtype_of(target, op.bind(x, y, pos_weight, reduction=reduction), name)
    loss = op.bind(x, y, pos_weight, reduction="none") * weight
    return reduced(in_dtype_of(target, loss, name), reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence ``y (log y - x)`` of log-probabilities x from probabilities y.

    Args:
        reduction: "mean", "sum", "none", or "batchmean" (the sum by the batch size: the divergence
            as it is defined).
        log_target: whether target holds log-probabilities.

    Shape: ``(*), (*) -> ()``, or ``(*)`` without reduction.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.tensor([[0.5, 0.5]]).log()
        >>> F.kl_div(x, torch.tensor([[1.0, 0.0]]), reduction="batchmean")  # log 2
        tensor(0.6931)
    """
    expect_tensors("kl_div", input, target)
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    if reduction == "mean":
        warn_user(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            " 'batchmean' divides only by the batch size, and aligns with the KL div math"
            " definition."
        )
    batchmean = reduction == "batchmean"
    reduction = reduction_of(None, None, "sum" if batchmean else reduction)
    input, target = matched(input, target, None)
    out = L.KlDiv.bind(input, target, reduction=reduction, log_target=log_target)
    return out / input._array.shape[0] if batchmean and input._array.ndim else out


@in_float32
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``exp(x) - y x`` for counts y of a Poisson law with logarithmic rate x;
    ``x - y log(x + eps)`` when not ``log_input``.

    Args:
        full: add Stirling's approximation of the target's term.

    Shape: ``(*), (*) -> ()``, or ``(*)`` without reduction.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.poisson_nll_loss(torch.zeros(2), torch.tensor([1.0, 5.0]), reduction="none")
        tensor([1., 1.])
        >>> F.poisson_nll_loss(torch.tensor([2.0]), torch.tensor([3.0]), log_input=False)
        tensor(-0.0794)
    """
    reduction = reduction_of(size_average, reduce, reduction)
    expect_tensors("poisson_nll_loss", input, target)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + (2 * math.pi * target).log() * 0.5
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """``(log v + (x - y)^2 / v) / 2`` for an expectation x and a variance v, which counts as at
    least eps.

    Args:
        var: one number, of input's shape, or with a last size of 1 (the same variance for a row).
        full: add the constant ``log(2 pi) / 2``.

    Shape: ``(*), (*) -> ()``, or ``(*)`` without reduction.

    Raises:
        ValueError: a variance is negative.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> y, var = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])
        >>> F.gaussian_nll_loss(torch.zeros(2), y, var, reduction="none")
        tensor([0.5000, 1.1931])
    """
    if isinstance(var, (int, float)):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = T.full_like(input.detach(), var)
    x, v = input._array.shape, var._array.shape
    if v != x:
        if x[:-1] == v:
            var = var.unsqueeze(-1)
        elif not (len(v) == len(x) and x[:-1] == v[:-1] and v[-1] == 1) and any(
            a not in (b, 1) for a, b in zip(reversed(v), reversed(x), strict=False)
        ):
            raise ValueError(
                f"var is of incorrect size: {v}; it should have the input's, {x}, or a last size"
                " of 1."
            )
    reduction = reduction_of(None, None, reduction)
    safe = Variance.bind(var, eps=eps)
    loss = (safe.log() + (input - target) ** 2 / safe) * 0.5
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Connectionist temporal classification: minus the log-probability of all alignments of a
    target with the input.

    A mean divides each loss by its target's length, then averages over the batch.

    Args:
        log_probs: log-probabilities of classes, ``(T, N, C)`` or ``(T, C)``.
        targets: class indices, ``(N, S)``, or all targets one after another.
        input_lengths: used length of each input, ``(N)``.
        target_lengths: length of each target, ``(N)``.
        blank: index of the class "no label".
        zero_infinity: make infinite losses (targets that do not fit) and their gradients zero.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> log_probs = torch.full((4, 1, 3), 1 / 3).log()  # 4 steps, 3 classes, all as probable
        >>> target = torch.tensor([[1, 2]])  # fits in 15 of 81 alignments
        >>> F.ctc_loss(log_probs, target, [4], [2], reduction="sum").neg().exp() * 81
        tensor(15.0000)

    Reference: Graves et al., 2006, "Connectionist temporal classification".
    """
    reduction = reduction_of(None, None, reduction)
    expect_tensors("ctc_loss", log_probs, targets)
    batched = log_probs.dim() == 3
    x = log_probs if batched else log_probs.unsqueeze(1)
    y = targets if batched or targets.dim() != 1 else targets.unsqueeze(0)
    samples = x._array.shape[1]
    lengths = _lengths(input_lengths, samples), _lengths(target_lengths, samples)
    loss = CtcLoss.bind(x, y, *lengths, blank=as_int(blank, "blank"))
    if zero_infinity:
        loss = T.where(loss == math.inf, T.zeros_like(loss), loss)
    if reduction == "mean":
        return (loss / _shares(lengths[1], loss)).mean()
    return loss.sum() if reduction == "sum" else loss if batched else loss.squeeze(0)


def _shares(lengths: Tensor, loss: Tensor) -> Tensor:
    """Lengths, 1 at least, in a loss's dtype."""
    if state.busy or type(lengths._array) is not np.ndarray:
        return lengths.clamp(min=1).to(loss)
    return constant_on(loss, np.maximum(lengths._array, 1).astype(loss._array.dtype))


def _lengths(given: Any, count: int) -> Tensor:
    """Lengths as a vector of integers."""
    if isinstance(given, Tensor):
        if given._array.dtype not in dtypes.INTEGER_TYPES:
            raise RuntimeError("ctc_loss: input_lengths and target_lengths must be integral")
        if given._array.ndim != 1:
            given = given.reshape(-1)
    else:
        given = constant(np.array([int(fixed_number(n)) for n in given], np.int64))
    found = given._array.size
    if found != count:
        raise RuntimeError(
            f"ctc_loss: Expected lengths of the {count} samples of the batch, but got {found}."
        )
    return given


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """``cross_entropy(linear(input, linear_weight, linear_bias), target, ...)``.

    Args:
        input: ``(I)`` or ``(N, I)``.
        linear_weight: ``(C, *, I)``.
        target: classes ``(N, *)``, or probabilities ``(N, C, *)``.
        options: how PyTorch saves memory; accepted.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x, weight = torch.ones(2, 3), torch.zeros(4, 3)
        >>> F.linear_cross_entropy(x, weight, torch.tensor([0, 3]))  # log 4
        tensor(1.3863)
    """
    expect_tensors("linear_cross_entropy", input, linear_weight, target)
    space = linear_weight._array.shape[1:-1]
    if space and input._array.ndim == 1:
        raise ShapeError(
            "linear_cross_entropy: a K-dimensional loss defined by linear_weight shape "
            f"{tuple(linear_weight._array.shape)} requires batched input (N, I), but got "
            f"{tuple(input._array.shape)}."
        )
    logits = linear(input, linear_weight.reshape(-1, linear_weight._array.shape[-1]))
    logits = logits.reshape(*logits._array.shape[:-1], linear_weight._array.shape[0], *space)
    if linear_bias is not None:
        logits = logits + linear_bias
    skip = -100 if ignore_index is None else ignore_index
    if (
        target._array.dtype in dtypes.FLOATING_TYPES
        and ignore_index is not None
        and ignore_index < 0
    ):
        skip = -100
    return cross_entropy(
        logits,
        target,
        weight,
        ignore_index=skip,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
