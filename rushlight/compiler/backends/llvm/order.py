"""The first elements of each row in order, and where they were.

Elements become unsigned integers, their keys, which are in the same order. In a short row, an
element's place is the number of elements before it, which is counted by vectors. Of a long row, a
few are kept while all are looked at by vectors; or it is sorted by the digits of its keys, the last
digit first. Equal elements keep their order.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.ir.code import Code, Number
from rushlight.compiler.backends.llvm.ir.text import scalar_type
from rushlight.compiler.scalars import BOOL

DIGITS = 256


def key_type(d: Any) -> np.dtype[Any]:
    """The integers that keys of a dtype are."""
    return np.dtype(np.int64 if d.itemsize == 8 else np.int32)


class Order:
    """Code for rows of ``n`` elements of dtype d, operand 0, of which the first ``k`` go to operand
    1, and their indices to operand 2; ``room`` is memory for pairs.
    """

    def __init__(self, f: Code, d: Any, n: Number, k: Number, descending: bool, room: str) -> None:
        self.f, self.n, self.k, self.descending, self.room = f, n, k, descending, room
        self.d = np.dtype(np.uint8) if d == BOOL else d
        self.kind = scalar_type(self.d)
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

    def vector(self, row: str, i: Number) -> str:
        """The keys of a vector of a row."""
        kind, p = f"<{self.f.lanes} x {self.kind}>", self.f.at(row, i, self.d.itemsize)
        x = self.f(f"load {kind}, ptr {p}, align {self.d.itemsize}")
        return self.key_of(x, self.f.lanes)

    def bits_of(self, mask: str) -> str:
        """A mask as an integer."""
        word = f"i{self.f.lanes}"
        bits = self.f(f"bitcast {self.f.bits} {mask} to {word}")
        return self.f(f"zext {word} {bits} to i64")

    def count(self, mask: str) -> str:
        """How many lanes of a mask there are."""
        return self.f.intrinsic("ctpop", "i64", "i64", [("i64", self.bits_of(mask))])

    def vectors(self, start: Number, vector: Any, single: Any, carried: Any = ()) -> list[str]:
        """Vectors of a row from an element on, and the elements that are left."""
        f = self.f
        rest = f.parted(f.sub(self.n, start), f.lanes)[1]
        end = f.sub(self.n, rest)
        kinds = [kind for kind, _ in carried]
        found = f.span(start, end, f.lanes, vector, carried, empty=True)
        return f.span(end, self.n, 1, single, [*zip(kinds, found, strict=True)], empty=True)

    def each_bit(self, bits: str, body: Any) -> None:
        """``body(number)`` for each bit that is set."""
        f = self.f

        def lowest(state: list[str]) -> list[Number]:
            body(f.intrinsic("cttz", "i64", "i64", [("i64", state[0]), ("i1", "true")]))
            return [f(f"and i64 {state[0]}, {f.sub(state[0], 1)}")]

        f.repeat([("i64", bits)], lambda state: f(f"icmp ne i64 {state[0]}, 0"), lowest)

    # Short rows

    def count_places(self, r: Number, row: str) -> str:
        """Each element goes where as many are before it; returns whether equal ones are among them,
        or the next.
        """
        f = self.f

        def note(i: Number, _: list[str]) -> None:
            f.store(f.at(self.room, i), self.vector(row, i))

        def note_one(i: Number, _: list[str]) -> None:
            key = self.key_of(self.element(row, i))
            f.do(f"store {self.key} {key}, ptr {f.at(self.room, i)}, align {f.size}")

        self.vectors(0, note, note_one)
        f.store(f.at(self.room, self.n), f.splat("-1"))  # keys behind all others

        def put(i: Number, state: list[str]) -> list[str]:
            place, same = self.place(i)
            wanted = f(f"icmp slt i64 {place}, {self.k}")
            f.when(wanted, partial(self.finish, r, row, place, str(i)))
            near = f(f"icmp sle i64 {place}, {self.k}")
            return [f(f"or i64 {state[0]}, {f(f'select i1 {near}, i64 {same}, i64 0')}")]

        (same,) = f.span(0, self.n, 1, put, [("i64", "0")])
        return f(f"icmp ne i64 {same}, 0")

    def place(self, i: Number) -> list[str]:
        """How many elements of the row come before element i, and bits of those that equal it."""
        f, v = self.f, self.f.vector
        key = f.splat(f.scalar(f.at(self.room, i)))
        here = f.splat(self.narrow(i))
        ramp = "<" + ", ".join([f"{self.key} {j}" for j in range(f.lanes)]) + ">"

        def some(start: Number, state: list[str]) -> list[str]:
            other = f.load(f.at(self.room, start))
            shift = here if start == 0 else f(f"sub {v} {here}, {f.splat(self.narrow(start))}")
            ahead = f(f"icmp slt {v} {ramp}, {shift}")
            same = f(f"and {f.bits} {f(f'icmp eq {v} {other}, {key}')}, {ahead}")
            before = f(f"or {f.bits} {f(f'icmp ult {v} {other}, {key}')}, {same}")
            equal = f(f"or {f.bits} {state[1]}, {same}")
            return [str(f.add(state[0], self.count(before))), equal]

        state = ["0", "zeroinitializer"]
        if isinstance(self.n, int):
            for start in range(0, self.n, f.lanes):
                state = some(start, state)
        else:
            carried = [*zip(("i64", f.bits), state, strict=True)]
            state = f.span(0, self.n, f.lanes, some, carried)
        return [state[0], self.bits_of(state[1])]

    def narrow(self, i: Number) -> str:
        """A position as an integer of a key's size."""
        if isinstance(i, int) or self.f.size == 8:
            return str(i)
        return self.f(f"trunc i64 {i} to {self.key}")

    # Long rows: pairs of a key, in the high bits, and an index

    def keep(self, r: Number, row: str) -> None:
        """The least pairs met so far are kept in order."""
        f, size = self.f, 2 * self.f.size
        last = f.at(self.room, f.sub(self.k, 1), size)

        def offer(i: Number, _: list[str]) -> None:
            pair = self.pair_of(row, i)
            most = f(f"load {self.pair}, ptr {last}, align 8")
            better = f(f"icmp ult {self.pair} {pair}, {most}")
            f.when(better, lambda: f.span(0, self.k, 1, sink, [(self.pair, pair)]))

        def sink(j: Number, carried: list[str]) -> list[str]:
            p = f.at(self.room, j, size)
            here = f(f"load {self.pair}, ptr {p}, align 8")
            arguments = [(self.pair, here), (self.pair, carried[0])]
            less, more = [f.intrinsic(m, self.pair, self.pair, arguments) for m in ("umin", "umax")]
            f.do(f"store {self.pair} {less}, ptr {p}, align 8")
            return [more]

        def vector(start: Number, _: list[str]) -> None:
            most = f.splat(f.scalar(f.at(last, 1)))
            fine = self.bits_of(f(f"icmp ule {f.vector} {self.vector(row, start)}, {most}"))
            self.each_bit(fine, lambda lane: offer(f.add(start, lane), []))

        def clear(j: Number, _: list[str]) -> None:
            f.do(f"store {self.pair} -1, ptr {f.at(self.room, j, size)}, align 8")

        f.span(0, self.k, 1, clear)
        self.vectors(0, vector, offer)
        f.span(0, self.k, 1, lambda j, _: self.take(r, row, self.room, j))

    def pair_of(self, row: str, i: Number) -> str:
        """The pair of an element."""
        f = self.f
        key = f(f"zext {self.key} {self.key_of(self.element(row, i))} to {self.pair}")
        index = str(i)
        if self.pair != "i64" and not isinstance(i, int):
            index = f(f"zext i64 {i} to {self.pair}")
        return f(f"or {self.pair} {f(f'shl {self.pair} {key}, {self.bits}')}, {index}")

    def by_digits(self, r: Number, row: str) -> str:
        """Pairs are sorted by digits; returns where they are."""
        f = self.f
        counts = self.bits // 8 * DIGITS
        self.counts = f.at(self.room, 16, 1)
        first = f.at(self.room, 16 + 4 * counts, 1)
        arrays = [first, f.at(first, self.n, 2 * f.size)]
        places = [self.room, f.at(self.room, 8, 1)]  # of the arrays' addresses: from, and to
        f.clear(self.counts, 4 * counts // f.size)
        f.span(0, self.n, 1, lambda i, _: self.note(row, first, i))
        for place, array in zip(places, arrays, strict=True):
            f.do(f"store ptr {array}, ptr {place}, align 8")
        for digit in range(self.bits // 8):
            source, target = [f(f"load ptr, ptr {place}, align 8") for place in places]
            counts_of = f.at(self.counts, DIGITS * digit, 4)
            one = self.digit(self.load_pair(source, 0), digit)
            some = f(f"load i32, ptr {f.at(counts_of, one, 4)}, align 4")
            f.when(
                f(f"icmp ne i32 {some}, {self.n}"),  # else all have the same digit
                partial(self.distribute, source, target, counts_of, digit, places),
            )
        done = f(f"load ptr, ptr {places[0]}, align 8")
        f.span(0, self.k, 1, lambda j, _: self.take(r, row, done, j))
        return done

    def note(self, row: str, pairs: str, i: Number) -> None:
        """Write the pair of an element, and count its digits."""
        f, both = self.f, self.pair_of(row, i)
        f.do(f"store {self.pair} {both}, ptr {f.at(pairs, i, 2 * f.size)}, align 8")
        for digit in range(self.bits // 8):
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
