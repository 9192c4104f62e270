"""Looking at images: batches in a grid, and what was found in one."""

from __future__ import annotations

import math
from typing import Any

from rushlight import dtypes, tensor_api as rl
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.vision.drawing import (
    draw_bounding_boxes as draw_bounding_boxes,
    draw_keypoints as draw_keypoints,
    draw_segmentation_masks as draw_segmentation_masks,
)
from rushlight.vision.transforms.functional import to_pil_image

UINT8 = dtypes.by_name["uint8"]


@no_grad()
def make_grid(
    tensor: Tensor | list[Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Images side by side in one image.

    Args:
        tensor: (N, C, H, W), or one image, or a list of images of one size. One channel becomes
            three.
        nrow: images in a row.
        padding: pixels between them.
        normalize: scale values to [0, 1].
        value_range: what becomes 0 and 1; default the least and largest value.
        scale_each: find these for each image.
        pad_value: value of the pixels between.

    Returns:
        Tensor (3, height, width).
    """
    images = _stacked(tensor)
    if normalize:
        images = images.clone()
        for part in images if scale_each else [images]:
            low, high = value_range or (float(part.min()), float(part.max()))
            part.clamp_(low, high).sub_(low).div_(max(high - low, 1e-5))
    count, channels, height, width = images.shape
    if count == 1:
        return images.squeeze(0)
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    step_y, step_x = height + padding, width + padding
    grid = images.new_full(
        (channels, step_y * rows + padding, step_x * columns + padding), pad_value
    )
    for i in range(count):
        y, x = i // columns * step_y + padding, i % columns * step_x + padding
        grid[:, y : y + height, x : x + width] = images[i]
    return grid


def _stacked(tensor: Any) -> Tensor:
    if isinstance(tensor, list):
        tensor = rl.stack(tensor, 0)
    if not isinstance(tensor, Tensor):
        raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
    if tensor.dim() == 2:
        tensor = tensor.unsqueeze(0)
    if tensor.dim() == 3:
        tensor = tensor.unsqueeze(0)
    return rl.cat((tensor, tensor, tensor), 1) if tensor.size(1) == 1 else tensor


@no_grad()
def save_image(
    tensor: Tensor | list[Tensor], fp: Any, format: str | None = None, **kwargs: Any
) -> None:
    """Writes ``make_grid(tensor, **kwargs)`` to an image file. Needs Pillow.

    Args:
        tensor: images, values in [0, 1].
        fp: file name or file.
        format: Pillow's name of the file format; default by the ending.
        kwargs: for ``make_grid``.
    """
    grid = make_grid(tensor, **kwargs)
    bytes_ = grid.mul(255).add(0.5).clamp(0, 255).to(UINT8)
    to_pil_image(bytes_).save(fp, format=format)
