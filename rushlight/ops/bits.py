"""Values that an op keeps for its gradient, as outputs that autograd does not take for results.

An output of integers has no gradient and no place in the graph, so floats that only the gradient's
kernel reads travel as their bits.
"""

from __future__ import annotations

import numpy as np

FORWARD = {np.dtype("f4"): np.dtype("i4"), np.dtype("f8"): np.dtype("i8")}
BACK = {i: f for f, i in FORWARD.items()}


def as_bits(x: np.ndarray) -> np.ndarray:
    """float32 or float64 seen as integers of the same size."""
    return x.view(FORWARD[x.dtype])


def from_bits(x: np.ndarray) -> np.ndarray:
    """The inverse of ``as_bits``."""
    return x.view(BACK[x.dtype])
