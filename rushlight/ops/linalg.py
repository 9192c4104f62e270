"""Factorisations and solves of (batches of) matrices: LAPACK through NumPy and SciPy, gradients
ours.

Gradients of decompositions: Giles 2008, "Collected matrix derivative results for forward and
reverse mode algorithmic differentiation"; Townsend 2016, "Differentiating the singular value
decomposition"; Walter and Lehmann 2012 for QR.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import beside, constant_on, host
from rushlight.core.native import kernels
from rushlight.core.op import Op
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor
from rushlight.core.threads import all_threads, decompositions, scipy_linalg
from rushlight.errors import DTypeError, NotSupportedError, ShapeError
from rushlight.ops.join import Cat
from rushlight.ops.sums import number


class LinAlgError(RuntimeError):
    """A matrix without the property that a factorisation needs: singular, not positive definite, no
    convergence.
    """


def square(name: str, x: Any) -> None:
    """Refuse what is no (batch of) square float matrices."""
    matrix(name, x)
    if x.shape[-1] != x.shape[-2]:
        raise ShapeError(
            f"{name}: A must be batches of square matrices, but they are {x.shape[-2]} by "
            f"{x.shape[-1]} matrices."
        )


def equation(name: str, a: Any, b: Any) -> None:
    """Refuse a right side that does not go with the matrices a."""
    if b.ndim < 2 or b.shape[-2] != a.shape[-1]:
        raise ShapeError(
            f"{name}: Incompatible shapes of A and B for the equation AX = B: {a.shape} and "
            f"{b.shape}; B must be matrices with {a.shape[-1]} rows."
        )


def matrix(name: str, x: Any) -> None:
    """Refuse what is no (batch of) float matrices."""
    if x.ndim < 2:
        raise ShapeError(
            f"{name}: The input tensor A must have at least 2 dimensions, but has shape {x.shape}."
        )
    if x.dtype not in dtypes.FLOATS and x.dtype not in dtypes.COMPLEX_TYPES:
        raise DTypeError(
            f"{name}: Expected a floating point or complex tensor as input. Got "
            f"{dtypes.of[x.dtype].name}; convert with .float()."
        )


def lapack(name: str, function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call NumPy's or SciPy's linear algebra; its errors become ours."""
    try:
        return function(*args, **kwargs)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"{name}: The factorization could not be completed: {error}.") from None


def H(x: Tensor) -> Tensor:
    """Conjugate transpose of the last two dims."""
    return x.mH if x._array.dtype in dtypes.COMPLEX_TYPES else x.mT


def eye_like(x: Tensor) -> Tensor:
    """The identity of x's last dim."""
    return constant_on(x, np.eye(x._array.shape[-1], dtype=x._array.dtype))


# rows up to which a loop is quicker than LAPACK, for one matrix and for many
ALONE, MANY = 16, 64


def by_loop(name: str, a: Any, b: Any) -> Any:
    """What a loop over small matrices gives, see compiler/eager_loops.py, or None."""
    if not kernels.on or a.shape[-1] > (ALONE if a.ndim < 3 else MANY):
        return None
    return kernels.loop(name, a, b)


def diagonal_factors(x: Any) -> Any:
    """(Factors of the determinants, whether an odd number of rows was exchanged) of many small
    matrices, or None.
    """
    found = by_loop("lu", x, None)
    if found is None:
        return None
    odd = np.count_nonzero(found[1] != np.arange(1, x.shape[-1] + 1), -1) % 2
    return np.diagonal(found[0], 0, -2, -1), odd


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


class Det(Op):
    """Determinants."""

    label = "LinalgDet"

    def eager(self, xp, input):
        square("linalg.det", input)
        found = diagonal_factors(input)
        if found is not None:
            return (np.multiply.reduce(found[0], -1) * (1 - 2 * found[1])).astype(input.dtype)
        return decompositions.det(input).astype(input.dtype)

    def grad(self, g, input, out):
        """Through the cofactors where the matrix is (nearly) singular, as det * inverse fails
        there.
        """
        if invertible(input):
            return (g * out.conj())[..., None, None] * H(Inverse.bind(input))
        return g[..., None, None] * H(Adjugate.bind(input))


def invertible(x: Tensor) -> bool:
    """Whether every matrix is far from singular."""
    a = host(x)
    return not a.size or bool((decompositions.cond(a) < 1 / np.finfo(a.dtype).eps).all())


class Adjugate(Op):
    """The transposed cofactors: det(A) times the inverse, also where there is none."""

    def eager(self, xp, input):
        u, s, vh = decompositions.svd(input)
        n = s.shape[-1]
        cofactors = np.stack([np.prod(np.delete(s, i, -1), -1) for i in range(n)], -1)
        sign = decompositions.det(u) * decompositions.det(vh)
        out = (np.swapaxes(vh.conj(), -1, -2) * cofactors[..., None, :]) @ np.swapaxes(
            u.conj(), -1, -2
        )
        return np.asarray(out * sign[..., None, None], input.dtype)


class Slogdet(Op):
    """Sign and logarithm of the absolute value of determinants."""

    label = "LinalgSlogdet"
    outputs = ("sign", "logabsdet")

    def eager(self, xp, input):
        square("linalg.slogdet", input)
        found = diagonal_factors(input)
        if found is not None:
            factors, odd = found
            sign = np.multiply.reduce(np.sign(factors), -1) * (1 - 2 * odd)
            return sign.astype(input.dtype), np.add.reduce(np.log(np.abs(factors)), -1)
        sign, log = decompositions.slogdet(input)
        return np.asarray(sign, input.dtype), np.asarray(
            log, dtypes.REAL_OF.get(input.dtype, input.dtype)
        )

    def grad(self, g, input, sign):
        gs, gl = g
        total = gl
        if input._array.dtype in dtypes.COMPLEX_TYPES:
            total = gl + (gs * sign.conj()).imag * 1j
        return total[..., None, None] * H(Inverse.bind(input))


def first_minors(x: Any) -> Any:
    """The order of the first leading minor of each matrix that is not positive, or 0; int32."""
    square("linalg.cholesky", x)
    found = [first_minor(m) for m in x.reshape(-1, *x.shape[-2:])] if x.size else []
    return np.array(found or np.zeros(x.shape[:-2]), np.int32).reshape(x.shape[:-2])


def first_minor(matrix: Any) -> int:
    """``first_minors`` of one matrix: if one is not positive, the larger ones are not either."""

    def positive(order: int) -> bool:
        try:
            np.linalg.cholesky(matrix[:order, :order])
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
            return decompositions.cholesky(input)
        except np.linalg.LinAlgError:
            order = int(first_minors(input).max())
            raise LinAlgError(
                "linalg.cholesky: The factorization could not be completed because the input is "
                f"not positive-definite (the leading minor of order {order} is not)."
            ) from None

    def grad(self, g, out):
        phi = H(out) @ g
        phi = phi.tril() - phi.diagonal(0, -2, -1).diag_embed() / 2
        s = Solve.bind(H(out), H(Solve.bind(H(out), H(phi))))
        return (s + H(s)) / 2


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


def check_phase(name: str, *turns: Tensor) -> None:
    """Refuse gradients by complex vectors which lead along their phase: any phase is as good, so a
    loss that depends on it has none. ``turns`` hold vectors times their gradients on the diagonal.
    """
    if modes.trace is not None:  # without values
        return
    total = sum([np.diagonal(t._array, 0, -2, -1).imag for t in turns])
    if not np.allclose(total, 0, rtol=0, atol=1e-2):
        raise LinAlgError(
            f"{name}: in the complex case the vectors are specified up to multiplication by "
            "e^(i phi), and the loss depends on phi: its gradient is ill-defined. Use what does "
            "not, such as absolute values or U @ Vh."
        )


class Eigh(Op):
    """Eigenvalues (ascending) and eigenvectors of Hermitian matrices; ``UPLO`` says which triangle
    is read.
    """

    label = "LinalgEigh"
    outputs = ("eigenvalues", "eigenvectors")

    def eager(self, xp, input, *, UPLO):
        square("linalg.eigh", input)
        w, v = lapack("linalg.eigh", decompositions.eigh, input, UPLO)
        return w, v

    def grad(self, g, eigenvalues, eigenvectors):
        gl, gv = g
        v = eigenvectors
        gap = eigenvalues.unsqueeze(-2) - eigenvalues.unsqueeze(-1)
        gap = gap.masked_fill(constant_on(v, np.eye(v._array.shape[-1], dtype=bool)), float("inf"))
        vg = H(v) @ gv
        if v._array.dtype in dtypes.COMPLEX_TYPES:
            check_phase("linalg.eigh", vg)
        turn = over(vg, gap)
        inner = gl.diag_embed() + (turn + H(turn)) / 2  # Hermitian, as the matrix is
        return v @ inner.to(v.dtype) @ H(v)


class Eigvalsh(Op):
    """The eigenvalues alone, for which there is no gradient: that needs the eigenvectors."""

    def eager(self, xp, input, *, UPLO):
        square("linalg.eigh", input)
        return lapack("linalg.eigh", decompositions.eigvalsh, input, UPLO)


class Eig(Op):
    """Eigenvalues and eigenvectors of square matrices, complex; eigenvectors of length 1."""

    label = "LinalgEig"
    fits = True
    outputs = ("eigenvalues", "eigenvectors")

    def eager(self, xp, input):
        square("linalg.eig", input)
        w, v = lapack("linalg.eig", decompositions.eig, input)
        d = dtypes.COMPLEX_OF.get(input.dtype, input.dtype)
        return w.astype(d), v.astype(d)

    def grad(self, g, eigenvalues, eigenvectors):
        gl, gv = g
        v = eigenvectors
        gap = (eigenvalues.unsqueeze(-2) - eigenvalues.unsqueeze(-1)).conj()
        gap = gap.masked_fill(constant_on(v, np.eye(v._array.shape[-1], dtype=bool)), float("inf"))
        vg = H(v) @ gv
        check_phase("linalg.eig", vg)
        along = (H(v) @ v) * vg.diagonal(0, -2, -1).real.unsqueeze(-2).to(v.dtype)
        inner = gl.diag_embed() + over(vg - along, gap)
        return Solve.bind(H(v), inner @ H(v))


class Svd(Op):
    """``input = U @ diag(S) @ Vh``, singular values descending."""

    label = "LinalgSvd"
    outputs = ("U", "S", "Vh")

    def eager(self, xp, input, *, full_matrices):
        matrix("linalg.svd", input)
        return tuple(lapack("linalg.svd", decompositions.svd, input, full_matrices))

    def grad(self, g, U, S, Vh, full_matrices):
        k = S.shape[-1]
        if full_matrices:
            U, Vh = U[..., :k], Vh[..., :k, :]
            g = [g[0][..., :k], g[1], g[2][..., :k, :]]
        return svd_gradient(g, U, S, Vh)


def over(a: Tensor, b: Tensor) -> Tensor:
    """``a / b`` where 0 / 0 is 0: vectors of equal values may be asked for nothing."""
    return a / b.masked_fill((a == 0) & (b == 0), 1)


class Svdvals(Op):
    """Singular values alone, descending: for who needs no gradient, as that takes the vectors."""

    def eager(self, xp, input):
        matrix("linalg.svd", input)
        return lapack("linalg.svd", decompositions.svd, input, False, False)


def svd_gradient(g: Any, u: Tensor, s: Tensor, vh: Tensor) -> Tensor:
    """Of the thin decomposition."""
    gu, gs, gvh = g
    gap = s.unsqueeze(-2) ** 2 - s.unsqueeze(-1) ** 2
    gap = gap.masked_fill(constant_on(s, np.eye(s._array.shape[-1], dtype=bool)), float("inf"))
    ug, vg = H(u) @ gu, vh @ H(gvh)
    uu, vv = ug - H(ug), vg - H(vg)
    inner = over(uu, gap) * s.unsqueeze(-2) + s.unsqueeze(-1) * over(vv, gap) + gs.diag_embed()
    if u._array.dtype in dtypes.COMPLEX_TYPES:
        check_phase("linalg.svd", ug, vg)
        inner = inner + over(ug.diagonal(0, -2, -1).imag * 1j, s).diag_embed()
    out = u @ inner.to(u.dtype) @ vh
    m, n = u.shape[-2], vh.shape[-1]
    k = s.shape[-1]
    if m > k:
        rest = over(gu, s.unsqueeze(-2))
        out = out + (rest - u @ (H(u) @ rest)) @ vh
    if n > k:
        rest = over(gvh, s.unsqueeze(-1))
        out = out + u @ (rest - (rest @ H(vh)) @ vh)
    return out


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
