"""Remainders and neighbours of floats, and powers of integers."""

from __future__ import annotations

import math

from rushlight.compiler.backends.llvm.ir.lanes import Formulas, Wide
from rushlight.compiler.backends.llvm.ir.text import (
    Function,
    Module,
    mangled,
    splat_literal,
    vector_type,
)


class Remainders(Formulas):
    """What divides and steps without rounding."""

    def fmod(self, x: Wide, y: Wide) -> Wide:
        """``x - trunc(x / y) y``, exactly: the rounded quotient is at most 1 off as long as its
        digits fit; otherwise, and for what is not finite, the C library is asked.
        """
        a, b = self.abs(x), self.abs(y)
        q = self.intrinsic("trunc", a / b)
        r = self.fma(-q, b, a)
        r = self.where(r < 0.0, r + b, self.where(r >= b, r - b, r))
        r = self.copysign(r, x)
        hard = ~((q < 2.0**self.digits) & (b < math.inf))

        def rare() -> list[Wide]:
            slow = self.v.library("fmod", self.d, [x.name, y.name])
            return [self.where(hard, Wide(self.v, self.d, slow), r)]

        return self.rarely(hard, [r], rare)[0]

    def nextafter(self, x: Wide, y: Wide) -> Wide:
        """The next number after x towards y: the next bits, as these are in the numbers' order."""
        bits, one = self.bits(x), Wide(self.v, self.whole, self.v.c(1, self.whole))
        away = (x < y) ^ (x < 0.0)
        step = self.floated(self.where(away, bits + one, bits - one))
        step = self.where(x == 0.0, self.copysign(self.floated(one), y), step)
        step = self.where(x == y, y, step)
        return self.where(self.isnan(x, y), x + y, step)


def write_power(module: Module, name: str, element: str, lanes: int) -> None:
    """A function of integers x and y >= 0: ``x ** y``, modulo the type's range."""
    t, bools = vector_type(element, lanes), vector_type("i1", lanes)
    one, zero = splat_literal(1, element, lanes), splat_literal(0, element, lanes)
    g = Function(module, name, f"{t} %x, {t} %y", t)
    g.do("br label %again")
    g.label("again")
    g.do(f"%r = phi {t} [ {one}, %entry ], [ %result, %again ]")
    g.do(f"%b = phi {t} [ %x, %entry ], [ %square, %again ]")
    g.do(f"%e = phi {t} [ %y, %entry ], [ %rest, %again ]")
    odd = g(f"icmp ne {t} {g(f'and {t} %e, {one}')}, {zero}")
    more = g(f"mul {t} %r, %b")
    g.do(f"%result = select {bools} {odd}, {t} {more}, {t} %r")
    g.do(f"%square = mul {t} %b, %b")
    g.do(f"%rest = lshr {t} %e, {one}")
    some = g(f"icmp ne {t} %rest, {zero}")
    if lanes:
        some = g.intrinsic("vector.reduce.or", mangled("i1", lanes), "i1", [(bools, some)])
    g.do(f"br i1 {some}, label %again, label %done")
    g.label("done")
    g.end(f"ret {t} %result")
