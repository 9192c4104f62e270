"""Winograd's convolution with 3x3 taps: tiles of 4x4 outputs by products of 6x6 transforms.

``y = A' [(G w G') * (B' x B)] A`` for each tile, so that a sum over channels is 36 matrix products,
with a fourth of the multiplications. The gradient of the weights is the same with the parts of taps
and outputs exchanged: 3x3 sums of products with 4x4 gradients.

Vectors hold channels: an image is turned from planes to pixels of ``lanes`` channels and back.
Reference: Lavin and Gray, 2015, arXiv:1509.09308.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rushlight.compiler.backends.llvm.code import Code, Number
from rushlight.compiler.backends.llvm.text import splat_literal

# Note [Points]
# The transforms evaluate polynomials at 0, a, -a, b, -b and infinity. With a, b = 5/8, 3/2 errors
# (root mean square) are 2.3 to 4.5 times those of direct sums, half of those with the usual 1, 2.
A, B = 0.625, 1.5
SIZE = 6  # of a transform
TILE = 4  # outputs of a tile
POINTS = SIZE * SIZE


# Transforms of one dim. Each takes and returns vectors.


def times(f: Code, factor: float, x: str) -> str:
    """``factor x``."""
    return f(f"fmul {f.vector} {x}, {splat_literal(factor, f.element, f.lanes)}")


def plus_times(f: Code, factor: float, x: str, y: str) -> str:
    """``factor x + y``."""
    return f.fma(splat_literal(factor, f.element, f.lanes), x, y)


def spread(f: Code, x: list[str]) -> list[str]:
    """``B' x``: of 6 inputs."""
    a, b, product, total = A, B, A * A * B * B, A * A + B * B
    first = plus_times(f, product, x[0], plus_times(f, -total, x[2], x[4]))
    last = plus_times(f, product, x[1], plus_times(f, -total, x[3], x[5]))
    result = [first]
    for p, q in ((a, b), (b, a)):
        even = plus_times(f, -q * q, x[2], x[4])
        odd = plus_times(f, -q * q, x[1], x[3])
        result += [plus_times(f, p, odd, even), plus_times(f, -p, odd, even)]
    return [*result, last]


def weigh(f: Code, w: list[str]) -> list[str]:
    """``G w``: of 3 taps, or of 4 outputs' gradients."""
    result = [times(f, 1 / (A * A * B * B), w[0])]
    for p, q in ((A, B), (B, A)):
        scale = 1 / (2 * p * p * (p * p - q * q))
        even = plus_times(f, p * p * scale, w[2], times(f, scale, w[0]))
        odd = times(f, p * scale, w[1])
        if len(w) == 4:
            odd = plus_times(f, p**3 * scale, w[3], odd)
        result += [f.plus(even, odd), f(f"fsub {f.vector} {even}, {odd}")]
    return [*result, w[-1]]


def collect(f: Code, m: list[str], count: int) -> list[str]:
    """``A' m``: 4 outputs, or 3 taps."""
    sums = [f.plus(m[1], m[2]), f.plus(m[3], m[4])]
    gaps = [f(f"fsub {f.vector} {m[i]}, {m[i + 1]}") for i in (1, 3)]
    result = [f.plus(f.plus(sums[0], sums[1]), m[0])]
    for i in range(1, count):
        some = gaps if i % 2 else sums
        rest = plus_times(f, B**i, some[1], m[5]) if i == count - 1 else times(f, B**i, some[1])
        result.append(plus_times(f, A**i, some[0], rest))
    return result


def outputs(f: Code, m: list[str]) -> list[str]:
    """``A' m``: 4 outputs."""
    return collect(f, m, 4)


def taps(f: Code, m: list[str]) -> list[str]:
    """``A' m``: 3 taps."""
    return collect(f, m, 3)


def squared(f: Code, transform: Any, x: list[list[str]]) -> list[list[str]]:
    """A transform of both dims of a square of vectors."""
    columns = [transform(f, [row[j] for row in x]) for j in range(len(x))]
    return [transform(f, [c[i] for c in columns]) for i in range(len(columns[0]))]


@dataclass(frozen=True)
class Plane:
    """Images of one side of a convolution, in tiles.

    Tile (i, j) begins at row ``4 i`` and column ``4 j`` of the image between zeros, of which there
    are ``before`` rows and columns in front; it has ``tile`` rows and columns.
    """

    channels: int
    space: tuple[int, int]
    before: tuple[int, int]
    high: int  # tiles
    wide: int
    tile: int = SIZE

    @property
    def row(self) -> int:
        """Pixels of a row between zeros."""
        return TILE * self.wide + self.tile - TILE

    @property
    def size(self) -> int:
        """Pixels of a plane."""
        return self.space[0] * self.space[1]

    def pixels(self, f: Code, first: Number, high: Number) -> tuple[Number, Number]:
        """The range of pixels that ``high`` rows of tiles from ``first`` on cover."""
        top, (height, width) = self.before[0], self.space
        start = f.larger(0, f.sub(f.mul(first, TILE), top))
        stop = f.add(f.mul(f.add(first, high), TILE), self.tile - TILE - top)
        return f.mul(start, width), f.mul(f.smaller(height, stop), width)

    def offsets(self, f: Code, p: Number) -> list[Number]:
        """Where ``lanes`` pixels from p on lie between zeros, in elements."""
        width, n = self.space[1], f.lanes
        i, j = f.parted(p, width)
        at = f.mul(f.add(i, self.before[0]), self.row)
        at = f.mul(f.add(at, f.add(j, self.before[1])), n)
        if width % n == 0 or n % width == 0:
            return [f.add(at, (k // width * self.row + k % width) * n) for k in range(n)]
        found = [at]
        for _ in range(n - 1):
            j = f.add(j, 1)
            ends = f(f"icmp eq i64 {j}, {width}")
            j = f(f"select i1 {ends}, i64 0, i64 {j}")
            step = f(f"select i1 {ends}, i64 {(self.row - width + 1) * n}, i64 {n}")
            found.append(f.add(found[-1], step))
        return found


class Turn:
    """Functions that turn planes to pixels of ``lanes`` channels, and transform tiles of these."""

    def __init__(self, f: Code, plane: Plane) -> None:
        self.f, self.plane = f, plane

    def function(self, kind: str, signature: str) -> Code:
        """A function in the making."""
        return Code(self.f.module, f"{kind}{self.plane.tile}", signature, self.f.dtype)

    def copy(self) -> str:
        """The function ``(x, to, p0, p1, shift)``: pixels p0 to p1 of some channels, and a few
        more; ``shift``: where ``to`` lies between zeros.
        """
        plane, signature = (
            self.plane,
            "ptr noalias %x, ptr noalias %to, i64 %p0, i64 %p1, i64 %shift",
        )
        f = self.function("copy", signature)

        def some(p: Number, _: list[str]) -> None:
            p = f.smaller(
                p, plane.size - f.lanes
            )  # never beyond the plane: rather some pixels again
            x = f.at("%x", p)
            lines = f.transposed([f.load(f.at(x, k * plane.size)) for k in range(f.lanes)])
            for at, line in zip(plane.offsets(f, p), lines, strict=True):
                f.store(f.at("%to", f.sub(at, "%shift")), line)

        f.span("%p0", "%p1", f.lanes, some)
        f.end()
        return f.name

    def put(self, bias: bool) -> str:
        """The function ``(from, y, p0, p1, shift, bias)``: the reverse of ``copy``."""
        plane = self.plane
        signature = "ptr noalias %from, ptr noalias %y, i64 %p0, i64 %p1, i64 %shift, ptr %bias"
        f = self.function("put", signature)
        extra = f.load("%bias") if bias else ""

        def some(p: Number, _: list[str]) -> None:
            lines = []
            for at in plane.offsets(f, p):
                line = f.load(f.at("%from", f.sub(at, "%shift")))
                lines.append(f.plus(line, extra) if bias else line)
            lines, y = f.transposed(lines), f.at("%y", p)
            rest = f.sub("%p1", p)

            def all_lanes() -> None:
                for k, v in enumerate(lines):
                    f.store(f.at(y, k * plane.size), v)

            def some_lanes() -> None:
                for k, v in enumerate(lines):
                    f.store_first(f.at(y, k * plane.size), v, rest)

            f.when(f(f"icmp sge i64 {rest}, {f.lanes}"), all_lanes, some_lanes)

        f.span("%p0", "%p1", f.lanes, some)
        f.end()
        return f.name

    def transform(self, row: int, step: int) -> str:
        """The function ``(from, v, high)``: transforms of ``high`` rows of tiles, point k of tile t
        at ``v + k * step + t * row``.
        """
        plane, kind = self.plane, spread if self.plane.tile == SIZE else weigh
        f = self.function("transform", "ptr noalias %from, ptr noalias %v, i64 %high")

        def one(i: Number, j: Number) -> None:
            x = f.at("%from", f.mul(i, TILE * plane.row * f.lanes))
            x = f.at(x, f.mul(j, TILE * f.lanes))
            v = f.at("%v", f.mul(f.add(f.mul(i, plane.wide), j), row))
            square = [
                [f.load(f.at(x, (r * plane.row + c) * f.lanes)) for c in range(plane.tile)]
                for r in range(plane.tile)
            ]
            for k, value in enumerate(flat(squared(f, kind, square))):
                f.store(f.at(v, k * step), value)

        f.grid("%high", plane.wide, one)
        f.end()
        return f.name

    def inverse(self, row: int, step: int) -> str:
        """The function ``(m, to, high)``: pixels of ``high`` rows of tiles."""
        plane = self.plane
        f = self.function("inverse", "ptr noalias %m, ptr noalias %to, i64 %high")

        def one(i: Number, j: Number) -> None:
            m = f.at("%m", f.mul(f.add(f.mul(i, plane.wide), j), row))
            to = f.at("%to", f.mul(i, TILE * plane.row * f.lanes))
            to = f.at(to, f.mul(j, TILE * f.lanes))
            square = points(f, m, step)
            for r, line in enumerate(squared(f, outputs, square)):
                for c, value in enumerate(line):
                    f.store(f.at(to, (r * plane.row + c) * f.lanes), value)

        f.grid("%high", plane.wide, one)
        f.end()
        return f.name


def points(f: Code, m: str, step: int) -> list[list[str]]:
    """The square of a tile's points."""
    return [[f.load(f.at(m, (r * SIZE + c) * step)) for c in range(SIZE)] for r in range(SIZE)]


def flat(square: list[list[str]]) -> list[str]:
    """All vectors of a square."""
    return [v for line in square for v in line]
