"""Tensors of constants, for gradient rules; complex numbers from their parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.op import Op
from rushlight.core.tensor import Tensor, constant


def zeros(shape: Any, dtype: Any) -> Tensor:
    """Zeros; dtype is a NumPy dtype."""
    return constant(np.zeros(shape, dtype))


def ones(shape: Any, dtype: Any) -> Tensor:
    """Ones; dtype is a NumPy dtype."""
    return constant(np.ones(shape, dtype))


class Complex(Op):
    """Complex numbers from real and imaginary parts, broadcast; parts may be infinite or nan."""

    keeps_order = True
    fits = True

    def eager(self, xp, real, imag):
        shape = real.shape
        if shape != imag.shape:
            shape = np.broadcast_shapes(shape, imag.shape)
        out = np.empty(shape, dtypes.COMPLEX_OF[real.dtype])
        out.real, out.imag = real, imag
        return out

    def grad_real(self, g):
        return g.real

    def grad_imag(self, g):
        return g.imag
