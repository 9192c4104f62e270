"""Objects around a compiled function that answer in ways of their own are looked at as they are."""

from __future__ import annotations

import os
import re
import types
from dataclasses import fields
from typing import Literal

import pytest

import rushlight as rl
from tests.compiler.things import Settings, Slotted, X

pytest.importorskip("llvmlite", reason="native programs need llvmlite")


class Hidden(Slotted):
    """Its own attribute hides the slot of its base, so that the value lies elsewhere."""

    table = None

    def __init__(self):
        self.scale = 1.0
        self.__dict__["table"] = 2.0


def test_a_slot_that_is_hidden():
    one = Hidden()

    @rl.compile(fullgraph=True)
    def step(x):
        return x * one.scale * (one.table or 1.0)

    assert [step(X)[0, 0].item() for _ in range(3)] == [2.0] * 3
    one.__dict__["table"] = 3.0
    assert [step(X)[0, 0].item() for _ in range(3)] == [3.0] * 3


def test_what_describes_types_is_not_guarded():
    settings = Settings()
    settings.kinds = [Literal["a", "b"], int | None, list[int], re.compile("a+")]
    name = ["scale"]

    @rl.compile(fullgraph=True)
    def step(x):
        values = [getattr(settings, f.name) for f in fields(settings) if f.name in name]
        same = getattr(settings.kinds[0], "__args__", None) == ("a", "b")
        return x * values[0] * (2.0 if same else 1.0)

    assert [step(X)[0, 0].item() for _ in range(3)] == [2.0] * 3
    settings.scale = 3.0
    assert [step(X)[0, 0].item() for _ in range(3)] == [6.0] * 3
    ((variant, *_),) = step._compiled.variants.values()
    kinds = {type(getattr(guard, "x", None)) for guard in variant.guards}
    described = {type(k) for k in settings.kinds[1:]} | {type(fields(settings)[0])}
    assert not kinds & described


class Lazy(dict):
    """A table that makes its values when it is asked for them."""

    def __iter__(self):
        raise ImportError("not installed")

    keys = values = items = __iter__


def test_a_table_is_looked_at_as_it_is():
    table = Lazy(scale=2.0)

    @rl.compile(fullgraph=True)
    def step(x):
        return x * table["scale"]

    assert [step(X)[0, 0].item() for _ in range(3)] == [2.0] * 3
    table["scale"] = 3.0
    assert step(X)[0, 0].item() == 3.0


class Settled(dict):
    """Its entries are also its attributes, and a missing one is a KeyError."""

    def __getattr__(self, name):
        return self[name]


def test_an_argument_that_answers_to_names_with_errors():
    step = rl.compile(lambda settings, x: x * settings.scale)
    assert [step(Settled(scale=2.0), X)[0, 0].item() for _ in range(4)] == [2.0] * 4


@pytest.mark.parametrize("read", [lambda n: os.environ[n], lambda n: os.getenv(n)])
def test_the_environment(read, monkeypatch):
    step = rl.compile(lambda x: x * float(read("RUSHLIGHT_TEST")))
    for value in "121":
        monkeypatch.setenv("RUSHLIGHT_TEST", value)
        assert [step(X)[0, 0].item() for _ in range(4)] == [float(value)] * 4


class Unbound:
    """As functions of Cython, it is bound to nothing although its class says so."""

    factor = 2.0
    __self__ = property(lambda self: getattr(self, "nothing"))  # noqa: B009

    def __call__(self, x):
        return x * self.factor


def test_what_is_bound_to_nothing():
    call = Unbound()
    run = rl.compile(lambda x: call(x))
    results = [run(X).tolist() for _ in range(4)]
    assert results == [(X * 2).tolist()] * 4 and run._compiled.eager is None
    call.factor = 3.0
    assert run(X).tolist() == (X * 3).tolist()


def test_functions_in_a_table_that_are_not_called_are_not_looked_into():
    """Libraries have tables of all that there is; one function of it is called."""
    scale = {"of one": 2.0, "of another": 3.0}
    hidden = types.SimpleNamespace(value=1.0)

    def one(x):
        return x * scale["of one"]

    def another(x):
        return x * scale["of another"] + hidden.value

    table, chosen = {"one": one, "another": another}, types.SimpleNamespace(name="one")

    def step(x):
        return table[chosen.name](x)

    run, x = rl.compile(step), rl.ones(2)
    for _ in range(4):
        assert run(x).tolist() == [2, 2]
    hidden.value = 5.0  # which nothing looks at
    assert run(x).tolist() == [2, 2]
    assert run._compiled.traces == 1
    chosen.name = "another"
    for k in range(6):
        hidden.value = float(k)
        assert run(x).tolist() == [3 + k, 3 + k]
    chosen.name = "one"
    assert run(x).tolist() == [2, 2]
    table["one"] = another
    for k in range(6):
        hidden.value = float(k)
        assert run(x).tolist() == [3 + k, 3 + k]
    scale["of another"] = 4.0
    assert run(x).tolist() == [9, 9]
