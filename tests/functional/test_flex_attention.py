"""Attention with functions of scores and of masks, beside PyTorch's."""

from __future__ import annotations

import warnings

import pytest
import torch

import rushlight as rl

LIBS = (rl, torch)


def modules(lib):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import importlib

        return importlib.import_module(f"{lib.__name__}.nn.attention.flex_attention")


def inputs(lib, heads=4, given=4, length=130, seen=130):
    lib.manual_seed(0)
    shapes = (2, heads, length, 16), (2, given, seen, 16), (2, given, seen, 8)
    return [lib.randn(s) for s in shapes]


def causal(b, h, q, kv):
    return q >= kv


def documents(lib):
    numbers = lib.arange(130) // 40
    return lambda b, h, q, kv: numbers[q] == numbers[kv]


def shifted(table):
    return lambda s, b, h, q, kv: s + table[kv] * (b + 1)


MODS = {
    "none": lambda lib: (None, None),
    "distance": lambda lib: (lambda s, b, h, q, kv: s + (kv - q) * 0.1, None),
    "heads": lambda lib: (lambda s, b, h, q, kv: s - (q - kv).abs() * lib.exp2(-(h + 1.0)), None),
    "table": lambda lib: (shifted(lib.linspace(-1, 1, 130)), None),
    "soft cap": lambda lib: (lambda s, b, h, q, kv: 2 * lib.tanh(s / 2), causal),
    "causal": lambda lib: (None, causal),
    "window": lambda lib: (
        None,
        modules(lib).and_masks(causal, lambda b, h, q, kv: q - kv <= 7),
    ),
    "either": lambda lib: (
        None,
        modules(lib).or_masks(causal, lambda b, h, q, kv: (kv < 3) & (h < 2)),
    ),
    "documents": lambda lib: (None, documents(lib)),
    "nothing": lambda lib: (None, lambda b, h, q, kv: (q > 5) & (kv < 100)),
}


@pytest.mark.parametrize("name", MODS)
def test_results(name):
    found = []
    for lib in LIBS:
        f = modules(lib)
        change, keep = MODS[name](lib)
        mask = None if keep is None else f.create_block_mask(keep, 2, 4, 130, 130, device="cpu")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found.append(f.flex_attention(*inputs(lib), change, mask, return_lse=True))
    for a, b in zip(*found, strict=True):
        rl.testing.assert_close(a, rl.from_numpy(b.numpy()), rtol=1e-4, atol=1e-5)


def test_gradients():
    """Which PyTorch has on GPUs only."""
    f = modules(rl)
    rl.manual_seed(0)
    shape = (1, 2, 5, 3)
    q, k, v = [rl.randn(shape, dtype=rl.float64, requires_grad=True) for _ in range(3)]
    slopes = rl.rand(2, dtype=rl.float64, requires_grad=True)
    mask = f.create_block_mask(lambda b, h, q, kv: (q >= kv) & (q != 2), 1, 2, 5, 5)

    def attend(q, k, v, slopes):
        return f.flex_attention(q, k, v, lambda s, b, h, i, j: s + slopes[h] * (j - i), mask)

    assert rl.autograd.gradcheck(attend, (q, k, v, slopes))


def test_compiled():
    f = modules(rl)
    q, k, v = inputs(rl, given=2)
    mask = f.create_block_mask(causal, None, None, 130, 130)

    def step(q, k, v):
        return f.flex_attention(q, k, v, lambda s, b, h, i, j: s * (h + 1), mask, enable_gqa=True)

    run = rl.compile(step, fullgraph=True)
    for _ in range(3):
        rl.testing.assert_close(run(q, k, v), step(q, k, v))


def test_block_masks():
    found = []
    for lib in LIBS:
        f = modules(lib)
        facts = []
        for size, lengths in ((128, (300, 256)), ((64, 32), (200, 100))):
            m = f.create_block_mask(
                lambda b, h, q, kv: (q >= kv) & (h != b),
                2,
                3,
                *lengths,
                device="cpu",
                BLOCK_SIZE=size,
            )
            for part in (m, m[1], m[0, 2], m[0:1]):
                facts += [
                    *part.shape, part.sparsity(), part.numel(), part.BLOCK_SIZE,
                    part.kv_num_blocks.tolist(), part.kv_indices.tolist(),
                    part.full_kv_num_blocks.tolist(), part.full_kv_indices.tolist(),
                    part.q_num_blocks.tolist(), part.to_dense().tolist(),
                ]  # fmt: skip
        found.append(facts)
    assert found[0] == found[1]


def test_a_part_of_a_mask_masks_as_the_whole_does():
    f = modules(rl)
    m = f.create_block_mask(lambda b, h, q, kv: (q >= kv) & (h != b), 2, 3, 9, 9)
    whole = f.create_mask(m.mask_mod, *m.shape)
    for index, part in (
        (1, whole[1:]),
        ((0, -1), whole[:1, 2:]),
        ((0, slice(0, 3, 2)), whole[:1, ::2]),
    ):
        assert f.create_mask(m[index].mask_mod, *m[index].shape).equal(part)
    with pytest.raises(IndexError, match="out of range"):
        m[2]


REFUSED = {
    "heads": lambda f, q, k, v: f.flex_attention(q, k[:, :2], v[:, :2]),
    "groups": lambda f, q, k, v: f.flex_attention(q, k[:, :3], v[:, :3], enable_gqa=True),
    "dims": lambda f, q, k, v: f.flex_attention(q[0], k, v),
    "features": lambda f, q, k, v: f.flex_attention(q, k[..., :8], v),
    "batch": lambda f, q, k, v: f.flex_attention(q, k[:1], v[:1]),
    "lengths": lambda f, q, k, v: f.flex_attention(
        q, k, v, block_mask=f.create_block_mask(causal, None, None, 130, 99, device="cpu")
    ),
    "no mask": lambda f, q, k, v: f.create_block_mask(lambda b, h, i, j: i - j, 1, 1, 8, 8, "cpu"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    kinds = []
    for lib in LIBS:
        with pytest.raises(Exception) as caught, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            REFUSED[name](modules(lib), *inputs(lib))
        kinds.append(caught.type)
    assert issubclass(kinds[0], kinds[1])
