"""Elementwise functions: arithmetic, comparison, logic, mathematics.

``unary`` and ``binary`` make a public function from an op: the function, its Tensor method, and the
in-place method with ``_``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.binds import make_binary, make_reversed, operand
from rushlight.core.tensor import Tensor, no_tensor, wrap
from rushlight.errors import DTypeError
from rushlight.ops import arithmetic as A
from rushlight.ops.copy import ORDINARY, expect_factor
from rushlight.tensor_api._common import (
    expect_tensor,
    method,
    methods,
    reordered,
    scalar,
    store_out,
)

__all__ = [
    "add",
    "div",
    "divide",
    "mul",
    "multiply",
    "neg",
    "negative",
    "pow",
    "rsub",
    "sub",
    "subtract",
    "true_divide",
]


EXACT = (  # functions whose out= has to have the result's dtype
    "abs", "bitwise_not", "ceil", "conj_physical", "floor", "frac", "isneginf", "isposinf", "neg",
    "sgn", "sign", "signbit", "trunc",
)  # fmt: skip


def free_unary(name: str, op: Any) -> Any:
    """The public function of an op with one input; no method."""
    bind, exact = op.bind, name in EXACT

    def function(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        if not isinstance(input, Tensor):
            expect_tensor(input, name)
        result = bind(input)
        return result if out is None else store_out(out, result, exact)  # type: ignore[no-any-return]

    return called(function, name, op.__doc__)


def called(function: Any, name: str, doc: str | None) -> Any:
    """``function`` with another name and docstring."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def unary(name: str, op: Any, in_place: bool = True) -> Any:
    """The public function of an op with one input; also ``Tensor.name`` and ``Tensor.name_``."""
    setattr(Tensor, name, op.bind)
    if in_place:
        setattr(Tensor, name + "_", op.update)
    return free_unary(name, op)


def free_binary(name: str, op: Any, tensors: int = 1) -> Any:
    """The public function of an op with two inputs; no method.

    Args:
        tensors: how much must be a tensor rather than a number. 0: nothing; 1: one of the two;
            2: ``input``; 3: both.
    """
    bind = op.bind

    def function(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
        if not isinstance(input, Tensor) and (tensors > 1 or not isinstance(other, Tensor)):
            input = expect_tensor(input, name) if tensors else lifted(input, other)
        if tensors > 2:
            expect_tensor(other, name, "other")
        result = bind(input, other)
        if result is NotImplemented:
            refuse_operands(name, input, other)
        return result if out is None else store_out(out, result)  # type: ignore[no-any-return]

    return called(function, name, op.__doc__)


def binary(name: str, op: Any, in_place: bool = True, tensors: int = 1) -> Any:
    """``free_binary``, and ``Tensor.name`` and ``Tensor.name_``."""
    bind, update = op.bind, op.update

    def as_method(input: Tensor, other: Any, *, out: Tensor | None = None) -> Tensor:
        result = bind(input, other) if tensors < 3 or isinstance(other, Tensor) else NotImplemented
        if result is NotImplemented:
            refuse_operands(name, input, other)
        return result if out is None else store_out(out, result)  # type: ignore[no-any-return]

    def in_place_method(input: Tensor, other: Any) -> Tensor:
        good = tensors < 3 or isinstance(other, Tensor)
        result = update(input, other) if good else NotImplemented
        if result is NotImplemented:
            refuse_operands(name + "_", input, other)
        return result  # type: ignore[no-any-return]

    setattr(Tensor, name, called(as_method, name, op.__doc__))
    if in_place:
        setattr(
            Tensor, name + "_", called(in_place_method, name + "_", f"In-place form of ``{name}``.")
        )
    return free_binary(name, op, tensors)


def or_not(update: Any) -> Any:
    """An operator that changes a tensor in place; NotImplemented for what is no operand."""

    def operator(self: Tensor, other: Any) -> Any:
        return update(self, other) if isinstance(other, OPERANDS) else NotImplemented

    return operator


OPERANDS = (Tensor, int, float, complex, np.generic)


def lifted(input: Any, other: Any) -> Any:
    """``input``; as a 0-dim tensor when both operands are numbers."""
    if isinstance(input, (int, float, complex)) and isinstance(other, (int, float, complex)):
        return wrap(np.asarray(input, dtypes.of_number(input)))
    return input


def refuse_operands(name: str, input: Any, other: Any) -> None:
    """torch's TypeError for what is neither a tensor nor a number."""
    position, bad = (
        ("input", input)
        if not isinstance(input, Tensor) and operand(input) is NotImplemented
        else ("other", other)
    )
    raise TypeError(
        f"{name}(): argument '{position}' must be Tensor or a number, not {type(bad).__name__}"
    )


def _add_scaled(name: str, apply: Any, input: Any, other: Any, alpha: Any, sign: int = 1) -> Any:
    """``input + sign * alpha * other`` for an alpha that is not 1; ``apply`` is AddScaled's bind or
    update.
    """
    if alpha.__class__ is float and isinstance(input, Tensor) and isinstance(other, Tensor):
        d = input._array.dtype
        if d in dtypes.FLOATS and other._array.dtype is d and -ORDINARY < alpha < ORDINARY:
            return apply(input, other, alpha=sign * alpha)
    alpha = scalar(alpha, "alpha")
    if isinstance(alpha, (np.number, Tensor)):
        alpha = alpha.item()
    if not isinstance(alpha, (int, float, complex)):
        raise TypeError(f"{name}(): argument 'alpha' must be a number, not {type(alpha).__name__}")
    if isinstance(input, np.ndarray):
        raise no_tensor(name, input)
    a, b = [t if isinstance(t, Tensor) else operand(t) for t in (input, other)]
    if a is NotImplemented or b is NotImplemented:
        return NotImplemented
    arrays = [t._array if isinstance(t, Tensor) else t for t in (a, b)]
    if sign < 0:
        A.refuse_bool_difference(arrays)
    d = dtypes.result_type(arrays)
    category = dtypes.CATEGORY[d]
    if (isinstance(alpha, bool) and category != dtypes.BOOL) or dtypes.CATEGORY[
        dtypes.of_number(alpha)
    ] > max(category, 1):
        raise DTypeError(
            f"{name}: alpha is {alpha}, which does not fit a result of {dtypes.of[d].name}; use a "
            "number of that kind."
        )
    expect_factor(alpha, d)
    return apply(a, b, alpha=bool(alpha) if category == dtypes.BOOL else sign * alpha)


def _is_one(alpha: Any) -> bool:
    return alpha.__class__ is int and alpha == 1  # not 1.0, which integers refuse


mul = multiply = binary("mul", A.Mul, tensors=0)
neg = negative = unary("neg", A.Neg)
_power = free_binary("pow", A.Pow)


def pow(input: Any, exponent: Any, *, out: Tensor | None = None) -> Tensor:
    """``input ** exponent``, broadcast; integers with negative exponents raise.

    Example:
        >>> import rushlight as torch
        >>> torch.pow(torch.tensor([1.0, 2.0, 3.0]), 2)
        tensor([1., 4., 9.])
    """
    return _power(input, exponent, out=out)  # type: ignore[no-any-return]


def _pow(input: Tensor, exponent: Any) -> Tensor:
    result = A.Pow.bind(input, exponent)
    if result is NotImplemented:
        refuse_operands("pow", input, exponent)
    return result  # type: ignore[no-any-return]


def _pow_(input: Tensor, exponent: Any) -> Tensor:
    result = A.Pow.update(input, exponent)
    if result is NotImplemented:
        refuse_operands("pow_", input, exponent)
    return result  # type: ignore[no-any-return]


def add(input: Any, other: Any, *older: Any, alpha: Any = 1, out: Tensor | None = None) -> Tensor:
    """``input + alpha * other``, broadcast.

    Example:
        >>> import rushlight as torch
        >>> torch.add(torch.ones(2), torch.ones(2), alpha=2)
        tensor([3., 3.])
    """
    if older:
        return reordered(add, (input, other, *older), ("alpha",), {"out": out})  # type: ignore[no-any-return]
    result = (
        A.Add.bind(lifted(input, other), other)
        if _is_one(alpha)
        else _add_scaled("add", A.AddScaled.bind, input, other, alpha)
    )
    if result is NotImplemented:
        refuse_operands("add", input, other)
    return result if out is None else store_out(out, result)  # type: ignore[no-any-return]


def sub(input: Any, other: Any, *older: Any, alpha: Any = 1, out: Tensor | None = None) -> Tensor:
    """``input - alpha * other``, broadcast.

    Example:
        >>> import rushlight as torch
        >>> torch.sub(torch.tensor([5, 7]), torch.tensor([1, 2]), alpha=2)
        tensor([3, 3])
    """
    if older:
        return reordered(sub, (input, other, *older), ("alpha",), {"out": out})  # type: ignore[no-any-return]
    result = (
        A.Sub.bind(lifted(input, other), other)
        if _is_one(alpha)
        else known_as("SubBackward0", _add_scaled("sub", A.AddScaled.bind, input, other, alpha, -1))
    )
    if result is NotImplemented:
        refuse_operands("sub", input, other)
    return result if out is None else store_out(out, result)  # type: ignore[no-any-return]


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """``other - alpha * input``."""
    kind = not isinstance(other, Tensor)
    result = sub(other, expect_tensor(input, "rsub"), alpha=alpha)
    return known_as(f"RsubBackward{kind:d}", result)


def div(
    input: Any, other: Any, *, rounding_mode: str | None = None, out: Tensor | None = None
) -> Tensor:
    """``input / other``, broadcast; ``rounding_mode`` None, "trunc" (towards zero) or "floor".

    Example:
        >>> import rushlight as torch
        >>> torch.div(torch.tensor([7, -7]), 2)
        tensor([ 3.5000, -3.5000])
        >>> torch.div(torch.tensor([7, -7]), 2, rounding_mode="floor")
        tensor([ 3, -4])
        >>> torch.div(torch.tensor([7, -7]), 2, rounding_mode="trunc")
        tensor([ 3, -3])
    """
    if rounding_mode is None:
        result = A.Div.bind(lifted(input, other), other)
    elif rounding_mode in ROUNDED:
        result = ROUNDED[rounding_mode](lifted(input, other), other)
    else:
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
            f"'{rounding_mode}'"
        )
    if result is NotImplemented:
        refuse_operands("div", input, other)
    return result if out is None else store_out(out, result)  # type: ignore[no-any-return]


ROUNDED: dict[str, Any] = {}  # rounding mode -> bind of the division op that rounds so


def _add_(self: Tensor, other: Any, *older: Any, alpha: Any = 1) -> Tensor:
    if older:
        return reordered(Tensor.add_, (self, other, *older), ("alpha",), {})  # type: ignore[no-any-return]
    if _is_one(alpha):
        result = A.Add.update(self, other)
    else:
        result = _add_scaled("add_", A.AddScaled.update, self, other, alpha)
    if result is NotImplemented:
        refuse_operands("add_", self, other)
    return result  # type: ignore[no-any-return]


def _sub_(self: Tensor, other: Any, *older: Any, alpha: Any = 1) -> Tensor:
    if older:
        return reordered(Tensor.sub_, (self, other, *older), ("alpha",), {})  # type: ignore[no-any-return]
    if _is_one(alpha):
        result = A.Sub.update(self, other)
    else:
        result = _add_scaled("sub_", A.AddScaled.update, self, other, alpha, -1)
        known_as("SubBackward0", self)
    if result is NotImplemented:
        refuse_operands("sub_", self, other)
    return result  # type: ignore[no-any-return]


def _divide_by(self: Tensor, other: Any) -> Any:
    """``other / self`` with the reciprocal's gradient: it keeps the result, so that ``self`` may be
    overwritten.
    """
    if not isinstance(other, Tensor):
        other = operand(other)
    return NotImplemented if other is NotImplemented else self.reciprocal() * other


def _reverse_div(self: Tensor, other: Any) -> Tensor:
    """``other / self``, under its name in Python 2."""
    return self.reciprocal() * other  # type: ignore[no-any-return]


subtract, divide, true_divide = sub, div, div
methods(
    add=add, sub=sub, subtract=sub, div=div, divide=div, true_divide=div, multiply=Tensor.mul,
    negative=Tensor.neg, pow=_pow, pow_=_pow_,
    add_=_add_, sub_=_sub_, subtract_=_sub_, multiply_=Tensor.mul_, negative_=Tensor.neg_,
    __add__=A.Add.bind, __radd__=make_binary(A.Add.instance, "__radd__"), __iadd__=A.Add.update,
    __sub__=A.Sub.bind, __rsub__=make_reversed(A.Sub.instance), __isub__=A.Sub.update,
    __mul__=A.Mul.bind, __rmul__=make_binary(A.Mul.instance, "__rmul__"), __imul__=A.Mul.update,
    __truediv__=A.Div.bind, __rtruediv__=_divide_by, __itruediv__=A.Div.update,
    __pow__=A.Pow.bind, __rpow__=make_reversed(A.Pow.instance), __ipow__=or_not(A.Pow.update),
    __neg__=A.Neg.bind, __pos__=lambda self: self,
)  # fmt: skip


@method
def div_(self: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """In-place form of ``div``."""
    if rounding_mode is None:
        return A.Div.update(self, other)  # type: ignore[no-any-return]
    return self.copy_(div(self, other, rounding_mode=rounding_mode))  # type: ignore[no-any-return]


methods(divide_=div_, true_divide_=div_)
methods(
    __div__=Tensor.__truediv__,
    __rdiv__=_reverse_div,
    __idiv__=Tensor.__itruediv__,
)
