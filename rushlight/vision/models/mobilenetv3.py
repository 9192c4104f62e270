"""MobileNet V3: blocks of MobileNet V2 with hard activations and squeeze and excitation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rushlight import nn
from rushlight.core.tensor import Tensor
from rushlight.vision.models.mobilenetv2 import initialise, rounded
from rushlight.vision.models.registry import model
from rushlight.vision.ops import Conv2dNormActivation, SqueezeExcitation as SELayer

__all__ = ["MobileNetV3", "mobilenet_v3_large", "mobilenet_v3_small"]

# input channels, kernel, widened channels, output channels, squeeze and excitation, activation,
# stride; channels and dilation from `tail` on depend on the options of the builder
LARGE = [
    (16, 3, 16, 16, False, "RE", 1), (16, 3, 64, 24, False, "RE", 2),
    (24, 3, 72, 24, False, "RE", 1), (24, 5, 72, 40, True, "RE", 2),
    (40, 5, 120, 40, True, "RE", 1), (40, 5, 120, 40, True, "RE", 1),
    (40, 3, 240, 80, False, "HS", 2), (80, 3, 200, 80, False, "HS", 1),
    (80, 3, 184, 80, False, "HS", 1), (80, 3, 184, 80, False, "HS", 1),
    (80, 3, 480, 112, True, "HS", 1), (112, 3, 672, 112, True, "HS", 1),
    (112, 5, 672, 160, True, "HS", 2), (160, 5, 960, 160, True, "HS", 1),
    (160, 5, 960, 160, True, "HS", 1),
]  # fmt: skip
SMALL = [
    (16, 3, 16, 16, True, "RE", 2), (16, 3, 72, 24, False, "RE", 2),
    (24, 3, 88, 24, False, "RE", 1), (24, 5, 96, 40, True, "HS", 2),
    (40, 5, 240, 40, True, "HS", 1), (40, 5, 240, 40, True, "HS", 1),
    (40, 5, 120, 48, True, "HS", 1), (48, 5, 144, 48, True, "HS", 1),
    (48, 5, 288, 96, True, "HS", 2), (96, 5, 576, 96, True, "HS", 1),
    (96, 5, 576, 96, True, "HS", 1),
]  # fmt: skip


class InvertedResidualConfig:
    """What one block is made of.

    Args:
        input_channels: of its input.
        kernel: of its convolution of each channel.
        expanded_channels: what it widens to.
        out_channels: of its output.
        use_se: whether with squeeze and excitation.
        activation: "HS" for Hardswish, otherwise ReLU.
        stride: of its convolution of each channel.
        dilation: likewise; above 1 the stride is 1.
        width_mult: factor of all channels.
    """

    def __init__(
        self,
        input_channels: int,
        kernel: int,
        expanded_channels: int,
        out_channels: int,
        use_se: bool,
        activation: str,
        stride: int,
        dilation: int,
        width_mult: float,
    ) -> None:
        self.input_channels = self.adjust_channels(input_channels, width_mult)
        self.kernel = kernel
        self.expanded_channels = self.adjust_channels(expanded_channels, width_mult)
        self.out_channels = self.adjust_channels(out_channels, width_mult)
        self.use_se = use_se
        self.use_hs = activation == "HS"
        self.stride, self.dilation = stride, dilation

    @staticmethod
    def adjust_channels(channels: int, width_mult: float) -> int:
        return rounded(channels * width_mult, 8)


HARD_SCALES = partial(SELayer, scale_activation=nn.Hardsigmoid)


class InvertedResidual(nn.Module):
    """Widen, convolve each channel, scale channels, narrow; beside the identity if the shape
    stays.
    """

    def __init__(
        self,
        cnf: InvertedResidualConfig,
        norm_layer: Callable[..., nn.Module],
        se_layer: Callable[..., nn.Module] = HARD_SCALES,
    ) -> None:
        super().__init__()
        if not 1 <= cnf.stride <= 2:
            raise ValueError(f"InvertedResidual: stride is {cnf.stride}; it must be 1 or 2.")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        wide = cnf.expanded_channels
        shared: dict[str, Any] = {
            "norm_layer": norm_layer,
            "activation_layer": nn.Hardswish if cnf.use_hs else nn.ReLU,
        }
        layers: list[nn.Module] = []
        if wide != cnf.input_channels:
            layers.append(Conv2dNormActivation(cnf.input_channels, wide, kernel_size=1, **shared))
        layers.append(
            Conv2dNormActivation(
                wide,
                wide,
                kernel_size=cnf.kernel,
                stride=1 if cnf.dilation > 1 else cnf.stride,
                dilation=cnf.dilation,
                groups=wide,
                **shared,
            )
        )
        if cnf.use_se:
            layers.append(se_layer(wide, rounded(wide // 4, 8)))
        shared["activation_layer"] = None
        layers.append(Conv2dNormActivation(wide, cnf.out_channels, kernel_size=1, **shared))
        self.block = nn.Sequential(*layers)
        self.out_channels = cnf.out_channels
        self._is_cn = cnf.stride > 1

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = self.block(input)
        return out + input if self.use_res_connect else out


class MobileNetV3(nn.Module):
    """Inverted residual blocks, and two linear layers. Shape: ``(N, 3, H, W) -> (N,
    num_classes)``.

    Args:
        inverted_residual_setting: configurations of the blocks.
        last_channel: features between the two linear layers.
        num_classes: size of the output.
        block: class of the blocks; default: InvertedResidual.
        norm_layer: what makes a normalisation of so many channels; default: BatchNorm2d with
            eps 0.001 and momentum 0.01.
        dropout: probability of zeroing a feature before the last layer.

    Reference: Howard et al., 2019, arXiv:1905.02244.
    """

    def __init__(
        self,
        inverted_residual_setting: list[InvertedResidualConfig],
        last_channel: int,
        num_classes: int = 1000,
        block: Callable[..., nn.Module] | None = None,
        norm_layer: Callable[..., nn.Module] | None = None,
        dropout: float = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        settings = inverted_residual_setting
        if not settings:
            raise ValueError("MobileNetV3: inverted_residual_setting is empty; give a block.")
        if not isinstance(settings, list | tuple) or not all(
            isinstance(s, InvertedResidualConfig) for s in settings
        ):
            raise TypeError(
                "MobileNetV3: inverted_residual_setting must be a list of InvertedResidualConfig."
            )
        block = block or InvertedResidual
        norm_layer = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        shared: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.Hardswish}
        first, last = settings[0].input_channels, settings[-1].out_channels
        self.features = nn.Sequential(
            Conv2dNormActivation(3, first, stride=2, **shared),
            *(block(setting, norm_layer) for setting in settings),
            Conv2dNormActivation(last, 6 * last, kernel_size=1, **shared),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * last, last_channel),
            nn.Hardswish(inplace=True),
            nn.Dropout(p=dropout, inplace=True),
            nn.Linear(last_channel, num_classes),
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return out


def build(
    blocks: list[tuple[Any, ...]],
    tail: int,
    last_channel: int,
    *,
    width_mult: float = 1.0,
    reduced_tail: bool = False,
    dilated: bool = False,
    **kwargs: Any,
) -> MobileNetV3:
    """The network of these blocks. From block ``tail`` on, channels are halved if
    ``reduced_tail``, and kernels dilated if ``dilated``, for segmentation.
    """
    fewer, dilation = 2 if reduced_tail else 1, 2 if dilated else 1
    settings = []
    for i, (inp, kernel, wide, out, *rest) in enumerate(blocks):
        if i >= tail:
            inp, wide = (inp, wide) if i == tail else (inp // fewer, wide // fewer)
            out = out // fewer
        settings.append(
            InvertedResidualConfig(
                inp, kernel, wide, out, *rest, dilation if i >= tail else 1, width_mult
            )
        )
    last = InvertedResidualConfig.adjust_channels(last_channel // fewer, width_mult)
    return MobileNetV3(settings, last, **kwargs)


@model
def mobilenet_v3_large(**kwargs: Any) -> MobileNetV3:
    """MobileNet V3, the large one."""
    return build(LARGE, 12, 1280, **kwargs)


@model
def mobilenet_v3_small(**kwargs: Any) -> MobileNetV3:
    """MobileNet V3, the small one."""
    return build(SMALL, 8, 1024, **kwargs)
