"""Connectionist temporal classification: paths through the labels of a sample, in logarithms.

The states of a sample are its labels with blanks between and around them. A row holds the
logarithm of a probability for each state, with LANES columns that no path reaches on both sides.
What comes before the first step, and after the last, is a row in which one state is certain.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ir.math import Vectors
from rushlight.compiler.backends.llvm.ir.text import literal
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.graph import Node
from rushlight.compiler.scalars import FLOATS

LANES = 16  # columns: a multiple of the lanes of any vector
NAMES = ("ctc loss", "ctc gradient")
ROWS = 3  # of the scratch memory, besides one for each step
SIZES = ("steps", "samples", "classes", "stride", "longest", "blank")
MOST = 1 << 26  # bytes of scratch memory


def room(steps: int, longest: int, size: int) -> int:
    """Bytes of scratch memory: for the labels of the states, and for rows."""
    width = -(-(2 * longest + 1) // LANES) * LANES + 2 * LANES
    return width * (8 + size * (ROWS + steps + 1))


class Ctc:
    """For each sample, with log-probabilities (steps, samples, classes), operand 0, labels,
    operand 1, input lengths, operand 2, and target lengths, operand 3:

    "ctc loss": minus the logarithm of the probability of all paths, to operand 4, and to operand 5
    whether lengths and labels are in range.
    "ctc gradient": the gradient by the scores that ``log_softmax`` made the log-probabilities from,
    times operand 4, to operand 5.

    A sample's labels begin ``stride`` after the last sample's, or, for a stride of 0, where those
    end; there are at most ``longest``. Operand 6 is scratch memory and operand 7 holds the sizes,
    unless these are given.
    """

    def __init__(self, name: str, d: Any, width: int, sizes: tuple[int, ...] | None = None) -> None:
        self.f = f = kernel(width, d)
        self.losses = name == "ctc loss"
        self.x, self.targets, self.steps_of, self.count_of, self.left, self.right = [
            f.operand(k) for k in range(6)
        ]
        self.work = "%scratch" if sizes else f.operand(6)
        given = sizes or [f.scalar64(f.at(f.operand(7), k, 8)) for k in range(len(SIZES))]
        self.steps, self.samples, self.classes, self.stride, self.longest, self.blank = [
            str(size) for size in given
        ]
        whole = f(f"and i64 {f.add(f.mul(self.longest, 2), LANES)}, {-LANES}")
        self.width = str(f.add(whole, 2 * LANES))
        self.low = literal(-np.inf, f.element)
        f.span("%lo", "%hi", 1, lambda n, _: self.sample(n))
        f.end()

    def text(self) -> str:
        return self.f.module.text()

    # Numbers

    def times(self, a: Number, b: Number) -> str:
        return self.f(f"mul nsw i64 {a}, {b}")

    def within(self, a: str, most: Number) -> str:
        """a, or the nearest number from 0 to ``most``."""
        return str(self.f.larger(self.f.smaller(a, most), 0))

    def is_same(self, a: Number, b: Number, ok: str) -> str:
        return self.f(f"and i1 {ok}, {self.f(f'icmp eq i64 {a}, {b}')}")

    def set(self, p: str, i: Number, x: str) -> None:
        f = self.f
        f.do(f"store {f.element} {x}, ptr {f.at(p, i)}, align {f.size}")

    def row(self, k: Number) -> str:
        """The first state of a row of the scratch memory, behind the labels."""
        f = self.f
        return f.at(f.at(f.at(self.work, self.width, 8), self.times(self.width, k)), LANES)

    # A sample

    def sample(self, n: Number) -> None:
        f = self.f
        at = f.at(self.steps_of, n, 8)
        self.last = self.within(f.scalar64(at), self.steps)
        ok = self.is_same(self.last, f.scalar64(at), "true")

        def add(i: Number, ends: list[str]) -> list[str]:
            return [str(f.add(ends[0], f.larger(f.scalar64(f.at(self.count_of, i, 8)), 0)))]

        (joined,) = f.span(0, n, 1, add, [("i64", "0")], empty=True)
        is_joined = f(f"icmp eq i64 {self.stride}, 0")
        joined = str(f.smaller(joined, self.longest))
        start = f(f"select i1 {is_joined}, i64 {joined}, i64 {self.times(n, self.stride)}")
        most = f(f"select i1 {is_joined}, i64 {f.sub(self.longest, joined)}, i64 {self.longest}")
        at = f.at(self.count_of, n, 8)
        count = self.within(f.scalar64(at), most)
        ok = self.is_same(count, f.scalar64(at), ok)
        self.end = str(f.mul(count, 2))
        self.states = str(f.add(self.end, 1))
        self.far, self.emit, self.beta = [self.row(k) for k in range(ROWS)]
        self.clear(0, ROWS + 1)
        ok = self.label(start, ok)
        self.at = f.add(self.times(n, self.classes), 0)
        if self.losses:
            f.do(f"store i64 {f(f'zext i1 {ok} to i64')}, ptr {f.at(self.right, n, 8)}, align 8")
            self.forward(False)
            self.set(self.left, n, self.loss(self.row(ROWS)))
            return
        g = f.scalar(f.at(self.left, n))
        some = f(f"fcmp une {f.element} {g}, {literal(0.0, f.element)}")
        f.when(some, lambda: self.gradient(g), lambda: self.nothing(0))

    def clear(self, first: int, rows: int) -> None:
        """Rows that no path reaches."""
        f = self.f
        p = f.at(self.row(first), -LANES)
        low = f.splat(self.low)
        f.span(
            0, self.times(self.width, rows), f.lanes, lambda i, _: f.store(f.at(p, i), low)
        )  # fmt: skip

    def label(self, start: str, ok: str) -> str:
        """Write the labels of all states, and which can be reached from two states before."""
        f = self.f
        even = f.at(self.work, 0, 8)
        f.do(f"store i64 {self.blank}, ptr {even}, align 8")

        def each(i: Number, state: list[str]) -> list[str]:
            given = f.scalar64(f.at(self.targets, f.add(start, i), 8))
            label = self.within(given, f.sub(self.classes, 1))
            here = f.add(f.mul(i, 2), 1)
            p = f.at(self.work, here, 8)
            f.do(f"store i64 {label}, ptr {p}, align 8")
            f.do(f"store i64 {self.blank}, ptr {f.at(p, 1, 8)}, align 8")
            new = f(f"icmp ne i64 {label}, {state[1]}")
            new = f(f"and i1 {new}, {f(f'icmp ne i64 {label}, {self.blank}')}")
            far = f"{f.element} {literal(0.0, f.element)}, {f.element} {self.low}"
            self.set(self.far, here, f(f"select i1 {new}, {far}"))
            return [self.is_same(label, given, state[0]), label]

        count = f(f"lshr i64 {self.end}, 1")
        ok, _ = f.span(0, count, 1, each, [("i1", ok), ("i64", "-1")], empty=True)
        return ok

    def read(self, t: Number) -> None:
        """The log-probabilities of all states at a step."""
        f = self.f
        p = f.at(self.x, self.place(t))

        def state(s: Number, _: list[str]) -> None:
            label = f.scalar64(f.at(self.work, s, 8))
            self.set(self.emit, s, f.scalar(f.at(p, label)))

        f.span(0, self.states, 1, state)

    def place(self, t: Number) -> str:
        """Where the classes of a step begin."""
        f = self.f
        return str(f.add(self.times(self.times(t, self.samples), self.classes), self.at))

    def sum_of(self, terms: list[str], lanes: int) -> str:
        """The logarithm of the sum of exponentials."""
        f = self.f
        v = Vectors(f, lanes, f.here)
        top = v.c(float(np.finfo(f.dtype).min), f.dtype)
        for term in terms:
            top = v.real("max", f.dtype, [top, term])
        kind = v.type(f.dtype)
        total = ""
        for term in terms:
            e = v.function("exp", f.dtype, [f(f"fsub {kind} {term}, {top}")])
            total = e if not total else f(f"fadd {kind} {total}, {e}")
        return f(f"fadd {kind} {v.function('log', f.dtype, [total])}, {top}")

    def forward(self, keep: bool) -> None:
        """Paths up to each step: rows ROWS + 1 + t, or, unless they are kept, always row ROWS."""
        f = self.f
        blocks = f(f"lshr i64 {f.add(self.states, f.lanes - 1)}, {f.lanes.bit_length() - 1}")
        self.set(self.row(ROWS), 0, literal(0.0, f.element))

        def step(t: Number, _: list[str]) -> None:
            self.read(t)
            old = self.row(f.add(t, ROWS)) if keep else self.row(ROWS)
            new = self.row(f.add(t, ROWS + 1)) if keep else old
            if keep:  # the columns before the first state
                f.store(f.at(new, -f.lanes), f.splat(self.low))

            def block(k: Number, _: list[str]) -> None:  # from the end: old values are read first
                s = f.mul(f.sub(f.sub(blocks, 1), k), f.lanes)
                jump = f.plus(f.load(f.at(old, f.sub(s, 2))), f.load(f.at(self.far, s)))
                near = [f.load(f.at(old, s)), f.load(f.at(old, f.sub(s, 1)))]
                total = self.sum_of([*near, jump], f.lanes)
                f.store(f.at(new, s), f.plus(total, f.load(f.at(self.emit, s))))

            f.span(0, blocks, 1, block)

        f.span(0, self.last, 1, step, empty=True)

    def loss(self, row: str) -> str:
        """Minus the logarithm of the probability of the last two states."""
        f = self.f
        ends = [f.scalar(f.at(row, f.sub(self.end, k))) for k in (0, 1)]
        return f(f"fneg {f.element} {self.sum_of(ends, 0)}")

    # The gradient

    def nothing(self, start: Number) -> None:
        """Zeros from a step on."""
        f = self.f

        def step(t: Number, _: list[str]) -> None:
            f.clear(f.at(self.right, self.place(t)), self.classes)

        f.span(start, self.steps, 1, step, empty=True)

    def gradient(self, g: str) -> None:
        f = self.f
        self.forward(True)
        loss = f.splat(self.loss(self.row(f.add(self.last, ROWS))))
        self.set(self.beta, self.end, literal(0.0, f.element))

        def step(k: Number, _: list[str]) -> None:
            t = f.sub(f.sub(self.last, 1), k)
            self.read(t)
            alpha, out = self.row(f.add(t, ROWS + 1)), f.at(self.right, self.place(t))
            self.scale(t, out, "", "exp")

            def block(s: Number, _: list[str]) -> None:
                p = f.at(self.beta, s)
                jump = f.plus(f.load(f.at(p, 2)), f.load(f.at(self.far, f.add(s, 2))))
                total = self.sum_of([f.load(p), f.load(f.at(p, 1)), jump], f.lanes)
                f.store(p, f.plus(total, f.load(f.at(self.emit, s))))
                joint = f.plus(f.plus(total, f.load(f.at(alpha, s))), loss)
                v = Vectors(f, f.lanes, f.here)
                f.store(f.at(alpha, s), v.function("exp", f.dtype, [joint]))

            def share(s: Number, _: list[str]) -> None:
                p = f.at(out, f.scalar64(f.at(self.work, s, 8)))
                less = f(f"fsub {f.element} {f.scalar(p)}, {f.scalar(f.at(alpha, s))}")
                f.do(f"store {f.element} {less}, ptr {p}, align {f.size}")

            f.span(0, self.states, f.lanes, block)
            f.span(0, self.states, 1, share)
            self.scale(t, out, g, "mul")

        f.span(0, self.last, 1, step, empty=True)
        self.nothing(self.last)

    def scale(self, t: Number, out: str, g: str, how: str) -> None:
        """The classes of a step: exponentials of the log-probabilities, or ``out`` times g."""
        f = self.f
        source = f.at(self.x, self.place(t)) if how == "exp" else out
        whole = f(f"and i64 {self.classes}, {-f.lanes}")

        def some(c: Number, lanes: int) -> None:
            v = Vectors(f, lanes, f.here)
            kind = v.type(f.dtype)
            x = f(f"load {kind}, ptr {f.at(source, c)}, align {f.size}")
            if how == "exp":
                x = v.function("exp", f.dtype, [x])
            else:
                x = f(f"fmul {kind} {x}, {v.splat(g, f.dtype)}")
            f.do(f"store {kind} {x}, ptr {f.at(out, c)}, align {f.size}")

        f.span(0, whole, f.lanes, lambda c, _: some(c, f.lanes), empty=True)
        f.span(whole, self.classes, 1, lambda c, _: some(c, 0), empty=True)


def sizes_of(x: Any, targets: Any, blank: int) -> tuple[int, ...]:
    """The sizes of a call, see SIZES."""
    stride = targets.shape[1] if len(targets.shape) == 2 else 0
    return *x.shape, stride, stride or math.prod(targets.shape), blank


def fits(node: Node) -> bool:
    """Whether a node of losses, or of gradients, is native."""
    x, targets = node.inputs[-4:-2]
    sizes = sizes_of(x, targets, 0)
    small = room(sizes[0], sizes[4], x.dtype.itemsize) <= MOST
    return x.dtype in FLOATS and 0 not in (*x.shape, *targets.shape) and small


def write(node: Node, width: int) -> list[Launch]:
    """CtcLosses or CtcGradients."""
    x, targets = node.inputs[-4:-2]
    losses = type(node.op).__name__ == "CtcLosses"
    sizes = sizes_of(x, targets, node.params["blank"])
    made = Ctc(NAMES[not losses], x.dtype, width, sizes)
    order = (0, 1, 2, 3, 4, 5) if losses else (1, 2, 3, 4, 0, 5)
    states = 2 * sizes[4] + 1 if sizes[3] else 2 * sizes[4] // sizes[1] + 1
    cost = (10.0 if losses else 30.0) * sizes[0] * sizes[1] * states
    scratch = room(sizes[0], sizes[4], x.dtype.itemsize)
    operands = tuple([(k, 0) for k in order])
    return [Launch(made.text(), operands, sizes[1], scratch, cost=cost)]
