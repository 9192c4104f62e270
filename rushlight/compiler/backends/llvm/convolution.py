"""Convolution in two dims: forward, to the input, and to the weight.

All three keep the channels that they produce in the lanes of vectors and broadcast single elements
of the input, so that any stride,
dilation and size of planes fills the lanes alike. Weights are transposed beforehand, results
afterwards; planes are copied into a
frame of zeros. Several images are taken at a time where planes are small, so that weights are read
once for all of them.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.math import F32, Vectors
from rushlight.compiler.backends.llvm.text import Function, Module, vector_type
from rushlight.compiler.graph import Node

REGISTERS = 24  # accumulators; more, and the compiler keeps some of them in memory
PLACES = 512  # outputs worth of images to take at a time


def cdiv(a: int, b: int) -> int:
    """Quotient rounded up."""
    return -(-a // b)


@dataclass(frozen=True)
class Phase:
    """Outputs ``start + step * (i, j)`` for (i, j) in ``size``, which read the framed input at ``at
    * (i, j)`` plus each tap.

    rows, cols: (offset in rows or columns of the frame, index of the weight) of each tap.
    """

    size: tuple[int, int]
    at: tuple[int, int]
    start: tuple[int, int]
    step: tuple[int, int]
    rows: tuple[tuple[int, int], ...]
    cols: tuple[tuple[int, int], ...]


class Shape:
    """Sizes of one convolution, whichever side of it is computed."""

    def __init__(self, node: Node) -> None:
        p, self.kind = node.params, type(node.op).__name__
        out = node.outputs[0].shape
        a, b = node.inputs[0].shape, node.inputs[1].shape
        if self.kind == "Conv":
            x, w, y = a, b, out
        elif self.kind == "ConvInput":
            y, w, x = a, b, out
        else:
            x, y, w = a, b, out
        self.n, self.groups = x[0], p["groups"]
        self.inner, self.outer = x[1] // self.groups, y[1] // self.groups
        self.space: Any = x[2:]
        self.out: Any = y[2:]
        self.kernel: Any = w[2:]
        self.stride: Any = tuple(p["stride"])
        self.dilation: Any = tuple(p["dilation"])
        self.padding = tuple([tuple(q) for q in p["padding"]])

    def forward_frame(self) -> tuple[tuple[int, int], ...]:
        """Zeros before and after each dim of the input: as many as the outputs read."""
        result = []
        for n, o, k, s, d, (a, _) in zip(
            self.space, self.out, self.kernel, self.stride, self.dilation, self.padding, strict=True
        ):
            result.append((a, max(0, (o - 1) * s + (k - 1) * d + 1 - a - n)))
        return tuple(result)

    def backward_taps(self, dim: int) -> list[tuple[int, int, list[tuple[int, int]]]]:
        """For each phase of an input dim: (first position, count, taps as (offset in the output,
        index of the weight)).
        """
        s, d, a, n = self.stride[dim], self.dilation[dim], self.padding[dim][0], self.space[dim]
        result = []
        for r in range(min(s, n)):
            taps = [
                ((r + a - k * d) // s, k)
                for k in range(self.kernel[dim])
                if (r + a - k * d) % s == 0
            ]
            result.append((r, cdiv(n - r, s), taps))
        return result


def tile_for(size: tuple[int, int], vectors: int) -> tuple[int, int, int]:
    """Rows and columns of outputs, and vectors of channels, that are computed at a time."""
    best: tuple[float, tuple[int, int, int]] = (math.inf, (1, 1, 1))
    for v in range(1, min(4, vectors) + 1):
        for parts in range(1, size[1] + 1):
            q = cdiv(size[1], parts)
            if q * v > REGISTERS:
                continue
            r = min(size[0], REGISTERS // (q * v))
            r = cdiv(size[0], cdiv(size[0], r))
            cost = 0.0
            for rows, cols in itertools.product(pieces(size[0], r), pieces(size[1], q)):
                count, spots = rows[1] * cols[1], rows[0] * cols[0]
                cost += count * max(spots * v / 2, (spots + v) / 2, 4.0)
            cost *= cdiv(vectors, v)
            if cost < best[0]:
                best = cost, (r, q, v)
            if q == 1:
                break
    return best[1]


def pieces(n: int, size: int) -> list[tuple[int, int, int]]:
    """(length, count, start) of equal pieces of n, and of what is left."""
    whole, rest = divmod(n, size)
    return [p for p in ((size, whole, 0), (rest, 1, whole * size)) if p[0] and p[1]]


class Writer:
    """What the three functions share: helpers of one module."""

    def __init__(
        self, module: Module, name: str, node: Node, pointers: dict[Any, Any], windows: Any
    ) -> None:
        self.module, self.name, self.node = module, name, node
        self.s = Shape(node)
        self.lanes = module.width // 32
        self.type = vector_type("float", self.lanes)
        self.pointers, self.windows = pointers, windows
        self.scratch = 0
        self.f: Function

    def vectors(self, f: Function) -> Vectors:
        """Vector instructions at the end of f."""
        return Vectors(f, self.lanes, f.here)

    def take(self, floats: int) -> int:
        """Room in the step's scratch memory: the offset in bytes."""
        at = self.scratch
        self.scratch += cdiv(floats * 4, 64) * 64
        return at

    @staticmethod
    def add(f: Function, p: str, offset: Any, scale: int = 1) -> str:
        """A pointer moved by ``offset * scale`` bytes."""
        if isinstance(offset, str):
            if scale != 1:
                offset = f(f"mul nsw i64 {offset}, {scale}")
        else:
            offset *= scale
            if offset == 0:
                return p
        return f(f"getelementptr inbounds i8, ptr {p}, i64 {offset}")

    def each(self, f: Function, count: int, body: Any, step: int = 1) -> None:
        """A loop without results; none for a single turn."""
        if count <= step:
            body("0")
            return

        def inside(i: str, _: list[str]) -> list[str]:
            body(i)
            return []

        f.loop(count, step, [], inside)

    # Transposes

    def transposed(self, f: Function, rows: list[str]) -> list[str]:
        """A square of vectors transposed in registers."""
        n, d = self.lanes, 1
        while d < n:
            fresh = list(rows)
            for i in range(n):
                if i & d:
                    continue
                a, b = rows[i], rows[i | d]
                low = [k if not k & d else n + (k ^ d) for k in range(n)]
                high = [k ^ d if not k & d else n + k for k in range(n)]
                for at, lanes in ((i, low), (i | d, high)):
                    mask = "<" + ", ".join([f"i32 {k}" for k in lanes]) + ">"
                    fresh[at] = f(
                        f"shufflevector {self.type} {a}, {self.type} {b}, <{n} x i32> {mask}"
                    )
            rows, d = fresh, d * 2
        return rows

    def transpose(
        self, rows: int, cols: int, from_step: int, to_step: int, bias: bool = False
    ) -> str:
        """A function (source, target, bias): ``target[c][r] = source[r][c]``, plus ``bias[c]``;
        steps are of rows, in floats.
        """
        name = f"{self.name}_t{rows}x{cols}_{from_step}_{to_step}{'b' if bias else ''}"
        if name in self.module.functions:
            return name
        f = Function(self.module, name, "ptr %x, ptr %y, ptr %b")
        n = self.lanes

        def block(r: str, c: str, height: int, width: int) -> None:
            v = self.vectors(f)
            x = self.add(f, self.add(f, "%x", r, from_step * 4), c, 4)
            y = self.add(f, self.add(f, "%y", c, to_step * 4), r, 4)
            lines = [
                v.load(self.add(f, x, i * from_step * 4), F32, 1, width % n)
                if i < height
                else "zeroinitializer"
                for i in range(n)
            ]
            b = self.add(f, "%b", c, 4)
            for k, line in enumerate(self.transposed(f, lines)[:width]):
                if bias:
                    one = f(f"load float, ptr {self.add(f, b, 4 * k)}")
                    line = v.real("add", F32, [line, v.splat(one, F32)])
                v.store(self.add(f, y, k * to_step * 4), line, F32, 1, height % n)

        for height, tall, top in pieces(rows, n):
            for width, wide, left in pieces(cols, n):
                self.each(
                    f,
                    tall,
                    lambda i, h=height, w=width, t=top, lf=left, count=wide: self.each(
                        f,
                        count,
                        lambda j: block(self.index(f, i, n, t), self.index(f, j, n, lf), h, w),
                    ),
                )
        f.end()
        return name

    @staticmethod
    def index(f: Function, i: str, step: int, start: int) -> str:
        """``i * step + start``."""
        if i == "0":
            return str(start)
        return f(f"add nsw i64 {f(f'mul nsw i64 {i}, {step}')}, {start}")

    # Frames

    def framed(
        self,
        f: Function,
        x: str,
        to: str,
        images: int,
        channels: int,
        image_step: int,
        space: Any,
        frame: Any,
    ) -> None:
        """Copy the planes of ``images`` into frames of zeros."""
        (top, bottom), (left, right) = frame
        h, w = space
        tall, wide = h + top + bottom, w + left + right
        self.clear(f, to, images * channels * tall * wide)

        def row(n: str, c: str, y: str) -> None:
            source = self.add(
                f, self.add(f, self.add(f, x, n, image_step * 4), c, h * w * 4), y, w * 4
            )
            target = self.add(
                f,
                self.add(f, self.add(f, to, n, channels * tall * wide * 4), c, tall * wide * 4),
                y,
                wide * 4,
            )
            target = self.add(f, target, (top * wide + left) * 4)
            v = self.vectors(f)
            for at in range(0, w, self.lanes):
                on = min(self.lanes, w - at) % self.lanes
                v.store(
                    self.add(f, target, at * 4),
                    v.load(self.add(f, source, at * 4), F32, 1, on),
                    F32,
                    1,
                    on,
                )

        self.each(
            f,
            images,
            lambda n: self.each(f, channels, lambda c: self.each(f, h, lambda y: row(n, c, y))),
        )

    # Sums over taps

    def micro(
        self,
        rows: int,
        cols: int,
        v: int,
        phase: Phase,
        wide: int,
        plane: int,
        channels: int,
        padded: int,
        taps: int,
    ) -> str:
        """A function (input, weights, output): a tile of outputs, summed over channels and taps.
        ``taps``: weights of a channel.
        """
        base = f"{self.name}_m{rows}x{cols}x{v}_{phase.start[0]}_{phase.start[1]}"
        f = Function(self.module, base, "ptr %x, ptr %w, ptr %y")
        spots = [
            ((i * phase.at[0] * wide + j * phase.at[1]) * 4, i, j)
            for i in range(rows)
            for j in range(cols)
        ]
        width = self.s.kernel[1]

        def tap(x: str, w: str, offset: int, weight: int, accs: list[str]) -> list[str]:
            vec, out = self.vectors(f), list(accs)
            lines = [
                vec.load(self.add(f, w, (weight * padded + k * self.lanes) * 4), F32, 1, 0)
                for k in range(v)
            ]
            for at, (where, _, _) in enumerate(spots):
                one = vec.splat(f(f"load float, ptr {self.add(f, x, where + offset * 4)}"), F32)
                for k in range(v):
                    out[at * v + k] = vec.fma(one, lines[k], out[at * v + k])
            return out

        def line(x: str, w: str, row: tuple[int, int], accs: list[str]) -> list[str]:
            for offset, k in phase.cols:
                accs = tap(x, w, row[0] * wide + offset, row[1] * width + k, accs)
            return accs

        def channel(c: str, accs: list[str]) -> list[str]:
            x, w = self.add(f, "%x", c, plane * 4), self.add(f, "%w", c, taps * padded * 4)
            if len(phase.rows) * len(phase.cols) <= 12 or len(phase.rows) == 1:
                for row in phase.rows:
                    accs = line(x, w, row, accs)
                return accs
            (o0, k0), (o1, k1) = phase.rows[:2]

            def inside(i: str, names: list[str]) -> list[str]:
                xi = self.add(f, self.add(f, x, i, (o1 - o0) * wide * 4), o0 * wide * 4)
                wi = self.add(
                    f, self.add(f, w, i, (k1 - k0) * width * padded * 4), k0 * width * padded * 4
                )
                return line(xi, wi, (0, 0), names)

            return f.loop(len(phase.rows), 1, [(self.type, a) for a in accs], inside)

        start = [(self.type, "zeroinitializer")] * (len(spots) * v)
        accs = (
            f.loop(channels, 1, start, channel)
            if phase.rows and phase.cols
            else [z for _, z in start]
        )
        out_wide = self.out_space[1]
        for at, (_, i, j) in enumerate(spots):
            where = (i * phase.step[0] * out_wide + j * phase.step[1]) * padded
            for k in range(v):
                self.vectors(f).store(
                    self.add(f, "%y", (where + k * self.lanes) * 4), accs[at * v + k], F32, 1, 0
                )
        f.end()
        return base

    def slide(
        self,
        phases: list[Phase],
        channels: int,
        made: int,
        space: Any,
        frame: Any,
        bases: Any,
        steps: Any,
    ) -> None:
        """Forward or to the input: for each group, frame the planes, sum over taps, and transpose
        what was made.

        channels, made: channels read and made in a group; space: sizes of the planes read; bases:
        pointers to the planes read, weights,
        result, bias or None; steps: whether weights are (made, channels, taps) or (channels, made,
        taps).
        """
        f, s, n = self.f, self.s, self.lanes
        taps = math.prod(s.kernel)
        tall, wide = space[0] + sum(frame[0]), space[1] + sum(frame[1])
        framed = any([a or b for a, b in frame])
        r, q, v = tile_for(max([p.size for p in phases]), cdiv(made, n))
        block = v * n  # channels made at a time; weights and sums of one block lie together
        blocks = cdiv(made, block)
        places = math.prod(self.out_space)
        images = max(
            [d for d in range(1, s.n + 1) if s.n % d == 0 and d * places <= max(PLACES, places)]
        )
        weights = self.take(blocks * channels * taps * block)
        planes = self.take(images * channels * tall * wide) if framed else 0
        sums = self.take(images * places * block)
        x0, w0, y0, b0 = bases
        base = self.pointer("scratch")
        wt, sums_p = self.add(f, base, weights), self.add(f, base, sums)
        if made % block:  # lanes that no channel fills
            self.clear(f, wt, blocks * channels * taps * block)
        micros = {
            (p, rows[0], cols[0]): self.micro(
                rows[0], cols[0], v, p, wide, tall * wide, channels, block, taps
            )
            for p in phases
            for rows in pieces(p.size[0], r)
            for cols in pieces(p.size[1], q)
        }

        def group(g: str) -> None:
            w = self.add(f, w0, g, made * channels * taps * 4)
            for part in pieces(made, block):
                self.each(
                    f,
                    part[1],
                    lambda k, part=part: turn_weights(
                        w, part, self.index(f, k, 1, part[2] // block)
                    ),
                )
            x = self.add(f, x0, g, channels * math.prod(space) * 4)
            y = self.add(f, y0, g, made * places * 4)
            b = "null" if b0 is None else self.add(f, b0, g, made * 4)
            self.each(f, s.n // images, lambda c: chunk(c, x, y, b))

        def turn_weights(w: str, part: Any, k: str) -> None:
            to = self.add(f, wt, k, channels * taps * block * 4)
            if steps == "made first":
                turn = self.transpose(part[0], channels * taps, channels * taps, block)
                f.do(
                    f"call void @{turn}(ptr {self.add(f, w, k, block * channels * taps * 4)}, "
                    f"ptr {to}, ptr null)"
                )
                return
            turn = self.transpose(part[0], taps, taps, block)
            w = self.add(f, w, k, block * taps * 4)
            self.each(
                f,
                channels,
                lambda c: f.do(
                    f"call void @{turn}(ptr {self.add(f, w, c, made * taps * 4)}, "
                    f"ptr {self.add(f, to, c, taps * block * 4)}, ptr null)"
                ),
            )

        def chunk(c: str, x: str, y: str, b: str) -> None:
            x = self.add(f, x, c, images * s.groups * channels * math.prod(space) * 4)
            y = self.add(f, y, c, images * s.groups * made * places * 4)
            image = s.groups * channels * tall * wide
            if framed:
                to = self.add(f, base, planes)
                self.framed(
                    f, x, to, images, channels, s.groups * channels * math.prod(space), space, frame
                )
                x, image = to, channels * tall * wide
            for part in pieces(made, block):
                self.each(
                    f,
                    part[1],
                    lambda k, part=part: channels_of(
                        self.index(f, k, 1, part[2] // block), part, x, y, b, image
                    ),
                )

        def channels_of(k: str, part: Any, x: str, y: str, b: str, image: int) -> None:
            self.each(f, images, lambda i: tiles(k, i, x, image))
            turn = self.transpose(places, part[0], block, places, b0 is not None)
            y = self.add(f, y, k, block * places * 4)
            bias = b if b0 is None else self.add(f, b, k, block * 4)
            self.each(
                f,
                images,
                lambda i: f.do(
                    f"call void @{turn}(ptr {self.add(f, sums_p, i, places * block * 4)}, "
                    f"ptr {self.add(f, y, i, s.groups * made * places * 4)}, ptr {bias})"
                ),
            )

        def tiles(k: str, i: str, x: str, image: int) -> None:
            w = self.add(f, wt, k, channels * taps * block * 4)
            x = self.add(f, x, i, image * 4)
            y = self.add(f, sums_p, i, places * block * 4)
            for p in phases:
                xp = self.add(f, x, self.corner(frame, wide) * 4)
                yp = self.add(f, y, (p.start[0] * self.out_space[1] + p.start[1]) * block * 4)
                for rows in pieces(p.size[0], r):
                    for cols in pieces(p.size[1], q):
                        self.each(
                            f,
                            rows[1],
                            lambda a, p=p, xp=xp, yp=yp, rows=rows, cols=cols: self.each(
                                f, cols[1], lambda b, a=a: one(a, b, p, xp, yp, rows, cols, w)
                            ),
                        )

        def one(a: str, b: str, p: Phase, x: str, y: str, rows: Any, cols: Any, w: str) -> None:
            i, j = self.index(f, a, rows[0], rows[2]), self.index(f, b, cols[0], cols[2])
            x = self.add(f, self.add(f, x, i, p.at[0] * wide * 4), j, p.at[1] * 4)
            y = self.add(
                f,
                self.add(f, y, i, p.step[0] * self.out_space[1] * block * 4),
                j,
                p.step[1] * block * 4,
            )
            f.do(f"call void @{micros[p, rows[0], cols[0]]}(ptr {x}, ptr {w}, ptr {y})")

        self.each(f, s.groups, group)

    def clear(self, f: Function, p: str, floats: int) -> None:
        """Zeros."""
        self.module.declarations.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        f.do(f"call void @llvm.memset.p0.i64(ptr {p}, i8 0, i64 {floats * 4}, i1 false)")

    def corner(self, frame: Any, wide: int) -> int:
        """Where offset (0, 0) lies in a frame, in floats: taps of the forward pass count from the
        frame's own corner.
        """
        return 0 if self.s.kind == "Conv" else frame[0][0] * wide + frame[1][0]

    # The three sides

    def pointer(self, key: Any) -> str:
        """The pointer to a buffer."""
        from rushlight.compiler.backends.llvm.kernels import Writer as Kernels

        if key == "scratch":
            return Kernels.write_pointer(self.f, self.f.here, self.pointers["scratch"])
        root, _, offset = self.windows.layout(key)
        slot, start = self.pointers[root.number]
        return Kernels.write_pointer(self.f, self.f.here, (slot, start + 4 * offset))

    def write(self) -> None:
        """The function ``name(args)``."""
        self.f = Function(self.module, self.name, "ptr %args")
        {"Conv": self.forward, "ConvInput": self.to_input, "ConvWeight": self.to_weight}[
            self.s.kind
        ]()
        self.f.end()

    def forward(self) -> None:
        """The convolution."""
        s, node = self.s, self.node
        self.out_space = s.out
        rows = tuple([(k * s.dilation[0], k) for k in range(s.kernel[0])])
        cols = tuple([(k * s.dilation[1], k) for k in range(s.kernel[1])])
        phase = Phase(s.out, s.stride, (0, 0), (1, 1), rows, cols)
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        bases = (
            *[self.pointer(v) for v in (*node.inputs[:2], node.outputs[0])],
            None if bias is None else self.pointer(bias),
        )
        self.slide([phase], s.inner, s.outer, s.space, s.forward_frame(), bases, "made first")

    def to_input(self) -> None:
        """Each input from the outputs that it went into: one phase for each position modulo the
        stride.
        """
        s, node = self.s, self.node
        self.out_space = s.space
        sides = [s.backward_taps(dim) for dim in (0, 1)]
        frame = []
        for dim in (0, 1):
            low = min([o for _, _, taps in sides[dim] for o, _ in taps], default=0)
            high = max([count - 1 + o for _, count, taps in sides[dim] for o, _ in taps], default=0)
            frame.append((max(0, -low), max(0, high - s.out[dim] + 1)))
        phases = [
            Phase((ni, nj), (1, 1), (i, j), s.stride, tuple(rows), tuple(cols))
            for i, ni, rows in sides[0]
            for j, nj, cols in sides[1]
        ]
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        bases = (
            *[self.pointer(v) for v in (*node.inputs[:2], node.outputs[0])],
            None if bias is None else self.pointer(bias),
        )
        self.slide(phases, s.outer, s.inner, s.out, tuple(frame), bases, "channels first")

    def to_weight(self) -> None:
        """Each weight from the pairs of input and output that it joined: outputs' channels in
        lanes.
        """
        f, s, n, node = self.f, self.s, self.lanes, self.node
        frame = s.forward_frame()
        framed = any([a or b for a, b in frame])
        tall, wide = s.space[0] + sum(frame[0]), s.space[1] + sum(frame[1])
        kh, kw = s.kernel
        vectors = cdiv(s.outer, n)
        m, high, v = self.weight_tile(vectors)
        block = v * n
        blocks = cdiv(s.outer, block)
        places, weights = math.prod(s.out), s.inner * kh * kw
        images = max(
            [d for d in range(1, s.n + 1) if s.n % d == 0 and d * places <= max(PLACES, places)]
        )
        sums = self.take(blocks * weights * block)
        planes = self.take(images * s.inner * tall * wide) if framed else 0
        turned = self.take(images * places * block)
        x0, g0, w0 = [self.pointer(q) for q in (*node.inputs[:2], node.outputs[0])]
        base = self.pointer("scratch")
        sums_p, turned_p = self.add(f, base, sums), self.add(f, base, turned)
        image = s.inner * tall * wide if framed else s.groups * s.inner * tall * wide
        micros = {
            (c[0], r[0]): self.pairs(c[0], r[0], v, wide, tall * wide, image, images, block)
            for c in pieces(s.inner, m)
            for r in pieces(kh, high)
        }

        def group(g: str) -> None:
            self.clear(f, sums_p, blocks * weights * block)
            x = self.add(f, x0, g, s.inner * math.prod(s.space) * 4)
            y = self.add(f, g0, g, s.outer * places * 4)
            self.each(f, s.n // images, lambda c: chunk(c, x, y))
            w = self.add(f, w0, g, s.outer * weights * 4)
            for part in pieces(s.outer, block):
                self.each(
                    f,
                    part[1],
                    lambda k, part=part: turn_back(self.index(f, k, 1, part[2] // block), part, w),
                )

        def turn_back(k: str, part: Any, w: str) -> None:
            back = self.transpose(weights, part[0], block, weights)
            source, to = (
                self.add(f, sums_p, k, weights * block * 4),
                self.add(f, w, k, block * weights * 4),
            )
            f.do(f"call void @{back}(ptr {source}, ptr {to}, ptr null)")

        def chunk(c: str, x: str, y: str) -> None:
            x = self.add(f, x, c, images * s.groups * s.inner * math.prod(s.space) * 4)
            y = self.add(f, y, c, images * s.groups * s.outer * places * 4)
            if framed:
                to = self.add(f, base, planes)
                self.framed(
                    f,
                    x,
                    to,
                    images,
                    s.inner,
                    s.groups * s.inner * math.prod(s.space),
                    s.space,
                    frame,
                )
                x = to
            for part in pieces(s.outer, block):
                self.each(
                    f,
                    part[1],
                    lambda k, part=part: channels_of(
                        self.index(f, k, 1, part[2] // block), part, x, y
                    ),
                )

        def channels_of(k: str, part: Any, x: str, y: str) -> None:
            if part[0] < block:
                self.clear(f, turned_p, images * places * block)
            turn = self.transpose(part[0], places, places, block)
            y = self.add(f, y, k, block * places * 4)
            self.each(
                f,
                images,
                lambda i: f.do(
                    f"call void @{turn}(ptr {self.add(f, y, i, s.groups * s.outer * places * 4)}, "
                    f"ptr {self.add(f, turned_p, i, places * block * 4)}, ptr null)"
                ),
            )
            w = self.add(f, sums_p, k, weights * block * 4)
            for c in pieces(s.inner, m):
                for r in pieces(kh, high):
                    self.each(
                        f,
                        c[1],
                        lambda a, c=c, r=r: self.each(
                            f, r[1], lambda b, a=a: one(a, b, c, r, x, w)
                        ),
                    )

        def one(a: str, b: str, c: Any, r: Any, x: str, w: str) -> None:
            i, j = self.index(f, a, c[0], c[2]), self.index(f, b, r[0], r[2])
            x = self.add(f, self.add(f, x, i, tall * wide * 4), j, s.dilation[0] * wide * 4)
            w = self.add(f, self.add(f, w, i, kh * kw * block * 4), j, kw * block * 4)
            f.do(f"call void @{micros[c[0], r[0]]}(ptr {x}, ptr {turned_p}, ptr {w})")

        self.each(f, s.groups, group)

    def weight_tile(self, vectors: int) -> tuple[int, int, int]:
        """Channels, rows of taps, and vectors of outputs' channels that are summed at a time."""
        (kh, kw), best = self.s.kernel, (math.inf, (1, 1, 1))
        for v in range(1, min(4, vectors) + 1):
            for high in {1, kh}:
                for m in range(1, self.s.inner + 1):
                    count = m * high * kw
                    if count * v > REGISTERS and (m > 1 or high > 1):
                        break
                    turns = cdiv(vectors, v) * cdiv(self.s.inner, m) * cdiv(kh, high)
                    cost = (
                        turns
                        * max(count * v / 2, (count + v) / 2 + 1, 4.0)
                        * (1 + max(0, count * v - REGISTERS))
                    )
                    if cost < best[0]:
                        best = cost, (m, high, v)
        return best[1]

    def pairs(
        self, m: int, high: int, v: int, wide: int, plane: int, image: int, images: int, padded: int
    ) -> str:
        """A function (input, outputs, sums) that adds products over all positions of ``images``."""
        s, name = self.s, f"{self.name}_p{m}x{high}x{v}"
        f = Function(self.module, name, "ptr %x, ptr %g, ptr %w")
        kh, kw = s.kernel
        entries = [(c, r, k) for c in range(m) for r in range(high) for k in range(kw)]
        places = [((c * kh + r) * kw + k) * padded for c, r, k in entries]
        spots = [
            (c * plane + r * s.dilation[0] * wide + k * s.dilation[1]) * 4 for c, r, k in entries
        ]
        vec = self.vectors(f)
        accs = [
            vec.load(self.add(f, "%w", (p + k * self.lanes) * 4), F32, 1, 0)
            for p in places
            for k in range(v)
        ]

        def at(n: str, i: str, j: str, accs: list[str]) -> list[str]:
            vec, out = self.vectors(f), list(accs)
            x = self.add(
                f,
                self.add(f, self.add(f, "%x", n, image * 4), i, s.stride[0] * wide * 4),
                j,
                s.stride[1] * 4,
            )
            g = self.add(
                f,
                self.add(
                    f, self.add(f, "%g", n, math.prod(s.out) * padded * 4), i, s.out[1] * padded * 4
                ),
                j,
                padded * 4,
            )
            lines = [vec.load(self.add(f, g, k * self.lanes * 4), F32, 1, 0) for k in range(v)]
            for e, spot in enumerate(spots):
                one = vec.splat(f(f"load float, ptr {self.add(f, x, spot)}"), F32)
                for k in range(v):
                    out[e * v + k] = vec.fma(one, lines[k], out[e * v + k])
            return out

        def typed(values: list[str]) -> list[tuple[str, str]]:
            return [(self.type, a) for a in values]

        accs = f.loop(
            images,
            1,
            typed(accs),
            lambda n, a: f.loop(
                s.out[0],
                1,
                typed(a),
                lambda i, b: f.loop(s.out[1], 1, typed(b), lambda j, c: at(n, i, j, c)),
            ),
        )
        vec = self.vectors(f)
        for e, p in enumerate(places):
            for k in range(v):
                vec.store(self.add(f, "%w", (p + k * self.lanes) * 4), accs[e * v + k], F32, 1, 0)
        f.end()
        return name


def supported(node: Node) -> bool:
    """Whether a node is a convolution that these functions compute well."""
    if (
        type(node.op).__name__ not in ("Conv", "ConvInput", "ConvWeight")
        or len(node.outputs[0].shape) != 4
    ):
        return False
    if any(
        [
            v is not None and (v.dtype != np.float32 or 0 in v.shape)
            for v in (*node.inputs, *node.outputs)
        ]
    ):
        return False
    s = Shape(node)
    made = s.inner if s.kind == "ConvInput" else s.outer
    return made >= 4 and all([len(p) == 2 and min(p) >= 0 for p in s.padding])
