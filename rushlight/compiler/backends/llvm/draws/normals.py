"""Normal values: in blocks of 16, float32 ones with vectors, or in pairs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.draws.exact import Exact
from rushlight.compiler.backends.llvm.draws.twister import CHUNK, drawing
from rushlight.compiler.backends.llvm.ir.code import Code, Number, kernel
from rushlight.compiler.backends.llvm.ir.text import literal
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.graph import Node
from rushlight.core import vector_math
from rushlight.core.mt19937 import CACHED, IS_CACHED


class Eight:
    """Arithmetic with eight float32 elements, each step rounded as in core/vector_math.py."""

    kind, ints = "<8 x float>", "<8 x i32>"

    def __init__(self, f: Code) -> None:
        self.f = f

    def c(self, value: float) -> str:
        """A constant."""
        return "<" + ", ".join([f"float {literal(value, 'float')}"] * 8) + ">"

    def i(self, value: int) -> str:
        """A constant integer."""
        return "<" + ", ".join([f"i32 {value}"] * 8) + ">"

    def op(self, name: str, x: str, y: str | float) -> str:
        """``fadd``, ``fsub`` or ``fmul``."""
        return self.f(f"{name} {self.kind} {x}, {y if isinstance(y, str) else self.c(y)}")

    def whole(self, name: str, x: str, y: str | int) -> str:
        """An operation on integers."""
        return self.f(f"{name} {self.ints} {x}, {y if isinstance(y, str) else self.i(y)}")

    def cast(self, name: str, x: str) -> str:
        """From integers to floats ("sitofp"), or back ("fptosi"), or of bits ("bits", "number")."""
        back = name in ("fptosi", "bits")
        a, b = (self.kind, self.ints) if back else (self.ints, self.kind)
        return self.f(f"{'bitcast' if name in ('bits', 'number') else name} {a} {x} to {b}")

    def fma(self, x: str, y: str, z: str) -> str:
        """``x y + z``, rounded once."""
        v = self.kind
        return self.f.intrinsic("fma", "v8f32", v, [(v, x), (v, y), (v, z)])

    def polynomial(self, coefficients: tuple[float, ...], x: str) -> str:
        """Horner's rule."""
        y = self.c(coefficients[0])
        for c in coefficients[1:]:
            y = self.fma(y, x, self.c(c))
        return y

    def fraction(self, p: str) -> str:
        """Uniform numbers of eight words."""
        x = self.f(f"load {self.ints}, ptr {p}, align 4")
        return self.op("fmul", self.cast("sitofp", self.whole("and", x, 2**24 - 1)), 2.0**-24)

    def log(self, x: str) -> str:
        """``vector_math.log``."""
        bits = self.cast("bits", x)
        power = self.cast("sitofp", self.whole("sub", self.whole("lshr", bits, 23), 126))
        m = self.whole("or", self.whole("and", bits, 0x7FFFFF), 0x3F000000)
        m = self.cast("number", m)
        is_small = self.f(f"fcmp olt {self.kind} {m}, {self.c(float(vector_math._ROOT_HALF))}")
        small = self.f(f"uitofp <8 x i1> {is_small} to {self.kind}")
        power = self.op("fsub", power, small)
        rest = self.op("fadd", self.op("fsub", m, 1.0), self.op("fmul", m, small))
        square = self.op("fmul", rest, rest)
        y = self.op("fmul", self.polynomial(vector_math._LOG, rest), rest)
        y = self.fma(y, square, self.op("fmul", power, float(vector_math._LN2_LOW)))
        y = self.op("fsub", y, self.op("fmul", square, 0.5))
        rest = self.op("fadd", rest, y)
        return self.op("fadd", rest, self.op("fmul", power, float(vector_math._LN2_HIGH)))

    def sin_cos(self, x: str) -> tuple[str, str]:
        """``vector_math.sin_cos``."""
        octant = self.cast("fptosi", self.op("fmul", x, float(vector_math._FOUR_OVER_PI)))
        octant = self.whole("and", self.whole("add", octant, 1), -2)
        multiple = self.cast("sitofp", octant)
        a, b, c = [float(q) for q in vector_math._QUARTER_PI]
        rest = self.op("fsub", x, self.op("fmul", multiple, a))
        rest = self.op("fsub", rest, self.op("fmul", multiple, b))
        rest = self.fma(multiple, self.c(-c), rest)
        square = self.op("fmul", rest, rest)
        sine = self.op("fmul", self.polynomial(vector_math._SIN, square), square)
        sine = self.fma(sine, rest, rest)
        cosine = self.op("fmul", self.polynomial(vector_math._COS, square), square)
        cosine = self.fma(cosine, square, self.op("fmul", square, -0.5))
        cosine = self.op("fadd", cosine, 1.0)
        odd = self.whole("and", octant, 2)
        swap = self.f(f"icmp ne {self.ints} {odd}, zeroinitializer")
        pair = [
            self.f(f"select <8 x i1> {swap}, {self.kind} {p}, {self.kind} {q}")
            for p, q in ((cosine, sine), (sine, cosine))
        ]
        turned = self.whole("shl", octant, 29)
        signs = [turned, self.whole("add", turned, 2**30)]
        out = []
        for x, sign in zip(pair, signs, strict=True):
            sign = self.whole("and", sign, -(2**31))
            out.append(self.cast("number", self.whole("xor", self.cast("bits", x), sign)))
        return out[0], out[1]


class Blocks:
    """Code that draws normal values in blocks of 16, of which eight uniforms give the radius and
    eight the angle. Operand 0 is the desk, operand 1 the target.
    """

    def __init__(self, f: Code, mean: float, std: float) -> None:
        self.f, self.mean, self.std = f, np.float32(mean), np.float32(std)
        self.desk, self.target = f.operand(0), f.operand(1)
        self.e, self.draw = Eight(f), drawing(f)

    def finished(self, x: str) -> str:
        """With mean and deviation, rounded once."""
        f, e = self.f, self.e
        if self.mean == 0:
            return x if self.std == 1 else e.op("fmul", x, float(self.std))
        wide = "<8 x double>"
        factor, term = [
            "<" + ", ".join([f"double {literal(float(c), 'double')}"] * 8) + ">"
            for c in (self.std, self.mean)
        ]
        x = f(f"fpext {e.kind} {x} to {wide}")
        x = f.intrinsic("fma", "v8f64", wide, [(wide, x), (wide, factor), (wide, term)])
        return f(f"fptrunc {wide} {x} to {e.kind}")

    def block(self, source: str, to: str) -> None:
        """One block, of the words at ``source``."""
        f, e = self.f, self.e
        radius = e.log(e.op("fsub", e.c(1.0), e.fraction(source)))
        radius = e.op("fmul", radius, -2.0)
        radius = f.intrinsic("sqrt", "v8f32", e.kind, [(e.kind, radius)])
        angle = e.op("fmul", e.fraction(f.at(source, 8, 4)), float(np.float32(2 * math.pi)))
        for k, x in enumerate(reversed(e.sin_cos(angle))):
            x = self.finished(e.op("fmul", x, radius))
            f.do(f"store {e.kind} {x}, ptr {f.at(to, 8 * k)}, align 4")

    def words(self, n: Number) -> None:
        """Draw words to the scratch memory."""
        self.f.do(f"call void @{self.draw}(ptr {self.desk}, ptr %scratch, i64 {n})")

    def __call__(self, start: Number, n: Number) -> None:
        """n values, a multiple of 16, from ``start`` on."""
        f = self.f
        self.words(n)
        to = f.at(self.target, start)
        f.span(0, n, 16, lambda i, _: self.block(f.at("%scratch", i, 4), f.at(to, i)))


def write_normals(node: Node, width: int) -> list[Launch]:
    """Normals: in pairs when there are fewer than 16, else in blocks of 16. Where those do not fit,
    the last 16 are drawn anew.
    """
    count, d = math.prod(node.outputs[0].shape), node.outputs[0].dtype
    if count < 16:
        return write_pairs(node, width)
    f = kernel(width, d)
    kind, words = (Blocks, 1) if d == np.dtype(np.float32) else (DoubleBlocks, 2)
    blocks = kind(f, node.params["mean"], node.params["std"])
    whole, step = count // 16 * 16, CHUNK // words
    most = whole // step * step
    f.span(0, most, step, lambda i, _: blocks(i, step))
    if whole % step:
        blocks(most, whole % step)
    if count > whole:
        blocks.words((count - whole) * words)
        blocks(count - 16, 16)
    f.end()
    cost = 4.0 * count if words == 1 else 40.0 * count
    return [Launch(f.module.text(), ((0, 0), (1, 0)), scratch=CHUNK * 4 + 64, cost=cost)]


class DoubleBlocks:
    """As Blocks, in float64."""

    def __init__(self, f: Code, mean: float, std: float) -> None:
        self.f, self.mean, self.std, self.e = f, mean, std, Exact(f)
        self.desk, self.target, self.draw = f.operand(0), f.operand(1), drawing(f)

    def words(self, n: Number) -> None:
        """Draw words to the scratch memory."""
        self.f.do(f"call void @{self.draw}(ptr {self.desk}, ptr %scratch, i64 {n})")

    def __call__(self, start: Number, n: Number) -> None:
        """n values, a multiple of 16, from ``start`` on."""
        f, e = self.f, self.e
        std, mean = literal(self.std, "double"), literal(self.mean, "double")
        self.words(f.mul(n, 2))

        def pair(block: Number, k: Number) -> None:
            here = f.add(f.mul(block, 16), k)
            source, to = f.at("%scratch", here, 8), f.at(self.target, f.add(start, here))
            left = e.op("fsub", literal(1.0, "double"), e.fraction(source))
            radius = e.root(e.op("fmul", e.call("log", left), -2.0))
            angle = e.op("fmul", e.fraction(f.at(source, 64, 1)), 2 * math.pi)
            for name, at in (("cos", to), ("sin", f.at(to, 8))):
                x = e.op("fmul", radius, e.call(name, angle))
                e.store(at, e.scaled(x, std, mean), f.dtype)

        f.grid(f.parted(n, 16)[0], 8, pair)


def pairs(f: Code, d: np.dtype[Any], count: Number, std: str, mean: str) -> None:
    """``count`` normals as d in pairs, the first of which may be left over from the last call, as
    the last may be for the next. Scratch memory has room for 8 bytes of each, rounded up to pairs.
    """
    e, desk, target, draw = Exact(f), f.operand(0), f.operand(1), drawing(f)
    cached, is_cached = f.at(desk, CACHED), f.at(desk, IS_CACHED)

    def finish(i: Number, x: str) -> None:
        if d == np.dtype(np.float64):
            x = e.scaled(x, std, mean)
        else:  # rounded twice
            x = e.op("fadd", e.op("fmul", x, std), mean)
        e.store(f.at(target, i, d.itemsize), x, d)

    first = f.scalar64(is_cached)
    f.when(f(f"icmp ne i64 {first}, 0"), lambda: finish(0, f.scalar(cached)))
    f.do(f"store i64 0, ptr {is_cached}, align 8")

    def pair(k: Number, _: list[str]) -> None:
        source = f.at("%scratch", f.mul(k, 2))
        angle = e.op("fmul", e.fraction(source), 2 * math.pi)
        radius = e.root(e.op("fmul", e.log_of_rest(f.at(source, 1)), -2.0))
        here = f.add(first, f.mul(k, 2))
        finish(here, e.op("fmul", radius, e.call("cos", angle)))
        other = e.op("fmul", radius, e.call("sin", angle))

        def keep() -> None:
            f.do(f"store double {other}, ptr {cached}, align 8")
            f.do(f"store i64 1, ptr {is_cached}, align 8")

        after = f.add(here, 1)
        f.when(f(f"icmp slt i64 {after}, {count}"), lambda: finish(after, other), keep)

    n = f(f"lshr i64 {f.sub(f.add(count, 1), first)}, 1")
    f.do(f"call void @{draw}(ptr {desk}, ptr %scratch, i64 {f.mul(n, 4)})")
    f.span(0, n, 1, pair, empty=True)


def write_pairs(node: Node, width: int) -> list[Launch]:
    """Normals, fewer than 16."""
    out, p = node.outputs[0], node.params
    f, count = kernel(width, np.dtype(np.float64)), math.prod(out.shape)
    pairs(f, out.dtype, count, *[literal(p[name], "double") for name in ("std", "mean")])
    f.end()
    return [Launch(f.module.text(), ((0, 0), (1, 0)), scratch=128, cost=60.0 * count)]


def few_pairs(d: np.dtype[Any], width: int) -> str:
    """``%hi`` normals, ``FEW // 2`` at most, with their deviation and mean in operand 2."""
    f = kernel(width, np.dtype(np.float64))
    pairs(f, d, "%hi", *[f.scalar(f.at(f.operand(2), k)) for k in range(2)])
    f.end()
    return f.module.text()
