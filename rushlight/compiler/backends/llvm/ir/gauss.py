"""The error function of vectors."""

from __future__ import annotations

from rushlight.compiler.backends.llvm.ir.exponentials import Exponentials
from rushlight.compiler.backends.llvm.ir.lanes import Pair, Wide


class Gauss(Exponentials):
    """Areas under the bell curve."""

    def bell(self, a: Wide) -> tuple[Wide, Pair]:
        """``exp(-a^2)``, as bits of n and a pair to be multiplied by ``2^n``."""
        square, lost = self.times(-a, a)
        _, bits, r, rest = self.reduced_pair(square, lost)
        q = self.fma(r * r, self.polynomial("exp", r), rest) + r
        return bits, self.sum2(self.const(1.0), q)

    def tail(self, a: Wide) -> Wide:
        """``erfc(a)`` for 0 <= a, by ``(1 + 2 a) exp(a^2) erfc(a)``, which is smooth."""
        a = self.at_most(a, self.pick(10.1, 28.0))
        t, rest = self.over(self.plus(a, self.const(-3.75)), self.plus(a, self.const(3.75)))
        p = self.sum2(self.const(1.0), self.polynomial("erfcx", t + rest))
        q, rest = self.over(p, self.plus(a + a, self.const(1.0)))
        bits, (e, e_low) = self.bell(a)
        return self.scaled(self.fma(e, q, self.fma(e, rest, e_low * q)), bits)

    def erfc(self, x: Wide) -> Wide:
        """``1 - erf(x)``, accurate for large x."""
        y = self.tail(self.abs(x))
        return self.where(x < 0.0, 2.0 - y, y)

    def erf(self, x: Wide) -> Wide:
        """Error function: a polynomial below 1, then ``1 - erfc(a)``."""
        a, z = self.abs(x), x * x
        near = self.fma(x, self.polynomial("erf", z), x)
        far = 1.0 - self.outer(self.clamped(a, 1.0, self.pick(4.0, 6.0)))
        return self.where(a < 1.0, near, self.copysign(far, x))

    def outer(self, b: Wide) -> Wide:
        """``erfc(b)`` as exactly as is needed beside 1, for b in [1, 6]."""
        if self.pick(True, False):  # for b <= 4; its logarithm is smooth
            y, factor = self.fma(-b, b, self.polynomial("erf_outer", b - 2.5)), None
        else:
            p = self.polynomial("erfcx", (b - 3.75) / (b + 3.75)) + 1.0
            y, factor = -b * b, p / self.fma(b, 2.0, 1.0)
        _, bits, r = self.reduced(y)
        p = self.fma(r * r, self.polynomial("exp", r), r) + 1.0
        p = p * self.power(bits)
        return p if factor is None else p * factor
