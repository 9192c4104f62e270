"""Products of matrices within a kernel of attention. All are small enough for the caches; each is
cut into blocks of rows and panels of columns whose sums stay in registers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from rushlight.compiler.backends.llvm import jit
from rushlight.compiler.backends.llvm.ir.code import Code, Number
from rushlight.compiler.backends.llvm.products import micro, packing
from rushlight.compiler.backends.llvm.products.gemm import Parts, ceil

EVEN = 8  # keys of a block of gradients, where less than all may do
Strides = tuple[int, ...]


class Even:
    """``count`` things in parts of ``size``, and one of what remains."""

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size

    def kinds(self) -> Iterator[tuple[int, int, int, int]]:
        """As ``Parts.kinds``."""
        whole, rest = divmod(self.count, self.size)
        if whole:
            yield 0, whole, self.size, 0
        if rest:
            yield whole, whole + 1, rest, whole * (self.size - rest)


class Matrix:
    """Where the rows of an operand are, at one point of the batch."""

    def __init__(self, p: str, strides: Strides) -> None:
        self.p, self.row = p, strides[-2]


class Products:
    """Code of products of matrices."""

    def __init__(self, f: Code, width: int) -> None:
        self.f = f
        self.registers = 16 if width < 512 and jit.on_x86() else 32

    def cut(self, rows: int, vectors: int, widest: int = 8) -> tuple[Parts, Parts]:
        """Blocks of rows, and panels of vectors, that fill the registers."""
        best, found = None, None
        for wide in range(1, min(vectors, widest) + 1):
            most = micro.most_rows(wide, self.registers)
            if most < 1:
                break
            panels, blocks = Parts(vectors, ceil(vectors, wide)), Parts(rows, ceil(rows, most))
            sums = panels.largest * blocks.largest
            kinds = len(list(panels.kinds())) * len(list(blocks.kinds()))
            key = (-min(sums, self.registers // 2), kinds, 1 / panels.largest + 1 / blocks.largest)
            if best is None or key < best:
                best, found = key, (blocks, panels)
        assert found is not None
        return found

    def each(
        self, parts: Parts | Even, limit: Number, unit: int, body: Callable[[int, Number], None]
    ) -> None:
        """``body(size, first)`` for the parts that begin before ``limit``; things are ``unit``
        long.
        """
        f = self.f
        for start, stop, size, shift in parts.kinds():
            if isinstance(limit, int):
                last: Number = min(stop, max(start, ceil(limit - shift * unit, size * unit)))
            else:
                ahead = f.add(limit, size * unit - 1 - shift * unit)
                last = f.smaller(f(f"sdiv i64 {ahead}, {size * unit}"), stop)

            def one(i: Number, _: Any, size: int = size, shift: int = shift) -> None:
                body(size, f.add(f.mul(i, size), shift))

            f.span(start, last, 1, one, empty=True)

    def product(
        self,
        sizes: tuple[int, int],
        a: tuple[str, int, int],
        b: tuple[str, int],
        c: tuple[str, int],
        depth: Number,
        add: bool = False,
        limit: Number = 0,
    ) -> None:
        """``c (+)= a b`` of some rows and columns. a: address, distance of rows, and of elements
        of a row; b, c: address, distance of rows. ``limit``: how many rows matter, where less than
        all may do.
        """
        f, (rows, columns) = self.f, sizes
        if isinstance(limit, int):
            rows = limit or rows
        vectors = ceil(columns, f.lanes)
        blocks: Parts | Even
        blocks, panels = self.cut(rows, vectors)
        over = vectors * f.lanes - columns
        if isinstance(limit, str):  # it is a multiple of EVEN, or all rows
            blocks = Even(rows, EVEN)

        def panel(wide: int, start: Number) -> None:
            column, width = f.mul(start, f.lanes), wide * f.lanes
            strip = partial(
                self.strip, blocks, a, (f.at(b[0], column), b[1]), padded=False,
                c=(f.at(c[0], column), c[1]), depth=depth, add=add, limit=limit or rows,
            )  # fmt: skip
            if not over or wide != panels.size:
                strip(columns=width)
            elif panels.parts == 1 or isinstance(column, int):
                short = isinstance(column, str) or column + width > columns
                strip(columns=width - over if short else width)
            else:
                f.when(
                    f(f"icmp eq i64 {column}, {columns + over - width}"),
                    partial(strip, columns=width - over),
                    partial(strip, columns=width),
                )

        self.each(panels, vectors, 1, panel)

    def strip(
        self,
        blocks: Parts | Even,
        a: tuple[str, int, int],
        b: tuple[str, int],
        columns: int,
        padded: bool,
        c: tuple[str, int],
        depth: Number,
        add: bool,
        limit: Number,
    ) -> None:
        """All rows of a panel."""
        f = self.f

        def block(rows: int, row: Number) -> None:
            shape = micro.Block(
                *(rows, columns, a[1], a[2], b[1], c[1]),
                turned=False,
                padded=padded,
                once=not add,
                near=True,
            )
            name = f"block_{Code.module_key(repr(shape))}"
            if name not in f.module.functions:
                g = Code(f.module, name, micro.SIGNATURE, f.dtype)
                micro.write_block(g, shape)
                g.end()
            p, q = f.at(a[0], f.mul(row, a[1])), f.at(c[0], f.mul(row, c[1]))
            first = "false" if add else "true"
            given = f"ptr {p}, ptr {b[0]}, ptr {q}, i64 {depth}, i1 {first}, i1 false"
            f.do(f"call void @{name}({given})")

        self.each(blocks, limit, 1, block)

    def pack(self, m: Matrix, rows: int, depth: int, panels: Parts, to: str) -> None:
        """Rows of a matrix become columns of panels; what is missing are zeros."""
        f = self.f
        over = panels.count * f.lanes - rows

        def panel(columns: int, width: int, start: Number) -> None:
            column, name = f.mul(start, f.lanes), f"turn{columns}_{m.row}_{width}_{depth}"
            if name not in f.module.functions:
                g = Code(f.module, name, packing.SIGNATURE, f.dtype)
                packing.write_turned(g, columns, m.row, width, depth)
                g.end()
            source, target = f.at(m.p, f.mul(column, m.row)), f.at(to, f.mul(column, depth))
            f.do(f"call void @{name}(ptr {source}, ptr {target}, i64 {depth})")

        def one(wide: int, start: Number) -> None:
            width = wide * f.lanes
            if not over or wide != panels.size:
                panel(width, width, start)
            elif isinstance(start, int):
                panel(width - over if start + wide == panels.count else width, width, start)
            else:
                f.when(
                    f(f"icmp eq i64 {start}, {panels.count - wide}"),
                    partial(panel, width - over, width, start),
                    partial(panel, width, width, start),
                )

        self.each(panels, panels.count, 1, one)
