"""Words of the Mersenne Twister, as many as are needed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.ir.code import Code, Number, kernel
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.graph import Node
from rushlight.core.mt19937 import BLOCK

WORD = np.dtype(np.int32)
AHEAD = 397  # words between one and that which it is combined with
TWIST = 0x9908B0DF
CHUNK = 2048  # words that are drawn at a time
FEW = 512  # the same, for loops that eager code calls


class Words:
    """Code for vectors of words."""

    def __init__(self, f: Code) -> None:
        self.f = f

    def c(self, value: int) -> str:
        """A constant in all lanes."""
        return "<" + ", ".join([f"i32 {value}"] * self.f.lanes) + ">"

    def op(self, name: str, x: str, y: str | int) -> str:
        """An operation with a vector or a number."""
        return self.f(f"{name} {self.f.vector} {x}, {self.c(y) if isinstance(y, int) else y}")

    def twisted(self, here: str, after: str, ahead: str) -> str:
        """The next value of words, from theirs, their neighbours' and those further on."""
        both = self.op("or", self.op("and", here, 0x80000000), self.op("and", after, 0x7FFFFFFF))
        odd = self.op("sub", self.c(0), self.op("and", both, 1))
        x = self.op("xor", ahead, self.op("lshr", both, 1))
        return self.op("xor", x, self.op("and", odd, TWIST))

    def tempered(self, x: str) -> str:
        """What a word yields."""
        x = self.op("xor", x, self.op("lshr", x, 11))
        x = self.op("xor", x, self.op("and", self.op("shl", x, 7), 0x9D2C5680))
        x = self.op("xor", x, self.op("and", self.op("shl", x, 15), 0xEFC60000))
        return self.op("xor", x, self.op("lshr", x, 18))


def refill(outer: Code) -> str:
    """The function ``(words, block)`` that twists all words and fills the block."""
    f, name = Code(outer.module, "refill", "ptr noalias %words, ptr noalias %block", WORD), "refill"
    if name in outer.module.functions:
        return name
    w = Words(f)

    def twist(start: int, count: int, ahead: int) -> None:
        def some(i: Number, lanes: int) -> None:
            p = f.at(f.at("%words", start), i)
            x = [f.load(f.at(p, k), lanes) for k in (0, 1, ahead)]
            f.store(p, w.twisted(*x), lanes)

        whole = count // f.lanes * f.lanes
        f.span(0, whole, f.lanes, lambda i, _: some(i, f.lanes))
        if count % f.lanes:
            some(whole, count % f.lanes)

    twist(0, BLOCK - AHEAD, AHEAD)
    twist(BLOCK - AHEAD, AHEAD - 1, AHEAD - BLOCK)
    last = f.at("%words", BLOCK - 1)  # its neighbour is the first word
    x = [f.load(p, 1) for p in (last, "%words", f.at("%words", AHEAD - 1))]
    f.store(last, w.twisted(*x), 1)
    f.span(
        0, BLOCK, f.lanes,
        lambda i, _: f.store(f.at("%block", i), w.tempered(f.load(f.at("%words", i)))),
    )  # fmt: skip
    f.end()
    return name


def drawing(outer: Code) -> str:
    """The function ``(desk, to, count)`` that draws words."""
    name = "draw"
    if name in outer.module.functions:
        return name
    f = Code(outer.module, name, "ptr noalias %desk, ptr noalias %to, i64 %count", WORD)
    f.module.declarations.add("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
    words, block = [f(f"load ptr, ptr {f.at('%desk', 8 * k, 1)}") for k in (0, 1)]
    place = f.at("%desk", 16, 1)
    most = -(-CHUNK // BLOCK) + 1  # parts of blocks that a chunk can have

    def part(_: Number, done: list[str]) -> list[str]:
        empty = f(f"icmp sge i64 {f(f'load i64, ptr {place}')}, {BLOCK}")
        wanted = f(f"icmp slt i64 {done[0]}, %count")

        def again() -> None:
            f.do(f"call void @{refill(f)}(ptr {words}, ptr {block})")
            f.do(f"store i64 0, ptr {place}")

        f.when(f(f"and i1 {empty}, {wanted}"), again)
        used = f(f"load i64, ptr {place}")
        n = f.smaller(f.sub(BLOCK, used), f.sub("%count", done[0]))
        n = f.larger(n, 0)
        source, target = f.at(block, used), f.at("%to", done[0])
        length = f.mul(n, 4)
        f.do(
            f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {length}, i1 false)"
        )
        f.do(f"store i64 {f.add(used, n)}, ptr {place}")
        return [str(f.add(done[0], n))]

    f.span(0, most, 1, part, [("i64", "0")])
    f.end()
    return name


def fits(node: Node) -> bool:
    """Whether a node that draws is native."""
    return True


def chunks(node: Node, width: int, words: int, some: Any, d: np.dtype[Any]) -> list[Launch]:
    """A launch that draws ``words`` for each element, chunk by chunk; ``some(f, from, to, lanes)``
    makes a vector of elements.
    """
    out = node.outputs[0]
    count, step = math.prod(out.shape), CHUNK // words
    f = kernel(width, d)
    desk, target = f.operand(0), f.operand(1)
    draw = drawing(f)

    def chunk(start: Number, n: Number) -> None:
        f.do(f"call void @{draw}(ptr {desk}, ptr %scratch, i64 {f.mul(n, words)})")
        to = f.at(target, start, out.dtype.itemsize)

        def vector(i: Number, lanes: int) -> None:
            some(f, f.at("%scratch", f.mul(i, words), 4), f.at(to, i, out.dtype.itemsize), lanes)

        if isinstance(n, int):
            whole = n // f.lanes * f.lanes
            f.span(0, whole, f.lanes, lambda i, _: vector(i, f.lanes))
            if n % f.lanes:
                vector(whole, n % f.lanes)

    whole = count // step * step
    f.span(0, whole, step, lambda i, _: chunk(i, step))
    if count % step:
        chunk(whole, count % step)
    f.end()
    scratch = (CHUNK + 2 * width // 32) * 4
    return [Launch(f.module.text(), ((0, 0), (1, 0)), scratch=scratch, cost=2.0 * count * words)]


LONG = np.dtype(np.int64)


def longs(f: Code, source: str) -> str:
    """64-bit words of two: the first is the high half."""
    x = f(f"load {f.vector}, ptr {source}, align 4")
    turn = "<" + ", ".join(["i64 32"] * f.lanes) + ">"
    v = f.vector
    return f.intrinsic("fshl", f.suffix, v, [(v, x), (v, x), (v, turn)])


def splat(f: Code, value: int) -> str:
    """A constant in all lanes."""
    return "<" + ", ".join([f"{f.element} {value}"] * f.lanes) + ">"
