"""Where runs of equal elements begin."""

from __future__ import annotations

from typing import Any

from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.scalars import FLOATS

NAME = "runs"


def text(d: Any, width: int) -> str:
    """Which of ``%hi`` elements, operand 0, differ from the one before: themselves to operand 1 and
    their places to operand 2, both of room for all, and how many they are to operand 3.
    """
    f = kernel(width, d)
    x, firsts, places, count = [f.operand(k) for k in range(4)]
    differs = f"{'fcmp une' if d in FLOATS else 'icmp ne'} {f.element}"

    def write(runs: Number, here: str, i: Number) -> None:
        f.do(f"store {f.element} {here}, ptr {f.at(firsts, runs)}, align {f.size}")
        f.do(f"store i64 {i}, ptr {f.at(places, runs, 8)}, align 8")

    def element(i: Number, state: list[str]) -> list[str]:
        """Each is written behind the runs so far: over the one before, unless that began one."""
        runs, before = state
        here = f.scalar(f.at(x, i))
        write(runs, here, i)
        begins = f(f"{differs} {here}, {before}")
        return [str(f.add(runs, f(f"zext i1 {begins} to i64"))), here]

    first = f.scalar(x)
    write(0, first, 0)
    runs, _ = f.span(1, "%hi", 1, element, [("i64", "1"), (f.element, first)], empty=True)
    f.do(f"store i64 {runs}, ptr {count}, align 8")
    f.end()
    return f.module.text()
