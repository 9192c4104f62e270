"""QR factors of small matrices, by Householder's reflections of rows in the cache."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rushlight.compiler.backends.llvm.ir.code import Number, kernel

NAME = "qr"


class Reflections:
    """For each unit, Q (m, k) and R (k, n) of a float32 matrix (m, n), operand 0, to operands 1 and
    2. Operand 3 has room for m + 1 rows of float64, operand 4 holds m, n, k, n padded to whole
    vectors, and the width of a row.

    A row has a row of the matrix and, from column n padded on, one of the identity, which the
    reflections turn into the transpose of all of Q. Where x is what column c has from row c on, it
    takes ``u (u . rows) / (b (b - x[0]))`` from these rows, with ``b = -sign(x[0]) |x|`` and ``u =
    x`` but for ``u[0] = x[0] - b``: that leaves b in row c of the column, and zeros below.
    """

    def __init__(self, width: int) -> None:
        self.f = f = kernel(width, np.dtype(np.float64))
        self.a, self.q, self.r, self.work, sizes = [f.operand(i) for i in range(5)]
        self.m, self.n, self.k, self.middle, self.width = [
            f.scalar64(f.at(sizes, i, 8)) for i in range(5)
        ]
        f.span("%lo", "%hi", 1, lambda u, _: self.unit(u))
        f.end()

    def text(self) -> str:
        return self.f.module.text()

    def unit(self, u: Number) -> None:
        f, m, n, k = self.f, self.m, self.n, self.k
        self.fill(self.times(u, self.times(m, n)))
        self.each(0, f.smaller(f.sub(m, 1), n), self.reflect)
        q, r = self.times(u, self.times(m, k)), self.times(u, self.times(k, n))

        def turned(i: Number) -> None:
            to, column = f.at(self.q, f.add(q, self.times(i, k)), 4), f.add(self.middle, i)
            self.each(0, k, lambda j: self.put(f.at(to, j, 4), self.work_at(j, column)))

        def upper(i: Number) -> None:
            to = f.at(self.r, f.add(r, self.times(i, n)), 4)
            self.each(0, f.smaller(i, n), lambda j: self.put(f.at(to, j, 4), "0.0"))
            self.each(i, n, lambda j: self.put(f.at(to, j, 4), self.work_at(i, j)))

        self.each(0, m, turned)
        self.each(0, k, upper)

    def times(self, a: Number, b: Number) -> str:
        return self.f(f"mul nsw i64 {a}, {b}")

    def each(self, start: Number, stop: Number, body: Callable[[Number], None]) -> None:
        self.f.span(start, stop, 1, lambda i, _: body(i), empty=True)

    def vectors(self, start: Number, body: Callable[[Number], None]) -> None:
        """The vectors of a row from ``start`` on."""
        self.f.span(start, self.width, self.f.lanes, lambda j, _: body(j))

    def row(self, i: Number) -> str:
        """Where a row of the work begins."""
        return self.f.at(self.work, self.times(i, self.width))

    def work_at(self, i: Number, j: Number) -> str:
        """An element of the work."""
        return self.f.scalar(self.f.at(self.row(i), j))

    def put(self, p: str, value: str) -> None:
        """Write a float32."""
        f = self.f
        f.do(f"store float {f(f'fptrunc double {value} to float')}, ptr {p}, align 4")

    def set(self, p: str, value: str) -> None:
        self.f.do(f"store double {value}, ptr {p}, align 8")

    def fill(self, start: str) -> None:
        """The matrix beside the identity."""
        f, n = self.f, self.n

        def line(i: Number) -> None:
            from_, to = f.at(self.a, f.add(start, self.times(i, n)), 4), self.row(i)

            def element(j: Number) -> None:
                x = f(f"load float, ptr {f.at(from_, j, 4)}, align 4")
                self.set(f.at(to, j), f(f"fpext float {x} to double"))

            self.each(0, n, element)
            self.set(f.at(to, f.add(self.middle, i)), "1.0")

        f.clear(self.work, self.times(self.m, self.width))
        self.each(0, self.m, line)

    def reflect(self, c: Number) -> None:
        """Column c, unless it has zeros below row c already."""
        f = self.f

        def add_square(i: Number, sums: list[str]) -> list[str]:
            x = self.work_at(i, c)
            return [f(f"fadd double {sums[0]}, {f(f'fmul double {x}, {x}')}")]

        (rest,) = f.span(f.add(c, 1), self.m, 1, add_square, [("double", "0.0")])
        f.when(f(f"fcmp une double {rest}, 0.0"), lambda: self.turn(c, rest))

    def turn(self, c: Number, rest: str) -> None:
        f, x, sums = self.f, self.work_at(c, c), self.row(self.m)
        square = f(f"fadd double {f(f'fmul double {x}, {x}')}, {rest}")
        size = f.intrinsic("sqrt", "f64", "double", [("double", square)])
        minus = f(f"fneg double {x}")
        b = f.intrinsic("copysign", "f64", "double", [("double", size), ("double", minus)])
        first = f(f"fsub double {x}, {b}")
        scale = f.splat(f(f"fdiv double 1.0, {f(f'fmul double {b}, {first}')}"))  # below 0
        start = f(f"and i64 {c}, {-f.lanes}")

        def factor(i: Number) -> str:
            """What u has for a row."""
            own = f(f"icmp eq i64 {i}, {c}")
            return f.splat(f(f"select i1 {own}, double {first}, double {self.work_at(i, c)}"))

        def add(to: str, factor: str, line: str) -> None:
            def some(j: Number) -> None:
                p = f.at(to, j)
                f.store(p, f.fma(factor, f.load(f.at(line, j)), f.load(p)))

            self.vectors(start, some)

        def subtract(i: Number) -> None:
            add(self.row(i), f(f"fmul {f.vector} {factor(i)}, {scale}"), sums)

        self.vectors(start, lambda j: f.store(f.at(sums, j), "zeroinitializer"))
        self.each(c, self.m, lambda i: add(sums, factor(i), self.row(i)))
        self.each(c, self.m, subtract)
