"""Activation functions that are also Tensor methods or top-level functions."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor, no_tensor
from rushlight.errors import ShapeError
from rushlight.ops import activation as A
from rushlight.ops.softmax import LogSoftmax, Softmax
from rushlight.tensor_api._common import (
    expect_tensor,
    method,
    methods,
    numpy_dtype,
    scalar,
    store_out,
    wrap_dim,
)
from rushlight.tensor_api.casting import in_lower_precision
from rushlight.tensor_api.conversion import cast

__all__ = ["hardshrink", "log_softmax", "prelu", "relu", "relu_", "softmax"]


def relu(input: Tensor) -> Tensor:
    """``max(0, x)``. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> torch.relu(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    return A.Relu.bind(expect_tensor(input, "relu"))  # type: ignore[no-any-return]


def relu_(input: Tensor) -> Tensor:
    """In-place form of ``relu``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.tensor([-2.0, 0.0, 3.0])
        >>> F.relu_(x) is x
        True
        >>> x
        tensor([0., 0., 3.])
    """
    return A.Relu.update(input)  # type: ignore[no-any-return]


methods(relu=A.Relu.bind, relu_=A.Relu.update)


@method
def hardshrink(input: Tensor, lambd: float = 0.5, *, out: Tensor | None = None) -> Tensor:
    """``x`` where ``|x| > lambd``, else 0. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.hardshrink(torch.tensor([-2.0, 0.3, 3.0]))
        tensor([-2.,  0.,  3.])
    """
    result = A.Hardshrink.bind(input, lambd=scalar(lambd, "lambd"))
    return result if out is None else store_out(out, result, exact=True)  # type: ignore[no-any-return]


@method
@in_lower_precision
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """``x`` where positive, else ``weight * x``; one weight for all, or one for each channel (dim
    1).

    Shape: ``(N, C, *) -> (N, C, *)``, weight ``(1,)``, ``()`` or ``(C,)``.

    Raises:
        RuntimeError: weight has several elements, and their number is not that of channels.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.prelu(torch.tensor([-2.0, 3.0]), torch.tensor([0.25]))
        tensor([-0.5000,  3.0000])
    """
    try:
        n, size = input._array.ndim, weight._array.size
    except AttributeError:
        raise no_tensor("prelu", input, weight) from None
    if weight._array.ndim > 1:
        raise ShapeError(
            "prelu: Expected `weight` to be a scalar or 1D tensor, but got ndim ="
            f" {weight._array.ndim}"
        )
    if size != 1:
        channels = input._array.shape[1] if n > 1 else 1
        if not n:
            raise ShapeError(
                "prelu: Not allow zero-dim input tensor together with a weight of several elements."
            )
        if channels != size:
            raise ShapeError(
                "prelu: Mismatch of parameter numbers and input channel size. Found parameter"
                f" numbers = {size} and channel size = {channels}; use one weight, or one for each"
                " channel."
            )
        if n > 2:
            weight = weight.reshape(size, *(1,) * (n - 2))
    if weight._array.dtype != input._array.dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {input._array.dtype} and"
            f" {weight._array.dtype}; give both one dtype."
        )
    return A.Prelu.bind(input, weight.reshape(()) if n == 0 else weight)  # type: ignore[no-any-return]


def _softmax(op: Any, input: Tensor, dim: Any, dtype: Any, out: Any) -> Tensor:
    if dtype is not None:
        input = cast(input, numpy_dtype(dtype))
    result = op.bind(input, dim=wrap_dim(dim, input._array.ndim))
    return result if out is None else store_out(out, result, exact=True)  # type: ignore[no-any-return]


@method
def softmax(input: Tensor, dim: int, dtype: Any = None, *, out: Tensor | None = None) -> Tensor:
    """``exp(x)`` scaled to sum to 1 along ``dim``. Shape: ``(*) -> (*)``.

    Args:
        dim: along which the results sum to 1.
        dtype: convert the input to it first.

    Example:
        >>> import rushlight as torch
        >>> torch.softmax(torch.zeros(4), 0)
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    return _softmax(Softmax, input, dim, dtype, out)


@method
def log_softmax(input: Tensor, dim: int, dtype: Any = None, *, out: Tensor | None = None) -> Tensor:
    """Logarithm of ``softmax``, computed without underflow. Shape: ``(*) -> (*)``.

    Args:
        dim: along which the exponentials of the results sum to 1.
        dtype: convert the input to it first.
    """
    return _softmax(LogSoftmax, input, dim, dtype, out)
