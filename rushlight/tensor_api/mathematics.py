"""Functions of one or two numbers, element by element. Bounds and choices are in `bounds`."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.tensor import Tensor, no_tensor, wrap
from rushlight.errors import DTypeError
from rushlight.ops import math as M, rounding as R, select as S, special as Sp, trigonometry as T
from rushlight.tensor_api import pointwise
from rushlight.tensor_api._common import (
    as_int,
    expect_tensor,
    method,
    methods,
    stored,
    stored_exactly,
    unrecorded,
)
from rushlight.tensor_api.conversion import cast
from rushlight.tensor_api.named import named
from rushlight.tensor_api.pointwise import binary, or_not, pow, unary

__all__ = [
    "abs", "absolute", "acos", "acosh", "angle", "arccos", "arccosh", "arcsin", "arcsinh",
    "arctan", "arctan2", "arctanh", "asin", "asinh", "atan", "atan2", "atanh", "ceil", "conj",
    "conj_physical", "copysign", "cos", "cosh", "deg2rad", "digamma", "erf", "erfc", "erfinv",
    "exp", "exp2", "expm1", "fix", "float_power", "floor", "floor_divide", "fmod", "frac",
    "frexp", "gcd", "heaviside", "hypot", "i0", "igamma", "igammac", "lcm", "ldexp", "lgamma",
    "log", "log10", "log1p", "log2", "logaddexp", "logaddexp2", "logit", "mvlgamma",
    "nextafter", "polygamma", "positive", "rad2deg", "reciprocal", "remainder", "resolve_conj",
    "resolve_neg", "round", "rsqrt", "sgn", "sigmoid", "sign", "sin", "sinc", "sinh", "sqrt",
    "square", "tan", "tanh", "trunc", "xlogy",
]  # fmt: skip

exp = unary("exp", M.Exp)
exp2 = unary("exp2", M.Exp2)
expm1 = unary("expm1", M.Expm1)
log = unary("log", M.Log)
log2 = unary("log2", M.Log2)
log10 = unary("log10", M.Log10)
log1p = unary("log1p", M.Log1p)
sqrt = unary("sqrt", M.Sqrt)
rsqrt = unary("rsqrt", M.Rsqrt)
square = unary("square", M.Square)
reciprocal = unary("reciprocal", M.Reciprocal)
sin = unary("sin", T.Sin)
cos = unary("cos", T.Cos)
tan = unary("tan", T.Tan)
sinh = unary("sinh", T.Sinh)
cosh = unary("cosh", T.Cosh)
tanh = unary("tanh", T.Tanh)
asin = arcsin = unary("asin", T.Asin)
acos = arccos = unary("acos", T.Acos)
atan = arctan = unary("atan", T.Atan)
asinh = arcsinh = unary("asinh", T.Asinh)
acosh = arccosh = unary("acosh", T.Acosh)
atanh = arctanh = unary("atanh", T.Atanh)
atan2 = arctan2 = binary("atan2", T.Atan2, tensors=3)
sigmoid = unary("sigmoid", M.Sigmoid)
deg2rad = unary("deg2rad", M.Deg2rad)
rad2deg = unary("rad2deg", M.Rad2deg)
sinc = unary("sinc", M.Sinc)
floor = unary("floor", R.Floor)
ceil = unary("ceil", R.Ceil)
frac = unary("frac", R.Frac)
trunc = fix = unary("trunc", R.Trunc)
abs = absolute = unary("abs", S.Abs, False)
sign = unary("sign", S.Sign)
sgn = unary("sgn", S.Sgn)
angle = unary("angle", S.Angle, False)
_conj_physical = unary("conj_physical", S.Conj)
erf = unary("erf", Sp.Erf)
erfc = unary("erfc", Sp.Erfc)
erfinv = unary("erfinv", Sp.Erfinv)
lgamma = unary("lgamma", Sp.Lgamma)
digamma = unary("digamma", Sp.Digamma)
i0 = unary("i0", Sp.I0)
hypot = binary("hypot", M.Hypot, tensors=3)
copysign = binary("copysign", S.Copysign, tensors=2)
nextafter = binary("nextafter", M.Nextafter, tensors=3)
logaddexp = binary("logaddexp", M.Logaddexp, False, 3)
logaddexp2 = binary("logaddexp2", M.Logaddexp2, False, 3)
xlogy = binary("xlogy", M.Xlogy)
_step, _step_ = binary("heaviside", S.Heaviside, tensors=3), Tensor.heaviside_


@method
def heaviside(input: Tensor, values: Tensor, *, out: Tensor | None = None) -> Tensor:
    """0 where ``input`` is negative, 1 where positive, ``values`` where it is zero.

    Example:
        >>> import rushlight as torch
        >>> torch.heaviside(torch.tensor([-1.0, 0.0, 2.0]), torch.tensor([0.5]))
        tensor([0.0000, 0.5000, 1.0000])
    """
    check_step(input, values)
    return stored_exactly(_step(input, values), out)


def check_step(input: Any, values: Any) -> None:
    """``heaviside`` converts nothing."""
    if isinstance(input, Tensor) and isinstance(values, Tensor):
        d, e = input._array.dtype, values._array.dtype
        if d != e or d in dtypes.COMPLEX_TYPES:
            raise DTypeError(
                f"heaviside: both tensors have to be of one real dtype, but are of {d} and {e}; "
                "convert one."
            )


def _heaviside_(self: Tensor, values: Tensor) -> Tensor:
    """In-place form of ``heaviside``."""
    check_step(self, values)
    return _step_(self, values)  # type: ignore[no-any-return]


methods(heaviside_=_heaviside_)


gcd = binary("gcd", R.Gcd, tensors=3)
lcm = binary("lcm", R.Lcm, tensors=3)
igamma = binary("igamma", Sp.Igamma, tensors=3)
igammac = binary("igammac", Sp.Igammac, tensors=3)
floor_divide = binary("floor_divide", R.FloorDivide, tensors=0)
remainder = binary("remainder", R.Remainder)
fmod = binary("fmod", R.Fmod, tensors=2)
pointwise.ROUNDED.update(floor=R.DivFloor.bind, trunc=R.DivTrunc.bind)


def _left(op: Any) -> Any:
    """``bind`` for the number on the left of ``//`` or ``%``."""

    def reversed_bind(self: Tensor, other: Any) -> Any:
        return op.bind(other, self)

    return reversed_bind


methods(
    arcsin=Tensor.asin, arccos=Tensor.acos, arctan=Tensor.atan, arcsinh=Tensor.asinh,
    arccosh=Tensor.acosh, arctanh=Tensor.atanh,
    arcsin_=Tensor.asin_, arccos_=Tensor.acos_, arctan_=Tensor.atan_, arcsinh_=Tensor.asinh_,
    arccosh_=Tensor.acosh_,
    arctanh_=Tensor.atanh_, arctan2=Tensor.atan2, arctan2_=Tensor.atan2_, fix=Tensor.trunc,
    fix_=Tensor.trunc_,
    absolute=Tensor.abs, __abs__=Tensor.abs,
    __floordiv__=R.FloorDivide.bind, __rfloordiv__=_left(R.FloorDivide),
    __ifloordiv__=or_not(R.FloorDivide.update),
    __mod__=R.Remainder.bind, __rmod__=_left(R.Remainder), __imod__=or_not(R.Remainder.update),
)  # fmt: skip


def in_place(function: Any) -> Any:
    """The method with ``_`` of a function made of several ops: compute from a copy, then write."""

    def changed(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        result = function(self.clone(), *args, **kwargs)
        if dtypes.CATEGORY[result._array.dtype] > dtypes.CATEGORY[self._array.dtype]:
            raise DTypeError(
                f"{function.__name__}_: result type {dtypes.of[result._array.dtype].name} can't be "
                "cast to the desired output type "
                f"{dtypes.of[self._array.dtype].name}; convert the tensor first."
            )
        return self.copy_(result)  # type: ignore[no-any-return]

    changed.__name__ = changed.__qualname__ = function.__name__ + "_"
    changed.__doc__ = f"In-place form of ``{function.__name__}``."
    setattr(Tensor, changed.__name__, changed)
    return changed


@method
def conj(input: Tensor) -> Tensor:
    """Complex conjugate; a real tensor itself.

    Example:
        >>> import rushlight as torch
        >>> torch.conj(torch.tensor([1 + 2j])).resolve_conj()
        tensor([1.-2.j])
    """
    if input._array.dtype not in dtypes.COMPLEX_TYPES:
        return input
    return known_as("ConjBackward0", S.Conj.bind(input))


@method
def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself: conjugates are computed at once here."""
    return expect_tensor(input, "resolve_conj")


@method
def resolve_neg(input: Tensor) -> Tensor:
    """The tensor itself: negation is computed at once here."""
    return expect_tensor(input, "resolve_neg")


methods(is_conj=lambda self: False, is_neg=lambda self: False)


@method
def positive(input: Tensor) -> Tensor:
    """The tensor itself; bool raises."""
    if expect_tensor(input, "positive")._array.dtype == np.bool_:
        raise RuntimeError(
            "The `+` operator, on a bool tensor is not supported; convert it to an integer type."
        )
    return input


methods(__pos__=positive)


@method
def round(input: Tensor, *, decimals: int = 0, out: Tensor | None = None) -> Tensor:
    """To the nearest integer, halves to even.

    Args:
        decimals: round to so many digits after the point; before it when negative.

    Example:
        >>> import rushlight as torch
        >>> torch.round(torch.tensor([0.5, 1.5, 2.4]))
        tensor([0., 2., 2.])
    """
    return stored_exactly(R.Round.bind(expect_tensor(input, "round"), decimals=decimals), out)


def _round_(input: Tensor, *, decimals: int = 0) -> Tensor:
    return R.Round.update(input, decimals=decimals)  # type: ignore[no-any-return]


def _abs_(input: Tensor) -> Tensor:
    if expect_tensor(input, "abs_")._array.dtype in dtypes.COMPLEX_TYPES:
        raise DTypeError("abs_: absolute values are real, but the tensor is complex; use x.abs().")
    return S.Abs.update(input)  # type: ignore[no-any-return]


methods(abs_=_abs_, absolute_=_abs_, round_=_round_)


@method
def logit(input: Tensor, eps: float | None = None, *, out: Tensor | None = None) -> Tensor:
    """``log(x / (1 - x))`` with x = ``input`` clamped to [eps, 1 - eps]; NaN outside [0, 1] when
    eps is None.

    Example:
        >>> import rushlight as torch
        >>> torch.logit(torch.tensor([0.5, 0.75]))
        tensor([0.0000, 1.0986])
    """
    return stored(M.Logit.bind(expect_tensor(input, "logit"), eps=eps), out)


def _logit_(input: Tensor, eps: float | None = None) -> Tensor:
    return M.Logit.update(input, eps=eps)  # type: ignore[no-any-return]


methods(logit_=_logit_)


@method
def ldexp(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """``input * 2 ** other``.

    Example:
        >>> import rushlight as torch
        >>> torch.ldexp(torch.tensor([1.0]), torch.tensor([3]))
        tensor([8.])
    """
    arrays = unrecorded(expect_tensor(input, "ldexp"))
    k = other._array if isinstance(other, Tensor) else None
    if arrays is not None and k.__class__ is np.ndarray and k.dtype in (dtypes.int64, dtypes.int32):
        if k.shape == arrays[0].shape:
            power = np.ldexp(dtypes.default.float.type(1), k)
            return stored(wrap(arrays[0] * power), out)
    d = input._array.dtype
    if k is None or d not in dtypes.FLOATING_TYPES or k.dtype.kind not in "iub":
        return stored(input * pow(2.0, other), out)
    power = pow(2.0, cast(other, np.float64 if d == np.float64 else np.float32))
    return stored(cast(input * power, d), out)


@method
def conj_physical(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The complex conjugate, in new memory; a real tensor as it is."""
    if (
        out is None
        and expect_tensor(input, "conj_physical")._array.dtype not in dtypes.COMPLEX_TYPES
    ):
        return input
    return _conj_physical(input, out=out)  # type: ignore[no-any-return]


@method
def float_power(input: Any, exponent: Any, *, out: Tensor | None = None) -> Tensor:
    """``input ** exponent`` computed in float64, or complex128 for complex operands.

    Example:
        >>> import rushlight as torch
        >>> torch.float_power(torch.tensor([2, 3]), 2)
        tensor([4., 9.], dtype=torch.float64)
    """
    result = pow(_doubled(input), _doubled(exponent))
    if out is not None and out._array.dtype != result._array.dtype:
        raise DTypeError(
            f"float_power: the operation's result requires dtype {result._array.dtype}, but out "
            f"has {out._array.dtype}."
        )
    return stored(result, out)


def _doubled(x: Any) -> Any:
    if isinstance(x, np.ndarray):
        raise no_tensor("float_power", x)
    if not isinstance(x, Tensor):
        return builtins.complex(x) if isinstance(x, builtins.complex) else float(x)
    return cast(x, dtypes.complex128 if x._array.dtype in dtypes.COMPLEX_TYPES else dtypes.float64)


@method
def float_power_(self: Tensor, exponent: Any) -> Tensor:
    """In-place form of ``float_power``; the tensor must be float64 or complex128."""
    result = float_power(self.clone(), exponent)
    if result._array.dtype != self._array.dtype:
        raise DTypeError(
            f"float_power_: the base must be {result._array.dtype}, but is {self._array.dtype}; "
            "convert it first."
        )
    return self.copy_(result)  # type: ignore[no-any-return]


in_place(ldexp)


@method
def frexp(input: Tensor, *, out: Any = None) -> Any:
    """Mantissa and exponent, with ``input = mantissa * 2 ** exponent`` and ``0.5 <= |mantissa| <
    1``.

    Example:
        >>> import rushlight as torch
        >>> torch.frexp(torch.tensor([3.0]))
        torch.return_types.frexp(
        mantissa=tensor([0.7500]),
        exponent=tensor([2], dtype=torch.int32))
    """
    return named("frexp", M.Frexp.bind(expect_tensor(input, "frexp")), out)


@method
def polygamma(n: int, input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The ``n``-th derivative of digamma, n >= 0."""
    n = as_int(n, "n")
    if n < 0:
        raise RuntimeError(f"polygamma(n, x) does not support negative n, but n is {n}.")
    return stored(Sp.Polygamma.bind(input, n=n), out)


@method
def mvlgamma(input: Tensor, p: int, *, out: Tensor | None = None) -> Tensor:
    """Logarithm of the ``p``-dimensional gamma function; ``input`` > (p - 1) / 2.

    ``p (p - 1) / 4 * log(pi) + sum over i = 1..p of lgamma(input + (1 - i) / 2)``
    """
    if p < 1:
        raise RuntimeError(f"p has to be greater than or equal to 1, but is {p}")
    total = lgamma(input)
    for i in builtins.range(1, p):
        total = total + lgamma(input - i / 2)
    result = total + p * (p - 1) / 4 * float(np.log(np.pi))
    return stored(known_as("MvlgammaBackward0", result), out)


in_place(mvlgamma)


methods(
    polygamma=lambda self, n: polygamma(n, self),
    polygamma_=lambda self, n: Sp.Polygamma.update(self, n=n),
)  # fmt: skip
