"""The Wishart distribution."""

from __future__ import annotations

import math
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.distributions import constraints
from rushlight.distributions.chi2 import Chi2
from rushlight.distributions.distribution import checked
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.distributions.multivariate_normal import factor_of, one_matrix
from rushlight.distributions.utils import half_log_det, inverse_of, lazy_property, solve_lower
from rushlight.errors import warn_user

__all__ = ["Wishart"]


class Wishart(ExponentialFamily):
    """The sum of ``x x'`` over ``df`` normal vectors x of a given covariance.

    Args:
        df: degrees of freedom, > D - 1, not necessarily whole.
        covariance_matrix: of the vectors, positive definite, ``(*, D, D)``.
        precision_matrix: its inverse, instead.
        scale_tril: its lower Cholesky factor, instead.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.Wishart(3.0, covariance_matrix=torch.eye(2)).mean
        tensor([[3., 0.],
                [0., 3.]])

    Reference: Bartlett, 1933, "On the theory of statistical regression"; Sawyer, 2007, "Wishart
        Distributions and Inverse-Wishart Sampling".
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(
        self,
        df: Any,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        name, matrix = one_matrix(covariance_matrix, precision_matrix, scale_tril)
        df = (
            df if isinstance(df, Tensor) else T.tensor(df, dtype=matrix.dtype, device=matrix.device)
        )
        batch = T.broadcast_shapes(matrix.shape[:-2], df.shape)
        event = matrix.shape[-2:]
        if bool((df <= event[-1] - 1).any()):
            raise ValueError(
                f"Value of df={float(df.min())} expected to be greater than ndim - 1 = "
                f"{event[-1] - 1}."
            )
        self.df = df.expand(batch)
        setattr(self, name, matrix.expand((*batch, -1, -1)))
        super().__init__(batch, event, validate_args=validate_args)
        if bool((self.df < event[-1]).any()):
            warn_user(
                "Low df values detected: singular samples are likely to occur for ndim - 1 < df < "
                "ndim."
            )
        self._unbroadcasted_scale_tril = factor_of(name, matrix)  # libraries read it by this name

    @property
    def arg_constraints(self) -> dict[str, Any]:
        """``df`` must exceed the vectors' size less one."""
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self._event_shape[-1] - 1),
        }

    @lazy_property
    def scale_tril(self) -> Tensor:
        """Lower Cholesky factor of the vectors' covariance."""
        return self._wide(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The vectors' covariance."""
        return self._wide(self._unbroadcasted_scale_tril @ self._unbroadcasted_scale_tril.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """Its inverse."""
        return self._wide(inverse_of(self._unbroadcasted_scale_tril))

    def _wide(self, matrix: Tensor) -> Tensor:
        return matrix.expand(self._batch_shape + self._event_shape)

    @property
    def mean(self) -> Tensor:
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        factor = self.df - self._event_shape[-1] - 1
        return factor.masked_fill(factor <= 0, math.nan)[..., None, None] * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        outer = diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self.df[..., None, None] * (v.square() + outer)

    def _chi2(self) -> Chi2:
        """The squares on the diagonal of Bartlett's factor: df, df - 1, ... degrees of freedom."""
        steps = T.arange(self._event_shape[-1], dtype=self.df.dtype, device=self.df.device)
        return Chi2(self.df.unsqueeze(-1) - steps, validate_args=False)

    def _bartlett(self, sample_shape: Any) -> Tensor:
        d = self._event_shape[-1]
        diagonal = self._chi2().rsample(sample_shape).sqrt()
        shape = self._extended_shape(sample_shape)
        below = T.randn(
            shape[:-2] + (d * (d - 1) // 2,), dtype=self.df.dtype, device=self.df.device
        )
        rows, columns = T.tril_indices(d, d, offset=-1, device=self.df.device)
        flat = diagonal.diag_embed().reshape(shape[:-2] + (d * d,))
        at = (rows * d + columns).expand(below.shape)
        noise = flat.scatter(-1, at, below).reshape(shape)
        factor = self._unbroadcasted_scale_tril @ noise
        return factor @ factor.mT

    def rsample(self, sample_shape: Any = (), max_try_correction: int | None = None) -> Tensor:
        """Samples; those that rounding made singular are drawn again.

        Args:
            max_try_correction: how often at most; 3 for single matrices, 10 for batches.
        """
        tries = max_try_correction or (10 if self._batch_shape else 3)
        sample = self._bartlett(sample_shape)
        for _ in range(tries):
            singular = ~self.support.check(sample)
            if not bool(singular.any()):
                break
            warn_user("Singular sample detected.")
            again = self._bartlett(sample_shape)
            sample = T.where(singular[..., None, None], again, sample)
        return sample

    @checked
    def log_prob(self, value: Tensor) -> Tensor:
        df, d = self.df, self._event_shape[-1]
        half = 0.5 * df
        product = solve_lower(self._unbroadcasted_scale_tril, value)
        trace = (
            solve_lower(self._unbroadcasted_scale_tril, product.mT)
            .diagonal(dim1=-2, dim2=-1)
            .sum(-1)
        )
        constant = half * d * math.log(2.0) + df * half_log_det(self._unbroadcasted_scale_tril)
        constant = constant + T.mvlgamma(half, p=d)
        return 0.5 * (df - d - 1) * T.slogdet(value)[1] - 0.5 * trace - constant

    def entropy(self) -> Tensor:
        df, d = self.df, self._event_shape[-1]
        half = 0.5 * df
        log_det = 2 * half_log_det(self._unbroadcasted_scale_tril)
        return (
            0.5 * (d + 1) * (log_det + d * math.log(2.0))
            + T.mvlgamma(half, p=d)
            - 0.5 * (df - d - 1) * self._mvdigamma(half)
            + half * d
        )

    def _mvdigamma(self, x: Tensor) -> Tensor:
        """Derivative of ``mvlgamma(x, D)``."""
        steps = T.arange(self._event_shape[-1], dtype=x.dtype, device=x.device) / 2
        return T.digamma(x.unsqueeze(-1) - steps).sum(-1)

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        d = self._event_shape[-1]
        return -0.5 * self.precision_matrix, 0.5 * (self.df - d - 1)

    def _log_normalizer(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        d = self._event_shape[-1]
        half = y + 0.5 * (d + 1)
        return half * (-T.slogdet(-2 * x)[1] + d * math.log(2)) + T.mvlgamma(half, p=d)
