"""Random numbers from the Mersenne Twister of an engine, see core/mt19937.py.

A kernel finds the stream at the engine's desk: the twister's 624 words, the block of words that it
yielded last, and how many of these are used up. It is one unit, since each word depends on those
before it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.direct import FAILED
from rushlight.compiler.backends.llvm.ir.code import Code, Number, kernel
from rushlight.compiler.backends.llvm.ir.text import literal, scalar_type
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.graph import Node
from rushlight.core import vector_math
from rushlight.core.mt19937 import BLOCK, CACHED, IS_CACHED

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
