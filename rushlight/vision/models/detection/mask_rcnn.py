"""Mask R-CNN: Faster R-CNN with a mask for each object."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from rushlight import nn
from rushlight.vision.models.detection.backbone_utils import _resnet_fpn_extractor, detection_model
from rushlight.vision.models.detection.faster_rcnn import (
    FasterRCNN,
    expect_channels,
    pooling,
    second_version,
)
from rushlight.vision.models.resnet import resnet50
from rushlight.vision.ops import Conv2dNormActivation

__all__ = ["MaskRCNN", "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"]


class MaskRCNN(FasterRCNN):
    """A `FasterRCNN` that finds masks too: targets and results also have "masks", ``(N, H, W)`` of
    0 and 1 and ``(N, 1, H, W)`` of values in [0, 1].

    Args:
        backbone: makes features, and has ``out_channels``.
        num_classes: with the background, 0; None where predictors are given.
        mask_roi_pool: features of regions, for masks.
        mask_head: makes other features of them.
        mask_predictor: makes the masks' logits of those.
        kwargs: of `FasterRCNN`.

    Reference: He et al., 2017, arXiv:1703.06870.
    """

    def __init__(
        self,
        backbone: Any,
        num_classes: int | None = None,
        *args: Any,
        mask_roi_pool: nn.Module | None = None,
        mask_head: nn.Module | None = None,
        mask_predictor: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        expect_channels(backbone)
        if num_classes is not None and mask_predictor is not None:
            raise ValueError("num_classes should be None when mask_predictor is specified")
        mask_roi_pool = pooling(14) if mask_roi_pool is None else mask_roi_pool
        if mask_head is None:
            mask_head = MaskRCNNHeads(backbone.out_channels, (256,) * 4, 1)
        if mask_predictor is None:
            mask_predictor = MaskRCNNPredictor(256, 256, num_classes)  # type: ignore[arg-type]
        super().__init__(backbone, num_classes, *args, **kwargs)
        heads = self.roi_heads
        heads.mask_roi_pool, heads.mask_head = mask_roi_pool, mask_head
        heads.mask_predictor = mask_predictor


class MaskRCNNHeads(nn.Sequential):
    """Convolutions that keep the size.

    Args:
        in_channels: of the features.
        layers: channels of the convolutions.
        dilation: distance of their kernels' pixels.
        norm_layer: what makes their normalisations; None for none.
    """

    _version = 2

    def __init__(
        self,
        in_channels: int,
        layers: Any,
        dilation: int,
        norm_layer: Callable[..., nn.Module] | None = None,
    ) -> None:
        blocks = []
        for wide in layers:
            blocks.append(
                Conv2dNormActivation(
                    in_channels, wide, padding=dilation, dilation=dilation, norm_layer=norm_layer
                )
            )
            in_channels = wide
        super().__init__(*blocks)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Any, *rest: Any
    ) -> None:
        if (local_metadata.get("version") or 1) < 2:  # convolutions were called mask_fcn1, ...
            for i in range(len(self)):
                for kind in ("weight", "bias"):
                    old = f"{prefix}mask_fcn{i + 1}.{kind}"
                    if old in state_dict:
                        state_dict[f"{prefix}{i}.0.{kind}"] = state_dict.pop(old)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class MaskRCNNPredictor(nn.Sequential):
    """Masks of each class, twice as large as the features. Shape: ``(N, in_channels, M, M)`` ->
    ``(N, num_classes, 2 * M, 2 * M)``.

    Args:
        in_channels: of the features.
        dim_reduced: channels in between.
        num_classes: with the background, 0.
    """

    def __init__(self, in_channels: int, dim_reduced: int, num_classes: int) -> None:
        super().__init__(
            OrderedDict(
                conv5_mask=nn.ConvTranspose2d(in_channels, dim_reduced, 2, 2, 0),
                relu=nn.ReLU(inplace=True),
                mask_fcn_logits=nn.Conv2d(dim_reduced, num_classes, 1, 1, 0),
            )
        )
        for name, parameter in self.named_parameters():
            if "weight" in name:
                nn.init.kaiming_normal_(parameter, mode="fan_out", nonlinearity="relu")


@detection_model()
def maskrcnn_resnet50_fpn(*, num_classes: int | None, **kwargs: Any) -> MaskRCNN:
    """Mask R-CNN on a ResNet of 50 layers with a pyramid."""
    return MaskRCNN(_resnet_fpn_extractor(resnet50(), 5), num_classes or 91, **kwargs)


@detection_model(pretrained_backbone=False)
def maskrcnn_resnet50_fpn_v2(*, num_classes: int | None, **kwargs: Any) -> MaskRCNN:
    """As ``maskrcnn_resnet50_fpn``, with deeper heads and more normalisations.

    Reference: Li et al., 2021, arXiv:2111.11429.
    """
    parts = second_version()
    parts["mask_head"] = MaskRCNNHeads(
        parts["backbone"].out_channels, [256] * 4, 1, norm_layer=nn.BatchNorm2d
    )
    return MaskRCNN(num_classes=num_classes or 91, **parts, **kwargs)
