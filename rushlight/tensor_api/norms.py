"""Norms of vectors and matrices."""

from __future__ import annotations

import math
from typing import Any

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.tensor import Tensor, expect_tensors
from rushlight.errors import DTypeError
from rushlight.ops import reduce as R, statistics as S
from rushlight.ops.linalg import Svd
from rushlight.tensor_api._common import method, stored_exactly
from rushlight.tensor_api.reductions import dims_of, prepared, sum

__all__ = ["dist", "frobenius_norm", "norm", "nuclear_norm"]


@method
def norm(
    input: Tensor,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    out: Tensor | None = None,
    dtype: Any = None,
) -> Tensor:
    """``sum(|input| ** p) ** (1 / p)`` of all elements or over ``dim``.

    Args:
        p: a number; "fro" is 2; inf is the largest absolute value, 0 the count of nonzeros; "nuc"
            the sum of singular values.
        dim: dims to reduce; None for all.

    Example:
        >>> import rushlight as torch
        >>> torch.tensor([3.0, 4.0]).norm()
        tensor(5.)
    """
    input = prepared(input, dtype, "norm")
    if input._array.dtype not in dtypes.DIFFERENTIABLE:
        raise DTypeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{dtypes.of[input._array.dtype].name}; convert with .float()."
        )
    if p == "nuc":
        return stored_exactly(_nuclear(input, dim, keepdim), out)
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f"norm: Order {p} not supported: 'fro', 'nuc' or a number.")
    order = 2.0 if p is None or p == "fro" else float(p)
    return stored_exactly(vector_norm(input, order, dims_of(dim, input._array.ndim), keepdim), out)


def vector_norm(input: Tensor, order: float, dims: Any, keepdim: bool) -> Tensor:
    """The norm over ``dims``, a tuple or None. Without elements it needs order >= 0 and finite."""
    if (order < 0 or order == math.inf) and not R.count_of(input._array.shape, dims):
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {order} norm on an empty tensor: the operation "
            "has no identity"
        )
    return S.VectorNorm.bind(input, dim=dims, keepdim=keepdim, ord=order)


def _nuclear(input: Tensor, dim: Any, keepdim: bool) -> Tensor:
    if dim is not None and (isinstance(dim, int) or len(dim) != 2 or dim[0] == dim[1]):
        raise RuntimeError(f"norm: the nuclear norm needs two dims, but got {dim}.")
    a, b = (-2, -1) if dim is None else dim
    singular = Svd.bind(input.movedim((a, b), (-2, -1)), full_matrices=False)[1]
    result = sum(singular, -1)
    if keepdim:
        for d in sorted([a % input._array.ndim, b % input._array.ndim]):
            result = result.unsqueeze(d)
    return result


def frobenius_norm(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """``norm`` with p = 2."""
    return norm(input, "fro", dim, keepdim, out)


def nuclear_norm(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The sum of the singular values of matrices: of ``input``, or along two dims."""
    return norm(input, "nuc", dim, keepdim, out)


@method
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The ``p``-norm of ``input - other``.

    Example:
        >>> import rushlight as torch
        >>> torch.dist(torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0]))
        tensor(5.)
    """
    expect_tensors("dist", input, other)
    return known_as("DistBackward0", norm(input - other, p))
