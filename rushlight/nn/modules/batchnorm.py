"""Batch normalisation: each channel is normalised over the batch."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.nn.modules._norm import _LazyNorm, _NormBase
from rushlight.nn.modules.module import Module

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "SyncBatchNorm",
]


class _BatchNorm(_NormBase):
    """What batch normalisations share."""

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        training = self.training
        factor = 0.0 if self.momentum is None else self.momentum
        if training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the mean over all batches
                factor = 1.0 / self.num_batches_tracked.item()
        mean, var = self.running_mean, self.running_var
        keep = not training or self.track_running_stats
        return F.batch_norm(
            input,
            mean if keep else None,
            var if keep else None,
            self.weight,
            self.bias,
            training or (mean is None and var is None),
            factor,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """Normalises each feature over the batch (and the positions of a sequence), then scales and
    shifts it.

        y = (x - mean) / sqrt(var + eps) * weight + bias
        running <- (1 - momentum) running + momentum batch's      (in training; unbiased variance)

    In training mean and variance are the batch's; in evaluation they are the running ones.

    Args:
        num_features: number of features or channels C, dim 1 of the input.
        eps: added to the variance.
        momentum: weight of the newest batch in the running statistics; None for the mean over all
            batches.
        affine: whether there are weight and bias.
        track_running_stats: whether there are running statistics; without, the batch's are always
            used.
        device: where parameters and buffers are.
        dtype: their element type.
        bias: whether there is a bias, when affine.

    Shape: ``(N, C)`` or ``(N, C, L)``, the same out.

    Example:
        >>> norm = nn.BatchNorm1d(3)
        >>> norm(torch.randn(8, 3)).mean(0).abs().max() < 1e-6
        tensor(True)

    Reference: Ioffe and Szegedy, 2015, arXiv:1502.03167.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (2, 3):
            raise ValueError(f"expected 2D or 3D input (got {input.dim()}D input)")


class BatchNorm2d(_BatchNorm):
    """Normalises each channel of images over the batch and all places; arguments as `BatchNorm1d`.

    Shape: ``(N, C, H, W)``, the same out.

    Example:
        >>> norm = nn.BatchNorm2d(3)
        >>> norm(torch.randn(8, 3, 4, 4)).shape
        torch.Size([8, 3, 4, 4])
        >>> norm.num_batches_tracked
        tensor(1)
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() != 4:
            raise ValueError(f"expected 4D input (got {input.dim()}D input)")


class BatchNorm3d(_BatchNorm):
    """Normalises each channel of volumes over the batch and all places; arguments as `BatchNorm1d`.

    Shape: ``(N, C, D, H, W)``, the same out.

    Example:
        >>> nn.BatchNorm3d(3)(torch.randn(2, 3, 4, 4, 4)).shape
        torch.Size([2, 3, 4, 4, 4])
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() != 5:
            raise ValueError(f"expected 5D input (got {input.dim()}D input)")


class LazyBatchNorm1d(_LazyNorm, _BatchNorm):
    """A `BatchNorm1d` that takes its `num_features` from the first input it sees; other arguments
    as there.

    Example:
        >>> import rushlight as torch
        >>> layer = torch.nn.LazyBatchNorm1d()
        >>> layer(torch.ones(2, 5)).shape, layer.num_features
        (torch.Size([2, 5]), 5)
    """

    cls_to_become = BatchNorm1d
    _check_input_dim = BatchNorm1d._check_input_dim


class LazyBatchNorm2d(_LazyNorm, _BatchNorm):
    """A `BatchNorm2d` that takes its `num_features` from the first input it sees; other arguments
    as there.

    Example:
        >>> import rushlight as torch
        >>> layer = torch.nn.LazyBatchNorm2d()
        >>> layer(torch.ones(2, 5, 3, 3)).shape, layer.num_features
        (torch.Size([2, 5, 3, 3]), 5)
    """

    cls_to_become = BatchNorm2d
    _check_input_dim = BatchNorm2d._check_input_dim


class LazyBatchNorm3d(_LazyNorm, _BatchNorm):
    """A `BatchNorm3d` that takes its `num_features` from the first input it sees; other arguments
    as there.

    Example:
        >>> import rushlight as torch
        >>> layer = torch.nn.LazyBatchNorm3d()
        >>> layer(torch.ones(2, 5, 3, 3, 3)).shape, layer.num_features
        (torch.Size([2, 5, 3, 3, 3]), 5)
    """

    cls_to_become = BatchNorm3d
    _check_input_dim = BatchNorm3d._check_input_dim


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation whose statistics several processes share. With one process it is
    `BatchNorm1d` of any dims.

    Arguments as `BatchNorm1d`, and `process_group`, which is kept and not used.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )
        self.process_group = process_group

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """Replace every batch normalisation in `module` by one of this kind with the same state."""
        converted = module
        if isinstance(module, _BatchNorm):
            converted = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
            )
            for name in (*module._parameters, *module._buffers):
                setattr(converted, name, getattr(module, name))
            converted.training = module.training
        for name, child in module.named_children():
            converted.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return converted
