"""What segmentation networks have in common."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from rushlight import nn
from rushlight.core.tensor import Tensor
from rushlight.errors import NotSupportedError
from rushlight.nn.functional import interpolate
from rushlight.vision.models.registry import model


def resized(x: Tensor, like: Tensor) -> Tensor:
    """Blended to the height and width of ``like``."""
    return interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


class _SimpleSegmentationModel(nn.Module):
    """A classifier of the pixels of a backbone, enlarged to the input. Shape: ``(N, 3, H, W) ->
    {"out": (N, classes, H, W)}``, also "aux" with an auxiliary classifier.

    Args:
        backbone: gives a dict with "out", and "aux" for the auxiliary classifier.
        classifier: of the backbone's "out".
        aux_classifier: of its "aux", or None.
    """

    def __init__(
        self, backbone: nn.Module, classifier: nn.Module, aux_classifier: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier
        self.aux_classifier = aux_classifier

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.backbone(x)
        result = OrderedDict(out=resized(self.classifier(features["out"]), x))
        if self.aux_classifier is not None:
            result["aux"] = resized(self.aux_classifier(features["aux"]), x)
        return result


def segmentation_model(build: Callable[..., Any]) -> Callable[..., Any]:
    """Enters a builder under its name. Its backbone's weights are pretrained by default, as
    torchvision's are, and so have to be declined.
    """

    @functools.wraps(build)
    def builder(
        *,
        num_classes: int | None = None,
        weights_backbone: Any = "DEFAULT",
        pretrained_backbone: bool = True,
        **kwargs: Any,
    ) -> Any:
        if weights_backbone is not None and pretrained_backbone:
            raise NotSupportedError(
                f"{build.__name__}: the backbone's pretrained weights are not included. Pass "
                "weights_backbone=None, and your own weights to load_state_dict."
            )
        return build(num_classes=21 if num_classes is None else num_classes, **kwargs)

    return model(builder)


def stages_of_mobilenet(features: nn.Sequential) -> list[int]:
    """Positions of the first layer, those that halve the size, and the last."""
    halving = [i for i, block in enumerate(features) if getattr(block, "_is_cn", False)]
    return [0, *halving, len(features) - 1]
