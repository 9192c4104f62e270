"""Large arrays of tests, and how they are compared."""

import numpy as np
import torch

import rushlight

SHAPES = [
    (5000,),
    (100_000,),
    (70, 80),
    (3000, 3),
    (3, 3000),
    (2, 130, 40),
    (4, 5, 6, 70),
    (1031, 7),
]


def numbers(shape, dtype="float32", seed=0):
    r = np.random.default_rng(seed)
    x = r.standard_normal(shape)
    return (x + 1j * r.standard_normal(shape) if "complex" in dtype else x).astype(dtype)


def dims_of(shape):
    n = len(shape)
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    return [None, *[(i,) for i in range(n)], *pairs]


def worst(got, exact):
    """The largest error, in units of the largest value."""
    return float(np.abs(got.numpy().astype(exact.dtype) - exact).max() / np.abs(exact).max())


def pair(*arrays):
    return [rushlight.from_numpy(a) for a in arrays], [torch.from_numpy(a) for a in arrays]
