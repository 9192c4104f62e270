"""The transforms on tensors (..., C, H, W). Integers are computed in float and rounded where torch
rounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight import dtypes, tensor_api as rl
from rushlight.core.tensor import Tensor
from rushlight.nn.functional import interpolate
from rushlight.vision.transforms import resample

INT64 = dtypes.by_name["int64"]
UINT8 = dtypes.by_name["uint8"]
FLOAT32 = dtypes.by_name["float32"]
FLOAT64 = dtypes.by_name["float64"]
INT32 = dtypes.by_name["int32"]


def largest(dtype: Any) -> int:
    """The value of white."""
    if dtype.is_floating_point:
        return 1
    return 1 if dtype.numpy == np.bool_ else int(np.iinfo(dtype.numpy).max)


def convert_dtype(image: Tensor, dtype: Any) -> Tensor:
    old = image.dtype
    if old == dtype:
        return image
    if old.is_floating_point:
        if dtype.is_floating_point:
            return image.to(dtype)
        if (old == FLOAT32 and dtype in (INT32, INT64)) or dtype == INT64:
            raise RuntimeError(
                f"The cast from {old} to {dtype} cannot be performed safely: the float has fewer "
                "digits than the integer."
            )
        return image.mul(largest(dtype) + 1 - 1e-3).to(dtype)  # equal steps, and 1.0 stays inside
    if dtype.is_floating_point:
        return image.to(dtype) / largest(old)
    if largest(old) > largest(dtype):
        factor = (largest(old) + 1) // (largest(dtype) + 1)
        return image.div(factor, rounding_mode="floor").to(dtype)
    return image.to(dtype) * ((largest(dtype) + 1) // (largest(old) + 1))


def as_float(image: Tensor) -> Tensor:
    return image if image.is_floating_point() else image.to(FLOAT32)


def rounded_to(image: Tensor, dtype: Any) -> Tensor:
    return image if dtype.is_floating_point else image.round().to(dtype)


# ---------------------------------------------------------------- sizes and parts


def resize(
    image: Tensor, height: int, width: int, mode: str, antialias: bool, whole: bool = False
) -> Tensor:
    """``whole``: bytes are computed in whole numbers, as the second generation does."""
    flat = image.reshape(-1, *image.shape[-3:]) if image.dim() > 2 else image[None, None]
    if image.dtype not in (FLOAT32, FLOAT64) and not (whole and image.dtype == UINT8):
        flat = flat.to(FLOAT32)
    blends = not mode.startswith("nearest")
    out = interpolate(
        flat,
        (height, width),
        mode=mode,
        align_corners=False if blends else None,
        antialias=antialias and blends,
    )
    if out.dtype != image.dtype and not image.is_floating_point():
        out = out.round()
        out = out.clamp(0, 255) if image.dtype == UINT8 else out  # cubic weights overshoot
    return out.to(image.dtype).reshape(*image.shape[:-2], height, width)


def resize_pixels(image: Tensor, height: int, width: int, mode: str, antialias: bool) -> Tensor:
    """Bytes of a picture as Pillow resizes them; others as tensors are."""
    if image.dtype != UINT8 or not antialias or mode.startswith("nearest"):
        return resize(image, height, width, mode, antialias)
    return rl.from_numpy(resample.resize_bytes(image.numpy(), height, width, mode))


def take(image: Tensor, rows: np.ndarray, columns: np.ndarray) -> Tensor:
    """The pixels at these rows and columns."""
    return image.index_select(-2, rl.from_numpy(rows)).index_select(-1, rl.from_numpy(columns))


def crop(image: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    old_height, old_width = image.shape[-2:]
    right, bottom = left + width, top + height
    part = image[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if left >= 0 and top >= 0 and right <= old_width and bottom <= old_height:
        return part
    over = max(-left, 0), max(-top, 0)
    beyond = max(right - max(old_width, left), 0), max(bottom - max(old_height, top), 0)
    return pad(part, *over, *beyond, 0, "constant")


def pad(
    image: Tensor, left: int, top: int, right: int, bottom: int, fill: Any, padding_mode: str
) -> Tensor:
    height, width = image.shape[-2:]
    if padding_mode != "constant":
        rows = np.pad(np.arange(height), (top, bottom), mode=padding_mode)  # type: ignore[call-overload]
        columns = np.pad(np.arange(width), (left, right), mode=padding_mode)  # type: ignore[call-overload]
        return take(image, rows, columns)
    shape = (*image.shape[:-2], height + top + bottom, width + left + right)
    out = image.new_zeros(shape)
    if isinstance(fill, list | tuple):  # a value for each channel, or one for all
        out += image.new_tensor(fill).view(-1, 1, 1)
    elif fill:
        out += fill
    out[..., top : top + height, left : left + width] = image
    return out


def hflip(image: Tensor) -> Tensor:
    return image.flip(-1)


def vflip(image: Tensor) -> Tensor:
    return image.flip(-2)


# ---------------------------------------------------------------- geometry


def rotate(image: Tensor, angle: float, mode: str, expand: bool, center: Any, fill: Any) -> Tensor:
    height, width = image.shape[-2:]
    about = [0.0, 0.0]
    if center is not None:
        about = [center[0] - width * 0.5, center[1] - height * 0.5]
    matrix = inverse_affine_matrix(about, -angle, [0.0, 0.0], 1.0, [0.0, 0.0])
    size = _turned_size(matrix, height, width) if expand else (height, width)
    return _sampled(image, matrix, size, mode, fill)


def affine(image: Tensor, matrix: list[float], mode: str, fill: Any) -> Tensor:
    return _sampled(image, matrix, tuple(image.shape[-2:]), mode, fill)


def inverse_affine_matrix(
    center: Sequence[float],
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
) -> list[float]:
    """The first two rows of the map from new to old coordinates.

    Forward: ``T C R S H C^-1`` with the moves T (translate) and C (center), the turn R, the scale
    S and the shear H; this is its inverse, written out.
    """
    turn, slant_x, slant_y = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    a = math.cos(turn - slant_y) / math.cos(slant_y)
    b = -math.cos(turn - slant_y) * math.tan(slant_x) / math.cos(slant_y) - math.sin(turn)
    c = math.sin(turn - slant_y) / math.cos(slant_y)
    d = -math.sin(turn - slant_y) * math.tan(slant_x) / math.cos(slant_y) + math.cos(turn)
    m = [d / scale, -b / scale, 0.0, -c / scale, a / scale, 0.0]
    x, y = -center[0] - translate[0], -center[1] - translate[1]
    m[2] = m[0] * x + m[1] * y + center[0]
    m[5] = m[3] * x + m[4] * y + center[1]
    return m


def _turned_size(matrix: list[float], height: int, width: int) -> tuple[int, int]:
    x, y = width * 0.5, height * 0.5
    corners = np.array([[-x, -y, 1], [-x, y, 1], [x, y, 1], [x, -y, 1]])
    turned = corners @ np.array(matrix).reshape(2, 3).T
    low, high = turned.min(0) + [x, y], turned.max(0) + [x, y]
    # What is a whole number but for rounding is one.
    low, high = (np.trunc(v / 1e-3 + np.copysign(0.5, v)) * 1e-3 for v in (low, high))
    new_width, new_height = np.ceil(high) - np.floor(low)
    return int(new_height), int(new_width)


def _sampled(
    image: Tensor, matrix: list[float], size: tuple[int, int], mode: str, fill: Any
) -> Tensor:
    """New pixel (x, y), from the middle, is the old one at ``matrix @ (x, y, 1)``, from the
    middle.
    """
    height, width = image.shape[-2:]
    y, x = np.meshgrid(*((np.arange(n) + (0.5 - n * 0.5)) for n in size), indexing="ij")
    a, b, c, d, e, f = matrix
    column = a * x + b * y + (c + width * 0.5 - 0.5)
    row = d * x + e * y + (f + height * 0.5 - 0.5)
    return _at(image, row, column, mode, fill)


def perspective(image: Tensor, coefficients: Sequence[float], mode: str, fill: Any) -> Tensor:
    """New pixel (x, y), from the corner, is the old one at ``(a x + b y + c, d x + e y + f)`` over
    ``g x + h y + 1``.
    """
    y, x = np.meshgrid(*(np.arange(n) + 0.5 for n in image.shape[-2:]), indexing="ij")
    a, b, c, d, e, f, g, h = coefficients
    scale = g * x + h * y + 1
    row, column = (d * x + e * y + f) / scale - 0.5, (a * x + b * y + c) / scale - 0.5
    return _at(image, row, column, mode, fill)


def elastic(image: Tensor, displacement: Tensor, mode: str, fill: Any) -> Tensor:
    """New pixel (x, y) is the old one at (x + dx, y + dy), in halves of the image's sides."""
    dx, dy = np.moveaxis(displacement.numpy().reshape(*image.shape[-2:], 2), -1, 0)
    places = []
    for n, moved, axis in ((image.shape[-2], dy, 1), (image.shape[-1], dx, 0)):
        at = np.linspace((1 - n) / n, (n - 1) / n, n, dtype=np.float32)
        grid = (at[:, None] if axis else at) + moved
        places.append(((grid + 1) * n - 1) / 2)
    return _at(image, *places, mode, fill)


def _at(image: Tensor, row: np.ndarray, column: np.ndarray, mode: str, fill: Any) -> Tensor:
    """New pixels that are old ones at fractional places; outside they are ``fill``."""
    if mode not in ("nearest", "bilinear"):
        raise ValueError(
            f"interpolation {mode!r} is not supported for tensors; nearest and bilinear are."
        )
    old = image.numpy().astype(image.numpy().dtype if image.is_floating_point() else np.float32)
    new, inside = (_nearest if mode == "nearest" else _bilinear)(old, row, column)
    if fill is not None:
        colour = np.asarray([fill] if np.isscalar(fill) else fill, old.dtype).reshape(-1, 1, 1)
        if mode == "bilinear":
            new = new * inside  # as torchvision: a second time, beside the zeros outside
        new = new + (1 - inside).astype(old.dtype) * colour
    return rounded_to(rl.from_numpy(np.ascontiguousarray(new, old.dtype)), image.dtype)


def _nearest(old: np.ndarray, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    height, width = old.shape[-2:]
    r, c = np.rint(row.round(5)).astype(int), np.rint(column.round(5)).astype(int)
    inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
    return old[..., r.clip(0, height - 1), c.clip(0, width - 1)] * inside, inside


def _bilinear(
    old: np.ndarray, row: np.ndarray, column: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    height, width = old.shape[-2:]
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    new, inside = 0, 0
    for r, share_r in ((top, top + 1 - row), (top + 1, row - top)):
        for c, share_c in ((left, left + 1 - column), (left + 1, column - left)):
            share = share_r * share_c * ((r >= 0) & (r < height) & (c >= 0) & (c < width))
            new = new + old[..., r.clip(0, height - 1), c.clip(0, width - 1)] * share
            inside = inside + share
    return np.asarray(new), np.asarray(inside)


def gaussian_blur(image: Tensor, sizes: Sequence[int], sigmas: Sequence[float]) -> Tensor:
    out = as_float(image)
    for dim, size, sigma in ((-1, sizes[0], sigmas[0]), (-2, sizes[1], sigmas[1])):
        half = (size - 1) // 2
        curve = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
        length = out.shape[dim]
        index = rl.from_numpy(np.pad(np.arange(length), half, mode="reflect"))
        wide = out.index_select(dim, index)
        parts = (
            wide.narrow(dim, i, length) * float(share)
            for i, share in enumerate(curve / curve.sum())
        )
        out = sum(parts)  # type: ignore[assignment]
    return rounded_to(out, image.dtype)


# ---------------------------------------------------------------- colour


def blend(one: Tensor, other: Any, share: float) -> Tensor:
    mixed = as_float(one) * share + other * (1.0 - share)
    return mixed.clamp(0, largest(one.dtype)).to(one.dtype)


def grayscale(image: Tensor, channels: int) -> Tensor:
    if image.shape[-3] == 1:
        return image.clone()
    r, g, b = image.unbind(-3)
    grey = (0.2989 * r + 0.587 * g + 0.114 * b).to(image.dtype).unsqueeze(-3)
    return grey.expand(image.shape) if channels == 3 else grey


def brightness(image: Tensor, factor: float) -> Tensor:
    return blend(image, 0, factor)


def contrast(image: Tensor, factor: float) -> Tensor:
    grey = as_float(grayscale(image, 1) if image.shape[-3] == 3 else image)
    return blend(image, grey.mean((-3, -2, -1), keepdim=True), factor)


def saturation(image: Tensor, factor: float) -> Tensor:
    return image if image.shape[-3] == 1 else blend(image, grayscale(image, 1), factor)


def hue(image: Tensor, factor: float) -> Tensor:
    if image.shape[-3] == 1:
        return image
    h, s, v = _hsv(convert_dtype(image, FLOAT32))
    return convert_dtype(_rgb((h + factor) % 1.0, s, v), image.dtype)


def _hsv(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r, g, b = image.unbind(-3)
    high, low = image.amax(-3), image.amin(-3)
    spread = high - low
    grey = spread == 0
    saturation = spread / rl.where(grey, rl.ones_like(high), high)
    part = rl.where(grey, rl.ones_like(spread), spread)
    red, green, blue = (high - r) / part, (high - g) / part, (high - b) / part
    sector = rl.where(
        high == r, blue - green, rl.where(high == g, 2.0 + red - blue, 4.0 + green - red)
    )
    return (sector / 6.0 + 1.0) % 1.0, saturation, high


def _rgb(h: Tensor, s: Tensor, v: Tensor) -> Tensor:
    parts = []
    for shift in (5.0, 3.0, 1.0):  # red, green, blue are one curve along h, shifted
        k = (h * 6.0 + shift) % 6.0
        parts.append(v - v * s * rl.minimum(k, 4.0 - k).clamp(0.0, 1.0))
    return rl.stack(parts, -3)


def gamma(image: Tensor, gamma: float, gain: float) -> Tensor:
    value = image if image.is_floating_point() else convert_dtype(image, FLOAT32)
    return convert_dtype((gain * value**gamma).clamp(0, 1), image.dtype)


def invert(image: Tensor) -> Tensor:
    return largest(image.dtype) - image


def solarize(image: Tensor, threshold: float) -> Tensor:
    if threshold > largest(image.dtype):
        raise TypeError(
            f"solarize: threshold is {threshold}; it is at most {largest(image.dtype)} for "
            f"{image.dtype}."
        )
    return rl.where(image >= threshold, invert(image), image)


def posterize(image: Tensor, bits: int) -> Tensor:
    if image.dtype != UINT8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {image.dtype}")
    return image & (256 - (1 << (8 - bits)))


def sharpness(image: Tensor, factor: float) -> Tensor:
    if min(image.shape[-2:]) <= 2:
        return image
    return blend(image, _smoothed(image), factor)


def _smoothed(image: Tensor) -> Tensor:
    """Each inner pixel averaged with its neighbours, itself counting five times."""
    wide = as_float(image)
    height, width = image.shape[-2:]
    total: Any = 0
    for i in range(3):
        for j in range(3):
            part = wide[..., i : height - 2 + i, j : width - 2 + j]
            total = total + part * ((5.0 if i == j == 1 else 1.0) / 13.0)
    out = image.clone()
    out[..., 1:-1, 1:-1] = rounded_to(total, image.dtype)
    return out


def autocontrast(image: Tensor) -> Tensor:
    bound = largest(image.dtype)
    wide = as_float(image)
    low, high = wide.amin((-2, -1), keepdim=True), wide.amax((-2, -1), keepdim=True)
    scale = bound / (high - low)
    flat = ~scale.isfinite()
    low, scale = low.masked_fill(flat, 0.0), scale.masked_fill(flat, 1.0)
    return ((wide - low) * scale).clamp(0, bound).to(image.dtype)


def equalize(image: Tensor) -> Tensor:
    if image.dtype != UINT8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {image.dtype}")
    planes = image.numpy().reshape(-1, *image.shape[-2:])
    return rl.from_numpy(np.stack([_equalized(p) for p in planes]).reshape(image.shape))


def _equalized(plane: np.ndarray) -> np.ndarray:
    """Values spread so that each is as frequent, as far as whole steps allow."""
    counts = np.bincount(plane.reshape(-1), minlength=256)
    step = (plane.size - counts[counts > 0][-1]) // 255
    if step == 0:
        return plane
    below = np.append(0, counts.cumsum()[:-1])
    table = np.where(np.arange(256) > 0, (below + step // 2) // step, 0).clip(0, 255)
    return table.astype(np.uint8)[plane]
