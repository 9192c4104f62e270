"""What proposals hold: classes, boxes, and masks and key points."""

from __future__ import annotations

from typing import Any

from rushlight import dtypes, nn, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.vision.models.detection import _utils as detection
from rushlight.vision.models.detection.keypoints import (
    heatmaps_to_keypoints as heatmaps_to_keypoints,
    keypointrcnn_inference,
    keypointrcnn_loss,
    keypoints_to_heatmap as keypoints_to_heatmap,
)
from rushlight.vision.models.detection.masks import (
    expand_boxes as expand_boxes,
    expand_masks as expand_masks,
    maskrcnn_inference,
    maskrcnn_loss,
    paste_mask_in_image as paste_mask_in_image,
    paste_masks_in_image as paste_masks_in_image,
    project_masks_on_boxes as project_masks_on_boxes,
)
from rushlight.vision.ops import batched_nms, box_iou, clip_boxes_to_image, remove_small_boxes

__all__ = ["RoIHeads", "fastrcnn_loss"]

FLOAT32, INT64 = dtypes.by_name["float32"], dtypes.by_name["int64"]


def fastrcnn_loss(
    class_logits: Tensor,
    box_regression: Tensor,
    labels: list[Tensor],
    regression_targets: list[Tensor],
) -> tuple[Tensor, Tensor]:
    """The loss of the classes, and of the boxes of objects, over the number of proposals.

    Args:
        class_logits: ``(N, classes)``.
        box_regression: codes for every class, ``(N, 4 * classes)``.
        labels: each image's classes, 0 for no object.
        regression_targets: each image's codes, ``(n, 4)``.
    """
    classes, wanted = T.cat(labels), T.cat(list(regression_targets))
    objects = T.where(classes > 0)[0]
    codes = box_regression.reshape(len(class_logits), -1, 4)[objects, classes[objects]]
    box_loss = F.smooth_l1_loss(codes, wanted[objects], beta=1 / 9, reduction="sum")
    return F.cross_entropy(class_logits, classes), box_loss / classes.numel()


class RoIHeads(nn.Module):
    """Classes and boxes of proposals, and masks and key points where there are heads for them.

    Args:
        box_roi_pool: features of proposals.
        box_head: makes vectors of them.
        box_predictor: makes logits of classes and codes of boxes of those.
        fg_iou_thresh: overlap with an object from which on a proposal is to find it.
        bg_iou_thresh: overlap with objects below which it is to find none.
        batch_size_per_image: proposals of an image that losses look at.
        positive_fraction: how large a part of them is to find an object, at most.
        bbox_reg_weights: of the codes, (10, 10, 5, 5) by default.
        score_thresh: what is less likely than that is not found.
        nms_thresh: overlap from which on the less likely of two of a class is left out.
        detections_per_img: how many objects an image has, at most.
        mask_roi_pool, mask_head, mask_predictor: the same for masks, or None.
        keypoint_roi_pool, keypoint_head, keypoint_predictor: the same for key points, or None.

    Reference: Girshick, 2015, arXiv:1504.08083; He et al., 2017, arXiv:1703.06870.
    """

    def __init__(
        self,
        box_roi_pool: nn.Module,
        box_head: nn.Module,
        box_predictor: nn.Module,
        fg_iou_thresh: float,
        bg_iou_thresh: float,
        batch_size_per_image: int,
        positive_fraction: float,
        bbox_reg_weights: tuple[float, float, float, float] | None,
        score_thresh: float,
        nms_thresh: float,
        detections_per_img: int,
        mask_roi_pool: nn.Module | None = None,
        mask_head: nn.Module | None = None,
        mask_predictor: nn.Module | None = None,
        keypoint_roi_pool: nn.Module | None = None,
        keypoint_head: nn.Module | None = None,
        keypoint_predictor: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.box_similarity = box_iou
        self.proposal_matcher = detection.Matcher(fg_iou_thresh, bg_iou_thresh)
        self.fg_bg_sampler = detection.BalancedPositiveNegativeSampler(
            batch_size_per_image, positive_fraction
        )
        self.box_coder = detection.BoxCoder(bbox_reg_weights or (10.0, 10.0, 5.0, 5.0))
        self.box_roi_pool, self.box_head = box_roi_pool, box_head
        self.box_predictor = box_predictor
        self.score_thresh, self.nms_thresh = score_thresh, nms_thresh
        self.detections_per_img = detections_per_img
        self.mask_roi_pool, self.mask_head = mask_roi_pool, mask_head
        self.mask_predictor = mask_predictor
        self.keypoint_roi_pool, self.keypoint_head = keypoint_roi_pool, keypoint_head
        self.keypoint_predictor = keypoint_predictor

    def has_mask(self) -> bool:
        """Whether there is all that masks need."""
        return None not in (self.mask_roi_pool, self.mask_head, self.mask_predictor)

    def has_keypoint(self) -> bool:
        """Whether there is all that key points need."""
        return None not in (self.keypoint_roi_pool, self.keypoint_head, self.keypoint_predictor)

    def assign_targets_to_proposals(
        self, proposals: list[Tensor], gt_boxes: list[Tensor], gt_labels: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Each proposal's object, the first where there is none, and its class: 0 for no object,
        -1 for one to be ignored.
        """
        objects, labels = [], []
        for boxes, known, classes in zip(proposals, gt_boxes, gt_labels, strict=True):
            if not known.numel():
                matches = T.full((len(boxes),), -1, dtype=INT64, device=boxes.device)
                label = T.zeros_like(matches)
            else:
                matches = self.proposal_matcher(self.box_similarity(known, boxes))
                label = classes[matches.clamp(min=0)].to(INT64)
                label[matches == self.proposal_matcher.BELOW_LOW_THRESHOLD] = 0
                label[matches == self.proposal_matcher.BETWEEN_THRESHOLDS] = -1
            objects.append(matches.clamp(min=0))
            labels.append(label)
        return objects, labels

    def subsample(self, labels: list[Tensor]) -> list[Tensor]:
        """For each image, which proposals the losses look at."""
        pairs = zip(*self.fg_bg_sampler(labels), strict=True)
        return [T.where(with_object | without)[0] for with_object, without in pairs]

    def add_gt_proposals(self, proposals: list[Tensor], gt_boxes: list[Tensor]) -> list[Tensor]:
        """The proposals and the objects' own boxes."""
        return [T.cat(pair) for pair in zip(proposals, gt_boxes, strict=True)]

    def check_targets(self, targets: list[dict[str, Tensor]] | None) -> None:
        """Raise where something that is to be learnt is not said."""
        if targets is None:
            raise ValueError("targets should not be None")
        wanted = ["boxes", "labels"] + ["masks"] * self.has_mask()
        for name in wanted:
            if not all([name in target for target in targets]):
                raise ValueError(f"Every element of targets should have a {name} key")

    def select_training_samples(
        self, proposals: list[Tensor], targets: list[dict[str, Tensor]] | None
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], tuple[Tensor, ...]]:
        """Proposals that the losses look at, their objects, classes and codes."""
        self.check_targets(targets)
        assert targets is not None
        boxes = [target["boxes"].to(proposals[0].dtype) for target in targets]
        classes = [target["labels"] for target in targets]
        proposals = self.add_gt_proposals(proposals, boxes)
        objects, labels = self.assign_targets_to_proposals(proposals, boxes, classes)
        sampled = self.subsample(labels)
        proposals, labels, objects = (
            [part[k] for part, k in zip(parts, sampled, strict=True)]
            for parts in (proposals, labels, objects)
        )
        wanted = []
        for known, matches in zip(boxes, objects, strict=True):
            wanted.append((known if known.numel() else known.new_zeros((1, 4)))[matches])
        return proposals, objects, labels, self.box_coder.encode(wanted, proposals)

    def postprocess_detections(
        self,
        class_logits: Tensor,
        box_regression: Tensor,
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """What was found in each image, the likeliest first: boxes, scores and classes."""
        counts = [len(boxes) for boxes in proposals]
        decoded = self.box_coder.decode(box_regression, proposals).split(counts)
        likely = class_logits.softmax(-1).split(counts)
        found: tuple[list[Tensor], ...] = ([], [], [])
        for boxes, scores, shape in zip(decoded, likely, image_shapes, strict=True):
            classes = T.arange(scores.shape[1], device=scores.device).expand_as(scores)
            boxes = clip_boxes_to_image(boxes, shape)[:, 1:].reshape(-1, 4)  # 0: no object
            scores, classes = scores[:, 1:].flatten(), classes[:, 1:].flatten()
            keep = T.where(scores > self.score_thresh)[0]
            keep = keep[remove_small_boxes(boxes[keep], 1e-2)]
            best = batched_nms(boxes[keep], scores[keep], classes[keep], self.nms_thresh)
            keep = keep[best[: self.detections_per_img]]
            for part, values in zip(found, (boxes, scores, classes), strict=True):
                part.append(values[keep])
        return found  # type: ignore[return-value]

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """What was found in each image, and in training the losses instead."""
        for target in targets or ():
            self._check_dtypes(target)
        objects: list[Tensor] = []
        if self.training:
            proposals, objects, labels, codes = self.select_training_samples(proposals, targets)
        pooled = self.box_roi_pool(features, proposals, image_shapes)
        logits, regression = self.box_predictor(self.box_head(pooled))
        result: list[dict[str, Tensor]] = []
        losses = {}
        if self.training:
            both = fastrcnn_loss(logits, regression, labels, list(codes))
            losses = {"loss_classifier": both[0], "loss_box_reg": both[1]}
            # only proposals with an object have masks and key points
            keep = [T.where(label > 0)[0] for label in labels]
            proposals = [p[k] for p, k in zip(proposals, keep, strict=True)]
            objects = [o[k] for o, k in zip(objects, keep, strict=True)]
        else:
            found = self.postprocess_detections(logits, regression, proposals, image_shapes)
            names = ("boxes", "labels", "scores")
            result = [
                dict(zip(names, (b, c, s), strict=True)) for b, s, c in zip(*found, strict=True)
            ]
            proposals = found[0]
        where: Any = (features, proposals, image_shapes)
        if self.has_mask():
            losses.update(self._masks(where, objects, targets, result))
        if self.has_keypoint():
            losses.update(self._keypoints(where, objects, targets, result))
        return result, losses

    def _check_dtypes(self, target: dict[str, Tensor]) -> None:
        if not target["boxes"].is_floating_point():
            raise TypeError(
                f"target boxes must be of float type, instead got {target['boxes'].dtype}"
            )
        if target["labels"].dtype != INT64:
            raise TypeError(
                f"target labels must be of int64 type, but are {target['labels'].dtype}"
            )
        if self.has_keypoint() and target["keypoints"].dtype != FLOAT32:
            raise TypeError(
                f"target keypoints must be of float type, instead got {target['keypoints'].dtype}"
            )

    def _masks(
        self, where: Any, objects: list[Tensor], targets: Any, result: list[dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """The loss of the masks; in inference none, but the results have their masks then."""
        logits = self.mask_predictor(self.mask_head(self.mask_roi_pool(*where)))  # type: ignore[misc]
        if self.training:
            masks, labels = ([target[name] for target in targets] for name in ("masks", "labels"))
            return {"loss_mask": maskrcnn_loss(logits, where[1], masks, labels, objects)}
        masks = maskrcnn_inference(logits, [found["labels"] for found in result])
        for found, mask in zip(result, masks, strict=True):
            found["masks"] = mask
        return {}

    def _keypoints(
        self, where: Any, objects: list[Tensor], targets: Any, result: list[dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """The loss of the key points; in inference none, but the results have theirs then."""
        logits = self.keypoint_predictor(self.keypoint_head(self.keypoint_roi_pool(*where)))  # type: ignore[misc]
        if self.training:
            points = [target["keypoints"] for target in targets]
            return {"loss_keypoint": keypointrcnn_loss(logits, where[1], points, objects)}
        parts = zip(result, *keypointrcnn_inference(logits, where[1]), strict=True)
        for found, points, scores in parts:
            found["keypoints"], found["keypoints_scores"] = points, scores
        return {}
