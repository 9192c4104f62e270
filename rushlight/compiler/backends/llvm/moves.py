"""Loops that read and write elements along one dim by index, for arrays of any sizes."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.direct_code import FAILED
from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ir.math import Vectors

LONG, BOOL = np.dtype(np.int64), np.dtype(np.bool_)
LANES = 8  # elements of a row that are moved together
MOVES = [f"{kind} {which}" for kind in ("read", "write", "add") for which in ("rows", "each")]
MOVES += ["times each", "greatest each", "least each"]


class Move:
    """Between ``x`` (units, n, inner), operand 0, and ``y`` (units, m, inner), operand 2: "read" is
    ``y[u, j, i] = x[u, k, i]``, "write", "add" and others are the reverse, where k is ``index[j]``,
    or, for "each", ``index[u, j, i]``. The index, operand 1, holds int64. Operand 3 holds n, m,
    inner and the lowest index allowed: 0, or, for "add rows", -n; where any is out of range,
    nothing is moved.
    """

    def __init__(self, name: str, d: Any, width: int) -> None:
        self.kind, which = name.split()
        self.f = f = kernel(width, d)
        self.x, self.index, self.y, sizes = [f.operand(k) for k in range(4)]
        self.n, self.m, self.inner, self.low = [f.scalar64(f.at(sizes, k, 8)) for k in range(4)]
        self.wraps = name == "add rows"
        unit = self.each if which == "each" else self.rows
        count = self.m
        if which == "each":
            count = self.product(self.product("%hi", self.m), self.inner)
        failed = f.at(sizes, FAILED, 8)
        f.when(
            self.outside(count),
            lambda: f.do(f"store i64 1, ptr {failed}, align 8"),
            lambda: f.span("%lo", "%hi", 1, lambda u, _: unit(u)),
        )
        f.end()

    def outside(self, count: str) -> str:
        """Whether any of so many indices is out of range."""
        f = self.f
        low = self.low if self.wraps else 0
        allowed = f.sub(self.n, low)

        def checked(lanes: int, i: Number, before: list[str]) -> list[str]:
            v = Vectors(f, lanes, f.here)
            first, limit = v.splat(str(low), LONG), v.splat(str(allowed), LONG)
            kind, bits = v.type(LONG), v.type(BOOL)
            k = f(f"load {kind}, ptr {f.at(self.index, i, 8)}, align 8")
            bad = f(f"icmp uge {kind} {f(f'sub {kind} {k}, {first}')}, {limit}")
            return [f(f"or {bits} {before[0]}, {bad}")]

        whole, bits = f(f"and i64 {count}, {-LANES}"), f"<{LANES} x i1>"
        none = [(bits, "zeroinitializer")]
        (found,) = f.span(0, whole, LANES, partial(checked, LANES), none, empty=True)
        name = f"@llvm.vector.reduce.or.v{LANES}i1"
        f.module.declarations.add(f"declare i1 {name}({bits})")
        some = [("i1", f(f"call i1 {name}({bits} {found})"))]
        return f.span(whole, count, 1, partial(checked, 0), some, empty=True)[0]

    def text(self) -> str:
        return self.f.module.text()

    def product(self, a: Number, b: str) -> str:
        return self.f(f"mul nsw i64 {a}, {b}")

    def place(self, at: Number) -> str:
        """An entry of the index, counted from the start."""
        f = self.f
        k = f.scalar64(f.at(self.index, at, 8))
        if not self.wraps:
            return k
        before = f(f"icmp slt i64 {k}, 0")
        return f(f"select i1 {before}, i64 {f.add(k, self.n)}, i64 {k}")

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
        elif self.kind not in ("read", "write"):  # of floats, one by one
            value = self.combined(f.scalar(target), value)
        f.do(f"store {kind} {value}, ptr {target}, align {f.size}")

    def combined(self, old: str, new: str) -> str:
        """The product of two floats, or one of them: NaN before all others, then the old one."""
        f, e = self.f, self.f.element
        if self.kind == "times":
            return f(f"fmul {e} {old}, {new}")
        stays = f(f"fcmp {'oge' if self.kind == 'greatest' else 'ole'} {e} {old}, {new}")
        stays = f(f"or i1 {stays}, {f(f'fcmp uno {e} {old}, {old}')}")
        return f(f"select i1 {stays}, {e} {old}, {e} {new}")


def reverse(d: Any, width: int) -> str:
    """(units, n, inner), operand 0, in reverse order along the middle, to operand 1. Operand 2
    holds n and inner.
    """
    f = kernel(width, d)
    source, target, sizes = [f.operand(k) for k in range(3)]
    n, inner = [f.scalar64(f.at(sizes, k, 8)) for k in range(2)]
    f.module.declarations.add("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
    back = list(range(f.lanes - 1, -1, -1))

    def unit(u: Number, _: list[str]) -> None:
        start = f(f"mul nsw i64 {u}, {f(f'mul nsw i64 {n}, {inner}')}")
        p, q = f.at(source, start), f.at(target, start)

        def vector(i: Number, _: list[str]) -> None:
            x = f.load(f.at(p, f.sub(f.sub(n, i), f.lanes)))
            f.store(f.at(q, i), f.shuffle(x, "poison", back))

        def single(i: Number, _: list[str]) -> None:
            x = f.scalar(f.at(p, f.sub(f.sub(n, i), 1)))
            f.do(f"store {f.element} {x}, ptr {f.at(q, i)}, align {f.size}")

        def elements() -> None:
            whole = f(f"and i64 {n}, {-f.lanes}")
            f.span(0, whole, f.lanes, vector, empty=True)
            f.span(whole, n, 1, single, empty=True)

        def row(j: Number, _: list[str]) -> None:
            here = f(f"mul nsw i64 {f.sub(f.sub(n, 1), j)}, {inner}")
            there = f(f"mul nsw i64 {j}, {inner}")
            given = f"ptr {f.at(q, there)}, ptr {f.at(p, here)}, i64 {f.mul(inner, f.size)}"
            f.do(f"call void @llvm.memcpy.p0.p0.i64({given}, i1 false)")

        f.when(f(f"icmp eq i64 {inner}, 1"), elements, lambda: f.span(0, n, 1, row))

    f.span("%lo", "%hi", 1, unit)
    f.end()
    return f.module.text()
