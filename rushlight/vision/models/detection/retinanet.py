"""RetinaNet: boxes of objects in one step, with a loss that looks at hard ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from rushlight import nn, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.vision.models.detection import _utils as detection
from rushlight.vision.models.detection.anchor_utils import AnchorGenerator
from rushlight.vision.models.detection.backbone_utils import detection_model, upper_stages
from rushlight.vision.models.detection.dense import DenseDetector, nearest, of_places
from rushlight.vision.models.detection.faster_rcnn import MEAN, STD, expect_channels
from rushlight.vision.models.detection.transform import GeneralizedRCNNTransform
from rushlight.vision.ops import Conv2dNormActivation, sigmoid_focal_loss

__all__ = ["RetinaNet", "retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2"]


def _default_anchorgen() -> AnchorGenerator:
    """Boxes of three areas and three shapes for each of five features."""
    sides = [[x, int(x * 2 ** (1 / 3)), int(x * 2 ** (2 / 3))] for x in (32, 64, 128, 256, 512)]
    return AnchorGenerator(tuple(map(tuple, sides)), ((0.5, 1.0, 2.0),) * 5)


def prior(probability: float) -> float:
    """The logit of a probability: the first bias of classes, most of which are not there."""
    return -math.log((1 - probability) / probability)


class Tower(nn.Module):
    """Base of both heads: four convolutions.

    Args:
        in_channels: of the features.
        norm_layer: what makes their normalisations; None for none.
    """

    _version = 2

    def __init__(
        self, in_channels: int, norm_layer: Callable[..., nn.Module] | None = None
    ) -> None:
        super().__init__()
        layers = [
            Conv2dNormActivation(in_channels, in_channels, norm_layer=norm_layer) for _ in range(4)
        ]
        self.conv = nn.Sequential(*layers)

    def _draw_weights(self) -> None:
        for layer in self.conv.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Any, *rest: Any
    ) -> None:
        if (local_metadata.get("version") or 1) < 2:  # activations were counted, too
            for i in range(4):
                for kind in ("weight", "bias"):
                    old = f"{prefix}conv.{2 * i}.{kind}"
                    if old in state_dict:
                        state_dict[f"{prefix}conv.{i}.0.{kind}"] = state_dict.pop(old)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class RetinaNetClassificationHead(Tower):
    """Logits of each box's classes.

    Args:
        in_channels: of the features.
        num_anchors: boxes at each place.
        num_classes: with class 0, which is not used.
        prior_probability: of every class, in the beginning.
        norm_layer: what makes normalisations; None for none.
    """

    def __init__(
        self,
        in_channels: int,
        num_anchors: int,
        num_classes: int,
        prior_probability: float = 0.01,
        norm_layer: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__(in_channels, norm_layer)
        self._draw_weights()
        self.cls_logits = nn.Conv2d(in_channels, num_anchors * num_classes, 3, padding=1)
        nn.init.normal_(self.cls_logits.weight, std=0.01)
        nn.init.constant_(self.cls_logits.bias, prior(prior_probability))
        self.num_classes, self.num_anchors = num_classes, num_anchors
        self.BETWEEN_THRESHOLDS = detection.Matcher.BETWEEN_THRESHOLDS

    def compute_loss(
        self,
        targets: list[dict[str, Tensor]],
        head_outputs: dict[str, Tensor],
        matched_idxs: list[Tensor],
    ) -> Tensor:
        """The focal loss of each image's boxes over the number of those with an object."""
        losses = []
        for target, logits, matches in zip(
            targets, head_outputs["cls_logits"], matched_idxs, strict=True
        ):
            objects = T.where(matches >= 0)[0]
            wanted = T.zeros_like(logits)
            wanted[objects, target["labels"][matches[objects]]] = 1.0
            valid = matches != self.BETWEEN_THRESHOLDS
            loss = sigmoid_focal_loss(logits[valid], wanted[valid], reduction="sum")
            losses.append(loss / max(1, len(objects)))
        return T.stack(losses).sum() / max(1, len(losses))

    def forward(self, x: list[Tensor]) -> Tensor:
        return of_places([self.cls_logits(self.conv(t)) for t in x], self.num_classes)


class RetinaNetRegressionHead(Tower):
    """Codes of each box.

    Args:
        in_channels: of the features.
        num_anchors: boxes at each place.
        norm_layer: what makes normalisations; None for none.
    """

    def __init__(
        self,
        in_channels: int,
        num_anchors: int,
        norm_layer: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__(in_channels, norm_layer)
        self.bbox_reg = nn.Conv2d(in_channels, num_anchors * 4, 3, padding=1)
        nn.init.normal_(self.bbox_reg.weight, std=0.01)
        nn.init.zeros_(self.bbox_reg.bias)
        self._draw_weights()
        self.box_coder = detection.BoxCoder((1.0, 1.0, 1.0, 1.0))
        self._loss_type = "l1"

    def compute_loss(
        self,
        targets: list[dict[str, Tensor]],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> Tensor:
        """The loss of the boxes of each image's objects over their number."""
        losses = []
        for target, codes, boxes, matches in zip(
            targets, head_outputs["bbox_regression"], anchors, matched_idxs, strict=True
        ):
            objects = T.where(matches >= 0)[0]
            known = target["boxes"][matches[objects]]
            loss = detection._box_loss(
                self._loss_type, self.box_coder, boxes[objects], known, codes[objects]
            )
            losses.append(loss / max(1, len(objects)))
        return T.stack(losses).sum() / max(1, len(losses))

    def forward(self, x: list[Tensor]) -> Tensor:
        return of_places([self.bbox_reg(self.conv(t)) for t in x], 4)


class RetinaNetHead(nn.Module):
    """Logits and codes of the boxes at every place. Shape: a list of ``(N, in_channels, H, W)`` ->
    a dict of "cls_logits" ``(N, boxes, num_classes)`` and "bbox_regression" ``(N, boxes, 4)``.

    Args:
        in_channels: of the features.
        num_anchors: boxes at each place.
        num_classes: with class 0, which is not used.
        norm_layer: what makes normalisations; None for none.
    """

    def __init__(
        self,
        in_channels: int,
        num_anchors: int,
        num_classes: int,
        norm_layer: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.classification_head = RetinaNetClassificationHead(
            in_channels, num_anchors, num_classes, norm_layer=norm_layer
        )
        self.regression_head = RetinaNetRegressionHead(in_channels, num_anchors, norm_layer)

    def compute_loss(
        self,
        targets: list[dict[str, Tensor]],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:
        """Both heads' losses."""
        boxes = self.regression_head.compute_loss(targets, head_outputs, anchors, matched_idxs)
        classes = self.classification_head.compute_loss(targets, head_outputs, matched_idxs)
        return {"classification": classes, "bbox_regression": boxes}

    def forward(self, x: list[Tensor]) -> dict[str, Tensor]:
        return {
            "cls_logits": self.classification_head(x),
            "bbox_regression": self.regression_head(x),
        }


class RetinaNet(DenseDetector):
    """A detector of objects in one step. Shape: a list of images ``(C, H, W)`` of values in [0, 1],
    see `FasterRCNN`.

    Args:
        backbone: makes features, and has ``out_channels``.
        num_classes: with class 0, which is not used.
        min_size, max_size, image_mean, image_std: of `GeneralizedRCNNTransform`, as are further
            keyword arguments.
        anchor_generator: makes the boxes that the head speaks of.
        head: see `RetinaNetHead`.
        proposal_matcher: says which object each box is to find.
        score_thresh: what is less likely than that is not found.
        nms_thresh: overlap from which on the less likely of two of a class is left out.
        detections_per_img: how many objects an image has, at most.
        fg_iou_thresh: overlap with an object from which on a box is to find it.
        bg_iou_thresh: overlap with objects below which it is to find none.
        topk_candidates: how many of each of the features' boxes are considered.

    Reference: Lin et al., 2017, arXiv:1708.02002.
    """

    def __init__(
        self,
        backbone: Any,
        num_classes: int,
        min_size: Any = 800,
        max_size: int = 1333,
        image_mean: list[float] | None = None,
        image_std: list[float] | None = None,
        anchor_generator: AnchorGenerator | None = None,
        head: nn.Module | None = None,
        proposal_matcher: Any = None,
        score_thresh: float = 0.05,
        nms_thresh: float = 0.5,
        detections_per_img: int = 300,
        fg_iou_thresh: float = 0.5,
        bg_iou_thresh: float = 0.4,
        topk_candidates: int = 1000,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        expect_channels(backbone)
        anchors = _default_anchorgen() if anchor_generator is None else anchor_generator
        self.backbone, self.anchor_generator = backbone, anchors
        if head is None:
            at_each = anchors.num_anchors_per_location()[0]
            head = RetinaNetHead(backbone.out_channels, at_each, num_classes)
        self.head = head
        self.proposal_matcher = proposal_matcher or detection.Matcher(
            fg_iou_thresh, bg_iou_thresh, allow_low_quality_matches=True
        )
        self.box_coder = detection.BoxCoder((1.0, 1.0, 1.0, 1.0))
        self.decode = self.box_coder.decode_single
        self.transform = GeneralizedRCNNTransform(
            min_size, max_size, image_mean or MEAN, image_std or STD, **kwargs
        )
        self.score_thresh, self.nms_thresh = score_thresh, nms_thresh
        self.detections_per_img, self.topk_candidates = detections_per_img, topk_candidates

    def compute_loss(
        self,
        targets: list[dict[str, Tensor]],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
    ) -> dict[str, Tensor]:
        matches = nearest(self.proposal_matcher, anchors, targets)
        losses: dict[str, Tensor] = self.head.compute_loss(targets, head_outputs, anchors, matches)
        return losses


@detection_model()
def retinanet_resnet50_fpn(*, num_classes: int | None, **kwargs: Any) -> RetinaNet:
    """RetinaNet on a ResNet of 50 layers with a pyramid."""
    return RetinaNet(upper_stages(256), num_classes or 91, **kwargs)


@detection_model(pretrained_backbone=False)
def retinanet_resnet50_fpn_v2(*, num_classes: int | None, **kwargs: Any) -> RetinaNet:
    """As ``retinanet_resnet50_fpn``, with normalisations in the head, and a loss of overlaps.

    Reference: Zhang et al., 2019, arXiv:1912.02424.
    """
    backbone = upper_stages(2048)
    anchors = _default_anchorgen()
    head = RetinaNetHead(
        backbone.out_channels, anchors.num_anchors_per_location()[0], num_classes or 91,
        norm_layer=partial(nn.GroupNorm, 32),
    )  # fmt: skip
    head.regression_head._loss_type = "giou"
    return RetinaNet(backbone, num_classes or 91, anchor_generator=anchors, head=head, **kwargs)
