"""Ways of one dim: how Winograd's transforms of ``winograd`` take inputs, weights and outputs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from rushlight.compiler.backends.llvm.ir.code import Code
from rushlight.compiler.backends.llvm.ir.text import splat_literal

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
