"""A compiled function sees what changes around it, and changes it, as the function itself does."""

from __future__ import annotations

import array
import collections
import contextvars
import copy
import io
import logging
import queue
import random
import threading
import types
import weakref

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn
from tests.compiler.things import (
    CALLS,
    Doubled,
    Keeper,
    Settings,
    Slotted,
    X,
    fresh,
    function,
    gradient_of,
    heir,
    plain,
    queue_of_numbers,
)

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
SCALE, LAYERS, OBJECT = 1.0, [nn.Identity()], None
KEPT = Settings()

# what a function reads, changed before each call

READS = {
    "an item of a list": (lambda o: X * o[0], lambda: [1.0], lambda o, i: o.__setitem__(0, i)),
    "a list that grows": (lambda o: X * len(o), list, lambda o, i: o.append(i)),
    "an item of a dict": (lambda o: X * o["a"], lambda: {"a": 1}, lambda o, i: o.update(a=i)),
    "a dict of lists": (
        lambda o: X * o["a"][0],
        lambda: {"a": [1]},
        lambda o, i: o["a"].__setitem__(0, i),
    ),
    "a set": (lambda o: X * (2 if "on" in o else 1), set, lambda o, i: o.add(["off", "on"][i > 1])),
    "an attribute": (lambda o: X * o.scale, Settings, lambda o, i: setattr(o, "scale", i)),
    "an inner attribute": (
        lambda o: X * o.inner.scale,
        Keeper,
        lambda o, i: setattr(o.inner, "scale", i),
    ),
    "a list in an attribute": (
        lambda o: X * o.parts[0],
        Settings,
        lambda o, i: o.parts.__setitem__(0, i),
    ),
    "a class": (lambda o: X * o.kind, lambda: Settings, lambda o, i: setattr(o, "kind", i)),
    "a namespace": (
        lambda o: X * o.a,
        lambda: types.SimpleNamespace(a=1),
        lambda o, i: setattr(o, "a", i),
    ),
    "a module of Python": (
        lambda o: X * o.a,
        lambda: types.ModuleType("settings"),
        lambda o, i: setattr(o, "a", i),
    ),
    "an attribute in a slot": (lambda o: X * o.scale, Slotted, lambda o, i: setattr(o, "scale", i)),
    "a tensor in a slot": (
        lambda o: X * o.table,
        Slotted,
        lambda o, i: setattr(o, "table", rl.full((3,), float(i))),
    ),
    "a base class": (
        lambda o: X * o.kind,
        heir,
        lambda o, i: setattr(type(o).__base__, "kind", float(i)),
    ),
    "an attribute that hides that of a class": (
        lambda o: X * o.kind,
        heir,
        lambda o, i: i and setattr(o if i > 1 else type(o), "kind", float(i)),
    ),
    "a property": (lambda o: X * o.inner, heir, lambda o, i: setattr(o, "_inner", float(i))),
    "a method that is replaced": (
        lambda o: X * o.factor(),
        heir,
        lambda o, i: i and setattr(type(o).__base__, "factor", lambda self: float(i)),
    ),
    "a class attribute of a module": (
        lambda o: o(X),
        lambda: fresh(Doubled)(),
        lambda o, i: setattr(type(o), "scale", float(i)),
    ),
    "the forward of a module": (
        lambda o: o(X),
        lambda: fresh(Doubled)(),
        lambda o, i: i and setattr(o, "forward", lambda x: x * float(i)),
    ),
    "the forward of a module's class": (
        lambda o: o(X),
        lambda: fresh(Doubled)(),
        lambda o, i: i and setattr(type(o), "forward", lambda self, x: x * float(i)),
    ),
    "a default": (lambda o: o(X), function, lambda o, i: setattr(o, "__defaults__", (float(i),))),
    "a default by name": (
        lambda o: o(X),
        function,
        lambda o, i: setattr(o, "__kwdefaults__", {"plus": i, "table": [0]}),
    ),
    "a list that is a default": (
        lambda o: o(X),
        function,
        lambda o, i: o.__kwdefaults__["table"].__setitem__(0, i),
    ),
    "an attribute of a function": (
        lambda o: X * o.factor,
        function,
        lambda o, i: setattr(o, "factor", float(i)),
    ),
    "an attribute of a tensor": (
        lambda o: X * o.scale,
        lambda: rl.ones(3),
        lambda o, i: setattr(o, "scale", float(i)),
    ),
    "whether a tensor requires gradients": (
        lambda o: X * (2 if o.requires_grad else 3),
        lambda: rl.ones(3),
        lambda o, i: o.requires_grad_(i == 1),
    ),
    "the shape of a tensor": (
        lambda o: X * o.shape[0],
        lambda: rl.ones(3),
        lambda o, i: setattr(o, "data", rl.ones(3 + i)),
    ),
    "the dtype of a tensor": (
        lambda o: X * (2 if o.dtype == rl.float32 else 3),
        lambda: rl.ones(3),
        lambda o, i: setattr(o, "data", rl.ones(3, dtype=(rl.float32, rl.float64)[i % 2])),
    ),
    "the order of a tensor": (
        lambda o: X * (2 if o.is_contiguous() else 3),
        lambda: rl.ones(2, 3),
        lambda o, i: setattr(o, "data", rl.ones(2, 3) if i % 2 else rl.ones(3, 2).t()),
    ),
    "the version of a tensor": (
        lambda o: X * o._version,
        lambda: rl.ones(3),
        lambda o, i: o.add_(1),
    ),
    "a class of classes": (
        lambda o: X * o.scale,
        lambda: type("Meta", (type,), {"scale": 1.0})("Made", (), {}),
        lambda o, i: setattr(type(o), "scale", float(i)),
    ),
    "a gradient of the user's": (
        gradient_of,
        lambda: [1.0],
        lambda o, i: o.__setitem__(0, float(i)),
    ),
    "a long list": (
        lambda o: X * o[2000],
        lambda: list(range(3000)),
        lambda o, i: o.__setitem__(2000, float(i)),
    ),
    "a long dict": (
        lambda o: X * o[2000],
        lambda: {k: k for k in range(3000)},
        lambda o, i: o.update({2000: float(i)}),
    ),
    "a list of lists": (
        lambda o: X * o[20][0],
        lambda: [[1.0] for _ in range(30)],
        lambda o, i: o[20].__setitem__(0, float(i)),
    ),
    "the order of a dict": (
        lambda o: X * next(iter(o.values())),
        lambda: {"a": 1.0, "b": 2.0},
        lambda o, i: o.update({next(iter(o)): o.pop(next(iter(o)))}) if i == 1 else None,
    ),
    "a variable of the context": (
        lambda o: X * o.get(),
        lambda: contextvars.ContextVar("scale"),
        lambda o, i: o.set(float(i)),
    ),
    "what a thread has": (
        lambda o: X * o.scale,
        threading.local,
        lambda o, i: setattr(o, "scale", float(i)),
    ),
    "what is referred to weakly": (
        lambda o: X * o().scale,
        lambda: weakref.ref(KEPT),
        lambda o, i: setattr(o(), "scale", float(i)),
    ),
    "the sign of zero": (
        lambda o: X / (X * o[0]),
        lambda: [0.0],
        lambda o, i: o.__setitem__(0, -0.0 if i else 0.0),
    ),
    "a larger array": (
        lambda o: X * float(o[7]),
        lambda: np.ones(5000),
        lambda o, i: o.__setitem__(7, i),
    ),
    "a large array": (
        lambda o: X + rl.tensor(o[:3]),
        lambda: np.ones(500_000),
        lambda o, i: o.__setitem__(1, i),
    ),
    "an array of objects": (
        lambda o: X * o[0],
        lambda: np.ones(2, object),
        lambda o, i: o.fill(float(i)),
    ),
    "an array of Python's": (
        lambda o: X * o[0],
        lambda: array.array("d", [1.0]),
        lambda o, i: o.__setitem__(0, i),
    ),
    "bytes": (lambda o: X * o[0], lambda: bytearray(2), lambda o, i: o.__setitem__(0, i)),
    "an array": (lambda o: X * float(o[0]), lambda: np.ones(2), lambda o, i: o.fill(i)),
    "an array of places": (
        lambda o: X[o],
        lambda: np.array([0, 2]),
        lambda o, i: o.__setitem__(0, i % 3),
    ),
    "a function in a list": (
        lambda o: o[0](X),
        lambda: [None],
        lambda o, i: o.__setitem__(0, lambda x: x * i),
    ),
    "a tensor in a list": (
        lambda o: X * o[0],
        lambda: [None],
        lambda o, i: o.__setitem__(0, rl.full((3,), float(i))),
    ),
    "an option of a module": (
        lambda o: o(X),
        lambda: nn.Threshold(0.5, 1.0),
        lambda o, i: setattr(o, "threshold", i - 3.0),
    ),
    "whether it is training": (
        lambda o: o(X),
        lambda: nn.Dropout(1.0),
        lambda o, i: o.train(i % 2 == 0),
    ),
}


def read(name, how, compile):
    """The results of calls before which what the function reads changes."""
    use, make, change = READS[name]
    thing = make()
    if how == "closure":
        run = compile(lambda: use(thing))
    elif how == "argument":
        inner = compile(lambda x: use(x))
        run = lambda: inner(thing)  # noqa: E731
    else:
        global OBJECT
        OBJECT = thing
        run = compile(lambda: use(OBJECT))
    results = []
    for i in range(CALLS):
        change(thing, i // 4)
        results.append(run().tolist())
    return results


@pytest.mark.filterwarnings("ignore:compile")
@pytest.mark.parametrize("how", ["closure", "argument", "global"])
@pytest.mark.parametrize("name", READS)
def test_what_a_function_reads(name, how):
    assert read(name, how, rl.compile) == read(name, how, plain)


# what a function changes in each call

CHANGES = {
    "a list": (list, lambda o: o.append(len(o))),
    "a dict": (dict, lambda o: o.update(n=o.get("n", 0) + 1)),
    "a counter": (collections.Counter, lambda o: o.update(["a"])),
    "a set": (set, lambda o: o.add(len(o))),
    "a deque": (lambda: collections.deque(maxlen=2), lambda o: o.append(len(o))),
    "an attribute": (Keeper, lambda o: setattr(o, "count", o.count + 1)),
    "a list in an attribute": (Keeper, lambda o: o.history.append(len(o.history))),
    "a dict in an attribute": (Keeper, lambda o: o.table.update({len(o.table): 1})),
    "an iterator": (lambda: iter(range(99)), lambda o: next(o)),
    "a generator": (lambda: (i for i in range(99)), lambda o: next(o)),
    "random numbers": (lambda: random.Random(0), lambda o: o.random()),
    "NumPy's random numbers": (lambda: np.random.default_rng(0), lambda o: o.random()),
    "an attribute in a slot": (Slotted, lambda o: setattr(o, "scale", o.scale + 1)),
    "a queue": (queue_of_numbers, lambda o: o.put(o.get() + 1)),
    "an attribute of a class": (heir, lambda o: setattr(type(o), "kind", o.kind + 1)),
    "an attribute of a function": (function, lambda o: setattr(o, "factor", o.factor + 1)),
    "a larger array": (lambda: np.zeros(5000), lambda o: o.__setitem__(0, o[0] + 1)),
    "what is written": (io.StringIO, lambda o: o.write("called")),
    "what is printed": (io.StringIO, lambda o: print("called", file=o)),
    "what is logged": (lambda: logging.getLogger("rushlight.test"), lambda o: o.warning("called")),
}


def content(o):
    """What there is to see of an object."""
    if isinstance(o, Keeper):
        return [o.count, o.history, o.table]
    if isinstance(o, queue.Queue):
        return list(o.queue)
    if isinstance(o, Slotted):
        return o.scale
    if type(o).__name__ == "Heir":
        return o.kind
    if isinstance(o, types.FunctionType):
        return o.factor
    if isinstance(o, io.StringIO):
        return o.getvalue()
    if hasattr(o, "__next__"):
        return next(o)
    if hasattr(o, "random"):
        return o.random()
    return list(o) if isinstance(o, collections.deque) else str(o)


def changed(name, compile, caplog):
    """What calls of a function leave behind."""
    make, change = CHANGES[name]
    thing = make()
    caplog.clear()

    def f(x):
        change(thing)
        return x * 2

    run = compile(f)
    for _ in range(CALLS):
        run(X)
    return content(thing), len(caplog.records)


@pytest.mark.filterwarnings("ignore:compile")
@pytest.mark.parametrize("name", CHANGES)
def test_what_a_function_changes(name, caplog):
    assert changed(name, rl.compile, caplog) == changed(name, plain, caplog)


@pytest.mark.filterwarnings("ignore:compile")
@pytest.mark.parametrize("grad", [False, True])
def test_a_result_that_is_kept_as_well(grad):
    def states(compile):
        keeper, model = Keeper(), nn.Linear(3, 3)
        model.load_state_dict({"weight": rl.eye(3) * 0.5, "bias": rl.ones(3)})
        model.requires_grad_(grad)

        def f(x):
            keeper.state = model(keeper.state.detach()) + x
            keeper.history.append(keeper.state.detach())
            return keeper.state

        run = compile(f)
        results = [run(X).tolist() for _ in range(CALLS)]
        return results, keeper.state.tolist(), [h.tolist() for h in keeper.history]

    assert states(rl.compile) == states(plain)


class Scaled(nn.Module):
    """A module with Python values in its forward pass."""

    def __init__(self):
        super().__init__()
        self.settings, self.options = Settings(), {"factor": 1.0}

    def forward(self, x):
        return x * SCALE * self.settings.scale * self.options["factor"]


@pytest.mark.parametrize("what", ["global", "object", "dict"])
def test_what_a_modules_forward_reads(what, monkeypatch):
    model = rl.compile(Scaled())
    for value in (1.0, 2.0, 3.0):
        if what == "global":
            monkeypatch.setitem(globals(), "SCALE", value)
        elif what == "object":
            model.settings.scale = value
        else:
            model.options["factor"] = value
        for _ in range(3):
            assert model(X)[0, 0].item() == value


def test_another_model_under_the_same_name():
    def step(x):
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    def losses(step):
        nonlocal model, optimizer
        found = []
        for fold in range(3):
            rl.manual_seed(fold)
            model = nn.Linear(3, 1)
            optimizer = rl.optim.Adam(model.parameters(), 0.1)
            found += [step(X).item() for _ in range(4)]
        return found

    model = optimizer = None
    assert losses(rl.compile(step, fullgraph=True)) == pytest.approx(losses(step), rel=1e-5)


class Trainer:
    """Counts its steps outside of the step that is compiled."""

    def __init__(self):
        self.model = nn.Linear(3, 1)
        self.optimizer = rl.optim.SGD(self.model.parameters(), 0.1)
        self.step, self.losses = 0, []

    def training_step(self, x):
        self.optimizer.zero_grad()
        loss = self.model(x).square().mean()
        loss.backward()
        self.optimizer.step()
        return loss


def test_what_the_function_does_not_look_at_may_change():
    trainer = Trainer()
    run = rl.compile(trainer.training_step, fullgraph=True)
    for _ in range(2 * CALLS):
        trainer.losses.append(run(X).item())
        trainer.step += 1
    assert run._compiled.traces == 1
    assert run._compiled.last is not None
    assert sorted(trainer.losses, reverse=True) == trainer.losses


def training(change, compile):
    """Losses of some steps, with a change of the optimizer in between, and its options."""
    rl.manual_seed(0)
    model, late = nn.Linear(3, 2), nn.Linear(2, 1)
    optimizer = rl.optim.Adam(model.parameters(), 0.1)
    schedule = rl.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)

    def step(x):
        optimizer.zero_grad()
        loss = (late(model(x)) - 1).square().mean()
        loss.backward()
        optimizer.step()
        if change == "a schedule":
            schedule.step()
        return loss

    run, found = compile(step), []
    for i in range(CALLS):
        if i == 4:
            saved = copy.deepcopy(optimizer.state_dict())
        if i == 8 and change == "loaded state":
            optimizer.load_state_dict(saved)
        if i == 8 and change == "a group":
            optimizer.add_param_group({"params": late.parameters()})
        found.append(run(X).item())
    return [*found, *optimizer.param_groups[0]["betas"], optimizer.param_groups[0]["lr"]]


@pytest.mark.filterwarnings("ignore:compile")
@pytest.mark.parametrize("change", ["a schedule", "loaded state", "a group"])
def test_what_becomes_of_an_optimizer(change):
    assert training(change, rl.compile) == pytest.approx(training(change, plain), rel=1e-4)
