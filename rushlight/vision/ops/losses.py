"""Losses of detectors."""

from __future__ import annotations

import math

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn.functional import binary_cross_entropy_with_logits

__all__ = [
    "complete_box_iou_loss", "distance_box_iou_loss", "generalized_box_iou_loss",
    "sigmoid_focal_loss",
]  # fmt: skip


def sigmoid_focal_loss(
    inputs: Tensor,
    targets: Tensor,
    alpha: float = 0.25,
    gamma: float = 2,
    reduction: str = "none",
) -> Tensor:
    """Binary cross entropy of logits, weighted by ``(1 - p)^gamma`` of the right answer's
    probability p.

    Args:
        inputs: logits, any shape.
        targets: 0 or 1, of the same shape.
        alpha: weight of positive examples, in [0, 1], negative ones having the rest; -1 for none.
        gamma: how much easy examples count less.
        reduction: "none", "mean" or "sum".

    Example:
        >>> from rushlight.vision import ops
        >>> ops.sigmoid_focal_loss(torch.tensor([0.0, 3.0]), torch.tensor([1.0, 1.0]))
        tensor([4.3322e-02, 2.7321e-05])

    Reference: Lin et al., 2017, arXiv:1708.02002.
    """
    if not (0 <= alpha <= 1) and alpha != -1:
        raise ValueError(f"Invalid alpha value: {alpha}. alpha must be in the range [0,1] or -1.")
    p = inputs.sigmoid()
    right = p * targets + (1 - p) * (1 - targets)
    loss = binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    loss = loss * (1 - right) ** gamma
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    return _reduced(loss, reduction)


def _reduced(loss: Tensor, reduction: str) -> Tensor:
    """The losses, their sum, or their mean, which is zero of none."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(
            f"Invalid Value for arg 'reduction': '{reduction} \n Supported reduction modes: "
            "'none', 'mean', 'sum'"
        )
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" and loss.numel() else loss.sum()


def _overlap(a: Tensor, b: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Of each box with its partner: intersection over union, union, sides of the hull."""
    common = (T.min(a[:, 2:], b[:, 2:]) - T.max(a[:, :2], b[:, :2])).clamp(min=0).prod(-1)
    union = (a[:, 2:] - a[:, :2]).prod(-1) + (b[:, 2:] - b[:, :2]).prod(-1) - common
    hull = T.max(a[:, 2:], b[:, 2:]) - T.min(a[:, :2], b[:, :2])
    return common / (union + eps), union, hull


def generalized_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """One less the overlap of each box with its partner, and more the further they are apart: the
    share of the box around both that neither covers.

    Args:
        boxes1, boxes2: ``(N, 4)``, corners.
        reduction: "none", "mean" or "sum".
        eps: added to divisors.

    Reference: Rezatofighi et al., 2019, arXiv:1902.09630.
    """
    overlap, union, hull = _overlap(boxes1, boxes2, eps)
    area = hull.prod(-1)
    return _reduced(1 - overlap + (area - union) / (area + eps), reduction)


def _distance_loss(boxes1: Tensor, boxes2: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    overlap, _, hull = _overlap(boxes1, boxes2, eps)
    apart = (boxes1[:, :2] + boxes1[:, 2:] - boxes2[:, :2] - boxes2[:, 2:]) / 2
    return 1 - overlap + (apart**2).sum(-1) / ((hull**2).sum(-1) + eps), overlap


def distance_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """One less the overlap, and the squared distance of the centres as a share of the diagonal of
    the box around both. Arguments as of `generalized_box_iou_loss`.

    Reference: Zheng et al., 2020, arXiv:1911.08287.
    """
    return _reduced(_distance_loss(boxes1, boxes2, eps)[0], reduction)


def complete_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """`distance_box_iou_loss` and a penalty for different proportions."""
    loss, overlap = _distance_loss(boxes1, boxes2, eps)
    sides = [b[:, 2:] - b[:, :2] for b in (boxes1, boxes2)]
    angles = [T.atan(s[:, 0] / s[:, 1]) for s in sides]
    unlike = 4 / math.pi**2 * (angles[0] - angles[1]) ** 2
    weight = (unlike / (1 - overlap + unlike + eps)).detach()
    return _reduced(loss + weight * unlike, reduction)
