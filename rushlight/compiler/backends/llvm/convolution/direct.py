"""Convolution with few outputs per group: columns, used only once, are read where they lie.

Vectors follow rows of the output, so that a tile's loads and stores are at constant distances.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from rushlight.compiler.backends.llvm.convolution.columns import Columns, Source
from rushlight.compiler.backends.llvm.convolution.tiles import balanced, tile_rows
from rushlight.compiler.backends.llvm.ir.code import Code, Number

REGISTERS = {True: 24, False: 12}  # accumulators, by whether there are 32 registers
UNROLLED = 9  # taps
TALL = 32  # rows of taps, which are unrolled
# of weights' gradients: sums, by whether there are 32 registers, and rows of outputs
SUMS, HIGH = {True: 20, False: 10}, 4


@dataclass(frozen=True)
class Spots:
    """A tile: (row, first column, lanes) of each vector."""

    vectors: tuple[tuple[int, int, int], ...]


def suits(f: Code, rows: int, source: Source) -> bool:
    """Whether a group's outputs are few, and the rows fill vectors."""
    width = source.out[1]
    used = width / (-(-width // f.lanes) * f.lanes)
    few = rows <= max(tile_rows(f.module).values()) // 2 and rows <= 8
    return few and (used >= 0.5 or (rows <= 2 and used >= 0.25))


class Direct:
    """Code for one image of a convolution."""

    def __init__(self, f: Code, source: Source, rows: int, channels: int, y_row: int, bias: bool):
        self.f, self.s, self.rows, self.channels = f, source, rows, channels
        self.y_row, self.bias = y_row, bias
        self.columns = Columns(f, source)
        most = REGISTERS[f.module.width == 512] // rows
        across = -(-source.out[1] // f.lanes)
        if across > most:
            self.high, (self.wide, self.wider) = 1, balanced(across, most)
        else:
            self.high, self.wide, self.wider = max(1, min(most // across, source.out[0])), across, 0
        self.across = across

    def write(self, image: str, w: str, y: str, bias: str) -> None:
        """All positions of one image."""
        height = self.s.out[0]
        whole = height - height % self.high
        at = partial(self.line, image, w, y, bias)
        self.f.span(0, whole, self.high, lambda i, _: at(i, self.high))
        if whole < height:
            at(whole, height - whole)

    def line(self, image: str, w: str, y: str, bias: str, i: Number, high: int) -> None:
        """Some rows of the output."""
        f, s = self.f, self.s
        x = f.at(image, f.mul(i, s.row))
        y = f.at(y, f.mul(i, s.out[1]))
        parts = -(-self.across // max(1, self.wide)) if not self.wider else 0
        sizes = [self.wide] * parts
        if self.wider:
            rest = (self.across - self.wider * (self.wide + 1)) // self.wide
            sizes = [self.wide + 1] * self.wider + [self.wide] * rest
        done = 0
        for size in sizes:
            ends = [
                (r, c * f.lanes, min(f.lanes, s.out[1] - (done + c) * f.lanes))
                for r in range(high)
                for c in range(size)
            ]
            name = self.tile(Spots(tuple(ends)))
            start = done * f.lanes
            f.do(
                f"call void @{name}(ptr {f.at(x, start)}, ptr {w}, ptr {f.at(y, start)}, ptr "
                f"{bias or 'null'})"
            )
            done += size

    def tile(self, spots: Spots) -> str:
        """The function ``(image, w, y, bias)`` that computes some vectors of all rows."""
        s, taps = self.s, len(self.s.taps)
        key = repr((s, spots, self.rows, self.channels, self.y_row, self.bias, self.f.dtype.str))
        name = f"direct_{Code.module_key(key)}"
        if name in self.f.module.functions:
            return name
        signature = "ptr noalias %x, ptr noalias %w, ptr noalias %y, ptr %bias"
        f = Code(self.f.module, name, signature, self.f.dtype)
        n, lda = len(spots.vectors), self.channels * taps
        # rows of the image are read once for several rows of the output
        lines = self.rows == 1 and self.high > 1 and 1 < len(s.by_columns()[1]) <= TALL
        # two sums, that their additions overlap
        spread = self.rows == 1 and not lines and n < 8 and taps > 1

        def step(x: str, w: str, accs: list[str], odd: int) -> list[str]:
            if not s.direct:
                row = [f.load(f.at(x, r * s.row + c)) for r, c, _ in spots.vectors]
            else:
                row = [f.load(f.at(x, r * s.row + c), k) for r, c, k in spots.vectors]
            accs = list(accs)
            for i in range(self.rows):
                one = f.splat(f.scalar(f.at(w, i * lda)))
                for v in range(n):
                    at = (odd * self.rows + i) * n + v
                    accs[at] = f.fma(one, row[v], accs[at])
            return accs

        def column(x: str, w: list[str], tops: list[int], accs: list[str]) -> list[str]:
            accs, ones = list(accs), [f.splat(f.scalar(p)) for p in w]
            for c in dict.fromkeys([c for _, c, _ in spots.vectors]):
                mine = [(v, r) for v, (r, k, _) in enumerate(spots.vectors) if k == c]
                for line in sorted({r + top for _, r in mine for top in tops}):
                    value = f.load(f.at(x, line * s.row + c))
                    for v, r in mine:
                        if line - r in tops:
                            accs[v] = f.fma(ones[tops.index(line - r)], value, accs[v])
            return accs

        def by_columns(x: str, w: str, accs: list[str]) -> list[str]:
            columns, tops = s.by_columns()
            if taps <= UNROLLED:
                for offset, numbers in columns.items():
                    places = [f.at(w, t) for t in numbers]
                    accs = column(f.at(x, offset), places, tops, accs)
                return accs
            at = f.table([*columns])
            which = f.table([t for numbers in columns.values() for t in numbers])

            def one(j: Number, accs: list[str]) -> list[str]:
                first = f.mul(j, len(tops))
                places = [f.at(w, f.entry(which, f.add(first, k))) for k in range(len(tops))]
                return column(f.at(x, f.entry(at, j)), places, tops, accs)

            return f.span(0, len(columns), 1, one, [(f.vector, a) for a in accs])

        def channel(c: Number, accs: list[str]) -> list[str]:
            x, w = f.at("%x", f.mul(c, s.plane)), f.at("%w", f.mul(c, taps))
            if lines:
                return by_columns(x, w, accs)
            if taps <= UNROLLED:
                for t, tap in enumerate(s.taps):
                    accs = step(f.at(x, s.tap_offset(tap)), f.at(w, t), accs, t % 2 * spread)
                return accs
            table = f.table([s.tap_offset(t) for t in s.taps])
            carried = [(f.vector, a) for a in accs]
            return f.span(
                0, taps, 1, lambda t, p: step(f.at(x, f.entry(table, t)), f.at(w, t), p, 0), carried
            )

        count = self.rows * n
        zero = [(f.vector, "zeroinitializer")] * (count * (1 + spread))
        accs = f.span(0, self.channels, 1, channel, zero)
        if spread:
            accs = [f.plus(a, b) for a, b in zip(accs[:count], accs[count:], strict=True)]
        for i in range(self.rows):
            extra = f.splat(f.scalar(f.at("%bias", i))) if self.bias else ""
            for v, (r, c, lanes) in enumerate(spots.vectors):
                value = f.plus(accs[i * n + v], extra) if extra else accs[i * n + v]
                f.store(f.at("%y", i * self.y_row + r * s.out[1] + c), value, lanes)
        f.end()
        return name


def write_depthwise_weight(
    f: Code, s: Source, images: int, channels: int, x: str, g: str, out: str, copy: str
) -> None:
    """The weights' gradient where each channel has one output: sums of products over positions.
    A unit is a channel. Some rows of outputs share what they read of the image.
    """
    columns, tops = s.by_columns()
    copier = "" if s.direct else Columns(f, s).copier()
    size, (height, width) = s.space[0] * s.space[1], s.out
    most = SUMS[f.module.width == 512]
    high = min(HIGH, height)
    whole, full = height - height % high, width - width % f.lanes

    def channel(c: Number, _: list[str]) -> None:
        for first in range(0, len(tops), most):
            rows = tops[first : first + most]
            each = most // len(rows)
            for k in range(0, len(columns), each):
                some(c, rows, [*columns][k : k + each])

    def some(c: Number, rows: list[int], offsets: list[int]) -> None:
        def image(n: Number, sums: list[str]) -> list[str]:
            at = f.add(f.mul(n, channels), c)
            here = plane = f.at(x, f.mul(at, size))
            if copier:
                f.do(f"call void @{copier}(ptr {plane}, ptr {copy}, i64 1)")
                here = copy
            y = f.at(g, f.mul(at, height * width))
            carried = [(f.vector, a) for a in sums]
            sums = f.span(0, whole, high, lambda i, p: lines(here, y, i, high, p), carried)
            return lines(here, y, whole, height - whole, sums) if whole < height else sums

        def lines(here: str, y: str, i: Number, count: int, sums: list[str]) -> list[str]:
            a, b = f.at(here, f.mul(i, s.row)), f.at(y, f.mul(i, width))
            carried = [(f.vector, p) for p in sums]
            sums = f.span(0, full, f.lanes, lambda j, p: part(a, b, j, f.lanes, count, p), carried)
            return part(a, b, full, width - full, count, sums) if full < width else sums

        def part(a: str, b: str, j: Number, n: int, count: int, sums: list[str]) -> list[str]:
            ones = [f.load(f.at(f.at(b, j), r * width), n) for r in range(count)]
            new = list(sums)
            for k, offset in enumerate(offsets):
                for line in sorted({r + top for r in range(count) for top in rows}):
                    value = f.load(f.at(f.at(a, j), line * s.row + offset), n)
                    for r in range(count):
                        if line - r in rows:
                            at = k * len(rows) + rows.index(line - r)
                            new[at] = f.fma(ones[r], value, new[at])
            return new

        zero = [(f.vector, "zeroinitializer")] * (len(rows) * len(offsets))
        sums = f.span(0, images, 1, image, zero)
        numbers = [columns[offset][tops.index(top)] for offset in offsets for top in rows]
        for t, total in zip(numbers, sums, strict=True):
            target = f.at(out, f.add(f.mul(c, len(s.taps)), t))
            f.do(f"store {f.element} {f.total(total)}, ptr {target}, align {f.size}")

    f.span("%lo", "%hi", 1, channel)
