"""Convolutions whose kernel looks where the data says."""

from __future__ import annotations

from typing import Any

from rushlight import nn, tensor_api as T
from rushlight.core.tensor import Tensor

__all__ = ["DeformConv2d", "deform_conv2d"]


def _pair(x: Any) -> tuple[int, int]:
    return (x, x) if isinstance(x, int) else (int(x[0]), int(x[1]))


def _between_pixels(images: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Pixels at places between them, by bilinear interpolation; zero outside.

    Shape: ``(N, G, C, H, W)`` at ``(N, G, L)`` -> ``(N, G, C, L)``.
    """
    n, groups, channels, height, width = images.shape
    flat = images.reshape(n, groups, channels, height * width)
    top, left = y.detach().floor(), x.detach().floor()
    total = None
    for row, by_row in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, by_column in ((left, 1 - (x - left)), (left + 1, x - left)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            index = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
            index = index.long().unsqueeze(2).expand(-1, -1, channels, -1)
            part = flat.gather(3, index) * (by_row * by_column * inside).unsqueeze(2)
            total = part if total is None else total + part
    assert total is not None
    return total


def deform_conv2d(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = (1, 1),
    padding: Any = (0, 0),
    dilation: Any = (1, 1),
    mask: Tensor | None = None,
) -> Tensor:
    """Convolution in which each pixel of the kernel is moved, at each place by other offsets.

    Args:
        input: ``(N, C, H, W)``.
        offset: ``(N, 2 G kh kw, H', W')``, how far down and right, in pixels, for each of G groups
            of channels and each pixel of the kernel.
        weight: ``(C', C / groups, kh, kw)``.
        bias: ``(C',)``.
        stride, padding, dilation: in pixels, numbers or pairs.
        mask: ``(N, G kh kw, H', W')``, factors of what the kernel sees.

    Shape: ``(N, C', H', W')``.

    Example:
        >>> import rushlight as torch
        >>> x, w = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2)
        >>> deform_conv2d(x, torch.zeros(1, 8, 3, 3), w)[0, 0, 0]
        tensor([4., 4., 4.])

    Reference: Dai et al., 2017, arXiv:1703.06211; Zhu et al., 2018, arXiv:1811.11168 (mask).
    """
    n, channels, height, width = input.shape
    made, per_group, *kernel = weight.shape
    area = kernel[0] * kernel[1]
    steps, pads, gaps = _pair(stride), _pair(padding), _pair(dilation)
    rows, columns = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, p, d, k, s in zip((height, width), pads, gaps, kernel, steps, strict=True)
    ]
    sets = offset.shape[1] // (2 * area)
    if tuple(offset.shape) != (n, 2 * max(sets, 1) * area, rows, columns):
        raise RuntimeError(
            f"deform_conv2d: offset is {tuple(offset.shape)}; for this input and weight it must be "
            f"({n}, a multiple of {2 * area}, {rows}, {columns})."
        )
    moves = offset.reshape(n, sets, area, 2, rows, columns)
    place = T.arange(area, device=input.device)
    y0 = (place // kernel[1] * gaps[0] - pads[0]).view(area, 1, 1)
    x0 = (place % kernel[1] * gaps[1] - pads[1]).view(area, 1, 1)
    y = moves[:, :, :, 0] + (y0 + T.arange(rows, device=input.device).view(rows, 1) * steps[0])
    x = moves[:, :, :, 1] + (x0 + T.arange(columns, device=input.device) * steps[1])
    images = input.reshape(n, sets, channels // sets, height, width)
    seen = _between_pixels(images, y.flatten(2), x.flatten(2))  # (N, G, C / G, kh kw H' W')
    if mask is not None:
        seen = seen * mask.reshape(n, sets, 1, -1)
    groups = channels // per_group
    seen = seen.reshape(n, groups, per_group * area, rows * columns)
    out = weight.reshape(groups, made // groups, per_group * area) @ seen
    out = out.reshape(n, made, rows, columns)
    return out if bias is None else out + bias.view(1, made, 1, 1)


class DeformConv2d(nn.Module):
    """Layer of `deform_conv2d`, whose offsets and mask are given with the input.

    Args:
        in_channels, out_channels: of input and output, both divisible by groups.
        kernel_size, stride, padding, dilation: in pixels, numbers or pairs.
        groups: of channels that do not see each other.
        bias: whether one is added.
    """

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
    ) -> None:
        super().__init__()
        for name, count in (("in_channels", in_channels), ("out_channels", out_channels)):
            if count % groups:
                raise ValueError(f"{name} ({count}) must be divisible by groups ({groups}).")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = _pair(kernel_size), _pair(stride)
        self.padding, self.dilation = _pair(padding), _pair(dilation)
        size = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = nn.Parameter(T.empty(size))
        self.bias = nn.Parameter(T.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew, as a convolution's."""
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        if self.bias is not None:
            bound = self.weight[0].numel() ** -0.5
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor, offset: Tensor, mask: Tensor | None = None) -> Tensor:
        return deform_conv2d(
            input, offset, self.weight, self.bias, self.stride, self.padding, self.dilation, mask
        )

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        usual = {"padding": (0, 0), "dilation": (1, 1), "groups": 1}
        text += f", stride={self.stride}"
        text += "".join(
            f", {k}={getattr(self, k)}" for k, v in usual.items() if getattr(self, k) != v
        )
        return text if self.bias is not None else text + ", bias=False"
