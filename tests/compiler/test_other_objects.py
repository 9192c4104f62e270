"""A compiled function sees what changes in objects whose classes are not all a user's, and in what
Python's own library makes of functions, dicts and bytes.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import operator
import types
from typing import Any

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.nn import functional as F
from rushlight.optim import lr_scheduler

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
X = rl.tensor([[0.5, -1.0, 2.0]])
CALLS = 12


class Table(collections.UserDict):
    """A user's, whose methods are Python's."""


class Row(list):
    """A list with attributes."""

    by = 1.0


class Scaled(dict):
    """A dict whose items depend on an attribute."""

    by = 1.0

    def __getitem__(self, key):
        return dict.__getitem__(self, key) * self.by

    def scale(self, x):
        """Uses what is in it."""
        return x * dict.__getitem__(self, "a")


class Tempered(rl.distributions.Normal):
    """A distribution with more to it, which rushlight's own code reads as well."""

    temperature = 1.0

    def energy(self, x):
        """Uses both."""
        return self.log_prob(x) / self.temperature


def box(**items):
    """An object with attributes."""
    return types.SimpleNamespace(**items)


KEPT: dict[str, Any] = {}


def proxy(**items):
    """A view of a dict that only the test changes."""
    KEPT["dict"] = items
    return types.MappingProxyType(items)


def view():
    """A view of bytes that only the test changes."""
    KEPT["bytes"] = bytearray(b"abc")
    return memoryview(KEPT["bytes"])


CODES = [(lambda x: x).__code__, (lambda x: x * 2).__code__, (lambda x: x + 1).__code__]
ASK, CALL = operator.attrgetter("inner.value"), operator.methodcaller("get", "a")
READS: dict[str, Any] = {  # what a function does with an object, the object, what changes it
    "a dict of Python's own class": (
        lambda o: X * o["a"],
        lambda: Table(a=1.0),
        lambda o, i: o.update(a=i),
    ),
    "an object in such a dict": (
        lambda o: X * o["a"].value,
        lambda: collections.UserDict(a=box(value=1.0)),
        lambda o, i: setattr(o["a"], "value", i),
    ),
    "an object in a chain of dicts": (
        lambda o: X * o["a"].value,
        lambda: collections.ChainMap({}, {"a": box(value=1.0)}),
        lambda o, i: setattr(o["a"], "value", i),
    ),
    "an attribute of a list": (
        lambda o: X * o[0] * o.by,
        lambda: Row([2.0]),
        lambda o, i: setattr(o, "by", i),
    ),
    "an attribute of a dict": (
        lambda o: X * o["a"],
        lambda: Scaled(a=2.0),
        lambda o, i: setattr(o, "by", i),
    ),
    "a view of a dict": (
        lambda o: X * o["a"],
        lambda: proxy(a=1.0),
        lambda o, i: KEPT["dict"].update(a=i),
    ),
    "a view of bytes": (
        lambda o: X * o[0],
        view,
        lambda o, i: KEPT["bytes"].__setitem__(0, i),
    ),
    "an attribute that a getter names": (
        lambda o: X * ASK(o),
        lambda: box(inner=box(value=1.0)),
        lambda o, i: setattr(o.inner, "value", i),
    ),
    "a method that a caller names": (
        lambda o: X * CALL(o),
        lambda: box(get=lambda name: 1.0),
        lambda o, i: setattr(o, "get", lambda name: i),
    ),
    "a distribution": (
        lambda o: o.log_prob(X),
        lambda: rl.distributions.Normal(rl.zeros(3), rl.ones(3)),
        lambda o, i: setattr(o, "loc", rl.full((3,), float(i))),
    ),
    "a distribution of the user's": (
        lambda o: o.energy(X),
        lambda: Tempered(rl.zeros(3), rl.ones(3)),
        lambda o, i: setattr(o, "scale", rl.full((3,), i + 1.0)),
    ),
    "a function in a module of rushlight's": (
        lambda o: o(X),
        lambda: rl.optim.swa_utils.AveragedModel(nn.Identity()),
        lambda o, i: setattr(o.module, "forward", [F.relu, rl.tanh, rl.exp][i]),
    ),
    "the class of a module": (
        lambda o: o[0](X),
        lambda: nn.Sequential(nn.ReLU()),
        lambda o, i: setattr(o[0], "__class__", [nn.ReLU, nn.Tanh, nn.Sigmoid][i]),
    ),
    "the code of a function": (
        lambda o: o(X),
        lambda: types.FunctionType(CODES[0], globals()),
        lambda o, i: setattr(o, "__code__", CODES[i]),
    ),
    "the activation of a layer": (
        lambda o: o(rl.eye(2)),
        lambda: seeded(nn.TransformerEncoderLayer, 2, 1, 4, dropout=0.0),
        lambda o, i: setattr(o, "activation", [F.relu, rl.tanh, rl.exp][i]),
    ),
}


def seeded(kind, *args, **options):
    """A module with the same parameters each time."""
    rl.manual_seed(0)
    return kind(*args, **options)


def read(name, compile):
    """The results of calls before which what the function reads changes."""
    use, make, change = READS[name]
    thing, results = make(), []
    run = compile(lambda: use(thing))
    for i in range(CALLS):
        change(thing, i // 4)
        results.append(run().tolist())
    return results


def plain(f):
    """In place of ``compile``."""
    return f


@pytest.mark.parametrize("name", READS)
def test_what_a_function_reads(name):
    expected = read(name, plain)
    assert len({str(r) for r in expected}) == 3
    for now, then in zip(read(name, rl.compile), expected, strict=True):
        assert rl.allclose(rl.tensor(now), rl.tensor(then))


def with_partial(compile):
    """Results of a partial function that is given a dict, which changes."""
    given, results = {"a": 1.0}, []
    run = compile(functools.partial(lambda d, x: x * d["a"], given))
    for i in range(CALLS):
        given["a"] = i // 4
        results.append(run(X).tolist())
    return results


def of_a_dict(compile):
    """Results of a method of a dict, which changes."""
    given, results = Scaled(a=1.0), []
    run = compile(given.scale)
    for i in range(CALLS):
        given["a"] = i // 4
        results.append(run(X).tolist())
    return results


def of_another(compile):
    """Results of a compiled function that calls another, which reads a number that changes."""
    given, results = {"a": 1.0}, []
    inner = compile(lambda x: x * given["a"])
    run = compile(lambda x: inner(x) + 1)
    for i in range(CALLS):
        given["a"] = i // 4
        results.append(run(X).tolist())
    return results


@pytest.mark.parametrize("make", [with_partial, of_a_dict, of_another])
def test_what_a_function_is_bound_to(make):
    assert make(rl.compile) == make(plain)


class Batch:
    """What a loader of the user's makes: an object anew for each call."""

    scale = 1.0

    def __init__(self, x, weight=1.0):
        self.x, self.weight, self.parts = x, weight, {"rest": [x * 2]}

    def total(self):
        """Uses all that is in it."""
        return (self.x + self.parts["rest"][0]).sum() * self.weight * self.scale


class Encoded(collections.UserDict):
    """Another, as tokenizers make it."""

    def total(self):
        """Uses what is in it."""
        return self["x"].sum() * self["weight"]


@pytest.mark.parametrize("kind", [Batch, lambda x, weight: Encoded(x=x, weight=weight)])
def test_batches_of_a_users_class_count_as_what_is_in_them(kind):
    run = rl.compile(lambda batch: batch.total())
    for i in range(CALLS):
        x, weight = rl.full((3,), float(i)), 1.0 + i // 6
        assert run(kind(x, weight)).item() == pytest.approx(kind(x, weight).total().item())
    assert run._compiled.traces == 2


class Kinds(tuple):
    """A tuple that does not tell its length, and goes through something else."""

    def __len__(self):
        raise NotImplementedError

    def __iter__(self):
        return iter("no parts")


class Kindless(Kinds):
    """Another class, to be told apart."""


def test_containers_that_do_not_tell_their_length():
    given = {"kinds": Kinds([1.0, 2.0])}
    run = rl.compile(lambda x, kinds: x * tuple.__getitem__(given["kinds"], 1) + kinds[1])
    for i in range(CALLS):
        given["kinds"] = Kinds([1.0, 2.0 + i // 4])
        kinds = (Kinds, Kindless)[i // 6]([i // 4, 3.0])
        rl.testing.assert_close(run(X, kinds), X * (2.0 + i // 4) + 3.0)


def test_what_their_class_holds_is_seen():
    kind = type("Other", (Batch,), {})
    run = rl.compile(lambda batch: batch.total())
    for i in range(CALLS):
        kind.scale = i // 4
        assert run(kind(X)).item() == kind(X).total().item()


def test_a_batch_that_comes_again_with_something_else_in_it():
    run = rl.compile(lambda batch: batch.total())
    for i in range(CALLS):
        assert run(Batch(X * i)).item() == Batch(X * i).total().item()
    batch = Batch(X)
    for i in range(CALLS):
        batch.x = X * i
        batch.weight = float(i // 4)
        assert run(batch).item() == batch.total().item()


def test_objects_that_live_on_stand_for_themselves():
    batches = [Batch(X), Batch(X * 2)]
    run = rl.compile(lambda batch: batch.total())
    for i in range(CALLS):
        batches[0].weight = i // 4
        for batch in batches:
            assert run(batch).item() == batch.total().item()


@pytest.mark.filterwarnings("ignore:compile")
def test_a_batch_that_a_call_writes_to():
    def use(batch):
        batch.weight = batch.x.mean()
        return batch.total()

    run = rl.compile(use)
    for i in range(CALLS):
        batch, same = Batch(X * i), Batch(X * i)
        assert run(batch).item() == use(same).item()
        assert batch.weight.item() == same.weight.item()


@pytest.mark.parametrize("kind", [Row, Scaled])
def test_attributes_of_lists_and_dicts_among_the_arguments(kind):
    run = rl.compile(lambda o: X * o[0] * o.by)
    for i in range(CALLS):
        given = kind([(0, 2.0)]) if kind is Scaled else kind([2.0])
        given.by = i // 4
        assert run(given).tolist() == (X * given[0] * given.by).tolist()


class WarmUp(lr_scheduler.LambdaLR):
    """A schedule of the user's, whose steps are rushlight's."""

    def __init__(self, optimizer, steps):
        self.steps = steps
        super().__init__(optimizer, lambda k: min(1.0, (k + 1) / self.steps))


class Decay(lr_scheduler.LRScheduler):
    """Another."""

    def get_lr(self):
        return [0.9**self.last_epoch * lr for lr in self.base_lrs]


def joined(optimizer):
    """A schedule of schedules."""
    first = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3)
    second = lr_scheduler.CosineAnnealingLR(optimizer, 8)
    return lr_scheduler.SequentialLR(optimizer, [first, second], [3])


def scheduled(make, compile):
    """Rates and losses of steps that step a schedule, too."""
    w = rl.ones(3, requires_grad=True)
    optimizer = rl.optim.SGD([w], lr=0.1)
    schedule, seen = make(optimizer), []

    def step(x):
        optimizer.zero_grad()
        loss = (w * x).square().sum()
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss.item()

    run = compile(step)
    for _ in range(CALLS):
        seen += [run(X), optimizer.param_groups[0]["lr"], schedule.last_epoch]
    return seen, compile is plain or run._compiled.last is not None


def cosine(optimizer):
    """One of rushlight's."""
    return lr_scheduler.CosineAnnealingLR(optimizer, 50)


@pytest.mark.parametrize("make", [lambda o: WarmUp(o, 5), Decay, joined, cosine])
def test_schedules_within_steps(make):
    seen, entered = scheduled(make, rl.compile)
    assert seen == pytest.approx(scheduled(make, plain)[0])
    assert entered or make is not cosine  # the short way, which takes less time


@pytest.mark.filterwarnings("ignore:compile")
def test_numbers_of_tensors_as_keys():
    counts, seen = {}, set()

    def count(x):
        key = int(x.sum())
        counts[key] = counts.get(key, 0) + 1
        seen.add(key)
        return x * 2

    run = rl.compile(count)
    for i in range(CALLS):
        assert run(rl.full((3,), float(i % 2))).tolist() == [2.0 * (i % 2)] * 3
    assert counts == {0: CALLS // 2, 3: CALLS // 2}
    assert seen == {0, 3}
    assert {type(key) for key in (*counts, *seen)} == {int}


def scheduled_by_hand(compile):
    """The same of steps that set the rate of the next."""
    w = rl.ones(3, requires_grad=True)
    optimizer, count, seen = rl.optim.SGD([w], lr=0.1), [0], []

    def step(x):
        optimizer.zero_grad()
        loss = (w * x).square().sum()
        loss.backward()
        optimizer.step()
        count[0] += 1
        optimizer.param_groups[0]["lr"] = 0.1 * 0.9 ** count[0]
        return loss.item()

    run = compile(step)
    for _ in range(CALLS):
        seen.append(run(X))
    assert compile is plain or run._compiled.last is not None
    return seen


def test_steps_that_set_the_rate_of_the_next():
    assert scheduled_by_hand(rl.compile) == pytest.approx(scheduled_by_hand(plain))


@dataclasses.dataclass
class Pair:
    x: object
    rest: object


@dataclasses.dataclass(slots=True)
class Slotted:
    x: object
    rest: object


HOLDERS = {
    "namespace": lambda x, y: types.SimpleNamespace(x=x, rest=[y, 2.0]),
    "dataclass": lambda x, y: Pair(x, (y, 2.0)),
    "slots": lambda x, y: Slotted(x, (y, 2.0)),
    "nested": lambda x, y: Pair(x, (types.SimpleNamespace(y=y).y, 2.0)),
    "deque": lambda x, y: types.SimpleNamespace(x=x, rest=collections.deque([y, 2.0])),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_batches_that_are_objects_go_straight_to_the_program(name):
    w = rl.ones(3, requires_grad=True)

    def f(batch):
        y, scale = batch.rest
        return (w * batch.x + y) * scale

    run = rl.compile(f, fullgraph=True)
    for k in range(8):
        if k == 5:
            (variant,) = [v for found in run._compiled.variants.values() for v in found]
            variant.run = None  # which other calls need
        x, y = rl.full((3,), float(k)), rl.ones(3)
        w.grad = None
        out = run(HOLDERS[name](x, y))
        out.sum().backward()
        assert out.tolist() == [2.0 * k + 2] * 3
        assert w.grad.tolist() == [2.0 * k] * 3


@pytest.mark.parametrize("name", HOLDERS)
def test_objects_that_hold_something_else_get_a_program_of_their_own(name):
    def f(batch):
        y, scale = batch.rest
        return batch.x * scale + y

    run = rl.compile(f, fullgraph=True)
    made = HOLDERS[name]
    for n in (3, 3, 3, 4, 4, 4, 3, 4, 3):
        assert run(made(rl.ones(n), rl.ones(n))).tolist() == [3.0] * n
    shared = rl.ones(3)
    for _ in range(4):
        assert run(made(shared, shared)).tolist() == [3.0] * 3
        batch = made(rl.ones(3), rl.ones(3))
        batch.rest = [batch.rest[0], 5.0]
        assert run(batch).tolist() == [6.0] * 3


class Shy:
    """An object that must not be asked for its class, as deprecated names of modules are."""

    @property
    def __class__(self):
        raise RuntimeError("asked")


def test_objects_beside_are_not_asked_for_their_class():
    class Box:
        pass

    box = Box()
    box.shy, box.scale = Shy(), rl.tensor(2.0)

    @rl.compile
    def f(x):
        return x * box.scale

    for k in range(4):
        assert rl.equal(f(rl.full((3,), float(k))), rl.full((3,), 2.0 * k))
    box.scale = rl.tensor(3.0)
    assert rl.equal(f(rl.ones(3)), rl.full((3,), 3.0))
