"""Sizes of images, their parts, and their mirror images."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.core.tensor import Tensor
from rushlight.vision.images import is_pil, pixels, planes
from rushlight.vision.transforms import pil, tensor
from rushlight.vision.transforms.functional.kinds import (
    InterpolationMode,
    by_kind,
    interpolation_mode,
)
from rushlight.vision.tv_tensors import BoundingBoxes


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width]; of boxes those of their image, and 1 for channels."""
    if isinstance(img, BoundingBoxes):
        return [1, *img.canvas_size]
    if isinstance(img, Tensor):
        channels = 1 if img.dim() == 2 else img.shape[-3]
        return [channels, img.shape[-2], img.shape[-1]]
    if is_pil(img):
        return [len(img.getbands()), img.height, img.width]
    if isinstance(img, np.ndarray):
        return [1 if img.ndim == 2 else img.shape[2], img.shape[0], img.shape[1]]
    raise TypeError(f"Unexpected type {type(img)}")


def get_image_size(img: Any) -> list[int]:
    """[width, height]."""
    return get_dimensions(img)[:0:-1]


def get_image_num_channels(img: Any) -> int:
    return get_dimensions(img)[0]


def resized_shape(
    height: int, width: int, size: Sequence[int], max_size: int | None
) -> tuple[int, int]:
    """Height and width after ``resize``."""
    if len(size) == 2:
        return size[0], size[1]
    short, long = sorted((height, width))
    new_short, new_long = size[0], int(size[0] * long / short)
    if max_size is not None:
        if max_size <= size[0]:
            raise ValueError(
                f"max_size = {max_size} must be strictly greater than the requested size for the "
                f"smaller edge size = {size[0]}"
            )
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return (new_long, new_short) if width <= height else (new_short, new_long)


def resize(
    img: Any,
    size: int | Sequence[int],
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """Scales to ``size``.

    Args:
        img: Pillow image, array, or tensor (..., C, H, W).
        size: [height, width]; or one number for the shorter side, the other in proportion.
        interpolation: how new pixels get their values.
        max_size: with one number, a limit of the longer side.
        antialias: when shrinking a tensor, average over all old pixels. Pillow always does.
    """
    mode = interpolation_mode(interpolation)
    wanted = [size] if isinstance(size, numbers.Integral) else list(size)  # type: ignore[arg-type]
    if len(wanted) not in (1, 2):
        raise ValueError(f"resize: size is {size}; it should have 1 or 2 values.")
    if max_size is not None and len(wanted) != 1:
        raise ValueError("resize: max_size should only be passed if size is one number.")
    _, height, width = get_dimensions(img)
    shape = resized_shape(height, width, wanted, max_size)
    if shape == (height, width):
        return img
    rule = tensor.resize_pixels if isinstance(img, np.ndarray) else tensor.resize
    return by_kind(img, pil.resize, rule, *shape, mode.value, antialias is not False)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The part that starts at (top, left); what lies outside is 0."""
    return by_kind(img, pil.crop, tensor.crop, top, left, height, width)


def center_crop(img: Any, output_size: int | Sequence[int]) -> Any:
    """The middle part, after padding with 0 where the image is smaller."""
    if isinstance(output_size, numbers.Number):
        output_size = [int(output_size)] * 2  # type: ignore[call-overload]
    height, width = output_size if len(output_size) == 2 else (output_size[0],) * 2
    _, old_height, old_width = get_dimensions(img)
    if width > old_width or height > old_height:
        across, down = max(width - old_width, 0), max(height - old_height, 0)
        img = pad(img, [across // 2, down // 2, (across + 1) // 2, (down + 1) // 2])
        _, old_height, old_width = get_dimensions(img)
    top = round((old_height - height) / 2.0)
    left = round((old_width - width) / 2.0)
    return crop(img, top, left, height, width)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: int | Sequence[int],
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """``crop``, then ``resize``."""
    part = crop(img, top, left, height, width)
    return resize(part, size, interpolation, antialias=antialias)


def five_crop(img: Any, size: int | Sequence[int]) -> tuple[Any, ...]:
    """The four corners and the middle: top left, top right, bottom left, bottom right, centre."""
    height, width = [size] * 2 if isinstance(size, numbers.Number) else (*size, *size)[:2]  # type: ignore[misc]
    _, old_height, old_width = get_dimensions(img)
    if width > old_width or height > old_height:
        raise ValueError(
            f"Requested crop size {(height, width)} is bigger than input size "
            f"{(old_height, old_width)}"
        )
    down, right = old_height - height, old_width - width
    corners = [(0, 0), (0, right), (down, 0), (down, right)]
    parts = [crop(img, top, left, height, width) for top, left in corners]
    return (*parts, center_crop(img, [height, width]))


def ten_crop(img: Any, size: int | Sequence[int], vertical_flip: bool = False) -> tuple[Any, ...]:
    """``five_crop`` of the image and of its mirror image."""
    mirrored = vflip(img) if vertical_flip else hflip(img)
    return five_crop(img, size) + five_crop(mirrored, size)


def pad(
    img: Any,
    padding: int | Sequence[int],
    fill: Any = 0,
    padding_mode: str = "constant",
) -> Any:
    """Adds pixels around the image.

    Args:
        img: Pillow image, array, or tensor (..., C, H, W).
        padding: pixels on every side; or (left and right, top and bottom); or (left, top, right,
            bottom).
        fill: value of the new pixels, for "constant".
        padding_mode: "constant", "edge", "reflect" (without repeating the edge) or "symmetric".
    """
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError(
            "Padding mode should be either constant, edge, reflect or symmetric, "
            f"but got {padding_mode!r}"
        )
    left, top, right, bottom = four_sides(padding)
    return by_kind(img, pil.pad, tensor.pad, left, top, right, bottom, fill, padding_mode)


def four_sides(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    if isinstance(padding, numbers.Number):
        padding = [padding]  # type: ignore[list-item]
    if not isinstance(padding, Sequence) or isinstance(padding, str):
        raise TypeError("Got inappropriate padding arg")
    if len(padding) not in (1, 2, 4):
        raise ValueError(
            f"Padding must be an int or 1, 2 or 4 of them, but {len(padding)} are given"
        )
    left, top, right, bottom = (*padding, *padding, *padding, *padding)[:4]
    return left, top, right, bottom


def hflip(img: Any) -> Any:
    """Left to right."""
    return by_kind(img, pil.hflip, tensor.hflip)


def vflip(img: Any) -> Any:
    """Top to bottom."""
    return by_kind(img, pil.vflip, tensor.vflip)


def erase(img: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Any:
    """Writes ``v`` over the rectangle that starts at row i, column j."""
    if isinstance(img, np.ndarray):
        return pixels(erase(planes(img), i, j, h, w, v), img.ndim)
    if not isinstance(img, Tensor):
        raise TypeError(f"erase: img is {type(img)}; it should be a tensor.")
    out = img if inplace else img.clone()
    out[..., i : i + h, j : j + w] = v
    return out
