"""Gradients of the normalisation of few floats, see norms.py."""

from __future__ import annotations

from typing import Any

from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ir.text import splat_literal

NAMES = ("row norm gradient", "block norm gradient")


def text(name: str, d: Any, width: int) -> str:
    """See ``Gradient``."""
    gradient = Gradient(name, d, width)
    gradient.f.end()
    return gradient.f.module.text()


class Gradient:
    """With ``y = (x - mean) * scale`` and ``h = g * weight``: the gradient by x, which is ``scale *
    (h - mean(h) - y * mean(h * y))``, and those by the weight and the bias, the sums of ``g * y``
    and of g.

    Operands: g, x, weight, means, scales, and the gradients, the last two of which are added to
    what is there. Units and numbers are those of ``norms.Norm``, up to whether there is a weight.
    """

    def __init__(self, name: str, d: Any, width: int) -> None:
        self.in_rows = name == "row norm gradient"
        self.f = f = kernel(width, d)
        operands = [f.operand(k) for k in range(9)]
        self.g, self.x, self.weight, self.means, self.scales = operands[:5]
        self.out, *self.sums = operands[5:8]
        given = [f.scalar64(f.at(operands[8], k, 8)) for k in range(9)]
        self.n, self.blocks, self.apart, self.step = given[:4]
        self.by_unit, self.by_block, self.weights = given[5:8]
        self.centred, self.has_weight = [f(f"icmp ne i64 {given[k]}, 0") for k in (4, 8)]
        self.count = f(f"sitofp i64 {self.times(self.n, self.blocks)} to {f.element}")
        self.zero = splat_literal(0.0, f.element, f.lanes)
        f.span("%lo", "%hi", 1, lambda u, _: self.unit(u))

    def times(self, a: Number, b: Number) -> str:
        return self.f(f"mul nsw i64 {a}, {b}")

    def op(self, name: str, a: str, b: str) -> str:
        """Arithmetic of vectors."""
        return self.f(f"{name} {self.f.vector} {a}, {b}")

    def unit(self, u: Number) -> None:
        """A row, or a channel."""
        f, e = self.f, self.f.element
        start = self.times(u, self.step)
        self.mean, self.scale = [f.splat(f.scalar(f.at(p, u))) for p in (self.means, self.scales)]

        def block(body: Any) -> Any:
            def at(a: Number, state: list[str]) -> Any:
                which = f.add(self.times(u, self.by_unit), self.times(a, self.by_block))
                place = "0" if self.in_rows else f(f"urem i64 {which}, {self.weights}")
                return body(f.add(start, self.times(a, self.apart)), place, state)

            return at

        sums = f.span(0, self.blocks, 1, block(self.added), [(e, "0.0")] * 2)
        along, mean = [f.splat(f(f"fdiv {e} {s}, {self.count}")) for s in sums]
        mean = f(f"select i1 {self.centred}, {f.vector} {mean}, {f.vector} {self.zero}")

        def finished(here: Number, place: str, _: list[str]) -> None:
            def some(i: Number, _: list[str]) -> None:
                on, g, y = self.loaded(f.add(here, i), i)
                h = self.op("fsub", self.weighted(g, place, i, on), mean)
                h = self.op("fsub", h, self.op("fmul", y, along))
                f.masked_store(f.at(self.out, f.add(here, i)), self.op("fmul", h, self.scale), on)

            f.span(0, self.n, f.lanes, some)

        f.span(0, self.blocks, 1, block(finished))

    def loaded(self, at: Number, i: Number) -> tuple[str, str, str]:
        """Which of some elements there are, g, and y."""
        f = self.f
        on = f.lanes_below(f.sub(self.n, i))
        g, x = [f.load(f.at(p, at), mask=on) for p in (self.g, self.x)]
        y = self.op("fmul", self.op("fsub", x, self.mean), self.scale)
        return on, g, f(f"select {f.bits} {on}, {f.vector} {y}, {f.vector} {self.zero}")

    def weighted(self, g: str, place: str, i: Number, on: str) -> str:
        """h."""
        f = self.f
        if self.in_rows:
            w = f.load(f.at(self.weight, i), mask=on)
        else:
            w = f.splat(f.scalar(f.at(self.weight, place)))
        h = self.op("fmul", g, w)
        return f(f"select i1 {self.has_weight}, {f.vector} {h}, {f.vector} {g}")

    def added(self, here: Number, place: str, state: list[str]) -> list[str]:
        """The sums of ``h * y`` and of h with those of a block."""
        f, e = self.f, self.f.element

        def some(i: Number, sums: list[str]) -> list[str]:
            on, g, y = self.loaded(f.add(here, i), i)
            h = self.weighted(g, place, i, on) if self.in_rows else g
            if self.in_rows:
                for p, more in zip(self.sums, (self.op("fmul", g, y), g), strict=True):
                    q = f.at(p, i)
                    f.masked_store(q, f.plus(f.load(q, mask=on), more), on)
            return [f.plus(s, v) for s, v in zip(sums, (self.op("fmul", h, y), h), strict=True)]

        sums = f.span(0, self.n, f.lanes, some, [(f.vector, self.zero)] * 2)
        totals = [f.total(s) for s in sums]
        if not self.in_rows:
            for p, t in zip(self.sums, totals, strict=True):
                q = f.at(p, place)
                f.do(f"store {e} {f(f'fadd {e} {f.scalar(q)}, {t}')}, ptr {q}, align {f.size}")
            w = f.scalar(f.at(self.weight, place))
            w = f(f"select i1 {self.has_weight}, {e} {w}, {e} 1.0")
            totals = [f(f"fmul {e} {t}, {w}") for t in totals]
        return [f(f"fadd {e} {s}, {t}") for s, t in zip(state, totals, strict=True)]
