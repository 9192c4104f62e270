"""What templates are written with: addresses, vectors with masks, loops with any bounds, tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.ir.text import (
    Function,
    Module,
    mangled,
    scalar_type,
    vector_type,
)

Number = int | str
SIGNATURE = "ptr %at, i64 %lo, i64 %hi, ptr %scratch"  # of kernels, see launch.py
UNROLLED = 16  # vectors of a row that get code of their own


@dataclass(frozen=True)
class Sized:
    """A function of a module that gets sizes as its last arguments, so that it is one for all
    shapes: what is not called often enough to be worth code of its own for each.
    """

    name: str
    sizes: tuple[Number, ...]


class Code(Function):
    """A function over elements of one dtype: offsets count them, vectors fill a register."""

    def __init__(
        self,
        module: Module,
        name: str,
        signature: str,
        d: np.dtype[Any],
        linkage: str = "private",
        result: str = "void",
    ) -> None:
        super().__init__(module, name, signature, result, linkage)
        self.dtype, self.size = d, d.itemsize
        self.element = scalar_type(d)
        self.lanes = module.width // (8 * d.itemsize)
        self.vector = vector_type(self.element, self.lanes)
        self.suffix = mangled(self.element, self.lanes)
        self.bits = vector_type("i1", self.lanes)

    def operand(self, number: int) -> str:
        """The address of a kernel's operand."""
        place = self(f"getelementptr inbounds ptr, ptr %at, i64 {number}")
        return self(f"load ptr, ptr {place}, !invariant.load !2")

    # Integers and addresses

    def known(self, n: Number) -> Number:
        """A number as the code names it: itself, if it is written into the code."""
        return n

    def add(self, a: Number, b: Number) -> Number:
        """The sum of two positions."""
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        if b == 0:
            return a
        return b if a == 0 else self(f"add nsw i64 {self.known(a)}, {self.known(b)}")

    def sub(self, a: Number, b: Number) -> Number:
        """The difference of two positions."""
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if b == 0 else self(f"sub nsw i64 {self.known(a)}, {self.known(b)}")

    def mul(self, a: Number, b: Number) -> Number:
        """A multiple of a position."""
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        if a == 0 or b == 0:
            return 0
        if a == 1:
            return b
        return a if b == 1 else self(f"mul nsw i64 {self.known(a)}, {self.known(b)}")

    def at(self, p: str, offset: Number, size: int = 0) -> str:
        """The address of an element."""
        size = size or self.size
        if isinstance(offset, int):
            step: Number = offset * size
        else:
            step = offset if size == 1 else self(f"mul nsw i64 {offset}, {size}")
        if step == 0:
            return p
        return self(f"getelementptr inbounds i8, ptr {p}, i64 {self.known(step)}")

    def apart(self, p: str, step: Number, count: int) -> list[str]:
        """The addresses of ``count`` elements from p on, ``step`` elements apart."""
        if isinstance(step, int):
            return [self.at(p, k * step) for k in range(count)]
        found, far = [p], self.mul(step, self.size)
        for _ in range(count - 1):
            found.append(self.at(found[-1], far, 1))
        return found

    def smaller(self, a: Number, b: Number) -> Number:
        """The smaller of two positions."""
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        return self.intrinsic("smin", "i64", "i64", [("i64", str(self.known(x))) for x in (a, b)])

    def larger(self, a: Number, b: Number) -> Number:
        """The larger of two positions."""
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        return self.intrinsic("smax", "i64", "i64", [("i64", str(self.known(x))) for x in (a, b)])

    def parted(self, a: Number, n: Number) -> tuple[Number, Number]:
        """A position, >= 0, divided by n, and what remains."""
        if isinstance(a, int) and isinstance(n, int):
            return divmod(a, n)
        if n == 1:
            return a, 0
        a, n = self.known(a), self.known(n)
        return self(f"udiv i64 {a}, {n}"), self(f"urem i64 {a}, {n}")

    def grid(self, rows: Number, columns: Number, body: Callable[[Number, Number], Any]) -> None:
        """All pairs of a row and a column; there is one at least."""

        def row(i: Number, _: list[str]) -> None:
            def column(j: Number, _: list[str]) -> None:
                body(i, j)

            self.span(0, columns, 1, column)

        self.span(0, rows, 1, row)

    def span(
        self,
        start: Number,
        stop: Number,
        step: Number,
        body: Callable[[Number, list[str]], Sequence[str] | None],
        carried: Sequence[tuple[str, str]] = (),
        empty: bool = False,
    ) -> list[str]:
        """As ``loop``, over ``range(start, stop, step)``; ``empty``: there may be no turn."""
        if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
            if start >= stop:
                return [value for _, value in carried]
            if start + step >= stop:
                return list(body(start, [value for _, value in carried]) or [])
            empty = False
        start, stop = start if start == 0 else self.known(start), self.known(stop)
        step = step if step == 1 else self.known(step)
        head, done, before = self.name_of("L"), self.name_of("D"), self.block
        if empty:
            some = self(f"icmp slt i64 {start}, {stop}")
            self.do(f"br i1 {some}, label %{head}, label %{done}")
        else:
            self.do(f"br label %{head}")
        self.label(head)
        i = "%" + self.name_of("i")
        phis: list[Any] = []
        self.here.append(phis)
        names = ["%" + self.name_of("p") for _ in carried]
        new = list(body(i, names) or [])
        following = self(f"add nsw i64 {i}, {step}")
        more = self(f"icmp slt i64 {following}, {stop}")
        last = self.block
        self.do(f"br i1 {more}, label %{head}, label %{done}, !llvm.loop !0")
        phis.append(f"  {i} = phi i64 [ {start}, %{before} ], [ {following}, %{last} ]")
        for name, (kind, first), value in zip(names, carried, new, strict=True):
            phis.append(f"  {name} = phi {kind} [ {first}, %{before} ], [ {value}, %{last} ]")
        self.label(done)
        if not empty:
            return new
        return [
            self(f"phi {kind} [ {first}, %{before} ], [ {value}, %{last} ]")
            for (kind, first), value in zip(carried, new, strict=True)
        ]

    def vectors(self, start: int, stop: int, body: Callable[[Number, int], None]) -> None:
        """``body(at, lanes)`` for the vectors of a range; of many, a loop does the whole ones: code
        for each of a long row would take a minute to compile.
        """
        whole = start
        if stop - start > UNROLLED * self.lanes:
            whole = stop - (stop - start) % self.lanes
            self.span(start, whole, self.lanes, lambda at, _: body(at, self.lanes))
        for at in range(whole, stop, self.lanes):
            body(at, min(self.lanes, stop - at))

    def repeat(
        self,
        carried: Sequence[tuple[str, str]],
        test: Callable[[list[str]], str],
        body: Callable[[list[str]], Sequence[Number]],
    ) -> list[str]:
        """``while test(carried): carried = body(carried)``; ``carried``: (type, first value)."""
        head, inside, done = [self.name_of(k) for k in "LID"]
        before = self.block
        self.do(f"br label %{head}")
        self.label(head)
        phis: list[Any] = []
        self.here.append(phis)
        names = ["%" + self.name_of("p") for _ in carried]
        self.do(f"br i1 {test(names)}, label %{inside}, label %{done}")
        self.label(inside)
        new = body(names)
        self.do(f"br label %{head}, !llvm.loop !0")
        for name, (kind, first), value in zip(names, carried, new, strict=True):
            phis.append(f"  {name} = phi {kind} [ {first}, %{before} ], [ {value}, %{self.block} ]")
        self.label(done)
        return names

    def call(self, function: str | Sized, *arguments: Number) -> None:
        """Call a function of the module."""
        if isinstance(function, Sized):
            self.call(function.name, *arguments, *function.sizes)
            return
        given = zip(self.module.signatures[function], arguments, strict=True)
        text = ", ".join([f"{kind} {self.known(a)}" for kind, a in given])
        self.do(f"call void {function if function[0] == '%' else f'@{function}'}({text})")

    def when(
        self, condition: str, then: Callable[[], Any], otherwise: Callable[[], Any] | None = None
    ) -> None:
        """Run one of two pieces of code."""
        yes, no, after = self.name_of("T"), self.name_of("E"), self.name_of("J")
        self.do(f"br i1 {condition}, label %{yes}, label %{no if otherwise else after}")
        self.label(yes)
        then()
        self.do(f"br label %{after}")
        if otherwise is not None:
            self.label(no)
            otherwise()
            self.do(f"br label %{after}")
        self.label(after)

    def taken(self, take: str, values: list[tuple[str, str, str]]) -> list[str]:
        """The first of each two where ``take``, by a branch: running extremes change rarely, and
        then a step need not wait for the one before.
        """
        before, yes, after = self.block, self.name_of("T"), self.name_of("J")
        self.do(f"br i1 {take}, label %{yes}, label %{after}")
        self.label(yes)
        self.do(f"br label %{after}")
        self.label(after)
        return [self(f"phi {t} [ {new}, %{yes} ], [ {old}, %{before} ]") for t, new, old in values]

    # Vectors

    def mask(self, start: int, stop: int) -> str:
        """A constant mask of lanes."""
        on = ["true" if start <= i < stop else "false" for i in range(self.lanes)]
        return "<" + ", ".join([f"i1 {x}" for x in on]) + ">"

    def load(self, p: str, lanes: int = 0, mask: str = "", rest: str = "zeroinitializer") -> str:
        """A vector; of its first ``lanes``, or under a mask over ``rest``."""
        if not mask and (not lanes or lanes >= self.lanes):
            return self(f"load {self.vector}, ptr {p}, align {self.size}")
        arguments = [("ptr", p), ("i32", str(self.size)), (self.bits, mask or self.mask(0, lanes))]
        return self.intrinsic(
            "masked.load", f"{self.suffix}.p0", self.vector, [*arguments, (self.vector, rest)]
        )

    def store(self, p: str, value: str, lanes: int = 0) -> None:
        """Write a vector, or its first ``lanes``."""
        if not lanes or lanes >= self.lanes:
            self.do(f"store {self.vector} {value}, ptr {p}, align {self.size}")
        else:
            self.masked_store(p, value, self.mask(0, lanes))

    def lanes_below(self, count: Number) -> str:
        """A mask of the first ``count`` lanes."""
        ramp = ", ".join([f"i64 {i}" for i in range(self.lanes)])
        kind = f"<{self.lanes} x i64>"
        one = self(f"insertelement {kind} poison, i64 {count}, i64 0")
        wide = self(
            f"shufflevector {kind} {one}, {kind} poison, <{self.lanes} x i32> zeroinitializer"
        )
        return self(f"icmp slt {kind} <{ramp}>, {wide}")

    def store_first(self, p: str, value: str, count: Number) -> None:
        """Write the first ``count`` lanes."""
        self.masked_store(p, value, self.lanes_below(count))

    def first(self, value: str, count: Number) -> str:
        """The first ``count`` lanes, and zeros."""
        on = self.lanes_below(count)
        return self(
            f"select {self.bits} {on}, {self.vector} {value}, {self.vector} zeroinitializer"
        )

    def pointers(self, p: str, step: int) -> str:
        """Addresses of every ``step``-th element."""
        ramp = ", ".join([f"i64 {i * step * self.size}" for i in range(self.lanes)])
        return self(f"getelementptr i8, ptr {p}, <{self.lanes} x i64> <{ramp}>")

    def shuffle(self, a: str, b: str, order: Sequence[int]) -> str:
        """Lanes of two vectors, by their numbers; those below 0 may be anything."""
        lanes = ", ".join([f"i32 {k}" if k >= 0 else "i32 poison" for k in order])
        v = self.vector
        return self(f"shufflevector {v} {a}, {v} {b}, <{len(order)} x i32> <{lanes}>")

    def gather(self, p: str, step: int, lanes: int) -> str:
        """Every ``step``-th element from p on; for small steps, by loads of all and shuffles."""
        n, count = self.lanes, (lanes - 1) * step + 1
        if step > 4:
            return self.gathered(p, step, lanes)
        parts = [self.load(self.at(p, k), min(n, count - k)) for k in range(0, count, n)]
        found, done = parts[0], [k * step if k * step < n else -1 for k in range(n)]
        for k, part in enumerate(parts[1:], 1):
            new = [i * step - k * n for i in range(n)]
            order = [
                d if d >= 0 else n + x if 0 <= x < n else -1 for d, x in zip(done, new, strict=True)
            ]
            found = self.shuffle(found, part, order)
            done = [i if o >= 0 else -1 for i, o in enumerate(order)]
        return self.shuffle(found, "poison", done) if len(parts) == 1 else found

    def gathered(self, p: str, step: int, lanes: int) -> str:
        """Every ``step``-th element from p on, one by one."""
        kind = f"<{self.lanes} x ptr>"
        return self.intrinsic(
            "masked.gather",
            f"{self.suffix}.v{self.lanes}p0",
            self.vector,
            [
                (kind, self.pointers(p, step)),
                ("i32", str(self.size)),
                (self.bits, self.mask(0, lanes)),
                (self.vector, "zeroinitializer"),
            ],
        )

    def scatter(self, p: str, value: str, step: int, lanes: int) -> None:
        """The reverse of ``gather``; what lies between is left alone."""
        n, count = self.lanes, (lanes - 1) * step + 1
        if step > 4 or self.module.width < 512:
            self.scattered(p, value, step, lanes)
            return
        for k in range(0, count, n):
            inside = [i for i in range(k, min(k + n, count)) if i % step == 0]
            order = [i // step if i in inside else -1 for i in range(k, k + n)]
            spread = self.shuffle(value, "poison", order)
            on = ", ".join(["i1 true" if o >= 0 else "i1 false" for o in order])
            self.masked_store(self.at(p, k), spread, f"<{on}>")

    def masked_store(self, p: str, value: str, mask: str) -> None:
        """Write the lanes of a mask."""
        name = f"@llvm.masked.store.{self.suffix}.p0"
        self.module.declarations.add(f"declare void {name}({self.vector}, ptr, i32, {self.bits})")
        self.do(
            f"call void {name}({self.vector} {value}, ptr {p}, i32 {self.size}, {self.bits} {mask})"
        )

    def scattered(self, p: str, value: str, step: int, lanes: int) -> None:
        """The reverse of ``gathered``."""
        kind = f"<{self.lanes} x ptr>"
        name = f"@llvm.masked.scatter.{self.suffix}.v{self.lanes}p0"
        self.module.declarations.add(
            f"declare void {name}({self.vector}, {kind}, i32, {self.bits})"
        )
        self.do(
            f"call void {name}({self.vector} {value}, {kind} {self.pointers(p, step)}, "
            f"i32 {self.size}, {self.bits} {self.mask(0, lanes)})"
        )

    def scalar(self, p: str) -> str:
        """One element."""
        return self(f"load {self.element}, ptr {p}, align {self.size}")

    def scalar64(self, p: str) -> str:
        """One int64."""
        return self(f"load i64, ptr {p}, align 8")

    def splat(self, value: str) -> str:
        """An element in all lanes."""
        one = self(f"insertelement {self.vector} poison, {self.element} {value}, i64 0")
        zeros = f"<{self.lanes} x i32> zeroinitializer"
        return self(f"shufflevector {self.vector} {one}, {self.vector} poison, {zeros}")

    def fma(self, a: str, b: str, c: str) -> str:
        """``a b + c``, rounded once where the processor has an instruction for that."""
        v = self.vector
        return self.intrinsic("fmuladd", self.suffix, v, [(v, a), (v, b), (v, c)])

    def plus(self, a: str, b: str) -> str:
        """``a + b``."""
        return self(f"fadd {self.vector} {a}, {b}")

    def total(self, v: str) -> str:
        """The sum of all lanes."""
        name = f"@llvm.vector.reduce.fadd.{self.suffix}"
        e = self.element
        self.module.declarations.add(f"declare {e} {name}({e}, {self.vector})")
        return self(f"call reassoc {e} {name}({e} 0.0, {self.vector} {v})")

    def transposed(self, rows: list[str]) -> list[str]:
        """The columns of a square of vectors: squares within each 16 bytes first, then these as
        the elements of a square.
        """
        n, inner = self.lanes, min(self.lanes, 16 // self.size)
        starts = range(0, n, inner)
        squares = [self.turned_inside(rows[k : k + inner], inner) for k in starts]
        columns = [self.turned_across([s[j] for s in squares], inner) for j in range(inner)]
        return [columns[k % inner][k // inner] for k in range(n)]

    def turned_inside(self, rows: list[str], inner: int) -> list[str]:
        """The columns of ``inner`` rows, of each part of ``inner`` lanes by itself."""
        n = self.lanes
        low = [p + k // 2 + n * (k % 2) for p in range(0, n, inner) for k in range(inner)]
        high = [k + inner // 2 for k in low]
        half = inner // 2
        for _ in range(inner.bit_length() - 1):
            pairs = [(rows[k], rows[k + half]) for k in range(half)]
            rows = [self.shuffle(a, b, order) for a, b in pairs for order in (low, high)]
        return rows

    def turned_across(self, rows: list[str], inner: int) -> list[str]:
        """The columns of a square whose elements are parts of ``inner`` lanes."""
        if len(rows) == 1:
            return rows
        n = self.lanes
        even = [p + k for p in range(0, 2 * n, 2 * inner) for k in range(inner)]
        odd = [k + inner for k in even]
        pairs = [(rows[k], rows[k + 1]) for k in range(0, len(rows), 2)]
        halves = [
            self.turned_across([self.shuffle(a, b, order) for a, b in pairs], inner)
            for order in (even, odd)
        ]
        return [x for both in zip(*halves, strict=True) for x in both]

    def past(self, p: str, bytes_: Number) -> str:
        """An address, which may be outside of the memory that p is in: to be asked for only."""
        return self(f"getelementptr i8, ptr {p}, i64 {self.known(bytes_)}")

    def prefetch(self, p: str, write: int = 0, near: int = 3) -> None:
        """Ask for a cache line: in the first-level cache (3), or the second (2)."""
        self.module.declarations.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.do(f"call void @llvm.prefetch.p0(ptr {p}, i32 {write}, i32 {near}, i32 1)")

    def clear(self, p: str, count: Number) -> None:
        """Fill elements with zeros."""
        self.module.declarations.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        length = self.known(self.mul(count, self.size))
        self.do(f"call void @llvm.memset.p0.i64(ptr {p}, i8 0, i64 {length}, i1 false)")

    # Tables

    def table(self, values: Sequence[int], kind: str = "i64") -> str:
        """A constant array."""
        text = f"[{len(values)} x {kind}] [{', '.join([f'{kind} {v}' for v in values])}]"
        name = f"@t_{self.module_key(text)}"
        self.module.declarations.add(f"{name} = private constant {text}")
        return name

    @staticmethod
    def module_key(text: str) -> str:
        """A short name for a constant's text."""
        import hashlib

        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def entry(self, table: str, at: Number, kind: str = "i64") -> str:
        """An entry of a table."""
        size = {"i64": 8, "i16": 2, "i8": 1}[kind]
        return self(f"load {kind}, ptr {self.at(table, at, size)}, !invariant.load !2")

    def mask_entry(self, table: str, at: Number) -> str:
        """A mask from a table of bits (``mask_kind``)."""
        kind = self.mask_kind
        bits = self.entry(table, at, kind)
        if self.lanes < 8:
            bits = self(f"trunc {kind} {bits} to i{self.lanes}")
        return self(f"bitcast i{self.lanes} {bits} to {self.bits}")

    @property
    def mask_kind(self) -> str:
        """The type of a mask's entry in a table."""
        return "i16" if self.lanes == 16 else "i8"


class Scratch:
    """Places in scratch memory, in elements."""

    def __init__(self, base: str, lanes: int) -> None:
        self.base, self.lanes, self.size = base, lanes, 0

    def take(self, f: Code, count: int, slack: int = 0) -> str:
        """A place for ``count`` elements with some more on both sides."""
        at = self.size + slack
        self.size = -(-(at + count + slack) // self.lanes) * self.lanes
        return f.at(self.base, at)


def kernel(width: int, d: np.dtype[Any]) -> Code:
    """A kernel in the making, in a module of its own, for vectors of ``width`` bits."""
    return Code(Module(width), "kernel", SIGNATURE, d, linkage="")
