"""Maxima of windows, and their gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.convolution.columns import Columns, Source
from rushlight.compiler.backends.llvm.convolution.shapes import Scratch, pair
from rushlight.compiler.backends.llvm.ir.code import Code, Number
from rushlight.compiler.backends.llvm.ir.text import scalar_type, splat_literal
from rushlight.compiler.graph import Node, Value


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
    (height, width), (oh, ow) = s.space, s.out
    if apart(s) and (pair(node.params["kernel"], 1)[1], s.before) == (2, (0, 0)):
        write_pairs(f, s, taps.dtype, p)
        return 0
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


def apart(s: Source) -> bool:
    """Whether windows are whole, and lie side by side in the image."""
    last = [s.taps[-1][i] + 1 for i in (0, 1)]
    inside = all([n * o <= size for n, o, size in zip(last, s.out, s.space, strict=True)])
    return inside and tuple(last) == s.stride and len(s.taps) == last[0] * last[1]


def write_pairs(f: Code, s: Source, d: np.dtype[Any], p: list[str]) -> None:
    """Windows of two columns side by side: each element of the result is written once."""
    (height, width), (oh, ow), high = s.space, s.out, s.stride[0]
    kind, ints, n = scalar_type(d), f"<{f.lanes} x i32>", f.lanes
    zero = "zeroinitializer"

    def codes(at: str, lanes: int) -> str:
        """Some taps as numbers of 32 bits."""
        narrow = f"<{lanes} x {kind}>"
        v = f(f"load {narrow}, ptr {at}, align {d.itemsize}")
        order = ", ".join([f"i32 {min(k, lanes - 1)}" for k in range(n)])
        v = f(f"shufflevector {narrow} {v}, {narrow} poison, <{n} x i32> <{order}>")
        return v if kind == "i32" else f(f"zext <{n} x {kind}> {v} to {ints}")

    def some(c: Number, i: Number, j: Number, lanes: int) -> None:
        at = f.add(f.mul(f.add(f.mul(c, oh), i), ow), j)
        g, code = f.load(f.at(p[0], at), lanes), codes(f.at(p[1], at, d.itemsize), lanes)
        row = f.add(f.mul(c, height), f.mul(i, high))
        to = f.at(p[2], f.add(f.mul(row, width), f.mul(j, 2)))
        for r in range(high):
            pieces = []
            for k in (2 * r, 2 * r + 1):
                same = f(f"icmp eq {ints} {code}, {splat_literal(k, 'i32', n)}")
                pieces.append(f(f"select {f.bits} {same}, {f.vector} {g}, {f.vector} {zero}"))
            for half in range(0, 2 * lanes, n):
                order = [k // 2 + n * (k % 2) for k in range(half, half + n)]
                both = f.shuffle(pieces[0], pieces[1], order)
                f.store(f.at(to, r * width + half), both, min(n, 2 * lanes - half))

    def row(c: Number, i: Number) -> None:
        whole = ow - ow % n
        f.span(0, whole, n, lambda j, _: some(c, i, j, n))
        if whole < ow:
            some(c, i, whole, ow - whole)

    def plane(c: Number, _: list[str]) -> None:
        if (oh * high, 2 * ow) != (height, width):
            f.clear(f.at(p[2], f.mul(c, height * width)), height * width)
        f.span(0, oh, 1, lambda i, _: row(c, i))

    f.span("%lo", "%hi", 1, plane)
