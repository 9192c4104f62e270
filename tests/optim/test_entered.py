"""Steps that are entered directly leave what the rules leave, whatever changed before them."""

import copy
import random

import pytest

import rushlight as rl
from rushlight.core.native import without_kernels
from rushlight.optim import entered, fused
from tests.optim.test_fused import MAKERS, Setting, same


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(fused, "LEAST", 1)
    monkeypatch.setattr(fused, "TOGETHER", 2)


@pytest.fixture
def taken(monkeypatch):
    """Whether each way that was tried led to the program."""
    found, take = [], entered.Way.take
    monkeypatch.setattr(entered.Way, "take", lambda *given: found.append(take(*given)) or found[-1])
    return found


def pair(name, dtype=rl.float32):
    return Setting(MAKERS[name], dtype), Setting(MAKERS[name], dtype)


def step_both(ours, plain, k):
    ours.step(k)
    with without_kernels():
        plain.step(k)
    same(ours, plain)


@pytest.mark.parametrize("name", ["SGD", "SGD with everything", "Adam, amsgrad", "NAdam"])
def test_steps_like_the_last_one_are_entered(name, taken):
    ours, plain = pair(name)
    for k in range(8):
        step_both(ours, plain, k)
        assert [p._version for p in ours.params] == [p._version for p in plain.params]
    assert taken == [True] * 10  # five steps of two parts: the first three make the way


def test_rates_are_looked_up_and_counts_need_not_be_equal(taken):
    ours, plain = pair("Adam")
    for k in range(12):
        for setting in (ours, plain):
            setting.optimizer.param_groups[0]["lr"] = 0.1 / (1 + k // 2)
            if k == 7:
                setting.optimizer.state[setting.params[1]]["step"] += 5
        step_both(ours, plain, k)
    assert all(taken)


def no_gradient(s, r):
    s.params[r.randrange(3)].requires_grad_(False)


def other_memory(s, r):
    p = s.params[r.randrange(3)]
    p.data = p.data * 0.5


def other_state(s, r):
    kept = s.optimizer.state[s.params[r.randrange(3)]]
    kept.update({n: v.clone() for n, v in kept.items()})


def loaded(s, r):
    s.optimizer.load_state_dict(copy.deepcopy(s.optimizer.state_dict()))


def decayed(s, r):
    s.optimizer.param_groups[0]["weight_decay"] = 0.125


def rate_in_a_tensor(s, r):
    s.optimizer.param_groups[0]["lr"] = rl.tensor(0.125)


def plain_rate(s, r):
    s.optimizer.param_groups[0]["lr"] = 0.25


def another_parameter(s, r):
    if len(s.params) == 3:
        s.params.append(rl.nn.Parameter(rl.ones(3)))
        s.optimizer.param_groups[0]["params"].append(s.params[-1])


def without_state(s, r):
    s.optimizer.state.pop(s.params[r.randrange(3)], None)


CHANGES = [
    no_gradient, other_memory, other_state, loaded, decayed, rate_in_a_tensor, plain_rate,
    another_parameter, without_state,
]  # fmt: skip


def gradient(p, k, r):
    """A gradient, or none, of one layout or another."""
    g = rl.full_like(p, 0.25 * k - 1)
    kind = r.randrange(12)
    if not p.requires_grad or kind == 0:
        return None
    if kind == 1:
        return g.t().contiguous().t() if g.dim() == 2 else rl.stack([g, g], 1)[:, 1]
    if kind == 2:
        return rl.tensor(0.5, dtype=p.dtype).expand(p.shape)
    return g[None][0] if kind == 3 else g


@pytest.mark.parametrize("seed", range(10))
def test_random_changes_between_steps(seed):
    r = random.Random(seed)
    ours, plain = pair(r.choice([*MAKERS]))
    for k in range(40):
        change = r.choice(CHANGES) if r.random() < 0.15 else None
        where, layouts = r.random(), r.random()
        for setting in (ours, plain):
            if change is not None:
                change(setting, random.Random(where))
            of = random.Random(layouts if k % 10 > 6 else 5)
            for p in setting.params:
                p.grad = gradient(p, k, of)
        ours.optimizer.step()
        with without_kernels():
            plain.optimizer.step()
        same(ours, plain)
        assert [p._version for p in ours.params] == [p._version for p in plain.params]


def test_gradients_that_share_memory_with_parameters():
    ours, plain = pair("SGD with everything")
    for k in range(6):
        for setting in (ours, plain):
            for p in setting.params:
                p.grad = rl.full_like(p, k + 1.0)
            if k > 3:
                setting.params[0].grad = setting.params[0].detach()
                setting.params[2].grad = rl.full_like(setting.params[2], 2.0)
        ours.optimizer.step()
        with without_kernels():
            plain.optimizer.step()
        same(ours, plain)


def test_ways_that_are_always_lost_are_given_up():
    ours = Setting(MAKERS["SGD"])
    for k in range(30):
        for p in ours.params:
            p.grad = rl.full_like(p, k).flip(0)
        turned = rl.ones(3, 40, dtype=rl.float64).t()
        ours.params[0].grad = turned if k % 2 else turned.contiguous()
        ours.optimizer.step()
    (plan,) = ours.plans()
    assert plan.parts[0].way is False
    assert plan.traces == 1


def test_groups_that_are_gone_are_forgotten():
    ours = Setting(MAKERS["Adam"])
    for k in range(12):
        if k % 4 == 0:
            ours.optimizer.load_state_dict(ours.optimizer.state_dict())
        ours.step(k)
    assert len(ours.plans()) == 1
