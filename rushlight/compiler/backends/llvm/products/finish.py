"""What a product's kernel does with its results instead of storing them, see compiler/epilogues.py.

What is the same at all points is computed once a call, and kept in a block of memory with the
operands' addresses. The rest is written where the vectors of a block of the result are finished.
"""

from __future__ import annotations

from typing import Any

from rushlight.compiler.backends.llvm.ir.code import Code, Number
from rushlight.compiler.backends.llvm.ir.math import Vectors
from rushlight.compiler.loops import Affine, Expr, Kernel, expressions

PLACE = "ptr %block, i64 %row, i64 %column"  # what a function needs to know to finish vectors


class Finish:
    """Writes an epilogue, in one function after another."""

    def __init__(self, kernel: Kernel, product: int) -> None:
        self.kernel, self.product = kernel, product
        self.exprs = expressions(kernel)
        self.places: dict[Any, tuple[int, int, int]] = {}  # number, offset, size of an element
        self.across: dict[int, tuple[bool, bool]] = {}  # whether rows, and columns, differ
        self.same: dict[int, int] = {}  # numbers of what is the same everywhere
        self.known: dict[Any, str] = {}  # in the function that is being written
        for e in self.exprs:
            rows, columns = [any([self.across[a.number][k] for a in e.args]) for k in (0, 1)]
            if e.op == "load":
                rows, columns = bool(e.data[1].of(0)), bool(e.data[1].of(1))
                if e.data[0] != product:
                    self.place(e.data[0], e.data[1].const, e.dtype.itemsize)
            elif e.op == "number":
                self.place(e.data, 0, 8)
            self.across[e.number] = rows, columns
            if not rows and not columns and e.op != "const":
                self.same[e.number] = len(self.same)
        for s in kernel.stores:
            self.place(s.buffer.number, s.where.const, s.expr.dtype.itemsize)

    def place(self, buffer: Any, offset: int, size: int) -> None:
        """Count an operand."""
        self.places.setdefault(buffer, (len(self.places), offset, size))

    def operands(self) -> tuple[tuple[Any, int], ...]:
        """(buffer, offset in bytes) of the operands that the kernel has after a, b and c."""
        return tuple([(b, offset * size) for b, (_, offset, size) in self.places.items()])

    def key(self) -> str:
        """All that the code depends on."""

        def seen(buffer: Any, where: Affine) -> Any:
            number, offset, _ = self.places.get(buffer, (-1, 0, 0))
            return number, where.const - offset, where.terms

        lines: list[Any] = []
        for e in self.exprs:
            data = repr(e.data)  # tells 0.0 from -0.0
            if e.op == "load":
                data = seen(*e.data)
            elif e.op == "number":
                data = seen(e.data, Affine())
            lines.append((e.op, e.dtype.str, [a.number for a in e.args], e.number, data))
        lines += [(seen(s.buffer.number, s.where), s.expr.number) for s in self.kernel.stores]
        return repr(lines)

    # At the beginning of a call

    def begin(self, f: Code, first: int) -> str:
        """Fill a block; the operands' addresses are the kernel's from number ``first`` on."""
        block = f(f"alloca [{len(self.places) + len(self.same)} x i64], align 8")
        for k in range(len(self.places)):
            f.do(f"store ptr {f.operand(first + k)}, ptr {f.at(block, k, 8)}")
        v, values = Vectors(f, 0, f.here), {}
        for e in self.exprs:
            if e.op == "const":
                values[e.number] = v.c(e.data, e.dtype)
            if e.number not in self.same:
                continue
            if e.op in ("load", "number"):
                buffer, const = (e.data, 0) if e.op == "number" else (e.data[0], e.data[1].const)
                number, offset, size = self.places[buffer]
                p = f.at(f.operand(first + number), const - offset, size)
                values[e.number] = v.load(p, e.dtype, 1, 0)
            else:
                args = [values[a.number] for a in e.args]
                values[e.number] = v.apply(e.op, e.dtype, args, [a.dtype for a in e.args])
            v.store(self.same_at(f, block, e), values[e.number], e.dtype, 1, 0)
        return block

    def same_at(self, f: Code, block: str, e: Expr) -> str:
        """Where in the block a value is."""
        return f.at(block, len(self.places) + self.same[e.number], 8)

    # Where vectors are finished

    def function(self) -> Finish:
        """The same epilogue, to be written in another function."""
        return Finish(self.kernel, self.product)

    def ask(self, f: Code, i: Number, j: Number) -> None:
        """Prefetch one place of the matrices: they will be needed after the products."""
        for e in self.exprs:
            if e.op == "load" and e.data[0] != self.product and len(e.data[1].terms) == 2:
                buffer, where = e.data
                f.prefetch(self.address(f, buffer, where, i, j))
        for s in self.kernel.stores:
            if len(s.where.terms) == 2:
                f.prefetch(self.address(f, s.buffer.number, s.where, i, j), 1)

    def vector(self, f: Code, i: int, j: int, x: str, lanes: int) -> None:
        """Finish x, whose first ``lanes`` begin ``i`` rows and ``j`` columns behind the place."""
        on = lanes % f.lanes
        v = Vectors(f, f.lanes, f.here)
        values = [self.value(f, s.expr, i, j, x, on) for s in self.kernel.stores]
        for s, value in zip(self.kernel.stores, values, strict=True):
            p = self.address(f, s.buffer.number, s.where, i, j)
            v.store(p, value, s.expr.dtype, 1, on)

    def value(self, f: Code, e: Expr, i: int, j: int, x: str, on: int) -> str:
        """An expression's values in a vector."""
        if e.op == "load" and e.data[0] == self.product:
            return x
        rows, columns = self.across[e.number]
        key = e.number, i if rows else None, (j, on) if columns else None
        if key not in self.known:
            self.known[key] = self.computed(f, e, i, j, x, on)
        return self.known[key]

    def computed(self, f: Code, e: Expr, i: int, j: int, x: str, on: int) -> str:
        """As ``value``, where it is not known yet."""
        v, one = Vectors(f, f.lanes, f.here), Vectors(f, 0, f.here)
        if e.op == "const":
            return v.c(e.data, e.dtype)
        if e.number in self.same:
            return v.splat(one.load(self.same_at(f, "%block", e), e.dtype, 1, 0), e.dtype)
        if e.op == "load":
            buffer, where = e.data
            p = self.address(f, buffer, where, i, j)
            if where.of(1):
                return v.load(p, e.dtype, 1, on)
            return v.splat(one.load(p, e.dtype, 1, 0), e.dtype)
        args = [self.value(f, a, i, j, x, on) for a in e.args]
        return v.apply(e.op, e.dtype, args, [a.dtype for a in e.args])

    def address(self, f: Code, buffer: int, where: Affine, i: Number, j: Number) -> str:
        """The address of an operand's element."""
        number, offset, size = self.places[buffer]
        row, column = where.of(0), where.of(1)
        key = "address", buffer, where.terms
        if key not in self.known:
            p = f(f"load ptr, ptr {f.at('%block', number, 8)}")
            far = f.add(f.mul("%row", row) if row else 0, f.mul("%column", column) if column else 0)
            self.known[key] = f.at(p, far, size)
        near = f.add(f.mul(i, row), f.mul(j, column))
        return f.at(self.known[key], f.add(near, where.const - offset), size)
