"""Dropout: in training, elements or whole channels are set to zero at random, the others scaled
up."""

from __future__ import annotations

from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.nn.modules.module import Module

__all__ = [
    "AlphaDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
]


class _DropoutNd(Module):
    """What all kinds of dropout share."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """In training sets each element to zero with probability `p` and divides the others by
    ``1 - p``.

    Args:
        p: probability of zeroing an element, in [0, 1].
        inplace: write the result over the input.

    Shape: ``(*) -> (*)``.

    Example:
        >>> nn.Dropout(0.5).eval()(torch.ones(3))
        tensor([1., 1., 1.])

    Reference: Hinton et al., 2012, arXiv:1207.0580.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_DropoutNd):
    """In training sets whole channels of sequences to zero with probability `p` and divides the
    others by ``1 - p``.

    Args:
        p: probability of zeroing a channel, in [0, 1].
        inplace: write the result over the input.

    Shape: ``(N, C, L)`` or ``(C, L)``, the same out.

    Example:
        >>> nn.Dropout1d(0.5).eval()(torch.ones(1, 2, 3))
        tensor([[[1., 1., 1.],
                 [1., 1., 1.]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """In training sets whole channels of images to zero with probability `p` and divides the others
    by ``1 - p``.

    Args:
        p: probability of zeroing a channel, in [0, 1].
        inplace: write the result over the input.

    Shape: ``(N, C, H, W)``, the same out.

    Example:
        >>> channels = nn.Dropout2d(0.5)(torch.ones(1, 8, 3, 3)).flatten(2)
        >>> bool((channels == channels[..., :1]).all())  # each as a whole
        True
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """In training sets whole channels of volumes to zero with probability `p` and divides the
    others by ``1 - p``.

    Args:
        p: probability of zeroing a channel, in [0, 1].
        inplace: write the result over the input.

    Shape: ``(N, C, D, H, W)`` or ``(C, D, H, W)``, the same out.

    Example:
        >>> nn.Dropout3d(0.5).eval()(torch.ones(1, 2, 1, 1, 1)).flatten()
        tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """In training sets elements to SELU's limit at -infinity, and scales and shifts all so that
    mean and variance stay.

    Args:
        p: probability of dropping an element, in [0, 1].
        inplace: write the result over the input.

    Shape: ``(*) -> (*)``.

    Example:
        >>> nn.AlphaDropout(0.5).eval()(torch.ones(3))
        tensor([1., 1., 1.])

    Reference: Klambauer et al., 2017, arXiv:1706.02515.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_DropoutNd):
    """`AlphaDropout` of whole channels.

    Args:
        p: probability of dropping a channel, in [0, 1].
        inplace: write the result over the input.

    Shape: ``(N, C, *)``, the same out.

    Example:
        >>> nn.FeatureAlphaDropout(0.5).eval()(torch.ones(1, 2, 1)).flatten()
        tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.feature_alpha_dropout(input, self.p, self.training)
