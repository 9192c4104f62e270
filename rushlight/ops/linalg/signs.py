"""Singular vectors with PyTorch's signs. A singular vector may have either; which one comes out
depends on the way to the bidiagonal matrix, and PyTorch's LAPACK goes another way than NumPy's for
some shapes.

For (m, n), NumPy's reduces matrices to a square one by a QR factorisation if one side is at least
11/6 of the other; PyTorch's if m is at least 1.5 n, or n at least 20 m.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.core.threads import decompositions

MOST = 16  # rows or columns: rounding decides the signs of larger matrices, and loops take long
WIDEST = 45  # columns: 25 rows make these less wide, and LAPACK divides more than 25 and conquers


def svd(a: Any, full: bool) -> tuple[Any, Any, Any]:
    """U, S and Vh of matrices."""
    m, n = a.shape[-2:]
    few = min(m, n)
    if 1 < few <= MOST and a.dtype.kind == "f" and a.size:
        square = max(m, n) >= few * 11 // 6
        if m < n < 20 * m and square:
            return (None if full or n > WIDEST else _of_less_wide(a)) or _of_wide(a, full)
        if m > n and m >= n * 3 // 2 and not square:
            return _of_tall(a, full)
    return tuple(decompositions.svd(a, full))


def _of_tall(a: Any, full: bool) -> tuple[Any, Any, Any]:
    """By a QR factorisation."""
    n = a.shape[-1]
    q, r = np.linalg.qr(a, "complete" if full else "reduced")
    u, s, vh = decompositions.svd(r[..., :n, :])
    q[..., :n] = q[..., :n] @ u
    return q, s, vh


def _of_less_wide(a: Any) -> tuple[Any, Any, Any] | None:
    """Of the matrix with zeros below, which reflections leave alone, so that NumPy's LAPACK, too,
    goes the direct way. None where singular values are zero, as the vectors of those zeros are.
    """
    m, n = a.shape[-2:]
    rows = m
    while n >= rows * 11 // 6:
        rows += 1
    wider = np.zeros((*a.shape[:-2], rows, max(n, rows + 1)))
    wider[..., :m, :n] = a
    u, s, vh = (x.astype(a.dtype) for x in decompositions.svd(wider))
    if not (s[..., m - 1] > s[..., 0] * 1e-12).all():
        return None
    return u[..., :m, :m], s[..., :m], vh[..., :m, :n]


def _of_wide(a: Any, full: bool) -> tuple[Any, Any, Any]:
    """Golub and Kahan: ``a = left @ lower @ right`` with a lower bidiagonal matrix, which rotations
    make an upper one.
    """
    m, n = a.shape[-2:]
    a = a.copy()
    left = np.zeros((*a.shape[:-1], m), a.dtype) + np.eye(m, dtype=a.dtype)
    right = np.zeros((*a.shape[:-2], n, n), a.dtype) + np.eye(n, dtype=a.dtype)  # transposed
    for i in range(m):
        _reflect(a[..., i, i:], a[..., i:, i:], right[..., i:])
        if i < m - 1:
            _reflect(a[..., i + 1 :, i], a[..., i + 1 :, i:].mT, left[..., i + 1 :])
    for i in range(m - 1):
        x, y = a[..., i, i], a[..., i + 1, i]
        r = np.copysign(np.hypot(x, y), x)
        whole = r == 0
        x, y = np.where(whole, 1, x), np.where(whole, 0, y)
        turn = np.stack([x, y, -y, x], -1) / np.where(whole, 1, r)[..., None]
        turn = turn.reshape(*turn.shape[:-1], 2, 2)
        a[..., i : i + 2, :m] = turn @ a[..., i : i + 2, :m]
        left[..., i : i + 2] = left[..., i : i + 2] @ turn.mT
    # without what rounding left of the zeros, which would be reflected once more
    upper = a[..., :m] * (np.eye(m, dtype=a.dtype) + np.eye(m, k=1, dtype=a.dtype))
    u, s, vh = decompositions.svd(upper)
    right = right.mT
    vh = vh @ right[..., :m, :]
    return left @ u, s, np.concatenate([vh, right[..., m:, :]], -2) if full else vh


def _reflect(x: Any, *others: Any) -> None:
    """Change rows, of which ``x`` is one, by the reflection that leaves of x its first element."""
    v = x.copy()
    rest = np.linalg.norm(v[..., 1:], axis=-1)
    v[..., 0] += np.copysign(np.hypot(v[..., 0], rest), v[..., 0])
    size = np.linalg.norm(v, axis=-1)
    v *= ((rest > 0) / np.where(size > 0, size, 1))[..., None]  # nothing to do: no reflection
    for rows in others:
        rows -= 2 * (rows @ v[..., None]) * v[..., None, :]
