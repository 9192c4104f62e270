"""What an image is here: a Pillow image, a uint8 array (H, W) or (H, W, C), or a tensor (..., C, H,
W).

Pillow is optional. Without it, data sets hand out arrays, and every transform takes them.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np

from rushlight import tensor_api as rl
from rushlight.core.tensor import Tensor


@functools.cache
def pillow() -> Any | None:
    """The module ``PIL.Image``, or None where Pillow is not installed."""
    try:
        from PIL import Image
    except ImportError:
        return None
    return Image


def is_pil(image: Any) -> bool:
    module = sys.modules.get("PIL.Image")  # not imported: then no object can be one
    return module is not None and isinstance(image, module.Image)


def image_of(pixels: np.ndarray) -> Any:
    """Pixels (H, W) or (H, W, 3), uint8, as a Pillow image, or as they are without Pillow."""
    module = pillow()
    return pixels if module is None else module.fromarray(pixels)


def planes(pixels: np.ndarray) -> Tensor:
    """(H, W) or (H, W, C) array -> (C, H, W) tensor."""
    if pixels.ndim not in (2, 3):
        raise ValueError(
            f"an image array has 2 or 3 dimensions, (H, W) or (H, W, C), not {pixels.shape}"
        )
    whole = pixels[:, :, None] if pixels.ndim == 2 else pixels
    return rl.from_numpy(np.ascontiguousarray(whole.transpose(2, 0, 1)))


def pixels(image: Tensor, ndim: int = 3) -> np.ndarray:
    """(C, H, W) tensor -> (H, W, C) array, or (H, W) if ``ndim`` is 2 and C is 1."""
    array = np.ascontiguousarray(image.numpy().transpose(1, 2, 0))
    return array[:, :, 0] if ndim == 2 and array.shape[2] == 1 else array
