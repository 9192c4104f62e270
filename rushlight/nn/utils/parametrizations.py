"""Parametrisations that are in use: weight, spectral and orthogonal normalisation."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.autograd import known_as
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.nn.modules.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from rushlight.nn.modules.module import Module
from rushlight.nn.utils import parametrize
from rushlight.ops.linalg import Qr

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def norm_except(weight: Tensor, dim: int | None) -> Tensor:
    """The Euclidean norm over all dims but one, with sizes kept; over all dims for None or -1."""
    if dim is None or dim == -1:
        return (weight * weight).sum().sqrt()
    others = [i for i in range(weight.dim()) if i != dim % weight.dim()]
    return (weight * weight).sum(others, keepdim=True).sqrt() if others else weight.abs()


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """The weight as a matrix whose rows lie along `dim`."""
    return weight.movedim(dim, 0).flatten(1)


def default_dim(module: Module) -> int:
    """The dim of a weight that holds the outputs."""
    transposed = (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)
    return 1 if isinstance(module, transposed) else 0


def _tensor_of(module: Module, name: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight


class _WeightNorm(Module):
    """``w = g v / ||v||``, the norm taken over all dims but one."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        weight = weight_v * (weight_g / norm_except(weight_v, self.dim))
        return known_as("WeightNormInterfaceBackward0", weight)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int = 0) -> Module:
    """Learn the length and the direction of each row of a weight apart: ``w = g v / ||v||``.

    Args:
        module: whose weight.
        name: the weight's name.
        dim: along which rows lie; None for one length for the whole weight.

    Example:
        >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(20, 40))
        >>> layer.parametrizations.weight.original0.shape
        torch.Size([40, 1])

    Reference: Salimans and Kingma, 2016, arXiv:1602.07868.
    """
    _tensor_of(module, name)
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def accept_older_names(_: Module, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Files of the older `weight_norm` have name_g and name_v."""
        new = [f"{prefix}parametrizations.{name}.original{i}" for i in (0, 1)]
        old = [f"{prefix}{name}_{letter}" for letter in "gv"]
        if all(key in state_dict for key in old):
            for there, here in zip(new, old, strict=True):
                state_dict[there] = state_dict.pop(here)

    module.register_load_state_dict_pre_hook(accept_older_names)
    return module


class _SpectralNorm(Module):
    """``w / sigma(w)``, the largest singular value being found by power iteration."""

    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        if not -weight.dim() <= dim < weight.dim():
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{weight.dim()}, "
                f"{weight.dim() - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but "
                f"got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim if dim >= 0 else dim + weight.dim()
        self.eps = eps
        if weight.dim() > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight.detach(), self.dim)
            rows, columns = matrix.size()
            u = matrix.new_empty(rows).normal_(0, 1)
            v = matrix.new_empty(columns).normal_(0, 1)
            self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
            self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
            self._power_method(matrix, 15)

    @no_grad()
    def _power_method(self, matrix: Tensor, iterations: int) -> None:
        for _ in range(iterations):
            self._u.copy_(F.normalize(matrix.mv(self._v), dim=0, eps=self.eps))
            self._v.copy_(F.normalize(matrix.mH.mv(self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()  # the buffers change at the next call
        return weight / T.vdot(u, T.mv(matrix, v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a weight by its largest singular value, so that the layer stretches no vector.

    Args:
        module: whose weight.
        name: the weight's name.
        n_power_iterations: steps, each time the weight is read in training, towards the singular
            vectors, > 0.
        eps: smallest norm to divide by.
        dim: the outputs' dim; 0, or 1 for transposed convolutions, unless given.

    Reference: Miyato et al., 2018, arXiv:1802.05957.
    """
    weight = _tensor_of(module, name)
    dim = default_dim(module) if dim is None else dim
    added = _SpectralNorm(weight, n_power_iterations, dim, eps)
    return parametrize.register_parametrization(module, name, added)


class _Orthogonal(Module):
    """A matrix with orthonormal columns (or rows, if those are fewer) from a free one, and a fixed
    orthogonal matrix."""

    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        wide = X.size(-2) < X.size(-1)
        tall = X.mT if wide else X
        make = _reflected if self.orthogonal_map == "householder" else self._rotated
        Q = make(tall)
        if getattr(self, "base", None) is not None:
            Q = self.base @ Q
        return Q.mT if wide else Q

    def _rotated(self, X: Tensor) -> Tensor:
        """The exponential, or Cayley map, of the skew-symmetric matrix that the lower triangle
        gives."""
        rows, columns = X.shape[-2:]
        lower = X.tril()
        if rows != columns:  # as many columns of zeros as make it square
            zeros = X.new_zeros((*X.shape[:-2], rows, rows - columns))
            lower = T.cat([lower, zeros], dim=-1)
        skew = lower - lower.mH
        if self.orthogonal_map == "matrix_exp":
            return T.matrix_exp(skew)[..., :columns]
        identity = T.eye(rows, dtype=X.dtype, device=X.device)
        return (T.inverse(identity - 0.5 * skew) @ (identity + 0.5 * skew))[..., :columns]

    @no_grad()
    def right_inverse(self, Q: Tensor) -> Tensor:
        """Keep the orthogonal matrix as the base; the map begins at the identity. Without a base,
        what gives the matrix itself: for "householder" only."""
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. "
                f"Got a tensor of shape {Q.shape}."
            )
        wide = Q.size(-2) < Q.size(-1)
        tall = Q.mT if wide else Q
        if not hasattr(self, "base"):
            if self.orthogonal_map != "householder":
                raise NotImplementedError("it is possible only with use_trivialization=True")
            return _unreflected(tall).mT if wide else _unreflected(tall)
        rows, columns = tall.shape[-2:]
        if rows != columns:
            further = T.randn(
                (*tall.shape[:-2], rows, rows - columns), dtype=Q.dtype, device=Q.device
            )
            tall = T.cat([tall, further], dim=-1)
        self.base = _nearest_orthogonal(tall)
        start = T.zeros_like(Q)
        start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)  # which every map sends to the identity
        return start


def _reflected(X: Tensor) -> Tensor:
    """The product of the Householder reflections whose vectors stand below the diagonal of X, times
    its signs."""
    below = X.tril(diagonal=-1)
    factors = 2.0 / (1.0 + (below * below).sum(dim=-2))
    vectors = below + T.eye(*X.shape[-2:], dtype=X.dtype, device=X.device)
    Q = T.eye(*X.shape[-2:], dtype=X.dtype, device=X.device).expand(X.shape)
    for i in range(X.size(-1) - 1, -1, -1):
        v = vectors[..., i : i + 1]
        Q = Q - factors[..., i, None, None] * v @ (v.mT @ Q)
    signs = X.diagonal(dim1=-2, dim2=-1).detach()  # they are not learnt
    return Q * signs.unsqueeze(-2)


def _unreflected(Q: Tensor) -> Tensor:
    """What ``_reflected`` makes the orthogonal Q of."""
    vectors, factors = T.geqrf(Q)  # signs are on the diagonal, and a factor of 0 is no reflection,
    signs = vectors.diagonal(dim1=-2, dim2=-1)  # where `_reflected` negates a unit vector
    signs.sign_().mul_(T.where(factors == 0, -1.0, 1.0))
    return vectors


def _nearest_orthogonal(matrix: Tensor) -> Tensor:
    Q, R = Qr.bind(matrix, mode="reduced")
    return Q * R.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keep a weight orthogonal: its rows, or columns if there are fewer, are orthonormal.

    Args:
        module: whose weight.
        name: the weight's name.
        orthogonal_map: "matrix_exp" (the default for square weights), "cayley" or "householder"
            (for others).
        use_trivialization: begin at the weight's own orthogonal matrix, and learn the difference
            from that.

    Reference: Lezcano-Casado, 2019, arXiv:1909.09501.
    """
    weight = _tensor_of(module, name)
    if weight.dim() < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions."
        )
    if orthogonal_map is None:
        square = weight.size(-2) == weight.size(-1) or weight.is_complex()
        orthogonal_map = "matrix_exp" if square else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". '
            f"Got: {orthogonal_map}"
        )
    added = _Orthogonal(weight, orthogonal_map, use_trivialization)
    return parametrize.register_parametrization(module, name, added, unsafe=True)
