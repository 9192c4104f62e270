"""What optimizers and their schedules change within a compiled step."""

from __future__ import annotations

import math

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.optim import lr_scheduler
from tests.compiler.repeated import check_same, model, train

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
pytestmark = pytest.mark.usefixtures("own_cache")


SCHEDULES = {
    "step": lambda o: lr_scheduler.StepLR(o, 2, 0.5),
    "several steps": lambda o: lr_scheduler.MultiStepLR(o, [2, 5]),
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 6),
    "cosine with restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3),
    "a function": lambda o: lr_scheduler.LambdaLR(o, lambda e: min(1.0, (e + 1) / 4) * 0.95**e),
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, 0.2, total_steps=20),
    "cyclic": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=3),
    "linear": lambda o: lr_scheduler.LinearLR(o, 0.3, total_iters=4),
    "one after another": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, total_iters=3), lr_scheduler.ExponentialLR(o, 0.9)], [3]
    ),
    "on a plateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=1),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_within_a_step(name):
    def make():
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        schedule = SCHEDULES[name](optimizer)
        given = name == "on a plateau"

        def step(x, y):
            loss = train(net, optimizer, x, y)
            schedule.step(loss) if given else schedule.step()
            return loss, schedule.get_last_lr()

        return step, lambda: [optimizer.param_groups[0]["lr"], schedule.last_epoch]

    check_same(make, count=16)


class Counting(torch.optim.Optimizer):
    """Counts its steps in its groups, and steps further every third time."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            group.setdefault("count", 0)
            group["count"] += 1
            scale = 2.0 if group["count"] % 3 == 0 else 1.0 / (group["count"] + 1)
            for p in group["params"]:
                p.add_(p.grad, alpha=-group["lr"] * scale)


def test_counts_in_the_groups_of_an_optimizer():
    def make():
        net = model()
        optimizer = Counting(net.parameters(), {"lr": 0.1})
        return lambda x, y: train(net, optimizer, x, y), lambda: [
            optimizer.param_groups[0]["count"],
            *net.parameters(),
        ]

    check_same(make, count=12)


def test_counts_of_parameters_that_differ():
    """One that joins later has taken fewer steps than the others."""

    def make():
        net = model()
        late = next(net.parameters()).requires_grad_(False)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.1)

        def step(x, y):
            return train(net, optimizer, x, y)

        return step, lambda: [late.requires_grad_(), *net.parameters()][1:]

    check_same(make, count=12)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_scaled_gradients():
    """A step with gradients that are not finite is left out, and the scale shrinks."""
    factor = torch.ones(1)

    def make():
        net = model()
        optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=3)

        def step(x, y):
            optimizer.zero_grad()
            loss = ((net(x) - y) ** 2).mean() * factor
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(net.parameters(), 0.5)
            scaler.step(optimizer)
            scaler.update()
            return loss.detach()

        return step, lambda: [scaler.state_dict(), *net.parameters()]

    check_same(make, between=lambda k: factor.fill_(math.inf if k in (6, 8) else 1))
