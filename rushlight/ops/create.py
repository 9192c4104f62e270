"""Tensors of constants, for gradient rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.core.tensor import Tensor, constant


def zeros(shape: Any, dtype: Any) -> Tensor:
    """Zeros; dtype is a NumPy dtype."""
    return constant(np.zeros(shape, dtype))


def ones(shape: Any, dtype: Any) -> Tensor:
    """Ones; dtype is a NumPy dtype."""
    return constant(np.ones(shape, dtype))
