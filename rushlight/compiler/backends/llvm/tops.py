"""The first few of rows in order."""

from __future__ import annotations

from typing import Any

from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ranks import SHORT, Row, put

NAMES = {"largest": "ogt", "smallest": "olt"}
INSERTED = 4  # elements: more of a short row find their places by counting


def text(name: str, d: Any, width: int) -> str:
    """Of rows (units, n), operand 0, the first k in order (units, k), to operand 1, and their
    places, to operand 2; equal elements keep their order, and NaN is the largest. Operand 3 holds
    n and k, which is n at most.
    """
    f = kernel(width, d)
    x, values, places, sizes = [f.operand(k) for k in range(4)]
    n, k = [f.scalar64(f.at(sizes, j, 8)) for j in range(2)]
    e = f.element

    def before(a: str, b: str) -> str:
        """Whether element a has to be in front of b."""
        more = f(f"fcmp {NAMES[name]} {e} {a}, {b}")
        nan, number = (a, b) if name == "largest" else (b, a)
        nan, number = f(f"fcmp uno {e} {nan}, {nan}"), f(f"fcmp ord {e} {number}, {number}")
        return f(f"or i1 {more}, {f(f'and i1 {nan}, {number}')}")

    def counted(source: str, best: str, where: str) -> None:
        row = Row(f, source, "%scratch", n, descending=name == "largest")

        def one(i: Number, _: list[str]) -> None:
            rank = row.rank(i)
            f.when(f(f"icmp slt i64 {rank}, {k}"), lambda: put(f, source, i, best, where, rank))

        f.span(0, n, 1, one)

    def row(u: Number, _: list[str]) -> None:
        source = f.at(x, f(f"mul nsw i64 {u}, {n}"))
        first = f(f"mul nsw i64 {u}, {k}")
        best, where = f.at(values, first), f.at(places, first, 8)

        def insert(i: Number, y: str, count: Number) -> list[str]:
            """Move an element to its place among ``count``, and those behind it by one; what falls
            out at the end.
            """

            def exchange(j: Number, state: list[str]) -> list[str]:
                v, at = f.scalar(f.at(best, j)), f.scalar64(f.at(where, j, 8))
                sooner = f(f"or i1 {state[2]}, {before(state[0], v)}")
                for p, kind, new, old in (
                    (f.at(best, j), e, state[0], v),
                    (f.at(where, j, 8), "i64", state[1], at),
                ):
                    kept = f(f"select i1 {sooner}, {kind} {new}, {kind} {old}")
                    f.do(f"store {kind} {kept}, ptr {p}, align {8 if kind == 'i64' else f.size}")
                return [
                    f(f"select i1 {sooner}, {e} {v}, {e} {state[0]}"),
                    f(f"select i1 {sooner}, i64 {at}, i64 {state[1]}"),
                    sooner,
                ]

            carried = [(e, y), ("i64", str(i)), ("i1", "false")]
            return f.span(0, count, 1, exchange, carried, empty=True)[:2]

        def grow(i: Number, _: list[str]) -> None:
            v, at = insert(i, f.scalar(f.at(source, i)), i)
            f.do(f"store {e} {v}, ptr {f.at(best, i)}, align {f.size}")
            f.do(f"store i64 {at}, ptr {f.at(where, i, 8)}, align 8")

        def offer(i: Number, _: list[str]) -> None:
            y, last = f.scalar(f.at(source, i)), f.scalar(f.at(best, f.sub(k, 1)))
            f.when(before(y, last), lambda: insert(i, y, k))

        def inserted() -> None:
            f.span(0, k, 1, grow)
            f.span(k, n, 1, offer, empty=True)

        few = f(f"icmp sle i64 {n}, {SHORT}")
        many = f(f"icmp sgt i64 {k}, {INSERTED}")
        f.when(f(f"and i1 {few}, {many}"), lambda: counted(source, best, where), inserted)

    f.span("%lo", "%hi", 1, row)
    f.end()
    return f.module.text()
