"""Convolution as products of weights and panels of columns: forward, and the input's gradient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from rushlight.compiler.backends.llvm.convolution.columns import Columns, Source
from rushlight.compiler.backends.llvm.convolution.direct import Direct, suits
from rushlight.compiler.backends.llvm.convolution.shapes import Scratch
from rushlight.compiler.backends.llvm.convolution.tiles import (
    Tile,
    balanced,
    by_rows,
    tile,
    tile_rows,
)
from rushlight.compiler.backends.llvm.ir.code import Code, Number

DEPTH = 256  # rows of a panel: it should mostly stay in the first-level cache


@dataclass
class Product:
    """``y[n, g, m] = bias[g, m] + sum over channels and taps of w[g, m] x[n, g]``."""

    n: int
    groups: int
    channels: int
    rows: int
    source: Source
    x: str
    x_image: int  # distance of images, in elements
    w: str
    y: str
    y_image: int
    y_row: int
    bias: str = ""
    own: bool = False  # y holds one block of one group only


def images_together(f: Code, source: Source, rows: int, n: int) -> int:
    """Images of a panel."""
    if suits(f, rows, source):
        return 1
    return max(1, min(n, max(tile_rows(f.module)) // source.vectors(f.lanes)))


class Forward:
    """Writes a ``Product``, a block of ``together`` images at a time."""

    def __init__(self, f: Code, p: Product, scratch: str, places: Scratch, together: int) -> None:
        self.f, self.p, self.s = f, p, p.source
        self.columns = Columns(f, p.source)
        self.taps = len(self.s.taps)
        self.limits = tile_rows(f.module)
        self.most = max(self.limits)
        self.vectors = self.s.vectors(f.lanes)
        self.together = together
        blocks = -(-p.channels // max(1, DEPTH // self.taps))
        self.block = -(-p.channels // blocks)  # channels at a time
        self.scratch = scratch
        slack = self.columns.slack()
        self.image = 0
        self.direct = None
        if suits(f, p.rows, self.s):
            self.direct = Direct(f, self.s, p.rows, p.channels, p.y_row, bool(p.bias))
            self.copies = p.channels * self.s.plane
            self.image = places.take(self.copies + 2 * slack) + slack
            self.together = 1
            return
        if not self.s.direct:
            copies = self.together * self.block * self.s.plane
            self.image = places.take(copies + 2 * slack) + slack
            self.copies = copies
        self.panel = places.take(self.block * self.taps * self.most * f.lanes)

    @property
    def blocks(self) -> int:
        """Blocks of images."""
        return -(-self.p.n // self.together)

    def clear(self) -> None:
        """Write the zeros around copies."""
        if not self.s.direct:
            self.f.clear(self.f.at(self.scratch, self.image), self.copies)

    def write(self, g: Number, b: Number) -> None:
        """Block b of the images, of group g."""
        f, n = self.f, self.f.mul(b, self.together)
        rest = self.p.n % self.together
        if self.direct is not None:
            self.one(g, n)
        elif not rest:
            self.unit(g, n, self.together)
        elif rest == self.p.n:
            self.unit(g, n, rest)
        else:
            f.when(
                f(f"icmp slt i64 {b}, {self.blocks - 1}"),
                lambda: self.unit(g, n, self.together),
                lambda: self.unit(g, n, rest),
            )

    def target(self, g: Number, n: Number) -> str:
        """Where image n of group g goes, the first of a block."""
        f, p = self.f, self.p
        if p.own:
            return p.y
        return f.at(f.at(p.y, f.mul(n, p.y_image)), f.mul(g, p.rows * p.y_row))

    def one(self, g: Number, n: Number) -> None:
        """One image of a group, without panels."""
        f, p, s = self.f, self.p, self.s
        assert self.direct is not None
        x = f.at(f.at(p.x, f.mul(n, p.x_image)), f.mul(g, p.channels * s.space[0] * s.space[1]))
        if not s.direct:
            image = f.at(self.scratch, self.image)
            f.do(f"call void @{self.columns.copier()}(ptr {x}, ptr {image}, i64 {p.channels})")
            x = image
        m = f.mul(g, p.rows)
        w = f.at(p.w, f.mul(m, p.channels * self.taps))
        y = self.target(g, n)
        self.direct.write(x, w, y, f.at(p.bias, m) if p.bias else "")

    def unit(self, g: Number, n: Number, images: int) -> None:
        """Images n to ``n + images`` of a group."""
        f, p, s = self.f, self.p, self.s
        size = s.space[0] * s.space[1]
        copies = f.at(self.scratch, self.image)

        def block(c: Number, _: list[str]) -> None:
            count = f.smaller(self.block, f(f"sub nsw i64 {p.channels}, {c}"))
            x = f.at(p.x, f.mul(n, p.x_image))
            x = f.at(x, f.mul(f.add(f.mul(g, p.channels), c), size))
            if s.direct:
                self.panels(g, n, c, count, images, x, p.x_image)
                return
            copy = self.columns.copier()
            for i in range(images):
                here = f.at(copies, i * self.block * s.plane)
                f.do(f"call void @{copy}(ptr {f.at(x, i * p.x_image)}, ptr {here}, i64 {count})")
            self.panels(g, n, c, count, images, copies, self.block * s.plane)

        f.span(0, p.channels, self.block, block)

    def panels(
        self, g: Number, n: Number, c: Number, count: Number, images: int, x: str, distance: int
    ) -> None:
        """Make each panel and multiply the weights with it."""
        f = self.f
        offsets, masks = self.columns.tables(images, distance)
        total = images * self.vectors
        size, longer = balanced(total, self.most)
        parts = [(0, longer, size + 1)] if longer else []
        parts.append((longer * (size + 1), -(-total // self.most) - longer, size))
        lengths = [min(f.lanes, self.s.places - v * f.lanes) for v in range(self.vectors)] * images
        starts = [
            i * self.p.y_image + v * f.lanes for i in range(images) for v in range(self.vectors)
        ]

        def runs(v: int, vectors: int) -> tuple[tuple[int, int], ...]:
            return tuple([(starts[k] - starts[v], lengths[k]) for k in range(v, v + vectors)])

        def one(shape: Any, vectors: int, v: Number, _: Any = None) -> None:
            self.one_panel(g, n, c, count, v, shape, vectors, x, offsets, masks)

        for first, number, vectors in parts:
            last = first + (number - 1) * vectors
            usual = runs(first, vectors)

            same = runs(last, vectors) == usual
            end = last + vectors if same else last
            if end > first:
                f.span(first, end, vectors, partial(one, usual, vectors))
            if not same:
                one(runs(last, vectors), vectors, last)

    def one_panel(
        self,
        g: Number,
        n: Number,
        c: Number,
        count: Number,
        v: Number,
        runs: tuple[tuple[int, int], ...],
        vectors: int,
        x: str,
        offsets: str,
        masks: str,
    ) -> None:
        """One panel: vectors v and following."""
        f, p = self.f, self.p
        panel = f.at(self.scratch, self.panel)
        at = f.mul(v, self.columns.count)
        where = f.at(offsets, at, 8)
        which = f.at(masks, at, 2 if f.mask_kind == "i16" else 1)
        f.do(
            f"call void @{self.columns.packer(vectors)}(ptr {x}, ptr {panel}, i64 {count}, "
            f"ptr {where}, ptr {which})"
        )
        depth = f.mul(count, self.taps)
        first = f(f"icmp eq i64 {c}, 0")
        lda = p.channels * self.taps
        y = f.at(self.target(g, n), f.mul(v, f.lanes))
        a = f.at(p.w, f.mul(c, self.taps))

        def rows(m: Number, count: int) -> None:
            name = tile(f.module, f.dtype, Tile(count, lda, p.y_row, runs, bool(p.bias)))
            here = f.at(y, f.mul(m, p.y_row))
            m = f.add(f.mul(g, p.rows), m)
            bias = f.at(p.bias, m) if p.bias else "null"
            f.call(name, f.at(a, f.mul(m, lda)), panel, here, depth, first, bias)

        by_rows(f, p.rows, self.limits[vectors], rows)
