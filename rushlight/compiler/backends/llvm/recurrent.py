"""Recurrent layers: one kernel goes through all steps of some sequences.

Sequences do not depend on each other, so a unit is ``ROWS`` of them; two units that are one call's
are done together, since each pass reads the whole weight at each step. At each step a block of rows
of the state is multiplied with the weight, in the blocks that matrix products use (micro.py), and a
loop over the state's elements does the rest. Later steps may have fewer rows, see ops/recurrent.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rushlight.compiler.backends.llvm import jit
from rushlight.compiler.backends.llvm.ir.code import Code, Number, kernel
from rushlight.compiler.backends.llvm.ir.math import Vectors
from rushlight.compiler.backends.llvm.launch import SHARED, Launch
from rushlight.compiler.backends.llvm.products import micro, packing
from rushlight.compiler.backends.llvm.products.gemm import Parts, ceil
from rushlight.compiler.graph import Node, Value
from rushlight.compiler.scalars import FLOATS

ROWS = 16  # of a unit
TOGETHER = 2 * ROWS  # rows that are done at once, if they are one call's
WIDE = 3  # vectors of a panel
GATES = {"RNNTanh": 1, "RNNRelu": 1, "GRU": 3, "LSTM": 4}


def fits(node: Node) -> bool:
    """Whether a layer, or its gradient, has native code."""
    values = [v for v in (*node.inputs, *node.outputs) if isinstance(v, Value)]
    kinds = {v.dtype for v in values}
    return len(kinds) == 1 and kinds <= set(FLOATS) and all([0 not in v.shape for v in values])


class Lanes:
    """Arithmetic with vectors of the state's elements."""

    def __init__(self, f: Code) -> None:
        self.f = f

    def __call__(self, op: str, *x: str) -> str:
        d = self.f.dtype
        return Vectors(self.f, self.f.lanes, self.f.here).apply(op, d, [*x], [d] * len(x))

    def c(self, value: float) -> str:
        """A constant."""
        return Vectors(self.f, self.f.lanes, self.f.here).c(value, self.f.dtype)

    def sigmoid(self, x: str) -> str:
        """The logistic function."""
        e = self("exp", self("neg", x))
        return self("div", self.c(1), self("add", self.c(1), e))

    def rest(self, x: str) -> str:
        """``1 - x``."""
        return self("sub", self.c(1), x)

    def slope(self, x: str) -> str:
        """``x (1 - x)``."""
        return self("mul", x, self.rest(x))

    def flat(self, x: str) -> str:
        """``1 - x^2``."""
        return self.rest(self("mul", x, x))


@dataclass(frozen=True)
class Layer:
    """A layer's sizes: ``sizes`` are the rows of each step, the first of which begin ``begins``."""

    cell: str
    hidden: int
    sizes: tuple[int, ...]
    reverse: bool

    @property
    def gates(self) -> int:
        """Parts of a row of gates."""
        return GATES[self.cell]

    @property
    def rows(self) -> int:
        """Sequences."""
        return max(self.sizes)

    @property
    def units(self) -> int:
        """Units of work."""
        return ceil(self.rows, ROWS)

    @property
    def begins(self) -> list[int]:
        """The first row of each step."""
        return [sum(self.sizes[:t]) for t in range(len(self.sizes))]

    def counts(self) -> set[int]:
        """How many rows may be done at once."""
        starts = range(0, self.rows, ROWS)
        left = {max(n - r, 0) for n in set(self.sizes) for r in starts}
        return {min(n, most) for n in left for most in (ROWS, TOGETHER)}

    def steps(
        self,
        f: Code,
        body: Callable[[Number, Number], None],
        rows: tuple[Number, Number],
        turn: bool,
    ) -> None:
        """``body(row, count)`` for each step, in order of time or against it, for ``rows``, the
        first and how many: the first row at the step, and how many there are.
        """
        first, most = rows
        n = len(self.sizes)
        same = len(set(self.sizes)) == 1
        begins, sizes = ("", "") if same else (f.table(self.begins), f.table(self.sizes))

        def step(t: Number, _: list[str]) -> None:
            if self.reverse != turn:
                t = f.sub(n - 1, t)
            if same:
                begin: Number = f.mul(t, self.rows)
                size: Number = self.rows
            else:
                begin, size = f.entry(begins, t), f.entry(sizes, t)
            count = f.larger(f.smaller(f.sub(size, first), most), 0)
            body(f.add(begin, first), count)

        f.span(0, n, 1, step)


def layer_of(node: Node, hidden: int) -> Layer:
    """The layer of a node."""
    cell, p = type(node.op).__name__.removesuffix("Grad"), node.params
    return Layer(cell, hidden, tuple(p["sizes"]), bool(p["reverse"]))


class Blocks:
    """Products of a unit's rows with a weight: ``columns`` of it, ``depth`` deep."""

    def __init__(self, f: Code, layer: Layer, columns: int, depth: int, packed: bool) -> None:
        self.f, self.layer, self.columns, self.depth, self.packed = f, layer, columns, depth, packed
        vectors = ceil(columns, f.lanes)
        self.width = vectors * f.lanes
        self.panels = Parts(vectors, ceil(vectors, WIDE))
        registers = 16 if f.module.width < 512 and jit.on_x86() else 32
        self.most = 1 << (micro.most_rows(self.panels.largest, registers).bit_length() - 1)

    def write(
        self, a: str, a_row: int, b: str, c: str, c_row: int, count: Number, add: bool
    ) -> None:
        """``c (+)= a b`` for ``count`` rows."""
        f = self.f

        def panel(vectors: int, start: Number) -> None:
            column = f.mul(start, f.lanes)
            width = vectors * f.lanes
            if self.packed:
                here = f.at(b, f.mul(column, self.depth))
                self.rows(a, a_row, here, width, width, f.at(c, column), c_row, count, add)
                return
            here = f.at(b, column)
            over = self.width - self.columns
            whole = partial(
                self.rows, a, a_row, here, width, self.columns, f.at(c, column), c_row, count, add
            )
            if not over or vectors != self.panels.size:
                whole()
            elif isinstance(column, int):
                last = column + width > self.columns
                self.rows(a, a_row, here, width - over * last, self.columns, f.at(c, column),
                          c_row, count, add)  # fmt: skip
            else:
                part = partial(self.rows, a, a_row, here, width - over, self.columns,
                               f.at(c, column), c_row, count, add)  # fmt: skip
                f.when(f(f"icmp eq i64 {column}, {self.width - width}"), part, whole)

        for start, stop, size, shift in self.panels.kinds():

            def one(i: Number, _: Any, size: int = size, shift: int = shift) -> None:
                panel(size, f.add(f.mul(i, size), shift))

            f.span(start, stop, 1, one)

    def rows(
        self, a: str, a_row: int, b: str, columns: int, b_k: int, c: str, c_row: int,
        count: Number, add: bool,
    ) -> None:  # fmt: skip
        """All rows of a panel, in blocks of a power of two."""
        f, counts = self.f, self.layer.counts()

        def block(rows: int, i: Number) -> None:
            name = f"block{rows}x{columns}_{b_k}"
            if name not in f.module.functions:
                g = Code(f.module, name, micro.SIGNATURE, f.dtype)
                shape = micro.Block(
                    rows,
                    columns,
                    a_row,
                    1,
                    b_k,
                    c_row,
                    turned=False,
                    padded=self.packed,
                    once=not add,
                    near=True,
                )
                micro.write_block(g, shape)
                g.end()
            p, q = f.at(a, f.mul(i, a_row)), f.at(c, f.mul(i, c_row))
            first = "true" if not add else "false"
            f.do(
                f"call void @{name}(ptr {p}, ptr {b}, ptr {q}, i64 {self.depth}, i1 {first}, "
                "i1 false)"
            )

        most = self.most
        whole = (
            count // most
            if isinstance(count, int)
            else f(f"lshr i64 {count}, {most.bit_length() - 1}")
        )
        if any([n >= most for n in counts]):
            f.span(0, whole, 1, lambda i, _: block(most, f.mul(i, most)), empty=True)
        done, size = f.mul(whole, most), most // 2
        while size:
            if any([n & size for n in counts]):
                if isinstance(count, int):
                    if count & size:
                        block(size, done)
                        done = f.add(done, size)
                else:
                    some = f(f"and i64 {count}, {size}")
                    f.when(f(f"icmp ne i64 {some}, 0"), partial(block, size, done))
                    done = f.add(done, some)
            size //= 2

    def pack(self, node: Node, layer: Layer, width: int) -> Launch:
        """The launch that turns a weight (columns, depth) and packs its panels."""
        f = kernel(width, self.f.dtype)
        weight, target = f.operand(0), f.operand(1)

        def panel(size: int, columns: int, start: Number) -> None:
            column = f.mul(start, f.lanes)
            name = f"turn{columns}"
            if name not in f.module.functions:
                g = Code(f.module, name, packing.SIGNATURE, f.dtype)
                packing.write_turned(g, columns, self.depth, size * f.lanes, self.depth)
                g.end()
            source = f.at(weight, f.mul(column, self.depth))
            to = f.at(target, f.mul(column, self.depth))
            f.do(f"call void @{name}(ptr {source}, ptr {to}, i64 {self.depth})")

        over = self.width - self.columns
        for start, stop, size, shift in self.panels.kinds():
            low, high = f.larger("%lo", start), f.smaller("%hi", stop)

            def one(i: Number, _: Any, size: int = size, shift: int = shift) -> None:
                at, whole = f.add(f.mul(i, size), shift), partial(panel, size, size * f.lanes)
                if not over or size != self.panels.size:
                    whole(at)
                    return
                f.when(
                    f(f"icmp eq i64 {i}, {self.panels.parts - 1}"),
                    partial(panel, size, size * f.lanes - over, at),
                    partial(whole, at),
                )

            f.span(low, high, 1, one, empty=True)
        f.end()
        size = self.width * self.depth * f.size
        return Launch(f.module.text(), ((1, 0), (SHARED, 0)), self.panels.parts,
                      shared=size, cost=0.1 * self.columns * self.depth)  # fmt: skip


class Unit:
    """Code of a unit: where its rows are, and loops over them."""

    def __init__(self, f: Code, layer: Layer) -> None:
        self.f, self.layer, self.v = f, layer, Lanes(f)
        self.hidden = layer.hidden

    def each(self, count: Number, body: Callable[[Number, Number, int], None]) -> None:
        """``body(row, column, lanes)`` over the state's elements."""
        f, whole = self.f, self.hidden // self.f.lanes * self.f.lanes

        def row(i: Number, _: Any) -> None:
            f.span(0, whole, f.lanes, lambda j, _: body(i, j, f.lanes))
            if self.hidden % f.lanes:
                body(i, whole, self.hidden % f.lanes)

        f.span(0, count, 1, row, empty=True)

    def units(self, body: Callable[[Number, Number], None]) -> None:
        """``body(first row, rows)`` for the units of the call."""
        f = self.f
        end = f.smaller(f.mul("%hi", ROWS), self.layer.rows)

        def some(first: Number, _: Any) -> None:
            body(first, f.smaller(f.sub(end, first), TOGETHER))

        f.span(f.mul("%lo", ROWS), end, TOGETHER, some)

    def copy(
        self, source: str, source_row: int, target: str, target_row: int, rows: Number
    ) -> None:
        """Copy rows of the state."""
        f = self.f

        def some(i: Number, j: Number, lanes: int) -> None:
            x = f.load(f.at(f.at(source, f.mul(i, source_row)), j), lanes)
            f.store(f.at(f.at(target, f.mul(i, target_row)), j), x, lanes)

        self.each(rows, some)


def operands(f: Code, node: Node) -> tuple[list[str], list[int]]:
    """Addresses of a node's inputs and outputs, and the places of those that there are."""
    values = [*node.inputs, *node.outputs]
    given = [k for k, v in enumerate(values) if v is not None]
    places = [""] * len(values)
    for number, k in enumerate(given):
        places[k] = f.operand(number)
    return places, given


def write_forward(node: Node, width: int) -> list[Launch]:
    """A layer: inputs x, weight, bias and first states; outputs as the op has them."""
    states = len(node.inputs) - 3
    x, weight = node.inputs[0], node.inputs[1]
    layer = layer_of(node, weight.shape[1])
    h, gates = layer.hidden, layer.gates
    f = kernel(width, x.dtype)
    p, given = operands(f, node)
    shared = f.operand(len(given))
    blocks = Blocks(f, layer, gates * h, h, packed=True)
    unit, z_row = Unit(f, layer), blocks.width
    first, made = p[3 : 3 + states], p[3 + states :]
    out, last, before = made[0], made[1 : 1 + states], made[1 + states]

    def rows_of(begin: Number, count: Number, start: Number) -> None:
        """One step."""
        state = [f.at(q, f.mul(start, h)) for q in last]
        blocks.write(state[0], h, shared, "%scratch", z_row, count, add=False)

        def element(i: Number, j: Number, lanes: int) -> None:
            row = f.add(begin, i)
            zs = [f.at(f.at("%scratch", f.mul(i, z_row)), f.add(j, g * h)) for g in range(gates)]
            z = [f.load(q, lanes) for q in zs]
            if p[2]:
                z = [f.plus(a, f.load(f.at(p[2], f.add(j, g * h)), lanes)) for g, a in enumerate(z)]
            wide, narrow = f.mul(row, gates * h), f.add(f.mul(row, h), j)
            given = [f.load(f.at(f.at(p[0], wide), f.add(j, g * h)), lanes) for g in range(gates)]
            places = [f.at(f.at(q, f.mul(i, h)), j) for q in state]
            old = [f.load(q, lanes) for q in places]
            new, wides, narrows = FORWARD[layer.cell](unit.v, given, z, old)
            f.store(f.at(before, narrow), old[0], lanes)
            for q, value in zip(
                made[2 + states :], order(layer.cell, wides, narrows, old), strict=True
            ):
                if isinstance(value, list):
                    for g, part in enumerate(value):
                        f.store(f.at(f.at(q, wide), f.add(j, g * h)), part, lanes)
                else:
                    f.store(f.at(q, narrow), value, lanes)
            for q, value in zip(places, new, strict=True):
                f.store(q, value, lanes)
            f.store(f.at(out, narrow), new[0], lanes)

        unit.each(count, element)

    def body(start: Number, rows: Number) -> None:
        for source, target in zip(first, last, strict=True):
            unit.copy(f.at(source, f.mul(start, h)), h, f.at(target, f.mul(start, h)), h, rows)
        layer.steps(f, lambda begin, count: rows_of(begin, count, start), (start, rows), turn=False)

    unit.units(body)
    f.end()
    pack = blocks.pack(node, layer, width)
    work = sum(layer.sizes) * gates * h * (h * 2 / 80 + 3)
    places = (*[(k, 0) for k in given], (SHARED, 0))
    main = Launch(
        f.module.text(), places, layer.units, scratch=(TOGETHER * z_row + f.lanes) * f.size,
        shared=pack.shared, cost=work / (4 / f.size),
    )  # fmt: skip
    return [pack, main]


def order(cell: str, wides: Any, narrows: Any, old: list[str]) -> list[Any]:
    """What else a layer keeps of a step, in the order of its outputs."""
    if cell == "GRU":
        return [wides, narrows]
    if cell == "LSTM":
        return [old[1], wides, narrows]
    return []


def rnn_forward(activation: str) -> Any:
    """``h' = f(x + z)``."""

    def cell(v: Lanes, x: list[str], z: list[str], old: list[str]) -> Any:
        a = v("add", x[0], z[0])
        return [v("tanh", a) if activation == "tanh" else v("max", a, v.c(0))], None, None

    return cell


def gru_forward(v: Lanes, x: list[str], z: list[str], old: list[str]) -> Any:
    """``h' = n + u (h - n)`` with ``n = tanh(x + r z)``."""
    r, u = [v.sigmoid(v("add", x[g], z[g])) for g in (0, 1)]
    n = v("tanh", v("add", x[2], v("mul", r, z[2])))
    new = v("add", v("mul", v("sub", old[0], n), u), n)
    return [new], [r, u, n], z[2]


def lstm_forward(v: Lanes, x: list[str], z: list[str], old: list[str]) -> Any:
    """``c' = f c + i g``, ``h' = o tanh(c')``."""
    a = [v("add", q, w) for q, w in zip(x, z, strict=True)]
    i, keep, o = [v.sigmoid(a[g]) for g in (0, 1, 3)]
    g = v("tanh", a[2])
    c = v("add", v("mul", old[1], keep), v("mul", i, g))
    s = v("tanh", c)
    return [v("mul", s, o), c], [i, keep, g, o], s


FORWARD = {
    "RNNTanh": rnn_forward("tanh"),
    "RNNRelu": rnn_forward("relu"),
    "GRU": gru_forward,
    "LSTM": lstm_forward,
}


def write_backward(node: Node, width: int) -> list[Launch]:
    """A layer's gradient. Inputs: gradients of the output and of the last states, the weight, and
    what was kept; outputs: gradients of the gates (for GRU also of what the state contributes), and
    of the first states.
    """
    cell = type(node.op).__name__.removesuffix("Grad")
    states, gates = (2 if cell == "LSTM" else 1), GATES[cell]
    weight = node.inputs[1 + states]
    layer = layer_of(node, weight.shape[1])
    h = layer.hidden
    f = kernel(width, weight.dtype)
    p, given = operands(f, node)
    blocks = Blocks(f, layer, h, gates * h, packed=False)
    unit, row_size = Unit(f, layer), blocks.width
    g_out, g_last, w = p[0], p[1 : 1 + states], p[1 + states]
    kept, made = p[2 + states : len(node.inputs)], p[len(node.inputs) :]
    wides, firsts = made[:-states], made[-states:]
    held = [f.at("%scratch", s * TOGETHER * row_size) for s in range(states)]

    def rows_of(begin: Number, count: Number) -> None:
        """One step."""

        def element(i: Number, j: Number, lanes: int) -> None:
            row = f.add(begin, i)
            wide, narrow = f.mul(row, gates * h), f.add(f.mul(row, h), j)
            places = [f.at(f.at(q, f.mul(i, row_size)), j) for q in held]
            d = [f.load(q, lanes) for q in places]
            d[0] = f.plus(d[0], f.load(f.at(g_out, narrow), lanes))

            def narrow_at(k: int) -> str:
                return f.load(f.at(kept[k], narrow), lanes)

            def wide_at(k: int) -> list[str]:
                q = f.at(kept[k], wide)
                return [f.load(f.at(q, f.add(j, g * h)), lanes) for g in range(gates)]

            parts, d = BACKWARD[cell](unit.v, d, narrow_at, wide_at)
            for q, values in zip(wides, parts, strict=True):
                for g, value in enumerate(values):
                    f.store(f.at(f.at(q, wide), f.add(j, g * h)), value, lanes)
            for q, value in zip(places, d, strict=True):
                if value:
                    f.store(q, value, lanes)

        unit.each(count, element)
        a = f.at(wides[-1], f.mul(begin, gates * h))
        blocks.write(a, gates * h, w, held[0], row_size, count, add=cell == "GRU")

    def body(start: Number, rows: Number) -> None:
        for source, target in zip(g_last, held, strict=True):
            unit.copy(f.at(source, f.mul(start, h)), h, target, row_size, rows)
        layer.steps(f, rows_of, (start, rows), turn=True)
        for source, target in zip(held, firsts, strict=True):
            unit.copy(source, row_size, f.at(target, f.mul(start, h)), h, rows)

    unit.units(body)
    f.end()
    work = sum(layer.sizes) * gates * h * (h * 2 / 80 + 2)
    scratch = (states * TOGETHER * row_size + f.lanes) * f.size
    places = tuple([(k, 0) for k in given])
    return [Launch(f.module.text(), places, layer.units, scratch, cost=work / (4 / f.size))]


def rnn_backward(activation: str) -> Any:
    """Through ``h' = f(a)``: the slope follows from h'."""

    def cell(v: Lanes, d: list[str], narrow: Any, wide: Any) -> Any:
        out = narrow(0)
        if activation == "tanh":
            z = v("mul", v.flat(out), d[0])
        else:
            on = v.f(f"fcmp ogt {v.f.vector} {out}, zeroinitializer")
            z = v.f(f"select {v.f.bits} {on}, {v.f.vector} {d[0]}, {v.f.vector} zeroinitializer")
        return [[z]], [""]

    return cell


def gru_backward(v: Lanes, d: list[str], narrow: Any, wide: Any) -> Any:
    """Kept: the states before, the gates, and what the state contributed to n."""
    before, (r, u, n), new = narrow(0), wide(1), narrow(2)
    dn = v("mul", v("mul", v.rest(u), v.flat(n)), d[0])
    du = v("mul", v("mul", v("sub", before, n), v.slope(u)), d[0])
    dr = v("mul", v("mul", dn, new), v.slope(r))
    return [[dr, du, dn], [dr, du, v("mul", dn, r)]], [v("mul", d[0], u)]


def lstm_backward(v: Lanes, d: list[str], narrow: Any, wide: Any) -> Any:
    """Kept: the cells before, the gates, and tanh of the cells after."""
    c, (i, keep, g, o), s = narrow(0), wide(1), narrow(2)
    dc = v("add", d[1], v("mul", d[0], v("mul", o, v.flat(s))))
    parts = [
        v("mul", v("mul", v.slope(i), g), dc),
        v("mul", v("mul", v.slope(keep), c), dc),
        v("mul", v("mul", i, v.flat(g)), dc),
        v("mul", v("mul", v.slope(o), s), d[0]),
    ]
    return [parts], ["", v("mul", dc, keep)]


BACKWARD = {
    "RNNTanh": rnn_backward("tanh"),
    "RNNRelu": rnn_backward("relu"),
    "GRU": gru_backward,
    "LSTM": lstm_backward,
}
