"""Weighted sums and products of tensors: lerp, addcmul, addcdiv."""

from __future__ import annotations

from typing import Any

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.tensor import Tensor
from rushlight.errors import DTypeError, NotSupportedError
from rushlight.ops import weighted as W
from rushlight.tensor_api._common import (
    method,
    methods,
    numbers_first,
    scalar,
    stored,
    stored_exactly,
)

__all__ = ["addcdiv", "addcmul", "lerp"]


@method
def lerp(input: Tensor, end: Tensor, weight: Any, *, out: Tensor | None = None) -> Tensor:
    """``input + weight * (end - input)``; weight a number or a tensor.

    Example:
        >>> import rushlight as torch
        >>> torch.lerp(torch.zeros(2), torch.ones(2), 0.25)
        tensor([0.2500, 0.2500])
    """
    _check_lerp(input, end, weight)
    result = W.Lerp.bind(input, end, weight)
    if isinstance(weight, Tensor):
        return stored_exactly(known_as("LerpBackward1", result), out)
    return stored(result, out)


def _check_lerp(input: Tensor, end: Tensor, weight: Any) -> None:
    for name, t in (("end", end), ("weight", weight)):
        if (
            isinstance(t, Tensor)
            and t._array.dtype != input._array.dtype
            and (t._array.ndim or name == "end")
        ):
            raise DTypeError(
                f"expected dtype {input._array.dtype} for `{name}` but got dtype {t._array.dtype}; "
                "convert one of them."
            )
    if input._array.dtype not in dtypes.DIFFERENTIABLE:
        raise NotSupportedError(
            f"lerp: not implemented for {dtypes.of[input._array.dtype].name}; convert with"
            " .float()."
        )


def _lerp_(self: Tensor, end: Tensor, weight: Any) -> Tensor:
    _check_lerp(self, end, weight)
    return W.Lerp.update(self, end, weight)  # type: ignore[no-any-return]


@method
@numbers_first("value")
def addcmul(
    input: Tensor, tensor1: Any, tensor2: Any, *, value: Any = 1, out: Tensor | None = None
) -> Tensor:
    """``input + value * tensor1 * tensor2``, broadcast.

    Example:
        >>> import rushlight as torch
        >>> a, b = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0])
        >>> torch.addcmul(torch.ones(2), a, b, value=10)
        tensor([21., 81.])
    """
    value = scalar(value, "value")
    return stored(W.Addcmul.bind(input, tensor1, tensor2, value=value), out)


@method
@numbers_first("value")
def addcdiv(
    input: Tensor, tensor1: Any, tensor2: Any, *, value: Any = 1, out: Tensor | None = None
) -> Tensor:
    """``input + value * tensor1 / tensor2``, broadcast; not for integers.

    Example:
        >>> import rushlight as torch
        >>> a, b = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0])
        >>> torch.addcdiv(torch.ones(2), a, b, value=10)
        tensor([6., 6.])
    """
    value = scalar(value, "value")
    return stored(W.Addcdiv.bind(input, tensor1, tensor2, value=value), out)


methods(lerp_=_lerp_)


@method
@numbers_first("value")
def addcmul_(self: Tensor, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
    """In-place form of ``addcmul``."""
    value = scalar(value, "value")
    return W.Addcmul.update(self, tensor1, tensor2, value=value)  # type: ignore[no-any-return]


@method
@numbers_first("value")
def addcdiv_(self: Tensor, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
    """In-place form of ``addcdiv``."""
    value = scalar(value, "value")
    return W.Addcdiv.update(self, tensor1, tensor2, value=value)  # type: ignore[no-any-return]
