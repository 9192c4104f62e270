"""Pictures for TensorBoard: any layout to rows of RGB pixels, and those to PNG."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from rushlight.core.tensor import Tensor
from rushlight.dtypes import bfloat16


def to_numpy(x: Any) -> Any:
    """A tensor, array or number as an array.

    Raises:
        NotImplementedError: anything else. Programs that log whatever they have pass over it.
    """
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        return (x.float() if x._array.dtype == bfloat16 else x).numpy()
    if isinstance(x, np.ndarray) or np.isscalar(x):
        return np.asarray(x)
    raise NotImplementedError(
        f"expected a tensor, NumPy array or number, but got {type(x).__name__}; "
        "make it one with torch.tensor(x)."
    )


def to_pixels(image: Any, dataformats: str) -> Any:
    """(height, width, channels) from any order of the letters N, C, H and W; several images become
    a grid.
    """
    image, letters = to_numpy(image), dataformats.upper()
    if len(set(letters)) != len(letters) or len(letters) != image.ndim:
        raise AssertionError(
            f"dataformats {dataformats!r} does not describe a tensor of shape {image.shape}."
        )
    if letters == "HW":
        return np.repeat(image[:, :, None], 3, 2)
    if "N" in letters:
        return grid(image.transpose([letters.index(c) for c in "NHWC"]))
    pixels = image.transpose([letters.index(c) for c in "HWC"])
    return np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels


def grid(images: Any, columns: int = 8) -> Any:
    """Images (N, H, W, C) side by side, black where none is left."""
    n, h, w, c = images.shape
    images = np.repeat(images, 3, 3) if c == 1 else images
    columns = min(n, columns)
    rows = -(-n // columns)
    out = np.zeros((h * rows, w * columns, images.shape[3]), images.dtype)
    for i in range(n):
        y, x = divmod(i, columns)
        out[y * h : (y + 1) * h, x * w : (x + 1) * w] = images[i]
    return out


def to_bytes(pixels: Any) -> Any:
    """uint8: integers as they are, floats from [0, 1] scaled by 255."""
    scale = 1 if pixels.dtype == np.uint8 else 255
    return np.clip(pixels.astype(np.float32) * scale, 0, 255).astype(np.uint8)


def png(pixels: Any) -> bytes:
    """A PNG file with uint8 pixels (H, W, C); C is 1, 3 or 4.

    Reference: W3C "Portable Network Graphics", sections 5, 11.2.
    """
    h, w, c = pixels.shape
    if c not in (1, 3, 4):
        raise ValueError(f"an image must have 1, 3 or 4 channels, but has {c}.")
    head = struct.pack(">IIBBBBB", w, h, 8, {1: 0, 3: 2, 4: 6}[c], 0, 0, 0)
    rows = np.concatenate([np.zeros((h, 1), np.uint8), pixels.reshape(h, w * c)], 1)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows.tobytes()))
        + chunk(b"IEND", b"")
    )


def chunk(name: bytes, data: bytes) -> bytes:
    """Length, name, data, checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def draw_boxes(pixels: Any, boxes: Any) -> Any:
    """Red outlines of boxes (xmin, ymin, xmax, ymax)."""
    out = pixels.copy()
    for x0, y0, x1, y1 in boxes.astype(int):
        x0, x1 = max(x0, 0), min(x1, out.shape[1] - 1)
        y0, y1 = max(y0, 0), min(y1, out.shape[0] - 1)
        for part in (out[y0, x0 : x1 + 1], out[y1, x0 : x1 + 1]):
            part[:] = (255, 0, 0)
        for part in (out[y0 : y1 + 1, x0], out[y0 : y1 + 1, x1]):
            part[:] = (255, 0, 0)
    return out


def figure_pixels(figure: Any, close: bool = True) -> Any:
    """What a Matplotlib figure shows, (H, W, 3)."""
    from matplotlib import pyplot
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
    if close:
        pyplot.close(figure)
    return pixels
