"""S3D: inception blocks over space, then over time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rushlight import nn, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.vision.models.registry import model
from rushlight.vision.ops.misc import Conv3dNormActivation

__all__ = ["S3D", "s3d"]

Norm = Callable[..., nn.Module]


class TemporalSeparableConv(nn.Sequential):
    """A convolution within each frame, then one over frames.

    Args:
        in_planes: channels of the input.
        out_planes: channels of the output.
        kernel_size: in pixels, and in frames.
        stride: in pixels, and in frames.
        padding: in pixels, and in frames.
        norm_layer: what makes normalisations.
    """

    def __init__(
        self,
        in_planes: int,
        out_planes: int,
        kernel_size: int,
        stride: int,
        padding: int,
        norm_layer: Norm,
    ) -> None:
        options: Any = {"norm_layer": norm_layer, "bias": False}
        space = [(edge, n, n) for edge, n in ((1, kernel_size), (1, stride), (0, padding))]
        time = [(n, edge, edge) for edge, n in ((1, kernel_size), (1, stride), (0, padding))]
        super().__init__(
            Conv3dNormActivation(in_planes, out_planes, *space, **options),
            Conv3dNormActivation(out_planes, out_planes, *time, **options),
        )


class SepInceptionBlock3D(nn.Module):
    """Four branches, side by side.

    Args:
        in_planes: channels of the input.
        b0_out, b1_mid, b1_out, b2_mid, b2_out, b3_out: channels of the branches, and within two.
        norm_layer: what makes normalisations.
    """

    def __init__(
        self,
        in_planes: int,
        b0_out: int,
        b1_mid: int,
        b1_out: int,
        b2_mid: int,
        b2_out: int,
        b3_out: int,
        norm_layer: Norm,
    ) -> None:
        super().__init__()
        one = partial(Conv3dNormActivation, in_planes, kernel_size=1, norm_layer=norm_layer)
        self.branch0 = one(b0_out)
        self.branch1 = nn.Sequential(
            one(b1_mid), TemporalSeparableConv(b1_mid, b1_out, 3, 1, 1, norm_layer)
        )
        self.branch2 = nn.Sequential(
            one(b2_mid), TemporalSeparableConv(b2_mid, b2_out, 3, 1, 1, norm_layer)
        )
        self.branch3 = nn.Sequential(nn.MaxPool3d(3, stride=1, padding=1), one(b3_out))

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.branch0, self.branch1, self.branch2, self.branch3)
        return T.cat([branch(x) for branch in branches], 1)


BLOCKS = (
    (192, 64, 96, 128, 16, 32, 32), (256, 128, 128, 192, 32, 96, 64),
    (480, 192, 96, 208, 16, 48, 64), (512, 160, 112, 224, 24, 64, 64),
    (512, 128, 128, 256, 24, 64, 64), (512, 112, 144, 288, 32, 64, 64),
    (528, 256, 160, 320, 32, 128, 128), (832, 256, 160, 320, 32, 128, 128),
    (832, 384, 192, 384, 48, 128, 128),
)  # fmt: skip


class S3D(nn.Module):
    """Inception blocks over space, then over time. Shape: ``(N, 3, T, H, W) -> (N, num_classes)``,
    of at least 14 frames of 224 by 224 pixels.

    Args:
        num_classes: size of the output.
        dropout: before the last layer.
        norm_layer: what makes normalisations; default: BatchNorm3d that changes slowly.

    Reference: Xie et al., 2018, arXiv:1712.04851.
    """

    def __init__(
        self, num_classes: int = 400, dropout: float = 0.2, norm_layer: Norm | None = None
    ) -> None:
        super().__init__()
        norm = norm_layer or partial(nn.BatchNorm3d, eps=0.001, momentum=0.001)
        smaller = partial(nn.MaxPool3d, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        layers: list[nn.Module] = [
            TemporalSeparableConv(3, 64, 7, 2, 3, norm),
            smaller(),
            Conv3dNormActivation(64, 64, 1, norm_layer=norm),
            TemporalSeparableConv(64, 192, 3, 1, 1, norm),
            smaller(),
        ]
        for i, channels in enumerate(BLOCKS):
            if i == 2:
                layers.append(nn.MaxPool3d(3, 2, 1))
            elif i == 7:
                layers.append(nn.MaxPool3d(2, 2, 0))
            layers.append(SepInceptionBlock3D(*channels, norm_layer=norm))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AvgPool3d((2, 7, 7), stride=1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Conv3d(1024, num_classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.classifier(self.avgpool(self.features(x))).mean((2, 3, 4))
        return out


@model
def s3d(**kwargs: Any) -> S3D:
    """S3D, as in its paper."""
    return S3D(**kwargs)
