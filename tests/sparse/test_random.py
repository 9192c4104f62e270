"""Random programs on sparse tensors against the same on dense ones, values and gradients."""

import random

import numpy as np
import pytest

import rushlight as lib
from tests.sparse.common import plain

N = 4  # so that any two matrices can be multiplied


def entries(draw, n, m):
    count = draw.randint(0, 10)
    return [[draw.randrange(n) for _ in range(count)], [draw.randrange(m) for _ in range(count)]]


def unary(draw):
    """A function of one sparse tensor, for either form."""
    k, i, d = draw.uniform(-2, 2), draw.randrange(N), draw.randrange(2)
    at = lib.tensor([draw.randrange(N) for _ in range(N)])
    row = lib.tensor([draw.uniform(-1, 1) for _ in range(N)], dtype=lib.float64)
    full = lib.tensor(np.outer(row.numpy(), row.numpy()))
    return draw.choice(
        [
            lambda s: s * k,
            lambda s: -s,
            lambda s: s / 3,
            lambda s: s.sin(),
            lambda s: s.tanh(),
            lambda s: s * s,
            lambda s: s.t(),
            lambda s: s.clone(),
            lambda s: s.index_select(d, at),
            lambda s: s * row,
            lambda s: s * row.unsqueeze(1),
            lambda s: full * s,
            lambda s: lib.stack([s, s * 2], 0)[d],
            lambda s: lib.cat([s, s], d).index_select(d, at + i),
            lambda s: s.unsqueeze(d).sum(d),
            lambda s: s.coalesce() if s.is_sparse else s,
            lambda s: s.to_sparse_csr().to_sparse() if s.is_sparse else s,
            lambda s: s.to_sparse_csc().to_sparse() if s.is_sparse else s,
            lambda s: s[: N - 1].unsqueeze(0)[0].index_select(0, at.clamp(max=N - 2)),
        ]
    )


def binary(draw):
    return draw.choice(
        [
            lambda a, b: a + b,
            lambda a, b: a - b,
            lambda a, b: a * b,
            lambda a, b: a @ b,
            lambda a, b: lib.add(a, b, alpha=-0.5),
        ]
    )


def last(draw):
    """From a sparse tensor to a dense one."""
    dense = lib.tensor(np.random.default_rng(draw.randrange(99)).standard_normal((N, 3)))
    return draw.choice(
        [
            lambda s: s.to_dense(),
            lambda s: s @ dense,
            lambda s: dense.t() @ s,
            lambda s: s @ dense[:, 0],
            lambda s: s.sum(),
            lambda s: s.sum(0).to_dense(),
            lambda s: dense[:, :1] + s,
            lambda s: lib.nn.functional.linear(s, dense.t(), dense[0]),
        ]
    )


def program(seed, sparse):
    draw = random.Random(seed)
    leaves, pool = [], []
    for _ in range(2):
        i = entries(draw, N, N)
        v = lib.tensor([draw.uniform(-1, 1) for _ in i[0]], dtype=lib.float64)
        leaves.append(v.requires_grad_())
        s = lib.sparse_coo_tensor(lib.tensor(i, dtype=lib.int64), v, (N, N))
        pool.append(s if sparse else s.to_dense())
    for _ in range(draw.randint(1, 5)):
        if draw.random() < 0.6:
            pool.append(unary(draw)(draw.choice(pool)))
        else:
            pool.append(binary(draw)(draw.choice(pool), draw.choice(pool)))
    out = last(draw)(pool[-1])
    (out * out.detach().cos()).sum().backward() if out.requires_grad else None
    grads = [lib.zeros_like(v) if v.grad is None else v.grad for v in leaves]
    return [plain(out), *[plain(g) for g in grads]]


@pytest.mark.parametrize("start", range(0, 200, 20))
def test_programs(start):
    for seed in range(start, start + 20):
        for ours, theirs in zip(program(seed, True), program(seed, False), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9, err_msg=f"seed {seed}")
