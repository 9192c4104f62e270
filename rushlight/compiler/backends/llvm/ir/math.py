"""Operations on vectors as IR: arithmetic, conversions and memory.

Each works for any number of lanes; 0 lanes are one element. Functions such as exp are written by
``exponentials``, ``angles`` and ``gauss``: short ones where they are used, others once per module
as IR functions of a vector, which are called.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.compiler.backends.llvm.ir import halves
from rushlight.compiler.backends.llvm.ir.angles import Angles
from rushlight.compiler.backends.llvm.ir.exponentials import Exponentials
from rushlight.compiler.backends.llvm.ir.gauss import Gauss
from rushlight.compiler.backends.llvm.ir.lanes import Formulas, Wide
from rushlight.compiler.backends.llvm.ir.remainders import Remainders, write_power
from rushlight.compiler.backends.llvm.ir.text import (
    Function,
    mangled,
    scalar_type,
    splat_literal,
    vector_type,
)
from rushlight.compiler.loops import WIDE

BOOL, F32, I32 = np.dtype(bool), np.dtype(np.float32), np.dtype(np.int32)
UINT64 = np.dtype(np.uint64)
FLOAT_OPS = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
INTRINSIC = {
    "abs": "fabs",
    "sqrt": "sqrt",
    "floor": "floor",
    "ceil": "ceil",
    "trunc": "trunc",
    "rint": "rint",
    "rounded": "arithmetic.fence",  # no multiplication before is fused with an addition behind
    "copysign": "copysign",
    "max": "maximum",
    "min": "minimum",
}
FLOAT_COMPARE = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}
BITS = {"and": "and", "or": "or", "xor": "xor"}
INTEGER_OPS = {"quotient": ("udiv", "sdiv"), "shl": ("shl", "shl"), "shr": ("lshr", "ashr")}
# what Note [Huge angles] asks the C library for, and random numbers
LIBRARY = ("fmod", "sin", "cos", "tan", "log", "log1p")
FAMILIES: tuple[tuple[type[Formulas], tuple[str, ...]], ...] = (
    (
        Exponentials,
        (
            *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "pow"),
            *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
        ),
    ),
    (Angles, ("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "hypot")),
    (Gauss, ("erf", "erfc")),
    (Remainders, ("fmod", "nextafter")),
)
# without branches; calls, around which nothing stays in registers, would take half as long again
INLINE = frozenset(("exp", "exp2", "expm1", "tanh", "erf"))
FUNCTIONS = {name: family for family, names in FAMILIES for name in names}


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
            n = 2 * self.lanes  # of which every other one, without reading past the last
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

    def gather(self, p: str, d: np.dtype[Any], step: int, further: str, on: int) -> str:
        """Elements ``step`` apart, each so many elements further on as ``further`` says."""
        e, n, size = "i8" if d == BOOL else scalar_type(d), self.lanes, d.itemsize
        t, places, addresses = vector_type(e, n), f"<{n} x i64>", f"<{n} x ptr>"
        ramp = ", ".join([f"i64 {i * step}" for i in range(n)])
        far = self.op(f"add nsw {places} {further}, <{ramp}>")
        far = self.op(f"mul nsw {places} {far}, {splat_literal(size, 'i64', n)}")
        q = self.op(f"getelementptr inbounds i8, ptr {p}, {places} {far}")
        bits = f"<{n} x i1>"
        x = self.intrinsic(
            "masked.gather",
            f"{mangled(e, n)}.v{n}p0",
            t,
            [
                (addresses, q),
                ("i32", str(size)),
                (bits, self.mask(on or n)),
                (t, "zeroinitializer"),
            ],
        )
        return self.op(f"icmp ne {t} {x}, {splat_literal(0, e, n)}") if d == BOOL else x

    def store(self, p: str, x: str, d: np.dtype[Any], step: int, on: int) -> None:
        """The reverse of ``load``."""
        e = "i8" if d == BOOL else scalar_type(d)
        t, size = vector_type(e, self.lanes), d.itemsize
        if d == BOOL:
            x = self.op(f"zext {self.type(d)} {x} to {t}")
        if not self.lanes or (step == 1 and not on):
            self.into.append(f"  store {t} {x}, ptr {p}, align {size}")
        elif step == 1 and on > 1:  # LLVM 22 stores too much of a single lane
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
            how = "" if self.f.module.exact else "contract "
            return self.op(f"{FLOAT_OPS[op]} {how}{t} {x[0]}, {x[1]}")
        if op == "neg":
            return self.op(f"fneg {t} {x[0]}")
        if op in INTRINSIC:
            return self.intrinsic(
                INTRINSIC[op], mangled(scalar_type(d), self.lanes), t, [(t, v) for v in x]
            )
        return self.function(op, d, x)

    def whole(self, op: str, d: np.dtype[Any], x: list[str]) -> str:
        """Integer and boolean arithmetic."""
        t = self.type(d)
        if op == "neg":
            return self.op(f"sub {t} {self.c(0, d)}, {x[0]}")
        if op == "not":
            return self.op(f"xor {t} {x[0]}, {self.c(1 if d == BOOL else -1, d)}")
        if op in BITS:
            return self.op(f"{op} {t} {x[0]}, {x[1]}")
        if op in INTEGER_OPS:
            return self.op(f"{INTEGER_OPS[op][d.kind == 'i']} {t} {x[0]}, {x[1]}")
        if op == "pow":
            return self.integer_power(d, x)
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
        if a in dtypes.HALVES or d in dtypes.HALVES:
            return halves.cast(self, x, a, d)
        if d == BOOL:
            return self.compare("ne", [x, self.c(0, a)], a)
        if a.kind == "f" and d.kind == "f":
            return self.op(f"{'fpext' if d.itemsize > a.itemsize else 'fptrunc'} {s} {x} to {t}")
        if d.kind == "f":
            return self.op(f"{'sitofp' if a.kind == 'i' else 'uitofp'} {s} {x} to {t}")
        if a.kind == "f" and d == UINT64:
            return self.unsigned(x, a)
        if a.kind == "f":
            wide = vector_type("i64" if d in WIDE else "i32", self.lanes)
            x = self.op(f"fptosi {s} {x} to {wide}")
            return x if t == wide else self.op(f"trunc {wide} {x} to {t}")
        if scalar_type(a) == scalar_type(d):
            return x
        if a.itemsize >= d.itemsize and a != BOOL:
            return self.op(f"trunc {s} {x} to {t}")
        return self.op(f"{'sext' if a.kind == 'i' else 'zext'} {s} {x} to {t}")

    def unsigned(self, x: str, a: np.dtype[Any]) -> str:
        """Floats as 64 bits without sign: those from 2^63 on less that, which is one bit."""
        t, bits = self.type(a), vector_type("i64", self.lanes)
        high = self.compare("ge", [x, self.c(2.0**63, a)], a)
        less = self.op(f"fsub {t} {x}, {self.c(2.0**63, a)}")
        x = self.op(f"select {self.type(BOOL)} {high}, {t} {less}, {t} {x}")
        top = self.op(f"zext {self.type(BOOL)} {high} to {bits}")
        top = self.op(f"shl {bits} {top}, {splat_literal(63, 'i64', self.lanes)}")
        return self.op(f"xor {bits} {self.op(f'fptosi {t} {x} to {bits}')}, {top}")

    def function(self, op: str, d: np.dtype[Any], x: list[str]) -> str:
        """A function, written here, or in the module where it is first needed."""
        t = self.type(d)
        if op in INLINE:
            return self.written(op, d, x)
        name = f"{op}_{mangled(scalar_type(d), self.lanes)}"
        if name not in self.f.module.functions:
            g = Function(self.f.module, name, ", ".join([f"{t} %a{k}" for k in range(len(x))]), t)
            v = Vectors(g, self.lanes, g.here)
            g.end(f"ret {t} {v.written(op, d, [f'%a{k}' for k in range(len(x))])}")
        return self.op(f"call {t} @{name}({', '.join([f'{t} {a}' for a in x])})")

    def written(self, op: str, d: np.dtype[Any], x: list[str]) -> str:
        """A function's instructions."""
        operands = [Wide(self, d, a) for a in x]
        result: Wide = getattr(FUNCTIONS[op](self, d), op)(*operands)
        return result.name

    def integer_power(self, d: np.dtype[Any], x: list[str]) -> str:
        """``x ** y`` of integers, y >= 0, by squaring."""
        t = self.type(d)
        name = f"pow_{mangled(scalar_type(d), self.lanes)}"
        if name not in self.f.module.functions:
            write_power(self.f.module, name, scalar_type(d), self.lanes)
        return self.op(f"call {t} @{name}({t} {x[0]}, {t} {x[1]})")

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

    def ldexp(self, x: Wide, k: Wide) -> Wide:
        """``x 2^k``: one instruction of AVX-512."""
        t, n = self.type(x.d), self.type(I32)
        e = k.name if k.d == I32 else self.op(f"trunc {self.type(k.d)} {k.name} to {n}")
        suffix = f"{mangled(scalar_type(x.d), self.lanes)}.{mangled('i32', self.lanes)}"
        return Wide(self, x.d, self.intrinsic("ldexp", suffix, t, [(t, x.name), (n, e)]))

    def each(self, name: str, symbol: str, e: str, count: int) -> None:
        """A function that calls ``symbol`` for each lane."""
        t = vector_type(e, self.lanes)
        g = Function(self.f.module, name, ", ".join([f"{t} %a{k}" for k in range(count)]), t)
        places = [g(f"alloca {t}") for _ in range(count)]  # a loop: 16 calls take long to compile
        for k, p in enumerate(places):
            g.do(f"store {t} %a{k}, ptr {p}")

        def lane(i: str, carried: list[str]) -> list[str]:
            at = [g(f"getelementptr inbounds {e}, ptr {p}, i64 {i}") for p in places]
            parts = [g(f"load {e}, ptr {p}") for p in at]
            one = g(f"call {e} @{symbol}({', '.join([f'{e} {x}' for x in parts])})")
            g.do(f"store {e} {one}, ptr {at[0]}")
            return []

        g.loop(self.lanes, 1, [], lane)
        out = g(f"load {t}, ptr {places[0]}")
        g.end(f"ret {t} {out}")
