"""Every layer on a GPU: results, gradients and buffers of the CPU; copies; moves."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import rushlight as torch
from tests.nn.cases import CASES
from tests.nn.test_layers import built, flat, tensors, values

CALLED = [c for c in CASES if c.inputs]


@pytest.fixture(autouse=True)
def quiet():
    """Where no kernel is, the host computes; that is not the subject."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def pair(case):
    """The layer on the CPU, and one with the same state on a GPU; float64."""
    torch.manual_seed(1)
    layer = built(case, torch.nn).double()
    if case.name.startswith("Lazy"):
        layer(*tensors(values(case), torch))
    return layer, copy.deepcopy(layer).cuda()


def run(layer, case, device):
    """Results, and the gradients of the input and the parameters."""
    torch.manual_seed(2)
    given = [
        t.detach().to(device).requires_grad_(t.requires_grad) if isinstance(t, torch.Tensor) else t
        for t in tensors(values(case), torch)
    ]
    results = flat(layer(*given, **case.call))
    differentiable = [t for t in results if t.requires_grad]
    if differentiable:
        sum((t * t).sum() for t in differentiable).backward()
    found = [*results, *[p.grad for p in layer.parameters()], *layer.state_dict().values()]
    return [*found, *[t.grad for t in given if isinstance(t, torch.Tensor)]]


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("case", CALLED, ids=str)
def test_layer(case, training):
    here, there = [layer.train(training) for layer in pair(case)]
    expected, found = run(here, case, "cpu"), run(there, case, "cuda")
    assert len(expected) == len(found)
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert (a is None) == (b is None), i
        if b is not None:
            assert a.is_cuda and a.dtype is b.dtype, f"{i}: {a.device}"
            x, y = a.detach().cpu().numpy(), b.detach().numpy()
            np.testing.assert_allclose(x, y, 1e-7, 1e-9, err_msg=str(i))


@pytest.mark.parametrize("lengths", [[9, 9, 6, 5, 2, 1], [4] * 40], ids=["few", "many"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_packed_sequences(kind, bidirectional, lengths):
    torch.manual_seed(0)
    here = getattr(torch.nn, kind)(5, 40, bidirectional=bidirectional).double()
    there = copy.deepcopy(here).cuda()
    given = torch.randn(max(lengths), len(lengths), 5).double()
    factors = torch.randn(max(lengths), len(lengths), 80 if bidirectional else 40).double()

    def run(layer, device):
        x = given.to(device).requires_grad_()
        packed, state = layer(torch.nn.utils.rnn.pack_padded_sequence(x, lengths))
        y = torch.nn.utils.rnn.pad_packed_sequence(packed)[0]
        (y * factors.to(device)).sum().backward()
        return [y.detach(), *flat(state), x.grad, *[p.grad for p in layer.parameters()]]

    for a, b in zip(run(there, "cuda"), run(here, "cpu"), strict=True):
        np.testing.assert_allclose(a.detach().cpu().numpy(), b.detach().numpy(), 1e-9, 1e-9)


def test_moves_keep_what_a_module_is():
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.LSTM(4, 2))
    parameters = list(net.parameters())
    net.to("cuda")
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
    assert all(t.is_cuda for t in net.state_dict().values())
    assert net[1].num_batches_tracked.device == torch.device("cuda:0")
    net(torch.randn(5, 3, device="cuda"))[0].sum().backward()
    net.to("cuda:1" if torch.cuda.device_count() > 1 else "cuda", torch.float16)
    last = torch.cuda.device_count() - 1
    for p in net.parameters():
        assert p.get_device() == last and p.grad.get_device() == last
        assert p.dtype is p.grad.dtype is torch.float16 and p.requires_grad and p.is_leaf
    net.cpu()
    assert all(t.is_cpu for t in [*net.state_dict().values(), *[p.grad for p in parameters]])
    with torch.device("cuda"):
        assert torch.nn.Linear(2, 3).weight.is_cuda
    assert torch.nn.Conv2d(1, 1, 3, device="cuda", dtype=torch.float64).weight.is_cuda


def test_state_dicts_cross_devices():
    here, there = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2, device="cuda")
    there.load_state_dict(here.state_dict())
    assert there.weight.is_cuda and torch.equal(there.weight.cpu(), here.weight)
    here.load_state_dict({k: v * 0 for k, v in there.state_dict().items()})
    assert here.weight.is_cpu and not here.weight.any()


@pytest.mark.parametrize("how", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_stay_on_their_device(how):
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).cuda()
    tied = torch.nn.ModuleList([net[0], net[0]])
    other = how(net)
    for a, b in zip(other.state_dict().values(), net.state_dict().values(), strict=True):
        assert a.device == b.device and torch.equal(a, b)
        assert a.data_ptr() != b.data_ptr()
    copied = how(tied)
    assert copied[0].weight is copied[1].weight


def test_input_and_weights_on_two_devices():
    for layer, x in (
        (torch.nn.Linear(3, 2), torch.ones(1, 3)), (torch.nn.Conv1d(3, 2, 1), torch.ones(1, 3, 4)),
        (torch.nn.LSTM(3, 2), torch.ones(1, 3)), (torch.nn.BatchNorm1d(3), torch.ones(2, 3)),
        (torch.nn.Embedding(4, 2), torch.tensor([1])), (torch.nn.LayerNorm(3), torch.ones(2, 3)),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match=r"same device, but got \w+ is on (cpu|cuda:0)"):
            layer.cuda()(x)
        with pytest.raises(RuntimeError, match=r"same device, but got \w+ is on (cpu|cuda:0)"):
            layer.cpu()(x.cuda())
