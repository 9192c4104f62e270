"""``torch.fft``: discrete Fourier transforms.

``norm``: "backward" (the default) scales the inverse by 1/n, "forward" the forward transform,
"ortho" both by 1/sqrt(n).
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.device_array import beside
from rushlight.core.tensor import Tensor, no_tensor, wrap
from rushlight.devices import place
from rushlight.ops.fourier import FftC2c, FftC2r, FftR2c, all_of_real
from rushlight.ops.shaping import Roll
from rushlight.tensor_api import cat
from rushlight.tensor_api._common import (
    as_int,
    as_number,
    finish,
    numpy_dtype,
    store_out,
    stored,
    unrecorded,
    wrap_dim,
)
from rushlight.tensor_api.casting import in_float32
from rushlight.tensor_api.numpy_names import with_axis

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "hfft2",
    "hfftn",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "ihfft2",
    "ihfftn",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]


def _complex(x: Tensor) -> Tensor:
    try:
        d = x._array.dtype
    except AttributeError:
        raise no_tensor("fft", x) from None
    if d in dtypes.COMPLEX_TYPES:
        return x
    return x.to(dtypes.of[dtypes.COMPLEX_OF[dtypes.to_float(d)]])


def _real(x: Tensor, name: str) -> Tensor:
    if not isinstance(x, Tensor):
        raise no_tensor(name, x)
    if x._array.dtype in dtypes.COMPLEX_TYPES:
        raise RuntimeError(
            f"{name} expects a real input tensor, but got {x.dtype}; use fft for complex input."
        )
    if x._array.dtype in dtypes.FLOATS:
        return x
    return x.to(dtypes.of[dtypes.to_float(x._array.dtype)])


def _resized(x: Tensor, dim: int, n: int) -> Tensor:
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    have = x._array.shape[dim]
    if have >= n:
        return x if have == n else x.narrow(dim, 0, n)
    shape = list(x._array.shape)
    shape[dim] = n - have
    return cat([x, x.new_zeros(shape)], dim)


def _scale(norm: str | None, n: int, inverse: bool) -> float:
    if norm is not None and not isinstance(norm, str):
        raise TypeError(f"argument 'norm' must be str, not {type(norm).__name__}")
    if norm not in (None, "backward", "forward", "ortho"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    if norm == "ortho":
        return 1 / math.sqrt(n)
    return 1 / n if (norm == "forward") != inverse else 1.0


def _dims(x: Tensor, s: Any, dim: Any) -> tuple[list[int], list[int]]:
    """Dims to transform and their sizes."""
    if isinstance(s, int):
        s = (s,)
    if dim is not None and not x._array.ndim:
        raise IndexError("a Fourier transform goes along a dimension, but the tensor has none")
    if s is None and dim.__class__ is int:
        d = wrap_dim(dim, x._array.ndim)
        return [d], [x._array.shape[d]]
    if dim is None:
        dims = list(range(x.ndim)) if s is None else list(range(x.ndim - len(s), x.ndim))
    else:
        dims = [wrap_dim(d, x.ndim) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))]
    if len(set(dims)) != len(dims):
        raise RuntimeError("FFT dims must be unique")
    if s is not None and len(s) > x.ndim:
        raise RuntimeError(
            f"Got shape with {len(s)} values but input tensor only has {x.ndim} dimensions."
        )
    if s is not None and dim is not None and len(s) != len(dims):
        raise RuntimeError("When given, dim and shape arguments must have the same length")
    shape = x._array.shape
    return dims, [shape[d] if s is None or s[i] == -1 else s[i] for i, d in enumerate(dims)]


@in_float32
def _c2c(x: Tensor, s: Any, dim: Any, norm: Any, inverse: bool, out: Any) -> Tensor:
    if s is None and norm is None and dim.__class__ is int and not inverse:
        arrays = unrecorded(x) if isinstance(x, Tensor) else None
        if arrays is not None and arrays[0].size and arrays[0].ndim:
            return stored(wrap(all_of_real(arrays[0], wrap_dim(dim, arrays[0].ndim))), out)
    x = _complex(x)
    dims, sizes = _dims(x, s, dim)
    for d, n in zip(dims, sizes, strict=True):
        x = _resized(x, d, n)
    if not dims:
        return x if out is None else store_out(out, x)
    result = FftC2c.bind(
        x, dims=tuple(dims), inverse=inverse, scale=_scale(norm, math.prod(sizes), inverse)
    )
    return result if out is None else store_out(out, result)


@in_float32
def _r2c(
    x: Tensor, s: Any, dim: Any, norm: Any, out: Any, conjugate: bool = False, name: str = "rfft"
) -> Tensor:
    x = _real(x, name)
    dims, sizes = _dims(x, s, dim)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    for d, n in zip(dims, sizes, strict=True):
        x = _resized(x, d, n)
    result = FftR2c.bind(x, dims=tuple(dims), scale=_scale(norm, math.prod(sizes), conjugate))
    if conjugate:
        node = "ConjBackward0" if len(dims) == 1 else "FftC2CBackward0"
        result = known_as(node, result.conj())
    return result if out is None else store_out(out, result)


@in_float32
def _c2r(
    x: Tensor, s: Any, dim: Any, norm: Any, out: Any, conjugate: bool = False, name: str = "irfft"
) -> Tensor:
    x = _complex(x)
    s = (s,) if isinstance(s, int) else s
    dims, sizes = _dims(x, s, dim)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    last = sizes[-1] if s is not None and s[-1] != -1 else 2 * (sizes[-1] - 1)
    if last < 1:
        raise RuntimeError(f"Invalid number of data points ({last}) specified")
    for d, n in zip(dims, [*sizes[:-1], last // 2 + 1], strict=True):
        x = _resized(x, d, n)
    scale = _scale(norm, math.prod(sizes[:-1]) * last, not conjugate)
    result = FftC2r.bind(x.conj() if conjugate else x, dims=tuple(dims), n=last, scale=scale)
    return result if out is None else store_out(out, result)


def _one(n: Any) -> Any:
    if isinstance(n, int) and n < 1:  # in s, of several dims, -1 keeps a size
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return None if n is None else (n,)


def fft(
    input: Tensor,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Discrete Fourier transform of ``dim``, cut or zero-padded to ``n``.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.fft(torch.tensor([1.0, 0.0, 0.0, 0.0])).real
        tensor([1., 1., 1., 1.])
    """
    result = _c2c(input, _one(n), dim, norm, False, out)
    return result if input.is_complex() else known_as("FftR2CBackward0", result)


def ifft(
    input: Tensor,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Inverse of ``fft``.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.ifft(torch.ones(4)).real
        tensor([1., 0., 0., 0.])
    """
    result = _c2c(input, _one(n), dim, norm, True, out)
    return result if input.is_complex() else known_as("ConjBackward0", result)


def fft2(
    input: Tensor,
    s: Any = None,
    dim: Any = (-2, -1),
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """``fft`` over two dims.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.fft2(torch.ones(2, 2)).real
        tensor([[4., 0.],
                [0., 0.]])
    """
    return _c2c(input, s, dim, norm, False, out)


def ifft2(
    input: Tensor,
    s: Any = None,
    dim: Any = (-2, -1),
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Inverse of ``fft2``.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.ifft2(torch.ones(2, 2)).real
        tensor([[1., 0.],
                [0., 0.]])
    """
    return _c2c(input, s, dim, norm, True, out)


def fftn(
    input: Tensor,
    s: Any = None,
    dim: Any = None,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """``fft`` over several dims (all by default).

    Example:
        >>> import rushlight as torch
        >>> torch.fft.fftn(torch.ones(2, 2, 2)).shape
        torch.Size([2, 2, 2])
    """
    return _c2c(input, s, dim, norm, False, out)


def ifftn(
    input: Tensor,
    s: Any = None,
    dim: Any = None,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Inverse of ``fftn``.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.ifftn(torch.ones(2, 2)).real
        tensor([[1., 0.],
                [0., 0.]])
    """
    return _c2c(input, s, dim, norm, True, out)


def rfft(
    input: Tensor,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """``fft`` of a real signal: the first ``n // 2 + 1`` frequencies, which fix the others.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.rfft(torch.ones(6)).real
        tensor([6., 0., 0., 0.])
    """
    return _r2c(input, _one(n), dim, norm, out)


def irfft(
    input: Tensor,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Inverse of ``rfft``; ``n`` is the real signal's size, ``2 * (size - 1)`` by default.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.irfft(torch.tensor([4.0, 0.0, 0.0]), n=4)
        tensor([1., 1., 1., 1.])
    """
    return _c2r(input, _one(n), dim, norm, out)


def rfft2(
    input: Tensor,
    s: Any = None,
    dim: Any = (-2, -1),
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """``rfft`` over two dims.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.rfft2(torch.ones(4, 6)).shape
        torch.Size([4, 4])
    """
    return _r2c(input, s, dim, norm, out)


def irfft2(
    input: Tensor,
    s: Any = None,
    dim: Any = (-2, -1),
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Inverse of ``rfft2``.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.irfft2(torch.fft.rfft2(torch.ones(2, 4))).shape
        torch.Size([2, 4])
    """
    return _c2r(input, s, dim, norm, out)


def rfftn(
    input: Tensor,
    s: Any = None,
    dim: Any = None,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """``rfft`` over several dims (all by default).

    Example:
        >>> import rushlight as torch
        >>> torch.fft.rfftn(torch.ones(2, 4, 6)).shape
        torch.Size([2, 4, 4])
    """
    return _r2c(input, s, dim, norm, out)


def irfftn(
    input: Tensor,
    s: Any = None,
    dim: Any = None,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Inverse of ``rfftn``.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.irfftn(torch.fft.rfftn(torch.ones(2, 4))).shape
        torch.Size([2, 4])
    """
    return _c2r(input, s, dim, norm, out)


def hfft(
    input: Tensor,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """``fft`` of a Hermitian signal given by its first half: a real spectrum.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.hfft(torch.tensor([1.0, 0.0, 0.0]), n=4)
        tensor([1., 1., 1., 1.])
    """
    return _c2r(input, _one(n), dim, norm, out, True, "hfft")


def ihfft(
    input: Tensor,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Inverse of ``hfft``.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.ihfft(torch.ones(4)).real
        tensor([1., 0., 0.])
    """
    return _r2c(input, _one(n), dim, norm, out, True, "ihfft")


def hfftn(
    input: Tensor,
    s: Any = None,
    dim: Any = None,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """``hfft`` over several dims: complex over all but the last.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.hfftn(torch.ones(2, 4, 3)).shape
        torch.Size([2, 4, 4])
    """
    return _c2r(input, s, dim, norm, out, True, "hfftn")


def ihfftn(
    input: Tensor,
    s: Any = None,
    dim: Any = None,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Inverse of ``hfftn``.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.ihfftn(torch.ones(2, 4, 6)).shape
        torch.Size([2, 4, 4])
    """
    return _r2c(input, s, dim, norm, out, True, "ihfftn")


def hfft2(
    input: Tensor,
    s: Any = None,
    dim: Any = (-2, -1),
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """``hfft`` over two dims.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.hfft2(torch.ones(4, 3)).shape
        torch.Size([4, 4])
    """
    return hfftn(input, s, dim, norm, out=out)


def ihfft2(
    input: Tensor,
    s: Any = None,
    dim: Any = (-2, -1),
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Inverse of ``hfft2``.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.ihfft2(torch.ones(4, 6)).shape
        torch.Size([4, 4])
    """
    return ihfftn(input, s, dim, norm, out=out)


def fftfreq(
    n: int,
    d: float = 1.0,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The frequencies of ``fft``'s bins, in cycles per unit of the sample spacing ``d``.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.fftfreq(4)
        tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    a = np.fft.fftfreq(as_int(n, "n"), as_number(d)).astype(
        numpy_dtype(dtype, dtypes.default.float)
    )
    return (
        finish(a, requires_grad, place(device)) if out is None else store_out(out, beside(out, a))
    )


def rfftfreq(
    n: int,
    d: float = 1.0,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The frequencies of ``rfft``'s bins.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.rfftfreq(4, d=0.5)
        tensor([0.0000, 0.5000, 1.0000])
    """
    a = np.fft.rfftfreq(as_int(n, "n"), as_number(d)).astype(
        numpy_dtype(dtype, dtypes.default.float)
    )
    return (
        finish(a, requires_grad, place(device)) if out is None else store_out(out, beside(out, a))
    )


def _shift(x: Tensor, dim: Any, sign: int) -> Tensor:
    shape = x._array.shape
    n = len(shape)
    if dim is None:
        dims = (*range(n),)
    else:
        given = dim if isinstance(dim, (tuple, list)) else (dim,)
        dims = tuple([wrap_dim(d, n) for d in given])
    return Roll.bind(x, shifts=_halves(shape, dims, sign < 0), dims=dims)


@functools.lru_cache(maxsize=256)
def _halves(shape: tuple[int, ...], dims: tuple[int, ...], up: bool) -> tuple[int, ...]:
    """Half the sizes of dims, rounded."""
    return tuple([(shape[d] + up) // 2 for d in dims])


def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """Frequencies reordered so that zero is in the middle.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.fftshift(torch.tensor([0, 1, 2, -2, -1]))
        tensor([-2, -1,  0,  1,  2])
    """
    return _shift(input, dim, 1)


def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """Inverse of ``fftshift``.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.ifftshift(torch.tensor([-2, -1, 0, 1, 2]))
        tensor([ 0,  1,  2, -2, -1])
    """
    return _shift(input, dim, -1)


for _name in """
    fft ifft fft2 ifft2 fftn ifftn rfft irfft rfft2 irfft2 rfftn irfftn hfft ihfft hfft2 ihfft2
    hfftn ihfftn fftshift ifftshift
""".split():  # noqa: SIM905
    globals()[_name] = with_axis(globals()[_name])
