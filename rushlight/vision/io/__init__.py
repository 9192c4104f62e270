"""Image files and tensors. Needs Pillow."""

from rushlight.vision.io import image
from rushlight.vision.io.image import (
    ImageReadMode,
    decode_image,
    read_file,
    read_image,
    write_jpeg,
    write_png,
)

__all__ = [
    "ImageReadMode",
    "decode_image",
    "image",
    "read_file",
    "read_image",
    "write_jpeg",
    "write_png",
]
