"""Boxes, masks and points drawn into images. Needs Pillow, except for masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight import dtypes, tensor_api as rl
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user
from rushlight.vision.images import pillow
from rushlight.vision.transforms.functional import pil_to_tensor, to_pil_image

__all__ = ["draw_bounding_boxes", "draw_keypoints", "draw_segmentation_masks"]

UINT8, BOOL = dtypes.by_name["uint8"], dtypes.by_name["bool"]
PALETTE = (2**25 - 1, 2**15 - 1, 2**21 - 1)  # multiples of it are far apart, modulo 255


def _checked(name: str, image: Any) -> Tensor:
    if not isinstance(image, Tensor):
        raise TypeError(f"{name}: image is {type(image)}; it should be a tensor.")
    if not (image.dtype is UINT8 or image.is_floating_point()):
        raise ValueError(
            f"{name}: image is {image.dtype}; it should be uint8, or floats in [0, 1]."
        )
    if image.dim() != 3:
        raise ValueError(
            f"{name}: image is {tuple(image.shape)}; it should be one image, (C, H, W)."
        )
    return image


def _chosen(name: str, colors: Any, count: int) -> list[Any]:
    """A color, name or (R, G, B), for each of ``count`` objects."""
    if colors is None:
        return [tuple(i * c % 255 for c in PALETTE) for i in range(count)]
    if not isinstance(colors, list):
        return [colors] * count
    if len(colors) < count:
        raise ValueError(f"{name}: there are {len(colors)} colors for {count} objects; give more.")
    return colors[:count]


def _numbers(color: Any) -> tuple[int, ...]:
    if not isinstance(color, str):
        return tuple(color)
    from PIL import ImageColor

    return ImageColor.getrgb(color)[:3]


def _canvas(name: str, image: Tensor) -> Any:
    """The image for Pillow to draw in."""
    if pillow() is None:
        raise ImportError(f"{name} needs Pillow: pip install Pillow")
    if image.size(0) == 1:
        image = rl.tile(image, (3, 1, 1))
    if image.size(0) != 3:
        raise ValueError(f"{name}: image has {image.size(0)} channels; it should have 1 or 3.")
    return to_pil_image(image)


def _as_before(picture: Any, image: Tensor) -> Tensor:
    out = pil_to_tensor(picture)
    return out.to(image.dtype).div(255) if image.is_floating_point() else out


@no_grad()
def draw_bounding_boxes(
    image: Tensor,
    boxes: Tensor,
    labels: list[str | None] | None = None,
    colors: Any = None,
    fill: bool | None = False,
    width: int = 1,
    font: str | None = None,
    font_size: int | None = None,
    label_colors: Any = None,
    label_background_colors: Any = None,
    fill_labels: bool = False,
) -> Tensor:
    """The image with rectangles around objects.

    Args:
        image: (1 or 3, H, W), uint8 or floats in [0, 1].
        boxes: (N, 4), corners ``x1, y1, x2, y2`` in pixels.
        labels: words at the upper left corners, None for none.
        colors: of the rectangles: a name or (R, G, B), or a list of them; default all different.
        fill: color the inside too, let through some of the image.
        width: of the lines, in pixels.
        font: name of a TrueType file; default Pillow's own font.
        font_size: in points; default 10.
        label_colors: of the words; default those of the rectangles.
        label_background_colors: behind the words.
        fill_labels: color behind the words like the rectangles.

    Returns:
        Tensor (3, H, W).
    """
    name, count = "draw_bounding_boxes", len(boxes)
    image = _checked(name, image)
    if bool((boxes[:, 0] > boxes[:, 2]).any()) or bool((boxes[:, 1] > boxes[:, 3]).any()):
        raise ValueError(
            f"{name}: a box ends before it begins; boxes are x1, y1, x2, y2. See ops.box_convert."
        )
    if labels is not None and len(labels) != count:
        raise ValueError(f"{name}: there are {len(labels)} labels for {count} boxes.")
    picture = _canvas(name, image)
    if not count:
        warn_user(f"{name}: there are no boxes; the image stays as it is.")
        return image
    from PIL import ImageDraw, ImageFont

    draw = ImageDraw.Draw(picture, "RGBA" if fill else None)
    letters: Any = ImageFont.truetype(font, font_size or 10) if font else ImageFont.load_default()
    edges = _chosen(name, colors, count)
    words = edges if label_colors is None else _chosen(name, label_colors, count)
    behind: list[Any] = [None] * count
    if label_background_colors is not None:
        behind = _chosen(name, label_background_colors, count)
    elif fill_labels:
        behind = edges
    for i, box in enumerate(boxes.to(dtypes.by_name["int64"]).tolist()):
        inside = (*_numbers(edges[i]), 100) if fill else None
        draw.rectangle(box, width=width, outline=edges[i], fill=inside)
        label = None if labels is None else labels[i]
        if label is not None:
            x, y = box[0] + width + 1, box[1] + width + 1
            if behind[i] is not None:
                left, top, right, bottom = draw.textbbox((x, y), label, font=letters)
                draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), fill=behind[i])
            draw.text((x, y), label, fill=words[i], font=letters)
    return _as_before(picture, image)


@no_grad()
def draw_segmentation_masks(
    image: Tensor, masks: Tensor, alpha: float = 0.8, colors: Any = None
) -> Tensor:
    """The image with colored regions; black where they overlap.

    Args:
        image: (3, H, W), uint8 or floats in [0, 1].
        masks: bool (H, W) or (N, H, W).
        alpha: share of the color, in [0, 1].
        colors: of the regions: a name or (R, G, B), or a list of them; default all different.

    Returns:
        Tensor (3, H, W).
    """
    name = "draw_segmentation_masks"
    image = _checked(name, image)
    if image.size(0) != 3:
        raise ValueError(f"{name}: image has {image.size(0)} channels; it should have 3.")
    masks = masks[None] if masks.dim() == 2 else masks
    if masks.dim() != 3 or masks.dtype is not BOOL:
        raise ValueError(
            f"{name}: masks are {masks.dtype} {tuple(masks.shape)}; they should be bool (N, H, W)."
        )
    if masks.shape[-2:] != image.shape[-2:]:
        raise ValueError(
            f"{name}: masks are {tuple(masks.shape[-2:])}, the image is {tuple(image.shape[-2:])}; "
            "they should be of one size."
        )
    if not masks.any():
        warn_user(f"{name}: masks are empty; the image stays as it is.")
        return image
    drawn = image.clone()
    for mask, color in zip(masks, _chosen(name, colors, len(masks)), strict=True):
        values = rl.tensor(_numbers(color), dtype=UINT8)
        values = values.to(image.dtype) / 255 if image.is_floating_point() else values
        drawn[:, mask] = values[:, None]
    drawn[:, masks.sum(0) > 1] = 0
    return (image * (1 - alpha) + drawn * alpha).to(image.dtype)


@no_grad()
def draw_keypoints(
    image: Tensor,
    keypoints: Tensor,
    connectivity: Sequence[tuple[int, int]] | None = None,
    colors: Any = None,
    radius: int = 2,
    width: int = 3,
    visibility: Tensor | None = None,
) -> Tensor:
    """The image with discs at points, and lines between some.

    Args:
        image: (3, H, W), uint8 or floats in [0, 1].
        keypoints: (N, K, 2), ``x, y`` of K points of N objects.
        connectivity: pairs of points that a line joins.
        colors: of the discs, a name or (R, G, B); default black.
        radius: of the discs, in pixels.
        width: of the lines, in pixels.
        visibility: bool (N, K), False for points that are left out.

    Returns:
        Tensor (3, H, W).
    """
    name = "draw_keypoints"
    image = _checked(name, image)
    if keypoints.dim() != 3 or keypoints.size(-1) != 2:
        raise ValueError(
            f"{name}: keypoints are {tuple(keypoints.shape)}; they should be (N, K, 2)."
        )
    shown = rl.ones(keypoints.shape[:-1]) if visibility is None else visibility
    shown = shown.reshape(keypoints.shape[:-1]).to(BOOL)
    picture = _canvas(name, image)
    from PIL import ImageDraw

    draw = ImageDraw.Draw(picture)
    points = keypoints.to(dtypes.by_name["int64"]).tolist()
    for one, seen in zip(points, shown.tolist(), strict=True):
        for (x, y), visible in zip(one, seen, strict=True):
            if visible:
                corners = (x - radius, y - radius, x + radius, y + radius)
                draw.ellipse(corners, fill=colors, outline=None, width=0)
        for start, end in connectivity or ():
            if seen[start] and seen[end]:
                draw.line((*one[start], *one[end]), width=width)
    return _as_before(picture, image)
