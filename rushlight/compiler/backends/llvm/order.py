"""The first elements of each row in order, and where they were.

Elements become unsigned integers, their keys, which are in the same order. In a short row, an
element's place is the number of elements before it, which is counted by vectors. Of a long row, a
few are kept while all are looked at by vectors; or it is sorted by the digits of its keys, the last
digit first.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ir.text import scalar_type
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.graph import Node
from rushlight.compiler.scalars import BOOL, FLOATS, INTEGERS

SHORT = 128  # elements of a row up to which places are counted
FEW = 64  # elements of a long row that are kept in order
DIGITS = 256


def fits(node: Node) -> bool:
    """Whether rows can be ordered natively."""
    x = node.inputs[0]
    return x.dtype in (*FLOATS, *INTEGERS, BOOL) and 0 not in (*x.shape, *node.outputs[0].shape)


class Order:
    """Code for rows of ``n`` elements, of which the first ``k`` are wanted."""

    def __init__(self, node: Node, width: int) -> None:
        x = node.inputs[0]
        self.rows, self.n = x.shape
        self.k, self.descending = node.params["k"], node.params["descending"]
        self.d = np.dtype(np.uint8) if x.dtype == BOOL else x.dtype
        self.kind = scalar_type(self.d)
        wide = self.d.itemsize == 8
        self.f = f = kernel(width, np.dtype(np.int64 if wide else np.int32))
        self.key, self.bits, self.pair = f.element, 8 * f.size, f"i{16 * f.size}"
        self.source, self.values, self.indices = [f.operand(i) for i in range(3)]

    def element(self, row: str, i: Number) -> str:
        """An element of a row."""
        p = self.f.at(row, i, self.d.itemsize)
        return self.f(f"load {self.kind}, ptr {p}, align {self.d.itemsize}")

    def key_of(self, x: str, lanes: int = 1) -> str:
        """The key of an element, or of a vector's; NaN is the largest, and zeros are equal."""
        f, lowest = self.f, -(2 ** (self.bits - 1))
        kind, key, truth = [
            e if lanes == 1 else f"<{lanes} x {e}>" for e in (self.kind, self.key, "i1")
        ]

        def c(value: int | str, e: str) -> str:
            return str(value) if lanes == 1 else "<" + ", ".join([f"{e} {value}"] * lanes) + ">"

        if self.d.kind == "f":
            x = f(f"fadd {kind} {x}, {c('0.0', self.kind)}")
            b = f(f"bitcast {kind} {x} to {key}")
            sign = f(f"ashr {key} {b}, {c(self.bits - 1, self.key)}")
            turned = f(f"or {key} {sign}, {c(lowest, self.key)}")  # all bits, or the sign alone
            nan = f(f"fcmp uno {kind} {x}, {c('0.0', self.kind)}")
            b = f(f"xor {key} {b}, {turned}")
            b = f(f"select {truth} {nan}, {key} {c(-1, self.key)}, {key} {b}")
        elif self.d.itemsize == f.size:
            b = x
        else:
            b = f(f"{'sext' if self.d.kind == 'i' else 'zext'} {kind} {x} to {key}")
        if self.d.kind == "i":
            b = f(f"xor {key} {b}, {c(lowest, self.key)}")
        return f(f"xor {key} {b}, {c(-1, self.key)}") if self.descending else b

    def finish(self, r: Number, row: str, place: str, i: str) -> None:
        """Element i of a row has this place in the result."""
        f, size = self.f, self.d.itemsize
        to = f.add(f.mul(r, self.k), place)
        value = self.element(row, i)
        f.do(f"store {self.kind} {value}, ptr {f.at(self.values, to, size)}, align {size}")
        f.do(f"store i64 {i}, ptr {f.at(self.indices, to, 8)}, align 8")

    def each_row(self, body: Any) -> None:
        """``body(row number, its address)`` for the rows of a call."""
        f = self.f

        def row(r: Number, _: list[str]) -> None:
            body(r, f.at(self.source, f.mul(r, self.n), self.d.itemsize))

        f.span("%lo", "%hi", 1, row)

    # Short rows

    def write_short(self) -> int:
        """Places are counted; returns the bytes of scratch memory."""
        f = self.f
        room = -(-self.n // f.lanes) * f.lanes
        for i in range(self.n, room):  # keys behind all others
            f.do(f"store {self.key} -1, ptr {f.at('%scratch', i)}, align {f.size}")

        def row(r: Number, p: str) -> None:
            def note(i: Number, _: list[str]) -> None:
                key = self.key_of(self.element(p, i))
                f.do(f"store {self.key} {key}, ptr {f.at('%scratch', i)}, align {f.size}")

            f.span(0, self.n, 1, note)
            f.span(0, self.n, 1, lambda i, _: self.put(r, p, str(i), self.count(i, room)))

        self.each_row(row)
        return room * f.size

    def count(self, i: Number, room: int) -> str:
        """How many elements of the row come before element i."""
        f, v = self.f, self.f.vector
        key = f.splat(f.scalar(f.at("%scratch", i)))
        here = f.splat(str(i) if f.size == 8 else f(f"trunc i64 {i} to i32"))
        total: Number = 0
        for start in range(0, room, f.lanes):
            other = f.load(f.at("%scratch", start))
            places = ", ".join([f"{self.key} {start + j}" for j in range(f.lanes)])
            earlier = f(f"icmp ult {v} <{places}>, {here}")
            same = f(f"and {f.bits} {f(f'icmp eq {v} {other}, {key}')}, {earlier}")
            before = f(f"or {f.bits} {f(f'icmp ult {v} {other}, {key}')}, {same}")
            word = f"i{f.lanes}"
            bits = f(f"bitcast {f.bits} {before} to {word}")
            bits = f(f"zext {word} {bits} to i64")
            total = f.add(total, f.intrinsic("ctpop", "i64", "i64", [("i64", bits)]))
        return str(total)

    def put(self, r: Number, row: str, i: str, place: str) -> None:
        """Finish an element if it is wanted."""
        if self.k == self.n:
            self.finish(r, row, place, i)
        else:
            wanted = self.f(f"icmp ult i64 {place}, {self.k}")
            self.f.when(wanted, partial(self.finish, r, row, place, i))

    # Long rows: pairs of a key, in the high bits, and an index

    def write_few(self) -> int:
        """The least pairs met so far are kept in order; returns the bytes of scratch memory."""
        f, size = self.f, 2 * self.f.size
        last = f.at("%scratch", self.k - 1, size)
        kind = f"<{f.lanes} x {self.kind}>"

        def offer(row: str, i: Number) -> None:
            pair = self.pair_of(row, i)
            most = f(f"load {self.pair}, ptr {last}, align 8")
            better = f(f"icmp ult {self.pair} {pair}, {most}")
            f.when(better, lambda: f.span(0, self.k, 1, sink, [(self.pair, pair)]))

        def sink(j: Number, carried: list[str]) -> list[str]:
            p = f.at("%scratch", j, size)
            here = f(f"load {self.pair}, ptr {p}, align 8")
            arguments = [(self.pair, here), (self.pair, carried[0])]
            less, more = [f.intrinsic(m, self.pair, self.pair, arguments) for m in ("umin", "umax")]
            f.do(f"store {self.pair} {less}, ptr {p}, align 8")
            return [more]

        def vector(row: str, start: Number) -> None:
            p = f.at(row, start, self.d.itemsize)
            x = f(f"load {kind}, ptr {p}, align {self.d.itemsize}")
            most = f(f"load {self.pair}, ptr {last}, align 8")
            most = f(f"lshr {self.pair} {most}, {self.bits}")
            most = f.splat(f(f"trunc {self.pair} {most} to {self.key}"))
            fine = f(f"icmp ule {f.vector} {self.key_of(x, f.lanes)}, {most}")
            some = f"llvm.vector.reduce.or.v{f.lanes}i1"
            f.module.declarations.add(f"declare i1 @{some}({f.bits})")
            f.when(
                f(f"call i1 @{some}({f.bits} {fine})"),
                lambda: f.span(0, f.lanes, 1, lambda i, _: offer(row, f.add(start, i))),
            )

        def row(r: Number, p: str) -> None:
            for j in range(self.k):
                to = f.at("%scratch", j, size)
                f.do(f"store {self.pair} -1, ptr {to}, align 8")
            whole = self.n // f.lanes * f.lanes
            f.span(0, whole, f.lanes, lambda i, _: vector(p, i))
            f.span(whole, self.n, 1, lambda i, _: offer(p, i))
            f.span(0, self.k, 1, lambda j, _: self.take(r, p, "%scratch", j))

        self.each_row(row)
        return size * self.k

    def pair_of(self, row: str, i: Number) -> str:
        """The pair of an element."""
        f = self.f
        key = f(f"zext {self.key} {self.key_of(self.element(row, i))} to {self.pair}")
        index = str(i)
        if self.pair != "i64" and not isinstance(i, int):
            index = f(f"zext i64 {i} to {self.pair}")
        return f(f"or {self.pair} {f(f'shl {self.pair} {key}, {self.bits}')}, {index}")

    def write_long(self) -> int:
        """Pairs are sorted by digits; returns the bytes of scratch memory."""
        f, size = self.f, 2 * self.f.size
        passes = self.bits // 8
        count_bytes = 4 * DIGITS * passes
        pairs = f.at("%scratch", 16 + count_bytes, 1)
        arrays = [pairs, f.at(pairs, self.n, size)]
        self.counts = f.at("%scratch", 16, 1)
        places = ["%scratch", f.at("%scratch", 8, 1)]  # of the arrays' addresses: from, and to

        def row(r: Number, p: str) -> None:
            f.module.declarations.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
            f.do(f"call void @llvm.memset.p0.i64(ptr {self.counts}, i8 0, i64 {count_bytes}, i1 0)")
            f.span(0, self.n, 1, lambda i, _: self.note(p, arrays[0], i, passes))
            for place, array in zip(places, arrays, strict=True):
                f.do(f"store ptr {array}, ptr {place}, align 8")
            for digit in range(passes):
                source, target = [f(f"load ptr, ptr {place}, align 8") for place in places]
                counts = f.at(self.counts, DIGITS * digit, 4)
                first = self.digit(self.load_pair(source, 0), digit)
                some = f(f"load i32, ptr {f.at(counts, first, 4)}, align 4")
                f.when(
                    f(f"icmp ne i32 {some}, {self.n}"),  # else all have the same digit
                    partial(self.distribute, source, target, counts, digit, places),
                )
            done = f(f"load ptr, ptr {places[0]}, align 8")
            f.span(0, self.k, 1, lambda j, _: self.take(r, p, done, j))

        self.each_row(row)
        return 16 + count_bytes + 2 * size * self.n

    def note(self, row: str, pairs: str, i: Number, passes: int) -> None:
        """Write the pair of an element, and count its digits."""
        f, both = self.f, self.pair_of(row, i)
        f.do(f"store {self.pair} {both}, ptr {f.at(pairs, i, 2 * f.size)}, align 8")
        for digit in range(passes):
            p = f.at(f.at(self.counts, DIGITS * digit, 4), self.digit(both, digit), 4)
            count = f(f"load i32, ptr {p}, align 4")
            f.do(f"store i32 {f(f'add i32 {count}, 1')}, ptr {p}, align 4")

    def load_pair(self, pairs: str, i: Number) -> str:
        """A pair of an array."""
        p = self.f.at(pairs, i, 2 * self.f.size)
        return self.f(f"load {self.pair}, ptr {p}, align 8")

    def digit(self, pair: str, digit: int) -> str:
        """A digit of a pair's key."""
        f = self.f
        x = f(f"lshr {self.pair} {pair}, {self.bits + 8 * digit}")
        if self.pair != "i64":
            x = f(f"trunc {self.pair} {x} to i64")
        return f(f"and i64 {x}, {DIGITS - 1}")

    def distribute(self, source: str, target: str, counts: str, digit: int, places: Any) -> None:
        """Pairs in the order of one digit; the arrays are exchanged."""
        f = self.f

        def begin(i: Number, total: list[str]) -> list[str]:
            p = f.at(counts, i, 4)
            count = f(f"load i32, ptr {p}, align 4")
            f.do(f"store i32 {total[0]}, ptr {p}, align 4")
            return [f(f"add i32 {total[0]}, {count}")]

        f.span(0, DIGITS, 1, begin, [("i32", "0")])

        def move(i: Number, _: list[str]) -> None:
            pair = self.load_pair(source, i)
            p = f.at(counts, self.digit(pair, digit), 4)
            to = f(f"load i32, ptr {p}, align 4")
            f.do(f"store i32 {f(f'add i32 {to}, 1')}, ptr {p}, align 4")
            to = f(f"zext i32 {to} to i64")
            f.do(f"store {self.pair} {pair}, ptr {f.at(target, to, 2 * f.size)}, align 8")

        f.span(0, self.n, 1, move)
        f.do(f"store ptr {target}, ptr {places[0]}, align 8")
        f.do(f"store ptr {source}, ptr {places[1]}, align 8")

    def take(self, r: Number, row: str, pairs: str, j: Number) -> None:
        """Finish the element of a pair."""
        f, pair = self.f, self.load_pair(pairs, j)
        index = f(f"and i64 {pair}, 4294967295") if self.pair == "i64" else ""
        index = index or f(f"trunc {self.pair} {pair} to i64")
        self.finish(r, row, str(j), index)


def write(node: Node, width: int) -> list[Launch]:
    """Ranked."""
    order = Order(node, width)
    if order.n <= SHORT:
        scratch, each = order.write_short(), 1.0 + 0.06 * order.n
    elif order.k <= FEW and 4 * order.k <= order.n:
        scratch, each = order.write_few(), 0.2 + order.k**2 / order.n
    else:
        scratch, each = order.write_long(), 0.3 * order.bits
    order.f.end()
    cost = each * order.rows * order.n
    operands = ((0, 0), (1, 0), (2, 0))
    return [Launch(order.f.module.text(), operands, order.rows, scratch, cost=cost)]
