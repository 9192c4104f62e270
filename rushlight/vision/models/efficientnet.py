"""EfficientNet: depth, width and resolution grow together. Version 2 widens early blocks with one
convolution in place of two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rushlight import nn
from rushlight.core.tensor import Tensor
from rushlight.vision.models.mobilenetv2 import rounded
from rushlight.vision.models.registry import model
from rushlight.vision.ops import Conv2dNormActivation, SqueezeExcitation, StochasticDepth

__all__ = [
    "EfficientNet", "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3",
    "efficientnet_b4", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7",
    "efficientnet_v2_l", "efficientnet_v2_m", "efficientnet_v2_s",
]  # fmt: skip

# widening, kernel, first stride, input channels, output channels, blocks
STAGES = [
    (1, 3, 1, 32, 16, 1), (6, 3, 2, 16, 24, 2), (6, 5, 2, 24, 40, 2), (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3), (6, 5, 2, 112, 192, 4), (6, 3, 1, 192, 320, 1),
]  # fmt: skip
FUSED_AND_PLAIN = {  # of version 2
    "s": (
        [(1, 3, 1, 24, 24, 2), (4, 3, 2, 24, 48, 4), (4, 3, 2, 48, 64, 4)],
        [(4, 3, 2, 64, 128, 6), (6, 3, 1, 128, 160, 9), (6, 3, 2, 160, 256, 15)],
    ),
    "m": (
        [(1, 3, 1, 24, 24, 3), (4, 3, 2, 24, 48, 5), (4, 3, 2, 48, 80, 5)],
        [(4, 3, 2, 80, 160, 7), (6, 3, 1, 160, 176, 14), (6, 3, 2, 176, 304, 18),
         (6, 3, 1, 304, 512, 5)],
    ),
    "l": (
        [(1, 3, 1, 32, 32, 4), (4, 3, 2, 32, 64, 7), (4, 3, 2, 64, 96, 7)],
        [(4, 3, 2, 96, 192, 10), (6, 3, 1, 192, 224, 19), (6, 3, 2, 224, 384, 25),
         (6, 3, 1, 384, 640, 7)],
    ),
}  # fmt: skip


@dataclass
class _MBConvConfig:
    """What the blocks of a stage are made of."""

    expand_ratio: float
    kernel: int
    stride: int
    input_channels: int
    out_channels: int
    num_layers: int
    block: Callable[..., nn.Module]

    @staticmethod
    def adjust_channels(channels: int, width_mult: float, min_value: int | None = None) -> int:
        return rounded(channels * width_mult, 8, min_value)


class MBConvConfig(_MBConvConfig):
    """A stage of MBConv; channels and blocks are multiplied by ``width_mult``, ``depth_mult``."""

    def __init__(
        self,
        expand_ratio: float,
        kernel: int,
        stride: int,
        input_channels: int,
        out_channels: int,
        num_layers: int,
        width_mult: float = 1.0,
        depth_mult: float = 1.0,
        block: Callable[..., nn.Module] | None = None,
    ) -> None:
        channels = [rounded(c * width_mult, 8) for c in (input_channels, out_channels)]
        depth = self.adjust_depth(num_layers, depth_mult)
        super().__init__(expand_ratio, kernel, stride, *channels, depth, block or MBConv)

    @staticmethod
    def adjust_depth(num_layers: int, depth_mult: float) -> int:
        return math.ceil(num_layers * depth_mult)


class FusedMBConvConfig(_MBConvConfig):
    """A stage of FusedMBConv."""

    def __init__(
        self,
        expand_ratio: float,
        kernel: int,
        stride: int,
        input_channels: int,
        out_channels: int,
        num_layers: int,
        block: Callable[..., nn.Module] | None = None,
    ) -> None:
        channels = input_channels, out_channels
        super().__init__(expand_ratio, kernel, stride, *channels, num_layers, block or FusedMBConv)


class _Residual(nn.Module):
    """Layers beside the identity if the shape stays; whole rows are dropped at random."""

    def __init__(
        self, cnf: _MBConvConfig, layers: list[nn.Module], stochastic_depth_prob: float
    ) -> None:
        super().__init__()
        if not 1 <= cnf.stride <= 2:
            raise ValueError(f"{type(self).__name__}: stride is {cnf.stride}; it must be 1 or 2.")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        self.block = nn.Sequential(*layers)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.out_channels = cnf.out_channels

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = self.block(input)
        if self.use_res_connect:
            out = self.stochastic_depth(out) + input
        return out


class MBConv(_Residual):
    """Widen, convolve each channel, scale channels, narrow."""

    def __init__(
        self,
        cnf: MBConvConfig,
        stochastic_depth_prob: float,
        norm_layer: Callable[..., nn.Module],
        se_layer: Callable[..., nn.Module] = SqueezeExcitation,
    ) -> None:
        inp, out = cnf.input_channels, cnf.out_channels
        wide = cnf.adjust_channels(inp, cnf.expand_ratio)
        shared: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.SiLU}
        each = {"kernel_size": cnf.kernel, "stride": cnf.stride, "groups": wide}
        layers: list[nn.Module] = []
        if wide != inp:
            layers.append(Conv2dNormActivation(inp, wide, kernel_size=1, **shared))
        layers.append(Conv2dNormActivation(wide, wide, **each, **shared))
        layers.append(se_layer(wide, max(1, inp // 4), activation=partial(nn.SiLU, inplace=True)))
        shared["activation_layer"] = None
        layers.append(Conv2dNormActivation(wide, out, kernel_size=1, **shared))
        super().__init__(cnf, layers, stochastic_depth_prob)


class FusedMBConv(_Residual):
    """Widen with a whole convolution, narrow; only the convolution where nothing widens."""

    def __init__(
        self,
        cnf: FusedMBConvConfig,
        stochastic_depth_prob: float,
        norm_layer: Callable[..., nn.Module],
    ) -> None:
        inp, out = cnf.input_channels, cnf.out_channels
        wide = cnf.adjust_channels(inp, cnf.expand_ratio)
        shared: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.SiLU}
        first = wide if wide != inp else out
        layers: list[nn.Module] = [
            Conv2dNormActivation(inp, first, kernel_size=cnf.kernel, stride=cnf.stride, **shared)
        ]
        if wide != inp:
            shared["activation_layer"] = None
            layers.append(Conv2dNormActivation(wide, out, kernel_size=1, **shared))
        super().__init__(cnf, layers, stochastic_depth_prob)


class EfficientNet(nn.Module):
    """Stages of MBConv and FusedMBConv. Shape: ``(N, 3, H, W) -> (N, num_classes)``.

    Args:
        inverted_residual_setting: configurations of the stages.
        dropout: probability of zeroing a feature before the linear layer.
        stochastic_depth_prob: of dropping a row in the last block; in earlier ones less.
        num_classes: size of the output.
        norm_layer: what makes a normalisation of so many channels; default: BatchNorm2d.
        last_channel: features before the linear layer; default: four times the last stage's.

    References: Tan and Le, 2019, arXiv:1905.11946, and 2021, arXiv:2104.00298.
    """

    def __init__(
        self,
        inverted_residual_setting: Sequence[MBConvConfig | FusedMBConvConfig],
        dropout: float,
        stochastic_depth_prob: float = 0.2,
        num_classes: int = 1000,
        norm_layer: Callable[..., nn.Module] | None = None,
        last_channel: int | None = None,
    ) -> None:
        super().__init__()
        stages = inverted_residual_setting
        if not stages:
            raise ValueError("EfficientNet: inverted_residual_setting is empty; give a stage.")
        if not isinstance(stages, Sequence) or not all(
            isinstance(s, _MBConvConfig) for s in stages
        ):
            raise TypeError(
                "EfficientNet: inverted_residual_setting must be a list of MBConvConfig and "
                "FusedMBConvConfig."
            )
        norm_layer = norm_layer or nn.BatchNorm2d
        shared: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.SiLU}
        layers: list[nn.Module] = [
            Conv2dNormActivation(3, stages[0].input_channels, stride=2, **shared)
        ]
        total, done = sum(s.num_layers for s in stages), 0
        for stage in stages:
            blocks = []
            for i in range(stage.num_layers):
                cnf = _MBConvConfig(**vars(stage))
                if i:
                    cnf.input_channels, cnf.stride = cnf.out_channels, 1
                chance = stochastic_depth_prob * float(done) / total
                blocks.append(stage.block(cnf, chance, norm_layer))
                done += 1
            layers.append(nn.Sequential(*blocks))
        last = stages[-1].out_channels
        final = last_channel if last_channel is not None else 4 * last
        layers.append(Conv2dNormActivation(last, final, kernel_size=1, **shared))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout, inplace=True), nn.Linear(final, num_classes)
        )
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out")
            elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.ones_(m.weight)
            elif isinstance(m, nn.Linear):
                bound = 1.0 / math.sqrt(m.out_features)
                nn.init.uniform_(m.weight, -bound, bound)
            else:
                continue
            if m.bias is not None:
                nn.init.zeros_(m.bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return out


def _builder(name: str, width: float, depth: float, dropout: float, **norm: float) -> Any:
    def build(**kwargs: Any) -> EfficientNet:
        stages = [MBConvConfig(*stage, width_mult=width, depth_mult=depth) for stage in STAGES]
        if norm:
            kwargs.setdefault("norm_layer", partial(nn.BatchNorm2d, **norm))
        return EfficientNet(stages, kwargs.pop("dropout", dropout), **kwargs)

    build.__name__ = build.__qualname__ = f"efficientnet_{name}"
    build.__doc__ = f"EfficientNet {name.upper()}: {width} times as wide, {depth} times as deep."
    return model(build)


def _builder_v2(size: str, dropout: float) -> Any:
    def build(**kwargs: Any) -> EfficientNet:
        fused, plain = FUSED_AND_PLAIN[size]
        stages = [FusedMBConvConfig(*s) for s in fused] + [MBConvConfig(*s) for s in plain]
        kwargs.setdefault("norm_layer", partial(nn.BatchNorm2d, eps=0.001))
        kwargs.setdefault("last_channel", 1280)
        return EfficientNet(stages, kwargs.pop("dropout", dropout), **kwargs)

    build.__name__ = build.__qualname__ = f"efficientnet_v2_{size}"
    build.__doc__ = f"EfficientNet version 2, size {size.upper()}."
    return model(build)


_LARGE = {"eps": 0.001, "momentum": 0.01}
efficientnet_b0 = _builder("b0", 1.0, 1.0, 0.2)
efficientnet_b1 = _builder("b1", 1.0, 1.1, 0.2)
efficientnet_b2 = _builder("b2", 1.1, 1.2, 0.3)
efficientnet_b3 = _builder("b3", 1.2, 1.4, 0.3)
efficientnet_b4 = _builder("b4", 1.4, 1.8, 0.4)
efficientnet_b5 = _builder("b5", 1.6, 2.2, 0.4, **_LARGE)
efficientnet_b6 = _builder("b6", 1.8, 2.6, 0.5, **_LARGE)
efficientnet_b7 = _builder("b7", 2.0, 3.1, 0.5, **_LARGE)
efficientnet_v2_s = _builder_v2("s", 0.2)
efficientnet_v2_m = _builder_v2("m", 0.3)
efficientnet_v2_l = _builder_v2("l", 0.4)
