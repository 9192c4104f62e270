"""Softmax of few floats and its logarithm, along the middle of three dims of any sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ir.math import Vectors
from rushlight.compiler.backends.llvm.ir.text import splat_literal

NAMES = ("softmax", "log softmax")


def text(name: str, d: Any, width: int) -> str:
    """Of (units, n, inner), operand 0, to operand 1; operand 2 holds n and inner."""
    soft = Soft(name, d, width)
    soft.f.end()
    return soft.f.module.text()


class Soft:
    """Vectors lie along the middle where inner is 1, else along inner."""

    def __init__(self, name: str, d: Any, width: int) -> None:
        self.log = name == "log softmax"
        self.f = f = kernel(width, d)
        self.x, self.out, sizes = [f.operand(k) for k in range(3)]
        self.n, self.inner = [f.scalar64(f.at(sizes, k, 8)) for k in range(2)]
        self.least = splat_literal(-np.inf, f.element, f.lanes)
        self.zero = splat_literal(0.0, f.element, f.lanes)
        f.when(
            f(f"icmp eq i64 {self.inner}, 1"),
            lambda: f.span("%lo", "%hi", 1, lambda u, _: self.row(u)),
            lambda: f.span("%lo", "%hi", 1, lambda u, _: self.columns(u)),
        )

    def row(self, u: Number) -> None:
        """Several elements of a row at a time, the last ones under a mask."""
        f = self.f
        start = f(f"mul nsw i64 {u}, {self.n}")

        def along(body: Callable[..., str | None], *first: str) -> list[str]:
            def step(i: Number, state: list[str]) -> list[str]:
                found = body(f.add(start, i), f.lanes_below(f.sub(self.n, i)), *state)
                return [found] if found else []

            return f.span(0, self.n, f.lanes, step, [(f.vector, v) for v in first])

        (top,) = along(self.larger, self.least)
        arguments = [(f.vector, top)]
        top = f.intrinsic("vector.reduce.fmax", f.suffix, f.element, arguments, flags="nnan ")
        top = f.splat(top)
        (total,) = along(lambda at, on, total: self.added(at, on, top, total), self.zero)
        total = self.divisor(f.splat(f.total(total)))
        along(lambda at, on: self.finished(at, on, top, total))

    def columns(self, u: Number) -> None:
        """Several columns at a time."""
        f = self.f
        size = f(f"mul nsw i64 {self.n}, {self.inner}")
        start = f(f"mul nsw i64 {u}, {size}")

        def some(c: Number, _: list[str]) -> None:
            on, first_row = f.lanes_below(f.sub(self.inner, c)), f.add(start, c)

            def along(body: Callable[..., str | None], *first: str) -> list[str]:
                def step(i: Number, state: list[str]) -> list[str]:
                    found = body(f.add(first_row, f(f"mul nsw i64 {i}, {self.inner}")), on, *state)
                    return [found] if found else []

                return f.span(0, self.n, 1, step, [(f.vector, v) for v in first])

            (top,) = along(self.larger, self.least)
            (total,) = along(lambda at, on, total: self.added(at, on, top, total), self.zero)
            total = self.divisor(total)
            along(lambda at, on: self.finished(at, on, top, total))

        f.span(0, self.inner, f.lanes, some)

    def larger(self, at: Number, on: str, top: str) -> str:
        """The larger of what there was and the elements; NaN is none, but shows in the sums."""
        f = self.f
        x = f.load(f.at(self.x, at), mask=on, rest=self.least)
        more = f(f"fcmp ogt {f.vector} {x}, {top}")
        return f(f"select {f.bits} {more}, {f.vector} {x}, {f.vector} {top}")

    def added(self, at: Number, on: str, top: str, total: str) -> str:
        """The sums with the exponentials, which "softmax" keeps."""
        f = self.f
        x = f(f"fsub {f.vector} {f.load(f.at(self.x, at), mask=on)}, {top}")
        e = Vectors(f, f.lanes, f.here).function("exp", f.dtype, [x])
        if not self.log:
            f.masked_store(f.at(self.out, at), e, on)
        return f.plus(total, f(f"select {f.bits} {on}, {f.vector} {e}, {f.vector} {self.zero}"))

    def divisor(self, total: str) -> str:
        """What exponentials are divided by, or its logarithm."""
        f = self.f
        return Vectors(f, f.lanes, f.here).function("log", f.dtype, [total]) if self.log else total

    def finished(self, at: Number, on: str, top: str, total: str) -> None:
        """The results."""
        f = self.f
        x = f.load(f.at(self.x if self.log else self.out, at), mask=on)
        if self.log:
            x = f(f"fsub {f.vector} {f(f'fsub {f.vector} {x}, {top}')}, {total}")
        else:
            x = f(f"fdiv {f.vector} {x}, {total}")
        f.masked_store(f.at(self.out, at), x, on)
