"""The functions that an elementwise formula may use, for NumPy arrays. A compiled backend supplies
the same names.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class NumpyScalars:
    """``s`` in ``scalar(self, s, ...)`` when the elements are NumPy arrays; special functions come
    from SciPy, on first use.
    """

    exp, log, log2, log10, log1p, expm1, exp2 = (
        np.exp,
        np.log,
        np.log2,
        np.log10,
        np.log1p,
        np.expm1,
        np.exp2,
    )
    sqrt, abs, sign, floor, ceil, trunc, rint = (
        np.sqrt,
        np.abs,
        np.sign,
        np.floor,
        np.ceil,
        np.trunc,
        np.rint,
    )
    sin, cos, tan, asin, acos, atan = np.sin, np.cos, np.tan, np.arcsin, np.arccos, np.arctan
    sinh, cosh, tanh, asinh, acosh, atanh = (
        np.sinh,
        np.cosh,
        np.tanh,
        np.arcsinh,
        np.arccosh,
        np.arctanh,
    )
    maximum, minimum, pow, atan2, copysign, hypot = (
        np.maximum,
        np.minimum,
        np.power,
        np.arctan2,
        np.copysign,
        np.hypot,
    )
    where = staticmethod(np.where)
    isnan, isinf, isfinite, conj, logical_and, logical_or = (
        np.isnan,
        np.isinf,
        np.isfinite,
        np.conj,
        np.logical_and,
        np.logical_or,
    )

    def __getattr__(self, name: str) -> Any:
        import scipy.special

        function = getattr(scipy.special, name)
        setattr(self, name, function)
        return function


NUMPY = NumpyScalars()
