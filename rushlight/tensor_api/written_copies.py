"""Copies of which a part is written to."""

from __future__ import annotations

from typing import Any

from rushlight.core.autograd import known_as
from rushlight.core.tensor import Tensor
from rushlight.errors import ShapeError
from rushlight.tensor_api._common import method, store_out, unrecorded, wrap_dim

__all__ = ["select_scatter", "slice_scatter", "diagonal_scatter", "as_strided_scatter"]


def _written_copy(name: str, input: Tensor, view: Any, src: Tensor) -> Tensor:
    out = input.clone()
    part = view(out)
    if part._array.shape != src._array.shape:
        raise ShapeError(
            f"expected src to have a size equal to the slice of self: {src._array.shape} for "
            f"{part._array.shape}."
        )
    if unrecorded(out, src) is None:
        part.copy_(src)
    else:
        part._array[...] = src._array
    return known_as(f"{name}Backward0", out)


@method
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of ``input`` with ``select(dim, index)`` replaced by ``src``.

    Example:
        >>> import rushlight as torch
        >>> torch.select_scatter(torch.zeros(2, 2), torch.ones(2), 0, 1)
        tensor([[0., 0.],
                [1., 1.]])
    """
    return _written_copy("SelectScatter", input, lambda t: t.select(dim, index), src)


@method
def slice_scatter(
    input: Tensor,
    src: Tensor,
    dim: int = 0,
    start: Any = None,
    end: Any = None,
    step: int = 1,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """A copy of ``input`` with a slice of ``dim`` replaced by ``src``.

    Example:
        >>> import rushlight as torch
        >>> torch.slice_scatter(torch.zeros(4), torch.ones(2), start=1, end=3)
        tensor([0., 1., 1., 0.])
    """
    d = wrap_dim(dim, input._array.ndim)
    where = (slice(None),) * d + (slice(start, end, step),)
    result = _written_copy("SliceScatter", input, lambda t: t[where], src)
    return result if out is None else store_out(out, result, exact=True)


@method
def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """A copy of ``input`` with a diagonal replaced by ``src``."""
    return _written_copy("DiagonalScatter", input, lambda t: t.diagonal(offset, dim1, dim2), src)


@method
def as_strided_scatter(
    input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None
) -> Tensor:
    """A copy of ``input`` with a strided window replaced by ``src``."""
    return _written_copy(
        "AsStridedScatter", input, lambda t: t.as_strided(size, stride, storage_offset), src
    )
