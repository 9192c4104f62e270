"""Kinds of images: which rule each goes to, and one kind made of another."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight import dtypes, tensor_api as rl
from rushlight.core.tensor import Tensor
from rushlight.dtypes import get_default_dtype
from rushlight.vision.images import is_pil, pillow, pixels, planes
from rushlight.vision.transforms import pil, tensor
from rushlight.vision.tv_tensors import TVTensor

UINT8 = dtypes.by_name["uint8"]
FLOAT32 = dtypes.by_name["float32"]


class InterpolationMode(enum.Enum):
    """How a pixel between pixels gets its value."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


PILLOW_MODES = {0: "NEAREST", 1: "LANCZOS", 2: "BILINEAR", 3: "BICUBIC", 4: "BOX", 5: "HAMMING"}


def interpolation_mode(mode: Any) -> InterpolationMode:
    """The mode, given as such or as Pillow's number for it."""
    if isinstance(mode, InterpolationMode):
        return mode
    if isinstance(mode, int) and mode in PILLOW_MODES:
        return InterpolationMode[PILLOW_MODES[int(mode)]]
    raise TypeError(f"interpolation is {mode!r}; it must be an InterpolationMode.")


def by_kind(
    image: Any, pil_rule: Callable[..., Any], tensor_rule: Callable[..., Any], *args: Any
) -> Any:
    """What the rule for the image's kind makes of it."""
    if isinstance(image, TVTensor):
        return image.changed(tensor_rule, args)
    if isinstance(image, Tensor):
        if image.dim() < 2:
            raise TypeError(
                f"Tensor is not a torch image: it needs (..., H, W), not {tuple(image.shape)}."
            )
        return tensor_rule(image, *args)
    if is_pil(image):
        return pil_rule(image, *args)
    if isinstance(image, np.ndarray):
        return pixels(tensor_rule(planes(image), *args), image.ndim)
    raise TypeError(
        f"img should be PIL Image, tensor or uint8 array (H, W) or (H, W, C). Got {type(image)}"
    )


def to_tensor(pic: Any) -> Tensor:
    """Image (H, W[, C]) -> tensor (C, H, W); uint8 values become floats in [0, 1].

    Args:
        pic: Pillow image or array. Other dtypes keep their values.

    Example:
        >>> to_tensor(np.full((1, 2), 255, np.uint8))
        tensor([[[1., 1.]]])
    """
    if is_pil(pic):
        array = pil.to_array(pic)
        as_bytes = pic.mode == "1" or array.dtype == np.uint8
        if pic.mode == "1":
            array = array * np.uint8(255)
    elif isinstance(pic, np.ndarray):
        array, as_bytes = pic, pic.dtype == np.uint8
        if array.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {array.ndim} dimensions.")
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    image = planes(array)
    return image.to(get_default_dtype()).div(255) if as_bytes else image


def pil_to_tensor(pic: Any) -> Tensor:
    """Pillow image (or array without Pillow) -> tensor (C, H, W) of the same values and dtype."""
    if is_pil(pic):
        return planes(pil.to_array(pic))
    if isinstance(pic, np.ndarray) and pic.ndim in (2, 3):
        return planes(pic)
    raise TypeError(f"pic should be PIL Image. Got {type(pic)}")


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """Tensor (C, H, W) or (H, W), or array (H, W[, C]) -> Pillow image. Needs Pillow.

    Args:
        pic: floats in [0, 1], or integers.
        mode: Pillow's name of the pixel format; default by channels and dtype.
    """
    if isinstance(pic, Tensor):
        if pic.dim() not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.dim()} dimensions.")
        image = pic.unsqueeze(0) if pic.dim() == 2 else pic
        if image.is_floating_point() and mode != "F":
            image = image.mul(255).to(UINT8)
        array = pixels(image)
    elif isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        array = pic[:, :, None] if pic.ndim == 2 else pic
        if array.dtype.kind == "f" and mode != "F":
            array = (array * 255).astype(np.uint8)
    else:
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    if array.shape[-1] > 4:
        raise ValueError(f"pic should not have > 4 channels. Got {array.shape[-1]} channels.")
    if pillow() is None:
        raise ImportError("to_pil_image needs Pillow: pip install Pillow")
    return pil.from_array(array, mode)


def convert_image_dtype(image: Tensor, dtype: Any = None) -> Tensor:
    """Changes the dtype and scales values from the range of the old to that of the new.

    Floats lie in [0, 1]; integers between 0 and their largest value.
    """
    if not isinstance(image, Tensor):
        raise TypeError(f"convert_image_dtype: image is {type(image)}; it should be a tensor.")
    return tensor.convert_dtype(image, FLOAT32 if dtype is None else dtype)


def normalize(
    tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False
) -> Tensor:
    """``(tensor - mean) / std`` for each channel.

    Args:
        tensor: floats (..., C, H, W).
        mean: one number per channel.
        std: one number per channel, not 0.
        inplace: change ``tensor`` itself.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    if not tensor.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
    if tensor.dim() < 3:
        raise (TypeError if tensor.dim() < 2 else ValueError)(
            f"normalize: expected a tensor image (..., C, H, W), got shape {tuple(tensor.shape)}."
        )
    out = tensor if inplace else tensor.clone()
    centre = rl.as_tensor(mean, dtype=tensor.dtype)
    scale = rl.as_tensor(std, dtype=tensor.dtype)
    if (scale == 0).any():
        raise ValueError(
            f"normalize: std is {std}; as {tensor.dtype} a value is 0: division by zero."
        )
    if centre.dim() == 1:
        centre = centre.view(-1, 1, 1)
    if scale.dim() == 1:
        scale = scale.view(-1, 1, 1)
    return out.sub_(centre).div_(scale)
