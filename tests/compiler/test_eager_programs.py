"""Eager operations that run as programs of one node: results, layouts, and memory."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import rushlight as rl
from rushlight.compiler import eager
from rushlight.core.elementwise import Elementwise
from rushlight.core.native import LEAST, kernels, without_kernels
from rushlight.core.op import Op
from rushlight.ops.attention import Attention, AttentionGrad
from rushlight.ops.reduce import Mean, Sum
from rushlight.ops.softmax import SoftmaxGrad
from tests.compiler.operands import FLOATS, below, close, values
from tests.ops.calls import array_of, perform
from tests.ops.samples import DType, load


def classes():
    """All ops that become programs."""
    return [c for c in below(Op) if not issubclass(c, Elementwise)]


def fenced(graph, fences):
    """Arrays for a graph's ends amid bytes that nobody may write to."""
    outs = []
    for v in graph.ends():
        size = math.prod(v.shape) * v.dtype.itemsize
        memory = np.full(size + 2 * 1024, 0xAB, np.uint8)
        fences += [memory[:1024], memory[1024 + size :]]
        outs.append(memory[1024 : 1024 + size].view(v.dtype).reshape(v.shape))
    return outs


@pytest.fixture
def always(monkeypatch):
    """However small, arrays are offered; returns the names of the ops that kernels computed."""
    used, fences = set(), []
    find = eager.find
    rl.ones(LEAST).exp()  # the first call of a kernel loads the finder that is replaced here

    def note(op, arrays, params):
        out = find(op, arrays, params)
        if out is not None:
            used.add(type(op).__name__)
        assert all((f == 0xAB).all() for f in fences), f"{type(op).__name__} writes past its result"
        fences.clear()
        return out

    monkeypatch.setattr(eager, "empty_outputs", lambda graph: fenced(graph, fences))
    monkeypatch.setattr(eager, "NEAR", eager.PROGRAMS)
    monkeypatch.setattr(eager, "BROAD", eager.PROGRAMS)
    monkeypatch.setattr(Op, "least", 1)
    for c in classes():
        if "least" in c.__dict__:
            monkeypatch.setattr(c, "least", 1)
    monkeypatch.setattr(kernels, "find", note)
    return used


SAMPLES = load()


FAMILIES = {
    "softmax": {"Softmax", "SoftmaxGrad"},
    "log_softmax": {"LogSoftmax", "LogSoftmaxGrad"},
    "sum": {"Sum"},
    "mean": {"Mean"},
    "prod": {"Prod"},
    "var": {"Var"},
    "std": {"Std"},
    "cumsum": {"Cumsum"},
    "cumprod": {"Cumprod"},
    "nn.functional.conv1d": {"Conv", "ConvInput", "ConvWeight", "Sum"},
    "nn.functional.conv2d": {"Conv", "ConvInput", "ConvWeight", "Sum"},
    "nn.functional.conv_transpose2d": {"Conv", "ConvInput", "ConvWeight", "Sum"},
    "nn.functional.max_pool2d": {"MaxPool", "MaxPoolSpread"},
    "nn.functional.avg_pool2d": {"AvgPool", "AvgPoolSpread"},
    "nn.functional.cross_entropy": {"LogSoftmax", "NllGrad"},
    "nn.functional.scaled_dot_product_attention": {"Attention", "AttentionGrad"},
    "matmul": {"Matmul"},
    "bmm": {"Matmul"},
    "nn.functional.linear": {"Linear", "Matmul"},
    "nn.functional.layer_norm": {"RowNormGrad"},
    "nn.functional.group_norm": {"RowNormGrad"},
    "nn.functional.batch_norm": {"ChannelNormGrad"},
    "nn.functional.nll_loss": {"NllGrad"},
    "nn.functional.mse_loss": {"MseLoss"},
    "nn.functional.l1_loss": {"L1Loss"},
    "nn.functional.smooth_l1_loss": {"SmoothL1Loss"},
    "nn.functional.binary_cross_entropy_with_logits": {"BinaryCrossEntropyWithLogits"},
}


def outcome(name, sample):
    """Results, and gradients of order 1, of a sample."""
    result = perform(rl, name, sample, "float64", track=True)
    assert result.error is None, result.error
    tracked = [t for t in result.tensors() if t.requires_grad]
    found = [array_of(t.detach()) for t in result.tensors()]
    if tracked:
        inputs = [t for t in result.call.tensors if t.requires_grad]
        grads = rl.autograd.grad([t.sum() for t in tracked], inputs, allow_unused=True)
        found += [None if g is None else array_of(g) for g in grads]
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_samples(name, always):
    for sample in SAMPLES[name].samples:
        given = any(isinstance(v, DType) for v in (*sample.args, *sample.kwargs.values()))
        with without_kernels():
            expected = outcome(name, sample)
        for a, b in zip(outcome(name, sample), expected, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                assert a.strides == b.strides
                close(a, b, "float32" if given else "float64")
    assert always >= FAMILIES[name]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [4096, 8192 + 77, 300_000])
def test_totals(n, dtype):
    """Sums of everything are as exact as NumPy's, for each layout."""
    x = np.random.default_rng(0).random((2, n // 2)).astype(dtype)
    eps = np.finfo(dtype).eps
    for keepdim in (False, True):
        for a in (x, x.T, x[None]):
            out = eager.find(Sum.instance, (a,), {"dim": None, "keepdim": keepdim})
            assert out.shape == ((1,) * a.ndim if keepdim else ())
            np.testing.assert_allclose(out, a.astype("f8").sum(), rtol=2 * eps)
            mean = eager.find(Mean.instance, (a,), {"dim": None, "keepdim": keepdim})
            np.testing.assert_allclose(mean, a.astype("f8").mean(), rtol=2 * eps)
    out = eager.find(Sum.instance, (x[None],), {"dim": (1, 2), "keepdim": False})
    assert out.shape == (1,)
    assert eager.find(Sum.instance, (x[:, ::2],), {"dim": None, "keepdim": False}) is None
    long = np.ones((2, eager.LONGEST + 1), dtype)
    assert eager.find(Sum.instance, (long,), {"dim": (1,), "keepdim": False}) is None


PRODUCTS = {
    "rows": lambda x: x,
    "columns": lambda x: np.asfortranarray(x),
    "every second": lambda x: np.repeat(x, 2, 1)[:, ::2],
    "expanded": lambda x: np.broadcast_to(x[:1], x.shape),
    "of wider rows": lambda x: np.concatenate([x, x], 1)[:, 70:],
    "of taller columns": lambda x: np.concatenate([x, x]).T.copy().T[:150],
    "backwards": lambda x: x[::-1],
    "across each other": lambda x: np.lib.stride_tricks.sliding_window_view(x.ravel(), 70)[:150],
    "not aligned": lambda x: unaligned(x),
}


def unaligned(x):
    """The same, not where elements may begin."""
    memory = np.zeros(x.nbytes + 1, np.uint8)[1:]
    y = memory.view(x.dtype).reshape(x.shape)
    y[...] = x
    return y


def heads(batch, time, count, width, part):
    """Vectors of each head, within wider rows."""
    x = values((batch, time, 3 * count * width), salt=part)
    x = np.nan_to_num(x, posinf=1, neginf=-1) / 4
    mine = x[..., part * count * width : (part + 1) * count * width]
    return mine.reshape(batch, time, count, width).transpose(0, 2, 1, 3)


def test_attention_reads_and_writes_heads_where_they_lie():
    q, k, v = (heads(3, 64, 4, 16, part) for part in range(3))
    g = np.broadcast_to(np.float32(0.5), q.shape)
    params = {"scale": 0.25, "is_causal": True}
    for op, given in ((Attention.instance, (q, k, v)), (AttentionGrad.instance, (g, q, k, v))):
        out = eager.find(op, (*given, None), params)
        expected = op.eager(np, *given, None, **params)
        for a, b in zip(
            *[x if type(x) in (list, tuple) else [x] for x in (out, expected)], strict=True
        ):
            np.testing.assert_allclose(a, b, atol=1e-5)
            assert a.transpose(0, 2, 1, 3).flags.c_contiguous
    entries = [e for e in eager._table.values() if hasattr(e, "copied")]
    assert not any(e.copied for e in entries if "Attention" in e.describe())


@pytest.mark.parametrize("layout", PRODUCTS)
def test_layouts_of_programs(layout):
    g, y = (PRODUCTS[layout](values((150, 70))) for _ in range(2))
    y = np.nan_to_num(y, posinf=1, neginf=-1)
    g = np.nan_to_num(g, posinf=1, neginf=-1)
    for dim in (0, 1):
        out = eager.find(SoftmaxGrad.instance, (g, y), {"dim": dim})
        expected = SoftmaxGrad.instance.eager(np, g, y, dim=dim)
        np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-4)
        assert out.flags.c_contiguous


def test_products_of_gradients_ask(monkeypatch):
    asked = []
    x, w = rl.randn(256, 300), rl.randn(280, 300, requires_grad=True)  # kernels are loaded by now
    monkeypatch.setattr(kernels, "find", lambda op, *call: asked.append(type(op).__name__))
    (x @ w.t()).sum().backward()
    assert asked.count("Matmul") == 2


def test_a_check_that_fails():
    """NumPy says what is wrong."""
    x, target = rl.randn(2000, 10), rl.randint(0, 10, (2000,))
    rl.nn.functional.cross_entropy(x, target)
    target[7] = 10
    with pytest.raises(IndexError, match="10"):
        rl.nn.functional.cross_entropy(x, target)


def test_empty_and_wrong(always):
    """What NumPy refuses is refused with its text, and empty arrays stay with it."""
    assert rl.zeros(0, 3).softmax(1).shape == (0, 3)
    with pytest.raises(RuntimeError, match="conv"):
        rl.nn.functional.conv2d(rl.zeros(1, 2, 5, 5), rl.zeros(1, 3, 2, 2))


def test_programs_share_memory():
    x, w = rl.randn(8, 16, 16, 16), rl.randn(16, 16, 3, 3)
    for _ in range(2):
        with without_kernels():
            expected = rl.nn.functional.conv2d(x, w, padding=1)
        assert rl.allclose(rl.nn.functional.conv2d(x, w, padding=1), expected, atol=1e-3)
        x = rl.nn.functional.conv2d(x, w, padding=1)
    built = [p for p in eager._table.values() if hasattr(p, "scratch")]
    assert all(p.lock is built[0].lock for p in built)


def test_threads_at_once():
    """Several Python threads may ask at the same time."""
    x, w = rl.randn(8, 16, 16, 16), rl.randn(16, 16, 3, 3)
    expected = rl.nn.functional.conv2d(x, w), rl.nn.functional.gelu(x), x.softmax(1)

    def work(_):
        return rl.nn.functional.conv2d(x, w), rl.nn.functional.gelu(x), x.softmax(1)

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(work, range(16)):
            assert all(rl.equal(a, b) for a, b in zip(found, expected, strict=True))
