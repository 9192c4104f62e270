"""Images sampled at the places of a grid, and the gradients, step by step as ops/grid.py does it
with arrays.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from itertools import product
from typing import Any

from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ir.text import mangled, splat_literal, vector_type

RANKS = {"grid": 2, "volume grid": 3}
NAMES = {
    f"{kind} {mode} {padding} {corners}{what}": (RANKS[kind], mode, padding, corners, what)
    for kind, mode, padding, corners, what in product(
        RANKS,
        ("bilinear", "nearest"),
        ("zeros", "border", "reflection"),
        (False, True),
        ("", " gradient"),
    )
}
NAMES.update(
    {
        f"grid bicubic {padding} {corners}": (2, "bicubic", padding, corners, "")
        for padding, corners in product(("zeros", "border", "reflection"), (False, True))
    }
)
SHARPNESS = -0.75  # of cubic weights


class Grid:
    """Operand 0 (units, C, H, W) at the places of operand 1 (units, P, 2) to operand 2 (units, C,
    P). Operand 3 holds C, H, W and P. Volumes have a depth before H, and places of three numbers.

    The gradient is of operand 2: added to operand 3, like operand 0, and written to operand 4, like
    the grid. Then operand 5 holds the sizes.

    Samples are taken at as many places at a time as there are lanes, the last ones under a mask. A
    gradient goes place by place: several may add to the same pixel. Sizes are exact as floats, see
    ``LARGE`` in ops/grid.py.
    """

    def __init__(self, name: str, d: Any, width: int) -> None:
        self.rank, self.mode, self.padding, self.corners, gradient = NAMES[name]
        self.f = f = kernel(width, d)
        self.lanes = 0 if gradient else f.lanes
        self.kind, self.bits, self.ints = [
            vector_type(e, self.lanes) for e in (f.element, "i1", "i64")
        ]
        self.x, self.grid, self.out, *more = [f.operand(k) for k in range(6 if gradient else 4)]
        *self.sums, sizes = more
        self.channels, *self.space, self.places = [
            f.scalar64(f.at(sizes, k, 8)) for k in range(self.rank + 2)
        ]
        self.order = range(self.rank - 1, -1, -1)  # a place's numbers are for the last dim first
        self.sizes = [self.wide(f(f"sitofp i64 {n} to {f.element}"), f.element) for n in self.space]
        self.last = [self.real("fsub", n, 1.0) for n in self.sizes]
        self.area = functools.reduce(self.product, self.space)
        self.columns = [self.wide(n, "i64") for n in self.space[1:]]
        f.span("%lo", "%hi", 1, self.slopes if gradient else self.samples)
        f.end()

    def text(self) -> str:
        return self.f.module.text()

    def number(self, value: float) -> str:
        return splat_literal(value, self.f.element, self.lanes)

    def wide(self, value: str, element: str) -> str:
        """A number in all lanes."""
        if not self.lanes:
            return value
        kind, zeros = vector_type(element, self.lanes), f"<{self.lanes} x i32> zeroinitializer"
        one = self.f(f"insertelement {kind} poison, {element} {value}, i64 0")
        return self.f(f"shufflevector {kind} {one}, {kind} poison, {zeros}")

    def real(self, op: str, a: str, b: str | float) -> str:
        """A step with two operands, the second of which may be a number."""
        return self.f(f"{op} {self.kind} {a}, {b if isinstance(b, str) else self.number(b)}")

    def function(self, name: str, a: str) -> str:
        """A function of LLVM's, of one operand."""
        suffix = mangled(self.f.element, self.lanes)
        return self.f.intrinsic(name, suffix, self.kind, [(self.kind, a)])

    def choose(self, condition: str, a: str, b: str) -> str:
        return self.f(f"select {self.bits} {condition}, {self.kind} {a}, {self.kind} {b}")

    def compared(self, test: str, a: str, b: str | float) -> str:
        return self.real(f"fcmp {test}", a, b)

    def product(self, a: Number, b: Number) -> str:
        return self.f(f"mul nsw i64 {a}, {b}")

    def neighbours(self, place: list[str]) -> list[tuple[str, str, list[str]]]:
        """Where the pixels are that a place is between, their weights, and how these change along
        each dim.
        """
        f, found = self.f, []
        for corner in product(*[self.cell(at, k) for k, at in enumerate(place)]):
            (where, *others), weights, changes = zip(*corner, strict=True)
            for n, index in zip(self.columns, others, strict=True):
                start = f(f"mul nsw {self.ints} {where}, {n}")
                where = f(f"add nsw {self.ints} {start}, {index}")
            slopes = [
                self.all_times([*weights[:k], change, *weights[k + 1 :]])
                for k, change in enumerate(changes)
            ]
            found.append((where, self.all_times(weights), slopes))
        return found

    def all_times(self, factors: Iterable[str]) -> str:
        """The product of some numbers."""
        return functools.reduce(functools.partial(self.real, "fmul"), factors)

    def along(self, vectors: list[str], d: int) -> str:
        """Number d of each place, of places whose numbers lie one after another in vectors."""
        n, rank = self.f.lanes, self.rank
        wanted, (one, two, *more) = range(d, rank * n, rank), vectors
        found = self.f.shuffle(one, two, [min(k, 2 * n - 1) for k in wanted])
        for v, first in zip(more, range(2 * n, rank * n, n), strict=True):
            order = [n + k - first if k >= first else lane for lane, k in enumerate(wanted)]
            found = self.f.shuffle(found, v, order)
        return found

    def samples(self, u: Number, _: list[str]) -> None:
        f, n = self.f, self.f.lanes
        first = self.product(u, self.channels)

        def some(p: Number, _: list[str]) -> None:
            left = f.sub(self.places, p)
            start = f.at(self.grid, f.mul(f.add(self.product(u, self.places), p), self.rank))
            numbers = f.mul(self.rank, left)
            vectors = [
                f.load(f.past(start, k * f.size), mask=f.lanes_below(f.sub(numbers, k)))
                for k in range(0, self.rank * n, n)
            ]
            neighbours = self.neighbours([self.along(vectors, d) for d in self.order])
            on = f.lanes_below(left)

            def channel(c: Number, _: list[str]) -> None:
                image = f.add(first, c)
                pixels, total = f.at(self.x, self.product(image, self.area)), ""
                for where, weight, _slopes in neighbours:
                    part = self.real("fmul", self.picked(pixels, where), weight)
                    total = self.real("fadd", total, part) if total else part
                at = f.add(self.product(image, self.places), p)
                f.masked_store(f.at(self.out, at), total, on)

            f.span(0, self.channels, 1, channel)

        f.span(0, self.places, n, some)

    def picked(self, pixels: str, where: str) -> str:
        """A pixel for each lane, loaded one by one: gathering them is no faster."""
        f, found = self.f, "poison"
        for k in range(self.lanes):
            at = f(f"extractelement {self.ints} {where}, i64 {k}")
            at = f(f"getelementptr inbounds {f.element}, ptr {pixels}, i64 {at}")
            found = f(f"insertelement {self.kind} {found}, {f.element} {f.scalar(at)}, i64 {k}")
        return found

    def slopes(self, u: Number, _: list[str]) -> None:
        f, rank = self.f, self.rank
        first = self.product(u, self.channels)

        def place(p: Number, _: list[str]) -> None:
            at = f.mul(f.add(self.product(u, self.places), p), rank)
            numbers = [f.scalar(f.at(self.grid, f.add(at, d))) for d in self.order]
            neighbours = self.neighbours(numbers)

            def gradient(c: Number, slopes: list[str]) -> list[str]:
                image = f.add(first, c)
                start = self.product(image, self.area)
                g = f.scalar(f.at(self.out, f.add(self.product(image, self.places), p)))
                for where, weight, by_place in neighbours:
                    here = f.add(start, where)
                    old = f.scalar(f.at(self.sums[0], here))
                    self.save(self.plus(old, g, weight), self.sums[0], here)
                    part = self.real("fmul", g, f.scalar(f.at(self.x, here)))
                    slopes = [
                        self.plus(s, part, by) for s, by in zip(slopes, by_place, strict=True)
                    ]
                return slopes

            zero = (f.element, self.number(0.0))
            found = f.span(0, self.channels, 1, gradient, [zero] * rank)
            for d, slope in zip(self.order, found, strict=True):
                self.save(slope, self.sums[1], f.add(at, d))

        f.span(0, self.places, 1, place)

    def plus(self, a: str, b: str, c: str) -> str:
        """a + b c"""
        return self.real("fadd", a, self.real("fmul", b, c))

    def save(self, value: str, p: str, at: Number) -> None:
        f = self.f
        f.do(f"store {f.element} {value}, ptr {f.at(p, at)}, align {f.size}")

    def pixels(self, a: str, k: int) -> tuple[str, str]:
        """A number from -1 to 1 as a place in pixels along dim k, and its derivative."""
        n = self.sizes[k]
        above = self.real("fadd", a, 1.0)
        slope = self.real("fmul", self.last[k] if self.corners else n, 0.5)
        if self.corners:
            at = self.real("fmul", above, slope)
        else:
            at = self.real("fsub", self.real("fmul", above, n), 1.0)
            at = self.real("fmul", at, 0.5)
        if self.padding == "zeros" or self.mode == "bicubic":
            return at, slope
        return self.padded(at, slope, k)

    def padded(self, at: str, slope: str, k: int) -> tuple[str, str]:
        """A place moved into the image, and its derivative."""
        last = self.last[k]
        if self.padding == "reflection":
            at, slope = self.reflected(at, slope, k)
        near = self.choose(self.compared("olt", at, 0.0), self.number(0.0), at)
        near = self.choose(self.compared("ogt", near, last), last, near)
        zero = self.number(0.0)
        slope = self.choose(self.compared("ogt", at, 0.0), slope, zero)
        return near, self.choose(self.compared("olt", at, last), slope, zero)

    def reflected(self, at: str, slope: str, k: int) -> tuple[str, str]:
        """A place that is thrown back where the image ends, and its derivative."""
        n = self.sizes[k]
        start, span = (0.0, self.last[k]) if self.corners else (-0.5, n)
        at = self.real("fsub", at, start)
        slope = self.choose(self.compared("olt", at, 0.0), self.negative(slope), slope)
        at = self.function("fabs", at)
        flips = self.function("floor", self.real("fdiv", at, span))
        at = self.real("fsub", at, self.real("fmul", flips, span))
        pairs = self.real("fmul", self.function("floor", self.real("fmul", flips, 0.5)), 2.0)
        odd = self.compared("oeq", self.real("fsub", flips, pairs), 1.0)
        at = self.real("fadd", self.choose(odd, self.real("fsub", span, at), at), start)
        return at, self.choose(odd, self.negative(slope), slope)

    def negative(self, a: str) -> str:
        return self.f(f"fneg {self.kind} {a}")

    def cell(self, a: str, k: int) -> list[tuple[str, str, str]]:
        """The neighbours along dim k, limited to what is inside, their weights, and the derivatives
        of these.
        """
        at, slope = self.pixels(a, k)
        if self.mode == "bicubic":
            return self.taps(at, k)
        zero, one = self.number(0.0), self.number(1.0)
        if self.mode == "nearest":
            return [self.inside(self.whole(self.function("rint", at)), one, zero, k)]
        low = self.function("floor", at)
        first, after = self.whole(low), self.real("fsub", at, low)
        before = self.real("fsub", one, after)
        second = self.real("fadd", first, 1.0)
        return [
            self.inside(first, before, self.negative(slope), k),
            self.inside(second, after, slope, k),
        ]

    def taps(self, at: str, k: int) -> list[tuple[str, str, str]]:
        """The four neighbours for cubic weights, each moved into the image by itself."""
        zero, found = self.number(0.0), []
        low = self.function("floor", at)
        share = self.real("fsub", at, low)
        back = self.real("fsub", self.number(1.0), share)
        weights = [
            self.far(self.real("fadd", share, 1.0)),
            self.near(share),
            self.near(back),
            self.far(self.real("fsub", self.number(2.0), share)),
        ]
        for step, weight in enumerate(weights, -1):
            place = self.real("fadd", low, float(step))
            if self.padding != "zeros":
                place = self.padded(place, zero, k)[0]
            found.append(self.inside(self.whole(place), weight, zero, k))
        return found

    def near(self, x: str) -> str:
        """The cubic weight of a place less than one pixel away."""
        a = SHARPNESS
        inner = self.real("fsub", self.real("fmul", x, a + 2), a + 3)
        return self.real("fadd", self.real("fmul", self.real("fmul", inner, x), x), 1.0)

    def far(self, x: str) -> str:
        """The cubic weight of a place one to two pixels away."""
        a = SHARPNESS
        inner = self.real("fsub", self.real("fmul", x, a), 5 * a)
        inner = self.real("fadd", self.real("fmul", inner, x), 8 * a)
        return self.real("fsub", self.real("fmul", inner, x), 4 * a)

    def whole(self, at: str) -> str:
        """A whole number; one that is outside, as is the next, for NaN and what is too far away:
        what is no int64.
        """
        near = self.compared("olt", self.function("fabs", at), 2.0**62)
        return self.choose(near, at, self.number(-2.0))

    def inside(self, place: str, weight: str, slope: str, k: int) -> tuple[str, str, str]:
        """A whole number as an index, limited to dim k, and the weight and slope, 0 where it was
        not in it.
        """
        zero, one, last = self.number(0.0), self.number(1.0), self.last[k]
        near = self.choose(self.compared("olt", place, zero), zero, place)
        near = self.choose(self.compared("ogt", near, last), last, near)
        same = self.compared("oeq", near, place)
        index = self.f(f"fptosi {self.kind} {near} to {vector_type('i32', self.lanes)}")
        index = self.f(f"sext {vector_type('i32', self.lanes)} {index} to {self.ints}")
        weight = self.real("fmul", weight, self.choose(same, one, zero))
        return index, weight, self.choose(same, slope, zero)
