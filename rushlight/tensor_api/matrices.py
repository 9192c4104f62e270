"""Linear algebra as Tensor methods and functions; ``rushlight.linalg`` is the namespace with
torch's full signatures.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.device_array import beside, host
from rushlight.core.tensor import Tensor, expect_tensors
from rushlight.errors import DTypeError, ShapeError
from rushlight.ops import linalg as L
from rushlight.ops.linalg.matrices import square
from rushlight.ops.matmul import same_dtype
from rushlight.tensor_api._common import method, methods, store_out, warn_once
from rushlight.tensor_api.named import named
from rushlight.tensor_api.products import matrix_power
from rushlight.tensor_api.shaping import broadcast_shapes

__all__ = [
    "cholesky",
    "cholesky_inverse",
    "cholesky_solve",
    "det",
    "inverse",
    "logdet",
    "lu_unpack",
    "lu_solve",
    "matrix_exp",
    "pinverse",
    "qr",
    "slogdet",
    "svd",
    "triangular_solve",
]


@method
def inverse(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse of (batches of) square matrices. RuntimeError when one is singular.

    Example:
        >>> import rushlight as torch
        >>> torch.tensor([[2.0, 0.0], [0.0, 4.0]]).inverse()
        tensor([[0.5000, 0.0000],
                [0.0000, 0.2500]])
    """
    result = L.Inverse.bind(input)
    return result if out is None else store_out(out, result, exact=True)


@method
def det(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Determinants.

    Example:
        >>> import rushlight as torch
        >>> torch.det(torch.tensor([[1.0, 2.0], [0.0, 4.0]]))
        tensor(4.)
    """
    result = L.Det.bind(input)
    return result if out is None else store_out(out, result, exact=True)


@method
def slogdet(input: Tensor, *, out: Any = None) -> Any:
    """Sign and logarithm of the absolute value of determinants.

    Example:
        >>> import rushlight as torch
        >>> torch.slogdet(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        torch.return_types.slogdet(
        sign=tensor(-1.),
        logabsdet=tensor(0.))
    """
    return named("slogdet", L.Slogdet.bind(input), out)


@method
def logdet(input: Tensor) -> Tensor:
    """Logarithms of determinants; nan where they are negative.

    Example:
        >>> import rushlight as torch
        >>> torch.logdet(2 * torch.eye(2))
        tensor(1.3863)
    """
    sign, log = L.Slogdet.bind(input)
    if input._array.dtype in dtypes.COMPLEX_TYPES:
        return log + sign.angle() * 1j
    return known_as("WhereBackward0", log.masked_fill(sign < 0, float("nan")))


@method
def cholesky(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The triangular factor of positive definite matrices."""
    _warn_of_name("torch.cholesky", "torch.linalg.cholesky")
    result = known_as("CholeskyBackward0", triangular_factor(input, upper))
    return result if out is None else store_out(out, result)


def triangular_factor(x: Tensor, upper: bool = False) -> Tensor:
    """``cholesky``, which is deprecated under that name."""
    return L.H(L.Cholesky.bind(x)) if upper else L.Cholesky.bind(x)


def _warn_of_name(old: str, new: str, how: str = "") -> None:
    warn_once(f"{old} is deprecated in favor of {new}{how}.")


@method
def cholesky_solve(
    input: Tensor, input2: Tensor, upper: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """X with ``A @ X = input`` given the Cholesky factor of A."""
    same_dtype("cholesky_solve", input._array, input2._array)
    result = L.CholeskySolve.bind(input, input2, upper=upper)
    return result if out is None else store_out(out, result)


@method
def cholesky_inverse(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The inverse of a matrix, given its Cholesky factor."""
    square("cholesky_inverse", input._array)
    result = cholesky_solve(L.eye_like(input).expand(input.shape), input, upper)
    result = known_as("CholeskyInverseBackward0", result)
    return result if out is None else store_out(out, result)


@method
def qr(input: Tensor, some: bool = True, *, out: Any = None) -> Any:
    """``input = Q @ R``."""
    _warn_of_name("torch.qr", "torch.linalg.qr", ", whose mode is 'reduced' or 'complete'")
    return named("qr", L.Qr.bind(input, mode="reduced" if some else "complete"), out)


@method
def svd(input: Tensor, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> Any:
    """``input = U @ diag(S) @ V.mH``."""
    u, s, vh = L.Svd.bind(input, full_matrices=not some)
    if not compute_uv:
        m, n = input._array.shape[-2:]
        batch = input._array.shape[:-2]
        parts = input.new_zeros((*batch, m, m)), s, input.new_zeros((*batch, n, n))
    else:
        parts = u, s, L.H(vh)
    return named("svd", parts, out)


@method
def matrix_exp(input: Tensor) -> Tensor:
    """The exponential of square matrices.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.matrix_exp(torch.zeros(2, 2))
        tensor([[1., 0.],
                [0., 1.]])
    """
    return L.MatrixExp.bind(input)


def pinv(x: Tensor, rtol: Any = None, atol: Any = None, hermitian: bool = False) -> Tensor:
    """The Moore-Penrose inverse."""
    expect_tensors("pinv", x)
    if x._array.dtype not in dtypes.DIFFERENTIABLE:
        raise DTypeError(
            "linalg.pinv: expected a tensor of floats or complex numbers, but got "
            f"{dtypes.of[x._array.dtype].name}; convert with .float()."
        )
    if hermitian:  # only the lower triangle is read
        diagonal = x.diagonal(0, -2, -1)
        if x.is_complex():
            diagonal = diagonal.real + 0j
        x = x.tril(-1) + L.H(x.tril(-1)) + diagonal.diag_embed()
    if rtol is None:
        m, n = x._array.shape[-2:] if x._array.ndim > 1 else (1, 1)
        wide = not isinstance(atol, Tensor) and not atol
        rtol = float(np.finfo(x._array.dtype).eps) * max(m, n) if atol is None or wide else 0.0
    cuts = [
        host(t)[..., None] if isinstance(t, Tensor) else t
        for t in (rtol, atol or 0.0 if not isinstance(atol, Tensor) else atol)
    ]
    return L.Pinv.bind(x, rtol=cuts[0], atol=cuts[1])


@method
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The Moore-Penrose inverse.

    Example:
        >>> import rushlight as torch
        >>> torch.pinverse(torch.tensor([[2.0], [0.0]]))
        tensor([[0.5000, 0.0000]])
    """
    return pinv(input, rcond)


def lu_solve(
    input: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Tensor | None = None
) -> Tensor:
    """X with ``A @ X = input``, given the LU factorisation of A."""
    _warn_of_name("torch.lu_solve", "torch.linalg.lu_solve", ", which takes input last")
    check_factors(LU_data, LU_pivots, input)
    result = factored_solve(input, LU_data, LU_pivots)
    return result if out is None else store_out(out, result, exact=True)


def check_factors(LU: Tensor, pivots: Tensor, B: Tensor) -> None:
    """Refuse what does not belong to an LU factorisation."""
    expect_tensors("linalg.lu_solve", LU, pivots, B)
    same_dtype("linalg.lu_solve", LU._array, B._array)
    if pivots._array.dtype is not dtypes.int32:
        raise DTypeError(
            f"linalg.lu_solve: pivots should be int32, as lu_factor returns them, but are "
            f"{dtypes.of[pivots._array.dtype].name}; convert with .int()."
        )


def factored_solve(input: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """``lu_solve``, which is deprecated under that name."""
    permuted = in_order(input, L.row_order(host(LU_pivots), LU_data._array.shape[-1]))
    inner = L.SolveTriangular.bind(LU_data, permuted, upper=False, unitriangular=True)
    result = L.SolveTriangular.bind(LU_data, inner, upper=True, unitriangular=False)
    return known_as("LinalgLuSolveBackward0", result)


def in_order(x: Tensor, rows: Any) -> Tensor:
    """The matrices of x with their rows in another order: an array of numbers of rows each."""
    batch = broadcast_shapes(x._array.shape[:-2], rows.shape[:-1])
    rows = beside(x, np.broadcast_to(rows, (*batch, rows.shape[-1])))
    x = x.expand(*batch, *x._array.shape[-2:])
    return x.take_along_dim(rows[..., None].expand_as(x), -2)  # type: ignore[no-any-return]


def triangular_solve(
    input: Tensor,
    A: Tensor,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
    *,
    out: Any = None,
) -> Any:
    """(X, A) with ``A @ X = b`` for a triangular A."""
    _warn_of_name(
        "torch.triangular_solve", "torch.linalg.solve_triangular", ", which takes A first"
    )
    matrix = A.mT if transpose else A
    x = L.SolveTriangular.bind(matrix, input, upper=upper != transpose, unitriangular=unitriangular)
    name = "TriangularSolveBackward0"
    return named("triangular_solve", (known_as(name, x), known_as(name, A.clone())), out)


def lu_unpack(
    LU_data: Tensor,
    LU_pivots: Tensor,
    unpack_data: bool = True,
    unpack_pivots: bool = True,
    *,
    out: Any = None,
) -> Any:
    """(P, L, U) from the result of ``lu_factor``.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
        >>> P, L, U = torch.lu_unpack(*torch.linalg.lu_factor(x))
        >>> torch.equal(P @ L @ U, x)
        True
    """
    m, n = LU_data._array.shape[-2:]
    k = min(m, n)
    p = low = up = LU_data.new_empty(0)
    if unpack_pivots:
        rows = L.row_order(host(LU_pivots), m)
        eye = np.eye(m, dtype=LU_data._array.dtype)[rows]
        p = beside(LU_data, np.ascontiguousarray(np.swapaxes(eye, -1, -2)))
    if unpack_data:
        ones = beside(LU_data, np.eye(m, k, dtype=LU_data._array.dtype))
        low, up = LU_data.tril(-1)[..., :k] + ones, LU_data.triu()[..., :k, :]
        low, up = known_as("LuUnpackBackward0", low), known_as("LuUnpackBackward0", up)
    return named("lu_unpack", (p, low, up), out)


def square_check(x: Tensor, name: str) -> None:
    """Refuse matrices that are not square."""
    if x._array.ndim < 2 or x._array.shape[-1] != x._array.shape[-2]:
        raise ShapeError(
            f"{name}: A must be batches of square matrices, but has shape {tuple(x._array.shape)}."
        )


methods(lu_solve=lu_solve, triangular_solve=triangular_solve, matrix_power=matrix_power)
