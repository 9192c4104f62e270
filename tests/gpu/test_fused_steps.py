"""Steps of optimizers on a GPU, which run as programs from the third on."""

import contextlib
import copy

import pytest

import rushlight as torch
from rushlight import nn
from tests.gpu.programs import on_host, same_models

pytestmark = pytest.mark.filterwarnings("ignore:.*has no GPU kernel:UserWarning")


@pytest.fixture(autouse=True)
def programs(gpus):
    """What runs graphs: ops on copies for simulated GPUs, real programs for real ones."""
    with on_host() if gpus is not None else contextlib.nullcontext():
        yield


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
        lambda p: torch.optim.AdamW(p, lr=0.01),
        lambda p: torch.optim.RMSprop(p, lr=0.01, centered=True),
    ],
)
def test_programs_of_optimizers(make):
    first = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    models = [copy.deepcopy(first), copy.deepcopy(first).cuda()]
    optimizers = [make(m.parameters()) for m in models]
    for k in range(6):
        x = torch.randn(5, 3)
        for model, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad()
            model(x.to(model[0].weight.device)).square().mean().backward()
            optimizer.param_groups[0]["lr"] = 0.1 / (k + 1)
            optimizer.step()
        same_models(*models)
    (plan,) = optimizers[1]._plans.values()
    assert plan.parts and plan.traces == 1
    saved = optimizers[1].state_dict()["state"]
    assert all([t.is_cuda for s in saved.values() for n, t in s.items() if n != "step"])
    models[1].cpu()  # programs no longer fit
    optimizers[1].state.clear()
    optimizers[1].zero_grad()
    models[1](torch.randn(5, 3)).sum().backward()
    optimizers[1].step()
    assert all([p.is_cpu for p in models[1].parameters()])
