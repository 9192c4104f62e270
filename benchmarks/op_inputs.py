"""The inputs of `benchmarks/ops.py`: arrays of about n elements, by name."""

import numpy as np


def normal(*shape_of):
    """A maker of normal numbers whose shape is a function of n."""
    return lambda rng, n: rng.standard_normal(shape_of[0](n)).astype(np.float32)


def flat(n):
    return (n,)


def side(n):
    return max(1, round(n**0.5))


def square(n):
    return side(n), side(n)


def rows(n):
    """Rows of a layer's features."""
    width = min(512, max(4, side(n)))
    return max(1, n // width), width


def channels(n):
    return 1 if n < 100 else 4 if n < 10_000 else 16 if n < 1_000_000 else 64


def image(n):
    batch = 1 if n < 10_000 else 4 if n < 1_000_000 else 16
    edge = max(3, round((n / batch / channels(n)) ** 0.5))
    return batch, channels(n), edge, edge


def sequence(n):
    batch, c, h, w = image(n)
    return batch, c, h * w


def volume(n):
    c = min(16, channels(n))
    edge = max(3, round((n / c) ** (1 / 3)))
    return 1, c, edge, edge, edge


def heads(n):
    """(batch, heads, length, features)"""
    length = max(2, min(512, n // 16 if n < 4096 else round(n**0.4)))
    width = 4 if n < 10_000 else 32
    return max(1, n // (4 * length * width)), 4 if n >= 1000 else 1, length, width


def batches(n):
    """Many small matrices."""
    edge = 3 if n < 1000 else 10
    return max(1, n // edge**2), edge, edge


def weight(size, group=1):
    """A kernel for an image of n elements: as many channels out as in."""
    return lambda n: (channels(n), channels(n) // group, *size)


def positive_definite(rng, n):
    a = rng.standard_normal(batches(n)).astype(np.float32)
    return a @ a.transpose(0, 2, 1) + a.shape[-1] * np.eye(a.shape[-1], dtype=np.float32)


def index(high, shape):
    return lambda rng, n: rng.integers(0, high(n), shape(n))


def distinct(rng, n):
    return rng.permutation(n).astype(np.float32)


def points(n):
    """Points whose distances are taken: few, as there are as many distances as pairs."""
    return max(2, side(n)), 16


def grid(rng, n):
    batch, _, edge, _ = image(n)
    return rng.uniform(-1.1, 1.1, (batch, edge, edge, 2)).astype(np.float32)


INPUTS = {
    "a": normal(flat), "b": normal(flat), "c": normal(flat),
    "p": lambda rng, n: rng.uniform(0.1, 2, n).astype(np.float32),
    "unit": lambda rng, n: rng.uniform(0.01, 0.99, n).astype(np.float32),
    "unit2": lambda rng, n: rng.uniform(0.01, 0.99, n).astype(np.float32),
    "near1": lambda rng, n: rng.uniform(0.999, 1.001, n).astype(np.float32),
    "d": lambda rng, n: rng.standard_normal(n),
    "h": lambda rng, n: rng.standard_normal(n).astype(np.float16),
    "z": lambda rng, n: (rng.standard_normal(n) + 1j * rng.standard_normal(n)).astype(np.complex64),
    "shuffled": distinct,
    "mixed": lambda rng, n: rng.permutation(side(n) ** 2).astype(np.float32).reshape(square(n)),
    "k": index(lambda n: 1000, flat), "j": index(lambda n: 1000, flat),
    "big": index(lambda n: 2**60, flat),
    "small": lambda rng, n: rng.integers(0, 100, n).astype(np.int32),
    "byte": lambda rng, n: rng.integers(0, 100, n).astype(np.uint8),
    "at": index(lambda n: n, flat),
    "order": lambda rng, n: rng.permutation(n),
    "mask": lambda rng, n: rng.random(n) < 0.5,
    "no": lambda rng, n: np.zeros(n, bool), "yes": lambda rng, n: np.ones(n, bool),
    "few_runs": lambda rng, n: np.repeat(np.arange(-(-n // 5)), 5)[:n],
    "edges": lambda rng, n: np.sort(rng.standard_normal(max(2, side(n)))).astype(np.float32),
    "n": lambda rng, n: n,
    "m": normal(square), "w": normal(square), "v": normal(lambda n: (side(n),)),
    "mmask": lambda rng, n: rng.random(square(n)) < 0.5,
    "row": index(side, lambda n: (side(n),)),
    "row_order": lambda rng, n: rng.permutation(side(n)),
    "mat": index(side, square),
    "mat_order": lambda rng, n: rng.random(square(n)).argsort(1),
    "x": normal(rows), "y": normal(rows),
    "gain": normal(lambda n: rows(n)[1:]), "bias": normal(lambda n: rows(n)[1:]),
    "proj": normal(lambda n: (rows(n)[1], rows(n)[1])),
    "label": index(lambda n: rows(n)[1], lambda n: rows(n)[:1]),
    "sign": lambda rng, n: rng.choice([-1.0, 1.0], rows(n)[0]).astype(np.float32),
    "table": normal(lambda n: (1000, 64)),
    "token": index(lambda n: 1000, lambda n: (max(1, n // 64),)),
    "bag": index(lambda n: 1000, lambda n: (max(1, n // 640), 10)),
    "img": normal(image), "seq": normal(sequence), "vol": normal(volume),
    "ch": normal(lambda n: (channels(n),)), "ch2": normal(lambda n: (channels(n),)),
    "run_mean": lambda rng, n: np.zeros(channels(n), np.float32),
    "run_var": lambda rng, n: np.ones(channels(n), np.float32),
    "w1": normal(weight((1, 1))), "w3": normal(weight((3, 3))),
    "ws": normal(weight((3,))), "wv": normal(weight((3, 3, 3))),
    "wd": normal(lambda n: (channels(n), 1, 3, 3)),
    "C": lambda rng, n: channels(n),
    "grid": grid,
    "q": normal(heads), "key": normal(heads), "val": normal(heads),
    "s": normal(batches), "t": normal(batches), "spd": positive_definite,
    "pts": normal(points), "pts2": normal(points),
    "logp": normal(lambda n: (max(4, min(100, n // 40)), max(1, n // 4000), 20)),
    "targets": index(lambda n: 19, lambda n: (max(1, n // 4000), 2)),
    "logp_lengths": lambda rng, n: np.full(max(1, n // 4000), max(4, min(100, n // 40))),
    "target_lengths": lambda rng, n: np.full(max(1, n // 4000), 2),
    "hidden": normal(rows),
    "side": lambda rng, n: side(n), "rows": lambda rng, n: rows(n)[1],
}  # fmt: skip
