"""What tests of eager kernels share: ops, large operands, and how near results have to be."""

import numpy as np

from rushlight import dtypes
from rushlight.core.native import LEAST

N = LEAST + 4096 + 77  # more than two units, and a rest
FLOATS = ("float32", "float64")
NUMPY = {"float16": dtypes.float16, "bfloat16": dtypes.bfloat16}


def values(shape, dtype="float32", salt=0):
    """Normal values and all special ones."""
    r = np.random.default_rng(salt)
    x = (r.standard_normal(shape) * 3).astype(dtype)
    flat = x.reshape(-1)
    flat[:7] = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0]
    r.shuffle(flat[:50])
    return x


def close(a, b, through="float64"):
    """Equal up to rounding; NaN and infinities in the same places."""
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    if a.dtype.kind != "f":
        np.testing.assert_array_equal(a, b)
        return
    eps = max(np.finfo(a.dtype).eps, np.finfo(through).eps)
    np.testing.assert_allclose(a, b, rtol=64 * eps, atol=128 * eps)


def below(kind):
    """All classes derived from one."""
    for c in kind.__subclasses__():
        yield c
        yield from below(c)
