"""Images of several sizes in one tensor."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor

__all__ = ["ImageList"]


class ImageList:
    """Images, padded below and on the right to one size.

    Args:
        tensors: the padded images, ``(N, C, H, W)``.
        image_sizes: height and width of each without the padding.
    """

    def __init__(self, tensors: Tensor, image_sizes: list[tuple[int, int]]) -> None:
        self.tensors, self.image_sizes = tensors, image_sizes

    def to(self, device: Any) -> ImageList:
        """The same on another device."""
        return ImageList(self.tensors.to(device), self.image_sizes)
