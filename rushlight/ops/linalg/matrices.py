"""What operations of linear algebra ask of their matrices, and have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import constant_on
from rushlight.core.native import kernels
from rushlight.core.tensor import Tensor
from rushlight.errors import DTypeError, ShapeError


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
