"""Student's t distribution."""

from __future__ import annotations

import math
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.distributions import constraints
from rushlight.distributions.chi2 import Chi2
from rushlight.distributions.distribution import Distribution, checked
from rushlight.distributions.utils import _standard_normal, broadcast_all

__all__ = ["StudentT"]


class StudentT(Distribution):
    """A normal value over the root of a mean of ``df`` squares of others, scaled and moved.

        p(x) ~ (1 + ((x - loc) / scale)^2 / df)^(-(df + 1) / 2)

    Args:
        df: degrees of freedom, > 0; the mean needs more than 1, the variance more than 2.
        loc: median and mode.
        scale: > 0.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.StudentT(4.0).variance
        tensor(2.)
    """

    arg_constraints = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = True
    _parts = ("_chi2",)

    def __init__(
        self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        self._chi2 = Chi2(self.df, validate_args=validate_args)
        super().__init__(self.df.size(), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc.masked_fill(self.df <= 1, math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        finite = self.scale.square() * self.df / (self.df - 2)
        return finite.masked_fill(self.df <= 2, math.inf).masked_fill(self.df <= 1, math.nan)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        x = _standard_normal(self._extended_shape(sample_shape), self.df.dtype, self.df.device)
        z = self._chi2.rsample(sample_shape)
        return self.loc + self.scale * (x * T.rsqrt(z / self.df))

    @checked
    def log_prob(self, value: Tensor) -> Tensor:
        df, z = self.df, (value - self.loc) / self.scale
        constant = self.scale.log() + 0.5 * (df * math.pi).log()
        constant = constant + T.lgamma(0.5 * df) - T.lgamma(0.5 * (df + 1))
        return -0.5 * (df + 1) * (z.square() / df).log1p() - constant

    def entropy(self) -> Tensor:
        df = self.df
        half = 0.5 * (df + 1)
        log_beta = T.lgamma(0.5 * df) + math.lgamma(0.5) - T.lgamma(half)
        slope = half * (T.digamma(half) - T.digamma(0.5 * df))
        return self.scale.log() + slope + 0.5 * df.log() + log_beta
