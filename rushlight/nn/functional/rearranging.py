"""Elements of images moved: between channels and space, and windows into columns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import formats
from rushlight.core.autograd import known_as
from rushlight.core.tensor import Tensor, expect_tensors, wrap
from rushlight.errors import ShapeError
from rushlight.nn.functional.conv import expanded
from rushlight.ops.fold import Fold, Unfold, window_counts
from rushlight.tensor_api._common import in_order_of, unrecorded

__all__ = [
    "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle", "fold",
    "unfold",
]  # fmt: skip


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Channels moved into space. Shape: ``(*, C r^2, H, W) -> (*, C, H r, W r)``.

    Raises:
        RuntimeError: the number of channels is no multiple of the factor's square.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.pixel_shuffle(torch.arange(4.0).reshape(4, 1, 1), 2)
        tensor([[[0., 1.],
                 [2., 3.]]])

    Reference: Shi et al., 2016, arXiv:1609.05158.
    """
    expect_tensors("pixel_shuffle", input)
    shape, r = input._array.shape, upscale_factor
    if len(shape) < 3:
        raise ShapeError(
            "pixel_shuffle expects input to have at least 3 dimensions, but got input with"
            f" {len(shape)} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, c, h, w = shape
    if c % (r * r):
        raise ShapeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square"
            f" of upscale_factor, but input.size(-3)={c} is not divisible by {r * r}"
        )
    n, c = len(lead), c // (r * r)
    order = (*range(n + 1), n + 3, n + 1, n + 4, n + 2)
    out = _moved(input, (*lead, c, r, r, h, w), order, (*lead, c, h * r, w * r))
    return known_as("PixelShuffleBackward0", out)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Space moved into channels: the inverse of ``pixel_shuffle``. Shape:
    ``(*, C, H r, W r) -> (*, C r^2, H, W)``.

    Raises:
        RuntimeError: height or width is no multiple of the factor.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.pixel_unshuffle(torch.arange(4.0).reshape(1, 2, 2), 2).flatten()
        tensor([0., 1., 2., 3.])
    """
    expect_tensors("pixel_unshuffle", input)
    shape, r = input._array.shape, downscale_factor
    if len(shape) < 3:
        raise ShapeError(
            "pixel_unshuffle expects input to have at least 3 dimensions, but got input with"
            f" {len(shape)} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, c, h, w = shape
    if h % r or w % r:
        raise ShapeError(
            f"pixel_unshuffle expects height and width to be divisible by downscale_factor, but {h}"
            f" and {w} are not by {r}"
        )
    n, h, w = len(lead), h // r, w // r
    order = (*range(n + 1), n + 2, n + 4, n + 1, n + 3)
    out = _moved(input, (*lead, c, h, r, w, r), order, (*lead, c * r * r, h, w))
    return known_as("PixelUnshuffleBackward0", out)


def _moved(input: Tensor, apart: Any, order: Any, shape: Any) -> Tensor:
    """``input`` with dims taken ``apart``, permuted and taken together, in memory of its own."""
    arrays = unrecorded(input)
    if arrays is not None and arrays[0].flags.c_contiguous:
        return wrap(np.array(arrays[0].reshape(apart).transpose(order), order="C").reshape(shape))
    out = input.reshape(apart).permute(order).reshape(shape)
    return in_order_of(out.clone() if out._is_view() else out, input)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels of ``groups`` groups interleaved. Shape: ``(N, C, *) -> (N, C, *)``.

    Raises:
        RuntimeError: the number of channels is no multiple of groups.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.channel_shuffle(torch.arange(4.0).reshape(1, 4, 1), 2).flatten()
        tensor([0., 2., 1., 3.])

    Reference: Zhang et al., 2017, arXiv:1707.01083.
    """
    expect_tensors("channel_shuffle", input)
    shape = input._array.shape
    if len(shape) < 3:
        raise ShapeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(shape)}"
        )
    if groups <= 0:
        raise RuntimeError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
        )
    if shape[1] % groups:
        raise ShapeError(
            f"Number of channels must be divisible by groups. Got {shape[1]} channels and {groups}"
            " groups."
        )
    if groups in (1, shape[1]):  # they stay in order
        out = input.clone(memory_format=formats.contiguous_format)
    else:
        x = input.reshape(shape[0], groups, shape[1] // groups, *shape[2:])
        out = x.transpose(1, 2).reshape(shape)
    return known_as("ChannelShuffleBackward0", out)


native_channel_shuffle = channel_shuffle


def pairs(value: Any, name: str) -> tuple[int, int]:
    """Two sizes."""
    a, b = expanded(value, 2, name, "fold")
    return a, b


def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """All windows of an image as columns. Shape: ``(N, C, H, W) -> (N, C Kh Kw, windows)``, or both
    without N.

    Args:
        kernel_size, dilation, padding, stride: of the windows, an int or one for each dim.

    Raises:
        RuntimeError: no window lies in the padded image.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.unfold(torch.arange(6.0).reshape(1, 1, 2, 3), 2)
        tensor([[[0., 1.],
                 [1., 2.],
                 [3., 4.],
                 [4., 5.]]])
    """
    expect_tensors("unfold", input)
    x = input if input._array.ndim == 4 else input.unsqueeze(0)
    if input._array.ndim not in (3, 4) or 0 in x._array.shape[1:]:
        raise ShapeError(
            "unfold: Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other"
            f" non-zero dimensions for input, but got: {list(input._array.shape)}"
        )
    options = window_options(kernel_size, dilation, padding, stride)
    counts = window_counts(x._array.shape[2:], **options)
    if min(counts) < 1:
        raise ShapeError(
            f"unfold: Given input with spatial size {tuple(x._array.shape[2:])} and {options},"
            f" calculated shape of the array of sliding blocks as {counts}, but its components must"
            " be at least one."
        )
    out = Unfold.bind(x, **options)
    return out if x is input else out.squeeze(0)


def window_options(
    kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> dict[str, tuple[int, int]]:
    """The geometry that Fold and Unfold take."""
    options = {
        "kernel": pairs(kernel_size, "kernel_size"),
        "stride": pairs(stride, "stride"),
        "padding": pairs(padding, "padding"),
        "dilation": pairs(dilation, "dilation"),
    }
    for name in ("kernel", "stride", "dilation"):
        if min(options[name]) <= 0:
            raise RuntimeError(f"{name} should be greater than zero, but got {options[name]}")
    if min(options["padding"]) < 0:
        raise RuntimeError(f"padding should be non-negative, but got {options['padding']}")
    return options


def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """Columns added up where their windows lie: the transpose of ``unfold``. Shape:
    ``(N, C Kh Kw, windows) -> (N, C, *output_size)``.

    Args:
        output_size: height and width of the image.
        kernel_size, dilation, padding, stride: of the windows, an int or one for each dim.

    Raises:
        RuntimeError: the number of windows is not what the sizes give.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> columns = torch.ones(1, 4, 2)  # two windows of 2 by 2
        >>> F.fold(columns, (2, 3), 2)
        tensor([[[[1., 2., 1.],
                  [1., 2., 1.]]]])
    """
    x = input if input._array.ndim == 3 else input.unsqueeze(0)
    if input._array.ndim not in (2, 3) or 0 in x._array.shape[1:]:
        raise ShapeError(
            "fold: Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and"
            f" non-zero dimensions for input, but got: {list(input._array.shape)}"
        )
    options = window_options(kernel_size, dilation, padding, stride)
    space = pairs(output_size, "output_size")
    taps = math.prod(options["kernel"])
    if x._array.shape[1] % taps:
        raise ShapeError(
            "fold: Expected size of input's dimension 1 to be divisible by the product of"
            f" kernel_size, but got input.size(1)={x._array.shape[1]} and"
            f" kernel_size={options['kernel']}."
        )
    counts = window_counts(space, **options)
    if min(counts) < 1 or x._array.shape[2] != math.prod(counts):
        raise ShapeError(
            f"fold: Given output_size={space} and {options}, expected size of input's dimension 2"
            f" to match the calculated number of sliding blocks {counts[0]} * {counts[1]} ="
            f" {math.prod(counts)}, but got input.size(2)={x._array.shape[2]}."
        )
    out = Fold.bind(x, space=space, **options)
    return out if x is input else out.squeeze(0)
