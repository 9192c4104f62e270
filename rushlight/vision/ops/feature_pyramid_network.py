"""Features of several sizes, each with what the smaller ones know."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from rushlight import nn
from rushlight.core.tensor import Tensor
from rushlight.vision.ops.misc import Conv2dNormActivation

__all__ = ["ExtraFPNBlock", "FeaturePyramidNetwork", "LastLevelMaxPool", "LastLevelP6P7"]


class ExtraFPNBlock(nn.Module):
    """Base of what adds features to a pyramid: ``(results, inputs, names) -> (results, names)``."""


class LastLevelMaxPool(ExtraFPNBlock):
    """Adds every second pixel of the smallest features, under the name "pool"."""

    def forward(
        self, x: list[Tensor], y: list[Tensor], names: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        return [*x, nn.functional.max_pool2d(x[-1], 1, 2, 0)], [*names, "pool"]


class LastLevelP6P7(ExtraFPNBlock):
    """Adds two features, each half as large as the one before, under the names "p6" and "p7".

    Args:
        in_channels: of the smallest inputs.
        out_channels: of the results. Where these are as many, the smallest results are halved,
            otherwise the inputs.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.p6 = nn.Conv2d(in_channels, out_channels, 3, 2, 1)
        self.p7 = nn.Conv2d(out_channels, out_channels, 3, 2, 1)
        for layer in (self.p6, self.p7):
            nn.init.kaiming_uniform_(layer.weight, a=1)
            nn.init.zeros_(layer.bias)
        self.use_P5 = in_channels == out_channels

    def forward(
        self, p: list[Tensor], c: list[Tensor], names: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        p6 = self.p6(p[-1] if self.use_P5 else c[-1])
        return [*p, p6, self.p7(nn.functional.relu(p6))], [*names, "p6", "p7"]


class FeaturePyramidNetwork(nn.Module):
    """Brings features to one number of channels, and adds to each what the next smaller ones are,
    made larger. Shape: a dict of ``(N, C_i, H_i, W_i)`` -> an OrderedDict of
    ``(N, out_channels, H_i, W_i)``.

    Args:
        in_channels_list: the C_i, from large features to small ones.
        out_channels: of the results.
        extra_blocks: adds more features, such as `LastLevelMaxPool`.
        norm_layer: what makes a normalisation of so many channels; None for none.

    Reference: Lin et al., 2017, arXiv:1612.03144.
    """

    def __init__(
        self,
        in_channels_list: list[int],
        out_channels: int,
        extra_blocks: ExtraFPNBlock | None = None,
        norm_layer: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.inner_blocks, self.layer_blocks = nn.ModuleList(), nn.ModuleList()
        shared: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": None}
        for channels in in_channels_list:
            if not channels:
                raise ValueError("in_channels=0 is currently not supported")
            self.inner_blocks.append(Conv2dNormActivation(channels, out_channels, 1, **shared))
            self.layer_blocks.append(Conv2dNormActivation(out_channels, out_channels, 3, **shared))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.extra_blocks = extra_blocks

    def forward(self, x: dict[str, Tensor]) -> OrderedDict[str, Tensor]:
        names, features = list(x), list(x.values())
        results: list[Tensor] = []
        above = None
        blocks = list(zip(features, self.inner_blocks, self.layer_blocks, strict=True))
        for feature, inner, layer in reversed(blocks):
            here = inner(feature)
            if above is not None:
                here = here + nn.functional.interpolate(above, here.shape[-2:], mode="nearest")
            results.insert(0, layer(here))
            above = here
        if self.extra_blocks is not None:
            results, names = self.extra_blocks(results, features, names)
        return OrderedDict(zip(names, results, strict=True))
