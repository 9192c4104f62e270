"""Short-time Fourier transforms and their inverse: values, gradients, and what is refused."""

import numpy as np
import pytest
import torch

import rushlight as rl

X = np.sin(np.arange(2 * 41) ** 1.3).reshape(2, 41)
pytestmark = pytest.mark.filterwarnings("ignore:A window was not provided:UserWarning")


def close(a, b):
    assert str(a.dtype) == str(b.dtype) and tuple(a.shape) == tuple(b.shape)
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 1e-9, 1e-9)


def signal(t, is_complex, batched):
    x = X * (1 + 0.5j) if is_complex else X
    return t.tensor(x if batched else x[0], requires_grad=True)


def spectra(t, is_complex=False, batched=True, size=12, **options):
    x = signal(t, is_complex, batched)
    window = t.hann_window(size, dtype=t.float64)
    return x, t.stft(x, 12, win_length=size, window=window, return_complex=True, **options)


GRID = [
    {},
    {"hop_length": 5},
    {"size": 9},
    {"center": False},
    {"center": False, "size": 7, "align_to_window": True},
    {"center": False, "size": 7, "align_to_window": False},
    {"normalized": True},
    {"onesided": False},
    {"is_complex": True},
    {"batched": False},
    {"pad_mode": "constant"},
    {"pad_mode": "replicate"},
    {"pad_mode": "circular"},
]


@pytest.mark.parametrize("options", GRID, ids=str)
def test_forward_and_gradient(options):
    (x, s), (u, v) = spectra(rl, **options), spectra(torch, **options)
    close(s, v)
    w = np.cos(np.arange(v.numel())).reshape(tuple(v.shape))
    (s.abs() * rl.tensor(w)).sum().backward()
    (v.abs() * torch.tensor(w)).sum().backward()
    close(x.grad, u.grad)


@pytest.mark.parametrize("length", [None, 30, 50])
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("onesided", [None, False])
@pytest.mark.filterwarnings("ignore:The length of signal is shorter:UserWarning")
def test_inverse(length, normalized, onesided):
    results = []
    for t in (rl, torch):
        x, s = spectra(t, normalized=normalized, onesided=onesided)
        window = t.hann_window(12, dtype=t.float64)
        y = t.istft(s, 12, window=window, normalized=normalized, length=length)
        y.square().sum().backward()
        results.append((y, x.grad))
    close(results[0][0], results[1][0])
    close(results[0][1], results[1][1])
    n = min(length or 41, 39)
    np.testing.assert_allclose(results[0][0].detach().numpy()[:, :n], X[:, :n], 1e-9, 1e-9)


def test_other_windows_and_complex_signals():
    for t in (rl, torch):
        x, s = spectra(t, is_complex=True, size=8, hop_length=2)
        window = t.hann_window(8, dtype=t.float64)
        y = t.istft(
            s,
            12,
            hop_length=2,
            win_length=8,
            window=window,
            onesided=False,
            return_complex=True,
            length=41,
        )
        np.testing.assert_allclose(y.detach().numpy(), x.detach().numpy(), 1e-9, 1e-9)
    one = rl.tensor(X[0])
    window = rl.ones(12, dtype=rl.float64)
    method = one.stft(12, window=window, return_complex=True).istft(12, window=window, length=41)
    np.testing.assert_allclose(method.numpy(), X[0], 1e-9, 1e-9)


def test_spectra_that_no_real_signal_has():
    array = np.cos(np.arange(24.0)).reshape(12, 2) * (1 + 2j)
    close(*[t.istft(t.tensor(array), 12, window=t.ones(12, dtype=t.float64)) for t in (rl, torch)])


def test_without_a_window():
    results = [t.stft(t.tensor(X), 12, return_complex=True) for t in (rl, torch)]
    close(*results)
    close(*[t.istft(s, 12) for t, s in zip((rl, torch), results, strict=True)])


@pytest.mark.filterwarnings("ignore:.*return_complex=False:UserWarning")
def test_real_result():
    close(
        *[
            t.stft(t.tensor(X), 12, window=t.ones(12, dtype=t.float64), return_complex=False)
            for t in (rl, torch)
        ]
    )


REFUSED = [
    "t.stft(x, 8)",
    "t.stft(x, 8, window=t.ones(4), return_complex=True)",
    "t.stft(x, 8, win_length=9, return_complex=True)",
    "t.stft(x, 0, return_complex=True)",
    "t.stft(x, 30, center=False, return_complex=True)",
    "t.stft(x, 60, return_complex=True)",
    "t.stft(x, 8, hop_length=0, return_complex=True)",
    "t.stft(x.reshape(2, 2, 5), 8, return_complex=True)",
    "t.stft(x.long(), 8, return_complex=True)",
    "t.stft(x + 0j, 8, onesided=True)",
    "t.stft(x, 8, align_to_window=True, return_complex=True)",
    "t.stft(x, 8, pad_mode='foo', return_complex=True)",
    "t.istft(s.real, 8)",
    "t.istft(s, 10)",
    "t.istft(s, 8, window=t.zeros(8))",
    "t.istft(s, 8, hop_length=9)",
    "t.istft(s, 8, hop_length=0)",
    "t.istft(s, 8, win_length=10)",
    "t.istft(s, 8, onesided=False)",
    "t.istft(s, 8, return_complex=True)",
    "t.istft(s[None, None], 8)",
    "t.istft(s, 8, window=t.ones(7))",
    "t.istft(s, 8, window=t.ones(8) + 0j)",
    "t.istft(s[:, :0], 8)",
    "t.istft(s, 8, window=t.hann_window(8), center=False)",
]


@pytest.mark.parametrize("source", REFUSED)
def test_refused(source):
    for t in (rl, torch):
        x = t.arange(20.0)
        s = t.stft(x, 8, window=t.hann_window(8), return_complex=True)
        with pytest.raises(RuntimeError):  # NotImplementedError is one
            eval(source, {"t": t, "x": x, "s": s})
