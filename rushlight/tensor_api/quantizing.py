"""Training as if values were quantized: they stay floats, rounded to the levels they would have."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor
from rushlight.errors import DTypeError, GraphError, ShapeError
from rushlight.ops import quantize as Q
from rushlight.tensor_api._common import as_int, expect_tensor, wrap_dim

__all__ = ["fake_quantize_per_channel_affine", "fake_quantize_per_tensor_affine"]


def fake_quantize_per_tensor_affine(
    input: Tensor,
    scale: float | Tensor,
    zero_point: int | Tensor,
    quant_min: int,
    quant_max: int,
) -> Tensor:
    """``(clamp(round(x / scale + zero_point), quant_min, quant_max) - zero_point) * scale``: what a
    quantized tensor would hold, as floats. Shape: ``(*) -> (*)``.

    The gradient is that of the identity where the level lies in the range, else zero.

    Args:
        input: floats.
        scale: distance between two levels; a number or a tensor of one element, without gradient.
        zero_point: level of the value 0; an int in [quant_min, quant_max], or a tensor.
        quant_min: lowest level.
        quant_max: highest level, >= quant_min.

    Raises:
        RuntimeError: the range is empty, or zero_point outside of it.

    Example:
        >>> import rushlight as torch
        >>> torch.fake_quantize_per_tensor_affine(torch.tensor([0.04, 0.26, 9.0]), 0.1, 0, 0, 15)
        tensor([0.0000, 0.3000, 1.5000])
    """
    name = "fake_quantize_per_tensor_affine"
    expect_tensor(input, name)
    bounds = {
        "quant_min": as_int(quant_min, "quant_min"),
        "quant_max": as_int(quant_max, "quant_max"),
    }
    check_range(name, **bounds)
    if isinstance(zero_point, Tensor):
        zero_point = single(name, "zero_point", zero_point).int()
    else:
        zero_point = as_int(zero_point, "zero_point")
        check_zero_point(name, zero_point, zero_point, **bounds)
    if isinstance(scale, Tensor):
        scale = single(name, "scale", scale)
        check_constant(name, scale)
    else:
        scale = float(np.float32(scale))
    mask = Q.InLevels.bind(input, scale, zero_point, **bounds)
    return Q.FakeQuantizePerTensor.bind(input, scale, zero_point, mask, **bounds)  # type: ignore[no-any-return]


def fake_quantize_per_channel_affine(
    input: Tensor, scale: Tensor, zero_point: Tensor, axis: int, quant_min: int, quant_max: int
) -> Tensor:
    """``fake_quantize_per_tensor_affine`` with a scale and a zero point for each place along a dim.

    Args:
        input: floats.
        scale: distances between levels, float32 or bfloat16, (input.shape[axis],), without
            gradient.
        zero_point: levels of the value 0, each in [quant_min, quant_max]; int32, float32 or
            float16, of the same shape.
        axis: the dim, >= 0.
        quant_min: lowest level.
        quant_max: highest level, >= quant_min.

    Raises:
        RuntimeError: shapes or dtypes that do not fit, an empty range, zero points outside of it.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([[0.04, 0.26], [0.4, 2.6]])
        >>> scale, zero = torch.tensor([0.1, 1.0]), torch.zeros(2, dtype=torch.int32)
        >>> torch.fake_quantize_per_channel_affine(x, scale, zero, 0, 0, 15)
        tensor([[0.0000, 0.3000],
                [0.0000, 3.0000]])
    """
    name = "fake_quantize_per_channel_affine"
    for argument, t in ("input", input), ("scale", scale), ("zero_point", zero_point):
        expect_tensor(t, name, argument)
    bounds = {
        "quant_min": as_int(quant_min, "quant_min"),
        "quant_max": as_int(quant_max, "quant_max"),
    }
    check_dtype(name, "scale", scale, ("float32", "bfloat16"))
    check_dtype(name, "zero_point", zero_point, ("int32", "float32", "float16"))
    dim = wrap_dim(axis, input.ndim)
    if axis < 0:
        raise RuntimeError(f"{name}: axis is {axis}, but is counted from the first dim, 0.")
    if scale.ndim != 1 or scale.shape != zero_point.shape or len(scale) != input.shape[dim]:
        raise ShapeError(
            f"{name}: scale {tuple(scale.shape)} and zero_point {tuple(zero_point.shape)} must "
            f"have one dim, with an element for each of the {input.shape[dim]} places along dim "
            f"{dim} of input."
        )
    check_range(name, **bounds)
    if zero_point.numel():
        check_zero_point(name, zero_point.min(), zero_point.max(), **bounds)
    check_constant(name, scale)
    shape = [-1 if d == dim else 1 for d in range(input.ndim)]
    scale, zero_point = scale.view(shape), zero_point.view(shape)
    mask = Q.InLevels.bind(input, scale, zero_point, **bounds)
    return Q.FakeQuantizePerChannel.bind(input, scale, zero_point, mask, **bounds)  # type: ignore[no-any-return]


def single(name: str, argument: str, t: Tensor) -> Tensor:
    """A tensor of one element as a scalar."""
    if t.numel() != 1:
        raise RuntimeError(
            f"{name}: {argument} has {t.numel()} elements, but there is one for the whole tensor; "
            "fake_quantize_per_channel_affine takes several."
        )
    return t.reshape(())


def check_range(name: str, quant_min: int, quant_max: int) -> None:
    """There is at least one level."""
    if quant_min > quant_max:
        raise RuntimeError(
            f"{name}: quant_min is {quant_min}, which must be <= quant_max, {quant_max}."
        )


def check_zero_point(name: str, least: Any, most: Any, quant_min: int, quant_max: int) -> None:
    """Zero points from ``least`` to ``most`` are levels."""
    if least < quant_min or most > quant_max:
        raise RuntimeError(
            f"{name}: zero_point must be between quant_min, {quant_min}, and quant_max, "
            f"{quant_max}, but goes from {least} to {most}."
        )


def check_constant(name: str, scale: Tensor) -> None:
    """Scales have no gradient."""
    if modes.grad and scale.requires_grad:
        raise GraphError(
            f"{name}: is not differentiable with respect to scale, which requires grad; "
            "pass scale.detach()."
        )


def check_dtype(name: str, argument: str, t: Tensor, allowed: tuple[str, ...]) -> None:
    """The dtype is one of those."""
    found = dtypes.of[t._array.dtype].name
    if found not in allowed:
        raise DTypeError(f"{name}: {argument} is {found}, but must be {' or '.join(allowed)}.")
