"""Compiled functions of tensors on several devices."""

import copy

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn
from tests.gpu.programs import both, close, devices, regression, rows, step_of, variants

F = nn.functional
pytestmark = [
    pytest.mark.usefixtures("programs"),
    pytest.mark.filterwarnings("ignore:.*has no GPU kernel:UserWarning"),
    pytest.mark.filterwarnings("error:compile.*:UserWarning"),
]


def mixed(step):
    """The devices of the only program of a function."""
    (variant,) = variants(step)
    return devices(variant)


def test_losses_that_are_read():
    read = []

    def make(device):
        step, history = step_of(device), []
        read.append(history)

        def logged(x):
            loss = step(x)
            history.append(loss.item())
            return loss.item() * 2

        return logged

    found = both(make, *[rows() for _ in range(5)])
    assert np.allclose(*read) and len(read[1]) == 5
    assert mixed(found) == ["cuda"]


def test_batches_that_are_moved_inside():
    step = step_of("cuda")
    plain = step_of("cpu")
    compiled = torch.compile(lambda x: step((x * 2).to("cuda")))
    direct = torch.compile(lambda x: step.model(x.cuda()).sum().detach().cpu())
    for _ in range(4):
        (x,) = rows()
        close(plain(x * 2), compiled(x))
        close(plain.model(x).sum(), direct(x))
        assert direct(x).is_cpu and compiled(x).is_cuda and plain(x * 2).is_cpu
    assert mixed(compiled) == ["cpu", "cuda"]
    assert mixed(direct) == ["cuda", "cpu"]


def test_results_that_go_to_the_cpu_and_back():
    def make(device):
        model, _ = regression(device)

        def call(x):
            y = model(x).detach()
            s = y.cpu().sort(0).values
            z = s.to(device) * y
            return y.cpu().numpy().sum(), s + 1, z, z.cpu() + s

        return call

    found = both(make, *[rows() for _ in range(4)])
    assert mixed(found) == ["cuda", "cpu", "cuda", "cpu"]


def test_state_on_both_devices():
    def make(device):
        near, far = torch.zeros(3), torch.zeros(3, device=device)
        rate = torch.tensor(0.5)

        def call(x):
            before = near.to(device) + far
            near.add_(x.sum(0).cpu())
            far.copy_(near * 2)
            far.mul_(rate)
            rate.mul_(0.9)
            near.sub_(far.cpu() * 0.1)
            return before, near * 1, far + rate

        return call

    variants(both(make, *[rows() for _ in range(5)]))


def test_two_gpus():
    if torch.cuda.device_count() < 2:
        pytest.skip("there is one GPU")
    torch.manual_seed(0)
    first, second = nn.Linear(3, 4).cuda(0), nn.Linear(4, 2).cuda(1)
    optimizer = torch.optim.SGD([*first.parameters(), *second.parameters()], lr=0.1)
    plain = copy.deepcopy(nn.Sequential(first, second)).cpu()
    other = torch.optim.SGD(plain.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = second(torch.tanh(first(x)).to("cuda:1")).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def expected(x):
        other.zero_grad()
        loss = plain[1](torch.tanh(plain[0](x))).square().mean()
        loss.backward()
        other.step()
        return loss.detach()

    compiled = torch.compile(step)
    for _ in range(4):
        (x,) = rows()
        loss = compiled(x.cuda())
        assert loss.device == torch.device("cuda:1")
        close(expected(x), loss)
    assert len(variants(compiled)) == 1
    assert first.weight.grad.device.index == 0 and second.weight.grad.device.index == 1


def test_conditions_after_a_look_at_the_loss():
    def make(device):
        model, optimizer = regression(device)
        calls = torch.zeros(())

        def step(x):
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            calls.add_(1)
            noise = torch.rand(())
            if loss.detach().cpu() * 1 < 50:
                optimizer.step()
            return loss.detach(), calls * 1, noise

        return step

    torch.manual_seed(3)
    expected = make("cpu")
    torch.manual_seed(3)
    found = make("cuda")
    compiled = torch.compile(found)
    sizes = [1, 1, 1, 1e3, 1, 1]
    batches = [rows()[0] * k for k in sizes]
    torch.manual_seed(4)
    a = [expected(x) for x in batches]
    torch.manual_seed(4)
    b = [compiled(x.cuda()) for x in batches]
    for x, y in zip(a, b, strict=True):
        for s, t in zip(x, y, strict=True):
            close(s, t)
    variants(compiled)


def test_a_table_on_the_cpu_for_a_model_on_a_gpu():
    def make(device):
        torch.manual_seed(0)
        table, model = nn.Embedding(7, 3), nn.Linear(3, 2).to(device)
        optimizer = torch.optim.Adam([*table.parameters(), *model.parameters()], lr=0.1)

        def step(k):
            optimizer.zero_grad()
            x = F.dropout(table(torch.tensor([k, 2 * k])), 0.5).to(device)
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss.detach(), table.weight.detach().norm()

        step.leaves = [*table.parameters(), *model.parameters()]
        return step

    a, b = make("cpu"), make("cuda")
    compiled = torch.compile(b)
    torch.manual_seed(1)
    expected = [a(2) for _ in range(5)]
    torch.manual_seed(1)
    found = [compiled(2) for _ in range(5)]
    for x, y in zip(expected, found, strict=True):
        close(x[0], y[0])
        close(x[1], y[1])
    assert [p.grad.device.type for p in b.leaves] == ["cpu", "cuda", "cuda"]
    for p, q in zip(a.leaves, b.leaves, strict=True):
        close(p.grad, q.grad)
    assert mixed(compiled) == ["cpu", "cuda", "cpu"]


def test_numbers_and_tensors_of_the_cpu_beside_a_gpus():
    def make(device):
        scale, bias = torch.tensor(0.5), torch.tensor([1.0, 2.0, 3.0]).to(device)

        def call(x, k):
            y = x * scale + k
            y[0] += k
            s = y.sum().item()
            return y / s, torch.full((2,), k, device=device) * scale, bias[k] * y

        return call

    variants(both(make, *[(*rows(), k) for k in (1, 2, 0, 1, 2, 0, 1, 0)]))


def test_what_is_read_of_the_cpu_and_used_on_a_gpu():
    def make(device):
        def call(x, y):
            return x * y.mean().item(), x + y.sum().item() * 2, (x.cpu() + y).to(device) * 2

        return call

    def given():
        return torch.randn(3), torch.randn(3)

    plain, compiled = make("cpu"), torch.compile(make("cuda"))
    for _ in range(5):
        x, y = given()
        for a, b in zip(plain(x, y), compiled(x.cuda(), y), strict=True):
            assert b.is_cuda
            close(a, b)
    variants(compiled)
