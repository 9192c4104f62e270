"""Window functions: values, lengths, dtypes and what is refused."""

import numpy as np
import pytest
import torch

import rushlight as rl

TOP = {
    "hann_window": [{}],
    "hamming_window": [{}, {"alpha": 0.5}, {"alpha": 0.5, "beta": 0.4}],
    "blackman_window": [{}],
    "bartlett_window": [{}],
    "kaiser_window": [{}, {"beta": 5.0}, {"beta": 0.0}],
}
NAMES = {
    "bartlett": [{}],
    "blackman": [{}],
    "cosine": [{}],
    "exponential": [{}, {"tau": 3.0}, {"tau": 2.0, "center": 1.5, "sym": False}],
    "gaussian": [{}, {"std": 2.5}],
    "general_cosine": [{"a": [0.5, 0.3, 0.1]}],
    "general_hamming": [{}, {"alpha": 0.7}],
    "hamming": [{}],
    "hann": [{}],
    "kaiser": [{}, {"beta": 3.0}],
    "nuttall": [{}],
}


def close(a, b):
    assert str(a.dtype) == str(b.dtype) and a.requires_grad == b.requires_grad
    tolerance = 1e-12 if b.dtype == torch.float64 else 2e-6  # torch computes in float32
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), tolerance, tolerance)


@pytest.mark.parametrize("name", TOP)
def test_top_level(name):
    for options in TOP[name]:
        for n in (0, 1, 2, 3, 8, 31):
            for periodic in (True, False):
                for dtype in ("float32", "float64"):
                    made = [
                        getattr(t, name)(n, periodic, *options.values(), dtype=getattr(t, dtype))
                        for t in (rl, torch)
                        if "beta" in options or not options or name == "hamming_window"
                    ]
                    close(*made)


@pytest.mark.parametrize("name", NAMES)
def test_signal_windows(name):
    for options in NAMES[name]:
        for n in (0, 1, 2, 3, 8, 31):
            for sym in (True, False):
                for dtype in ("float32", "float64"):
                    close(
                        *[
                            getattr(t.signal.windows, name)(
                                n, **{"sym": sym, **options}, dtype=getattr(t, dtype)
                            )
                            for t in (rl, torch)
                        ]
                    )


REFUSED = [
    ("t.hann_window(-1)", RuntimeError),
    ("t.hann_window(4, dtype=t.int64)", RuntimeError),
    ("t.hann_window(4, dtype=t.complex64)", NotImplementedError),
    ("t.hann_window(4.5)", TypeError),
    ("t.hann_window(4, layout=t.sparse_coo)", RuntimeError),
    ("t.signal.windows.hann(-1)", ValueError),
    ("t.signal.windows.hann(4, dtype=t.float16)", ValueError),
    ("t.signal.windows.hann(4, dtype=t.int64)", ValueError),
    ("t.signal.windows.hann(4, layout=t.sparse_coo)", ValueError),
    ("t.signal.windows.hann(4.5)", TypeError),
    ("t.signal.windows.exponential(5, center=1.0)", ValueError),
    ("t.signal.windows.exponential(5, tau=0)", ValueError),
    ("t.signal.windows.gaussian(5, std=0)", ValueError),
    ("t.signal.windows.kaiser(5, beta=-1)", ValueError),
    ("t.signal.windows.general_cosine(5, a=[])", ValueError),
    ("t.signal.windows.general_cosine(5, a=3)", TypeError),
]


@pytest.mark.parametrize("source, kind", REFUSED)
def test_refused(source, kind):
    for t in (rl, torch):
        with pytest.raises(kind):
            eval(source, {"t": t})


def test_options():
    assert rl.hann_window(4, requires_grad=True).requires_grad
    assert rl.hann_window(4, dtype=rl.float16).dtype == rl.float16
    rl.set_default_dtype(rl.float64)
    assert rl.hann_window(4).dtype == rl.signal.windows.hann(4).dtype == rl.float64
    assert not [n for n in torch.signal.windows.__all__ if not hasattr(rl.signal.windows, n)]
