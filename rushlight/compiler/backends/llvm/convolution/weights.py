"""The gradient of a convolution's weights: outputs times columns, a panel at a time."""

from __future__ import annotations

from rushlight.compiler.backends.llvm.convolution.columns import Columns, Source
from rushlight.compiler.backends.llvm.convolution.shapes import Scratch, Shape
from rushlight.compiler.backends.llvm.convolution.tiles import Tile, by_rows, tile, tile_rows
from rushlight.compiler.backends.llvm.ir.code import Code, Number

CHUNK = 512  # positions of a panel of the weights' gradient


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
                f.vectors(0, p, lambda at, n: f.store(f.at(b, at), f.load(f.at(a, at), n), n))

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
