"""Convolutions and transposed convolutions of one, two and three dimensions."""

from __future__ import annotations

import math
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F, init
from rushlight.nn.modules.lazy import LazyModuleMixin
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.utils import _ntuple
from rushlight.nn.parameter import Parameter, UninitializedParameter

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


class _ConvTransposeNd(_ConvNd):
    """What transposed convolutions share."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
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
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        self._setup(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            output_padding,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _output_padding(
        self,
        input: Tensor,
        output_size: Any,
        stride: Any,
        padding: Any,
        kernel_size: Any,
        num_spatial_dims: int,
        dilation: Any = None,
    ) -> Any:
        """How much to add at the end so that the output is of `output_size`.

        A stride above 1 lets several sizes lead to one; this chooses among those. The arguments are
        PyTorch's, for layers of one's own that call it.
        """
        if output_size is None:
            return self.output_padding
        dims = num_spatial_dims
        wanted = tuple(output_size)
        if len(wanted) == input.dim():
            wanted = wanted[-dims:]
        if len(wanted) != dims:
            raise ValueError(
                f"ConvTranspose{dims}D: for {input.dim()}D input, output_size must have {dims} or "
                f"{input.dim()} elements (got {len(wanted)})"
            )
        smallest = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                input.size()[-dims:],
                stride,
                padding,
                dilation or (1,) * dims,
                kernel_size,
                strict=True,
            )
        ]
        largest = [n + s - 1 for n, s in zip(smallest, stride, strict=True)]
        if any(not a <= n <= b for a, n, b in zip(smallest, wanted, largest, strict=True)):
            raise ValueError(
                f"requested an output size of {wanted}, but valid sizes range from {smallest} to "
                f"{largest} (for an input of {input.size()[-dims:]})"
            )
        return tuple(n - a for n, a in zip(wanted, smallest, strict=True))

    def _padding_at_end(self, input: Tensor, output_size: Any) -> Any:
        """The same of this layer."""
        own = self.stride, self.padding, self.kernel_size, self.spatial_dims, self.dilation
        return self._output_padding(input, output_size, *own)


class ConvTranspose1d(_ConvTransposeNd):
    """The gradient of `Conv1d` with respect to its input, used as a layer that makes sequences
    longer.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: length of a kernel.
        stride: of the convolution that this undoes.
        padding: of the convolution that this undoes.
        output_padding: added to the output's length at its end, < stride or < dilation.
        groups: channels are split into so many parts that do not mix.
        bias: whether there is a bias.
        dilation: distance between the elements under a kernel.
        padding_mode: "zeros".
        device: where the parameters are.
        dtype: their element type.

    Shape: ``(N, C_in, L) -> (N, C_out, L_out)``, or without N; L_out is
    ``(L - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1``.

    Example:
        >>> nn.ConvTranspose1d(3, 2, kernel_size=2, stride=2)(torch.zeros(1, 3, 5)).shape
        torch.Size([1, 2, 10])
    """

    spatial_dims = 1

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        return F.conv_transpose1d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self._padding_at_end(input, output_size),
            self.groups,
            self.dilation,
        )


class ConvTranspose2d(_ConvTransposeNd):
    """The gradient of `Conv2d` with respect to its input, used as a layer that makes images larger.

    Arguments as `ConvTranspose1d`, with two sizes. `forward` also takes the output's size.

    Shape: ``(N, C_in, H, W) -> (N, C_out, H_out, W_out)``, or without N; each size becomes
    ``(size - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1``.

    Example:
        >>> nn.ConvTranspose2d(3, 2, kernel_size=2, stride=2)(torch.zeros(1, 3, 5, 5)).shape
        torch.Size([1, 2, 10, 10])
    """

    spatial_dims = 2

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        return F.conv_transpose2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self._padding_at_end(input, output_size),
            self.groups,
            self.dilation,
        )


class ConvTranspose3d(_ConvTransposeNd):
    """The gradient of `Conv3d` with respect to its input, used as a layer that makes volumes
    larger.

    Arguments as `ConvTranspose1d`, with three sizes.

    Shape: ``(N, C_in, D, H, W) -> (N, C_out, D_out, H_out, W_out)``, or without N.

    Example:
        >>> nn.ConvTranspose3d(3, 2, kernel_size=2, stride=2)(torch.zeros(1, 3, 2, 3, 4)).shape
        torch.Size([1, 2, 4, 6, 8])
    """

    spatial_dims = 3

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        return F.conv_transpose3d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self._padding_at_end(input, output_size),
            self.groups,
            self.dilation,
        )


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
