"""Window functions under ``torch.signal.windows``' names: float32 or float64, symmetric unless
``sym`` is False.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from rushlight import devices, dtypes
from rushlight.core.tensor import Tensor
from rushlight.tensor_api._common import as_int, finish, numpy_dtype
from rushlight.tensor_api.windows import BLACKMAN, HAMMING, bessel, cosines, triangle

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]

_NUTTALL = (0.3635819, 0.4891775, 0.1365995, 0.0106411)


def _make(
    name: str,
    M: Any,
    sym: bool,
    shape: Callable[[int, float], Any],
    dtype: Any,
    layout: Any,
    device: Any,
    requires_grad: bool,
    lone: float = 1.0,
) -> Tensor:
    """The tensor of ``shape(points, span)``, the span reaching the last point when ``sym``; a
    window of one point is ``lone``.
    """
    M = int(M) if isinstance(M, bool) else as_int(M, "M")
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if layout is not None and str(layout) != "torch.strided":
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    d = numpy_dtype(dtype, dtypes.default.float)
    if d not in (dtypes.float32, dtypes.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtypes.of[d]}")
    values = np.full(M, lone) if M < 2 else shape(M, M - 1 if sym else M)
    return finish(np.asarray(values, d), requires_grad, devices.place(device))


def general_cosine(
    M: int,
    *,
    a: Iterable[float],
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A sum of cosines: ``a0 - a1 cos(t) + a2 cos(2 t) - ...``, t from 0 to 2 pi.

    Args:
        M: number of points, >= 0.
        a: weights, a list or tuple.
        sym: symmetric; False for windows that follow each other without a seam.

    Example:
        >>> from rushlight.signal import windows
        >>> windows.general_cosine(3, a=[0.5, 0.5])
        tensor([0., 1., 0.])
    """
    if not isinstance(a, (list, tuple)):
        raise TypeError("Coefficients must be a list/tuple")
    if not a:
        raise ValueError("Coefficients cannot be empty")
    return _make(
        "general_cosine",
        M,
        sym,
        lambda n, span: cosines(n, span, a),
        dtype,
        layout,
        device,
        requires_grad,
    )


def general_hamming(
    M: int,
    *,
    alpha: float = HAMMING[0],
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``alpha - (1 - alpha) cos(t)``, t from 0 to 2 pi.

    Example:
        >>> torch.signal.windows.general_hamming(5, alpha=0.5)
        tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return general_cosine(M, a=[alpha, 1.0 - alpha], sym=sym, **options)  # type: ignore[arg-type]


def hamming(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``0.54 - 0.46 cos(t)``, t from 0 to 2 pi.

    Example:
        >>> torch.signal.windows.hamming(5)
        tensor([0.0800, 0.5400, 1.0000, 0.5400, 0.0800])
    """
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return general_hamming(M, sym=sym, **options)  # type: ignore[arg-type]


def hann(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``1/2 - 1/2 cos(t)``, t from 0 to 2 pi.

    Example:
        >>> torch.signal.windows.hann(5)
        tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return general_hamming(M, alpha=0.5, sym=sym, **options)  # type: ignore[arg-type]


def blackman(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``0.42 - 0.5 cos(t) + 0.08 cos(2 t)``, t from 0 to 2 pi.

    Example:
        >>> torch.signal.windows.blackman(5)[1:4]
        tensor([0.3400, 1.0000, 0.3400])
    """
    return _make(
        "blackman",
        M,
        sym,
        lambda n, span: cosines(n, span, BLACKMAN),
        dtype,
        layout,
        device,
        requires_grad,
    )


def nuttall(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Four cosines that leak least to far frequencies.

    Example:
        >>> torch.signal.windows.nuttall(5)
        tensor([3.6280e-04, 2.2698e-01, 1.0000e+00, 2.2698e-01, 3.6280e-04])

    Reference: Nuttall, 1981, "Some Windows with Very Good Sidelobe Behavior".
    """
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return general_cosine(M, a=_NUTTALL, sym=sym, **options)  # type: ignore[arg-type]


def bartlett(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A triangle from 0 up to 1 and down to 0.

    Example:
        >>> torch.signal.windows.bartlett(5)
        tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return _make("bartlett", M, sym, triangle, dtype, layout, device, requires_grad)


def cosine(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Half a period of a sine, sampled in the middle of each of M steps.

    Example:
        >>> torch.signal.windows.cosine(5)
        tensor([0.3090, 0.8090, 1.0000, 0.8090, 0.3090])
    """

    def shape(n: int, span: float) -> Any:
        return np.sin(math.pi * (np.arange(n) + 0.5) / (span + 1))

    return _make("cosine", M, sym, shape, dtype, layout, device, requires_grad)


def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``exp(-|i - center| / tau)``.

    Args:
        M: number of points, >= 0.
        center: where it peaks; the middle by default, and always when ``sym``.
        tau: points in which it falls by e, > 0.
        sym: symmetric.

    Example:
        >>> torch.signal.windows.exponential(5, tau=2.0)
        tensor([0.3679, 0.6065, 1.0000, 0.6065, 0.3679])
    """
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")

    def shape(n: int, span: float) -> Any:
        return np.exp(-np.abs(np.arange(n) - (span / 2 if center is None else center)) / tau)

    lone = math.exp(-abs(center or 0) / tau)
    return _make("exponential", M, sym, shape, dtype, layout, device, requires_grad, lone)


def gaussian(
    M: int,
    *,
    std: float = 1.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``exp(-((i - middle) / std)^2 / 2)``.

    Args:
        M: number of points, >= 0.
        std: width, > 0.
        sym: symmetric.

    Example:
        >>> torch.signal.windows.gaussian(5, std=1.0)
        tensor([0.1353, 0.6065, 1.0000, 0.6065, 0.1353])
    """
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")

    def shape(n: int, span: float) -> Any:
        return np.exp(-(((np.arange(n) - span / 2) / std) ** 2) / 2)

    return _make("gaussian", M, sym, shape, dtype, layout, device, requires_grad)


def kaiser(
    M: int,
    *,
    beta: float = 12.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A Bessel function of adjustable width.

    Args:
        M: number of points, >= 0.
        beta: >= 0; larger is narrower.
        sym: symmetric.

    Example:
        >>> torch.signal.windows.kaiser(5, beta=8.0)
        tensor([0.0023, 0.3690, 1.0000, 0.3690, 0.0023])
    """
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    return _make(
        "kaiser",
        M,
        sym,
        lambda n, span: bessel(n, span, beta),
        dtype,
        layout,
        device,
        requires_grad,
    )
