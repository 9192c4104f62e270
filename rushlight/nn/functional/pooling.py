"""Pooling: windows of the input turned into one number each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from rushlight import dtypes
from rushlight.core.native import LEAST
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, no_tensor, wrap
from rushlight.errors import NotSupportedError, ShapeError
from rushlight.nn.functional.conv import expanded, remembered
from rushlight.ops import pool
from rushlight.ops.avg_pool import MEANS, AvgPool, means_of
from rushlight.ops.windows import table_of
from rushlight.tensor_api._common import in_order_of, in_order_of_lines, stored_exactly
from rushlight.tensor_api.casting import in_float32_on_cpu

__all__ = [
    "max_pool1d", "max_pool2d", "max_pool3d", "max_pool1d_with_indices",
    "max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool1d", "avg_pool2d",
    "avg_pool3d", "lp_pool1d", "lp_pool2d", "lp_pool3d",
]  # fmt: skip


def check_floating(name: str, input: Tensor, *more: Any) -> None:
    """Refuse elements of dtypes other than the floating ones, and ``more``."""
    try:
        d = input._array.dtype
    except AttributeError:
        raise no_tensor(name, input) from None
    if d not in dtypes.FLOATING_TYPES and d not in more:
        raise NotSupportedError(
            f'"{name}" not implemented for {dtypes.of[d].name}; convert the input with .float().'
        )


def check_dims(name: str, shape: tuple[int, ...], rank: int, channels: bool = True) -> None:
    """An input has ``rank`` dims to pool, channels, and perhaps samples; if there are none, some
    ``channels``.
    """
    n = len(shape)
    if n not in (rank + 1, rank + 2):
        raise ShapeError(
            f"{name}: Expected {rank + 1}D or {rank + 2}D (batch mode) tensor expected for input,"
            f" but got: {list(shape)}"
        )
    if 0 in shape[-rank - 1 if n == rank + 2 or channels else -rank :]:
        raise ShapeError(
            f"{name}: Expected {rank + 1}D or {rank + 2}D (batch mode) tensor with optional 0 dim"
            f" batch size for input, but got: {list(shape)}"
        )


@remembered
def maxima(*given: Any) -> tuple[dict[str, Any], Any]:
    """``geometry`` as the ops of maxima take it, and the table of windows."""
    w = geometry(*given)
    del w["after"]
    return w, table_of(given[1], **w)


@remembered
def averages(include_pad: bool, divisor: int | None, *given: Any) -> tuple[dict[str, Any], Any]:
    """``geometry`` as the op of means takes it, and the table of windows."""
    w = geometry(*given)
    del w["dilation"]
    w.update(include_pad=include_pad, divisor=divisor)
    return w, means_of(given[1], **w)


def quickly(name: str, table: Any, input: Tensor, named: Any = None) -> Any:
    """What a loop makes of few elements, when nobody records or follows what happens; or None."""
    x = input._array
    if table is None or state.busy or input._tracked or x.__class__ is not ndarray:
        return None
    return table.run(name, x, named) if x.size < LEAST else None


def geometry(
    name: str,
    shape: tuple[int, ...],
    rank: int,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> dict[str, Any]:
    """The geometry that the pooling ops take, for an input of this shape."""
    check_dims(name, shape, rank)
    kernel = expanded(kernel_size, rank, "kernel_size", name)
    none = stride is None or (isinstance(stride, (tuple, list)) and not stride)
    steps = kernel if none else expanded(stride, rank, "stride", name)
    pads = expanded(padding, rank, "padding", name)
    dilations = expanded(dilation, rank, "dilation", name)
    if min(kernel) < 1:
        raise RuntimeError(f"{name}: kernel size should be greater than zero, but got {kernel}.")
    if min(steps) < 1:
        raise RuntimeError(f"{name}: stride should not be zero, but got {steps}.")
    if min(dilations) < 1:
        raise RuntimeError(f"{name}: dilation should be greater than zero, but got {dilations}.")
    out, around, after = [], [], []
    for n, k, s, p, d in zip(shape[-rank:], kernel, steps, pads, dilations, strict=True):
        if p < 0:
            raise RuntimeError(f"{name}: pad must be non-negative, but got pad: {p}.")
        if p > ((k - 1) * d + 1) // 2:
            raise RuntimeError(
                f"{name}: pad should be at most half of effective kernel size, but got pad={p},"
                f" kernel_size={k} and dilation={d}"
            )
        room = n + 2 * p - d * (k - 1) - 1
        o = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (o - 1) * s >= n + p:
            o -= 1  # the last window has to start inside the input or the padding before it
        if o < 1:
            raise ShapeError(
                f"{name}: Given input size {shape}, the calculated output size {o} is too small."
            )
        out.append(o)
        around.append((p, max(p, (o - 1) * s + d * (k - 1) + 1 - n - p)))
        after.append(p)
    return {
        "out": tuple(out),
        "kernel": kernel,
        "stride": steps,
        "padding": tuple(around),
        "dilation": dilations,
        "after": tuple(after),
    }


def max_pool(
    rank: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    """Max pooling over ``rank`` dims."""
    try:
        shape = input._array.shape
    except AttributeError:
        raise no_tensor(f"max_pool{rank}d", input) from None
    options = kernel_size, stride, padding, dilation, ceil_mode
    w, table = maxima(f"max_pool{rank}d", shape, rank, *options)
    if not return_indices:
        found = quickly("window maxima", table, input)
        if found is not None:
            return in_order_of(wrap(found), input)
        if not (input._tracked and modes.grad):
            return in_order_of(pool.MaxPoolValues.bind(input, **w), input)
        return in_order_of(pool.MaxPool.bind(input, **w)[0], input)
    found = quickly("window places", table, input, np.int64)
    if found is not None:
        return in_order_of(wrap(found[0]), input), in_order_of(wrap(found[1]), input)
    values, taps = pool.MaxPool.bind(input, **w)
    values = in_order_of(values, input)
    where = {k: v for k, v in w.items() if k != "out"}
    places = pool.FlatIndices.bind(taps, space=shape[-rank:], **where)
    return values, in_order_of(places, input)


def with_indices(rank: int, doc: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """``max_pool{rank}d`` and its form that always returns indices."""

    def pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        return max_pool(
            rank, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
        )

    def indexed(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        return max_pool(rank, input, kernel_size, stride, padding, dilation, ceil_mode, True)

    return named(pool, f"max_pool{rank}d", doc), named(
        indexed, f"max_pool{rank}d_with_indices", doc
    )


def named(function: Callable[..., Any], name: str, doc: str) -> Callable[..., Any]:
    """Give a function its public name and text."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


MAX_POOL = """Maxima of windows over {dims}.

    Args:
        input: ``(N, C, {letters})`` or ``(C, {letters})``.
        kernel_size: size of the window, an int or one for each dim.
        stride: steps of the window; the default is its size.
        padding: how many positions of minus infinity to add on both sides, at most half of
            kernel_size.
        dilation: distance between the elements of a window.
        ceil_mode: also take the last window when only a part of it lies in the input.
        return_indices: also return where the maxima are in the flattened plane, int64 (for
            ``max_unpool``).

    Raises:
        RuntimeError: padding is more than half of kernel_size.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.tensor([1.0, 3.0, 2.0, 0.0]).reshape(1, {shape})
        >>> values, places = F.max_pool{rank}d(x, {window}, return_indices=True)
        >>> values.flatten(), places.flatten()
        (tensor([3., 2.]), tensor([1, 2]))
    """


max_pool1d, max_pool1d_with_indices = with_indices(
    1, MAX_POOL.format(rank=1, dims="one dim", letters="L", shape="4", window="2")
)


max_pool2d, max_pool2d_with_indices = with_indices(
    2, MAX_POOL.format(rank=2, dims="two dims", letters="H, W", shape="1, 4", window="(1, 2)")
)


max_pool3d, max_pool3d_with_indices = map(
    in_float32_on_cpu,
    with_indices(
        3,
        MAX_POOL.format(
            rank=3, dims="three dims", letters="D, H, W", shape="1, 1, 4", window="(1, 1, 2)"
        ),
    ),
)


def avg_pool(
    name: str,
    rank: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    include_pad: bool,
    divisor: int | None,
) -> Tensor:
    """Average pooling over ``rank`` dims."""
    if divisor == 0:
        raise RuntimeError(f"{name}: divisor must be not zero.")
    try:
        shape = input._array.shape
    except AttributeError:
        raise no_tensor(name, input) from None
    w, table = averages(
        include_pad, divisor, name, shape, rank, kernel_size, stride, padding, 1, ceil_mode
    )
    found = quickly(MEANS, table, input)
    if found is not None:  # of rows in order, which the result has too
        return wrap(found)
    check_floating(name, input, dtypes.int64)
    means = AvgPool.bind(input, **w)
    return in_order_of_lines(means, input) if rank == 1 else in_order_of(means, input)


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Means of windows over one dim. Arguments as in ``avg_pool2d``.

    Shape: ``(N, C, L) -> (N, C, L')`` or both without N, with
    ``L' = floor((L + 2 padding - kernel_size) / stride) + 1``.

    Raises:
        RuntimeError: padding is more than half of kernel_size.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.tensor([[1.0, 3.0, 2.0, 6.0]])
        >>> F.avg_pool1d(x, 2)
        tensor([[2., 4.]])
    """
    return avg_pool(
        "avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
        None,
    )  # fmt: skip


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Means of windows over two dims.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``.
        kernel_size: size of the window, an int or one for each dim.
        stride: steps of the window; the default is its size.
        padding: zeros on both sides, at most half of kernel_size.
        ceil_mode: also take the last window when only a part of it lies in the input.
        count_include_pad: whether padding counts in the number that a sum is divided by.
        divisor_override: divide by this instead.

    Shape: ``(N, C, H, W) -> (N, C, H', W')`` or both without N, with
    ``H' = floor((H + 2 padding - kernel_size) / stride) + 1``.

    Raises:
        RuntimeError: divisor_override is 0.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.avg_pool2d(torch.arange(16.0).reshape(1, 4, 4), 2)
        tensor([[[ 2.5000,  4.5000],
                 [10.5000, 12.5000]]])
    """
    result = avg_pool(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
        divisor_override,
    )  # fmt: skip
    return result if out is None else stored_exactly(result, out)


@in_float32_on_cpu
def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Means of windows over three dims. Arguments as in ``avg_pool2d``.

    Shape: ``(N, C, D, H, W) -> (N, C, D', H', W')``, or both without N.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.avg_pool3d(torch.arange(8.0).reshape(1, 2, 2, 2), 2)
        tensor([[[[3.5000]]]])
    """
    result = avg_pool(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
        divisor_override,
    )  # fmt: skip
    return result if out is None else stored_exactly(result, out)


def lp_pool(
    rank: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Tensor:
    """p-norms of windows."""
    count = math.prod(expanded(kernel_size, rank, "kernel_size", f"lp_pool{rank}d"))
    options = kernel_size, stride, 0, ceil_mode, True, None
    mean = avg_pool(f"avg_pool{rank}d", rank, input.pow(norm_type), *options)
    return (mean.sign() * mean.abs().relu()).mul(count).pow(1.0 / norm_type)


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: int, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """``sum(x^p)^(1 / p)`` of windows over one dim.

    Shape: ``(N, C, L) -> (N, C, L')``, or both without N.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.lp_pool1d(torch.tensor([[3.0, 4.0, 0.0, 2.0]]), 2, 2)
        tensor([[5., 2.]])
    """
    return lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """``sum(x^p)^(1 / p)`` of windows over two dims.

    Shape: ``(N, C, H, W) -> (N, C, H', W')``, or both without N.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.lp_pool2d(torch.tensor([[[1.0, 2.0], [4.0, 2.0]]]), 2, 2)
        tensor([[[5.]]])
    """
    return lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """``sum(x^p)^(1 / p)`` of windows over three dims.

    Shape: ``(N, C, D, H, W) -> (N, C, D', H', W')``, or both without N.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.lp_pool3d(torch.ones(1, 2, 2, 1), 2, (2, 2, 1))
        tensor([[[[2.]]]])
    """
    return lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)
