"""Masks of objects: what is to be learnt, and what was found."""

from __future__ import annotations

from typing import Any

from rushlight import dtypes, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.vision.ops import roi_align

__all__ = [
    "expand_boxes", "expand_masks", "maskrcnn_inference", "maskrcnn_loss", "paste_mask_in_image",
    "paste_masks_in_image", "project_masks_on_boxes",
]  # fmt: skip

INT64 = dtypes.by_name["int64"]


def maskrcnn_inference(x: Tensor, labels: list[Tensor]) -> list[Tensor]:
    """Of the masks of all classes, each object's. Shape: ``(N, C, M, M)`` -> ``(n, 1, M, M)`` for
    each image.
    """
    classes = T.cat(labels)
    own = x.sigmoid()[T.arange(len(classes), device=x.device), classes].unsqueeze(1)
    return list(own.split([len(part) for part in labels]))


def project_masks_on_boxes(gt_masks: Tensor, boxes: Tensor, matched_idxs: Tensor, M: int) -> Tensor:
    """The parts of objects' masks in boxes. Shape: ``(objects, H, W), (N, 4), (N,)`` ->
    ``(N, M, M)``.
    """
    rows = T.cat([matched_idxs.to(boxes)[:, None], boxes], 1)
    return roi_align(gt_masks[:, None].to(rows), rows, (M, M), 1.0)[:, 0]


def maskrcnn_loss(
    mask_logits: Tensor,
    proposals: list[Tensor],
    gt_masks: list[Tensor],
    gt_labels: list[Tensor],
    mask_matched_idxs: list[Tensor],
) -> Tensor:
    """Cross entropy of the pixels of the masks of the right class.

    Args:
        mask_logits: of all proposals, ``(N, C, M, M)``.
        proposals: each image's boxes.
        gt_masks: each image's objects, ``(objects, H, W)``.
        gt_labels: their classes.
        mask_matched_idxs: the object of each proposal.
    """
    own = [labels[i] for labels, i in zip(gt_labels, mask_matched_idxs, strict=True)]
    classes, size = T.cat(own), mask_logits.shape[-1]
    parts = zip(gt_masks, proposals, mask_matched_idxs, strict=True)
    wanted = T.cat([project_masks_on_boxes(*part, size) for part in parts])
    if not wanted.numel():
        return mask_logits.sum() * 0  # of no boxes, but in the graph
    logits = mask_logits[T.arange(len(classes), device=classes.device), classes]
    return F.binary_cross_entropy_with_logits(logits, wanted)


def expand_boxes(boxes: Tensor, scale: float) -> Tensor:
    """Boxes with the same centres, ``scale`` times as wide and high."""
    centre = (boxes[:, :2] + boxes[:, 2:]) * 0.5
    half = (boxes[:, 2:] - boxes[:, :2]) * 0.5 * scale
    return T.cat([centre - half, centre + half], 1)


def expand_masks(mask: Tensor, padding: int) -> tuple[Tensor, float]:
    """Masks with zeros around them, and how many times wider they are."""
    size = mask.shape[-1]
    return F.pad(mask, (padding,) * 4), (size + 2 * padding) / size


def paste_mask_in_image(mask: Tensor, box: Tensor, im_h: int, im_w: int) -> Tensor:
    """A mask resized to its box, in whole pixels, and zeros where the box is not. Shape:
    ``(M, M), (4,) -> (im_h, im_w)``.
    """
    left, top, right, bottom = box.tolist()
    size = (max(bottom - top + 1, 1), max(right - left + 1, 1))
    part = F.interpolate(mask[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
    image = mask.new_zeros((im_h, im_w))
    x, y = (max(left, 0), min(right + 1, im_w)), (max(top, 0), min(bottom + 1, im_h))
    image[y[0] : y[1], x[0] : x[1]] = part[y[0] - top : y[1] - top, x[0] - left : x[1] - left]
    return image


def paste_masks_in_image(masks: Tensor, boxes: Tensor, img_shape: Any, padding: int = 1) -> Tensor:
    """Masks at the size of the image. Shape: ``(N, 1, M, M), (N, 4) -> (N, 1, H, W)``.

    Args:
        masks: values in [0, 1] within the boxes.
        boxes: corners, in pixels.
        img_shape: height and width.
        padding: pixels of zeros around each mask, so that its border fades out.
    """
    masks, scale = expand_masks(masks, padding)
    corners = expand_boxes(boxes, scale).to(INT64)
    pasted = [
        paste_mask_in_image(mask[0], box, *img_shape)
        for mask, box in zip(masks, corners, strict=True)
    ]
    return T.stack(pasted)[:, None] if pasted else masks.new_empty((0, 1, *img_shape))
