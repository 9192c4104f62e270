"""Losses of detectors."""

from __future__ import annotations

from rushlight.core.tensor import Tensor
from rushlight.nn.functional import binary_cross_entropy_with_logits


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
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(
            f"Invalid Value for arg 'reduction': '{reduction} \n Supported reduction modes: "
            "'none', 'mean', 'sum'"
        )
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()
