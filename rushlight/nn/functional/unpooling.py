"""Maxima back at the places that they were taken from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.core.autograd import known_as
from rushlight.core.device_array import unseen
from rushlight.core.tensor import Tensor, expect_tensors, wrap
from rushlight.errors import ShapeError
from rushlight.nn.functional.conv import expanded
from rushlight.nn.functional.pooling import check_dims
from rushlight.ops.scatter import Scatter
from rushlight.tensor_api._common import in_order_of, unrecorded
from rushlight.tensor_api.casting import in_float32_on_cpu

__all__ = ["max_unpool1d", "max_unpool2d", "max_unpool3d"]


def unpool(
    rank: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Any,
) -> Tensor:
    """Values put at flat indices of planes of zeros."""
    name = f"max_unpool{rank}d"
    expect_tensors(name, input, indices)
    if input._array.shape != indices._array.shape:
        raise ShapeError(
            f"{name}: Expected shape of indices to be same as that of the input tensor"
            f" ({tuple(input._array.shape)}) but got indices tensor with shape:"
            f" {tuple(indices._array.shape)}"
        )
    check_dims(name, input._array.shape, rank)
    kernel = expanded(kernel_size, rank, "kernel_size", name)
    steps = kernel if stride is None else expanded(stride, rank, "stride", name)
    pads = expanded(padding, rank, "padding", name)
    default = [
        (n - 1) * s + k - 2 * p
        for n, s, k, p in zip(input._array.shape[-rank:], steps, kernel, pads, strict=True)
    ]
    sizes = tuple(default)
    if output_size is not None:
        sizes = tuple(output_size)[-rank:]
        for i, (n, d, s) in enumerate(zip(sizes, default, steps, strict=True)):
            if not d - s < n < d + s:
                raise ValueError(
                    f"{name}: invalid output_size {sizes} (dim {i} must be between {d - s} and"
                    f" {d + s})"
                )
    lead = tuple(input._array.shape[:-rank])
    index = indices.flatten(len(lead))
    limit = math.prod(sizes)
    x = index._array
    known = not unseen(index) and x.size > 0
    if known and not 0 <= x.item(x.argmin()) <= x.item(x.argmax()) < limit:
        raise RuntimeError(
            f"{name}: found an invalid max index: {x.max()} (output volumes are of size {sizes})"
        )
    arrays = unrecorded(input)
    if arrays is not None and arrays[0].flags.c_contiguous and x.dtype == np.int64:
        flat = np.zeros((*lead, limit), arrays[0].dtype)
        Scatter.instance.store(flat, [x, arrays[0].reshape(x.shape)], {"dim": len(lead)})
        return wrap(flat.reshape(*lead, *sizes))
    zero = input.new_zeros((*lead, limit))
    out = zero.scatter(-1, index, input.flatten(len(lead))).reshape(*lead, *sizes)
    node = f"MaxUnpool{rank}DBackward0" if rank > 1 else "SqueezeBackward1"
    return known_as(node, in_order_of(out, input) if rank == 2 else out)


@in_float32_on_cpu
def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Partial inverse of ``max_pool1d``: maxima back at their places, zeros elsewhere.

    Args:
        input: maxima, ``(N, C, *)`` or ``(C, *)``.
        indices: where they were in the flattened plane, of input's shape, int64.
        kernel_size, stride, padding: as for the pooling, to find the result's size.
        output_size: that size, where several would give input's.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.tensor([1.0, 3.0, 2.0, 0.0]).reshape(1, 4)
        >>> values, places = F.max_pool1d(x, 2, return_indices=True)
        >>> F.max_unpool1d(values, places, 2).flatten()
        tensor([0., 3., 2., 0.])
    """
    return unpool(1, input, indices, kernel_size, stride, padding, output_size)


@in_float32_on_cpu
def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Partial inverse of ``max_pool2d``: maxima back at their places, zeros elsewhere.

    Args:
        input: maxima, ``(N, C, *)`` or ``(C, *)``.
        indices: where they were in the flattened plane, of input's shape, int64.
        kernel_size, stride, padding: as for the pooling, to find the result's size.
        output_size: that size, where several would give input's.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.tensor([1.0, 3.0, 2.0, 0.0]).reshape(1, 1, 4)
        >>> values, places = F.max_pool2d(x, (1, 2), return_indices=True)
        >>> F.max_unpool2d(values, places, (1, 2)).flatten()
        tensor([0., 3., 2., 0.])
    """
    return unpool(2, input, indices, kernel_size, stride, padding, output_size)


@in_float32_on_cpu
def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Partial inverse of ``max_pool3d``: maxima back at their places, zeros elsewhere.

    Args:
        input: maxima, ``(N, C, *)`` or ``(C, *)``.
        indices: where they were in the flattened plane, of input's shape, int64.
        kernel_size, stride, padding: as for the pooling, to find the result's size.
        output_size: that size, where several would give input's.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.tensor([1.0, 3.0, 2.0, 0.0]).reshape(1, 1, 1, 4)
        >>> values, places = F.max_pool3d(x, (1, 1, 2), return_indices=True)
        >>> F.max_unpool3d(values, places, (1, 1, 2)).flatten()
        tensor([0., 3., 2., 0.])
    """
    return unpool(3, input, indices, kernel_size, stride, padding, output_size)
