"""Maxima of windows, and their gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.code import Code, Number
from rushlight.compiler.backends.llvm.columns import Columns, Source
from rushlight.compiler.backends.llvm.conv import Scratch, pair
from rushlight.compiler.backends.llvm.text import scalar_type, splat_literal
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
    """MaxPool and MaxPoolValues; p: input, values, and taps where wanted."""
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

    f.span(0, math.prod(shape[:-rank]), 1, plane)
    return places.size


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
    """MaxPoolSpread; p: gradient, taps, result."""
    taps = node.inputs[1]
    rank = len(node.params["kernel"])
    shape = node.outputs[0].shape
    s = source_of(node, shape[-rank:])
    (height, width), (oh, ow) = s.space, s.out
    planes = math.prod(shape[:-rank])
    f.clear(p[2], planes * height * width)
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

    f.span(0, planes, 1, plane)
    return 0
