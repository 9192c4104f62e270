"""Image data sets and transforms: torchvision's names, over arrays, tensors and (if installed)
Pillow images.

`datasets` (with a bundled sample of Fashion-MNIST), `transforms`, `utils`.
"""

from rushlight.vision import datasets, transforms, utils

__all__ = ["datasets", "transforms", "utils"]
