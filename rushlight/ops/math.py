"""Functions of real and complex analysis: exponentials, logarithms, roots."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.elementwise import Elementwise
from rushlight.core.native import SOME, widened
from rushlight.core.scalar import NUMPY
from rushlight.core.tensor import Tensor
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
    """``e ** input``.

    Example:
        >>> torch.exp(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 2.7183])
    """

    compiled = True
    ufunc = np.exp

    def scalar(self, s, input):
        return s.exp(input)

    def grad(self, g, out):
        return g * conj(out)


class Exp2(Analytic):
    """``2 ** input``.

    Example:
        >>> torch.exp2(torch.tensor([0.0, 0.5]))
        tensor([1.0000, 1.4142])
    """

    ufunc = np.exp2

    def scalar(self, s, input):
        return s.exp2(input)

    def grad(self, g, out):
        return g * conj(out) * LN2


class Expm1(Analytic):
    """``e ** input - 1``, accurate near 0.

    Example:
        >>> torch.expm1(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 1.7183])
    """

    ufunc = np.expm1

    def scalar(self, s, input):
        return s.expm1(input)

    def grad(self, g, out):
        return g * (conj(out) + 1)


class Log(Analytic):
    """Natural logarithm; NaN for negative numbers, -inf at 0.

    Example:
        >>> torch.log(torch.tensor([1.0, torch.e, 0.0]))
        tensor([0., 1., -inf])
    """

    ufunc = np.log

    def scalar(self, s, input):
        return s.log(input)

    def grad(self, g, input):
        return g / conj(input)


class Log2(Analytic):
    """Logarithm to base 2.

    Example:
        >>> torch.log2(torch.tensor([1.0, 3.0]))
        tensor([0.0000, 1.5850])
    """

    compiled = True
    ufunc = np.log2

    def scalar(self, s, input):
        return s.log2(input)

    def grad(self, g, input):
        return g / (conj(input) * LN2)


class Log10(Analytic):
    """Logarithm to base 10.

    Example:
        >>> torch.log10(torch.tensor([1.0, 200.0]))
        tensor([0.0000, 2.3010])
    """

    compiled = True
    ufunc = np.log10

    def scalar(self, s, input):
        return s.log10(input)

    def grad(self, g, input):
        return g / (conj(input) * LN10)


class Log1p(Analytic):
    """``log(1 + input)``, accurate near 0.

    Example:
        >>> torch.log1p(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.6931])
    """

    compiled = True
    ufunc = np.log1p

    def backward_name(self, params):
        return "Log1PBackward0"

    def scalar(self, s, input):
        return s.log1p(input)

    def grad(self, g, input):
        return g / (conj(input) + 1)


class Sqrt(Analytic):
    """Square root; NaN for negative numbers.

    Example:
        >>> torch.sqrt(torch.tensor([4.0, 2.0]))
        tensor([2.0000, 1.4142])
    """

    ufunc = np.sqrt

    def scalar(self, s, input):
        return s.sqrt(input)

    def grad(self, g, out):
        return g / (conj(out) * 2)


class Rsqrt(Analytic):
    """``1 / sqrt(input)``.

    Example:
        >>> torch.rsqrt(torch.tensor([4.0, 16.0]))
        tensor([0.5000, 0.2500])
    """

    least = SOME
    ufunc = staticmethod(lambda x: ONES[x.dtype] / np.sqrt(x))

    def scalar(self, s, input):
        return 1 / s.sqrt(input)

    def grad(self, g, out):
        return g * conj(out * out * out) * -0.5


class Square(Elementwise):
    """``input * input``.

    Example:
        >>> torch.square(torch.tensor([-3, 2]))
        tensor([9, 4])
    """

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
    """``1 / input``.

    Example:
        >>> torch.reciprocal(torch.tensor([2.0, 4.0]))
        tensor([0.5000, 0.2500])
    """

    ufunc = np.reciprocal  # which divides one by one
    compiled = True

    def scalar(self, s, input):
        return 1 / input

    def grad(self, g, out):
        return -g * conj(out * out)


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
    """Logistic sigmoid ``1 / (1 + exp(-input))``. Shape: ``(*) -> (*)``.

    Example:
        >>> torch.sigmoid(torch.tensor([0.0, 2.0]))
        tensor([0.5000, 0.8808])
    """

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
    """``sqrt(input ** 2 + other ** 2)`` without overflow. Shape: broadcast of both.

    Example:
        >>> torch.hypot(torch.tensor([3.0]), torch.tensor([4.0]))
        tensor([5.])
    """

    compiled = True
    least = SOME
    ufunc = np.hypot

    def scalar(self, s, input, other):
        return s.hypot(input, other)

    def grad_input(self, g, input, out):
        return g * (input / out)

    def grad_other(self, g, other, out):
        return g * (other / out)


def number_place(specs: Any) -> str:
    """The end of a node's name, by which of two operands is a number: none, the first, or the
    second, when there are no specs.
    """
    return "2" if not (specs and specs[1]) else "0" if specs[0] else "1"


class Xlogy(Analytic):
    """``input * log(other)``, 0 where ``input`` is 0 (NaN where ``other`` is).

    Shape: broadcast of both.

    Example:
        >>> torch.xlogy(torch.tensor([0.0, 2.0]), torch.tensor([0.0, 1.0]))
        tensor([0., 0.])
    """

    fast = dtypes.FLOATS

    def node_name(self, params, specs):
        return "XlogyBackward" + number_place(specs)

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
    """``log(exp(input) + exp(other))`` without overflow. Shape: broadcast of both.

    Example:
        >>> torch.logaddexp(torch.tensor([0.0, 1000.0]), torch.tensor([0.0, 1000.0]))
        tensor([6.9315e-01, 1.0007e+03])
    """

    compiled = True
    least = SOME
    ufunc = staticmethod(logaddexp)
    fast = dtypes.FLOATS

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
    """``log2(2 ** input + 2 ** other)`` without overflow. Shape: broadcast of both.

    Example:
        >>> torch.logaddexp2(torch.tensor([0.0, 2000.0]), torch.tensor([0.0, 2000.0]))
        tensor([1.0000e+00, 2.0010e+03])
    """

    compiled = True
    least = SOME
    ufunc = np.logaddexp2
    fast = dtypes.FLOATS

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
    """Degrees to radians: ``input * pi / 180``.

    Example:
        >>> torch.deg2rad(torch.tensor([0.0, 180.0]))
        tensor([0.0000, 3.1416])
    """

    label = "Deg2Rad"

    ufunc = staticmethod(lambda x: x * (math.pi / 180))

    def scalar(self, s, input):
        return input * (math.pi / 180)

    def grad(self, g):
        return g * (math.pi / 180)


class Rad2deg(Analytic):
    """Radians to degrees: ``input * 180 / pi``.

    Example:
        >>> torch.rad2deg(torch.tensor([0.0, torch.pi]))
        tensor([  0., 180.])
    """

    label = "Rad2Deg"
    ufunc = staticmethod(lambda x: x * (180 / math.pi))

    def scalar(self, s, input):
        return input * (180 / math.pi)

    def grad(self, g):
        return g * (180 / math.pi)


class Sinc(Analytic):
    """``sin(pi input) / (pi input)``, 1 at 0.

    Example:
        >>> torch.sinc(torch.tensor([0.0, 0.5]))
        tensor([1.0000, 0.6366])
    """

    compiled = False

    def scalar(self, s, input):
        x = math.pi * s.where(input == 0, 1, input)
        return s.where(input == 0, 1, s.sin(x) / x)

    def grad(self, g, input):
        x = input * math.pi
        zero = input == 0
        slope = (x.cos() * x - x.sin()) / Where.bind(zero, 1, x * input)
        return g * conj(Where.bind(zero, 0, slope))


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
    """The next representable number after ``input`` towards ``other``.

    Example:
        >>> torch.nextafter(torch.tensor(1.0), torch.tensor(2.0)).item()
        1.0000001192092896
    """

    compiled = True
    ufunc = np.nextafter
    fast = dtypes.FLOATS

    def compute_dtype(self, arrays):
        return floating_only(super().compute_dtype(arrays), "nextafter")

    def scalar(self, s, input, other):
        return s.nextafter(input, other)

    def grad_input(self, g):
        return g

    def grad_other(self, g):
        return zeros_like(g)
