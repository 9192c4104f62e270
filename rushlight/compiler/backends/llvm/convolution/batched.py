"""Convolution with few channels and many images: vectors hold one pixel of several images.

Planes are turned that way into scratch memory. All positions, strides and taps are then alike:
weights are broadcast to them, without remainders of rows. A unit of work is a block of as many
images as a vector has lanes, for one group of channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rushlight.compiler.backends.llvm.convolution.columns import Pair, Source
from rushlight.compiler.backends.llvm.convolution.conv import turned_weights
from rushlight.compiler.backends.llvm.convolution.shapes import Shape, parts
from rushlight.compiler.backends.llvm.convolution.tiles import balanced, by_rows
from rushlight.compiler.backends.llvm.convolution.turn import Frame, write_copy, write_put
from rushlight.compiler.backends.llvm.ir.code import Code, Number, Scratch, kernel
from rushlight.compiler.backends.llvm.launch import SHARED, Launch
from rushlight.compiler.graph import Node

UNROLLED = 8  # taps of a row


@dataclass(frozen=True)
class Piece:
    """Outputs at ``start + step * i``: what their taps meet, and where their weights lie."""

    source: Source
    start: Pair
    step: Pair
    weights: int = 0

    @property
    def columns(self) -> list[int]:
        """Columns of the taps of a row."""
        taps = self.source.taps
        return [c for r, c in taps if r == taps[0][0]]

    @property
    def rows(self) -> list[int]:
        """Rows of the taps, evenly spaced."""
        return [r for r, _ in self.source.taps[:: len(self.columns)]]


@dataclass(frozen=True)
class Batch:
    """Sizes: images, groups, channels and outputs of a group; ``space``: that of the input."""

    images: int
    groups: int
    channels: int
    outputs: int
    space: Pair
    out: Pair
    pieces: tuple[Piece, ...]

    @property
    def frame(self) -> Frame:
        """The input between zeros, enough of them for all pieces."""
        return Frame(self.space, self.before, self.extent[1])

    @property
    def before(self) -> Pair:
        """Zeros in front."""
        most = [max([0, *[p.source.before[i] for p in self.pieces]]) for i in (0, 1)]
        return most[0], most[1]

    @property
    def extent(self) -> Pair:
        """Rows and columns between zeros."""
        result = []
        for i in (0, 1):
            ends = [self.before[i] + self.space[i]]
            for p in self.pieces:
                s = p.source
                last = (s.out[i] - 1) * s.stride[i] + max([t[i] for t in s.taps]) + 1
                ends.append(self.before[i] - s.before[i] + last)
            result.append(max(ends))
        return result[0], result[1]

    @property
    def plane(self) -> int:
        """Pixels of a channel between zeros."""
        return self.extent[0] * self.extent[1]

    def blocks(self, lanes: int) -> int:
        """Blocks of images."""
        return -(-self.images // lanes)

    def whole(self, lanes: int) -> bool:
        """Whether all blocks are full."""
        return self.images % lanes == 0

    def bounds(self, p: Piece, dim: int, many: int = 1) -> list[tuple[int, int]]:
        """For ``many`` rows or columns of a piece's outputs from each on, the first of the taps'
        rows or columns that lie in the image, and the last one + 1.
        """
        found, taps = [], (p.rows, p.columns)[dim]
        for i in range(p.source.out[dim] - many + 1):
            inside = []
            for k, tap in enumerate(taps):
                at = [
                    j * p.source.stride[dim] + tap - p.source.before[dim]
                    for j in range(i, i + many)
                ]
                if any([0 <= place < self.space[dim] for place in at]):
                    inside.append(k)
            found.append((inside[0], inside[-1] + 1) if inside else (0, 1))
        return found

    def offset(self, p: Piece) -> int:
        """Where a piece's first tap of the first position lies, in pixels."""
        top, left = [self.before[i] - p.source.before[i] for i in (0, 1)]
        return (top + p.rows[0]) * self.extent[1] + left + p.columns[0]


def best_tile(outputs: int, width: int, registers: int) -> tuple[int, int]:
    """Outputs and positions of a tile: little computed twice, and loads and latency hidden."""

    def cost(tile: tuple[int, int]) -> tuple[float, int]:
        q, v = tile
        twice = -(-outputs // q) * q * -(-width // v) * v
        return twice * max(1.0, (q + v) / (q * v), 6 / (q * v)), -q * v

    fitting = [
        (q, v)
        for q in range(1, min(outputs, 12) + 1)
        for v in range(1, min(width, 6) + 1)
        if q * v + v + 2 <= registers
    ]
    return min(fitting, key=cost)


class Forward:
    """Writes ``y[n, m] = bias[m] + sum over channels and taps of w[m] x[n]``."""

    def __init__(self, f: Code, s: Batch, bias: bool) -> None:
        self.f, self.s, self.bias = f, s, bias
        registers = 32 if f.module.width == 512 else 16
        width = min([p.source.out[1] for p in s.pieces])
        self.q, self.v = best_tile(s.outputs, width, registers)
        self.places = s.out[0] * s.out[1]

    def write(self, x: str, weights: Sequence[str], bias: str, y: str) -> int:
        """Units lo to hi; weights: the address of each piece's. Returns elements of scratch."""
        f, s, frame = self.f, self.s, self.s.frame
        scratch, last = Scratch("%scratch", f.lanes), "" if s.whole(f.lanes) else "%last"
        size = s.space[0] * s.space[1]
        copies = s.channels * s.plane * f.lanes
        copy = scratch.take(f, copies, frame.slack(f.lanes))
        result = Frame(s.out, (0, 0), s.out[1])
        pixels = scratch.take(f, self.q * self.places * f.lanes, result.slack(f.lanes))
        turn = write_copy(f, frame, s.groups * s.channels * size, last)
        put = write_put(f, result, s.groups * s.outputs * self.places, False, last)
        tiles = [self.tile(k, p) for k, p in enumerate(s.pieces)]
        f.clear(copy, copies)
        if sum([p.source.places for p in s.pieces]) < self.places:
            f.clear(pixels, self.q * self.places * f.lanes)

        def unit(k: Number, _: list[str]) -> None:
            n, g = f.parted(k, s.groups)
            n = f.mul(n, f.lanes)
            behind = f.sub(f.smaller(f.lanes, f.sub(s.images, n)), 1)

            def channel(c: Number, _: list[str]) -> None:
                at = f.add(f.mul(n, s.groups * s.channels), f.add(f.mul(g, s.channels), c))
                to = f.at(copy, f.mul(c, s.plane * f.lanes))
                f.call(turn, f.at(x, f.mul(at, size)), to, 0, size, 0, behind)

            def outputs(m: Number, _: list[str]) -> None:
                m = f.smaller(m, s.outputs - self.q)
                row = f.add(f.mul(g, s.outputs), m)
                for p, w, tile in zip(s.pieces, weights, tiles, strict=True):
                    here = f.at(w, f.mul(row, s.channels * len(p.source.taps)))
                    self.positions(p, tile, copy, here, pixels, f.at(bias, row) if bias else "null")

                def one(o: Number, _: list[str]) -> None:
                    at = f.add(f.mul(n, s.groups * s.outputs), f.add(row, o))
                    a = f.at(pixels, f.mul(o, self.places * f.lanes))
                    f.call(
                        put, a, f.at(y, f.mul(at, self.places)), 0, self.places, 0, behind, "null"
                    )

                f.span(0, self.q, 1, one)

            f.span(0, s.channels, 1, channel)
            f.span(0, s.outputs, self.q, outputs)

        f.span("%lo", "%hi", 1, unit)
        return scratch.size

    def positions(self, p: Piece, tile: str, x: str, w: str, y: str, bias: str) -> None:
        """All tiles of a piece."""
        f, s, (height, width) = self.f, self.s, p.source.out
        x = f.at(x, s.offset(p) * f.lanes)
        y = f.at(y, (p.start[0] * s.out[1] + p.start[1]) * f.lanes)

        table = f.table([k for pair in s.bounds(p, 0) for k in pair])
        across = f.table([k for pair in s.bounds(p, 1, self.v) for k in pair])

        def row(i: Number, _: list[str]) -> None:
            a = f.at(x, f.mul(i, p.source.stride[0] * s.extent[1] * f.lanes))
            b = f.at(y, f.mul(i, p.step[0] * s.out[1] * f.lanes))
            r0, r1 = [f.entry(table, f.add(f.mul(i, 2), k)) for k in (0, 1)]

            def some(j: Number, _: list[str]) -> None:
                j = f.smaller(j, width - self.v)
                here = f.at(a, f.mul(j, p.source.stride[1] * f.lanes))
                t0, t1 = [f.entry(across, f.add(f.mul(j, 2), k)) for k in (0, 1)]
                to = f.at(b, f.mul(j, p.step[1] * f.lanes))
                f.call(tile, here, w, to, bias, r0, r1, t0, t1)

            f.span(0, width, self.v, some)

        f.span(0, height, 1, row)

    def tile(self, number: int, p: Piece) -> str:
        """The function ``(x, w, y, bias, r0, r1, t0, t1)`` for some outputs and positions of a
        piece, rows r0 to r1 of taps, and, if many meet only zeros, columns t0 to t1.
        """
        s, q, v = self.s, self.q, self.v
        signature = (
            "ptr noalias %x, ptr noalias %w, ptr noalias %y, ptr %bias, "
            "i64 %r0, i64 %r1, i64 %t0, i64 %t1"
        )
        f = Code(self.f.module, f"tile{number}", signature, self.f.dtype)
        rows, columns = p.rows, p.columns
        lda, step = s.channels * len(p.source.taps), p.source.stride[1]
        down = (rows[1] - rows[0]) * s.extent[1] if len(rows) > 1 else 0
        across = columns[1] - columns[0] if len(columns) > 1 else 0
        inside = [last - first for first, last in s.bounds(p, 1, v)]
        outside = sum(inside) < 0.85 * len(columns) * len(inside)  # many taps meet only zeros

        def tap(x: str, w: str, t: Number, sums: list[str]) -> list[str]:
            x, w = f.at(x, f.mul(t, across * f.lanes)), f.at(w, t)
            line = [f.load(f.at(x, k * step * f.lanes)) for k in range(v)]
            new = []
            for i in range(q):
                one = f.splat(f.scalar(f.at(w, i * lda)))
                new += [f.fma(one, line[k], sums[i * v + k]) for k in range(v)]
            return new

        def row(x: str, w: str, sums: list[str]) -> list[str]:
            if len(columns) > UNROLLED or outside:
                carried = [(f.vector, a) for a in sums]
                return f.span("%t0", "%t1", 1, lambda t, a: tap(x, w, t, a), carried)
            for t in range(len(columns)):
                sums = tap(x, w, t, sums)
            return sums

        def channel(c: Number, sums: list[str]) -> list[str]:
            x, w = f.at("%x", f.mul(c, s.plane * f.lanes)), f.at("%w", f.mul(c, len(p.source.taps)))

            def one(r: Number, sums: list[str]) -> list[str]:
                return row(f.at(x, f.mul(r, down * f.lanes)), f.at(w, f.mul(r, len(columns))), sums)

            return f.span("%r0", "%r1", 1, one, [(f.vector, a) for a in sums])

        start = [
            f.splat(f.scalar(f.at("%bias", i))) if self.bias else "zeroinitializer"
            for i in range(q)
            for _ in range(v)
        ]
        sums = f.span(0, s.channels, 1, channel, [(f.vector, a) for a in start])
        for i in range(q):
            for k in range(v):
                f.store(f.at("%y", (i * self.places + k * p.step[1]) * f.lanes), sums[i * v + k])
        f.end()
        return f.name


class Gradient:
    """Writes the gradient of the weights of one piece.

    Units sum up over some blocks of images, as (output, channel, tap) of vectors. A second launch
    adds up units and lanes.
    """

    GROUPS = 8  # units of a group of channels, if there are as many blocks

    def __init__(self, f: Code, s: Batch) -> None:
        self.s, self.piece = s, s.pieces[0]
        blocks = s.blocks(f.lanes)
        self.together = -(-blocks // min(blocks, self.GROUPS))
        self.parts = -(-blocks // self.together)
        self.units = self.parts * s.groups
        self.taps = len(self.piece.source.taps)
        self.size = s.outputs * s.channels * self.taps  # weights of a group
        registers = 32 if f.module.width == 512 else 16
        columns = len(self.piece.columns)
        self.wide = -(-columns // -(-columns // (6 if registers == 32 else 4)))
        self.most = (registers - 2 - self.wide) // self.wide  # outputs of a tile

    def shared(self, lanes: int) -> int:
        """Elements of the units' sums."""
        return (self.units * self.size + lanes) * lanes

    def write(self, f: Code, x: str, g: str, sums: str) -> int:
        """Sums of units lo to hi. Returns the elements of scratch memory."""
        s, frame, n = self.s, self.s.frame, f.lanes
        last = "" if s.whole(n) else "%last"
        scratch, (height, width) = Scratch("%scratch", n), s.out
        size, places = s.space[0] * s.space[1], height * width
        copies = s.channels * s.plane * n
        copy = scratch.take(f, copies, frame.slack(n))
        result = Frame(s.out, (0, 0), width)
        gs = scratch.take(f, s.outputs * places * n, result.slack(n))
        turn = write_copy(f, frame, s.groups * s.channels * size, last)
        turn_g = write_copy(f, result, s.groups * s.outputs * places, last, zeros=True)
        columns = len(self.piece.columns)
        outputs, more = balanced(s.outputs, self.most)
        tiles = {
            (q, wide): self.tile(f, q, wide)
            for q in ([outputs, outputs + 1] if more else [outputs])
            for wide in {min(self.wide, columns), columns % self.wide} - {0}
        }
        f.clear(copy, copies)

        def unit(k: Number, _: list[str]) -> None:
            part, group = f.parted(k, s.groups)
            total = f.at(sums, f.mul(f.add(f.mul(group, self.parts), part), self.size * n))
            f.clear(total, self.size * n)

            def block(b: Number, _: list[str]) -> None:
                image = f.mul(b, n)
                behind = f.sub(f.smaller(n, f.sub(s.images, image)), 1)

                def channel(c: Number, _: list[str]) -> None:
                    at = f.add(f.mul(f.add(f.mul(image, s.groups), group), s.channels), c)
                    to = f.at(copy, f.mul(c, s.plane * n))
                    f.call(turn, f.at(x, f.mul(at, size)), to, 0, size, 0, behind)

                def output(o: Number, _: list[str]) -> None:
                    at = f.add(f.mul(f.add(f.mul(image, s.groups), group), s.outputs), o)
                    to = f.at(gs, f.mul(o, places * n))
                    f.call(turn_g, f.at(g, f.mul(at, places)), to, 0, places, 0, behind)

                f.span(0, s.channels, 1, channel)
                f.span(0, s.outputs, 1, output)
                self.products(f, tiles, copy, gs, total)

            start = f.mul(part, self.together)
            stop = f.smaller(f.add(start, self.together), s.blocks(n))
            f.span(start, stop, 1, block)

        f.span("%lo", "%hi", 1, unit)
        return scratch.size

    def products(
        self, f: Code, tiles: dict[tuple[int, int], str], x: str, g: str, total: str
    ) -> None:
        """Add one block of images."""
        s, p, n = self.s, self.piece, f.lanes
        columns, rows = p.columns, p.rows
        down = (rows[1] - rows[0]) * s.extent[1] if len(rows) > 1 else 0
        places = s.out[0] * s.out[1]
        x = f.at(x, s.offset(p) * n)

        def outputs(o: Number, q: int) -> None:
            def channel(c: Number, r: Number) -> None:
                a = f.at(x, f.mul(f.add(f.mul(c, s.plane), f.mul(r, down)), n))
                k = f.add(f.mul(f.add(f.mul(o, s.channels), c), len(rows)), r)
                for t in range(0, len(columns), self.wide):
                    wide = min(self.wide, len(columns) - t)
                    to = f.at(total, f.mul(f.add(f.mul(k, len(columns)), t), n))
                    here = f.at(a, (columns[t] - columns[0]) * n)
                    f.call(tiles[q, wide], here, f.at(g, f.mul(o, places * n)), to)

            f.grid(s.channels, len(rows), channel)

        by_rows(f, s.outputs, self.most, outputs)

    def tile(self, f: Code, q: int, wide: int) -> str:
        """The function ``(x, g, total)``: some outputs times some taps of a row, added up."""
        s, p, n, (height, width) = self.s, self.piece, f.lanes, self.s.out
        signature = "ptr noalias %x, ptr noalias %g, ptr noalias %to"
        f = Code(f.module, f"sums{q}x{wide}", signature, f.dtype)
        across = p.columns[1] - p.columns[0] if len(p.columns) > 1 else 0
        places = [(i, t) for i in range(q) for t in range(wide)]

        def position(i: Number, j: Number, sums: list[str]) -> list[str]:
            x = f.at("%x", f.mul(i, p.source.stride[0] * s.extent[1] * n))
            x = f.at(x, f.mul(j, p.source.stride[1] * n))
            g = f.at("%g", f.mul(f.add(f.mul(i, width), j), n))
            line = [f.load(f.at(x, t * across * n)) for t in range(wide)]
            new = []
            for o in range(q):
                one = f.load(f.at(g, o * height * width * n))
                new += [f.fma(one, line[t], sums[o * wide + t]) for t in range(wide)]
            return new

        def row(i: Number, sums: list[str]) -> list[str]:
            carried = [(f.vector, a) for a in sums]
            return f.span(0, width, 1, lambda j, a: position(i, j, a), carried)

        sums = f.span(0, height, 1, row, [(f.vector, "zeroinitializer")] * len(places))
        for (i, t), value in zip(places, sums, strict=True):
            to = f.at("%to", (i * s.channels * self.taps + t) * n)
            f.store(to, f.plus(f.load(to), value))
        f.end()
        return f.name

    def collect(self, f: Code, sums: str, w: str) -> None:
        """Weights of units lo to hi, as many as there are lanes in each."""
        n, each = f.lanes, -(-self.size // f.lanes)

        def unit(k: Number, _: list[str]) -> None:
            group, e = f.parted(k, each)
            e = f.mul(e, n)
            here = f.at(sums, f.mul(f.add(f.mul(group, self.parts * self.size), e), n))
            lines = []
            for i in range(n):
                line = f.load(f.at(here, i * n))
                for part in range(1, self.parts):
                    line = f.plus(line, f.load(f.at(here, (part * self.size + i) * n)))
                lines.append(line)
            lines = f.transposed(lines)
            while len(lines) > 1:
                lines = [f.plus(a, b) for a, b in zip(lines[::2], lines[1::2], strict=True)]
            to = f.at(w, f.add(f.mul(group, self.size), e))
            f.store_first(to, lines[0], f.sub(self.size, e))

        f.span("%lo", "%hi", 1, unit)


PIECES = 16  # of a convolution, each of which has its own code
SCRATCH = 1 << 20  # bytes of an image block that should stay in the second-level cache


def sizes(s: Shape, op: str) -> Batch:
    """The sizes of a convolution, or of one of its gradients."""
    if op != "ConvInput":
        source = Source(s.space, s.before, s.stride, tuple(s.taps), s.out)
        piece = Piece(source, (0, 0), (1, 1))
        return Batch(s.n, s.groups, s.inner, s.outer, s.space, s.out, (piece,))
    pieces, weights = [], 0
    for part in parts(s):
        if part.source is not None:
            pieces.append(Piece(part.source, part.start, s.stride, weights))
            weights += s.groups * s.inner * s.outer * len(part.taps)
    return Batch(s.n, s.groups, s.outer, s.inner, s.out, s.space, tuple(pieces))


def suits(s: Shape, node: Node, width: int) -> bool:
    """Whether there are few channels, and images fill vectors.

    Measured: turning a vector takes as long as 7 of its products.
    """
    d, op = node.outputs[0].dtype, type(node.op).__name__
    lanes, taps = width // (8 * d.itemsize), len(s.taps)
    z = sizes(s, op)
    few = 0 < len(z.pieces) <= PIECES
    if (s.n % lanes and s.n < 4 * lanes) or s.kernel[1] == 1 or not few:
        return False
    kept = z.outputs if op == "ConvWeight" else min(z.outputs, 8)
    pixels = z.channels * z.plane + kept * z.out[0] * z.out[1]
    if pixels * lanes * d.itemsize > SCRATCH:
        return False
    turned = s.inner * s.stride[0] * s.stride[1] + s.outer
    share = 7 * turned / (s.inner * s.outer * taps)
    most = 0.25
    if min(z.outputs, s.outer) <= 8:
        most = 0.8 if op == "ConvWeight" else 0.35
        most = most if max(s.stride) == 1 else 5.0
    return share < most


def launches(s: Shape, node: Node, width: int) -> list[Launch]:
    """The launches of a convolution that suits."""
    d, op = node.outputs[0].dtype, type(node.op).__name__
    z = sizes(s, op)
    taps = len(s.taps)
    cost = 0.02 * s.n * s.groups * s.inner * s.outer * taps * s.out[0] * s.out[1]
    f = kernel(width, d)
    if op == "ConvWeight":
        return gradient_launches(z, f, width, cost)
    given = [k for k, v in enumerate((*node.inputs, *node.outputs)) if v is not None]
    blocks, found, shared = z.blocks(f.lanes), [], 0
    if op == "ConvInput":
        shared = s.groups * s.inner * s.outer * taps * f.size
        turn = kernel(width, d)
        w, target = turn.operand(0), turn.operand(1)
        for piece, part in zip(z.pieces, [p for p in parts(s) if p.taps], strict=True):
            turned_weights(turn, s, w, [part.taps], turn.at(target, piece.weights))
        turn.end()
        found = [Launch(turn.module.text(), ((1, 0), (SHARED, 0)), 1, 0, shared, shared / 4)]
    x, w = f.operand(0), f.operand(1)
    bias, y = f.operand(2) if len(given) == 4 else "", f.operand(len(given) - 1)
    weights = [f.at(w, p.weights) for p in z.pieces]
    size = Forward(f, z, bool(bias)).write(x, weights, bias, y) * f.size
    f.end()
    which = tuple([(k, 0) for k in (0, SHARED if found else 1, *given[2:])])
    return [*found, Launch(f.module.text(), which, blocks * s.groups, size, shared, cost)]


def gradient_launches(s: Batch, f: Code, width: int, cost: float) -> list[Launch]:
    """The launches of ``Gradient``; operands: input, output's gradient, result."""
    gradient, last = Gradient(f, s), kernel(width, f.dtype)
    shared = gradient.shared(f.lanes) * f.size
    size = gradient.write(f, f.operand(0), f.operand(1), f.operand(2)) * f.size
    f.end()
    operands = ((0, 0), (1, 0), (SHARED, 0))
    first = Launch(f.module.text(), operands, gradient.units, size, shared, cost)
    gradient.collect(last, last.operand(0), last.operand(1))
    last.end()
    units = s.groups * -(-gradient.size // f.lanes)
    ends = ((SHARED, 0), (2, 0))
    some = 20.0 * gradient.parts * units
    return [first, Launch(last.module.text(), ends, units, 0, shared, some)]
