"""Functions of images, boxes and masks: those of the first generation, and names of the second."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from rushlight import dtypes, tensor_api as rl
from rushlight.core.tensor import Tensor
from rushlight.vision import tv_tensors
from rushlight.vision.images import is_pil, pillow
from rushlight.vision.ops.boxes import box_convert
from rushlight.vision.transforms.functional import *  # noqa: F403
from rushlight.vision.transforms.functional import (
    convert_image_dtype,
    get_dimensions,
    hflip,
    pil_to_tensor,
    to_pil_image,
    vflip,
)

horizontal_flip, vertical_flip = hflip, vflip


def to_image(inpt: Any) -> tv_tensors.Image:
    """Pillow image, array (H, W[, C]) or tensor -> Image (C, H, W) of the same values."""
    if is_pil(inpt) or isinstance(inpt, np.ndarray):
        inpt = pil_to_tensor(inpt)
    if not isinstance(inpt, Tensor):
        raise TypeError(
            f"Input can either be a pure Tensor, a numpy array, or a PIL image, but got "
            f"{type(inpt)} instead."
        )
    made: tv_tensors.Image = tv_tensors.Image(inpt)
    return made


def to_dtype(inpt: Tensor, dtype: Any = dtypes.by_name["float32"], scale: bool = False) -> Tensor:
    """Another dtype.

    Args:
        inpt: an image, boxes or a mask.
        dtype: of the result.
        scale: of images also scale values from the old range to the new (floats: [0, 1]).
    """
    other = isinstance(inpt, tv_tensors.Mask | tv_tensors.BoundingBoxes)
    if not scale or other:
        return inpt.to(dtype)
    out = convert_image_dtype(inpt, dtype)
    return tv_tensors.wrap(out, like=inpt) if isinstance(inpt, tv_tensors.TVTensor) else out


def get_size(inpt: Any) -> list[int]:
    """[height, width]."""
    return get_dimensions(inpt)[1:]


def convert_bounding_box_format(
    inpt: Tensor, old_format: Any = None, new_format: Any = None, inplace: bool = False
) -> Tensor:
    """Boxes in another notation.

    Args:
        inpt: BoundingBoxes, or plain numbers.
        old_format: of plain numbers.
        new_format: of the result.
        inplace: accepted.
    """
    if new_format is None:
        raise TypeError("convert_bounding_box_format: new_format is missing; say what is wanted.")

    def name(format: Any) -> str:
        return (format if isinstance(format, str) else format.value).lower()

    kept = isinstance(inpt, tv_tensors.BoundingBoxes)
    if kept == (old_format is not None):
        raise ValueError(
            "convert_bounding_box_format: old_format is for plain tensors, and needed for them; "
            "BoundingBoxes know theirs."
        )
    old = name(inpt.format if isinstance(inpt, tv_tensors.BoundingBoxes) else old_format)
    out = box_convert(tv_tensors.plain(inpt), old, name(new_format)).to(inpt.dtype)
    new = tv_tensors.BoundingBoxFormat[name(new_format).upper()]
    return tv_tensors.wrap(out, like=inpt, format=new) if kept else out


def clamp_bounding_boxes(inpt: tv_tensors.BoundingBoxes) -> Any:
    """Boxes without what lies outside of the image."""
    corners = convert_bounding_box_format(inpt, new_format="XYXY")
    inside = tv_tensors.clamped(tv_tensors.plain(corners), inpt.canvas_size)
    return tv_tensors.wrap(
        box_convert(inside, "xyxy", inpt.format.value.lower()).to(inpt.dtype), like=inpt
    )


def sanitize_bounding_boxes(
    bounding_boxes: Tensor,
    format: Any = None,
    canvas_size: tuple[int, int] | None = None,
    min_size: float = 1.0,
    min_area: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Boxes that are large enough and wholly on the image, and a mask of which these are.

    Args:
        bounding_boxes: BoundingBoxes, or plain numbers (N, 4).
        format: of plain numbers.
        canvas_size: (height, width) of the image of plain numbers.
        min_size: least width and height.
        min_area: least area.
    """
    kept = isinstance(bounding_boxes, tv_tensors.BoundingBoxes)
    if isinstance(bounding_boxes, tv_tensors.BoundingBoxes):
        canvas_size = bounding_boxes.canvas_size
    elif format is None or canvas_size is None:
        raise ValueError(
            "sanitize_bounding_boxes: plain tensors need format and canvas_size; got "
            f"format={format} and canvas_size={canvas_size}."
        )
    corners = tv_tensors.plain(
        convert_bounding_box_format(bounding_boxes, None if kept else format, "XYXY")
    )
    assert canvas_size is not None
    height, width = canvas_size
    left, top, right, bottom = corners.unbind(-1)
    wide, high = right - left, bottom - top
    valid = (wide >= min_size) & (high >= min_size) & (wide * high >= min_area)
    valid &= (corners >= 0).all(-1) & (left <= width) & (right <= width)
    valid &= (top <= height) & (bottom <= height)
    out = tv_tensors.plain(bounding_boxes)[valid]
    return (tv_tensors.wrap(out, like=bounding_boxes) if kept else out), valid


def permute_channels(inpt: Any, permutation: list[int]) -> Any:
    """Channels of an image in another order."""
    if is_pil(inpt):
        return to_pil_image(pil_to_tensor(inpt)[permutation])
    out = tv_tensors.plain(inpt)[..., permutation, :, :]
    return tv_tensors.wrap(out, like=inpt) if isinstance(inpt, tv_tensors.TVTensor) else out


def jpeg(image: Any, quality: int) -> Any:
    """What JPEG leaves of an image, or of images (..., C, H, W) of bytes with 1 or 3 channels.

    Args:
        image: Pillow image or uint8 tensor.
        quality: 1 to 100; lower is smaller, and worse.
    """
    if is_pil(image):
        file = io.BytesIO()
        image.save(file, format="JPEG", quality=quality)
        file.seek(0)
        with pillow().open(file) as kept:
            return kept.convert(image.mode)
    if image.dtype != dtypes.by_name["uint8"] or image.shape[-3] not in (1, 3):
        raise RuntimeError(
            "jpeg: expected a uint8 image of 1 or 3 channels, but got "
            f"{image.dtype} of shape {tuple(image.shape)}."
        )
    planes = image.reshape(-1, *image.shape[-3:])
    kept = [pil_to_tensor(jpeg(to_pil_image(plane), quality)) for plane in planes]
    out = rl.stack(kept).reshape(image.shape) if kept else image.clone()
    return tv_tensors.wrap(out, like=image) if isinstance(image, tv_tensors.TVTensor) else out


def gaussian_noise(inpt: Tensor, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> Any:
    """Normal noise added to floats.

    Args:
        inpt: an image, floats.
        mean: of the noise.
        sigma: its standard deviation, >= 0.
        clip: keep values in [0, 1].
    """
    if not inpt.is_floating_point():
        raise ValueError(f"gaussian_noise: the image is {inpt.dtype}; it must be floating.")
    if sigma < 0:
        raise ValueError(f"gaussian_noise: sigma is {sigma}; it must not be negative.")
    out = inpt + mean + rl.randn_like(tv_tensors.plain(inpt)) * sigma
    out = out.clamp(0, 1) if clip else out
    return tv_tensors.wrap(out, like=inpt) if isinstance(inpt, tv_tensors.TVTensor) else out
