"""Factorisation of symmetric or Hermitian matrices that need not be definite: LAPACK's sytrf and
hetrf, through SciPy. No gradients, as in torch.

Reference: Bunch and Kaufman, 1977, "Some stable methods for calculating inertia and solving
symmetric linear systems".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.op import Op
from rushlight.core.threads import scipy_linalg
from rushlight.ops.linalg.matrices import square


class LdlFactor(Op):
    """L and D in the lower triangle of one matrix, LAPACK's pivots (from 1; a pair of equal
    negative ones marks a 2 by 2 block of D), and LAPACK's info.
    """

    outputs = ("LD", "pivots", "info")

    def eager(self, xp, input, *, hermitian):
        square("linalg.ldl_factor", input)
        name = "hetrf" if hermitian and input.dtype in dtypes.COMPLEX_TYPES else "sytrf"
        factor = scipy_linalg().get_lapack_funcs(name, dtype=input.dtype)
        data = np.tril(input)
        pivots = np.empty(input.shape[:-1], np.int32)
        info = np.zeros(input.shape[:-2], np.int32)
        if input.size:
            for i in np.ndindex(input.shape[:-2]):
                found, pivots[i], info[i] = factor(input[i], lower=True)
                data[i] = np.tril(found)
        return data, pivots, info


class LdlSolve(Op):
    """X with ``A @ X = other``, given A's factorisation."""

    def eager(self, xp, input, pivots, other, *, hermitian):
        square("linalg.ldl_solve", input)
        conjugate = hermitian and input.dtype in dtypes.COMPLEX_TYPES
        batch = np.broadcast_shapes(input.shape[:-2], other.shape[:-2])
        data = np.broadcast_to(input, batch + input.shape[-2:])
        exchanges = np.broadcast_to(pivots, batch + pivots.shape[-1:])
        out = np.broadcast_to(other, batch + other.shape[-2:]).copy()
        for i in np.ndindex(batch):
            substitute(data[i], exchanges[i], out[i], conjugate)
        return out


def substitute(a: Any, pivots: Any, b: Any, conjugate: bool) -> None:
    """Solve in b's memory: forward through L and D, then back through L's transpose."""
    star = np.conj if conjugate else np.asarray
    n, k, blocks = len(a), 0, []
    while k < n:
        w = 1 if pivots[k] > 0 else 2  # the size of D's block
        last, other = k + w - 1, abs(pivots[k]) - 1
        b[[last, other]] = b[[other, last]]
        b[k + w :] -= a[k + w :, k : k + w] @ b[k : k + w]
        d = a[k : k + w, k : k + w]
        b[k : k + w] = np.linalg.solve(np.tril(d) + star(np.tril(d, -1)).T, b[k : k + w])
        blocks.append((k, w))
        k += w
    for k, w in reversed(blocks):
        last, other = k + w - 1, abs(pivots[k]) - 1
        b[k : k + w] -= star(a[k + w :, k : k + w]).T @ b[k + w :]
        b[[last, other]] = b[[other, last]]
