"""Attention and its gradient: weights are never in memory but for a block of queries.

A unit is one point of the batch (a head of a sample). It packs the transposed keys (and, for the
gradient, values) once and goes through the queries in blocks: products with the keys, softmax, and
products with the values, all in the thread's scratch memory. With a causal mask a block looks at
no key behind its last query. The gradient makes the weights again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.attention_products import EVEN, Matrix, Products, Strides
from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ir.math import Vectors
from rushlight.compiler.backends.llvm.ir.text import splat_literal
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.backends.llvm.products import micro
from rushlight.compiler.backends.llvm.products.gemm import Parts, ceil
from rushlight.compiler.graph import Node
from rushlight.compiler.scalars import FLOATS

QUERIES = 64  # of a block
CAUSAL = 32  # of a block where less than all keys may do
BRIEF = 128  # up to so many, such blocks are half as large
FEW = 4  # blocks of queries that are written out one by one
SHORT = 8  # vectors of a row of weights that stay in registers
ROOM = 1 << 16  # elements of a block's weights


def fits(node: Node) -> bool:
    """Whether attention is native."""
    q, k, v, mask = node.inputs[-4:]
    kinds = {x.dtype for x in (q, k, v)}
    plain = mask is None or mask.dtype in (q.dtype, np.dtype(bool))
    return len(kinds) == 1 and kinds <= set(FLOATS) and plain


class Shape:
    """Sizes: a batch, L queries and S keys of E elements, values of V."""

    def __init__(self, node: Node, lanes: int) -> None:
        q, k, v = node.inputs[-4:-1]
        self.batch, (self.queries, self.depth) = q.shape[:-2], q.shape[-2:]
        self.keys, self.width = k.shape[-2], v.shape[-1]
        self.causal, self.scale = node.params["is_causal"], node.params["scale"]
        self.vectors = ceil(self.keys, lanes)
        # of weights; at round distances columns of them would have few places in the cache
        self.row = (self.vectors | 1) * lanes
        most = QUERIES if not self.causal else CAUSAL if self.queries > BRIEF else CAUSAL // 2
        self.block = min(self.queries, most, max(EVEN, ROOM // self.row // EVEN * EVEN))
        self.units = math.prod(self.batch)


class Attention(Products):
    """Code of one unit."""

    def __init__(self, node: Node, width: int, strides: tuple[Strides, ...]) -> None:
        f = kernel(width, node.inputs[0].dtype)
        super().__init__(f, width)
        self.node, self.strides = node, strides
        self.s = Shape(node, f.lanes)
        values = [*node.inputs, *node.outputs]
        self.given = [k for k, v in enumerate(values) if v is not None]
        self.base = {k: f.operand(i) for i, k in enumerate(self.given)}
        self.used = 0

    # Memory

    def take(self, elements: int) -> str:
        """Some of the scratch memory."""
        place = self.f.at("%scratch", self.used)
        self.used += ceil(elements, self.f.lanes) * self.f.lanes
        return place

    def matrices(self, u: Number) -> dict[int, Matrix]:
        """All operands at point u of the batch."""
        f, found = self.f, {}
        index: list[Number] = []
        for n in reversed(self.s.batch):
            u, i = f.parted(u, n)
            index.insert(0, i)
        values = [*self.node.inputs, *self.node.outputs]
        for k in self.given:
            steps = self.strides[k]
            p, size = self.base[k], values[k].dtype.itemsize
            for i, step in zip(index, steps, strict=False):
                p = f.at(p, f.mul(i, step), size)
            found[k] = Matrix(p, steps)
        return found

    # Rows of weights

    def apply(self, op: str, *x: str) -> str:
        """A function of vectors."""
        d = self.f.dtype
        return Vectors(self.f, self.f.lanes, self.f.here).apply(op, d, [*x], [d] * len(x))

    def c(self, value: float) -> str:
        """A constant vector."""
        return splat_literal(value, self.f.element, self.f.lanes)

    def keys_of(self, first: Number, rows: int) -> Number:
        """How many keys a block of queries looks at."""
        if not self.s.causal:
            return self.s.keys
        return self.f.smaller(self.f.add(first, rows), self.s.keys)

    def panels(self) -> Parts:
        """Panels of keys: of a block's, where there are others."""
        s = self.s
        fewer = s.causal and s.queries > s.block
        return self.cut(s.block, s.vectors, max(1, s.block // self.f.lanes) if fewer else 8)[1]

    def allowed(self, i: Number, first: Number, v: Number) -> str:
        """Which lanes of vector v query ``first + i`` may look at; empty for all."""
        f, s = self.f, self.s
        last = first if s.causal else s.keys - 1
        known = isinstance(last, int) and isinstance(v, int)
        if known and (v + 1) * f.lanes <= min(last + 1, s.keys):  # type: ignore[operator]
            return ""
        if not s.causal and s.keys % f.lanes == 0:
            return ""
        end: Number = s.keys
        if s.causal:
            end = f.smaller(f.add(f.add(first, i), 1), s.keys)
        left = f.sub(end, f.mul(v, f.lanes))
        if isinstance(left, str):
            left = f(f"trunc i64 {left} to i32")
        kind = f"<{f.lanes} x i32>"
        ramp = ", ".join([f"i32 {k}" for k in range(f.lanes)])
        one = f(f"insertelement {kind} poison, i32 {left}, i64 0")
        wide = f(f"shufflevector {kind} {one}, {kind} poison, <{f.lanes} x i32> zeroinitializer")
        return f(f"icmp slt {kind} <{ramp}>, {wide}")

    def masked(self, x: str, mask: Matrix | None, row: Number, v: Number, on: str) -> str:
        """Scores with a mask; those that may not be looked at are -inf."""
        f, low = self.f, self.c(-math.inf)
        if mask is not None:
            given = self.node.inputs[-1]
            size = given.dtype.itemsize
            p = f.at(f.at(mask.p, f.mul(row, mask.row), size), f.mul(v, f.lanes), size)
            guard = on or f.mask(0, f.lanes)
            if given.dtype == np.dtype(bool):
                kind = f"<{f.lanes} x i8>"
                name = f"v{f.lanes}i8.p0"
                rest = [("ptr", p), ("i32", "1"), (f.bits, guard), (kind, "zeroinitializer")]
                truth = f.intrinsic("masked.load", name, kind, rest)
                truth = f(f"icmp ne {kind} {truth}, zeroinitializer")
                x = f(f"select {f.bits} {truth}, {f.vector} {x}, {f.vector} {low}")
            else:
                x = f.plus(x, f.load(p, mask=guard))
        return f(f"select {f.bits} {on}, {f.vector} {x}, {f.vector} {low}") if on else x

    def softmax(
        self, scores: str, rows: int, first: Number, mask: Matrix | None, factors: str
    ) -> None:
        """Scores of a block become exponentials; ``factors`` get one over each row's sum.

        What is combined across lanes is that of many rows at once, with the steps for each row in
        loops of their own: so they do not wait for each other.
        """
        f, s = self.f, self.s
        vectors = self.vectors_of(self.keys_of(first, rows))

        def scaled(i: Number, _: Any) -> None:
            p = f.at(scores, f.mul(i, s.row))

            def largest(v: Number, best: list[str]) -> list[str]:
                q = f.at(p, f.mul(v, f.lanes))
                x = self.apply("mul", f.load(q), self.c(s.scale))
                x = self.masked(x, mask, f.add(first, i), v, self.allowed(i, first, v))
                f.store(q, x)
                return [self.larger(x, best[0])]

            top = self.along(vectors, largest, self.c(-math.inf))
            f.store(f.at(self.partial, f.mul(i, f.lanes)), top)

        def exponentials(i: Number, _: Any) -> None:
            p, top = f.at(scores, f.mul(i, s.row)), f.splat(f.scalar(f.at(factors, i)))

            def exponential(v: Number, sums: list[str]) -> list[str]:
                q = f.at(p, f.mul(v, f.lanes))
                e = self.apply("exp", self.apply("sub", f.load(q), top))
                f.store(q, e)
                return [f.plus(sums[0], e)]

            total = self.along(vectors, exponential, "zeroinitializer")
            f.store(f.at(self.partial, f.mul(i, f.lanes)), total)

        f.span(0, rows, 1, scaled)
        self.across(rows, factors, self.larger, lambda top: self.replaced(top, -math.inf, 0))
        f.span(0, rows, 1, exponentials)
        one = self.c(1)
        self.across(
            rows, factors, f.plus,
            lambda x: self.apply("div", one, x if mask is None else self.replaced(x, 0, 1)),
        )  # fmt: skip

    def larger(self, x: str, y: str) -> str:
        """The larger of two; y where x is NaN."""
        f = self.f
        more = f(f"fcmp ogt {f.vector} {x}, {y}")
        return f(f"select {f.bits} {more}, {f.vector} {x}, {f.vector} {y}")

    def replaced(self, x: str, old: float, new: float) -> str:
        """x with a number in place of another."""
        f = self.f
        equal = f(f"fcmp oeq {f.vector} {x}, {self.c(old)}")
        return f(f"select {f.bits} {equal}, {f.vector} {self.c(new)}, {f.vector} {x}")

    def across(
        self, rows: int, to: str, join: Callable[[str, str], str], end: Callable[[str], str]
    ) -> None:
        """What joining the lanes of each row's vector in ``partial`` and ``end`` make, row by row
        in ``to``.
        """
        f = self.f

        def some(first: Number, count: int) -> None:
            start = f.at(self.partial, f.mul(first, f.lanes))
            vectors = [f.load(f.at(start, i * f.lanes)) for i in range(count)]
            f.store(f.at(to, first), end(micro.totals(f, vectors, join)))

        whole = rows // f.lanes * f.lanes
        f.span(0, whole, f.lanes, lambda i, _: some(i, f.lanes))
        if rows % f.lanes:
            some(whole, rows % f.lanes)

    def short(self, vectors: Number) -> bool:
        """Whether a row's vectors are written out one by one."""
        return isinstance(vectors, int) and vectors <= SHORT

    def along(
        self, vectors: Number, body: Callable[[Number, list[str]], list[str]], start: str
    ) -> str:
        """What ``body(vector, [so far])`` makes of a row."""
        if not self.short(vectors):
            return self.f.span(0, vectors, 1, body, [(self.f.vector, start)])[0]
        for v in range(int(vectors)):
            (start,) = body(v, [start])
        return start

    def vectors_of(self, keys: Number) -> Number:
        """Vectors that so many keys take."""
        if isinstance(keys, int):
            return ceil(keys, self.f.lanes)
        return self.f(f"sdiv i64 {self.f.add(keys, self.f.lanes - 1)}, {self.f.lanes}")

    def each_block(self, body: Callable[[Number, int], None]) -> None:
        """``body(first query, queries)``, block by block."""
        f, s = self.f, self.s
        whole = s.queries // s.block * s.block
        if whole > FEW * s.block:
            f.span(0, whole, s.block, lambda i, _: body(i, s.block))
        else:
            for i in range(0, whole, s.block):
                body(i, s.block)
        if s.queries % s.block:
            body(whole, s.queries % s.block)

    def scale_rows(self, m: Matrix, first: Number, rows: int, factors: str) -> None:
        """Multiply rows of the result."""
        f, width = self.f, self.s.width

        def row(i: Number, _: Any) -> None:
            p = f.at(m.p, f.mul(f.add(first, i), m.row))
            factor = f.splat(f.scalar(f.at(factors, i)))

            def some(j: Number, lanes: int) -> None:
                q = f.at(p, j)
                f.store(q, self.apply("mul", f.load(q, lanes), factor), lanes)

            whole = width // f.lanes * f.lanes
            f.span(0, whole, f.lanes, lambda j, _: some(j, f.lanes))
            if width % f.lanes:
                some(whole, width % f.lanes)

        f.span(0, rows, 1, row)

    # Units

    def forward(self) -> list[Launch]:
        """The result."""
        f, s = self.f, self.s
        panels = self.panels()
        packed = self.take(s.row * s.depth)
        scores, factors = self.take(s.block * s.row), self.take(s.block)
        self.partial = self.take(s.block * f.lanes)
        self.packed_depth = s.depth

        def unit(u: Number, _: Any) -> None:
            m = self.matrices(u)
            q, k, v, mask, out = m[0], m[1], m[2], m.get(3), m[4]
            self.pack(k, s.keys, s.depth, panels, packed)

            def block(first: Number, rows: int) -> None:
                limit = self.keys_of(first, rows)
                self.scores(q, first, rows, packed, scores, limit, panels)
                self.softmax(scores, rows, first, mask, factors)
                self.product((rows, s.width), (scores, s.row, 1), (v.p, v.row),
                             (f.at(out.p, f.mul(first, out.row)), out.row), limit)  # fmt: skip
                self.scale_rows(out, first, rows, factors)

            self.each_block(block)

        f.span("%lo", "%hi", 1, unit)
        return self.launch(2 + 8 / s.depth)

    def scores(
        self,
        q: Matrix,
        first: Number,
        rows: int,
        packed: str,
        to: str,
        limit: Number,
        panels: Parts,
    ) -> None:
        """Products of queries (or gradients) with all keys (or values)."""
        f, s = self.f, self.s
        a = (f.at(q.p, f.mul(first, q.row)), q.row, 1)
        blocks = Parts(rows, ceil(rows, micro.most_rows(panels.largest, self.registers)))

        def panel(wide: int, start: Number) -> None:
            column, width = f.mul(start, f.lanes), wide * f.lanes
            here = f.at(packed, f.mul(column, self.packed_depth))
            self.strip(blocks, a, (here, width), width, True, (f.at(to, column), s.row),
                       self.packed_depth, False, rows)  # fmt: skip

        self.each(panels, limit, f.lanes, panel)

    def backward(self) -> list[Launch]:
        """Gradients of queries, keys and values."""
        f, s = self.f, self.s
        panels = self.panels()
        packed_keys, packed_values = self.take(s.row * s.depth), self.take(s.row * s.width)
        weights, slopes = self.take(s.block * s.row), self.take(s.block * s.row)
        factors, self.partial = self.take(s.block), self.take(s.block * f.lanes)

        def unit(u: Number, _: Any) -> None:
            m = self.matrices(u)
            g, q, k, v, mask = m[0], m[1], m[2], m[3], m.get(4)
            gq, gk, gv = m[5], m[6], m[7]
            self.pack(k, s.keys, s.depth, panels, packed_keys)
            self.pack(v, s.keys, s.width, panels, packed_values)
            for target, width in ((gk, s.depth), (gv, s.width)):
                self.clear_rows(target, s.keys, width)

            def block(first: Number, rows: int) -> None:
                limit = self.keys_of(first, rows)
                self.packed_depth = s.depth
                self.scores(q, first, rows, packed_keys, weights, limit, panels)
                self.softmax(weights, rows, first, mask, factors)
                self.packed_depth = s.width
                self.scores(g, first, rows, packed_values, slopes, limit, panels)
                self.slope(weights, slopes, rows, first, factors)
                at = [f.at(x.p, f.mul(first, x.row)) for x in (q, g, gq)]
                self.product((rows, s.depth), (slopes, s.row, 1), (k.p, k.row), (at[2], gq.row),
                             limit)  # fmt: skip
                self.product((s.keys, s.depth), (slopes, 1, s.row), (at[0], q.row),
                             (gk.p, gk.row), rows, True, limit)  # fmt: skip
                self.product((s.keys, s.width), (weights, 1, s.row), (at[1], g.row),
                             (gv.p, gv.row), rows, True, limit)  # fmt: skip

            self.each_block(block)

        f.span("%lo", "%hi", 1, unit)
        return self.launch(5 + 16 / s.depth)

    def clear_rows(self, m: Matrix, rows: int, width: int) -> None:
        """Zeros."""
        self.f.span(
            0, rows, 1, lambda i, _: self.f.clear(self.f.at(m.p, self.f.mul(i, m.row)), width)
        )

    def slope(self, weights: str, slopes: str, rows: int, first: Number, factors: str) -> None:
        """Weights are divided by their sum; their gradients become those of the products."""
        f, s = self.f, self.s
        vectors = self.vectors_of(self.keys_of(first, rows))

        def row(i: Number, _: Any) -> None:
            p, d = [f.at(x, f.mul(i, s.row)) for x in (weights, slopes)]
            factor = f.splat(f.scalar(f.at(factors, i)))

            kept: dict[Number, tuple[str, str]] = {}

            def pair(v: Number) -> tuple[str, str]:
                at = f.mul(v, f.lanes)
                return f.load(f.at(p, at)), f.load(f.at(d, at))

            def dot(v: Number, sums: list[str]) -> list[str]:
                kept[v] = pair(v)
                return [f.fma(*kept[v], sums[0])]

            total = f.total(self.along(vectors, dot, "zeroinitializer"))
            mean = self.apply("mul", f.splat(total), factor)

            def some(v: Number, sums: list[str]) -> list[str]:
                at = f.mul(v, f.lanes)
                weight, slope = kept[v] if self.short(vectors) else pair(v)
                w = self.apply("mul", weight, factor)
                f.store(f.at(p, at), w)
                x = self.apply("mul", self.apply("sub", slope, mean), w)
                f.store(f.at(d, at), self.apply("mul", x, self.c(s.scale)))
                return sums

            self.along(vectors, some, "zeroinitializer")

        f.span(0, rows, 1, row)

    def launch(self, products: float) -> list[Launch]:
        """The kernel; it makes so many products of queries and keys."""
        f, s = self.f, self.s
        f.end()
        share = 0.6 if s.causal and s.queries > s.block else 1.0
        work = s.units * s.queries * s.keys * max(s.depth, s.width) * products * share
        operands = tuple([(k, 0) for k in self.given])
        scratch = (self.used + f.lanes) * f.size
        return [Launch(f.module.text(), operands, s.units, scratch, cost=work / 160 * f.size)]


def write_forward(node: Node, width: int, strides: tuple[Strides, ...]) -> list[Launch]:
    """FlashAttention: query, key, value, mask or None; the result."""
    return Attention(node, width, strides).forward()


def write_backward(node: Node, width: int, strides: tuple[Strides, ...]) -> list[Launch]:
    """FlashAttentionGrad: the gradient before those; gradients of query, key and value."""
    return Attention(node, width, strides).backward()
