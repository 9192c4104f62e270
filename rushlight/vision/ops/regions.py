"""Pooling of the regions of images that boxes show."""

from __future__ import annotations

import math
from typing import Any

from rushlight import nn
from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor

__all__ = ["RoIPool", "roi_pool"]


def _pair(x: Any) -> tuple[int, int]:
    return (x, x) if isinstance(x, int) else (int(x[0]), int(x[1]))


def _round(x: float) -> int:
    """The nearest integer; of two, the one further from zero."""
    return int(math.copysign(math.floor(abs(x) + 0.5), x))


def _spans(first: int, last: int, parts: int, size: int) -> list[tuple[int, int]]:
    """Pixels ``first`` to ``last`` in so many parts, which may overlap, inside of an image."""
    step = max(last - first + 1, 1) / parts
    ends = [(math.floor(k * step), math.ceil((k + 1) * step)) for k in range(parts)]
    return [(min(max(a + first, 0), size), min(max(b + first, 0), size)) for a, b in ends]


def roi_pool(input: Tensor, boxes: Any, output_size: Any, spatial_scale: float = 1.0) -> Tensor:
    """The largest value of each part of regions, which fall into as many parts each.

    Args:
        input: images, (N, C, H, W).
        boxes: (K, 5), each the number of an image and two corners, or for each image a tensor of
            corners (L, 4).
        output_size: rows and columns of parts.
        spatial_scale: by which corners are multiplied to be pixels of the input.

    Shape: -> ``(K, C, *output_size)``.

    Reference: Girshick, 2015, arXiv:1504.08083.
    """
    height, width = _pair(output_size)
    if isinstance(boxes, Tensor):
        if boxes.dim() != 2 or boxes.shape[1] != 5:
            raise ValueError(
                f"roi_pool: boxes must be (K, 5), the number of an image and corners, or a list of "
                f"(L, 4) tensors, but are {tuple(boxes.shape)}."
            )
        rows = boxes.tolist()
    else:
        rows = [[n, *corners] for n, part in enumerate(boxes) for corners in part.tolist()]
    found = []
    for n, *corners in rows:
        x1, y1, x2, y2 = [_round(c * spatial_scale) for c in corners]
        image = input[int(n)]
        for top, bottom in _spans(y1, y2, height, input.shape[2]):
            for left, right in _spans(x1, x2, width, input.shape[3]):
                part = image[:, top:bottom, left:right].flatten(1)
                empty = input.new_zeros(input.shape[1])
                found.append(part.max(1)[0] if part.shape[1] else empty)
    if not found:
        return input.new_zeros((0, input.shape[1], height, width))
    return T.stack(found).reshape(len(rows), height, width, input.shape[1]).permute(0, 3, 1, 2)


class RoIPool(nn.Module):
    """Layer of `roi_pool`."""

    def __init__(self, output_size: Any, spatial_scale: float) -> None:
        super().__init__()
        self.output_size, self.spatial_scale = output_size, spatial_scale

    def forward(self, input: Tensor, rois: Any) -> Tensor:
        """Pool the regions ``rois`` of the images."""
        return roi_pool(input, rois, self.output_size, self.spatial_scale)

    def __repr__(self) -> str:
        size, scale = self.output_size, self.spatial_scale
        return f"{type(self).__name__}(output_size={size}, spatial_scale={scale})"
