"""Winograd's convolution: tiles of outputs by products of transforms.

``y = A' [(G w G') * (B' x B)] A`` for each tile: a sum over channels is one matrix product for each
of the transforms' points, of which there are fewer than multiplications. The transforms of rows
and of columns are chosen independently: a ``Way`` is how one dim is done, see ``ways``.

With stride 1, n outputs of k taps take n + k - 1 points: 6, or 8 where the other dim has one tap.
So tiles of 3x3 taps have 4x4 outputs and 36 points, for 144 multiplications. The gradient of the
weights is the same with the parts of taps and outputs exchanged.

With stride 2, the outer of 3 taps meet every other input, which takes 5 points for 4 outputs, and
the middle tap meets the rest, which are points as they are: 9 points, 81 multiplications for 144.
The 4 that belong to the middle tap share their weights, so that weights have 6 kinds of points.

The last tile of a row or column may be smaller: it has the first of the points, whose weights are
those of whole tiles.

Vectors hold channels: an image is turned from planes to pixels of ``lanes`` channels and back.
Reference: Lavin and Gray, 2015, arXiv:1509.09308.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rushlight.compiler.backends.llvm.convolution.turn import Frame
from rushlight.compiler.backends.llvm.convolution.ways import Cut, Transform, Vectors, Way
from rushlight.compiler.backends.llvm.ir.code import Code, Number, Sized
from rushlight.compiler.backends.llvm.ir.driver import Driver
from rushlight.compiler.backends.llvm.ir.text import COMMON, Module


def squared(f: Code, rows: Transform, columns: Transform, x: list[Vectors]) -> list[Vectors]:
    """Transforms of both dims of a rectangle of vectors."""
    turned = [rows(f, [row[j] for row in x]) for j in range(len(x[0]))]
    return [columns(f, [c[i] for c in turned]) for i in range(len(turned[0]))]


@dataclass(frozen=True)
class Plane:
    """Images of one side of a convolution, in tiles: its inputs, or its ``outputs``.

    Tile (i, j) begins at row ``step[0] i`` and column ``step[1] j`` of the image between zeros, of
    which there are ``before`` rows and columns in front; it has ``tile`` rows and columns, or fewer
    at the end. An image has ``groups`` times as many channels.
    """

    groups: int
    channels: int
    space: tuple[int, int]
    before: tuple[int, int]
    rows: Cut
    columns: Cut
    outputs: bool

    def sizes(self, cut: Cut) -> tuple[int, int]:
        """(tile, step) of whole tiles."""
        way = cut.way
        return (way.result, way.result_step) if self.outputs else (way.tile, way.step)

    @property
    def row(self) -> int:
        """Pixels of a row between zeros."""
        tile, step = self.sizes(self.columns)
        return step * (self.columns.tiles - 1) + tile

    @property
    def size(self) -> int:
        """Pixels of a plane."""
        return self.space[0] * self.space[1]

    def span(self, high: int) -> int:
        """Rows of pixels that so many rows of tiles cover."""
        tile, step = self.sizes(self.rows)
        return step * (high - 1) + tile

    def pixels(self, f: Driver, first: Number, high: Number) -> tuple[Number, Number]:
        """The range of pixels that ``high`` rows of tiles from ``first`` on cover."""
        (height, width), (tile, step) = self.space, self.sizes(self.rows)
        top, wide = f.number(self.before[0]), f.number(width)
        start = f.larger(0, f.sub(f.mul(first, step), top))
        stop = f.sub(f.add(f.mul(f.add(first, high), step), tile - step), top)
        return f.mul(start, wide), f.mul(f.smaller(f.number(height), stop), wide)

    @property
    def frame(self) -> Frame:
        """Where pixels lie between zeros."""
        return Frame(self.space, self.before, self.row)


PLACES = "ptr %side, ptr %whole, ptr %corner, ptr %below"  # of the tiles of each size
SIZES = "i64 %count, i64 %together, i64 %wide, i64 %line, i64 %row, i64 %step"
# bytes between the transforms of columns and rows, by whether tiles overlap
TOGETHER = {True: 10_000, False: 2_500}
OneDim = Callable[[Code, Way, str, str], None]


class Tiles:
    """Functions that transform tiles of pixels, some of a row together: columns, and then rows.

    Point k of tile t is at ``k * step + t * row`` behind the place of the tile's size. All planes
    whose tiles are alike have the same functions; how many tiles there are and where they lie are
    sizes of these.
    """

    def __init__(self, f: Code, plane: Plane, row: int, step: int) -> None:
        self.f, self.plane = f, plane
        self.rows, self.columns = plane.rows, plane.columns
        self.name = "outputs" if plane.outputs else "inputs"
        tile, distance = plane.sizes(self.columns)
        high = self.rows.way.points * f.lanes
        most = max(1, TOGETHER[tile > distance] // (distance * high * f.size))
        count = self.columns.count
        together = -(-count // -(-count // most))
        wide = (together - 1) * distance + tile  # pixels of a row
        self.high = high * wide
        self.sizes = count, together, wide * f.lanes, plane.row * f.lanes, row, step

    def size(self, way: Way) -> int:
        """Pixels of a row or column of a tile."""
        return way.result if self.plane.outputs else way.tile

    def transform(self) -> Sized:
        """The function ``(pixels, between, high, side, whole, corner, below)``: transforms of
        ``high`` rows of whole tiles, and of those behind.
        """

        def act(f: Code, way: Way, x: Vectors) -> Vectors:
            return way.weigh_outputs(f, x) if self.plane.outputs else way.spread(f, x)

        def in_row(f: Code, way: Way, x: str, v: str) -> None:
            put(f, v, "%step", act(f, way, get(f, x, f.lanes, self.size(way))))

        def in_column(f: Code, way: Way, x: str, between: str) -> None:
            put(f, between, "%wide", act(f, way, get(f, x, "%line", self.size(way))))

        return self.written("transform", in_row, in_column, False)

    def inverse(self) -> Sized:
        """The function ``(pixels, between, high, side, whole, corner, below)``: pixels of ``high``
        rows of whole tiles, and of those behind.
        """

        def in_row(f: Code, way: Way, x: str, m: str) -> None:
            put(f, x, f.lanes, way.collect(f, get(f, m, "%step", way.points)))

        def in_column(f: Code, way: Way, x: str, between: str) -> None:
            put(f, x, "%line", way.collect(f, get(f, between, "%wide", way.points)))

        return self.written("inverse", in_row, in_column, True)

    def written(self, kind: str, in_row: OneDim, in_column: OneDim, rows_first: bool) -> Sized:
        """The function that does something in each row and column of tiles."""
        ways = [(cut.way, cut.rest) for cut in (self.rows, self.columns)]

        def write(module: Module) -> str:
            return self.write(module, kind, in_row, in_column, rows_first)

        key = kind, self.name, *ways, self.f.dtype
        return Sized(self.f.module.common(key, write), self.sizes)

    def write(
        self, module: Module, kind: str, in_row: OneDim, in_column: OneDim, rows_first: bool
    ) -> str:
        """Write the function; its name."""
        rest = self.columns.rest
        tile, step = self.plane.sizes(self.columns)
        across = self.across(module, f"{kind}_rows", self.columns.way, in_row)
        last = self.across(module, f"{kind}_rest", rest, in_row) if rest else ""
        signature = f"ptr noalias %pixels, ptr noalias %between, i64 %high, {PLACES}, {SIZES}"
        f = Code(module, f"{kind}_{self.name}", signature, self.f.dtype, COMMON)
        distance = f.mul("%line", self.plane.sizes(self.rows)[1])

        def some(way: Way, x: str, v: str, tiles: Number, wide: Number, name: str) -> None:
            if self.size(way) == way.points == 1:
                f.call(name, x, v, 1, tiles, "%wide", "%row", "%step")
                return
            if rows_first:
                f.call(name, "%between", v, way.points, tiles, "%wide", "%row", "%step")

            def column(c: Number, _: list[str]) -> None:
                at = f.mul(c, f.lanes)
                in_column(f, way, f.at(x, at), f.at("%between", at))

            f.span(0, wide, 1, column)
            if not rows_first:
                f.call(name, "%between", v, way.points, tiles, "%wide", "%row", "%step")

        def line(way: Way, x: str, side: str, whole: str) -> None:
            def part(j: Number, _: list[str]) -> None:
                tiles = f.smaller("%together", f.sub("%count", j))
                wide = f.add(f.mul(tiles, step), tile - step)
                here = f.at(x, f.mul(j, step * f.lanes))
                some(way, here, f.at(whole, f.mul(j, "%row")), tiles, wide, across)

            f.span(0, "%count", "%together", part)
            if rest:
                behind = f.at(x, f.mul("%count", step * f.lanes))
                some(way, behind, side, 1, self.size(rest), last)

        def one(i: Number, _: list[str]) -> None:
            side = f.mul(i, "%row")
            whole = f.mul(side, "%count")
            x = f.at("%pixels", f.mul(i, distance))
            line(self.rows.way, x, f.at("%side", side), f.at("%whole", whole))

        f.span(0, "%high", 1, one)
        if self.rows.rest:
            x = f.at("%pixels", f.mul("%high", distance))
            line(self.rows.rest, x, "%corner", "%below")
        f.end()
        return f.name

    def across(self, module: Module, kind: str, way: Way, in_row: OneDim) -> str:
        """The function ``(pixels, points, high, tiles, wide, row, step)`` that does something for
        some tiles, in each of ``high`` rows of pixels.
        """
        signature = (
            "ptr noalias %x, ptr noalias %v, i64 %high, i64 %tiles, i64 %wide, i64 %row, i64 %step"
        )
        f = Code(module, f"{kind}_{self.name}", signature, self.f.dtype, COMMON)
        step = self.plane.sizes(self.columns)[1]

        def row(i: Number, _: list[str]) -> None:
            x = f.at("%x", f.mul(i, "%wide"))
            v = f.at("%v", f.mul(f.mul(i, self.columns.way.points), "%step"))

            def tile(j: Number, _: list[str]) -> None:
                in_row(f, way, f.at(x, f.mul(j, step * f.lanes)), f.at(v, f.mul(j, "%row")))

            f.span(0, "%tiles", 1, tile)

        f.span(0, "%high", 1, row)
        f.end()
        return f.name


def get(f: Code, p: str, step: Number, count: int) -> Vectors:
    """Vectors that are ``step`` elements apart."""
    return [f.load(at) for at in f.apart(p, step, count)]


def put(f: Code, p: str, step: Number, values: Vectors) -> None:
    """Write vectors ``step`` elements apart."""
    for at, value in zip(f.apart(p, step, len(values)), values, strict=True):
        f.store(at, value)


def flat(square: list[Vectors]) -> Vectors:
    """All vectors of a rectangle."""
    return [v for line in square for v in line]
