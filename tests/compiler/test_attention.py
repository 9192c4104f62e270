"""Attention and its gradients natively."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn
from rushlight.ops import view
from rushlight.ops.attention import Attention, AttentionGrad
from rushlight.ops.copy import Contiguous
from rushlight.ops.join import Cat

from .graphs import Builder, check
from .test_random import calls_of
from .test_recurrent import trained

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
pytestmark = pytest.mark.usefixtures("own_cache")
RNG = np.random.default_rng(0)


def normal(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


SIZES = [
    ((2, 3), 5, 7, 4, 4),
    ((3,), 64, 64, 32, 32),
    ((), 1, 33, 8, 20),
    ((1, 2), 100, 90, 16, 5),
    ((2,), 70, 150, 33, 48),
]


@pytest.mark.parametrize("batch, queries, keys, depth, width", SIZES)
@pytest.mark.parametrize("kind", ["plain", "causal", "bool", "float"])
def test_attention_and_its_gradient(batch, queries, keys, depth, width, kind):
    dtype = np.float64 if depth == 16 else np.float32
    b = Builder()
    q, k = (
        b.input(normal(*batch, queries, depth, dtype=dtype)),
        b.input(normal(*batch, keys, depth, dtype=dtype)),
    )
    v = b.input(normal(*batch, keys, width, dtype=dtype))
    g = b.input(normal(*batch, queries, width, dtype=dtype))
    mask = None
    if kind == "bool":
        allowed = normal(queries, keys) > 0
        allowed[-1] = False  # a query that may look at nothing
        mask = b.input(allowed)
    if kind == "float":
        mask = b.input(normal(*batch[:1], *[1] * (len(batch) - 1), 1, keys, dtype=dtype))
    p = {"scale": depth**-0.5, "is_causal": kind == "causal"}
    made = b.op(Attention, q, k, v, mask, **p)
    b.returns(made, *b.op(AttentionGrad, g, q, k, v, mask, **p))
    check(b, 2e-5)


def test_heads_are_read_and_written_where_they_lie():
    """Split heads are not copied, nor are their gradients before they are joined."""
    b = Builder()
    x, g = b.input(normal(2, 40, 3 * 4 * 8)), b.input(normal(2, 40, 4 * 8))

    def heads(v):
        v = b.op(view.Reshape, v, shape=(2, 40, 4, 8))
        return b.op(view.Transpose, v, dim0=1, dim1=2)

    parts = [
        heads(b.op(view.BasicIndex, x, index=(..., slice(32 * i, 32 * i + 32)))) for i in range(3)
    ]
    p = {"scale": 0.3, "is_causal": True}
    made = b.op(AttentionGrad, heads(g), *parts, None, **p)
    flat = []
    for v in made:
        v = b.op(view.Transpose, v, dim0=1, dim1=2)
        flat.append(b.op(view.Reshape, b.op(Contiguous, v), shape=(2, 40, 32)))
    b.returns(b.op(Cat, *flat, dim=2))
    program = check(b, 2e-5)
    copies = [n for s in program.lowering.steps for n in s.nodes if type(n.op).__name__ == "Settle"]
    assert not copies


@pytest.mark.parametrize("options", [{}, {"norm_first": True, "activation": "gelu"}])
def test_training_a_transformer_is_that_of_eager_code(options):
    def make():
        embedding, out = nn.Embedding(12, 32), nn.Linear(32, 12)
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True, **options)
        encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        parts = nn.ModuleList([embedding, encoder, out])
        optimizer = rl.optim.AdamW(parts.parameters(), lr=1e-3)
        x, y = rl.randint(0, 12, (4, 10)), rl.randint(0, 12, (4, 10))
        mask = nn.Transformer.generate_square_subsequent_mask(10)

        def step():
            optimizer.zero_grad()
            z = out(encoder(embedding(x), mask=mask))
            loss = nn.functional.cross_entropy(z.flatten(0, 1), y.flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
            optimizer.step()
            return loss

        return step

    assert not calls_of(trained(make))


def test_memory_grows_with_the_length_and_not_its_square():
    sizes = []
    for length in (256, 1024):
        x = rl.randn(2, length, 16, requires_grad=True)

        def step(x=x):
            y = nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)
            y.square().sum().backward()

        run = rl.compile(step, fullgraph=True)
        run(), run(), run()
        (program,) = [v.program for vs in run._compiled.variants.values() for v in vs]
        sizes.append(program.arena.nbytes)
    assert sizes[1] <= 4.2 * sizes[0] and sizes[1] < 4 * 2 * 1024 * 1024
