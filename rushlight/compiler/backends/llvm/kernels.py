"""A Kernel as a function: loops over rows and columns, one axis of which runs through the lanes of
vectors.

Note [Stages of a row]
The columns of a row are gone through as often as reductions depend on each other: softmax takes its
maximum in stage 0, the sum in stage 1, and stores in stage 2. What is needed again in a later stage
is computed again, unless the row is short: then its vectors are never in a loop, and stay in
registers.

Note [Depth]
An expression belongs to the innermost loop whose axis it depends on, and is written there, before
the loops within it.

Note [Numbers beside the code]
Layers that differ in their number of channels have kernels that differ in how far rows are apart
and how many units there are. These numbers are in a launch's table, so that the code is one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.axes import collapse
from rushlight.compiler.backends.llvm.ir.code import SIGNATURE
from rushlight.compiler.backends.llvm.ir.math import Vectors
from rushlight.compiler.backends.llvm.ir.text import (
    Function,
    Module,
    literal,
    scalar_type,
    splat_literal,
    vector_type,
)
from rushlight.compiler.backends.llvm.launch import TABLE, Launch
from rushlight.compiler.loops import Affine, Expr, Kernel, Store, expressions

BOOL = np.dtype(bool)
CHEAP = frozenset(
    ("add", "sub", "mul", "neg", "abs", "max", "min", "lt", "le", "gt", "ge", "eq", "ne", "and")
    + ("or", "xor", "not", "where", "cast", "load", "const", "number", "axis", "reduce", "sqrt")
    + ("floor", "ceil", "trunc", "rint")
)
STRAIGHT = 4  # vectors of a row that are written out instead of looped over


BLOCK = 4096  # elements of a unit
AHEAD = 8  # rows
SCALES = (1, 2, 4, 8)  # of indices, which are a part of addresses


class Writer:
    """Writes one kernel, see launch.py. ``operands``: (buffer, offset in elements) of each.
    ``block``: elements of a unit at most, where units are parts of one axis. ``tabled``: whether
    there is a table, the first operand, see Note [Numbers beside the code].
    """

    def __init__(
        self, kernel: Kernel, width: int, block: int = BLOCK, *, tabled: bool = False
    ) -> None:
        self.kernel = kernel = collapse(kernel)
        self.block, self.tabled = block, tabled
        self.numbers: dict[int, int] = {}  # in the table, with their places
        self.exprs = expressions(kernel)
        self.f = Function(Module(width), "kernel", SIGNATURE, linkage="")
        self.f.module.exact = kernel.exact
        self.operands: dict[Any, tuple[int, int, int]] = {}  # number, offset, size of an element
        self.units = 1
        self.choose_lanes(self.f.module)
        self.measure()
        self.memo: list[dict[Any, str]] = [{} for _ in range(len(self.nest) + 1)]
        self.room: list[Any] = [self.f.here]  # where code of each depth goes
        self.counters: dict[int, str] = {}
        self.rows(0)
        self.f.end()

    def launch(self) -> Launch:
        """The kernel, ready to be compiled."""
        found = [(b, offset * size) for b, (_, offset, size) in self.operands.items()]
        operands = tuple([(TABLE, 0)] * self.tabled + found)
        numbers, text = tuple(self.numbers), self.f.module.text()
        return Launch(text, operands, self.units, cost=self.cost(), numbers=numbers)

    def cost(self) -> float:
        """A guess at the nanoseconds of all units."""
        each = sum([0.02 if e.op in CHEAP else 0.4 for e in self.exprs]) + 0.1 * len(
            self.kernel.stores
        )
        return each * math.prod(self.kernel.sizes.values())

    # Plan

    def choose_lanes(self, module: Module) -> None:
        """Which axis runs through lanes, and the order of the loops."""
        k = self.kernel
        votes = dict.fromkeys([*k.rows, *k.cols], 0.0)
        accesses = [e.data[1] for e in self.exprs if e.op in ("load", "gather")]
        accesses += [s.where for s in k.stores]
        for f in accesses:
            often = 1.0 if not k.cols or any([a in k.cols for a, _ in f.terms]) else 0.1
            for axis in votes:
                c = f.of(axis)
                votes[axis] += often * (1 if c == 1 else 0.1 if c == 0 else -0.4)
        order = [*k.rows, *k.cols]
        self.lane_axis = None
        if order:
            # among equals the last; a short axis leaves lanes empty
            fill = {a: min(k.sizes[a], module.width // 32) for a in order}
            self.lane_axis = max(order, key=lambda a: (votes[a] * fill[a], order.index(a)))
        rows, cols = list(k.rows), list(k.cols)
        for axes in (rows, cols):
            if self.lane_axis in axes:
                axes.remove(self.lane_axis)
                axes.append(self.lane_axis)
        self.nest, self.row_depth = [*rows, *cols], len(rows)
        element = max(
            [e.dtype.itemsize for e in self.exprs if e.dtype.kind == "f" and e.op != "number"],
            default=4,
        )
        most = max(2, module.width // 8 // element)
        size = k.sizes[self.lane_axis] if self.lane_axis is not None else 1
        self.lanes = min(most, 1 << max(0, (size - 1).bit_length())) if size > 1 else 0
        self.across = self.lane_axis in rows  # lanes hold different rows

    def measure(self) -> None:
        """Each expression's depth, stage, and whether it differs between lanes. See Note [Depth]
        and Note [Stages of a row].
        """
        self.depth: dict[int, int] = {}
        self.stage: dict[int, int] = {}
        self.varies: dict[int, bool] = {}
        position = {axis: d + 1 for d, axis in enumerate(self.nest)}
        for e in self.exprs:
            n = e.number
            affine = where(e)
            axes = () if affine is None else affine.terms
            self.depth[n] = max(
                [position[a] for a, _ in axes] + [self.depth[a.number] for a in e.args], default=0
            )
            self.varies[n] = any([a == self.lane_axis for a, _ in axes]) or any(
                [self.varies[a.number] for a in e.args]
            )
            self.stage[n] = max([self.stage[a.number] for a in e.args], default=0)
            if e.op == "reduce":
                self.stage[n] += 1
                self.depth[n] = self.row_depth
                self.varies[n] = self.across

    # Loops

    def rows(self, at: int) -> None:
        """The loops over rows from depth ``at`` on, then the stages."""
        if at == self.row_depth:
            self.stages(self.current if self.across else [("row", ("at", 0), 0)])
            return
        axis = self.nest[at]
        if axis == self.lane_axis:
            self.chunks(at, [], self.row_chunks)
        else:
            self.plain_loop(at, [], lambda accs: self.deeper(at, accs))

    def deeper(self, at: int, accs: list[str]) -> list[str]:
        self.rows(at + 1)
        return accs

    def row_chunks(self, chunks: list[Any], accs: list[str]) -> list[str]:
        self.current = chunks
        self.rows(self.row_depth)
        return accs

    def plain_loop(self, at: int, carried: list[tuple[str, str]], body: Any) -> list[str]:
        """A loop whose axis is the same in all lanes."""
        axis = self.nest[at]
        if at == 0 and self.row_depth:
            self.units = self.kernel.sizes[axis]
            return self.looped(at, "%hi", 1, carried, axis, body, "%lo")
        return self.looped(at, self.kernel.sizes[axis], 1, carried, axis, body)

    def looped(
        self,
        at: int,
        stop: int | str,
        step: int,
        carried: list[tuple[str, str]],
        axis: int,
        body: Any,
        start: int | str = 0,
    ) -> list[str]:
        place: list[Any] = []
        self.f.here.append(place)
        # what does not depend on this loop goes before it; so do depths that are no loops here
        open_depths = [d for d in range(at + 1) if self.room[d] is self.f.here]
        for d in open_depths:
            self.room[d] = place

        def inside(i: str, names: list[str]) -> list[str]:
            self.counters[axis] = i
            self.room.append(self.f.here)
            result: list[str] = body(names)
            self.room.pop()
            return result

        result = self.f.loop(stop, step, carried, inside, start)
        for depth in range(at + 1, len(self.memo)):
            self.memo[depth].clear()
        for d in open_depths:
            self.room[d] = self.f.here
        return result

    def chunks(self, at: int, carried: list[tuple[str, str]], body: Any) -> list[str]:
        """Go through the lane axis; the body gets chunks (key, start, lanes masked on, 0 for all)
        and passes ``carried`` on.
        """
        axis = self.nest[at]
        size, lanes = self.kernel.sizes[axis], self.lanes
        vectors, tail = divmod(size, lanes)
        accs = [start for _, start in carried]
        done = 0
        outermost = at == 0 and self.row_depth > 0
        if vectors + bool(tail) > STRAIGHT:
            unroll = 4 if carried or self.across else 2
            # a vector alone of each row would be a cache line amid others
            unroll = min(unroll, max(4 if self.across else 1, 48 // max(1, len(self.exprs)) * 2))
            done = vectors // unroll * unroll
            turn = [(f"{u}", ("loop", u * lanes), 0) for u in range(unroll)]
            start, stop = self.part(done, unroll) if outermost else ("0", str(done * lanes))
            accs = self.looped(
                at, stop, unroll * lanes, carried, axis, lambda names: body(turn, names), start
            )
        rest = [(f"s{k}", ("at", k * lanes), 0) for k in range(done, vectors)]
        if tail:
            rest.append((f"s{vectors}", ("at", vectors * lanes), tail))
        if rest:
            shared = outermost and self.units > 1
            after = self.only_last() if shared else ""
            self.room.append(self.f.here)
            accs = body(rest, accs)
            self.room.pop()
            if done:
                for depth in range(at + 1, len(self.memo)):
                    self.memo[depth].clear()
            if shared:
                self.f.do(f"br label %{after}")
                self.f.label(after)
        return accs

    def part(self, vectors: int, unroll: int) -> tuple[str, str]:
        """The positions that units lo to hi - 1 cover, of an axis of so many vectors."""
        # where each element is a sum over columns, fewer of them are as much work
        each = math.prod([self.kernel.sizes[a] for a in self.kernel.cols])
        block = max(unroll, self.block // each // (self.lanes * unroll) * unroll)
        self.units = max(1, vectors // block)
        if self.units == 1:
            return "0", self.known(vectors * self.lanes)
        start = self.f(f"mul nsw i64 %lo, {block * self.lanes}")
        end = self.f(f"mul nsw i64 %hi, {block * self.lanes}")
        last = self.f(f"icmp eq i64 %hi, {self.known(self.units)}")
        whole = self.known(vectors * self.lanes)
        return start, self.f(f"select i1 {last}, i64 {whole}, i64 {end}")

    def only_last(self) -> str:
        """What follows is for the last unit; returns the label behind it."""
        inside, after = self.f.name_of("R"), self.f.name_of("A")
        last = self.f(f"icmp eq i64 %hi, {self.known(self.units)}")
        self.f.do(f"br i1 {last}, label %{inside}, label %{after}")
        self.f.label(inside)
        return after

    # Stages

    def stages(self, chunks: list[Any]) -> None:
        """Everything of one row, or of a vector of rows."""
        k = self.kernel
        inner = [s for s in k.stores if self.is_inner(s)]
        reduces = [e for e in self.exprs if e.op == "reduce"]
        last = max(
            [self.stage[e.number] for e in reduces]
            + [self.stage[s.expr.number] + 1 for s in inner],
            default=0,
        )
        for stage in range(last):
            sums = [e for e in reduces if self.stage[e.number] == stage + 1]
            stores = [s for s in inner if self.stage[s.expr.number] == stage]
            if sums or stores:
                self.run_stage(sums, stores, chunks)
        outer = [(s, c) for s in k.stores if not self.is_inner(s) for c in chunks]
        values = [self.value(s.expr, c) for s, c in outer]
        for (s, c), v in zip(outer, values, strict=True):
            self.store(s, v, c)

    def is_inner(self, s: Store) -> bool:
        """Whether a store is one of elements, not of rows."""
        return any([a in self.kernel.cols for a, _ in s.where.terms])

    def run_stage(self, sums: list[Expr], stores: list[Store], row_chunks: list[Any]) -> None:
        """One pass over the columns."""
        ways = len(row_chunks) if self.across else 4
        kinds = [
            (vector_type(scalar_type(e.dtype), self.lanes), e) for e in sums for _ in range(ways)
        ]
        carried = [
            (t, splat_literal(identity(e), scalar_type(e.dtype), self.lanes)) for t, e in kinds
        ]

        def body(chunks: list[Any], accs: list[str]) -> list[str]:
            accs = list(accs)
            for u, c in enumerate(chunks):
                for n, e in enumerate(sums):
                    slot = n * ways + u % ways
                    accs[slot] = self.accumulate(e, accs[slot], self.value(e.args[0], c, True), c)
            values = [self.value(s.expr, c, True) for s in stores for c in chunks]
            targets = [(s, c) for s in stores for c in chunks]
            for (s, c), v in zip(targets, values, strict=True):
                self.store(s, v, c)
            return accs

        def columns(at: int, accs: list[str]) -> list[str]:
            if at == len(self.nest):
                return body(row_chunks, accs)
            types = [(t, a) for (t, _), a in zip(carried, accs, strict=True)]
            if self.nest[at] == self.lane_axis:
                return self.chunks(at, types, body)
            return self.plain_loop(at, types, lambda names: columns(at + 1, names))

        accs = columns(self.row_depth, [start for _, start in carried])
        self.finish(sums, accs, ways, row_chunks)

    def accumulate(self, e: Expr, acc: str, x: str, chunk: Any) -> str:
        """One more vector into a reduction."""
        v = Vectors(self.f, self.lanes, self.f.here)
        on = chunk[2]
        if on and not self.across:  # lanes past the end must not count
            mask = (
                "<"
                + ", ".join([f"i1 {'true' if i < on else 'false'}" for i in range(self.lanes)])
                + ">"
            )
            t = vector_type(scalar_type(e.dtype), self.lanes)
            rest = splat_literal(identity(e), scalar_type(e.dtype), self.lanes)
            x = self.f(f"select <{self.lanes} x i1> {mask}, {t} {x}, {t} {rest}")
        return v.apply(COMBINE[e.data], e.dtype, [acc, x], [e.dtype, e.dtype])

    def finish(self, sums: list[Expr], accs: list[str], ways: int, row_chunks: list[Any]) -> None:
        """The reductions' results, from their accumulators."""
        for n, e in enumerate(sums):
            mine = accs[n * ways : (n + 1) * ways]
            if self.across:
                for c, a in zip(row_chunks, mine, strict=True):
                    self.memo[self.row_depth][e.number, c[0]] = a
                continue
            v = Vectors(self.f, self.lanes, self.f.here)
            while len(mine) > 1:
                mine = [
                    v.apply(COMBINE[e.data], e.dtype, mine[i : i + 2], [e.dtype, e.dtype])
                    for i in range(0, len(mine), 2)
                ]
            self.memo[self.row_depth][e.number, None] = v.horizontal(e.data, e.dtype, mine[0])

    # Values

    def value(self, e: Expr, chunk: Any, lanes: bool = False) -> str:
        """The value of an expression in a chunk; in all lanes where it varies or ``lanes`` asks for
        it.
        """
        if e.op == "const":
            wide = (lanes or self.across) and self.lanes
            return splat_literal(e.data, scalar_type(e.dtype), self.lanes if wide else 0)
        varies = self.varies[e.number] and self.lanes > 0
        depth = self.depth[e.number]
        key = (e.number, chunk[0] if varies else None)
        found = self.memo[depth].get(key)
        if found is None:
            found = self.compute(e, chunk, varies, depth)
            self.memo[depth][key] = found
        if not varies and self.lanes and (lanes or self.across):
            return self.splat(e, found, depth)
        return found

    def splat(self, e: Expr, found: str, depth: int) -> str:
        key = ("splat", e.number)
        wide = self.memo[depth].get(key)
        if wide is None:
            wide = self.memo[depth][key] = Vectors(self.f, self.lanes, self.room[depth]).splat(
                found, e.dtype
            )
        return wide

    def compute(self, e: Expr, chunk: Any, varies: bool, depth: int) -> str:
        lanes = self.lanes if varies else 0
        if e.op == "load":
            return self.load(e, chunk, varies, depth)
        if e.op == "gather":
            return self.gather(e, chunk, varies, depth)
        if e.op == "number":
            self.operand_of(e.data, 0, 8)
            return self.f(f"load double, ptr {self.pointer(e.data)}", self.room[0])
        if e.op == "axis":
            return self.position(e.data, chunk, varies, depth)
        operands = [self.operand(a, chunk, varies) for a in e.args]
        return Vectors(self.f, lanes, self.room[depth]).apply(
            e.op, e.dtype, operands, [a.dtype for a in e.args]
        )

    def operand(self, e: Expr, chunk: Any, wide: bool) -> str:
        if e.op == "const":
            return splat_literal(e.data, scalar_type(e.dtype), self.lanes if wide else 0)
        # a uniform operand of a uniform expression stays one
        across, self.across = self.across, False
        try:
            return self.value(e, chunk, wide)
        finally:
            self.across = across

    # Memory

    def pointer(self, buffer: Any) -> str:
        key = ("buffer", buffer)
        found = self.memo[0].get(key)
        if found is None:
            f, room = self.f, self.room[0]
            p = f(f"getelementptr inbounds ptr, ptr %at, i64 {self.operands[buffer][0]}", room)
            found = self.memo[0][key] = f(f"load ptr, ptr {p}, !invariant.load !2", room)
        return found

    def known(self, n: int) -> str:
        """A number as the code names it."""
        if not self.tabled:
            return str(n)
        found = self.memo[0].get(("number", n))
        if found is None:
            f, room, k = self.f, self.room[0], self.numbers.setdefault(n, len(self.numbers))
            table = self.memo[0].get("table")
            if table is None:
                table = self.memo[0]["table"] = f("load ptr, ptr %at, !invariant.load !2", room)
            p = f(f"getelementptr inbounds i64, ptr {table}, i64 {k}", room)
            found = self.memo[0]["number", n] = f(f"load i64, ptr {p}, !invariant.load !2", room)
        return found

    def operand_of(self, buffer: Any, offset: int, size: int) -> int:
        """Make a buffer an operand that begins at the offset of its first use; the offset."""
        number = len(self.operands) + self.tabled
        return self.operands.setdefault(buffer, (number, offset, size))[1]

    def address(self, buffer: Any, where: Affine, size: int, chunk: Any) -> tuple[str, int]:
        """Pointer to an element (the first of a vector), and the depth at which it is known."""
        # equal kernels on other parts of a buffer have the same code
        extra = where.const - self.operand_of(buffer, where.const, size)
        p, depth = self.pointer(buffer), 0
        key: tuple[Any, ...] = ("address", buffer, size)
        for d, axis in enumerate(self.nest):
            c = where.of(axis)
            if not c:
                continue
            if axis == self.lane_axis and self.lanes:
                kind, start = chunk[1]
                extra += start * c
                if kind == "at":
                    depth = d + 1
                    continue
            depth = d + 1
            key = (*key, axis, c)
            found = self.memo[depth].get(key)
            if found is None:
                f, room = self.f, self.room[depth]
                step = c * size
                far = step if axis == self.lane_axis or step in SCALES else self.known(step)
                offset = (
                    self.counters[axis]
                    if step == 1
                    else f(f"mul nsw i64 {self.counters[axis]}, {far}", room)
                )
                found = self.memo[depth][key] = f(
                    f"getelementptr inbounds i8, ptr {p}, i64 {offset}", room
                )
            p = found
        if extra:
            p = self.f(f"getelementptr inbounds i8, ptr {p}, i64 {extra * size}", self.room[depth])
        return p, depth

    def load(self, e: Expr, chunk: Any, varies: bool, depth: int) -> str:
        buffer, where = e.data
        p, _ = self.address(buffer, where, e.dtype.itemsize, chunk)
        self.prefetch(p, where, e.dtype.itemsize, depth)
        v = Vectors(self.f, self.lanes if varies else 0, self.room[depth])
        return v.load(p, e.dtype, where.of(self.lane_axis) if varies else 1, chunk[2])

    def prefetch(self, p: str, where: Affine, size: int, depth: int) -> None:
        """Ask for a row some turns ahead, where a reduction steps from row to row."""
        if not self.across or depth <= self.row_depth:
            return
        step = where.of(self.nest[depth - 1]) * size
        if abs(step) >= 64:
            room = self.room[depth]
            q = self.f(f"getelementptr i8, ptr {p}, i64 {self.known(AHEAD * step)}", room)
            self.f.module.declarations.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
            room.append(f"  call void @llvm.prefetch.p0(ptr {q}, i32 0, i32 3, i32 1)")

    def gather(self, e: Expr, chunk: Any, varies: bool, depth: int) -> str:
        """A load behind a place, where the distance is computed."""
        (buffer, where), distance, room = e.data, e.args[0], self.room[depth]
        apart = self.varies[distance.number] and self.lanes > 0
        further = self.operand(distance, chunk, apart)
        p, _ = self.address(buffer, where, e.dtype.itemsize, chunk)
        v = Vectors(self.f, self.lanes if varies else 0, room)
        step = where.of(self.lane_axis) if varies else 1
        if apart:
            return v.gather(p, e.dtype, step, further, chunk[2])
        far = self.f(f"mul nsw i64 {further}, {e.dtype.itemsize}", room)
        p = self.f(f"getelementptr inbounds i8, ptr {p}, i64 {far}", room)
        return v.load(p, e.dtype, step, chunk[2])

    def store(self, s: Store, value: str, chunk: Any) -> None:
        """Write a value where the store says."""
        d = s.expr.dtype
        p, _ = self.address(s.buffer.number, s.where, d.itemsize, chunk)
        step = s.where.of(self.lane_axis) if self.lane_axis is not None else 0
        if not step or not self.lanes:
            Vectors(self.f, 0, self.f.here).store(p, value, d, 1, 0)
            return
        Vectors(self.f, self.lanes, self.f.here).store(p, value, d, step, chunk[2])

    def position(self, where: Affine, chunk: Any, varies: bool, depth: int) -> str:
        """An index as an int64 value."""
        f, room = self.f, self.room[depth]
        total = literal(where.const, "i64")
        for axis, c in where.terms:
            if axis == self.lane_axis and self.lanes:
                kind, start = chunk[1]
                base = self.counters[axis] if kind == "loop" else "0"
                i = f(f"add nsw i64 {base}, {start}", room)
            else:
                i = self.counters[axis]
            total = f(f"add nsw i64 {total}, {f(f'mul nsw i64 {i}, {c}', room)}", room)
        if not varies:
            return total
        c = where.of(self.lane_axis)  # type: ignore[arg-type]
        ramp = "<" + ", ".join([f"i64 {c * k}" for k in range(self.lanes)]) + ">"
        wide = Vectors(f, self.lanes, room).splat(total, np.dtype(np.int64))
        return f(f"add nsw <{self.lanes} x i64> {wide}, {ramp}", room)


def where(e: Expr) -> Affine | None:
    """What of an expression's value depends on the axes directly."""
    if e.op in ("load", "gather"):
        affine: Affine = e.data[1]
        return affine
    return e.data if e.op == "axis" else None


COMBINE = {"sum": "add", "prod": "mul", "max": "max", "min": "min", "any": "or", "all": "and"}


def identity(e: Expr) -> Any:
    """What a reduction starts with."""
    if e.data in ("sum", "any"):
        return 0
    if e.data in ("prod", "all"):
        return 1
    if e.dtype == BOOL:
        return e.data == "min"
    if e.dtype.kind == "f":
        return -np.inf if e.data == "max" else np.inf
    info = np.iinfo(e.dtype)
    return info.min if e.data == "max" else info.max
