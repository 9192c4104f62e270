"""Exponentials, logarithms, powers and hyperbolic functions of vectors.

Each brings its argument into a short interval, where a polynomial is as exact as the type, and
keeps what rounding loses where that would show: within 2 units in the last place, subnormal
numbers included.
"""

from __future__ import annotations

import math

from rushlight.compiler.backends.llvm.ir.lanes import Formulas, Pair, Wide

LN2 = "0.693147180559945309417232121458176568075500134360255254120680009"
LOG2E = "1.442695040888963407359924681001892137426645954152985934135449407"
LOG10E = "0.434294481903251827651128918916605082294397005803666566114453783"
LOG10_2 = "0.301029995663981195213738894724493026768189881462108541310427461"
TWO_THIRDS = "0." + "6" * 60
INF = math.inf


class Exponentials(Formulas):
    """Functions made of ``2 ** n`` and a polynomial, and their inverses."""

    # Powers of two

    def reduced(self, x: Wide) -> tuple[Wide, Wide, Wide]:
        """n, its bits above zeros of a float, and r, with ``x = n log 2 + r``, |r| <= log(2)/2."""
        high, low = self.parts(LN2)
        shift = 1.5 * 2.0**self.digits  # adding it rounds to an integer, in the last bits
        t = self.fma(x, float(self.parts(LOG2E)[0]), shift)
        n = t - shift
        return n, self.bits(t), self.fma(n, -low, self.fma(n, -high, x))

    def reduced_pair(self, x: Wide, rest: Wide | None = None) -> tuple[Wide, Wide, Wide, Wide]:
        """As ``reduced``, with what r's rounding loses, and ``rest``, a small part of x."""
        high, low = self.parts(LN2)
        shift = 1.5 * 2.0**self.digits
        t = self.fma(x, float(self.parts(LOG2E)[0]), shift)
        n = t - shift
        exact = self.fma(n, -high, x)
        r = self.fma(n, -low, exact)
        lost = self.fma(n, -low, exact - r)
        if rest is not None:
            r, lost = self.sum2(r, lost + rest)
        return n, self.bits(t), r, lost

    def exponent(self, bits: Wide, bias: int) -> Wide:
        """n + bias of ``reduced``."""
        return bits - (self.pattern(1.5 * 2.0**self.digits) - bias)

    def power(self, bits: Wide) -> Wide:
        """``2 ** n`` for the n of ``reduced``, where that is a normal number."""
        return self.floated((bits << self.digits) + self.pattern(1.0))

    def scaled(self, p: Wide, bits: Wide, more: int = 0) -> Wide:
        """``p 2^(n + more)``: in one step on AVX-512, else in two, whose factors stay in range."""
        if self.v.f.module.width == 512:
            return self.v.ldexp(p, self.exponent(bits, more))
        width = 2 * self.bias + 2
        k = self.exponent(bits, width + more)
        half = k >> 1
        one = self.floated((half - 1) << self.digits)
        return p * one * self.floated((k - half - 1) << self.digits)

    def clamped(self, x: Wide, low: float, high: float) -> Wide:
        """x in [low, high]; NaN stays."""
        return self.at_least(self.at_most(x, high), low)

    def exp_range(self) -> tuple[float, float]:
        """Beyond it exp is 0 or infinite."""
        return self.pick((-104.0, 89.0), (-746.0, 710.0))

    def exp(self, x: Wide) -> Wide:
        """Exponential."""
        _, bits, r = self.reduced(self.clamped(x, *self.exp_range()))
        p = self.fma(r * r, self.polynomial("exp", r), r) + 1.0
        return self.scaled(p, bits)

    def exp2(self, x: Wide) -> Wide:
        """Power of two."""
        y = self.clamped(x, *self.pick((-151.0, 129.0), (-1076.0, 1025.0)))
        shift = 1.5 * 2.0**self.digits
        t = y + shift
        r = y - (t - shift)
        return self.scaled(self.fma(r, self.polynomial("exp2", r), 1.0), self.bits(t))

    def expm1(self, x: Wide) -> Wide:
        """``exp(x) - 1``, accurate near 0."""
        y = self.clamped(x, *self.pick((-20.0, 89.0), (-40.0, 710.0)))
        _, bits, r, lost = self.reduced_pair(y)
        q = self.fma(r * r, self.polynomial("expm1", r), lost) + r
        half = self.floated((bits << self.digits) + self.pattern(0.5))  # n may be the largest
        e = self.fma(half, q, half - 0.5)
        return self.copysign(e + e, x)

    def tanh(self, x: Wide) -> Wide:
        """Hyperbolic tangent: ``(1 - e) / (1 + e)`` with ``e = exp(-2 |x|)``."""
        a = self.at_most(self.abs(x), self.pick(10.0, 20.0))
        _, bits, r, lost = self.reduced_pair(a * -2.0)
        q = self.fma(r * r, self.polynomial("expm1", r), lost) + r
        s = self.power(bits)
        less, more = 1.0 - s, s + 1.0
        top, under = self.fma(-s, q, less), self.fma(s, q, more)
        lost, lost_under = self.fma(-s, q, less - top), self.fma(s, q, more - under)
        t = top / under
        inverse = self.fma(t, 0.5, 0.5)  # 1 / under, nearly
        return self.copysign(self.fma(self.fma(-t, lost_under, lost), inverse, t), x)

    def hyperbolic(self, a: Wide, sign: float) -> Wide:
        """``(exp(a) + sign exp(-a)) / 2`` for a >= 0, and a >= 1 where the sign is -1."""
        y = self.at_most(a, self.pick(91.0, 712.0))
        n, bits, r, lost = self.reduced_pair(y)
        p, low = self.sum2(self.const(1.0), self.fma(r * r, self.polynomial("exp", r), lost) + r)
        # exp(-a) is 2^(-2 n) / p beside p
        m = self.at_most(n, float(self.bias // 2))
        back = self.exponent(self.bits(m + 1.5 * 2.0**self.digits), 0)
        small = self.floated(self.pattern(1.0) - (back << self.digits + 1)) / p
        return self.scaled(self.fma(small, sign, p) + low, bits, -1)

    def sinh(self, x: Wide) -> Wide:
        """Hyperbolic sine."""
        a, z = self.abs(x), x * x
        near = self.fma(x * z, self.polynomial("sinh", z), x)
        far = self.copysign(self.hyperbolic(self.at_least(a, 1.0), -1.0), x)
        return self.where(a < 1.0, near, far)

    def cosh(self, x: Wide) -> Wide:
        """Hyperbolic cosine."""
        return self.hyperbolic(self.abs(x), 1.0)

    # Logarithms

    def is_odd(self, x: Wide) -> Wide:
        """Whether x is no positive normal number."""
        least = self.pattern(2.0 ** (1 - self.bias))
        return ~self.below(self.bits(x) - least, self.pattern(INF) - least)

    def mantissa(self, x: Wide, bias: Wide | float) -> Pair:
        """e and m with ``x = 2^e m``, m in [sqrt(1/2), sqrt(2)], for normal positive x. ``bias`` is
        taken from e.
        """
        root = self.pattern(math.sqrt(0.5))
        b = self.bits(x) + (self.pattern(1.0) - root)
        m = self.floated((b & ((1 << self.digits) - 1)) + root)
        e = self.floated((b >> self.digits) | self.pattern(2.0**self.digits))
        return e - (bias + (2.0**self.digits + self.bias)), m

    def normal(self, x: Wide) -> tuple[Wide, Wide, Wide]:
        """x, but subnormal numbers times a power of two; the exponent to take away for it; and
        whether a lane is odd.
        """
        odd = self.is_odd(x)
        k = float(self.digits + 1)

        def rare() -> list[Wide]:
            tiny = x < 2.0 ** (1 - self.bias)
            return [self.where(tiny, x * 2.0**k, x), self.where(tiny, k, 0.0)]

        y, bias = self.rarely(odd, [x, self.const(0.0)], rare)
        return y, bias, odd

    def log_parts(self, m: Wide, more: Wide | None = None) -> Pair:
        """``log m`` as the sum of two, for m of ``mantissa``; ``more`` is added."""
        f = m - 1.0
        high = self.fma(f * -0.5, f, f)
        low = self.fma(f * -0.5, f, f - high)
        if self.pick(True, False):
            low = self.fma(f * f * f, self.polynomial("log", f), low)
        else:
            s = f / (f + 2.0)
            z = s * s
            low = self.fma(s, self.fma(z, self.polynomial("log_ratio", z), f * f * 0.5), low)
        return high, low if more is None else low + more

    def log_edges(self, odd: Wide, x: Wide, y: Wide) -> Wide:
        """The logarithm's values at 0, infinity, negative numbers and NaN."""

        def rare() -> list[Wide]:
            high = self.where(x < INF, y, x)
            low = self.where(x == 0.0, self.const(-INF), self.const(math.nan))
            return [self.where(x > 0.0, high, low)]

        return self.rarely(odd, [y], rare)[0]

    def natural(self, e: Wide, parts: Pair) -> Wide:
        """``e log 2`` and the logarithm of the mantissa."""
        high, low = self.parts(LN2)
        return self.fma(e, high, parts[0] + self.fma(e, low, parts[1]))

    def log(self, x: Wide) -> Wide:
        """Natural logarithm."""
        y, bias, odd = self.normal(x)
        e, m = self.mantissa(y, bias)
        return self.log_edges(odd, x, self.natural(e, self.log_parts(m)))

    def in_base(self, x: Wide, log_e: str, log_2: str) -> Wide:
        """The logarithm to the base whose logarithms of e and 2 are given."""
        y, bias, odd = self.normal(x)
        e, m = self.mantissa(y, bias)
        high, low = self.log_parts(m)
        factor, rest = self.parts(log_e)
        p, lost = self.times(high, self.const(factor))
        lost = self.fma(low, factor, self.fma(high, rest, lost))
        two, two_low = self.parts(log_2)
        whole, more = self.times(e, self.const(two))
        total, error = self.sum2(whole, p)
        return self.log_edges(odd, x, total + (error + self.fma(e, two_low, more + lost)))

    def log2(self, x: Wide) -> Wide:
        """Logarithm to base 2."""
        return self.in_base(x, LOG2E, "1")

    def log10(self, x: Wide) -> Wide:
        """Logarithm to base 10."""
        return self.in_base(x, LOG10E, LOG10_2)

    def log_sum(self, u: Pair, bias: Wide | float = 0.0) -> Wide:
        """The logarithm of a normal positive number, given as a pair, times ``2 ** -bias``."""
        e, m = self.mantissa(u[0], bias)
        return self.natural(e, self.log_parts(m, u[1] / u[0]))

    def log1p(self, x: Wide) -> Wide:
        """``log(1 + x)``: what rounding 1 + x loses is put back."""
        u, lost = self.plus(self.const(1.0), x)
        y = self.log_sum((u, lost))
        return self.where(x == 0.0, x, self.log_edges(self.is_odd(u), u, y))

    # Inverse hyperbolic functions

    def asinh(self, x: Wide) -> Wide:
        """Inverse hyperbolic sine: a polynomial below 1/2, else ``log(a + sqrt(a^2 + 1))``."""
        a, z = self.abs(x), x * x
        near = self.fma(a * z, self.polynomial("asinh", z), a)
        huge = a > 2.0 ** (self.digits + 2)
        b = self.where(huge, 1.0, a)
        square, lost = self.times(b, b)
        total, error = self.plus(square, self.const(1.0))
        s, more = self.root((total, error + lost))
        u, error = self.plus(s, b)
        y = self.log_sum((self.where(huge, a, u), self.where(huge, 0.0, error + more)),
                         self.where(huge, -1.0, 0.0))  # fmt: skip
        far = self.where(a < INF, y, a)
        return self.copysign(self.where(a < 0.5, near, far), x)

    def acosh(self, x: Wide) -> Wide:
        """Inverse hyperbolic cosine: ``log1p(t + sqrt(2 t + t^2))`` with ``t = x - 1``."""
        huge = x > 2.0 ** (self.digits + 2)
        b = self.where(huge, 2.0, x)
        t, lost_t = self.plus(b, self.const(-1.0))
        square, lost = self.times(t, t)
        total, error = self.plus(t + t, square)
        s, more = self.root((total, error + self.fma(t + 1.0, lost_t + lost_t, lost)))
        s, more = self.where(t == 0.0, 0.0, s), self.where(t == 0.0, 0.0, more)
        w, error = self.plus(s, t)
        u, lost = self.plus(self.const(1.0), w)
        u, lost = self.where(huge, x, u), self.where(huge, 0.0, lost + (error + more + lost_t))
        y = self.log_sum((u, lost), self.where(huge, -1.0, 0.0))
        y = self.where(x < INF, y, x)  # infinity, NaN
        return self.where(x < 1.0, math.nan, y)

    def atanh(self, x: Wide) -> Wide:
        """Inverse hyperbolic tangent: a polynomial below 1/2, else half the logarithm of
        ``(1 + a) / (1 - a)``.
        """
        a, z = self.abs(x), x * x
        near = self.fma(x * z, self.polynomial("atanh", z), x)
        b = self.where(a < 1.0, a, 0.75)
        top, lost = self.sum2(self.const(1.0), b)
        u = self.over((top, lost), (1.0 - b, self.const(0.0)))
        far = self.log_sum(u) * 0.5
        far = self.where(a < 1.0, far, self.where(a == 1.0, self.const(INF), self.const(math.nan)))
        return self.where(a < 0.5, near, self.copysign(far, x))

    # Powers

    def log_pair(self, e: Wide, m: Wide) -> Pair:
        """``log(2^e m)`` to twice the digits, nearly, for m of ``mantissa``."""
        num = m - 1.0
        den, den_low = self.plus(m, self.const(1.0))
        s, s_low = self.over((num, self.const(0.0)), (den, den_low))
        z, z_low = self.times(s, s)
        z_low = self.fma(s + s, s_low, z_low)
        third, third_low = self.parts(TWO_THIRDS)
        t = z * self.polynomial("log_double", z)
        u, u_low = self.sum2(self.const(third), t)
        p, p_low = self.times(z, u)
        p_low = self.fma(z, u_low + third_low, self.fma(z_low, u, p_low))
        v, v_low = self.times(s, p)
        v_low = self.fma(s, p_low, self.fma(s_low, p, v_low))
        high, low = self.sum2(s + s, v)
        two, two_low = self.parts(LN2)
        whole, whole_low = self.times(e, self.const(two))
        total, lost = self.sum2(whole, high)
        rest = lost + (self.fma(e, two_low, whole_low) + (low + (v_low + (s_low + s_low))))
        return self.sum2(total, rest)

    def pow(self, x: Wide, y: Wide) -> Wide:
        """``x ** y``, as C's pow."""
        a = self.abs(x)
        odd = self.is_odd(x) | ~(self.abs(y) < INF)
        k = float(self.digits + 1)

        def small() -> list[Wide]:
            tiny = a < 2.0 ** (1 - self.bias)
            return [self.where(tiny, a * 2.0**k, a), self.where(tiny, k, 0.0)]

        b, bias = self.rarely(odd, [x, self.const(0.0)], small)
        log, log_low = self.log_pair(*self.mantissa(b, bias))
        p, p_low = self.times(log, y)
        p_low = self.fma(log_low, y, p_low)
        low, high = self.exp_range()
        p_low = self.where((p > low) & (p < high), p_low, 0.0)
        _, bits, r, lost = self.reduced_pair(self.clamped(p, low, high), p_low)
        q = self.fma(r * r, self.polynomial("exp", r), lost) + r
        result = self.scaled(q + 1.0, bits)
        return self.rarely(odd, [result], lambda: [self.pow_edges(x, y, a, result)])[0]

    def pow_edges(self, x: Wide, y: Wide, a: Wide, result: Wide) -> Wide:
        """The result where the base is no positive normal number or the exponent is not finite."""
        half = y * 0.5
        whole = self.rint(y) == y
        uneven = whole & (self.rint(half) != half)
        outer = (a == INF) ^ (y < 0.0)
        end = self.where(outer, self.const(INF), self.const(0.0))
        result = self.where((a == 0.0) | (a == INF), end, result)
        result = self.where(uneven, self.copysign(result, x), result)
        result = self.where((x < 0.0) & ~whole & (a < INF), math.nan, result)
        result = self.where(self.isnan(x, y), math.nan, result)
        one = (x == 1.0) | (y == 0.0) | ((a == 1.0) & (self.abs(y) == INF))
        return self.where(one, 1.0, result)
