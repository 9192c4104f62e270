"""Transforms that move pixels or overwrite them: flips, turns, affine maps, erasing."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

from rushlight import dtypes, tensor_api as rl
from rushlight.core.tensor import Tensor
from rushlight.nn import Module
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms.containers import chance, integer, uniform
from rushlight.vision.transforms.functional import InterpolationMode, get_dimensions

FLOAT32 = dtypes.by_name["float32"]


class RandomHorizontalFlip(Module):
    """The mirror image with probability ``p``.

    Example:
        >>> from rushlight.vision import transforms
        >>> transforms.RandomHorizontalFlip(p=1.0)(torch.tensor([[[1, 2, 3]]]))
        tensor([[[3, 2, 1]]])
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        return F.hflip(img) if chance() < self.p else img

    def __repr__(self) -> str:
        return f"RandomHorizontalFlip(p={self.p})"


class RandomVerticalFlip(Module):
    """Upside down with probability ``p``.

    Example:
        >>> from rushlight.vision import transforms
        >>> transforms.RandomVerticalFlip(p=1.0)(torch.tensor([[[1], [2]]]))
        tensor([[[2],
                 [1]]])
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        return F.vflip(img) if chance() < self.p else img

    def __repr__(self) -> str:
        return f"RandomVerticalFlip(p={self.p})"


def symmetric_range(value: Any, name: str) -> list[float]:
    """(-v, v) from one number v >= 0, or a range as given."""
    if isinstance(value, numbers.Number):
        if value < 0:  # type: ignore[operator]
            raise ValueError(f"If {name} is a single number, it must be positive.")
        return [-float(value), float(value)]  # type: ignore[arg-type]
    if not isinstance(value, Sequence):
        raise TypeError(f"{name} should be a sequence of length 2.")
    if len(value) != 2:
        raise ValueError(f"{name} should be a sequence of length 2.")
    return [float(v) for v in value]


class RandomRotation(Module):
    """Turns by a random angle.

    Args:
        degrees: range of the angle; one number d means (-d, d).
        interpolation: NEAREST or BILINEAR.
        expand: make the result large enough for all of the image.
        center: point (x, y) that stays; default the middle.
        fill: value of what lay outside.

    Example:
        >>> from rushlight.vision import transforms
        >>> transforms.RandomRotation(10)(torch.rand(3, 8, 8)).shape
        torch.Size([3, 8, 8])
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: InterpolationMode = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.degrees = symmetric_range(degrees, "degrees")
        self.interpolation = F.interpolation_mode(interpolation)
        self.expand = expand
        self.center = center
        self.fill = fill

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        return uniform(float(degrees[0]), float(degrees[1]))

    def forward(self, img: Any) -> Any:
        angle = self.get_params(self.degrees)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, self.fill)

    def __repr__(self) -> str:
        centre = "" if self.center is None else f", center={self.center}"
        return (
            f"RandomRotation(degrees={self.degrees}, interpolation={self.interpolation.value}, "
            f"expand={self.expand}{centre}, fill={self.fill})"
        )


class RandomAffine(Module):
    """Turns, moves, scales and shears by random amounts.

    Args:
        degrees: range of the angle; one number d means (-d, d).
        translate: largest move to the side and up or down, as shares of width and height.
        scale: range of the factor.
        shear: range of degrees along x, or two ranges (x low, x high, y low, y high).
        interpolation: NEAREST or BILINEAR.
        fill: value of what lay outside.
        center: point (x, y) that stays; default the middle.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: InterpolationMode = InterpolationMode.NEAREST,
        fill: Any = 0,
        center: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.degrees = symmetric_range(degrees, "degrees")
        if translate is not None and not all(0.0 <= t <= 1.0 for t in translate):
            raise ValueError(f"translation values should be between 0 and 1, but got {translate}")
        if scale is not None and min(scale) <= 0:
            raise ValueError(f"scale values should be positive, but got {scale}")
        self.translate = translate
        self.scale = scale
        if shear is None or isinstance(shear, numbers.Number) or len(shear) == 2:  # type: ignore[arg-type]
            self.shear = None if shear is None else symmetric_range(shear, "shear")
        else:
            self.shear = [float(s) for s in shear]  # type: ignore[union-attr]
        self.interpolation = F.interpolation_mode(interpolation)
        self.fill = fill
        self.center = center

    @staticmethod
    def get_params(
        degrees: Sequence[float],
        translate: Sequence[float] | None,
        scale_ranges: Sequence[float] | None,
        shears: Sequence[float] | None,
        img_size: Sequence[int],
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """Random (angle, (right, down), scale, (shear along x, along y)); img_size is (width,
        height).
        """
        angle = uniform(float(degrees[0]), float(degrees[1]))
        move = (0, 0)
        if translate is not None:
            most = [float(share * size) for share, size in zip(translate, img_size, strict=True)]
            move = (round(uniform(-most[0], most[0])), round(uniform(-most[1], most[1])))
        scale = 1.0 if scale_ranges is None else uniform(scale_ranges[0], scale_ranges[1])
        along_x = along_y = 0.0
        if shears is not None:
            along_x = uniform(shears[0], shears[1])
            if len(shears) == 4:
                along_y = uniform(shears[2], shears[3])
        return angle, move, scale, (along_x, along_y)

    def forward(self, img: Any) -> Any:
        _, height, width = get_dimensions(img)
        params = self.get_params(
            self.degrees, self.translate, self.scale, self.shear, [width, height]
        )
        return F.affine(img, *params, self.interpolation, self.fill, self.center)

    def __repr__(self) -> str:
        parts = [f"degrees={self.degrees}"]
        for name in ("translate", "scale", "shear"):
            if getattr(self, name) is not None:
                parts.append(f"{name}={getattr(self, name)}")
        if self.interpolation is not InterpolationMode.NEAREST:
            parts.append(f"interpolation={self.interpolation.value}")
        if self.fill != 0:
            parts.append(f"fill={self.fill}")
        if self.center is not None:
            parts.append(f"center={self.center}")
        return f"RandomAffine({', '.join(parts)})"


class RandomErasing(Module):
    """Overwrites a random rectangle of a tensor with probability ``p``.

    Args:
        p: in [0, 1].
        scale: range of the rectangle's share of the area.
        ratio: range of its height / width.
        value: a number, one number per channel, or "random" for noise.
        inplace: change the tensor itself.

    Example:
        >>> from rushlight.vision import transforms
        >>> transforms.RandomErasing(p=1.0)(torch.ones(3, 32, 32)).min()
        tensor(0.)

    Reference: Zhong and others, 2017, arXiv:1708.04896.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(value, numbers.Number | str | tuple | list):
            raise TypeError("Argument value should be either a number or str or a sequence")
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        if scale[0] < 0 or scale[1] > 1:
            raise ValueError("Scale should be between 0 and 1")
        if p < 0 or p > 1:
            raise ValueError("Random erasing probability should be between 0 and 1")
        self.p = p
        self.scale = scale
        self.ratio = ratio
        self.value = value
        self.inplace = inplace

    @staticmethod
    def get_params(
        img: Tensor,
        scale: Sequence[float],
        ratio: Sequence[float],
        value: Sequence[float] | None = None,
    ) -> tuple[int, int, int, int, Any]:
        """Random (top, left, height, width, what to write); all of the image if nothing fits."""
        channels, height, width = img.shape[-3:]
        low, high = rl.log(rl.tensor(list(ratio))).tolist()
        for _ in range(10):
            area = height * width * uniform(scale[0], scale[1])
            shape = float(rl.exp(rl.empty(1).uniform_(low, high)).item())
            h, w = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if not (h < height and w < width):
                continue
            if value is None:
                content = rl.empty([channels, h, w], dtype=FLOAT32).normal_()
            else:
                content = rl.tensor(value)[:, None, None]
            return integer(0, height - h + 1), integer(0, width - w + 1), h, w, content
        return 0, 0, height, width, img

    def forward(self, img: Tensor) -> Tensor:
        if chance() >= self.p:
            return img
        value = self.value
        if isinstance(value, numbers.Number):
            value = [float(value)]  # type: ignore[arg-type]
        value = None if isinstance(value, str) else [float(v) for v in value]
        if value is not None and len(value) not in (1, img.shape[-3]):
            raise ValueError(
                "If value is a sequence, it should have either a single value or "
                f"{img.shape[-3]} (number of input channels)"
            )
        return F.erase(img, *self.get_params(img, self.scale, self.ratio, value), self.inplace)

    def __repr__(self) -> str:
        return (
            f"RandomErasing(p={self.p}, scale={self.scale}, ratio={self.ratio}, "
            f"value={self.value}, inplace={self.inplace})"
        )


class RandomPerspective(Module):
    """The image seen from another side, with probability ``p``.

    Args:
        distortion_scale: how far the corners move at most, as a share of half the image, in [0, 1].
        p: probability.
        interpolation: NEAREST or BILINEAR (Pillow: also BICUBIC).
        fill: value of what lay outside.
    """

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: F.InterpolationMode = F.InterpolationMode.BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.p = p
        self.interpolation = F.interpolation_mode(interpolation)
        self.distortion_scale = distortion_scale
        self.fill = 0 if fill is None else fill

    def forward(self, img: Any) -> Any:
        channels, height, width = F.get_dimensions(img)
        if chance() >= self.p:
            return img
        fill = self.fill
        if isinstance(img, Tensor):
            fill = [float(fill)] * channels if isinstance(fill, int | float) else list(fill)
        start, end = self.get_params(width, height, self.distortion_scale)
        return F.perspective(img, start, end, self.interpolation, fill)

    @staticmethod
    def get_params(
        width: int, height: int, distortion_scale: float
    ) -> tuple[list[list[int]], list[list[int]]]:
        """The corners, and where they go."""
        across, down = (int(distortion_scale * (n // 2)) for n in (width, height))
        left, right = (0, across + 1), (width - across - 1, width)
        top, bottom = (0, down + 1), (height - down - 1, height)
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        end = [[integer(*x), integer(*y)] for x, y in corners]
        start = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
        return start, end

    def __repr__(self) -> str:
        return f"RandomPerspective(p={self.p})"


class ElasticTransform(Module):
    """Every pixel moved by smooth random numbers, as through water.

    Args:
        alpha: how far, in pixels: a number, or one for each side.
        sigma: how smooth, in pixels: a number, or one for each side.
        interpolation: NEAREST or BILINEAR.
        fill: value of what lay outside.

    Reference: Simard et al., 2003, "Best practices for convolutional neural networks applied to
    visual document analysis".
    """

    def __init__(
        self,
        alpha: Any = 50.0,
        sigma: Any = 5.0,
        interpolation: F.InterpolationMode = F.InterpolationMode.BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.alpha, self.sigma = both_sides(alpha, "alpha"), both_sides(sigma, "sigma")
        self.interpolation = F.interpolation_mode(interpolation)
        self.given_fill = fill
        self.fill = [float(fill)] if isinstance(fill, int | float) else [float(f) for f in fill]

    @staticmethod
    def get_params(alpha: list[float], sigma: list[float], size: list[int]) -> Tensor:
        """How far pixels move, in halves of the sides: ``(1, H, W, 2)``."""
        moved = []
        for far, smooth, n in zip(alpha, sigma, size[::-1], strict=True):
            d = rl.rand(1, 1, *size) * 2 - 1
            if smooth > 0:
                kernel = int(8 * smooth + 1) // 2 * 2 + 1
                d = F.gaussian_blur(d, [kernel, kernel], sigma)
            moved.append(d * far / n)
        return rl.cat(moved, 1).permute(0, 2, 3, 1)

    def forward(self, img: Any) -> Any:
        size = list(F.get_dimensions(img)[1:])
        displacement = self.get_params(self.alpha, self.sigma, size)
        return F.elastic_transform(img, displacement, self.interpolation, self.fill)

    def __repr__(self) -> str:
        return (
            f"ElasticTransform(alpha={self.alpha}, sigma={self.sigma}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )


def both_sides(value: Any, name: str) -> list[float]:
    """A number for each side of an image, given as one or two."""
    if isinstance(value, int | float):
        return [float(value)] * 2
    if not isinstance(value, list | tuple):
        raise TypeError(f"{name} should be a sequence of floats, but is {type(value).__name__}")
    found = [float(v) for v in value]
    if len(found) not in (1, 2):
        raise ValueError(f"{name} is a sequence its length should be 2, but has {len(found)}")
    return found * (3 - len(found))
