"""Transforms that change the size: scaling, cutting out, padding."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

from rushlight import dtypes, tensor_api as rl
from rushlight.nn import Module
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms.containers import integer, uniform
from rushlight.vision.transforms.functional import InterpolationMode, get_dimensions

FLOAT32 = dtypes.by_name["float32"]


def pair(size: Any, message: str = "Please provide only two dimensions (h, w) for size.") -> Any:
    """(height, width)."""
    if isinstance(size, numbers.Number):
        return int(size), int(size)  # type: ignore[call-overload]
    if len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(message)
    return size


class Resize(Module):
    """Scales to ``size``.

    Args:
        size: (height, width); or one number for the shorter side, the other in proportion.
        interpolation: how new pixels get their values.
        max_size: with one number, a limit of the longer side.
        antialias: when shrinking a tensor, average over all old pixels.

    Example:
        >>> from rushlight.vision import transforms
        >>> transforms.Resize((8, 6))(torch.rand(3, 32, 32)).shape
        torch.Size([3, 8, 6])
    """

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        if isinstance(size, Sequence) and len(size) not in (1, 2):
            raise ValueError("If size is a sequence, it should have 1 or 2 values")
        self.size = size
        self.max_size = max_size
        self.interpolation = F.interpolation_mode(interpolation)
        self.antialias = antialias

    def forward(self, img: Any) -> Any:
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def __repr__(self) -> str:
        return (
            f"Resize(size={self.size}, interpolation={self.interpolation.value}, "
            f"max_size={self.max_size}, antialias={self.antialias})"
        )


class CenterCrop(Module):
    """The middle part; 0 where the image is smaller.

    Args:
        size: (height, width), or one number for both.

    Example:
        >>> from rushlight.vision import transforms
        >>> transforms.CenterCrop(2)(torch.arange(16).reshape(1, 4, 4))
        tensor([[[ 5,  6],
                 [ 9, 10]]])
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        super().__init__()
        self.size = pair(size)

    def forward(self, img: Any) -> Any:
        return F.center_crop(img, self.size)

    def __repr__(self) -> str:
        return f"CenterCrop(size={self.size})"


class Pad(Module):
    """Adds pixels around the image.

    Args:
        padding: pixels on every side; or (left and right, top and bottom); or (left, top, right,
            bottom).
        fill: value of the new pixels, for "constant".
        padding_mode: "constant", "edge", "reflect" or "symmetric".

    Example:
        >>> from rushlight.vision import transforms
        >>> transforms.Pad(1)(torch.ones(1, 1, 1))
        tensor([[[0., 0., 0.],
                 [0., 1., 0.],
                 [0., 0., 0.]]])
    """

    def __init__(
        self, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant"
    ) -> None:
        super().__init__()
        F.four_sides(padding)
        _check_padding_mode(padding_mode)
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode

    def forward(self, img: Any) -> Any:
        return F.pad(img, self.padding, self.fill, self.padding_mode)

    def __repr__(self) -> str:
        return f"Pad(padding={self.padding}, fill={self.fill}, padding_mode={self.padding_mode})"


def _check_padding_mode(mode: str) -> None:
    if mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError(
            f"Padding mode should be either constant, edge, reflect or symmetric, but got {mode!r}"
        )


class RandomCrop(Module):
    """A part at a random place.

    Args:
        size: (height, width), or one number for both.
        padding: pixels added around the image first, as for ``Pad``.
        pad_if_needed: add as many as a small image lacks.
        fill: value of added pixels, for "constant".
        padding_mode: "constant", "edge", "reflect" or "symmetric".

    Example:
        >>> from rushlight.vision import transforms
        >>> transforms.RandomCrop(32, padding=4)(torch.rand(3, 32, 32)).shape
        torch.Size([3, 32, 32])
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = tuple(pair(size))
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    @staticmethod
    def get_params(img: Any, output_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Random (top, left, height, width)."""
        _, height, width = get_dimensions(img)
        new_height, new_width = output_size
        if height < new_height or width < new_width:
            raise ValueError(
                f"Required crop size {(new_height, new_width)} is larger than input image size "
                f"{(height, width)}"
            )
        if (height, width) == (new_height, new_width):
            return 0, 0, height, width
        top = integer(0, height - new_height + 1)
        left = integer(0, width - new_width + 1)
        return top, left, new_height, new_width

    def forward(self, img: Any) -> Any:
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        _, height, width = get_dimensions(img)
        if self.pad_if_needed and width < self.size[1]:
            img = F.pad(img, [self.size[1] - width, 0], self.fill, self.padding_mode)
        if self.pad_if_needed and height < self.size[0]:
            img = F.pad(img, [0, self.size[0] - height], self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))

    def __repr__(self) -> str:
        return f"RandomCrop(size={self.size}, padding={self.padding})"


class RandomResizedCrop(Module):
    """A part of random size and shape, scaled to ``size``.

    Args:
        size: (height, width) of the result, or one number for both.
        scale: range of the part's share of the area.
        ratio: range of its width / height.
        interpolation: how new pixels get their values.
        antialias: as for ``Resize``.

    Example:
        >>> from rushlight.vision import transforms
        >>> transforms.RandomResizedCrop(224)(torch.rand(3, 300, 400)).shape
        torch.Size([3, 224, 224])
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = pair(size)
        if not isinstance(scale, Sequence) or not isinstance(ratio, Sequence):
            raise TypeError(
                "Scale should be a sequence"
                if not isinstance(scale, Sequence)
                else "Ratio should be a sequence"
            )
        self.scale = scale
        self.ratio = ratio
        self.interpolation = F.interpolation_mode(interpolation)
        self.antialias = antialias

    @staticmethod
    def get_params(
        img: Any, scale: Sequence[float], ratio: Sequence[float]
    ) -> tuple[int, int, int, int]:
        """Random (top, left, height, width); after ten parts that do not fit, one in the middle."""
        _, height, width = get_dimensions(img)
        low, high = rl.log(rl.tensor(list(ratio))).tolist()
        for _ in range(10):
            area = height * width * uniform(scale[0], scale[1])
            shape = float(rl.exp(rl.empty(1).uniform_(low, high)).item())
            w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if 0 < w <= width and 0 < h <= height:
                return integer(0, height - h + 1), integer(0, width - w + 1), h, w
        w, h = width, height
        if width / height < min(ratio):
            h = round(w / min(ratio))
        elif width / height > max(ratio):
            w = round(h * max(ratio))
        return (height - h) // 2, (width - w) // 2, h, w

    def forward(self, img: Any) -> Any:
        part = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *part, self.size, self.interpolation, self.antialias)

    def __repr__(self) -> str:
        scale = tuple(round(s, 4) for s in self.scale)
        ratio = tuple(round(r, 4) for r in self.ratio)
        return (
            f"RandomResizedCrop(size={self.size}, scale={scale}, ratio={ratio}, "
            f"interpolation={self.interpolation.value}, antialias={self.antialias})"
        )


class FiveCrop(Module):
    """The four corners and the middle, as a tuple.

    Args:
        size: (height, width), or one number for both.

    Example:
        >>> from rushlight.vision import transforms
        >>> len(transforms.FiveCrop(2)(torch.rand(3, 4, 4)))
        5
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        super().__init__()
        self.size = pair(size)

    def forward(self, img: Any) -> tuple[Any, ...]:
        return F.five_crop(img, self.size)

    def __repr__(self) -> str:
        return f"FiveCrop(size={self.size})"


class TenCrop(Module):
    """``FiveCrop`` of the image and of its mirror image.

    Args:
        size: (height, width), or one number for both.
        vertical_flip: mirror top to bottom instead.

    Example:
        >>> from rushlight.vision import transforms
        >>> len(transforms.TenCrop(2)(torch.rand(3, 4, 4)))
        10
    """

    def __init__(self, size: int | Sequence[int], vertical_flip: bool = False) -> None:
        super().__init__()
        self.size = pair(size)
        self.vertical_flip = vertical_flip

    def forward(self, img: Any) -> tuple[Any, ...]:
        return F.ten_crop(img, self.size, self.vertical_flip)

    def __repr__(self) -> str:
        return f"TenCrop(size={self.size}, vertical_flip={self.vertical_flip})"
