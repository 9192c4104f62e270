"""Comparisons, logic and bits."""

from __future__ import annotations

import numpy as np

from rushlight import dtypes
from rushlight.core.binds import make_binary, make_reversed
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor
from rushlight.errors import DTypeError
from rushlight.ops import compare as C
from rushlight.ops.copy import Cast
from rushlight.tensor_api._common import expect_tensor, method, methods
from rushlight.tensor_api.pointwise import binary, unary

__all__ = [
    "allclose", "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "eq", "equal", "fmax", "fmin", "ge", "greater",
    "greater_equal", "gt", "isclose", "isfinite", "isinf", "isnan", "isneginf", "isposinf",
    "isreal", "le", "less", "less_equal", "logical_and", "logical_not", "logical_or",
    "logical_xor", "lt", "maximum", "minimum", "ne", "not_equal", "signbit",
]  # fmt: skip

eq, ne, lt, le, gt, ge = (
    binary(name, op, tensors=2)
    for name, op in [
        ("eq", C.Eq),
        ("ne", C.Ne),
        ("lt", C.Lt),
        ("le", C.Le),
        ("gt", C.Gt),
        ("ge", C.Ge),
    ]
)
not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge
logical_and = binary("logical_and", C.LogicalAnd, tensors=3)
logical_or = binary("logical_or", C.LogicalOr, tensors=3)
logical_xor = binary("logical_xor", C.LogicalXor, tensors=3)
logical_not = unary("logical_not", C.LogicalNot)
bitwise_and = binary("bitwise_and", C.BitwiseAnd)
bitwise_or = binary("bitwise_or", C.BitwiseOr)
bitwise_xor = binary("bitwise_xor", C.BitwiseXor)
bitwise_not = unary("bitwise_not", C.BitwiseNot)
bitwise_left_shift = binary("bitwise_left_shift", C.LeftShift)
bitwise_right_shift = binary("bitwise_right_shift", C.RightShift)
maximum = binary("maximum", C.Maximum, False, 3)
minimum = binary("minimum", C.Minimum, False, 3)
fmax = binary("fmax", C.Fmax, False, 3)
fmin = binary("fmin", C.Fmin, False, 3)
isnan = unary("isnan", C.Isnan, False)
isinf = unary("isinf", C.Isinf, False)
isfinite = unary("isfinite", C.Isfinite, False)
isposinf = unary("isposinf", C.Isposinf, False)
isneginf = unary("isneginf", C.Isneginf, False)
isreal = unary("isreal", C.Isreal, False)
signbit = unary("signbit", C.Signbit, False)

methods(
    not_equal=Tensor.ne, less=Tensor.lt, less_equal=Tensor.le, greater=Tensor.gt,
    greater_equal=Tensor.ge,
    not_equal_=Tensor.ne_, less_=Tensor.lt_, less_equal_=Tensor.le_, greater_=Tensor.gt_,
    greater_equal_=Tensor.ge_,
    __eq__=C.Eq.bind, __ne__=C.Ne.bind, __lt__=C.Lt.bind, __le__=C.Le.bind, __gt__=C.Gt.bind,
    __ge__=C.Ge.bind,
    __and__=C.BitwiseAnd.bind, __iand__=C.BitwiseAnd.update,
    __rand__=make_binary(C.BitwiseAnd.instance, "__rand__"),
    __or__=C.BitwiseOr.bind, __ior__=C.BitwiseOr.update,
    __ror__=make_binary(C.BitwiseOr.instance, "__ror__"),
    __xor__=C.BitwiseXor.bind, __ixor__=C.BitwiseXor.update,
    __rxor__=make_binary(C.BitwiseXor.instance, "__rxor__"),
    __lshift__=C.LeftShift.bind, __rlshift__=make_reversed(C.LeftShift.instance),
    __ilshift__=C.LeftShift.update,
    __rshift__=C.RightShift.bind, __rrshift__=make_reversed(C.RightShift.instance),
    __irshift__=C.RightShift.update,
)  # fmt: skip


@method
def __invert__(self: Tensor) -> Tensor:
    """``bitwise_not``; TypeError for what is neither integers nor bool."""
    if self._array.dtype.kind not in "iub":
        raise TypeError(
            f"~ is defined for integers and bool, not for {dtypes.of[self._array.dtype].name}: "
            "compare or convert the tensor first."
        )
    return C.BitwiseNot.bind(self)


@method
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and the same elements.

    Example:
        >>> import rushlight as torch
        >>> torch.equal(torch.ones(2), torch.ones(2))
        True
    """
    a, b = expect_tensor(input, "equal")._array, expect_tensor(other, "equal", "other")._array
    if a.shape != b.shape:
        return False
    if a.__class__ is b.__class__ is np.ndarray and modes.trace is None:
        return bool(np.count_nonzero(a == b) == a.size)  # all() takes twice as long
    return bool((input == other).all())


@method
def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Whether ``|input - other| <= atol + rtol * |other|``, element by element.

    Args:
        rtol: relative tolerance, >= 0.
        atol: absolute tolerance, >= 0.
        equal_nan: whether NaN is close to NaN.

    Example:
        >>> import rushlight as torch
        >>> torch.isclose(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.1]))
        tensor([ True, False])
    """
    a, b = expect_tensor(input, "isclose"), expect_tensor(other, "isclose", "other")
    d = a._array.dtype
    if d != b._array.dtype:
        raise DTypeError(
            f"isclose: the element types must be equal, but are {d} and {b._array.dtype}; convert "
            "one of them."
        )
    if not (rtol >= 0 and atol >= 0):  # nor NaN
        raise RuntimeError(
            f"rtol must be greater than or equal to zero, and atol too, but they are {rtol} and "
            f"{atol}"
        )
    a, b = a.detach(), b.detach()
    close = a == b
    if equal_nan:
        close = close | ((a != a) & (b != b))
    if d == np.bool_:
        return close  # type: ignore[no-any-return]
    if d.kind in "iu" or d in dtypes.HALVES:
        wide = np.dtype(np.float64 if d.kind in "iu" else np.float32)
        a, b = Cast.bind(a, dtype=wide), Cast.bind(b, dtype=wide)
    distance = (a - b).abs()
    near = distance.isfinite() & (distance <= (b * rtol).abs() + atol)
    return close | near  # type: ignore[no-any-return]


@method
def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether all elements are close; see ``isclose``.

    Example:
        >>> import rushlight as torch
        >>> torch.allclose(torch.ones(2), torch.ones(2) + 1e-9)
        True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).all())
