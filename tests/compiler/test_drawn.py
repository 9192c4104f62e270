"""Random numbers of Python's and NumPy's generators within captured calls."""

from __future__ import annotations

import copy
import random
import threading
import types
from random import random as draw

import numpy as np
import pytest

import rushlight as rl
from rushlight.compiler import generators

pytest.importorskip("llvmlite", reason="native programs need llvmlite")


class Run:
    """What steps keep."""

    def __init__(self) -> None:
        self.own, self.numpy = random.Random(5), np.random.default_rng(1)
        self.legacy = {"rng": np.random.RandomState(4)}
        self.inside = (random.Random(7),)
        self.w = rl.ones(4, requires_grad=True)
        self.optimizer = rl.optim.SGD([self.w], lr=0.1)


def mixup(o, x):
    mixed = np.random.beta(0.4, 0.4)
    y = mixed * x + (1 - mixed) * x.flip(0)
    loss = ((o.w * y) ** 2).mean()
    o.optimizer.zero_grad()
    loss.backward()
    o.optimizer.step()
    return loss.item(), mixed


def decided(o, x):
    for _ in range(2):
        x = x * 2 if draw() < 0.5 else x - 1
    return x


def skipped(o, x):
    x = x + random.gauss(0, 1)
    if np.random.rand() < 0.5:
        x = x * np.random.normal()
    return x, random.uniform(1, 2)


def cropped(o, x):
    top, left = random.randint(0, 2), random.randrange(3)
    y = rl.nn.functional.pad(x, (1, 1, 1, 1))[:, top : top + 4, left : left + 3] * 1
    y[:, top : top + 2, left : left + 1] = 7
    return y.flip(-1) if random.random() > 0.5 else y


def sized(o, x):
    n = random.choice([2, 3])
    return x[..., :n].sum(), np.random.randint(3)


def generators_of_its_own(o, x):
    y = x * o.own.random() + o.numpy.normal() * o.legacy["rng"].randn()
    if o.own.choice(["up", "down"]) == "up":
        y = y + 1
    return y, o.numpy.integers(5)


def within_bounds(o, x):
    low = random.random()
    return x * random.uniform(low, low + 1)


def caught(o, x):
    try:
        y = x * random.random()
        return y + 1 if y.sum() > 4 else y
    except ValueError:
        return x


CAPTURED = [mixup, decided, skipped, cropped, sized, generators_of_its_own, within_bounds, caught]


def results(step, compiled):
    """What calls of a step give, and where they leave generators."""
    random.seed(3)
    np.random.seed(3)
    o = Run()
    run = rl.compile(step, recompile_limit=20) if compiled else step
    found = [run(o, x) for x in rl.randn(24, 3, 4, 4, generator=rl.Generator().manual_seed(0))]
    ends = [random.random(), np.random.rand(), np.random.randn(), random.gauss(0, 1)]
    own = [o.own.random(), o.numpy.random(), o.legacy["rng"].randn(), o.inside[0].random()]
    return found, [ends, own, o.w.tolist()], run


def leaves(x):
    return [v for part in x for v in leaves(part)] if isinstance(x, (tuple, list)) else [x]


@pytest.mark.parametrize("step", CAPTURED)
def test_draws_the_same_numbers_as_eager_code(step):
    expected, ends, _ = results(step, compiled=False)
    found, own_ends, run = results(step, compiled=True)
    assert run._compiled.eager is None and run._compiled.variants
    assert run._compiled.traces <= 4
    for a, b in zip(leaves(found), leaves(expected), strict=True):
        assert rl.allclose(rl.as_tensor(a), rl.as_tensor(b), rtol=1e-5, atol=1e-6)
    assert own_ends[:2] == ends[:2]
    np.testing.assert_allclose(own_ends[2], ends[2], rtol=1e-5)


def seeds(o, x):
    random.seed(3)
    return x * random.random()


def unfit(o, x):
    return x * np.random.default_rng(3).random() * len(o.numpy.bytes(3))


def text(o, x):
    return x, str(random.random())


def unseen(o, x):
    return x * o.inside[0].random()


def copied(o, x):
    return x * copy.deepcopy(o.own).random()


def kept(o, x):
    o.draw, o.rng = random.random, o.own
    return x * o.draw() + o.rng.random()


def imported(o, x):
    from random import random as draw_here

    return x * draw_here()


def from_a_value(o, x):
    return x * random.uniform(0, x.sum().item())


def by_weights(o, x):
    p = x.flatten().softmax(0).numpy()
    return x * np.random.choice(48, p=p / p.sum())


WHY = {
    seeds: "seeds a generator",
    unfit: "gives random values",
    text: "does more with a random number",
    unseen: "draws random numbers",
    copied: "copies, keeps or returns a generator",
    kept: "copies, keeps or returns a generator",
    imported: "draws random numbers",
    from_a_value: "bounds that are read from a tensor",
    by_weights: "bounds that are read from a tensor",
}


@pytest.mark.parametrize("step", list(WHY))
def test_runs_eagerly_what_it_cannot_draw_before(step):
    expected, ends, _ = results(step, compiled=False)
    with pytest.warns(UserWarning, match=WHY[step]):
        found, own_ends, _ = results(step, compiled=True)
    for a, b in zip(leaves(found), leaves(expected), strict=True):
        assert a == b if isinstance(a, str) else rl.equal(a, b)
    assert own_ends == ends


def test_many_integers_that_decide_keep_it_eager():
    def step(x):
        return x[: random.randint(1, 50)].sum()

    random.seed(8)
    run, x = rl.compile(step), rl.ones(60)
    with pytest.warns(UserWarning, match="each value of a random integer"):
        for _ in range(60):
            run(x)


@pytest.mark.parametrize(
    "make",
    [random.Random, np.random.RandomState, np.random.default_rng],
    ids=["random", "legacy", "numpy"],
)
def test_generators_go_back(make):
    g = make(3)
    normal = g.gauss if make is random.Random else g.normal
    for _ in range(700):
        where = generators.mark(g)
        assert where == generators.mark(g)
        first = [normal(0, 1) for _ in range(3)]
        assert where != generators.mark(g)
        generators.rewind(g, where)
        assert where == generators.mark(g)
        assert first == [normal(0, 1) for _ in range(3)]
        g.random()


def test_threads_draw_their_own():
    def step(x):
        return x * random.random(), random.random()

    run = rl.compile(step)
    for _ in range(3):
        run(rl.ones(2))
    found = []

    def work():
        for _ in range(200):
            y, other = run(rl.ones(2))
            found.append((y[0].item(), other))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    drawn = {v for pair in found for v in pair}
    assert len(found) == 600 and len(drawn) == 1200


def test_a_module_that_is_read_as_an_attribute_too():
    module = types.ModuleType("drawing")
    exec("import random\ndef draw():\n    return random.random()", vars(module))

    def step(x):
        return x * module.draw() + module.random.random()

    run = rl.compile(step, fullgraph=True)
    random.seed(0)
    got = [run(rl.ones(2)).tolist() for _ in range(4)]
    random.seed(0)
    np.testing.assert_allclose(got, [step(rl.ones(2)).tolist() for _ in range(4)])
