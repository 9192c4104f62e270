"""Losses of classes: cross entropies, of indices, probabilities and truths."""

from __future__ import annotations

from typing import Any

from rushlight import dtypes
from rushlight.core.autocast import lower_dtype
from rushlight.core.autograd import known_as
from rushlight.core.state import state
from rushlight.core.tensor import Tensor, expect_tensors, no_tensor
from rushlight.errors import ShapeError
from rushlight.nn.functional._losses import (
    REDUCTIONS,
    alike,
    expect_floats,
    in_dtype_of,
    matched,
    reduced,
    reduction_of,
)
from rushlight.nn.functional.linear import linear
from rushlight.ops import loss as L
from rushlight.ops.class_losses import CrossEntropy, NllLoss
from rushlight.ops.matmul import same_dtype
from rushlight.ops.softmax import LogSoftmax
from rushlight.tensor_api._common import as_int
from rushlight.tensor_api.casting import in_float32

__all__ = [
    "cross_entropy",
    "nll_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "linear_cross_entropy",
]


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
    if not dim and y.shape == (1,):
        target = target.reshape(())
    return CrossEntropy.bind(
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
    return known_as("DivBackward1", -loss.sum() / count) if reduction == "mean" else -loss.sum()


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
    nll = NllLoss.bind(logp, target, weight, reduction=reduction, ignore_index=ignore_index)
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
    if input._array.ndim == 1 and target._array.shape == (1,):
        target = target.reshape(())
    return NllLoss.bind(  # type: ignore[no-any-return]
        input,
        target,
        weight,
        reduction=reduction,
        ignore_index=as_int(ignore_index, "ignore_index"),
    )


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
            f"{alike(input._array.shape, target._array.shape)}"
        )
    same_dtype("binary_cross_entropy", input._array, target._array)
    if weight is None:
        return L.BinaryCrossEntropy.bind(input, target, reduction=reduction)  # type: ignore[no-any-return]
    loss = L.BinaryCrossEntropy.bind(input, target, reduction="none") * weight
    loss = in_dtype_of(input, loss, "binary_cross_entropy")
    return known_as("BinaryCrossEntropyBackward0", reduced(loss, reduction))


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
            f"Target size ({target.size()}) must be the same as input size ({input.size()})."
            f"{alike(input._array.shape, target._array.shape)}"
        )
    x, y = matched(input, target, None)
    expect_floats("binary_cross_entropy_with_logits", input)
    op, name = L.BinaryCrossEntropyWithLogits, "binary_cross_entropy_with_logits"
    if weight is None:
        return in_dtype_of(target, op.bind(x, y, pos_weight, reduction=reduction), name)
    loss = op.bind(x, y, pos_weight, reduction="none") * weight
    loss = reduced(in_dtype_of(target, loss, name), reduction)
    return known_as("BinaryCrossEntropyWithLogitsBackward0", loss)


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
