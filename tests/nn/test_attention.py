"""Attention and transformers: masks, hints, the places that are left out, refused arguments."""

import importlib
import warnings

import numpy as np
import pytest
import torch

import rushlight as rl


def masks(t):
    padding = t.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 1]], dtype=t.bool)
    return {
        "none": {},
        "padding": {"key_padding_mask": padding},
        "added padding": {"key_padding_mask": padding * -2.0},
        "places": {"attn_mask": t.tril(t.ones(5, 5, dtype=t.bool)).logical_not()},
        "added places": {"attn_mask": t.nn.Transformer.generate_square_subsequent_mask(5)},
        "by head": {"attn_mask": t.arange(100).reshape(4, 5, 5) % 7 == 1},
        "both": {"key_padding_mask": padding, "attn_mask": t.eye(5) * -3.0},
        "hint": {
            "attn_mask": t.nn.Transformer.generate_square_subsequent_mask(5),
            "is_causal": True,
            "need_weights": False,
        },
        "no weights": {"need_weights": False},
        "weights of heads": {"average_attn_weights": False},
    }


@pytest.mark.parametrize("kind", list(masks(rl)))
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_masks(twin, kind, training):
    def program(t, nn):
        attention = nn.MultiheadAttention(4, 2, batch_first=True).train(training)
        x = t.randn(2, 5, 4, requires_grad=True)
        out, weights = attention(x, x, x, **masks(t)[kind])
        out.square().sum().backward()
        return out, weights, x.grad, [p.grad for p in attention.parameters()]

    twin(program)


def test_dropout_of_weights(twin):
    def program(t, nn):
        attention = nn.MultiheadAttention(4, 2, dropout=0.5)
        x = t.randn(5, 2, 4)
        return attention(x, x, x)

    twin(program)


def test_unbatched(twin):
    def program(t, nn):
        attention = nn.MultiheadAttention(4, 2)
        q, k = t.randn(3, 4), t.randn(5, 4)
        return attention(q, k, k), attention(q, k, k, key_padding_mask=t.arange(5) > 2)

    twin(program)


@pytest.mark.parametrize(
    "act",
    [
        lambda t, nn: nn.MultiheadAttention(4, 3),
        lambda t, nn: nn.MultiheadAttention(4, 0),
        lambda t, nn: nn.MultiheadAttention(4, 2)(*[t.ones(3, 2, 5)] * 3),
        lambda t, nn: nn.MultiheadAttention(4, 2)(*[t.ones(3)] * 3),
        lambda t, nn: nn.MultiheadAttention(4, 2)(*[t.ones(3, 2, 4)] * 3, attn_mask=t.ones(2, 2)),
        lambda t, nn: nn.MultiheadAttention(4, 2)(
            *[t.ones(3, 2, 4)] * 3, attn_mask=t.ones(3, 3, dtype=t.int32)
        ),
        lambda t, nn: nn.TransformerEncoderLayer(4, 2, activation="x"),
        lambda t, nn: nn.Transformer(4, 2, 1, 1, 8)(t.ones(3, 2, 4), t.ones(3, 3, 4)),
        lambda t, nn: nn.Transformer(4, 2, 1, 1, 8)(t.ones(3, 2, 5), t.ones(3, 2, 4)),
        lambda t, nn: nn.TransformerEncoderLayer(4, 2, 8)(t.ones(3, 2, 4), is_causal=True),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_refused(twin, act):
    assert isinstance(twin(act), Exception)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("recording", [True, False])
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_padded_places_of_the_encoder(twin, training, recording, at_end, norm):
    """Without gradients in evaluation, places that are padded at the end come out as zeros."""

    def program(t, nn):
        layer = nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True)
        encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(4) if norm else None)
        encoder.train(training)
        padding = masks(t)["padding"]["key_padding_mask"]
        padding = padding if at_end else ~padding
        with t.set_grad_enabled(recording):
            return encoder(t.randn(2, 5, 4), src_key_padding_mask=padding)

    twin(program)


@pytest.mark.parametrize("hint", [None, True, False])
@pytest.mark.filterwarnings("ignore")
def test_transformer(twin, hint):
    def program(t, nn):
        net = nn.Transformer(8, 2, 2, 2, 16, 0.0, batch_first=True, norm_first=True)
        causal = nn.Transformer.generate_square_subsequent_mask(4)
        src, tgt = t.randn(2, 6, 8), t.randn(2, 4, 8)
        out = net(src, tgt, tgt_mask=causal, tgt_is_causal=hint)
        out.square().sum().backward()
        return out, [p.grad for p in net.parameters()]

    twin(program, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "warns"),
    [
        (lambda nn: nn.TransformerEncoderLayer(4, 2, 8, norm_first=True), True),
        (lambda nn: nn.TransformerEncoderLayer(4, 2, 8), True),
        (lambda nn: nn.TransformerEncoderLayer(4, 1, 8, batch_first=True), True),
        (lambda nn: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, bias=False), True),
        (lambda nn: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), False),
    ],
)
def test_warning_when_nothing_is_left_out(twin, make, warns):
    def program(t, nn):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            nn.TransformerEncoder(make(nn), 1)
        return [str(w.message) for w in caught]

    assert bool(twin(program)) == warns


def test_layers_of_an_encoder_are_copies(twin):
    def program(t, nn):
        layer = nn.TransformerEncoderLayer(4, 2, 8)
        encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        first, second = encoder.layers
        same = bool((first.linear1.weight == second.linear1.weight).all())
        return (
            same,
            first.linear1.weight is second.linear1.weight,
            layer.self_attn is first.self_attn,
        )

    twin(program)


def test_sdpa_kernel():
    from rushlight.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel([SDPBackend.MATH]):
        q = rl.ones(1, 2, 3, 4)
        assert rl.nn.functional.scaled_dot_product_attention(q, q, q).shape == (1, 2, 3, 4)
    with pytest.raises(AssertionError), sdpa_kernel("math"):
        pass


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"dropout_p": 0.5}])
def test_results_lie_in_memory_as_queries_do(split, options):
    """So programs join heads by a view."""

    def call(t):
        parts = [t.ones(2, 5, 3, 8) if split else t.ones(2, 3, 5, 8) for _ in range(3)]
        heads = [p.transpose(1, 2) if split else p for p in parts]
        return t.nn.functional.scaled_dot_product_attention(*heads, **options)

    assert call(rl).stride() == call(torch).stride()
    if split and not options.get("dropout_p"):
        assert call(rl).transpose(1, 2).view(2, 5, 24).shape == (2, 5, 24)


def test_causal_masks_of_unequal_lengths():
    q, k, v = (np.random.default_rng(0).normal(size=(2, 2, n, 4)) for n in (3, 5, 5))
    for name in ("causal_upper_left", "causal_lower_right"):
        results = []
        for lib in (torch, rl):
            bias = importlib.import_module(f"{lib.__name__}.nn.attention.bias")
            mask = getattr(bias, name)(3, 5)
            assert isinstance(mask, bias.CausalBias) and mask.seq_len_kv == 5
            inputs = [lib.from_numpy(x) for x in (q, k, v)]
            out = lib.nn.functional.scaled_dot_product_attention(*inputs, attn_mask=mask)
            results.append((out.numpy(), mask._materialize().numpy()))
            with pytest.raises(AssertionError):
                getattr(bias, name)(3)
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
