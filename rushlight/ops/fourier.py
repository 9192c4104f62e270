"""Discrete Fourier transforms: SciPy's FFT (in float32 four times as fast as NumPy's), gradients
ours. A transform's gradient is the transform of the other direction.

Note [Transformed dims lie innermost]
As in PyTorch, results have the transformed dims innermost and the others in the order in which they
lie in the input. Who fills memory in order, as dropout does with random numbers, sees it.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import constant_on
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


def room(x: Any, inner: Any, dtype: Any, last: int | None = None, n: int = 0) -> Any:
    """Memory for a result of x whose dims ``inner`` lie innermost, and behind them ``last``, of
    size n; None for the last dim of arrays in C order. See Note [Transformed dims lie innermost].
    """
    ndim = x.ndim
    at_end = tuple(inner) if last is None else (*inner, last)
    if at_end == (ndim - 1,) and x.flags.c_contiguous:
        return None
    shape = x.shape if last is None else (*x.shape[:last], n, *x.shape[last + 1 :])
    rest = [d for d in range(ndim) if d not in at_end]
    order = [*by_strides(rest, x), *by_strides(inner, x), *at_end[len(inner) :]]
    memory = np.empty([shape[d] for d in order], dtype)
    return memory.transpose([order.index(d) for d in range(ndim)])


def by_strides(dims: Any, x: Any) -> Any:
    """Dims in the order in which they lie in x; those of size 1 first, since it says nothing."""
    if len(dims) < 2:
        return dims
    return sorted(dims, key=lambda d: -x.strides[d] if x.shape[d] > 1 else -math.inf)


def placed(result: Any, memory: Any) -> Any:
    """A result where there is room for it, if there is."""
    if memory is None:
        return result
    memory[...] = result
    return memory


def complex_transform(x: Any, dims: Any, inverse: bool) -> Any:
    """Complex transform without any scaling."""
    memory = room(x, dims, x.dtype)
    if x.size and kernels() is not None:
        return kernels().c2c(np.asarray(x), dims, not inverse, 0, memory, 1)
    if len(dims) == 1:
        fft = library().ifft if inverse else library().fft
        out = fft(x, None, dims[0], "forward" if inverse else None)
    elif inverse:
        out = library().ifftn(x, axes=dims, norm="forward")
    else:
        out = library().fftn(x, axes=dims)
    return placed(out.astype(x.dtype, copy=False), memory)


SHORT = 16  # sizes up to which a product with the waves takes half of a fast transform's time,
MANY = 1 << 14  # of so many elements


@functools.lru_cache(maxsize=16)
def waves(n: int, d: Any) -> Any:
    """The first frequencies of n points as columns, real and imaginary parts by turns."""
    turns = np.outer(np.arange(n), np.arange(n // 2 + 1)) % n / n * (2 * np.pi)
    both = np.stack([np.cos(turns), -np.sin(turns)], -1).reshape(n, -1)
    both[np.abs(both) < 1e-15] = 0  # at quarters of a turn
    return both.astype(d)


def of_real(x: Any, dims: Any) -> Any:
    """The first frequencies of real x, without any scaling."""
    n = x.shape[dims[-1]]
    if x.size >= MANY and 1 < n <= SHORT and dims == (x.ndim - 1,):
        out = x.reshape(-1, n).dot(waves(n, x.dtype)).view(dtypes.COMPLEX_OF[x.dtype])
        return out.reshape(*x.shape[:-1], n // 2 + 1)
    d = dtypes.COMPLEX_OF[x.dtype]
    memory = room(x, dims[:-1], d, dims[-1], n // 2 + 1)
    if x.size and kernels() is not None:
        return kernels().r2c(np.asarray(x), dims, True, 0, memory, 1)
    one = len(dims) == 1
    out = library().rfft(x, None, dims[0]) if one else library().rfftn(x, axes=dims)
    return placed(out.astype(d, copy=False), memory)


def all_of_real(x: Any, dim: int) -> Any:
    """All frequencies of real x: half of them are the conjugates of others."""
    n, d = x.shape[dim], dtypes.COMPLEX_OF[x.dtype]
    if x.size < MANY:
        return complex_transform(x.astype(d), (dim,), False)
    out = room(x, (dim,), d)
    out = np.empty(x.shape, d) if out is None else out
    before, k = (slice(None),) * dim, n // 2 + 1
    out[*before, :k] = of_real(x, (dim,))
    np.conj(out[*before, (n - 1) // 2 : 0 : -1], out[*before, k:])
    return out


def of_frames(x: Any, window: Any) -> Any:
    """``of_real(x * window)`` along the last dim."""
    n = x.shape[-1]
    if x.size < MANY or not 1 < n <= SHORT:
        return of_real(x * window, (x.ndim - 1,))
    out = x.reshape(-1, n).dot(window[:, None] * waves(n, x.dtype))
    return out.view(dtypes.COMPLEX_OF[x.dtype]).reshape(*x.shape[:-1], n // 2 + 1)


def to_real(x: Any, dims: Any, n: int) -> Any:
    """The inverse of ``of_real``, n being the size of the last of ``dims``."""
    d = dtypes.REAL_OF[x.dtype]
    memory = room(x, dims[:-1], d, dims[-1], n)
    if x.size and kernels() is not None:
        return kernels().c2r(np.asarray(x), dims, n, False, 0, memory, 1)
    shape = [x.shape[d] for d in dims[:-1]] + [n]
    out = library().irfftn(x, shape, axes=dims, norm="forward")
    return placed(out.astype(d, copy=False), memory)


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
        out = out * constant_on(g, weight.reshape(shape))
        return out.narrow(last, 0, kept) if kept <= n // 2 + 1 else zero_padded(out, last, kept)
