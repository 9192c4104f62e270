"""Pooling whose windows follow from the size of the output."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.nn.modules.module import Module


class _AdaptiveAvgPoolNd(Module):
    """What adaptive average pools share."""

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveMaxPoolNd(_AdaptiveAvgPoolNd):
    """What adaptive max pools share."""

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """The largest value in each of `output_size` windows that together cover a sequence.

    Args:
        output_size: length of the output.
        return_indices: return also where the largest were.

    Shape: ``(N, C, L) -> (N, C, output_size)``, or without N.

    Example:
        >>> nn.AdaptiveMaxPool1d(2)(torch.tensor([[1.0, 3.0, 5.0, 7.0]]))
        tensor([[3., 7.]])
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """The largest value in each of ``H_out x W_out`` windows that together cover an image.

    Args:
        output_size: (H_out, W_out), None for a size that stays; one number for both.
        return_indices: return also where the largest were.

    Shape: ``(N, C, H, W) -> (N, C, H_out, W_out)``, or without N.

    Example:
        >>> nn.AdaptiveMaxPool2d((2, 1))(torch.zeros(1, 5, 6)).shape
        torch.Size([1, 2, 1])
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """The largest value in each of ``D_out x H_out x W_out`` windows that together cover a volume.

    Args:
        output_size: (D_out, H_out, W_out), None for a size that stays; one number for all.
        return_indices: return also where the largest were.

    Shape: ``(N, C, D, H, W) -> (N, C, D_out, H_out, W_out)``, or without N.

    Example:
        >>> nn.AdaptiveMaxPool3d(2)(torch.zeros(1, 4, 5, 6)).shape
        torch.Size([1, 2, 2, 2])
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """The mean of each of `output_size` windows that together cover a sequence.

    Args:
        output_size: length of the output.

    Shape: ``(N, C, L) -> (N, C, output_size)``, or without N.

    Example:
        >>> nn.AdaptiveAvgPool1d(2)(torch.tensor([[1.0, 3.0, 5.0, 7.0]]))
        tensor([[2., 6.]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """The mean of each of ``H_out x W_out`` windows that together cover an image.

    Args:
        output_size: (H_out, W_out), None for a size that stays; one number for both.

    Shape: ``(N, C, H, W) -> (N, C, H_out, W_out)``, or without N.

    Example:
        >>> nn.AdaptiveAvgPool2d(1)(torch.ones(2, 3, 5, 7)).shape
        torch.Size([2, 3, 1, 1])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """The mean of each of ``D_out x H_out x W_out`` windows that together cover a volume.

    Args:
        output_size: (D_out, H_out, W_out), None for a size that stays; one number for all.

    Shape: ``(N, C, D, H, W) -> (N, C, D_out, H_out, W_out)``, or without N.

    Example:
        >>> nn.AdaptiveAvgPool3d((1, 2, None))(torch.zeros(1, 4, 5, 6)).shape
        torch.Size([1, 1, 2, 6])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool3d(input, self.output_size)
