"""What is too much to capture, or to look at before each call."""

from __future__ import annotations

import contextlib

import pytest

import rushlight as rl

pytest.importorskip("llvmlite", reason="native programs need llvmlite")


def test_calls_that_all_differ_are_not_captured_and_say_so():
    f = rl.compile(lambda x, n: x[:n] * 2)
    for k in range(16):  # one of which is traced in vain
        f(rl.ones(70), k)
    with pytest.warns(UserWarning, match=r"differ in argument 1 \(int\)") as caught:
        f(rl.ones(70), 16)
    assert len(caught) == 1
    for k in range(40):
        f(rl.ones(70), k + 20)
    for _ in range(3):
        f(rl.ones(70), 65)
    assert f._compiled.traces == 1


class Endless:
    """Answers to every name with a new object."""

    def __init__(self):
        self.scale = 2.0

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Endless()


class Link:
    def __init__(self, following=None):
        self.following, self.scale = following, 2.0


def test_objects_that_answer_to_every_name_are_not_asked():
    endless = Endless()

    def f(x):
        return x * endless.scale

    run = rl.compile(f, fullgraph=True)
    for _ in range(4):
        assert run(rl.ones(2)).tolist() == [2.0, 2.0]
    endless.scale = 3.0
    assert run(rl.ones(2)).tolist() == [3.0, 3.0]


def chain(length):
    found = None
    for _ in range(length):
        found = Link(found)
    return found


def nested(depth):
    found = []
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("made", "says"), [(chain(3000), None), (chain(6000), "6002 objects"), (nested(3000), "nested")]
)
def test_what_is_linked_in_long_chains(made, says):
    def f(x):
        scale = 2.0 if isinstance(made, list) or made.following is None else made.following.scale
        return x * scale

    run = rl.compile(f)
    with pytest.warns(UserWarning, match=says) if says else contextlib.nullcontext():
        for _ in range(3):
            run(rl.ones(2))
    assert run(rl.ones(2)).tolist() == [2.0, 2.0]
    assert (run._compiled.traces == 0) is bool(says)
