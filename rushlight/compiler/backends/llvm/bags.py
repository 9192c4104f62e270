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


BINS = "bin maxima"


def bins_text(d: Any, width: int) -> str:
    """Of (units, rows, columns), operand 0, the maxima of bins (units, m, n), to operand 1, and
    their flat places, to operand 2: the first of several, but the last NaN. Operand 3 holds
    where m bins of rows begin and end, and n bins of columns; operand 4 rows, columns, m and n.
    """
    f = kernel(width, d)
    source, values, places, table, sizes = [f.operand(k) for k in range(5)]
    rows, columns, m, n = [f.scalar64(f.at(sizes, k, 8)) for k in range(4)]
    e = f.element

    def times(a: Number, b: Number) -> str:
        return f(f"mul nsw i64 {a}, {b}")

    def ends(at: Number) -> tuple[str, str]:
        p = f.at(table, f.mul(at, 2), 8)
        return f.scalar64(p), f.scalar64(f.at(p, 1, 8))

    def unit(u: Number, _: list[str]) -> None:
        x = f.at(source, times(u, times(rows, columns)))

        def bin(i: Number, j: Number) -> None:
            (top, bottom), (left, right) = ends(i), ends(f.add(m, j))
            first = f.add(times(top, columns), left)

            def row(r: Number, state: list[str]) -> list[str]:
                start = times(r, columns)

                def element(c: Number, state: list[str]) -> list[str]:
                    here = f.add(start, c)
                    y = f.scalar(f.at(x, here))
                    more = f(f"fcmp ogt {e} {y}, {state[0]}")
                    more = f(f"or i1 {more}, {f(f'fcmp uno {e} {y}, {y}')}")
                    return f.taken(more, [(e, y, state[0]), ("i64", str(here), state[1])])

                kinds = list(zip((e, "i64"), state, strict=True))
                return f.span(left, right, 1, element, kinds)

            carried = [(e, f.scalar(f.at(x, first))), ("i64", str(first))]
            best, place = f.span(top, bottom, 1, row, carried)
            to = f.add(times(f.add(times(u, m), i), n), j)
            f.do(f"store {e} {best}, ptr {f.at(values, to)}, align {f.size}")
            f.do(f"store i64 {place}, ptr {f.at(places, to, 8)}, align 8")

        f.grid(m, n, bin)

    f.span("%lo", "%hi", 1, unit)
    f.end()
    return f.module.text()
