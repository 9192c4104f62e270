"""Why an op does not take its inputs, in the words of who called it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy import ndarray

from rushlight import dtypes
from rushlight.core.tensor import no_tensor
from rushlight.errors import DTypeError, Explained, ShapeError


def check_store(name: str, x: Any, r: Any) -> None:
    """Refuse a result that array x cannot take."""
    if dtypes.CATEGORY[r.dtype] > dtypes.CATEGORY[x.dtype]:
        raise DTypeError(
            f"{name.lower()}_: result type {_title(r.dtype)} can't be cast to the desired output "
            f"type {_title(x.dtype)}; "
            "convert the tensor first, or use the operation without the underscore."
        )
    if r.shape != x.shape:
        raise ShapeError(
            f"{name.lower()}_: output with shape {list(x.shape)} doesn't match the broadcast "
            f"shape {list(r.shape)}; "
            "an in-place operation cannot grow its tensor."
        )


TITLES = {
    "float32": "Float",
    "float64": "Double",
    "float16": "Half",
    "bfloat16": "BFloat16",
    "int64": "Long",
    "int32": "Int",
    "int16": "Short",
    "int8": "Char",
    "uint8": "Byte",
    "bool": "Bool",
    "complex64": "ComplexFloat",
    "complex128": "ComplexDouble",
}


def _title(d: np.dtype[Any]) -> str:
    return TITLES.get(dtypes.of[d].name, dtypes.of[d].name)


def no_array(op: Any, x: Any) -> Any:
    """What is given in the place of a tensor: None or a number. TypeError where it is an array of
    NumPy's, of which only operators make a tensor; an array that a trace lends is none of them.
    """
    if issubclass(type(x), ndarray):
        raise no_tensor(public_name(op), x)
    return x


def public_name(op: Any) -> str:
    """An op's name as functions are called: ``LeakyRelu`` is leaky_relu."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(op).__name__).lower()


UNFIT = (DTypeError, "have dtypes that it does not take; convert with .float()")
NUMPY_SAYS = {  # by words of NumPy's messages: what to raise, and what was wrong with the inputs
    "gufunc": (ShapeError, "have shapes that do not fit together"),
    "could not be broadcast": (ShapeError, "have shapes that cannot be broadcast"),
    "cannot be broadcast": (ShapeError, "have shapes that cannot be broadcast"),
    "Cannot cast ufunc": UNFIT,
    "numpy boolean": UNFIT,  # has no minus
    "Invalid integer data type": UNFIT,  # has no largest or smallest number
    "not inexact": UNFIT,  # nor a precision
    "instances of 'complex'": UNFIT,  # has no order
}


def explain(error: Exception, op: Any, arrays: Any) -> None:
    """Where NumPy refused, which knows neither op nor tensors, raise what says what came in."""
    if isinstance(error, Explained) or not isinstance(error, (ValueError, TypeError)):
        return
    found = next((say for words, say in NUMPY_SAYS.items() if words in str(error)), None)
    if found is None:
        return
    kind, wrong = found
    inputs = ", ".join(
        [f"{dtypes.of[a.dtype].name} {a.shape}" for a in arrays if isinstance(a, ndarray)]
    )
    raise kind(f"{type(op).__name__.lower()}: the inputs, {inputs}, {wrong}.") from None
