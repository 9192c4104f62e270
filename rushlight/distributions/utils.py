"""What the distributions share: bringing parameters together, probabilities and logits, and
properties that are computed once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import dtypes, tensor_api as T
from rushlight.core.state import GradMode
from rushlight.core.tensor import Tensor
from rushlight.dtypes import finfo
from rushlight.nn.functional import softplus as softplus
from rushlight.ops.linalg import SolveTriangular
from rushlight.tensor_api.matrices import triangular_factor

euler_constant = 0.57721566490153286060

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "lazy_property",
    "logits_to_probs",
    "probs_to_logits",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape; numbers take the first tensor's dtype.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.utils.broadcast_all(torch.zeros(2), 1.0)
        (tensor([0., 0.]), tensor([1., 1.]))
    """
    for value in values:
        if not isinstance(value, (Tensor, int, float, np.number)):
            raise ValueError(
                "Input arguments must all be numbers or Tensors, but one is "
                f"{type(value).__name__}."
            )
    tensors = [v for v in values if isinstance(v, Tensor)]
    dtype = tensors[0].dtype if tensors else dtypes.get_default_dtype()
    device = tensors[0].device if tensors else None
    return tuple(
        T.broadcast_tensors(
            *[
                v if isinstance(v, Tensor) else T.tensor(v, dtype=dtype, device=device)
                for v in values
            ]
        )
    )


def one_of(probs: Any, logits: Any) -> bool:
    """Whether ``probs`` is given rather than ``logits``. ValueError unless exactly one is."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")
    return probs is not None


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities: the sigmoid of binary logits, else the softmax over the last dim."""
    return T.sigmoid(logits) if is_binary else T.softmax(logits, dim=-1)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities at least an epsilon away from zero and one."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Log-odds of binary probabilities, else logarithms; of clamped values, so they are finite."""
    clamped = clamp_probs(probs)
    return clamped.log() - (-clamped).log1p() if is_binary else clamped.log()


def _standard_normal(shape: Any, dtype: Any, device: Any = None) -> Tensor:
    return T.empty(shape, dtype=dtype, device=device).normal_()


def _sum_rightmost(value: Tensor, dim: int) -> Tensor:
    """The sum over the last ``dim`` dims."""
    if not dim:
        return value
    return value.reshape(value.shape[: value.dim() - dim] + (-1,)).sum(-1)


class lazy_property:
    """Decorator: a property that is computed when first read, with gradients, and then kept."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        self.__doc__ = wrapped.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        with GradMode(True):
            value = self.wrapped(instance)
        instance.__dict__[getattr(self, "name", self.wrapped.__name__)] = value
        return value


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """The elements of (batches of) matrices on and below the diagonal ``diag``, row by row."""
    n = mat.shape[-1]
    if not -n <= diag < n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    rows, columns = np.tril_indices(n, diag)
    return mat[..., T.from_numpy(rows), T.from_numpy(columns)]


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """The matrices whose lower elements, row by row, are ``vec``; the inverse of
    ``tril_matrix_to_vec``.
    """
    length = vec.shape[-1]
    n = (
        -(1 + 2 * diag) + ((1 + 2 * diag) ** 2 + 8 * length + 4 * abs(diag) * (diag + 1)) ** 0.5
    ) / 2
    if abs(n - round(n)) > finfo(vec.dtype).eps:
        raise ValueError(
            f"The size of last dimension is {length} which cannot be expressed as the lower "
            "triangular part of a square D x D matrix."
        )
    n = round(n)
    rows, columns = np.tril_indices(n, diag)
    flat = vec.new_zeros(vec.shape[:-1] + (n * n,))
    at = T.from_numpy(rows * n + columns).to(vec.device).expand(vec.shape)
    return flat.scatter(-1, at, vec).reshape(vec.shape[:-1] + (n, n))


def matrix_times_vector(matrix: Tensor, vector: Tensor) -> Tensor:
    """Batches of ``matrix @ vector``."""
    return T.matmul(matrix, vector.unsqueeze(-1)).squeeze(-1)


def solve_lower(factor: Tensor, right: Tensor) -> Tensor:
    """X with ``factor @ X = right`` for lower triangular factors; batch dims broadcast."""
    batch = T.broadcast_shapes(factor.shape[:-2], right.shape[:-2])
    factor = factor.expand(tuple(batch) + tuple(factor.shape[-2:]))
    right = right.expand(tuple(batch) + tuple(right.shape[-2:]))
    return SolveTriangular.bind(factor, right, upper=False, unitriangular=False)


def squared_length(factor: Tensor, difference: Tensor) -> Tensor:
    """``d' (L L')^-1 d`` for vectors d and lower triangular L, whose batch dims broadcast."""
    return solve_lower(factor, difference.unsqueeze(-1)).squeeze(-1).square().sum(-1)


def half_log_det(factor: Tensor) -> Tensor:
    """The sum of the logarithms of (batches of) diagonals."""
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def cholesky_of_inverse(matrix: Tensor) -> Tensor:
    """The lower Cholesky factor of the inverse of positive definite matrices.

    With J reversing the order and ``J P J = L L'``, the matrix ``U = J L J`` is upper triangular,
    ``P = U U'``, and so ``P^-1 = U'^-1 U^-1`` with a lower triangular first factor.
    """
    upper = triangular_factor(matrix.flip((-2, -1))).flip((-2, -1))
    return solve_lower(upper.mT, T.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device))


def inverse_of(factor: Tensor) -> Tensor:
    """``(L L')^-1``."""
    half = solve_lower(factor, T.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device))
    return half.mT @ half
