"""torchvision's second generation of transforms: of an image, its boxes and masks at once.

`joint` says how one transform treats several things, and holds the containers; `functional` the
functions; `transform` the base of transforms of one's own, `detection` those that detectors are
trained with. The transforms are those of the first generation, and some more here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import tensor_api as rl
from rushlight.core.tensor import Tensor
from rushlight.distributions import Beta
from rushlight.nn import Module
from rushlight.nn.functional import one_hot
from rushlight.utils._pytree import tree_map
from rushlight.vision import transforms as first, tv_tensors
from rushlight.vision.images import is_pil
from rushlight.vision.transforms.containers import integer
from rushlight.vision.transforms.functional import InterpolationMode as InterpolationMode
from rushlight.vision.transforms.v2 import functional as functional
from rushlight.vision.transforms.v2.detection import (
    RandomChannelPermutation,
    RandomIoUCrop,
    RandomPhotometricDistort,
    RandomResize,
    RandomShortestSize,
    RandomZoomOut,
    SanitizeBoundingBoxes,
    ScaleJitter,
)
from rushlight.vision.transforms.v2.joint import (
    Compose,
    Joint,
    RandomApply,
    RandomChoice,
    RandomOrder,
    joint,
)
from rushlight.vision.transforms.v2.transform import Transform

# fmt: off
MOVING = [  # boxes and masks go along
    "CenterCrop", "ElasticTransform", "FiveCrop", "Pad", "RandomAffine", "RandomCrop",
    "RandomHorizontalFlip", "RandomPerspective", "RandomResizedCrop", "RandomRotation",
    "RandomVerticalFlip", "Resize", "TenCrop",
]
COLORING = [
    "AugMix", "AutoAugment", "ColorJitter", "ConvertImageDtype", "GaussianBlur", "Grayscale",
    "LinearTransformation", "Normalize", "RandAugment", "RandomAdjustSharpness",
    "RandomAutocontrast", "RandomEqualize", "RandomErasing", "RandomGrayscale", "RandomInvert",
    "RandomPosterize", "RandomSolarize", "TrivialAugmentWide",
]
SAME = ["AutoAugmentPolicy", "PILToTensor", "ToPILImage", "ToTensor"]
__all__ = [  # noqa: PLE0604
    "ClampBoundingBoxes", "Compose", "ConvertBoundingBoxFormat", "CutMix", "GaussianNoise", "JPEG",
    "Identity", "InterpolationMode", "Lambda", "MixUp", "RGB", "RandomApply",
    "RandomChannelPermutation", "RandomChoice", "RandomHorizontalFlip", "RandomIoUCrop",
    "RandomOrder", "RandomPhotometricDistort", "RandomResize", "RandomShortestSize",
    "RandomZoomOut", "SanitizeBoundingBoxes", "ScaleJitter", "ToDtype", "ToImage", "ToPureTensor",
    "Transform", "functional",
    *MOVING, *COLORING, *SAME,
]
# fmt: on
for _name in MOVING + COLORING:
    globals()[_name] = joint(getattr(first, _name), _name in COLORING)
for _name in SAME:
    globals()[_name] = getattr(first, _name)


class Identity(Module):
    """Changes nothing."""

    def forward(self, *inputs: Any) -> Any:
        return inputs if len(inputs) > 1 else inputs[0]


class _Each(Module):
    """A function of everything in tuples, lists and dicts."""

    def forward(self, *inputs: Any) -> Any:
        return tree_map(self._one, inputs if len(inputs) > 1 else inputs[0])

    def _one(self, x: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no _one(x); write one.")


class Lambda(_Each):
    """A function of your own.

    Args:
        lambd: of one thing.
        types: of which things; the rest stays.
    """

    def __init__(self, lambd: Any, *types: type) -> None:
        super().__init__()
        self.lambd, self.types = lambd, types or (object,)

    def extra_repr(self) -> str:
        name = getattr(self.lambd, "__name__", None)
        return ", ".join([*([name] if name else []), f"types={[t.__name__ for t in self.types]}"])

    def _one(self, x: Any) -> Any:
        return self.lambd(x) if isinstance(x, self.types) else x


class ToImage(_Each):
    """Pillow image, array (H, W[, C]) or plain tensor -> Image (C, H, W) of the same values; boxes
    and masks stay.
    """

    def _one(self, x: Any) -> Any:
        convert = is_pil(x) or isinstance(x, np.ndarray) or type(x) is Tensor
        return functional.to_image(x) if convert else x


class ToPureTensor(_Each):
    """Images, boxes and masks as plain tensors."""

    def _one(self, x: Any) -> Any:
        return tv_tensors.plain(x) if isinstance(x, Tensor) else x


class _ToDtype(Module):
    """Changes the dtype of images.

    Args:
        dtype: of the result; or a dict of dtypes by kind, with "others" for the rest and None for
            no change.
        scale: of images also scale values from the old range to the new (floats: [0, 1]).
    """

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        super().__init__()
        self.dtype, self.scale = dtype, scale

    def forward(self, inpt: Any) -> Any:
        if not isinstance(inpt, Tensor):
            return inpt
        dtype = self.dtype
        if isinstance(dtype, dict):
            dtype = dtype.get(type(inpt), dtype.get("others"))
        elif isinstance(inpt, tv_tensors.Mask | tv_tensors.BoundingBoxes):
            dtype = None
        return inpt if dtype is None else functional.to_dtype(inpt, dtype, self.scale)

    def extra_repr(self) -> str:
        return f"scale={self.scale}"


class ToDtype(Joint, _ToDtype):
    __doc__ = _ToDtype.__doc__
    pixels_only = False


class _GaussianNoise(Module):
    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> None:
        super().__init__()
        self.mean, self.sigma, self.clip = mean, sigma, clip

    def forward(self, inpt: Any) -> Any:
        return functional.gaussian_noise(inpt, self.mean, self.sigma, self.clip)

    def extra_repr(self) -> str:
        return f"mean={self.mean}, sigma={self.sigma}, clip={self.clip}"


class GaussianNoise(Joint, _GaussianNoise):
    """Normal noise added to images of floats.

    Args:
        mean: of the noise.
        sigma: its standard deviation, >= 0.
        clip: keep values in [0, 1].
    """

    pixels_only = True


class _JPEG(Module):
    def __init__(self, quality: Any) -> None:
        super().__init__()
        if isinstance(quality, bool):
            raise TypeError("quality can't be bool")
        self.quality = [quality] * 2 if isinstance(quality, int) else quality
        if len(self.quality) != 2:
            raise ValueError("quality should be a sequence of length 2.")
        low, high = self.quality
        ints = isinstance(low, int) and isinstance(high, int)
        if not ints or not 1 <= low <= high <= 100:
            raise ValueError(f"quality must be an integer from 1 to 100, got {quality=}")

    def forward(self, inpt: Any) -> Any:
        low, high = self.quality
        return functional.jpeg(inpt, int(rl.randint(low, high + 1, ()).item()))


class JPEG(Joint, _JPEG):
    """What JPEG leaves of images.

    Args:
        quality: 1 to 100, or the least and the most of a random one.
    """

    pixels_only = True
    shown = ("quality",)


class _RGB(Module):
    def forward(self, inpt: Any) -> Any:
        if is_pil(inpt):
            return inpt.convert("RGB")
        channels = inpt.shape[-3]
        if channels not in (1, 3):
            raise ValueError(f"RGB: the image has {channels} channels; it must have 1 or 3.")
        return inpt.repeat_interleave(3, -3) if channels == 1 else inpt


class RGB(Joint, _RGB):
    """Three channels, equal ones of one."""

    pixels_only = True


class ConvertBoundingBoxFormat(_Each):
    """Boxes in another notation.

    Args:
        format: "XYXY", "XYWH" or "CXCYWH", or a BoundingBoxFormat.
    """

    def __init__(self, format: Any) -> None:
        super().__init__()
        self.format = format

    def _one(self, x: Any) -> Any:
        if not isinstance(x, tv_tensors.BoundingBoxes):
            return x
        return functional.convert_bounding_box_format(x, new_format=self.format)


class ClampBoundingBoxes(_Each):
    """Boxes without what lies outside of the image."""

    def _one(self, x: Any) -> Any:
        boxes = isinstance(x, tv_tensors.BoundingBoxes)
        return functional.clamp_bounding_boxes(x) if boxes else x


class _Mixture(Module):
    """A batch mixed with itself, moved on by one; labels become shares of classes.

    ``forward(images, labels)``: images ``(N, C, H, W)``; labels ``(N)`` of int64, or ``(N,
    num_classes)`` of floats. Also takes the two as one tuple or list.
    """

    def __init__(self, *, alpha: float = 1.0, num_classes: int | None = None) -> None:
        super().__init__()
        self.alpha = float(alpha)
        self.num_classes = num_classes
        self._dist = Beta(rl.tensor([self.alpha]), rl.tensor([self.alpha]))

    def forward(self, *inputs: Any) -> Any:
        pair = inputs if len(inputs) > 1 else inputs[0]
        images, labels = pair
        if images.dim() != 4:
            raise ValueError(f"Expected a batched input with 4 dims, but got {images.dim()} dims.")
        if labels.dim() == 1 and self.num_classes is None:
            raise ValueError("num_classes must be passed if the labels are indices, not shares.")
        if labels.shape[0] != images.shape[0]:
            raise ValueError(
                f"The batch has {images.shape[0]} images, but {labels.shape[0]} labels."
            )
        if labels.dim() == 1:
            labels = one_hot(labels, num_classes=self.num_classes)
        images, share = self._mixed(images, float(self._dist.sample(())))
        return type(pair)((images, _blended(labels.float(), share)))

    def _mixed(self, images: Tensor, share: float) -> tuple[Tensor, float]:
        """The new batch, and how much of each old image is in it."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}, num_classes={self.num_classes}"


def _blended(x: Tensor, share: float) -> Tensor:
    return x.roll(1, 0).mul_(1.0 - share).add_(x.mul(share))


class MixUp(_Mixture):
    """Each image blended with the one before it.

    Args:
        alpha: both parameters of the Beta distribution of shares.
        num_classes: needed for labels that are indices.

    Reference: Zhang et al., 2018, arXiv:1710.09412.
    """

    def _mixed(self, images: Tensor, share: float) -> tuple[Tensor, float]:
        return _blended(images, share), share


class CutMix(_Mixture):
    """A rectangle of each image replaced by that of the one before it.

    Args:
        alpha: both parameters of the Beta distribution of shares.
        num_classes: needed for labels that are indices.

    Reference: Yun et al., 2019, arXiv:1905.04899.
    """

    def _mixed(self, images: Tensor, share: float) -> tuple[Tensor, float]:
        height, width = images.shape[-2:]
        x, y = integer(0, width), integer(0, height)
        half = 0.5 * (1.0 - share) ** 0.5
        across, down = int(half * width), int(half * height)
        left, right = max(x - across, 0), min(x + across, width)
        top, bottom = max(y - down, 0), min(y + down, height)
        out = images.clone()
        out[..., top:bottom, left:right] = images.roll(1, 0)[..., top:bottom, left:right]
        return out, 1.0 - (right - left) * (bottom - top) / (width * height)
