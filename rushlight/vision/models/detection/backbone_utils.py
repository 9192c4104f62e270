"""Networks for images as backbones of detectors: features of several sizes, and which of their
layers are trained.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from rushlight import nn
from rushlight.core.tensor import Tensor
from rushlight.errors import NotSupportedError
from rushlight.vision.models import mobilenetv2, mobilenetv3, resnet
from rushlight.vision.models._utils import IntermediateLayerGetter
from rushlight.vision.models.registry import model
from rushlight.vision.models.segmentation._utils import stages_of_mobilenet
from rushlight.vision.ops.feature_pyramid_network import (
    ExtraFPNBlock,
    FeaturePyramidNetwork,
    LastLevelMaxPool,
    LastLevelP6P7,
)
from rushlight.vision.ops.misc import FrozenBatchNorm2d

__all__ = ["BackboneWithFPN", "mobilenet_backbone", "resnet_fpn_backbone"]


class BackboneWithFPN(nn.Module):
    """A `FeaturePyramidNetwork` on parts of a backbone.

    Args:
        backbone: whose parts are called one after the other.
        return_layers: names of the parts whose results are used, with the names that these get.
        in_channels_list: channels of those results.
        out_channels: of the features.
        extra_blocks: adds more features; None for a `LastLevelMaxPool`.
        norm_layer: what makes the pyramid's normalisations; None for none.
    """

    def __init__(
        self,
        backbone: nn.Module,
        return_layers: dict[str, str],
        in_channels_list: list[int],
        out_channels: int,
        extra_blocks: ExtraFPNBlock | None = None,
        norm_layer: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.body = IntermediateLayerGetter(backbone, return_layers=return_layers)
        extra = LastLevelMaxPool() if extra_blocks is None else extra_blocks
        self.fpn = FeaturePyramidNetwork(in_channels_list, out_channels, extra, norm_layer)
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features: dict[str, Tensor] = self.fpn(self.body(x))
        return features


def freeze(parameters: Iterable[Tensor]) -> None:
    """Leave parameters out of training."""
    for parameter in parameters:
        parameter.requires_grad_(False)


def _expect_layers(function: str, trainable_layers: int, most: int) -> None:
    if not 0 <= trainable_layers <= most:
        raise ValueError(
            f"{function}: trainable_layers is {trainable_layers}; it should be in [0, {most}]."
        )


def _resnet_fpn_extractor(
    backbone: Any,
    trainable_layers: int,
    returned_layers: list[int] | None = None,
    extra_blocks: ExtraFPNBlock | None = None,
    norm_layer: Callable[..., nn.Module] | None = None,
) -> BackboneWithFPN:
    """A pyramid on the stages of a ResNet, of which the last ``trainable_layers`` are trained."""
    _expect_layers("resnet_fpn_backbone", trainable_layers, 5)
    trained = ["layer4", "layer3", "layer2", "layer1", "conv1"][:trainable_layers]
    if trainable_layers == 5:
        trained.append("bn1")
    for name, parameter in backbone.named_parameters():
        if not name.startswith(tuple(trained)):
            freeze([parameter])
    stages = [1, 2, 3, 4] if returned_layers is None else returned_layers
    if min(stages) <= 0 or max(stages) >= 5:
        raise ValueError(f"Each returned layer should be in the range [1,4]. Got {stages}")
    names = {f"layer{stage}": str(i) for i, stage in enumerate(stages)}
    channels = [backbone.inplanes // 8 * 2 ** (stage - 1) for stage in stages]
    return BackboneWithFPN(backbone, names, channels, 256, extra_blocks, norm_layer)


def _mobilenet_extractor(
    backbone: Any,
    fpn: bool,
    trainable_layers: int,
    returned_layers: list[int] | None = None,
    extra_blocks: ExtraFPNBlock | None = None,
    norm_layer: Callable[..., nn.Module] | None = None,
) -> nn.Module:
    """The features of a MobileNet, with a pyramid or made 256 channels; the last
    ``trainable_layers`` of its stages are trained.
    """
    features = backbone.features
    starts = stages_of_mobilenet(features)
    count = len(starts)
    _expect_layers("mobilenet_backbone", trainable_layers, count)
    first = starts[count - trainable_layers] if trainable_layers else len(features)
    for block in features[:first]:
        freeze(block.parameters())
    if not fpn:
        plain = nn.Sequential(features, nn.Conv2d(features[-1].out_channels, 256, 1))
        plain.out_channels = 256
        return plain
    stages = [count - 2, count - 1] if returned_layers is None else returned_layers
    if min(stages) < 0 or max(stages) >= count:
        raise ValueError(
            f"Each returned layer should be in the range [0,{count - 1}], got {stages} "
        )
    names = {str(starts[stage]): str(i) for i, stage in enumerate(stages)}
    channels = [features[starts[stage]].out_channels for stage in stages]
    return BackboneWithFPN(features, names, channels, 256, extra_blocks, norm_layer)


def upper_stages(channels: int) -> BackboneWithFPN:
    """The last three stages of a ResNet of 50 layers with a pyramid, and two more features that are
    made of so many channels. The order of the parts is that of their random weights.
    """
    net = resnet.resnet50()
    return _resnet_fpn_extractor(net, 5, [2, 3, 4], LastLevelP6P7(channels, 256))


def resnet_fpn_backbone(
    *,
    backbone_name: str,
    weights: Any = None,
    norm_layer: Callable[..., nn.Module] = FrozenBatchNorm2d,
    trainable_layers: int = 3,
    returned_layers: list[int] | None = None,
    extra_blocks: ExtraFPNBlock | None = None,
) -> BackboneWithFPN:
    """A ResNet with a pyramid, as a backbone of detectors.

    Args:
        backbone_name: such as "resnet50".
        weights: must be None, see `models`.
        norm_layer: what makes the ResNet's normalisations.
        trainable_layers: how many of its five stages are trained, the last ones.
        returned_layers: stages whose results are used, in [1, 4]; by default all four.
        extra_blocks: adds more features; None for a `LastLevelMaxPool`.

    Example:
        >>> import rushlight as torch
        >>> net = resnet_fpn_backbone(backbone_name="resnet18", weights=None)
        >>> {name: x.shape[2] for name, x in net(torch.zeros(1, 3, 64, 64)).items()}
        {'0': 16, '1': 8, '2': 4, '3': 2, 'pool': 1}
    """
    backbone = getattr(resnet, backbone_name)(weights=weights, norm_layer=norm_layer)
    return _resnet_fpn_extractor(backbone, trainable_layers, returned_layers, extra_blocks)


def mobilenet_backbone(
    *,
    backbone_name: str,
    weights: Any = None,
    fpn: bool,
    norm_layer: Callable[..., nn.Module] = FrozenBatchNorm2d,
    trainable_layers: int = 2,
    returned_layers: list[int] | None = None,
    extra_blocks: ExtraFPNBlock | None = None,
) -> nn.Module:
    """A MobileNet as a backbone of detectors, with a pyramid or without.

    Args:
        backbone_name: such as "mobilenet_v3_large".
        weights: must be None, see `models`.
        fpn: whether there is a pyramid.
        norm_layer: what makes the MobileNet's normalisations.
        trainable_layers: how many of its stages are trained, the last ones.
        returned_layers: stages whose results are used; by default the last two.
        extra_blocks: adds more features to a pyramid; None for a `LastLevelMaxPool`.
    """
    home = mobilenetv2 if hasattr(mobilenetv2, backbone_name) else mobilenetv3
    backbone = getattr(home, backbone_name)(weights=weights, norm_layer=norm_layer)
    return _mobilenet_extractor(backbone, fpn, trainable_layers, returned_layers, extra_blocks)


def detection_model(pretrained_backbone: bool = True) -> Callable[..., Any]:
    """Decorator: enters a detector's builder under its name, for 91 classes by default, and gives
    it torchvision's arguments.

    Args:
        pretrained_backbone: whether its backbone's weights are pretrained by default, and so have
            to be declined.
    """

    def enter(build: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(build)
        def builder(
            *,
            num_classes: int | None = None,
            weights_backbone: Any = "DEFAULT" if pretrained_backbone else None,
            pretrained_backbone: bool = True,
            trainable_backbone_layers: int | None = None,
            **kwargs: Any,
        ) -> Any:
            if weights_backbone is not None and pretrained_backbone:
                raise NotSupportedError(
                    f"{build.__name__}: the backbone's pretrained weights are not included. Pass "
                    "weights_backbone=None, and your own weights to load_state_dict."
                )
            if trainable_backbone_layers is not None:
                warnings.warn(
                    "Changing trainable_backbone_layers has no effect if neither pretrained nor "
                    f"pretrained_backbone have been set to True, falling back to all of them in "
                    f"{build.__name__}",
                    stacklevel=3,
                )
            return build(num_classes=num_classes, **kwargs)

        return model(builder)

    return enter
