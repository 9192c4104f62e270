"""Calls of compiled functions on a GPU that are like the last one go straight to the program."""

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.compiler.variant import Variant
from tests.gpu.programs import close, same_models, step_of

pytestmark = [
    pytest.mark.usefixtures("programs"),
    pytest.mark.filterwarnings("ignore:.*has no GPU kernel:UserWarning"),
    pytest.mark.filterwarnings("error:compile.*:UserWarning"),
]


@pytest.fixture
def unchecked(monkeypatch):
    """A function after which no call may be checked in Python."""

    def begin():
        monkeypatch.setattr(Variant, "changed", refuse)

    def refuse(self, arguments):
        raise AssertionError("a call was checked in Python")

    return begin


def batches(count, *shape):
    return [torch.randn(*shape) for _ in range(count)]


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_steps_are_entered(kind, unchecked):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    twin = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).cuda()
    twin.load_state_dict(model.state_dict())

    def make(model):
        optimizer = kind(model.parameters(), lr=0.05)

        def step(x):
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step

    eager, step = make(model), torch.compile(make(twin))
    for k, x in enumerate(batches(12, 5, 3)):
        if k == 6:
            unchecked()
        close(eager(x), step(x.cuda()))
        same_models(model, twin)


def test_results_that_are_kept(unchecked):
    run = torch.compile(lambda x: (x * 2, x.sum()))
    found, given = [], batches(9, 4)
    for k, x in enumerate(given):
        if k == 4:
            unchecked()
        found.append(run(x.cuda()))
    for x, (double, total) in zip(given, found, strict=True):
        close(x * 2, double)
        close(x.sum(), total)


def test_arguments_of_another_kind_are_met_by_other_programs():
    run = torch.compile(lambda x, y: (x + y).sum(0))
    pairs = [
        (torch.randn(4, 3).cuda(), torch.randn(3).cuda()),
        (torch.randn(2, 3).cuda(), torch.randn(3).cuda()),
        (torch.randn(4, 3).cuda(), torch.randn(3).cuda().double()),
        (torch.randn(3, 4).cuda().t(), torch.randn(3).cuda()),
        (torch.randn(4, 3), torch.randn(3)),
        (torch.randn(4, 3).cuda(), torch.tensor(2.0)),
    ]
    for _ in range(5):
        for x, y in pairs:
            found = run(x, y)
            expected = (x.cpu() + y.cpu()).sum(0)
            assert found.device == x.device and found.dtype == expected.dtype
            close(expected, found)


def test_arguments_that_lie_in_what_the_program_writes():
    """Such a call is made as it is; those around it are entered."""
    state, twin = torch.zeros(6).cuda(), torch.zeros(6)

    def make(state):
        def step(x):
            state.add_(1)
            return x * state[:3]

        return step

    run, eager = torch.compile(make(state)), make(twin)
    for k in range(12):
        x = torch.randn(3)
        if k == 8:
            close(eager(twin[1:4]), run(state[1:4]))
        else:
            close(eager(x), run(x.cuda()))
        close(twin, state)


def test_parameters_and_gradients_that_are_replaced():
    step, twin = step_of("cuda"), step_of("cpu")
    twin.model.load_state_dict(step.model.state_dict())
    run = torch.compile(step)
    for k, x in enumerate(batches(20, 5, 3)):
        first, other = step.model[0].weight, twin.model[0].weight
        if k == 7:
            first.data, other.data = first.data * 2, other.data * 2
        if k == 10:
            first.grad = other.grad = None
        if k == 13:
            first.grad, other.grad = torch.ones_like(first), torch.ones_like(other)
        if k == 16:
            kept = first.grad
            before = kept.cpu().clone()
        close(twin(x), run(x.cuda()))
        same_models(twin.model, step.model)
        if k == 18:
            assert torch.equal(kept.cpu(), before)


def test_learning_rates_that_change(unchecked):
    step, twin = step_of("cuda"), step_of("cpu")
    twin.model.load_state_dict(step.model.state_dict())
    run = torch.compile(step)
    for k, x in enumerate(batches(14, 5, 3)):
        if k == 6:
            unchecked()
        for s in (step, twin):
            s.optimizer.param_groups[0]["lr"] = 0.1 / (1 + k)
        close(twin(x), run(x.cuda()))
        same_models(twin.model, step.model)


@pytest.mark.parametrize("to_none", [True, False])
def test_gradients_that_add_up(to_none, unchecked):
    step, twin = step_of("cuda"), step_of("cpu")
    twin.model.load_state_dict(step.model.state_dict())

    def backward(model, x):
        loss = model(x).square().mean()
        loss.backward()
        return loss.detach()

    run = torch.compile(lambda x: backward(step.model, x))
    for k, x in enumerate(batches(18, 5, 3)):
        if k == 12:
            unchecked()
        close(backward(twin.model, x), run(x.cuda()))
        same_models(twin.model, step.model)
        if k % 3 == 2:
            for s in (step, twin):
                s.optimizer.step()
                s.optimizer.zero_grad(set_to_none=to_none)
