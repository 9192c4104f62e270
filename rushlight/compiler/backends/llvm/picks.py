"""Losses of rows, each of one class: of log-probabilities, with their gradients, and of margins
between scores.
"""

from __future__ import annotations

from typing import Any

from rushlight.compiler.backends.llvm.direct_code import FAILED
from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ir.math import Vectors
from rushlight.compiler.backends.llvm.ir.text import splat_literal

NAME, MARGINS = "picked loss", "margin loss"
ENTROPY = "entropy gradient"
GRADIENTS = ("picked gradient", ENTROPY)


def text(_: str, d: Any, width: int) -> str:
    """The sum, or the mean, of ``-x[u, target[u]]`` for x (units, classes), operand 0, and target,
    operand 1, to operand 2. Operand 3 holds classes, the target that does not count, and whether
    it is a mean. It fails where a target is out of range.
    """
    f = kernel(width, d)
    x, target, out, sizes = [f.operand(k) for k in range(4)]
    classes, ignored, is_mean = [f.scalar64(f.at(sizes, k, 8)) for k in range(3)]
    e = f.element

    def row(u: Number, state: list[str]) -> list[str]:
        total, count, wrong = state
        y = f.scalar64(f.at(target, u, 8))
        counts = f(f"icmp ne i64 {y}, {ignored}")
        out_of_range = f(f"icmp uge i64 {y}, {classes}")
        wrong = f(f"or i1 {wrong}, {f(f'and i1 {counts}, {out_of_range}')}")
        safe = f(f"select i1 {out_of_range}, i64 0, i64 {y}")
        value = f.scalar(f.at(x, f.add(f(f"mul nsw i64 {u}, {classes}"), safe)))
        value = value if e == "double" else f(f"fpext {e} {value} to double")
        value = f(f"select i1 {counts}, double {value}, double 0.0")
        one = f(f"select i1 {counts}, double 1.0, double 0.0")
        return [f(f"fsub double {total}, {value}"), f(f"fadd double {count}, {one}"), wrong]

    first = [("double", "0.0"), ("double", "0.0"), ("i1", "false")]
    total, count, wrong = f.span("%lo", "%hi", 1, row, first)
    mean = f(f"fdiv double {total}, {count}")
    result = f(f"select i1 {f(f'icmp ne i64 {is_mean}, 0')}, double {mean}, double {total}")
    result = result if e == "double" else f(f"fptrunc double {result} to {e}")
    f.do(f"store {e} {result}, ptr {out}, align {f.size}")
    f.do(f"store i64 {f(f'zext i1 {wrong} to i64')}, ptr {f.at(sizes, FAILED, 8)}, align 8")
    f.end()
    return f.module.text()


def gradient_text(name: str, d: Any, width: int) -> str:
    """``c (exp(x[u]) - hit)`` for ENTROPY, else ``c (0 - hit)``, where hit is 1 at target[u], for x
    (units, classes), operand 0, target, operand 1, and c, operand 2, to operand 3. Operand 4 holds
    classes, the target whose rows are 0, and whether c is divided by the number of others. It
    fails where a target is out of range.
    """
    f = kernel(width, d)
    x, target, factor, out, sizes = [f.operand(k) for k in range(5)]
    classes, ignored, is_mean = [f.scalar64(f.at(sizes, k, 8)) for k in range(3)]
    e, zero, one = f.element, *[splat_literal(v, f.element, f.lanes) for v in (0.0, 1.0)]

    def counted(u: Number, state: list[str]) -> list[str]:
        y = f.scalar64(f.at(target, u, 8))
        counts = f(f"icmp ne i64 {y}, {ignored}")
        out_of_range = f(f"and i1 {counts}, {f(f'icmp uge i64 {y}, {classes}')}")
        count = f(f"add i64 {state[0]}, {f(f'zext i1 {counts} to i64')}")
        return [count, f(f"or i1 {state[1]}, {out_of_range}")]

    count, wrong = f.span("%lo", "%hi", 1, counted, [("i64", "0"), ("i1", "false")])
    f.do(f"store i64 {f(f'zext i1 {wrong} to i64')}, ptr {f.at(sizes, FAILED, 8)}, align 8")
    total = f.scalar(factor)
    mean = f(f"fdiv {e} {total}, {f(f'sitofp i64 {count} to {e}')}")
    each = f(f"select i1 {f(f'icmp ne i64 {is_mean}, 0')}, {e} {mean}, {e} {total}")

    def row(u: Number, _: list[str]) -> None:
        y, start = f.scalar64(f.at(target, u, 8)), f(f"mul nsw i64 {u}, {classes}")
        counts = f(f"icmp ne i64 {y}, {ignored}")
        c = f.splat(f(f"select i1 {counts}, {e} {each}, {e} 0.0"))

        def some(i: Number, _: list[str]) -> None:
            on, at, before = f.lanes_below(f.sub(classes, i)), f.add(start, i), f.sub(y, i)
            hit = f(f"xor {f.bits} {f.lanes_below(f.add(before, 1))}, {f.lanes_below(before)}")
            p = zero
            if name == ENTROPY:
                given = [f.load(f.at(x, at), mask=on)]
                p = Vectors(f, f.lanes, f.here).function("exp", f.dtype, given)
            ones = f(f"select {f.bits} {hit}, {f.vector} {one}, {f.vector} {zero}")
            rest = f(f"fsub {f.vector} {p}, {ones}")
            f.masked_store(f.at(out, at), f(f"fmul {f.vector} {rest}, {c}"), on)

        f.span(0, classes, f.lanes, some)

    f.span("%lo", "%hi", 1, row)
    f.end()
    return f.module.text()


def margins_text(_: str, d: Any, width: int) -> str:
    """The sum of ``max(0, margin - x[u, target[u]] + x[u, i])`` to the power p over all other
    classes i, by ``divisor``, for x (units, classes), operand 0, and target, operand 1, to operand
    2. Operand 3 holds margin and divisor as float64, operand 4 classes and p, which is 1 or 2. It
    fails where a target is out of range.
    """
    f = kernel(width, d)
    x, target, out, given, sizes = [f.operand(k) for k in range(5)]
    classes, power = [f.scalar64(f.at(sizes, k, 8)) for k in range(2)]
    margin, divisor = [f(f"load double, ptr {f.at(given, k, 8)}, align 8") for k in range(2)]
    squared = f(f"icmp eq i64 {power}, 2")
    e = f.element

    def score(at: Number) -> str:
        value = f.scalar(f.at(x, at))
        return value if e == "double" else f(f"fpext {e} {value} to double")

    def row(u: Number, state: list[str]) -> list[str]:
        y, start = f.scalar64(f.at(target, u, 8)), f(f"mul nsw i64 {u}, {classes}")
        out_of_range = f(f"icmp uge i64 {y}, {classes}")
        wrong = f(f"or i1 {state[1]}, {out_of_range}")
        safe = f(f"select i1 {out_of_range}, i64 0, i64 {y}")
        least = f(f"fsub double {margin}, {score(f.add(start, safe))}")

        def other(i: Number, sums: list[str]) -> list[str]:
            gap = f(f"fadd double {least}, {score(f.add(start, i))}")
            counts = f(f"fcmp ugt double {gap}, 0.0")  # NaN stays
            counts = f(f"and i1 {counts}, {f(f'icmp ne i64 {i}, {safe}')}")
            term = f(f"select i1 {squared}, double {f(f'fmul double {gap}, {gap}')}, double {gap}")
            term = f(f"select i1 {counts}, double {term}, double 0.0")
            return [f(f"fadd double {sums[0]}, {term}")]

        return [*f.span(0, classes, 1, other, [("double", state[0])]), wrong]

    total, wrong = f.span("%lo", "%hi", 1, row, [("double", "0.0"), ("i1", "false")])
    result = f(f"fdiv double {total}, {divisor}")
    result = result if e == "double" else f(f"fptrunc double {result} to {e}")
    f.do(f"store {e} {result}, ptr {out}, align {f.size}")
    f.do(f"store i64 {f(f'zext i1 {wrong} to i64')}, ptr {f.at(sizes, FAILED, 8)}, align 8")
    f.end()
    return f.module.text()
