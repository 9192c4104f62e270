"""Gradients of convolutions, as functions of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.state import enable_grad
from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.tensor_api.gradients import grad

__all__ = [
    "conv1d_input",
    "conv1d_weight",
    "conv2d_input",
    "conv2d_weight",
    "conv3d_input",
    "conv3d_weight",
]


def _gradient(
    convolve: Callable[..., Tensor], size: Any, other: Tensor, grad_output: Tensor, options: Any
) -> Tensor:
    """The gradient with respect to the argument of this size; it does not depend on its values."""
    with enable_grad():
        unknown = T.zeros(size, dtype=other.dtype, device=other.device, requires_grad=True)
        output = convolve(unknown, other.detach(), options)
    return grad(output, unknown, grad_output)[0]


def _pair(convolve: Callable[..., Tensor]) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    name = convolve.__name__

    def wrt_input(
        input_size: Any,
        weight: Tensor,
        grad_output: Tensor,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        def run(x: Tensor, w: Tensor, options: Any) -> Tensor:
            return convolve(x, w, None, *options)

        options = (stride, padding, dilation, groups)
        return _gradient(run, input_size, weight, grad_output, options)

    def wrt_weight(
        input: Tensor,
        weight_size: Any,
        grad_output: Tensor,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        def run(w: Tensor, x: Tensor, options: Any) -> Tensor:
            return convolve(x, w, None, *options)

        options = (stride, padding, dilation, groups)
        return _gradient(run, weight_size, input, grad_output, options)

    wrt_input.__name__, wrt_weight.__name__ = f"{name}_input", f"{name}_weight"
    wrt_input.__doc__ = (
        f"""The gradient of `F.{name}` with respect to its input, of `input_size`."""
    )
    wrt_weight.__doc__ = (
        f"""The gradient of `F.{name}` with respect to its weight, of `weight_size`."""
    )
    return wrt_input, wrt_weight


conv1d_input, conv1d_weight = _pair(F.conv1d)
conv2d_input, conv2d_weight = _pair(F.conv2d)
conv3d_input, conv3d_weight = _pair(F.conv3d)
