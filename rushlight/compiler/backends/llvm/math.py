"""Operations on vectors as IR: arithmetic, conversions, memory, and functions as polynomials.

Each works for any number of lanes; 0 lanes are one element. Functions in float32 are polynomials of
the classical kind (range
reduction, then a minimax or Chebyshev fit); what has none here, and float64, calls the C library
for each lane.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.text import (
    Function,
    mangled,
    scalar_type,
    splat_literal,
    vector_type,
)

BOOL, F32, F64, I32 = np.dtype(bool), np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int32)
FLOAT_OPS = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
INTRINSIC = {
    "abs": "fabs",
    "sqrt": "sqrt",
    "floor": "floor",
    "ceil": "ceil",
    "trunc": "trunc",
    "rint": "rint",
    "copysign": "copysign",
    "max": "maximum",
    "min": "minimum",
}
FLOAT_COMPARE = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}
BITS = {"and": "and", "or": "or", "xor": "xor"}
LIBRARY = {
    "asin",
    "acos",
    "atan",
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "pow",
    "atan2",
    "hypot",
}


@functools.cache
def chebyshev(
    function: Callable[[Any], Any], low: float, high: float, degree: int
) -> tuple[float, ...]:
    """Coefficients, highest first, of a near-minimax polynomial for a function on an interval."""
    poly = np.polynomial.Chebyshev.interpolate(function, degree, domain=[low, high]).convert(
        kind=np.polynomial.Polynomial
    )
    return tuple([float(c) for c in poly.coef[::-1]])


def _exp_tail(r: Any) -> Any:
    """(exp(r) - 1 - r) / r^2."""
    return sum([r**k / math.factorial(k + 2) for k in range(16)])


def _log_tail(m: Any) -> Any:
    """(log(1 + m) - m + m^2 / 2) / m^3."""
    m = np.asarray(m, np.longdouble)
    series = sum([(-1) ** k * m**k / (k + 3) for k in range(60)])
    with np.errstate(divide="ignore", invalid="ignore"):
        direct = (np.log1p(m) - m + m * m / 2) / m**3
    return np.where(np.abs(m) < 0.2, series, direct).astype(np.float64)


def _tanh_tail(x2: Any) -> Any:
    """(tanh(x) - x) / x^3 as a function of x^2."""
    x2 = np.asarray(x2, np.longdouble)
    x = np.sqrt(x2)
    series = -1 / 3 + x2 * (
        2 / 15 - x2 * (17 / 315 - x2 * (62 / 2835 - x2 * (1382 / 155925 - x2 * 21844 / 6081075)))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        direct = (np.tanh(x) - x) / (x * x2)
    return np.where(x < 0.05, series, direct).astype(np.float64)


def _erf_low(x2: Any) -> Any:
    """erf(x) / x - 1 as a function of x^2."""
    from scipy.special import erf

    x = np.sqrt(np.maximum(x2, 1e-30))
    return erf(x) / x - 1


def _erf_high(x: Any) -> Any:
    """log(erfc(x)) + x^2, smooth for x >= 1."""
    from scipy.special import erfcx

    return np.log(erfcx(x))


class Vectors:
    """Writes instructions for vectors of ``lanes`` elements into a list of lines."""

    def __init__(self, f: Function, lanes: int, into: Any) -> None:
        self.f, self.lanes, self.into = f, lanes, into

    def type(self, d: np.dtype[Any]) -> str:
        """The type of a value."""
        return vector_type(scalar_type(d), self.lanes)

    def c(self, value: Any, d: np.dtype[Any] = F32) -> str:
        """A constant."""
        return splat_literal(value, scalar_type(d), self.lanes)

    def op(self, text: str) -> str:
        """One instruction."""
        return self.f(text, self.into)

    # Moves

    def splat(self, x: str, d: np.dtype[Any]) -> str:
        """One element in all lanes."""
        if not self.lanes:
            return x
        t, e = self.type(d), scalar_type(d)
        one = self.op(f"insertelement {t} poison, {e} {x}, i64 0")
        return self.op(f"shufflevector {t} {one}, {t} poison, <{self.lanes} x i32> zeroinitializer")

    def mask(self, on: int) -> str:
        """The first ``on`` lanes."""
        return (
            "<"
            + ", ".join([f"i1 {'true' if i < on else 'false'}" for i in range(self.lanes)])
            + ">"
        )

    def load(self, p: str, d: np.dtype[Any], step: int, on: int) -> str:
        """Elements ``step`` apart; only the first ``on`` lanes, 0 for all."""
        e = "i8" if d == BOOL else scalar_type(d)
        t, size = vector_type(e, self.lanes), d.itemsize
        if not self.lanes:
            x = self.op(f"load {e}, ptr {p}, align {size}")
        elif step == 1 and not on:
            x = self.op(f"load {t}, ptr {p}, align {size}")
        elif step == 1:
            m = mangled(e, self.lanes)
            x = self.intrinsic(
                "masked.load",
                m + ".p0",
                t,
                [
                    ("ptr", p),
                    ("i32", str(size)),
                    (f"<{self.lanes} x i1>", self.mask(on)),
                    (t, "zeroinitializer"),
                ],
            )
        elif step == 2 and not on and self.lanes >= 4:
            n = (
                2 * self.lanes
            )  # every other element of twice as many, without reading past the last
            wide = vector_type(e, n)
            mask = "<" + ", ".join(["i1 true"] * (n - 1) + ["i1 false"]) + ">"
            both = self.intrinsic(
                "masked.load",
                mangled(e, n) + ".p0",
                wide,
                [("ptr", p), ("i32", str(size)), (f"<{n} x i1>", mask), (wide, "zeroinitializer")],
            )
            even = "<" + ", ".join([f"i32 {2 * i}" for i in range(self.lanes)]) + ">"
            x = self.op(f"shufflevector {wide} {both}, {wide} poison, <{self.lanes} x i32> {even}")
        else:
            x = "zeroinitializer"
            for lane in range(on or self.lanes):
                q = (
                    self.op(f"getelementptr inbounds i8, ptr {p}, i64 {lane * step * size}")
                    if lane
                    else p
                )
                one = self.op(f"load {e}, ptr {q}, align {size}")
                x = self.op(f"insertelement {t} {x}, {e} {one}, i64 {lane}")
        return self.op(f"icmp ne {t} {x}, {splat_literal(0, e, self.lanes)}") if d == BOOL else x

    def store(self, p: str, x: str, d: np.dtype[Any], step: int, on: int) -> None:
        """The reverse of ``load``."""
        e = "i8" if d == BOOL else scalar_type(d)
        t, size = vector_type(e, self.lanes), d.itemsize
        if d == BOOL:
            x = self.op(f"zext {self.type(d)} {x} to {t}")
        if not self.lanes or (step == 1 and not on):
            self.into.append(f"  store {t} {x}, ptr {p}, align {size}")
        elif step == 1:
            name = f"@llvm.masked.store.{mangled(e, self.lanes)}.p0"
            self.f.module.declarations.add(
                f"declare void {name}({t}, ptr, i32, <{self.lanes} x i1>)"
            )
            self.into.append(
                f"  call void {name}({t} {x}, ptr {p}, i32 {size}, "
                f"<{self.lanes} x i1> {self.mask(on)})"
            )
        else:
            for lane in range(on or self.lanes):
                q = (
                    self.op(f"getelementptr inbounds i8, ptr {p}, i64 {lane * step * size}")
                    if lane
                    else p
                )
                one = self.op(f"extractelement {t} {x}, i64 {lane}")
                self.into.append(f"  store {e} {one}, ptr {q}, align {size}")

    def intrinsic(
        self, name: str, suffix: str, result: str, arguments: list[tuple[str, str]], flags: str = ""
    ) -> str:
        """Call an intrinsic."""
        return self.f.intrinsic(name, suffix, result, arguments, self.into, flags)

    def horizontal(self, kind: str, d: np.dtype[Any], x: str) -> str:
        """All lanes combined."""
        if not self.lanes:
            return x
        t, e = self.type(d), scalar_type(d)
        suffix = mangled(e, self.lanes)
        if d.kind == "f":
            if kind in ("sum", "prod"):
                name, start = ("fadd", "0.0") if kind == "sum" else ("fmul", "1.0")
                return self.intrinsic(
                    f"vector.reduce.{name}", suffix, e, [(e, start), (t, x)], "reassoc "
                )
            return self.intrinsic(f"vector.reduce.f{kind}imum", suffix, e, [(t, x)])
        signed = "s" if d.kind == "i" else "u"
        name = {
            "sum": "add",
            "prod": "mul",
            "max": signed + "max",
            "min": signed + "min",
            "any": "or",
            "all": "and",
        }[kind]
        return self.intrinsic(f"vector.reduce.{name}", suffix, e, [(t, x)])

    # Operations

    def apply(self, op: str, d: np.dtype[Any], x: list[str], kinds: list[np.dtype[Any]]) -> str:
        """The result, of dtype d, of an operation on operands of the given dtypes."""
        a = kinds[0]
        if op == "where":
            return self.op(
                f"select {self.type(BOOL)} {x[0]}, {self.type(d)} {x[1]}, {self.type(d)} {x[2]}"
            )
        if op == "cast":
            return self.cast(x[0], a, d)
        if op in FLOAT_COMPARE:
            return self.compare(op, x, a)
        if d.kind == "f":
            return self.real(op, d, x)
        return self.whole(op, d, x)

    def compare(self, op: str, x: list[str], d: np.dtype[Any]) -> str:
        """A comparison."""
        if d.kind == "f":
            return self.op(f"fcmp {FLOAT_COMPARE[op]} {self.type(d)} {x[0]}, {x[1]}")
        signed = "" if op in ("eq", "ne") else "s" if d.kind == "i" else "u"
        return self.op(f"icmp {signed}{op} {self.type(d)} {x[0]}, {x[1]}")

    def real(self, op: str, d: np.dtype[Any], x: list[str]) -> str:
        """Floating-point arithmetic and functions."""
        t = self.type(d)
        if op in FLOAT_OPS:
            return self.op(f"{FLOAT_OPS[op]} contract {t} {x[0]}, {x[1]}")
        if op == "neg":
            return self.op(f"fneg {t} {x[0]}")
        if op in INTRINSIC:
            return self.intrinsic(
                INTRINSIC[op], mangled(scalar_type(d), self.lanes), t, [(t, v) for v in x]
            )
        if d == F32 and hasattr(self, "f32_" + op):
            result: str = getattr(self, "f32_" + op)(*x)
            return result
        return self.library(op, d, x)

    def whole(self, op: str, d: np.dtype[Any], x: list[str]) -> str:
        """Integer and boolean arithmetic."""
        t = self.type(d)
        if op == "neg":
            return self.op(f"sub {t} {self.c(0, d)}, {x[0]}")
        if op == "not":
            return self.op(f"xor {t} {x[0]}, {self.c(1 if d == BOOL else -1, d)}")
        if op in BITS:
            return self.op(f"{op} {t} {x[0]}, {x[1]}")
        if op in ("max", "min"):
            if d == BOOL:
                return self.op(f"{'or' if op == 'max' else 'and'} {t} {x[0]}, {x[1]}")
            return self.intrinsic(
                ("s" if d.kind == "i" else "u") + op,
                mangled(scalar_type(d), self.lanes),
                t,
                [(t, v) for v in x],
            )
        return self.op(f"{op} {t} {x[0]}, {x[1]}")

    def cast(self, x: str, a: np.dtype[Any], d: np.dtype[Any]) -> str:
        """Conversion between dtypes."""
        s, t = self.type(a), self.type(d)
        if d == BOOL:
            return self.compare("ne", [x, self.c(0, a)], a)
        if a.kind == "f" and d.kind == "f":
            return self.op(f"{'fpext' if d.itemsize > a.itemsize else 'fptrunc'} {s} {x} to {t}")
        if d.kind == "f":
            return self.op(f"{'sitofp' if a.kind == 'i' else 'uitofp'} {s} {x} to {t}")
        if a.kind == "f":
            wide = vector_type("i64", self.lanes)
            x = self.op(f"fptosi {s} {x} to {wide}")
            return x if t == wide else self.op(f"trunc {wide} {x} to {t}")
        if scalar_type(a) == scalar_type(d):
            return x
        if a.itemsize >= d.itemsize and a != BOOL:
            return self.op(f"trunc {s} {x} to {t}")
        return self.op(f"{'sext' if a.kind == 'i' else 'zext'} {s} {x} to {t}")

    def library(self, name: str, d: np.dtype[Any], x: list[str]) -> str:
        """The C library's function of each lane."""
        e = scalar_type(d)
        symbol = name + ("f" if d == F32 else "")
        self.f.module.declarations.add(f"declare {e} @{symbol}({', '.join([e] * len(x))}) #0")
        if not self.lanes:
            return self.op(f"call {e} @{symbol}({', '.join([f'{e} {v}' for v in x])})")
        whole = f"each_{symbol}_{self.lanes}"
        if whole not in self.f.module.functions:
            self.each(whole, symbol, e, len(x))
        t = self.type(d)
        return self.op(f"call {t} @{whole}({', '.join([f'{t} {v}' for v in x])})")

    def each(self, name: str, symbol: str, e: str, count: int) -> None:
        """A function that calls ``symbol`` for each lane."""
        t = vector_type(e, self.lanes)
        g = Function(self.f.module, name, ", ".join([f"{t} %a{k}" for k in range(count)]), t)
        out = "poison"
        for lane in range(self.lanes):
            parts = [g(f"extractelement {t} %a{k}, i64 {lane}") for k in range(count)]
            one = g(f"call {e} @{symbol}({', '.join([f'{e} {p}' for p in parts])})")
            out = g(f"insertelement {t} {out}, {e} {one}, i64 {lane}")
        g.end(f"ret {t} {out}")

    # Functions of float32

    def fma(self, a: str, b: str, c: str) -> str:
        """``a b + c``, rounded once."""
        t = self.type(F32)
        return self.intrinsic("fma", mangled("float", self.lanes), t, [(t, a), (t, b), (t, c)])

    def r(self, op: str, *x: str) -> str:
        """Arithmetic in float32."""
        return self.real(op, F32, list(x))

    def polynomial(self, coefficients: tuple[float, ...], x: str) -> str:
        """Horner's rule."""
        p = self.c(coefficients[0])
        for c in coefficients[1:]:
            p = self.fma(p, x, self.c(c))
        return p

    def bits(self, x: str) -> str:
        """A float's bits as an integer."""
        return self.op(f"bitcast {self.type(F32)} {x} to {self.type(I32)}")

    def floated(self, x: str) -> str:
        """Bits as a float."""
        return self.op(f"bitcast {self.type(I32)} {x} to {self.type(F32)}")

    def i(self, op: str, a: str, b: str) -> str:
        """Arithmetic in int32."""
        return self.op(f"{op} {self.type(I32)} {a}, {b}")

    def select(self, condition: str, a: str, b: str) -> str:
        """a where the condition holds, else b."""
        return self.apply("where", F32, [condition, a, b], [BOOL, F32, F32])

    def power_of_two(self, k: str) -> str:
        """``2 ** k`` for an int32 k in the range of normal numbers."""
        return self.floated(self.i("shl", self.i("add", k, self.c(127, I32)), self.c(23, I32)))

    def reduced(self, x: str) -> tuple[str, str]:
        """n and r with ``x = n log 2 + r``, ``|r| <= log(2) / 2``."""
        n = self.r("rint", self.r("mul", x, self.c(1 / math.log(2))))
        r = self.fma(n, self.c(-0.693145751953125), x)
        return n, self.fma(n, self.c(-1.428606765330187e-06), r)

    def to_int(self, n: str) -> str:
        """A float that is whole as int32."""
        return self.op(f"fptosi {self.type(F32)} {n} to {self.type(I32)}")

    def f32_exp(self, x: str) -> str:
        """Exponential, within 1 ulp; subnormal results included."""
        y = self.select(self.compare("gt", [x, self.c(89.0)], F32), self.c(89.0), x)  # NaN stays
        y = self.select(self.compare("lt", [y, self.c(-104.0)], F32), self.c(-104.0), y)
        n, r = self.reduced(y)
        p = self.polynomial(chebyshev(_exp_tail, -0.3469, 0.3469, 5), r)
        p = self.r("add", self.fma(self.r("mul", r, r), p, r), self.c(1.0))
        return self.scaled(p, n)

    def scaled(self, p: str, n: str) -> str:
        """``p 2^n`` in two steps, so that neither factor leaves the range. NaN in n is NaN in p."""
        safe = self.select(self.compare("eq", [n, n], F32), n, self.c(0.0))
        k = self.to_int(safe)
        half = self.i("ashr", k, self.c(1, I32))
        p = self.r("mul", p, self.power_of_two(half))
        return self.r("mul", p, self.power_of_two(self.i("sub", k, half)))

    def f32_expm1(self, x: str) -> str:
        """``exp(x) - 1``, accurate near 0."""
        y = self.intrinsic(
            "minnum",
            mangled("float", self.lanes),
            self.type(F32),
            [(self.type(F32), x), (self.type(F32), self.c(89.0))],
        )
        y = self.intrinsic(
            "maxnum",
            mangled("float", self.lanes),
            self.type(F32),
            [(self.type(F32), y), (self.type(F32), self.c(-30.0))],
        )
        n, r = self.reduced(y)
        p = self.polynomial(chebyshev(_exp_tail, -0.3469, 0.3469, 5), r)
        q = self.fma(p, self.r("mul", r, r), r)  # exp(r) - 1
        half = self.power_of_two(self.i("sub", self.to_int(n), self.c(1, I32)))  # n may be 128
        e = self.fma(half, q, self.r("sub", half, self.c(0.5)))
        e = self.r("add", e, e)
        zero = self.compare("eq", [x, self.c(0.0)], F32)
        return self.keep_nan(x, self.select(zero, x, e))

    def keep_nan(self, x: str, y: str) -> str:
        """y, or x where x is NaN."""
        return self.select(self.op(f"fcmp uno {self.type(F32)} {x}, {x}"), x, y)

    def mantissa(self, x: str) -> tuple[str, str]:
        """e and m with ``x = 2^e (1 + m)``, m in [sqrt(1/2) - 1, sqrt(2) - 1], for positive x,
        subnormals included.
        """
        tiny = self.compare("lt", [x, self.c(1.1754944e-38)], F32)
        x = self.select(tiny, self.r("mul", x, self.c(8388608.0)), x)
        b = self.i("sub", self.bits(x), self.c(0x3F3504F3, I32))
        e = self.i("ashr", b, self.c(23, I32))
        m = self.floated(
            self.i("add", self.i("and", b, self.c(0x7FFFFF, I32)), self.c(0x3F3504F3, I32))
        )
        ef = self.op(f"sitofp {self.type(I32)} {e} to {self.type(F32)}")
        ef = self.select(tiny, self.r("sub", ef, self.c(23.0)), ef)
        return ef, self.r("sub", m, self.c(1.0))

    def log_of(self, e: str, m: str, low: str | None = None) -> str:
        """``e log 2 + log(1 + m)``, plus ``low``."""
        p = self.polynomial(chebyshev(_log_tail, math.sqrt(0.5) - 1, math.sqrt(2) - 1, 8), m)
        z = self.r("mul", m, m)
        y = self.fma(self.r("mul", p, m), z, self.r("mul", e, self.c(-2.12194440e-4)))
        if low is not None:
            y = self.r("add", y, low)
        y = self.fma(z, self.c(-0.5), y)
        return self.fma(e, self.c(0.693359375), self.r("add", m, y))

    def log_edges(self, x: str, y: str) -> str:
        """The logarithm's values at 0, infinity, negative numbers and NaN."""
        y = self.select(self.compare("eq", [x, self.c(math.inf)], F32), x, y)
        y = self.select(self.compare("eq", [x, self.c(0.0)], F32), self.c(-math.inf), y)
        return self.select(
            self.op(f"fcmp ult {self.type(F32)} {x}, {self.c(0.0)}"), self.c(math.nan), y
        )

    def f32_log(self, x: str) -> str:
        """Natural logarithm, within 1 ulp."""
        return self.log_edges(x, self.log_of(*self.mantissa(x)))

    def f32_log1p(self, x: str) -> str:
        """``log(1 + x)``: the rounding error of 1 + x is put back."""
        u = self.r("add", x, self.c(1.0))
        one = self.r("sub", u, self.c(1.0))
        lost = self.r("sub", x, one)  # exact for |x| < 1; beyond it matters little
        big = self.compare("ge", [x, self.c(1.0)], F32)
        lost = self.select(big, self.r("sub", self.c(1.0), self.r("sub", u, x)), lost)
        e, m = self.mantissa(u)
        y = self.log_of(e, m, self.r("div", lost, u))
        y = self.select(self.compare("lt", [self.r("abs", x), self.c(1e-7)], F32), x, y)
        y = self.select(self.compare("eq", [x, self.c(math.inf)], F32), x, y)
        y = self.select(self.compare("eq", [x, self.c(-1.0)], F32), self.c(-math.inf), y)
        return self.select(
            self.op(f"fcmp ult {self.type(F32)} {x}, {self.c(-1.0)}"), self.c(math.nan), y
        )

    def f32_tanh(self, x: str) -> str:
        """Hyperbolic tangent: a polynomial below 0.6, else ``1 - 2 / (exp(2 |x|) + 1)``."""
        a = self.r("abs", x)
        z = self.r("mul", x, x)
        p = self.polynomial(chebyshev(_tanh_tail, 0.0, 0.3906, 6), z)
        low = self.fma(self.r("mul", p, z), x, x)
        capped = self.select(self.compare("lt", [a, self.c(10.0)], F32), a, self.c(10.0))
        n, r = self.reduced(self.r("add", capped, capped))
        e = self.polynomial(chebyshev(_exp_tail, -0.3469, 0.3469, 5), r)
        e = self.r("add", self.fma(self.r("mul", r, r), e, r), self.c(1.0))
        e = self.r("mul", e, self.power_of_two(self.to_int(n)))
        high = self.r("sub", self.c(1.0), self.r("div", self.c(2.0), self.r("add", e, self.c(1.0))))
        high = self.r("copysign", high, x)
        return self.keep_nan(x, self.select(self.compare("lt", [a, self.c(0.625)], F32), low, high))

    def f32_erf(self, x: str) -> str:
        """Error function: a polynomial below 1, else ``1 - exp(-x^2) erfcx(x)``."""
        a = self.r("abs", x)
        z = self.r("mul", x, x)
        low = self.fma(x, self.polynomial(chebyshev(_erf_low, 0.0, 1.0, 9), z), x)
        b = self.select(self.compare("lt", [a, self.c(4.0)], F32), a, self.c(4.0))
        b = self.select(self.compare("lt", [b, self.c(1.0)], F32), self.c(1.0), b)
        high = self.r("copysign", self.r("sub", self.c(1.0), self.erf_tail(b)), x)
        return self.keep_nan(x, self.select(self.compare("lt", [a, self.c(1.0)], F32), low, high))

    def erf_tail(self, b: str) -> str:
        """``erfc(b)`` for b in [1, 4]: its logarithm is smooth."""
        shifted = self.r("sub", b, self.c(2.5))
        p = self.polynomial(chebyshev(_erf_shifted, -1.5, 1.5, 9), shifted)
        return self.f32_exp(self.fma(self.r("neg", b), b, p))

    def f32_exp2(self, x: str) -> str:
        """Power of two."""
        y = self.select(self.compare("gt", [x, self.c(129.0)], F32), self.c(129.0), x)
        y = self.select(self.compare("lt", [y, self.c(-151.0)], F32), self.c(-151.0), y)
        n = self.r("rint", y)
        r = self.r("mul", self.r("sub", y, n), self.c(math.log(2)))
        p = self.polynomial(chebyshev(_exp_tail, -0.3469, 0.3469, 5), r)
        return self.scaled(self.r("add", self.fma(self.r("mul", r, r), p, r), self.c(1.0)), n)


def _erf_shifted(t: Any) -> Any:
    return _erf_high(np.asarray(t) + 2.5)
