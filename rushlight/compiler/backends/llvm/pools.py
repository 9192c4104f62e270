"""Maxima and means of a few windows of any shapes, which a table describes."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ir.text import splat_literal

MEANS = "window means"
KINDS = {"window maxima": 0, "window taps": 1, "window places": 8}  # bytes of what names a maximum
NAMES = (*KINDS, MEANS)


def text(name: str, d: Any, width: int) -> str:
    """Of planes (units, size), operand 0, windows (units, count), operand 1. Operand 3 holds the
    place in a plane of each tap of each window (taps, count), below 0 where that is outside, and
    operand 4 size, count and taps. Operand 2: what sums are divided by, float64; or, for maxima,
    what their taps or places are written to: the first of several, but the last NaN.
    """
    pool = Pool(name, d, width)
    pool.f.end()
    return pool.f.module.text()


class Pool:
    """Several windows of a plane at a time, the last ones under a mask."""

    def __init__(self, name: str, d: Any, width: int) -> None:
        self.name, self.f = name, kernel(width, d)
        f, n = self.f, self.f.lanes
        self.ints, self.longs, self.bits = f"<{n} x i32>", f"<{n} x i64>", f.bits
        self.x, self.out, self.second, self.table, sizes = [f.operand(k) for k in range(5)]
        self.size, self.count, self.taps = [f.scalar64(f.at(sizes, k, 8)) for k in range(3)]
        window = self.mean if name == MEANS else self.maximum

        def unit(u: Number, _: list[str]) -> None:
            plane, first = f.at(self.x, self.times(u, self.size)), self.times(u, self.count)

            def some(w: Number, _: list[str]) -> None:
                window(plane, w, f.add(first, w), f.lanes_below(f.sub(self.count, w)))

            f.span(0, self.count, n, some)

        f.span("%lo", "%hi", 1, unit)

    def times(self, a: Number, b: str) -> str:
        return self.f(f"mul nsw i64 {a}, {b}")

    def tap(self, plane: str, t: Number, w: Number, on: str, rest: float) -> tuple[str, str, str]:
        """The elements that are tap t of windows, their places, and a mask of those inside."""
        f, n = self.f, self.f.lanes
        p = f.at(self.table, f.add(self.times(t, self.count), w), 4)
        outside = (self.ints, "splat (i32 -1)")
        at = [("ptr", p), ("i32", "4"), (f.bits, on), outside]
        place = f.intrinsic("masked.load", f"v{n}i32.p0", self.ints, at)
        inside = f(f"icmp sge {self.ints} {place}, zeroinitializer")
        wide = f(f"sext {self.ints} {place} to {self.longs}")
        pointers = f(f"getelementptr {f.element}, ptr {plane}, {self.longs} {wide}")
        y = f.intrinsic(
            "masked.gather",
            f"{f.suffix}.v{n}p0",
            f.vector,
            [
                (f"<{n} x ptr>", pointers),
                ("i32", str(f.size)),
                (f.bits, inside),
                (f.vector, splat_literal(rest, f.element, n)),
            ],
        )
        return y, place, inside

    def mean(self, plane: str, w: Number, at: Number, on: str) -> None:
        """Sums, divided."""
        f, n = self.f, self.f.lanes

        def add(t: Number, state: list[str]) -> list[str]:
            return [f.plus(state[0], self.tap(plane, t, w, on, 0.0)[0])]

        zero = splat_literal(0.0, f.element, n)
        (total,) = f.span(0, self.taps, 1, add, [(f.vector, zero)])
        wide = f"<{n} x double>"
        given = [("ptr", f.at(self.second, w, 8)), ("i32", "8"), (f.bits, on)]
        ones = (wide, splat_literal(1.0, "double", n))
        divisor = f.intrinsic("masked.load", f"v{n}f64.p0", wide, [*given, ones])
        if f.element != "double":
            divisor = f(f"fptrunc {wide} {divisor} to {f.vector}")
        f.masked_store(f.at(self.out, at), f(f"fdiv {f.vector} {total}, {divisor}"), on)

    def maximum(self, plane: str, w: Number, at: Number, on: str) -> None:
        """Maxima, and their names."""
        f, n = self.f, self.f.lanes
        one = f"insertelement {self.ints} poison, i32 "

        def compare(t: Number, state: list[str]) -> list[str]:
            best, named = state
            y, place, inside = self.tap(plane, t, w, on, -np.inf)
            more = f(f"fcmp ogt {f.vector} {y}, {best}")
            more = f(f"or {f.bits} {more}, {f(f'fcmp uno {f.vector} {y}, {y}')}")
            fresh = f(f"icmp slt {self.ints} {named}, zeroinitializer")
            fresh = f(f"and {f.bits} {fresh}, {inside}")
            more = f(f"or {f.bits} {more}, {fresh}")
            if self.name == "window taps":
                number = f(f"{one}{f(f'trunc i64 {t} to i32')}, i64 0")
                zeros = f"<{n} x i32> zeroinitializer"
                place = f(f"shufflevector {self.ints} {number}, {self.ints} poison, {zeros}")
            best = f(f"select {f.bits} {more}, {f.vector} {y}, {f.vector} {best}")
            return [best, f(f"select {f.bits} {more}, {self.ints} {place}, {self.ints} {named}")]

        least = splat_literal(-np.inf, f.element, n)
        first = [(f.vector, least), (self.ints, "splat (i32 -1)")]
        best, named = f.span(0, self.taps, 1, compare, first)
        f.masked_store(f.at(self.out, at), best, on)
        bytes_ = KINDS[self.name]
        if bytes_:
            kind = f"<{n} x i{8 * bytes_}>"
            to = "trunc" if bytes_ < 4 else "sext"
            named = f(f"{to} {self.ints} {named} to {kind}")
            store = f"@llvm.masked.store.v{n}i{8 * bytes_}.p0"
            f.module.declarations.add(f"declare void {store}({kind}, ptr, i32, {f.bits})")
            p = f.at(self.second, at, bytes_)
            f.do(f"call void {store}({kind} {named}, ptr {p}, i32 {bytes_}, {f.bits} {on})")
