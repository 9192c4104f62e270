"""Variances and standard deviations of few float32, step by step as ops/statistics.py has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.ir.code import Number, kernel

NAMES = ("variance", "deviation")


def text(name: str, d: Any, width: int) -> str:
    """Along the middle of (units, n, inner), operand 0, to operand 1, in float64: the sum of the
    squared distances from the mean, by the float64 in operand 2; "deviation" is the square root of
    that. Operand 3 holds n and inner.
    """
    f = kernel(width, np.dtype(np.float32))
    x, out, divisor, sizes = [f.operand(k) for k in range(4)]
    n, inner = [f.scalar64(f.at(sizes, k, 8)) for k in range(2)]
    count, by = f(f"sitofp i64 {n} to double"), f(f"load double, ptr {divisor}, align 8")

    def column(u: Number, c: Number) -> None:
        start = f.add(f(f"mul nsw i64 {f(f'mul nsw i64 {u}, {n}')}, {inner}"), c)

        def element(i: Number) -> str:
            at = f.add(start, f(f"mul nsw i64 {i}, {inner}"))
            return f(f"fpext float {f.scalar(f.at(x, at))} to double")

        def add(i: Number, sums: list[str]) -> list[str]:
            return [f(f"fadd double {sums[0]}, {element(i)}")]

        (total,) = f.span(0, n, 1, add, [("double", "-0.0")])
        mean = f(f"fdiv double {total}, {count}")

        def add_square(i: Number, sums: list[str]) -> list[str]:
            off = f(f"fsub double {element(i)}, {mean}")
            return [f(f"fadd double {sums[0]}, {f(f'fmul double {off}, {off}')}")]

        (squares,) = f.span(0, n, 1, add_square, [("double", "-0.0")])
        result = f(f"fdiv double {squares}, {by}")
        if name == "deviation":
            result = str(f.intrinsic("sqrt", "double", "double", [("double", result)]))
        here = f.at(out, f.add(f(f"mul nsw i64 {u}, {inner}"), c))
        f.do(f"store float {f(f'fptrunc double {result} to float')}, ptr {here}, align 4")

    def unit(u: Number, _: list[str]) -> None:
        f.span(0, inner, 1, lambda c, _: column(u, c))

    f.span("%lo", "%hi", 1, unit)
    f.end()
    return f.module.text()
