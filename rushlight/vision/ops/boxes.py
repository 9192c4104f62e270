"""Rectangles: areas, overlaps, suppression of near duplicates."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes, tensor_api as T
from rushlight.core.tensor import Tensor, wrap

__all__ = [
    "batched_nms", "box_area", "box_convert", "box_iou", "clip_boxes_to_image",
    "complete_box_iou", "distance_box_iou", "generalized_box_iou", "masks_to_boxes", "nms",
    "remove_small_boxes",
]  # fmt: skip

INT32, INT64 = dtypes.by_name["int32"], dtypes.by_name["int64"]


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of boxes that no better box overlaps, the best first.

    Args:
        boxes: ``(N, 4)``.
        scores: ``(N)``; of equals the earlier is taken first.
        iou_threshold: boxes that overlap a chosen one by more than this are dropped.

    Example:
        >>> import rushlight as torch
        >>> from rushlight.vision.ops import nms
        >>> boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
        >>> nms(boxes, torch.tensor([0.5, 0.9, 0.3]), 0.5)
        tensor([1, 2])
    """
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        raise RuntimeError(f"nms: boxes should be (N, 4), but have shape {tuple(boxes.shape)}")
    if scores.shape != boxes.shape[:1]:
        raise RuntimeError(
            f"nms: {boxes.shape[0]} boxes need as many scores, but scores have shape "
            f"{tuple(scores.shape)}"
        )
    corners, area = boxes._array, box_area(boxes)._array
    left = np.argsort(-scores._array, kind="stable")
    chosen = []
    while left.size:
        best, left = left[0], left[1:]
        chosen.append(best)
        low = np.maximum(corners[best, :2], corners[left, :2])
        high = np.minimum(corners[best, 2:], corners[left, 2:])
        common = np.prod(np.maximum(high - low, 0), axis=1)
        left = left[common <= iou_threshold * (area[best] + area[left] - common)]
    return wrap(np.array(chosen, np.int64))


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """`nms` within each category.

    Args:
        boxes: ``(N, 4)``.
        scores: ``(N)``.
        idxs: ``(N)``, the category of each box.
        iou_threshold: as of `nms`.

    Example:
        >>> from rushlight.vision import ops
        >>> boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9]])
        >>> scores, kinds = torch.tensor([0.9, 0.8]), torch.tensor([0, 1])
        >>> ops.batched_nms(boxes, scores, kinds, 0.5)
        tensor([0, 1])
    """
    if not boxes.numel():
        return T.empty(0, dtype=INT64)
    shift = idxs.to(boxes.dtype) * (boxes.max() + 1)  # categories lie apart, so they do not overlap
    return nms(boxes + shift[:, None], scores, iou_threshold)


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """Indices of the boxes with both sides at least ``min_size``.

    Example:
        >>> from rushlight.vision import ops
        >>> boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 5.0, 5.0]])
        >>> ops.remove_small_boxes(boxes, 2)
        tensor([1])
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    return T.where((sides >= min_size).all(1))[0]


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes cut at the border of an image of ``size`` (height, width), in pixels.

    Example:
        >>> from rushlight.vision import ops
        >>> ops.clip_boxes_to_image(torch.tensor([[-1.0, 2.0, 9.0, 9.0]]), (5, 8))
        tensor([[0., 2., 8., 5.]])
    """
    height, width = size
    parts = [boxes[..., i].clamp(min=0, max=limit) for i, limit in enumerate((width, height) * 2)]
    return T.stack(parts, -1)


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Boxes in another notation.

    Args:
        boxes: ``(..., 4)``.
        in_fmt: "xyxy" (corners), "xywh" (corner and size) or "cxcywh" (centre and size).
        out_fmt: likewise.

    Example:
        >>> from rushlight.vision import ops
        >>> ops.box_convert(torch.tensor([[1.0, 1.0, 2.0, 3.0]]), "xywh", "xyxy")
        tensor([[1., 1., 3., 4.]])
    """
    for name in (in_fmt, out_fmt):
        if name not in ("xyxy", "xywh", "cxcywh"):
            raise ValueError(
                f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt "
                f"{out_fmt}"
            )
    if in_fmt == out_fmt:
        return boxes.clone()
    a, b, c, d = boxes.unbind(-1)
    if in_fmt == "xywh":
        a, b, c, d = a, b, a + c, b + d
    elif in_fmt == "cxcywh":
        a, b, c, d = a - 0.5 * c, b - 0.5 * d, a + 0.5 * c, b + 0.5 * d
    if out_fmt == "xywh":
        a, b, c, d = a, b, c - a, d - b
    elif out_fmt == "cxcywh":
        a, b, c, d = (a + c) / 2, (b + d) / 2, c - a, d - b
    return T.stack([a, b, c, d], -1)


def box_area(boxes: Tensor) -> Tensor:
    """Areas. Shape: ``(N, 4) -> (N)``.

    Example:
        >>> from rushlight.vision import ops
        >>> ops.box_area(torch.tensor([[0.0, 0.0, 2.0, 3.0]]))
        tensor([6.])
    """
    if not boxes.is_floating_point():
        boxes = boxes if boxes.dtype in (INT32, INT64) else boxes.int()
    elif boxes.element_size() < 4:
        boxes = boxes.float()
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _common_and_union(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    """Areas of intersections and unions. Shape: ``(N, 4), (M, 4) -> (N, M)`` each."""
    low = T.max(boxes1[..., None, :2], boxes2[..., None, :, :2])
    high = T.min(boxes1[..., None, 2:], boxes2[..., None, :, 2:])
    sides = (high - low).clamp(min=0)
    common = sides[..., 0] * sides[..., 1]
    return common, box_area(boxes1)[..., None] + box_area(boxes2)[..., None, :] - common


def box_iou(boxes1: Tensor, boxes2: Tensor, fmt: str = "xyxy") -> Tensor:
    """Intersection over union of all pairs. Shape: ``(N, 4), (M, 4) -> (N, M)``.

    Args:
        boxes1: ``(N, 4)``.
        boxes2: ``(M, 4)``.
        fmt: notation of both, as of `box_convert`.

    Example:
        >>> from rushlight.vision import ops
        >>> boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 3.0]])
        >>> ops.box_iou(boxes, boxes)
        tensor([[1.0000, 0.1429],
                [0.1429, 1.0000]])
    """
    if fmt != "xyxy":
        boxes1, boxes2 = (box_convert(b, fmt, "xyxy") for b in (boxes1, boxes2))
    common, union = _common_and_union(boxes1, boxes2)
    return common / union


def _hull(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Sides of the smallest box around each pair. Shape: ``(N, M, 2)``."""
    low = T.min(boxes1[:, None, :2], boxes2[:, :2])
    high = T.max(boxes1[:, None, 2:], boxes2[:, 2:])
    return (high - low).clamp(min=0)


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """`box_iou` less the share of the hull that neither box covers. Shape: ``(N, M)``.

    Example:
        >>> from rushlight.vision import ops
        >>> boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 3.0]])
        >>> ops.generalized_box_iou(boxes, boxes)
        tensor([[ 1.0000, -0.0794],
                [-0.0794,  1.0000]])

    Reference: Rezatofighi et al., 2019, arXiv:1902.09630.
    """
    common, union = _common_and_union(boxes1, boxes2)
    sides = _hull(boxes1, boxes2)
    area = sides[..., 0] * sides[..., 1]
    return common / union - (area - union) / area


def distance_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """`box_iou` less the squared distance of the centres, as a share of the hull's diagonal.

    Reference: Zheng et al., 2020, arXiv:1911.08287.
    """
    sides = _hull(boxes1, boxes2)
    centres = [(b[:, :2] + b[:, 2:]) / 2 for b in (boxes1, boxes2)]
    distance = ((centres[0][:, None] - centres[1]) ** 2).sum(-1)
    return box_iou(boxes1, boxes2) - distance / ((sides**2).sum(-1) + eps)


def complete_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """`distance_box_iou` less a penalty for different proportions."""
    angles = [T.atan((b[:, 2] - b[:, 0]) / (b[:, 3] - b[:, 1])) for b in (boxes1, boxes2)]
    unlike = 4 / np.pi**2 * (angles[0][:, None] - angles[1]) ** 2
    overlap = box_iou(boxes1, boxes2)
    weight = (unlike / (1 - overlap + unlike + eps)).detach()
    return distance_box_iou(boxes1, boxes2, eps) - weight * unlike


def masks_to_boxes(masks: Tensor) -> Tensor:
    """The boxes around nonzero pixels, as float32. Shape: ``(N, H, W) -> (N, 4)``.

    Example:
        >>> from rushlight.vision import ops
        >>> mask = torch.zeros(1, 4, 4)
        >>> mask[0, 1:3, 2] = 1
        >>> ops.masks_to_boxes(mask)
        tensor([[2., 1., 2., 2.]])
    """
    out: Any = np.zeros((masks.shape[0], 4), np.float32)
    for box, mask in zip(out, masks._array, strict=True):
        y, x = np.nonzero(mask)
        box[:] = x.min(), y.min(), x.max(), y.max()
    return wrap(out)
