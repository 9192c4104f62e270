"""Convolutions and transposed convolutions of one, two and three dimensions."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.nn.modules._conv import _ConvNd
from rushlight.nn.modules.conv_transpose import (
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    _ConvTransposeNd as _ConvTransposeNd,
)
from rushlight.nn.modules.lazy import LazyModuleMixin
from rushlight.nn.parameter import UninitializedParameter

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
]


class _Conv(_ConvNd):
    """What convolutions share."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self._setup(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            0,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, self.bias)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The result for another weight: subclasses call it, or replace it."""
        raise NotImplementedError

    def _padded(self, input: Tensor) -> tuple[Tensor, Any]:
        """The input and the padding that is left to do: padding other than with zeros is done
        here."""
        if self.padding_mode == "zeros":
            return input, self.padding
        return F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode), 0


class Conv1d(_Conv):
    """Cross-correlation of sequences with learnt kernels.

        out[n, o, t] = bias[o] + sum over i, k of weight[o, i, k] input[n, i, t stride + k dilation]

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, the number of kernels.
        kernel_size: length of a kernel.
        stride: step between windows.
        padding: added at both ends; or "same" for an output as long as the input, or "valid" for
            none.
        dilation: distance between the elements under a kernel.
        groups: channels are split into so many parts that do not mix; divides both numbers of
            channels.
        bias: whether there is a bias.
        padding_mode: what is added: "zeros", "reflect", "replicate" or "circular".
        device: where the parameters are.
        dtype: their element type.

    Shape: ``(N, C_in, L) -> (N, C_out, L_out)``, or without N; L_out is
    ``(L + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1``.

    Example:
        >>> nn.Conv1d(3, 8, kernel_size=3, padding=1)(torch.zeros(2, 3, 10)).shape
        torch.Size([2, 8, 10])
    """

    spatial_dims = 1

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        input, padding = self._padded(input)
        return F.conv1d(input, weight, bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_Conv):
    """Cross-correlation of images with learnt kernels.

        out[n, o, y, x] = bias[o] + sum over i, j, k of
            weight[o, i, j, k] input[n, i, y stride + j dilation, x stride + k dilation]

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, the number of kernels.
        kernel_size: height and width of a kernel; one number for both.
        stride: step between windows.
        padding: added on each side; or "same" for an output as large as the input, or "valid" for
            none.
        dilation: distance between the elements under a kernel.
        groups: channels are split into so many parts that do not mix; divides both numbers of
            channels.
        bias: whether there is a bias.
        padding_mode: what is added: "zeros", "reflect", "replicate" or "circular".
        device: where the parameters are.
        dtype: their element type.

    Shape: ``(N, C_in, H, W) -> (N, C_out, H_out, W_out)``, or without N; each size becomes
    ``(size + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1``.

    Example:
        >>> nn.Conv2d(3, 8, kernel_size=3, padding=1)(torch.zeros(2, 3, 5, 5)).shape
        torch.Size([2, 8, 5, 5])
    """

    spatial_dims = 2

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        input, padding = self._padded(input)
        return F.conv2d(input, weight, bias, self.stride, padding, self.dilation, self.groups)


class Conv3d(_Conv):
    """Cross-correlation of volumes with learnt kernels; arguments as `Conv2d`, with three sizes.

    Shape: ``(N, C_in, D, H, W) -> (N, C_out, D_out, H_out, W_out)``, or without N.

    Example:
        >>> nn.Conv3d(1, 4, kernel_size=3)(torch.zeros(2, 1, 5, 6, 7)).shape
        torch.Size([2, 4, 3, 4, 5])
    """

    spatial_dims = 3

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        input, padding = self._padded(input)
        return F.conv3d(input, weight, bias, self.stride, padding, self.dilation, self.groups)


class _LazyConv(LazyModuleMixin):
    """Takes `in_channels` from the first input; mixed in before a convolution."""

    def _defer(self, out_channels: int, bias: bool, device: Any, dtype: Any) -> None:
        self.out_channels = out_channels
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.in_channels != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Give the parameters their shapes and values, for inputs like this one."""
        if not self.has_uninitialized_params():
            return
        dims = self.spatial_dims
        if input.dim() not in (dims + 1, dims + 2):
            raise RuntimeError(
                f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to "
                f"{type(self).__name__}, but got input of size: {input.shape}"
            )
        self.in_channels = input.shape[-dims - 1]
        self._check()
        self.weight.materialize(self._weight_shape())
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class _LazyForwardConv(_LazyConv):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            0, 0, kernel_size, stride, padding, dilation, groups, False, padding_mode, device, dtype
        )
        self._defer(out_channels, bias, device, dtype)


class LazyConv1d(_LazyForwardConv, Conv1d):
    """A `Conv1d` that takes its `in_channels` from the first input it sees; other arguments as
    there.

    Example:
        >>> import rushlight as torch
        >>> layer = torch.nn.LazyConv1d(4, 3)
        >>> layer(torch.ones(2, 5, 8)).shape, layer.in_channels
        (torch.Size([2, 4, 6]), 5)
    """

    cls_to_become = Conv1d


class LazyConv2d(_LazyForwardConv, Conv2d):
    """A `Conv2d` that takes its `in_channels` from the first input it sees; other arguments as
    there.

    Example:
        >>> layer = nn.LazyConv2d(8, kernel_size=3)
        >>> layer(torch.zeros(1, 3, 6, 6)).shape, layer.in_channels
        (torch.Size([1, 8, 4, 4]), 3)
    """

    cls_to_become = Conv2d


class LazyConv3d(_LazyForwardConv, Conv3d):
    """A `Conv3d` that takes its `in_channels` from the first input it sees; other arguments as
    there.

    Example:
        >>> import rushlight as torch
        >>> layer = torch.nn.LazyConv3d(4, 3)
        >>> layer(torch.ones(2, 5, 8, 8, 8)).shape, layer.in_channels
        (torch.Size([2, 4, 6, 6, 6]), 5)
    """

    cls_to_become = Conv3d


class _LazyTransposedConv(_LazyConv):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            0,
            0,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            False,
            dilation,
            padding_mode,
            device,
            dtype,
        )
        self._defer(out_channels, bias, device, dtype)


class LazyConvTranspose1d(_LazyTransposedConv, ConvTranspose1d):
    """A `ConvTranspose1d` that takes its `in_channels` from the first input it sees; other
    arguments as there.

    Example:
        >>> import rushlight as torch
        >>> layer = torch.nn.LazyConvTranspose1d(4, 3)
        >>> layer(torch.ones(2, 5, 8)).shape, layer.in_channels
        (torch.Size([2, 4, 10]), 5)
    """

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyTransposedConv, ConvTranspose2d):
    """A `ConvTranspose2d` that takes its `in_channels` from the first input it sees; other
    arguments as there.

    Example:
        >>> import rushlight as torch
        >>> layer = torch.nn.LazyConvTranspose2d(4, 3)
        >>> layer(torch.ones(2, 5, 8, 8)).shape, layer.in_channels
        (torch.Size([2, 4, 10, 10]), 5)
    """

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyTransposedConv, ConvTranspose3d):
    """A `ConvTranspose3d` that takes its `in_channels` from the first input it sees; other
    arguments as there.

    Example:
        >>> import rushlight as torch
        >>> layer = torch.nn.LazyConvTranspose3d(4, 3)
        >>> layer(torch.ones(2, 5, 8, 8, 8)).shape, layer.in_channels
        (torch.Size([2, 4, 10, 10, 10]), 5)
    """

    cls_to_become = ConvTranspose3d
