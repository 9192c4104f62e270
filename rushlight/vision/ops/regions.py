"""Pooling of the regions of images that boxes show."""

from __future__ import annotations

import math
from typing import Any

from rushlight import nn, tensor_api as T
from rushlight.core.tensor import Tensor

__all__ = ["RoIAlign", "RoIPool", "roi_align", "roi_pool"]


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


def _rows(function: str, boxes: Any) -> Tensor:
    """Regions as rows: the number of an image, and two corners."""
    if isinstance(boxes, Tensor):
        if boxes.dim() == 2 and boxes.shape[1] == 5:
            return boxes
        found = tuple(boxes.shape)
    else:
        if all(part.dim() == 2 and part.shape[1] == 4 for part in boxes):
            numbers = [T.full_like(part[:, :1], n) for n, part in enumerate(boxes)]
            return T.cat([T.cat(numbers), T.cat(list(boxes))], 1)
        found = [tuple(part.shape) for part in boxes]
    raise ValueError(
        f"{function}: boxes must be (K, 5), the number of an image and corners, or a list of "
        f"(L, 4) tensors, but are {found}."
    )


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
    rows = _rows("roi_pool", boxes)
    found = []
    for n, *corners in rows.tolist():
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


# Note [Samples of regions]
# Each part of a region is the mean of a grid of samples, which are read between pixels. The grid
# of a region is the product of rows and columns, so its samples are kept as those: K lists of y
# and K lists of x.
def _between(images: Tensor, n: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Samples of image ``n[k]`` at all of ``y[k]`` times ``x[k]``; zero more than a pixel outside.

    Shape: images (N, C, H, W), n (K), y (K, P), x (K, Q) -> ``(K, C, P, Q)``.
    """
    height, width = images.shape[2:]
    sides = []
    for place, size in ((y, height), (x, width)):
        inside = ((place >= -1) & (place <= size)).to(images.dtype)
        place = place.clamp(0, size - 1)
        low = place.detach().floor()
        share = place - low
        index = low.long()
        sides.append(
            [(index, (1 - share) * inside), ((index + 1).clamp(max=size - 1), share * inside)]
        )
    flat = images.permute(0, 2, 3, 1).flatten(0, 2)  # (N H W, C)
    first = (n.long() * height).view(-1, 1, 1)
    total = None
    for row, by_row in sides[0]:
        for column, by_column in sides[1]:
            index = (first + row.unsqueeze(2)) * width + column.unsqueeze(1)  # (K, P, Q)
            share = by_row.unsqueeze(2) * by_column.unsqueeze(1)
            part = flat[index] * share.unsqueeze(3)
            total = part if total is None else total + part
    assert total is not None
    return total.permute(0, 3, 1, 2)


def _aligned(images: Tensor, n: Tensor, start: Tensor, size: Tensor, parts: Any, grid: Any) -> Any:
    """Means of ``grid`` samples in each of ``parts`` of regions; all pairs are (rows, columns)."""
    places = []
    for i in (0, 1):
        steps = (T.arange(parts[i] * grid[i], device=images.device) + 0.5) / grid[i]
        places.append(start[:, i : i + 1] + size[:, i : i + 1] / parts[i] * steps.to(start.dtype))
    samples = _between(images, n, *places)
    shape = (len(n), images.shape[1], parts[0], grid[0], parts[1], grid[1])
    return samples.reshape(shape).mean((3, 5))


def roi_align(
    input: Tensor,
    boxes: Any,
    output_size: Any,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Tensor:
    """Means of samples of each part of regions, which fall into as many parts each.

    Args:
        input: images, (N, C, H, W).
        boxes: (K, 5), each the number of an image and two corners, or for each image a tensor of
            corners (L, 4).
        output_size: rows and columns of parts.
        spatial_scale: by which corners are multiplied to be pixels of the input.
        sampling_ratio: samples along each side of a part; 0 and less choose one per pixel.
        aligned: whether pixels have their centres at halves, as they should.

    Shape: -> ``(K, C, *output_size)``.

    Example:
        >>> import rushlight as torch
        >>> x = torch.arange(16.0).view(1, 1, 4, 4)
        >>> roi_align(x, [torch.tensor([[0.0, 0, 4, 4]])], 2, aligned=True)
        tensor([[[[ 2.5000,  4.5000],
                  [10.5000, 12.5000]]]])

    Reference: He et al., 2017, arXiv:1703.06870.
    """
    parts, rows = _pair(output_size), _rows("roi_align", boxes)
    corners = rows[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)
    start, end = corners[:, [1, 0]], corners[:, [3, 2]]
    size = end - start if aligned else (end - start).clamp(min=1)
    if sampling_ratio > 0:
        grid = (sampling_ratio, sampling_ratio)
        return _aligned(input, rows[:, 0], start, size, parts, grid)  # type: ignore[no-any-return]
    pixels = (size.detach() / T.tensor(parts, dtype=size.dtype, device=size.device)).ceil()
    grids, which = T.unique(pixels.clamp(min=1).long(), dim=0, return_inverse=True)
    chosen = [T.where(which == i)[0] for i in range(len(grids))]
    if not chosen:
        return input.new_zeros((0, input.shape[1], *parts))
    found = [
        _aligned(input, rows[k, 0], start[k], size[k], parts, grid)
        for k, grid in zip(chosen, grids.tolist(), strict=True)
    ]
    some = (pixels > 0).all(1).to(input.dtype).view(-1, 1, 1, 1)  # regions of no size are zero
    return T.cat(found)[T.cat(chosen).argsort()] * some


class RoIAlign(nn.Module):
    """Layer of `roi_align`."""

    def __init__(
        self, output_size: Any, spatial_scale: float, sampling_ratio: int, aligned: bool = False
    ) -> None:
        super().__init__()
        self.output_size, self.spatial_scale = output_size, spatial_scale
        self.sampling_ratio, self.aligned = sampling_ratio, aligned

    def forward(self, input: Tensor, rois: Any) -> Tensor:
        """Pool the regions ``rois`` of the images."""
        return roi_align(
            input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned
        )

    def __repr__(self) -> str:
        names = ("output_size", "spatial_scale", "sampling_ratio", "aligned")
        return f"{type(self).__name__}({', '.join(f'{n}={getattr(self, n)}' for n in names)})"
