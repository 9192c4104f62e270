"""Losses of margins: what should be near or rank high is pulled, the rest pushed away.

``reduction`` and its old form are as in ``loss``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import dtypes, tensor_api as T
from rushlight.core import sampling
from rushlight.core.autograd import known_as
from rushlight.core.native import kernels
from rushlight.core.tensor import Tensor, expect_tensors, wrap
from rushlight.errors import DTypeError, NotSupportedError, ShapeError
from rushlight.nn.functional._losses import in_dtype_of, matched, reduced, reduction_of
from rushlight.nn.functional.activation import logsigmoid
from rushlight.nn.functional.distance import pairwise_distance
from rushlight.ops import loss as L
from rushlight.ops.matmul import same_dtype
from rushlight.tensor_api._common import unrecorded
from rushlight.tensor_api.casting import in_float32

__all__ = [
    "soft_margin_loss", "hinge_embedding_loss", "margin_ranking_loss", "cosine_embedding_loss",
    "triplet_margin_loss", "triplet_margin_with_distance_loss", "multi_margin_loss",
    "multilabel_margin_loss", "multilabel_soft_margin_loss",
]  # fmt: skip


@in_float32
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``log(1 + exp(-y x))`` for targets y of 1 and -1.

    Shape: ``(*), (*) -> ()``, or ``(*)`` without reduction.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.soft_margin_loss(torch.zeros(2), torch.tensor([1.0, -1.0]))
        tensor(0.6931)
    """
    expect_tensors("soft_margin_loss", input, target)
    x, y = matched(input, target, None)
    loss = L.SoftMarginLoss.bind(x, y, reduction=reduction_of(size_average, reduce, reduction))
    return in_dtype_of(input, loss, "soft_margin_loss")


@in_float32
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """x where y is 1, ``max(0, margin - x)`` where y is -1.

    Shape: ``(*), (*) -> ()``, or ``(*)`` without reduction.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> y = torch.tensor([1.0, -1.0])
        >>> F.hinge_embedding_loss(torch.tensor([0.3, 0.4]), y, reduction="none")
        tensor([0.3000, 0.6000])
    """
    expect_tensors("hinge_embedding_loss", input, target)
    far = (margin - input).clamp(min=0).to(input.dtype)
    zero = T.zeros_like(far)
    loss = T.where(target != 1, far, zero) + T.where(target != -1, input, T.zeros_like(input))
    return reduced(loss, reduction_of(size_average, reduce, reduction))


@in_float32
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, -y (x1 - x2) + margin)``: where y is 1, x1 should rank higher, where -1, lower.

    Shape: ``(*), (*), (*) -> ()``, or ``(*)`` without reduction.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x1, x2 = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 0.5])
        >>> F.margin_ranking_loss(x1, x2, torch.tensor([1.0, 1.0]))
        tensor(1.)
    """
    reduction = reduction_of(size_average, reduce, reduction)
    if input1.dim() != input2.dim() or input1.dim() != target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes:"
            f" input1: {input1.size()}, input2: {input2.size()}, target: {target.size()}"
        )
    return reduced((-target * (input1 - input2) + float(margin)).clamp_min(0), reduction)


@in_float32
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``1 - cos(x1, x2)`` where y is 1, ``max(0, cos(x1, x2) - margin)`` where it is -1.

    Shape: inputs ``(N, D)`` or ``(D)``, target ``(N)`` or ``()``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]])
        >>> F.cosine_embedding_loss(a, b, torch.tensor([1]))
        tensor(0.2929)
        >>> F.cosine_embedding_loss(a, b, torch.tensor([-1]), margin=0.5)
        tensor(0.2071)
    """
    reduction = reduction_of(size_average, reduce, reduction)
    expect_tensors("cosine_embedding_loss", input1, input2, target)
    if target.dim() not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if target.dim() + 1 != input1.dim() or target.dim() + 1 != input2.dim():
        raise RuntimeError(
            f"{target.dim()}D target tensor expects {target.dim() + 1}D input tensors, but found"
            f" inputs with sizes {tuple(input1._array.shape)} and {tuple(input2._array.shape)}."
        )
    eps = 1e-12
    dot = (input1 * input2).sum(-1)
    cos = dot / (((input1 * input1).sum(-1) + eps) * ((input2 * input2).sum(-1) + eps)).sqrt()
    zero = T.zeros_like(cos)
    loss = T.where(target == 1, 1 - cos, zero) + T.where(
        target == -1, (cos - margin).clamp(min=0), zero
    )
    return reduced(loss, reduction)


@in_float32
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, d(a, p) - d(a, n) + margin)`` with p-norm distances.

    Args:
        swap: use d(p, n) where it is smaller than d(a, n).

    Shape: ``(N, D)`` or ``(D)`` each; result ``()``, or ``(N)`` without reduction.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> anchor, far = torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])
        >>> F.triplet_margin_loss(anchor, anchor, far)
        tensor(0.)
        >>> F.triplet_margin_loss(anchor, anchor, far, margin=6.0)
        tensor(1.0000)
    """
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")

    return triplet(
        anchor,
        positive,
        negative,
        lambda a, b: pairwise_distance(a, b, p, eps),
        margin,
        swap,
        reduction_of(size_average, reduce, reduction),
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, d(a, p) - d(a, n) + margin)`` with any distance function; the default is
    ``pairwise_distance``.

    Shape: ``(N, D)`` or ``(D)`` each; result ``()``, or ``(N)`` without reduction.

    Raises:
        ValueError: margin is not positive.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> anchor, far = torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])
        >>> def city_block(a, b):
        ...     return (a - b).abs().sum(-1)
        >>> F.triplet_margin_with_distance_loss(
        ...     anchor, anchor, far, distance_function=city_block, margin=8.0
        ... )
        tensor(1.)
    """
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")

    distance = pairwise_distance if distance_function is None else distance_function
    return triplet(
        anchor, positive, negative, distance, margin, swap, reduction_of(None, None, reduction)
    )


def triplet(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    distance: Any,
    margin: float,
    swap: bool,
    reduction: str,
) -> Tensor:
    """The triplet loss for a distance."""
    expect_tensors("triplet_margin_loss", anchor, positive, negative)
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of"
            f" dimensions, but got: anchor {anchor.dim()}D, positive {positive.dim()}D, and"
            f" negative {negative.dim()}D inputs"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = T.minimum(far, distance(positive, negative))
    return reduced((near - far + margin).clamp_min(0), reduction)


def expect_classes(name: str, input: Tensor, target: Tensor, weight: Tensor | None = None) -> None:
    """Scores are floats, targets are int64, and weights have the dtype of the scores."""
    d, y = input._array.dtype, target._array.dtype
    if d not in dtypes.FLOATS:
        raise NotSupportedError(
            f"{name}: not implemented for {dtypes.of[d].name}; convert the input with .float()."
        )
    if y is not dtypes.int64:
        raise DTypeError(
            f"{name}: expected targets of int64, the numbers of classes, but found"
            f" {dtypes.of[y].name}; convert with .long()."
        )
    if weight is not None:
        same_dtype(name, input._array, weight._array)


@in_float32
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``sum over i != y of weight[y] max(0, margin - x[y] + x[i])^p / C``. Shape:
    ``(N, C), (N) -> ()``.

    Raises:
        ValueError: p is neither 1 nor 2.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.multi_margin_loss(torch.tensor([[0.1, 0.2, 0.8]]), torch.tensor([2]))
        tensor(0.2333)
    """
    reduction = reduction_of(size_average, reduce, reduction)
    expect_tensors("multi_margin_loss", input, target)
    if p not in (1, 2):
        raise ValueError(f"only p == 1 and p == 2 supported, but got {p}")
    expect_classes("multi_margin_loss", input, target, weight)
    if weight is not None and weight.dim() != 1:
        raise ValueError(f"weight must be one-dimensional, got {weight.dim()} dimensions.")
    one = input._array.ndim < 2
    x = input.reshape(1, -1) if one else input  # (N, C)
    shape, labels = x._array.shape, target._array.size
    if len(shape) != 2 or not shape[1]:
        raise ShapeError(
            "multi_margin_loss: Expected non-empty vector or matrix with optional 0-dim batch"
            f" size, but got: {x.shape}"
        )
    if labels != shape[0] or target._array.ndim > 1:
        raise ShapeError(
            f"multi_margin_loss: inconsistent target size, expected [{shape[0]}] but got"
            f" {list(target._array.shape)}"
        )
    if weight is None and reduction in ("mean", "sum"):
        divisor = shape[1] * (shape[0] if reduction == "mean" else 1)
        found = margins(unrecorded(x), target, p, margin, divisor)
        if found is not None:
            return wrap(found)
    y = target.reshape(-1, 1)  # (N, 1)
    excess = (x - x.gather(1, y) + margin).clamp(min=0)
    if p == 2:
        excess = excess * excess
    if weight is not None:
        excess = excess * weight[y]
    loss = excess.scatter(1, y, 0.0).sum(1) / shape[1]
    if one and reduction == "none":
        loss = loss.reshape(target._array.shape)
    return known_as("MultiMarginLossBackward0", reduced(loss, reduction))


def margins(arrays: Any, target: Tensor, p: int, margin: float, divisor: int) -> Any:
    """The sum of ``max(0, margin - x[y] + x[i]) ** p`` over rows of scores and all i but y, divided
    by a number, by a loop, or None.
    """
    y = target._array
    if arrays is None or y.dtype is not dtypes.int64 or y.__class__ is not np.ndarray:
        return None
    (x,) = arrays
    loop = kernels.runner("margin loss", x.dtype, 4, x.size, exact=False) if x.size else None
    if loop is None:
        return None
    out = np.empty((), x.dtype)
    given, rows = sampling.numbers(float(margin), float(divisor)), np.ascontiguousarray(x)
    fine = loop(rows, np.ascontiguousarray(y), out, given, x.shape[1], p, x.shape[0])
    return out if fine else None


@in_float32
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Sum of ``max(0, 1 - x[y] + x[i]) / C`` over the labels y of a row and the classes i that are
    not labels.

    Shape: input ``(N, C)`` or ``(C)``; target likewise, class indices, of which the first -1 ends a
    row's labels.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> labels = torch.tensor([[3, 0, -1, 1]])  # 3 and 0
        >>> F.multilabel_margin_loss(torch.tensor([[0.1, 0.2, 0.4, 0.8]]), labels)
        tensor(0.8500)
    """
    reduction = reduction_of(size_average, reduce, reduction)
    expect_tensors("multilabel_margin_loss", input, target)
    if input._array.shape != target._array.shape:
        raise ShapeError(
            f"multilabel_margin_loss: inconsistent target size: {tuple(target._array.shape)} for"
            f" input of size: {tuple(input._array.shape)}"
        )
    expect_classes("multilabel_margin_loss", input, target)
    if input.dim() > 2:
        raise ShapeError(
            "multilabel_margin_loss: Expected a vector or a matrix, but got"
            f" {tuple(input._array.shape)}"
        )
    x = input.reshape(-1, input.shape[-1] if input.dim() else 1)
    y = target.reshape(-1, input.shape[-1] if input.dim() else 1)
    named = (y < 0).cumsum(1) == 0  # (N, C): entries that are labels
    safe = y.masked_fill(~named, 0)
    is_label = T.zeros_like(x.detach()).scatter_add_(1, safe, named.to(x.dtype)) > 0
    gaps = (1 - x.gather(1, safe).unsqueeze(2) + x.unsqueeze(1)).clamp(min=0)  # (N, label, class)
    gaps = gaps.masked_fill(~named.unsqueeze(2) | is_label.unsqueeze(1), 0)
    loss = gaps.sum((1, 2)) / x.shape[1]
    loss = reduced(loss if input.dim() > 1 else loss.squeeze(0), reduction)
    return known_as("MultilabelMarginLossBackward0", loss)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Mean over classes of ``-weight (y log s(x) + (1 - y) log s(-x))``. Shape:
    ``(N, C), (N, C) -> ()``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.multilabel_soft_margin_loss(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 1.0]]))
        tensor(0.6931)
    """

    reduction = reduction_of(size_average, reduce, reduction)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduced(known_as("DivBackward0", loss.mean(-1)), reduction)
