"""Compiled steps that make, add to, read and clear gradients leave what eager code leaves, and are
entered directly.
"""

from __future__ import annotations

import gc
import random
import weakref

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.compiler.variant import Variant
from tests.compiler.test_guards import is_direct

pytest.importorskip("llvmlite", reason="native programs need llvmlite")


class World:
    """A model, an optimizer, and functions that use them, compiled or not."""

    def __init__(self, compiled, seed=0, make_optimizer=rl.optim.SGD):
        rl.manual_seed(seed)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
        self.p = list(self.model.parameters())
        self.optimizer = make_optimizer(self.p, lr=0.05)
        self.seen = rl.zeros(1)
        functions = (self.micro, self.update, self.last, self.whole, self.asks, self.swaps)
        wrap = rl.compile if compiled else lambda f: f
        self.run = {f.__name__: wrap(f) for f in functions}
        self.run["clear"] = self.optimizer.zero_grad
        self.run["backward"] = lambda x: self.loss(x).backward()

    def loss(self, x):
        return (self.model(x) ** 2).mean()

    def micro(self, x):
        loss = self.loss(x)
        loss.backward()
        return loss

    def update(self):
        self.optimizer.step()
        self.optimizer.zero_grad()

    def last(self, x, is_last):
        loss = self.loss(x) / 2
        loss.backward()
        if is_last:
            self.optimizer.step()
            self.optimizer.zero_grad()
        return loss

    def whole(self, x):
        self.optimizer.zero_grad()
        loss = self.loss(x)
        loss.backward()
        self.optimizer.step()
        return loss

    def asks(self):
        if self.p[0].grad is not None:
            self.seen.add_(self.p[0].grad.sum())

    def swaps(self, x):
        before, self.p[0].grad = self.p[0].grad, None
        self.loss(x).backward()
        if before is not None:
            self.p[0].grad.add_(before, alpha=0.5)

    def call(self, name, x):
        if name.startswith("last"):
            return self.run["last"](x, name == "last one")
        return self.run[name](*([] if name in ("update", "clear", "asks") else [x]))

    def state(self):
        grads = [None if p.grad is None else p.grad.tolist() for p in self.p]
        return [p.tolist() for p in self.p], grads, self.seen.tolist(), [p._version for p in self.p]


def close(a, b):
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(close, a, b))
    return a == (pytest.approx(b, rel=1e-3, abs=1e-5) if isinstance(b, float) else b)


LOOPS = {
    "micro-batches": ["micro", "micro", "update"],
    "three of them": ["micro", "micro", "micro", "update"],
    "told the last": ["last", "last one"],
    "backward alone": ["micro", "clear"],
    "update alone": ["backward", "update"],
    "looking": ["micro", "asks", "clear", "asks"],
    "both kinds": ["micro", "whole", "whole", "update"],
}


@pytest.mark.parametrize("make_optimizer", [rl.optim.SGD, rl.optim.Adam])
@pytest.mark.parametrize("name", LOOPS)
def test_loops_leave_what_eager_code_leaves_and_enter_directly(name, make_optimizer):
    eager, world = [World(c, make_optimizer=make_optimizer) for c in (False, True)]
    for k in range(12):
        for call in LOOPS[name]:
            x = rl.linspace(-1, 1 + k, 12).reshape(4, 3)
            eager.call(call, x)
            world.call(call, x)
            assert close(world.state(), eager.state()), (k, call)
    compiled = {"last" if call.startswith("last") else call for call in LOOPS[name]}
    for call in compiled - {"clear", "backward"}:
        assert is_direct(world.run[call]), call


def test_variants_that_take_turns_are_each_tried_first(monkeypatch):
    world, tried = World(True), []
    for _ in range(6):
        for call in ("micro", "micro", "update"):
            world.call(call, rl.ones(4, 3))
    enter = Variant.enter
    monkeypatch.setattr(Variant, "enter", lambda v, args: tried.append(v) or enter(v, args))
    for _ in range(3):
        for call in ("micro", "micro", "update"):
            world.call(call, rl.ones(4, 3))
    assert len(tried) == 9


def test_gradients_that_are_kept_keep_what_they_hold():
    eager, world = World(False), World(True)
    kept = []
    for k in range(20):
        for w in (eager, world):
            for call in ("micro", "micro"):
                w.call(call, rl.full((4, 3), 0.1 * k))
        if k % 5 == 4:
            kept.append((eager.p[2].grad, world.p[2].grad.view(-1)))
        for w in (eager, world):
            w.call("update", None)
    for a, b in kept:
        rl.testing.assert_close(b, a.view(-1))
    assert len({b.data_ptr() for _, b in kept}) == len(kept)


def test_writes_to_kept_gradients_are_seen_and_counted():
    world = World(True)
    for _ in range(8):
        for call in ("micro", "micro", "update"):
            world.call(call, rl.ones(4, 3))
    world.call("micro", rl.ones(4, 3))
    g = world.p[3].grad
    once, version = g.clone(), g._version
    world.call("micro", rl.ones(4, 3))
    assert world.p[3].grad is g and g._version == version + 1
    rl.testing.assert_close(g, 2 * once)


def test_gradients_of_the_traced_call_are_not_kept():
    world = World(True)
    gone = []
    for _ in range(6):
        world.call("micro", rl.ones(4, 3))
        world.call("micro", rl.ones(4, 3))
        gone.append(weakref.ref(world.p[0].grad))
        world.call("update", None)
    gc.collect()  # what a capture leaves
    assert not any([r() is not None for r in gone])


def test_new_gradients_require_none():
    w = rl.ones(3, requires_grad=True)

    @rl.compile
    def step(x):
        w.grad = None
        (w * x).sum().backward()

    for _ in range(6):
        step(rl.ones(3))
    w.grad.requires_grad_()
    step(rl.ones(3))
    assert not w.grad.requires_grad


def test_whether_there_is_a_gradient_decides():
    """It took one that was gone for there."""
    w, out = rl.ones(3, requires_grad=True), rl.zeros(3)

    @rl.compile
    def counts():
        if w.grad is not None:
            out.add_(1)

    for there in (True, True, True, False, False, True, False):
        w.grad = rl.ones(3) if there else None
        counts()
    assert out.tolist() == [4, 4, 4]


def test_steps_that_clear_gradients_first_serve_calls_with_and_without():
    world = World(True)
    for k in range(12):
        world.call("whole", rl.ones(4, 3))
        if k % 3 == 0:
            world.optimizer.zero_grad()
    assert world.run["whole"]._compiled.traces == 1


@pytest.mark.filterwarnings("ignore:compile. .*memory that it also reads")
@pytest.mark.parametrize(
    "others",
    [
        lambda m: (m[:4], m[2:6]),
        lambda m: (m[:4], m[:4]),
        lambda m: (m[::2], m[4:]),
        lambda m: (m[4:], m[:4]),
        lambda m: (rl.zeros(4), rl.zeros(4)),
    ],
    ids=["overlap", "same", "gaps", "swapped", "apart"],
)
def test_gradients_that_come_to_lie_elsewhere(others):
    """Entered calls look at where gradients lie, and whether they are still apart."""
    results = []
    for wrap in (lambda f: f, rl.compile):
        a, b = rl.ones(4, requires_grad=True), rl.ones(4, requires_grad=True)

        def step(x, a=a, b=b):
            ((a + 2 * b) * x).sum().backward()

        run, memory = wrap(step), rl.zeros(8)
        a.grad, b.grad = memory[:4], memory[4:]
        seen = []
        for k in range(14):
            if k == 8:
                a.grad, b.grad = others(memory)
            run(rl.ones(4) * k)
            seen.append([memory.tolist(), a.grad.tolist(), b.grad.tolist()])
        results.append(seen)
    assert results[0] == results[1]


def test_gradients_among_the_arguments():
    results = []
    for wrap in (lambda f: f, rl.compile):
        w = rl.ones(4, requires_grad=True)

        def step(x, w=w):
            (w * x).sum().backward()

        run, seen = wrap(step), []
        w.grad = rl.ones(4)
        for k in range(12):
            run(w.grad if k in (7, 10) else rl.ones(4))
            seen.append(w.grad.tolist())
        results.append(seen)
    assert results[0] == results[1]


def change(r, world, kept):
    """Something that users do to gradients between calls, drawn from the generator r."""
    p, how = r.choice(world.p), r.randrange(9)
    g = p.grad
    if how == 0:
        p.grad = None
    elif how == 1:
        p.grad = rl.full(tuple(p.shape), 0.5)
    elif how == 2:
        p.grad = rl.full((2, *p.shape), 0.25)[1]
    elif how == 3:
        p.grad = rl.full(tuple(p.shape)[::-1], 0.5).t() if p.ndim == 2 else g
    elif how == 4:
        p.grad = p.detach() * 1
    elif g is not None:
        what = [lambda: g, lambda: g.numpy(), lambda: g.detach()[:1], lambda: g.mul_(0.5).clone()]
        kept.append(what[how - 5]())


@pytest.mark.parametrize("seed", range(12))
def test_random_loops_with_changes_between_calls(seed):
    traces = []
    for compiled in (False, True):
        r, world = random.Random(seed), World(compiled, seed)
        names = r.sample([*world.run, "last one"], r.randint(2, 4))
        kept, rows = [], []
        for k in range(40):
            if k > 12 and r.random() < 0.3:
                change(r, world, kept)
            name = names[k % len(names)] if r.random() < 0.8 else r.choice(names)
            world.call(name, rl.tensor([[r.uniform(-1, 1) for _ in range(3)] for _ in range(4)]))
            rows.append((name, *world.state(), [x.tolist() for x in kept]))
        traces.append(rows)
    for k, (a, b) in enumerate(zip(*traces, strict=True)):
        assert close(b, a), (k, b[0])
