"""Image data sets and transforms, by torchvision's names: over arrays, tensors and, if Pillow is
installed, its images.

`datasets` (with a bundled sample of Fashion-MNIST), `transforms`, `tv_tensors`, `models`, `ops`,
`utils`, `io`.
"""

from rushlight.jit import is_tracing as _is_tracing  # detection models call it by this name
from rushlight.vision import datasets, io, models, ops, transforms, tv_tensors, utils

__version__ = "0.28.0"  # the torchvision whose names and behaviour these are

__all__ = ["datasets", "io", "models", "ops", "transforms", "tv_tensors", "utils"]


def disable_beta_transforms_warning() -> None:
    """Does nothing: `transforms.v2` warns of nothing."""


def get_image_backend() -> str:
    """The library that images are read with, Pillow."""
    return "PIL"


def set_image_backend(backend: str) -> None:
    """Choose the library that images are read with; there is one, ``"PIL"``.

    Raises:
        ValueError: of another one.
    """
    if backend != "PIL":
        raise ValueError(f"Invalid backend {backend!r}: images are read by Pillow, 'PIL'.")
