"""Faster R-CNN: boxes of objects, in two steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight import nn
from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.vision.models.detection.anchor_utils import AnchorGenerator
from rushlight.vision.models.detection.backbone_utils import (
    _mobilenet_extractor,
    _resnet_fpn_extractor,
    detection_model,
)
from rushlight.vision.models.detection.generalized_rcnn import GeneralizedRCNN
from rushlight.vision.models.detection.roi_heads import RoIHeads
from rushlight.vision.models.detection.rpn import RegionProposalNetwork, RPNHead
from rushlight.vision.models.detection.transform import GeneralizedRCNNTransform
from rushlight.vision.models.mobilenetv3 import mobilenet_v3_large
from rushlight.vision.models.resnet import resnet50
from rushlight.vision.ops import Conv2dNormActivation, MultiScaleRoIAlign

__all__ = [
    "FasterRCNN", "fasterrcnn_mobilenet_v3_large_320_fpn", "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2",
]  # fmt: skip

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # of ImageNet's photographs


def _default_anchorgen() -> AnchorGenerator:
    """Squares of one area, and their stretched forms, for each of five features."""
    return AnchorGenerator(((32,), (64,), (128,), (256,), (512,)), ((0.5, 1.0, 2.0),) * 5)


def pooling(size: int) -> MultiScaleRoIAlign:
    """Parts of regions in a pyramid's features."""
    return MultiScaleRoIAlign(["0", "1", "2", "3"], output_size=size, sampling_ratio=2)


class FasterRCNN(GeneralizedRCNN):
    """A detector of objects. Shape: a list of images ``(C, H, W)`` of values in [0, 1], and in
    training a list of dicts with "boxes" ``(N, 4)``, corners in pixels, and "labels" ``(N,)`` from
    1 on -> losses in training, otherwise dicts of boxes, labels and scores.

    Args:
        backbone: makes features, and has ``out_channels``.
        num_classes: with the background, 0; None where ``box_predictor`` is given.
        min_size, max_size, image_mean, image_std: of `GeneralizedRCNNTransform`, as are further
            keyword arguments.
        rpn_anchor_generator, rpn_head: of `RegionProposalNetwork`, as are the other arguments that
            begin so.
        box_roi_pool, box_head, box_predictor: of `RoIHeads`, as are the other arguments that begin
            so.
        bbox_reg_weights: weights of the codes of boxes.

    Example:
        >>> import rushlight as torch
        >>> from rushlight.vision.models.detection import FasterRCNN
        >>> from rushlight.vision.models.detection.anchor_utils import AnchorGenerator
        >>> net = torch.nn.Conv2d(3, 8, 16, stride=16)
        >>> net.out_channels = 8
        >>> anchors = AnchorGenerator(sizes=((16, 32),))
        >>> model = FasterRCNN(net, 3, min_size=64, rpn_anchor_generator=anchors).eval()
        >>> found, = model([torch.rand(3, 64, 80)])
        >>> sorted(found)
        ['boxes', 'labels', 'scores']

    Reference: Ren et al., 2015, arXiv:1506.01497.
    """

    def __init__(
        self,
        backbone: Any,
        num_classes: int | None = None,
        min_size: Any = 800,
        max_size: int = 1333,
        image_mean: list[float] | None = None,
        image_std: list[float] | None = None,
        rpn_anchor_generator: AnchorGenerator | None = None,
        rpn_head: nn.Module | None = None,
        rpn_pre_nms_top_n_train: int = 2000,
        rpn_pre_nms_top_n_test: int = 1000,
        rpn_post_nms_top_n_train: int = 2000,
        rpn_post_nms_top_n_test: int = 1000,
        rpn_nms_thresh: float = 0.7,
        rpn_fg_iou_thresh: float = 0.7,
        rpn_bg_iou_thresh: float = 0.3,
        rpn_batch_size_per_image: int = 256,
        rpn_positive_fraction: float = 0.5,
        rpn_score_thresh: float = 0.0,
        box_roi_pool: nn.Module | None = None,
        box_head: nn.Module | None = None,
        box_predictor: nn.Module | None = None,
        box_score_thresh: float = 0.05,
        box_nms_thresh: float = 0.5,
        box_detections_per_img: int = 100,
        box_fg_iou_thresh: float = 0.5,
        box_bg_iou_thresh: float = 0.5,
        box_batch_size_per_image: int = 512,
        box_positive_fraction: float = 0.25,
        bbox_reg_weights: tuple[float, float, float, float] | None = None,
        **kwargs: Any,
    ) -> None:
        expect_channels(backbone)
        given = ((AnchorGenerator, rpn_anchor_generator), (MultiScaleRoIAlign, box_roi_pool))
        for kind, value in given:
            if value is not None and not isinstance(value, kind):
                raise TypeError(
                    f"FasterRCNN: expected a {kind.__name__} or None, not {type(value).__name__}"
                )
        if (num_classes is None) == (box_predictor is None):
            raise ValueError(
                "num_classes should not be None when box_predictor is not specified"
                if num_classes is None
                else "num_classes should be None when box_predictor is specified"
            )
        channels = backbone.out_channels
        anchors = _default_anchorgen() if rpn_anchor_generator is None else rpn_anchor_generator
        if rpn_head is None:
            rpn_head = RPNHead(channels, anchors.num_anchors_per_location()[0])
        rpn = RegionProposalNetwork(
            anchors, rpn_head, rpn_fg_iou_thresh, rpn_bg_iou_thresh, rpn_batch_size_per_image,
            rpn_positive_fraction,
            {"training": rpn_pre_nms_top_n_train, "testing": rpn_pre_nms_top_n_test},
            {"training": rpn_post_nms_top_n_train, "testing": rpn_post_nms_top_n_test},
            rpn_nms_thresh, score_thresh=rpn_score_thresh,
        )  # fmt: skip
        box_roi_pool = pooling(7) if box_roi_pool is None else box_roi_pool
        if box_head is None:
            rows, columns = box_roi_pool.output_size
            box_head = TwoMLPHead(channels * rows * columns, 1024)
        if box_predictor is None:
            box_predictor = FastRCNNPredictor(1024, num_classes)  # type: ignore[arg-type]
        heads = RoIHeads(
            box_roi_pool, box_head, box_predictor, box_fg_iou_thresh, box_bg_iou_thresh,
            box_batch_size_per_image, box_positive_fraction, bbox_reg_weights, box_score_thresh,
            box_nms_thresh, box_detections_per_img,
        )  # fmt: skip
        mean, std = image_mean or MEAN, image_std or STD
        transform = GeneralizedRCNNTransform(min_size, max_size, mean, std, **kwargs)
        super().__init__(backbone, rpn, heads, transform)


def expect_channels(backbone: Any) -> None:
    """Raise unless a backbone says how many channels its features have."""
    if not hasattr(backbone, "out_channels"):
        raise ValueError(
            "backbone should contain an attribute out_channels specifying the number of output "
            "channels (assumed to be the same for all the levels)"
        )


class TwoMLPHead(nn.Module):
    """Two linear layers. Shape: ``(N, ...) -> (N, representation_size)``.

    Args:
        in_channels: elements of a region's features.
        representation_size: of the results.
    """

    def __init__(self, in_channels: int, representation_size: int) -> None:
        super().__init__()
        self.fc6 = nn.Linear(in_channels, representation_size)
        self.fc7 = nn.Linear(representation_size, representation_size)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.fc7(F.relu(self.fc6(x.flatten(1)))))


class FastRCNNConvFCHead(nn.Sequential):
    """Convolutions, then linear layers. Shape: ``(N, C, H, W) -> (N, last of fc_layers)``.

    Args:
        input_size: C, H and W.
        conv_layers: channels of the convolutions.
        fc_layers: features of the linear layers.
        norm_layer: what makes the convolutions' normalisations; None for none.
    """

    def __init__(
        self,
        input_size: tuple[int, int, int],
        conv_layers: list[int],
        fc_layers: list[int],
        norm_layer: Callable[..., nn.Module] | None = None,
    ) -> None:
        channels, rows, columns = input_size
        layers: list[nn.Module] = []
        for wide in conv_layers:
            layers.append(Conv2dNormActivation(channels, wide, norm_layer=norm_layer))
            channels = wide
        layers.append(nn.Flatten())
        features = channels * rows * columns
        for wide in fc_layers:
            layers += [nn.Linear(features, wide), nn.ReLU(inplace=True)]
            features = wide
        super().__init__(*layers)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


class FastRCNNPredictor(nn.Module):
    """Logits of classes, and codes of a box for each class. Shape: ``(N, in_channels)`` ->
    ``(N, num_classes), (N, 4 * num_classes)``.

    Args:
        in_channels: of a region's features.
        num_classes: with the background, 0.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(in_channels, num_classes)
        self.bbox_pred = nn.Linear(in_channels, num_classes * 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.dim() == 4 and tuple(x.shape[2:]) != (1, 1):
            raise AssertionError(
                f"x has the wrong shape, expecting the last two dimensions to be [1,1] instead of "
                f"{list(x.shape[2:])}"
            )
        x = x.flatten(1)
        return self.cls_score(x), self.bbox_pred(x)


@detection_model()
def fasterrcnn_resnet50_fpn(*, num_classes: int | None, **kwargs: Any) -> FasterRCNN:
    """Faster R-CNN on a ResNet of 50 layers with a pyramid."""
    backbone = _resnet_fpn_extractor(resnet50(), 5)
    return FasterRCNN(backbone, num_classes or 91, **kwargs)


@detection_model(pretrained_backbone=False)
def fasterrcnn_resnet50_fpn_v2(*, num_classes: int | None, **kwargs: Any) -> FasterRCNN:
    """As ``fasterrcnn_resnet50_fpn``, with deeper heads and more normalisations.

    Reference: Li et al., 2021, arXiv:2111.11429.
    """
    return FasterRCNN(num_classes=num_classes or 91, **second_version(), **kwargs)


def second_version() -> dict[str, Any]:
    """The backbone and heads of detectors whose builders end in ``_v2``."""
    backbone = _resnet_fpn_extractor(resnet50(), 5, norm_layer=nn.BatchNorm2d)
    anchors = _default_anchorgen()
    channels = backbone.out_channels
    return {
        "backbone": backbone,
        "rpn_anchor_generator": anchors,
        "rpn_head": RPNHead(channels, anchors.num_anchors_per_location()[0], conv_depth=2),
        "box_head": FastRCNNConvFCHead(
            (channels, 7, 7), [256] * 4, [1024], norm_layer=nn.BatchNorm2d
        ),
    }


def _on_mobilenet(num_classes: int | None, options: dict[str, Any]) -> FasterRCNN:
    backbone = _mobilenet_extractor(mobilenet_v3_large(norm_layer=nn.BatchNorm2d), True, 6)
    anchors = AnchorGenerator(((32, 64, 128, 256, 512),) * 3, ((0.5, 1.0, 2.0),) * 3)
    return FasterRCNN(backbone, num_classes or 91, rpn_anchor_generator=anchors, **options)


@detection_model()
def fasterrcnn_mobilenet_v3_large_320_fpn(*, num_classes: int | None, **kwargs: Any) -> FasterRCNN:
    """Faster R-CNN for small images, on a large MobileNet of the third version."""
    small = {"min_size": 320, "max_size": 640, "rpn_score_thresh": 0.05}
    few = {"rpn_pre_nms_top_n_test": 150, "rpn_post_nms_top_n_test": 150}
    return _on_mobilenet(num_classes, {**small, **few, **kwargs})


@detection_model()
def fasterrcnn_mobilenet_v3_large_fpn(*, num_classes: int | None, **kwargs: Any) -> FasterRCNN:
    """Faster R-CNN on a large MobileNet of the third version with a pyramid."""
    return _on_mobilenet(num_classes, {"rpn_score_thresh": 0.05, **kwargs})
