"""Convolution and its gradients as products of weights and columns, made a panel at a time.

Forward and the gradient of the input are one routine: with stride s, the input's positions of each
remainder modulo s are a convolution of the output's gradient with the taps of that remainder.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.convolution.columns import Columns, Source, void
from rushlight.compiler.backends.llvm.convolution.direct import write_depthwise_weight
from rushlight.compiler.backends.llvm.convolution.panels import Forward, Product, images_together
from rushlight.compiler.backends.llvm.convolution.shapes import (
    Part,
    Scratch,
    Shape,
    cost_of,
    parts,
    shape_of,
)
from rushlight.compiler.backends.llvm.convolution.weights import Weights
from rushlight.compiler.backends.llvm.ir.code import Code, Number, kernel
from rushlight.compiler.backends.llvm.launch import SHARED, Launch
from rushlight.compiler.graph import Node


def turned_weights(f: Code, s: Shape, w: str, mets: list[list[int]], target: str) -> None:
    """Weights (groups * outer, inner, taps) as (groups, inner, outer, some of the taps), for each
    of ``mets``, which are equally many taps.
    """
    taps, every = len(mets[0]), s.kernel[0] * s.kernel[1]
    size = s.groups * s.inner * s.outer * taps
    if len(mets) > 1 and every <= f.lanes:  # few: each has an order of its own
        for p, met in enumerate(mets):
            turned_weights(f, s, w, [met], f.at(target, p * size))
        return
    table = f.table([t for met in mets for t in met])
    order = ", ".join([f"i32 {t}" for t in mets[0] + [0] * (f.lanes - taps)])

    def part(p: Number, target: str) -> None:
        def move(g: Number, o: Number, i: Number) -> None:
            a = f.at(w, f.mul(f.add(f.mul(f.add(f.mul(g, s.outer), o), s.inner), i), every))
            row = f.add(f.mul(g, s.inner), i)
            b = f.at(target, f.mul(f.add(f.mul(row, s.outer), o), taps))
            if every <= f.lanes:
                v, kind = f.load(a, every), f"<{f.lanes} x i32>"
                v = f(f"shufflevector {f.vector} {v}, {f.vector} poison, {kind} <{order}>")
                f.store(b, v, taps)
            else:
                f.span(0, taps, 1, lambda t, _: tap(a, b, t))

        def tap(a: str, b: str, t: Number) -> None:
            at = f.add(f.mul(p, taps), t)
            v = f.scalar(f.at(a, mets[0][at] if isinstance(at, int) else f.entry(table, at)))
            f.do(f"store {f.element} {v}, ptr {f.at(b, t)}, align {f.size}")

        def some(g: Number, first: Number) -> None:  # few rows at a time: each is its own page
            last = f.smaller(f.add(first, 16), s.inner)
            f.span(
                0,
                s.outer,
                1,
                lambda o, _: void(f.span(first, last, 1, lambda i, _: move(g, o, i))),
            )

        f.span(0, s.groups, 1, lambda g, _: void(f.span(0, s.inner, 16, lambda i, _: some(g, i))))

    if len(mets) == 1:
        part(0, target)
    else:
        f.span(0, len(mets), 1, lambda p, _: part(p, f.at(target, f.mul(p, size))))


def forward_launches(node: Node, width: int) -> list[Launch]:
    """Conv; operands: input, weight, bias or None, output."""
    s, f = shape_of(node), kernel(width, node.outputs[0].dtype)
    source = Source(s.space, s.before, s.stride, tuple(s.taps), s.out)
    given = [k for k, v in enumerate((*node.inputs, *node.outputs)) if v is not None]
    x, w, y = f.operand(0), f.operand(1), f.operand(len(given) - 1)
    size, places = source.places, Scratch(f.dtype)
    product = Product(
        s.n, s.groups, s.inner, s.outer, source, x,
        s.groups * s.inner * s.space[0] * s.space[1], w, y,
        s.groups * s.outer * size, size, f.operand(2) if len(given) == 4 else "",
    )  # fmt: skip
    together = images_together(f, source, s.outer, s.n)
    forward = Forward(f, product, "%scratch", places, together)
    forward.clear()

    def unit(k: Number, _: list[str]) -> None:
        forward.write(*f.parted(k, forward.blocks))

    f.span("%lo", "%hi", 1, unit)
    f.end()
    operands = tuple([(k, 0) for k in given])
    units = s.groups * forward.blocks
    return [Launch(f.module.text(), operands, units, places.size * f.size, 0, cost_of(s))]


def input_launches(node: Node, width: int) -> list[Launch]:
    """ConvInput; operands: output's gradient, weight, bias or None, result.

    The first launch turns the weights, as (part, group, input, output, tap).
    """
    s, d = shape_of(node), node.outputs[0].dtype
    pieces, begins, count = alike(parts(s)), [], 0
    f, turn = kernel(width, d), kernel(width, d)
    w, target = turn.operand(0), turn.operand(1)
    for some in pieces:
        begins.append(count)
        if some[0].source is not None:
            turned_weights(turn, s, w, [part.taps for part in some], turn.at(target, count))
            count += len(some) * s.groups * s.outer * s.inner * len(some[0].taps)
    turn.end()
    shared = count * f.size
    given = [k for k, v in enumerate((*node.inputs, *node.outputs)) if v is not None]
    x, weights, y = f.operand(0), f.operand(1), f.operand(len(given) - 1)
    bias = f.operand(2) if len(given) == 4 else ""
    units, size = write_input(f, s, [x, weights, bias, y], pieces, begins)
    f.end()
    operands = tuple([(k, 0) for k in (0, SHARED, *given[2:])])
    return [
        Launch(turn.module.text(), ((1, 0), (SHARED, 0)), 1, 0, shared, 0.25 * shared),
        Launch(f.module.text(), operands, units, size * f.size, shared, cost_of(s)),
    ]


def alike(pieces: list[Part]) -> list[list[Part]]:
    """Parts, together with those of which only the place and the weights are others: one loop does
    these, since large strides have many parts.
    """
    kinds: dict[Any, list[Part]] = {}
    for part in pieces:
        kinds.setdefault(part.source, []).append(part)
    return list(kinds.values())


def write_input(
    f: Code, s: Shape, p: list[str], pieces: list[list[Part]], begins: list[int]
) -> tuple[int, int]:
    """The second launch of ConvInput. Returns its units, and the elements of scratch memory."""
    places, out = Scratch(f.dtype), s.out[0] * s.out[1]
    size, channels, dense = s.space[0] * s.space[1], s.groups * s.inner, s.stride == (1, 1)
    met = [(some, b) for some, b in zip(pieces, begins, strict=True) if some[0].source is not None]
    sources = [some[0].source for some, _ in met if some[0].source is not None]
    together = min([images_together(f, source, s.inner, s.n) for source in sources], default=1)
    blocks, result = -(-s.n // together), p[3]
    if sources and not dense:
        most = max([source.places for source in sources])
        result = f.at("%scratch", places.take(together * s.inner * most))
    begin, end = places.size, places.size

    def unit(k: Number, _: list[str]) -> None:
        nonlocal end
        g, b = f.parted(k, blocks)
        n = f.mul(b, together)
        if len(met) < len(pieces):  # a remainder that no tap meets
            for i in range(together):
                inside = f.smaller(f.add(n, i), s.n - 1)
                to = f.mul(f.add(f.mul(inside, s.groups), g), s.inner * size)
                f.clear(f.at(p[3], to), s.inner * size)
        for (some, first), source in zip(met, sources, strict=True):
            weights = s.groups * s.outer * s.inner * len(source.taps)
            starts = [part.start[0] * s.space[1] + part.start[1] for part in some]
            table = f.table(starts)

            def write(
                i: Number, start: Number, source: Source = source, first: int = first,
                weights: int = weights,
            ) -> None:  # fmt: skip
                nonlocal end
                places.size, y, image, row = begin, p[3], channels * size, size
                if not dense:
                    y, image, row = result, s.inner * source.places, source.places
                w = f.at(p[1], f.add(f.mul(i, weights), first))
                product = Product(
                    s.n, s.groups, s.outer, s.inner, source, p[0],
                    s.groups * s.outer * out, w, y, image, row, p[2], not dense,
                )  # fmt: skip
                forward = Forward(f, product, "%scratch", places, together)
                forward.clear()
                forward.write(g, b)
                end = max(end, places.size)
                if not dense:
                    place(source, g, n, image, start)

            def each(i: Number, _: list[str], table: str = table, write: Any = write) -> None:
                write(i, f.entry(table, i))

            if len(some) == 1:
                write(0, starts[0])
            else:
                f.span(0, len(some), 1, each)

    def place(source: Source, g: Number, n: Number, image: int, start: Number) -> None:
        for i in range(together):
            inside = f.smaller(i, f.sub(s.n - 1, n))
            a = f.at(result, f.mul(inside, image))
            at = f.mul(f.add(f.mul(f.add(n, inside), s.groups), g), s.inner * size)
            spread(f, s, source, a, f.at(f.at(p[3], at), start))

    f.span("%lo", "%hi", 1, unit)
    return s.groups * blocks, end


def spread(f: Code, s: Shape, source: Source, y: str, target: str) -> None:
    """Put one image's positions of one remainder where they belong, the first at ``target``."""
    height, width = source.out

    def plane(c: Number, _: list[str]) -> None:
        def row(i: Number, _: list[str]) -> None:
            a = f.at(y, f.mul(f.add(f.mul(c, height), i), width))
            line = f.add(f.mul(c, s.space[0]), f.mul(i, s.stride[0]))
            b = f.at(target, f.mul(line, s.space[1]))

            def vector(at: Number, n: int) -> None:
                here = f.at(b, f.mul(at, s.stride[1]))
                v = f.load(f.at(a, at), n)
                if s.stride[1] == 1:
                    f.store(here, v, n)
                else:
                    f.scatter(here, v, s.stride[1], n)

            f.vectors(0, width, vector)

        f.span(0, height, 1, row)

    f.span(0, s.inner, 1, plane)


PARTS = 8  # sums of parts of the images, if they are no more than so many bytes together
MOST, MOST_OF_TWO = 1 << 22, 1 << 23


def weight_launches(node: Node, width: int) -> list[Launch]:
    """ConvWeight; operands: input, output's gradient, result."""
    s, f = shape_of(node), kernel(width, node.outputs[0].dtype)
    x, g, out = [f.operand(k) for k in range(3)]
    places, operands = Scratch(f.dtype), ((0, 0), (1, 0), (2, 0))
    if s.inner == s.outer == 1 and s.groups > 1:
        source = Source(s.space, s.before, s.stride, tuple(s.taps), s.out)
        slack = Columns(f, source).slack()
        copy = f.at("%scratch", places.take(source.plane + 2 * slack) + slack)
        f.clear(copy, source.plane)
        write_depthwise_weight(f, source, s.n, s.groups, x, g, out, copy)
        f.end()
        size = places.size * f.size
        return [Launch(f.module.text(), operands, s.groups, size, 0, cost_of(s))]
    weights = Weights(f, s, "%scratch", places)
    total, blocks = s.groups * s.outer * s.inner * len(s.taps), weights.blocks
    size = total * f.size
    parts = MOST // size if 2 * size <= MOST else MOST_OF_TWO // (2 * size) * 2
    wanted = max(1, min(PARTS // s.groups, blocks, parts))
    each = -(-blocks // wanted)
    parts = -(-blocks // each)
    if not weights.source.direct:
        f.clear(f.at("%scratch", weights.image), weights.copies)

    def unit(k: Number, _: list[str]) -> None:
        group, part = f.parted(k, parts)
        start = f.mul(part, each)
        stop = f.smaller(f.add(start, each), blocks)
        weights.write(x, g, f.at(out, f.mul(part, total)), group, (start, stop))

    f.span("%lo", "%hi", 1, unit)
    f.end()
    units, size = s.groups * parts, places.size * f.size
    if parts == 1:
        return [Launch(f.module.text(), operands, units, size, 0, cost_of(s))]
    shared = parts * total * f.size
    operands = ((0, 0), (1, 0), (SHARED, 0))  # type: ignore[assignment]
    first = Launch(f.module.text(), operands, units, size, shared, cost_of(s))
    last, count = write_sums(width, f.dtype, total, parts)
    some = 0.1 * parts * total
    return [first, Launch(last, ((SHARED, 0), (2, 0)), count, 0, shared, some)]


def write_sums(width: int, d: np.dtype[Any], total: int, parts: int) -> tuple[str, int]:
    """A kernel that adds up parts of ``total`` elements, and its units."""
    f = kernel(width, d)
    a, b, each = f.operand(0), f.operand(1), 256 * f.lanes

    def unit(k: Number, _: list[str]) -> None:
        start = f.mul(k, each)
        stop = f.smaller(f.add(start, each), total)

        def vector(i: Number, _: list[str]) -> None:
            rest = f.sub(stop, i)
            on = f.lanes_below(rest)
            value = f.load(f.at(a, i), mask=on)
            for part in range(1, parts):
                value = f.plus(value, f.load(f.at(a, f.add(i, part * total)), mask=on))
            f.store_first(f.at(b, i), value, rest)

        f.span(start, stop, f.lanes, vector)

    f.span("%lo", "%hi", 1, unit)
    f.end()
    return f.module.text(), -(-total // each)
