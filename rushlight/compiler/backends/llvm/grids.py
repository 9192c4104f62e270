"""Images sampled at the places of a grid, and the gradients, step by step as ops/grid.py does it
with arrays.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ir.text import literal

NAMES = {
    f"grid {mode} {padding} {corners}{what}": (mode, padding, corners, what)
    for mode, padding, corners, what in product(
        ("bilinear", "nearest"),
        ("zeros", "border", "reflection"),
        (False, True),
        ("", " gradient"),
    )
}
NAMES.update(
    {
        f"grid bicubic {padding} {corners}": ("bicubic", padding, corners, "")
        for padding, corners in product(("zeros", "border", "reflection"), (False, True))
    }
)
SHARPNESS = -0.75  # of cubic weights


class Grid:
    """Operand 0 (units, C, H, W) at the places of operand 1 (units, P, 2) to operand 2 (units, C,
    P). Operand 3 holds C, H, W and P.

    The gradient is of operand 2: added to operand 3, like operand 0, and written to operand 4, like
    the grid. Then operand 5 holds the sizes.
    """

    def __init__(self, name: str, d: Any, width: int) -> None:
        self.mode, self.padding, self.corners, gradient = NAMES[name]
        self.f = f = kernel(width, d)
        self.x, self.grid, self.out, *more = [f.operand(k) for k in range(6 if gradient else 4)]
        *self.sums, sizes = more
        self.channels, *self.space, self.places = [f.scalar64(f.at(sizes, k, 8)) for k in range(4)]
        self.sizes = [f(f"sitofp i64 {n} to {f.element}") for n in self.space]
        self.limits = [str(f.sub(n, 1)) for n in self.space]
        f.span("%lo", "%hi", 1, self.unit)
        f.end()

    def text(self) -> str:
        return self.f.module.text()

    def real(self, op: str, a: str, b: str | float) -> str:
        """A step with two elements, the second of which may be a number."""
        f = self.f
        b = b if isinstance(b, str) else literal(b, f.element)
        return f(f"{op} {f.element} {a}, {b}")

    def function(self, name: str, a: str) -> str:
        """A function of LLVM's, of one element."""
        f = self.f
        return str(f.intrinsic(name, f.element, f.element, [(f.element, a)]))

    def choose(self, condition: str, a: str, b: str) -> str:
        return self.f(f"select i1 {condition}, {self.f.element} {a}, {self.f.element} {b}")

    def compared(self, test: str, a: str, b: str | float) -> str:
        return self.real(f"fcmp {test}", a, b)

    def product(self, a: Number, b: Number) -> str:
        return self.f(f"mul nsw i64 {a}, {b}")

    def unit(self, u: Number, _: list[str]) -> None:
        f = self.f
        area = self.product(self.space[0], self.space[1])
        first = self.product(u, self.channels)

        def place(p: Number, _: list[str]) -> None:
            at = f.mul(f.add(self.product(u, self.places), p), 2)
            cells = [self.cell(f.scalar(f.at(self.grid, f.add(at, 1 - k))), k) for k in range(2)]
            corners = [
                (
                    f.add(self.product(y, self.space[1]), x),
                    self.real("fmul", v, w),
                    (self.real("fmul", by_y, w), self.real("fmul", v, by_x)),
                )
                for (y, v, by_y), (x, w, by_x) in product(*cells)
            ]

            def channel(c: Number, _: list[str]) -> None:
                image = f.add(first, c)
                start, total = self.product(image, area), ""
                for where, weight, _slopes in corners:
                    x = f.scalar(f.at(self.x, f.add(start, where)))
                    part = self.real("fmul", x, weight)
                    total = self.real("fadd", total, part) if total else part
                self.save(total, self.out, f.add(self.product(image, self.places), p))

            def gradient(c: Number, slopes: list[str]) -> list[str]:
                image = f.add(first, c)
                start = self.product(image, area)
                g = f.scalar(f.at(self.out, f.add(self.product(image, self.places), p)))
                for where, weight, by_place in corners:
                    here = f.add(start, where)
                    old = f.scalar(f.at(self.sums[0], here))
                    self.save(self.plus(old, g, weight), self.sums[0], here)
                    part = self.real("fmul", g, f.scalar(f.at(self.x, here)))
                    slopes = [
                        self.plus(s, part, by) for s, by in zip(slopes, by_place, strict=True)
                    ]
                return slopes

            if not self.sums:
                f.span(0, self.channels, 1, channel)
                return
            zero = (f.element, literal(0.0, f.element))
            for k, slope in enumerate(f.span(0, self.channels, 1, gradient, [zero] * 2)):
                self.save(slope, self.sums[1], f.add(at, 1 - k))

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
        last = self.real("fsub", n, 1.0)
        above = self.real("fadd", a, 1.0)
        slope = self.real("fmul", last if self.corners else n, 0.5)
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
        last = self.real("fsub", self.sizes[k], 1.0)
        if self.padding == "reflection":
            at, slope = self.reflected(at, slope, k)
        near = self.choose(self.compared("olt", at, 0.0), literal(0.0, self.f.element), at)
        near = self.choose(self.compared("ogt", near, last), last, near)
        zero = literal(0.0, self.f.element)
        slope = self.choose(self.compared("ogt", at, 0.0), slope, zero)
        return near, self.choose(self.compared("olt", at, last), slope, zero)

    def reflected(self, at: str, slope: str, k: int) -> tuple[str, str]:
        """A place that is thrown back where the image ends, and its derivative."""
        n = self.sizes[k]
        start, span = (0.0, self.real("fsub", n, 1.0)) if self.corners else (-0.5, n)
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
        return self.f(f"fneg {self.f.element} {a}")

    def cell(self, a: str, k: int) -> list[tuple[str, str, str]]:
        """The neighbours along dim k, limited to what is inside, their weights, and the derivatives
        of these.
        """
        at, slope = self.pixels(a, k)
        if self.mode == "bicubic":
            return self.taps(at, k)
        zero, one = [literal(x, self.f.element) for x in (0.0, 1.0)]
        if self.mode == "nearest":
            return [self.inside(self.whole(self.function("rint", at)), one, zero, k)]
        low = self.function("floor", at)
        first, after = self.whole(low), self.real("fsub", at, low)
        before = self.real("fsub", one, after)
        second = self.f(f"add i64 {first}, 1")
        return [
            self.inside(first, before, self.negative(slope), k),
            self.inside(second, after, slope, k),
        ]

    def taps(self, at: str, k: int) -> list[tuple[str, str, str]]:
        """The four neighbours for cubic weights, each moved into the image by itself."""
        zero, found = literal(0.0, self.f.element), []
        low = self.function("floor", at)
        share = self.real("fsub", at, low)
        back = self.real("fsub", literal(1.0, self.f.element), share)
        weights = [
            self.far(self.real("fadd", share, 1.0)),
            self.near(share),
            self.near(back),
            self.far(self.real("fsub", literal(2.0, self.f.element), share)),
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
        """A place as an index; the smallest integer for what is too far away, as of NumPy."""
        f = self.f
        near = self.compared("olt", self.function("fabs", at), 2.0**62)
        index = f(f"fptosi {f.element} {at} to i64")
        return f(f"select i1 {near}, i64 {index}, i64 {np.iinfo(np.int64).min}")

    def inside(self, index: str, weight: str, slope: str, k: int) -> tuple[str, str, str]:
        """An index limited to dim k, and the weight and slope, 0 where it was not in it."""
        f = self.f
        near = str(f.smaller(f.larger(index, 0), self.limits[k]))
        same = f(f"icmp eq i64 {near}, {index}")
        zero, one = [literal(x, f.element) for x in (0.0, 1.0)]
        weight = self.real("fmul", weight, self.choose(same, one, zero))
        return near, weight, self.choose(same, slope, zero)
