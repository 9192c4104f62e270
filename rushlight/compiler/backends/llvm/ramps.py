"""One number for all elements, bounds for them, numbers in even steps, triangles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ir.math import Vectors

F64 = np.dtype(np.float64)
FILL, LIMIT, RAMP, BETWEEN = "fill", "limit", "ramp", "between"
TRIANGLES = ("lower triangle", "upper triangle")
KEPT = ("lower kept", "upper kept")
LANES = 8  # elements that are made together
AT_ONCE = 4  # vectors that are written one after another


def fill(d: Any, width: int) -> str:
    """The number in operand 1 to all ``%hi`` elements of operand 0."""
    f = kernel(width, d)
    target, value = f.operand(0), f.scalar(f.operand(1))
    vector, many = f.splat(value), AT_ONCE * f.lanes

    def some(i: Number) -> None:
        for k in range(AT_ONCE):
            f.store(f.at(target, f.add(i, k * f.lanes)), vector)

    def one(i: Number) -> None:
        f.do(f"store {f.element} {value}, ptr {f.at(target, i)}, align {f.size}")

    whole = f(f"and i64 %hi, {-many}")
    f.span(0, whole, many, lambda i, _: some(i), empty=True)
    f.span(whole, "%hi", 1, lambda i, _: one(i), empty=True)
    f.end()
    return f.module.text()


def by_lanes(f: Any, some: Callable[[Number, int], None]) -> str:
    """The text of a function that goes through ``%hi`` elements: ``some(i, lanes)`` does LANES of
    them from the i-th on, or one, as 0 says.
    """
    whole = f(f"and i64 %hi, {-LANES}")
    f.span(0, whole, LANES, lambda i, _: some(i, LANES), empty=True)
    f.span(whole, "%hi", 1, lambda i, _: some(i, 0), empty=True)
    f.end()
    return f.module.text()


def limit(d: Any, width: int) -> str:
    """The integers of operand 0 to operand 1, limited to the bounds in operand 2."""
    f = kernel(width, d)
    source, target, bounds = [f.operand(k) for k in range(3)]
    low, high = [f.scalar64(f.at(bounds, k, 8)) for k in range(2)]

    def some(i: Number, lanes: int) -> None:
        v = Vectors(f, lanes, f.here)
        x = f(f"load {v.type(d)}, ptr {f.at(source, i)}, align {f.size}")
        x = v.apply("max", d, [x, v.splat(low, d)], [d, d])
        x = v.apply("min", d, [x, v.splat(high, d)], [d, d])
        f.do(f"store {v.type(d)} {x}, ptr {f.at(target, i)}, align {f.size}")

    return by_lanes(f, some)


def ramp(d: Any, width: int) -> str:
    """``first + i * step`` for i below ``%hi``, in float64, to operand 0; operand 1 holds both."""
    f = kernel(width, d)
    target, given = f.operand(0), f.operand(1)
    first, step = [f(f"load double, ptr {f.at(given, k, 8)}, align 8") for k in range(2)]

    def some(i: Number, lanes: int) -> None:
        v = Vectors(f, lanes, f.here)
        kind, x = v.type(F64), v.splat(f(f"sitofp i64 {i} to double"), F64)
        if lanes:
            ahead = ", ".join([f"double {float(k)}" for k in range(lanes)])
            x = f(f"fadd {kind} {x}, <{ahead}>")
        x = f(f"fmul {kind} {x}, {v.splat(step, F64)}")
        x = f(f"fadd {kind} {x}, {v.splat(first, F64)}")
        x = x if d == F64 else v.cast(x, F64, d)
        f.do(f"store {v.type(d)} {x}, ptr {f.at(target, i)}, align {f.size}")

    return by_lanes(f, some)


def between(d: Any, width: int) -> str:
    """``%hi`` numbers, 2 at least, to operand 0: ``first + i * step`` in the first half, in the
    other one as far from ``last``, in float64; operand 1 holds first and last. The step is rounded
    as arithmetic of the dtype would be.
    """
    f = kernel(width, d)
    target, given, one = f.operand(0), f.operand(1), Vectors(f, 0, f.here)
    ends = [f(f"load double, ptr {f.at(given, k, 8)}, align 8") for k in range(2)]
    ends = ends if d == F64 else [one.cast(x, F64, d) for x in ends]
    apart = f(f"fsub {f.element} {ends[1]}, {ends[0]}")
    steps = f(f"sitofp i64 {f('sub i64 %hi, 1')} to {f.element}")
    found = [*ends, f(f"fdiv {f.element} {apart}, {steps}")]
    first, last, step = found if d == F64 else [one.cast(x, d, F64) for x in found]
    half, end = [
        f(f"sitofp i64 {f(text)} to double") for text in ("lshr i64 %hi, 1", "sub i64 %hi, 1")
    ]

    def some(i: Number, lanes: int) -> None:
        v = Vectors(f, lanes, f.here)
        kind, x = v.type(F64), v.splat(f(f"sitofp i64 {i} to double"), F64)
        bits = f"<{lanes} x i1>" if lanes else "i1"
        if lanes:
            ahead = ", ".join([f"double {float(k)}" for k in range(lanes)])
            x = f(f"fadd {kind} {x}, <{ahead}>")
        early = f(f"fcmp olt {kind} {x}, {v.splat(half, F64)}")
        back = f(f"fsub {kind} {x}, {v.splat(end, F64)}")
        x = f(f"select {bits} {early}, {kind} {x}, {kind} {back}")
        start = f"{kind} {v.splat(first, F64)}, {kind} {v.splat(last, F64)}"
        x = f(f"fmul {kind} {x}, {v.splat(step, F64)}")
        x = f(f"fadd {kind} {x}, {f(f'select {bits} {early}, {start}')}")
        x = x if d == F64 else v.cast(x, F64, d)
        f.do(f"store {v.type(d)} {x}, ptr {f.at(target, i)}, align {f.size}")

    return by_lanes(f, some)


def triangle(name: str, d: Any, width: int) -> str:
    """The rows of a triangle's elements to operand 0, and their columns to operand 1. Operand 2
    holds the number of columns, and for the row 0 the column where the triangle ends or begins.
    """
    f = kernel(width, d)
    rows, columns, sizes = [f.operand(k) for k in range(3)]
    n, edge = [f.scalar64(f.at(sizes, k, 8)) for k in range(2)]

    def narrow(i: Number) -> str:
        return str(i) if f.size == 8 else f(f"trunc i64 {i} to {f.element}")

    def row(i: Number, before: list[str]) -> list[str]:
        at = f.smaller(f.larger(f.add(i, edge), 0), n)
        begin, end = (0, at) if name == TRIANGLES[0] else (at, n)
        start = f.sub(before[0], begin)
        number = narrow(i)

        def element(j: Number, _: list[str]) -> None:
            for to, value in ((rows, number), (columns, narrow(j))):
                place = f.at(to, f.add(start, j))
                f.do(f"store {f.element} {value}, ptr {place}, align {f.size}")

        f.span(begin, end, 1, element, empty=True)
        return [str(f.add(start, end))]

    f.span("%lo", "%hi", 1, row, [("i64", "0")])
    f.end()
    return f.module.text()


def kept(name: str, d: Any, width: int) -> str:
    """For each unit, a matrix of operand 0 to operand 1, with zeros outside of a triangle. Operand
    2 holds the numbers of rows and columns, and for the row 0 the column where the triangle ends or
    begins.
    """
    f = kernel(width, d)
    source, target, sizes = [f.operand(k) for k in range(3)]
    count, n, edge = [f.scalar64(f.at(sizes, k, 8)) for k in range(3)]

    def row(u: Number, i: Number) -> None:
        start = f(f"mul nsw i64 {f.add(f(f'mul nsw i64 {u}, {count}'), i)}, {n}")
        at = f.smaller(f.larger(f.add(i, edge), 0), n)

        def put(j: Number, value: str) -> None:
            to = f.at(target, f.add(start, j))
            f.do(f"store {f.element} {value}, ptr {to}, align {f.size}")

        def copy(j: Number, _: list[str]) -> None:
            put(j, f.scalar(f.at(source, f.add(start, j))))

        def clear(j: Number, _: list[str]) -> None:
            put(j, "0")

        left, right = (copy, clear) if name == KEPT[0] else (clear, copy)
        f.span(0, at, 1, left, empty=True)
        f.span(at, n, 1, right, empty=True)

    f.grid("%hi", count, row)
    f.end()
    return f.module.text()
