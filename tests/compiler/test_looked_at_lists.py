"""Compiled steps that look at lists and deques that they also add to."""

from __future__ import annotations

import random
import types
from collections import deque

import pytest

import rushlight as rl

LONG = 60  # calls after which all of these have a program


class Meter:
    """As training loops have it: the last losses, and what it makes of them."""

    def __init__(self, kind):
        self.values = kind()
        self.w = rl.ones(3, requires_grad=True)
        self.optimizer = rl.optim.SGD([self.w], lr=0.05)

    def loss(self, x):
        self.optimizer.zero_grad()
        loss = ((self.w * x - 1) ** 2).mean()
        loss.backward()
        self.optimizer.step()
        return loss


def last_ones(m, x):
    m.values.append(m.loss(x).item())
    return sum(m.values[-10:]) / len(m.values[-10:])


def last_ones_before(m, x):
    mean = sum(m.values[-4:]) / 4 if m.values else 0.0
    m.values.append(m.loss(x).item())
    return m.values[-1] - mean


def a_part_of_the_end(m, x):
    m.values += [m.loss(x).item(), 1.0]
    return sum(m.values[-6:-2])


def the_mean_of_all(m, x):
    m.values.append(m.loss(x).item())
    return sum(m.values) / len(m.values)


def the_best(m, x):
    loss = m.loss(x)
    m.values.append(loss.item())
    return loss * 2 if m.values[-1] <= min(m.values) else loss


def every_seventh(m, x):
    m.values.append(m.loss(x).item())
    return m.values[-3] if len(m.values) % 7 == 0 else 0.0


def last_tensors(m, x):
    m.values.append(m.loss(x).detach())
    return rl.stack(m.values[-5:]).mean()


def the_first_gives_way(m, x):
    m.values.append(m.loss(x).item())
    if len(m.values) > 5:
        m.values.pop(0)
    return sum(m.values) / len(m.values)


def the_first_tensor_gives_way(m, x):
    m.values.append(m.loss(x).detach())
    if len(m.values) > 3:
        del m.values[0]
    return rl.stack(list(m.values)).sum()


def a_full_queue(m, x):
    m.values.append(m.loss(x).item())
    return sum(m.values) / len(m.values)


def a_full_queue_of_tensors(m, x):
    m.values.appendleft(m.loss(x).detach())
    return sum(m.values)


def queue():
    return deque(maxlen=4)


STEPS = {
    last_ones: list, last_ones_before: list, a_part_of_the_end: list, the_mean_of_all: list,
    the_best: list, every_seventh: list, last_tensors: list, the_first_gives_way: list,
    the_first_tensor_gives_way: list, a_full_queue: queue, a_full_queue_of_tensors: queue,
}  # fmt: skip


def number(x):
    return x.item() if isinstance(x, rl.Tensor) else x


def run_both(function, kind, calls, between):
    """What ``calls`` calls return and leave, eagerly and compiled, and the compiled function."""
    found = []
    for compiled in (False, True):
        meter = Meter(kind)
        run = rl.compile(function, fullgraph=False) if compiled else function
        rows = []
        for k in range(calls):
            between(k, meter)
            try:
                out = number(run(meter, rl.full((3,), 0.5 + (k * 7 % 5) * 0.1)))
            except (IndexError, RuntimeError) as error:
                out = type(error).__name__
            rows.append((out, [number(v) for v in meter.values]))
        found.append(rows)
    for k, (a, b) in enumerate(zip(*found, strict=True)):
        assert b[0] == (pytest.approx(a[0], rel=1e-4, abs=1e-5) if type(a[0]) is float else a[0]), k
        assert b[1] == pytest.approx(a[1], rel=1e-4, abs=1e-5), k
    return run._compiled


@pytest.mark.parametrize("function", STEPS, ids=lambda f: f.__name__)
def test_steps_that_look_at_a_list_that_they_add_to_are_captured(function):
    compiled = run_both(function, STEPS[function], LONG, lambda k, meter: None)
    assert compiled.eager is None and compiled.variants
    assert sum([len(found) for found in compiled.variants.values()]) <= 3


def change(r, meter):
    """Something that users do to lists between calls, drawn from the generator r."""
    values, how = meter.values, r.randrange(9)
    new = rl.tensor(0.25) if values and isinstance(values[-1], rl.Tensor) else 0.25
    if how == 0:
        values.clear()
    elif how == 1:
        meter.values = type(values)(values, getattr(values, "maxlen", None)) if isinstance(
            values, deque) else [*values]  # fmt: skip
    elif how == 2 and values:
        values[-1] = new
    elif how == 3 and len(values) > 3:
        values[-3] = new
    elif how == 4:
        values.append(new)
    elif how == 5 and values:
        values.pop()
    elif how == 6 and values:
        values[0] = new
    elif how == 7:
        values.extend([new] * 5)
    elif how == 8 and values:
        values[-1] = 1 if not isinstance(new, rl.Tensor) else new


@pytest.mark.filterwarnings("ignore:compile. ")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("function", STEPS, ids=lambda f: f.__name__)
def test_lists_that_change_between_calls(function, seed):
    def between(k, meter):
        if k > 45 and r[id(meter)].random() < 0.3:
            change(r[id(meter)], meter)

    class Generators(dict):
        def __missing__(self, key):
            self[key] = random.Random(seed)
            return self[key]

    r = Generators()
    run_both(function, STEPS[function], 110, between)


def test_what_is_looked_at_as_a_whole_and_gets_longer_runs_eagerly():
    state = types.SimpleNamespace(values=[])

    @rl.compile
    def step(x):
        state.values.append(x.sum().item())
        return sorted(state.values)[0]

    with pytest.warns(UserWarning, match="looks at a list"):
        for k in range(400):
            step(rl.full((2,), float(k)))
    assert len(state.values) == 400
