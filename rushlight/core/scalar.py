"""The functions that an elementwise formula may use, for NumPy arrays. A compiled backend supplies
the same names.
"""

from __future__ import annotations

import functools
import math
from types import FunctionType
from typing import Any

import numpy as np

# erf(x) = tanh(x p(x ** 2)); p fitted for the smallest relative error, 1e-7, where x ** 2 <= 16.
ERF = (1.1283792743710, 0.10276905489154, -1.9182810070525e-4, -6.1978751277050e-4,
       8.7638581575787e-5, -5.6687074045060e-6, 1.4186687951354e-7)  # fmt: skip
# 0-dim arrays, which NumPy takes faster than its scalars
ERF_32 = tuple([np.array(c, np.float32) for c in ERF])
LIMIT_32 = np.array(16, np.float32)
ROOT_HALF = math.sqrt(0.5)
BLOCK = 16384  # elements whose steps stay in the cache


def erf_float32(x: Any) -> Any:
    """Error function of a float32 array, to a few units in the last place."""
    flat = np.ascontiguousarray(x).reshape(-1)
    out = np.empty_like(flat)
    constant, *middle, leading = ERF_32
    for at in range(0, len(flat), BLOCK):
        t, y = flat[at : at + BLOCK], out[at : at + BLOCK]
        u = np.minimum(t * t, LIMIT_32)
        np.multiply(u, leading, y)
        for c in reversed(middle):
            y += c
            y *= u
        y += constant
        y *= t
        np.tanh(y, y)
    return out.reshape(x.shape)


def with_numbers_of(formula: Any, d: Any) -> Any:
    """A formula whose constants, its own and those of its module, are 0-dim arrays of dtype d: with
    one of them NumPy takes half the time that it takes with a Python number.
    """
    code, known = formula.__func__.__code__, formula.__func__.__globals__
    numbers = [np.array(c, d) if type(c) in (int, float) else c for c in code.co_consts]
    named = {n: np.array(known[n], d) for n in code.co_names if type(known.get(n)) is float}
    made = FunctionType(code.replace(co_consts=tuple(numbers)), {**known, **named})
    return functools.partial(made, formula.__self__, NUMPY)


OWN_ERF = 1024  # elements from which on float32's error function is our own


@functools.cache
def special() -> Any:
    """``scipy.special``, loaded on first use."""
    import scipy.special

    return scipy.special


class NumpyScalars:
    """``s`` in ``scalar(self, s, ...)`` when the elements are NumPy arrays; special functions come
    from SciPy, on first use.
    """

    exp = np.exp
    log = np.log
    log2 = np.log2
    log10 = np.log10
    log1p = np.log1p
    expm1 = np.expm1
    exp2 = np.exp2
    sqrt = np.sqrt
    abs = np.abs
    sign = np.sign
    floor = np.floor
    ceil = np.ceil
    trunc = np.trunc
    rint = np.rint
    rounded = np.positive  # each result of NumPy is
    sin, cos, tan, asin, acos, atan = np.sin, np.cos, np.tan, np.arcsin, np.arccos, np.arctan
    sinh = np.sinh
    cosh = np.cosh
    tanh = np.tanh
    asinh = np.arcsinh
    acosh = np.arccosh
    atanh = np.arctanh
    maximum = np.maximum
    minimum = np.minimum
    pow = np.power
    atan2 = np.arctan2
    copysign = np.copysign
    hypot = np.hypot
    nextafter = np.nextafter
    floor_divide, remainder, fmod = np.floor_divide, np.remainder, np.fmod
    where = staticmethod(np.where)
    isnan = np.isnan
    isinf = np.isinf
    isfinite = np.isfinite
    conj = np.conj
    logical_and = np.logical_and
    logical_or = np.logical_or

    @staticmethod
    def trunc_divide(x: Any, y: Any) -> Any:
        """Quotient rounded towards 0."""
        return np.trunc(np.true_divide(x, y))

    @staticmethod
    def erf(x: Any) -> Any:
        """Error function: SciPy's, but our own for large float32 arrays, where it is slow."""
        if isinstance(x, np.ndarray) and x.dtype == np.float32 and x.size >= OWN_ERF:
            return erf_float32(x)
        return special().erf(x)

    def area(self, x: Any) -> Any:
        """Area under the bell curve up to x, as exactly as is needed beside 1."""
        return 0.5 * (1 + self.erf(x * ROOT_HALF))

    def bell(self, x: Any) -> tuple[Any, Any]:
        """The same, and ``exp(-x^2 / 2)``."""
        return self.area(x), np.exp(x * x * -0.5)

    def __getattr__(self, name: str) -> Any:
        function = getattr(special(), name)
        setattr(self, name, function)
        return function


NUMPY = NumpyScalars()
