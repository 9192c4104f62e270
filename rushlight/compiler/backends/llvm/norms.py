"""Normalisation of few floats, by the statistics of rows or of channels of any sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ir.text import mangled, splat_literal

NAMES = ("row norm", "block norm", "given norm")
RUNNING = "running statistics"


def text(name: str, d: Any, width: int) -> str:
    """See ``Norm``."""
    norm = Norm(name, d, width)
    norm.f.end()
    return norm.f.module.text()


def running(_: str, d: Any, width: int) -> str:
    """Running means and variances, operands 2 and 3, move towards those of which operand 0 has the
    means and operand 1 ``1 / sqrt(var + eps)``. Operand 4 holds, in float64: eps, what makes a
    variance unbiased, and the weight of what is new.
    """
    f = kernel(width, d)
    means, scales, running_means, running_variances, given = [f.operand(k) for k in range(5)]
    eps, unbiased, weight = [f(f"load double, ptr {f.at(given, k, 8)}, align 8") for k in range(3)]
    rest = f(f"fsub double 1.0, {weight}")
    wide = f.element == "double"

    def move(place: str, new: str) -> None:
        old = f.scalar(place) if wide else f(f"fpext {f.element} {f.scalar(place)} to double")
        old, new = f(f"fmul double {old}, {rest}"), f(f"fmul double {new}, {weight}")
        both = f(f"fadd double {old}, {new}")
        both = both if wide else f(f"fptrunc double {both} to {f.element}")
        f.do(f"store {f.element} {both}, ptr {place}, align {f.size}")

    def channel(u: Number, _: list[str]) -> None:
        mean, scale = [f.scalar(f.at(p, u)) for p in (means, scales)]
        if not wide:
            mean, scale = [f(f"fpext {f.element} {v} to double") for v in (mean, scale)]
        move(f.at(running_means, u), mean)
        variance = f(f"fdiv double 1.0, {f(f'fmul double {scale}, {scale}')}")
        variance = f(f"fmul double {f(f'fsub double {variance}, {eps}')}, {unbiased}")
        move(f.at(running_variances, u), variance)

    f.span("%lo", "%hi", 1, channel)
    f.end()
    return f.module.text()


class Norm:
    """``(x - mean) / sqrt(var + eps) * weight + bias``.

    Operands: x, weight, bias, the result, means, ``1 / sqrt(var + eps)``, float64 eps. A unit u
    has ``blocks`` blocks, ``apart`` from each other, of ``n`` elements that lie together; it
    begins ``step`` elements after the one before. "row norm" has a weight for each element of a
    block, "block norm" has that of number ``(u * by_unit + block * by_block) % weights``. "given
    norm" has such, too, but its fifth and sixth operands are given means and variances.

    Numbers: n, blocks, apart, step, whether the mean is subtracted, by_unit, by_block, weights, and
    whether there is a weight, and a bias.
    """

    def __init__(self, name: str, d: Any, width: int) -> None:
        self.in_rows, self.given = name == "row norm", name == "given norm"
        self.f = f = kernel(width, d)
        operands = [f.operand(k) for k in range(8)]
        self.x, self.weight, self.bias, self.out, self.means, self.scales, eps, numbers = operands
        given = [f.scalar64(f.at(numbers, k, 8)) for k in range(10)]
        self.n, self.blocks, self.apart, self.step = given[:4]
        self.by_unit, self.by_block, self.weights = given[5:8]
        self.centred, self.has_weight, self.has_bias = [
            f(f"icmp ne i64 {given[k]}, 0") for k in (4, 8, 9)
        ]
        kind = f.element
        self.eps = f(f"load double, ptr {eps}, align 8")
        self.count = f(f"sitofp i64 {self.times(self.n, self.blocks)} to {kind}")
        if kind != "double":
            self.eps = f(f"fptrunc double {self.eps} to {kind}")
        self.zero = splat_literal(0.0, kind, f.lanes)
        f.span("%lo", "%hi", 1, lambda u, _: self.unit(u))

    def times(self, a: Number, b: Number) -> str:
        return self.f(f"mul nsw i64 {a}, {b}")

    def unit(self, u: Number) -> None:
        """A row, or a channel."""
        f, start = self.f, self.times(u, self.step)
        places = [f.at(p, u) for p in (self.means, self.scales)]
        if self.given:
            mean, scale = f.scalar(places[0]), self.scale(f.scalar(places[1]))
        else:
            mean, scale = self.statistics(start)
            for place, value in zip(places, (mean, scale), strict=True):
                f.do(f"store {f.element} {value}, ptr {place}, align {f.size}")
        mean, scale = f.splat(mean), f.splat(scale)
        self.along(start, lambda at, i, on: self.finished(u, at, i, on, mean, scale))

    def scale(self, variance: str) -> str:
        """``1 / sqrt(variance + eps)``."""
        f, e = self.f, self.f.element
        wide = f(f"fadd {e} {variance}, {self.eps}")
        return f(f"fdiv {e} 1.0, {f.intrinsic('sqrt', mangled(e, 0), e, [(e, wide)])}")

    def statistics(self, start: str) -> tuple[str, str]:
        """The mean of a unit, and its scale."""
        f, e = self.f, self.f.element

        def added(at: Number, on: str, mean: str, total: str) -> str:
            off = f(f"fsub {f.vector} {f.load(f.at(self.x, at), mask=on)}, {mean}")
            square = off if mean == self.zero else f(f"fmul {f.vector} {off}, {off}")
            on_or_0 = f(f"select {f.bits} {on}, {f.vector} {square}, {f.vector} {self.zero}")
            return f.plus(total, on_or_0)

        def mean_of(mean: str) -> str:
            (total,) = self.along(start, lambda at, i, on, t: added(at, on, mean, t), self.zero)
            return f(f"fdiv {e} {f.total(total)}, {self.count}")

        mean = f(f"select i1 {self.centred}, {e} {mean_of(self.zero)}, {e} 0.0")
        return mean, self.scale(mean_of(f.splat(mean)))

    def along(self, start: str, body: Callable[..., str | None], *first: str) -> list[str]:
        """Through all blocks of a unit, several elements at a time, the last ones under a mask.
        ``self.block`` is the number of the block.
        """
        f = self.f
        carried = [(f.vector, v) for v in first]

        def block(a: Number, state: list[str]) -> list[str]:
            here = f.add(start, self.times(a, self.apart))
            self.block = a

            def some(i: Number, state: list[str]) -> list[str]:
                found = body(f.add(here, i), i, f.lanes_below(f.sub(self.n, i)), *state)
                return [found] if found else []

            now = [(f.vector, v) for v in state]
            return f.span(0, self.n, f.lanes, some, now)

        return f.span(0, self.blocks, 1, block, carried)

    def finished(self, u: Number, at: Number, i: Number, on: str, mean: str, scale: str) -> None:
        """Some of the results."""
        f = self.f
        x = f(f"fsub {f.vector} {f.load(f.at(self.x, at), mask=on)}, {mean}")
        x = f(f"fmul {f.vector} {x}, {scale}")
        times = f(f"fmul {f.vector} {x}, {self.factor(self.weight, u, i, on)}")
        x = f(f"select i1 {self.has_weight}, {f.vector} {times}, {f.vector} {x}")
        plus = f(f"fadd {f.vector} {x}, {self.factor(self.bias, u, i, on)}")
        x = f(f"select i1 {self.has_bias}, {f.vector} {plus}, {f.vector} {x}")
        f.masked_store(f.at(self.out, at), x, on)

    def factor(self, p: str, u: Number, i: Number, on: str) -> str:
        """Weights, or biases."""
        f = self.f
        if self.in_rows:
            return f.load(f.at(p, i), mask=on)
        which = f.add(self.times(u, self.by_unit), self.times(self.block, self.by_block))
        return f.splat(f.scalar(f.at(p, f(f"urem i64 {which}, {self.weights}"))))
