"""Winograd's convolution: tiles of outputs by products of transforms.

``y = A' [(G w G') * (B' x B)] A`` for each tile of stride 1, where transforms have 6x6 points: a
sum over channels is 36 matrix products. Tiles have 4x4 outputs of 3x3 taps, a fourth of the
multiplications, 3x3 outputs of 4x4 taps, or those exchanged, or 5x5 with 2x2, 36 for 100. The
gradient of the weights is the same with the parts of taps and outputs exchanged.

With stride 2, the outer taps of each dim meet every other input, which takes 5 points for 4
outputs, and the middle tap meets the rest, which are points as they are: 9x9 points, 81
multiplications for 144. The 4 that belong to the middle tap share their weights, so that weights
have 6 kinds of points in each dim.

Vectors hold channels: an image is turned from planes to pixels of ``lanes`` channels and back.
Reference: Lavin and Gray, 2015, arXiv:1509.09308.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rushlight.compiler.backends.llvm.convolution.turn import Frame
from rushlight.compiler.backends.llvm.ir.code import Code, Number
from rushlight.compiler.backends.llvm.ir.text import splat_literal

# Note [Points]
# The transforms evaluate polynomials at 0, a, -a, b, -b and infinity, those of stride 2 at 0, c,
# -c, d and infinity. These points give errors (root mean square) of 2 to 4.5 times those of direct
# sums, half of those with the usual a, b = 1, 2.
A, B = 0.625, 1.5
C, D = 0.75, 2.0
KINDS = 6  # of weights' points, in each dim

Vectors = list[str]
Transform = Callable[[Code, Vectors], Vectors]  # of one dim


def times(f: Code, factor: float, x: str) -> str:
    """``factor x``."""
    return f(f"fmul {f.vector} {x}, {splat_literal(factor, f.element, f.lanes)}")


def plus_times(f: Code, factor: float, x: str, y: str) -> str:
    """``factor x + y``."""
    return f.fma(splat_literal(factor, f.element, f.lanes), x, y)


def minus(f: Code, x: str, y: str) -> str:
    """``x - y``."""
    return f(f"fsub {f.vector} {x}, {y}")


# Stride 1


def spread(f: Code, x: Vectors) -> Vectors:
    """``B' x``: 6 points of 6 inputs."""
    product, total = A * A * B * B, A * A + B * B
    first = plus_times(f, product, x[0], plus_times(f, -total, x[2], x[4]))
    last = plus_times(f, product, x[1], plus_times(f, -total, x[3], x[5]))
    result = [first]
    for p, q in ((A, B), (B, A)):
        even = plus_times(f, -q * q, x[2], x[4])
        odd = plus_times(f, -q * q, x[1], x[3])
        result += [plus_times(f, p, odd, even), plus_times(f, -p, odd, even)]
    return [*result, last]


def weigh(f: Code, w: Vectors) -> Vectors:
    """``G w``: 6 points of taps, or of outputs' gradients."""

    def total(p: float, scale: float, some: range) -> str:
        value = times(f, p ** some[0] * scale, w[some[0]])
        for i in some[1:]:
            value = plus_times(f, p**i * scale, w[i], value)
        return value

    result = [times(f, 1 / (A * A * B * B), w[0])]
    for p, q in ((A, B), (B, A)):
        scale = 1 / (2 * p * p * (p * p - q * q))
        even, odd = [total(p, scale, range(i, len(w), 2)) for i in (0, 1)]
        result += [f.plus(even, odd), minus(f, even, odd)]
    return [*result, w[-1]]


def collect(f: Code, m: Vectors, count: int) -> Vectors:
    """``A' m``: outputs, or taps."""
    sums = [f.plus(m[1], m[2]), f.plus(m[3], m[4])]
    gaps = [minus(f, m[1], m[2]), minus(f, m[3], m[4])]
    result = [f.plus(f.plus(sums[0], sums[1]), m[0])]
    for i in range(1, count):
        some = gaps if i % 2 else sums
        rest = plus_times(f, B**i, some[1], m[5]) if i == count - 1 else times(f, B**i, some[1])
        result.append(plus_times(f, A**i, some[0], rest))
    return result


def collecting(count: int) -> Transform:
    """``collect`` of so many."""
    return lambda f, m: collect(f, m, count)


# Stride 2. Five points are those of two taps.


def spread_five(f: Code, x: Vectors) -> Vectors:
    """5 points of 5 inputs."""
    s, t, u, v = [plus_times(f, -D, x[i], x[i + 1]) for i in (0, 2, 1, 3)]
    return [
        plus_times(f, -C * C, s, t),
        plus_times(f, C, u, t),
        plus_times(f, -C, u, t),
        plus_times(f, -C * C, x[1], x[3]),
        plus_times(f, -C * C, u, v),
    ]


def weigh_five(f: Code, w: Vectors) -> Vectors:
    """5 points of 2 taps, or of 4 outputs' gradients."""
    scales = [1 / (C * C * D), 1 / (2 * C * C * (C - D)), -1 / (2 * C * C * (C + D))]
    result = []
    for p, scale in zip((0.0, C, -C, D), [*scales, 1 / (D * (D * D - C * C))], strict=True):
        total = times(f, scale, w[0])
        for i in range(1, len(w) if p else 0):
            total = plus_times(f, p**i * scale, w[i], total)
        result.append(total)
    return [*result, w[-1]]


def collect_five(f: Code, m: Vectors, count: int) -> Vectors:
    """4 outputs, or 2 taps."""
    both, gap = f.plus(m[1], m[2]), minus(f, m[1], m[2])
    result = [f.plus(f.plus(m[0], both), m[3])]
    for i in range(1, count):
        rest = plus_times(f, D**i, m[3], m[4]) if i == count - 1 else times(f, D**i, m[3])
        result.append(plus_times(f, C**i, gap if i % 2 else both, rest))
    return result


def spread_nine(f: Code, x: Vectors) -> Vectors:
    """9 points of 9 inputs."""
    return spread_five(f, x[::2]) + x[1::2]


def weigh_six(f: Code, w: Vectors) -> Vectors:
    """6 kinds of points of 3 taps."""
    return [*weigh_five(f, [w[0], w[2]]), w[1]]


def weigh_nine(f: Code, g: Vectors) -> Vectors:
    """9 points of 4 outputs' gradients."""
    return weigh_five(f, g) + g


def outputs_nine(f: Code, m: Vectors) -> Vectors:
    """4 outputs."""
    return [f.plus(a, b) for a, b in zip(collect_five(f, m[:5], 4), m[5:], strict=True)]


def taps_six(f: Code, m: Vectors) -> Vectors:
    """3 taps of 6 kinds of points."""
    first, last = collect_five(f, m[:5], 2)
    return [first, m[5], last]


def spread_odd(f: Code, g: Vectors) -> Vectors:
    """9 points of 5 outputs' gradients, for inputs whose first meets the middle tap."""
    return spread_five(f, g) + g[:4]


def spread_even(f: Code, g: Vectors) -> Vectors:
    """As ``spread_odd``, for inputs whose first meets the outer taps."""
    return spread_five(f, g) + g[1:]


def inputs_odd(f: Code, m: Vectors) -> Vectors:
    """8 inputs, the first of which meets the middle tap."""
    return [x for pair in zip(m[5:], collect_five(f, m[:5], 4), strict=True) for x in pair]


def inputs_even(f: Code, m: Vectors) -> Vectors:
    """8 inputs, the first of which meets the outer taps."""
    return [x for pair in zip(collect_five(f, m[:5], 4), m[5:], strict=True) for x in pair]


@dataclass(frozen=True)
class Scheme:
    """A way to compute tiles: ``side`` points in each dim, from tiles of ``tile`` rows that begin
    ``step`` rows apart, to tiles of ``result`` rows, with ``kernel`` taps.

    ``weigh_outputs`` and ``taps`` belong to the gradient of the weights.
    """

    kernel: int
    side: int
    tile: int
    step: int
    result: int
    spread: Transform
    weigh: Transform
    collect: Transform
    weigh_outputs: Transform = weigh
    taps: Transform = taps_six

    @property
    def points(self) -> int:
        """Points of a tile."""
        return self.side * self.side


def plain(kernel: int) -> Scheme:
    """That of stride 1."""
    result = 7 - kernel
    put, taps = collecting(result), collecting(kernel)
    return Scheme(kernel, 6, 6, result, result, spread, weigh, put, weigh, taps)


ONE = {kernel: plain(kernel) for kernel in (2, 3, 4, 5)}
TWO = Scheme(3, 9, 9, 8, 4, spread_nine, weigh_six, outputs_nine, weigh_nine, taps_six)
# the gradient of the input with stride 2, by the padding's last bit
BACK = (
    Scheme(3, 9, 5, 4, 8, spread_even, weigh_six, inputs_even),
    Scheme(3, 9, 5, 4, 8, spread_odd, weigh_six, inputs_odd),
)


def squared(f: Code, transform: Transform, x: list[Vectors]) -> list[Vectors]:
    """A transform of both dims of a square of vectors."""
    columns = [transform(f, [row[j] for row in x]) for j in range(len(x))]
    return [transform(f, [c[i] for c in columns]) for i in range(len(columns[0]))]


@dataclass(frozen=True)
class Plane:
    """Images of one side of a convolution, in tiles.

    Tile (i, j) begins at row ``step i`` and column ``step j`` of the image between zeros, of which
    there are ``before`` rows and columns in front; it has ``tile`` rows and columns. An image has
    ``groups`` times as many channels.
    """

    groups: int
    channels: int
    space: tuple[int, int]
    before: tuple[int, int]
    high: int  # tiles
    wide: int
    tile: int
    step: int

    @property
    def row(self) -> int:
        """Pixels of a row between zeros."""
        return self.step * (self.wide - 1) + self.tile

    @property
    def size(self) -> int:
        """Pixels of a plane."""
        return self.space[0] * self.space[1]

    def pixels(self, f: Code, first: Number, high: Number) -> tuple[Number, Number]:
        """The range of pixels that ``high`` rows of tiles from ``first`` on cover."""
        top, (height, width) = self.before[0], self.space
        start = f.larger(0, f.sub(f.mul(first, self.step), top))
        stop = f.add(f.mul(f.add(first, high), self.step), self.tile - self.step - top)
        return f.mul(start, width), f.mul(f.smaller(height, stop), width)

    @property
    def frame(self) -> Frame:
        """Where pixels lie between zeros."""
        return Frame(self.space, self.before, self.row)


class Tiles:
    """Functions that transform tiles of pixels."""

    def __init__(self, f: Code, plane: Plane) -> None:
        self.f, self.plane = f, plane

    def function(self, kind: str, signature: str) -> Code:
        """A function in the making."""
        return Code(self.f.module, f"{kind}{self.plane.tile}", signature, self.f.dtype)

    def transform(self, kind: Transform, row: int, step: int) -> str:
        """The function ``(from, v, high)``: transforms of ``high`` rows of tiles, point k of tile t
        at ``v + k * step + t * row``.
        """
        plane = self.plane
        f = self.function("transform", "ptr noalias %from, ptr noalias %v, i64 %high")

        def one(i: Number, j: Number) -> None:
            x = f.at("%from", f.mul(i, plane.step * plane.row * f.lanes))
            x = f.at(x, f.mul(j, plane.step * f.lanes))
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

    def inverse(self, scheme: Scheme, row: int, step: int) -> str:
        """The function ``(m, to, high)``: pixels of ``high`` rows of tiles."""
        plane = self.plane
        f = self.function("inverse", "ptr noalias %m, ptr noalias %to, i64 %high")

        def one(i: Number, j: Number) -> None:
            m = f.at("%m", f.mul(f.add(f.mul(i, plane.wide), j), row))
            to = f.at("%to", f.mul(i, plane.step * plane.row * f.lanes))
            to = f.at(to, f.mul(j, plane.step * f.lanes))
            square = points(f, m, scheme.side, step)
            for r, line in enumerate(squared(f, scheme.collect, square)):
                for c, value in enumerate(line):
                    f.store(f.at(to, (r * plane.row + c) * f.lanes), value)

        f.grid("%high", plane.wide, one)
        f.end()
        return f.name


def points(f: Code, m: str, side: int, step: int) -> list[Vectors]:
    """The square of a tile's points."""
    return [[f.load(f.at(m, (r * side + c) * step)) for c in range(side)] for r in range(side)]


def flat(square: list[Vectors]) -> Vectors:
    """All vectors of a square."""
    return [v for line in square for v in line]
