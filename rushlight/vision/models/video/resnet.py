"""Residual networks for video: convolutions over time and space, apart, or over space alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight import nn
from rushlight.core.tensor import Tensor
from rushlight.vision.models.registry import model

__all__ = ["VideoResNet", "mc3_18", "r2plus1d_18", "r3d_18"]


class Conv3DSimple(nn.Conv3d):
    """A convolution over three frames of three by three pixels."""

    def __init__(
        self,
        in_planes: int,
        out_planes: int,
        midplanes: int | None = None,
        stride: int = 1,
        padding: int = 1,
    ) -> None:
        super().__init__(in_planes, out_planes, 3, stride, padding, bias=False)

    @staticmethod
    def get_downsample_stride(stride: int) -> tuple[int, int, int]:
        """Steps over frames, rows and columns."""
        return stride, stride, stride


class Conv3DNoTemporal(nn.Conv3d):
    """A convolution within each frame."""

    def __init__(
        self,
        in_planes: int,
        out_planes: int,
        midplanes: int | None = None,
        stride: int = 1,
        padding: int = 1,
    ) -> None:
        steps, edges = (1, stride, stride), (0, padding, padding)
        super().__init__(in_planes, out_planes, (1, 3, 3), steps, edges, bias=False)

    @staticmethod
    def get_downsample_stride(stride: int) -> tuple[int, int, int]:
        """Steps over frames, rows and columns."""
        return 1, stride, stride


class Conv2Plus1D(nn.Sequential):
    """A convolution within each frame, to ``midplanes`` channels, then one over frames."""

    def __init__(
        self, in_planes: int, out_planes: int, midplanes: int, stride: int = 1, padding: int = 1
    ) -> None:
        space: Any = ((1, 3, 3), (1, stride, stride), (0, padding, padding))
        time: Any = ((3, 1, 1), (stride, 1, 1), (padding, 0, 0))
        super().__init__(
            nn.Conv3d(in_planes, midplanes, *space, bias=False),
            nn.BatchNorm3d(midplanes),
            nn.ReLU(inplace=True),
            nn.Conv3d(midplanes, out_planes, *time, bias=False),
        )

    @staticmethod
    def get_downsample_stride(stride: int) -> tuple[int, int, int]:
        """Steps over frames, rows and columns."""
        return stride, stride, stride


def channels_between(inplanes: int, planes: int) -> int:
    """Of a `Conv2Plus1D`, so that it has as many weights as a convolution over all three dims."""
    return inplanes * planes * 27 // (inplanes * 9 + 3 * planes)


class Residual(nn.Module):
    """Base of blocks: what ``body`` makes, beside the input."""

    def _beside(self, stride: int, downsample: nn.Module | None) -> None:
        """The last parts, after those of the body."""
        self.relu = nn.ReLU(inplace=True)
        self.downsample, self.stride = downsample, stride

    def body(self, x: Tensor) -> Tensor:
        """The block's convolutions."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        out = self.body(x)
        out += x if self.downsample is None else self.downsample(x)
        result: Tensor = self.relu(out)
        return result


class BasicBlock(Residual):
    """Two convolutions.

    Args:
        inplanes: channels of the input.
        planes: channels of the output.
        conv_builder: makes a convolution of channels before, after and in between, and a stride.
        stride: of the first.
        downsample: makes the input as the output is; None where it is already.
    """

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        conv_builder: Callable[..., nn.Module],
        stride: int = 1,
        downsample: nn.Module | None = None,
    ) -> None:
        super().__init__()
        between = channels_between(inplanes, planes)
        first, second = conv_builder(inplanes, planes, between, stride), nn.BatchNorm3d(planes)
        self.conv1 = nn.Sequential(first, second, nn.ReLU(inplace=True))
        self.conv2 = nn.Sequential(conv_builder(planes, planes, between), nn.BatchNorm3d(planes))
        self._beside(stride, downsample)

    def body(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(self.conv1(x))
        return out


class Bottleneck(Residual):
    """A convolution of fewer channels between two that change their number; arguments are those of
    `BasicBlock`, the output has four times ``planes`` channels.
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        conv_builder: Callable[..., nn.Module],
        stride: int = 1,
        downsample: nn.Module | None = None,
    ) -> None:
        super().__init__()
        between, wide = channels_between(inplanes, planes), planes * self.expansion
        self.conv1 = nn.Sequential(
            nn.Conv3d(inplanes, planes, 1, bias=False),
            nn.BatchNorm3d(planes),
            nn.ReLU(inplace=True),
        )
        self.conv2 = nn.Sequential(
            conv_builder(planes, planes, between, stride),
            nn.BatchNorm3d(planes),
            nn.ReLU(inplace=True),
        )
        self.conv3 = nn.Sequential(nn.Conv3d(planes, wide, 1, bias=False), nn.BatchNorm3d(wide))
        self._beside(stride, downsample)

    def body(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv3(self.conv2(self.conv1(x)))
        return out


class BasicStem(nn.Sequential):
    """A convolution over three frames of seven by seven pixels."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv3d(3, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False),
            nn.BatchNorm3d(64),
            nn.ReLU(inplace=True),
        )


class R2Plus1dStem(nn.Sequential):
    """A convolution of seven by seven pixels, then one over three frames."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv3d(3, 45, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
            nn.BatchNorm3d(45),
            nn.ReLU(inplace=True),
            nn.Conv3d(45, 64, (3, 1, 1), 1, (1, 0, 0), bias=False),
            nn.BatchNorm3d(64),
            nn.ReLU(inplace=True),
        )


class VideoResNet(nn.Module):
    """Four stages of residual blocks. Shape: ``(N, 3, T, H, W) -> (N, num_classes)``.

    Args:
        block: BasicBlock or Bottleneck.
        conv_makers: the convolutions of each stage, such as `Conv3DSimple`.
        layers: blocks of each stage.
        stem: makes what comes first.
        num_classes: size of the output.
        zero_init_residual: let every bottleneck start as the identity.

    Reference: Tran et al., 2018, arXiv:1711.11248.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        conv_makers: Sequence[Any],
        layers: list[int],
        stem: Callable[..., nn.Module],
        num_classes: int = 400,
        zero_init_residual: bool = False,
    ) -> None:
        super().__init__()
        self.inplanes = 64
        self.stem = stem()
        self.layer1 = self._make_layer(block, conv_makers[0], 64, layers[0], 1)
        self.layer2 = self._make_layer(block, conv_makers[1], 128, layers[1], 2)
        self.layer3 = self._make_layer(block, conv_makers[2], 256, layers[2], 2)
        self.layer4 = self._make_layer(block, conv_makers[3], 512, layers[3], 2)
        self.avgpool = nn.AdaptiveAvgPool3d((1, 1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv3d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, 0, 0.01)
                nn.init.zeros_(m.bias)
            elif isinstance(m, Bottleneck) and zero_init_residual:
                nn.init.zeros_(m.conv3[1].weight)

    def _make_layer(
        self, block: Any, conv_builder: Any, planes: int, blocks: int, stride: int
    ) -> nn.Sequential:
        """A stage: the first block changes channels and size."""
        wide, downsample = planes * block.expansion, None
        if stride != 1 or self.inplanes != wide:
            steps = conv_builder.get_downsample_stride(stride)
            narrow = nn.Conv3d(self.inplanes, wide, 1, steps, bias=False)
            downsample = nn.Sequential(narrow, nn.BatchNorm3d(wide))
        layers = [block(self.inplanes, planes, conv_builder, stride, downsample)]
        self.inplanes = wide
        layers += [block(wide, planes, conv_builder) for _ in range(1, blocks)]
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        out: Tensor = self.fc(self.avgpool(x).flatten(1))
        return out


@model
def r3d_18(**kwargs: Any) -> VideoResNet:
    """A ResNet of 18 layers whose convolutions are over time and space."""
    return VideoResNet(BasicBlock, [Conv3DSimple] * 4, [2, 2, 2, 2], BasicStem, **kwargs)


@model
def mc3_18(**kwargs: Any) -> VideoResNet:
    """A ResNet of 18 layers whose convolutions are over space alone from the second stage on."""
    makers = [Conv3DSimple, *[Conv3DNoTemporal] * 3]
    return VideoResNet(BasicBlock, makers, [2, 2, 2, 2], BasicStem, **kwargs)


@model
def r2plus1d_18(**kwargs: Any) -> VideoResNet:
    """A ResNet of 18 layers whose convolutions are over space, then over time."""
    return VideoResNet(BasicBlock, [Conv2Plus1D] * 4, [2, 2, 2, 2], R2Plus1dStem, **kwargs)
