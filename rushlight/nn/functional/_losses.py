"""What losses share. ``reduction`` is "mean" (the default), "sum" or "none"; the two flags
``size_average`` and ``reduce`` are its old form.
"""

from __future__ import annotations

from typing import Any

from rushlight import dtypes, tensor_api as T
from rushlight.core.tensor import Tensor, no_tensor
from rushlight.errors import DTypeError, NotSupportedError, warn_user
from rushlight.nn._reduction import legacy_get_string
from rushlight.tensor_api.conversion import cast

REDUCTIONS = ("mean", "sum", "none")


def reduction_of(size_average: Any, reduce: Any, reduction: str) -> str:
    """The reduction asked for, by either form."""
    if size_average is not None or reduce is not None:
        return legacy_get_string(size_average, reduce)
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"{reduction} is not a valid value for reduction; it is 'mean', 'sum' or 'none'."
        )
    return reduction


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The reduction of a tensor of losses."""
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def alike(input: tuple[int, ...], target: tuple[int, ...]) -> str:
    """How shapes that differ by a last dim of size 1, as one score a sample has, are made alike."""
    if input == (*target, 1):
        return " Take the last dim of the input away: squeeze(-1)."
    return " Take the last dim of the target away: squeeze(-1)." if target == (*input, 1) else ""


def matched(input: Tensor, target: Tensor, name: str | None) -> tuple[Tensor, Tensor]:
    """Input and target with one dtype and shape; shapes that only match by broadcasting get a
    warning that names the function.
    """
    try:
        x, y = input._array, target._array
    except AttributeError:
        raise no_tensor(name or "loss", input, target) from None
    if x.shape != y.shape:
        if name is not None:
            warn_user(
                f"Using a target size ({target.size()}) that is different to the input size"
                f" ({input.size()}). This will likely lead to incorrect results due to"
                f" broadcasting. Please ensure they have the same size in {name}."
                f"{alike(x.shape, y.shape)}"
            )
        input, target = T.broadcast_tensors(input, target)
    if x.dtype is not y.dtype:
        d = dtypes.result_type((x, y))
        input = input if x.dtype == d else cast(input, d)
        target = target if y.dtype == d else cast(target, d)
    return input, target


def expect_floats(name: str, *tensors: Tensor) -> None:
    """Refuse integers, bools and complex numbers."""
    for x in tensors:
        if x._array.dtype not in dtypes.FLOATING_TYPES:
            raise NotSupportedError(
                f"{name}: expected real floating-point numbers, but got {x.dtype}; convert them "
                "with .float()."
            )


def in_dtype_of(given: Tensor, loss: Tensor, name: str) -> Tensor:
    """A loss whose dtype is not the promoted one, but that of one of the tensors given."""
    have, want = loss._array.dtype, given._array.dtype
    if have is want:
        return loss
    if dtypes.CATEGORY[have] > dtypes.CATEGORY[want]:
        raise DTypeError(
            f"{name}: result type {dtypes.of[have].name} can't be cast to the desired output type"
            f" {dtypes.of[want].name}; convert input and target to one floating-point dtype."
        )
    return cast(loss, want)


def check_weight(weight: Tensor, loss: Tensor) -> None:
    """Weights have the shape of what they weigh."""
    if weight._array.shape != loss._array.shape:
        raise ValueError(
            "Weights and input must have the same size, but they have"
            f" {weight._array.shape} and {loss._array.shape}."
        )


def weighted(loss: Tensor, weight: Tensor, reduction: str) -> Tensor:
    """A weighted loss; a mean divides by the sum of the weights."""
    check_weight(weight, loss)
    loss = loss * weight
    return loss.sum() / weight.sum() if reduction == "mean" else reduced(loss, reduction)
