"""What convolutions and transposed convolutions share."""

from __future__ import annotations

import math
from typing import Any

from rushlight import tensor_api as T
from rushlight.nn import init
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.utils import _ntuple
from rushlight.nn.parameter import Parameter

PADDING_MODES = {"zeros", "reflect", "replicate", "circular"}


class _ConvNd(Module):
    """State, checks and initialisation of all convolutions. Subclasses set `spatial_dims`."""

    spatial_dims: int
    transposed = False

    def _setup(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        Module.__init__(self)
        each = _ntuple(self.spatial_dims)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = each(kernel_size)
        self.stride = each(stride)
        self.padding = padding if isinstance(padding, str) else each(padding)
        self.dilation = each(dilation)
        self.output_padding = each(output_padding)
        self.groups = groups
        self.padding_mode = padding_mode
        self._check()
        self._reversed_padding_repeated_twice = self._padding_of_each_side()
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.weight = Parameter(T.empty(self._weight_shape(), **factory))
        if bias:
            self.bias = Parameter(T.empty(out_channels, **factory))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _check(self) -> None:
        if self.groups <= 0:
            raise ValueError("groups must be a positive integer")
        if self.in_channels % self.groups:
            raise ValueError(
                f"in_channels must be divisible by groups, but {self.in_channels} is not by "
                f"{self.groups}."
            )
        if self.out_channels % self.groups:
            raise ValueError(
                f"out_channels must be divisible by groups, but {self.out_channels} is not by "
                f"{self.groups}."
            )
        if isinstance(self.padding, str):
            if self.padding not in ("same", "valid"):
                raise ValueError(
                    f"Invalid padding string {self.padding!r}, should be one of 'same', 'valid'"
                )
            if self.padding == "same" and any(s != 1 for s in self.stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
        if self.padding_mode not in PADDING_MODES:
            raise ValueError(
                f"padding_mode must be one of {PADDING_MODES}, "
                f"but got padding_mode='{self.padding_mode}'"
            )

    def _padding_of_each_side(self) -> list[int]:
        """Padding as `F.pad` takes it: last dim first, before and after."""
        if self.padding == "valid":
            return [0, 0] * self.spatial_dims
        if self.padding != "same":
            return [n for n in reversed(self.padding) for _ in range(2)]
        totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=False)]
        return [n for t in reversed(totals) for n in (t // 2, t - t // 2)]

    def _weight_shape(self) -> tuple[int, ...]:
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        return (first, second // self.groups, *self.kernel_size)

    def reset_parameters(self) -> None:
        """Draw weights and biases from ``U(-1/sqrt(k), 1/sqrt(k))``, k being the size of one
        output's window."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            if fan_in != 0:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, "
            f"kernel_size={self.kernel_size}, stride={self.stride}"
        )
        zeros = (0,) * len(self.output_padding)
        if self.padding != (0,) * len(self.padding):
            text += f", padding={self.padding}"
        if self.dilation != (1,) * len(self.dilation):
            text += f", dilation={self.dilation}"
        if self.output_padding != zeros:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({"padding_mode": "zeros", **state})
