"""Pooling: windows of the input turned into one number each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from rushlight import dtypes
from rushlight import tensor_api as T
from rushlight.core.device_array import unseen
from rushlight.core.native import LEAST
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, expect_tensors, no_tensor, wrap
from rushlight.errors import NotSupportedError, ShapeError
from rushlight.nn.functional.conv import expanded, remembered
from rushlight.ops import pool as P
from rushlight.ops.scatter import Scatter
from rushlight.ops.windows import FEW, table_of
from rushlight.tensor_api._common import as_int, in_order_of, stored, unrecorded
from rushlight.tensor_api.casting import in_float32_on_cpu

__all__ = [
    "max_pool1d", "max_pool2d", "max_pool3d", "max_pool1d_with_indices",
    "max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool1d", "avg_pool2d",
    "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
    "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
    "adaptive_max_pool1d_with_indices", "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d_with_indices", "lp_pool1d", "lp_pool2d", "lp_pool3d", "max_unpool1d",
    "max_unpool2d", "max_unpool3d", "fractional_max_pool2d", "fractional_max_pool3d",
    "fractional_max_pool2d_with_indices", "fractional_max_pool3d_with_indices",
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
    return w, P.means_of(given[1], **w)


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
    pads, dilations = (
        expanded(padding, rank, "padding", name),
        expanded(dilation, rank, "dilation", name),
    )
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
            return in_order_of(P.MaxPoolValues.bind(input, **w), input)
        return in_order_of(P.MaxPool.bind(input, **w)[0], input)
    found = quickly("window places", table, input, np.int64)
    if found is not None:
        return in_order_of(wrap(found[0]), input), in_order_of(wrap(found[1]), input)
    values, taps = P.MaxPool.bind(input, **w)
    values = in_order_of(values, input)
    where = {k: v for k, v in w.items() if k != "out"}
    places = P.FlatIndices.bind(taps, space=shape[-rank:], **where)
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
    options = kernel_size, stride, padding, 1, ceil_mode
    w, table = averages(include_pad, divisor, name, shape, rank, *options)
    found = quickly(P.MEANS, table, input)
    if found is not None:  # of rows in order, which the result has too
        return wrap(found)
    check_floating(name, input, dtypes.int64)
    return in_order_of(P.AvgPool.bind(input, **w), input)


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
    options = stride, padding, ceil_mode, count_include_pad, None
    return avg_pool("avg_pool1d", 1, input, kernel_size, *options)


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
    options = stride, padding, ceil_mode, count_include_pad, divisor_override
    result = avg_pool("avg_pool2d", 2, input, kernel_size, *options)
    return result if out is None else stored(result, out)


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
    options = stride, padding, ceil_mode, count_include_pad, divisor_override
    result = avg_pool("avg_pool3d", 3, input, kernel_size, *options)
    return result if out is None else stored(result, out)


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
    return sizes, P.table_of_bins(shape, P.bins_of(space, sizes)) if few else None


def adaptive_avg_pool(rank: int, input: Tensor, output_size: Any) -> Tensor:
    """Means of as many bins as asked for."""
    check_floating(f"adaptive_avg_pool{rank}d", input)
    shape = input._array.shape
    out, table = target_sizes(f"adaptive_avg_pool{rank}d", shape, rank, output_size)
    quick = quickly(P.MEANS, table, input)
    if quick is not None:
        return in_order_of(wrap(quick), input)
    space = tuple(shape[-rank:])
    if all(o and n % o == 0 for n, o in zip(space, out, strict=True)):
        kernel = tuple([n // o for n, o in zip(space, out, strict=True)])
        if max(out) == 1:
            return input.mean(tuple(range(-rank, 0)), keepdim=True)
        zero = ((0, 0),) * rank
        found = P.AvgPool.bind(
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
        matrices = [P.bin_means(n, o) for n, o in zip(space, out, strict=True)]
        found = P.Along.bind(input, matrices=tuple(matrices))
    return in_order_of(found, input)


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

    def indexed(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        check_floating(f"adaptive_max_pool{rank}d", input)
        shape = input._array.shape
        out, table = target_sizes(f"adaptive_max_pool{rank}d", shape, rank, output_size)
        quick = quickly("window places", table, input, np.int64)
        if quick is not None:
            return in_order_of(wrap(quick[0]), input), in_order_of(wrap(quick[1]), input)
        bins = P.bins_of(input._array.shape[-rank:], out)
        if 0 in out:
            shape = (*input._array.shape[:-rank], *out)
            return input.new_zeros(shape), input.new_zeros(shape, dtype=dtypes.of[dtypes.int64])
        values, places = P.BinMax.bind(input, bins=bins)
        return in_order_of(values, input), in_order_of(places, input)

    def pool(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        result = indexed(input, output_size)
        return result if return_indices else result[0]

    name = f"adaptive_max_pool{rank}d"
    return named(pool, name, doc), named(indexed, name + "_with_indices", doc)


adaptive_max_pool1d, adaptive_max_pool1d_with_indices = adaptive_max(1)
adaptive_max_pool2d, adaptive_max_pool2d_with_indices = adaptive_max(2)
adaptive_max_pool3d, adaptive_max_pool3d_with_indices = map(in_float32_on_cpu, adaptive_max(3))


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
    return in_order_of(out, input) if rank == 2 else out


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


def fractional(rank: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """``fractional_max_pool{rank}d`` and its form that returns indices."""
    name = f"fractional_max_pool{rank}d"
    doc = f"""Maxima of windows at random places over {rank} dims.

    Args:
        input: ``(N, C, *)`` or ``(C, *)``.
        kernel_size: size of the window, an int or one for each dim.
        output_size: size of the result; or output_ratio, that size by the input's, in (0, 1).
        return_indices: also return where the maxima are in the flattened plane, int64.

    Shape: ``(N, C, *) -> (N, C, *output_size)``, or both without N.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.arange({4**rank}.0).reshape(1{", 4" * rank})
        >>> F.fractional_max_pool{rank}d(x, 2, output_size=2).max()  # the last window is fixed
        tensor({4**rank - 1}.)

    Reference: Graham, 2014, arXiv:1412.6071.
    """

    def indexed(
        input: Tensor,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> Any:
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
        expect_tensors(name, input)
        check_dims(name, input._array.shape, rank, channels=False)
        space = input._array.shape[-rank:]
        if output_size is None:
            ratios = output_ratio if hasattr(output_ratio, "__iter__") else (output_ratio,) * rank
            if min(ratios) <= 0 or max(ratios) >= 1:
                raise ValueError(
                    f"{name}: output_ratio must be between 0 and 1 (got {output_ratio})"
                )
            output_size = [int(n * r) for n, r in zip(space, ratios, strict=True)]
        out, kernel = (
            expanded(output_size, rank, "output_size", name),
            expanded(kernel_size, rank, "kernel_size", name),
        )
        for n, o, k in zip(space, out, kernel, strict=True):
            if o + k - 1 + (rank == 3) > n:
                raise ShapeError(
                    f"{name}: pool size {kernel} with output size {out} is too large relative to"
                    f" input size {space}."
                )
        x = input if input._array.ndim == rank + 2 else input.unsqueeze(0)
        n, c = x._array.shape[:2]
        samples = (
            T.rand(n, c, rank, dtype=input.dtype, device=input.device)
            if _random_samples is None
            else _random_samples
        )
        values, places = fractional_windows(x, samples, out, kernel)
        return (values, places) if x is input else (values.squeeze(0), places.squeeze(0))

    def pool(
        input: Tensor,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> Any:
        result = indexed(input, kernel_size, output_size, output_ratio, True, _random_samples)
        return result if return_indices else result[0]

    return named(pool, name, doc), named(indexed, name + "_with_indices", doc)


def fractional_windows(
    x: Tensor, samples: Tensor, out: tuple[int, ...], kernel: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Maxima of windows whose starts the samples (N, C, rank) choose, and their flat places."""
    rank = len(out)
    n, c, *space = x._array.shape
    index = fractional_places(samples[:n, :c], space, out, kernel)  # (N, C, *out, taps)
    shape = index._array.shape
    flat = index.reshape(n, c, math.prod(shape[2:]))
    values, best = x.reshape(n, c, math.prod(space)).gather(2, flat).reshape(shape).max(-1)
    return values, index.gather(2 + rank, best.unsqueeze(-1)).squeeze(-1)


def fractional_places(samples: Tensor, space: Any, out: Any, kernel: Any) -> Tensor:
    """Flat places (N, C, *out, taps) of the elements of windows; samples (N, C, rank), of two dims
    the last first.
    """
    rank = len(out)
    total: Any = 0
    for i, (n, o, k) in enumerate(zip(space, out, kernel, strict=True)):
        starts = fractional_starts(samples[..., rank - 1 - i if rank == 2 else i], n, o, k)
        places = starts.unsqueeze(-1) + T.arange(k, device=starts.device)  # (N, C, o, k)
        shape = [1] * (2 * rank)
        shape[i], shape[rank + i] = o, k
        total = total * n + places.reshape(*places._array.shape[:2], *shape)
    return total.reshape(*total._array.shape[: 2 + rank], math.prod(kernel))  # type: ignore[no-any-return]


def fractional_starts(sample: Tensor, n: int, out: int, kernel: int) -> Tensor:
    """Starts of ``out`` windows, by samples of any shape in [0, 1): (*, out)."""
    sample = sample.unsqueeze(-1)
    last = sample.new_full(sample._array.shape, n - kernel).long()
    if not out:
        return last[..., :0]  # type: ignore[no-any-return]
    if out == 1:
        return last  # type: ignore[no-any-return]
    alpha = float(sample._array.dtype.type((n - kernel) / (out - 1)))
    steps = T.arange(out - 1, dtype=sample.dtype, device=sample.device)
    starts = ((steps + sample) * alpha).trunc() - (sample * alpha).trunc()
    return T.cat([starts.long(), last], -1)


fractional_max_pool2d, fractional_max_pool2d_with_indices = map(in_float32_on_cpu, fractional(2))
fractional_max_pool3d, fractional_max_pool3d_with_indices = map(in_float32_on_cpu, fractional(3))
