"""MobileNet V2: thin residual blocks around depthwise convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight import nn
from rushlight.core.tensor import Tensor
from rushlight.vision.models.registry import model
from rushlight.vision.ops import Conv2dNormActivation

__all__ = ["MobileNetV2", "mobilenet_v2"]

# how much blocks widen, their channels, how many there are, and the stride of the first
STAGES = [
    [1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2],
    [6, 320, 1, 1],
]  # fmt: skip


def rounded(channels: float, divisor: int, least: int | None = None) -> int:
    """The nearest multiple of ``divisor``, at least that, or ``least``, and at least 90 % of
    ``channels``.
    """
    near = int(channels + divisor / 2) // divisor * divisor
    near = max(divisor if least is None else least, near)
    return near + divisor if near < 0.9 * channels else near


class InvertedResidual(nn.Module):
    """Widen, convolve each channel, narrow; beside the identity if the shape stays."""

    def __init__(
        self,
        inp: int,
        oup: int,
        stride: int,
        expand_ratio: int,
        norm_layer: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__()
        if stride not in [1, 2]:
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        norm_layer = norm_layer or nn.BatchNorm2d
        hidden = round(inp * expand_ratio)
        shared: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.ReLU6}
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(Conv2dNormActivation(inp, hidden, kernel_size=1, **shared))
        layers += [
            Conv2dNormActivation(hidden, hidden, stride=stride, groups=hidden, **shared),
            nn.Conv2d(hidden, oup, 1, 1, 0, bias=False),
            norm_layer(oup),
        ]
        self.stride, self.out_channels = stride, oup
        self.use_res_connect = stride == 1 and inp == oup
        self._is_cn = stride > 1
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.use_res_connect else out


def initialise(net: nn.Module) -> None:
    """Draw the weights of convolutions and linear layers as the papers on mobile networks do."""
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out")
        elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
            nn.init.ones_(m.weight)
        elif isinstance(m, nn.Linear):
            nn.init.normal_(m.weight, 0, 0.01)
        else:
            continue
        if m.bias is not None:
            nn.init.zeros_(m.bias)


class MobileNetV2(nn.Module):
    """Seven stages of inverted residual blocks. Shape: ``(N, 3, H, W) -> (N, num_classes)``.

    Args:
        num_classes: size of the output.
        width_mult: factor of the channels.
        inverted_residual_setting: for each stage the widening, channels, blocks and first stride.
        round_nearest: channels are multiples of this.
        block: class of the blocks; default: InvertedResidual.
        norm_layer: what makes a normalisation of so many channels; default: BatchNorm2d.
        dropout: probability of zeroing a feature before the linear layer.

    Reference: Sandler et al., 2018, arXiv:1801.04381.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: list[list[int]] | None = None,
        round_nearest: int = 8,
        block: Callable[..., nn.Module] | None = None,
        norm_layer: Callable[..., nn.Module] | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        block, norm_layer = block or InvertedResidual, norm_layer or nn.BatchNorm2d
        shared: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.ReLU6}
        stages = inverted_residual_setting or STAGES
        if len(stages[0]) != 4:
            raise ValueError(
                "inverted_residual_setting should be non-empty or a 4-element list, got "
                f"{inverted_residual_setting}"
            )
        channels = rounded(32 * width_mult, round_nearest)
        self.last_channel = rounded(1280 * max(1.0, width_mult), round_nearest)
        features: list[nn.Module] = [Conv2dNormActivation(3, channels, stride=2, **shared)]
        for widen, planes, count, first_stride in stages:
            out = rounded(planes * width_mult, round_nearest)
            for i in range(count):
                stride = 1 if i else first_stride
                features.append(
                    block(channels, out, stride, expand_ratio=widen, norm_layer=norm_layer)
                )
                channels = out
        features.append(Conv2dNormActivation(channels, self.last_channel, kernel_size=1, **shared))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes)
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        out: Tensor = self.classifier(x.flatten(1))
        return out


@model
def mobilenet_v2(**kwargs: Any) -> MobileNetV2:
    """MobileNet V2."""
    return MobileNetV2(**kwargs)
