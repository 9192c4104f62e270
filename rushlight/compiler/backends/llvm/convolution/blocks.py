"""How convolutions by transforms are cut into blocks of tiles, and how blocks are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rushlight.compiler.backends.llvm.convolution.columns import Pair
from rushlight.compiler.backends.llvm.convolution.shapes import Shape
from rushlight.compiler.backends.llvm.convolution.turn import write_copy
from rushlight.compiler.backends.llvm.convolution.winograd import (
    BACK,
    KINDS,
    ONE,
    TWO,
    Plane,
    Scheme,
    Tiles,
    Transform,
)
from rushlight.compiler.backends.llvm.ir.code import Code, Number, Scratch

MOST = {6: 64, 9: 32}  # tiles of a block, by the points of a dim: they should stay in the cache
UNITS = 4  # of a launch, if there are as many
NEAR = 1 << 22  # bytes of weights' transforms that stay in a cache
PART = 128  # outputs of a unit at least: each transforms its inputs again


@dataclass(frozen=True)
class Block:
    """How a convolution's tiles are cut into blocks."""

    images: int
    high: int  # rows of tiles of an image
    wide: int
    limit: int  # tiles

    @property
    def most(self) -> int:
        """Rows of tiles of a block that is less than an image, or 0."""
        if self.high * self.wide <= self.limit:
            return 0
        fitting = range(1, max(1, self.limit // self.wide) + 1)
        return min(fitting, key=lambda r: (-(-self.high // r) * r, -r))

    @property
    def strips(self) -> int:
        """Blocks of an image."""
        return -(-self.high // self.most) if self.most else 1

    @property
    def together(self) -> int:
        """Images of a block."""
        return 1 if self.most else max(1, min(self.images, self.limit // (self.high * self.wide)))

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return self.images * self.strips if self.most else -(-self.images // self.together)

    @property
    def rows(self) -> int:
        """Most rows of tiles of one image in a block."""
        return self.most or self.high

    @property
    def tiles(self) -> int:
        """Most tiles of a block."""
        return self.together * self.rows * self.wide

    def place(self, f: Code, k: Number) -> Place:
        """Where block k lies."""
        if self.most:
            n, strip = f.parted(k, self.strips)
            first = f.mul(strip, self.most)
            high = f.smaller(self.most, f.sub(self.high, first))
            return Place(n, 1, first, high, f.mul(high, self.wide))
        n = f.mul(k, self.together)
        count = f.smaller(self.together, f.sub(self.images, n))
        return Place(n, count, 0, self.high, f.mul(count, self.high * self.wide))


@dataclass(frozen=True)
class Place:
    """A block: images, rows of tiles of each, and tiles in all."""

    image: Number
    images: Number
    first: Number
    high: Number
    tiles: Number


@dataclass(frozen=True)
class Layout:
    """Transforms: point k of row r is at ``k * step + r * row``."""

    row: int
    step: int


class Reader:
    """Transforms blocks of images."""

    def __init__(
        self,
        f: Code,
        plane: Plane,
        block: Block,
        kind: Transform,
        to: Layout,
        scratch: Scratch,
    ) -> None:
        self.f, self.plane, self.block, self.to = f, plane, block, to
        last = "%last" if plane.channels % f.lanes else ""
        self.turn = write_copy(f, plane.frame, plane.size, last)
        self.transform = Tiles(f, plane).transform(kind, to.row, to.step)
        self.size = (plane.step * (block.rows - 1) + plane.tile) * plane.row * f.lanes
        self.copy = scratch.take(f, self.size, plane.frame.slack(f.lanes))

    def write(
        self, x: str, place: Place, channels: tuple[Number, Number], target: Callable[[Number], str]
    ) -> None:
        """Transform some channels of a block; ``target``: the address of a channel's first tile."""
        f, plane = self.f, self.plane
        f.clear(self.copy, self.size)
        p0, p1 = plane.pixels(f, place.first, place.high)
        shift = f.mul(place.first, plane.step * plane.row * f.lanes)
        tiles = self.block.high * self.block.wide * self.to.row

        def some(i: Number, c: Number) -> None:
            at = f.add(f.mul(f.add(place.image, i), plane.groups * plane.channels), c)
            last = f.sub(f.smaller(f.lanes, f.sub(plane.channels, c)), 1)
            f.call(self.turn, f.at(x, f.mul(at, plane.size)), self.copy, p0, p1, shift, last)
            f.call(self.transform, self.copy, f.at(target(c), f.mul(i, tiles)), place.high)

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
    scheme: Scheme
    lanes: int

    @property
    def groups(self) -> int:
        """Groups of channels."""
        return self.source.groups

    @property
    def block(self) -> Block:
        """How tiles are cut."""
        return Block(self.images, self.source.high, self.source.wide, MOST[self.scheme.side])

    @property
    def near(self) -> bool:
        """Whether a group's transformed weights stay in a cache."""
        return 4 * KINDS * KINDS * self.source.channels * self.outputs <= NEAR

    @property
    def result(self) -> Plane:
        """The output."""
        tile, source = self.scheme.result, self.source
        sizes = self.out, (0, 0), source.high, source.wide, tile, tile
        return Plane(source.groups, self.outputs, *sizes)

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

    def part(self, f: Code, k: Number, parts: int) -> tuple[Number, Number]:
        """The panels of part k."""
        size = -(-self.panels // parts)
        start = f.mul(k, size)
        return start, f.smaller(f.add(start, size), self.panels)


def sizes(s: Shape, op: str, lanes: int) -> Sizes:
    """The sizes of a convolution, or of one of its gradients."""
    scheme = TWO if s.stride[0] == 2 else ONE[s.kernel[0]]
    if op != "ConvInput":
        source = plane(s.groups, s.inner, s.space, s.before, s.out, scheme)
        return Sizes(s.n, source, s.outer, s.out, scheme, lanes)
    before = scheme.kernel - 1 - s.before[0], scheme.kernel - 1 - s.before[1]
    if scheme is TWO:
        scheme = BACK[s.before[0] % 2]
        before = ((2 - s.before[0]) // 2, (2 - s.before[1]) // 2)
    source = plane(s.groups, s.outer, s.out, before, s.space, scheme)
    return Sizes(s.n, source, s.inner, s.space, scheme, lanes)


def plane(groups: int, channels: int, space: Pair, before: Pair, out: Pair, s: Scheme) -> Plane:
    """An input in as many tiles as the output needs."""
    high, wide = [-(-n // s.result) for n in out]
    return Plane(groups, channels, space, before, high, wide, s.tile, s.step)
