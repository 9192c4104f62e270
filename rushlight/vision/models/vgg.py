"""VGG networks: stacks of 3x3 convolutions."""

from __future__ import annotations

from typing import Any

from rushlight import nn
from rushlight.core.tensor import Tensor
from rushlight.vision.models.registry import model

__all__ = [
    "VGG", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
]  # fmt: skip

CHANNELS = (64, 128, 256, 512, 512)  # of the five stages, each halved in size at its end
DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGG(nn.Module):
    """Convolutions, then three linear layers. Shape: ``(N, 3, 224, 224) -> (N, num_classes)``.

    Args:
        features: the convolutions; their output has 512 channels.
        num_classes: size of the output.
        init_weights: draw Kaiming-normal weights.
        dropout: probability of zeroing a feature between the linear layers.

    Reference: Simonyan and Zisserman, 2015, arXiv:1409.1556.
    """

    def __init__(
        self,
        features: nn.Module,
        num_classes: int = 1000,
        init_weights: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            for m in self.modules():
                initialise(m)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return out


def initialise(m: nn.Module) -> None:
    """Kaiming-normal convolutions, linear layers of deviation 0.01, no biases."""
    if isinstance(m, nn.Conv2d):
        nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(m, nn.Linear):
        nn.init.normal_(m.weight, 0, 0.01)
    elif isinstance(m, nn.BatchNorm2d):
        nn.init.ones_(m.weight)
    else:
        return
    if m.bias is not None:
        nn.init.zeros_(m.bias)


def make_layers(cfg: list[int | str], batch_norm: bool = False) -> nn.Sequential:
    """Convolutions of so many channels; ``"M"`` halves the size.

    Example:
        >>> len(make_layers([8, "M"], batch_norm=True))
        4
    """
    layers: list[nn.Module] = []
    before = 3
    for channels in cfg:
        if not isinstance(channels, int):
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            continue
        layers.append(nn.Conv2d(before, channels, kernel_size=3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(channels))
        layers.append(nn.ReLU(inplace=True))
        before = channels
    return nn.Sequential(*layers)


def stages(depth: int) -> list[int | str]:
    """What `make_layers` makes the network of so many weighted layers of."""
    counts = zip(CHANNELS, DEPTHS[depth], strict=True)
    return [c for channels, count in counts for c in (*[channels] * count, "M")]


cfgs = {letter: stages(depth) for letter, depth in zip("ABDE", DEPTHS, strict=True)}


def _builder(depth: int, batch_norm: bool) -> Any:
    def build(**kwargs: Any) -> VGG:
        return VGG(make_layers(stages(depth), batch_norm), **kwargs)

    build.__name__ = build.__qualname__ = f"vgg{depth}" + "_bn" * batch_norm
    build.__doc__ = f"VGG of {depth} weighted layers{', with batch norm' * batch_norm}."
    return model(build)


vgg11, vgg13, vgg16, vgg19 = (_builder(depth, False) for depth in DEPTHS)
vgg11_bn, vgg13_bn, vgg16_bn, vgg19_bn = (_builder(depth, True) for depth in DEPTHS)
