"""Tensors that say what they are, so that a transform of an image changes its boxes and masks too.

A result of other operations is a plain tensor, but for `clone`, `to`, `detach` and
`requires_grad_`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

from rushlight import tensor_api as rl
from rushlight.core.overrides import AskNoArguments
from rushlight.core.tensor import Tensor
from rushlight.errors import NotSupportedError
from rushlight.vision.ops.boxes import box_convert

__all__ = ["BoundingBoxFormat", "BoundingBoxes", "Image", "Mask", "TVTensor", "Video", "wrap"]

KEPT = (Tensor.clone, Tensor.to, Tensor.detach, Tensor.requires_grad_)


class TVTensor(Tensor):
    """What the kinds share. Arguments as for `as_tensor`; ``requires_grad`` as the data's."""

    def __new__(
        cls,
        data: Any,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool | None = None,
    ) -> Any:
        return cls._made(data, dtype, device, requires_grad).as_subclass(cls)

    @staticmethod
    def _made(data: Any, dtype: Any, device: Any, requires_grad: bool | None) -> Tensor:
        if requires_grad is None:
            requires_grad = data.requires_grad if isinstance(data, Tensor) else False
        made = plain(rl.as_tensor(data, dtype=dtype, device=device))
        return made.detach().requires_grad_(requires_grad) if made.is_leaf else made

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with AskNoArguments():
            out = func(*args, **(kwargs or {}))
            if func in KEPT and isinstance(args[0], cls):
                return wrap(plain(out), like=args[0])
            if any(out is a for a in args):  # in place
                return out
            return plain(out) if isinstance(out, TVTensor) else out

    def changed(self, rule: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """What a transform of images, and its arguments, make of this."""
        return wrap(rule(plain(self), *args), like=self)

    def _like(self) -> dict[str, Any]:
        """What a tensor needs to be of this kind."""
        return {}


def plain(x: Tensor) -> Tensor:
    """The same memory as a tensor that says nothing."""
    out: Tensor = x.as_subclass(Tensor) if isinstance(x, TVTensor) else x
    return out


def wrap(wrappee: Tensor, *, like: Any, **kwargs: Any) -> Any:
    """A tensor as one of the kind of ``like``.

    Args:
        wrappee: whose memory it is.
        like: an Image, Mask, ...
        kwargs: for boxes, what differs: ``format``, ``canvas_size``.
    """
    made = wrappee.as_subclass(type(like))
    vars(made).update({**like._like(), **kwargs})
    return made


class _Pixels(TVTensor):
    def changed(self, rule: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        return super().changed(rule, (*args, True) if rule.__name__ == "resize" else args)


class Image(_Pixels):
    """An image, (..., C, H, W); (H, W) becomes (1, H, W)."""

    def __new__(cls, data: Any, **options: Any) -> Any:
        made = super().__new__(cls, data, **options)
        if made.dim() < 2:
            raise ValueError(f"Image: data is {tuple(made.shape)}; it must be (..., H, W).")
        return wrap(plain(made)[None], like=made) if made.dim() == 2 else made


class Video(_Pixels):
    """Images one after the other, (..., T, C, H, W)."""

    def __new__(cls, data: Any, **options: Any) -> Any:
        made = super().__new__(cls, data, **options)
        if made.dim() < 4:
            raise ValueError(f"Video: data is {tuple(made.shape)}; it must be (..., T, C, H, W).")
        return made


class Mask(TVTensor):
    """Classes of pixels, (..., H, W): never blended."""

    # where the arguments of a transform have the way to blend
    BLEND: dict[str, int] = {  # noqa: RUF012
        "resize": 2,
        "rotate": 1,
        "affine": 1,
        "perspective": 1,
        "elastic": 1,
    }

    def changed(self, rule: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        values = list(args)
        if rule.__name__ in self.BLEND:
            values[self.BLEND[rule.__name__]] = "nearest"
        if self.dim() == 2:  # as an image of one channel
            image = rule(plain(self)[None], *values)
            return wrap(image[0], like=self)
        return super().changed(rule, tuple(values))


class BoundingBoxFormat(enum.Enum):
    """Corners, corner and size, or centre and size."""

    XYXY = "XYXY"
    XYWH = "XYWH"
    CXCYWH = "CXCYWH"


class BoundingBoxes(TVTensor):
    """Boxes, (N, 4).

    Args:
        data: numbers in pixels.
        format: what the numbers are.
        canvas_size: (height, width) of the image.
        clamping_mode: whether transforms keep boxes inside of the image; None for no.
        dtype: as for `as_tensor`, like the next two.
        device: where.
        requires_grad: whether gradients are wanted.
    """

    format: BoundingBoxFormat
    canvas_size: tuple[int, int]
    clamping_mode: str | None

    def __new__(
        cls,
        data: Any,
        *,
        format: BoundingBoxFormat | str,
        canvas_size: Sequence[int],
        clamping_mode: str | None = "soft",
        **options: Any,
    ) -> Any:
        made = super().__new__(cls, data, **options)
        if made.dim() > 2 or made.shape[-1] not in (0, 4):
            raise ValueError(f"BoundingBoxes: data is {tuple(made.shape)}; it must be (N, 4).")
        made = wrap(plain(made)[None], like=made) if made.dim() == 1 else made
        made.format = BoundingBoxFormat[format.upper()] if isinstance(format, str) else format
        made.canvas_size, made.clamping_mode = tuple(canvas_size), clamping_mode
        return made

    def _like(self) -> dict[str, Any]:
        names = ("format", "canvas_size", "clamping_mode")
        return {name: vars(self)[name] for name in names if name in vars(self)}

    def changed(self, rule: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        move = MOVES.get(rule.__name__)
        if move is None:
            raise NotSupportedError(
                f"{rule.__name__}: boxes can be flipped, resized, cropped and padded; not this."
            )
        notation = self.format.value.lower()
        corners = box_convert(plain(self), notation, "xyxy")
        corners, canvas, clamps = move(corners, self.canvas_size, *args)
        if clamps and self.clamping_mode is not None:
            corners = clamped(corners, canvas)
        out = box_convert(corners, "xyxy", notation).to(self.dtype)
        return wrap(out, like=self, canvas_size=canvas)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        about = ", ".join(f"{name}={value}" for name, value in self._like().items())
        shown = repr(plain(self)).replace("tensor", "BoundingBoxes", 1)
        return f"{shown.replace(chr(10), chr(10) + ' ' * 7)[:-1]}, {about})"


Size = tuple[int, int]


def clamped(corners: Tensor, canvas: Size) -> Tensor:
    """Corners moved into an image of this height and width."""
    height, width = canvas
    most = rl.tensor([width, height, width, height]).to(corners.dtype)
    return rl.minimum(corners.clamp(min=0), most)


def _hflip(corners: Tensor, canvas: Size) -> tuple[Tensor, Size, bool]:
    a, b, c, d = corners.unbind(-1)
    return rl.stack([-(c - canvas[1]), b, -(a - canvas[1]), d], -1), canvas, False


def _vflip(corners: Tensor, canvas: Size) -> tuple[Tensor, Size, bool]:
    a, b, c, d = corners.unbind(-1)
    return rl.stack([a, -(d - canvas[0]), c, -(b - canvas[0])], -1), canvas, False


def _resize(
    corners: Tensor, canvas: Size, height: int, width: int, *options: Any
) -> tuple[Tensor, Size, bool]:
    across, down = width / canvas[1], height / canvas[0]
    return corners * rl.tensor([across, down, across, down]), (height, width), False


def _crop(
    corners: Tensor, canvas: Size, top: int, left: int, height: int, width: int
) -> tuple[Tensor, Size, bool]:
    return corners - rl.tensor([left, top, left, top]), (height, width), True


def _pad(
    corners: Tensor,
    canvas: Size,
    left: int,
    top: int,
    right: int,
    bottom: int,
    fill: Any,
    mode: str,
) -> tuple[Tensor, Size, bool]:
    if mode != "constant":
        raise ValueError(f"pad: with padding_mode {mode!r} boxes would have to be repeated.")
    canvas = canvas[0] + top + bottom, canvas[1] + left + right
    return corners + rl.tensor([left, top, left, top]), canvas, True


# moved corners, the new height and width, and whether to keep boxes inside
MOVES: dict[str, Callable[..., tuple[Tensor, Size, bool]]] = {
    "hflip": _hflip, "vflip": _vflip, "resize": _resize, "crop": _crop, "pad": _pad,
}  # fmt: skip
