"""Factorisations beyond ``matrices``: reflections, LU with infos, randomised low rank. Functions
that torch removed are here too: they raise, naming what took their place.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.core.autograd import known_as
from rushlight.core.device_array import beside, constant_on, host
from rushlight.core.op import Op
from rushlight.core.tensor import Tensor, expect_tensors
from rushlight.errors import ShapeError
from rushlight.ops import linalg as L
from rushlight.ops.matmul import same_dtype
from rushlight.tensor_api._common import method, store_out, warn_once
from rushlight.tensor_api.named import named
from rushlight.tensor_api.random import randn

__all__ = [
    "geqrf", "orgqr", "ormqr", "lu", "svd_lowrank", "pca_lowrank", "eig", "lstsq", "symeig",
    "solve", "matrix_rank",
]  # fmt: skip


class Geqrf(Op):
    """R above the diagonal, Householder vectors below it, and their factors."""

    outputs = ("a", "tau")

    def eager(self, xp: Any, input: Any) -> Any:
        L.matrix("geqrf", input)
        h, tau = np.linalg.qr(input, "raw")
        return np.swapaxes(h, -1, -2).astype(input.dtype), tau.astype(input.dtype)


@method
def geqrf(input: Tensor, *, out: Any = None) -> Any:
    """(a, tau): the QR factorisation as LAPACK keeps it; see ``orgqr`` and ``ormqr``."""
    return named("geqrf", Geqrf.bind(input), out, exact=False)


def reflections(a: Tensor, tau: Tensor, like: Tensor, last_first: bool) -> Tensor:
    """The product of Householder reflections ``1 - tau v v^H`` with ``like``, applied in order:
    ``1 - V T V^H``, where ``(1 + tau U) T = tau`` with U the inner products of each v with the
    reflections before it.
    """
    m = a.shape[-2]
    low = a.tril(-1)[..., : tau.shape[-1]]
    vectors = low + constant_on(a, np.eye(m, low.shape[-1], dtype=a._array.dtype))
    factors = tau.unsqueeze(-1)
    inner, parts = factors * (vectors.mH @ vectors), factors * (vectors.mH @ like)
    turned = L.SolveTriangular.bind(inner, parts, upper=last_first, unitriangular=True)
    return like - vectors @ turned


def check_reflections(name: str, a: Tensor, tau: Tensor) -> None:
    """Refuse what geqrf cannot have returned."""
    expect_tensors(name.removeprefix("linalg."), a, tau)
    if a.ndim < 2:
        raise ShapeError(f"{name}: input must have at least 2 dimensions, but has {a.ndim}.")
    if a.shape[-2] < a.shape[-1]:
        raise ShapeError(
            f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1], but the "
            f"shape is {tuple(a.shape)}."
        )
    if tau.ndim != a.ndim - 1 or tau.shape[:-1] != a.shape[:-2]:
        raise ShapeError(
            f"{name}: Expected tau to have one dimension less than input, with equal batch "
            f"dimensions, but got {tuple(tau.shape)} and {tuple(a.shape)}."
        )
    if tau.shape[-1] > a.shape[-1]:
        raise ShapeError(
            f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1], but got "
            f"{tuple(a.shape)} and {tuple(tau.shape)}."
        )
    if a.dtype != tau.dtype:
        raise ShapeError(
            f"{name}: tau dtype {tau.dtype} does not match input dtype {a.dtype}; use one dtype."
        )


@method
def orgqr(input: Tensor, input2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The first columns of Q from the result of ``geqrf``."""
    check_reflections("linalg.householder_product", input, input2)
    m, n = input.shape[-2:]
    eye = constant_on(input, np.eye(m, n, dtype=input._array.dtype)).expand(*input.shape[:-2], m, n)
    result = known_as("LinalgHouseholderProductBackward0", reflections(input, input2, eye, True))
    return result if out is None else store_out(out, result)


@method
def ormqr(
    input: Tensor,
    input2: Tensor,
    input3: Tensor,
    left: bool = True,
    transpose: bool = False,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Q times ``input3`` (``input3`` times Q when ``left`` is False; Q conjugate transposed with
    ``transpose``), for the Q that ``geqrf`` returned as (input, input2).
    """
    for other in (input2, input3):
        same_dtype("ormqr", input._array, other._array)
    side = -2 if left else -1
    if input3.ndim < 2 or input3.shape[side] != input.shape[-2]:
        raise ShapeError(
            f"ormqr: other.shape[{side}] must be greater than or equal to tau.shape[-1] and equal "
            f"to input.shape[-2], but got {tuple(input3.shape)} and {tuple(input.shape)}."
        )
    least = min(input3.shape[side], input.shape[-1])
    if input2.shape[-1] != least:
        raise ShapeError(
            f"ormqr: tau.shape[-1] must be {least}, the lesser of other.shape[{side}] and "
            f"input.shape[-1], but tau is {tuple(input2.shape)}."
        )
    if left:
        tau = input2.conj() if transpose else input2
        result = reflections(input, tau, input3, not transpose)
    else:  # C Q = (Q^H C^H)^H
        tau = input2 if transpose else input2.conj()
        result = reflections(input, tau, input3.mH, transpose).mH
    result = known_as("OrmqrBackward0", result)
    return result if out is None else store_out(out, result, exact=True)


def lu(A: Tensor, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """(LU, pivots), and with ``get_infos`` also where U's diagonal is first zero (0: nowhere)."""
    warn_once(
        "torch.lu is deprecated in favor of torch.linalg.lu_factor and, with infos, lu_factor_ex."
    )
    data, pivots = L.Lu.bind(A, pivot=pivot)
    if not get_infos:
        parts = (data, pivots)
        if out is not None:
            parts = tuple([store_out(o, p) for o, p in zip(out, parts, strict=True)])
        return parts
    zero = np.diagonal(host(data), 0, -2, -1) == 0
    first = zero.argmax(-1) + 1 if zero.shape[-1] else 0
    info = beside(data, np.asarray(np.where(zero.any(-1), first, 0), np.int32))
    return named("_lu_with_info", (data, pivots, info), out, exact=False)


Tensor.lu = lu


def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """(U, S, V) of a matrix of rank about ``q``, from products with random vectors.

    Args:
        A: (batches of) matrices, (m, n).
        q: an estimate of the rank, a little more than it.
        niter: power iterations, >= 0; they sharpen what decays slowly.
        M: subtracted from A first.

    Reference: Halko, Martinsson and Tropp, 2009, arXiv:0909.4061, algorithm 5.1.
    """
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    x = A if M is None else A - M.expand(A.shape)
    m, n = x.shape[-2:]
    if m < n:
        v, s, u = svd_lowrank(L.H(x), q, niter)
        return u, s, v
    basis = x @ randn(n, q, dtype=A.dtype, device=A.device)
    basis = L.Qr.bind(basis, mode="reduced")[0]
    for _ in range(niter):
        basis = L.Qr.bind(L.H(x) @ basis, mode="reduced")[0]
        basis = L.Qr.bind(x @ basis, mode="reduced")[0]
    u, s, vh = L.Svd.bind(L.H(basis) @ x, full_matrices=False)
    return basis @ u, s, L.H(vh)


def pca_lowrank(
    A: Tensor, q: int | None = None, center: bool = True, niter: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """Principal components of the rows of A: (U, S, V), with the directions in V's columns.

    Args:
        A: data, (*, m, n).
        q: how many components; by default min(6, m, n).
        center: subtract the columns' means first.
        niter: power iterations, >= 0.
    """
    m, n = A.shape[-2:]
    q = min(6, m, n) if q is None else q
    if not 0 <= q <= min(m, n):
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}"
        )
    if not niter >= 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    if not center:
        return svd_lowrank(A, q, niter)
    A = A.to_dense()  # a sparse one has hardly a zero left once it is centred
    return svd_lowrank(A - A.mean(-2, keepdim=True), q, niter)


def removed(name: str, advice: str) -> Any:
    """A function that torch no longer has."""

    def function(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"torch.{name} was removed from PyTorch in 1.9; {advice}")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Raises: removed from PyTorch; {advice}"
    return function


eig = removed("eig", "use torch.linalg.eig, whose result is complex.")
symeig = removed("symeig", "use torch.linalg.eigh, or eigvalsh for the values alone.")
lstsq = removed("lstsq", "use torch.linalg.lstsq(A, B): note the order, and that X has n rows.")
solve = removed("solve", "use torch.linalg.solve(A, B): note the order of its arguments.")
matrix_rank = removed("matrix_rank", "use torch.linalg.matrix_rank.")
for _function in (eig, symeig, lstsq, solve):
    setattr(Tensor, _function.__name__, _function)
