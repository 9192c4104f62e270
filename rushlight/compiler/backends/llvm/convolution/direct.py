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
        spread = self.rows == 1 and n < 8 and taps > 1  # two sums, that their additions overlap

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

        def channel(c: Number, accs: list[str]) -> list[str]:
            x, w = f.at("%x", f.mul(c, s.plane)), f.at("%w", f.mul(c, taps))
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
    A unit is a channel.
    """
    columns, taps = Columns(f, s), len(s.taps)
    offsets, masks = columns.tables(1, 0)
    size, count = s.space[0] * s.space[1], s.places
    most = 20 if f.module.width == 512 else 10

    def channel(c: Number, _: list[str]) -> None:
        for first in range(0, taps, most):
            some = range(first, min(taps, first + most))
            zero = [(f.vector, "zeroinitializer")] * len(some)

            def image(n: Number, accs: list[str], some: range = some) -> list[str]:
                at = f.add(f.mul(n, channels), c)
                here = plane = f.at(x, f.mul(at, size))
                if not s.direct:
                    f.do(f"call void @{columns.copier()}(ptr {plane}, ptr {copy}, i64 1)")
                    here = copy
                return positions(f.at(g, f.mul(at, count)), here, accs, some)

            accs = f.span(0, images, 1, image, zero)
            for t, a in zip(some, accs, strict=True):
                target = f.at(out, f.add(f.mul(c, taps), t))
                f.do(f"store {f.element} {f.total(a)}, ptr {target}, align {f.size}")

    def positions(y: str, here: str, accs: list[str], some: range) -> list[str]:
        def vector(v: Number, accs: list[str], lanes: int) -> list[str]:
            pieces = columns.piece_pointers(f, here, v, offsets, masks)
            one = f.load(f.at(y, f.mul(v, f.lanes)), lanes)
            result = []
            for t, a in zip(some, accs, strict=True):
                x = columns.vector(f, pieces, s.tap_offset(s.taps[t]))
                if lanes < f.lanes:  # what lies beyond may be infinite
                    on = f.mask(0, lanes)
                    x = f(f"select {f.bits} {on}, {f.vector} {x}, {f.vector} zeroinitializer")
                result.append(f.fma(x, one, a))
            return result

        whole = count // f.lanes
        carried = [(f.vector, a) for a in accs]
        accs = f.span(0, whole, 1, lambda v, p: vector(v, p, f.lanes), carried)
        return vector(whole, accs, count % f.lanes) if count % f.lanes else accs

    f.span("%lo", "%hi", 1, channel)
