"""Loops whose steps depend on each other, for arrays of any sizes: running values, random streams.

Each is the text of a kernel, see launch.py. Its operands are addresses; sizes are in memory too, or
are the range of units that a call is for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm import (
    bags,
    casts,
    ctc,
    extremes,
    grids,
    norm_gradients,
    norms,
    pairs,
    picks,
    pools,
    ramps,
    ranks,
    reflections,
    runs,
    softmaxes,
    spreads,
    taps,
    tops,
    totals,
)
from rushlight.compiler.backends.llvm.draws.exact import chances, coins, waits
from rushlight.compiler.backends.llvm.draws.normals import Blocks, few_pairs
from rushlight.compiler.backends.llvm.draws.twister import FEW, drawing
from rushlight.compiler.backends.llvm.draws.uniform import below, integers, scaled
from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ir.math import Vectors
from rushlight.compiler.backends.llvm.ir.text import literal
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.backends.llvm.moves import MOVES, Move, reverse
from rushlight.compiler.backends.llvm.small import ELIMINATIONS, Elimination
from rushlight.compiler.backends.llvm.sparse import PRODUCTS, Sparse
from rushlight.compiler.graph import Node
from rushlight.compiler.scalars import FLOATS, INTEGERS

F32, F64, LONG = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64)
LANES = 8  # columns that are worked on together
SCRATCH = 4 * FEW + 64  # bytes
RANDOM = (
    "chances", "coins", "integers", "shuffle", "normals", "normal pairs", "uniforms", "waits",
)  # fmt: skip
SCRATCHED = (*RANDOM, *tops.SORTS)  # loops that need it
SUMS = {"sum": ("fadd", -0.0), "product": ("fmul", 1.0)}
WHOLE_SUMS = {"sum": ("add", 0), "product": ("mul", 1)}  # of integers
EXTREMES = {"max": "ge", "min": "le"}
LOGS = "log sum"
NEAR = 600.0  # exponentials of differences up to here are normal numbers of float64
# what is carried in float64, and its first values
CARRIED = {**{kind: [first] for kind, (_, first) in SUMS.items()}, LOGS: [-np.inf, 0.0]}


def normals(width: int) -> str:
    """``%hi`` standard normal values, 16 at least, drawn from the engine whose desk is operand 0,
    to operand 1; where blocks of 16 do not fit, the last 16 are drawn anew.
    """
    f = kernel(width, F32)
    blocks = Blocks(f, 0.0, 1.0)
    _, rest = f.parted("%hi", 16)
    end = f.sub("%hi", rest)
    f.span("%lo", end, FEW, lambda i, _: blocks(i, f.smaller(FEW, f.sub(end, i))))

    def again() -> None:
        blocks.words(rest)
        blocks(f.sub("%hi", 16), 16)

    f.when(f(f"icmp ne i64 {rest}, 0"), again)
    f.end()
    return f.module.text()


def uniforms(width: int) -> str:
    """``%hi`` uniform values, drawn from the engine whose desk is operand 0, to operand 1; operand
    2 holds the width of their range, its lower limit and the upper one, which becomes the lower.
    """
    f = kernel(width, F32)
    desk, target, limits = [f.operand(k) for k in range(3)]
    size, low, high = [f.splat(f.scalar(f.at(limits, k))) for k in range(3)]
    ints, wide = f"<{f.lanes} x i32>", f"<{f.lanes} x double>"
    factor, term = [f(f"fpext {f.vector} {x} to {wide}") for x in (size, low)]
    bits = "<" + ", ".join([f"i32 {2**24 - 1}"] * f.lanes) + ">"
    unit = f.splat(literal(2.0**-24, "float"))
    draw = drawing(f)

    def chunk(start: Number, _: list[str]) -> None:
        n = f.smaller(FEW, f.sub("%hi", start))
        f.do(f"call void @{draw}(ptr {desk}, ptr %scratch, i64 {n})")

        def vector(i: Number, _: list[str]) -> None:
            x = f(f"load {ints}, ptr {f.at('%scratch', i)}, align 4")
            x = f(f"and {ints} {x}, {bits}")
            x = f(f"fmul {f.vector} {f(f'sitofp {ints} {x} to {f.vector}')}, {unit}")
            x = below(f, scaled(f, x, factor, term, False), low, high)
            f.store_first(f.at(target, f.add(start, i)), x, f.sub(n, i))

        f.span(0, n, f.lanes, vector)

    f.span("%lo", "%hi", FEW, chunk)
    f.end()
    return f.module.text()


def shuffle(width: int) -> str:
    """The integers from 0 to ``%hi - 1`` in random order to operand 1: step i swaps elements i and
    i + w % (%hi - i), where w are 32-bit words of the engine whose desk is operand 0.
    """
    f = kernel(width, LONG)
    desk, order = f.operand(0), f.operand(1)
    draw, last = drawing(f), f.sub("%hi", 1)

    def number(i: Number, _: list[str]) -> None:
        f.do(f"store i64 {i}, ptr {f.at(order, i)}, align 8")

    def chunk(start: Number, _: list[str]) -> None:
        n = f.smaller(FEW, f.sub(last, start))
        f.do(f"call void @{draw}(ptr {desk}, ptr %scratch, i64 {n})")
        f.span(0, n, 1, lambda k, _: swap(f.add(start, k), k))

    def swap(i: Number, k: Number) -> None:
        word = f(f"load i32, ptr {f.at('%scratch', k, 4)}, align 4")
        left = f(f"trunc i64 {f.sub('%hi', i)} to i32")
        j = f.add(i, f(f"zext i32 {f(f'urem i32 {word}, {left}')} to i64"))
        here, there = f.at(order, i), f.at(order, j)
        x, y = f.scalar(here), f.scalar(there)
        f.do(f"store i64 {y}, ptr {here}, align 8")
        f.do(f"store i64 {x}, ptr {there}, align 8")

    f.span("%lo", "%hi", 1, number)
    f.span("%lo", last, FEW, chunk, empty=True)
    f.end()
    return f.module.text()


DIGIT = 11  # bits by which a pass of a sort orders


def digit(width: int) -> str:
    """A stable pass of a sort of rows: 64-bit keys, operand 0, and their places, operand 1, to
    operands 2 and 3, ordered by some bits of the keys. Operand 4 has room for counts, operand 5
    holds the length of a row and the number of the lowest bit.
    """
    f = kernel(width, LONG)
    keys, places, new_keys, new_places, counts, sizes = [f.operand(k) for k in range(6)]
    n, shift = [f.scalar(f.at(sizes, k)) for k in range(2)]

    def unit(u: Number, _: list[str]) -> None:
        start = f(f"mul nsw i64 {u}, {n}")
        f.clear(counts, 1 << DIGIT)

        def counter(i: Number) -> tuple[str, str]:
            key = f.scalar(f.at(keys, f.add(start, i)))
            bits = f(f"and i64 {f(f'lshr i64 {key}, {shift}')}, {(1 << DIGIT) - 1}")
            return key, f.at(counts, bits)

        def count(i: Number, _: list[str]) -> None:
            p = counter(i)[1]
            f.do(f"store i64 {f.add(f.scalar(p), 1)}, ptr {p}, align 8")

        def begin(d: Number, before: list[str]) -> list[str]:
            p = f.at(counts, d)
            here = f.scalar(p)
            f.do(f"store i64 {before[0]}, ptr {p}, align 8")
            return [str(f.add(before[0], here))]

        def move(i: Number, _: list[str]) -> None:
            key, p = counter(i)
            next_place = f.scalar(p)
            f.do(f"store i64 {f.add(next_place, 1)}, ptr {p}, align 8")
            to, place = f.add(start, next_place), f.scalar(f.at(places, f.add(start, i)))
            f.do(f"store i64 {key}, ptr {f.at(new_keys, to)}, align 8")
            f.do(f"store i64 {place}, ptr {f.at(new_places, to)}, align 8")

        f.span(0, n, 1, count)
        f.span(0, 1 << DIGIT, 1, begin, [("i64", "0")])
        f.span(0, n, 1, move)

    f.span("%lo", "%hi", 1, unit)
    f.end()
    return f.module.text()


class Scan:
    """Running values along the middle of (units, n, inner): operand 0 to operand 1.

    Sums and products are carried in float64, those of int64 as they are: operand 2 has room of
    inner elements for that. So are logarithms of sums of exponentials, as the largest element and
    the sum beside it (2, inner). Extremes are the last of equal ones; NaN stays; operand 2 takes
    the places where they were. Operand 3 holds n and inner, unless these are given; then what is
    carried is in scratch memory.
    """

    def __init__(self, kind: str, d: Any, width: int, sizes: tuple[int, int] | None = None) -> None:
        self.f = f = kernel(width, d)
        self.kind = kind
        self.carried, self.wide = CARRIED.get(kind, []), "double"
        if d.kind == "i" and self.carried:
            self.carried, self.wide = [WHOLE_SUMS[kind][1]], "i64"
        self.source, self.target = f.operand(0), f.operand(1)
        if sizes is not None:
            self.n, self.inner = [str(size) for size in sizes]
        else:
            self.n, self.inner = [f.scalar64(f.at(f.operand(3), k, 8)) for k in range(2)]
        in_scratch = sizes is not None and self.carried
        self.third = "%scratch" if in_scratch else f.operand(2)
        f.span("%lo", "%hi", 1, self.unit)
        f.end()

    def text(self) -> str:
        return self.f.module.text()

    def unit(self, u: Number, _: list[str]) -> None:
        f = self.f
        size = f(f"mul nsw i64 {self.n}, {self.inner}")
        self.start = f(f"mul nsw i64 {u}, {size}")
        row = self.log_row if self.kind == LOGS else self.row
        f.when(f(f"icmp eq i64 {self.inner}, 1"), row, self.matrix)

    def log_row(self) -> None:
        """Where inner is 1: some elements together, where the largest is not too far above."""
        f = self.f
        places = [self.room(k) for k in range(2)]
        for place, x in zip(places, self.carried, strict=True):
            f.do(f"store double {literal(x, 'double')}, ptr {place}, align 8")

        def single(i: Number) -> None:
            at = f.add(self.start, i)
            state = [f(f"load double, ptr {place}, align 8") for place in places]
            new = self.combined(self.load(self.source, at, 1), state, "", 1)
            self.save(at, new, 1)
            for place, value in zip(places, new, strict=True):
                f.do(f"store double {value}, ptr {place}, align 8")

        def some(i: Number, _: list[str]) -> None:
            at, v, one = f.add(self.start, i), Vectors(f, LANES, f.here), Vectors(f, 0, f.here)
            kind = vector("double", LANES)
            x = self.load(self.source, at, LANES)
            x = x if f.dtype == F64 else v.cast(x, F32, F64)
            top, total = [f(f"load double, ptr {place}, align 8") for place in places]
            new = one.real("max", F64, [top, v.horizontal("max", F64, x)])
            first = one.real("max", F64, [top, f(f"extractelement {kind} {x}, i64 0")])
            near = f(
                f"fcmp olt double {f(f'fsub double {new}, {first}')}, {literal(NEAR, 'double')}"
            )

            def together() -> None:
                e = v.function("exp", F64, [f(f"fsub {kind} {x}, {v.splat(new, F64)}")])
                for k in (1, 2, 4):
                    order = [LANES + j - k if j >= k else j for j in range(LANES)]
                    lanes = ", ".join([f"i32 {j}" for j in order])
                    two = f"{kind} zeroinitializer, {kind} {e}"
                    moved = f(f"shufflevector {two}, <{LANES} x i32> <{lanes}>")
                    e = f(f"fadd {kind} {e}, {moved}")
                before = one.function("exp", F64, [f(f"fsub double {top}, {new}")])
                before = f(f"fmul double {total}, {before}")
                sums = f(f"fadd {kind} {e}, {v.splat(before, F64)}")
                self.save(at, [v.splat(new, F64), sums], LANES)
                last = f(f"extractelement {kind} {sums}, i64 {LANES - 1}")
                for place, value in zip(places, (new, last), strict=True):
                    f.do(f"store double {value}, ptr {place}, align 8")

            def apart() -> None:
                f.span(0, LANES, 1, lambda k, _: single(f.add(i, k)))

            f.when(near, together, apart)

        whole = f(f"and i64 {self.n}, {-LANES}")
        f.span(0, whole, LANES, some, empty=True)
        f.span(whole, self.n, 1, lambda i, _: single(i), empty=True)

    def row(self) -> None:
        """Where inner is 1, the running value stays in a register."""
        f = self.f
        kinds = [self.wide] * len(self.carried) or [f.element, "i64"]
        first = [literal(x, self.wide) for x in self.carried] or self.lowest()

        def step(i: Number, state: list[str]) -> list[str]:
            at = f.add(self.start, i)
            new = self.combined(self.load(self.source, at, 1), state, str(i), 1)
            self.save(at, new, 1)
            return new

        f.span(0, self.n, 1, step, list(zip(kinds, first, strict=True)))

    def lowest(self) -> list[str]:
        """What any element is at least as extreme as."""
        d = self.f.dtype
        low, high = (-np.inf, np.inf) if d in (F32, F64) else (np.iinfo(d).min, np.iinfo(d).max)
        return [literal(low if self.kind == "max" else high, self.f.element), "0"]

    def matrix(self) -> None:
        """Rows, one after another, are combined with what is in memory."""
        f = self.f
        end = f(f"sub i64 {self.inner}, {LANES - 1}")
        whole = f(f"and i64 {self.inner}, {-LANES}")

        def step(i: Number, _: list[str]) -> None:
            at = f.add(self.start, f(f"mul nsw i64 {i}, {self.inner}"))

            def column(c: Number, lanes: int) -> None:
                self.column(i, at, c, lanes)

            f.span(0, end, LANES, lambda c, _: column(c, LANES), empty=True)
            f.span(whole, self.inner, 1, lambda c, _: column(c, 1), empty=True)

        f.span(0, self.n, 1, step)

    def column(self, i: Number, at: Number, c: Number, lanes: int) -> None:
        """Some columns of row i, which begins at ``at``."""
        f = self.f
        here = f.add(at, c)
        first = f(f"icmp eq i64 {i}, 0")
        x = self.load(self.source, here, lanes)
        if self.carried:
            kind = vector(self.wide, lanes)
            places = [f.at(self.room(k), c, 8) for k in range(len(self.carried))]
            old = []
            for begin, place in zip(self.carried, places, strict=True):
                start = splat(literal(begin, self.wide), self.wide, lanes)
                before = f(f"load {kind}, ptr {place}, align 8")
                old.append(f(f"select i1 {first}, {kind} {start}, {kind} {before}"))
            new = self.combined(x, old, "", lanes)
            for value, place in zip(new, places, strict=True):
                f.do(f"store {kind} {value}, ptr {place}, align 8")
        else:
            last = f(f"select i1 {first}, i64 {here}, i64 {f.sub(here, self.inner)}")
            kind, e = vector("i64", lanes), vector(f.element, lanes)
            best = self.load(self.target, last, lanes)
            where = f(f"load {kind}, ptr {f.at(self.third, last, 8)}, align 8")
            lowest = splat(self.lowest()[0], f.element, lanes)
            best = f(f"select i1 {first}, {e} {lowest}, {e} {best}")
            new = self.combined(x, [best, where], self.splat_index(str(i), lanes), lanes)
        self.save(here, new, lanes)

    def room(self, k: int) -> str:
        """Where the k-th of the carried values of all columns are."""
        f = self.f
        return f.at(self.third, f(f"mul nsw i64 {self.inner}, {k}"), 8) if k else self.third

    def splat_index(self, i: str, lanes: int) -> str:
        if lanes == 1:
            return i
        f, kind = self.f, vector("i64", lanes)
        one = f(f"insertelement {kind} poison, i64 {i}, i64 0")
        return f(f"shufflevector {kind} {one}, {kind} poison, <{lanes} x i32> zeroinitializer")

    def combined(self, x: str, state: list[str], i: str, lanes: int) -> list[str]:
        """The running value, and its place, after x at i."""
        f = self.f
        if self.carried:
            kind = vector(self.wide, lanes)
            if f.dtype == F32:
                x = f(f"fpext {vector('float', lanes)} {x} to {kind}")
            if self.kind == LOGS:
                return self.with_exponential(x, state, lanes)
            operation = (SUMS if self.wide == "double" else WHOLE_SUMS)[self.kind][0]
            return [f(f"{operation} {kind} {state[0]}, {x}")]
        e, bits = vector(f.element, lanes), vector("i1", lanes)
        test = EXTREMES[self.kind]
        if f.dtype in (F32, F64):
            more = f(f"fcmp o{test} {e} {x}, {state[0]}")
            take = f(f"or {bits} {more}, {f(f'fcmp uno {e} {x}, {x}')}")
        else:
            take = f(f"icmp {'s' if f.dtype.kind == 'i' else 'u'}{test} {e} {x}, {state[0]}")
        if lanes == 1:
            return f.taken(take, [(e, x, state[0]), ("i64", i, state[1])])
        best = f(f"select {bits} {take}, {e} {x}, {e} {state[0]}")
        kind = vector("i64", lanes)
        return [best, f(f"select {bits} {take}, {kind} {i}, {kind} {state[1]}")]

    def with_exponential(self, x: str, state: list[str], lanes: int) -> list[str]:
        """The largest element, and the sum of exponentials of the distances from it, after x. Equal
        infinities have no distance.
        """
        f, kind, bits = self.f, vector("double", lanes), vector("i1", lanes)
        top, total = state
        zero, one = [splat(literal(v, "double"), "double", lanes) for v in (0.0, 1.0)]
        v = Vectors(f, 0 if lanes == 1 else lanes, f.here)
        more = f(f"fcmp ogt {kind} {x}, {top}")
        high, low = [
            f(f"select {bits} {more}, {kind} {a}, {kind} {b}") for a, b in ((x, top), (top, x))
        ]
        apart = f(f"select {bits} {f(f'fcmp oeq {kind} {x}, {top}')}, {kind} {zero}, {kind} "
                  f"{f(f'fsub {kind} {low}, {high}')}")  # fmt: skip
        e = v.function("exp", F64, [apart])
        both = [
            f(f"select {bits} {more}, {kind} {a}, {kind} {b}")
            for a, b in ((total, one), (one, total))
        ]
        grown = f(f"fadd {kind} {f(f'fmul {kind} {both[0]}, {e}')}, {both[1]}")
        return [high, grown]

    def load(self, p: str, at: Number, lanes: int) -> str:
        f = self.f
        return f(f"load {vector(f.element, lanes)}, ptr {f.at(p, at)}, align {f.size}")

    def save(self, at: Number, state: list[str], lanes: int) -> None:
        """Write the running value, and its place."""
        f, value = self.f, state[0]
        if self.kind in EXTREMES:
            kind = vector("i64", lanes)
            f.do(f"store {kind} {state[1]}, ptr {f.at(self.third, at, 8)}, align 8")
        if self.kind == LOGS:
            log = Vectors(f, 0 if lanes == 1 else lanes, f.here).function("log", F64, [state[1]])
            value = f(f"fadd {vector('double', lanes)} {value}, {log}")
        if self.carried and f.dtype == F32:
            value = f(f"fptrunc {vector('double', lanes)} {value} to {vector('float', lanes)}")
        f.do(
            f"store {vector(f.element, lanes)} {value}, ptr {f.at(self.target, at)}, align {f.size}"
        )


def vector(element: str, lanes: int) -> str:
    """The type of some elements."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


def splat(value: str, element: str, lanes: int) -> str:
    """A constant of some elements."""
    return value if lanes == 1 else f"splat ({element} {value})"


RUNNING = {"Cummax": "max", "Cummin": "min", "Logcumsumexp": LOGS}


def fits_scan(node: Node) -> bool:
    """Whether running values of a node are native."""
    x = node.inputs[0]
    fine = x.dtype in FLOATS or (
        x.dtype in INTEGERS and type(node.op).__name__ in ("Cummax", "Cummin")
    )
    return fine and bool(x.shape) and 0 not in x.shape


def write_scan(node: Node, width: int) -> list[Launch]:
    """Cummax, Cummin and Logcumsumexp."""
    x, dim = node.inputs[0], node.params["dim"] % len(node.inputs[0].shape)
    n, inner = x.shape[dim], math.prod(x.shape[dim + 1 :])
    scan = Scan(RUNNING[type(node.op).__name__], x.dtype, width, (n, inner))
    count, operands = math.prod(x.shape), (0, 1, 2)[: 1 + len(node.outputs)]
    return [
        Launch(
            scan.text(),
            tuple([(k, 0) for k in operands]),
            count // (n * inner),
            scratch=8 * inner * len(scan.carried),
            cost=count * (10.0 if scan.kind == LOGS else 1.5),
        )
    ]


# the texts of loops, for a dtype and vectors of some bits
WRITERS: dict[str, Callable[[str, Any, int], str]] = {
    "normal pairs": lambda _, d, width: few_pairs(d, width),
    "chances": lambda _, d, width: chances(d, width),
    "coins": lambda _, d, width: coins(d, width),
    "integers": lambda _, d, width: integers(d, width),
    "waits": lambda _, d, width: waits(d, width),
    "normals": lambda _, d, width: normals(width),
    "uniforms": lambda _, d, width: uniforms(width),
    "shuffle": lambda _, d, width: shuffle(width),
    totals.NAME: totals.text,
    "digit": lambda _, d, width: digit(width),
    **dict.fromkeys((*SUMS, *EXTREMES, LOGS), lambda *given: Scan(*given).text()),
    runs.NAME: lambda _, d, width: runs.text(d, width),
    "reverse": lambda _, d, width: reverse(d, width),
    **dict.fromkeys(MOVES, lambda *given: Move(*given).text()),
    **dict.fromkeys(PRODUCTS, lambda *given: Sparse(*given).text()),
    **dict.fromkeys(pairs.NAMES, pairs.text),
    **dict.fromkeys(spreads.NAMES, spreads.text),
    **dict.fromkeys(softmaxes.NAMES, softmaxes.text),
    **dict.fromkeys(norms.NAMES, norms.text),
    **dict.fromkeys(norm_gradients.NAMES, norm_gradients.text),
    **dict.fromkeys(tops.TOPS, tops.text),
    **dict.fromkeys(tops.SORTS, tops.sort_text),
    **dict.fromkeys(extremes.NAMES, extremes.text),
    ranks.NTH: lambda _, d, width: ranks.nth(d, width),
    ranks.MODE: lambda _, d, width: ranks.mode(d, width),
    **dict.fromkeys(casts.TARGETS, casts.text),
    **dict.fromkeys(pools.NAMES, pools.text),
    norms.RUNNING: norms.running,
    picks.NAME: picks.text,
    **dict.fromkeys(picks.GRADIENTS, picks.gradient_text),
    ramps.FILL: lambda _, d, width: ramps.fill(d, width),
    ramps.LIMIT: lambda _, d, width: ramps.limit(d, width),
    ramps.RAMP: lambda _, d, width: ramps.ramp(d, width),
    **dict.fromkeys(ramps.TRIANGLES, ramps.triangle),
    **dict.fromkeys(ramps.KEPT, ramps.kept),
    picks.MARGINS: picks.margins_text,
    ramps.BETWEEN: lambda _, d, width: ramps.between(d, width),
    **dict.fromkeys(grids.NAMES, lambda *given: grids.Grid(*given).text()),
    taps.NAME: taps.text,
    bags.BINS: lambda _, d, width: bags.bins_text(d, width),
    bags.NAME: lambda _, d, width: bags.text(d, width),
    **dict.fromkeys(ctc.NAMES, lambda *given: ctc.Ctc(*given).text()),
    reflections.NAME: lambda _, d, width: reflections.Reflections(width).text(),
    **dict.fromkeys(ELIMINATIONS, lambda *given: Elimination(*given).text()),
}


def write(name: str, d: Any, width: int) -> str:
    """The text of a loop."""
    return WRITERS[name](name, d, width)
