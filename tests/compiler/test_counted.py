"""Integers that Python counts, and calls use as indices, as bounds of slices, and as elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import rushlight as rl
from rushlight import nn

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
CALLS = 11


class Counted:
    """Memory, a parameter, and a count of calls."""

    def __init__(self) -> None:
        g = rl.Generator().manual_seed(0)
        self.n, self.scale = 0, 0.5
        self.rows = rl.randn(20, 4, 3, generator=g)
        self.table = nn.Parameter(rl.randn(20, 3, generator=g))


def read(o: Counted, x: Any) -> Any:
    return o.rows[o.n] + x, o.rows[:, o.n % 4, None].sum(0), o.rows[..., -1 - o.n % 3].mean()


def written(o: Counted, x: Any) -> Any:
    o.rows[o.n, 1] = x
    o.rows[o.n % 5].mul_(0.5)
    o.rows[:, o.n % 4] += 1
    o.rows[o.n + 1, 0, 0] = o.scale
    view = o.rows[o.n % 3]
    o.rows[o.n % 3, 2] = 7
    return view[2] + x


def sliced(o: Counted, x: Any) -> Any:
    k = o.n % 5 * 2
    part = o.rows[k : k + 3]
    part[1] = x
    o.rows[:, 1, k % 2 : k % 2 + 2] *= 2
    o.rows[k + 4 : k + 6] = 0.25
    return part.sum(0), o.rows[k + 1 : k + 4, 2:].mean(), o.rows[2, None, k % 2 : k % 2 + 1].shape


def looked_up(o: Counted, x: Any) -> Any:
    o.table.grad = None
    loss = (o.table[o.n] * x).sum() + o.table[o.n % 7 : o.n % 7 + 3, 1].exp().sum()
    loss.backward()
    with rl.no_grad():
        o.table -= 0.1 * o.table.grad
    return loss.detach()


def elements(o: Counted, x: Any) -> Any:
    made = rl.full((3,), o.n), rl.tensor(o.scale), rl.full_like(x, o.scale), rl.tensor(o.n)
    order = rl.arange(6)
    return *made, order == o.n, (order + o.n) * 2, x[rl.full((2,), o.n % 3)]


def from_values(o: Counted, x: Any) -> Any:
    k, mean = x.argmax().item(), x.mean().item()
    o.rows[0][k] = mean
    return o.rows[k, 1] * 1.0, k, rl.tensor(mean) * 2, rl.full((2,), mean)


@pytest.mark.parametrize("f", [read, written, sliced, looked_up, elements, from_values])
def test_one_program_serves_all(f: Callable[..., Any]) -> None:
    def run(compiled: bool) -> Any:
        o, found = Counted(), []

        def step(x: Any) -> Any:
            out = f(o, x)
            o.n, o.scale = o.n + 1, o.scale * 1.5
            return out

        call = rl.compile(step, fullgraph=True) if compiled else step
        for k in range(CALLS):
            x = rl.randn(3, generator=rl.Generator().manual_seed(k))
            found.append(call(x if f is not from_values else x.repeat(2)[:4][:3]))
        if compiled and f not in (written, sliced):  # o.n % 3 is compared with nothing
            assert len(call._compiled.reasons) <= 2
        return found, o.rows, o.table.detach(), o.n

    expected, seen = run(False), run(True)
    rl.testing.assert_close(seen, expected)


def test_beyond_the_end_raises_as_eager_code_does() -> None:
    o = Counted()

    def step(x: Any) -> Any:
        o.n += 3
        return o.rows[o.n] + x

    run = rl.compile(step)
    for _ in range(6):
        run(rl.ones(3))
    with pytest.raises(IndexError, match="out of"):
        run(rl.ones(3))
    assert o.n == 18  # nothing was written


def test_a_part_of_a_parameter_is_not_read_after_a_write() -> None:
    o = Counted()

    def step() -> Any:
        row = o.table[o.n]
        o.n += 1
        with rl.no_grad():
            o.table.mul_(2)
        return (row * 1).detach()

    run, like = rl.compile(step), o.table.detach().clone()
    with pytest.warns(UserWarning, match="part of a parameter"):
        for k in range(6):
            like *= 2
            assert run().tolist() == like[k].tolist()


def test_a_view_that_is_returned_is_one() -> None:
    o = Counted()

    def step() -> Any:
        o.n = 1 - o.n
        return o.rows[o.n]

    run = rl.compile(step, fullgraph=True)
    for k in range(8):
        run().fill_(k)
        assert (o.rows[(k + 1) % 2] == k).all()
