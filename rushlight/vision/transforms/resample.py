"""Resizing as two products with small matrices: one for rows, one for columns.

Pillow's filters: a new pixel is a weighted mean of the old ones under a kernel, which is widened by
the scale when shrinking, so that no old pixel is skipped. For uint8 the weights are
rounded as Pillow rounds them, each direction ends in whole numbers, and the directions come in the
order of Pillow 13, so results equal its to the last bit.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

FIXED_POINT = 22  # bits of Pillow's integer weights behind the binary point


def _box(x: float) -> float:
    return 1.0 if -0.5 < x <= 0.5 else 0.0


def _triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _cubic(x: float, a: float = -0.5) -> float:
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def _sinc(x: float) -> float:
    return math.sin(math.pi * x) / (math.pi * x) if x else 1.0


def _hamming(x: float) -> float:
    return _sinc(x) * (0.54 + 0.46 * math.cos(math.pi * x)) if abs(x) < 1 else 0.0


def _lanczos(x: float) -> float:
    return _sinc(x) * _sinc(x / 3) if -3 <= x < 3 else 0.0


KERNELS: dict[str, tuple[float, Callable[[float], float]]] = {  # reach on each side, in pixels
    "box": (0.5, _box),
    "bilinear": (1.0, _triangle),
    "hamming": (1.0, _hamming),
    "bicubic": (2.0, _cubic),
    "lanczos": (3.0, _lanczos),
}


@functools.lru_cache(maxsize=64)
def weights(old: int, new: int, kernel: str) -> np.ndarray:
    """The matrix (new, old) whose rows are the weights of the old pixels, each row summing to 1."""
    reach, function = KERNELS[kernel]
    scale = old / new
    stretch = max(scale, 1.0)
    matrix = np.zeros((new, old))
    for i in range(new):
        centre = (i + 0.5) * scale
        first = max(int(centre - reach * stretch + 0.5), 0)
        last = min(int(centre + reach * stretch + 0.5), old)
        row = [function((j - centre + 0.5) / stretch) for j in range(first, last)]
        matrix[i, first:last] = np.divide(row, sum(row))
    return matrix


def resize_bytes(images: np.ndarray, height: int, width: int, kernel: str) -> np.ndarray:
    """uint8 images (..., H, W) -> (..., height, width), as Pillow resizes."""
    old_height, old_width = images.shape[-2:]
    if height < old_height and old_height - height > 2 * (old_width - width):
        return _resized_across(_resized_down(images, height, kernel), width, kernel)
    return _resized_down(_resized_across(images, width, kernel), height, kernel)


def _resized_down(images: np.ndarray, height: int, kernel: str) -> np.ndarray:
    turned = _resized_across(images.swapaxes(-1, -2), height, kernel)
    return np.ascontiguousarray(turned.swapaxes(-1, -2))


def _resized_across(images: np.ndarray, width: int, kernel: str) -> np.ndarray:
    if width == images.shape[-1]:
        return images
    scaled = weights(images.shape[-1], width, kernel) * (1 << FIXED_POINT)
    matrix = np.trunc(scaled + np.copysign(0.5, scaled))
    # Exact: every product and sum is a whole number far below 2**53.
    sums = images.astype(np.float64) @ matrix.T + (1 << (FIXED_POINT - 1))
    return np.clip(np.floor(sums / (1 << FIXED_POINT)), 0, 255).astype(np.uint8)
