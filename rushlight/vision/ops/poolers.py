"""Pooling of regions from the features whose size suits them."""

from __future__ import annotations

import math
from typing import Any

from rushlight import nn, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.vision.ops.regions import roi_align

__all__ = ["MultiScaleRoIAlign"]


class MultiScaleRoIAlign(nn.Module):
    """`roi_align` of each region in the features, of several sizes, that suit the region's size.

    Args:
        featmap_names: which of the features are used, from large to small.
        output_size: rows and columns of parts.
        sampling_ratio: as of `roi_align`.
        canonical_scale: the side, in pixels, of a region ...
        canonical_level: ... that belongs to features smaller than the image by 2 to this power.

    Reference: Lin et al., 2017, arXiv:1612.03144, equation 1.
    """

    def __init__(
        self,
        featmap_names: list[str],
        output_size: Any,
        sampling_ratio: int,
        *,
        canonical_scale: int = 224,
        canonical_level: int = 4,
    ) -> None:
        super().__init__()
        size = (output_size, output_size) if isinstance(output_size, int) else output_size
        self.featmap_names, self.output_size = featmap_names, tuple(size)
        self.sampling_ratio = sampling_ratio
        self.canonical_scale, self.canonical_level = canonical_scale, canonical_level

    def forward(
        self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> Tensor:
        """Pool the corners ``boxes`` of each image. Shape: ``(K, C, *output_size)``."""
        features = [feature for name, feature in x.items() if name in self.featmap_names]
        largest = [max(sides) for sides in zip(*image_shapes, strict=True)]
        powers = [round(math.log2(f.shape[-2] / largest[0])) for f in features]
        numbers = [T.full_like(part[:, :1], n) for n, part in enumerate(boxes)]
        rows = T.cat([T.cat(numbers), T.cat(boxes)], 1)
        if len(features) == 1:
            return self._pooled(features[0], rows, powers[0])
        side = ((rows[:, 3] - rows[:, 1]) * (rows[:, 4] - rows[:, 2])).sqrt()
        level = (self.canonical_level + (side / self.canonical_scale).log2() + 1e-6).floor()
        level = level.clamp(-powers[0], -powers[-1]).long() + powers[0]
        out = features[0].new_zeros((len(rows), features[0].shape[1], *self.output_size))
        for i, (feature, power) in enumerate(zip(features, powers, strict=True)):
            k = T.where(level == i)[0]
            out[k] = self._pooled(feature, rows[k], power).to(out.dtype)
        return out

    def _pooled(self, feature: Tensor, rows: Tensor, power: int) -> Tensor:
        return roi_align(feature, rows, self.output_size, 2.0**power, self.sampling_ratio)

    def __repr__(self) -> str:
        names = ("featmap_names", "output_size", "sampling_ratio")
        return f"{type(self).__name__}({', '.join(f'{n}={getattr(self, n)}' for n in names)})"
