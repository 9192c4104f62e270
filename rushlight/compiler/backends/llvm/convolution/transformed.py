"""Convolution as products of Winograd's transforms: see ``winograd``.

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
    ways,
)
from rushlight.compiler.backends.llvm.convolution.shapes import Shape
from rushlight.compiler.backends.llvm.convolution.tiles import Tile, tile, tile_rows
from rushlight.compiler.backends.llvm.convolution.turn import write_put
from rushlight.compiler.backends.llvm.convolution.winograd import Tiles, flat, get, put, squared
from rushlight.compiler.backends.llvm.ir.code import Code, Number, Scratch, Sized
from rushlight.compiler.backends.llvm.ir.driver import Driver
from rushlight.compiler.backends.llvm.ir.text import COMMON, Module
from rushlight.compiler.backends.llvm.launch import SHARED, Launch
from rushlight.compiler.backends.llvm.products.micro import LINE
from rushlight.compiler.graph import Node

FLOAT = np.dtype(np.float32)
SUM = 64  # channels that are added up in one go: longer sums lose digits
FEW = 8  # vectors of sums, whose additions overlap
AHEAD = 8  # channels between the weights that are transformed and those that are asked for
LARGE = 1 << 19  # bytes of a block's transforms that are not all in the second-level cache


@dataclass(frozen=True)
class Weights:
    """Where the weights of row m and channel k of a group lie: at ``m * row + k * channel``.
    ``group``: the distance of groups. ``flipped``: the last tap is the first.
    """

    group: int
    row: int
    channel: int
    flipped: bool = False


class Forward:
    """``y[n, m] = bias[m] + sum over channels and taps of w[m] x[n]``.

    Transformed weights are (group, panel, point, channel, output). A launch of its own makes them,
    unless they are used once or do not stay in a cache: then each panel's are made when it needs
    them, some channels at a time.
    """

    def __init__(self, s: Sizes, w: Weights, module: Module) -> None:
        self.s, self.w = s, w
        self.rows = block_rows(s, tile_rows(module)[s.vectors])
        padded = s.block.tiles + self.rows
        channels, n = s.source.channels, s.lanes  # rows of equal sets of the cache would collide
        self.v = Layout(channels + n, padded * (channels + n) + n)
        self.m = Layout(s.width, padded * s.width + n)
        self.together = s.block.count == 1 or not s.near
        some = min(channels, SUM) if self.together else channels
        self.u = Layout(s.width, some * s.width + n)
        self.parts = s.parts(s.block.count)
        self.units = s.groups * s.block.count * self.parts
        self.shared = 0 if self.together else s.groups * s.panels * s.weights * self.u.step

    def weights(self, f: Driver, w: str, u: str) -> None:
        """Transform the weights of panels lo to hi."""
        one = self.panel_weights(f)

        def panel(k: Number, _: list[str]) -> None:
            here = self.panel_place(f, w, *f.parted(k, f.number(self.s.panels)))
            to = f.at(u, f.mul(k, self.s.weights * self.u.step))
            self.call_weights(f, one, here, to, self.s.source.channels)

        f.span("%lo", "%hi", 1, panel)

    def panel_place(self, f: Driver, w: str, g: Number, j: Number) -> str:
        """Where the weights of panel j of group g lie."""
        return f.at(w, f.add(f.mul(g, self.w.group), f.mul(j, self.s.width * self.w.row)))

    def call_weights(self, f: Driver, one: Sized, w: str, u: str, count: Number) -> None:
        """Transform one panel's weights of some channels."""
        for h in range(self.s.vectors):
            f.call(one, f.at(w, h * f.lanes * self.w.row), f.at(u, h * f.lanes), count)

    def panel_weights(self, f: Driver) -> Sized:
        """The function ``(w, u, count)`` that transforms the weights of one vector of outputs and
        some channels.
        """
        name = f.module.common(("weights", self.s.ways, self.w.flipped), self.write_weights)
        return Sized(name, (self.w.row, self.w.channel, self.u.row, self.u.step))

    def write_weights(self, module: Module) -> str:
        """Write the function; its name."""
        signature = (
            "ptr noalias %w, ptr noalias %u, i64 %count, "
            "i64 %row, i64 %channel, i64 %points, i64 %step"
        )
        f = Code(module, "weights", signature, FLOAT, COMMON)
        ahead = f.mul("%channel", AHEAD * f.size)

        def channel(k: Number, _: list[str]) -> None:
            ends, square = f.apart(f.at("%w", f.mul(k, "%channel")), "%row", f.lanes), []
            rows, columns = self.s.ways
            for w in ends:
                for line in range(0, rows.taps * columns.taps * f.size, LINE):
                    f.prefetch(f.past(w, f.add(ahead, line)))
            for first in range(0, rows.taps * columns.taps, f.lanes):
                n = min(f.lanes, rows.taps * columns.taps - first)
                lines = [f.load(f.at(w, first), n) for w in ends]
                square += f.transposed(lines)[:n]
            if self.w.flipped:
                square.reverse()
            n = columns.taps
            square_of_taps = [square[i * n : (i + 1) * n] for i in range(rows.taps)]
            found = squared(f, rows.weigh, columns.weigh, square_of_taps)
            put(f, f.at("%u", f.mul(k, "%points")), "%step", flat(found))

        f.span(0, "%count", 1, channel)
        f.end()
        return f.name

    def write(self, f: Driver, x: str, w: str, bias: str, y: str) -> int:
        """Units lo to hi; w: the weights, transformed or not. Returns the elements of scratch."""
        s, block, scratch = self.s, self.s.block, Scratch("%scratch", f.lanes)
        reader = Reader(f, s.source, block, self.v, scratch)
        v, m = [scratch.take(f, s.points * a.step) for a in (self.v, self.m)]
        u = scratch.take(f, s.weights * self.u.step) if self.together else w
        weigh_panel = self.panel_weights(f) if self.together else None
        writer = Writer(f, s, self.m, scratch, bool(bias))
        runs = tuple([(k * f.lanes, f.lanes) for k in range(s.vectors)])
        asks = s.points * self.v.step * 4 > LARGE
        shape = Tile(self.rows, self.v.row, s.width, runs, asks=asks)
        product = tile(f.module, f.dtype, shape)

        def unit(k: Number, _: list[str]) -> None:
            g, k = f.parted(k, f.number(block.count * self.parts))
            b, part = f.parted(k, f.number(self.parts))
            place, channels = block.place(f, b), f.number(s.source.channels)
            here = f.at(x, f.mul(g, s.source.channels * s.source.size))
            reader.write(here, place, (0, channels), lambda c: f.at(v, c))
            to = f.at(y, f.mul(g, s.outputs * s.result.size))
            extra = f.at(bias, f.mul(g, s.outputs)) if bias else ""

            def panel(j: Number, _: list[str]) -> None:
                number = f.add(f.mul(g, s.panels), j)
                given = self.panel_place(f, w, g, j)

                def some(i: Number, _: list[str]) -> None:
                    depth, here = f.smaller(SUM, f.sub(channels, i)), u
                    if weigh_panel is not None:
                        place_of_some = f.at(given, f.mul(i, self.w.channel))
                        self.call_weights(f, weigh_panel, place_of_some, u, depth)
                    else:
                        far = f.mul(number, s.weights * self.u.step)
                        here = f.at(u, f.add(far, f.mul(i, self.u.row)))
                    products(here, i, depth, place)

                f.span(0, channels, SUM, some)
                for h in range(s.vectors):
                    c = f.add(f.mul(j, s.width), h * f.lanes)
                    writer.write(f.at(m, h * f.lanes), to, place, c, extra)

            f.span(*s.part(f, part, self.parts), 1, panel)

        def products(u: str, i: Number, depth: Number, place: Place) -> None:
            first = f(f"icmp eq i64 {i}, 0")

            def point(k: Number, _: list[str]) -> None:
                b = f.at(u, f.mul(kind(f, s, k)[0], self.u.step))

                def rows(r: Number, _: list[str]) -> None:
                    a = f.at(v, f.add(f.add(f.mul(k, self.v.step), f.mul(r, self.v.row)), i))
                    c = f.at(m, f.add(f.mul(k, self.m.step), f.mul(r, self.m.row)))
                    f.call(product, a, b, c, depth, first, "null")

                f.span(*place.span(f, block, k), f.number(self.rows), rows)

            f.span(0, f.number(s.points), 1, point)

        f.span("%lo", "%hi", 1, unit)
        return scratch.size


class Writer:
    """Puts products back into planes."""

    def __init__(self, f: Driver, s: Sizes, m: Layout, scratch: Scratch, bias: bool) -> None:
        self.f, self.plane, self.block, self.m = f, s.result, s.block, m
        frame, tiles = self.plane.frame, Tiles(f, self.plane, m.row, m.step)
        self.inverse = tiles.inverse()
        self.between = scratch.take(f, tiles.high)
        self.put = write_put(f, frame, frame.size, bias)
        size = self.plane.span(self.block.lines) * self.plane.row * f.lanes
        self.pixels = scratch.take(f, size, frame.slack(f.lanes))

    def write(self, m: str, y: str, place: Place, c: Number, bias: str) -> None:
        """One vector of outputs, from c on."""
        f, plane = self.f, self.plane
        p0, p1 = plane.pixels(f, place.first, place.high)
        shift = f.mul(place.first, plane.sizes(plane.rows)[1] * plane.row * f.lanes)
        extra = f.at(bias, c) if bias else "null"

        def image(i: Number, _: list[str]) -> None:
            places = place.places(f, m, self.m.row, i)
            f.call(self.inverse, self.pixels, self.between, place.whole, *places)
            at = f.add(f.mul(f.add(place.image, i), plane.groups * plane.channels), c)
            to = f.at(y, f.mul(at, plane.size))
            f.call(self.put, self.pixels, to, p0, p1, shift, 0, extra)

        f.span(0, place.images, 1, image)


class Gradient:
    """``w[m, c] = sum over images and positions of g[n, m] x[n, c]``, for each tap.

    A unit makes the sums over a share of the blocks for a part of the outputs, as (panel, point,
    channel, output). A second launch adds up the shares' sums, and turns points to taps.
    """

    def __init__(self, s: Sizes, module: Module) -> None:
        self.s = s
        channels, tiles, n = s.source.channels, s.block.tiles, s.lanes
        limit = tile_rows(module)[s.vectors]
        self.rows = -(-channels // -(-channels // limit))
        padded = -(-channels // self.rows) * self.rows
        self.parts = s.parts(1)
        wanted = UNITS // (self.parts * s.groups)
        self.together = -(-s.block.count // max(1, min(s.block.count, wanted)))
        self.shares = -(-s.block.count // self.together)
        self.units = s.groups * self.shares * self.parts
        self.v = Layout(channels + n, tiles * (channels + n) + n)
        self.g = Layout(s.width, -(-s.panels // self.parts) * tiles * s.width + n)
        self.c = Layout(s.width, padded * s.width + n)
        self.sums = s.panels * s.weights * self.c.step  # of a share
        self.shared = s.groups * self.shares * self.sums

    def write(self, f: Driver, x: str, g: str, sums: str) -> int:
        """Sums of units lo to hi. Returns the elements of scratch memory."""
        s, block, scratch = self.s, self.s.block, Scratch("%scratch", f.lanes)
        readers = [
            Reader(f, plane, block, to, scratch)
            for plane, to in ((s.source, self.v), (s.result, self.g))
        ]
        v, h = [scratch.take(f, s.points * a.step) for a in (self.v, self.g)]
        runs = tuple([(k * f.lanes, f.lanes) for k in range(s.vectors)])
        asks = s.points * self.v.step * 4 > LARGE
        shape = Tile(self.rows, 1, s.width, runs, step=self.v.row, asks=asks)
        product = tile(f.module, f.dtype, shape)
        panel_size = block.tiles * s.width

        def unit(k: Number, _: list[str]) -> None:
            number, part = f.parted(k, f.number(self.parts))
            group, share = f.parted(number, f.number(self.shares))
            panels = s.part(f, part, self.parts)
            here = f.at(sums, f.mul(number, self.sums))
            together = f.number(self.together)
            start = f.mul(share, together)
            stop = f.smaller(f.add(start, together), f.number(block.count))
            xs = f.at(x, f.mul(group, s.source.channels * s.source.size))
            gs = f.at(g, f.mul(group, s.outputs * s.result.size))

            def one(b: Number, _: list[str]) -> None:
                place = block.place(f, b)
                channels = f.number(s.source.channels)
                readers[0].write(xs, place, (0, channels), lambda c: f.at(v, c))
                first, last = [f.mul(j, s.width) for j in panels]

                def target(c: Number) -> str:
                    j, rest = f.parted(f.sub(c, first), s.width)
                    return f.at(h, f.add(f.mul(j, panel_size), rest))

                readers[1].write(gs, place, (first, last), target)
                fresh = f(f"icmp eq i64 {b}, {start}")
                products(here, panels, place, fresh)

            f.span(start, stop, 1, one)

        def products(sums: str, panels: tuple[Number, Number], place: Place, fresh: str) -> None:
            def point(k: Number, _: list[str]) -> None:
                weight, new = kind(f, s, k)
                first = f(f"and i1 {fresh}, {new}")
                start, stop = place.span(f, block, k)
                depth = f.sub(stop, start)
                x = f.add(f.mul(k, self.v.step), f.mul(start, self.v.row))
                y = f.add(f.mul(k, self.g.step), f.mul(start, self.g.row))

                def panel(j: Number, _: list[str]) -> None:
                    b = f.add(y, f.mul(f.sub(j, panels[0]), panel_size))
                    to = f.mul(f.add(f.mul(j, s.weights), weight), self.c.step)

                    def rows(r: Number, _: list[str]) -> None:
                        a, c = f.add(x, r), f.add(to, f.mul(r, s.width))
                        given = f.at(v, a), f.at(h, b), f.at(sums, c)
                        f.call(product, *given, depth, first, "null")

                    f.span(0, f.number(s.source.channels), self.rows, rows)

                f.span(*panels, 1, panel)

            f.span(0, f.number(s.points), 1, point)

        f.span("%lo", "%hi", 1, unit)
        return scratch.size

    def collect(self, f: Driver, sums: str, w: str) -> None:
        """The taps of panels lo to hi."""
        s, taps = self.s, self.s.ways[0].taps * self.s.ways[1].taps
        one = self.panel_taps(f)

        def panel(k: Number, _: list[str]) -> None:
            group, j = f.parted(k, f.number(s.panels))
            at = f.mul(group, self.shares * self.sums)
            here = f.at(sums, f.add(at, f.mul(j, s.weights * self.c.step)))
            to = f.at(w, f.mul(k, s.width * s.source.channels * taps))
            for h in range(s.vectors):
                row = h * f.lanes
                f.call(one, f.at(here, row), f.at(to, row * s.source.channels * taps))

        f.span("%lo", "%hi", 1, panel)

    def panel_taps(self, f: Driver) -> Sized:
        """The function ``(sums, w)`` that makes the taps of one vector of outputs and all channels
        of the sums of all shares.
        """
        name = f.module.common(("taps", self.s.ways), self.write_taps)
        sizes = self.s.source.channels, self.s.width, self.c.step, self.shares, self.sums
        return Sized(name, sizes)

    def write_taps(self, module: Module) -> str:
        """Write the function; its name."""
        signature = (
            "ptr noalias %sums, ptr noalias %w, "
            "i64 %channels, i64 %width, i64 %step, i64 %shares, i64 %share"
        )
        f = Code(module, "taps", signature, FLOAT, COMMON)
        (rows, columns), (high, wide) = self.s.ways, self.s.kinds
        taps = rows.taps * columns.taps
        apart, next_row = f.mul("%channels", taps), f.mul("%step", wide)
        last = f.mul("%shares", "%share")

        def column(start: str) -> list[str]:
            """The points of a column."""
            carried = [(f.vector, v) for v in get(f, start, next_row, high)]

            def more(g: Number, sums: list[str]) -> list[str]:
                found = get(f, f.at(start, g), next_row, high)
                return [f.plus(a, b) for a, b in zip(sums, found, strict=True)]

            return f.span("%share", last, "%share", more, carried, True)

        def channel(c: Number, _: list[str]) -> None:
            starts = f.apart(f.at("%sums", f.mul(c, "%width")), "%step", wide)
            turned = [rows.collect_taps(f, column(start)) for start in starts]
            found = [
                v for i in range(rows.taps) for v in columns.collect_taps(f, [t[i] for t in turned])
            ]
            ends = f.apart(f.at("%w", f.mul(c, taps)), apart, f.lanes)
            for first in range(0, taps, f.lanes):
                some = found[first : first + f.lanes]
                lines = f.transposed(some + ["zeroinitializer"] * (f.lanes - len(some)))
                for to, line in zip(ends, lines, strict=True):
                    f.store(f.at(to, first), line, len(some))

        f.span(0, "%channels", 1, channel)
        f.end()
        return f.name


def kind(f: Driver, s: Sizes, k: Number) -> tuple[Number, str]:
    """Which kind of weights point k has, and whether it is the first that has."""
    if s.points == s.weights:
        return k, "true"
    at, new = [], []
    for i, way in zip(f.parted(k, s.ways[1].points), s.ways, strict=True):
        at.append(f.entry(f.table(way.kinds), i))
        first = [int(n not in way.kinds[:p]) for p, n in enumerate(way.kinds)]
        new.append(f.entry(f.table(first), i))
    found = f.add(f.mul(at[0], s.kinds[1]), at[1])
    return found, f(f"icmp ne i64 {f(f'and i64 {new[0]}, {new[1]}')}, 0")


def block_rows(s: Sizes, limit: int) -> int:
    """Tiles of a product's block: few too many for each point, and enough for their additions."""

    def cost(rows: int) -> int:
        each = max(rows * s.vectors, FEW) + 2
        return each * sum([n * -(-tiles // rows) for n, tiles in s.block.shares()])

    return min(range(limit, 0, -1), key=cost)


def suits(s: Shape, node: Node, width: int) -> bool:
    """Whether there are transforms for a convolution, and it has enough of everything."""
    d, op = node.outputs[0].dtype, type(node.op).__name__
    found = ways(s, op == "ConvInput")
    if found is None or d != FLOAT:
        return False
    lanes = width // 32
    z = sizes(s, op, lanes, found)
    source = z.source
    over = source.span(source.rows.tiles), source.row  # rows and columns between zeros
    ends = [a + n for a, n in zip(source.before, source.space, strict=True)]
    if min(source.before) < 0 or any([e > n for e, n in zip(ends, over, strict=True)]):
        return False
    return not z.outputs % lanes and pays(s, z, op)


def pays(s: Shape, z: Sizes, op: str) -> bool:
    """Whether transforms cost less than what they save, in nanoseconds for each weight.

    Measured: a direct product takes 0.02, or 0.03 with stride 2, short sums more, transforms 3 for
    a tile and channel, and 4 for a weight each time; for their gradient 4, or more if weights are
    too many for the caches.
    """
    channels, rows, columns = z.source.channels, z.source.rows, z.source.columns
    points = s.n * rows.points * columns.points
    direct = 0.03 if max(s.stride) > 1 else 0.02
    places = float(z.out[0] * z.out[1])
    if op == "ConvInput":
        places /= s.stride[0] * s.stride[1]
    elif op == "ConvWeight":
        places = max(places, z.lanes)  # columns are vectors
    saved = direct * s.n * places * len(s.taps)
    saved -= 0.02 * (1 + 8 / channels) * points
    turned = -(-channels // z.lanes) * z.lanes / channels
    images = points / 12 * (1 / channels + turned / z.outputs)
    if op == "ConvWeight":
        weights = 4 + channels * z.outputs / 12_500
    else:
        weights = 4.0 * (1 if z.near else z.block.count)
    return saved - images > weights


def launches(s: Shape, node: Node, width: int) -> list[Launch]:
    """The launches of a convolution that suits."""
    kind = type(node.op).__name__
    found = ways(s, kind == "ConvInput")
    assert found is not None
    z = sizes(s, kind, width // 32, found)
    given = [k for k, v in enumerate((*node.inputs, *node.outputs)) if v is not None]
    points = s.n * z.source.rows.points * z.source.columns.points
    cost = 0.02 * points * s.groups * s.inner * s.outer
    if kind == "ConvWeight":
        return gradient_launches(z, width, cost)
    taps = len(s.taps)
    weights = Weights(s.outer * s.inner * taps, taps, s.inner * taps, True)
    if kind == "Conv":
        weights = Weights(s.outer * s.inner * taps, s.inner * taps, taps)
    return forward_launches(z, weights, width, given, cost)


def forward_launches(
    s: Sizes, w: Weights, width: int, given: list[int], cost: float
) -> list[Launch]:
    """The launches of ``Forward``; operands: input, weights, bias if ``given``, output."""
    found, f = [], Driver(width, FLOAT)
    forward = Forward(s, w, f.module)
    shared = 4 * forward.shared
    if not forward.together:
        first = Driver(width, FLOAT)
        forward.weights(first, first.operand(0), first.operand(1))
        some, panels = 5.0 * s.groups * s.source.channels * s.outputs, s.groups * s.panels
        found = [first.launch(((1, 0), (SHARED, 0)), panels, shared=shared, cost=some)]
    x, u = f.operand(0), f.operand(1)
    bias, y = f.operand(2) if len(given) == 4 else "", f.operand(len(given) - 1)
    size = 4 * forward.write(f, x, u, bias, y)
    which = [0, 1 if forward.together else SHARED, *given[2:]]
    operands = tuple([(k, 0) for k in which])
    last = f.launch(operands, forward.units, scratch=size, shared=shared, cost=cost)
    return [*found, last]


def gradient_launches(s: Sizes, width: int, cost: float) -> list[Launch]:
    """The launches of ``Gradient``; operands: input, output's gradient, result."""
    f, last = Driver(width, FLOAT), Driver(width, FLOAT)
    gradient = Gradient(s, f.module)
    shared = 4 * gradient.shared
    size = 4 * gradient.write(f, f.operand(0), f.operand(1), f.operand(2))
    operands = ((0, 0), (1, 0), (SHARED, 0))
    first = f.launch(operands, gradient.units, scratch=size, shared=shared, cost=cost)
    gradient.collect(last, last.operand(0), last.operand(1))
    some = 5.0 * s.groups * gradient.shares * s.source.channels * s.outputs
    ends = ((SHARED, 0), (2, 0))
    return [first, last.launch(ends, s.groups * s.panels, shared=shared, cost=some)]
