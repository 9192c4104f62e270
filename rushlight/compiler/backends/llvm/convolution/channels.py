"""Convolution of each channel by itself on narrow planes, whose rows fill no vectors.

Vectors hold one pixel of several channels: planes and weights are turned into scratch memory, see
``turn``. A unit of work is as many channels as a vector has lanes, of one image, or, for the
gradient of the weights, of all images.
"""

from __future__ import annotations

from collections.abc import Sequence

from rushlight.compiler.backends.llvm.convolution import batched
from rushlight.compiler.backends.llvm.convolution.batched import Batch, Piece
from rushlight.compiler.backends.llvm.convolution.shapes import Shape, cost_of, parts
from rushlight.compiler.backends.llvm.convolution.turn import Frame, write_copy, write_put
from rushlight.compiler.backends.llvm.ir.code import Code, Number, Scratch, Sized, kernel
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.graph import Node

SUMS = 8  # of weights' gradients at a time, at least: additions to different ones overlap
WIDE = 4  # positions at a time that share what they read
NARROW = 7  # positions of a row that are few for vectors of any size
NEAR = 1 << 17  # bytes of turned planes, which should stay near


class Planes:
    """Sizes of a convolution, and how its planes are turned. ``met``: the taps of each piece."""

    def __init__(self, f: Code, s: Batch, taps: int, met: Sequence[Sequence[int]]) -> None:
        self.f, self.s, self.taps, self.met = f, s, taps, met
        self.last = "%last" if s.groups % f.lanes else ""
        self.size, self.places = s.space[0] * s.space[1], s.out[0] * s.out[1]
        self.result, self.kernel = Frame(s.out, (0, 0), s.out[1]), Frame((1, taps), (0, 0), taps)
        self.scratch = Scratch("%scratch", f.lanes)
        self.copy = self.room(s.plane, s.frame)
        self.pixels = self.room(self.places, self.result)
        self.weights = self.room(taps, self.kernel)

    @property
    def blocks(self) -> int:
        """Blocks of channels."""
        return -(-self.s.groups // self.f.lanes)

    def room(self, count: int, frame: Frame) -> str:
        """A place for turned pixels."""
        lanes = self.f.lanes
        return self.scratch.take(self.f, count * lanes, frame.slack(lanes))

    def behind(self, first: Number) -> Number:
        """The last lane that has a channel, in the block from ``first`` on."""
        f = self.f
        return f.sub(f.smaller(f.lanes, f.sub(self.s.groups, first)), 1)

    def turner(self, frame: Frame) -> Sized:
        """The function that turns planes."""
        return write_copy(self.f, frame, frame.size, self.last)

    def putter(self, frame: Frame, bias: bool = False) -> Sized:
        """The function that puts planes back."""
        return write_put(self.f, frame, frame.size, bias, self.last)

    def row_step(self, p: Piece) -> int:
        """Distance of the rows of taps, in pixels."""
        return (p.rows[1] - p.rows[0]) * self.s.extent[1] if len(p.rows) > 1 else 0


class Forward:
    """Writes ``y[n, c] = bias[c] + sum over taps of w[c] x[n, c]``."""

    def __init__(self, planes: Planes, bias: bool) -> None:
        self.planes, self.f, self.s, self.bias = planes, planes.f, planes.s, bias

    def write(self, x: str, w: str, bias: str, y: str) -> int:
        """Units lo to hi. Returns the elements of scratch memory."""
        f, s, planes = self.f, self.s, self.planes
        one, extra = Frame((1, 1), (0, 0), 1), "null"
        if bias:
            extra, turn_b = planes.room(1, one), planes.turner(one)
        turn, turn_w = planes.turner(s.frame), planes.turner(planes.kernel)
        put = planes.putter(planes.result, self.bias)
        tiles = [self.tile(k, p) for k, p in enumerate(s.pieces)]
        f.clear(planes.copy, s.plane * f.lanes)
        if sum([p.source.places for p in s.pieces]) < planes.places:
            f.clear(planes.pixels, planes.places * f.lanes)

        def unit(k: Number, _: list[str]) -> None:
            n, b = f.parted(k, planes.blocks)
            c = f.mul(b, f.lanes)
            last, at = planes.behind(c), f.add(f.mul(n, s.groups), c)
            f.call(turn, f.at(x, f.mul(at, planes.size)), planes.copy, 0, planes.size, 0, last)
            here = f.at(w, f.mul(c, planes.taps))
            f.call(turn_w, here, planes.weights, 0, planes.taps, 0, last)
            for p, (tile, wide) in zip(s.pieces, tiles, strict=True):
                self.positions(p, tile, wide)
            if bias:
                f.call(turn_b, f.at(bias, c), extra, 0, 1, 0, last)
            to = f.at(y, f.mul(at, planes.places))
            f.call(put, planes.pixels, to, 0, planes.places, 0, last, extra)

        f.span("%lo", "%hi", 1, unit)
        return planes.scratch.size

    def positions(self, p: Piece, tile: str, wide: int) -> None:
        """All tiles of a piece."""
        f, s, (height, width) = self.f, self.s, p.source.out
        x = f.at(self.planes.copy, s.offset(p) * f.lanes)
        y = f.at(self.planes.pixels, (p.start[0] * s.out[1] + p.start[1]) * f.lanes)
        table = f.table([k for pair in s.bounds(p, 0) for k in pair])

        def row(i: Number, _: list[str]) -> None:
            a = f.at(x, f.mul(i, p.source.stride[0] * s.extent[1] * f.lanes))
            b = f.at(y, f.mul(i, p.step[0] * s.out[1] * f.lanes))
            r0, r1 = [f.entry(table, f.add(f.mul(i, 2), k)) for k in (0, 1)]

            def some(j: Number, _: list[str]) -> None:
                j = f.smaller(j, width - wide)
                here = f.at(a, f.mul(j, p.source.stride[1] * f.lanes))
                to = f.at(b, f.mul(j, p.step[1] * f.lanes))
                f.call(tile, here, self.planes.weights, to, r0, r1)

            f.span(0, width, wide, some)

        f.span(0, height, 1, row)

    def tile(self, number: int, p: Piece) -> tuple[str, int]:
        """The function ``(x, w, y, r0, r1)`` for some positions of a row of a piece, with rows r0
        to r1 of taps; and how many positions that are.
        """
        met, columns, step = self.planes.met[number], p.columns, p.source.stride[1]
        registers, width = 32 if self.f.module.width == 512 else 16, p.source.out[1]
        most = max(1, (registers - 2 - len(columns) + step) // (1 + step))
        wide = -(-width // -(-width // most))
        signature = "ptr noalias %x, ptr noalias %w, ptr noalias %y, i64 %r0, i64 %r1"
        f = Code(self.f.module, f"tile{number}", signature, self.f.dtype)
        down, below = self.planes.row_step(p), met[len(columns)] - met[0] if len(p.rows) > 1 else 0

        def row(r: Number, sums: list[str]) -> list[str]:
            pixels = Pixels(f, f.at("%x", f.mul(r, down * f.lanes)))
            w, new = f.at("%w", f.mul(r, below * f.lanes)), list(sums)
            for t, column in enumerate(columns):
                one = f.load(f.at(w, met[t] * f.lanes))
                for k in range(wide):
                    new[k] = f.fma(one, pixels.load(k * step + column - columns[0]), new[k])
            return new

        sums = f.span("%r0", "%r1", 1, row, [(f.vector, "zeroinitializer")] * wide)
        for k, value in enumerate(sums):
            f.store(f.at("%y", k * p.step[1] * f.lanes), value)
        f.end()
        return f.name, wide


class Pixels:
    """Turned pixels from p on, each of which is read once."""

    def __init__(self, f: Code, p: str) -> None:
        self.f, self.p = f, p
        self.known: dict[int, str] = {}

    def load(self, at: int) -> str:
        """A pixel."""
        if at not in self.known:
            self.known[at] = self.f.load(self.f.at(self.p, at * self.f.lanes))
        return self.known[at]


class Gradient:
    """Writes ``w[c] = sum over images and positions of g[n, c] x[n, c]``, for each tap."""

    def __init__(self, planes: Planes) -> None:
        self.planes, self.f, self.s = planes, planes.f, planes.s

    def write(self, x: str, g: str, w: str) -> int:
        """Units lo to hi. Returns the elements of scratch memory."""
        f, s, planes, (p,) = self.f, self.s, self.planes, self.s.pieces
        turn = planes.turner(s.frame)
        turn_g = turn if s.frame == planes.result else planes.turner(planes.result)
        put, columns = planes.putter(planes.kernel), len(p.columns)
        rows = min(len(p.rows), -(-SUMS // columns))  # of taps, at a time
        tiles = {r: self.tile(r) for r in {rows, len(p.rows) % rows} - {0}}
        f.clear(planes.copy, s.plane * f.lanes)
        start = f.at(planes.copy, s.offset(p) * f.lanes)

        def unit(b: Number, _: list[str]) -> None:
            c = f.mul(b, f.lanes)
            last = planes.behind(c)
            f.clear(planes.weights, planes.taps * f.lanes)

            def image(n: Number, _: list[str]) -> None:
                at = f.add(f.mul(n, s.groups), c)
                f.call(turn, f.at(x, f.mul(at, planes.size)), planes.copy, 0, planes.size, 0, last)
                here = f.at(g, f.mul(at, planes.places))
                f.call(turn_g, here, planes.pixels, 0, planes.places, 0, last)
                for r in range(0, len(p.rows), rows):
                    a = f.at(start, r * planes.row_step(p) * f.lanes)
                    sums = f.at(planes.weights, r * columns * f.lanes)
                    f.call(tiles[min(rows, len(p.rows) - r)], a, planes.pixels, sums)

            f.span(0, s.images, 1, image)
            to = f.at(w, f.mul(c, planes.taps))
            f.call(put, planes.weights, to, 0, planes.taps, 0, last, "null")

        f.span("%lo", "%hi", 1, unit)
        return planes.scratch.size

    def tile(self, rows: int) -> str:
        """The function ``(x, g, total)``: the sums of some rows of taps, added up."""
        s, (p,), (height, width) = self.s, self.s.pieces, self.s.out
        signature = "ptr noalias %x, ptr noalias %g, ptr noalias %to"
        f = Code(self.f.module, f"sums{rows}", signature, self.f.dtype)
        columns, step, down = p.columns, p.source.stride, self.planes.row_step(p)
        count = rows * len(columns)

        def some(x: str, g: str, many: int, sums: list[str]) -> list[str]:
            new, ones = list(sums), Pixels(f, g)
            for r in range(rows):
                pixels = Pixels(f, f.at(x, r * down * f.lanes))
                for t, column in enumerate(columns):
                    k = r * len(columns) + t
                    for j in range(many):
                        one = pixels.load(j * step[1] + column - columns[0])
                        new[k] = f.fma(one, ones.load(j), new[k])
            return new

        def row(i: Number, sums: list[str]) -> list[str]:
            x = f.at("%x", f.mul(i, step[0] * s.extent[1] * f.lanes))
            g = f.at("%g", f.mul(i, width * f.lanes))

            def part(j: Number, sums: list[str], many: int = WIDE) -> list[str]:
                here = f.at(x, f.mul(j, step[1] * f.lanes))
                return some(here, f.at(g, f.mul(j, f.lanes)), many, sums)

            whole = width - width % WIDE
            sums = f.span(0, whole, WIDE, part, [(f.vector, a) for a in sums])
            return part(whole, sums, width - whole) if whole < width else sums

        sums = f.span(0, height, 1, row, [(f.vector, "zeroinitializer")] * count)
        for k, value in enumerate(sums):
            to = f.at("%to", k * f.lanes)
            f.store(to, f.plus(f.load(to), value))
        f.end()
        return f.name


def suits(s: Shape, node: Node, width: int) -> bool:
    """Whether there are enough channels, each by itself, on planes that are narrow and small."""
    d, op = node.outputs[0].dtype, type(node.op).__name__
    lanes = width // (8 * d.itemsize)
    if s.inner != 1 or s.outer != 1 or s.groups < lanes or len(s.taps) == 1:
        return False
    z = batched.sizes(s, op)
    if not z.pieces or min([p.source.out[1] for p in z.pieces]) > max(lanes // 2, NARROW):
        return False
    return (z.plane + z.out[0] * z.out[1]) * lanes * d.itemsize <= NEAR


def launches(s: Shape, node: Node, width: int) -> list[Launch]:
    """The launch of a convolution that suits."""
    f, op = kernel(width, node.outputs[0].dtype), type(node.op).__name__
    taps = len(s.taps)
    met = [p.taps for p in parts(s) if p.taps] if op == "ConvInput" else [[*range(taps)]]
    planes = Planes(f, batched.sizes(s, op), taps, met)
    given = [k for k, v in enumerate((*node.inputs, *node.outputs)) if v is not None]
    x, w, last = [f.operand(k) for k in (0, 1, len(given) - 1)]
    units = planes.blocks
    if op == "ConvWeight":
        size = Gradient(planes).write(x, w, last)
    else:
        bias = f.operand(2) if len(given) == 4 else ""
        size, units = Forward(planes, bool(bias)).write(x, w, bias, last), s.n * planes.blocks
    f.end()
    operands = tuple([(k, 0) for k in given])
    return [Launch(f.module.text(), operands, units, size * f.size, 0, cost_of(s))]
