"""What a call changes around it, or what changes between calls: looked up anew, and left behind."""

from __future__ import annotations

import collections
import math
import types

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn
from tests.compiler.repeated import CALLS, calls, check_same, model, plain, train

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
pytestmark = pytest.mark.usefixtures("own_cache")


class Meter:
    def __init__(self):
        self.last, self.sum, self.count, self.mean = 0, 0.0, 0, 0.0

    def update(self, value, n):
        self.last, self.sum, self.count = value, self.sum + value * n, self.count + n
        self.mean = self.sum / self.count


class Slotted:
    __slots__ = ("count", "mean")

    def __init__(self):
        self.count, self.mean = 0, torch.zeros(4)


Pair = collections.namedtuple("Pair", "count total")


class Kept(nn.Module):
    """A module that keeps a mean in a buffer, a state, and how often it ran."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls, self.state = nn.Linear(4, 2), 0, None
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x):
        y = self.layer(x)
        self.mean = 0.9 * self.mean + 0.1 * y.detach().mean(0)
        if self.state is not None:
            y = y + 0.1 * self.state
        self.state, self.calls = y.detach(), self.calls + 1
        return y - self.mean


def a_total():
    net, total = model(), 0.0
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def step(x, y):
        nonlocal total
        loss = train(net, optimizer, x, y)
        total += loss.item()
        return total

    return step, lambda: [total, *net.parameters()]


def a_meter():
    net, meter = model(), Meter()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)

    def step(x, y):
        meter.update(train(net, optimizer, x, y).item(), len(x))

    return step, lambda: [vars(meter), *net.parameters()]


def several_meters():
    meters = {"a": Meter(), "b": Meter()}

    def step(x, y):
        for meter, v in zip(meters.values(), (x, y), strict=True):
            meter.update(v.mean().item(), len(v))
        return {k: m.mean for k, m in meters.items()}

    return step, lambda: [vars(m) for m in meters.values()]


def a_counter_that_decides():
    net, state = model(), types.SimpleNamespace(step=0, seen=None)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def step(x, y):
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        state.step += 1
        if state.step % 2 == 0:
            optimizer.step()
            optimizer.zero_grad()
            state.seen = loss.item()
        return loss.detach()

    return step, lambda: [state.step, state.seen, *net.parameters()]


def the_best():
    state = types.SimpleNamespace(best=math.inf, x=torch.zeros(4))

    def step(x, y):
        v = x.mean()
        if v.item() < state.best:
            state.best, state.x = v.item(), x.mean(0)
        return state.x

    return step, lambda: vars(state)


def a_table():
    totals = collections.defaultdict(float)

    def step(x, y):
        totals["x"] += x.sum().item()
        totals["positive"] += (x > 0).sum().item()
        totals["n"] += 1
        return totals["x"] / totals["n"]

    return step, lambda: dict(totals)


def a_list_of_numbers():
    weights = [1.0, 1.0]

    def step(x, y):
        loss = weights[0] * x.abs().mean() + weights[1] * y.abs().mean()
        weights[0], weights[1] = x.mean().item(), weights[0] * 0.5
        return loss

    return step, lambda: weights


def a_tuple():
    state = (0, 0.0)

    def step(x, y):
        nonlocal state
        state = (state[0] + 1, state[1] + x.mean().item())
        return state[1] / state[0]

    return step, lambda: list(state)


def a_named_tuple():
    state = Pair(0, 0.0)

    def step(x, y):
        nonlocal state
        state = Pair(state.count + 1, state.total + x.mean().item())
        return state.total

    return step, lambda: list(state)


def slots():
    state = Slotted()

    def step(x, y):
        state.count += 1
        state.mean = state.mean + (x.mean(0) - state.mean) / state.count
        return x - state.mean

    return step, lambda: [state.count, state.mean]


def an_attribute_of_a_class():
    class Total:
        value = 0.0

    def step(x, y):
        Total.value += x.sum().item()
        return Total.value

    return step, lambda: Total.value


def an_attribute_of_a_function():
    def step(x, y):
        step.calls += 1
        return x * step.calls

    step.calls = 0
    return step, lambda: step.calls


COUNT = 0


def a_global_variable():
    global COUNT
    COUNT = 0

    def step(x, y):
        global COUNT
        COUNT += 1
        return x.mean() * COUNT

    return step, lambda: COUNT


def a_recurrent_state():
    torch.manual_seed(0)
    layer, state = nn.LSTM(4, 3), None
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)

    def step(x, y):
        nonlocal state
        optimizer.zero_grad()
        out, new = layer(x, state)
        state = tuple(s.detach() for s in new)
        loss = (out**2).mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, lambda: [*state, *layer.parameters()]


def buffers_and_states_of_a_module():
    torch.manual_seed(0)
    net = Kept()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    return (
        lambda x, y: train(net, optimizer, x, y),
        lambda: [net.mean, net.state, net.calls, *net.parameters()],
    )


def parameters_kept_in_a_list():
    state = {"t": 0, "m": [torch.zeros(4, 2)], "w": torch.ones(4, 2)}

    def step(x, y):
        w = state["w"].detach().requires_grad_()
        (g,) = torch.autograd.grad(((x @ w - y) ** 2).mean(), w)
        state["t"] += 1
        state["m"][0] = 0.9 * state["m"][0] + g
        state["w"] = w.detach() - 0.1 * state["m"][0] / (1 - 0.9 ** state["t"])

    return step, lambda: [state["t"], *state["m"], state["w"]]


def two_that_take_turns():
    buffers, turn = [torch.zeros(4), torch.ones(4)], 0

    def step(x, y):
        nonlocal turn
        buffers[turn], turn = buffers[1 - turn] + x.mean(0), 1 - turn
        return buffers[turn]

    return step, lambda: [turn, *buffers]


def a_rate_set_by_hand():
    net, n = model(), 0
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)

    def step(x, y):
        nonlocal n
        n += 1
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * (1 + math.cos(math.pi * n / 20)) * min(1.0, n / 3)
        return train(net, optimizer, x, y)

    return step, lambda: [n, optimizer.param_groups[0]["lr"], *net.parameters()]


def functions_of_math():
    state = types.SimpleNamespace(n=0, finite=0)

    def step(x, y):
        v = x.abs().mean().item()
        state.n += 1
        if math.isfinite(v):
            state.finite += 1
        return math.exp(v), math.sqrt(state.n), math.log(v) if v > 0.1 else 0.0, v**0.5

    return step, lambda: vars(state)


def scaled_by_a_norm():
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        ((net(x) - y) ** 2).mean().backward()
        norm = math.sqrt(sum([p.grad.norm().item() ** 2 for p in net.parameters()]))
        if (scale := 0.3 / (norm + 1e-6)) < 1:
            for p in net.parameters():
                p.grad.mul_(scale)
        optimizer.step()
        return norm

    return step, lambda: [*net.parameters()]


def lists_that_grow():
    net, losses = model(), []
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    history = {"norm": [], "outputs": []}

    def step(x, y):
        loss = train(net, optimizer, x, y)
        losses.append(loss.item())
        history["norm"] += [p.detach().norm().item() for p in net.parameters()]
        history["outputs"].append({"loss": loss, "sizes": tuple(x.shape)})
        return loss

    return step, lambda: [losses, history, *net.parameters()]


def an_attribute_that_comes():
    class Stop:
        best, stop = math.inf, False

    state = Stop()

    def step(x, y):
        if x.mean() < state.best:
            state.best = x.mean().item()
        else:
            state.stop = True
        return state.stop

    return step, lambda: [state.best, state.stop]


def hooks_that_keep():
    net, kept = model(), {}
    net[0].register_forward_hook(lambda m, i, out: kept.update(first=out.detach()))
    net[2].register_forward_pre_hook(lambda m, i: (i[0] * 2,))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    return lambda x, y: train(net, optimizer, x, y), lambda: [kept, *net.parameters()]


def hooks_of_backward_passes():
    net, kept = model(), {}
    net[2].register_full_backward_hook(lambda m, gi, go: kept.update(g=go[0].clone()))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    return lambda x, y: train(net, optimizer, x, y), lambda: [kept, *net.parameters()]


def older_weight_norm():
    net = model()
    with pytest.warns(FutureWarning):
        nn.utils.weight_norm(net[0])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    return (
        lambda x, y: train(net, optimizer, x, y),
        lambda: [net[0].weight, *net.parameters()],
    )


def older_spectral_norm():
    net = model()
    nn.utils.spectral_norm(net[0])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    return (
        lambda x, y: train(net, optimizer, x, y),
        lambda: [net[0].weight, *net.parameters(), *net.buffers()],
    )


def pruned():
    net = model()
    nn.utils.prune.l1_unstructured(net[0], "weight", 0.3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    return (
        lambda x, y: train(net, optimizer, x, y),
        lambda: [net[0].weight, *net.parameters(), *net.buffers()],
    )


CHANGES = [
    lists_that_grow, an_attribute_that_comes, hooks_that_keep, hooks_of_backward_passes,
    older_weight_norm, older_spectral_norm, pruned,
    a_total, a_meter, several_meters, a_counter_that_decides, the_best, a_table, a_list_of_numbers,
    a_tuple, a_named_tuple, slots, an_attribute_of_a_class, an_attribute_of_a_function,
    a_global_variable, a_recurrent_state, buffers_and_states_of_a_module,
    parameters_kept_in_a_list, two_that_take_turns, a_rate_set_by_hand, functions_of_math,
    scaled_by_a_norm,
]  # fmt: skip


@pytest.mark.parametrize("make", CHANGES, ids=lambda f: f.__name__)
def test_what_calls_change(make):
    check_same(make)


def test_numbers_that_change_between_calls_need_no_capture_each():
    options = types.SimpleNamespace(weight=0.0, epoch=0)

    def step(x, y):
        return x.mean() * options.weight + y.mean() * options.epoch

    def make():
        return step, lambda: None

    def between(k):
        options.weight, options.epoch = k / 7, k

    found, run = calls(make, torch.compile, 12, between)
    assert len(run._compiled.reasons) == 2
    for ours, theirs in zip(found, calls(make, plain, 12, between)[0], strict=True):
        np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-5)


def test_a_size_that_changes_is_captured_anew():
    options = types.SimpleNamespace(size=1)
    run = torch.compile(lambda x: x[:, : options.size].sum(1))
    for k in range(12):
        options.size = k % 3 + 1
        x = torch.randn(2, 4)
        torch.testing.assert_close(run(x), x[:, : options.size].sum(1))


def test_a_state_that_gets_longer_is_not_taken_for_the_one_before():
    """Calls straight after one that a program served bring a longer state than it knows."""

    class Cache:
        k = None

        def add(self, x):
            self.k = x if self.k is None else torch.cat([self.k, x])
            return self.k.sum()

    cache = Cache()
    run = torch.compile(cache.add)
    for _ in range(4):
        cache.k = None
        found = [run(torch.full((1 + 2 * (i == 0),), i + 1.0)).item() for i in range(8)]
        assert found == [3, 5, 8, 12, 17, 23, 30, 38]
        assert cache.k.tolist() == [1, 1, 1, 2, 3, 4, 5, 6, 7, 8]


def test_what_is_set_between_calls_is_seen():
    state = types.SimpleNamespace(h=torch.zeros(3), n=0)

    def step(x):
        state.h, state.n = state.h * 0.5 + x, state.n + 1
        return state.h.sum()

    run = torch.compile(step, fullgraph=True)
    for _ in range(6):
        run(torch.ones(3))
    assert run._compiled.variants and state.n == 6
    state.h, state.n = torch.zeros(3), 40
    for k in range(4):
        run(torch.ones(3))
        assert state.n == 41 + k
    assert state.h.tolist() == [1.875] * 3
    state.h = torch.zeros(2, 3)
    assert run(torch.ones(3)).item() == 6 and state.h.shape == (2, 3)


def test_a_global_variable_that_is_read_as_an_attribute_too():
    module = types.ModuleType("counting")
    exec("n = 0\ndef count():\n    global n\n    n += 1\n    return n", vars(module))

    def step(x):
        return x * module.count() + module.n

    run = torch.compile(step, fullgraph=True)
    for k in range(1, CALLS):
        assert run(torch.ones(2)).tolist() == [2 * k] * 2 and module.n == k
    assert run._compiled.variants


def test_a_state_that_is_held_elsewhere_is_not_overwritten():
    state, kept = types.SimpleNamespace(h=torch.zeros(3)), []

    def step(x):
        state.h = state.h + x

    run = torch.compile(step)
    for k in range(8):
        run(torch.ones(3))
        kept.append(state.h)
        assert [h[0].item() for h in kept] == list(range(1, k + 2))
