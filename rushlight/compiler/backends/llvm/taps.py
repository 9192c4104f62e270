"""Sums of a few elements of rows, as interpolation takes them."""

from __future__ import annotations

from typing import Any

from rushlight.compiler.backends.llvm.ir.code import Number, kernel

NAME = "taps"


def text(_: str, d: Any, width: int) -> str:
    """Sums over taps t of ``x[u, places[t, j]] * values[t, j]``: x (units, n) is operand 0; places,
    of int64 and in range, and values, both (taps, wide), are operands 1 and 2; the sums (units,
    wide) go to operand 3. Operand 4 holds n, wide and taps.
    """
    f = kernel(width, d)
    x, places, values, out, sizes = [f.operand(k) for k in range(5)]
    n, wide, taps = [f.scalar64(f.at(sizes, k, 8)) for k in range(3)]
    longs, pointers = f"<{f.lanes} x i64>", f"<{f.lanes} x ptr>"

    def times(a: Number, b: Number) -> str:
        return f(f"mul nsw i64 {a}, {b}")

    def row(u: Number, _: list[str]) -> None:
        source, target = f.at(x, times(u, n)), f.at(out, times(u, wide))

        def some(j: Number, _: list[str]) -> None:
            on = f.lanes_below(f.sub(wide, j))

            def product(t: Number) -> str:
                at = f.add(times(t, wide), j)
                from_places = [("ptr", f.at(places, at, 8)), ("i32", "8"), (f.bits, on)]
                place = f.intrinsic(
                    *("masked.load", f"v{f.lanes}i64.p0", longs),
                    [*from_places, (longs, "zeroinitializer")],
                )
                there = f(f"getelementptr {f.element}, ptr {source}, {longs} {place}")
                taken = f.intrinsic(
                    *("masked.gather", f"{f.suffix}.v{f.lanes}p0", f.vector),
                    [(pointers, there), ("i32", str(f.size)), (f.bits, on)]
                    + [(f.vector, "zeroinitializer")],
                )
                value = f.load(f.at(values, at), mask=on)
                return f(f"fmul {f.vector} {taken}, {value}")

            def add(t: Number, total: list[str]) -> list[str]:
                return [f.plus(total[0], product(t))]

            first = [(f.vector, product(0))]
            (total,) = f.span(1, taps, 1, add, first, empty=True)
            f.masked_store(f.at(target, j), total, on)

        f.span(0, wide, f.lanes, some)

    f.span("%lo", "%hi", 1, row)
    f.end()
    return f.module.text()
