"""Triangular and orthogonal factors: Cholesky, QR, LU.

Reference: Walter and Lehmann, 2012, for the gradient of QR.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import beside, host
from rushlight.core.native import kernels
from rushlight.core.op import Op
from rushlight.core.tensor import Tensor
from rushlight.core.threads import all_threads, decompositions, scipy_linalg
from rushlight.errors import NotSupportedError, ShapeError
from rushlight.ops.join import Cat
from rushlight.ops.linalg.matrices import (
    ALONE,
    MANY,
    H,
    LinAlgError,
    by_loop,
    equation,
    eye_like,
    lapack,
    matrix,
    square,
)
from rushlight.ops.linalg.solutions import Solve, SolveTriangular


def lower_factor(x: Any) -> Any:
    """The Cholesky factor. LinAlgError where there is none, also for NaN, which LAPACK passes."""
    found = by_loop("cholesky", x, None)
    if found is not None:
        low, _, failed = found
    else:
        low = decompositions.cholesky(x)
        diagonal = low.diagonal(0, -2, -1)
        failed = (diagonal != diagonal).any()
    if failed:
        raise np.linalg.LinAlgError("NaN")
    return low


def first_minors(x: Any) -> Any:
    """The order of the first leading minor of each matrix that is not positive, or 0; int32."""
    square("linalg.cholesky", x)
    found = [first_minor(m) for m in x.reshape(-1, *x.shape[-2:])] if x.size else []
    return np.array(found or np.zeros(x.shape[:-2]), np.int32).reshape(x.shape[:-2])


def first_minor(matrix: Any) -> int:
    """``first_minors`` of one matrix: if one is not positive, the larger ones are not either."""

    def positive(order: int) -> bool:
        try:
            lower_factor(matrix[:order, :order])
        except np.linalg.LinAlgError:
            return False
        return True

    n = len(matrix)
    return 0 if positive(n) else 1 + bisect_left(range(n), True, key=lambda k: not positive(k + 1))


class Cholesky(Op):
    """The lower triangular L with ``L @ L.mH = input``, of positive definite matrices."""

    label = "LinalgCholeskyEx"

    def eager(self, xp, input):
        square("linalg.cholesky", input)
        try:
            return lower_factor(input)
        except np.linalg.LinAlgError:
            order = int(first_minors(input).max())
            raise LinAlgError(
                "linalg.cholesky: The factorization could not be completed because the input is "
                f"not positive-definite (the leading minor of order {order} is not)."
            ) from None

    def grad(self, g, out):
        upper = H(out)
        phi = upper @ g
        phi = phi.tril() + phi.tril(-1)  # twice what it should be, as is s + H(s)
        s = Solve.bind(upper, H(Solve.bind(upper, H(phi))))
        return (s + H(s)) / 4


class CholeskySolve(Op):
    """X with ``A @ X = input``, given A's Cholesky factor; only its triangle is read.

    The factor's gradient is that of A carried on, whose other triangle is not zero, as in torch.
    """

    fits = True

    def eager(self, xp, input, factor, *, upper):
        square("cholesky_solve", factor)
        equation("cholesky_solve", factor, input)
        low = np.swapaxes(np.triu(factor).conj(), -1, -2) if upper else np.tril(factor)
        inner = lapack("cholesky_solve", decompositions.solve, low, input)
        return lapack(
            "cholesky_solve", decompositions.solve, np.swapaxes(low.conj(), -1, -2), inner
        )

    def grad_input(self, g, factor, upper):
        return CholeskySolve.bind(g, factor, upper=upper)

    def grad_factor(self, g, factor, out, upper):
        a = CholeskySolve.bind(g, factor, upper=upper) @ H(out)
        a = a + H(a)
        return -(factor @ a) if upper else -(a @ factor)


class Qr(Op):
    """``input = Q @ R`` with orthonormal columns in Q and upper triangular R; mode "reduced" or
    "complete".
    """

    label = "LinalgQr"
    outputs = ("Q", "R")

    def eager(self, xp, input, *, mode):
        matrix("linalg.qr", input)
        found = reflected(input, mode == "complete")
        if found is not None:
            return found
        q, r = lapack("linalg.qr", decompositions.qr, input, mode)
        return q, r

    def grad(self, g, Q, R, mode):
        gq, gr = g
        m, n = Q.shape[-2], R.shape[-1]
        if mode == "complete" and m > n:
            raise LinAlgError(
                "The QR decomposition is not differentiable when mode='complete' and nrows > "
                "ncols; use mode='reduced'."
            )
        if m >= n:
            return qr_gradient(gq, gr, Q, R)
        left, right = R[..., :m], R[..., m:]  # wide: the first m columns decide Q
        last = Q @ gr[..., m:]
        inner = qr_gradient(gq + (Q @ right) @ H(gr[..., m:]), gr[..., :m], Q, left)
        return Cat.bind(inner, last, dim=last._array.ndim - 1)


WIDE = 8  # float64 numbers in the longest vectors


def reflected(x: Any, complete: bool) -> Any:
    """(Q, R) of small float32 matrices by a loop, which computes in float64 as NumPy does, or
    None.
    """
    m, n = x.shape[-2:]
    few = n <= MANY and m <= n + ALONE  # tall ones have much of Q that is not asked for
    if not few or x.dtype is not dtypes.float32 or not x.size or not x.flags.carray:
        return None
    run = kernels.runner("qr", x.dtype, 4, x.size, exact=False)
    if run is None:
        return None
    k = m if complete else min(m, n)
    middle = -(-n // WIDE) * WIDE
    width = middle + -(-m // WIDE) * WIDE
    q, r = np.empty((*x.shape[:-1], k), x.dtype), np.empty((*x.shape[:-2], k, n), x.dtype)
    run(x, q, r, np.empty((m + 1) * width), m, n, k, middle, width, x.size // (m * n))
    return q, r


def qr_gradient(gq: Tensor, gr: Tensor, q: Tensor, r: Tensor) -> Tensor:
    """For square or tall matrices."""
    m = r @ H(gr) - H(gq) @ q
    low = m.tril(-1)
    sym = low + H(low) + hermitian_diagonal(m)
    return H(Solve.bind(r, H(gq + q @ sym)))


def hermitian_diagonal(m: Tensor) -> Tensor:
    """The real part of the diagonal, as a matrix."""
    d = m.diagonal(0, -2, -1)
    if m._array.dtype in dtypes.COMPLEX_TYPES:
        d = d.real + 0j
    return d.diag_embed()


class Lu(Op):
    """LU factors in one matrix (L's unit diagonal is not stored), and LAPACK's row exchanges, from
    1.
    """

    outputs = ("LU", "pivots")

    def eager(self, xp, input, *, pivot):
        matrix("linalg.lu_factor", input)
        if not pivot:
            raise NotSupportedError(
                "linalg.lu: pivot=False is only available on CUDA in PyTorch too; use pivot=True."
            )
        found = by_loop("lu", input, None)
        if found is not None:
            return found[:2]
        k = min(input.shape[-2:])
        data, pivots = input.copy(), np.empty((*input.shape[:-2], k), np.int32)
        if input.size:
            factor = scipy_linalg().get_lapack_funcs("getrf", dtype=input.dtype)
            flat = data.reshape(-1, *input.shape[-2:])
            with all_threads(k):
                for a, found in zip(flat, pivots.reshape(-1, k), strict=True):
                    a[...], at, _ = factor(a)  # of a singular one too: torch says nothing either
                    found[:] = at[:k] + 1
        return data, pivots

    def grad(self, g, LU, pivots):
        """With A = P L U: what lies outside of the leading square is carried into it first."""
        g = g[0]
        m, n = LU.shape[-2:]
        k = min(m, n)
        low = LU[..., :k, :k].tril(-1) + eye_like(LU[..., :k, :k])
        up = LU[..., :k, :k].triu()
        gl, gu = g[..., :k, :k].tril(-1), g[..., :k, :k].triu()
        rest = None
        if m < n:
            rest = SolveTriangular.bind(H(low), g[..., k:], upper=True, unitriangular=True)
            gl = gl - rest @ H(LU[..., k:])
        elif m > n:
            rest = solve_right(g[..., k:, :], up)
            gu = gu - H(LU[..., k:, :]) @ rest
        inner = (H(low) @ gl).tril(-1) + (gu @ H(up)).triu()
        square_part = SolveTriangular.bind(
            H(low), solve_right(inner, up), upper=True, unitriangular=True
        )
        whole = square_part
        if rest is not None:
            whole = Cat.bind(square_part, rest, dim=LU.ndim - 1 if m < n else LU.ndim - 2)
        rows = np.argsort(row_order(host(pivots), m), -1)
        index = beside(g, rows)[..., None].expand(*rows.shape, n)
        return whole.gather(LU.ndim - 2, index)


def solve_right(g: Tensor, up: Tensor) -> Tensor:
    """X with ``X @ up^H = g``."""
    return H(SolveTriangular.bind(up, H(g), upper=True, unitriangular=False))


def row_order(pivots: Any, n: int) -> Any:
    """The row order that LAPACK's row exchanges, counted from 1, stand for."""
    known = pivots.ndim > 0 and pivots.shape[-1] <= n
    if not known or (pivots.size and not 0 < pivots.min() <= pivots.max() <= n):
        raise ShapeError(
            f"pivots are vectors of rows from 1 to {n}, as lu_factor() returns them, but these, of "
            f"shape {pivots.shape}, are not."
        )
    out = np.broadcast_to(np.arange(n), (*pivots.shape[:-1], n)).copy()
    for i in np.ndindex(pivots.shape[:-1]):
        row = out[i]
        for a, b in enumerate(pivots[i]):
            row[a], row[b - 1] = row[b - 1], row[a]
    return out
