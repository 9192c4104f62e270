"""The transforms on Pillow images. Nothing here runs unless Pillow is installed: the image came
from it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

RESAMPLING = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
RESAMPLING["nearest-exact"] = 0
WIDE = {"I": np.int32, "I;16": np.int16, "F": np.float32}  # modes whose pixels are not bytes


def to_array(image: Any) -> np.ndarray:
    """(H, W) or (H, W, C)."""
    return np.array(image, WIDE[image.mode]) if image.mode in WIDE else np.array(image)


def from_array(array: np.ndarray, mode: str | None) -> Any:
    """(H, W, C) with C <= 4; ``mode`` None chooses by channels and dtype."""
    from PIL import Image

    channels = array.shape[2]
    if channels == 1:
        single = {"uint8": "L", "int16": "I;16", "int32": "I", "float32": "F"}
        expected = single.get(array.dtype.name)
        if mode is not None and mode != expected:
            raise ValueError(
                f"to_pil_image: mode {mode} does not fit {array.dtype}; it should be {expected}"
            )
        if expected is None:
            raise TypeError(f"Input type {array.dtype} is not supported")
        if expected == "I;16":
            array = array.astype(np.uint16)
        return Image.fromarray(array[:, :, 0])
    allowed = {2: ["LA"], 3: ["RGB", "YCbCr", "HSV"], 4: ["RGBA", "CMYK", "RGBX"]}[channels]
    if mode is not None and mode not in allowed:
        raise ValueError(
            f"to_pil_image: mode {mode} does not fit {channels} channels; one of {allowed} does"
        )
    if array.dtype != np.uint8:
        raise TypeError(f"Input type {array.dtype} is not supported")
    raw = np.ascontiguousarray(array).tobytes()
    size = (array.shape[1], array.shape[0])
    return Image.frombytes(mode or allowed[0], size, raw)


def resize(image: Any, height: int, width: int, mode: str, antialias: bool) -> Any:
    return image.resize((width, height), RESAMPLING[mode])


def crop(image: Any, top: int, left: int, height: int, width: int) -> Any:
    return image.crop((left, top, left + width, top + height))


def hflip(image: Any) -> Any:
    return image.transpose(0)  # FLIP_LEFT_RIGHT


def vflip(image: Any) -> Any:
    return image.transpose(1)  # FLIP_TOP_BOTTOM


def pad(
    image: Any, left: int, top: int, right: int, bottom: int, fill: Any, padding_mode: str
) -> Any:
    from PIL import Image, ImageOps

    if padding_mode == "constant":
        colour = tuple(fill) if isinstance(fill, list | tuple) else fill
        if not isinstance(colour, tuple) and colour and len(image.getbands()) > 1:
            colour = (colour,) * len(image.getbands())
        if image.mode == "P":
            palette = image.getpalette()
            image = ImageOps.expand(image, (left, top, right, bottom), colour)
            image.putpalette(palette)
            return image
        return ImageOps.expand(image, (left, top, right, bottom), colour)
    array = np.asarray(image)
    amounts = [(top, bottom), (left, right)] + [(0, 0)] * (array.ndim - 2)
    return Image.fromarray(np.pad(array, amounts, mode=padding_mode))  # type: ignore[call-overload]


def _fill(image: Any, fill: Any) -> dict[str, Any]:
    bands = len(image.getbands())
    value = 0 if fill is None else fill
    if isinstance(value, int | float) and bands > 1:
        value = (value,) * bands
    if isinstance(value, list | tuple):
        value = tuple(value) * bands if len(value) == 1 else tuple(value)
        value = value[0] if bands == 1 else value
        if bands > 1 and image.mode not in WIDE:
            value = tuple(int(x) for x in value)
    if isinstance(value, float) and image.mode not in ("F",):
        value = int(value)
    return {"fillcolor": value}


def rotate(image: Any, angle: float, mode: str, expand: bool, center: Any, fill: Any) -> Any:
    return image.rotate(angle, RESAMPLING[mode], expand, center, **_fill(image, fill))


def affine(image: Any, matrix: list[float], mode: str, fill: Any) -> Any:
    return image.transform(image.size, 0, matrix, RESAMPLING[mode], **_fill(image, fill))


def grayscale(image: Any, channels: int) -> Any:
    grey = image.convert("L")
    if channels == 1:
        return grey
    from PIL import Image

    return Image.merge("RGB", (grey, grey, grey))


def _enhanced(kind: str, image: Any, factor: float) -> Any:
    from PIL import ImageEnhance

    return getattr(ImageEnhance, kind)(image).enhance(factor)


def brightness(image: Any, factor: float) -> Any:
    return _enhanced("Brightness", image, factor)


def contrast(image: Any, factor: float) -> Any:
    return _enhanced("Contrast", image, factor)


def saturation(image: Any, factor: float) -> Any:
    return _enhanced("Color", image, factor)


def hue(image: Any, factor: float) -> Any:
    from PIL import Image

    if image.mode in ("L", "1", "I", "F"):
        return image
    h, s, v = image.convert("HSV").split()
    turned = np.asarray(h).astype(np.int32) + int(factor * 255)
    h = Image.fromarray((turned % 256).astype(np.uint8))
    return Image.merge("HSV", (h, s, v)).convert(image.mode)


def gamma(image: Any, gamma: float, gain: float) -> Any:
    table = [int((255 + 1 - 1e-3) * gain * pow(byte / 255.0, gamma)) for byte in range(256)]
    rgb = image.convert("RGB")
    return rgb.point(table * 3).convert(image.mode)


def invert(image: Any) -> Any:
    from PIL import ImageOps

    return ImageOps.invert(image)


def solarize(image: Any, threshold: float) -> Any:
    from PIL import ImageOps

    return ImageOps.solarize(image, threshold)


def posterize(image: Any, bits: int) -> Any:
    from PIL import ImageOps

    return ImageOps.posterize(image, bits)


def sharpness(image: Any, factor: float) -> Any:
    return _enhanced("Sharpness", image, factor)


def autocontrast(image: Any) -> Any:
    from PIL import ImageOps

    return ImageOps.autocontrast(image)


def equalize(image: Any) -> Any:
    from PIL import ImageOps

    return ImageOps.equalize(image)


def perspective(image: Any, coefficients: Any, mode: str, fill: Any) -> Any:
    return image.transform(image.size, 2, coefficients, RESAMPLING[mode], **_fill(image, fill))
