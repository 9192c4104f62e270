"""Image files and tensors. Needs Pillow."""

from __future__ import annotations

import enum
import io
from pathlib import Path
from typing import Any

import numpy as np

from rushlight.core.tensor import Tensor
from rushlight.tensor_api.from_data import from_numpy
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
    return decode_image(path, mode)


def read_file(path: str | Path) -> Tensor:
    """The bytes of a file as a uint8 tensor."""
    return from_numpy(np.fromfile(path, np.uint8))


def decode_image(input: Tensor | str | Path, mode: Any = ImageReadMode.UNCHANGED) -> Tensor:
    """The image in a file, or in a file's bytes, as a uint8 tensor (C, H, W).

    Args:
        input: path of a file that Pillow can read, or its bytes: a uint8 tensor (N,).
        mode: an ``ImageReadMode``, or the name of one.
    """
    module = pillow()
    if module is None:
        raise ImportError("decode_image: reading images needs Pillow: pip install Pillow")
    file: Any = input
    if isinstance(input, Tensor):
        if input._array.dtype != np.uint8 or input.dim() != 1:
            raise RuntimeError(
                f"decode_image: input is {input.dtype} of shape {tuple(input.shape)}; the bytes of "
                "a file are a uint8 tensor of one dim, as read_file gives them."
            )
        file = io.BytesIO(input.numpy().tobytes())
    wanted = ImageReadMode[mode.upper()] if isinstance(mode, str) else mode
    with module.open(file) as image:
        if image.mode == "P" and wanted.value is None:
            wanted = ImageReadMode.RGB
        return pil_to_tensor(image if wanted.value is None else image.convert(wanted.value))


def write_png(input: Tensor, filename: str | Path, compression_level: int = 6) -> None:
    """Writes a uint8 tensor (C, H, W) to a PNG file. ``compression_level``: in [0, 9]."""
    to_pil_image(input).save(filename, format="png", compress_level=compression_level)


def write_jpeg(input: Tensor, filename: str | Path, quality: int = 75) -> None:
    """Writes a uint8 tensor (C, H, W) to a JPEG file. ``quality``: in [1, 100]."""
    to_pil_image(input).save(filename, format="jpeg", quality=quality)
