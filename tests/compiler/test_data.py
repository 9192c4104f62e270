"""``t.data = other`` within compiled functions, as some optimizers do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import rushlight as rl
from rushlight import nn

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
CALLS = 9


class Trained:
    """A model, an optimizer, another model, and tensors beside them."""

    def __init__(self) -> None:
        rl.manual_seed(0)
        self.model, self.other = [
            nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)) for _ in range(2)
        ]
        self.optimizer = rl.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.kept: dict[str, Any] = {}
        self.a, self.b = rl.ones(4), rl.zeros(4)

    def backward(self, x: Any) -> Any:
        loss = (self.model(x) - 1).pow(2).mean()
        self.optimizer.zero_grad()
        loss.backward()
        return loss


def away_and_back(o: Trained, x: Any) -> Any:
    """As sharpness-aware minimisation steps."""
    loss = o.backward(x)
    with rl.no_grad():
        for name, p in o.model.named_parameters():
            o.kept[name] = p.data.clone()
            p.add_(p.grad, alpha=0.05)
    o.backward(x)
    for name, p in o.model.named_parameters():
        p.data = o.kept[name]
    o.optimizer.step()
    return loss.item()


def smaller_each_time(o: Trained, x: Any) -> Any:
    loss = o.backward(x)
    o.optimizer.step()
    for p in o.model.parameters():
        p.data = p.data * 0.99
    return loss.item()


def following(o: Trained, x: Any) -> Any:
    for p, q in zip(o.other.parameters(), o.model.parameters(), strict=True):
        p.data = p.data * 0.9 + q.data * 0.1
    with rl.no_grad():
        return o.other(x).sum()


def rounded_meanwhile(o: Trained, x: Any) -> Any:
    kept = [p.data for p in o.model.parameters()]
    for p in o.model.parameters():
        p.data = p.data.sign()
    loss = o.backward(x)
    for p, k in zip(o.model.parameters(), kept, strict=True):
        p.data = k
    o.optimizer.step()
    return loss.item()


def exchanged(o: Trained, x: Any) -> Any:
    o.a.data, o.b.data = o.b.data, o.a.data
    o.a.add_(x[0])
    return o.a * 2 + o.b


def an_argument(o: Trained, x: Any) -> Any:
    o.a.data = x[1]
    o.a.mul_(2)
    return x.sum() + o.a.sum()


def rounded_before(o: Trained, x: Any) -> Any:
    for p in o.model.parameters():
        p.data = (p.data * 16).round() / 16
    return o.model(x).pow(2).mean()


STEPS = [
    away_and_back, smaller_each_time, following, rounded_meanwhile, exchanged, an_argument,
    rounded_before,
]  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
def test_memory_that_is_replaced(step: Callable[..., Any]) -> None:
    def run(compiled: bool) -> Any:
        o, found = Trained(), []

        def call(x: Any) -> Any:
            return step(o, x)

        f = rl.compile(call, fullgraph=True) if compiled else call
        for k in range(CALLS):
            x = rl.randn(3, 4, generator=rl.Generator().manual_seed(k))
            out = f(x)
            if step is rounded_before:  # differentiated outside
                o.optimizer.zero_grad()
                out.backward()
                o.optimizer.step()
                out = out.detach()
            if k == 6:
                o.model[0].bias.data = rl.ones(5)
            found += [out, x]
        if compiled:
            assert f._compiled.traces <= 2
        tensors = [*o.model.parameters(), *o.other.parameters(), o.a, o.b]
        return found, [t.detach().clone() for t in tensors]

    rl.testing.assert_close(run(True), run(False), rtol=1e-4, atol=1e-5)
