"""Convolutions and their transposes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import dtypes, formats
from rushlight.core.autocast import lower_dtype
from rushlight.core.autograd import known_as
from rushlight.core.op import packed
from rushlight.core.tensor import Tensor, no_tensor, wrap
from rushlight.errors import DTypeError, ShapeError
from rushlight.ops.conv import Conv, ConvInput, Geometry, convolved, geometry, spread
from rushlight.tensor_api._common import as_int, unrecorded, warn_once

__all__ = [
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "conv_tbc",
]  # fmt: skip

CONVOLUTIONS = [f"conv{rank}d" for rank in range(4)]
TRANSPOSES = [f"conv_transpose{rank}d" for rank in range(4)]


def expanded(value: Any, rank: int, name: str, function: str) -> tuple[int, ...]:
    """A size for each spatial dim, from an int or a sequence of one or ``rank`` ints."""
    if value.__class__ is int or not hasattr(value, "__iter__") or getattr(value, "ndim", 1) == 0:
        return (value if value.__class__ is int else as_int(value, name),) * rank
    sizes = tuple([v if v.__class__ is int else as_int(v, name) for v in value])
    if len(sizes) == 1:
        return sizes * rank
    if len(sizes) != rank:
        raise ShapeError(
            f"{function}: expected {name} to be a single integer value or a list of {rank} values,"
            f" but got {value}."
        )
    return sizes


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: what a function of shapes and options returns is kept; lists count as tuples."""
    cached = functools.lru_cache(maxsize=256, typed=True)(function)

    def call(*args: Any) -> Any:
        try:
            return cached(*args)
        except TypeError:
            keys = [as_key(a) for a in args]
            if all([k is a for k, a in zip(keys, args, strict=True)]):
                raise
            return cached(*keys)

    return call


def as_key(value: Any) -> Any:
    """Lists, and arrays of numbers, as what a function may be remembered by."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return tuple(value) if value.__class__ is list else value


def check_dtypes(function: str, input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Refuse tensors of several dtypes."""
    x, w = input._array, weight._array
    dtypes_agree = x.dtype is w.dtype and (bias is None or bias._array.dtype is x.dtype)
    if not dtypes_agree and lower_dtype(input) is None:
        names = [dtypes.of[a.dtype].name for a in (x, w) if a is not None]
        raise DTypeError(
            f"{function}: Input type ({names[0]}) and weight type ({names[1]}) should be the same,"
            " and the"
            f" bias's{'' if bias is None else ' (' + dtypes.of[bias._array.dtype].name + ')'} too;"
            " convert one with .to()."
        )


def check(
    function: str, rank: int, x: Any, w: Any, bias: Any, groups: int, transposed: bool
) -> bool:
    """Refuse shapes that do not go together; whether the input has a batch dim."""
    if len(w) != rank + 2:
        raise ShapeError(
            f"{function}: expected a {rank + 2}-dim weight, (out, in / groups) and {rank} kernel"
            f" sizes, but it has shape {w}."
        )
    if len(x) not in (rank + 1, rank + 2):
        raise ShapeError(
            f"{function}: Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input to"
            f" {function}, but got input of size: {list(x)}"
        )
    if groups <= 0:
        raise ShapeError(f"{function}: non-positive groups is not supported, but groups={groups}.")
    channels = x[-rank - 1]
    expected = w[0] if transposed else w[1] * groups
    if channels != expected:
        last = "; its channels seem to come last: permute them" if x[-1] == expected else ""
        raise ShapeError(
            f"{function}: Given groups={groups}, weight of size {list(w)}, expected input{list(x)}"
            f" to have {expected} channels, but got {channels} channels instead{last}."
        )
    if w[0] % groups or w[0] < groups:
        raise ShapeError(
            f"{function}: Given groups={groups}, expected weight to be divisible by {groups} at"
            f" dimension 0, but got weight of size {list(w)} instead."
        )
    out = w[1] * groups if transposed else w[0]
    if bias is not None and bias != (out,):
        raise ShapeError(
            f"{function}: Given weight of size {list(w)}, expected bias to be 1-dimensional"
            f" with {out} elements, but got bias of size {list(bias)} instead."
        )
    return len(x) == rank + 2


def pads(
    padding: Any, rank: int, weight: Any, stride: Any, dilation: Any, function: str
) -> tuple[tuple[int, int], ...]:
    """(before, after) for each dim, from sizes, "valid" or "same"."""
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * rank
        if padding != "same":
            raise RuntimeError(
                f"{function}: Invalid padding string: {padding!r}; it is 'valid' or 'same'."
            )
        if any(s != 1 for s in stride):
            raise RuntimeError(
                f"{function}: padding='same' is not supported for strided convolutions, but stride"
                f" is {stride}."
            )
        totals = [d * (k - 1) for d, k in zip(dilation, weight[2:], strict=True)]
        if any([t % 2 for t in totals]):
            warn_once(
                "Using padding='same' with even kernel lengths and odd dilation pads one zero more "
                "after the input than before it: the outputs lie half a step off the inputs."
            )
        return tuple([(t // 2, t - t // 2) for t in totals])
    sizes = expanded(padding, rank, "padding", function)
    if min(sizes) < 0:
        raise RuntimeError(
            f"{function}: negative padding is not supported, but padding is {sizes}."
        )
    return tuple([(p, p) for p in sizes])


def in_order(out: Tensor, input: Tensor, weight: Tensor) -> Tensor:
    """The result with its channels last if those of either operand are."""
    if input._array.ndim == 3:
        return out
    wanted = formats.suggested(input._array) or formats.suggested(weight._array)
    return out if wanted is None else out.contiguous(memory_format=wanted)


def shapes_of(name: str, input: Tensor, weight: Tensor, bias: Tensor | None) -> Any:
    """The shapes of a convolution's tensors."""
    try:
        return input._array.shape, weight._array.shape, None if bias is None else bias._array.shape
    except AttributeError:
        raise no_tensor(name, input, weight, bias) from None


def convolve(
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    """A convolution over ``rank`` dims."""
    name = CONVOLUTIONS[rank]
    shapes = shapes_of(name, input, weight, bias)
    batched, options, few = conv_options(rank, *shapes, stride, padding, dilation, groups)
    if few is not None:
        arrays = unrecorded(input, weight) if bias is None else unrecorded(input, weight, bias)
        if arrays is not None:
            x, w, *b = arrays
            return in_order(wrap(convolved(few, x, packed(w), *b or [None])), input, weight)
    check_dtypes(name, input, weight, bias)
    x = input if batched else input.unsqueeze(0)
    out = in_order(Conv.bind(x, weight, bias, **options), x, weight)
    return out if batched else out.squeeze(0)


@remembered
def conv_options(
    rank: int,
    shape: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> tuple[bool, dict[str, Any], Geometry | None]:
    """Whether an input of this shape has a batch dim, the options of ``Conv``, and the geometry
    where that is computed at once.
    """
    name = f"conv{rank}d"
    batched = check(name, rank, shape, weight, bias, groups, False)
    stride = expanded(stride, rank, "stride", name)
    dilation = expanded(dilation, rank, "dilation", name)
    if min(stride) < 1:
        raise RuntimeError(f"{name}: non-positive stride is not supported, but stride is {stride}.")
    if min(dilation) < 1:
        raise RuntimeError(f"{name}: dilation should be greater than zero, but is {dilation}.")
    around = pads(padding, rank, weight, stride, dilation, name)
    for n, (a, b), k, d in zip(shape[-rank:], around, weight[2:], dilation, strict=True):
        if n + a + b < d * (k - 1) + 1:
            raise ShapeError(
                f"{name}: Calculated padded input size per channel: ({n + a + b}). Kernel size:"
                f" ({d * (k - 1) + 1}). Kernel size can't be greater than actual input size; pad"
                " the input, or use a smaller kernel."
            )
    options = {"stride": stride, "padding": around, "dilation": dilation, "groups": groups}
    few = batched and Conv.instance.at_once(math.prod(shape), weight)
    return batched, options, geometry(shape, weight, **options) if few else None


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution over one dim. Arguments as in ``conv2d``.

    Shape: input ``(N, C, L)`` or ``(C, L)``, weight ``(O, C / groups, K)``; result ``(N, O, L')``
    or ``(O, L')``.

    Raises:
        RuntimeError: the number of channels is not what weight and groups ask for.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.conv1d(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[[-1.0, 1.0]]]))  # differences
        tensor([[1., 2.]])
    """
    return convolve(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution (cross-correlation) over two dims.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``.
        weight: ``(O, C / groups, Kh, Kw)``.
        bias: ``(O)``.
        stride: steps of the window, an int or one for each dim.
        padding: zeros on both sides of each dim, or "valid" (none), or "same" (as many as keep the
            size; stride 1 only).
        dilation: distance between the taps of the kernel.
        groups: groups of channels that do not mix.

    Shape: result ``(N, O, H', W')``, with
    ``H' = (H + 2 padding - dilation (Kh - 1) - 1) / stride + 1``, rounded down.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2))
        tensor([[[[4., 4.],
                  [4., 4.]]]])
    """
    return convolve(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution over three dims. Arguments as in ``conv2d``.

    Shape: input ``(N, C, D, H, W)`` or ``(C, D, H, W)``, weight ``(O, C / groups, Kd, Kh, Kw)``.

    Raises:
        RuntimeError: the number of channels is not what weight and groups ask for.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.conv3d(torch.ones(1, 2, 2, 2), torch.ones(1, 1, 2, 2, 2))
        tensor([[[[8.]]]])
    """
    return convolve(3, input, weight, bias, stride, padding, dilation, groups)


def transposed(
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Tensor:
    """A transposed convolution over ``rank`` dims."""
    name = TRANSPOSES[rank]
    shapes = shapes_of(name, input, weight, bias)
    batched, options, few = transposed_options(
        rank, *shapes, stride, padding, output_padding, groups, dilation
    )
    arrays = unrecorded(input, weight) if few is not None and bias is None else None
    if arrays is not None:
        x, w = arrays
        return in_order(wrap(spread(few, x, packed(w))), input, weight)
    check_dtypes(name, input, weight, bias)
    x = input if batched else input.unsqueeze(0)
    out = in_order(ConvInput.bind(x, weight, bias, **options), x, weight)
    return out if batched else out.squeeze(0)  # type: ignore[no-any-return]


@remembered
def transposed_options(
    rank: int,
    shape: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> tuple[bool, dict[str, Any], Geometry | None]:
    """Whether an input of this shape has a batch dim, the options of ``ConvInput``, and the
    geometry where that is computed at once.
    """
    name = f"conv_transpose{rank}d"
    batched = check(name, rank, shape, weight, bias, groups, True)
    stride = expanded(stride, rank, "stride", name)
    dilation = expanded(dilation, rank, "dilation", name)
    padding = expanded(padding, rank, "padding", name)
    extra = expanded(output_padding, rank, "output_padding", name)
    if min(stride) < 1 or min(dilation) < 1 or min(padding) < 0 or min(extra) < 0:
        raise RuntimeError(
            f"{name}: stride {stride} and dilation {dilation} must be positive, paddings {padding},"
            f" {extra} not negative."
        )
    for e, s, d in zip(extra, stride, dilation, strict=True):
        if e >= max(s, d):
            raise RuntimeError(
                f"{name}: output padding must be smaller than either stride or dilation, but is {e}"
                f" with {s} and {d}."
            )
    space = tuple(
        [
            (n - 1) * s - 2 * p + d * (k - 1) + e + 1
            for n, s, p, d, k, e in zip(
                shape[-rank:],
                stride,
                padding,
                dilation,
                weight[2:],
                extra,
                strict=True,
            )
        ]
    )
    if min(space) < 1:
        raise ShapeError(
            f"{name}: the calculated output size {space} is too small; use less padding or a larger"
            " kernel."
        )
    options = {
        "stride": stride,
        "padding": tuple([(p, p) for p in padding]),
        "dilation": dilation,
        "groups": groups,
    }
    few = None
    if batched and math.prod(shape) < ConvInput.least:
        whole = (shape[0], weight[1] * groups, *space)
        few = geometry(whole, weight, **options, out=shape[2:])
    return batched, {"space": space, **options}, few


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Transposed convolution over one dim. Arguments as in ``conv_transpose2d``.

    Shape: input ``(N, C, L)`` or ``(C, L)``, weight ``(C, O / groups, K)``; result ``(N, O, L')``
    or ``(O, L')``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.conv_transpose1d(torch.tensor([[1.0, 2.0]]), torch.tensor([[[1.0, 0.5]]]), stride=2)
        tensor([[1.0000, 0.5000, 2.0000, 1.0000]])
    """
    return transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Transposed convolution over two dims: the gradient of ``conv2d`` by its input, as a layer
    that enlarges.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``.
        weight: ``(C, O / groups, Kh, Kw)``.
        stride: steps of the window in the result.
        padding: how much of each side of the result is cut off.
        output_padding: added to one side of the result, smaller than stride or dilation.

    Shape: result ``(N, O, H', W')``, with
    ``H' = (H - 1) stride - 2 padding + dilation (Kh - 1) + output_padding + 1``.

    Raises:
        RuntimeError: output_padding is neither below stride nor below dilation.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.conv_transpose2d(torch.tensor([[[1.0, 2.0]]]), torch.ones(1, 1, 2, 2), stride=2)
        tensor([[[1., 1., 2., 2.],
                 [1., 1., 2., 2.]]])
    """
    return transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Transposed convolution over three dims. Arguments as in ``conv_transpose2d``.

    Shape: input ``(N, C, D, H, W)`` or ``(C, D, H, W)``, weight ``(C, O / groups, Kd, Kh, Kw)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.conv_transpose3d(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 2, 2))
        tensor([[[[1., 1.],
                  [1., 1.]]]])
    """
    return transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """``conv1d`` with time first. Shape: input ``(T, N, C)``, weight ``(K, C, O)``, bias ``(O)``;
    result ``(T', N, O)``.

    Args:
        pad: how many zeros to add on both ends.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.conv_tbc(torch.ones(3, 1, 1), torch.ones(2, 1, 1), torch.zeros(1)).flatten()
        tensor([2., 2.])
    """
    out = conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return known_as("ConvTbcBackward0", out.permute(2, 0, 1))
