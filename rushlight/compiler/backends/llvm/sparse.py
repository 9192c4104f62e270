"""Products of a sparse matrix, for arrays of any sizes: a row at a time, entry by entry."""

from __future__ import annotations

from functools import partial
from typing import Any

from rushlight.compiler.backends.llvm.ir.code import Number, kernel

PRODUCTS = "sparse product", "sparse dots"
WIDE = 4  # vectors of a row that are worked on together


class Sparse:
    """The entries of row u are ``starts[u] : starts[u + 1]``, operand 0, in the columns of operand
    1. "sparse product": ``out[u] = sum of values[e] * dense[column(e)]``, with values, operand 2,
    dense, operand 3, and out, operand 4. "sparse dots": ``out[e] = left[u] . right[column(e)]``,
    with left, operand 2, right, operand 3, and out, operand 4. Operand 5 holds the length of dense
    rows.
    """

    def __init__(self, name: str, d: Any, width: int) -> None:
        self.f = f = kernel(width, d)
        self.starts, self.columns, self.a, self.b, self.out, size = [f.operand(k) for k in range(6)]
        self.n = f(f"load i64, ptr {size}, align 8")
        row = self.product if name == "sparse product" else self.dots
        one = f(f"icmp eq i64 {self.n}, 1")
        f.when(one, lambda: self.over(partial(row, single=True)), lambda: self.over(row))
        f.end()

    def text(self) -> str:
        return self.f.module.text()

    def over(self, row: Any) -> None:
        """Do all rows."""
        f = self.f

        def unit(u: Number, _: list[str]) -> None:
            row(u, self.place(self.starts, u), self.place(self.starts, f.add(u, 1)))

        f.span("%lo", "%hi", 1, unit)

    def place(self, p: str, at: Number) -> str:
        """An index."""
        return self.f(f"load i64, ptr {self.f.at(p, at, 8)}, align 8")

    def line(self, p: str, at: Number) -> str:
        """The address of a dense row."""
        return self.f.at(p, self.f(f"mul nsw i64 {at}, {self.n}"))

    def blocks(self, block: Any) -> None:
        """``block(start, vectors, mask)`` for all columns of a dense row."""
        f = self.f
        step = WIDE * f.lanes
        end = f(f"sub i64 {self.n}, {step - 1}")
        f.span(0, end, step, lambda c, _: block(c, WIDE, ""), empty=True)
        whole = f(f"and i64 {self.n}, {-step}")
        end = f(f"sub i64 {self.n}, {f.lanes - 1}")
        f.span(whole, end, f.lanes, lambda c, _: block(c, 1, ""), empty=True)
        whole = f(f"and i64 {self.n}, {-f.lanes}")
        rest = f(f"icmp slt i64 {whole}, {self.n}")
        f.when(rest, lambda: block(whole, 1, f.lanes_below(f.sub(self.n, whole))))

    def product(self, u: Number, start: str, stop: str, single: bool = False) -> None:
        """Row u of the result."""
        f = self.f
        if single:
            self.single(u, start, stop)
            return
        target = self.line(self.out, u)

        def block(c: Number, vectors: int, mask: str) -> None:
            def entry(e: Number, sums: list[str]) -> list[str]:
                value = f.splat(f.scalar(f.at(self.a, e)))
                p = f.at(self.line(self.b, self.place(self.columns, e)), c)
                loaded = [f.load(f.at(p, k * f.lanes), mask=mask) for k in range(vectors)]
                return [f.fma(value, x, s) for x, s in zip(loaded, sums, strict=True)]

            zeros = [(f.vector, "zeroinitializer")] * vectors
            sums = f.span(start, stop, 1, entry, zeros, empty=True)
            for k, value in enumerate(sums):
                p = f.at(target, f.add(c, k * f.lanes))
                f.masked_store(p, value, mask) if mask else f.store(p, value)

        self.blocks(block)

    def single(self, u: Number, start: str, stop: str) -> None:
        """An element of the result, where dense rows have one."""
        f = self.f

        def entry(e: Number, sums: list[str]) -> list[str]:
            x = f.scalar(f.at(self.b, self.place(self.columns, e)))
            y = f(f"fmul {f.element} {f.scalar(f.at(self.a, e))}, {x}")
            return [f(f"fadd {f.element} {sums[0]}, {y}")]

        (value,) = f.span(start, stop, 1, entry, [(f.element, "0.0")], empty=True)
        f.do(f"store {f.element} {value}, ptr {f.at(self.out, u)}, align {f.size}")

    def dots(self, u: Number, start: str, stop: str, single: bool = False) -> None:
        """The entries of row u."""
        f = self.f
        near = self.line(self.a, u)

        def entry(e: Number, _: list[str]) -> None:
            far = self.line(self.b, self.place(self.columns, e))
            if single:
                value = f(f"fmul {f.element} {f.scalar(near)}, {f.scalar(far)}")
            else:
                value = self.dot(near, far)
            f.do(f"store {f.element} {value}, ptr {f.at(self.out, e)}, align {f.size}")

        f.span(start, stop, 1, entry, empty=True)

    def dot(self, near: str, far: str) -> str:
        """The inner product of two dense rows."""
        f, zero = self.f, (self.f.vector, "zeroinitializer")

        def step(c: Number, sums: list[str]) -> list[str]:
            x, y = f.load(f.at(near, c)), f.load(f.at(far, c))
            return [f.fma(x, y, sums[0])]

        end = f(f"sub i64 {self.n}, {f.lanes - 1}")
        (total,) = f.span(0, end, f.lanes, step, [zero], empty=True)
        whole = f(f"and i64 {self.n}, {-f.lanes}")
        mask = f.lanes_below(f.sub(self.n, whole))
        x, y = f.load(f.at(near, whole), mask=mask), f.load(f.at(far, whole), mask=mask)
        return f.total(f.fma(x, y, total))
