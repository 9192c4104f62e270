"""Solutions of linear equations, inverses, determinants and ranks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.device_array import beside, host
from rushlight.core.tensor import Tensor, expect_tensors, wrap
from rushlight.errors import DTypeError
from rushlight.linalg.factors import eye_like, svdvals, zeros_of_u
from rushlight.ops import linalg as L
from rushlight.ops.ldl import LdlSolve
from rushlight.ops.linalg import LinAlgError as LinAlgError
from rushlight.ops.matmul import same_dtype
from rushlight.tensor_api import matrices as M, products as P
from rushlight.tensor_api._common import stored, stored_exactly, unrecorded
from rushlight.tensor_api.bounds import where
from rushlight.tensor_api.casting import in_float32
from rushlight.tensor_api.named import named

__all__ = [
    "det",
    "inv",
    "inv_ex",
    "ldl_solve",
    "lstsq",
    "lu_solve",
    "matrix_rank",
    "pinv",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "tensorinv",
    "tensorsolve",
]


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
    same_dtype("linalg.solve", A._array, B._array)
    vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    b = B.unsqueeze(-1) if vector else B
    result = L.Solve.bind(A, b) if left else L.Solve.bind(A.mT, b.mT).mT
    if vector:
        result = known_as("LinalgSolveExBackward0", result.squeeze(-1))
    return stored_exactly(result, out)


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
        info = beside(A, np.zeros(A.shape[:-2], np.int32))
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
        return named("linalg_inv_ex", (inv(A), beside(A, np.zeros(A.shape[:-2], np.int32))), out)
    except LinAlgError:
        if check_errors:
            raise
    info = zeros_of_u(A)
    bad = (info != 0)[..., None, None]
    result = inv(where(bad, eye_like(A), A)).masked_fill(bad, math.inf)
    return named("linalg_inv_ex", (result, info), out)


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
        return stored_exactly(
            L.SolveTriangular.bind(A, B, upper=upper, unitriangular=unitriangular), out
        )
    return stored_exactly(
        L.SolveTriangular.bind(A.mT, B.mT, upper=not upper, unitriangular=unitriangular).mT, out
    )


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
    return stored(M.pinv(A, rcond if rtol is None else rtol, atol, hermitian), out)


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
    s = host(svdvals(A.detach()))
    eps = (
        float(np.finfo(s.dtype).eps) * max(A.shape[-2:])
        if rtol is None and atol is None and tol is None
        else 0.0
        if rtol is None
        else rtol
    )
    least = tol if tol is not None else atol if atol is not None else 0.0
    least = host(least)[..., None] if isinstance(least, Tensor) else least
    eps = host(eps)[..., None] if isinstance(eps, Tensor) else eps
    top = s.max(-1, keepdims=True, initial=0.0)
    return stored(beside(A, np.asarray((s > np.maximum(least, eps * top)).sum(-1))), out)


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
            return named("linalg_lstsq", [*map(wrap, (x, empty, rank, empty.copy()))], out, False)
    solution = P.matmul(M.pinv(A, rcond), right)
    m, n = A.shape[-2:]
    rank = matrix_rank(A.detach(), rtol=rcond)
    real = dtypes.REAL_OF.get(A._array.dtype, A._array.dtype)
    empty = beside(A, np.empty(0, real))
    residuals = empty
    if m > n and driver != "gelsy" and bool((host(rank) == n).all()):
        residuals = ((A @ solution - right).abs() ** 2).sum(-2)
    elif solution.requires_grad:
        residuals = solution.abs().sum() * 0 + empty
    values = svdvals(A.detach()) if driver in ("gelsd", "gelss") else empty
    rank = beside(A, np.empty(0, np.int64)) if driver == "gels" else rank
    name = "LinalgLstsqBackward0"
    solution = known_as(name, solution.squeeze(-1) if vector else solution)
    return named("linalg_lstsq", (solution, residuals, rank, values), out, exact=False)


def check_lstsq(A: Tensor, B: Tensor) -> None:
    """Refuse right sides that do not belong to the matrices."""
    expect_tensors("lstsq", A, B)
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
    if A._array.dtype not in dtypes.DIFFERENTIABLE or A._array.dtype in dtypes.HALVES:
        raise DTypeError(
            "torch.linalg.lstsq: expected tensors of float32, float64 or complex numbers, but got "
            f"{A.dtype}; convert them with .float()."
        )
    rows = B.shape[-1 if B.ndim == A.ndim - 1 else -2] if B.ndim >= A.ndim - 1 else None
    if rows != A.shape[-2]:
        raise RuntimeError(
            "torch.linalg.lstsq: input.size(-2) should match other's rows, but the shapes are "
            f"{tuple(A.shape)} and {tuple(B.shape)}."
        )


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
    M.check_factors(LU, pivots, B)
    if not left:
        return stored_exactly(lu_solve(LU, pivots, B.mH, adjoint=not adjoint).mH, out)
    if not adjoint:
        return stored_exactly(M.factored_solve(B, LU, pivots), out)
    inner = L.SolveTriangular.bind(LU.mH, B, upper=False, unitriangular=False)
    permuted = L.SolveTriangular.bind(LU.mH, inner, upper=True, unitriangular=True)
    rows = L.row_order(host(pivots), LU.shape[-1])
    return stored_exactly(M.in_order(permuted, np.argsort(rows, -1)), out)


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
    return stored_exactly(LdlSolve.bind(LD, pivots, B, hermitian=hermitian), out)


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
    return stored(inv(A.reshape(math.prod(left), math.prod(right))).reshape(*right, *left), out)


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
    return stored(solve(A.reshape(n, n), B.reshape(n)).reshape(*shape), out)
