"""Trigonometric functions of vectors, their inverses, and lengths."""

from __future__ import annotations

import math

from rushlight.compiler.backends.llvm.ir.lanes import Formulas, Pair, Wide

HALF_PI = "1.570796326794896619231321691639751442098584699687552910487472296"
QUARTER_PI = "0.785398163397448309615660845819875721049292349843776455243736148"
INF = math.inf


class Angles(Formulas):
    """Functions that know pi."""

    # Note [Huge angles]: beyond some size a multiple of pi/2 cannot be taken away with three parts
    # of it. Where a lane holds such an angle, infinity or NaN, the C library is asked.

    def turned(self, a: Wide) -> tuple[Wide, Wide, Wide]:
        """Integer bits of n, and r and its rest, with ``a = n pi / 2 + r``, |r| <= pi/4, a >= 0."""
        one, two, three = self.parts(HALF_PI, 3)
        shift = 1.5 * 2.0**self.digits
        t = self.fma(a, 2 / math.pi, shift)
        n = t - shift
        exact = self.fma(n, -one, a)
        r = self.fma(n, -two, exact)
        return self.bits(t), r, self.fma(n, -three, self.fma(n, -two, exact - r))

    def sine(self, r: Wide, z: Wide, rest: Wide) -> Pair:
        """The sine of ``r + rest``, where ``z = r^2``."""
        return r, self.fma(r * z, self.polynomial("sin", z), rest)

    def cosine(self, r: Wide, z: Wide, rest: Wide) -> Pair:
        """The cosine of ``r + rest``."""
        half = z * 0.5
        high, low = self.sum2(self.const(1.0), -half)
        tail = self.fma(z * z, self.polynomial("cos", z), low)
        return high, self.fma(-r, rest, tail)

    def huge(self, a: Wide) -> Wide:
        """Whether an angle is too large for ``turned``."""
        return ~(a < self.pick(1e5, 1e9))

    def library(self, name: str, x: Wide, huge: Wide, y: Wide) -> Wide:
        """y, but the C library's result where an angle is huge. See Note [Huge angles]."""

        def rare() -> list[Wide]:
            return [
                self.where(huge, Wide(self.v, self.d, self.v.library(name, self.d, [x.name])), y)
            ]

        return self.rarely(huge, [y], rare)[0]

    def flipped(self, y: Wide, q: Wide, sign: Wide | None = None) -> Wide:
        """y, negative where bit 1 of q is set, times the sign of ``sign``."""
        last = 8 * self.d.itemsize - 1
        flip = q << (last - 1)
        flip = (flip if sign is None else flip ^ self.bits(sign)) & (-1 << last)
        return self.floated(self.bits(y) ^ flip)

    def sin_or_cos(self, name: str, x: Wide, more: int, sign: Wide | None) -> Wide:
        a = self.abs(x)
        q, r, rest = self.turned(a)
        q = q + more if more else q
        z = r * r
        sine, cosine = [s + t for s, t in (self.sine(r, z, rest), self.cosine(r, z, rest))]
        y = self.where((q & 1) == 0, sine, cosine)
        return self.library(name, x, self.huge(a), self.flipped(y, q, sign))

    def sin(self, x: Wide) -> Wide:
        """Sine."""
        return self.sin_or_cos("sin", x, 0, x)

    def cos(self, x: Wide) -> Wide:
        """Cosine."""
        return self.sin_or_cos("cos", x, 1, None)

    def tan(self, x: Wide) -> Wide:
        """Tangent: the quotient of sine and cosine, as pairs."""
        a = self.abs(x)
        q, r, rest = self.turned(a)
        z = r * r
        even = (q & 1) == 0
        sine, cosine = self.sum2(*self.sine(r, z, rest)), self.sum2(*self.cosine(r, z, rest))
        top = tuple([self.where(even, s, c) for s, c in zip(sine, cosine, strict=True)])
        under = tuple([self.where(even, c, s) for s, c in zip(sine, cosine, strict=True)])
        y, low = self.over(top, under)  # type: ignore[arg-type]
        return self.library("tan", x, self.huge(a), self.flipped(y + low, q + q, x))

    # Inverses

    def asin(self, x: Wide) -> Wide:
        """Inverse sine; beyond 1/2 by that of ``sqrt((1 - a) / 2)``."""
        a = self.abs(x)
        near = a < 0.5
        z = self.where(near, a * a, self.fma(a, -0.5, 0.5))
        s = self.sqrt(z)
        lost = self.where(z == 0.0, 0.0, self.fma(-s, s, z) / (s + s))
        s = self.where(near, a, s)
        tail = s * z * self.polynomial("asin", z)
        high, low = self.parts(HALF_PI)
        far = self.fma(s, -2.0, high) + self.fma(tail + lost, -2.0, low)
        return self.copysign(self.where(near, s + tail, far), x)

    def acos(self, x: Wide) -> Wide:
        """Inverse cosine."""
        a = self.abs(x)
        near = a < 0.5
        z = self.where(near, a * a, self.fma(a, -0.5, 0.5))
        s = self.where(near, x, self.sqrt(z))
        tail = s * z * self.polynomial("asin", z)
        high, low = self.parts(HALF_PI)
        middle = high - (s + (tail - low))
        s, tail = s + s, tail + tail
        outer = self.where(x < 0.0, 2 * high - (s + (tail - 2 * low)), s + tail)
        return self.where(near, middle, outer)

    def arc(self, q: Pair, base: Pair) -> Wide:
        """``base + atan(q)`` for |q| <= tan(pi / 8)."""
        z = q[0] * q[0]
        tail = self.fma(q[0] * z, self.polynomial("atan", z), q[1])
        high, low = self.sum2(base[0], q[0])
        return high + (low + (tail + base[1]))

    def atan(self, x: Wide) -> Wide:
        """Inverse tangent: that of ``(a - 1) / (a + 1)`` or ``-1 / a``, and a part of pi."""
        a = self.at_most(self.abs(x), 2.0 ** (2 * self.digits))
        far, middle = a > 1 + math.sqrt(2), a > math.sqrt(2) - 1
        minus, minus_low = self.plus(a, self.const(-1.0))
        plus, plus_low = self.plus(a, self.const(1.0))
        low_too = middle & ~far
        top = self.where(far, self.const(-1.0), self.where(middle, minus, a))
        under = self.where(far, a, self.where(middle, plus, self.const(1.0)))
        lows = [self.where(low_too, p, 0.0) for p in (minus_low, plus_low)]
        base = [
            self.where(far, self.const(p), self.where(middle, self.const(p / 2), self.const(0.0)))
            for p in self.parts(HALF_PI)
        ]
        return self.copysign(self.arc(self.over((top, lows[0]), (under, lows[1])), tuple(base)), x)  # type: ignore[arg-type]

    def ordered(self, x: Wide, y: Wide) -> tuple[Wide, Wide, Wide]:
        """Whether |y| > |x|, and the larger and the smaller of both."""
        a, b = self.abs(x), self.abs(y)
        swap = b > a
        return swap, self.where(swap, b, a), self.where(swap, a, b)

    def moderate(self, large: Wide, high: int, low: int) -> Pair:
        """A power of two that brings a number away from the ends of the range: down from above
        ``2 ** high``, up from below ``2 ** low``; and its inverse.
        """
        tall, tiny = large > 2.0**high, large < 2.0**low
        step = 2.0 ** (self.bias * 3 // 4)
        one, up, down = self.const(1.0), self.const(step), self.const(1 / step)
        return (
            self.where(tall, down, self.where(tiny, up, one)),
            self.where(tall, up, self.where(tiny, down, one)),
        )

    def atan2(self, y: Wide, x: Wide) -> Wide:
        """The angle of the point (x, y)."""
        swap, large, small = self.ordered(x, y)
        c, _ = self.moderate(large, self.bias * 3 // 4, -self.bias // 3)
        large, small = large * c, small * c
        odd = ~((large > 0.0) & (large < INF)) | self.isnan(x, y)

        def ends() -> list[Wide]:
            outside = (large == 0.0) | (large == INF)
            return [
                self.where(outside, 1.0, large),
                self.where(
                    outside, self.where(small == INF, self.const(1.0), self.const(0.0)), small
                ),
            ]

        large, small = self.rarely(odd, [large, small], ends)
        middle = small > large * (math.sqrt(2) - 1)
        minus, minus_low = self.plus(small, -large)
        plus, plus_low = self.sum2(large, small)
        zero = self.const(0.0)
        q, rest = self.over(
            (self.where(middle, minus, small), self.where(middle, minus_low, zero)),
            (self.where(middle, plus, large), self.where(middle, plus_low, zero)),
        )
        # the angle is k pi/4 + q or k pi/4 - q
        k = self.where(middle, self.const(1.0), zero)
        k = self.where(swap, 2.0 - k, k)
        left = self.copysign(self.const(1.0), x) < 0.0
        k = self.where(left, 4.0 - k, k)
        back = swap ^ left
        q, rest = self.where(back, -q, q), self.where(back, -rest, rest)
        high, low = self.parts(QUARTER_PI)
        base, lost = self.times(k, self.const(high))
        angle = self.copysign(self.arc((q, rest), (base, self.fma(k, low, lost))), y)
        return self.rarely(odd, [angle], lambda: [self.where(self.isnan(x, y), math.nan, angle)])[0]

    def hypot(self, x: Wide, y: Wide) -> Wide:
        """``sqrt(x^2 + y^2)`` without overflow."""
        _, large, small = self.ordered(x, y)
        c, back = self.moderate(large, self.bias // 2 - 3, -self.bias // 3)
        a, b = large * c, small * c
        out = self.sqrt(self.fma(b, b, a * a)) * back
        return self.where((self.abs(x) == INF) | (self.abs(y) == INF), INF, out)
