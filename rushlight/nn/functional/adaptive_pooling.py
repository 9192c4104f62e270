"""Pooling into a given number of bins."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.tensor import Tensor, wrap
from rushlight.errors import ShapeError
from rushlight.nn.functional.conv import remembered
from rushlight.nn.functional.pooling import check_dims, check_floating, named, quickly
from rushlight.ops.along import Along
from rushlight.ops.avg_pool import MEANS, AvgPool
from rushlight.ops.bins import BinMax, bin_means, bins_of, table_of_bins
from rushlight.ops.reduce import Mean
from rushlight.ops.windows import FEW
from rushlight.tensor_api._common import as_int, in_order_of, in_order_of_lines
from rushlight.tensor_api.casting import in_float32_on_cpu

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d_with_indices", "adaptive_max_pool3d_with_indices",
]  # fmt: skip


@remembered
def target_sizes(
    name: str, shape: tuple[int, ...], rank: int, output_size: Any
) -> tuple[tuple[int, ...], Any]:
    """``output_size`` with None replaced by the input's sizes, and the table of bins."""
    one = not hasattr(output_size, "__iter__") or getattr(output_size, "ndim", 1) == 0
    if rank > 1 and not one and len(shape) <= len(output_size):
        raise ValueError(
            f"{name}: Input dimension should be at least {len(output_size) + 1}, to have channels "
            f"before those that are pooled, but got: {list(shape)}"
        )
    check_dims(name, shape, rank, channels=False)
    given = (output_size,) * rank if one else tuple(output_size)
    if len(given) == 1:
        given *= rank
    if len(given) != rank:
        raise ShapeError(f"{name}: output_size must have {rank} elements, but is {output_size}.")
    space = shape[len(shape) - rank :]
    sizes = tuple(
        [n if s is None else as_int(s, "output_size") for s, n in zip(given, space, strict=True)]
    )
    if min(sizes) < 0:
        raise RuntimeError(
            f"{name}: elements of output_size must be greater than or equal to 0, but are {sizes}."
        )
    if math.prod(shape[:-rank] + sizes) >= 1 << 62:
        raise RuntimeError(f"{name}: a result of output_size {sizes} has no place in memory.")
    few = 0 < math.prod(sizes) <= FEW
    return sizes, table_of_bins(shape, bins_of(space, sizes)) if few else None


def is_whole_mean(rank: int, shape: tuple[int, ...], output_size: Any) -> bool:
    """Whether one bin is asked for of what is no usual batch, videos (N, T, C, H, W) or nothing:
    PyTorch's mean of the last dims takes any before them.
    """
    usual = rank < len(shape) < rank + 3 and 0 not in shape
    if usual or rank == 1:
        return False
    if isinstance(output_size, (tuple, list)):
        return len(shape) > rank == len(output_size) and all([n == 1 for n in output_size])
    return output_size == 1 and len(shape) >= rank


def adaptive_avg_pool(rank: int, input: Tensor, output_size: Any) -> Tensor:
    """Means of as many bins as asked for."""
    ordered = in_order_of_lines if rank == 1 else in_order_of
    check_floating(f"adaptive_avg_pool{rank}d", input)
    shape = input._array.shape
    if is_whole_mean(rank, shape, output_size):
        return input.mean(tuple(range(-rank, 0)), keepdim=True)
    out, table = target_sizes(f"adaptive_avg_pool{rank}d", shape, rank, output_size)
    quick = quickly(MEANS, table, input)
    if quick is not None:
        return ordered(wrap(quick), input)
    space = tuple(shape[-rank:])
    if all(o and n % o == 0 for n, o in zip(space, out, strict=True)):
        kernel = tuple([n // o for n, o in zip(space, out, strict=True)])
        if max(out) == 1:
            dims = len(shape)
            out = Mean.bind(input, tuple(range(dims - rank, dims)), True)
            return known_as("SqueezeBackward1", out) if rank == 1 else out
        zero = ((0, 0),) * rank
        found = AvgPool.bind(
            input,
            out=out,
            kernel=kernel,
            stride=kernel,
            padding=zero,
            include_pad=True,
            divisor=None,
            after=(0,) * rank,
        )
    else:
        matrices = [bin_means(n, o) for n, o in zip(space, out, strict=True)]
        found = Along.bind(input, matrices=tuple(matrices))
    return known_as(node_of("Avg", rank), ordered(found, input))


def node_of(kind: str, rank: int) -> str:
    """How torch calls the node of an adaptive pool: lines are images of one row."""
    return f"Adaptive{kind}Pool{rank}DBackward0" if rank > 1 else "SqueezeBackward1"


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Means of ``output_size`` bins over one dim. Shape: ``(N, C, L) -> (N, C, output_size)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.adaptive_avg_pool1d(torch.arange(6.0).reshape(1, 6), 3)
        tensor([[0.5000, 2.5000, 4.5000]])
    """
    return adaptive_avg_pool(1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means of ``output_size`` bins over two dims; a size of None keeps the input's. Shape:
    ``(N, C, H, W) -> (N, C, *output_size)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.adaptive_avg_pool2d(torch.arange(16.0).reshape(1, 4, 4), 1)  # a global mean
        tensor([[[7.5000]]])
    """
    return adaptive_avg_pool(2, input, output_size)


@in_float32_on_cpu
def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Means of ``output_size`` bins over three dims; a size of None keeps the input's.

    Shape: ``(N, C, D, H, W) -> (N, C, *output_size)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.adaptive_avg_pool3d(torch.ones(2, 3, 4, 4, 4), (1, None, 2)).shape
        torch.Size([2, 3, 1, 4, 2])
    """
    return adaptive_avg_pool(3, input, output_size)


def adaptive_max(rank: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """``adaptive_max_pool{rank}d`` and its form that returns indices."""
    doc = f"""Maxima of ``output_size`` bins over {rank} dims; a size of None keeps the input's.

    Args:
        return_indices: also return where the maxima are in the flattened plane, int64.

    Shape: ``(N, C, *) -> (N, C, *output_size)``, or both without N.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.arange(4.0).reshape(1{", 1" * (rank - 1)}, 4)
        >>> F.adaptive_max_pool{rank}d(x, 1, return_indices=True)[1].item()
        3
    """

    ordered = in_order_of_lines if rank == 1 else in_order_of

    def indexed(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        check_floating(f"adaptive_max_pool{rank}d", input)
        shape = input._array.shape
        out, table = target_sizes(f"adaptive_max_pool{rank}d", shape, rank, output_size)
        quick = quickly("window places", table, input, np.int64)
        if quick is not None:
            return ordered(wrap(quick[0]), input), ordered(wrap(quick[1]), input)
        bins = bins_of(input._array.shape[-rank:], out)
        if 0 in out:
            shape = (*input._array.shape[:-rank], *out)
            return input.new_zeros(shape), input.new_zeros(shape, dtype=dtypes.of[dtypes.int64])
        values, places = BinMax.bind(input, bins=bins)
        return known_as(node_of("Max", rank), ordered(values, input)), ordered(places, input)

    def pool(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        result = indexed(input, output_size)
        return result if return_indices else result[0]

    name = f"adaptive_max_pool{rank}d"
    return named(pool, name, doc), named(indexed, name + "_with_indices", doc)


adaptive_max_pool1d, adaptive_max_pool1d_with_indices = adaptive_max(1)


adaptive_max_pool2d, adaptive_max_pool2d_with_indices = adaptive_max(2)


adaptive_max_pool3d, adaptive_max_pool3d_with_indices = map(in_float32_on_cpu, adaptive_max(3))
