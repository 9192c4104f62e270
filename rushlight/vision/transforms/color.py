"""Transforms that change values."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

from rushlight import tensor_api as rl
from rushlight.nn import Module
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms.containers import chance, uniform


def _factor_range(
    value: Any, name: str, center: float = 1.0, low: float = 0.0, high: float = float("inf")
) -> tuple[float, float] | None:
    """(center - v, center + v) from one number v >= 0, or a range as given; None if nothing
    changes.
    """
    if isinstance(value, numbers.Number):
        if value < 0:  # type: ignore[operator]
            raise ValueError(f"If {name} is a single number, it must be non negative.")
        bounds = [center - float(value), center + float(value)]  # type: ignore[arg-type]
        if low == 0.0:
            bounds[0] = max(bounds[0], 0.0)
    elif isinstance(value, tuple | list) and len(value) == 2:
        bounds = [float(value[0]), float(value[1])]
    else:
        raise TypeError(f"{name} should be a single number or a list/tuple with length 2.")
    if not low <= bounds[0] <= bounds[1] <= high:
        raise ValueError(f"{name} values should be between ({low}, {high}), but got {bounds}.")
    return None if bounds[0] == bounds[1] == center else (bounds[0], bounds[1])


class ColorJitter(Module):
    """Changes brightness, contrast, saturation and hue by random amounts, in random order.

    Args:
        brightness: range of the factor; one number v means (1 - v, 1 + v).
        contrast: the same.
        saturation: the same.
        hue: range in [-0.5, 0.5]; one number v means (-v, v).

    Example:
        >>> from rushlight.vision import transforms
        >>> transforms.ColorJitter(brightness=0.2, hue=0.1)(torch.rand(3, 8, 8)).shape
        torch.Size([3, 8, 8])
    """

    def __init__(
        self,
        brightness: float | Sequence[float] = 0,
        contrast: float | Sequence[float] = 0,
        saturation: float | Sequence[float] = 0,
        hue: float | Sequence[float] = 0,
    ) -> None:
        super().__init__()
        self.brightness = _factor_range(brightness, "brightness")
        self.contrast = _factor_range(contrast, "contrast")
        self.saturation = _factor_range(saturation, "saturation")
        self.hue = _factor_range(hue, "hue", center=0.0, low=-0.5, high=0.5)

    @staticmethod
    def get_params(brightness: Any, contrast: Any, saturation: Any, hue: Any) -> tuple[Any, ...]:
        """(order of the four, then their factors, None where nothing changes)."""
        order = rl.randperm(4)
        ranges = (brightness, contrast, saturation, hue)
        return (order, *(None if r is None else uniform(r[0], r[1]) for r in ranges))

    def forward(self, img: Any) -> Any:
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        rules = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for i in order.tolist():
            if factors[i] is not None:
                img = rules[i](img, factors[i])
        return img

    def __repr__(self) -> str:
        return (
            f"ColorJitter(brightness={self.brightness}, contrast={self.contrast}, "
            f"saturation={self.saturation}, hue={self.hue})"
        )


class Grayscale(Module):
    """Brightness only, in one or three equal channels.

    Example:
        >>> from rushlight.vision import transforms
        >>> transforms.Grayscale()(torch.rand(3, 4, 4)).shape
        torch.Size([1, 4, 4])
    """

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, self.num_output_channels)

    def __repr__(self) -> str:
        return f"Grayscale(num_output_channels={self.num_output_channels})"


class RandomGrayscale(Module):
    """Brightness only with probability ``p``; the number of channels stays."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        channels = F.get_image_num_channels(img)
        return F.rgb_to_grayscale(img, channels) if chance() < self.p else img

    def __repr__(self) -> str:
        return f"RandomGrayscale(p={self.p})"


class GaussianBlur(Module):
    """Mean of the neighbours, weighted by a Gaussian of random width.

    Args:
        kernel_size: odd; one number or (width, height).
        sigma: range of the standard deviation in pixels, or one number.

    Example:
        >>> from rushlight.vision import transforms
        >>> transforms.GaussianBlur(3, sigma=1.0)(torch.ones(1, 3, 3)).sum()
        tensor(9.)
    """

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)) -> None:
        super().__init__()
        sizes = (kernel_size,) * 2 if isinstance(kernel_size, int) else tuple(kernel_size)
        if len(sizes) != 2:
            raise ValueError("Kernel size should be a tuple/list of two integers")
        if any(size <= 0 or size % 2 == 0 for size in sizes):
            raise ValueError("Kernel size value should be an odd and positive number.")
        self.kernel_size = sizes
        self.sigma = (sigma, sigma) if isinstance(sigma, int | float) else tuple(sigma)
        if not 0.0 < self.sigma[0] <= self.sigma[1]:
            raise ValueError(
                f"sigma values should be positive and of the form (min, max). Got {sigma}"
            )

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        return uniform(sigma_min, sigma_max)

    def forward(self, img: Any) -> Any:
        sigma = self.get_params(self.sigma[0], self.sigma[1])
        return F.gaussian_blur(img, self.kernel_size, [sigma, sigma])

    def __repr__(self) -> str:
        return f"GaussianBlur(kernel_size={self.kernel_size}, sigma={self.sigma})"


class RandomInvert(Module):
    """The negative with probability ``p``."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        return F.invert(img) if chance() < self.p else img

    def __repr__(self) -> str:
        return f"RandomInvert(p={self.p})"


class RandomSolarize(Module):
    """The negative of values from ``threshold`` on, with probability ``p``."""

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__()
        self.threshold = threshold
        self.p = p

    def forward(self, img: Any) -> Any:
        return F.solarize(img, self.threshold) if chance() < self.p else img

    def __repr__(self) -> str:
        return f"RandomSolarize(threshold={self.threshold},p={self.p})"


class RandomPosterize(Module):
    """Only the ``bits`` highest bits of each byte, with probability ``p``."""

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__()
        self.bits = bits
        self.p = p

    def forward(self, img: Any) -> Any:
        return F.posterize(img, self.bits) if chance() < self.p else img

    def __repr__(self) -> str:
        return f"RandomPosterize(bits={self.bits},p={self.p})"


class RandomAdjustSharpness(Module):
    """Sharpness changed by a factor, with probability ``p``."""

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__()
        self.sharpness_factor = sharpness_factor
        self.p = p

    def forward(self, img: Any) -> Any:
        return F.adjust_sharpness(img, self.sharpness_factor) if chance() < self.p else img

    def __repr__(self) -> str:
        return f"RandomAdjustSharpness(sharpness_factor={self.sharpness_factor},p={self.p})"


class RandomAutocontrast(Module):
    """The whole range of values used, with probability ``p``."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        return F.autocontrast(img) if chance() < self.p else img

    def __repr__(self) -> str:
        return f"RandomAutocontrast(p={self.p})"


class RandomEqualize(Module):
    """Values made equally frequent, with probability ``p``."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        return F.equalize(img) if chance() < self.p else img

    def __repr__(self) -> str:
        return f"RandomEqualize(p={self.p})"
