"""``torch.linalg``: linear algebra on (batches of) matrices, differentiable. LAPACK comes through
NumPy and SciPy.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor, wrap
from rushlight.ops import linalg as L
from rushlight.ops.ldl import LdlFactor, LdlSolve
from rushlight.ops.linalg import LinAlgError as LinAlgError
from rushlight.tensor_api import matrices as M
from rushlight.tensor_api import products as P
from rushlight.tensor_api import reductions
from rushlight.tensor_api._common import store_out, unrecorded, wrap_dim, wrap_dims
from rushlight.tensor_api.casting import in_float32, in_lower_precision
from rushlight.tensor_api.factors import orgqr
from rushlight.tensor_api.mathematics import where
from rushlight.tensor_api.named import named
from rushlight.tensor_api.numpy_names import with_axis

matrix_power = P.matrix_power
matmul = P.matmul
matrix_exp = M.matrix_exp


def _store(out: Any, result: Any) -> Any:
    if out is None:
        return result
    return store_out(out, result)


def det(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Determinants.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.det(torch.tensor([[2.0, 0.0], [1.0, 3.0]]))
        tensor(6.)
    """
    return M.det(A, out=out)


def slogdet(A: Tensor, *, out: Any = None) -> Any:
    """Sign and logarithm of the absolute value of determinants.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.slogdet(torch.tensor([[1.0, 0.0], [0.0, -1.0]])).sign
        tensor(-1.)
    """
    return named("linalg_slogdet", L.Slogdet.bind(A), out)


@in_float32
def inv(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse of square matrices. Raises LinAlgError when one is singular.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.inv(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
        tensor([[0.5000, 0.0000],
                [0.0000, 0.2500]])
    """
    return M.inverse(A, out=out)


@in_float32
def solve(A: Tensor, B: Tensor, *, left: bool = True, out: Tensor | None = None) -> Tensor:
    """X with ``A @ X = B`` (or ``X @ A = B`` when ``left`` is False). B may be vectors.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.solve(torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.tensor([2.0, 4.0]))
        tensor([1., 1.])
    """
    M.square_check(A, "linalg.solve")
    vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    b = B.unsqueeze(-1) if vector else B
    result = L.Solve.bind(A, b) if left else L.Solve.bind(A.mT, b.mT).mT
    return _store(out, result.squeeze(-1) if vector else result)


@in_float32
def solve_ex(
    A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """(solution, info): like ``solve``, but a singular matrix is no error. Its info is the place of
    the zero on the diagonal of its U, and its solution inf.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.solve_ex(torch.eye(2), torch.ones(2)).info
        tensor(0, dtype=torch.int32)
    """
    try:
        info = wrap(np.zeros(A.shape[:-2], np.int32))
        return named("linalg_solve_ex", (solve(A, B, left=left), info), out)
    except LinAlgError:
        if check_errors:
            raise
    info = zeros_of_u(A)
    bad = info != 0
    result = solve(where(bad[..., None, None], eye_like(A), A), B, left=left)
    bad = bad.reshape(*bad.shape, *[1] * (result.ndim - bad.ndim))
    return named("linalg_solve_ex", (result.masked_fill(bad, math.inf), info), out)


@in_float32
def inv_ex(A: Tensor, *, check_errors: bool = False, out: Any = None) -> Any:
    """(inverse, info): like ``inv``, but a singular matrix is no error. Its info is the place of
    the zero on the diagonal of its U, and its inverse inf.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.inv_ex(torch.zeros(2, 2)).info
        tensor(1, dtype=torch.int32)
    """
    try:
        return named("linalg_inv_ex", (inv(A), wrap(np.zeros(A.shape[:-2], np.int32))), out)
    except LinAlgError:
        if check_errors:
            raise
    info = zeros_of_u(A)
    bad = (info != 0)[..., None, None]
    result = inv(where(bad, eye_like(A), A)).masked_fill(bad, math.inf)
    return named("linalg_inv_ex", (result, info), out)


def zeros_of_u(A: Tensor) -> Tensor:
    """The place, from 1, of the first zero on the diagonal of each U; 0 for regular matrices."""
    return lu_factor_ex(A.detach())[2]  # type: ignore[no-any-return]


def eye_like(A: Tensor) -> Tensor:
    """The identity of A's matrices."""
    return wrap(np.eye(A.shape[-1], dtype=A._array.dtype))


def solve_triangular(
    A: Tensor,
    B: Tensor,
    *,
    upper: bool,
    left: bool = True,
    unitriangular: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """X with ``A @ X = B`` for a triangular A.

    Example:
        >>> import rushlight as torch
        >>> A = torch.tensor([[2.0, 0.0], [1.0, 1.0]])
        >>> torch.linalg.solve_triangular(A, torch.tensor([[2.0], [3.0]]), upper=False)
        tensor([[1.],
                [2.]])
    """
    a, b = A._array.shape, B._array.shape
    if a[-1:] != (b[-2:][:1] if left else b[-1:]):
        raise RuntimeError(
            "linalg.solve_triangular: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'}: {a} and {b}."
        )
    if left:
        return _store(out, L.SolveTriangular.bind(A, B, upper=upper, unitriangular=unitriangular))
    return _store(
        out, L.SolveTriangular.bind(A.mT, B.mT, upper=not upper, unitriangular=unitriangular).mT
    )


@in_float32
def cholesky(A: Tensor, *, upper: bool = False, out: Tensor | None = None) -> Tensor:
    """The triangular factor of positive definite matrices. Raises LinAlgError when one is not.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.cholesky(torch.tensor([[4.0, 2.0], [2.0, 5.0]]))
        tensor([[2., 0.],
                [1., 2.]])
    """
    return M.cholesky(A, upper, out=out)


@in_float32
def cholesky_ex(
    A: Tensor, *, upper: bool = False, check_errors: bool = False, out: Any = None
) -> Any:
    """(factor, info): info is the order of the first minor that is not positive, else 0. Where it
    is not 0, the factor is the matrix itself.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.cholesky_ex(-torch.eye(2)).info
        tensor(1, dtype=torch.int32)
    """
    try:
        info = wrap(np.zeros(A.shape[:-2], np.int32))
        return named("linalg_cholesky_ex", (M.cholesky(A, upper), info), out)
    except LinAlgError:
        if check_errors:
            raise
    info = wrap(L.first_minors(A._array))
    bad = (info != 0)[..., None, None]
    factor = where(bad, A, M.cholesky(where(bad, eye_like(A), A), upper))
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
        return _store(out, L.Svd.bind(A, full_matrices=False)[1])
    return _store(out, L.Svdvals.bind(A))


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
        return _store(out, L.Eigvalsh.bind(A, UPLO=UPLO.upper()))
    return _store(out, L.Eigh.bind(A, UPLO=UPLO.upper())[0])


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
    return _store(out, L.Eig.bind(A)[0])


def pinv(
    A: Tensor,
    rcond: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """The Moore-Penrose inverse; singular values up to ``max(atol, rtol * top)`` count as zero.
    ``rcond`` is the older name of ``rtol``.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.pinv(torch.tensor([[2.0, 0.0], [0.0, 4.0], [0.0, 0.0]])).shape
        torch.Size([2, 3])
    """
    return _store(out, M.pinv(A, rcond if rtol is None else rtol, atol, hermitian))


@in_float32
def matrix_rank(
    A: Tensor,
    tol: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
    out: Any = None,
) -> Tensor:
    """How many singular values are not (nearly) zero.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.matrix_rank(torch.ones(3, 3))
        tensor(1)
    """
    s = svdvals(A.detach())._array
    eps = (
        float(np.finfo(s.dtype).eps) * max(A.shape[-2:])
        if rtol is None and atol is None and tol is None
        else 0.0
        if rtol is None
        else rtol
    )
    least = tol if tol is not None else atol if atol is not None else 0.0
    least = least._array[..., None] if isinstance(least, Tensor) else least
    eps = eps._array[..., None] if isinstance(eps, Tensor) else eps
    top = s.max(-1, keepdims=True, initial=0.0)
    return _store(out, wrap(np.asarray((s > np.maximum(least, eps * top)).sum(-1))))


@in_float32
def lstsq(
    A: Tensor,
    B: Tensor,
    rcond: Any = None,
    *,
    driver: str | None = None,
    out: Any = None,
) -> Any:
    """X that minimises ``|A @ X - B|``, with residuals, rank and singular values.

    Args:
        A: matrices, (*, m, n).
        B: right sides, (*, m, k), or vectors, (*, m).
        rcond: singular values up to ``rcond`` times the largest count as zero; machine precision
            times max(m, n) by default.
        driver: which of LAPACK's functions: "gels" (full rank), "gelsy" (the default), "gelsd",
            "gelss". It decides which of the last three results are there, not how X is found.

    Example:
        >>> import rushlight as torch
        >>> A = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
        >>> torch.linalg.lstsq(A, torch.tensor([[1.0], [3.0], [5.0]])).solution
        tensor([[1.0000],
                [2.0000]])
    """
    driver = driver or "gelsy"
    if driver not in ("gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            "torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss), "
            f"but is {driver!r}"
        )
    check_lstsq(A, B)
    vector = B._array.ndim == A._array.ndim - 1
    right = B.unsqueeze(-1) if vector else B
    if driver == "gelsy" and (rcond is None or isinstance(rcond, float)):
        found = L.least_squares(unrecorded(A, right), rcond)
        if found is not None:
            x, rank = found
            x, empty = x[..., 0] if vector else x, np.empty(0, x.dtype)
            return named("linalg_lstsq", [*map(wrap, (x, empty, rank, empty.copy()))], out)
    solution = P.matmul(M.pinv(A, rcond), right)
    m, n = A.shape[-2:]
    rank = matrix_rank(A.detach(), rtol=rcond)
    real = A._array.real.dtype
    empty = wrap(np.empty(0, real))
    residuals = empty
    if m > n and driver != "gelsy" and bool((rank._array == n).all()):
        residuals = ((A @ solution - right).abs() ** 2).sum(-2)
    elif solution.requires_grad:
        residuals = solution.abs().sum() * 0 + empty
    values = svdvals(A.detach()) if driver in ("gelsd", "gelss") else empty
    rank = wrap(np.empty(0, np.int64)) if driver == "gels" else rank
    solution = solution.squeeze(-1) if vector else solution
    return named("linalg_lstsq", (solution, residuals, rank, values), out)


def check_lstsq(A: Tensor, B: Tensor) -> None:
    """Refuse right sides that do not belong to the matrices."""
    if A.ndim < 2 or B.ndim < 1:
        raise RuntimeError(
            "torch.linalg.lstsq: input must have at least 2 dimensions and other at least 1, but "
            f"they have {A.ndim} and {B.ndim}."
        )
    if A.dtype != B.dtype:
        raise RuntimeError(
            "torch.linalg.lstsq: Expected input and other to have the same dtype, but got "
            f"{A.dtype} and {B.dtype}."
        )
    rows = B.shape[-1 if B.ndim == A.ndim - 1 else -2] if B.ndim >= A.ndim - 1 else None
    if rows != A.shape[-2]:
        raise RuntimeError(
            "torch.linalg.lstsq: input.size(-2) should match other's rows, but the shapes are "
            f"{tuple(A.shape)} and {tuple(B.shape)}."
        )


def lu_factor(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """(LU, pivots): both triangles in one matrix, and LAPACK's row exchanges, counted from 1.

    Example:
        >>> import rushlight as torch
        >>> LU, pivots = torch.linalg.lu_factor(torch.tensor([[1.0, 2.0], [2.0, 8.0]]))
        >>> LU, pivots
        (tensor([[ 2.0000,  8.0000],
                [ 0.5000, -2.0000]]), tensor([2, 2], dtype=torch.int32))
    """
    return named("linalg_lu_factor", L.Lu.bind(A, pivot=pivot), out)


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
    zero = np.diagonal(data._array, 0, -2, -1) == 0
    info = (
        np.where(zero.any(-1), zero.argmax(-1) + 1, 0)
        if zero.shape[-1]
        else np.zeros(zero.shape[:-1])
    )
    if check_errors and info.any():
        raise LinAlgError(
            "linalg.lu_factor_ex: U has a zero on its diagonal, so the matrix is singular."
        )
    return named("linalg_lu_factor_ex", (data, pivots, wrap(np.asarray(info, np.int32))), out)


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
    return named("linalg_lu", M.lu_unpack(data, pivots), out)


def lu_solve(
    LU: Tensor,
    pivots: Tensor,
    B: Tensor,
    *,
    left: bool = True,
    adjoint: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """X with ``A @ X = B`` (``X @ A`` when ``left`` is False; A conjugate transposed with
    ``adjoint``), given A's LU factorisation.

    Example:
        >>> import rushlight as torch
        >>> A = torch.tensor([[4.0, 2.0], [2.0, 5.0]])
        >>> LU, pivots = torch.linalg.lu_factor(A)
        >>> torch.linalg.lu_solve(LU, pivots, torch.tensor([[6.0], [7.0]]))
        tensor([[1.],
                [1.]])
    """
    if not left:
        return _store(out, lu_solve(LU, pivots, B.mH, adjoint=not adjoint).mH)
    if not adjoint:
        return M.lu_solve(B, LU, pivots, out=out)
    inner = L.SolveTriangular.bind(LU.mH, B, upper=False, unitriangular=False)
    permuted = L.SolveTriangular.bind(LU.mH, inner, upper=True, unitriangular=True)
    rows = M.L.row_order(pivots._array, LU.shape[-1])
    back = wrap(np.argsort(rows, -1))
    return _store(
        out, permuted.take_along_dim(back[..., None].expand(*rows.shape, B.shape[-1]), -2)
    )


def multi_dot(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """Product of several matrices in the cheapest order; the first and last may be vectors.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.multi_dot([torch.ones(2, 3), torch.ones(3, 4), torch.ones(4)])
        tensor([12., 12.])
    """
    items = list(tensors)
    if len(items) < 2:
        raise RuntimeError("multi_dot(): expected at least 2 tensors.")
    first, last = items[0]._array.ndim == 1, items[-1]._array.ndim == 1
    arrays = unrecorded(*items)
    if arrays is not None:
        factors = [*arrays]
        factors[0] = factors[0][None] if first else factors[0]
        factors[-1] = factors[-1][:, None] if last else factors[-1]
        if all([x.ndim == 2 for x in factors]) and all(
            [x.shape[1] == y.shape[0] for x, y in pairwise(factors)]
        ):
            result = P.multi_dot(factors, np.dot)
            return _store(out, wrap(result.reshape(result.shape[first : 2 - last])))
    items[0] = items[0].unsqueeze(0) if first else items[0]
    items[-1] = items[-1].unsqueeze(1) if last else items[-1]
    result = P.multi_dot(items)
    result = result.squeeze(0) if first else result
    return _store(out, result.squeeze(-1) if last else result)


def vector_norm(
    x: Tensor,
    ord: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """``sum(|x|^ord)^(1/ord)`` over ``dim`` (all by default); inf and -inf give the extremes, 0
    counts what is not zero.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.vector_norm(torch.tensor([3.0, 4.0]))
        tensor(5.)
    """
    x = x.to(dtype) if dtype is not None else x
    if x._array.dtype not in dtypes.DIFFERENTIABLE:
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{dtypes.of[x._array.dtype].name}"
        )
    dims = wrap_dims(dim, x.ndim)
    return _store(out, reductions.vector_norm(x, float(ord), dims, keepdim))


def matrix_norm(
    A: Tensor,
    ord: Any = "fro",
    dim: Any = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Norms of matrices: "fro", "nuc", 1, -1, 2, -2, inf, -inf.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.matrix_norm(torch.tensor([[3.0, 4.0]]))
        tensor(5.)
    """
    A = A.to(dtype) if dtype is not None else A
    n = A._array.ndim
    if n < 2:
        raise RuntimeError(
            "linalg.matrix_norm: The input tensor A must have at least 2 dimensions, but has shape "
            f"{tuple(A.shape)}."
        )
    if len(dim) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {dim}")
    d0, d1 = wrap_dim(dim[0], n), wrap_dim(dim[1], n)
    if d0 == d1:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    if ord == "fro":
        if A._array.dtype in dtypes.DIFFERENTIABLE:
            dims = (d0, d1) if d0 < d1 else (d1, d0)
            return _store(out, reductions.vector_norm(A, 2.0, dims, keepdim))
        return _store(out, vector_norm(A, 2, (d0, d1), keepdim))
    if ord == "nuc" or abs(ord) == 2:
        s = svdvals(A.movedim((d0, d1), (-2, -1)))
        result = s.sum(-1) if ord == "nuc" else largest(s, -1) if ord > 0 else s.amin(-1)
    elif abs(ord) in (1, math.inf):
        rows, cols = (d0, d1) if abs(ord) == 1 else (d1, d0)
        sums, left = A.abs().sum(rows), cols - (cols > rows)
        result = largest(sums, left) if ord > 0 else sums.amin(left)
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if keepdim:
        for d in sorted((d0, d1)):
            result = result.unsqueeze(d)
    return _store(out, result)


def largest(x: Tensor, dim: int) -> Tensor:
    """The largest of values >= 0; 0 of none."""
    return x.amax(dim) if x._array.shape[dim] else x.sum(dim)


def norm(
    A: Tensor,
    ord: Any = None,
    dim: Any = None,
    keepdim: bool = False,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
) -> Tensor:
    """A vector norm, or a matrix norm where ``ord`` and ``dim`` say so.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.norm(torch.tensor([3.0, 4.0]))
        tensor(5.)
        >>> torch.linalg.norm(torch.tensor([[1.0, -2.0], [3.0, 4.0]]), 1)
        tensor(6.)
    """
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype, out=out)
    if dim is not None:
        if isinstance(dim, int) or len(dim) == 1:
            return vector_norm(A, ord, dim, keepdim, dtype=dtype, out=out)
        return matrix_norm(A, ord, dim, keepdim, dtype=dtype, out=out)
    if A.ndim not in (1, 2):
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
            f"{A.ndim}D."
        )
    return (
        vector_norm(A, ord, None, keepdim, dtype=dtype, out=out)
        if A.ndim == 1
        else matrix_norm(A, ord, keepdim=keepdim, dtype=dtype, out=out)
    )


@in_float32
def cond(A: Tensor, p: Any = None, *, out: Tensor | None = None) -> Tensor:
    """Condition numbers: the norm of A times that of its inverse.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.cond(torch.tensor([[4.0, 0.0], [0.0, 2.0]]))
        tensor(2.)
    """
    if A.shape[-2:] == (0, 0):
        return _store(out, A.new_zeros(A.shape[:-2], dtype=A.real.dtype))
    if p is None or p == 2:
        s = svdvals(A)
        result = s.amax(-1) / s.amin(-1)
    elif p == -2:
        s = svdvals(A)
        result = s.amin(-1) / s.amax(-1)
    elif p == "nuc":
        s = svdvals(A)
        result = s.sum(-1) * s.reciprocal().sum(-1)
    else:
        inverse, info = inv_ex(A)
        bad = info != 0
        inverse = inverse.masked_fill(bad[..., None, None], 0)
        result = (matrix_norm(A, p) * matrix_norm(inverse, p)).masked_fill(bad, math.inf)
    return _store(out, result)


def cross(input: Tensor, other: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """Cross products of 3-vectors along ``dim``, broadcast.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.cross(torch.tensor([1, 0, 0]), torch.tensor([0, 1, 0]))
        tensor([0, 0, 1])
    """
    return _store(out, P.cross_along(input, other, dim, "linalg.cross"))


@in_lower_precision
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """Dot products along ``dim``, the first vector conjugated.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.vecdot(torch.ones(2, 3), torch.arange(3.0))
        tensor([3., 3.])
    """
    return _store(out, (x.conj() * y).sum(dim))


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """A view of the diagonals of matrices.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.diagonal(torch.arange(4).view(2, 2))
        tensor([0, 3])
    """
    return A.diagonal(offset, dim1, dim2)


def vander(x: Tensor, N: int | None = None) -> Tensor:
    """Vandermonde matrices: powers of the elements of the last dim, ascending.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.vander(torch.tensor([1, 2, 3]))
        tensor([[1, 1, 1],
                [1, 2, 4],
                [1, 3, 9]])
    """
    x = x.reshape(1) if x.ndim == 0 else x
    n = x.shape[-1] if N is None else N
    return x.unsqueeze(-1) ** wrap(np.arange(n))


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
    if check_errors and info._array.any():
        raise LinAlgError("linalg.ldl_factor_ex: D has a zero on its diagonal: A is singular.")
    return named("linalg_ldl_factor_ex", (data, pivots, info), out)


def ldl_solve(
    LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False, out: Tensor | None = None
) -> Tensor:
    """X with ``A @ X = B``, given A's LDL factorisation.

    Example:
        >>> import rushlight as torch
        >>> A = torch.tensor([[4.0, 2.0], [2.0, 5.0]])
        >>> LD, pivots = torch.linalg.ldl_factor(A)
        >>> torch.linalg.ldl_solve(LD, pivots, A @ torch.ones(2, 1))
        tensor([[1.],
                [1.]])
    """
    if B.ndim < 2 or LD.ndim < 2 or B.shape[-2] != LD.shape[-1]:
        raise RuntimeError(
            "linalg.ldl_solve: Expected B to have at least 2 dimensions and as many rows as A, but "
            f"got {tuple(B.shape)} for A of shape {tuple(LD.shape)}."
        )
    if pivots.shape != LD.shape[:-1] or pivots._array.dtype not in dtypes.INTEGER_TYPES:
        raise RuntimeError(
            f"linalg.ldl_solve: Expected integer pivots of shape {tuple(LD.shape[:-1])}, but got "
            f"{pivots.dtype} of shape {tuple(pivots.shape)}."
        )
    return _store(out, LdlSolve.bind(LD, pivots, B, hermitian=hermitian))


@in_float32
def tensorinv(A: Tensor, ind: int = 2, *, out: Tensor | None = None) -> Tensor:
    """The inverse of A seen as a matrix from its last dims to its first ``ind``.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.tensorinv(torch.eye(6).view(2, 3, 6)).shape
        torch.Size([6, 2, 3])
    """
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    left, right = A.shape[:ind], A.shape[ind:]
    if math.prod(left) != math.prod(right):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {tuple(A.shape)}"
        )
    return _store(out, inv(A.reshape(math.prod(left), math.prod(right))).reshape(*right, *left))


@in_float32
def tensorsolve(A: Tensor, B: Tensor, dims: Any = None, *, out: Tensor | None = None) -> Tensor:
    """X with ``tensordot(A, X, X.ndim) = B``.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.tensorsolve(torch.eye(6).view(2, 3, 2, 3), torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A.ndim - len(dims), A.ndim)))
    shape = A.shape[B.ndim :]
    if math.prod(shape) != math.prod(A.shape[: B.ndim]):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {tuple(A.shape)}"
        )
    n = math.prod(shape)
    return _store(out, solve(A.reshape(n, n), B.reshape(n)).reshape(*shape))


for _name in ("cross", "matrix_norm", "norm", "vecdot", "vector_norm"):
    globals()[_name] = with_axis(globals()[_name])
