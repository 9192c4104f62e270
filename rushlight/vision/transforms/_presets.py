"""How images are prepared for weights: torchvision's transforms at inference."""

from __future__ import annotations

from typing import Any

from rushlight import nn
from rushlight.core.tensor import Tensor
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms.functional import InterpolationMode

__all__ = ["ImageClassification", "ObjectDetection", "SemanticSegmentation", "VideoClassification"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's photographs


class Preset(nn.Module):
    """Resize, then what each subclass adds, then floats in [0, 1], normalised."""

    def __init__(
        self,
        *,
        resize_size: int | None,
        mean: tuple[float, ...] = MEAN,
        std: tuple[float, ...] = STD,
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.resize_size = None if resize_size is None else [resize_size]
        self.mean, self.std = list(mean), list(std)
        self.interpolation, self.antialias = interpolation, antialias

    def forward(self, img: Any) -> Tensor:
        if self.resize_size is not None:
            img = F.resize(img, self.resize_size, self.interpolation, antialias=self.antialias)
        img = self.cut(img)
        if not isinstance(img, Tensor):
            img = F.pil_to_tensor(img)
        return F.normalize(F.convert_image_dtype(img), self.mean, self.std)

    def cut(self, img: Any) -> Any:
        """The part of a resized image that is used."""
        return img

    def extra_repr(self) -> str:
        return (
            f"resize_size={self.resize_size}, mean={self.mean}, std={self.std}, "
            f"interpolation={self.interpolation}"
        )


class ImageClassification(Preset):
    """Resize so that the shorter side has ``resize_size``, cut out a square of ``crop_size`` in
    the middle, scale to [0, 1], and normalise.

    Shape: an image of Pillow's, or ``(..., 3, H, W)`` -> ``(..., 3, crop_size, crop_size)``.

    Args:
        crop_size: of the square, in pixels.
        resize_size: of the shorter side, in pixels.
        mean, std: of each channel, for `normalize`.
        interpolation: how new pixels get their values.
        antialias: as for `resize`.

    Example:
        >>> import rushlight as torch
        >>> from rushlight.vision.transforms._presets import ImageClassification
        >>> prepare = ImageClassification(crop_size=4, resize_size=6)
        >>> prepare(torch.zeros(3, 12, 9, dtype=torch.uint8)).shape
        torch.Size([3, 4, 4])
    """

    def __init__(self, *, crop_size: int, resize_size: int = 256, **options: Any) -> None:
        super().__init__(resize_size=resize_size, **options)
        self.crop_size = [crop_size]

    def cut(self, img: Any) -> Any:
        return F.center_crop(img, self.crop_size)

    def extra_repr(self) -> str:
        return f"crop_size={self.crop_size}, {super().extra_repr()}"


class ObjectDetection(nn.Module):
    """Scale to [0, 1]; detectors resize and normalise themselves."""

    def forward(self, img: Any) -> Tensor:
        if not isinstance(img, Tensor):
            img = F.pil_to_tensor(img)
        return F.convert_image_dtype(img)


class SemanticSegmentation(Preset):
    """Resize so that the shorter side has ``resize_size`` (None leaves it), scale to [0, 1], and
    normalise. Arguments are those of `ImageClassification` without ``crop_size``.
    """


class VideoClassification(Preset):
    """Resize frames, cut out their middle, scale to [0, 1], normalise, and put channels first.

    Shape: ``(..., T, 3, H, W) -> (..., 3, T, *crop_size)``.

    Args:
        crop_size: height and width that are cut out, in pixels.
        resize_size: height and width before that, or the shorter side.
        mean, std: of each channel, for `normalize`.
        interpolation: how new pixels get their values.

    Example:
        >>> import rushlight as torch
        >>> from rushlight.vision.transforms._presets import VideoClassification
        >>> prepare = VideoClassification(crop_size=(4, 4), resize_size=(6, 8))
        >>> prepare(torch.zeros(5, 3, 12, 9, dtype=torch.uint8)).shape
        torch.Size([3, 5, 4, 4])
    """

    def __init__(
        self,
        *,
        crop_size: tuple[int, int],
        resize_size: tuple[int, ...],
        mean: tuple[float, ...] = (0.43216, 0.394666, 0.37645),
        std: tuple[float, ...] = (0.22803, 0.22145, 0.216989),
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    ) -> None:
        super().__init__(
            resize_size=None, mean=mean, std=std, interpolation=interpolation, antialias=False
        )
        self.resize_size, self.crop_size = list(resize_size), list(crop_size)

    def cut(self, img: Any) -> Any:
        return F.center_crop(img, self.crop_size)

    def forward(self, vid: Tensor) -> Tensor:
        frames = super().forward(vid.flatten(0, -4))
        return frames.unflatten(0, vid.shape[:-3]).transpose(-4, -3)

    def extra_repr(self) -> str:
        return f"crop_size={self.crop_size}, {super().extra_repr()}"
