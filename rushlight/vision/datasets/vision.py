"""The module that torchvision keeps the base class of its data sets in."""

from rushlight.vision.datasets.base import (
    StandardTransform as StandardTransform,
    VisionDataset as VisionDataset,
)
