"""SqueezeNet: convolutions that squeeze channels before they widen them."""

from __future__ import annotations

from typing import Any

from rushlight import nn, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.vision.models.registry import model

__all__ = ["SqueezeNet", "squeezenet1_0", "squeezenet1_1"]


class Fire(nn.Module):
    """A squeeze by single pixels, then 1x1 and 3x3 convolutions side by side."""

    def __init__(
        self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int
    ) -> None:
        super().__init__()
        self.inplanes = inplanes
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, kernel_size=1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, kernel_size=1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, kernel_size=3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        small = self.expand1x1_activation(self.expand1x1(x))
        return T.cat([small, self.expand3x3_activation(self.expand3x3(x))], 1)


class SqueezeNet(nn.Module):
    """Eight Fire modules. Shape: ``(N, 3, H, W) -> (N, num_classes)``.

    Args:
        version: "1_0" or "1_1", which squeezes earlier.
        num_classes: size of the output.
        dropout: probability of zeroing a feature before the last convolution.

    Reference: Iandola et al., 2016, arXiv:1602.07360.
    """

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.num_classes = num_classes
        if version not in ("1_0", "1_1"):
            raise ValueError(f"Unsupported SqueezeNet version {version}: 1_0 or 1_1 expected")
        first = nn.Conv2d(3, 96, 7, stride=2) if version == "1_0" else nn.Conv2d(3, 64, 3, stride=2)
        layers: list[nn.Module] = [first, nn.ReLU(inplace=True), _pool()]
        channels = first.out_channels
        for i, width in enumerate((16, 16, 32, 32, 48, 48, 64, 64)):
            if i in ((3, 7) if version == "1_0" else (2, 4)):
                layers.append(_pool())
            layers.append(Fire(channels, width, 4 * width, 4 * width))
            channels = 8 * width
        self.features = nn.Sequential(*layers)
        final_conv = nn.Conv2d(512, num_classes, kernel_size=1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), final_conv, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                if m is final_conv:
                    nn.init.normal_(m.weight, mean=0.0, std=0.01)
                else:
                    nn.init.kaiming_uniform_(m.weight)
                if m.bias is not None:
                    nn.init.constant_(m.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.classifier(self.features(x))
        return out.flatten(1)


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)


@model
def squeezenet1_0(**kwargs: Any) -> SqueezeNet:
    """SqueezeNet as published."""
    return SqueezeNet("1_0", **kwargs)


@model
def squeezenet1_1(**kwargs: Any) -> SqueezeNet:
    """SqueezeNet with fewer operations and parameters."""
    return SqueezeNet("1_1", **kwargs)
