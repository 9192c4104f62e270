"""Short-time Fourier transforms."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import constant_on
from rushlight.core.tensor import Tensor, wrap
from rushlight.errors import warn_user
from rushlight.ops.fourier import FftC2c, FftC2r, FftR2c, of_frames
from rushlight.tensor_api._common import expect_tensor, method, unrecorded, warn_once
from rushlight.tensor_api.joining import cat
from rushlight.tensor_api.pieces import view_as_real

__all__ = ["istft", "stft"]

_PADDINGS = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}  # torch's, NumPy's


@method
def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """Spectra of overlapping windows of a signal.

    Args:
        input: signal, shape ``(samples,)`` or ``(batch, samples)``.
        n_fft: size of the transforms.
        hop_length: samples from one window to the next; ``n_fft // 4`` by default.
        win_length: size of the window, at most ``n_fft``, within which it is centred.
        window: weights, shape ``(win_length,)``; ones by default.
        center: pad both ends, so that window t is centred at sample ``t * hop_length``.
        pad_mode: "reflect", "constant" (zeros), "replicate" or "circular".
        normalized: divide by ``sqrt(n_fft)``.
        onesided: only the frequencies up to half, of which the others are conjugates; the default
            for real signals.
        return_complex: must be given for real signals; False gives real and imaginary parts in a
            last dim (deprecated).
        align_to_window: without ``center``, let the first window, not the first transform, begin at
            the first sample.

    Shape:
        ``(batch, frequencies, windows)``.

    Example:
        >>> import rushlight as torch
        >>> signal, window = torch.sin(torch.arange(64.0)), torch.hann_window(16)
        >>> torch.stft(signal, 16, window=window, return_complex=True).shape
        torch.Size([9, 17])
    """
    x = expect_tensor(input, "stft")
    hop = n_fft // 4 if hop_length is None else hop_length
    size = n_fft if win_length is None else win_length
    complex_window = window is not None and window._array.dtype in dtypes.COMPLEX_TYPES
    is_complex = x._array.dtype in dtypes.COMPLEX_TYPES or complex_window
    return_complex = _wants_complex(return_complex, is_complex)
    if align_to_window is not None and center:
        raise RuntimeError("stft align_to_window should only be set when center = false")
    _check_signal(x, window, size, n_fft, hop)
    batched = x.dim() == 2
    x = _padded(x if batched else x.unsqueeze(0), n_fft, size, center, pad_mode, align_to_window)
    if not 0 < n_fft <= x.size(-1):
        raise RuntimeError(f"stft: expected 0 < n_fft <= {x.size(-1)}, but got n_fft={n_fft}")
    onesided = not is_complex if onesided is None else onesided
    if onesided and is_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    _expect_window(window)
    frames = x.unfold(-1, n_fft, hop)  # (batch, windows, n_fft)
    arrays = None
    if window is not None or size < n_fft:
        factor = _full_window(window, size, n_fft, x)
        arrays = unrecorded(frames, factor) if onesided and not normalized else None
        frames = frames * factor if arrays is None else frames
    if arrays is None:
        spectrum = _transform(frames, onesided, n_fft**-0.5 if normalized else 1.0)
    else:
        spectrum = wrap(of_frames(*arrays))
    spectrum = spectrum.transpose(1, 2)
    spectrum = spectrum if batched else spectrum.squeeze(0)
    return spectrum if return_complex else view_as_real(spectrum)


def _wants_complex(return_complex: bool | None, is_complex: bool) -> bool:
    if return_complex is None:
        if not is_complex:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs; pass "
                "return_complex=True."
            )
        return True
    if not return_complex:
        warn_once(
            "stft with return_complex=False is deprecated; pass True, and view_as_real() the "
            "result where real numbers are needed."
        )
    return return_complex


def _check_signal(x: Tensor, window: Any, size: int, n_fft: int, hop: int) -> None:
    if x._array.dtype not in dtypes.DIFFERENTIABLE:
        raise RuntimeError(
            f"stft: expected a tensor of floating point or complex values, but got {x.dtype}"
        )
    if x.dim() not in (1, 2):
        raise RuntimeError(f"stft: expected a 1D or 2D tensor, but got shape {tuple(x.shape)}")
    if hop <= 0:
        raise RuntimeError(f"stft: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < size <= n_fft:
        raise RuntimeError(
            f"stft: expected 0 < n_fft and 0 < win_length <= n_fft, but got n_fft={n_fft}, "
            f"win_length={size}"
        )
    if window is not None and tuple(window.shape) != (size,):
        raise RuntimeError(
            f"stft: expected a 1D window tensor of size equal to win_length={size}, but got window "
            f"with size {tuple(window.shape)}"
        )


def _padded(
    x: Tensor, n_fft: int, size: int, center: bool, mode: str, align_to_window: bool | None
) -> Tensor:
    """The signal with what the transforms need beyond its ends."""
    if align_to_window:
        before = (n_fft - size) // 2
        return _zeros_around(x, before, n_fft - size - before)
    if not center:
        return x
    n = n_fft // 2
    if mode == "constant":
        return _zeros_around(x, n, n)
    if mode not in _PADDINGS:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if mode == "reflect" and n >= x.size(-1):
        raise RuntimeError(
            f"stft: Padding size should be less than the corresponding input dimension, but got "
            f"n_fft // 2 = {n} and {x.size(-1)} samples; pass pad_mode='constant'."
        )
    index = np.pad(np.arange(x.size(-1)), n, mode=_PADDINGS[mode])  # type: ignore[call-overload]
    return x.index_select(-1, constant_on(x, index))


def _zeros_around(x: Tensor, before: int, after: int) -> Tensor:
    return cat([x.new_zeros((x.size(0), before)), x, x.new_zeros((x.size(0), after))], -1)


def _expect_window(window: Tensor | None) -> None:
    if window is None:
        warn_once(
            "A window was not provided, so a rectangular one is taken, which leaks between the "
            "frequencies: pass window=torch.hann_window(win_length), the same to istft as to stft."
        )


def _full_window(window: Tensor | None, size: int, n_fft: int, like: Tensor) -> Tensor:
    """The window in the middle of ``n_fft`` points."""
    window = like.new_ones((size,)) if window is None else window
    before = (n_fft - size) // 2
    if size == n_fft:
        return window
    return _zeros_around(window.unsqueeze(0), before, n_fft - size - before).squeeze(0)


def _transform(frames: Tensor, onesided: bool, scale: float) -> Tensor:
    dims = (frames.dim() - 1,)
    if onesided:
        return FftR2c.bind(frames, dims=dims, scale=scale)  # type: ignore[no-any-return]
    frames = frames.to(dtypes.of[_complex_dtype(frames)])
    return FftC2c.bind(frames, dims=dims, inverse=False, scale=scale)  # type: ignore[no-any-return]


def _complex_dtype(x: Tensor) -> Any:
    d = x._array.dtype
    return d if d in dtypes.COMPLEX_TYPES else dtypes.COMPLEX_OF[d]


@method
def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signal with these spectra: the inverse of ``stft`` with the same arguments.

    Where windows overlap, the transforms are added and divided by the sum of the squared windows,
    which must nowhere vanish; of spectra that no signal has, this is the nearest signal.

    Args:
        input: spectra, ``(batch, frequencies, windows)`` or without the batch, complex.
        n_fft, hop_length, win_length, window, center, normalized, onesided: as given to ``stft``.
        length: samples of the signal; cut or padded with zeros.
        return_complex: give a complex signal.

    Example:
        >>> import rushlight as torch
        >>> signal, window = torch.sin(torch.arange(64.0)), torch.hann_window(16)
        >>> spectra = torch.stft(signal, 16, window=window, return_complex=True)
        >>> torch.allclose(torch.istft(spectra, 16, window=window), signal, atol=1e-6)
        True

    Reference: Griffin and Lim, 1984, "Signal Estimation from Modified Short-Time Fourier
    Transform".
    """
    x = expect_tensor(input, "istft")
    hop = n_fft // 4 if hop_length is None else hop_length
    size = n_fft if win_length is None else win_length
    _check_spectra(x, n_fft, hop, size, window, onesided, return_complex)
    _expect_window(window)
    batched = x.dim() == 3
    spectra = (x if batched else x.unsqueeze(0)).transpose(1, 2)
    frames = _frames(spectra, n_fft, n_fft**0.5 if normalized else 1.0, return_complex)
    weights = _full_window(window, size, n_fft, frames)
    signal = _overlapping(frames * weights, hop)
    envelope = _overlapping(weights.square().expand((1, frames.size(1), n_fft)), hop)
    signal, envelope = (_cut(t, n_fft, center, length) for t in (signal, envelope))
    if not bool((envelope.abs() > 1e-11).all()):
        raise RuntimeError(
            "istft: window overlap add min: 0: somewhere no window reaches the signal. Use the "
            "window, hop_length and center that stft had."
        )
    signal = _lengthened(signal / envelope, length)
    return signal if batched else signal.squeeze(0)


def _check_spectra(
    x: Tensor,
    n_fft: int,
    hop: int,
    size: int,
    window: Any,
    onesided: bool | None,
    return_complex: bool,
) -> None:
    """RuntimeError for what has no inverse."""
    if x._array.dtype not in dtypes.COMPLEX_TYPES:
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with "
            "return_complex=True."
        )
    if not x.numel():
        raise RuntimeError("istft: input tensor cannot be empty.")
    if x.dim() not in (2, 3):
        raise RuntimeError(
            "istft: expected a tensor with 2 or 3 dimensions (batch, frequencies, windows), but "
            f"got {x.dim()}"
        )
    n = x.size(-2)
    onesided = n != n_fft if onesided is None else onesided
    if n != (n_fft // 2 + 1 if onesided else n_fft):
        raise RuntimeError(
            f"istft: expected the frequency dimension of the input to be n_fft // 2 + 1 when "
            f"onesided, else n_fft, but got {n} with n_fft={n_fft}, onesided={onesided}"
        )
    if not 0 < hop <= size:
        raise RuntimeError(
            f"istft: expected 0 < hop_length <= win_length, but got {hop} and {size}"
        )
    if not 0 < size <= n_fft:
        raise RuntimeError(f"istft: expected 0 < win_length <= n_fft, but got {size} and {n_fft}")
    _check_window(window, size, onesided, return_complex)


def _check_window(window: Any, size: int, onesided: bool, return_complex: bool) -> None:
    if window is not None and tuple(window.shape) != (size,):
        raise RuntimeError(
            f"istft: Invalid window shape {tuple(window.shape)}. window has to be 1D and length of "
            f"`win_length`, {size}"
        )
    complex_window = window is not None and window._array.dtype in dtypes.COMPLEX_TYPES
    if complex_window and not return_complex:
        raise RuntimeError("Complex windows are incompatible with return_complex=False")
    if onesided and return_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")


def _frames(spectra: Tensor, n_fft: int, scale: float, return_complex: bool) -> Tensor:
    """The inverse transform of each spectrum; of a real signal's, the first half says it all."""
    dims, scale = (2,), scale / n_fft
    if return_complex:
        return FftC2c.bind(spectra, dims=dims, inverse=True, scale=scale)  # type: ignore[no-any-return]
    half = spectra[..., : n_fft // 2 + 1]
    return FftC2r.bind(half, dims=dims, n=n_fft, scale=scale)  # type: ignore[no-any-return]


def _overlapping(frames: Tensor, hop: int) -> Tensor:
    """Frames (batch, windows, n_fft) added up, each ``hop`` samples after the one before."""
    batch, windows, n = frames.shape
    at = np.arange(windows)[:, None] * hop + np.arange(n)
    flat = frames.reshape(batch, windows * n)
    out = frames.new_zeros((batch, (windows - 1) * hop + n))
    return out.index_add(1, constant_on(out, at.reshape(-1)), flat)


def _cut(x: Tensor, n_fft: int, center: bool, length: int | None) -> Tensor:
    """Without what ``center`` had padded, and no longer than ``length``."""
    start = n_fft // 2 if center else 0
    if length is not None:
        end = start + length
    else:
        end = x.size(-1) - start if center else x.size(-1)
    return x[..., start : min(end, x.size(-1))]


def _lengthened(x: Tensor, length: int | None) -> Tensor:
    if length is None or x.size(-1) >= length:
        return x
    warn_user(
        "The length of signal is shorter than the length parameter. Result is being padded with "
        "zeros in the tail; check center and hop_length."
    )
    return cat([x, x.new_zeros((x.size(0), length - x.size(-1)))], -1)
