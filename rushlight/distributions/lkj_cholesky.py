"""The LKJ distribution of Cholesky factors of correlation matrices."""

from __future__ import annotations

import math
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.size import Size
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.distributions import constraints
from rushlight.distributions.beta import Beta
from rushlight.distributions.distribution import Distribution, checked
from rushlight.distributions.utils import broadcast_all
from rushlight.dtypes import finfo

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Lower Cholesky factors of correlation matrices M of density ``~ det(M)^(concentration - 1)``.

    Rows are drawn one after the other: how much of a row's unit length lies off the diagonal is a
    beta value, its direction is uniform (the onion method).

    Args:
        dim: D, size of the matrices, >= 2.
        concentration: > 0; at 1 all correlation matrices are equally probable.

    Shape:
        Samples ``(*, D, D)``.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.LKJCholesky(3, 0.5).sample().shape
        torch.Size([3, 3])

    Reference: Lewandowski, Kurowicka and Joe, 2009, "Generating random correlation matrices based
        on vines and extended onion method".
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ValueError(
                f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        super().__init__(self.concentration.size(), Size((dim, dim)), validate_args)
        self._beta = self._off_diagonal()

    def _off_diagonal(self) -> Beta:
        """The squared length of each row off the diagonal; the first row's is not used."""
        offset = T.arange(
            self.dim - 1, dtype=self.concentration.dtype, device=self.concentration.device
        )
        offset = T.cat([offset.new_zeros((1,)), offset])
        marginal = self.concentration + 0.5 * (self.dim - 2)
        return Beta(offset + 0.5, marginal.unsqueeze(-1) - 0.5 * offset)

    def _expand_parts(self, new: Any, batch_shape: Any) -> None:
        new._beta = self._beta.expand(Size(batch_shape) + Size((self.dim,)))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            length = self._beta.sample(sample_shape).unsqueeze(-1)
            shape = self._extended_shape(sample_shape)
            normal = T.randn(shape, dtype=length.dtype, device=length.device).tril(-1)
            direction = normal / normal.norm(dim=-1, keepdim=True)
            direction[..., 0, :] = 0.0
            factor = length.sqrt() * direction
            rest = (1 - factor.square().sum(-1)).clamp(min=finfo(length.dtype).tiny)
            return factor + rest.sqrt().diag_embed()

    @checked
    def log_prob(self, value: Tensor) -> Tensor:
        """``sum of (2 (concentration - 1) + D - i) log L_ii`` over rows i >= 2, less a constant."""
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = T.arange(
            2, self.dim + 1, dtype=self.concentration.dtype, device=self.concentration.device
        )
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - order
        return (order * diagonal.log()).sum(-1) - self._log_constant()

    def _log_constant(self) -> Tensor:
        n = self.dim - 1
        alpha = self.concentration + 0.5 * n
        above = T.mvlgamma(alpha - 0.5, n)
        below = T.lgamma(alpha) * n
        return 0.5 * n * math.log(math.pi) + above - below
