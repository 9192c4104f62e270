"""What detectors share: boxes as numbers that networks give, which boxes are to find which object,
and samples of them.
"""

from __future__ import annotations

import math
from typing import Any

from rushlight import dtypes, nn, tensor_api as T
from rushlight.autograd import no_grad
from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.vision.ops import (
    box_convert,
    complete_box_iou_loss,
    distance_box_iou_loss,
    generalized_box_iou_loss,
)

__all__ = ["BalancedPositiveNegativeSampler", "BoxCoder", "BoxLinearCoder", "Matcher", "SSDMatcher"]

UINT8 = dtypes.by_name["uint8"]


class BalancedPositiveNegativeSampler:
    """Draws boxes with an object and boxes without one.

    Args:
        batch_size_per_image: how many boxes, fewer where there are not so many.
        positive_fraction: how large a part of them has an object, at most.
    """

    def __init__(self, batch_size_per_image: int, positive_fraction: float) -> None:
        self.batch_size_per_image = batch_size_per_image
        self.positive_fraction = positive_fraction

    def __call__(self, matched_idxs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Of labels of each image's boxes (>= 1: has an object, 0: has none, below: neither),
        masks of the drawn ones with an object, and of those without.
        """
        drawn = [self._draw(labels) for labels in matched_idxs]
        return [with_object for with_object, _ in drawn], [without for _, without in drawn]

    def _draw(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        masks, wanted = [], int(self.batch_size_per_image * self.positive_fraction)
        for candidates in (T.where(labels >= 1)[0], T.where(labels == 0)[0]):
            count = min(len(candidates), wanted)
            chosen = T.randperm(len(candidates), device=labels.device)[:count]
            mask = T.zeros_like(labels, dtype=UINT8)
            mask[candidates[chosen]] = 1
            masks.append(mask)
            wanted = self.batch_size_per_image - count
        return masks[0], masks[1]


class BoxCoder:
    """Boxes relative to others: how far the centre lies, in widths and heights of the other box,
    and the logarithms of how many times wider and higher it is; each times a weight.

    Args:
        weights: of the centre's x and y, and the width and height.
        bbox_xform_clip: the largest logarithm that is decoded.

    Reference: Girshick et al., 2014, arXiv:1311.2524, appendix C.

    Example:
        >>> import rushlight as torch
        >>> coder = BoxCoder((1.0, 1.0, 1.0, 1.0))
        >>> coder.encode_single(torch.tensor([[2.0, 0, 6, 4]]), torch.tensor([[0.0, 0, 4, 4]]))
        tensor([[0.5000, 0.0000, 0.0000, 0.0000]])
    """

    def __init__(
        self,
        weights: tuple[float, float, float, float],
        bbox_xform_clip: float = math.log(1000 / 16),
    ) -> None:
        self.weights, self.bbox_xform_clip = weights, bbox_xform_clip

    def encode(self, reference_boxes: list[Tensor], proposals: list[Tensor]) -> tuple[Tensor, ...]:
        """`encode_single` of each image's boxes."""
        codes = self.encode_single(T.cat(reference_boxes), T.cat(proposals))
        return T.split(codes, [len(boxes) for boxes in reference_boxes])

    def encode_single(self, reference_boxes: Tensor, proposals: Tensor) -> Tensor:
        """``reference_boxes`` relative to ``proposals``. Shape: ``(N, 4), (N, 4) -> (N, 4)``."""
        to, of = (box_convert(b, "xyxy", "cxcywh") for b in (reference_boxes, proposals))
        shifts = (to[:, :2] - of[:, :2]) / of[:, 2:]
        weights = T.as_tensor(self.weights, dtype=to.dtype, device=to.device)
        return T.cat([shifts, (to[:, 2:] / of[:, 2:]).log()], 1) * weights

    def decode(self, rel_codes: Tensor, boxes: list[Tensor]) -> Tensor:
        """`decode_single` of all images' boxes. Shape: ``(N, 4 * C) -> (N, C, 4)``."""
        of = T.cat(boxes)
        return self.decode_single(rel_codes.reshape(len(of), -1), of).reshape(len(of), -1, 4)

    def decode_single(self, rel_codes: Tensor, boxes: Tensor) -> Tensor:
        """The boxes that C codes each, relative to ``boxes``, stand for. Shape:
        ``(N, 4 * C), (N, 4) -> (N, 4 * C)``.
        """
        of = box_convert(boxes.to(rel_codes.dtype), "xyxy", "cxcywh").unsqueeze(1)  # (N, 1, 4)
        weights = T.as_tensor(self.weights, dtype=of.dtype, device=of.device)
        codes = rel_codes.reshape(len(of), rel_codes.shape[1] // 4, 4) / weights  # (N, C, 4)
        centre = codes[..., :2] * of[..., 2:] + of[..., :2]
        half = codes[..., 2:].clamp(max=self.bbox_xform_clip).exp() * of[..., 2:] * 0.5
        return T.cat([centre - half, centre + half], 2).flatten(1)


class BoxLinearCoder:
    """Boxes as distances of their sides from another box's centre.

    Args:
        normalize_by_size: count in widths and heights of the other box.
    """

    def __init__(self, normalize_by_size: bool = True) -> None:
        self.normalize_by_size = normalize_by_size

    def _centres(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Centre, and the unit that distances are counted in. Shape: ``(..., 2)`` each."""
        of = box_convert(boxes, "xyxy", "cxcywh")
        return of[..., :2], of[..., 2:] if self.normalize_by_size else T.ones_like(of[..., 2:])

    def encode(self, reference_boxes: Tensor, proposals: Tensor) -> Tensor:
        """Left, top, right and bottom of ``reference_boxes`` from the centres of ``proposals``.
        Shape: ``(..., 4)``.
        """
        centre, unit = self._centres(proposals.to(reference_boxes.dtype))
        before = (centre - reference_boxes[..., :2]) / unit
        return T.cat([before, (reference_boxes[..., 2:] - centre) / unit], -1)

    def decode(self, rel_codes: Tensor, boxes: Tensor) -> Tensor:
        """The boxes whose sides lie so far from the centres of ``boxes``. Shape: ``(..., 4)``."""
        centre, unit = self._centres(boxes.to(rel_codes.dtype))
        before, after = rel_codes[..., :2] * unit, rel_codes[..., 2:] * unit
        return T.cat([centre - before, centre + after], -1)


class Matcher:
    """Which object each box is to find: the one that it overlaps most, if it does so enough.

    Args:
        high_threshold: overlaps from this on are enough.
        low_threshold: with overlaps below this, a box has no object; in between it is ignored.
        allow_low_quality_matches: also match to each object the boxes that overlap it most,
            however little that is.
    """

    BELOW_LOW_THRESHOLD = -1
    BETWEEN_THRESHOLDS = -2

    def __init__(
        self,
        high_threshold: float,
        low_threshold: float,
        allow_low_quality_matches: bool = False,
    ) -> None:
        if low_threshold > high_threshold:
            raise AssertionError(
                f"Matcher: low_threshold is {low_threshold}; it should be at most high_threshold, "
                f"{high_threshold}."
            )
        self.high_threshold, self.low_threshold = high_threshold, low_threshold
        self.allow_low_quality_matches = allow_low_quality_matches

    def __call__(self, match_quality_matrix: Tensor) -> Tensor:
        """Of overlaps ``(M objects, N boxes)``, each box's object, or -1 for none, -2 where it is
        to be ignored. Shape: ``(N,)``.
        """
        if not match_quality_matrix.numel():
            what = "ground-truth" if not match_quality_matrix.shape[0] else "proposal"
            raise ValueError(f"No {what} boxes available for one of the images during training")
        best, nearest = match_quality_matrix.max(0)
        matches = nearest.masked_fill(best < self.high_threshold, self.BETWEEN_THRESHOLDS)
        matches[best < self.low_threshold] = self.BELOW_LOW_THRESHOLD
        if self.allow_low_quality_matches:
            closest = match_quality_matrix == match_quality_matrix.amax(1, keepdim=True)
            matches = T.where(closest.any(0), nearest, matches)
        return matches


class SSDMatcher(Matcher):
    """A `Matcher` of one threshold that gives every object the box that overlaps it most."""

    def __init__(self, threshold: float) -> None:
        super().__init__(threshold, threshold)

    def __call__(self, match_quality_matrix: Tensor) -> Tensor:
        matches = super().__call__(match_quality_matrix)
        closest = match_quality_matrix.argmax(1)
        matches[closest] = T.arange(len(closest), device=matches.device)
        return matches


def retrieve_out_channels(model: nn.Module, size: tuple[int, int]) -> list[int]:
    """Channels of each of the features that a model gives, tried on an image of ``(W, H)``."""
    training = model.training
    model.eval()
    with no_grad():
        parameter = next(model.parameters())
        features = model(parameter.new_zeros((1, 3, size[1], size[0])))
    model.train(training)
    found = [features] if isinstance(features, Tensor) else features.values()
    return [feature.shape[1] for feature in found]


def _topk_min(input: Tensor, orig_kval: int, axis: int) -> int:
    """``orig_kval``, or how many elements there are along a dim where that is less."""
    return min(orig_kval, input.shape[axis])


BOX_LOSSES = {
    "giou": generalized_box_iou_loss,
    "diou": distance_box_iou_loss,
    "ciou": complete_box_iou_loss,
}


def _box_loss(
    type: str,
    box_coder: BoxCoder,
    anchors_per_image: Tensor,
    matched_gt_boxes_per_image: Tensor,
    bbox_regression_per_image: Tensor,
    cnf: dict[str, float] | None = None,
) -> Tensor:
    """The summed loss of codes relative to anchors: "l1" or "smooth_l1" of the codes, or "giou",
    "diou" or "ciou" of the boxes. ``cnf`` may hold "beta" and "eps".
    """
    options = cnf or {}
    if type in ("l1", "smooth_l1"):
        wanted = box_coder.encode_single(matched_gt_boxes_per_image, anchors_per_image)
        if type == "l1":
            return F.l1_loss(bbox_regression_per_image, wanted, reduction="sum")
        beta = options.get("beta", 1.0)
        return F.smooth_l1_loss(bbox_regression_per_image, wanted, reduction="sum", beta=beta)
    if type not in BOX_LOSSES:
        raise ValueError(f"Unsupported loss {type}; expected l1, smooth_l1, giou, diou or ciou.")
    boxes = box_coder.decode_single(bbox_regression_per_image, anchors_per_image)
    eps: Any = options.get("eps", 1e-7)
    return BOX_LOSSES[type](boxes, matched_gt_boxes_per_image, reduction="sum", eps=eps)
