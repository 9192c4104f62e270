"""Instance normalisation: each channel of each example is normalised by itself."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user
from rushlight.nn import functional as F
from rushlight.nn.modules._norm import _LazyNorm, _NormBase

__all__ = [
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]


class _InstanceNorm(_NormBase):
    """What instance normalisations share. `unbatched_dims`: dims of one example, channels first."""

    unbatched_dims: int

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def _check_input_dim(self, input: Tensor) -> None:
        dims = self.unbatched_dims
        if input.dim() not in (dims, dims + 1):
            raise ValueError(f"expected {dims}D or {dims + 1}D input (got {input.dim()}D input)")

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        at = input.dim() - self.unbatched_dims
        if input.size(at) != self.num_features:
            self._wrong_size(at, input.size(at))
        if at == 0:
            return self._normalised(input.unsqueeze(0)).squeeze(0)
        return self._normalised(input)

    def _wrong_size(self, at: int, size: int) -> None:
        if self.affine:
            raise ValueError(
                f"expected input's size at dim={at} to match num_features"
                f" ({self.num_features}), but got: {size}."
            )
        warn_user(
            f"input's size at dim={at} does not match num_features. You can silence this warning "
            "by not passing in num_features, which is not used because affine=False"
        )

    def _normalised(self, input: Tensor) -> Tensor:
        return F.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Very old files hold running statistics that were not asked for."""
        if local_metadata.get("version", None) is None and not self.track_running_stats:
            names = [n for n in ("running_mean", "running_var") if prefix + n in state_dict]
            if names:
                found = " and ".join(f'"{prefix + name}"' for name in names)
                kind = type(self).__name__
                error_msgs.append(
                    f"Unexpected running stats buffer(s) {found} for {kind} with "
                    f"track_running_stats=False. Remove these keys from state_dict, or set "
                    f"track_running_stats=True in {kind} to use them."
                )
                for name in names:
                    state_dict.pop(prefix + name)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class InstanceNorm1d(_InstanceNorm):
    """Normalises each channel of each example over its positions; then scales and shifts it, when
    affine.

        y = (x - mean) / sqrt(var + eps) * weight + bias

    Args:
        num_features: number of channels C.
        eps: added to the variance.
        momentum: weight of the newest batch in the running statistics.
        affine: whether there are weight and bias.
        track_running_stats: whether there are running statistics, used in evaluation.
        device: where parameters and buffers are.
        dtype: their element type.
        bias: whether there is a bias, when affine.

    Shape: ``(N, C, L)`` or ``(C, L)``, the same out.

    Example:
        >>> nn.InstanceNorm1d(3)(torch.randn(2, 3, 5)).shape
        torch.Size([2, 3, 5])

    Reference: Ulyanov et al., 2016, arXiv:1607.08022.
    """

    unbatched_dims = 2


class InstanceNorm2d(_InstanceNorm):
    """Normalises each channel of each image; arguments as `InstanceNorm1d`.

    Shape: ``(N, C, H, W)`` or ``(C, H, W)``, the same out.

    Example:
        >>> nn.InstanceNorm2d(3)(torch.randn(2, 3, 5, 5)).shape
        torch.Size([2, 3, 5, 5])
    """

    unbatched_dims = 3


class InstanceNorm3d(_InstanceNorm):
    """Normalises each channel of each volume; arguments as `InstanceNorm1d`.

    Shape: ``(N, C, D, H, W)`` or ``(C, D, H, W)``, the same out.

    Example:
        >>> nn.InstanceNorm3d(3)(torch.randn(2, 3, 4, 4, 4)).shape
        torch.Size([2, 3, 4, 4, 4])
    """

    unbatched_dims = 4


class LazyInstanceNorm1d(_LazyNorm, _InstanceNorm):
    """An `InstanceNorm1d` that takes its `num_features` from the first input it sees; other
    arguments as there.

    Example:
        >>> import rushlight as torch
        >>> layer = torch.nn.LazyInstanceNorm1d()
        >>> layer(torch.ones(2, 5, 3)).shape, layer.num_features
        (torch.Size([2, 5, 3]), 5)
    """

    cls_to_become = InstanceNorm1d
    unbatched_dims = 2


class LazyInstanceNorm2d(_LazyNorm, _InstanceNorm):
    """An `InstanceNorm2d` that takes its `num_features` from the first input it sees; other
    arguments as there.

    Example:
        >>> import rushlight as torch
        >>> layer = torch.nn.LazyInstanceNorm2d()
        >>> layer(torch.ones(2, 5, 3, 3)).shape, layer.num_features
        (torch.Size([2, 5, 3, 3]), 5)
    """

    cls_to_become = InstanceNorm2d
    unbatched_dims = 3


class LazyInstanceNorm3d(_LazyNorm, _InstanceNorm):
    """An `InstanceNorm3d` that takes its `num_features` from the first input it sees; other
    arguments as there.

    Example:
        >>> import rushlight as torch
        >>> layer = torch.nn.LazyInstanceNorm3d()
        >>> layer(torch.ones(2, 5, 3, 3, 3)).shape, layer.num_features
        (torch.Size([2, 5, 3, 3, 3]), 5)
    """

    cls_to_become = InstanceNorm3d
    unbatched_dims = 4
