"""Padding."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from rushlight.core.autograd import known_as
from rushlight.core.device_array import constant_on
from rushlight.core.state import state
from rushlight.core.tensor import Tensor, expect_tensors, wrap
from rushlight.errors import NotSupportedError, ShapeError
from rushlight.ops.pad import ConstantPad, layout
from rushlight.ops.slices import IndexSelect
from rushlight.ops.windows import FEW
from rushlight.tensor_api._common import as_int, in_order_of
from rushlight.tensor_api.casting import in_float32_on_cpu

__all__ = ["pad", "constant_pad_nd"]


def by_dim(pad: Any, ndim: int) -> list[tuple[int, int]]:
    """torch's flat list, which begins with the last dim, as (before, after) for each dim."""
    flat = [p if p.__class__ is int else as_int(p, "pad") for p in pad]
    if len(flat) % 2:
        raise RuntimeError(
            f"Padding length must be divisible by 2, but there are {len(flat)} numbers: two for"
            " each dim, the last first."
        )
    if len(flat) // 2 > ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got"
            f" padding length {len(flat)} and input of dimension {ndim}"
        )
    pairs = list(zip(flat[::2], flat[1::2], strict=True))
    return [(0, 0)] * (ndim - len(pairs)) + pairs[::-1]


def constant_pad_nd(input: Tensor, pad: Any, value: Any = 0) -> Tensor:
    """The input between constants; see ``pad``.

    Example:
        >>> import rushlight as torch
        >>> torch.constant_pad_nd(torch.tensor([[1, 2]]), (0, 1), 7)
        tensor([[1, 2, 7]])
    """
    expect_tensors("pad", input)
    pairs = by_dim(pad, input._array.ndim)
    for i, (n, (a, b)) in enumerate(zip(input._array.shape, pairs, strict=True)):
        if n + a + b < 0:
            raise ShapeError(
                f"pad: The input size {n}, plus negative padding {a} and {b}, resulted in a"
                f" negative output size, which is invalid. Check dimension {i} of your input."
            )
    return ConstantPad.bind(input, pads=tuple(pairs), value=value)  # type: ignore[no-any-return]


def pad(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """The input with more elements around it (or fewer, for negative sizes).

    Args:
        pad: (before, after) of the last dim, then of the one before it, and so on, as one flat
            list.
        mode: "constant", "reflect" (mirrored, without the edge), "replicate" (the edge repeated) or
            "circular" (from the other end).
        value: the constant; the default is 0.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.functional.pad(torch.tensor([1.0, 2.0, 3.0]), (1, 2))
        tensor([0., 1., 2., 3., 0., 0.])
    """
    expect_tensors("pad", input)
    if mode == "constant":
        return in_order_of(constant_pad_nd(input, pad, 0 if value is None else value), input)
    if mode not in INDICES:
        raise NotSupportedError(
            f"Unrecognised padding mode {mode}; it is 'constant', 'reflect', 'replicate' or"
            " 'circular'."
        )
    if value is not None and value != 0:
        raise ValueError(f'Padding mode "{mode}" doesn\'t take in value argument')
    out = gathered(input, pad, mode) if mode == "circular" else mirrored(input, pad, mode)
    return in_order_of(out, input)


def gathered(input: Tensor, pad: Any, mode: str) -> Tensor:
    """Padding with elements of the input."""
    x = input._array
    pairs, index = plan(x.shape, tuple(pad), mode)
    if not (state.busy or input._tracked) and x.__class__ is np.ndarray:
        if index is not None:
            return wrap(x.reshape(-1).take(index))
        if x.size and min([min(pair) for pair in pairs]) >= 0:
            return wrap(surrounded(x, tuple(pairs), mode))
    for dim, (a, b) in enumerate(pairs):
        if a or b:
            along = index_along(dim, x.shape[dim], a, b, mode)
            input = IndexSelect.bind(input, constant_on(input, along), dim=dim)
    out = input if any(map(any, pairs)) else input.clone()
    return known_as(f"{NODES[mode].format(len(pad) // 2)}", out)


THIN = 8  # slices of padding that NumPy copies faster one by one


def surrounded(x: Any, pairs: Any, mode: str) -> Any:
    """The input amid room for its padding, into which elements are copied dim by dim."""
    shape, inside, _ = layout(x.shape, pairs)
    out = np.empty(shape, x.dtype)
    out[inside] = x
    for dim, (a, b) in enumerate(pairs):
        if a or b:
            n, rows = x.shape[dim], out.reshape(-1, *shape[dim:])  # two dims move faster than four
            index = index_along(dim, n, a, b, mode) + a
            sides: Any = (slice(0, a), slice(a + n, None))
            if a + b <= THIN:
                sides = (*range(a), *range(a + n, a + n + b))
            for side in sides:
                rows[:, side] = rows[:, index[side]]
    return out


@functools.lru_cache(maxsize=64)
def plan(shape: tuple[int, ...], pad: Any, mode: str) -> tuple[Any, Any]:
    """(before, after) for each dim of an input, and, if there are few, the place of each padded
    element in the flattened input.
    """
    pairs = by_dim(pad, len(shape))
    rank = len(pad) // 2
    if len(shape) not in (rank + 1, rank + 2) or not 1 <= rank <= 3:
        raise NotSupportedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now: 1 to 3"
            " trailing dims of an input with one or two dims before them, but the input has"
            f" {len(shape)} dims and the padding is for {rank}."
        )
    if 0 in shape[1:]:
        raise ShapeError(
            "pad: Expected an input with non-zero sizes (the batch may be empty), but got"
            f" {list(shape)}."
        )
    if not 0 < math.prod([n + a + b for n, (a, b) in zip(shape, pairs, strict=True)]) <= FEW:
        return pairs, None
    along = [
        index_along(d, n, a, b, mode) if a or b else np.arange(n)
        for d, (n, (a, b)) in enumerate(zip(shape, pairs, strict=True))
    ]
    return pairs, np.arange(math.prod(shape)).reshape(shape)[np.ix_(*along)]


mirrored = in_float32_on_cpu(gathered)


def index_along(dim: int, n: int, a: int, b: int, mode: str) -> np.ndarray:
    """Places to read from along a dim."""
    index: np.ndarray = INDICES[mode](n, a, b)
    if not len(index):
        raise ShapeError(
            f"pad: padding ({a}, {b}) of dimension {dim} with size {n} leaves nothing."
        )
    return index


@functools.lru_cache(maxsize=64)
def reflected(n: int, a: int, b: int) -> np.ndarray:
    """Places to read from for padding by reflection."""
    if a >= n or b >= n:
        raise ShapeError(
            "pad: Padding size should be less than the corresponding input dimension, but got:"
            f" padding ({a}, {b}) at a dimension of size {n}"
        )
    i = np.abs(np.arange(-a, n + b))
    return np.where(i >= n, 2 * (n - 1) - i, i)


@functools.lru_cache(maxsize=64)
def replicated(n: int, a: int, b: int) -> np.ndarray:
    """Places to read from for padding with the edge."""
    return np.clip(np.arange(-a, n + b), 0, n - 1)


@functools.lru_cache(maxsize=64)
def wrapped(n: int, a: int, b: int) -> np.ndarray:
    """Places to read from for padding with the other end."""
    if a > n or b > n:
        raise ShapeError(
            f"pad: Padding value causes wrapping around more than once: padding ({a}, {b}) at a"
            f" dimension of size {n}."
        )
    start, stop = max(-a, 0), n - max(-b, 0)  # what negative padding leaves
    return start + np.arange(-max(a, 0), stop - start + max(b, 0)) % (stop - start)


NODES = {  # torch's
    "reflect": "ReflectionPad{}DBackward0",
    "replicate": "ReplicationPad{}DBackward0",
    "circular": "CopySlices",
}
INDICES = {"reflect": reflected, "replicate": replicated, "circular": wrapped}
