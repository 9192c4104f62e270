"""Random numbers drawn by native code: what eager code draws, from the same place in the stream."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight import dtypes, nn
from rushlight.compiler.backends.reference import apply
from rushlight.compiler.eager import offers
from rushlight.compiler.graph import Node, Value
from rushlight.core.generator import engine_of
from rushlight.core.native import LEAST, PATIENCE, kernels, provide, without_kernels
from rushlight.nn import functional as F
from rushlight.ops.random import Normal, Uniform

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
pytestmark = pytest.mark.usefixtures("own_cache")


def calls_of(run):
    """Ops that the programs of a compiled function call."""
    programs = [v.program for vs in run._compiled.variants.values() for v in vs]
    assert programs, run._compiled.eager
    steps = [s for p in programs for s in p.lowering.steps]
    return [type(s.nodes[0].op).__name__ for s in steps if type(s).__name__ == "Call"]


def agree(f, *arguments, skip=(0, 1, 623, 624, 1000)):
    """Compiled equals eager bit for bit from many places of the stream, which then go on alike."""
    run = rl.compile(f, fullgraph=True)
    for _ in range(2):
        run(*arguments)
    for seed, used in enumerate(skip):
        found = []
        for g in (f, run):
            rl.manual_seed(seed)
            if used:
                rl.randint(0, 5, (used,))
            first = g(*arguments)
            state = rl.get_rng_state()
            found.append([*first, state, rl.rand(700), *g(*arguments), rl.get_rng_state()])
        for x, y in zip(*found, strict=True):
            assert x.dtype == y.dtype and x.equal(y)
    return run


@pytest.mark.parametrize("count", [1, 7, 16, 311, 1024, 5000])
def test_draws_are_those_of_eager_code(count):
    x = rl.zeros(count)

    def f(x):
        return (
            rl.empty_like(x).bernoulli_(0.3),
            rl.rand(count),
            rl.rand(count, dtype=rl.float64),
            rl.empty(count).uniform_(-2.5, 0.7),
            rl.empty(count, dtype=rl.float64).uniform_(-2.5, 0.7),
            rl.bernoulli(rl.sigmoid(x)),
            rl.empty(count, dtype=rl.int64).bernoulli_(0.8),
            rl.randint(-3, 11, (count,)),
            rl.randn(count),
            rl.empty(count).normal_(0.0, 2.5),
            rl.empty(count).normal_(-1.5, 0.3),
            rl.randn(count, dtype=rl.float64),
            rl.empty(count, dtype=rl.float64).normal_(0.0, 2.5),
            rl.empty(count, dtype=rl.float64).normal_(-1.5, 0.3),
            rl.empty(count, dtype=rl.float64).exponential_(),
            rl.empty(count, dtype=rl.float64).exponential_(0.7),
            rl.randperm(count),
            rl.randperm(count + 1, dtype=rl.int32),
            nn.functional.rrelu(rl.rand(count) - 0.5, training=True),
            nn.functional.rrelu(rl.rand(count, dtype=rl.float64) - 0.5, 0.2, 0.7, training=True),
            rl.multinomial(rl.rand(count, dtype=rl.float64), 1),
            rl.multinomial(rl.rand(3, count, dtype=rl.float64), count),
            rl.multinomial(rl.rand(count, dtype=rl.float64), 3, replacement=True),
        )

    assert not calls_of(agree(f, x))


def test_a_normal_is_kept_for_the_next_call():
    """Of a pair, whoever draws first: a program, eager code, or neither before a new seed."""
    run = rl.compile(lambda x: x + rl.randn(3), fullgraph=True)
    run(rl.zeros(3)), run(rl.zeros(3))
    for order in ("pe", "ep", "ppe", "pepp"):
        found = []
        for compiled in (True, False):
            rl.manual_seed(5)
            drawn = [run(rl.zeros(3)) if k == "p" and compiled else rl.randn(3) for k in order]
            found.append([*drawn, rl.get_rng_state(), rl.randn(1)])
        for x, y in zip(*found, strict=True):
            assert x.equal(y)


def test_the_first_words_of_a_seed():
    """A stream that has not begun stays so until something is drawn."""
    run = rl.compile(lambda x: (rl.empty_like(x).bernoulli_(0.5),), fullgraph=True)
    for _ in range(2):
        run(rl.zeros(312))  # exactly one block
    for seed in range(3):
        rl.manual_seed(seed)
        expected = rl.empty(312).bernoulli_(0.5), rl.get_rng_state(), rl.rand(3)
        rl.manual_seed(seed)
        found = *run(rl.zeros(312)), rl.get_rng_state(), rl.rand(3)
        for x, y in zip(found, expected, strict=True):
            assert x.equal(y)


def test_draws_follow_memory():
    x = rl.zeros(5, 6).t()
    agree(lambda x: (rl.empty_like(x).bernoulli_(0.5), rl.empty_like(x).uniform_()), x)


def test_draws_of_several_generators_and_of_calls_between():
    g = rl.Generator()

    def f(x):
        a = rl.empty_like(x).bernoulli_(0.5, generator=g)
        b = rl.empty_like(x).bernoulli_(0.5)
        c = rl.empty_like(x).cauchy_()  # a call of the op
        return a, b, c, rl.empty_like(x).uniform_(generator=g)

    g.manual_seed(3)
    run = rl.compile(f, fullgraph=True)
    run(rl.zeros(50)), run(rl.zeros(50))
    states = []
    for h in (f, run):
        rl.manual_seed(1), g.manual_seed(2)
        states.append([*h(rl.zeros(50)), rl.get_rng_state(), g.get_state()])
    for x, y in zip(*states, strict=True):
        assert x.equal(y)


def test_a_failed_call_draws_what_eager_code_draws():
    """The stream is at the same place when an index is out of range."""
    w, i = rl.ones(4, 3), rl.tensor([0, 3])

    def f(w, i):
        return nn.functional.dropout(w[i] * rl.rand(2, 3), 0.5)

    run = rl.compile(f, fullgraph=True)
    run(w, i), run(w, i)
    states = []
    for g in (f, run):
        rl.manual_seed(0)
        with pytest.raises(IndexError):
            g(w, rl.tensor([0, 4]))
        states.append(rl.get_rng_state())
    assert states[0].equal(states[1])


def test_training_with_dropout_is_the_same_bit_for_bit_in_its_masks():
    def make():
        rl.manual_seed(0)
        net = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 4))
        optimizer = rl.optim.Adam(net.parameters())
        x, y = rl.randn(16, 20), rl.randint(0, 4, (16,))

        def step():
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return step

    losses = []
    for wrap in (lambda f: f, lambda f: rl.compile(f, fullgraph=True)):
        run = wrap(make())
        losses.append([run().item() for _ in range(20)])
        state = rl.get_rng_state()
        losses.append(state)
    assert losses[0] == pytest.approx(losses[2], rel=1e-4)
    assert losses[1].equal(losses[3])
    assert not calls_of(run)


@pytest.mark.parametrize("count", [16, 17, 31, 527, 640, 2063, 20_000, 100_001])
@pytest.mark.parametrize("dtype", [rl.float32, rl.float16])
def test_draws_and_shuffles_of_eager_code_are_numpys(count, dtype):
    """From many places of the stream, which then goes on alike; short ones too, once loaded."""
    kernels.find, kernels.loop = offers()
    kernels.loaded = True

    def drawn(used):
        rl.manual_seed(count)
        rl.randint(0, 5, (used,))
        values = rl.randn(count, dtype=dtype), rl.empty(count, dtype=dtype).normal_(1.5, 0.3)
        flat = [rl.empty(count, dtype=dtype).uniform_(a, b) for a, b in ((0, 1), (-0.3, 0.2))]
        flat.append(rl.empty(count, dtype=dtype).uniform_(1, 1 + 2**-23))  # rounding meets the end
        return *values, *flat, rl.randperm(count), rl.get_rng_state(), rl.rand(700)

    for used in (1, 600, 623, 624):
        with without_kernels():
            expected = drawn(used)
        assert all(x.equal(y) for x, y in zip(drawn(used), expected, strict=True))


def test_loops_are_loaded_by_a_long_one_or_many_short_ones():
    before = {name: getattr(kernels, name) for name in ("find", "loop", "on", "loaded", "small")}
    try:
        provide(lambda: (len, len))
        assert not any(kernels.worth(16) for _ in range(PATIENCE - 1)) and kernels.worth(16)
        provide(lambda: (len, len))
        assert kernels.worth(LEAST) and not kernels.worth(16)
        assert kernels.loop("four") == 4 and kernels.worth(16)
        with without_kernels():
            assert not kernels.worth(LEAST)
    finally:
        for name, value in before.items():
            setattr(kernels, name, value)


SAMPLES = {
    "waiting times": lambda x: rl.empty_like(x).exponential_(2.5),
    "waiting times, halves": lambda x: rl.empty(70, dtype=rl.bfloat16).exponential_(),
    "gumbel": lambda x: nn.functional.gumbel_softmax(x, tau=0.7, hard=True),
    "a category": lambda x: rl.multinomial(x.softmax(-1), 1),
    "some categories": lambda x: rl.multinomial(x.softmax(-1), 5),
    "all categories": lambda x: rl.multinomial(x[0].abs(), 40),
    "categories put back": lambda x: rl.multinomial(x.abs(), 9, replacement=True),
    "categories put back, a row": lambda x: rl.multinomial(x[0].abs(), 9, replacement=True),
    "the likeliest tokens": lambda x: rl.multinomial(rl.topk(x, 5, -1)[0].softmax(-1), 1),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_kernels(name):
    assert not calls_of(agree(lambda x: (SAMPLES[name](x),), rl.randn(20, 40)))


def test_weights_that_are_none_are_refused():
    run = rl.compile(lambda p: rl.multinomial(p, 2))
    for _ in range(4):
        run(rl.ones(2, 3))
    for bad in (rl.tensor([[1.0, -1.0, 2.0]] * 2), rl.zeros(2, 3), rl.full((2, 3), float("nan"))):
        with pytest.raises(RuntimeError, match="invalid multinomial distribution"):
            run(bad)


def test_draws_go_through_memory_in_order():
    """Memory that eager code has column by column, and a program row by row."""
    x = rl.arange(9.0).view(3, 3)

    def written(x):
        turned = F.dropout(x.t(), 0.4).t()  # whose memory lies as x's does
        return [turned.normal_()]

    def drawn(x):
        turned = F.dropout(x.t(), 0.4).t()
        return [rl.bernoulli(turned.sigmoid()), turned.uniform_()]

    def normals(x):
        columns, gaps = x.t(), rl.zeros(9, 8)
        gaps[:, ::2].normal_(1, 2)
        return [rl.randn_like(columns), rl.randn_like(columns.exp(), dtype=rl.float64), gaps]

    def latent(x):  # of several samples of one code: the samples come first, and are turned back
        mu = x.repeat(2, 3, 1, 1).permute(2, 0, 1, 3)
        return [mu + rl.randn_like(mu)]

    for f in (written, drawn, normals, latent):
        agree(f, x)
    for f in (normals, latent):
        agree(f, rl.arange(35.0).view(5, 7))
    v, w = [Value(n, (3, 3), dtypes.float32) for n in range(2)]
    for op, params in ((Normal, {"mean": 0.0, "std": 1.0}), (Uniform, {"low": 0.0, "high": 1.0})):
        node = Node(op.instance, [v], {"engine": engine_of(None), **params}, [w])
        found = []
        for order in "CF":
            rl.manual_seed(0)
            found += apply(node, [np.zeros((3, 3), np.float32, order)])
        np.testing.assert_array_equal(*found)


def test_draws_by_the_order_of_memory_that_a_program_does_not_know():
    p = rl.rand(3, 3)

    def f(p):
        return [rl.multinomial(p.t(), 3), rl.empty(3, 3).t().bernoulli_(p)]

    with pytest.warns(UserWarning, match="draws in the order of memory"):
        run = rl.compile(f)
        for seed in range(3):
            rl.manual_seed(seed)
            found = run(p)
            rl.manual_seed(seed)
            assert all(a.equal(b) for a, b in zip(found, f(p), strict=True))


def test_what_is_grouped_draws_in_order():
    """A maximum's place from between two draws is not computed with one from after both."""
    w = rl.linspace(-1, 1, 16).view(4, 4)

    def layer(x):
        x = F.dropout(rl.tanh(x @ w), 0.3)
        y = x[rl.arange(x.shape[0]), x.argmax(1)]
        return x + F.rrelu(y, 0.1, 0.4, True)[:, None]

    def f(x):
        return layer(x) + layer(x).square()

    run, x = rl.compile(f, fullgraph=True), rl.randn(5, 4)
    for seed in range(4):
        found = []
        for g in (f, run):
            rl.manual_seed(seed)
            found.append(g(x))
        rl.testing.assert_close(*found)
