"""Blocks that networks are built of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight import nn, tensor_api as T
from rushlight.core.tensor import Tensor

__all__ = [
    "Conv2dNormActivation", "Conv3dNormActivation", "FrozenBatchNorm2d", "MLP", "Permute",
    "SqueezeExcitation", "StochasticDepth", "stochastic_depth",
]  # fmt: skip


class _ConvNormActivation(nn.Sequential):
    """Base: convolution, normalisation, activation. Arguments are those of the subclasses."""

    _convolution: Any
    _dims: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        groups: int,
        norm_layer: Callable[..., nn.Module] | None,
        activation_layer: Callable[..., nn.Module] | None,
        dilation: Any,
        inplace: bool | None,
        bias: bool | None,
    ) -> None:
        if padding is None:
            sizes, steps = (
                (v,) * self._dims if isinstance(v, int) else v for v in (kernel_size, dilation)
            )
            padding = tuple([(k - 1) // 2 * d for k, d in zip(sizes, steps, strict=True)])
            padding = padding[0] if isinstance(kernel_size, int) else padding
        bias = norm_layer is None if bias is None else bias
        layers: list[nn.Module] = [
            self._convolution(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding,
                dilation=dilation,
                groups=groups,
                bias=bias,
            )
        ]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer(**_inplace(inplace)))
        super().__init__(*layers)
        self.out_channels = out_channels


class Conv2dNormActivation(_ConvNormActivation):
    """Convolution, normalisation, activation of images.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        kernel_size: in pixels.
        stride: in pixels.
        padding: in pixels; None keeps the size.
        groups: of channels.
        norm_layer: what makes a normalisation of so many channels; None for none.
        activation_layer: what makes the activation; None for none.
        dilation: distance of the kernel's pixels.
        inplace: passed to the activation, unless None.
        bias: of the convolution; None for only without ``norm_layer``.
    """

    _convolution, _dims = nn.Conv2d, 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any = 3,
        stride: Any = 1,
        padding: Any = None,
        groups: int = 1,
        norm_layer: Callable[..., nn.Module] | None = nn.BatchNorm2d,
        activation_layer: Callable[..., nn.Module] | None = nn.ReLU,
        dilation: Any = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, groups, norm_layer,
            activation_layer, dilation, inplace, bias,
        )  # fmt: skip


class Conv3dNormActivation(_ConvNormActivation):
    """Convolution, normalisation, activation of videos.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        kernel_size: in pixels and frames.
        stride: in pixels and frames.
        padding: in pixels and frames; None keeps the size.
        groups: of channels.
        norm_layer: what makes a normalisation of so many channels; None for none.
        activation_layer: what makes the activation; None for none.
        dilation: distance of the kernel's pixels and frames.
        inplace: passed to the activation, unless None.
        bias: of the convolution; None for only without ``norm_layer``.
    """

    _convolution, _dims = nn.Conv3d, 3

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any = 3,
        stride: Any = 1,
        padding: Any = None,
        groups: int = 1,
        norm_layer: Callable[..., nn.Module] | None = nn.BatchNorm3d,
        activation_layer: Callable[..., nn.Module] | None = nn.ReLU,
        dilation: Any = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, groups, norm_layer,
            activation_layer, dilation, inplace, bias,
        )  # fmt: skip


def _inplace(inplace: bool | None) -> dict[str, bool]:
    return {} if inplace is None else {"inplace": inplace}


class MLP(nn.Sequential):
    """Linear layers with normalisation, activation and dropout between them.

    Args:
        in_channels: features of the input.
        hidden_channels: features of each layer's output.
        norm_layer: what makes a normalisation of so many features; None for none.
        activation_layer: what makes the activation; None for none.
        inplace: passed to activation and dropout, unless None.
        bias: of the linear layers.
        dropout: probability of zeroing a feature.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: list[int],
        norm_layer: Callable[..., nn.Module] | None = None,
        activation_layer: Callable[..., nn.Module] | None = nn.ReLU,
        inplace: bool | None = None,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        options = _inplace(inplace)
        layers: list[nn.Module] = []
        for features in hidden_channels[:-1]:
            layers.append(nn.Linear(in_channels, features, bias=bias))
            if norm_layer is not None:
                layers.append(norm_layer(features))
            if activation_layer is not None:
                layers.append(activation_layer(**options))
            layers.append(nn.Dropout(dropout, **options))
            in_channels = features
        layers.append(nn.Linear(in_channels, hidden_channels[-1], bias=bias))
        layers.append(nn.Dropout(dropout, **options))
        super().__init__(*layers)


class SqueezeExcitation(nn.Module):
    """Channels scaled by what all of them are on average. Shape: ``(N, C, H, W) -> same``.

    Args:
        input_channels: C.
        squeeze_channels: between the two layers that compute the scales.
        activation: what makes the activation between them.
        scale_activation: what makes the one after them.

    Reference: Hu et al., 2018, arXiv:1709.01507.
    """

    def __init__(
        self,
        input_channels: int,
        squeeze_channels: int,
        activation: Callable[..., nn.Module] = nn.ReLU,
        scale_activation: Callable[..., nn.Module] = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def forward(self, input: Tensor) -> Tensor:
        inner = self.activation(self.fc1(self.avgpool(input)))
        out: Tensor = self.scale_activation(self.fc2(inner)) * input
        return out


class FrozenBatchNorm2d(nn.Module):
    """BatchNorm2d with statistics and weights that stay. Shape: ``(N, C, H, W) -> same``.

    Args:
        num_features: C.
        eps: added to the variance, > 0.
    """

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", T.ones(num_features))
        self.register_buffer("bias", T.zeros(num_features))
        self.register_buffer("running_mean", T.zeros(num_features))
        self.register_buffer("running_var", T.ones(num_features))

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        state_dict.pop(prefix + "num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(self, x: Tensor) -> Tensor:
        w, b, mean, var = (
            getattr(self, name).reshape(1, -1, 1, 1)
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        scale = w * (var + self.eps).rsqrt()
        out: Tensor = x * scale + (b - mean * scale)
        return out

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.weight.shape[0]}, eps={self.eps})"


class Permute(nn.Module):
    """``x.permute(dims)`` as a module."""

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.dims = list(dims)

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.dims)


def stochastic_depth(input: Tensor, p: float, mode: str, training: bool = True) -> Tensor:
    """The input zeroed with probability ``p``, else scaled by ``1 / (1 - p)``.

    Args:
        input: ``(N, ...)``.
        p: probability, in [0, 1].
        mode: "batch", all at once, or "row", each row by itself.
        training: whether to do anything.

    Example:
        >>> from rushlight.vision import ops
        >>> ops.stochastic_depth(torch.ones(4, 2), p=0.5, mode="row", training=False).sum()
        tensor(8.)

    Reference: Huang et al., 2016, arXiv:1603.09382.
    """
    if p < 0.0 or p > 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}")
    if mode not in ["batch", "row"]:
        raise ValueError(f"mode has to be either 'batch' or 'row', but got {mode}")
    if not training or p == 0.0:
        return input
    rows = input.shape[0] if mode == "row" else 1
    noise = input.new_empty([rows, *[1] * (input.dim() - 1)]).bernoulli_(1.0 - p)
    if p < 1.0:
        noise.div_(1.0 - p)
    return input * noise


class StochasticDepth(nn.Module):
    """`stochastic_depth` as a module."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, input: Tensor) -> Tensor:
        return stochastic_depth(input, self.p, self.mode, self.training)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p}, mode={self.mode})"
