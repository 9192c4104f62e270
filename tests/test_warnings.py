"""Warnings come where PyTorch's do, and point at the user's line, however deep they arise."""

import io
import itertools
import warnings

import numpy as np
import pytest
import torch

import rushlight as rl
from rushlight.tensor_api import _common


def frozen():
    a = np.ones(2, np.float32)
    a.flags.writeable = False
    return a


def leaf(t):
    return t.ones(2, requires_grad=True)


def late_schedule(t):
    p = t.nn.Parameter(t.ones(1))
    t.optim.lr_scheduler.StepLR(t.optim.SGD([p], lr=0.1), 1).step()


def scatter(t, src):
    return t.ones(2).scatter(0, t.zeros(1, dtype=t.int64), src, reduce="add")


def masked(t):
    layer, x = t.nn.MultiheadAttention(2, 1), t.ones(2, 1, 2)
    layer(x, x, x, key_padding_mask=t.zeros(1, 2, dtype=t.bool), attn_mask=t.zeros(2, 2))


def encoded(t, encoder, name):
    layer = t.nn.TransformerEncoderLayer(2, 1, 2, dropout=0.0)
    if encoder:
        layer = t.nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
    padding = t.zeros(1, 2, dtype=t.bool)
    layer(t.ones(2, 1, 2), **{name: t.zeros(2, 2)}, src_key_padding_mask=padding)


LENGTHS = itertools.count(4)


def signal(t):
    """Of another length each time: pads are worked out once per shape."""
    return t.ones(1, 1, next(LENGTHS))


CALLS = {
    "module": lambda t: t.nn.Softmax()(t.ones(2, 2)),
    "nested module": lambda t: t.nn.Sequential(t.nn.LogSoftmax())(t.ones(2, 2)),
    "function": lambda t: t.nn.functional.log_softmax(t.ones(2, 2)),
    "loss": lambda t: t.nn.functional.mse_loss(t.ones(2, 1), t.ones(2)),
    "loss module": lambda t: t.nn.KLDivLoss()(t.zeros(2, 2), t.ones(2, 2)),
    "old reduction": lambda t: t.nn.functional.l1_loss(t.ones(2), t.ones(2), size_average=True),
    "out": lambda t: t.add(t.ones(3), 1, out=t.ones(2)),
    "array": lambda t: t.from_numpy(frozen()),
    "copy": lambda t: t.tensor(t.ones(2)),
    "copy by a method": lambda t: t.ones(2).new_tensor(t.ones(2)),
    "graph of a gradient": lambda t: (
        t.ones(2, requires_grad=True).prod().backward(create_graph=True)
    ),
    "all inputs": lambda t: t.autograd.grad(
        *[t.ones(1, requires_grad=True)] * 2, only_inputs=False
    ),
    "old gradients": lambda t: t.autograd.backward(
        t.ones(1, requires_grad=True), grad_variables=t.ones(1)
    ),
    "old kernels": lambda t: t.backends.cuda.sdp_kernel(),
    "dropout": lambda t: t.nn.functional.dropout2d(t.ones(2, 2)),
    "variance": lambda t: t.ones(1).var(),
    "variance of nothing": lambda t: t.ones(0, 2).var(1),
    "interpolation": lambda t: t.nn.functional.grid_sample(t.ones(1, 1, 2, 2), t.zeros(1, 1, 1, 2)),
    "layer": lambda t: t.nn.LSTM(2, 2, dropout=0.5),
    "old name": lambda t: t.nn.init.xavier_normal(t.ones(2, 2)),
    "schedule": late_schedule,
    "lost part": lambda t: t.ones(2, dtype=t.complex64).float(),
    "lost part in place": lambda t: t.ones(2).copy_(t.ones(2, dtype=t.complex64)),
    "no window": lambda t: t.stft(t.ones(40), 8, return_complex=True),
    "cross without dim": lambda t: t.cross(t.ones(3), t.ones(3)),
    "range": lambda t: t.range(0, 3),
    "chain_matmul": lambda t: t.chain_matmul(t.ones(2, 2), t.ones(2, 2)),
    "grid without indexing": lambda t: t.meshgrid(t.ones(2), t.ones(3)),
    "reversed dims": lambda t: t.ones(2, 3, 4).T,
    "reversed vector": lambda t: t.ones(2).T,
    "T of a number": lambda t: t.ones(()).T,
    "mT of a number": lambda t: t.ones(()).mT,
    "H of a number": lambda t: t.ones(()).H,
    "mH of a number": lambda t: t.ones(()).mH,
    "adjoint of a number": lambda t: t.ones(()).adjoint(),
    "cholesky": lambda t: t.cholesky(t.eye(2)),
    "qr": lambda t: t.eye(2).qr(),
    "lu": lambda t: t.eye(2).lu(),
    "lu_solve": lambda t: t.lu_solve(t.ones(2, 1), *t.linalg.lu_factor(t.eye(2))),
    "triangular_solve": lambda t: t.triangular_solve(t.ones(2, 1), t.eye(2)),
    "condition of bytes": lambda t: t.where(t.ones(2, dtype=t.uint8), t.ones(2), t.ones(2)),
    "scatter with reduce": lambda t: scatter(t, t.ones(1)),
    "real stft": lambda t: t.stft(t.ones(40), 8, window=t.ones(8), return_complex=False),
    "masks of two types": masked,
    "masks of two types for a layer": lambda t: encoded(t, False, "src_mask"),
    "masks of two types for an encoder": lambda t: encoded(t, True, "mask"),
    "autocast of a GPU": lambda t: t.autocast("cuda"),
    "autocast to float32": lambda t: t.autocast("cpu", dtype=t.float32),
    "autocast to integers": lambda t: t.autocast("cpu", dtype=t.int64),
    "autocast of a CPU": lambda t: t.cpu.amp.autocast(),
    "scaler of a CPU": lambda t: t.cpu.amp.GradScaler(),
    "older scaler": lambda t: t.cuda.amp.GradScaler(enabled=False),
    "scaler of a GPU": lambda t: t.amp.GradScaler("cuda"),
    "older autocast": lambda t: t.cuda.amp.autocast(enabled=False),
    "older custom_fwd": lambda t: t.cuda.amp.custom_fwd(lambda x: x),
    "older custom_bwd": lambda t: t.cuda.amp.custom_bwd(lambda x: x),
    "dtype of autocast": lambda t: t.get_autocast_cpu_dtype(),
    "dtype of autocast of a GPU": lambda t: t.get_autocast_gpu_dtype(),
    "dtype for autocast": lambda t: t.set_autocast_cpu_dtype(t.bfloat16),
    "dtype for autocast of a GPU": lambda t: t.set_autocast_gpu_dtype(t.float16),
    "state of autocast": lambda t: t.is_autocast_cpu_enabled(),
    "state for autocast": lambda t: t.set_autocast_cpu_enabled(False),
    "checkpoint": lambda t: t.utils.checkpoint.checkpoint(t.exp, t.ones(1, requires_grad=True)),
    "sequential checkpoint": lambda t: t.utils.checkpoint.checkpoint_sequential(
        [t.exp, t.exp], 2, t.ones(1, requires_grad=True)
    ),
    "older loss": lambda t: t.nn.NLLLoss2d(),
    "container": lambda t: t.nn.Container(),
    "older comparison": lambda t: t.testing.assert_allclose(t.ones(1), t.ones(1)),
    "memory_cached": lambda t: t.cuda.memory_cached(),
    "max_memory_cached": lambda t: t.cuda.max_memory_cached(),
    "buffer": lambda t: t.frombuffer(b"1234", dtype=t.uint8),
    "same padding": lambda t: t.nn.functional.conv1d(signal(t), t.ones(1, 1, 2), padding="same"),
    "same padding in a layer": lambda t: t.nn.Conv1d(1, 1, 2, padding="same")(signal(t)),
}


def caught(call, framework):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call(framework)
    return [w for w in found if w.category is not RuntimeWarning]


@pytest.mark.parametrize("name", CALLS)
def test_names_the_users_line(name, monkeypatch):
    monkeypatch.setattr(_common.once, "said", set())  # what is said once in a process
    assert [w.filename for w in caught(CALLS[name], rl)] == [__file__]


@pytest.mark.parametrize("name", CALLS)
def test_warns_as_torch_does(name, monkeypatch):
    """Of the same category, with the same first words, and as often: each time, or once."""
    monkeypatch.setattr(_common.once, "said", set())
    ours = [caught(CALLS[name], rl) for _ in range(2)]
    torch.set_warn_always(True)
    first = caught(CALLS[name], torch)
    torch.set_warn_always(False)
    caught(CALLS[name], torch)
    theirs = [first, caught(CALLS[name], torch)]
    assert [[w.category for w in ws] for ws in ours] == [[w.category for w in ws] for ws in theirs]
    for w, v in zip(ours[0], theirs[0], strict=True):
        assert words(w) == words(v)


def words(w):
    """The first words, without quotes and stops: what a filter would match."""
    return [word.strip("`,.:") for word in str(w.message).split()[:3]]


JIT = {
    "script": lambda t: t.jit.script(t.nn.ReLU()),
    "trace": lambda t: t.jit.trace(t.nn.ReLU(), t.ones(1)),
    "trace_module": lambda t: t.jit.trace_module(t.nn.ReLU(), {"forward": t.ones(1)}),
    "freeze": lambda t: t.jit.freeze(t.jit.script(t.nn.ReLU().eval())),
    "optimize": lambda t: t.jit.optimize_for_inference(t.jit.script(t.nn.ReLU().eval())),
    "wait": lambda t: t.jit.wait(t.jit.fork(t.relu, t.ones(1))),
    "save": lambda t: t.jit.save(t.jit.script(t.nn.ReLU()), io.BytesIO()),
}


@pytest.mark.parametrize("name", JIT)
def test_jit_warns_within_the_package(name):
    """As PyTorch's do: Python hides such warnings unless asked. Each is there, though PyTorch
    repeats some where one function calls another."""
    ours, theirs = caught(JIT[name], rl), caught(JIT[name], torch)
    assert {w.category for w in ours} == {w.category for w in theirs} == {DeprecationWarning}
    assert {*map(str, map(words, ours))} <= {*map(str, map(words, theirs))}
    assert __file__ not in [w.filename for w in (*ours, *theirs)]


def test_warn_always(monkeypatch):
    monkeypatch.setattr(_common.once, "said", set())
    monkeypatch.setattr(_common.once, "always", False)
    rl.set_warn_always(True)
    assert rl.is_warn_always_enabled()
    assert [len(caught(CALLS["reversed vector"], rl)) for _ in range(2)] == [1, 1]
    rl.set_warn_always(False)
    assert caught(CALLS["reversed vector"], rl) == []
