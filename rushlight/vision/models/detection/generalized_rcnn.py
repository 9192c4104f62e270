"""The order of a detector's parts."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from rushlight import nn
from rushlight.core.tensor import Tensor

__all__ = ["GeneralizedRCNN"]


def check_targets(images: list[Tensor], targets: list[dict[str, Tensor]] | None) -> None:
    """Raise where images to learn from come without boxes of objects."""
    if targets is None:
        raise AssertionError(
            "targets should not be none when in training mode: pass a list of dicts"
        )
    if len(images) != len(targets):
        raise AssertionError(f"there are {len(images)} images, but {len(targets)} targets")
    for target in targets:
        boxes = target["boxes"]
        if not isinstance(boxes, Tensor):
            raise AssertionError(f"target boxes should be a Tensor, got {type(boxes).__name__}")
        if boxes.dim() != 2 or boxes.shape[-1] != 4:
            raise AssertionError(
                f"target boxes should be of shape (N, 4), but are of {tuple(boxes.shape)}"
            )


def check_boxes(targets: list[dict[str, Tensor]]) -> None:
    """Raise where a box of an image has no height or width."""
    for i, target in enumerate(targets):
        boxes = target["boxes"]
        flat = (boxes[:, 2:] <= boxes[:, :2]).any(1)
        if flat.any():
            raise AssertionError(
                "All bounding boxes should have positive height and width, but target "
                f"{i} has {boxes[flat][0].tolist()} (x1, y1, x2, y2, after resizing)."
            )


class Detector(nn.Module):
    """What all detectors have in common: a transform, and a list of images to dicts.

    In training ``targets`` are dicts with "boxes" ``(N, 4)``, corners in pixels, "labels" ``(N,)``,
    and what else there is to learn; the result is a dict of losses. Otherwise it is a list of
    dicts of what was found in each image: "boxes", "labels", "scores", and what else there is.
    """

    transform: Any

    def prepared(
        self, images: list[Tensor], targets: list[dict[str, Tensor]] | None
    ) -> tuple[list[tuple[int, int]], Any, list[dict[str, Tensor]] | None]:
        """The images' sizes, and images and targets after the transform."""
        if self.training:
            check_targets(images, targets)
        for image in images:
            if image.dim() < 2:
                raise AssertionError(
                    "expecting the last two dimensions of the Tensor to be H and W instead got "
                    f"{tuple(image.shape[-2:])}"
                )
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        batch, targets = self.transform(images, targets)
        if targets is not None:
            check_boxes(targets)
        return sizes, batch, targets

    def features_of(self, batch: Any) -> OrderedDict[str, Tensor]:
        """The backbone's features, by name."""
        features = self.backbone(batch.tensors)
        return OrderedDict([("0", features)]) if isinstance(features, Tensor) else features

    def eager_outputs(self, losses: Any, detections: Any) -> Any:
        """What a call returns."""
        return losses if self.training else detections


class GeneralizedRCNN(Detector):
    """A detector in two steps: boxes that might hold an object, and what they hold. Shape: a list
    of images ``(C, H, W)`` of values in [0, 1], see `Detector`.

    Args:
        backbone: makes features of images, a tensor or a dict.
        rpn: proposes boxes.
        roi_heads: says what they hold.
        transform: prepares images, and puts what was found back into them.
    """

    def __init__(
        self, backbone: nn.Module, rpn: nn.Module, roi_heads: nn.Module, transform: nn.Module
    ) -> None:
        super().__init__()
        self.transform, self.backbone = transform, backbone
        self.rpn, self.roi_heads = rpn, roi_heads

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None) -> Any:
        sizes, batch, targets = self.prepared(images, targets)
        features = self.features_of(batch)
        proposals, proposal_losses = self.rpn(batch, features, targets)
        found, losses = self.roi_heads(features, proposals, batch.image_sizes, targets)
        found = self.transform.postprocess(found, batch.image_sizes, sizes)
        return self.eager_outputs({**losses, **proposal_losses}, found)
