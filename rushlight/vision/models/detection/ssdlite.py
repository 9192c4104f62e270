"""SSD of separable convolutions, for small computers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rushlight import nn
from rushlight.core.tensor import Tensor
from rushlight.vision.models.detection import _utils as detection
from rushlight.vision.models.detection.anchor_utils import DefaultBoxGenerator
from rushlight.vision.models.detection.backbone_utils import detection_model
from rushlight.vision.models.detection.ssd import SSD, SSDScoringHead
from rushlight.vision.models.mobilenetv3 import mobilenet_v3_large
from rushlight.vision.models.segmentation._utils import stages_of_mobilenet
from rushlight.vision.ops import Conv2dNormActivation

__all__ = ["ssdlite320_mobilenet_v3_large"]

Norm = Callable[..., nn.Module]


def _normal_init(conv: nn.Module) -> None:
    """Normal weights of all convolutions, and biases of zero."""
    for layer in conv.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, mean=0.0, std=0.03)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _prediction_block(
    in_channels: int, out_channels: int, kernel_size: int, norm_layer: Norm
) -> nn.Sequential:
    """A convolution of each channel, then one across them."""
    options: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.ReLU6}
    each = Conv2dNormActivation(
        in_channels, in_channels, kernel_size, groups=in_channels, **options
    )
    return nn.Sequential(each, nn.Conv2d(in_channels, out_channels, 1))


def _extra_block(in_channels: int, out_channels: int, norm_layer: Norm) -> nn.Sequential:
    """Features half as large, through fewer channels."""
    inner = out_channels // 2
    options: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.ReLU6}
    return nn.Sequential(
        Conv2dNormActivation(in_channels, inner, 1, **options),
        Conv2dNormActivation(inner, inner, 3, stride=2, groups=inner, **options),
        Conv2dNormActivation(inner, out_channels, 1, **options),
    )


class SSDLiteScoringHead(SSDScoringHead):
    """For each of the features, ``columns`` numbers of each of its boxes."""

    def __init__(
        self, in_channels: list[int], num_anchors: list[int], columns: int, norm_layer: Norm
    ) -> None:
        pairs = zip(in_channels, num_anchors, strict=True)
        modules = nn.ModuleList(
            [_prediction_block(c, n * columns, 3, norm_layer) for c, n in pairs]
        )
        _normal_init(modules)
        super().__init__(modules, columns)


class SSDLiteClassificationHead(SSDLiteScoringHead):
    """Logits of each box's classes, 0 for no object."""

    def __init__(
        self, in_channels: list[int], num_anchors: list[int], num_classes: int, norm_layer: Norm
    ) -> None:
        super().__init__(in_channels, num_anchors, num_classes, norm_layer)


class SSDLiteRegressionHead(SSDLiteScoringHead):
    """Codes of each box."""

    def __init__(self, in_channels: list[int], num_anchors: list[int], norm_layer: Norm) -> None:
        super().__init__(in_channels, num_anchors, 4, norm_layer)


class SSDLiteHead(nn.Module):
    """Codes and logits of all boxes, see `ssd.SSDHead`; ``norm_layer`` makes normalisations."""

    def __init__(
        self, in_channels: list[int], num_anchors: list[int], num_classes: int, norm_layer: Norm
    ) -> None:
        super().__init__()
        self.classification_head = SSDLiteClassificationHead(
            in_channels, num_anchors, num_classes, norm_layer
        )
        self.regression_head = SSDLiteRegressionHead(in_channels, num_anchors, norm_layer)

    def forward(self, x: list[Tensor]) -> dict[str, Tensor]:
        return {
            "bbox_regression": self.regression_head(x),
            "cls_logits": self.classification_head(x),
        }


class SSDLiteFeatureExtractorMobileNet(nn.Module):
    """Six features of a MobileNet and what follows it.

    Args:
        backbone: the features of the MobileNet.
        c4_pos: in which of its blocks the first features are; these are what the block widens to.
        norm_layer: what makes normalisations.
        width_mult: of the channels of what follows ...
        min_depth: ... which has at least so many.
    """

    def __init__(
        self,
        backbone: nn.Sequential,
        c4_pos: int,
        norm_layer: Norm,
        width_mult: float = 1.0,
        min_depth: int = 16,
    ) -> None:
        super().__init__()
        block: Any = backbone[c4_pos]
        if block.use_res_connect:
            raise ValueError("backbone[c4_pos].use_res_connect should be False")
        self.features = nn.Sequential(
            nn.Sequential(*backbone[:c4_pos], block.block[0]),
            nn.Sequential(block.block[1:], *backbone[c4_pos + 1 :]),
        )
        last: Any = backbone[-1]
        wide = [max(min_depth, int(n * width_mult)) for n in (512, 256, 256, 128)]
        pairs = zip([last.out_channels, *wide], wide, strict=False)
        self.extra = nn.ModuleList([_extra_block(c, n, norm_layer) for c, n in pairs])
        _normal_init(self.extra)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found = {}
        for i, block in enumerate([*self.features, *self.extra]):
            x = found[str(i)] = block(x)
        return found


@detection_model()
def ssdlite320_mobilenet_v3_large(
    *, num_classes: int | None, norm_layer: Norm | None = None, **kwargs: Any
) -> SSD:
    """SSDlite on a large MobileNet of the third version, in images of 320 by 320 pixels.

    Reference: Sandler et al., 2018, arXiv:1801.04381, section 6.2.
    """
    norm = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
    net = mobilenet_v3_large(norm_layer=norm, reduced_tail=True)
    _normal_init(net)
    backbone = SSDLiteFeatureExtractorMobileNet(
        net.features, stages_of_mobilenet(net.features)[-2], norm
    )
    size, boxes = (320, 320), DefaultBoxGenerator([[2, 3]] * 6, min_ratio=0.2, max_ratio=0.95)
    channels = detection.retrieve_out_channels(backbone, size)
    head = SSDLiteHead(channels, boxes.num_anchors_per_location(), num_classes or 91, norm)
    defaults = {
        "score_thresh": 0.001, "nms_thresh": 0.55, "detections_per_img": 300,
        "topk_candidates": 300, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
    }  # fmt: skip
    return SSD(backbone, boxes, size, num_classes or 91, head=head, **{**defaults, **kwargs})
