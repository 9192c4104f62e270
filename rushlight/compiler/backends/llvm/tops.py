"""The first elements of rows in order, for eager code and for programs.

``Topk`` takes of equal elements what PyTorch takes. Only selection.py's steps give that: a row is
done by them where a faster way has found equal elements, or there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.compiler.backends.llvm import selection
from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.backends.llvm.order import DIGITS, Order, key_type
from rushlight.compiler.graph import Node
from rushlight.compiler.scalars import BOOL, FLOATS, INTEGERS
from rushlight.ops.selection import HEAPED

# loops, and whether the largest come first
TOPS, SORTS = {"largest": True, "smallest": False}, {"falling": True, "rising": False}
SHORT = 64  # elements of a row up to which places are counted
FEWEST, FEW = 16, 8  # rows, short and long, of as many for each that is wanted go through a heap
LONG = 1024  # elements of a row that programs rather sort whole
COUNTED, KEPT = 128, 64  # elements of rows that are counted, and that are kept, in a stable sort
MORE = 64  # bytes of scratch memory
Row = Callable[[Number, str], Any]


class Tops(Order):
    """Code for the first elements, PyTorch's of equal ones."""

    def key_in(self, i: Number, pairs: str = "") -> str:
        """The key of a pair."""
        return self.f.scalar(self.f.at(self.f.at(pairs or self.room, i, 2 * self.f.size), 1))

    def call(self, name: str, *numbers: Number) -> None:
        """Call one of selection.py's functions for the pairs."""
        f = self.f
        if (full := selection.named(name, f.dtype)) not in f.module.signatures:
            selection.add_functions(f.module, f.dtype)
        f.call(full, self.room, *numbers)

    def keep_in_heap(self, r: Number, row: str) -> None:
        """The first of the elements met so far are kept in a heap."""
        f = self.f
        self.pairs(row, self.k)
        self.call("heap", self.k, self.k)

        def offer(i: Number, _: list[str]) -> None:
            pair = self.pair_of(row, i)
            key = f(f"trunc {self.pair} {f(f'lshr {self.pair} {pair}, {self.bits}')} to {self.key}")
            better = f(f"icmp ult {self.key} {key}, {self.key_in(0)}")
            f.when(better, lambda: self.call("sink", 0, self.k, pair))

        def vector(start: Number, _: list[str]) -> None:
            better = f(f"icmp ult {f.vector} {self.vector(row, start)}, {f.splat(self.key_in(0))}")
            self.each_bit(self.bits_of(better), lambda lane: offer(f.add(start, lane), []))

        self.vectors(self.k, vector, offer)
        self.call("drain", self.k)
        f.span(0, self.k, 1, lambda j, _: self.take(r, row, self.room, j))

    def are_tied(self, pairs: str, count: Number) -> str:
        """Whether some of the first pairs, which are in order, have equal keys."""
        f = self.f

        def same(i: Number, state: list[str]) -> list[str]:
            keys = [self.key_in(j, pairs) for j in (f.sub(i, 1), i)]
            return [f(f"or i1 {state[0]}, {f(f'icmp eq {self.key} {keys[0]}, {keys[1]}')}")]

        return f.span(1, count, 1, same, [("i1", "false")], empty=True)[0]

    def is_tied(self, row: str) -> str:
        """Whether some of the pairs that are kept are equal, or the last and what is not kept."""
        f, last = self.f, self.key_in(self.f.sub(self.k, 1))
        lasts = f.splat(last)

        def some(i: Number, state: list[str]) -> list[str]:
            same = f(f"icmp eq {f.vector} {self.vector(row, i)}, {lasts}")
            return [str(f.add(state[0], self.count(same)))]

        def one(i: Number, state: list[str]) -> list[str]:
            same = f(f"icmp eq {self.key} {self.key_of(self.element(row, i))}, {last}")
            return [str(f.add(state[0], f(f"zext i1 {same} to i64")))]

        (count,) = self.vectors(0, some, one, [("i64", "0")])
        return f(f"or i1 {self.are_tied(self.room, self.k)}, {f(f'icmp sgt i64 {count}, 1')}")

    def select(self, r: Number, row: str, in_order: str = "true") -> None:
        """The first elements by PyTorch's steps."""
        f, last = self.f, self.f.sub(self.k, 1)
        self.pairs(row, self.n)
        self.call("part", self.n, last)
        f.when(in_order, lambda: self.call("sort", last))
        f.span(0, self.k, 1, lambda j, _: self.take(r, row, self.room, j))

    def pairs(self, row: str, count: Number) -> None:
        """Write the pairs of the first elements of a row."""
        f = self.f

        def note(i: Number, _: list[str]) -> None:
            p = f.at(self.room, i, 2 * f.size)
            f.do(f"store {self.pair} {self.pair_of(row, i)}, ptr {p}, align {f.size}")

        f.span(0, count, 1, note)

    def again(self, r: Number, row: str, tied: str) -> None:
        """Do a row once more if there are equal elements."""
        self.f.when(tied, lambda: self.select(r, row))


def sort_text(name: str, d: Any, width: int) -> str:
    """All of short rows (units, n), operand 0, in order to operand 1, and their places to operand
    2; equal elements keep their order, and NaN is the largest. Operand 3 holds n.
    """
    f = kernel(width, key_type(d))
    n = f.scalar64(f.operand(3))
    order = Order(f, d, n, n, SORTS[name], "%scratch")
    order.each_row(order.count_places)
    f.end()
    return f.module.text()


def text(name: str, d: Any, width: int) -> str:
    """Of rows (units, n), operand 0, the first k (units, k) to operand 1, and their places to
    operand 2. Operand 3 has room for n pairs and a vector; operand 4 holds n, k and whether they
    are to be in order. NaN is the largest.
    """
    f = kernel(width, key_type(d))
    n, k, wanted = [f.scalar64(f.at(f.operand(4), j, 8)) for j in range(3)]
    in_order = f(f"icmp ne i64 {wanted}, 0")
    order = Tops(f, d, n, k, TOPS[name], f.operand(3))
    left = f("alloca i1")
    final = f(f"icmp sle i64 {f.mul(k, HEAPED)}, {n}")
    short = f(f"icmp sle i64 {n}, {SHORT}")
    least = f(f"mul i64 {k}, {f(f'select i1 {short}, i64 {FEWEST}, i64 {FEW}')}")
    few = f(f"and i1 {in_order}, {f(f'icmp sle i64 {least}, {n}')}")
    few = f(f"or i1 {final}, {few}")
    short = f(f"and i1 {in_order}, {short}")

    def leave(whether: str) -> None:
        f.do(f"store i1 {whether}, ptr {left}")

    def row(r: Number, p: str) -> None:
        def by_counting() -> None:
            leave(order.count_places(r, p))

        def by_heap() -> None:
            order.keep_in_heap(r, p)
            f.when(final, lambda: leave("false"), lambda: leave(order.is_tied(p)))

        def rest() -> None:
            f.when(short, by_counting, lambda: leave("true"))

        f.when(few, by_heap, rest)
        f.when(f(f"load i1, ptr {left}"), lambda: order.select(r, p, in_order))

    order.each_row(row)
    f.end()
    return f.module.text()


def fits(node: Node) -> bool:
    """Whether rows can be ordered natively."""
    x = node.inputs[0]
    return x.dtype in (*FLOATS, *INTEGERS, BOOL) and 0 not in (*x.shape, *node.outputs[0].shape)


def write(node: Node, width: int) -> list[Launch]:
    """Ranked."""
    x, k, p = node.inputs[0], node.params["k"], node.params
    (rows, n), f = x.shape, kernel(width, key_type(x.dtype))
    order = Tops(f, x.dtype, n, k, p["descending"], "%scratch")
    choose = sorting if p.get("stable", True) else choosing
    row, each, scratch = choose(order, n, k, p.get("in_order", True))
    order.each_row(row)
    f.end()
    operands = ((0, 0), (1, 0), (2, 0))
    return [Launch(f.module.text(), operands, rows, scratch, cost=each * rows * n)]


def sorting(order: Order, n: int, k: int, _: bool) -> tuple[Row, float, int]:
    """What is done with a row, the nanoseconds for an element, and the bytes of scratch memory."""
    size = order.bits // 4
    if n <= COUNTED:
        return order.count_places, 1 + 0.06 * n, size * n + MORE
    if k <= KEPT and 4 * k <= n:
        return order.keep, 0.2 + k**2 / n, size * k
    return order.by_digits, 0.3 * order.bits, 2 * size * n + size // 2 * 4 * DIGITS + MORE


def choosing(order: Tops, n: int, k: int, in_order: bool) -> tuple[Row, float, int]:
    """The same where equal elements are PyTorch's."""
    size = order.bits // 4

    def short(r: Number, row: str) -> None:
        order.again(r, row, order.count_places(r, row))

    def few(r: Number, row: str) -> None:
        order.keep_in_heap(r, row)
        order.again(r, row, order.is_tied(row))

    def long(r: Number, row: str) -> None:
        order.again(r, row, order.are_tied(order.by_digits(r, row), min(k + 1, n)))

    def parted(r: Number, row: str) -> None:
        order.select(r, row, "true" if in_order else "false")

    if HEAPED * k <= n:
        return order.keep_in_heap, 0.3, size * k
    if in_order and (FEWEST if n <= SHORT else FEW) * k <= n:
        return few, 1.0, size * n
    if in_order and n <= SHORT:
        return short, 1 + 0.06 * n, size * n + MORE
    if in_order and n >= LONG:
        return long, 0.3 * order.bits, sorting(order, n, n, True)[2]
    return parted, 10.0, size * n
