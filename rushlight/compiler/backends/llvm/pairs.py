"""Distances of all pairs of rows."""

from __future__ import annotations

import math
from typing import Any

from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ir.math import Vectors

NORMS = {"1": 1.0, "2": 2.0, "inf": math.inf}
PAIRS, TABLE = "pairs", "table"
NAMES = [f"{kind} {norm}" for kind in (PAIRS, TABLE) for norm in NORMS]


def text(name: str, d: Any, width: int) -> str:
    """For each unit i, the distances of row i of x (units, m), operand 0, from rows of y (n, m),
    operand 1; operand 3 has room for the same transposed and a vector more, operand 4 holds n and
    m.

    "table": from all, to row i of operand 2. "pairs": y is x; from those after i, to their places
    among all pairs.
    """
    kind, norm = name.split()
    f = kernel(width, d)
    source, other, target, turned, sizes = [f.operand(k) for k in range(5)]
    n, m = [f.scalar64(f.at(sizes, k, 8)) for k in range(2)]
    v = f.vector

    def unit(i: Number, _: list[str]) -> None:
        here = f.at(source, f(f"mul nsw i64 {i}, {m}"))
        first: Number = 0
        if kind == PAIRS:
            first = f.add(i, 1)
            before = f(f"mul nsw i64 {i}, {f.sub(f.add(n, n), first)}")  # twice the pairs before
            out = f.at(target, f(f"lshr i64 {before}, 1"))
        else:
            out = f.at(target, f(f"mul nsw i64 {i}, {n}"))

        def some(j: Number, _: list[str]) -> None:
            def column(k: Number, sums: list[str]) -> list[str]:
                there = f.load(f.at(turned, f.add(f(f"mul nsw i64 {k}, {n}"), j)))
                gap = f(f"fsub {v} {f.splat(f.scalar(f.at(here, k)))}, {there}")
                if norm == "2":
                    return [f.fma(gap, gap, sums[0])]
                size = Vectors(f, f.lanes, f.here).real("abs", d, [gap])
                if norm == "1":
                    return [f.plus(sums[0], size)]
                return [Vectors(f, f.lanes, f.here).real("max", d, [sums[0], size])]

            (total,) = f.span(0, m, 1, column, [(v, "zeroinitializer")])
            if norm == "2":
                total = f.intrinsic("sqrt", f.suffix, v, [(v, total)])
            f.store_first(f.at(out, f.sub(j, first)), total, f.sub(n, j))

        f.span(first, n, f.lanes, some, empty=True)

    def turn(j: Number, k: Number) -> None:
        x = f.scalar(f.at(other, f.add(f(f"mul nsw i64 {j}, {m}"), k)))
        to = f.at(turned, f.add(f(f"mul nsw i64 {k}, {n}"), j))
        f.do(f"store {f.element} {x}, ptr {to}, align {f.size}")

    f.grid(n, m, turn)
    f.span("%lo", "%hi", 1, unit)
    f.end()
    return f.module.text()
