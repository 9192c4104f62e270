"""Transforms of vectors and matrices: to simplices, triangular factors and positive definite
matrices.
"""

from __future__ import annotations

import math
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.distributions import constraints
from rushlight.distributions.transforms.base import Plain
from rushlight.distributions.transforms.elementwise import _clipped_sigmoid
from rushlight.distributions.utils import softplus, tril_matrix_to_vec, vec_to_tril_matrix
from rushlight.dtypes import finfo
from rushlight.tensor_api.matrices import triangular_factor


class SoftmaxTransform(Plain):
    """Vectors to the simplex by softmax. Not bijective: adding a constant changes nothing.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.distributions as D
        >>> D.SoftmaxTransform()(torch.zeros(4))
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _call(self, x: Tensor) -> Tensor:
        return T.softmax(x, dim=-1)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def forward_shape(self, shape: Any) -> Any:
        return _at_least(shape, 1)

    def inverse_shape(self, shape: Any) -> Any:
        return _at_least(shape, 1)


def _at_least(shape: Any, dims: int) -> Any:
    if len(shape) < dims:
        raise ValueError(f"Too few dimensions on input: {tuple(shape)}; need {dims} or more.")
    return shape


class StickBreakingTransform(Plain):
    """K numbers to a point of the simplex of K + 1.

    A stick of length one is broken K times: each number says, through a sigmoid, which share of the
    rest to take; zeros give equal parts. Bijective.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.distributions as D
        >>> t = D.StickBreakingTransform()
        >>> t(torch.zeros(2))
        tensor([0.3333, 0.3333, 0.3333])
    """

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    def _offsets(self, n: int, like: Tensor) -> Tensor:
        return T.arange(n, 0, -1, dtype=like.dtype, device=like.device).log()

    def _call(self, x: Tensor) -> Tensor:
        share = _clipped_sigmoid(x - self._offsets(x.shape[-1], x))
        one = x.new_ones(x.shape[:-1] + (1,))
        return T.cat([share, one], -1) * T.cat([one, (1 - share).cumprod(-1)], -1)

    def _inverse(self, y: Tensor) -> Tensor:
        taken = y[..., :-1]
        rest = (1 - taken.cumsum(-1)).clamp(min=finfo(y.dtype).tiny)
        return taken.log() - rest.log() + self._offsets(taken.shape[-1], y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        x = x - self._offsets(x.shape[-1], x)
        return (y[..., :-1].log() - softplus(x)).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        shape = _at_least(shape, 1)
        return shape[:-1] + (shape[-1] + 1,)

    def inverse_shape(self, shape: Any) -> Any:
        shape = _at_least(shape, 1)
        return shape[:-1] + (shape[-1] - 1,)


class CorrCholeskyTransform(Plain):
    """``D (D - 1) / 2`` numbers to the Cholesky factor of a D by D correlation matrix.

    tanh makes partial correlations z of them; the element (i, j) of the factor is z_ij times the
    root of what z left of the row's length: ``prod (1 - z_ik^2)`` over k < j.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.distributions as D
        >>> D.CorrCholeskyTransform()(torch.zeros(1))
        tensor([[1., 0.],
                [0., 1.]])
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    def _call(self, x: Tensor) -> Tensor:
        x = T.tanh(x)
        eps = finfo(x.dtype).eps
        z = vec_to_tril_matrix(x.clamp(min=-1 + eps, max=1 - eps), diag=-1)
        left = (1 - z.square()).sqrt().cumprod(-1)
        z = z + T.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        return z * _shifted(left)

    def _inverse(self, y: Tensor) -> Tensor:
        left = _shifted(_rest_of_rows(y).sqrt())
        x = tril_matrix_to_vec(y, diag=-1) / tril_matrix_to_vec(left, diag=-1)
        return (x.log1p() - (-x).log1p()) / 2  # atanh

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Each element moves with its own x by (1 - z^2) times the root of what was left."""
        stretch = 0.5 * tril_matrix_to_vec(_rest_of_rows(y), diag=-2).log().sum(-1)
        return stretch - 2 * (x + softplus(-2 * x) - math.log(2.0)).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        n = _at_least(shape, 1)[-1]
        size = round((0.25 + 2 * n) ** 0.5 + 0.5)
        if size * (size - 1) // 2 != n:
            raise ValueError(
                f"Input is not a flattened lower-diagonal number: {n} is not D (D - 1) / 2."
            )
        return shape[:-1] + (size, size)

    def inverse_shape(self, shape: Any) -> Any:
        shape = _at_least(shape, 2)
        if shape[-2] != shape[-1]:
            raise ValueError(f"Input is not square: {tuple(shape)}.")
        size = shape[-1]
        return shape[:-2] + (size * (size - 1) // 2,)


def _rest_of_rows(factor: Tensor) -> Tensor:
    """What elements up to each leave of the squared length, one, of their row."""
    return 1 - factor.square().cumsum(-1)


def _shifted(x: Tensor) -> Tensor:
    """Columns moved right by one, a column of ones first."""
    return T.cat([x.new_ones(x.shape[:-1] + (1,)), x[..., :-1]], -1)


class LowerCholeskyTransform(Plain):
    """Matrices to lower triangular ones with a positive diagonal: the lower part with the
    exponential of the diagonal.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.distributions as D
        >>> D.LowerCholeskyTransform()(torch.zeros(2, 2))
        tensor([[1., 0.],
                [0., 1.]])
    """

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def _call(self, x: Tensor) -> Tensor:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(Plain):
    """Matrices to positive definite ones: ``L L'`` with L from ``LowerCholeskyTransform``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.distributions as D
        >>> D.PositiveDefiniteTransform()(torch.zeros(2, 2))
        tensor([[1., 0.],
                [0., 1.]])
    """

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x: Tensor) -> Tensor:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Tensor) -> Tensor:
        return LowerCholeskyTransform().inv(triangular_factor(y))
