"""Factors of matrices: Cholesky, QR, LU, LDL, eigenvalues and singular values."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.core.autograd import known_as
from rushlight.core.device_array import beside, host
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor
from rushlight.ops import linalg as L
from rushlight.ops.ldl import LdlFactor
from rushlight.ops.linalg import LinAlgError as LinAlgError
from rushlight.tensor_api import matrices as M
from rushlight.tensor_api._common import stored, stored_exactly
from rushlight.tensor_api.bounds import where
from rushlight.tensor_api.casting import in_float32
from rushlight.tensor_api.factors import orgqr
from rushlight.tensor_api.named import named

__all__ = [
    "cholesky",
    "cholesky_ex",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "ldl_factor",
    "ldl_factor_ex",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "qr",
    "svd",
    "svdvals",
]


def zeros_of_u(A: Tensor) -> Tensor:
    """The place, from 1, of the first zero on the diagonal of each U; 0 for regular matrices."""
    return lu_factor_ex(A.detach())[2]  # type: ignore[no-any-return]


def eye_like(A: Tensor) -> Tensor:
    """The identity of A's matrices."""
    return beside(A, np.eye(A.shape[-1], dtype=A._array.dtype))


@in_float32
def cholesky(A: Tensor, *, upper: bool = False, out: Tensor | None = None) -> Tensor:
    """The triangular factor of positive definite matrices. Raises LinAlgError when one is not.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.cholesky(torch.tensor([[4.0, 2.0], [2.0, 5.0]]))
        tensor([[2., 0.],
                [1., 2.]])
    """
    return stored_exactly(M.triangular_factor(A, upper), out)


@in_float32
def cholesky_ex(
    A: Tensor, *, upper: bool = False, check_errors: bool = False, out: Any = None
) -> Any:
    """(factor, info): info is the order of the first minor that is not positive, else 0. Where it
    is not 0, the factor is a triangle of the matrix itself.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.cholesky_ex(-torch.eye(2)).info
        tensor(1, dtype=torch.int32)
    """
    try:
        info = beside(A, np.zeros(A.shape[:-2], np.int32))
        return named("linalg_cholesky_ex", (M.triangular_factor(A, upper), info), out)
    except LinAlgError:
        if check_errors:
            raise
    info = beside(A, L.first_minors(host(A)))
    bad = (info != 0)[..., None, None]
    given = A.triu() if upper else A.tril()
    factor = where(bad, given, M.triangular_factor(where(bad, eye_like(A), A), upper))
    return named("linalg_cholesky_ex", (factor, info), out)


@in_float32
def qr(A: Tensor, mode: str = "reduced", *, out: Any = None) -> Any:
    """``A = Q @ R``; mode "reduced", "complete", or "r" (Q empty).

    Example:
        >>> import rushlight as torch
        >>> Q, R = torch.linalg.qr(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
        >>> Q.shape, R.shape
        (torch.Size([3, 2]), torch.Size([2, 2]))
    """
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), "
            "'r', or 'complete'"
        )
    if mode == "r":
        return named("linalg_qr", (A.new_empty(0), L.Qr.bind(A, mode="reduced")[1]), out)
    return named("linalg_qr", L.Qr.bind(A, mode=mode), out)


@in_float32
def svd(
    A: Tensor, full_matrices: bool = True, *, driver: str | None = None, out: Any = None
) -> Any:
    """``A = U @ diag(S) @ Vh``, singular values descending.

    Example:
        >>> import rushlight as torch
        >>> A = torch.tensor([[3.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
        >>> U, S, Vh = torch.linalg.svd(A, full_matrices=False)
        >>> U.shape, S, Vh.shape
        (torch.Size([3, 2]), tensor([3., 2.]), torch.Size([2, 2]))
    """
    return named("linalg_svd", L.Svd.bind(A, full_matrices=full_matrices), out)


@in_float32
def svdvals(A: Tensor, *, driver: str | None = None, out: Tensor | None = None) -> Tensor:
    """Singular values, descending.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.svdvals(torch.tensor([[3.0, 0.0], [0.0, 2.0]]))
        tensor([3., 2.])
    """
    if modes.grad and A.requires_grad:
        return stored_exactly(L.Svd.bind(A, full_matrices=False)[1], out)
    return stored_exactly(L.Svdvals.bind(A), out)


@in_float32
def eigh(A: Tensor, UPLO: str = "L", *, out: Any = None) -> Any:
    """Eigenvalues (ascending) and eigenvectors of Hermitian matrices; only the triangle ``UPLO`` is
    read.

    Example:
        >>> import rushlight as torch
        >>> values, vectors = torch.linalg.eigh(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
        >>> values
        tensor([1., 2.])
    """
    return named("linalg_eigh", L.Eigh.bind(A, UPLO=UPLO.upper()), out)


@in_float32
def eigvalsh(A: Tensor, UPLO: str = "L", *, out: Tensor | None = None) -> Tensor:
    """Eigenvalues of Hermitian matrices, ascending.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.eigvalsh(torch.tensor([[2.0, 1.0], [1.0, 2.0]]))
        tensor([1., 3.])
    """
    if not (modes.grad and A.requires_grad):
        return stored_exactly(L.Eigvalsh.bind(A, UPLO=UPLO.upper()), out)
    return stored_exactly(L.Eigh.bind(A, UPLO=UPLO.upper())[0], out)


@in_float32
def eig(A: Tensor, *, out: Any = None) -> Any:
    """Eigenvalues and eigenvectors of square matrices, complex.

    Example:
        >>> import rushlight as torch
        >>> values, vectors = torch.linalg.eig(torch.tensor([[2.0, 0.0], [0.0, 3.0]]))
        >>> values
        tensor([2.+0.j, 3.+0.j])
    """
    return named("linalg_eig", L.Eig.bind(A), out)


@in_float32
def eigvals(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Eigenvalues of square matrices, complex.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.eigvals(torch.tensor([[2.0, 0.0], [0.0, 3.0]]))
        tensor([2.+0.j, 3.+0.j])
    """
    return stored(L.Eig.bind(A)[0], out)


def lu_factor(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """(LU, pivots): both triangles in one matrix, and LAPACK's row exchanges, counted from 1.

    Example:
        >>> import rushlight as torch
        >>> LU, pivots = torch.linalg.lu_factor(torch.tensor([[1.0, 2.0], [2.0, 8.0]]))
        >>> LU, pivots
        (tensor([[ 2.0000,  8.0000],
                [ 0.5000, -2.0000]]), tensor([2, 2], dtype=torch.int32))
    """
    data, pivots = L.Lu.bind(A, pivot=pivot)
    if data._array.__class__ is np.ndarray and not state.busy:  # a trace has no values to look at
        diagonal = data._array.diagonal(0, -2, -1)
        if np.count_nonzero(diagonal) < diagonal.size:
            places = np.argwhere(diagonal == 0)
            *batch, i = (places[0] + 1).tolist()
            which = f"(Batch element {places[0][:-1].tolist()}): " if batch else ""
            raise LinAlgError(
                f"linalg.lu_factor: {which}U[{i},{i}] is zero, so the matrix is singular and "
                "lu_solve would divide by zero. If you want the factors, use lu_factor_ex."
            )
    return named("linalg_lu_factor", (data, pivots), out)


def lu_factor_ex(
    A: Tensor, *, pivot: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """(LU, pivots, info): info is the first zero on the diagonal of U, counted from 1, else 0.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.lu_factor_ex(torch.zeros(2, 2)).info
        tensor(1, dtype=torch.int32)
    """
    data, pivots = L.Lu.bind(A, pivot=pivot)
    zero = np.diagonal(host(data), 0, -2, -1) == 0
    info = (
        np.where(zero.any(-1), zero.argmax(-1) + 1, 0)
        if zero.shape[-1]
        else np.zeros(zero.shape[:-1])
    )
    if check_errors and info.any():
        raise LinAlgError(
            "linalg.lu_factor_ex: U has a zero on its diagonal, so the matrix is singular."
        )
    return named("linalg_lu_factor_ex", (data, pivots, beside(A, np.asarray(info, np.int32))), out)


def lu(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """``A = P @ L @ U``.

    Example:
        >>> import rushlight as torch
        >>> A = torch.tensor([[1.0, 2.0], [2.0, 8.0]])
        >>> P, L, U = torch.linalg.lu(A)
        >>> torch.equal(P @ L @ U, A)
        True
    """
    data, pivots = L.Lu.bind(A, pivot=pivot)
    P, low, up = M.lu_unpack(data, pivots)
    low, up = known_as("LinalgLuBackward0", low), known_as("LinalgLuBackward0", up)
    return named("linalg_lu", (P, low, up), out)


@in_float32
def householder_product(A: Tensor, tau: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The first columns of a product of Householder reflections, as LAPACK stores them.

    Example:
        >>> import rushlight as torch
        >>> h, tau = torch.geqrf(torch.tensor([[3.0], [4.0]]))
        >>> torch.linalg.householder_product(h, tau)
        tensor([[-0.6000],
                [-0.8000]])
    """
    return orgqr(A, tau, out=out)


def ldl_factor(A: Tensor, *, hermitian: bool = False, out: Any = None) -> Any:
    """(LD, pivots): ``A = L @ D @ L.T`` (``L.mH`` if ``hermitian``) as LAPACK keeps it; only A's
    lower triangle is read. Without a gradient.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.ldl_factor(torch.tensor([[2.0, 0.0], [0.0, 4.0]])).LD
        tensor([[2., 0.],
                [0., 4.]])
    """
    return named("linalg_ldl_factor", LdlFactor.bind(A, hermitian=hermitian)[:2], out)


def ldl_factor_ex(
    A: Tensor, *, hermitian: bool = False, check_errors: bool = False, out: Any = None
) -> Any:
    """(LD, pivots, info): info is the first zero on D's diagonal, counted from 1, else 0."""
    data, pivots, info = LdlFactor.bind(A, hermitian=hermitian)
    if check_errors and host(info).any():
        raise LinAlgError("linalg.ldl_factor_ex: D has a zero on its diagonal: A is singular.")
    return named("linalg_ldl_factor_ex", (data, pivots, info), out)
