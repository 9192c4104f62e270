"""Transposed convolutions: layers that make sequences longer, and images larger."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.nn.modules._conv import _ConvNd


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
