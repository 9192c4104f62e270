"""DeepLab V3: convolutions with several dilations side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight import nn, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.vision.models._utils import IntermediateLayerGetter
from rushlight.vision.models.mobilenetv3 import mobilenet_v3_large
from rushlight.vision.models.resnet import resnet50, resnet101
from rushlight.vision.models.segmentation._utils import (
    _SimpleSegmentationModel,
    resized,
    segmentation_model,
    stages_of_mobilenet,
)
from rushlight.vision.models.segmentation.fcn import FCNHead, dilated_resnet

__all__ = [
    "DeepLabV3", "deeplabv3_mobilenet_v3_large", "deeplabv3_resnet101", "deeplabv3_resnet50",
]  # fmt: skip


class DeepLabV3(_SimpleSegmentationModel):
    """A backbone and `DeepLabHead`.

    Reference: Chen et al., 2017, arXiv:1706.05587.
    """


def _normalised(inp: int, out: int, kernel: int, **options: Any) -> list[nn.Module]:
    conv = nn.Conv2d(inp, out, kernel, bias=False, **options)
    return [conv, nn.BatchNorm2d(out), nn.ReLU()]


class ASPPConv(nn.Sequential):
    """A dilated convolution."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int) -> None:
        options = {"padding": dilation, "dilation": dilation}
        super().__init__(*_normalised(in_channels, out_channels, 3, **options))


class ASPPPooling(nn.Sequential):
    """A convolution of the mean of all pixels, for each of them."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), *_normalised(in_channels, out_channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return resized(super().forward(x), x)


class ASPP(nn.Module):
    """Convolutions of one pixel, of several dilations and of the mean, combined. Shape: ``(N,
    in_channels, H, W) -> (N, out_channels, H, W)``.
    """

    def __init__(
        self, in_channels: int, atrous_rates: Sequence[int], out_channels: int = 256
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.Sequential(*_normalised(in_channels, out_channels, 1)),
                *(ASPPConv(in_channels, out_channels, rate) for rate in atrous_rates),
                ASPPPooling(in_channels, out_channels),
            ]
        )
        stacked = len(self.convs) * out_channels
        self.project = nn.Sequential(*_normalised(stacked, out_channels, 1), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(T.cat([conv(x) for conv in self.convs], dim=1))
        return out


class DeepLabHead(nn.Sequential):
    """`ASPP` and two convolutions. Shape: ``(N, in_channels, H, W) -> (N, num_classes, H, W)``."""

    def __init__(
        self, in_channels: int, num_classes: int, atrous_rates: Sequence[int] = (12, 24, 36)
    ) -> None:
        super().__init__(
            ASPP(in_channels, atrous_rates),
            *_normalised(256, 256, 3, padding=1),
            nn.Conv2d(256, num_classes, 1),
        )


def _on_resnet(build: Any, num_classes: int, aux: bool | None) -> DeepLabV3:
    backbone = dilated_resnet(build, aux)
    aux_classifier = FCNHead(1024, num_classes) if aux else None
    return DeepLabV3(backbone, DeepLabHead(2048, num_classes), aux_classifier)


@segmentation_model
def deeplabv3_resnet50(*, num_classes: int, aux_loss: bool | None = None) -> DeepLabV3:
    """DeepLab V3 on a ResNet of 50 layers."""
    return _on_resnet(resnet50, num_classes, aux_loss)


@segmentation_model
def deeplabv3_resnet101(*, num_classes: int, aux_loss: bool | None = None) -> DeepLabV3:
    """DeepLab V3 on a ResNet of 101 layers."""
    return _on_resnet(resnet101, num_classes, aux_loss)


@segmentation_model
def deeplabv3_mobilenet_v3_large(*, num_classes: int, aux_loss: bool | None = None) -> DeepLabV3:
    """DeepLab V3 on the large MobileNet V3."""
    features = mobilenet_v3_large(dilated=True).features
    stages = stages_of_mobilenet(features)
    parts = {str(stages[-1]): "out"} | ({str(stages[-4]): "aux"} if aux_loss else {})
    channels = [features[stages[i]].out_channels for i in (-1, -4)]
    aux_classifier = FCNHead(channels[1], num_classes) if aux_loss else None
    backbone = IntermediateLayerGetter(features, return_layers=parts)
    return DeepLabV3(backbone, DeepLabHead(channels[0], num_classes), aux_classifier)
