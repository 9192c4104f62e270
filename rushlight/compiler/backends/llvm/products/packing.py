"""Copies of parts of matrices in the order in which products read them."""

from __future__ import annotations

from rushlight.compiler.backends.llvm.ir.code import Code, Number

SIGNATURE = "ptr noalias %from, ptr noalias %to, i64 %depth"
AHEAD = 256  # bytes of a column between what is turned and what is asked for


def write_rows(f: Code, columns: int, distance: int, step: int) -> None:
    """The body of a function ``(from, to, depth)``: rows of ``columns`` elements, ``distance``
    apart, become rows ``step``, whole vectors, apart.
    """

    def row(k: Number, _: list[str]) -> None:
        source, target = f.at("%from", f.mul(k, distance)), f.at("%to", f.mul(k, step))
        for v in range(0, columns, f.lanes):
            f.store(f.at(target, v), f.load(f.at(source, v), min(f.lanes, columns - v)))

    f.span(0, "%depth", 1, row)


def write_turned(f: Code, columns: int, distance: int, step: int, most: int) -> None:
    """The body of a function ``(from, to, depth)``: columns, ``distance`` apart, become rows
    ``step`` apart. The depth is at least a vector, or else ``most``.

    Squares that fill registers are turned there, all of some columns first: so many streams can be
    followed. The last one along the depth begins where it ends with the depth, so that some of its
    rows are written twice.
    """
    lanes = min(f.lanes, most)

    def square(k: Number, column: Number, count: int) -> None:
        source = f.at(f.at("%from", k), f.mul(column, distance))
        target = f.at(f.at("%to", f.mul(k, step)), column)
        rows = [f.load(f.at(source, j * distance), lanes) for j in range(count)]
        for j in range(count):
            f.prefetch(f.past(source, j * distance * f.size + AHEAD))
        rows += ["zeroinitializer"] * (f.lanes - count)
        for j, x in enumerate(f.transposed(rows)[:lanes]):
            f.store(f.at(target, j * step), x)

    def some(column: Number, count: int) -> None:
        def part(k: Number, _: list[str]) -> None:
            square(f.smaller(k, f(f"sub nsw i64 %depth, {lanes}")), column, count)

        f.span(0, "%depth", lanes, part)

    f.span(0, columns // f.lanes, 1, lambda v, _: some(f.mul(v, f.lanes), f.lanes))
    if columns % f.lanes:
        some(columns // f.lanes * f.lanes, columns % f.lanes)
