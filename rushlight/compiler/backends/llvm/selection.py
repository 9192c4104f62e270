"""The first of a row's elements, of which those that are equal come as in PyTorch's CPU code.

The steps are those of ops/selection.py, where they are told. Elements are pairs: a key, unsigned
and in the high bits, and an index. They are in memory, which the functions here put in order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.ir.code import Code, Number
from rushlight.compiler.backends.llvm.ir.text import COMMON, Module
from rushlight.ops.selection import RUN

STEPS = 128  # partitions one inside the other, at most


class Pairs:
    """A function of the address of pairs and of more."""

    def __init__(
        self, module: Module, name: str, d: np.dtype[Any], more: str, result: str = "void"
    ) -> None:
        self.pair, self.size = f"i{16 * d.itemsize}", 2 * d.itemsize
        signature = f"ptr %pairs, {more.replace('pair', self.pair)}"
        self.f = Code(module, named(name, d), signature, d, COMMON, result)

    def at(self, i: Number) -> str:
        return self.f.at("%pairs", i, self.size)

    def load(self, i: Number) -> str:
        return self.f(f"load {self.pair}, ptr {self.at(i)}, align {self.f.size}")

    def store(self, i: Number, pair: str) -> None:
        self.f.do(f"store {self.pair} {pair}, ptr {self.at(i)}, align {self.f.size}")

    def swap(self, i: Number, j: Number) -> None:
        a, b = self.load(i), self.load(j)
        self.store(i, b)
        self.store(j, a)

    def key(self, i: Number) -> str:
        """The key of a pair."""
        return self.f.scalar(self.f.at(self.at(i), 1))

    def less(self, a: str, b: str) -> str:
        """Whether a key is less than another."""
        return self.f(f"icmp ult {self.f.element} {a}, {b}")

    def call(self, name: str, pairs: str, *more: Number) -> None:
        """Call another of these functions."""
        self.f.call(named(name, self.f.dtype), pairs, *more)

    def halve(self, start: Number, stop: Number) -> str:
        """Part some pairs; returns where the second part starts."""
        given = f"ptr %pairs, i64 {start}, i64 {stop}"
        return self.f(f"call i64 @{named('halve', self.f.dtype)}({given})")


def named(name: str, d: np.dtype[Any]) -> str:
    """The name of a function for keys of a dtype."""
    return f"{name}_{8 * d.itemsize}"


def add_functions(module: Module, d: np.dtype[Any]) -> None:
    """Add what is below to a module, for keys of a dtype."""
    for write in (sink, heap, drain, insert, halve, part, sort):
        write(module, d)


def sink(module: Module, d: np.dtype[Any]) -> None:
    """Put a pair into a heap of ``count`` pairs whose place ``top`` is free."""
    p = Pairs(module, "sink", d, "i64 %top, i64 %count, pair %new")
    f = p.f

    def down(state: list[str]) -> list[Number]:
        right = f.add(f.add(state[0], state[0]), 2)
        left = f.sub(right, 1)
        first = p.less(p.key(right), p.key(left))
        child = f(f"select i1 {first}, i64 {left}, i64 {right}")
        p.store(state[0], p.load(child))
        return [child]

    def two(state: list[str]) -> str:
        return f(f"icmp slt i64 {f.add(f.add(state[0], state[0]), 2)}, %count")

    (i,) = f.repeat([("i64", "%top")], two, down)
    last = f.sub("%count", 1)
    single = f(f"icmp eq i64 {f.add(f.add(i, i), 1)}, {last}")
    f.when(single, lambda: p.store(i, p.load(last)))
    i = f(f"select i1 {single}, i64 {last}, i64 {i}")
    new = f(f"lshr {p.pair} %new, {8 * f.size}")
    new = f(f"trunc {p.pair} {new} to {f.element}")

    def above(i: str) -> str:
        return f(f"lshr i64 {f.larger(f.sub(i, 1), 0)}, 1")

    def higher(state: list[str]) -> str:
        below = f(f"icmp sgt i64 {state[0]}, %top")
        return f(f"and i1 {below}, {p.less(p.key(above(state[0])), new)}")

    def up(state: list[str]) -> list[Number]:
        parent = above(state[0])
        p.store(state[0], p.load(parent))
        return [parent]

    (i,) = f.repeat([("i64", i)], higher, up)
    p.store(i, "%new")
    f.end()


def heap(module: Module, d: np.dtype[Any]) -> None:
    """Of ``n`` pairs bring the first ``count`` to the front, which becomes a heap."""
    p = Pairs(module, "heap", d, "i64 %count, i64 %n")
    f = p.f
    parents = f("lshr i64 %count, 1")

    def order(k: Number, _: list[str]) -> None:
        i = f.sub(f.sub(parents, 1), k)
        p.call("sink", "%pairs", i, "%count", p.load(i))

    def offer(i: Number, _: list[str]) -> None:
        def take() -> None:
            new = p.load(i)
            p.store(i, p.load(0))
            p.call("sink", "%pairs", 0, "%count", new)

        f.when(p.less(p.key(i), p.key(0)), take)

    f.span(0, parents, 1, order, empty=True)
    f.span("%count", "%n", 1, offer, empty=True)
    f.end()


def drain(module: Module, d: np.dtype[Any]) -> None:
    """Put a heap of ``count`` pairs in order."""
    p = Pairs(module, "drain", d, "i64 %count")
    f = p.f

    def top(k: Number, _: list[str]) -> None:
        last = f.sub("%count", k)
        new = p.load(last)
        p.store(last, p.load(0))
        p.call("sink", "%pairs", 0, last, new)

    f.span(1, "%count", 1, top, empty=True)
    f.end()


def insert(module: Module, d: np.dtype[Any]) -> None:
    """Sort the pairs from ``start`` to ``stop``, none of which has far to go."""
    p = Pairs(module, "insert", d, "i64 %start, i64 %stop")
    f = p.f

    def one(i: Number, _: list[str]) -> None:
        new, key = p.load(i), p.key(i)

        def behind(state: list[str]) -> str:
            left = f(f"icmp sgt i64 {state[0]}, %start")
            before = f.larger(f.sub(state[0], 1), 0)
            return f(f"and i1 {left}, {p.less(key, p.key(before))}")

        def move(state: list[str]) -> list[Number]:
            before = f.sub(state[0], 1)
            p.store(state[0], p.load(before))
            return [before]

        (place,) = f.repeat([("i64", str(i))], behind, move)
        p.store(place, new)

    f.span("%start", "%stop", 1, one, empty=True)
    f.end()


def halve(module: Module, d: np.dtype[Any]) -> None:
    """Part the pairs from ``start`` to ``stop``; returns where the second part starts."""
    p = Pairs(module, "halve", d, "i64 %start, i64 %stop", "i64")
    f = p.f
    second, last = f.add("%start", 1), f.sub("%stop", 1)
    middle = f(f"ashr i64 {f.add('%start', '%stop')}, 1")
    a, b, c = [p.key(i) for i in (second, middle, last)]

    def pick(test: str, x: Number, y: Number) -> str:
        return f(f"select i1 {test}, i64 {x}, i64 {y}")

    ab, bc, ac = p.less(a, b), p.less(b, c), p.less(a, c)
    rising = pick(bc, middle, pick(ac, last, second))
    falling = pick(ac, second, pick(bc, last, middle))
    p.swap("%start", pick(ab, rising, falling))
    pivot = p.key("%start")

    def right(i: Number) -> str:
        test = lambda state: p.less(p.key(state[0]), pivot)  # noqa: E731
        return f.repeat([("i64", str(i))], test, lambda state: [f.add(state[0], 1)])[0]

    def left(j: Number) -> str:
        test = lambda state: p.less(pivot, p.key(state[0]))  # noqa: E731
        return f.repeat([("i64", str(j))], test, lambda state: [f.sub(state[0], 1)])[0]

    def exchange(state: list[str]) -> list[Number]:
        p.swap(*state)
        return [right(f.add(state[0], 1)), left(f.sub(state[1], 1))]

    ends = [("i64", right(second)), ("i64", left(last))]
    cut = f.repeat(ends, lambda state: f(f"icmp slt i64 {state[0]}, {state[1]}"), exchange)[0]
    f.end(f"ret i64 {cut}")


def most_steps(f: Code, n: str) -> str:
    """How many partitions one inside the other there may be."""
    zeros = f.intrinsic("ctlz", "i64", "i64", [("i64", n), ("i1", "false")])
    return f(f"shl i64 {f.larger(f.sub(63, zeros), 0)}, 1")


def halved(p: Pairs, most: int) -> Any:
    """A test whether a part (start, stop, steps) is to be parted, having more than some pairs."""
    f = p.f

    def test(state: list[str]) -> str:
        many = f(f"icmp sgt i64 {f.sub(state[1], state[0])}, {most}")
        return f(f"and i1 {many}, {f(f'icmp sgt i64 {state[2]}, 0')}")

    return test


def part(module: Module, d: np.dtype[Any]) -> None:
    """Bring the pair of a rank among ``n`` to its place, and those before it in front of it."""
    p = Pairs(module, "part", d, "i64 %n, i64 %rank")
    f = p.f

    def step(state: list[str]) -> list[Number]:
        start, stop, steps = state
        cut = p.halve(start, stop)
        behind = f(f"icmp sle i64 {cut}, %rank")
        new = [f(f"select i1 {behind}, i64 {a}, i64 {b}") for a, b in ((cut, start), (stop, cut))]
        return [*new, f.sub(steps, 1)]

    state = [("i64", "0"), ("i64", "%n"), ("i64", most_steps(f, "%n"))]
    start, stop, _ = f.repeat(state, halved(p, 3), step)

    def by_heap() -> None:
        count = f.add(f.sub("%rank", start), 1)
        p.call("heap", p.at(start), count, f.sub(stop, start))
        p.swap(start, "%rank")

    few = f(f"icmp sle i64 {f.sub(stop, start)}, 3")
    f.when(few, lambda: p.call("insert", "%pairs", start, stop), by_heap)
    f.end()


def sort(module: Module, d: np.dtype[Any]) -> None:
    """Put the first ``count`` pairs in order."""
    p = Pairs(module, "sort", d, "i64 %count")
    f = p.f
    waiting = f(f"alloca [{3 * STEPS} x i64], align 8")

    def place(depth: Number, k: int) -> str:
        return f.at(waiting, f.add(f.mul(depth, 3), k), 8)

    def push(depth: Number, *numbers: Number) -> None:
        for k, n in enumerate(numbers):
            f.do(f"store i64 {n}, ptr {place(depth, k)}, align 8")

    def pop(state: list[str]) -> list[Number]:
        depth = f.sub(state[0], 1)
        start, stop, steps = [f.scalar64(place(depth, k)) for k in range(3)]

        def step(state: list[str]) -> list[Number]:
            _, stop, steps, depth = state
            cut = p.halve(start, stop)
            push(depth, cut, stop, f.sub(steps, 1))
            return [start, cut, f.sub(steps, 1), f.add(depth, 1)]

        carried = [("i64", x) for x in (start, stop, steps, str(depth))]
        _, stop, _, depth = f.repeat(carried, halved(p, RUN), step)

        def by_heap() -> None:
            count = f.sub(stop, start)
            p.call("heap", p.at(start), count, count)
            p.call("drain", p.at(start), count)

        f.when(f(f"icmp sgt i64 {f.sub(stop, start)}, {RUN}"), by_heap)
        return [depth]

    push(0, 0, "%count", most_steps(f, "%count"))
    f.repeat([("i64", "1")], lambda state: f(f"icmp sgt i64 {state[0]}, 0"), pop)
    p.call("insert", "%pairs", 0, "%count")
    f.end()
