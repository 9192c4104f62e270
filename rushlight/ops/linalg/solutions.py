"""Solving equations, and functions of matrices: inverses, pseudo-inverses, exponentials."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.op import Op
from rushlight.core.threads import all_threads, decompositions, scipy_linalg
from rushlight.ops.join import Cat
from rushlight.ops.linalg.matrices import (
    MANY,
    H,
    LinAlgError,
    by_loop,
    equation,
    lapack,
    matrix,
    square,
)
from rushlight.ops.sums import number


class Inverse(Op):
    """The inverse of square matrices."""

    label = "LinalgInvEx"

    def eager(self, xp, input):
        square("linalg.inv", input)
        try:
            return decompositions.inv(input)
        except np.linalg.LinAlgError:
            raise LinAlgError(
                "linalg.inv: The diagonal element is zero, the inversion could not be completed "
                "because the input matrix is singular."
            ) from None

    def grad(self, g, out):
        h = H(out)
        return -(h @ g @ h)


class Solve(Op):
    """X with ``input @ X = other``, for matrices on the right side."""

    label = "LinalgSolveEx"

    def eager(self, xp, input, other):
        square("linalg.solve", input)
        equation("linalg.solve", input, other)
        found = by_loop("solve", input, other)
        if found is not None and not found[2]:
            return found[0]
        try:
            return decompositions.solve(input, other)
        except np.linalg.LinAlgError:
            raise LinAlgError(
                "linalg.solve: The solver failed because the input matrix is singular."
            ) from None

    fits = True

    def grads(self, g, needs, input, out):
        other = Solve.bind(H(input), g)
        return -(other @ H(out)) if needs[0] else None, other


class SolveTriangular(Op):
    """X with ``input @ X = other`` for a triangular input; only its triangle is read."""

    label = "LinalgSolveTriangular"
    fits = True

    def eager(self, xp, input, other, *, upper, unitriangular):
        square("linalg.solve_triangular", input)
        equation("linalg.solve_triangular", input, other)
        name = ("upper" if upper else "lower") + (" unit" if unitriangular else "")
        found = by_loop(name, input, other)
        if found is not None:
            return found[0]
        a = np.triu(input) if upper else np.tril(input)
        if unitriangular:
            n = a.shape[-1]
            a = a * (1 - np.eye(n, dtype=a.dtype)) + np.eye(n, dtype=a.dtype)
        try:
            return decompositions.solve(a, other)
        except np.linalg.LinAlgError:
            return np.full(
                np.broadcast_shapes(a.shape[:-2], other.shape[:-2]) + other.shape[-2:],
                np.inf,
                a.dtype,
            )

    def grad_input(self, g, input, out, upper, unitriangular):
        gx = -(
            SolveTriangular.bind(H(input), g, upper=not upper, unitriangular=unitriangular) @ H(out)
        )
        shift = 1 if unitriangular else 0
        return gx.triu(shift) if upper else gx.tril(-shift)

    def grad_other(self, g, input, upper, unitriangular):
        return SolveTriangular.bind(H(input), g, upper=not upper, unitriangular=unitriangular)


def least_squares(arrays: Any, rcond: float | None) -> Any:
    """(x, rank) of the smallest x for which ``a @ x`` is nearest to b, for matrices a and b with
    as many leading dims, by LAPACK's gelsy. None where it is not for that: nothing, or not finite.
    """
    if arrays is None:
        return None
    a, b = arrays
    (m, n), batch = a.shape[-2:], a.shape[:-2]
    if b.shape[:-2] != batch or not a.size or not b.size or not np.isfinite(a).all():
        return None
    tools, r = scipy_linalg().lapack, b.shape[-1]
    solve, size = (
        (tools.sgelsy, tools.sgelsy_lwork)
        if a.dtype is dtypes.float32
        else (tools.dgelsy, tools.dgelsy_lwork)
    )
    cut = float(np.finfo(a.dtype).eps) * max(m, n) if rcond is None else rcond
    work = int(size(m, n, r, cut)[0].real)
    x, ranks = np.empty((*batch, n, r), a.dtype), np.empty(batch, np.int64)
    right = np.zeros((max(m, n), r), a.dtype, "F")
    for at in np.ndindex(batch):
        right[:m] = b[at]
        free = np.zeros(n, np.int32)  # any column may be the first
        _, found, _, ranks[at], info = solve(a[at], right, free, cut, work, overwrite_b=False)
        if info:
            return None
        x[at] = found[:n]
    return x, ranks


class Pinv(Op):
    """The Moore-Penrose inverse; singular values up to ``max(atol, rtol * largest)`` count as zero.

    Reference: Golub and Pereyra, 1973, "The differentiation of pseudo-inverses".
    """

    label = "LinalgPinv"

    def eager(self, xp, input, *, rtol, atol):
        matrix("linalg.pinv", input)
        u, s, vh = lapack("linalg.pinv", decompositions.svd, input, False)
        cut = np.maximum(atol, rtol * s.max(-1, keepdims=True, initial=0))
        scale = np.where(s > cut, 1 / np.where(s > cut, s, 1), 0).astype(s.dtype)
        out = (np.swapaxes(vh.conj(), -1, -2) * scale[..., None, :]) @ np.swapaxes(u.conj(), -1, -2)
        return out.astype(input.dtype, copy=False)

    def grad(self, g, input, out):
        p, gh = out, H(g)
        left, right = gh - input @ (p @ gh), gh - gh @ (p @ input)
        return left @ (p @ H(p)) + (H(p) @ p) @ right - H(p) @ g @ H(p)


# the coefficients of the exponential's Padé approximation of degree 7, and up to what norm its
# error is below float32's rounding; see Higham, 2005, "The scaling and squaring method for the
# matrix exponential revisited"
PADE = [b / 17297280 for b in (17297280, 8648640, 1995840, 277200, 25200, 1512, 56, 1)]


PADE_NORM = 3.925724783138660


def exponentials(x: Any) -> Any:
    """The exponentials of many small finite matrices of float32, all at a time."""
    norms = np.abs(x).sum(-2).max(-1)
    steps = np.ceil(np.log2(np.maximum(norms / PADE_NORM, 1))).astype(np.int64)
    x = np.ldexp(x, -steps[..., None, None])
    one, x2 = np.eye(x.shape[-1], dtype=x.dtype), x @ x
    x4 = x2 @ x2
    x6, b = x2 @ x4, [number(c, x.dtype) for c in PADE]
    odd = x @ (b[7] * x6 + b[5] * x4 + b[3] * x2 + b[1] * one)
    even = b[6] * x6 + b[4] * x4 + b[2] * x2 + b[0] * one
    out = Solve.instance.eager(np, even - odd, even + odd)
    for k in range(steps.max()):
        more = steps > k
        part = out[more]
        out[more] = part @ part
    return out


class MatrixExp(Op):
    """The exponential of square matrices: Padé approximation with scaling and squaring."""

    label = "LinalgMatrixExp"

    def eager(self, xp, input):
        half = input.dtype in dtypes.HALVES
        x = input.astype(np.float32) if half else input
        square("linalg.matrix_exp", x)
        if not x.size:
            return input.copy()
        n = x.shape[-1]
        if n <= MANY and x.size > 4 * n * n and x.dtype is dtypes.float32 and np.isfinite(x).all():
            return np.asarray(exponentials(x), input.dtype)
        expm = scipy_linalg().expm
        with all_threads(n):
            return np.asarray(expm(x), input.dtype)

    def grad(self, g, input):
        """The exponential of [[A^H, G], [0, A^H]] holds the gradient in its upper right block."""
        n, d = input._array.shape[-1], input._array.ndim
        a = H(input)
        top = Cat.bind(a, g, dim=d - 1)
        bottom = Cat.bind(a * 0, a, dim=d - 1)
        return MatrixExp.bind(Cat.bind(top, bottom, dim=d - 2))[..., :n, n:]
