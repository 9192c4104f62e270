"""``topk`` of equal elements takes PyTorch's, in its order, whichever code does it."""

import numpy as np
import pytest
import torch

import rushlight
from rushlight.core.native import without_kernels
from rushlight.ops import selection

SIZES = (1, 2, 3, 4, 7, 16, 17, 33, 64, 65, 130, 600, 2500)
DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8")


def ways(x, k, **options):
    """What is found by loops, by NumPy and by a program."""
    yield x.topk(k, **options)
    with without_kernels():
        yield x.topk(k, **options)
    yield rushlight.compile(lambda x: x.topk(k, **options))(x)


def same(x, k, **options):
    """All of them find what PyTorch does."""
    expected = torch.tensor(x.double().numpy()).to(getattr(torch, str(x.dtype).split(".")[1]))
    expected = expected.topk(k, **options)
    for values, indices in ways(x, k, **options):
        assert indices.tolist() == expected.indices.tolist()
        np.testing.assert_array_equal(values.double().numpy(), expected.values.double().numpy())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_equal_elements(n, dtype):
    r = np.random.default_rng(n)
    for kinds in (1, 3, 50):
        x = r.integers(0, kinds, (3, n)).astype(np.float32)
        if "float" in dtype and kinds == 3:
            x[r.random(x.shape) < 0.2] = np.nan
            x[x == 0] *= -1
        x = rushlight.tensor(x).to(getattr(rushlight, dtype))
        k = int(r.choice([1, n // 64 or 1, n // 7 or 1, n]))
        options = {"largest": bool(r.random() < 0.5), "sorted": bool(r.random() < 0.6)}
        same(x, k, **options)


@pytest.mark.parametrize("shape, dim", [((70, 3), 0), ((2, 90, 5), 1), ((4, 3, 40), -1), ((), 0)])
def test_dims(shape, dim):
    x = rushlight.tensor(np.random.default_rng(0).integers(0, 4, shape).astype(np.float32))
    for k in {1, x.shape[dim] // 2 if shape else 1}:
        same(x, k, dim=dim)


@pytest.mark.parametrize("n", [2000, 30_000])
def test_few_equal_elements_among_many(n):
    x = np.random.default_rng(1).standard_normal((4, n))
    x[1, n // 2] = x[1].max()
    x[2, 5] = np.sort(x[2])[-n // 5]
    x[3, 9] = np.nan
    for k in (1, n // 100, n // 5):
        same(rushlight.tensor(x), k)
        same(rushlight.tensor(x), k, largest=False)


class Slow(selection.Parts):
    """Makes up keys while it puts them in order, such that a partition takes off but two."""

    def __init__(self, n, first):
        super().__init__(np.full(n, n))
        self.made, self.n, self.least = np.full(n, n), n, 0
        if first:  # one that takes off the last ones, so that the search ends and the sort begins
            self.make(1, 2 * n), self.make(n // 2, 2 * n + 1), self.make(n - 1, 2 * n + 2)

    def make(self, i, key):
        if self.keys[i] == self.n:
            self.keys[i] = self.made[self.places[i]] = key

    def choose_pivot(self, start, stop):
        for i in (start + 1, start + (stop - start) // 2):
            self.make(i, self.least)
            self.least += 1
        super().choose_pivot(start, stop)


@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize("sorting", [False, True])
def test_partitions_that_get_nowhere(n, sorting, monkeypatch):
    """Then a heap does the rest, of the search or of the sort."""
    made = []
    keep_first = selection.keep_first

    def noted(pairs, count):
        made.append(count == len(pairs))
        keep_first(pairs, count)

    monkeypatch.setattr(selection, "keep_first", noted)
    k = n if sorting else n - n // 8
    slow = Slow(n, sorting)
    slow.first(k, True)
    assert sorting in made
    for keys in (slow.made, slow.made * n + np.arange(n)):
        x = rushlight.tensor(keys)
        same(x, k, largest=False)
        same(-x, k)


def test_nothing_is_left_out():
    x = rushlight.zeros(3, 0)
    assert x.topk(0).indices.shape == (3, 0)
    assert rushlight.zeros(0, 5).topk(2).values.shape == (0, 2)
