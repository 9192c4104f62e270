"""Modules on other devices, in other dtypes and layouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from rushlight import devices, dtypes
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.nn.modules._registry import registry
from rushlight.nn.modules._state import Conversion
from rushlight.nn.parameter import Parameter
from rushlight.tensor_api import empty_like


class Movable:
    """The part of `Module` that moves and converts what it holds."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replace the data of every parameter, gradient and buffer by `fn` of it. Parameters stay
        the same objects, unless ``__future__`` says otherwise."""
        if recurse:
            for child in self.children():
                child._apply(fn)
        for name, parameter in self._parameters.items():
            if parameter is None:
                continue
            with no_grad():
                if Conversion.overwrite and not Conversion.swap:
                    old, parameter = parameter, Parameter(parameter, parameter.requires_grad)
                    parameter.grad, self._parameters[name] = old.grad, parameter
                parameter.data = fn(parameter)
                if parameter.grad is not None:
                    parameter.grad.data = fn(parameter.grad)
        buffers = registry(self, "_buffers")
        for name, buffer in buffers.items():
            if buffer is not None:
                buffers[name] = fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move to a device, or convert floating point parameters and buffers: ``to(device)``,
        ``to(dtype)``, ``to(device, dtype)`` or ``to(tensor)``, with ``non_blocking`` as in
        `Tensor.to`, or lay those of rank 4 or 5 out in another ``memory_format``. In place.

        Example:
            >>> nn.Linear(2, 1).to(torch.float64).weight.dtype
            torch.float64
        """
        device, dtype, non_blocking, memory_format = parse_to(*args, **kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, "
                f"but got desired dtype={dtype}"
            )

        def convert(t: Tensor) -> Tensor:
            floating = t.is_floating_point() or t.is_complex()
            order = memory_format if memory_format and t.dim() in (4, 5) else None
            return t.to(device, dtype if floating else None, non_blocking, memory_format=order)

        return self._apply(convert)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Move to a device without copying: the values are undefined afterwards."""
        return self._apply(lambda t: empty_like(t, device=device), recurse)

    def type(self, dst_type: Any) -> Self:
        """Convert all parameters and buffers to `dst_type`."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self) -> Self:
        """Convert floating point parameters and buffers to float32."""
        return _convert_floating(self, dtypes.by_name["float32"])

    def double(self) -> Self:
        """Convert floating point parameters and buffers to float64."""
        return _convert_floating(self, dtypes.by_name["float64"])

    def half(self) -> Self:
        """Convert floating point parameters and buffers to float16."""
        return _convert_floating(self, dtypes.by_name["float16"])

    def bfloat16(self) -> Self:
        """Convert floating point parameters and buffers to bfloat16."""
        return _convert_floating(self, dtypes.by_name["bfloat16"])

    def cuda(self, device: Any = None) -> Self:
        """Move to a CUDA device."""
        return self._apply(lambda t: t.cuda(device))

    def cpu(self) -> Self:
        """Move to the CPU."""
        return self._apply(lambda t: t.cpu())

    def share_memory(self) -> Self:
        """Move parameters and buffers to memory that other processes can share."""
        return self._apply(lambda t: t.share_memory_())


def _convert_floating(module: Any, dtype: Any) -> Any:
    return module._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)


def parse_to(
    *args: Any,
    device: Any = None,
    dtype: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
    tensor: Tensor | None = None,
) -> tuple[Any, Any, bool, Any]:
    """Sort the arguments of `to` by what they are: a tensor, a device, a dtype, a flag."""
    flags = []
    for value in args:
        if isinstance(value, Tensor):
            tensor = value
        elif isinstance(value, dtypes.dtype):
            dtype = value
        elif isinstance(value, bool):
            flags.append(value)
        elif value is not None:
            device = value
    if tensor is not None:
        device, dtype = tensor.device, tensor.dtype
    if device is not None:
        device = devices.device(device)
    return device, dtype, flags[0] if flags else non_blocking, memory_format
