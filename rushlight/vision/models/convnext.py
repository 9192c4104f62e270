"""ConvNeXt: residual networks with the proportions of vision transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from rushlight import nn, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.vision.models.registry import model
from rushlight.vision.ops import Conv2dNormActivation, Permute, StochasticDepth

__all__ = ["ConvNeXt", "convnext_base", "convnext_large", "convnext_small", "convnext_tiny"]


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of images. Shape: ``(N, C, H, W) -> same``."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class CNBlock(nn.Module):
    """A large convolution of each channel, then two linear layers of each pixel, scaled; beside
    the identity.

    Args:
        dim: channels.
        layer_scale: first value of the learned scale of each channel.
        stochastic_depth_prob: of dropping a row.
        norm_layer: what makes a normalisation of so many features; default: LayerNorm, eps 1e-6.
    """

    def __init__(
        self,
        dim: int,
        layer_scale: float,
        stochastic_depth_prob: float,
        norm_layer: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__()
        norm_layer = norm_layer or partial(nn.LayerNorm, eps=1e-6)
        self.block = nn.Sequential(
            nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim, bias=True),
            Permute([0, 2, 3, 1]),
            norm_layer(dim),
            nn.Linear(dim, 4 * dim),
            nn.GELU(),
            nn.Linear(4 * dim, dim),
            Permute([0, 3, 1, 2]),
        )
        self.layer_scale = nn.Parameter(T.ones(dim, 1, 1) * layer_scale)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = self.stochastic_depth(self.layer_scale * self.block(input)) + input
        return out


class CNBlockConfig(NamedTuple):
    """A stage: its channels, those after the halving of the size that follows it (None for no
    such), and its blocks.
    """

    input_channels: int
    out_channels: int | None
    num_layers: int


class ConvNeXt(nn.Module):
    """Four stages of blocks, each at half the size of the one before. Shape: ``(N, 3, H, W) ->
    (N, num_classes)``.

    Args:
        block_setting: configurations of the stages.
        stochastic_depth_prob: of dropping a row in the last block; in earlier ones less.
        layer_scale: first value of the scales of channels.
        num_classes: size of the output.
        block: class of the blocks; default: CNBlock.
        norm_layer: what makes a normalisation of so many channels of images; default: LayerNorm2d,
            eps 1e-6.

    Reference: Liu et al., 2022, arXiv:2201.03545.
    """

    def __init__(
        self,
        block_setting: list[CNBlockConfig],
        stochastic_depth_prob: float = 0.0,
        layer_scale: float = 1e-6,
        num_classes: int = 1000,
        block: Callable[..., nn.Module] | None = None,
        norm_layer: Callable[..., nn.Module] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if not block_setting:
            raise ValueError("ConvNeXt: block_setting is empty; give a stage.")
        if not isinstance(block_setting, Sequence) or not all(
            isinstance(s, CNBlockConfig) for s in block_setting
        ):
            raise TypeError("ConvNeXt: block_setting must be a list of CNBlockConfig.")
        block, norm_layer = block or CNBlock, norm_layer or partial(LayerNorm2d, eps=1e-6)
        first = block_setting[0].input_channels
        stem: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": None}
        layers: list[nn.Module] = [
            Conv2dNormActivation(3, first, kernel_size=4, stride=4, padding=0, bias=True, **stem)
        ]
        total, done = sum(s.num_layers for s in block_setting), 0
        for channels, after, count in block_setting:
            blocks = []
            for _ in range(count):
                chance = stochastic_depth_prob * done / (total - 1.0)
                blocks.append(block(channels, layer_scale, chance))
                done += 1
            layers.append(nn.Sequential(*blocks))
            if after is not None:
                halve = nn.Conv2d(channels, after, kernel_size=2, stride=2)
                layers.append(nn.Sequential(norm_layer(channels), halve))
        last = block_setting[-1]
        features = last.input_channels if last.out_channels is None else last.out_channels
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            norm_layer(features), nn.Flatten(1), nn.Linear(features, num_classes)
        )
        for m in self.modules():
            if isinstance(m, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(m.weight, std=0.02)
                if m.bias is not None:
                    nn.init.zeros_(m.bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.classifier(self.avgpool(self.features(x)))
        return out


def _builder(size: str, width: int, depth: int, chance: float) -> Any:
    def build(**kwargs: Any) -> ConvNeXt:
        widths = [width, 2 * width, 4 * width, 8 * width]
        afters = [*widths[1:], None]
        stages = [
            CNBlockConfig(*stage) for stage in zip(widths, afters, (3, 3, depth, 3), strict=True)
        ]
        return ConvNeXt(stages, kwargs.pop("stochastic_depth_prob", chance), **kwargs)

    build.__name__ = build.__qualname__ = f"convnext_{size}"
    build.__doc__ = f"ConvNeXt whose first stage has {width} channels."
    return model(build)


convnext_tiny = _builder("tiny", 96, 9, 0.1)
convnext_small = _builder("small", 96, 27, 0.4)
convnext_base = _builder("base", 128, 27, 0.5)
convnext_large = _builder("large", 192, 27, 0.5)
