"""Pooling: each window of the input becomes one number."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.nn.modules.adaptive_pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    _AdaptiveAvgPoolNd as _AdaptiveAvgPoolNd,
    _AdaptiveMaxPoolNd as _AdaptiveMaxPoolNd,
)
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.utils import _ntuple, fields

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class _MaxPoolNd(Module):
    """What max pools share."""

    return_indices: bool
    ceil_mode: bool

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def _options(self) -> dict[str, Any]:
        return {"ceil_mode": self.ceil_mode, "return_indices": self.return_indices}

    def extra_repr(self) -> str:
        return fields(self, "kernel_size", "stride", "padding", "dilation", "ceil_mode")


class MaxPool1d(_MaxPoolNd):
    """The largest value in each window of a sequence.

    Args:
        kernel_size: length of a window.
        stride: step between windows; kernel_size unless given.
        padding: -inf added at both ends, at most half of kernel_size.
        dilation: distance between the elements of a window.
        return_indices: return also where the largest were, for `MaxUnpool1d`.
        ceil_mode: keep a last window that is not full.

    Shape: ``(N, C, L) -> (N, C, L_out)``, or without N; L_out is
    ``(L + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1``, rounded up in ceil_mode.

    Example:
        >>> nn.MaxPool1d(2)(torch.tensor([[1.0, 3.0, 7.0, 5.0]]))
        tensor([[3., 7.]])
    """

    def forward(self, input: Tensor) -> Any:
        return F.max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, **self._options()
        )


class MaxPool2d(_MaxPoolNd):
    """The largest value in each window of an image; arguments as `MaxPool1d`, with one number or
    two.

    Shape: ``(N, C, H, W) -> (N, C, H_out, W_out)``, or without N.

    Example:
        >>> nn.MaxPool2d(2)(torch.arange(16.0).reshape(1, 1, 4, 4))
        tensor([[[[ 5.,  7.],
                  [13., 15.]]]])
    """

    def forward(self, input: Tensor) -> Any:
        return F.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, **self._options()
        )


class MaxPool3d(_MaxPoolNd):
    """The largest value in each window of a volume; arguments as `MaxPool1d`, with one number or
    three.

    Shape: ``(N, C, D, H, W) -> (N, C, D_out, H_out, W_out)``, or without N.

    Example:
        >>> nn.MaxPool3d(2)(torch.zeros(1, 4, 4, 4)).shape
        torch.Size([1, 2, 2, 2])
    """

    def forward(self, input: Tensor) -> Any:
        return F.max_pool3d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, **self._options()
        )


class _MaxUnpoolNd(Module):
    """What max unpools share."""

    spatial_dims: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        each = _ntuple(self.spatial_dims)
        self.kernel_size = each(kernel_size)
        self.stride = each(stride if stride is not None else kernel_size)
        self.padding = each(padding)

    def extra_repr(self) -> str:
        return fields(self, "kernel_size", "stride", "padding")


class MaxUnpool1d(_MaxUnpoolNd):
    """Puts values back where `MaxPool1d` took them from, zeros elsewhere.

    `forward` takes the values, the indices that the pool returned, and the output's size if there
    is a choice.

    Args:
        kernel_size: of the pool.
        stride: of the pool.
        padding: of the pool.

    Example:
        >>> x = torch.tensor([[1.0, 3.0, 7.0, 5.0]])
        >>> values, places = nn.MaxPool1d(2, return_indices=True)(x)
        >>> nn.MaxUnpool1d(2)(values, places)
        tensor([[0., 3., 7., 0.]])
    """

    spatial_dims = 1

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        where = self.kernel_size, self.stride, self.padding
        return F.max_unpool1d(input, indices, *where, output_size)


class MaxUnpool2d(_MaxUnpoolNd):
    """Puts values back where `MaxPool2d` took them from, zeros elsewhere; arguments as
    `MaxUnpool1d`.

    Example:
        >>> values, places = nn.MaxPool2d(2, return_indices=True)(torch.randn(1, 4, 4))
        >>> nn.MaxUnpool2d(2)(values, places).shape
        torch.Size([1, 4, 4])
    """

    spatial_dims = 2

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        where = self.kernel_size, self.stride, self.padding
        return F.max_unpool2d(input, indices, *where, output_size)


class MaxUnpool3d(_MaxUnpoolNd):
    """Puts values back where `MaxPool3d` took them from, zeros elsewhere; arguments as
    `MaxUnpool1d`.

    Example:
        >>> values, places = nn.MaxPool3d(2, return_indices=True)(torch.randn(1, 4, 4, 4))
        >>> nn.MaxUnpool3d(2)(values, places).shape
        torch.Size([1, 4, 4, 4])
    """

    spatial_dims = 3

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        where = self.kernel_size, self.stride, self.padding
        return F.max_unpool3d(input, indices, *where, output_size)


class _AvgPoolNd(Module):
    """What average pools share."""

    def extra_repr(self) -> str:
        return fields(self, "kernel_size", "stride", "padding")

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({"padding": 0, "ceil_mode": False, "count_include_pad": True, **state})


class AvgPool1d(_AvgPoolNd):
    """The mean of each window of a sequence.

    Args:
        kernel_size: length of a window.
        stride: step between windows; kernel_size unless given.
        padding: zeros added at both ends, at most half of kernel_size.
        ceil_mode: keep a last window that is not full.
        count_include_pad: whether the added zeros count.

    Shape: ``(N, C, L) -> (N, C, L_out)``, or without N; L_out is
    ``(L + 2 padding - kernel_size) // stride + 1``, rounded up in ceil_mode.

    Example:
        >>> nn.AvgPool1d(2)(torch.tensor([[1.0, 3.0, 5.0, 7.0]]))
        tensor([[2., 6.]])
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        single = _ntuple(1)
        self.kernel_size = single(kernel_size)
        self.stride = single(stride if stride is not None else kernel_size)
        self.padding = single(padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )


class _AvgPoolWithDivisor(_AvgPoolNd):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override


class AvgPool2d(_AvgPoolWithDivisor):
    """The mean of each window of an image; arguments as `AvgPool1d`, with one number or two.

    Args:
        divisor_override: divide the window's sum by this, instead of by its size.

    Shape: ``(N, C, H, W) -> (N, C, H_out, W_out)``, or without N.

    Example:
        >>> nn.AvgPool2d(2)(torch.arange(16.0).view(1, 4, 4))
        tensor([[[ 2.5000,  4.5000],
                 [10.5000, 12.5000]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool3d(_AvgPoolWithDivisor):
    """The mean of each window of a volume; arguments as `AvgPool2d`, with one number or three.

    Shape: ``(N, C, D, H, W) -> (N, C, D_out, H_out, W_out)``, or without N.

    Example:
        >>> nn.AvgPool3d(2)(torch.zeros(1, 4, 4, 4)).shape
        torch.Size([1, 2, 2, 2])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool3d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class _FractionalMaxPoolNd(Module):
    """What fractional max pools share: the output's size, or its ratio to the input's."""

    spatial_dims: int

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        super().__init__()
        kind, each = type(self).__name__, _ntuple(self.spatial_dims)
        self.kernel_size = each(kernel_size)
        if any(n <= 0 for n in self.kernel_size):
            raise ValueError(f"kernel_size must greater than zero, but got {kernel_size}")
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = each(output_size) if output_size is not None else None
        self.output_ratio = each(output_ratio) if output_ratio is not None else None
        if output_size is None and output_ratio is None:
            raise ValueError(
                f"{kind} requires specifying either an output size, or a pooling ratio"
            )
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """Max pooling of images with windows at random steps, so that sizes shrink by any factor.

    Args:
        kernel_size: height and width of a window.
        output_size: the output's; or
        output_ratio: its ratio to the input's, in (0, 1).
        return_indices: return also where the largest were.

    Shape: ``(N, C, H, W) -> (N, C, H_out, W_out)``, or without N.

    Example:
        >>> nn.FractionalMaxPool2d(2, output_ratio=0.7)(torch.zeros(1, 1, 10, 10)).shape
        torch.Size([1, 1, 7, 7])

    Reference: Graham, 2014, arXiv:1412.6071.
    """

    spatial_dims = 2

    def forward(self, input: Tensor) -> Any:
        return F.fractional_max_pool2d(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """Max pooling of volumes with windows at random steps; arguments as `FractionalMaxPool2d`, with
    three sizes.

    Shape: ``(N, C, D, H, W) -> (N, C, D_out, H_out, W_out)``, or without N.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.FractionalMaxPool3d(2, output_size=2)(torch.ones(1, 5, 5, 5)).shape
        torch.Size([1, 2, 2, 2])
    """

    spatial_dims = 3

    def forward(self, input: Tensor) -> Any:
        return F.fractional_max_pool3d(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class _LPPoolNd(Module):
    """What power-average pools share."""

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return fields(self, "norm_type", "kernel_size", "stride", "ceil_mode")


class LPPool1d(_LPPoolNd):
    """The p-norm of each window of a sequence, ``(sum x^p)^(1/p)``.

    Args:
        norm_type: p, > 0.
        kernel_size: length of a window.
        stride: step between windows; kernel_size unless given.
        ceil_mode: keep a last window that is not full.

    Shape: ``(N, C, L) -> (N, C, L_out)``, or without N.

    Example:
        >>> nn.LPPool1d(2, kernel_size=2)(torch.tensor([[3.0, 4.0, 6.0, 8.0]]))
        tensor([[ 5., 10.]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool1d(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )


class LPPool2d(_LPPoolNd):
    """The p-norm of each window of an image; arguments as `LPPool1d`, with one number or two.

    Shape: ``(N, C, H, W) -> (N, C, H_out, W_out)``, or without N.

    Example:
        >>> nn.LPPool2d(2, kernel_size=2)(torch.ones(1, 4, 4))
        tensor([[[2., 2.],
                 [2., 2.]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool2d(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )


class LPPool3d(_LPPoolNd):
    """The p-norm of each window of a volume; arguments as `LPPool1d`, with one number or three.

    Shape: ``(N, C, D, H, W) -> (N, C, D_out, H_out, W_out)``, or without N.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.LPPool3d(2, 2)(torch.ones(1, 2, 2, 2)).shape
        torch.Size([1, 1, 1, 1])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool3d(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )
