"""The largest or smallest elements of rows."""

from __future__ import annotations

from typing import Any

from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ir.math import Vectors

NAMES = {"row max": "max", "row min": "min"}


def text(name: str, d: Any, width: int) -> str:
    """Those of the rows (units, n) of floats, operand 0, to operand 1; NaN if any is. Operand 2
    holds n, 1 at least.
    """
    f, kind = kernel(width, d), NAMES[name]
    source, target, sizes = [f.operand(k) for k in range(3)]
    n, many, one = f.scalar64(sizes), Vectors(f, f.lanes, f.here), Vectors(f, 0, f.here)
    whole = f(f"and i64 {n}, {-f.lanes}")

    def unit(u: Number, _: list[str]) -> None:
        row = f.at(source, f(f"mul nsw i64 {u}, {n}"))

        def some(i: Number, best: list[str]) -> list[str]:
            return [many.real(kind, d, [best[0], f.load(f.at(row, i))])]

        def single(i: Number, best: list[str]) -> list[str]:
            return [one.real(kind, d, [best[0], f.scalar(f.at(row, i))])]

        start = [(f.vector, f.splat(f.scalar(row)))]
        (best,) = f.span(0, whole, f.lanes, some, start, empty=True)
        best = many.horizontal(kind, d, best)
        (best,) = f.span(whole, n, 1, single, [(f.element, best)], empty=True)
        f.do(f"store {f.element} {best}, ptr {f.at(target, u)}, align {f.size}")

    f.span("%lo", "%hi", 1, unit)
    f.end()
    return f.module.text()
