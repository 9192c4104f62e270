"""Packed sequences in captured calls: their lengths are data, so one capture serves them all."""

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.nn.utils.rnn import (
    PackedSequence,
    PaddedSequence,
    pack_padded_sequence,
    pad_packed_sequence,
)

F = nn.functional


class Tagger(nn.Module):
    """A recurrent network over padded batches."""

    def __init__(self, kind="GRU", total=True, is_sorted=False, first=True, value=0.0, **options):
        super().__init__()
        self.embedding = nn.Embedding(20, 4)
        self.rnn = getattr(nn, kind)(4, 3, batch_first=first, **options)
        self.out = nn.Linear(3 * (1 + self.rnn.bidirectional), 2)
        self.total, self.is_sorted, self.first, self.value = total, is_sorted, first, value

    def forward(self, x, lengths, states=None):
        x, first = self.embedding(x), self.first
        packed = pack_padded_sequence(x, lengths, first, enforce_sorted=self.is_sorted)
        y, last = self.rnn(packed, states)
        total = x.shape[1 if first else 0] if self.total else None
        y, count = pad_packed_sequence(y, first, self.value, total)
        last = sum(last) if isinstance(last, tuple) else last
        mean = y.sum(1 if first else 0) / count[:, None]
        return self.out(mean) + self.out(last[-1 - self.rnn.bidirectional :].mean(0).tile(
            1, 1 + self.rnn.bidirectional
        )), y, count  # fmt: skip


def batches(count, longest=6, shape=(5, 6), is_sorted=False, first=True):
    for k in range(count):
        lengths = rl.randint(1, longest + 1, (shape[0],))
        lengths[k % shape[0]] = longest
        if is_sorted:
            lengths = lengths.sort(descending=True).values
        x = rl.randint(0, 20, shape)
        yield (x if first else x.t()), lengths


def compare(make, given, steps=7):
    """Train a model compiled and as it is, on the same batches."""
    rl.manual_seed(0)
    eager = make()
    model = make()
    model.load_state_dict(eager.state_dict())
    compiled = rl.compile(model)
    optimizers = [rl.optim.SGD(m.parameters(), lr=0.1) for m in (eager, model)]
    for batch in given(steps):
        found = []
        for m, optimizer in zip((eager, compiled), optimizers, strict=True):
            out, y, count = m(*batch)
            assert count.dtype is rl.int64
            optimizer.zero_grad()
            (F.cross_entropy(out, rl.tensor([0, 1, 1, 0, 1])) + y.square().mean()).backward()
            optimizer.step()
            found.append((out.detach(), y.detach(), count))
        rl.testing.assert_close(found[1], found[0])
    rl.testing.assert_close(dict(model.state_dict()), dict(eager.state_dict()))
    entry = model._compiled_call_impl._compiled
    assert entry.eager is None
    assert entry.traces == 1
    return entry


OPTIONS = {
    "GRU": {},
    "GRU, both directions": {"bidirectional": True, "num_layers": 2},
    "LSTM": {"kind": "LSTM"},
    "LSTM, both directions": {"kind": "LSTM", "bidirectional": True, "num_layers": 2},
    "RNN, both directions": {"kind": "RNN", "bidirectional": True},
    "without bias": {"kind": "LSTM", "bias": False},
    "steps first": {"first": False, "bidirectional": True},
    "sorted": {"is_sorted": True},
    "as long as the longest": {"total": False},
    "another value of padding": {"value": 0.25, "kind": "LSTM"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_lengths_are_data(name):
    options = OPTIONS[name]
    shape = {"is_sorted": options.get("is_sorted", False), "first": options.get("first", True)}
    entry = compare(lambda: Tagger(**options), lambda n: batches(n, **shape))
    (variant,) = [v for found in entry.variants.values() for v in found]
    assert not variant.pinned


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_states_that_are_given(kind):
    def given(count):
        for x, lengths in batches(count):
            h = rl.randn(2, 5, 3)
            yield x, lengths, h if kind == "GRU" else (h, h * 2)

    compare(lambda: Tagger(kind, bidirectional=True), given)


def test_lengths_as_int32():
    compare(Tagger, lambda n: ((x, lengths.int()) for x, lengths in batches(n)))


def test_lengths_in_a_list():
    """Numbers among arguments are looked up once they were seen to change."""
    rl.manual_seed(0)
    model = Tagger()
    run = rl.compile(model._call_impl)
    for x, lengths in batches(12):
        rl.testing.assert_close(run(x, lengths.tolist()), model(x, lengths.tolist()))
    assert run._compiled.traces == 2
    assert run._compiled.eager is None


def test_what_padding_holds_does_not_matter():
    """Not even where it is no number."""
    rnn = nn.LSTM(2, 3, bidirectional=True, batch_first=True)

    def call(x, lengths):
        _, (h, c) = rnn(pack_padded_sequence(x, lengths, True, enforce_sorted=False))
        return h.sum() + c.sum()

    run = rl.compile(call, fullgraph=True)
    x = rl.randn(3, 4, 2)
    for lengths in ([1, 4, 2], [4, 4, 1], [2, 3, 4], [1, 1, 4], [3, 4, 2]):
        lengths = rl.tensor(lengths)
        given = x.clone()
        given[rl.arange(4)[None] >= lengths[:, None]] = float("nan")
        found = []
        for f in (call, run):
            rnn.zero_grad()
            loss = f(given, lengths)
            loss.backward()
            found.append([loss.detach(), *[p.grad for p in rnn.parameters()]])
        rl.testing.assert_close(found[1], found[0])
    assert run._compiled.traces == 1


def test_batches_that_are_padded_further_than_their_longest():
    """Results are then shorter: how long is decided by values, and takes a capture each."""

    def given(count):
        yield from batches(count)
        yield from batches(3, longest=4)

    rl.manual_seed(0)
    model = Tagger(total=False)
    run = rl.compile(model._call_impl)
    for x, lengths in given(4):
        rl.testing.assert_close(run(x, lengths), model(x, lengths))
    assert run._compiled.eager is None
    assert run._compiled.traces == 2


def test_shorter_totals():
    run = rl.compile(
        lambda x, lengths: pad_packed_sequence(
            pack_padded_sequence(x, lengths, True, enforce_sorted=False), True, total_length=4
        )
    )
    x = rl.randn(3, 6, 2)
    for lengths in ([1, 4, 2], [3, 2, 1], [4, 4, 4], [2, 3, 1]):
        y, count = run(x, rl.tensor(lengths))
        assert y.shape == (3, 4, 2)
        assert count.tolist() == lengths
    with pytest.raises(ValueError, match="Expected total_length to be at least"):
        run(x, rl.tensor([1, 6, 2]))


@pytest.mark.parametrize("wrong", ["zero", "unsorted", "too few"])
def test_errors_are_those_of_eager_code(wrong):
    def call(x, lengths):
        packed = pack_padded_sequence(x, lengths, True, enforce_sorted=wrong != "zero")
        return pad_packed_sequence(packed, True, total_length=6)[0] * 2

    run, x = rl.compile(call), rl.randn(3, 6, 2)
    for _ in range(4):
        run(x, rl.tensor([6, 5, 2]))
    bad = rl.tensor({"zero": [6, 0, 2], "unsorted": [2, 6, 5], "too few": [6, 5]}[wrong])
    errors = []
    for f in (call, run):
        with pytest.raises(RuntimeError) as error:
            f(x, bad)
        errors.append(str(error.value))
    assert errors[0] == errors[1]


@pytest.mark.filterwarnings("ignore:compile")
def test_what_looks_at_packed_rows():
    """As a function of each element does; such captures hold for their lengths."""

    def call(x, lengths):
        packed = pack_padded_sequence(x, lengths, True, enforce_sorted=False)
        doubled = PackedSequence(packed.data * 2, *packed[1:])
        return pad_packed_sequence(doubled, True)[0], len(packed), packed

    run, x = rl.compile(call), rl.randn(3, 6, 2)
    for lengths in ([6, 5, 2], [6, 5, 2], [6, 5, 2], [1, 2, 6], [3, 3, 6], [6, 5, 2]):
        lengths = rl.tensor(lengths)
        (y, n, packed), (z, m, expected) = run(x, lengths), call(x, lengths)
        rl.testing.assert_close(y, z)
        assert n == m == 4
        assert isinstance(packed, PackedSequence)
        rl.testing.assert_close(tuple(packed), tuple(expected))


@pytest.mark.filterwarnings("ignore:compile")
@pytest.mark.parametrize("options", [{"kind": "RNN", "nonlinearity": "relu"}, {"dropout": 0.5}])
def test_what_padding_would_change_is_packed(options):
    rl.manual_seed(0)
    layers = 2 if "dropout" in options else 1
    model = Tagger(num_layers=layers, **options)
    run, lengths = rl.compile(model._call_impl), rl.tensor([6, 5, 2, 1, 3])
    for _ in range(4):
        x = rl.randint(0, 20, (5, 6))
        state = rl.get_rng_state()
        expected = model(x, lengths)
        rl.set_rng_state(state)
        rl.testing.assert_close(run(x, lengths), expected)


def test_only_captures_stay_padded():
    x, lengths = rl.randn(2, 3, 4), rl.tensor([3, 1])
    assert type(pack_padded_sequence(x, lengths, True)) is PackedSequence
    assert issubclass(PaddedSequence, PackedSequence)
