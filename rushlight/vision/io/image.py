"""Image files and tensors. Needs Pillow."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.vision.images import pillow
from rushlight.vision.transforms.functional import pil_to_tensor, to_pil_image


class ImageReadMode(enum.Enum):
    """Which channels a read image has; UNCHANGED keeps those of the file."""

    UNCHANGED = None
    GRAY = "L"
    GRAY_ALPHA = "LA"
    RGB = "RGB"
    RGB_ALPHA = "RGBA"


def read_image(path: str | Path, mode: Any = ImageReadMode.UNCHANGED) -> Tensor:
    """The image in a file as a uint8 tensor (C, H, W).

    Args:
        path: of a file that Pillow can read.
        mode: an ``ImageReadMode``, or the name of one.
    """
    module = pillow()
    if module is None:
        raise ImportError(f"reading {path} needs Pillow: pip install Pillow")
    wanted = ImageReadMode[mode.upper()] if isinstance(mode, str) else mode
    with module.open(path) as image:
        if image.mode == "P" and wanted.value is None:
            wanted = ImageReadMode.RGB
        return pil_to_tensor(image if wanted.value is None else image.convert(wanted.value))


def write_png(input: Tensor, filename: str | Path, compression_level: int = 6) -> None:
    """Writes a uint8 tensor (C, H, W) to a PNG file. ``compression_level``: in [0, 9]."""
    to_pil_image(input).save(filename, format="png", compress_level=compression_level)


def write_jpeg(input: Tensor, filename: str | Path, quality: int = 75) -> None:
    """Writes a uint8 tensor (C, H, W) to a JPEG file. ``quality``: in [1, 100]."""
    to_pil_image(input).save(filename, format="jpeg", quality=quality)
