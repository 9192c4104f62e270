"""Images that are turned, slanted and bent."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.core.tensor import Tensor
from rushlight.vision.transforms import pil, tensor
from rushlight.vision.transforms.functional.kinds import (
    InterpolationMode,
    by_kind,
    interpolation_mode,
    pil_to_tensor,
    to_pil_image,
)
from rushlight.vision.transforms.functional.sizes import get_dimensions


def rotate(
    img: Any,
    angle: float,
    interpolation: InterpolationMode = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[int] | None = None,
    fill: Any = None,
) -> Any:
    """Turns the image.

    Args:
        img: Pillow image, array, or tensor (..., C, H, W).
        angle: degrees, counter-clockwise.
        interpolation: NEAREST or BILINEAR (Pillow: also BICUBIC).
        expand: make the result large enough for all of the image.
        center: point (x, y) that stays; default the middle.
        fill: value of what lay outside; default 0.
    """
    mode = interpolation_mode(interpolation).value
    return by_kind(img, pil.rotate, tensor.rotate, angle, mode, expand, center, fill)


def affine(
    img: Any,
    angle: float,
    translate: Sequence[int],
    scale: float,
    shear: float | Sequence[float],
    interpolation: InterpolationMode = InterpolationMode.NEAREST,
    fill: Any = None,
    center: Sequence[int] | None = None,
) -> Any:
    """Turns, moves, scales and shears the image about its middle.

    Args:
        img: Pillow image, array, or tensor (..., C, H, W).
        angle: degrees, clockwise.
        translate: pixels (right, down).
        scale: factor, > 0.
        shear: degrees, along x or (along x, along y).
        interpolation: NEAREST or BILINEAR (Pillow: also BICUBIC).
        fill: value of what lay outside; default 0.
        center: point (x, y) that stays; default the middle.
    """
    if scale <= 0.0:
        raise ValueError(f"affine: scale is {scale}; Argument scale should be positive")
    slant = (
        [float(shear), 0.0] if isinstance(shear, numbers.Number) else [*map(float, shear), 0.0][:2]
    )  # type: ignore[arg-type]
    _, height, width = get_dimensions(img)
    middle = [width * 0.5, height * 0.5] if center is None else list(center)
    mode = interpolation_mode(interpolation).value

    def matrix(about: Sequence[float]) -> list[float]:
        return tensor.inverse_affine_matrix(about, angle, translate, scale, slant)

    if isinstance(img, Tensor | np.ndarray):
        about = [middle[0] - width * 0.5, middle[1] - height * 0.5]
        return by_kind(img, pil.affine, tensor.affine, matrix(about), mode, fill)
    return by_kind(img, pil.affine, tensor.affine, matrix(middle), mode, fill)


def perspective(
    img: Any,
    startpoints: Sequence[Sequence[int]],
    endpoints: Sequence[Sequence[int]],
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """Moves four corners, and what lies between them as on a plane in space.

    Args:
        img: Pillow image, array, or tensor (..., C, H, W).
        startpoints: four points (x, y): top left, top right, bottom right, bottom left.
        endpoints: where they go.
        interpolation: NEAREST or BILINEAR (Pillow: also BICUBIC).
        fill: value of what lay outside; default 0.
    """
    rows = []
    for (x, y), (u, v) in zip(endpoints, startpoints, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    target = np.array(startpoints, np.float64).reshape(8)
    coefficients = np.linalg.lstsq(np.array(rows, np.float64), target, rcond=None)[0]
    mode = interpolation_mode(interpolation).value
    places = coefficients.astype(np.float32).tolist()
    return by_kind(img, pil.perspective, tensor.perspective, places, mode, fill)


def elastic_transform(
    img: Any,
    displacement: Tensor,
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """Moves each pixel on its own.

    Args:
        img: Pillow image, or tensor (..., C, H, W).
        displacement: how far, in halves of the image's width and height: ``(1, H, W, 2)``.
        interpolation: NEAREST or BILINEAR.
        fill: value of what lay outside; default 0.
    """
    if not isinstance(displacement, Tensor):
        raise TypeError("Argument displacement should be a Tensor")
    height, width = get_dimensions(img)[1:]
    if tuple(displacement.shape) != (1, height, width, 2):
        raise ValueError(
            f"Argument displacement shape should be {(1, height, width, 2)}, but given "
            f"{tuple(displacement.shape)}"
        )
    mode = interpolation_mode(interpolation).value

    def pil_elastic(image: Any, *args: Any) -> Any:
        return to_pil_image(tensor.elastic(pil_to_tensor(image), *args), mode=image.mode)

    return by_kind(img, pil_elastic, tensor.elastic, displacement, mode, fill)
