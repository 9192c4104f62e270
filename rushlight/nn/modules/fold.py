"""Fold and Unfold: images as columns of windows, and back."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.utils import fields

__all__ = ["Fold", "Unfold"]


class Fold(Module):
    """Adds columns of windows up to images; where windows overlap, values are summed.

    Args:
        output_size: height and width of the images.
        kernel_size: of a window.
        dilation: distance between the elements of a window.
        padding: zeros that were added around the images.
        stride: step between windows.

    Shape: ``(N, C kernel_size, L) -> (N, C, H, W)``, or without N; L is the number of windows.

    Example:
        >>> nn.Fold(output_size=(4, 4), kernel_size=2, stride=2)(torch.zeros(1, 12, 4)).shape
        torch.Size([1, 3, 4, 4])
    """

    def __init__(
        self,
        output_size: Any,
        kernel_size: Any,
        dilation: Any = 1,
        padding: Any = 0,
        stride: Any = 1,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        return fields(self, "output_size", "kernel_size", "dilation", "padding", "stride")


class Unfold(Module):
    """Takes every window out of images, each as a column.

    Args:
        kernel_size: of a window.
        dilation: distance between the elements of a window.
        padding: zeros added around the images.
        stride: step between windows.

    Shape: ``(N, C, H, W) -> (N, C kernel_size, L)``, or without N; L is the number of windows.

    Example:
        >>> nn.Unfold(kernel_size=2, stride=2)(torch.zeros(1, 3, 4, 4)).shape
        torch.Size([1, 12, 4])
    """

    def __init__(
        self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return fields(self, "kernel_size", "dilation", "padding", "stride")
