"""Random numbers that words give without more: truths, uniform numbers, integers and orders."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.draws.twister import (
    CHUNK,
    FEW,
    LONG,
    chunks,
    drawing,
    longs,
    splat,
)
from rushlight.compiler.backends.llvm.ir.code import Code, Number, kernel
from rushlight.compiler.backends.llvm.ir.text import literal
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.graph import Node


def write_truths(node: Node, width: int) -> list[Launch]:
    """Truths: the low 53 bits of each 64-bit word, below a limit."""
    limit = math.ceil(node.params["p"] * 2.0**53)

    def some(f: Code, source: str, target: str, lanes: int) -> None:
        bits = f(f"and {f.vector} {longs(f, source)}, {splat(f, 2**53 - 1)}")
        on = f(f"icmp ult {f.vector} {bits}, {splat(f, limit)}")
        kind = f"<{f.lanes} x i8>"
        value = f(f"zext {f.bits} {on} to {kind}")
        if lanes == f.lanes:
            f.do(f"store {kind} {value}, ptr {target}, align 1")
            return
        for k in range(lanes):
            one = f(f"extractelement {kind} {value}, i64 {k}")
            f.do(f"store i8 {one}, ptr {f.at(target, k, 1)}, align 1")

    return chunks(node, width, 2, some, LONG)


def write_uniforms(node: Node, width: int) -> list[Launch]:
    """Uniforms: bits as a fraction, scaled with one rounding; the upper limit becomes the lower."""
    p, d = node.params, node.outputs[0].dtype
    double = d == np.dtype(np.float64)
    bits, words = (53, 2) if double else (24, 1)
    low, high = d.type(p["low"]), d.type(p["high"])

    def some(f: Code, source: str, target: str, lanes: int) -> None:
        whole = f"<{f.lanes} x i64>" if double else f"<{f.lanes} x i32>"
        kind = "i64" if double else "i32"

        def c(value: Any, e: str = f.element) -> str:
            return "<" + ", ".join([f"{e} {literal(value, e)}"] * f.lanes) + ">"

        x = f(f"load {whole}, ptr {source}, align 4")
        if double:
            turn = c(32, "i64")
            x = f.intrinsic(
                "fshl", f"v{f.lanes}i64", whole, [(whole, x), (whole, x), (whole, turn)]
            )
        x = f(f"and {whole} {x}, {c((1 << bits) - 1, kind)}")
        x = f(f"uitofp {whole} {x} to {f.vector}")
        x = f(f"fmul {f.vector} {x}, {c(2.0**-bits)}")
        if (low, high) != (0, 1):
            factor, term = [c(float(value), "double") for value in (high - low, low)]
            x = scaled(f, x, factor, term, double)
            x = below(f, x, c(float(low)), c(float(high)))
        f.store(target, x, lanes)

    return chunks(node, width, words, some, d)


def below(f: Code, x: str, low: str, high: str) -> str:
    """x, where rounding made no limit of it that is never reached, else the lower one."""
    top = f(f"fcmp oeq {f.vector} {x}, {high}")
    return f(f"select {f.bits} {top}, {f.vector} {low}, {f.vector} {x}")


def scaled(f: Code, x: str, factor: str, term: str, double: bool) -> str:
    """``x factor + term``, rounded once: in float64 by one instruction, else through float64, which
    ``factor`` and ``term`` are vectors of.
    """
    wide = f"<{f.lanes} x double>"
    if not double:
        x = f(f"fpext {f.vector} {x} to {wide}")
    operands = [(wide, x), (wide, factor), (wide, term)]
    x = f.intrinsic("fma", f"v{f.lanes}f64", wide, operands)
    return x if double else f(f"fptrunc {wide} {x} to {f.vector}")


def write_integers(node: Node, width: int) -> list[Launch]:
    """Integers: words modulo the count of values, from the lowest on."""
    low, count = node.params["low"], node.params["high"] - node.params["low"]

    def some(f: Code, source: str, target: str, lanes: int) -> None:
        words = f"<{f.lanes} x i32>"
        x = f(f"load {words}, ptr {source}, align 4")
        modulus = "<" + ", ".join([f"i32 {count}"] * f.lanes) + ">"
        x = f(f"zext {words} {f(f'urem {words} {x}, {modulus}')} to {f.vector}")
        f.store(target, f(f"add {f.vector} {x}, {splat(f, low)}"), lanes)

    return chunks(node, width, 1, some, LONG)


def integers(d: np.dtype[Any], width: int) -> str:
    """``%hi`` integers; operand 2 holds the count of values, and the lowest."""
    f = kernel(width, d)
    desk, target, limits = [f.operand(k) for k in range(3)]
    count, low = [f.scalar(f.at(limits, k)) for k in range(2)]
    modulus = f(f"trunc i64 {count} to i32")
    draw = drawing(f)

    def chunk(start: Number, _: list[str]) -> None:
        n = f.smaller(FEW, f.sub("%hi", start))
        f.do(f"call void @{draw}(ptr {desk}, ptr %scratch, i64 {n})")

        def one(i: Number, _: list[str]) -> None:
            x = f(f"load i32, ptr {f.at('%scratch', i, 4)}, align 4")
            x = f(f"zext i32 {f(f'urem i32 {x}, {modulus}')} to i64")
            f.do(f"store i64 {f.add(x, low)}, ptr {f.at(target, f.add(start, i))}, align 8")

        f.span(0, n, 1, one)

    f.span("%lo", "%hi", FEW, chunk)
    f.end()
    return f.module.text()


def write_shuffled(node: Node, width: int) -> list[Launch]:
    """Shuffled: each element changes places with one that is not before it."""
    count = math.prod(node.outputs[0].shape)
    f = kernel(width, LONG)
    desk, target, draw = f.operand(0), f.operand(1), drawing(f)
    f.span(0, count, 1, lambda i, _: f.do(f"store i64 {i}, ptr {f.at(target, i)}, align 8"))

    def chunk(start: Number, n: Number) -> None:
        f.do(f"call void @{draw}(ptr {desk}, ptr %scratch, i64 {n})")

        def step(k: Number, _: list[str]) -> None:
            i = f.add(start, k)
            word = f(f"load i32, ptr {f.at('%scratch', k, 4)}, align 4")
            word = f(f"zext i32 {word} to i64")
            j = f.add(i, f(f"urem i64 {word}, {f.sub(count, i)}"))
            here, there = f.at(target, i), f.at(target, j)
            x, y = f.scalar(here), f.scalar(there)
            f.do(f"store i64 {y}, ptr {here}, align 8")
            f.do(f"store i64 {x}, ptr {there}, align 8")

        f.span(0, n, 1, step)

    whole = (count - 1) // CHUNK * CHUNK
    f.span(0, whole, CHUNK, lambda i, _: chunk(i, CHUNK))
    if (count - 1) % CHUNK:
        chunk(whole, (count - 1) % CHUNK)
    f.end()
    return [Launch(f.module.text(), ((0, 0), (1, 0)), scratch=CHUNK * 4 + 64, cost=8.0 * count)]
