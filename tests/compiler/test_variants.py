"""Variants of one function that take turns: they have gradients in common, and are entered."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight import nn

pytest.importorskip("llvmlite", reason="native programs need llvmlite")


class Turns:
    """A step that is captured four times, and the same by eager code."""

    def __init__(self) -> None:
        (self.net, step), (self.same, self.eager) = self.made(), self.made()
        self.run = rl.compile(step)
        self.calls = [(rl.randn(n, 3), twice) for n in (4, 2) for twice in (False, True)]
        for _ in range(3):
            self.round()
        self.variants = [v for found in self.run._compiled.variants.values() for v in found]

    def made(self):
        rl.manual_seed(0)
        net = nn.Linear(3, 2)
        optimizer = rl.optim.SGD(net.parameters(), lr=0.1)

        def step(x, twice):
            optimizer.zero_grad()
            loss = net(x).square().mean()
            (2 * loss if twice else loss).backward()
            optimizer.step()
            return loss

        return net, step

    def round(self):
        """Each call once."""
        for call in self.calls:
            assert self.run(*call).item() == pytest.approx(self.eager(*call).item(), rel=1e-5)
            assert rl.allclose(self.net.weight, self.same.weight)
            assert rl.allclose(self.net.weight.grad, self.same.weight.grad)

    def places(self):
        return [p.grad.data_ptr() for p in self.net.parameters()]


def test_calls_enter_a_variant_though_another_ran_before():
    turns = Turns()
    assert len(turns.variants) == 4 and len({id(v.buffers) for v in turns.variants}) == 1
    where = turns.places()
    for v in turns.variants:
        v.run = None  # the long way
    for _ in range(3):
        turns.round()
    assert turns.places() == where


def test_no_variant_writes_to_a_gradient_that_somebody_keeps():
    turns = Turns()
    for _ in range(4):
        kept = turns.net.weight.grad
        before = kept.clone()
        turns.round()
        assert rl.equal(kept, before) and turns.net.weight.grad is not kept
        del kept
        where = turns.places()
        turns.round()
        assert turns.places() == where


def test_other_leaves_have_gradients_of_their_own():
    first, second = nn.Linear(3, 2), nn.Linear(3, 2)

    def step(x, both):
        loss = first(x).sum() + (second(x).sum() if both else 0)
        loss.backward()
        out = loss.detach(), first.weight.grad.clone()
        first.zero_grad(), second.zero_grad()
        return out

    run, x = rl.compile(step), rl.randn(4, 3)
    expected = [step(x, both) for both in (False, True)]
    for _ in range(6):
        for both in (False, True):
            for got, wanted in zip(run(x, both), expected[both], strict=True):
                assert rl.allclose(got, wanted)
