"""Lists and queues that calls change, and that are looked at or replaced in between."""

from __future__ import annotations

import collections
import types

import pytest

import rushlight as torch

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
pytestmark = pytest.mark.usefixtures("own_cache")


LOOKS = {
    "its length": lambda kept: len(kept),
    "its items": lambda kept: sum(kept),
    "one item": lambda kept: kept[-1],
    "whether it is empty": lambda kept: bool(kept),
    "whether a number is there": lambda kept: 3 in kept,
}


@pytest.mark.parametrize("name", LOOKS)
def test_lists_that_are_looked_at_as_well(name):
    def results(compile):
        kept = [3.0]

        def step(x):
            kept.append(x.sum().item())
            return x * LOOKS[name](kept)

        run = compile(step)
        found = [run(torch.full((2,), float(k))).tolist() for k in range(12)]
        captured = compile is not torch.compile or bool(run._compiled.variants)
        return found, kept, captured or name == "whether a number is there"

    assert results(torch.compile) == results(lambda f: f)


def test_queues_are_added_to():
    """Also full ones, and beside lists in a dict, as histories of training are."""
    recent, kept = collections.deque(maxlen=3), {"loss": [], "of": collections.deque()}

    def step(x):
        loss = x.mean()
        recent.append(loss.item())
        kept["loss"].append(loss.detach())
        kept["of"] += [x.sum().item(), 0.0]
        return loss

    run, expected = torch.compile(step, fullgraph=True), [float(k) for k in range(9)]
    for k in range(9):
        run(torch.full((2,), float(k)))
        assert [*recent] == expected[max(0, k - 2) : k + 1] and recent.maxlen == 3
    assert torch.stack(kept["loss"]).tolist() == expected
    assert [*kept["of"]][::2] == [2 * k for k in expected]
    recent.clear()
    run(torch.ones(2))
    assert [*recent] == [1.0] and run._compiled.traces == 1


@pytest.mark.filterwarnings("ignore:compile")
@pytest.mark.parametrize(
    "look", [lambda q: sum(q), lambda q: q[0], lambda q: q.popleft(), lambda q: len(q)]
)
def test_queues_that_are_looked_at_as_well(look):
    def results(compile):
        kept = collections.deque([1.0, 2.0], maxlen=3)

        def step(x):
            kept.append(x.sum().item())
            return x * look(kept)

        run = compile(step)
        return [run(torch.full((2,), float(k))).tolist() for k in range(8)], [*kept]

    assert results(torch.compile) == results(lambda f: f)


def test_a_list_that_is_reached_another_way():
    kept = []
    add = kept.append

    def step(x):
        kept.append(1)
        add(x.sum().item())
        return x

    run = torch.compile(step)
    with pytest.warns(UserWarning, match="not reached by a name alone"):
        for _ in range(5):
            run(torch.ones(2))
    assert kept == [1, 2.0] * 5


def test_a_list_that_is_replaced_or_emptied_between_calls():
    trainer = types.SimpleNamespace(losses=[])

    def step(x):
        trainer.losses.append(x.sum().item())

    run = torch.compile(step)
    for k in range(4):
        run(torch.full((1,), float(k)))
    assert trainer.losses == [0.0, 1.0, 2.0, 3.0]
    trainer.losses.clear()
    run(torch.ones(1))
    assert trainer.losses == [1.0]
    trainer.losses = []
    for k in range(6):
        run(torch.full((1,), float(k)))
    assert trainer.losses == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def counting(kind):
    """A list whose item calls count up, and which the loop replaces."""

    class Holder:
        at = kind([0])

    holder = Holder()

    def step(x):
        holder.at[0] += 1
        return x + holder.at[0]

    return holder, step


@pytest.mark.filterwarnings("ignore:compile")
@pytest.mark.parametrize("kind", [list, lambda x: dict(enumerate(x))])
def test_a_list_that_is_replaced_is_another_place(kind):
    """Also where the function goes on to change what is in the new one."""
    holder, step = counting(kind)
    run, then = torch.compile(step), 0
    for k in range(14):
        if k in (6, 9, 10, 11):
            holder.at, then = kind([100 * k]), 100 * k
        then += 1
        assert run(torch.zeros(1)).item() == then and holder.at[0] == then


@pytest.mark.parametrize(
    "write",
    [
        lambda y, k: y[k : k + 2, :].add_(1),
        lambda y, k: y[:, k : k + 2].mul_(3),
        lambda y, k: y[k : k + 2, k + 1 : k + 3].add_(1),
        lambda y, k: y.__setitem__((slice(k, k + 2), slice(k, k + 1)), 7.0),
    ],
)
def test_writes_to_views_at_places_that_move(write):
    """Also where other dims are whole, or sliced as well."""

    o, found = types.SimpleNamespace(k=0), []

    def step(x):
        y = x * 1
        write(y, o.k)
        return y

    for run in (step, torch.compile(step)):
        for k in range(9):
            o.k = k % 4
            found.append(run(torch.arange(42.0).reshape(6, 7)))
    assert all(map(torch.equal, found[:9], found[9:])) and run._compiled.traces <= 3


@pytest.mark.filterwarnings("ignore:compile")
def test_a_list_that_calls_replace_and_change():
    """What a traced call changed there stays changed."""

    holder = types.SimpleNamespace(pair=[0, [1.0]])

    def step(x):
        holder.pair[0] += 1
        out = x + holder.pair[0] + holder.pair[1][0]
        holder.pair = [holder.pair[0], [2.0]]
        holder.pair[1][0] += 1.0
        return out

    run = torch.compile(step)
    found = [run(torch.zeros(1)).item() for _ in range(8)]
    assert found == [2.0, *[k + 3.0 for k in range(2, 9)]] and holder.pair == [8, [3.0]]
