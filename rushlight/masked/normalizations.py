"""Functions along a dim that keep the input's shape and leave out what the mask does."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api
from rushlight.core.tensor import Tensor
from rushlight.masked._filled import filled, highest, lowest, prepared
from rushlight.masked.reductions import norm


def softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """``exp(x)`` of the selected elements scaled to sum to 1 along ``dim``; 0 elsewhere.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([1.0, 2.0, 1.0])
        >>> torch.masked.softmax(x, 0, mask=torch.tensor([True, False, True]))
        tensor([0.5000, 0.0000, 0.5000])
    """
    x, mask = prepared(input, mask, dtype)
    return tensor_api.softmax(filled(x, mask, lowest("softmax", x)), dim)


def log_softmax(
    input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The logarithm of ``softmax``; -inf where the mask is False."""
    x, mask = prepared(input, mask, dtype)
    return tensor_api.log_softmax(filled(x, mask, lowest("log_softmax", x)), dim)


def softmin(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """``softmax`` of the negated input."""
    x, mask = prepared(input, mask, dtype)
    return tensor_api.softmax(-filled(x, mask, highest("softmin", x)), dim)


def normalize(
    input: Tensor,
    ord: float,
    dim: int,
    *,
    eps: float = 1e-12,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The selected elements divided by their norm along ``dim``, or by ``eps`` where that is
    larger; 0 elsewhere.
    """
    x, mask = prepared(input, mask, dtype)
    size = norm(x, ord, dim, keepdim=True, mask=mask)
    return filled(x, mask, 0) / size.clamp(min=eps)


def cumsum(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Running sums of the selected elements.

    Example:
        >>> x, mask = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([True, True, False])
        >>> torch.masked.cumsum(x, 0, mask=mask)
        tensor([1., 3., 3.])
    """
    x, mask = prepared(input, mask, dtype)
    return filled(x, mask, 0).cumsum(dim, dtype=x.dtype)


def cumprod(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Running products of the selected elements."""
    x, mask = prepared(input, mask, dtype)
    return filled(x, mask, 1).cumprod(dim, dtype=x.dtype)
