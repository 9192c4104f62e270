"""Detectors in one step: a head that speaks of boxes at every place of every feature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight import dtypes, nn, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.vision.models.detection import _utils as detection
from rushlight.vision.models.detection.generalized_rcnn import Detector
from rushlight.vision.models.detection.rpn import permute_and_flatten
from rushlight.vision.ops import batched_nms, box_iou, clip_boxes_to_image

__all__ = ["DenseDetector", "of_places"]

INT64 = dtypes.by_name["int64"]


def of_places(results: list[Tensor], columns: int) -> Tensor:
    """What convolutions say of all features' boxes. Shape: ``(N, A * columns, H, W)`` of each ->
    ``(N, boxes, columns)``.
    """
    parts = []
    for t in results:
        n, channels, h, w = t.shape
        parts.append(permute_and_flatten(t, n, channels // columns, columns, h, w))
    return T.cat(parts, 1)


def nearest(matcher: Any, anchors: list[Tensor], targets: list[dict[str, Tensor]]) -> list[Tensor]:
    """Which of its image's objects each anchor is to find, see `_utils.Matcher`; -1 in images
    without any.
    """
    found = []
    for boxes, target in zip(anchors, targets, strict=True):
        if target["boxes"].numel():
            found.append(matcher(box_iou(target["boxes"], boxes)))
        else:
            found.append(T.full((len(boxes),), -1, dtype=INT64, device=boxes.device))
    return found


class DenseDetector(Detector):
    """Base of detectors in one step. A subclass has a ``backbone``, ``anchor_generator``, ``head``
    (with "cls_logits" and "bbox_regression", ``(N, boxes, ...)``), ``transform``, and says how
    losses are computed and boxes found.
    """

    backbone: nn.Module
    anchor_generator: Any
    head: Any
    decode: Callable[[Tensor, Tensor], Tensor]
    score_thresh: float
    nms_thresh: float
    topk_candidates: int
    detections_per_img: int

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None) -> Any:
        sizes, batch, targets = self.prepared(images, targets)
        features = list(self.features_of(batch).values())
        outputs = self.head(features)
        anchors = self.anchor_generator(batch, features)
        if self.training:
            assert targets is not None
            return self.compute_loss(targets, outputs, anchors)
        found = self.found(outputs, anchors, features, batch.image_sizes)
        return self.transform.postprocess(found, batch.image_sizes, sizes)

    def compute_loss(
        self,
        targets: list[dict[str, Tensor]],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
    ) -> dict[str, Tensor]:
        """The losses, by name."""
        raise NotImplementedError

    def found(
        self,
        outputs: dict[str, Tensor],
        anchors: list[Tensor],
        features: list[Tensor],
        shapes: list[tuple[int, int]],
    ) -> list[dict[str, Tensor]]:
        """What is found in each image: boxes, scores and classes."""
        places = [feature.shape[2] * feature.shape[3] for feature in features]
        at_each = len(anchors[0]) // sum(places)
        counts = [n * at_each for n in places]
        levels = {name: out.split(counts, 1) for name, out in outputs.items()}
        starts = [boxes.split(counts) for boxes in anchors]
        return self.postprocess_detections(levels, starts, shapes)

    def scores_of(self, level: dict[str, Tensor]) -> Tensor:
        """How likely boxes are, of what the head said of them. Shape: ``(boxes, classes)``."""
        return level["cls_logits"].sigmoid()

    def postprocess_detections(
        self,
        head_outputs: dict[str, Any],
        anchors: list[Any],
        image_shapes: list[tuple[int, int]],
    ) -> list[dict[str, Tensor]]:
        """Of the likeliest boxes of each of the features, those that no likelier one overlaps."""
        found = []
        for image, (starts, shape) in enumerate(zip(anchors, image_shapes, strict=True)):
            parts = []
            for k, boxes in enumerate(starts):
                level = {name: out[k][image] for name, out in head_outputs.items()}
                parts.append(self._candidates(level, boxes, shape))
            boxes, scores, labels = (T.cat(part) for part in zip(*parts, strict=True))
            keep = batched_nms(boxes, scores, labels, self.nms_thresh)[: self.detections_per_img]
            found.append({"boxes": boxes[keep], "scores": scores[keep], "labels": labels[keep]})
        return found

    def _candidates(
        self, level: dict[str, Tensor], anchors: Tensor, shape: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        scores = self.scores_of(level)
        classes, scores = scores.shape[1], scores.flatten()
        likely = T.where(scores > self.score_thresh)[0]
        count = detection._topk_min(likely, self.topk_candidates, 0)
        scores, order = scores[likely].topk(count)
        likely = likely[order]
        place = likely // classes
        boxes = self.decode(level["bbox_regression"][place], anchors[place])
        return clip_boxes_to_image(boxes, shape), scores, likely % classes
