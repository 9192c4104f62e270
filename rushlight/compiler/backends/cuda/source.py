"""Fused loops as CUDA C.

Note [Teams]
A kernel without reductions has a thread for each point. Otherwise each row has a team of threads
that go through its columns, each thread through every TEAM-th, and combine what they found in a
fixed order. Where neighbouring columns lie side by side in memory, so do a team's threads; where
rows do, neighbouring threads belong to neighbouring rows. Few long rows are cut into ``parts``:
then there is a launch for each stage of reductions, whose teams leave what their part gives in
scratch memory for the next.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.compiler.axes import collapse
from rushlight.compiler.backends.cuda.launch import NAME, SHARED, Launch
from rushlight.compiler.forms import Form
from rushlight.compiler.loops import Affine, Expr, Kernel, Store, expressions

BLOCK = 256  # threads
EACH = 4  # points of a thread
MANY = 1 << 16  # points from which on threads do several
TEAM = 256  # threads at most
COLUMNS = 4  # of each thread of a team, before it grows
PARTS = 64  # of a row at most
LONG = 2048  # columns of a part at least
BLOCKS = 528  # that fill a large GPU: four for each of its 132 multiprocessors

TYPES = {
    "float32": "float", "float64": "double", "float16": "half_bits", "bfloat16": "bfloat_bits",
    "bool": "bool", "int8": "i8", "uint8": "u8", "int16": "i16", "uint16": "u16", "int32": "i32",
    "uint32": "u32", "int64": "i64", "uint64": "u64",
}  # fmt: skip
SIGNS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
    "eq": "==", "ne": "!=", "and": "&", "or": "|", "xor": "^", "quotient": "/", "shr": ">>",
}  # fmt: skip
FUNCTIONS = {"abs": "fabs"}  # those that C calls otherwise
KINDS = {"sum": "SUM", "prod": "PROD", "max": "MAX", "min": "MIN", "any": "MAX", "all": "MIN"}

_written: dict[Any, list[Launch]] = {}


def launches_of(kernel: Kernel, numbers: str = "const double*") -> list[Launch]:
    """The kernel's launches, written if those of no equal one were. ``numbers``: how numbers that
    the call gives are passed: by their addresses, or as a ``double``.
    """
    form = Form(kernel)
    key = form.key, numbers
    found = _written.get(key)
    if found is None:
        found = _written[key] = [
            launch.with_operands([
                (b if b == SHARED else form.numbers[b], n if b == SHARED else n - form.starts[b])
                for b, n in launch.operands
            ])
            for launch in Writer(collapse(kernel), numbers).launches()
        ]  # fmt: skip
    own = list(form.numbers)
    return [
        launch.with_operands([
            (k, n) if k == SHARED else (own[k], form.starts[own[k]] + n) for k, n in launch.operands
        ])
        for launch in found
    ]  # fmt: skip


def type_of(d: Any) -> str:
    """The C type of an element."""
    return TYPES[dtypes.of[np.dtype(d)].name]


def literal(value: Any, d: Any) -> str:
    """A number as C has it."""
    if d.kind == "b":
        return "true" if value else "false"
    if d.kind != "f":
        if value == -(2**63):
            return "(i64)(1ull << 63)"
        return f"({type_of(d)}){value}{'ull' if value > 2**63 - 1 else 'll'}"
    bits = "32" if d.itemsize == 4 else "64"
    if math.isnan(value):
        return f"NAN{bits}"
    if math.isinf(value):
        return f"{'-' if value < 0 else ''}INF{bits}"
    return float(value).hex() + ("f" if d.itemsize == 4 else "")


def where(e: Expr) -> Affine | None:
    """The position that an expression has in itself."""
    return e.data[1] if e.op in ("load", "gather") else e.data if e.op == "axis" else None


@dataclass
class Split:
    """How the rows and columns of a kernel fall to threads, see Note [Teams]."""

    beside: bool  # whether a team's threads are neighbours
    team: int
    rows: int  # of a block
    parts: int


class Writer:
    """Writes one kernel, whose neighbouring axes are joined."""

    def __init__(self, kernel: Kernel, numbers: str) -> None:
        self.kernel, self.passed = kernel, numbers
        self.exprs = expressions(kernel)
        self.stored = {s.buffer.number for s in kernel.stores}
        self.row_count = math.prod([kernel.sizes[a] for a in kernel.rows])
        self.col_count = math.prod([kernel.sizes[a] for a in kernel.cols])
        self.rows, self.cols = self.in_order(kernel.rows), self.in_order(kernel.cols)
        self.index = "i32" if self.reach() < 2**31 else "i64"
        self.names = {a: k for k, a in enumerate((*self.rows, *self.cols))}
        self.any_size = not self.cols and len(self.rows) == 1  # one text serves all
        self.total = f"({self.index})n" if self.any_size else str(self.row_count)
        self.measure()

    # Plan

    def votes(self) -> dict[int, float]:
        """How well each axis suits neighbouring threads: as memory lies along it."""
        k = self.kernel
        accesses = [e.data[1] for e in self.exprs if e.op in ("load", "gather")]
        accesses += [s.where for s in k.stores]
        found = dict.fromkeys([*k.rows, *k.cols], 0.0)
        for f in accesses:
            often = 1.0 if not k.cols or any([a in k.cols for a, _ in f.terms]) else 0.1
            for axis in found:
                c = f.of(axis)
                found[axis] += often * (1 if c == 1 else 0.1 if c == 0 else -0.4)
        return {a: v * min(k.sizes[a], 32) for a, v in found.items()}

    def in_order(self, axes: list[int]) -> list[int]:
        """Axes, the one for neighbouring threads last."""
        votes = self.votes()
        return sorted(axes, key=lambda a: (votes[a] == max([votes[b] for b in axes]), a))

    def reach(self) -> int:
        """A bound of all positions and counts."""
        sizes = self.kernel.sizes
        found = [f for f in map(where, self.exprs) if f is not None]
        found += [s.where for s in self.kernel.stores]
        far = [abs(f.const) + sum([abs(c) * sizes[a] for a, c in f.terms]) for f in found]
        gathered = any([e.op == "gather" for e in self.exprs])  # the index's own type says
        return max([self.row_count * self.col_count + BLOCK * EACH, *far, 2**31 * gathered])

    def measure(self) -> None:
        """Each expression's stage, as in the processor's kernels, and whether columns matter."""
        cols = set(self.kernel.cols)
        self.stage: dict[int, int] = {}
        self.inner: dict[int, bool] = {}
        for e in self.exprs:
            f = where(e)
            self.stage[e.number] = max([self.stage[a.number] for a in e.args], default=0)
            self.inner[e.number] = any([self.inner[a.number] for a in e.args]) or (
                f is not None and any([a in cols for a, _ in f.terms])
            )
            if e.op == "reduce":
                self.stage[e.number] += 1
                self.inner[e.number] = False

    def split(self) -> Split:
        """See Note [Teams]."""
        votes = self.votes()
        beside = not self.rows or votes[self.cols[-1]] >= votes[self.rows[-1]]
        wanted = power_of_2(-(-self.col_count // COLUMNS))
        if beside:
            team = min(TEAM, wanted)
            rows = min(max(1, BLOCK // team), power_of_2(self.row_count))
            rows = max(rows, 32 // team)
        else:
            rows = min(32, power_of_2(self.row_count))
            team = min(512 // rows, wanted)
        blocks = -(-self.row_count // rows)
        parts = min(PARTS, BLOCKS // blocks, self.col_count // LONG) if blocks < BLOCKS // 2 else 1
        return Split(beside, team, rows, max(1, parts))

    # Texts

    def launches(self) -> list[Launch]:
        """The launches, in order."""
        if not self.cols:
            return [self.points()]
        s = self.split()
        if s.parts == 1:
            return [self.teams(s, None)]
        last = max([self.stage[e.number] for e in self.exprs if e.op == "reduce"])
        return [self.teams(s, stage) for stage in range(last + 1)]

    def begin(self) -> None:
        self.operands: dict[Any, tuple[int, int, str]] = {}  # place, start in elements, C type
        self.lines: list[str] = []
        self.known: list[dict[int, str]] = [{}, {}]  # of rows, and of a column
        self.suffix = ""

    def finished(self, grid: tuple[int, int, int], threads: int, scratch: int = 0) -> Launch:
        """The launch of the lines that were written."""
        given = [f"{t} a{k}" for k, _, t in self.operands.values()]
        parameters = ", ".join([*given, *["i64 n"] * self.any_size])
        body = "\n".join([f"  {line}" for line in self.lines])
        text = f'extern "C" __global__ void {NAME}({parameters}) {{\n{body}\n}}\n'
        operands = tuple(
            [(b, start * self.size_of(b)) for b, (_, start, _) in self.operands.items()]
        )
        sizes = (self.row_count,) if self.any_size else ()
        return Launch(text, operands, grid, (threads, 1, 1), 0, scratch, sizes)

    def size_of(self, buffer: Any) -> int:
        """Bytes of a buffer's element."""
        for e in self.exprs:
            if e.op in ("load", "gather") and e.data[0] == buffer:
                return e.dtype.itemsize
        found = [s.expr.dtype.itemsize for s in self.kernel.stores if s.buffer.number == buffer]
        return found[0] if found else 8

    def points(self) -> Launch:
        """A thread for each point, or for some."""
        self.begin()
        total, each = self.row_count, EACH if self.row_count >= MANY else 1
        per = BLOCK * each
        blocks, rest = -(-total // per), 1 if self.any_size else total % per
        t = self.index
        self.lines.append(f"const {t} first = ({t})blockIdx.x * {per} + threadIdx.x;")
        if each > 1 and rest:
            self.lines.append(f"if ({self.total} - ({t})blockIdx.x * {per} >= {per}) {{")
        if each > 1:
            self.some_points(each, guarded=False)
        if each > 1 and rest:
            self.lines += ["} else {"]
        if rest or each == 1:
            self.some_points(each, guarded=True)
        if each > 1 and rest:
            self.lines.append("}")
        return self.finished((blocks, 1, 1), BLOCK)

    def some_points(self, each: int, guarded: bool) -> None:
        """The points of one thread: all are computed before the first is stored."""
        later = []
        for u in range(each):
            self.known, self.suffix = [{}, {}], f"_{u}" if each > 1 else ""
            place = f"first + {u * BLOCK}" if u else "first"
            if guarded:
                self.lines.append(f"if ({place} < {self.total}) {{")
            self.axes(self.rows, place)
            stores = self.stores(self.kernel.stores, 0)
            if guarded:
                self.lines += [*stores, "}"]
            later += [] if guarded else stores
        self.lines += later

    def axes(self, axes: list[int], place: str) -> None:
        """Find the indices of a point from its number."""
        rest, t = place, self.index
        if len(axes) > 1:
            rest = f"rest{self.names[axes[-1]]}{self.suffix}"
            self.lines.append(f"{t} {rest} = {place};")
        for k, a in enumerate(reversed(axes)):
            n, name = self.kernel.sizes[a], f"i{self.names[a]}{self.suffix}"
            if k == len(axes) - 1:
                self.lines.append(f"const {t} {name} = {rest};")
            else:
                self.lines.append(f"const {t} {name} = {rest} % {n}; {rest} /= {n};")

    # Teams

    def teams(self, s: Split, only: int | None) -> Launch:
        """The kernel's stages; with ``only`` a single one, of rows in parts."""
        self.begin()
        t, self.s = self.index, s
        threads = s.rows * s.team
        mine, place = ("/", "%") if s.beside else ("%", "/")
        unit = s.team if s.beside else s.rows
        blocks = -(-self.row_count // s.rows)
        self.lines += [
            f"__shared__ double room[{threads}];",
            f"const int member = threadIdx.x {place} {unit};",
            f"const {t} unsafe = ({t})blockIdx.x * {s.rows} + threadIdx.x {mine} {unit};",
            f"const bool real = unsafe < {self.row_count};",
            f"const {t} row = real ? unsafe : {self.row_count - 1};",
        ]
        self.axes(self.rows, "row")
        if only is None:
            self.bounds = "member", str(self.col_count)
            for stage in range(self.stages()):
                self.stage_of(stage, None)
        else:
            part = -(-self.col_count // s.parts)
            self.lines += [
                f"const {t} start = ({t})blockIdx.y * {part};",
                f"const {t} end = start + {part} < {self.col_count} ? start + {part} : "
                f"{self.col_count};",
            ]
            self.bounds = "start + member", "end"
            for stage in range(only):
                self.found_before(stage)
            self.stage_of(only, only)
        if only is None or only == self.stages() - 1:
            outer = [x for x in self.kernel.stores if not self.is_inner(x)]
            lines = self.stores(outer, 0)
            if lines:
                once = " && blockIdx.y == 0" if only is not None else ""
                self.lines += [f"if (real && member == 0{once}) {{", *lines, "}"]
        scratch = 8 * self.row_count * s.parts * len(self.reduces()) if only is not None else 0
        return self.finished((blocks, 1 if only is None else s.parts, 1), threads, scratch)

    def reduces(self) -> list[Expr]:
        """The reductions, in order."""
        return [e for e in self.exprs if e.op == "reduce"]

    def is_inner(self, store: Store) -> bool:
        """Whether a store is made for every column."""
        cols = set(self.kernel.cols)
        return self.inner[store.expr.number] or any([a in cols for a, _ in store.where.terms])

    def stages(self) -> int:
        """How many stages there are, those of stores by columns included."""
        return max([self.stage[e.number] for e in self.reduces()]) + 1

    def stage_of(self, stage: int, only: int | None) -> None:
        """Go through the columns for the reductions, and stores, of a stage. Stores of rows in
        parts wait for the last.
        """
        sums = [e for e in self.reduces() if self.stage[e.number] == stage + 1]
        inner = [x for x in self.kernel.stores if self.is_inner(x)]
        if only is None:
            stores = [x for x in inner if self.stage[x.expr.number] == stage]
        else:
            stores = inner if stage == self.stages() - 1 else []
        if not sums and not stores:
            return
        for e in sums:
            self.lines.append(f"{carrier(e)} r{e.number} = {identity(e)};")
        for e in (*[e.args[0] for e in sums], *[x.expr for x in stores]):
            self.outside(e)
        t, (first, end) = self.index, self.bounds
        self.lines.append(f"for ({t} c = {first}; c < {end}; c += {self.s.team}) {{")
        self.known[1] = {}
        self.axes(self.cols, "c")
        for e in sums:
            v = self.value(e.args[0], 1)
            kind = KINDS[e.data]
            self.lines.append(f"r{e.number} = both<{kind}>(r{e.number}, ({carrier(e)}){v});")
        lines = self.stores(stores, 1)
        if lines:
            self.lines += ["if (real) {", *lines, "}"]
        self.lines.append("}")
        self.known[1] = {}
        for e in sums:
            self.combined(e, only)

    def combined(self, e: Expr, only: int | None) -> None:
        """What the threads of a team found, as one."""
        s, kind = self.s, KINDS[e.data]
        call = f"of_neighbours<{kind}, {s.team}>" if s.beside else (
            f"of_columns<{kind}, {s.team}, {s.rows}>"
        )  # fmt: skip
        self.lines.append(f"r{e.number} = {call}(r{e.number}, room);")
        if only is None:
            self.known[0][e.number] = f"r{e.number}"
        else:
            self.lines.append(
                f"if (real && member == 0) {self.partial(e)}[row * {s.parts} + blockIdx.y] = "
                f"r{e.number};"
            )

    def partial(self, e: Expr) -> str:
        """Where the parts of a reduction are left."""
        at = self.reduces().index(e) * 8 * self.row_count * self.s.parts
        k, _, _ = self.operands.setdefault(SHARED, (len(self.operands), 0, "char*"))
        return f"(({carrier(e)}*)(a{k} + {at}ll))"

    def found_before(self, stage: int) -> None:
        """What the launches before found, from its parts."""
        for e in self.reduces():
            if self.stage[e.number] != stage + 1:
                continue
            name, kind, t = f"r{e.number}", KINDS[e.data], carrier(e)
            self.lines += [
                f"{t} {name} = {self.partial(e)}[row * {self.s.parts}];",
                f"for (int k = 1; k < {self.s.parts}; k++)",
                f"  {name} = both<{kind}>({name}, {self.partial(e)}[row * {self.s.parts} + k]);",
            ]
            self.known[0][e.number] = name

    # Expressions

    def outside(self, e: Expr) -> None:
        """Write down before a loop what does not depend on it."""
        if not self.inner[e.number]:
            if e.op not in ("const", "reduce"):
                self.value(e, 0)
            return
        for a in e.args:
            self.outside(a)

    def stores(self, stores: list[Store], depth: int) -> list[str]:
        """The lines of stores, whose values are written before."""
        lines = []
        for s in stores:
            v, d = self.value(s.expr, depth), s.expr.dtype
            name = self.operand(s.buffer.number, s.where, d)
            lines.append(f"{name} = {f'(u8){v}' if d.kind == 'b' else v};")
        return lines

    def value(self, e: Expr, depth: int) -> str:
        """The name of an expression's value, which is written where it has none yet."""
        if e.op == "const":
            return literal(e.data, e.dtype)
        for known in self.known[: depth + 1]:
            if e.number in known:
                return known[e.number]
        text = self.text(e, depth)
        name = f"e{e.number}{self.suffix}"
        self.lines.append(f"const {type_of(e.dtype)} {name} = {text};")
        self.known[depth][e.number] = name
        return name

    def text(self, e: Expr, depth: int) -> str:
        """An expression in C, of its arguments' names."""
        if e.op in ("load", "gather"):
            extra = self.value(e.args[0], depth) if e.op == "gather" else ""
            place = self.operand(e.data[0], e.data[1], e.dtype, extra)
            return f"{place} != 0" if e.dtype.kind == "b" else place
        if e.op == "number":
            k, _, _ = self.operands.setdefault(e.data, (len(self.operands), 0, self.passed))
            return f"a{k}" if self.passed == "double" else f"*a{k}"
        if e.op == "axis":
            return f"(i64)({self.position(e.data)})"
        args = [self.value(a, depth) for a in e.args]
        if e.op == "reduce":  # of a single element
            return args[0]
        if e.op == "cast":
            return cast(args[0], e.args[0].dtype, e.dtype)
        text = called(e, args)
        if self.kernel.exact and e.op == "mul" and e.dtype.kind == "f":
            return f"rounded{'f' if e.dtype.itemsize == 4 else ''}({text})"
        return text

    def operand(self, buffer: Any, f: Affine, d: Any, extra: str = "") -> str:
        """An element of a buffer."""
        t = "u8" if d.kind == "b" else type_of(d)
        const = "" if buffer in self.stored else "const "
        k, start, _ = self.operands.setdefault(
            buffer, (len(self.operands), f.const, f"{const}{t}*")
        )
        place = self.position(Affine(f.const - start, f.terms))
        return f"a{k}[{place} + {extra}]" if extra else f"a{k}[{place}]"

    def position(self, f: Affine) -> str:
        """A position, of the names of axes."""
        names = [(f"i{self.names[a]}{self.suffix}", c) for a, c in f.terms]
        parts = [name if c == 1 else f"{name} * {c}" for name, c in names]
        return " + ".join([*parts, *([str(f.const)] if f.const or not parts else [])])


def power_of_2(n: int) -> int:
    """The least power of 2 that is n or more."""
    return 1 << max(0, n - 1).bit_length()


def carrier(e: Expr) -> str:
    """The C type in which a reduction is gathered."""
    return "int" if e.dtype.kind == "b" else type_of(e.dtype)


def identity(e: Expr) -> str:
    """What a reduction of nothing gives."""
    if e.data in ("sum", "any"):
        return "0"
    if e.data in ("prod", "all"):
        return "1"
    if e.dtype.kind == "f":
        return literal(-math.inf if e.data == "max" else math.inf, e.dtype)
    if e.dtype.kind == "b":
        return "0" if e.data == "max" else "1"
    info = np.iinfo(e.dtype)
    return literal(info.min if e.data == "max" else info.max, e.dtype)


def cast(x: str, have: Any, want: Any) -> str:
    """A conversion; floats become integers through int64."""
    if have in (dtypes.float16, dtypes.bfloat16):
        return f"widen({x})"
    if want in (dtypes.float16, dtypes.bfloat16):
        return f"narrow_{'half' if want == dtypes.float16 else 'bfloat'}({x})"
    if want.kind == "b":
        return f"{x} != 0"
    if have.kind == "f" and want == np.uint64:
        return f"unsigned_of({x})"
    if have.kind == "f" and want.kind in "iu":
        return f"({type_of(want)})(i64){x}"
    return f"({type_of(want)}){x}"


def called(e: Expr, args: list[str]) -> str:
    """A function of names."""
    d, t = e.args[0].dtype, type_of(e.dtype)
    if e.op == "where":
        return f"{args[0]} ? {args[1]} : {args[2]}"
    if e.op in ("max", "min"):
        return f"{'larger' if e.op == 'max' else 'smaller'}({args[0]}, {args[1]})"
    if e.op == "neg":
        return f"({t})(0 - (u64){args[0]})" if d.kind in "iu" else f"-{args[0]}"
    if e.op == "not":
        return f"!{args[0]}" if d.kind == "b" else f"({t})~{args[0]}"
    if e.op == "shl":
        return f"({t})((u64){args[0]} << {args[1]})"
    if e.op in ("add", "sub", "mul") and d.kind in "iu":  # which wraps
        return f"({t})((u64){args[0]} {SIGNS[e.op]} (u64){args[1]})"
    if e.op in SIGNS:
        return f"{args[0]} {SIGNS[e.op]} {args[1]}"
    if d.kind != "f":
        return f"power<{t}>({', '.join(args)})"
    name = FUNCTIONS.get(e.op, e.op)
    return f"{name}{'f' if d.itemsize == 4 else ''}({', '.join(args)})"
