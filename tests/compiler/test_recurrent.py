"""Recurrent layers natively: each layer and its gradient against the op, and whole networks."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn
from rushlight.ops import recurrent

from .graphs import Builder, check
from .test_random import calls_of

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
pytestmark = pytest.mark.usefixtures("own_cache")
RNG = np.random.default_rng(0)
GATES = {"RNNTanh": 1, "RNNRelu": 1, "GRU": 3, "LSTM": 4}


def normal(*shape, dtype=np.float32):
    return (RNG.standard_normal(shape) * 0.5).astype(dtype)


SHAPES = [
    ((3, 3), 5),
    ((8,) * 4, 16),
    ((40, 40), 33),
    ((70, 41, 40, 1), 20),
    ((1,) * 5, 64),
]


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("sizes, hidden", SHAPES)
@pytest.mark.parametrize("reverse", [False, True])
def test_a_layer_and_its_gradient(name, sizes, hidden, reverse):
    dtype = np.float64 if hidden == 20 else np.float32
    rows, gates = sum(sizes), GATES[name]
    b = Builder()
    options = {"sizes": list(sizes), "reverse": reverse}
    x, weight = b.input(normal(rows, gates * hidden, dtype=dtype)), normal(gates * hidden, hidden)
    w = b.input((weight / np.sqrt(hidden)).astype(dtype))
    bias = b.input(normal(gates * hidden, dtype=dtype)) if reverse else None
    states = [b.input(normal(sizes[0], hidden, dtype=dtype)) for _ in range(1 + (name == "LSTM"))]
    made = b.op(getattr(recurrent, name), x, w, bias, *states, **options)
    g = [b.input(normal(rows, hidden, dtype=dtype))]
    g += [b.input(normal(sizes[0], hidden, dtype=dtype)) for _ in states]
    kept = made[:1] if name.startswith("RNN") else made[3:] if name == "LSTM" else made[2:]
    if name == "LSTM":
        kept = made[4:]
    grads = b.op(getattr(recurrent, name + "Grad"), *g, w, *kept, **options)
    check(b.returns(*made, *grads), 2e-5)


class Model(nn.Module):
    def __init__(self, cell, **options):
        super().__init__()
        self.embedding = nn.Embedding(12, 10)
        self.cell = cell(10, 24, **options)
        self.out = nn.Linear(24 * (1 + bool(options.get("bidirectional"))), 12)

    def forward(self, x):
        return self.out(self.cell(self.embedding(x))[0])


def trained(make, steps=20):
    """Losses and generator states of a training eagerly and compiled; the compiled function."""
    found = []
    for wrap in (lambda f: f, lambda f: rl.compile(f, fullgraph=True)):
        rl.manual_seed(0)
        run = wrap(make())
        losses = [run().item() for _ in range(steps)]
        found.append((losses, rl.get_rng_state()))
    (a, s), (b, t) = found
    np.testing.assert_allclose(b, a, rtol=2e-3)
    assert s.equal(t)
    return run


@pytest.mark.parametrize(
    "cell, options",
    [
        (nn.GRU, {}),
        (nn.LSTM, {"num_layers": 2, "bidirectional": True, "dropout": 0.3, "batch_first": True}),
        (nn.RNN, {"nonlinearity": "relu", "bias": False}),
        (nn.RNN, {"bidirectional": True}),
        (nn.LSTM, {"proj_size": 0}),
    ],
)
def test_training_is_that_of_eager_code(cell, options):
    def make():
        model = Model(cell, **options)
        optimizer = rl.optim.Adam(model.parameters(), lr=0.01)
        x, y = rl.randint(0, 12, (7, 5)), rl.randint(0, 12, (7, 5))

        def step():
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            return loss

        return step

    assert not calls_of(trained(make))


def test_packed_sequences():
    def make():
        model = Model(nn.GRU)
        optimizer = rl.optim.SGD(model.parameters(), lr=0.1)
        x, lengths = rl.randn(6, 4, 10), [6, 4, 4, 1]

        def step():
            optimizer.zero_grad()
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths)
            out, h = model.cell(packed)
            loss = nn.utils.rnn.pad_packed_sequence(out)[0].square().mean() + h.sum()
            loss.backward()
            optimizer.step()
            return loss

        return step

    run = trained(make)
    assert "GRU" not in calls_of(run)


@pytest.mark.parametrize("cell", [nn.RNN, nn.GRU, nn.LSTM])
def test_last_states_of_two_calls_side_by_side(cell):
    """The weight's gradient joins both calls' states; no cell can write into their rows."""

    def make():
        layer, head = cell(3, 3, bidirectional=True), nn.Linear(6, 4)
        x, optimizer = rl.randn(3, 5, 3), rl.optim.SGD([*layer.parameters(), *head.parameters()])

        def last(x):
            state = layer(x)[1]
            state = state[0] if isinstance(state, tuple) else state
            return head(state.transpose(0, 1).reshape(5, -1))

        def step():
            optimizer.zero_grad()
            loss = last(x).square().sum() + last(x).pow(2).mean()
            loss.backward()
            optimizer.step()
            return loss

        return step

    trained(make)


def test_dropout_of_a_padded_batch_draws_in_its_order():
    """Sequences that were sorted come back row by row, and masks are drawn in that order."""
    layer, x = nn.LSTM(3, 4), rl.rand(4, 5, 3)

    def masked(x):
        packed = nn.utils.rnn.pack_padded_sequence(x, [4, 3, 2, 1, 1], enforce_sorted=False)
        padded, _ = nn.utils.rnn.pad_packed_sequence(layer(packed)[0], batch_first=True)
        return padded, nn.functional.dropout(padded, 0.5)

    run = rl.compile(masked, fullgraph=True)
    for seed in range(4):
        rl.manual_seed(seed)
        want = masked(x)
        rl.manual_seed(seed)
        got = run(x)
        assert [t.stride() for t in got] == [t.stride() for t in want]
        rl.testing.assert_close(got, want)
