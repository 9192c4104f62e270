"""Proposals: boxes that might hold an object, whatever it is."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from rushlight import dtypes, nn, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.vision.models.detection import _utils as detection
from rushlight.vision.models.detection.anchor_utils import AnchorGenerator as AnchorGenerator
from rushlight.vision.models.detection.image_list import ImageList
from rushlight.vision.ops import (
    Conv2dNormActivation,
    batched_nms,
    box_iou,
    clip_boxes_to_image,
    remove_small_boxes,
)

__all__ = ["AnchorGenerator", "RPNHead", "RegionProposalNetwork"]

FLOAT32, INT64 = dtypes.by_name["float32"], dtypes.by_name["int64"]


class RPNHead(nn.Module):
    """How likely each anchor holds an object, and which box it is, relative to the anchor.

    Args:
        in_channels: of the features.
        num_anchors: at each place.
        conv_depth: how many convolutions come first.
    """

    _version = 2

    def __init__(self, in_channels: int, num_anchors: int, conv_depth: int = 1) -> None:
        super().__init__()
        layers = [
            Conv2dNormActivation(in_channels, in_channels, 3, norm_layer=None)
            for _ in range(conv_depth)
        ]
        self.conv = nn.Sequential(*layers)
        self.cls_logits = nn.Conv2d(in_channels, num_anchors, 1)
        self.bbox_pred = nn.Conv2d(in_channels, num_anchors * 4, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Any, *rest: Any
    ) -> None:
        if (local_metadata.get("version") or 1) < 2:  # there was a convolution, not a list of them
            for kind in ("weight", "bias"):
                if f"{prefix}conv.{kind}" in state_dict:
                    kept = state_dict.pop(f"{prefix}conv.{kind}")
                    state_dict[f"{prefix}conv.0.0.{kind}"] = kept
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        inner = [self.conv(feature) for feature in x]
        return [self.cls_logits(t) for t in inner], [self.bbox_pred(t) for t in inner]


def permute_and_flatten(layer: Tensor, N: int, A: int, C: int, H: int, W: int) -> Tensor:
    """What a convolution says of A boxes at each place, box by box. Shape:
    ``(N, A * C, H, W) -> (N, H * W * A, C)``.
    """
    return layer.view(N, -1, C, H, W).permute(0, 3, 4, 1, 2).reshape(N, -1, C)


def concat_box_prediction_layers(
    box_cls: list[Tensor], box_regression: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """What was said of all features' boxes, image by image. Shape: ``(N * boxes, classes)`` and
    ``(N * boxes, 4)``.
    """
    classes, codes = [], []
    for scores, regression in zip(box_cls, box_regression, strict=True):
        n, channels, h, w = scores.shape
        anchors = regression.shape[1] // 4
        classes.append(permute_and_flatten(scores, n, anchors, channels // anchors, h, w))
        codes.append(permute_and_flatten(regression, n, anchors, 4, h, w))
    return T.cat(classes, 1).flatten(0, -2), T.cat(codes, 1).reshape(-1, 4)


class RegionProposalNetwork(nn.Module):
    """Boxes of a head's that are likely to hold an object, without most of those that overlap.

    Args:
        anchor_generator: makes the boxes that the head speaks of.
        head: gives objectness and codes of each of the features.
        fg_iou_thresh: overlap with an object from which on an anchor is to find it.
        bg_iou_thresh: overlap with objects below which it is to find none.
        batch_size_per_image: anchors of an image that the loss looks at.
        positive_fraction: how large a part of them is to find an object, at most.
        pre_nms_top_n: how many of each of the features' boxes are considered, under "training" and
            "testing".
        post_nms_top_n: how many of an image's are kept.
        nms_thresh: overlap from which on the less likely box is left out.
        score_thresh: boxes less likely than that are left out.

    Reference: Ren et al., 2015, arXiv:1506.01497, section 3.1.
    """

    def __init__(
        self,
        anchor_generator: AnchorGenerator,
        head: nn.Module,
        fg_iou_thresh: float,
        bg_iou_thresh: float,
        batch_size_per_image: int,
        positive_fraction: float,
        pre_nms_top_n: dict[str, int],
        post_nms_top_n: dict[str, int],
        nms_thresh: float,
        score_thresh: float = 0.0,
    ) -> None:
        super().__init__()
        self.anchor_generator, self.head = anchor_generator, head
        self.box_coder = detection.BoxCoder((1.0, 1.0, 1.0, 1.0))
        self.box_similarity = box_iou
        self.proposal_matcher = detection.Matcher(
            fg_iou_thresh, bg_iou_thresh, allow_low_quality_matches=True
        )
        self.fg_bg_sampler = detection.BalancedPositiveNegativeSampler(
            batch_size_per_image, positive_fraction
        )
        self._pre_nms_top_n, self._post_nms_top_n = pre_nms_top_n, post_nms_top_n
        self.nms_thresh, self.score_thresh, self.min_size = nms_thresh, score_thresh, 1e-3

    def pre_nms_top_n(self) -> int:
        """How many of each of the features' boxes are considered now."""
        return self._pre_nms_top_n["training" if self.training else "testing"]

    def post_nms_top_n(self) -> int:
        """How many of an image's boxes are kept now."""
        return self._post_nms_top_n["training" if self.training else "testing"]

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """For each image's anchors: 1 for an object, 0 for none, -1 for neither; and the box of the
        object (any, where there is none).
        """
        labels, wanted = [], []
        for boxes, target in zip(anchors, targets, strict=True):
            objects = target["boxes"]
            if not objects.numel():
                labels.append(T.zeros(len(boxes), dtype=FLOAT32, device=boxes.device))
                wanted.append(T.zeros_like(boxes))
                continue
            matches = self.proposal_matcher(self.box_similarity(objects, boxes))
            label = (matches >= 0).to(FLOAT32)
            label[matches == self.proposal_matcher.BETWEEN_THRESHOLDS] = -1.0
            labels.append(label)
            wanted.append(objects[matches.clamp(min=0)])
        return labels, wanted

    def _get_top_n_idx(self, objectness: Tensor, num_anchors_per_level: list[int]) -> Tensor:
        """The likeliest of each of the features' boxes. Shape: ``(N, boxes)`` -> fewer of them."""
        found, first = [], 0
        for scores in objectness.split(num_anchors_per_level, 1):
            count = detection._topk_min(scores, self.pre_nms_top_n(), 1)
            found.append(scores.topk(count, dim=1)[1] + first)
            first += scores.shape[1]
        return T.cat(found, 1)

    def filter_proposals(
        self,
        proposals: Tensor,
        objectness: Tensor,
        image_shapes: list[tuple[int, int]],
        num_anchors_per_level: list[int],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Each image's proposals, the likeliest first, and how likely they are."""
        objectness = objectness.detach().reshape(len(proposals), -1)
        levels = T.cat(
            [
                T.full((n,), i, dtype=INT64, device=proposals.device)
                for i, n in enumerate(num_anchors_per_level)
            ]
        )
        top = self._get_top_n_idx(objectness, num_anchors_per_level)
        found, likely = [], []
        for i, shape in enumerate(image_shapes):
            boxes = clip_boxes_to_image(proposals[i, top[i]], shape)
            scores, level = objectness[i, top[i]].sigmoid(), levels[top[i]]
            keep = remove_small_boxes(boxes, self.min_size)
            keep = keep[scores[keep] >= self.score_thresh]
            boxes, scores, level = boxes[keep], scores[keep], level[keep]
            keep = batched_nms(boxes, scores, level, self.nms_thresh)[: self.post_nms_top_n()]
            found.append(boxes[keep])
            likely.append(scores[keep])
        return found, likely

    def compute_loss(
        self,
        objectness: Tensor,
        pred_bbox_deltas: Tensor,
        labels: list[Tensor],
        regression_targets: Any,
    ) -> tuple[Tensor, Tensor]:
        """The loss of being an object, and of the boxes of those that are."""
        masks = self.fg_bg_sampler(labels)
        positive, negative = (T.where(T.cat(mask))[0] for mask in masks)
        sampled = T.cat([positive, negative])
        box_loss = F.smooth_l1_loss(
            pred_bbox_deltas[positive], T.cat(list(regression_targets))[positive],
            beta=1 / 9, reduction="sum",
        ) / sampled.numel()  # fmt: skip
        objectness_loss = F.binary_cross_entropy_with_logits(
            objectness.flatten()[sampled], T.cat(labels)[sampled]
        )
        return objectness_loss, box_loss

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Each image's proposals, ``(boxes, 4)``, and in training the losses."""
        maps = list(features.values())
        scores, codes = self.head(maps)
        anchors = self.anchor_generator(images, maps)
        per_level = [score[0].numel() for score in scores]
        objectness, deltas = concat_box_prediction_layers(scores, codes)
        proposals = self.box_coder.decode(deltas.detach(), anchors).view(len(anchors), -1, 4)
        boxes, _ = self.filter_proposals(proposals, objectness, images.image_sizes, per_level)
        if not self.training:
            return boxes, {}
        if targets is None:
            raise ValueError("targets should not be None")
        labels, wanted = self.assign_targets_to_anchors(anchors, targets)
        losses = self.compute_loss(
            objectness, deltas, labels, self.box_coder.encode(wanted, anchors)
        )
        return boxes, OrderedDict(loss_objectness=losses[0], loss_rpn_box_reg=losses[1])
