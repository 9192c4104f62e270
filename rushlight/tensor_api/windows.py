"""Window functions: weights that fade out towards the ends of a signal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.native import kernels
from rushlight.core.scalar import NUMPY
from rushlight.core.tensor import Tensor
from rushlight.ops.trigonometry import Cos
from rushlight.tensor_api._common import as_int, as_number, check_factory, finish, numpy_dtype

__all__ = [
    "bartlett_window",
    "blackman_window",
    "hamming_window",
    "hann_window",
    "kaiser_window",
]

PIECE = 1 << 14  # points that are computed at a time, so that they stay in the cache
MANY = 256  # cosines for which a kernel takes less time than NumPy
HAMMING, BLACKMAN = (0.54, 0.46), (0.42, 0.5, 0.08)


def cosine(x: np.ndarray[Any, Any]) -> Any:
    """The cosine of each element; many are left to a kernel."""
    out = kernels.find(Cos.instance, (x,), {}) if kernels.on and x.size >= MANY else None
    return np.cos(x) if out is None else out


def cosines(n: int, span: float, weights: Sequence[float]) -> np.ndarray[Any, Any]:
    """``a0 - a1 cos(t) + a2 cos(2 t) - ...`` with t from 0 to 2 pi in ``span`` steps; n points."""
    last, out = int(span), np.empty(n)
    half = last // 2 + 1
    for start in range(0, half, PIECE):
        stop = min(start + PIECE, half)
        x = cosine(np.arange(start, stop) * (2 * math.pi / span))
        total = np.full(len(x), float(weights[0]))
        before, now = np.ones(len(x)), x  # cosines of multiples, by Chebyshev's recurrence
        for i, a in enumerate(weights[1:], 1):
            total += (-1) ** i * a * now
            before, now = now, 2 * x * now - before
        out[start:stop] = total
    out[half:] = out[last - n + 1 : last - half + 1][::-1]  # the second half mirrors the first
    return out


def triangle(n: int, span: float) -> np.ndarray[Any, Any]:
    """From 0 up to 1 at half of ``span``, and down again."""
    return 1 - np.abs(2 * np.arange(n) / span - 1)


def bessel(n: int, span: float, beta: float) -> np.ndarray[Any, Any]:
    """``I0(beta sqrt(1 - u^2)) / I0(beta)`` with u from -1 to 1 in ``span`` steps."""
    u = 2 * np.arange(n) / span - 1
    root = np.sqrt(np.maximum(1 - u * u, 0))
    return NUMPY.i0e(beta * root) / NUMPY.i0e(beta) * np.exp(beta * (root - 1))


def _window(name: str, length: Any, periodic: bool, shape: Any, options: dict[str, Any]) -> Tensor:
    """The tensor for ``shape(n, span)``, which is not asked for windows of 0 or 1 points."""
    place = check_factory(options["device"])
    n = as_int(length, "window_length")
    if options["layout"] is not None and str(options["layout"]) != "torch.strided":
        raise RuntimeError(f"{name} is not implemented for sparse types, got: {options['layout']}")
    d = numpy_dtype(options["dtype"], dtypes.default.float)
    if d not in dtypes.FLOATING_TYPES:
        kind = NotImplementedError if d in dtypes.COMPLEX_TYPES else RuntimeError
        raise kind(f"{name} expects floating point dtypes, got: {dtypes.of[d].name}")
    if n < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got window_length={n}")
    values = np.ones(n) if n < 2 else shape(n, n if periodic else n - 1)
    return finish(values.astype(d), options["requires_grad"], place)


def _options(dtype: Any, layout: Any, device: Any, requires_grad: bool) -> dict[str, Any]:
    return {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}


def hann_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A raised cosine: ``1/2 - 1/2 cos(2 pi i / span)``.

    Args:
        window_length: number of points, >= 0.
        periodic: the span is the length, so that windows follow each other without a seam;
            otherwise the length less one, and the window symmetric.

    Example:
        >>> import rushlight as torch
        >>> torch.hann_window(4)
        tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    options = _options(dtype, layout, device, requires_grad)
    return _window(
        "hann_window", window_length, periodic, lambda n, s: cosines(n, s, (0.5, 0.5)), options
    )


def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = HAMMING[0],
    beta: float = HAMMING[1],
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A cosine on a pedestal: ``alpha - beta cos(2 pi i / span)``; ``periodic`` as in
    ``hann_window``.

    Example:
        >>> import rushlight as torch
        >>> torch.hamming_window(4)
        tensor([0.0800, 0.5400, 1.0000, 0.5400])
    """
    options = _options(dtype, layout, device, requires_grad)
    return _window(
        "hamming_window",
        window_length,
        periodic,
        lambda n, s: cosines(n, s, (alpha, beta)),
        options,
    )


def blackman_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """Two cosines: ``0.42 - 0.5 cos(t) + 0.08 cos(2 t)``, ``t = 2 pi i / span``; ``periodic`` as in
    ``hann_window``.

    Example:
        >>> import rushlight as torch
        >>> torch.blackman_window(4)[1:]
        tensor([0.3400, 1.0000, 0.3400])
    """
    options = _options(dtype, layout, device, requires_grad)
    return _window(
        "blackman_window", window_length, periodic, lambda n, s: cosines(n, s, BLACKMAN), options
    )


def bartlett_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A triangle; ``periodic`` as in ``hann_window``.

    Example:
        >>> import rushlight as torch
        >>> torch.bartlett_window(4)
        tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    options = _options(dtype, layout, device, requires_grad)
    return _window("bartlett_window", window_length, periodic, triangle, options)


def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A Bessel function of adjustable width; ``periodic`` as in ``hann_window``.

    Args:
        window_length: number of points, >= 0.
        periodic: see ``hann_window``.
        beta: >= 0; larger is narrower, and leaks less to far frequencies.
    """
    options, width = _options(dtype, layout, device, requires_grad), float(as_number(beta))
    return _window(
        "kaiser_window", window_length, periodic, lambda n, s: bessel(n, s, width), options
    )
