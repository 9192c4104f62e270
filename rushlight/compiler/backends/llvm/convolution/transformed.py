"""Convolution with 3x3 or 5x5 taps as products of Winograd's transforms: see ``winograd``.

A unit of work is a block of tiles: some images, or some rows of tiles of one. Its transforms are
kept in scratch memory as (point, tile, channel), and each point becomes a small product, a panel of
outputs at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rushlight.compiler.backends.llvm.convolution.blocks import (
    UNITS,
    Layout,
    Place,
    Reader,
    Sizes,
    sizes,
)
from rushlight.compiler.backends.llvm.convolution.shapes import Shape
from rushlight.compiler.backends.llvm.convolution.tiles import Tile, tile, tile_rows
from rushlight.compiler.backends.llvm.convolution.turn import write_put
from rushlight.compiler.backends.llvm.convolution.winograd import (
    BACK,
    KINDS,
    Scheme,
    Tiles,
    flat,
    points,
    squared,
)
from rushlight.compiler.backends.llvm.ir.code import Code, Number, Scratch, kernel
from rushlight.compiler.backends.llvm.ir.text import Module
from rushlight.compiler.backends.llvm.launch import SHARED, Launch
from rushlight.compiler.graph import Node

SUM = 64  # channels that are added up in one go: longer sums lose digits


@dataclass(frozen=True)
class Weights:
    """Where the weights of row m and channel k lie: at ``m * row + k * channel``. ``flipped``:
    the last tap is the first.
    """

    row: int
    channel: int
    flipped: bool = False


class Forward:
    """``y[n, m] = bias[m] + sum over channels and taps of w[m] x[n]``.

    Transformed weights are (panel, point, channel, output). If there are several blocks of tiles, a
    launch of its own makes them.
    """

    def __init__(self, s: Sizes, w: Weights, module: Module) -> None:
        self.s, self.w = s, w
        limit, tiles = tile_rows(module)[s.vectors], s.block.tiles
        self.rows = -(-tiles // -(-tiles // limit))
        padded = -(-tiles // self.rows) * self.rows
        channels, n = s.source.channels, s.lanes  # rows of equal sets of the cache would collide
        self.v = Layout(channels + n, padded * (channels + n) + n)
        self.m = Layout(s.width, padded * s.width + n)
        self.u = Layout(s.width, channels * s.width + n)
        self.parts = s.parts(s.block.count)
        self.units = s.block.count * self.parts
        self.together = s.block.count == 1
        self.shared = 0 if self.together else s.panels * KINDS * KINDS * self.u.step

    def weights(self, f: Code, w: str, u: str) -> None:
        """Transform the weights of panels lo to hi."""
        one = self.panel_weights(f)

        def panel(j: Number, _: list[str]) -> None:
            self.call_weights(f, one, w, j, f.at(u, f.mul(j, KINDS * KINDS * self.u.step)))

        f.span("%lo", "%hi", 1, panel)

    def call_weights(self, f: Code, one: str, w: str, j: Number, u: str) -> None:
        """Transform one panel's weights."""
        for h in range(self.s.vectors):
            row = f.add(f.mul(j, self.s.width), h * f.lanes)
            f.call(one, f.at(w, f.mul(row, self.w.row)), f.at(u, h * f.lanes))

    def panel_weights(self, f: Code) -> str:
        """The function ``(w, u)`` that transforms the weights of one vector of outputs."""
        f = Code(f.module, "weights", "ptr noalias %w, ptr noalias %u", f.dtype)

        def channel(k: Number, _: list[str]) -> None:
            w, square = f.at("%w", f.mul(k, self.w.channel)), []
            side = self.s.scheme.kernel
            for first in range(0, side * side, f.lanes):
                n = min(f.lanes, side * side - first)
                lines = [f.load(f.at(w, r * self.w.row + first), n) for r in range(f.lanes)]
                square += f.transposed(lines)[:n]
            if self.w.flipped:
                square.reverse()
            found = squared(
                f, self.s.scheme.weigh, [square[i * side : (i + 1) * side] for i in range(side)]
            )
            u = f.at("%u", f.mul(k, self.u.row))
            for at, value in enumerate(flat(found)):
                f.store(f.at(u, at * self.u.step), value)

        f.span(0, self.s.source.channels, 1, channel)
        f.end()
        return f.name

    def write(self, f: Code, x: str, w: str, bias: str, y: str) -> int:
        """Units lo to hi; w: the weights, transformed or not. Returns the elements of scratch."""
        s, block, scratch = self.s, self.s.block, Scratch("%scratch", f.lanes)
        reader = Reader(f, s.source, block, s.scheme.spread, self.v, scratch)
        v, m = [scratch.take(f, s.scheme.points * a.step) for a in (self.v, self.m)]
        u, weigh_panel = w, ""
        if self.together:
            u, weigh_panel = scratch.take(f, KINDS * KINDS * self.u.step), self.panel_weights(f)
        writer = Writer(f, s, self.m, scratch, bool(bias))
        runs = tuple([(k * f.lanes, f.lanes) for k in range(s.vectors)])
        product = tile(f.module, f.dtype, Tile(self.rows, self.v.row, s.width, runs))

        def unit(k: Number, _: list[str]) -> None:
            b, part = f.parted(k, self.parts)
            place = block.place(f, b)
            channels = 0, s.source.channels
            reader.write(x, place, channels, lambda c: f.at(v, c))

            def panel(j: Number, _: list[str]) -> None:
                here = u
                if self.together:
                    self.call_weights(f, weigh_panel, w, j, u)
                else:
                    here = f.at(u, f.mul(j, KINDS * KINDS * self.u.step))
                products(here, place.tiles)
                for h in range(s.vectors):
                    c = f.add(f.mul(j, s.width), h * f.lanes)
                    writer.write(f.at(m, h * f.lanes), y, place, c, bias)

            f.span(*s.part(f, part, self.parts), 1, panel)

        def products(u: str, tiles: Number) -> None:
            def some(k: Number, i: Number, r: Number) -> None:
                a = f.at(v, f.add(f.add(f.mul(k, self.v.step), f.mul(r, self.v.row)), i))
                b = f.at(u, f.add(f.mul(kind(f, s.scheme, k), self.u.step), f.mul(i, self.u.row)))
                c = f.at(m, f.add(f.mul(k, self.m.step), f.mul(r, self.m.row)))
                depth = f.smaller(SUM, f.sub(s.source.channels, i))
                first = f(f"icmp eq i64 {i}, 0")
                f.call(product, a, b, c, depth, first, "null")

            def point(k: Number, _: list[str]) -> None:
                def channels(i: Number, _: list[str]) -> None:
                    def rows(r: Number, _: list[str]) -> None:
                        some(k, i, r)

                    f.span(0, tiles, self.rows, rows)

                f.span(0, s.source.channels, SUM, channels)

            f.span(0, s.scheme.points, 1, point)

        f.span("%lo", "%hi", 1, unit)
        return scratch.size


class Writer:
    """Puts products back into planes."""

    def __init__(self, f: Code, s: Sizes, m: Layout, scratch: Scratch, bias: bool) -> None:
        self.f, self.plane, self.block, self.m = f, s.result, s.block, m
        frame = self.plane.frame
        self.inverse = Tiles(f, self.plane).inverse(s.scheme, m.row, m.step)
        self.put = write_put(f, frame, frame.size, bias)
        size = self.plane.step * self.block.rows * self.plane.row * f.lanes
        self.pixels = scratch.take(f, size, frame.slack(f.lanes))

    def write(self, m: str, y: str, place: Place, c: Number, bias: str) -> None:
        """One vector of outputs, from c on."""
        f, plane = self.f, self.plane
        p0, p1 = plane.pixels(f, place.first, place.high)
        shift = f.mul(place.first, plane.step * plane.row * f.lanes)
        tiles = self.block.high * self.block.wide * self.m.row
        extra = f.at(bias, c) if bias else "null"

        def image(i: Number, _: list[str]) -> None:
            f.call(self.inverse, f.at(m, f.mul(i, tiles)), self.pixels, place.high)
            at = f.add(f.mul(f.add(place.image, i), plane.channels), c)
            to = f.at(y, f.mul(at, plane.size))
            f.call(self.put, self.pixels, to, p0, p1, shift, 0, extra)

        f.span(0, place.images, 1, image)


class Gradient:
    """``w[m, c] = sum over images and positions of g[n, m] x[n, c]``, for each tap.

    A unit makes the sums over a group of blocks for a part of the outputs, as (panel, point,
    channel, output). A second launch adds up the groups' sums, and turns points to taps.
    """

    def __init__(self, s: Sizes, module: Module) -> None:
        self.s = s
        channels, tiles, n = s.source.channels, s.block.tiles, s.lanes
        limit = tile_rows(module)[s.vectors]
        self.rows = -(-channels // -(-channels // limit))
        padded = -(-channels // self.rows) * self.rows
        self.parts = s.parts(1)
        self.together = -(-s.block.count // max(1, min(s.block.count, UNITS // self.parts)))
        self.groups = -(-s.block.count // self.together)
        self.units = self.groups * self.parts
        self.v = Layout(channels + n, tiles * (channels + n) + n)
        self.g = Layout(s.width, -(-s.panels // self.parts) * tiles * s.width + n)
        self.c = Layout(s.width, padded * s.width + n)
        self.sums = s.panels * KINDS * KINDS * self.c.step  # of a group
        self.shared = self.groups * self.sums

    def write(self, f: Code, x: str, g: str, sums: str) -> int:
        """Sums of units lo to hi. Returns the elements of scratch memory."""
        s, block, scratch = self.s, self.s.block, Scratch("%scratch", f.lanes)
        readers = [
            Reader(f, plane, block, kind, to, scratch)
            for plane, kind, to in (
                (s.source, s.scheme.spread, self.v),
                (s.result, s.scheme.weigh_outputs, self.g),
            )
        ]
        v, h = [scratch.take(f, s.scheme.points * a.step) for a in (self.v, self.g)]
        runs = tuple([(k * f.lanes, f.lanes) for k in range(s.vectors)])
        product = tile(f.module, f.dtype, Tile(self.rows, 1, s.width, runs, step=self.v.row))
        panel_size = block.tiles * s.width

        def unit(k: Number, _: list[str]) -> None:
            group, part = f.parted(k, self.parts)
            panels = s.part(f, part, self.parts)
            here = f.at(sums, f.mul(group, self.sums))
            start = f.mul(group, self.together)
            stop = f.smaller(f.add(start, self.together), block.count)

            def one(b: Number, _: list[str]) -> None:
                place = block.place(f, b)
                readers[0].write(x, place, (0, s.source.channels), lambda c: f.at(v, c))
                first, last = [f.mul(j, s.width) for j in panels]

                def target(c: Number) -> str:
                    j, rest = f.parted(f.sub(c, first), s.width)
                    return f.at(h, f.add(f.mul(j, panel_size), rest))

                readers[1].write(g, place, (first, last), target)
                fresh = f(f"icmp eq i64 {b}, {start}")
                products(here, panels, place.tiles, fresh)

            f.span(start, stop, 1, one)

        def products(sums: str, panels: tuple[Number, Number], tiles: Number, fresh: str) -> None:
            def some(k: Number, first: str, j: Number, r: Number) -> None:
                a = f.at(v, f.add(f.mul(k, self.v.step), r))
                b = f.add(f.mul(k, self.g.step), f.mul(f.sub(j, panels[0]), panel_size))
                c = f.add(f.mul(j, KINDS * KINDS), kind(f, s.scheme, k))
                c = f.add(f.mul(c, self.c.step), f.mul(r, s.width))
                f.call(product, a, f.at(h, b), f.at(sums, c), tiles, first, "null")

            def point(k: Number, _: list[str]) -> None:
                first = f(f"and i1 {fresh}, {is_first(f, s.scheme, k)}")

                def panel(j: Number, _: list[str]) -> None:
                    def rows(r: Number, _: list[str]) -> None:
                        some(k, first, j, r)

                    f.span(0, s.source.channels, self.rows, rows)

                f.span(*panels, 1, panel)

            f.span(0, s.scheme.points, 1, point)

        f.span("%lo", "%hi", 1, unit)
        return scratch.size

    def collect(self, f: Code, sums: str, w: str) -> None:
        """The taps of panels lo to hi."""
        s, channels = self.s, self.s.source.channels

        def one(j: Number, c: Number) -> None:
            at = f.add(f.mul(j, KINDS * KINDS * self.c.step), f.mul(c, s.width))
            for h in range(s.vectors):
                here = f.at(sums, f.add(at, h * f.lanes))
                total = points(f, here, KINDS, self.c.step)
                for g in range(1, self.groups):
                    more = points(f, f.at(here, g * self.sums), KINDS, self.c.step)
                    total = [
                        [f.plus(a, b) for a, b in zip(p, q, strict=True)]
                        for p, q in zip(total, more, strict=True)
                    ]
                found = flat(squared(f, s.scheme.taps, total))
                row = f.add(f.mul(j, s.width), h * f.lanes)
                to = f.at(w, f.mul(f.add(f.mul(row, channels), c), len(found)))
                for first in range(0, len(found), f.lanes):
                    some = found[first : first + f.lanes]
                    lines = f.transposed(some + ["zeroinitializer"] * (f.lanes - len(some)))
                    for r, line in enumerate(lines):
                        f.store(f.at(to, r * channels * len(found) + first), line, len(some))

        def panel(j: Number, _: list[str]) -> None:
            def channel(c: Number, _: list[str]) -> None:
                one(j, c)

            f.span(0, channels, 1, channel)

        f.span("%lo", "%hi", 1, panel)


def kind(f: Code, s: Scheme, k: Number) -> Number:
    """Which kind of weights point k has."""
    if s.side == KINDS:
        return k
    i, j = [f.smaller(a, KINDS - 1) for a in f.parted(k, s.side)]
    return f.add(f.mul(i, KINDS), j)


def is_first(f: Code, s: Scheme, k: Number) -> str:
    """Whether point k is the first of its kind."""
    if s.side == KINDS:
        return "true"
    i, j = f.parted(k, s.side)
    return f(f"icmp slt i64 {f.larger(i, j)}, {KINDS}")


def suits(s: Shape, node: Node, width: int) -> bool:
    """Whether there are transforms for a convolution, and it has enough of everything."""
    d, op = node.outputs[0].dtype, type(node.op).__name__
    if (s.dilation, s.groups) != ((1, 1), 1) or d != np.float32:
        return False
    if (s.kernel[0], s.stride[0]) not in ((3, 1), (3, 2), (5, 1)):
        return False
    if s.kernel[0] != s.kernel[1] or s.stride[0] != s.stride[1]:
        return False
    if s.stride == (2, 2) and op == "ConvInput" and (s.before[0] - s.before[1]) % 2:
        return False
    lanes = width // 32
    z = sizes(s, op, lanes)
    source, rows = z.source, (z.source.high, z.source.wide)
    over = [(n - 1) * source.step + source.tile for n in rows]  # rows and columns between zeros
    ends = [a + n for a, n in zip(source.before, source.space, strict=True)]
    if min(source.before) < 0 or any([e > n for e, n in zip(ends, over, strict=True)]):
        return False
    if min(source.size, z.out[0] * z.out[1]) < lanes:
        return False
    return not (source.channels % lanes or z.outputs % lanes) and pays(z, op)


def pays(s: Sizes, op: str) -> bool:
    """Whether transforms cost less than what they save, in nanoseconds for each weight.

    Measured: a direct product takes 0.02, or 0.03 with stride 2, transforms 3 for a tile and
    channel, and 2 for a weight, more if weights are too many for the caches; twice that for their
    gradient.
    """
    tiles = s.images * s.source.high * s.source.wide
    places = s.images * s.out[0] * s.out[1]
    products = s.scheme.kernel**2 * (places / 4 if s.scheme in BACK else places)
    direct = (0.02 if s.scheme.side == KINDS else 0.03) * products
    saved = direct - 0.02 * s.scheme.points * tiles
    images = s.scheme.points / 12 * tiles * (1 / s.source.channels + 1 / s.outputs)
    weights = 2 + s.source.channels * s.outputs / 25_000
    return saved - images > weights * (2 if op == "ConvWeight" else 1)


def launches(s: Shape, node: Node, width: int) -> list[Launch]:
    """The launches of a convolution that suits."""
    kind = type(node.op).__name__
    z = sizes(s, kind, width // 32)
    given = [k for k, v in enumerate((*node.inputs, *node.outputs)) if v is not None]
    cost = 0.02 * z.scheme.points * s.n * z.source.high * z.source.wide * s.inner * s.outer
    if kind == "ConvWeight":
        return gradient_launches(z, width, cost)
    taps = len(s.taps)
    weights = Weights(taps, s.inner * taps, True)
    if kind == "Conv":
        weights = Weights(s.inner * taps, taps)
    return forward_launches(z, weights, width, given, cost)


def forward_launches(
    s: Sizes, w: Weights, width: int, given: list[int], cost: float
) -> list[Launch]:
    """The launches of ``Forward``; operands: input, weights, bias if ``given``, output."""
    found, f = [], kernel(width, np.dtype(np.float32))
    forward = Forward(s, w, f.module)
    shared = 4 * forward.shared
    if not forward.together:
        first = kernel(width, f.dtype)
        forward.weights(first, first.operand(0), first.operand(1))
        first.end()
        some = 5.0 * s.source.channels * s.outputs
        found = [Launch(first.module.text(), ((1, 0), (SHARED, 0)), s.panels, 0, shared, some)]
    x, u = f.operand(0), f.operand(1)
    bias, y = f.operand(2) if len(given) == 4 else "", f.operand(len(given) - 1)
    size = forward.write(f, x, u, bias, y)
    f.end()
    which = [0, 1 if forward.together else SHARED, *given[2:]]
    operands = tuple([(k, 0) for k in which])
    return [*found, Launch(f.module.text(), operands, forward.units, 4 * size, shared, cost)]


def gradient_launches(s: Sizes, width: int, cost: float) -> list[Launch]:
    """The launches of ``Gradient``; operands: input, output's gradient, result."""
    f, last = kernel(width, np.dtype(np.float32)), kernel(width, np.dtype(np.float32))
    gradient = Gradient(s, f.module)
    shared = 4 * gradient.shared
    size = gradient.write(f, f.operand(0), f.operand(1), f.operand(2))
    f.end()
    operands = ((0, 0), (1, 0), (SHARED, 0))
    first = Launch(f.module.text(), operands, gradient.units, 4 * size, shared, cost)
    gradient.collect(last, last.operand(0), last.operand(1))
    last.end()
    some = 5.0 * gradient.groups * s.source.channels * s.outputs
    ends = ((SHARED, 0), (2, 0))
    return [first, Launch(last.module.text(), ends, s.panels, 0, shared, some)]
