"""Determinants."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import host
from rushlight.core.op import Op
from rushlight.core.tensor import Tensor
from rushlight.core.threads import decompositions
from rushlight.ops.linalg.matrices import H, by_loop, square
from rushlight.ops.linalg.solutions import Inverse


def diagonal_factors(x: Any) -> Any:
    """(Factors of the determinants, whether an odd number of rows was exchanged) of many small
    matrices, or None.
    """
    found = by_loop("lu", x, None)
    if found is None:
        return None
    odd = np.count_nonzero(found[1] != np.arange(1, x.shape[-1] + 1), -1) % 2
    return np.diagonal(found[0], 0, -2, -1), odd


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
