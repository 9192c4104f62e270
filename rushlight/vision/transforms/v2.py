"""torchvision's second generation of transforms: the same names, and conversion in two steps.

Here the transforms of both generations are the same objects. They transform images; boxes, masks
and several inputs at once are not supported.
"""

from __future__ import annotations

# fmt: off
from typing import Any

import numpy as np

from rushlight.core.tensor import Tensor
from rushlight.nn import Module
from rushlight.vision.images import is_pil
from rushlight.vision.transforms import *  # noqa: F403
from rushlight.vision.transforms import __all__ as _first_generation
from rushlight.vision.transforms import functional as F

__all__ = list(_first_generation)
__all__ += ["Identity", "ToDtype", "ToImage", "ToPureTensor"]


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
