"""Matrix products in tiles: the right operand is packed in panels, the left one read in place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from rushlight.compiler.backends.llvm.code import Code, Number
from rushlight.compiler.backends.llvm.conv import by_rows
from rushlight.compiler.backends.llvm.tiles import Tile, balanced, tile, tile_rows
from rushlight.core import threads

DEPTH = 256  # rows of a panel: it should stay in the first-level cache
SHARED = 10_000_000  # multiplications that are worth a second thread


@dataclass(frozen=True)
class Matrices:
    """``c = a b``: c is (m, n), contiguous; operands lie by rows, or by columns, so far apart."""

    m: int
    n: int
    k: int
    lda: int
    a_rows: bool
    ldb: int
    b_rows: bool


def ceil(a: int, b: int) -> int:
    """Quotient rounded up."""
    return -(-a // b)


def suits(s: Matrices, lanes: int) -> bool:
    """Whether tiles are at least as quick as BLAS, by measurements."""
    if threads.count() > 1 and s.m * s.n * s.k > SHARED:
        return False  # BLAS uses the other threads
    thin = not s.a_rows and s.n <= lanes < 4 * s.m  # BLAS lays vectors along the rows there
    return s.m >= 4 and not thin


def write(
    f: Code,
    s: Matrices,
    batch: tuple[int, ...],
    operands: list[tuple[str, list[int]]],
    scratch: str,
) -> int:
    """All products of a batch. Returns the elements of scratch memory that it needs.

    ``operands``: (pointer, strides of the batch) of a, b and c.
    """
    g = Gemm(f, s)

    def loops(dim: int, at: list[str]) -> None:
        if dim == len(batch):
            g.write(at[0], at[1], at[2], scratch)
            return

        def body(i: Number, _: list[str]) -> None:
            steps = [steps[dim] for _, steps in operands]
            loops(dim + 1, [f.at(p, f.mul(i, n)) for p, n in zip(at, steps, strict=True)])

        f.span(0, batch[dim], 1, body)

    loops(0, [p for p, _ in operands])
    return g.scratch()


class Gemm:
    """Code for one product."""

    def __init__(self, f: Code, s: Matrices) -> None:
        self.f, self.s = f, s
        self.limits = tile_rows(f.module)
        vectors = ceil(s.n, f.lanes)
        self.most = min(3, max(self.limits))
        self.panels = ceil(vectors, self.most)
        self.width, self.wider = balanced(vectors, self.most)
        share = ceil(s.k, ceil(s.k, DEPTH))
        self.depth = min(s.k, ceil(share, f.lanes) * f.lanes)

    def scratch(self) -> int:
        """Elements of scratch memory."""
        return (self.depth + self.f.lanes) * self.most * self.f.lanes

    def write(self, a: str, b: str, c: str, panel: str) -> None:
        """The product."""
        s = self.s
        self.a, self.b, self.c, self.panel = a, b, c, panel
        self.f.span(0, s.k, self.depth, lambda k, _: self.block(k))

    def block(self, k: Number) -> None:
        """All columns, for some of the depth."""
        f, s = self.f, self.s
        first = f(f"icmp eq i64 {k}, 0")
        if isinstance(k, int):
            depth: Number = min(self.depth, s.k - k)
        else:
            depth = f.smaller(self.depth, f(f"sub nsw i64 {s.k}, {k}"))
        done = 0
        for vectors, count in (
            (self.width + 1, self.wider),
            (self.width, self.panels - self.wider),
        ):
            if not count:
                continue
            end = done + vectors * count
            tail = s.n - (end - vectors) * f.lanes
            full = count if tail >= vectors * f.lanes else count - 1
            if full:
                body = partial(self.one, vectors, vectors * f.lanes, k, depth, first)
                f.span(done, done + full * vectors, vectors, body)
            if full < count:
                self.one(vectors, tail, k, depth, first, end - vectors)
            done = end

    def one(
        self,
        vectors: int,
        width: int,
        k: Number,
        depth: Number,
        first: str,
        v: Number,
        _: object = None,
    ) -> None:
        """One panel of ``width`` columns, from vector v on."""
        f, s = self.f, self.s
        column = f.mul(v, f.lanes)
        if s.b_rows:
            b, pack = f.at(self.b, f.add(f.mul(k, s.ldb), column)), self.copier(vectors, width)
        else:
            b, pack = f.at(self.b, f.add(f.mul(column, s.ldb), k)), self.turner(vectors, width)
        f.do(f"call void @{pack}(ptr {b}, ptr {self.panel}, i64 {depth})")
        lda, step = (s.lda, 1) if s.a_rows else (1, s.lda)
        a = f.at(self.a, f.mul(k, step))
        c = f.at(self.c, column)
        runs = [(j * f.lanes, min(f.lanes, width - j * f.lanes)) for j in range(vectors)]

        def rows(m: Number, count: int) -> None:
            name = tile(f.module, f.dtype, Tile(count, lda, s.n, tuple(runs), step=step))
            f.do(
                f"call void @{name}(ptr {f.at(a, f.mul(m, lda))}, ptr {self.panel}, "
                f"ptr {f.at(c, f.mul(m, s.n))}, i64 {depth}, i1 {first}, ptr null)"
            )

        by_rows(f, s.m, self.limits[vectors], rows)

    def copier(self, vectors: int, width: int) -> str:
        """The function ``(b, panel, depth)`` that copies rows."""
        name = f"copy{vectors}_{width}_{self.s.ldb}_{self.f.element}"
        if name in self.f.module.functions:
            return name
        f = Code(self.f.module, name, "ptr noalias %b, ptr noalias %p, i64 %depth", self.f.dtype)

        def row(k: Number, _: list[str]) -> None:
            b, p = f.at("%b", f.mul(k, self.s.ldb)), f.at("%p", f.mul(k, vectors * f.lanes))
            for v in range(vectors):
                lanes = min(f.lanes, width - v * f.lanes)
                f.prefetch(f.at(b, 8 * self.s.ldb + v * f.lanes))
                f.store(f.at(p, v * f.lanes), f.load(f.at(b, v * f.lanes), lanes))

        f.span(0, "%depth", 1, row)
        f.end()
        return name

    def turner(self, vectors: int, width: int) -> str:
        """The function ``(b, panel, depth)`` that transposes columns."""
        name = f"turn{vectors}_{width}_{self.s.ldb}_{self.f.element}"
        if name in self.f.module.functions:
            return name
        f = Code(self.f.module, name, "ptr noalias %b, ptr noalias %p, i64 %depth", self.f.dtype)
        tails = sorted({self.s.k % f.lanes, self.depth % f.lanes} - {0})

        def squares(k: Number, lanes: int) -> None:
            for v in range(vectors):
                rows = []
                for j in range(f.lanes):
                    column = v * f.lanes + j
                    b = f.at(f.at("%b", k), column * self.s.ldb)
                    rows.append(f.load(b, lanes) if column < width else "zeroinitializer")
                p = f.at(f.at("%p", f.mul(k, vectors * f.lanes)), v * f.lanes)
                for j, x in enumerate(f.transposed(rows)[:lanes]):
                    f.store(f.at(p, j * vectors * f.lanes), x)

        whole = f(f"and i64 %depth, {-f.lanes}")
        f.span(0, whole, f.lanes, lambda k, _: squares(k, f.lanes), empty=True)
        rest = f(f"and i64 %depth, {f.lanes - 1}")
        for n in tails:
            f.when(f(f"icmp eq i64 {rest}, {n}"), partial(squares, whole, n))
        f.end()
        return name
