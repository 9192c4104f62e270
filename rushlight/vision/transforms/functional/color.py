"""Values of pixels: colours, brightness, sharpness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.vision.transforms import pil, tensor
from rushlight.vision.transforms.functional.kinds import by_kind, pil_to_tensor, to_pil_image


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """Brightness ``0.2989 R + 0.587 G + 0.114 B``, in one or three equal channels."""
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    return by_kind(img, pil.grayscale, tensor.grayscale, num_output_channels)


to_grayscale = rgb_to_grayscale


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """0 gives black, 1 the image, 2 twice as bright."""
    return by_kind(img, pil.brightness, tensor.brightness, _factor(brightness_factor, "brightness"))


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """0 gives even grey, 1 the image, 2 twice the contrast."""
    return by_kind(img, pil.contrast, tensor.contrast, _factor(contrast_factor, "contrast"))


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """0 gives grey values, 1 the image, 2 twice the saturation."""
    return by_kind(img, pil.saturation, tensor.saturation, _factor(saturation_factor, "saturation"))


def _factor(value: float, name: str) -> float:
    if value < 0:
        raise ValueError(f"{name}_factor ({value}) is not non-negative.")
    return value


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Turns the colour circle: 0.5 or -0.5 gives complementary colours, 0 the image."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    return by_kind(img, pil.hue, tensor.hue, hue_factor)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """``gain * value ** gamma`` with values in [0, 1]."""
    if gamma < 0:
        raise ValueError(f"gamma ({gamma}) should be a non-negative real number")
    return by_kind(img, pil.gamma, tensor.gamma, gamma, gain)


def invert(img: Any) -> Any:
    """The negative."""
    return by_kind(img, pil.invert, tensor.invert)


def solarize(img: Any, threshold: float) -> Any:
    """The negative of all values that are at least ``threshold``."""
    return by_kind(img, pil.solarize, tensor.solarize, threshold)


def posterize(img: Any, bits: int) -> Any:
    """Keeps the ``bits`` highest bits of each byte."""
    return by_kind(img, pil.posterize, tensor.posterize, bits)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """Blurred at 0, unchanged at 1, sharper above."""
    factor = _factor(sharpness_factor, "sharpness_factor")
    return by_kind(img, pil.sharpness, tensor.sharpness, factor)


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

    return by_kind(img, on_pil, tensor.gaussian_blur, sizes, spreads)


def autocontrast(img: Any) -> Any:
    """Each channel stretched so that its darkest value is black and its lightest white."""
    return by_kind(img, pil.autocontrast, tensor.autocontrast)


def equalize(img: Any) -> Any:
    """Each channel's values spread until all are about as frequent; bytes only."""
    return by_kind(img, pil.equalize, tensor.equalize)
