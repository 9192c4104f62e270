"""Random numbers that take a formula in float64, to the bit as eager code computes them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.direct_code import FAILED
from rushlight.compiler.backends.llvm.draws.twister import FEW, chunks, drawing
from rushlight.compiler.backends.llvm.ir.code import Code, Number, kernel
from rushlight.compiler.backends.llvm.ir.text import literal, scalar_type
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.graph import Node


class Exact:
    """Code of single float64 values, to the bit as Python and the C library compute them."""

    def __init__(self, f: Code) -> None:
        self.f = f

    def op(self, name: str, x: str, y: str | float) -> str:
        """``fadd``, ``fsub`` or ``fmul``."""
        y = y if isinstance(y, str) else literal(y, "double")
        return self.f(f"{name} double {x}, {y}")

    def call(self, name: str, x: str) -> str:
        """The C library's function. LLVM knows nothing of it: it would join sine and cosine."""
        self.f.module.declarations.add(f"declare double @{name}(double)")
        return self.f(f"call double @{name}(double {x})")

    def root(self, x: str) -> str:
        """The square root."""
        return self.f.intrinsic("sqrt", "f64", "double", [("double", x)])

    def fraction(self, p: str) -> str:
        """The uniform number of two words."""
        x = self.f(f"load i64, ptr {p}, align 4")
        x = self.f.intrinsic("fshl", "i64", "i64", [("i64", x), ("i64", x), ("i64", "32")])
        x = self.f(f"uitofp i64 {self.f(f'and i64 {x}, {2**53 - 1}')} to double")
        return self.op("fmul", x, 2.0**-53)

    def short_fraction(self, p: str) -> str:
        """The uniform float32 number of a word."""
        x = self.f(f"and i32 {self.f(f'load i32, ptr {p}, align 4')}, {2**24 - 1}")
        x = self.f(f"sitofp i32 {x} to float")
        return self.f(f"fmul float {x}, {literal(2.0**-24, 'float')}")

    def log_of_rest(self, p: str) -> str:
        """The logarithm of 1 minus the uniform number of two words."""
        return self.call("log1p", self.f(f"fneg double {self.fraction(p)}"))

    def scaled(self, x: str, factor: str, term: str) -> str:
        """``x factor + term``, rounded once."""
        return self.f.intrinsic("fma", "f64", "double", [("double", v) for v in (x, factor, term)])

    def store(self, p: str, x: str, d: np.dtype[Any]) -> None:
        """Write a value as d."""
        kind = scalar_type(d)
        if kind != "double":
            x = self.f(f"fptrunc double {x} to {kind}")
        self.f.do(f"store {kind} {x}, ptr {p}, align {d.itemsize}")


def waits(d: np.dtype[Any], width: int) -> str:
    """``%hi`` exponential values; operand 2 holds minus their mean."""
    f = kernel(width, np.dtype(np.float64))
    e, desk, target, draw = Exact(f), f.operand(0), f.operand(1), drawing(f)
    factor = f.scalar(f.operand(2))

    def chunk(start: Number, _: list[str]) -> None:
        n = f.smaller(FEW // 2, f.sub("%hi", start))
        f.do(f"call void @{draw}(ptr {desk}, ptr %scratch, i64 {f.mul(n, 2)})")

        def one(i: Number, _: list[str]) -> None:
            x = e.op("fmul", e.log_of_rest(f.at("%scratch", i)), factor)
            e.store(f.at(target, f.add(start, i), d.itemsize), x, d)

        f.span(0, n, 1, one)

    f.span("%lo", "%hi", FEW // 2, chunk)
    f.end()
    return f.module.text()


def coins(d: np.dtype[Any], width: int) -> str:
    """``%hi`` ones and zeros, each one with the same probability, a float64 in operand 2."""
    f = kernel(width, d)
    e, desk, target, draw = Exact(f), f.operand(0), f.operand(1), drawing(f)
    p = f(f"load double, ptr {f.operand(2)}, align 8")

    def chunk(start: Number, _: list[str]) -> None:
        n = f.smaller(FEW // 2, f.sub("%hi", start))
        f.do(f"call void @{draw}(ptr {desk}, ptr %scratch, i64 {f.mul(n, 2)})")

        def one(i: Number, _: list[str]) -> None:
            on = f(f"fcmp olt double {e.fraction(f.at('%scratch', i, 8))}, {p}")
            x = f(f"uitofp i1 {on} to {f.element}")
            f.do(f"store {f.element} {x}, ptr {f.at(target, f.add(start, i))}, align {f.size}")

        f.span(0, n, 1, one)

    f.span("%lo", "%hi", FEW // 2, chunk)
    f.end()
    return f.module.text()


def chances(d: np.dtype[Any], width: int) -> str:
    """``%hi`` ones and zeros, each one with the probability in operand 2. It fails, and nothing is
    drawn, where one of these is none.
    """
    f = kernel(width, d)
    desk, target, given, sizes = [f.operand(k) for k in range(4)]
    e, draw = Exact(f), drawing(f)
    zero, one = [literal(x, f.element) for x in (0.0, 1.0)]
    words = f.size // 4

    def check(i: Number, wrong: list[str]) -> list[str]:
        p = f.scalar(f.at(given, i))
        below = f(f"fcmp ult {f.element} {p}, {zero}")
        above = f(f"fcmp ugt {f.element} {p}, {one}")
        return [f(f"or i1 {wrong[0]}, {f(f'or i1 {below}, {above}')}")]

    def chunk(start: Number, _: list[str]) -> None:
        n = f.smaller(FEW // words, f.sub("%hi", start))
        f.do(f"call void @{draw}(ptr {desk}, ptr %scratch, i64 {f.mul(n, words)})")

        def element(i: Number, _: list[str]) -> None:
            here, source = f.add(start, i), f.at("%scratch", i)
            u = e.fraction(source) if words == 2 else e.short_fraction(source)
            on = f(f"fcmp olt {f.element} {u}, {f.scalar(f.at(given, here))}")
            x = f(f"uitofp i1 {on} to {f.element}")
            f.do(f"store {f.element} {x}, ptr {f.at(target, here)}, align {f.size}")

        f.span(0, n, 1, element)

    (wrong,) = f.span("%lo", "%hi", 1, check, [("i1", "false")])
    f.when(
        wrong,
        lambda: f.do(f"store i64 1, ptr {f.at(sizes, FAILED, 8)}, align 8"),
        lambda: f.span("%lo", "%hi", FEW // words, chunk),
    )
    f.end()
    return f.module.text()


def write_waits(node: Node, width: int) -> list[Launch]:
    """Waits: a logarithm of each uniform number."""
    factor = literal(-1.0 / node.params["rate"], "double")

    def some(f: Code, source: str, target: str, lanes: int) -> None:
        e = Exact(f)

        def one(i: Number, _: list[str]) -> None:
            x = e.op("fmul", e.log_of_rest(f.at(source, i)), factor)
            e.store(f.at(target, i), x, f.dtype)

        f.span(0, lanes, 1, one)

    return chunks(node, width, 2, some, np.dtype(np.float64))


def write_slopes(node: Node, width: int) -> list[Launch]:
    """Slopes: a uniform number is drawn where it is needed."""
    out, p = node.outputs[0], node.params
    d = out.dtype
    low, high = [float(d.type(p[name])) for name in ("lower", "upper")]
    f = kernel(width, d)
    desk, source, target = [f.operand(k) for k in range(3)]
    e, draw = Exact(f), drawing(f)

    def element(i: Number, _: list[str]) -> None:
        to = f.at(target, i)

        def drawn() -> None:
            f.do(f"call void @{draw}(ptr {desk}, ptr %scratch, i64 2)")
            u = e.fraction("%scratch")
            e.store(to, e.op("fadd", e.op("fmul", u, high - low), low), d)

        def one() -> None:
            f.do(f"store {f.element} {literal(1.0, f.element)}, ptr {to}, align {f.size}")

        zero = literal(0.0, f.element)
        f.when(f(f"fcmp ole {f.element} {f.scalar(f.at(source, i))}, {zero}"), drawn, one)

    count = math.prod(out.shape)
    f.span(0, count, 1, element)
    f.end()
    operands = ((0, 0), (1, 0), (2, 0))
    return [Launch(f.module.text(), operands, scratch=64, cost=8.0 * count)]
