"""Loops that read and write elements along one dim by index, for arrays of any sizes."""

from __future__ import annotations

from functools import partial
from typing import Any

from rushlight.compiler.backends.llvm.ir.code import Number, kernel

LANES = 8  # elements of a row that are moved together
MOVES = [f"{kind} {which}" for kind in ("read", "write", "add") for which in ("rows", "each")]


class Move:
    """Between ``x`` (units, n, inner), operand 0, and ``y`` (units, m, inner), operand 2: "read" is
    ``y[u, j, i] = x[u, k, i]``, "write" and "add" the reverse, where k is ``index[j]``, or, for
    "each", ``index[u, j, i]``. The index, operand 1, holds int64 in range. Operand 3 holds n, m and
    inner.
    """

    def __init__(self, name: str, d: Any, width: int) -> None:
        self.kind, which = name.split()
        self.f = f = kernel(width, d)
        self.x, self.index, self.y, sizes = [f.operand(k) for k in range(4)]
        self.n, self.m, self.inner = [
            f(f"load i64, ptr {f.at(sizes, k, 8)}, align 8") for k in range(3)
        ]
        unit = self.each if which == "each" else self.rows
        f.span("%lo", "%hi", 1, lambda u, _: unit(u))
        f.end()

    def text(self) -> str:
        return self.f.module.text()

    def product(self, a: Number, b: str) -> str:
        return self.f(f"mul nsw i64 {a}, {b}")

    def place(self, at: Number) -> str:
        """An entry of the index."""
        return self.f(f"load i64, ptr {self.f.at(self.index, at, 8)}, align 8")

    def each(self, u: Number) -> None:
        """Every element of y has its own place."""
        f = self.f
        near = self.product(self.product(u, self.m), self.inner)
        far = self.product(self.product(u, self.n), self.inner)

        def alone(j: Number, _: list[str]) -> None:
            here = f.add(near, j)
            self.move(f.add(far, self.place(here)), here, 1)

        def row(j: Number, _: list[str]) -> None:
            start = f.add(near, self.product(j, self.inner))

            def element(i: Number, _: list[str]) -> None:
                here = f.add(start, i)
                k = self.product(self.place(here), self.inner)
                self.move(f.add(f.add(far, k), i), here, 1)

            f.span(0, self.inner, 1, element)

        f.when(
            f(f"icmp eq i64 {self.inner}, 1"),
            lambda: f.span(0, self.m, 1, alone),
            lambda: f.span(0, self.m, 1, row),
        )

    def rows(self, u: Number) -> None:
        """Rows of y have a place."""
        f = self.f
        near = self.product(self.product(u, self.m), self.inner)
        far = self.product(self.product(u, self.n), self.inner)

        def alone(j: Number, _: list[str]) -> None:
            self.move(f.add(far, self.place(j)), f.add(near, j), 1)

        def row(j: Number, _: list[str]) -> None:
            here = f.add(near, self.product(j, self.inner))
            there = f.add(far, self.product(self.place(j), self.inner))
            end = f(f"sub i64 {self.inner}, {LANES - 1}")
            whole = f(f"and i64 {self.inner}, {-LANES}")

            def some(lanes: int, i: Number, _: list[str]) -> None:
                self.move(f.add(there, i), f.add(here, i), lanes)

            f.span(0, end, LANES, partial(some, LANES), empty=True)
            f.span(whole, self.inner, 1, partial(some, 1), empty=True)

        f.when(
            f(f"icmp eq i64 {self.inner}, 1"),
            lambda: f.span(0, self.m, 1, alone),
            lambda: f.span(0, self.m, 1, row),
        )

    def move(self, there: Number, here: Number, lanes: int) -> None:
        """Some elements from x to y, or the reverse."""
        f = self.f
        kind = f.element if lanes == 1 else f"<{lanes} x {f.element}>"
        p, q = f.at(self.x, there), f.at(self.y, here)
        source, target = (p, q) if self.kind == "read" else (q, p)
        value = f(f"load {kind}, ptr {source}, align {f.size}")
        if self.kind == "add":
            add = "fadd" if f.dtype.kind == "f" else "add"
            value = f(f"{add} {kind} {f(f'load {kind}, ptr {target}, align {f.size}')}, {value}")
        f.do(f"store {kind} {value}, ptr {target}, align {f.size}")
