"""Key points of objects: maps of where they may be."""

from __future__ import annotations

from rushlight import dtypes, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F

__all__ = [
    "heatmaps_to_keypoints", "keypointrcnn_inference", "keypointrcnn_loss", "keypoints_to_heatmap",
]  # fmt: skip

FLOAT32 = dtypes.by_name["float32"]


def keypoints_to_heatmap(
    keypoints: Tensor, rois: Tensor, heatmap_size: int
) -> tuple[Tensor, Tensor]:
    """In which cell of its box's map each key point lies, and 1 where it is visible and in the box.

    Args:
        keypoints: x, y and visibility, ``(N, K, 3)``.
        rois: the boxes, ``(N, 4)``.
        heatmap_size: cells of a row and a column.

    Returns: rows times ``heatmap_size`` plus columns, and the mask; ``(N, K)`` both.
    """
    first, last = rois[:, None, :2], rois[:, None, 2:]
    places = keypoints[..., :2]
    cells = ((places - first) * (heatmap_size / (last - first))).floor().long()
    cells = T.where(places == last, heatmap_size - 1, cells)  # the border belongs to the box
    inside = ((cells >= 0) & (cells < heatmap_size)).all(-1)
    valid = (inside & (keypoints[..., 2] > 0)).long()
    return (cells[..., 1] * heatmap_size + cells[..., 0]) * valid, valid


def heatmaps_to_keypoints(maps: Tensor, rois: Tensor) -> tuple[Tensor, Tensor]:
    """Where maps, enlarged to their boxes, are largest: x, y and 1, and the values there. Shape:
    ``(N, K, M, M), (N, 4) -> (N, K, 3), (N, K)``.
    """
    sides = (rois[:, 2:] - rois[:, :2]).clamp(min=1)
    pixels = sides.ceil()
    count = maps.shape[1]
    places = T.zeros((len(rois), count, 2), dtype=FLOAT32, device=maps.device)
    scores = T.zeros((len(rois), count), dtype=FLOAT32, device=maps.device)
    for i, (width, height) in enumerate(pixels.long().tolist()):
        size = (height, width)
        enlarged = F.interpolate(maps[i][None], size, mode="bicubic", align_corners=False)[0]
        scores[i], best = enlarged.flatten(1).max(1)
        cells = T.stack([best % width, best // width], 1)
        places[i] = (cells.float() + 0.5) * (sides[i] / pixels[i]) + rois[i, :2]
    return T.cat([places, T.ones_like(places[..., :1])], -1), scores


def keypointrcnn_loss(
    keypoint_logits: Tensor,
    proposals: list[Tensor],
    gt_keypoints: list[Tensor],
    keypoint_matched_idxs: list[Tensor],
) -> Tensor:
    """Cross entropy of the cells in which visible key points lie.

    Args:
        keypoint_logits: of all proposals, ``(N, K, M, M)``.
        proposals: each image's boxes.
        gt_keypoints: of each image's objects, ``(objects, K, 3)``.
        keypoint_matched_idxs: the object of each proposal.
    """
    rows, columns = keypoint_logits.shape[-2:]
    if rows != columns:
        raise ValueError(
            f"keypoint_logits should be square in their last two dims, but are {rows} by {columns}"
        )
    parts = zip(gt_keypoints, proposals, keypoint_matched_idxs, strict=True)
    pairs = [keypoints_to_heatmap(points[i], boxes, rows) for points, boxes, i in parts]
    cells = T.cat([cell.flatten() for cell, _ in pairs])
    seen = T.where(T.cat([valid.flatten() for _, valid in pairs]))[0]
    if not keypoint_logits.numel() or not len(seen):
        return keypoint_logits.sum() * 0  # of no points, but in the graph
    return F.cross_entropy(keypoint_logits.reshape(-1, rows * columns)[seen], cells[seen])


def keypointrcnn_inference(x: Tensor, boxes: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Each image's key points and their scores, see `heatmaps_to_keypoints`."""
    maps = x.split([len(part) for part in boxes])
    found = [heatmaps_to_keypoints(m, b) for m, b in zip(maps, boxes, strict=True)]
    return [points for points, _ in found], [scores for _, scores in found]
