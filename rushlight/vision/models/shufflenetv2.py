"""ShuffleNet V2: half of the channels pass each block untouched, and halves are mixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight import nn, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.vision.models.registry import model

__all__ = [
    "ShuffleNetV2", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0",
]  # fmt: skip


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """The channels of groups in turn. Shape: ``(N, C, H, W) -> same``."""
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


def _pointwise(inp: int, out: int) -> list[nn.Module]:
    conv = nn.Conv2d(inp, out, kernel_size=1, stride=1, padding=0, bias=False)
    return [conv, nn.BatchNorm2d(out), nn.ReLU(inplace=True)]


class InvertedResidual(nn.Module):
    """A branch for one half of the channels; with a stride, one branch for each half."""

    def __init__(self, inp: int, oup: int, stride: int) -> None:
        super().__init__()
        if not 1 <= stride <= 3:
            raise ValueError(f"InvertedResidual: stride is {stride}; it must be 1, 2 or 3.")
        half = oup // 2
        if stride == 1 and inp != 2 * half:
            raise ValueError(
                f"InvertedResidual: with stride 1 {inp} channels stay {inp}, but out are {oup}."
            )
        self.stride = stride

        def depthwise(channels: int) -> list[nn.Module]:
            options: dict[str, Any] = {"groups": channels, "bias": False}
            conv = nn.Conv2d(channels, channels, 3, stride, padding=1, **options)
            return [conv, nn.BatchNorm2d(channels)]

        self.branch1 = nn.Sequential(
            *([*depthwise(inp), *_pointwise(inp, half)] if stride > 1 else [])
        )
        self.branch2 = nn.Sequential(
            *_pointwise(inp if stride > 1 else half, half),
            *depthwise(half),
            *_pointwise(half, half),
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            kept, changed = x.chunk(2, dim=1)
            out = T.cat((kept, self.branch2(changed)), dim=1)
        else:
            out = T.cat((self.branch1(x), self.branch2(x)), dim=1)
        return channel_shuffle(out, 2)


class ShuffleNetV2(nn.Module):
    """Three stages of blocks. Shape: ``(N, 3, H, W) -> (N, num_classes)``.

    Args:
        stages_repeats: blocks of the three stages.
        stages_out_channels: channels of the first convolution, the three stages and the last
            convolution.
        num_classes: size of the output.
        inverted_residual: class of the blocks.

    Reference: Ma et al., 2018, arXiv:1807.11164.
    """

    def __init__(
        self,
        stages_repeats: list[int],
        stages_out_channels: list[int],
        num_classes: int = 1000,
        inverted_residual: Callable[..., nn.Module] = InvertedResidual,
    ) -> None:
        super().__init__()
        if len(stages_repeats) != 3:
            raise ValueError(
                f"ShuffleNetV2: stages_repeats has {len(stages_repeats)} numbers; it needs 3."
            )
        if len(stages_out_channels) != 5:
            raise ValueError(
                f"ShuffleNetV2: stages_out_channels has {len(stages_out_channels)} numbers; it "
                "needs 5."
            )
        channels, *stages, last = self._stage_out_channels = stages_out_channels
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, channels, 3, 2, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        for i, (count, out) in enumerate(zip(stages_repeats, stages, strict=True)):
            blocks = [inverted_residual(channels, out, 2)]
            blocks += [inverted_residual(out, out, 1) for _ in range(count - 1)]
            setattr(self, f"stage{i + 2}", nn.Sequential(*blocks))
            channels = out
        self.conv5 = nn.Sequential(*_pointwise(channels, last))
        self.fc = nn.Linear(last, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.conv1(x))
        x = self.conv5(self.stage4(self.stage3(self.stage2(x))))
        out: Tensor = self.fc(x.mean([2, 3]))
        return out


def _builder(name: str, channels: list[int]) -> Any:
    def build(**kwargs: Any) -> ShuffleNetV2:
        return ShuffleNetV2([4, 8, 4], channels, **kwargs)

    build.__name__ = build.__qualname__ = f"shufflenet_v2_{name}"
    build.__doc__ = f"ShuffleNet V2, {name[1:].replace('_', '.')} times as wide."
    return model(build)


shufflenet_v2_x0_5 = _builder("x0_5", [24, 48, 96, 192, 1024])
shufflenet_v2_x1_0 = _builder("x1_0", [24, 116, 232, 464, 1024])
shufflenet_v2_x1_5 = _builder("x1_5", [24, 176, 352, 704, 1024])
shufflenet_v2_x2_0 = _builder("x2_0", [24, 244, 488, 976, 2048])
