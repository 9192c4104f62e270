"""FCOS: boxes of objects in one step, from places within them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rushlight import dtypes, nn, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.vision.models.detection import _utils as detection
from rushlight.vision.models.detection.anchor_utils import AnchorGenerator
from rushlight.vision.models.detection.backbone_utils import detection_model, upper_stages
from rushlight.vision.models.detection.dense import DenseDetector, of_places
from rushlight.vision.models.detection.faster_rcnn import MEAN, STD, expect_channels
from rushlight.vision.models.detection.retinanet import prior
from rushlight.vision.models.detection.transform import GeneralizedRCNNTransform
from rushlight.vision.ops import box_area, box_convert, generalized_box_iou_loss, sigmoid_focal_loss

__all__ = ["FCOS", "fcos_resnet50_fpn"]

FLOAT32, INT64 = dtypes.by_name["float32"], dtypes.by_name["int64"]


class FCOSHead(nn.Module):
    """Logits of classes, sides of a box and its centredness at every place. Shape: a list of
    ``(N, in_channels, H, W)`` -> a dict of "cls_logits" ``(N, places, num_classes)``,
    "bbox_regression" ``(N, places, 4)`` and "bbox_ctrness" ``(N, places, 1)``.

    Args:
        in_channels: of the features.
        num_anchors: boxes at each place.
        num_classes: with class 0, which is not used.
        num_convs: how many convolutions each half has.
    """

    def __init__(
        self, in_channels: int, num_anchors: int, num_classes: int, num_convs: int = 4
    ) -> None:
        super().__init__()
        self.box_coder = detection.BoxLinearCoder(normalize_by_size=True)
        shared = (in_channels, num_anchors)
        self.classification_head = FCOSClassificationHead(*shared, num_classes, num_convs)
        self.regression_head = FCOSRegressionHead(*shared, num_convs)

    def compute_loss(
        self,
        targets: list[dict[str, Tensor]],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:
        """The focal loss of the classes, that of the boxes' overlap, and the cross entropy of how
        central places are in their objects; over the number of those places.
        """
        objects = T.stack(matched_idxs) >= 0  # (N, places)
        boxes, labels = [], []
        for target, matches in zip(targets, matched_idxs, strict=True):
            mine = matches[matches >= 0]
            boxes.append(target["boxes"][mine])
            labels.append(target["labels"][mine])
        known, starts = T.cat(boxes), T.stack(anchors)[objects]  # (objects, 4)
        logits = head_outputs["cls_logits"]
        wanted = T.zeros_like(logits)
        wanted[(*T.where(objects), T.cat(labels))] = 1.0
        decoded = self.box_coder.decode(head_outputs["bbox_regression"][objects], starts)
        sides = self.box_coder.encode(known, starts)
        across = [
            T.minimum(sides[:, k], sides[:, k + 2]) / T.maximum(sides[:, k], sides[:, k + 2])
            for k in (0, 1)
        ]
        central = head_outputs["bbox_ctrness"].squeeze(2)[objects]
        losses = {
            "classification": sigmoid_focal_loss(logits, wanted, reduction="sum"),
            "bbox_regression": generalized_box_iou_loss(decoded, known, reduction="sum"),
            "bbox_ctrness": F.binary_cross_entropy_with_logits(
                central, (across[0] * across[1]).sqrt(), reduction="sum"
            ),
        }
        return {name: loss / max(1, len(known)) for name, loss in losses.items()}

    def forward(self, x: list[Tensor]) -> dict[str, Tensor]:
        classes = self.classification_head(x)
        boxes, central = self.regression_head(x)
        return {"cls_logits": classes, "bbox_regression": boxes, "bbox_ctrness": central}


def tower(
    in_channels: int, num_convs: int, norm_layer: Callable[..., nn.Module] | None
) -> nn.Sequential:
    """Convolutions, each with a normalisation: by default of groups of channels."""
    norm_layer = partial(nn.GroupNorm, 32) if norm_layer is None else norm_layer
    layers: list[nn.Module] = []
    for _ in range(num_convs):
        layers += [nn.Conv2d(in_channels, in_channels, 3, padding=1), norm_layer(in_channels)]
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def draw_weights(layers: Any) -> None:
    """Small normal weights of convolutions, and biases of zero."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)


class FCOSClassificationHead(nn.Module):
    """Logits of classes at every place.

    Args:
        in_channels: of the features.
        num_anchors: boxes at each place.
        num_classes: with class 0, which is not used.
        num_convs: how many convolutions come first.
        prior_probability: of every class, in the beginning.
        norm_layer: what makes normalisations.
    """

    def __init__(
        self,
        in_channels: int,
        num_anchors: int,
        num_classes: int,
        num_convs: int = 4,
        prior_probability: float = 0.01,
        norm_layer: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.num_classes, self.num_anchors = num_classes, num_anchors
        self.conv = tower(in_channels, num_convs, norm_layer)
        draw_weights(self.conv)
        self.cls_logits = nn.Conv2d(in_channels, num_anchors * num_classes, 3, padding=1)
        nn.init.normal_(self.cls_logits.weight, std=0.01)
        nn.init.constant_(self.cls_logits.bias, prior(prior_probability))

    def forward(self, x: list[Tensor]) -> Tensor:
        return of_places([self.cls_logits(self.conv(t)) for t in x], self.num_classes)


class FCOSRegressionHead(nn.Module):
    """Sides of a box at every place, as distances, and how central the place is in an object.

    Args:
        in_channels: of the features.
        num_anchors: boxes at each place.
        num_convs: how many convolutions come first.
        norm_layer: what makes normalisations.
    """

    def __init__(
        self,
        in_channels: int,
        num_anchors: int,
        num_convs: int = 4,
        norm_layer: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.conv = tower(in_channels, num_convs, norm_layer)
        self.bbox_reg = nn.Conv2d(in_channels, num_anchors * 4, 3, padding=1)
        self.bbox_ctrness = nn.Conv2d(in_channels, num_anchors, 3, padding=1)
        draw_weights([self.bbox_reg, self.bbox_ctrness, *self.conv])

    def forward(self, x: list[Tensor]) -> tuple[Tensor, Tensor]:
        inner = [self.conv(t) for t in x]
        boxes = of_places([F.relu(self.bbox_reg(t)) for t in inner], 4)
        return boxes, of_places([self.bbox_ctrness(t) for t in inner], 1)


class FCOS(DenseDetector):
    """A detector of objects in one step, without overlaps of anchors: each place near the middle
    of an object finds that. Shape: a list of images ``(C, H, W)`` of values in [0, 1], see
    `FasterRCNN`.

    Args:
        backbone: makes features, and has ``out_channels``.
        num_classes: with class 0, which is not used.
        min_size, max_size, image_mean, image_std: of `GeneralizedRCNNTransform`, as are further
            keyword arguments.
        anchor_generator: makes one square at each place: its centre and unit of length.
        head: see `FCOSHead`.
        center_sampling_radius: how far from the middle of an object places find it, in units.
        score_thresh: what is less likely than that is not found.
        nms_thresh: overlap from which on the less likely of two of a class is left out.
        detections_per_img: how many objects an image has, at most.
        topk_candidates: how many of each of the features' boxes are considered.

    Reference: Tian et al., 2019, arXiv:1904.01355.
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
        center_sampling_radius: float = 1.5,
        score_thresh: float = 0.2,
        nms_thresh: float = 0.6,
        detections_per_img: int = 100,
        topk_candidates: int = 1000,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        expect_channels(backbone)
        if anchor_generator is None:
            anchor_generator = AnchorGenerator(((8,), (16,), (32,), (64,), (128,)), ((1.0,),) * 5)
        at_each = anchor_generator.num_anchors_per_location()[0]
        if at_each != 1:
            raise AssertionError(f"FCOS: anchor_generator makes {at_each} boxes at a place, not 1.")
        self.backbone, self.anchor_generator = backbone, anchor_generator
        if head is None:
            head = FCOSHead(backbone.out_channels, at_each, num_classes)
        self.head = head
        self.box_coder = detection.BoxLinearCoder(normalize_by_size=True)
        self.decode = self.box_coder.decode
        self.transform = GeneralizedRCNNTransform(
            min_size, max_size, image_mean or MEAN, image_std or STD, **kwargs
        )
        self.center_sampling_radius = center_sampling_radius
        self.score_thresh, self.nms_thresh = score_thresh, nms_thresh
        self.detections_per_img, self.topk_candidates = detections_per_img, topk_candidates

    def compute_loss(
        self,
        targets: list[dict[str, Tensor]],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
    ) -> dict[str, Tensor]:
        matches = [
            self.match(boxes, target["boxes"])
            for boxes, target in zip(anchors, targets, strict=True)
        ]
        losses: dict[str, Tensor] = self.head.compute_loss(targets, head_outputs, anchors, matches)
        return losses

    def match(self, anchors: Tensor, objects: Tensor) -> Tensor:
        """Which object each place is to find, -1 for none: of those whose middle is near and whose
        sides suit the feature's unit, the smallest. Shape: ``(places, 4), (M, 4) -> (places,)``.
        """
        if not len(objects):
            return T.full((len(anchors),), -1, dtype=INT64, device=anchors.device)
        middles, centres = (box_convert(b, "xyxy", "cxcywh")[:, :2] for b in (objects, anchors))
        unit = (anchors[:, 2] - anchors[:, 0])[:, None]  # (places, 1)
        away = (centres[:, None] - middles).abs().amax(2)  # (places, M)
        sides = T.cat([centres[:, None] - objects[:, :2], objects[:, 2:] - centres[:, None]], 2)
        least, most = unit * 4, unit * 8
        least[unit == unit.min()] = 0  # of the largest features, also small objects; ...
        most[unit == unit.max()] = float("inf")  # ... of the smallest, all large ones
        longest = sides.amax(2)
        fits = (away < self.center_sampling_radius * unit) & (sides.amin(2) > 0)
        fits &= (longest > least) & (longest < most)
        areas = box_area(objects).to(FLOAT32).masked_fill(~fits, float("inf"))
        smallest, matches = areas.min(1)
        return matches.masked_fill(smallest.isinf(), -1)

    def scores_of(self, level: dict[str, Tensor]) -> Tensor:
        return (level["cls_logits"].sigmoid() * level["bbox_ctrness"].sigmoid()).sqrt()


@detection_model()
def fcos_resnet50_fpn(*, num_classes: int | None, **kwargs: Any) -> FCOS:
    """FCOS on a ResNet of 50 layers with a pyramid."""
    return FCOS(upper_stages(256), num_classes or 91, **kwargs)
