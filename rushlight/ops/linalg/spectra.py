"""Eigenvalues and singular values, with their vectors.

Reference: Townsend, 2016, "Differentiating the singular value decomposition".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import constant_on
from rushlight.core.op import Op
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor
from rushlight.core.threads import decompositions
from rushlight.ops.linalg.matrices import H, LinAlgError, lapack, matrix, square
from rushlight.ops.linalg.signs import svd
from rushlight.ops.linalg.solutions import Solve


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


def over(a: Tensor, b: Tensor) -> Tensor:
    """``a / b`` where 0 / 0 is 0: vectors of equal values may be asked for nothing."""
    return a / b.masked_fill((a == 0) & (b == 0), 1)


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
        return lapack("linalg.svd", svd, input, full_matrices)

    def grad(self, g, U, S, Vh, full_matrices):
        k = S.shape[-1]
        if full_matrices:
            U, Vh = U[..., :k], Vh[..., :k, :]
            g = [g[0][..., :k], g[1], g[2][..., :k, :]]
        return svd_gradient(g, U, S, Vh)


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
