"""RegNet: residual networks from a design space in which widths grow by a rule."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rushlight import nn
from rushlight.core.tensor import Tensor
from rushlight.vision.models.registry import model
from rushlight.vision.ops import Conv2dNormActivation, SqueezeExcitation

__all__ = [
    "RegNet", "regnet_x_1_6gf", "regnet_x_3_2gf", "regnet_x_8gf", "regnet_x_16gf",
    "regnet_x_32gf", "regnet_x_400mf", "regnet_x_800mf", "regnet_y_1_6gf", "regnet_y_3_2gf",
    "regnet_y_8gf", "regnet_y_16gf", "regnet_y_32gf", "regnet_y_128gf", "regnet_y_400mf",
    "regnet_y_800mf",
]  # fmt: skip

Maker = Callable[..., nn.Module]

# blocks and channels of the four stages, and channels of a group
SIZES = {
    "x_400mf": ([1, 2, 7, 12], [32, 64, 160, 400], 16),
    "x_800mf": ([1, 3, 7, 5], [64, 128, 288, 672], 16),
    "x_1_6gf": ([2, 4, 10, 2], [72, 168, 408, 912], 24),
    "x_3_2gf": ([2, 6, 15, 2], [96, 192, 432, 1008], 48),
    "x_8gf": ([2, 5, 15, 1], [80, 240, 720, 1920], 120),
    "x_16gf": ([2, 6, 13, 1], [256, 512, 896, 2048], 128),
    "x_32gf": ([2, 7, 13, 1], [336, 672, 1344, 2520], 168),
    "y_400mf": ([1, 3, 6, 6], [48, 104, 208, 440], 8),
    "y_800mf": ([1, 3, 8, 2], [64, 144, 320, 784], 16),
    "y_1_6gf": ([2, 6, 17, 2], [48, 120, 336, 888], 24),
    "y_3_2gf": ([2, 5, 13, 1], [72, 216, 576, 1512], 24),
    "y_8gf": ([2, 4, 10, 1], [224, 448, 896, 2016], 56),
    "y_16gf": ([2, 4, 11, 1], [224, 448, 1232, 3024], 112),
    "y_32gf": ([2, 5, 12, 1], [232, 696, 1392, 3712], 232),
    "y_128gf": ([2, 7, 17, 1], [528, 1056, 2904, 7392], 264),
}


class SimpleStemIN(Conv2dNormActivation):
    """The first convolution, which halves the size."""

    def __init__(
        self, width_in: int, width_out: int, norm_layer: Maker, activation_layer: Maker
    ) -> None:
        super().__init__(
            width_in, width_out, 3, 2, norm_layer=norm_layer, activation_layer=activation_layer
        )


class BottleneckTransform(nn.Sequential):
    """A 3x3 convolution of groups between two of single pixels; Y adds squeeze and excitation."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        stride: int,
        norm_layer: Maker,
        activation_layer: Maker,
        group_width: int,
        bottleneck_multiplier: float,
        se_ratio: float | None,
    ) -> None:
        inner = round(width_out * bottleneck_multiplier)
        groups = inner // group_width
        make = partial(Conv2dNormActivation, norm_layer=norm_layer)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["a"] = make(width_in, inner, 1, 1, activation_layer=activation_layer)
        layers["b"] = make(
            inner, inner, 3, stride, groups=groups, activation_layer=activation_layer
        )
        if se_ratio:
            squeezed = round(se_ratio * width_in)
            layers["se"] = SqueezeExcitation(inner, squeezed, activation=activation_layer)
        layers["c"] = make(inner, width_out, 1, 1, activation_layer=None)
        super().__init__(layers)


class ResBottleneckBlock(nn.Module):
    """`BottleneckTransform` beside the identity, or beside a projection where the shape changes."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        stride: int,
        norm_layer: Maker,
        activation_layer: Maker,
        group_width: int = 1,
        bottleneck_multiplier: float = 1.0,
        se_ratio: float | None = None,
    ) -> None:
        super().__init__()
        self.proj = None
        if width_in != width_out or stride != 1:
            self.proj = Conv2dNormActivation(
                width_in, width_out, 1, stride, norm_layer=norm_layer, activation_layer=None
            )
        self.f = BottleneckTransform(
            width_in,
            width_out,
            stride,
            norm_layer,
            activation_layer,
            group_width,
            bottleneck_multiplier,
            se_ratio,
        )
        self.activation = activation_layer(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        beside = x if self.proj is None else self.proj(x)
        out: Tensor = self.activation(beside + self.f(x))
        return out


class AnyStage(nn.Sequential):
    """Blocks of one width; the first has the stride."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        stride: int,
        depth: int,
        block_constructor: Maker,
        norm_layer: Maker,
        activation_layer: Maker,
        group_width: int,
        bottleneck_multiplier: float,
        se_ratio: float | None = None,
        stage_index: int = 0,
    ) -> None:
        super().__init__()
        for i in range(depth):
            block = block_constructor(
                width_out if i else width_in,
                width_out,
                1 if i else stride,
                norm_layer,
                activation_layer,
                group_width,
                bottleneck_multiplier,
                se_ratio,
            )
            self.add_module(f"block{stage_index}-{i}", block)


@dataclass
class BlockParams:
    """What the stages are made of, one number for each: blocks, channels, channels of a group,
    factor of the inner channels, stride; and for all of them the share of channels that squeeze
    and excitation squeezes to, or None.
    """

    depths: list[int]
    widths: list[int]
    group_widths: list[int]
    bottleneck_multipliers: list[float]
    strides: list[int]
    se_ratio: float | None = None


class RegNet(nn.Module):
    """Four stages of residual blocks. Shape: ``(N, 3, H, W) -> (N, num_classes)``.

    Args:
        block_params: what the stages are made of.
        num_classes: size of the output.
        stem_width: channels of the first convolution.
        stem_type: class of the first convolution; default: SimpleStemIN.
        block_type: class of the blocks; default: ResBottleneckBlock.
        norm_layer: what makes a normalisation of so many channels; default: BatchNorm2d.
        activation: what makes an activation; default: ReLU.

    Reference: Radosavovic et al., 2020, arXiv:2003.13678.
    """

    def __init__(
        self,
        block_params: BlockParams,
        num_classes: int = 1000,
        stem_width: int = 32,
        stem_type: Maker | None = None,
        block_type: Maker | None = None,
        norm_layer: Maker | None = None,
        activation: Maker | None = None,
    ) -> None:
        super().__init__()
        made_by = norm_layer or nn.BatchNorm2d, activation or nn.ReLU
        self.stem = (stem_type or SimpleStemIN)(3, stem_width, *made_by)
        stages: OrderedDict[str, nn.Module] = OrderedDict()
        width, p = stem_width, block_params
        each = zip(
            p.widths, p.strides, p.depths, p.group_widths, p.bottleneck_multipliers, strict=True
        )
        for i, (out, stride, depth, group, factor) in enumerate(each, 1):
            block = block_type or ResBottleneckBlock
            stages[f"block{i}"] = AnyStage(
                width, out, stride, depth, block, *made_by, group, factor, p.se_ratio, i
            )
            width = out
        self.trunk_output = nn.Sequential(stages)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(width, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                fan_out = m.kernel_size[0] * m.kernel_size[1] * m.out_channels
                nn.init.normal_(m.weight, mean=0.0, std=math.sqrt(2.0 / fan_out))
            elif isinstance(m, nn.BatchNorm2d):
                nn.init.ones_(m.weight)
                nn.init.zeros_(m.bias)
            elif isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, mean=0.0, std=0.01)
                nn.init.zeros_(m.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.trunk_output(self.stem(x)))
        out: Tensor = self.fc(x.flatten(start_dim=1))
        return out


def _builder(name: str) -> Any:
    def build(**kwargs: Any) -> RegNet:
        depths, widths, group = SIZES[name]
        groups = [min(group, width) for width in widths]
        ratio = 0.25 if name.startswith("y") else None
        params = BlockParams(depths, widths, groups, [1.0] * 4, [2] * 4, ratio)
        return RegNet(params, **kwargs)

    family, *cost = name.upper().split("_")
    build.__name__ = build.__qualname__ = f"regnet_{name}"
    build.__doc__ = f"RegNet {family} of {'.'.join(cost)}, its cost in multiplications."
    return model(build)


regnet_x_400mf = _builder("x_400mf")
regnet_x_800mf = _builder("x_800mf")
regnet_x_1_6gf = _builder("x_1_6gf")
regnet_x_3_2gf = _builder("x_3_2gf")
regnet_x_8gf = _builder("x_8gf")
regnet_x_16gf = _builder("x_16gf")
regnet_x_32gf = _builder("x_32gf")
regnet_y_400mf = _builder("y_400mf")
regnet_y_800mf = _builder("y_800mf")
regnet_y_1_6gf = _builder("y_1_6gf")
regnet_y_3_2gf = _builder("y_3_2gf")
regnet_y_8gf = _builder("y_8gf")
regnet_y_16gf = _builder("y_16gf")
regnet_y_32gf = _builder("y_32gf")
regnet_y_128gf = _builder("y_128gf")
