"""The multivariate normal distribution with a covariance of low rank plus a diagonal."""

from __future__ import annotations

import math
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.distributions import constraints
from rushlight.distributions.distribution import Distribution, checked
from rushlight.distributions.utils import (
    _standard_normal,
    half_log_det,
    lazy_property,
    matrix_times_vector,
    solve_lower,
)
from rushlight.tensor_api.matrices import triangular_factor

__all__ = ["LowRankMultivariateNormal"]


class LowRankMultivariateNormal(Distribution):
    """Normal vectors of covariance ``W W' + diag(d)`` with W of few columns.

    With the Cholesky factor of the small matrix ``I + W' diag(1/d) W``, densities take
    ``O(D rank^2)`` operations (Woodbury's identity, and that of determinants).

    Args:
        loc: mean, ``(*, D)``.
        cov_factor: W, ``(*, D, rank)``.
        cov_diag: d, > 0, ``(*, D)``.

    Example:
        >>> import rushlight as torch
        >>> m = torch.distributions.LowRankMultivariateNormal(
        ...     torch.zeros(2), torch.tensor([[1.0], [0.0]]), torch.ones(2)
        ... )
        >>> m.covariance_matrix
        tensor([[2., 0.],
                [0., 1.]])
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        cov_factor: Tensor,
        cov_diag: Tensor,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event = loc.shape[-1:]
        if cov_factor.dim() < 2:
            raise ValueError(
                "cov_factor must be at least two-dimensional, with optional leading batch "
                "dimensions"
            )
        if cov_factor.shape[-2:-1] != event:
            raise ValueError(
                f"cov_factor must be a batch of matrices with shape {event[0]} x m, but has shape "
                f"{tuple(cov_factor.shape)}"
            )
        if cov_diag.shape[-1:] != event:
            raise ValueError(
                f"cov_diag must be a batch of vectors with shape {tuple(event)}, but has shape "
                f"{tuple(cov_diag.shape)}"
            )
        batch = T.broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        self.loc, self.cov_diag = loc.expand((*batch, -1)), cov_diag.expand((*batch, -1))
        self.cov_factor = cov_factor.expand((*batch, -1, -1))
        self._narrow = cov_factor, cov_diag  # as given, without the batch dims added above
        scaled = cov_factor.mT / cov_diag.unsqueeze(-2)
        eye = T.eye(cov_factor.shape[-1], dtype=cov_factor.dtype, device=cov_factor.device)
        self._capacitance = triangular_factor(eye + scaled @ cov_factor)
        super().__init__(batch, event, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:  # type: ignore[override]
        w, d = self._narrow
        return (w.square().sum(-1) + d).expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """Lower Cholesky factor of the covariance."""
        w, d = self._narrow
        root = d.sqrt().unsqueeze(-1)
        inner = w / root
        eye = T.eye(self._event_shape[0], dtype=w.dtype, device=w.device)
        return self._wide(root * triangular_factor(inner @ inner.mT + eye))

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """``W W' + diag(d)``."""
        w, d = self._narrow
        return self._wide(w @ w.mT + d.diag_embed())

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """Inverse of the covariance."""
        w, d = self._narrow
        half = solve_lower(self._capacitance, w.mT / d.unsqueeze(-2))
        return self._wide(d.reciprocal().diag_embed() - half.mT @ half)

    def _wide(self, matrix: Tensor) -> Tensor:
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        w, d = self._narrow
        shape = self._extended_shape(sample_shape)
        common = _standard_normal(shape[:-1] + w.shape[-1:], self.loc.dtype, self.loc.device)
        own = _standard_normal(shape, self.loc.dtype, self.loc.device)
        return self.loc + matrix_times_vector(w, common) + d.sqrt() * own

    def _squared_length(self, difference: Tensor) -> Tensor:
        """``x' covariance^-1 x``."""
        w, d = self._narrow
        scaled = difference / d
        inner = matrix_times_vector(w.mT, scaled)
        correction = solve_lower(self._capacitance, inner.unsqueeze(-1)).squeeze(-1)
        return (difference * scaled).sum(-1) - correction.square().sum(-1)

    def _log_det(self) -> Tensor:
        """Logarithm of the covariance's determinant."""
        return 2 * half_log_det(self._capacitance) + self._narrow[1].log().sum(-1)

    @checked
    def log_prob(self, value: Tensor) -> Tensor:
        constant = self._event_shape[0] * math.log(2 * math.pi)
        distance = self._squared_length(value - self.loc)
        return -0.5 * (constant + self._log_det() + distance)

    def entropy(self) -> Tensor:
        constant = self._event_shape[0] * (1.0 + math.log(2 * math.pi))
        return (0.5 * (constant + self._log_det())).expand(self._batch_shape)
