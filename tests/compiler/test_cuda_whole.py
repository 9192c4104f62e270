"""Functions of many kernels on a GPU that an emulator runs: values and gradients are the CPU's."""

import copy

import numpy as np
import pytest

import rushlight as torch
from rushlight import gpu, nn
from rushlight.compiler.backends.cuda.program import CudaProgram
from rushlight.compiler.graph import Graph, Input, Node
from rushlight.compiler.steps import Product
from rushlight.nn import functional as F
from rushlight.ops.matmul import Matmul

from .cuda_emulator import needs_compiler
from .emulated import EmulatedDriver

pytestmark = needs_compiler


@pytest.fixture(autouse=True)
def emulated():
    before = gpu.replace([EmulatedDriver()])
    yield
    gpu.replace(before)


def image(x):
    """Convolutions, with and without groups, and pools."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 6, 3, 2, 1), nn.MaxPool2d(3, 1), nn.Conv2d(6, 6, 3, groups=6), nn.AvgPool2d(2)
    )
    return net.to(x.device)(x)


def sequence(x):
    """A recurrent layer, and attention by heads that lie beside each other."""
    torch.manual_seed(0)
    y = nn.GRU(4, 6).to(x.device)(x)[0].reshape(5, 2, 2, 3).permute(1, 2, 0, 3)
    return F.scaled_dot_product_attention(y, y, y, is_causal=True)


def table(w):
    """Rows read and gradients added, the largest, and running sums."""
    where = torch.tensor([3, 0, 3, 1], device=w.device)
    return F.embedding(where, w).topk(2, 1)[0].cumsum(0)


def turned(a, b):
    """Products of matrices that no library takes."""
    return a.transpose(1, 2) @ b.permute(0, 2, 3, 1)


@pytest.mark.parametrize(
    "f, shapes",
    [
        (image, [(2, 2, 17, 17)]),
        (sequence, [(5, 2, 4)]),
        (table, [(5, 3)]),
        (turned, [(2, 5, 3, 4)] * 2),
    ],
)
def test_values_and_gradients(f, shapes, recwarn):
    found = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(1)
        inputs = [torch.randn(*s).to(device).requires_grad_() for s in shapes]
        y = f(*inputs)
        y.pow(2).sum().backward()
        found.append([t.detach().cpu() for t in (y, *[x.grad for x in inputs])])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
    assert not [w for w in recwarn if "no GPU kernel" in str(w.message)]


def test_integers_are_multiplied():
    a, b = torch.arange(12).reshape(3, 4), torch.arange(20).reshape(4, 5) - 9
    np.testing.assert_array_equal((a.cuda() @ b.cuda()).cpu(), a @ b)


def test_parameters_that_are_arrays(recwarn):
    """Arrays among an op's parameters are told apart by what they hold."""
    x = torch.randn(1, 2, 6, 7)
    for f in (
        lambda x: F.adaptive_avg_pool2d(x, 3),
        lambda x: F.adaptive_avg_pool2d(x, (4, 3)),
        lambda x: F.interpolate(x, size=(4, 9)),
        lambda x: F.interpolate(x, size=(4, 3)),
        lambda x: x.clone(memory_format=torch.channels_last),
    ):
        np.testing.assert_allclose(f(x.cuda()).cpu(), f(x), rtol=1e-5, atol=1e-6)
    assert not [w for w in recwarn if "no GPU kernel" in str(w.message)]


KINDS = [torch.float32, torch.float16, torch.bfloat16, torch.float64]


def test_products_of_halves_are_not_widened(recwarn):
    torch.manual_seed(0)
    x, layer = torch.randn(40, 30), nn.Linear(30, 20)
    for d in (torch.float16, torch.bfloat16):
        given, made = x.to(d), copy.deepcopy(layer).to(d)
        expected, found = given @ given.T, given.cuda() @ given.T.cuda()
        assert found.dtype is d and torch.allclose(
            found.cpu().float(), expected.float(), 1e-2, 1e-2
        )
        a = made(given)
        b = made.cuda()(given.cuda())
        assert b.dtype is d and torch.allclose(b.cpu().float(), a.float(), 1e-2, 1e-2)
        program = CudaProgram(product_of(d), EmulatedDriver())
        assert [type(step) for step in program.lowering.steps] == [Product]
    assert not recwarn


def product_of(d):
    """A graph of one product."""
    graph = Graph()
    a, b, out = [graph.value((8, 8), d.numpy) for _ in range(3)]
    graph.inputs = [Input(v, "argument", k) for k, v in enumerate((a, b))]
    graph.nodes = [Node(Matmul.instance, [a, b], {}, [out])]
    graph.results = [out]
    return graph


@pytest.mark.parametrize("d", KINDS, ids=str)
@pytest.mark.parametrize("groups, shape", [(2, (4, 8, 6, 6)), (8, (3, 8)), (1, (2, 4, 5))])
def test_group_norm(groups, shape, d, recwarn):
    found = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        x, m = torch.randn(shape), nn.GroupNorm(groups, shape[1])
        with torch.no_grad():
            m.weight.uniform_()
        x, m = x.to(device, d).requires_grad_(), m.to(device, d)
        y = m(x)
        (y * y.detach().abs()).sum().backward()
        found.append([
            t.cpu().double().numpy() for t in (y.detach(), x.grad, m.weight.grad, m.bias.grad)
        ])  # fmt: skip
    assert not recwarn
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5}.get(d, 3e-2)
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, tolerance, tolerance)


@pytest.mark.parametrize("d", KINDS, ids=str)
@pytest.mark.parametrize("shape", [(8, 3), (4, 3, 5), (2, 3, 4, 5)], ids=str)
def test_batch_norm(shape, d, recwarn):
    found = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        x = (torch.randn(shape) * 2 + 1).to(device, d).requires_grad_()
        m = nn.BatchNorm2d(3) if len(shape) > 3 else nn.BatchNorm1d(3)
        m.to(device, torch.float64 if d is torch.float64 else torch.float32)
        with torch.no_grad():
            m.weight.copy_(torch.tensor([0.5, 1.5, -1.0]))
            m.bias.copy_(torch.tensor([0.1, 0.0, 3.0]))
        y = m(m(x))
        (y * y.detach().abs()).sum().backward()
        found.append(
            [
                t.cpu().double().numpy()
                for t in (y.detach(), x.grad, *m.state_dict().values(), m.weight.grad, m.bias.grad)
            ]
        )
        assert y.dtype is d and x.grad.dtype is d
    assert not [str(w.message) for w in recwarn]
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5}.get(d, 2e-2)
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, tolerance, tolerance)
