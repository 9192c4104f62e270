"""Packed sequences, recurrent layers over them, and the arguments that are refused."""

import pytest

import rushlight as rl

LENGTHS = [[4, 3, 1], [4, 4, 4], [1, 1, 1]]


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [*LENGTHS, [1, 4, 2]], ids=str)
def test_pack_and_pad(twin, batch_first, lengths):
    def program(t, nn):
        u = nn.utils.rnn
        x = t.arange(24.0).reshape(*((3, 4) if batch_first else (4, 3)), 2).requires_grad_()
        packed = u.pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
        padded, counts = u.pad_packed_sequence(packed, batch_first, -1.0, total_length=5)
        (padded * padded).sum().backward()
        again = u.pack_sequence(u.unpack_sequence(packed), enforce_sorted=False)
        return list(packed), padded, counts, x.grad, list(again)

    twin(program)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_pad_sequence(twin, side, batch_first):
    def program(t, nn):
        u = nn.utils.rnn
        tensors = [t.ones(2, 3), t.ones(4, 3) * 2, t.ones(1, 3) * 3]
        padded = u.pad_sequence(tensors, batch_first, 9.0, side)
        # a copy: torch's unpad_sequence transposes its argument in place
        return padded, u.unpad_sequence(padded.clone(), t.tensor([2, 4, 1]), batch_first)

    twin(program)


@pytest.mark.parametrize(
    "act",
    [
        lambda t, u: u.pack_padded_sequence(t.ones(3, 2), [1, 3]),
        lambda t, u: u.pack_padded_sequence(t.ones(3, 2), [3]),
        lambda t, u: u.pack_padded_sequence(t.ones(3, 2), [3, 0]),
        lambda t, u: u.pack_padded_sequence(t.ones(0, 2), [1]),
        lambda t, u: u.pad_sequence([]),
        lambda t, u: u.pad_sequence(3),
        lambda t, u: u.pad_sequence([t.ones(1)], padding_side="up"),
        lambda t, u: u.pad_sequence([t.ones(1, 2), t.ones(1, 3)]),
        lambda t, u: u.pad_packed_sequence(u.pack_sequence([t.ones(3)]), total_length=1),
        lambda t, u: u.PackedSequence(t.ones(3)),
    ],
)
def test_packing_refused(twin, act):
    assert isinstance(twin(lambda t, nn: act(t, nn.utils.rnn)), Exception)


def test_lengths_beyond_the_padding_are_refused():
    with pytest.raises(RuntimeError, match=r"a length is 6, .* have 5 steps.*batch_first"):
        rl.nn.utils.rnn.pack_padded_sequence(rl.ones(5, 2), [6, 3])


def test_packed_sequence(twin):
    def program(t, nn):
        packed = nn.utils.rnn.pack_sequence([t.ones(2), t.ones(3)], enforce_sorted=False)
        kinds = [getattr(packed, n)().data.dtype for n in ("double", "half", "int", "long", "byte")]
        return (
            packed,
            kinds,
            packed.to("cpu") is packed,
            packed.is_cuda,
            packed.to(t.float64).data.dtype,
        )

    twin(program)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("lengths", [*LENGTHS, [1, 4, 2]], ids=str)
@pytest.mark.parametrize("given", [False, True], ids=["zero state", "given state"])
def test_packed_layers(twin, kind, lengths, given):
    def program(t, nn):
        layer = getattr(nn, kind)(2, 3, num_layers=2, bidirectional=True)
        x = t.randn(4, 3, 2, requires_grad=True)
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        state = t.randn(4, 3, 3) if given else None
        if given and kind == "LSTM":
            state = (state, state * 2)
        out, last = layer(packed, state)
        padded, _ = nn.utils.rnn.pad_packed_sequence(out)
        final = last if kind == "LSTM" else (last,)
        (padded.square().sum() + sum(s.square().sum() for s in final)).backward()
        return list(out), last, x.grad, [p.grad for p in layer.parameters()]

    twin(program, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_states_and_steps(twin, kind):
    """Running in two parts with the state handed on is running at once."""

    def program(t, nn):
        layer = getattr(nn, kind)(2, 3, batch_first=True)
        x = t.randn(2, 6, 2)
        first, state = layer(x[:, :4])
        second, last = layer(x[:, 4:], state)
        whole, final = layer(x)
        return first, second, last, whole, final

    twin(program)


def test_dropout_between_layers(twin):
    def program(t, nn):
        layer = nn.GRU(2, 3, num_layers=3, dropout=0.5)
        x = t.randn(4, 3, 2)
        trained = layer(x)[0]
        return trained, layer.eval()(x)[0]

    twin(program)


@pytest.mark.parametrize(
    "act",
    [
        lambda t, nn: nn.RNN(2, 3, dropout=0.5),
        lambda t, nn: nn.RNN(2, 3, dropout=2),
        lambda t, nn: nn.RNN(2, 3, nonlinearity="x"),
        lambda t, nn: nn.RNN(2, 0),
        lambda t, nn: nn.RNN(2, 3, 0),
        lambda t, nn: nn.RNN(2, 3.0),
        lambda t, nn: nn.RNN(2, 3, bias=1),
        lambda t, nn: nn.GRU(2, 3, proj_size=2),
        lambda t, nn: nn.LSTM(2, 3, proj_size=3),
        lambda t, nn: nn.LSTM(2, 3, proj_size=-1),
        lambda t, nn: nn.RNN(2),
        lambda t, nn: nn.RNNBase("X", 2, 3),
        lambda t, nn: nn.LSTM(2, 3)(t.ones(4, 2, 3)),
        lambda t, nn: nn.LSTM(2, 3)(t.ones(2)),
        lambda t, nn: nn.LSTM(2, 3)(t.ones(0, 2, 2)),
        lambda t, nn: nn.LSTM(2, 3)(t.ones(4, 2, 2).double()),
        lambda t, nn: nn.LSTM(2, 3)(t.ones(4, 2, 2), (t.ones(1, 2, 4), t.ones(1, 2, 3))),
        lambda t, nn: nn.LSTM(2, 3)(t.ones(4, 2, 2), (t.ones(1, 2, 3), t.ones(1, 2, 4))),
        lambda t, nn: nn.LSTM(2, 3)(t.ones(4, 2), (t.ones(1, 2, 3), t.ones(1, 2, 3))),
        lambda t, nn: nn.GRU(2, 3)(t.ones(4, 2, 2), t.ones(1, 3)),
        lambda t, nn: nn.GRU(2, 3)(t.ones(4, 2, 2), t.ones(1, 2, 4)),
        lambda t, nn: nn.GRUCell(2, 3)(t.ones(4, 3)),
        lambda t, nn: nn.GRUCell(2, 3)(t.ones(4, 2), t.ones(3, 3)),
        lambda t, nn: nn.GRUCell(2, 3)(t.ones(4, 2), t.ones(4, 4)),
        lambda t, nn: nn.GRUCell(2, 3)(t.ones(4, 2), (t.ones(4, 3),)),
        lambda t, nn: nn.RNNCell(2, 3)(t.ones(4, 2), 3),
        lambda t, nn: nn.LSTMCell(2, 3)(t.ones(4, 2, 1, 1)),
        lambda t, nn: nn.LSTMCell(2, 3)(t.ones(4, 2), t.ones(4, 3)),
        lambda t, nn: nn.LSTMCell(2, 3)(t.ones(4, 2), t.ones(2, 4, 3)),
        lambda t, nn: nn.LSTMCell(2, 3)(t.ones(4, 2), t.ones(3)),
        lambda t, nn: nn.LSTMCell(2, 3)(t.ones(4, 2), (t.ones(4, 3),)),
        lambda t, nn: nn.LSTMCell(2, 3)(t.ones(4, 2), (t.ones(4, 3),) * 3),
        lambda t, nn: nn.LSTMCell(2, 3)(t.ones(4, 2), (t.ones(4, 3), t.ones(4, 4))),
        lambda t, nn: nn.LSTMCell(2, 3)(t.ones(4, 2), 3),
        lambda t, nn: nn.functional.layer_norm(t.ones(4, 2), 2),
        lambda t, nn: nn.functional.rms_norm(t.ones(4, 2), 2),
        lambda t, nn: nn.RNNCell(2, 3, nonlinearity="x")(t.ones(4, 2)),
    ],
)
def test_refused(twin, act):
    assert isinstance(twin(act), Exception)


def test_cell_by_hand_is_the_layer(twin):
    def program(t, nn):
        cell = nn.LSTMCell(2, 3)
        x = t.randn(5, 4, 2)
        state = (t.zeros(4, 3), t.zeros(4, 3))
        outputs = []
        for step in x:
            state = cell(step, state)
            outputs.append(state[0])
        return t.stack(outputs), state

    twin(program)


def test_parameters_by_layer(twin):
    def program(t, nn):
        layer = nn.LSTM(2, 3, 2, bidirectional=True, proj_size=2)
        layer.flatten_parameters()
        return [[tuple(p.shape) for p in group] for group in layer.all_weights]

    twin(program)


def test_other_tensors_in_the_places_of_weights(twin):
    """As libraries say that run layers on weights of their own."""

    def program(t, nn):
        layer, x = nn.GRU(2, 3), t.randn(4, 2, 2)
        own = [(2 * p.detach()).requires_grad_() for p in layer.parameters()]
        layer._flat_weights = own
        out, last = layer(x)
        out.sum().backward()
        return out, last, [w.grad for w in own]

    twin(program)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_gradients_of_both_orders(kind):
    """Of inputs, weights and states, against finite differences; also over packed sequences."""
    layer = getattr(rl.nn, kind)(1, 2).double()
    names = [name for name, _ in layer.named_parameters()]
    x = rl.randn(2, 2, 1, dtype=rl.float64, requires_grad=True)

    def run(x, *weights):
        packed = rl.nn.utils.rnn.pack_padded_sequence(x, [2, 1])
        named = dict(zip(names, weights, strict=True))
        out, last = rl.func.functional_call(layer, named, (packed,))
        return (out.data, *(last if kind == "LSTM" else (last,)))

    inputs = (x, *layer.parameters())
    assert rl.autograd.gradcheck(run, inputs)
    assert rl.autograd.gradgradcheck(run, inputs)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves(dtype):
    """Computed in float32 and rounded, so close to the float32 result."""
    layer = rl.nn.LSTM(3, 4)
    x = rl.randn(5, 2, 3)
    expected = layer(x)[0]
    kind = getattr(rl, dtype)
    out, (h, c) = layer.to(kind)(x.to(kind))
    assert out.dtype == h.dtype == c.dtype == kind
    assert rl.allclose(out.float(), expected, atol=0.02)
    out.sum().backward()
    assert layer.weight_hh_l0.grad.dtype == kind
