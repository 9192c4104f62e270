"""How nodes of the graph are called, as every printed result shows."""

import pytest
import torch

import rushlight
from tests.ops.calls import perform
from tests.ops.samples import load

OPS = {name: op for name, op in load().items() if op.grad}
# What is called otherwise, and why. Dots and brackets are those of the sample.
DIFFERENT = {
    "Tensor.__rsub__": "called by hand, with a tensor: one rule serves numbers and tensors",
    "rnn_tanh": "both directions, run layer by layer: its last operation is a view",
    "rnn_relu": "as rnn_tanh",
    "gru": "as rnn_tanh",
    "lstm": "as rnn_tanh",
    "lstm_cell": "both states are outputs of one node, called as that of h",
    "native_group_norm": "mean and scale are reshaped for the caller",
    "norm_except_dim": "one norm, without the copies that torch makes first",
    "native_channel_shuffle": "torch's has no gradient on a CPU",
    "nn.functional.native_channel_shuffle": "torch's has no gradient on a CPU",
    "special.ndtr": "one operation here",
    "special.round": "the same operation as round",
    "masked.mean": "a mean without a mask is a mean",
    "linalg.tensorinv": "a view",
    "fake_quantize_per_tensor_affine": "one rule serves numbers and tensors",
    "linalg.cond": "a quotient",
    "linalg.matrix_power": "to the power of 0 it is the identity plus nothing",
    "frobenius_norm": "the same operation as norm",
    "stft": "a transposed view",
    "sort": "always stable; a number is one line",
    "cumsum": "a number is one line",
    "cumprod": "a number is one line",
    "sum": "of no dims: of all",
    "transpose": "of a number: itself",
    "swapaxes": "of a number: itself",
    "swapdims": "of a number: itself",
}


def names(result):
    """How the nodes of all results are called; None for those without one."""
    nodes = [t.grad_fn for t in result.tensors()]
    return [None if node is None else type(node).__name__ for node in nodes]


@pytest.mark.parametrize("name", OPS)
def test_functions(name):
    """torch's name for each result; those listed above must differ in some sample."""
    forms = [(None, None)]
    if "." not in name and hasattr(torch.Tensor, name):
        forms.append((getattr(torch.Tensor, name), getattr(rushlight.Tensor, name)))
    different = []
    for sample in OPS[name].samples:
        for theirs, ours in forms:
            expected = perform(torch, name, sample, OPS[name].base, theirs, track=True)
            if expected.error is not None:
                continue
            got = perform(rushlight, name, sample, OPS[name].base, ours, track=True)
            if names(got) != names(expected):
                different.append(f"{name}{sample}: {names(got)} against {names(expected)}")
    if name in DIFFERENT:
        assert different, "this has torch's names: take it off the list"
    else:
        assert not different, "\n".join(different)


SPOKEN = [  # as programs write it; x and y are (3, 3), v is (3,)
    "x.T", "x.mT", "x.H", "x + 1", "1 + x", "x - 1", "1 - x", "x * 2", "x / 2", "2 / x", "-x",
    "abs(x)", "x ** 2", "x ** y", "2 ** x", "x % 2", "x % y", "x @ y", "x @ v", "v @ x", "v @ v",
    "x[0]", "x[:, 0]", "x[0, 1:]", "x[1:, 0]", "x[[0, 1]]", "x[None]", "x[:]", "x[...]", "x[x > 1]",
    "x[1, 2]", "x[0:2, None]", "x.t().reshape(9)", "x.t().contiguous()", "x.double()",
    "x.to(t.float32, copy=True)", "x.split([1, 2])[1]", "x.split(2)[0]", "x.clamp(min=0)",
    "x.masked_fill(x > 1, t.tensor(0.0))", "x.diag()", "x.trace()", "t.dist(x, y)",
    "t.einsum('ij,jk->ik', x, y)", "t.einsum('ij->i', x)", "t.einsum('i,i->', v, v)",
    "t.complex(v, v).conj()", "t.fft.fft(v)", "t.linalg.lstsq(x[:, :2], v.unsqueeze(1))[0]",
    "x.clone().zero_()", "x.clone().fill_(1.0)", "x.clone().sub_(y, alpha=2)", "x.clone().add_(1)",
    "t.nn.utils.parametrizations.weight_norm(t.nn.Linear(2, 2)).weight",
    "t.nn.LSTM(3, 2)(x[None])[0]", "t.nn.LSTM(3, 2)(x[None])[1][0]", "t.nn.GRU(3, 2)(x[None])[0]",
    "t.nn.utils.rnn.pad_sequence([v, v[:2]])", "t.nn.utils.rnn.pack_sequence([v, v[:2]]).data",
    "t.nn.utils.rnn.pad_packed_sequence(t.nn.utils.rnn.pack_sequence([x, x[:2]]))[0]",
    "t.nn.GRU(3, 2)(t.nn.utils.rnn.pack_sequence([x, x[:2]]))[0].data",
    "t.nn.LSTMCell(3, 2)(x)[0]", "t.nn.GRUCell(3, 2)(x)",
    "t.autograd.grad((x**3).sum(), x, create_graph=True)[0]",
    "t.nn.functional.interpolate(x[None, None], 5, mode='nearest-exact')",
]  # fmt: skip


@pytest.mark.parametrize("program", SPOKEN)
def test_programs(program):
    seen = []
    for lib in (rushlight, torch):
        x = (lib.arange(1.0, 10).reshape(3, 3) / 4).requires_grad_()
        y = x.detach().clone().requires_grad_()
        v = lib.arange(1.0, 4).requires_grad_()
        seen.append(type(eval(program, {"t": lib, "x": x, "y": y, "v": v}).grad_fn).__name__)
    assert seen[0] == seen[1]


def test_a_name_outlives_backward_and_is_printed():
    x = rushlight.tensor([1.0, 2.0], requires_grad=True)
    d = rushlight.dist(x, rushlight.zeros(2))
    assert repr(d) == "tensor(2.2361, grad_fn=<DistBackward0>)"
    d.backward()
    assert d.grad_fn.name() == "DistBackward0"
