"""SSD: boxes of objects in one step, each feature with boxes of its size."""

from __future__ import annotations

from typing import Any

from rushlight import dtypes, nn, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.vision.models.detection import _utils as detection
from rushlight.vision.models.detection.anchor_utils import DefaultBoxGenerator
from rushlight.vision.models.detection.backbone_utils import detection_model
from rushlight.vision.models.detection.dense import DenseDetector, nearest, of_places
from rushlight.vision.models.detection.faster_rcnn import MEAN, STD
from rushlight.vision.models.detection.transform import GeneralizedRCNNTransform
from rushlight.vision.models.vgg import vgg16
from rushlight.vision.ops import batched_nms, clip_boxes_to_image

__all__ = ["SSD", "ssd300_vgg16"]

INT64 = dtypes.by_name["int64"]


def _xavier_init(conv: nn.Module) -> None:
    """Uniform weights of all convolutions, and biases of zero."""
    for layer in conv.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class SSDScoringHead(nn.Module):
    """For each of the features, a module that says ``num_columns`` numbers of each of its boxes.
    Shape: a list of ``(N, C_i, H_i, W_i) -> (N, boxes, num_columns)``.
    """

    def __init__(self, module_list: nn.ModuleList, num_columns: int) -> None:
        super().__init__()
        self.module_list, self.num_columns = module_list, num_columns

    def forward(self, x: list[Tensor]) -> Tensor:
        pairs = zip(self.module_list, x, strict=True)
        return of_places([module(feature) for module, feature in pairs], self.num_columns)


def scoring(in_channels: list[int], num_anchors: list[int], columns: int) -> nn.ModuleList:
    """A convolution for each of the features."""
    pairs = zip(in_channels, num_anchors, strict=True)
    modules = nn.ModuleList([nn.Conv2d(c, n * columns, 3, padding=1) for c, n in pairs])
    _xavier_init(modules)
    return modules


class SSDClassificationHead(SSDScoringHead):
    """Logits of each box's classes, 0 for no object."""

    def __init__(self, in_channels: list[int], num_anchors: list[int], num_classes: int) -> None:
        super().__init__(scoring(in_channels, num_anchors, num_classes), num_classes)


class SSDRegressionHead(SSDScoringHead):
    """Codes of each box."""

    def __init__(self, in_channels: list[int], num_anchors: list[int]) -> None:
        super().__init__(scoring(in_channels, num_anchors, 4), 4)


class SSDHead(nn.Module):
    """Codes and logits of all boxes, see `RetinaNetHead`.

    Args:
        in_channels: of each of the features.
        num_anchors: boxes at each of their places.
        num_classes: with the background, 0.
    """

    def __init__(self, in_channels: list[int], num_anchors: list[int], num_classes: int) -> None:
        super().__init__()
        self.classification_head = SSDClassificationHead(in_channels, num_anchors, num_classes)
        self.regression_head = SSDRegressionHead(in_channels, num_anchors)

    def forward(self, x: list[Tensor]) -> dict[str, Tensor]:
        return {
            "bbox_regression": self.regression_head(x),
            "cls_logits": self.classification_head(x),
        }


class SSD(DenseDetector):
    """A detector of objects in one step, in images of one size. Shape: a list of images
    ``(C, H, W)`` of values in [0, 1], see `FasterRCNN`.

    Args:
        backbone: makes features.
        anchor_generator: makes the boxes that the head speaks of.
        size: width and height that images are resized to.
        num_classes: with the background, 0.
        image_mean, image_std: of `GeneralizedRCNNTransform`, as are further keyword arguments.
        head: see `SSDHead`.
        score_thresh: what is less likely than that is not found.
        nms_thresh: overlap from which on the less likely of two of a class is left out.
        detections_per_img: how many objects an image has, at most.
        iou_thresh: overlap with an object from which on a box is to find it.
        topk_candidates: how many boxes of each class are considered.
        positive_fraction: of the boxes that the loss looks at, how many have an object.

    Reference: Liu et al., 2016, arXiv:1512.02325.
    """

    def __init__(
        self,
        backbone: Any,
        anchor_generator: DefaultBoxGenerator,
        size: tuple[int, int],
        num_classes: int,
        image_mean: list[float] | None = None,
        image_std: list[float] | None = None,
        head: nn.Module | None = None,
        score_thresh: float = 0.01,
        nms_thresh: float = 0.45,
        detections_per_img: int = 200,
        iou_thresh: float = 0.5,
        topk_candidates: int = 400,
        positive_fraction: float = 0.25,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.backbone, self.anchor_generator = backbone, anchor_generator
        self.box_coder = detection.BoxCoder((10.0, 10.0, 5.0, 5.0))
        if head is None:
            channels = getattr(backbone, "out_channels", None)
            channels = channels or detection.retrieve_out_channels(backbone, size)
            at_each = anchor_generator.num_anchors_per_location()
            if len(channels) != len(at_each):
                raise AssertionError(
                    f"SSD: the backbone makes {len(channels)} features, but anchor_generator has "
                    f"boxes for {len(at_each)}."
                )
            head = SSDHead(channels, at_each, num_classes)
        self.head = head
        self.proposal_matcher = detection.SSDMatcher(iou_thresh)
        self.transform = GeneralizedRCNNTransform(
            min(size), max(size), image_mean or MEAN, image_std or STD, size_divisible=1,
            fixed_size=size, **kwargs,
        )  # fmt: skip
        self.score_thresh, self.nms_thresh = score_thresh, nms_thresh
        self.detections_per_img, self.topk_candidates = detections_per_img, topk_candidates
        self.neg_to_pos_ratio = (1.0 - positive_fraction) / positive_fraction

    def compute_loss(
        self,
        targets: list[dict[str, Tensor]],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
    ) -> dict[str, Tensor]:
        """The loss of boxes with an object, and of the classes of those and the hardest without,
        over the number of the former.
        """
        matches = nearest(self.proposal_matcher, anchors, targets)
        logits, box_losses, wanted = head_outputs["cls_logits"], [], []
        for target, codes, boxes, match in zip(
            targets, head_outputs["bbox_regression"], anchors, matches, strict=True
        ):
            objects = T.where(match >= 0)[0]
            known = target["boxes"][match[objects]]
            code = self.box_coder.encode_single(known, boxes[objects])
            box_losses.append(F.smooth_l1_loss(codes[objects], code, reduction="sum"))
            classes = T.zeros(len(match), dtype=INT64, device=match.device)
            classes[objects] = target["labels"][match[objects]]
            wanted.append(classes)
        classes = T.stack(wanted)  # (N, boxes)
        losses = F.cross_entropy(
            logits.flatten(0, 1), classes.flatten(), reduction="none"
        ).view(classes.shape)  # fmt: skip
        objects = classes > 0
        hardest = losses.detach().masked_fill(objects, -float("inf")).argsort(1, descending=True)
        count = self.neg_to_pos_ratio * objects.sum(1, keepdim=True)
        negative = hardest.argsort(1) < count
        total = max(1, int(objects.sum()))
        return {
            "bbox_regression": T.stack(box_losses).sum() / total,
            "classification": (losses[objects].sum() + losses[negative].sum()) / total,
        }

    def found(
        self,
        outputs: dict[str, Tensor],
        anchors: list[Tensor],
        features: list[Tensor],
        shapes: list[tuple[int, int]],
    ) -> list[dict[str, Tensor]]:
        """Of the likeliest boxes of each class, those that no likelier one overlaps."""
        likely, found = outputs["cls_logits"].softmax(-1), []
        parts = zip(likely, outputs["bbox_regression"], anchors, shapes, strict=True)
        for all_scores, codes, starts, shape in parts:
            boxes = clip_boxes_to_image(self.box_coder.decode_single(codes, starts), shape)
            best: list[list[Tensor]] = [[], [], []]
            for label in range(1, all_scores.shape[1]):
                scores = all_scores[:, label]
                places = T.where(scores > self.score_thresh)[0]
                count = detection._topk_min(places, self.topk_candidates, 0)
                top, order = scores[places].topk(count)
                labels = T.full_like(order, label)
                for part, values in zip(best, (boxes[places[order]], top, labels), strict=True):
                    part.append(values)
            corners, top, labels = (T.cat(part) for part in best)
            keep = batched_nms(corners, top, labels, self.nms_thresh)[: self.detections_per_img]
            found.append({"boxes": corners[keep], "scores": top[keep], "labels": labels[keep]})
        return found


class SSDFeatureExtractorVGG(nn.Module):
    """Six features of a VGG with 16 layers and what follows it; seven for images of 512 pixels.

    Args:
        backbone: the features of the VGG.
        highres: whether there are seven.
    """

    def __init__(self, backbone: nn.Sequential, highres: bool) -> None:
        super().__init__()
        pools = [i for i, layer in enumerate(backbone) if isinstance(layer, nn.MaxPool2d)]
        backbone[pools[2]].ceil_mode = True  # 75 pixels become 38
        self.scale_weight = nn.Parameter(T.ones(512) * 20)
        self.features = nn.Sequential(*backbone[: pools[3]])
        extra = nn.ModuleList([
            narrowed(1024, 256, 512, padding=1, stride=2),
            narrowed(512, 128, 256, padding=1, stride=2),
            narrowed(256, 128, 256),
            narrowed(256, 128, 256),
        ])  # fmt: skip
        if highres:
            extra.append(narrowed(256, 128, 256, size=4))
        _xavier_init(extra)
        wide = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1),
            nn.Conv2d(512, 1024, 3, padding=6, dilation=6),
            nn.ReLU(inplace=True),
            nn.Conv2d(1024, 1024, 1),
            nn.ReLU(inplace=True),
        )
        _xavier_init(wide)
        extra.insert(0, nn.Sequential(*backbone[pools[3] : -1], wide))
        self.extra = extra

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.features(x)
        found = [self.scale_weight.view(1, -1, 1, 1) * F.normalize(x)]
        for block in self.extra:
            x = block(x)
            found.append(x)
        return {str(i): feature for i, feature in enumerate(found)}


def narrowed(channels: int, inner: int, out: int, size: int = 3, **options: int) -> nn.Sequential:
    """A convolution that makes fewer channels, and one that makes the features smaller."""
    return nn.Sequential(
        nn.Conv2d(channels, inner, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(inner, out, size, **options),
        nn.ReLU(inplace=True),
    )


@detection_model()
def ssd300_vgg16(*, num_classes: int | None, **kwargs: Any) -> SSD:
    """SSD on a VGG of 16 layers, in images of 300 by 300 pixels."""
    backbone = SSDFeatureExtractorVGG(vgg16().features, False)
    boxes = DefaultBoxGenerator(
        [[2], [2, 3], [2, 3], [2, 3], [2], [2]],
        scales=[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05],
        steps=[8, 16, 32, 64, 100, 300],
    )
    scaling = {"image_mean": [0.48235, 0.45882, 0.40784], "image_std": [1 / 255] * 3}
    return SSD(backbone, boxes, (300, 300), num_classes or 91, **{**scaling, **kwargs})
