"""Updates by compiled programs leave what the rules leave."""

import copy

import numpy as np
import pytest

import rushlight as rl
from rushlight.core.native import without_kernels
from rushlight.optim import fused

MAKERS = {
    "SGD": lambda p: rl.optim.SGD(p, lr=0.1),
    "SGD with everything": lambda p: rl.optim.SGD(
        p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True, maximize=True
    ),
    "Adam": lambda p: rl.optim.Adam(p, lr=0.01),
    "Adam, amsgrad": lambda p: rl.optim.Adam(p, lr=0.01, amsgrad=True, weight_decay=0.1),
    "AdamW": lambda p: rl.optim.AdamW(p, lr=0.01),
    "Adamax": lambda p: rl.optim.Adamax(p, lr=0.01),
    "NAdam": lambda p: rl.optim.NAdam(p, lr=0.01),
    "RAdam": lambda p: rl.optim.RAdam(p, lr=0.01),
    "RMSprop": lambda p: rl.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "Adagrad": lambda p: rl.optim.Adagrad(p, lr=0.1, lr_decay=0.01),
    "Adadelta": lambda p: rl.optim.Adadelta(p),
    "ASGD": lambda p: rl.optim.ASGD(p, lr=0.1),
    "Rprop": lambda p: rl.optim.Rprop(p),
}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Programs for few elements too, and for two parameters at a time."""
    monkeypatch.setattr(fused, "LEAST", 1)
    monkeypatch.setattr(fused, "TOGETHER", 2)


class Setting:
    """Three parameters, their gradients by a seed, and an optimizer."""

    def __init__(self, make, dtype=None):
        r = np.random.default_rng(0)
        shapes = (40, 3), (70,), (5, 5)
        self.params = [
            rl.nn.Parameter(rl.from_numpy(r.standard_normal(s)).to(dtype or rl.float64))
            for s in shapes
        ]
        self.optimizer = make(self.params)

    def step(self, k):
        """A step with new gradients."""
        r = np.random.default_rng(k)
        for p in self.params:
            p.grad = rl.from_numpy(r.standard_normal(p.shape)).to(p.dtype)
        self.optimizer.step()

    def plans(self):
        return list(self.optimizer.__dict__.get("_plans", {}).values())

    def state(self):
        """Everything that a step may change."""
        found = [p.detach().clone() for p in self.params]
        for p in self.params:
            found += [t.clone() for t in self.optimizer.state[p].values()]
        return found


def same(a, b):
    for x, y in zip(a.state(), b.state(), strict=True):
        assert x.dtype == y.dtype
        assert x.numpy().tobytes() == y.numpy().tobytes()


def both(make, act, steps=6, dtype=None):
    """Two settings after the same steps, one of them without programs; ``act(setting, k)`` before
    step k.
    """
    ours, plain = Setting(make, dtype), Setting(make, dtype)
    for k in range(steps):
        act(ours, k)
        ours.step(k)
        with without_kernels():
            act(plain, k)
            plain.step(k)
        same(ours, plain)
        assert all(p._version > k for p in ours.params if len(ours.params) == 3)
    return ours


def nothing(setting, k):
    pass


@pytest.mark.parametrize("dtype", [None, rl.float32])
@pytest.mark.parametrize("name", MAKERS)
def test_same_as_the_rule(name, dtype):
    (plan,) = both(MAKERS[name], nothing, 9, dtype).plans()
    assert plan.parts
    assert plan.traces == (2 if name == "RAdam" else 1)  # whose rule changes after some steps


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("name", MAKERS)
def test_parameters_not_in_rows_are_left_to_the_rule(name, columns):
    def act(setting, k):
        if k == 0:
            for p in setting.params[:columns]:
                p.data = p.data.t().contiguous().t() if p.dim() == 2 else rl.stack([p, p], 1)[:, 0]

    (plan,) = both(MAKERS[name], act, 9).plans()
    assert bool(plan.parts) == (columns < 3)
    assert plan.traces == (0 if columns == 3 else 2 if name == "RAdam" else 1)


def test_learning_rates_are_operands():
    def act(setting, k):
        setting.optimizer.param_groups[0]["lr"] = 0.1 / (k + 1)

    (plan,) = both(MAKERS["Adam"], act).plans()
    assert plan.traces == 1


def test_options_are_not():
    def act(setting, k):
        setting.optimizer.param_groups[0]["weight_decay"] = 0.1 * (k // 3)

    (plan,) = both(MAKERS["SGD"], act, 8).plans()
    assert plan.traces == 3


def test_options_that_always_change():
    def act(setting, k):
        setting.optimizer.param_groups[0]["momentum"] = 0.5 + 0.01 * k

    (plan,) = both(MAKERS["SGD with everything"], act, 2 * fused.MOST + 4).plans()
    assert plan.parts is None


def test_a_state_dict_is_loaded():
    def act(setting, k):
        if k == 4:
            setting.optimizer.load_state_dict(copy.deepcopy(setting.optimizer.state_dict()))
        if k == 6:
            for s in setting.optimizer.state.values():
                s["exp_avg"] = s["exp_avg"] * 2

    both(MAKERS["Adam"], act, 10)


def test_parameters_come_and_go():
    def act(setting, k):
        if k == 3:
            new = rl.nn.Parameter(rl.ones(9, dtype=rl.float64))
            setting.params.append(new)
            setting.optimizer.add_param_group({"params": [new], "lr": 0.5})
        if k == 5:
            setting.params[1].data = rl.ones(70, dtype=rl.float64)

    ours = both(MAKERS["AdamW"], act, 8)
    assert len(ours.plans()) == 2


def test_missing_gradients():
    a, b = Setting(MAKERS["Adam"]), Setting(MAKERS["Adam"])
    for k in range(8):
        for setting in (a, b):
            for n, p in enumerate(setting.params):
                p.grad = None if n == k % 4 else rl.full_like(p, k + 1.0)
        a.optimizer.step()
        with without_kernels():
            b.optimizer.step()
        same(a, b)


def test_layouts():
    """Parameters with gaps are left to the rule; gradients of any layout are read."""
    a, b = Setting(MAKERS["SGD with everything"]), Setting(MAKERS["SGD with everything"])
    for k in range(6):
        for setting in (a, b):
            for p in setting.params:
                p.grad = rl.full_like(p, k + 1.0)
            setting.params[0].grad = rl.arange(120.0, dtype=rl.float64).view(3, 40).t()
            if k == 3:
                setting.params[0].data = rl.ones(3, 40, dtype=rl.float64).t()
        a.optimizer.step()
        with without_kernels():
            b.optimizer.step()
        same(a, b)


def test_closures_hooks_and_copies():
    ours = both(MAKERS["Adam"], nothing, 3)
    seen = []
    ours.optimizer.register_step_post_hook(lambda *a: seen.append("hook"))
    loss = ours.optimizer.step(lambda: rl.tensor(3.0))
    assert (loss.item(), seen) == (3.0, ["hook"])
    other = copy.deepcopy(ours.optimizer)
    assert "_plans" not in other.__dict__
    assert other.state_dict()["state"][0]["step"] == 4


def test_who_is_left_to_the_rule(monkeypatch):
    """Small groups, rates that are tensors, and other people's optimizers."""

    class Mine(rl.optim.SGD):
        pass

    for make in (lambda p: rl.optim.Adam(p, lr=rl.tensor(0.1)), Mine):
        ours = Setting(make)
        for k in range(4):
            ours.step(k)
        assert all(not plan.parts for plan in ours.plans())
    monkeypatch.setattr(fused, "LEAST", 10**6)
    ours = Setting(MAKERS["Adam"])
    for k in range(4):
        ours.step(k)
    assert [plan.parts for plan in ours.plans()] == [[]]
    assert [plan.traces for plan in ours.plans()] == [0]


@pytest.mark.parametrize("name", MAKERS)
def test_small_groups_have_programs_after_many_steps(name, monkeypatch):
    monkeypatch.setattr(fused, "LEAST", 10**6)
    monkeypatch.setattr(fused, "SOON", 5)
    monkeypatch.setattr(fused, "LATE", 5 * 3)
    seen = []
    (plan,) = both(MAKERS[name], lambda setting, k: seen.append(k), 14, rl.float32).plans()
    assert plan.parts
    assert plan.traces == 1
