"""What is too much to capture, or to look at before each call."""

from __future__ import annotations

import contextlib
import importlib.util
import types

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


def generate(step, length, most):
    """The sum of what ``step`` keeps, which gets one longer at each call."""
    cache = rl.ones(length)
    while len(cache) < most:
        cache = step(cache)
    return cache.sum().item()


def test_what_grows_by_one_at_each_call_is_not_captured():
    """However often it does: few of its lengths would ever have a program."""

    def longer(cache):
        return rl.cat([cache, cache.mean().reshape(1)])

    run = rl.compile(longer)
    with pytest.warns(UserWarning, match=r"differ in argument 0 \(Tensor\)") as caught:
        for _ in range(12):
            assert generate(run, 2, 30) == generate(longer, 2, 30) == 30
    assert run._compiled.traces == 0 and len(caught) == 1


def test_what_is_kept_and_grows_is_not_captured_for_each_length():
    class Cache:
        k = None

        def add(self, x):
            self.k = x if self.k is None else rl.cat([self.k, x])
            return self.k.sum()

    cache = Cache()
    run = rl.compile(cache.add)
    with pytest.warns(UserWarning, match="differ in what is kept from call to call"):
        for _ in range(12):
            cache.k = None
            found = [run(rl.ones(1)).item() for _ in range(40)]
            assert found == list(range(1, 41))
    assert run._compiled.traces <= 1


def test_calls_that_stay_alike_after_many_that_did_not_are_captured():
    run = rl.compile(lambda x: (x * 2).sum())
    with pytest.warns(UserWarning, match="ran eagerly"):
        for n in range(1, 40):
            run(rl.ones(n))
    assert run._compiled.traces == 0
    found = {run(rl.ones(50)).item() for _ in range(64)}
    assert found == {100.0} and run._compiled.traces == 1
    assert run._compiled.variants


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


def asking(net, things, end="le"):
    """Functions that look up attributes by names that begin with what is written, and one by a name
    computed; each could reach a library of many objects.
    """
    library = Link()
    library.things = things

    def by_hasattr(x):
        return x * net.scale if hasattr(net, "scale") else library.scale

    def by_getattr(x):
        return x * getattr(net, "scale", None) * (1 if library.scale else 2)

    def by_setattr(x):
        setattr(net, "last", x)  # noqa: B010
        return net.last * net.scale * (1 if library.scale else 2)

    def by_a_beginning(x):
        return x * getattr(net, f"sca{end}") * (1 if library.scale else 2)

    def by_a_sum(x):
        return x * getattr(net, "sca" + str(end), 0) * (1 if library.scale else 2)

    def by_a_format(x):
        return x * getattr(net, "sca%s" % end) * (1 if library.scale else 2)  # noqa: UP031

    def by_a_name_computed(x):
        return x * getattr(net, "ca".join(["s", end])) * (1 if library.scale else 2)

    found = (by_hasattr, by_getattr, by_setattr, by_a_beginning, by_a_sum, by_a_format)
    return {f.__name__: f for f in (*found, by_a_name_computed)}


@pytest.mark.parametrize("name", asking(None, []))
def test_attributes_asked_for_by_a_name_that_is_written_there(name):
    """It is as if the name, or its beginning, was after a dot: nothing else is looked at for it."""
    net = Link()
    run = rl.compile(asking(net, [Link() for _ in range(6000)])[name])
    computed = name == "by_a_name_computed"
    with pytest.warns(UserWarning, match="objects") if computed else contextlib.nullcontext():
        for _ in range(3):
            assert run(rl.ones(2)).tolist() == [2.0, 2.0]
    assert (run._compiled.traces == 0) is computed
    net.scale = 3.0
    assert run(rl.ones(2)).tolist() == [3.0, 3.0]


def test_an_attribute_asked_for_that_comes_later():
    net = Link()

    def f(x):
        return x * net.extra if hasattr(net, "extra") else x * getattr(net, "other", 1.0)

    run = rl.compile(f)
    assert [run(rl.ones(1)).item() for _ in range(4)] == [1.0] * 4
    net.other = 2.0
    assert [run(rl.ones(1)).item() for _ in range(4)] == [2.0] * 4
    net.extra = 3.0
    assert [run(rl.ones(1)).item() for _ in range(4)] == [3.0] * 4


own = types.ModuleType("own")
own.__spec__ = importlib.util.find_spec("tests")
own.exp = rl.exp


def test_how_modules_were_imported_is_not_looked_at():
    """Where any name may be asked for, as by what chooses among backends."""
    asked = ["exp"]

    def step(x):
        return getattr(rl.nn.functional if asked[0] == "gelu" else own, asked[0])(x)

    run = rl.compile(step)
    for _ in range(3):
        assert run(rl.zeros(2)).tolist() == [1.0, 1.0]
    surroundings, _ = run._compiled.reached((rl.zeros(2),), {})
    kinds = {type(x).__name__ for x in surroundings.objects}
    assert own in surroundings.objects and kinds.isdisjoint({"ModuleSpec", "SourceFileLoader"})
    own.exp = lambda x: x - 1
    assert run(rl.zeros(2)).tolist() == [-1.0, -1.0]
