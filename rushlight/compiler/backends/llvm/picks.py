"""The loss of rows of log-probabilities, each of one class."""

from __future__ import annotations

from typing import Any

from rushlight.compiler.backends.llvm.direct import FAILED
from rushlight.compiler.backends.llvm.ir.code import Number, kernel

NAME = "picked loss"


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
