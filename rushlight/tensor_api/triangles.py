"""Triangles and diagonals of matrices."""

from __future__ import annotations

import builtins
import functools
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.native import kernels
from rushlight.core.tensor import Tensor
from rushlight.ops import shaping as H
from rushlight.tensor_api._common import (
    as_int,
    check_factory,
    finish,
    method,
    methods,
    numpy_dtype,
    store_out,
    wrap_dim,
)

__all__ = ["diag", "diag_embed", "diagflat", "tril", "tril_indices", "triu", "triu_indices"]


@method
def tril(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The lower triangle of the last two dims up to ``diagonal``; the rest is zero.

    Example:
        >>> import rushlight as torch
        >>> torch.tril(torch.ones(3, 3))
        tensor([[1., 0., 0.],
                [1., 1., 0.],
                [1., 1., 1.]])
    """
    result = H.Tril.bind(matrices(input, "tril"), diagonal=as_int(diagonal, "diagonal"))
    return result if out is None else store_out(out, result)


@method
def triu(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The upper triangle of the last two dims from ``diagonal``; the rest is zero.

    Example:
        >>> import rushlight as torch
        >>> torch.triu(torch.ones(3, 3), diagonal=1)
        tensor([[0., 1., 1.],
                [0., 0., 1.],
                [0., 0., 0.]])
    """
    result = H.Triu.bind(matrices(input, "triu"), diagonal=as_int(diagonal, "diagonal"))
    return result if out is None else store_out(out, result)


def matrices(x: Tensor, name: str) -> Tensor:
    """x, which must have two dims or more."""
    if x._array.ndim < 2:
        raise RuntimeError(
            f"{name}: input tensor must have at least 2 dimensions, but has {x._array.ndim}."
        )
    return x


FEW = 4096  # elements of a matrix whose triangles are remembered


@functools.lru_cache(maxsize=64)
def few_in(name: str, row: int, col: int, offset: int) -> np.ndarray[Any, Any]:
    """Row and column indices of the triangle ``name``."""
    find = np.tril_indices if name == "tril_indices" else np.triu_indices
    return np.array(find(row, offset, col))


def long_in(name: str, row: int, col: int, offset: int, d: Any) -> Any:
    """The same for many elements, by a loop; None where there is none for the dtype."""
    lower = name == "tril_indices"
    edge = min(max(offset + lower, -row), col)
    edges = np.clip(np.arange(edge, edge + row), 0, col)
    out = np.empty((2, int(edges.sum() if lower else (col - edges).sum())), d)
    plain = out.size and d in (dtypes.int64, dtypes.int32)
    kind = "lower triangle" if lower else "upper triangle"
    run = kernels.runner(kind, d, 2, row * col) if plain else None
    if run is None:
        return None
    run(out[0], out[1], col, edge, row)
    return out


def _triangle(name: str, find: Any) -> Any:
    def indices(
        row: int,
        col: int,
        offset: int = 0,
        *,
        dtype: Any = None,
        device: Any = None,
        layout: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
    ) -> Tensor:
        place = check_factory(device, layout)
        row, col = as_int(row, "row"), as_int(col, "col")
        for n in (row, col):
            if n < 0:
                raise RuntimeError(f"{name}: row and col must be non-negative, got {row}, {col}")
        if row * col <= FEW:
            out = few_in(name, row, col, offset).astype(numpy_dtype(dtype, dtypes.int64))
            return finish(out, requires_grad, place)
        out = long_in(name, row, col, offset, numpy_dtype(dtype, dtypes.int64))
        if out is not None:
            return finish(out, requires_grad, place)
        flat = np.flatnonzero(find((row, col), offset))
        out = np.empty((2, len(flat)), numpy_dtype(dtype, dtypes.int64))
        np.floor_divide(flat, col, out[0], casting="unsafe") if col else None
        np.subtract(flat, out[0].astype(np.int64) * col, out[1], casting="unsafe")
        return finish(out, requires_grad, place)

    indices.__name__ = indices.__qualname__ = name
    indices.__doc__ = (
        "Row and column indices ``(2, n)`` of a triangle of a ``row`` by ``col`` matrix."
    )
    return indices


tril_indices = _triangle("tril_indices", lambda shape, k: np.tri(*shape, k, bool))
triu_indices = _triangle("triu_indices", lambda shape, k: ~np.tri(*shape, k - 1, bool))


@method
def diag(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """A vector as the diagonal of a matrix, or the diagonal of a matrix as a vector.

    Example:
        >>> import rushlight as torch
        >>> torch.diag(torch.tensor([1, 2]))
        tensor([[1, 0],
                [0, 2]])
        >>> torch.diag(torch.tensor([[1, 2], [3, 4]]))
        tensor([1, 4])
    """
    if input._array.ndim not in (1, 2):
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input._array.ndim}D")
    if input._array.ndim == 1:
        result = diag_embed(input, diagonal)
    else:
        result = known_as("DiagonalBackward0_copy", input.diagonal(diagonal).clone())
    return result if out is None else store_out(out, result, exact=True)


@method
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the last dim of ``input`` on a diagonal.

    Example:
        >>> import rushlight as torch
        >>> torch.diag_embed(torch.tensor([1, 2]), offset=1)
        tensor([[0, 1, 0],
                [0, 0, 2],
                [0, 0, 0]])
    """
    n = input._array.ndim + 1
    a, b = wrap_dim(dim1, n), wrap_dim(dim2, n)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return H.DiagEmbed.bind(input, offset=offset, dim1=a, dim2=b)


@method
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The flattened input as the diagonal of a matrix."""
    return diag_embed(input.reshape(-1), offset)


def _triangle_in_place(op: Any) -> Any:
    return lambda self, diagonal=0: op.update(
        matrices(self, op.__name__.lower()), diagonal=as_int(diagonal, "diagonal")
    )


methods(
    tril_=_triangle_in_place(H.Tril),
    triu_=_triangle_in_place(H.Triu),
    fill_diagonal_=lambda self, fill_value, wrap=False: _fill_diagonal(self, fill_value, wrap),
)


def _fill_diagonal(self: Tensor, value: Any, wrap_around: bool) -> Tensor:
    x = self._array
    if x.ndim < 2 or (x.ndim > 2 and len(set(x.shape)) != 1):
        raise RuntimeError(
            "fill_diagonal_: needs a matrix, or all dimensions of equal length, but the shape "
            f"is {x.shape}."
        )
    steps = builtins.sum([s // x.itemsize for s in x.strides])
    n = min(x.shape)
    part = self.as_strided((n,), (steps,), self.storage_offset())
    part.fill_(value)
    if wrap_around and x.ndim == 2 and x.shape[0] > x.shape[1] + 1:
        rows, cols = x.shape
        for start in builtins.range(cols + 1, rows, cols + 1):
            k = builtins.min(cols, rows - start)
            self.as_strided(
                (k,), (steps,), self.storage_offset() + start * x.strides[0] // x.itemsize
            ).fill_(value)
    return self
