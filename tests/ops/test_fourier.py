"""Where results of Fourier transforms lie in memory, which random numbers that fill them follow."""

import numpy as np
import pytest
import torch

import rushlight

REAL = ("fft", "rfft", "ihfft")
COMPLEX = ("fft", "ifft", "irfft", "hfft")
BLOCKS = {"C order": (0, 1, 2), "transposed": (0, 2, 1), "reversed": (2, 1, 0)}


def made(lib, name, kind, order):
    values = np.random.default_rng(0).standard_normal((4, 6, 8)).astype(kind)
    x = lib.from_numpy(values).permute(order)
    return lambda **kwargs: getattr(lib.fft, name)(x, **kwargs)


def same(name, kind, order, **kwargs):
    want, got = (made(lib, name, kind, order)(**kwargs) for lib in (torch, rushlight))
    assert got.stride() == want.stride()
    np.testing.assert_allclose(got.resolve_conj().numpy(), want.resolve_conj().numpy(), 1e-4, 1e-5)


@pytest.mark.parametrize("order", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("dim", range(3))
@pytest.mark.parametrize(
    "name, kind", [(n, "float32") for n in REAL] + [(n, "complex64") for n in COMPLEX]
)
def test_one_dim(name, kind, dim, order):
    same(name, kind, order, dim=dim)


@pytest.mark.parametrize("order", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("dims", [(0, 1), (0, 2), (2, 1), (1, 2), (2, 0, 1)])
@pytest.mark.parametrize(
    "name, kind", [("rfftn", "float32"), ("fftn", "complex64"), ("irfftn", "complex64")]
)
def test_several_dims(name, kind, dims, order):
    same(name, kind, order, dim=dims)


def test_without_scipys_kernels(monkeypatch):
    monkeypatch.setattr("rushlight.ops.fourier.kernels", lambda: None)
    for name, kind in (("rfft", "float32"), ("ifft", "complex64"), ("irfft", "complex64")):
        same(name, kind, (0, 1, 2), dim=1)


@pytest.mark.parametrize("size", (8, 4096))
def test_dropout_of_mixed_tokens(size):
    def mixed(lib):
        lib.manual_seed(0)
        x = lib.ones(2, 6, size)
        y = lib.fft.fft(lib.fft.fft(x, dim=-1), dim=-2).real
        return lib.nn.functional.dropout(y + 1, 0.5).numpy()

    np.testing.assert_array_equal(mixed(rushlight) == 0, mixed(torch) == 0)
