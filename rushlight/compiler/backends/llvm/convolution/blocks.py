"""How convolutions by transforms are cut into blocks of tiles, and how blocks are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rushlight.compiler.backends.llvm.convolution.shapes import Shape
from rushlight.compiler.backends.llvm.convolution.turn import write_copy
from rushlight.compiler.backends.llvm.convolution.ways import (
    BACK,
    LINE,
    SQUARE,
    STILL,
    STRIDED,
    Cut,
    Way,
    cut,
    plain,
)
from rushlight.compiler.backends.llvm.convolution.winograd import Plane, Tiles
from rushlight.compiler.backends.llvm.ir.code import Code, Number, Scratch
from rushlight.compiler.backends.llvm.ir.driver import Driver

MOST = 2592  # points of a block: they should stay in the cache
BLOCKS = 2  # in one, for weights' gradients
UNITS = 4  # of a launch, if there are as many
NEAR = 1 << 22  # bytes of weights' transforms that stay in a cache
PART = 128  # outputs of a unit at least: each transforms its inputs again

# Note [Order of tiles]
# The last tile of a row or column may be smaller, and lacks the last points. So that the tiles that
# have a point follow each other, those at the side come first, then whole ones, those below, and
# those in the corner; each of all images of a block.


@dataclass(frozen=True)
class Block:
    """How a convolution's tiles are cut into blocks: of whole images, or, where these have more
    than ``limit`` tiles, of some rows of tiles, none of which is smaller.
    """

    images: int
    rows: Cut
    columns: Cut
    limit: int

    @property
    def most(self) -> int:
        """Rows of tiles of a block that is less than an image, or 0."""
        high, wide = self.rows.tiles, self.columns.tiles
        if high * wide <= self.limit:
            return 0
        fitting = range(1, max(1, self.limit // wide) + 1)
        return min(fitting, key=lambda r: (-(-high // r) * r, -r))

    @property
    def strips(self) -> int:
        """Blocks of an image."""
        return -(-self.rows.tiles // self.most) if self.most else 1

    @property
    def together(self) -> int:
        """Images of a block."""
        tiles = self.rows.tiles * self.columns.tiles
        return 1 if self.most else max(1, min(self.images, self.limit // tiles))

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return self.images * self.strips if self.most else -(-self.images // self.together)

    @property
    def lines(self) -> int:
        """Most rows of tiles of one image in a block."""
        return self.most or self.rows.tiles

    @property
    def tiles(self) -> int:
        """Most tiles of a block."""
        return self.together * self.lines * self.columns.tiles

    def place(self, f: Driver, k: Number) -> Place:
        """Where block k lies."""
        k, strip = f.parted(k, f.number(self.strips))
        together, lines = f.number(self.together), f.number(self.lines)
        n, first = f.mul(k, together), f.mul(strip, lines)
        count = f.smaller(together, f.sub(self.images, n))
        high = f.smaller(lines, f.sub(self.rows.tiles, first))
        whole = f.smaller(lines, f.sub(self.rows.count, first))
        return Place(n, count, first, high, whole, self.kinds(f, whole))

    def kinds(self, f: Driver, high: Number) -> list[Number]:
        """Tiles of an image, in their order, if ``high`` rows are whole."""
        side, below = self.columns.rest is not None, self.rows.rest is not None
        wide = f.number(self.columns.count)
        return [high if side else 0, f.mul(high, wide), wide if below else 0, int(side and below)]

    def shares(self) -> list[tuple[int, int]]:
        """(points, tiles that have them) of a block."""
        found = [(1, self.together)]
        high = self.most or self.rows.count
        for dim, count in ((self.rows, high), (self.columns, self.columns.count)):
            some = [(dim.way.points, count)]
            if dim.rest:
                last = dim.rest.points
                some = [(last, count + 1), (dim.way.points - last, count)]
            found = [(a * p, b * n) for a, b in found for p, n in some]
        return found


@dataclass(frozen=True)
class Place:
    """A block: ``images`` from ``image`` on, ``high`` rows of tiles of each from ``first`` on, of
    which ``whole`` are whole. ``kinds``: tiles of an image, see Note [Order of tiles].
    """

    image: Number
    images: Number
    first: Number
    high: Number
    whole: Number
    kinds: list[Number]

    def start(self, f: Code, kind: int, i: Number = 0) -> Number:
        """The first tile of a kind, of image i of the block."""
        at: Number = 0
        for count in self.kinds[:kind]:
            at = f.add(at, count)
        return f.add(f.mul(self.images, at), f.mul(i, self.kinds[min(kind, 3)]))

    def places(self, f: Code, base: str, row: int, i: Number) -> list[str]:
        """Where an image's tiles are that are ``row`` elements apart: see ``PLACES``."""
        return [f.at(base, f.mul(self.start(f, kind, i), row)) for kind in (0, 1, 3, 2)]

    def span(self, f: Code, block: Block, k: Number) -> tuple[Number, Number]:
        """The tiles that have point k."""
        rows, columns = block.rows, block.columns
        start, stop = self.start(f, 0), self.start(f, 4)
        i, j = f.parted(k, columns.way.points)
        if columns.rest:
            lacks = f(f"icmp sge i64 {j}, {columns.rest.points}")
            start = f(f"select i1 {lacks}, i64 {self.start(f, 1)}, i64 0")
            stop = f(f"select i1 {lacks}, i64 {self.start(f, 3)}, i64 {stop}")
        if rows.rest:
            lacks = f(f"icmp sge i64 {i}, {rows.rest.points}")
            stop = f(f"select i1 {lacks}, i64 {self.start(f, 2)}, i64 {stop}")
        return start, stop


@dataclass(frozen=True)
class Layout:
    """Transforms: point k of row r is at ``k * step + r * row``."""

    row: int
    step: int


class Reader:
    """Transforms blocks of images."""

    def __init__(self, f: Driver, plane: Plane, block: Block, to: Layout, scratch: Scratch) -> None:
        self.f, self.plane, self.block, self.to = f, plane, block, to
        last = "%last" if plane.channels % f.lanes else ""
        self.turn = write_copy(f, plane.frame, plane.size, last)
        tiles = Tiles(f, plane, to.row, to.step)
        self.transform = tiles.transform()
        self.between = scratch.take(f, tiles.high)
        self.size = plane.span(block.lines) * plane.row * f.lanes
        self.copy = scratch.take(f, self.size, plane.frame.slack(f.lanes))

    def write(
        self, x: str, place: Place, channels: tuple[Number, Number], target: Callable[[Number], str]
    ) -> None:
        """Transform some channels of a block; ``target``: the address of a channel's first tile."""
        f, plane = self.f, self.plane
        f.clear(self.copy, self.size)
        p0, p1 = plane.pixels(f, place.first, place.high)
        shift = f.mul(place.first, plane.sizes(plane.rows)[1] * plane.row * f.lanes)

        def some(i: Number, c: Number) -> None:
            at = f.add(f.mul(f.add(place.image, i), plane.groups * plane.channels), c)
            last = f.sub(f.smaller(f.lanes, f.sub(plane.channels, c)), 1)
            f.call(self.turn, f.at(x, f.mul(at, plane.size)), self.copy, p0, p1, shift, last)
            places = place.places(f, target(c), self.to.row, i)
            f.call(self.transform, self.copy, self.between, place.whole, *places)

        def image(i: Number, _: list[str]) -> None:
            def channel(c: Number, _: list[str]) -> None:
                some(i, c)

            f.span(*channels, f.lanes, channel)

        f.span(0, place.images, 1, image)


@dataclass(frozen=True)
class Sizes:
    """What both kinds of kernels share.

    ``source``: the input. ``outputs``: channels of the output, of space ``out``, for each group. A
    panel is one or two vectors of outputs.
    """

    images: int
    source: Plane
    outputs: int
    out: tuple[int, int]
    lanes: int
    limit: int  # tiles of a block

    @property
    def groups(self) -> int:
        """Groups of channels."""
        return self.source.groups

    @property
    def ways(self) -> tuple[Way, Way]:
        """How rows and columns are done."""
        return self.source.rows.way, self.source.columns.way

    @property
    def points(self) -> int:
        """Points of a whole tile."""
        rows, columns = self.ways
        return rows.points * columns.points

    @property
    def kinds(self) -> tuple[int, int]:
        """Kinds of points of weights, in both dims."""
        rows, columns = [max(way.kinds) + 1 for way in self.ways]
        return rows, columns

    @property
    def weights(self) -> int:
        """Points of a weight."""
        return self.kinds[0] * self.kinds[1]

    @property
    def block(self) -> Block:
        """How tiles are cut."""
        return Block(self.images, self.source.rows, self.source.columns, self.limit)

    @property
    def near(self) -> bool:
        """Whether a group's transformed weights stay in a cache."""
        return 4 * self.weights * self.source.channels * self.outputs <= NEAR

    @property
    def result(self) -> Plane:
        """The output."""
        source = self.source
        cuts = source.rows, source.columns
        return Plane(source.groups, self.outputs, self.out, (0, 0), *cuts, True)

    @property
    def vectors(self) -> int:
        """Vectors of a panel."""
        return 2 if self.outputs % (2 * self.lanes) == 0 else 1

    @property
    def width(self) -> int:
        """Outputs of a panel."""
        return self.vectors * self.lanes

    @property
    def panels(self) -> int:
        """How many panels there are."""
        return self.outputs // self.width

    def parts(self, blocks: int) -> int:
        """In how many parts outputs are cut, where there are few blocks."""
        wanted = max(1, min(-(-UNITS // (blocks * self.groups)), self.outputs // PART))
        return -(-self.panels // -(-self.panels // wanted))

    def part(self, f: Driver, k: Number, parts: int) -> tuple[Number, Number]:
        """The panels of part k."""
        size = f.number(-(-self.panels // parts))
        start = f.mul(k, size)
        return start, f.smaller(f.add(start, size), self.panels)


def ways(s: Shape, back: bool) -> tuple[Way, Way] | None:
    """How rows and columns can be done, if they can; ``back``: of the gradient of the input."""
    if s.dilation != (1, 1) or (s.kernel, s.stride) == ((1, 1), (1, 1)):
        return None
    roots = LINE if 1 in s.kernel else SQUARE
    found: list[Way] = []
    for k, step, before in zip(s.kernel, s.stride, s.before, strict=True):
        if (k, step) == (1, 1):
            found.append(STILL)
        elif step == 1 and k <= len(roots):
            found.append(plain(k, roots))
        elif (k, step) == (3, 2):
            found.append(BACK[before % 2] if back else STRIDED)
        else:
            return None
    return found[0], found[1]


def sizes(s: Shape, op: str, lanes: int, ways: tuple[Way, Way]) -> Sizes:
    """The sizes of a convolution, or of one of its gradients."""
    channels, outputs, space, out, before = s.inner, s.outer, s.space, s.out, s.before
    if op == "ConvInput":
        channels, outputs, space, out = outputs, channels, out, space
        starts = [
            (2 - b) // 2 if step == 2 else k - 1 - b
            for b, k, step in zip(s.before, s.kernel, s.stride, strict=True)
        ]
        before = starts[0], starts[1]
    rows, columns = [cut(way, n) for way, n in zip(ways, out, strict=True)]
    limit = MOST // (rows.way.points * columns.way.points)
    if op == "ConvWeight":  # each block goes through all sums
        limit *= max(1, min(BLOCKS, channels * outputs // (channels + outputs) // limit))
    if rows.tiles * columns.tiles > limit:
        rows = rows.even()
    source = Plane(s.groups, channels, space, before, rows, columns, False)
    return Sizes(s.n, source, outputs, out, lanes, limit)
