"""Circular and hyperbolic functions and their inverses."""

from __future__ import annotations

import numpy as np

from rushlight import dtypes
from rushlight.core.elementwise import Elementwise
from rushlight.core.native import SOME
from rushlight.ops.arithmetic import conj
from rushlight.ops.math import Analytic


class Sin(Analytic):
    """Sine of an angle in radians.

    Example:
        >>> torch.sin(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.8415])
    """

    compiled = True
    ufunc = np.sin

    def scalar(self, s, input):
        return s.sin(input)

    def grad(self, g, input):
        return g * conj(input.cos())


class Cos(Analytic):
    """Cosine of an angle in radians.

    Example:
        >>> torch.cos(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 0.5403])
    """

    compiled = True
    ufunc = np.cos

    def scalar(self, s, input):
        return s.cos(input)

    def grad(self, g, input):
        return -g * conj(input.sin())


class Tan(Analytic):
    """Tangent of an angle in radians.

    Example:
        >>> torch.tan(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 1.5574])
    """

    ufunc = np.tan

    def scalar(self, s, input):
        return s.tan(input)

    def grad(self, g, out):
        return g * conj(out * out + 1)


class Asin(Analytic):
    """Inverse sine, in radians; NaN outside [-1, 1].

    Example:
        >>> torch.asin(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 1.5708])
    """

    compiled = True
    ufunc = np.arcsin

    def scalar(self, s, input):
        return s.asin(input)

    def grad(self, g, input):
        return g * conj((1 - input * input).rsqrt())


class Acos(Analytic):
    """Inverse cosine, in radians; NaN outside [-1, 1].

    Example:
        >>> torch.acos(torch.tensor([1.0, 0.0]))
        tensor([0.0000, 1.5708])
    """

    compiled = True
    ufunc = np.arccos

    def scalar(self, s, input):
        return s.acos(input)

    def grad(self, g, input):
        return -g * conj((1 - input * input).rsqrt())


class Atan(Analytic):
    """Inverse tangent, in radians.

    Example:
        >>> torch.atan(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7854])
    """

    ufunc = np.arctan

    def scalar(self, s, input):
        return s.atan(input)

    def grad(self, g, input):
        return g / conj(input * input + 1)


class Sinh(Analytic):
    """Hyperbolic sine.

    Example:
        >>> torch.sinh(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 1.1752])
    """

    ufunc = np.sinh

    def scalar(self, s, input):
        return s.sinh(input)

    def grad(self, g, input):
        return g * conj(input.cosh())


class Cosh(Analytic):
    """Hyperbolic cosine.

    Example:
        >>> torch.cosh(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 1.5431])
    """

    ufunc = np.cosh

    def scalar(self, s, input):
        return s.cosh(input)

    def grad(self, g, input):
        return g * conj(input.sinh())


class Tanh(Analytic):
    """Hyperbolic tangent.

    Example:
        >>> torch.tanh(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7616])
    """

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
    """Inverse hyperbolic sine.

    Example:
        >>> torch.asinh(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.8814])
    """

    ufunc = np.arcsinh

    def scalar(self, s, input):
        return s.asinh(input)

    def grad(self, g, input):
        return g * conj((input * input + 1).rsqrt())


class Acosh(Analytic):
    """Inverse hyperbolic cosine; NaN below 1.

    Example:
        >>> torch.acosh(torch.tensor([1.0, 2.0]))
        tensor([0.0000, 1.3170])
    """

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
    """Inverse hyperbolic tangent; NaN outside [-1, 1].

    Example:
        >>> torch.atanh(torch.tensor([0.0, 0.5]))
        tensor([0.0000, 0.5493])
    """

    compiled = True
    ufunc = np.arctanh

    def scalar(self, s, input):
        return s.atanh(input)

    def grad(self, g, input):
        return g / conj(1 - input * input)


class Atan2(Analytic):
    """Angle of the point (``other``, ``input``), in (-pi, pi]. Shape: broadcast of both.

    Example:
        >>> torch.atan2(torch.tensor([1.0, -1.0]), torch.tensor([1.0, 0.0]))
        tensor([ 0.7854, -1.5708])
    """

    ufunc = np.arctan2

    def scalar(self, s, input, other):
        return s.atan2(input, other)

    def grad_input(self, g, input, other):
        return g * other * (input * input + other * other).reciprocal()

    def grad_other(self, g, input, other):
        return g * -input * (input * input + other * other).reciprocal()
