"""How often a function is captured when what surrounds it changes, and that it stays right."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn
from rushlight.nn import functional as F

pytest.importorskip("llvmlite", reason="native programs need llvmlite")


class Setting:
    """A model with dropout turned off, batch norm, an optimizer and a schedule; and its data."""

    def __init__(self) -> None:
        rl.manual_seed(0)
        self.model = nn.Sequential(
            nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.Dropout(0.0), nn.Linear(6, 3)
        )
        self.optimizer = rl.optim.AdamW(self.model.parameters(), lr=0.05)
        self.schedule = rl.optim.lr_scheduler.CosineAnnealingWarmRestarts(self.optimizer, 5)
        self.size, self.dtype, self.scale = 8, rl.float32, 1.0

    def step(self, x: Any, y: Any, scale: float) -> Any:
        """One step of training; without gradients, the loss."""
        loss = F.cross_entropy(self.model(x.to(rl.float32)), y) * scale
        if rl.is_grad_enabled():
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return loss.detach()

    def arguments(self, call: int) -> tuple[Any, ...]:
        """New data."""
        g = rl.Generator().manual_seed(call)
        x = rl.randn(self.size, 4, generator=g).to(self.dtype)
        return x, rl.randint(0, 3, (self.size,), generator=g), self.scale


def smaller(s: Setting, k: int) -> None:
    s.size = 5 if k % 4 == 3 else 8  # the last batch of an epoch of four


def sizes(s: Setting, k: int) -> None:
    s.size = 4 + 4 * (k // 4)


def other_dtype(s: Setting, k: int) -> None:
    s.dtype = rl.float64 if k >= 6 else rl.float32


def learning_rate(s: Setting, k: int) -> None:
    s.optimizer.param_groups[0]["lr"] = 0.1 / (k + 1)


def made_by_numpy(s: Setting, k: int) -> None:
    kinds = (np.float64, np.float32, np.array)
    s.optimizer.param_groups[0]["lr"] = kinds[k % 3](0.1 / (k + 1))


def integer(s: Setting, k: int) -> None:
    s.optimizer.param_groups[0]["lr"] = 1 if k < 4 else 0.05 if k < 8 else 0


def integer_of_numpy(s: Setting, k: int) -> None:
    s.optimizer.param_groups[0]["lr"] = np.int64(k > 5)


def scheduled(s: Setting, k: int) -> None:
    if k:
        s.schedule.step()


def decay(s: Setting, k: int) -> None:
    s.optimizer.param_groups[0]["weight_decay"] = 0.01 if k < 6 else 0.1


def decay_of_numpy(s: Setting, k: int) -> None:
    s.optimizer.param_groups[0]["weight_decay"] = np.float64(0.01 if k < 6 else 0.1)


def evaluation(s: Setting, k: int) -> None:
    s.model.train(k < 4 or k >= 8)


def argument(s: Setting, k: int) -> None:
    s.scale = 1.0 if k < 6 else 0.5


def frozen(s: Setting, k: int) -> None:
    s.model[0].weight.requires_grad_(k < 6)


def loaded(s: Setting, k: int) -> None:
    s.model.load_state_dict({n: t * 0.9 for n, t in s.model.state_dict().items()})


def cleared(s: Setting, k: int) -> None:
    if k == 6:
        s.optimizer.zero_grad()


def nothing(s: Setting, k: int) -> None:
    pass


CASES: dict[str, tuple[Callable[[Setting, int], None], int]] = {
    "nothing changes": (nothing, 1),
    "new data in a smaller last batch": (smaller, 2),
    "three sizes": (sizes, 3),
    "another dtype": (other_dtype, 2),
    "a learning rate set by hand": (learning_rate, 1),
    "a learning rate that NumPy made": (made_by_numpy, 1),
    "an integer as a learning rate, and then others": (integer, 2),
    "an integer of NumPy as a learning rate": (integer_of_numpy, 2),
    "a schedule": (scheduled, 1),
    "another option of the optimizer": (decay, 2),
    "another option of the optimizer, by NumPy": (decay_of_numpy, 2),
    "evaluation in between": (evaluation, 2),
    "a number among the arguments": (argument, 2),
    "a frozen parameter": (frozen, 2),
    "parameters loaded before each call": (loaded, 1),
    "gradients cleared once, before a step that clears them": (cleared, 1),
}


@pytest.mark.parametrize("name", CASES)
def test_captures(name):
    change, expected = CASES[name]
    eager, compiled = Setting(), Setting()
    run = rl.compile(compiled.step, fullgraph=True)
    for k in range(12):
        for setting in (eager, compiled):
            change(setting, k)
        got, want = run(*compiled.arguments(k)), eager.step(*eager.arguments(k))
        rl.testing.assert_close(got, want, rtol=1e-4, atol=1e-5, msg=f"call {k}")
    for (n, a), b in zip(
        eager.model.state_dict().items(), compiled.model.state_dict().values(), strict=True
    ):
        rl.testing.assert_close(b, a, rtol=1e-3, atol=1e-4, msg=n)
    assert run._compiled.traces == expected, run._compiled.reasons


def test_learning_rates_in_tensors():
    """Written to, they need no capture; another tensor in their place does."""
    found = []
    for compile in (lambda f: f, lambda f: rl.compile(f, fullgraph=True)):
        setting = Setting()
        group = setting.optimizer.param_groups[0]
        group["lr"], run = rl.tensor(0.05), compile(setting.step)
        for k in range(9):
            if k in (3, 4):
                group["lr"].mul_(0.5)
            if k == 6:
                group["lr"] = rl.tensor(0.01)
            run(*setting.arguments(k))
        found.append(setting.model[3].weight)
    rl.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)
    assert run._compiled.traces == 2


def test_gradient_mode_is_part_of_the_signature():
    setting = Setting()
    run = rl.compile(setting.step, fullgraph=True)
    for k in range(9):
        with rl.set_grad_enabled(k % 3 != 2):
            run(*setting.arguments(k))
    assert run._compiled.traces == 2


USES = {
    "an operand": lambda x, lr: x * lr + lr,
    "a power": lambda x, lr: x**lr,
    "alpha": lambda x, lr: rl.add(x, x, alpha=lr),
    "alpha of rows": lambda x, lr: x.index_add(0, rl.arange(3), x, alpha=lr),
    "a weight": lambda x, lr: rl.lerp(x, x * 2, lr),
    "a value": lambda x, lr: rl.addcmul(x, x, x, value=lr),
    "a limit": lambda x, lr: x.clamp(max=lr),
    "a slope": lambda x, lr: F.leaky_relu(-x, lr),
    "a choice": lambda x, lr: rl.where(x > 0, x, lr),
    "a mask's value": lambda x, lr: x.masked_fill(x > 0, lr),
    "a fill": lambda x, lr: x.clone().fill_(lr),
    "a written number": lambda x, lr: x.clone().index_fill_(0, rl.tensor([0]), lr),
    "a new tensor": lambda x, lr: x + rl.tensor(lr),
    "a list of numbers": lambda x, lr: x + rl.tensor([lr, 2 * lr, 0.0]),
    "a full tensor": lambda x, lr: x + rl.full((3,), lr),
    "one like another": lambda x, lr: x + rl.full_like(x, lr),
}


LOOKS: dict[str, Callable[[float], Any]] = {  # at a learning rate, from Python
    "a root": math.sqrt,
    "a root by NumPy": np.sqrt,
    "a NumPy number": np.float32,
    "a float": float,
    "an integer": lambda lr: int(10 * lr),
    "the ceiling": math.ceil,
    "rounded": lambda lr: round(lr, 1),
    "the larger": lambda lr: max(lr, 0.3),
    "whole parts": lambda lr: lr // 0.2 + lr % 0.2,
    "text": lambda lr: len(f"{lr:.3g}") + len(str(lr)),
    "truth": lambda lr: 1.0 if lr - 0.25 else 3.0,
    "a key": lambda lr: {0.5: 1.0, 0.25: 2.0}[lr],
    "a complex number": lambda lr: (1j * lr).imag,
    "a fraction": lambda lr: lr.as_integer_ratio()[1],
    "a sum": lambda lr: sum([lr, lr]) + abs(-lr),
}


@pytest.mark.parametrize("look", LOOKS)
def test_what_python_makes_of_a_learning_rate(look):
    optimizer = rl.optim.SGD([rl.zeros(1, requires_grad=True)], lr=0.5)

    def step(x):
        lr = optimizer.param_groups[0]["lr"]
        return x * lr + float(LOOKS[look](lr))

    run, x = rl.compile(step, fullgraph=True), rl.tensor([0.25, 1.0, 2.0])
    for lr in (0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.5, 0.25):
        optimizer.param_groups[0]["lr"] = lr
        rl.testing.assert_close(run(x), step(x))
    assert run._compiled.traces <= 2


@pytest.mark.parametrize("use", USES)
def test_a_learning_rate_wherever_it_is_used(use):
    """As an operand, an element or a factor it may change; elsewhere its value is guarded."""
    optimizer = rl.optim.SGD([rl.zeros(1, requires_grad=True)], lr=0.5)

    def step(x):
        return USES[use](x, optimizer.param_groups[0]["lr"])

    run, x = rl.compile(step, fullgraph=True), rl.tensor([0.25, 1.0, 2.0])
    for lr in (0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.5):
        optimizer.param_groups[0]["lr"] = lr
        rl.testing.assert_close(run(x), step(x))
    assert run._compiled.traces == (2 if use == "a written number" else 1)


@pytest.mark.parametrize("kind", ["Adam", "SGD"])
def test_cycles_of_momentum_are_captured_once_more(kind):
    """OneCycleLR changes the learning rate and the momentum, or the first beta, at each step."""

    def losses(wrap):
        rl.manual_seed(0)
        model = rl.nn.Linear(4, 2)
        options = {"momentum": 0.9} if kind == "SGD" else {}
        optimizer = getattr(rl.optim, kind)(model.parameters(), lr=0.01, **options)
        schedule = rl.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=30)
        x, y = rl.randn(8, 4), rl.randn(8, 2)

        def step(x, y):
            optimizer.zero_grad()
            loss = ((model(x) - y) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss

        run = wrap(step)
        found = []
        for _ in range(30):
            found.append(run(x, y).item())
            schedule.step()
        return found, run

    eager, _ = losses(lambda f: f)
    compiled, run = losses(lambda f: rl.compile(f, fullgraph=True))
    assert compiled == pytest.approx(eager, rel=1e-4)
    assert run._compiled.traces <= 2
    assert run._compiled.last is not None


def test_gradients_of_what_was_detached_within_the_call():
    """As in training on adversarial examples."""

    def step(x):
        p = x.detach().requires_grad_()
        p.square().sum().backward()
        return p.grad

    run = rl.compile(step, fullgraph=True)
    for k in range(6):
        assert run(rl.full((3,), float(k))).tolist() == [2.0 * k] * 3
    assert run._compiled.traces == 1


def test_calls_that_fail_are_no_captures():
    failing = [True]

    def f(x):
        if failing[0]:
            raise ValueError("not yet")
        return x * 2

    run = rl.compile(f, fullgraph=True)
    for _ in range(20):
        with pytest.raises(ValueError, match="not yet"):
            run(rl.ones(2))
    failing[0] = False
    for _ in range(4):
        assert run(rl.ones(2)).tolist() == [2, 2]
    assert run._compiled.traces == 1


def test_numbers_that_are_passed_and_change_are_given_anew():
    def states(compile):
        rl.manual_seed(0)
        w = rl.ones(3, requires_grad=True)

        @compile
        def step(x, k, *, scale=1.0):
            loss = ((w * x * scale) ** 2).mean() * min(1.0, k / 10)
            (g,) = rl.autograd.grad(loss, w)
            with rl.no_grad():
                w.sub_(g, alpha=0.1)
            return (loss.item() if k % 5 == 0 else loss.detach().item(), k + 1, scale)

        found = [step(rl.randn(3), k, scale=1 + k / 10) for k in range(14)]
        return step, [*found, w.tolist()]

    step, found = states(rl.compile)
    assert step._compiled.eager is None and 0 < step._compiled.traces <= 4
    for a, b in zip(found, states(lambda f: f)[1], strict=True):
        assert a == pytest.approx(b, rel=1e-5)


def test_numbers_that_are_needed_as_they_are_are_no_such_arguments():
    run = rl.compile(lambda x, n: (x[:n].sum(), f"{n}"))
    x = rl.randn(20)
    for n in (1, 2, 3, 4, 5, 5, 5, 4):
        total, text = run(x, n)
        assert total.item() == pytest.approx(x[:n].sum().item(), rel=1e-5) and text == str(n)
    asked = rl.compile(lambda x, k: (x * k, type(k) is int))
    for k in (1, 2, 3, 4, 5, 6.0, 7.0, 8.0, 9.0, True, False, True, 3, 4):
        product, whole = asked(x, k)
        assert product.tolist() == (x * k).tolist() and whole is (type(k) is int)


def test_a_backward_pass_reads_the_numbers_of_its_own_call():
    w = rl.ones(3, requires_grad=True)
    run = rl.compile(lambda x, k: w * x * k)
    kept = [run(rl.ones(3), float(k)) for k in range(1, 9)]
    for k, y in enumerate(kept, 1):
        w.grad = None
        y.sum().backward()
        assert w.grad.tolist() == [float(k)] * 3


def test_calls_like_the_last_one_look_at_their_numbers():
    def f(x, k, scale):
        return (x * scale if k % 5 else x + k), k + 1, k > 8, scale * 2

    run = rl.compile(f)
    for k in (*range(14), 5, True, 6.0, 7, 8, 8):
        x = rl.randn(3)
        assert str(run(x, k, 1 + k / 10)) == str(f(x, k, 1 + k / 10))
    assert str(run(x, 3, scale=2.0)) == str(f(x, 3, 2.0))


def test_dicts_whose_keys_are_tensors():
    run = rl.compile(lambda d, n: sum(d.values()) * n)
    for n in range(1, 7):
        d = {rl.randn(3): float(n), rl.randn(3): 2.0}
        assert run(d, n) == (n + 2.0) * n


def accumulating(compiled: bool) -> list[Any]:
    """Steps whose every third one updates, so that the second capture sees the state made."""
    s = Setting()
    count = [0]

    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(s.model(x), y)
        loss.backward()
        count[0] += 1
        if count[0] % 3 == 0:
            s.optimizer.step()
            s.optimizer.zero_grad()
        return loss.item()

    run = rl.compile(step) if compiled else step
    losses = [run(*s.arguments(k)[:2]) for k in range(13)]
    return [*losses, *[float(v["step"]) for v in s.optimizer.state.values()]]


def test_optimizer_state_made_while_traced():
    expected = accumulating(False)
    assert accumulating(True) == pytest.approx(expected, rel=1e-5)


class Averaged(rl.optim.Optimizer):
    """Keeps a count and a tensor that each step makes anew."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": 0.1})

    @rl.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                state["count"] = state.get("count", 0) + 1
                state["mean"] = 0.5 * state.get("mean", 0) + p.grad
                p -= group["lr"] / state["count"] * state["mean"]


def test_a_users_optimizer_keeps_numbers_and_new_tensors():
    def losses(compiled: bool) -> list[Any]:
        s = Setting()
        s.optimizer = Averaged(s.model.parameters())
        run = rl.compile(s.step, fullgraph=True) if compiled else s.step
        found = []
        for k in range(12):
            if k == 8:  # other dicts and tensors from here on
                s.optimizer.load_state_dict(s.optimizer.state_dict())
            found.append(run(*s.arguments(k)).item())
        if compiled:
            assert run._compiled.traces <= 2
        return [*found, *[v["count"] for v in s.optimizer.state.values()]]

    assert losses(True) == pytest.approx(losses(False), rel=1e-4)


def test_a_rate_of_loaded_groups():
    """These are other dicts, also where the optimizer keeps nothing for its parameters."""

    def losses(compiled: bool) -> list[float]:
        s = Setting()
        s.optimizer = rl.optim.SGD(s.model.parameters(), lr=0.1)
        schedule = rl.optim.lr_scheduler.StepLR(s.optimizer, 2, gamma=0.5)
        run = rl.compile(s.step, fullgraph=True) if compiled else s.step
        found, saved = [], s.optimizer.state_dict()
        for k in range(9):
            if k == 5:
                s.optimizer.load_state_dict(saved)
            found.append(run(*s.arguments(k)).item())
            schedule.step()
        return found

    assert losses(True) == pytest.approx(losses(False), rel=1e-4)


class Both:
    """Two optimizers as one, which has their groups but no state."""

    def __init__(self, *optimizers: Any) -> None:
        self.optimizers = optimizers
        self.param_groups = [g for o in optimizers for g in o.param_groups]

    def zero_grad(self) -> None:
        for o in self.optimizers:
            o.zero_grad()

    def step(self) -> None:
        for o in self.optimizers:
            o.step()


def test_several_optimizers_as_one():
    def losses(compiled: bool) -> list[float]:
        s = Setting()
        first, *others = s.model.parameters()
        sgd, adam = rl.optim.SGD([first], lr=0.1, momentum=0.9), rl.optim.Adam(others, lr=0.01)
        s.optimizer = Both(sgd, adam)
        run = rl.compile(s.step, fullgraph=True) if compiled else s.step
        found = []
        for k in range(8):
            if k == 5:
                s.optimizer.param_groups[0]["lr"] = 0.01
            found.append(run(*s.arguments(k)).item())
        return found

    assert losses(True) == pytest.approx(losses(False), rel=1e-4)


def test_a_step_that_freezes_every_other_time():
    """What requires gradients changes with the call, and so do the reasons to capture it."""

    def made(compiled):
        rl.manual_seed(0)
        first, second = rl.nn.Linear(3, 3), rl.nn.Linear(3, 1)
        ones = rl.optim.SGD(first.parameters(), 0.1), rl.optim.SGD(second.parameters(), 0.1)
        at = [0]

        def step(x):
            second.requires_grad_(True)
            at[0] += 1
            if at[0] % 2:
                second.requires_grad_(False)
            loss = second(first(x)).mean()
            for o in ones:
                o.zero_grad()
            loss.backward()
            for o in ones:
                o.step()
            return loss.item(), second.weight.requires_grad

        run = rl.compile(step) if compiled else step
        found = [run(rl.full((2, 3), k % 3 - 1.0)) for k in range(16)]
        flags = [p.requires_grad for p in second.parameters()]
        return found, flags, [p.grad is None for p in second.parameters()], run

    expected, found = made(False), made(True)
    assert found[1:3] == expected[1:3]
    for (a, ours), (b, theirs) in zip(found[0], expected[0], strict=True):
        assert a == pytest.approx(b, 1e-4) and ours is theirs
    run = found[3]
    before = run._compiled.traces
    for k in range(8):
        run(rl.full((2, 3), float(k)))
    assert run._compiled.eager is None and run._compiled.traces == before <= 3


ROWS = np.tril_indices(4, -1)


def written_at_rows(x: Any) -> Any:
    y = x.new_zeros(4, 4)
    y[ROWS] = x[0, :1]
    return y


MADE_OF = {
    "an index": lambda x: x[ROWS],
    "a mask": lambda x: x[:, np.array([True, False, True, False])],
    "places to write to": written_at_rows,
    "a list of an old constructor": lambda x: x * rl.FloatTensor([1, 2, 3, 4]),
    "an old constructor's memory": lambda x: rl.FloatTensor(4, 4).copy_(x).exp_(),
}


@pytest.mark.parametrize("name", MADE_OF)
def test_constants_of_numpy_and_of_old_constructors_are_captured(name):
    run, x = rl.compile(MADE_OF[name]), rl.arange(16.0).reshape(4, 4)
    results = [run(x + k) for k in range(4)]
    assert run._compiled.eager is None and run._compiled.traces == 1
    for k, r in enumerate(results):
        assert rl.allclose(r, MADE_OF[name](x + k))
