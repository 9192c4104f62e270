"""Functions of one image: a Pillow image, a uint8 array (H, W[, C]), or a tensor (..., C, H, W).

The result is of the same kind. Each function chooses between `pil` and `tensor`, which hold the
work; arrays go through `tensor`.
"""

from __future__ import annotations

import enum
import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight import dtypes, tensor_api as rl
from rushlight.core.tensor import Tensor
from rushlight.dtypes import get_default_dtype
from rushlight.vision.images import is_pil, pillow, pixels, planes
from rushlight.vision.transforms import pil, tensor
from rushlight.vision.tv_tensors import BoundingBoxes, TVTensor

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


def _on(
    image: Any, pil_rule: Callable[..., Any], tensor_rule: Callable[..., Any], *args: Any
) -> Any:
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


# ---------------------------------------------------------------- between kinds


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


# ---------------------------------------------------------------- sizes


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
    return _on(img, pil.resize, rule, *shape, mode.value, antialias is not False)


# ---------------------------------------------------------------- parts


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The part that starts at (top, left); what lies outside is 0."""
    return _on(img, pil.crop, tensor.crop, top, left, height, width)


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
    return _on(img, pil.pad, tensor.pad, left, top, right, bottom, fill, padding_mode)


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
    return _on(img, pil.hflip, tensor.hflip)


def vflip(img: Any) -> Any:
    """Top to bottom."""
    return _on(img, pil.vflip, tensor.vflip)


# ---------------------------------------------------------------- geometry


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
    return _on(img, pil.rotate, tensor.rotate, angle, mode, expand, center, fill)


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
        return inverse_affine_matrix(about, angle, translate, scale, slant)

    if isinstance(img, Tensor | np.ndarray):
        about = [middle[0] - width * 0.5, middle[1] - height * 0.5]
        return _on(img, pil.affine, tensor.affine, matrix(about), mode, fill)
    return _on(img, pil.affine, tensor.affine, matrix(middle), mode, fill)


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
    return _on(img, pil.perspective, tensor.perspective, places, mode, fill)


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

    return _on(img, pil_elastic, tensor.elastic, displacement, mode, fill)


def inverse_affine_matrix(
    center: Sequence[float],
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
) -> list[float]:
    """The first two rows of the map from new to old coordinates.

    Forward: ``T C R S H C^-1`` with the moves T (translate) and C (center), the turn R, the scale
        S, the
    shear H; this is its inverse, written out.
    """
    turn, slant_x, slant_y = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    a = math.cos(turn - slant_y) / math.cos(slant_y)
    b = -math.cos(turn - slant_y) * math.tan(slant_x) / math.cos(slant_y) - math.sin(turn)
    c = math.sin(turn - slant_y) / math.cos(slant_y)
    d = -math.sin(turn - slant_y) * math.tan(slant_x) / math.cos(slant_y) + math.cos(turn)
    m = [d / scale, -b / scale, 0.0, -c / scale, a / scale, 0.0]
    x, y = -center[0] - translate[0], -center[1] - translate[1]
    m[2] = m[0] * x + m[1] * y + center[0]
    m[5] = m[3] * x + m[4] * y + center[1]
    return m


def gaussian_blur(
    img: Any, kernel_size: int | Sequence[int], sigma: float | Sequence[float] | None = None
) -> Any:
    """Mean of the neighbours, weighted by a Gaussian.

    Args:
        img: Pillow image, array, or tensor (..., C, H, W).
        kernel_size: odd; one number or (width, height).
        sigma: standard deviation in pixels; default ``0.3 ((kernel_size - 1) / 2 - 1) + 0.8``.
    """
    sizes = [kernel_size] * 2 if isinstance(kernel_size, int) else list(kernel_size)
    for size in sizes:
        if size % 2 == 0 or size < 0:
            raise ValueError(f"kernel_size should have odd and positive integers. Got {sizes}")
    if sigma is None:
        sigma = [size * 0.15 + 0.35 for size in sizes]
    spreads = [float(sigma)] * 2 if isinstance(sigma, int | float) else [*sigma, *sigma][:2]
    if min(spreads) <= 0:
        raise ValueError(f"sigma should have positive values. Got {spreads}")

    def on_pil(image: Any, *args: Any) -> Any:
        return to_pil_image(tensor.gaussian_blur(pil_to_tensor(image), *args), image.mode)

    return _on(img, on_pil, tensor.gaussian_blur, sizes, spreads)


def erase(img: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Any:
    """Writes ``v`` over the rectangle that starts at row i, column j."""
    if isinstance(img, np.ndarray):
        return pixels(erase(planes(img), i, j, h, w, v), img.ndim)
    if not isinstance(img, Tensor):
        raise TypeError(f"erase: img is {type(img)}; it should be a tensor.")
    out = img if inplace else img.clone()
    out[..., i : i + h, j : j + w] = v
    return out


# ---------------------------------------------------------------- colour


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """Brightness ``0.2989 R + 0.587 G + 0.114 B``, in one or three equal channels."""
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    return _on(img, pil.grayscale, tensor.grayscale, num_output_channels)


to_grayscale = rgb_to_grayscale


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """0 gives black, 1 the image, 2 twice as bright."""
    return _on(img, pil.brightness, tensor.brightness, _factor(brightness_factor, "brightness"))


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """0 gives even grey, 1 the image, 2 twice the contrast."""
    return _on(img, pil.contrast, tensor.contrast, _factor(contrast_factor, "contrast"))


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """0 gives grey values, 1 the image, 2 twice the saturation."""
    return _on(img, pil.saturation, tensor.saturation, _factor(saturation_factor, "saturation"))


def _factor(value: float, name: str) -> float:
    if value < 0:
        raise ValueError(f"{name}_factor ({value}) is not non-negative.")
    return value


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Turns the colour circle: 0.5 or -0.5 gives complementary colours, 0 the image."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    return _on(img, pil.hue, tensor.hue, hue_factor)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """``gain * value ** gamma`` with values in [0, 1]."""
    if gamma < 0:
        raise ValueError(f"gamma ({gamma}) should be a non-negative real number")
    return _on(img, pil.gamma, tensor.gamma, gamma, gain)


def invert(img: Any) -> Any:
    """The negative."""
    return _on(img, pil.invert, tensor.invert)


def solarize(img: Any, threshold: float) -> Any:
    """The negative of all values that are at least ``threshold``."""
    return _on(img, pil.solarize, tensor.solarize, threshold)


def posterize(img: Any, bits: int) -> Any:
    """Keeps the ``bits`` highest bits of each byte."""
    return _on(img, pil.posterize, tensor.posterize, bits)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """Blurred at 0, unchanged at 1, sharper above."""
    factor = _factor(sharpness_factor, "sharpness_factor")
    return _on(img, pil.sharpness, tensor.sharpness, factor)


def autocontrast(img: Any) -> Any:
    """Each channel stretched so that its darkest value is black and its lightest white."""
    return _on(img, pil.autocontrast, tensor.autocontrast)


def equalize(img: Any) -> Any:
    """Each channel's values spread until all are about as frequent; bytes only."""
    return _on(img, pil.equalize, tensor.equalize)
