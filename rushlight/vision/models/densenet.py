"""DenseNets: every layer reads all layers before it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from rushlight import nn, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.utils.checkpoint import checkpoint
from rushlight.vision.models.registry import model

__all__ = ["DenseNet", "densenet121", "densenet161", "densenet169", "densenet201"]


class _DenseLayer(nn.Module):
    """``growth_rate`` new channels from all that are there."""

    def __init__(
        self,
        num_input_features: int,
        growth_rate: int,
        bn_size: int,
        drop_rate: float,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        inner = bn_size * growth_rate
        self.norm1 = nn.BatchNorm2d(num_input_features)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(num_input_features, inner, kernel_size=1, stride=1, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(inner, growth_rate, kernel_size=3, stride=1, padding=1, bias=False)
        self.drop_rate = float(drop_rate)
        self.memory_efficient = memory_efficient

    def _squeezed(self, *inputs: Tensor) -> Any:
        return self.conv1(self.relu1(self.norm1(T.cat(inputs, 1))))

    def forward(self, input: Tensor | list[Tensor]) -> Tensor:
        inputs = [input] if isinstance(input, Tensor) else input
        if self.memory_efficient and any(x.requires_grad for x in inputs):
            inner = checkpoint(self._squeezed, *inputs, use_reentrant=False)
        else:
            inner = self._squeezed(*inputs)
        new: Tensor = self.conv2(self.relu2(self.norm2(inner)))
        if self.drop_rate > 0:
            new = nn.functional.dropout(new, p=self.drop_rate, training=self.training)
        return new


class _DenseBlock(nn.ModuleDict):
    """Layers whose outputs are stacked onto the input."""

    def __init__(self, num_layers: int, num_input_features: int, growth_rate: int, *rest: Any):
        super().__init__()
        for i in range(num_layers):
            layer = _DenseLayer(num_input_features + i * growth_rate, growth_rate, *rest)
            self.add_module(f"denselayer{i + 1}", layer)

    def forward(self, init_features: Tensor) -> Tensor:
        features = [init_features]
        for layer in self.values():
            features.append(layer(features))
        return T.cat(features, 1)


class _Transition(nn.Sequential):
    """Fewer channels and half the size."""

    def __init__(self, num_input_features: int, num_output_features: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(num_input_features)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(
            num_input_features, num_output_features, kernel_size=1, stride=1, bias=False
        )
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)


class DenseNet(nn.Module):
    """Four dense blocks. Shape: ``(N, 3, H, W) -> (N, num_classes)``.

    Args:
        growth_rate: channels that each layer adds.
        block_config: layers of each block.
        num_init_features: channels after the first convolution.
        bn_size: a layer's inner channels, as a multiple of ``growth_rate``.
        drop_rate: probability of zeroing a new feature.
        num_classes: size of the output.
        memory_efficient: compute inner features again in backward instead of keeping them.

    Reference: Huang et al., 2017, arXiv:1608.06993.
    """

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: tuple[int, int, int, int] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0,
        num_classes: int = 1000,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        channels = num_init_features
        conv0 = nn.Conv2d(3, channels, kernel_size=7, stride=2, padding=3, bias=False)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=conv0,
            norm0=nn.BatchNorm2d(channels),
            relu0=nn.ReLU(inplace=True),
            pool0=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
        for i, count in enumerate(block_config, 1):
            layers[f"denseblock{i}"] = _DenseBlock(
                count, channels, growth_rate, bn_size, drop_rate, memory_efficient
            )
            channels += count * growth_rate
            if i != len(block_config):
                layers[f"transition{i}"] = _Transition(channels, channels // 2)
                channels //= 2
        layers["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(layers)
        self.classifier = nn.Linear(channels, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight)
            elif isinstance(m, nn.BatchNorm2d):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)
            elif isinstance(m, nn.Linear):
                nn.init.constant_(m.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.relu(self.features(x), inplace=True)
        out: Tensor = self.classifier(nn.functional.adaptive_avg_pool2d(x, (1, 1)).flatten(1))
        return out


@model
def densenet121(**kwargs: Any) -> DenseNet:
    """DenseNet of 121 layers."""
    return DenseNet(32, (6, 12, 24, 16), 64, **kwargs)


@model
def densenet161(**kwargs: Any) -> DenseNet:
    """DenseNet of 161 layers, which grow faster."""
    return DenseNet(48, (6, 12, 36, 24), 96, **kwargs)


@model
def densenet169(**kwargs: Any) -> DenseNet:
    """DenseNet of 169 layers."""
    return DenseNet(32, (6, 12, 32, 32), 64, **kwargs)


@model
def densenet201(**kwargs: Any) -> DenseNet:
    """DenseNet of 201 layers."""
    return DenseNet(32, (6, 12, 48, 32), 64, **kwargs)
