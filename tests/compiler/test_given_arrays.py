"""NumPy arrays that captured calls are given, draw, or make of numbers, and what is computed of
them before a program runs.
"""

from __future__ import annotations

import dataclasses
import gc
import random
import threading
import types
import weakref
import zlib
from collections import deque, namedtuple

import numpy as np
import pytest

import rushlight as rl

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
Pair = namedtuple("Pair", "first second")


@dataclasses.dataclass
class Batch:
    x: object
    y: object


class Agent:
    """What steps keep."""

    def __init__(self):
        rl.manual_seed(0)
        self.net = rl.nn.Sequential(rl.nn.Linear(4, 8), rl.nn.Tanh(), rl.nn.Linear(8, 2))
        self.optimizer = rl.optim.Adam(self.net.parameters(), lr=0.01)
        self.table, self.kept, self.total = rl.randn(20, 4), [], 0.0
        self.rng = np.random.default_rng(5)

    def improve(self, loss):
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def acts(o, x, n):
    with rl.no_grad():
        return o.net(rl.from_numpy(x)).argmax(1).numpy()


def acts_on_doubles(o, x, n):
    x = rl.as_tensor(x.astype(np.float64), dtype=rl.float32)[0]
    return int(o.net(x).argmax()), o.net(rl.tensor(x.numpy())).detach().numpy()


def learns(o, x, n):
    actions, returns = rl.from_numpy(n[:, 0] % 2), rl.as_tensor(x[:, 0] * 2.0, dtype=rl.float32)
    q = o.net(rl.from_numpy(x)).gather(1, actions[:, None])[:, 0]
    return o.improve(((q - returns) ** 2).mean())


def learns_live(o, x, n):
    return rl.nn.functional.cross_entropy(o.net(rl.from_numpy(x)), rl.from_numpy(n[:, 0] % 2))


def normalises(o, x, n):
    x = (x - x.mean(0)) / (x.std(0) + 1e-8)
    o.total += float(x.max())
    return rl.from_numpy(np.clip(x, -1, 1)) @ rl.ones(4), x, x.mean(), x.max(1)


def indexes(o, x, n):
    return o.table[n[:, 0]], o.table[n[0, 1]] * 2, o.table[n[:, 1], n[:, 2] % 4], x[n[:, 3] % 3]


def decides(o, x, n):
    if x.mean() > 0 and (n > 3).any():
        return rl.from_numpy(x) * 2
    return rl.from_numpy(x) - 1


def counts_returns(o, x, n):
    found, total = [], 0.0
    for r in x[0][::-1].tolist():
        total = r + 0.9 * total
        found.insert(0, total)
    return rl.tensor(found), rl.as_tensor(found, dtype=rl.float64), rl.tensor([x[0, 0], x[1, 1]])


def passes_back(o, x, n):
    t = rl.from_numpy(x)
    o.kept.append(x[1])
    return t, x, x.T, t[0], x[:, ::-1], rl.from_numpy(n)


def assigns(o, x, n):
    y = rl.zeros(3, 4)
    y[1] = x[0]
    y[:, 2] = n[:, 0]
    return y + x, x + y, y * x.mean()


def beside_a_tensor(o, x, n):
    scores = o.net(rl.from_numpy(x)).detach().numpy()
    return (scores.argmax(1) == n[:, 0] % 2).mean(), scores * x[:, :2]


def shapes(o, x, n):
    return rl.zeros(len(x), x.shape[1]) + x.size, x.ndim, x.dtype == np.float32, np.unique(n).size


def asks_gradients(o, x, n):
    t = rl.from_numpy(x).requires_grad_()
    o.net(t).sum().backward()
    return t.grad


STEPS = [acts, acts_on_doubles, learns, learns_live, normalises, indexes, decides, counts_returns,
         passes_back, assigns, beside_a_tensor, shapes, asks_gradients]  # fmt: skip


def data(k, dtype=np.float32):
    g = np.random.default_rng(k)
    return g.standard_normal((3, 4)).astype(dtype), g.integers(0, 20, (3, 4))


def copied(x):
    if isinstance(x, (tuple, list)):
        return [copied(v) for v in x]
    x = x.detach() if isinstance(x, rl.Tensor) else x
    return (type(x), x.tolist(), str(x.dtype), tuple(x.shape)) if hasattr(x, "tolist") else x


def close(a, b):
    if isinstance(b, (tuple, list)):
        return type(a) is type(b) and len(a) == len(b) and all(map(close, a, b))
    if isinstance(b, (float, int)):
        return type(a) is type(b) and np.allclose(a, b, 1e-4, 1e-6, equal_nan=True)
    return a == b


def results(step, calls, compiled):
    o = Agent()
    np.random.seed(1)
    random.seed(1)
    run = rl.compile(step, recompile_limit=20) if compiled else step
    found = [copied(run(o, *call)) for call in calls()]
    ends = [np.random.rand(), random.random(), o.rng.random()]
    return [found, copied(o.kept), o.total, copied(list(o.net.parameters())), ends], run


@pytest.mark.parametrize("step", STEPS)
def test_arrays_are_arguments(step):
    def calls():
        return [data(k) for k in range(9)]

    expected, _ = results(step, calls, compiled=False)
    found, run = results(step, calls, compiled=True)
    assert close(found, expected)
    assert run._compiled.eager is None
    assert 0 < run._compiled.traces <= (4 if step is decides else 2)


def unlike():
    """Arrays of all kinds, by turns."""
    base = np.random.default_rng(1).standard_normal((8, 12)).astype(np.float32)
    n = data(0)[1]
    raw = np.zeros(3 * 4 * 4 + 1, np.uint8)
    unaligned = np.frombuffer(raw.data, np.float32, 12, 1).reshape(3, 4)
    unaligned[:] = base[:3, :4]
    fixed = base[:3, :4].copy()
    fixed.flags.writeable = False
    for _ in range(4):
        yield base[:3, :4].copy(), n
        yield base[:3, :4], n
        yield base[:6:2, ::3], n
        yield np.asfortranarray(base[:3, 4:8]), n
        yield base[4:1:-1, :4], n
        yield base[:4, :3].T, n[::-1]
        yield fixed, n
        yield unaligned, n
        yield base[:3, :4].astype(">f4"), n
        yield np.broadcast_to(base[0, :4], (3, 4)), n
        yield base[:3, 2:6], n.astype(np.int32)
        yield base[:5, :4].copy(), np.tile(n, (2, 1))[:5]
        base += 1


@pytest.mark.filterwarnings("ignore:.*(writable|runs eagerly|captured|kinds)")
@pytest.mark.parametrize("step", STEPS)
def test_arrays_of_all_kinds(step):
    def attempt(o, x, n):
        try:
            return step(o, x, n)
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            return type(error).__name__

    expected, _ = results(attempt, unlike, compiled=False)
    found, _ = results(attempt, unlike, compiled=True)
    assert close(found, expected)


def test_an_array_twice_and_arrays_that_overlap():
    def step(x, y):
        return (rl.from_numpy(x) * 2 + rl.from_numpy(y)).sum(), (x - y).sum()

    run, a, b = rl.compile(step), np.ones(6, np.float32), np.full(6, 3, np.float32)
    for _ in range(3):
        for x, y in ((a, b), (a, a), (a[:4], a[2:]), (b, a), (b[:4], a[:4])):
            assert copied(run(x, y)) == copied(step(x, y))
            a[:] += 1


@pytest.mark.filterwarnings("ignore:compile")
def test_arrays_on_the_memory_of_what_a_step_writes_to():
    def make():
        w = rl.ones(4, requires_grad=True)
        optimizer = rl.optim.SGD([w], lr=0.1)

        def step(x, t):
            loss = (w * rl.from_numpy(x)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            t.mul_(2)
            return loss.item(), x.sum(), rl.from_numpy(x) * 2, x + 0

        return step, w

    def calls(step, w):
        found, t, apart = [], rl.ones(4), np.ones(4, np.float32)
        for _ in range(4):
            for x in (apart, w.detach().numpy(), t.numpy(), apart, t.numpy(), w.detach().numpy()):
                found.append(copied(step(x, t)))
                t.fill_(1)
        return [found, w.tolist()]

    step, w = make()
    expected = calls(step, w)
    step, w = make()
    assert close(calls(rl.compile(step), w), expected)


def scales(x):
    rl.from_numpy(x).mul_(2)
    return rl.from_numpy(x).sum()


def scales_noise(x):
    return rl.from_numpy(np.random.rand(3)).mul_(2).sum() + rl.from_numpy(x).sum()


def sets_an_element(x):
    x[0] = 7
    return rl.from_numpy(x) * 2


def subtracts(x):
    x -= x.mean()
    return rl.from_numpy(x) * 2


def fills(x):
    x.fill(3)
    return rl.from_numpy(x) * 2


def copies_into(x):
    np.copyto(x, 1)
    return rl.from_numpy(x) * 2


def sorts_a_copy(x):
    y = x.copy()
    y.sort()
    return rl.from_numpy(y) * 2


def adds_into(x):
    np.add(x, 1, out=x)
    return rl.from_numpy(x) * 2


def shuffles(x):
    np.random.shuffle(x)
    return rl.from_numpy(x) * 2


WRITING = [scales, scales_noise, sets_an_element, subtracts, fills, copies_into, sorts_a_copy,
           adds_into, shuffles]  # fmt: skip


@pytest.mark.parametrize("step", WRITING)
def test_what_writes_to_an_array_runs_eagerly(step):
    def calls(run):
        np.random.seed(3)
        arrays = [np.arange(3, dtype=np.float32) + k for k in range(6)]
        return [[copied(run(x)) for x in arrays], copied(arrays), np.random.rand()]

    with pytest.warns(UserWarning, match="runs eagerly"):
        found = calls(rl.compile(step))
    assert found == calls(step)


def test_results_are_kept_while_arrays_change():
    run = rl.compile(lambda x: (rl.from_numpy(x) * 2, x + 1, rl.from_numpy(x), x))
    buffer, found = np.zeros(3, np.float32), []
    for k in range(6):
        buffer[:] = k
        found.append(run(buffer))
    for k, (twice, more, same, itself) in enumerate(found):
        assert twice.tolist() == [2.0 * k] * 3 and more.tolist() == [k + 1.0] * 3
        assert same.tolist() == [5.0] * 3 and itself is buffer
    found[-1][2].fill_(9)
    assert buffer.tolist() == [9.0] * 3


def test_arrays_live_no_longer_than_their_calls():
    run = rl.compile(lambda x: (rl.from_numpy(x * np.random.rand(3)).sum(), x.max()))
    for _ in range(5):
        x = np.ones(3)
        run(x)
    of_call = weakref.ref(x)
    del x
    gc.collect()
    assert of_call() is None and run._compiled.variants


class Held:
    def __init__(self, x):
        self.x = x


class Columns(dict):
    def __init__(self, x):
        super().__init__(x=x)
        self.note = x + 1


HOLDERS = {
    "tuple": (lambda x: (x, x + 1), lambda b: (b[0], b[1])),
    "named": (lambda x: Pair(x, x + 1), lambda b: (b.first, b.second)),
    "list": (lambda x: [x, [x + 1]], lambda b: (b[0], b[1][0])),
    "dict": (lambda x: {"a": x, "b": {"c": x + 1}}, lambda b: (b["a"], b["b"]["c"])),
    "deque": (lambda x: deque([x, x + 1], 2), lambda b: (b[0], b[-1])),
    "dataclass": (lambda x: Batch(x, (x + 1,)), lambda b: (b.x, b.y[0])),
    "namespace": (lambda x: types.SimpleNamespace(a=x, b=x + 1), lambda b: (b.a, b.b)),
    "class": (Held, lambda b: (b.x, b.x)),
    "subclass": (Columns, lambda b: (b["x"], b.note)),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_arrays_in_what_is_given(name):
    make, parts = HOLDERS[name]

    def step(batch, scale=None):
        x, y = parts(batch)
        return rl.from_numpy(x) * rl.from_numpy(y), (x + y).sum(), np.stack([x, y]).shape

    run = rl.compile(step)
    for k in range(8):
        x = np.arange(3.0) + k
        batch = make(x)
        assert copied(run(batch, scale=x)) == copied(step(batch))
        assert all([type(part) is np.ndarray for part in parts(batch)])
    assert run._compiled.variants and run._compiled.eager is None


def test_threads_bring_their_own_arrays():
    run = rl.compile(lambda x: (rl.from_numpy(x * 2).sum(), x.max(), rl.from_numpy(x).sum()))
    found = []

    def work(n):
        for k in range(n, n + 200):
            a, b, c = run(np.full(3, k, np.float64))
            found.append((a.item() == 6 * k, b == k, c.item() == 3 * k))

    for _ in range(3):
        run(np.zeros(3))
    threads = [threading.Thread(target=work, args=(1000 * k,)) for k in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(found) == 600 and {*found} == {(True, True, True)}


@pytest.mark.filterwarnings("ignore:compile")
def test_what_looks_at_the_bytes_of_arrays():
    def step(x):
        return rl.from_numpy(x) * 2, zlib.crc32(x)

    run = rl.compile(step)
    for k in range(4):
        x = np.full(3, k % 2, np.float32)
        assert copied(run(x)) == copied(step(x))


@pytest.mark.filterwarnings("ignore:compile")
def test_what_asks_for_the_type_of_arrays():
    def step(x):
        return rl.from_numpy(x) * (2 if type(x) is np.ndarray else 3)

    run = rl.compile(step)
    for k in range(6):
        assert run(np.full(3, k, np.float32)).tolist() == [2.0 * k] * 3


def test_errors_of_what_is_computed_before():
    def step(x):
        return rl.from_numpy(np.linalg.inv(x)).sum()

    run = rl.compile(step)
    for k in range(1, 5):
        assert run(np.eye(3) * k).item() == pytest.approx(3 / k)
    with pytest.raises(np.linalg.LinAlgError):
        run(np.zeros((3, 3)))
    assert run(np.eye(3)).item() == 3.0


def test_sizes_that_are_others():
    def step(x):
        return rl.from_numpy(x[x > 0]).sum(), len(x[x > 0])

    run = rl.compile(step)
    for k in range(6):
        x = np.arange(-3.0, 3.0) + k % 3
        assert copied(run(x)) == copied(step(x))


def noise(o, x):
    a = np.random.rand(*x.shape)
    return x + rl.from_numpy(a).float() * 0.1, a, a.mean(), o.normal(size=(2, 2))


def picks(o, x):
    i = np.random.permutation(len(x))
    return x[i], x[rl.from_numpy(o.permutation(3)[:2])], x[o.integers(0, 3, 5)], i[0]


def samples(o, x):
    i = list(range(3))
    random.shuffle(i)
    return x[i], x[random.sample(range(3), 2)], x[random.choices([0, 1, 2], k=4)], i


def mixes(o, x):
    part = o.beta(0.4, 0.4)
    i = o.permutation(len(x))
    return part * x + (1 - part) * x[i], o.choice(3, 2, replace=False)


def drawn_from_arrays(o, x):
    p = np.array([1.0, 2.0, 3.0])
    i = o.choice(3, p=p / p.sum())
    return x[i] * 2, o.normal(o.random(3)), o.choice(np.arange(9.0), 4)


DRAWS = [noise, picks, samples, mixes, drawn_from_arrays]


@pytest.mark.parametrize("step", DRAWS)
def test_arrays_are_drawn_before(step):
    def calls(compiled):
        random.seed(2)
        np.random.seed(2)
        o = np.random.default_rng(2)
        run = rl.compile(step) if compiled else step
        found = [copied(run(o, rl.arange(12.0).reshape(3, 4) + k)) for k in range(8)]
        return [found, random.random(), np.random.rand(), o.random()], run

    found, run = calls(True)
    assert close(found, calls(False)[0])
    assert run._compiled.eager is None and run._compiled.traces == 1


@pytest.mark.filterwarnings("ignore:compile")
def test_drawn_arrays_that_decide():
    def step(x):
        a = np.random.rand(3)
        y = x * 2 if (a > 0.5).any() else x - 1
        return y + rl.from_numpy(a), np.random.rand()

    def calls(run):
        np.random.seed(4)
        return [copied(run(rl.ones(3).double() * k)) for k in range(30)]

    assert calls(rl.compile(step)) == calls(step)


def tensors_of_numbers(x, i):
    return x + rl.tensor([i, i + 1, 7]), rl.as_tensor(i, dtype=rl.float32), rl.tensor([[i / 2]])


def ranges(x, i):
    return x[:3] + rl.arange(i, i + 3), rl.arange(i, i + 2, 0.5), rl.arange(i, i - 3, -1)


def writes_to_a_range(x, i):
    places = rl.arange(i, i + 3)
    places += 1
    return places, rl.arange(i, i + 3, dtype=rl.float32).mul_(x)


@pytest.mark.parametrize("step", [tensors_of_numbers, ranges, writes_to_a_range])
def test_numbers_that_change_become_tensors(step):
    run, x = rl.compile(step), rl.ones(3)
    for i in [*range(12), 1 << 40, -5]:
        assert copied(run(x, i)) == copied(step(x, i))
    assert run._compiled.traces <= 3 and run._compiled.variants


def test_errors_leave_what_is_given_as_it_was():
    def step(batch):
        return (rl.from_numpy(batch["x"]) + rl.from_numpy(batch["y"][0])).sum()

    run = rl.compile(step)
    for n in (3, 4, 4, 3, 4, 3, 3):
        batch = {"x": np.ones(3), "y": [np.ones(n)]}
        if n == 3:
            assert run(batch).item() == 6.0
        else:
            with pytest.raises(RuntimeError):
                run(batch)
        assert type(batch["x"]) is type(batch["y"][0]) is np.ndarray


def test_errors_come_before_anything_is_written():
    w = rl.zeros(3)

    def step(x):
        inverse = np.linalg.inv(x)
        w.add_(1)
        return inverse

    run = rl.compile(step)
    for k in range(1, 5):
        assert run(np.eye(3) * k)[0, 0] == 1 / k
    with pytest.raises(np.linalg.LinAlgError):
        run(np.zeros((3, 3)))
    assert w.tolist() == [4.0] * 3


def scaled(x, reward, n):
    return x * reward + n, reward * 2, rl.tensor(reward), rl.full((2,), float(n)), [int(n), reward]


def divided(x, reward, n):
    return x / (1 + reward) if reward > 0.3 else x - n, reward.dtype == np.float32


def placed(x, reward, n):
    return rl.arange(30)[n] + x, rl.arange(30)[n : n + 2] * 2, np.float64(3) * reward


@pytest.mark.parametrize("kinds", [(np.float64, np.int64), (np.float32, np.int32)])
@pytest.mark.parametrize("step", [scaled, divided, placed])
def test_numbers_of_numpy_that_change(step, kinds):
    run, x = rl.compile(step), rl.ones(3)
    for k in range(12):
        given = kinds[0](k / 7), kinds[1](k)
        assert close(copied(run(x, *given)), copied(step(x, *given)))
    assert run._compiled.traces <= 4 and run._compiled.variants and run._compiled.eager is None


F = rl.nn.functional
PARAMS = {
    "leaky_relu": lambda x, o: F.leaky_relu(x, o[0]),
    "elu": lambda x, o: F.elu(x, alpha=o[0]),
    "threshold": lambda x, o: F.threshold(x, o[0], o[1]),
    "clamp": lambda x, o: x.clamp(float(o.min()), float(o.max())),
    "pad": lambda x, o: F.pad(x, (1, 1), value=o[0]),
    "where": lambda x, o: rl.where(x > 0, x, o[0]),
    "fill": lambda x, o: rl.full((3,), o[0]) + x.clone().fill_(o[1]) + x.masked_fill(x > 0, o[2]),
    "in place": lambda x, o: x.clone().mul_(o[0]).add_(o[1]).clamp_(max=2.0),
    "operands": lambda x, o: o[0] ** x.abs() + x / o[1] - rl.rsub(x, o[2]),
    "compared": lambda x, o: (x > o[0]).float() + (o[1] < x).float(),
    "lerp": lambda x, o: x.lerp(x * 2, o[0]),
    "linspace": lambda x, o: rl.linspace(o[0], o[1], 4),
    "lists": lambda x, o: rl.tensor([[o[0], 1.0], [2.0, o[1]]]) + rl.tensor((o[0], 1)),
    "sums": lambda x, o: x * sum(o) + max(o) - sorted(o)[0],
}


@pytest.mark.parametrize("name", PARAMS)
def test_numbers_of_arrays_as_parameters(name):
    step = PARAMS[name]
    run = rl.compile(step, recompile_limit=20)
    for k in range(6):
        g = np.random.default_rng(k)
        x, o = rl.from_numpy(g.standard_normal(3).astype(np.float32)), g.random(3, np.float32)
        assert close(copied(run(x, o)), copied(step(x, o)))
    assert run._compiled.variants


@pytest.mark.filterwarnings("ignore:compile")
def test_numbers_of_numpy_that_are_sizes():
    run, x = rl.compile(lambda x, n: x[:n].sum() * rl.zeros(int(n) + 1).sum()), rl.ones(9)
    for k in [1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 1]:
        assert run(x, np.int64(k)).item() == 0.0
