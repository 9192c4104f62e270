"""Linear and bilinear maps."""

from __future__ import annotations

from rushlight import tensor_api as T
from rushlight.core.autograd import known_as
from rushlight.core.tensor import Tensor, no_tensor
from rushlight.errors import ShapeError
from rushlight.ops.matmul import Linear, same_dtype
from rushlight.tensor_api._common import store_out

__all__ = ["linear", "bilinear"]


def linear(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, *, out: Tensor | None = None
) -> Tensor:
    """``x W^T + b``.

    Shape: input ``(*, in)``, weight ``(out, in)`` or ``(in,)``, bias ``(out,)``; result
    ``(*, out)``.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.functional.linear(torch.ones(2, 3), torch.ones(1, 3), torch.ones(1))
        tensor([[4.],
                [4.]])
    """
    if out is not None:
        return store_out(out, linear(input, weight, bias), exact=True)
    try:
        shape = weight._array.shape
        if len(shape) == 2 and bias is not None and bias._array.shape == shape[:1]:
            return Linear.bind(input, weight, bias)  # type: ignore[no-any-return]
        sizes = input._array.shape
    except AttributeError:
        given = (input, weight) if bias is None else (input, weight, bias)
        if all([isinstance(t, Tensor) for t in given]):
            raise
        raise no_tensor("linear", *given) from None
    if len(shape) == 2:
        if sizes and sizes[-1] != shape[1]:
            raise ShapeError(
                f"linear: cannot multiply {sizes} by the weight {shape}"
                " transposed (mat1 and mat2 shapes cannot be multiplied); the input's last size"
                f" must be the layer's in_features, {shape[1]}."
            )
    result = T.matmul(input, weight.t())
    if bias is None:
        return result
    out = result + bias
    if out._array.shape != result._array.shape:
        raise ShapeError(
            f"linear: the bias, {bias._array.shape}, must have the layer's out_features,"
            f" {shape[:1]}, or broadcast to the result, {result._array.shape}."
        )
    return out


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``y_k = x1^T W_k x2 + b_k``.

    Shape: input1 ``(*, in1)``, input2 ``(*, in2)``, weight ``(out, in1, in2)``, bias ``(out,)``;
    result ``(*, out)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x1, x2 = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
        >>> F.bilinear(x1, x2, torch.eye(2).unsqueeze(0))  # the scalar product
        tensor([11.])
    """
    try:
        x, y, w = input1._array.shape, input2._array.shape, weight._array.shape
    except AttributeError:
        raise no_tensor("bilinear", input1, input2, weight) from None
    if x[:-1] != y[:-1]:
        raise ShapeError(
            f"bilinear(): input batch dimensions do not match: got {x} and {y}; all but the last"
            " must be equal."
        )
    if x[-1] != w[1] or y[-1] != w[2]:
        raise ShapeError(
            f"bilinear(): input sizes {x[-1]} and {y[-1]} do not match the weight {w}: (out, in1,"
            " in2) is expected."
        )
    for other in (input2, weight, bias):
        if other is not None:
            same_dtype("bilinear", input1._array, other._array)
    rows = input1.reshape(-1, x[-1])
    left = T.matmul(rows, weight.permute(1, 0, 2).reshape(w[1], -1))  # (n, out * in2)
    out = (left.reshape(-1, w[0], w[2]) * input2.reshape(-1, 1, w[2])).sum(-1, dtype=input1.dtype)
    out = out.reshape(*x[:-1], w[0])
    return known_as("ViewBackward0", out) if bias is None else out + bias
