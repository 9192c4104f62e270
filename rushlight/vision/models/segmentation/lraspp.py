"""Lite R-ASPP: a small head for phones."""

from __future__ import annotations

from collections import OrderedDict

from rushlight import nn
from rushlight.core.tensor import Tensor
from rushlight.vision.models._utils import IntermediateLayerGetter
from rushlight.vision.models.mobilenetv3 import mobilenet_v3_large
from rushlight.vision.models.segmentation._utils import (
    resized,
    segmentation_model,
    stages_of_mobilenet,
)

__all__ = ["LRASPP", "lraspp_mobilenet_v3_large"]


class LRASPPHead(nn.Module):
    """Classes from few pixels of many features, scaled by their mean, and from many pixels of few
    features. Shape: ``{"low": (N, low_channels, H, W), "high": (N, high_channels, h, w)} -> (N,
    num_classes, H, W)``.
    """

    def __init__(
        self, low_channels: int, high_channels: int, num_classes: int, inter_channels: int
    ) -> None:
        super().__init__()
        self.cbr = nn.Sequential(
            nn.Conv2d(high_channels, inter_channels, 1, bias=False),
            nn.BatchNorm2d(inter_channels),
            nn.ReLU(inplace=True),
        )
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(high_channels, inter_channels, 1, bias=False),
            nn.Sigmoid(),
        )
        self.low_classifier = nn.Conv2d(low_channels, num_classes, 1)
        self.high_classifier = nn.Conv2d(inter_channels, num_classes, 1)

    def forward(self, input: dict[str, Tensor]) -> Tensor:
        low, high = input["low"], input["high"]
        x = resized(self.cbr(high) * self.scale(high), low)
        out: Tensor = self.low_classifier(low) + self.high_classifier(x)
        return out


class LRASPP(nn.Module):
    """A backbone and `LRASPPHead`. Shape: ``(N, 3, H, W) -> {"out": (N, num_classes, H, W)}``.

    Args:
        backbone: gives a dict with "low", many pixels, and "high", many features.
        low_channels: features of "low".
        high_channels: features of "high".
        num_classes: size of the output.
        inter_channels: features of the head.

    Reference: Howard et al., 2019, arXiv:1905.02244.
    """

    def __init__(
        self,
        backbone: nn.Module,
        low_channels: int,
        high_channels: int,
        num_classes: int,
        inter_channels: int = 128,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = LRASPPHead(low_channels, high_channels, num_classes, inter_channels)

    def forward(self, input: Tensor) -> dict[str, Tensor]:
        out = self.classifier(self.backbone(input))
        return OrderedDict(out=resized(out, input))


@segmentation_model
def lraspp_mobilenet_v3_large(*, num_classes: int) -> LRASPP:
    """Lite R-ASPP on the large MobileNet V3."""
    features = mobilenet_v3_large(dilated=True).features
    stages = stages_of_mobilenet(features)
    low, high = stages[-4], stages[-1]
    backbone = IntermediateLayerGetter(features, return_layers={str(low): "low", str(high): "high"})
    channels = features[low].out_channels, features[high].out_channels
    return LRASPP(backbone, *channels, num_classes)
