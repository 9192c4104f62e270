"""Planes of pixels turned to pixels of vectors, and back.

A vector holds one pixel of several planes, which lie ``distance`` elements apart: channels of an
image, or images of a channel. Turned pixels lie between zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.compiler.backends.llvm.ir.code import Code, Number, Sized
from rushlight.compiler.backends.llvm.ir.text import COMMON, Module
from rushlight.compiler.backends.llvm.products.packing import AHEAD

SIZES = "i64 %distance, i64 %width, i64 %row, i64 %start, i64 %most"


@dataclass(frozen=True)
class Frame:
    """Where turned pixels lie: ``before`` rows and columns of zeros in front, ``row`` in a row."""

    space: tuple[int, int]
    before: tuple[int, int]
    row: int

    @property
    def size(self) -> int:
        """Pixels of a plane."""
        return self.space[0] * self.space[1]

    def slack(self, lanes: int) -> int:
        """Elements before and behind that functions below may touch."""
        return lanes * self.row * lanes

    def sizes(self, distance: int, lanes: int) -> tuple[int, ...]:
        """The arguments ``SIZES``. ``most``: the last pixel from which on there are ``lanes``."""
        start = (self.before[0] * self.row + self.before[1]) * lanes
        return distance, self.space[1], self.row, start, max(0, self.size - lanes)

    def known(self, lanes: int) -> Number:
        """The width, where vectors hold some whole rows; else ``%width``."""
        width = self.space[1]
        return width if width < lanes and lanes % width == 0 else "%width"

    def offsets(self, f: Code, p: Number) -> list[Number]:
        """Where ``lanes`` pixels from p on lie, in elements."""
        n, width = f.lanes, self.known(f.lanes)
        i, j = f.parted(p, width)
        at = f.add(f.mul(f.add(f.mul(i, "%row"), j), n), "%start")
        if isinstance(width, int):
            rows = [f.add(at, f.mul("%row", k * n)) for k in range(n // width)]
            return [f.add(row, k * n) for row in rows for k in range(width)]
        if self.space[1] % n == 0:
            return [f.add(at, k * n) for k in range(n)]
        found, over = [at], f.mul(f.add(f.sub("%row", "%width"), 1), n)
        for _ in range(n - 1):
            j = f.add(j, 1)
            ends = f(f"icmp eq i64 {j}, {width}")
            j = f(f"select i1 {ends}, i64 0, i64 {j}")
            step = f(f"select i1 {ends}, i64 {over}, i64 {n}")
            found.append(f.add(found[-1], step))
        return found

    def kind(self, lanes: int) -> str:
        """What functions for frames differ in, as a part of their names."""
        whole = self.space[1] % lanes == 0
        return f"{self.known(lanes)}{whole}{min(lanes, self.size)}".replace("%", "")


def planes(f: Code, p: str, last: str) -> list[str]:
    """The addresses of the planes of each lane; those behind the ``last`` are the last one."""
    if not last:
        return f.apart(p, "%distance", f.lanes)
    return [f.at(p, f.mul(f.smaller(k, last), "%distance")) for k in range(f.lanes)]


def write_copy(f: Code, frame: Frame, distance: int, last: str = "", zeros: bool = False) -> Sized:
    """The function ``(x, to, p0, p1, shift, last)``: pixels p0 to p1, and perhaps a few more.

    ``shift``: where ``to`` lies between zeros. ``last``: "%last" if lanes may have no plane, which
    then get the last plane's pixels, or ``zeros``.
    """
    signature = f"ptr noalias %x, ptr noalias %to, i64 %p0, i64 %p1, i64 %shift, i64 %last, {SIZES}"
    name = f"copy_{frame.kind(f.lanes)}_{bool(last)}{zeros}"

    def write(module: Module) -> str:
        f, n = Code(module, name, signature, d, COMMON), min(lanes, frame.size)

        def some(p: Number, _: list[str]) -> None:
            p = f.smaller(p, "%most")  # never beyond the plane: rather some pixels again
            ends = planes(f, f.at("%x", p), last)
            for x in ends:
                f.prefetch(f.past(x, AHEAD))
            lines = f.transposed([f.load(x, n) for x in ends])
            for at, line in zip(frame.offsets(f, p)[:n], lines, strict=False):
                if last and zeros:
                    line = f.first(line, f.add(last, 1))
                f.store(f.at("%to", f.sub(at, "%shift")), line)

        f.span("%p0", "%p1", lanes, some)
        f.end()
        return name

    d, lanes = f.dtype, f.lanes
    return Sized(f.module.common((name, d), write), frame.sizes(distance, lanes))


def write_put(f: Code, frame: Frame, distance: int, bias: bool = False, last: str = "") -> Sized:
    """The function ``(from, y, p0, p1, shift, last, bias)``: the reverse of ``write_copy``.

    ``bias``: a vector is added.
    """
    signature = (
        "ptr noalias %from, ptr noalias %y, i64 %p0, i64 %p1, i64 %shift, i64 %last, ptr %bias, "
        f"{SIZES}"
    )
    name = f"put_{frame.kind(f.lanes)}_{bool(last)}{bias}"

    def write(module: Module) -> str:
        f = Code(module, name, signature, d, COMMON)
        extra = f.load("%bias") if bias else ""

        def some(p: Number, _: list[str]) -> None:
            lines = [f.load(f.at("%from", f.sub(at, "%shift"))) for at in frame.offsets(f, p)]
            if bias:
                lines = [f.plus(line, extra) for line in lines]
            lines, ends, rest = f.transposed(lines), planes(f, f.at("%y", p), last), f.sub("%p1", p)

            def all_lanes() -> None:
                for y, line in zip(ends, lines, strict=True):
                    f.store(y, line)

            def some_lanes() -> None:
                for y, line in zip(ends, lines, strict=True):
                    f.store_first(y, line, rest)

            f.when(f(f"icmp sge i64 {rest}, {lanes}"), all_lanes, some_lanes)

        f.span("%p0", "%p1", lanes, some)
        f.end()
        return name

    d, lanes = f.dtype, f.lanes
    return Sized(f.module.common((name, d), write), frame.sizes(distance, lanes))
