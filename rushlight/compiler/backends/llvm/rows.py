"""Kernels that go through rows one after another: writes by index, running sums and products."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ir.math import Vectors
from rushlight.compiler.backends.llvm.ir.text import mangled, scalar_type
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.graph import Node, Value
from rushlight.compiler.scalars import FLOATS, HALVES, NATIVE

BLOCK = 16  # vectors of a row in a unit
BOOL = np.dtype(bool)


class Rows:
    """Code over matrices: the columns of a unit, vector by vector.

    Unit ``u`` works on matrix ``u // blocks``, and on block ``u % blocks`` of its columns.
    """

    def __init__(self, width: int, d: np.dtype[Any], matrices: int, columns: int) -> None:
        self.f = kernel(width, np.dtype(np.uint8) if d == BOOL else d)
        self.columns = columns
        self.single = columns < self.f.lanes // 2  # few columns: element by element
        self.step = 1 if self.single else self.f.lanes
        self.whole, self.tail = divmod(columns, self.step)
        self.blocks = 1 if self.single else max(1, -(-self.whole // BLOCK))
        self.units = matrices * self.blocks

    def each_unit(self, body: Callable[[Number], None]) -> None:
        """``body(matrix)`` for the units of a call; ``each_vector`` then goes through its block."""
        f = self.f

        def unit(u: Number, _: list[str]) -> None:
            self.first: Number = 0
            self.last: Number = self.whole
            if self.blocks == 1:
                body(u)
                return
            block = f(f"urem i64 {u}, {self.blocks}")
            self.first = f.mul(block, BLOCK)
            self.last = f.smaller(f.add(self.first, BLOCK), self.whole)
            body(f(f"udiv i64 {u}, {self.blocks}"))

        f.span("%lo", "%hi", 1, unit)

    def each_vector(self, body: Callable[[Number, int], None]) -> None:
        """``body(column, lanes)`` for the vectors of a unit's block; the row's tail is the last
        block's.
        """
        f = self.f
        empty = not isinstance(self.last, int)
        f.span(
            self.first, self.last, 1, lambda v, _: body(f.mul(v, self.step), self.step), empty=empty
        )
        if not self.tail:
            return
        tail = partial(body, self.whole * self.step, self.tail)
        if self.blocks == 1:
            tail()
        else:
            f.when(f(f"icmp eq i64 {self.last}, {self.whole}"), tail)

    def load(self, p: str, lanes: int) -> str:
        """Some lanes of a row."""
        return self.f.scalar(p) if self.single else self.f.load(p, lanes)

    def store(self, p: str, x: str, lanes: int) -> None:
        """The reverse."""
        f = self.f
        if self.single:
            f.do(f"store {f.element} {x}, ptr {p}, align {f.size}")
        else:
            f.store(p, x, lanes)

    def vectors(self) -> Vectors:
        """What writes operations on them here."""
        return Vectors(self.f, 0 if self.single else self.f.lanes, self.f.here)

    def cast(self, x: str, a: np.dtype[Any], d: np.dtype[Any]) -> str:
        """Conversion between dtypes."""
        return x if a == d else self.vectors().cast(x, a, d)

    def binary(self, op: str, a: str, b: str) -> str:
        """Two vectors, or elements, combined: "add", "mul", "max" or "min" (NaN wins)."""
        f, d = self.f, self.f.dtype
        kind = f.element if self.single else f.vector
        if op in ("add", "mul"):
            return f(f"{'f' * (d in FLOATS)}{op} {kind} {a}, {b}")
        name = {"f": {"max": "maximum", "min": "minimum"}[op], "i": f"s{op}", "u": f"u{op}"}[d.kind]
        suffix = mangled(f.element, 0 if self.single else f.lanes)
        return f.intrinsic(name, suffix, kind, [(kind, a), (kind, b)])


def fits_place(node: Node) -> bool:
    """Whether rows can be placed natively."""
    where, source = node.inputs[1:]
    out = node.outputs[0]
    written = node.params["how"] == "write"
    plain = out.dtype in NATIVE and (written or out.dtype not in (BOOL, *HALVES))
    whole = where.dtype in (np.dtype(np.int64), np.dtype(np.int32))
    return plain and whole and source.dtype == out.dtype and 0 not in (*out.shape, *source.shape)


def write_place(node: Node, width: int) -> list[Launch]:
    """PlaceRows: the rows are gone through in order, so that sums are the same each time."""
    base, where, source = node.inputs
    (a, r, d), m, how = node.params["shape"], where.shape[0], node.params["how"]
    rows = Rows(width, source.dtype, a, d)
    f = rows.f
    given = [v for v in (0, 1, 2, 3) if v != 0 or base is not None]
    at = {k: f.operand(i) for i, k in enumerate(given)}
    kind, size = scalar_type(where.dtype), where.dtype.itemsize

    def start(out: str, old: str, i: Number, _: Any) -> None:
        p, q = f.at(out, f.mul(i, d)), f.at(old, f.mul(i, d)) if old else ""

        def vector(c: Number, lanes: int) -> None:
            zero = "zeroinitializer" if not rows.single else "0.0" if f.dtype in FLOATS else "0"
            rows.store(f.at(p, c), rows.load(f.at(q, c), lanes) if old else zero, lanes)

        rows.each_vector(vector)

    def place(out: str, new: str, i: Number, _: Any) -> None:
        row = f(f"load {kind}, ptr {f.at(at[1], i, size)}, align {size}")
        if kind != "i64":
            row = f(f"sext {kind} {row} to i64")
        row = str(f.smaller(row, r - 1))
        row = f.intrinsic("smax", "i64", "i64", [("i64", row), ("i64", "0")])
        p, q = f.at(out, f.mul(row, d)), f.at(new, f.mul(i, d))

        def vector(c: Number, lanes: int) -> None:
            x = rows.load(f.at(q, c), lanes)
            if how != "write":
                x = rows.binary(how, rows.load(f.at(p, c), lanes), x)
            rows.store(f.at(p, c), x, lanes)

        rows.each_vector(vector)

    def unit(matrix: Number) -> None:
        out = f.at(at[3], f.mul(matrix, r * d))
        old = f.at(at[0], f.mul(matrix, r * d)) if base is not None else ""
        f.span(0, r, 1, partial(start, out, old))
        f.span(0, m, 1, partial(place, out, f.at(at[2], f.mul(matrix, m * d))))

    rows.each_unit(unit)
    f.end()
    cost = (0.05 * r + 0.2 * m) * a * d + 2 * m
    operands = tuple([(k, 0) for k in given])
    return [Launch(f.module.text(), operands, rows.units, cost=cost)]


def fits_scan(node: Node) -> bool:
    """Whether a running sum or product is native."""
    x, out = node.inputs[0], node.outputs[0]
    fine = isinstance(x, Value) and x.dtype == out.dtype and x.dtype in NATIVE
    return fine and x.dtype not in (BOOL, *HALVES) and bool(x.shape) and 0 not in x.shape


def write_scan(node: Node, width: int) -> list[Launch]:
    """Cumsum and Cumprod along a dim: each row is combined with the one before it. Those of float32
    are carried in float64, so that long runs keep their digits.
    """
    x, dim = node.inputs[0], node.params["dim"] % len(node.inputs[0].shape)
    n, d = x.shape[dim], math.prod(x.shape[dim + 1 :])
    op = "add" if type(node.op).__name__ == "Cumsum" else "mul"
    back = node.params.get("reverse", False)
    rows = Rows(width, x.dtype, math.prod(x.shape[:dim]), d)
    f = rows.f
    carried = np.dtype(np.float64) if x.dtype in FLOATS else x.dtype
    source, target = f.operand(0), f.operand(1)

    def unit(matrix: Number) -> None:
        start = f.mul(matrix, n * d)
        p, q = f.at(source, start), f.at(target, start)

        def column(c: Number, lanes: int) -> None:
            def load(here: Number) -> str:
                return rows.cast(rows.load(f.at(p, here), lanes), x.dtype, carried)

            def store(here: Number, total: str) -> None:
                rows.store(f.at(q, here), rows.cast(total, carried, x.dtype), lanes)

            def row(i: Number, totals: list[str]) -> list[str]:
                if back:
                    i = f.add(f.mul(i, -1), n - 1)
                here = f.add(f.mul(i, d), c)
                total = rows.vectors().apply(op, carried, [totals[0], load(here)], [carried] * 2)
                store(here, total)
                return [total]

            first = f.add(f.mul(n - 1 if back else 0, d), c)
            total = load(first)
            store(first, total)
            f.span(1, n, 1, row, [(rows.vectors().type(carried), total)])

        rows.each_vector(column)

    rows.each_unit(unit)
    f.end()
    cost = (1.2 if rows.single else 0.1) * math.prod(x.shape)
    return [Launch(f.module.text(), ((0, 0), (1, 0)), rows.units, cost=cost)]


def fits_recurrence(node: Node) -> bool:
    """Whether a linear recurrence is native."""
    x, factor = node.inputs
    fine = x.dtype in FLOATS and factor.dtype == x.dtype == node.outputs[0].dtype
    return fine and bool(x.shape) and 0 not in (*x.shape, *factor.shape)


def write_recurrence(node: Node, width: int) -> list[Launch]:
    """Recurrence along a dim: each row is the one after it, times a factor, and something more."""
    x, dim = node.inputs[0], node.params["dim"] % len(node.inputs[0].shape)
    n, d = x.shape[dim], math.prod(x.shape[dim + 1 :])
    rows = Rows(width, x.dtype, math.prod(x.shape[:dim]), d)
    f = rows.f
    source, factor, target = [f.operand(k) for k in range(3)]

    def unit(matrix: Number) -> None:
        start = f.mul(matrix, n * d)
        p, q = f.at(source, start), f.at(target, start)
        a = f.at(factor, f.mul(matrix, (n - 1) * d))

        def column(c: Number, lanes: int) -> None:
            def row(i: Number, after: list[str]) -> list[str]:
                here = f.add(f.mul(f.sub(n - 2, i), d), c)
                grown = rows.binary("mul", after[0], rows.load(f.at(a, here), lanes))
                out = rows.binary("add", rows.load(f.at(p, here), lanes), grown)
                rows.store(f.at(q, here), out, lanes)
                return [out]

            last = f.add((n - 1) * d, c)
            out = rows.load(f.at(p, last), lanes)
            rows.store(f.at(q, last), out, lanes)
            kind = f.element if rows.single else f.vector
            f.span(0, n - 1, 1, row, [(kind, out)])

        rows.each_vector(column)

    rows.each_unit(unit)
    f.end()
    cost = (1.5 if rows.single else 0.15) * math.prod(x.shape)
    operands = ((0, 0), (1, 0), (2, 0))
    return [Launch(f.module.text(), operands, rows.units, cost=cost)]
