"""Which rows of bags are the greatest, by column."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.graph import Node
from rushlight.compiler.scalars import FLOATS

NAME = "bag maxima"


def text(d: Any, width: int, sizes: tuple[int, ...] | None = None, some_absent: bool = True) -> str:
    """Rows (rows, columns), operand 0, their bags, operand 1, and, if ``some_absent``, which do not
    count, the next, give (bags, columns), the next: a row, the first of several, NaN before all
    others, or -1. The last operand holds rows, columns and bags, unless these are given.
    """
    f = kernel(width, d)
    source, bag, *absent, target = [f.operand(k) for k in range(3 + some_absent)]
    given = sizes or [f.scalar64(f.at(f.operand(3 + some_absent), k, 8)) for k in range(3)]
    rows, columns, bags = [str(size) for size in given]

    def times(a: Number, b: Number) -> str:
        return f(f"mul nsw i64 {a}, {b}")

    def nothing(i: Number, _: list[str]) -> None:
        f.do(f"store i64 -1, ptr {f.at(target, i, 8)}, align 8")

    def row(m: Number, _: list[str]) -> None:
        def compare() -> None:
            here = f.at(source, times(m, columns))
            out = f.at(target, times(f.scalar64(f.at(bag, m, 8)), columns), 8)
            f.span(0, columns, 1, lambda c, _: column(here, out, m, c))

        if not absent:
            compare()
            return
        counts = f(f"load i8, ptr {f.at(absent[0], m, 1)}, align 1")
        f.when(f(f"icmp eq i8 {counts}, 0"), compare)

    def column(here: str, out: str, m: Number, c: Number) -> None:
        place = f.at(out, c, 8)
        best = f.scalar64(place)
        x = f.scalar(f.at(here, c))
        y = f.scalar(f.at(f.at(source, times(f.larger(best, 0), columns)), c))
        more = f(f"fcmp ogt {f.element} {x}, {y}")
        nan, other = [
            f(f"fcmp {test} {f.element} {v}, {v}") for test, v in (("uno", x), ("ord", y))
        ]
        more = f(f"or i1 {more}, {f(f'and i1 {nan}, {other}')}")
        more = f(f"or i1 {more}, {f(f'icmp slt i64 {best}, 0')}")
        new = f(f"select i1 {more}, i64 {m}, i64 {best}")
        f.do(f"store i64 {new}, ptr {place}, align 8")

    f.span(0, times(bags, columns), 1, nothing)
    f.span(0, rows, 1, row)
    f.end()
    return f.module.text()


def fits(node: Node) -> bool:
    """Whether a node is native."""
    x, bag = node.inputs[:2]
    some = 0 not in (*x.shape, *node.outputs[0].shape)
    return x.dtype in FLOATS and bag.dtype == np.dtype(np.int64) and some


def write(node: Node, width: int) -> list[Launch]:
    """BagMaxima, whose bags are made by rules or by the op that makes bags: they are in range."""
    x, _, absent = node.inputs
    sizes = (*x.shape, node.params["bags"])
    ir = text(x.dtype, width, sizes, absent is not None)
    operands = tuple([(k, 0) for k in (0, 1, 2, 3) if k != 2 or absent is not None])
    return [Launch(ir, operands, cost=2.0 * math.prod(x.shape))]
