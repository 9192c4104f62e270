"""Distances and similarities of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from rushlight import dtypes, tensor_api as T
from rushlight.core.autograd import known_as
from rushlight.core.device_array import constant_on
from rushlight.core.native import LEAST
from rushlight.core.op import packed
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, expect_tensors, needs_grad, no_tensor, wrap
from rushlight.ops.distance import FEW, PAIRS, Cdist, by_loop, norms, pairs, upper_places
from rushlight.ops.statistics import VectorNorm
from rushlight.ops.sums import number, summed
from rushlight.tensor_api._common import unrecorded, wrap_dims
from rushlight.tensor_api.norms import vector_norm

__all__ = ["cosine_similarity", "pairwise_distance", "pdist", "normalize"]


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """``x1 . x2 / (max(|x1|, eps) max(|x2|, eps))`` along ``dim``; the inputs broadcast.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.functional.cosine_similarity(torch.ones(1, 2), torch.tensor([[3.0, 0.0]]))
        tensor([0.7071])
    """
    expect_tensors("cosine_similarity", x1, x2)
    a, b = x1._array.dtype, x2._array.dtype
    if a is not b or a not in dtypes.DIFFERENTIABLE:
        d = T.result_type(x1, x2)
        if not d.is_floating_point and not d.is_complex:
            raise RuntimeError(
                f"expected common dtype to be floating point, yet common dtype is {d}"
            )
        x1, x2 = x1.to(d), x2.to(d)
    if x1._array.shape != x2._array.shape:
        x1, x2 = T.broadcast_tensors(x1, x2)
    arrays = unrecorded(x1, x2)
    if arrays is not None and arrays[0].size < LEAST:
        dims = wrap_dims(dim, arrays[0].ndim)
        x, y = [unit_of(a, dims, eps) for a in arrays]
        return wrap(packed(summed(x * y, dims)))
    return (unit(x1, dim, eps) * unit(x2, dim, eps)).sum(dim)


def unit(x: Tensor, dim: int, eps: float) -> Tensor:
    """x by its norm along dim; a norm below eps counts as eps, without gradient."""
    dims = wrap_dims(dim, x._array.ndim)
    return x / vector_norm(x, 2.0, dims, True).clamp(min=eps)


def unit_of(x: Any, dims: Any, eps: float) -> Any:
    """``unit`` of an array."""
    size = VectorNorm.instance.eager(np, x, dim=dims, keepdim=True, ord=2.0)
    return x / np.maximum(size, number(eps, x.dtype))


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """``|x1 - x2 + eps|_p`` over the last dim. Shape: ``(N, D), (N, D) -> (N)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.pairwise_distance(torch.zeros(2, 2), torch.tensor([[3.0, 4.0], [6.0, 8.0]]))
        tensor([ 5.0000, 10.0000])
    """
    expect_tensors("pairwise_distance", x1, x2)
    dim = -1 if max(x1.dim(), x2.dim()) else 0
    return known_as("NormBackward1", T.norm(x1 - x2 + eps, p, dim, keepdim))


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """p-norm distances of all pairs of rows, in the order of the upper triangle. Shape:
    ``(N, M) -> (N (N - 1) / 2)``.

    Raises:
        RuntimeError: input has not two dims.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.pdist(torch.tensor([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]))
        tensor([ 5., 10.,  5.])
    """
    try:
        x = input._array
    except AttributeError:
        raise no_tensor("pdist", input) from None
    if x.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    n = len(x)
    if not (input._tracked and modes.grad and needs_grad(input)):
        if not state.busy and n > 1 and x.__class__ is ndarray:
            found = by_loop(PAIRS, x, x, p, (n * (n - 1) // 2,))
            if found is not None:
                return wrap(found)
        few = x.__class__ is ndarray and n * x.size <= FEW
        if not state.busy and x.dtype in dtypes.FLOATS and few and x.shape[1]:
            i, j = pairs(n)
            return wrap(norms(x.take(i, 0) - x.take(j, 0), p))
        upper = constant_on(input, upper_places(n))
        return Cdist.bind(input, input, p=p, products=False).reshape(-1)[upper]  # type: ignore[no-any-return]
    i, j = T.triu_indices(n, n, 1, device=input.device).unbind(0)
    return known_as("PdistBackward0", T.norm(input[i] - input[j], p, -1))


def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """``x / max(|x|_p, eps)`` along ``dim``. Shape: ``(*) -> (*)``.

    Args:
        p: order of the norm.
        dim: along which vectors lie.
        eps: the least number to divide by, > 0.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.normalize(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    length = T.norm(input, p, dim, True).clamp_min(eps)
    if unrecorded(input) is None:  # else nobody sees whether it was expanded
        length = length.expand_as(input)
    return T.div(input, length, out=out)
