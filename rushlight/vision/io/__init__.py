"""Image files and tensors. Needs Pillow."""

from rushlight.vision.io import image
from rushlight.vision.io.image import ImageReadMode, read_image, write_jpeg, write_png

__all__ = ["ImageReadMode", "image", "read_image", "write_jpeg", "write_png"]
