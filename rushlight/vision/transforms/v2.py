"""torchvision's second generation of transforms: the same names, and conversion in two steps.

Here the transforms of both generations are the same objects. They transform images; boxes, masks
and several inputs at once are not supported.
"""

from __future__ import annotations

# fmt: off
from typing import Any

import numpy as np

from rushlight import tensor_api as rl
from rushlight.core.tensor import Tensor
from rushlight.distributions import Beta
from rushlight.nn import Module
from rushlight.nn.functional import one_hot
from rushlight.vision.images import is_pil
from rushlight.vision.transforms import *  # noqa: F403
from rushlight.vision.transforms import __all__ as _first_generation
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms.containers import integer

__all__ = list(_first_generation)
__all__ += ["CutMix", "Identity", "MixUp", "ToDtype", "ToImage", "ToPureTensor"]


class Identity(Module):
    """Changes nothing."""

    def forward(self, inpt: Any) -> Any:
        return inpt


class ToImage(Module):
    """Pillow image or array (H, W[, C]) -> tensor (C, H, W) of the same values."""

    def forward(self, inpt: Any) -> Any:
        return F.pil_to_tensor(inpt) if is_pil(inpt) or isinstance(inpt, np.ndarray) else inpt


class ToPureTensor(Identity):
    """Changes nothing: images are plain tensors here."""


class ToDtype(Module):
    """Changes the dtype of tensors.

    Args:
        dtype: of the result.
        scale: also scale values from the old range to the new (floats: [0, 1]).
    """

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        super().__init__()
        self.dtype = dtype
        self.scale = scale

    def forward(self, inpt: Any) -> Any:
        if not isinstance(inpt, Tensor):
            return inpt
        return F.convert_image_dtype(inpt, self.dtype) if self.scale else inpt.to(self.dtype)

    def extra_repr(self) -> str:
        return f"dtype={self.dtype}, scale={self.scale}"


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
