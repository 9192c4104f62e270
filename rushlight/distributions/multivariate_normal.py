"""The multivariate normal distribution."""

from __future__ import annotations

import math
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.distributions import constraints
from rushlight.distributions.distribution import Distribution, checked
from rushlight.distributions.utils import (
    _standard_normal,
    cholesky_of_inverse,
    half_log_det,
    inverse_of,
    lazy_property,
    matrix_times_vector,
    squared_length,
)
from rushlight.tensor_api.matrices import triangular_factor

__all__ = ["MultivariateNormal"]


class MultivariateNormal(Distribution):
    """Normal vectors with a covariance, which is given in one of three ways.

    Samples are ``loc + scale_tril @ noise``; the Cholesky factor ``scale_tril`` is what
    computations use, so it is the fastest to give.

    Args:
        loc: mean, ``(*, D)``.
        covariance_matrix: positive definite, ``(*, D, D)``.
        precision_matrix: inverse of the covariance.
        scale_tril: lower triangular, ``scale_tril @ scale_tril.mT`` being the covariance.

    Example:
        >>> import rushlight as torch
        >>> m = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
        >>> m.log_prob(torch.zeros(2))
        tensor(-1.8379)
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        name, matrix = one_matrix(covariance_matrix, precision_matrix, scale_tril)
        batch = T.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        setattr(self, name, matrix.expand((*batch, -1, -1)))
        self.loc = loc.expand((*batch, -1))
        super().__init__(batch, self.loc.shape[-1:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = factor_of(name, matrix)  # libraries read it by this name

    @lazy_property
    def scale_tril(self) -> Tensor:
        """Lower Cholesky factor of the covariance."""
        return self._wide(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """Expected product of two coordinates' distances from the mean."""
        return self._wide(self._unbroadcasted_scale_tril @ self._unbroadcasted_scale_tril.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """Inverse of the covariance."""
        return self._wide(inverse_of(self._unbroadcasted_scale_tril))

    def _wide(self, matrix: Tensor) -> Tensor:
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        squares = self._unbroadcasted_scale_tril.square().sum(-1)
        return squares.expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        noise = _standard_normal(
            self._extended_shape(sample_shape), self.loc.dtype, self.loc.device
        )
        return self.loc + matrix_times_vector(self._unbroadcasted_scale_tril, noise)

    @checked
    def log_prob(self, value: Tensor) -> Tensor:
        constant = self._event_shape[0] * math.log(2 * math.pi)
        distance = squared_length(self._unbroadcasted_scale_tril, value - self.loc)
        return -0.5 * (constant + distance) - half_log_det(self._unbroadcasted_scale_tril)

    def entropy(self) -> Tensor:
        constant = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi))
        return (constant + half_log_det(self._unbroadcasted_scale_tril)).expand(self._batch_shape)


def one_matrix(covariance: Any, precision: Any, factor: Any) -> tuple[str, Tensor]:
    """Which of the three is given, and its name."""
    given = {
        "covariance_matrix": covariance,
        "precision_matrix": precision,
        "scale_tril": factor,
    }
    found = [(name, matrix) for name, matrix in given.items() if matrix is not None]
    if len(found) != 1:
        raise ValueError(
            "Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified."
        )
    name, matrix = found[0]
    if matrix.dim() < 2:
        raise ValueError(
            f"{name} must be at least two-dimensional, with optional leading batch dimensions"
        )
    return name, matrix


def factor_of(name: str, matrix: Tensor) -> Tensor:
    """The lower Cholesky factor of the covariance that the matrix of this name describes."""
    if name == "scale_tril":
        return matrix
    return triangular_factor(matrix) if name == "covariance_matrix" else cholesky_of_inverse(matrix)


def _precision_to_scale_tril(P: Tensor) -> Tensor:
    """The lower Cholesky factor of the inverse of ``P``, by the name that programs import."""
    return factor_of("precision_matrix", P)
