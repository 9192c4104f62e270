"""Elements of short rows found by their rank, by counting: of each how many are before it, or of
few candidates how many are below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.compiler.backends.llvm.ir.code import Code, Number, kernel

NTH, MODE = "nth", "mode"
SHORT = 64  # elements whose ranks are all counted; where it fits, their keys are in scratch memory


class Row:
    """A row as integers, its keys, in the order of its elements: NaN last, -0 as 0. They fill up
    whole vectors, the last of which ends with the largest.
    """

    def __init__(self, f: Code, source: str, keys: str, n: Number, descending: bool = False):
        self.f, self.source, self.keys, self.n = f, source, keys, n
        self.whole = f"i{8 * f.size}"
        self.kind = f"<{f.lanes} x {self.whole}>"
        self.most = 2 ** (8 * f.size - 1) - 1
        self.descending = descending
        self.nan = f.span(0, n, f.lanes, self.fill, [("i64", "0")])[0]  # how many there are

    def fill(self, i: Number, state: list[str]) -> list[str]:
        f, kind = self.f, self.kind
        inside = self.below(f.sub(self.n, i))
        x = f.load(f.at(self.source, i), mask=inside)
        if f.element == self.whole:
            key, nan = x, state[0]
        else:
            x = f(f"fadd {f.vector} {x}, zeroinitializer")
            bits = f(f"bitcast {f.vector} {x} to {kind}")
            sign = f(f"ashr {kind} {bits}, {self.splat(8 * f.size - 1)}")
            flip = f(f"and {kind} {sign}, {self.splat(self.most)}")
            wrong = f(f"fcmp uno {f.vector} {x}, {x}")
            key = self.select(wrong, self.splat(self.most), f(f"xor {kind} {bits}, {flip}"))
            nan = str(f.add(state[0], self.count(wrong)))
        if self.descending:
            key = f(f"xor {kind} {key}, {self.splat(-1)}")
        key = self.select(inside, key, self.splat(self.most))
        f.do(f"store {kind} {key}, ptr {f.at(self.keys, i)}, align {f.size}")
        return [nan]

    def splat(self, value: Number) -> str:
        """An integer in all lanes."""
        if isinstance(value, int):
            return f"splat ({self.whole} {value})"
        f = self.f
        one = f(f"insertelement {self.kind} poison, {self.whole} {value}, i64 0")
        zeros = f"<{f.lanes} x i32> zeroinitializer"
        return f(f"shufflevector {self.kind} {one}, {self.kind} poison, {zeros}")

    def select(self, mask: str, a: str, b: str) -> str:
        return self.f(f"select {self.f.bits} {mask}, {self.kind} {a}, {self.kind} {b}")

    def below(self, count: Number) -> str:
        """A mask of the first ``count`` lanes."""
        f = self.f
        ramp = ", ".join([f"{self.whole} {i}" for i in range(f.lanes)])
        count = count if self.whole == "i64" else f(f"trunc i64 {count} to {self.whole}")
        return f(f"icmp slt {self.kind} <{ramp}>, {self.splat(count)}")

    def count(self, mask: str) -> str:
        """How many lanes of a mask there are."""
        f = self.f
        bits = f(f"bitcast {f.bits} {mask} to i{f.lanes}")
        bits = f(f"zext i{f.lanes} {bits} to i64")
        return f.intrinsic("ctpop", "i64", "i64", [("i64", bits)])

    def key(self, i: Number) -> str:
        """One key."""
        return self.f(f"load {self.whole}, ptr {self.f.at(self.keys, i)}, align {self.f.size}")

    def total(self, mask: Callable[[str, Number], str]) -> str:
        """How many keys a mask, a function of a vector of them and its place, holds."""
        f = self.f

        def some(j: Number, state: list[str]) -> list[str]:
            keys = f(f"load {self.kind}, ptr {f.at(self.keys, j)}, align {f.size}")
            return [str(f.add(state[0], self.count(mask(keys, j))))]

        return f.span(0, self.n, f.lanes, some, [("i64", "0")])[0]

    def compare(self, how: str, keys: str, key: str) -> str:
        return self.f(f"icmp {how} {self.kind} {keys}, {key}")

    def rank(self, i: Number) -> str:
        """How many elements are before element i in order; equal ones keep theirs."""
        f, key = self.f, self.splat(self.key(i))

        def before(keys: str, j: Number) -> str:
            ahead = f(f"and {f.bits} {self.compare('eq', keys, key)}, {self.below(f.sub(i, j))}")
            return f(f"or {f.bits} {self.compare('slt', keys, key)}, {ahead}")

        return self.total(before)

    def equal(self, i: Number) -> str:
        """How many elements equal element i."""
        f, key = self.f, self.splat(self.key(i))
        return self.total(
            lambda keys, j: f(
                f"and {f.bits} {self.compare('eq', keys, key)}, {self.below(f.sub(self.n, j))}"
            )
        )

    def nth(self, rank: str) -> str:
        """The key of the element with a rank: the largest one below which there are no more. Its
        bits are found one by one.
        """
        f = self.f

        def bit(k: Number, state: list[str]) -> list[str]:
            shift = f.sub(8 * f.size - 1, k)
            shift = shift if self.whole == "i64" else f(f"trunc i64 {shift} to {self.whole}")
            more = f(f"add {self.whole} {state[0]}, {f(f'shl {self.whole} 1, {shift}')}")
            limit = self.splat(more)
            few = f(f"icmp sle i64 {self.total(lambda keys, j: self.compare('slt', keys, limit))}, "
                    f"{rank}")  # fmt: skip
            return [f(f"select i1 {few}, {self.whole} {more}, {self.whole} {state[0]}")]

        return f.span(0, 8 * f.size, 1, bit, [(self.whole, str(-self.most - 1))])[0]


def put(f: Code, source: str, i: Number, values: str, places: str, to: Number) -> None:
    """Write element i of a row, and i."""
    x = f.scalar(f.at(source, i))
    f.do(f"store {f.element} {x}, ptr {f.at(values, to)}, align {f.size}")
    f.do(f"store i64 {i}, ptr {f.at(places, to, 8)}, align 8")


def nth(d: Any, width: int) -> str:
    """Of rows (units, n), operand 0, the element of a rank to operand 1 and its place to operand 2;
    equal elements keep their order, and NaN is the largest. Operand 3 has room for a row of whole
    vectors. Operand 4 holds n and the rank; -1 is the middle, or the first NaN if there is one, and
    -2 the middle of what is no NaN.
    """
    f = kernel(width, d)
    x, values, places, keys, sizes = [f.operand(k) for k in range(5)]
    n, wanted = [f.scalar64(f.at(sizes, k, 8)) for k in range(2)]

    def unit(u: Number, _: list[str]) -> None:
        source = f.at(x, f(f"mul nsw i64 {u}, {n}"))
        row = Row(f, source, keys, n)
        numbers = f.sub(n, row.nan)
        counted = f(f"select i1 {f(f'icmp eq i64 {wanted}, -2')}, i64 {numbers}, i64 {n}")
        middle = f(f"ashr i64 {f.larger(f.sub(counted, 1), 0)}, 1")
        some_nan = f(f"icmp ne i64 {row.nan}, 0")
        to_nan = f(f"and i1 {f(f'icmp eq i64 {wanted}, -1')}, {some_nan}")
        middle = f(f"select i1 {to_nan}, i64 {numbers}, i64 {middle}")
        rank = f(f"select i1 {f(f'icmp slt i64 {wanted}, 0')}, i64 {middle}, i64 {wanted}")

        def found(i: Number) -> None:
            put(f, source, i, values, places, u)

        def one(i: Number, _: list[str]) -> None:
            f.when(f(f"icmp eq i64 {row.rank(i)}, {rank}"), lambda: found(i))

        def by_bits() -> None:
            key = row.nth(rank)
            limit = row.splat(key)
            before = row.total(lambda keys, j: row.compare("slt", keys, limit))
            left = f.sub(rank, before)  # equal elements ahead of it

            def some(j: Number, state: list[str]) -> list[str]:
                loaded = f(f"load {row.kind}, ptr {f.at(keys, j)}, align {f.size}")
                seen = f.add(state[0], row.count(row.compare("eq", loaded, limit)))
                here = f(f"icmp sle i64 {state[0]}, {left}")
                here = f(f"and i1 {here}, {f(f'icmp sgt i64 {seen}, {left}')}")

                def search() -> None:
                    def lane(i: Number, equal: list[str]) -> list[str]:
                        same = f(f"icmp eq {row.whole} {row.key(i)}, {key}")
                        last = f(f"and i1 {same}, {f(f'icmp eq i64 {equal[0]}, {left}')}")
                        f.when(last, lambda: found(i))
                        return [str(f.add(equal[0], f(f"zext i1 {same} to i64")))]

                    f.span(j, f.smaller(f.add(j, f.lanes), n), 1, lane, [("i64", state[0])])

                f.when(here, search)
                return [str(seen)]

            f.span(0, n, f.lanes, some, [("i64", "0")])

        def by_counts() -> None:
            f.span(0, n, 1, one)

        f.when(f(f"icmp sle i64 {n}, {SHORT}"), by_counts, by_bits)

    f.span("%lo", "%hi", 1, unit)
    f.end()
    return f.module.text()


def mode(d: Any, width: int) -> str:
    """Of rows (units, n), operand 0, the most frequent element, the smallest of several, to operand
    1, and the place where it is last to operand 2. Operand 3 has room for a row of whole vectors,
    operand 4 holds n.
    """
    f = kernel(width, d)
    x, values, places, keys, sizes = [f.operand(k) for k in range(5)]
    n = f.scalar64(sizes)

    def unit(u: Number, _: list[str]) -> None:
        source = f.at(x, f(f"mul nsw i64 {u}, {n}"))
        row = Row(f, source, keys, n)

        def one(i: Number, state: list[str]) -> list[str]:
            key, count = row.key(i), row.equal(i)
            small = f(f"icmp sle {row.whole} {key}, {state[1]}")
            tie = f(f"and i1 {f(f'icmp eq i64 {count}, {state[0]}')}, {small}")
            better = f(f"or i1 {f(f'icmp sgt i64 {count}, {state[0]}')}, {tie}")
            new = ((count, "i64"), (key, row.whole), (str(i), "i64"))
            return [
                f(f"select i1 {better}, {kind} {a}, {kind} {b}")
                for (a, kind), b in zip(new, state, strict=True)
            ]

        first = [("i64", "0"), (row.whole, "0"), ("i64", "0")]
        place = f.span(0, n, 1, one, first)[2]
        put(f, source, place, values, places, u)

    f.span("%lo", "%hi", 1, unit)
    f.end()
    return f.module.text()
