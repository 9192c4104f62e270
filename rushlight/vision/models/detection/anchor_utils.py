"""Boxes that detectors start from, at every place of their features."""

from __future__ import annotations

from typing import Any

from rushlight import dtypes, nn, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.vision.models.detection.image_list import ImageList

__all__ = ["AnchorGenerator", "DefaultBoxGenerator"]

FLOAT32, INT32 = dtypes.by_name["float32"], dtypes.by_name["int32"]


class AnchorGenerator(nn.Module):
    """Boxes of some areas and shapes around the corner of each place of some features.

    Args:
        sizes: for each of the features, the sides of squares of these areas, in pixels.
        aspect_ratios: for each of the features, heights over widths.

    Example:
        >>> import rushlight as torch
        >>> anchors = AnchorGenerator(sizes=((32,),), aspect_ratios=((0.5, 1.0),))
        >>> images = ImageList(torch.zeros(1, 3, 64, 64), [(64, 64)])
        >>> anchors(images, [torch.zeros(1, 8, 2, 1)])[0]
        tensor([[-23., -11.,  23.,  11.],
                [-16., -16.,  16.,  16.],
                [-23.,  21.,  23.,  43.],
                [-16.,  16.,  16.,  48.]])

    Reference: Ren et al., 2015, arXiv:1506.01497, section 3.1.1.
    """

    def __init__(
        self,
        sizes: Any = ((128, 256, 512),),
        aspect_ratios: Any = ((0.5, 1.0, 2.0),),
    ) -> None:
        super().__init__()
        if not isinstance(sizes[0], (list, tuple)):
            sizes = tuple([(size,) for size in sizes])
        if not isinstance(aspect_ratios[0], (list, tuple)):
            aspect_ratios = (aspect_ratios,) * len(sizes)
        self.sizes, self.aspect_ratios = sizes, aspect_ratios
        pairs = zip(sizes, aspect_ratios, strict=False)
        self.cell_anchors = [self.generate_anchors(*pair) for pair in pairs]

    def generate_anchors(
        self, scales: Any, aspect_ratios: Any, dtype: Any = FLOAT32, device: Any = "cpu"
    ) -> Tensor:
        """Boxes around the origin, in whole pixels. Shape: ``(ratios * scales, 4)``."""
        sides = T.as_tensor(scales, dtype=dtype, device=device)
        stretch = T.as_tensor(aspect_ratios, dtype=dtype, device=device).sqrt().unsqueeze(1)
        w, h = (1 / stretch * sides).flatten(), (stretch * sides).flatten()
        return (T.stack([-w, -h, w, h], 1) / 2).round()

    def set_cell_anchors(self, dtype: Any, device: Any) -> None:
        """Convert the boxes around the origin."""
        self.cell_anchors = [cell.to(dtype=dtype, device=device) for cell in self.cell_anchors]

    def num_anchors_per_location(self) -> list[int]:
        """For each of the features, how many boxes a place has."""
        pairs = zip(self.sizes, self.aspect_ratios, strict=False)
        return [len(sizes) * len(ratios) for sizes, ratios in pairs]

    def grid_anchors(self, grid_sizes: list[Any], strides: list[Any]) -> list[Tensor]:
        """For each of the features, the boxes at all its places, those of one side by side.

        Args:
            grid_sizes: rows and columns of each of the features.
            strides: pixels from one of its rows to the next, and columns.
        """
        if not len(grid_sizes) == len(strides) == len(self.cell_anchors):
            raise AssertionError(
                f"AnchorGenerator: there are {len(grid_sizes)} features, but sizes and "
                f"aspect_ratios for {len(self.cell_anchors)}; give each of the features its own."
            )
        found = []
        grids = zip(grid_sizes, strides, self.cell_anchors, strict=True)
        for (rows, columns), (down, right), cell in grids:
            y = T.arange(rows, dtype=INT32, device=cell.device) * down
            x = T.arange(columns, dtype=INT32, device=cell.device) * right
            y, x = (part.flatten() for part in T.meshgrid(y, x, indexing="ij"))
            places = T.stack([x, y, x, y], 1).unsqueeze(1)  # (rows * columns, 1, 4)
            found.append((places + cell).reshape(-1, 4))
        return found

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        height, width = image_list.tensors.shape[-2:]
        grids = [tuple(feature.shape[-2:]) for feature in feature_maps]
        self.set_cell_anchors(feature_maps[0].dtype, feature_maps[0].device)
        strides = [(height // rows, width // columns) for rows, columns in grids]
        boxes = T.cat(self.grid_anchors(grids, strides))
        return [boxes.clone() for _ in image_list.image_sizes]


class DefaultBoxGenerator(nn.Module):
    """Boxes of some shapes around the middle of each place of some features, as parts of the image.

    Args:
        aspect_ratios: for each of the features, widths over heights; their inverses, a square and
            a larger square are added.
        min_ratio: side of the first features' square, as a part of the image's.
        max_ratio: side of the last features' square; those in between are spaced evenly.
        scales: the sides themselves, and one more for the last features' larger square.
        steps: for each of the features, pixels from one place to the next; by default what their
            sizes say.
        clip: whether to cut widths and heights to the image.

    Reference: Liu et al., 2016, arXiv:1512.02325, section 2.2.
    """

    def __init__(
        self,
        aspect_ratios: list[list[int]],
        min_ratio: float = 0.15,
        max_ratio: float = 0.9,
        scales: list[float] | None = None,
        steps: list[int] | None = None,
        clip: bool = True,
    ) -> None:
        super().__init__()
        if steps is not None and len(aspect_ratios) != len(steps):
            raise ValueError("aspect_ratios and steps should have the same length")
        self.aspect_ratios, self.steps, self.clip = aspect_ratios, steps, clip
        count = len(aspect_ratios)
        if scales is None:
            scales = [min_ratio]
            if count > 1:
                growth = (max_ratio - min_ratio) / (count - 1)
                scales = [min_ratio + growth * k for k in range(count)] + [1.0]
        self.scales = scales
        self._wh_pairs = self._generate_wh_pairs(count)

    def _generate_wh_pairs(
        self, num_outputs: int, dtype: Any = FLOAT32, device: Any = "cpu"
    ) -> list[Tensor]:
        """Widths and heights for each of the features. Shape: ``(boxes, 2)``."""
        found = []
        for k in range(num_outputs):
            side = self.scales[k]
            larger = (side * self.scales[k + 1]) ** 0.5
            pairs = [[side, side], [larger, larger]]
            for ratio in self.aspect_ratios[k]:
                long, short = side * ratio**0.5, side / ratio**0.5
                pairs += [[long, short], [short, long]]
            found.append(T.as_tensor(pairs, dtype=dtype, device=device))
        return found

    def num_anchors_per_location(self) -> list[int]:
        """For each of the features, how many boxes a place has."""
        return [2 + 2 * len(ratios) for ratios in self.aspect_ratios]

    def _grid_default_boxes(
        self, grid_sizes: list[Any], image_size: Any, dtype: Any = FLOAT32
    ) -> Tensor:
        """Centres and sizes as parts of the image, of all features' boxes. Shape: ``(N, 4)``."""
        found = []
        for k, (rows, columns) in enumerate(grid_sizes):
            if self.steps is not None:
                rows, columns = (side / self.steps[k] for side in image_size)
            y = (T.arange(grid_sizes[k][0]) + 0.5).to(dtype) / rows
            x = (T.arange(grid_sizes[k][1]) + 0.5).to(dtype) / columns
            y, x = (part.flatten() for part in T.meshgrid(y, x, indexing="ij"))
            sizes = self._wh_pairs[k].clamp(0, 1) if self.clip else self._wh_pairs[k]
            centres = T.stack([x, y], 1).repeat_interleave(len(sizes), 0)
            found.append(T.cat([centres, sizes.repeat(len(x), 1)], 1))
        return T.cat(found)

    def __repr__(self) -> str:
        names = ("aspect_ratios", "clip", "scales", "steps")
        return f"{type(self).__name__}({', '.join(f'{n}={getattr(self, n)}' for n in names)})"

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        grids = [tuple(feature.shape[-2:]) for feature in feature_maps]
        height, width = image_list.tensors.shape[-2:]
        like = feature_maps[0]
        boxes = self._grid_default_boxes(grids, (height, width), like.dtype).to(like.device)
        corners = T.cat([boxes[:, :2] - 0.5 * boxes[:, 2:], boxes[:, :2] + 0.5 * boxes[:, 2:]], 1)
        corners = corners * T.as_tensor([width, height] * 2, dtype=like.dtype, device=like.device)
        return [corners.clone() for _ in image_list.image_sizes]
