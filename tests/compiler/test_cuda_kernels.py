"""Eager ops on a GPU whose kernels an emulator runs: what they compute, and that none runs on the
host.
"""

import threading

import numpy as np
import pytest

import rushlight as torch
from rushlight import gpu

from .cuda_emulator import needs_compiler
from .emulated import EmulatedDriver

pytestmark = needs_compiler


@pytest.fixture(autouse=True)
def emulated():
    before = gpu.replace([EmulatedDriver()])
    yield gpu.driver(0)
    gpu.replace(before)


def both(f, *shapes, dtype=torch.float32):
    """The function on the CPU and on the GPU."""
    torch.manual_seed(0)
    inputs = [torch.randn(*s).to(dtype) for s in shapes]
    here, there = f(*inputs), f(*[t.cuda() for t in inputs])
    assert there.is_cuda
    assert there.dtype == here.dtype
    np.testing.assert_allclose(there.cpu().float(), here.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "f, shapes",
    [
        (lambda a, b: a * b + 2, [(3, 4), (4,)]),
        (lambda a: torch.clamp(a, -0.5, 0.7), [(10,)]),
        (lambda a: torch.nn.functional.leaky_relu(a, 0.3), [(5, 3)]),
        (lambda a: a.t().contiguous(), [(7, 5)]),
        (lambda a: a[1:, ::2] + a[:-1, ::2], [(6, 8)]),
        (lambda a: a.mean(0), [(6, 8)]),
        (lambda a: a.var(1), [(6, 8)]),
        (lambda a, b: a @ b, [(2, 6, 8), (8, 3)]),
        (lambda a: torch.nn.functional.layer_norm(a, (8,)), [(6, 8)]),
        (lambda a: a.expand(4, 3).contiguous(), [(3,)]),
        (lambda a, b: torch.cat([a, b], 1), [(2, 3), (2, 4)]),
        (lambda a: a.argmax(1).float(), [(6, 8)]),
    ],
)
def test_values(f, shapes, recwarn):
    both(f, *shapes)
    assert not [w for w in recwarn if "no GPU kernel" in str(w.message)]


def test_writes_through_views_and_over_operands():
    for device in ("cpu", "cuda"):
        x = torch.arange(12.0, device=device).reshape(3, 4)
        x[:, 1].mul_(3)
        x.add_(x)
        x[1:].copy_(x[:2].clone())
        x.t()[2] = 5
        x += x.sum(0)
        if device == "cpu":
            expected = x
    np.testing.assert_array_equal(x.cpu(), expected)


def test_numbers_are_operands_of_one_kernel(emulated):
    x = torch.ones(4, device="cuda")
    found = {(x * k).sum().item() for k in (0.5, 1.5, 2.25)}
    assert found == {2.0, 6.0, 9.0}


def test_an_index_out_of_range_is_told_when_the_gpu_is_waited_for():
    table = torch.ones(3, 2, device="cuda")
    y = torch.nn.functional.embedding(torch.tensor([0, 3], device="cuda"), table)
    with pytest.raises(IndexError, match=r"out of range, or .* in work that cuda:0"):
        y.cpu()
    assert table.sum().item() == 6


def test_training_equals_the_cpu():
    def trained(device):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
        x, y = torch.randn(10, 4).to(device), torch.arange(10).to(device) % 3
        net.to(device)
        opt = torch.optim.Adam(net.parameters(), 0.05)
        for _ in range(3):
            opt.zero_grad()
            torch.nn.functional.cross_entropy(net(x), y).backward()
            opt.step()
        return [p.detach().cpu() for p in net.parameters()]

    for a, b in zip(trained("cpu"), trained("cuda"), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_bias_joins_what_follows_a_convolution(emulated):
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3, padding=1), torch.nn.ReLU())
    x = torch.randn(2, 2, 5, 5)
    expected = net(x)
    net.cuda()
    y = net(x.cuda())
    y.sum().backward()
    np.testing.assert_allclose(y.detach().cpu(), expected.detach(), rtol=1e-5, atol=1e-5)


def test_random_numbers_are_drawn_by_the_gpu_and_go_on_where_their_state_was_kept(recwarn):
    torch.manual_seed(5)
    drop = torch.nn.Dropout(0.3)
    x = torch.ones(4000, device="cuda")
    state = torch.cuda.get_rng_state()
    a, b = drop(x), torch.randn(1000, device="cuda")
    assert abs(float((a == 0).float().mean()) - 0.3) < 0.05
    assert abs(float(b.mean())) < 0.15 and abs(float(b.std()) - 1) < 0.1
    assert not torch.equal(drop(x), a)
    torch.cuda.set_rng_state(state)
    assert torch.equal(drop(x), a) and torch.equal(torch.randn(1000, device="cuda"), b)
    torch.manual_seed(5)
    assert torch.equal(drop(x), a)
    assert not [w for w in recwarn if "no GPU kernel" in str(w.message)]


def test_a_compiled_step_draws_what_the_eager_one_does():
    def trained(compiled):
        torch.manual_seed(1)
        net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5)).cuda()
        x, opt = torch.ones(3, 4, device="cuda"), torch.optim.SGD(net.parameters(), 0.1)

        def step():
            opt.zero_grad()
            loss = net(x).square().sum()
            loss.backward()
            opt.step()
            return loss

        step = torch.compile(step) if compiled else step
        return [step().item() for _ in range(5)]

    np.testing.assert_allclose(trained(True), trained(False), rtol=1e-5)


@pytest.mark.filterwarnings("error:compile.*:UserWarning")
def test_a_kernel_that_draws_may_be_met_while_a_call_is_traced():
    run = torch.compile(lambda x: x + torch.rand(7, 5, device=x.device))
    found = [run(torch.zeros(7, 5, device="cuda")) for _ in range(4)]
    assert len({tuple(t.cpu().flatten().tolist()) for t in found}) == 4
    assert run._compiled.eager is None


def test_threads_take_turns():
    x = torch.randn(5, 40).cuda()
    expected = torch.softmax(x, 1).cpu(), (x * 2).sum().cpu()
    wrong = []

    def work():
        for _ in range(20):
            found = torch.softmax(x, 1).cpu(), (x * 2).sum().cpu()
            wrong.extend(k for k in range(2) if not torch.equal(found[k], expected[k]))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_layouts_are_those_of_the_cpu():
    images = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    for f in (
        lambda x: x * 2, lambda x: x + torch.ones(3, 1, 1).to(x.device), lambda x: x.relu().exp(),
        lambda x: x.contiguous(), lambda x: x.clone(), lambda x: x.transpose(1, 2) + 1,
        lambda x: x.contiguous().to(memory_format=torch.channels_last), lambda x: x.sum(1),
    ):  # fmt: skip
        here, there = f(images), f(images.cuda())
        assert there.stride() == here.stride()
        np.testing.assert_allclose(there.cpu(), here, rtol=1e-5, atol=1e-6)


def test_small_types_and_numbers_that_are_no_operands():
    x = torch.tensor([[1, 2, 3], [3, 2, 1]], dtype=torch.uint8)
    assert x.cuda().argmax(1).tolist() == [2, 0] and (x > 1).cuda().amax(1).tolist() == [True] * 2
    assert (x > 1).cuda().min().item() is False
    y, at = torch.zeros(2, 3, device="cuda"), torch.tensor([[0], [1]], device="cuda")
    assert y.scatter(1, at, 0.5).tolist() == [[0.5, 0, 0], [0, 0.5, 0]]
