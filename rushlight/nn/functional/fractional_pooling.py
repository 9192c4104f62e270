"""Pooling of windows at random places."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.autograd import known_as
from rushlight.core.tensor import Tensor, expect_tensors
from rushlight.errors import ShapeError
from rushlight.nn.functional.conv import expanded
from rushlight.nn.functional.pooling import check_dims, named
from rushlight.tensor_api.casting import in_float32_on_cpu

__all__ = [
    "fractional_max_pool2d", "fractional_max_pool3d", "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d_with_indices",
]  # fmt: skip


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
            output_size = size_by_ratio(name, space, output_ratio)
        out = expanded(output_size, rank, "output_size", name)
        kernel = expanded(kernel_size, rank, "kernel_size", name)
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
        if x is not input:
            values, places = values.squeeze(0), places.squeeze(0)
        return known_as(f"FractionalMaxPool{rank}DBackward0", values), places

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


def size_by_ratio(name: str, space: tuple[int, ...], ratio: Any) -> list[int]:
    """The result's size, by its ratio to the input's: a number, or one for each dim."""
    ratios = ratio if hasattr(ratio, "__iter__") else (ratio,) * len(space)
    if min(ratios) <= 0 or max(ratios) >= 1:
        raise ValueError(f"{name}: output_ratio must be between 0 and 1 (got {ratio})")
    return [int(n * r) for n, r in zip(space, ratios, strict=True)]


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
