"""Tensors of constants, for gradient rules; complex numbers from their parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import constant_on, device_zeros, driver_of
from rushlight.core.op import Op
from rushlight.core.tensor import Tensor, constant


def zeros(shape: Any, dtype: Any, like: Tensor | None = None) -> Tensor:
    """Zeros on the device of ``like``, or the CPU; dtype is a NumPy dtype."""
    driver = driver_of(like)
    made = np.zeros(shape, dtype) if driver is None else device_zeros(shape, dtype, driver)
    return constant(made)


def ones(shape: Any, dtype: Any, like: Tensor | None = None) -> Tensor:
    """Ones on the device of ``like``, or the CPU; dtype is a NumPy dtype."""
    return constant_on(like, np.ones(shape, dtype))


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
