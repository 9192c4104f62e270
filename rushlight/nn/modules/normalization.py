"""Normalisation within each example: over features, groups of channels, or neighbouring
channels."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F, init
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.utils import fields
from rushlight.nn.parameter import Parameter

__all__ = ["CrossMapLRN2d", "GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


class LocalResponseNorm(Module):
    """Divides each value by a power of the mean square over neighbouring channels.

        y[c] = x[c] (k + alpha mean over the size channels around c of x^2)^-beta

    Args:
        size: how many channels are neighbours.
        alpha: factor on the mean square.
        beta: exponent.
        k: added.

    Shape: ``(N, C, *)``, the same out.

    Example:
        >>> nn.LocalResponseNorm(2)(torch.ones(1, 4, 3, 3)).shape
        torch.Size([1, 4, 3, 3])

    Reference: Krizhevsky et al., 2012.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, {fields(self, 'alpha', 'beta', 'k')}"


class CrossMapLRN2d(Module):
    """An older `LocalResponseNorm` for images, whose windows also hold channel 0 and are cut off.

    The gradient is that of this function; PyTorch's is not.

    Args:
        size: how many channels are neighbours.
        alpha: factor on the mean square.
        beta: exponent.
        k: added.

    Shape: ``(N, C, H, W)``, the same out.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        place = T.arange(input.size(1), device=input.device)
        near = (place - place.unsqueeze(1)).abs() <= (self.size - 1) // 2
        # (C, C): PyTorch never takes channel 0 out again
        window = (near | (place == 0)).to(input.dtype)
        squares = T.einsum("dc,nchw->ndhw", window, input * input)
        return input * (self.k + self.alpha / self.size * squares) ** -self.beta

    def extra_repr(self) -> str:
        return f"{self.size}, {fields(self, 'alpha', 'beta', 'k')}"


def _shape_of(normalized_shape: Any) -> tuple[int, ...]:
    return (
        (normalized_shape,) if isinstance(normalized_shape, Integral) else tuple(normalized_shape)
    )


class LayerNorm(Module):
    """Normalises each example over its last dims, then scales and shifts each element.

        y = (x - mean) / sqrt(var + eps) * weight + bias

    Args:
        normalized_shape: sizes of the last dims; a number for one.
        eps: added to the variance.
        elementwise_affine: whether there is a weight.
        bias: whether there is a bias, when affine.
        device: where the parameters are.
        dtype: their element type.

    Shape: ``(*, *normalized_shape)``, the same out.

    Example:
        >>> nn.LayerNorm(2)(torch.tensor([[1.0, 3.0]]))
        tensor([[-1.0000,  1.0000]], grad_fn=<NativeLayerNormBackward0>)

    Reference: Ba et al., 2016, arXiv:1607.06450.
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape_of(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, wanted in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            values = T.empty(self.normalized_shape, device=device, dtype=dtype) if wanted else None
            self.register_parameter(name, Parameter(values) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set scale 1 and shift 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = fields(self, "eps", "elementwise_affine")
        return f"{self.normalized_shape}, {affine}, bias={self.bias is not None}"


class GroupNorm(Module):
    """Normalises each group of channels of each example, then scales and shifts each channel.

        y = (x - mean) / sqrt(var + eps) * weight + bias

    Args:
        num_groups: how many groups; divides num_channels.
        num_channels: number of channels C.
        eps: added to the variance.
        affine: whether there is a weight.
        device: where the parameters are.
        dtype: their element type.
        bias: whether there is a bias, when affine.

    Shape: ``(N, C, *)``, the same out.

    Example:
        >>> nn.GroupNorm(num_groups=2, num_channels=4)(torch.randn(1, 4, 5, 5)).shape
        torch.Size([1, 4, 5, 5])

    Reference: Wu and He, 2018, arXiv:1803.08494.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups != 0:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            values = T.empty(num_channels, device=device, dtype=dtype) if wanted else None
            self.register_parameter(name, Parameter(values) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set scale 1 and shift 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        sizes = f"{self.num_groups}, {self.num_channels}"
        return f"{sizes}, {fields(self, 'eps', 'affine')}, bias={self.bias is not None}"


class RMSNorm(Module):
    """Divides each example by the root of its mean square over the last dims, then scales each
    element.

        y = x / sqrt(mean(x^2) + eps) * weight

    Args:
        normalized_shape: sizes of the last dims; a number for one.
        eps: added to the mean square; the smallest number of the dtype that matters (its `eps`)
            unless given.
        elementwise_affine: whether there is a weight.
        device: where the parameter is.
        dtype: its element type.

    Shape: ``(*, *normalized_shape)``, the same out.

    Example:
        >>> nn.RMSNorm(2, eps=0.0)(torch.tensor([3.0, 3.0])).detach()
        tensor([1., 1.])

    Reference: Zhang and Sennrich, 2019, arXiv:1910.07467.
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape_of(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        if elementwise_affine:
            self.weight = Parameter(T.empty(self.normalized_shape, device=device, dtype=dtype))
        else:
            self.register_parameter("weight", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set scale 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, {fields(self, 'eps', 'elementwise_affine')}"
