"""Convolution and its gradients as products of weights and columns, made a panel at a time.

Forward and the gradient of the input are one routine: with stride s, the input's positions of each
remainder modulo s are a convolution of the output's gradient with the taps of that remainder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.code import Code, Number, kernel
from rushlight.compiler.backends.llvm.columns import Columns, Pair, Source, void
from rushlight.compiler.backends.llvm.direct import Direct, suits, write_depthwise_weight
from rushlight.compiler.backends.llvm.launch import SHARED, Launch
from rushlight.compiler.backends.llvm.tiles import Tile, balanced, by_rows, tile, tile_rows
from rushlight.compiler.graph import Node

DEPTH = 192  # rows of a panel: it should stay in the first-level cache
CHUNK = 512  # positions of a panel of the weights' gradient


def pair(values: Any, extra: Any) -> Any:
    """Options of one or two dims as those of two, the first being ``extra``."""
    return (extra, *values) if len(values) == 1 else tuple(values)


@dataclass
class Shape:
    """Sizes of one convolution of two dims; those of one dim get a dim of size 1 in front."""

    n: int
    groups: int
    inner: int
    outer: int
    space: Pair
    kernel: Pair
    out: Pair
    stride: Pair
    before: Pair
    dilation: Pair

    @property
    def taps(self) -> list[Pair]:
        """Offsets of the taps."""
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        return [(i * dh, j * dw) for i in range(kh) for j in range(kw)]


def shape_of(node: Node) -> Shape:
    """The sizes of a convolution node, whichever of the three it is."""
    p, kind = node.params, type(node.op).__name__
    a, b, c = node.inputs[0].shape, node.inputs[1].shape, node.outputs[0].shape
    x, w, y = {"Conv": (a, b, c), "ConvInput": (c, b, a), "ConvWeight": (a, c, b)}[kind]
    groups = p["groups"]
    return Shape(
        x[0],
        groups,
        x[1] // groups,
        y[1] // groups,
        pair(x[2:], 1),
        pair(w[2:], 1),
        pair(y[2:], 1),
        pair(p["stride"], 1),
        pair([a for a, _ in p["padding"]], 0),
        pair(p["dilation"], 1),
    )


def fits(node: Node) -> bool:
    """Whether a convolution node has native code: floats, one or two dims, something to compute."""
    values = [v for v in (*node.inputs, *node.outputs) if v is not None]
    d = values[0].dtype
    if d not in (np.float32, np.float64) or any([v.dtype != d for v in values]):
        return False
    if len(node.outputs[0].shape) not in (3, 4) or any([0 in v.shape for v in values]):
        return False
    if type(node.op).__name__ == "ConvInput" and node.inputs[2] is not None:
        return all([part.taps for part in parts(shape_of(node))])
    return True


@dataclass
class Part:
    """The input's positions ``start + stride * i``; ``taps``: which of the kernel's they meet."""

    start: Pair
    source: Source | None
    taps: list[int] = field(default_factory=list)


def parts(s: Shape) -> list[Part]:
    """How the gradient of the input falls into convolutions of stride 1."""
    result = []
    for a in range(s.stride[0]):
        for b in range(s.stride[1]):
            met = [
                k
                for k, (r, c) in enumerate(s.taps)
                if r % s.stride[0] == a and c % s.stride[1] == b
            ]
            first, count = [], []
            for dim, rest in enumerate((a, b)):
                low = -(-(s.before[dim] - rest) // s.stride[dim])
                high = -(-(s.space[dim] + s.before[dim] - rest) // s.stride[dim])
                first.append(low)
                count.append(high - low)
            if min(count) <= 0:
                continue
            start = tuple(
                [
                    q + n * t - p
                    for q, n, t, p in zip((a, b), first, s.stride, s.before, strict=True)
                ]
            )
            if not met:
                result.append(Part(start, None))  # type: ignore[arg-type]
                continue
            back = [tuple([s.taps[k][i] // s.stride[i] for i in (0, 1)]) for k in met]
            most = [max([e[i] for e in back]) for i in (0, 1)]
            source = Source(
                s.out,
                (most[0] - first[0], most[1] - first[1]),
                (1, 1),
                tuple([(most[0] - e[0], most[1] - e[1]) for e in back]),
                (count[0], count[1]),
            )
            result.append(Part(start, source, met))  # type: ignore[arg-type]
    return result


class Scratch:
    """Places in a step's scratch memory, in elements. The first pass only measures."""

    def __init__(self, d: np.dtype[Any]) -> None:
        self.size, self.unit = 0, 64 // d.itemsize

    def take(self, count: int) -> int:
        """A place for ``count`` elements."""
        at = self.size
        self.size += -(-count // self.unit) * self.unit
        return at


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


class Weights:
    """Writes the gradient of the weights: outputs times columns, summed over all positions."""

    def __init__(self, f: Code, s: Shape, scratch: str, places: Scratch) -> None:
        self.f, self.s = f, s
        self.source = Source(s.space, s.before, s.stride, tuple(s.taps), s.out)
        self.columns = Columns(f, self.source)
        self.limits = tile_rows(f.module)
        self.most = 3
        self.count = s.inner * len(s.taps)
        p = self.source.places
        self.together = max(1, min(s.n, CHUNK // 2 // p))
        self.vectors = self.source.vectors(f.lanes)
        self.chunk = min(self.vectors, CHUNK // f.lanes)
        slack = self.columns.slack()
        self.image = self.outputs = 0
        self.copies = self.together * s.inner * self.source.plane
        if not self.source.direct:
            self.image = places.take(self.copies + 2 * slack) + slack
        if self.together > 1:
            self.outputs = places.take(s.outer * self.together * p + 2 * f.lanes)
        depth = max(self.chunk * f.lanes, self.together * p) + f.lanes
        self.panel = places.take(depth * self.most * f.lanes)
        self.scratch = scratch

    @property
    def blocks(self) -> int:
        """Blocks of images."""
        return -(-self.s.n // self.together)

    def write(self, x: str, g: str, out: str, k: Number, blocks: tuple[Number, Number]) -> None:
        """Sums over some blocks of images of group k."""
        f, n, rest = self.f, self.s.n, self.s.n % self.together
        self.x, self.g, self.out = x, g, out
        self.start = f.mul(blocks[0], self.together)

        def block(b: Number, _: list[str]) -> None:
            image = f.mul(b, self.together)
            if not rest:
                self.unit(k, image, self.together)
            elif rest == n:
                self.unit(k, image, rest)
            else:
                f.when(
                    f(f"icmp slt i64 {b}, {self.blocks - 1}"),
                    lambda: self.unit(k, image, self.together),
                    lambda: self.unit(k, image, rest),
                )

        f.span(*blocks, 1, block)

    def unit(self, k: Number, n: Number, images: int) -> None:
        """Images n to ``n + images`` of a group."""
        f, s, p = self.f, self.s, self.source.places
        size = s.space[0] * s.space[1]
        channels = s.groups * s.inner
        x = f.at(self.x, f.mul(f.add(f.mul(n, channels), f.mul(k, s.inner)), size))
        copies, distance = x, channels * size
        if not self.source.direct:
            copies, distance = f.at(self.scratch, self.image), s.inner * self.source.plane
            copy = self.columns.copier()
            for i in range(images):
                here = f.at(x, i * channels * size)
                to = f.at(copies, i * distance)
                f.do(f"call void @{copy}(ptr {here}, ptr {to}, i64 {s.inner})")
        g = f.at(self.g, f.mul(f.add(f.mul(n, s.groups * s.outer), f.mul(k, s.outer)), p))
        if images > 1:
            g = self.side_by_side(g, images)
        first = f(f"icmp eq i64 {n}, {self.start}")
        if images > 1 or self.vectors <= self.chunk:
            self.panels(k, g, copies, distance, images, 0, self.vectors, first, images * p)
            return

        def chunk(v: Number, _: list[str]) -> None:
            end = f.smaller(f.add(v, self.chunk), self.vectors)
            start = f.mul(v, f.lanes)
            stop = f.smaller(f.mul(end, f.lanes), p)
            fresh = f(f"and i1 {first}, {f(f'icmp eq i64 {v}, 0')}")
            depth = f(f"sub nsw i64 {stop}, {start}")
            self.panels(k, f.at(g, start), copies, distance, 1, v, end, fresh, depth)

        f.span(0, self.vectors, self.chunk, chunk)

    def side_by_side(self, g: str, images: int) -> str:
        """Outputs as (channel, image, position)."""
        f, s, p = self.f, self.s, self.source.places
        target = f.at(self.scratch, self.outputs)

        def channel(m: Number, _: list[str]) -> None:
            def image(i: Number, _: list[str]) -> None:
                a = f.at(g, f.add(f.mul(i, s.groups * s.outer * p), f.mul(m, p)))
                b = f.at(target, f.mul(f.add(f.mul(m, images), i), p))
                for at in range(0, p, f.lanes):
                    n = min(f.lanes, p - at)
                    f.store(f.at(b, at), f.load(f.at(a, at), n), n)

            f.span(0, images, 1, image)

        f.span(0, s.outer, 1, channel)
        return target

    def panels(
        self,
        k: Number,
        g: str,
        copies: str,
        distance: int,
        images: int,
        v: Number,
        end: Number,
        first: str,
        depth: Number,
    ) -> None:
        """All columns for the positions of vectors v to end."""
        f, s, p = self.f, self.s, self.source.places
        offsets, masks = self.columns.tables(1, 0)
        table = self.columns.column_table(s.inner)
        panel = f.at(self.scratch, self.panel)
        vectors = min(self.most, -(-self.count // f.lanes))
        wide = vectors * f.lanes
        lda = images * p
        out = f.at(self.out, f.mul(k, s.outer * self.count))

        def one(c: Number, width: int) -> None:
            vectors = -(-width // f.lanes)
            turn = self.columns.turner(vectors)

            def image(i: Number, _: list[str]) -> None:
                here = f.at(panel, f.mul(i, p * vectors * f.lanes))
                f.do(
                    f"call void @{turn}(ptr {f.at(copies, f.mul(i, distance))}, ptr {here}, "
                    f"i64 {v}, i64 {end}, ptr {offsets}, ptr {masks}, ptr {f.at(table, c, 8)})"
                )

            f.span(0, images, 1, image)
            runs = tuple([(j * f.lanes, min(f.lanes, width - j * f.lanes)) for j in range(vectors)])

            def rows(m: Number, count: int) -> None:
                name = tile(f.module, f.dtype, Tile(count, lda, self.count, runs))
                f.do(
                    f"call void @{name}(ptr {f.at(g, f.mul(m, lda))}, ptr {panel}, "
                    f"ptr {f.at(out, f.add(f.mul(m, self.count), c))}, i64 {depth}, i1 {first}, "
                    "ptr null)"
                )

            by_rows(f, s.outer, self.limits[vectors], rows)

        whole = self.count - self.count % wide
        f.span(0, whole, wide, lambda c, _: one(c, wide))
        if whole < self.count:
            one(whole, self.count - whole)


def turned_weights(f: Code, s: Shape, w: str, met: list[int], target: str) -> None:
    """Weights (groups * outer, inner, taps) as (groups, inner, outer, some of the taps)."""
    taps, every = len(met), s.kernel[0] * s.kernel[1]
    table = f.table(met)
    order = ", ".join([f"i32 {t}" for t in met + [0] * (f.lanes - taps)])

    def move(g: Number, o: Number, i: Number) -> None:
        a = f.at(w, f.mul(f.add(f.mul(f.add(f.mul(g, s.outer), o), s.inner), i), every))
        row = f.add(f.mul(g, s.inner), i)
        b = f.at(target, f.mul(f.add(f.mul(row, s.outer), o), taps))
        if every <= f.lanes:
            v, kind = f.load(a, every), f"<{f.lanes} x i32>"
            v = f(f"shufflevector {f.vector} {v}, {f.vector} poison, {kind} <{order}>")
            f.store(b, v, taps)
        else:
            f.span(0, taps, 1, lambda t, _: tap(a, b, t))

    def tap(a: str, b: str, t: Number) -> None:
        v = f.scalar(f.at(a, met[t] if isinstance(t, int) else f.entry(table, t)))
        f.do(f"store {f.element} {v}, ptr {f.at(b, t)}, align {f.size}")

    def some(g: Number, first: Number) -> None:  # few rows at a time: each is a page of its own
        last = f.smaller(f.add(first, 16), s.inner)
        f.span(
            0,
            s.outer,
            1,
            lambda o, _: void(f.span(first, last, 1, lambda i, _: move(g, o, i))),
        )

    f.span(0, s.groups, 1, lambda g, _: void(f.span(0, s.inner, 16, lambda i, _: some(g, i))))


def forward_launches(node: Node, width: int) -> list[Launch]:
    """Conv; operands: input, weight, bias or None, output."""
    s, f = shape_of(node), kernel(width, node.outputs[0].dtype)
    source = Source(s.space, s.before, s.stride, tuple(s.taps), s.out)
    given = [k for k, v in enumerate((*node.inputs, *node.outputs)) if v is not None]
    x, w, y = f.operand(0), f.operand(1), f.operand(len(given) - 1)
    size, places = source.places, Scratch(f.dtype)
    product = Product(
        s.n, s.groups, s.inner, s.outer, source, x,
        s.groups * s.inner * s.space[0] * s.space[1], w, y,
        s.groups * s.outer * size, size, f.operand(2) if len(given) == 4 else "",
    )  # fmt: skip
    together = images_together(f, source, s.outer, s.n)
    forward = Forward(f, product, "%scratch", places, together)
    forward.clear()

    def unit(k: Number, _: list[str]) -> None:
        forward.write(*f.parted(k, forward.blocks))

    f.span("%lo", "%hi", 1, unit)
    f.end()
    operands = tuple([(k, 0) for k in given])
    units = s.groups * forward.blocks
    return [Launch(f.module.text(), operands, units, places.size * f.size, 0, cost_of(s))]


def cost_of(s: Shape) -> float:
    """Nanoseconds of a convolution."""
    return 0.02 * s.n * s.groups * s.outer * s.inner * s.out[0] * s.out[1] * len(s.taps)


def input_launches(node: Node, width: int) -> list[Launch]:
    """ConvInput; operands: output's gradient, weight, bias or None, result.

    The first launch turns the weights, as (part, group, input, output, tap).
    """
    s, d = shape_of(node), node.outputs[0].dtype
    pieces, begins, count = parts(s), [], 0
    f, turn = kernel(width, d), kernel(width, d)
    w, target = turn.operand(0), turn.operand(1)
    for part in pieces:
        begins.append(count)
        if part.source is not None:
            turned_weights(turn, s, w, part.taps, turn.at(target, count))
            count += s.groups * s.outer * s.inner * len(part.taps)
    turn.end()
    shared = count * f.size
    given = [k for k, v in enumerate((*node.inputs, *node.outputs)) if v is not None]
    x, weights, y = f.operand(0), f.operand(1), f.operand(len(given) - 1)
    bias = f.operand(2) if len(given) == 4 else ""
    units, size = write_input(f, s, [x, weights, bias, y], pieces, begins)
    f.end()
    operands = tuple([(k, 0) for k in (0, SHARED, *given[2:])])
    return [
        Launch(turn.module.text(), ((1, 0), (SHARED, 0)), 1, 0, shared, 0.25 * shared),
        Launch(f.module.text(), operands, units, size * f.size, shared, cost_of(s)),
    ]


def write_input(
    f: Code, s: Shape, p: list[str], pieces: list[Part], begins: list[int]
) -> tuple[int, int]:
    """The second launch of ConvInput. Returns its units, and the elements of scratch memory."""
    places, out = Scratch(f.dtype), s.out[0] * s.out[1]
    size, channels, dense = s.space[0] * s.space[1], s.groups * s.inner, s.stride == (1, 1)
    met = [(part, b) for part, b in zip(pieces, begins, strict=True) if part.source is not None]
    sources = [part.source for part, _ in met if part.source is not None]
    together = min([images_together(f, source, s.inner, s.n) for source in sources])
    blocks, result = -(-s.n // together), p[3]
    if not dense:
        most = max([source.places for source in sources])
        result = f.at("%scratch", places.take(together * s.inner * most))
    begin, end = places.size, places.size

    def unit(k: Number, _: list[str]) -> None:
        nonlocal end
        g, b = f.parted(k, blocks)
        n = f.mul(b, together)
        if len(met) < len(pieces):
            for i in range(together):
                inside = f.smaller(f.add(n, i), s.n - 1)
                to = f.mul(f.add(f.mul(inside, s.groups), g), s.inner * size)
                f.clear(f.at(p[3], to), s.inner * size)
        for (part, first), source in zip(met, sources, strict=True):
            places.size, y, image, row = begin, p[3], channels * size, size
            if not dense:
                y, image, row = result, s.inner * source.places, source.places
            product = Product(
                s.n, s.groups, s.outer, s.inner, source, p[0],
                s.groups * s.outer * out, f.at(p[1], first), y, image, row, p[2],
                not dense,
            )  # fmt: skip
            forward = Forward(f, product, "%scratch", places, together)
            forward.clear()
            forward.write(g, b)
            if not dense:
                for i in range(together):
                    inside = f.smaller(i, f.sub(s.n - 1, n))
                    a = f.at(result, f.mul(inside, image))
                    at = f.mul(f.add(f.mul(f.add(n, inside), s.groups), g), s.inner * size)
                    spread(f, s, part, a, f.at(p[3], at))
            end = max(end, places.size)

    f.span("%lo", "%hi", 1, unit)
    return s.groups * blocks, end


def spread(f: Code, s: Shape, part: Part, y: str, target: str) -> None:
    """Put one image's positions of one remainder where they belong."""
    assert part.source is not None
    height, width = part.source.out

    def plane(c: Number, _: list[str]) -> None:
        def row(i: Number, _: list[str]) -> None:
            a = f.at(y, f.mul(f.add(f.mul(c, height), i), width))
            line = f.add(f.mul(c, s.space[0]), f.add(f.mul(i, s.stride[0]), part.start[0]))
            b = f.at(target, f.add(f.mul(line, s.space[1]), part.start[1]))
            for at in range(0, width, f.lanes):
                n = min(f.lanes, width - at)
                here = f.at(b, at * s.stride[1])
                v = f.load(f.at(a, at), n)
                if s.stride[1] == 1:
                    f.store(here, v, n)
                else:
                    f.scatter(here, v, s.stride[1], n)

        f.span(0, height, 1, row)

    f.span(0, s.inner, 1, plane)


PARTS = 8  # sums of parts of the images, if they are no more than so many bytes together
MOST = 1 << 23


def weight_launches(node: Node, width: int) -> list[Launch]:
    """ConvWeight; operands: input, output's gradient, result."""
    s, f = shape_of(node), kernel(width, node.outputs[0].dtype)
    x, g, out = [f.operand(k) for k in range(3)]
    places, operands = Scratch(f.dtype), ((0, 0), (1, 0), (2, 0))
    if s.inner == s.outer == 1 and s.groups > 1:
        source = Source(s.space, s.before, s.stride, tuple(s.taps), s.out)
        slack = Columns(f, source).slack()
        copy = f.at("%scratch", places.take(source.plane + 2 * slack) + slack)
        f.clear(copy, source.plane)
        write_depthwise_weight(f, source, s.n, s.groups, x, g, out, copy)
        f.end()
        size = places.size * f.size
        return [Launch(f.module.text(), operands, s.groups, size, 0, cost_of(s))]
    weights = Weights(f, s, "%scratch", places)
    total, blocks = s.groups * s.outer * s.inner * len(s.taps), weights.blocks
    wanted = max(1, min(PARTS // s.groups, blocks, MOST // (total * f.size)))
    each = -(-blocks // wanted)
    parts = -(-blocks // each)
    if not weights.source.direct:
        f.clear(f.at("%scratch", weights.image), weights.copies)

    def unit(k: Number, _: list[str]) -> None:
        group, part = f.parted(k, parts)
        start = f.mul(part, each)
        stop = f.smaller(f.add(start, each), blocks)
        weights.write(x, g, f.at(out, f.mul(part, total)), group, (start, stop))

    f.span("%lo", "%hi", 1, unit)
    f.end()
    units, size = s.groups * parts, places.size * f.size
    if parts == 1:
        return [Launch(f.module.text(), operands, units, size, 0, cost_of(s))]
    shared = parts * total * f.size
    operands = ((0, 0), (1, 0), (SHARED, 0))  # type: ignore[assignment]
    first = Launch(f.module.text(), operands, units, size, shared, cost_of(s))
    last, count = write_sums(width, f.dtype, total, parts)
    some = 0.1 * parts * total
    return [first, Launch(last, ((SHARED, 0), (2, 0)), count, 0, shared, some)]


def write_sums(width: int, d: np.dtype[Any], total: int, parts: int) -> tuple[str, int]:
    """A kernel that adds up parts of ``total`` elements, and its units."""
    f = kernel(width, d)
    a, b, each = f.operand(0), f.operand(1), 256 * f.lanes

    def unit(k: Number, _: list[str]) -> None:
        start = f.mul(k, each)
        stop = f.smaller(f.add(start, each), total)

        def vector(i: Number, _: list[str]) -> None:
            rest = f.sub(stop, i)
            on = f.lanes_below(rest)
            value = f.load(f.at(a, i), mask=on)
            for part in range(1, parts):
                value = f.plus(value, f.load(f.at(a, f.add(i, part * total)), mask=on))
            f.store_first(f.at(b, i), value, rest)

        f.span(start, stop, f.lanes, vector)

    f.span("%lo", "%hi", 1, unit)
    f.end()
    return f.module.text(), -(-total // each)
