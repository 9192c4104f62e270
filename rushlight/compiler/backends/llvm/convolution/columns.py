"""Windows of an image as the columns of a matrix, made panel by panel.

An image is first copied between zeros, its rows and columns sorted by their remainder modulo the
stride: all positions of one tap are then neighbours. A vector of positions may span several rows of
the output; each row's part is one *piece*, loaded over the pieces before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from rushlight.compiler.backends.llvm.ir.code import Code, Number
from rushlight.compiler.backends.llvm.ir.text import Module
from rushlight.compiler.backends.llvm.products.packing import AHEAD

Pair = tuple[int, int]


@dataclass(frozen=True)
class Source:
    """How the taps of each output position lie in an image.

    Output (i, j) reads, for tap (r, c), row ``r + i * stride[0] - before[0]`` of the image, and
    columns alike. Outside of it are zeros. Sizes below count elements.
    """

    space: Pair
    before: Pair
    stride: Pair
    taps: tuple[Pair, ...]
    out: Pair

    @property
    def direct(self) -> bool:
        """Whether the image itself serves: one tap, which reads everything."""
        return (self.taps, self.before, self.stride) == (((0, 0),), (0, 0), (1, 1)) and (
            self.out == self.space
        )

    @property
    def places(self) -> int:
        """How many output positions there are."""
        return self.out[0] * self.out[1]

    def phases(self, dim: int) -> list[int]:
        """Remainders of rows or columns that some tap reads."""
        return sorted({t[dim] % self.stride[dim] for t in self.taps})

    def extent(self, dim: int) -> int:
        """Rows or columns kept of each remainder."""
        return max([t[dim] // self.stride[dim] for t in self.taps]) + self.out[dim]

    @property
    def row(self) -> int:
        """Distance of rows of the copy."""
        return self.out[1] if self.direct else len(self.phases(1)) * self.extent(1)

    @property
    def plane(self) -> int:
        """Size of one channel's copy."""
        if self.direct:
            return self.places
        return len(self.phases(0)) * self.extent(0) * self.row

    def tap_offset(self, tap: Pair) -> int:
        """Where a tap's first position lies."""
        (r, c), (s, t) = tap, self.stride
        top = self.phases(0).index(r % s) * self.extent(0) + r // s
        return top * self.row + self.phases(1).index(c % t) * self.extent(1) + c // t

    def by_columns(self) -> tuple[dict[int, list[int]], list[int]]:
        """The taps' numbers by their offset in a row, in the order of the rows that they are in."""
        places = {divmod(self.tap_offset(tap), self.row): t for t, tap in enumerate(self.taps)}
        tops, offsets = [sorted({place[i] for place in places}) for i in (0, 1)]
        return {c: [places[top, c] for top in tops] for c in offsets}, tops

    def vectors(self, lanes: int) -> int:
        """Vectors of positions."""
        return -(-self.places // lanes)

    def pieces(self, lanes: int) -> list[list[tuple[int, int]]]:
        """For each vector its pieces: (offset of lane 0, bits of the lanes from the piece on)."""
        if self.direct:
            ends = [min(lanes, self.places - v * lanes) for v in range(self.vectors(lanes))]
            return [[(v * lanes, (1 << n) - 1)] for v, n in enumerate(ends)]
        result, width, everything = [], self.out[1], (1 << lanes) - 1
        for v in range(self.vectors(lanes)):
            found, lane = [], 0
            while lane < lanes and v * lanes + lane < self.places:
                i, j = divmod(v * lanes + lane, width)
                start = i * self.row + j - lane
                # a load may begin before the row, at lanes that it leaves alone
                found.append((start, everything & ~((1 << lane) - 1)))
                lane += width - j
            result.append(found)
        most = max([len(p) for p in result])
        return [p + [(p[0][0], 0)] * (most - len(p)) for p in result]


def signed(bits: int, kind: str) -> int:
    """A mask as a number of the table's type."""
    width = int(kind[1:])
    return bits - (1 << width) if bits >> (width - 1) else bits


class Columns:
    """Code that makes columns of ``images`` images of ``channels`` channels."""

    def __init__(self, f: Code, source: Source) -> None:
        self.f, self.source = f, source
        # steps of equal shapes share functions
        self.name = f"columns_{f.module_key(repr((source, f.dtype.str)))}"
        self.module: Module = f.module
        self.rows = source.pieces(f.lanes)
        self.count = len(self.rows[0])
        self.masked = source.direct and source.places % f.lanes > 0

    def tables(self, images: int, distance: int) -> tuple[str, str]:
        """Tables of the pieces' offsets (elements, images lie ``distance`` apart) and masks."""
        kind = self.f.mask_kind
        offsets = [i * distance + o for i in range(images) for row in self.rows for o, _ in row]
        masks = [signed(b, kind) for _ in range(images) for row in self.rows for _, b in row]
        return self.f.table(offsets), self.f.table(masks, kind)

    def taps(self) -> str:
        """Table of the taps' offsets."""
        return self.f.table([self.source.tap_offset(t) for t in self.source.taps])

    # The copy between zeros

    def copier(self) -> str:
        """The function ``(image, copy, channels)`` that copies what lies inside of the image."""
        s, name = self.source, f"{self.name}_copy"
        if name in self.module.functions:
            return name
        f = Code(self.module, name, "ptr noalias %x, ptr noalias %y, i64 %channels", self.f.dtype)
        (height, width), (sh, sw) = s.space, s.stride

        def inside(phase: int, dim: int) -> range:
            first = -(-(s.before[dim] - phase) // s.stride[dim])
            last = -(-(s.space[dim] + s.before[dim] - phase) // s.stride[dim])
            return range(max(0, first), min(s.extent(dim), last))

        def channel(c: Number, _: list[str]) -> None:
            x, y = f.at("%x", f.mul(c, height * width)), f.at("%y", f.mul(c, s.plane))
            for k, phase in enumerate(s.phases(0)):
                rows = inside(phase, 0)
                if len(rows):
                    f.span(rows.start, rows.stop, 1, partial(line, x, y, k, phase))

        def line(x: str, y: str, k: int, phase: int, i: Number, _: list[str]) -> None:
            row = f.add(f.mul(i, sh), phase - s.before[0])
            x = f.at(x, f.mul(row, width))
            y = f.at(y, f.mul(f.add(i, k * s.extent(0)), s.row))
            whole = s.before[1] == 0 and len(s.phases(1)) == sw and sw * s.extent(1) <= width
            if whole and sw % f.lanes == 0:
                squares(x, y)
                return
            for j, p in enumerate(s.phases(1)):
                part = inside(p, 1)
                to = j * s.extent(1)
                f.vectors(part.start, part.stop, partial(remainder, x, y, p - s.before[1], to))

        def remainder(x: str, y: str, start: int, to: int, at: Number, n: int) -> None:
            here = f.at(x, f.add(f.mul(at, sw), start))
            v = f.load(here, n) if sw == 1 else f.gather(here, sw, n)
            f.store(f.at(y, f.add(at, to)), v, n)

        def squares(x: str, y: str) -> None:  # the remainders of several columns at once
            f.vectors(0, s.extent(1), partial(square, x, y))

        def square(x: str, y: str, at: Number, n: int) -> None:
            for p in range(0, sw, f.lanes):
                rows = [f.load(f.at(x, f.add(f.mul(f.add(at, k), sw), p))) for k in range(n)]
                rows += ["zeroinitializer"] * (f.lanes - n)
                for k, v in enumerate(f.transposed(rows)):
                    f.store(f.at(y, f.add(at, (p + k) * s.extent(1))), v, n)

        f.span(0, "%channels", 1, channel)
        f.end()
        return name

    # Panels

    def piece_pointers(
        self, f: Code, image: str, v: Number, offsets: str, masks: str
    ) -> list[tuple[str, str]]:
        """Address and mask of each piece of vector v; the first needs no mask."""
        found = []
        for j in range(self.count):
            at = f.add(f.mul(v, self.count), j)
            mask = f.mask_entry(masks, at) if j or self.masked else ""
            found.append((f.at(image, f.entry(offsets, at)), mask))
        return found

    def vector(self, f: Code, pieces: list[tuple[str, str]], offset: Number) -> str:
        """One vector of positions, ``offset`` being the tap's."""
        x = "zeroinitializer"
        for p, mask in pieces:
            x = f.load(f.at(p, offset), mask=mask, rest=x)
        return x

    def packer(self, vectors: int) -> str:
        """The function ``(image, panel, channels, offsets, masks)``.

        Its panel has a row for each (channel, tap), and a column for each position.
        """
        s, name = self.source, f"{self.name}_pack{vectors}"
        if name in self.module.functions:
            return name
        f = Code(
            self.module,
            name,
            "ptr noalias %x, ptr noalias %y, i64 %channels, ptr %offsets, ptr %masks",
            self.f.dtype,
        )
        pieces = [self.piece_pointers(f, "%x", v, "%offsets", "%masks") for v in range(vectors)]
        taps, table = len(s.taps), self.taps()

        def body(c: Number, t: Number) -> None:
            where = f.add(f.mul(c, s.plane), f.entry(table, t))
            y = f.at("%y", f.mul(f.add(f.mul(c, taps), t), vectors * f.lanes))
            for v in range(vectors):
                f.store(f.at(y, v * f.lanes), self.vector(f, pieces[v], where))

        f.span(0, "%channels", 1, lambda c, _: void(f.span(0, taps, 1, lambda t, _: body(c, t))))
        f.end()
        return name

    def turner(self, vectors: int) -> str:
        """The function ``(image, panel, v0, v1, offsets, masks, columns)``.

        Its panel has a row for each position, and a column for each (channel, tap).
        """
        name = f"{self.name}_turn{vectors}"
        if name in self.module.functions:
            return name
        f = Code(
            self.module,
            name,
            "ptr noalias %x, ptr noalias %y, i64 %v0, i64 %v1, ptr %offsets, ptr %masks, "
            "ptr %columns",
            self.f.dtype,
        )

        def square(w: Number, v: Number) -> None:
            pieces = self.piece_pointers(f, "%x", v, "%offsets", "%masks")
            first = f.mul(w, f.lanes)
            columns = [f.entry("%columns", f.add(first, k)) for k in range(f.lanes)]
            lines = [self.vector(f, pieces, column) for column in columns]
            if self.source.direct:  # the image may be far away; copies are not
                for column in columns:
                    f.prefetch(f.past(f.at(pieces[0][0], column), AHEAD))
            row = f.mul(f(f"sub nsw i64 {v}, %v0"), f.lanes * vectors * f.lanes)
            y = f.at(f.at("%y", row), first)
            for k, column in enumerate(f.transposed(lines)):
                f.store(f.at(y, k * vectors * f.lanes), column)

        def some(w: Number, _: list[str]) -> None:  # so many streams can be followed
            f.span("%v0", "%v1", 1, lambda v, _: square(w, v))

        f.span(0, vectors, 1, some)
        f.end()
        return name

    def column_table(self, channels: int) -> str:
        """Offsets of the columns (channel, tap), some more at the end."""
        plane, taps = self.source.plane, [self.source.tap_offset(t) for t in self.source.taps]
        offsets = [c * plane + t for c in range(channels) for t in taps]
        return self.f.table(offsets + [0] * (8 * self.f.lanes))

    def slack(self) -> int:
        """Elements before and after the copies that loads may touch."""
        return 2 * self.f.lanes + max(0, -min([o for r in self.rows for o, _ in r], default=0))


def void(_: object) -> None:
    """Forget a result."""
