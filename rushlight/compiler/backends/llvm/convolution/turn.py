"""Planes of pixels turned to pixels of vectors, and back.

A vector holds one pixel of several planes, which lie ``distance`` elements apart: channels of an
image, or images of a channel. Turned pixels lie between zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.compiler.backends.llvm.ir.code import Code, Number
from rushlight.compiler.backends.llvm.ir.text import COMMON


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

    def offsets(self, f: Code, p: Number) -> list[Number]:
        """Where ``lanes`` pixels from p on lie, in elements."""
        width, n = self.space[1], f.lanes
        i, j = f.parted(p, width)
        at = f.mul(f.add(i, self.before[0]), self.row)
        at = f.mul(f.add(at, f.add(j, self.before[1])), n)
        if width % n == 0 or n % width == 0:
            return [f.add(at, (k // width * self.row + k % width) * n) for k in range(n)]
        found = [at]
        for _ in range(n - 1):
            j = f.add(j, 1)
            ends = f(f"icmp eq i64 {j}, {width}")
            j = f(f"select i1 {ends}, i64 0, i64 {j}")
            step = f(f"select i1 {ends}, i64 {(self.row - width + 1) * n}, i64 {n}")
            found.append(f.add(found[-1], step))
        return found


def planes(f: Code, distance: int, last: str) -> list[Number]:
    """Offsets of the planes of each lane; those behind the ``last`` are the last one again."""
    if not last:
        return [k * distance for k in range(f.lanes)]
    return [f.mul(f.smaller(k, last), distance) for k in range(f.lanes)]


def write_copy(f: Code, frame: Frame, distance: int, last: str = "", zeros: bool = False) -> str:
    """The function ``(x, to, p0, p1, shift, last)``: pixels p0 to p1, and perhaps a few more.

    ``shift``: where ``to`` lies between zeros. ``last``: "%last" if lanes may have no plane, which
    then get the last plane's pixels, or ``zeros``.
    """
    signature = "ptr noalias %x, ptr noalias %to, i64 %p0, i64 %p1, i64 %shift, i64 %last"
    f = Code(
        f.module,
        f"copy_{Code.module_key(repr((frame, distance, last, zeros)))}",
        signature,
        f.dtype,
        COMMON,
    )
    n = min(f.lanes, frame.size)
    where = planes(f, distance, last)

    def some(p: Number, _: list[str]) -> None:
        p = f.smaller(p, frame.size - n)  # never beyond the plane: rather some pixels again
        x = f.at("%x", p)
        lines = f.transposed([f.load(f.at(x, at), n) for at in where])
        for at, line in zip(frame.offsets(f, p)[:n], lines, strict=False):
            if last and zeros:
                line = f.first(line, f.add(last, 1))
            f.store(f.at("%to", f.sub(at, "%shift")), line)

    f.span("%p0", "%p1", f.lanes, some)
    f.end()
    return f.name


def write_put(f: Code, frame: Frame, distance: int, bias: bool = False, last: str = "") -> str:
    """The function ``(from, y, p0, p1, shift, last, bias)``: the reverse of ``write_copy``.

    ``bias``: a vector is added.
    """
    signature = (
        "ptr noalias %from, ptr noalias %y, i64 %p0, i64 %p1, i64 %shift, i64 %last, ptr %bias"
    )
    name = f"put_{Code.module_key(repr((frame, distance)))}"
    f = Code(f.module, name, signature, f.dtype, COMMON)
    extra = f.load("%bias") if bias else ""
    where = planes(f, distance, last)

    def some(p: Number, _: list[str]) -> None:
        lines = [f.load(f.at("%from", f.sub(at, "%shift"))) for at in frame.offsets(f, p)]
        if bias:
            lines = [f.plus(line, extra) for line in lines]
        lines, y, rest = f.transposed(lines), f.at("%y", p), f.sub("%p1", p)

        def all_lanes() -> None:
            for at, line in zip(where, lines, strict=True):
                f.store(f.at(y, at), line)

        def some_lanes() -> None:
            for at, line in zip(where, lines, strict=True):
                f.store_first(f.at(y, at), line, rest)

        f.when(f(f"icmp sge i64 {rest}, {f.lanes}"), all_lanes, some_lanes)

    f.span("%p0", "%p1", f.lanes, some)
    f.end()
    return f.name
