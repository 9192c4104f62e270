"""MNASNet: inverted residual blocks whose sizes a search chose."""

from __future__ import annotations

from typing import Any

from rushlight import nn
from rushlight.core.tensor import Tensor
from rushlight.vision.models.mobilenetv2 import rounded
from rushlight.vision.models.registry import model

__all__ = ["MNASNet", "mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3"]

MOMENTUM = 1 - 0.9997
# channels, kernel, first stride, widening, blocks
STAGES = [
    (24, 3, 2, 3, 3), (40, 5, 2, 3, 3), (80, 5, 2, 6, 3), (96, 3, 1, 6, 2), (192, 5, 2, 6, 4),
    (320, 3, 1, 6, 1),
]  # fmt: skip


def _conv(inp: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    pad = kernel // 2
    conv = nn.Conv2d(inp, out, kernel, padding=pad, stride=stride, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(out, momentum=MOMENTUM)]


class _InvertedResidual(nn.Module):
    """Widen, convolve each channel, narrow; beside the identity if the shape stays."""

    def __init__(self, inp: int, out: int, kernel: int, stride: int, widen: int) -> None:
        super().__init__()
        wide = inp * widen
        self.apply_residual = inp == out and stride == 1
        self.layers = nn.Sequential(
            *_conv(inp, wide, 1),
            nn.ReLU(inplace=True),
            *_conv(wide, wide, kernel, stride, groups=wide),
            nn.ReLU(inplace=True),
            *_conv(wide, out, 1),
        )

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = self.layers(input)
        return out + input if self.apply_residual else out


class MNASNet(nn.Module):
    """Six stages of inverted residual blocks. Shape: ``(N, 3, H, W) -> (N, num_classes)``.

    Args:
        alpha: factor of the channels, > 0.
        num_classes: size of the output.
        dropout: probability of zeroing a feature before the linear layer.

    Reference: Tan et al., 2019, arXiv:1807.11626.
    """

    def __init__(self, alpha: float, num_classes: int = 1000, dropout: float = 0.2) -> None:
        super().__init__()
        if alpha <= 0.0:
            raise ValueError(f"MNASNet: alpha is {alpha}; it must be greater than 0.")
        self.alpha, self.num_classes = alpha, num_classes
        first, channels = rounded(32 * alpha, 8), rounded(16 * alpha, 8)
        layers = [
            *_conv(3, first, 3, 2),
            nn.ReLU(inplace=True),
            *_conv(first, first, 3, groups=first),
            nn.ReLU(inplace=True),
            *_conv(first, channels, 1),
        ]
        for planes, kernel, stride, widen, count in STAGES:
            out = rounded(planes * alpha, 8)
            blocks = [_InvertedResidual(channels, out, kernel, stride, widen)]
            blocks += [_InvertedResidual(out, out, kernel, 1, widen) for _ in range(count - 1)]
            layers.append(nn.Sequential(*blocks))
            channels = out
        layers += [*_conv(channels, 1280, 1), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout, inplace=True), nn.Linear(1280, num_classes)
        )
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, nn.BatchNorm2d):
                nn.init.ones_(m.weight)
                nn.init.zeros_(m.bias)
            elif isinstance(m, nn.Linear):
                nn.init.kaiming_uniform_(m.weight, mode="fan_out", nonlinearity="sigmoid")
                nn.init.zeros_(m.bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.classifier(self.layers(x).mean([2, 3]))
        return out


def _builder(name: str, alpha: float) -> Any:
    def build(**kwargs: Any) -> MNASNet:
        return MNASNet(alpha, **kwargs)

    build.__name__ = build.__qualname__ = f"mnasnet{name}"
    build.__doc__ = f"MNASNet, {alpha} times as wide."
    return model(build)


mnasnet0_5 = _builder("0_5", 0.5)
mnasnet0_75 = _builder("0_75", 0.75)
mnasnet1_0 = _builder("1_0", 1.0)
mnasnet1_3 = _builder("1_3", 1.3)
