"""Discrete Fourier transforms: SciPy's FFT (in float32 four times as fast as NumPy's), gradients
ours. A transform's gradient is the transform of the other direction.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import beside
from rushlight.core.op import Op
from rushlight.core.tensor import Tensor
from rushlight.ops.create import zeros
from rushlight.ops.join import Cat


@functools.cache
def library() -> Any:
    """``scipy.fft``, loaded on first use."""
    import scipy.fft

    return scipy.fft


@functools.cache
def kernels() -> Any:
    """What ``scipy.fft`` calls after its checks, which take longer than a small transform; None
    where SciPy, to which they are private, does not have them.
    """
    try:
        from scipy.fft._pocketfft import pypocketfft
    except ImportError:
        return None
    return pypocketfft if hasattr(pypocketfft, "c2r") else None


def complex_transform(x: Any, dims: Any, inverse: bool) -> Any:
    """Complex transform without any scaling."""
    if x.size and kernels() is not None:
        return kernels().c2c(np.asarray(x), dims, not inverse, 0, None, 1)
    if len(dims) == 1:
        fft = library().ifft if inverse else library().fft
        out = fft(x, None, dims[0], "forward" if inverse else None)
    elif inverse:
        out = library().ifftn(x, axes=dims, norm="forward")
    else:
        out = library().fftn(x, axes=dims)
    return out.astype(x.dtype, copy=False)


def of_real(x: Any, dims: Any) -> Any:
    """The first frequencies of real x, without any scaling."""
    if x.size and kernels() is not None:
        return kernels().r2c(np.asarray(x), dims, True, 0, None, 1)
    one = len(dims) == 1
    out = library().rfft(x, None, dims[0]) if one else library().rfftn(x, axes=dims)
    return out.astype(dtypes.COMPLEX_OF[x.dtype], copy=False)


def to_real(x: Any, dims: Any, n: int) -> Any:
    """The inverse of ``of_real``, n being the size of the last of ``dims``."""
    if x.size and kernels() is not None:
        return kernels().c2r(np.asarray(x), dims, n, False, 0, None, 1)
    shape = [x.shape[d] for d in dims[:-1]] + [n]
    out = library().irfftn(x, shape, axes=dims, norm="forward")
    return out.astype(dtypes.REAL_OF[x.dtype], copy=False)


class FftC2c(Op):
    """Complex to complex over ``dims``, times ``scale``."""

    label = "FftC2C"

    def eager(self, xp, input, *, dims, inverse, scale):
        out = complex_transform(input, dims, inverse)
        return out if scale == 1 else out * input.dtype.type(scale)

    def grad(self, g, dims, inverse, scale):
        return FftC2c.bind(g, dims=dims, inverse=not inverse, scale=scale)


class FftR2c(Op):
    """Real to complex over ``dims``; the last keeps its first ``n // 2 + 1`` frequencies."""

    label = "FftR2C"

    def eager(self, xp, input, *, dims, scale):
        out = of_real(input, dims)
        return out if scale == 1 else out * out.dtype.type(scale)

    def grad(self, g, input_spec, dims, scale):
        full = zero_padded(g, dims[-1], input_spec[0][dims[-1]])
        return FftC2c.bind(full, dims=dims, inverse=True, scale=scale).real


def zero_padded(g: Tensor, dim: int, n: int) -> Tensor:
    """g with zeros behind it along ``dim``, up to size n."""
    shape = list(g._array.shape)
    shape[dim] = n - shape[dim]
    return Cat.bind(g, zeros(shape, g._array.dtype, g), dim=dim) if shape[dim] else g


class FftC2r(Op):
    """The inverse of ``FftR2c``, giving size ``n`` in the last of ``dims``; ``inverse`` False
    conjugates first (hfft).
    """

    label = "FftC2R"

    def eager(self, xp, input, *, dims, n, scale):
        out = to_real(input, dims, n)
        return out if scale == 1 else out * out.dtype.type(scale)

    def grad(self, g, input_spec, dims, n, scale):
        """Each inner frequency stands for two in the real signal."""
        out = FftR2c.bind(g, dims=dims, scale=scale)
        last, kept = dims[-1], input_spec[0][dims[-1]]
        weight = np.full(n // 2 + 1, 2.0, g._array.dtype)
        weight[0] = 1
        if n % 2 == 0:
            weight[-1] = 1
        shape = [1] * len(input_spec[0])
        shape[last] = -1
        out = out * beside(g, weight.reshape(shape))
        return out.narrow(last, 0, kept) if kept <= n // 2 + 1 else zero_padded(out, last, kept)
