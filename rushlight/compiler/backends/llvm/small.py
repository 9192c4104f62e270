"""Linear algebra of many small matrices: elimination by rows, in the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.compiler.backends.llvm.direct_code import FAILED
from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ir.text import literal

PAD = 16  # columns: a multiple of the lanes of any vector
ELIMINATIONS = ("lu", "cholesky", "solve", "upper", "lower", "upper unit", "lower unit")


class Elimination:
    """For each unit, with matrices a (n, n), operand 0, and b (n, r), operand 1, to operand 2:

    "lu": a's factors in one matrix; the row exchanges, counted from 1, as int32 to operand 3.
    "cholesky": the lower triangle L with ``L @ L.mT = a``; only a's lower triangle is read.
    "solve": X with ``a @ X = b``. Operand 3 is written to as well.
    "upper", "lower", "upper unit", "lower unit": the same for a triangular a, of which only that
    part is read, without its diagonal where that is "unit".

    Operand 4 has room for n + 1 rows. The numbers are n, r, n padded, and the whole width of a row
    of operand 4. A pivot of 0 ("cholesky": that is not positive) is said to be a failure.
    """

    def __init__(self, name: str, d: Any, width: int) -> None:
        self.f = f = kernel(width, d)
        self.name = name
        self.a, self.b, self.out, self.pivots, self.work, sizes = [f.operand(k) for k in range(6)]
        self.failed = f.at(sizes, FAILED, 8)
        self.n, self.r, self.middle, self.width = [
            f(f"load i64, ptr {f.at(sizes, k, 8)}, align 8") for k in range(4)
        ]
        f.span("%lo", "%hi", 1, lambda u, _: self.unit(u))
        f.end()

    def text(self) -> str:
        return self.f.module.text()

    def unit(self, u: Number) -> None:
        f, n, r = self.f, self.n, self.r
        square, wide = self.times(u, self.times(n, n)), self.times(u, self.times(n, r))
        f.clear(self.work, self.times(self.width, str(f.add(n, 1))))
        if self.name == "cholesky":
            self.turn(f.at(self.a, square), n, self.work, self.width)
            self.each(0, n, self.root)
            self.turn(self.work, self.width, f.at(self.out, square), n, lower=True)
            return
        self.copy(f.at(self.a, square), n, self.work, self.width, n)
        f.when(
            f(f"icmp sgt i64 {r}, 0"),
            lambda: self.copy(f.at(self.b, wide), r, f.at(self.work, self.middle), self.width, r),
        )
        if self.name in ("lu", "solve"):
            exchanges = f.at(self.pivots, self.times(u, n), 4)
            self.each(0, n, lambda k: self.eliminate(k, exchanges))
        if self.name.startswith("lower"):
            self.each(0, n, lambda k: self.substitute(k, f.add(k, 1), n))
        elif self.name != "lu":
            self.each(0, n, lambda t: self.from_below(f.sub(f.sub(n, 1), t)))
        if self.name == "lu":
            self.copy(self.work, self.width, f.at(self.out, square), n, n)
        else:
            self.copy(f.at(self.work, self.middle), self.width, f.at(self.out, wide), r, r)

    def from_below(self, k: Number) -> None:
        self.substitute(k, 0, k)

    def times(self, a: Number, b: str) -> str:
        return self.f(f"mul nsw i64 {a}, {b}")

    def each(self, start: Number, stop: Number, body: Callable[[Number], None]) -> None:
        self.f.span(start, stop, 1, lambda i, _: body(i), empty=True)

    def row(self, i: Number) -> str:
        """Where a row of the work begins."""
        return self.f.at(self.work, self.times(i, self.width))

    def vectors(self, start: Number, body: Callable[[Number], None]) -> None:
        """The vectors of a row from ``start`` on."""
        f = self.f
        f.span(start, self.width, f.lanes, lambda j, _: body(j), empty=True)

    def copy(self, source: str, step: str, target: str, to: str, columns: str) -> None:
        """n rows of some columns, which lie so far apart in both."""
        f = self.f

        def line(i: Number) -> None:
            p, q = f.at(source, self.times(i, step)), f.at(target, self.times(i, to))
            self.each(
                0,
                columns,
                lambda j: f.do(
                    f"store {f.element} {f.scalar(f.at(p, j))}, ptr {f.at(q, j)}, align {f.size}"
                ),
            )

        self.each(0, self.n, line)

    def turn(self, source: str, step: str, target: str, to: str, lower: bool = False) -> None:
        """An n by n matrix transposed, whose rows lie so far apart; or the lower triangle that it
        becomes, with zeros above.
        """
        f, e = self.f, self.f.element

        def put(i: Number, j: Number, x: str) -> None:
            f.do(f"store {e} {x}, ptr {f.at(f.at(target, self.times(i, to)), j)}, align {f.size}")

        def line(i: Number) -> None:
            here, stop = f.at(source, i), f.add(i, 1) if lower else self.n
            self.each(0, stop, lambda j: put(i, j, f.scalar(f.at(here, self.times(j, step)))))
            if lower:
                self.each(stop, self.n, lambda j: put(i, j, literal(0, e)))

        self.each(0, self.n, line)

    def root(self, k: Number) -> None:
        """Row k of the upper factor, and its part of the rows below."""
        f, e = self.f, self.f.element
        here, start = self.row(k), f(f"and i64 {k}, {-f.lanes}")
        pivot = f.scalar(f.at(here, k))
        fine = f(f"fcmp ogt {e} {pivot}, {literal(0, e)}")
        f.when(f(f"xor i1 {fine}, true"), self.fail)
        size = f.intrinsic("sqrt", "f32" if e == "float" else "f64", e, [(e, pivot)])
        factor = f.splat(f(f"fdiv {e} {literal(1, e)}, {size}"))

        def scale(j: Number) -> None:
            p = f.at(here, j)
            f.store(p, f(f"fmul {f.vector} {f.load(p)}, {factor}"))

        self.vectors(start, scale)
        f.do(f"store {e} {size}, ptr {f.at(here, k)}, align {f.size}")

        def subtract(i: Number) -> None:
            share = f.splat(f(f"fneg {e} {f.scalar(f.at(here, i))}"))
            self.vectors(start, self.less(self.row(i), share, here))

        self.each(f.add(k, 1), self.n, subtract)

    def fail(self) -> None:
        """Say that there was a pivot that is none."""
        self.f.do(f"store i64 1, ptr {self.failed}, align 8")

    def eliminate(self, k: Number, exchanges: str) -> None:
        """Column k below the diagonal, by the row with its largest element."""
        f, e = self.f, self.f.element

        def size(i: Number) -> str:
            x = f.scalar(f.at(self.row(i), k))
            return f.intrinsic("fabs", "f32" if e == "float" else "f64", e, [(e, x)])

        def larger(i: Number, best: list[str]) -> list[str]:
            x = size(i)
            more = f(f"fcmp ogt {e} {x}, {best[0]}")
            place = f(f"select i1 {more}, i64 {i}, i64 {best[1]}")
            return [f(f"select i1 {more}, {e} {x}, {e} {best[0]}"), place]

        here = self.row(k)
        carried = [(e, size(k)), ("i64", str(k))]
        _, place = f.span(f.add(k, 1), self.n, 1, larger, carried, empty=True)
        number = f(f"trunc i64 {f.add(place, 1)} to i32")
        f.do(f"store i32 {number}, ptr {f.at(exchanges, k, 4)}, align 4")
        there = self.row(place)

        def swap(j: Number) -> None:
            x, y = f.load(f.at(here, j)), f.load(f.at(there, j))
            f.store(f.at(here, j), y)
            f.store(f.at(there, j), x)

        f.when(f(f"icmp ne i64 {place}, {k}"), lambda: self.vectors(0, swap))
        start = f(f"and i64 {k}, {-f.lanes}")
        pivot = self.pivot_row(here, start, k)
        inverse = self.inverse(f.scalar(f.at(here, k)))

        def subtract(i: Number) -> None:
            line = self.row(i)
            factor = f(f"fmul {e} {f.scalar(f.at(line, k))}, {inverse}")
            f.do(f"store {e} {factor}, ptr {f.at(line, k)}, align {f.size}")
            self.vectors(start, self.less(line, f.splat(f(f"fneg {e} {factor}")), pivot))

        self.each(f.add(k, 1), self.n, subtract)

    def pivot_row(self, here: str, start: Number, k: Number) -> str:
        """A row from column k + 1 on, in the last row of the work; zeros before."""
        f = self.f
        pivot = self.row(self.n)
        left = f.lanes_below(f.add(f.sub(k, start), 1))
        first = f.load(f.at(here, start))
        zero = f"{f.vector} zeroinitializer"
        f.store(f.at(pivot, start), f(f"select {f.bits} {left}, {zero}, {f.vector} {first}"))
        self.vectors(
            f.add(start, f.lanes), lambda j: f.store(f.at(pivot, j), f.load(f.at(here, j)))
        )
        return pivot

    def inverse(self, pivot: str) -> str:
        """1 / pivot; 0, and a failure, for a pivot of 0."""
        f, e = self.f, self.f.element
        none = f(f"fcmp oeq {e} {pivot}, {literal(0, e)}")
        f.when(none, self.fail)
        inverse = f(f"fdiv {e} {literal(1, e)}, {pivot}")
        return f(f"select i1 {none}, {e} {literal(0, e)}, {e} {inverse}")

    def less(self, line: str, factor: str, other: str) -> Callable[[Number], None]:
        """``line += factor * other``, a vector of it."""
        f = self.f

        def some(j: Number) -> None:
            p = f.at(line, j)
            f.store(p, f.fma(factor, f.load(f.at(other, j)), f.load(p)))

        return some

    def substitute(self, k: Number, start: Number, stop: Number) -> None:
        """Row k of X, and its part of the rows ``start`` to ``stop - 1``."""
        f, e = self.f, self.f.element
        here = self.row(k)
        if not self.name.endswith("unit"):
            pivot = f.splat(f.scalar(f.at(here, k)))

            def scale(j: Number) -> None:
                p = f.at(here, j)
                f.store(p, f(f"fdiv {f.vector} {f.load(p)}, {pivot}"))

            self.vectors(self.middle, scale)

        def subtract(i: Number) -> None:
            line = self.row(i)
            factor = f.splat(f(f"fneg {e} {f.scalar(f.at(line, k))}"))
            self.vectors(self.middle, self.less(line, factor, here))

        self.each(start, stop, subtract)
