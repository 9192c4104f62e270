"""Keypoint R-CNN: Faster R-CNN with key points of each object."""

from __future__ import annotations

from typing import Any

from rushlight import nn
from rushlight.core.tensor import Tensor
from rushlight.vision.models.detection.backbone_utils import _resnet_fpn_extractor, detection_model
from rushlight.vision.models.detection.faster_rcnn import FasterRCNN, expect_channels, pooling
from rushlight.vision.models.resnet import resnet50

__all__ = ["KeypointRCNN", "keypointrcnn_resnet50_fpn"]


class KeypointRCNN(FasterRCNN):
    """A `FasterRCNN` that finds key points too: targets and results also have "keypoints",
    ``(N, K, 3)``: x, y and whether the point is visible.

    Args:
        backbone: makes features, and has ``out_channels``.
        num_classes: with the background, 0; None where predictors are given.
        min_size: of images' shorter side; by default one of 640, 672, ... 800.
        keypoint_roi_pool: features of regions, for key points.
        keypoint_head: makes other features of them.
        keypoint_predictor: makes a map for each key point of those.
        num_keypoints: K; None for 17, a person's.
        kwargs: of `FasterRCNN`.

    Reference: He et al., 2017, arXiv:1703.06870, section 5.
    """

    def __init__(
        self,
        backbone: Any,
        num_classes: int | None = None,
        min_size: Any = None,
        *args: Any,
        keypoint_roi_pool: nn.Module | None = None,
        keypoint_head: nn.Module | None = None,
        keypoint_predictor: nn.Module | None = None,
        num_keypoints: int | None = None,
        **kwargs: Any,
    ) -> None:
        expect_channels(backbone)
        if num_classes is not None and keypoint_predictor is not None:
            raise ValueError("num_classes should be None when keypoint_predictor is specified")
        if min_size is None:
            min_size = (640, 672, 704, 736, 768, 800)
        keypoint_roi_pool = pooling(14) if keypoint_roi_pool is None else keypoint_roi_pool
        if keypoint_head is None:
            keypoint_head = KeypointRCNNHeads(backbone.out_channels, (512,) * 8)
        if keypoint_predictor is None:
            keypoint_predictor = KeypointRCNNPredictor(512, num_keypoints or 17)
        super().__init__(backbone, num_classes, min_size, *args, **kwargs)
        heads = self.roi_heads
        heads.keypoint_roi_pool, heads.keypoint_head = keypoint_roi_pool, keypoint_head
        heads.keypoint_predictor = keypoint_predictor


class KeypointRCNNHeads(nn.Sequential):
    """Convolutions that keep the size, of so many channels."""

    def __init__(self, in_channels: int, layers: Any) -> None:
        blocks: list[nn.Module] = []
        for wide in layers:
            blocks += [nn.Conv2d(in_channels, wide, 3, padding=1), nn.ReLU(inplace=True)]
            in_channels = wide
        super().__init__(*blocks)
        for layer in self:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)


class KeypointRCNNPredictor(nn.Module):
    """A map for each key point, four times as large as the features. Shape:
    ``(N, in_channels, M, M) -> (N, num_keypoints, 4 * M, 4 * M)``.
    """

    def __init__(self, in_channels: int, num_keypoints: int) -> None:
        super().__init__()
        self.kps_score_lowres = nn.ConvTranspose2d(in_channels, num_keypoints, 4, 2, 1)
        nn.init.kaiming_normal_(self.kps_score_lowres.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.kps_score_lowres.bias)
        self.up_scale, self.out_channels = 2, num_keypoints

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.interpolate(
            self.kps_score_lowres(x), scale_factor=float(self.up_scale), mode="bilinear",
            align_corners=False, recompute_scale_factor=False,
        )  # fmt: skip


@detection_model()
def keypointrcnn_resnet50_fpn(
    *, num_classes: int | None, num_keypoints: int | None = None, **kwargs: Any
) -> KeypointRCNN:
    """Keypoint R-CNN on a ResNet of 50 layers with a pyramid: by default of persons, class 1."""
    backbone = _resnet_fpn_extractor(resnet50(), 5)
    return KeypointRCNN(backbone, num_classes or 2, num_keypoints=num_keypoints or 17, **kwargs)
