"""Dropout: elements, channels or whole features set to zero at random while training."""

from __future__ import annotations

import math
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user

__all__ = [
    "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout",
]  # fmt: skip


def check(p: float) -> None:
    """p is a probability."""
    if p < 0.0 or p > 1.0:
        raise ValueError(
            f"dropout probability has to be between 0 and 1, but got {p}; it is the chance of"
            " zeroing an element."
        )


def random_mask(input: Tensor, p: float, feature: bool) -> Tensor:
    """Ones with probability 1 - p, else zeros; one for a whole channel when ``feature``."""
    shape = tuple(input._array.shape)
    if feature:
        if len(shape) < 2:
            raise RuntimeError(
                "Feature dropout requires at least 2 dimensions in the input: samples and channels."
            )
        shape = (*shape[:2], *[1] * (len(shape) - 2))
        return T.empty(shape, dtype=input.dtype, device=input.device).bernoulli_(1 - p)
    return T.empty_like(input.detach()).bernoulli_(1 - p)


def drop(input: Tensor, p: float, training: bool, inplace: bool, feature: bool = False) -> Tensor:
    """Dropout of elements or features."""
    if not input._array.size or not training or p == 0:
        return input
    if p == 1:
        return input.mul_(0.0) if inplace else input * 0.0
    mask = random_mask(input, p, feature).div_(1 - p)
    return input.mul_(mask) if inplace else input * mask


SELU_FLOOR = 1.7580993408473766  # scale * alpha of SELU: minus the value that dropped elements take


def drop_alpha(input: Tensor, p: float, training: bool, inplace: bool, feature: bool) -> Tensor:
    """Dropout that keeps SELU's mean and variance."""
    if not input._array.size or not training or p == 0:
        return input
    if p == 1:
        return input.mul_(0.0) if inplace else input * 0.0
    mask = random_mask(input, p, feature)
    a = 1 / math.sqrt((SELU_FLOOR**2 * p + 1) * (1 - p))
    shift = (mask - 1).mul_(SELU_FLOOR * a).add_(SELU_FLOOR * a * p)
    mask.mul_(a)
    return input.mul_(mask).add_(shift) if inplace else input * mask + shift


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes each element with probability p and scales the others by ``1 / (1 - p)``. Shape:
    ``(*) -> (*)``.

    Args:
        p: probability of zeroing an element, in [0, 1].
        training: False returns the input as it is.
        inplace: write the result over the input.

    Raises:
        ValueError: p is not in [0, 1].

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> y = F.dropout(torch.ones(1000), 0.75)
        >>> sorted(set(y.tolist()))
        [0.0, 4.0]
        >>> F.dropout(torch.ones(3), 0.75, training=False)
        tensor([1., 1., 1.])

    Reference: Hinton et al., 2012, arXiv:1207.0580.
    """
    check(p)
    return drop(input, p, training, inplace)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout that keeps the mean and variance of SELU activations. Shape: ``(*) -> (*)``.

    Args:
        p: probability of dropping an element, which becomes SELU's least value, in [0, 1].
        training: False returns the input as it is.
        inplace: write the result over the input.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.randn(100_000)
        >>> y = F.alpha_dropout(x, 0.2, training=True)
        >>> abs(y.mean().item()) < 0.02, abs(y.std().item() - 1) < 0.02
        (True, True)

    Reference: Klambauer et al., 2017, arXiv:1706.02515.
    """
    check(p)
    return drop_alpha(input, p, training, inplace, False)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """``alpha_dropout`` of whole channels. Shape: ``(N, C, *) -> (N, C, *)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> y = F.feature_alpha_dropout(torch.zeros(50, 4, 3), 0.5, training=True)
        >>> bool((y == y[..., :1]).all())  # channels are kept or dropped as a whole
        True
    """
    check(p)
    return drop_alpha(input, p, training, inplace, True)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes whole channels of ``(N, C, L)`` or ``(C, L)`` with probability p.

    Args:
        p: probability of zeroing a channel, in [0, 1].
        training: False returns the input as it is.
        inplace: write the result over the input.

    Raises:
        ValueError: p is not in [0, 1].

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> y = F.dropout1d(torch.ones(100, 4, 2), 0.5)
        >>> sorted(set(y.flatten(2).mean(2).flatten().tolist()))  # channels are kept, or not
        [0.0, 2.0]
    """
    check(p)
    if input._array.ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input._array.ndim}D input: (C, L)"
            " or (N, C, L)."
        )
    return _batched(input, p, training, inplace, 2)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes whole channels of ``(N, C, H, W)`` with probability p.

    Args:
        p: probability of zeroing a channel, in [0, 1].
        training: False returns the input as it is.
        inplace: write the result over the input.

    Raises:
        ValueError: p is not in [0, 1].

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> y = F.dropout2d(torch.ones(100, 4, 2, 2), 0.5)
        >>> sorted(set(y.flatten(2).mean(2).flatten().tolist()))  # channels are kept, or not
        [0.0, 2.0]
    """
    check(p)
    n = input._array.ndim
    if n not in (3, 4):
        warn_user(
            f"dropout2d: Received a {n}-D input to dropout2d, which is deprecated and will result"
            " in an error in a future release. Pass (N, C, H, W), or use dropout() or dropout1d()."
        )
    if n == 3:
        warn_user(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout"
            " behavior is desired, of (N, C, L). Use dropout1d to say so."
        )
    return drop(input, p, training, inplace, True)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes whole channels of ``(N, C, D, H, W)`` or ``(C, D, H, W)`` with probability p.

    Args:
        p: probability of zeroing a channel, in [0, 1].
        training: False returns the input as it is.
        inplace: write the result over the input.

    Raises:
        ValueError: p is not in [0, 1].

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> y = F.dropout3d(torch.ones(100, 4, 2, 2, 2), 0.5)
        >>> sorted(set(y.flatten(2).mean(2).flatten().tolist()))  # channels are kept, or not
        [0.0, 2.0]
    """
    check(p)
    n = input._array.ndim
    if n not in (4, 5):
        warn_user(
            f"dropout3d: Received a {n}-D input to dropout3d, which is deprecated and will result"
            " in an error in a future release. Pass (N, C, D, H, W)."
        )
    return _batched(input, p, training, inplace, 4)


def _batched(input: Tensor, p: float, training: bool, inplace: bool, unbatched: int) -> Any:
    """Feature dropout, of an input that may lack the batch dim."""
    if input._array.ndim != unbatched:
        return drop(input, p, training, inplace, True)
    out = drop(input.unsqueeze(0), p, training, inplace, True)
    return input if inplace else out.squeeze(0)
