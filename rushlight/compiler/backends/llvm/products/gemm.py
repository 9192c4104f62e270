"""Matrix products: how the work is divided, and the kernel that does one part after another.

The result is cut into blocks that fit the registers (see micro.py): panels of columns, and rows. A
unit of work is some panels of some rows of one matrix of a batch. Operands are read where they lie
as far as that is quick; otherwise each unit copies what it needs to scratch memory first, in the
order of reading.

There are three ways to fill vectors: with elements of a row of the result; of a column, where that
wastes fewer lanes (the product is then ``turned``: it is the transposed result that is computed);
and with elements of the depth, where both operands have these side by side (``dots``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rushlight.compiler.backends.llvm import jit
from rushlight.compiler.backends.llvm.ir.code import Code, Number
from rushlight.compiler.backends.llvm.products import micro, packing
from rushlight.compiler.backends.llvm.products.finish import PLACE, Finish

# by the number of registers: rows of a panel, which should stay in the second-level cache, or the
# first where panels are narrow; sums that suffice; and loads for each of their additions
DEPTH, ENOUGH, LOADS = {16: 256, 32: 1024}, {16: 10, 32: 16}, {16: 0.7, 32: 0.55}
COLUMN_DEPTH = 256  # the same where a lies by columns, of which a block reads a few elements each
KIND = 40_000  # cycles of a call that it takes to pay for the compilation of a kind of block
NEAR_COLUMNS = 8  # columns of a that are copied for one block after another
SHALLOW = 4  # products for an element of the result: few
LEAST_DEPTH = 16  # less of a matrix is not worth a copy
FAR = 4096  # bytes: elements so far apart are in pages, and maybe places of the cache, of their own
FEW = 4  # columns that are used once or twice, to read together
NEAR = 1 << 20  # bytes that the second-level cache has room for
SMALL = 1 << 19  # multiplications: a smaller unit is not worth it
COPIED_ROWS = 128  # a unit should have so many rows for each copy of b
# cycles, if a vector of products takes one
TURN = 6.3  # to turn a vector of b
TOTAL = 5.0  # to add the lanes of a sum
SCATTER = 8.0  # to store a vector of a turned result


@dataclass(frozen=True)
class Matrices:
    """``c = a b`` at each point of ``batch``: c is (*batch, m, n), contiguous.

    Operands lie by rows, or else by columns, which are ``lda`` and ``ldb`` elements apart. Points
    of the batch are ``a_batch`` and ``b_batch`` apart.
    """

    m: int
    n: int
    k: int
    lda: int
    a_rows: bool
    ldb: int
    b_rows: bool
    batch: tuple[int, ...] = ()
    a_batch: tuple[int, ...] = ()
    b_batch: tuple[int, ...] = ()
    operands: tuple[int, int] = (0, 1)  # which of the kernel's operands a and b are

    def work(self) -> int:
        """Multiplications for one point of the batch."""
        return self.m * self.n * self.k

    def turned(self) -> Matrices:
        """The transposed product."""
        return Matrices(
            *(self.n, self.m, self.k, self.ldb, not self.b_rows, self.lda, not self.a_rows),
            *(self.batch, self.b_batch, self.a_batch, self.operands[::-1]),
        )

    def simple(self) -> Matrices:
        """The same product: one column is one row, and vectors without gaps lie along the depth."""
        if self.n == 1 and self.m > 1:
            return self.turned().simple()
        s = self
        if s.m == 1 and not s.a_rows and s.lda == 1:
            s = replace(s, a_rows=True, lda=s.k)
        if s.n == 1 and s.b_rows and s.ldb == 1:
            s = replace(s, b_rows=False, ldb=s.k)
        return s


def ceil(a: int, b: int) -> int:
    """Quotient rounded up."""
    return -(-a // b)


def crowded(distance: int) -> bool:
    """Whether lines so many bytes apart share few places of the caches."""
    return distance % FAR == 0


@dataclass(frozen=True)
class Parts:
    """``count`` things in ``parts`` of ``size``, the first ``longer`` of which have one more."""

    count: int
    parts: int

    @property
    def size(self) -> int:
        return self.count // self.parts

    @property
    def longer(self) -> int:
        return self.count % self.parts

    @property
    def largest(self) -> int:
        return self.size + (self.longer > 0)

    def kinds(self) -> Iterator[tuple[int, int, int, int]]:
        """(first part, last + 1, things in each, things that are missing before it) of equal parts:
        part i begins at thing ``i * size + shift``.
        """
        if self.longer:
            yield 0, self.longer, self.size + 1, 0
        if self.longer < self.parts:
            yield self.longer, self.parts, self.size, self.longer


class Plan:
    """How a product is cut, from its shape alone.

    Panels are parts of ``columns`` things of ``lanes`` columns.
    """

    def __init__(self, s: Matrices, f: Code, turned: bool = False, dots: bool = False) -> None:
        self.s, self.turned, self.dots, self.size = s, turned, dots, f.size
        self.registers = 16 if f.module.width < 512 and jit.on_x86() else 32
        self.lanes = 1 if dots else f.lanes
        self.fleeting = dots and s.m <= 2  # columns are used once or twice
        if dots:
            most = min(FEW, f.lanes) if self.fleeting else f.lanes
            self.panels, self.blocks = self.cut(most, micro.most_dots)
        else:
            self.panels, self.blocks = self.cut(16, micro.most_rows)
        self.turn = not s.b_rows and not dots
        self.panel = self.turn or (s.b_rows and self.far_rows(f) and not dots)  # b is copied
        self.pack = self.blocks.parts > 1 and self.far_columns(f)  # a is copied
        self.depth = s.k if dots or (self.blocks.parts == 1 and not self.panel) else self.slice(f)
        self.cycles = self.guess(f.lanes)
        self.divide()

    def far_rows(self, f: Code) -> bool:
        """Whether rows of b are so far apart that many rows of a are worth a copy."""
        s = self.s
        if s.k < LEAST_DEPTH:
            return False
        if self.registers == 16:  # panels are narrow
            return s.m >= COPIED_ROWS // 2
        far = s.ldb * f.size >= FAR // 2 if s.a_rows else crowded(s.ldb * f.size)
        return far and s.m >= 2 * COPIED_ROWS

    def far_columns(self, f: Code) -> bool:
        """Whether rows of a, which lies by columns, are so far apart that a copy pays: each is used
        by few registers, or they crowd the cache while many columns of b go by.
        """
        s = self.s
        if self.registers == 16:
            far, often = FAR if s.k <= COLUMN_DEPTH else FAR * 3 // 4, True
        else:
            far, often = FAR // 2 if s.n < 2 * COPIED_ROWS else FAR // 8, s.n >= COPIED_ROWS
        return often and not s.a_rows and s.lda * f.size >= far and s.k >= LEAST_DEPTH

    def slice(self, f: Code) -> int:
        """The depth that is done at a time; what remains is not less than a vector."""
        most = DEPTH[self.registers] if self.s.a_rows else COLUMN_DEPTH
        share = ceil(self.s.k, ceil(self.s.k, most))
        depth = ceil(share, f.lanes) * f.lanes
        while 0 < self.s.k % depth < f.lanes < self.s.k:
            depth += f.lanes
        return min(self.s.k, depth)

    def cut(self, most: int, most_rows: Callable[[int, int], int]) -> tuple[Parts, Parts]:
        """Panels and blocks: quick ones, and few kinds of blocks."""
        best, found = None, None
        columns = ceil(self.s.n, self.lanes)
        for wide in range(1, min(columns, most) + 1):
            rows = most_rows(wide, self.registers)
            if self.turned:
                rows = min(rows, self.lanes)
            if rows < 1:
                break
            panels = Parts(columns, ceil(columns, wide))
            blocks = Parts(self.s.m, ceil(self.s.m, rows))
            key = self.rank(panels, blocks)
            if best is None or key < best:
                best, found = key, (panels, blocks)
        assert found is not None
        return found

    def rank(self, panels: Parts, blocks: Parts) -> tuple[float, ...]:
        """What is least where panels and blocks are best."""
        wide, rows = panels.largest, blocks.largest
        kinds = len(list(panels.kinds())) * len(list(blocks.kinds()))
        loads = 1 / wide + 1 / rows
        if self.s.k <= SHALLOW and not self.dots:  # storing takes longest: in long rows
            return -min(wide * rows, 8), -wide, kinds, loads
        if self.dots or self.registers == 16:
            sums = min(wide * rows, ENOUGH[self.registers])
            return -sums, loads > LOADS[self.registers], kinds, loads
        products = self.s.m * panels.count * self.s.k * math.prod(self.s.batch)
        return products * self.cost(wide, rows) + kinds * KIND, loads

    def cost(self, wide: int, rows: int) -> float:
        """Cycles for a vector of products in such blocks, where two could begin in each. Measured
        on a Zen 5, with panels that are too large for the first-level cache: each step takes some
        cycles for what it reads of a and b, and each row some for what it stores.
        """
        far = self.s.m * self.s.k * self.size > NEAR  # a is read again for each panel
        step = max(wide * rows / 2, wide * rows / 4 + wide + 4, 0.7 * rows)
        return step / (wide * rows) + 4 / (wide * self.s.k) + far * 0.4 / wide

    def guess(self, lanes: int) -> float:
        """Cycles for one matrix, if a vector of products takes one."""
        s = self.s
        if self.dots:
            return (2 if self.fleeting else s.m) * s.n * (ceil(s.k, lanes) + TOTAL)
        vectors = ceil(s.n, lanes)
        cycles = s.m * vectors * s.k + self.turn * TURN * vectors * s.k
        return cycles + self.turned * SCATTER * s.n * self.blocks.parts

    def divide(self) -> None:
        """Units: panels first, unless a is copied; then rows."""
        s, batch = self.s, math.prod(self.s.batch)
        most = 16 if self.panel else 32 if self.pack else 64
        small = SMALL // 8 if self.fleeting else SMALL  # those wait for memory
        wanted = max(1, s.work() // max(small, s.work() * batch // most))
        panels, blocks = self.panels.parts, self.blocks.parts
        if self.pack:
            rows = min(wanted, ceil(s.m, COPIED_ROWS))
            across = min(ceil(panels, 8), ceil(wanted, rows))
        else:
            across = min(panels, wanted)
            rows = min(blocks, ceil(wanted, across))
            if self.panel:
                rows = min(ceil(rows, 2), max(1, s.m // COPIED_ROWS))
        self.across = ceil(panels, across)  # panels of a unit
        self.down = ceil(blocks, min(rows, blocks))  # blocks of a unit
        self.units_across, self.units_down = ceil(panels, self.across), ceil(blocks, self.down)
        self.units = batch * self.units_across * self.units_down

    def copy_size(self) -> int:
        """Elements of a block's copy of a."""
        return ceil(self.blocks.largest * self.depth, self.lanes) * self.lanes + self.lanes

    def a_size(self) -> int:
        """Elements of a unit's copy of a."""
        return self.down * self.copy_size() if self.pack else 0

    def scratch(self) -> int:
        """Elements of scratch memory."""
        panel = self.depth * self.panels.largest * self.lanes if self.panel else 0
        return self.a_size() + panel + self.lanes


def plan(s: Matrices, f: Code) -> Plan:
    """The way that is probably the quickest."""
    s = s.simple()
    ways = [Plan(s, f)]
    if s.m > 1:
        ways.append(Plan(s.turned(), f, turned=True))
    if s.a_rows and not s.b_rows:
        ways.append(Plan(s, f, dots=True))
    return min(ways, key=lambda p: p.cycles)


class Writer:
    """Code of one product, in a kernel's function."""

    def __init__(self, f: Code, p: Plan, finish: Finish | None = None) -> None:
        self.f, self.s, self.plan, self.finish = f, p.s, p, finish

    def write(self) -> None:
        """Units ``%lo`` to ``%hi``; operands are a, b and c, then those of the epilogue. With an
        epilogue, c holds sums over a part of the depth.
        """
        f, p = self.f, self.plan
        bases = [f.operand(i) for i in (*p.s.operands, 2)]
        self.block = "" if self.finish is None else self.finish.begin(f, 3)
        f.span(0 if p.units == 1 else "%lo", 1 if p.units == 1 else "%hi", 1, self.unit(bases))
        f.end()

    def unit(self, bases: list[str]) -> Callable[[Number, Any], None]:
        """One unit. Rows are the first to change, then columns, then the point of the batch."""
        f, p, s = self.f, self.plan, self.s

        def body(u: Number, _: Any) -> None:
            unit = u
            u, down = f.parted(u, p.units_down)
            self.fresh = self.other_panel(unit, down)
            u, across = f.parted(u, p.units_across)
            self.a, self.b = bases[:2]
            self.c = f.at(bases[2], f.mul(u, s.m * s.n))
            self.row = f.mul(u, s.n if p.turned else s.m)
            for size, a, b in reversed(list(zip(s.batch, s.a_batch, s.b_batch, strict=True))):
                u, i = f.parted(u, size)
                self.a, self.b = f.at(self.a, f.mul(i, a)), f.at(self.b, f.mul(i, b))
            self.blocks = self.share(down, p.down, p.blocks)
            self.panels = self.share(across, p.across, p.panels)
            f.span(0, s.k, p.depth, lambda k, _: self.slice(k))

        return body

    def other_panel(self, u: Number, down: Number) -> str:
        """Whether a unit needs another copy of b than the one before it in this call, which is
        there yet; empty if each does.
        """
        f, p = self.f, self.plan
        if not p.panel or p.units_down == 1 or p.across > 1 or p.depth < p.s.k:
            return ""
        return f(f"or i1 {f(f'icmp eq i64 {u}, %lo')}, {f(f'icmp eq i64 {down}, 0')}")

    def share(self, i: Number, size: int, parts: Parts) -> tuple[Number, Number]:
        """The first and last + 1 of the parts that unit i has."""
        first = self.f.mul(i, size)
        return first, self.f.smaller(self.f.add(first, size), parts.parts)

    def each(
        self, parts: Parts, mine: tuple[Number, Number], body: Callable[[int, Number, Number], None]
    ) -> None:
        """``body(size, part, first thing)`` for each of my parts."""
        f = self.f
        for start, stop, size, shift in parts.kinds():
            first, last = f.larger(mine[0], start), f.smaller(mine[1], stop)

            def one(i: Number, _: Any, size: int = size, shift: int = shift) -> None:
                body(size, i, f.add(f.mul(i, size), shift))

            f.span(first, last, 1, one, empty=True)

    def slice(self, k: Number) -> None:
        """Some of the depth, from k on."""
        f, p, s = self.f, self.plan, self.s
        self.k = k
        if isinstance(k, int):
            self.length: Number = min(p.depth, s.k - k)
        else:
            self.length = f.smaller(p.depth, f(f"sub nsw i64 {s.k}, {k}"))
        self.first = f(f"icmp eq i64 {k}, 0")
        self.last = f(f"icmp eq i64 {f.add(k, self.length)}, {s.k}")
        if p.pack:
            f.span(0, self.length, NEAR_COLUMNS, lambda i, _: self.copy(i))
        self.each(p.panels, self.panels, self.panel)

    def copied(self, block: Number) -> str:
        """Where a block's copy of a is."""
        i = block if self.blocks[0] == 0 else self.f(f"sub nsw i64 {block}, {self.blocks[0]}")
        return self.f.at("%scratch", self.f.mul(i, self.plan.copy_size()))

    def copy(self, start: Number) -> None:
        """Copies columns of a, where it is stored by columns, from ``k + start`` on, for one block
        after another: few at a time, which the first-level cache keeps until the last block.
        """
        f, s = self.f, self.s
        stop = f.smaller(f.add(start, NEAR_COLUMNS), self.length)

        def block(rows: int, block: Number, row: Number) -> None:
            copied = self.copied(block)

            def column(i: Number, _: Any) -> None:
                place = f.add(f.mul(f.add(self.k, i), s.lda), row)
                source, target = f.at(self.a, place), f.at(copied, f.mul(i, rows))
                for v in range(0, rows, f.lanes):
                    x = f.load(f.at(source, v), min(f.lanes, rows - v))
                    f.store(f.at(target, v), x)  # what is too much is written over later

            f.span(start, stop, 1, column)

        self.each(self.plan.blocks, self.blocks, block)

    def panel(self, count: int, _: Number, start: Number) -> None:
        """One panel of ``count`` vectors (or columns, for dots), from one on."""
        f, p, s = self.f, self.plan, self.s
        width, column = count * p.lanes, f.mul(start, p.lanes)
        over = ceil(s.n, p.lanes) * p.lanes - s.n
        if not over or count != p.panels.size:
            self.columns(width, width, column)
        elif isinstance(column, int):
            self.columns(min(width, s.n - column), width, column)
        elif p.panels.parts - p.panels.longer == 1:
            self.columns(width - over, width, column)
        else:
            f.when(
                f(f"icmp eq i64 {column}, {s.n + over - width}"),
                lambda: self.columns(width - over, width, column),
                lambda: self.columns(width, width, column),
            )

    def columns(self, columns: int, width: int, column: Number) -> None:
        """The blocks of a panel."""
        f, p, s = self.f, self.plan, self.s
        b_k, b_column = (s.ldb, 1) if s.b_rows else (1, s.ldb)
        b = source = f.at(self.b, f.add(f.mul(column, b_column), f.mul(self.k, b_k)))
        if p.panel:
            panel, b_k = f.at("%scratch", p.a_size()), width

            def copy(g: Code) -> None:
                if p.turn:
                    packing.write_turned(g, columns, s.ldb, width, s.k)
                else:
                    packing.write_rows(g, columns, s.ldb, width)

            places = f"ptr {b}, ptr {panel}, i64 {self.length}"
            call = partial(self.call, f"copy{columns}", packing.SIGNATURE, copy, places)
            if self.fresh:
                f.when(self.fresh, call)
            else:
                call()
            b = panel
        c_row, c_column = (1, s.m) if p.turned else (s.n, 1)
        c = f.at(self.c, f.mul(column, c_column))
        lines = ceil(columns * f.size, micro.LINE)  # of the next panel; each block asks for some
        gone = s.b_rows and crowded(s.ldb * f.size)  # before they are needed
        asks = 0 if p.dots or gone or p.panels.parts == 1 else ceil(lines, p.blocks.parts)

        def block(rows: int, number: Number, row: Number) -> None:
            if p.pack:
                a, a_row, a_k = self.copied(number), 1, rows
            else:
                a_row, a_k = (s.lda, 1) if s.a_rows else (1, s.lda)
                a = f.at(self.a, f.add(f.mul(row, a_row), f.mul(self.k, a_k)))

            def write(g: Code) -> None:
                finish = None if self.finish is None else self.finish.function()
                if p.dots:
                    ahead = packing.AHEAD if p.fleeting else 0
                    dots = micro.Dots(rows, columns, s.k, s.lda, s.ldb, s.n, ahead)
                    micro.write_dots(g, dots, finish)
                    return
                step = s.m if p.turned else s.n
                flags = p.turned, p.panel, p.depth == s.k
                shape = micro.Block(rows, columns, a_row, a_k, b_k, step, *flags)
                shape = replace(shape, asks=asks, next_row=s.ldb, across=not s.b_rows)
                micro.write_block(g, shape, finish)

            signature, place = micro.SIGNATURE, ""
            if asks:
                _, turn = f.parted(number, ceil(lines, asks))
                signature += ", ptr %next"
                far = f.add(f.mul(turn, asks * micro.LINE // f.size), columns)
                place = f", ptr {f.past(source, f.mul(far, b_column * f.size))}"
            if self.finish is not None:
                signature = f"{signature.replace('noalias %c', '%c')}, {PLACE}"
                i, j = (column, row) if p.turned else (row, column)
                place += f", ptr {self.block}, i64 {f.add(self.row, i)}, i64 {j}"
            self.call(
                f"block{rows}x{columns}",
                signature,
                write,
                f"ptr {a}, ptr {b}, ptr {f.at(c, f.mul(row, c_row))}, i64 {self.length}, "
                f"i1 {self.first}, i1 {self.last}{place}",
            )

        self.each(p.blocks, self.blocks, block)

    def call(
        self, name: str, signature: str, write: Callable[[Code], None], arguments: str
    ) -> None:
        """Call a function, which is written at the first call."""
        if name not in self.f.module.functions:
            g = Code(self.f.module, name, signature, self.f.dtype)
            write(g)
            g.end()
        self.f.do(f"call void @{name}({arguments})")
