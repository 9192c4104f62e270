"""Variants of one function that take turns: they have gradients in common, and are entered."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.compiler import compiled

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


def test_calls_that_take_turns_look_at_no_signatures(monkeypatch):
    """A last smaller batch, and flags: what no call saw before is found by the entries."""
    rl.manual_seed(0)
    net, calls = nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.BatchNorm1d(4)), []

    def step(x):
        return net(x).sum(1)

    run, xs = rl.compile(step), [rl.randn(n, 3) for n in (8, 5)]

    def rounds(count):
        for _ in range(count):
            for training in (True, False):
                net.train(training)
                for x in (xs[0], xs[0], xs[1]):
                    state, seen = net.state_dict(), rl.get_rng_state()
                    before = {k: v.clone() for k, v in state.items()}
                    with rl.no_grad():
                        got = run(x)
                        after = {k: v.clone() for k, v in state.items()}
                        net.load_state_dict(before)
                        rl.set_rng_state(seen)
                        assert rl.allclose(got, step(x), atol=1e-6)
                    for k, v in net.state_dict().items():
                        assert rl.allclose(after[k], v)

    rounds(4)
    assert run._compiled.traces == 4
    signature = compiled.signature

    def noted(*args, given):
        calls.append(args)
        return signature(*args, given=given)

    monkeypatch.setattr(compiled, "signature", noted)
    rounds(3)
    assert not calls
    with rl.no_grad():
        run(rl.randn(3, 3))
    assert calls


def test_a_variant_is_not_entered_for_a_call_unlike_its_own():
    """Whatever variants there are: what one took for granted is looked at before it is entered."""
    w = rl.ones(2, requires_grad=True)
    scale = {"of": 2.0, "by": "times"}

    def step(x, y):
        with_scale = x * scale["of"] if scale["by"] == "times" else x / scale["of"]
        return (with_scale * w + y).sum().detach()

    run = rl.compile(step, recompile_limit=64)
    x, y = rl.tensor([1.0, 2.0]), rl.tensor([3.0, 5.0])
    changes = [
        lambda: scale.update(by="times"),
        lambda: scale.update(by="over"),
        lambda: w.requires_grad_(False),
        lambda: w.requires_grad_(True),
    ]
    others = [(x, y), (x, x), (x, y[:1]), (x.double(), y), (w.detach(), y), (x, w.detach())]
    for _ in range(4):
        for change in changes:
            change()
            for given in others:
                got, expected = run(*given), step(*given)
                assert got.item() == expected.item() and got.dtype is expected.dtype
    assert len(run._compiled.entered) >= 4


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


def entered(run, monkeypatch):
    """From here on calls go straight to the program, or fail."""
    monkeypatch.setattr(compiled, "signature", None)
    assert run._compiled.last is not None


def test_views_of_data_go_straight_to_the_program(monkeypatch):
    """A batch is often a slice of something larger, and so is its target of the same."""
    data, w = rl.arange(60.0).reshape(5, 2, 6), rl.ones(6, requires_grad=True)

    def step(x, y):
        loss = ((x * w - y) ** 2).sum()
        return rl.stack([loss.detach(), rl.autograd.grad(loss, w)[0].sum()])

    run = rl.compile(step)
    pairs = [(data[k, 0], data[k, 1]) for k in range(5)]
    for k in range(4):
        assert rl.allclose(run(*pairs[k]), step(*pairs[k]))
    entered(run, monkeypatch)
    for x, y in (pairs[4], (data[0, 0], rl.ones(6)), (rl.ones(6), data[1, 1])):
        assert rl.allclose(run(x, y), step(x, y))


@pytest.mark.parametrize("later", ["the base", "the view", "another base"])
def test_views_that_need_gradients_are_no_views_of_data(later):
    data = rl.ones(2, 3)
    run = rl.compile(lambda x: (x * 2).sum())
    view = data[0]
    for _ in range(4):
        assert not run(view).requires_grad
    assert run._compiled.last is not None
    if later == "the base":
        data.requires_grad_()
    elif later == "the view":
        view.requires_grad_()
    else:
        view = rl.ones(2, 3, requires_grad=True)[0]
    assert (view * 2).sum().requires_grad is run(view).requires_grad
    if later == "another base":
        run(view).backward()
        assert view._base.grad.tolist() == [[2.0] * 3, [0.0] * 3]


def test_steps_that_keep_a_list_go_straight_to_the_program(monkeypatch):
    losses = []

    def step(x):
        losses.append(x.sum().item())

    run = rl.compile(step)
    for k in range(5):
        run(rl.full((2,), float(k)))
    entered(run, monkeypatch)
    run(rl.ones(2))
    assert losses == [0.0, 2.0, 4.0, 6.0, 8.0, 2.0]


def test_state_with_gaps_is_copied_for_each_call(monkeypatch):
    """As a grid that is expanded to a batch's size and kept."""
    row = rl.arange(3.0)
    grid = row.expand(2, 3)
    run = rl.compile(lambda x: x + grid)
    for _ in range(3):
        assert rl.equal(run(rl.ones(2, 3)), grid + 1)
    entered(run, monkeypatch)
    row.mul_(10)
    for _ in range(2):
        assert run(rl.ones(2, 3)).tolist() == [[1.0, 11.0, 21.0]] * 2


def test_an_entry_does_not_outlive_what_it_was_made_for():
    """Where none is made anew, as too many were in vain, a call has put other memory in place."""
    w = rl.ones(3)
    run = rl.compile(lambda x: x * w)
    for _ in range(4):
        run(rl.ones(3))
    ((variant,),) = run._compiled.variants.values()
    before, variant.vain = w.data, 1000
    w.data = rl.full((3,), 2.0)
    assert run(rl.ones(3)).tolist() == [2.0] * 3
    w.data = before
    assert run(rl.ones(3)).tolist() == [1.0] * 3
    for _ in range(1000):  # it is tried again
        run(rl.ones(3))
    assert run._compiled.last is variant
