"""Sums of all elements of an array."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.ir.code import Code, Number, kernel
from rushlight.compiler.backends.llvm.ir.math import Vectors
from rushlight.compiler.backends.llvm.ir.text import scalar_type
from rushlight.core.native import ROW

NAME = "total"
LANES, WAYS = 16, 4  # of vectors, and vectors, that are added to at a time
BLOCK = LANES * WAYS
SHORT = 1024  # elements that are added up in one go, instead of ROW, of float64, which has nothing
# wider for the sum of rows; of complex numbers both parts count
F32, F64, LONG = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64)


class Integer:
    """A sum that is carried in int64."""

    kind, plus = "i64", "add"
    first: tuple[str, ...] = ("0",)

    def __init__(self, f: Code) -> None:
        self.f = f

    def added(self, x: str, total: str) -> list[str]:
        return [self.f(f"add i64 {total}, {x}")]

    def value(self, total: str) -> str:
        return total


class Real(Integer):
    """A sum that is carried in float64, beside what rounding took from it."""

    kind, plus, first = "double", "fadd", ("0.0", "0.0")

    def added(self, x: str, total: str, lost: str) -> list[str]:  # type: ignore[override]
        """Knuth's sum of two numbers."""
        f = self.f
        new = f(f"fadd double {total}, {x}")
        came = f(f"fsub double {new}, {total}")
        off = f(f"fsub double {total}, {f(f'fsub double {new}, {came}')}")
        more = f(f"fadd double {off}, {f(f'fsub double {x}, {came}')}")
        return [new, f(f"fadd double {lost}, {more}")]

    def value(self, total: str, lost: str) -> str:  # type: ignore[override]
        f, both = self.f, self.f(f"fadd double {total}, {lost}")
        infinite = f(f"fcmp uno double {lost}, 0.0")  # inf - inf
        return f(f"select i1 {infinite}, double {total}, double {both}")


def text(_: str, d: Any, width: int) -> str:
    """The sum of operand 0, of ``%hi`` rows and as many elements more as operand 2 says, to operand
    1: of integers as int64, else as float64, of complex numbers two.

    Rows of floats are added up in their dtype, halves in float32, and then in float64.
    """
    parts = 2 if d.kind == "c" else 1
    d = np.dtype(f"f{d.itemsize // 2}") if parts == 2 else d
    work = LONG if d.kind in "iu" else F64 if d == F64 else F32
    f = kernel(width, d)
    carried = Integer(f) if work == LONG else Real(f)
    few = len(carried.first)
    source, target, rest = [f.operand(k) for k in range(3)]
    vector = f"<{LANES} x {scalar_type(work)}>"
    one, lanes = Vectors(f, 0, f.here), Vectors(f, LANES // parts, f.here)

    def load(at: Number, lanes: int) -> str:
        v = Vectors(f, lanes, f.here)
        x = f(f"load {v.type(d)}, ptr {f.at(source, at)}, align {f.size}")
        return x if d == work else v.cast(x, d, work)

    def plus(a: str, b: str) -> str:
        return f(f"{carried.plus} {vector} {a}, {b}")

    def added(terms: list[str], state: list[str]) -> list[str]:
        """The state with a term for each part."""
        new = []
        for k, x in enumerate(terms):
            x = one.cast(x, F32, F64) if work == F32 else x
            new += carried.added(x, *state[few * k :][:few])
        return new

    def blocks(start: Number, count: Number, state: list[str]) -> list[str]:
        """The state with so many blocks."""

        def block(i: Number, sums: list[str]) -> list[str]:
            at = f.add(start, f.mul(i, BLOCK))
            return [plus(s, load(f.add(at, LANES * k), LANES)) for k, s in enumerate(sums)]

        a = f.span(0, count, 1, block, [(vector, "zeroinitializer")] * WAYS, empty=True)
        x = plus(plus(a[0], a[1]), plus(a[2], a[3]))
        return added([lanes.horizontal("sum", work, every(x, k)) for k in range(parts)], state)

    def every(x: str, first: int) -> str:
        """The real or the imaginary parts."""
        order = ", ".join([f"i32 {i}" for i in range(first, LANES, parts)])
        return f(f"shufflevector {vector} {x}, {vector} poison, <{LANES // parts} x i32> <{order}>")

    def element(i: Number, state: list[str]) -> list[str]:
        return added([load(f.add(start, f.add(i, k)), 0) for k in range(parts)], state)

    def row(u: Number, state: list[str]) -> list[str]:
        return blocks(f.mul(u, size), size // BLOCK, state)

    def kept(state: Any) -> list[tuple[str, str]]:
        return [(carried.kind, s) for s in state]

    size = SHORT if work == F64 else ROW
    first = kept(carried.first * parts)
    state = f.span("%lo", f.mul("%hi", ROW // size), 1, row, first, empty=True)
    start, more = f.mul("%hi", ROW), f.scalar64(rest)
    state = blocks(start, f(f"udiv i64 {more}, {BLOCK}"), state)
    done = f(f"and i64 {more}, {-BLOCK}")
    state = f.span(done, more, parts, element, kept(state), empty=True)
    for k in range(parts):
        value = carried.value(*state[few * k :][:few])
        f.do(f"store {carried.kind} {value}, ptr {f.at(target, k, 8)}, align 8")
    f.end()
    return f.module.text()
