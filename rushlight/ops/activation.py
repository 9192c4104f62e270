"""Activation functions: elementwise curves, their slopes, and the few with weights or random
slopes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.elementwise import Elementwise
from rushlight.core.native import LEAST, SOME, in_dtype, widened
from rushlight.core.op import Op, parameters
from rushlight.core.scalar import NUMPY, with_numbers_of
from rushlight.core.tensor import Tensor, expect_tensors
from rushlight.errors import NotSupportedError
from rushlight.ops.join import Cat
from rushlight.ops.weighted import number_for

INTEGER_OF = {4: np.dtype("i4"), 8: np.dtype("i8")}
ONE = np.int8(1)


def where_not(drop: Any, g: Any) -> Any:
    """g with zeros where the mask ``drop`` is True, infinities and nan included; not slowed by
    masks without a pattern as where is.
    """
    whole = INTEGER_OF.get(g.itemsize)
    if whole is None or g.dtype not in dtypes.FLOATS or not g.ndim:
        return np.where(drop, np.zeros((), g.dtype), g)
    bits = np.bitwise_and(g.view(whole), np.subtract(drop.view(np.int8), ONE))
    return bits.view(g.dtype)


ONES = {d: np.ones((), d) for d in dtypes.of}
ZEROS = {d: np.zeros((), d) for d in dtypes.of}  # NumPy takes twice as long with a Python number


class Relu(Elementwise):
    """``max(0, x)``."""

    least = SOME
    ufunc = staticmethod(lambda x: np.maximum(x, ZEROS[x.dtype]))
    into = staticmethod(lambda x: np.maximum(x, ZEROS[x.dtype], out=x))

    def scalar(self, s, input):
        return s.maximum(input, 0)

    def compute_dtype(self, arrays):
        if arrays[0].dtype == np.bool_:
            raise NotSupportedError(
                "relu: Boolean inputs are not supported; convert them with .float() first."
            )
        return arrays[0].dtype

    def grad(self, g, out):
        return ReluGrad.bind(g, out)


class ReluGrad(Elementwise):
    """``g`` where the result of ReLU was not zero."""

    label = "ThresholdBackward"

    def scalar(self, s, g, y):
        return s.where(y <= 0, 0, g)

    def plan(self):
        self.ufunc = lambda g, y: where_not(np.less_equal(y, ZEROS[y.dtype]), g)
        super().plan()

    def grad_g(self, g, y):
        return ReluGrad.bind(g, y)

    def grad_y(self, g):
        return None


def quick(formula: Any) -> Any:
    """A formula of arrays, with constants of their dtype."""
    known = {d: with_numbers_of(formula, d) for d in dtypes.FLOATS}

    def ufunc(x: Any) -> Any:
        typed = known.get(x.dtype)
        return formula(NUMPY, x) if typed is None else typed(x)

    return ufunc


class Activation(Elementwise, abstract=True):
    """A curve: its value is ``scalar(s, x)``, its derivative ``slope(s, x)``, and its second
    derivative ``bend(x)``, in Tensor.

    bend's default is zero, for curves made of straight pieces.
    """

    fast = dtypes.FLOATS
    integers = False  # whether integers may be passed
    quick_slope: Any = None  # ``slope`` of an array, where there are no parameters

    def plan(self):
        scalar = self.scalar
        if parameters(scalar.__func__)[1]:
            super().plan()
            return
        self.ufunc = quick(scalar)
        self.quick_slope = quick(self.slope)
        super().plan()
        self.formulas.update({d: with_numbers_of(scalar, d) for d in dtypes.FLOATS})

    def compute_dtype(self, arrays):
        d = arrays[0].dtype
        if d not in dtypes.FLOATING_TYPES and not (self.integers and d in dtypes.INTEGER_TYPES):
            name = type(self).__name__.lower()
            raise NotSupportedError(
                f'"{name}" not implemented for {dtypes.of[d].name}; it takes floating-point'
                " tensors: convert with .float()."
            )
        return d

    def slope(self, s: Any, x: Any, **params: Any) -> Any:
        """First derivative."""
        raise NotImplementedError

    def bend(self, x: Tensor, **params: Any) -> Any:
        """Second derivative, or 0 where the curve is made of straight pieces."""
        return 0

    def grad(self, g, input):
        return Slope.bind(g, input, curve=self)


class Tunable(Activation, abstract=True):
    """An activation with parameters."""

    def grad(self, g, input, params):
        return Slope.bind(g, input, curve=self, **params)


class Slope(Elementwise):
    """``g`` times the derivative of an activation, with its ``options``, at ``x``."""

    def scalar(self, s, g, x, *, curve, **options):
        return g * curve.slope(s, x, **options)

    def eager(self, xp, g, x, *, curve, **options):
        quick_slope = curve.quick_slope
        d = quick_slope(x) if quick_slope is not None else curve.slope(NUMPY, x, **options)
        if d.dtype == np.bool_:
            return where_not(~d, g)
        return g * d.astype(g.dtype, copy=False)

    def backward_name(self, params):
        return (
            f"{params['curve'].backward_name(None)[:-1]}Backward0" if params else "SlopeBackward0"
        )

    def grad_g(self, g, x, params):
        return Slope.bind(g, x, **params)

    def grad_x(self, gg, g, x, params):
        curve, options = curve_of(params)
        return gg * g * curve.bend(x, **options)


def curve_of(params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The activation whose slope has these parameters, and its own."""
    return params["curve"], {k: v for k, v in params.items() if k != "curve"}


def sigmoid(s: Any, x: Any) -> Any:
    """Logistic function of one element; exp overflows to infinity harmlessly."""
    return 1 / (1 + s.exp(-x))


class LeakyRelu(Tunable):
    """``x`` where positive, else ``slope * x``."""

    def scalar(self, s, input, *, negative_slope):
        return s.where(input > 0, input, input * negative_slope)

    def spelled(self, input, *, negative_slope):
        return input.where(input > 0, input * negative_slope)

    def eager(self, xp, input, *, negative_slope):
        if 0 <= negative_slope <= 1:
            return np.maximum(input, input * np.array(negative_slope, input.dtype))
        return self.scalar(NUMPY, input, negative_slope=negative_slope)

    def slope(self, s, x, *, negative_slope):
        if s.__class__.__name__ != "NumpyScalars":
            return s.where(x > 0, 1, negative_slope)
        rise = (x > 0).astype(x.dtype)
        rise *= 1 - negative_slope
        rise += negative_slope
        return rise


class Elu(Tunable):
    """``scale * x`` where positive, else ``scale * alpha * (exp(input_scale * x) - 1)``."""

    def scalar(self, s, input, *, alpha, scale, input_scale):
        low, high = s.minimum(input, 0) * input_scale, s.maximum(input, 0) * scale
        return high + s.expm1(low) * (alpha * scale)

    def eager(self, xp, input, *, alpha, scale, input_scale):
        zero = ZEROS[input.dtype]
        low = np.minimum(input, zero)
        high = np.maximum(input, zero)
        if input_scale != 1:
            low = low * input_scale
        low = np.expm1(low)
        if scale != 1:
            high = high * scale
        if alpha * scale != 1:
            low = low * (alpha * scale)
        return high + low

    def slope(self, s, x, *, alpha, scale, input_scale):
        below = s.exp(s.minimum(x, 0) * input_scale) * (alpha * scale * input_scale)
        return below if alpha * input_scale == 1 else s.where(x > 0, scale, below)

    def bend(self, x, *, alpha, scale, input_scale):
        return ((x * input_scale).exp() * (alpha * scale * input_scale**2)).masked_fill(x > 0, 0)


ROOT_HALF, PEAK = math.sqrt(0.5), 1 / math.sqrt(2 * math.pi)


class Gelu(Activation):
    """``x * P(X <= x)`` of a standard normal X."""

    def scalar(self, s, input):
        return input * s.area(input)

    def slope(self, s, x):
        area, height = s.bell(x)
        return area + x * height * PEAK

    def bend(self, x):
        return (2 - x * x) * (x * x * -0.5).exp() * PEAK


BETA, KAPPA = math.sqrt(2 / math.pi), 0.044715
CUBIC = BETA * KAPPA


class GeluTanh(Activation):
    """``x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))``, near GELU and cheaper."""

    label = "Gelu"

    def scalar(self, s, input):
        t = s.tanh((input * input * CUBIC + BETA) * input)
        return (t + 1) * (input * 0.5)

    def slope(self, s, x):
        square = x * x
        t = s.tanh((square * (BETA * KAPPA) + BETA) * x)
        return 0.5 * (1 + t) + (1 - t * t) * (square * (1.5 * BETA * KAPPA) + 0.5 * BETA) * x

    def bend(self, x):
        square = x * x
        t = ((square * (BETA * KAPPA) + BETA) * x).tanh()
        inner = square * (3 * BETA * KAPPA) + BETA
        return (1 - t * t) * (inner + x * (3 * BETA * KAPPA) * x - t * inner * inner * x)


class Silu(Activation):
    """``x * sigmoid(x)``."""

    def compute_dtype(self, arrays):
        return (
            arrays[0].dtype
            if arrays[0].dtype in dtypes.COMPLEX_TYPES
            else super().compute_dtype(arrays)
        )

    def scalar(self, s, input):
        return input / (1 + s.exp(-input))

    def slope(self, s, x):
        y = sigmoid(s, x)
        return y * (1 + x * (1 - y))

    def bend(self, x):
        y = x.sigmoid()
        return y * (1 - y) * (2 + x * (1 - 2 * y))


def softplus(s: Any, x: Any) -> Any:
    """``log(1 + exp(x))`` without overflow."""
    return s.maximum(x, 0) + s.log1p(s.exp(-s.abs(x)))


class Mish(Activation):
    """``x * tanh(log(1 + exp(x)))``."""

    def scalar(self, s, input):
        return input * s.tanh(s.maximum(input, 0) + s.log1p(s.exp(-s.abs(input))))

    def slope(self, s, x):
        t = s.tanh(softplus(s, x))
        return t + x * (1 - t * t) * sigmoid(s, x)

    def bend(self, x):
        t, y = Softplus.bind(x, beta=1.0, threshold=20.0).tanh(), x.sigmoid()
        d = (1 - t * t) * y
        return 2 * d + x * d * (1 - y - 2 * t * y)


class Softplus(Tunable):
    """``log(1 + exp(beta x)) / beta``; x itself where ``beta x > threshold``."""

    def scalar(self, s, input, *, beta, threshold):
        z = input * beta
        return s.where(z > threshold, input, s.log1p(s.exp(s.minimum(z, threshold))) / beta)

    def eager(self, xp, input, *, beta, threshold):
        z = input if beta == 1 else input * beta
        limit = np.array(threshold, z.dtype)
        out = np.asarray(np.minimum(z, limit))
        np.exp(out, out)
        np.log1p(out, out)
        if beta != 1:
            out /= beta
        np.copyto(out, input, where=z > limit)
        return out

    def slope(self, s, x, *, beta, threshold):
        z = x * beta
        return s.where(z > threshold, 1, sigmoid(s, z))

    def bend(self, x, *, beta, threshold):
        y = (x * beta).sigmoid()
        return (y * (1 - y) * beta).masked_fill(x * beta > threshold, 0)


class LogSigmoid(Activation):
    """``log(1 / (1 + exp(-x)))``."""

    def scalar(self, s, input):
        return s.minimum(input, 0) - s.log1p(s.exp(-s.abs(input)))

    def slope(self, s, x):
        return sigmoid(s, -x)

    def bend(self, x):
        y = x.sigmoid()
        return -y * (1 - y)


class Hardtanh(Tunable):
    """``x`` limited to ``[low, high]``."""

    integers = True

    def scalar(self, s, input, *, low, high):
        if input.dtype in dtypes.INTEGER_TYPES:
            low, high = int(low), int(high)
        if low > high:
            return s.minimum(s.maximum(input, low), high)
        return s.maximum(s.minimum(input, high), low)

    def eager(self, xp, input, *, low, high):
        if low > high:
            return self.scalar(NUMPY, input, low=low, high=high)
        d = input.dtype
        if d in dtypes.INTEGER_TYPES:
            low, high = int(low), int(high)
        return np.maximum(np.minimum(input, np.array(high, d)), np.array(low, d))

    def slope(self, s, x, *, low, high):
        return (x > low) & (x < high)


class Hardswish(Activation):
    """``x * clip(x + 3, 0, 6) / 6``."""

    def scalar(self, s, input):
        return input * s.minimum(s.maximum(input + 3, 0), 6) / 6

    def slope(self, s, x):
        return s.where(x <= -3, 0, s.where(x < 3, x / 3 + 0.5, 1))

    def bend(self, x):
        return ((x > -3) & (x < 3)).to(x.dtype) / 3


class Hardsigmoid(Activation):
    """``clip(x + 3, 0, 6) / 6``."""

    def scalar(self, s, input):
        return s.minimum(s.maximum(input + 3, 0), 6) / 6

    def slope(self, s, x):
        return s.where(x > -3, s.where(x < 3, 1 / 6, 0.0), 0.0)


class Hardshrink(Tunable):
    """``x`` where its magnitude exceeds ``lambd``, else 0."""

    def scalar(self, s, input, *, lambd):
        return s.where((input >= -lambd) & (input <= lambd), 0, input)

    def slope(self, s, x, *, lambd):
        return (x < -lambd) | (x > lambd)


class Softshrink(Tunable):
    """``x`` moved towards 0 by ``lambd``, not past it."""

    def scalar(self, s, input, *, lambd):
        return input - s.minimum(s.maximum(input, -lambd), lambd)

    def slope(self, s, x, *, lambd):
        return (x < -lambd) | (x > lambd)


class Threshold(Tunable):
    """``x`` where it exceeds ``threshold``, else ``value``; both cut to integers for integers."""

    integers = True

    @staticmethod
    def numbers(input, threshold, value):
        """The parameters as ``input`` can hold them."""
        expect_tensors("threshold", input)
        if input._array.dtype in dtypes.INTEGER_TYPES:
            d = input._array.dtype
            threshold, value = number_for(d, threshold), number_for(d, value)
        return {"threshold": threshold, "value": value}

    def scalar(self, s, input, *, threshold, value):
        return s.where(input <= threshold, value, input)

    def slope(self, s, x, *, threshold, value):
        return ~(x <= threshold)


class Prelu(Elementwise):
    """``x`` where positive, else ``weight * x``; weight broadcasts."""

    label = "PreluKernel"
    precision = "lower"

    def scalar(self, s, input, weight):
        return s.maximum(input, 0) + s.minimum(input, 0) * weight

    def grad_input(self, g, input, weight):
        positive = (input > 0).to(g.dtype)
        return g * (positive + weight * (1 - positive))

    def grad_weight(self, g, input):
        return g * Hardtanh.bind(input, low=-math.inf, high=0.0)


class Rrelu(Elementwise):
    """``x`` where positive, else x times its own slope from ``noise`` (which is 1 where x is
    positive).
    """

    least = LEAST
    label = "RreluWithNoise"

    def scalar(self, s, input, noise):
        return input * noise

    def grad_input(self, g, noise):
        return g * noise


PIECE = 1 << 15  # elements that are computed at a time


class Glu(Op):
    """The first half along ``dim`` times the sigmoid of the second."""

    keeps_order = True

    def eager(self, xp, input, *, dim):
        if input.dtype not in dtypes.FLOATING_TYPES:
            raise NotSupportedError(
                f"glu is not defined for {dtypes.of[input.dtype].name} tensors; convert with"
                " .float()."
            )
        shape, dim = input.shape, dim % input.ndim
        if input.size < LEAST and input.dtype in dtypes.FLOATS:
            before, half = (slice(None),) * dim, shape[dim] // 2
            y = np.negative(input[*before, half:], order="C")
            np.exp(y, y)
            y += ONES[y.dtype]
            return np.divide(input[*before, :half], y, y)
        lead, half, inner = shape[:dim], shape[dim] // 2, math.prod(shape[dim + 1 :])
        x = widened(input).reshape(math.prod(lead), 2, half * inner)
        out = np.empty((len(x), half * inner), x.dtype)
        rows = max(1, len(x) if x.size <= PIECE else PIECE // out.shape[1])
        for start in range(0, len(x), rows):  # so that they stay in the cache
            part, y = x[start : start + rows], out[start : start + rows]
            np.exp(np.negative(part[:, 1], y), y)
            y += ONES[y.dtype]
            np.divide(part[:, 0], y, y)
        return in_dtype(out.reshape(*lead, half, *shape[dim + 1 :]), input.dtype)

    def grad(self, g, input, dim):
        n = input.shape[dim] // 2
        a, b = input.narrow(dim, 0, n), input.narrow(dim, n, n)
        y = b.sigmoid()
        gy = g * y
        return Cat.bind(gy, gy * a * (1 - y), dim=dim)
