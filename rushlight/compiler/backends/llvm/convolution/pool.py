"""Maxima of windows, and their gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.convolution.columns import Columns, Source
from rushlight.compiler.backends.llvm.convolution.shapes import Scratch, pair
from rushlight.compiler.backends.llvm.ir.code import Code, Number
from rushlight.compiler.backends.llvm.ir.text import scalar_type, splat_literal
from rushlight.compiler.graph import Node, Value

TAPS, TURNS = 64, 8  # that are looked for, and rows that are written, one by one
NONE = 255  # no tap


def fits(node: Node) -> bool:
    """Whether a pooling node has native code: floats, windows of one or two dims."""
    values = [v for v in (*node.inputs, *node.outputs) if isinstance(v, Value)]
    floats = {v.dtype for v in values} - {np.dtype(np.uint8), np.dtype(np.int32)}
    if len(floats) != 1 or not floats <= {np.dtype(np.float32), np.dtype(np.float64)}:
        return False
    return len(node.params["kernel"]) in (1, 2) and all([0 not in v.shape for v in values])


def source_of(node: Node, space: tuple[int, ...]) -> Source:
    """The windows of a pooling node over an input of the last dims ``space``."""
    p = node.params
    kernel, dilation = pair(p["kernel"], 1), pair(p["dilation"], 1)
    taps = [(i * dilation[0], j * dilation[1]) for i in range(kernel[0]) for j in range(kernel[1])]
    before = pair([a for a, _ in p["padding"]], 0)
    return Source(pair(space, 1), before, pair(p["stride"], 1), tuple(taps), pair(p["out"], 1))


def write_max(f: Code, node: Node, p: list[str], scratch: str) -> int:
    """MaxPool and MaxPoolValues; p: input, values, and taps where wanted. A unit is a plane."""
    shape, rank = node.inputs[0].shape, len(node.params["kernel"])
    source, places = source_of(node, shape[-rank:]), Scratch(f.dtype)
    columns = Columns(f, source)
    image = places.take(source.plane + 2 * columns.slack()) + columns.slack()
    copy = f.at(scratch, image)
    low = splat_literal(-np.inf, f.element, f.lanes)
    if not source.direct:
        f.span(0, source.plane, f.lanes, lambda i, _: f.store(f.at(copy, i), low))
    codes = node.outputs[1].dtype if len(node.outputs) > 1 else None
    size, count = source.space[0] * source.space[1], source.places
    offsets, masks = columns.tables(1, 0)

    def plane(c: Number, _: list[str]) -> None:
        x = f.at(p[0], f.mul(c, size))
        image = x
        if not source.direct:
            image = copy
            f.do(f"call void @{columns.copier()}(ptr {x}, ptr {copy}, i64 1)")
        y = f.at(p[1], f.mul(c, count))
        t = f.at(p[2], f.mul(c, count), codes.itemsize) if codes is not None else ""

        def vector(v: Number, lanes: int) -> None:
            pieces = columns.piece_pointers(f, image, v, offsets, masks)
            best, code = maximum(f, columns, pieces, codes is not None)
            f.store(f.at(y, f.mul(v, f.lanes)), best, lanes)
            if codes is not None:
                store_codes(f, f.at(t, f.mul(v, f.lanes), codes.itemsize), code, codes, lanes)

        whole = count // f.lanes
        f.span(0, whole, 1, lambda v, _: vector(v, f.lanes))
        if count % f.lanes:
            vector(whole, count % f.lanes)

    f.span("%lo", "%hi", 1, plane)
    return places.size


def units(node: Node) -> int:
    """Planes of a pooling node."""
    x = node.outputs[0] if type(node.op).__name__ == "MaxPoolSpread" else node.inputs[0]
    return math.prod(x.shape[: -len(node.params["kernel"])])


def maximum(
    f: Code, columns: Columns, pieces: list[tuple[str, str]], coded: bool
) -> tuple[str, str]:
    """The maxima of one vector of windows, the last NaN if there is one, and their taps."""
    taps, ints = columns.source.taps, f"<{f.lanes} x i32>"

    def step(t: Number, best: str, code: str, offset: Number) -> tuple[str, str]:
        x = columns.vector(f, pieces, offset)
        more = f(f"fcmp ogt {f.vector} {x}, {best}")
        nan = f(f"fcmp uno {f.vector} {x}, {x}")
        better = f(f"or {f.bits} {more}, {nan}")
        best = f(f"select {f.bits} {better}, {f.vector} {x}, {f.vector} {best}")
        if coded:
            one = f(f"insertelement {ints} poison, i32 {number(f, t)}, i64 0")
            wide = f(f"shufflevector {ints} {one}, {ints} poison, {ints} zeroinitializer")
            code = f(f"select {f.bits} {better}, {ints} {wide}, {ints} {code}")
        return best, code

    best = columns.vector(f, pieces, columns.source.tap_offset(taps[0]))
    code = "zeroinitializer"
    if len(taps) <= 9:
        for k, tap in enumerate(taps[1:], 1):
            best, code = step(k, best, code, columns.source.tap_offset(tap))
        return best, code
    table = columns.taps()
    carried = [(f.vector, best), (ints, code)]
    out = f.span(
        1, len(taps), 1, lambda t, a: list(step(t, a[0], a[1], f.entry(table, t))), carried
    )
    return out[0], out[1]


def number(f: Code, t: Number) -> Number:
    """A tap's number as an i32."""
    return t if isinstance(t, int) else f(f"trunc i64 {t} to i32")


def store_codes(f: Code, p: str, code: str, d: np.dtype[Any], lanes: int) -> None:
    """Write taps as bytes or integers."""
    kind = scalar_type(d)
    wide = f"<{f.lanes} x {kind}>"
    if kind == "i8":
        code = f(f"trunc <{f.lanes} x i32> {code} to {wide}")
    if lanes == f.lanes:
        f.do(f"store {wide} {code}, ptr {p}, align {d.itemsize}")
        return
    for k in range(lanes):
        one = f(f"extractelement {wide} {code}, i64 {k}")
        f.do(f"store {kind} {one}, ptr {f.at(p, k, d.itemsize)}, align {d.itemsize}")


def write_spread(f: Code, node: Node, p: list[str], scratch: str) -> int:
    """MaxPoolSpread; p: gradient, taps, result. A unit is a plane."""
    taps = node.inputs[1]
    rank = len(node.params["kernel"])
    shape = node.outputs[0].shape
    s = source_of(node, shape[-rank:])
    if s.stride[0] <= TURNS and s.stride[1] <= 2 and len(s.taps) <= TAPS:
        return Gathered(f, s).write(p, scratch)
    (height, width), (oh, ow) = s.space, s.out
    begin = f.at(p[2], f.mul("%lo", height * width))
    f.clear(begin, f.mul(f.sub("%hi", "%lo"), height * width))
    rows, cols = f.table([t[0] for t in s.taps]), f.table([t[1] for t in s.taps])
    last = [(s.out[i] - 1) * s.stride[i] + s.taps[-1][i] - s.before[i] for i in (0, 1)]
    safe = max(s.before) <= 0 and last[0] < height and last[1] < width
    d = taps.dtype

    def place(c: Number, i: Number, j: Number) -> None:
        at = f.add(f.mul(f.add(f.mul(c, oh), i), ow), j)
        code = f(f"load {scalar_type(d)}, ptr {f.at(p[1], at, d.itemsize)}, align {d.itemsize}")
        code = f(f"zext {scalar_type(d)} {code} to i64")
        r = f.add(f.add(f.mul(i, s.stride[0]), -s.before[0]), f.entry(rows, code))
        q = f.add(f.add(f.mul(j, s.stride[1]), -s.before[1]), f.entry(cols, code))

        def put() -> None:
            where = f.at(p[2], f.add(f.mul(f.add(f.mul(c, height), r), width), q))
            total = f(f"fadd {f.element} {f.scalar(where)}, {f.scalar(f.at(p[0], at))}")
            f.do(f"store {f.element} {total}, ptr {where}, align {f.size}")

        if safe:
            put()
            return
        inside = [f(f"icmp ult i64 {a}, {n}") for a, n in ((r, height), (q, width))]
        f.when(f(f"and i1 {inside[0]}, {inside[1]}"), put)

    def row(c: Number, i: Number) -> None:
        f.span(0, ow, 1, lambda j, _: place(c, i, j))

    def plane(c: Number, _: list[str]) -> None:
        f.span(0, oh, 1, lambda i, _: row(c, i))

    f.span("%lo", "%hi", 1, plane)
    return 0


class Gathered:
    """Each element of the result from the windows that it is in: a vector holds every second
    column, or all with stride 1.

    Row ``m * stride + rest`` of the result lies in windows of rows ``m + shift``, at certain taps;
    columns are alike. Where windows end, copies of gradients and taps have borders.
    """

    def __init__(self, f: Code, s: Source) -> None:
        self.f, self.s = f, s
        self.meets = [[self.met(dim, rest) for rest in range(s.stride[dim])] for dim in (0, 1)]
        self.steps = [-(-n // k) for n, k in zip(s.space, s.stride, strict=True)]
        shifts = [[d for some in dim for d, _ in some] or [0] for dim in self.meets]
        self.before = [max(0, -min(some)) for some in shifts]
        behind = [
            max(0, n - 1 + max(some) - (o - 1))
            for n, some, o in zip(self.steps, shifts, s.out, strict=True)
        ]
        self.size = [b + n + e for b, n, e in zip(self.before, s.out, behind, strict=True)]
        self.copies = self.size != list(s.out)

    def met(self, dim: int, rest: int) -> list[tuple[int, int]]:
        """(shift, offset of the tap) of the windows of a remainder."""
        step, before = self.s.stride[dim], self.s.before[dim]
        offsets = sorted({t[dim] for t in self.s.taps})
        return [
            ((rest + before - o) // step, o) for o in offsets if (rest + before - o) % step == 0
        ]

    def write(self, p: list[str], scratch: str) -> int:
        """Planes lo to hi. Returns the elements of scratch memory."""
        f, s, places = self.f, self.s, Scratch(self.f.dtype)
        count, (high, wide) = s.out[0] * s.out[1], self.size
        g, codes = p[0], p[1]
        if self.copies:
            g = f.at(scratch, places.take(high * wide + f.lanes))
            codes = f.at(scratch, places.take(-(-(high * wide + f.lanes) // f.size)))
            f.clear(g, high * wide)
            none = f"store <{f.lanes} x i8> {splat_literal(NONE, 'i8', f.lanes)}, ptr"
            f.span(
                0, high * wide, f.lanes, lambda i, _: f.do(f"{none} {f.at(codes, i, 1)}, align 1")
            )

        def plane(c: Number, _: list[str]) -> None:
            source, tops = f.at(p[0], f.mul(c, count)), f.at(p[1], f.mul(c, count), 1)
            if self.copies:
                f.span(0, s.out[0], 1, lambda i, _: self.copy(i, (source, tops), (g, codes)))
                source, tops = g, codes
            to = f.at(p[2], f.mul(c, s.space[0] * s.space[1]))
            whole, rest = divmod(s.space[0], s.stride[0])
            f.span(0, whole, 1, lambda m, _: self.rows(m, s.stride[0], source, tops, to))
            if rest:
                self.rows(whole, rest, source, tops, to)

        f.span("%lo", "%hi", 1, plane)
        return places.size

    def copy(self, i: Number, given: tuple[str, str], to: tuple[str, str]) -> None:
        """One row between its borders."""
        f, n = self.f, self.s.out[1]
        a = f.mul(i, n)
        b = f.add(f.mul(f.add(i, self.before[0]), self.size[1]), self.before[1])

        def some(k: Number, lanes: int) -> None:
            at, there = f.add(a, k), f.add(b, k)
            f.store(f.at(to[0], there), f.load(f.at(given[0], at), lanes), lanes)
            bytes = f"<{lanes} x i8>"
            x = f(f"load {bytes}, ptr {f.at(given[1], at, 1)}, align 1")
            f.do(f"store {bytes} {x}, ptr {f.at(to[1], there, 1)}, align 1")

        f.vectors(0, n, some)

    def rows(self, m: Number, count: int, g: str, codes: str, to: str) -> None:
        """The first ``count`` rows of one turn of the stride."""
        f, n = self.f, self.steps[1]
        whole = self.s.space[1] // self.s.stride[1] // f.lanes * f.lanes

        def some(j: Number, lanes: int) -> None:
            loaded: dict[tuple[int, int], tuple[str, str]] = {}

            def window(i: int, k: int) -> tuple[str, str]:
                if (i, k) not in loaded:
                    row = f.mul(f.add(m, i + self.before[0]), self.size[1])
                    at = f.add(f.add(row, j), k + self.before[1])
                    loaded[i, k] = f.load(f.at(g, at), lanes), self.taps(f.at(codes, at, 1), lanes)
                return loaded[i, k]

            for rest in range(count):
                sums = [self.total(rest, column, window) for column in range(len(self.meets[1]))]
                row = f.mul(f.add(f.mul(m, self.s.stride[0]), rest), self.s.space[1])
                self.leave(f.at(to, row), j, sums)

        f.span(0, whole, f.lanes, lambda j, _: some(j, f.lanes))
        if whole < n:
            some(whole, n - whole)

    def taps(self, at: str, lanes: int) -> str:
        """Some taps as numbers of 32 bits."""
        f, n = self.f, self.f.lanes
        narrow, order = f"<{lanes} x i8>", ", ".join([f"i32 {min(k, lanes - 1)}" for k in range(n)])
        v = f(f"load {narrow}, ptr {at}, align 1")
        v = f(f"shufflevector {narrow} {v}, {narrow} poison, <{n} x i32> <{order}>")
        return f(f"zext <{n} x i8> {v} to <{n} x i32>")

    def total(self, row: int, column: int, window: Callable[[int, int], tuple[str, str]]) -> str:
        """What the windows of a row's and a column's remainder give."""
        f, total = self.f, ""
        for i, r in self.meets[0][row]:
            for j, c in self.meets[1][column]:
                g, code = window(i, j)
                tap = splat_literal(self.s.taps.index((r, c)), "i32", f.lanes)
                mine = f(f"icmp eq <{f.lanes} x i32> {code}, {tap}")
                g = f(f"select {f.bits} {mine}, {f.vector} {g}, {f.vector} zeroinitializer")
                total = f.plus(total, g) if total else g
        return total or "zeroinitializer"

    def leave(self, row: str, j: Number, sums: list[str]) -> None:
        """Store vectors of every so manieth column of a row, the first of turn j."""
        f, n, count = self.f, self.f.lanes, len(sums)
        first = f.mul(j, count)
        for part in range(count):
            x = sums[0]
            if count == 2:
                order = [k // 2 + n * (k % 2) for k in range(part * n, part * n + n)]
                x = f.shuffle(sums[0], sums[1], order)
            at = f.add(first, part * n)
            rest = f.sub(self.s.space[1], at)
            if isinstance(rest, int):
                if rest > 0:
                    f.store(f.at(row, at), x, min(n, rest))
            else:
                f.store(f.at(row, at), x)
