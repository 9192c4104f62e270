"""Fully convolutional network."""

from __future__ import annotations

from typing import Any

from rushlight import nn
from rushlight.vision.models._utils import IntermediateLayerGetter
from rushlight.vision.models.resnet import resnet50, resnet101
from rushlight.vision.models.segmentation._utils import (
    _SimpleSegmentationModel,
    segmentation_model,
)

__all__ = ["FCN", "fcn_resnet101", "fcn_resnet50"]


class FCN(_SimpleSegmentationModel):
    """A backbone and `FCNHead`.

    Reference: Long et al., 2015, arXiv:1411.4038.
    """


class FCNHead(nn.Sequential):
    """Two convolutions. Shape: ``(N, in_channels, H, W) -> (N, channels, H, W)``."""

    def __init__(self, in_channels: int, channels: int) -> None:
        inner = in_channels // 4
        super().__init__(
            nn.Conv2d(in_channels, inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(inner, channels, 1),
        )


def dilated_resnet(build: Any, aux: bool | None) -> nn.Module:
    """A ResNet whose last two stages keep the size, up to its last stage."""
    parts = {"layer4": "out", "layer3": "aux"} if aux else {"layer4": "out"}
    backbone = build(replace_stride_with_dilation=[False, True, True])
    return IntermediateLayerGetter(backbone, return_layers=parts)


def _fcn(build: Any, num_classes: int, aux: bool | None) -> FCN:
    backbone = dilated_resnet(build, aux)
    aux_classifier = FCNHead(1024, num_classes) if aux else None
    return FCN(backbone, FCNHead(2048, num_classes), aux_classifier)


@segmentation_model
def fcn_resnet50(*, num_classes: int, aux_loss: bool | None = None) -> FCN:
    """FCN on a ResNet of 50 layers."""
    return _fcn(resnet50, num_classes, aux_loss)


@segmentation_model
def fcn_resnet101(*, num_classes: int, aux_loss: bool | None = None) -> FCN:
    """FCN on a ResNet of 101 layers."""
    return _fcn(resnet101, num_classes, aux_loss)
