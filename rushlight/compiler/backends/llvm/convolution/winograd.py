"""Winograd's convolution: tiles of outputs by products of transforms.

``y = A' [(G w G') * (B' x B)] A`` for each tile: a sum over channels is one matrix product for each
of the transforms' points, of which there are fewer than multiplications. The transforms of rows
and of columns are chosen independently: a ``Way`` is how one dim is done.

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

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from rushlight.compiler.backends.llvm.convolution.turn import Frame
from rushlight.compiler.backends.llvm.ir.code import Code, Number, Sized
from rushlight.compiler.backends.llvm.ir.driver import Driver
from rushlight.compiler.backends.llvm.ir.text import COMMON, Module, splat_literal

# Note [Points]
# Transforms evaluate polynomials at infinity and at these places. They give errors (root mean
# square) of 2 to 4.5 times those of direct sums, half of those with the usual 0, 1, -1, 2, -2; the
# gradient of 7 taps 6 times.
Roots = tuple[float, ...]
SQUARE: Roots = (0.0, 0.625, -0.625, 1.5, -1.5)
LINE: Roots = (0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0)
OTHERS: Roots = (0.0, 0.75, -0.75, 2.0)  # of every other input, with stride 2

Vectors = list[str]
Transform = Callable[[Code, Vectors], Vectors]  # of one dim


def times(f: Code, factor: float, x: str) -> str:
    """``factor x``."""
    if factor == 1:
        return x
    return f(f"fmul {f.vector} {x}, {splat_literal(factor, f.element, f.lanes)}")


def plus_times(f: Code, factor: float, x: str, y: str) -> str:
    """``factor x + y``."""
    if factor == 1:
        return f.plus(x, y)
    return f.fma(splat_literal(factor, f.element, f.lanes), x, y)


def minus(f: Code, x: str, y: str) -> str:
    """``x - y``."""
    return f(f"fsub {f.vector} {x}, {y}")


def total(f: Code, factors: Sequence[float], x: Vectors) -> str:
    """The sum of ``factors`` times x; those with factor 1 come first."""
    terms = sorted([(c != 1, k) for k, c in enumerate(factors) if c])
    (_, first), *rest = terms
    value = times(f, factors[first], x[first])
    for _, k in rest:
        value = plus_times(f, factors[k], x[k], value)
    return value


# Polynomials and their values


def polynomial(roots: Roots) -> list[float]:
    """The factors of ``1, x, ...`` in the product of ``x - root``."""
    found = [1.0]
    for r in roots:
        found = [a - r * b for a, b in zip([0.0, *found], [*found, 0.0], strict=True)]
    return found


def paired(roots: Roots) -> list[tuple[int, bool]]:
    """Places of roots, and whether the following is the same with the other sign."""
    found, k = [], 0
    while k < len(roots):
        both = k + 1 < len(roots) and roots[k] == -roots[k + 1] != 0
        found.append((k, both))
        k += 1 + both
    return found


def spread(f: Code, roots: Roots, x: Vectors) -> Vectors:
    """``B' x`` but for factors: as many points, at infinity and the roots, as inputs."""
    *_, (last, both) = paired(roots) or [(0, True)]
    if not both and roots[last]:
        gaps = [plus_times(f, -roots[last], a, b) for a, b in pairwise(x)]
        return [*spread(f, roots[:-1], gaps), total(f, polynomial(roots[:-1]), x[:-1])]
    result = [total(f, polynomial(roots), x)]
    for k, both in paired(roots):
        factors = polynomial(roots[:k] + roots[k + 1 + both :])
        if not both:
            result.append(total(f, factors, x[:-1]))
            continue
        even, odd = total(f, factors, x[1:-1]), total(f, factors, x[:-2])
        result += [plus_times(f, p, odd, even) for p in roots[k : k + 2]]
    return result


def weigh(f: Code, roots: Roots, w: Vectors) -> Vectors:
    """``G w``: points of taps, or of outputs' gradients."""
    gaps = [[p - q for q in roots if q != p] for p in roots]
    scales, result = [1 / math.prod(some) for some in gaps], [w[-1]]
    for k, both in paired(roots):
        if both and math.isclose(scales[k], scales[k + 1]):
            parts = [
                total(f, [scales[k] * roots[k] ** i for i in range(start, len(w), 2)], w[start::2])
                for start in range(min(2, len(w)))
            ]
            result += [f.plus(*parts), minus(f, *parts)] if len(parts) > 1 else parts * 2
            continue
        for p, scale in zip(roots[k : k + 1 + both], scales[k : k + 1 + both], strict=True):
            factors = [scale * p**i for i in range(len(w) if p else 1)]
            result.append(total(f, factors, w[: len(factors)]))
    return result


def collect(f: Code, roots: Roots, m: Vectors, count: int) -> Vectors:
    """``A' m``: outputs, or taps."""
    groups: list[tuple[float, str, str]] = []  # root, and what counts for even and odd powers
    for k, both in paired(roots):
        a, b = m[k + 1], m[k + 1 + both]
        groups.append((roots[k], f.plus(a, b), minus(f, a, b)) if both else (roots[k], a, a))
    result = []
    for i in range(count):
        terms = [(p**i, (even, odd)[i % 2]) for p, even, odd in groups]
        terms += [(1.0, m[0])] if i == count - 1 else []
        result.append(total(f, [c for c, _ in terms], [x for _, x in terms]))
    return result


# Ways


@dataclass(frozen=True)
class Way(ABC):
    """One dim of tiles of ``size`` outputs; ``roots`` belong to whole tiles, see Note [Points]."""

    roots: Roots
    size: int

    taps = 3
    rate = 1  # of inputs, for each of the ``size``
    result_rate = 1

    @property
    @abstractmethod
    def whole(self) -> int:
        """The size of whole tiles."""

    @property
    @abstractmethod
    def tile(self) -> int:
        """Inputs of a tile."""

    @property
    @abstractmethod
    def kinds(self) -> list[int]:
        """Which of the weights' points each point of a whole tile is multiplied with."""

    @property
    @abstractmethod
    def points(self) -> int:
        """Points of a tile."""

    @property
    def step(self) -> int:
        """Inputs between the beginnings of tiles."""
        return self.rate * self.whole

    @property
    def result(self) -> int:
        """Outputs of a tile."""
        return self.result_rate * self.size

    @property
    def result_step(self) -> int:
        """Outputs of a whole tile."""
        return self.result_rate * self.whole

    def some(self, size: int) -> Way:
        """A smaller tile beside whole ones."""
        return replace(self, size=size)

    def alone(self, size: int) -> Way:
        """Whole tiles of another size."""
        return replace(self, size=size, roots=self.roots[: len(self.roots) + size - self.whole])

    @abstractmethod
    def spread(self, f: Code, x: Vectors) -> Vectors:
        """Points of inputs."""

    @abstractmethod
    def weigh(self, f: Code, w: Vectors) -> Vectors:
        """Kinds of points of taps."""

    @abstractmethod
    def collect(self, f: Code, m: Vectors) -> Vectors:
        """Outputs of points."""

    @abstractmethod
    def weigh_outputs(self, f: Code, g: Vectors) -> Vectors:
        """Points of outputs' gradients."""

    @abstractmethod
    def collect_taps(self, f: Code, m: Vectors) -> Vectors:
        """Taps of kinds of points."""


@dataclass(frozen=True)
class Plain(Way):
    """Stride 1."""

    taps: int = 3

    @property
    def whole(self) -> int:
        return len(self.roots) + 2 - self.taps

    @property
    def tile(self) -> int:
        return self.size + self.taps - 1

    @property
    def points(self) -> int:
        return self.tile

    @property
    def kinds(self) -> list[int]:
        return list(range(len(self.roots) + 1))

    @property
    def used(self) -> Roots:
        """The roots of a tile's points."""
        return self.roots[: self.points - 1]

    def spread(self, f: Code, x: Vectors) -> Vectors:
        missing, (first, *rest) = self.roots[self.points - 1 :], spread(f, self.used, x)
        factors = [math.prod([p - q for q in missing]) for p in self.used]
        return [first, *[times(f, c, a) for c, a in zip(factors, rest, strict=True)]]

    def weigh(self, f: Code, w: Vectors) -> Vectors:
        return weigh(f, self.roots, w)

    def collect(self, f: Code, m: Vectors) -> Vectors:
        return collect(f, self.used, m, self.size)

    def weigh_outputs(self, f: Code, g: Vectors) -> Vectors:
        return weigh(f, self.roots, g)[: self.points]

    def collect_taps(self, f: Code, m: Vectors) -> Vectors:
        return collect(f, self.roots, m, self.taps)


def mixed(a: Vectors, b: Vectors) -> Vectors:
    """Points of the outer taps, one more than of the middle tap, and these, each as soon as it is
    needed.
    """
    return [a[0], *[x for both in zip(a[1:], b, strict=True) for x in both]]


def parted(m: Vectors) -> tuple[Vectors, Vectors]:
    """The reverse of ``mixed``."""
    return [m[0], *m[1::2]], m[2::2]


@dataclass(frozen=True)
class Strided(Way):
    """Stride 2, 3 taps."""

    rate = 2

    @property
    def whole(self) -> int:
        return len(self.roots)

    @property
    def outer(self) -> Plain:
        """How the outer taps are done."""
        return Plain(self.roots, self.size, 2)

    @property
    def tile(self) -> int:
        return 2 * self.size + 1

    @property
    def points(self) -> int:
        return 2 * self.size + 1

    @property
    def kinds(self) -> list[int]:
        last = self.whole + 1
        return [0, *[k for i in range(self.whole) for k in (i + 1, last)]]

    def spread(self, f: Code, x: Vectors) -> Vectors:
        return mixed(self.outer.spread(f, x[::2]), x[1::2])

    def weigh(self, f: Code, w: Vectors) -> Vectors:
        return [*self.outer.weigh(f, [w[0], w[2]]), w[1]]

    def collect(self, f: Code, m: Vectors) -> Vectors:
        outer, middle = parted(m)
        return [f.plus(a, b) for a, b in zip(self.outer.collect(f, outer), middle, strict=True)]

    def weigh_outputs(self, f: Code, g: Vectors) -> Vectors:
        return mixed(self.outer.weigh_outputs(f, g), g)

    def collect_taps(self, f: Code, m: Vectors) -> Vectors:
        first, last = self.outer.collect_taps(f, m[:-1])
        return [first, m[-1], last]


@dataclass(frozen=True)
class Back(Strided):
    """The gradient of the input with stride 2; ``odd``: the first meets the middle tap."""

    odd: bool = False

    rate = 1
    result_rate = 2

    @property
    def tile(self) -> int:
        return self.size + 1

    def spread(self, f: Code, x: Vectors) -> Vectors:
        return mixed(self.outer.spread(f, x), x[:-1] if self.odd else x[1:])

    def collect(self, f: Code, m: Vectors) -> Vectors:
        outer, middle = parted(m)
        pair = self.outer.collect(f, outer), middle
        return [x for both in zip(*(pair[::-1] if self.odd else pair), strict=True) for x in both]


def plain(taps: int, roots: Roots) -> Plain:
    """Whole tiles with stride 1."""
    return Plain(roots, len(roots) + 2 - taps, taps)


STILL = plain(1, ())  # where nothing happens
STRIDED = Strided(OTHERS, len(OTHERS))
BACK = Back(OTHERS, len(OTHERS)), Back(OTHERS, len(OTHERS), True)  # by the padding's last bit


@dataclass(frozen=True)
class Cut:
    """A dim of an image in ``count`` whole tiles, and perhaps a smaller one behind."""

    way: Way
    count: int
    rest: Way | None = None

    @property
    def tiles(self) -> int:
        """How many tiles there are."""
        return self.count + (self.rest is not None)

    @property
    def points(self) -> int:
        """The points of all tiles."""
        return self.count * self.way.points + (self.rest.points if self.rest else 0)

    def even(self) -> Cut:
        """The same in whole tiles only."""
        return Cut(self.way, self.tiles)


def cut(way: Way, outputs: int) -> Cut:
    """So many outputs in tiles."""
    count, rest = divmod(outputs, way.result)
    size = -(-rest // way.result_rate)
    if not count:
        return Cut(way.alone(size), 1)
    if not rest or size == way.size:
        return Cut(way, count + (rest > 0))
    return Cut(way, count, way.some(size))


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
