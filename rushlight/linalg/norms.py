"""Norms and condition numbers, and products of vectors and of chains of matrices."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.device_array import beside
from rushlight.core.tensor import Tensor, expect_tensors, no_tensor, wrap
from rushlight.linalg.factors import svdvals
from rushlight.linalg.solutions import inv_ex
from rushlight.ops.linalg import LinAlgError as LinAlgError
from rushlight.ops.matmul import same_dtype
from rushlight.tensor_api import norms, products as P
from rushlight.tensor_api._common import stored, stored_exactly, unrecorded, wrap_dim, wrap_dims
from rushlight.tensor_api.casting import in_float32, in_lower_precision
from rushlight.tensor_api.numpy_names import with_axis

__all__ = [
    "cond",
    "cross",
    "diagonal",
    "matrix_norm",
    "multi_dot",
    "norm",
    "vander",
    "vecdot",
    "vector_norm",
]


def multi_dot(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """Product of several matrices in the cheapest order; the first and last may be vectors.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.multi_dot([torch.ones(2, 3), torch.ones(3, 4), torch.ones(4)])
        tensor([12., 12.])
    """
    if isinstance(tensors, np.ndarray):
        raise no_tensor("multi_dot", tensors)
    items = list(tensors)
    if len(items) < 2:
        raise RuntimeError("multi_dot(): expected at least 2 tensors.")
    first, last = items[0]._array.ndim == 1, items[-1]._array.ndim == 1
    arrays = unrecorded(*items)
    if arrays is not None:
        factors = [*arrays]
        factors[0] = factors[0][None] if first else factors[0]
        factors[-1] = factors[-1][:, None] if last else factors[-1]
        if all([x.ndim == 2 for x in factors]) and all(
            [x.shape[1] == y.shape[0] for x, y in pairwise(factors)]
        ):
            result = P.multi_dot(factors, np.ndarray.dot)
            return stored_exactly(wrap(result.reshape(result.shape[first : 2 - last])), out)
    items[0] = items[0].unsqueeze(0) if first else items[0]
    items[-1] = items[-1].unsqueeze(1) if last else items[-1]
    result = P.multi_dot(items)
    result = result.squeeze(0) if first else result
    result = known_as("ViewBackward0", result.squeeze(-1) if last else result)
    return stored_exactly(result, out)


def vector_norm(
    x: Tensor,
    ord: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """``sum(|x|^ord)^(1/ord)`` over ``dim`` (all by default); inf and -inf give the extremes, 0
    counts what is not zero.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.vector_norm(torch.tensor([3.0, 4.0]))
        tensor(5.)
    """
    x = x.to(dtype) if dtype is not None else x
    if x._array.dtype not in dtypes.DIFFERENTIABLE:
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{dtypes.of[x._array.dtype].name}"
        )
    if isinstance(ord, str):
        raise TypeError(f"linalg.vector_norm: ord is {ord!r}; norms of vectors take a number.")
    dims = None if dim is None else wrap_dims(dim, x.ndim)
    result = norms.vector_norm(x, float(ord), dims, keepdim)
    return result if out is None else stored_exactly(result, out)


def matrix_norm(
    A: Tensor,
    ord: Any = "fro",
    dim: Any = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Norms of matrices: "fro", "nuc", 1, -1, 2, -2, inf, -inf.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.matrix_norm(torch.tensor([[3.0, 4.0]]))
        tensor(5.)
    """
    A = A.to(dtype) if dtype is not None else A
    n = A._array.ndim
    if n < 2:
        raise RuntimeError(
            "linalg.matrix_norm: The input tensor A must have at least 2 dimensions, but has shape "
            f"{tuple(A.shape)}."
        )
    if len(dim) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {dim}")
    d0, d1 = wrap_dim(dim[0], n), wrap_dim(dim[1], n)
    if d0 == d1:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    if ord == "fro":
        if A._array.dtype in dtypes.DIFFERENTIABLE:
            dims = (d0, d1) if d0 < d1 else (d1, d0)
            return stored_exactly(norms.vector_norm(A, 2.0, dims, keepdim), out)
        return stored_exactly(vector_norm(A, 2, (d0, d1), keepdim), out)
    if isinstance(ord, str) and ord != "nuc":
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if ord == "nuc" or abs(ord) == 2:
        s = svdvals(A.movedim((d0, d1), (-2, -1)))
        result = s.sum(-1) if ord == "nuc" else largest(s, -1) if ord > 0 else s.amin(-1)
    elif abs(ord) in (1, math.inf):
        rows, cols = (d0, d1) if abs(ord) == 1 else (d1, d0)
        sums, left = A.abs().sum(rows), cols - (cols > rows)
        result = largest(sums, left) if ord > 0 else sums.amin(left)
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if keepdim:
        for d in sorted((d0, d1)):
            result = result.unsqueeze(d)
    return stored_exactly(result, out)


def largest(x: Tensor, dim: int) -> Tensor:
    """The largest of values >= 0; 0 of none."""
    return x.amax(dim) if x._array.shape[dim] else x.sum(dim)


def norm(
    A: Tensor,
    ord: Any = None,
    dim: Any = None,
    keepdim: bool = False,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
) -> Tensor:
    """A vector norm, or a matrix norm where ``ord`` and ``dim`` say so.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.norm(torch.tensor([3.0, 4.0]))
        tensor(5.)
        >>> torch.linalg.norm(torch.tensor([[1.0, -2.0], [3.0, 4.0]]), 1)
        tensor(6.)
    """
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype, out=out)
    if dim is None and A.ndim not in (1, 2):
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
            f"{A.ndim}D."
        )
    dims = (dim,) if isinstance(dim, int) else dim
    of_matrices = A.ndim == 2 if dims is None else len(dims) != 1
    if not of_matrices and not isinstance(ord, str):
        return vector_norm(A, ord, dims, keepdim, dtype=dtype, out=out)
    where = (-2, -1) if dims is None else dims
    return matrix_norm(A, ord, where, keepdim, dtype=dtype, out=out)


@in_float32
def cond(A: Tensor, p: Any = None, *, out: Tensor | None = None) -> Tensor:
    """Condition numbers: the norm of A times that of its inverse.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.cond(torch.tensor([[4.0, 0.0], [0.0, 2.0]]))
        tensor(2.)
    """
    if A.shape[-2:] == (0, 0):
        return stored(A.new_zeros(A.shape[:-2], dtype=A.real.dtype), out)
    if p is None or p == 2:
        s = svdvals(A)
        result = s.amax(-1) / s.amin(-1)
    elif p == -2:
        s = svdvals(A)
        result = s.amin(-1) / s.amax(-1)
    elif p == "nuc":
        s = svdvals(A)
        result = s.sum(-1) * s.reciprocal().sum(-1)
    else:
        inverse, info = inv_ex(A)
        bad = info != 0
        inverse = inverse.masked_fill(bad[..., None, None], 0)
        result = (matrix_norm(A, p) * matrix_norm(inverse, p)).masked_fill(bad, math.inf)
    return stored(result, out)


def cross(input: Tensor, other: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """Cross products of 3-vectors along ``dim``, broadcast.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.cross(torch.tensor([1, 0, 0]), torch.tensor([0, 1, 0]))
        tensor([0, 0, 1])
    """
    return stored_exactly(P.cross_along(input, other, dim, "linalg.cross"), out)


@in_lower_precision
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """Dot products along ``dim``, the first vector conjugated.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.vecdot(torch.ones(2, 3), torch.arange(3.0))
        tensor([3., 3.])
    """
    expect_tensors("vecdot", x, y)
    same_dtype("linalg.vecdot", x._array, y._array)
    return stored_exactly((x.conj() * y).sum(dim), out)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """A view of the diagonals of matrices.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.diagonal(torch.arange(4).view(2, 2))
        tensor([0, 3])
    """
    expect_tensors("diagonal", A)
    return A.diagonal(offset, dim1, dim2)


def vander(x: Tensor, N: int | None = None) -> Tensor:
    """Vandermonde matrices: powers of the elements of the last dim, ascending.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.vander(torch.tensor([1, 2, 3]))
        tensor([[1, 1, 1],
                [1, 2, 4],
                [1, 3, 9]])
    """
    x = x.reshape(1) if x.ndim == 0 else x
    n = x.shape[-1] if N is None else N
    return known_as("CatBackward0", x.unsqueeze(-1) ** beside(x, np.arange(n)))


for _name in ("cross", "matrix_norm", "norm", "vecdot", "vector_norm"):
    globals()[_name] = with_axis(globals()[_name])
