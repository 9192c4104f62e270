"""Functions of real and complex analysis: exponentials, logarithms, roots, trigonometry."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.elementwise import Elementwise, quick
from rushlight.core.native import SOME, kernels, widened
from rushlight.core.op import NUMBERS
from rushlight.core.scalar import NUMPY
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, bump
from rushlight.errors import DTypeError
from rushlight.ops.arithmetic import conj
from rushlight.ops.copy import zeros_like
from rushlight.ops.select import Where

LN2, LN10 = math.log(2), math.log(10)


# NumPy takes twice as long with a Python number
ONES = {d: np.ones((), d) for d in (*dtypes.FLOATS, *dtypes.COMPLEX_TYPES)}


class Analytic(Elementwise, abstract=True):
    """Integers and bool become the default float."""

    result_dtype = dtypes.to_float


class Exp(Analytic):
    """``e ** input``."""

    ufunc = np.exp

    def scalar(self, s, input):
        return s.exp(input)

    def grad(self, g, out):
        return g * conj(out)


class Exp2(Analytic):
    """``2 ** input``."""

    ufunc = np.exp2

    def scalar(self, s, input):
        return s.exp2(input)

    def grad(self, g, out):
        return g * conj(out) * LN2


class Expm1(Analytic):
    """``e ** input - 1``, accurate near 0."""

    ufunc = np.expm1

    def scalar(self, s, input):
        return s.expm1(input)

    def grad(self, g, out):
        return g * (conj(out) + 1)


class Log(Analytic):
    """Natural logarithm; NaN for negative numbers, -inf at 0."""

    ufunc = np.log

    def scalar(self, s, input):
        return s.log(input)

    def grad(self, g, input):
        return g / conj(input)


class Log2(Analytic):
    """Logarithm to base 2."""

    compiled = True
    ufunc = np.log2

    def scalar(self, s, input):
        return s.log2(input)

    def grad(self, g, input):
        return g / (conj(input) * LN2)


class Log10(Analytic):
    """Logarithm to base 10."""

    compiled = True
    ufunc = np.log10

    def scalar(self, s, input):
        return s.log10(input)

    def grad(self, g, input):
        return g / (conj(input) * LN10)


class Log1p(Analytic):
    """``log(1 + input)``, accurate near 0."""

    compiled = True
    ufunc = np.log1p

    def scalar(self, s, input):
        return s.log1p(input)

    def grad(self, g, input):
        return g / (conj(input) + 1)


class Sqrt(Analytic):
    """Square root; NaN for negative numbers."""

    ufunc = np.sqrt

    def scalar(self, s, input):
        return s.sqrt(input)

    def grad(self, g, out):
        return g / (conj(out) * 2)


class Rsqrt(Analytic):
    """``1 / sqrt(input)``."""

    least = SOME
    ufunc = staticmethod(lambda x: ONES[x.dtype] / np.sqrt(x))

    def scalar(self, s, input):
        return 1 / s.sqrt(input)

    def grad(self, g, out):
        return g * conj(out * out * out) * -0.5


class Square(Elementwise):
    """``input * input``."""

    label = "Pow"
    ufunc = np.square

    def scalar(self, s, input):
        return input * input

    def compute_dtype(self, arrays):
        d = arrays[0].dtype
        return dtypes.int64 if d is dtypes.bool_ else d

    def grad(self, g, input):
        return g * (conj(input) * 2)


class Reciprocal(Analytic):
    """``1 / input``."""

    ufunc = np.reciprocal

    def scalar(self, s, input):
        return 1 / input

    def grad(self, g, out):
        return -g * conj(out * out)


class Sin(Analytic):
    """Sine of an angle in radians."""

    ufunc = np.sin

    def scalar(self, s, input):
        return s.sin(input)

    def grad(self, g, input):
        return g * conj(input.cos())


class Cos(Analytic):
    """Cosine of an angle in radians."""

    ufunc = np.cos

    def scalar(self, s, input):
        return s.cos(input)

    def grad(self, g, input):
        return -g * conj(input.sin())


class Tan(Analytic):
    """Tangent of an angle in radians."""

    ufunc = np.tan

    def scalar(self, s, input):
        return s.tan(input)

    def grad(self, g, out):
        return g * conj(out * out + 1)


class Asin(Analytic):
    """Inverse sine, in radians; NaN outside [-1, 1]."""

    compiled = True
    ufunc = np.arcsin

    def scalar(self, s, input):
        return s.asin(input)

    def grad(self, g, input):
        return g * conj((1 - input * input).rsqrt())


class Acos(Analytic):
    """Inverse cosine, in radians; NaN outside [-1, 1]."""

    compiled = True
    ufunc = np.arccos

    def scalar(self, s, input):
        return s.acos(input)

    def grad(self, g, input):
        return -g * conj((1 - input * input).rsqrt())


class Atan(Analytic):
    """Inverse tangent, in radians."""

    ufunc = np.arctan

    def scalar(self, s, input):
        return s.atan(input)

    def grad(self, g, input):
        return g / conj(input * input + 1)


class Sinh(Analytic):
    """Hyperbolic sine."""

    ufunc = np.sinh

    def scalar(self, s, input):
        return s.sinh(input)

    def grad(self, g, input):
        return g * conj(input.cosh())


class Cosh(Analytic):
    """Hyperbolic cosine."""

    ufunc = np.cosh

    def scalar(self, s, input):
        return s.cosh(input)

    def grad(self, g, input):
        return g * conj(input.sinh())


class Tanh(Analytic):
    """Hyperbolic tangent."""

    ufunc = np.tanh

    def scalar(self, s, input):
        return s.tanh(input)

    def grad(self, g, out):
        return TanhGrad.bind(g, out)


class TanhGrad(Elementwise):
    """``g * (1 - conj(out) ** 2)``: the gradient of tanh."""

    label = "TanhBackward"
    least = SOME
    ufunc = staticmethod(lambda g, out: g * (1 - out * out))
    fast = dtypes.FLOATS

    def scalar(self, s, g, out):
        return g * (1 - s.conj(out * out))

    def eager(self, xp, g, out):
        return self.scalar(xp, g, out)

    def grad_g(self, g, out):
        return g * (1 - out * out)

    def grad_out(self, grad, g, out):
        return conj(grad) * g * conj(out) * -2


class Asinh(Analytic):
    """Inverse hyperbolic sine."""

    ufunc = np.arcsinh

    def scalar(self, s, input):
        return s.asinh(input)

    def grad(self, g, input):
        return g * conj((input * input + 1).rsqrt())


class Acosh(Analytic):
    """Inverse hyperbolic cosine; NaN below 1."""

    compiled = True
    least = SOME
    ufunc = np.arccosh

    def scalar(self, s, input):
        return s.acosh(input)

    def grad(self, g, input):
        if input._array.dtype in dtypes.COMPLEX_TYPES:
            return g * conj((input + 1).rsqrt() * (input - 1).rsqrt())
        return g * (input * input - 1).rsqrt()


class Atanh(Analytic):
    """Inverse hyperbolic tangent; NaN outside [-1, 1]."""

    compiled = True
    ufunc = np.arctanh

    def scalar(self, s, input):
        return s.atanh(input)

    def grad(self, g, input):
        return g / conj(1 - input * input)


class Atan2(Analytic):
    """Angle of the point (``other``, ``input``), in (-pi, pi]. Shape: broadcast of both."""

    ufunc = np.arctan2

    def scalar(self, s, input, other):
        return s.atan2(input, other)

    def grad_input(self, g, input, other):
        return g * other * (input * input + other * other).reciprocal()

    def grad_other(self, g, input, other):
        return g * -input * (input * input + other * other).reciprocal()


def sigmoid(x: Any) -> Any:
    """``1 / (1 + exp(-x))`` in one new array."""
    e = np.negative(x)
    return sigmoid_of_negative(e) if type(e) is np.ndarray else 1 / (1 + np.exp(e))


def sigmoid_of_negative(x: Any) -> Any:
    """``1 / (1 + exp(x))`` in the place of x."""
    np.exp(x, x)
    np.add(x, ONES[x.dtype], x)
    return np.reciprocal(x, x)


class Sigmoid(Analytic):
    """Logistic sigmoid ``1 / (1 + exp(-input))``. Shape: ``(*) -> (*)``."""

    least = SOME
    ufunc = staticmethod(sigmoid)
    into = staticmethod(lambda x: sigmoid_of_negative(np.negative(x, x)))

    def scalar(self, s, input):
        return 1 / (1 + s.exp(-input))

    def grad(self, g, out):
        return SigmoidGrad.bind(g, out)


class SigmoidGrad(Elementwise):
    """``g * conj(out * (1 - out))``: the gradient of sigmoid."""

    label = "SigmoidBackward"
    least = SOME
    ufunc = staticmethod(lambda g, out: g * out * (1 - out))
    fast = dtypes.FLOATS

    def scalar(self, s, g, out):
        return g * s.conj(out * (1 - out))

    def eager(self, xp, g, out):
        return self.scalar(xp, g, out)

    def grad_g(self, g, out):
        return g * (out * (1 - out))

    def grad_out(self, grad, g, out):
        return conj(grad) * g * (1 - 2 * conj(out))


class Logit(Analytic):
    """``log(input / (1 - input))``, ``input`` first clamped to ``[eps, 1 - eps]`` unless eps is
    None.
    """

    def scalar(self, s, input, *, eps):
        if eps is not None:
            input = s.minimum(s.maximum(input, eps), 1 - eps)
        return s.log(input / (1 - input))

    def eager(self, xp, input, *, eps):
        if input.dtype not in dtypes.FLOATS:
            return self.scalar(NUMPY, input, eps=eps)
        if eps is not None:
            d = input.dtype
            input = np.minimum(np.maximum(input, np.array(eps, d)), np.array(1 - eps, d))
        return np.log(input / (ONES[input.dtype] - input))

    def grad(self, g, input, eps):
        d = g / (input * (1 - input))
        if eps is None:
            return Where.bind((input < 0) | (input > 1), float("nan"), d)
        return Where.bind((input < eps) | (input > 1 - eps), 0, d)


def same_dtype(a: Any, b: Any) -> tuple[Any, Any]:
    """Two operands, one of which may be a number, as arrays of one dtype: functions of a number
    would give float64.
    """
    d = (a if isinstance(a, np.ndarray) else b).dtype
    return np.asarray(a, d), np.asarray(b, d)


class Hypot(Analytic):
    """``sqrt(input ** 2 + other ** 2)`` without overflow. Shape: broadcast of both."""

    compiled = True
    least = SOME
    ufunc = np.hypot

    def scalar(self, s, input, other):
        return s.hypot(input, other)

    def grad_input(self, g, input, out):
        return g * (input / out)

    def grad_other(self, g, other, out):
        return g * (other / out)


class Xlogy(Analytic):
    """``input * log(other)``, 0 where ``input`` is 0 (NaN where ``other`` is).

    Shape: broadcast of both.
    """

    fast = dtypes.FLOATS

    def scalar(self, s, input, other):
        return s.where(s.isnan(other), other, s.where(input == 0, 0, input * s.log(other)))

    def eager(self, xp, input, other):
        return NUMPY.xlogy(*same_dtype(input, other))

    def grad_input(self, g, input, other):
        return Where.bind((input == 0) & (other <= 0), 0, g * log(other))

    def grad_other(self, g, input, other):
        return g * input / other


def log(x: Any) -> Any:
    """Logarithm of a tensor or a number."""
    if isinstance(x, Tensor):
        return x.log()
    return math.log(x) if x > 0 else -math.inf if x == 0 else math.nan


def logaddexp(x: Any, y: Any) -> Any:
    """``np.logaddexp`` of floats, by its formula where there are some: that takes a third of the
    time.
    """
    if x.size < 64:
        return np.logaddexp(x, y)
    out = np.subtract(x, y)
    np.abs(out, out)
    np.negative(out, out)
    np.exp(out, out)
    np.log1p(out, out)
    out += np.maximum(x, y)
    # NaN, which counts as largest here, may come from equal infinities
    return np.logaddexp(x, y) if math.isnan(out.item(out.argmax())) else out


class Logaddexp(Elementwise):
    """``log(exp(input) + exp(other))`` without overflow. Shape: broadcast of both."""

    compiled = True
    least = SOME
    ufunc = staticmethod(logaddexp)

    def scalar(self, s, input, other):
        top = s.maximum(input, other)
        return s.where(
            s.isinf(input) & (input == other), input, top + s.log1p(s.exp(-s.abs(input - other)))
        )

    def eager(self, xp, input, other):
        if xp.iscomplexobj(input) or xp.iscomplexobj(other):
            swap = input.real < other.real
            top, low = xp.where(swap, other, input), xp.where(swap, input, other)
            return xp.where(
                (input == other) & ~xp.isfinite(input), input, top + xp.log1p(xp.exp(low - top))
            )
        return xp.logaddexp(input, other)

    def compute_dtype(self, arrays):
        return floating_only(super().compute_dtype(arrays), "logaddexp")

    def grad_input(self, g, input, other):
        return g / conj(1 + (other - input).exp())

    def grad_other(self, g, input, other):
        return g / conj(1 + (input - other).exp())


class Logaddexp2(Elementwise):
    """``log2(2 ** input + 2 ** other)`` without overflow. Shape: broadcast of both."""

    compiled = True
    least = SOME
    ufunc = np.logaddexp2

    def scalar(self, s, input, other):
        top = s.maximum(input, other)
        return s.where(
            s.isinf(input) & (input == other),
            input,
            top + s.log2(1 + s.exp2(-s.abs(input - other))),
        )

    def compute_dtype(self, arrays):
        return floating_only(super().compute_dtype(arrays), "logaddexp2")

    def grad_input(self, g, input, other):
        return g / (1 + (other - input).exp2())

    def grad_other(self, g, input, other):
        return g / (1 + (input - other).exp2())


def floating_only(d: Any, name: str) -> Any:
    """d, which must not be an integer type."""
    if d not in dtypes.DIFFERENTIABLE:
        raise DTypeError(
            f"{name} is defined for floating-point tensors, not {dtypes.of[d].name}; convert with "
            ".float()."
        )
    return d


class Deg2rad(Analytic):
    """Degrees to radians: ``input * pi / 180``."""

    ufunc = staticmethod(lambda x: x * (math.pi / 180))

    def scalar(self, s, input):
        return input * (math.pi / 180)

    def grad(self, g):
        return g * (math.pi / 180)


class Rad2deg(Analytic):
    """Radians to degrees: ``input * 180 / pi``."""

    label = "Rad2Deg"
    ufunc = staticmethod(lambda x: x * (180 / math.pi))

    def scalar(self, s, input):
        return input * (180 / math.pi)

    def grad(self, g):
        return g * (180 / math.pi)


class Sinc(Analytic):
    """``sin(pi input) / (pi input)``, 1 at 0."""

    compiled = False

    def scalar(self, s, input):
        x = math.pi * s.where(input == 0, 1, input)
        return s.where(input == 0, 1, s.sin(x) / x)

    def grad(self, g, input):
        x = input * math.pi
        zero = input == 0
        slope = (x.cos() * x - x.sin()) / Where.bind(zero, 1, x * input)
        return g * conj(Where.bind(zero, 0, slope))


def fast_update(op: Any, general: Any, store: Any) -> Any:
    """``update`` when no operand broadcasts or differs in dtype and nothing is recorded or shared.

    Without kernels ``store(x, *others, **params)`` writes into arrays x, or returns False; then,
    and for all other operands, ``general`` is called.
    """

    def update(x: Tensor, *others: Any, **params: Any) -> Any:
        a = x._array
        d, recording = a.dtype, modes.grad
        if state.busy or a.base is not None or d not in dtypes.FLOATS or type(a) is not np.ndarray:
            return general(x, *others, **params)
        if not a.ndim or not a.flags.writeable or (recording and x._tracked):
            return general(x, *others, **params)
        arrays = []
        for t in others:
            if isinstance(t, Tensor):
                b = t._array
                if b.dtype is not d or b.shape != a.shape or b.base is not None:
                    return general(x, *others, **params)
                if recording and t._tracked:
                    return general(x, *others, **params)
                t = b
            arrays.append(t)
        if kernels.on:
            if not op.ready or quick(op, (a, *arrays), params, True) is None:
                return general(x, *others, **params)
        elif arrays[0].__class__ is not np.ndarray or not store(a, *arrays, **params):
            return general(x, *others, **params)
        bump(x)
        return x

    return update


class Lerp(Elementwise):
    """``start + weight * (end - start)``. Shape: broadcast of the three."""

    def scalar(self, s, start, end, weight):
        return s.where(
            s.abs(weight) < 0.5, start + weight * (end - start), end - (end - start) * (1 - weight)
        )

    def eager(self, xp, start, end, weight):
        if isinstance(weight, np.ndarray) and weight.ndim:
            return self.scalar(xp, start, end, weight)
        step = end - start
        near = abs(weight) < 0.5
        factor = weight if near else 1 - weight
        step = step * factor_of(factor, step)
        return start + step if near else end - step

    def make_update(self):
        return fast_update(self, super().make_update(), self._write)

    def _write(self, x: Any, end: Any, weight: Any) -> bool:
        """Into x, when that is simple."""
        if weight.__class__ is not float:
            return False
        step = end - x
        near = abs(weight) < 0.5
        step *= np.array(weight if near else 1 - weight, step.dtype)
        if near:
            np.add(x, step, x)
        else:
            np.subtract(end, step, x)
        return True

    def grad_start(self, g, weight):
        return g * conj(1 - weight)

    def grad_end(self, g, weight):
        return g * conj(weight)

    def grad_weight(self, g, start, end):
        return g * conj(end - start)


class Addcmul(Elementwise):
    """``input + value * tensor1 * tensor2``. Shape: broadcast of the three."""

    def scalar(self, s, input, tensor1, tensor2, *, value):
        return input + value * (tensor1 * tensor2)

    def eager(self, xp, input, tensor1, tensor2, *, value):
        product = tensor1 * tensor2
        return input + (product if value == 1 else product * factor_of(value, product))

    direct = True

    def forward(self, arrays, params):
        value = number_for(self.compute_dtype(arrays), params["value"])
        return super().forward(arrays, {"value": value})

    def make_update(self):
        return fast_update(self, super().make_update(), self._write)

    def _write(self, x: Any, tensor1: Any, tensor2: Any, value: Any = 1) -> bool:
        """Into x, when that is simple."""
        if tensor2.__class__ is not np.ndarray or value.__class__ not in NUMBERS:
            return False
        step = tensor1 * tensor2
        if value != 1:
            step *= np.array(value, step.dtype)
        np.add(x, step, x)
        return True

    def grad_input(self, g):
        return g

    def grad_tensor1(self, g, tensor2, value):
        return g * conj(tensor2 * value)

    def grad_tensor2(self, g, tensor1, value):
        return g * conj(tensor1 * value)


class Addcdiv(Elementwise):
    """``input + value * tensor1 / tensor2``. Shape: broadcast of the three."""

    def scalar(self, s, input, tensor1, tensor2, *, value):
        return input + value * (tensor1 / tensor2)

    def eager(self, xp, input, tensor1, tensor2, *, value):
        quotient = tensor1 / tensor2
        return input + (quotient if value == 1 else quotient * factor_of(value, quotient))

    def compute_dtype(self, arrays):
        return floating_only(
            super().compute_dtype(arrays),
            "addcdiv: integer division with addcdiv is no longer supported;",
        )

    def make_update(self):
        return fast_update(self, super().make_update(), self._write)

    def _write(self, x: Any, tensor1: Any, tensor2: Any, value: Any = 1) -> bool:
        """Into x, when that is simple."""
        if tensor2.__class__ is not np.ndarray or value.__class__ not in NUMBERS:
            return False
        step = tensor1 / tensor2
        if value != 1:
            step *= np.array(value, step.dtype)
        np.add(x, step, x)
        return True

    def grad_input(self, g):
        return g

    def grad_tensor1(self, g, tensor2, value):
        return g * conj(value / tensor2)

    def grad_tensor2(self, g, tensor1, tensor2, value):
        return -g * conj(value * tensor1 / (tensor2 * tensor2))


def factor_of(value: Any, x: Any) -> Any:
    """A number as a 0-dim array of the dtype of floats x: NumPy takes twice as long with a Python
    number.
    """
    if value.__class__ is float and x.dtype in dtypes.FLOATS:
        return np.array(value, x.dtype)
    return value


def number_for(d: Any, value: Any) -> Any:
    """The factor ``value`` of a computation in dtype d: an int for integers."""
    if d in dtypes.INTEGER_TYPES and value.__class__ is float:
        if value != int(value):
            raise DTypeError(
                "For integral input tensors, argument value must not be a floating point number."
            )
        return int(value)
    return value


class Frexp(Elementwise):
    """Mantissa, ``0.5 <= |mantissa| < 1``, and exponent: ``input = mantissa * 2 ** exponent``."""

    outputs = ("mantissa", "exponent")

    def scalar(self, s, input):
        return s.frexp(input)

    def make_bind(self):
        return super(Elementwise, self).make_bind()

    def forward(self, arrays, params):
        x = arrays[0]
        if x.dtype not in dtypes.FLOATING_TYPES:
            raise DTypeError(
                f"frexp is defined for floating-point tensors, not {dtypes.of[x.dtype].name}; "
                "convert with .float()."
            )
        mantissa, exponent = np.frexp(widened(x))
        return np.asarray(mantissa).astype(x.dtype), np.asarray(exponent).astype(np.int32)

    def grad(self, g, exponent):
        return g[0] / 2.0**exponent


class Nextafter(Elementwise):
    """The next representable number after ``input`` towards ``other``."""

    compiled = True
    ufunc = np.nextafter

    def compute_dtype(self, arrays):
        return floating_only(super().compute_dtype(arrays), "nextafter")

    def scalar(self, s, input, other):
        return s.nextafter(input, other)

    def grad_input(self, g):
        return g

    def grad_other(self, g):
        return zeros_like(g)
